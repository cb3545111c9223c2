"""
F1, F2, F40: a real peer is killed at every place that storage/crash.py names, as the one that dials and as the one that
is dialled, while both sides talk.

One peer dies, is started again to die at the next place, and so on through all of `Point`: whoever names a place has it
tested. The other one lives and goes on. In the end both databases must hold what was accepted, once and in order.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import UserError
from p2pchat.storage.crash import VARIABLE, Point
from p2pchat.storage.peer_tables import PEER_SCHEMA

from .authors import Author, Reader
from .daemons import ENDED, PeerDaemon, ServerDaemon, ended, until
from .histories import damage_in, judge, recorded_of

SOAK = os.environ.get("P2PCHAT_SOAK") == "1"

PACE = 0.02
"""Seconds between two lines: enough of them that some are everywhere when one side dies."""

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


class CrashPointTests(SynchronousTestCase):
    def setUp(self):
        home = Path(tempfile.mkdtemp(prefix="p2pchat-crash-"))
        self.addCleanup(shutil.rmtree, home)
        self.server = ServerDaemon(home / "server")
        self.server.start()
        self.addCleanup(self.server.kill)
        link = self.server.ready().link
        self.doomed, self.other = PeerDaemon(home / "doomed", link), PeerDaemon(home / "other", link)
        self.other.start()
        self.addCleanup(self.other.kill)
        self.stage = "the beginning"
        both_ways = ((self.doomed, self.other), (self.other, self.doomed))
        self.authors = [Author(one, other, self.lines(one), lambda: PACE) for one, other in both_ways]
        self.readers = [Reader(one, other) for one, other in both_ways]
        for program in (*self.authors, *self.readers):
            self.addCleanup(program.stopping.set)

    def lines(self, author: PeerDaemon) -> Iterator[str]:
        """For ever; each says where the doomed one was to die, so that one that is lost tells where."""
        number = 0
        while True:
            number += 1
            yield f"{author.state.name} {number}, towards {self.stage}"

    def test_F1_F2_F40_dials(self):
        """The side that dials dies everywhere, and nothing is lost, doubled or out of order."""
        self.authors[1].connects = False
        self.die_everywhere()

    def test_F1_F2_F40_dialled(self):
        """The side that is dialled dies everywhere, and nothing is lost, doubled or out of order."""
        self.authors[0].connects = False
        self.die_everywhere()

    def die_everywhere(self):
        """The whole life of the doomed one."""
        with ended(self.doomed):
            talking = False
            for point in Point:
                for passing in passings(point):
                    self.stage = f"{point.value}:{passing}"
                    if point is Point.COPY_WRITTEN:
                        make_old(self.doomed.database)
                    self.doomed.start(**{VARIABLE: self.stage})
                    if point is Point.OWN_WRITTEN and not talking:
                        talking = True
                        self.begin_talking()
                    if point is Point.CHECKPOINTED:
                        self.doomed.ready().end()
                    self.assertEqual(self.doomed.wait(), -signal.SIGKILL, f"{self.stage}: {self.doomed.said()}")
            self.stage = "the end"
            self.doomed.start()
            self.judge()

    def begin_talking(self):
        """Both know each other's id and go on for as long as it takes."""
        self.other.ready()
        # It dies when the first line is said, so it can be asked before.
        self.doomed.ready()
        for program in (*self.readers, *self.authors):
            program.start()

    def judge(self):
        """Let both say a last line, wait until everything is delivered, and compare."""
        for author in self.authors:
            until(lambda author=author: "the end" in author.attempts[-1].text, "both come to the end")
            author.stopping.set()
            author.finish()
        until(self.drained, "all is delivered")
        for reader in self.readers:
            reader.stopping.set()
            reader.finish()
            self.assertEqual(reader.faults(), [])
        for author in self.authors:
            self.assertEqual(author.peer.end(), ENDED, author.peer.said())
        for author in self.authors:
            verdict = judge(author.attempts, recorded_of(author.other.database, author.peer.raw_id))
            self.assertTrue(verdict.kept, f"{author.peer.state.name}: {verdict}")
            self.assertGreater(verdict.accepted, len(Point))
            self.assertEqual(damage_in(author.peer.database), "ok")

    def drained(self):
        """Whether nothing waits any more."""
        try:
            return all(author.peer.has_delivered(author.other) for author in self.authors)
        except UserError:
            return False
