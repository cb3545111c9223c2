"""`make bench`: measure everything and print one table."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.chat import ChatSizes, measure_chat
from benchmarks.flow import FlowSizes, measure_flow
from benchmarks.history import HistorySizes, measure_history
from benchmarks.processes import BenchmarkFailed
from benchmarks.screen import ScreenSizes, measure_screen
from benchmarks.server import ServerSizes, measure_server
from benchmarks.start import StartSizes, measure_start
from benchmarks.table import Row, table

Measure = Callable[[Path], Iterator[Row]]

FULL: dict[str, Measure] = {
    "server": lambda state: measure_server(state, ServerSizes()),
    "chat": lambda state: measure_chat(state, ChatSizes()),
    "start": lambda state: measure_start(state, StartSizes()),
    "history": lambda state: measure_history(state, HistorySizes()),
    "flow": lambda state: measure_flow(state, FlowSizes()),
    "screen": lambda state: measure_screen(state, ScreenSizes()),
}
"""What is measured, by name."""

QUICK: dict[str, Measure] = {
    "server": lambda state: measure_server(state, ServerSizes(20, 40, 20, 20, 2)),
    "chat": lambda state: measure_chat(state, ChatSizes(2, 10, 1, 300, 100)),
    "start": lambda state: measure_start(state, StartSizes(2, 1)),
    "history": lambda state: measure_history(state, HistorySizes(2_000, 1, 3)),
    "flow": lambda state: measure_flow(state, FlowSizes(200, 1_000, 100, 256)),
    "screen": lambda state: measure_screen(state, ScreenSizes(1, 10, 100, 60, 0.5, 200, 1)),
}
"""The same with small numbers."""


def measure(measures: dict[str, Measure], names: list[str], state: Path) -> list[Row]:
    """The rows of these measures; raises BenchmarkFailed."""
    rows: list[Row] = []
    for name in names:
        started = time.monotonic()
        directory = state / name
        directory.mkdir()
        rows += measures[name](directory.absolute())
        print(f"measured {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return rows


def machine() -> str:
    """One line about where this ran."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, load {load:.1f}"
    )


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 if everything was measured, whatever the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: a smoke test")
    parser.add_argument("--state", type=Path, help="a directory on the disk that is to be measured")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(FULL)} (default: all)")
    options = parser.parse_args(arguments)
    measures = QUICK if options.quick else FULL
    names = options.names or list(measures)
    unknown = [name for name in names if name not in measures]
    if unknown:
        parser.error(f"there is no measure {unknown[0]}; choose from {', '.join(measures)}")
    # An installation has what Python compiled; without it a start would be measured that nobody has.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="p2pchat-bench-", dir=options.state) as state:
        try:
            rows = measure(measures, names, Path(state))
        except BenchmarkFailed as error:
            print(f"benchmarks: {error}", file=sys.stderr)
            return 1
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
