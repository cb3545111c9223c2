"""
What an Exchange keeps of each stream, and what the messages of a link ask of the shell, as values.
"""

from collections import deque
from dataclasses import dataclass, field

from msgspec import Struct

from .entries import Judged
from .messages import History, Holding


@dataclass(slots=True)
class Outgoing:
    """One of our streams, as far as this link goes."""

    stream: int
    """Its row in the store."""
    name: bytes
    listed: Holding
    """What we said of it, or will say before its first entry."""
    last_seq: int
    """Up to where it is committed here."""
    next_seq: int
    """What is sent next."""
    confirmed_seq: int
    """What the far side committed, as it said on this link or before."""
    sent_mark: int
    """Up to where the sent-up-to mark is committed."""
    seen: int = 0
    """Up to where the far side said `seen`."""
    refused: int = 0
    """Up to where it refused entries on this link."""
    told: bool = False
    """Whether `listed` was sent on this link."""
    flight: deque[tuple[int, bytes, int]] = field(default_factory=deque)
    """(seq, head, number) of what was sent on this link and is not confirmed."""


@dataclass(slots=True)
class Incoming:
    """One of the far side's streams, as far as it was received: committed, or on its way to the disk."""

    stream: int | None
    """Its row in the store; None before its first entry."""
    name: bytes
    first: int
    base: bytes
    seq: int
    head: bytes
    seen: int = 0
    """Up to where we said `seen`."""
    processed: int = 0
    """Up to where its author said on this link that our refusals are committed there."""

    def holding(self, seq: int, head: bytes) -> Holding:
        """What we hold, once (seq, head) is committed."""
        return Holding(stream=self.name, first=self.first, base=self.base, seq=seq, head=head)


class Written(Struct, frozen=True, gc=False):
    """One of our entries, as it was committed."""

    seq: int
    head: bytes
    number: int
    """0 for what is no message, and is not told as delivered."""
    data: bytes
    """As it was encoded."""


# --- what a message asks of the shell


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The far side listed all that it has: compare, then `resume`."""

    holdings: tuple[Holding, ...]
    """Of our streams, by the far side."""


class Received(Struct, frozen=True, gc=False):
    """An entry to commit."""

    incoming: Incoming
    seq: int
    head: bytes
    data: bytes
    """As its author encoded it."""
    judged: Judged


@dataclass(frozen=True, slots=True)
class ReceivedOld:
    """An older entry that was asked for, to commit; it moves nothing."""

    incoming: Incoming
    seq: int
    head: bytes
    """Zeros where the chain is not known."""
    data: bytes
    """As its author encoded it."""
    judged: Judged


@dataclass(frozen=True, slots=True)
class Fetched:
    """The end of an answer: what was asked for of a stream has come, as far as its author has it."""

    incoming: Incoming
    count: int
    complete: bool
    """Nothing was left out, the chain fits, and the stream is held from its beginning now."""
    last: bool
    """Nothing else was asked for."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The far side committed our entries up to `seq`."""

    outgoing: Outgoing
    seq: int
    head: bytes
    numbers: tuple[int, ...]
    """Of the messages among them."""


@dataclass(frozen=True, slots=True)
class SeenThere:
    """Our entries up to `seq` were displayed or confirmed there."""

    outgoing: Outgoing
    seq: int


@dataclass(frozen=True, slots=True)
class RefusedThere:
    """The far side cannot take an entry of ours."""

    outgoing: Outgoing
    seq: int
    code: str


@dataclass(frozen=True, slots=True)
class Processed:
    """The author of a stream committed our refusals up to `seq`."""

    incoming: Incoming
    seq: int


@dataclass(frozen=True, slots=True)
class MoreRoom:
    """The window grew, or older entries were asked for: sending may go on."""


@dataclass(frozen=True, slots=True)
class NothingOlder:
    """Older entries were asked for of a stream that we have replaced, or never wrote: say that there are none."""

    answer: History


Effect = (
    LinkUp
    | Received
    | ReceivedOld
    | Fetched
    | Confirmed
    | SeenThere
    | RefusedThere
    | Processed
    | MoreRoom
    | NothingOlder
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What to load from the disk and send next."""

    outgoing: Outgoing
    from_seq: int
    max_entries: int
    max_bytes: int
    history: bool = False
    """Older entries that were asked for: nothing is marked, and gaps are skipped."""
    last_seq: int = 0
    """Of these the last that was asked for."""


@dataclass(slots=True)
class Question:
    """Older entries that the far side asked for."""

    outgoing: Outgoing
    first: int
    last: int
    next_seq: int
