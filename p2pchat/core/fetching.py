"""
Asking the far side for what it said before the place from which we read a stream (docs/protocol.md, section 10,
"History").

One question at a time. Its answer comes in order, inside the window, with gaps where the author has deleted something,
and ends with the range that was asked for. If nothing was left out its chain must lead to `base`; only then the
stream is held from its beginning.
"""

from collections import deque
from dataclasses import dataclass

from .effects import Fetched, Incoming, ReceivedOld
from .entries import first_head, judge, next_head
from .errors import EndCode, RemoteProtocolError
from .messages import Entry, History

NO_HEAD = bytes(32)
"""Stands where the chain is not known, behind a gap."""


@dataclass(slots=True)
class Asked:
    """A question, and what came of its answer so far."""

    incoming: Incoming
    last: int
    next_seq: int
    """The lowest that may come now."""
    head: bytes
    """head(next_seq - 1), or NO_HEAD behind a gap."""
    count: int = 0


class Asker:
    """The questions of one link."""

    def __init__(self) -> None:
        self._waiting: deque[Incoming] = deque()
        self._asked: Asked | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None or bool(self._waiting)

    def ask(self, incoming: Incoming) -> None:
        """All that lies before what we hold of a stream, when its turn comes."""
        self._waiting.append(incoming)

    def next_question(self) -> list[History]:
        """The question to send now, if there is one."""
        if self._asked is not None or not self._waiting:
            return []
        incoming = self._waiting.popleft()
        asked = self._asked = Asked(incoming, incoming.first - 1, 1, first_head(incoming.name))
        return [History(stream=incoming.name, first=1, last=asked.last)]

    def take(self, message: Entry) -> ReceivedOld:
        """An older entry; raises RemoteProtocolError(VIOLATION) for what was not asked for."""
        asked = self._expect(message.stream)
        if not asked.next_seq <= message.seq <= asked.last:
            raise RemoteProtocolError(EndCode.VIOLATION, f"older entry {message.seq} that was not asked for")
        whole = asked.head != NO_HEAD and message.seq == asked.next_seq
        asked.head = next_head(asked.head, message.bytes) if whole else NO_HEAD
        asked.next_seq, asked.count = message.seq + 1, asked.count + 1
        return ReceivedOld(asked.incoming, message.seq, asked.head, message.bytes, judge(message.bytes))

    def end(self, message: History) -> Fetched:
        """The end of an answer; raises RemoteProtocolError(VIOLATION) if it is that of another, or does not fit."""
        asked = self._expect(message.stream)
        if (message.first, message.last) != (1, asked.last):
            raise RemoteProtocolError(EndCode.VIOLATION, "the end of another question")
        incoming = asked.incoming
        complete = asked.head != NO_HEAD and asked.next_seq == asked.last + 1
        if complete and asked.head != incoming.base:
            raise RemoteProtocolError(EndCode.VIOLATION, "older entries that do not fit what was said of them")
        if complete:
            incoming.first, incoming.base = 1, first_head(incoming.name)
        self._asked = None
        return Fetched(incoming, asked.count, complete, not self._waiting)

    def _expect(self, stream: bytes) -> Asked:
        if self._asked is None or self._asked.incoming.name != stream:
            raise RemoteProtocolError(EndCode.VIOLATION, "history that was not asked for")
        return self._asked
