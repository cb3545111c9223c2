"""A doctor for the peer that runs: asks its servers, links and store; diagnosis.py says what it means."""

from dataclasses import replace

from twisted.internet.defer import Deferred, TimeoutError, gatherResults

from ..api import Findings
from ..api.health import StoreFacts
from ..config import PeerSettings, state_option
from ..core.errors import StoreError
from ..core.messages import DialledBack
from ..net.interfaces import own_addresses
from ..net.tls import openssl_version
from ..storage.health import Room, look_at
from ..storage.peer_tables import PeerTables
from .diagnosis import diagnose
from .facts import ChatFacts, Facts, PortFacts, ServerFacts
from .firewall import find_tool
from .peer import Peer
from .server_link import ServerLink

CHECK_WITHIN = 60.0
"""Seconds for SQLite to read the whole database; a person does not wait longer."""


class Examination:
    """Examines one peer; whoever asks while it is under way gets what comes of it."""

    def __init__(self, peer: Peer, settings: PeerSettings) -> None:
        self._peer = peer
        self._settings = settings
        self._waiting: list[Deferred[Findings]] | None = None

    async def examine(self) -> Findings:
        """Look at everything; takes some seconds."""
        if self._waiting is not None:
            found: Deferred[Findings] = Deferred()
            self._waiting.append(found)
            return await found
        self._waiting = []
        try:
            findings = Findings(findings=diagnose(await self._look()))
        except BaseException as error:
            waiting, self._waiting = self._waiting, None
            for each in waiting:
                each.errback(error)
            raise
        waiting, self._waiting = self._waiting, None
        for each in waiting:
            each.callback(findings)
        return findings

    async def _look(self) -> Facts:
        # All at once: a server that does not answer and a large database are waited for together.
        store = Deferred.fromCoroutine(self._store())
        servers = gatherResults([Deferred.fromCoroutine(self._server(link)) for link in self._peer.servers], True)
        return Facts(
            wall=self._peer.environment.wall(),
            servers=tuple(await servers),
            ports=self._ports(),
            store=await store,
            chats=self._chats(),
            openssl=openssl_version(),
        )

    async def _server(self, link: ServerLink) -> ServerFacts:
        answers = link.tells_reach
        dialled: DialledBack | None = await link.dial_back() if answers else None
        status = link.status()
        return ServerFacts(
            address=status.address,
            host=link.server.host,
            port=link.server.port,
            state=status.state,
            reason=status.reason,
            ahead=link.clock_ahead,
            certified=link.server.trust == "certified",
            expires=link.certificate_expires,
            group=link.group,
            observed=link.observed,
            own=link.own_address,
            local=link.on_this_machine,
            answers=answers,
            dialled=dialled,
        )

    def _ports(self) -> PortFacts:
        return PortFacts(
            running=True,
            listen_port=self._settings.listen_port,
            dial_port=self._settings.dial_port,
            listens=tuple(self._peer.listens),
            own=tuple(own_addresses()),
            firewall=find_tool(),
        )

    def _chats(self) -> tuple[ChatFacts, ...]:
        people = (self._peer.people.person(identifier) for identifier in self._peer.talks())
        return tuple(
            ChatFacts(name=person.name, path=person.path, group=person.group) for person in people if person.group
        )

    async def _store(self) -> StoreFacts:
        database = self._peer.environment.database
        directory = database.path.parent
        facts = StoreFacts(path=str(directory), option=state_option(directory, "peer"))

        def check(tables: PeerTables) -> tuple[str, Room]:
            try:
                room = look_at(directory)
            except OSError as error:
                raise StoreError(f"cannot use {directory}: {error.strerror}; see whether its disk is there") from None
            return tables.integrity.fault(), room

        checked = database.read(check, long=True, anew=True)
        checked.addTimeout(CHECK_WITHIN, self._peer.environment.clock)
        try:
            fault, room = await checked
        except TimeoutError:
            return replace(facts, fault=None)
        except StoreError as error:
            return replace(facts, refusal=str(error))
        return replace(
            facts,
            fault=fault,
            refusal="" if database.failed is None else str(database.failed),
            free=room.free,
            mode=room.mode,
            owned=room.owned,
            network=room.network,
        )
