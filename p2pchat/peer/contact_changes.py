"""
What becomes of a contact's row: each change a pure function of the row that is stored when its turn comes.

So of two changes that are on their way to the disk at once neither undoes the other. What was taken back, and is not
stored yet, is kept until it is (`Unstored`).
"""

from collections.abc import Callable, Iterable
from functools import reduce
from itertools import count
from typing import NamedTuple

from ..core.identity import compact_id
from ..storage.contacts import Contact
from ..storage.peer_tables import PeerTables

Change = Callable[[Contact], Contact]
"""The row as it will be, for the row as it is."""

Step = Callable[[PeerTables, Contact], object]
"""What is done about somebody, whose row is given, in a transaction; done twice it is as if done once."""


class Met(NamedTuple):
    """What is learnt of somebody by meeting them."""

    key: bytes | None = None
    handle: str = ""
    hybrid: bool = False


NOTHING = Met()


def unknown(identifier: bytes) -> Contact:
    """What stands for a stranger: nothing."""
    return Contact(0, identifier, None, "", 0, "ask", None, None, None, False, True, False)


def changed(row: Contact, changes: Iterable[Change]) -> Contact:
    """The row after all of them, in their order."""
    return reduce(lambda before, change: change(before), changes, row)


def learning(met: Met, name: str, wall: int) -> Change:
    """Somebody is met; who was known by the id alone is called `name`, if that is one."""

    def learn(row: Contact) -> Contact:
        nameless = not row.listed and row.petname == compact_id(row.peer)[:16]
        return row._replace(
            key=row.key or met.key,
            petname=name if name and nameless else row.petname,
            hybrid_at=row.hybrid_at or (wall if met.hybrid else None),
        )

    return learn


def listing(petname: str, wall: int) -> Change:
    """Somebody is kept as a contact whose requests are accepted, under `petname` if one is given."""
    return lambda row: row._replace(
        petname=petname or row.petname,
        added_at=row.added_at if row.listed else wall,
        consent="always",
        listed=True,
    )


def blocking(wall: int) -> Change:
    """Somebody is let in no more."""
    return lambda row: row._replace(blocked_at=wall, consent="ask")


def unblocking(row: Contact) -> Contact:
    """They may ask again."""
    return row._replace(blocked_at=None)


def accepting_always(row: Contact) -> Contact:
    """Their requests are accepted, and they are a contact."""
    return row._replace(consent="always", listed=True)


def verifying(at: int | None) -> Change:
    """The digits were compared at this time; None: that is taken back."""
    return lambda row: row._replace(verified_at=at, listed=True)


def trusting(classical: bool) -> Change:
    """They are a contact, and may come without what they could do before if that was said once."""
    return lambda row: row._replace(listed=True, classical=row.classical or classical)


class Unstored:
    """
    What was taken back and is not stored: it lies over the row, and goes with each write.

    What is said about the same one after it goes with it: else a write would bring back, behind that, what it undid.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._changes: dict[bytes, dict[int, Change]] = {}
        self._steps: dict[bytes, dict[int, Step]] = {}

    def __contains__(self, identifier: bytes) -> bool:
        return identifier in self._changes

    def over(self, row: Contact) -> Contact:
        """The row with what was taken back."""
        return changed(row, self._changes.get(row.peer, {}).values())

    def take_back(self, identifier: bytes, change: Change | None) -> None:
        """Nothing stands for somebody any more; with a change, that is held until it is stored."""

        def step(tables: PeerTables, row: Contact) -> None:
            tables.consents.delete(row.contact)
            if change is not None:
                tables.contacts.update(change(row))

        number = next(self._numbers)
        if change is not None:
            self._changes.setdefault(identifier, {})[number] = change
        self._note(identifier, number, step)

    def say(self, identifier: bytes, step: Step) -> int:
        """Something else is said, whose write is under way; its number."""
        number = next(self._numbers)
        self._note(identifier, number, step)
        return number

    def _note(self, identifier: bytes, number: int, step: Step) -> None:
        if identifier in self:
            self._steps.setdefault(identifier, {})[number] = step

    def steps(self, identifier: bytes) -> dict[int, Step]:
        """What goes with a write, by its number, in the order in which it was said."""
        return dict(self._steps.get(identifier, {}))

    def forget(self, identifier: bytes, numbers: Iterable[int]) -> None:
        """These are stored, or will never be."""
        for number in numbers:
            self._changes.get(identifier, {}).pop(number, None)
            self._steps.get(identifier, {}).pop(number, None)
        if not self._changes.get(identifier):
            self._changes.pop(identifier, None)
            self._steps.pop(identifier, None)
