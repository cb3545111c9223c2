"""
The life of one link, without any I/O: what may cross it when, and how long it may be silent.

Rule 1: every state, and every message that is legal in it, stands in the tables of core/states.py.
Rule 2: this module does not know who dialled whom, nor what a message means to people.
Rule 3: it never reads a clock; the caller passes `now`, in seconds of a monotonic clock.

docs/protocol.md, sections 1, 4, 6, 7 and 8. The ids, and with them who leads, come from TLS.
"""

from collections.abc import Iterator, Sequence

from .budget import Budget
from .errors import EndCode, LocalProtocolError, RemoteProtocolError
from .framing import LARGE_FRAME, FrameBuffer, encode_frame
from .messages import (
    Bye,
    Changes,
    Entry,
    Have,
    Hello,
    History,
    Message,
    Ping,
    Pong,
    Refused,
    RosterPage,
    Seen,
    ServerHello,
    Window,
    decode,
    encode,
    tag_of,
)
from .states import NEEDS, ONCE, RECEIVES, SENDS, Side, State

HELLO_WITHIN = 10.0
"""Seconds from the start of a link to the far side's hello."""

REGISTER_WITHIN = 30.0
"""Seconds from the start of a server link to a registration."""

FRAME_WITHIN = 30.0
"""Seconds in which a frame that began must be whole."""

RATE, BURST = 20.0, 100.0
"""Messages a second that move no vector and no window, and how many of them may come at once."""

FRAGMENT_RATE, FRAGMENT_BURST = 2_000.0, 20_000.0
"""Reads a second that complete no frame: a frame of 64 KiB needs four when TLS records are full."""


LARGE = frozenset({State.OPEN, State.SELECTED, State.REGISTERED})
"""States in which frames of 64 KiB are read."""

PING_AFTER = {Side.LEADER: 15.0, Side.FOLLOWER: 15.0, Side.CLIENT: 10.0, Side.SERVER: 30.0}
"""Seconds of silence after which we ask; the client's is the heartbeat. The server only listens."""

DEAD_AFTER = {Side.LEADER: 45.0, Side.FOLLOWER: 45.0, Side.CLIENT: 30.0, Side.SERVER: 30.0}
"""Seconds of silence after which the far side is gone."""

UNPACED = frozenset({Entry, Have, Window, Seen, Refused, History, RosterPage, Changes, Bye, Hello, ServerHello})
"""Messages that the window, or the trusted server, bounds; who receives them charges those that move nothing."""


class Session:
    """
    One end of one link. After every call that may have queued something the caller sends what data_to_send() returns.
    It calls handle_timer() no later than at next_timer().
    """

    __slots__ = (
        "_asked",
        "_budget",
        "_fragments",
        "_frame_began",
        "_heard_at",
        "_inbound",
        "_offered",
        "_once",
        "_outbound",
        "_pinged_at",
        "_pings",
        "_sent_at",
        "_started_at",
        "features",
        "side",
        "state",
    )

    def __init__(self, side: Side, hello: Hello | ServerHello, now: float) -> None:
        self.side = side
        self.state = State.GREETING
        self.features: frozenset[str] = frozenset()
        """What both hellos listed, from the far side's hello on."""
        self._offered = frozenset(hello.features)
        self._inbound = FrameBuffer()
        self._outbound: list[bytes] = [encode_frame(encode(hello))]
        self._once: set[tuple[str, type[Message]]] = set()
        self._budget = Budget(RATE, BURST, now)
        self._fragments = Budget(FRAGMENT_RATE, FRAGMENT_BURST, now)
        self._started_at = self._heard_at = self._sent_at = self._pinged_at = now
        self._frame_began: float | None = None
        self._pings = 0
        self._asked: set[int] = set()
        """Pings of which somebody awaits the answer."""

    # --- out

    def may_send(self, kind: type[Message]) -> bool:
        """Whether the state allows a message of this class now."""
        legal = kind in SENDS[self.side][self.state] and (kind not in ONCE or ("sent", kind) not in self._once)
        return legal and (kind not in NEEDS or NEEDS[kind] in self.features)

    def send(self, message: Message, now: float) -> None:
        """Queue a message; raises LocalProtocolError if the state does not allow it."""
        self.send_encoded(type(message), encode_frame(encode(message)), now)

    def send_all(self, messages: Sequence[Message], now: float) -> None:
        """Queue messages none of which changes what may be sent next; raises LocalProtocolError for any other."""
        if not messages:
            return
        for kind in {type(message) for message in messages}:
            self._check(kind)
            if kind in ONCE or SENDS[self.side][self.state][kind] is not self.state:
                raise LocalProtocolError(f"{tag_of(kind)} goes by itself")
        self._outbound += [encode_frame(encode(message)) for message in messages]
        self._sent_at = now

    def send_encoded(self, kind: type[Message], frame: bytes, now: float) -> None:
        """Queue a frame that was encoded once for many links; `kind` says what it holds."""
        self._check(kind)
        if kind in ONCE:
            self._once.add(("sent", kind))
        self._enter(SENDS[self.side][self.state][kind])
        self._outbound.append(frame)
        self._sent_at = now

    def _check(self, kind: type[Message]) -> None:
        if not self.may_send(kind):
            raise LocalProtocolError(f"cannot send {tag_of(kind)} as {self.side.value} in {self.state.value}")

    def data_to_send(self) -> bytes:
        """The bytes for the network, once."""
        if not self._outbound:
            return b""
        data = b"".join(self._outbound)
        self._outbound.clear()
        return data

    # --- in

    def receive(self, data: bytes, now: float) -> Iterator[Message | list[Entry]]:
        """
        Take bytes from the network and give the messages that they complete, one by one.

        The caller acts on each before it takes the next: an answer may change what is legal. Entries that follow one
        another come together: what is done about one changes nothing for the next. Pings are answered here. Raises
        RemoteProtocolError, whose code the caller hands to close(). After the end nothing is read.
        """
        if self._over():
            return
        self._inbound.feed(data)
        whole = False
        run: list[Entry] = []
        try:
            for frame in self._inbound.frames():
                whole, self._heard_at = True, now
                message = decode(frame)
                if run and isinstance(message, Entry):
                    # What the state allowed once it allows again.
                    run.append(message)
                    continue
                if run:
                    yield run
                    run = []
                admitted = self._admit(message, now)
                if isinstance(admitted, Entry):
                    run.append(admitted)
                elif admitted is not None:
                    yield admitted
                if self._over():
                    self._inbound.clear()
                    return
        except RemoteProtocolError:
            if run:
                yield run
            raise
        if run:
            yield run
        if not self._over():
            self._note_fragment(whole, now)

    def _admit(self, message: Message | None, now: float) -> Message | None:
        """Judge a message, and answer a ping; the message, if it is the caller's to act on."""
        if self._over():
            return None
        if message is None:
            self.charge(now)
            return None
        self._advance(message, now)
        match message:
            case Ping(number=number):
                self.send(Pong(number=number), now)
                return None
            case Pong(number=number):
                if number not in self._asked:
                    return None  # an answer to what we asked by ourselves, which is a sign of life and no more
                self._asked.remove(number)
        return message

    def _advance(self, message: Message, now: float) -> None:
        kind = type(message)
        legal = RECEIVES[self.side][self.state]
        if kind not in legal or ("received", kind) in self._once:
            raise RemoteProtocolError(EndCode.UNEXPECTED, f"{tag_of(kind)} in {self.state.value}")
        if kind in NEEDS and NEEDS[kind] not in self.features:
            raise RemoteProtocolError(EndCode.UNEXPECTED, f"{tag_of(kind)}, which both hellos must list")
        if kind in ONCE:
            self._once.add(("received", kind))
        if kind not in UNPACED:
            self.charge(now)
        if isinstance(message, Hello | ServerHello):
            self.features = self._offered.intersection(message.features)
        self._enter(legal[kind])

    def _over(self) -> bool:
        return self.state is State.CLOSED

    def _enter(self, state: State) -> None:
        self.state = state
        # Whoever opened the link: the next frame may be a large one.
        if state in LARGE:
            self._inbound.limit = LARGE_FRAME

    def charge(self, now: float) -> None:
        """Count a message that moved no vector and no window; raises RemoteProtocolError(RATE) beyond the rate."""
        if not self._budget.spend(now):
            raise RemoteProtocolError(EndCode.RATE, "too many messages")

    def _note_fragment(self, whole: bool, now: float) -> None:
        if not whole and not self._fragments.spend(now):
            raise RemoteProtocolError(EndCode.RATE, "too many small records")
        if not len(self._inbound):
            self._frame_began = None
        elif whole or self._frame_began is None:
            self._frame_began = now

    # --- time

    def ping(self, now: float) -> int:
        """Ask the far side to answer, as handle_timer() does after silence; receive() gives the Pong of this number."""
        self._ping(now)
        self._asked.add(self._pings)
        return self._pings

    def _ping(self, now: float) -> None:
        self._pings += 1
        self._pinged_at = now
        self.send(Ping(number=self._pings), now)

    def next_timer(self) -> float:
        """When handle_timer() has something to do, at the latest; infinity when the link is over."""
        if self._over():
            return float("inf")
        return min(self._deadlines(), self._heard_at + DEAD_AFTER[self.side], self._ping_at())

    def _deadlines(self) -> float:
        deadline = float("inf")
        if self.state is State.GREETING:
            deadline = self._started_at + HELLO_WITHIN
        elif self.state is State.REGISTERING:
            deadline = self._started_at + REGISTER_WITHIN
        if self._frame_began is not None:
            deadline = min(deadline, self._frame_began + FRAME_WITHIN)
        return deadline

    def _ping_at(self) -> float:
        if self.state is State.GREETING or self.side is Side.SERVER:
            return float("inf")
        if self.side is Side.CLIENT:
            return self._sent_at + PING_AFTER[self.side]
        # What we send ourselves is no sign of life of the other.
        return max(self._heard_at, self._pinged_at) + PING_AFTER[self.side]

    def handle_timer(self, now: float) -> None:
        """Ask a silent far side; raises RemoteProtocolError(TIMEOUT) if it is gone or too slow."""
        if self._over():
            return
        if now >= self._deadlines() or now >= self._heard_at + DEAD_AFTER[self.side]:
            raise RemoteProtocolError(EndCode.TIMEOUT, f"{self.state.value} took too long, or silence")
        if now >= self._ping_at():
            self._ping(now)

    def silence(self, now: float) -> float:
        """Seconds since the far side was last heard."""
        return now - self._heard_at

    # --- end

    def close(self, code: EndCode, now: float) -> None:
        """Say why, where the state allows it, and end."""
        if self.may_send(Bye):
            self.send(Bye(code=code.value), now)
        self.state = State.CLOSED
        self._inbound.clear()
