"""Which of several links is the one, who is displaced, dead links, and what each goodbye leads to."""

from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from twisted.internet.defer import fail
from twisted.logger import capturedLogs, formatEvent

from p2pchat import api
from p2pchat.core.errors import EndCode, StoreFull
from p2pchat.core.framing import encode_frame
from p2pchat.core.identity import format_id
from p2pchat.core.messages import Accept, Ask, Bye, Entry, Have, Holding, Ping, Seen, Select, encode
from p2pchat.core.states import State
from p2pchat.core.trust import Policy
from p2pchat.net import connection as links_connection
from p2pchat.net.connection import Connection
from p2pchat.peer.inbox import Inbox
from p2pchat.peer.link import MOST_WAITING
from p2pchat.peer.pursuit import LASTED
from p2pchat.peer.selection import HOLD, MAX_HELD
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA
from tests.company import Mute, Node, Stranger, WorldTests, in_order
from tests.disks import MemoryDisk

LOWER, HIGHER = in_order("alice", "bob")
"""The leader of the two, and the follower."""


class PairTests(WorldTests):
    """Base: two peers who know each other."""

    def setUp(self) -> None:
        super().setUp()
        self.leader = self.world.node(LOWER, handle="low")
        self.follower = self.world.node(HIGHER, handle="high")
        self.leader.knows(self.follower)
        self.follower.knows(self.leader)

    def chatting(self, dialling: Node | None = None) -> None:
        """The two have an open chat over one link."""
        one = dialling or self.leader
        one.dials(self.other(one))
        self.world.settle()
        self.assert_one_link()

    def other(self, node: Node) -> Node:
        return self.follower if node is self.leader else self.leader

    def assert_one_link(self) -> None:
        """One connection is there, both chats go over it, and it works both ways."""
        self.assertEqual(len(self.world.between(self.leader, self.follower)), 1)
        for one in (self.leader, self.follower):
            other = self.other(one)
            [link] = one.peer.links.of(other.id)
            self.assertIs(one.link_with(other), link)
            self.assertIs(link.state, State.SELECTED)
            before = other.texts()
            text = f"over {len(before)} from {one.handle}"
            one.do(api.Say(who=other.handle, text=text))
            self.assertEqual(other.texts(), [*before, text])


class StoreTests(WorldTests):
    def test_F18_no_room_when_somebody_is_let_in(self) -> None:
        """Where nothing can be stored nobody is let in: one line says why, and the other side dials again."""
        disk = MemoryDisk()
        database = Database(Path("/full.db"), PEER_SCHEMA, InlineExecutor(), disk.name)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        near, far = self.world.node("near"), self.world.node("far", Policy.ALL, database=database)
        disk.full = True
        near.dials(far)
        self.world.settle()
        self.assertEqual(len(far.told(api.Problem)), 1)
        self.world.wait(300)
        self.assertLessEqual(len(near.dialler.dialled), 45, "who has no room is dialled more and more rarely")
        self.assertIn("no room on the disk", far.told(api.Problem)[0].text)
        self.assertEqual(self.flushLoggedErrors(), [])
        disk.full = False
        self.world.wait(31)
        near.do(api.Say(who="far", text="let in"))
        self.assertEqual(far.texts(), ["let in"])


class SelectionTests(PairTests):
    def test_one_dial(self) -> None:
        """Whoever dials, one link is opened, and it is told once."""
        self.chatting(self.follower)
        for one in (self.leader, self.follower):
            self.assertEqual([event.again for event in one.told(api.Opened)], [False])

    def test_F14_crossing_dials_in_both_orders(self) -> None:
        """Two who dial each other in one turn of the reactor get one link, whoever was first."""
        for first in (self.leader, self.follower):
            first.dials(self.other(first))
            self.other(first).dials(first)
            self.world.clock.advance(0)
            self.assertEqual(len(self.world.between(self.leader, self.follower)), 2)
            self.world.settle()
            self.assert_one_link()
            self.leader.do(api.Close(who="high"))
            self.world.wait(6)

    def test_G9_forty_interleavings(self) -> None:
        """In whatever order the bytes of two crossing dials arrive, one link survives, and nothing said is lost."""
        for seed in range(40):
            random = Random(seed)
            both = [self.leader, self.follower]
            random.shuffle(both)
            for one in both:
                one.run(one.commands.execute(api.Say(who=self.other(one).handle, text=f"{seed}")))
                one.dials(self.other(one))
            self.world.settle(random)
            for one in both:
                self.assertEqual([text for text in one.texts() if text == f"{seed}"], [f"{seed}"], f"seed {seed}")
            self.assert_one_link()
            self.assertNotIn(EndCode.VIOLATION.value, [event.reason for event in self.leader.told(api.Ended)])
            self.leader.do(api.Close(who="high"))
            self.world.wait(6)

    def test_crossing_dials_are_told_once(self) -> None:
        """Which of two links is used is nothing that people are told of."""
        for one in (self.leader, self.follower):
            one.dials(self.other(one))
        self.world.settle()
        for one in (self.leader, self.follower):
            self.assertEqual([event.again for event in one.told(api.Opened)], [False])
            self.assertEqual(one.told(api.Silent, api.Ended), [])

    def test_leader_keeps_the_newest(self) -> None:
        """The leader selects the newest link that both opened, and ends the older one as a duplicate."""
        stranger = Stranger(self.world, HIGHER).dial(self.leader)
        older = stranger.connection
        stranger.say(Accept(scope="once"))
        self.assertEqual(len(stranger.of(Select)), 1)
        stranger.dial(self.leader).say(Accept(scope="once"))
        self.assertEqual(len(stranger.of(Select)), 2)
        self.assertEqual([bye.code for bye in stranger.of(Bye)], ["duplicate"])
        self.assertFalse(older.alive)
        self.assertTrue(stranger.connection.alive)

    def test_leader_ends_nothing_for_a_link_that_is_not_open(self) -> None:
        """A link on which only one side consented does not end the one in use."""
        stranger = Stranger(self.world, HIGHER).dial(self.leader)
        stranger.say(Accept(scope="once"))
        stranger.dial(self.leader)
        self.assertEqual(len(stranger.of(Select)), 1)
        self.assertTrue(all(connection.alive for connection in stranger.connections))

    def test_follower_never_ends_a_duplicate(self) -> None:
        """The follower leaves duplicates to the leader, and uses the one that it is there on."""
        first, second = self.selected_second_first()
        self.world.wait(HOLD + 1)
        self.assertTrue(first.alive and second.alive)
        self.assertIs(self.follower.link_with(self.leader), self.follower.peer.links.of(LOWER.id)[1])

    def test_follower_uses_what_was_selected_last(self) -> None:
        """Where the one in use does not answer it is dead, and the one that was selected last is used."""
        first, second = self.selected_second_first(cut=True)
        self.world.wait(HOLD + 1)
        self.assertTrue(first.alive and second.alive)
        self.assertIs(self.follower.link_with(self.leader), self.follower.peer.links.of(LOWER.id)[0])

    def selected_second_first(self, cut: bool = False) -> list[Connection]:
        """Two links that a stranger opened, of which it selected the second, which may be cut then, and the first."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"))
        first, second = stranger.connections
        second.send(Select())
        self.world.settle()
        self.world.wires[-1].cut = cut
        first.send(Select())
        self.world.settle()
        return [first, second]

    def test_older_select_that_comes_last_and_no_goodbye(self) -> None:
        """The same, where the older link is dead before its goodbye: the chat goes on over the newer one."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"))
        older, newer = stranger.connections
        newer.send(Select())
        newer.send(Have(streams=(), last=True))
        self.world.settle()
        older.send(Select())
        older.send(Have(streams=(), last=True))
        self.world.settle()
        self.world.wires[0].cut = True
        self.world.wait(60)
        self.assertIs(self.follower.link_with(self.leader), self.follower.peer.links.of(LOWER.id)[-1])
        self.follower.do(api.Say(who="low", text="over the newer one"))
        self.assertEqual([entry.seq for entry in stranger.of(Entry)], [1])
        self.assertEqual(self.follower.told(api.Silent, api.Ended, api.Doubt), [])

    def test_older_link_is_dropped_without_violation(self) -> None:
        """What still arrives on a link that is not selected any more is dropped, and breaks no rule."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"), Select(), Have(streams=(), last=True))
            self.world.wait(6)
        first, second = stranger.connections
        first.send(Entry(stream=bytes(80), seq=7, bytes=b"x"))
        self.world.settle()
        self.assertTrue(first.alive and second.alive)
        second.send(Entry(stream=bytes(80), seq=7, bytes=b"x"))
        self.world.settle()
        self.assertEqual([bye.code for bye in stranger.of(Bye)], ["violation"])

    def test_P15_flood_over_a_replaced_link(self) -> None:
        """But not without end: nobody is kept busy by what is dropped."""
        stream = bytes(80)
        for message in (Entry(stream=stream, seq=7, bytes=b"x"), Seen(stream=stream, seq=7), Have(streams=())):
            stranger = Stranger(self.world, LOWER)
            for _ in range(2):
                stranger.dial(self.follower).say(Accept(scope="once"), Select(), Have(streams=(), last=True))
                self.world.wait(6)
            first, second = stranger.connections
            for _ in range(30):
                first.send_all([message] * 100)
                self.world.settle()
            self.assertFalse(first.alive, message)
            self.assertTrue(second.alive)
            second.abort()
            self.world.settle()

    def test_G10_flood_over_a_held_link(self) -> None:
        """A link that is held keeps no more than one that waits for the disk, however much stands in each message."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"), Select())
        holding = Holding(stream=bytes(80), first=1, base=bytes(32), seq=0, head=bytes(32))
        for _ in range(2 * MAX_HELD // 128):
            stranger.say(Have(streams=(holding,) * 128))
        self.assertEqual([bye.code for bye in stranger.of(Bye)], ["rate"])

    def test_older_select_that_comes_last(self) -> None:
        """Two connections keep no order: an older link whose `select` comes last is not taken for the newer one."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"))
        older, newer = stranger.connections
        newer.send(Select())
        self.world.settle()
        used = self.follower.link_with(self.leader)
        older.send(Select())
        older.send(Have(streams=(), last=True))
        older.send(Bye(code="duplicate"))
        self.world.settle()
        self.assertIs(self.follower.link_with(self.leader), used)
        self.assertEqual([event.again for event in self.follower.told(api.Opened)], [False])
        self.world.wait(6)
        self.assertTrue(newer.alive)

    def test_newer_select_right_after_the_older(self) -> None:
        """A link that is selected right after another is used when the other is ended; what came over it counts."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"))
        older, newer = stranger.connections
        older.send(Select())
        self.world.settle()
        newer.send(Select())
        newer.send(Have(streams=(), last=True))
        self.world.settle()
        older.send(Bye(code="duplicate"))
        self.world.settle()
        link = self.follower.link_with(self.leader)
        assert link is not None
        self.assertIs(link, self.follower.peer.links.of(LOWER.id)[-1])
        self.follower.do(api.Say(who="low", text="over the newer one"))
        self.assertEqual([entry.seq for entry in stranger.of(Entry)], [1])
        self.assertEqual(self.follower.told(api.Silent, api.Ended), [])

    def test_held_link_that_was_replaced(self) -> None:
        """A link that was held, dead without anybody knowing, is not taken up again beside a newer one."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(3):
            stranger.dial(self.follower).say(Accept(scope="once"))
        first, second, third = stranger.connections
        first.send(Select())
        self.world.settle()
        self.world.clock.advance(HOLD - 0.5)
        second.send(Select())
        second.send(Have(streams=(), last=True))
        self.world.settle()
        self.world.clock.advance(0.6)
        third.send(Select())
        third.send(Have(streams=(), last=True))
        self.world.settle()
        for seconds in (0, 2 * HOLD):
            self.world.wait(seconds)
            self.assertIs(self.follower.link_with(self.leader), self.follower.peer.links.of(LOWER.id)[2])
        self.follower.do(api.Say(who="low", text="over the newest"))
        self.assertEqual([entry.seq for entry in stranger.of(Entry)], [1])
        self.assertTrue(third.alive)

    def test_replaced_link_that_the_leader_uses(self) -> None:
        """Where only links are left that were replaced they are given up, so that both agree on a new one at once."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"))
        older, newer = stranger.connections
        older.send(Select())
        self.world.settle()
        newer.send(Select())
        self.world.wait(HOLD + 1)
        self.assertIs(self.follower.link_with(self.leader), self.follower.peer.links.of(LOWER.id)[0], "it answered")
        older.send(Bye(code="duplicate"))
        self.world.settle()
        self.assertFalse(newer.alive)
        self.assertIsNone(self.follower.link_with(self.leader))
        stranger.dial(self.follower).say(Accept(scope="once"), Select(), Have(streams=(), last=True))
        self.follower.do(api.Say(who="low", text="over the newest"))
        self.assertEqual([entry.seq for entry in stranger.of(Entry)], [1])

    def test_entry_over_a_held_link(self) -> None:
        """Nobody sends an entry before the other side of link-up."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(2):
            stranger.dial(self.follower).say(Accept(scope="once"), Select())
        stranger.say(Entry(stream=bytes(80), seq=1, bytes=b"x"))
        self.assertEqual([bye.code for bye in stranger.of(Bye)], ["violation"])

    def test_select_from_the_follower(self) -> None:
        """Only the leader selects."""
        stranger = Stranger(self.world, LOWER).dial(self.follower)
        stranger.say(Accept(scope="once"), Select())
        self.assertIsNone(stranger.code)
        pretender = Stranger(self.world, HIGHER).dial(self.leader)
        pretender.say(Accept(scope="once"))
        pretender.connection.transport.write(encode_frame(encode(Select())))
        self.world.settle()
        self.assertEqual(pretender.code, "unexpected")

    def test_A4_links_of_one_id_are_bounded(self) -> None:
        """A contact that opens link after link gets no more than a few."""
        stranger = Stranger(self.world, LOWER)
        for _ in range(12):
            stranger.dial(self.follower).say(Ping(number=1))
        alive = [connection for connection in stranger.connections if connection.alive]
        self.assertLessEqual(len(alive), 8)
        self.assertIn("rate", [bye.code for bye in stranger.of(Bye)])


class DeadLinkTests(PairTests):
    def test_F9_follower_comes_back_before_the_leader_knows(self) -> None:
        """A new link takes over from one that is dead without anybody knowing, and outlives its end."""
        self.comes_back(self.follower)

    def test_F9_leader_comes_back_before_the_follower_knows(self) -> None:
        """The same, where the one that did not notice must not choose."""
        self.comes_back(self.leader)

    def comes_back(self, one: Node) -> None:
        other = self.other(one)
        self.chatting()
        [wire] = self.world.between(one, other)
        wire.cut = True
        mine = wire.dialling if wire.dialling.hostAddress.host == one.host else wire.listening
        mine.lost(OSError("the network changed"))
        self.world.settle()
        one.dials(other)
        self.world.settle()
        live = [each for each in self.world.between(one, other) if not each.cut]
        self.assertEqual(len(live), 1)
        self.assertIsNot(self.leader.link_with(self.follower), None)
        before = len(other.told(api.Opened)), len(other.told(api.Ended))
        self.world.wait(60)
        self.assert_one_link()
        self.assertEqual((len(other.told(api.Opened)), len(other.told(api.Ended))), before)
        self.assertFalse(any(dead.cut for dead in self.world.between(one, other)))

    def test_F7_silence_is_noticed_and_the_chat_goes_on(self) -> None:
        """A pulled cable is noticed within 45 s on both sides; what was said meanwhile arrives after the redial."""
        self.chatting()
        self.world.cut(self.leader, self.follower)
        self.leader.do(api.Say(who="high", text="into the dark"))
        self.assertNotIn("into the dark", self.follower.texts())
        self.world.wait(47)
        for one in (self.leader, self.follower):
            silent, lost = one.told(api.Silent)
            self.assertEqual((silent.seconds >= 30, lost.seconds), (True, 0))
            self.assertEqual(lost.person.chat, "lost", "front ends know then that there is no link")
            self.assertEqual(one.told(api.Ended), [])
        self.world.wait(60)
        self.assertEqual(self.follower.texts().count("into the dark"), 1)
        self.assertEqual([event.again for event in self.leader.told(api.Opened)], [False, True])
        self.assertEqual(len(self.leader.told(api.Back)), 1)
        self.world.wires = [wire for wire in self.world.wires if not wire.cut]
        self.assert_one_link()

    def test_lost_link_is_dialled_again(self) -> None:
        """A chat whose link broke is dialled again by itself, and is the same chat."""
        self.chatting()
        self.world.drop(self.leader, self.follower)
        self.assertIsNone(self.leader.link_with(self.follower))
        self.world.wait(40)
        self.assert_one_link()
        self.assertEqual(self.follower.told(api.Asked), [])

    def test_outgoing_link_lost_before_consent(self) -> None:
        """A link that broke while the other side was being asked is dialled again."""
        self.follower.do(api.RemoveContact(who="low"))
        self.leader.dials(self.follower)
        self.world.settle()
        self.assertEqual(len(self.follower.told(api.Asked)), 1)
        self.world.drop(self.leader, self.follower)
        self.assertEqual([event.reason for event in self.follower.told(api.AskEnded)], ["gone"])
        self.world.wait(40)
        self.assertEqual(len(self.follower.told(api.Asked)), 2)
        self.follower.do(api.Accept(who=self.follower.name_of(self.leader)))
        self.assert_open()

    def assert_open(self) -> None:
        self.assertTrue(self.leader.peer.links.has_open(self.follower.id))
        self.assertTrue(self.follower.peer.links.has_open(self.leader.id))

    def test_request_moves_to_the_new_link(self) -> None:
        """Who asks, is cut off, and asks again before that is noticed, is accepted on the link that lives."""
        self.follower.do(api.RemoveContact(who="low"))
        self.leader.dials(self.follower)
        self.world.settle()
        [wire] = self.world.between(self.leader, self.follower)
        wire.cut = True
        wire.dialling.lost(OSError("the network changed"))
        self.world.wait(60, step=0.5)
        self.assertEqual(len(self.follower.told(api.Asked)), 1)
        self.assertEqual(self.follower.told(api.AskEnded), [])
        self.follower.do(api.Accept(who=self.follower.name_of(self.leader)))
        self.assert_open()

    def test_handshake_that_never_ends(self) -> None:
        """A far side that connects and then says nothing is given up, and tried again."""
        self.world.listeners[self.follower.host, 6666] = Mute()  # type: ignore[assignment]
        self.leader.dials(self.follower)
        self.world.wait(60)
        self.assertLessEqual(len(self.leader.sweep.connections), 4)
        self.follower.listen()
        self.world.wait(40)
        self.assert_open()

    def test_one_handshake_at_a_time(self) -> None:
        """An address is not dialled again while a handshake with it is under way."""
        self.world.listeners[self.follower.host, 6666] = Mute()  # type: ignore[assignment]
        self.leader.dials(self.follower)
        self.world.wait(9)
        self.assertEqual(len(self.leader.dialler.dialled), 1)

    def test_close_during_a_handshake(self) -> None:
        """Who is not wanted any more when they are reached at last gets no consent."""
        for steps in range(1, 12):
            self.leader.dials(self.follower)
            for _ in range(steps):
                self.world.clock.advance(0)
                ready = [plug for wire in self.world.wires for plug in wire.ready()]
                if ready:
                    ready[0].wire.move(ready[0])
            self.leader.do(api.Close(who="high"))
            self.world.wait(8)
            self.assertFalse(self.leader.peer.links.all(), f"after {steps} steps")
            self.assertFalse(self.follower.peer.links.all(), f"after {steps} steps")

    def test_reached_at_two_addresses(self) -> None:
        """A link that answers after the chat was closed is closed."""
        far = Stranger(self.world, "carol", "10.0.0.9").listen()
        self.leader.do(api.AddContact(id=format_id(far.identity.id), name="carol"))
        self.leader.run(self.leader.peer.want(far.identity.id, typed=[far.address]))
        talk = self.leader.peer.talk(far.identity.id)
        assert talk is not None
        self.world.clock.advance(0)
        talk.wanted = False
        self.world.settle()
        self.assertEqual(far.code, "closed")
        self.assertEqual(far.of(Ask), [])

    def test_F18_far_side_without_room(self) -> None:
        """While the far side can store nothing, and ends every link, both are told once, and once of its end."""
        self.chatting()
        write = Inbox._write

        def full(inbox: Inbox, *what: Any) -> Any:
            here = inbox._environment is self.follower.peer.environment
            return fail(StoreFull("there is no room on the disk")) if here else write(inbox, *what)

        patched = mock.patch.object(Inbox, "_write", full)
        patched.start()
        self.addCleanup(mock.patch.stopall)
        for one in (self.leader, self.follower):
            one.events.clear()
        self.leader.do(api.Say(who="high", text="for later"))
        self.world.wait(300)
        for one in (self.leader, self.follower):
            self.assertEqual((len(one.told(api.Silent)), one.told(api.Back, api.Asking)), (1, []))
        (trouble,) = self.leader.told(api.Problem)
        self.assertIn("high cannot take anything now", trouble.text)
        # A chat that is closed and begun anew is another one: it is told of as if nothing had been.
        self.leader.do(api.Close(who="high"))
        self.leader.do(api.Connect(who="high"))
        self.world.wait(60)
        self.assertEqual((len(self.leader.told(api.Silent)), len(self.leader.told(api.Problem))), (2, 2))
        self.assertEqual(self.leader.told(api.Back), [])
        patched.stop()
        self.world.wait(60)
        self.assertEqual(self.follower.texts(), ["for later"])
        for one in (self.leader, self.follower):
            self.assertEqual(len(one.told(api.Back)), 1)


class CarryingTests(PairTests):
    """What the link of a chat is given, and no other."""

    def test_more_may_wait_for_the_reader_of_a_chat(self) -> None:
        """A link takes more before it counts as slow, once it carries a chat and no sooner."""
        sizes: list[int] = []
        self.patch(links_connection, "set_high_water", lambda transport, size: sizes.append(size))
        Stranger(self.world, "far").dial(self.leader)
        self.world.settle()
        self.assertEqual(sizes, [])
        self.chatting()
        self.assertEqual(sizes, [MOST_WAITING] * 2)

    def test_F27_acknowledgements_are_progress(self) -> None:
        """A link that is told of progress is not cut, though its transport never tells of an empty buffer."""
        self.chatting()
        link = self.leader.link_with(self.follower)
        assert link is not None
        held = link._connection
        assert held is not None
        held.pauseProducing()
        for _ in range(4):
            self.world.wait(40)
            self.assertTrue(link.alive)
            link.took()
        self.world.wait(70)
        self.assertFalse(link.alive)


class InstanceTests(PairTests):
    def test_F24_another_instance_displaces_the_older(self) -> None:
        """A second process with the same key displaces the first, which stops and asks its person."""
        self.chatting(self.follower)
        second = self.world.node(HIGHER, handle="high", host="10.0.0.77")
        second.knows(self.leader)
        dialled = len(self.follower.dialler.dialled)
        second.dials(self.leader)
        self.world.settle()
        self.assertEqual(len(self.follower.told(api.Displaced)), 1)
        self.assertEqual(len(self.follower.told(api.Ended)), 1)
        self.assertIsNotNone(second.link_with(self.leader))
        self.world.wait(120)
        self.assertEqual(len(self.follower.dialler.dialled), dialled, "the displaced instance fights")
        self.assertEqual(second.told(api.Displaced), [])

    def test_displaced_at_a_server(self) -> None:
        """Where nobody is attached the log says why this peer is silent."""
        with capturedLogs() as logged:
            self.follower.peer.displaced("lab1")
        self.assertIn("lab1", "".join(filter(None, map(formatEvent, logged))))

    def test_displaced_code(self) -> None:
        """The older link, of another nonce, is told `displaced`; one of the same nonce is none."""
        older = Stranger(self.world, LOWER).dial(self.follower)
        same = Stranger(self.world, LOWER).dial(self.follower)
        self.assertIsNone(older.code)
        newer = Stranger(self.world, LOWER)
        newer.hello = type(newer.hello)(version=1, handle="stranger", nonce=b"M" * 16, store=b"S" * 16)
        newer.dial(self.follower)
        self.assertEqual((older.code, same.code, newer.code), ("displaced", "displaced", None))

    def test_displaced_link_is_not_used(self) -> None:
        """What was asked over a link of an older instance is void."""
        older = Stranger(self.world, "carol").dial(self.follower)
        older.say(Ask(text="first"))
        self.world.wires[-1].cut = True
        newer = Stranger(self.world, "carol")
        newer.hello = type(newer.hello)(version=1, handle="stranger", nonce=b"M" * 16, store=b"S" * 16)
        newer.dial(self.follower).say(Ask(text="second"))
        self.assertEqual([event.reason for event in self.follower.told(api.AskEnded)], ["gone"])
        [request] = self.follower.peer.links.requests.values()
        self.assertEqual(request.text, "second")

    def test_hello_to_oneself(self) -> None:
        """A link to oneself is refused, once and for all."""
        self.leader.do(api.Connect(who=self.leader.address))
        [ended] = self.leader.told(api.Ended)
        self.assertEqual(ended.reason, "self")
        self.assertEqual(self.leader.peer.links.all(), [])
        self.world.wait(60)
        self.assertEqual(len(self.leader.dialler.dialled), 1)

    def test_another_key_answers(self) -> None:
        """Where somebody else answers than the one who was dialled, nothing is said to them, and the search goes on."""
        self.follower.leave()
        carol = Stranger(self.world, "carol", self.follower.host).listen()
        self.leader.dials(self.follower)
        self.world.wait(30)
        self.assertEqual(list(carol.came), [])
        self.assertEqual(self.leader.told(api.Asking, api.Ended), [])
        self.follower.listen()
        self.world.wait(40)
        self.assert_one_link()


class GoodbyeTests(WorldTests):
    """What follows from each code of section 5 of docs/protocol.md."""

    def setUp(self) -> None:
        super().setUp()
        self.node = self.world.node("alice")
        self.far = Stranger(self.world, "bob", "10.0.0.9").listen()
        self.node.do(api.AddContact(id=format_id(self.far.identity.id), name="bob"))

    def open(self) -> None:
        self.node.run(self.node.peer.want(self.far.identity.id, typed=[self.far.address]))
        self.world.settle()
        self.far.say(Accept(scope="once"))
        self.assertTrue(self.node.peer.links.has_open(self.far.identity.id))

    def dials_after(self, code: str) -> int:
        """How often it dials in the minute after a goodbye."""
        before = len(self.node.dialler.dialled)
        self.far.connection.send(Bye(code=code))
        self.world.settle()
        self.world.wait(60)
        return len(self.node.dialler.dialled) - before

    def test_those_that_end_a_chat(self) -> None:
        """After closed, rejected, expired, displaced and self nobody dials by himself, and the person is told once."""
        for code in ("closed", "rejected", "expired", "displaced", "self"):
            self.node.events.clear()
            self.open()
            self.assertEqual(self.dials_after(code), 0, code)
            self.assertEqual([event.reason for event in self.node.told(api.Ended)], [code])
            self.assertEqual(len(self.node.told(api.Displaced)), code == "displaced")

    def test_those_that_do_not(self) -> None:
        """After every other code, known or not, the chat is dialled again."""
        for code in sorted({*(code.value for code in EndCode), "from-the-future"}):
            if code in ("closed", "rejected", "expired", "displaced", "self"):
                continue
            self.open()
            self.node.events.clear()
            self.assertGreaterEqual(self.dials_after(code), 1, code)
            self.assertEqual(self.node.told(api.Ended), [], code)
            self.far.say(Accept(scope="once"))
            self.node.do(api.Close(who="bob"))
            self.world.wait(6)

    def test_F11_link_after_link(self) -> None:
        """Who takes every link and ends it at once is dialled more and more rarely, not several times a second."""
        say = self.far.received

        def say_and_end(connection: Connection, message: Any) -> None:
            say(connection, message)
            if isinstance(message, Accept):
                self.far.connection.send(Bye(code="internal"))

        self.far.received = say_and_end  # type: ignore[method-assign]
        self.node.run(self.node.peer.want(self.far.identity.id, typed=[self.far.address]))
        self.world.wait(60)
        first = len(self.node.dialler.dialled)
        self.assertGreaterEqual(first, 4)
        self.world.wait(600)
        self.assertLessEqual(len(self.node.dialler.dialled) - first, 60, "that is once in ten seconds, on average")
        self.far.received = say  # type: ignore[method-assign]
        self.world.wait(31)
        self.far.say(Accept(scope="once"))
        self.world.wait(LASTED)
        self.assertEqual(self.dials_within(1), 1, "a link that lasted is dialled again at once")

    def dials_within(self, seconds: float) -> int:
        """How often it dials in the seconds after their link broke."""
        before = len(self.node.dialler.dialled)
        self.far.hang_up()
        self.world.wait(seconds, step=0.1)
        return len(self.node.dialler.dialled) - before

    def test_closed_counts_though_another_link_is_there(self) -> None:
        """Who closes has closed the chat, whichever of several links the word came over."""
        self.open()
        first = self.far.connection
        again = Stranger(self.world, "bob", "10.0.0.9").dial(self.node)
        first.send(Bye(code="closed"))
        self.world.settle()
        self.assertEqual([event.reason for event in self.node.told(api.Ended)], ["closed"])
        self.assertEqual(again.code, "closed")

    def test_connect_at_once_after_their_close(self) -> None:
        """A wish that comes after their goodbye is not ended by the late end of the old link."""
        self.open()
        old = self.world.wires[-1]
        self.far.connection.send(Bye(code="closed"))
        old.move(old.listening)
        self.world.clock.advance(0)
        self.assertEqual([event.reason for event in self.node.told(api.Ended)], ["closed"])
        self.node.run(self.node.peer.want(self.far.identity.id, typed=[self.far.address]))
        self.world.settle()
        self.far.say(Accept(scope="once"))
        self.world.wait(8)
        self.assertEqual(len(self.node.told(api.Ended)), 1)
        self.assertTrue(self.node.peer.links.has_open(self.far.identity.id))

    def test_close_is_told_once(self) -> None:
        """Both close at the same moment: each person is told once."""
        self.open()
        self.far.connection.send(Bye(code="closed"))
        self.node.do(api.Close(who="bob"))
        self.world.wait(8)
        self.assertEqual([event.reason for event in self.node.told(api.Ended)], ["closed"])
