"""
What becomes of a contact's row: each change a pure function of the row that is stored when its turn comes.

So of two changes that are on their way to the disk at once neither undoes the other.
"""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import NamedTuple

from ..core.identity import compact_id
from ..storage.contacts import Contact

Change = Callable[[Contact], Contact]
"""The row as it will be, for the row as it is."""


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
