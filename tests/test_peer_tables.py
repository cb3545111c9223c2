"""p2pchat.storage.peer_tables and the modules of its tables."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import apsw
from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.storage.conversations import Stream
from p2pchat.storage.database import Database
from p2pchat.storage.entries import NewEntry, Place, StoredEntry
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA, PeerTables
from p2pchat.storage.servers import Record
from p2pchat.storage.vectors import Refusal, Vector

ResultT = TypeVar("ResultT")

ME, BOB, CAROL, SERVER = (letter * 32 for letter in (b"m", b"b", b"c", b"s"))
STORE = b"o" * 16


def head(seq: int) -> bytes:
    return b"h" * 28 + seq.to_bytes(4, "big")


def new(seq: int, *, id: bytes | None = None, size: int = 10, number: int | None = None, lamport: int = 0) -> NewEntry:
    return NewEntry(
        seq=seq,
        head=head(seq),
        id=id or b"i" * 12 + seq.to_bytes(4, "big"),
        number=seq if number is None else number,
        lamport=lamport or seq,
        written_at=1_000 + seq,
        arrived_at=2_000 + seq,
        kind="text",
        auth="link",
        history=False,
        bytes=b"x" * size,
    )


class TablesTestCase(SynchronousTestCase):
    """The tables of a fresh database, used directly."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.database = Database(Path(temporary.name) / "peer.db", PEER_SCHEMA, InlineExecutor())
        self.successResultOf(self.database.open())
        self.addCleanup(self.database.close)
        found: list[PeerTables] = []
        self.do(found.append)
        self.tables = found[0]

    def do(self, operation: Callable[[PeerTables], ResultT]) -> ResultT:
        """Commit an operation."""
        result: ResultT = self.successResultOf(self.database.write(operation))
        return result

    def bob(self) -> int:
        return self.tables.contacts.add(BOB, "bob", 1, listed=True).contact

    def stream(
        self, author: bytes = ME, conversation: bytes = b"k" * 32, first: int = 1, suffix: bytes = b"1"
    ) -> Stream:
        number = self.tables.conversations.open_for(self.bob(), conversation).conversation
        name = (conversation + author + suffix * 16)[:80]
        return self.tables.streams.create(number, author, name, first, head(first - 1))


class ThroughTheDatabase(TablesTestCase):
    """The way that everything else goes."""

    def test_write_and_read(self) -> None:
        """What an operation stores, a later one reads; values that are returned may be kept."""
        contact = self.do(lambda tables: tables.contacts.add(BOB, "bob", 5, listed=True))
        found = self.successResultOf(self.database.read(lambda tables: tables.contacts.by_peer(BOB)))
        self.assertEqual(found, contact)

    def test_every_column_has_a_comment_or_a_plain_name(self) -> None:
        """Every table of the schema is strict, and said what for."""
        script = PEER_SCHEMA.script()
        tables = script.count("CREATE TABLE")
        self.assertEqual(script.count(") STRICT"), tables)
        connection = apsw.Connection(":memory:")
        connection.execute(script)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        self.assertEqual(len([name for name in names if not name.startswith("search")]), tables)
        connection.close()

    def test_keys_use_an_index(self) -> None:
        """No question that is asked for each message reads a whole table."""
        questions = [
            "SELECT * FROM entry WHERE stream = 1 AND seq >= 1 ORDER BY seq",
            "SELECT * FROM entry WHERE author = 1 AND id = x''",
            "SELECT * FROM entry WHERE conversation = 1 AND entry < 9 ORDER BY entry DESC",
            "SELECT * FROM entry WHERE conversation = 1 AND author = 1 AND number = 1 ORDER BY entry",
            "SELECT * FROM entry WHERE conversation = 1 ORDER BY lamport DESC",
            "SELECT * FROM stream WHERE conversation = 1",
            "SELECT * FROM conversation WHERE contact = 1",
            "SELECT * FROM vector WHERE stream = 1 AND reader = 1",
        ]
        connection = apsw.Connection(":memory:")
        connection.execute(PEER_SCHEMA.script())
        for question in questions:
            for *_, plan in connection.execute(f"EXPLAIN QUERY PLAN {question}"):
                self.assertTrue(plan.startswith("SEARCH"), f"{question}: {plan}")
        connection.close()


class SettingsTest(TablesTestCase):
    """tables.settings"""

    def test_settings(self) -> None:
        """A setting is absent, set, set again, dropped."""
        self.assertIsNone(self.tables.settings.get("store"))
        self.tables.settings.set("store", b"1")
        self.tables.settings.set("store", b"2")
        self.assertEqual(self.tables.settings.get("store"), b"2")
        self.assertTrue(self.tables.settings.delete("store"))
        self.assertFalse(self.tables.settings.delete("store"))

    def test_once(self) -> None:
        """What is set once stays: the id of the store."""
        self.assertEqual(self.tables.settings.set_once("store", STORE), STORE)
        self.assertEqual(self.tables.settings.set_once("store", b"other"), STORE)


class ContactsTest(TablesTestCase):
    """tables.contacts"""

    def test_add(self) -> None:
        """A new contact asks before it chats, is neither verified nor blocked, and is told what was seen."""
        contact = self.tables.contacts.add(BOB, "bob", 5, listed=True, key=b"spki")
        self.assertEqual(
            contact._replace(contact=0), (0, BOB, b"spki", "bob", 5, "ask", *[None] * 3, False, True, True)
        )
        self.assertEqual(self.tables.contacts.get(contact.contact), contact)
        self.assertIs(contact.listed, True)
        self.assertRaises(KeyError, self.tables.contacts.get, contact.contact + 1)

    def test_petnames_are_unique(self) -> None:
        """Somebody else of the same name, capitals or not, gets a number behind it, and never the name."""
        add = self.tables.contacts.add
        names = [
            add(bytes([n]) * 32, name, 1, listed=True).petname for n, name in enumerate(("bob", "bob", "BOB", "bob-2"))
        ]
        self.assertEqual(names, ["bob", "bob-2", "BOB-3", "bob-2-2"])
        found = self.tables.contacts.by_petname("Bob")
        assert found is not None
        self.assertEqual(found.peer, bytes(32))

    def test_a_stranger_gives_way(self) -> None:
        """One whom the person lists gets the name from one who was only met, never the other way round."""
        add = self.tables.contacts.add
        stranger = add(CAROL, "bob", 1, listed=False)
        bob = add(BOB, "bob", 2, listed=True)
        self.assertEqual((bob.petname, self.tables.contacts.get(stranger.contact).petname), ("bob", "bob-2"))
        self.assertEqual(add(SERVER, "bob", 3, listed=False).petname, "bob-3")

    def test_listing_somebody_met(self) -> None:
        """One who was met becomes listed by being added; adding again changes nothing."""
        add = self.tables.contacts.add
        met = add(BOB, "somebody", 1, listed=False, key=b"spki")
        listed = add(BOB, "bob", 2, listed=True)
        self.assertEqual(listed, met._replace(petname="bob", listed=True, added_at=2))
        self.assertEqual(add(BOB, "other", 3, listed=True), listed)
        self.assertEqual(add(BOB, "other", 3, listed=False), listed)

    def test_update(self) -> None:
        """A row is stored as given, but its petname stays unique and its number and peer id stay."""
        bob = self.tables.contacts.get(self.bob())
        self.tables.contacts.add(CAROL, "carol", 1, listed=True)
        changed = bob._replace(
            petname="carol", consent="always", verified_at=1, blocked_at=2, hybrid_at=3, classical=True,
            tells_seen=False, listed=False, key=b"k", added_at=9,
        )  # fmt: skip
        stored = self.tables.contacts.update(changed)
        self.assertEqual(stored, changed._replace(petname="carol-2"))
        self.assertEqual(self.tables.contacts.get(bob.contact), stored)
        self.assertEqual(self.tables.contacts.update(stored), stored)
        self.assertRaises(KeyError, self.tables.contacts.update, stored._replace(contact=99))

    def test_all(self) -> None:
        """All, or those who are listed, by petname."""
        self.bob()
        self.tables.contacts.add(CAROL, "Anna", 1, listed=False)
        self.assertEqual([each.petname for each in self.tables.contacts.all()], ["Anna", "bob"])
        self.assertEqual([each.petname for each in self.tables.contacts.all(listed_only=True)], ["bob"])

    def test_remove(self) -> None:
        """One with whom nothing was said is gone, with the consent."""
        bob = self.bob()
        self.tables.consents.put(bob, "once", 9)
        self.assertTrue(self.tables.contacts.remove(bob))
        self.assertFalse(self.tables.contacts.remove(bob))
        self.assertEqual((self.tables.contacts.all(), self.tables.consents.all()), ([], []))

    def test_remove_with_conversation(self) -> None:
        """One with whom something was said stays as a stranger for whom nothing stands; the hybrid is remembered."""
        bob = self.bob()
        self.tables.conversations.open_for(bob, b"k" * 32)
        row = self.tables.contacts.get(bob)
        self.tables.contacts.update(row._replace(consent="always", verified_at=1, hybrid_at=2, classical=True))
        self.assertTrue(self.tables.contacts.remove(bob))
        self.assertEqual(self.tables.contacts.get(bob), row._replace(hybrid_at=2, listed=False))

    def test_remove_blocked(self) -> None:
        """Removing somebody does not lift a block."""
        bob = self.bob()
        self.tables.contacts.update(self.tables.contacts.get(bob)._replace(blocked_at=7))
        self.tables.contacts.remove(bob)
        self.assertEqual(self.tables.contacts.get(bob).blocked_at, 7)

    @given(strategies.lists(strategies.tuples(strategies.sampled_from("ab"), strategies.booleans()), max_size=12))
    @settings(max_examples=40, deadline=None)
    def test_any_order(self, additions: list[tuple[str, bool]]) -> None:
        """In whatever order people are met and listed: one row each, and no listed one loses a name."""
        for contact in self.tables.contacts.all():
            self.tables.contacts.remove(contact.contact)
        listed: dict[int, str] = {}
        for number, (name, is_listed) in enumerate(additions):
            added = self.tables.contacts.add(bytes([number]) * 32, name, 1, listed=is_listed)
            if is_listed:
                listed[added.contact] = added.petname
        self.assertEqual(len(self.tables.contacts.all()), len(additions))
        for number, petname in listed.items():
            self.assertEqual(self.tables.contacts.get(number).petname, petname)


class ConsentsTest(TablesTestCase):
    """tables.consents"""

    def test_consents(self) -> None:
        """Consent stands, is replaced, and is taken back."""
        bob = self.bob()
        self.assertIsNone(self.tables.consents.get(bob))
        self.tables.consents.put(bob, "once", 10)
        self.tables.consents.put(bob, "timed", 20)
        self.assertEqual(self.tables.consents.get(bob), (bob, "timed", 20))
        self.assertTrue(self.tables.consents.delete(bob))
        self.assertFalse(self.tables.consents.delete(bob))

    def test_expire(self) -> None:
        """What is over goes, and is told; what is not stays."""
        bob, carol = self.bob(), self.tables.contacts.add(CAROL, "carol", 1, listed=True).contact
        self.tables.consents.put(bob, "once", 10)
        self.tables.consents.put(carol, "once", 11)
        self.assertEqual(self.tables.consents.expire(9), [])
        self.assertEqual(self.tables.consents.expire(10), [(bob, "once", 10)])
        self.assertEqual(self.tables.consents.all(), [(carol, "once", 11)])

    def test_of_nobody(self) -> None:
        """Consent is somebody's."""
        self.assertRaises(apsw.ConstraintError, self.tables.consents.put, 99, "once", 1)


class ServersTest(TablesTestCase):
    """tables.servers and tables.records"""

    def test_servers(self) -> None:
        """A server is added once; joined again, it keeps counter and trust and gets the new place and handle."""
        servers = self.tables.servers
        first = servers.add(SERVER, "lab", 8888, "certified", "bob", 1)
        self.assertEqual(servers.raise_counter(SERVER, 50), 50)
        self.assertEqual(servers.raise_counter(SERVER, 40), 50)
        again = servers.add(SERVER, "10.0.0.7", 8889, "pinned", "robert", 2, b"spki")
        self.assertEqual(again, (first.server, SERVER, b"spki", "10.0.0.7", 8889, "certified", "robert", 50, 1))
        self.assertEqual(servers.add(SERVER, "lab", 8888, "pinned", "bob", 3).key, b"spki")
        servers.update(again._replace(trust="pinned"))
        self.assertEqual(servers.all(), [again._replace(trust="pinned")])
        self.assertRaises(KeyError, servers.update, again._replace(server=9))
        self.assertRaises(KeyError, servers.raise_counter, BOB, 1)

    def test_remove(self) -> None:
        """A server goes with its records, and no others."""
        self.tables.servers.add(SERVER, "lab", 8888, "pinned", "bob", 1)
        for server in (SERVER, CAROL):
            self.tables.records.put_if_newer(self.record(1)._replace(server=server))
        self.assertTrue(self.tables.servers.remove(SERVER))
        self.assertFalse(self.tables.servers.remove(SERVER))
        self.assertEqual([each.server for each in self.tables.records.all()], [CAROL])

    def test_records_only_get_newer(self) -> None:
        """A higher counter replaces, a lower one does not; the same record told again is only heard of later."""
        records = self.tables.records
        self.assertTrue(records.put_if_newer(self.record(5)))
        self.assertFalse(records.put_if_newer(self.record(4)))
        self.assertFalse(records.put_if_newer(self.record(5, b"other body")))
        self.assertEqual(records.get(BOB, SERVER), self.record(5))
        later = self.record(5)._replace(observed="10.0.0.9", observed_port=7777, received_at=99)
        self.assertFalse(records.put_if_newer(later))
        self.assertEqual(records.get(BOB, SERVER), later)
        self.assertTrue(records.put_if_newer(self.record(6, b"new body")))
        self.assertEqual(records.get(BOB, SERVER), self.record(6, b"new body"))

    def test_records_of_several_servers(self) -> None:
        """Records compare under one server only; a peer's are given with the one heard last first."""
        records = self.tables.records
        records.put_if_newer(self.record(5))
        other = self.record(1)._replace(server=CAROL, received_at=99)
        self.assertTrue(records.put_if_newer(other))
        self.assertEqual(records.of_peer(BOB), [other, self.record(5)])
        self.assertEqual(records.all(SERVER), [self.record(5)])

    def record(self, counter: int, body: bytes = b"body") -> Record:
        return Record(BOB, SERVER, body, b"signature", counter, None, None, 7)


class ConversationsTest(TablesTestCase):
    """tables.conversations and tables.streams"""

    def test_open_for(self) -> None:
        """A conversation is made once; a room has no contact."""
        bob = self.bob()
        first = self.tables.conversations.open_for(bob, b"k" * 32)
        self.assertEqual(first._replace(conversation=0), (0, b"k" * 32, bob, 0, 0, False))
        self.assertEqual(self.tables.conversations.open_for(bob, b"k" * 32), first)
        room = self.tables.conversations.open_for(None, b"r" * 32)
        self.assertIsNone(room.contact)
        self.assertEqual(self.tables.conversations.all(), [first, room])
        self.assertEqual(self.tables.conversations.get(room.conversation), room)
        self.assertRaises(KeyError, self.tables.conversations.get, 99)

    def test_open_after_a_restart(self) -> None:
        """What is to be dialled again is remembered."""
        one = self.tables.conversations.open_for(self.bob(), b"k" * 32).conversation
        self.tables.conversations.open_for(None, b"r" * 32)
        self.tables.conversations.set_open(one, True)
        self.assertEqual([each.conversation for each in self.tables.conversations.all_open()], [one])
        self.tables.conversations.set_open(one, False)
        self.assertEqual(self.tables.conversations.all_open(), [])

    def test_counts_never_go_back(self) -> None:
        """Neither the running count nor the Lamport clock goes back."""
        one = self.tables.conversations.open_for(None, b"r" * 32).conversation
        self.tables.conversations.set_counts(one, 5, 50)
        self.tables.conversations.set_counts(one, 4, 60)
        found = self.tables.conversations.get(one)
        self.assertEqual((found.number, found.lamport), (5, 60))

    def test_streams(self) -> None:
        """A new stream is current and empty; it is found by name, conversation and author."""
        mine, bobs = self.stream(), self.stream(BOB, first=40)
        self.assertEqual(mine[2:], (ME, mine.name, 1, head(0), 0, head(0), "current"))
        self.assertEqual((bobs.first, bobs.seq, bobs.head), (40, 39, head(39)))
        streams = self.tables.streams
        self.assertEqual(streams.by_name(bobs.name), bobs)
        self.assertIsNone(streams.by_name(b"?" * 80))
        self.assertEqual(streams.of_conversation(mine.conversation), [mine, bobs])
        self.assertEqual(streams.current(mine.conversation, BOB), bobs)
        self.assertIsNone(streams.current(mine.conversation, CAROL))
        self.assertRaises(KeyError, streams.get, 99)

    def test_a_new_stream_after_a_doubt(self) -> None:
        """Closed streams are neither current nor among the current ones."""
        old = self.stream()
        new_one = self.stream(suffix=b"2")
        self.tables.streams.set_state(old.stream, "closed")
        self.assertEqual(self.tables.streams.current(old.conversation, ME), new_one)
        self.assertEqual(self.tables.streams.of_conversation(old.conversation, current_only=True), [new_one])

    def test_ends(self) -> None:
        """Both ends of a stream can be moved."""
        stream = self.stream()
        self.tables.streams.update(stream.stream, 3, head(3))
        self.tables.streams.set_base(stream.stream, 2, head(1))
        self.assertEqual(
            self.tables.streams.get(stream.stream), stream._replace(first=2, base=head(1), seq=3, head=head(3))
        )


class EntriesTest(TablesTestCase):
    """tables.entries"""

    def test_numbered(self) -> None:
        """Messages of a range are counted, and what has no number is none."""
        stream = self.stream().stream
        self.tables.entries.append_many(
            stream, [new(1, number=0), new(2, number=7), new(3, number=8), new(4, number=9)]
        )
        self.assertEqual(self.tables.entries.numbered(stream, 1, 3), (2, 7, 8))
        self.assertEqual(self.tables.entries.numbered(stream, 4, 99), (1, 9, 9))
        self.assertEqual(self.tables.entries.numbered(stream, 5, 99), (0, 0, 0))

    def test_append(self) -> None:
        """An entry is found as it was stored, by every way to it, and the stream ends with it."""
        stream = self.stream(BOB)
        number = self.tables.entries.append(stream.stream, new(1))
        expected = StoredEntry(number, stream.conversation, stream.stream, BOB, *new(1))
        found = self.tables.entries.get(number)
        self.assertEqual(found, expected)
        for other in (
            self.tables.entries.at(stream.stream, 1),
            self.tables.entries.by_author_id(BOB, new(1).id),
            *self.tables.entries.by_number(stream.conversation, BOB, 1),
            *self.tables.entries.last(stream.conversation, 5),
            *self.tables.entries.after(0, 5),
            *self.tables.entries.load_range(stream.stream, 1, 5, 5),
        ):
            self.assertEqual(other, expected)
        after = self.tables.streams.get(stream.stream)
        self.assertEqual((after.seq, after.head), (1, head(1)))

    def test_append_many(self) -> None:
        """Many are stored in one go, arrival numbers in order; none are stored into no stream."""
        stream = self.stream()
        last = self.tables.entries.append_many(stream.stream, map(new, range(1, 101)))
        self.assertEqual((last, self.tables.entries.newest()), (100, 100))
        self.assertEqual(self.tables.streams.get(stream.stream).seq, 100)
        self.assertEqual(self.tables.entries.append_many(stream.stream, []), 0)
        self.assertRaises(KeyError, self.tables.entries.append, 99, new(1))

    def test_no_duplicates(self) -> None:
        """Neither a place nor an author's id is taken twice; other authors may have the same id."""
        stream, bobs = self.stream(), self.stream(BOB)
        self.tables.entries.append(stream.stream, new(1))
        self.assertRaises(apsw.ConstraintError, self.tables.entries.append, stream.stream, new(1, id=b"j" * 16))
        self.assertRaises(apsw.ConstraintError, self.tables.entries.append, stream.stream, new(2, id=new(1).id))
        self.tables.entries.append(bobs.stream, new(1))
        self.assertEqual(self.tables.entries.bodies(BOB, [new(2).id, new(1).id]), {new(1).id: new(1).bytes})
        self.assertEqual(self.tables.entries.bodies(CAROL, [new(1).id]), {})
        self.assertEqual(self.tables.entries.bodies(BOB, []), {})

    def test_load_range(self) -> None:
        """A range is bounded by count and by bytes, but never empty where there is something."""
        stream = self.stream()
        self.tables.entries.append_many(stream.stream, [new(seq, size=100) for seq in range(1, 11)])

        def seqs(from_seq: int, count: int, size: int) -> list[int]:
            return [each.seq for each in self.tables.entries.load_range(stream.stream, from_seq, count, size)]

        self.assertEqual(seqs(1, 3, 10_000), [1, 2, 3])
        self.assertEqual(seqs(4, 100, 250), [4, 5])
        self.assertEqual(seqs(4, 100, 200), [4, 5])
        self.assertEqual(seqs(4, 100, 1), [4])
        self.assertEqual(seqs(8, 100, 10_000), [8, 9, 10])
        self.assertEqual(seqs(11, 100, 10_000), [])

    def test_last(self) -> None:
        """The last ones of a conversation, in order of arrival over its streams; and those before them."""
        mine, bobs = self.stream(), self.stream(BOB)
        other = self.stream(CAROL, b"l" * 32)
        for seq in (1, 2, 3):
            for stream in (mine, bobs, other):
                self.tables.entries.append(stream.stream, new(seq))
        found = self.tables.entries.last(mine.conversation, 3)
        self.assertEqual([(each.author, each.seq) for each in found], [(BOB, 2), (ME, 3), (BOB, 3)])
        before = self.tables.entries.last(mine.conversation, 2, before=found[0].entry)
        self.assertEqual([(each.author, each.seq) for each in before], [(BOB, 1), (ME, 2)])
        self.assertEqual(self.tables.entries.last(99, 3), [])

    def test_after(self) -> None:
        """A cursor over arrival sees each entry once, everywhere or in one conversation."""
        mine, other = self.stream(), self.stream(CAROL, b"l" * 32)
        for seq in (1, 2):
            for stream in (mine, other):
                self.tables.entries.append(stream.stream, new(seq))
        self.assertEqual([each.entry for each in self.tables.entries.after(1, 2)], [2, 3])
        self.assertEqual([each.entry for each in self.tables.entries.after(1, 9, other.conversation)], [2, 4])
        self.assertEqual(self.tables.entries.after(4, 9), [])

    def test_head_at(self) -> None:
        """The head is known at each entry and before the first, and nowhere else."""
        stream = self.stream(first=10)
        self.tables.entries.append_many(stream.stream, [new(10), new(11)])
        heads = {seq: self.tables.entries.head_at(stream.stream, seq) for seq in (8, 9, 10, 11, 12)}
        self.assertEqual(heads, {8: None, 9: head(9), 10: head(10), 11: head(11), 12: None})

    def test_move(self) -> None:
        """Entries move to a new stream, keep id, number and arrival, and leave the old one."""
        old, new_one = self.stream(), self.stream(suffix=b"2")
        self.tables.entries.append_many(old.stream, [new(1), new(2), new(3)])
        self.tables.entries.append(new_one.stream, new(1, id=b"reset-----------", number=4))
        self.tables.entries.move([Place(2, new_one.stream, 2, head(102)), Place(3, new_one.stream, 3, head(103))])
        self.assertEqual([each.seq for each in self.tables.entries.load_range(old.stream, 1, 9, 999)], [1])
        moved = self.tables.entries.load_range(new_one.stream, 2, 9, 999)
        self.assertEqual(
            [(each.entry, each.seq, each.head, each.id, each.number) for each in moved],
            [(2, 2, head(102), new(2).id, 2), (3, 3, head(103), new(3).id, 3)],
        )

    def test_rewrite_and_erase(self) -> None:
        """A cancelled entry becomes another kind; a deleted one loses its bytes; both keep id and place."""
        stream = self.stream()
        self.tables.entries.append_many(stream.stream, [new(1), new(2), new(3)])
        self.tables.entries.rewrite(1, "void", b"void")
        self.tables.entries.erase([2, 3])
        found = self.tables.entries.load_range(stream.stream, 1, 9, 999)
        self.assertEqual(
            [(each.kind, each.bytes) for each in found], [("void", b"void"), ("text", None), ("text", None)]
        )
        self.assertIsNotNone(self.tables.entries.by_author_id(ME, new(2).id))
        self.assertRaises(apsw.ConstraintError, self.tables.entries.append, stream.stream, new(4, id=new(2).id))

    def test_lying_numbers(self) -> None:
        """An author who gives two entries one number gets both found."""
        stream = self.stream(BOB)
        self.tables.entries.append_many(stream.stream, [new(1, number=7), new(2, number=7)])
        found = self.tables.entries.by_number(stream.conversation, BOB, 7)
        self.assertEqual([each.seq for each in found], [1, 2])
        self.assertEqual(self.tables.entries.by_number(stream.conversation, ME, 7), [])

    @given(strategies.lists(strategies.binary(max_size=60), min_size=1, max_size=12), strategies.integers(1, 100))
    @settings(max_examples=30, deadline=None)
    def test_stored_as_it_came(self, bodies: list[bytes], most: int) -> None:
        """Bytes come back as they were, and reading in pieces of any size gives all of them, in order."""
        name = self.tables.entries.newest().to_bytes(4, "big") * 8
        stream = self.stream(BOB, name)
        entries = [
            new(seq, id=name[:12] + seq.to_bytes(4, "big"))._replace(bytes=body) for seq, body in enumerate(bodies, 1)
        ]
        self.tables.entries.append_many(stream.stream, entries)
        found: list[bytes | None] = []
        while part := self.tables.entries.load_range(stream.stream, len(found) + 1, 5, most):
            found += [each.bytes for each in part]
        self.assertEqual(found, bodies)


class VectorsTest(TablesTestCase):
    """tables.vectors, tables.progress and tables.refusals"""

    def test_vectors(self) -> None:
        """A vector is stored whole, also backwards, each for its stream and reader."""
        stream, other = self.stream(), self.stream(BOB)
        self.assertIsNone(self.tables.vectors.get(stream.stream, BOB))
        vector = Vector(stream.stream, BOB, STORE, 1, 5, head(5), 9, 3)
        for each in (vector, vector._replace(store=None, seq=2, head=None, sent=2, seen=0), vector):
            self.tables.vectors.put(each)
            self.assertEqual(self.tables.vectors.get(stream.stream, BOB), each)
        mine = Vector(other.stream, ME, STORE, 1, 0, None, 0, 0)
        self.tables.vectors.put(mine)
        self.assertEqual(self.tables.vectors.of_conversation(stream.conversation), [vector, mine])
        self.assertIsNone(self.tables.vectors.get(stream.stream, ME))

    def test_sent(self) -> None:
        """The sent-up-to mark only rises, and nothing else moves with it."""
        stream = self.stream()
        vector = Vector(stream.stream, BOB, STORE, 1, 0, None, 5, 0)
        self.tables.vectors.put(vector)
        for sent, stands in ((9, 9), (7, 9)):
            self.tables.vectors.set_sent(stream.stream, BOB, sent)
            self.assertEqual(self.tables.vectors.get(stream.stream, BOB), vector._replace(sent=stands))
        self.assertRaises(KeyError, self.tables.vectors.set_sent, stream.stream, CAROL, 1)

    def test_progress(self) -> None:
        """An entry was delivered, or seen, when the vector first reached or passed it."""
        stream = self.stream().stream
        note, when = self.tables.progress.note, self.tables.progress.when
        note(stream, BOB, "delivered", 5, 50)
        note(stream, BOB, "delivered", 8, 80)
        note(stream, BOB, "delivered", 5, 99)
        note(stream, BOB, "seen", 5, 70)
        delivered = [when(stream, BOB, "delivered", seq) for seq in (1, 5, 6, 8, 9)]
        self.assertEqual(delivered, [50, 50, 80, 80, None])
        self.assertEqual((when(stream, BOB, "seen", 5), when(stream, BOB, "seen", 6)), (70, None))
        self.assertIsNone(when(stream, CAROL, "delivered", 1))

    def test_refusals(self) -> None:
        """A refusal is noted once, and is open until its author has processed it."""
        stream = self.stream()
        put, number = self.tables.refusals.put, stream.stream
        self.assertTrue(put(number, BOB, 5, "too-big"))
        self.assertFalse(put(number, BOB, 5, "other"))
        put(number, BOB, 7, "malformed")
        put(number, CAROL, 5, "too-big")
        self.assertEqual(self.tables.refusals.get(number, BOB, 5), Refusal(number, BOB, 5, "too-big", False))
        self.assertIsNone(self.tables.refusals.get(number, BOB, 6))
        self.assertEqual(self.tables.refusals.set_told(number, BOB, 6), 1)
        self.assertEqual(self.tables.refusals.set_told(number, BOB, 6), 0)
        untold = [(each.reader, each.seq) for each in self.tables.refusals.of_stream(number, untold_only=True)]
        self.assertEqual(untold, [(CAROL, 5), (BOB, 7)])
        self.assertEqual(len(self.tables.refusals.of_stream(number)), 3)
        self.assertEqual(len(self.tables.refusals.of_conversation(stream.conversation)), 3)
        self.assertEqual(len(self.tables.refusals.of_conversation(stream.conversation, untold_only=True)), 2)

    def test_counted_refusals(self) -> None:
        """The newest refusal of a reader, and how many messages it refused beyond a place, without reading all."""
        stream = self.stream().stream
        self.tables.entries.append_many(stream, [new(seq, number=0 if seq == 6 else None) for seq in range(1, 10)])
        for reader, seq in ((BOB, 3), (BOB, 5), (BOB, 6), (CAROL, 9)):
            self.tables.refusals.put(stream, reader, seq, "conflict")
        self.assertEqual(self.tables.refusals.newest(stream, BOB), 6)
        self.assertIsNone(self.tables.refusals.newest(stream, ME))
        self.assertEqual([self.tables.refusals.count_after(stream, BOB, seq) for seq in (0, 3, 5)], [2, 1, 0])
