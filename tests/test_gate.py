"""The gate counts what trial saw, and its last line and exit code say the same."""

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.gate import Outcome, Step, Tally, count, run_gate, run_tests

ROOT = Path(__file__).resolve().parent.parent

SUITE = """
    import os
    import unittest
    from twisted.internet import reactor
    from twisted.logger import Logger
    from twisted.trial.unittest import SynchronousTestCase, TestCase

    class Passing(SynchronousTestCase):
        def test_pass(self):
            pass

        def test_expected_failure(self):
            self.fail("as expected")
        test_expected_failure.todo = "not built yet"

    class Skipped(SynchronousTestCase):
        def test_skip(self):
            pass
        test_skip.skip = "no such tool"

        @unittest.skip("no such tool either")
        def test_standard_skip(self):
            pass

    class Failing(TestCase):
        def test_failure(self):
            self.fail("on purpose")

        def test_error(self):
            raise ValueError("on purpose")

        def test_twice(self):
            self.addCleanup(self.fail, "in the cleanup too")
            self.fail("in the test")

        def test_logged(self):
            try:
                raise ValueError("logged and not flushed")
            except ValueError:
                Logger().failure("on purpose")

        def test_left_behind(self):
            reactor.callLater(1000, lambda: None)

        def test_unexpected_success(self):
            pass
        test_unexpected_success.todo = "not built yet"
"""
FINE_SUITE = """
    from twisted.trial.unittest import SynchronousTestCase

    class Passing(SynchronousTestCase):
        def test_one(self):
            pass

        def test_two(self):
            pass
"""
DYING_SUITE = """
    import os
    from twisted.trial.unittest import SynchronousTestCase

    class Dying(SynchronousTestCase):
        def test_death(self):
            os._exit(0)
"""


class RunnerTests(SynchronousTestCase):
    """trial's distributed runner over suites made up for the purpose."""

    def run_suite(self, **modules: str) -> tuple[int, object]:
        """The exit code and the JSON result of `python -m tests.gate trial` over a package of these modules."""
        directory = Path(self.mktemp())
        package = directory / "synthetic"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        for name, source in modules.items():
            (package / f"{name}.py").write_text(textwrap.dedent(source))
        command = [sys.executable, "-m", "tests.gate", "trial", "--jobs", "2", "--result", "result", "synthetic"]
        ended = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        result = directory / "result"
        return ended.returncode, json.loads(result.read_bytes()) if result.exists() else None

    def test_every_outcome(self) -> None:
        """Failures, errors, unexpected successes, modules that cannot be imported: each failed once, others not."""
        code, result = self.run_suite(
            test_outcomes=SUITE,
            test_unimportable="import no_such_module_anywhere\n",
            test_unreadable="def broken(:\n",
        )
        self.assertEqual(result, {"passed": 2, "failed": 8, "skipped": 2})
        self.assertEqual(code, 1)

    def test_success(self) -> None:
        """The exit code is 0 if and only if nothing failed."""
        self.assertEqual(self.run_suite(test_fine=FINE_SUITE), (0, {"passed": 2, "failed": 0, "skipped": 0}))

    def test_dead_worker(self) -> None:
        """A worker that dies with exit code 0 in the middle of a test has not passed it."""
        code, result = self.run_suite(test_dying=DYING_SUITE)
        self.assertEqual((code, result), (1, {"passed": 0, "failed": 1, "skipped": 0}))

    def test_nothing(self) -> None:
        """A run that found no test has failed."""
        self.assertEqual(self.run_suite(), (1, {"passed": 0, "failed": 1, "skipped": 0}))


class CountTests(SynchronousTestCase):
    """From outcomes to a tally, and to a line."""

    def test_lost(self) -> None:
        """A test that was loaded and never reported has failed."""
        outcomes = {"a": Outcome.PASSED, "b": Outcome.SKIPPED}
        self.assertEqual(count(["a", "b", "c"], outcomes), Tally(passed=1, failed=1, skipped=1))

    def test_unforeseen(self) -> None:
        """An outcome under a name that nobody loaded counts too: trial reports its own trouble so."""
        self.assertEqual(count(["a"], {"a": Outcome.PASSED, "<run>": Outcome.FAILED}), Tally(passed=1, failed=1))

    def test_line(self) -> None:
        """The line names skipped tests only where there are any."""
        self.assertEqual(str(Tally(3, 0)), "3 passed, 0 failed")
        self.assertEqual(str(Tally(3, 1, 2)), "3 passed, 1 failed, 2 skipped")


class StepTests(SynchronousTestCase):
    """What stands around the tests counts as well."""

    def setUp(self) -> None:
        self.result = Path(self.mktemp())

    def trial(self, passed: int, code: int) -> Step:
        """A step that leaves the result of a run in which `passed` tests passed, and exits with `code`."""
        text = json.dumps({"passed": passed, "failed": 0, "skipped": 0})
        script = f"import sys; open({str(self.result)!r}, 'w').write({text!r}); sys.exit({code})"
        return Step("trial", (sys.executable, "-c", script))

    def test_failing_checks(self) -> None:
        """Each check that fails counts as one failure, and none keeps the others from running."""
        good, bad = Step("good", ("true",)), Step("bad", ("false",))
        self.assertEqual(run_gate([good, bad], self.trial(4, 0), [bad], self.result), Tally(4, 2))
        self.assertEqual(run_gate([good], self.trial(4, 0), [good], self.result), Tally(4, 0))

    def test_checks_run_beside_the_tests(self) -> None:
        """Checks begin with the tests, which need not wait for them, and what they wrote is shown."""
        ended = Path(self.mktemp())
        waits = Step("waits", ("sh", "-c", f"until test -e {ended}; do sleep 0.01; done; echo looked"), limit=60)
        trial = self.trial(4, 0)
        ends = Step("trial", ("sh", "-c", f"{shlex.join(trial.command)} && touch {ended}"))
        printed = io.StringIO()
        with redirect_stdout(printed):
            self.assertEqual(run_gate([waits], ends, [], self.result), Tally(4, 0))
        self.assertIn("== waits\nlooked\n", printed.getvalue())

    def test_hanging_check(self) -> None:
        """A check that does not end is killed, and counts."""
        hangs = Step("hangs", ("sleep", "600"), limit=0.1)
        self.assertEqual(run_gate([hangs], self.trial(4, 0), [], self.result), Tally(4, 1))

    def test_exit_code_of_trial(self) -> None:
        """Tests that all passed in a process that failed are not a success."""
        self.assertEqual(run_tests(self.trial(4, 1), self.result), Tally(4, 1))

    def test_no_result(self) -> None:
        """A run that died before it counted has failed, also where an older result lies about."""
        self.result.write_text('{"passed": 5, "failed": 0, "skipped": 0}')
        self.assertEqual(run_tests(Step("trial", ("true",)), self.result), Tally(failed=1))

    def test_hang(self) -> None:
        """A step that does not end is killed with what it started, and counts."""
        fifo = Path(self.mktemp())
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        hanging = Step("trial", ("sh", "-c", f"sleep 600 >{fifo} & wait"), limit=0.5)
        self.assertEqual(run_tests(hanging, self.result), Tally(failed=1))
        # The end of the pipe is seen only when its last writer is gone.
        os.set_blocking(reader, True)
        self.assertEqual(os.read(reader, 1), b"")


class LastLineTests(SynchronousTestCase):
    """`.ci/run`, in a checkout whose `make test` does as told."""

    def run_ci(self, recipe: str) -> tuple[int, str]:
        """The exit code and the last line."""
        checkout = Path(self.mktemp())
        (checkout / ".ci").mkdir(parents=True)
        (checkout / "build").mkdir()
        (checkout / "build" / "gate.line").write_text("9 passed, 0 failed\n")
        shutil.copy(ROOT / ".ci" / "run", checkout / ".ci")
        (checkout / "Makefile").write_text(f"test:\n\t@{recipe}\n")
        tools = Path(self.mktemp())
        tools.mkdir()
        for tool in ("tmux", "systemd-analyze", "ip", "openssl"):
            (tools / tool).symlink_to("/bin/true")
        ended = subprocess.run(
            ["sh", str(checkout / ".ci" / "run")],
            env={**os.environ, "PATH": f"{tools.resolve()}:{os.environ['PATH']}", "CI": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return ended.returncode, ended.stdout.splitlines()[-1]

    def test_success(self) -> None:
        """What the gate counted is the last line."""
        line = "12 passed, 0 failed, 1 skipped"
        self.assertEqual(self.run_ci(f"echo '{line}' > build/gate.line"), (0, line))
        self.assertEqual(self.run_ci("echo '110 passed, 0 failed' > build/gate.line"), (0, "110 passed, 0 failed"))

    def test_failure(self) -> None:
        """It is the last line also after make has complained, and the exit code is not 0."""
        code, line = self.run_ci("echo '12 passed, 10 failed' > build/gate.line; exit 1")
        self.assertNotEqual(code, 0)
        self.assertEqual(line, "12 passed, 10 failed")

    def test_contradictions(self) -> None:
        """A line and an exit code that do not fit, or a line of an earlier run, make a failure."""
        for recipe in (
            "true",
            "exit 1",
            "echo '12 passed, 0 failed' > build/gate.line; exit 1",
            "echo '12 passed, 1 failed' > build/gate.line",
        ):
            with self.subTest(recipe=recipe):
                code, line = self.run_ci(recipe)
                self.assertNotEqual(code, 0)
                self.assertRegex(line, r"^\d+ passed, [1-9]\d* failed$")
