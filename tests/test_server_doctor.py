"""`p2pchat doctor --server`: what its facts mean, what is gathered, and a real server that runs, and does not."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.api import Finding, ServerReport
from p2pchat.api.health import StoreFacts
from p2pchat.core.errors import UserError
from p2pchat.core.identity import Identity
from p2pchat.oneshot.running import held
from p2pchat.server import checkup
from p2pchat.server.diagnosis import SET_BACK, Answered, RendezvousFacts, diagnose
from p2pchat.server.links import Reach, remember
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.offline import open_offline
from p2pchat.storage.peer_tables import PEER_SCHEMA
from p2pchat.storage.server_tables import SERVER_SCHEMA
from tests.daemons import ServerDaemon, ended

WALL = 1_790_000_000_000
DAY = 24 * 3600 * 1000
HERE = Answered(address="lab1:8888")
REPORT = ServerReport(
    pid=77, version="0.1.0", id="x", listens=("0.0.0.0:8888",), online=3, capacity=10, uptime=5, refused={}
)


def facts(**more: Any) -> RendezvousFacts:
    """All is well, but for this."""
    store = StoreFacts(path="/srv/my chat", free=1 << 40, mode=0o710)
    given: dict[str, Any] = {
        "wall": WALL,
        "port": 8888,
        "store": store,
        "report": REPORT,
        "answers": (HERE,),
        "written": WALL,
    }
    return RendezvousFacts(**(given | more))


class DiagnosisTests(SynchronousTestCase):
    def found(self, check: str, **more: Any) -> Finding:
        [finding] = [each for each in diagnose(facts(**more)) if each.check == check]
        return finding

    def expect(self, check: str, state: str, *words: str, **more: Any) -> None:
        finding = self.found(check, **more)
        self.assertEqual(finding.state, state, finding)
        for word in words:
            self.assertIn(word, f"{finding.text} / {finding.fix}")
        self.assertEqual(bool(finding.fix), state in ("failed", "warning"), finding)

    def test_all_is_well(self) -> None:
        """Every check is there, and says ok."""
        self.assertEqual(
            {finding.check: finding.state for finding in diagnose(facts())},
            dict.fromkeys(
                ("server", "listen", "links", "certificate", "clock", "capacity", "store", "disk", "state"), "ok"
            ),
        )

    def test_not_running(self) -> None:
        """It is said how to start it, also where the path has blanks; and whether its port is free."""
        gone = {"report": None, "answers": ()}
        self.expect("server", "failed", "p2pchat server --state '/srv/my chat'", **gone)
        self.expect("listen", "ok", "8888 is free", **gone)
        self.expect("listen", "failed", "sudo ss -ltnp", taken=True, **gone)
        self.expect("capacity", "unknown", **gone)

    def test_listens_nowhere(self) -> None:
        """A server without a port."""
        self.expect("listen", "failed", "p2pchat stop", report=changed(REPORT, listens=()))

    def test_links(self) -> None:
        """Where something else than this server answers, the fix depends on what went wrong."""
        for reason, word in (
            ("there is no host 'lab1': check the address", "getent hosts lab1"),
            ("its certificate expired on 2026-01-01", "renew the certificate"),
            ("another key answers there than this server's", "ss -ltnp"),
            ("cannot reach lab1:8888: nobody listens there", "--host NAME"),
        ):
            self.expect("links", "failed", word, answers=(Answered(address="lab1:8888", reason=reason),))

    def test_certificate(self) -> None:
        """One that an authority issued is told of in time."""
        for days, state in ((90, "ok"), (3, "warning"), (-1, "failed")):
            answer = Answered(address="lab1:8888", certified=True, expires=WALL + days * DAY)
            self.expect("certificate", state, answers=(answer,))

    def test_clock(self) -> None:
        """A clock that was set back, or is not set by the network."""
        self.expect("clock", "failed", "timedatectl", written=WALL + SET_BACK + 1)
        self.expect("clock", "warning", "timedatectl", synchronized=False)
        self.expect("clock", "ok", "by the network", synchronized=True)

    def test_capacity(self) -> None:
        """How many are online of how many may be."""
        self.expect("capacity", "ok", "3 of 10")
        self.expect("capacity", "warning", "--capacity", report=changed(REPORT, online=9))
        self.expect("capacity", "failed", "nobody else gets in", report=changed(REPORT, online=10))
        self.expect("capacity", "warning", "4 were refused", report=changed(REPORT, refused={"full": 4}))

    def test_directory(self) -> None:
        """Members of --admin-group may pass through; nobody else, and nobody may read."""
        for mode, state in ((0o700, "ok"), (0o710, "ok"), (0o750, "failed"), (0o755, "failed")):
            self.expect("state", state, store=StoreFacts(path="/srv/chat", mode=mode))
        self.expect("store", "failed", "p2pchat recover", store=StoreFacts(path="/srv/chat", fault="page 3"))
        refused = StoreFacts(path="/srv/chat", doctor="p2pchat doctor --server", refusal="it is of a newer version")
        self.expect("store", "failed", "p2pchat doctor --server", store=refused)


class CheckupTests(SynchronousTestCase):
    """What is gathered."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()

    def test_new(self) -> None:
        """Where no server ever ran nothing is made, and it is said how to start one."""
        self.assertIsNone(checkup.stored(self.state, running=False))
        self.assertFalse(self.state.exists())
        self.assertIn("p2pchat server", checkup.of_new_server(self.state).fix)
        self.assertIsNone(checkup.reach_of(self.state))
        self.assertEqual(checkup.port_of(None), 8888)

    def test_directory_of_a_peer(self) -> None:
        """Nobody is told to start a server under the key of a peer."""
        with open_offline(StateDirectory(self.state), PEER_SCHEMA):
            (self.state / "identity.key").write_text("")
        found = checkup.of_new_server(self.state)
        self.assertEqual((found.check, found.state), ("state", "failed"))
        self.assertNotIn("p2pchat server", found.fix)

    def test_lost_database(self) -> None:
        """Where the key is there and the database is not, it is not called new."""
        self.state.mkdir(0o700)
        (self.state / "identity.key").write_text("")
        found = checkup.of_new_server(self.state)
        self.assertEqual((found.check, found.state), ("store", "failed"))
        self.assertIn("put server.db back", found.fix)

    def test_damaged_while_it_runs(self) -> None:
        """A database that is damaged beneath a server that runs: one line that names the way out."""
        path = StateDirectory(self.state).database_file(SERVER_SCHEMA.name)
        with open_offline(StateDirectory(self.state, "server"), SERVER_SCHEMA):
            pass
        data = path.read_bytes()
        path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))
        found = checkup.stored(self.state, running=True)
        assert found is not None
        self.assertIn(f"p2pchat recover --state {self.state}", found.refusal)

    def test_held(self) -> None:
        """Who has the directory and does not answer is named."""
        with StateDirectory(self.state, "server"):
            found = held(self.state)
            assert found is not None
            self.assertEqual((found.state, found.check), ("failed", "state"))
            self.assertIn(f"a server with pid {os.getpid()}", found.text)
        self.assertIsNone(held(self.state))

    def test_port(self) -> None:
        """A port that somebody else has is noticed, on the address that the server takes."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.assertTrue(checkup.is_taken(Reach(id=b"", port=port, interface="127.0.0.1")))
        self.assertFalse(checkup.is_taken(Reach(id=b"", port=port, interface="127.0.0.1")))

    def test_addresses(self) -> None:
        """Those of the join links; the loopback one only where there is no other."""
        given = Reach(id=b"i" * 32, port=8888, hosts=("lab1", "127.0.0.1", *(f"10.0.0.{n}" for n in range(9))))
        hosts = [link.host for link in checkup.addresses(given)]
        self.assertEqual((hosts[0], len(hosts)), ("lab1", checkup.MOST_LINKS - 1))
        self.assertEqual(
            [link.host for link in checkup.addresses(Reach(id=b"i" * 32, port=1, hosts=("::1",)))], ["::1"]
        )

    def test_written(self) -> None:
        """When the newest file was written; nothing where there is none."""
        self.assertIsNone(checkup.written(self.state))
        self.state.mkdir()
        for name, second in (("a", 10), ("b", 30), ("c", 20)):
            (self.state / name).touch()
            os.utime(self.state / name, (second, second))
        self.assertEqual(checkup.written(self.state), 30_000)

    def test_clock(self) -> None:
        """Whether the clock is set by the network, where that is told."""
        mark = self.state / "timesync" / "synchronized"
        self.assertIsNone(checkup.is_synchronized(mark))
        mark.parent.mkdir(parents=True)
        self.assertIs(checkup.is_synchronized(mark), False)
        mark.touch()
        self.assertIs(checkup.is_synchronized(mark), True)


class ProcessTests(SynchronousTestCase):
    """A real server, asked by the command."""

    def doctor(self, state: Path) -> tuple[int, dict[str, dict[str, str]]]:
        """The exit code, and what was found, by check."""
        words = [sys.executable, "-m", "p2pchat", "doctor", "--server", "--state", str(state), "--json"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        found = {finding["check"]: finding for finding in map(json.loads, done.stdout.splitlines())}
        self.assertEqual(done.stderr.count("\n"), done.returncode, done.stderr)
        return done.returncode, found

    def test_real_one(self) -> None:
        """While it runs all is well; then it does not, then its port is taken, its directory open, its key away."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        server = ServerDaemon(home / "server")
        with ended(server):
            server.start()
            server.ready()
            files = set(server.state.iterdir())
            code, found = self.doctor(server.state)
            wrong = [finding for finding in found.values() if finding["state"] in ("failed", "unknown")]
            self.assertEqual((code, wrong), (0, []))
            self.assertIn("this server answers at 127.0.0.1:", found["links"]["text"])
            self.assertIn("0 of ", found["capacity"]["text"])
            self.assertEqual(found["store"]["text"], "the database is in order")
            self.assertEqual(set(server.state.iterdir()), files)
        code, found = self.doctor(server.state)
        self.assertEqual((code, found["server"]["state"], found["listen"]["state"]), (1, "failed", "ok"))
        self.assertEqual(found["store"]["state"], "ok")
        port = int(server.words[1])
        server.state.chmod(0o755)
        with socket.create_server(("127.0.0.1", port)):
            code, found = self.doctor(server.state)
        self.assertEqual((found["listen"]["state"], found["state"]["state"]), ("failed", "failed"))
        StateDirectory(server.state).key_file.unlink()
        code, found = self.doctor(server.state)
        self.assertIn("is missing", found["store"]["text"])

    def test_another_answers(self) -> None:
        """What answers at a join link with another key is found."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        server = ServerDaemon(home / "server")
        with ended(server):
            server.start()
            server.ready()
            reach = checkup.reach_of(server.state)
            assert reach is not None
            other = Identity.from_seed(b"o" * 32)
            directory = StateDirectory(server.state)
            try:
                remember(directory, Reach(id=other.id, port=reach.port, hosts=reach.hosts))
            except UserError as error:
                self.fail(str(error))
            code, found = self.doctor(server.state)
        self.assertEqual((code, found["links"]["state"]), (1, "failed"))
        self.assertIn("another key answers there", found["links"]["text"])
