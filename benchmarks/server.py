"""What a rendezvous server costs: memory and processor time for each peer, and one join told to many."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import TWISTD, BenchmarkFailed, Program, Stage, cpu_seconds, pss_kib
from benchmarks.table import Row, middle

NEWCOMERS = 1_000_000
"""Numbers of members from here on join while others watch."""

BREATH = 0.3
"""Seconds between two joins: with 1,000 watchers a push waits for a quarter of a second after another."""


@dataclass(frozen=True, slots=True)
class ServerSizes:
    """How much is done."""

    few: int = 500
    many: int = 2_000
    """Peers online when memory is read."""
    batch: int = 125
    """Registrations of one server before it is the other's turn."""
    watchers: int = 1_000
    joins: int = 15


@dataclass(slots=True)
class Loaded:
    """A server, the crowd at it, and what was read of it."""

    pid: int
    crowd: Program
    memory: dict[int, int] = field(default_factory=dict)
    """KiB by the number of peers online."""
    first: list[float] = field(default_factory=list)
    """Processor seconds of each registration, a figure for each batch."""
    again: list[float] = field(default_factory=list)
    """The same for peers that were there before."""
    told: list[float] = field(default_factory=list)
    """Seconds until the last watcher had a join."""
    telling: list[float] = field(default_factory=list)
    """Processor seconds of that."""

    def register(self, first: int, count: int) -> float:
        """Bring some online; processor seconds for each."""
        before = cpu_seconds(self.pid)
        self.crowd.ask(what="register", first=first, count=count)
        return (cpu_seconds(self.pid) - before) / count

    def rest(self, online: int) -> None:
        """One heartbeat of everybody, and then the memory."""
        self.crowd.ask(what="ping")
        time.sleep(BREATH)
        self.memory[online] = pss_kib(self.pid)

    def join(self, number: int, watchers: int) -> None:
        """One join, told to the watchers."""
        before = cpu_seconds(self.pid)
        told = self.crowd.ask(what="join", number=NEWCOMERS + number, first=0, count=watchers)
        self.telling.append(cpu_seconds(self.pid) - before)
        self.told.append(told["seconds"])


def measure_server(state: Path, sizes: ServerSizes) -> Iterator[Row]:
    """All rows about the server; it and the bare one run side by side and are loaded in turns."""
    with Stage() as stage:
        product, bare = _product(stage, state, sizes), _bare(stage)
        both = (product, bare)
        for each in both:
            each.rest(0)
        _fill(both, sizes)
        yield from _memory(product, bare, sizes)
        _come_back(both, sizes)
        yield _cpu("server CPU, first registration (its handle is stored)", product.first, bare.first)
        yield _cpu("server CPU, registration", product.again, bare.again, 1.5)
        for each in both:
            each.crowd.ask(what="watch", first=0, count=sizes.watchers)
            each.crowd.ask(what="ping")
        for number in range(sizes.joins):
            for each in both:
                each.join(number, sizes.watchers)
            time.sleep(BREATH)
        to = f"to {sizes.watchers:,} watchers"
        yield _cpu(f"one join {to}, until the last has it", product.told, bare.told, 2.0)
        yield _cpu(f"one join {to}, server CPU", product.telling, bare.telling, 2.0)


def start_server(stage: Stage, state: Path, capacity: int = 4_096) -> tuple[int, str, int]:
    """A real server on loopback: its process id, its join link, its port."""
    server = stage.daemon(
        TWISTD, "-n", "p2pchat-server", "--state", str(state), "--port", "0", "--interface", "127.0.0.1",
        "--host", "127.0.0.1", "--capacity", str(capacity),
    )  # fmt: skip
    line = server.read_until("p2pchat join")
    link = re.search(r"p2pchat://127\.0\.0\.1:(\d+)/#\w+", line)
    if link is None:
        raise BenchmarkFailed(f"the server gave no link: {line}")
    return server.pid, link[0], int(link[1])


def start_bare_server(stage: Stage) -> tuple[int, int]:
    """The bare one: its process id, its port."""
    server = stage.program("bare_server")
    return server.pid, server.greeting["port"]


def _product(stage: Stage, state: Path, sizes: ServerSizes) -> Loaded:
    pid, _, port = start_server(stage, state / "server", sizes.many + sizes.joins + 100)
    return Loaded(pid, stage.program("crowd", str(port)))


def _bare(stage: Stage) -> Loaded:
    pid, port = start_bare_server(stage)
    return Loaded(pid, stage.program("crowd", str(port)))


def _fill(both: tuple[Loaded, ...], sizes: ServerSizes) -> None:
    """Bring everybody online, in turns."""
    for each in both:
        each.crowd.ask(what="prepare", first=0, count=sizes.many)
    for first in range(0, sizes.many, sizes.batch):
        for each in both:
            each.first.append(each.register(first, sizes.batch))
            online = first + sizes.batch
            if online % sizes.few == 0:
                each.rest(online)


def _come_back(both: tuple[Loaded, ...], sizes: ServerSizes) -> None:
    """Some leave and come back, in turns."""
    for first in range(0, sizes.many // 2, sizes.batch):
        for each in both:
            each.crowd.ask(what="drop", first=first, count=sizes.batch)
        time.sleep(BREATH)
        for each in both:
            each.again.append(each.register(first, sizes.batch))


def _memory(product: Loaded, bare: Loaded, sizes: ServerSizes) -> Iterator[Row]:
    for online in (sizes.few, sizes.many):
        ours, theirs = ((side.memory[online] - side.memory[0]) / online for side in (product, bare))
        yield Row(f"server memory per idle peer, {online:,} online", "KiB", ours, theirs, most=1.5)


def _cpu(name: str, product: list[float], bare: list[float], most: float | None = None) -> Row:
    return Row(name, "ms", middle(product) * 1e3, middle(bare) * 1e3, most=most)
