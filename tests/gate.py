"""
The gate: every check that this project has, and one honest line at the end.

    python -m tests.gate                   ruff, mypy, all tests
    python -m tests.gate check             ruff and mypy
    python -m tests.gate coverage          all tests under coverage, which takes twice as long
    python -m tests.gate trial [NAME ...]  the tests alone, or those named, with trial's distributed runner

What is counted comes from trial's own results, test by test: the worst of a test's outcomes is its outcome,
and a test that was loaded but never reported has failed. Each check around the tests that fails counts as one
more.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn, cast

from twisted.trial._dist.disttrial import DistTrialRunner
from twisted.trial.reporter import TextReporter
from twisted.trial.runner import TestLoader
from twisted.trial.unittest import makeTodo

JOBS = 4
"""Worker processes: CI has two cores, and tests of real processes wait for nine tenths of their time."""
CHECK_LIMIT = 600.0
"""Seconds for one of the checks; mypy without its cache needs about 60, and twice that beside the tests."""
TRIAL_LIMIT = 1500.0
"""Seconds for all tests: several times what they need; a hang must end with a line and not with silence."""
LINE_FILE = Path("build/gate.line")
"""Where the last line is left for `.ci/run`, since make prints its own when a target fails."""
TRIAL_RESULT = Path("build/trial.json")
CHECKED = ("p2pchat", "tests", "twisted/plugins/p2pchat_plugins.py", "benchmarks", "docs/examples")
"""What mypy reads, as far as it is there."""


@dataclass(frozen=True)
class Tally:
    """How many tests ended how; an expected failure has passed, an unexpected success has failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.failed == 0

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


class Outcome(IntEnum):
    """How one test ended, the worst last."""

    PASSED = 0
    SKIPPED = 1
    FAILED = 2


class OutcomeReporter(TextReporter):
    """trial's dots and summary, and beside them the outcome of each test by its id."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.outcomes: dict[str, Outcome] = {}

    def _note(self, test: Any, outcome: Outcome) -> None:
        name = test.id()
        self.outcomes[name] = max(outcome, self.outcomes.get(name, outcome))

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self._note(test, Outcome.PASSED)

    def addExpectedFailure(self, test: Any, *details: Any) -> None:
        super().addExpectedFailure(test, *details)
        self._note(test, Outcome.PASSED)

    def addSkip(self, test: Any, reason: Any) -> None:
        super().addSkip(test, reason)
        self._note(test, Outcome.SKIPPED)

    def addFailure(self, test: Any, failure: Any) -> None:
        super().addFailure(test, failure)
        self._note(test, Outcome.FAILED)

    def addError(self, test: Any, failure: Any) -> None:
        super().addError(test, failure)
        self._note(test, Outcome.FAILED)

    def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
        # From a worker the reason comes as bare text, on which trial's summary fails (Twisted 26.10).
        super().addUnexpectedSuccess(test, makeTodo(todo) if isinstance(todo, str) else todo)
        self._note(test, Outcome.FAILED)


def count(loaded: Iterable[str], outcomes: dict[str, Outcome]) -> Tally:
    """The tally of `outcomes` (test id to outcome), where every `loaded` id without one counts as failed."""
    ended = {**dict.fromkeys(loaded, Outcome.FAILED), **outcomes}
    values = list(ended.values())
    return Tally(
        values.count(Outcome.PASSED),
        values.count(Outcome.FAILED),
        values.count(Outcome.SKIPPED),
    )


def test_ids(suite: Any) -> Iterator[str]:
    """The ids of all tests in a suite, those of modules that could not be imported among them."""
    try:
        members = iter(suite)
    except TypeError:
        yield suite.id()
        return
    for member in members:
        yield from test_ids(member)


def run_trial(names: Sequence[str], jobs: int, result_file: Path | None) -> Tally:
    """Run the tests under `names` (packages, modules, classes, methods) on `jobs` workers and count them."""
    suite = TestLoader().loadByNames(list(names), recurse=True)
    loaded = list(test_ids(suite))
    if not loaded:
        print(f"no tests in {' '.join(names)}")
        tally = Tally(failed=1)
    else:
        reporter = cast(OutcomeReporter, DistTrialRunner(OutcomeReporter, jobs, []).run(suite))
        tally = count(loaded, reporter.outcomes)
    if result_file is not None:
        result_file.parent.mkdir(parents=True, exist_ok=True)
        result_file.write_text(json.dumps(asdict(tally)))
    return tally


@dataclass(frozen=True)
class Step:
    """One command of the gate."""

    name: str
    command: tuple[str, ...]
    limit: float = CHECK_LIMIT
    """Seconds until it is killed, with everything that it started, and counts as failed."""


class Running:
    """A step that was started, without an input."""

    def __init__(self, step: Step, output: IO[bytes] | None = None) -> None:
        self._step = step
        self._output = output
        self._until = time.monotonic() + step.limit
        self._process = subprocess.Popen(
            step.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )

    def end(self) -> bool:
        """Wait for it, and show what it wrote; whether it succeeded in time."""
        trouble = ""
        try:
            if self._process.wait(max(0.0, self._until - time.monotonic())) != 0:
                trouble = "failed"
        except subprocess.TimeoutExpired:
            self.kill()
            trouble = f"did not end within {self._step.limit:.0f} s"
        if self._output is not None:
            self._output.seek(0)
            print(f"== {self._step.name}\n{self._output.read().decode(errors='replace')}", end="", flush=True)
        if trouble:
            print(f"{self._step.name} {trouble}", flush=True)
        return not trouble

    def kill(self) -> None:
        """End it at once, with everything that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run_step(step: Step) -> bool:
    """Run one command, its output going to ours; whether it succeeded in time."""
    print(f"== {step.name}", flush=True)
    running = Running(step)
    try:
        return running.end()
    finally:
        running.kill()


@contextmanager
def beside(steps: Sequence[Step]) -> Iterator[Callable[[], int]]:
    """Run steps while something else runs. Gives what waits for them, shows what they wrote, and counts failures."""
    with ExitStack() as stack:
        running = [Running(step, stack.enter_context(tempfile.TemporaryFile())) for step in steps]
        for each in running:
            stack.callback(each.kill)
        yield lambda: sum(not each.end() for each in running)


def check_steps() -> list[Step]:
    """What looks at the source without running it."""
    ruff = (sys.executable, "-m", "ruff")
    rules = ("--config", ".ci/ruff.toml", ".")
    sources = tuple(path for path in CHECKED if path.endswith(".py") or any(Path(path).rglob("*.py")))
    return [
        Step("ruff check", (*ruff, "check", *rules)),
        Step("ruff format", (*ruff, "format", "--check", *rules)),
        Step("mypy", (sys.executable, "-m", "mypy", *sources)),
    ]


def trial_step(result_file: Path, under: Sequence[str] = ()) -> Step:
    """All tests in a process of its own, under the module and words given."""
    gate = ("-m", "tests.gate", "trial", "--result", str(result_file))
    return Step("trial", (sys.executable, *under, *gate), TRIAL_LIMIT)


def coverage_steps() -> list[Step]:
    """What was left by the processes that ran, put together and shown."""
    coverage = (sys.executable, "-m", "coverage")
    return [
        Step("coverage combine", (*coverage, "combine", "--quiet")),
        Step("coverage", (*coverage, "report")),
    ]


def run_tests(step: Step, result_file: Path) -> Tally:
    """Run the trial step and read its tally; a run that died before it wrote one has failed."""
    result_file.unlink(missing_ok=True)
    succeeded = run_step(step)
    try:
        tally = Tally(**json.loads(result_file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return Tally(failed=1)
    if not succeeded and tally.ok:
        return replace(tally, failed=1)
    return tally


def run_gate(checks: Sequence[Step], trial: Step, after: Sequence[Step], result_file: Path) -> Tally:
    """Run everything, `checks` beside the tests, whatever fails on the way, and count."""
    with beside(checks) as failures:
        tally = run_tests(trial, result_file)
        failed = failures()
    failed += sum(not run_step(step) for step in after)
    return replace(tally, failed=tally.failed + failed)


def whole_gate() -> bool:
    """`make test`: all checks and tests; leaves the last line in `LINE_FILE`."""
    LINE_FILE.unlink(missing_ok=True)
    tally = run_gate(check_steps(), trial_step(TRIAL_RESULT), [], TRIAL_RESULT)
    LINE_FILE.parent.mkdir(parents=True, exist_ok=True)
    LINE_FILE.write_text(f"{tally}\n")
    print(f"make test: {tally}", flush=True)
    return tally.ok


def measure_coverage() -> bool:
    """`make coverage`: all tests, and what of p2pchat ran in them and in the processes that they start."""
    for stale in [Path(".coverage"), *Path().glob(".coverage.*")]:
        stale.unlink(missing_ok=True)
    trial = trial_step(TRIAL_RESULT, ("-m", "coverage", "run"))
    return run_gate([], trial, coverage_steps(), TRIAL_RESULT).ok


def leave(signal_number: int, frame: FrameType | None) -> NoReturn:
    """End by an exception, so that the step that is running is killed too."""
    sys.exit(128 + signal_number)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0 if and only if everything passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.gate", description="Check and test p2pchat.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("check", help="ruff and mypy only")
    trial = commands.add_parser("trial", help="the tests only")
    trial.add_argument("--jobs", type=int, default=JOBS)
    trial.add_argument("--result", type=Path, help="file for the tally, as JSON")
    trial.add_argument("names", nargs="*", default=["tests"])
    commands.add_parser("coverage", help="the tests, in twice the time, and what of p2pchat ran in them")
    options = parser.parse_args(arguments)
    if options.command == "trial":
        return 0 if run_trial(options.names, options.jobs, options.result).ok else 1
    signal.signal(signal.SIGTERM, leave)
    if options.command == "check":
        failed = sum(not run_step(step) for step in check_steps())
        return 1 if failed else 0
    return 0 if (measure_coverage() if options.command == "coverage" else whole_gate()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
