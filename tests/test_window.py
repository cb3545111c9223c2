"""The window of a reader (docs/protocol.md, section 10)."""

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import EndCode, RemoteProtocolError
from p2pchat.core.messages import MAX_ENTRY, Window
from p2pchat.core.window import AHEAD_BYTES, AHEAD_ENTRIES, FIRST_BYTES, FIRST_ENTRIES, Credit, Grant


class CreditTests(SynchronousTestCase):
    def test_start(self) -> None:
        """It starts at 256 entries and 256 KiB, granted by nobody."""
        credit = Credit()
        self.assertEqual((credit.entries, credit.bytes), (256, 262_144))

    def test_entries_run_out(self) -> None:
        """The 257th entry waits, however small."""
        credit = Credit()
        for _ in range(256):
            self.assertEqual(credit.spend([1]), 1)
        self.assertEqual(credit.spend([1]), 0)
        self.assertEqual(Credit().spend([1] * 300), 256)

    def test_bytes_run_out(self) -> None:
        """An entry that does not fit waits, a smaller one would not."""
        credit = Credit()
        self.assertEqual(credit.spend([262_144 - 10]), 1)
        self.assertEqual(credit.spend([11, 10]), 0)
        self.assertEqual(credit.spend([10, 1]), 1)
        self.assertEqual((credit.entries, credit.bytes), (254, 0))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(1, 60_000), max_size=400), st.integers(1, 50))
    def test_a_run_is_like_its_entries_one_by_one(self, sizes: list[int], together: int) -> None:
        """As many leave as would alone, up to the first that does not fit, and what they took is the same."""
        run, alone = Credit(), Credit()
        for start in range(0, len(sizes), together):
            part = sizes[start : start + together]
            count = 0
            while count < len(part) and alone.spend([part[count]]):
                count += 1
            self.assertEqual(run.spend(part), count)
            self.assertEqual((run.entries, run.bytes), (alone.entries, alone.bytes))

    def test_totals_are_absolute(self) -> None:
        """A window names totals since Select, not what is added."""
        credit = Credit()
        credit.spend([1000])
        self.assertTrue(credit.raise_to(Window(entries=300, bytes=300_000)))
        self.assertEqual((credit.entries, credit.bytes), (299, 299_000))

    def test_never_decreases(self) -> None:
        """A total that decreases is a violation; one that stays moves nothing."""
        for window in (
            Window(entries=255, bytes=262_144),
            Window(entries=256, bytes=262_143),
            Window(entries=0, bytes=0),
        ):
            error = self.assertRaises(RemoteProtocolError, Credit().raise_to, window)
            assert isinstance(error, RemoteProtocolError)
            self.assertIs(error.code, EndCode.VIOLATION)
        self.assertFalse(Credit().raise_to(Window(entries=256, bytes=262_144)))
        for window in (Window(entries=257, bytes=262_144), Window(entries=256, bytes=262_145)):
            self.assertTrue(Credit().raise_to(window))


class GrantTests(SynchronousTestCase):
    def overrun(self, grant: Grant, size: int) -> None:
        """An entry of `size` bytes must have no room."""
        error = self.assertRaises(RemoteProtocolError, grant.take, size)
        assert isinstance(error, RemoteProtocolError)
        self.assertIs(error.code, EndCode.VIOLATION)

    def test_more_entries_than_granted(self) -> None:
        """A sender that exceeds the window commits a violation."""
        grant = Grant()
        for _ in range(FIRST_ENTRIES):
            grant.take(1)
        self.overrun(grant, 1)

    def test_more_bytes_than_granted(self) -> None:
        """Bytes count as well as entries."""
        grant = Grant()
        grant.take(FIRST_BYTES)
        self.overrun(grant, 1)

    def test_nothing_committed_nothing_granted(self) -> None:
        """Without a commit there is never more than at the start."""
        grant = Grant()
        for _ in range(FIRST_ENTRIES):
            grant.take(1000)
        self.overrun(grant, 1)

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, MAX_ENTRY), st.integers(1, 40)), min_size=1, max_size=60))
    def test_sender_and_reader_agree_and_nobody_starves(self, plan: list[tuple[int, int]]) -> None:
        """
        An honest sender never exceeds the window, a reader never holds more than 1,024 entries and 1 MiB that
        are not committed, and once all is committed any entry may be sent.
        """
        credit, grant = Credit(), Grant()
        waiting: list[int] = []
        committed_entries = committed_bytes = 0
        for size, batch in plan:
            while len(waiting) < batch and credit.spend([size]):
                grant.take(size)
                waiting.append(size)
            self.assertLessEqual(len(waiting), AHEAD_ENTRIES)
            self.assertLessEqual(sum(waiting), AHEAD_BYTES)
            # The disk takes some of them, then the rest.
            for part in (waiting[: batch // 2], waiting[batch // 2 :]):
                committed_entries += len(part)
                committed_bytes += sum(part)
                window = grant.commit(len(part), sum(part))
                if window is not None:
                    self.assertLessEqual(window.entries, committed_entries + AHEAD_ENTRIES)
                    self.assertLessEqual(window.bytes, committed_bytes + AHEAD_BYTES)
                    self.assertTrue(credit.raise_to(window))
            waiting.clear()
            self.assertGreaterEqual(credit.entries, 1)
            self.assertGreaterEqual(credit.bytes, MAX_ENTRY)

    def test_not_a_window_for_each_commit(self) -> None:
        """A window is told when half of the room is used, not after every entry."""
        grant = Grant()
        windows = 0
        for _ in range(5000):
            grant.take(100)
            windows += grant.commit(1, 100) is not None
        self.assertLess(windows, 5000 // 400)
        self.assertGreater(windows, 5)
