"""
What a peer's database needs after it was put together from damaged pages: every part fits the others again.

Entries carry a chain of heads, so that a flipped bit inside a text is found too, which SQLite does not notice. Where
entries of somebody else may be missing, our copy of that stream ends before the gap: its author sends the rest again,
and what is here already is known by its id. Streams of our own with a gap are named, for their rest has to move to a
new one (peer/recovery.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import apsw

from p2pchat.core.entries import author_in, conversation_in, conversation_of, first_head, judge, next_head
from p2pchat.core.identity import short_id
from p2pchat.storage.peer_tables import PeerTables, index_everything
from p2pchat.storage.query import changed, row, rows
from p2pchat.storage.recovery import Mending
from p2pchat.storage.salvage import Salvaged, drop_orphans

NO_NUMBER = (1 << 53) - 1


class Link(NamedTuple):
    """One entry in the chain of its stream."""

    entry: int
    seq: int
    head: bytes
    data: bytes | None
    """None if it was deleted here."""
    said: tuple[bytes, int, int, int, str]
    """Its id, number, lamport, time and kind, which stand in its bytes too."""


class Faults(NamedTuple):
    """What contradicts itself in a database that SQLite finds in order."""

    bad: list[int]
    """Entries whose bytes are not those that were stored."""
    heads: list[tuple[int, bytes]]
    """(entry, right head) where only the head is wrong."""
    said: list[tuple[int, bytes, int, int, int, str]]
    """(entry, id, number, lamport, time, kind) where only some of these are wrong."""


def faults_of(connection: apsw.Connection) -> Faults:
    """What of the entries contradicts the chain of heads, or the entry's own bytes."""
    found = Faults([], [], [])
    for stream, first, base in rows(connection, "SELECT stream, first, base FROM stream"):
        _look_through(_chain(connection, stream), first - 1, base, found)
    return found


def _look_through(links: Iterator[Link], seq: int, head: bytes, found: Faults) -> None:
    """One stream, behind (seq, head)."""
    link = next(links, None)
    while link is not None:
        following = next(links, None)
        right = next_head(head, link.data) if link.data is not None and link.seq == seq + 1 else link.head
        said = link.said if link.data is None else _said_in(link.data)
        if said is None or (right != link.head and not _follows(following, link.seq, right)):
            found.bad.append(link.entry)
            right = link.head
        elif right != link.head:
            found.heads.append((link.entry, right))
        elif said != link.said:
            found.said.append((link.entry, *said))
        seq, head, link = link.seq, right, following


def _said_in(data: bytes) -> tuple[bytes, int, int, int, str] | None:
    """What an entry says of itself; None if it cannot be read, and so was never stored like that."""
    judged = judge(data)
    return None if judged.refusal is not None else (judged.id, judged.number, judged.lamport, judged.time, judged.kind)


def _chain(connection: apsw.Connection, stream: int) -> Iterator[Link]:
    said = "id, number, lamport, written_at, kind"
    sql = f"SELECT entry, seq, head, bytes, {said} FROM entry WHERE stream = ? ORDER BY seq"
    for entry, seq, head, data, *rest in connection.execute(sql, (stream,)):
        yield Link(entry, seq, head, data, tuple(rest))


def _follows(link: Link | None, seq: int, head: bytes) -> bool:
    """Whether the next entry proves that this head is the right one."""
    return (
        link is not None and link.seq == seq + 1 and link.data is not None and next_head(head, link.data) == link.head
    )


def mending(me: bytes, now: int, finish: Callable[[PeerTables, list[int]], None]) -> Mending:
    """
    What a peer's database needs; `me` is our id.

    `finish` is called last with the tables and the streams of ours in which something may be missing.
    """

    def doubt(connection: apsw.Connection) -> str:
        return "what was said is not what was stored" if any(faults_of(connection)) else ""

    def mend(connection: apsw.Connection, result: Salvaged) -> dict[str, int]:
        damaged = _make_whole(connection, me, result, now)
        finish(PeerTables(connection), damaged)
        index_everything(connection)
        return {"entry": sum(last - first + 1 for first, last in lost_ranges(connection, result))}

    return Mending(doubt, mend)


def _make_whole(connection: apsw.Connection, me: bytes, result: Salvaged, now: int) -> list[int]:
    """Make the rows fit each other again; the streams of ours in which something may be missing."""
    _restore_streams(connection, result.streams)
    _restore_people(connection, me, now)
    result.damaged += _mend_entries(connection)
    drop_orphans(connection, result)
    changed(
        connection,
        "UPDATE conversation SET lamport = max(lamport, (SELECT coalesce(max(lamport), 0) FROM entry WHERE "
        "entry.conversation = conversation.conversation)), number = max(number, (SELECT coalesce(max(number), 0) FROM "
        "entry JOIN party ON party.party = entry.author WHERE entry.conversation = conversation.conversation AND "
        "party.peer = ?))",
        (me,),
    )
    return _cut_at_gaps(connection, me, lost_ranges(connection, result))


def _mend_entries(connection: apsw.Connection) -> int:
    """Put right what contradicts itself, and delete what cannot be; how many entries that were."""
    deleted, tried = 0, set[int]()
    while any(faults := faults_of(connection)):
        # What contradicts its bytes still, after those were taken for right, stands twice.
        bad = [*faults.bad, *(entry for entry, *_ in faults.said if entry in tried)]
        connection.executemany("DELETE FROM entry WHERE entry = ?", ((entry,) for entry in bad))
        connection.executemany("UPDATE entry SET head = ?2 WHERE entry = ?1", faults.heads)
        connection.executemany(
            "UPDATE OR IGNORE entry SET id = ?2, number = ?3, lamport = ?4, written_at = ?5, kind = ?6 "
            "WHERE entry = ?1",
            faults.said,
        )
        tried |= {entry for entry, *_ in faults.said}
        deleted += len(bad)
    return deleted


def lost_ranges(connection: apsw.Connection, result: Salvaged) -> list[tuple[int, int]]:
    """Arrival numbers of lost entries, as ranges: they are given without gaps, and never taken away."""
    numbers = [0, *(entry for (entry,) in connection.execute("SELECT entry FROM entry ORDER BY entry"))]
    found = [(before + 1, after - 1) for before, after in pairwise(numbers) if after > before + 1]
    newest = result.newest
    return [*found, (numbers[-1] + 1, newest)] if newest > numbers[-1] else found


def _restore_streams(connection: apsw.Connection, names: Mapping[int, bytes]) -> None:
    """Rows of streams of which only the names are left, from their entries: as far as those go."""
    known = {stream for (stream,) in rows(connection, "SELECT stream FROM stream")}
    for stream, name in sorted(names.items()):
        places = rows(
            connection,
            "SELECT conversation, author, seq, head FROM entry WHERE stream = ? ORDER BY seq",
            (stream,),
        )
        if stream in known or not places:
            continue
        conversation, author, seq, head = places[0]
        first, base = (1, first_head(name)) if seq == 1 else (seq + 1, head)
        changed(
            connection,
            "INSERT INTO stream (stream, conversation, author, name, first, base, seq, head, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'current')",
            (stream, conversation, author, name, first, base, *places[-1][2:]),
        )
    # Of those that we know no better of, an author goes on with the newest.
    connection.executemany(
        "UPDATE stream SET state = 'closed' WHERE stream = ?1 AND EXISTS (SELECT 1 FROM stream AS newer WHERE "
        "newer.stream > ?1 AND newer.conversation = stream.conversation AND newer.author = stream.author)",
        ((stream,) for stream in names.keys() - known),
    )


def _restore_people(connection: apsw.Connection, me: bytes, now: int) -> None:
    """Rows that follow from others: who wrote a stream, in which conversation, and with whom that is."""
    streams = rows(connection, "SELECT conversation, author, name FROM stream")
    for conversation, author, name in streams:
        changed(connection, "INSERT OR IGNORE INTO party (party, peer) VALUES (?, ?)", (author, author_in(name)))
        changed(
            connection,
            "INSERT OR IGNORE INTO conversation (conversation, id, number, lamport, open) VALUES (?, ?, 0, 0, 0)",
            (conversation, conversation_in(name)),
        )
    peers = {conversation_of(me, bytes(peer)): bytes(peer) for (peer,) in rows(connection, "SELECT peer FROM party")}
    peers |= {conversation_of(me, bytes(peer)): bytes(peer) for (peer,) in rows(connection, "SELECT peer FROM contact")}
    for conversation, wire in rows(connection, "SELECT conversation, id FROM conversation"):
        peer = peers.get(bytes(wire))
        if peer is None or peer == me:
            continue
        found = row(connection, "SELECT contact FROM contact WHERE peer = ?", (peer,))
        contact = found[0] if found else _add_contact(connection, peer, now)
        changed(connection, "UPDATE conversation SET contact = ? WHERE conversation = ?", (contact, conversation))


def _add_contact(connection: apsw.Connection, peer: bytes, now: int) -> int:
    """Somebody whose row is lost: met, and asked about anew."""
    changed(
        connection,
        "INSERT INTO contact (peer, petname, added_at, consent, classical, tells_seen, listed) "
        "VALUES (?, ?, ?, 'ask', 0, 1, 0)",
        (peer, short_id(peer), now),
    )
    return connection.last_insert_rowid()


def _cut_at_gaps(connection: apsw.Connection, me: bytes, lost: Sequence[tuple[int, int]]) -> list[int]:
    """End the streams of others before what may be missing; those of ours in which something may be."""
    own: list[int] = []
    sql = "SELECT stream, party.peer, first, base, seq FROM stream JOIN party ON party.party = author"
    for stream, author, first, base, seq in rows(connection, f"{sql} WHERE state = 'current'"):
        places = rows(connection, "SELECT seq, entry, head FROM entry WHERE stream = ? ORDER BY seq", (stream,))
        end = max([seq, *(place for place, _, _ in places)])
        gap = _first_gap([(first - 1, 0, base), *places], end, lost)
        if gap is None:
            continue
        if bytes(author) == me:
            changed(connection, "UPDATE stream SET seq = ? WHERE stream = ?", (end, stream))
            own.append(stream)
            continue
        changed(connection, "UPDATE stream SET seq = ?, head = ? WHERE stream = ?", (*gap, stream))
        changed(connection, "UPDATE vector SET seen = min(seen, ?) WHERE stream = ?", (gap[0], stream))
        changed(connection, "DELETE FROM refusal WHERE stream = ? AND seq > ?", (stream, gap[0]))
    return own


def _first_gap(
    places: Iterable[tuple[int, int, bytes]], end: int, lost: Sequence[tuple[int, int]]
) -> tuple[int, bytes] | None:
    """(seq, head) before the first place where a lost entry may have stood; None if there is none."""
    last = None
    for last, after in pairwise([*places, (end + 1, NO_NUMBER, b"")]):
        low, high = sorted((last[1], after[1]))
        missing = after[0] > last[0] + 1
        if missing and (after[1] == NO_NUMBER or any(first < high and low < until for first, until in lost)):
            return last[0], last[2]
    return None
