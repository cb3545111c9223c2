"""The reactor for a command that needs the network once."""

import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

ResultT = TypeVar("ResultT")


def run_once(main: Callable[[Any], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """
    Run `main(reactor)` to its end and give what it returns, or raise what it raises.

    Works once in a process, and no daemon can be started in it afterwards. Ctrl-C raises KeyboardInterrupt.
    """
    running: Any = reactor
    running.seconds = time.monotonic
    results: list[ResultT | Failure] = []

    def end(result: ResultT | Failure) -> None:
        if leave():  # after Ctrl-C, what comes of the connections that were cut is no result
            results.append(result)

    def leave() -> bool:
        with suppress(ReactorNotRunning):
            running.stop()
            return True
        return False

    running.callWhenRunning(lambda: Deferred.fromCoroutine(main(running)).addBoth(end))
    # The reactor's own handler would complain when Ctrl-C comes twice.
    signal.signal(signal.SIGINT, lambda number, frame: running.callFromThread(leave))
    running.run()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not results:
        raise KeyboardInterrupt
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    assert not isinstance(result, Failure)
    return result
