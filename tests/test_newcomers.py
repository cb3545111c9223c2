"""p2pchat.server.newcomers: whose names go first."""

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.server.newcomers import FIRST, LOOK_AGAIN, Newcomers, Rank


class NewcomersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ranks: dict[str, Rank | None] = {}
        self.looks = 0
        self.newcomers = Newcomers(self.ranks, self.rank)

    def rank(self, handle: str) -> Rank | None:
        self.looks += 1
        return self.ranks.get(handle)

    def put(self, handle: str, held: int, seen: int = 0) -> None:
        self.ranks[handle] = Rank(held, seen)
        self.newcomers.put(handle)

    def go(self, now: float = 0.0) -> str | None:
        """The next one goes."""
        handle = self.newcomers.first(now)
        if handle is not None:
            del self.ranks[handle]
        return handle

    def test_order(self) -> None:
        """Who was here for the shortest time goes first; of those, who was not seen for longest."""
        for handle, held, seen in (("c", 2, 0), ("b", 1, 9), ("a", 1, 8), ("d", 3, 0)):
            self.put(handle, held, seen)
        self.assertEqual([self.go() for _ in range(5)], ["a", "b", "c", "d", None])

    def test_order_of_many(self) -> None:
        """It is the same order, however many there are, and however they come and go meanwhile."""
        for number in range(5 * FIRST):
            self.put(f"old-{number}", 10 + number * 7 % 1000)
        gone = []
        for number in range(4 * FIRST):
            self.put(f"new-{number}", number * 31 % 2000)
            expected = min(self.ranks, key=lambda handle: (self.ranks[handle], handle))
            gone.append((self.go(), expected))
        self.assertEqual([found for found, _ in gone], [expected for _, expected in gone])

    def test_who_may_not_go(self) -> None:
        """Who may not go does not, and comes back to its place when it may."""
        self.put("a", 1)
        self.put("b", 2)
        self.assertEqual(self.newcomers.first(0), "a")
        self.ranks["a"] = None
        self.newcomers.put("a")
        self.assertEqual(self.newcomers.first(0), "b")
        self.put("a", 3)
        self.assertEqual([self.go() for _ in range(3)], ["b", "a", None])

    def test_flood(self) -> None:
        """All claims are looked through once for many that go, and now and then where nobody may."""
        for number in range(1000):
            self.ranks[f"old-{number}"] = Rank(number, 0)
        for _ in range(FIRST):
            self.go()
        self.assertLess(self.looks, 1000 + 3 * FIRST)
        self.ranks.update(dict.fromkeys(self.ranks))
        self.assertIsNone(self.go(1.0))
        self.looks = 0
        for _ in range(100):
            self.assertIsNone(self.go(2.0))
        self.assertEqual(self.looks, 0)
        self.ranks["old-999"] = Rank(999, 0)
        self.assertEqual(self.go(1.0 + LOOK_AGAIN), "old-999")
