"""The inner end of a program on Twisted (see processes.py): questions come as lines, and each is answered by one."""

import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import stdio
from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

Answer = dict[str, Any]
Act = Callable[..., Coroutine[Deferred[Any], Any, Answer]]


class Lines(LineOnlyReceiver):
    """Runs `act` with the fields of each question, one at a time, and ends the process when nobody asks any more."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, greeting: Answer, act: Act) -> None:
        self._greeting = greeting
        self._act = act

    def connectionMade(self) -> None:
        self._say(self._greeting)

    def lineReceived(self, line: bytes) -> None:
        answer = Deferred.fromCoroutine(self._act(**json.loads(line)))
        answer.addCallbacks(self._say, self._fail)

    def connectionLost(self, reason: Failure | None = None) -> None:
        _stop()

    def _say(self, answer: Answer) -> None:
        self.sendLine(json.dumps(answer).encode())

    def _fail(self, failure: Failure) -> None:
        print(failure.getTraceback(), file=sys.stderr)
        _stop()


def serve(greeting: Answer, act: Act) -> None:
    """Greet whoever started us, and answer until they go."""
    stdio.StandardIO(Lines(greeting, act))


def run(start: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
    """Run a program whose coroutine `start` ends with `serve`."""
    from twisted.internet import reactor

    vars(reactor)["seconds"] = time.monotonic

    def failed(failure: Failure) -> None:
        print(failure.getTraceback(), file=sys.stderr)
        _stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(start()).addErrback(failed))
    reactor.run()


def _stop() -> None:
    from twisted.internet import reactor

    if reactor.running:
        reactor.stop()
