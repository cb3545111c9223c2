"""Changes of a contact's row: each does its own, in whichever order they come, and a stranger has nothing."""

from itertools import permutations

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.identity import compact_id
from p2pchat.peer.contact_changes import (
    NOTHING,
    Met,
    accepting_always,
    blocking,
    changed,
    learning,
    listing,
    trusting,
    unblocking,
    unknown,
    verifying,
)
from p2pchat.storage.contacts import unlisted

BOB = bytes(range(32))
NAMELESS = unknown(BOB)._replace(petname=compact_id(BOB)[:16])


class ChangeTests(SynchronousTestCase):
    def test_none_undoes_another(self) -> None:
        """Whatever the order, all of them are there afterwards."""
        changes = (listing("bob", 5), verifying(7), trusting(True), learning(Met(b"key", "eve", hybrid=True), "eve", 9))
        for order in permutations(changes):
            row = changed(NAMELESS, order)
            self.assertEqual((row.petname, row.consent, row.listed, row.verified_at), ("bob", "always", True, 7))
            self.assertEqual((row.classical, row.key, row.hybrid_at), (True, b"key", 9))

    def test_block(self) -> None:
        """A block ends the consent for always, and only taking it back undoes it, which gives no consent."""
        row = changed(NAMELESS, (accepting_always, blocking(5)))
        self.assertEqual((row.blocked_at, row.consent), (5, "ask"))
        row = changed(row, (trusting(False), verifying(None), learning(NOTHING, "", 9), listing("", 9)))
        self.assertEqual(row.blocked_at, 5)
        row = changed(row, (blocking(6), unblocking))
        self.assertEqual((row.blocked_at, row.consent), (None, "ask"))

    def test_removal(self) -> None:
        """Nothing stands for who is removed; how they could come before, and a block, are remembered."""
        changes = (listing("bob", 5), verifying(7), trusting(True), learning(Met(b"key", hybrid=True), "", 9))
        row = changed(NAMELESS, (*changes, unlisted))
        self.assertEqual((row.consent, row.verified_at, row.classical, row.listed), ("ask", None, False, False))
        self.assertEqual((row.key, row.hybrid_at), (b"key", 9))
        self.assertEqual(changed(row, (blocking(6), unlisted)).blocked_at, 6)

    def test_first_meeting_counts(self) -> None:
        """The first key and the first time are pinned; a petname that the person gave, or that is one, stays."""
        row = changed(NAMELESS, (learning(Met(b"key", "bob", hybrid=True), "bob", 5),))
        self.assertEqual((row.key, row.petname, row.hybrid_at), (b"key", "bob", 5))
        self.assertEqual(changed(row, (learning(Met(b"other", "eve", hybrid=True), "eve", 9),)), row)
        listed = changed(NAMELESS, (listing("", 5), learning(Met(b"key", "bob"), "bob", 9)))
        self.assertEqual(listed.petname, NAMELESS.petname)

    def test_added_when_first_listed(self) -> None:
        """The time of adding is that of the first listing after the last removal."""
        row = changed(NAMELESS, (listing("bob", 5), listing("robert", 6)))
        self.assertEqual((row.added_at, row.petname), (5, "robert"))
        self.assertEqual(changed(row, (unlisted, listing("", 7))).added_at, 7)
