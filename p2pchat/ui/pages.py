"""
What was said, read back: lines from the store as lines for a screen.

Every line begins with its own date and never with the time of day, and every page stands between two notes: so nobody
takes what is old for what is being said now. What others wrote begins with two spaces here too (ui/drawing.py).
"""

import re
from collections.abc import Iterator, Sequence

from p2pchat import api
from p2pchat.core.text import Kind, clean

from .drawing import Line, Origin, told
from .tables import local_time
from .words import name_of

LATE = 86_400_000
"""Milliseconds after which it is said that a message came later than it was written: clocks differ by less."""

EXCERPT = 160
"""Characters of a message that was found; /jump shows all of it."""

LEAD = 40
"""Of them before the word that was looked for."""

PAGE = 20
"""Lines of a page, if nothing else is said."""

END = "end of history"

Shown = tuple[Line, api.StoredLine | None]
"""A line for the screen, and what it shows of the store."""


def page(
    lines: Sequence[api.StoredLine | int], title: str, more: bool, found: int | None = None, newer: bool = False
) -> Iterator[Shown]:
    """
    A page of one chat; `found` is the `entry` of the line that stands out, a number stands for so many left out.

    `more`: there are lines before these; `newer`: there are some after them.
    """
    before = "; what was before: /more" if more else ""
    yield told(f"{title}{before}{'; what came after: /newer' if newer else ''}"), None
    apart = False
    for line in lines:
        if isinstance(line, int):
            yield told(f"... {line} lines ..."), None
            continue
        if line.state == "new" and not apart:
            apart = True
            yield told("not seen before:"), None
        yield stored(line, found=line.entry == found), line
    yield told("end of this page; /newer goes on" if newer else END), None


def stored(line: api.StoredLine, found: bool = False) -> Line:
    """One line of a page."""
    head = f"{local_time(line.at)} {named(line)}"
    if line.kind == "void":
        return told(f"{head} was taken back before it left")
    if line.kind != "text":
        return told(f"{head} needs a newer version of p2pchat to be shown ({clean(line.kind, Kind.NAME)})")
    return Line(
        Origin.MINE if line.mine else Origin.THEIRS,
        line.text,
        f"{head}{remarks(line, *(['found'] if found else []))}: ",
        timed=False,
    )


def named(line: api.StoredLine) -> str:
    """`alice#13`."""
    author = clean(line.author, Kind.NAME) if line.mine else name_of(line.person)
    return f"{author}#{line.number}"


def remarks(line: api.StoredLine, *further: str) -> str:
    """In brackets what is to be known of a line besides its text, if it is not as most are."""
    states = {"queued": "queued", "refused": "not delivered", "taken back": "taken back"}
    late = not line.mine and line.arrived - line.at > LATE and not line.history
    said = [states.get(line.state, ""), f"arrived {local_time(line.arrived)}" if late else "", *further]
    shown = ", ".join(filter(None, said))
    return f" ({shown})" if shown else ""


def found_lines(lines: Sequence[api.StoredLine], words: str, before: int, more: bool) -> list[Line]:
    """What a search found, numbered on from `before`."""
    if not lines:
        return [told("nothing more was found" if before else "nothing was found")]
    top = told("found, the newest first; /jump N shows the lines around one")
    rows = [_hit(line, words, before + index) for index, line in enumerate(lines, 1)]
    return [top, *rows, told("there is more: /more" if more else "that is all")]


def _hit(line: api.StoredLine, words: str, number: int) -> Line:
    to = f" to {name_of(line.person)}" if line.mine else ""
    head = f"[{number}] {local_time(line.at)} {named(line)}{to}: "
    return Line(Origin.MINE if line.mine else Origin.THEIRS, excerpt(line.text, words), head, timed=False)


def excerpt(text: str, words: str) -> str:
    """A piece of a message, on one line, with the first of these words in it if it stands there as it was typed."""
    text = " ".join(text.split())
    if len(text) <= EXCERPT:
        return text
    found = min((at for at in (_place(text, word) for word in words.split()) if at >= 0), default=0)
    start = max(0, min(found - LEAD, len(text) - EXCERPT))
    begin, end = "... " if start else "", " ..." if start + EXCERPT < len(text) else ""
    return f"{begin}{text[start : start + EXCERPT]}{end}"


def _place(text: str, word: str) -> int:
    found = re.search(re.escape(word), text, re.IGNORECASE)
    return -1 if found is None else found.start()
