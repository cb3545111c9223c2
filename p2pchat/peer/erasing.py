"""
The note of what is being deleted and not gone yet: stored with the first deletion, dropped when no trace is left.

A process may end in between. So the next one finds in the store itself that texts are to be deleted still, or lie in
the WAL, in pieces of the index, or in the copy that an upgrade made.

Functions over the tables, run inside an operation of the store.
"""

import msgspec

from ..storage.peer_tables import PeerTables

ERASING_SETTING = "erasing"
"""The setting that holds the note, in JSON; there is none while nothing is being deleted."""


class Erasing(msgspec.Struct, frozen=True):
    """What is not gone yet."""

    chats: tuple[tuple[bytes, int], ...] = ()
    """Conversations of which all is deleted, by their ids on the wire: up to which arrival number."""


def noted(tables: PeerTables) -> Erasing | None:
    """The note; None if nothing is being deleted. One that cannot be read still says that traces may be left."""
    data = tables.settings.get(ERASING_SETTING)
    try:
        return None if data is None else msgspec.json.decode(data, type=Erasing)
    except (msgspec.MsgspecError, ValueError):
        return Erasing()


def note(tables: PeerTables, *chats: tuple[bytes, int]) -> None:
    """Note that something is deleted: all of a conversation up to an arrival number, or else what is too old."""
    known = dict((noted(tables) or Erasing()).chats)
    known.update((wire, max(until, known.get(wire, 0))) for wire, until in chats)
    tables.settings.set(ERASING_SETTING, msgspec.json.encode(Erasing(tuple(known.items()))))


def gone(tables: PeerTables, done: Erasing) -> None:
    """No trace is left of what was noted before; what was noted since is to be deleted still."""
    if noted(tables) == done:
        tables.settings.delete(ERASING_SETTING)
