"""
Text from others, made safe to show; and what else text needs: parts of a long message, handles, look-alikes.

What others send is stored as it came and goes through `clean` at every sink: screen, transcript, log, status.
A character that is not safe there is replaced by `MARK` (U+FFFD), so that people see that something was there:

- controls (C0, DEL, C1; category Cc), and with them every escape sequence; in a body CR LF is one line end;
- format characters (Cf): bidi controls, zero-width characters, soft hyphen, byte-order mark, tags;
- line and paragraph separators (Zl, Zp), lone surrogates (Cs), private use (Co), noncharacters and whatever
  this Python's Unicode does not know (Cn);
- what draws nothing although it counts as letter or mark: fillers, variation selectors, U+034F and the like;
- combining marks without a base, and those beyond four on one base (one `MARK` for all of these).

ZWJ and the emoji selector U+FE0F stay in bodies, inside an emoji sequence only. `clean` adds nothing invisible
either, so its output may go to a file or a pipe, and cleaning twice changes nothing. Right-to-left text passes; a
front end whose terminal reorders text puts `isolate` around the cleaned field.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from p2pchat.core.cells import (
    EMOJI_SELECTOR,
    ZERO_WIDTH_JOINER,
    belongs,
    cell_width as cell_width,
    clusters,
    is_mark,
    octets,
    take,
    wrap as wrap,
)

MESSAGE_BYTES = 16_384
"""A message's text in UTF-8 (docs/protocol.md, kind `text`); in characters the most that is shown of a body."""

NAME_BYTES, NAME_CELLS = 64, 32
"""A name stands in a row with others: enough for a name, too little to push the row's end off the screen."""

FILE_NAME_BYTES, FILE_NAME_CELLS = 200, 100
"""File systems take 255 bytes; this leaves room for a suffix that makes the name unique."""

FILE_NAME_TAIL_BYTES, FILE_NAME_TAIL_CELLS = 64, 16
"""What stays of the end of a long file name: it says what kind of file it is, so it must not be cut off."""

LINE_BYTES, LINE_CELLS = 2_048, 512
"""One line: the longest is an ask's text of 200 characters; a wide one takes two cells."""

MARKS_PER_BASE = 4
"""Combining marks on one base: living scripts need three or four, text that climbs over others dozens."""

HANDLE_CHARACTERS = 32
"""A handle is `[a-z0-9._-]{1,32}` (docs/protocol.md)."""

MARK = "\N{REPLACEMENT CHARACTER}"
"""Stands where a character was replaced; also what bytes that are no UTF-8 become."""

CUT = "\N{HORIZONTAL ELLIPSIS}"
"""Stands where a text was cut, and where a part of a split message goes on."""

_NAME_CHARACTERS = 1_024
"""More of a name is not even looked at: each character that is shown may carry a few that are not."""

_EMOJI_JOINED = 8
"""Emoji in one ZWJ sequence; the longest in use have four, and terminals disagree on their width."""

_LOOK_BACK = 64
"""How far before a full part `split_message` looks for a better place; real clusters are shorter."""


class Kind(Enum):
    """What a text is, and so what it may hold."""

    BODY = "body"
    """A message: keeps LF and TAB; at most 16,384 characters, which a message within 16 KiB never exceeds."""
    LINE = "line"
    """One line of a log, status or prompt: an ask's text, an error's, a certificate's field, an address."""
    NAME = "name"
    """A handle or display name: one line, NFC, no outer and no repeated spaces; 64 bytes, 32 cells."""
    FILE_NAME = "file name"
    """Like a name, of 200 bytes and 100 cells, cut in its middle; one path component, not hidden, not empty."""


@dataclass(frozen=True, slots=True)
class _Rule:
    plain: re.Pattern[str]
    """What passes as it is (all ASCII), unless it is longer than `cells`."""
    characters: int
    """More of a text is not even looked at."""
    octets: int
    cells: int


_RULES = {
    # A body is cut by characters alone: none of them becomes two, so that a legal message is never cut.
    Kind.BODY: _Rule(re.compile(r"[\n\t -~]*"), MESSAGE_BYTES, 4 * MESSAGE_BYTES, MESSAGE_BYTES),
    Kind.LINE: _Rule(re.compile(r"[ -~]*"), LINE_BYTES, LINE_BYTES, LINE_CELLS),
    Kind.NAME: _Rule(re.compile(r"[!-~]+(?: [!-~]+)*"), _NAME_CHARACTERS, NAME_BYTES, NAME_CELLS),
    Kind.FILE_NAME: _Rule(re.compile(r"\w[\w.+-]*", re.ASCII), _NAME_CHARACTERS, FILE_NAME_BYTES, FILE_NAME_CELLS),
}

_DRAWS_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0100-\U000e01ef]"
)
"""Default_Ignorable_Code_Point (Unicode) as far as it is neither Cf nor Cn; and the null notehead."""

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]")
"""Every Zs but the space itself, and the blank Braille pattern: in one line each is shown as a space."""

# unicodedata does not know which characters are emoji; these blocks hold them (Unicode, emoji-data.txt).
_PICTURES = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf"
    "\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_PICTURE = f"[{_PICTURES}](?:{EMOJI_SELECTOR}|[\U0001f3fb-\U0001f3ff])?"
_BODY_PARTS = re.compile(
    f"[0-9#*]{EMOJI_SELECTOR}\u20e3"
    f"|(?P<emoji>{_PICTURE}(?:{ZERO_WIDTH_JOINER}{_PICTURE}){{0,{_EMOJI_JOINED - 1}}})"
    f"|(?P<other>[^\\n\\t -~{_PICTURES}]+)"
)
_NOT_PLAIN = re.compile("(?P<other>[^ -~]+)")

_SLASHES = re.compile("[/\\\\:\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff1a\uff3c]")
"""What separates directories, drives and streams somewhere, and what looks like it."""


def clean(text: str, kind: Kind) -> str:
    """
    Give `text` as it may be shown where a text of that kind stands.

    Takes any str of any length, lone surrogates too, and never raises; cleaning twice changes nothing. What is
    longer than its kind allows is cut and ends in `CUT` (a file name: holds it). A name may come out empty.
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
    Clean a message and give its lines without line ends; at least one.

    With `width` (cells, at least 1) longer lines are broken into rows: a terminal that wraps by itself goes on at
    its left edge, where a crafted line could look like one of ours. Put a prefix before every line but the first.
    """
    lines = clean(text, Kind.BODY).split("\n")
    return lines if width is None else [row for line in lines for row in wrap(line, max(width, 1))]


def hang(text: str, prefix: str, width: int | None = None) -> str:
    """Clean a message and join its lines (see `body_lines`), with `prefix` before all of them but the first."""
    return f"\n{prefix}".join(body_lines(text, width))


def take_cells(line: str, cells: int) -> str:
    """As much of a cleaned line, from its start, as takes at most so many cells."""
    return line if cell_width(line) <= cells else "".join(take(clusters(line), len(line) * 4, cells))


def isolate(text: str) -> str:
    """
    Put each line that holds right-to-left text between FSI and PDI: then it cannot reorder what is beside it.

    The last step, after `clean`, of a front end whose terminal applies the bidirectional algorithm (UAX #9). Not
    for files, pipes and programs; and no part of `clean`, whose output holds no control at all.
    """
    if max(text, default="") < "\u0590":
        return text
    return "\n".join(f"\u2068{line}\u2069" if _runs_leftwards(line) else line for line in text.split("\n"))


def split_message(text: str) -> list[str]:
    """
    Split a text of more than 16 KiB (UTF-8) into parts of at most that; a shorter one is the only part.

    Every part but the last ends with `CUT`, and every part but the first begins with it: the text is what is left
    without those. No part begins with a combining mark or inside an emoji sequence (looked for nearby only).
    """
    if octets(text) <= MESSAGE_BYTES:
        return [text]
    parts, start, lead = [], 0, ""
    while (end := _part_end(text, start, MESSAGE_BYTES - 2 * octets(CUT))) < len(text):
        parts.append(lead + text[start:end] + CUT)
        start, lead = end, CUT
    return [*parts, lead + text[start:]]


def text_behind(text: str, parts: Sequence[str], count: int) -> str:
    """What is left of a text when the first `count` of the `parts` that `split_message` makes of it are taken off."""
    if not 0 < count < len(parts):
        return "" if count else text
    marks = 2 * count - 1  # the first part begins with none
    return text[sum(map(len, parts[:count])) - marks * len(CUT) :]


def decode_utf8(data: bytes) -> tuple[str, int]:
    """Decode bytes; what is no UTF-8 becomes U+FFFD. Give the text and how many of those were put in."""
    text = data.decode("utf-8", "replace")
    # U+FFFD itself may have been sent too. No other character holds its bytes, so counting them is exact.
    return text, text.count(MARK) - data.count(MARK.encode())


_HANDLE = re.compile(f"[a-z0-9._-]{{1,{HANDLE_CHARACTERS}}}")

_LATIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŋ": "n", "þ": "th"}
)
"""Latin letters that Unicode does not decompose."""


def is_handle(text: str) -> bool:
    """Tell whether `text` is a legal handle: `[a-z0-9._-]{1,32}` with at least one letter or digit."""
    return _HANDLE.fullmatch(text) is not None and text.strip("._-") != ""


def handle_from(text: str) -> str:
    """
    Make a legal handle out of a login or display name, as a default to offer.

    Accents are dropped, and what a handle may not hold becomes `-`. Scripts other than Latin are not
    transliterated: if nothing is left, the handle is `peer`.
    """
    letters = unicodedata.normalize("NFKD", text[:_NAME_CHARACTERS]).casefold().translate(_LATIN)
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    handle = re.sub(r"[^a-z0-9._-]+", "-", letters).strip("._-")[:HANDLE_CHARACTERS].rstrip("._-")
    return handle or "peer"


def _look_alikes(table: dict[str, str]) -> dict[int, str]:
    return {ord(other): latin for latin, others in table.items() for other in others}


_CAPITALS = _look_alikes(
    {"A": "ΑА", "B": "ΒВ", "C": "ϹС", "E": "ΕЕ", "G": "Ԍ", "H": "ΗН", "I": "ΙІӀ", "J": "ͿЈ", "K": "ΚК", "M": "ΜМ"}
    | {"N": "Ν", "O": "ΟОՕ", "P": "ΡР", "Q": "Ԛ", "S": "ЅՏ", "T": "ΤТ", "U": "Ս", "W": "Ԝ", "X": "ΧХ", "Y": "ΥУҮ"}
    | {"Z": "Ζ"}
)
"""Before the case is folded: the small letters of some look like others (Ν is N, ν is v)."""

_SMALL = _look_alikes(
    {"a": "αаɑ", "b": "βв", "c": "ϲс", "d": "ԁ", "e": "εе", "g": "ɡց", "h": "нһհ", "j": "ϳјյ", "k": "κк", "m": "μм"}
    | {"n": "ηո", "o": "0οоօ", "p": "ρр", "q": "ԛզ", "r": "г", "s": "ѕ", "t": "τт", "u": "υս", "v": "νѵ", "w": "ԝ"}
    | {"x": "χх", "y": "γуү", "z": "ζ", "l": "i1|ıɩɪιіӏ", "'": "ʼ’‘`ʹ′", "-": "‐‒–—−_"}
)
_ACCENTS_AND_SPACES = re.compile("[\\s\u2800\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")


def name_skeleton(text: str) -> str:
    """
    Give what a name looks like: two names with one skeleton are easily taken for each other.

    For comparing a petname with somebody's display name: where the skeletons are equal and the ids are not,
    callers show at least 16 characters of the id. Not for showing, and not for storing.

    Covered: case, compatibility forms (fullwidth, mathematical letters, ligatures), composed and decomposed twins,
    accents of Latin, Greek and Cyrillic letters, spaces anywhere, invisible characters, the Greek and Cyrillic and
    a few Armenian letters that look Latin, `0 o`, `1 i l |`, `rn m`, `vv w`, dashes and apostrophes.
    Not covered: the rest of UTS #39 (Cherokee; look-alikes within Arabic, Indic, Han), Greek words that differ in
    the case of Η, Ν or Υ only, names that are merely similar. Unequal skeletons prove nothing: only the id does.
    """
    seen = "".join(character for character in text[:_NAME_CHARACTERS] if character.isprintable())
    seen = unicodedata.normalize("NFKC", _DRAWS_NOTHING.sub("", seen)).translate(_CAPITALS)
    seen = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", seen.casefold()))
    seen = _ACCENTS_AND_SPACES.sub("", seen).translate(_SMALL)
    return seen.replace("rn", "m").replace("vv", "w")


def _shorten(text: str, characters: int, *, middle: bool) -> str:
    if len(text) <= characters:
        return text
    tail = characters // 2 if middle else 0
    return text[: characters - tail - 1] + CUT + (text[-tail:] if tail else "")


def _visible(found: re.Match[str]) -> str:
    """Replace what must not be shown in one match of `_BODY_PARTS` or `_NOT_PLAIN`."""
    run = found[0]
    if found.lastgroup is None:  # a keycap
        return run
    if found.lastgroup == "emoji" and run.replace(ZERO_WIDTH_JOINER, "").isprintable():
        return run
    if run.isprintable() and not _DRAWS_NOTHING.search(run):
        return run
    return "".join(character if _is_safe(character) else MARK for character in run)


def _is_safe(character: str) -> bool:
    # isprintable() is False for Cc Cf Cs Co Cn Zl Zp exactly, and for every Zs but the space itself.
    if character.isprintable():
        return not _DRAWS_NOTHING.match(character)
    return unicodedata.category(character) == "Zs"


def _cap_marks(text: str) -> str:
    if max(text, default="") < "\u0300":
        return text
    kept: list[str] = []
    marks = MARKS_PER_BASE  # at the start there is no base: a mark would be drawn onto what precedes the field
    for character in text:
        if not is_mark(character):
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
    # Spaces go before marks are counted: a mark behind leading spaces must be seen to have no base.
    words = [word for word in unicodedata.normalize("NFC", _one_line(text)).split(" ") if word]
    return _cap_marks(" ".join(words))


def _component(name: str) -> str:
    """Make one path component: not empty, not `.` or `..`, not hidden, no option, no home directory."""
    name = _SLASHES.sub(MARK, name)
    return "_" + name[1:] if name[:1] in ("", ".", "-", "~") else name


def _fit(text: str, rule: _Rule, tail_octets: int = 0, tail_cells: int = 0) -> str:
    """Cut a cleaned line to its rule's size; of its end so much stays as the tail allows."""
    if 4 * len(text) <= rule.octets and 2 * len(text) <= rule.cells:
        return text  # no character takes more
    if octets(text) <= rule.octets and cell_width(text) <= rule.cells:
        return text
    pieces = list(clusters(text))
    tail = "".join(take(reversed(pieces), tail_octets, tail_cells)[::-1])
    room = rule.octets - octets(CUT) - octets(tail)
    return "".join(take(pieces, room, rule.cells - 1 - cell_width(tail))) + CUT + tail


def _part_end(text: str, start: int, room: int) -> int:
    """Find where the part that begins at `start` and takes at most `room` bytes ends."""
    data = text[start : start + room].encode("utf-8", "surrogatepass")
    size = min(room, len(data))
    while size < len(data) and data[size] & 0xC0 == 0x80:
        size -= 1
    end = start + len(data[:size].decode("utf-8", "surrogatepass"))
    for index in range(end, max(start, end - _LOOK_BACK), -1):
        if index == len(text) or not belongs(text[index - 1], text[index]):
            return index
    return end


def _runs_leftwards(line: str) -> bool:
    return any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in line)
