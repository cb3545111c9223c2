"""What waits for somebody goes out by itself when they can be reached, over restarts of either side."""

from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.core.messages import Listing, RosterPage
from p2pchat.core.records import make_record
from p2pchat.core.roster_view import RosterView
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA
from tests.company import WALL, Node
from tests.rosters import SERVER
from tests.test_history import HistoryTests


class SeekingTests(HistoryTests):
    """Bob is away, and alice says something to him without a chat."""

    def setUp(self) -> None:
        super().setUp()
        self.bob.crash()

    def on_roster(self, node: Node, other: Node) -> None:
        """A server says that somebody is online."""
        view = node.peer.people.rosters.setdefault(SERVER, RosterView(SERVER))
        record = make_record(other.identity, SERVER, other.handle, "", tuple(other.peer.listens), WALL)
        change = view.apply(RosterPage(number=1, listings=(Listing(record=record, online=True),), more=False))
        node.peer.people.online_servers.add(SERVER)
        node.peer.people.rosters_changed()
        for row in change.rows if change else ():
            talk = node.peer.talk(row.id)
            if talk is not None and talk.wanted:
                talk.pursuit.hurry()

    def test_when_they_come(self) -> None:
        """What was said while they were away arrives when they are online, in order, though no chat was open."""
        self.say("one", "two")
        self.assertEqual([event.number for event in self.alice.told(api.Queued)], [1, 2])
        self.bob = self.bob.again()
        self.on_roster(self.alice, self.bob)
        self.world.wait(60)
        self.assertEqual(self.bob.texts(), ["one", "two"])
        self.assertEqual(
            self.shown(self.alice, api.ShowLines(who="bob")), ["alice#1 one delivered", "alice#2 two delivered"]
        )

    def test_after_a_restart(self) -> None:
        """Also when our peer was started again in between, or killed right after it accepted the message."""
        self.say("one")
        self.alice.crash()
        self.bob = self.bob.again()
        self.alice = self.alice.again()
        self.on_roster(self.alice, self.bob)
        self.world.wait(60)
        self.assertEqual(self.bob.texts(), ["one"])

    def test_they_come_to_us(self) -> None:
        """It does not matter who dials."""
        self.say("one")
        self.bob = self.bob.again()
        self.bob.dials(self.alice)
        self.world.settle()
        self.assertEqual(self.bob.texts(), ["one"])

    def test_in_order(self) -> None:
        """What is said at once, before the chat is even read from the disk, keeps its order."""
        executor = InlineExecutor()
        path = self.alice.database.path
        self.alice.crash()
        self.successResultOf(self.alice.database.close())
        database = Database(path, PEER_SCHEMA, executor)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        self.alice = self.alice.again(database=database)
        executor.automatic = False
        said = []
        for number in range(9):
            said.append(Deferred.fromCoroutine(self.alice.commands.execute(api.Say(who="bob", text=str(number)))))
            executor.commit()
            executor.deliver()
        executor.run()
        executor.automatic = True
        for each in said:
            self.assertIsInstance(self.successResultOf(each), api.Accepted)
        self.assertEqual([line.text for line in self.lines(self.alice, api.ShowLines(who="bob"))], list("012345678"))

    def test_not_a_stranger(self) -> None:
        """Who is no contact, and with whom no chat is open any more, is not sought: nothing is accepted for them."""
        self.bob = self.bob.again()
        carol = self.world.node("carol")
        self.on_roster(carol, self.bob)
        carol.dials(self.bob)
        self.world.settle()
        self.bob.do(api.Accept(who="carol"))
        self.say("hello", node=carol)
        self.assertEqual(self.bob.texts(), ["hello"])
        carol.do(api.Close(who="bob"))
        self.assertIn("/connect", carol.refuse(api.Say(who="bob", text="still there?"), UserError))

    def test_closed_and_said_again(self) -> None:
        """To a contact whose chat was closed one can write again: that opens it."""
        self.bob = self.bob.again()
        self.open()
        self.alice.do(api.Close(who="bob"))
        self.world.wait(60)
        self.assertIsNone(self.alice.link_with(self.bob))
        self.say("one more thing")
        self.world.wait(60)
        self.assertEqual(self.bob.texts(), ["one more thing"])

    def test_not_whom_we_blocked(self) -> None:
        """Nobody writes to whom they blocked; what waited stays."""
        self.say("one")
        self.alice.do(api.Block(who="bob"))
        self.alice.refuse(api.Say(who="bob", text="two"), UserError)
        self.bob = self.bob.again()
        self.on_roster(self.alice, self.bob)
        self.world.wait(60)
        self.assertEqual(self.bob.texts(), [])
