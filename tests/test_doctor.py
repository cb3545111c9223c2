"""`p2pchat doctor`: through a peer that runs, and without; its words, its JSON, its exit code."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.api import Examine, Finding, Findings, Myself, WhoAmI
from p2pchat.core.identity import Identity, JoinLink
from p2pchat.oneshot import doctor
from p2pchat.peer import offline
from p2pchat.peer.offline import FoundServer
from p2pchat.storage.directory import StateDirectory
from p2pchat.ui.findings import finding_lines
from tests.daemons import PeerDaemon, ServerDaemon, ended, until
from tests.test_cli import CliCase

GOOD = {"check": "server", "state": "ok", "text": "lab1:8888 is there", "fix": ""}
BAD = {"check": "reach", "state": "failed", "text": "nobody answers at 10.0.0.5:6666", "fix": "sudo ufw allow 6666/tcp"}


class LinesTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """A line for each finding, in columns, with what to do below it."""
        self.assertEqual(
            finding_lines([Finding(**GOOD), Finding(**BAD)]),
            [
                "ok       server  lab1:8888 is there",
                "FAILED   reach   nobody answers at 10.0.0.5:6666",
                "                 fix: sudo ufw allow 6666/tcp",
            ],
        )

    def test_X1_text_of_others(self) -> None:
        """What servers say is cleaned."""
        [line] = finding_lines([Finding(check="server", state="failed", text="\x1b[2J\nok  all is well")])
        self.assertNotIn("\x1b", line)
        self.assertNotIn("\n", line)


class CommandTests(CliCase):
    """In this process, with a peer that is a fake."""

    def findings(self, *found: dict[str, Any]) -> dict[str, Any]:
        return {"type": "findings", "findings": list(found)}

    def test_all_is_well(self) -> None:
        """What was found, and 0."""
        peer = self.serve(self.state, examine=self.findings(GOOD))
        self.assertEqual(self.succeeds("doctor"), "ok       server  lab1:8888 is there\n")
        self.assertEqual(peer.commands, [{"type": "examine"}])

    def test_failed(self) -> None:
        """Something failed: all findings, one line on stderr, and 1."""
        self.serve(self.state, examine=self.findings(GOOD, BAD))
        out = self.fails(1, "1 of 2 checks failed", "doctor")
        self.assertIn("fix: sudo ufw allow 6666/tcp", out)

    def test_json(self) -> None:
        """For programs: an object a line, with the same exit code."""
        self.serve(self.state, examine=self.findings(GOOD, BAD))
        out = self.fails(1, "1 of 2 checks failed", "doctor", "--json")
        self.assertEqual([json.loads(line) for line in out.splitlines()], [GOOD, BAD])

    def test_new(self) -> None:
        """Where there was never a peer it is said how to start one, and nothing is made."""
        self.assertIn("p2pchat join LINK", self.succeeds("doctor"))
        self.assertFalse(self.state.exists())

    def test_starting(self) -> None:
        """A peer that has just been started is waited for."""
        directory = StateDirectory(self.state, "peer")
        directory.open()
        self.addCleanup(directory.close)

        def opens(seconds: float) -> None:
            self.serve(self.state, examine=self.findings(GOOD))
            self.patch(time, "sleep", self.fail)

        self.patch(time, "sleep", opens)
        self.assertIn("lab1:8888 is there", self.succeeds("doctor"))

    def test_held(self) -> None:
        """A peer that has the directory and does not answer."""
        self.patch(doctor, "START_WITHIN", 0.2)
        with StateDirectory(self.state, "peer"):
            out = self.fails(1, "1 of 1 checks failed", "doctor")
        self.assertIn(f"a peer with pid {os.getpid()}", out)


class ProcessTests(SynchronousTestCase):
    """A process of its own: a reactor runs once."""

    def test_no_server_there(self) -> None:
        """Without a peer its servers are looked for: what is not there is said, with 1."""
        state = Path(self.mktemp()).absolute()
        server = Identity.from_seed(b"s" * 32)
        offline.join(state, JoinLink("127.0.0.1", 1, server.id), "alice", FoundServer(server.id))
        words = [sys.executable, "-m", "p2pchat", "doctor", "--state", str(state), "--json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        found = {finding["check"]: finding for finding in map(json.loads, done.stdout.splitlines())}
        self.assertEqual((done.returncode, found["server"]["state"], found["store"]["state"]), (1, "failed", "ok"))
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_real_ones(self) -> None:
        """A real peer, dialled back by a real server: it is reached; a fourth look comes too soon and says so."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        server = ServerDaemon(home / "server")
        with ended(server):
            server.start()
            server.ready()
            peer = PeerDaemon(home / "alice", server.link)
            with ended(peer):
                peer.start()
                peer.ready()
                until(lambda: "online" in {one.state for one in peer.ask(WhoAmI(), Myself).servers}, "alice is online")
                first, *_, last = (
                    {finding.check: finding for finding in peer.ask(Examine(), Findings).findings} for _ in range(4)
                )
                self.assertEqual([each for each in first.values() if each.state in ("failed", "unknown")], [])
                self.assertIn("reached this peer; it is on this very machine", first["reach"].text)
                self.assertIn("X25519MLKEM768", first["post-quantum"].text)
                self.assertEqual(last["reach"].state, "unknown")
                self.assertEqual(peer.ask(WhoAmI(), Myself).servers[0].state, "online")
