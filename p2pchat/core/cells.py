"""
What a terminal draws together, and how many cells it takes.

Pure arithmetic over the Unicode tables of this Python; no terminal is asked. Widths are upper bounds, so that a row
that fits here fits on the screen. For what may be shown at all see `core/text.py`.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

TAB_CELLS = 8
"""The most that a TAB moves the cursor on a terminal."""

_REMEMBERED = 4_096
"""Characters whose nature is kept at hand: more than one person uses, few enough that nobody can fill memory."""

ZERO_WIDTH_JOINER = "\u200d"
EMOJI_SELECTOR = "\ufe0f"

_ALSO_WIDE = re.compile("[\u2630-\u2637\u268a-\u268f\u4dc0-\u4dff\U0001d300-\U0001d376\U0001f1e6-\U0001f1ff]")
"""Trigrams to counting rods are wide since Unicode 16 (Python 3.11 has 14); the letters of flags are drawn wide."""

_NO_WIDTH = frozenset({"Mn", "Me", "Cf", "Cc", "Zl", "Zp"})


def octets(text: str) -> int:
    """Count the bytes of UTF-8; a lone surrogate, which has no UTF-8, counts three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@lru_cache(_REMEMBERED)
def is_mark(character: str) -> bool:
    """Tell whether a character is drawn onto the one before it: categories M, and Jamo vowels and finals."""
    if character < "\u0300":
        return False
    return _is_following_jamo(character) or unicodedata.category(character)[0] == "M"


def belongs(before: str, character: str) -> bool:
    """Tell whether two characters that follow each other are one for a reader (a simple form of UAX #29)."""
    if character < "\u0300":
        return before == ZERO_WIDTH_JOINER or (before == "\r" and character == "\n")
    joined = ZERO_WIDTH_JOINER in (before, character) or "\U0001f3fb" <= character <= "\U0001f3ff"
    return joined or is_mark(character)


def clusters(text: str) -> Iterator[str]:
    """Cut a text into what a reader takes for characters; joined they give the text again."""
    start = 0
    for index in range(1, len(text)):
        if not belongs(text[index - 1], text[index]):
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


def cell_width(text: str) -> int:
    """
    Count the terminal cells that a cleaned line takes at most; a TAB counts 8.

    By character: East Asian wide and fullwidth (UAX #11) two; nonspacing and enclosing marks, conjoining Jamo and
    format characters none; an emoji selector makes its base two wide. An emoji sequence counts as its parts, since
    not every terminal draws it as one.
    """
    if text.isascii() and text.isprintable():
        return len(text)
    cells = last = 0
    for character in text:
        last = 2 - last if character == EMOJI_SELECTOR and last else _cells(character)
        cells += last
    return cells


def take(pieces: Iterable[str], size: int, cells: int) -> list[str]:
    """Give those pieces, from the first on, that take at most `size` bytes and at most `cells` cells."""
    taken: list[str] = []
    for piece in pieces:
        size -= octets(piece)
        cells -= cell_width(piece)
        if size < 0 or cells < 0:
            break
        taken.append(piece)
    return taken


def wrap(line: str, width: int) -> list[str]:
    """
    Break a line into rows of at most `width` cells, after a space where there is one; joined they give the line.

    A row takes more only where a single character does.
    """
    if cell_width(line) <= width:
        return [line]
    rows: list[str] = []
    row: list[str] = []
    used = 0
    for cluster in clusters(line):
        cells = cell_width(cluster)
        while row and used + cells > width:
            end = len(row) - row[::-1].index(" ") if " " in row else len(row)
            rows.append("".join(row[:end]))
            row = row[end:]
            used = sum(map(cell_width, row))
        row.append(cluster)
        used += cells
    return [*rows, "".join(row)]


@lru_cache(_REMEMBERED)
def _cells(character: str) -> int:
    if " " <= character <= "~":
        return 1
    if character == "\t":
        return TAB_CELLS
    if unicodedata.category(character) in _NO_WIDTH or _is_following_jamo(character):
        return 0
    wide = unicodedata.east_asian_width(character) in ("W", "F") or _ALSO_WIDE.match(character)
    return 2 if wide else 1


def _is_following_jamo(character: str) -> bool:
    # They are letters (Lo), but drawn into the cells of the initial before them.
    return "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"
