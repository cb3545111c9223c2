"""
What two peers owe each other over one selected link.

docs/protocol.md, section 10. `Exchange` is one conversation on one link: it takes the messages that the session
allowed and gives back what they ask for, and it never remembers anything over a link: that is on the disk.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .entries import Judged, author_in, conversation_in, conversation_of, first_head, judge, next_head
from .errors import EndCode, RemoteProtocolError
from .messages import MAX_HOLDINGS, Entry, Have, History, Holding, Message, Refused, Seen, Window
from .window import Credit, Grant

MAX_LINK_UP = 1024
"""Holdings that somebody may list at link-up; a conversation gets a new stream only after a disk was lost."""

BATCH_ENTRIES, BATCH_BYTES = 256, 256 * 1024
"""What is loaded from the disk and sent at once."""


# --- one's own streams, and the far side's, on one link


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

    def holding(self, seq: int, head: bytes) -> Holding:
        """What we hold, once (seq, head) is committed."""
        return Holding(stream=self.name, first=self.first, base=self.base, seq=seq, head=head)


# --- what a message asks of the shell


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The far side listed all that it has: compare, then `resume`."""

    holdings: tuple[Holding, ...]
    """Of our streams, by the far side."""


@dataclass(frozen=True, slots=True)
class Received:
    """An entry to commit."""

    incoming: Incoming
    seq: int
    head: bytes
    data: bytes
    """As its author encoded it."""
    judged: Judged


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
class HistoryAsked:
    """The far side asks for older entries of a stream of ours."""

    outgoing: Outgoing
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MoreRoom:
    """The window grew: what waits may go on."""


Effect = LinkUp | Received | Confirmed | SeenThere | RefusedThere | Processed | HistoryAsked | MoreRoom


@dataclass(frozen=True, slots=True)
class Batch:
    """What to load from the disk and send next."""

    outgoing: Outgoing
    from_seq: int
    max_entries: int
    max_bytes: int


class Exchange:
    """One conversation of two on one selected link."""

    def __init__(self, me: bytes, them: bytes, own: Iterable[Outgoing], theirs: Iterable[Incoming]) -> None:
        self._me = me
        self._them = them
        self._conversation = conversation_of(me, them)
        self.own = {outgoing.name: outgoing for outgoing in own}
        self.theirs = {incoming.name: incoming for incoming in theirs}
        self._listed_there: list[Holding] = []
        self._listings: dict[bytes, Holding] = {}
        self._complete = False
        self._resumed = False
        self.credit = Credit()
        self._grant = Grant()

    # --- out

    def opening(self) -> Iterator[Have]:
        """Our part of link-up: everything that we have, the last one marked."""
        holdings = [incoming.holding(incoming.seq, incoming.head) for incoming in self.theirs.values()]
        for outgoing in self.own.values():
            holdings.append(outgoing.listed)
            outgoing.told = True
        pages = [tuple(holdings[at : at + MAX_HOLDINGS]) for at in range(0, len(holdings), MAX_HOLDINGS)] or [()]
        for page in pages:
            yield Have(streams=page, last=page is pages[-1])

    def resume(self) -> None:
        """What was compared is settled: sending may begin."""
        self._resumed = True

    def appended(self, outgoing: Outgoing) -> None:
        """A stream that began on this link, or went on, is committed up to `outgoing.last_seq`."""
        self.own[outgoing.name] = outgoing

    def next_batch(self) -> Batch | None:
        """What to send now; None if nothing waits, or the window is used up."""
        if not self._resumed or self.credit.entries < 1 or self.credit.bytes < 1:
            return None
        for outgoing in self.own.values():
            if outgoing.next_seq <= outgoing.last_seq:
                entries = min(self.credit.entries, BATCH_ENTRIES, outgoing.last_seq - outgoing.next_seq + 1)
                return Batch(outgoing, outgoing.next_seq, entries, min(self.credit.bytes, BATCH_BYTES))
        return None

    def send(self, outgoing: Outgoing, seq: int, head: bytes, number: int, data: bytes) -> list[Message]:
        """
        The messages that carry one entry, whose sent-up-to mark is committed; none if it has to wait.

        The caller gives entries in the order of next_batch().
        """
        if not self._resumed or seq != outgoing.next_seq or not self.credit.covers(len(data)):
            return []
        messages: list[Message] = []
        if not outgoing.told:
            outgoing.told = True
            messages.append(Have(streams=(outgoing.listed,)))
        self.credit.use(len(data))
        outgoing.next_seq = seq + 1
        outgoing.flight.append((seq, head, number))
        messages.append(Entry(stream=outgoing.name, seq=seq, bytes=data))
        return messages

    def committed(self, entries: int, size: int, moved: Iterable[tuple[Incoming, int, bytes]]) -> list[Message]:
        """So much of what was received is on the disk: (stream, seq, head) moved to there. Gives what to say."""
        holdings = tuple(incoming.holding(seq, head) for incoming, seq, head in moved)
        messages: list[Message] = [Have(streams=holdings)] if holdings else []
        window = self._grant.commit(entries, size)
        return messages if window is None else [*messages, window]

    # --- in

    def receive(self, message: Message) -> tuple[list[Effect], bool]:
        """
        Take a message of the selected link.

        Gives what it asks for, in order, and whether it moved a vector or a window (if not, it is charged to the
        budget of the session). Raises RemoteProtocolError.
        """
        match message:
            case Have():
                return self._receive_have(message)
            case Entry():
                return [self._receive_entry(message)], True
            case Window():
                moved = self.credit.raise_to(message)
                return ([MoreRoom()] if moved else []), moved
            case Seen(stream=stream, seq=seq):
                outgoing = self._own(stream)
                if outgoing is None or seq > outgoing.confirmed_seq:
                    raise RemoteProtocolError(EndCode.VIOLATION, "seen of what was not delivered")
                return self._receive_seen(outgoing, seq)
            case Refused(stream=stream, seq=seq, code=code):
                return self._receive_refused(stream, seq, code)
            case History(stream=stream, first=first, last=last):
                return self._receive_history(stream, first, last), False
            case _:
                raise RemoteProtocolError(EndCode.UNEXPECTED, "no message of a conversation")

    def _receive_have(self, message: Have) -> tuple[list[Effect], bool]:
        effects: list[Effect] = []
        for holding in message.streams:
            effects += self._receive_holding(holding)
        if message.last:
            if self._complete:
                raise RemoteProtocolError(EndCode.VIOLATION, "link-up ended twice")
            self._complete = True
            effects.append(LinkUp(tuple(self._listed_there)))
        return effects, bool(effects)

    def _receive_holding(self, holding: Holding) -> list[Effect]:
        author = author_in(holding.stream)
        if author == self._them:
            self._check_name(holding.stream, self._them)
            return self._take_listing(holding)
        self._check_name(holding.stream, self._me)
        if self._complete:
            return self._acknowledge(holding)
        if len(self._listed_there) >= MAX_LINK_UP:
            raise RemoteProtocolError(EndCode.VIOLATION, "too many streams")
        self._listed_there.append(holding)
        return []

    def _take_listing(self, holding: Holding) -> list[Effect]:
        """The far side's word about a stream of its own."""
        if len(self._listings) >= MAX_LINK_UP and holding.stream not in self._listings:
            raise RemoteProtocolError(EndCode.VIOLATION, "too many streams")
        self._listings[holding.stream] = holding
        incoming = self.theirs.get(holding.stream)
        if incoming is None or holding.processed is None:
            return []
        return [Processed(incoming, holding.processed)]

    def _acknowledge(self, holding: Holding) -> list[Effect]:
        outgoing = self._own(holding.stream)
        if outgoing is None:
            raise RemoteProtocolError(EndCode.VIOLATION, "acknowledges a stream that was not sent")
        if holding.seq == outgoing.confirmed_seq:
            return []
        numbers: list[int] = []
        head = b""
        seq = outgoing.confirmed_seq
        while outgoing.flight and outgoing.flight[0][0] <= holding.seq:
            seq, head, number = outgoing.flight.popleft()
            if number:
                numbers.append(number)
        if seq != holding.seq or head != holding.head:
            raise RemoteProtocolError(EndCode.VIOLATION, "acknowledges what was not sent on this link")
        outgoing.confirmed_seq = seq
        return [Confirmed(outgoing, seq, head, tuple(numbers))]

    def _receive_entry(self, message: Entry) -> Received:
        self._check_name(message.stream, self._them)
        self._check_linked()
        if message.history:
            raise RemoteProtocolError(EndCode.VIOLATION, "history that was not asked for")
        self._grant.take(len(message.bytes))
        incoming = self.theirs.get(message.stream)
        if incoming is None:
            incoming = self._begin(message.stream)
        if message.seq != incoming.seq + 1:
            raise RemoteProtocolError(EndCode.VIOLATION, f"entry {message.seq} after {incoming.seq}")
        incoming.seq = message.seq
        incoming.head = next_head(incoming.head, message.bytes)
        return Received(incoming, message.seq, incoming.head, message.bytes, judge(message.bytes))

    def _begin(self, name: bytes) -> Incoming:
        listing = self._listings.get(name)
        if listing is None:
            raise RemoteProtocolError(EndCode.VIOLATION, "an entry of a stream that was not listed")
        if listing.first == 1 and listing.base != first_head(name):
            raise RemoteProtocolError(EndCode.VIOLATION, "a stream with a wrong beginning")
        incoming = Incoming(None, name, listing.first, listing.base, listing.first - 1, listing.base)
        self.theirs[name] = incoming
        return incoming

    def _receive_seen(self, outgoing: Outgoing, seq: int) -> tuple[list[Effect], bool]:
        if seq <= outgoing.seen:
            return [], False
        outgoing.seen = seq
        return [SeenThere(outgoing, seq)], True

    def _receive_refused(self, stream: bytes, seq: int, code: str) -> tuple[list[Effect], bool]:
        outgoing = self._own(stream)
        if outgoing is None:
            # Of a stream that was replaced meanwhile: nothing hangs on it any more.
            return [], False
        if seq >= outgoing.next_seq:
            raise RemoteProtocolError(EndCode.VIOLATION, "refuses what was not sent")
        moved = seq > outgoing.refused
        outgoing.refused = max(outgoing.refused, seq)
        return [RefusedThere(outgoing, seq, code)], moved

    def _receive_history(self, stream: bytes, first: int, last: int) -> list[Effect]:
        self._check_linked()
        if author_in(stream) == self._them:
            # The end of an answer to a question that this version does not ask.
            raise RemoteProtocolError(EndCode.VIOLATION, "history that was not asked for")
        outgoing = self._own(stream)
        if outgoing is None or last < first:
            raise RemoteProtocolError(EndCode.VIOLATION, "history of an unknown stream")
        return [HistoryAsked(outgoing, first, last)]

    # --- rules

    def _own(self, stream: bytes) -> Outgoing | None:
        self._check_name(stream, self._me)
        self._check_linked()
        return self.own.get(stream)

    def _check_name(self, stream: bytes, author: bytes) -> None:
        if conversation_in(stream) != self._conversation or author_in(stream) != author:
            raise RemoteProtocolError(EndCode.VIOLATION, "a stream that is not of this conversation")

    def _check_linked(self) -> None:
        if not self._complete:
            raise RemoteProtocolError(EndCode.VIOLATION, "before the end of link-up")
