"""Two peers with a dict for a disk, joined by real Sessions in memory: who uses an Exchange as the peer does."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

from p2pchat.core import effects
from p2pchat.core.delivery import Exchange
from p2pchat.core.doubt import Broken, Knowledge, RolledBack, compare, start_for
from p2pchat.core.effects import (
    Batch,
    Confirmed,
    Effect,
    Incoming,
    LinkUp,
    MoreRoom,
    Outgoing,
    Processed,
    Received,
    RefusedThere,
    SeenThere,
)
from p2pchat.core.entries import conversation_of, first_head, next_head, reset_entry, stream_name, text_entry
from p2pchat.core.errors import RemoteProtocolError
from p2pchat.core.messages import Accept, Entry, Holding, Message, Refused, Seen, Select
from p2pchat.core.session import Session
from p2pchat.core.states import Side

from .examples import ALICE, BOB, HELLO, WALL


@dataclass
class Written:
    """One of one's own streams."""

    name: bytes
    entries: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    first: int = 1
    """From where the reader reads."""
    confirmed: int = 0
    confirmed_head: bytes = b""
    store: bytes | None = None
    closed: bool = False
    heads: list[bytes] = field(default_factory=list)
    """As far as they were asked for."""

    def head(self, seq: int) -> bytes | None:
        """head(seq)."""
        if not 0 <= seq <= len(self.entries):
            return None
        self.heads = self.heads or [first_head(self.name)]
        for entry in self.entries[len(self.heads) - 1 : seq]:
            self.heads.append(next_head(self.heads[-1], entry))
        return self.heads[seq]


@dataclass
class Read:
    """A stream of the other side."""

    first: int
    base: bytes
    seq: int
    head: bytes
    entries: list[bytes] = field(default_factory=list)
    seen: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    processed: int = 0
    closed: bool = False


@dataclass
class Disk:
    """What is remembered over links."""

    store: bytes
    written: dict[bytes, Written] = field(default_factory=dict)
    read: dict[bytes, Read] = field(default_factory=dict)
    not_delivered: list[int] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    number: int = 0
    known: set[bytes] = field(default_factory=set)
    """Every entry that was read, for finding what comes twice."""


class Peer:
    """One of the two; what it does at once the real one does after a commit."""

    def __init__(self, me: bytes, them: bytes, store: bytes) -> None:
        self.me, self.them = me, them
        self.disk = Disk(store)
        self.holds_commits = False
        """Whether received entries wait for commit()."""
        self.holds_settling = False
        """Whether what is compared at link-up waits for settle()."""
        self.doubts: list[str] = []
        self.exchange: Exchange | None = None
        self.their_store = b""
        self.send: Callable[[Message], None] = lambda message: None
        self._pending: list[Received] = []
        self._link_up: LinkUp | None = None
        self._streams = 0

    # --- the person

    def write(self, *texts: str) -> None:
        """Write messages."""
        for text in texts:
            self.disk.number += 1
            self.append(
                text_entry(text, id=self._random(self.disk.number), number=self.disk.number, lamport=1, time=WALL)
            )

    def append(self, data: bytes, number: int | None = None) -> None:
        """Write an entry, were it good or bad."""
        stream = self._current()
        stream.entries.append(data)
        stream.numbers.append(self.disk.number if number is None else number)
        if self.exchange is not None:
            self.exchange.appended(self._outgoing(stream))
            self.pump()

    def restore(self, backup: Disk) -> None:
        """Go back to an older disk."""
        self.disk = deepcopy(backup)

    @property
    def texts(self) -> list[bytes]:
        """Every entry that was read, stream by stream."""
        return [entry for stream in self.disk.read.values() for entry in stream.entries]

    # --- links

    def link(self, their_store: bytes) -> None:
        """A link was selected."""
        self.their_store = their_store
        self._pending.clear()
        own = [self._outgoing(stream) for stream in self.disk.written.values() if not stream.closed]
        theirs = [
            Incoming(number, name, read.first, read.base, read.seq, read.head, read.seen)
            for number, (name, read) in enumerate(self.disk.read.items())
            if not read.closed
        ]
        self.exchange = Exchange(self.me, self.them, own, theirs)
        for have in self.exchange.opening():
            self.send(have)
        for name, read in self.disk.read.items():
            for seq, code in read.refused.items():
                if seq > read.processed and not read.closed:
                    self.send(Refused(stream=name, seq=seq, code=code))
        for incoming in theirs:
            if incoming.seen:
                self.send(Seen(stream=incoming.name, seq=incoming.seen))

    def take(self, message: Message) -> bool:
        """A message of the link; whether it moved anything."""
        assert self.exchange is not None
        effects, moved = self.exchange.receive(message)
        for effect in effects:
            self._act(effect)
        return moved

    def pump(self) -> None:
        """Send what may be sent."""
        assert self.exchange is not None
        while (batch := self.exchange.next_batch()) is not None:
            messages = self._answer(batch) if batch.history else self._load(batch)
            for message in messages:
                self.send(message)
            if not messages:
                return

    def commit(self) -> None:
        """What was received is on the disk now."""
        assert self.exchange is not None
        pending, self._pending = self._pending, []
        moved: dict[bytes, tuple[Incoming, int, bytes]] = {}
        for received in pending:
            self._store(received)
            moved[received.incoming.name] = (received.incoming, received.seq, received.head)
        size = sum(len(received.data) for received in pending)
        for message in self.exchange.committed(len(pending), size, moved.values()):
            self.send(message)

    def see(self) -> None:
        """The person saw everything."""
        for name, read in self.disk.read.items():
            if read.seq > read.seen and not read.closed:
                read.seen = read.seq
                self.send(Seen(stream=name, seq=read.seq))

    def settle(self) -> None:
        """What was compared at link-up is on the disk."""
        assert self.exchange is not None and self._link_up is not None
        listed = {holding.stream: holding for holding in self._link_up.holdings}
        self._link_up = None
        broken: list[tuple[Written | None, bytes, int, bytes]] = []
        for stream in list(self.disk.written.values()):
            holding = listed.pop(stream.name, None)
            if stream.closed:
                continue
            known = self._knowledge(stream)
            verdict = compare(known, holding, self.their_store, stream.head)
            if isinstance(verdict, Broken):
                broken.append((stream, stream.name, verdict.seq, verdict.head))
                continue
            if isinstance(verdict, RolledBack):
                self.doubts.append("rolled back")
            stream.first = start_for(known, self.their_store)[0]
            self.disk.delivered += [number for number in stream.numbers[stream.confirmed : verdict.seq] if number]
            stream.confirmed, stream.confirmed_head, stream.store = verdict.seq, verdict.head, self.their_store
        broken += [(None, name, 0, first_head(name)) for name in listed]
        if broken:
            self._begin_anew(broken)
        self.exchange.resume([self._outgoing(each) for each in self.disk.written.values() if not each.closed])
        self.pump()

    # --- inside

    def _act(self, effect: Effect) -> None:
        assert self.exchange is not None
        match effect:
            case LinkUp():
                self._link_up = effect
                if not self.holds_settling:
                    self.settle()
            case Received():
                self._pending.append(effect)
                if not self.holds_commits:
                    self.commit()
            case Confirmed(outgoing=outgoing, seq=seq, head=head, numbers=numbers):
                stream = self.disk.written[outgoing.name]
                stream.confirmed, stream.confirmed_head, stream.store = seq, head, self.their_store
                self.disk.delivered += numbers
            case SeenThere(outgoing=outgoing, seq=seq):
                numbers_seen = self.disk.written[outgoing.name].numbers[:seq]
                self.disk.seen += [number for number in numbers_seen if number not in self.disk.seen]
            case RefusedThere(outgoing=outgoing, seq=seq):
                self.exchange.refused(outgoing, seq)
                number = self.disk.written[outgoing.name].numbers[seq - 1]
                if number not in self.disk.not_delivered:
                    self.disk.not_delivered.append(number)
                for message in self.exchange.processed(outgoing, seq):
                    self.send(message)
            case Processed(incoming=incoming, seq=seq):
                self.disk.read[incoming.name].processed = seq
            case MoreRoom():
                self.pump()

    def _store(self, received: Received) -> None:
        incoming = received.incoming
        read = self.disk.read.setdefault(
            incoming.name, Read(incoming.first, incoming.base, incoming.first - 1, incoming.base)
        )
        read.seq, read.head = received.seq, received.head
        judged = received.judged
        if judged.refusal is not None:
            read.refused[received.seq] = judged.refusal.value
            self.send(Refused(stream=incoming.name, seq=received.seq, code=judged.refusal.value))
            return
        if judged.reset is not None and judged.reset.stream in self.disk.read:
            self.disk.read[judged.reset.stream].closed = True
            self.doubts.append("reset")
        if received.data not in self.disk.known:
            self.disk.known.add(received.data)
            read.entries.append(received.data)

    def _load(self, batch: Batch) -> list[Message]:
        assert self.exchange is not None
        stream = self.disk.written[batch.outgoing.name]
        written: list[effects.Written] = []
        size = 0
        for seq in range(batch.from_seq, min(batch.from_seq + batch.max_entries - 1, len(stream.entries)) + 1):
            data, head = stream.entries[seq - 1], stream.head(seq)
            size += len(data)
            if written and size > batch.max_bytes:
                break
            assert head is not None
            written.append(effects.Written(seq, head, stream.numbers[seq - 1], data))
        return self.exchange.send(batch.outgoing, written)

    def _answer(self, batch: Batch) -> list[Message]:
        assert self.exchange is not None
        stream = self.disk.written[batch.outgoing.name]
        last = min(batch.from_seq + batch.max_entries - 1, len(stream.entries))
        found = [(seq, stream.entries[seq - 1]) for seq in range(batch.from_seq, last + 1)]
        return self.exchange.answer(batch, found)

    def _begin_anew(self, broken: list[tuple[Written | None, bytes, int, bytes]]) -> None:
        self.doubts.append("broken")
        moved: list[tuple[bytes, int]] = []
        for stream, _, agreed, _ in broken:
            if stream is not None:
                stream.closed = True
                moved += zip(stream.entries[agreed:], stream.numbers[agreed:], strict=True)
        new = self._current()
        for _, name, agreed, head in broken:
            new.entries.append(reset_entry(name, agreed, head, id=self._random(-self._streams), lamport=1, time=WALL))
            new.numbers.append(0)
        for data, number in moved:
            new.entries.append(data)
            new.numbers.append(number)

    def _current(self) -> Written:
        current = next((stream for stream in self.disk.written.values() if not stream.closed), None)
        if current is None:
            self._streams += 1
            name = stream_name(conversation_of(self.me, self.them), self.me, self._random(self._streams))
            current = self.disk.written[name] = Written(name, confirmed_head=first_head(name))
        return current

    def _knowledge(self, stream: Written) -> Knowledge:
        head = stream.head(len(stream.entries))
        assert head is not None
        return Knowledge(
            stream.name,
            len(stream.entries),
            head,
            stream.store,
            stream.first,
            max(stream.confirmed, stream.first - 1),
            stream.confirmed_head,
        )

    def _outgoing(self, stream: Written) -> Outgoing:
        known = self._knowledge(stream)
        first = start_for(known, self.their_store)[0]
        base = stream.head(first - 1)
        assert base is not None
        listed = Holding(stream=stream.name, first=first, base=base, seq=known.seq, head=known.head)
        confirmed = max(stream.confirmed, first - 1)
        return Outgoing(0, stream.name, listed, known.seq, confirmed + 1, confirmed, known.seq)

    def _random(self, number: int) -> bytes:
        return self.disk.store[:8] + (number & (1 << 64) - 1).to_bytes(8, "big")


class Desks:
    """Alice's and Bob's desks, and the link between them, if there is one."""

    def __init__(self) -> None:
        self.alice = Peer(ALICE.id, BOB.id, b"alice's store   ")
        self.bob = Peer(BOB.id, ALICE.id, b"bob's store     ")
        self.sent: list[Message] = []
        """What crossed the present link, in both directions."""
        self.now = 0.0
        self._sessions: dict[Peer, Session] = {}

    @property
    def entries(self) -> list[Entry]:
        """The entries that crossed the present link."""
        return [message for message in self.sent if isinstance(message, Entry)]

    def link(self) -> None:
        """A new link is selected, and everything that may be said is said."""
        self.cut()
        self.now += 60.0
        for peer in (self.alice, self.bob):
            side = Side.LEADER if peer.me < peer.them else Side.FOLLOWER
            self._sessions[peer] = Session(side, HELLO, self.now)
        self.carry()
        for session in self._sessions.values():
            session.send(Accept(scope="always"), self.now)
        self.carry()
        next(each for each in self._sessions.values() if each.side is Side.LEADER).send(Select(), self.now)
        self.carry()
        self.sent.clear()
        for peer, other in ((self.alice, self.bob), (self.bob, self.alice)):
            peer.send = self._sender(self._sessions[peer])
            peer.link(other.disk.store)
        self.carry()

    def cut(self) -> None:
        """The link is lost, with all that is under way."""
        self._sessions.clear()
        for peer in (self.alice, self.bob):
            peer.exchange = None
            peer.send = lambda message: None

    def carry(self) -> None:
        """Bring everything to where it goes; RemoteProtocolError of either side comes through."""
        one, other = (self._sessions[self.alice], self._sessions[self.bob])
        while (there := one.data_to_send()) + (back := other.data_to_send()):
            self._give(self.bob, there)
            self._give(self.alice, back)

    def lose(self, peer: Peer) -> None:
        """What `peer` sent and nobody took is lost."""
        self._sessions[peer].data_to_send()

    def _give(self, peer: Peer, data: bytes) -> None:
        session = self._sessions[peer]
        for given in session.receive(data, self.now):
            for message in given if isinstance(given, list) else [given]:
                if peer.exchange is not None:
                    self.sent.append(message)
                    if not peer.take(message):
                        session.charge(self.now)

    def _sender(self, session: Session) -> Callable[[Message], None]:
        return lambda message: session.send(message, self.now)


def refusal_of(call: Callable[[], object]) -> RemoteProtocolError | None:
    """The RemoteProtocolError that a call raises."""
    try:
        call()
    except RemoteProtocolError as error:
        return error
    return None
