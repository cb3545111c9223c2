"""The server's tables, by noun: `database.write(lambda tables: tables.handles.claim(...))`."""

from typing import Literal, NamedTuple

import apsw

from p2pchat.storage.health import Integrity
from p2pchat.storage.query import changed, row, rows
from p2pchat.storage.schema import Schema
from p2pchat.storage.settings import Settings

HANDLE_KEPT = 90 * 24 * 3600 * 1000
"""
Milliseconds that a handle belongs to its key after that was last seen (design: names at a server).

They are milliseconds in which the server ran: while it does not, nobody can come, and a wall clock that jumps would
give everybody's names away.
"""

RAN_SETTING = "ran"
"""The setting that holds the milliseconds that the server has run, in all its runs."""

BanKind = Literal["peer", "network"]


class Handle(NamedTuple):
    """One row of `handle` with what `tenure` knows of it."""

    handle: str
    peer: bytes
    claimed_at: int
    """Wall clock, ms; for showing, as the next."""
    seen_at: int
    seen: int | None
    """What the server had run (ms) when the owner was last registered under it; None: not known, so just now."""
    held: int
    """For how many of these milliseconds the owner was registered under it."""


class Ban(NamedTuple):
    """One row of `ban`."""

    kind: BanKind
    subject: str
    reason: str
    banned_at: int
    until: int | None


class Invitation(NamedTuple):
    """One row of `invitation`; `token` is the SHA-256 of the secret."""

    token: bytes
    note: str
    uses: int
    made_at: int
    until: int


_HANDLE = (
    "SELECT handle, peer, claimed_at, seen_at, seen, coalesce(held, 0) FROM handle LEFT JOIN tenure USING (handle)"
)
_BAN = "SELECT kind, subject, reason, banned_at, until FROM ban"
_INVITATION = "SELECT token, note, uses, made_at, until FROM invitation"


class Handles:
    """Names, and the keys that own them; `now` is the wall clock, `ran` what the server has run, both in ms."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._settings = Settings(connection)

    def ran(self) -> int:
        """What the server has run in all its runs, as it was noted last."""
        return int.from_bytes(self._settings.get(RAN_SETTING) or b"", "big")

    def set_ran(self, ran: int) -> None:
        """Note what the server has run."""
        self._settings.set(RAN_SETTING, ran.to_bytes(8, "big"))

    def claim(self, handle: str, peer: bytes, now: int, ran: int, keep: int = HANDLE_KEPT) -> bool:
        """
        Give the handle to the peer, if it is not its own already; false if it is another's.

        It is another's until that one was not seen while the server ran for `keep` milliseconds.
        """
        owner = self.owner(handle)
        if owner is not None and owner.peer == peer:
            return True
        if owner is not None and (owner.seen is None or owner.seen + keep > ran):
            return False
        changed(
            self._connection,
            "INSERT OR REPLACE INTO handle (handle, peer, claimed_at, seen_at) VALUES (?, ?, ?, ?)",
            (handle, peer, now, now),
        )
        changed(
            self._connection,
            "INSERT OR REPLACE INTO tenure (handle, seen, held) VALUES (?, ?, 0)",
            (handle, ran),
        )
        return True

    def owner(self, handle: str) -> Handle | None:
        """Who has it, or had it last."""
        found = row(self._connection, f"{_HANDLE} WHERE handle = ?", (handle,))
        return None if found is None else Handle(*found)

    def of_peer(self, peer: bytes) -> list[Handle]:
        """All that a peer has, the one seen last first."""
        found = rows(self._connection, f"{_HANDLE} WHERE peer = ? ORDER BY seen DESC, handle", (peer,))
        return [Handle(*each) for each in found]

    def all(self) -> list[Handle]:
        """All, by name."""
        return [Handle(*each) for each in rows(self._connection, f"{_HANDLE} ORDER BY handle")]

    def seen(self, handle: str, peer: bytes, now: int, ran: int, held: int) -> bool:
        """The owner was registered under it, last at `ran`, and `held` milliseconds in all; false if it is not its."""
        parameters = (now, handle, peer)
        if changed(self._connection, "UPDATE handle SET seen_at = ? WHERE handle = ? AND peer = ?", parameters) == 0:
            return False
        changed(
            self._connection,
            "INSERT OR REPLACE INTO tenure (handle, seen, held) VALUES (?, ?, ?)",
            (handle, ran, held),
        )
        return True

    def release(self, handle: str, peer: bytes) -> bool:
        """Let it go, if it is this peer's; whether it was."""
        return changed(self._connection, "DELETE FROM handle WHERE handle = ? AND peer = ?", (handle, peer)) > 0


class Bans:
    """Who is not admitted."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def put(self, ban: Ban) -> None:
        """Store it in place of one of the same subject."""
        changed(
            self._connection,
            "INSERT OR REPLACE INTO ban (kind, subject, reason, banned_at, until) VALUES (?, ?, ?, ?, ?)",
            ban,
        )

    def get(self, kind: BanKind, subject: str, now: int) -> Ban | None:
        """The ban of a subject that is in force."""
        found = row(
            self._connection,
            f"{_BAN} WHERE kind = ? AND subject = ? AND (until IS NULL OR until > ?)",
            (kind, subject, now),
        )
        return None if found is None else Ban(*found)

    def all(self, now: int) -> list[Ban]:
        """All that are in force."""
        found = rows(self._connection, f"{_BAN} WHERE until IS NULL OR until > ? ORDER BY kind, subject", (now,))
        return [Ban(*each) for each in found]

    def lift(self, kind: BanKind, subject: str) -> bool:
        """Take it back; false if there was none."""
        return changed(self._connection, "DELETE FROM ban WHERE kind = ? AND subject = ?", (kind, subject)) > 0

    def expire(self, now: int) -> int:
        """Delete those that are over; how many."""
        return changed(self._connection, "DELETE FROM ban WHERE until <= ?", (now,))


class Invitations:
    """What admits from outside the private networks, and who came in with it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, invitation: Invitation) -> None:
        """Store a new one."""
        changed(
            self._connection,
            "INSERT INTO invitation (token, note, uses, made_at, until) VALUES (?, ?, ?, ?, ?)",
            invitation,
        )

    def all(self, now: int) -> list[Invitation]:
        """Those that can still be used."""
        found = rows(self._connection, f"{_INVITATION} WHERE uses > 0 AND until > ? ORDER BY made_at, token", (now,))
        return [Invitation(*each) for each in found]

    def use(self, token: bytes, peer: bytes, now: int) -> bool:
        """Admit the peer with it, which takes one of its uses; a guest of before needs none. Whether admitted."""
        if self.is_guest(peer):
            return True
        if (
            changed(
                self._connection,
                "UPDATE invitation SET uses = uses - 1 WHERE token = ? AND uses > 0 AND until > ?",
                (token, now),
            )
            == 0
        ):
            return False
        changed(self._connection, "INSERT INTO guest (peer, token, admitted_at) VALUES (?, ?, ?)", (peer, token, now))
        return True

    def is_guest(self, peer: bytes) -> bool:
        """Whether the peer came in with an invitation before."""
        return row(self._connection, "SELECT 1 FROM guest WHERE peer = ?", (peer,)) is not None

    def withdraw(self, token: bytes) -> bool:
        """Delete it, and with it whom it brought; false if there is none."""
        changed(self._connection, "DELETE FROM guest WHERE token = ?", (token,))
        return changed(self._connection, "DELETE FROM invitation WHERE token = ?", (token,)) > 0

    def expire(self, now: int) -> int:
        """Delete those that are over or used up (their guests stay); how many."""
        return changed(self._connection, "DELETE FROM invitation WHERE until <= ? OR uses = 0", (now,))


class ServerTables:
    """Typed, synchronous access to a server's database over one connection; see `PeerTables`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.integrity = Integrity(connection)
        self.settings = Settings(connection)
        self.handles = Handles(connection)
        self.bans = Bans(connection)
        self.invitations = Invitations(connection)


SERVER_SCHEMA = Schema("server", int.from_bytes(b"p2pS"), 2, ServerTables)
"""The database of a server: storage/server-2.sql."""
