"""p2pchat.core.clockwatch: a wall clock beside one that nobody sets."""

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.clockwatch import AWAY, JUMP, PROBATION, ClockWatch

WALL = 1_790_000_000_000
YEAR = 365 * 86_400_000


class ClockWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wall, self.now = WALL, 100.0
        self.watch = ClockWatch(self.wall, self.now)

    def go(self, seconds: float, jump: int = 0) -> None:
        self.now += seconds
        self.wall += int(seconds * 1000) + jump
        self.watch.look(self.wall, self.now)

    def test_runs(self) -> None:
        """A clock that goes on as the other one is believed, however long that is, and so is one that is slewed."""
        for _ in range(100):
            self.go(86_400, jump=JUMP - 1)
        self.assertFalse(self.watch.doubted)

    def test_jump(self) -> None:
        """One that jumped ahead is doubted until it has jumped back."""
        self.go(1, jump=YEAR)
        self.assertTrue(self.watch.doubted)
        self.go(3_600, jump=-YEAR)
        self.assertFalse(self.watch.doubted)

    def test_back_and_on(self) -> None:
        """One that was behind deletes nothing too early, and is believed when it is set right."""
        self.go(1, jump=-YEAR)
        self.assertFalse(self.watch.doubted)
        self.go(1, jump=YEAR)
        self.assertFalse(self.watch.doubted)
        self.go(1, jump=YEAR)
        self.assertTrue(self.watch.doubted)

    def test_probation(self) -> None:
        """It is believed after a day of running, counted from the last jump."""
        self.go(1, jump=YEAR)
        self.go(PROBATION - 10)
        self.assertTrue(self.watch.doubted)
        self.go(1, jump=YEAR)
        self.go(PROBATION - 10)
        self.assertTrue(self.watch.doubted)
        self.go(10)
        self.assertEqual((self.watch.doubted, self.watch.off, self.watch.ran), (False, 0, 0))

    def test_start(self) -> None:
        """At the start it is doubted beyond an absence, by what earlier processes ran less long."""
        for away, doubted in ((0, False), (AWAY - 1, False), (AWAY, True), (YEAR, True), (-YEAR, False)):
            self.setUp()
            self.watch.begin(self.wall - away, PROBATION - 5)
            self.assertEqual(self.watch.doubted, doubted, away)
            self.go(10)
            self.assertFalse(self.watch.doubted)

    def test_start_behind(self) -> None:
        """What starts with a clock from long ago, and sets it by the network, is not doubted for that."""
        self.watch.begin(self.wall + YEAR, 0)
        self.go(5, jump=YEAR)
        self.assertFalse(self.watch.doubted)

    def test_confirmed(self) -> None:
        """It is right where somebody else's agrees."""
        self.go(1, jump=YEAR)
        self.watch.confirm()
        self.assertFalse(self.watch.doubted)
