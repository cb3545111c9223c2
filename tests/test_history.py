"""What a person gets of what was said: history, search, times, the queue, taking back, cursors; between real peers."""

import json

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.core.errors import NoSuchContact, UsageError, UserError
from p2pchat.net.local import json_execute
from p2pchat.net.local_connection import LocalConnection
from p2pchat.peer import history
from p2pchat.peer.history import PAGE_BYTES, PAGE_LINES
from tests.company import Node, WorldTests

NOBODY = "nobody"


class HistoryTests(WorldTests):
    """Base: alice and bob, who know each other."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.world.node("alice"), self.world.node("bob")
        self.alice.knows(self.bob)
        self.bob.knows(self.alice)

    def open(self) -> None:
        """They have a link."""
        self.alice.dials(self.bob)
        self.world.settle()
        self.assertIsNotNone(self.alice.link_with(self.bob))

    def say(self, *texts: str, node: Node | None = None, who: str = "bob") -> None:
        for text in texts:
            (node or self.alice).do(api.Say(who=who, text=text))
            self.world.wall += 1000

    def lines(self, node: Node, command: api.Command) -> tuple[api.StoredLine, ...]:
        reply = node.do(command)
        assert isinstance(reply, api.Lines)
        return reply.lines

    def shown(self, node: Node, command: api.Command) -> list[str]:
        """Author, number and text of the lines, and the state of one's own."""
        found = self.lines(node, command)
        states = [line.state if line.mine else "" for line in found]
        return [
            " ".join(filter(None, (f"{line.author}#{line.number}", line.text, state)))
            for line, state in zip(found, states, strict=True)
        ]

    def entries(self, command: api.Command, node: Node | None = None) -> list[int]:
        return [line.entry for line in self.lines(node or self.bob, command)]


class LinesTests(HistoryTests):
    def test_both_sides_show_the_same(self) -> None:
        """A chat reads the same on both sides, with the state of one's own lines."""
        self.open()
        self.say("one", "two")
        self.say("three", node=self.bob, who="alice")
        self.say("four")
        self.assertEqual(
            self.shown(self.alice, api.ShowLines(who="bob")),
            ["alice#1 one delivered", "alice#2 two delivered", "bob#1 three", "alice#3 four delivered"],
        )
        self.assertEqual(
            self.shown(self.bob, api.ShowLines(who="alice")),
            ["alice#1 one", "alice#2 two", "bob#1 three delivered", "alice#3 four"],
        )

    def test_states(self) -> None:
        """A line is queued, then delivered, then seen."""
        self.say("one")
        self.assertEqual(self.shown(self.alice, api.ShowLines(who="bob")), ["alice#1 one queued"])
        self.open()
        self.assertEqual(self.shown(self.alice, api.ShowLines(who="bob")), ["alice#1 one delivered"])
        (line,) = self.lines(self.bob, api.ShowLines(who="alice"))
        self.bob.do(api.Displayed(who="alice", entry=line.entry))
        self.assertEqual(self.shown(self.alice, api.ShowLines(who="bob")), ["alice#1 one seen"])

    def test_pages(self) -> None:
        """Pages go back in time; the last page says that there is none before it."""
        self.open()
        self.say(*map(str, range(5)))
        reply = self.alice.do(api.ShowLines(who="bob", count=2))
        assert isinstance(reply, api.Lines)
        self.assertEqual(([line.text for line in reply.lines], reply.more), (["3", "4"], True))
        reply = self.alice.do(api.ShowLines(who="bob", count=3, before=reply.lines[0].entry))
        assert isinstance(reply, api.Lines)
        self.assertEqual(([line.text for line in reply.lines], reply.more), (["0", "1", "2"], False))

    def test_forwards(self) -> None:
        """From the beginning, or from any line, pages also go forward to the end."""
        self.open()
        self.say(*map(str, range(5)))
        found, after = [], 0
        while True:
            reply = self.bob.do(api.ShowLines(who="alice", count=2, after=after))
            assert isinstance(reply, api.Lines)
            found.append([line.text for line in reply.lines])
            after = reply.lines[-1].entry
            if not reply.more:
                break
        self.assertEqual(found, [["0", "1"], ["2", "3"], ["4"]])
        self.assertEqual(self.entries(api.ShowLines(who="alice", after=after)), [])
        self.bob.refuse(api.ShowLines(who="alice", after=99), UsageError)

    def test_new(self) -> None:
        """What was said to us is new until it was displayed; what comes after that is new again."""
        self.open()
        self.say("one", "two")
        self.assertEqual(self.states(), ["new", "new"])
        first, second = self.entries(api.ShowLines(who="alice"))
        self.bob.do(api.Displayed(who="alice", entry=first))
        self.assertEqual(self.states(), ["", "new"])
        self.bob.do(api.Displayed(who="alice", entry=second))
        self.say("three")
        self.assertEqual(self.states(), ["", "", "new"])

    def states(self) -> list[str]:
        return [line.state for line in self.lines(self.bob, api.ShowLines(who="alice"))]

    def test_around(self) -> None:
        """So many lines on both sides of one, which a search found."""
        self.open()
        self.say(*map(str, range(7)))
        (middle,) = self.entries(api.Search(words="3"))
        reply = self.bob.do(api.ShowLines(who="alice", around=middle, count=2))
        assert isinstance(reply, api.Lines)
        self.assertEqual(([line.text for line in reply.lines], reply.more), (["1", "2", "3", "4", "5"], True))

    def test_refused(self) -> None:
        """Lines of nobody, before or around a line of another chat, or less than one line."""
        self.open()
        self.say("one")
        self.alice.refuse(api.ShowLines(who=NOBODY), NoSuchContact)
        for wrong in (
            api.ShowLines(who="bob", before=99),
            api.ShowLines(who="bob", around=99),
            api.ShowLines(who="bob", count=0),
            api.Search(words="one", count=-1),
        ):
            self.alice.refuse(wrong, UsageError)
        carol = self.world.node("carol")
        self.alice.knows(carol)
        self.alice.refuse(api.ShowLines(who="carol", around=1), UsageError)
        self.assertEqual(self.lines(self.alice, api.ShowLines(who="carol")), ())

    def test_bounded(self) -> None:
        """However many lines are asked for, and however long they are, a page has its bounds and goes on."""
        for index in range(9):
            self.say("x" * 16_000 + str(index))
        reply = self.alice.do(api.ShowLines(who="bob", count=10**9))
        assert isinstance(reply, api.Lines)
        self.assertTrue(reply.more)
        self.assertLessEqual(sum(len(line.text) for line in reply.lines), PAGE_BYTES)
        self.assertEqual(reply.lines[-1].text[-1], "8")
        queue = self.alice.do(api.ShowQueue())
        assert isinstance(queue, api.Queue)
        self.assertEqual((queue.total, len(queue.waiting)), (9, len(reply.lines)))
        self.assertLess(len(reply.lines), PAGE_LINES)


class SearchTests(HistoryTests):
    def test_over_all_chats(self) -> None:
        """The newest first, over all chats or in one; what was received is found as well as what was said."""
        carol = self.world.node("carol")
        self.alice.knows(carol)
        self.open()
        self.say("at the Café")
        self.say("café or tea?", node=self.bob, who="alice")
        self.say("no cafe today", who="carol")
        self.assertEqual(
            self.shown(self.alice, api.Search(words="cafe")),
            ["alice#1 no cafe today queued", "bob#1 café or tea?", "alice#1 at the Café delivered"],
        )
        self.assertEqual(
            self.shown(self.alice, api.Search(words="cafe", who="carol")), ["alice#1 no cafe today queued"]
        )
        self.assertEqual(self.shown(self.alice, api.Search(words="TEA cafe")), ["bob#1 café or tea?"])
        self.assertEqual([line.person.name for line in self.lines(self.alice, api.Search(words="tea"))], ["bob"])

    def test_pages(self) -> None:
        """A page goes on before the last line of the one before."""
        self.say(*(f"again {number}" for number in range(5)))
        reply = self.alice.do(api.Search(words="again", count=2))
        assert isinstance(reply, api.Lines)
        self.assertEqual(([line.text for line in reply.lines], reply.more), (["again 4", "again 3"], True))
        reply = self.alice.do(api.Search(words="again", count=5, before=reply.lines[-1].entry))
        assert isinstance(reply, api.Lines)
        self.assertEqual(([line.text for line in reply.lines], reply.more), (["again 2", "again 1", "again 0"], False))

    def test_no_words(self) -> None:
        """Where there is nothing to look for it says so; syntax is no error."""
        for words in ("", "  ", "--", '"'):
            self.assertIn("no word", self.alice.refuse(api.Search(words=words), UsageError))
        self.assertEqual(self.lines(self.alice, api.Search(words='"a* NEAR(')), ())


class TimesTests(HistoryTests):
    def times(self, number: int) -> api.MessageTimes:
        reply = self.alice.do(api.ShowMessage(who="bob", number=number))
        assert isinstance(reply, api.MessageTimes)
        return reply

    def test_life_of_a_message(self) -> None:
        """When it was queued, delivered and seen, by our clock."""
        start = self.world.wall
        self.say("one", "two")
        self.assertEqual(self.times(1), self.times(1))
        life = self.times(2)
        self.assertEqual((life.text, life.queued, life.delivered, life.seen), ("two", start + 1000, None, None))
        self.world.wait(10)
        opened = self.world.wall
        self.open()
        self.world.wait(5)
        seen = self.world.wall
        self.bob.do(api.Displayed(who="alice", entry=self.bob.told(api.Said)[0].entry))
        life = self.times(1)
        self.assertEqual((life.queued, life.delivered, life.seen), (start, opened, seen))
        self.assertEqual((self.times(2).delivered, self.times(2).seen), (opened, None))

    def test_no_such_message(self) -> None:
        """A number that one did not give, or of somebody else, is refused."""
        self.open()
        self.say("theirs", node=self.bob, who="alice")
        self.assertIn("#1", self.alice.refuse(api.ShowMessage(who="bob", number=1), UserError))


class ArrivalTests(HistoryTests):
    """What a program that keeps a copy asks for."""

    def shown_of(self, **fields: object) -> list[str]:
        found = self.lines(self.bob, api.ShowArrivals(**fields))  # type: ignore[arg-type]
        return [f"{line.person.name}: {line.author}#{line.number} {line.text} {line.state}".rstrip() for line in found]

    def test_order(self) -> None:
        """All chats and both sides, as they arrived; forward from any of them, and back from the last."""
        carol = self.world.node("carol")
        self.bob.knows(carol)
        self.open()
        self.say("one")
        self.say("two", node=self.bob, who="carol")
        self.say("three", node=self.bob, who="alice")
        self.say("four")
        everything = ["alice: alice#1 one new", "carol: bob#1 two queued", "alice: bob#1 three delivered"]
        everything.append("alice: alice#2 four new")
        self.assertEqual(self.shown_of(), everything)
        entries = self.entries(api.ShowArrivals())
        self.assertEqual(entries, sorted(entries))
        self.assertEqual(self.shown_of(after=0, count=2), everything[:2])
        self.assertEqual(self.shown_of(after=entries[1]), everything[2:])
        self.assertEqual(self.shown_of(after=entries[3]), [])
        self.assertEqual(self.shown_of(count=2), everything[2:])
        self.assertEqual(self.shown_of(before=entries[2], count=1), everything[1:2])
        reply = self.bob.do(api.ShowArrivals(before=entries[1]))
        assert isinstance(reply, api.Lines)
        self.assertFalse(reply.more)
        self.bob.refuse(api.ShowArrivals(count=0), UsageError)

    def test_deleted_and_taken_back(self) -> None:
        """What was deleted keeps its place, without its text; so does what one took back, but not what others did."""
        self.say("one", "two")
        self.alice.do(api.Cancel(who="bob", number=1))
        self.open()
        self.assertEqual(self.shown_of(), ["alice: alice#2 two new"])
        self.assertEqual(self.shown(self.alice, api.ShowArrivals()), ["alice#1 taken back", "alice#2 two delivered"])
        self.bob.do(api.Forget(who="alice"))
        self.assertEqual(self.shown_of(), ["alice: alice#2  deleted"])
        self.assertEqual(self.lines(self.bob, api.ShowLines(who="alice")), ())


class QueueTests(HistoryTests):
    def queue(self, who: str = "") -> list[tuple[str, int, bool]]:
        reply = self.alice.do(api.ShowQueue(who=who))
        assert isinstance(reply, api.Queue)
        self.assertEqual(reply.total, len(reply.waiting))
        return [(line.person.name, line.number, line.left) for line in reply.waiting]

    def test_what_waits(self) -> None:
        """What waits for whom, and whether it may have left; delivered it waits no more."""
        carol = self.world.node("carol")
        self.alice.knows(carol)
        self.say("one", "two")
        self.say("three", who="carol")
        self.assertEqual(self.queue(), [("bob", 1, False), ("bob", 2, False), ("carol", 1, False)])
        self.assertEqual(self.queue("carol"), [("carol", 1, False)])
        self.open()
        self.assertEqual(self.queue(), [("carol", 1, False)])
        self.world.cut(self.alice, self.bob)
        self.say("four")
        self.assertEqual(self.queue("bob"), [("bob", 3, True)])

    def test_take_back(self) -> None:
        """What has not left can be taken back: it never arrives, and what follows it does, in order."""
        self.say("one", "two", "three")
        self.assertEqual(self.alice.do(api.Cancel(who="bob", number=2)), api.Done())
        self.assertEqual(self.queue(), [("bob", 1, False), ("bob", 3, False)])
        self.assertEqual(self.alice.peer.people.person(self.bob.id).unsent, 2)
        self.assertEqual([event.number for event in self.alice.told(api.TakenBack)], [2])
        self.assertEqual(self.lines(self.alice, api.Search(words="two")), ())
        self.open()
        self.assertEqual(self.bob.texts(), ["one", "three"])
        self.assertEqual([number for event in self.alice.told(api.Delivered) for number in event.numbers], [1, 3])
        self.assertEqual(self.alice.peer.people.person(self.bob.id).unsent, 0)
        self.assertEqual(
            self.shown(self.alice, api.ShowLines(who="bob")),
            ["alice#1 one delivered", "alice#2 taken back", "alice#3 three delivered"],
        )
        self.assertEqual(self.shown(self.bob, api.ShowLines(who="alice")), ["alice#1 one", "alice#3 three"])
        self.say("four")
        self.assertEqual(self.bob.texts(), ["one", "three", "four"])
        reply = self.alice.do(api.ShowMessage(who="bob", number=2))
        assert isinstance(reply, api.MessageTimes)
        self.assertTrue(reply.taken_back)

    def test_not_what_may_have_left(self) -> None:
        """What may have left, was delivered, was taken back before, or was never said cannot be taken back."""
        self.say("one", "two")
        self.alice.do(api.Cancel(who="bob", number=1))
        self.assertIn("before", self.alice.refuse(api.Cancel(who="bob", number=1), UserError))
        self.open()
        self.assertIn("may have left", self.alice.refuse(api.Cancel(who="bob", number=2), UserError))
        self.world.cut(self.alice, self.bob)
        self.say("three")
        self.assertIn("may have left", self.alice.refuse(api.Cancel(who="bob", number=3), UserError))
        self.alice.refuse(api.Cancel(who="bob", number=9), UserError)
        self.alice.refuse(api.Cancel(who=NOBODY, number=9), NoSuchContact)

    def test_the_rest_of_a_long_queue(self) -> None:
        """In the middle of a queue that is being sent, what is beyond the window can still be taken back."""
        self.say(*map(str, range(300)))
        self.alice.dials(self.bob)
        while not self.bob.texts():
            ready = [plug for wire in self.world.wires for plug in wire.ready()]
            if ready:
                ready[0].wire.move(ready[0])
            else:
                self.world.clock.advance(0.01)
        left = [number for _, number, gone in self.queue_now() if not gone]
        if left:
            self.alice.run(self.alice.commands.execute(api.Cancel(who="bob", number=left[-1])))
        self.world.settle()
        expected = [str(number - 1) for number in range(1, 301) if number not in left[-1:]]
        self.assertEqual(self.bob.texts(), expected)

    def queue_now(self) -> list[tuple[str, int, bool]]:
        """What waits, without letting anything happen."""
        reply = self.alice.run(self.alice.commands.execute(api.ShowQueue()))
        return [(line.person.name, line.number, line.left) for line in reply.waiting]


class CursorTests(HistoryTests):
    def receive(self, **fields: object) -> list[str]:
        return [line.text for line in self.lines(self.bob, api.Receive(cursor="bot", **fields))]  # type: ignore[arg-type]

    def test_again_until_it_is_moved(self) -> None:
        """A program gets the same lines until it moves its cursor; then they are seen, and do not come again."""
        self.open()
        self.say("one", "two", "three")
        self.assertEqual(self.receive(count=2), ["one", "two"])
        first, second = self.entries(api.Receive(cursor="bot", count=2))
        self.bob.do(api.MoveCursor(cursor="bot", entry=first))
        self.assertEqual(self.receive(), ["two", "three"])
        self.assertEqual([event.numbers for event in self.alice.told(api.Seen)], [(1,)])
        self.bob.do(api.MoveCursor(cursor="bot", entry=second))
        self.bob.do(api.MoveCursor(cursor="bot", entry=first))
        self.assertEqual(self.receive(), ["three"])
        self.assertEqual(
            [line.text for line in self.lines(self.bob, api.Receive(cursor="other"))], ["one", "two", "three"]
        )

    def test_without_a_cursor(self) -> None:
        """Without a cursor everything can be read, from an entry on, and the newest of it; nothing is remembered."""
        self.open()
        self.say("one", "two", "three", "four")
        entries = self.entries(api.Receive())
        self.assertEqual(len(entries), 4)
        self.assertEqual(self.entries(api.Receive(after=entries[1])), entries[2:])
        newest = self.bob.do(api.Receive(newest=True, count=2))
        assert isinstance(newest, api.Lines)
        self.assertEqual(([line.entry for line in newest.lines], newest.more), (entries[2:], True))
        self.assertEqual(self.entries(api.Receive(newest=True, after=entries[2])), entries[3:])
        self.assertEqual(self.entries(api.Receive(newest=True, before=entries[2], count=1)), entries[1:2])
        self.bob.do(api.MoveCursor(cursor="bot", entry=entries[2]))
        self.assertEqual(self.receive(after=entries[0]), ["four"])
        self.assertEqual(self.receive(after=entries[3]), [])
        self.assertEqual(self.entries(api.Receive()), entries)

    def test_of_one_chat(self) -> None:
        """A cursor may follow one chat alone; one's own lines are not received."""
        carol = self.world.node("carol")
        carol.knows(self.bob)
        self.bob.knows(carol)
        self.open()
        carol.dials(self.bob)
        self.world.settle()
        self.say("from alice")
        self.say("from carol", node=carol)
        self.say("from bob", node=self.bob, who="alice")
        self.assertEqual(self.receive(), ["from alice", "from carol"])
        self.assertEqual(self.receive(who="carol"), ["from carol"])
        (entry,) = self.entries(api.Receive(cursor="bot", who="carol"))
        self.bob.do(api.MoveCursor(cursor="bot", who="carol", entry=entry))
        self.assertEqual(self.receive(who="carol"), [])
        self.assertEqual(self.receive(), ["from alice", "from carol"])
        self.assertEqual((self.alice.told(api.Seen), len(carol.told(api.Seen))), ([], 1))
        self.bob.do(api.MoveCursor(cursor="bot", entry=entry))
        self.assertEqual(len(self.alice.told(api.Seen)), 1)

    def test_shown_and_dropped(self) -> None:
        """Whoever looks after programs sees which cursors there are; a dropped one makes room, and is new again."""
        self.open()
        self.say("one")
        (entry,) = self.entries(api.Receive(cursor="bot"))
        for who in ("", "alice"):
            self.bob.do(api.MoveCursor(cursor="bot", entry=entry, who=who))
        self.assertEqual(self.cursors(), [("bot", None, entry), ("bot", "alice", entry)])
        self.patch(history, "MAX_CURSORS", 2)
        self.bob.refuse(api.Receive(cursor="other"), UserError)
        self.bob.do(api.DropCursor(cursor="bot"))
        self.assertEqual(self.cursors(), [("bot", "alice", entry)])
        self.assertEqual(self.receive(), ["one"])
        self.assertIn("no cursor bot", self.bob.refuse(api.DropCursor(cursor="bot"), UserError))
        self.bob.refuse(api.DropCursor(cursor="bot", who=NOBODY), NoSuchContact)
        self.bob.do(api.DropCursor(cursor="bot", who="alice"))
        self.assertEqual(self.cursors(), [])

    def test_dropped_of_a_chat_that_never_was(self) -> None:
        """Where nothing was ever said there is no cursor to drop; the one for all chats stays."""
        self.open()
        self.say("one")
        carol = self.world.node("carol")
        self.bob.knows(carol)
        (entry,) = self.entries(api.Receive(cursor="bot"))
        self.bob.do(api.MoveCursor(cursor="bot", entry=entry))
        self.assertIn("no cursor bot", self.bob.refuse(api.DropCursor(cursor="bot", who="carol"), UserError))
        self.assertEqual(self.cursors(), [("bot", None, entry)])

    def cursors(self) -> list[tuple[str, str | None, int]]:
        reply = self.bob.do(api.ShowCursors())
        assert isinstance(reply, api.Cursors)
        return [(each.cursor, None if each.person is None else each.person.name, each.entry) for each in reply.cursors]

    def test_seen_is_said_later(self) -> None:
        """What was dealt with while the other was away is told as seen when they come back."""
        self.open()
        self.say("one")
        (entry,) = self.entries(api.Receive(cursor="bot"))
        self.alice.crash()
        self.bob.do(api.MoveCursor(cursor="bot", entry=entry))
        again = self.alice.again()
        self.world.wait(60)
        self.assertEqual([event.numbers for event in again.told(api.Seen)], [(1,)])

    def test_after_a_restart(self) -> None:
        """A cursor outlives the peer."""
        self.open()
        self.say("one", "two")
        self.bob.do(api.MoveCursor(cursor="bot", entry=self.entries(api.Receive(cursor="bot"))[0]))
        self.bob.crash()
        self.bob = self.bob.again()
        self.assertEqual(self.receive(), ["two"])

    def test_one_that_dies_holding_a_cursor_on_the_local_socket(self) -> None:
        """Programs that die while they ask or confirm harm nobody: the next one goes on where the cursor stands."""
        self.open()
        self.say("one", "two")
        first = self.entries(api.Receive(cursor="bot"))[0]
        execute = json_execute(api.Command, lambda each: Deferred.fromCoroutine(self.bob.commands.execute(each)))
        ended: list[LocalConnection] = []
        for command, dies_at in (
            ({"type": "receive", "cursor": "bot"}, 1),
            ({"type": "receive", "cursor": "bot"}, None),
            ({"type": "move-cursor", "cursor": "bot", "entry": first}, 20),
            ({"type": "move-cursor", "cursor": "bot", "entry": first}, None),
        ):
            before = self.receive()
            connection = LocalConnection(execute, None, self.world.clock, lambda _: None, ended.append)
            connection.makeConnection(StringTransport())
            line = json.dumps({"version": 1, "request": 1, "command": command}).encode() + b"\n"
            connection.dataReceived(line[:dies_at])
            connection.connectionLost(Failure(ConnectionError()))
            self.world.settle()
            moved = command["type"] == "move-cursor" and dies_at is None
            self.assertEqual(self.receive(), ["two"] if moved else before)
        self.assertEqual(len(ended), 4)
        self.say("three")
        self.assertEqual(self.receive(), ["two", "three"])

    def test_refused(self) -> None:
        """A cursor cannot be moved beyond what there is, nor have a name that cannot be written."""
        self.open()
        self.say("one")
        for command in (
            api.MoveCursor(cursor="bot", entry=10**9),
            api.MoveCursor(cursor="bot", entry=-1),
            api.MoveCursor(cursor="", entry=1),
            api.Receive(cursor="x" * 65),
            api.Receive(cursor="a\nb"),
        ):
            self.bob.refuse(command, UsageError)
        self.bob.refuse(api.Receive(cursor="bot", who=NOBODY), NoSuchContact)
        self.assertEqual(self.receive(), ["one"])
        self.bob.do(api.MoveCursor(cursor="bot", entry=self.entries(api.Receive(cursor="bot"))[0]))
        self.patch(history, "MAX_CURSORS", 1)
        # Not only when it is moved: its program has done by then what it would do again.
        self.bob.refuse(api.Receive(cursor="other"), UserError)
        self.bob.refuse(api.MoveCursor(cursor="other", entry=1), UserError)
        self.assertEqual(self.receive(), [])
