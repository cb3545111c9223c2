"""A real `twistd p2pchat-server` under attack: what only a process shows, its memory and its log (G10, G11)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from twisted.internet.threads import deferToThread

from p2pchat.api import ServerReport, ShowServer
from p2pchat.core.framing import LARGE_FRAME, SMALL_FRAME
from p2pchat.core.identity import parse_id
from p2pchat.net.local_client import LocalClient
from p2pchat.net.tls import SERVER_PROTOCOL

from .hostile import COUNTS, Attack, Caller, Liar, frame
from .liars import signed_record
from .rosters import identity

ROOT = Path(__file__).resolve().parent.parent

TWISTD = [sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"]

MOST_GROWTH = 64 * 2**20
"""Bytes by which a server may grow under a flood."""


class ServerProcessTests(Attack):
    """The server as it runs in a lab."""

    async def start(self) -> None:
        state = Path(self.mktemp()).absolute()
        state.parent.mkdir(parents=True, exist_ok=True)
        self.log = state / "log"
        words = ["-n", "p2pchat-server", "--state", str(state), "--interface", "127.0.0.1", "--port", "0"]
        self.process = subprocess.Popen(
            [*TWISTD, *words],
            cwd=state.parent,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.addCleanup(self.stop)
        assert self.process.stdout is not None
        line = await deferToThread(self.process.stdout.readline)
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
        assert found is not None, line
        self.port = int(found.group(1))
        self.state = state

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def report(self) -> ServerReport:
        """What the operator is told."""
        with LocalClient(self.state, "server") as client:
            return client.call(ShowServer(), ServerReport)

    def memory(self) -> int:
        """Bytes that the process has resident."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def register(self, number: int) -> Liar:
        """Somebody gets in."""
        key = identity(number)
        liar = await self.shake_hands(self.port, key, SERVER_PROTOCOL, f"127.0.3.{1 + number % 200}")
        liar.say_hello()
        await self.comes(liar, "server-hello")
        report = await deferToThread(self.report)
        record = signed_record(key, parse_id(report.id), liar.of("server-hello")[0]["time"])
        liar.tell("register", record=record)
        await self.comes(liar, "registered")
        return liar

    async def test_G10_memory(self) -> None:
        """Half frames in every place, noise, and registered peers that never finish a frame cost a bounded amount."""
        await self.start()
        friend = await self.register(400_000)
        before = self.memory()
        drips: list[Liar] = []
        for number in range(COUNTS.pending * 3):
            key = identity(410_000 + number % 4)
            drips.append(await self.shake_hands(self.port, key, SERVER_PROTOCOL, f"127.0.4.{1 + number % 200}"))
            drips[-1].say(frame(bytes(SMALL_FRAME))[:-1])
        for number in range(COUNTS.capacity // 2):
            inside = await self.register(420_000 + number)
            inside.say(frame(bytes(LARGE_FRAME))[:-1])
        callers: list[Caller] = []
        for number in range(COUNTS.connects):
            callers.append(await self.call(self.port, f"127.0.5.{1 + number % 200}"))
            callers[-1].say(bytes(range(256)) * 64)
        await self.assert_gone(*callers)
        self.assertLess(self.memory() - before, MOST_GROWTH)
        friend.tell("ping", number=7)
        await self.comes(friend, "pong")
        self.assertIsNone(friend.lost)
        self.assertLess(len(self.log.read_text().splitlines()) if self.log.exists() else 0, 300)
        self.assertIsNone(self.process.poll())
