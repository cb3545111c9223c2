"""A Connection over real TLS in memory: how links begin, carry, and end in bounded time whatever the far side does."""

import tracemalloc
from collections.abc import Callable

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import EndCode, HandshakeRefused, LocalProtocolError, RemoteProtocolError
from p2pchat.core.framing import encode_frame
from p2pchat.core.identity import Identity
from p2pchat.core.messages import (
    Accept,
    Address,
    Ask,
    Bye,
    Entry,
    Hello,
    Message,
    Ping,
    Pong,
    Record,
    Registered,
    Reject,
    Select,
    ServerHello,
    decode,
    encode,
)
from p2pchat.core.session import Session
from p2pchat.core.states import Side, State
from p2pchat.net.certificates import own_credentials
from p2pchat.net.connection import MOST_PILED, Connection, Ending, LinkKeeper, Sweep
from p2pchat.net.tls import PEER_PROTOCOL, SERVER_PROTOCOL, Authenticated, ListenerTLS, PeerDiallerTLS

from .examples import ALICE, BOB, HELLO, RECORD_BYTES, SERVER_HELLO, SIGNED, STREAM, WALL
from .wires import Wire, WireEnd

ONCE = Accept(scope="once")


class Keeper(LinkKeeper):
    """Owns one link, and remembers what it was told."""

    def __init__(self, clock: Clock, side: Side) -> None:
        self.log: list[object] = []
        """Messages and the ending, in order."""
        self.refusal: HandshakeRefused | None = None
        """What to raise when a link begins."""
        self.act: Callable[[Connection, Message], None] = lambda connection, message: None
        self.writable_count = 0
        self.authenticated: Authenticated | None = None
        self._clock = clock
        self._side = side

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        self.authenticated = authenticated
        if self.refusal is not None:
            raise self.refusal
        hello: Hello | ServerHello = SERVER_HELLO if self._side is Side.SERVER else HELLO
        return Session(self._side, hello, self._clock.seconds())

    def received(self, connection: Connection, message: Message) -> None:
        self.log.append(message)
        self.act(connection, message)

    def writable(self, connection: Connection) -> None:
        self.writable_count += 1

    def lost(self, connection: Connection, ending: Ending) -> None:
        self.log.append(ending)

    @property
    def endings(self) -> list[Ending]:
        """Every end that was told; one at most."""
        return [each for each in self.log if isinstance(each, Ending)]

    @property
    def messages(self) -> list[Message]:
        """Every message that was told."""
        return [each for each in self.log if isinstance(each, Message)]


class Stranger(Protocol):
    """The far side without manners: writes what it is told to, and reads frames."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def say(self, *messages: Message) -> None:
        """Write messages, were they legal or not."""
        for message in messages:
            self.write(encode_frame(encode(message)))

    def write(self, data: bytes) -> None:
        """Write any bytes."""
        assert self.transport is not None
        self.transport.write(data)

    @property
    def heard(self) -> list[Message | None]:
        """The messages that came."""
        data, found = self.data, []
        while data:
            size = int.from_bytes(data[:4], "big")
            found.append(decode(data[4 : 4 + size]))
            data = data[4 + size :]
        return found


def dialling(protocol: Protocol, identity: Identity, clock: Clock) -> TLSMemoryBIOFactory:
    """TLS around the dialling end."""
    tls = PeerDiallerTLS(own_credentials(identity.private_key, WALL))
    return tls.wrap(Factory.forProtocol(lambda: protocol), clock)


def listening(protocol: Protocol, identity: Identity, clock: Clock) -> TLSMemoryBIOFactory:
    """TLS around the listening end."""
    tls = ListenerTLS(own_credentials(identity.private_key, WALL), [PEER_PROTOCOL, SERVER_PROTOCOL])
    return tls.wrap(Factory.forProtocol(lambda: protocol), clock)


class ConnectionTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.sweep = Sweep(self.clock)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.sweep.connections, frozenset())

    def connection(self, side: Side) -> tuple[Connection, Keeper]:
        """A connection of ours and who keeps it."""
        keeper = Keeper(self.clock, side)
        return Connection(keeper, self.clock, self.sweep), keeper

    def wire(self, dials: Protocol, listens: Protocol) -> Wire:
        """Join two ends, Alice's and Bob's, as far as TLS goes."""
        wire = Wire(
            self.clock,
            dialling(dials, ALICE, self.clock).buildProtocol(None),
            listening(listens, BOB, self.clock).buildProtocol(None),
        )
        wire.settle()
        return wire


class TwoOfUsTests(ConnectionTestCase):
    """Both ends are ours."""

    def setUp(self) -> None:
        super().setUp()
        # Which of the two leads has nothing to do with who dials.
        self.leader, self.leading = self.connection(Side.LEADER)
        self.follower, self.following = self.connection(Side.FOLLOWER)
        self.link = self.wire(self.leader, self.follower)

    def finish(self) -> None:
        """End what is left."""
        self.leader.abort()
        self.follower.abort()
        self.link.settle()

    def open(self) -> None:
        """Bring both to SELECTED."""
        self.leader.send(ONCE)
        self.follower.send(ONCE)
        self.link.settle()
        self.leader.send(Select())
        self.link.settle()

    def test_hello_both_ways(self) -> None:
        """As soon as TLS is there both sides say hello, and know whom they talk to."""
        self.assertEqual(self.leading.log, [HELLO])
        self.assertEqual(self.following.log, [HELLO])
        self.assertTrue(self.leader.alive and self.follower.alive)
        self.assertEqual((self.leader.authenticated.key, self.follower.authenticated.key), (BOB.key, ALICE.key))
        self.assertIs(self.leader.session.state, State.ASKING)
        self.finish()

    def test_addresses(self) -> None:
        """A link tells both addresses."""
        self.assertEqual(self.leader.own_address, Address(host="192.0.2.1", port=7777))
        self.assertEqual(self.leader.peer_address, Address(host="192.0.2.1", port=6666))
        self.assertEqual(self.follower.peer_address, self.leader.own_address)
        self.finish()

    def test_messages(self) -> None:
        """What one sends the other is told, in order, also what was encoded before."""
        self.open()
        entries = [Entry(stream=STREAM, seq=seq, bytes=bytes(20_000)) for seq in range(1, 20)]
        for entry in entries[:10]:
            self.leader.send(entry)
        for entry in entries[10:]:
            self.leader.send_encoded(Entry, encode_frame(encode(entry)))
        self.link.settle()
        self.assertEqual(self.following.messages[-19:], entries)
        self.finish()

    def test_what_is_not_legal_is_our_bug(self) -> None:
        """Sending what the state does not allow raises, and the link stands."""
        self.assertRaises(LocalProtocolError, self.leader.send, Select())
        self.assertRaises(LocalProtocolError, self.leader.send_encoded, Select, b"")
        self.assertTrue(self.leader.alive)
        self.finish()

    def test_an_answer_in_the_same_turn(self) -> None:
        """What the keeper sends while it is told a message goes out, and changes what may come next."""
        self.following.act = lambda connection, message: connection.send(ONCE) if isinstance(message, Ask) else None
        self.leader.send(Ask(text="hi"))
        self.leader.send(ONCE)
        self.link.settle()
        self.assertEqual(self.leading.messages, [HELLO, ONCE])
        self.assertIs(self.leader.session.state, State.OPEN)
        self.finish()

    def test_bye(self) -> None:
        """Who closes says why; the other is told the code, then the end; both sockets are gone at once."""
        self.leader.close(EndCode.LEAVING, "stopped")
        self.assertFalse(self.leader.alive)
        self.link.settle()
        self.assertEqual(self.following.log, [HELLO, Bye(code="leaving"), Ending(EndCode.LEAVING, True)])
        self.assertEqual(self.leading.log, [HELLO, Ending(EndCode.LEAVING, False, "stopped")])
        self.assertFalse(any(end.connected for end in self.link.ends))

    def test_bye_from_both(self) -> None:
        """Both may close at once; each believes its own reason."""
        self.leader.close(EndCode.CLOSED)
        self.follower.close(EndCode.LEAVING)
        self.link.settle()
        self.assertEqual(self.leading.endings, [Ending(EndCode.CLOSED, False)])
        self.assertEqual(self.following.endings, [Ending(EndCode.LEAVING, False)])

    def test_reject_ends_a_link(self) -> None:
        """A rejected request ends the link on both sides."""
        self.follower.send(Reject(code="expired"))
        self.link.settle()
        self.assertEqual(self.leading.log[1:], [Reject(code="expired"), Ending(EndCode.EXPIRED, True)])
        self.assertEqual([ending.code for ending in self.following.endings], [EndCode.EXPIRED])

    def test_an_unknown_code(self) -> None:
        """A code of a newer version ends the link as unknown."""
        self.leader.send(Bye(code="brand-new"))
        self.link.settle()
        self.assertEqual(self.following.endings, [Ending(EndCode.UNKNOWN, True)])

    def test_cable_cut(self) -> None:
        """A lost connection is told once, and nobody said why."""
        self.link.cut()
        for keeper in (self.leading, self.following):
            (ending,) = keeper.endings
            self.assertEqual((ending.code, ending.by_them), (EndCode.UNKNOWN, False))

    def test_nothing_happens_after_the_end(self) -> None:
        """Whatever is asked of a link that is over does nothing, as often as it is asked."""
        self.leader.close(EndCode.CLOSED)
        for _ in range(2):
            self.leader.send(Ask())
            self.leader.send_encoded(Ask, b"")
            self.leader.close(EndCode.INTERNAL)
            self.leader.fail(EndCode.INTERNAL)
            self.link.settle()
        for connection in (self.leader, self.follower):
            connection.abort()
            connection.send(Ask())
            connection.close(EndCode.INTERNAL)
            connection.fail(EndCode.INTERNAL)
            connection.look(self.clock.seconds() + 1000.0)
        self.link.settle()
        self.assertEqual(self.leading.endings, [Ending(EndCode.CLOSED, False)])
        self.assertEqual(self.following.endings, [Ending(EndCode.CLOSED, True)])

    def test_pings_keep_a_quiet_link(self) -> None:
        """Two that have nothing to say stay connected, and nobody is bothered."""
        self.link.wait(200.0, 1.0)
        self.assertTrue(self.leader.alive and self.follower.alive)
        self.assertEqual(self.leading.log, [HELLO])
        self.finish()

    def test_F7_dead_after_45_seconds(self) -> None:
        """A far side that falls silent is given up after 45 s, and its socket is gone soon after."""
        self.link.ends[1].reads = False
        self.link.ends[0].reads = False
        self.link.wait(44.0, 1.0)
        self.assertTrue(self.leader.alive)
        self.link.wait(2.0, 1.0)
        self.assertFalse(self.leader.alive)
        self.link.wait(1.0)
        (ending,) = self.leading.endings
        self.assertEqual((ending.code, ending.by_them), (EndCode.TIMEOUT, False))
        self.finish()

    def test_one_timer_for_all_links(self) -> None:
        """However many links there are, one timer looks after them while they live."""
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.sweep.connections, {self.leader, self.follower})
        self.finish()

    def test_F27_slow_reader(self) -> None:
        """A reader that does not read makes its link congested; when it has read, the keeper may go on."""
        self.open()
        self.link.ends[1].reads = False
        self.leader.send(Entry(stream=STREAM, seq=1, bytes=bytes(50_000)))
        self.link.settle()
        self.assertFalse(self.leader.congested)
        self.leader.send(Entry(stream=STREAM, seq=2, bytes=bytes(50_000)))
        self.link.settle()
        self.assertTrue(self.leader.congested)
        self.assertEqual(self.leading.writable_count, 0)
        self.link.wait(30.0, 1.0)
        self.assertTrue(self.leader.alive)
        self.link.ends[1].reads = True
        self.link.settle()
        self.assertFalse(self.leader.congested)
        self.assertEqual(self.leading.writable_count, 1)
        self.assertEqual(len(self.following.messages), 5)
        self.link.wait(100.0, 1.0)
        self.assertTrue(self.leader.alive)
        self.finish()

    def test_close_towards_a_slow_reader(self) -> None:
        """What waits for a reader that does not read keeps no link open: it is gone 5 s after its end."""
        self.open()
        self.link.ends[1].reads = False
        for seq in range(1, 5):
            self.leader.send(Entry(stream=STREAM, seq=seq, bytes=bytes(61_000)))
        self.link.settle()
        self.leader.close(EndCode.LEAVING)
        self.link.wait(5.0)
        self.assertFalse(self.link.ends[0].connected)
        self.assertEqual(len(self.link.ends[0].waiting), 0)
        self.assertEqual(self.leading.endings, [Ending(EndCode.LEAVING, False)])
        self.finish()


class StrangerTests(ConnectionTestCase):
    """The far side is a stranger, who dials us."""

    side = Side.FOLLOWER

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.keeper = self.connection(self.side)
        self.stranger = Stranger()
        self.link = self.wire(self.stranger, self.ours)

    @property
    def far(self) -> WireEnd:
        return self.link.ends[0]

    @property
    def near(self) -> WireEnd:
        return self.link.ends[1]

    def finish(self) -> None:
        """End what is left."""
        self.ours.abort()
        self.link.settle()

    def select(self) -> None:
        """Both sides consented, and the far side selected the link."""
        self.stranger.say(HELLO, ONCE)
        self.link.settle()
        self.ours.send(ONCE)
        self.stranger.say(Select())
        self.link.settle()

    def ended(self, code: EndCode) -> None:
        """The link must be over for this reason of ours, its socket gone, and told once."""
        self.assertFalse(self.near.connected)
        (ending,) = self.keeper.endings
        self.assertEqual((ending.code, ending.by_them), (code, False))


class ViolationTests(StrangerTests):
    def test_code_then_abort(self) -> None:
        """After a violation the code is said, nothing more is read, and within 1 s the socket is gone."""
        for offset in (0.0, 0.3, 0.9):
            self.setUp()
            self.stranger.say(HELLO)
            self.link.wait(offset, 0.1)
            heard = len(self.stranger.heard)
            self.stranger.say(Select(), Ask())
            self.far.reads = False
            self.link.settle()
            self.assertFalse(self.ours.alive)
            self.assertTrue(self.near.connected)
            self.assertEqual(self.keeper.messages, [HELLO])
            self.link.wait(0.9, 0.1)
            self.assertTrue(self.near.connected, offset)
            self.link.wait(0.1, 0.1)
            self.ended(EndCode.UNEXPECTED)
            self.assertEqual(len(self.stranger.heard), heard)

    def test_the_code_arrives(self) -> None:
        """A far side that reads learns the code, and the link is gone at once."""
        self.stranger.say(HELLO, Select())
        self.link.settle()
        self.assertEqual(self.stranger.heard, [HELLO, Bye(code="unexpected")])
        self.ended(EndCode.UNEXPECTED)

    def test_content_that_the_keeper_refuses(self) -> None:
        """The keeper judges contents: what it raises is what the far side is told."""

        def refuse(connection: Connection, message: Message) -> None:
            raise RemoteProtocolError(EndCode.VERSION, "no version in common")

        self.keeper.act = refuse
        self.stranger.say(HELLO, Ask())
        self.link.settle()
        self.assertEqual(self.stranger.heard, [HELLO, Bye(code="version")])
        self.assertEqual(self.keeper.messages, [HELLO])
        self.ended(EndCode.VERSION)

    def test_bad_frames_after_hello(self) -> None:
        """Each kind of bad frame has its code."""
        for data, code in {
            b"\0\0\x40\x01": EndCode.TOO_BIG,
            b"\xff\xff\xff\xff": EndCode.TOO_BIG,
            b"\0\0\0\0": EndCode.MALFORMED,
            encode_frame(b"\xc0"): EndCode.MALFORMED,
            encode_frame(encode(HELLO)): EndCode.UNEXPECTED,
            encode_frame(encode(Ping(number=1))) * 101: EndCode.RATE,
        }.items():
            self.setUp()
            self.stranger.say(HELLO)
            self.stranger.write(data)
            self.link.settle()
            self.assertEqual(self.stranger.heard[-1], Bye(code=code.value))
            self.ended(code)

    def test_P11_violation_before_hello(self) -> None:
        """Before hello a violation ends the link at once, and nothing is said."""
        for data in (
            b"\xff\xff\xff\xff",
            b"\0\0\0\0",
            encode_frame(b"\xc0"),
            encode_frame(encode(Ping(number=1))),
            encode_frame(encode(Ask())) + encode_frame(encode(HELLO)),
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            self.setUp()
            said = self.stranger.heard
            self.stranger.write(data)
            self.link.settle()
            self.assertFalse(self.near.connected)
            self.assertEqual(self.stranger.heard, said, data)
            self.assertEqual(self.keeper.messages, [])
            self.assertEqual(len(self.keeper.endings), 1)

    def test_fail_by_the_keeper(self) -> None:
        """A keeper may find a violation later."""
        self.stranger.say(HELLO)
        self.link.settle()
        self.ours.fail(EndCode.VIOLATION, "found out")
        self.link.settle()
        self.assertEqual(self.stranger.heard[-1], Bye(code="violation"))
        self.assertEqual(self.keeper.endings, [Ending(EndCode.VIOLATION, False, "found out")])


class ServerViolationTests(StrangerTests):
    """The same at a server, which may say bye before hello."""

    side = Side.SERVER

    def test_refusal_before_hello(self) -> None:
        """A server that has no room says so before any hello."""
        self.ours.close(EndCode.FULL)
        self.link.settle()
        self.assertEqual(self.stranger.heard, [SERVER_HELLO, Bye(code="full")])
        self.assertEqual(self.keeper.endings, [Ending(EndCode.FULL, False)])

    def test_P11_violation_before_hello(self) -> None:
        """But after a violation before hello it says nothing."""
        self.stranger.say(Ping(number=1))
        self.link.settle()
        self.assertEqual(self.stranger.heard, [SERVER_HELLO])
        self.ended(EndCode.UNEXPECTED)

    def test_silence_before_hello(self) -> None:
        """Nor after 10 s without one."""
        self.link.wait(11.0)
        self.assertEqual(self.stranger.heard, [SERVER_HELLO])
        self.ended(EndCode.TIMEOUT)

    def test_registered(self) -> None:
        """After hello all is as on every link."""
        self.stranger.say(HELLO)
        self.link.settle()
        self.ours.send(Registered(handle="alice", expires=30))
        self.link.settle()
        self.assertEqual(self.stranger.heard[1:], [Registered(handle="alice", expires=30)])
        self.finish()


class SlowStrangerTests(StrangerTests):
    def test_T1_silence_before_hello(self) -> None:
        """Who says no hello within 10 s of the connection is aborted."""
        self.link.wait(9.9, 0.1)
        self.assertTrue(self.near.connected)
        self.link.wait(0.1, 0.1)
        self.assertFalse(self.near.connected)
        self.assertEqual(self.stranger.heard, [HELLO])
        self.assertEqual(len(self.keeper.endings), 1)

    def test_P2_half_a_frame(self) -> None:
        """A frame that never ends is given up after 30 s, though pings are answered."""
        self.stranger.say(HELLO, Ping(number=1))
        self.stranger.write(b"\0\0\0\x20half")
        self.link.wait(29.0, 1.0)
        self.assertTrue(self.ours.alive)
        self.link.wait(2.0, 1.0)
        self.assertEqual(self.stranger.heard[-1], Bye(code="timeout"))
        self.ended(EndCode.TIMEOUT)

    def test_T9_never_answers_our_close(self) -> None:
        """A far side that never answers is gone 5 s after our end, and not before it had the time."""
        for offset in (0.0, 0.5):
            self.setUp()
            self.stranger.say(HELLO)
            self.link.settle()
            self.link.wait(offset)
            self.far.reads = False
            self.ours.close(EndCode.CLOSED)
            self.link.wait(4.75)
            self.assertTrue(self.near.connected)
            self.assertEqual(self.keeper.endings, [])
            self.link.wait(0.25)
            self.ended(EndCode.CLOSED)

    def test_T9_goes_on_sending_after_our_close(self) -> None:
        """What comes after our end is not read, is not held, and prolongs nothing."""
        self.stranger.say(HELLO)
        self.link.settle()
        self.far.reads = False
        self.ours.close(EndCode.CLOSED)
        self.link.settle()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(19):
            for _ in range(8):
                self.stranger.write(bytes(65_536))
                self.link.settle()
            self.link.wait(0.25)
        self.assertLess(tracemalloc.get_traced_memory()[0], 1024 * 1024)
        self.assertEqual(self.keeper.messages, [HELLO])
        self.assertTrue(self.near.connected)
        self.link.wait(0.25)
        self.ended(EndCode.CLOSED)

    def test_T9_half_close(self) -> None:
        """A far side that closes TLS without a word and keeps its socket does not keep ours."""
        self.stranger.say(HELLO)
        self.link.settle()
        assert self.stranger.transport is not None
        self.stranger.transport.loseConnection()
        self.far.disconnecting = False
        self.link.settle()
        self.assertFalse(self.near.connected)
        (ending,) = self.keeper.endings
        self.assertEqual((ending.code, ending.by_them), (EndCode.UNKNOWN, False))

    def test_T9_bye_and_nothing_more(self) -> None:
        """A far side that says bye and then neither closes nor reads is gone after 5 s."""
        self.stranger.say(HELLO, Bye(code="leaving"))
        self.far.reads = False
        self.link.settle()
        self.link.wait(4.75)
        self.assertTrue(self.near.connected)
        self.link.wait(0.25)
        self.assertFalse(self.near.connected)
        self.assertEqual(self.keeper.log, [HELLO, Bye(code="leaving"), Ending(EndCode.LEAVING, True)])

    def test_F27_reader_without_progress(self) -> None:
        """A reader that does not take what waits for it within 60 s is cut, though it says that it lives."""
        self.select()
        self.stop_reading()
        self.live(59)
        self.assertTrue(self.near.connected)
        self.link.wait(2.0, 1.0)
        self.assertEqual(self.keeper.writable_count, 0)
        self.assertEqual(len(self.near.waiting), 0)
        self.ended(EndCode.TIMEOUT)

    def test_F27_reader_that_tells_what_it_has(self) -> None:
        """A reader for whom something always waits is not cut while it tells that it has some of it."""
        self.select()
        self.stop_reading()
        for _ in range(4):
            self.live(50)
            self.ours.took()
        self.assertTrue(self.near.connected)
        self.live(62)
        self.ended(EndCode.TIMEOUT)

    def stop_reading(self) -> None:
        """The far side reads no more, and more waits for it than a transport holds."""
        self.far.reads = False
        for seq in (1, 2):
            self.ours.send(Entry(stream=STREAM, seq=seq, bytes=bytes(61_000)))
        self.link.settle()
        self.assertTrue(self.ours.congested)

    def live(self, seconds: int) -> None:
        """The far side says something each second."""
        for _ in range(seconds):
            self.stranger.say(Record(body=RECORD_BYTES, signature=SIGNED.signature))
            self.link.wait(1.0, 1.0)

    def test_G10_what_piles_up(self) -> None:
        """What the window lets out may wait for a slow reader, however much; of all else it gets only so much."""
        self.select()
        self.far.reads = False
        for first in range(1, 3 * MOST_PILED // 1024, 64):
            self.ours.send_all([Entry(stream=STREAM, seq=first + place, bytes=bytes(1024)) for place in range(64)])
        self.link.settle()
        self.assertTrue(self.ours.congested)
        self.assertTrue(self.ours.alive)
        record = Record(body=RECORD_BYTES, signature=SIGNED.signature)
        for _ in range(MOST_PILED // len(RECORD_BYTES)):
            self.ours.send(record)
        self.assertFalse(self.ours.alive)
        self.link.settle()
        self.assertFalse(self.near.connected)
        (ending,) = self.keeper.endings
        self.assertIn("does not take", ending.detail)

    def test_a_slow_reader_that_takes_everything(self) -> None:
        """Whoever takes what waits, however often the buffer is full again at once, is not cut."""
        self.select()
        for seq in range(1, 3 * MOST_PILED // 61_000):
            self.far.reads = False
            entry = Entry(stream=STREAM, seq=seq, bytes=bytes(61_000))
            self.ours.send_all([entry, entry])
            self.ours.send(entry)
            self.link.settle()
            self.assertTrue(self.ours.congested)
            self.far.reads = True
            self.link.settle()
            self.assertFalse(self.ours.congested)
        self.assertTrue(self.ours.alive)
        self.finish()

    def test_reject_to_one_that_does_not_go(self) -> None:
        """A side that rejects ends the link itself, whatever the other side does."""
        self.stranger.say(HELLO, Ask())
        self.link.settle()
        self.far.reads = False
        self.ours.send(Reject())
        self.assertFalse(self.ours.alive)
        self.stranger.say(Ask())
        self.link.wait(4.75)
        self.assertTrue(self.near.connected)
        self.link.wait(0.25)
        self.assertEqual(self.keeper.messages, [HELLO, Ask()])
        self.ended(EndCode.REJECTED)

    def test_pings_of_a_stranger(self) -> None:
        """A far side that pings gets its pongs from the link itself."""
        self.stranger.say(HELLO, Ping(number=41))
        self.link.settle()
        self.assertEqual(self.stranger.heard, [HELLO, Pong(number=41)])
        self.assertEqual(self.keeper.messages, [HELLO])
        self.finish()


class HandshakeTests(ConnectionTestCase):
    def test_keeper_refuses(self) -> None:
        """A keeper that finds another key than it wanted says nothing; the end is told once, with the reason."""
        ours, keeper = self.connection(Side.LEADER)
        keeper.refusal = HandshakeRefused("its key is another one")
        stranger = Stranger()
        link = self.wire(ours, stranger)
        link.settle()
        self.assertEqual(keeper.log, [Ending(EndCode.UNKNOWN, False, "its key is another one")])
        self.assertEqual(stranger.data, b"")
        self.assertFalse(any(end.connected for end in link.ends))

    def test_far_side_speaks_another_protocol(self) -> None:
        """A handshake that fails never begins a link; its end is told once, in words for a person."""
        ours, keeper = self.connection(Side.LEADER)
        listener = ListenerTLS(own_credentials(BOB.private_key, WALL), [SERVER_PROTOCOL])
        other = listener.wrap(Factory.forProtocol(Stranger), self.clock).buildProtocol(None)
        link = Wire(self.clock, dialling(ours, ALICE, self.clock).buildProtocol(None), other)
        link.settle()
        self.assertEqual(keeper.log, [Ending(EndCode.UNKNOWN, False, "it speaks another protocol")])
        self.assertIsNone(keeper.authenticated)

    def test_T2_far_side_speaks_no_tls(self) -> None:
        """An answer that is no TLS ends the connection."""
        ours, keeper = self.connection(Side.LEADER)
        link = Wire(self.clock, dialling(ours, ALICE, self.clock).buildProtocol(None), Stranger())
        link.ends[1].write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        link.settle()
        self.assertEqual(len(keeper.endings), 1)
        self.assertFalse(link.ends[0].connected)

    def test_T1_far_side_never_finishes_the_handshake(self) -> None:
        """Whoever we dial and who stays silent in the handshake is aborted after 10 s."""
        ours, keeper = self.connection(Side.LEADER)
        link = Wire(self.clock, dialling(ours, ALICE, self.clock).buildProtocol(None), Stranger())
        link.wait(9.75)
        self.assertTrue(link.ends[0].connected)
        link.wait(0.25)
        self.assertFalse(link.ends[0].connected)
        (ending,) = keeper.endings
        self.assertEqual(ending.code, EndCode.TIMEOUT)

    def test_T1_hello_counts_from_the_connection(self) -> None:
        """Handshake and hello together have 10 s."""
        ours, keeper = self.connection(Side.LEADER)
        stranger = Stranger()
        link = Wire(
            self.clock,
            dialling(ours, ALICE, self.clock).buildProtocol(None),
            listening(stranger, BOB, self.clock).buildProtocol(None),
        )
        link.ends[1].reads = False
        link.wait(6.0)
        link.ends[1].reads = True
        link.settle()
        self.assertTrue(ours.alive)
        link.wait(3.75)
        self.assertTrue(link.ends[0].connected)
        link.wait(0.25)
        self.assertFalse(link.ends[0].connected)
        self.assertEqual(len(keeper.endings), 1)

    def test_close_before_the_handshake(self) -> None:
        """A link that is ended before it began is aborted at once, and told once."""
        for end in (
            Connection.abort,
            lambda each: each.close(EndCode.CLOSED),
            lambda each: each.fail(EndCode.INTERNAL),
        ):
            ours, keeper = self.connection(Side.LEADER)
            link = Wire(self.clock, dialling(ours, ALICE, self.clock).buildProtocol(None), Stranger())
            end(ours)
            link.settle()
            self.assertFalse(link.ends[0].connected)
            self.assertEqual(len(keeper.endings), 1)

    def test_keeper_closes_as_it_begins(self) -> None:
        """A keeper may end a link while it is told of its begin."""
        ours, keeper = self.connection(Side.LEADER)
        begin = keeper.begin

        def close(connection: Connection, authenticated: Authenticated) -> Session:
            connection.close(EndCode.DUPLICATE)
            return begin(connection, authenticated)

        keeper.begin = close  # type: ignore[method-assign]
        stranger = Stranger()
        link = self.wire(ours, stranger)
        link.settle()
        self.assertEqual(keeper.log, [Ending(EndCode.DUPLICATE, False)])
        self.assertEqual(stranger.data, b"")


class Looked:
    """What a Sweep needs of a connection."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.count = self.aborted = 0
        self._act = act

    def look(self, now: float) -> None:
        self.count += 1
        self._act()

    def abort(self, detail: str = "") -> None:
        self.aborted += 1


class SweepTests(SynchronousTestCase):
    def test_links_that_replace_each_other_in_one_look(self) -> None:
        """The last link may go and another come while the timer looks: one timer is left, and it ends."""
        clock = Clock()
        sweep = Sweep(clock)
        second = Looked(lambda: None)

        def replace() -> None:
            sweep.remove(first)  # type: ignore[arg-type]
            sweep.add(second)  # type: ignore[arg-type]

        first = Looked(replace)
        sweep.add(first)  # type: ignore[arg-type]
        clock.advance(1.0)
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        clock.advance(1.0)
        self.assertEqual((first.count, second.count), (1, 1))
        sweep.remove(second)  # type: ignore[arg-type]
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_link_that_went_in_the_same_look_is_not_looked_at(self) -> None:
        """A link that another one ended in the same look is left alone."""
        clock = Clock()
        sweep = Sweep(clock)
        both: list[Looked] = []

        def end_the_other() -> None:
            for each in both:
                sweep.remove(each)  # type: ignore[arg-type]

        both += [Looked(end_the_other), Looked(end_the_other)]
        for each in both:
            sweep.add(each)  # type: ignore[arg-type]
        clock.advance(1.0)
        self.assertEqual(both[0].count + both[1].count, 1)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_bug_in_one_link_leaves_the_timers_of_the_others(self) -> None:
        """If looking after one link fails, that link is aborted, and the others are looked after as before."""
        clock = Clock()
        sweep = Sweep(clock)
        good, bad = Looked(lambda: None), Looked(lambda: [].pop())
        for each in (good, bad):
            sweep.add(each)  # type: ignore[arg-type]
        clock.advance(1.0)
        clock.advance(1.0)
        self.assertEqual((good.count, bad.count, bad.aborted, good.aborted), (2, 2, 2, 0))
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 2)
        for each in (good, bad):
            sweep.remove(each)  # type: ignore[arg-type]
        self.assertEqual(clock.getDelayedCalls(), [])
