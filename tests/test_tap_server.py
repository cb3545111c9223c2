"""`twistd p2pchat-server` as a real process: what it prints, how it ends, and that it comes back whole."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pchat.api import JoinLinks, RosterRows, ServerReport, ShowLinks, ShowRoster, ShowServer
from p2pchat.config import ServerSettings
from p2pchat.core.identity import parse_join_link
from p2pchat.net.local_client import LocalClient
from p2pchat.server.links import recall
from p2pchat.tap.server import Options
from tests.rosters import identity
from tests.servers import Client, dial_port, until

ROOT = Path(__file__).resolve().parent.parent
TWISTD = [sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"]

PATIENCE = 120
"""Seconds after which a process hangs."""


class OptionsTests(SynchronousTestCase):
    """What a person writes becomes settings."""

    def parse(self, *words: str) -> ServerSettings:
        options = Options()
        options.parseOptions(["--state", self.mktemp(), *words])
        return options.settings

    def test_defaults(self) -> None:
        """Nothing has to be said."""
        settings = self.parse()
        self.assertEqual(
            (settings.port, settings.interface, settings.hosts, settings.open, settings.admin_group),
            (8888, "", (), False, None),
        )

    def test_everything(self) -> None:
        """All that can be said, `--host` several times."""
        words = "--port 0 --interface 127.0.0.1 --host lab1 --host 10.0.0.7 --capacity 9 --open --admin-group chat"
        settings = self.parse(*words.split(), "--certificate", "c.pem", "--key", "k.pem")
        self.assertEqual(
            (settings.port, settings.interface, settings.hosts, settings.capacity, settings.open, settings.admin_group),
            (0, "127.0.0.1", ("lab1", "10.0.0.7"), 9, True, "chat"),
        )
        self.assertEqual((settings.certificate, settings.key), (Path("c.pem").absolute(), Path("k.pem").absolute()))

    def test_help(self) -> None:
        """Every option explains itself."""
        text = str(Options())
        for option in ("state", "port", "interface", "host", "certificate", "key", "capacity", "open", "admin-group"):
            self.assertIn(f"--{option}", text)


class ProcessTests(TestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.state = self.directory / "state"
        self.environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def command(self, *words: str, twistd: Sequence[str] = ("-n",), port: int = 0) -> list[str]:
        interface = ["--interface", "127.0.0.1", "--port", str(port)]
        return [*TWISTD, *twistd, "p2pchat-server", "--state", str(self.state), *interface, *words]

    def run_to_end(
        self, *words: str, twistd: Sequence[str] = ("-n",), port: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*words, twistd=twistd, port=port),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def start(self, *words: str, port: int = 0) -> "subprocess.Popen[str]":
        """A server in the foreground; returns when it has said where it is."""
        process = subprocess.Popen(
            self.command(*words, port=port),
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.words = [process.stdout.readline(), process.stdout.readline()]
        self.assertIn("listening on 127.0.0.1:", self.words[0], self.log())
        return process

    def log(self) -> str:
        file = self.state / "log"
        return file.read_text() if file.exists() else ""

    def end(self, process: "subprocess.Popen[str]", number: int) -> int:
        process.send_signal(number)
        return process.wait(PATIENCE)

    def ask(self, command: object, reply: Any) -> Any:
        with LocalClient(self.state, "server") as client:
            return client.call(command, reply)

    async def online(self, client: Client) -> Client:
        await dial_port(self, reactor, recall(self.state).port, client)
        client.register()
        await until(reactor, lambda: client.online)
        return client

    def test_foreground(self) -> None:
        """It says who it is and how to join, answers at its socket, and ends in order on SIGTERM."""
        process = self.start("--host", "lab1.example")
        report = self.ask(ShowServer(), ServerReport)
        self.assertEqual((report.pid, report.online), (process.pid, 0))
        self.assertIn(f"p2pchat server {report.id} listening on {report.listens[0]}", self.words[0])
        self.assertIn("first start", self.words[0])
        [link] = self.ask(ShowLinks(), JoinLinks).links
        self.assertEqual(self.words[1], f"Join from another machine: p2pchat join '{link}'\n")
        self.assertEqual(f"127.0.0.1:{parse_join_link(link).port}", report.listens[0])
        self.end(process, signal.SIGTERM)
        self.assertFalse((self.state / "socket").exists())
        self.assertIn("Server Shut Down", self.log())
        self.assertNotIn("Traceback", self.log())

    def test_signals(self) -> None:
        """SIGINT and SIGHUP end it in order as well."""
        for number in (signal.SIGINT, signal.SIGHUP):
            with self.subTest(signal=number):
                process = self.start()
                self.end(process, number)
                self.assertFalse((self.state / "socket").exists())

    async def test_peers_are_told(self) -> None:
        """On SIGTERM the peers are told that the server leaves."""
        process = self.start()
        client = await self.online(Client(identity(1), reactor))
        process.send_signal(signal.SIGTERM)
        await until(reactor, lambda: client.ending is not None)
        self.assertEqual(client.bye, "leaving")
        await until(reactor, lambda: process.poll() is not None)

    async def test_F3_killed_and_started_again(self) -> None:
        """After kill -9 it starts at once, with its key and its handles, and is whole when its peers came back."""
        process = self.start()
        peers = [identity(number) for number in range(3)]
        before = [await self.online(Client(peer, reactor, handle=f"peer-{place}")) for place, peer in enumerate(peers)]
        key, port = before[0].hello.key, recall(self.state).port
        process.kill()
        process.wait()
        for client in before:
            await until(reactor, lambda client=client: client.ending is not None)  # type: ignore[misc]
        self.start(port=port)
        thief = Client(identity(9), reactor, handle="peer-0")
        await dial_port(self, reactor, port, thief)
        thief.register()
        await until(reactor, lambda: bool(thief.declined))
        self.assertEqual(thief.declined, ["handle-taken"])
        after = [await self.online(Client(peer, reactor, handle=f"peer-{place}")) for place, peer in enumerate(peers)]
        self.assertEqual({client.hello.key for client in after}, {key})
        after[0].watch()
        await until(reactor, lambda: after[0].seen.keys() == {peer.id for peer in peers})
        rows = self.ask(ShowRoster(), RosterRows).rows
        self.assertEqual([row.handle for row in rows], ["peer-0", "peer-1", "peer-2"])

    def test_F23_twice(self) -> None:
        """A second server on the same state directory says whose it is, and exits with an error."""
        process = self.start()
        second = self.run_to_end()
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"pid {process.pid}", second.stderr)
        self.assertEqual(len(second.stderr.strip().splitlines()), 1)

    def test_cannot_bind(self) -> None:
        """A server that cannot bind says so in one line and exits with an error, in the background too."""
        self.start()
        port = recall(self.state).port
        self.state = self.directory / "other"
        for twistd in (("-n",), ()):
            with self.subTest(twistd=twistd):
                result = self.run_to_end(twistd=twistd, port=port)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                [line] = result.stderr.strip().splitlines()
                self.assertIn(f"cannot listen on port {port}", line)

    def test_bad_options(self) -> None:
        """What is wrong with an option is said in one line, with exit code 2."""
        for words in (("--capacity", "0"), ("--key", "x.pem"), ("--what",)):
            with self.subTest(words=words):
                result = self.run_to_end(*words)
                self.assertEqual((result.returncode, len(result.stderr.strip().splitlines())), (2, 1), result.stderr)

    async def test_daemon(self) -> None:
        """In the background the terminal gets the words when it is up; pid and log are in the state directory."""
        result = self.run_to_end(twistd=())
        self.assertEqual(result.returncode, 0, result.stderr)
        pid = int((self.state / "pid").read_text())
        self.addCleanup(self.make_sure_it_is_gone, pid)
        self.assertIn("listening on 127.0.0.1:", result.stdout)
        self.assertIn("p2pchat join", result.stdout)
        self.assertTrue((await self.online(Client(identity(1), reactor))).online)
        os.kill(pid, signal.SIGTERM)
        await until(reactor, lambda: not (self.state / "pid").exists())
        self.assertNotIn("Traceback", self.log())

    async def make_sure_it_is_gone(self, pid: int) -> None:
        end = time.monotonic() + PATIENCE
        while lives(pid):
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
            await deferLater(reactor, 0.02)


def lives(pid: int) -> bool:
    """Whether a process that is no child of ours runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
