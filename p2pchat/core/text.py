"""
Text from others, made safe to show; and the small arithmetic that text needs: width, parts, handles, look-alikes.

What others send is stored as it came and goes through `clean` at every sink: screen, transcript, log, status. A
character that is not safe there is replaced by `MARK`, never dropped in silence, so that people see that something
was there. What is replaced, for every `Kind`:

- controls (C0, DEL, C1; category Cc), and so every escape sequence; CR LF in a body is one line end;
- format characters (Cf): bidi controls, zero-width characters, soft hyphen, byte-order mark, tags;
- line and paragraph separators (Zl, Zp), lone surrogates (Cs), private use (Co), noncharacters and whatever this
  Python's Unicode does not know yet (Cn);
- characters that draw nothing although they count as letters or marks: fillers, variation selectors, and so on;
- combining marks without a base, and those beyond four on one base (one `MARK` for the run).

ZWJ and the emoji variation selector stay in bodies, inside an emoji sequence only. `clean` never adds an invisible
character either, so its output may go to a file or a pipe, and cleaning twice changes nothing. Right-to-left text
passes; a front end whose terminal orders text by itself puts `isolate` around the cleaned field.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

MESSAGE_BYTES = 16_384
"""A message's text, in UTF-8 (docs/protocol.md, kind `text`); in characters the most that `clean` shows of a body."""

NAME_BYTES, NAME_CELLS = 64, 32
"""A name beside others in a row of a table: enough for any name, too little to push the row's end off the screen."""

FILE_NAME_BYTES, FILE_NAME_CELLS = 200, 100
"""File systems take 255 bytes; this leaves room for a suffix that makes the name unique."""

FILE_NAME_TAIL_BYTES, FILE_NAME_TAIL_CELLS = 64, 16
"""What stays of the end of a long file name: what kind of file it is must not be cut off."""

LINE_BYTES, LINE_CELLS = 2_048, 512
"""One line: the longest is an ask's text of 200 characters; a wide one takes two cells."""

MARKS_PER_BASE = 4
"""Combining marks on one base: living scripts need three or four, text that climbs over its neighbours dozens."""

HANDLE_CHARACTERS = 32
"""A handle is `[a-z0-9._-]{1,32}` (docs/protocol.md)."""

TAB_CELLS = 8
"""The most that a TAB moves the cursor on a terminal."""

MARK = "\N{REPLACEMENT CHARACTER}"
"""Stands where a character was replaced; also what bytes that are no UTF-8 become."""

CUT = "\N{HORIZONTAL ELLIPSIS}"
"""Stands where a text was cut, and where a part of a split message goes on."""

_EMOJI_JOINED = 8
"""Emoji joined by ZWJ in one sequence; the longest in use have four, and terminals disagree on the width."""

_LOOK_BACK = 64
"""How far before a full part `split_message` looks for a better place; a real cluster is shorter."""


class Kind(Enum):
    """What a text is, and so what it may hold."""

    BODY = "body"
    """A message: keeps LF and TAB; at most 16,384 characters, which a message that keeps the protocol never exceeds."""
    LINE = "line"
    """One line in a log, a status or a prompt: an ask's text, an error's, a certificate's fields, an address."""
    NAME = "name"
    """A handle or display name: one line, NFC, no outer and no repeated spaces; 64 bytes, 32 cells."""
    FILE_NAME = "file name"
    """Like a name, of 200 bytes and 100 cells, cut in the middle; one path component that is never hidden or empty."""


@dataclass(frozen=True, slots=True)
class _Rule:
    plain: re.Pattern[str]
    """What passes as it is (all ASCII), unless it is longer than `cells`."""
    characters: int
    """More of a text is not even looked at."""
    octets: int
    cells: int


_RULES = {
    # A body is cut by characters alone: each of them becomes at most one, so that a legal message is never cut.
    Kind.BODY: _Rule(re.compile(r"[\n\t -~]*"), MESSAGE_BYTES, 4 * MESSAGE_BYTES, MESSAGE_BYTES),
    Kind.LINE: _Rule(re.compile(r"[ -~]*"), LINE_BYTES, LINE_BYTES, LINE_CELLS),
    Kind.NAME: _Rule(re.compile(r"[!-~]+(?: [!-~]+)*"), 1_024, NAME_BYTES, NAME_CELLS),
    Kind.FILE_NAME: _Rule(re.compile(r"\w[\w.+-]*", re.ASCII), 1_024, FILE_NAME_BYTES, FILE_NAME_CELLS),
}

_ZWJ, _VS16 = "\u200d", "\ufe0f"

_DRAWS_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0100-\U000e01ef]"
)
"""Of Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties) what is no Cf and no Cn; and the null notehead."""

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]")
"""Every Zs but the space itself, and the blank Braille pattern: in one line each is shown as a space."""

# Emoji_Presentation and Extended_Pictographic are not in unicodedata; these blocks hold them (Unicode, emoji-data).
_PICTURES = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf"
    "\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_PICTURE = f"[{_PICTURES}](?:{_VS16}\u20e3?|[\U0001f3fb-\U0001f3ff])?"
_BODY_PARTS = re.compile(
    f"[0-9#*]{_VS16}\u20e3"
    f"|(?P<emoji>{_PICTURE}(?:{_ZWJ}{_PICTURE}){{0,{_EMOJI_JOINED - 1}}})"
    f"|(?P<other>[^\\n\\t -~{_PICTURES}]+)"
)
_NOT_PLAIN = re.compile("(?P<other>[^ -~]+)")

_SLASHES = re.compile("[/\\\\:\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff1a\uff3c]")
"""What separates directories, drives and streams somewhere, and what looks like it."""


def clean(text: str, kind: Kind) -> str:
    """
    Give `text` as it may be shown where a text of that kind stands.

    Takes any str, of any length, lone surrogates too; never raises; `clean(clean(x, k), k) == clean(x, k)`. What is
    longer than the kind allows is cut and ends in `CUT` (a file name: holds it in its middle). A name may come out
    empty.
    """
    rule = _RULES[kind]
    if len(text) <= rule.cells and rule.plain.fullmatch(text):
        return text
    text = _shorten(text, rule.characters, middle=kind is Kind.FILE_NAME)
    match kind:
        case Kind.BODY:
            return _cap_marks(_BODY_PARTS.sub(_visible, text.replace("\r\n", "\n")))
        case Kind.LINE:
            return _fit(_cap_marks(_one_line(text)), rule)
        case Kind.NAME:
            return _fit(_name(text), rule)
        case Kind.FILE_NAME:
            return _fit(_component(_name(text)), rule, FILE_NAME_TAIL_BYTES, FILE_NAME_TAIL_CELLS)


def body_lines(text: str, width: int | None = None) -> list[str]:
    """
    Clean a message and give its lines, without line ends; at least one.

    With `width` (cells, at least 1) longer lines are broken, at a space where there is one: a terminal that wraps by
    itself goes on at its left edge, where a crafted line could look like one of ours. Put a prefix before every line
    but the first.
    """
    lines = clean(text, Kind.BODY).split("\n")
    return lines if width is None else [row for line in lines for row in _wrap(line, max(width, 1))]


def hang(text: str, prefix: str, width: int | None = None) -> str:
    """Clean a message and join its lines (see `body_lines`), with `prefix` before every line but the first."""
    return f"\n{prefix}".join(body_lines(text, width))


def isolate(text: str) -> str:
    """
    Put each line that holds right-to-left text between FSI and PDI, so that it cannot reorder what stands beside it.

    For front ends whose terminal applies the bidirectional algorithm (UAX #9): the last step, after `clean`. Not for
    files, pipes and programs, and no part of `clean`, whose output holds no control at all.
    """
    if max(text, default="") < "\u0590":
        return text
    return "\n".join(f"\u2068{line}\u2069" if _runs_leftwards(line) else line for line in text.split("\n"))


def cell_width(text: str) -> int:
    """
    Count the terminal cells that a cleaned line takes at most; a TAB counts 8.

    By character: East Asian wide and fullwidth (UAX #11) two, nonspacing and enclosing marks, conjoining Jamo and
    format characters none, an emoji selector makes its base two wide. An emoji sequence counts as its parts, since
    not every terminal draws it as one.
    """
    if text.isascii() and text.isprintable():
        return len(text)
    cells = last = 0
    for character in text:
        last = 2 - last if character == _VS16 and last else _cells(character)
        cells += last
    return cells


def split_message(text: str) -> list[str]:
    """
    Split a text of more than 16 KiB (UTF-8) into parts of at most that, in order; a shorter one is the only part.

    Every part but the last ends with `CUT`, every part but the first begins with it: taking off those gives back the
    text. Parts are cut between characters, and not before a combining mark or within an emoji sequence.
    """
    if _octets(text) <= MESSAGE_BYTES:
        return [text]
    parts, start, lead = [], 0, ""
    while (end := _part_end(text, start, MESSAGE_BYTES - 2 * _octets(CUT))) < len(text):
        parts.append(lead + text[start:end] + CUT)
        start, lead = end, CUT
    return [*parts, lead + text[start:]]


def decode_utf8(data: bytes) -> tuple[str, int]:
    """Decode bytes; what is no UTF-8 becomes U+FFFD. Give the text and how many of those were put in."""
    text = data.decode("utf-8", "replace")
    # U+FFFD may also have been sent. Its first byte always begins a character, so counting its bytes is exact.
    return text, text.count(MARK) - data.count(MARK.encode())


_HANDLE = re.compile(f"[a-z0-9._-]{{1,{HANDLE_CHARACTERS}}}")


def is_handle(text: str) -> bool:
    """Tell whether `text` is a legal handle: `[a-z0-9._-]{1,32}` with at least one letter or digit."""
    return _HANDLE.fullmatch(text) is not None and bool(text.strip("._-"))


# Letters of the Latin script that have no decomposition in Unicode.
_LATIN = str.maketrans(
    dict(zip("æœøłđðħıŋþ", ("ae", "oe", "o", "l", "d", "d", "h", "i", "n", "th"), strict=True))
)


def handle_from(text: str) -> str:
    """
    Make a legal handle out of a login or display name, as a default to offer.

    Accents are dropped, what a handle may not hold becomes `-`. Scripts other than Latin are not transliterated: if
    nothing is left, the handle is `peer`.
    """
    letters = unicodedata.normalize("NFKD", text[:1_024]).casefold().translate(_LATIN)
    letters = "".join(character for character in letters if not unicodedata.combining(character))
    handle = re.sub(r"[^a-z0-9._-]+", "-", letters).strip("._-")[:HANDLE_CHARACTERS].rstrip("._-")
    return handle or "peer"


# Capitals that look like a Latin capital: folded before the case is, since their small letters look like others.
_CAPITALS = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" "АВЕЅІЈКМНОРСТУХ" "ԌԚԜӀ",
    "ABEZHIKMNOPTYX" "ABESIJKMHOPCTYX" "GQWI",
)  # fmt: skip
_SMALL = str.maketrans(
    "αινορυχϲϳ" "авгеёікмнорсстухѕјһԁԛԝӏ" "օսհոգ" "ɑɡɩɪı|10ʼ’‘`´–‐‑‒—−_",
    "aivopuxcj" "abreeikmhopcctyxsjhdqwl" "oshng" "agiiill" "o'''''------",
)  # fmt: skip


def name_skeleton(text: str) -> str:
    """
    Give what a name looks like: two names with one skeleton are easily taken for each other.

    For comparing a petname with somebody's display name: where the skeletons are equal and the ids are not, callers
    show at least 16 characters of the id. Not for showing or storing.

    Covered: case, compatibility forms (fullwidth, mathematical letters, ligatures), composed and decomposed twins,
    Latin, Greek and Cyrillic accents, spaces anywhere, invisible characters, the Greek, Cyrillic and few Armenian
    letters that look Latin, `0 o`, `1 i l |`, `rn m`, `vv w`, dashes and apostrophes. Not covered: the rest of
    UTS #39 (Cherokee, look-alikes within Arabic, Indic and Han), whole-word likeness ("bob" and "b0b_"), and names
    that only sound alike. A different skeleton is no proof of anything: the id is.
    """
    seen = "".join(character for character in text[:1_024] if character.isprintable() and character != MARK)
    seen = _DRAWS_NOTHING.sub("", unicodedata.normalize("NFKC", seen).translate(_CAPITALS))
    seen = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", seen.casefold()))
    seen = re.sub("[\\s\u2800\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+", "", seen)
    seen = seen.translate(_SMALL).replace("i", "l")
    return seen.replace("rn", "m").replace("vv", "w")


def _shorten(text: str, characters: int, *, middle: bool) -> str:
    if len(text) <= characters:
        return text
    tail = characters // 2 if middle else 0
    return text[: characters - tail - 1] + CUT + (text[-tail:] if tail else "")


def _visible(found: re.Match[str]) -> str:
    """Replace what must not be shown in one match of `_BODY_PARTS` or `_NOT_PLAIN`."""
    run = found[0]
    match found.lastgroup:
        case "emoji" if run.replace(_ZWJ, "").isprintable():
            return run
        case "emoji" | "other":
            if run.isprintable() and not _DRAWS_NOTHING.search(run):
                return run
            return "".join(character if _is_safe(character) else MARK for character in run)
        case _:  # a keycap
            return run


def _is_safe(character: str) -> bool:
    # isprintable() is false for exactly the categories Cc Cf Cs Co Cn Zl Zp, and Zs but for the space.
    printable = character.isprintable() or unicodedata.category(character) == "Zs"
    return printable and not _DRAWS_NOTHING.match(character)


def _is_mark(character: str) -> bool:
    """Tell whether a character is drawn onto the one before it: categories M, and Jamo vowels and finals."""
    if character < "\u0300":
        return False
    jamo = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"
    return jamo or unicodedata.category(character)[0] == "M"


def _cap_marks(text: str) -> str:
    if max(text, default="") < "\u0300":
        return text
    kept: list[str] = []
    marks = MARKS_PER_BASE  # at the start there is no base: a mark would be drawn onto what stands before the field
    for character in text:
        if not _is_mark(character):
            marks = MARKS_PER_BASE if character in "\n\t" else 0
            kept.append(character)
            continue
        if marks <= MARKS_PER_BASE:
            kept.append(character if marks < MARKS_PER_BASE else MARK)
        marks += 1
    return "".join(kept)


def _one_line(text: str) -> str:
    return _NOT_PLAIN.sub(_visible, _SPACES.sub(" ", text))


def _name(text: str) -> str:
    # Spaces go before the marks are counted, so that a mark behind leading spaces is seen to have no base.
    words = [word for word in unicodedata.normalize("NFC", _one_line(text)).split(" ") if word]
    return _cap_marks(" ".join(words))


def _component(name: str) -> str:
    """Make one path component: not empty, `.` or `..`, not hidden, no option, no home directory."""
    name = _SLASHES.sub(MARK, name)
    return "_" + name[1:] if name[:1] in ("", ".", "-", "~") else name


def _fit(text: str, rule: _Rule, tail_octets: int = 0, tail_cells: int = 0) -> str:
    """Cut a cleaned line to its rule's size; of its end as much stays as the tail allows."""
    if _octets(text) <= rule.octets and cell_width(text) <= rule.cells:
        return text
    clusters = list(_clusters(text))
    tail = "".join([*_take(reversed(clusters), tail_octets, tail_cells)][::-1])
    room = rule.octets - _octets(CUT) - _octets(tail)
    return "".join(_take(clusters, room, rule.cells - 1 - cell_width(tail))) + CUT + tail


def _take(clusters: Iterable[str], octets: int, cells: int) -> Iterator[str]:
    for cluster in clusters:
        octets -= _octets(cluster)
        cells -= cell_width(cluster)
        if octets < 0 or cells < 0:
            return
        yield cluster


def _clusters(text: str) -> Iterator[str]:
    """Give the characters of a text together with what is drawn onto them (a simple form of UAX #29)."""
    start = 0
    for index in range(1, len(text)):
        if not _belongs(text[index - 1], text[index]):
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


def _belongs(before: str, character: str) -> bool:
    joined = character == _ZWJ or before == _ZWJ or "\U0001f3fb" <= character <= "\U0001f3ff"
    return joined or _is_mark(character) or (before == "\r" and character == "\n")


def _cells(character: str) -> int:
    if " " <= character <= "~":
        return 1
    if character == "\t":
        return TAB_CELLS
    if unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc", "Zl", "Zp"):
        return 0
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 2
    return (
        0 if character > "\u02ff" and unicodedata.category(character) == "Lo" and _is_mark(character) else 1
    )


def _wrap(line: str, width: int) -> list[str]:
    if cell_width(line) <= width:
        return [line]
    rows: list[str] = []
    row: list[str] = []
    used = 0
    for cluster in _clusters(line):
        cells = cell_width(cluster)
        if row and used + cells > width:
            end = len(row) - row[::-1].index(" ") if " " in row else len(row)
            rows.append("".join(row[:end]))
            row = row[end:]
            used = sum(map(cell_width, row))
        row.append(cluster)
        used += cells
    return [*rows, "".join(row)]


def _part_end(text: str, start: int, room: int) -> int:
    """Find where the part that begins at `start` and takes at most `room` bytes ends."""
    data = text[start : start + room].encode("utf-8", "surrogatepass")
    size = min(room, len(data))
    while size < len(data) and data[size] & 0xC0 == 0x80:
        size -= 1
    end = start + len(data[:size].decode("utf-8", "surrogatepass"))
    for index in range(end, max(start, end - _LOOK_BACK), -1):
        if index == len(text) or not _belongs(text[index - 1], text[index]):
            return index
    return end


def _runs_leftwards(line: str) -> bool:
    return any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in line)


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
