import re
import unicodedata
from typing import ClassVar

from hypothesis import given, settings, strategies as st
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.text import (
    CUT,
    FILE_NAME_BYTES,
    FILE_NAME_CELLS,
    LINE_BYTES,
    LINE_CELLS,
    MARK,
    MESSAGE_BYTES,
    NAME_BYTES,
    NAME_CELLS,
    Kind,
    body_lines,
    cell_width,
    clean,
    decode_utf8,
    handle_from,
    hang,
    is_handle,
    isolate,
    name_skeleton,
    split_message,
    text_behind,
)

ONE_LINE = (Kind.LINE, Kind.NAME, Kind.FILE_NAME)
SIZES = {
    Kind.LINE: (LINE_BYTES, LINE_CELLS),
    Kind.NAME: (NAME_BYTES, NAME_CELLS),
    Kind.FILE_NAME: (FILE_NAME_BYTES, FILE_NAME_CELLS),
}
DANGEROUS_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
DANGEROUS_RANGES = [
    (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160),
    (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xD800, 0xF8FF), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB),
    (0xFFFE, 0xFFFF), (0x1BCA0, 0x1BCA3), (0x1D159, 0x1D159), (0x1D173, 0x1D17A), (0xE0000, 0x10FFFF),
]  # fmt: skip
SLASHES = "/\\:\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff1a\uff3c"
SPACES = [code for code in range(0x3001) if unicodedata.category(chr(code)) == "Zs" or code == 0x2800]
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe00\ufe0e\ufe0f\u034f\u3164\U000e0001\U000e0061\U000e007f\U000e0100"
FAMILY = "👨\u200d👩\u200d👧\u200d👦"
EMOJI = [
    FAMILY, "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏿", "🏳\ufe0f\u200d🌈", "👁\ufe0f\u200d🗨\ufe0f", "🧑\u200d⚕\ufe0f",
    "🇩🇪🇨🇭", "1\ufe0f\u20e3#\ufe0f\u20e3*\ufe0f\u20e3", "❤\ufe0f☺\ufe0f‼\ufe0f©\ufe0f", "👍🏽", "😀",
]  # fmt: skip
PLAIN = [
    "hello, world", "Grüße, naïve façade", "中文，你好。", "日本語のテキスト　です", "한국어", "हिन्दी में", "தமிழ்",
    "العربية مرحبا", "עִבְרִית", "ภาษาไทย ที่นี่", "Русский Ёлка", "Ελληνικά", "ქართული", "አማርኛ", "Tiếng Việt",
    "Հայերեն", "བོད་ཡིག", "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋", "┌─┐", "«»“”…—", "₿ € £",
]  # fmt: skip


def is_dangerous(code: int) -> bool:
    """Tell it a second time, from the categories and from ranges written out, not as the module does."""
    if unicodedata.category(chr(code)) in DANGEROUS_CATEGORIES:
        return True
    return any(first <= code <= last for first, last in DANGEROUS_RANGES)


def has_danger(text: str, allowed: str = "") -> bool:
    return any(is_dangerous(ord(character)) for character in text if character not in allowed)


# Every code point, and often what matters: controls, marks, joiners, pictures, line ends, cuts.
spice = st.sampled_from(
    [*"\r\n\t\x1b\x9b \u0301\u0323\u1161\u20e3\ufe0f\u200d/.-…\ufffd\ud800\U000e0061\u3000é", "\r\n", *EMOJI, *PLAIN]
)
hostile = st.lists(spice | st.characters(), max_size=80).map("".join)
long_hostile = st.builds(lambda text, times: text * times, hostile, st.integers(1, 2_000)).map(
    lambda text: text[:40_000]
)
kinds = st.sampled_from(Kind)


class AllOfUnicodeTests(SynchronousTestCase):
    """Every code point, 0 to 10FFFF; in planes 0 and 1, where there are marks, each behind a letter."""

    shown: ClassVar[list[str]] = [MARK if is_dangerous(code) else chr(code) for code in range(0x110000)]

    def check(self, kind: Kind, differently: dict[int, str], at_once: int, at_once_beyond: int) -> None:
        """Compare with `shown`, but for some code points; the counts keep within the kind's size."""
        shown = self.shown.copy()
        for code, text in differently.items():
            shown[code] = text
        for start in range(0, 0x20000, at_once):
            text = "".join(f"a{chr(code)}" for code in range(start, start + at_once))
            self.check_one(kind, text + "z", "a" + "a".join(shown[start : start + at_once]) + "z")
        for start in range(0x20000, 0x110000, at_once_beyond):
            end = min(start + at_once_beyond, 0x110000)
            self.check_one(kind, "".join(map(chr, range(start, end))) + "z", "".join(shown[start:end]) + "z")

    def check_one(self, kind: Kind, text: str, expected: str) -> None:
        if kind in (Kind.NAME, Kind.FILE_NAME):
            expected = unicodedata.normalize("NFC", expected)
        cleaned = clean(text, kind)
        if cleaned != expected:
            self.fail(f"{kind}: {text!a} gives {cleaned!a}, not {expected!a}")
        if expected.strip("az\ufffd") and clean(cleaned, kind) != cleaned:
            self.fail(f"{kind}: {text!a} changes when cleaned twice")

    def test_body(self) -> None:
        """A body passes what is safe, LF and TAB; everything else becomes one mark."""
        self.check(Kind.BODY, {0x09: "\t", 0x0A: "\n"}, 4_096, 4_096)

    def test_line(self) -> None:
        """A line passes what is safe; LF and TAB become marks, odd spaces become spaces."""
        self.check(Kind.LINE, dict.fromkeys(SPACES, " "), 128, 240)

    def test_name(self) -> None:
        """A name passes what is safe, in NFC."""
        self.check(Kind.NAME, dict.fromkeys(SPACES, " "), 4, 15)

    def test_file_name(self) -> None:
        """A file name passes what is safe and separates nothing, in NFC."""
        slashes = dict.fromkeys(map(ord, SLASHES), MARK)
        self.check(Kind.FILE_NAME, dict.fromkeys(SPACES, " ") | slashes, 8, 48)

    def test_alone(self) -> None:
        """A character alone is as safe as behind a letter: none combines with what stands before the field."""
        for code in (*range(0x3000), *range(0xFB00, 0x10000), *range(0xE0000, 0xE0200)):
            for kind in Kind:
                cleaned = clean(chr(code), kind)
                self.assertFalse(has_danger(cleaned, "\n\t" if kind is Kind.BODY else ""), hex(code))
                self.assertFalse(unicodedata.category((cleaned or "a")[0]).startswith("M"), hex(code))


class CleanTests(SynchronousTestCase):
    def test_X1_control_sequences(self) -> None:
        """No escape sequence, C1 control, DEL, CR, BEL, VT, FF or line separator passes any kind."""
        for attack in (
            "\x1b]0;title\x07", "\x1b]52;c;aGk=\x07", "\x1b]8;;http://x\x1b\\link", "\x1b[2J\x1b[1;1H", "\x9b31m",
            "\x90q\x9c", "a\x08\x08b", "a\rb", "a\x7fb", "\x0b\x0c", "a\u2028b\u2029c\x85d", "\x1b", "\x1b[",
        ):  # fmt: skip
            for kind in Kind:
                cleaned = clean(attack, kind)
                self.assertFalse(has_danger(cleaned), ascii(cleaned))
                self.assertIn(MARK, cleaned)
        self.assertEqual(clean("\x1b[31mred", Kind.LINE), f"{MARK}[31mred")

    def test_X1_line_ends(self) -> None:
        """LF and TAB stay in a body alone; CR LF is one line end there; a lone CR is marked."""
        self.assertEqual(clean("a\n\tb", Kind.BODY), "a\n\tb")
        self.assertEqual(clean("a\r\nb\rc\r\r\n", Kind.BODY), f"a\nb{MARK}c{MARK}\n")
        for kind in ONE_LINE:
            self.assertEqual(clean("a\nb\tc", kind), f"a{MARK}b{MARK}c")
            self.assertEqual(clean("a\r\nb", kind), f"a{MARK}{MARK}b")

    def test_X2_bidi_controls(self) -> None:
        """Bidi controls are replaced everywhere, also in an emoji sequence's neighbourhood."""
        for control in BIDI:
            for kind in Kind:
                self.assertEqual(clean(f"x{control}exe.txt", kind), f"x{MARK}exe.txt")
            self.assertEqual(clean(f"👨{control}👩", Kind.BODY), f"👨{MARK}👩")

    def test_X3_invisible(self) -> None:
        """Zero-width characters, tags, soft hyphens and selectors are shown as marks."""
        for character in INVISIBLE:
            for kind in Kind:
                self.assertEqual(clean(f"al{character}ice", kind), f"al{MARK}ice", hex(ord(character)))

    def test_X3_joiners_only_in_emoji(self) -> None:
        """ZWJ and the emoji selector stay between and behind emoji of a body, and nowhere else."""
        for text in EMOJI:
            self.assertEqual(clean(f"so {text}!", Kind.BODY), f"so {text}!")
        for text, cleaned in {
            "a\u200db": f"a{MARK}b",
            "👨\u200d": f"👨{MARK}",
            "\u200d👨": f"{MARK}👨",
            "👨\u200d\u200d👩": f"👨{MARK}{MARK}👩",
            "👨\u200da": f"👨{MARK}a",
            "a\ufe0f": f"a{MARK}",
            "1\ufe0f": f"1{MARK}",
            "😀\ufe0f\ufe0f": f"😀\ufe0f{MARK}",
            "👨\u200d\U0001faff": f"👨{MARK}{MARK}",
        }.items():
            self.assertEqual(clean(text, Kind.BODY), cleaned, ascii(text))
        for kind in ONE_LINE:
            self.assertEqual(clean("👨\u200d👩", kind), f"👨{MARK}👩")

    def test_X3_endless_emoji_sequence(self) -> None:
        """At most eight emoji are joined in one sequence."""
        cleaned = clean("👨\u200d" * 1_000 + "👨", Kind.BODY)
        self.assertEqual(max(len(re.findall("👨", part)) for part in cleaned.split(MARK)), 8)

    def test_X4_name_forms(self) -> None:
        """A name has no outer and no repeated spaces, of any sort, and is in NFC."""
        self.assertEqual(clean("  al  ice\u3000", Kind.NAME), "al ice")
        self.assertEqual(clean("a\u00a0\u2003b", Kind.NAME), "a b")
        self.assertEqual(clean("Zoe\u0308", Kind.NAME), "Zo\u00eb")
        self.assertEqual(clean(" \u0301x", Kind.NAME), f"{MARK}x")
        self.assertEqual(clean(" \u2800 ", Kind.NAME), "")

    def test_X5_marks(self) -> None:
        """At most four marks climb on one base; one mark stands for all others; none has no base."""
        self.assertEqual(clean("a" + "\u0301" * 10_000 + "b", Kind.BODY), "a" + "\u0301" * 4 + MARK + "b")
        self.assertEqual(clean("a" + "\u0323" * 900, Kind.NAME), "ạ" + "\u0323" * 4 + MARK)
        self.assertEqual(clean("\u0301\u0301a\n\u0301b\t\u20ddc", Kind.BODY), f"{MARK}a\n{MARK}b\t{MARK}c")
        self.assertEqual(clean("\u1112" + "\u1161" * 9, Kind.LINE), "\u1112" + "\u1161" * 4 + MARK)

    def test_X5_sizes(self) -> None:
        """Names are cut to 64 bytes and 32 cells, with a sign; a million characters are no trouble."""
        self.assertEqual(clean("x" * 32, Kind.NAME), "x" * 32)
        self.assertEqual(clean("x" * 33, Kind.NAME), "x" * 31 + CUT)
        self.assertEqual(clean("中" * 1_000_000, Kind.NAME), "中" * 15 + CUT)
        self.assertEqual(clean("x" * 30 + "e\u0301\u0323\u0330z", Kind.NAME), "x" * 30 + "ẹ\u0330\u0301z")
        self.assertEqual(clean("é" * 40, Kind.NAME), "é" * 30 + CUT)
        self.assertEqual(clean(" " * 1_000_000 + "x", Kind.NAME), CUT)
        self.assertEqual(clean("x" * 1_000_000, Kind.LINE), "x" * 511 + CUT)
        self.assertEqual(clean("x" * 1_000_000, Kind.BODY), "x" * 16_383 + CUT)

    def test_X5_legal_message_is_never_cut(self) -> None:
        """A message of 16 KiB is shown whole, however many of its characters are replaced."""
        self.assertEqual(clean("\x1b" * MESSAGE_BYTES, Kind.BODY), MARK * MESSAGE_BYTES)
        self.assertEqual(clean("x" * MESSAGE_BYTES, Kind.BODY), "x" * MESSAGE_BYTES)

    def test_X8_one_line_for_the_log(self) -> None:
        """A cleaned text in a field of a log event is one line, and its braces are not looked at."""
        text = clean("x\n2031-01-01T00:00:00 [system] {log_source} {0} %s\u2028\x85", Kind.LINE)
        logged = formatEvent({"log_format": "said {text}", "text": text, "log_source": "SECRET"})
        self.assertEqual(len(logged.splitlines()), 1)
        self.assertNotIn("SECRET", logged)
        self.assertIn("{log_source}", logged)

    def test_plain_text_survives(self) -> None:
        """Text in the scripts of the world is left as it is, composed and decomposed."""
        for text in PLAIN:
            self.assertEqual(clean(text, Kind.BODY), text)
            decomposed = unicodedata.normalize("NFD", text)
            self.assertEqual(clean(decomposed, Kind.BODY), decomposed)
            self.assertEqual(clean(decomposed, Kind.NAME), clean(text, Kind.NAME))
            self.assertNotIn(MARK, clean(text, Kind.NAME))
        self.assertEqual(clean("Nguyễn Văn A", Kind.NAME), "Nguyễn Văn A")

    def test_file_names(self) -> None:
        """A file name is one path component, neither hidden nor an option, and keeps its end when cut."""
        for name, cleaned in {
            "report.pdf": "report.pdf",
            "my notes (1).txt": "my notes (1).txt",
            "../../etc/passwd": f"_.{MARK}..{MARK}etc{MARK}passwd",
            "C:\\x": f"C{MARK}{MARK}x",
            "..": "_.",
            ".": "_",
            "": "_",
            ".bashrc": "_bashrc",
            "-rf": "_rf",
            "~": "_",
            "a\x00b": f"a{MARK}b",
            "exe.txt\u202e": f"exe.txt{MARK}",
            "invoice.pdf" + " " * 500 + ".exe": "invoice.pdf .exe",
            "x" * 4_096 + ".tar.gz": "x" * 83 + CUT + "x" * 9 + ".tar.gz",
        }.items():
            self.assertEqual(clean(name, Kind.FILE_NAME), cleaned)

    @settings(max_examples=300, deadline=None)
    @given(hostile | long_hostile, kinds)
    def test_twice_is_once(self, text: str, kind: Kind) -> None:
        """Cleaning what was cleaned changes nothing."""
        cleaned = clean(text, kind)
        self.assertEqual(clean(cleaned, kind), cleaned)

    @settings(max_examples=200, deadline=None)
    @given(hostile | long_hostile, st.sampled_from(ONE_LINE))
    def test_one_line_kinds(self, text: str, kind: Kind) -> None:
        """Whatever comes, one safe line within the limits goes out."""
        cleaned = clean(text, kind)
        size, cells = SIZES[kind]
        self.assertLessEqual(len(cleaned.encode()), size)
        self.assertLessEqual(cell_width(cleaned), cells)
        self.assertFalse(has_danger(cleaned), ascii(cleaned))
        if kind is not Kind.LINE:
            self.assertTrue(unicodedata.is_normalized("NFC", cleaned))
            self.assertEqual(cleaned, " ".join(cleaned.split(" ")).strip(" "))

    @settings(max_examples=200, deadline=None)
    @given(hostile)
    def test_bodies(self, text: str) -> None:
        """Whatever comes, a body holds LF, TAB, and joiners behind an emoji only; lines stay lines."""
        cleaned = clean(text, Kind.BODY)
        self.assertFalse(has_danger(cleaned, "\n\t\u200d\ufe0f"), ascii(cleaned))
        self.assertIsNone(re.search("(^|[\\w\\s\ufffd])[\u200d\ufe0f](?!\u20e3)", cleaned), ascii(cleaned))
        self.assertEqual(cleaned.count("\n"), text.count("\n"))
        self.assertIsNone(re.search("[\u0300-\u036f]{5}", cleaned))


class ShowingTests(SynchronousTestCase):
    def test_X6_continuation_lines(self) -> None:
        """No line of a body but the first begins without the prefix."""
        text = "hi\n  bob#2: fake\r\n*** server lost\n/quit\x01ACTION"
        for line in hang(text, "       | ").split("\n")[1:]:
            self.assertTrue(line.startswith("       | "))
        self.assertEqual(body_lines("a\n\nb\n"), ["a", "", "b", ""])
        self.assertEqual(body_lines(""), [""])

    def test_X6_wrapped_lines(self) -> None:
        """A line padded to the screen's width cannot put its rest at the left edge."""
        rows = body_lines("hi" + " " * 38 + "bob#2: fake", width=40)
        self.assertEqual(rows, ["hi" + " " * 38, "bob#2: fake"])
        self.assertEqual(hang("aaaa bbbb", "> ", 5), "aaaa \n> bbbb")
        self.assertEqual(body_lines("ab", width=0), ["a", "b"])

    @settings(max_examples=100, deadline=None)
    @given(hostile, st.integers(8, 40))
    def test_rows_of_a_body(self, text: str, width: int) -> None:
        """Rows hold the whole cleaned body, and none of them a line end."""
        rows = body_lines(text, width)
        self.assertEqual("".join(rows), clean(text, Kind.BODY).replace("\n", ""))
        self.assertFalse(any("\n" in row for row in rows))

    def test_X2_isolated_fields(self) -> None:
        """Right-to-left text is isolated line by line; other text is left alone."""
        self.assertEqual(isolate("שלום\nhello"), "\u2068שלום\u2069\nhello")
        self.assertEqual(isolate("العربية"), "\u2068العربية\u2069")
        self.assertEqual(isolate("中文"), "中文")
        self.assertEqual(isolate(""), "")


class SplitTests(SynchronousTestCase):
    def assert_split(self, text: str) -> list[str]:
        """Hold the contract, and give the parts without their marks."""
        parts = split_message(text)
        for part in parts:
            self.assertLessEqual(len(part.encode("utf-8", "surrogatepass")), MESSAGE_BYTES)
        if len(parts) == 1:
            self.assertEqual(parts, [text])
            return parts
        self.assertTrue(all(part.endswith(CUT) for part in parts[:-1]))
        self.assertTrue(all(part.startswith(CUT) for part in parts[1:]))
        bare = [parts[0][:-1], *(part[1:-1] for part in parts[1:-1]), parts[-1][1:]]
        for count in range(len(parts) + 1):
            self.assertEqual(text_behind(text, parts, count), "".join(bare[count:]))
        self.assertTrue(all(bare))
        return bare

    def test_short_text(self) -> None:
        """A text of up to 16 KiB is one part without marks."""
        for text in ("", "x", "x" * MESSAGE_BYTES, "é" * (MESSAGE_BYTES // 2)):
            self.assertEqual(split_message(text), [text])
        self.assertEqual(len(split_message("x" * (MESSAGE_BYTES + 1))), 2)
        self.assertEqual(len(split_message("é" * (MESSAGE_BYTES // 2) + "x")), 2)

    def test_megabyte(self) -> None:
        """A line of a megabyte is a few full parts."""
        self.assertEqual(len(self.assert_split("x" * 1_000_000)), 62)

    def test_clusters_stay_whole(self) -> None:
        """No part begins with a mark, or within an emoji sequence."""
        for cluster in ("e\u0301\u0323", FAMILY, "👍🏽", "❤\ufe0f", "\r\n", "\u1112\u1161\u11ab"):
            for shift in range(8):
                bare = self.assert_split("x" * shift + cluster * 6_000)
                self.assertTrue(all(part.startswith(cluster) for part in bare[1:]), ascii(cluster))

    def test_X5_one_endless_cluster(self) -> None:
        """A cluster that is longer than a part is split all the same."""
        self.assert_split("a" + "\u0301" * 50_000)

    def test_marks_in_the_text(self) -> None:
        """Dots of the text itself are told from those of the parts."""
        self.assert_split(CUT * 20_000)

    @settings(max_examples=100, deadline=None)
    @given(long_hostile)
    def test_nothing_is_lost(self, text: str) -> None:
        """Parts without their marks are the text, each of at most 16 KiB, none empty."""
        self.assert_split(text)


class DecodeTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """What is no UTF-8 is replaced and counted; a U+FFFD that was sent is not counted."""
        for data, text, count in (
            (b"", "", 0),
            ("中文 👍".encode(), "中文 👍", 0),
            (b"caf\xe9!", f"caf{MARK}!", 1),
            (b"\xff\xfe", MARK * 2, 2),
            (MARK.encode(), MARK, 0),
            (b"\xef\xbf" + MARK.encode() + b"\xf0\x9f", MARK * 3, 2),
            (b"\xed\xa0\x80", MARK * 3, 3),
            (b"\xc0\xaf", MARK * 2, 2),
        ):
            self.assertEqual(decode_utf8(data), (text, count))

    @settings(deadline=None)
    @given(st.binary() | st.lists(st.sampled_from([b"\xef", b"\xbf", b"\xbd", b"a", b"\xf0\x9f"])).map(b"".join))
    def test_count_is_exact(self, data: bytes) -> None:
        """The count is the number of errors that a strict decoder would meet."""
        errors, rest = 0, data
        while rest:
            try:
                rest.decode()
                break
            except UnicodeDecodeError as error:
                errors, rest = errors + 1, rest[error.end :]
        self.assertEqual(decode_utf8(data)[1], errors)


class HandleTests(SynchronousTestCase):
    def test_is_handle(self) -> None:
        """A handle is 1 to 32 of `a-z0-9._-` with a letter or digit."""
        for handle in ("a", "7", "alice", "a.b_c-d", "-x", "x" * 32):
            self.assertTrue(is_handle(handle), handle)
        for text in ("", "Alice", "al ice", "x" * 33, ".", "..", "-", "._-", "é", "alice\n", "аlice", "\u0660", "a/b"):
            self.assertFalse(is_handle(text), text)

    def test_handle_from(self) -> None:
        """A login or display name gives a readable handle; what gives nothing becomes `peer`."""
        for name, handle in {
            "alice": "alice",
            "Alice Smith": "alice-smith",
            "Zoë Ångström": "zoe-angstrom",
            "Søren Łukasz Straße": "soren-lukasz-strasse",
            "DOMAIN\\bob": "domain-bob",
            "bob@lab.example": "bob-lab.example",
            "Ａｌｉｃｅ": "alice",
            "..x..": "x",
            "中文": "peer",
            "": "peer",
            "---": "peer",
            "x" * 31 + "-y": "x" * 31,
        }.items():
            self.assertEqual(handle_from(name), handle)

    @settings(deadline=None)
    @given(hostile)
    def test_always_legal(self, text: str) -> None:
        """Whatever it is made from, the handle is legal; a legal one without outer dots stays as it is."""
        handle = handle_from(text)
        self.assertTrue(is_handle(handle), handle)
        self.assertEqual(handle_from(handle), handle)


class SkeletonTests(SynchronousTestCase):
    def test_X4_look_alikes(self) -> None:
        """Names that are easily taken for each other have one skeleton."""
        for name, twins in {
            "alice": [
                "ALICE",
                "Alice",
                "a1ice",
                "аlісе",
                "ΑLICΕ",
                "AІIСE",
                "ali\u200bce",
                " al ice ",
                "álíce",
                "𝐚𝐥𝐢𝐜𝐞",
                "ａｌｉｃｅ",
                "a|ice",
            ],
            "bob": ["b0b", "BОB", "Bob\u3164", "bοb", "b\u00adob", "bob\ufe0f"],
            "Zoë": ["Zoe\u0308", "zoe", "ΖΟΕ"],
            "Nina": ["Νina", "ΝΙΝΑ"],
            "Hans": ["Ηans"],
            "Вова": ["вова", "BOBA"],
            "marvin": ["rnarvin", "MARVIN", "мarvin"],
            "will": ["vvill", "ԝill", "wi11"],
            "o'neil-x": ["o’neil–x", "O`NEIL_X"],
            "straße": ["STRASSE"],
            "हिन्दी": ["हिन्दी "],
        }.items():
            for twin in twins:
                self.assertEqual(name_skeleton(twin), name_skeleton(name), f"{twin} {name}")

    def test_X4_different_names(self) -> None:
        """Names that look different have different skeletons, also where vowels are marks."""
        names = ["alice", "bob", "carol", "alicia", "中文", "日本", "العربية", "हिन्दी", "हन्द", "Нина", "Νίκος", "rob"]
        self.assertEqual(len({name_skeleton(name) for name in names}), len(names))

    @settings(deadline=None)
    @given(hostile)
    def test_X4_forms(self, text: str) -> None:
        """Composed and decomposed twins have one skeleton, and it holds nothing invisible."""
        self.assertEqual(
            name_skeleton(unicodedata.normalize("NFC", text)), name_skeleton(unicodedata.normalize("NFD", text))
        )
        self.assertFalse(has_danger(name_skeleton(text)), ascii(text))
