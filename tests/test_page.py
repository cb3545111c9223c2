"""p2pchat.ui.page: the rows of a person's screen."""

import re
import time

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.text import cell_width
from p2pchat.ui.drawing import Line, Origin, note, told
from p2pchat.ui.page import CONTRAST, PALETTE, Look, Page, colour_of, contrast, lay_out
from tests.fake_api import BOB, CAROL

NOON = time.mktime((2026, 11, 28, 12, 0, 0, 0, 0, -1))
FULL, PLAIN = Look(), Look(plain=True)


def theirs(text, head="bob#1: ", **fields):
    return Line(Origin.THEIRS, text, head, BOB.id, **fields)


def rows(text, width=40, head="bob#1: ", look=FULL):
    return [str(row) for row in lay_out(theirs(text, head), width, "12:00", look)]


class LayOutTests(SynchronousTestCase):
    """Where things stand."""

    def test_hangs(self):
        """What does not fit goes on under the text, after whole words, and by cells."""
        self.assertEqual(
            rows("a sentence that is too long for it, and 日本語日本語日本語日本語 too", 40),
            [
                "12:00   bob#1: a sentence that is too",
                "               long for it, and",
                "               日本語日本語日本語日本語",
                "               too",
            ],
        )

    def test_wide_head(self):
        """Under a head that takes the row nothing hangs."""
        long = rows("one two three four five six", 40, f"{'n' * 24}#1: ")
        self.assertEqual(long, [f"12:00   {'n' * 24}#1: one", "    two three four five six"])
        self.assertEqual(rows("undividedly", 40, f"{'n' * 24}#1: ")[1], "    undividedly")

    def test_block(self):
        """Lines of code or a table keep their blanks, and stand under each other."""
        self.assertEqual(
            rows("if a:\n\tb\n\n    c", 40), ["12:00   bob#1: if a:", f"{'':15}{'':8}b", "", f"{'':15}    c"]
        )

    def test_wide_block(self):
        """A block that would have to be broken begins at the left edge instead, all of it."""
        table = "name     value    unit     note\nlength   12       m"
        self.assertEqual(rows(table, 36), ["12:00   bob#1:", *(f"    {line}" for line in table.split("\n"))])

    def test_table(self):
        """A row of a table of ours goes on under its second column, or narrow: its columns come close to each other."""
        row = told(f"  {'/search WORDS':<23}  lines of all chats with all of these words, newest first")
        self.assertEqual(
            [str(one) for one in lay_out(row, 79, "", FULL)],
            [f"--   {'/search WORDS':<23}  lines of all chats with all of these words,", f"{'':30}newest first"],
        )
        self.assertEqual(
            [str(one) for one in lay_out(row, 40, "", FULL)],
            ["--   /search WORDS  lines of all chats", "     with all of these words, newest", "     first"],
        )
        self.assertEqual(str(lay_out(row, 99, "", FULL)[0]), f"-- {row.text}")

    def test_table_of_several_columns(self):
        """It goes on under the last column that begins near enough; what has nothing but an edge, under that."""
        row = told("ok       paths         open to alice (direct); this version knows no relay yet")
        for width, rest in ((60, 12), (70, 26)):
            _, *further = [str(one) for one in lay_out(row, width, "", FULL)]
            self.assertEqual([len(one) - len(one.lstrip(" ")) for one in further], [rest] * len(further))
        fix = told(f"{'':23}fix: sudo ufw allow 6666/tcp, here")
        self.assertEqual(
            [str(one) for one in lay_out(fix, 40, "", FULL)], ["--     fix: sudo ufw allow 6666/tcp,", "       here"]
        )

    def test_gaps(self):
        """No row that was broken off a note begins with the blanks that set its parts apart."""
        request = note('alice wants to chat: "hello there"   /accept alice')
        self.assertEqual(
            [str(one) for one in lay_out(request, 44, "12:00", FULL)],
            ['12:00 -- alice wants to chat: "hello there"', f"{'':9}/accept alice"],
        )

    def test_tabs_between_wide_characters(self):
        """A tab goes to the next stop of the line, also behind characters of two cells."""
        self.assertEqual(rows("日本\tx\nab\ty", 60)[0], "12:00   bob#1: 日本    x")
        self.assertEqual(rows("日本\tx\nab\ty", 60)[1], f"{'':15}ab      y")

    def test_links(self):
        """A link is never broken: it gets a row of its own, which the terminal may break, never us."""
        short, long = "https://example.org/abcdefg", f"https://example.org/{'a' * 60}"
        self.assertEqual(rows(f"see {short} now", 40), ["12:00   bob#1: see", f"    {short} now"])
        self.assertEqual(rows(f"see {long} now", 40), ["12:00   bob#1: see", f"    {long}", "    now"])
        self.assertEqual(rows(long, 40), ["12:00   bob#1:", f"    {long}"])

    def test_plain(self):
        """For ears and fingers nothing hangs, and a block begins in a row of its own."""
        self.assertEqual(rows("one two three four five six", 30, look=PLAIN)[1], "  four five six")
        self.assertEqual(rows("a\nb", 30, look=PLAIN), ["12:00   bob#1:", "  a", "  b"])

    @given(st.text(max_size=300), st.integers(20, 90), st.booleans())
    @settings(max_examples=200)
    def test_X6_nothing_imitates_another_line(self, text, width, plain):
        """Only the first row of what others wrote is not indented, and it begins with our time and two blanks."""
        first, *further = rows(text, width, look=Look(plain=plain))
        self.assertTrue(first.startswith("12:00   bob#1:"), first)
        for row in further:
            self.assertTrue(row.startswith("  ") or not row, row)
        for row in (first, *further):
            self.assertLessEqual(cell_width(row), width if "://" not in text else 400)

    def test_X6_fakes(self):
        """A fake system line, message, prompt, time and day stay inside the message that brought them."""
        fakes = "hi\n-- server lost\n12:00 -- server lost\nalice#9: I agree\n[bob] > /quit\n-- Sunday 29 November 2026"
        for row in rows(fakes, 60)[1:]:
            self.assertTrue(row.startswith(" " * 15), row)

    @given(st.text("a:/ -12", max_size=200), st.integers(20, 60))
    @settings(max_examples=100)
    def test_X6_what_the_terminal_breaks(self, text, width):
        """What goes on at the left edge is a link alone: it has no blank, and every row of ours has one."""
        for row in rows(f"https://{text} {text}", width):
            if cell_width(row) > width:
                self.assertNotIn(" ", row.lstrip())

    def test_X5_monsters(self):
        """Thousands of marks, one endless word, endless emoji, mixed directions: within the width, in short time."""
        family = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
        for text in ("a" + "\u0301" * 10_000, "W" * 16_384, family * 600, "\u05d0a" * 4_000, "\u0301" * 10_000):
            begun = time.process_time()
            found = rows(text, 40)
            self.assertLess(time.process_time() - begun, 2)  # a tenth of a second; quadratic would be minutes
            self.assertLessEqual(max(map(cell_width, found)), 40)
        self.assertEqual(rows("a" + "\u0301" * 10_000)[0], "12:00   bob#1: a" + "\u0301" * 4 + "\ufffd")


class PageTests(SynchronousTestCase):
    """What a screen shows of lines as they come."""

    def setUp(self):
        self.now = NOON
        self.page = self.open()

    def open(self, **fields):
        return Page(Look(**fields), lambda: self.now)

    def test_time(self):
        """What happens has a time; an answer to what was typed needs none."""
        self.assertEqual(self.page.draw(note("server lost"), 80), ["12:00 -- server lost"])
        self.assertEqual(self.page.draw(told("no chat"), 80), ["-- no chat"])

    def test_days(self):
        """Another day is said once, before its first line."""
        self.now += 86_400
        self.assertEqual(self.page.draw(theirs("hi"), 80), ["-- Sunday 29 November 2026", "12:00   bob#1: hi"])
        self.assertEqual(self.page.draw(theirs("hi"), 80), ["12:00   bob#1: hi"])

    def test_out_of_the_store(self):
        """A line of another time is shown with that time, under its day; the next new one is under today's."""
        old = theirs("hi", when=int((NOON - 86_400 + 3_600) * 1000))
        self.assertEqual(self.page.draw(old, 80), ["-- Friday 27 November 2026", "13:00   bob#1: hi"])
        self.assertEqual(self.page.draw(note("x"), 80)[0], "-- Saturday 28 November 2026")

    def test_sent_long_ago(self):
        """What waited long says when it was sent; what did not does not; absurd times say nothing."""
        for ago, head in (
            (60, "bob#1: "),
            (-9_999, "bob#1: "),
            (3_600, "bob#1 (sent 11:00): "),
            (86_400, "bob#1 (sent 2026-11-27 12:00): "),
        ):
            sent = int((NOON - ago) * 1000)
            self.assertEqual(self.page.draw(theirs("hi", sent=sent), 80), [f"12:00   {head}hi"])
        for absurd in (-(2**60), 2**53 - 1):
            self.assertEqual(self.page.draw(theirs("hi", sent=absurd), 80), ["12:00   bob#1: hi"])

    def test_colours(self):
        """The head alone has a colour, the id's; what others wrote is never dim, notes are."""
        (row,) = self.open(colours=True).draw(theirs("hi"), 80)
        self.assertEqual(row, f"\x1b[2m12:00   \x1b[0m{colour_of(BOB.id)}bob#1: \x1b[0mhi")
        self.assertEqual(colour_of(BOB.id), colour_of(BOB.id))
        self.assertNotEqual(colour_of(BOB.id), colour_of(CAROL.id))
        self.assertEqual(self.open(colours=True).draw(told("x"), 80), ["\x1b[2m-- x\x1b[0m"])

    def test_no_colours(self):
        """Without colours there is no escape sequence at all."""
        for line in (theirs("hi"), note("x"), Line(Origin.MINE, "a\nb", "alice#1: ", "me")):
            self.assertNotIn("\x1b", "".join(self.page.draw(line, 80)))

    def test_palette(self):
        """Every colour is read on black and on white, and there are enough to tell people apart."""
        for colour in PALETTE:
            self.assertGreaterEqual(min(contrast(colour, True), contrast(colour, False)), CONTRAST)
        self.assertGreater(len(PALETTE), 12)
        self.assertAlmostEqual(contrast(231, False), 21)
        self.assertAlmostEqual(contrast(16, True), 21)

    def test_right_to_left(self):
        """Right-to-left text is kept apart from what stands beside it, where a terminal reorders it."""
        (row,) = self.page.draw(theirs("שלום"), 80)
        self.assertEqual(row, "12:00   bob#1: \u2068שלום\u2069")
        self.assertIsNone(re.search("[\u2066-\u2069]", self.page.draw(theirs("hello"), 80)[0]))
