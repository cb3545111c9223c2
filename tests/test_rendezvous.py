"""The rendezvous and the registrations in it: links in memory, time on a Clock."""

from collections.abc import Callable
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocolFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2pchat.core.bodies import encode_body
from p2pchat.core.errors import EndCode, StoreFull
from p2pchat.core.framing import encode_frame
from p2pchat.core.identity import Domain
from p2pchat.core.messages import (
    Address,
    Bye,
    Changes,
    Declined,
    Hello,
    Ping,
    Register,
    Registered,
    RosterPage,
    Signed,
    Watch,
    encode,
)
from p2pchat.core.records import make_record, read_record
from p2pchat.core.roster import QUIET
from p2pchat.net.connection import Sweep
from p2pchat.server import handles, registration, rendezvous
from p2pchat.server.handles import HandleBook
from p2pchat.server.registration import Registration
from p2pchat.server.rendezvous import RendezvousFactory
from p2pchat.storage.database import Database
from p2pchat.storage.server_tables import RAN_SETTING, ServerTables
from tests.rosters import identity, record_of
from tests.servers import WALL, Client, MemoryServer, open_database

ALICE, BOB, CAROL, DAVE = (identity(number) for number in range(4))
DAY = 24 * 3600 * 1000


class ServerTests(SynchronousTestCase):
    """Base: a server on a clock, which has nothing left to do when it was closed."""

    def setUp(self) -> None:
        self.server = self.make()
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.server.end(self)

    def make(self) -> MemoryServer:
        return MemoryServer(self)

    def registered(self, peer: object, **options: object) -> Client:
        client = self.server.connect(peer, registered=True, **options)  # type: ignore[arg-type]
        self.assertEqual(client.declined, [])
        return client


class RegisteringTests(ServerTests):
    def test_factory(self) -> None:
        """The factory is one for Twisted's ports."""
        factory = RendezvousFactory(self.server.rendezvous, self.server.clock, Sweep(self.server.clock))
        verifyObject(IProtocolFactory, factory)

    def test_greeting(self) -> None:
        """The server says who it is, its time, and the address that it sees, before it was asked anything."""
        client = self.server.connect(ALICE, "10.0.0.5")
        hello = client.hello
        self.assertEqual((hello.key, hello.time), (self.server.identity.key, WALL))
        self.assertEqual(hello.observed, Address(host="10.0.0.5", port=7777))

    def test_registered(self) -> None:
        """Who registers with a good record is online."""
        alice = self.registered(ALICE)
        self.assertEqual(alice.of(Registered), [Registered(handle=alice.handle, expires=30)])
        [found] = self.server.rendezvous.online
        self.assertEqual((found.peer, found.handle, found.since), (ALICE.id, alice.handle, WALL))

    def test_mapped_address(self) -> None:
        """An IPv4 peer at an IPv6 port is seen under its IPv4 address."""
        self.assertEqual(self.server.connect(ALICE, "::ffff:10.0.0.5").hello.observed.host, "10.0.0.5")

    def test_R2_bad_records(self) -> None:
        """A record that is unreadable, badly signed, somebody else's or for another server is declined."""
        other = make_record(BOB, self.server.identity.id, "bob", "", (), 1)
        good = make_record(ALICE, self.server.identity.id, "alice", "", (), 1)
        body = read_record(good, self.server.identity.id)
        mapped = encode_body(msgspec.structs.replace(body, addresses=(Address(host="::ffff:10.0.0.9", port=6666),)))
        for record in (
            Signed(body=b"\x01", signature=bytes(64)),
            Signed(body=good.body, signature=bytes(64)),
            other,
            record_of(ALICE, 1),
            Signed(body=mapped, signature=ALICE.sign(Domain.RECORD, mapped)),
        ):
            client = self.server.connect(ALICE)
            client.connection.send(Register(record=record))
            self.server.flush()
            self.assertEqual(client.declined, ["bad-record"])
            self.assertFalse(client.online)
        self.assertEqual(self.server.rendezvous.online, ())
        self.assertEqual(self.server.rendezvous.refused["bad-record"], 5)

    def test_R2_records_are_listed_as_signed(self) -> None:
        """What a peer signed about its addresses is passed on as it is, beside what the server saw: both are hints."""
        victim = Address(host="10.0.0.200", port=6666)
        alice, bob = self.server.connect(ALICE, "10.0.0.5"), self.registered(BOB)
        alice.register(addresses=(victim,))
        bob.watch()
        self.server.wait(1)
        assert bob.view is not None
        row = bob.view.get(ALICE.id)
        assert row is not None
        self.assertEqual((row.body.addresses, row.observed), ((victim,), Address(host="10.0.0.5", port=7777)))

    def test_loopback_is_not_listed(self) -> None:
        """A peer on the server's own host is listed under what it signed, never as 127.0.0.1; nor link-local."""
        for peer, host in ((ALICE, "127.0.0.1"), (BOB, "::1"), (CAROL, "fe80::5%eth0")):
            self.registered(peer, host=host, own=host)
        dave = self.registered(DAVE, host="fd00::9")
        dave.watch()
        self.server.wait(1)
        assert dave.view is not None
        observed = {row.id: row.observed for row in dave.view.rows()}
        nothing = dict.fromkeys((ALICE.id, BOB.id, CAROL.id))
        self.assertEqual(observed, {**nothing, DAVE.id: Address(host="fd00::9", port=7777)})

    def test_stale_record(self) -> None:
        """A counter that is not above the known one is declined, with the newer record; a greater one is taken."""
        self.registered(ALICE)
        again = self.server.connect(ALICE, nonce=b"m" * 16)
        again.register(WALL)
        self.server.flush()
        [declined] = again.of(Declined)
        self.assertEqual(declined.code, "stale-record")
        self.assertEqual(read_record(declined.record, self.server.identity.id).counter, WALL)
        again.register(WALL + 1)
        self.server.flush()
        self.assertTrue(again.online)

    def test_F16_clocks(self) -> None:
        """A server whose clock went back harms nobody: a peer's counter goes on from its own last one."""
        alice = self.registered(ALICE)
        self.server.wall -= 3650 * DAY
        alice.connection.abort()
        self.server.wait(1)
        again = self.server.connect(ALICE)
        self.assertLess(again.hello.time, WALL)
        again.register(WALL + 1)
        self.server.flush()
        self.assertTrue(again.online)

    def test_replaced_record(self) -> None:
        """A peer that is online may register again with other addresses, and those who watch are told."""
        alice, bob = self.registered(ALICE), self.registered(BOB)
        bob.watch()
        self.server.wait(QUIET)
        alice.register(WALL + 7, (Address(host="10.0.0.77", port=6667),))
        self.server.wait(1)
        self.assertEqual(bob.seen[ALICE.id], WALL + 7)
        self.assertEqual(len(self.server.rendezvous.online), 2)

    def test_too_many_declined(self) -> None:
        """After four declined registrations a link is cut; good ones do not count."""
        client = self.server.connect(ALICE)
        for number in range(4):
            client.connection.send(Register(record=record_of(ALICE, number)))
        self.server.flush()
        self.assertEqual((client.declined, client.ending), (["bad-record"] * 4, None))
        client.connection.send(Register(record=record_of(ALICE, 9)))
        self.server.flush()
        self.assertEqual(client.bye, "rate")
        bob = self.server.connect(BOB)
        for number in range(9):
            bob.register(WALL + number)
        self.server.flush()
        self.assertEqual((len(bob.of(Registered)), bob.bye), (9, None))

    def test_not_registered_in_time(self) -> None:
        """Who said hello and does not register is dropped after 30 seconds, pings or not."""
        client = self.server.connect(ALICE)
        client.hang()
        for _ in range(3):
            self.server.wait(9)
            client.connection.send(Ping(number=1))
        self.assertIsNone(client.bye)
        self.server.wait(5)
        self.assertEqual(client.bye, "timeout")

    def test_own_key(self) -> None:
        """Whoever shows the server's own key is refused."""
        self.assertEqual(self.server.connect(self.server.identity).bye, "self")

    def test_version(self) -> None:
        """A peer that speaks no version of ours is told so."""
        client = self.server.connect(ALICE)
        self.assertIsNone(client.bye)
        with mock.patch("tests.servers.VERSION", 0):
            self.assertEqual(self.server.connect(BOB).bye, "version")
        with mock.patch("tests.servers.VERSION", 99):
            self.assertIsNone(self.server.connect(CAROL).bye)


class AdmissionTests(ServerTests):
    def test_private_only(self) -> None:
        """Peers of private networks are admitted, and who is on this machine; others are told that they are not."""
        for host in ("10.0.0.5", "192.168.1.2", "172.16.0.1", "100.64.0.7", "127.0.0.1", "fd00::1", "fe80::1", "::1"):
            self.assertIsNone(self.server.connect(ALICE, host).bye, host)
        for host in ("8.8.8.8", "2001:4860::1", "::ffff:8.8.8.8", "172.32.0.1"):
            self.assertEqual(self.server.connect(ALICE, host).bye, "not-admitted", host)
        self.assertIsNone(self.server.connect(ALICE, "8.8.8.8", own="8.8.8.8").bye)
        self.assertEqual(self.server.rendezvous.refused["not-admitted"], 4)

    def test_not_admitted_stores_nothing(self) -> None:
        """Who is not admitted registers nothing, whatever comes behind the hello."""
        client = self.server.connect(ALICE, "8.8.8.8")
        client.connection.send(Register(record=client.record()))
        self.server.wait(6)
        self.assertEqual((len(self.server.handles), len(self.server.rendezvous.roster)), (0, 0))
        assert client.ending is not None
        self.assertEqual((client.ending.code, client.ending.by_them), (EndCode.NOT_ADMITTED, True))


class OpenTests(ServerTests):
    def make(self) -> MemoryServer:
        return MemoryServer(self, everybody=True)

    def test_open(self) -> None:
        """With --open everybody is admitted."""
        self.assertTrue(self.registered(ALICE, host="8.8.8.8").online)


class CapacityTests(ServerTests):
    def make(self) -> MemoryServer:
        return MemoryServer(self, capacity=10)

    def test_R1_full(self) -> None:
        """A tenth more peers than there is room for: they are told, nothing of them is stored, nobody else notices."""
        inside = [self.registered(identity(number)) for number in range(10)]
        eleventh = self.server.connect(identity(11))
        self.assertEqual((eleventh.bye, eleventh.online), ("full", False))
        self.assertEqual((len(self.server.handles), self.server.rendezvous.refused["full"]), (10, 1))
        self.assertTrue(all(client.online for client in inside))
        inside[3].connection.close(EndCode.LEAVING)
        self.server.flush()
        self.assertTrue(self.registered(identity(11)).online)

    def test_R1_full_between_hello_and_registration(self) -> None:
        """The last place is taken once, however many have said hello."""
        clients = [self.server.connect(identity(number)) for number in range(12)]
        for client in clients:
            client.register()
        self.server.flush()
        self.assertEqual(sum(client.online for client in clients), 10)
        self.assertEqual([client.bye for client in clients[10:]], ["full", "full"])
        self.assertEqual(len(self.server.handles), 10)

    def test_own_place(self) -> None:
        """Who is in comes back in, full or not."""
        for number in range(10):
            self.registered(identity(number))
        again = self.server.connect(identity(4), nonce=b"m" * 16)
        again.register(WALL + 1)
        self.server.flush()
        self.assertTrue(again.online)


class TwoLinksTests(ServerTests):
    def second(self, nonce: bytes) -> tuple[Client, Client]:
        first = self.registered(ALICE)
        second = self.server.connect(ALICE, nonce=nonce)
        second.register(WALL + 1)
        self.server.flush()
        return first, second

    def test_duplicate(self) -> None:
        """The newer link of one process counts; the older is a duplicate."""
        first, second = self.second(b"n" * 16)
        self.assertEqual((first.bye, second.online), ("duplicate", True))

    def test_displaced(self) -> None:
        """Another process with the same key displaces the older, which is told so (F24)."""
        first, second = self.second(b"m" * 16)
        self.assertEqual((first.bye, second.online), ("displaced", True))

    def test_F9_the_old_link_ends_nothing(self) -> None:
        """That the old link is lost at last does not take the peer off the roster."""
        watcher = self.registered(BOB)
        watcher.watch()
        _, second = self.second(b"n" * 16)
        self.server.wait(2 * QUIET)
        self.assertTrue(second.online)
        self.assertEqual(watcher.seen[ALICE.id], WALL + 1)
        self.assertEqual(len(self.server.rendezvous.online), 2)


class LeavingTests(ServerTests):
    def setUp(self) -> None:
        super().setUp()
        self.watcher = self.registered(BOB)
        self.watcher.watch()
        self.alice = self.registered(ALICE)
        self.server.wait(2 * QUIET)
        self.assertIn(ALICE.id, self.watcher.seen)

    def test_bye(self) -> None:
        """Who says good-bye is off the roster at once, even if the connection stays."""
        connection = self.server.link_of(self.alice)
        self.alice.connection.send(Bye(code="leaving"))
        with mock.patch.object(connection, "_abort"):
            self.server.wait(1)
            self.assertNotIn(ALICE.id, self.watcher.seen)

    def test_lost(self) -> None:
        """Whose connection broke is off the roster."""
        self.alice.connection.abort()
        self.server.wait(1)
        self.assertNotIn(ALICE.id, self.watcher.seen)

    def test_silence(self) -> None:
        """A peer is reaped after 30 seconds of silence, not before, and told why if it can still hear."""
        self.alice.hang()
        self.server.wait(18)
        self.assertIn(ALICE.id, self.watcher.seen)
        self.server.wait(14)
        self.assertNotIn(ALICE.id, self.watcher.seen)
        self.assertEqual(self.alice.bye, "timeout")

    def test_heartbeat(self) -> None:
        """Pings, one every ten seconds, keep a peer online."""
        self.server.wait(100)
        self.assertTrue(self.alice.online)
        self.assertIn(ALICE.id, self.watcher.seen)

    def test_stop(self) -> None:
        """A server that stops says so to everybody."""
        closed = self.server.rendezvous.close()
        self.server.wait(6)
        self.successResultOf(closed)
        self.assertEqual((self.alice.bye, self.watcher.bye), ("leaving", "leaving"))


class HandleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.database = open_database(self, self.path)
        self.server = MemoryServer(self, database=self.database)

    def tearDown(self) -> None:
        self.server.end(self)

    def restart(self, jump: int = 0) -> None:
        """The server is killed and started again; its wall clock is `jump` ms away from what it was."""
        wall = self.server.wall
        self.server.end(self)
        self.server = MemoryServer(self, database=self.database, wall=wall + jump)

    def run_days(self, days: int) -> None:
        """The server runs for so long, is stopped every day, and started again."""
        for _ in range(days):
            self.server.clock.advance(DAY / 1000)
            self.write()
            self.restart()

    def write(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.server.handles.write()))

    def join(self, peer: object, handle: str) -> Client:
        client = self.server.connect(peer, handle=handle, nonce=b"x" * 16)  # type: ignore[arg-type]
        client.register()
        self.server.flush()
        return client

    def leave_unwritten(self, client: Client) -> None:
        client.connection.close(EndCode.LEAVING)
        self.server.wait(1)

    def leave(self, client: Client) -> None:
        self.leave_unwritten(client)
        self.write()

    def test_F25_taken(self) -> None:
        """A handle belongs to the first key that claimed it; another key may register under another handle."""
        alice, mallory = self.join(ALICE, "alice"), self.join(BOB, "alice")
        self.assertTrue(alice.online)
        self.assertEqual((mallory.declined, mallory.online), (["handle-taken"], False))
        mallory.handle = "mallory"
        mallory.register(WALL + 1)
        self.server.flush()
        self.assertTrue(mallory.online)

    def test_F25_over_restarts(self) -> None:
        """It does so over restarts of the server, until that ran for 90 days without its owner, and no longer."""
        self.leave(self.join(ALICE, "alice"))
        self.run_days(89)
        self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])
        self.leave(self.join(ALICE, "alice"))
        self.run_days(89)
        self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])
        self.run_days(2)
        self.assertTrue(self.join(BOB, "alice").online)
        self.assertEqual(self.join(ALICE, "alice").declined, ["handle-taken"])

    def test_F16_wall_clock_takes_no_handle(self) -> None:
        """Whatever the server's wall clock does, while it runs or between two starts, a handle stays its owner's."""
        self.leave(self.join(ALICE, "alice"))
        for jump in (366 * DAY, 12 * 366 * DAY, -20 * 366 * DAY):
            self.server.wall += jump
            self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])
            self.write()
            self.restart(-jump)
            self.restart(jump)
            self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])
            self.leave(self.join(ALICE, "alice"))

    def test_owner_who_is_online(self) -> None:
        """Whoever is online keeps the handle, however long, and however seldom that can be noted."""
        alice = self.join(ALICE, "alice")
        link = self.server.link_of(alice)
        with mock.patch.object(link, "look"), mock.patch.object(alice.connection, "look"):
            self.server.clock.advance(100 * DAY / 1000)
            self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])
            self.server.rendezvous.note_seen()
            self.write()
        self.server.rendezvous.leave(next(iter(self.server.rendezvous.online)))
        self.server.clock.advance(89 * DAY / 1000)
        self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])

    def test_left_for_another_handle(self) -> None:
        """Who registers under another handle is online under the first no longer."""
        alice = self.join(ALICE, "alice")
        alice.handle = "alys"
        alice.register(WALL + 1)
        self.server.flush()
        self.leave(alice)
        self.server.clock.advance(90 * DAY / 1000)
        self.assertTrue(self.join(BOB, "alice").online)

    def test_killed(self) -> None:
        """A server that is killed has not run since its last note; what is newer than that is as good as new."""
        self.server.clock.advance(50 * DAY / 1000)
        self.join(ALICE, "alice")
        self.restart()
        self.server.clock.advance(89 * DAY / 1000)
        self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])

    def test_notes_of_the_server_are_lost(self) -> None:
        """Where a recovery found the handles alone, everybody has 90 days again."""
        self.leave(self.join(ALICE, "alice"))
        self.server.clock.advance(80 * DAY / 1000)
        self.write()

        def lose(tables: ServerTables) -> None:
            tables.settings.delete(RAN_SETTING)
            tables.handles.release("alice", ALICE.id)
            connection = tables.handles._connection
            connection.execute("INSERT INTO handle VALUES ('alice', ?, 1, 1)", (ALICE.id,))

        self.successResultOf(self.database.write(lose))
        self.restart()
        self.run_days(89)
        self.assertEqual(self.join(BOB, "alice").declined, ["handle-taken"])
        self.run_days(1)
        self.assertTrue(self.join(BOB, "alice").online)

    def test_F18_not_noted(self) -> None:
        """What could not be noted is noted the next time."""
        self.join(ALICE, "alice").connection.abort()
        self.server.wait(1)
        with mock.patch.object(self.database, "write", lambda _: fail(StoreFull("full"))):
            self.failureResultOf(Deferred.fromCoroutine(self.server.handles.write()), StoreFull)
        self.write()
        owner = self.successResultOf(self.database.read(lambda tables: tables.handles.owner("alice")))
        assert owner is not None
        self.assertGreater(owner.held, 0)

    def test_owner_needs_no_disk(self) -> None:
        """An owner who comes back waits for no disk, and is let in when the disk is full (F18)."""
        self.leave(self.join(ALICE, "alice"))
        with mock.patch.object(self.database, "write", lambda _: fail(StoreFull("full"))):
            self.assertTrue(self.join(ALICE, "alice").online)
            client = self.join(BOB, "bob")
        self.assertEqual((client.bye, client.online), ("internal", False))
        self.assertTrue(self.join(BOB, "bob").online)

    def slow_disk(self) -> "Disk":
        """The database's writes wait from now on."""
        disk = Disk(self.database)
        self.patch(self.database, "write", disk.write)
        return disk

    def test_F18_nothing_changes_if_it_cannot_be_stored(self) -> None:
        """A claim that fails takes no name from anybody: not what it would have replaced, nor what was given up."""
        self.patch(handles, "MAX_HANDLES_PER_PEER", 1)
        self.leave(self.join(ALICE, "alice"))
        self.leave(self.join(BOB, "bob"))
        self.server.clock.advance(90 * DAY / 1000)
        disk = self.slow_disk()
        taking = self.join(BOB, "alice")
        disk.fail()
        self.server.flush()
        self.assertEqual(taking.bye, "internal")
        self.assertEqual(len(self.server.handles), 2)
        for peer, name in ((ALICE, "alice"), (BOB, "bob")):
            self.assertTrue(self.join(peer, name).online)
        self.assertEqual(disk.waiting, [])

    def test_two_claim_one_handle(self) -> None:
        """While a claim is being written nobody else gets the name, also who had it before; if it fails, it is free."""
        self.leave(self.join(ALICE, "alice"))
        self.server.clock.advance(90 * DAY / 1000)
        disk = self.slow_disk()
        bob, alice, carol = (self.join(peer, "alice") for peer in (BOB, ALICE, CAROL))
        self.assertEqual((alice.declined, carol.declined), (["handle-taken"], ["handle-taken"]))
        self.assertEqual(bob.of(Registered), [])
        disk.fail()
        self.server.flush()
        alice.register(WALL + 1)
        self.server.flush()
        self.assertTrue(alice.online)

    def test_two_links_of_one_key(self) -> None:
        """A second link of the same key waits for what the first one claims, and is told no sooner."""
        disk = self.slow_disk()
        first, second = self.join(ALICE, "alice"), self.join(ALICE, "alice")
        self.assertEqual((first.of(Registered), second.of(Registered), len(disk.waiting)), ([], [], 1))
        second.register(WALL + 1)
        disk.work()
        self.server.wait(1)
        self.assertEqual(len(disk.waiting), 0)
        self.assertTrue(second.online)

    def test_second_link_after_a_failure(self) -> None:
        """If the first one's claim fails, the second's is written."""
        disk = self.slow_disk()
        first, second = self.join(ALICE, "alice"), self.join(ALICE, "alice")
        disk.fail()
        self.server.flush()
        self.assertEqual((first.bye, len(disk.waiting)), ("internal", 1))
        disk.work()
        self.server.flush()
        self.assertTrue(second.online)

    def test_given_up_and_wanted_back(self) -> None:
        """A name that its owner is about to give up for another is not theirs before it is known how that ends."""
        self.patch(handles, "MAX_HANDLES_PER_PEER", 1)
        self.leave(self.join(ALICE, "alice"))
        disk = self.slow_disk()
        self.join(ALICE, "alys")
        back = self.join(ALICE, "alice")
        self.assertEqual(back.of(Registered), [])
        back.register(WALL + 5000)
        disk.work()
        self.server.flush()
        self.assertEqual(len(disk.waiting), 1)
        disk.work()
        self.server.flush()
        self.assertTrue(back.online)
        self.assertEqual(len(self.server.handles), 1)

    def test_the_disk_knows_another_owner(self) -> None:
        """Where the disk says whose a name is, that counts: nobody else is let in under it."""
        self.successResultOf(self.database.write(lambda tables: tables.handles.claim("alice", ALICE.id, WALL, 0)))
        bob = self.join(BOB, "alice")
        self.assertEqual((bob.declined, bob.online, len(self.server.handles)), (["handle-taken"], False, 0))
        bob.handle = "bob"
        bob.register(WALL + 1)
        self.server.flush()
        self.assertTrue(bob.online)
        self.assertTrue(self.join(ALICE, "alice").online)

    def test_disk_is_waited_for(self) -> None:
        """Nobody is told that a new handle is theirs before that is on the disk, and nobody else gets it meanwhile."""
        stored: list[tuple[Deferred[object], Callable[..., object]]] = []

        def write(operation: Callable[..., object]) -> Deferred[object]:
            result: Deferred[object] = Deferred()
            stored.append((result, operation))
            return result

        with mock.patch.object(self.database, "write", write):
            alice, mallory = self.join(ALICE, "alice"), self.join(BOB, "alice")
            self.assertEqual((alice.of(Registered), mallory.declined), ([], ["handle-taken"]))
            alice.register(WALL + 1)
            self.server.flush()
            self.assertEqual(alice.of(Registered), [])
        stored[0][0].callback(True)
        self.server.flush()
        self.assertEqual(len(alice.of(Registered)), 2)

    def test_link_lost_while_the_disk_works(self) -> None:
        """A peer whose link broke before its handle was stored is not online."""
        stored: Deferred[bool] = Deferred()
        with mock.patch.object(self.database, "write", lambda _: stored):
            alice = self.join(ALICE, "alice")
        alice.connection.abort()
        self.server.wait(1)
        stored.callback(True)
        self.server.wait(1)
        self.assertEqual(self.server.rendezvous.online, ())

    def test_R1_handles_are_bounded(self) -> None:
        """One key has so many handles at most, and all keys together so many."""
        with mock.patch.object(handles, "MAX_HANDLES_PER_PEER", 2):
            for name in ("one", "two", "three"):
                self.leave(self.join(ALICE, name))
            self.assertEqual(len(self.server.handles), 2)
            self.assertTrue(self.join(BOB, "one").online)
        with mock.patch.object(handles, "MAX_HANDLES", 3), mock.patch.object(handles, "LONG_TIME", 0):
            self.assertEqual(self.join(CAROL, "carol").bye, "full")
            self.assertEqual(len(self.server.handles), 3)
            self.assertTrue(self.join(ALICE, "two").online)

    def visit(self, peer: object, handle: str, seconds: float) -> None:
        """Somebody is online for so long."""
        client = self.join(peer, handle)
        self.assertTrue(client.online)
        self.server.wait(seconds)
        self.leave(client)

    def owner(self, handle: str) -> bytes | None:
        """Who owns a handle on the disk."""
        found = self.successResultOf(self.database.read(lambda tables: tables.handles.owner(handle)))
        return None if found is None else found.peer

    def test_R1_full_of_throw_away_keys(self) -> None:
        """Where the book is full of keys that came once, newcomers take their places, and nobody else's."""
        self.patch(handles, "MAX_HANDLES", 10)
        self.patch(handles, "LONG_TIME", 60_000)
        self.visit(ALICE, "alice", 65)
        self.visit(BOB, "bob", 20)
        carol = self.join(CAROL, "carol")
        for number in range(40):
            self.visit(identity(100 + number), f"junk-{number}", 1)
            self.assertLessEqual(len(self.server.handles), 10)
        self.assertEqual(len(self.server.handles), 10)
        self.assertTrue(carol.online)
        self.leave(carol)
        for start in ("this", "the next"):
            for name, peer in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
                self.assertEqual(self.owner(name), peer.id, start)
                self.assertEqual(self.join(DAVE, name).declined, ["handle-taken"], start)
            self.restart()
        self.visit(DAVE, "dave", 5)
        self.visit(ALICE, "alice", 1)

    def test_R1_nothing_is_kept_of_the_displaced(self) -> None:
        """Of names that came and went between two notes on the disk none is remembered."""
        self.patch(handles, "MAX_HANDLES", 3)
        for number in range(20):
            self.leave_unwritten(self.join(identity(100 + number), f"junk-{number}"))
        self.assertEqual(len(self.server.handles), 3)
        self.assertLessEqual(len(self.server.handles._unwritten), 3)

    def test_R1_room_for_as_many_as_may_be_online(self) -> None:
        """A book is never too small for those who may be online at a time."""
        self.patch(handles, "MAX_HANDLES", 2)
        book = HandleBook(self.server.database, self.server.clock, lambda: WALL, capacity=2)
        for number, objection in enumerate((None, None, None, None, "full")):
            name, peer = f"name-{number}", identity(100 + number).id
            found = book.judge(name, peer)
            self.assertEqual(None if found is None else found.value, objection)
            if objection is None:
                claimed = book.claim(name, peer)
                assert claimed is not None
                self.successResultOf(claimed)
                book.came(name)

    def test_R1_full_of_owners(self) -> None:
        """Owners of a long time stay, whatever comes; a newcomer is told that there is no room until one ran out."""
        self.patch(handles, "MAX_HANDLES", 2)
        self.patch(handles, "LONG_TIME", 60_000)
        self.visit(ALICE, "alice", 65)
        bob = self.join(BOB, "bob")
        self.assertEqual(self.join(CAROL, "carol").bye, "full")
        self.server.wait(66)
        self.leave(bob)
        self.assertEqual(self.join(CAROL, "carol").bye, "full")
        self.server.clock.advance(90 * DAY / 1000)
        self.assertTrue(self.join(CAROL, "carol").online)
        self.assertEqual((self.owner("carol"), len(self.server.handles)), (CAROL.id, 2))

    def test_given_up_while_another_takes_its_place(self) -> None:
        """A name that somebody is about to displace is not given up by its owner at the same time."""
        self.patch(handles, "MAX_HANDLES_PER_PEER", 2)
        self.patch(handles, "MAX_HANDLES", 2)
        self.visit(ALICE, "one", 1)
        self.join(ALICE, "two")
        disk = self.slow_disk()
        bob, alice = self.join(BOB, "bob"), self.server.connect(ALICE, handle="three", nonce=b"x" * 16)
        alice.register(WALL + 9_999)
        self.server.flush()
        disk.work()
        self.server.flush()
        self.assertTrue(bob.online)
        self.assertEqual((self.owner("one"), self.owner("two"), alice.bye), (None, ALICE.id, "full"))
        self.assertTrue(self.join(ALICE, "two").connection.alive)

    def test_R1_displaced_only_if_it_is_stored(self) -> None:
        """Whose name was to go keeps it if the claim cannot be written, and waits for that if they come meanwhile."""
        self.patch(handles, "MAX_HANDLES", 1)
        self.leave(self.join(ALICE, "alice"))
        disk = self.slow_disk()
        bob, alice = self.join(BOB, "bob"), self.join(ALICE, "alice")
        self.assertEqual((bob.of(Registered), alice.of(Registered)), ([], []))
        self.assertEqual(self.join(CAROL, "carol").bye, "full")
        disk.fail()
        self.server.flush()
        self.assertEqual((bob.bye, alice.online), ("internal", True))
        self.leave_unwritten(alice)
        bob = self.join(BOB, "bob")
        disk.work()
        self.server.flush()
        self.assertTrue(bob.online)
        self.assertEqual((self.owner("alice"), self.owner("bob")), (None, BOB.id))


class Disk:
    """A database whose writes wait until they are let through, or fail."""

    def __init__(self, database: Database[ServerTables]) -> None:
        self.waiting: list[tuple[Deferred[object], Callable[[ServerTables], object]]] = []
        self._write = database.write

    def write(self, operation: Callable[[ServerTables], object]) -> Deferred[object]:
        result: Deferred[object] = Deferred()
        self.waiting.append((result, operation))
        return result

    def work(self) -> None:
        """What waits is written."""
        waiting, self.waiting = self.waiting, []
        for result, operation in waiting:
            self._write(operation).chainDeferred(result)

    def fail(self) -> None:
        """What waits is not."""
        waiting, self.waiting = self.waiting, []
        for result, _ in waiting:
            result.errback(StoreFull("full"))


class WatchTests(ServerTests):
    def test_roster(self) -> None:
        """A watcher gets a snapshot, then changes, and knows what is true."""
        self.registered(ALICE)
        bob = self.registered(BOB)
        self.server.wait(1)
        bob.watch()
        self.server.flush()
        self.assertEqual(set(bob.seen), {ALICE.id, BOB.id})
        self.registered(CAROL)
        self.server.wait(1)
        self.assertEqual(set(bob.seen), {ALICE.id, BOB.id, CAROL.id})
        self.assertEqual([type(message) for message in bob.of(RosterPage, Changes)], [RosterPage, Changes])

    def test_watch_again(self) -> None:
        """A new Watch replaces the old one."""
        bob = self.registered(BOB)
        bob.watch()
        bob.watch(False, (ALICE.id,))
        self.registered(CAROL)
        self.server.wait(1)
        self.assertEqual(bob.seen, {})
        self.registered(ALICE)
        self.server.wait(1)
        self.assertEqual(set(bob.seen), {ALICE.id})

    def test_burst_is_one_push(self) -> None:
        """What changes in one turn of the reactor is one push."""
        bob = self.registered(BOB)
        bob.watch()
        self.server.wait(1)
        clients = [self.server.connect(identity(100 + number)) for number in range(5)]
        for client in clients:
            client.register()
        self.server.wait(1)
        self.assertEqual(len(bob.seen), 6)
        self.assertLess(len(bob.of(Changes)), 4)

    def test_F28_slow_reader(self) -> None:
        """A reader that takes nothing holds no queue; when it reads again it gets what is true by then."""
        slow, fast = self.registered(ALICE), self.registered(BOB)
        slow.watch()
        fast.watch()
        self.server.wait(1)
        link = self.server.link_of(slow)
        link.pauseProducing()
        with mock.patch.object(link, "send_encoded") as send:
            for number in range(8):
                carol = self.server.connect(CAROL)
                carol.register(WALL + 1000 * number + 1)
                self.server.wait(QUIET)
            send.assert_not_called()
        self.assertEqual(fast.seen[CAROL.id], WALL + 7001)
        link.resumeProducing()
        self.server.wait(1)
        self.assertEqual(slow.seen, fast.seen)

    def test_bug_with_one_reader(self) -> None:
        """A bug that the link of one watcher runs into ends that link, and nobody else's news."""
        alice, bob = self.registered(ALICE), self.registered(BOB)
        for client in (alice, bob):
            client.watch()
        self.server.wait(1)
        read_frame = Registration.read_frame

        def fail(reader: Registration) -> int:
            if reader.peer == ALICE.id:
                raise ValueError("a bug")
            return read_frame(reader)

        with mock.patch.object(Registration, "read_frame", fail):
            self.registered(CAROL)
            self.server.wait(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIsNotNone(alice.ending)
        self.registered(DAVE)
        self.server.wait(1)
        self.assertTrue({CAROL.id, DAVE.id} <= set(bob.seen))

    def test_bug_in_a_push(self) -> None:
        """A push that fails is not the last one."""
        bob = self.registered(BOB)
        bob.watch()
        self.server.wait(1)
        with mock.patch.object(Registration, "read_on", side_effect=ValueError("a bug")):
            self.registered(CAROL)
            self.server.wait(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.registered(DAVE)
        self.server.wait(1)
        self.assertEqual(set(bob.seen), {BOB.id, CAROL.id, DAVE.id})

    def test_no_progress(self) -> None:
        """A reader that takes nothing for 60 seconds is cut, whatever it says."""
        slow = self.registered(ALICE)
        self.server.link_of(slow).pauseProducing()
        self.server.wait(58)
        self.assertIsNone(slow.ending)
        self.server.wait(4)
        self.assertIsNotNone(slow.ending)
        self.assertEqual(self.server.rendezvous.online, ())

    def test_push_over_several_turns(self) -> None:
        """A push to many links does not hold the reactor: it goes on in the next turn."""
        clients = [self.registered(identity(100 + number)) for number in range(5)]
        for client in clients:
            client.watch()
        self.server.wait(1)
        with mock.patch.object(rendezvous, "BYTES_PER_TURN", 2 * rendezvous.FRAME_COST):
            self.registered(ALICE)
            self.server.wait(1)
        self.assertTrue(all(ALICE.id in client.seen for client in clients))


class BadInputTests(ServerTests):
    """Rows of the bad-input matrix on the server port."""

    def send_raw(self, client: Client, *messages: object) -> None:
        transport = client.connection.transport
        assert transport is not None
        transport.write(b"".join(encode_frame(encode(each)) for each in messages))  # type: ignore[arg-type]
        self.server.wait(2)

    def hello(self) -> Hello:
        return Hello(version=1, handle="alice", nonce=b"n" * 16, store=b"s" * 16)

    def test_P11_messages_out_of_order(self) -> None:
        """A hello twice, a registration before it, a watch before that, and what only servers and peers say: cut."""
        other = self.registered(BOB)
        for message in (
            self.hello(),
            Watch(everyone=True),
            Registered(handle="alice", expires=1),
            RosterPage(number=1, listings=(), more=False),
        ):
            with self.subTest(message=message):
                client = self.server.connect(ALICE)
                self.send_raw(client, message)
                self.assertEqual(client.bye, "unexpected")
                self.assertIsNotNone(client.ending)
        self.assertTrue(other.online)

    def test_P11_unknown_messages(self) -> None:
        """An unknown message is refused, unless it asks to be skipped."""
        client = self.registered(ALICE)
        transport = client.connection.transport
        assert transport is not None
        transport.write(encode_frame(msgspec.msgpack.encode({"type": "x-later", "more": [1, 2]})))
        self.server.flush()
        self.assertTrue(client.online)
        transport.write(encode_frame(msgspec.msgpack.encode({"type": "later"})))
        self.server.wait(2)
        self.assertEqual(client.bye, "malformed")

    def test_P15_too_many_messages(self) -> None:
        """Beyond 20 in a second and 100 at once a peer is cut, and nobody else notices."""
        other, client = self.registered(BOB), self.registered(ALICE)
        self.send_raw(client, *[Ping(number=1)] * 110)
        self.assertEqual(client.bye, "rate")
        self.assertTrue(other.online)
        self.assertNotIn(ALICE.id, [each.peer for each in self.server.rendezvous.online])

    def test_R3_flapping(self) -> None:
        """Registrations as fast as they are allowed change the roster once in five seconds."""
        watcher, client = self.registered(BOB), self.registered(ALICE)
        watcher.watch()
        self.server.wait(QUIET)
        before = self.server.rendezvous.roster.number
        for number in range(10 * 15):
            client.register(WALL + number + 1)
            self.server.wait(1 / 15)
        self.server.wait(QUIET)
        self.assertLessEqual(self.server.rendezvous.roster.number - before, 4)
        self.assertEqual(watcher.seen[ALICE.id], WALL + 150)

    def test_registrations_that_wait_are_few(self) -> None:
        """Registrations that come while a handle is being stored wait, but not in numbers."""
        client = self.server.connect(ALICE)
        with mock.patch.object(self.server.database, "write", lambda _: Deferred()):
            for number in range(registration.MAX_WAITING + 2):
                client.register(WALL + number)
            self.server.wait(2)
        self.assertEqual(client.bye, "rate")
