"""
How a record of a transcript is written; and what stands at the end of one, so that it can be gone on with.

A transcript says itself how far it came. So nothing beside it must be kept in step with it, whatever a crash left of
the two, and a copy, or one that was put back from a backup, tells the truth too. Its last messages are compared with
what arrived here: the order is the same, so what arrived after the first that is found in both, and is not there, was
never written. A message is the same if its chat, its side, its number and its text are; a text that was deleted here
since is not compared. Of the last record it is enough that its beginning stands there: the rest is added.

Pure: bytes in; ui/transcript.py reads the file, and ui/catching_up.py asks for what arrived.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from p2pchat import api
from p2pchat.core.text import Kind, clean, hang

from .drawing import FURTHER
from .numbers import Numbers
from .words import name_of, short_id

MOST_BYTES = 1 << 20
"""Of the end of the file that are read."""

MOST_RECORDS = 16_384
"""
Messages of the end that are compared, about as many as it holds: receipts come late where many messages wait, and those
of a message further up would never be written if the process is killed just then.
"""

CUT = "... [cut off]\n"
"""
Ends a record of which only the beginning was written, and of which nothing else is known any more; it makes no
message of what was none before.
"""

TEXTLESS = ("deleted", "taken back")
"""States of lines whose text is not there any more."""

_RECORD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (.*)", re.DOTALL)
_CHAT = re.compile(r"-- chat: .* \((\S+)\)")
_MESSAGE = re.compile(r"(?!-- )(.*?)#(\d+): (.*)", re.DOTALL)
_UNKNOWN = re.compile(r"-- (.*?)#(\d+)(?: \(from history\))? needs a newer version of p2pchat .*")
_TAKEN_BACK = re.compile(r"-- #(\d+) to .* was taken back before it left")
_RECEIPT = re.compile(r"-- .*: (delivered|seen)((?: #\d+(?:-#\d+)?)+)")
_NUMBERS = re.compile(r"#(\d+)(?:-#(\d+))?")


def record(at: float, text: str) -> str:
    """A record of what was written at a time (seconds since 1970), with its line end."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S} {text}\n"


@dataclass(eq=False, slots=True)
class Record:
    """A message, or a note that stands for one."""

    chat: str
    """The beginning of the id of whom the chat is with; empty if that stands further up."""
    author: str
    """As it stands there: one's own name, or what the other was called."""
    number: int
    text: str | None
    """As it stands there; None in a note."""
    matched: bool = False


@dataclass(slots=True)
class Written:
    """The end of a transcript."""

    records: list[Record] = field(default_factory=list)
    """The last messages, the oldest first."""
    since: float | None = None
    """
    When the last message was written, or the first record if there is no message: what arrived from then on is not
    there, if no message is known that is. The only thing that a clock decides, and nobody's but this machine's.
    """
    own: str = ""
    """What we are called."""
    rest: bytes = b""
    """What the last record lacks, with its line end."""
    _by_number: dict[int, list[Record]] = field(default_factory=dict)
    _last: Record | None = None
    """The last record, if it is a message."""
    _is_ended: bool = True
    _receipts: dict[tuple[str, str], Numbers] = field(default_factory=dict)
    """Numbers of which something is told, by chat and by what."""

    def match(self, line: api.StoredLine) -> bool:
        """Whether a line that arrived stands there; each record counts once."""
        for record in reversed(self._by_number.get(line.number, ())):
            if not record.matched and self._is_of(record, line):
                record.matched = True
                if record is self._last and _has_text(line) and record.text is not None:
                    self.rest = _whole(line)[len(self._have(record.text)) :]
                return True
        return line.state == "taken back" and self.is_told(line, "taken back")

    @property
    def is_found(self) -> bool:
        """Whether all of the messages were matched."""
        return all(record.matched for record in self.records)

    def is_told(self, line: api.StoredLine, what: str) -> bool:
        """Whether it stands there that one of our own lines was delivered, seen or taken back."""
        chats = ("", short_id(line.person.id))
        return any(line.number in self._receipts.get((chat, what), ()) for chat in chats)

    def _is_of(self, record: Record, line: api.StoredLine) -> bool:
        if record.chat not in ("", short_id(line.person.id)) or not self._may_be_by(record.author, line):
            return False
        if record.text is None or not _has_text(line):
            return True
        if record is self._last:
            return _whole(line).startswith(self._have(record.text))
        return hang(line.text, FURTHER) == record.text

    def _may_be_by(self, author: str, line: api.StoredLine) -> bool:
        """Somebody may have had another name then, or one with a part of their id; but not the other one's."""
        mine, theirs = clean(self.own, Kind.NAME), name_of(line.person).partition("/")[0]
        is_mine, is_theirs = author == mine, author.partition("/")[0] == theirs
        return is_mine == is_theirs or is_mine == line.mine

    def _have(self, text: str) -> bytes:
        return text.encode("utf-8", "surrogateescape") + (b"\n" if self._is_ended else b"")


def read_end(data: bytes, is_all: bool) -> Written:
    """What the last bytes of a transcript (or all of them) say."""
    written = Written(_is_ended=data.endswith(b"\n") or not data)
    if not is_all:
        data = data.partition(b"\n")[2]
    if not written._is_ended:
        written.rest = CUT.encode()
    chat, first = "", None
    groups = list(_groups(data.decode("utf-8", "surrogateescape")))
    for index, group in enumerate(groups):
        found = _RECORD.fullmatch(group)
        if found is None:
            continue
        is_last = index == len(groups) - 1
        at, text = found[1], found[2]
        first = first or at
        if named := _CHAT.fullmatch(text):
            chat = named[1]
        elif record := _record_in(chat, text):
            written.records.append(record)
            written._last = record if is_last else None
            first = at
        elif written._is_ended or not is_last:
            for what, begin, end in _receipts_in(text):
                if begin <= end:
                    written._receipts.setdefault((chat, what), Numbers()).add_run(begin, end)
    del written.records[:-MOST_RECORDS]
    for record in written.records:
        written._by_number.setdefault(record.number, []).append(record)
    written.since = _seconds(first)
    return written


def _groups(text: str) -> Iterator[str]:
    """The records, each with its further lines."""
    lines = text.removesuffix("\n").split("\n") if text else []
    group: str | None = None
    for index, line in enumerate(lines):
        is_torn = index == len(lines) - 1 and not text.endswith("\n")
        if group is not None and (line.startswith(FURTHER) or (is_torn and FURTHER.startswith(line))):
            group += f"\n{line}"
            continue
        if group is not None:
            yield group
        group = line
    if group is not None:
        yield group


def _record_in(chat: str, text: str) -> Record | None:
    if found := _MESSAGE.fullmatch(text):
        return Record(chat, found[1], int(found[2]), found[3])
    if found := _UNKNOWN.fullmatch(text):
        return Record(chat, found[1], int(found[2]), None)
    return None


def _receipts_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, first and last number."""
    if found := _TAKEN_BACK.fullmatch(text):
        yield "taken back", int(found[1]), int(found[1])
    elif found := _RECEIPT.fullmatch(text):
        for numbers in _NUMBERS.finditer(found[2]):
            yield found[1], int(numbers[1]), int(numbers[2] or numbers[1])


def _seconds(local: str | None) -> float | None:
    try:
        return None if local is None else datetime.fromisoformat(local).timestamp()
    except (ValueError, OverflowError):
        return None


def _has_text(line: api.StoredLine) -> bool:
    return line.state not in TEXTLESS


def _whole(line: api.StoredLine) -> bytes:
    return f"{hang(line.text, FURTHER)}\n".encode("utf-8", "replace")
