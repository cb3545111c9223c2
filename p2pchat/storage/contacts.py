"""Tables of the people: contacts, and the consent that stands for a while."""

from collections.abc import Iterator
from itertools import count
from typing import Any, Literal, NamedTuple

import apsw

from p2pchat.storage.query import Value, changed, row, rows

Consent = Literal["ask", "always"]
Scope = Literal["once", "timed"]


class Contact(NamedTuple):
    """One row of `contact`; times are wall-clock milliseconds."""

    contact: int
    peer: bytes
    key: bytes | None
    petname: str
    added_at: int
    consent: Consent
    verified_at: int | None
    blocked_at: int | None
    hybrid_at: int | None
    classical: bool
    tells_seen: bool
    listed: bool


class StandingConsent(NamedTuple):
    """One row of `consent`."""

    contact: int
    scope: Scope
    until: int


_COLUMNS = ", ".join(Contact._fields)


class Contacts:
    """Everybody whom the person added or met, each under a petname of their own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(
        self,
        peer: bytes,
        petname: str,
        added_at: int,
        *,
        listed: bool,
        key: bytes | None = None,
        consent: Consent = "ask",
    ) -> Contact:
        """
        Add a peer, or, with `listed`, list one that was only met; the row as it then is.

        One who is there keeps petname, consent and key, except that listing gives them `petname`. The petname is
        made unique (bob, bob-2); one who is listed gets it from one who was only met.
        """
        known = self.by_peer(peer)
        if known is None:
            changed(
                self._connection,
                "INSERT INTO contact (peer, key, petname, added_at, consent, classical, tells_seen, listed) "
                "VALUES (?, ?, ?, ?, ?, 0, 1, ?)",
                (peer, key, self._free_petname(petname, listed, None), added_at, consent, listed),
            )
            return self.get(self._connection.last_insert_rowid())
        if listed and not known.listed:
            return self.update(known._replace(petname=petname, listed=True, added_at=added_at))
        return known

    def get(self, contact: int) -> Contact:
        """The row. Raises `KeyError` if there is none."""
        found = self._one("contact = ?", contact)
        if found is None:
            raise KeyError(contact)
        return found

    def by_peer(self, peer: bytes) -> Contact | None:
        """The contact with this peer id."""
        return self._one("peer = ?", peer)

    def by_petname(self, petname: str) -> Contact | None:
        """The contact of this petname, capitals of ASCII regardless."""
        return self._one("petname = ?", petname)

    def all(self, *, listed_only: bool = False) -> list[Contact]:
        """All, in the order of their petnames."""
        where = "listed" if listed_only else "1"
        found = rows(self._connection, f"SELECT {_COLUMNS} FROM contact WHERE {where} ORDER BY petname")
        return [_contact(each) for each in found]

    def update(self, contact: Contact) -> Contact:
        """Store all of the row but its number and peer id; the petname is made unique. Raises `KeyError`."""
        petname = self._free_petname(contact.petname, contact.listed, contact.contact)
        number = changed(
            self._connection,
            "UPDATE contact SET key = ?, petname = ?, added_at = ?, consent = ?, verified_at = ?, blocked_at = ?, "
            "hybrid_at = ?, classical = ?, tells_seen = ?, listed = ? WHERE contact = ?",
            (contact.key, petname, *contact[4:], contact.contact),
        )
        if number == 0:
            raise KeyError(contact.contact)
        return contact._replace(petname=petname)

    def remove(self, contact: int) -> bool:
        """
        Forget that the person listed them; false if there is no such row.

        Nothing stands for them afterwards: no consent, no verification. The row itself stays where a conversation
        hangs on it, as of one who was only met; a block and the hybrid key agreement they had are remembered.
        """
        known = self._one("contact = ?", contact)
        if known is None:
            return False
        changed(self._connection, "DELETE FROM consent WHERE contact = ?", (contact,))
        used = row(self._connection, "SELECT 1 FROM conversation WHERE contact = ?", (contact,))
        if used is None and known.blocked_at is None:
            changed(self._connection, "DELETE FROM contact WHERE contact = ?", (contact,))
        else:
            self.update(unlisted(known))
        return True

    def _one(self, where: str, value: Value) -> Contact | None:
        found = row(self._connection, f"SELECT {_COLUMNS} FROM contact WHERE {where}", (value,))
        return None if found is None else _contact(found)

    def _free_petname(self, wanted: str, listed: bool, contact: int | None) -> str:
        """`wanted`, or the first of wanted-2, wanted-3 ... that nobody else has or must give way with."""
        for name in _variants(wanted):
            owner = self.by_petname(name)
            if owner is None or owner.contact == contact:
                return name
            if listed and not owner.listed:
                self._give_way(owner, wanted)
                return name
        raise AssertionError("unreachable: the variants do not end")

    def _give_way(self, owner: Contact, name: str) -> None:
        free = next(other for other in _variants(name) if self.by_petname(other) is None)
        changed(self._connection, "UPDATE contact SET petname = ? WHERE contact = ?", (free, owner.contact))


class Consents:
    """Consent that stands until a time: for once, or for some hours."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def put(self, contact: int, scope: Scope, until: int) -> None:
        """Store it in place of what stood for this contact."""
        changed(self._connection, "INSERT OR REPLACE INTO consent VALUES (?, ?, ?)", (contact, scope, until))

    def get(self, contact: int) -> StandingConsent | None:
        """What stands, run out or not."""
        found = row(self._connection, "SELECT contact, scope, until FROM consent WHERE contact = ?", (contact,))
        return None if found is None else StandingConsent(*found)

    def all(self) -> list[StandingConsent]:
        """Everything that stands."""
        found = rows(self._connection, "SELECT contact, scope, until FROM consent ORDER BY contact")
        return [StandingConsent(*each) for each in found]

    def delete(self, contact: int) -> bool:
        """Take it back; false if none stood."""
        return changed(self._connection, "DELETE FROM consent WHERE contact = ?", (contact,)) > 0

    def expire(self, now: int) -> list[StandingConsent]:
        """Delete what is over by `now` (wall-clock milliseconds), and return it."""
        over = [each for each in self.all() if each.until <= now]
        for each in over:
            self.delete(each.contact)
        return over


def unlisted(contact: Contact) -> Contact:
    """The row of one who is kept as a contact no longer: nothing stands for them."""
    return contact._replace(consent="ask", verified_at=None, classical=False, listed=False)


def _contact(found: tuple[Any, ...]) -> Contact:
    return Contact._make((*found[:9], *map(bool, found[9:])))


def _variants(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"
