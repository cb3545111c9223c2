"""What a person feels at a terminal: until it is on the screen, until a key is, and what it costs to leave it there."""

import json
import math
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.keyboard import Keyboard, TerminalEnded
from benchmarks.processes import ANSWER_WITHIN, P2PCHAT, Program, Stage, cpu_seconds, peer_words
from benchmarks.table import Row, middle, percentile

KEY_EVERY = 0.05
"""Seconds from a key on the screen to the next one: a fast typist."""


KEY_IN_BURST = 0.01
"""The same while very much arrives at once: as many as the moment allows."""

BURST_WINDOW = 1_000
"""Of those messages, how many are not delivered yet: as many as an author may have under way."""

AFTER_BURST = 50
"""Keys after everything was delivered, while the terminal may still draw it."""


@dataclass(frozen=True, slots=True)
class ScreenSizes:
    """How much is done."""

    attached: int = 9
    """Terminals, one after the other."""
    keys: int = 300
    rate: int = 500
    """Messages a second that arrive while somebody types."""
    size: int = 60
    """Bytes of text of each."""
    idle: float = 20.0
    """Seconds in which nothing is done."""
    burst: int = 5_000
    """Messages that are said at once while somebody types, and so many times."""
    bursts: int = 3


def measure_screen(state: Path, sizes: ScreenSizes) -> Iterator[Row]:
    """All rows about a terminal, measured from its outside."""
    with Stage() as stage:
        peer = stage.process(*peer_words(state / "peer"), stdin=subprocess.DEVNULL)
        author = stage.program("chatter", str(state / "author"), "author")
        author.ask(what="connect", address=_address(state / "peer"))
        words = (P2PCHAT, "attach", "--state", str(state / "peer"))
        seconds = [_attach(words) for _ in range(sizes.attached)]
        slowest = f"slowest of {len(seconds)}: {max(seconds) * 1e3:.0f} ms"
        yield Row(
            "p2pchat attach until a key is on the screen",
            "ms",
            middle(seconds) * 1e3,
            note=slowest,
            under=500,
        )
        with Keyboard(*words) as keyboard:
            keyboard.press_until_shown()
            yield from _idle(peer.pid, keyboard.pid, sizes)
            yield from _type(keyboard, author, sizes)
            yield _redraw(keyboard, author, sizes)


def _attach(words: tuple[str, ...]) -> float:
    with Keyboard(*words) as keyboard:
        return keyboard.press_until_shown()


def _idle(peer: int, terminal: int, sizes: ScreenSizes) -> Iterator[Row]:
    time.sleep(1.0)
    before, started = (cpu_seconds(peer), cpu_seconds(terminal)), time.monotonic()
    time.sleep(sizes.idle)
    passed = time.monotonic() - started
    for name, pid, used in (
        ("a peer with one chat open", peer, before[0]),
        ("its terminal", terminal, before[1]),
    ):
        yield Row(
            f"idle CPU of {name}",
            "%",
            (cpu_seconds(pid) - used) / passed * 100,
            under=0.2,
        )


def _type(keyboard: Keyboard, author: Program, sizes: ScreenSizes) -> Iterator[Row]:
    quiet, _ = _press(keyboard, max(1, sizes.keys // 3))
    seconds = sizes.keys * KEY_EVERY * 1.2 + 1
    author.put(what="paced", rate=sizes.rate, seconds=seconds, size=sizes.size)
    time.sleep(min(1.0, seconds / 4))
    busy, cut = _press(keyboard, sizes.keys)
    said = author.answer()["said"] / seconds
    arriving = f"{said:.0f} messages/s arrive"
    for part, name in ((0.5, "p50"), (0.99, "p99")):
        yield Row(f"key to echo while nothing arrives, {name}", "ms", percentile(quiet, part) * 1e3)
        slow = math.inf if cut and part > 0.5 else percentile(busy, part) * 1e3
        yield Row(f"key to echo while {arriving}, {name}", "ms", slow, note=cut, under=20 if part > 0.5 else None)


def _redraw(keyboard: Keyboard, author: Program, sizes: ScreenSizes) -> Row:
    seconds: list[float] = []
    cut = ""
    for _ in range(sizes.bursts):
        author.put(what="in_flight", count=sizes.burst, size=sizes.size, window=BURST_WINDOW, together=True)
        end = time.monotonic() + ANSWER_WITHIN
        while not author.says_within(0) and not cut and time.monotonic() < end:
            pressed, cut = _press(keyboard, 1, KEY_IN_BURST)
            seconds += pressed
        author.answer()
        pressed, cut = _press(keyboard, AFTER_BURST, KEY_IN_BURST)  # what was said may still be drawn
        seconds += pressed
    return Row(
        f"key to echo while {sizes.burst:,} messages arrive at once, p99",
        "ms",
        math.inf if cut else percentile(seconds, 0.99) * 1e3,
        note=cut or f"slowest of {len(seconds)}: {max(seconds) * 1e3:.0f} ms",
        under=50,
    )


def _press(keyboard: Keyboard, count: int, every: float = KEY_EVERY) -> tuple[list[float], str]:
    """Seconds of each key until it was on the screen; and what ended it, if it ended too soon."""
    seconds: list[float] = []
    for number in range(count):
        try:
            keyboard.read_for(every)
            seconds.append(keyboard.press_until_shown())
        except TerminalEnded:
            # A peer cuts off a terminal that does not keep up with what it has to draw.
            return seconds or [math.inf], f"the terminal fell behind and was cut off at key {number + 1}"
    return seconds, ""


def _address(state: Path) -> str:
    """Where a peer that has just been started listens."""
    words = (P2PCHAT, "status", "--json", "--state", str(state))
    while (said := subprocess.run(words, capture_output=True, check=False)).returncode:
        time.sleep(0.1)
    return str(json.loads(said.stdout)["myself"]["listens"][0])
