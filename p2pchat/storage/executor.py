"""
Where the work of a database is done: on threads, or at once in the caller (tests and the simulation).

A *lane* takes jobs in order and gives them to its worker, which does as many as it likes in one go and returns
what is left to do on the reactor's thread. Lanes are independent: a long one never delays another.
"""

import sys
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

SWITCH_SECONDS = 0.0005
"""
How long a busy thread keeps the interpreter from one that wants it; Python's own figure is ten times that. SQLite lets
go of the interpreter at every statement, and a writer that waits so long to have it back does a batch at a snail's pace
while the reactor is busy.
"""

JobT = TypeVar("JobT")
WorkT = TypeVar("WorkT", contravariant=True)

Deliver = Callable[[], None]
"""What a worker leaves to the reactor's thread: firing Deferreds."""


class Worker(Protocol[WorkT]):
    """What does the jobs of one lane; all of it is called on the lane's thread."""

    def open(self) -> None:
        """Open what it needs; what it raises goes to the Deferred of `start`."""

    def run(self, job: WorkT, more: Callable[[], WorkT | None]) -> Deliver:
        """Do `job`, and more of those that wait, as long as `more()` gives one; never raises an Exception."""

    def rest(self) -> None:
        """Called after each `run`, when its results are on their way."""

    def close(self) -> None:
        """Close everything; nothing is called afterwards."""


class Lane(Protocol[WorkT]):
    """A queue of jobs and the place where they are done."""

    def start(self) -> Deferred[None]:
        """Open the worker; nothing (no thread, no file) exists before."""

    def submit(self, job: WorkT) -> None:
        """Have it done after all that were submitted before."""

    def stop(self) -> Deferred[None]:
        """Do what waits, close the worker, end the thread."""


class Executor(Protocol):
    """Makes lanes."""

    one_connection: bool
    """Whether all lanes run in one thread, so that they can, and do, share one connection."""

    def seconds(self) -> float:
        """A clock for the length of a batch."""

    def lane(self, name: str, worker: Worker[JobT]) -> Lane[JobT]:
        """A new lane; it does nothing before its `start()`."""


class ThreadExecutor:
    """A thread for each lane: for production."""

    one_connection = False

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        sys.setswitchinterval(SWITCH_SECONDS)

    def seconds(self) -> float:
        """Monotonic seconds."""
        return monotonic()

    def lane(self, name: str, worker: Worker[JobT]) -> "ThreadLane[JobT]":
        """A lane whose thread is called `name`."""
        return ThreadLane(self._reactor, name, worker)


class ThreadLane(Generic[JobT]):
    """A lane with a thread of its own, which lives from `start` to `stop`."""

    _log = Logger()

    def __init__(self, reactor: IReactorFromThreads, name: str, worker: Worker[JobT]) -> None:
        self._reactor = reactor
        self._name = name
        self._worker = worker
        self._stopped: Deferred[None] | None = None

    def start(self) -> Deferred[None]:
        """Start the thread and open the worker in it."""
        self._queue: SimpleQueue[JobT | None] = SimpleQueue()
        self._ended = False
        started: Deferred[None] = Deferred()
        # A daemon thread: a process that dies without stopping us must not hang; the database stands that.
        Thread(target=self._live, args=(started,), name=self._name, daemon=True).start()
        return started

    def submit(self, job: JobT) -> None:
        """Have it done after all that were submitted before."""
        self._queue.put(job)

    def stop(self) -> Deferred[None]:
        """Do what waits and end; fires when the worker is closed."""
        self._stopped = Deferred()
        self._queue.put(None)
        return self._stopped

    def _live(self, started: Deferred[None]) -> None:
        try:
            self._worker.open()
        except Exception:
            self._reactor.callFromThread(started.errback, Failure())
            return
        self._reactor.callFromThread(started.callback, None)
        while not self._ended:
            job = self._queue.get()
            if job is None:
                break
            self._reactor.callFromThread(self._worker.run(job, self._more))
            self._worker.rest()
        self._close()

    def _more(self) -> JobT | None:
        try:
            job = self._queue.get_nowait()
        except Empty:
            return None
        self._ended = job is None
        return job

    def _close(self) -> None:
        try:
            self._worker.close()
        except Exception:
            self._log.failure("closing {name} failed", name=self._name)
        self._reactor.callFromThread(self._fire_stopped)

    def _fire_stopped(self) -> None:
        if self._stopped is not None:
            self._stopped.callback(None)


class InlineExecutor:
    """
    Does everything in the caller: for the simulation and for synchronous tests.

    Automatic: each job is done, and its Deferred fired, inside `submit`. Otherwise `commit()` does what waits, one
    batch for each lane, and `deliver()` fires: so a crash can be put before, between and behind the two. What is
    no `Exception` (a simulated crash, say) goes through to the caller.
    """

    one_connection = True

    def __init__(self, automatic: bool = True) -> None:
        self.automatic = automatic
        self._lanes: list[_InlineLaneView] = []

    def seconds(self) -> float:
        """Stands still: a batch is bounded by its count alone."""
        return 0.0

    def lane(self, name: str, worker: Worker[JobT]) -> "InlineLane[JobT]":
        """A lane that is worked off by `commit` and `deliver`, or at once."""
        lane = InlineLane(self, worker)
        self._lanes.append(lane)
        return lane

    def forget(self, lane: "_InlineLaneView") -> None:
        """The lane was stopped."""
        self._lanes.remove(lane)

    def commit(self) -> bool:
        """One batch of each lane that has jobs, in the order in which the lanes were made; false if none had."""
        done = [lane.commit() for lane in self._lanes]
        return any(done)

    def deliver(self) -> bool:
        """Fire the Deferreds of what was committed; false if there are none. It may leave new jobs behind."""
        done = [lane.deliver() for lane in self._lanes]
        return any(done)

    def run(self) -> None:
        """Commit and deliver until nothing waits."""
        while self.commit():
            self.deliver()


class _InlineLaneView(Protocol):
    def commit(self) -> bool: ...

    def deliver(self) -> bool: ...


class InlineLane(Generic[JobT]):
    """A lane of an `InlineExecutor`."""

    def __init__(self, executor: InlineExecutor, worker: Worker[JobT]) -> None:
        self._executor = executor
        self._worker = worker
        self._waiting: deque[JobT] = deque()
        self._results: deque[Deliver] = deque()
        self._busy = False

    def start(self) -> Deferred[None]:
        """Open the worker, here and now."""
        try:
            self._worker.open()
        except Exception:
            return fail(Failure())
        return succeed(None)

    def submit(self, job: JobT) -> None:
        """Do it now, or keep it for `commit`."""
        self._waiting.append(job)
        # A job submitted by the callback of another is done by the loop that fired it.
        if self._executor.automatic and not self._busy:
            self._drain()

    def stop(self) -> Deferred[None]:
        """Do what waits and close the worker."""
        self._drain()
        self._executor.forget(self)
        self._worker.close()
        return succeed(None)

    def commit(self) -> bool:
        """Do one batch; false if nothing waits."""
        if not self._waiting:
            return False
        self._results.append(self._worker.run(self._waiting.popleft(), self._more))
        self._worker.rest()
        return True

    def deliver(self) -> bool:
        """Fire what was done; false if nothing was."""
        fired = bool(self._results)
        while self._results:
            self._results.popleft()()
        return fired

    def _more(self) -> JobT | None:
        return self._waiting.popleft() if self._waiting else None

    def _drain(self) -> None:
        self._busy = True
        try:
            while self.commit():
                self.deliver()
            self.deliver()
        finally:
            self._busy = False
