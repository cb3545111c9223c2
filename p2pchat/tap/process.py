"""
What a daemon and its Unix process owe each other: options, log, pid file, signals, clock, last words, exit code.

twistd reads the options, makes the service, forks, starts the service, and returns 0 whatever happened. Here is the
rest. A plugin's module uses it like this:

    class Options(DaemonOptions):
        role = "server"
        optParameters = [["port", None, 8888, "what it is for", int]]      # --state is there already

        def configure(self) -> Path:
            self.settings = ServerSettings(...)     # may raise UserError: one line, and its exit code
            return self.settings.state

    def makeService(options: Options) -> Process:
        from twisted.internet import reactor

        process = Process(options, reactor)         # sets the monotonic clock; forks where twistd daemonizes
        service = ServerService(options.settings, reactor)
        service.setServiceParent(process)
        process.started_by(service.started, lambda: "what a person reads after the start")
        return process

`started` is a Deferred: None when everything is bound and open, UserError if that failed. `startService` may also
raise UserError. Either way, and whether it daemonized or not, the person gets one line and the shell an exit code.
Later, `process.finish(code, line)` ends the process from wherever it is called.
"""

import atexit
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol, TextIO, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, Logger, textFileLogObserver
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from p2pchat import __version__
from p2pchat.core.errors import StateError, UserError
from p2pchat.core.text import Kind, clean
from p2pchat.storage.directory import StateDirectory

LOG_BYTES = 1_000_000
LOG_FILES = 3
"""A log is at most this long, and so many older ones are kept: a chat's log must not fill the disk."""

REPORT_BYTES = 4_096
"""What the waiting parent reads of one line; a pipe takes as much at once (PIPE_BUF)."""

TWISTD_PID_FILE = "twistd.pid"
"""twistd's default, by which we see that nobody asked for another one."""


class Running(Protocol):
    """What a process asks of the reactor."""

    running: bool

    def callWhenRunning(self, function: Callable[[], object]) -> object:
        """IReactorCore."""

    def callFromThread(self, function: Callable[[], object]) -> object:
        """IReactorFromThreads."""

    def stop(self) -> None:
        """IReactorCore."""


def leave(line: str, code: int) -> NoReturn:
    """End a process that has not started anything yet: one line for the person, and the code."""
    print(line, file=sys.stderr)  # noqa: T201
    raise SystemExit(code)


class DaemonOptions(usage.Options):
    """Base of both daemons' options; see the top of this module."""

    role = ""
    """`server` or `peer`."""

    optParameters = [
        ["state", None, None, "The directory that holds the key, the database, the log. Nobody else may use it."],
    ]

    log_file: Path | None = None
    """Where the log goes; None if the person told twistd something else."""

    state_directory: StateDirectory
    """Set by `postOptions`; not open."""

    def configure(self) -> Path:
        """Check the options, keep what they mean, give the state directory. Raises UserError."""
        raise NotImplementedError

    def opt_version(self) -> NoReturn:
        """Print the version of p2pchat and exit."""
        print(f"p2pchat {__version__}")  # noqa: T201
        raise SystemExit(0)

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Read the arguments; what is wrong with them is said in one line, not under three pages of help."""
        _fill_standard_streams()
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            leave(f"p2pchat-{self.role}: {error} (see twistd p2pchat-{self.role} --help)", 2)
        except UserError as error:
            leave(f"p2pchat-{self.role}: {error}", error.exit_code)

    def postOptions(self) -> None:
        """Before anything is forked: try the state directory, and tell twistd where log and pid file go."""
        self.state_directory = StateDirectory(self.configure(), self.role)
        with self.state_directory:
            pass  # it can be used, and nobody else uses it: better said now than from a detached process
        self.state_directory.remove_stale_pid_file()
        parent: Any = self.parent
        if parent is None:
            return
        if not (parent["logfile"] or parent["logger"] or parent.get("syslog")):
            self.log_file = _checked_log(self.state_directory.log_file)
        if parent["pidfile"] == TWISTD_PID_FILE:
            parent["pidfile"] = "" if parent["nodaemon"] else str(self.state_directory.pid_file)

    @property
    def detaches(self) -> bool:
        """Whether twistd is going to daemonize."""
        parent: Any = self.parent
        return parent is not None and not (parent["nodaemon"] or parent["debug"])


class Process(MultiService):
    """The root of a daemon's services; see the top of this module."""

    _log = Logger()

    def __init__(self, options: DaemonOptions, reactor: Any) -> None:
        super().__init__()
        self._reactor: Running = reactor
        self._log_file = options.log_file
        self._name = f"p2pchat-{options.role}"
        self._exit_code: int | None = None
        self._last_words = ""
        # Before the first timer: a step of the wall clock would stop every timer of Twisted otherwise (F15).
        reactor.seconds = time.monotonic
        self._waiting = _fork_and_wait(self._name, options.log_file) if options.detaches else None

    @property
    def exit_code(self) -> int:
        """What the process exits with, as far as is known."""
        return self._exit_code or 0

    # --- twistd's side

    def setServiceParent(self, parent: Any) -> None:
        """
        Tell the application where its log goes.

        Not by --logfile, whose rotated files are never removed.
        """
        super().setServiceParent(parent)
        if self._log_file is not None:
            parent.setComponent(ILogObserver, textFileLogObserver(cast("IO[Any]", LogOfFile(self._log_file))))

    def startService(self) -> None:
        """Start all services; what they raise ends the process in order."""
        atexit.register(self._leave)
        self._reactor.callWhenRunning(self._listen_to_hangup)
        try:
            super().startService()
        except Exception:
            self._start_failed(Failure())

    # --- for the services

    def started_by(self, started: "Deferred[None]", words: Callable[[], str] = str) -> None:
        """Say `words()` when `started` fires; end the process when it fails."""
        started.addCallbacks(lambda _: self.ready(words()), self._start_failed)

    def ready(self, line: str = "") -> None:
        """The start is over: whoever waits at a terminal gets the line and the shell back."""
        if not self._report(0, line) and line:
            self._log.info("{line!s}", line=line)

    def finish(self, code: int = 0, line: str = "") -> None:
        """
        End the process in order with this exit code; the first call counts.

        The line is the last thing that a person reads, after the terminal was given back.
        """
        if self._exit_code is None:
            self._exit_code, self._last_words = code, line
            if line:
                self._log.info("ending with code {code}: {line!r}", code=code, line=line)
            self._report(code or 1, line)
        self._reactor.callWhenRunning(self._stop)

    # --- inside

    def _start_failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, UserError):
            self.finish(error.exit_code, f"{self._name}: {error}")
            return
        self._log.failure("the start failed", failure)
        where = f"; the log says more: {self._log_file}" if self._log_file else ""
        self.finish(1, f"{self._name}: cannot start: {type(error).__name__}{where}")

    def _stop(self) -> None:
        with contextlib.suppress(ReactorNotRunning):  # it may be stopping already
            self._reactor.stop()

    def _listen_to_hangup(self) -> None:
        # twistd leaves SIGHUP alone, so that a closed terminal would kill us; under nohup it is ignored.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._hung_up)

    def _hung_up(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(lambda: self.finish(128 + number))

    def _report(self, code: int, line: str) -> bool:
        """Tell the parent that waits at the terminal, if there is one."""
        if self._waiting is None:
            return False
        descriptor, self._waiting = self._waiting, None
        with contextlib.suppress(BrokenPipeError):  # the person may not have waited for us
            os.write(descriptor, f"{code} {line}".encode("utf-8", "replace")[:REPORT_BYTES])
        os.close(descriptor)
        return True

    def _leave(self) -> None:
        """The very end of the process: twistd itself returns 0 and says nothing."""
        if self._last_words and sys.__stderr__ is not None:
            _write(sys.__stderr__, f"{self._last_words}\n")
        if self._exit_code:
            code, self._exit_code, self._last_words = self._exit_code, None, ""
            atexit._run_exitfuncs()  # what others registered; os._exit would skip them
            os._exit(code)


def _fill_standard_streams() -> None:
    """
    Put /dev/null where a standard stream was closed.

    Its number would go to the next file that is opened, such as the database, and what is meant for standard output
    into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        stream.write(text)
        stream.flush()


class LogOfFile:
    """A log file that stays within bounds, and holds nothing that a terminal would obey (X8)."""

    def __init__(self, path: Path) -> None:
        self._file = LogFile(
            path.name, str(path.parent), rotateLength=LOG_BYTES, maxRotatedFiles=LOG_FILES, defaultMode=0o600
        )

    def write(self, text: str) -> int:
        """Write a record, or several; an overlong one is cut."""
        self._file.write(clean(text.removesuffix("\n"), Kind.BODY) + "\n")
        return len(text)

    def flush(self) -> None:
        """Hand it to the system."""
        self._file.flush()

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()


def _checked_log(path: Path) -> Path:
    """Raises StateError where no log can be written."""
    try:
        LogOfFile(path).close()
    except OSError as error:
        raise StateError(f"cannot write the log {path}: {error.strerror}; move it away, or make it yours") from None
    return path


def _fork_and_wait(name: str, log_file: Path | None) -> int:
    """
    Fork; the parent waits at the terminal until the daemon is up, says how it went, and exits with its code.

    Gives the child the descriptor to report to. twistd's own status pipe cannot do this: it reports before the
    reactor runs, when nothing that takes time has happened, and shows the error as a hundred bytes of repr.
    """
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        # The terminal is the parent's now; twistd would write its own version of a failure there.
        sys.__stderr__ = open(os.devnull, "w")  # type: ignore[misc]  # noqa: SIM115
        return writing
    os.close(writing)
    os._exit(_wait(name, reading, log_file))


def _wait(name: str, descriptor: int, log_file: Path | None) -> int:
    report = b""
    while part := os.read(descriptor, REPORT_BYTES):
        report += part
    code, _, line = report.decode("utf-8", "replace").partition(" ")
    if not code.isdecimal():
        where = f"; the log may say more: {log_file}" if log_file else ""
        code, line = "1", f"{name}: it died before it was up{where}"
    stream = sys.stderr if int(code) else sys.stdout
    if line:
        _write(stream, f"{line}\n")
    return int(code)
