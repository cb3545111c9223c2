"""
A real server and two real peers for a stranger to meet, each a `twistd` process on a free port of loopback.

bob accepts everybody; carol asks. They are started by the first test that needs them and end with the run.
"""

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from p2pchat.api import Done, Event, JoinLinks, Myself, Reply, ShowLinks, WhoAmI
from p2pchat.core.errors import UserError
from p2pchat.net.local_client import LocalClient
from tests.stranger import PATIENCE
from tests.stranger_words import read_id, read_join_link, written

ROOT = Path(__file__).resolve().parent.parent
TWISTD = [sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"]

START = 30.0
"""Seconds after which a process has not started."""


class Daemon:
    """A `twistd` process, and its local socket."""

    def __init__(self, house: Path, role: str, name: str, *words: str) -> None:
        self.role, self.state = role, house / name
        self._output = house / f"{name}.out"
        command = [*TWISTD, "-n", f"p2pchat-{role}", "--state", str(self.state), "--interface", "127.0.0.1", *words]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command,
                cwd=house,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def ask(self, command: Any, reply: Any = Reply) -> Any:
        """Have it do something; its reply."""
        with LocalClient(self.state, self.role) as client:
            return client.call(command, reply)

    def ask_until_up(self, command: Any, reply: Any) -> Any:
        """The same, of one that may still be starting."""
        end = time.monotonic() + START
        while True:
            try:
                return self.ask(command, reply)
            except UserError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise AssertionError(f"{self.state.name} did not start: {self._output.read_text()}") from None
                time.sleep(0.02)

    def log(self) -> str:
        """What it logged."""
        return (self.state / "log").read_text()

    def end(self) -> None:
        """End it in order, or not. By a command: after a signal twistd leaves no time to write coverage down."""
        with contextlib.suppress(UserError):
            self.ask({"type": "stop"}, Done)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class PeerDaemon(Daemon):
    """A peer, and what it tells."""

    def __init__(self, house: Path, name: str, join: str, accept: str) -> None:
        ports = ("--listen-port", "0", "--dial-port", "0")
        super().__init__(house, "peer", name, *ports, "--name", name, "--join", join, "--accept", accept)
        self._events: list[Any] = []
        self._heard = threading.Condition(threading.RLock())

    def meet(self) -> None:
        """Wait until it is up and online; listen to it."""
        myself: Myself = self.ask_until_up(WhoAmI(), Myself)
        self.id = read_id(myself.id)
        self.port = int(myself.listens[0].rpartition(":")[2])
        client = LocalClient(self.state, self.role)
        client.open()
        client.subscribe()
        threading.Thread(target=self._listen, args=(client,), daemon=True).start()

    def _listen(self, client: LocalClient) -> None:
        for event in client.events(Event):
            with self._heard:
                self._events.append(event)
                self._heard.notify_all()
        client.close()

    def all(self, kind: type, about: bytes) -> list[Any]:
        """Every event of a kind about somebody so far."""
        with self._heard:
            found: list[Any] = [event for event in self._events if type(event) is kind]
            return [event for event in found if event.person.id == written(about)]

    def hear(self, kind: type, about: bytes, until: Callable[[list[Any]], object] = bool) -> list[Any]:
        """Every event of a kind about somebody, once there are those that are waited for."""
        end = time.monotonic() + PATIENCE
        with self._heard:
            while not until(found := self.all(kind, about)):
                if not self._heard.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise AssertionError(f"{kind.__name__} was not heard; but {self._events[-5:]}")
            return found


class House:
    """All of them."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="stranger-"))
        atexit.register(self.close)
        self.server = Daemon(self._directory, "server", "server", "--port", "0")
        [link] = self.server.ask_until_up(ShowLinks(), JoinLinks).links
        _, self.port, self.id = read_join_link(link)
        self.bob = PeerDaemon(self._directory, "bob", link, "all")
        self.carol = PeerDaemon(self._directory, "carol", link, "ask")
        self.bob.meet()
        self.carol.meet()

    def close(self) -> None:
        """End all processes."""
        for name in ("carol", "bob", "server"):
            if hasattr(self, name):
                getattr(self, name).end()
        shutil.rmtree(self._directory, ignore_errors=True)


@functools.cache
def house() -> House:
    """The one of this test run."""
    return House()
