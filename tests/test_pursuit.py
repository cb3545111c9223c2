"""Dialling somebody until they are reached, on a Clock."""

from itertools import pairwise

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.messages import Address
from p2pchat.peer.pursuit import (
    FIRST_WAIT,
    HINTS_BURST,
    HINTS_RATE,
    LASTED,
    LONGEST_WAIT,
    MOST_PROVED,
    QUIET_FOR,
    STAGGER,
    Backoff,
    DialRecord,
    Pursuit,
    Target,
)

BOB, EVE = b"b" * 32, b"e" * 32
ONE, TWO, THREE = (Address(host=f"10.0.0.{number}", port=6666) for number in (1, 2, 3))


class BackoffTests(SynchronousTestCase):
    def test_doubles(self) -> None:
        """Waits double from half a second to thirty, and stay there."""
        backoff = Backoff(lambda: 1.0)
        self.assertEqual([backoff.next() for _ in range(9)], [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])
        self.assertEqual((FIRST_WAIT, LONGEST_WAIT), (0.5, 30.0))

    def test_jitter(self) -> None:
        """Each wait is multiplied by a fraction of its own."""
        fractions = iter((0.0, 0.5, 0.25))
        backoff = Backoff(lambda: next(fractions))
        self.assertEqual([backoff.next() for _ in range(3)], [0.0, 0.5, 0.5])

    def test_link_that_lasted(self) -> None:
        """After a link that lasted waits are short again, and after no other."""
        backoff = Backoff(lambda: 1.0)
        for _ in range(5):
            backoff.next()
        backoff.ended(LASTED - 0.1)
        self.assertEqual(backoff.next(), 16.0)
        backoff.ended(LASTED)
        self.assertEqual(backoff.next(), FIRST_WAIT)

    def test_give_back(self) -> None:
        """A wait that nobody had to wait is the next one as well, also at the longest."""
        backoff = Backoff(lambda: 1.0)
        waits = []
        for _ in range(9):
            waits.append(backoff.next())
            backoff.next()
            backoff.give_back()
        self.assertEqual(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])


class DialRecordTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.record = DialRecord(self.clock)

    def test_A4_many_addresses(self) -> None:
        """Somebody who answers at ever new addresses is not remembered at all of them."""
        places = [Address(host="10.0.0.1", port=port) for port in range(1, MOST_PROVED + 2)]
        for place in places:
            self.record.proved(BOB, place)
            self.record.may_try(BOB, place)
        self.assertFalse(self.record.may_try(BOB, places[0]))
        self.assertTrue(self.record.may_try(BOB, places[1]))

    def test_unproved_address(self) -> None:
        """An address that has not proved to be theirs is dialled once in ten seconds."""
        self.assertTrue(self.record.may_try(BOB, ONE))
        self.clock.advance(QUIET_FOR - 0.1)
        self.assertFalse(self.record.may_try(BOB, ONE))
        self.clock.advance(0.1)
        self.assertTrue(self.record.may_try(BOB, ONE))

    def test_counted_by_address_and_port_and_id(self) -> None:
        """Other addresses, other ports and other people are counted apart."""
        self.assertTrue(self.record.may_try(BOB, ONE))
        self.assertTrue(self.record.may_try(BOB, TWO))
        self.assertTrue(self.record.may_try(BOB, Address(host=ONE.host, port=7000)))
        self.assertTrue(self.record.may_try(EVE, ONE))

    def test_proved_address(self) -> None:
        """Where that id once answered it may be dialled again at once, by that id alone."""
        self.record.may_try(BOB, ONE)
        self.record.proved(BOB, ONE)
        self.assertTrue(self.record.may_try(BOB, ONE))
        self.record.may_try(EVE, ONE)
        self.assertFalse(self.record.may_try(EVE, ONE))

    def test_memory_is_bounded(self) -> None:
        """What was dialled long ago is forgotten."""
        for number in range(10_100):
            self.record.may_try(number.to_bytes(32, "big"), ONE)
            self.clock.advance(0.01)
        self.assertLess(len(self.record._tried), 10_002)


class PursuitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.record = DialRecord(self.clock)
        self.targets = [Target(ONE)]
        self.dialled: list[tuple[float, Address]] = []
        self.dials: list[Deferred[None]] = []
        self.cancelled = 0
        self.pursuit = Pursuit(BOB, self.clock, Backoff(lambda: 1.0), self.record, lambda: self.targets, self.dial)

    async def dial(self, target: Target) -> None:
        self.dialled.append((self.clock.seconds(), target.address))
        dial: Deferred[None] = Deferred(lambda _: self.note_cancelled())
        self.dials.append(dial)
        await dial

    def note_cancelled(self) -> None:
        self.cancelled += 1

    def fail_all(self) -> None:
        for dial in self.dials:
            if not dial.called:
                dial.errback(OSError("refused"))

    def assert_quiet(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.pursuit.dialling)

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)

    def test_stagger(self) -> None:
        """The addresses of a round are begun one after the other, in their order."""
        self.targets = [Target(ONE), Target(TWO), Target(THREE)]
        self.pursuit.start()
        self.clock.pump([0, STAGGER, STAGGER])
        self.assertEqual([address for _, address in self.dialled], [ONE, TWO, THREE])
        self.assertEqual([round(at, 6) for at, _ in self.dialled], [0, STAGGER, 2 * STAGGER])
        self.pursuit.stop()
        self.assertEqual(self.cancelled, 3)
        self.assert_quiet()

    def test_bug_in_a_round(self) -> None:
        """A round that fails is not the last one."""

        def fail() -> list[Target]:
            raise ValueError("a bug")

        patch = self.patch(self.pursuit, "_targets", fail)
        self.pursuit.start()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        patch.restore()
        self.advance(FIRST_WAIT + 0.2)
        self.assertEqual([address for _, address in self.dialled], [ONE])
        self.pursuit.stop()
        self.assert_quiet()

    def test_one_dial_at_a_time_to_an_address(self) -> None:
        """While a dial is under way the address is not dialled again, not even one that was typed."""
        self.targets = [Target(ONE, typed=True)]
        self.pursuit.start()
        self.advance(60)
        self.assertEqual(len(self.dialled), 1)
        self.pursuit.stop()
        self.assert_quiet()

    def test_unproved_address_in_rounds(self) -> None:
        """Rounds dial an unproved address once in ten seconds, however short the waits are."""
        self.pursuit.start()
        for _ in range(300):
            self.clock.advance(0.1)
            self.fail_all()
            self.pursuit.hurry()
        times = [at for at, _ in self.dialled]
        self.assertGreaterEqual(len(times), 3)
        self.assertTrue(all(later - earlier >= QUIET_FOR - 1e-6 for earlier, later in pairwise(times)))
        self.pursuit.stop()

    def test_typed_address(self) -> None:
        """What the person typed is dialled in every round."""
        self.targets = [Target(ONE, typed=True)]
        self.pursuit.start()
        for _ in range(100):
            self.clock.advance(0.1)
            self.fail_all()
        self.assertGreaterEqual(len(self.dialled), 4)
        self.pursuit.stop()

    def test_hurry_is_bounded(self) -> None:
        """However often there is reason to hurry, rounds do not follow one another faster than the shortest wait."""
        self.targets = [Target(ONE, typed=True)]
        self.pursuit.start()
        for _ in range(1000):
            self.clock.advance(0.01)
            self.fail_all()
            self.pursuit.hurry()
        self.assertLessEqual(len(self.dialled), 10 / FIRST_WAIT + 1)
        self.pursuit.stop()

    def test_back_off(self) -> None:
        """Rounds come after waits that double."""
        self.targets = [Target(ONE, typed=True)]
        self.pursuit.start()
        for _ in range(200):
            self.clock.advance(0.1)
            self.fail_all()
        times = [at for at, _ in self.dialled]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertEqual(gaps, sorted(gaps))
        self.assertGreater(gaps[-1], 7)
        self.pursuit.stop()

    def test_F11_link_after_link(self) -> None:
        """Who says hello and ends every link at once is dialled after waits that double, like who says nothing."""
        self.pursuit.start()
        times: list[float] = []
        while len(times) < 10:
            self.clock.advance(0.1)
            if len(self.dialled) > len(times):
                times.append(self.clock.seconds())
                self.pursuit.reached(ONE)
                self.pursuit.reached(None)
                self.pursuit.ended(0.1)
                self.pursuit.resume()
        gaps = [round(later - earlier) for earlier, later in pairwise(times)]
        self.assertEqual(gaps[1:], [1, 2, 4, 8, 16, 30, 30, 30])
        self.pursuit.stop()
        self.assert_quiet()

    def test_hints_are_bounded(self) -> None:
        """Whatever a server says of somebody, and however often, they are dialled sooner only now and then."""
        self.targets = [Target(ONE, typed=True)]
        for _ in range(6):
            self.pursuit._backoff.next()
        self.pursuit.resume()
        for _ in range(10_000):
            self.clock.advance(0.01)
            self.fail_all()
            self.pursuit.hint()
        self.assertGreaterEqual(len(self.dialled), 3)
        self.assertLessEqual(len(self.dialled), HINTS_BURST + 100 * HINTS_RATE + 100 / LONGEST_WAIT)
        self.pursuit.stop()
        self.pursuit.hint()
        self.assert_quiet()

    def test_connected_is_not_reached(self) -> None:
        """TCP that connects resets no wait: only a link that lasts does."""
        self.targets = [Target(ONE, typed=True)]
        self.pursuit.start()
        for _ in range(200):
            self.clock.advance(0.1)
            for dial in self.dials:
                if not dial.called:
                    dial.callback(None)
        count = len(self.dialled)
        self.assertLess(count, 9)
        self.pursuit.reached(ONE)
        self.pursuit.ended(LASTED)
        self.pursuit.resume()
        self.clock.advance(FIRST_WAIT)
        self.clock.advance(0)
        self.assertEqual(len(self.dialled), count + 1)
        self.pursuit.stop()
        self.assert_quiet()

    def test_reached(self) -> None:
        """Who is reached is dialled no more: other dials are given up, and nothing is left on the clock."""
        self.targets = [Target(ONE), Target(TWO), Target(THREE)]
        self.pursuit.start()
        self.clock.advance(STAGGER)
        self.clock.advance(0)
        self.pursuit.reached(ONE)
        self.assertEqual(self.cancelled, 2)
        self.assert_quiet()
        self.advance(120)
        self.assertEqual(len(self.dialled), 2)

    def test_reached_by_them(self) -> None:
        """The same where they dialled us; nothing is proved of an address by that."""
        self.pursuit.start()
        self.clock.advance(0)
        self.pursuit.reached(None)
        self.assert_quiet()
        self.assertFalse(self.record.may_try(BOB, ONE))

    def test_resume(self) -> None:
        """What was lost is dialled again after a wait; asked twice, it waits once."""
        self.pursuit.start()
        self.clock.advance(0)
        self.pursuit.reached(ONE)
        self.pursuit.resume()
        self.pursuit.resume()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(FIRST_WAIT)
        self.clock.advance(0)
        self.assertEqual([address for _, address in self.dialled], [ONE, ONE])
        self.pursuit.stop()
        self.assert_quiet()

    def test_start_again(self) -> None:
        """The person's word starts a round at once, with short waits behind it, and leaves one timer."""
        self.targets = []
        self.pursuit.start()
        self.advance(20)
        self.targets = [Target(ONE)]
        self.pursuit.start()
        self.clock.advance(0)
        self.assertEqual(len(self.dialled), 1)
        [timer] = self.clock.getDelayedCalls()
        self.assertAlmostEqual(timer.getTime() - self.clock.seconds(), FIRST_WAIT + STAGGER)
        self.pursuit.stop()
        self.assert_quiet()

    def test_stop_in_every_state(self) -> None:
        """Stopped before the first dial, between two, and twice: nothing is left, and hurry and look wake nothing."""
        self.targets = [Target(ONE), Target(TWO)]
        self.pursuit.stop()
        self.pursuit.start()
        self.pursuit.stop()
        self.pursuit.hurry()
        self.pursuit.stop()
        self.assert_quiet()
        self.assertEqual(self.dialled, [])

    def test_addresses_that_come_later(self) -> None:
        """Every round asks anew where somebody may be."""
        self.targets = []
        self.pursuit.start()
        self.advance(5)
        self.targets = [Target(TWO)]
        self.pursuit.hurry()
        self.advance(1)
        self.assertEqual([address for _, address in self.dialled], [TWO])
        self.pursuit.stop()
