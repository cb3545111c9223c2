"""Problems that are told, and those that were told already."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.api import Event, Problem, Stopping
from p2pchat.peer.problems import MOST_LINES, QUIET_FOR, Problems


class ProblemsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Event] = []
        self.problems = Problems(self.clock, self.told.append)

    def test_same_line(self) -> None:
        """A line is said once a minute."""
        for _ in range(1000):
            self.problems.emit(Problem(text="no room"))
        self.assertEqual(self.told, [Problem(text="no room")])
        self.clock.advance(QUIET_FOR)
        self.problems.emit(Problem(text="no room"))
        self.assertEqual(len(self.told), 2)

    def test_many_lines(self) -> None:
        """Different lines are said up to a number, and then again a minute later."""
        for number in range(1000):
            self.problems.emit(Problem(text=f"problem {number}"))
        self.assertEqual(len(self.told), MOST_LINES)
        self.clock.advance(QUIET_FOR)
        self.problems.emit(Problem(text="another"))
        self.assertEqual(len(self.told), MOST_LINES + 1)

    def test_other_events(self) -> None:
        """Everything else is passed on as it is."""
        for _ in range(3):
            self.problems.emit(Stopping())
        self.assertEqual(self.told, [Stopping()] * 3)
