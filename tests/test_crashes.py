"""
F1, F2, F40: a real peer is killed at every place that storage/crash.py names, as the one that dials and as the one that
is dialled, while both sides talk.

One peer dies, is started again to die at the next place, and so on through all of `Point`: whoever names a place has it
tested. The other one lives and goes on. In the end both databases must hold what was accepted, once and in order.
"""

import os
import signal
from pathlib import Path
from typing import Any

import apsw

from p2pchat.storage.crash import VARIABLE, Point
from p2pchat.storage.peer_tables import PEER_SCHEMA

from .dialogues import DialogueTestCase

SOAK = os.environ.get("P2PCHAT_SOAK") == "1"

OFTEN = (Point.BEFORE_COMMIT, Point.AFTER_COMMIT)
"""Places that every transaction passes: there it matters which one it is."""

FIRST_SCHEMA = Path(__file__).with_name("peer-1.sql")


def passings(point: Point) -> tuple[int, ...]:
    """The one of its passings at which a peer dies."""
    if point in OFTEN:
        return tuple(range(1, 25)) if SOAK else (1, 6)
    chat = ("own-", "rest-", "received", "confirmed", "seen")
    return (1, 2, 5) if SOAK and point.value.startswith(chat) else (1,)


def make_old(path: Path) -> None:
    """A peer's database as version 1 left it, in place of one that was just made."""
    path.unlink()
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    connection = apsw.Connection(str(path))
    connection.execute(FIRST_SCHEMA.read_text("utf-8"))
    connection.pragma("application_id", PEER_SCHEMA.application_id)
    connection.pragma("user_version", 1)
    connection.close()


class CrashPoints:
    """What both sides go through."""

    def test_F1_F2_F40(self: Any) -> None:
        """It dies everywhere, and nothing is lost, doubled or out of order."""
        talking = False
        for point in Point:
            for passing in passings(point):
                self.stage = f"{point.value}:{passing}"
                if point is Point.COPY_WRITTEN:
                    make_old(self.doomed.database)
                self.doomed.start(**{VARIABLE: self.stage})
                if point is Point.OWN_WRITTEN and not talking:
                    talking = True
                    # It dies when the first line is said, so it can be asked before.
                    self.begin_talking()
                if point is Point.CHECKPOINTED:
                    self.doomed.ready().end()
                self.assertEqual(self.doomed.wait(), -signal.SIGKILL, f"{self.stage}: {self.doomed.said()}")
        self.doomed.start()
        self.conclude(at_least=len(Point))


class DiallingTests(CrashPoints, DialogueTestCase):
    """The side that dies is the one that dials."""

    dials = 0


class DialledTests(CrashPoints, DialogueTestCase):
    """The side that dies is the one that is dialled."""

    dials = 1
