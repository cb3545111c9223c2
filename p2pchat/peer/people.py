"""
The people that a peer knows: contacts, the consent that stands, who is on the rosters, and whom a word means.

Contacts are ids. A petname resolves first and always to its id; who else uses that name is a stranger and is shown
under another one.

What is known here is what the store holds, as its transactions tell in their order. A change of somebody is a function
of the row that is stored when its turn comes, so that no two undo each other, and consent stands once it is stored.
What the person takes back (a block, a removal, the end of a chat) holds from the moment that it is said, whatever is
on its way to the disk, and for as long as the process lives where it cannot be stored.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred

from ..api import Person
from ..core.addresses import written
from ..core.entries import conversation_of
from ..core.errors import NoSuchContact, UserError
from ..core.identity import compact_id, format_id, looks_like_id, parse_id
from ..core.roster_view import RosterView, ViewRow
from ..core.text import Kind, clean, name_skeleton
from ..core.trust import ONCE_LASTS, TIMED_AT_MOST, Facts, Scope
from ..storage.contacts import Contact, Scope as Standing, StandingConsent, unlisted
from ..storage.conversations import Conversation
from ..storage.peer_tables import PeerTables
from .contact_changes import (
    NOTHING,
    Change,
    Met,
    Step,
    Unstored,
    accepting_always,
    blocking,
    learning,
    listing,
    unknown,
)
from .environment import Environment

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Contactable:
    """What the links know of somebody at this moment."""

    chat: str = "none"
    path: str = ""
    group: str = ""
    scope: str = ""
    """What they consented to, where we asked."""
    unsent: int = 0
    handle: str = ""
    """What they called themselves in their last hello."""
    address: str = ""
    """HOST:PORT that we dialled."""


class People:
    """Everybody whom the person added or met, and everybody on the rosters."""

    def __init__(self, environment: Environment, now_of: Callable[[bytes], Contactable]) -> None:
        self._environment = environment
        self._now_of = now_of
        self._contacts: dict[bytes, Contact] = {}
        self._petnames: dict[str, bytes] = {}
        """Folded, and whose they are: a program asks for one with each message."""
        self._consents: dict[bytes, tuple[Scope, float]] = {}
        self._ended: Counter[bytes] = Counter()
        self._unstored = Unstored()
        self._looks: frozenset[str] = frozenset()
        """What the petnames look like."""
        self._handles: dict[str, set[bytes]] | None = None
        """Who has which handle, over all rosters; None where it must be counted again."""
        self.rosters: dict[bytes, RosterView] = {}
        """By server id; what a server that is lost said last stays, as last known."""
        self.online_servers: set[bytes] = set()
        """The servers whose word holds now."""

    async def load(self) -> None:
        """Read contacts and standing consent from the store."""
        wall, now = self._environment.wall(), self._environment.clock.seconds()

        def read(tables: PeerTables) -> tuple[list[Contact], list[StandingConsent]]:
            tables.consents.expire(wall)
            return tables.contacts.all(), tables.consents.all()

        contacts, consents = await self._environment.database.write(read)
        self._take(contacts)
        rows = {contact.contact: contact for contact in contacts}
        for row, scope, until in consents:
            # A clock that was wrong when it was written must not make consent last longer.
            longest = ONCE_LASTS if scope == Scope.ONCE.value else TIMED_AT_MOST
            left = min(max(0.0, (until - wall) / 1000), longest)
            self._consents[rows[row].peer] = Scope(scope), now + left

    # --- who

    def contact(self, identifier: bytes) -> Contact | None:
        """The row of somebody who was added or met."""
        return self._contacts.get(identifier)

    def contacts(self) -> list[Contact]:
        """Those whom the person keeps, by petname."""
        return sorted((each for each in self._contacts.values() if each.listed), key=lambda each: each.petname)

    def known_ids(self) -> list[bytes]:
        """Everybody whom we want to be told about by name: contacts first."""
        return [each.peer for each in sorted(self._contacts.values(), key=lambda each: not each.listed)]

    def row(self, identifier: bytes) -> ViewRow | None:
        """What a roster says of somebody; servers that are online before those that are not."""
        for server in sorted(self.rosters, key=lambda each: each not in self.online_servers):
            row = self.rosters[server].get(identifier)
            if row is not None:
                return row
        return None

    def everybody(self) -> list[bytes]:
        """All ids on rosters, among the contacts, and of chats that are wanted or open; oneself not."""
        ids = dict.fromkeys(contact.peer for contact in self.contacts())
        ids.update(dict.fromkeys(each for each in self._contacts if self._now_of(each).chat != "none"))
        for roster in self.rosters.values():
            ids.update(dict.fromkeys(row.id for row in roster.rows()))
        ids.pop(self._environment.identity.id, None)
        return list(ids)

    def person(self, identifier: bytes) -> Person:
        """Somebody, as front ends are told."""
        contact, row, now = self._contacts.get(identifier), self.row(identifier), self._now_of(identifier)
        handle = row.body.handle if row is not None else now.handle
        online = any(
            (found := self.rosters[server].get(identifier)) is not None and found.online
            for server in self.online_servers
            if server in self.rosters
        )
        consent = self.consent(identifier)
        return Person(
            id=format_id(identifier),
            name=self._name(identifier, handle),
            handle=handle,
            display_name="" if row is None else row.body.name,
            standing="blocked" if contact is None and identifier in self._unstored else _standing(contact),
            contact=contact is not None and contact.listed,
            consent="always" if contact is not None and contact.consent == "always" else "ask",
            online=online if self.online_servers else None,
            last_known=row is not None and not self.online_servers,
            addresses=_addresses(row, now),
            chat=now.chat,
            path=now.path,
            group=now.group,
            scope=now.scope or ("" if consent is None else consent.value),
            unsent=now.unsent,
        )

    def rosters_changed(self) -> None:
        """Somebody came to a roster, left, or changed: who has which handle is counted again when it is asked for."""
        self._handles = None

    def _take(self, contacts: Iterable[Contact]) -> None:
        self._contacts = {contact.peer: self._unstored.over(contact) for contact in contacts}
        # The store tells apart what differs in other than ASCII capitals; then the first one has the name.
        self._petnames = {each.petname.casefold(): each.peer for each in reversed(self._contacts.values())}
        self._looks = frozenset(name_skeleton(contact.petname) for contact in self._contacts.values())

    def _holders(self, handle: str) -> set[bytes]:
        if self._handles is None:
            self._handles = {}
            for roster in self.rosters.values():
                for row in roster.rows():
                    self._handles.setdefault(row.body.handle, set()).add(row.id)
        return self._handles.get(handle, set())

    def _name(self, identifier: bytes, handle: str) -> str:
        """The petname; for a stranger the handle, with letters of the id where it would be taken for somebody else."""
        contact = self._contacts.get(identifier)
        return self._free_name(identifier, handle) if contact is None else contact.petname

    def _free_name(self, identifier: bytes, handle: str) -> str:
        letters = compact_id(identifier)
        names = [handle] if handle and self._holders(handle) <= {identifier} else []
        # A petname may look even like a handle with letters behind it, so there is more than one way out.
        names += [f"{handle}-{letters[:count]}" if handle else letters[: 2 * count] for count in (8, 16, 26)]
        return next((name for name in names if name_skeleton(name) not in self._looks), format_id(identifier))

    def named(self, petname: str) -> bytes | None:
        """Who has this petname: it is asked before anything else that a word may mean."""
        return self._petnames.get(petname.strip().casefold())

    def resolve(self, who: str, *, contact_only: bool = False) -> bytes:
        """
        Whom a person means: a petname, a whole id, or (not `contact_only`) a name on a roster, as it is shown.

        Raises NoSuchContact.
        """
        known = self.named(who)
        if known is not None:
            return known
        if looks_like_id(who):
            return parse_id(who)
        who = clean(who, Kind.NAME)
        if contact_only:
            raise NoSuchContact(f"no contact is called {who}; add one with: p2pchat contact add ID --name {who}")
        return self._stranger(who)

    def _stranger(self, who: str) -> bytes:
        wanted = who.strip().casefold()
        shown = {identifier: self._shown(identifier) for identifier in self.everybody()}
        found = [identifier for identifier, name in shown.items() if name.casefold() == wanted]
        if len(found) == 1:
            return found[0]
        if found or ((others := self._holders(wanted) & shown.keys()) and len(others) > 1):
            raise NoSuchContact(f"several peers are called {who}; give the whole id (/list shows them)")
        if others:
            name = shown[other := others.pop()]
            if (contact := self.contact(other)) is not None and contact.listed:
                raise NoSuchContact(f"{who} on the roster is {name}, whom you keep under that name; say {name}")
            raise NoSuchContact(f"{who} on the roster is not who you know by such a name; that stranger is {name} here")
        shell = "in a shell p2pchat contact list whom you keep"
        raise NoSuchContact(f"nobody is called {who} here; /list shows who is online, {shell}")

    def _shown(self, identifier: bytes) -> str:
        row = self.row(identifier)
        return self._name(identifier, "" if row is None else row.body.handle)

    # --- consent

    def consent(self, identifier: bytes) -> Scope | None:
        """What stands for somebody now."""
        contact = self._contacts.get(identifier)
        if contact is not None and contact.consent == "always":
            return Scope.ALWAYS
        scope, until = self._consents.get(identifier, (None, 0.0))
        return scope if scope is not None and self._environment.clock.seconds() < until else None

    def facts(self, identifier: bytes) -> Facts:
        """What trust decides by."""
        contact = self._contacts.get(identifier) or self._unstored.over(unknown(identifier))
        return Facts(
            blocked=contact.blocked_at is not None,
            consent=self.consent(identifier),
            hybrid_before=contact.hybrid_at is not None,
            classical_allowed=contact.classical,
        )

    def ended(self, identifier: bytes) -> int:
        """
        How often what stood for somebody was ended: by a block, a removal, or the end of a chat.

        What waited for the disk meanwhile, and finds another number than before, has been taken back.
        """
        return self._ended[identifier]

    async def grant(self, identifier: bytes, scope: Scope, seconds: float | None = None, met: Met = NOTHING) -> bool:
        """Consent stands once it is stored; somebody new is met by it. False if it was taken back before that."""
        ended, now = self.ended(identifier), self._environment.clock.seconds()
        if scope is Scope.ALWAYS:
            await self.change(identifier, accepting_always, met)
            return self.ended(identifier) == ended
        lasts = ONCE_LASTS if scope is Scope.ONCE or seconds is None else float(seconds)
        until = self._environment.wall() + int(lasts * 1000)
        standing: Standing = "once" if scope is Scope.ONCE else "timed"
        await self._say(identifier, lambda tables, row: tables.consents.put(row.contact, standing, until), met)
        if self.ended(identifier) != ended:
            return False
        self._consents[identifier] = scope, now + lasts
        return True

    async def revoke(self, identifier: bytes) -> None:
        """A chat is over: `once` and `timed` consent end, and it is not gone on with after a start."""
        self._end(identifier)
        wire = conversation_of(self._environment.identity.id, identifier)

        def end(tables: PeerTables) -> None:
            contact, conversation = tables.contacts.by_peer(identifier), tables.conversations.by_id(wire)
            if contact is not None:
                tables.consents.delete(contact.contact)
            if conversation is not None:
                tables.conversations.set_open(conversation.conversation, False)

        await self._environment.database.write(end)

    def _end(self, identifier: bytes, change: Change | None = None) -> None:
        """Nothing stands any more, whatever is on its way to the disk; `change` is laid over the row until stored."""
        self._ended[identifier] += 1
        self._consents.pop(identifier, None)
        self._unstored.take_back(identifier, change)
        known = self._contacts.get(identifier)
        if known is not None and change is not None:
            self._contacts[identifier] = change(known)

    # --- contacts

    async def meet(self, identifier: bytes, met: Met = NOTHING) -> None:
        """Somebody was accepted, or dialled: pin their key under a petname of their own."""
        known = self._contacts.get(identifier)
        if known is None or self._learning(identifier, met)(known) != known:
            await self._store(identifier, lambda tables, row: None, met)

    async def add(self, identifier: bytes, petname: str) -> None:
        """Keep somebody as a contact whose requests are accepted."""
        if identifier == self._environment.identity.id:
            raise UserError("that is your own id; give it to others, and add theirs")
        await self.change(identifier, listing(petname, self._environment.wall()))

    async def block(self, identifier: bytes) -> None:
        """Let somebody in no more, from now on; raises StoreError where that holds, but cannot be stored."""
        self._end(identifier, blocking(self._environment.wall()))
        await self._store(identifier, lambda tables, row: None)

    async def remove(self, identifier: bytes) -> None:
        """Keep somebody no longer as a contact, from now on; raises StoreError as `block` does."""
        contact = self._contacts.get(identifier)
        if identifier not in self._unstored and (contact is None or not contact.listed):
            raise NoSuchContact("that is no contact; /contacts shows them")
        self._end(identifier, unlisted)
        await self._store(identifier, lambda tables, row: tables.contacts.remove(row.contact))

    async def change(self, identifier: bytes, change: Change, met: Met = NOTHING) -> None:
        """Change the row of somebody, who is met by it."""
        await self._say(identifier, lambda tables, row: tables.contacts.update(change(row)), met)

    async def conversation(self, identifier: bytes) -> Conversation:
        """The conversation with somebody, who is met by it; made if there is none."""
        wire = conversation_of(self._environment.identity.id, identifier)
        return await self._store(identifier, lambda tables, row: tables.conversations.open_for(row.contact, wire))

    async def _say(self, identifier: bytes, step: Step, met: Met) -> None:
        """Store what the person says now, behind all that they said before and ahead of what they say next."""
        stored = self._store(identifier, step, met)
        number = self._unstored.say(identifier, step)
        try:
            await stored
        finally:
            # It is stored, or was not accepted.
            self._unstored.forget(identifier, [number])

    def _store(
        self, identifier: bytes, operation: Callable[[PeerTables, Contact], ResultT], met: Met = NOTHING
    ) -> Deferred[ResultT]:
        """Meet somebody, store what was taken back before, and then do the operation on their row: all or nothing."""
        steps, learn = self._unstored.steps(identifier), self._learning(identifier, met)
        name, wall = self._new_name(identifier, met.handle), self._environment.wall()

        def store(tables: PeerTables) -> tuple[ResultT, list[Contact] | None]:
            known = tables.contacts.by_peer(identifier)
            row = known or tables.contacts.add(identifier, name, wall, listed=False)
            learnt = learn(row)
            if learnt != row:
                tables.contacts.update(learnt)
            for step in steps.values():
                step(tables, tables.contacts.get(row.contact))
            result = operation(tables, tables.contacts.get(row.contact))
            unchanged = not steps and tables.contacts.by_peer(identifier) == known
            # All of them: somebody who was only met may have had to give way with the petname.
            return result, None if unchanged else tables.contacts.all()

        return self._environment.database.write(store).addCallback(self._stored, identifier, steps)

    def _stored(self, done: tuple[ResultT, list[Contact] | None], identifier: bytes, steps: Iterable[int]) -> ResultT:
        result, contacts = done
        self._unstored.forget(identifier, steps)
        if contacts is not None:
            self._take(contacts)
        return result

    def _learning(self, identifier: bytes, met: Met) -> Change:
        name = self._free_name(identifier, met.handle) if met.handle else ""
        return learning(met, name, self._environment.wall())

    def _new_name(self, identifier: bytes, handle: str) -> str:
        row = self.row(identifier)
        return self._free_name(identifier, handle or ("" if row is None else row.body.handle))


def _standing(contact: Contact | None) -> str:
    if contact is None:
        return "new"
    if contact.blocked_at is not None:
        return "blocked"
    return "known" if contact.verified_at is None else "verified"


def _addresses(row: ViewRow | None, now: Contactable) -> tuple[str, ...]:
    addresses = [] if row is None else [written(address) for address in row.body.addresses]
    if row is not None and row.observed is not None and row.body.addresses:
        seen = row.observed
        addresses.append(written(type(seen)(host=seen.host, port=row.body.addresses[0].port)))
    if now.address:
        addresses.append(now.address)
    return tuple(dict.fromkeys(addresses))
