"""Real daemons on loopback: twistd, SQLite and TLS, asked over their local sockets, killed and started again."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from p2pchat.api import JoinLinks, Myself, PeerStatus, People, Person, ServerReport, ShowLinks, Status, WhoAmI, WhoIs
from p2pchat.core.errors import UserError
from p2pchat.core.identity import parse_id
from p2pchat.net.local_client import LocalClient

TWISTD = (sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()")
ROOT = Path(__file__).resolve().parent.parent

PATIENCE = 120.0
"""Seconds after which something does not happen any more, on a busy machine."""

PAUSE = 0.02
"""Seconds between two looks at what another process does."""

ENDED = -signal.SIGTERM
"""The exit code of a daemon that was asked to end by SIGTERM and did so in order."""

ReplyT = TypeVar("ReplyT")


def until(condition: Callable[[], Any], what: str, within: float = PATIENCE) -> Any:
    """Look until the condition gives something true, which is returned."""
    end = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within:.0f} s: {what}")
        time.sleep(PAUSE)
    return found


class Daemon:
    """A server or peer in its state directory, running or not."""

    role: str

    def __init__(self, state: Path, *words: str) -> None:
        self.state = state
        self.words = words
        self.tracer: tuple[str, ...] = ()
        """Words before its command line, of a program that looks on and leaves it its process id."""
        self.log = state.with_name(f"{state.name}.out")
        """Everything that it wrote, over all its runs."""
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start it, with more in its environment; it need not be up when this returns."""
        # Coverage would double the time of a start, and says nothing of a process that is killed.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        words = [
            *self.tracer,
            *TWISTD,
            "-n",
            "--pidfile=",
            f"p2pchat-{self.role}",
            "--state",
            str(self.state),
            *self.words,
        ]
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.state.parent,
                env={**inherited, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **environment},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._child is not None
        return self._child.pid

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def code(self) -> int | None:
        """How it ended last; negative: by that signal; None: it runs."""
        assert self._child is not None
        return self._child.poll()

    def ready(self) -> "Daemon":
        """Wait until it answers."""
        until(self.answers, f"{self.state.name} answers: {self.said()[-2000:]}")
        return self

    def answers(self) -> bool:
        """Whether it is up; raises AssertionError if it ended."""
        if not self.runs:
            raise AssertionError(f"{self.state.name} ended with {self.code}: {self.said()[-2000:]}")
        try:
            self.ask(Status(), PeerStatus if self.role == "peer" else ServerReport)
        except UserError:
            return False
        return True

    def client(self) -> LocalClient:
        """A connection to it, to be opened by a `with`."""
        return LocalClient(self.state, self.role)

    def ask(self, command: Any, reply: type[ReplyT]) -> ReplyT:
        """Have a command executed."""
        with self.client() as client:
            return client.call(command, reply)

    def said(self) -> str:
        """What it wrote."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def kill(self) -> None:
        """kill -9; harmless if it does not run."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(PATIENCE)

    def end(self) -> int:
        """Ask it to end, and wait; its exit code."""
        assert self._child is not None
        if self.runs:
            self._child.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._child is not None
        try:
            return self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.state.name} does not end: {self.said()[-2000:]}") from None


class ServerDaemon(Daemon):
    """A rendezvous server; it keeps its port over restarts."""

    role = "server"

    def __init__(self, state: Path) -> None:
        super().__init__(state, "--port", "0", "--interface", "127.0.0.1", "--host", "127.0.0.1")
        self.link = ""

    def ready(self) -> "ServerDaemon":
        """Wait until it answers; `link` is known then."""
        super().ready()
        (self.link, *_) = self.ask(ShowLinks(), JoinLinks).links
        port = re.search(r":(\d+)/", self.link)
        assert port is not None
        self.words = ("--port", port[1], *self.words[2:])
        return self


class PeerDaemon(Daemon):
    """A peer of that server, who takes every request to chat."""

    role = "peer"

    def __init__(self, state: Path, link: str, *words: str) -> None:
        super().__init__(
            state, "--name", state.name, "--join", link, "--listen-port", "0", "--dial-port", "0",
            "--interface", "127.0.0.1", "--accept", "all", *words,
        )  # fmt: skip
        self.id = ""

    def ready(self) -> "PeerDaemon":
        """Wait until it answers; `id` is known then."""
        super().ready()
        found = self.ask(WhoAmI(), Myself).id
        assert self.id in ("", found), "it became somebody else"
        self.id = found
        return self

    @property
    def raw_id(self) -> bytes:
        """The 32 bytes of its id."""
        return parse_id(self.id)

    @property
    def database(self) -> Path:
        """The file of its database."""
        return self.state / "peer.db"

    def sees(self, other: "PeerDaemon") -> Person:
        """What it says of another one."""
        (person,) = self.ask(WhoIs(who=other.id), People).people
        return person

    def has_delivered(self, other: "PeerDaemon") -> bool:
        """Whether nothing of its own waits for another one."""
        return self.sees(other).unsent == 0


@contextlib.contextmanager
def ended(*daemons: Daemon) -> Iterator[None]:
    """Kill what still runs at the end, whatever happened."""
    try:
        yield
    finally:
        for daemon in daemons:
            daemon.kill()
