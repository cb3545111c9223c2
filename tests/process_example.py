"""
The smallest daemon on p2pchat.tap.process, for the tests of it: told by --do what to do, it does that.

Not a test itself: a real twistd loads it (see tests/test_process.py).
"""

from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pchat.core.errors import StateError, UsageError
from p2pchat.tap.process import DaemonOptions, Process


class Options(DaemonOptions):
    """`--do` names a behaviour."""

    role = "example"
    optParameters = [["do", None, "run", "what to do"], ["number", None, 0, "a number", int]]  # type: ignore[list-item]

    def configure(self):
        if self["do"] == "bad-settings":
            raise UsageError("--do is bad; choose a better one")
        return Path(self["state"]).absolute()


class Example(Service):
    """Opens the state directory, then does as told."""

    log = Logger()

    def __init__(self, what, state, reactor):
        self.what, self.state, self.reactor = what, state, reactor
        self.started = Deferred()
        self.process = None

    def startService(self):
        super().startService()
        self.state.open()
        self.log.info("{text!s}", text="hello \x1b[2J\n-- forged")
        match self.what:
            case "raise":
                raise StateError("the disk is on fire; take water")
            case "bug":
                raise ZeroDivisionError
            case "fail-later":
                error = StateError("no port is free; stop something")
                self.reactor.callLater(0.01, self.started.errback, error)
            case "die":
                self.reactor.callLater(0.01, __import__("os")._exit, 9)
            case _:
                self.reactor.callLater(0.01, self.started.callback, None)
        if self.what == "finish":
            self.started.addCallback(lambda _: self.process.finish(4, "bob refused"))
        if self.what == "done":
            self.started.addCallback(lambda _: self.process.finish())

    def stopService(self):
        self.log.info("stopped in order")
        self.state.close()
        return super().stopService()


def makeService(options):
    """A root service with one example in it."""
    from twisted.internet import reactor

    process = Process(options, reactor)
    example = Example(options["do"], options.state_directory, reactor)
    example.process = process
    example.setServiceParent(process)
    process.started_by(example.started, lambda: "example is up")
    return process
