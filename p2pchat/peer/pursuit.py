"""
Dialling somebody until they are reached: which addresses, how many at once, how long to wait.

Addresses that others supplied are dialled under the rules of docs/protocol.md, section 11; who answers is decided by
the key alone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..core.budget import Budget
from ..core.messages import Address

FIRST_WAIT = 0.5
"""Seconds of the first wait between two rounds."""

LONGEST_WAIT = 30.0
"""Seconds that waits double to."""

STAGGER = 0.3
"""Seconds between two addresses of one round: an address that answers nobody must not hold up the next."""

QUIET_FOR = 10.0
"""Seconds between two dials to an address and port that has not yet completed a hello with that id."""

LASTED = 10.0
"""Seconds that a link must have been up for the waits to be short again: who ends each at once is not hammered."""

MOST_PROVED = 4_096
"""Addresses that are remembered for a hello that was completed there; the oldest is asked for another one then."""

HINTS_RATE, HINTS_BURST = 0.1, 3.0
"""How often what others say of somebody makes us dial them sooner: so many times a second, and at once."""


class Backoff:
    """Waits that double, each multiplied by a random number from 0 to 1 ("full jitter")."""

    def __init__(self, fraction: Callable[[], float]) -> None:
        self._fraction = fraction
        self._wait = self._last = FIRST_WAIT

    def next(self) -> float:
        """Seconds to wait now."""
        self._last, self._wait = self._wait, min(self._wait * 2, LONGEST_WAIT)
        return self._last * self._fraction()

    def give_back(self) -> None:
        """Nobody has to wait what was given last."""
        self._wait = self._last

    def reset(self) -> None:
        """Start again with short waits."""
        self._wait = self._last = FIRST_WAIT

    def ended(self, lasted: float) -> None:
        """
        A link that was up for so many seconds is over: after one that lasted the waits are short again.

        A link that opened is no reason yet: whoever ends every one of them, or must since its disk is full, would be
        dialled several times a second for ever.
        """
        if lasted >= LASTED:
            self.reset()


class DialRecord:
    """What was dialled when, over all pursuits, so that nobody can make us knock at a stranger's door for ever."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._tried: dict[tuple[bytes, Address], float] = {}
        self._proved: dict[tuple[bytes, Address], None] = {}

    def may_try(self, identifier: bytes, address: Address) -> bool:
        """Whether this address may be dialled now for this id; counts as a try if so."""
        key, now = (identifier, address), self._clock.seconds()
        if key not in self._proved and now < self._tried.get(key, -QUIET_FOR) + QUIET_FOR:
            return False
        if len(self._tried) > 10_000:
            self._tried = {each: at for each, at in self._tried.items() if now < at + QUIET_FOR}
        self._tried[key] = now
        return True

    def proved(self, identifier: bytes, address: Address) -> None:
        """A hello with that id was completed there."""
        self._proved.setdefault((identifier, address))
        if len(self._proved) > MOST_PROVED:
            del self._proved[next(iter(self._proved))]


@dataclass(frozen=True, slots=True)
class Target:
    """One address to dial."""

    address: Address
    typed: bool = False
    """By the person, who may dial whatever they like."""


class Pursuit:
    """Dials one id, round after round, until somebody was reached; again after `resume`, until stopped."""

    log = Logger()

    def __init__(
        self,
        identifier: bytes,
        clock: IReactorTime,
        backoff: Backoff,
        record: DialRecord,
        targets: Callable[[], list[Target]],
        dial: Callable[[Target], Awaitable[object]],
    ) -> None:
        self._identifier = identifier
        self._clock = clock
        self._backoff = backoff
        self._record = record
        self._targets = targets
        self._dial = dial
        self._timer: IDelayedCall | None = None
        self._dials: dict[Address, Deferred[None]] = {}
        self._starts: list[IDelayedCall] = []
        self._began = -FIRST_WAIT
        """When the last round began."""
        self._hints = Budget(HINTS_RATE, HINTS_BURST, clock.seconds())

    def start(self) -> None:
        """The person's word: dial now, and again until somebody is reached."""
        self._backoff.reset()
        self._rest()
        self._round()

    def resume(self) -> None:
        """What was reached is lost: dial again after a wait."""
        if self._timer is None:
            self._timer = self._clock.callLater(self._backoff.next(), self._round)

    def stop(self) -> None:
        """Dial no more; dials under way are given up."""
        self._rest()
        for dial in list(self._dials.values()):
            dial.cancel()

    def reached(self, address: Address | None) -> None:
        """The right key answered (there, if we dialled), and its hello came."""
        if address is not None:
            self._record.proved(self._identifier, address)
            if self._timer is not None:
                self._backoff.give_back()
        self.stop()

    def ended(self, lasted: float) -> None:
        """A link, on which their hello came so many seconds ago, is over."""
        self._backoff.ended(lasted)

    def hint(self) -> None:
        """Others say that they may be reached now: hurry, but not as often as that is said."""
        if self._timer is not None and self._hints.spend(self._clock.seconds()):
            self.hurry()

    def hurry(self) -> None:
        """There is reason to think that they can be reached now: wait no longer than the shortest wait."""
        if self._timer is not None:
            earliest = self._began + FIRST_WAIT
            self._timer.reset(max(0.0, min(self._timer.getTime(), earliest) - self._clock.seconds()))

    @property
    def dialling(self) -> bool:
        """Whether somebody is being looked for."""
        return self._timer is not None

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for start in self._starts:
            if start.active():
                start.cancel()
        self._starts = []

    def _round(self) -> None:
        self._starts = [start for start in self._starts if start.active()]
        self._began = self._clock.seconds()
        targets = self._to_dial()
        for place, target in enumerate(targets):
            self._starts.append(self._clock.callLater(place * STAGGER, self._start_dial, target))
        self._timer = self._clock.callLater(self._backoff.next() + STAGGER * len(targets), self._round)

    def _to_dial(self) -> list[Target]:
        try:
            return [
                target
                for target in self._targets()
                if target.address not in self._dials
                and (target.typed or self._record.may_try(self._identifier, target.address))
            ]
        except Exception:
            # A bug, but there must be a next round.
            self.log.failure("Looking where to dial failed")
            return []

    def _start_dial(self, target: Target) -> None:
        if target.address in self._dials:
            return
        dial: Deferred[None] = Deferred.fromCoroutine(self._try(target))
        self._dials[target.address] = dial
        dial.addBoth(lambda _: self._dials.pop(target.address, None))

    async def _try(self, target: Target) -> None:
        try:
            await self._dial(target)
        except Exception as error:
            why = str(error) or repr(error)
            self.log.debug("Dialling {address} failed: {error}", address=target.address, error=why)
