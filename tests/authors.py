"""Programs at the sockets of real peers: one says lines and notes what became of each, one looks at what comes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from p2pchat.api import Accepted, Connect, Displayed, People, Said, Say, Started, WhoIs
from p2pchat.api.lines import Answer
from p2pchat.core.errors import Reported, UserError
from p2pchat.net.local_client import LocalClient

from .daemons import PATIENCE, PAUSE, PeerDaemon
from .histories import Attempt, Outcome

IN_FLIGHT = 4
"""Messages that were asked for and not answered: enough that a commit holds several."""

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
    """Says `texts`, each once, and keeps what became of them in `attempts`."""

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
        self._waiting: dict[int, str] = {}

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
            text = next(self._texts, None)
            if text is not None:
                # Before it leaves: whatever happens now, the peer may have it.
                self._note(text, Outcome.UNKNOWN)
                self._waiting[client.submit(Say(who=self.other.id, text=text))] = text
            while self._waiting and (text is None or len(self._waiting) >= IN_FLIGHT):
                for answer in client.receive(PATIENCE)[0]:
                    self._take(client, answer)
            if text is None:
                return True
            time.sleep(self._pause())
        while self._waiting:
            for answer in client.receive(PATIENCE)[0]:
                self._take(client, answer)
        return True

    def _take(self, client: LocalClient, answer: Answer) -> None:
        text = self._waiting.pop(answer.request or 0)
        try:
            accepted = client.decoded(answer, Accepted)
        except Reported:
            self._note(text, Outcome.REFUSED)
        else:
            self._note(text, Outcome.ACCEPTED, accepted.number)

    def _note(self, text: str, outcome: Outcome, number: int = 0) -> None:
        attempt = Attempt(text, outcome, number)
        for index in range(len(self.attempts) - 1, max(-1, len(self.attempts) - 1 - 2 * IN_FLIGHT), -1):
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
