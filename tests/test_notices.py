"""p2pchat.core.notices: when a person is told, and when not."""

from itertools import pairwise

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import UsageError
from p2pchat.core.notices import (
    DAY,
    GATHER,
    LONGEST_PAUSE,
    MOST_CHATS,
    MOST_HELD,
    NOTICES,
    PAUSE,
    PER,
    Notices,
    Preferences,
    format_hours,
    parse_hours,
)

NOON = 12 * 60

SILENCE = (
    (Preferences(), 0, NOON, False),
    (Preferences(dnd=True), 10**15, NOON, True),
    (Preferences(dnd=True, dnd_until=5_000), 4_999, NOON, True),
    (Preferences(dnd=True, dnd_until=5_000), 5_000, NOON, False),
    (Preferences(dnd_until=5_000), 0, NOON, False),
    (Preferences(quiet=(22 * 60, 7 * 60)), 0, 22 * 60, True),
    (Preferences(quiet=(22 * 60, 7 * 60)), 0, 0, True),
    (Preferences(quiet=(22 * 60, 7 * 60)), 0, 7 * 60 - 1, True),
    (Preferences(quiet=(22 * 60, 7 * 60)), 0, 7 * 60, False),
    (Preferences(quiet=(9 * 60, 17 * 60)), 0, 8 * 60, False),
    (Preferences(quiet=(9 * 60, 17 * 60)), 0, 9 * 60, True),
    (Preferences(quiet=(9 * 60, 17 * 60)), 0, 17 * 60, False),
)
"""Preferences, wall clock, minute of the day: whether it is silent."""


class PreferencesTests(SynchronousTestCase):
    def test_silence(self) -> None:
        """Do-not-disturb, for a time or until further notice; quiet hours, over midnight too."""
        for preferences, wall, minute, silent in SILENCE:
            self.assertEqual(preferences.is_silent(wall, minute), silent, (preferences, wall, minute))
            self.assertEqual(preferences.wants("bob", wall, minute), not silent)

    def test_muted(self) -> None:
        """Nothing is told of those who are muted, and of all others it is."""
        preferences = Preferences(muted=("mallory",))
        self.assertFalse(preferences.wants("mallory", 0, NOON))
        self.assertTrue(preferences.wants("bob", 0, NOON))

    def test_hours(self) -> None:
        """Hours as people write them; what is none is refused in one line."""
        self.assertEqual(parse_hours("22:00-7:00"), (22 * 60, 7 * 60))
        self.assertEqual(parse_hours("9-17:30"), (9 * 60, 17 * 60 + 30))
        for text in ("", "22", "24-7", "9:60-10", "9-9", "22:00 - 7:00", "²2-7", "x" * 1000):
            self.assertNotIn("\n", str(self.assertRaises(UsageError, parse_hours, text)))

    @given(st.integers(0, DAY - 1), st.integers(0, DAY - 1))
    def test_hours_there_and_back(self, begin: int, end: int) -> None:
        """What is shown can be typed."""
        if begin != end:
            self.assertEqual(parse_hours(format_hours((begin, end))), (begin, end))


class NoticesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.notices: Notices[str] = Notices()
        self.place = 0

    def came(self, now: float, *items: str, chat: str = "bob") -> None:
        for item in items:
            self.place += 1
            self.notices.came(chat, self.place, item, now)

    def told(self, now: float) -> list[tuple[object, int, str]]:
        return [(told.chat, told.count, told.last) for told in self.notices.due(now)[1]]

    def test_one(self) -> None:
        """A message is told once, after a moment, and handed on once."""
        self.came(0, "hello")
        self.assertEqual(self.notices.due(GATHER / 2), ([], []))
        passed, told = self.notices.due(GATHER)
        self.assertEqual((passed, [(one.count, one.last) for one in told]), (["hello"], [(1, "hello")]))
        for now in (GATHER, 100, 10_000):
            self.assertEqual(self.notices.due(now), ([], []))

    def test_looked_at(self) -> None:
        """What somebody looked at in time is told to nobody; what came behind it is."""
        self.came(0, "one", "two", "three")
        self.notices.looked("bob", 2)
        self.notices.looked("carol", 9)
        self.assertEqual(self.told(GATHER), [("bob", 1, "three")])

    def test_burst(self) -> None:
        """A burst is one notice that says how many; every one of them is handed on, in order."""
        self.came(0, *map(str, range(12)))
        passed, told = self.notices.due(GATHER)
        self.assertEqual(passed, [str(number) for number in range(12)])
        self.assertEqual([(one.count, one.last) for one in told], [(12, "11")])

    def test_pauses(self) -> None:
        """While nobody looks the pauses grow, to a limit, and nothing is lost; once somebody looked they are short."""
        times = []
        for second in range(4_000):
            self.came(second, "again")
            times += [second for _ in self.told(second)]
        pauses = [later - earlier for earlier, later in pairwise(times)]
        self.assertEqual(pauses[:5], [PAUSE, 2 * PAUSE, 4 * PAUSE, 8 * PAUSE, 16 * PAUSE])
        self.assertEqual(max(pauses), LONGEST_PAUSE)
        self.notices.looked("bob", self.place)
        self.came(4_001, "new")
        self.assertEqual(self.told(4_002), [("bob", 1, "new")])
        self.came(4_003, "newer")
        self.assertEqual(self.told(4_001 + PAUSE), [])
        self.assertEqual(self.told(4_002 + PAUSE), [("bob", 1, "newer")])

    def test_counts_add_up(self) -> None:
        """Whatever the pauses, the counts of all notices are what came."""
        counts = 0
        for second in range(1_000):
            self.came(second, *["x"] * (second % 7))
            counts += sum(count for _, count, _ in self.told(second))
        for second in range(1_000, 2_000):
            counts += sum(count for _, count, _ in self.told(second))
        self.assertEqual(counts, self.place)

    def test_many_chats(self) -> None:
        """Many chats at once do not flood: so many notices in a minute, the others follow, and each comes."""
        for number in range(40):
            self.came(0, "hi", chat=f"chat {number}")
        told: list[tuple[float, object]] = []
        for second in range(1, 600):
            told += [(second, chat) for chat, _, _ in self.told(second)]
        self.assertEqual({chat for _, chat in told}, {f"chat {number}" for number in range(40)})
        for second in range(600):
            self.assertLessEqual(sum(second <= at < second + PER for at, _ in told), NOTICES)

    def test_unwanted(self) -> None:
        """Those of whom nothing is to be told take no notice away from those of whom something is."""
        for number in range(3 * NOTICES):
            self.came(0, "muted", chat=f"chat {number}")
        self.came(0, "hello")
        _, told = self.notices.due(GATHER, lambda item: item != "muted")
        self.assertEqual([(one.chat, one.count) for one in told], [("bob", 1)])
        self.assertEqual(self.told(1_000), [])

    def test_gone(self) -> None:
        """A request that is over is told no more."""
        self.came(0, "asks")
        self.notices.gone("bob")
        self.notices.gone("nobody")
        self.assertEqual(self.notices.due(GATHER), ([], []))

    def test_bounded(self) -> None:
        """A flood in one moment is counted whole and held in part; chats without end are not remembered."""
        self.came(0, *["x"] * 10_000)
        passed, [told] = self.notices.due(GATHER)
        self.assertEqual((len(passed), told.count), (MOST_HELD, 10_000))
        for number in range(2 * MOST_CHATS):
            self.came(0, "x", chat=str(number))
        self.assertLessEqual(len(self.notices._chats), MOST_CHATS)

    def test_flood_looked_at(self) -> None:
        """Of a flood in a chat that somebody looks at, what is not held one by one waits its moment too."""
        self.came(0.95, *["x"] * 3 * MOST_HELD)
        self.assertEqual(self.told(1.0), [])
        self.notices.looked("bob", 2 * MOST_HELD)
        self.assertEqual(self.told(1.5), [])
        self.notices.looked("bob", self.place)
        self.assertEqual(self.told(1_000.0), [])

    def test_forgets(self) -> None:
        """Once everything was told and the pause is over, nothing is left of a chat."""
        self.came(0, "x")
        self.notices.due(GATHER)
        self.notices.due(GATHER + PAUSE)
        self.assertEqual(self.notices._chats, {})
