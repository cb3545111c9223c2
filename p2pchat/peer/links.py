"""
All links to other peers: who may come, what consent stands, and which of two links is the one.

The leader, whose id is the lower one, keeps the newest link that both sides opened and selects it; the follower never
ends a duplicate. What a chat does with its link is peer/chat's; whom to dial is peer/pursuit's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api import Answered, Asked, AskEnded, Asking, Opened, Problem
from ..core.errors import EndCode, HandshakeRefused, UserError
from ..core.identity import Identity
from ..core.messages import VERSION, Accept, Ask, Entry, Hello, Message, Record, Select
from ..core.states import State
from ..core.trust import (
    REQUEST_LASTS,
    Answer,
    Facts,
    Policy,
    Scope,
    accepted_scope,
    judge_request,
    may_come_back,
)
from ..net.connection import Ending
from ..net.tls import Authenticated
from .attendance import Attendance
from .chat import Chat
from .crowd import MAX_LINKS_OF_ONE, Crowd
from .environment import Environment
from .link import Link
from .people import People
from .selection import Selection

UNDECIDED_WITHIN = REQUEST_LASTS + 15.0
"""Seconds in which a link must get from one step to the next until it is open."""


@dataclass(slots=True)
class Request:
    """Somebody wants to chat and waits for the person's word."""

    link: Link
    text: str
    expires: float


class Host(Protocol):
    """What the links tell the peer."""

    def chat_with(self, identifier: bytes) -> Awaitable[Chat]:
        """The chat with somebody, made if there is none."""

    def reached(self, link: Link) -> bool:
        """Somebody whom we dial answered, and it is the right key; whether our person still wants that."""

    def opened(self, link: Link, chat: Chat) -> None:
        """A link was selected; the chat goes on over it."""

    def over(self, link: Link, ending: Ending) -> None:
        """A link ended."""

    def record_came(self, record: Record) -> None:
        """A peer handed over a roster record."""


class Links:
    """The company of all links."""

    log = Logger()

    def __init__(
        self, environment: Environment, people: People, policy: Policy | None, handle: Callable[[], str], host: Host
    ) -> None:
        self.requests: dict[bytes, Request] = {}
        self.unconfirmed: dict[bytes, Link] = {}
        """Who answered at an address and waits for our person to say that it is the right one."""
        self._environment = environment
        self._people = people
        self.attendance = Attendance(environment, people, policy)
        self._handle = handle
        self._host = host
        self._links: dict[bytes, list[Link]] = {}
        self._chats: dict[bytes, Chat] = {}
        self._selections: dict[bytes, Selection] = {}
        self._crowd = Crowd(self.seconds)

    # --- Company

    @property
    def identity(self) -> Identity:
        """Our own key."""
        return self._environment.identity

    def seconds(self) -> float:
        """The monotonic clock."""
        return self._environment.clock.seconds()

    def hello(self) -> Hello:
        """What we say first."""
        environment = self._environment
        return Hello(version=VERSION, handle=self._handle(), nonce=environment.nonce, store=environment.store)

    def check(self, link: Link, authenticated: Authenticated) -> None:
        """Refuse who came back without what they could do before."""
        if not may_come_back(self._people.facts(link.id), authenticated.hybrid):
            self._tell_downgrade(link.id)
            raise HandshakeRefused("no post-quantum key agreement, which this peer had before")

    def _tell_downgrade(self, identifier: bytes) -> None:
        if not self._crowd.may_tell(identifier):
            return
        name = self._people.person(identifier).name
        self._environment.emit(
            Problem(
                text=f"{name} came back without post-quantum key agreement and was refused; "
                f"if you know why: /trust {name} --classical"
            )
        )

    def greeted(self, link: Link) -> None:
        """The far side's hello came: drop other instances, and decide about consent."""
        if link.id == self.identity.id:
            link.close(EndCode.SELF)
            return
        self._displace(link)
        if len(self.of(link.id)) >= MAX_LINKS_OF_ONE or not self._in_pace(link):
            link.fail(EndCode.RATE, "too many links")
            return
        self._links.setdefault(link.id, []).append(link)
        facts = self._people.facts(link.id)
        if facts.blocked:
            link.close(EndCode.REJECTED)
        elif link.intent is not None:
            if self._host.reached(link):
                self._go_on_as_dialler(link)
            else:
                link.close(EndCode.CLOSED)
        else:
            self._judge(link, facts)

    def _in_pace(self, link: Link) -> bool:
        """Whether somebody known does not come too often."""
        uncounted = link.intent is not None or self._people.contact(link.id) is None
        return uncounted or self._crowd.in_pace(link.id)

    def _displace(self, link: Link) -> None:
        """Links of another process with the same key are older ones."""
        assert link.hello is not None
        for other in self.of(link.id):
            if other.hello is not None and other.hello.nonce != link.hello.nonce:
                self._withdraw(other)
                other.close(EndCode.DISPLACED)

    def _judge(self, link: Link, facts: Facts) -> None:
        answer = judge_request(facts, self.attendance.policy)
        if answer is Answer.ACCEPT:
            self.accept(link, accepted_scope(facts, self.attendance.policy))
        elif answer is Answer.REJECT or not self._crowd.has_room(link, self.all()):
            self.attendance.refused(link.id)
            link.reject(EndCode.REJECTED)

    def stands(self, identifier: bytes) -> bool:
        """Whether somebody would be let in without asking the person."""
        return judge_request(self._people.facts(identifier), self.attendance.policy) is Answer.ACCEPT

    def _go_on_as_dialler(self, link: Link) -> None:
        """Dialling somebody is consent to that id; where only an address was dialled the person confirms it first."""
        assert link.intent is not None
        if link.intent.wanted is None and self._people.consent(link.id) is None:
            before = self.unconfirmed.get(link.id)
            self.unconfirmed[link.id] = link
            if before is not None:
                before.close(EndCode.DUPLICATE)
            self._environment.emit(Answered(person=self._people.person(link.id), address=link.intent.written))
            return
        self.confirm(link)

    def confirm(self, link: Link) -> None:
        """The person means whoever answered: ask them, and consent ourselves."""
        assert link.intent is not None
        if link.accepting:
            return
        if self.unconfirmed.get(link.id) is link:
            del self.unconfirmed[link.id]
        link.ask(link.intent.text)
        person = self._people.person(link.id)
        if not self.has_open(link.id):
            if person.chat != "lost":  # a chat that goes on is asked for by nobody
                self._environment.emit(Asking(person=person))
        elif link.intent.wanted is None:
            # An address was typed, and the person would wait for a word about who that is.
            self._environment.emit(Opened(person=person, again=False))
        self.accept(link, self._people.consent(link.id) or Scope.ONCE)

    def consented(self, identifier: bytes, scope: Scope, seconds: int | None = None) -> None:
        """The person consented to somebody: on whichever of their links lives."""
        self.requests.pop(identifier, None)
        for link in self.of(identifier):
            if link.intent is None:
                self.accept(link, scope, seconds)
            else:
                self.confirm(link)

    def welcome(self, identifier: bytes) -> None:
        """Consent that stands now may be what somebody waits for."""
        scope = self._people.consent(identifier)
        if scope is not None and identifier in self.requests:
            self.consented(identifier, scope)

    def refuse(self, identifier: bytes, code: EndCode) -> None:
        """The person refused somebody, or did not answer: no front end goes on asking."""
        if self.requests.pop(identifier, None) is not None:
            self._environment.emit(AskEnded(person=self._people.person(identifier), reason=code.value))
        for link in self.of(identifier):
            if link.undecided:
                link.reject(code)

    def accept(self, link: Link, scope: Scope, seconds: int | None = None) -> None:
        """Consent on a link; the chat is made before the word leaves, so that it is there when the answer comes."""
        if not link.accepting:
            link.accepting = True
            self._run(self._accept(link, scope, seconds))

    async def _accept(self, link: Link, scope: Scope, seconds: int | None) -> None:
        try:
            if link.intent is not None and self._people.consent(link.id) is None:
                await self._people.grant(link.id, Scope.ONCE)
            await self._people.meet(link.id, link.met)
            self._chats[link.id] = await self._host.chat_with(link.id)
        except UserError:
            # Left as it is the link would expire, which the other side takes for our person's word.
            link.close(EndCode.INTERNAL, "the store failed")
            raise
        if link.alive and not self.stands(link.id):
            link.reject(EndCode.REJECTED)  # the person took it back meanwhile
        elif link.alive:
            link.accept(scope, seconds)
            self._note_open(link)

    def answered(self, link: Link, message: Message) -> None:
        """Ask, Accept or Select came."""
        match message:
            case Ask(text=text):
                self._request(link, text)
            case Accept():
                self._request(link, "")
                self._note_open(link)
            case Select():
                self._selection(link.id).chosen(link)

    def _request(self, link: Link, text: str) -> None:
        """Keep a request for the person, unless it is answered already; a newer link of theirs takes it over."""
        if not link.undecided:
            return
        link.waits_since = self.seconds()
        request = self.requests.get(link.id)
        if request is not None:
            request.link, request.text = link, text or request.text
            return
        self.requests[link.id] = Request(link, text, self.seconds() + REQUEST_LASTS)
        self._environment.emit(Asked(person=self._people.person(link.id), text=text, address=link.host))

    def _note_open(self, link: Link) -> None:
        """If both sides consented the leader chooses: the newest link, and no other."""
        if link.state is State.OPEN and link.leads:
            self._selection(link.id).choose(link, self.of(link.id))

    def _selection(self, identifier: bytes) -> Selection:
        if identifier not in self._selections:
            self._selections[identifier] = Selection(self.seconds, self._use, self.told)
        return self._selections[identifier]

    def _use(self, link: Link) -> None:
        chat = self._chats[link.id]
        chat.attach(link)
        self._host.opened(link, chat)

    def told(self, link: Link, message: Message) -> None:
        """A message of a conversation came, or a roster record."""
        if isinstance(message, Record):
            self._host.record_came(message)
            return
        selection = self._selection(link.id)
        if not selection.drop(link) and not selection.hold(link, message):
            self._chats[link.id].receive(link, message)

    def said(self, link: Link, entries: Sequence[Entry]) -> None:
        """Entries of a conversation came."""
        selection = self._selection(link.id)
        selection.check(link)
        if not selection.drop(link, len(entries)):
            self._chats[link.id].receive_entries(link, entries)

    def writable(self, link: Link) -> None:
        """The transport takes more again."""
        chat = self._chats.get(link.id)
        if chat is not None and chat.link is link:
            chat.pump()

    def ended(self, link: Link, ending: Ending) -> None:
        """A link is over."""
        links = self._links.get(link.id, [])
        if link in links:
            links.remove(link)
        if not links:
            self._links.pop(link.id, None)
        self._withdraw(link)
        chat = self._chats.get(link.id)
        if chat is not None:
            chat.detach(link)
        selection = self._selections.get(link.id)
        if selection is not None:
            selection.ended(link)
        self._host.over(link, ending)

    def _withdraw(self, link: Link) -> None:
        """What waited for the person on this link is void."""
        request = self.requests.get(link.id)
        if request is not None and request.link is link:
            del self.requests[link.id]
            self._crowd.left(link)
            self._environment.emit(AskEnded(person=self._people.person(link.id), reason="gone"))
        if self.unconfirmed.get(link.id) is link:
            del self.unconfirmed[link.id]

    # --- for the peer

    def of(self, identifier: bytes) -> list[Link]:
        """All links with somebody whose hello came and which may be used."""
        return [link for link in self._links.get(identifier, ()) if link.alive]

    def all(self) -> list[Link]:
        """Every link whose hello came."""
        return [link for links in self._links.values() for link in links]

    def has_open(self, identifier: bytes) -> bool:
        """Whether there is a link on which both consented."""
        return any(link.open for link in self.of(identifier))

    def look(self) -> None:
        """Once a second: requests that nobody answered are void, and so are links that do not become open."""
        now = self.seconds()
        for identifier, request in list(self.requests.items()):
            if now >= request.expires:
                self.refuse(identifier, EndCode.EXPIRED)
        for link in self.all():
            if link.alive and not link.open and now >= link.waits_since + UNDECIDED_WITHIN:
                link.close(EndCode.EXPIRED)
        for selection in self._selections.values():
            selection.look()

    def _run(self, work: Awaitable[object]) -> None:
        async def run() -> None:
            await work

        Deferred.fromCoroutine(run()).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(UserError):
            self._environment.emit(Problem(text=failure.getErrorMessage()))
        else:
            self.log.failure("A link failed", failure)
