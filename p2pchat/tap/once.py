"""The reactor for a command that needs the network once."""

import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
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

    def start() -> None:
        deferred = Deferred.fromCoroutine(main(running))
        deferred.addBoth(results.append)
        deferred.addBoth(lambda _: running.stop())

    running.callWhenRunning(start)
    running.run()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not results:
        raise KeyboardInterrupt
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    assert not isinstance(result, Failure)
    return result
