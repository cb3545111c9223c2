"""p2pchat.peer.link_commands: how long an answer takes, and dialling again now; from typed text to effect."""

from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.core.errors import EndCode, NoSuchContact, NotInTime, UserError
from p2pchat.core.messages import Pong
from p2pchat.peer.link_commands import ANSWER_WITHIN
from p2pchat.peer.pursuit import QUIET_FOR
from p2pchat.peer.round_trips import FRESH
from p2pchat.peer.server_link import SILENT_FOR
from tests.company import Node
from tests.consoles import Desk
from tests.test_peer_commands import CommandTests
from tests.test_server_link import ServerLinkTests


def asked(node: Node, who: str) -> "Deferred[api.Reply]":
    """A ping that is on its way."""
    return Deferred.fromCoroutine(node.commands.execute(api.Ping(who=who)))


class PingTests(CommandTests):
    """Of somebody."""

    def trip(self, who: str, seconds: float) -> api.RoundTrip:
        """What a ping tells that is answered after some time."""
        done = asked(self.alice, who)
        self.world.clock.advance(seconds)
        self.world.settle()
        reply = self.successResultOf(done)
        assert isinstance(reply, api.RoundTrips)
        [trip] = reply.trips
        return trip

    def test_answered(self) -> None:
        """The time from the ping to its pong is told, with the path and the address at the other end."""
        self.open()
        trip = self.trip("bob", 0.0125)
        assert trip.person is not None
        self.assertEqual((trip.person.name, trip.path, trip.address), ("bob", "direct", self.bob.host))
        self.assertAlmostEqual(trip.milliseconds or 0, 12.5, places=3)

    def test_typed(self) -> None:
        """/ping in a chat says it in a line, while one types on."""
        self.open()
        desk = Desk(self.alice)
        rows = desk.type("/connect bob", "/ping")
        self.assertRegex(rows[-1], rf"^-- bob answered in [0-9.]+ ms; direct, {self.bob.host}$")

    def test_no_link(self) -> None:
        """Where there is no link, the line says what makes one."""
        self.assertIn("/connect bob", self.alice.refuse(api.Ping(who="bob"), UserError))
        self.alice.dials(self.bob, typed=False)
        self.assertIn("/reconnect bob", self.alice.refuse(api.Ping(who="bob"), UserError))
        self.alice.refuse(api.Ping(who="nobody"), NoSuchContact)
        self.assertIn("p2pchat join", self.alice.refuse(api.Ping(), UserError))

    def test_no_answer(self) -> None:
        """A link on which nothing comes is told within some seconds; a late answer breaks nothing."""
        self.open()
        self.world.cut(self.alice, self.bob)
        done = asked(self.alice, "bob")
        self.world.wait(ANSWER_WITHIN + 1)
        error = str(self.failureResultOf(done, NotInTime).value)
        self.assertEqual(error, "bob did not answer within 5 s; /reconnect bob makes a new link")
        [wire] = self.world.between(self.alice, self.bob)
        wire.cut = False
        self.world.settle()
        self.assertEqual(self.trip("bob", 0).address, self.bob.host)

    def test_link_ends(self) -> None:
        """A link that ends meanwhile answers no more."""
        self.open()
        self.world.cut(self.alice, self.bob)
        done = asked(self.alice, "bob")
        link = self.alice.link_with(self.bob)
        assert link is not None
        link.abort()
        self.world.settle()
        self.failureResultOf(done, NotInTime)

    def test_without_end(self) -> None:
        """However often a program asks, a link carries one ping a second: the other side would end it."""
        self.open()
        link = self.alice.link_with(self.bob)
        assert link is not None and link._session is not None
        together = [asked(self.alice, "bob") for _ in range(200)]
        self.world.settle()
        for each in together:
            self.successResultOf(each)
        number = link._session._pings
        for _ in range(200):
            self.successResultOf(asked(self.alice, "bob"))
        self.assertEqual(link._session._pings, number)
        self.world.clock.advance(FRESH)
        self.trip("bob", 0)
        self.assertEqual(link._session._pings, number + 1)
        self.assertIs(self.alice.link_with(self.bob), link)


class ReconnectTests(CommandTests):
    """Somebody."""

    def test_dead_link(self) -> None:
        """A link that seems dead is dropped and made anew; what waits goes out over the new one, in order."""
        self.open()
        desk = Desk(self.alice)
        desk.type("/connect bob", "one")
        self.world.wait(QUIET_FOR)
        self.world.cut(self.alice, self.bob)
        desk.type("two", "three")
        before = self.alice.link_with(self.bob)
        rows = desk.type("/reconnect bob")
        self.assertIn("-- dialling bob ...", rows)
        self.world.wait(2)
        self.assertIsNotNone(self.alice.link_with(self.bob))
        self.assertIsNot(self.alice.link_with(self.bob), before)
        self.assertEqual(self.bob.texts(), ["one", "two", "three"])

    def test_sought(self) -> None:
        """Whoever is being sought is dialled at once, and not after the wait that has grown."""
        self.bob.leave()
        self.alice.dials(self.bob)
        self.world.wait(120)
        self.bob.listen()
        self.bob.knows(self.alice)
        before = len(self.alice.dialler.dialled)
        reply = self.alice.do(api.Reconnect())
        assert isinstance(reply, api.Reconnecting)
        self.assertEqual([person.name for person in reply.people], ["bob"])
        self.world.wait(0.5, 0.1)
        self.assertEqual(len(self.alice.dialler.dialled), before + 1)
        self.assertIsNotNone(self.alice.link_with(self.bob))

    def test_nobody_is_hammered(self) -> None:
        """However often it is said, somebody is dialled for it once in ten seconds."""
        self.bob.leave()
        self.alice.dials(self.bob)
        self.world.wait(300)
        before = len(self.alice.dialler.dialled)
        for _ in range(100):
            result = Deferred.fromCoroutine(self.alice.commands.execute(api.Reconnect(who="bob")))
            result.addErrback(lambda failure: self.assertIn("wait a moment", str(failure.value)))
            self.world.wait(0.1, 0.1)
        self.assertLessEqual(len(self.alice.dialler.dialled), before + 2)

    def test_new_link_stays(self) -> None:
        """A link that has just been made is not dropped."""
        self.open()
        link = self.alice.link_with(self.bob)
        self.assertIn("the link is new", self.alice.refuse(api.Reconnect(who="bob"), UserError))
        self.assertIs(self.alice.link_with(self.bob), link)

    def test_nothing_to_do(self) -> None:
        """Where nobody is sought that is said; where there is no chat, how to begin one."""
        self.assertIn("nothing has to be dialled", Desk(self.alice).type("/reconnect")[0])
        self.assertIn("/connect bob", self.alice.refuse(api.Reconnect(who="bob"), UserError))


class ServerTests(ServerLinkTests):
    """A server."""

    def test_ping(self) -> None:
        """Without a chat the server is asked; it has a name, also where a chat is the current one."""
        self.start()
        for who in ("", "server", self.link.server.host):
            reply = self.alice.run(self.pinged(who))
            [trip] = reply.trips
            self.assertEqual((trip.person, trip.server, trip.path), (None, self.link.status().address, "direct"))
            self.assertEqual(trip.milliseconds, 0)
        [row] = Desk(self.alice).type("/ping")
        self.assertIn(f"the server {self.link.status().address} answered in 0.0 ms", row)

    async def pinged(self, who: str) -> api.Reply:
        done = asked(self.alice, who)
        self.world.settle()
        return await done

    def test_not_there(self) -> None:
        """A server that is lost does not answer, and it is said what to do."""
        error = self.alice.refuse(api.Ping(), NotInTime)
        self.assertIn("/reconnect server", error)

    def test_lost(self) -> None:
        """A server that is lost is dialled at once; said again, no more often than the rates allow."""
        self.link.start()
        self.world.wait(120)
        self.far.listen()
        reply = self.alice.do(api.Reconnect())
        assert isinstance(reply, api.Reconnecting)
        self.assertEqual(reply.servers, (self.link.status().address,))
        self.world.settle()
        self.assertEqual(self.states()[-1][0], "online")
        self.far.links[-1].abort()
        self.world.settle()
        dialled = len(self.alice.dialler.dialled)
        for _ in range(50):
            self.alice.refuse(api.Reconnect(), UserError)
        self.world.settle()
        self.assertEqual(len(self.alice.dialler.dialled), dialled)

    def test_silent(self) -> None:
        """A link that is up stays, unless it has fallen silent or is the one that is named."""
        self.start()
        reply = self.alice.do(api.Reconnect())
        self.assertEqual(reply, api.Reconnecting())
        for wire in self.world.wires:
            wire.cut = True
        self.world.wait(SILENT_FOR + 1)
        self.assertEqual(self.states(), [("online", "")])
        reply = self.alice.do(api.Reconnect())
        assert isinstance(reply, api.Reconnecting)
        self.assertEqual(reply.servers, (self.link.status().address,))
        self.world.wait(2)
        self.assertEqual(self.states()[-1][0], "online")
        self.world.wait(QUIET_FOR)
        rows = Desk(self.alice).type("/reconnect server")
        self.assertEqual(rows[0], f"-- dialling {self.link.status().address} ...")
        self.world.wait(2)
        self.assertEqual(self.states()[-1][0], "online")

    def test_refused(self) -> None:
        """A server that refused us is asked no sooner, and that is said."""
        self.start()
        self.far.links[-1].close(EndCode.FULL)
        self.world.settle()
        dialled = len(self.alice.dialler.dialled)
        [row] = Desk(self.alice).type("/reconnect")
        self.assertIn("refused us, and is asked again by itself", row)
        self.world.wait(5)
        self.assertEqual(len(self.alice.dialler.dialled), dialled)

    def test_pong_that_nobody_asked_for(self) -> None:
        """It is a sign of life, and tells nobody anything."""
        self.start()
        self.far.links[-1].send(Pong(number=77))
        self.world.settle()
        self.assertEqual(self.states(), [("online", "")])
