"""p2pchat.core.allowance: what may wait for delivery (F26)."""

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.allowance import Allowance, Limits, Waiting
from p2pchat.core.errors import OutboxFull


class AllowanceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.allowance = Allowance(Limits(3, 1_000), Limits(5, 1_500))
        self.bob, self.carol = Waiting(self.allowance), Waiting(self.allowance)

    def test_F26_messages_of_one(self) -> None:
        """So many for one reader, and no more; another reader has room."""
        self.bob.check(3, 30)
        self.bob.add(3, 30)
        with self.assertRaisesRegex(OutboxFull, r"^3 messages wait for them already; nothing was sent: try again"):
            self.bob.check(1, 10)
        self.carol.check(1, 10)

    def test_F26_messages_of_all(self) -> None:
        """So many for all readers together."""
        self.bob.add(3, 30)
        self.carol.add(2, 20)
        with self.assertRaisesRegex(OutboxFull, "^5 messages wait here already, for all chats together"):
            self.carol.check(1, 10)

    def test_F26_bytes(self) -> None:
        """Large messages fill it sooner."""
        self.bob.add(1, 900)
        with self.assertRaises(OutboxFull):
            self.bob.check(1, 101)
        self.carol.add(1, 600)
        with self.assertRaises(OutboxFull):
            self.carol.check(1, 1)

    def test_room_comes_back(self) -> None:
        """What is delivered makes room, for everybody."""
        self.bob.add(3, 900)
        self.bob.remove(1)
        self.assertEqual((self.bob.messages, self.bob.bytes), (2, 600))
        self.bob.check(1, 400)
        self.bob.remove(2)
        self.assertEqual((self.allowance.messages, self.allowance.bytes), (0, 0))

    def test_counted_anew(self) -> None:
        """What was counted on the disk stands in place of what was remembered."""
        self.bob.add(1, 10)
        self.bob.become(2, 700)
        self.assertEqual((self.allowance.messages, self.allowance.bytes), (2, 700))

    @given(strategies.lists(strategies.tuples(strategies.integers(0, 5), strategies.integers(0, 9)), max_size=30))
    def test_the_sum_fits(self, steps: list[tuple[int, int]]) -> None:
        """Whatever happens, the sum of all is the sum of each, never negative, and empty is exactly empty."""
        allowance = Allowance()
        readers = Waiting(allowance), Waiting(allowance)
        for add, remove in steps:
            readers[add % 2].add(add, add * 100)
            readers[remove % 2].remove(remove)
            self.assertEqual(allowance.messages, sum(each.messages for each in readers))
            self.assertEqual(allowance.bytes, sum(each.bytes for each in readers))
            for each in readers:
                self.assertGreaterEqual(each.bytes, 0)
                self.assertEqual(each.messages == 0, each.bytes == 0)
