"""How long people wait: for the command to say its version, and for a peer to be online."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import P2PCHAT, Daemon, Stage, peer_words
from benchmarks.server import start_bare_server, start_server
from benchmarks.table import Row, middle


@dataclass(frozen=True, slots=True)
class StartSizes:
    """How often each is done."""

    commands: int = 15
    peers: int = 7


def measure_start(state: Path, sizes: StartSizes) -> Iterator[Row]:
    """All rows about starting, real and bare in turns."""
    version = [_timed((P2PCHAT, "--version"), (sys.executable, "-c", "pass")) for _ in range(sizes.commands)]
    yield _row("p2pchat --version (bare: Python alone)", version)
    with Stage() as stage:
        _, link, _ = start_server(stage, state / "server")
        _, port = start_bare_server(stage)
        peer = peer_words(state / "peer", "--join", link)
        seconds_until(peer, "online at")  # makes its key and its database
        bare = (sys.executable, "-m", "benchmarks.bare_online", str(port))
        online = [(seconds_until(peer, "online at"), seconds_until(bare, "online")) for _ in range(sizes.peers)]
    yield _row("twistd p2pchat-peer until online (bare: Twisted, link, registered)", online)


def _timed(*commands: tuple[str, ...]) -> tuple[float, float]:
    seconds = []
    for command in commands:
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - started)
    return seconds[0], seconds[1]


def seconds_until(command: tuple[str, ...], sign: str) -> float:
    """Seconds from the start of a daemon until it says `sign`."""
    started = time.monotonic()
    daemon = Daemon(*command)
    try:
        daemon.read_until(sign)
        return time.monotonic() - started
    finally:
        daemon.end()


def _row(name: str, seconds: list[tuple[float, float]]) -> Row:
    product, bare = (middle(each[side] for each in seconds) * 1e3 for side in (0, 1))
    return Row(name, "ms", product, bare)
