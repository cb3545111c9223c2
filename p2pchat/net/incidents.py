"""
Incidents: what strangers do wrong, in a log that they cannot fill (T11).

The first incident of a kind from a source is written at once; those that follow are counted, and a minute
later written as one line.
"""

from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

WINDOW = 60.0
"""Seconds between two lines on the same source and kind."""

MAX_SOURCES = 100
"""Most pairs of source and kind told apart at a time; those beyond are counted as `OTHERS`."""

OTHERS = "other addresses"


@dataclass(slots=True)
class _Tally:
    written: float
    """When the last line on this was written, in the clock's seconds."""
    count: int = 0
    """Incidents since then."""


class IncidentLog:
    """Counts incidents by source and kind, and writes at most a line a minute on each."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self._timer: IDelayedCall | None = None

    def report(self, source: str, incident: str) -> None:
        """Something happened; `source` is an address, `incident` a few words of ours, never the stranger's."""
        pair = (source, incident)
        if pair not in self._tallies and len(self._tallies) >= MAX_SOURCES:
            pair = (OTHERS, incident)
        tally = self._tallies.get(pair)
        if tally is not None:
            tally.count += 1
            return
        self._tallies[pair] = _Tally(self._clock.seconds())
        self.log.info("{source}: {incident}", source=pair[0], incident=incident)
        if self._timer is None:
            self._timer = self._clock.callLater(WINDOW, self._sweep)

    def close(self) -> None:
        """Write what was counted and stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for pair, tally in self._tallies.items():
            self._write(pair, tally)
        self._tallies.clear()

    def _sweep(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for pair, tally in list(self._tallies.items()):
            if now - tally.written < WINDOW:
                continue
            if tally.count == 0:
                del self._tallies[pair]
            self._write(pair, tally)
            tally.written = now
        if self._tallies:
            self._timer = self._clock.callLater(WINDOW, self._sweep)

    def _write(self, pair: tuple[str, str], tally: _Tally) -> None:
        if tally.count:
            source, incident = pair
            self.log.info(
                "{source}: {incident} ({count} times more)", source=source, incident=incident, count=tally.count
            )
        tally.count = 0
