"""p2pchat.storage.search, remembered, lines, and the upgrade that brings them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
from hypothesis import given, settings, strategies as st

from p2pchat.core.entries import next_head, text_entry
from p2pchat.core.search import query
from p2pchat.storage.database import Database
from p2pchat.storage.entries import NewEntry, Place as NewPlace
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.lines import Part, Place
from p2pchat.storage.peer_tables import PEER_SCHEMA, PeerTables
from p2pchat.storage.remembered import EVERYWHERE, StoredDoubt
from p2pchat.storage.vectors import Vector

from .test_peer_tables import BOB, ME, TablesTestCase

OLD_SCHEMA = Path(__file__).with_name("peer-1.sql")


class HistoryTestCase(TablesTestCase):
    """A chat with bob; `say` writes into one of its streams."""

    def setUp(self) -> None:
        super().setUp()
        self.mine = self.stream(ME)
        self.theirs = self.stream(BOB)
        self.conversation = self.mine.conversation
        self.lamport = 0

    def say(self, stream: int, text: str, *, lamport: int = 0, kind: str = "text", history: bool = False) -> int:
        """One entry at the end of a stream; its arrival number."""
        row = self.tables.streams.get(stream)
        seq = row.seq + 1
        self.lamport = lamport or self.lamport + 1
        entry_id = stream.to_bytes(8, "big") + seq.to_bytes(8, "big")
        data = text_entry(text, id=entry_id, number=seq, lamport=self.lamport, time=5)
        head = next_head(row.head, data)
        entry = NewEntry(seq, head, entry_id, seq, self.lamport, 5, 6, kind, "link", history, data)

        def store(tables: PeerTables) -> int:
            arrived = tables.entries.append(stream, entry)
            tables.search.add([(arrived, text)])
            return arrived

        return int(self.do(store))

    def find(self, words: str, **options: int) -> list[int]:
        options = {"before": 1 << 62, **options}
        return self.tables.search.find(query(words), options.pop("count", 10), **options)


class SearchTest(HistoryTestCase):
    """tables.search"""

    def test_newest_first_in_pages(self) -> None:
        """The newest come first, a page goes on before another, and a conversation can be named."""
        entries = [self.say(self.mine.stream, f"again {number}") for number in range(5)]
        other = self.stream(ME, b"o" * 32, suffix=b"2")
        elsewhere = self.say(other.stream, "again")
        self.assertEqual(self.find("again", count=2), [elsewhere, entries[4]])
        self.assertEqual(self.find("again", count=2, before=entries[4]), [entries[3], entries[2]])
        self.assertEqual(self.find("again", conversation=other.conversation), [elsewhere])
        self.assertEqual(self.find("again", conversation=self.conversation, before=entries[1]), [entries[0]])

    def test_what_was_taken_out_is_gone(self) -> None:
        """What was taken out and merged away has left no trace in the file."""
        words = [f"zqsecret{number}" for number in range(200)]
        entries = [self.say(self.mine.stream, f"a {word} of mine") for word in words]
        kept = self.say(self.mine.stream, "another word")
        self.do(
            lambda tables: tables.search.remove(
                (entry, f"a {word} of mine") for entry, word in zip(entries, words, strict=True)
            )
        )
        self.do(lambda tables: tables.entries.erase(entries))
        self.assertEqual(self.find("zqsecret7"), [])
        self.do(lambda tables: tables.search.merge(True))
        while self.do(lambda tables: tables.search.merge(False)):
            pass
        self.successResultOf(self.database.write(lambda tables: None, scrub=True))
        self.assertEqual(self.find("another"), [kept])
        for file in self.database.path.parent.iterdir():
            self.assertNotIn(b"zqsecret", file.read_bytes(), file.name)


class UpgradeTest(TablesTestCase):
    """From version 1."""

    def test_upgrade(self) -> None:
        """A database of version 1 keeps what it has, and its messages can be found; a copy of before is kept."""
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        path = Path(temporary.name) / "peer.db"
        old = apsw.Connection(str(path))
        old.execute(OLD_SCHEMA.read_text("utf-8"))
        old.pragma("application_id", PEER_SCHEMA.application_id)
        old.pragma("user_version", 1)
        data = text_entry("um acht im Café", id=b"i" * 16, number=1, lamport=1, time=1)
        old.execute("INSERT INTO contact VALUES (1, ?, NULL, 'bob', 1, 'ask', NULL, NULL, NULL, 0, 1, 1)", (BOB,))
        old.execute("INSERT INTO party VALUES (1, ?)", (BOB,))
        old.execute("INSERT INTO conversation VALUES (1, ?, 1, 0, 0, 0)", (b"c" * 32,))
        old.execute("INSERT INTO stream VALUES (1, 1, 1, ?, 1, ?, 1, ?, 'current')", (b"n" * 80, b"b" * 32, b"h" * 32))
        old.execute(
            "INSERT INTO entry VALUES (7, 1, 1, 1, ?, 1, ?, 1, 1, 1, 1, 'text', 'link', 0, ?)",
            (b"h" * 32, b"i" * 16, data),
        )
        old.close()
        database = Database(path, PEER_SCHEMA, InlineExecutor())
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        found = self.successResultOf(database.read(lambda tables: tables.search.find(query("cafe"), 5, 100)))
        self.assertEqual(found, [7])
        self.assertEqual([file.name for file in path.parent.glob("*.version-*")], ["peer.db.version-1"])
        self.successResultOf(database.write(lambda tables: None, scrub=True))
        self.assertEqual(list(path.parent.glob("*.version-*")), [])

    def test_the_same_in_the_end(self) -> None:
        """An upgraded database has the tables of a new one."""
        new, upgraded = apsw.Connection(":memory:"), apsw.Connection(":memory:")
        new.execute(PEER_SCHEMA.script())
        upgraded.execute(OLD_SCHEMA.read_text("utf-8"))
        upgraded.execute(PEER_SCHEMA.upgrade(1))
        columns = "SELECT m.name, c.name, c.type, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c ORDER BY 1, 2"
        self.assertEqual(list(new.execute(columns)), list(upgraded.execute(columns)))
        indexes = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY name"
        self.assertEqual(list(new.execute(indexes)), list(upgraded.execute(indexes)))
        new.close()
        upgraded.close()


class CursorsTest(TablesTestCase):
    """tables.cursors"""

    def test_cursors(self) -> None:
        """A cursor begins at nothing, goes on alone, for each conversation apart, and never back."""
        cursors = self.tables.cursors
        self.assertEqual(cursors.get("bot", EVERYWHERE), 0)
        self.do(lambda tables: tables.cursors.move("bot", EVERYWHERE, 7))
        self.do(lambda tables: tables.cursors.move("bot", EVERYWHERE, 3))
        self.do(lambda tables: tables.cursors.move("bot", 1, 2))
        self.assertEqual([cursors.get("bot", 0), cursors.get("bot", 1), cursors.get("other", 0)], [7, 2, 0])
        self.assertEqual(cursors.names(), 2)


class DoubtsTest(HistoryTestCase):
    """tables.doubts"""

    def ranges(self) -> list[tuple[bool, int, int]]:
        return [(doubt.mine, doubt.first, doubt.last) for doubt in self.tables.doubts.all()]

    def put(self, first: int, last: int, mine: bool = True) -> None:
        self.do(lambda tables: tables.doubts.put(StoredDoubt(self.conversation, mine, first, last, 9)))

    def settle(self, first: int, last: int) -> None:
        self.do(lambda tables: tables.doubts.settle(self.conversation, True, first, last))

    def test_ranges(self) -> None:
        """Ranges that touch become one; settling takes out just what is settled."""
        self.put(31, 40)
        self.put(41, 45)
        self.put(1, 3, mine=False)
        self.assertEqual(self.ranges(), [(False, 1, 3), (True, 31, 45)])
        self.settle(33, 35)
        self.assertEqual(self.ranges(), [(False, 1, 3), (True, 31, 32), (True, 36, 45)])
        self.settle(1, 40)
        self.assertEqual(self.ranges(), [(False, 1, 3), (True, 41, 45)])
        self.do(lambda tables: tables.doubts.forget(self.conversation, True))
        self.assertEqual(self.ranges(), [(False, 1, 3)])
        self.do(lambda tables: tables.doubts.forget(self.conversation))
        self.assertEqual(self.ranges(), [])

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 12), st.integers(0, 5)), max_size=8))
    def test_like_a_set(self, changes: list[tuple[bool, int, int]]) -> None:
        """Whatever is put and settled, what is left is the set of numbers that are in doubt."""
        self.do(lambda tables: tables.doubts.forget(self.conversation))
        model: set[int] = set()
        for put, first, more in changes:
            numbers = set(range(first, first + more + 1))
            model = model | numbers if put else model - numbers
            (self.put if put else self.settle)(first, first + more)
        found = [number for _, first, last in self.ranges() for number in range(first, last + 1)]
        self.assertEqual(found, sorted(model))


class LinesTest(HistoryTestCase):
    """tables.lines"""

    def test_pages_in_the_order_of_history(self) -> None:
        """Pages follow lamport, author and place, not arrival; nothing is missing or twice between two pages."""
        first = self.say(self.theirs.stream, "one", lamport=5)
        old = self.say(self.theirs.stream, "fetched", lamport=2, history=True)
        both = [self.say(stream, "same", lamport=6) for stream in (self.mine.stream, self.theirs.stream)]
        expected = [old, first, *(both if ME < BOB else both[::-1])]
        whole = self.tables.lines.older(self.conversation, ME, 10, None)
        self.assertEqual([each.entry for each in whole], expected)
        for size in (1, 2, 3):
            found: list[int] = []
            before = None
            while page := self.tables.lines.older(self.conversation, ME, size, before):
                found = [each.entry for each in page] + found
                before = Place(page[0].lamport, page[0].author, page[0].seq)
            self.assertEqual(found, expected)
        start = Place(whole[0].lamport, whole[0].author, whole[0].seq)
        after = self.tables.lines.newer(self.conversation, ME, 2, start)
        self.assertEqual([each.entry for each in after], expected[1:3])

    def test_what_is_no_line(self) -> None:
        """What was deleted, a reset, and what others took back are no lines; what we took back is one."""
        gone = self.say(self.theirs.stream, "gone")
        self.do(lambda tables: tables.entries.erase([gone]))
        self.say(self.theirs.stream, "", kind="reset")
        self.say(self.theirs.stream, "", kind="void")
        mine = self.say(self.mine.stream, "", kind="void")
        unknown = self.say(self.theirs.stream, "", kind="hologram")
        self.assertEqual(
            [each.entry for each in self.tables.lines.older(self.conversation, ME, 9, None)], [mine, unknown]
        )

    def test_new_to_program(self) -> None:
        """A program is given what others said, in order of arrival, but nothing that was sent again on request."""
        self.say(self.mine.stream, "mine")
        first = self.say(self.theirs.stream, "one", lamport=9)
        self.say(self.theirs.stream, "old", lamport=1, history=True)
        second = self.say(self.theirs.stream, "two", lamport=3)
        new = self.tables.lines.new_to_program
        self.assertEqual([each.entry for each in new(ME, Part(0, 99), 9, None)], [first, second])
        self.assertEqual([each.entry for each in new(ME, Part(first, 99), 9, self.conversation)], [second])
        self.assertEqual([each.entry for each in new(ME, Part(0, second), 9, None)], [first])
        self.assertEqual(new(ME, Part(0, 99), 9, self.conversation + 1), [])
        self.assertEqual([each.entry for each in new(ME, Part(0, 99, True), 9, None)], [first, second])
        self.assertEqual([each.entry for each in new(ME, Part(0, 99, True), 1, self.conversation)], [second])
        again = self.stream(BOB, suffix=b"9")
        third = self.say(again.stream, "three")
        last = self.tables.lines.last_of_each_stream
        self.assertEqual(last(ME, 0, third, None), [(self.conversation, second), (self.conversation, third)])
        self.assertEqual(last(ME, first, second, self.conversation), [(self.conversation, second)])

    def test_waiting(self) -> None:
        """What waits is what its reader has not confirmed, of streams that we go on with."""
        entries = [self.say(self.mine.stream, f"{number}") for number in range(4)]
        stream = self.mine.stream
        self.say(stream, "", kind="void")
        self.do(lambda tables: tables.vectors.put(Vector(stream, BOB, None, 1, 1, b"h" * 32, 2, 0)))
        waiting = self.tables.lines.waiting(ME, 10)
        self.assertEqual([(each.entry, each.seq, each.sent) for each in waiting], [(e, e, 2) for e in entries[1:]])
        self.assertEqual(self.tables.lines.count_waiting(ME), 3)
        self.assertEqual(self.tables.lines.count_waiting(ME, self.conversation + 1), 0)
        self.assertEqual(len(self.tables.lines.waiting(ME, 2, self.conversation)), 2)
        self.do(lambda tables: tables.streams.set_state(stream, "closed"))
        self.assertEqual(self.tables.lines.waiting(ME, 10), [])

    def test_a_stream_without_a_vector_waits_whole(self) -> None:
        """Where nothing was heard from the reader, everything waits."""
        self.say(self.mine.stream, "one")
        self.assertEqual(self.tables.lines.count_waiting(ME), 1)

    def test_numbers(self) -> None:
        """Messages by their numbers; deleted ones are not counted."""
        entries = [self.say(self.mine.stream, f"{number}") for number in range(5)]
        self.do(lambda tables: tables.entries.erase(entries[:1]))
        self.assertEqual(self.tables.lines.numbers(self.conversation, ME, 4), (2, 4))
        self.assertEqual(self.tables.lines.numbers(self.conversation, BOB, 4), (0, 0))
        found = self.tables.lines.numbered(self.conversation, ME, 1, 4, 2)
        self.assertEqual([each.number for each in found], [2, 3])

    def test_peer_of(self) -> None:
        """A chat is with its contact."""
        self.assertEqual(self.tables.lines.peer_of(self.conversation), BOB)
        self.assertIsNone(self.tables.lines.peer_of(99))

    def test_unseen_counts_from_the_vector(self) -> None:
        """What nobody has seen is counted from where the last line was seen, and nothing before it is read."""
        connection = apsw.Connection(":memory:")
        connection.execute(PEER_SCHEMA.script())
        plans: list[str] = []

        def note(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
            plans.append(sql)
            return True

        connection.exec_trace = note
        self.assertEqual(PEER_SCHEMA.tables(connection).lines.unseen(ME), [])
        connection.exec_trace = None
        plan = [line for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {plans[-1]}", [ME, None])]
        self.assertTrue(any("entry USING INDEX" in line and "stream=? AND seq>?" in line for line in plan), plan)
        connection.close()

    def test_pages_use_an_index(self) -> None:
        """A page of a long history does not read all of it."""
        connection = apsw.Connection(":memory:")
        connection.execute(PEER_SCHEMA.script())
        connection.execute("INSERT INTO party VALUES (1, ?)", (BOB,))
        plans: list[str] = []
        lines = PEER_SCHEMA.tables(connection).lines

        def note(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
            plans.append(sql)
            return True

        connection.exec_trace = note
        lines.older(1, ME, 5, None)
        lines.older(1, ME, 5, Place(1, BOB, 1))
        lines.newer(1, ME, 5, Place(1, BOB, 1))
        lines.new_to_program(ME, Part(1, 9), 5, None)
        lines.new_to_program(ME, Part(1, 9), 5, 1)
        lines.new_to_program(ME, Part(1, 9, True), 5, 1)
        connection.exec_trace = None
        for sql in plans:
            plan = [line for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [1] * sql.count("?"))]
            self.assertTrue(all(not line.startswith("SCAN") for line in plan), f"{sql}: {plan}")
        connection.close()


class HolesTest(HistoryTestCase):
    """tables.entries.move_away"""

    def test_heads_stay_known(self) -> None:
        """The head of a place is known after its entry was moved, and the range is whole no more."""
        entry = self.say(self.mine.stream, "one")
        self.say(self.mine.stream, "two")
        stream = self.mine.stream
        head = self.tables.entries.head_at(stream, 1)
        self.assertTrue(self.tables.entries.whole(stream, 1, 2))
        self.do(lambda tables: tables.entries.move_away([NewPlace(entry, stream, 3, b"3" * 32)]))
        self.assertEqual(self.tables.entries.head_at(stream, 1), head)
        self.assertEqual(self.tables.entries.head_at(stream, 3), b"3" * 32)
        self.assertFalse(self.tables.entries.whole(stream, 1, 2))
        self.assertTrue(self.tables.entries.whole(stream, 2, 3))
        self.assertTrue(self.tables.entries.whole(stream, 4, 3))
