"""
What one of the two says that does not fit what the other wrote: how often that is acted on, and what people are told.

A database that was lost, or an older backup in its place, puts in doubt what was written, once or twice. Who makes it
up could do so on every link: then we would begin stream after stream, and tell doubt after doubt, for ever. What
exceeds the bound is not acted on, and nothing is lost by it.
"""

from collections.abc import Callable, Sequence

from ..api import Doubt, Person, Problem
from ..core.budget import Budget
from ..core.errors import EndCode
from .environment import Environment
from .receipts import Stored
from .selected import ChatLink
from .settlement import LOST_THERE, RESET, ROLLED_BACK, Settlement

DOUBTS_RATE, DOUBTS_BURST = 1 / 3600, 8.0
"""How often one far side may put something in doubt: so many times a second, and at once."""

TOO_OFTEN = (
    "{name} keeps on saying that they have, or lack, what does not fit what was sent to them: links with them are "
    "ended but for one in an hour, and what waits for them is kept; ask them about their disk, or /block {name}"
)


class Doubts:
    """Of one conversation: doubts about what we wrote, and about what the far side wrote."""

    def __init__(self, environment: Environment, person: Callable[[], Person]) -> None:
        now = environment.clock.seconds()
        self._environment = environment
        self._person = person
        self._ours = Budget(DOUBTS_RATE, DOUBTS_BURST, now)
        self._theirs = Budget(DOUBTS_RATE, DOUBTS_BURST, now)
        self._told_reset = False
        self._told_too_often = False

    # --- ours

    @property
    def may_come(self) -> bool:
        """Whether what we wrote may be put in doubt now."""
        return self._ours.has(self._environment.clock.seconds())

    def settled(self, settlement: Settlement, now: int) -> None:
        """Link-up was settled: tell what is in doubt."""
        if settlement.repeated and self._told_reset:
            return
        if settlement.doubts and not settlement.repeated:
            self._ours.spend(self._environment.clock.seconds())
            self._told_too_often = False
        for first, last, explanation in settlement.doubts:
            self._told_reset = self._told_reset or explanation in (RESET, ROLLED_BACK)
            self.tell(first, last, explanation, explanation == LOST_THERE, now)

    def refuse(self, link: ChatLink) -> None:
        """What we wrote would come into doubt once more, and must not now: end the link; nothing was changed."""
        if not self._told_too_often:
            self._told_too_often = True
            self._environment.emit(Problem(text=TOO_OFTEN.format(name=self._person().name)))
        link.close(EndCode.RATE, "too often another history")

    def tell(self, first: int, last: int, explanation: str, waits: bool, now: int) -> None:
        """Tell the person which of our messages the far side may lack."""
        person = self._person()
        self._environment.emit(
            Doubt(person=person, mine=True, first=first, last=last, explanation=explanation, waits=waits, at=now)
        )

    # --- theirs

    def may_tell(self, stored: Sequence[Stored]) -> bool:
        """Whether what is in doubt by these entries, which are here, is told: each may replace one more stream."""
        return all(each.doubt is None for each in stored) or self._theirs.spend(self._environment.clock.seconds())
