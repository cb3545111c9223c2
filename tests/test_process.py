"""p2pchat.tap.process, under a real twistd."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PLUGIN = """
from twisted.application.service import ServiceMaker
example = ServiceMaker("example", "tests.process_example", "for tests", "p2pchat-example")
"""

ROOT = Path(__file__).resolve().parent.parent
TWISTD = [sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"]

PATIENCE = 120
"""Seconds after which a process hangs."""


class TwistdTests(SynchronousTestCase):
    """The example daemon, started as a person would."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        plugins = self.directory / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "example_plugin.py").write_text(PLUGIN)
        self.state = self.directory / "state"
        self.environment = os.environ | {"PYTHONPATH": f"{self.directory}:{ROOT}"}

    def command(self, *arguments, twistd=()):
        return [*TWISTD, *twistd, "p2pchat-example", "--state", str(self.state), *arguments]

    def run_twistd(self, *arguments, twistd=("-n",)):
        return subprocess.run(
            self.command(*arguments, twistd=twistd),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def start(self, *arguments):
        """In the foreground; returns once it is up."""
        process = subprocess.Popen(
            self.command(*arguments, twistd=("-n",)),
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_for(lambda: "example is up" in self.log())
        return process

    def log(self):
        file = self.state / "log"
        return file.read_text() if file.exists() else ""

    def wait_for(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited in vain; the log says: {self.log()}")
            time.sleep(0.02)

    def detached_pid(self):
        pid = int((self.state / "pid").read_text())
        self.addCleanup(lambda: pid_lives(pid) and os.kill(pid, signal.SIGKILL))
        return pid

    def test_exit_code_is_the_process_s(self):
        """The exit code that a service gave is the process's, with its one line on stderr and an orderly stop."""
        result = self.run_twistd("--do", "finish")
        self.assertEqual((result.returncode, result.stderr, result.stdout), (4, "bob refused\n", ""))
        self.assertIn("stopped in order", self.log())
        self.assertIn("Server Shut Down", self.log())

    def test_success_is_silent(self):
        """A process that did what it should says nothing and exits 0."""
        result = self.run_twistd("--do", "done")
        self.assertEqual((result.returncode, result.stderr, result.stdout), (0, "", ""))

    def test_raised_at_the_start(self):
        """UserError out of startService is one line without a traceback, and its exit code."""
        result = self.run_twistd("--do", "raise")
        self.assertEqual((result.returncode, result.stderr), (1, "p2pchat-example: the disk is on fire; take water\n"))

    def test_failed_after_the_start(self):
        """A start that fails only when the reactor runs is told in the same way."""
        result = self.run_twistd("--do", "fail-later")
        self.assertEqual((result.returncode, result.stderr), (1, "p2pchat-example: no port is free; stop something\n"))

    def test_bug_at_the_start(self):
        """A bug is one line that names the log, and the log has the traceback."""
        result = self.run_twistd("--do", "bug")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertIn(str(self.state / "log"), result.stderr)
        self.assertIn("ZeroDivisionError", self.log())

    def test_bad_settings(self):
        """What is wrong with the settings is one line, and 2."""
        result = self.run_twistd("--do", "bad-settings")
        self.assertEqual((result.returncode, result.stderr), (2, "p2pchat-example: --do is bad; choose a better one\n"))

    def test_bad_options(self):
        """An unknown option, a word too much and a number that is none are one line each, and 2."""
        for arguments in (["--nonsense"], ["word"], ["--number", "many"]):
            result = self.run_twistd(*arguments)
            self.assertEqual((result.returncode, result.stderr.count("\n")), (2, 1), result)
            self.assertIn("--help", result.stderr)

    def test_F23_state_in_use(self):
        """A second process on one state directory exits 1 and names the pid, daemonized or not."""
        process = self.start()
        for twistd in (["-n"], []):
            result = self.run_twistd(twistd=twistd)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"pid {process.pid}", result.stderr)

    def test_no_pid_file_in_the_foreground(self):
        """With -n there is no pid file, so several run in one working directory."""
        self.start()
        self.assertEqual(list(self.directory.rglob("*pid")), [])

    def test_signals_end_in_order(self):
        """SIGINT, SIGTERM and SIGHUP stop the services and end the process."""
        for number, code in ((signal.SIGINT, -2), (signal.SIGTERM, -15), (signal.SIGHUP, 129)):
            (self.state / "log").unlink(missing_ok=True)
            process = self.start()
            process.send_signal(number)
            self.assertEqual(process.wait(PATIENCE), code)
            self.assertIn("stopped in order", self.log())

    def test_F15_clock(self):
        """The reactor's clock is the monotonic one, which nobody steps."""
        from twisted.internet.task import Clock

        from p2pchat.tap.process import Process
        from tests.process_example import Options

        reactor = Clock()
        Process(Options(), reactor)
        self.assertIs(reactor.seconds, time.monotonic)

    def test_X8_log(self):
        """Whatever gets into a log record cannot act on a terminal, nor look like a record."""
        self.run_twistd("--do", "done")
        self.assertIn("hello \ufffd[2J\n\t-- forged", self.log())

    def test_daemon(self):
        """A daemonized start says that it is up; pid file and log are in the state directory; the pid file goes."""
        result = self.run_twistd(twistd=())
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "example is up\n", ""))
        pid = self.detached_pid()
        os.kill(pid, signal.SIGTERM)
        self.wait_for(lambda: not pid_lives(pid))
        self.assertFalse((self.state / "pid").exists())
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), ["state", "twisted"])

    def test_daemon_cannot_start(self):
        """A daemonized start that fails, early or late, says so on the terminal, exits 1 and leaves no pid file."""
        for what, words in (
            ("raise", "the disk is on fire; take water"),
            ("fail-later", "no port is free; stop something"),
        ):
            result = self.run_twistd("--do", what, twistd=())
            self.assertEqual((result.returncode, result.stdout, result.stderr), (1, "", f"p2pchat-example: {words}\n"))
            self.wait_for(lambda: not (self.state / "pid").exists())

    def test_daemon_dies(self):
        """A daemon that dies without a word is reported all the same, with the place of the log."""
        result = self.run_twistd("--do", "die", twistd=())
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(self.state / "log"), result.stderr)

    def test_F41_stale_pid_file(self):
        """A pid file left by a killed daemon does not matter, even if the number belongs to another process now."""
        self.state.mkdir(mode=0o700)
        (self.state / "pid").write_text(str(os.getpid()))
        result = self.run_twistd(twistd=())
        self.assertEqual(result.returncode, 0, result.stderr)
        os.kill(self.detached_pid(), signal.SIGTERM)

    def test_log_that_cannot_be_written(self):
        """A log that cannot be opened is one line, daemonized or not."""
        self.state.mkdir(mode=0o700)
        (self.state / "log").mkdir()
        for twistd in (["-n"], []):
            result = self.run_twistd("--do", "done", twistd=twistd)
            self.assertEqual((result.returncode, result.stdout, result.stderr.count("\n")), (1, "", 1), result.stderr)
            self.assertIn(f"p2pchat-example: cannot write the log {self.state / 'log'}: Is a directory", result.stderr)

    def test_logfile_of_the_person_wins(self):
        """A log that was asked for goes where it was asked for."""
        self.run_twistd("--do", "done", twistd=("-n", "--logfile", "mine.log"))
        self.assertIn("stopped in order", (self.directory / "mine.log").read_text())
        self.assertEqual(self.log(), "")


def pid_lives(pid):
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False
