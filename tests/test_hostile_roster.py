"""R1 to R5, and a server that lies (A1), against real listeners: what others can do with the roster."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.protocol import Factory

from p2pchat import api
from p2pchat.core.errors import NoSuchContact
from p2pchat.core.identity import format_id, safety_number
from p2pchat.core.messages import Changes
from p2pchat.core.roster_view import MAX_ROWS
from p2pchat.net.interfaces import own_addresses
from p2pchat.peer import pursuit, rosters
from p2pchat.server import rendezvous
from p2pchat.storage.peer_tables import PeerTables

from .hostile import COUNTS, LOOPBACK, Attack, Caller, Liar, frame, real_reactor
from .liars import TIME, EvilServer, listing, signed_record
from .rosters import identity
from .servers import Client, dial_port
from .test_hostile_frames import BAD_VALUES
from .victims import FRIEND, PeerVictim, ServerVictim

MALLORY = identity(6_004)
EVIL = identity(6_005)


class RegistrationTests(Attack):
    """What registrations can do to a server and to those who watch it."""

    async def test_R1_fresh_keys(self) -> None:
        """However many fresh keys come, no more are online than fit; who is in stays, and is found."""
        victim = await ServerVictim(self).start(capacity=COUNTS.capacity)
        wave = 6
        codes: list[str | None] = []
        for start in range(0, COUNTS.keys, wave):
            keys = [identity(200_000 + number) for number in range(start, min(start + wave, COUNTS.keys))]
            liars = await gatherResults([self.ensure(victim.opened(key)) for key in keys])
            for liar in liars:
                await self.decided(liar)
            codes += [liar.bye for liar in liars]
            self.assertLessEqual(len(victim.service.rendezvous.online), COUNTS.capacity)
        self.assertEqual(codes.count(None), COUNTS.capacity - 1)
        self.assertEqual({code for code in codes if code}, {"full"})
        await victim.undisturbed()
        reader = await dial_port(self, self.reactor, victim.port, Client(FRIEND, self.reactor))
        self.assertIsNone(reader.bye)

    async def decided(self, liar: Liar) -> None:
        """Whether somebody may register is said."""
        await self.until(lambda: bool(liar.of("registered", "bye")), "a decision")

    async def test_R1_hellos_without_registration(self) -> None:
        """One address cannot fill a server with hellos that lead to no registration; who registers makes room again."""
        self.patch(rendezvous, "MAX_UNDECIDED", COUNTS.pending)
        victim = await ServerVictim(self).start()
        liars = []
        for number in range(COUNTS.pending * 11 // 10):
            liars.append(await victim.greeted(identity(210_000 + number)))
        await self.until(lambda: sum(liar.bye is None for liar in liars) <= COUNTS.pending, "refusals")
        self.assertEqual({liar.bye for liar in liars[COUNTS.pending :]}, {"full"})
        elsewhere = await victim.greeted(MALLORY, source="127.0.0.88")
        self.assertIsNone(elsewhere.bye)
        first = liars[0]
        first.tell("register", record=victim.record(first.identity, first))
        await self.comes(first, "registered")
        last = await victim.opened(identity(219_999))
        self.assertTrue(last.of("registered"))
        await victim.undisturbed()

    async def test_R1_one_key_many_handles(self) -> None:
        """One key owns a handful of handles, however many it claims."""
        victim = await ServerVictim(self).start()
        for number in range(24):
            liar = await victim.greeted(MALLORY)
            liar.tell("register", record=victim.record(MALLORY, liar, handle=f"mine-{number}"))
            await self.comes(liar, "registered")
            liar.hang_up()
            await self.assert_gone(liar)
        handles = victim.service.rendezvous._handles
        self.assertLessEqual(len(handles), 8 + 1)
        await victim.undisturbed()

    async def test_R2_address_of_somebody_else(self) -> None:
        """Who registers a stranger's address makes nobody knock there more than once in 10 seconds, nor believe it."""
        victim = await PeerVictim(self).start()
        knocks: list[Caller] = []
        port = self.bystander(knocks)
        evil = await self.join(victim, addresses_at(port))
        await victim.do(api.Connect(who=format_id(MALLORY.id)))
        for _ in range(120):
            await self.reactor.skip(0.5)
            evil.say("changes", since=0, number=0, listings=[])
        self.assertGreaterEqual(len(knocks), 2)
        self.assertLessEqual(len(knocks), 60 / pursuit.QUIET_FOR + 1)
        self.assertEqual(victim.told(api.Opened)[1:], [])
        await victim.undisturbed()

    def bystander(self, knocks: list[Caller]) -> int:
        """Somebody's port that has nothing to do with it."""

        def build() -> Caller:
            knocks.append(Caller())
            self.callers.append(knocks[-1])
            return knocks[-1]

        port = real_reactor.listenTCP(0, Factory.forProtocol(build), interface=LOOPBACK)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def join(self, victim: PeerVictim, addresses: list[dict[str, Any]]) -> EvilServer:
        """A server on which Mallory is at these addresses."""
        evil = EvilServer(self, EVIL)
        row = listing(signed_record(MALLORY, EVIL.id, TIME, addresses=addresses))
        evil.answers["watch"] = lambda link, message: link.tell("roster", number=0, listings=[row], more=False)
        await victim.join(evil)
        return evil

    async def test_R3_flapping(self) -> None:
        """A peer that comes and goes all the time moves what others see once in five seconds at most."""
        victim = await ServerVictim(self).start()
        victim.friend.watch()
        await self.until(lambda: victim.friend.view is not None and victim.friend.view.complete, "the roster")
        for _ in range(30):
            liar = await victim.opened(MALLORY)
            liar.hang_up()
            await self.reactor.skip(0.5)
        await self.reactor.skip(6.0)
        # 30 comings and goings took 15 seconds of the server's clock, and whatever this machine needed.
        self.assertLessEqual(len(victim.friend.of(Changes)), 12)
        await victim.undisturbed()

    async def test_R4_enumeration(self) -> None:
        """Only who is registered sees the roster, in pages, and not again and again; ids must be whole."""
        victim = await ServerVictim(self).start()
        stranger = await victim.greeted(MALLORY)
        stranger.tell("watch", everyone=True, ids=[])
        await self.comes(stranger, "bye")
        self.assertEqual((stranger.bye, stranger.of("roster", "changes")), ("unexpected", []))
        member = await victim.opened(MALLORY)
        member.tell("watch", everyone=False, ids=[b"x" * 32])
        await self.comes(member, "roster")
        self.assertEqual(member.of("roster")[-1]["listings"], [])
        member.tell("watch", everyone=True, ids=[])
        await self.comes(member, "roster", 2)
        self.assertLessEqual(len(member.of("roster")[-1]["listings"]), 500)
        member.say(frame({"type": "watch", "everyone": True, "ids": []}) * COUNTS.messages)
        await self.comes(member, "bye")
        self.assertEqual(member.bye, "rate")
        self.assertLess(len(member.of("roster")), 110)
        await victim.undisturbed()


def addresses_at(*ports: int, host: str = LOOPBACK) -> list[dict[str, Any]]:
    """Addresses for a record."""
    return [{"host": host, "port": port} for port in ports]


class EvilServerTests(Attack):
    """A server that lies to a peer with an open chat (A1, G21)."""

    async def start(self, **settings: Any) -> tuple[PeerVictim, EvilServer]:
        victim = await PeerVictim(self).start(**settings)
        return victim, EvilServer(self, EVIL)

    def answering(self, *rows: dict[str, Any]) -> Callable[[Liar, dict[str, Any]], None]:
        """An answer to `watch`."""
        return lambda link, message: self.rows(link, list(rows))

    def rows(self, link: Liar, rows: list[dict[str, Any]], number: int = 0) -> None:
        """Send a snapshot, in pages that fit."""
        for start in range(0, max(1, len(rows)), 100):
            link.tell("roster", number=number, listings=rows[start : start + 100], more=start + 100 < len(rows))

    async def test_R5_rows_without_end(self) -> None:
        """Of rows without end 5,000 are held, in memory and on the disk; who is a contact is found all the same."""
        most = min(rosters.RECORDS_KEPT, COUNTS.rows // 10)
        self.patch(rosters, "RECORDS_KEPT", most)
        victim, evil = await self.start()
        invented = min(COUNTS.rows, MAX_ROWS * 11 // 10)
        rows = [
            listing(signed_record(identity(300_000 + number % invented), EVIL.id, TIME, handle="bob"))
            for number in range(invented)
        ]
        contact = listing(signed_record(FRIEND, EVIL.id, TIME))
        evil.answers["watch"] = lambda link, message: self.rows(link, [*rows, contact])
        await victim.join(evil)
        [server] = victim.peer.servers
        self.assertLessEqual(len(server.view), MAX_ROWS + 2 * len(server.view.named))
        self.assertIsNotNone(server.view.get(FRIEND.id))
        await victim.undisturbed()

        def kept(tables: PeerTables) -> tuple[int, bool]:
            found = tables.records.all(EVIL.id)
            return len(found), any(record.peer == FRIEND.id for record in found)

        count, friend = await victim.peer.environment.database.read(kept)
        self.assertLessEqual(count, most)
        self.assertTrue(friend)
        with self.assertRaises(NoSuchContact):
            victim.peer.people.resolve("bob")

    async def test_R5_names_of_contacts(self) -> None:
        """A thousand rows with a contact's name are strangers with another one; the name means the contact."""
        victim, evil = await self.start()
        rows = [listing(signed_record(identity(310_000 + n), EVIL.id, TIME, handle="friend")) for n in range(100)]
        evil.answers["watch"] = lambda link, message: self.rows(link, rows)
        await victim.join(evil)
        self.assertEqual(victim.peer.people.resolve("friend"), FRIEND.id)
        people = await victim.do(api.ListPeople())
        assert isinstance(people, api.People)
        names = [person.name for person in people.people]
        self.assertEqual(names.count("friend"), 1)
        self.assertEqual(len(set(names)), len(names))

    async def test_R5_addresses(self) -> None:
        """No word of a server makes a peer dial itself, loopback, link-local, multicast, or a port below 1024."""
        hosts = [host for host in own_addresses() if ":" not in host]
        if not hosts:
            raise self.skipTest("this machine has no address but loopback ones")
        victim = await PeerVictim(self).start(interface="")
        evil = EvilServer(self, EVIL, hosts[0])
        dialled = victim.note_dials()
        bad = [
            {"host": LOOPBACK, "port": victim.talk.liar.below.getPeer().port},
            {"host": "169.254.1.1", "port": 6666},
            {"host": "fe80::1", "port": 6666},
            {"host": "224.0.0.1", "port": 6666},
        ]
        rest = [
            {"host": "0.0.0.0", "port": 6666},
            {"host": hosts[0], "port": 22},
            {"host": "255.255.255.255", "port": 6666},
        ]
        own = {"host": hosts[0], "port": victim.port}
        for counter, addresses in enumerate((bad, rest, [own]), TIME):
            for observed in (*bad, {"host": "::ffff:127.0.0.1", "port": 6666}, {"host": "localhost", "port": 6666}):
                row = listing(signed_record(MALLORY, EVIL.id, counter, addresses=addresses), observed=observed)
                evil.answers["watch"] = self.answering(row)
                if evil.links:
                    evil.say("changes", since=0, number=0, listings=[row])
                else:
                    await victim.join(evil)
                await victim.do(api.Connect(who=format_id(MALLORY.id)))
                await self.reactor.skip(12.0)
        self.assertEqual({address for address in dialled if address.port != evil.port}, set())
        await victim.undisturbed()

    async def test_R5_observations_that_change(self) -> None:
        """A server that sees somebody elsewhere with every change cannot send a peer through the network."""
        victim, evil = await self.start()
        await victim.join(evil)
        dialled = victim.note_dials()
        await victim.do(api.Connect(who=format_id(MALLORY.id)))
        record = signed_record(MALLORY, EVIL.id, TIME + 1, addresses=addresses_at(6_666, host="127.9.9.9"))
        for number in range(200):
            observed = {"host": f"127.7.{number // 200}.{1 + number % 200}", "port": 6_666}
            evil.say("changes", since=number, number=number + 1, listings=[listing(record, observed=observed)])
            await self.reactor.skip(0.05)
        self.assertLessEqual(len(dialled), 40)
        await victim.undisturbed()

    async def test_A1_other_key(self) -> None:
        """A server with another key than the joined one is told nothing but a hello, and its roster is not read."""
        victim, evil = await self.start()
        link = evil.join
        evil.become(MALLORY)
        await victim.join(evil, link, online=False)
        await self.until(lambda: any(each.lost for each in evil.links), "an end")
        self.assertEqual(evil.links[0].of("register", "watch"), [])
        evil.become(EVIL)
        for greeting in ({"key": MALLORY.key}, {"proof": bytes(64)}):
            evil.greeting = greeting
            known = len(evil.links)
            await self.reactor.skip(31.0)
            await self.refuses(evil, known)
            self.assertEqual(evil.links[known].of("register", "watch"), [])
        await victim.undisturbed()

    async def refuses(self, evil: EvilServer, number: int) -> None:
        """The peer comes, and goes."""
        await self.until(lambda: len(evil.links) > number and evil.links[number].lost is not None, "an end")

    async def test_A1_swapped_key(self) -> None:
        """No row can give a known contact another key or address: it would need their signature."""
        victim, evil = await self.start()
        forged = signed_record(MALLORY, EVIL.id, TIME, key=FRIEND.key, handle="friend")
        for_other = signed_record(FRIEND, b"o" * 32, TIME)
        good = signed_record(FRIEND, EVIL.id, TIME, addresses=addresses_at(7_000))
        bent = {**good, "body": good["body"].replace(b"friend", b"fiend!")}
        evil.answers["watch"] = lambda link, message: self.rows(link, [listing(each) for each in (forged, for_other)])
        await victim.join(evil)
        evil.say("changes", since=0, number=1, listings=[listing(bent)] if bent != good else [])
        await victim.undisturbed()
        [server] = victim.peer.servers
        self.assertIsNone(server.view.get(FRIEND.id))
        after = await victim.do(api.SafetyNumber(who="friend"))
        assert isinstance(after, api.Safety)
        self.assertEqual(after.digits, safety_number(victim.peer.environment.identity.key, FRIEND.key))

    async def test_A1_no_receipts(self) -> None:
        """Nothing that a server says makes `delivered` or `seen` appear: it ends the server link and no chat."""
        victim, evil = await self.start()
        await victim.join(evil)
        await victim.do(api.Say(who="friend", text="for the friend"))
        await self.comes(victim.talk.liar, "entry")
        sent = victim.talk.liar.of("entry")[0]
        holding = {"stream": sent["stream"], "first": 1, "base": bytes(32), "seq": 1, "head": bytes(32)}
        for kind, fields in (
            ("have", {"streams": [holding], "last": True}),
            ("seen", {"stream": sent["stream"], "seq": 1}),
            ("refused", {"stream": sent["stream"], "seq": 1, "code": "malformed"}),
            ("entry", {"stream": sent["stream"], "seq": 1, "history": False, "bytes": b"b"}),
            ("select", {}),
            ("ask", {"text": "hello"}),
        ):
            known = len(evil.links)
            evil.say(kind, **fields)
            await self.comes(evil.links[known - 1], "bye")
            self.assertEqual(evil.links[known - 1].bye, "unexpected")
            await self.back(victim, evil, known)
        self.assertEqual(victim.told(api.Delivered, api.Seen, api.NotDelivered), [])
        await victim.undisturbed()

    async def back(self, victim: PeerVictim, evil: EvilServer, known: int) -> None:
        """The peer dials again after a while."""
        for _ in range(10):
            await self.reactor.skip(7.0)
            if len(evil.links) > known and evil.links[-1].of("watch"):
                return
        self.fail("the peer did not come back")

    async def test_A1_noise(self) -> None:
        """Noise from a server ends that link with a code, and nothing else; the peer tries again."""
        victim, evil = await self.start()
        await victim.join(evil)
        for what in ("P5 array of 2^32-1", "P8 lone surrogate", "P9 NaN", "P9 trailing bytes", "P16 bomb"):
            known = len(evil.links)
            evil.links[-1].say(frame(BAD_VALUES[what]))
            await self.comes(evil.links[known - 1], "bye")
            self.assertEqual(evil.links[known - 1].bye, "malformed", what)
            await self.back(victim, evil, known)
        await victim.undisturbed()

    async def test_A1_makes_nothing_pile_up(self) -> None:
        """A server that makes a peer answer and reads nothing is dropped when a megabyte waits."""
        victim, evil = await self.start()
        for number in range(500):
            await victim.invite(identity(320_000 + number))
        await victim.join(evil)
        link = evil.links[-1]
        link.below.pauseProducing()
        [connection] = [each for each in victim.connections if each.alive]
        piled, number = 0, 1
        while connection.alive and number < 20_000:
            for _ in range(50):
                link.tell("roster", number=number, listings=[], more=False)
                link.tell("changes", since=number + 5, number=number + 6)
                number += 10
            piled = max(piled, victim.piled())
            await self.reactor.turn()
        self.assertFalse(connection.alive)
        self.assertLess(piled, 4 * 2**20)
        await victim.undisturbed()

    async def test_A1_displaced(self) -> None:
        """A server that says `displaced` whenever we come: the person is told, and chats go on."""
        victim, evil = await self.start()
        evil.answers["register"] = lambda link, message: link.tell("bye", code="displaced")
        await victim.join(evil, online=False)
        await self.until(lambda: bool(victim.told(api.Displaced)), "a word for the person")
        known = len(evil.links)
        await self.reactor.skip(60.0)
        self.assertEqual(len(evil.links), known, "it fights")
        await victim.undisturbed()
        await victim.do(api.Say(who="friend", text="still delivered"))
        await self.comes(victim.talk.liar, "entry")
        # The person, who knows that there is no other, goes on.
        evil.answers["register"] = lambda link, message: link.tell("registered", handle="victim", expires=30)
        await victim.do(api.Connect(who="friend"))
        await self.until(lambda: len(evil.links) > known, "another try")

    async def test_A1_endings(self) -> None:
        """Whatever code a server ends with, and as often as it likes, chats go on and it is asked again in the end."""
        victim, evil = await self.start()
        codes = cycle(["full", "not-admitted", "version", "internal", "rate", "self", "no such code", "x" * 32])
        evil.answers["register"] = lambda link, message: link.tell("bye", code=next(codes))
        await victim.join(evil, online=False)
        for _ in range(8):
            known = len(evil.links)
            await self.reactor.skip(61.0)
            self.assertGreater(len(evil.links), known)
        await victim.undisturbed()

    async def test_A1_clock(self) -> None:
        """A server whose clock is at the end of time does not use up our counters."""
        victim, evil = await self.start()
        evil.greeting = {"time": 2**53 - 1}
        await victim.join(evil)
        [server] = victim.peer.servers
        self.assertLess(server.server.counter, 2**50)

    async def test_A1_declines_without_end(self) -> None:
        """A server that declines every record is not fed with new ones for ever."""
        victim, evil = await self.start()
        own = victim.peer.environment.identity
        newer = signed_record(own, EVIL.id, TIME + 1_000)
        evil.answers["register"] = lambda link, message: link.tell("declined", code="stale-record", record=newer)
        await victim.join(evil, online=False)
        await self.until(lambda: any(link.lost for link in evil.links), "an end")
        self.assertLessEqual(len(evil.links[0].of("register")), 4)
        await victim.undisturbed()
