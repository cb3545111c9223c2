"""
The peer: chats that are wanted, whom to dial for them, the servers, and what all of that tells front ends.

Here the parts meet: links say who came, server links say who is where, pursuits dial, chats carry what is said.
Commands come from peer/commands.py.
"""

from collections.abc import Coroutine, Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api import Displaced, Ended, Opened, PresenceChanged, Problem, ServerChanged
from ..core.addresses import written
from ..core.errors import EndCode, UserError
from ..core.messages import Address, Record
from ..core.roster_view import ViewChange
from ..core.trust import Policy
from ..net.connection import Ending
from ..net.dialler import Dialler, why_not
from ..net.tls import PeerDiallerTLS
from ..storage.conversations import Conversation
from .chat import Chat
from .environment import Environment
from .ledger import Two
from .link import Intent, Link
from .links import Links
from .people import People
from .pursuit import Backoff, DialRecord, Pursuit, Target
from .rosters import Rosters, newer_row
from .server_host import Presence, ServerState
from .server_link import ServerLink
from .talk import Queues, Talk, contactable
from .whereabouts import own_candidates, remember_typed, targets, typed_before

OVER_FOR_GOOD = frozenset({EndCode.CLOSED, EndCode.REJECTED, EndCode.EXPIRED, EndCode.DISPLACED, EndCode.SELF})
"""What the far side may say so that nobody dials again by himself."""

RAN_OUT = "the consent to this chat has run out, and the link is lost; /connect asks again"


class Peer:
    """Everything of a peer that is not its process."""

    log = Logger()

    def __init__(
        self, environment: Environment, dialler: Dialler, tls: PeerDiallerTLS, policy: Policy | None, handle: str
    ) -> None:
        self.environment = environment
        self.handle = handle
        self.listens: list[Address] = []
        """Where we listen: the address of the interface (or an unspecified one) and the port."""
        self.people = People(environment, lambda who: contactable(self.links, self._talks.get(who), who))
        self.links = Links(environment, self.people, policy, lambda: self.handle, self)
        self.rosters = Rosters(environment, self.people)
        self.servers: list[ServerLink] = []
        self._dialler = dialler
        self._tls = tls
        self._dials = DialRecord(environment.clock)
        self._talks: dict[bytes, Talk] = {}
        self._queues = Queues(self._prepare)
        self._stopped = False
        self._displaced = False
        """Another instance with our key came, and our person has not said that we go on."""
        self._dialling: set[Deferred[None]] = set()
        """Dials to addresses that the person typed."""

    # --- chats

    async def talk_with(self, identifier: bytes) -> Talk:
        """The conversation with somebody, made if there is none."""
        talk = self._talks.get(identifier)
        return talk if talk is not None and talk.ready else await self._queues.wait(identifier)

    async def _prepare(self, identifier: bytes) -> Talk:
        talk = self._talks.get(identifier) or self._begin(identifier, await self.people.conversation(identifier))
        await talk.chat.load()
        return talk

    def talk(self, identifier: bytes) -> Talk | None:
        """The conversation with somebody, if it is in use."""
        return self._talks.get(identifier)

    def talks(self) -> dict[bytes, Talk]:
        """All conversations in use."""
        return dict(self._talks)

    def _begin(self, identifier: bytes, row: Conversation) -> Talk:
        environment = self.environment
        two = Two(row.conversation, row.id, environment.identity.id, identifier)
        chat = Chat(environment, two, lambda: self.people.person(identifier), lambda: self.handle)
        contact = self.people.contact(identifier)
        chat.tells_seen = contact is None or contact.tells_seen
        pursuit = Pursuit(
            identifier,
            environment.clock,
            Backoff(environment.fraction),
            self._dials,
            lambda: self._targets(identifier),
            lambda target: self._dial(identifier, target),
        )
        talk = self._talks[identifier] = Talk(chat, pursuit)
        return talk

    async def want(self, identifier: bytes, text: str = "", typed: Iterable[Address] = ()) -> bool:
        """The person wants to chat with somebody: dial them until it is closed. False if it was, before it began."""
        ended = self.people.ended(identifier)
        talk = await self.talk_with(identifier)
        if self.people.ended(identifier) == ended:
            await self._remember(talk)
        if self._stopped or self.people.ended(identifier) != ended:
            return False
        talk.text = text
        talk.typed += [address for address in typed if address not in talk.typed]
        talk.wanted = True
        self._insist()
        scope = self.people.consent(identifier)
        if scope is not None:
            # Who was dialled is welcome, also on a link on which they dialled us.
            self.links.consented(identifier, scope)
        if not self.links.of(identifier):
            talk.pursuit.start()
        return True

    def may_seek(self, identifier: bytes) -> bool:
        """Whether somebody is dialled because something waits for them, without the person saying so again."""
        contact = self.people.contact(identifier)
        listed = contact is not None and contact.listed and contact.blocked_at is None
        return listed or self.links.stands(identifier)

    def seek(self, talk: Talk) -> None:
        """Something waits for somebody with whom no chat is open: dial them until it has gone out, over restarts."""
        if not talk.wanted:
            self._run(self._seek(talk.chat.two.them))

    async def _seek(self, identifier: bytes) -> None:
        await self.want(identifier)
        typed = self._talks[identifier].typed
        known = await typed_before(self.environment.database, identifier)
        typed += [address for address in known if address not in typed]

    def _insist(self) -> None:
        """Another instance displaced us, and our person goes on here."""
        if self._displaced:
            self._displaced = False
            for server in self.servers:
                server.start()

    async def close(self, identifier: bytes) -> None:
        """The person ends a chat: nobody dials any more, and the consent that stood for it is over."""
        await self._end(identifier, EndCode.CLOSED.value)

    async def _end(self, identifier: bytes, reason: str) -> None:
        """A chat is over, first in the memory and on the links, then on the disk, which may fail."""
        talk = self._talks.get(identifier)
        was_wanted = talk is not None and talk.wanted
        if talk is not None:
            talk.wanted = talk.opened = talk.lost = False
            talk.pursuit.stop()
            talk.chat.over()
        for link in self.links.of(identifier):
            link.close(EndCode.CLOSED)
        if was_wanted:
            person = self.people.person(identifier)
            if reason == EndCode.DISPLACED.value:
                self.environment.emit(Displaced(where=person.name))
            self.environment.emit(Ended(person=person, address="", reason=reason))
        await self.people.revoke(identifier)

    async def _remember(self, talk: Talk) -> None:
        conversation = talk.chat.two.conversation
        await self.environment.database.write(lambda tables: tables.conversations.set_open(conversation, True))

    async def resume(self) -> None:
        """After a start: go on with the chats that were not closed."""
        rows = await self.environment.database.read(
            lambda tables: [
                tables.contacts.get(row.contact).peer for row in tables.conversations.all_open() if row.contact
            ]
        )
        for identifier in rows:
            typed = await typed_before(self.environment.database, identifier)
            # A person may have been there before us, and have ended it.
            if self.may_seek(identifier) and not self.people.ended(identifier):
                await self.want(identifier, typed=typed)

    # --- whom to dial where

    def _targets(self, identifier: bytes) -> list[Target]:
        return targets(self.people.row(identifier), self._talks[identifier].typed, self.servers, self.listens)

    async def _dial(self, identifier: bytes, target: Target) -> None:
        talk = self._talks[identifier]
        await self.dial(target.address, identifier, talk.text)

    def dial_address(self, address: Address, text: str) -> None:
        """Dial an address once; whoever answers is told to the person, and so is that nobody does."""
        dial = Deferred.fromCoroutine(self.dial(address, None, text))
        self._dialling.add(dial)
        dial.addErrback(self._no_answer, address)
        dial.addBoth(lambda _: self._dialling.discard(dial))

    def _no_answer(self, failure: Failure, address: Address) -> None:
        if not self._stopped:
            self.environment.emit(Ended(person=None, address=written(address), reason=why_not(failure.value)))

    async def dial(self, address: Address, wanted: bytes | None, text: str = "") -> None:
        """
        Open a link to an address; returns when the far side said hello, or the link is over.

        Raises what Twisted raises where TCP does not connect.
        """
        link = Link(self.links, Intent(wanted, address, text))
        connection = await self._dialler.dial(address.host, address.port, self._tls, link)
        try:
            await link.settled
        except CancelledError:
            if link.hello is None:
                connection.abort("given up")
            raise

    # --- what links tell

    async def chat_with(self, identifier: bytes) -> Chat:
        """The chat with somebody, made if there is none."""
        return (await self.talk_with(identifier)).chat

    def reached(self, link: Link) -> bool:
        """Somebody whom we dial answered; whether our person still wants that."""
        assert link.intent is not None
        talk = self._talks.get(link.id)
        if talk is not None:
            talk.pursuit.reached(link.intent.address)
        if link.intent.wanted is not None:
            return talk is not None and talk.wanted
        if self.people.consent(link.id) is not None:
            # At an address that was typed somebody answered for whom consent stands: that is whom the person means.
            self._run(self.want(link.id, link.intent.text, [link.intent.address]))
        return True

    def opened(self, link: Link, chat: Chat) -> None:
        """A link was selected; the chat goes on over it."""
        talk = self._talks[link.id]
        again, news = talk.opened, talk.lost or not talk.opened
        talk.opened, talk.wanted, talk.lost = True, True, False
        talk.pursuit.reached(None)
        self._run(self._remember(talk))
        self._run(self._remember_address(link))
        if news:
            self.environment.emit(Opened(person=self.people.person(link.id), again=again))
        for server in self.servers:
            if server.record is not None:
                link.send(Record(body=server.record.body, signature=server.record.signature))

    async def _remember_address(self, link: Link) -> None:
        """Where no server tells, the address that the person typed is all we have after a restart."""
        if link.intent is None or self.people.row(link.id) is not None:
            return
        address = link.intent.address
        talk = self._talks[link.id]
        if address not in talk.typed:
            talk.typed.append(address)
        await remember_typed(self.environment.database, link.id, address)

    def over(self, link: Link, ending: Ending) -> None:
        """A link ended: go on, or take it as the end of the chat."""
        if self._stopped:
            return
        talk = self._talks.get(link.id)
        code = EndCode.REJECTED if link.rejected and ending.code is EndCode.UNKNOWN else ending.code
        if link.intent is not None and link.intent.wanted is None and not link.accepting:
            self._address_failed(link, ending)
        if talk is None:
            return
        if link.hello is not None:
            talk.pursuit.ended(link.lasted())
        others = self.links.of(link.id)
        if ending.by_them and (code is EndCode.CLOSED or (code in OVER_FOR_GOOD and not others)):
            self._run(self._end(link.id, code.value))
        elif talk.wanted and not others:
            self._go_on(talk)
            if ending.by_them and code is EndCode.INTERNAL:
                talk.chat.tell_trouble()

    def _go_on(self, talk: Talk) -> None:
        """A wanted chat has no link."""
        if talk.opened:
            talk.lost = True
            talk.chat.tell_silence(0)
        if not self._displaced:
            talk.pursuit.resume()

    def _address_failed(self, link: Link, ending: Ending) -> None:
        """Nobody whom we wanted answered at an address that the person typed."""
        assert link.intent is not None
        reason = ending.code.value if ending.code is not EndCode.UNKNOWN else ending.detail
        person = self.people.person(link.id) if link.id else None
        self.environment.emit(Ended(person=person, address=link.intent.written, reason=reason))

    def record_came(self, record: Record) -> None:
        """A peer handed over a roster record: keep it, if it is good and newer, and of somebody whom we know."""
        for server in self.servers:
            row = newer_row(server.view, server.server.id, record)
            if row is None or (self.people.contact(row.id) is None and server.view.get(row.id) is None):
                continue
            server.view.hand_over(row)
            self.people.rosters_changed()
            self.rosters.keep(server.server.id, [row])

    # --- what servers tell

    def presence(self, server: bytes, link_address: Address) -> Presence:
        """What to put into our record at a server."""
        return Presence(self.handle, "", own_candidates(self.listens, link_address))

    def watched(self) -> Iterable[bytes]:
        """The ids to watch by name."""
        return self.people.known_ids()

    def server_changed(self, link: ServerLink) -> None:
        """A server was reached or lost."""
        if link.state is ServerState.ONLINE:
            self.people.online_servers.add(link.server.id)
        else:
            self.people.online_servers.discard(link.server.id)
        open_chats = sum(self.links.has_open(identifier) for identifier in self._talks)
        self.environment.emit(ServerChanged(server=link.status(), open_chats=open_chats))

    def roster_changed(self, link: ServerLink, change: ViewChange, first: bool) -> None:
        """Somebody came, left, or changed their record."""
        self.people.rosters_changed()
        self.rosters.keep(link.server.id, change.rows)
        for identifier in [*(row.id for row in change.rows), *change.gone]:
            talk = self._talks.get(identifier)
            if talk is not None and talk.wanted:
                talk.pursuit.hint()
            if not first and identifier != self.environment.identity.id:
                self.environment.emit(PresenceChanged(person=self.people.person(identifier)))

    def displaced(self, where: str) -> None:
        """Another instance with our key is there: stop, and let the person decide."""
        self._displaced = True
        self.log.warn("Another instance with our key came ({where}); this one stops", where=where)
        for talk in self._talks.values():
            talk.pursuit.stop()
        self.environment.emit(Displaced(where=where))

    # --- life

    def look(self) -> None:
        """Once a second."""
        self.links.look()
        for identifier, talk in list(self._talks.items()):
            talk.chat.look()
            if talk.lost and not self.links.stands(identifier):
                # `once` and timed consent do not last for ever: nobody is dialled, or let in, on what has run out.
                self._run(self._end(identifier, RAN_OUT))

    def stop(self) -> None:
        """Say goodbye everywhere; what is not delivered stays queued."""
        self._stopped = True
        for talk in self._talks.values():
            talk.pursuit.stop()
        for dial in list(self._dialling):
            dial.cancel()
        for server in self.servers:
            server.stop()
        self.rosters.stop()
        for link in self.links.all():
            link.close(EndCode.LEAVING)

    def _run(self, coroutine: Coroutine[Deferred[Any], Any, object]) -> None:
        Deferred.fromCoroutine(coroutine).addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        if failure.check(UserError):
            self.environment.emit(Problem(text=failure.getErrorMessage()))
        else:
            self.log.failure("The peer failed", failure)
