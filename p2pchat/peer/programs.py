"""
Programs that the person told us to run, as few and as short as that may be: an argument list and no shell, some at a
time, each killed when it takes too long. What others say may be in what they are given, never in what is run.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

AT_ONCE = 4
"""Programs that run at a time."""

WAITING = 32
"""Starts that wait for one of them to end; what is beyond is left out."""

STARTS, PER = 60, 60.0
"""Starts in so many seconds; what is beyond is left out."""

TIME_TO_LIVE = 10.0
"""Seconds after which a program is killed."""

ENDED_WITHIN = 3.0
"""Seconds that the end of the peer waits for programs that were killed: one may hang in the kernel."""

LOGGED_BYTES = 300
"""Of what a program that failed wrote to its standard error."""


class IProgramReactor(IReactorProcess, IReactorTime):
    """What is asked of the reactor."""


class Programs:
    """Runs them. `complain` is given one line for the person, once for each thing that is wrong."""

    log = Logger()

    def __init__(self, reactor: IProgramReactor, complain: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._complain = complain
        self._running: set[_Program] = set()
        self._waiting: deque[tuple[Sequence[str], bytes]] = deque()
        self._started_at: deque[float] = deque()
        self._said: set[str] = set()
        self._left_out = 0
        self._ended: Deferred[None] | None = None
        self._giving_up: IDelayedCall | None = None

    def run(self, words: Sequence[str], data: bytes = b"") -> None:
        """Run `words` (a program by its whole path, and its arguments) with `data` on its standard input."""
        if self._ended is not None:
            return
        if len(self._waiting) >= WAITING or not self._may_start():
            self._left_out += 1
            self.log.debug("{count} starts of programs were left out", count=self._left_out)
            self._say_once("more came than programs may be run for; some of it was not given to them")
            return
        self._waiting.append((tuple(words), data))
        self._next()

    def missing(self, what: str, advice: str) -> None:
        """A program is not there: say so, once."""
        self._say_once(f"{what} cannot be run; {advice}")

    def stop(self) -> "Deferred[None]":
        """Kill what runs and start nothing more; fires when all have ended, or after some seconds."""
        if self._ended is None:
            self._ended = Deferred()
            self._giving_up = self._reactor.callLater(ENDED_WITHIN, self._ended.callback, None)
        self._waiting.clear()
        for program in list(self._running):
            program.kill()
        self._tell_if_over()
        return self._ended

    def _may_start(self) -> bool:
        now = self._reactor.seconds()
        while self._started_at and self._started_at[0] <= now - PER:
            self._started_at.popleft()
        if len(self._started_at) >= STARTS:
            return False
        self._started_at.append(now)
        return True

    def _next(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            words, data = self._waiting.popleft()
            program = _Program(words[0], data, self._reactor, self._failed, self._over)
            self._running.add(program)
            try:
                self._reactor.spawnProcess(
                    program, words[0], list(words), env=dict(os.environ), childFDs={0: "w", 1: "r", 2: "r"}
                )
            except OSError as error:
                self._running.discard(program)
                self._say_once(f"{words[0]} cannot be run: {error.strerror}; /notify changes that")

    def _failed(self, name: str, how: str) -> None:
        # Not what it wrote: that may be somebody else's words, which have no place in a line of ours (X6).
        self._say_once(f"{name} {how}; the log says more")

    def _over(self, program: "_Program") -> None:
        self._running.discard(program)
        self._next()
        self._tell_if_over()

    def _tell_if_over(self) -> None:
        if self._giving_up is not None and self._giving_up.active() and not self._running:
            self._giving_up.cancel()
            if self._ended is not None:
                self._ended.callback(None)

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._complain(line)


class _Program(ProcessProtocol):
    """One that runs."""

    log = Logger()

    def __init__(
        self,
        name: str,
        data: bytes,
        reactor: IReactorTime,
        failed: Callable[[str, str], None],
        over: Callable[["_Program"], None],
    ) -> None:
        self._name = name
        self._data = data
        self._reactor = reactor
        self._failed = failed
        self._over = over
        self._killed = False
        self._errors = b""
        self._timer: IDelayedCall | None = None

    def kill(self) -> None:
        """End it, whatever it does."""
        self._killed = True
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    # --- ProcessProtocol

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._timer = self._reactor.callLater(TIME_TO_LIVE, self._too_long)
        self.transport.write(self._data)
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        """Nobody asked for it."""

    def errReceived(self, data: bytes) -> None:
        self._errors = (self._errors + data)[:LOGGED_BYTES]

    def processExited(self, reason: Failure) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        code = getattr(reason.value, "exitCode", None)
        if code != 0:
            said = self._errors.decode("utf-8", "replace")
            self.log.info("{name!r} ended with {code}: {said!r}", name=self._name, code=code, said=said)
            if not self._killed:
                self._failed(self._name, f"failed (exit code {code})" if code is not None else "was killed")
        # Not when its pipes are closed too: what it left behind may hold them for ever.
        assert self.transport is not None
        self.transport.loseConnection()
        self._over(self)

    def _too_long(self) -> None:
        self._failed(self._name, f"took more than {TIME_TO_LIVE:.0f} s and was killed")
        self.kill()
