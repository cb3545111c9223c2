"""
Lines on a screen, apart from the terminal: what stands before them, and how they are broken into rows.

What others wrote always begins with two spaces, and so do its further lines and rows; a line that begins with
`-- ` is ours, and one that begins with anything else is what one's own person wrote. So no text of a peer can
imitate a system line, somebody else's message or a prompt (X6), however it is broken. Here are the rows for pipes
and files; those for people, with times, are made of the same `Line` in ui/page.py.
"""

from dataclasses import dataclass
from enum import Enum

from p2pchat.core.text import Kind, body_lines, clean

LEAST_WIDTH = 20
"""Cells; on a narrower screen the terminal breaks the rows by itself."""


class Origin(Enum):
    """Who speaks in a line."""

    MINE = ""
    """One's own person."""
    THEIRS = "  "
    """Somebody else."""
    NOTE = "-- "
    """The program."""

    @property
    def prefix(self) -> str:
        """What the first row begins with; no other origin's row ever does."""
        return self.value


FURTHER = "  | "
"""Before every line of a message but the first."""

WRAPPED = "    "
"""Before every row that was broken off a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to show: a message with all of its lines, or a note."""

    origin: Origin
    text: str
    """Of a message: raw. Of a note: made of words of ours and of cleaned fields."""

    head: str = ""
    """`bob#1: `; cleaned."""

    person: str = ""
    """The id of whoever wrote it, by which a screen chooses the colour of the head."""

    sent: int | None = None
    """The author's wall clock, ms since 1970; a screen mentions it where it is long past."""

    when: int | None = None
    """When it was shown first, ms since 1970, for what comes out of the store; None: now."""

    timed: bool = True
    """Whether the time matters; it does not for an answer to what was just typed."""


def note(text: str) -> Line:
    """A line of the program's own: something happened."""
    return Line(Origin.NOTE, text)


def told(text: str) -> Line:
    """A line that answers what was just typed."""
    return Line(Origin.NOTE, text, timed=False)


def draw(line: Line, width: int | None = None) -> list[str]:
    """The rows of a line; with `width`, none takes more cells, so that the terminal breaks none by itself."""
    room = None if width is None or width < LEAST_WIDTH else width - len(WRAPPED)
    # Cleaned before the head is put on: a combining mark must not be drawn onto it.
    first, *further = (line.head + clean(line.text, Kind.BODY)).split("\n")
    top, *rest = body_lines(first, room)
    rows = [line.origin.prefix + top, *(WRAPPED + row for row in rest)]
    for part in further:
        top, *rest = body_lines(part, room)
        rows += [FURTHER + top, *(WRAPPED + row for row in rest)]
    return rows
