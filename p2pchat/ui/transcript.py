"""
The transcript: what both sides said, with numbers and receipts, appended to a file as it happens.

    2026-11-22 11:00:00 -- chat: bob (x1mm-7k2m-9q0c-44fz)
    2026-11-22 11:00:01 alice#13: hello
      | a second line of that message
    2026-11-22 11:00:02 -- bob: delivered #13
    2026-11-22 11:00:04 bob#7: hi there
    2026-11-22 11:00:04 -- bob: seen #13-#14

A record begins with the local time at which it was written here; a line that begins with `  | ` goes on with the
message before it, so that no text can imitate a record. `-- ` begins what is no message. `-- chat:` stands at the
start and wherever the chat is another one than before: what follows, up to the next of these, belongs to it.
What was stored in the moment in which a process is killed does not come to be written here; `/export` has it.
Text is cleaned; a message that was cut or split stands there as it was sent. The file is 0600.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from p2pchat import api
from p2pchat.core.errors import StoreError
from p2pchat.core.text import Kind, clean, hang

from .drawing import FURTHER
from .numbers import Numbers, write_numbers
from .words import Narrator, name_of, short_id


def record(at: float, text: str) -> str:
    """A record of what was written at a time (seconds since 1970), with its line end."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S} {text}\n"


class Transcript:
    """An open file; `open()` before anything else."""

    def __init__(self, path: Path, wall: Callable[[], float], failed: Callable[[StoreError], None]) -> None:
        self._path = path
        self._wall = wall
        self._failed = failed
        self._narrator = Narrator()
        self._chat: str | None = None
        self._descriptor: int | None = None

    def open(self) -> None:
        """Open or make the file. Raises StoreError."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
            size = os.fstat(self._descriptor).st_size
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                self._append("\n")  # a killed process, or a full disk, left half a line
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Nothing more is written."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def own_id(self, identifier: str) -> None:
        """One's own id is known."""
        self._narrator.own_id = identifier

    def take(self, event: api.Event) -> None:
        """Write what is to be written of an event; if that fails, say so once and write no more."""
        if self._descriptor is None:
            return
        try:
            self._write(event)
        except OSError as error:
            self.close()
            self._failed(self._error(error))

    def _write(self, event: api.Event) -> None:
        match event:
            case api.Queued(person=person, author=author):
                self._message(person, f"{clean(author, Kind.NAME)}#{event.number}", event.text)
            case api.Said(person=person, kind="text"):
                self._message(person, f"{name_of(person)}#{event.number}", event.text)
            case api.Delivered(person=person, numbers=numbers):
                self._receipt(person, "delivered", numbers)
            case api.Seen(person=person, numbers=numbers):
                self._receipt(person, "seen", numbers)
            case api.Back(person=person):
                self._note(person, f"{name_of(person)} is back")
            case api.PresenceChanged() | api.Asked() | api.Answered():
                pass
            case _:
                about: api.Person | None = getattr(event, "person", None)
                for line in self._narrator.tell(event):
                    self._note(about, line.text)

    def _message(self, person: api.Person, author: str, text: str) -> None:
        self._turn_to(person)
        self._record(f"{author}: {hang(text, FURTHER)}")

    def _receipt(self, person: api.Person, what: str, numbers: tuple[int, ...]) -> None:
        self._note(person, f"{name_of(person)}: {what} {write_numbers(Numbers(numbers), most=None)}")

    def _note(self, person: api.Person | None, text: str) -> None:
        if person is not None:
            self._turn_to(person)
        self._record(f"-- {text}")

    def _turn_to(self, person: api.Person) -> None:
        if person.id != self._chat:
            self._chat = person.id
            self._record(f"-- chat: {name_of(person)} ({short_id(person.id)})")

    def _record(self, text: str) -> None:
        self._append(record(self._wall(), text))

    def _append(self, text: str) -> None:
        if self._descriptor is None:
            return
        view = memoryview(text.encode("utf-8", "replace"))
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _error(self, error: OSError) -> StoreError:
        return StoreError(f"cannot write the transcript {self._path}: {error.strerror}; choose another file")
