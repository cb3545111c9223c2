"""What each command of the api does at a peer; every one is answered with a reply, or fails with UserError."""

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from .. import __version__, api
from ..api import Command, Reply
from ..api.bounds import check_numbers
from ..core.addresses import written
from ..core.errors import EndCode, NoSuchContact, UsageError, UserError
from ..core.identity import format_id, looks_like_id, parse_host_port, parse_id, safety_number
from ..core.messages import MAX_TEXT, Address
from ..core.text import Kind, clean
from ..core.trust import REQUEST_LASTS, TIMED_AT_MOST, Scope
from ..net.tls import openssl_version
from .contact_commands import ContactCommand, ContactCommands, held
from .examination import Examination
from .forgetting import Forgetting
from .history_commands import HistoryCommand, HistoryCommands
from .link import Link
from .link_commands import LinkCommands
from .notifying import Notifying
from .peer import Peer
from .talk import Talk
from .timekeeping import Timekeeping, told_by

DEFAULT_LISTEN_PORT = 6666
"""Where a peer listens if an address is given without a port."""

MAX_ASK = 200
"""Characters of the line that goes with a request."""


class Commands:
    """Executes commands on a peer. `stop` ends the process, `uptime` is in seconds, `examination` looks at it."""

    log = Logger()

    def __init__(
        self,
        peer: Peer,
        stop: Callable[[], None],
        uptime: Callable[[], float],
        notifying: Notifying,
        examination: Examination,
    ) -> None:
        self._peer = peer
        self._notifying = notifying
        self._stop = stop
        self._uptime = uptime
        self._granting: Counter[bytes] = Counter()
        """Consents, by whose they are, that are on their way to the disk."""
        self._examination = examination
        self._links = LinkCommands(peer, self._someone)
        self._contacts = ContactCommands(peer, self._someone)
        timekeeping = Timekeeping(peer.environment, lambda: told_by(peer.servers))
        self._forgetting = Forgetting(peer.environment, timekeeping)
        self._history = HistoryCommands(peer, self._forgetting, self._someone)

    async def execute(self, command: Command) -> Reply:
        """Do it; raises UserError."""
        check_numbers(command)
        match command:
            case api.Say() | api.SayAll():
                return await self.say(command)
            case api.Displayed(who=who, entry=entry):
                return await self._displayed(who, entry)
            case api.Connect():
                return await self._connect(command)
            case api.Confirm() | api.Accept() | api.Reject() | api.Close():
                return await self._decide(command)
            case api.Examine():
                return await self._examination.examine()
            case api.Stop():
                self._stop()
                return api.Done()
            case _ if isinstance(command, ContactCommand):
                return await self._contacts.execute(command)
            case api.ShowNotifications() | api.SetNotifications():
                return await self._notify(command)
            case api.Ping() | api.Reconnect():
                return await self._links.execute(command)
            case _ if isinstance(command, HistoryCommand):
                return await self._history.execute(command)
            case _:
                return self._tell(command)

    def look(self) -> None:
        """Once a second: tell what nobody looked at, and delete what is older than the person keeps."""
        self._notifying.look(self._peer.people.person)
        self._forgetting.look()

    # --- chats

    def say(self, command: api.Say | api.SayAll) -> Deferred[Reply]:
        """
        What these do, for those who say much: without a coroutine where the chat is in use. Raises UserError, or
        fails with it.
        """
        who = command.who
        identifier = self._someone(who)
        self._check_other(identifier)
        contact = self._peer.people.contact(identifier)
        if contact is not None and contact.blocked_at is not None:
            called = self._called(who, identifier)
            raise UserError(f"{called} is blocked; /unblock {called} first")
        texts = (command.text,) if isinstance(command, api.Say) else command.texts
        _check_texts(texts)
        talk = self._peer.talk(identifier)
        if (talk is None or not talk.wanted) and not self._peer.may_seek(identifier):
            called = self._called(who, identifier)
            if identifier in self._peer.links.requests:
                raise UserError(f"{called} wants to chat and waits for /accept or /reject; then send it again")
            raise UserError(f"there is no chat with {called}; /connect {called} first")
        if talk is None or not talk.ready:
            queued = Deferred.fromCoroutine(self._say_when_ready(identifier, texts))
        else:
            # At once: what is said next must not overtake this.
            queued = self._say_in(talk, texts)
        return queued.addCallback(_accepted if isinstance(command, api.Say) else _all_accepted)

    async def _say_when_ready(self, identifier: bytes, texts: tuple[str, ...]) -> list[api.Queued]:
        ended = self._peer.people.ended(identifier)
        # Those who wait here are served in the order of their calls, before anybody who says something later.
        talk = await self._peer.talk_with(identifier)
        if self._peer.people.ended(identifier) != ended:
            return await talk.chat.say(*texts)  # it waits, but the chat was ended after it was said
        return await self._say_in(talk, texts)

    def _say_in(self, talk: Talk, texts: tuple[str, ...]) -> Deferred[list[api.Queued]]:
        self._peer.seek(talk)
        return talk.chat.say(*texts)

    async def _displayed(self, who: str, entry: int) -> Reply:
        identifier = self._someone(who)
        self._notifying.looked(identifier, entry)
        with suppress(NoSuchContact):  # nothing was ever said there
            talk = self._peer.talk(identifier) or await self._history.talk(who)
            await talk.chat.displayed(entry)
        return api.Done()

    async def _connect(self, command: api.Connect) -> Reply:
        text = clean(command.text, Kind.LINE)[:MAX_ASK]
        people = self._peer.people
        try:
            if command.contact_only:
                identifier = people.resolve(command.who, contact_only=True)
            else:
                identifier = self._someone(command.who)
        except NoSuchContact:
            if command.contact_only or not _looks_like_address(command.who):
                raise
            return await self._connect_address(command.who, text)
        self._check_other(identifier)
        if people.facts(identifier).blocked:
            called = self._called(command.who, identifier)
            raise UserError(f"{called} is blocked; /unblock {called} first")
        unsaid = self._unsaid(identifier, text)
        if people.consent(identifier) is None:
            self._check_stands(identifier, await people.grant(identifier, Scope.ONCE))
        self._check_stands(identifier, await self._peer.want(identifier, text))
        return api.Started(person=people.person(identifier), unsaid=unsaid)

    def _check_stands(self, identifier: bytes, stands: bool) -> None:
        """Raises UserError where the person took back, before it was stored, what a chat begins with."""
        if not stands:
            name = self._peer.people.person(identifier).name
            raise UserError(f"the chat with {name} was ended before it began; say it again if you want it")

    def _unsaid(self, identifier: bytes, text: str) -> str:
        """A line that goes with no request any more, since there was one, or none is needed."""
        known = self._peer.people.person(identifier).chat in ("open", "lost", "asked")
        return text if known or self._peer.links.of(identifier) else ""

    async def _connect_address(self, who: str, text: str) -> Reply:
        host, port = parse_host_port(who, DEFAULT_LISTEN_PORT)
        address = Address(host=host, port=port)
        self._peer.dial_address(address, text)
        return api.Started(person=None, address=written(address))

    async def _confirm(self, who: str) -> Reply:
        identifier = self._answerer(who)
        if identifier is None:
            raise NoSuchContact(f"nobody called {who} waits for your word; dial the address again")
        link = self._peer.links.unconfirmed[identifier]
        intent = link.intent
        assert intent is not None
        await self._grant(link, Scope.ONCE)
        self._check_stands(identifier, await self._peer.want(identifier, intent.text, [intent.address]))
        return api.Done()

    def _answerer(self, who: str) -> bytes | None:
        """Who of those that answered at an address is meant."""
        return self._only(self._peer.links.unconfirmed, who)

    def _only(self, waiting: Iterable[bytes], who: str) -> bytes | None:
        """The one of those who wait that is meant, if there is one; raises NoSuchContact if there are several."""
        found = [identifier for identifier in waiting if self._means(identifier, who)]
        if len(found) > 1:
            raise NoSuchContact(f"several who wait are called {who}; give the whole id")
        return found[0] if found else None

    async def _accept(self, who: str, scope: str, seconds: int | None) -> Reply:
        if scope not in {each.value for each in Scope}:
            raise UsageError(f"{scope!r} is no consent; say once, a time such as 2h, or always")
        if scope == Scope.TIMED.value and (seconds is None or not 0 < seconds <= TIMED_AT_MOST):
            raise UsageError("say for how long, such as 30m, 2h or 1d, up to a year")
        identifier = self._asker(who)
        request = self._peer.links.requests[identifier]
        # It is answered, and must not run out while the disk is slow.
        request.expires += REQUEST_LASTS
        await self._grant(request.link, Scope(scope), seconds)
        if scope == Scope.ALWAYS.value:
            self._peer.environment.emit(api.ContactChanged(person=self._peer.people.person(identifier)))
        self._peer.links.consented(identifier, Scope(scope), seconds)
        self._check_stands(identifier, await self._peer.want(identifier))
        return api.Started(person=self._peer.people.person(identifier))

    async def _grant(self, link: Link, scope: Scope, seconds: int | None = None) -> None:
        """Consent to who waits on a link; raises UserError where that was not stored, or taken back before."""
        self._granting[link.id] += 1
        try:
            stands = await self._peer.people.grant(link.id, scope, seconds, link.met)
        finally:
            self._granting[link.id] -= 1
        self._check_stands(link.id, stands)

    async def _decide(self, command: api.Confirm | api.Accept | api.Reject | api.Close) -> Reply:
        match command:
            case api.Confirm(who=who):
                return await self._confirm(who)
            case api.Accept(who=who, scope=scope, seconds=seconds):
                return await self._accept(who, scope, seconds)
            case api.Reject(who=who):
                return self._reject(who)
            case api.Close(who=who):
                identifier = self._someone(who)
                name = self._peer.people.person(identifier).name
                await held(f"the chat with {name} is closed", self._peer.close(identifier))
        return api.Done()

    def _reject(self, who: str) -> Reply:
        answerer = self._answerer(who)
        identifier = self._asker(who) if answerer is None else answerer
        if self._granting[identifier]:
            name = self._peer.people.person(identifier).name
            raise UserError(f"{name} is being accepted already; /close {name} ends the chat")
        if answerer is None:
            self._peer.links.refuse(identifier, EndCode.REJECTED)
        else:
            self._peer.links.unconfirmed.pop(identifier).close(EndCode.CLOSED)
        return api.Done()

    def _asker(self, who: str) -> bytes:
        """Who of those that wait for an answer is meant."""
        found = self._only(self._peer.links.requests, who)
        if found is None:
            name = self._peer.people.person(parse_id(who)).name if looks_like_id(who) else who
            raise NoSuchContact(f"{name} waits for no answer: not asked, answered elsewhere, or gone; see /list")
        return found

    def _means(self, identifier: bytes, who: str) -> bool:
        if looks_like_id(who):
            return parse_id(who) == identifier
        return self._peer.people.person(identifier).name.casefold() == who.strip().casefold()

    # --- people

    def _someone(self, who: str) -> bytes:
        people, links = self._peer.people, self._peer.links
        known = people.named(who)
        if known is not None:
            return known
        if looks_like_id(who):
            return people.resolve(who)
        found = self._only(dict.fromkeys((*links.requests, *links.unconfirmed)), who)
        return people.resolve(who) if found is None else found

    def _called(self, who: str, identifier: bytes) -> str:
        """What a person calls them, where a front end gave the id: a petname, which nobody else can have."""
        person = self._peer.people.person(identifier)
        return person.name if looks_like_id(who) and person.standing != "new" else who

    def _check_other(self, identifier: bytes) -> None:
        if identifier == self._peer.environment.identity.id:
            raise UserError("that is yourself; /list shows the others")

    async def _notify(self, command: api.ShowNotifications | api.SetNotifications) -> Reply:
        if isinstance(command, api.SetNotifications):
            await self._notifying.change(command, self._someone(command.who) if command.who else None)
        return self._notifying.shown(self._peer.people.person)

    # --- what is

    def _tell(self, command: Command) -> Reply:
        people = self._peer.people
        match command:
            case api.ListPeople():
                return api.People(people=tuple(people.person(each) for each in people.everybody()))
            case api.Contacts():
                return api.People(people=tuple(people.person(contact.peer) for contact in people.contacts()))
            case api.WhoAmI():
                return self.myself()
            case api.WhoIs(who=who):
                return api.People(people=(people.person(self._someone(who)),))
            case api.SafetyNumber(who=who):
                return self._safety(who)
            case api.Status():
                return self._status()
            case _:
                raise UserError("this version does not know that command")

    def _safety(self, who: str) -> Reply:
        identifier = self._someone(who)
        contact, row = self._peer.people.contact(identifier), self._peer.people.row(identifier)
        links = self._peer.links.of(identifier)
        key = (contact.key if contact is not None else None) or (links[0].key if links else None)
        key = key or (row.body.key if row is not None else None)
        if key is None:
            raise UserError(f"the key of {who} is not known yet; try again when they are online")
        digits = safety_number(self._peer.environment.identity.key, key)
        verified = None if contact is None else contact.verified_at
        return api.Safety(person=self._peer.people.person(identifier), digits=digits, verified=verified)

    def myself(self) -> api.Myself:
        """One's own peer."""
        return api.Myself(
            id=format_id(self._peer.environment.identity.id),
            name=self._peer.handle,
            listens=tuple(written(address) for address in self._peer.listens),
            servers=tuple(server.status() for server in self._peer.servers),
        )

    def _status(self) -> Reply:
        talks: dict[bytes, Talk] = self._peer.talks()
        return api.PeerStatus(
            pid=os.getpid(),
            version=__version__,
            myself=self.myself(),
            chats=tuple(self._peer.people.person(identifier) for identifier in talks),
            uptime=int(self._uptime()),
            requests=tuple(self._pending()),
            python=f"Python {platform.python_version()}",
            tls=openssl_version(),
        )

    def _pending(self) -> Iterator[api.PendingRequest]:
        """Those whose request was told before a front end came, which has to show it too."""
        links, person = self._peer.links, self._peer.people.person
        for identifier, request in links.requests.items():
            yield api.PendingRequest(
                kind="asked", person=person(identifier), text=request.text, address=request.link.host
            )
        for identifier, link in links.unconfirmed.items():
            address = "" if link.intent is None else link.intent.written
            yield api.PendingRequest(kind="answered", person=person(identifier), address=address)


def _check_texts(texts: tuple[str, ...]) -> None:
    """Raises UsageError."""
    if not 0 < len(texts) <= api.MOST_SAID:
        raise UsageError(f"{len(texts)} messages at once; say 1 to {api.MOST_SAID}")
    for text in texts:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise UsageError("that text holds characters that are no text; take them out") from None
        if size > MAX_TEXT:
            raise UsageError(f"a message of {size} bytes is too long; split it: at most {MAX_TEXT} bytes each")


def _accepted(queued: list[api.Queued]) -> Reply:
    (only,) = queued
    return api.Accepted(person=only.person, author=only.author, number=only.number)


def _all_accepted(queued: list[api.Queued]) -> Reply:
    first, last = queued[0], queued[-1]
    return api.AllAccepted(person=first.person, author=first.author, first=first.number, last=last.number)


def _looks_like_address(who: str) -> bool:
    return ":" in who or "." in who or who == "localhost"
