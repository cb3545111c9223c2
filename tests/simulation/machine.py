"""
A simulated machine: power, a disk, an address, a wall clock, and the process of a peer on it, one life after another.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

import apsw
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2pchat.api import Event
from p2pchat.core.errors import UserError
from p2pchat.core.identity import Identity
from p2pchat.core.messages import Address, Message
from p2pchat.core.trust import Policy
from p2pchat.net.connection import Sweep
from p2pchat.peer.chat import Chat
from p2pchat.peer.environment import Environment
from p2pchat.peer.link import Link
from p2pchat.peer.peer import Peer
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.keys import KEY_SETTING
from p2pchat.storage.peer_tables import PEER_SCHEMA, PeerTables
from p2pchat.storage.schema import prepare
from p2pchat.storage.settings import STORE_SETTING

from .disk import Disk, File, database_file
from .network import PORT, Network, Plug, SimulatedDialler
from .reading import Contents, Eye, ResultT, confirmed_in, doubts_in, held_in, look_into

WALL = 1_790_000_000_000
"""Where wall clocks begin, ms since 1970: September 2026."""

Known = tuple[object, int, Contents]
"""What a database holds, and what that was read from: a disk or a process, after so many changes."""


@cache
def identity_of(name: str) -> Identity:
    """The same for the same name."""
    return Identity.from_seed(name.encode().ljust(32, b"."))


@cache
def _new_database() -> bytes:
    """A database as its first start makes it."""
    disk, path = Disk(), database_file("new")
    prepare(path, PEER_SCHEMA, disk.name)
    disk.unregister()
    return disk.copy()[str(path)]


def as_installed(path: Path) -> dict[str, File]:
    """What is on a disk before the story: an empty database, so that no story spends its time on making one."""
    return {str(path): File(_new_database(), named=True)}


class Process:
    """One life of a peer. Nothing in it is real any more once `alive` is false."""

    def __init__(self, machine: "Machine", life: int) -> None:
        self.machine = machine
        self.alive = True
        self.listening = False
        self.clock = Clock()
        self.clock.advance(machine.random.uniform(1, 1e6))
        self.sweep = Sweep(self.clock)
        self.executor = InlineExecutor(automatic=False)
        self.disk = machine.disk
        self.database: Database[PeerTables] = Database(
            database_file(machine.name), PEER_SCHEMA, self.executor, self.disk.name
        )
        self.random = Random(f"{machine.seed} {machine.name} {life}")
        self.peer: Peer | None = None
        self.waits_for_send: tuple[int, bool] | None = None
        """The process ends at one of its next writes to the network: (how many go well first, after that one)."""
        self.connection: apsw.Connection | None = None
        """Of its database, once that is open."""
        self.entries_changed = 0
        """How often its connection changed a row of the entries."""
        self.starting = Deferred.fromCoroutine(self._start())
        self.starting.addErrback(self._not_started)

    # --- start, as service.py does it

    async def _start(self) -> None:
        machine = self.machine
        await self.database.open()
        writer: Any = self.database._writes
        self.connection = cast(apsw.Connection, writer._worker.connection)
        self.connection.set_update_hook(self._row_changed)
        fresh = self.random.randbytes(16)

        def remember(tables: PeerTables) -> bytes:
            tables.settings.set(KEY_SETTING, machine.identity.key)
            return tables.settings.set_once(STORE_SETTING, fresh)

        store = await self.database.write(remember)
        environment = Environment(
            identity=machine.identity,
            database=self.database,
            clock=self.clock,
            wall=machine.wall,
            random=self.random.randbytes,
            emit=self._emit,
            store=store,
            nonce=self.random.randbytes(16),
        )
        peer = Peer(environment, SimulatedDialler(self), None, Policy.ALL, machine.name)  # type: ignore[arg-type]
        await peer.people.load()
        self.peer = peer
        self.listening = True
        self.clock.callLater(1.0, self._look)
        await peer.resume()

    def _row_changed(self, change: int, database: str, table: str, row: int) -> None:
        if table == "entry":
            self.entries_changed += 1

    def _not_started(self, failure: Failure) -> None:
        if self.alive:
            self.machine.not_started(self, failure)

    def _look(self) -> None:
        assert self.peer is not None
        self.clock.callLater(1.0, self._look)
        self.peer.look()

    def _emit(self, event: Event) -> None:
        if self.alive:
            self.machine.told(self, event)

    def answer(self) -> Link:
        """Somebody dialled us."""
        assert self.peer is not None
        return Link(self.peer.links)

    # --- the network

    def sends(self) -> bool:
        """Whether what the process writes to the network leaves."""
        if self.waits_for_send is not None and self.alive:
            left, late = self.waits_for_send
            if left <= 0 and not late:
                self.machine.end_of_process("before it sent something")
            self.waits_for_send = left - 1, late
        return self.alive

    def has_sent(self) -> None:
        """Bytes were handed to the network."""
        if self.waits_for_send is not None and self.waits_for_send[0] < 0:
            self.machine.end_of_process("after it sent something")

    # --- what the person at it does

    def chat(self, other: "Machine") -> Chat | None:
        """The chat with somebody, once there is one."""
        talk = None if self.peer is None else self.peer.talk(other.identity.id)
        return None if talk is None else talk.chat

    def want(self, other: "Machine") -> None:
        """Chat with somebody, at the address where they are."""
        if self.peer is not None:
            address = Address(host=other.address, port=PORT)
            talk = self.peer.talk(other.identity.id)
            if talk is not None:
                talk.typed.clear()
            self.run(self.peer.want(other.identity.id, "", [address]))

    def run(self, coroutine: Any) -> None:
        """Do something whose refusal the person reads."""
        Deferred.fromCoroutine(coroutine).addErrback(self._refused)

    def _refused(self, failure: Failure) -> None:
        if self.alive and failure.check(UserError) is None:
            self.machine.wrong(f"{self.machine.name}: {failure.value!r}")

    def end(self) -> None:
        """It is no more; what it would still do nobody sees."""
        self.alive = self.listening = False
        self.disk.dead = True

    def bury(self) -> None:
        """Give its connection back; not while SQLite is at work in it."""
        with suppress(Exception):
            if self.connection is not None:
                self.connection.close(True)


class Machine:
    """One machine and the person at it."""

    def __init__(
        self,
        name: str,
        seed: int,
        network: Network,
        told: Callable[[Process, Event], None],
        wrong: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        self.name = name
        self.seed = seed
        self.network = network
        self.told = told
        self.wrong = wrong
        self.note = note
        self.identity = identity_of(name)
        self.random = Random(f"{seed} {name}")
        self.powered = True
        self.frozen = False
        self.wall_offset = 0
        self.tongue: Callable[[Message], list[Message]] | None = None
        """What makes a lie of what it says."""
        self.process: Process | None = None
        self.backups: list[dict[str, bytes]] = []
        self.failed_to_start = False
        self._lives = 0
        self._addresses = 0
        self.graves: list[Process] = []
        self.disks: list[Disk] = []
        self._eye, self._eye_for_durable = Eye(), Eye()
        self._contents: Known = (None, 0, Contents())
        self._durable: Known = (None, 0, Contents())
        self.disk = self._new_disk(as_installed(database_file(name)))
        self.address = ""
        self.move()

    # --- life

    def start(self) -> None:
        """Power, and a process."""
        if self.process is not None:
            return
        self.powered = True
        self.failed_to_start = False
        self._lives += 1
        process = Process(self, self._lives)
        if self.failed_to_start:
            self.finish(process)
        else:
            self.process = process

    def not_started(self, process: Process, failure: Failure) -> None:
        """Its database could not be opened: the person reads why, and starts it again later."""
        self.failed_to_start = True
        if failure.check(UserError) is None:
            self.wrong(f"{self.name} does not start: {failure.value!r}")
        self.note(f"{self.name} does not start: {failure.getErrorMessage()}")
        if process is self.process:
            self.end_of_process("at its start")

    def end_of_process(self, why: str) -> None:
        """kill -9, or what comes to the same: the kernel stays, what was written to files and sockets too."""
        process = self.process
        if process is None:
            return
        self.note(f"{self.name}'s process ends {why}")
        self.finish(process)
        for plug in self.plugs(process):
            plug.die(silently=False)

    def end_of_power(self, why: str, fate: str) -> None:
        """The machine stands still: what was not synced may be gone, and nobody is told."""
        self.note(f"{self.name}'s power fails {why}; of what was not synced there stays: {fate}")
        process = self.process
        disk = self.disk
        if process is not None:
            self.finish(process)
            for plug in self.plugs(process):
                del plug.out[self.random.randint(0, len(plug.out)) :]
                plug.die(silently=True)
        self.powered = False
        self.disk = self._new_disk(disk.lose_power(self.random, fate))

    def finish(self, process: Process) -> None:
        """The process is over; its files stay as they are."""
        process.end()
        self.graves.append(process)
        self.process = None
        old = self.disk
        self.disk = self._new_disk(old.files)
        self.disk.ghosts = old.ghosts

    def put(self, files: dict[str, bytes]) -> None:
        """Other files stand in place of those that were there."""
        self.end_of_process("so that its files can be replaced")
        self.disk = self._new_disk({path: File(data, named=True) for path, data in files.items()})

    def set_trap_spring(self, power: bool, fate: str) -> None:
        """What happens when the disk's trap springs."""

        def spring(what: str) -> None:
            if power:
                self.end_of_power(what, fate)
            else:
                self.end_of_process(what)

        self.disk.spring = spring

    def _new_disk(self, files: dict[str, File]) -> Disk:
        disk = Disk(files)
        self.disks.append(disk)
        return disk

    def plugs(self, process: Process | None = None) -> list[Plug]:
        """Its ends of connections, or those of one of its processes."""
        plugs = (plug for wire in self.network.wires for plug in wire.ends if plug.process.machine is self)
        return [plug for plug in plugs if process is None or plug.process is process]

    # --- place and time

    def move(self) -> None:
        """The machine gets another address; what was connected to the old one is cut off in silence."""
        self.network.homes.pop(self.address, None)
        for wire in self.network.wires:
            if any(plug.process.machine is self for plug in wire.ends):
                wire.stale = True
        self._addresses += 1
        self.address = f"10.0.{self._addresses}.{ord(self.name[0])}"
        self.network.homes[self.address] = self

    def wall(self) -> int:
        """Its wall clock, ms since 1970."""
        seconds = 0.0 if self.process is None else self.process.clock.seconds()
        return max(0, WALL + self.wall_offset + int(seconds * 1000))

    # --- looking

    def contents(self) -> Contents:
        """What its database holds, as its process reads it."""
        process = self.process
        connection = None if process is None else process.connection
        known: tuple[object, int] = (self.disk, self.disk.operations)
        if connection is not None and process is not None:
            known = process, process.entries_changed
        if self._contents[:2] != known:
            self._contents = (*known, self._look(connection))
        return self._contents[2]

    def durable_contents(self) -> Contents:
        """What its database holds if the power fails now, and nothing that was not synced stays."""
        if self.disk.clean:
            return self.contents()
        known = self.disk, self.disk.operations
        if self._durable[:2] != known:
            found = self._eye_for_durable.look_at_files(self.disk.durable, database_file(self.name))
            self._durable = (*known, found)
        return self._durable[2]

    def durably_holds(self, stream: bytes) -> int:
        """Up to where it has a stream if the power fails now."""
        return self._ask(lambda connection: held_in(connection, stream)) or 0

    def confirmed_by(self, reader: "Machine") -> dict[int, int]:
        """By stream: up to where it durably knows that a reader has it."""
        return self._ask(lambda connection: confirmed_in(connection, reader.identity.id)) or {}

    def doubts_about(self, reader: "Machine") -> list[tuple[int, int]]:
        """The numbers of its messages that a reader may lack, as its person is told at the next terminal."""
        return self._ask(lambda connection: doubts_in(connection, reader.identity.id)) or []

    def _ask(self, question: Callable[[apsw.Connection], ResultT]) -> ResultT | None:
        """Look at what is durable of its database; None if there is none."""
        connection = None if self.process is None else self.process.connection
        if self.disk.clean and connection is not None:
            with self.disk.observed():
                return question(connection)
        return look_into(self.disk.durable, database_file(self.name), question)

    def _look(self, connection: apsw.Connection | None) -> Contents:
        if connection is None:
            return self._eye.look_at_files(self.disk.copy(), database_file(self.name))
        with self.disk.observed():
            return self._eye.look(connection)

    def bury(self) -> None:
        """Give back what dead processes held."""
        for process in self.graves:
            process.bury()
        self.graves.clear()

    def close(self) -> None:
        """Give everything back."""
        if self.process is not None:
            self.finish(self.process)
        self.bury()
        for disk in self.disks:
            disk.unregister()
