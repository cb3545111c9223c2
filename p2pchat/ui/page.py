"""
What a person's screen shows of a line: its rows, with the time, a hanging indent, days, and colours of names.

Pure: told the width and the time, it gives rows. A row of ours begins at the left edge, with a time or with `-- `;
whatever else belongs to a line begins with blanks, and what others wrote stands behind two more, so that no text of
a peer can imitate a line of the program or of somebody else (X6). Rows are broken here and not by the terminal,
which would go on at the left edge; but for a link that is longer than a row, which has no blanks and stands alone
in its row: broken by us it could not be opened nor copied.
"""

import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from p2pchat.core.text import Kind, cell_width, clean, isolate, wrap

from .drawing import Line, Origin

LEAST_WIDTH = 20
"""Cells; a narrower screen is treated as if it had these."""

LATE = 300.0
"""Seconds after which it is mentioned when a message was sent: clocks differ by less, mostly."""

INDENT = 4
"""Cells before what follows a head that is too wide to hang under; blanks, so that nothing looks like a time."""

PLAIN_INDENT = 2
"""The same where every cell is read out or felt."""

LAST_SECOND = 253_402_300_799 - 86_400
"""Of the year 9999, in any time zone: what is said to be later has no date."""

TAB = 8
"""Cells between two stops."""

_LINK = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://[!-~]+")
"""What people open or copy; printable ASCII, so that no part of it can look like one of our rows, which have blanks."""

_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
"""What stands between two columns of a table of ours."""

_BLANKS = re.compile(" {2,}")

PAIR = 2
"""Columns of a table of names and values."""

RESET, DIM = "\x1b[0m", "\x1b[2m"

CONTRAST = 4.0
"""The least contrast of a name (WCAG 2) with black and with white; more than 4.58 with both is not possible."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a terminal can do and a person wants."""

    colours: bool = False
    plain: bool = False
    """For ears and fingers: nothing hangs, and nothing stands under each other."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the screen."""

    before: str
    """The time and what tells origins apart, or blanks."""

    head: str
    text: str

    def __str__(self) -> str:
        return self.before + self.head + self.text


class Page:
    """Rows for one screen, which remembers the day that it shows."""

    def __init__(self, look: Look, wall: Callable[[], float]) -> None:
        self.look = look
        self._wall = wall
        self._day = _day(wall())

    def draw(self, line: Line, width: int) -> list[str]:
        """The rows of a line, with a day before them where another one begins, painted as the look allows."""
        now = self._wall() if line.when is None else line.when / 1000
        rows = [] if not line.timed else list(self._turn(now))
        # One cell is left free: not every terminal waits with its break until something follows.
        rows += lay_out(_dated(line, now), max(width, LEAST_WIDTH) - 1, _clock(now) if line.timed else "", self.look)
        return [self._painted(row, line) for row in rows]

    def _turn(self, now: float) -> Iterator[Row]:
        day = _day(now)
        if day != self._day:
            self._day = day
            yield Row(Origin.NOTE.prefix, "", day)

    def _painted(self, row: Row, line: Line) -> str:
        before, head, text = row.before, isolate(row.head), isolate(row.text)
        if not self.look.colours:
            return before + head + text
        if line.origin is Origin.NOTE or row.before == Origin.NOTE.prefix:
            return f"{DIM}{before}{head}{text}{RESET}"
        # What others wrote is never dim and never coloured: not even a broken row of theirs looks like a note.
        before = f"{DIM}{before}{RESET}" if before.strip() else before
        return f"{before}{colour_of(line.person)}{head}{RESET}{text}" if head else f"{before}{text}"


def lay_out(line: Line, width: int, clock: str, look: Look = Look()) -> list[Row]:
    """
    The rows of a line, at most `width` cells wide (links may be longer); `clock` is the time or empty.

    Further lines and rows hang under the text. Where the head is wide, or where the lines of a block would have to
    be broken for that, they begin near the left edge instead, all of them; so code and tables stay as they were.
    """
    before = f"{clock} {line.origin.prefix}" if clock else line.origin.prefix
    parts = [_expanded(part) for part in clean(line.text, Kind.BODY).split("\n")]
    if look.plain and line.origin is Origin.NOTE:
        parts = [spoken(part, not line.timed) for part in parts]
    top = cell_width(before) + cell_width(line.head)
    if line.origin is Origin.NOTE and not line.head and len(parts) == 1 and top <= width * 2 // 5 and not look.plain:
        return _lay_out_note(line, before, parts[0], width)
    indent = PLAIN_INDENT if look.plain else INDENT
    least = max(map(cell_width, _unbreakable(parts)))
    if not look.plain and top <= width * 2 // 5 and top + least <= width:
        indent = top
    rows: list[Row] = []
    if indent != top and line.head and (len(parts) > 1 or top + cell_width(parts[0].split(" ", 1)[0]) > width):
        rows.append(Row(before, line.head.rstrip(" "), ""))
    for part in parts:
        if rows and not part:
            rows.append(Row("", "", ""))
            continue
        for text in _broken(part, width - (indent if rows else top), width - indent):
            rows.append(Row(" " * indent, "", text) if rows else Row(before, line.head, text))
    return rows


def spoken(text: str, columns: bool) -> str:
    """
    A line of ours without blanks that mean a place on the screen, which would be read out, or felt, one by one.

    With `columns` they stand between the columns of a table: two become `name: value`, more stand behind commas.
    """
    if not columns:
        return _BLANKS.sub(" ", text)
    fields = _BLANKS.split(text.strip(" "))
    return (": " if len(fields) == PAIR else ", ").join(fields)


def _lay_out_note(line: Line, before: str, part: str, width: int) -> list[Row]:
    """
    A note that is one line; if it is a row of a table and has to be broken, it goes on under one of its columns.

    Where the second column begins too far to the right, the first two stand close to each other instead.
    """
    top = cell_width(before)
    indent, most = top, width * 2 // 5
    if cell_width(part) > width - top:
        gaps = list(_GAP.finditer(part))
        edge = len(part) - len(part.lstrip(" "))
        if top + edge > most:
            part, edge, gaps = " " * INDENT + part[edge:], INDENT, []
        starts = [top + cell_width(part[: gap.end()]) for gap in gaps]
        indent = max((start for start in starts if start <= most), default=top + edge)
        if starts and starts[0] > most:
            part = f"{part[: gaps[0].start()]}  {part[gaps[0].end() :]}"
    # Blanks set words of ours apart within a row, and mean nothing at its edge.
    first, *further = _broken(part, width - top, width - indent)
    return [Row(before, line.head, first), *(Row(" " * indent, "", row.lstrip(" ")) for row in further)]


def colour_of(person: str) -> str:
    """The escape sequence of somebody's colour: one for each id, always the same."""
    return f"\x1b[38;5;{PALETTE[zlib.crc32(person.encode()) % len(PALETTE)]}m"


def contrast(colour: int, white: bool) -> float:
    """How well a colour of the 6x6x6 cube (16 to 231) is read on white, or on black (WCAG 2)."""
    levels = (0, 95, 135, 175, 215, 255)
    channels = (levels[(colour - 16) // step % 6] / 255 for step in (36, 6, 1))
    linear = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    luminance = sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 1.05 / (luminance + 0.05) if white else (luminance + 0.05) / 0.05


def _is_coloured(colour: int) -> bool:
    red, green, blue = ((colour - 16) // step % 6 for step in (36, 6, 1))
    return max(red, green, blue) - min(red, green, blue) > 1


PALETTE = tuple(
    colour
    for colour in range(16, 232)
    if min(contrast(colour, True), contrast(colour, False)) >= CONTRAST and _is_coloured(colour)
)
"""Colours that are read on dark and on light."""


# --- times


def _clock(seconds: float) -> str:
    return _written("%H:%M", seconds) or "??:??"


def _day(seconds: float) -> str:
    return _written("%A %d %B %Y", seconds)


def _written(form: str, seconds: float) -> str:
    return time.strftime(form, time.localtime(seconds)) if 0 <= seconds <= LAST_SECOND else ""


def _dated(line: Line, now: float) -> Line:
    """The line, whose head says when it was sent if that is long past."""
    if line.sent is None or now - line.sent / 1000 < LATE:
        return line
    form = "%H:%M" if _day(line.sent / 1000) == _day(now) else "%Y-%m-%d %H:%M"
    sent = _written(form, line.sent / 1000)
    head = f"{line.head.removesuffix(': ')} (sent {sent}): " if sent else line.head
    return Line(line.origin, line.text, head, line.person)


# --- rows


def _unbreakable(parts: list[str]) -> Iterator[str]:
    """What is shown in one row if any row is wide enough: the lines of a block, the links of a single line."""
    if len(parts) > 1:
        yield from parts
    else:
        yield ""
        yield from _LINK.findall(parts[0])


def _broken(part: str, first: int, further: int) -> Iterator[str]:
    """A line in rows, of which the first has another width than the others; longer links stand alone."""
    room = first
    for piece, is_link in _cut_at_links(part, further):
        if is_link:
            yield piece
            room = further
            continue
        rows = wrap(piece, room)
        if len(rows) > 1 and room != further:
            rows = [rows[0], *wrap("".join(rows[1:]), further)]
        yield from (row.rstrip(" ") for row in rows[:-1])
        yield rows[-1]
        room = further


def _cut_at_links(part: str, width: int) -> Iterator[tuple[str, bool]]:
    """The text between links that are wider than `width`, and those links."""
    start = 0
    for found in _LINK.finditer(part) if "://" in part else ():
        if len(found[0]) > width:
            before = part[start : found.start()].rstrip(" ")
            if before:
                yield before, False
            yield found[0], True
            start = found.end()
    if rest := part[start:].lstrip(" ") if start else part:
        yield rest, False
    elif not start:
        yield "", False


def _expanded(line: str) -> str:
    """With blanks for tabs, as far as the next stop: a terminal counts from its own edge."""
    before, *columns = line.split("\t")
    for column in columns:
        before += " " * (TAB - cell_width(before) % TAB) + column
    return before
