import os
import signal
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.storage import crash
from p2pchat.storage.crash import VARIABLE, Point, fuse_from, reach

REACH_TWICE = """
from p2pchat.storage.crash import Point, reach
for _ in range(2):
    reach(Point.OWN_SENT)
    reach(Point.RECEIVED)
    print("alive", flush=True)
"""


def run(at: str) -> "subprocess.CompletedProcess[str]":
    """A process that reaches two points twice each."""
    environment = {**os.environ, VARIABLE: at}
    return subprocess.run(
        [sys.executable, "-c", REACH_TWICE], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


class CrashTests(SynchronousTestCase):
    def test_nothing_asked(self):
        """Where nothing is asked for, a point does nothing."""
        if os.environ.get(VARIABLE):
            self.skipTest("this process is to be killed")
        for point in Point:
            reach(point)
        self.assertIsNone(crash._fuse)
        self.assertEqual(run("").stdout, "alive\nalive\n")

    def test_killed(self):
        """A process is killed where it reaches the point that was named for the time that was named."""
        for at, alive in (("own-sent", 0), ("own-sent:1", 0), ("received:2", 1), ("received:3", 2)):
            with self.subTest(at=at):
                done = run(at)
                self.assertEqual(done.stdout, "alive\n" * alive)
                self.assertEqual(done.returncode, 0 if at.endswith("3") else -signal.SIGKILL)

    def test_names(self):
        """A name that is no point is told at once, and not taken for a process that survived it."""
        self.assertRaises(ValueError, fuse_from, "own-scent")
        self.assertRaises(ValueError, fuse_from, "own-sent:soon")
        self.assertIsNone(fuse_from(None))
        fuse = fuse_from("before-commit:7")
        assert fuse is not None
        self.assertEqual((fuse.point, fuse.times), (Point.BEFORE_COMMIT, 7))
