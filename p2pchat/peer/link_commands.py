"""What a person asks about links, besides chats: how long an answer takes, and to dial again now."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, TimeoutError, gatherResults

from .. import api
from ..core.errors import NoSuchContact, NotInTime, UserError
from .link import Link
from .peer import Peer
from .pursuit import QUIET_FOR
from .server_host import ServerState
from .server_link import ServerLink

ANSWER_WITHIN = 5.0
"""Seconds in which a ping is answered; a link on which nothing comes for longer is asked about by itself."""

SERVER = "server"
"""Names the servers, where nobody is called so."""

LinkCommand = api.Ping | api.Reconnect
"""What is done here."""


class LinkCommands:
    """Does it. `someone` finds who is meant, and raises NoSuchContact."""

    def __init__(self, peer: Peer, someone: Callable[[str], bytes]) -> None:
        self._peer = peer
        self._someone = someone
        self._dialled: dict[bytes, float] = {}
        """When somebody, or a server, was last dialled because that was asked for."""

    async def execute(self, command: LinkCommand) -> api.Reply:
        """Do it; raises UserError."""
        found = self._find(command.who)
        if isinstance(command, api.Ping):
            trips = [await self._ping(found)] if isinstance(found, bytes) else await self._ping_servers(found)
            return api.RoundTrips(trips=tuple(trips))
        if isinstance(found, bytes):
            return await self._reconnect(found)
        return self._reconnect_all(found, everybody=not command.who)

    def _find(self, who: str) -> bytes | list[ServerLink]:
        """Whose id it is, or which servers are meant; raises NoSuchContact."""
        if not who:
            return self._peer.servers
        try:
            return self._someone(who)
        except NoSuchContact:
            servers = [link for link in self._peer.servers if who in (SERVER, link.server.host, link.status().address)]
            if not servers:
                raise
            return servers

    def _name(self, identifier: bytes) -> str:
        return self._peer.people.person(identifier).name

    # --- how long an answer takes

    async def _ping(self, identifier: bytes) -> api.RoundTrip:
        name, link = self._name(identifier), self._link(identifier)
        if link is None:
            talk = self._peer.talk(identifier)
            how = f" now; /reconnect {name} dials at once" if talk and talk.wanted else f": /connect {name}"
            raise UserError(f"there is no link with {name}{how}")
        lasted = await self._measured(link.measure())
        if lasted is None:
            raise NotInTime(f"{name} did not answer within {ANSWER_WITHIN:g} s; /reconnect {name} makes a new link")
        person = self._peer.people.person(identifier)
        return api.RoundTrip(person=person, address=link.host, path=person.path or "direct", milliseconds=lasted)

    def _link(self, identifier: bytes) -> Link | None:
        """The link that the chat uses, or else one that may become it."""
        links = self._peer.links.of(identifier)
        talk = self._peer.talk(identifier)
        used = None if talk is None else talk.chat.link
        return next((link for link in links if link is used), links[-1] if links else None)

    async def _ping_servers(self, servers: list[ServerLink]) -> list[api.RoundTrip]:
        if not servers:
            raise UserError("no server was joined: p2pchat join LINK")
        asked = [Deferred.fromCoroutine(self._measured(link.measure())) for link in servers]
        trips = [
            api.RoundTrip(server=link.status().address, address=link.address, path="direct", milliseconds=lasted)
            for link, lasted in zip(servers, await gatherResults(asked, True), strict=True)
        ]
        if all(trip.milliseconds is None for trip in trips):
            names = ", ".join(trip.server for trip in trips)
            raise NotInTime(f"no answer from {names} within {ANSWER_WITHIN:g} s; /reconnect server makes a new link")
        return trips

    async def _measured(self, answer: "Deferred[float | None]") -> float | None:
        """In ms; None without an answer in time."""
        try:
            lasted = await answer.addTimeout(ANSWER_WITHIN, self._peer.environment.clock)
        except TimeoutError:
            return None
        return None if lasted is None else round(lasted * 1000, 3)

    # --- dialling again

    def _reconnect_all(self, servers: list[ServerLink], everybody: bool) -> api.Reply:
        """Who is being sought is dialled now, and so is a server that is lost, or that fell silent; or was named."""
        dialled = [link for link in servers if self._may_dial(link.server.id) and link.reconnect(not everybody)]
        for link in dialled:
            self._note(link.server.id)
        people = self._hurry() if everybody else []
        too_soon = any(not self._may_dial(link.server.id) for link in servers if link not in dialled)
        if not dialled and not people and too_soon:
            raise UserError(f"that was done just now; it is done once in {QUIET_FOR:g} s, so wait a moment")
        refusing = [link for link in servers if link not in dialled and link.state is ServerState.REFUSED]
        return api.Reconnecting(
            servers=tuple(link.status().address for link in dialled),
            people=tuple(self._peer.people.person(identifier) for identifier in people),
            refusing=tuple(link.status().address for link in refusing),
        )

    def _hurry(self) -> list[bytes]:
        found = []
        for identifier, talk in self._peer.talks().items():
            sought = talk.wanted and talk.pursuit.dialling and self._may_dial(identifier)
            if sought:
                self._note(identifier)
                talk.pursuit.hurry()
                found.append(identifier)
        return found

    async def _reconnect(self, identifier: bytes) -> api.Reply:
        name, talk = self._name(identifier), self._peer.talk(identifier)
        if talk is None or not talk.wanted:
            raise UserError(f"there is no chat with {name}: /connect {name}")
        links, now = self._peer.links.of(identifier), self._peer.environment.clock.seconds()
        if not self._may_dial(identifier) or any(now < link.waits_since + QUIET_FOR for link in links):
            what = "the link is new" if links else "they were dialled just now"
            raise UserError(f"{name}: {what}; it is done once in {QUIET_FOR:g} s, so wait a moment")
        self._note(identifier)
        if links:
            for link in links:
                link.abort()  # without a word: it seems dead, and what is dialled again is no end of the chat
        elif talk.pursuit.dialling:
            talk.pursuit.hurry()
        else:
            await self._peer.want(identifier, talk.text)
        return api.Reconnecting(people=(self._peer.people.person(identifier),))

    def _may_dial(self, identifier: bytes) -> bool:
        """Whether it is not too soon: nobody can make a peer knock more often than it does for what others say."""
        now = self._peer.environment.clock.seconds()
        return now >= self._dialled.get(identifier, -QUIET_FOR) + QUIET_FOR

    def _note(self, identifier: bytes) -> None:
        self._dialled[identifier] = self._peer.environment.clock.seconds()
