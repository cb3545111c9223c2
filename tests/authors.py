"""Programs at the sockets of real peers: one says lines and notes what became of each, one looks at what comes."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from p2pchat.api import Accepted, AllAccepted, Connect, Displayed, People, Said, Say, SayAll, Started, WhoIs
from p2pchat.api.lines import Answer
from p2pchat.core.errors import Reported, UserError
from p2pchat.net.local_client import LocalClient

from .daemons import PATIENCE, PAUSE, PeerDaemon
from .histories import Attempt, Outcome

IN_FLIGHT = 4
"""Commands that were asked for and not answered: enough that a commit holds several."""

TOGETHER = (1, 3, 1, 2)
"""Messages that one command after the other says."""

MOST_OPEN = 2 * IN_FLIGHT * max(TOGETHER)
"""Attempts, from the last one back, among which one that is answered stands."""

LISTEN = 0.2
"""Seconds after which a thread looks whether it is to end."""


class Program(threading.Thread):
    """A thread at a peer's socket that outlives the peer; what it raises comes out of `finish`."""

    def __init__(self, peer: PeerDaemon, other: PeerDaemon) -> None:
        super().__init__(daemon=True)
        self.peer = peer
        self.other = other
        self.stopping = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self._error = error

    def work(self) -> None:
        """All of it."""
        raise NotImplementedError

    def finish(self, within: float = PATIENCE) -> None:
        """Wait until it is done."""
        self.join(within)
        if self._error is not None:
            raise self._error
        if self.is_alive():
            raise AssertionError(f"the program at {self.peer.state.name} does not come to its end")

    def connected(self) -> LocalClient | None:
        """A connection to the peer as soon as there is one; None if we are to end first."""
        end = time.monotonic() + PATIENCE
        while not self.stopping.is_set():
            client = self.peer.client()
            try:
                client.open()
                return client
            except UserError:
                if time.monotonic() > end:
                    raise
                time.sleep(PAUSE)
        return None


class Author(Program):
    """Says `texts`, each once, some of them by one command, and keeps what became of them in `attempts`."""

    def __init__(
        self,
        peer: PeerDaemon,
        other: PeerDaemon,
        texts: Iterable[str],
        pause: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__(peer, other)
        self.attempts: list[Attempt] = []
        self.connects = True
        """Whether it begins the chat, which it does once, or waits for one; the peers look after the rest."""
        self._chats = False
        self._texts = iter(texts)
        self._pause = pause
        self._together = itertools.cycle(TOGETHER)
        self._waiting: dict[int, tuple[str, ...]] = {}

    def work(self) -> None:
        """Over as many lives of the peer as it takes."""
        while (client := self.connected()) is not None:
            with contextlib.closing(client):
                try:
                    if self._begun(client) and self._say_all(client):
                        return
                except UserError:
                    pass  # it died
                finally:
                    self._give_up()

    @property
    def accepted(self) -> int:
        """How many of its messages were accepted so far."""
        return sum(attempt.outcome is Outcome.ACCEPTED for attempt in tuple(self.attempts))

    def _begun(self, client: LocalClient) -> bool:
        try:
            if self.connects and not self._chats:
                client.call(Connect(who=self.other.id), Started)
            elif not self._chats:
                (person,) = client.call(WhoIs(who=self.other.id), People).people
                if person.chat != "open":
                    raise Reported("there is no chat yet", 1)
        except Reported:
            time.sleep(PAUSE)
            return False
        self._chats = True
        return True

    def _say_all(self, client: LocalClient) -> bool:
        """Until there is no more to say; raises UserError when the peer dies."""
        while not self.stopping.is_set():
            texts = tuple(itertools.islice(self._texts, next(self._together)))
            if texts:
                # Before they leave: whatever happens now, the peer may have them.
                for text in texts:
                    self._note(text, Outcome.UNKNOWN)
                self._waiting[client.submit(self._command(texts))] = texts
            while self._waiting and (not texts or len(self._waiting) >= IN_FLIGHT):
                for answer in client.receive(PATIENCE)[0]:
                    self._take(client, answer)
            if not texts:
                return True
            time.sleep(self._pause())
        while self._waiting:
            for answer in client.receive(PATIENCE)[0]:
                self._take(client, answer)
        return True

    def _command(self, texts: tuple[str, ...]) -> Say | SayAll:
        if len(texts) == 1:
            return Say(who=self.other.id, text=texts[0])
        return SayAll(who=self.other.id, texts=texts)

    def _take(self, client: LocalClient, answer: Answer) -> None:
        texts = self._waiting.pop(answer.request or 0)
        try:
            if len(texts) == 1:
                first = client.decoded(answer, Accepted).number
            else:
                first = client.decoded(answer, AllAccepted).first
        except Reported:
            for text in texts:
                self._note(text, Outcome.REFUSED)
        else:
            for number, text in enumerate(texts, first):
                self._note(text, Outcome.ACCEPTED, number)

    def _note(self, text: str, outcome: Outcome, number: int = 0) -> None:
        attempt = Attempt(text, outcome, number)
        for index in range(len(self.attempts) - 1, max(-1, len(self.attempts) - 1 - MOST_OPEN), -1):
            if self.attempts[index].text == text:
                self.attempts[index] = attempt
                return
        self.attempts.append(attempt)

    def _give_up(self) -> None:
        """What was not answered stays unknown."""
        self._waiting.clear()


class Reader(Program):
    """Displays what comes, as a person's terminal would; `shown` has it, a list for each life of the peer."""

    def __init__(self, peer: PeerDaemon, other: PeerDaemon) -> None:
        super().__init__(peer, other)
        self.shown: list[list[tuple[int, str]]] = []
        self._decoder = msgspec.json.Decoder(Said)

    def work(self) -> None:
        """Until it is stopped."""
        while (client := self.connected()) is not None:
            with contextlib.closing(client):
                try:
                    client.subscribe()
                    self.shown.append([])
                    self._look(client)
                except UserError:
                    pass  # it died

    def _look(self, client: LocalClient) -> None:
        while not self.stopping.is_set():
            for answer in client.receive(LISTEN)[0]:
                said = self._said(answer)
                if said is not None:
                    self.shown[-1].append((said.number, said.text))
                    client.submit(Displayed(who=said.person.id, entry=said.entry))

    def _said(self, answer: Answer) -> Said | None:
        try:
            return self._decoder.decode(answer.event) if answer.event else None
        except msgspec.ValidationError:
            return None  # of another kind

    def faults(self) -> list[Any]:
        """What was shown out of order or twice in one life of the peer."""
        return [each for each in self.shown if [number for number, _ in each] != sorted({number for number, _ in each})]
