"""
F5: what the kernel of a real machine is asked for, in its order: the disk has a message before anybody is told.
"""

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from p2pchat.api import Accepted, Connect, Say, Started

from .daemons import PeerDaemon, ServerDaemon, until
from .traces import answers, calls_in, tracer, why_not

TEXT = "x" * 3_000
"""More than anything else that comes over these sockets."""

MESSAGES = 5

TRACE = """\
7 recvfrom(9<socket:[1]>, ""..., 65536, 0, NULL, NULL) = 3100
8 fdatasync(5</state/peer.db-wal> <unfinished ...>
7 recvfrom(9<socket:[1]>, 0x1, 65536, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
8 <... fdatasync resumed>) = 0
7 sendto(9<socket:[1]>, ""..., 90, 0, NULL, 0) = 90
7 sendto(9<socket:[1]>, ""..., 90, 0, NULL, 0) = 90
7 recvfrom(9<socket:[1]>, ""..., 65536, 0, NULL, NULL) = 3100
8 fdatasync(5</state/peer.db-wal> <unfinished ...>
7 sendto(9<socket:[1]>, ""..., 90, 0, NULL, 0) = 90
8 <... fdatasync resumed>) = 0
"""


class TraceTests(SynchronousTestCase):
    def test_order(self) -> None:
        """A sync counts once it is done, and what is sent from the moment when it is begun."""
        self.assertEqual(answers(calls_in(TRACE), 3_000, "peer.db-wal"), [True, False])

    def test_other_files(self) -> None:
        """Another file's sync, or a failed one, does not count."""
        self.assertEqual(answers(calls_in(TRACE), 3_000, "peer.db"), [False, False])
        failed = TRACE.replace("resumed>) = 0", "resumed>) = -1 EIO (Input/output error)")
        self.assertEqual(answers(calls_in(failed), 3_000, "peer.db-wal"), [False, False])


class SyncTests(SynchronousTestCase):
    def setUp(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="p2pchat-sync-"))
        self.addCleanup(shutil.rmtree, home)
        reason = why_not(home)
        if reason:
            raise SkipTest(reason)
        server = ServerDaemon(home / "server")
        server.start()
        self.addCleanup(server.kill)
        link = server.ready().link
        self.peers = [PeerDaemon(home / name, link) for name in ("alice", "bob")]
        for peer in self.peers:
            peer.tracer = tracer(self.trace_of(peer))
            peer.start()
            self.addCleanup(peer.kill)

    def trace_of(self, peer: PeerDaemon) -> Path:
        """Where it is written."""
        return peer.state.with_suffix(".trace")

    def test_F5_synced_before_it_is_told(self) -> None:
        """The author is told `queued`, and the reader says `have`, after their disks have synced the message."""
        alice, bob = (peer.ready() for peer in self.peers)
        with alice.client() as client:
            client.call(Connect(who=bob.id), Started)
            until(lambda: alice.sees(bob).chat == "open", "they chat")
            for number in range(MESSAGES):
                client.call(Say(who=bob.id, text=f"{number} {TEXT}"), Accepted)
                until(lambda: alice.has_delivered(bob), "it is delivered")
        for peer in self.peers:
            peer.end()
            found = answers(calls_in(self.trace_of(peer).read_text("utf-8", "replace")), len(TEXT), "peer.db-wal")
            self.assertEqual(found, [True] * MESSAGES, peer.state.name)
