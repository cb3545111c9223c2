"""
What a person types, done; what happens, shown: the part that is the same for a terminal and for a pipe.

Typed lines are taken one after the other, and a command that may change the current chat is finished before the
next line is looked at: so a line never goes to a chat that its writer had just left.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2pchat import api
from p2pchat.core.errors import UsageError, UserError
from p2pchat.core.text import MARK, Kind, clean

from .actions import AcceptRequest, Action, Fingerprint, Paste, RejectRequest, Switch
from .answers import answer
from .awaited import Awaited
from .browsing import Browser
from .commands import NoChat, Slip, parse
from .conversation import Block, Conversation, consent, refusal
from .drawing import told
from .export import Aside
from .fate import unseen_line
from .outgoing import Outgoing
from .overview import Overview
from .recall import Recall, Recalled
from .receipts import Receipts, Teller
from .screen import Screen
from .upkeep import Kept, Upkeep
from .words import Narrator, name_of

_SURROGATES = re.compile("[\ud800-\udfff]")
"""What a terminal's bytes become that are no UTF-8."""


RECENT = 50
"""Lines of a chat that is turned to in which the bar looks for how far one's own had come."""


@dataclass(slots=True)
class _Typed:
    line: str
    chat: str | None
    """The id of the chat that the prompt named."""

    prompted: bool
    """Whether there was a prompt."""

    done: "Deferred[None]" = field(default_factory=Deferred)


class Console:
    """
    One person's, or one pipe's, view of the peer.

    `aside` runs what waits for a disk. `looks`: somebody looks at the screen, and is shown what was said before in
    a chat that they open; a program would take it for new. `attached`: the peer goes on without this process.
    """

    _log = Logger()

    def __init__(
        self,
        held: api.Api,
        clock: IReactorTime,
        screen: Screen,
        leave: Callable[[], None],
        aside: Aside,
        looks: bool = True,
        has_bar: bool = False,
        attached: bool = False,
    ) -> None:
        self.conversation = Conversation()
        self.overview = Overview()
        self._api = held
        self._clock = clock
        self._screen = screen
        self._narrator = Narrator()
        self._looks = looks
        self._has_bar = has_bar
        self._browser = Browser(held, self.conversation, screen.show)
        self._upkeep = Upkeep(held, screen, self._say, leave, attached)
        self._recall = Recall(held, self._browser, self._say, screen.forget, aside, clock.seconds)
        self._receipts = Teller(Receipts(silent=has_bar), clock, screen.show)
        self._lines: deque[_Typed] = deque()
        self._working = False
        self._outgoing = Outgoing(held, self._say, screen.keep)
        self._awaited = Awaited(self._connect, self._say)
        self._subscription = held.subscribe(self._happened)

    def begin(self, to: str | None = None, trust_first: bool = False) -> None:
        """The peer is up: learn who we are and whom we know, and connect to `to`."""
        Deferred.fromCoroutine(self._introduce(to, trust_first)).addErrback(self._broken)

    def stop(self) -> None:
        """Show and do nothing more."""
        self._subscription.cancel()
        self._recall.stop()
        self._lines.clear()
        self._receipts.stop()

    async def _introduce(self, to: str | None, trust_first: bool) -> None:
        try:
            myself = await self._api.execute(api.WhoAmI())
            if isinstance(myself, api.Myself):
                self._narrator.own_id = myself.id
                self.overview.introduce(myself)
            known = await self._api.execute(api.Contacts())
            if isinstance(known, api.People):
                for person in known.people:
                    self.conversation.meet(person)
                    self.overview.meet(person)
            doubts = await self._api.execute(api.ShowDoubts())
            if isinstance(doubts, api.Doubts) and doubts.doubts:
                self._tell(api.ShowDoubts(), doubts)
            await self._show_requests()
            unseen = await self._api.execute(api.ShowUnseen()) if self._looks else None
            if isinstance(unseen, api.Unseen) and unseen.chats:
                self._say(unseen_line(unseen.chats))
                if self._has_bar:  # without one, that line has said it
                    self.overview.missed(unseen.chats)
        except UserError as error:
            self._say(str(error))
        self._screen.prompt_changed()
        if to is not None:
            await self._awaited.start(api.Connect(who=to, contact_only=not trust_first))

    async def _show_requests(self) -> None:
        """Who waits for an answer and was told of before this screen was there, or in what was left out here."""
        status = await self._api.execute(api.Status())
        for person in status.chats if isinstance(status, api.PeerStatus) else ():
            self.conversation.meet(person)
            self.overview.meet(person)
        for request in status.requests if isinstance(status, api.PeerStatus) else ():
            who, address = request.person, request.address
            if self.conversation.waits(who.id):
                continue
            if request.kind == "answered":
                self._happened(api.Answered(person=who, address=address))
            else:
                self._happened(api.Asked(person=who, text=request.text, address=address))

    # --- what is typed

    def typed(self, line: str) -> "Deferred[None]":
        """Somebody wrote a line where no prompt names the chat; fires when it was dealt with."""
        return self._take(_Typed(line, None, False))

    def typed_at_prompt(self, line: str, chat: str | None) -> "Deferred[None]":
        """Somebody wrote a line while the prompt named the chat with the id `chat`; fires when it was dealt with."""
        return self._take(_Typed(line, chat, True))

    def _take(self, typed: _Typed) -> "Deferred[None]":
        self._lines.append(typed)
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work()).addErrback(self._broken)
        return typed.done

    async def _work(self) -> None:
        try:
            while self._lines:
                typed = self._lines.popleft()
                try:
                    await self._obey(typed)
                finally:
                    self._screen.prompt_changed()
                    typed.done.callback(None)
        finally:
            self._working = False

    async def _obey(self, typed: _Typed) -> None:
        line = _SURROGATES.sub(MARK, typed.line)
        current = self.conversation.current_id
        action: Action | None = None
        try:
            if self.conversation.block is not None:
                await self._gather(self.conversation.block, typed, line)
                return
            action = parse(line, current)
            if isinstance(action, api.Say) and action.who == current and typed.prompted and typed.chat != current:
                raise NoChat("the current chat changed while you wrote; nothing was sent")
            if action is not None:
                await self._do(action, line)
        except UserError as error:
            self._refused(error, line, typed, action)
        except Exception:
            self._log.failure("a typed line went wrong")
            self._say("that went wrong; the log says more")

    def _refused(self, error: UserError, line: str, typed: _Typed, action: Action | None) -> None:
        self._say(str(error))
        if not (line.lstrip().startswith("/") or isinstance(error, Slip)):
            self._screen.keep(line)
        if not typed.prompted and isinstance(action, api.Connect | Switch):
            # What follows in a pipe is meant for whom it could not switch to, and for nobody else.
            self.conversation.current = None

    async def _do(self, action: Action, line: str) -> None:
        match action:
            case api.Say():
                await self._outgoing.send(action, line)
            case api.Connect():
                await self._connect(action)
            case api.Close():
                await self._close(action)
            case Switch():
                await self._switch(action)
            case AcceptRequest():
                await self._accept(action)
            case RejectRequest():
                request = self.conversation.request_of(action.who, self._clock.seconds())
                command = refusal(request)
                self._tell(command, await self._api.execute(command))
                self.conversation.answered(request.person.id)
            case Fingerprint():
                asked = api.WhoIs(who=action.who) if action.who else api.WhoAmI()
                self._tell(action, await self._api.execute(asked))
            case Paste():
                self._say(self.conversation.begin_block())
            case _ if isinstance(action, Kept):
                await self._upkeep.do(action)
            case _ if isinstance(action, Recalled):
                await self._recall.do(action)
            case _:
                self._tell(action, await self._api.execute(action))

    async def _gather(self, block: Block, typed: _Typed, line: str) -> None:
        """Another line of a message, or its end."""
        if not block.take(line):
            return
        self.conversation.block = None
        if block.text is None:
            self._say("dropped; nothing was sent")
        elif typed.prompted and typed.chat != block.who:
            self._say("the current chat changed while you wrote; nothing was sent")
            self._screen.keep(block.text)
        else:
            await self._outgoing.send(api.Say(who=block.who, text=block.text), block.text)

    async def _connect(self, connect: api.Connect) -> None:
        reply = await self._api.execute(connect)
        self._tell(connect, reply)
        if isinstance(reply, api.Started) and reply.person is not None:
            await self._enter(reply.person)

    async def _close(self, close: api.Close) -> None:
        person = await self._whois(close.who)
        await self._api.execute(api.Close(who=person.id))
        self.conversation.leave(person.id)

    async def _switch(self, switch: Switch) -> None:
        person = await self._whois(switch.who)
        if person.chat == "none" and (not person.contact or person.standing == "blocked"):
            # What is said to a contact opens the chat, or waits until it can.
            raise UsageError(f"there is no chat with {name_of(person)}: /connect {name_of(person)}")
        await self._enter(person)

    async def _accept(self, accept: AcceptRequest) -> None:
        request = self.conversation.request_of(accept.who, self._clock.seconds(), accept.word)
        command = consent(request, accept)
        self._tell(command, await self._api.execute(command))
        self.conversation.answered(request.person.id)
        current = self.conversation.current
        if current is None or current.id == request.person.id or request.kind == "answered":
            await self._enter(await self._whois(request.person.id))
        else:
            name = name_of(request.person)
            self._say(f"you still write to {name_of(current)}; /msg {name} changes to {name}")

    async def _whois(self, who: str) -> api.Person:
        reply = await self._api.execute(api.WhoIs(who=who))
        if not isinstance(reply, api.People) or not reply.people:
            raise UsageError(f"nobody is known as {clean(who, Kind.NAME)}; /list shows who is online")
        return reply.people[0]

    def go_to(self, place: int) -> None:
        """Make the chat with this number the current one."""
        self._go(self.overview.at(place), f"no chat has the number {place}; /status shows which have one")

    def go_by(self, step: int) -> None:
        """Make the next chat the current one, or the one before."""
        found = self.overview.beside(self.conversation.current_id, step)
        self._go(found, "there is no chat: /connect NAME, or /list to see who is online")

    def _go(self, person: api.Person | None, otherwise: str) -> None:
        if person is None:
            self._say(otherwise)
        else:
            Deferred.fromCoroutine(self._enter(person)).addErrback(self._broken)

    async def _enter(self, person: api.Person) -> None:
        self.conversation.switch(person)
        self.overview.meet(person)
        self.overview.turn_to(person.id)
        if self._has_bar:
            recent = self._api.execute(api.ShowLines(who=person.id, count=RECENT))
            recent.addCallbacks(self._recall_receipts, lambda _: None)
        self._screen.prompt_changed()
        if self._looks:
            try:
                await self._browser.open(person)
                self.conversation.shown_again(person.id)
            except UserError as error:
                self.conversation.not_shown(person.id)
                self._say(f"what was said before cannot be shown: {error}")
        self._tell_read(self.conversation.read_of(person.id))

    def _recall_receipts(self, reply: api.Reply) -> None:
        if isinstance(reply, api.Lines):
            self.overview.recall(reply.lines)
            self._screen.prompt_changed()

    def _tell_read(self, read: api.Displayed | None) -> None:
        if read is not None:
            self._quietly(read)

    # --- what happens

    def _happened(self, event: api.Event) -> None:
        self.conversation.take(event)
        self._browser.take(event)
        self.overview.take(event, self.conversation.current_id)
        token = event if isinstance(event, api.Said | api.Asked | api.Answered) else None
        for line in self._narrator.tell(event, self.conversation.current_id or ""):
            self._screen.show(line, token)
        self._receipts.take(event)
        self._screen.prompt_changed()
        if isinstance(event, api.Missed):
            self._lost_track()
        if self._awaited.wants(event):
            Deferred.fromCoroutine(self._awaited.again()).addErrback(self._broken)

    def _lost_track(self) -> None:
        self.conversation.lost_track()
        self._browser.lost_track()
        self._receipts.lost_track()
        Deferred.fromCoroutine(self._show_requests()).addErrback(self._broken)
        if self.conversation.current is not None:
            # Shows what nobody saw yet.
            Deferred.fromCoroutine(self._enter(self.conversation.current)).addErrback(self._broken)

    def displayed(self, tokens: Iterable[api.Event]) -> None:
        """These were put on a screen that a person looks at."""
        for token in tokens:
            match token:
                case api.Said():
                    self.conversation.displayed(token)
                case api.Asked(person=person) | api.Answered(person=person):
                    self.conversation.request_shown(person.id, self._clock.seconds())
        self._tell_read(self.conversation.read())

    def missed(self, tokens: Iterable[api.Event]) -> None:
        """These could not be put on the screen."""
        for token in tokens:
            if isinstance(token, api.Said):
                self.conversation.missed(token)

    # --- words

    def _tell(self, asked: api.Command | Fingerprint, reply: api.Reply) -> None:
        places = self.overview.places() if self._looks else {}
        self._say(*answer(self.conversation.named(asked), reply, places))
        if isinstance(asked, api.Status):
            self._say(*self.overview.facts(self.conversation.current).values())

    def _say(self, *texts: str) -> None:
        for text in texts:
            self._screen.show(told(text))

    def _quietly(self, command: api.Command) -> None:
        self._api.execute(command).addErrback(
            lambda failure: self._log.info("{command!r}: {error!r}", command=command, error=failure.value)
        )

    def _broken(self, failure: object) -> None:
        self._log.error("the console failed: {failure!s}", failure=failure)
