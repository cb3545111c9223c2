"""
A terminal on a peer that runs in another process: the same front end, over the local socket, with its own reactor.

The peer never depends on it: whatever becomes of this process, the peer loses one client of its socket. The prompt is
there first, and the reactor is loaded behind it, which takes a quarter of the start.
"""

import gc
import signal
import socket
import sys
import time
from pathlib import Path
from typing import IO, Any, cast

from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner, textFileLogObserver
from zope.interface import implementer

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.core.errors import Reported
from p2pchat.net.local_api import LocalApi, LocalApiFactory
from p2pchat.net.local_client import LocalClient
from p2pchat.ui.front import Attached
from p2pchat.ui.surface import drop_typed

from .process import LogOfFile

LOG_NAME = "attach.log"
"""In the state directory: what went wrong in terminals. The peer's own log is the peer's to write and to rotate."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def attach_terminal(state: Path, plain: bool = False) -> None:
    """
    Run a terminal on the peer in `state` until the person leaves or the peer ends.

    Works once in a process. It may be called while no garbage is collected, and has it collected once the prompt is
    there. Raises NotRunning, and Reported with the line and the exit code if it went wrong.
    """
    client = LocalClient(state, "peer")
    client.open()
    globalLogBeginner.beginLoggingTo([_Troubles(state / LOG_NAME)], redirectStandardIO=False, discardBuffer=True)
    terminal = Terminal(LateReactor(), state, plain)
    terminal.appear()
    with client.detach() as connection:
        code, line = terminal.run(connection)
    if code:
        raise Reported(line or "this terminal was closed", code)
    if line:
        print(line, file=sys.stderr)  # noqa: T201


class LateReactor:
    """The reactor, loaded by whoever asks it for something first; another thread that asks meanwhile waits."""

    @staticmethod
    def seconds() -> float:
        """What the reactor will have for a clock, too."""
        return time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._load(), name, value)

    @staticmethod
    def _load() -> Any:
        from twisted.internet import reactor

        return reactor


class Terminal:
    """A front end and its connection, on a reactor of their own, which nothing is asked of before `run`."""

    def __init__(self, reactor: Any, state: Path, plain: bool) -> None:
        self._reactor = reactor
        self._state = state
        self._result: tuple[int, str] | None = None
        self._peer_stops = False
        self._is_peer_gone = False
        self._api = LocalApi(reactor, api.Reply, api.Event, lambda text: api.Problem(text=text), self._peer_gone, True)
        self._front = Attached(PeerSettings(state=state, plain=plain), self._api, reactor, time.time, self.finish)

    def appear(self) -> None:
        """Take the terminal and show the prompt; `run` must follow."""
        # Whoever is to end while the terminal is ours ends in order, as soon as there is somebody to see to that.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._front.startService()
        self._front.appear()

    def run(self, connection: socket.socket) -> tuple[int, str]:
        """Until the end: the exit code, and a last line for the person."""
        self._reactor.seconds = time.monotonic
        connection.setblocking(False)
        self._reactor.adoptStreamConnection(connection.fileno(), socket.AF_UNIX, LocalApiFactory(self._api))
        self._api.subscribe(self._heard)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._front.stopService)
        self._reactor.addSystemEventTrigger("during", "shutdown", self._api.leave)
        self._reactor.run()
        if self._is_peer_gone:
            drop_typed()
        return self._result or (1, "")

    def finish(self, code: int, line: str) -> None:
        """Leave; the first call counts."""
        if self._result is None:
            self._result = code, line
            try:
                self._reactor.stop()
            except ReactorNotRunning:
                self._reactor.callWhenRunning(self._reactor.stop)

    def _begin(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._front.begin()
        gc.freeze()  # a collection that went through all the modules too would hold up a key
        gc.enable()

    def _signalled(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self.finish, 128 + number, "")

    def _heard(self, event: api.Event) -> None:
        if isinstance(event, api.Stopping):
            self._peer_stops = True

    def _peer_gone(self, why: str) -> None:
        self._is_peer_gone = True
        if self._peer_stops:
            self.finish(0, f"the peer in {self._state} has ended, and so has this terminal")
        else:
            self.finish(1, f"{why} (p2pchat status tells)")


@implementer(ILogObserver)
class _Troubles:
    """Writes what went wrong to a file, which is made only then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inner: ILogObserver | None = None

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) < LogLevel.warn:
            return
        try:
            if self._inner is None:
                self._inner = textFileLogObserver(cast("IO[Any]", LogOfFile(self._path)))
            self._inner(event)
        except OSError:
            pass  # the disk is full, or the directory is another user's
