"""
One conversation: what is said and what comes goes to the disk first, and what the far side says of it is believed only
as far as the exchange on the selected link allows.

Decisions are core/delivery's; transactions are ledger's, receipts' and settlement's. Nothing is remembered over a link
but what is on the disk.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api import Back, Delivered, NotDelivered, Person, Problem, Queued, Seen as SeenEvent, Silent, TakenBack
from ..core.delivery import Exchange
from ..core.effects import (
    Confirmed,
    Effect,
    Fetched,
    LinkUp,
    MoreRoom,
    NothingOlder,
    Outgoing,
    Processed,
    Received,
    ReceivedOld,
    RefusedThere,
    SeenThere,
)
from ..core.errors import EndCode, RemoteProtocolError, UserError
from ..core.messages import Entry, Have, Message, Refused, Seen
from ..storage.crash import Point, reach
from . import ledger, receipts, revision, settlement
from .doubts import Doubts
from .environment import Environment
from .fetching import Fetching
from .inbox import Inbox
from .ledger import Two
from .outbox import Outbox
from .selected import ChatLink, Selected

MAX_EARLY = 2_048
"""
Messages of a new link that may come before our own side of link-up is read from the disk; each holding in them counts
as one more.
"""

SILENT_AFTER = 30.0
"""Seconds without a sign of life after which a person is told."""

BACK_AFTER = 2.0
"""
Seconds that a link must stand, if nothing is delivered before, until it is told that who was lost is back: somebody
whose disk is full opens links for as long as that lasts, and ends each at once.
"""

TROUBLE = "{name} cannot take anything now, because of trouble of their own such as a full disk; it waits here"


class Chat:
    """One conversation with one peer."""

    log = Logger()

    def __init__(
        self, environment: Environment, two: Two, person: Callable[[], Person], author: Callable[[], str]
    ) -> None:
        self.two = two
        self.tells_seen = True
        """Whether `seen` is said at all."""
        self._environment = environment
        self._person = person
        self._selected: Selected | None = None
        self._early: list[Message] = []
        self._told_silent = False
        self._told_lost = False
        self._told_trouble = False
        self._doubts = Doubts(environment, person)
        self._outbox = Outbox(environment, two, lambda: self._selected, person, author, self._run)
        self._inbox = Inbox(environment, two, lambda: self._selected, person, self._doubts, self._run)
        self._fetching = Fetching(environment, two, lambda: self._selected, person, self._run)

    # --- for the person and for programs

    @property
    def unsent(self) -> int:
        """Our messages that are not delivered."""
        return self._outbox.waiting.messages

    def say(self, *texts: str) -> Deferred[list[Queued]]:
        """Queue messages; fires when they are committed. Raises UserError, or fails with it: none was accepted."""
        return self._outbox.say(texts)

    async def displayed(self, entry: int) -> None:
        """The person saw everything up to an entry of theirs."""
        two = self.two
        said = await self._environment.database.write(lambda tables: receipts.display(tables, two, entry))
        if said is not None:
            self.say_seen(*said)

    def say_seen(self, stream: bytes, seq: int) -> None:
        """Tell the far side what is seen, and stored as seen."""
        selected = self._selected
        if not self.tells_seen or selected is None or selected.exchange is None:
            return
        incoming = selected.exchange.theirs.get(stream)
        if incoming is not None:
            incoming.seen = max(incoming.seen, seq)
            selected.link.send(Seen(stream=stream, seq=seq))

    async def take_back(self, number: int) -> None:
        """Take back a message that has not left; raises UserError."""
        two = self.two
        await self._environment.database.write(lambda tables: revision.take_back(tables, two, number))
        self._outbox.waiting.remove(1)
        self._environment.emit(TakenBack(person=self._person(), number=number))

    async def send_again(self, first: int, last: int) -> int:
        """Send messages again that count as delivered; how many those are."""
        two, total = self.two, 0
        while first:
            step = await self._send_again(two, first, last)
            first, total = step.next_number, total + step.count
            if step.outgoing is not None:
                self._outbox.went_on(step.outgoing, step.count, step.bytes)
        return total

    def _send_again(self, two: Two, first: int, last: int) -> Deferred[revision.Resent]:
        random = self._environment.random(16)
        return self._environment.database.write(lambda tables: revision.send_again(tables, two, first, last, random))

    def fetch(self) -> None:
        """Ask for all older messages that are not here; raises UserError."""
        self._fetching.ask()

    async def load(self) -> None:
        """Count what waits, once after the start."""
        two = self.two
        # A write, so that it is counted before or after what is said meanwhile, and not both.
        waiting = await self._environment.database.write(lambda tables: receipts.measure_waiting(tables, two))
        self._outbox.waiting.become(*waiting)

    # --- the selected link

    @property
    def link(self) -> ChatLink | None:
        """The selected link, if there is one."""
        return None if self._selected is None else self._selected.link

    def attach(self, link: ChatLink) -> None:
        """This link was selected; the one before is not used any more."""
        self._early = []
        self._inbox.drop()
        self._outbox.drop()
        self._fetching.drop()
        self._selected = Selected(link, self._environment.clock.seconds())
        link.carry()
        self._run(self._open(self._selected))

    def detach(self, link: ChatLink) -> None:
        """A link is lost; nothing happens if it was not the selected one."""
        if link is self.link:
            self._selected = None
            self._early = []
            self._inbox.drop()
            self._outbox.drop()
            self._fetching.drop()

    def pump(self) -> None:
        """The transport takes more again."""
        self._outbox.pump()

    async def _open(self, selected: Selected) -> None:
        two, link = self.two, selected.link
        store = link.store
        # A transaction of the older link may be under way; the writer keeps the order, so this sees all of it.
        opening = await self._environment.database.write(lambda tables: ledger.open_link(tables, two, store))
        reach(Point.OPENED)
        if selected is not self._selected or not link.alive:
            return
        exchange = selected.exchange = Exchange(two.me, two.them, opening.own, opening.theirs)
        for have in exchange.opening():
            link.send(have)
        for stream, seq, code in opening.refusals:
            link.send(Refused(stream=stream, seq=seq, code=code))
        for incoming in opening.theirs if self.tells_seen else ():
            if incoming.seen >= incoming.first:
                link.send(Seen(stream=incoming.name, seq=incoming.seen))
        early, self._early = self._early, []
        for message in early:
            self.receive(link, message)

    def receive(self, link: ChatLink, message: Message) -> None:
        """A message of a conversation; what comes over another link than the selected one is dropped."""
        selected = self._selected_as(link)
        if selected is None:
            return
        if selected.exchange is None:
            self._keep_early(link, message)
            return
        try:
            effects, moved = selected.exchange.receive(message)
            if not moved:
                link.charge()
        except RemoteProtocolError as error:
            link.fail(error.code, str(error))
            return
        for effect in effects:
            self._act(selected, selected.exchange, effect)

    def receive_entries(self, link: ChatLink, entries: Sequence[Entry]) -> None:
        """Entries that came together; otherwise like `receive`."""
        selected = self._selected_as(link)
        if selected is None:
            return
        exchange = selected.exchange
        if exchange is None:
            self._keep_early(link, entries[0])
            return
        received: list[Received] = []
        broken: RemoteProtocolError | None = None
        try:
            for entry in entries:
                if entry.history:
                    self._fetching.take(exchange.receive_old(entry))
                else:
                    received.append(exchange.receive_entry(entry))
        except RemoteProtocolError as error:
            broken = error
        if received:
            self._inbox.take(received)
        if broken is not None:
            link.fail(broken.code, str(broken))

    def _selected_as(self, link: ChatLink) -> Selected | None:
        """What is selected, if it is this link and lives."""
        selected = self._selected
        if selected is None or link is not selected.link or not link.alive:
            return None
        return selected

    def _keep_early(self, link: ChatLink, message: Message) -> None:
        if isinstance(message, Entry):
            link.fail(EndCode.VIOLATION, "an entry before our part of link-up")
        elif len(self._early) + sum(len(each.streams) for each in self._early if isinstance(each, Have)) >= MAX_EARLY:
            link.fail(EndCode.RATE, "too much before link-up")
        else:
            self._early.append(message)

    def _act(self, selected: Selected, exchange: Exchange, effect: Effect) -> None:
        match effect:
            case Received():
                self._inbox.take([effect])
            case ReceivedOld() | Fetched():
                self._fetching.take(effect)
            case Confirmed(outgoing=outgoing, seq=seq, head=head, numbers=numbers):
                selected.link.took()
                self._run(self._confirm(selected, outgoing.stream, seq, head, numbers))
            case SeenThere(outgoing=outgoing, seq=seq):
                self._run(self._see(outgoing.stream, seq))
            case RefusedThere(outgoing=outgoing, seq=seq, code=code):
                self._run(self._note_refusal(selected, exchange, outgoing, seq, code))
            case Processed(incoming=incoming, seq=seq):
                if incoming.stream is not None:
                    self._run(self._processed(incoming.stream, seq))
            case LinkUp():
                self._run(self._settle(selected, exchange, effect))
            case MoreRoom():
                self._outbox.pump()
            case NothingOlder(answer=answer):
                selected.link.send(answer)

    # --- the far side's word

    async def _confirm(self, selected: Selected, stream: int, seq: int, head: bytes, numbers: tuple[int, ...]) -> None:
        two, store, now = self.two, selected.link.store, self._environment.wall()
        # Told when it is noted: what was told as delivered must never go out as new again, not even to a new store.
        await self._environment.database.write(
            lambda tables: receipts.confirm(tables, two, stream, store, seq, head, now)
        )
        reach(Point.CONFIRMED_COMMITTED)
        self._outbox.waiting.remove(len(numbers))
        self._delivered(selected, numbers, now)

    def _delivered(self, selected: Selected, numbers: tuple[int, ...], now: int) -> None:
        if numbers:
            if selected is self._selected:  # else the link was lost while that went to the disk
                self.tell_back()
            self._environment.emit(Delivered(person=self._person(), numbers=numbers, at=now))

    async def _see(self, stream: int, seq: int) -> None:
        two, now = self.two, self._environment.wall()
        numbers = await self._environment.database.write(lambda tables: receipts.see(tables, two, stream, seq, now))
        if numbers:
            self._environment.emit(SeenEvent(person=self._person(), numbers=numbers, at=now))

    async def _note_refusal(
        self, selected: Selected, exchange: Exchange, outgoing: Outgoing, seq: int, code: str
    ) -> None:
        two, stream, now = self.two, outgoing.stream, self._environment.wall()
        # The `have` that covers it may be read before this is committed: it must not count as delivered.
        exchange.refused(outgoing, seq)
        noted = await self._environment.database.write(
            lambda tables: receipts.note_refusal(tables, two, stream, seq, code, now)
        )
        if noted is not None and noted.number:
            self._outbox.waiting.remove(noted.waited)
            self._environment.emit(NotDelivered(person=self._person(), number=noted.number, reason=code))
        if noted is not None and noted.doubt is not None:
            self._doubts.tell(*noted.doubt, settlement.PARTED, True, now)
        if selected is self._selected:
            for message in exchange.processed(outgoing, seq):
                selected.link.send(message)

    async def _processed(self, stream: int, seq: int) -> None:
        two = self.two
        await self._environment.database.write(lambda tables: receipts.processed(tables, two, stream, seq))

    async def _settle(self, selected: Selected, exchange: Exchange, effect: LinkUp) -> None:
        two, store, environment = self.two, selected.link.store, self._environment
        random, now = environment.random(32), environment.wall()
        may_doubt = self._doubts.may_come
        settled = await environment.database.write(
            lambda tables: settlement.settle(tables, two, store, effect.holdings, random, now, may_doubt)
        )
        reach(Point.SETTLED_COMMITTED)
        if settled is None:
            self._doubts.refuse(selected.link)
            return
        self._outbox.waiting.become(settled.unsent, settled.unsent_bytes)
        self._doubts.settled(settled, now)
        heard = environment.heard()
        if selected is self._selected:
            exchange.resume(settled.own)
            self._outbox.pump()
        if settled.delivered:
            ranges = settled.delivered
            # Refusals are repeated after the holdings that cover them; those that came meanwhile are noted before this.
            numbers = await environment.database.write(lambda tables: receipts.numbers_delivered(tables, two, ranges))
            self._delivered(selected, numbers, now)
        if settled.until_told and heard:
            await environment.database.write(lambda tables: settlement.forget_told(tables, two, settled.until_told))

    # --- time and trouble

    def look(self) -> None:
        """Once a second: tell the person of silence, and of its end."""
        selected = self._selected
        if selected is None:
            return
        silence = selected.link.silence()
        if silence >= SILENT_AFTER and not self._told_silent:
            self.tell_silence(int(silence))
        elif silence < SILENT_AFTER and (
            not self._told_lost or self._environment.clock.seconds() >= selected.since + BACK_AFTER
        ):
            self.tell_back()

    def tell_silence(self, seconds: int) -> None:
        """Tell the person that the far side is silent, or lost (0 seconds), and what waits."""
        if not self._told_silent or (not seconds and not self._told_lost):
            self._told_silent, self._told_lost = True, not seconds
            self._run(self._tell_silence(seconds))

    async def _tell_silence(self, seconds: int) -> None:
        two = self.two
        numbers, total = await self._environment.database.read(lambda tables: receipts.waiting(tables, two))
        if self._told_silent:
            self._environment.emit(Silent(person=self._person(), seconds=seconds, waiting=numbers, total=total))

    def tell_trouble(self) -> None:
        """Tell the person, once while it lasts, that the far side ends links because of something of its own."""
        if not self._told_trouble:
            self._told_trouble = True
            self._environment.emit(Problem(text=TROUBLE.format(name=self._person().name)))

    def tell_back(self) -> None:
        """Tell the person that the far side is back, if they were told that it was gone."""
        self._told_trouble = False
        if self._told_silent:
            self._told_silent = self._told_lost = False
            self._environment.emit(Back(person=self._person()))

    def over(self) -> None:
        """The chat is ended: what was told of its links is void, and nothing is told of one that begins anew."""
        self._told_silent = self._told_lost = self._told_trouble = False

    def _run(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(coroutine).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """The disk failed: acknowledge nothing more, and say so. What was accepted is on the disk and goes on later."""
        if failure.check(UserError):
            self._environment.emit(Problem(text=failure.getErrorMessage()))
        else:
            self.log.failure("A conversation failed", failure)
        if self._selected is not None:
            self._selected.link.close(EndCode.INTERNAL, "the store failed")
