"""
Two peers and their conversation in one process: real chats, exchanges and stores, on disks in memory.

The network, the moment of every commit, crashes, backups and clocks are the test's, and everything random comes from
one seed: the same seed and the same calls give the same run. Nothing happens by itself.

    world = World(seed)
    world.alice.say("hello"); world.connect(); world.run()
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2pchat.api import Delivered, Doubt, Event, Person, Queued, Said
from p2pchat.core.budget import Budget
from p2pchat.core.entries import conversation_of, judge
from p2pchat.core.errors import EndCode, RemoteProtocolError, UserError
from p2pchat.core.identity import Identity
from p2pchat.core.messages import Message, Select, decode, encode
from p2pchat.core.session import BURST, RATE
from p2pchat.peer.chat import Chat
from p2pchat.peer.environment import Environment
from p2pchat.peer.ledger import Two
from p2pchat.peer.receipts import waiting
from p2pchat.storage.database import Database
from p2pchat.storage.entries import StoredEntry
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA, PeerTables

from .disks import MemoryDisk
from .examples import ALICE, BOB, WALL

ResultT = TypeVar("ResultT")
EventT = TypeVar("EventT", bound=Event)

TURNS = 20_000
"""Turns after which a run that should become quiet counts as one that never does."""

FAULTS = frozenset({EndCode.VIOLATION, EndCode.UNEXPECTED, EndCode.MALFORMED, EndCode.TOO_BIG, EndCode.RATE})
"""Codes that two honest peers never say to each other."""


class End:
    """One end of a wire, as a chat knows its link; what it sends waits in `queue` until it is carried over."""

    def __init__(self, clock: Clock, store: bytes) -> None:
        self.alive = True
        self.congested = False
        self.store = store
        """Of the far side."""
        self.queue: deque[bytes | None] = deque()
        """Encoded messages on their way; None: the end of the link."""
        self.said: tuple[EndCode, str] | None = None
        """How this end ended it."""
        self.carries = False
        self.taken = 0
        """How often the far side told that it has some of what it was sent."""
        self._clock = clock
        self._heard_at = clock.seconds()
        self._budget = Budget(RATE, BURST, clock.seconds())

    def send(self, message: Message) -> None:
        if self.alive:
            self.queue.append(encode(message))

    def send_all(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.send(message)

    def carry(self) -> None:
        self.carries = True

    def took(self) -> None:
        self.taken += 1

    def charge(self) -> None:
        if not self._budget.spend(self._clock.seconds()):
            raise RemoteProtocolError(EndCode.RATE, "too many messages that move nothing")

    def fail(self, code: EndCode, detail: str) -> None:
        self.close(code, detail)

    def close(self, code: EndCode, detail: str = "") -> None:
        if self.alive:
            self.alive = False
            self.said = code, detail
            self.queue.append(None)

    def silence(self) -> float:
        return self._clock.seconds() - self._heard_at

    def heard(self) -> None:
        self._heard_at = self._clock.seconds()

    def pending(self) -> list[Message]:
        """What is on its way, decoded."""
        decoded = [decode(each) for each in self.queue if each is not None]
        return [each for each in decoded if each is not None]


class Home:
    """One peer: its disk, which outlives everything but `lose`, and, while it is up, its store and its chat."""

    def __init__(self, world: "World", name: str, identity: Identity, other: Identity) -> None:
        self.world = world
        self.name = name
        self.identity = identity
        self.other = other
        self.events: list[Event] = []
        """Everything that front ends were told, over all lives."""
        self.accepted: list[tuple[int, str]] = []
        """(number, text) of what was accepted, over all lives."""
        self.up = False
        self.watch: Callable[[Event], None] = lambda event: None
        """Called with every event."""
        self._life = 0
        self._disk = MemoryDisk()
        self.start()

    # --- life

    def start(self) -> None:
        """Open the store and load the chat."""
        self._life += 1
        life = self._life
        self.executor = InlineExecutor(automatic=False)
        self.database = Database(Path(f"/{self.name}.db"), PEER_SCHEMA, self.executor, self._disk.name)
        done(self.database.open())
        self.up = True
        conversation = conversation_of(self.identity.id, self.other.id)
        fresh_store = self.world.token(16)

        def prepare(tables: PeerTables) -> tuple[PeerTables, bytes, int]:
            contact = tables.contacts.add(self.other.id, "other", WALL, listed=True).contact
            row = tables.conversations.open_for(contact, conversation).conversation
            return tables, tables.settings.set_once("store", fresh_store), row

        self.tables, self.store, row = self.transact(prepare)
        environment = Environment(
            identity=self.identity,
            database=self.database,
            clock=self.world.clock,
            wall=lambda: WALL + int(self.world.clock.seconds() * 1000),
            random=self.world.token,
            emit=lambda event: self._emit(life, event),
            store=self.store,
        )
        self.allowance = environment.allowance
        self.two = Two(row, conversation, self.identity.id, self.other.id)
        person = Person(id="far side", name="other")
        self.chat = Chat(environment, self.two, lambda: person, lambda: self.name)
        loaded = Deferred.fromCoroutine(self.chat.load())
        self.executor.run()
        done(loaded)

    def fill(self, full: bool = True) -> None:
        """The disk is full, or has room again."""
        self._disk.full = full

    def crash(self) -> None:
        """Everything in memory is gone, what was not committed too."""
        if not self.up:
            return
        self._life += 1
        self.world.cut_all()
        self.up = False
        self._left = self._all()
        self.fill(False)
        old, self._disk = self.database, self._disk_of(self.backup())
        # What the dead process would still do goes to a disk that nobody reads again.
        old.close()

    def backup(self) -> dict[str, bytes]:
        """What is committed, as files."""
        return {path: bytes(data) for path, data in self._disk.files.items()}

    def restore(self, backup: dict[str, bytes]) -> None:
        """Crash, and start again from a backup; from an empty one: the database is lost."""
        self.crash()
        self._disk = self._disk_of(backup)
        self.start()

    def lose(self) -> None:
        """The database is deleted."""
        self.restore({})

    def restart(self) -> None:
        """Crash, and start again."""
        self.crash()
        self.start()

    def _disk_of(self, files: dict[str, bytes]) -> MemoryDisk:
        disk = MemoryDisk()
        disk.files.update({path: bytearray(data) for path, data in files.items()})
        self.world.keep.append(disk)
        return disk

    def _emit(self, life: int, event: Event) -> None:
        if life == self._life:
            self.events.append(event)
            self.watch(event)

    # --- doing

    def say(self, *texts: str) -> Deferred[list[Queued]]:
        """Say something, all of it or nothing; it is noted in `accepted` once it is."""
        life = self._life
        said = self.chat.say(*texts)

        def accept(result: list[Queued] | Failure) -> list[Queued] | Failure:
            if isinstance(result, Failure):
                result.trap(UserError)
            elif life == self._life:
                self.accepted += [(queued.number, text) for queued, text in zip(result, texts, strict=True)]
            return result

        said.addBoth(accept)
        said.addErrback(lambda failure: None)
        return said

    def display(self, entry: int | None = None) -> None:
        """The person saw everything up to an entry, or everything that there is."""
        rows = self.received()
        if entry is None and rows:
            entry = rows[-1].entry
        if entry is not None:
            Deferred.fromCoroutine(self.chat.displayed(entry)).addErrback(lambda failure: failure.trap(UserError))

    def transact(self, operation: Callable[[PeerTables], ResultT]) -> ResultT:
        """Commit an operation, and everything that waits before it."""
        written = self.database.write(operation)
        self.executor.run()
        return done(written)

    def run(self) -> bool:
        """Commit what waits and tell; whether anything did."""
        moved = self.executor.commit()
        self.executor.deliver()
        return moved

    def receive(self, end: End, message: Message) -> None:
        """A message comes over a link whose other end is the test's."""
        end.heard()
        self.chat.receive(end, message)

    # --- looking

    def told(self, kind: type[EventT]) -> list[EventT]:
        """The events of one class."""
        return [event for event in self.events if isinstance(event, kind)]

    def shown(self) -> list[str]:
        """What was told as said, in that order."""
        return [event.text for event in self.told(Said)]

    def doubts(self, mine: bool) -> list[tuple[int, int]]:
        """The ranges that were told as in doubt."""
        return [(event.first, event.last) for event in self.told(Doubt) if event.mine is mine]

    def received(self) -> list[StoredEntry]:
        """Messages of the far side that are on the disk, in order of arrival."""
        return self._texts(self.other)

    def written(self) -> list[StoredEntry]:
        """Our own messages that are on the disk, by their numbers."""
        return sorted(self._texts(self.identity), key=lambda entry: entry.number)

    def waiting(self) -> int:
        """How many of our messages are not delivered, as the disk knows it."""
        return waiting(self.tables, self.two)[1]

    def _texts(self, author: Identity) -> list[StoredEntry]:
        found = self._all() if self.up else self._left
        return [entry for entry in found if entry.author == author.id and entry.kind == "text"]

    def _all(self) -> list[StoredEntry]:
        return self.tables.entries.after(0, 1 << 30, self.two.conversation)


class Wire:
    """A link of the two, selected by the one with the lower id."""

    def __init__(self, leader: Home, follower: Home) -> None:
        clock = leader.world.clock
        self.ends = {leader.name: End(clock, follower.store), follower.name: End(clock, leader.store)}
        self.homes = {leader.name: leader, follower.name: follower}
        self.over = False

    def carry(self, sender: str, count: int = 1 << 30) -> bool:
        """Bring so many messages from `sender` over; whether there were any."""
        near, receiver = self.ends[sender], self._other(sender)
        moved = False
        while near.queue and count and not self.over:
            count, moved = count - 1, True
            self._deliver(receiver, near.queue.popleft())
        return moved

    def cut(self) -> None:
        """What is on its way is lost, and both sides notice."""
        if self.over:
            return
        self.over = True
        for name, end in self.ends.items():
            end.alive = False
            end.queue.clear()
            if self.homes[name].up:
                self.homes[name].chat.detach(end)

    def _other(self, name: str) -> str:
        return next(each for each in self.ends if each != name)

    def _deliver(self, receiver: str, frame: bytes | None) -> None:
        end, home = self.ends[receiver], self.homes[receiver]
        if frame is None:
            self.cut()
            return
        if not end.alive:
            return
        message = decode(frame)
        assert message is not None
        end.heard()
        if isinstance(message, Select):
            home.chat.attach(end)
        else:
            home.chat.receive(end, message)


class World:
    """Alice, Bob, and what is between them. Alice's id need not be the lower one; who leads is `leader`."""

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(seed)
        """For whoever drives."""
        self.clock = Clock()
        self.wires: list[Wire] = []
        self.keep: list[MemoryDisk] = []
        """Disks must live as long as what was opened on them."""
        self._tokens = Random(seed + 1)
        self.alice = Home(self, "alice", ALICE, BOB)
        self.bob = Home(self, "bob", BOB, ALICE)
        self.leader, self.follower = (self.alice, self.bob) if ALICE.id < BOB.id else (self.bob, self.alice)

    def token(self, length: int) -> bytes:
        """Random bytes, from the seed."""
        return self._tokens.randbytes(length)

    def close(self) -> None:
        """Give everything back."""
        for home in (self.alice, self.bob):
            home.crash()

    @property
    def homes(self) -> tuple[Home, Home]:
        """Both."""
        return self.alice, self.bob

    @property
    def wire(self) -> Wire:
        """The newest link."""
        return self.wires[-1]

    def connect(self) -> Wire:
        """A new link, which the leader selects and closes every other for; starts who is down."""
        for home in self.homes:
            if not home.up:
                home.start()
        wire = Wire(self.leader, self.follower)
        for other in self.wires:
            other.ends[self.leader.name].close(EndCode.DUPLICATE)
        self.wires.append(wire)
        end = wire.ends[self.leader.name]
        end.send(Select())
        self.leader.chat.attach(end)
        return wire

    def cut_all(self) -> None:
        """No link is left."""
        for wire in self.wires:
            wire.cut()

    def turn(self) -> bool:
        """Each disk commits once, and each direction of each link is carried over; whether anything moved."""
        moved = [home.run() for home in self.homes if home.up]
        moved += [wire.carry(name) for wire in list(self.wires) for name in wire.ends]
        return any(moved)

    def run(self) -> None:
        """Until nothing moves any more; fails if that never comes."""
        for _ in range(TURNS):
            if not self.turn():
                return
        raise AssertionError("it never becomes quiet")

    def faults(self) -> Iterator[tuple[str, EndCode, str]]:
        """Links that a peer ended because the other one, or itself, was at fault: (who said it, code, detail)."""
        for wire in self.wires:
            for name, end in wire.ends.items():
                if end.said is not None and end.said[0] in FAULTS:
                    yield name, *end.said


class Storm:
    """
    Drives a world at random, from its seed, and holds the invariants of the promise all the time.

    With `rollbacks` databases are also lost and restored from backups; then what both people are told counts too.
    """

    def __init__(self, world: World, rollbacks: bool = False) -> None:
        self.world = world
        self._said = 0
        self._backups: dict[str, list[dict[str, bytes]]] = {home.name: [{}] for home in world.homes}
        self._rollbacks = rollbacks
        self._untrue: list[str] = []
        """What was told as delivered, and was not there."""
        self._steps: dict[Callable[[Home], None], int] = {
            self._say: 20,
            self._display: 4,
            self._commit: 20,
            self._deliver: 20,
            self._carry: 40,
            self._turn: 20,
            self._connect: 4,
            self._cut: 2,
            self._crash: 2,
            self._congest: 2,
            self._release: 6,
            self._fill: 1,
            self._make_room: 2,
        }
        if rollbacks:
            self._steps |= {self._back_up: 3, self._restore: 2}
        else:
            for home in world.homes:
                home.watch = lambda event, home=home: self._watch(home, event)  # type: ignore[misc]

    def step(self) -> None:
        """Something happens."""
        random = self.world.random
        (action,) = random.choices(list(self._steps), list(self._steps.values()))
        action(random.choice(self.world.homes))

    def calm(self) -> None:
        """The faults stop."""
        for home in self.world.homes:
            home.fill(False)
        self.world.cut_all()
        # What was compared on one link may have to be said on the next one; no more than that.
        for _ in range(2):
            self.world.connect()
            self.world.run()
            for home in self.world.homes:
                self._release(home)
            self.world.run()

    def check(self) -> None:
        """
        I1 to I4: what is told as delivered is there, nothing accepted is lost, nothing is there twice or out of order,
        or from somebody else.
        """
        assert not self._untrue, self._untrue
        for home in self.world.homes:
            entries, other = home.received(), self._other(home)
            texts = [text_of(entry) for entry in entries]
            assert all(text.startswith(other.name) for text in texts), "said by somebody else"
            if not self._rollbacks:
                numbers = [entry.number for entry in entries]
                assert numbers == list(range(1, len(numbers) + 1)), f"{home.name} has {numbers}"
                here = {text_of(entry) for entry in other.written()}
                assert {text for _, text in other.accepted} <= here, "what was accepted is lost"
        assert not list(self.world.faults()), list(self.world.faults())

    def check_drained(self) -> None:
        """I5: everything was delivered, or is named in a doubt."""
        for home in self.world.homes:
            other = self._other(home)
            assert (home.waiting(), home.chat.unsent) == (0, 0), f"{home.name} has {home.waiting()} {home.chat.unsent}"
            there = {entry.id for entry in other.received()}
            doubts = home.doubts(mine=True) + other.doubts(mine=False)
            for entry in home.written():
                named = any(first <= entry.number <= last for first, last in doubts)
                assert entry.id in there or (self._rollbacks and named), f"{home.name} {entry.number} is lost"

    def _other(self, home: Home) -> Home:
        return next(each for each in self.world.homes if each is not home)

    def _watch(self, home: Home, event: Event) -> None:
        """I1: what is told as delivered is on the disk there."""
        if isinstance(event, Delivered):
            there = {entry.number for entry in self._other(home).received()}
            self._untrue += [f"{home.name} {number}" for number in event.numbers if number not in there]

    def _say(self, home: Home) -> None:
        for _ in range(self.world.random.choice((1, 1, 1, 1, 1, 5, 5, 300)) if home.up else 0):
            self._said += 1
            home.say(f"{home.name} {self._said}")

    def _display(self, home: Home) -> None:
        if home.up:
            home.display()

    def _commit(self, home: Home) -> None:
        if home.up:
            home.executor.commit()

    def _deliver(self, home: Home) -> None:
        if home.up:
            home.executor.deliver()

    def _carry(self, home: Home) -> None:
        for wire in list(self.world.wires)[-3:]:
            wire.carry(home.name, self.world.random.choice((1, 3, 400)))

    def _turn(self, home: Home) -> None:
        self.world.turn()

    def _connect(self, home: Home) -> None:
        self.world.connect()

    def _cut(self, home: Home) -> None:
        self.world.cut_all()

    def _crash(self, home: Home) -> None:
        home.crash()

    def _congest(self, home: Home) -> None:
        if self.world.wires:
            self.world.wire.ends[home.name].congested = True

    def _release(self, home: Home) -> None:
        if self.world.wires:
            end = self.world.wire.ends[home.name]
            end.congested = False
            if home.up and home.chat.link is end:
                home.chat.pump()

    def _fill(self, home: Home) -> None:
        if home.up:
            home.fill()

    def _make_room(self, home: Home) -> None:
        for each in self.world.homes:
            each.fill(False)

    def _back_up(self, home: Home) -> None:
        self._backups[home.name].append(home.backup())

    def _restore(self, home: Home) -> None:
        home.restore(self.world.random.choice(self._backups[home.name]))


def text_of(entry: StoredEntry) -> str:
    """What an entry says."""
    return judge(entry.bytes or b"").text


def done(deferred: Deferred[ResultT]) -> ResultT:
    """The result of what must have happened already; raises what it failed with."""
    results: list[ResultT | Failure] = []
    deferred.addBoth(results.append)
    if not results:
        raise AssertionError("it has not happened yet")
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result  # type: ignore[return-value]
