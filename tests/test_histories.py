from twisted.trial.unittest import SynchronousTestCase

from .histories import Attempt, Outcome, Recorded, judge


def accepted(*numbers: int) -> list[Attempt]:
    return [Attempt(f"line {number}", Outcome.ACCEPTED, number) for number in numbers]


def recorded(*numbers: int) -> list[Recorded]:
    return [Recorded(number, f"line {number}") for number in numbers]


class JudgeTests(SynchronousTestCase):
    """The checker of the crash tests finds what it is there for."""

    def test_kept(self):
        """All that was accepted arrived once and in order: nothing is wrong."""
        verdict = judge(accepted(1, 2, 3), recorded(1, 2, 3))
        self.assertTrue(verdict.kept)
        self.assertEqual(str(verdict), "3 accepted, 3 recorded, lost 0, twice 0, reordered 0, phantom 0")

    def test_lost(self):
        """What was accepted and is not there is lost, wherever it stood."""
        self.assertEqual(judge(accepted(1, 2, 3), recorded(1, 3)).lost, ("line 2",))
        self.assertEqual(judge(accepted(1, 2), recorded(1)).lost, ("line 2",))

    def test_twice(self):
        """A message that is there twice is found, under one number or two."""
        self.assertEqual(judge(accepted(1, 2), recorded(1, 2, 2)).twice, ("line 2",))
        again = [*recorded(1, 2), Recorded(3, "line 1")]
        self.assertEqual(judge(accepted(1, 2), again).twice, ("line 1",))

    def test_reordered(self):
        """A message behind a later one is found, also where numbers alone do not show it."""
        self.assertEqual(judge(accepted(1, 2, 3), recorded(1, 3, 2)).reordered, ("line 2",))
        unknown = [Attempt("a", Outcome.UNKNOWN), Attempt("b", Outcome.UNKNOWN)]
        self.assertEqual(judge(unknown, [Recorded(1, "b"), Recorded(2, "a")]).reordered, ("a",))

    def test_phantom(self):
        """What nobody said, what was refused, and what has another number than was told is no message."""
        attempts = [*accepted(1), Attempt("refused", Outcome.REFUSED)]
        found = [Recorded(1, "line 1"), Recorded(2, "refused"), Recorded(3, "invented")]
        self.assertEqual(judge(attempts, found).phantom, ("refused", "invented"))
        self.assertEqual(judge(accepted(1), [Recorded(2, "line 1")]).phantom, ("line 1",))

    def test_unknown(self):
        """What nobody was told about may be there or not, but not twice."""
        attempts = [*accepted(1), Attempt("x", Outcome.UNKNOWN)]
        for found in (recorded(1), [*recorded(1), Recorded(2, "x")]):
            self.assertTrue(judge(attempts, found).kept)
        twice = [*recorded(1), Recorded(2, "x"), Recorded(3, "x")]
        self.assertEqual(judge(attempts, twice).twice, ("x",))
