"""Two real peers at a real server that talk to each other while they are killed, and the verdict on both databases."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import UserError

from .authors import Author, Reader
from .daemons import ENDED, PeerDaemon, ServerDaemon, until
from .histories import damage_in, judge, recorded_of

PACE = 0.02
"""Seconds between two lines: enough of them that some are everywhere when one side dies."""

LAST_WORDS = 4_000
"""Characters of what a daemon wrote that are shown when something fails."""


class DialogueTestCase(SynchronousTestCase):
    """
    The server and the second peer run; the first one, which is to die first, is not started.

    The author at the peer whose index is `dials` begins the chat.
    """

    dials = 0

    def setUp(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="p2pchat-crash-"))
        self.addCleanup(shutil.rmtree, home)
        self.server = ServerDaemon(home / "server")
        self.server.start()
        self.addCleanup(self.server.kill)
        link = self.server.ready().link
        self.doomed, self.other = PeerDaemon(home / "doomed", link), PeerDaemon(home / "other", link)
        self.peers = (self.doomed, self.other)
        for peer in self.peers:
            self.addCleanup(peer.kill)
        self.other.start()
        self.stage = "the beginning"
        both_ways = ((self.doomed, self.other), (self.other, self.doomed))
        self.authors = [Author(one, other, self.lines(one), lambda: PACE) for one, other in both_ways]
        self.readers = [Reader(one, other) for one, other in both_ways]
        for index, author in enumerate(self.authors):
            author.connects = index == self.dials
        for program in (*self.authors, *self.readers):
            self.addCleanup(program.stopping.set)

    def lines(self, author: PeerDaemon) -> Iterator[str]:
        """For ever; each says where somebody was to die, so that one that is lost tells where."""
        number = 0
        while True:
            number += 1
            yield f"{author.state.name} {number}, towards {self.stage}"

    def begin_talking(self) -> None:
        """Both know each other's id and go on for as long as it takes; both peers were started."""
        for peer in self.peers:
            peer.ready()
        for program in (*self.readers, *self.authors):
            program.start()

    def conclude(self, at_least: int) -> None:
        """Let both say enough and a last line, wait until everything is delivered, end them, and compare."""
        for author in self.authors:
            # On a fast machine lives are short, and little is said in each.
            self.eventually(lambda author=author: author.accepted > at_least, "enough is said")
        self.stage = "the end"
        for author in self.authors:
            self.eventually(lambda author=author: "the end" in author.attempts[-1].text, "both come to the end")
            author.stopping.set()
            author.finish()
        self.eventually(self._drained, "all is delivered")
        for reader in self.readers:
            reader.stopping.set()
            reader.finish()
            self.assertEqual(reader.faults(), [])
        for peer in self.peers:
            self.assertEqual(peer.end(), ENDED, peer.said())
        for author in self.authors:
            verdict = judge(author.attempts, recorded_of(author.other.database, author.peer.raw_id))
            self.assertTrue(verdict.kept, f"{author.peer.state.name}: {verdict}")
            self.assertGreater(verdict.accepted, at_least)
            self.assertEqual(damage_in(author.peer.database), "ok")

    def eventually(self, condition, what: str) -> None:
        """Wait for something; what everybody did last is told if it does not come."""
        try:
            until(condition, what)
        except AssertionError as error:
            lines = [str(error)]
            for author in self.authors:
                lines.append(f"{author.peer.state.name}: {author.is_alive()}, {author.attempts[-3:]}")
            for daemon in (*self.peers, self.server):
                lines.append(f"--- {daemon.state.name}, running: {daemon.runs}\n{daemon.said()[-LAST_WORDS:]}")
            self.fail("\n".join(lines))

    def _drained(self) -> bool:
        """Whether nothing waits any more."""
        try:
            return all(author.peer.has_delivered(author.other) for author in self.authors)
        except UserError:
            return False
