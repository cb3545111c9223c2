"""
All of a chat, written to a file: as text that reads like a transcript, or as JSON lines for programs.

    -- chat: bob (x1mm-7k2m-9q0c-44fz)
    2026-11-22 11:00:01 alice#13: hello
      | a second line of that message
    2026-11-22 11:00:04 bob#7: hi there

It is read page by page, oldest first, so that no memory grows with the chat; the peer goes on meanwhile. In the text
everything from others is cleaned; in JSON it is as it was sent, in printable ASCII.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.api.lines import to_json
from p2pchat.core.errors import UserError
from p2pchat.core.text import Kind, clean, hang

from .drawing import FURTHER
from .newfile import NewFile
from .pages import named, remarks
from .words import name_of, short_id

PAGE_LINES = 200
"""What the api gives at once."""

TELL_EVERY = 5.0
"""Seconds between two lines about how far it is."""


class Aside(Protocol):
    """Runs what waits for a disk in a thread of its own."""

    def __call__(self, work: Callable[[], None]) -> "Deferred[None]":
        """Fires when it is done, or fails as it did."""


class ExportedLine(Struct, frozen=True, kw_only=True):
    """One line of JSON: api.StoredLine, with no more of the other person than who they are."""

    chat: str
    """Whom the chat is with."""
    chat_id: str
    mine: bool
    author: str
    number: int
    text: str
    kind: str
    at: int
    """The author's wall clock, ms since 1970."""
    arrived: int
    """When it was stored here, ms since 1970."""
    state: str
    history: bool


class Exporting:
    """One export on its way."""

    def __init__(
        self, held: api.Api, person: api.Person, path: str, as_json: bool, aside: Aside, now: Callable[[], float]
    ) -> None:
        self._api = held
        self._person = person
        self._path = Path(os.path.expanduser(path))  # which, unlike Path's, takes what it does not know as it is
        self._as_json = as_json
        self._aside = aside
        self._now = now
        self._file: NewFile | None = None
        self._stopped = False

    async def run(self, tell: Callable[[str], None]) -> None:
        """Write it; `tell` says how far it is, and its end. Raises UserError, and then no file is left."""
        await self._aside(self._open)
        try:
            count = await self._write_all(tell)
            await self._in_file(lambda file: file.place())
        except BaseException:
            self.stop()
            raise
        shown = clean(str(self._path.absolute()), Kind.LINE)
        tell(f"all that was said with {name_of(self._person)}, {count} lines, is in {shown}")

    def stop(self) -> None:
        """Write no more; nothing is left of it."""
        self._stopped = True
        if self._file is not None:
            self._file.discard()

    def _open(self) -> None:
        self._file = NewFile(self._path)
        if self._stopped:
            self._file.discard()

    async def _write_all(self, tell: Callable[[str], None]) -> int:
        count = after = 0
        told = self._now()
        if not self._as_json:
            person = self._person
            await self._append(f"-- chat: {name_of(person)} ({short_id(person.id)})\n".encode())
        while True:
            page = await self._api.execute(api.ShowLines(who=self._person.id, count=PAGE_LINES, after=after))
            assert isinstance(page, api.Lines)
            await self._append(b"".join(map(json_line if self._as_json else text_line, page.lines)))
            count += len(page.lines)
            if not page.more or not page.lines:
                return count
            after = page.lines[-1].entry
            if self._now() - told >= TELL_EVERY:
                told = self._now()
                tell(f"exporting the chat with {name_of(self._person)}: {count} lines so far")

    async def _append(self, data: bytes) -> None:
        await self._in_file(lambda file: file.write(data))

    async def _in_file(self, work: Callable[[NewFile], None]) -> None:
        file = self._file
        if self._stopped or file is None:
            raise UserError("the export was not finished, and no file was made")
        await self._aside(lambda: work(file))


def text_line(line: api.StoredLine) -> bytes:
    """A line as a transcript has it."""
    text = line.text if line.kind == "text" else f"[{clean(line.kind, Kind.NAME)}]"
    return f"{_local_time(line.at)} {named(line)}{remarks(line)}: {hang(text, FURTHER)}\n".encode("utf-8", "replace")


def json_line(line: api.StoredLine) -> bytes:
    """A line as programs read it."""
    exported = ExportedLine(
        chat=line.person.name,
        chat_id=line.person.id,
        mine=line.mine,
        author=line.author,
        number=line.number,
        text=line.text,
        kind=line.kind,
        at=line.at,
        arrived=line.arrived,
        state=line.state,
        history=line.history,
    )
    return to_json(exported) + b"\n"


def _local_time(milliseconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "????-??-?? ??:??:??"
