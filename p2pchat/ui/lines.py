"""
A file or a pipe to one person, line by line, until all of it is delivered: `--to bob --input notes.txt`.

Opens the input, connects, waits for consent, sends every line (an empty one too) as a message in order, waits until
all are delivered, and ends with one of the codes below. An empty input ends at once: there is nothing to wait for.
Lines that were read together are said together, and nothing more is read until they are on the disk: if they are
refused nothing that stood behind them goes out. Nor is it while `MOST_UNDELIVERED` messages wait for their delivery.

`--timeout` counts while something waits and nothing moves: it begins anew with every message that is delivered, and
does not run while all is delivered and the pipe is silent.
"""

from collections.abc import Callable
from enum import IntEnum

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.core.errors import Reported, StoreUnsure, UserError
from p2pchat.core.text import Kind, clean

from .numbers import Numbers, write_numbers
from .source import Source
from .splitter import Splitter
from .words import name_of, not_taken, reason_of

MOST_UNDELIVERED = 50_000
"""Messages committed and not yet delivered; then the pipe waits, so that none of ours is refused as too much."""

HANDLE_WAIT = 30.0
"""Seconds for which `--trust-first` waits for somebody with that handle to be on the roster, if no timeout is given."""


class Code(IntEnum):
    """What the process exits with."""

    DELIVERED = 0
    FAILED = 1
    """The input, the transcript or the disk failed."""
    NOT_DELIVERED = 3
    """Not within the timeout, or the other side could not take a message."""
    REFUSED = 4
    """The request to chat was refused or not answered, or the chat was closed."""
    NO_CONTACT = 5
    """`--to` is nobody we know."""


class Lines:
    """Sends an input to one person."""

    _log = Logger()

    def __init__(
        self,
        held: api.Api,
        clock: IReactorTime,
        source: Source,
        settings: PeerSettings,
        finish: Callable[[int, str], None],
    ) -> None:
        self._api = held
        self._clock = clock
        self._source = source
        self._settings = settings
        self._to = settings.to or ""
        self._finish = finish
        self._splitter = Splitter()
        self._person: api.Person | None = None
        self._opened = False
        self._over = False
        self._sent = 0
        self._committing = 0
        self._waiting = Numbers()
        self._early = Numbers()
        self._untaken = Numbers()
        self._changed: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._running: Deferred[None] | None = None
        self._subscription = held.subscribe(self._happened)

    def begin(self) -> None:
        """The peer is up."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._failed)

    def stop(self) -> None:
        """The process ends, for whatever reason."""
        if self._over:
            return
        self._over = True
        self._subscription.cancel()
        self._source.close()
        self._stop_timer()
        if self._running is not None:
            self._running.cancel()

    # --- the way

    async def _run(self) -> None:
        await self._source.open()
        self._progress()
        await self._connect()
        data = await self._source.read()
        if data:
            await self._until(lambda: self._opened)
        while data:
            await self._send(data)
            data = await self._source.read()
        if rest := tuple(self._splitter.end()):
            await self._say(rest)
        await self._until(lambda: not self._waiting)
        self._end_well()

    async def _connect(self) -> None:
        connect = api.Connect(who=self._to, contact_only=not self._settings.trust_first)
        end = self._clock.seconds() + HANDLE_WAIT
        while True:
            try:
                reply = await self._api.execute(connect)
                break
            except UserError as error:
                # The roster may not have come yet; a contact needs none.
                waits = self._settings.trust_first and error.exit_code == Code.NO_CONTACT
                if not waits or self._clock.seconds() >= end:
                    raise
                await self._event_or(1.0)
        if isinstance(reply, api.Started) and reply.person is not None:
            self._know(reply.person)
            if reply.person.chat == "open":
                self._opened = True
        await self._until(lambda: self._person is not None)

    async def _event_or(self, seconds: float) -> None:
        """Wait for the next event, at most so long."""
        call = self._clock.callLater(seconds, self._move)
        try:
            await self._next_change()
        finally:
            if call.active():
                call.cancel()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._next_change()

    def _next_change(self) -> "Deferred[None]":
        if self._changed is None:
            self._changed = Deferred()
        return self._changed

    def _move(self) -> None:
        """Something changed; whoever waits looks again."""
        changed, self._changed = self._changed, None
        if changed is not None and not changed.called:
            changed.callback(None)

    # --- sending

    async def _send(self, data: bytes) -> None:
        texts = tuple(self._splitter.feed(data))
        while texts:
            await self._until(lambda: len(self._waiting) < MOST_UNDELIVERED)
            count = min(MOST_UNDELIVERED - len(self._waiting), api.MOST_SAID)
            await self._say(texts[:count])
            texts = texts[count:]

    async def _say(self, texts: tuple[str, ...]) -> None:
        """Have messages committed, all of them; raises Reported if they are not taken."""
        who = self._person.id if self._person else self._to
        self._committing = len(texts)
        self._count()
        try:
            reply = await self._api.execute(api.SayAll(who=who, texts=texts))
        except UserError as error:
            if error.exit_code != StoreUnsure.exit_code:
                self._committing = 0
            raise Reported(f"{not_taken(error)}; {self._account()}", error.exit_code) from None
        self._committing = 0
        self._sent += len(texts)
        if isinstance(reply, api.AllAccepted):
            for number in range(reply.first, reply.last + 1):
                if not self._early.discard(number):
                    self._waiting.add(number)
        self._early.clear()  # what else was delivered meanwhile is somebody else's
        self._count()

    # --- what happens

    def _happened(self, event: api.Event) -> None:
        match event:
            case api.Answered(person=person) if self._person is None and self._settings.trust_first:
                self._know(person)
                self._api.execute(api.Confirm(who=person.id)).addErrback(self._failed)
            case api.Opened(person=person) if self._is_them(person) and not self._opened:
                self._opened = True
                self._progress()
            case api.Delivered(person=person, numbers=numbers) if self._is_them(person):
                self._delivered(numbers)
            case api.NotDelivered(person=person, number=number) if self._is_them(person):
                if number in self._waiting or self._committing:
                    self._untaken.add(number)
                self._delivered((number,))
            case api.Ended(person=person, address=address, reason=reason):
                if self._is_them(person) if person else address and address == self._to:
                    self._ended(reason)
            case api.Displaced():
                self._end(Code.FAILED, "another instance with the same key came online; this one stopped")
        self._move()

    def _delivered(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            if not self._waiting.discard(number) and self._committing:
                self._early.add(number)
        self._progress()

    def _ended(self, reason: str) -> None:
        self._end(Code.REFUSED, f"{self._name()}: {reason_of(reason) or 'the chat is over'}; {self._account()}")

    def _know(self, person: api.Person) -> None:
        self._person = person
        self._move()

    def _is_them(self, person: api.Person) -> bool:
        return self._person is not None and person.id == self._person.id

    # --- the end

    def _progress(self) -> None:
        """Something moved: count the timeout anew."""
        self._stop_timer()
        self._count()

    def _count(self) -> None:
        """Count the timeout while something waits; what is said meanwhile does not begin it anew."""
        timeout = self._settings.timeout
        if self._over or (self._opened and not self._waiting and not self._committing):
            self._stop_timer()
        elif timeout is not None and self._timer is None:
            self._timer = self._clock.callLater(timeout, self._timed_out, timeout)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _timed_out(self, timeout: float) -> None:
        reached = "" if self._opened else f"{self._name()} was not reached; "
        self._end(Code.NOT_DELIVERED, f"not delivered within {timeout:g} s: {reached}{self._account()}")

    def _end_well(self) -> None:
        words = []
        if self._untaken:
            words.append(f"{self._name()} could not take {write_numbers(self._untaken)}; the rest is delivered")
        if self._splitter.replaced:
            words.append(f"{self._splitter.replaced} pieces of the input were no UTF-8 and were sent as U+FFFD")
        self._end(Code.NOT_DELIVERED if self._untaken else Code.DELIVERED, "; ".join(words))

    def _end(self, code: int, line: str) -> None:
        if self._over:
            return
        self.stop()
        self._finish(int(code), f"p2pchat-peer: {line}" if line else "")

    def _failed(self, failure: Failure) -> None:
        match failure.value:
            case CancelledError():
                return
            case OSError() as error:
                what = "standard input" if self._settings.input in (None, "-") else self._settings.input
                self._end(Code.FAILED, f"cannot read {what}: {error.strerror}; {self._account()}")
            case UserError() as error:
                self._end(error.exit_code, str(error))
            case _:
                self._log.failure("sending the input failed", failure)
                self._end(Code.FAILED, "sending the input failed; the log says more")

    def _name(self) -> str:
        return name_of(self._person) if self._person else clean(self._to, Kind.NAME)

    def _account(self) -> str:
        unsure = f"; whether {self._committing} more are on this disk is not known" if self._committing else ""
        if not self._sent:
            return f"nothing was sent{unsure}"
        waiting = len(self._waiting)
        if not waiting:
            return f"what was sent is delivered ({self._sent} messages){unsure}"
        return f"{waiting} of {self._sent} messages wait on this disk and go out when the two of you chat again{unsure}"
