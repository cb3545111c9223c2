"""p2pchat.ui.written: what the end of a transcript says of how far it came."""

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.text import hang
from p2pchat.ui.drawing import FURTHER
from p2pchat.ui.words import short_id
from p2pchat.ui.written import MOST_RECORDS, read_end, record
from tests.fake_api import ALICE, BOB, CAROL, stored

HEAD = record(0, f"-- chat: bob ({short_id(BOB.id)})")


def message(author, number, text):
    return record(60.0, f"{author}#{number}: {hang(text, FURTHER)}")


def end(text, is_all=True):
    written = read_end(text if isinstance(text, bytes) else text.encode(), is_all)
    written.own = "alice"
    return written


class WrittenTests(SynchronousTestCase):
    """A file against lines that arrived."""

    def matched(self, text, *lines):
        written = end(text)
        return [line.entry for line in reversed(lines) if written.match(line)][::-1], written.rest

    def test_messages(self):
        """Both sides' messages are found by side, number and text; what is not there is not."""
        text = HEAD + message("alice", 1, "hi") + message("bob", 1, "hi\nthere") + record(60.0, "-- bob: delivered #1")
        lines = [
            stored(1, "hi", number=1, mine=True),
            stored(2, "hi\nthere", number=1),
            stored(3, "hi", number=2),
            stored(4, "hi", number=1, person=CAROL),
        ]
        self.assertEqual(self.matched(text, *lines), ([1, 2], b""))

    def test_the_same_on_both_sides(self):
        """The first "hi" of each side is not taken for that of the other."""
        lines = [stored(1, "hi", number=1, mine=True), stored(2, "hi", number=1)]
        self.assertEqual(self.matched(HEAD + message("alice", 1, "hi"), *lines)[0], [1])
        self.assertEqual(self.matched(HEAD + message("bob", 1, "hi"), *lines)[0], [2])

    def test_each_counts_once(self):
        """Somebody who uses a number twice does not hide what came between."""
        lines = [stored(1, "a"), stored(2, "b", person=CAROL), stored(3, "a", number=1)]
        self.assertEqual(self.matched(HEAD + message("bob", 1, "a"), *lines)[0], [3])
        self.assertEqual(self.matched(HEAD + message("bob", 1, "a") * 2, *lines)[0], [1, 3])

    def test_other_names(self):
        """A name that changed since hides nothing; two of the same name are told apart by their chats."""
        lines = [stored(1, "a", number=1), stored(2, "b", number=1, mine=True)]
        for them, me in (("robert smith", "alice"), ("bob", "al"), (f"bob/{short_id(BOB.id)}", "alice")):
            self.assertEqual(self.matched(HEAD + message(them, 1, "a") + message(me, 1, "b"), *lines)[0], [1, 2])
        twin = stored(1, "a", person=ALICE)
        self.assertEqual(
            self.matched(HEAD.replace(short_id(BOB.id), short_id(ALICE.id)) + message("alice", 1, "a"), twin)[0], [1]
        )

    def test_deleted(self):
        """What was deleted or taken back here is found by its number."""
        lines = [stored(1, "", state="deleted"), stored(2, "", number=1, mine=True, state="taken back")]
        text = HEAD + message("bob", 1, "gone") + message("alice", 1, "oops")
        self.assertEqual(self.matched(text, *lines), ([1, 2], b""))
        note = record(60.0, "-- #1 to bob was taken back before it left")
        self.assertEqual(self.matched(HEAD + note, *lines), ([2], b""))

    def test_unknown_kinds(self):
        """A note stands for a message that this version cannot show."""
        note = record(60.0, "-- bob#1 needs a newer version of p2pchat to be shown (song)")
        self.assertEqual(self.matched(HEAD + note, stored(1, "", kind="song"))[0], [1])

    @given(st.text(max_size=40), st.data())
    @settings(max_examples=200)
    def test_torn(self, text, data):
        """Wherever the last message is torn, it is completed; or it is ended, and is none."""
        line = stored(1, text, number=17)
        before = (HEAD + message("bob", 16, "before")).encode()
        whole = message("bob", 17, text).encode()
        left = whole[: data.draw(st.integers(0, len(whole)))]
        written = end(before + left)
        if written.match(line):
            self.assertEqual(left + written.rest, whole)
        else:
            self.assertNotIn(b": ", (left + written.rest)[20:])
            self.assertEqual(written.rest, b"... [cut off]\n" if left else b"")

    def test_torn_and_gone(self):
        """What is torn and not known any more is marked; half a receipt tells nothing."""
        text = HEAD + message("bob", 1, "abc")[:-2]
        self.assertEqual(self.matched(text, stored(1, "", state="deleted")), ([1], b"... [cut off]\n"))
        written = end(HEAD + message("alice", 13, "a") + record(60.0, "-- bob: delivered #1")[:-1])
        self.assertFalse(written.is_told(stored(1, "b", mine=True), "delivered"))

    def test_receipts(self):
        """Receipts are found by chat, kind and number."""
        written = end(HEAD + record(60.0, "-- bob: delivered #2-#4 #9") + record(60.0, "-- bob: seen #3"))
        told = [
            [n for n in range(1, 11) if written.is_told(stored(n, "", mine=True), what)]
            for what in ("delivered", "seen")
        ]
        self.assertEqual(told, [[2, 3, 4, 9], [3]])
        self.assertFalse(written.is_told(stored(3, "", mine=True, person=CAROL), "seen"))

    def test_part(self):
        """Of a part of a file the first line is left out, and a chat that is named further up may be any."""
        text = message("bob", 1, "a") + message("bob", 2, "b")
        written = end(text, is_all=False)
        self.assertEqual([each.number for each in written.records], [2])
        self.assertTrue(written.match(stored(1, "b", number=2)))

    def test_bounded(self):
        """So many messages are compared, however many there are."""
        written = end(HEAD + "".join(message("bob", n, "a") for n in range(1, MOST_RECORDS + 10)))
        self.assertEqual((len(written.records), written.records[0].number), (MOST_RECORDS, 10))

    def test_since(self):
        """The time is that of the last message, or of the first record where there is none."""
        self.assertEqual(end(HEAD + message("bob", 1, "a") + record(90, "-- bob: delivered #1")).since, 60.0)
        self.assertEqual(end(HEAD + record(90, "-- bob: delivered #1")).since, 0.0)
        self.assertIsNone(end("something else\n").since)

    @given(st.binary(max_size=200), st.booleans())
    @settings(max_examples=200)
    def test_anything(self, data, is_all):
        """Any file can be gone on with."""
        written = end(data, is_all)
        written.match(stored(1, "a"))
        self.assertTrue((data + written.rest).endswith(b"\n") or not data)
