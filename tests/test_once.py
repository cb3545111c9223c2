"""A command's one run of the reactor, in a process of its own, since that works once."""

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

PROGRAM = """
import os, signal
from p2pchat.tap.once import run_once

async def answer(reactor):
    from twisted.internet.task import deferLater
    return await deferLater(reactor, 0, lambda: 6 * 7)

async def fail(reactor):
    raise LookupError("nothing there")

async def wait(reactor):
    from twisted.internet.defer import Deferred
    reactor.callLater(0, os.kill, os.getpid(), signal.SIGINT)
    await Deferred()

async def cut(reactor):
    from twisted.internet.defer import Deferred
    cut = Deferred()
    reactor.addSystemEventTrigger("during", "shutdown", cut.callback, None)
    for _ in range(2):
        reactor.callLater(0, os.kill, os.getpid(), signal.SIGINT)
    await cut

try:
    print(run_once({}))
except BaseException as error:
    print(type(error).__name__, error)
"""


class RunOnceTests(SynchronousTestCase):
    def outcome(self, main: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.replace("{}", main)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.assertEqual(run.stderr, "")
        return run.stdout.strip()

    def test_result(self) -> None:
        """What the coroutine returns is given back."""
        self.assertEqual(self.outcome("answer"), "42")

    def test_error(self) -> None:
        """What it raises is raised."""
        self.assertEqual(self.outcome("fail"), "LookupError nothing there")

    def test_interrupt(self) -> None:
        """Ctrl-C ends it as it ends any command."""
        self.assertEqual(self.outcome("wait"), "KeyboardInterrupt")

    def test_interrupt_with_a_result(self) -> None:
        """What comes of connections that Ctrl-C cut is no result, and nothing complains of a second one."""
        self.assertEqual(self.outcome("cut"), "KeyboardInterrupt")
