"""The link to a rendezvous server: against a server that says what a test makes it say, and against a real one."""

from collections.abc import Callable
from typing import Any

from msgspec import structs
from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.core.errors import EndCode, StoreFull
from p2pchat.core.identity import Domain, format_id
from p2pchat.core.messages import (
    DIAL_BACK,
    VERSION,
    Accept,
    Address,
    Bye,
    Changes,
    Declined,
    DialBack,
    DialledBack,
    Hello,
    Listing,
    Record,
    Register,
    Registered,
    RosterPage,
    Select,
    ServerHello,
    Signed,
    Watch,
)
from p2pchat.core.records import check_record, make_record
from p2pchat.core.session import Session
from p2pchat.core.states import Side
from p2pchat.net.certificates import own_credentials
from p2pchat.net.connection import Connection, Ending, LinkKeeper, Sweep
from p2pchat.net.incidents import IncidentLog
from p2pchat.net.listener import ListenerFactory
from p2pchat.net.tls import SERVER_PROTOCOL, Authenticated, ListenerTLS, ServerDiallerTLS
from p2pchat.peer import rosters
from p2pchat.peer.dial_back import ANSWER_WITHIN
from p2pchat.peer.pursuit import LASTED
from p2pchat.peer.rosters import WRITE_EVERY
from p2pchat.peer.server_link import MAX_COUNTER_TRIES, REFUSED_WAIT, ServerLink
from p2pchat.server.handles import HandleBook
from p2pchat.server.rendezvous import Rendezvous, RendezvousFactory
from p2pchat.storage.servers import Server
from tests.company import WALL, Mute, Node, Stranger, World, WorldTests, identity_of
from tests.rosters import HOME
from tests.servers import open_database as open_server_database

HOST = "10.0.1.1"
LAB = identity_of("the server")


class FarServer(LinkKeeper):
    """A server that answers as a test wants."""

    def __init__(self, world: World, host: str = HOST) -> None:
        self.world = world
        self.host = host
        self.identity = LAB
        self.shown = LAB
        """Whose key is in the certificate."""
        self.time = WALL
        self.sweep = Sweep(world.clock)
        self.came: list[Any] = []
        self.links: list[Connection] = []
        self.endings: list[Ending] = []
        self.number = 1
        self.listings: tuple[Listing, ...] = ()
        self.proof: Callable[[bytes], bytes] = lambda exporter: self.identity.sign(Domain.SERVER, exporter)
        self.on_register: Callable[[Register], None] = lambda register: self.say(Registered(handle="alice", expires=30))
        self.on_watch: Callable[[Watch], None] = lambda watch: self.say(self.page())
        self.version = VERSION
        self.features: tuple[str, ...] = (DIAL_BACK,)

    def listen(self) -> "FarServer":
        tls = ListenerTLS(own_credentials(self.shown.private_key, WALL), [SERVER_PROTOCOL])
        factory = ListenerFactory(lambda: Connection(self, self.world.clock, self.sweep))
        self.world.listeners[self.host, 8888] = tls.wrap(factory, self.world.clock)
        return self

    def page(self) -> RosterPage:
        return RosterPage(number=self.number, listings=self.listings, more=False)

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        self.links.append(connection)
        hello = ServerHello(
            version=self.version,
            key=self.identity.key,
            proof=self.proof(authenticated.exporter),
            time=self.time,
            observed=Address(host="192.0.2.7", port=7777),
            nonce=b"S" * 16,
            features=self.features,
        )
        return Session(Side.SERVER, hello, self.world.clock.seconds())

    def received(self, connection: Connection, message: Any) -> None:
        self.came.append(message)
        if isinstance(message, Register):
            self.on_register(message)
        elif isinstance(message, Watch):
            self.on_watch(message)

    def writable(self, connection: Connection) -> None:
        """Nothing waits."""

    def lost(self, connection: Connection, ending: Ending) -> None:
        self.endings.append(ending)

    def say(self, *messages: Any) -> None:
        for message in messages:
            self.links[-1].send(message)

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.came if isinstance(message, kind)]


def joined(node: Node, host: str = HOST, trust: str = "pinned", identity: Any = LAB) -> ServerLink:
    """The link of a peer that joined a server; not started."""
    peer = node.peer
    server: Server = node.world.test.successResultOf(
        node.database.write(lambda tables: tables.servers.add(identity.id, host, 8888, trust, node.handle, WALL))  # type: ignore[arg-type]
    )
    view = node.run(peer.rosters.load(identity.id))
    tls = ServerDiallerTLS(node.credentials, host)
    link = ServerLink(peer.environment, server, node.dialler, tls, peer, view)  # type: ignore[arg-type]
    peer.servers.append(link)
    return link


class ServerLinkTests(WorldTests):
    """Base: alice, who joined a server."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.world.node("alice")
        self.far = FarServer(self.world)
        self.link = joined(self.alice)

    def start(self) -> None:
        self.far.listen()
        self.link.start()
        self.world.settle()

    def states(self) -> list[tuple[str, str]]:
        """What front ends were told of the server."""
        return [(event.server.state, event.server.reason) for event in self.alice.told(api.ServerChanged)]

    def counters(self) -> list[int]:
        return [check_record(register.record, LAB.id).counter for register in self.far.of(Register)]

    def stored(self) -> int:
        server = self.successResultOf(self.alice.database.read(lambda tables: tables.servers.by_id(LAB.id)))
        assert server is not None
        return server.counter

    def listing(self, name: str, counter: int = WALL, online: bool = True, *addresses: Address) -> Listing:
        at = addresses or (Address(host="10.0.0.50", port=6666),)
        return Listing(record=make_record(identity_of(name), LAB.id, name, "", at, counter), online=online)


class RegisteringTests(ServerLinkTests):
    def test_online(self) -> None:
        """Hello, proof, register, watch, roster: only then is the peer online, and told once."""
        self.far.listings = (self.listing("bob"), self.listing("carol", online=False))
        self.start()
        self.assertEqual([type(message) for message in self.far.came], [Hello, Register, Watch])
        self.assertEqual(self.states(), [("online", "")])
        status = self.link.status()
        self.assertEqual((status.online, status.observed, status.handle), (1, "192.0.2.7", "alice"))
        self.assertIs(self.alice.peer.people.person(identity_of("bob").id).online, True)
        self.assertEqual(self.alice.told(api.PresenceChanged), [])

    def test_record(self) -> None:
        """The record names this server, and the addresses where the peer listens; the counter is the server's time."""
        self.start()
        [register] = self.far.of(Register)
        body = check_record(register.record, LAB.id)
        self.assertEqual((body.key, body.handle), (self.alice.identity.key, "alice"))
        self.assertEqual(body.addresses, (Address(host=self.alice.host, port=6666),))
        self.assertEqual(body.counter, WALL)

    def test_counter_is_stored_before_it_leaves(self) -> None:
        """The counter is on the disk when the record is sent."""
        seen = []
        self.far.on_register = lambda register: seen.append(self.stored())
        self.start()
        self.assertEqual(seen, self.counters())

    def test_counter_that_could_not_be_stored(self) -> None:
        """Where the disk is full nothing is registered, the reason is told, and it is tried again."""
        write = self.alice.database.write
        failing = True

        def full(operation: Any) -> Deferred[Any]:
            return write(lambda tables: (_ for _ in ()).throw(StoreFull("no room"))) if failing else write(operation)

        self.alice.database.write = full  # type: ignore[method-assign]
        self.start()
        self.assertEqual(self.far.of(Register), [])
        self.assertEqual(self.states(), [("lost", "no room")])
        self.flushLoggedErrors()
        failing = False
        self.world.wait(20)
        self.assertEqual(self.states()[-1], ("online", ""))

    def test_counter_grows_though_clocks_go_back(self) -> None:
        """A server whose clock went back gets a counter above the last one all the same."""
        self.start()
        self.far.time = WALL - 10**9
        self.far.say(Bye(code="leaving"))
        self.world.wait(20)
        self.assertEqual(self.counters(), [WALL, WALL + 1])

    def test_stale_record(self) -> None:
        """A server that knows a newer record of ours gets one above that, and the counter is stored."""

        def answer(register: Register) -> None:
            if len(self.counters()) == 1:
                newer = make_record(self.alice.identity, LAB.id, "alice", "", (), WALL + 500)
                self.far.say(Declined(code="stale-record", record=newer))
            else:
                self.far.say(Registered(handle="alice", expires=30))

        self.far.on_register = answer
        self.start()
        self.assertEqual(self.counters(), [WALL, WALL + 501])
        self.assertEqual(self.stored(), WALL + 501)
        self.assertEqual(self.states(), [("online", "")])

    def test_stale_for_ever(self) -> None:
        """A server that says so again and again is left, and tried again later."""
        newer = make_record(self.alice.identity, LAB.id, "alice", "", (), WALL)
        self.far.on_register = lambda register: self.far.say(Declined(code="stale-record", record=newer))
        self.start()
        self.assertEqual(len(self.counters()), 1 + MAX_COUNTER_TRIES)
        self.assertEqual(self.states(), [("lost", "stale-record")])

    def test_A1_stale_with_a_record_of_somebody_else(self) -> None:
        """Somebody else's record, or a forged one, moves no counter."""
        eve = make_record(identity_of("eve"), LAB.id, "eve", "", (), 2**52)
        forged = Signed(
            body=make_record(self.alice.identity, LAB.id, "alice", "", (), 2**52).body, signature=eve.signature
        )
        for number, record in enumerate((eve, forged)):
            self.far.on_register = lambda register, record=record: self.far.say(  # type: ignore[misc]
                Declined(code="stale-record", record=record)
            )
            self.start() if number == 0 else self.world.wait(31)
            self.assertLess(self.stored(), WALL + 100)
        self.assertNotIn("online", [state for state, _ in self.states()])

    def test_handle_taken(self) -> None:
        """A handle of another key is told to the person, and tried again no sooner than after 30 s."""
        self.far.on_register = lambda register: self.far.say(Declined(code="handle-taken"))
        self.start()
        self.assertEqual(self.states(), [("refused", "handle-taken")])
        self.assertEqual(self.dials_in(REFUSED_WAIT - 1), 0)
        self.assertEqual(self.dials_in(2), 1)
        self.assertEqual(self.states(), [("refused", "handle-taken")])

    def dials_in(self, seconds: float) -> int:
        before = len(self.alice.dialler.dialled)
        self.world.wait(seconds)
        return len(self.alice.dialler.dialled) - before

    def test_full_and_not_admitted(self) -> None:
        """A server that has no room, or does not admit us, is asked again after 30 s, and the person told why."""
        for code in ("full", "not-admitted", "version"):
            self.alice.events.clear()
            self.far.on_register = lambda register, code=code: self.far.say(Bye(code=code))  # type: ignore[misc]
            if not self.far.links:
                self.start()
            else:
                self.world.wait(4)
            self.assertEqual(self.states()[-1], ("refused", code))
            self.assertEqual(self.dials_in(REFUSED_WAIT - 3), 0)

    def test_unknown_refusal(self) -> None:
        """A refusal that this version does not know is told as such, in words of our own."""
        self.far.on_register = lambda register: self.far.say(Declined(code="\x1b[2Jwhatever"))
        self.start()
        [(state, reason)] = self.states()
        self.assertEqual(state, "lost")
        self.assertIn("does not take our record", reason)

    def test_older_server(self) -> None:
        """A server that speaks no version of ours is told so."""
        self.far.version = 0
        self.start()
        self.assertEqual((self.far.of(Register), self.states()), ([], [("refused", "version")]))


class DialBackTests(ServerLinkTests):
    """Asking the server whether others can reach us."""

    reached = DialledBack(number=1, code="reached", address=Address(host="192.0.2.7", port=6666))

    def test_asked_and_answered(self) -> None:
        """The server is asked, and its answer is told to everybody who waits; it is asked once for all of them."""
        self.start()
        self.assertTrue(self.link.tells_reach)
        self.assertFalse(self.link.on_this_machine)
        first, second = self.link.dial_back(), self.link.dial_back()
        self.world.settle()
        self.assertEqual(self.far.of(DialBack), [DialBack(number=1)])
        self.assertNoResult(first)
        self.far.say(self.reached)
        self.world.settle()
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (self.reached, self.reached))
        third = self.link.dial_back()
        self.world.settle()
        self.far.say(DialledBack(number=2, code="later"))
        self.world.settle()
        self.assertEqual(self.successResultOf(third), DialledBack(number=2, code="later"))

    def test_no_answer(self) -> None:
        """A server that does not answer is waited for a few seconds; an answer after that breaks no rule."""
        self.start()
        answer = self.link.dial_back()
        self.world.wait(ANSWER_WITHIN + 1)
        self.assertIsNone(self.successResultOf(answer))
        self.far.say(self.reached)
        self.world.settle()
        self.assertEqual(self.states(), [("online", "")])

    def test_lost(self) -> None:
        """Where the link ends there is no answer, and the next link may be asked."""
        self.start()
        answer = self.link.dial_back()
        self.world.settle()
        self.far.links[-1].close(EndCode.LEAVING)
        self.world.settle()
        self.assertIsNone(self.successResultOf(answer))
        self.assertFalse(self.link.tells_reach)
        self.world.wait(20)
        again = self.link.dial_back()
        self.world.settle()
        self.far.say(DialledBack(number=2, code="silent"))
        self.world.settle()
        self.assertEqual(self.successResultOf(again), DialledBack(number=2, code="silent"))

    def test_answers_that_nobody_asked_for(self) -> None:
        """A server that answers unasked, twice, or another question breaks a rule: the link ends, the peer lives."""
        for asked, answers in (
            (False, [self.reached]),
            (True, [self.reached] * 2),
            (True, [DialledBack(number=7, code="reached")]),
        ):
            self.start()
            if asked:
                self.link.dial_back()
            self.world.settle()
            number = len(self.far.of(DialBack))
            self.far.say(*(each if each.number == 7 else structs.replace(each, number=number or 1) for each in answers))
            self.world.settle()
            self.assertEqual(self.far.endings[-1].code, EndCode.VIOLATION, answers)
            self.world.wait(30)
        self.assertEqual(self.states()[-1], ("online", ""))

    def test_old_server(self) -> None:
        """A server that does not name the ability is not asked."""
        self.far.features = ()
        self.start()
        self.assertFalse(self.link.tells_reach)
        self.assertEqual(self.states(), [("online", "")])

    def test_clocks(self) -> None:
        """How far our clock is ahead of the server's is known from its greeting on, and follows our clock."""
        self.assertIsNone(self.link.clock_ahead)
        self.far.time = WALL - 90_000
        self.start()
        self.assertEqual(self.link.clock_ahead, 90_000)
        self.world.wait(50)
        self.assertEqual(self.link.clock_ahead, 90_000)
        self.world.wall += 3_600_000
        self.assertEqual(self.link.clock_ahead, 3_690_000)
        self.assertIsNone(self.link.certificate_expires, "it shows its own key")


class IdentityTests(ServerLinkTests):
    """A1, G21: a server that is not the one that was joined."""

    def refused(self, reason: str) -> None:
        """It is lost for this reason, and was told nothing but hello."""
        self.start()
        self.assertEqual(self.far.of(Register), [])
        [(state, told)] = self.states()
        self.assertEqual(state, "lost")
        self.assertIn(reason, told)

    def test_wrong_proof(self) -> None:
        """A proof over another connection is no proof."""
        self.far.proof = lambda exporter: LAB.sign(Domain.SERVER, bytes(32))
        self.refused("could not prove its key")

    def test_proof_by_another_key(self) -> None:
        """Nor is one by another key, which is another server."""
        self.far.shown = LAB
        self.far.identity = identity_of("mallory")
        self.refused("could not prove its key")

    def test_another_key_in_tls(self) -> None:
        """Another key is refused in the handshake already: not even hello is said."""
        self.far.shown = self.far.identity = identity_of("mallory")
        self.refused("another key answers")
        self.assertEqual(self.far.came, [])

    def test_certified_before(self) -> None:
        """A server that had a certificate of an authority may not come back with its own key alone."""
        self.alice.peer.servers.clear()
        self.link = joined(self.world.node("carol"), trust="certified")
        self.alice = self.world.nodes[-1]
        self.link.server = self.link.server._replace(trust="certified")
        self.refused("certificate of an authority")
        self.assertEqual(self.far.came, [])

    def test_back_off_grows_though_tls_works(self) -> None:
        """A wrong server is not hammered: the waits start again only after a registration."""
        self.far.proof = lambda exporter: bytes(64)
        self.start()
        self.world.wait(120)
        self.assertLess(len(self.alice.dialler.dialled), 20)


class RosterTests(ServerLinkTests):
    def test_changes(self) -> None:
        """Who comes, changes and leaves is told to front ends, oneself never."""
        self.far.listings = (self.listing("bob"),)
        self.start()
        me = Listing(record=self.far.of(Register)[0].record, online=True)
        self.far.say(Changes(since=1, number=2, listings=(self.listing("carol"), me)))
        self.far.say(Changes(since=2, number=3, gone=(identity_of("bob").id,)))
        self.world.settle()
        told = [(event.person.name, event.person.online) for event in self.alice.told(api.PresenceChanged)]
        self.assertEqual([online for _, online in told], [True, False])
        self.assertEqual(told[0][0], "carol")

    def test_gap(self) -> None:
        """Changes that do not follow make it watch again; the snapshot tells the truth."""
        self.start()
        self.far.number, self.far.listings = 9, (self.listing("bob"),)
        self.far.say(Changes(since=7, number=8))
        self.world.settle()
        self.assertEqual(len(self.far.of(Watch)), 2)
        self.assertIs(self.alice.peer.people.person(identity_of("bob").id).online, True)
        self.assertEqual(self.states(), [("online", "")])

    def test_snapshot_in_pages(self) -> None:
        """It is online with the last page."""
        self.far.on_watch = lambda watch: self.far.say(RosterPage(number=4, listings=(self.listing("bob"),), more=True))
        self.start()
        self.assertEqual(self.states(), [])
        self.far.say(RosterPage(number=4, listings=(self.listing("carol"),), more=False))
        self.world.settle()
        self.assertEqual(self.link.status().online, 2)

    def test_contacts_are_watched_by_name(self) -> None:
        """Everyone is watched, and those whom the person knows by name as well."""
        self.start()
        self.alice.do(api.AddContact(id=format_id(identity_of("bob").id), name="bob"))
        self.assertEqual(self.far.of(Watch)[-1], Watch(everyone=True, ids=(identity_of("bob").id,)))

    def test_A1_forged_records(self) -> None:
        """Records with a wrong signature, or made for another server, are as if they had not come."""
        good = self.listing("bob").record
        forged = Signed(body=good.body, signature=bytes(64))
        elsewhere = make_record(identity_of("carol"), bytes(32), "carol", "", (), WALL)
        self.far.listings = (Listing(record=forged, online=True), Listing(record=elsewhere, online=True))
        self.start()
        self.assertEqual(self.states(), [("online", "")])
        self.assertEqual(self.alice.peer.people.everybody(), [])

    def test_A1_old_record(self) -> None:
        """An older record does not replace a newer one."""
        self.far.listings = (self.listing("bob", WALL + 5, True, Address(host="10.0.0.51", port=6666)),)
        self.start()
        self.far.say(Changes(since=1, number=2, listings=(self.listing("bob", WALL),)))
        self.world.settle()
        row = self.alice.peer.people.row(identity_of("bob").id)
        assert row is not None
        self.assertEqual(row.body.counter, WALL + 5)

    def test_A1_addresses_that_must_not_be_dialled(self) -> None:
        """Loopback, link-local, multicast, unspecified addresses and low ports are never dialled for a roster."""
        bad = (("127.0.0.1", 6667), ("::1", 6667), ("10.0.0.50", 22), ("169.254.1.1", 6666))
        worse = (("224.0.0.1", 6666), ("0.0.0.0", 6666), ("fe80::1", 6666), ("255.255.255.255", 6666))
        for number, addresses in enumerate((bad, worse)):
            listed = tuple(Address(host=host, port=port) for host, port in addresses)
            self.far.listings += (self.listing(f"victim-{number}", WALL, True, *listed),)
        self.far.listings = tuple(
            Listing(record=listing.record, online=True, observed=Address(host="127.0.0.1", port=9999))
            for listing in self.far.listings
        )
        self.start()
        for number in range(2):
            self.alice.do(api.Connect(who=f"victim-{number}"))
        self.world.wait(60)
        self.assertEqual(set(self.alice.dialler.dialled), {(HOST, 8888)})

    def test_A1_observed_of_our_own_host(self) -> None:
        """That a server sees somebody at our own address does not make our loopback theirs."""
        listing = self.listing("victim", WALL, True, Address(host="127.0.0.1", port=6667))
        self.far.listings = (
            Listing(record=listing.record, online=True, observed=Address(host="192.0.2.7", port=7777)),
        )
        self.start()
        self.alice.do(api.Connect(who="victim"))
        self.world.wait(60)
        self.assertNotIn(("127.0.0.1", 6667), self.alice.dialler.dialled)
        self.assertIn(("192.0.2.7", 6667), self.alice.dialler.dialled)

    def test_loopback_server(self) -> None:
        """Peers of a server on one's own loopback are dialled there, also while that server is dead."""
        far = FarServer(self.world, "127.0.0.1").listen()
        node = self.world.node("here", host="127.0.0.1")
        far.listings = (self.listing("neighbour", WALL, True, Address(host="127.0.0.1", port=6667)),)
        link = joined(node, "127.0.0.1")
        link.start()
        self.world.settle()
        node.do(api.Connect(who="neighbour"))
        self.world.wait(1)
        self.assertIn(("127.0.0.1", 6667), node.dialler.dialled)
        del self.world.listeners["127.0.0.1", 8888]
        far.say(Bye(code="leaving"))
        self.world.settle()
        before = node.dialler.dialled.count(("127.0.0.1", 6667))
        self.world.wait(40)
        self.assertGreater(node.dialler.dialled.count(("127.0.0.1", 6667)), before)

    def test_stranger_under_a_known_petname(self) -> None:
        """Who registers a contact's petname as handle is shown as a stranger, and not dialled in their place."""
        self.alice.do(api.AddContact(id=format_id(identity_of("bob").id), name="bob"))
        eve = make_record(
            identity_of("eve"), LAB.id, "bob", "Bob himself", (Address(host="10.0.0.66", port=6666),), WALL
        )
        self.far.listings = (Listing(record=eve, online=True),)
        self.start()
        self.alice.do(api.Connect(who="bob"))
        self.alice.do(api.Say(who="bob", text="for bob alone"))
        self.world.wait(30)
        self.assertNotIn(("10.0.0.66", 6666), self.alice.dialler.dialled)
        self.assertNotEqual(self.alice.peer.people.person(identity_of("eve").id).name, "bob")

    def test_record_from_a_peer(self) -> None:
        """A newer record that a peer hands over counts; an older or forged one, or one of a stranger, does not."""
        self.far.listings = (self.listing("bob"), self.listing("carol"))
        self.start()
        bob, carol = identity_of("bob"), identity_of("carol")
        friend = Stranger(self.world, bob).dial(self.alice)
        self.alice.do(api.AddContact(id=format_id(bob.id), name="bob"))
        friend.dial(self.alice).say(Accept(scope="once"))
        if not self.alice.identity.id < bob.id:
            friend.say(Select())
        moved = (Address(host="10.0.0.77", port=6666),)
        newer = make_record(carol, LAB.id, "carol", "", moved, WALL + 1)
        older = make_record(carol, LAB.id, "carol", "", HOME, WALL - 1)
        of_nobody = make_record(identity_of("nobody"), LAB.id, "nobody", "", moved, WALL)
        forged = make_record(carol, LAB.id, "carol", "", HOME, WALL + 2)
        for record in (newer, older, of_nobody):
            friend.say(Record(body=record.body, signature=record.signature))
        friend.say(Record(body=forged.body, signature=bytes(64)))
        self.assertIsNone(friend.code)
        row = self.alice.peer.people.row(carol.id)
        assert row is not None
        self.assertEqual((row.body.counter, row.online), (WALL + 1, True))
        self.assertIsNone(self.alice.peer.people.row(identity_of("nobody").id))
        self.alice.do(api.Connect(who="carol"))
        self.world.wait(1)
        self.assertIn(("10.0.0.77", 6666), self.alice.dialler.dialled)

    def count_writes(self) -> list[int]:
        """How many transactions there are from now on, as a list of one number."""
        write, counted = self.alice.database.write, [0]

        def count(operation: Any) -> Deferred[Any]:
            counted[0] += 1
            return write(operation)

        self.alice.database.write = count  # type: ignore[method-assign]
        return counted

    def kept(self) -> dict[bytes, int]:
        """The counters of the records on the disk, by id."""
        found = self.successResultOf(self.alice.database.read(lambda tables: tables.records.all(LAB.id)))
        return {record.peer: record.counter for record in found}

    def test_R5_news_without_end(self) -> None:
        """However fast a server tells news they are stored a few times a minute, the newest of everybody."""
        self.far.listings = (self.listing("bob"),)
        self.start()
        bob = identity_of("bob").id
        self.assertEqual(self.kept(), {bob: WALL})
        writes = self.count_writes()
        for number in range(300):
            listings = (self.listing("bob", WALL + number + 1),)
            self.far.say(
                Changes(since=self.far.number + number, number=self.far.number + number + 1, listings=listings)
            )
            self.world.wait(0.1, step=0.1)
        self.assertLessEqual(writes[0], 30 / WRITE_EVERY + 1)
        self.world.wait(WRITE_EVERY)
        self.assertEqual(self.kept(), {bob: WALL + 300})

    def test_R5_rows_are_stored_slowly(self) -> None:
        """Of rows beyond a whole roster so many a second are stored, those of contacts first."""
        self.patch(rosters, "ROWS_BURST", 4.0)
        self.patch(rosters, "ROWS_RATE", 0.4)
        friend = identity_of("friend").id
        self.alice.do(api.AddContact(id=format_id(friend), name="friend"))
        self.far.listings = (*(self.listing(f"peer-{number}") for number in range(6)), self.listing("friend"))
        self.start()
        self.assertEqual(len(self.kept()), 4)
        self.assertIn(friend, self.kept())
        self.world.wait(WRITE_EVERY)
        self.assertEqual(len(self.kept()), 6)
        self.world.wait(WRITE_EVERY)
        self.assertEqual(len(self.kept()), 7)

    def test_rows_that_cannot_be_stored(self) -> None:
        """Where the disk is full that is told in a line, not with every row that comes."""
        self.start()
        write = self.alice.database.write
        self.alice.database.write = lambda operation: write(lambda tables: (_ for _ in ()).throw(StoreFull("no room")))  # type: ignore[method-assign,misc]
        for number in range(20):
            at = self.far.number + number
            self.far.say(Changes(since=at, number=at + 1, listings=(self.listing("bob", WALL + number),)))
            self.world.settle()
        self.assertEqual([event.text for event in self.alice.told(api.Problem)], ["no room"])
        self.alice.database.write = write  # type: ignore[method-assign]
        self.world.wait(WRITE_EVERY)
        self.assertEqual(self.kept(), {identity_of("bob").id: WALL + 19})

    def test_records_outlive_the_server(self) -> None:
        """What was seen lets chats begin while the server is dead, also after a start."""
        self.far.listings = (self.listing("bob"),)
        self.start()
        self.alice.stop()
        del self.world.listeners[HOST, 8888]
        again = self.alice.again()
        joined(again)
        person = again.peer.people.person(identity_of("bob").id)
        self.assertEqual((person.name, person.last_known, person.online), ("bob", True, None))
        again.do(api.Connect(who="bob"))
        self.world.wait(2)
        self.assertIn(("10.0.0.50", 6666), again.dialler.dialled)


class LossTests(ServerLinkTests):
    def test_lost_and_back(self) -> None:
        """A lost server is told once, dialled with back-off, and told again when it is back."""
        self.start()
        del self.world.listeners[HOST, 8888]
        self.far.links[-1].abort()
        self.world.settle()
        self.assertEqual([state for state, _ in self.states()], ["online", "lost"])
        self.assertIsNone(self.alice.peer.people.person(identity_of("bob").id).online)
        self.world.wait(120)
        self.assertLess(len(self.alice.dialler.dialled), 25)
        self.assertLessEqual(len(self.states()), 3, "told of every dial")
        self.far.listen()
        self.world.wait(31)
        self.assertEqual(self.states()[-1], ("online", ""))

    def ends_every_link(self) -> None:
        """The server takes us, and says goodbye."""
        self.far.on_register = lambda register: self.far.say(
            Registered(handle="alice", expires=30), Bye(code="leaving")
        )

    def keeps_links(self) -> None:
        """The server takes us."""
        self.far.on_register = lambda register: self.far.say(Registered(handle="alice", expires=30))

    def test_F11_link_after_link(self) -> None:
        """A server that takes us and then ends every link is dialled more and more rarely; one that lasted at once."""
        self.ends_every_link()
        self.start()
        self.world.wait(60)
        first = len(self.alice.dialler.dialled)
        self.assertGreaterEqual(first, 4)
        self.world.wait(600)
        self.assertLessEqual(len(self.alice.dialler.dialled) - first, 60, "that is once in ten seconds, on average")
        self.keeps_links()
        self.world.wait(31 + LASTED)
        self.assertEqual(self.states()[-1], ("online", ""))
        before = len(self.alice.dialler.dialled)
        self.far.links[-1].abort()
        self.world.wait(1, step=0.1)
        self.assertEqual(len(self.alice.dialler.dialled) - before, 1)

    def test_goodbye_counts_at_once(self) -> None:
        """A server that says goodbye and leaves its socket open is lost at once, and dialled again as it goes."""
        self.start()
        [wire] = self.world.wires
        self.far.say(Bye(code="leaving"))
        wire.move(wire.listening)
        self.assertEqual(self.states()[-1], ("lost", "leaving"))
        wire.cut = True
        self.world.wait(2, step=0.1)
        self.assertEqual(self.states()[-1], ("online", ""))
        self.world.wait(10)
        self.assertEqual(len(self.alice.dialler.dialled), 2)
        self.assertEqual(len(self.alice.sweep.connections), 1)
        self.assertEqual([state for state, _ in self.states()], ["online", "lost", "online"])

    def test_reconnect_after_short_links(self) -> None:
        """The person's word dials at once, however long the waits became."""
        self.ends_every_link()
        self.start()
        self.world.wait(100)
        self.keeps_links()
        self.assertTrue(self.link.reconnect(named=True))
        self.world.settle()
        self.assertEqual(self.states()[-1], ("online", ""))
        self.assertTrue(self.link.reconnect(named=True))
        self.world.wait(1, step=0.1)
        self.assertEqual(self.states()[-1], ("online", ""))

    def test_heartbeat(self) -> None:
        """A server that falls silent is lost after 30 s, and one that answers pings never."""
        self.start()
        self.world.wait(300)
        self.assertEqual([state for state, _ in self.states()], ["online"])
        for wire in self.world.wires:
            wire.cut = True
        self.world.wait(32)
        self.assertEqual(self.states()[1][0], "lost")

    def test_server_that_never_answers(self) -> None:
        """One that connects and says nothing is lost as well, and tried again."""
        self.world.listeners[HOST, 8888] = Mute()  # type: ignore[assignment]
        self.link.start()
        self.world.wait(25)
        self.assertEqual(self.states()[0][0], "lost")
        self.assertGreaterEqual(len(self.alice.dialler.dialled), 2)

    def test_stop_in_every_state(self) -> None:
        """Stopped before, during and after each step it dials no more, and leaves no connection."""
        self.far.listen()
        for steps in range(14):
            self.link.start()
            for _ in range(steps):
                self.world.clock.advance(0)
                ready = [plug for wire in self.world.wires for plug in wire.ready()]
                if ready:
                    ready[0].wire.move(ready[0])
            self.link.stop()
            self.world.wait(8)
            self.assertEqual(self.alice.sweep.connections, frozenset(), f"after {steps} steps")
            self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_stop_while_the_server_says_nothing(self) -> None:
        """A handshake that never ends does not hold up the end."""
        self.world.listeners[HOST, 8888] = Mute()  # type: ignore[assignment]
        self.link.start()
        self.world.settle()
        self.link.stop()
        self.world.settle()
        self.assertEqual(self.alice.sweep.connections, frozenset())

    def test_start_after_stop(self) -> None:
        """Who is started again at once gets a new link, and the late end of the old one changes nothing."""
        self.start()
        self.world.wires[-1].cut = True
        self.link.stop()
        self.link.start()
        self.world.wait(3)
        self.assertEqual(len(self.far.links), 2)
        self.world.wait(10)
        self.assertTrue(self.far.links[-1].alive)
        self.assertEqual([state for state, _ in self.states()], ["online"])
        self.far.links[-1].abort()
        self.world.wait(20)
        self.assertEqual(self.states()[-1], ("online", ""))

    def test_displaced(self) -> None:
        """Displaced it dials no more, and neither do chats, until the person goes on here; told once."""
        self.far.listings = (self.listing("bob"),)
        self.start()
        self.alice.do(api.Connect(who="bob"))
        self.far.say(Bye(code="displaced"))
        self.world.settle()
        dialled = len(self.alice.dialler.dialled)
        self.world.wait(120)
        self.assertEqual(len(self.alice.dialler.dialled), dialled)
        self.assertEqual(len(self.alice.told(api.Displaced)), 1)
        self.assertEqual(self.states()[-1], ("refused", "displaced"))
        self.alice.do(api.Connect(who="bob"))
        self.world.wait(1)
        self.assertEqual(self.states()[-1], ("online", ""))
        self.assertGreater(len(self.alice.dialler.dialled), dialled + 1)

    def test_displaced_with_an_open_chat(self) -> None:
        """A chat that is open goes on, but when its link breaks it is not fought for."""
        self.start()
        bob = Stranger(self.world, "bob", "10.0.0.50").listen()
        self.alice.do(api.AddContact(id=format_id(bob.identity.id), name="bob"))
        self.alice.run(self.alice.peer.want(bob.identity.id, typed=[bob.address]))
        self.world.settle()
        bob.say(Accept(scope="once"))
        self.assertTrue(self.alice.peer.links.has_open(bob.identity.id))
        self.far.say(Bye(code="displaced"))
        self.world.settle()
        self.assertTrue(self.alice.peer.links.has_open(bob.identity.id))
        dialled = len(self.alice.dialler.dialled)
        bob.hang_up()
        self.world.wait(60)
        self.assertEqual(len(self.alice.dialler.dialled), dialled)

    def test_duplicate(self) -> None:
        """A link that the server replaced by a newer one of the same process is nothing to stop for."""
        self.start()
        self.far.say(Bye(code="duplicate"))
        self.world.wait(20)
        self.assertEqual(self.states()[-1], ("online", ""))

    def test_bug_in_what_hears_of_it(self) -> None:
        """Whatever goes wrong when a lost link is told of, it is dialled again."""
        self.start()

        def fail(link: ServerLink) -> None:
            raise ValueError("a bug")

        patch = self.patch(self.alice.peer, "server_changed", fail)
        self.far.links[-1].abort()
        self.assertRaises(ValueError, self.world.settle)
        patch.restore()
        self.world.wait(20)
        self.assertEqual((len(self.far.links), self.link.state.value), (2, "online"))


class RealServerTests(WorldTests):
    """Peers who find each other at a real rendezvous."""

    def setUp(self) -> None:
        super().setUp()
        self.start_server()

    def start_server(self) -> None:
        world = self.world
        database = getattr(self, "database", None) or open_server_database(self)
        self.database = database
        handles = HandleBook(database, world.clock, lambda: world.wall)
        self.successResultOf(Deferred.fromCoroutine(handles.load()))
        self.incidents = IncidentLog(world.clock)
        self.rendezvous = Rendezvous(
            world.clock,
            LAB,
            handles,
            capacity=100,
            nonce=b"S" * 16,
            incidents=self.incidents,
            wall=lambda: world.wall,
            everybody=True,
        )
        self.sweep = Sweep(world.clock)
        tls = ListenerTLS(own_credentials(LAB.private_key, WALL), [SERVER_PROTOCOL])
        factory = RendezvousFactory(self.rendezvous, world.clock, self.sweep)
        world.listeners[HOST, 8888] = tls.wrap(factory, world.clock)
        self.addCleanup(self.incidents.close)

    def kill_server(self) -> None:
        del self.world.listeners[HOST, 8888]
        for connection in self.sweep.connections:
            connection.abort()
        self.world.settle()

    def peers(self, *names: str) -> list[Node]:
        nodes = [self.world.node(name) for name in names]
        for node in nodes:
            joined(node).start()
        self.world.wait(1)
        return nodes

    def test_three_find_each_other(self) -> None:
        """Everybody sees everybody else, and a chat is two words away."""
        alice, bob, carol = self.peers("alice", "bob", "carol")
        for node in (alice, bob, carol):
            people = node.do(api.ListPeople()).people  # type: ignore[union-attr]
            self.assertEqual(len([person for person in people if person.online]), 2)
        alice.do(api.Connect(who="bob"))
        self.world.wait(1)
        bob.do(api.Accept(who="alice"))
        alice.do(api.Say(who="bob", text="hello"))
        self.assertEqual(bob.texts(), ["hello"])

    def test_server_killed_in_a_chat(self) -> None:
        """The chat goes on; a chat that breaks while the server is dead comes back by the last known address."""
        alice, bob = self.peers("alice", "bob")
        alice.do(api.Connect(who="bob"))
        self.world.wait(1)
        bob.do(api.Accept(who="alice"))
        self.kill_server()
        self.assertEqual(alice.told(api.ServerChanged)[-1].open_chats, 1)
        alice.do(api.Say(who="bob", text="without it"))
        self.world.drop(alice, bob)
        self.world.wait(40)
        alice.do(api.Say(who="bob", text="and again"))
        self.assertEqual(bob.texts(), ["without it", "and again"])
        self.start_server()
        self.world.wait(61)
        self.assertEqual(alice.told(api.ServerChanged)[-1].server.state, "online")
        self.assertEqual(len(self.rendezvous.online), 2)

    def test_two_instances(self) -> None:
        """A second process with one key displaces the first, which stays away."""
        alice, _ = self.peers("alice", "bob")
        second = self.world.node(alice.identity, host="10.0.0.99", handle="alice")
        joined(second).start()
        self.world.wait(200)
        self.assertEqual(len(alice.told(api.Displaced)), 1)
        self.assertEqual(second.told(api.Displaced), [])
        self.assertEqual(len(self.rendezvous.online), 2)

    def test_handle_of_somebody_else(self) -> None:
        """Who comes under a handle that is taken is refused, and told why; the owner is not disturbed."""
        [alice] = self.peers("alice")
        eve = self.world.node("eve", handle="alice")
        joined(eve).start()
        self.world.wait(1)
        status = eve.told(api.ServerChanged)[-1].server
        self.assertEqual((status.state, status.reason), ("refused", "handle-taken"))
        self.assertEqual(alice.told(api.PresenceChanged), [])

    def test_somebody_comes_online(self) -> None:
        """Somebody who is wanted and comes online is dialled at once, not at the end of a long wait."""
        [alice] = self.peers("alice")
        bob = self.world.node("bob")
        alice.knows(bob)
        alice.do(api.Connect(who="bob"))
        self.world.wait(200)
        joined(bob).start()
        self.world.wait(2)
        self.assertEqual(len(bob.told(api.Asked)), 1)
