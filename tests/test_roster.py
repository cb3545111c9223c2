"""The server's roster, its bulletin and its watchers: whatever happens, those who read end up knowing what is true."""

from unittest import mock

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core import bulletin as bulletin_module
from p2pchat.core.errors import EndCode
from p2pchat.core.framing import encode_frame
from p2pchat.core.messages import MAX_LISTINGS, Address, Changes, RosterPage
from p2pchat.core.roster import PUSHES_PER_SECOND, QUIET, Roster
from p2pchat.core.roster_view import RosterView
from p2pchat.core.watchers import Watcher
from tests.rosters import SERVER, Quiet, decoded, identity, put, read_all

PEERS = [identity(number) for number in range(6)]
ALICE, BOB, CAROL = PEERS[:3]


def seen(view: RosterView) -> dict[bytes, int]:
    """Whom a view knows, under which counter."""
    return {row.id: row.body.counter for row in view.rows()}


class Follower:
    """A client: reads as much as it is told to, and knows what it was sent."""

    def __init__(self, roster: Roster, everyone: bool, ids: tuple[bytes, ...] = ()) -> None:
        self.view = RosterView(SERVER)
        self.view.watch(everyone, ids)
        self.watcher = roster.watch(Quiet(), everyone, ids)
        self.kinds: list[type] = []

    def read(self, frames: int = 1_000_000) -> None:
        for _ in range(frames):
            frame = self.watcher.next_frame()
            if frame is None:
                return
            message = decoded(frame)
            assert isinstance(message, RosterPage | Changes)
            self.kinds.append(type(message))
            assert not self.view.apply(message).watch_again, "the server left something out"


class RosterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.roster = Roster(capacity=3)

    def push(self, now: float) -> list[Watcher]:
        return self.roster.push(now)

    def test_join_and_leave(self) -> None:
        """Who registers is online and told; who leaves is gone."""
        follower = Follower(self.roster, True)
        follower.read()
        self.assertIsNone(put(self.roster, ALICE, 1, 0.0, Address(host="10.0.0.5", port=7777)))
        self.assertIn(ALICE.id, self.roster)
        self.assertEqual(self.push(0.0), [follower.watcher])
        follower.read()
        row = follower.view.get(ALICE.id)
        assert row is not None
        self.assertEqual((row.online, row.observed), (True, Address(host="10.0.0.5", port=7777)))
        self.roster.leave(ALICE.id, 10.0)
        self.assertEqual((len(self.roster), ALICE.id in self.roster), (0, False))
        self.push(10.0)
        follower.read()
        self.assertEqual(seen(follower.view), {})
        self.assertEqual(follower.kinds, [RosterPage, Changes, Changes])

    def test_numbers(self) -> None:
        """A change has a number of its own; where nothing changed there is none."""
        put(self.roster, ALICE, 1, 0.0)
        put(self.roster, BOB, 1, 0.0)
        self.push(0.0)
        self.assertEqual(self.roster.number, 1)
        self.assertEqual(self.push(1.0), [])
        self.roster.leave(CAROL.id, 1.0)
        self.assertIsNone(self.roster.next_push())
        self.assertEqual(self.roster.number, 1)

    def test_R1_capacity(self) -> None:
        """Above the capacity nobody comes in; who is in may replace a record, and who leaves makes room."""
        for peer in PEERS[:3]:
            self.assertIsNone(put(self.roster, peer, 1, 0.0))
        for peer in PEERS[3:]:
            self.assertIs(put(self.roster, peer, 1, 0.0), EndCode.FULL)
        self.assertEqual(len(self.roster), 3)
        self.assertIsNone(put(self.roster, ALICE, 2, 0.0))
        self.roster.leave(BOB.id, 0.0)
        self.assertIsNone(put(self.roster, PEERS[3], 1, 0.0))

    def test_R1_those_who_left_are_bounded(self) -> None:
        """However many come and go, what is remembered of them is bounded."""
        for number in range(60):
            peer = identity(100 + number)
            self.assertIsNone(put(self.roster, peer, 1, float(number) / 100))
            self.push(float(number) / 100)
            self.roster.leave(peer.id, float(number) / 100)
            self.push(float(number) / 100)
        held = sum(self.roster.get(identity(100 + number).id) is not None for number in range(60))
        self.assertLessEqual(held, 3 * self.roster.capacity)
        put(self.roster, ALICE, 1, 100.0)
        self.push(100.0)
        put(self.roster, BOB, 1, 200.0)
        self.push(200.0)
        self.assertEqual([self.roster.get(identity(100 + number).id) for number in range(60)], [None] * 60)

    def test_stale(self) -> None:
        """A counter has to grow, also when the peer was gone for a moment; the newer record is there to show."""
        put(self.roster, ALICE, 5, 0.0)
        self.assertIs(put(self.roster, ALICE, 5, 0.0), EndCode.STALE_RECORD)
        self.assertIs(put(self.roster, ALICE, 4, 0.0), EndCode.STALE_RECORD)
        self.push(0.0)
        self.roster.leave(ALICE.id, 1.0)
        self.assertIs(put(self.roster, ALICE, 4, 1.0), EndCode.STALE_RECORD)
        self.assertNotIn(ALICE.id, self.roster)
        self.assertIsNotNone(self.roster.get(ALICE.id))
        self.assertIsNone(put(self.roster, ALICE, 6, 1.0))

    def test_R3_flapping(self) -> None:
        """A peer that comes and goes a hundred times a second changes what others see once in five; the last wins."""
        follower = Follower(self.roster, True)
        now, counter = 0.0, 0
        for _ in range(1000):
            counter += 1
            put(self.roster, ALICE, counter, now)
            self.push(now)
            now += 0.005
            self.roster.leave(ALICE.id, now)
            self.push(now)
            now += 0.005
        self.assertEqual(self.roster.number, 2, "at the start, and after 5 of 10 seconds")
        put(self.roster, ALICE, counter + 1, now)
        due = self.roster.next_push()
        assert due is not None
        self.assertLessEqual(due, now + QUIET)
        self.push(due)
        follower.read()
        self.assertEqual(seen(follower.view), {ALICE.id: counter + 1})

    def test_R3_nobody_else_waits(self) -> None:
        """That one peer flaps delays nobody else."""
        put(self.roster, ALICE, 1, 0.0)
        self.push(0.0)
        self.roster.leave(ALICE.id, 0.1)
        put(self.roster, BOB, 1, 0.1)
        self.assertEqual(self.roster.next_push(), 0.1)
        follower = Follower(self.roster, True)
        self.push(0.1)
        follower.read()
        self.assertEqual(seen(follower.view), {ALICE.id: 1, BOB.id: 1})
        self.assertEqual(self.roster.next_push(), QUIET)

    def test_pushes_are_paced(self) -> None:
        """With many watchers changes are collected: a storm of joins costs a bounded share of the processor."""
        for _ in range(PUSHES_PER_SECOND // 4):
            self.roster.watch(Quiet(), True)
        put(self.roster, ALICE, 1, 10.0)
        self.assertEqual(self.roster.next_push(), 10.0)
        self.push(10.0)
        put(self.roster, BOB, 1, 10.01)
        self.assertEqual(self.roster.next_push(), 10.25)

    def test_encoded_once(self) -> None:
        """A push is one object, however many read it: by everyone, and by name."""
        everyone = [Follower(self.roster, True).watcher for _ in range(5)]
        named = [Follower(self.roster, False, (ALICE.id, BOB.id)).watcher for _ in range(5)]
        for watcher in everyone + named:
            read_all(watcher)
        put(self.roster, ALICE, 1, 0.0)
        with mock.patch.object(bulletin_module, "encode_frame", wraps=encode_frame) as encode:
            self.assertEqual(set(self.push(0.0)), {*everyone, *named})
            frames = [watcher.next_frame() for watcher in everyone + named]
        self.assertEqual(encode.call_count, 2)
        self.assertEqual(len({id(frame.data) for frame in frames if frame is not None}), 2)

    def test_by_name(self) -> None:
        """Who watches ids is told of those alone, with true numbers that may have holes."""
        follower = Follower(self.roster, False, (ALICE.id,))
        follower.read()
        put(self.roster, BOB, 1, 0.0)
        self.assertEqual(self.push(0.0), [])
        put(self.roster, ALICE, 1, 1.0)
        self.assertEqual(self.push(1.0), [follower.watcher])
        [change] = read_all(follower.watcher)
        assert isinstance(change, Changes)
        self.assertEqual((change.since, change.number, len(change.listings)), (1, 2, 1))
        self.roster.leave(BOB.id, 10.0)
        self.roster.leave(ALICE.id, 10.0)
        self.push(10.0)
        [change] = read_all(follower.watcher)
        assert isinstance(change, Changes)
        self.assertEqual((change.since, change.number, change.gone), (2, 3, (ALICE.id,)))

    def test_named_first(self) -> None:
        """A snapshot for one who watches everyone and some ids begins with those, and has nobody twice."""
        for peer in (ALICE, BOB, CAROL):
            put(self.roster, peer, 1, 0.0)
        self.push(0.0)
        pages = read_all(self.roster.watch(Quiet(), True, (CAROL.id, PEERS[5].id)))
        rows = [listing.record.body for page in pages if isinstance(page, RosterPage) for listing in page.listings]
        self.assertIn(CAROL.key, rows[0])
        self.assertEqual(len(rows), 3)
        self.assertEqual([page.more for page in pages if isinstance(page, RosterPage)], [True, False])

    def test_unwatch(self) -> None:
        """Who no longer watches is not called."""
        watchers = [self.roster.watch(Quiet(), True), self.roster.watch(Quiet(), False, (ALICE.id,))]
        for watcher in watchers:
            self.roster.unwatch(watcher)
            self.roster.unwatch(watcher)
        put(self.roster, ALICE, 1, 0.0)
        self.assertEqual(self.push(0.0), [])

    def test_F28_slow_reader(self) -> None:
        """One who did not read for long gets the latest state and not a queue; the others read on undisturbed."""
        slow, fast = Follower(self.roster, True), Follower(self.roster, True)
        slow.read()
        for number in range(200):
            now = number * QUIET
            put(self.roster, ALICE, number + 1, now)
            self.push(now)
            fast.read()
        slow.read()
        self.assertEqual(seen(slow.view), {ALICE.id: 200})
        self.assertEqual(slow.kinds, [RosterPage, RosterPage])
        self.assertEqual(set(fast.kinds[1:]), {Changes})

    def test_F28_slow_reader_of_names(self) -> None:
        """One who watches ids and does not read gets each of them once, as it is now."""
        slow = Follower(self.roster, False, (ALICE.id, BOB.id))
        slow.read()
        for number in range(50):
            put(self.roster, ALICE, number + 1, number * QUIET)
            self.push(number * QUIET)
        slow.read()
        self.assertEqual((seen(slow.view), slow.kinds), ({ALICE.id: 50}, [RosterPage, Changes]))


class PageTests(SynchronousTestCase):
    """More peers than fit into a frame."""

    def setUp(self) -> None:
        self.roster = Roster(capacity=2000)
        self.peers = [identity(1000 + number) for number in range(700)]
        for peer in self.peers:
            put(self.roster, peer, 1, 0.0)

    def test_many_joins_at_once(self) -> None:
        """What does not fit into one change comes in several, each with its number."""
        follower = Follower(self.roster, True)
        follower.read()
        self.roster.push(0.0)
        follower.read()
        self.assertEqual(len(follower.view), 700)
        self.assertGreater(self.roster.number, 2)
        for peer in self.peers:
            self.roster.leave(peer.id, 10.0)
        self.roster.push(10.0)
        follower.read()
        self.assertEqual(len(follower.view), 0)

    def test_pages(self) -> None:
        """A snapshot comes in pages that fit, the last of which says so."""
        self.roster.push(0.0)
        messages = read_all(self.roster.watch(Quiet(), True))
        pages = [page for page in messages if isinstance(page, RosterPage)]
        self.assertEqual(pages, messages)
        self.assertTrue(all(len(page.listings) <= MAX_LISTINGS for page in pages))
        self.assertEqual([page.more for page in pages], [True] * (len(pages) - 1) + [False])
        self.assertEqual(sum(len(page.listings) for page in pages), 700)
        self.assertGreater(len(pages), 2)

    def test_pages_are_shared(self) -> None:
        """Watchers that come between two changes read the same pages."""
        self.roster.push(0.0)
        one, other = self.roster.watch(Quiet(), True), self.roster.watch(Quiet(), True)
        for _ in range(3):
            first, second = one.next_frame(), other.next_frame()
            assert first is not None
            assert second is not None
            self.assertIs(first.data, second.data)

    def test_changes_between_pages(self) -> None:
        """Joins, leaves and replacements while the pages of a snapshot are read are all known at its end."""
        self.roster.push(0.0)
        follower = Follower(self.roster, True)
        follower.read(1)
        self.roster.leave(self.peers[0].id, 10.0)
        self.roster.leave(self.peers[699].id, 10.0)
        put(self.roster, self.peers[1], 2, 10.0)
        put(self.roster, self.peers[698], 2, 10.0)
        put(self.roster, ALICE, 1, 10.0)
        self.roster.push(10.0)
        follower.read()
        expected = {peer.id: 1 for peer in self.peers[1:699]} | {ALICE.id: 1}
        expected |= {self.peers[1].id: 2, self.peers[698].id: 2}
        self.assertEqual(seen(follower.view), expected)

    def test_named_pages(self) -> None:
        """As many ids as may be watched come in pages as well."""
        self.roster.push(0.0)
        ids = tuple(peer.id for peer in self.peers[:512])
        follower = Follower(self.roster, False, ids)
        follower.read()
        self.assertEqual(set(seen(follower.view)), set(ids))
        self.assertGreater(len(follower.kinds), 1)


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 5)),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 1.0, 4.9, 5.0, 30.0])),
    st.tuples(st.just("push"), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 4)),
    st.tuples(st.just("restart"), st.integers(0, 4)),
)


class ModelTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.lists(steps, max_size=60))
    def test_everybody_knows_in_the_end(self, script: list[tuple[str, float]]) -> None:
        """
        For any interleaving of joins, leaves, replacements, pushes and reads, slow ones too.

        A reader who has read everything knows exactly what was told, one by name exactly those; and what was told is
        what is true as soon as everything due was pushed.
        """
        with (
            mock.patch.object(bulletin_module, "MAX_LISTINGS", 2),
            mock.patch("p2pchat.core.watchers.MAX_LISTINGS", 2),
            mock.patch.object(bulletin_module, "LOG_BYTES", 600),
        ):
            self.play(script)

    def play(self, script: list[tuple[str, float]]) -> None:
        roster, now, counter = Roster(capacity=5), 0.0, 0
        named = (PEERS[0].id, PEERS[3].id)
        shapes = [(True, ()), (True, named), (False, named), (True, ()), (False, (PEERS[1].id,))]
        followers = [Follower(roster, *shape) for shape in shapes]
        there: dict[bytes, int] = {}
        for action, amount in script:
            place = int(amount)
            match action:
                case "put":
                    counter += 1
                    if put(roster, PEERS[place], counter, now) is None:
                        there[PEERS[place].id] = counter
                case "leave":
                    roster.leave(PEERS[place].id, now)
                    there.pop(PEERS[place].id, None)
                case "wait":
                    now += amount
                case "push":
                    roster.push(now)
                case "read":
                    followers[place].read(1)
                case "restart":
                    roster.unwatch(followers[place].watcher)
                    followers[place] = Follower(roster, *shapes[place])
            self.assertEqual(len(roster), len(there))
        told = self.caught_up(roster, followers)
        while (due := roster.next_push()) is not None:
            roster.push(due)
        self.assertEqual(self.caught_up(roster, followers), there, f"told before: {told}")

    def caught_up(self, roster: Roster, followers: list[Follower]) -> dict[bytes, int]:
        for follower in followers:
            follower.read()
        told = seen(followers[0].view)
        for follower in followers:
            everyone, ids = follower.watcher.everyone, follower.watcher.ids
            expected = {name: number for name, number in told.items() if everyone or name in ids}
            self.assertEqual(seen(follower.view), expected)
            self.assertIsNone(follower.watcher.next_frame())
        return told
