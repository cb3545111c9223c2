"""
The peer: chats that are wanted, whom to dial for them, the servers, and what all of that tells front ends.

Here the parts meet: links say who came, server links say who is where, pursuits dial, chats carry what is said.
Commands come from peer/commands.py.
"""

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..api import Displaced, Ended, Opened, PresenceChanged, Problem, ServerChanged
from ..core.addresses import candidates, is_loopback, parse
from ..core.errors import EndCode, UserError
from ..core.messages import Address, Record
from ..core.roster_view import ViewChange
from ..core.trust import Policy
from ..net.connection import Ending
from ..net.dialler import Dialler
from ..net.interfaces import own_addresses
from ..net.tls import PeerDiallerTLS
from ..storage.conversations import Conversation
from .chat import Chat
from .environment import Environment
from .ledger import Two
from .link import Intent, Link
from .links import Links
from .people import Contactable, People
from .pursuit import Backoff, DialRecord, Pursuit, Target
from .rosters import Rosters, newer_row
from .server_link import Presence, ServerLink, ServerState

OVER_FOR_GOOD = frozenset({EndCode.CLOSED, EndCode.REJECTED, EndCode.EXPIRED, EndCode.DISPLACED, EndCode.SELF})
"""What the far side may say so that nobody dials again by himself."""


@dataclass(slots=True)
class Talk:
    """A conversation that there is, or that is wanted."""

    chat: Chat
    pursuit: Pursuit
    wanted: bool = False
    """The person wants it: it is dialled until it is closed."""
    opened: bool = False
    """It was open before, and is not over."""
    text: str = ""
    """What to say when asking."""
    typed: list[Address] = field(default_factory=list)
    """Addresses that the person gave."""


class Peer:
    """Everything of a peer that is not its process."""

    log = Logger()

    def __init__(
        self, environment: Environment, dialler: Dialler, tls: PeerDiallerTLS, policy: Policy, handle: str
    ) -> None:
        self.environment = environment
        self.handle = handle
        self.listens: list[Address] = []
        """Where we listen: the address of the interface (or an unspecified one) and the port."""
        self.people = People(environment, self._contactable)
        self.links = Links(environment, self.people, policy, lambda: self.handle, self)
        self.rosters = Rosters(environment, self.people)
        self.servers: list[ServerLink] = []
        self._dialler = dialler
        self._tls = tls
        self._dials = DialRecord(environment.clock)
        self._talks: dict[bytes, Talk] = {}
        self._stopped = False

    # --- chats

    async def talk_with(self, identifier: bytes) -> Talk:
        """The conversation with somebody, made if there is none."""
        talk = self._talks.get(identifier)
        if talk is None:
            row = await self.people.conversation(identifier)
            talk = self._talks.get(identifier) or self._begin(identifier, row)
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

    async def want(self, identifier: bytes, text: str = "", typed: Iterable[Address] = ()) -> None:
        """The person wants to chat with somebody: dial them until they are reached or it is closed."""
        talk = await self.talk_with(identifier)
        talk.text = text
        talk.typed += [address for address in typed if address not in talk.typed]
        talk.wanted = True
        await self._remember(talk)
        if not self.links.of(identifier) and not self._stopped:
            talk.pursuit.start()

    async def close(self, identifier: bytes) -> None:
        """The person ends a chat: nobody dials any more, and the consent that stood for it is over."""
        await self.people.revoke(identifier)
        await self._end(identifier, EndCode.CLOSED.value)
        for link in self.links.of(identifier):
            link.close(EndCode.CLOSED)

    async def _end(self, identifier: bytes, reason: str) -> None:
        talk = self._talks.get(identifier)
        if talk is None:
            return
        was_wanted, talk.wanted, talk.opened = talk.wanted, False, False
        talk.pursuit.stop()
        await self._remember(talk)
        if was_wanted:
            self.environment.emit(Ended(person=self.people.person(identifier), address="", reason=reason))

    async def _remember(self, talk: Talk) -> None:
        conversation, wanted = talk.chat.two.conversation, talk.wanted
        await self.environment.database.write(lambda tables: tables.conversations.set_open(conversation, wanted))

    async def resume(self) -> None:
        """After a start: go on with the chats that were not closed."""
        rows = await self.environment.database.read(
            lambda tables: [
                tables.contacts.get(row.contact).peer for row in tables.conversations.all_open() if row.contact
            ]
        )
        for identifier in rows:
            if self.people.facts(identifier).blocked or self.people.consent(identifier) is None:
                continue
            await self.want(identifier, typed=await self._typed_before(identifier))

    async def _typed_before(self, identifier: bytes) -> list[Address]:
        value = await self.environment.database.read(lambda tables: tables.settings.get(f"address {identifier.hex()}"))
        if value is None:
            return []
        host, _, port = value.decode().rpartition(" ")
        return [Address(host=host, port=int(port))]

    # --- whom to dial where

    def _targets(self, identifier: bytes) -> list[Target]:
        talk = self._talks[identifier]
        row = self.people.row(identifier)
        targets = [Target(address, typed=True) for address in talk.typed]
        if row is not None:
            local = any(link.local and link.server.id == row.body.server for link in self.servers)
            same_host = any(
                link.observed is not None and row.observed is not None and link.observed.host == row.observed.host
                for link in self.servers
            )
            last_known_local = not self.people.online_servers and self._all_servers_local()
            own = [Address(host=host, port=port) for host, port in self._own_listens()]
            targets += [
                Target(address)
                for address in candidates(
                    row.body.addresses, row.observed, loopback=local or same_host or last_known_local, own=own
                )
                if address not in talk.typed
            ]
        return targets

    def _all_servers_local(self) -> bool:
        return bool(self.servers) and all(is_loopback(link.server.host) for link in self.servers)

    def _own_listens(self) -> list[tuple[str, int]]:
        hosts = [*own_addresses(), "127.0.0.1", "::1"]
        return [(host, listen.port) for listen in self.listens for host in hosts]

    async def _dial(self, identifier: bytes, target: Target) -> None:
        talk = self._talks[identifier]
        await self.dial(target.address, identifier, talk.text)

    async def dial(self, address: Address, wanted: bytes | None, text: str = "") -> None:
        """Open a link to an address; raises what Twisted raises where TCP does not connect."""
        link = Link(self.links, Intent(wanted, address, text))
        await self._dialler.dial(address.host, address.port, self._tls, link)

    # --- what links tell

    async def chat_with(self, identifier: bytes) -> Chat:
        """The chat with somebody, made if there is none."""
        return (await self.talk_with(identifier)).chat

    def reached(self, link: Link) -> None:
        """Somebody whom we dial answered."""
        talk = self._talks.get(link.id)
        if talk is not None:
            talk.pursuit.reached(None if link.intent is None else link.intent.address)

    def opened(self, link: Link, chat: Chat) -> None:
        """A link was selected; the chat goes on over it."""
        talk = self._talks[link.id]
        again, talk.opened, talk.wanted = talk.opened, True, True
        talk.pursuit.reached(None)
        self._run(self._remember(talk))
        self._run(self._remember_address(link))
        self.environment.emit(Opened(person=self.people.person(link.id), again=again))
        chat.tell_back()
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
        value = f"{address.host} {address.port}".encode()
        await self.environment.database.write(lambda tables: tables.settings.set(f"address {link.id.hex()}", value))

    def over(self, link: Link, ending: Ending) -> None:
        """A link ended: go on, or take it as the end of the chat."""
        talk = self._talks.get(link.id)
        code = EndCode.REJECTED if link.rejected and ending.code is EndCode.UNKNOWN else ending.code
        if link.intent is not None and link.intent.wanted is None and not link.accepting:
            self._address_failed(link, ending)
        if talk is None or self._stopped or self.links.of(link.id):
            return
        if ending.by_them and code in OVER_FOR_GOOD:
            self._run(self._ended_by_them(link.id, code))
        elif talk.wanted:
            if talk.opened:
                talk.chat.tell_silence(0)
            talk.pursuit.resume()

    def _address_failed(self, link: Link, ending: Ending) -> None:
        """Nobody whom we wanted answered at an address that the person typed."""
        assert link.intent is not None
        reason = ending.code.value if ending.code is not EndCode.UNKNOWN else ending.detail
        person = self.people.person(link.id) if link.id else None
        self.environment.emit(Ended(person=person, address=link.intent.written, reason=reason))

    async def _ended_by_them(self, identifier: bytes, code: EndCode) -> None:
        await self.people.revoke(identifier)
        if code is EndCode.DISPLACED:
            self.environment.emit(Displaced(where=self.people.person(identifier).name))
        await self._end(identifier, code.value)

    def record_came(self, record: Record) -> None:
        """A peer handed over a roster record: keep it, if it is good and newer."""
        for server in self.servers:
            row = newer_row(server.view, server.server.id, record)
            if row is not None:
                self._run(self.rosters.keep(server.server.id, [row]))

    # --- what servers tell

    def presence(self, server: bytes, link_address: Address) -> Presence:
        """What to put into our record at a server."""
        hosts: list[str] = []
        for listen in self.listens:
            host = parse(listen.host)
            if host is not None and not host.is_unspecified:
                hosts.append(listen.host)
                continue
            if not is_loopback(link_address.host):
                hosts.append(link_address.host)
            hosts += own_addresses()[:3]
            if is_loopback(link_address.host):
                hosts.append(link_address.host)
        port = self.listens[0].port if self.listens else 0
        kept = list(dict.fromkeys(hosts))
        if len(kept) > 4:
            # The loopback address, which comes last, is the one that peers on this host need.
            kept = [*kept[:3], kept[-1]]
        return Presence(self.handle, "", tuple(Address(host=host, port=port) for host in kept if port))

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
        self._run(self.rosters.keep(link.server.id, change.rows))
        for identifier in [*(row.id for row in change.rows), *change.gone]:
            talk = self._talks.get(identifier)
            if talk is not None and talk.wanted and talk.pursuit.dialling:
                talk.pursuit.hurry()
            if not first and identifier != self.environment.identity.id:
                self.environment.emit(PresenceChanged(person=self.people.person(identifier)))

    def displaced(self, where: str) -> None:
        """Another instance with our key is there: stop, and let the person decide."""
        for talk in self._talks.values():
            talk.pursuit.stop()
        self.environment.emit(Displaced(where=where))

    # --- life

    def look(self) -> None:
        """Once a second."""
        self.links.look()
        for talk in self._talks.values():
            talk.chat.look()

    def stop(self) -> None:
        """Say goodbye everywhere; what is not delivered stays queued."""
        self._stopped = True
        for talk in self._talks.values():
            talk.pursuit.stop()
        for server in self.servers:
            server.stop()
        for link in self.links.all():
            link.close(EndCode.LEAVING)

    def _contactable(self, identifier: bytes) -> Contactable:
        links = self.links.of(identifier)
        talk = self._talks.get(identifier)
        open_link = next((link for link in links if link.open), None)
        some = open_link or (links[0] if links else None)
        if open_link is not None:
            chat = "open"
        elif identifier in self.links.requests:
            chat = "asked"
        elif talk is not None and talk.wanted:
            chat = "lost" if talk.opened else "asking"
        else:
            chat = "none"
        return Contactable(
            chat=chat,
            path="direct" if open_link is not None else "",
            group="" if some is None else some.group,
            scope="" if open_link is None or open_link.intent is None else open_link.their_scope,
            unsent=0 if talk is None else talk.chat.unsent,
            handle="" if some is None or some.hello is None else some.hello.handle,
            address="" if some is None else some.address,
        )

    def _run(self, coroutine: Coroutine[Deferred[Any], Any, object]) -> None:
        Deferred.fromCoroutine(coroutine).addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        if failure.check(UserError):
            self.environment.emit(Problem(text=failure.getErrorMessage()))
        else:
            self.log.failure("The peer failed", failure)
