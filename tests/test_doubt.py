"""What a difference between two disks means (docs/protocol.md, section 10, "Doubt")."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.doubt import Broken, Fits, Knowledge, RolledBack, Verdict, compare, start_for
from p2pchat.core.entries import first_head, next_head
from p2pchat.core.messages import Holding

from .examples import STREAM

STORE, OTHER_STORE = b"s" * 16, b"o" * 16


def chain(entries: list[bytes]) -> list[bytes]:
    """head(0) and the head after each entry."""
    heads = [first_head(STREAM)]
    for entry in entries:
        heads.append(next_head(heads[-1], entry))
    return heads


def look_up(heads: list[bytes]) -> Callable[[int], bytes | None]:
    """head(seq) as an author knows it."""
    return lambda seq: heads[seq] if 0 <= seq < len(heads) else None


OURS = chain([b"1", b"2", b"3", b"4", b"5", b"6"])
THEIRS = chain([b"1", b"2", b"3", b"4'", b"5'", b"6'", b"7'"])
"""The same author's chain up to entry 3, then another one."""


def known(confirmed: int, *, first: int = 1, seq: int = 6, store: bytes | None = STORE) -> Knowledge:
    """An author who wrote `seq` entries, `confirmed` of which the reader has confirmed."""
    return Knowledge(STREAM, seq, OURS[seq], store, first, confirmed, OURS[confirmed])


def has(seq: int, heads: list[bytes] = OURS, first: int = 1) -> Holding:
    """A reader's word that it has entries up to `seq` of a chain."""
    return Holding(stream=STREAM, first=first, base=heads[first - 1], seq=seq, head=heads[seq])


def verdict(knowledge: Knowledge, holding: Holding | None, store: bytes = STORE) -> Verdict:
    """What the author does."""
    return compare(knowledge, holding, store, look_up(OURS[: knowledge.seq + 1]))


class TableTests(SynchronousTestCase):
    def test_all_is_well(self) -> None:
        """Its head fits and it has at least what it confirmed: the rest is sent."""
        for confirmed in range(7):
            for seq in range(confirmed, 7):
                self.assertEqual(verdict(known(confirmed), has(seq)), Fits(seq, OURS[seq]))

    def test_reader_rolled_back(self) -> None:
        """Its head fits, but it has less than the same store confirmed: the person is told, the rest is sent again."""
        for confirmed in range(1, 7):
            for seq in range(confirmed):
                self.assertEqual(verdict(known(confirmed), has(seq)), RolledBack(seq, OURS[seq]))

    def test_reader_rolled_back_to_nothing(self) -> None:
        """A stream that it confirmed and lists no more was rolled back altogether."""
        self.assertEqual(verdict(known(4), None), RolledBack(0, OURS[0]))
        self.assertEqual(verdict(known(4, first=3), None), RolledBack(2, OURS[2]))

    def test_never_held(self) -> None:
        """What is not listed is not held, which is well if nothing was confirmed."""
        self.assertEqual(verdict(known(0), None), Fits(0, OURS[0]))
        self.assertEqual(verdict(known(0, store=None), None), Fits(0, OURS[0]))
        self.assertEqual(verdict(known(2, first=3), None), Fits(2, OURS[2]))

    def test_heads_differ(self) -> None:
        """Another entry under a known number: a new stream, after what was confirmed."""
        for seq in (4, 5, 6):
            for confirmed in range(4):
                self.assertEqual(verdict(known(confirmed), has(seq, THEIRS)), Broken(confirmed, OURS[confirmed]))

    def test_reader_has_more_than_was_written(self) -> None:
        """The author was rolled back: a new stream, also when nothing was written since."""
        self.assertEqual(verdict(known(3, seq=3), has(6)), Broken(3, OURS[3]))
        self.assertEqual(verdict(known(0), has(7, THEIRS)), Broken(0, OURS[0]))

    def test_nothing_is_agreed_that_the_reader_does_not_have(self) -> None:
        """A damaged reader behind what it confirmed has not agreed to that: what it may lack is sent again."""
        damaged = replace_head(has(3), b"\0" * 32)
        self.assertEqual(verdict(known(5), damaged), Broken(0, OURS[0]))
        self.assertEqual(verdict(known(5, first=3), replace_head(has(4, first=3), b"\0" * 32)), Broken(2, OURS[2]))
        self.assertEqual(verdict(known(5), has(5, THEIRS)), Broken(0, OURS[0]), "it has something else there")

    def test_author_damaged(self) -> None:
        """An author whose own chain no longer has what was confirmed knows of nothing that both agree on."""
        knowledge = replace(known(3), confirmed_head=b"\0" * 32)
        self.assertEqual(verdict(knowledge, has(6, THEIRS)), Broken(0, OURS[0]))

    def test_another_store(self) -> None:
        """A reader that lost its database goes on after what its old store had confirmed."""
        self.assertEqual(verdict(known(4), None, OTHER_STORE), Fits(4, OURS[4]))
        self.assertEqual(verdict(known(4), has(5, first=5), OTHER_STORE), Fits(5, OURS[5]))
        self.assertEqual(verdict(known(4), has(2), OTHER_STORE), Fits(2, OURS[2]))
        self.assertEqual(verdict(known(3), has(5, THEIRS, 4), OTHER_STORE), Broken(3, OURS[3]))

    def test_another_store_with_another_chain(self) -> None:
        """What one database confirmed says nothing of another from where that one began to read."""
        for seq in (4, 6, 7):
            self.assertEqual(verdict(known(5), has(seq, THEIRS), OTHER_STORE), Broken(0, OURS[0]))
            self.assertEqual(verdict(known(5), has(seq, THEIRS, 3), OTHER_STORE), Broken(2, OURS[2]))
        self.assertEqual(verdict(known(2), has(7, THEIRS, 7), OTHER_STORE), Broken(2, OURS[2]))
        self.assertEqual(verdict(known(5), has(4, THEIRS, 4), OTHER_STORE), Broken(3, OURS[3]))
        lying = replace_head(Holding(stream=STREAM, first=99, base=OURS[0], seq=2, head=OURS[2]), b"\0" * 32)
        self.assertEqual(verdict(known(5), lying, OTHER_STORE), Broken(0, OURS[0]))

    def test_where_a_reader_starts(self) -> None:
        """The author lists its first entry, or for another store the one after what the old one confirmed."""
        self.assertEqual(start_for(known(4), OTHER_STORE), (5, OURS[4]))
        self.assertEqual(start_for(known(4), STORE)[0], 1)
        self.assertEqual(start_for(known(4, first=3), STORE)[0], 3)
        self.assertEqual(start_for(known(0, store=None), STORE)[0], 1)


def replace_head(holding: Holding, head: bytes) -> Holding:
    """A holding that ends in another head."""
    return Holding(stream=holding.stream, first=holding.first, base=holding.base, seq=holding.seq, head=head)


@dataclass
class Author:
    """The author's disk."""

    entries: list[bytes] = field(default_factory=list)
    confirmed: int = 0
    confirmed_head: bytes = field(default_factory=lambda: first_head(STREAM))
    store: bytes | None = None

    def copy(self) -> "Author":
        return replace(self, entries=list(self.entries))


@dataclass
class Reader:
    """The reader's disk."""

    entries: list[bytes] = field(default_factory=list)
    store: bytes = STORE

    def copy(self) -> "Reader":
        return replace(self, entries=list(self.entries))


STEPS = st.sampled_from(
    ["write", "deliver", "deliver", "confirm", "back up author", "back up reader", "restore author", "restore reader"]
)


class RollbackTests(SynchronousTestCase):
    @settings(max_examples=500, deadline=None)
    @given(st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=40))
    def test_F22_no_rollback_is_taken_for_well(self, steps: list[tuple[str, int]]) -> None:
        """However either side is rolled back, all is well only if the reader's entries are the author's."""
        author, reader = Author(), Reader()
        author_backups, reader_backups = [author.copy()], [reader.copy()]
        written = 0
        for step, which in steps:
            heads = chain(author.entries)
            match step:
                case "write":
                    written += 1
                    author.entries.append(hashlib.sha256(bytes([written])).digest())
                case "deliver" if author.entries[: len(reader.entries)] == reader.entries:
                    reader.entries = author.entries[: len(reader.entries) + 1]
                case "confirm" if author.entries[: len(reader.entries)] == reader.entries:
                    author.confirmed, author.store = len(reader.entries), reader.store
                    author.confirmed_head = heads[author.confirmed]
                case "back up author":
                    author_backups.append(author.copy())
                case "back up reader":
                    reader_backups.append(reader.copy())
                case "restore author":
                    author = author_backups[which % len(author_backups)].copy()
                case "restore reader":
                    reader = reader_backups[which % len(reader_backups)].copy()
            self.check(author, reader)

    def test_F22_every_pair_of_short_histories(self) -> None:
        """All pairs of disks with up to five entries, whichever part of them is common, and every confirmation."""
        for written in range(6):
            for held in range(6):
                for common in range(min(written, held) + 1):
                    ours = [b"%d" % number for number in range(written)]
                    theirs = ours[:common] + [b"other %d" % number for number in range(common, held)]
                    for confirmed in range(written + 1):
                        store = STORE if confirmed else None
                        self.check(Author(ours, confirmed, chain(ours)[confirmed], store), Reader(theirs))

    def check(self, author: Author, reader: Reader) -> None:
        """Compare the two as they would at link-up."""
        ours, theirs = chain(author.entries), chain(reader.entries)
        seq = len(reader.entries)
        holding = Holding(stream=STREAM, first=1, base=theirs[0], seq=seq, head=theirs[seq]) if seq else None
        knowledge = Knowledge(
            STREAM, len(author.entries), ours[-1], author.store, 1, author.confirmed, author.confirmed_head
        )
        found = compare(knowledge, holding, reader.store, look_up(ours))
        self.assertEqual(ours[found.seq], found.head, "what is named is of the author's chain")
        match found:
            case Fits():
                self.assertEqual(author.entries[:seq], reader.entries)
                self.assertEqual(found.seq, seq)
                self.assertGreaterEqual(seq, author.confirmed)
            case RolledBack():
                self.assertEqual(author.entries[:seq], reader.entries)
                self.assertEqual(found.seq, seq)
                self.assertLess(seq, author.confirmed)
            case Broken():
                self.assertNotEqual(author.entries[:seq], reader.entries)
                # What comes after is sent again, so this must be what the reader said that it has, and still may.
                self.assertLessEqual(found.seq, min(author.confirmed, seq))
