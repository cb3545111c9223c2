"""p2pchat.ui.pages and fate: what was said, and what became of it, in words."""

import unicodedata

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.ui.drawing import draw
from p2pchat.ui.fate import SHOWN_CHATS, SHOWN_TEXT, forgotten, question, queue_lines, times, unseen_line, why_waiting
from p2pchat.ui.pages import EXCERPT, excerpt, found_lines, page, stored
from tests.fake_api import ALICE, BOB, CAROL, person
from tests.test_hostile_text import FORBIDDEN

NOON = 1_790_000_000_000


def line(text="hello", **fields):
    """A stored line of bob's."""
    values = {"entry": 1, "person": BOB, "mine": False, "author": "bob", "number": 7, "kind": "text", "at": NOON}
    return api.StoredLine(**{**values, "arrived": NOON, "text": text, **fields})


def rows(lines):
    return [row[-40:] for each in lines for row in draw(each)]


class PageTests(SynchronousTestCase):
    def test_states(self):
        """A line says of itself what is not as usual, and nothing else."""
        for fields, head in {
            (): "bob#7: ",
            (("mine", True), ("author", "alice"), ("state", "delivered")): "alice#7: ",
            (("mine", True), ("author", "alice"), ("state", "seen")): "alice#7: ",
            (("mine", True), ("author", "alice"), ("state", "queued")): "alice#7 (queued): ",
            (("mine", True), ("author", "alice"), ("state", "refused")): "alice#7 (not delivered): ",
        }.items():
            self.assertTrue(stored(line(**dict(fields))).head.endswith(f" {head}"), head)
        self.assertIn("(found): ", stored(line(), found=True).head)
        self.assertRegex(stored(line(arrived=NOON + 90_000_000)).head, r"\(arrived 2026-\d\d-\d\d \d\d:\d\d\): ")
        self.assertRegex(stored(line(arrived=NOON + 90_000_000, history=True)).head, r"bob#7: ")

    def test_other_kinds(self):
        """What has no text to show is a note that says why."""
        self.assertRegex(draw(stored(line("", kind="void", mine=True, author="alice")))[0], "^-- .*taken back")
        self.assertRegex(
            draw(stored(line("", kind="holo\x1bgram")))[0], r"^-- .*bob#7 needs a newer version.*holo.gram"
        )

    def test_impossible_dates(self):
        """A date that no calendar has is no error."""
        for at in (-1, 0, 1 << 62, -(1 << 62)):
            self.assertIn(" bob#7", stored(line(at=at)).head)

    def test_page(self):
        """A page stands between two notes; what is new in it below a third."""
        lines = [line("a"), line("b", state="new"), line("c", mine=True, author="alice"), line("d", state="new")]
        shown = list(page(lines, "title", True))
        notes = [row.text for row, shows in shown if shows is None]
        self.assertEqual(notes, ["title; what was before: /more", "not seen before:", "end of history"])
        self.assertEqual([shows.text for _, shows in shown if shows is not None], ["a", "b", "c", "d"])
        self.assertEqual(next(iter(page(lines, "title", False)))[0].text, "title")

    def test_found(self):
        """What was found is numbered on, and one's own says to whom it went."""
        lines = found_lines([line(), line("hi", mine=True, author="alice")], "x", 10, True)
        self.assertEqual(lines[1].head[:5], "[11] ")
        self.assertTrue(lines[2].head.endswith(" alice#7 to bob: "))
        self.assertEqual(lines[-1].text, "there is more: /more")
        self.assertEqual(found_lines([], "x", 0, False)[0].text, "nothing was found")
        self.assertEqual(found_lines([], "x", 10, False)[0].text, "nothing more was found")

    @settings(max_examples=200)
    @given(st.text(max_size=600), st.text(max_size=20))
    def test_excerpt(self, text, words):
        """An excerpt is one line of a bounded length, whatever was written and looked for."""
        shown = excerpt(text, words)
        self.assertLessEqual(len(shown), EXCERPT + 8)
        self.assertEqual(len(shown.splitlines() or [""]), 1)

    def test_excerpt_holds_the_word(self):
        """The word that was looked for is in it."""
        text = "a " * 500 + "Needle" + " b" * 500
        self.assertIn("Needle", excerpt(text, "zzz needle"))
        self.assertTrue(excerpt(text, "zzz").startswith("a a"))
        self.assertEqual(excerpt("short\ntext", "x"), "short text")

    @settings(max_examples=200)
    @given(st.text(max_size=200), st.text(max_size=20))
    def test_X6_any_text(self, text, kind):
        """No text of another's puts a control on the screen, or begins a row as one of ours does."""
        shown = [row for row, _ in page([line(text), line(text, kind=kind)], "title", False)]
        for row in [row for each in [*shown, *found_lines([line(text)], text, 0, False)] for row in draw(each)]:
            self.assertFalse(
                {unicodedata.category(sign) for sign in row if sign not in "\u200d\t"} & FORBIDDEN, repr(row)
            )
        for row in draw(stored(line(text))):
            self.assertTrue(row.startswith("  "), repr(row))


class FateTests(SynchronousTestCase):
    def test_why(self):
        """Why something waits, for every state of a chat, with what would help."""
        for fields, words in {
            (("chat", "open"),): "on their way",
            (("chat", "lost"),): "no link now",
            (("chat", "asked"),): "/accept bob",
            (("chat", "asking"), ("online", False)): "away",
            (("chat", "asking"),): "not reached yet",
            (("chat", "none"),): "/connect bob",
            (("chat", "none"), ("standing", "blocked")): "/unblock bob",
        }.items():
            self.assertIn(words, why_waiting(person("bob", **dict(fields))), fields)
        self.assertIn('/connect "bob smith"', why_waiting(person("bob smith", contact=True)))

    def test_queue(self):
        """A queue is told by person, and what is beyond the first page is counted."""
        waiting = [
            api.QueuedLine(person=BOB, number=1, text="x" * 100, at=NOON, left=True),
            api.QueuedLine(person=CAROL, number=1, text="a\n-- b\x1b", at=NOON, left=True),
        ]
        lines = queue_lines(api.Queue(waiting=tuple(waiting), total=9))
        self.assertEqual(
            [text.split(" ")[:2] for text in lines[::2]], [["for", "bob:"], ["for", "carol:"], ["and", "7"]]
        )
        self.assertTrue(lines[1].endswith(f"(may have left): {'x' * SHOWN_TEXT} ..."), lines[1])
        self.assertTrue(lines[3].endswith(": a -- b\N{REPLACEMENT CHARACTER}"), lines[3])
        self.assertFalse(any("/cancel" in text for text in lines), "all of them may have left")

    def test_times(self):
        """A message that was refused or taken back says so."""
        told = api.MessageTimes(
            person=BOB, author="alice", number=3, text="x", queued=NOON, delivered=None, seen=None, refused="too-big"
        )
        self.assertIn("not delivered: bob cannot take it (too-big)", times(told))
        told = api.MessageTimes(
            person=BOB, author="alice", number=3, text="x", queued=NOON, delivered=None, seen=None, taken_back=True
        )
        self.assertTrue(times(told).endswith("taken back before it left"))

    def test_forgotten(self):
        """What stays because it waits is counted; what is out of reach is cleaned."""
        told = forgotten(api.Forgotten(count=0, waiting=2, out_of_reach="what \x1b[2Jbob has"))
        self.assertEqual(told[0], "nothing was there to be deleted; what waits to be delivered stays until then (2)")
        self.assertTrue(told[1].isprintable())

    def test_questions(self):
        """Before something is deleted it is said what, and what to type, for a name with a blank too."""
        smith = person("bob smith", contact=True)
        self.assertIn('/forget "bob smith" yes', question(api.Forget(who="x"), smith)[1])
        self.assertIn('/retention "bob smith" 1 yes', question(api.SetRetention(days=1, who="x"), smith)[1])
        self.assertIn("older than 1 day,", question(api.SetRetention(days=1), None)[0])

    def test_unseen(self):
        """The first few are named, the others counted."""
        chats = [api.UnseenChat(person=CAROL, count=3, entry=1)] * (SHOWN_CHATS + 2)
        self.assertRegex(unseen_line(chats), r"^not seen yet: carol 3, .*carol 3, 2 others; /msg carol shows it$")
        self.assertTrue(
            unseen_line([api.UnseenChat(person=ALICE, count=1, entry=1)]).endswith("/history alice shows it")
        )
