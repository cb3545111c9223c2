"""What waits to be sent and is remembered, so that it need not be read from the disk."""

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.effects import Batch, Outgoing, Written
from p2pchat.core.entries import first_head
from p2pchat.core.messages import Holding
from p2pchat.core.unsent import MOST_KEPT, Unsent
from p2pchat.core.window import Room

from .examples import BASE, ENTRIES, HEADS, OLD_STREAM, STREAM


def written(*seqs: int) -> list[Written]:
    """Entries of Alice, as they were committed."""
    return [Written(seq, HEADS[seq], seq, ENTRIES[seq - 1]) for seq in seqs]


def batch(from_seq: int, entries: int = 256, size: int = 1 << 18, name: bytes = STREAM) -> Batch:
    """What an exchange asks for."""
    listed = Holding(stream=name, first=1, base=BASE, seq=3, head=HEADS[3])
    return Batch(Outgoing(1, name, listed, 3, from_seq, 0, 3), from_seq, entries, size)


class UnsentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.unsent = Unsent()
        self.unsent.add(STREAM, written(1, 2))

    def seqs(self, seq: int = 9) -> list[int]:
        return [each.seq for each in self.unsent.up_to(STREAM, seq)]

    def test_goes_on(self) -> None:
        """What follows by its head is kept behind what is there."""
        self.unsent.add(STREAM, written(3))
        self.assertEqual(self.seqs(), [1, 2, 3])
        self.assertEqual(self.seqs(2), [1, 2])
        self.assertEqual(self.unsent.head, HEADS[3])
        self.assertEqual(self.unsent.room, Room(3, sum(map(len, ENTRIES[:3]))))

    def test_another_chain(self) -> None:
        """What does not follow, because the disk has something else before it by now, takes its place."""
        self.unsent.add(STREAM, [Written(3, b"h" * 32, 3, ENTRIES[2])])
        self.assertEqual(self.seqs(), [3])

    def test_another_stream(self) -> None:
        """Only one stream is remembered: the one that goes on."""
        self.unsent.add(OLD_STREAM, [Written(1, first_head(OLD_STREAM), 1, b"x")])
        self.assertEqual((self.seqs(), self.unsent.room), ([], Room(1, 1)))
        self.unsent.sent(STREAM, 9)
        self.assertEqual(self.unsent.room, Room(1, 1))

    def test_sent(self) -> None:
        """What was sent is forgotten."""
        self.unsent.sent(STREAM, 2)
        self.assertEqual((self.seqs(), self.unsent.room), ([2], Room(1, len(ENTRIES[1]))))
        self.unsent.sent(STREAM, 3)
        self.assertEqual((self.seqs(), self.unsent.room, self.unsent.head), ([], Room(0, 0), b""))

    def test_too_much(self) -> None:
        """More than a reader takes at once is not kept: the disk has it."""
        self.unsent.clear()
        self.unsent.add(STREAM, [Written(seq, b"", seq, b"x") for seq in range(MOST_KEPT.entries)])
        self.assertEqual(self.unsent.room, MOST_KEPT._replace(bytes=MOST_KEPT.entries))
        self.unsent.clear()
        self.unsent.add(STREAM, [Written(1, b"", 1, bytes(MOST_KEPT.bytes + 1))])
        self.assertEqual(self.unsent.room, Room(0, 0))

    def test_batch(self) -> None:
        """A batch is given if it begins where this does, as large as was asked, and one entry whatever its size."""
        one, both = written(1), written(1, 2)
        self.assertEqual(self.unsent.within(batch(1)), both)
        self.assertEqual(self.unsent.within(batch(1, entries=1)), one)
        self.assertEqual(self.unsent.within(batch(1, size=len(ENTRIES[0]) + 1)), one)
        self.assertEqual(self.unsent.within(batch(1, size=1)), one)
        self.assertEqual(self.unsent.within(batch(2)), [])
        self.assertEqual(self.unsent.within(batch(1, name=OLD_STREAM)), [])
