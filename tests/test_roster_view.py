"""What a client makes of a server's roster, an honest one's and a hostile one's."""

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core import roster_view
from p2pchat.core.identity import Identity
from p2pchat.core.messages import MAX_WATCHED, Address, Changes, Listing, RosterPage, Signed
from p2pchat.core.roster_view import RosterView, ViewChange
from tests.rosters import SERVER, identity, listing_of, record_of

ALICE, BOB, CAROL = (identity(number) for number in range(3))
OTHER_SERVER = bytes(32)


class RosterViewTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.view = RosterView(SERVER)
        self.view.watch(True)

    def page(self, number: int, *listings: Listing, more: bool = False) -> ViewChange:
        return self.view.apply(RosterPage(number=number, listings=listings, more=more))

    def change(self, since: int, *listings: Listing, gone: tuple[Identity, ...] = (), number: int = 0) -> ViewChange:
        ids = tuple(peer.id for peer in gone)
        return self.view.apply(Changes(since=since, number=number or since + 1, listings=listings, gone=ids))

    def ids(self) -> set[bytes]:
        return {row.id for row in self.view.rows()}

    def test_watch(self) -> None:
        """What is sent asks for what the view expects, at most as many ids as the wire takes."""
        ids = [identity(number).id for number in range(MAX_WATCHED + 5)]
        message = self.view.watch(False, ids)
        self.assertEqual((message.everyone, message.ids), (False, tuple(ids[:MAX_WATCHED])))
        self.assertEqual(self.view.named, frozenset(ids[:MAX_WATCHED]))

    def test_snapshot_in_pages(self) -> None:
        """The pages of a snapshot count when the last has come."""
        self.assertEqual(self.page(4, listing_of(ALICE, 1), more=True), ViewChange())
        self.assertFalse(self.view.complete)
        change = self.page(4, listing_of(BOB, 1))
        self.assertEqual({row.id for row in change.rows}, {ALICE.id, BOB.id})
        self.assertEqual((self.view.complete, self.view.number, len(self.view)), (True, 4, 2))

    def test_changes(self) -> None:
        """Changes that follow are taken, and it is told what they changed."""
        self.page(4, listing_of(ALICE, 1), listing_of(BOB, 1))
        change = self.change(4, listing_of(CAROL, 1), listing_of(BOB, 1), gone=(ALICE, identity(9)))
        self.assertEqual(([row.id for row in change.rows], change.gone), ([CAROL.id], (ALICE.id,)))
        self.assertEqual((self.ids(), self.view.number), ({BOB.id, CAROL.id}, 5))

    def test_snapshot_replaces_everything(self) -> None:
        """A snapshot replaces all that was known, and tells the difference."""
        self.page(4, listing_of(ALICE, 1), listing_of(BOB, 1))
        change = self.page(9, listing_of(BOB, 1), listing_of(CAROL, 1))
        self.assertEqual(([row.id for row in change.rows], change.gone), ([CAROL.id], (ALICE.id,)))

    def test_snapshot_begun_anew(self) -> None:
        """A snapshot that the server gave up leaves nothing behind."""
        self.page(4, listing_of(ALICE, 1), more=True)
        self.page(9, listing_of(BOB, 1))
        self.assertEqual(self.ids(), {BOB.id})

    def test_gap(self) -> None:
        """After a gap nothing is believed until a snapshot has come, which is asked for once."""
        self.page(4, listing_of(ALICE, 1))
        self.assertTrue(self.change(5, listing_of(BOB, 1)).watch_again)
        self.assertFalse(self.change(6, listing_of(BOB, 1)).watch_again)
        self.assertEqual(self.ids(), {ALICE.id})
        self.page(7, listing_of(ALICE, 1), listing_of(BOB, 1))
        self.assertTrue(self.change(1).watch_again)

    def test_changes_before_the_snapshot(self) -> None:
        """Changes before the snapshot that was asked for are no reason to ask again."""
        self.assertEqual(self.change(4, listing_of(ALICE, 1)), ViewChange())
        self.assertEqual(self.ids(), set())

    def test_holes_by_name(self) -> None:
        """Who watches ids alone is told with holes, and misses nothing."""
        self.view.watch(False, [ALICE.id])
        self.page(4)
        self.assertFalse(self.change(17, listing_of(ALICE, 1), number=20).watch_again)
        self.assertEqual((self.ids(), self.view.number), ({ALICE.id}, 20))

    def test_R5_forged_rows(self) -> None:
        """A row that its peer did not sign, or signed for another server, is dropped and counted."""
        good = record_of(ALICE, 1)
        forged = (
            Listing(record=Signed(body=good.body, signature=bytes(64)), online=True),
            Listing(record=Signed(body=good.body, signature=record_of(ALICE, 2).signature), online=True),
            Listing(record=Signed(body=b"\x80", signature=bytes(64)), online=True),
            listing_of(BOB, 1, OTHER_SERVER),
        )
        self.page(4, *forged, listing_of(CAROL, 1))
        self.assertEqual((self.ids(), self.view.dropped), ({CAROL.id}, 4))

    def test_R5_known_rows_are_proved_again_when_they_change(self) -> None:
        """That a row was proved once makes no other record of that peer good."""
        self.page(4, listing_of(ALICE, 1))
        newer = record_of(ALICE, 2)
        self.change(4, Listing(record=Signed(body=newer.body, signature=bytes(64)), online=True))
        row = self.view.get(ALICE.id)
        assert row is not None
        self.assertEqual((row.body.counter, self.view.dropped), (1, 1))

    def test_older_record(self) -> None:
        """The server may tell an old record; a newer one that we hold stays, with what the server says now."""
        self.page(4, listing_of(ALICE, 5))
        seen = Address(host="10.0.0.5", port=7777)
        self.change(4, Listing(record=record_of(ALICE, 3), online=False, observed=seen))
        row = self.view.get(ALICE.id)
        assert row is not None
        self.assertEqual((row.body.counter, row.online, row.observed), (5, False, seen))
        self.page(9, listing_of(ALICE, 4))
        row = self.view.get(ALICE.id)
        assert row is not None
        self.assertEqual((row.body.counter, row.record), (5, record_of(ALICE, 5)))

    def test_R5_too_many_rows(self) -> None:
        """However many rows come, so many are held, and those of people one knows always."""
        known = identity(40)
        with mock.patch.object(roster_view, "MAX_ROWS", 10):
            self.view.watch(True, [known.id])
            for number in range(0, 30, 5):
                self.page(4, *(listing_of(identity(number + each), 1) for each in range(5)), more=True)
            self.page(4, listing_of(known, 1))
            self.assertEqual((len(self.view), self.view.overflowed), (12, 19))
            self.assertIn(known.id, self.ids())
            self.change(4, listing_of(identity(50), 1), listing_of(known, 2))
        self.assertEqual((len(self.view), self.view.overflowed), (12, 20))
        row = self.view.get(known.id)
        assert row is not None
        self.assertEqual(row.body.counter, 2)

    def test_R5_equal_names(self) -> None:
        """Rows with one handle are as many peers as they have keys: an id is no name."""
        self.page(4, *(listing_of(identity(number), 1) for number in range(20)))
        self.assertEqual(len(self.view), 20)
