"""
The life of a link (docs/protocol.md, sections 1, 4, 6, 7, 8).

The tables below were written down from the page, and not from the module.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from hypothesis import given, settings, strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.budget import Budget
from p2pchat.core.errors import EndCode, LocalProtocolError, RemoteProtocolError
from p2pchat.core.framing import encode_frame
from p2pchat.core.messages import (
    DIAL_BACK,
    Accept,
    Ask,
    Bye,
    Entry,
    Have,
    Holding,
    Message,
    Ping,
    Pong,
    Register,
    Registered,
    Seen,
    Select,
    Watch,
    decode,
    encode,
    tag_of,
)
from p2pchat.core.session import Session
from p2pchat.core.states import Side, State

from . import examples
from .examples import ENTRIES, EXAMPLES, SIGNED, STREAM

HELLO = structs.replace(examples.HELLO, features=(DIAL_BACK,))
SERVER_HELLO = structs.replace(examples.SERVER_HELLO, features=(DIAL_BACK, "another"))

MESSAGES: dict[str, Message] = {tag_of(type(message)): message for message in EXAMPLES}

ALWAYS = "ping pong bye>closed"
CHAT = f"have entry refused seen window history record {ALWAYS}"

PEER_SENDS = {
    "greeting": "",
    "asking": f"ask accept>we-accepted reject>closed {ALWAYS}",
    "we-accepted": ALWAYS,
    "they-accepted": f"ask accept>open reject>closed {ALWAYS}",
    "open": f"record {ALWAYS}",
    "selected": CHAT,
    "closed": "",
}
PEER_RECEIVES = PEER_SENDS | {
    "greeting": "hello>asking",
    "asking": f"ask accept>they-accepted reject>closed {ALWAYS}",
    "we-accepted": f"ask accept>open reject>closed {ALWAYS}",
    "they-accepted": ALWAYS,
}
SELECTING = {"open": f"select>selected record {ALWAYS}"}
TO_SERVER = {
    "greeting": "",
    "registering": f"register {ALWAYS}",
    "registered": f"register watch dial-back {ALWAYS}",
    "closed": "",
}
FROM_SERVER = {
    "greeting": "",
    "registering": f"registered>registered declined {ALWAYS}",
    "registered": f"registered declined roster changes dialled-back {ALWAYS}",
    "closed": "",
}

SENDS = {
    Side.LEADER: PEER_SENDS | SELECTING,
    Side.FOLLOWER: PEER_SENDS,
    Side.CLIENT: TO_SERVER,
    Side.SERVER: FROM_SERVER | {"greeting": "bye>closed"},
}
RECEIVES = {
    Side.LEADER: PEER_RECEIVES,
    Side.FOLLOWER: PEER_RECEIVES | SELECTING,
    Side.CLIENT: FROM_SERVER | {"greeting": "server-hello>registering bye>closed"},
    Side.SERVER: TO_SERVER | {"greeting": "hello>registering"},
}

TO_PEER_STATE: dict[str, list[Message]] = {
    "greeting": [],
    "asking": [HELLO],
    "they-accepted": [HELLO, Accept(scope="once")],
    "closed": [HELLO, Bye(code="leaving")],
}
WAYS: dict[Side, dict[str, list[Message]]] = {
    Side.LEADER: TO_PEER_STATE,
    Side.FOLLOWER: TO_PEER_STATE,
    Side.CLIENT: {
        "greeting": [],
        "registering": [SERVER_HELLO],
        "registered": [SERVER_HELLO, MESSAGES["registered"]],
        "closed": [Bye(code="full")],
    },
    Side.SERVER: {"greeting": [], "registering": [HELLO], "closed": [HELLO, Bye(code="leaving")]},
}
"""What the far side says to bring a fresh session into a state."""


def wire(message: Message) -> bytes:
    """The frame of a message."""
    return encode_frame(encode(message))


def fresh(side: Side, now: float = 0.0) -> Session:
    """A session that has just begun, its hello taken out."""
    session = Session(side, SERVER_HELLO if side is Side.SERVER else HELLO, now)
    session.data_to_send()
    return session


def feed(session: Session, *messages: Message, now: float = 0.0) -> list[Message]:
    """Messages come in one read; what the session gives of them."""
    return list(one_by_one(session.receive(b"".join(map(wire, messages)), now)))


def one_by_one(received: Iterable[Message | list[Entry]]) -> Iterator[Message]:
    """What a session gives, without regard to what it gives together."""
    for each in received:
        yield from each if isinstance(each, list) else [each]


def session_in(side: Side, state: str, now: float = 0.0) -> Session:
    """A session in a state."""
    session = fresh(side, now)
    ways = WAYS[side]
    if state in ways:
        feed(session, *ways[state], now=now)
    elif state == "registered":
        feed(session, HELLO, now=now)
        session.send(Registered(handle="alice", expires=30), now)
    else:
        feed(session, HELLO, now=now)
        session.send(Accept(scope="once"), now)
        if state != "we-accepted":
            feed(session, Accept(scope="once"), now=now)
        if state == "selected":
            if side is Side.LEADER:
                session.send(Select(), now)
            else:
                feed(session, Select(), now=now)
    session.data_to_send()
    assert session.state is as_state(state), (side, state, session.state)
    return session


def as_state(name: str) -> State:
    """The state with a name of the tables."""
    return State(name.replace("-", " "))


def row(text: str, state: str) -> dict[str, str]:
    """A row of a table: for each tag the state that it leads to."""
    pairs = (word.partition(">") for word in text.split())
    return {tag: leads or state for tag, _, leads in pairs}


def sent(session: Session) -> list[Message | None]:
    """The messages that wait for the network."""
    data, found = session.data_to_send(), []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(decode(data[4 : 4 + size]))
        data = data[4 + size :]
    return found


class SessionTestCase(SynchronousTestCase):
    def refused(self, session: Session, code: EndCode, *messages: Message, now: float = 0.0) -> None:
        """The last of these messages must be refused with a code."""
        error = self.assertRaises(RemoteProtocolError, feed, session, *messages, now=now)
        assert isinstance(error, RemoteProtocolError)
        self.assertIs(error.code, code)

    def dead(self, session: Session, now: float) -> None:
        """The session must give up at this time, and not before."""
        session.handle_timer(now - 0.001)
        error = self.assertRaises(RemoteProtocolError, session.handle_timer, now)
        assert isinstance(error, RemoteProtocolError)
        self.assertIs(error.code, EndCode.TIMEOUT)


class TableTests(SessionTestCase):
    def test_every_state_is_in_the_tables(self) -> None:
        """No state is left out."""
        names = {name for table in (*SENDS.values(), *RECEIVES.values()) for name in table}
        self.assertEqual({as_state(name) for name in names}, set(State))

    def test_what_may_be_sent(self) -> None:
        """Every message in every state on every side is sent and leads where the page says, or is our bug."""
        for side, table in SENDS.items():
            for state, text in table.items():
                legal = row(text, state)
                for tag, message in MESSAGES.items():
                    session = session_in(side, state)
                    self.assertEqual(session.may_send(type(message)), tag in legal, (side, state, tag))
                    if tag in legal:
                        session.send(message, 0.0)
                        self.assertEqual((sent(session), session.state), ([message], as_state(legal[tag])))
                    else:
                        self.assertRaises(LocalProtocolError, session.send, message, 0.0)
                        self.assertEqual((session.data_to_send(), session.state), (b"", as_state(state)))

    def test_what_may_be_sent_in_a_run(self) -> None:
        """In a run goes what is legal and changes nothing, as it would alone; of all else nothing is sent."""
        for side, table in SENDS.items():
            for state, text in table.items():
                legal = row(text, state)
                for tag, message in MESSAGES.items():
                    session = session_in(side, state)
                    if legal.get(tag) == state and tag not in ("ask", "register", "dial-back"):
                        session.send_all([message, message], 0.0)
                        self.assertEqual(sent(session), [message, message])
                    elif tag not in legal or legal[tag] != state:
                        self.assertRaises(LocalProtocolError, session.send_all, [message], 0.0)
                        self.assertEqual((session.data_to_send(), session.state), (b"", as_state(state)))
                session = session_in(side, state)
                session.send_all([], 0.0)
                self.assertEqual((session.data_to_send(), session.state), (b"", as_state(state)))

    def test_P11_what_may_be_received(self) -> None:
        """Every message in every state on every side is taken and leads where the page says, or is unexpected."""
        for side, table in RECEIVES.items():
            for state, text in table.items():
                legal = row(text, state)
                for tag, message in MESSAGES.items():
                    session = session_in(side, state)
                    if tag in legal:
                        given = [] if tag in ("ping", "pong") else [message]
                        self.assertEqual(feed(session, message), given, (side, state, tag))
                        self.assertIs(session.state, as_state(legal[tag]), (side, state, tag))
                    elif state == "closed":
                        self.assertEqual(feed(session, message), [], "what follows bye is not read")
                    else:
                        self.refused(session, EndCode.UNEXPECTED, message)
                        self.assertIs(session.state, as_state(state), (side, state, tag))

    def test_hello_is_sent_at_once(self) -> None:
        """The first message of each side is its hello, sent once and by nobody's order."""
        for side in Side:
            hello = SERVER_HELLO if side is Side.SERVER else HELLO
            session = Session(side, hello, 0.0)
            self.assertEqual(sent(session), [hello])
            self.assertEqual(sent(session), [])


class FeatureTests(SessionTestCase):
    """Section 6: an ability may be used only where both hellos listed it."""

    dial_back, dialled_back = MESSAGES["dial-back"], MESSAGES["dialled-back"]

    def pair(self, ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[Session, Session]:
        """A peer and a server, the peer registered, whose hellos listed these features."""
        client = Session(Side.CLIENT, structs.replace(HELLO, features=ours), 0.0)
        server = Session(Side.SERVER, structs.replace(SERVER_HELLO, features=theirs), 0.0)
        feed(client, structs.replace(SERVER_HELLO, features=theirs), MESSAGES["registered"])
        feed(server, structs.replace(HELLO, features=ours))
        server.send(MESSAGES["registered"], 0.0)
        for session in (client, server):
            session.data_to_send()
        return client, server

    def test_both(self) -> None:
        """Where both listed it, it may be asked for and answered."""
        client, server = self.pair((DIAL_BACK, "ours"), ("theirs", DIAL_BACK))
        self.assertEqual((client.features, server.features), ({DIAL_BACK}, {DIAL_BACK}))
        client.send(self.dial_back, 0.0)
        self.assertEqual(feed(server, self.dial_back), [self.dial_back])
        server.send(self.dialled_back, 0.0)
        self.assertEqual(feed(client, self.dialled_back), [self.dialled_back])

    def test_one_alone(self) -> None:
        """Where one side is older, nobody may say it, and who does breaks a rule; all else goes on."""
        for ours, theirs in (((DIAL_BACK,), ()), ((), (DIAL_BACK,)), ((), ())):
            client, server = self.pair(ours, theirs)
            self.assertEqual((client.features, server.features), (frozenset(), frozenset()))
            self.assertFalse(client.may_send(type(self.dial_back)) or server.may_send(type(self.dialled_back)))
            self.assertRaises(LocalProtocolError, client.send, self.dial_back, 0.0)
            self.assertEqual(feed(server, MESSAGES["watch"]), [MESSAGES["watch"]])
            self.refused(server, EndCode.UNEXPECTED, self.dial_back)
            self.refused(client, EndCode.UNEXPECTED, self.dialled_back)

    def test_rate(self) -> None:
        """Questions count as what moves nothing: who asks without end is ended."""
        _, server = self.pair((DIAL_BACK,), (DIAL_BACK,))
        self.refused(server, EndCode.RATE, *[self.dial_back] * 1000)


class OnceTests(SessionTestCase):
    def test_ask_once(self) -> None:
        """Each side asks once at most."""
        session = session_in(Side.LEADER, "asking")
        session.send(Ask(), 0.0)
        self.assertFalse(session.may_send(Ask))
        self.assertRaises(LocalProtocolError, session.send, Ask(), 0.0)
        self.assertEqual(feed(session, Ask(text="hi")), [Ask(text="hi")])
        self.refused(session, EndCode.UNEXPECTED, Ask())
        self.assertRaises(LocalProtocolError, session_in(Side.LEADER, "asking").send_all, [Ask()], 0.0)

    def test_ask_once_over_states(self) -> None:
        """Who asked does not ask again after the other accepted."""
        session = session_in(Side.LEADER, "asking")
        session.send(Ask(), 0.0)
        feed(session, Accept(scope="once"))
        self.assertFalse(session.may_send(Ask))
        other = session_in(Side.FOLLOWER, "asking")
        feed(other, Ask())
        other.send(Accept(scope="once"), 0.0)
        self.refused(other, EndCode.UNEXPECTED, Ask())

    def test_accept_once(self) -> None:
        """Each side accepts once."""
        session = session_in(Side.LEADER, "they-accepted")
        self.refused(session, EndCode.UNEXPECTED, Accept(scope="always"))
        session = session_in(Side.LEADER, "we-accepted")
        self.assertFalse(session.may_send(Accept))

    def test_P11_hello_twice(self) -> None:
        """A second hello is unexpected, in the same read and later."""
        for side, hello in ((Side.LEADER, HELLO), (Side.SERVER, HELLO), (Side.CLIENT, SERVER_HELLO)):
            self.refused(fresh(side), EndCode.UNEXPECTED, hello, hello)

    def test_P11_message_before_hello(self) -> None:
        """Nothing comes before hello, also where hello follows."""
        for message in (Ping(number=1), Ask(), Register(record=SIGNED)):
            for side in (Side.LEADER, Side.SERVER):
                self.refused(fresh(side), EndCode.UNEXPECTED, message, HELLO)


class CrossingTests(SessionTestCase):
    def two(self) -> tuple[Session, Session]:
        """Two sides of a peer link that have said hello."""
        return session_in(Side.LEADER, "asking"), session_in(Side.FOLLOWER, "asking")

    def carry(self, one: Session, other: Session) -> None:
        """Bring everything that waits to the other side, in both directions, until nothing waits."""
        while (there := one.data_to_send()) + (back := other.data_to_send()):
            list(other.receive(there, 0.0))
            list(one.receive(back, 0.0))

    def test_all_orders_of_consent(self) -> None:
        """Whoever asks and accepts first, and whatever crosses, both arrive at OPEN, or both at CLOSED."""
        for first in ([Accept(scope="once")], [Ask(), Accept(scope="once")], [Ask()]):
            for second in ([Accept(scope="once")], [Ask(), Accept(scope="once")], [Ask()]):
                leader, follower = self.two()
                for message in first:
                    leader.send(message, 0.0)
                for message in second:
                    follower.send(message, 0.0)
                self.carry(leader, follower)
                for session in (leader, follower):
                    if session.may_send(Accept):
                        session.send(Accept(scope="once"), 0.0)
                self.carry(leader, follower)
                self.assertEqual((leader.state, follower.state), (State.OPEN, State.OPEN))

    def test_select_crosses_record(self) -> None:
        """A record that the follower sends while select is under way is legal where it arrives."""
        leader, follower = session_in(Side.LEADER, "open"), session_in(Side.FOLLOWER, "open")
        leader.send(Select(), 0.0)
        follower.send(MESSAGES["record"], 0.0)
        self.carry(leader, follower)
        self.assertEqual((leader.state, follower.state), (State.SELECTED, State.SELECTED))

    def test_bye_crosses_everything(self) -> None:
        """What is under way when a side ends is not read, and harms nobody."""
        leader, follower = session_in(Side.LEADER, "selected"), session_in(Side.FOLLOWER, "selected")
        leader.close(EndCode.CLOSED, 0.0)
        follower.send(Entry(stream=STREAM, seq=1, bytes=ENTRIES[0]), 0.0)
        self.carry(leader, follower)
        self.assertEqual((leader.state, follower.state), (State.CLOSED, State.CLOSED))


class SizeTests(SessionTestCase):
    holding = Holding(stream=STREAM, first=1, base=bytes(32), seq=1, head=bytes(32))
    large = Have(streams=(holding,) * 128, last=True)

    def test_P4_16_kib_before_a_link_is_open(self) -> None:
        """Until a link is open a frame has at most 16 KiB; a longer one is too big at its length."""
        for side, states in {
            Side.LEADER: ("greeting", "asking", "we-accepted", "they-accepted"),
            Side.SERVER: ("greeting", "registering"),
            Side.CLIENT: ("greeting", "registering"),
        }.items():
            for state in states:
                session = session_in(side, state)
                self.assertEqual(list(session.receive((16_384).to_bytes(4, "big"), 0.0)), [])
                session = session_in(side, state)
                error = self.assertRaises(RemoteProtocolError, list, session.receive((16_385).to_bytes(4, "big"), 0.0))
                assert isinstance(error, RemoteProtocolError)
                self.assertIs(error.code, EndCode.TOO_BIG)

    def test_64_kib_when_it_is_open(self) -> None:
        """On an open link a frame has at most 64 KiB, also when it comes in one read with what opened it."""
        self.assertGreater(len(wire(self.large)), 16_384)
        follower = session_in(Side.FOLLOWER, "we-accepted")
        self.assertEqual(len(feed(follower, Accept(scope="once"), Select(), self.large)), 3)
        client = session_in(Side.CLIENT, "registering")
        page = MESSAGES["changes"]
        self.assertEqual(len(feed(client, MESSAGES["registered"], page)), 2)
        error = self.assertRaises(RemoteProtocolError, list, follower.receive((65_537).to_bytes(4, "big"), 0.0))
        assert isinstance(error, RemoteProtocolError)
        self.assertIs(error.code, EndCode.TOO_BIG)

    def test_64_kib_when_our_own_accept_opened_it(self) -> None:
        """The first frame after our own accept and select may be a large one."""
        leader = session_in(Side.LEADER, "they-accepted")
        leader.send(Accept(scope="once"), 0.0)
        leader.send(Select(), 0.0)
        self.assertEqual(feed(leader, self.large), [self.large])

    def test_64_kib_when_we_registered_it(self) -> None:
        """The first frame after our `registered` may be a large one."""
        server = session_in(Side.SERVER, "registering")
        server.send(Registered(handle="alice", expires=30), 0.0)
        watch = Watch(everyone=False, ids=(bytes(32),) * 512)
        self.assertGreater(len(wire(watch)), 16_384)
        self.assertEqual(feed(server, watch), [watch])


class SegmentationTests(SessionTestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0, 1200), max_size=12))
    def test_P3_any_segmentation(self, cuts: list[int]) -> None:
        """However the network cuts a conversation, the same messages are given and the same state is reached."""
        script = [
            HELLO,
            Ask(text="hi"),
            Accept(scope="once"),
            Select(),
            MESSAGES["have"],
            MESSAGES["seen"],
            Bye(code="closed"),
        ]
        data = b"".join(map(wire, script))
        session = fresh(Side.FOLLOWER)
        found: list[Message] = []
        edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
        for start, end in pairwise(edges):
            for message in one_by_one(session.receive(data[start:end], 0.0)):
                found.append(message)
                if isinstance(message, Ask):
                    session.send(Accept(scope="once"), 0.0)
        self.assertEqual(found, script)
        self.assertIs(session.state, State.CLOSED)

    def test_entries_come_together(self) -> None:
        """Entries that follow one another in a read are given together, and before an error behind them."""
        session = session_in(Side.FOLLOWER, "selected")
        one, two, three = (Entry(stream=STREAM, seq=seq, bytes=b"x") for seq in (1, 2, 3))
        seen = Seen(stream=STREAM, seq=1)
        data = b"".join(map(wire, (one, two, seen, three)))
        self.assertEqual(list(session.receive(data, 0.0)), [[one, two], seen, [three]])
        broken = session.receive(wire(one) + wire(Ask()), 0.0)
        self.assertEqual(next(broken), [one])
        error = self.assertRaises(RemoteProtocolError, next, broken)
        self.assertIs(error.code, EndCode.UNEXPECTED)

    def test_nothing_after_entries_that_end_the_link(self) -> None:
        """Where the caller ends the link over entries nothing that follows them is read."""
        session = session_in(Side.FOLLOWER, "selected")
        data = wire(Entry(stream=STREAM, seq=1, bytes=b"x")) + wire(Seen(stream=STREAM, seq=1)) + wire(Ask())
        received = session.receive(data, 0.0)
        self.assertIsInstance(next(received), list)
        session.close(EndCode.VIOLATION, 0.0)
        self.assertEqual(list(received), [])

    def test_an_answer_changes_what_is_legal_next(self) -> None:
        """Each message is acted on before the next one of the same read is judged."""
        session = session_in(Side.FOLLOWER, "asking")
        given = []
        for message in session.receive(wire(Accept(scope="once")) + wire(Select()), 0.0):
            given.append(message)
            if isinstance(message, Accept):
                session.send(Accept(scope="once"), 0.0)
        self.assertEqual(given, [Accept(scope="once"), Select()])
        self.refused(session_in(Side.FOLLOWER, "asking"), EndCode.UNEXPECTED, Accept(scope="once"), Select())

    def test_nothing_is_read_behind_bye(self) -> None:
        """What follows bye is not read, were it good or bad, in the same read or later, and none of it is held."""
        session = session_in(Side.LEADER, "asking")
        bye = Bye(code="leaving")
        self.assertEqual(list(session.receive(wire(bye) + wire(Ask()) + b"\xff" * 8, 0.0)), [bye])
        self.assertEqual(list(session.receive(b"\xff" * 4096, 0.0)), [])
        self.assertEqual(list(session.receive(wire(Ask()), 0.0)), [])
        self.assertEqual(session.data_to_send(), b"")

    def test_nothing_is_read_after_we_closed(self) -> None:
        """After our own end nothing more is read, from the next frame of the same read on."""
        session = session_in(Side.LEADER, "asking")
        given = []
        for message in session.receive(wire(Ask()) + wire(Accept(scope="once")), 0.0):
            given.append(message)
            session.close(EndCode.REJECTED, 0.0)
        self.assertEqual(given, [Ask()])
        self.assertEqual(sent(session), [Bye(code="rejected")])
        self.assertEqual(feed(session, Ping(number=1)), [])


class PingTests(SessionTestCase):
    def test_answered_at_once(self) -> None:
        """A ping is answered by a pong with its number, and neither is given to anybody."""
        for side, state in (
            (Side.LEADER, "asking"),
            (Side.FOLLOWER, "selected"),
            (Side.CLIENT, "registering"),
            (Side.SERVER, "registered"),
        ):
            session = session_in(side, state)
            self.assertEqual(feed(session, Ping(number=7), Pong(number=1), Ping(number=8)), [])
            self.assertEqual(sent(session), [Pong(number=7), Pong(number=8)])

    def test_unknown_messages_are_skipped(self) -> None:
        """An unknown message whose tag begins with x- changes nothing, in any state."""
        strange = encode_frame(b"\x82\xa4type\xa5x-new\xa1z\x01")
        for side, table in RECEIVES.items():
            for state in table:
                session = session_in(side, state)
                self.assertEqual(list(session.receive(strange, 0.0)), [])
                self.assertIs(session.state, as_state(state))


class TimeTests(SessionTestCase):
    def test_no_hello(self) -> None:
        """Without a hello it is over after 10 s, and nothing is asked before."""
        for side in Side:
            session = fresh(side, 100.0)
            self.assertEqual(session.next_timer(), 110.0)
            self.dead(session, 110.0)
            self.assertEqual(session.data_to_send(), b"")

    def test_P4_bytes_that_are_no_hello_do_not_help(self) -> None:
        """A hello that trickles in counts when it is whole."""
        session = fresh(Side.LEADER)
        for second in range(10):
            list(session.receive(wire(HELLO)[second : second + 1], float(second)))
        self.dead(session, 10.0)

    def test_not_registered(self) -> None:
        """A peer that is not on the roster after 30 s is dropped, however lively it is."""
        for side in (Side.SERVER, Side.CLIENT):
            session = session_in(side, "registering", 100.0)
            for second in (105.0, 115.0, 125.0, 129.0):
                session.handle_timer(second)
                feed(session, Ping(number=1), now=second)
            self.dead(session, 130.0)

    def test_F7_quiet_peer_link(self) -> None:
        """After 15 s of silence a ping, after another 15 s another, after 45 s it is dead."""
        for state in ("asking", "we-accepted", "they-accepted", "open", "selected"):
            session = session_in(Side.LEADER, state, 100.0)
            pings = []
            for second in range(100, 145):
                session.handle_timer(float(second))
                pings += [(second, message) for message in sent(session)]
            self.assertEqual(pings, [(115, Ping(number=1)), (130, Ping(number=2))])
            self.dead(session, 145.0)

    def test_asked(self) -> None:
        """A ping that somebody asked for gives its pong, once; every other pong is a sign of life and no more."""
        session = session_in(Side.LEADER, "selected", 100.0)
        self.assertEqual(session.ping(101.0), 1)
        self.assertEqual(sent(session), [Ping(number=1)])
        session.handle_timer(116.0)
        self.assertEqual(sent(session), [Ping(number=2)])
        found = [feed(session, Pong(number=number), now=117.0) for number in (2, 7, 1, 1)]
        self.assertEqual(found, [[], [], [Pong(number=1)], []])
        self.assertEqual(session.silence(117.0), 0.0)

    def test_F7_what_we_say_is_no_sign_of_life(self) -> None:
        """A peer to which we talk all the time, and that says nothing, is asked and given up all the same."""
        session = session_in(Side.FOLLOWER, "selected", 100.0)
        pings = 0
        for second in range(100, 145):
            session.send(Seen(stream=STREAM, seq=1), float(second))
            session.handle_timer(float(second))
            pings += sum(isinstance(message, Ping) for message in sent(session))
        self.assertEqual(pings, 2)
        self.dead(session, 145.0)

    def test_any_message_is_a_sign_of_life(self) -> None:
        """Whatever comes whole, a skipped message too, begins the silence anew; half a frame does not."""
        strange = encode_frame(b"\x81\xa4type\xa5x-new")
        for data in (wire(Pong(number=9)), strange):
            session = session_in(Side.LEADER, "open", 100.0)
            list(session.receive(data, 120.0))
            self.assertEqual(session.silence(130.0), 10.0)
            self.dead(session, 165.0)
        session = session_in(Side.LEADER, "open", 100.0)
        list(session.receive(strange[:-1], 120.0))
        self.assertEqual(session.silence(130.0), 30.0)
        self.dead(session, 145.0)

    def test_heartbeat_of_a_client(self) -> None:
        """A peer says something to its server at least every 10 s, and gives it up after 30 s of silence."""
        session = session_in(Side.CLIENT, "registered", 100.0)
        session.handle_timer(109.999)
        self.assertEqual(sent(session), [])
        session.handle_timer(110.0)
        self.assertEqual(sent(session), [Ping(number=1)])
        session.send(Watch(everyone=True), 115.0)
        session.data_to_send()
        session.handle_timer(124.0)
        self.assertEqual(sent(session), [])
        session.handle_timer(125.0)
        self.assertEqual(sent(session), [Ping(number=2)])
        self.dead(session, 130.0)

    def test_heartbeat_goes_on_while_the_server_talks(self) -> None:
        """What the server pushes does not stand for the heartbeat of the client."""
        session = session_in(Side.CLIENT, "registered", 100.0)
        for second in range(101, 111):
            feed(session, MESSAGES["changes"], now=float(second))
            session.handle_timer(float(second))
        self.assertEqual(sent(session), [Ping(number=1)])

    def test_server_only_listens(self) -> None:
        """A server asks nobody, and drops a peer after 30 s of silence."""
        session = session_in(Side.SERVER, "registered", 100.0)
        for second in range(100, 130):
            session.handle_timer(float(second))
        self.assertEqual(sent(session), [])
        self.dead(session, 130.0)

    def test_P2_partial_frame_then_silence(self) -> None:
        """A frame that began is whole after 30 s, or it is over, however lively the rest was."""
        session = session_in(Side.LEADER, "selected", 100.0)
        list(session.receive(wire(Ping(number=1)) + wire(Ping(number=2))[:5], 105.0))
        session.handle_timer(120.0)
        self.dead(session, 135.0)

    def test_P2_a_frame_that_trickles(self) -> None:
        """Bytes that keep coming do not prolong the time of the frame that they belong to."""
        session = session_in(Side.LEADER, "selected", 100.0)
        data = wire(MESSAGES["have"])
        for second in range(30):
            list(session.receive(data[second : second + 1], 100.0 + second))
        self.dead(session, 130.0)

    def test_P2_each_frame_has_its_own_time(self) -> None:
        """A frame that became whole leaves the next one its full time."""
        session = session_in(Side.LEADER, "selected", 100.0)
        data = wire(Ping(number=1))
        list(session.receive(data[:3], 100.0))
        list(session.receive(data[3:] + data[:3], 125.0))
        session.handle_timer(154.0)
        list(session.receive(data[3:], 154.5))
        session.handle_timer(156.0)

    def test_a_shell_that_follows_next_timer_never_spins(self) -> None:
        """At next_timer() there is something to do, and afterwards the next time is a later one."""
        for side, table in RECEIVES.items():
            for state in table:
                session = session_in(side, state, 100.0)
                now = 100.0
                for _ in range(20):
                    at = session.next_timer()
                    self.assertGreater(at, now, (side, state))
                    if at == float("inf"):
                        break
                    now = at
                    try:
                        session.handle_timer(now)
                    except RemoteProtocolError:
                        session.close(EndCode.TIMEOUT, now)
                else:
                    self.fail("never ends")

    def test_a_shell_that_follows_next_timer_is_never_late(self) -> None:
        """Whoever wakes up at next_timer() alone, and sends in between, gives up exactly when it is time."""
        for side, state, end in (
            (Side.LEADER, "selected", 145.0),
            (Side.SERVER, "registered", 130.0),
            (Side.CLIENT, "registered", 130.0),
            (Side.CLIENT, "registering", 130.0),
        ):
            session = session_in(side, state, 100.0)
            pongs = iter(float(second) + 0.5 for second in range(100, 200))
            now, pong = 100.0, next(pongs)
            with self.assertRaises(RemoteProtocolError):
                while now < 200.0:
                    now = min(session.next_timer(), pong)
                    if now == pong:
                        session.send(Pong(number=1), now)
                        pong = next(pongs)
                    else:
                        session.handle_timer(now)
            self.assertEqual(now, end, (side, state))

    def test_closed_has_no_time(self) -> None:
        """A link that is over asks for no timer."""
        for side in Side:
            session = session_in(side, "closed", 100.0)
            self.assertEqual(session.next_timer(), float("inf"))
            session.handle_timer(1000.0)
            self.assertEqual(session.data_to_send(), b"")


class RateTests(SessionTestCase):
    def test_budget(self) -> None:
        """A budget has its burst at once and then its rate, and saves up no more than its burst."""
        budget = Budget(20.0, 100.0, 0.0)
        self.assertEqual(sum(budget.spend(0.0) for _ in range(200)), 100)
        self.assertEqual(sum(budget.spend(1.0) for _ in range(200)), 20)
        self.assertEqual(sum(budget.spend(1000.0) for _ in range(200)), 100)

    def test_P15_a_flood_of_small_messages(self) -> None:
        """100 at once are taken, the next is refused with `rate`, in every state in which a stranger may talk."""
        for side, state in (
            (Side.LEADER, "asking"),
            (Side.LEADER, "open"),
            (Side.SERVER, "registering"),
            (Side.SERVER, "registered"),
        ):
            session = session_in(side, state, 0.0)
            # In a quiet hour everything is saved up that may be.
            flood = [Ping(number=number) for number in range(100)]
            self.assertEqual(feed(session, *flood, now=40.0), [])
            self.refused(session, EndCode.RATE, Ping(number=1), now=40.0)

    def test_P15_20_a_second_for_ever(self) -> None:
        """Who keeps to 20 a second is never refused."""
        session = session_in(Side.LEADER, "open")
        for tick in range(2000):
            feed(session, Ping(number=tick), now=tick / 20)

    def test_P15_skipped_messages_count(self) -> None:
        """What is skipped is not free."""
        session = session_in(Side.LEADER, "open")
        strange = encode_frame(b"\x81\xa4type\xa5x-new")
        error = self.assertRaises(RemoteProtocolError, list, session.receive(strange * 101, 0.0))
        assert isinstance(error, RemoteProtocolError)
        self.assertIs(error.code, EndCode.RATE)

    def test_P15_registrations_count(self) -> None:
        """A peer that registers in a loop is refused."""
        session = session_in(Side.SERVER, "registered", 0.0)
        self.refused(session, EndCode.RATE, *[Register(record=SIGNED)] * 101, now=40.0)

    def test_what_the_window_bounds_is_not_counted(self) -> None:
        """What flows on a selected link is not counted here; the shell charges what moved nothing."""
        session = session_in(Side.FOLLOWER, "selected")
        for tag in ("have", "entry", "seen", "refused", "window", "history"):
            self.assertEqual(len(feed(session, *[MESSAGES[tag]] * 200)), 200)
        self.assertEqual(len(feed(session, *[MESSAGES["record"]] * 90)), 90)
        # Accept and Select were counted as well.
        for _ in range(8):
            session.charge(0.0)
        error = self.assertRaises(RemoteProtocolError, session.charge, 0.0)
        assert isinstance(error, RemoteProtocolError)
        self.assertIs(error.code, EndCode.RATE)

    def test_T8_reads_that_complete_nothing(self) -> None:
        """Bytes that come one by one cost a turn each: 20,000 at once, or more than 2,000 a second, are refused."""
        session = session_in(Side.FOLLOWER, "selected", 0.0)
        data = encode_frame(encode(Entry(stream=STREAM, seq=1, bytes=bytes(61_440))))
        for index in range(20_000):
            list(session.receive(data[index : index + 1], 0.0))
        error = self.assertRaises(RemoteProtocolError, list, session.receive(data[20_000:20_001], 0.0))
        assert isinstance(error, RemoteProtocolError)
        self.assertIs(error.code, EndCode.RATE)

    def test_T8_full_speed_in_full_records_is_no_flood(self) -> None:
        """Large entries at full speed, four TLS records each, are never refused."""
        session = session_in(Side.FOLLOWER, "selected", 0.0)
        data = encode_frame(encode(Entry(stream=STREAM, seq=1, bytes=bytes(61_440))))
        for number in range(3000):
            for start in range(0, len(data), 16_384):
                list(session.receive(data[start : start + 16_384], number / 400))


class EndTests(SessionTestCase):
    def test_says_why_where_it_may(self) -> None:
        """The end is said in every state that knows bye, once, and then nothing more may be sent."""
        for side, table in SENDS.items():
            for state, text in table.items():
                session = session_in(side, state)
                session.close(EndCode.LEAVING, 0.0)
                session.close(EndCode.INTERNAL, 0.0)
                expected = [Bye(code="leaving")] if "bye" in row(text, state) else []
                self.assertEqual(sent(session), expected, (side, state))
                self.assertIs(session.state, State.CLOSED)
                for message in EXAMPLES:
                    self.assertFalse(session.may_send(type(message)))

    def test_close_after_a_violation(self) -> None:
        """After a refused message the code can be said, and the rest is not read."""
        session = session_in(Side.LEADER, "open")
        self.refused(session, EndCode.UNEXPECTED, Select())
        session.close(EndCode.UNEXPECTED, 0.0)
        self.assertEqual(sent(session), [Bye(code="unexpected")])
        self.assertEqual(feed(session, Ping(number=1)), [])


class RobustnessTests(SessionTestCase):
    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(list(Side)),
        st.lists(st.sampled_from(EXAMPLES).map(wire) | st.binary(max_size=12), max_size=12),
        st.integers(1, 300),
    )
    def test_only_one_error_escapes(self, side: Side, pieces: list[bytes], chunk: int) -> None:
        """Whatever comes, in whatever pieces, ends in messages or in RemoteProtocolError."""
        session = fresh(side)
        data = b"".join(pieces)
        try:
            for start in range(0, len(data), chunk):
                for message in session.receive(data[start : start + chunk], 0.0):
                    self.assertIsInstance(message, Message)
        except RemoteProtocolError as error:
            session.close(error.code, 0.0)
        session.handle_timer(9.0)
        session.data_to_send()
