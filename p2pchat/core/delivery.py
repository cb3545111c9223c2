"""
What two peers owe each other over one selected link.

docs/protocol.md, section 10. `Exchange` is one conversation on one link: it takes the messages that the session
allowed and gives back what they ask for, and it never remembers anything over a link: that is on the disk.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from .effects import (
    Batch,
    Confirmed,
    Effect,
    Incoming,
    LinkUp,
    MoreRoom,
    NothingOlder,
    Outgoing,
    Processed,
    Question,
    Received,
    ReceivedOld,
    RefusedThere,
    SeenThere,
    Written,
)
from .entries import author_in, conversation_in, conversation_of, first_head, judge, next_head
from .errors import EndCode, RemoteProtocolError
from .fetching import Asker
from .messages import MAX_HOLDINGS, Entry, Have, History, Holding, Message, Refused, Seen, Window
from .window import NO_ROOM, Credit, Grant, Room

MAX_LINK_UP = 1024
"""Holdings that somebody may list at link-up; a conversation gets a new stream only after a disk was lost."""

MAX_QUESTIONS = 8
"""Questions for history that may wait for their answer."""

BATCH_ENTRIES, BATCH_BYTES = 256, 256 * 1024
"""What is loaded from the disk and sent at once."""

OLDER_BYTES = 64 * 1024
"""The same of older entries, which nobody acknowledges: a slow reader must take all that waits within a minute."""


class Exchange:
    """One conversation of two on one selected link."""

    def __init__(self, me: bytes, them: bytes, own: Iterable[Outgoing], theirs: Iterable[Incoming]) -> None:
        self._me = me
        self._them = them
        self._conversation = conversation_of(me, them)
        self.own = {outgoing.name: outgoing for outgoing in own}
        self.theirs = {incoming.name: incoming for incoming in theirs}
        self._listed_there: list[Holding] = []
        # Of our streams, what the far side last said on this link that it holds: (seq, head).
        self._held_there: dict[bytes, tuple[int, bytes]] = {}
        self._listings: dict[bytes, Holding] = {}
        # Streams of ours that we listed on this link, and then replaced.
        self._replaced: set[bytes] = set()
        self._complete = False
        self._resumed = False
        self._questions: deque[Question] = deque()
        self.credit = Credit()
        self._grant = Grant()
        self._asker = Asker()

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

    @property
    def linked(self) -> bool:
        """Whether both sides listed what they have."""
        return self._complete

    def room_behind(self, ahead: Room) -> Room:
        """What may be sent of what is appended next, behind all that waits; nothing if that is more than `ahead`."""
        if not self._resumed or sum(each.last_seq + 1 - each.next_seq for each in self.own.values()) != ahead.entries:
            return NO_ROOM
        return Room(max(0, self.credit.entries - ahead.entries), max(0, self.credit.bytes - ahead.bytes))

    def resume(self, own: Iterable[Outgoing]) -> None:
        """What was compared is settled, and these are our streams now: sending may begin."""
        told = {outgoing.name for outgoing in self.own.values() if outgoing.told}
        self.own = {outgoing.name: outgoing for outgoing in own}
        for outgoing in self.own.values():
            outgoing.told = outgoing.name in told
        self._replaced = told - self.own.keys()
        self._resumed = True

    def appended(self, outgoing: Outgoing) -> Outgoing:
        """A stream of ours began, or went on up to `outgoing.last_seq`, on the disk; the one to go on with."""
        current = self.own.setdefault(outgoing.name, outgoing)
        current.last_seq = max(current.last_seq, outgoing.last_seq)
        current.sent_mark = max(current.sent_mark, outgoing.sent_mark)
        return current

    def refused(self, outgoing: Outgoing, seq: int) -> None:
        """The far side refused the entry at `seq`: it will be confirmed, and is not delivered."""
        flight = outgoing.flight
        # What is in flight has no gaps.
        if flight and flight[0][0] <= seq <= flight[-1][0]:
            index = seq - flight[0][0]
            flight[index] = (seq, flight[index][1], 0)

    def processed(self, outgoing: Outgoing, seq: int) -> list[Message]:
        """Refusals up to `seq` are committed here; what to tell the far side."""
        listed = outgoing.listed
        outgoing.listed = Holding(
            stream=listed.stream,
            first=listed.first,
            base=listed.base,
            seq=listed.seq,
            head=listed.head,
            processed=max(seq, listed.processed or 0),
        )
        return [Have(streams=(outgoing.listed,))]

    def next_batch(self) -> Batch | None:
        """What to send now; None if nothing waits, or the window is used up."""
        if not self._resumed or self.credit.entries < 1 or self.credit.bytes < 1:
            return None
        for outgoing in self.own.values():
            if outgoing.next_seq <= outgoing.last_seq:
                entries = min(self.credit.entries, BATCH_ENTRIES, outgoing.last_seq - outgoing.next_seq + 1)
                return Batch(outgoing, outgoing.next_seq, entries, min(self.credit.bytes, BATCH_BYTES))
        for question in self._questions:
            entries = min(self.credit.entries, BATCH_ENTRIES, question.last - question.next_seq + 1)
            size = min(self.credit.bytes, OLDER_BYTES)
            return Batch(question.outgoing, question.next_seq, entries, size, True, question.last)
        return None

    def answer(self, batch: Batch, found: Sequence[tuple[int, bytes]]) -> list[Message]:
        """
        The messages that carry older entries, given as (seq, bytes), and the end of the answer after the last.

        Nothing found in the batch means that the rest of what was asked for is gone.
        """
        question = self._questions[0]
        name = question.outgoing.name
        leaving = found[: self.credit.spend([len(data) for _, data in found])]
        messages: list[Message] = [Entry(stream=name, seq=seq, bytes=data, history=True) for seq, data in leaving]
        question.next_seq = leaving[-1][0] + 1 if leaving else batch.from_seq if found else question.last + 1
        if question.next_seq > question.last:
            self._questions.popleft()
            messages.append(History(stream=name, first=question.first, last=question.last))
        return messages

    def send(self, outgoing: Outgoing, entries: Iterable[Written]) -> list[Message]:
        """
        The messages that carry these entries, whose sent-up-to mark is committed; none from the first that must wait.

        The caller gives entries in the order of next_batch().
        """
        following = _following(entries, outgoing.next_seq) if self._resumed else []
        leaving = following[: self.credit.spend([len(each.data) for each in following])]
        if not leaving:
            return []
        outgoing.next_seq += len(leaving)
        outgoing.flight += [(each.seq, each.head, each.number) for each in leaving]
        name = outgoing.name
        messages: list[Message] = [Entry(stream=name, seq=each.seq, bytes=each.data) for each in leaving]
        if not outgoing.told:
            outgoing.told = True
            messages.insert(0, Have(streams=(outgoing.listed,)))
        return messages

    def committed(self, entries: int, size: int, moved: Iterable[tuple[Incoming, int, bytes]]) -> list[Message]:
        """So much of what was received is on the disk: (stream, seq, head) moved to there. Gives what to say."""
        holdings = tuple(incoming.holding(seq, head) for incoming, seq, head in moved)
        messages: list[Message] = [Have(streams=holdings)] if holdings else []
        window = self._grant.commit(entries, size)
        return messages if window is None else [*messages, window]

    def fetch(self) -> bool:
        """Ask for what lies before what we hold of each stream that the far side listed; whether there is any."""
        if not self._complete or self._asker.busy:
            return False
        for name, listing in self._listings.items():
            incoming = self.theirs.get(name)
            if (listing if incoming is None else incoming).first > 1:
                self._asker.ask(incoming or self._begin(name))
        return self._asker.busy

    @property
    def fetching(self) -> bool:
        """Whether answers are awaited."""
        return self._asker.busy

    def questions(self) -> Sequence[Message]:
        """What to send to go on with `fetch`: at its beginning, and whenever an answer ended."""
        return self._asker.next_question()

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
                return [self.receive_old(message) if message.history else self.receive_entry(message)], True
            case Window():
                self._check_linked()
                moved = self.credit.raise_to(message)
                return ([MoreRoom()] if moved else []), moved
            case Seen(stream=stream, seq=seq):
                return self._receive_seen(stream, seq)
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
        self._held_there[holding.stream] = holding.seq, holding.head
        return []

    def _take_listing(self, holding: Holding) -> list[Effect]:
        """The far side's word about a stream of its own."""
        if len(self._listings) >= MAX_LINK_UP and holding.stream not in self._listings:
            raise RemoteProtocolError(EndCode.VIOLATION, "too many streams")
        self._listings[holding.stream] = holding
        incoming = self.theirs.get(holding.stream)
        if incoming is None or holding.processed is None or holding.processed <= incoming.processed:
            return []
        incoming.processed = holding.processed
        return [Processed(incoming, holding.processed)]

    def _acknowledge(self, holding: Holding) -> list[Effect]:
        outgoing = self._own(holding.stream)
        if outgoing is None:
            raise RemoteProtocolError(EndCode.VIOLATION, "acknowledges a stream that was not sent")
        held, head = self._held(outgoing)
        if (holding.seq, holding.head) == (held, head):
            return []
        numbers: list[int] = []
        seq = held
        while outgoing.flight and outgoing.flight[0][0] <= holding.seq:
            seq, head, number = outgoing.flight.popleft()
            if number:
                numbers.append(number)
        if seq == held or (seq, head) != (holding.seq, holding.head):
            raise RemoteProtocolError(EndCode.VIOLATION, "acknowledges what was not sent on this link")
        self._held_there[holding.stream] = seq, head
        outgoing.confirmed_seq = seq
        return [Confirmed(outgoing, seq, head, tuple(numbers))]

    def _held(self, outgoing: Outgoing) -> tuple[int, bytes]:
        """(seq, head) of what the far side said that it holds; what is not listed begins where we said."""
        listed = outgoing.listed
        return self._held_there.get(outgoing.name, (listed.first - 1, listed.base))

    def receive_old(self, message: Entry) -> ReceivedOld:
        """Take an older entry, that was asked for; raises RemoteProtocolError."""
        self._check_name(message.stream, self._them)
        self._check_linked()
        self._grant.take(len(message.bytes))
        return self._asker.take(message)

    def receive_entry(self, message: Entry) -> Received:
        """Take a new entry; raises RemoteProtocolError."""
        self._check_linked()
        data, seq = message.bytes, message.seq
        self._grant.take(len(data))
        incoming = self.theirs.get(message.stream)
        if incoming is None:
            incoming = self._begin(message.stream)
        if seq != incoming.seq + 1:
            raise RemoteProtocolError(EndCode.VIOLATION, f"entry {seq} after {incoming.seq}")
        head = next_head(incoming.head, data)
        incoming.seq, incoming.head = seq, head
        return Received(incoming, seq, head, data, judge(data))

    def _begin(self, name: bytes) -> Incoming:
        self._check_name(name, self._them)
        listing = self._listings.get(name)
        if listing is None:
            raise RemoteProtocolError(EndCode.VIOLATION, "an entry of a stream that was not listed")
        if len(self.theirs) >= MAX_LINK_UP:
            raise RemoteProtocolError(EndCode.VIOLATION, "too many streams")
        if listing.first == 1 and listing.base != first_head(name):
            raise RemoteProtocolError(EndCode.VIOLATION, "a stream with a wrong beginning")
        incoming = Incoming(None, name, listing.first, listing.base, listing.first - 1, listing.base)
        self.theirs[name] = incoming
        return incoming

    def _receive_seen(self, stream: bytes, seq: int) -> tuple[list[Effect], bool]:
        # By what its sender holds, and not by what we know to be confirmed: at link-up that comes later, and after a
        # backup of ours was restored never.
        outgoing = self._own(stream)
        if seq > self._held_there.get(stream, (0, b""))[0]:
            raise RemoteProtocolError(EndCode.VIOLATION, "seen of what is not held")
        if outgoing is None or seq > outgoing.last_seq or seq <= outgoing.seen:
            return [], False
        outgoing.seen = seq
        return [SeenThere(outgoing, seq)], True

    def _receive_refused(self, stream: bytes, seq: int, code: str) -> tuple[list[Effect], bool]:
        outgoing = self._own(stream)
        if outgoing is None:
            # Of a stream that was replaced meanwhile: nothing hangs on it any more.
            return [], False
        if seq > max(outgoing.next_seq - 1, self._held(outgoing)[0]):
            raise RemoteProtocolError(EndCode.VIOLATION, "refuses what was not sent")
        if seq > outgoing.last_seq:
            # We were rolled back, and know nothing of it.
            return [], False
        moved = seq > outgoing.refused
        outgoing.refused = max(outgoing.refused, seq)
        return [RefusedThere(outgoing, seq, code)], moved

    def _receive_history(self, stream: bytes, first: int, last: int) -> list[Effect]:
        self._check_linked()
        if author_in(stream) == self._them:
            self._check_name(stream, self._them)
            return [self._asker.end(History(stream=stream, first=first, last=last))]
        outgoing = self._own(stream)
        if last < first or (outgoing is None and stream not in self._replaced and stream not in self._held_there):
            raise RemoteProtocolError(EndCode.VIOLATION, "history of an unknown stream")
        if outgoing is None:
            # We were rolled back; until our `reset` is there nobody knows that it is a stream of the past.
            return [NothingOlder(History(stream=stream, first=first, last=last))]
        if len(self._questions) >= MAX_QUESTIONS:
            raise RemoteProtocolError(EndCode.RATE, "too many questions for history")
        self._questions.append(Question(outgoing, first, last, first))
        return [MoreRoom()]

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


def _following(entries: Iterable[Written], seq: int) -> list[Written]:
    """Those from the first on that stand at `seq` and right behind one another."""
    found: list[Written] = []
    for each in entries:
        if each.seq != seq + len(found):
            break
        found.append(each)
    return found
