import unicodedata

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase
from wcwidth import wcswidth, wcwidth

from p2pchat.core.cells import cell_width, clusters, octets, take, wrap

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
PIECES = [
    "a",
    "word ",
    " ",
    "\t",
    "中",
    "e\u0301",
    "हि",
    "👍🏽",
    FAMILY,
    "❤\ufe0f",
    "1\ufe0f\u20e3",
    "각",
    "\u1112\u1161\u11ab",
]
texts = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=60).map("".join)


class WidthTests(SynchronousTestCase):
    def test_known_widths(self) -> None:
        """Han, Hangul, fullwidth and emoji take two cells, marks none, everything else one."""
        for text, cells in {
            "": 0,
            "hello": 5,
            "中文": 4,
            "한국": 4,
            "\u1112\u1161\u11ab": 2,
            "Ａ": 2,
            "e\u0301": 1,
            "éß": 2,
            "👍": 2,
            "👍🏽": 4,
            "❤": 1,
            "❤\ufe0f": 2,
            "👍\ufe0f": 2,
            "1\ufe0f\u20e3": 2,
            FAMILY: 8,
            "…\ufffd": 2,
            "☰": 2,
            "a\tb": 10,
            "\x1b\n": 0,
        }.items():
            self.assertEqual(cell_width(text), cells, ascii(text))

    def test_never_below_the_tables_of_the_terminal_library(self) -> None:
        """Over all of Unicode no assigned character is counted narrower than prompt_toolkit counts it."""
        narrower = [
            hex(code)
            for code in range(0x110000)
            if unicodedata.category(chr(code)) not in ("Cn", "Cs") and cell_width(chr(code)) < wcwidth(chr(code))
        ]
        # The visible soft hyphen and its like: format characters, which are never shown.
        self.assertEqual([code for code in narrower if unicodedata.category(chr(int(code, 16))) != "Cf"], [])

    def test_equal_to_the_terminal_library_but_for_spacing_marks(self) -> None:
        """Only spacing marks, on which terminals disagree, and blank letters, which are never shown, are wider."""
        wider = {
            chr(code)
            for code in range(0x20, 0x110000)
            if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Cc", "Co")
            and cell_width(chr(code)) > max(wcwidth(chr(code)), 0)
        }
        self.assertLessEqual(
            {unicodedata.category(character) for character in wider - set("\u115f\u3164\uffa0")}, {"Mc"}
        )

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
    def test_sequences_are_never_below(self, text: str) -> None:
        """A text made of clusters is not counted narrower than the terminal library counts it."""
        self.assertGreaterEqual(cell_width(text), wcswidth(text))


class ClusterTests(SynchronousTestCase):
    def test_what_belongs_together(self) -> None:
        """Marks, emoji sequences, Jamo and CR LF stay with what is before them."""
        for piece in ["e\u0301\u0323", FAMILY, "👍🏽", "❤\ufe0f", "1\ufe0f\u20e3", "\u1112\u1161\u11ab", "\r\n"]:
            self.assertEqual(list(clusters(f"a{piece}b")), ["a", piece, "b"], ascii(piece))
        self.assertEqual(list(clusters("")), [])

    @settings(deadline=None)
    @given(texts)
    def test_nothing_is_lost(self, text: str) -> None:
        """Clusters joined give the text, and their widths its width."""
        self.assertEqual("".join(clusters(text)), text)
        self.assertEqual(sum(map(cell_width, clusters(text))), cell_width(text))


class TakeTests(SynchronousTestCase):
    def test_stops_at_either_limit(self) -> None:
        """What is taken is within the bytes and within the cells, and nothing is taken after a gap."""
        self.assertEqual(take(["a", "中", "b"], 4, 9), ["a", "中"])
        self.assertEqual(take(["a", "中", "b"], 9, 2), ["a"])
        self.assertEqual(take(["中", "b"], 2, 2), [])


class WrapTests(SynchronousTestCase):
    def test_breaks_after_a_space(self) -> None:
        """A row ends after its last space; a word that is longer than a row is cut."""
        self.assertEqual(wrap("ab cde fg", 6), ["ab ", "cde fg"])
        self.assertEqual(wrap("abcdefgh ij", 4), ["abcd", "efgh", " ij"])
        self.assertEqual(wrap("中文中文", 5), ["中文", "中文"])
        self.assertEqual(wrap("", 5), [""])

    @settings(max_examples=200, deadline=None)
    @given(texts, st.integers(1, 30))
    def test_rows_fit(self, text: str, width: int) -> None:
        """Rows joined give the line; each fits, unless it is one cluster; none is empty."""
        rows = wrap(text, width)
        self.assertEqual("".join(rows), text)
        for row in rows:
            self.assertTrue(cell_width(row) <= width or len(list(clusters(row))) == 1, ascii(rows))
            self.assertTrue(row or rows == [""])


class OctetTests(SynchronousTestCase):
    def test_utf8(self) -> None:
        """Bytes are those of UTF-8; a lone surrogate counts three instead of failing."""
        self.assertEqual([octets(text) for text in ("", "a", "é", "中", "👍", "\ud800")], [0, 1, 2, 3, 4, 3])
