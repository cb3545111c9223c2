"""Incidents: a log that strangers cannot fill."""

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.net.incidents import MAX_SOURCES, OTHERS, WINDOW, IncidentLog


def lines(events: Sequence[LogEvent]) -> list[str]:
    return [formatEvent(event) for event in events]


class IncidentLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.incidents = IncidentLog(self.clock)

    def test_first_at_once(self) -> None:
        """The first incident of a kind from a source is written when it happens."""
        with capturedLogs() as events:
            self.incidents.report("10.0.0.5", "no hello")
            self.incidents.report("10.0.0.5", "no room")
            self.incidents.report("10.0.0.6", "no hello")
        self.assertEqual(lines(events), ["10.0.0.5: no hello", "10.0.0.5: no room", "10.0.0.6: no hello"])

    def test_T11_one_line_a_minute(self) -> None:
        """Ten thousand incidents of one kind from one source are two lines in two minutes."""
        with capturedLogs() as events:
            for _ in range(10_000):
                self.incidents.report("10.0.0.5", "no hello")
            self.clock.advance(WINDOW)
            self.clock.advance(WINDOW)
        self.assertEqual(lines(events), ["10.0.0.5: no hello", "10.0.0.5: no hello (9999 times more)"])

    def test_never_two_lines_within_the_window(self) -> None:
        """A source that was first seen late in another one's minute has a whole minute of its own."""
        with capturedLogs() as events:
            self.incidents.report("10.0.0.5", "no hello")
            self.clock.advance(WINDOW - 1)
            self.incidents.report("10.0.0.6", "no hello")
            self.incidents.report("10.0.0.6", "no hello")
            self.clock.advance(1)
            self.assertEqual(len(events), 2)
            self.clock.advance(WINDOW)
        self.assertEqual(lines(events)[2:], ["10.0.0.6: no hello (1 times more)"])

    def test_T11_many_sources_share_a_line(self) -> None:
        """Five thousand sources are a hundred lines and one on the others, and no more memory."""
        with capturedLogs() as events:
            for number in range(5_000):
                self.incidents.report(f"source {number}", "no hello")
            self.clock.advance(WINDOW)
        self.assertEqual(len(events), MAX_SOURCES + 2)
        self.assertIn(f"{OTHERS}: no hello (4899 times more)", lines(events))

    def test_quiet_needs_no_timer(self) -> None:
        """When nothing happens any more, nothing is kept and no timer runs."""
        self.incidents.report("10.0.0.5", "no hello")
        self.clock.advance(WINDOW)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        with capturedLogs() as events:
            self.incidents.report("10.0.0.5", "no hello")
        self.assertEqual(len(events), 1)
        self.incidents.close()

    def test_close_writes_what_was_counted(self) -> None:
        """Nothing that was counted is lost when the process stops."""
        with capturedLogs() as events:
            self.incidents.report("10.0.0.5", "no hello")
            self.incidents.report("10.0.0.5", "no hello")
            self.incidents.close()
        self.assertEqual(len(events), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])
