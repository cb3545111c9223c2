"""
The transcript: what both sides said, with numbers and receipts, appended to a file as it happens.

    2026-11-22 11:00:00 -- chat: bob (x1mm-7k2m-9q0c-44fz)
    2026-11-22 11:00:01 alice#13: hello
      | a second line of that message
    2026-11-22 11:00:02 -- bob: delivered #13
    2026-11-22 11:00:04 bob#7: hi there
    2026-11-22 11:00:04 -- bob: seen #13-#14

A record begins with the local time at which it was written here, or arrived here, if it was written later; a line that
begins with `  | ` goes on with the message before it, so that no text can imitate a record. `-- ` begins what is no
message. `-- chat:` stands at the start and wherever the chat is another one than before: what follows, up to the next
of these, belongs to it.
Text is cleaned; a message that was cut or split stands there as it was sent. The file is 0600.

A file that is new, or empty, begins now. One that is gone on with is first completed with what was stored and is not
there, of all chats, in order of arrival (ui/catching_up.py): a process may be killed between the two, and may run
without a transcript. What happens meanwhile waits; nothing is written twice. Where the file ends is read from the file
(ui/written.py). A last record that is torn is completed, or ends with `... [cut off]` where its end is not known.

Where the file takes records too slowly (a pipe that nobody reads, a disk that hangs) those that find no room are left
out, and `-- N records are missing here` stands in their place once there is room again.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from p2pchat import api
from p2pchat.core.errors import StoreError
from p2pchat.core.text import Kind, clean, hang

from .appending import Appending
from .catching_up import CatchingUp
from .drawing import FURTHER
from .numbers import Numbers, write_numbers
from .words import Narrator, name_of, short_id
from .written import MOST_BYTES, Written, read_end, record


class Transcript:
    """What is written to a file; `open()` before anything else."""

    def __init__(self, file: Appending, wall: Callable[[], float], failed: Callable[[StoreError], None]) -> None:
        self._file = file
        self._wall = wall
        self._failed = failed
        self._narrator = Narrator()
        self._chat: str | None = None
        self._arrived: float | None = None
        """When that arrived which is written late."""
        self._is_open = False
        self._missing = 0
        """Records that found no room since the last that did."""
        self._written: Written | None = None
        """The end of a file that is gone on with, until that has caught up."""
        self._waiting: list[api.Event] = []
        """What happened meanwhile."""
        self._lacking: CatchingUp | None = None
        """What was written late."""

    def open(self) -> None:
        """Open or make the file; one that is gone on with takes events once it has caught up. Raises StoreError."""
        try:
            end = self._file.open(MOST_BYTES, self._broken)
        except OSError as error:
            raise self._error(error) from error
        self._is_open = True
        if end.data:
            self._written = read_end(end.data, end.whole)

    def close(self) -> "Deferred[None]":
        """Nothing more is taken; fires when what was taken is written, which is never if the file hangs."""
        self._written, self._waiting = None, []
        if not self._is_open:
            return succeed(None)
        self._is_open = False
        return self._file.close(self._made(self._missing_here()) if self._missing else b"")

    def own_id(self, identifier: str) -> None:
        """One's own id is known."""
        self._narrator.own_id = identifier

    def take(self, event: api.Event) -> None:
        """Write what is to be written of an event; if that fails, it is said once, and no more is written."""
        if self._written is not None:
            self._waiting.append(event)
        elif (left := self._left_of(event)) is not None:
            self._write(left)

    async def catch_up(self, held: api.Api) -> None:
        """
        Write what the file lacks, and then what happened meanwhile.

        Raises UserError if the peer does not say what it has; then nothing is written, and the next one catches up.
        """
        written = self._written
        if written is None:
            return
        lacking = self._lacking = CatchingUp(held, written)
        await lacking.find()
        self._append(written.rest)
        await lacking.run(self._write_late, self._file.room)
        waiting, self._written, self._waiting = self._waiting, None, []
        left = (event for each in waiting if (event := self._left_of(each)) is not None)
        for event in (*lacking.receipts(), *left):
            self._write(event)

    def _left_of(self, event: api.Event) -> api.Event | None:
        """What was committed can be read before it is told: what was written late is not written again."""
        return event if self._lacking is None else self._lacking.without_told(event)

    def _write_late(self, event: api.Event, arrived: float) -> None:
        self._arrived = arrived
        self._write(event)
        self._arrived = None

    def _write(self, event: api.Event) -> None:
        if self._missing and self._file.has_room:
            words, self._missing = self._missing_here(), 0
            self._record(words)
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
        self._record(f"{author}: {hang(text, FURTHER)}", person)

    def _receipt(self, person: api.Person, what: str, numbers: tuple[int, ...]) -> None:
        self._note(person, f"{name_of(person)}: {what} {write_numbers(Numbers(numbers), most=None)}")

    def _note(self, person: api.Person | None, text: str) -> None:
        self._record(f"-- {text}", person)

    def _record(self, text: str, person: api.Person | None = None) -> None:
        data = self._made(text)
        if person is None or person.id == self._chat:
            self._append(data)
        elif self._append(self._made(f"-- chat: {name_of(person)} ({short_id(person.id)})") + data):
            self._chat = person.id

    def _missing_here(self) -> str:
        return "-- 1 record is missing here" if self._missing == 1 else f"-- {self._missing} records are missing here"

    def _made(self, text: str) -> bytes:
        at = self._wall() if self._arrived is None else self._arrived
        return record(at, text).encode("utf-8", "replace")

    def _append(self, data: bytes) -> bool:
        """Whether it was taken; once something was not, nothing is before that is said."""
        if not self._is_open:
            return False
        if self._missing or not self._file.append(data):
            self._missing += 1
            return False
        return True

    def _broken(self, error: OSError) -> None:
        if self._is_open:
            self.close()
            self._failed(self._error(error))

    def _error(self, error: OSError) -> StoreError:
        return StoreError(f"cannot write the transcript {self._file.path}: {error.strerror}; choose another file")
