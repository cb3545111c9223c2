"""
The promise, over hundreds of stories (`tests/simulation`): whatever happens to disks, networks, clocks and processes,
I1 to I5 hold after every step and at the end.

    P2PCHAT_SEEDS=5000 python -m twisted.trial tests.test_simulation      as many as told
"""

import os

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.doubt import Fits
from p2pchat.peer import settlement
from p2pchat.peer.inbox import Inbox
from p2pchat.peer.outbox import Outbox
from p2pchat.peer.receipts import Stored

from .simulation.plot import WORDS, Plot, Step, plot_of
from .simulation.shrink import fails, shrink, story_of

SEEDS = int(os.environ.get("P2PCHAT_SEEDS", "300"))
"""Stories; the seeds are 0 and up, so that a failure can be told again."""

PARTS = 6
"""Tests that share them, so that all workers have something to do."""


class StoryTests(SynchronousTestCase):
    """A part of the stories each."""

    def tell(self, part: int) -> None:
        """Every story of one part; the first one that goes wrong is told, as short as it gets."""
        for seed in range(part, SEEDS, PARTS):
            wrong = fails(plot_of(seed))
            if wrong:
                self.fail(f"{wrong}\n{story_of(shrink(plot_of(seed), wrong))}")
        # What was logged as an error was judged in its story: what dead processes log is nobody's business.
        self.flushLoggedErrors()

    def test_part_1(self) -> None:
        """I1 to I5 hold."""
        self.tell(0)

    def test_part_2(self) -> None:
        """I1 to I5 hold."""
        self.tell(1)

    def test_part_3(self) -> None:
        """I1 to I5 hold."""
        self.tell(2)

    def test_part_4(self) -> None:
        """I1 to I5 hold."""
        self.tell(3)

    def test_part_5(self) -> None:
        """I1 to I5 hold."""
        self.tell(4)

    def test_part_6(self) -> None:
        """I1 to I5 hold."""
        self.tell(5)


class PlotTests(SynchronousTestCase):
    """What stories are made of."""

    def test_everything_happens(self) -> None:
        """In the stories that every run of the tests tells each word comes, and there are liars and third parties."""
        plots = [plot_of(seed) for seed in range(300)]
        self.assertEqual({str(step[0]) for plot in plots for step in plot.steps}, set(WORDS))
        self.assertTrue(any(plot.liar for plot in plots))
        self.assertTrue(any("carol" in plot.cast for plot in plots))

    def test_same_seed_same_story(self) -> None:
        """A seed tells the same story every time, to the last byte."""
        for seed in (1, 2, 3):
            self.assertEqual(story_of(plot_of(seed)), story_of(plot_of(seed)))
        self.flushLoggedErrors()


class EndTests(SynchronousTestCase):
    """What people do when the faults stop: it is no fault of the peers where the story forgets one of them."""

    def tell(self, *steps: Step) -> None:
        self.assertEqual(fails(Plot(1, ("alice", "bob"), False, steps)), "")
        self.flushLoggedErrors()

    def test_started_in_the_middle_of_a_start(self) -> None:
        """Whose start was under way, something committed and not told yet, is there when people want to chat."""
        self.tell(("start", "alice"), ("start", "bob"), ("commit", "alice"), ("commit", "bob"))

    def test_told_of_a_full_disk_at_the_end(self) -> None:
        """Who could not start on a full disk, and reads that when it has room again, is started again."""
        turns: list[Step] = [("turn",)] * 3
        before: list[Step] = [("start", "alice"), *turns, ("want", "alice", "bob", 0), *turns]
        self.tell(*before, ("say", "alice", "bob", 1, 0), ("start", "bob"), ("full", "bob", 1), ("commit", "bob"))

    def test_displayed_out_of_a_lost_database(self) -> None:
        """What a front end was told out of a database that is gone says nothing about the next one."""
        start: list[Step] = [("start", "alice"), ("start", "bob"), ("wait", 1.0)]
        talk: list[Step] = [("want", "alice", "bob", 0), ("wait", 20.0), ("say", "bob", "alice", 1, 0)]
        before: list[Step] = [*start, *talk, ("wait", 5.0), ("lose", "alice")]
        self.tell(*before, *start, *talk, ("turn",), ("display", "alice", "bob", 0))


class FailureTests(SynchronousTestCase):
    """A mistake is found, and told in a short story. `python -m tests.mutants` has many more of them."""

    def assert_found(self, found: str) -> str:
        """Some story goes wrong like this; its telling, shrunk."""
        for seed in range(SEEDS):
            plot = plot_of(seed)
            wrong = fails(plot)
            if wrong:
                break
        else:
            self.fail("nothing was found")
        self.assertIn(found, wrong)
        short = shrink(plot, wrong)
        self.assertLess(len(short.steps), len(plot.steps) // 2)
        told = story_of(short)
        self.assertTrue(told.startswith(f"seed {seed}, {len(short.steps)} steps: ('start', "), told)
        self.assertIn(found, told[told.index("WRONG: ") :])
        self.flushLoggedErrors()
        return told

    def test_acknowledged_before_the_commit(self) -> None:
        """I1: a peer that acknowledges what is in its memory alone."""
        write = Inbox._write

        def hasty(inbox, two, batch, now):
            selected = inbox._selected()
            if selected is not None and selected.exchange is not None:
                inbox._acknowledge(selected, selected.exchange, [Stored(each, 0) for each in batch])
            return write(inbox, two, batch, now)

        self.patch(Inbox, "_write", hasty)
        told = self.assert_found("I1: ")
        self.assertRegex(told, r"\d s  (alice|bob|carol) says ")

    def test_nothing_sent_again(self) -> None:
        """I5: an author that takes everything that it ever wrote for delivered."""
        self.patch(settlement, "compare", lambda known, holding, store, head_at: Fits(known.seq, known.head))
        self.assert_found("is told as delivered, and is not durable there")

    def test_never_sent(self) -> None:
        """I5: an author that keeps what it has for itself."""
        self.patch(Outbox, "pump", lambda outbox: None)
        self.assert_found("I5: ")
