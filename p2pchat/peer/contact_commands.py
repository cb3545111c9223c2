"""What a person decides about others: to keep them, to trust them, to shut them out."""

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred

from .. import api
from ..core.errors import EndCode, StoreError
from ..core.identity import parse_id
from .contact_changes import trusting, unblocking, verifying
from .offline import check_petname
from .peer import Peer

ContactCommand = api.AddContact | api.RemoveContact | api.Verify | api.Trust | api.Block | api.Unblock
"""What is done here."""


class ContactCommands:
    """Does it. `someone` finds who is meant, and raises NoSuchContact."""

    def __init__(self, peer: Peer, someone: Callable[[str], bytes]) -> None:
        self._peer = peer
        self._someone = someone

    async def execute(self, command: ContactCommand) -> api.Reply:
        """Do it, and tell everybody who shows them; raises UserError."""
        whose = parse_id(command.id) if isinstance(command, api.AddContact) else self._someone(command.who)
        try:
            reply = await self._decide(whose, command)
        except StoreError:
            self._tell_changed(whose)  # what was taken back holds
            raise
        self._tell_changed(whose)
        return reply

    def _tell_changed(self, whose: bytes) -> None:
        self._peer.environment.emit(api.ContactChanged(person=self._peer.people.person(whose)))

    async def _decide(self, whose: bytes, command: ContactCommand) -> api.Reply:
        people = self._peer.people
        name = people.person(whose).name
        match command:
            case api.AddContact(name=wanted):
                return await self._add(whose, wanted)
            case api.RemoveContact():
                await held(f"{name} is no contact", people.remove(whose))
            case api.Verify(verified=verified):
                wall = self._peer.environment.wall()
                await people.change(whose, verifying(wall if verified else None))
            case api.Trust(classical=classical):
                await people.change(whose, trusting(classical))
            case api.Block():
                await held(f"{name} is blocked", self._shut_out(whose))
            case api.Unblock():
                await people.change(whose, unblocking)
        return api.Done()

    async def _add(self, identifier: bytes, name: str) -> api.Reply:
        people = self._peer.people
        await people.add(identifier, check_petname(name) if name else "")
        self._peer.links.welcome(identifier)
        for server in self._peer.servers:
            server.watch_again()
        return api.People(people=(people.person(identifier),))

    async def _shut_out(self, identifier: bytes) -> None:
        """Whoever is blocked is gone at once, before the disk knows it, and is told no more than that."""
        stored = Deferred.fromCoroutine(self._peer.people.block(identifier))
        self._peer.links.refuse(identifier, EndCode.REJECTED)
        try:
            await self._peer.close(identifier)
        finally:
            await stored


async def held(what: str, stored: Awaitable[None]) -> None:
    """What was taken back holds, whatever the disk does; raises StoreError, with a line that says so, if it failed."""
    try:
        await stored
    except StoreError as error:
        raise type(error)(f"{what} while this peer runs; say it again to have it stored: {error}") from error
