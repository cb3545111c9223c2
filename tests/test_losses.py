"""What a person can do after a database was lost or rolled back, and how they delete what was said themselves."""

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail

from p2pchat import api
from p2pchat.core.errors import NoSuchContact, StoreFull, UsageError, UserError
from p2pchat.peer import commands as peer_commands, erasing, revision
from p2pchat.peer.forgetting import AGAIN, DAY, EVERY
from p2pchat.peer.inbox import Inbox
from p2pchat.peer.settlement import SENT_AGAIN
from p2pchat.peer.timekeeping import CLOCK_SETTING
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA, PeerTables
from p2pchat.storage.remembered import StoredDoubt
from tests.company import Node, open_database
from tests.test_history import NOBODY, HistoryTests

HOUR = 3_600.0

NEW_STORE = b"a new database  "


class LossTests(HistoryTests):
    """Base: bob loses his database while alice keeps hers."""

    def lose(self, node: Node, other: Node, store: bytes = NEW_STORE) -> Node:
        """The database is deleted, and the peer starts again."""
        node.crash()
        again = node.again(database=open_database(self), store=store)
        again.knows(other)
        return again

    def back(self) -> None:
        """Bob has lost his database, and has a link with alice again."""
        self.bob = self.lose(self.bob, self.alice)
        self.world.wait(60)
        self.assertIsNotNone(self.alice.link_with(self.bob))

    def doubts(self, node: Node) -> list[tuple[str, bool, int, int]]:
        reply = node.do(api.ShowDoubts())
        assert isinstance(reply, api.Doubts)
        return [(doubt.person.name, doubt.mine, doubt.first, doubt.last) for doubt in reply.doubts]

    def copy(self, node: Node) -> Database[PeerTables]:
        """What is in a database now, as another one."""
        path = Path(self.mktemp())
        source = node.database.path
        for suffix in ("", "-wal"):
            if Path(f"{source}{suffix}").exists():
                Path(f"{path}{suffix}").write_bytes(Path(f"{source}{suffix}").read_bytes())
        return open_database(self, str(path))

    def server_agrees(self, ahead: int = 0) -> None:
        """A server's clock is with ours, or so many ms behind."""
        self.patch(peer_commands, "told_by", lambda servers: [ahead])

    def texts_here(self, node: Node, who: str) -> list[str]:
        return [line.text for line in self.lines(node, api.ShowLines(who=who))]


class DoubtTests(LossTests):
    def test_remembered_until_decided(self) -> None:
        """What the lost database had is in doubt until the person sends it again, over restarts, and is told once."""
        self.open()
        self.say(*(f"message {number}" for number in range(1, 6)))
        self.back()
        self.assertEqual(self.doubts(self.alice), [("bob", True, 1, 5)])
        (told,) = self.alice.told(api.Doubt)
        self.assertTrue(told.waits)
        self.assertLess(self.world.wall - told.at, 120_000)
        self.alice.crash()
        self.alice = self.alice.again()
        self.assertEqual(self.doubts(self.alice), [("bob", True, 1, 5)])
        self.alice.do(api.LeaveIt(who="bob"))
        self.assertEqual(self.doubts(self.alice), [])
        self.assertIn("nothing is in doubt", self.alice.refuse(api.LeaveIt(who="bob"), UserError))
        self.world.wait(60)
        self.assertEqual(self.bob.texts(), [])

    def test_nothing_in_doubt(self) -> None:
        """Where the other had nothing yet, nothing is in doubt."""
        self.say("waits")
        self.bob = self.lose(self.bob, self.alice)
        self.open()
        self.assertEqual((self.doubts(self.alice), self.bob.texts()), ([], ["waits"]))


class ResetTests(LossTests):
    """Alice goes back to an older database, and bob is told which of her numbers are in doubt."""

    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.say("one", "two")
        self._older = self.copy(self.alice)
        self.say("three", "four")
        self.alice.crash()

    def roll_back(self) -> None:
        self.alice = self.alice.again(database=self._older)
        self.alice.knows(self.bob)
        self.world.wait(60)

    def test_told_and_forgotten(self) -> None:
        """Once the reader was told there is nothing to decide."""
        self.roll_back()
        ((first, last),) = [(doubt.first, doubt.last) for doubt in self.bob.told(api.Doubt)]
        self.assertEqual((first, last), (3, 4))
        self.assertEqual(self.doubts(self.bob), [])

    def test_nobody_to_tell(self) -> None:
        """Where no front end is there, a reader keeps it for the next one that asks, also over a start."""
        self.bob.heard = False
        self.roll_back()
        self.assertEqual(self.doubts(self.bob), [("alice", False, 3, 4)])
        self.bob.crash()
        self.bob = self.bob.again()
        self.assertEqual(self.doubts(self.bob), [("alice", False, 3, 4)])
        (doubt,) = self.bob.do(api.ShowDoubts()).doubts  # type: ignore[union-attr]
        self.assertTrue(doubt.here)

    def test_a_reader_that_dies_before_it_tells(self) -> None:
        """What a reader could not tell before it died it has when it is back."""
        dying = self.bob

        def die(inbox: Inbox, stored: object, now: int, tells_doubts: bool) -> None:
            dying.crash()
            raise InterruptedError

        self.patch(Inbox, "_tell", die)
        self.roll_back()
        self.flushLoggedErrors(InterruptedError)
        self.assertEqual(dying.told(api.Doubt), [])
        self.bob = dying.again()
        self.assertEqual(self.doubts(self.bob), [("alice", False, 3, 4)])

    def test_what_is_to_be_decided_stays(self) -> None:
        """A doubt that waits for a decision does not vanish with one that is told and overlaps it."""
        (talk,) = self.bob.peer.talks().values()
        waiting = StoredDoubt(talk.chat.two.conversation, False, 4, 4, 1)
        self.successResultOf(self.bob.database.write(lambda tables: tables.doubts.put(waiting)))
        self.roll_back()
        self.assertEqual(len(self.bob.told(api.Doubt)), 1)
        self.assertEqual([each[2:] for each in self.doubts(self.bob)], [(4, 4)])


class RolledBackReaderTests(LossTests):
    """Bob goes back to an older database: what he lost of alice's is sent again, and she is told that it was lost."""

    def roll_back(self) -> None:
        self.open()
        self.say("one", "two")
        older = self.copy(self.bob)
        self.say("three")
        self.bob.crash()
        self.bob = self.bob.again(database=older)
        self.bob.knows(self.alice)
        self.world.wait(60)
        self.assertEqual([doubt.explanation for doubt in self.alice.told(api.Doubt)], [SENT_AGAIN])

    def test_told_and_forgotten(self) -> None:
        """Once she was told there is nothing to decide."""
        self.roll_back()
        self.assertEqual(self.doubts(self.alice), [])

    def test_nobody_to_tell(self) -> None:
        """Where no front end is there, it is kept for the next one that asks."""
        self.alice.heard = False
        self.roll_back()
        self.assertEqual(self.doubts(self.alice), [("bob", True, 3, 3)])


class ResendTests(LossTests):
    def test_send_again(self) -> None:
        """The numbers that were named arrive again, under them, once and in order; new ones after them."""
        self.open()
        self.say(*(f"message {number}" for number in range(1, 6)))
        self.back()
        self.assertEqual(self.alice.do(api.Resend(who="bob", first=2, last=4)), api.Resent(count=3))
        self.assertEqual(self.bob.texts(), ["message 2", "message 3", "message 4"])
        self.assertEqual([event.number for event in self.bob.told(api.Said)], [2, 3, 4])
        self.assertEqual(self.doubts(self.alice), [("bob", True, 1, 1), ("bob", True, 5, 5)])
        self.assertEqual(self.alice.peer.people.person(self.bob.id).unsent, 0)
        self.say("message 6")
        self.assertEqual(self.bob.texts()[-1], "message 6")
        self.assertEqual(self.alice.do(api.Resend(who="bob", first=1, last=99)), api.Resent(count=6))
        self.assertEqual(
            self.bob.texts()[4:],
            ["message 1", "message 5"],
            "the rest is there already",
        )
        self.assertEqual(self.doubts(self.alice), [])
        self.assertEqual(
            [line.number for line in self.lines(self.alice, api.ShowLines(who="bob"))],
            [1, 2, 3, 4, 5, 6],
            "they stand where they stood",
        )

    def test_while_away(self) -> None:
        """What is sent again waits like everything else, and survives a restart; it cannot be taken back."""
        self.open()
        self.say("one", "two")
        self.back()
        self.world.cut(self.alice, self.bob)
        self.world.wait(60)
        self.bob.crash()
        self.assertEqual(self.alice.do(api.Resend(who="bob", first=1, last=2)), api.Resent(count=2))
        self.assertEqual(self.alice.peer.people.person(self.bob.id).unsent, 2)
        self.assertIn(
            "may have left",
            self.alice.refuse(api.Cancel(who="bob", number=1), UserError),
        )
        self.assertEqual(
            self.alice.do(api.Resend(who="bob", first=1, last=2)),
            api.Resent(count=0),
            "it waits already",
        )
        self.alice.crash()
        self.alice = self.alice.again()
        self.bob = self.bob.again(store=NEW_STORE)
        self.world.wait(90)
        self.assertEqual(self.bob.texts(), ["one", "two"])

    def test_they_have_it(self) -> None:
        """What is there already is acknowledged and not shown again."""
        self.open()
        self.say("one", "two")
        self.assertEqual(self.alice.do(api.Resend(who="bob", first=1, last=2)), api.Resent(count=2))
        self.assertEqual(self.bob.texts(), ["one", "two"])
        self.assertEqual(
            self.shown(self.alice, api.ShowLines(who="bob")),
            ["alice#1 one delivered", "alice#2 two delivered"],
        )

    def test_rolled_back_after_it(self) -> None:
        """A reader that is rolled back to before what was sent again still gets all of it, once."""
        self.open()
        self.say("one", "two", "three")
        backup = self.copy(self.bob)
        self.say("four")
        self.alice.do(api.Resend(who="bob", first=2, last=3))
        self.say("five")
        self.bob.crash()
        self.bob = self.bob.again(database=backup)
        self.world.wait(60)
        self.assertEqual(self.texts_here(self.bob, "alice"), ["one", "two", "three", "four", "five"])
        self.assertEqual(self.bob.texts(), ["four", "five"])

    def test_refused(self) -> None:
        """Ranges that are none, and people with whom nothing was said, are refused."""
        self.say("one")
        self.alice.refuse(api.Resend(who="bob", first=2, last=1), UsageError)
        self.alice.refuse(api.Resend(who="bob", first=0, last=1), UsageError)
        self.alice.refuse(api.Resend(who=NOBODY, first=1, last=1), NoSuchContact)
        self.assertEqual(self.alice.do(api.Resend(who="bob", first=7, last=9)), api.Resent(count=0))


class FetchTests(LossTests):
    def test_fetch(self) -> None:
        """Who lost their database gets the older messages on request, marked as history; a program never sees them."""
        self.open()
        self.say(*(f"message {number}" for number in range(1, 6)))
        self.say("mine", node=self.bob, who="alice")
        self.back()
        self.say("new")
        self.assertEqual(self.doubts(self.bob), [("alice", False, 1, 5)])
        self.bob.do(api.FetchHistory(who="alice"))
        said = [(event.text, event.number, event.history) for event in self.bob.told(api.Said)]
        self.assertEqual(
            said,
            [
                ("new", 6, False),
                *((f"message {number}", number, True) for number in range(1, 6)),
            ],
        )
        (fetched,) = self.bob.told(api.HistoryFetched)
        self.assertEqual((fetched.count, fetched.complete), (5, True))
        self.assertEqual(self.doubts(self.bob), [])
        self.assertEqual(
            self.texts_here(self.bob, "alice"),
            [*(f"message {number}" for number in range(1, 6)), "new"],
        )
        received = self.lines(self.bob, api.Receive(cursor="bot"))
        self.assertEqual([line.text for line in received], ["new"])
        self.assertEqual(len(self.lines(self.bob, api.Search(words="message"))), 5)
        self.assertIn("nothing older", self.bob.refuse(api.FetchHistory(who="alice"), UserError))

    def test_taken_back(self) -> None:
        """What its author took back before it left is none of the messages that came."""
        self.open()
        self.bob.crash()
        self.world.wait(60)
        self.say("one", "never mind", "two")
        self.alice.do(api.Cancel(who="bob", number=2))
        self.bob = self.bob.again()
        self.world.wait(60)
        self.assertEqual(self.texts_here(self.bob, "alice"), ["one", "two"])
        self.back()
        self.bob.do(api.FetchHistory(who="alice"))
        (fetched,) = self.bob.told(api.HistoryFetched)
        self.assertEqual((fetched.count, fetched.complete), (2, True))

    def test_more_than_a_window(self) -> None:
        """However much that is, it comes inside the window, each once, and new messages between."""
        self.open()
        self.say(*(f"message {number}" for number in range(600)))
        self.back()
        self.bob.run(self.bob.commands.execute(api.FetchHistory(who="alice")))
        self.say("new")
        self.world.settle()
        old = [event.text for event in self.bob.told(api.Said) if event.history]
        self.assertEqual(old, [f"message {number}" for number in range(600)])
        self.assertEqual(
            [event.text for event in self.bob.told(api.Said) if not event.history],
            ["new"],
        )

    def test_what_is_deleted_there(self) -> None:
        """What the author has deleted does not come; the rest does, and people are told that it is not all."""
        self.open()
        self.say("gone", "too old")
        self.alice.do(api.Forget(who="bob"))
        self.say("kept")
        self.back()
        self.bob.do(api.FetchHistory(who="alice"))
        (fetched,) = self.bob.told(api.HistoryFetched)
        self.assertEqual((fetched.count, fetched.complete), (1, False))
        self.assertEqual(self.texts_here(self.bob, "alice"), ["kept"])
        self.bob.do(api.FetchHistory(who="alice"))
        self.assertEqual([event.count for event in self.bob.told(api.HistoryFetched)], [1, 0])

    def test_the_link_is_lost_in_between(self) -> None:
        """What did not come is asked for again over the next link; nothing comes twice."""
        self.open()
        self.say(*(f"message {number}" for number in range(300)))
        self.back()
        self.bob.run(self.bob.commands.execute(api.FetchHistory(who="alice")))
        for _ in range(6):
            ready = [plug for wire in self.world.wires for plug in wire.ready()]
            if ready:
                ready[0].wire.move(ready[0])
        self.world.drop(self.alice, self.bob)
        self.world.wait(60)
        if len(self.bob.texts()) < 300:
            self.bob.do(api.FetchHistory(who="alice"))
        self.assertEqual(
            sorted(self.bob.texts()),
            sorted({f"message {number}" for number in range(300)}),
        )

    def test_refused(self) -> None:
        """Without a link nobody can be asked."""
        self.say("one")
        self.assertIn("no link", self.alice.refuse(api.FetchHistory(who="bob"), UserError))
        self.alice.refuse(api.FetchHistory(who=NOBODY), NoSuchContact)
        self.open()
        self.assertIn("nothing older", self.bob.refuse(api.FetchHistory(who="alice"), UserError))


class ForgetTests(LossTests):
    def forget(self, node: Node, who: str) -> api.Forgotten:
        reply = node.do(api.Forget(who=who))
        assert isinstance(reply, api.Forgotten)
        return reply

    def test_nothing_is_left(self) -> None:
        """What was forgotten is gone from lines, searches and files; the reply names what is not in reach."""
        self.open()
        self.say(*(f"zqsecret{number} of mine" for number in range(150)))
        self.say("zqtheirs", node=self.bob, who="alice")
        reply = self.forget(self.alice, "bob")
        self.assertEqual((reply.count, reply.waiting), (151, 0))
        self.assertIn("what bob has", reply.out_of_reach)
        self.assertEqual(self.lines(self.alice, api.ShowLines(who="bob")), ())
        self.assertEqual(self.lines(self.alice, api.Search(words="zqtheirs")), ())
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{self.alice.database.path}{suffix}")
            if file.exists():
                self.assertNotIn(b"zqsecret", file.read_bytes())
                self.assertNotIn(b"zqtheirs", file.read_bytes())
        self.assertEqual(len(self.lines(self.bob, api.ShowLines(who="alice", count=200))), 151)

    def test_nothing_comes_back(self) -> None:
        """What was forgotten does not return, whether the link is lost or it is sent again; the numbers go on."""
        self.open()
        self.say("one", "two")
        self.forget(self.bob, "alice")
        self.world.drop(self.alice, self.bob)
        self.world.wait(60)
        self.alice.do(api.Resend(who="bob", first=1, last=2))
        self.say("three")
        self.assertEqual(self.bob.texts(), ["one", "two", "three"])
        self.assertEqual(self.texts_here(self.bob, "alice"), ["three"])
        self.assertEqual(
            [line.number for line in self.lines(self.bob, api.ShowLines(who="alice"))],
            [3],
        )

    def test_what_waits_stays(self) -> None:
        """What waits to be delivered is kept until it is, and is said so."""
        self.open()
        self.say("there")
        self.world.cut(self.alice, self.bob)
        self.say("waits")
        reply = self.forget(self.alice, "bob")
        self.assertEqual((reply.count, reply.waiting), (1, 1))
        self.world.wait(120)
        self.assertEqual(self.bob.texts(), ["there", "waits"])
        self.assertEqual(self.forget(self.alice, "bob").count, 1)

    def test_forgotten_and_then_rolled_back(self) -> None:
        """A reader that was rolled back to before what was forgotten gets what is left, and nothing is blocked."""
        self.open()
        self.say("one")
        backup = self.copy(self.bob)
        self.say("two", "three")
        self.forget(self.alice, "bob")
        self.say("four")
        self.bob.crash()
        self.bob = self.bob.again(database=backup)
        self.world.wait(60)
        self.say("five")
        self.assertEqual(self.texts_here(self.bob, "alice"), ["one", "four", "five"])
        self.assertEqual(self.alice.peer.people.person(self.bob.id).unsent, 0)

    def test_interrupted(self) -> None:
        """Wherever a process ended that was forgetting, the next one finishes it, by itself or when asked again."""
        self.open()
        self.say(*(f"zqsecret{number} of mine" for number in range(130)))
        self.alice.crash()
        whole = self.alice
        for steps in range(20):
            ended = self.interrupted(whole, api.Forget(who="bob"), steps)
            self.alice = self.alice.again(database=self.left_behind())
            if not ended:
                break
            if steps % 2:
                self.alice.commands.look()
            else:
                self.forget(self.alice, "bob")
            self.assert_gone()
            self.alice.crash()
        self.assertGreater(steps, 4)

    def test_interrupted_by_age(self) -> None:
        """So it is where what is too old was being deleted."""
        self.server_agrees()
        self.open()
        self.say(*(f"zqsecret{number} of mine" for number in range(130)))
        self.world.wall += 10 * DAY
        self.alice.crash()
        whole = self.alice
        for steps in range(20):
            ended = self.interrupted(whole, api.SetRetention(days=5), steps)
            self.alice = self.alice.again(database=self.left_behind())
            if not ended:
                break
            self.alice.do(api.SetRetention(days=5))
            self.alice.commands.look()
            self.assert_gone()
            self.alice.crash()
        self.assertGreater(steps, 4)

    def interrupted(self, whole: Node, command: api.Command, steps: int) -> bool:
        """Execute a command at a process that ends after so many writes; whether that was before the command's end."""
        database = self.copy(whole)
        node = whole.again(database=database)
        write = database.write
        left = iter(range(steps))
        self.patch(
            database,
            "write",
            lambda *args, **named: Deferred() if next(left, None) is None else write(*args, **named),
        )
        done = Deferred.fromCoroutine(node.commands.execute(command))
        node.crash()
        self.cut = node
        return not done.called

    def left_behind(self) -> Database[PeerTables]:
        """The files of the process that ended, and beside them the copy of an upgrade."""
        database = self.copy(self.cut)
        self.upgrade_copy(database).write_bytes(b"zqsecret")
        return database

    def upgrade_copy(self, database: Database[PeerTables]) -> Path:
        return Path(f"{database.path}.version-1")

    def assert_gone(self) -> None:
        path = self.alice.database.path
        files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", ".version-1")]
        self.assertEqual(
            [file.name for file in files if file.exists() and b"zqsecret" in file.read_bytes()],
            [],
        )
        self.assertIsNone(self.successResultOf(self.alice.database.read(erasing.noted)))

    def test_copy_that_cannot_be_removed(self) -> None:
        """A trace that cannot be removed is named, once by itself; it is gone as soon as that is possible."""
        self.open()
        self.say("zqsecret")
        copy = self.upgrade_copy(self.alice.database)
        copy.mkdir()
        self.assertIn(
            f"the copy of {self.alice.database.path}",
            self.forget(self.alice, "bob").traces,
        )
        for _ in range(3):
            self.world.clock.advance(EVERY)
            self.alice.commands.look()
        (problem,) = [each.text for each in self.alice.told(api.Problem)]
        self.assertIn("what was deleted is not gone yet: the copy of", problem)
        copy.rmdir()
        copy.write_bytes(b"zqsecret")
        self.world.clock.advance(AGAIN)
        self.alice.commands.look()
        self.assert_gone()

    def test_disk_that_is_full(self) -> None:
        """Where there is no room to delete the rest, that is said, and it is deleted when there is."""
        self.open()
        self.say(*(f"zqsecret{number} of mine" for number in range(130)))
        self.alice.commands.look()
        write, full = (
            self.alice.database.write,
            StoreFull("no room on the disk; make room"),
        )
        left = iter(range(2))
        self.patch(
            self.alice.database,
            "write",
            lambda *args, **named: fail(full) if next(left, None) is None else write(*args, **named),
        )
        self.assertEqual(
            self.alice.refuse(api.Forget(who="bob"), UserError),
            "not all is deleted yet, the rest as soon as it can be: no room on the disk; make room",
        )
        self.patch(self.alice.database, "write", write)
        self.world.clock.advance(AGAIN)
        self.alice.commands.look()
        self.assert_gone()

    def test_what_comes_meanwhile_stays(self) -> None:
        """What was said after an interrupted forgetting is not deleted by its end."""
        self.open()
        self.say("zqsecret")
        self.alice.crash()
        self.assertTrue(self.interrupted(self.alice, api.Forget(who="bob"), 1))
        self.alice = self.alice.again(database=self.left_behind())
        self.say("new")
        self.alice.commands.look()
        self.assert_gone()
        self.assertEqual(self.texts_here(self.alice, "bob"), ["new"])

    def at_scrub(self, command: api.Command) -> "list[Deferred[api.Reply]]":
        """Have a command executed while what was deleted first is being made to be gone."""
        database, begun = self.alice.database, list[Deferred[api.Reply]]()
        write = database.write

        def write_and_begin(operation: Any, scrub: bool = False) -> Deferred[Any]:
            if scrub and not begun:
                begun.append(Deferred[api.Reply]())  # before: the command writes too
                begun[0] = Deferred.fromCoroutine(self.alice.commands.execute(command))
            return write(operation, scrub)

        self.patch(database, "write", write_and_begin)
        return begun

    def test_while_another_is_forgotten(self) -> None:
        """Who is forgotten while somebody else is being forgotten is forgotten as well."""
        carol = self.world.node("carol")
        carol.knows(self.alice)
        self.alice.knows(carol)
        self.open()
        self.alice.dials(carol)
        self.world.settle()
        self.say("zqsecret one", "zqsecret two")
        self.say("zqsecret three", who="carol")
        begun = self.at_scrub(api.Forget(who="bob"))
        self.assertEqual(self.forget(self.alice, "carol").count, 1)
        (reply,) = map(self.successResultOf, begun)
        assert isinstance(reply, api.Forgotten)
        self.assertEqual(reply.count, 2)
        self.assertEqual(self.texts_here(self.alice, "bob"), [])
        self.assert_gone()

    def test_while_what_is_too_old_is_deleted(self) -> None:
        """So is who is forgotten while what is too old is being deleted; what is said from then on stays."""
        self.server_agrees()
        self.open()
        self.say("zqsecret, too old")
        self.world.wall += 10 * DAY
        self.say("zqsecret")
        begun = self.at_scrub(api.Forget(who="bob"))
        self.alice.do(api.SetRetention(days=5))
        (reply,) = map(self.successResultOf, begun)
        assert isinstance(reply, api.Forgotten)
        self.assertEqual((reply.count, self.texts_here(self.alice, "bob")), (1, []))
        self.assert_gone()

    def test_nothing_to_forget(self) -> None:
        """Where nothing was said nothing is deleted; somebody unknown cannot be forgotten."""
        self.assertEqual(self.forget(self.alice, "bob").count, 0)
        self.alice.refuse(api.Forget(who=NOBODY), NoSuchContact)


class RetentionTests(LossTests):
    def setUp(self) -> None:
        super().setUp()
        self.server_agrees()

    def pass_days(self, days: int) -> None:
        self.world.wall += days * DAY

    def test_enforced(self) -> None:
        """What is older than the person keeps is deleted at once, at the start, and every hour; newer stays."""
        self.open()
        self.say("old")
        self.pass_days(10)
        self.say("newer")
        self.alice.do(api.SetRetention(days=7))
        self.assertEqual(self.texts_here(self.alice, "bob"), ["newer"])
        self.pass_days(10)
        self.alice.commands.look()
        self.assertEqual(self.texts_here(self.alice, "bob"), [])
        self.say("newest")
        self.pass_days(10)
        self.alice.commands.look()
        self.assertEqual(self.texts_here(self.alice, "bob"), ["newest"], "an hour has not passed")
        self.world.clock.advance(EVERY)
        self.alice.commands.look()
        self.assertEqual(self.texts_here(self.alice, "bob"), [])
        self.assertEqual(len(self.texts_here(self.bob, "alice")), 3)

    def test_for_one_chat(self) -> None:
        """A chat may have a setting of its own; without one it has that of all; None keeps everything."""
        carol = self.world.node("carol")
        carol.knows(self.alice)
        self.alice.knows(carol)
        self.open()
        self.alice.dials(carol)
        self.world.settle()
        self.say("to bob")
        self.say("to carol", who="carol")
        self.pass_days(10)
        self.alice.do(api.SetRetention(days=None, who="bob"))
        self.alice.do(api.SetRetention(days=5))
        self.assertEqual(
            (self.texts_here(self.alice, "bob"), self.texts_here(self.alice, "carol")),
            (["to bob"], []),
        )
        self.alice.do(api.SetRetention(days=5, who="bob"))
        self.assertEqual(self.texts_here(self.alice, "bob"), [])

    def test_changed_while_it_is_enforced(self) -> None:
        """Who says to keep what is just being deleted keeps what is left of it."""
        self.patch(revision, "ERASED_AT_ONCE", 2)
        self.open()
        self.say(*"123456")
        self.pass_days(10)
        self.alice.crash()
        self.successResultOf(self.alice.database.close())
        executor = InlineExecutor()
        database = Database(self.alice.database.path, PEER_SCHEMA, executor)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        self.alice = self.alice.again(database=database)
        executor.automatic = False
        erase, steps = revision.erase, []

        def erase_some(*arguments: Any) -> tuple[int, int]:
            steps.append(arguments)
            return erase(*arguments)

        self.patch(revision, "erase", erase_some)
        commands = [api.SetRetention(days=7, who="bob"), api.SetRetention(days=None, who="bob")]
        said = [Deferred.fromCoroutine(self.alice.commands.execute(commands[0]))]
        while not steps:
            executor.commit()
            executor.deliver()
        said.append(Deferred.fromCoroutine(self.alice.commands.execute(commands[1])))
        executor.run()
        executor.automatic = True
        for each in said:
            self.successResultOf(each)
        self.assertEqual(self.texts_here(self.alice, "bob"), ["5", "6"])

    def test_what_waits_stays(self) -> None:
        """What waits to be delivered is never too old."""
        self.say("waits")
        self.pass_days(100)
        self.alice.do(api.SetRetention(days=1))
        self.open()
        self.assertEqual(self.bob.texts(), ["waits"])

    def test_refused(self) -> None:
        """No days, or people with whom nothing was said."""
        for days in (0, -1, 10**9):
            self.alice.refuse(api.SetRetention(days=days), UsageError)
        self.alice.refuse(api.SetRetention(days=1, who=NOBODY), NoSuchContact)
        self.alice.refuse(api.SetRetention(days=1, who="bob"), UserError)


class ClockTests(LossTests):
    """What is deleted by a clock that was set."""

    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.say("old")
        self.run_for(3 * HOUR)
        self.alice.do(api.SetRetention(days=7))
        self.said_before = len(self.alice.told(api.Problem))

    def run_for(self, seconds: float) -> None:
        """Time goes by as both clocks have it."""
        while seconds > 0:
            self.world.clock.rightNow += AGAIN
            self.world.wall += int(AGAIN * 1000)
            seconds -= AGAIN
            self.alice.commands.look()

    def start_again(self) -> None:
        self.alice.crash()
        self.alice = self.alice.again()

    def assert_kept(self) -> None:
        self.assertEqual(self.texts_here(self.alice, "bob"), ["old"])

    def problems(self) -> list[str]:
        return [each.text for each in self.alice.told(api.Problem)]

    def test_jump(self) -> None:
        """While the clock is a year ahead, and no server is there, nothing is deleted, which is said once."""
        self.world.wall += 365 * DAY
        self.run_for(3 * HOUR)
        self.assert_kept()
        (problem,) = self.problems()
        self.assertIn("clock is 365 days ahead", problem)

    def test_jump_back(self) -> None:
        """Once it is set right everything goes on, without a word more; a second jump is said again."""
        for times in (1, 2):
            self.world.wall += 365 * DAY
            self.run_for(2 * HOUR)
            self.world.wall -= 365 * DAY
            self.run_for(2 * HOUR)
            self.assertEqual(len(self.problems()), times)
        self.assert_kept()
        self.run_for(7 * 24 * HOUR)
        self.assertEqual(self.texts_here(self.alice, "bob"), [])

    def test_asked_at_the_start(self) -> None:
        """Who sets a time while the clock is looked at for the first time does not make it look at twice."""
        self.world.wall += 20 * DAY
        self.start_again()
        read, held = self.alice.database.read, list[Deferred[None]]()

        def read_later(*arguments: Any, **named: Any) -> Deferred[Any]:
            held.append(Deferred[None]())
            return held[-1].addCallback(lambda _: read(*arguments, **named))

        self.patch(self.alice.database, "read", read_later)
        self.alice.commands.look()
        said = Deferred.fromCoroutine(self.alice.commands.execute(api.SetRetention(days=7)))
        for each in held:  # grows
            each.callback(None)
        self.successResultOf(said)
        (problem,) = self.problems()
        self.assertIn("clock is 20 days ahead", problem)

    def test_server(self) -> None:
        """A server that has the same time settles it, without a word; one that has another does not."""
        self.world.wall += 365 * DAY
        self.server_agrees(ahead=365 * DAY)
        self.run_for(AGAIN)
        self.assert_kept()
        self.server_agrees()
        self.run_for(AGAIN)
        self.assertEqual((self.texts_here(self.alice, "bob"), self.problems()), ([], []))

    def test_a_day_later(self) -> None:
        """Without a server it is believed after a day of running, over restarts."""
        self.world.wall += 365 * DAY
        self.run_for(20 * HOUR)
        self.start_again()
        self.run_for(3 * HOUR)
        self.assert_kept()
        self.run_for(3 * HOUR)
        self.assertEqual(self.texts_here(self.alice, "bob"), [])

    def test_restart(self) -> None:
        """A clock that was set before a start, or is still wrong after it, is doubted just as well."""
        for _ in range(3):
            self.start_again()
            self.world.wall += 365 * DAY
            self.start_again()
            self.run_for(3 * HOUR)
            self.say("meanwhile")
            self.assertIn("old", self.texts_here(self.alice, "bob"))
            self.assertEqual(len(self.problems()), 1)

    def test_begun_behind(self) -> None:
        """What comes before the clock of a machine is set right is as old as that, and no older."""
        self.server_agrees()
        for behind in (30, 20_000):
            self.alice.crash()
            self.world.wall += 30 * DAY
            self.say("just come", node=self.bob, who="alice")
            right = self.world.wall
            self.world.wall -= behind * DAY
            self.alice = self.alice.again()
            self.alice.commands.look()
            self.open()
            self.say("mine")
            self.world.wall = right
            self.run_for(2 * HOUR)
            here = self.texts_here(self.alice, "bob")
            self.assertIn("just come", here)
            self.assertEqual("mine" in here, behind > 30)
            self.run_for(8 * 24 * HOUR)
            self.assertEqual(self.texts_here(self.alice, "bob"), [])

    def test_first_start(self) -> None:
        """A store of an older version knows at least when something came last."""
        self.successResultOf(self.alice.database.write(lambda tables: tables.settings.delete(CLOCK_SETTING)))
        self.alice.crash()
        self.world.wall += 365 * DAY
        self.alice = self.alice.again()
        self.run_for(HOUR)
        self.assert_kept()

    def test_short_absence(self) -> None:
        """Who was away for a week is not doubted."""
        self.alice.crash()
        self.world.wall += 7 * DAY
        self.alice = self.alice.again()
        self.alice.commands.look()
        self.assertEqual((self.texts_here(self.alice, "bob"), self.problems()), ([], []))

    def test_set_by_hand(self) -> None:
        """Who sets it while the clock is doubted is told at once."""
        self.world.wall += 365 * DAY
        self.alice.do(api.SetRetention(days=1))
        self.assert_kept()
        self.assertEqual(len(self.problems()), 1)

    def test_damaged(self) -> None:
        """What is stored of the clock and makes no sense is left out."""
        self.successResultOf(self.alice.database.write(lambda tables: tables.settings.set(CLOCK_SETTING, b"{")))
        self.start_again()
        self.run_for(HOUR)
        self.assert_kept()
