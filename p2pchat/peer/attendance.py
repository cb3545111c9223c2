"""
Whether anybody is there to be asked about a request to chat; and what is told later of those who came meanwhile.

Where the person never said what happens to requests, that depends on the moment: a terminal may be attached to a peer
that was started in the background, and leave it again.
"""

import time

from twisted.logger import Logger

from ..api import Person, Problem
from ..core.budget import Budget
from ..core.identity import short_id
from ..core.trust import Policy
from .environment import Environment
from .people import People

MOST_REFUSED = 10
"""Who is told of later; more would be no news, and anybody can come."""

LINES_RATE = MOST_REFUSED / 60.0
"""Lines in the log a second, and as many at once as are told of later: anybody can come, and often."""


class Attendance:
    """What happens to requests: as the person `chose`, or where they never did (None) as the moment asks for."""

    log = Logger()

    def __init__(self, environment: Environment, people: People, chosen: Policy | None) -> None:
        self._environment = environment
        self._people = people
        self._chosen = chosen
        self._lines = Budget(LINES_RATE, MOST_REFUSED, environment.clock.seconds())
        self._refused: dict[bytes, tuple[str, int]] = {}
        """Who was refused while nobody was there: what they were called then, and when; the newest last."""

    @property
    def policy(self) -> Policy:
        """The policy of this moment."""
        if self._chosen is not None:
            return self._chosen
        return Policy.ASK if self._environment.attended() else Policy.CONTACTS

    def refused(self, identifier: bytes) -> None:
        """Somebody is refused now; it is remembered if nobody was there to be asked."""
        if self._chosen is not None or self._environment.attended():
            return
        person = self._people.person(identifier)
        self._refused.pop(identifier, None)
        self._refused[identifier] = person.name, self._environment.wall()
        if len(self._refused) > MOST_REFUSED:
            del self._refused[self._least()]
        if self._lines.spend(self._environment.clock.seconds()):
            self.log.info(
                "{id} ({name!r}) asked to chat and was refused: nobody is here", id=person.id, name=person.name
            )

    def _least(self) -> bytes:
        """The oldest stranger: nobody who is known gives way to keys that cost nothing."""
        strangers = (each for each in self._refused if self._people.contact(each) is None)
        return next(strangers, next(iter(self._refused)))

    def tell(self) -> None:
        """Somebody came: tell them who was refused, once."""
        refused, self._refused = self._refused, {}
        for identifier, (name, at) in refused.items():
            self._environment.emit(Problem(text=_refusal(identifier, name, self._people.person(identifier), at)))


def _refusal(identifier: bytes, name: str, person: Person, at: int) -> str:
    # A name on a roster is known to /connect; of anybody else only the id is.
    typed = person.name if person.online or person.last_known else person.id
    moment = time.strftime("%H:%M on %d %B", time.localtime(at / 1000))
    who = f"{name} ({short_id(identifier)})"
    return f"{who} asked to chat at {moment} and was refused, since nobody was here: /connect {typed}"
