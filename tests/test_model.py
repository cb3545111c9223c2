from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core import doubt
from p2pchat.core.doubt import Fits

from . import model
from .model import Limits, Wrong, commit, search


class ModelTests(SynchronousTestCase):
    """Every state of a small world; `python -m tests.model` searches the larger ones and prints their number."""

    def assert_all_good(self, limits: Limits, at_least: int) -> None:
        self.assertGreater(search(limits), at_least)

    def test_crashes_and_lost_links(self):
        """Two messages, a crash, a lost link, two dials that may cross: nothing is lost, doubled or out of order."""
        self.assert_all_good(Limits(messages=2, crashes=1, restores=0, losses=1, dials=2), 5_000)

    def test_restored_backup(self):
        """A restored backup on either side is told, and what is still on the author's disk arrives."""
        self.assert_all_good(Limits(messages=2, crashes=0, restores=1, losses=0, dials=2), 5_000)

    def test_restored_backup_and_crash(self):
        """A restored backup and a crash, over three links."""
        self.assert_all_good(Limits(messages=1, crashes=1, restores=1, losses=0, dials=2), 2_000)


class MutantTests(SynchronousTestCase):
    """The search finds what it is there to find."""

    LIMITS = Limits(messages=2, crashes=1, restores=1, losses=0, dials=2)

    def test_no_head_check(self):
        """An author that believes the number of an entry and not its head loses messages after a restored backup."""

        def believe_numbers(known, holding, store, head_at):
            if holding is None or holding.seq > known.seq:
                return doubt.compare(known, holding, store, head_at)
            return Fits(holding.seq, head_at(holding.seq) or b"")

        self.patch(model, "compare", believe_numbers)
        # The number must be used again: one message before the backup, one after it, and one after it is back.
        self.assertRaises(Wrong, search, Limits(messages=3, crashes=0, restores=1, losses=0, dials=2))

    def test_no_new_stream(self):
        """An author that goes on in a stream whose head differs."""

        def go_on(known, holding, store, head_at):
            verdict = doubt.compare(known, holding, store, head_at)
            return Fits(known.confirmed_seq, known.confirmed_head) if isinstance(verdict, doubt.Broken) else verdict

        self.patch(model, "compare", go_on)
        self.assertRaises(Wrong, search, self.LIMITS)

    def test_no_resend(self):
        """An author that takes everything that it ever wrote for delivered."""

        def all_is_well(known, holding, store, head_at):
            return Fits(known.seq, known.head)

        self.patch(model, "compare", all_is_well)
        self.assertRaises(Wrong, search, self.LIMITS)

    def test_acknowledged_before_the_commit(self):
        """A reader that acknowledges what is in its memory alone."""

        def acknowledge_first(world, index, name, seq, entry):
            world = honest(world, index, name, seq, entry)
            told = commit(world, index)
            links = tuple(
                link._replace(back=told.links[index].back) if at == index else link
                for at, link in enumerate(world.links)
            )
            return world._replace(links=links)

        honest = model.receive
        self.patch(model, "receive", acknowledge_first)
        self.assertRaises(Wrong, search, self.LIMITS)
