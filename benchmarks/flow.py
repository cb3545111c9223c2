"""What becomes of memory when much is said: queued for somebody who is away, delivered when they are back, piped."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BenchmarkFailed, Program, Stage, peer_words, pss_kib
from benchmarks.table import Row, middle

LOOK_EVERY = 0.5
"""Seconds between two looks at the memory."""

PIPED_WITHIN = 300.0
"""Seconds after which a pipe is not taken any more."""


@dataclass(frozen=True, slots=True)
class FlowSizes:
    """How much is done."""

    first: int = 20_000
    """Messages after which memory counts: buffers, caches and the heap have their size then."""
    queued: int = 100_000
    """Messages that wait for somebody who is away."""
    size: int = 100
    """Bytes of text of each."""
    piped: int = 64 * 1024
    """KiB of lines that go through a pipe."""
    line: int = 1_023
    """Bytes of a line, without its end."""


def measure_flow(state: Path, sizes: FlowSizes) -> Iterator[Row]:
    """All rows about much that is said."""
    yield from _queue(state, sizes)
    yield from _pipe(state, sizes)


def _queue(state: Path, sizes: FlowSizes) -> Iterator[Row]:
    with Stage() as stage:
        reader = stage.program("chatter", str(state / "reader"), "reader")
        author = stage.program("chatter", str(state / "author"), "author")
        address = f"127.0.0.1:{reader.greeting['port']}"
        author.ask(what="connect", address=address)
        author.ask(what="in_flight", count=sizes.first, size=sizes.size, window=1_000, together=True)
        reader.end()
        before, started = pss_kib(author.pid), time.monotonic()
        author.ask(what="queue", count=sizes.queued, size=sizes.size)
        seconds, grown = time.monotonic() - started, pss_kib(author.pid) - before
        reader = stage.program("chatter", str(state / "reader"), "reader", str(reader.greeting["port"]))
        author.put(what="drain", address=address)
        memory = _watch(author, (author.pid, reader.pid))
        drained = author.answer()["seconds"]
    each = 1e3 / sizes.queued
    count = f"{sizes.queued:,} messages"
    yield Row(
        f"{count} queued for somebody who is away",
        "s",
        seconds,
        note=f"{sizes.queued / seconds:,.0f} a second",
    )
    yield Row(
        "... memory that each 1,000 take at the author",
        "KiB",
        max(0, grown) * each,
        under=50,
    )
    yield Row(
        f"{count} drained when they are back",
        "s",
        drained,
        note=f"{sizes.queued / drained:,.0f} a second",
        under=60,
    )
    for name, side in (("author", 0), ("reader", 1)):
        values = [each_time[side] for each_time in memory]
        note = f"{values[0] / 1024:.0f} MiB at first, {max(values) / 1024:.0f} at most"
        yield Row(
            f"... memory that each 1,000 take at the {name}",
            "KiB",
            _rise(values) * each,
            note=note,
            under=50,
        )


def _pipe(state: Path, sizes: FlowSizes) -> Iterator[Row]:
    text = state / "lines.txt"
    line = b"x" * sizes.line + b"\n"
    with text.open("wb") as file:
        for _ in range(sizes.piped * 1024 // len(line)):
            file.write(line)
    with Stage() as stage:
        reader = stage.program("chatter", str(state / "listener"), "listener")
        words = (
            "--to",
            f"127.0.0.1:{reader.greeting['port']}",
            "--trust-first",
            "--input",
            "-",
        )
        pipe = subprocess.Popen(["cat", str(text)], stdout=subprocess.PIPE)
        started = time.monotonic()
        sender = stage.process(*peer_words(state / "sender", *words), stdin=pipe.stdout)
        assert pipe.stdout is not None
        pipe.stdout.close()
        memory: list[tuple[int, ...]] = []
        while sender.poll() is None:
            if time.monotonic() - started > PIPED_WITHIN:
                pipe.kill()
                raise BenchmarkFailed("what was piped did not arrive")
            memory += _look((sender.pid, reader.pid))
            time.sleep(LOOK_EVERY / 2)
        seconds = time.monotonic() - started
        pipe.wait()
        if sender.returncode:
            raise BenchmarkFailed(f"the sender of a pipe ended with {sender.returncode}")
    size = sizes.piped / 1024
    yield Row(
        f"{size:g} MiB piped through --input -, all delivered", "s", seconds,
        note=f"{size / seconds:.1f} MiB a second, in lines of {len(line)} bytes",
    )  # fmt: skip
    for name, side in (("sender", 0), ("reader", 1)):
        values = [each[side] for each in memory if each[side]]
        note = f"{max(values) / 1024:.0f} MiB at most"
        yield Row(
            f"... memory that each MiB takes at the {name}",
            "KiB",
            _rise(values) / size,
            note=note,
            under=100,
        )


def _watch(program: Program, pids: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The memory of processes from now until a program answers."""
    memory = _look(pids)
    while not program.says_within(LOOK_EVERY):
        memory += _look(pids)
    return memory + _look(pids)


def _look(pids: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The memory of processes; nothing if one of them has ended."""
    try:
        return [tuple(pss_kib(pid) for pid in pids)]
    except (OSError, BenchmarkFailed):
        return []


def _rise(values: list[int]) -> float:
    """How much more the last third of what was seen is than the first one after the beginning, by their medians."""
    third = max(1, len(values) // 3)
    return max(0.0, middle(values[-third:]) - middle(values[min(1, len(values) - 1) :][:third]))
