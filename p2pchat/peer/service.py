"""
The peer as a service: opens its state, listens, joins its servers, executes commands, and ends in order.

Nothing is opened before startService: twistd forks between the two.
"""

import os
import random
import resource
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api import Command, Doubt, Event, Problem, Reply, Say, SayAll, Stopping
from ..config import PeerSettings
from ..core.errors import EndCode, UserError
from ..core.identity import Identity
from ..core.messages import Address
from ..core.text import handle_from
from ..core.trust import Policy
from ..net.admission import Admission, AdmissionLimits
from ..net.certificates import own_credentials
from ..net.connection import POLITE_WITHIN, Connection, Sweep
from ..net.dialler import Dialler
from ..net.listener import ListenerFactory, listen
from ..net.local import LocalFactory, LocalService, json_execute, json_subscribe
from ..net.tls import PEER_PROTOCOL, ListenerTLS, PeerDiallerTLS, ServerDiallerTLS
from ..storage.database import Database
from ..storage.directory import StateDirectory
from ..storage.executor import ThreadExecutor
from ..storage.keys import ANEW_SETTING, KEY_SETTING, load_or_create_identity
from ..storage.peer_tables import PEER_SCHEMA, PeerTables
from ..storage.servers import Server
from ..storage.settings import STORE_SETTING
from .commands import Commands
from .environment import Environment
from .examination import Examination
from .link import Link
from .listening import Listening
from .notifying import Notifying
from .offline import HANDLE_SETTING, FoundServer, accept_of, put_server
from .peer import Peer
from .problems import Problems
from .programs import Programs
from .server_link import ServerLink

ABORTED_WITHIN = 1.0
"""Seconds in which the reactor tells of connections that were aborted."""


MOST_UNTOLD = 20
"""Doubts without numbers that wait for a front end; all are in the log."""

NEW_DATABASE = (
    "the database in {} is new, and the key there is older: contacts, servers and messages from before are not in it; "
    "if they should be, stop this peer and put peer.db back from a backup"
)
"""What is said where a database is gone: an empty start is never a silent one."""


class PeerService(MultiService):
    """A peer in a process; implements `p2pchat.api.Api`."""

    log = Logger()

    def __init__(self, settings: PeerSettings, reactor: Any) -> None:
        super().__init__()
        self.settings = settings
        self.started: Deferred[None] = Deferred()
        """Fires when everything is bound and open; fails with UserError if that cannot be."""
        self.peer: Peer | None = None
        self._reactor = reactor
        self._directory = StateDirectory(settings.state, "peer")
        self._database: Database[PeerTables] | None = None
        self._port: IListeningPort | None = None
        self._admission: Admission | None = None
        self._commands: Commands | None = None
        self._programs: list[Programs] = []
        self._local: LocalService | None = None
        self._listeners: list[Listening] = []
        """Front ends."""
        self._within: list[Listening] = []
        """Those that tell nobody of a doubt."""
        self._untold: deque[Doubt] = deque(maxlen=MOST_UNTOLD)
        self._events: deque[Event] = deque()
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._started_at = 0.0
        self._on_stop: Callable[[], None] = lambda: None
        self._sweep = Sweep(reactor)
        self._problems = Problems(reactor, self._emit)
        self._starting: Deferred[None] | None = None
        """Fires when the start is over, however it went."""
        self._silent = False
        """Whether `Stopping` was told, after which nothing is."""

    # --- Api

    def execute(self, command: Command) -> Deferred[Reply]:
        """Do it; see `p2pchat.api.Api`."""
        if isinstance(command, Say | SayAll) and self._commands is not None:
            try:
                return self._commands.say(command)
            except Exception:
                return fail()
        return Deferred.fromCoroutine(self._execute(command))

    async def _execute(self, command: Command) -> Reply:
        if self._commands is None and self._silent:
            raise UserError(f"the peer in {self.settings.state} is ending; start it again")
        if self._commands is None:
            raise UserError("the peer is not ready; try again in a moment")
        return await self._commands.execute(command)

    def subscribe(self, listener: Callable[[Event], None]) -> Listening:
        """Call `listener` with every event from now on; see `p2pchat.api.Api`."""
        return self._add(Listening(listener, self._listeners))

    def _subscribe_locally(self, listener: Callable[[Event], None], answers: bool) -> Listening:
        listening = self._add(Listening(listener, self._listeners, answers, answers))
        if answers and self.peer is not None:
            self.peer.links.attendance.tell()
        return listening

    def _add(self, listening: Listening) -> Listening:
        self._listeners.append(listening)
        while listening.shows and self._untold:
            self._queue(self._untold.popleft())
        return listening

    def _emit(self, event: Event) -> None:
        if type(event) is Doubt:
            self._note(event)
        if not self._silent:
            self._queue(event)

    def _note(self, doubt: Doubt) -> None:
        """Nobody may be there to be told; what has numbers is in the store until somebody is."""
        self.log.warn(
            "In doubt: {whose} messages #{first} to #{last} of the chat with {id} ({name!r}): {explanation}",
            whose="our" if doubt.mine else "their", first=doubt.first, last=doubt.last, id=doubt.person.id,
            name=doubt.person.name, explanation=doubt.explanation,
        )  # fmt: skip
        if not doubt.first and not self._heard():
            self._untold.append(doubt)

    def _heard(self) -> bool:
        return not self._silent and any(each.shows for each in self._listeners)

    def _queue(self, event: Event) -> None:
        if not self._events:
            self._reactor.callLater(0, self._tell)
        self._events.append(event)

    def _tell(self) -> None:
        events, self._events = self._events, deque()
        for event in events:
            for listening in [*self._within, *self._listeners]:
                try:
                    listening.tell(event)
                except Exception:
                    self.log.failure("A front end failed over {event}", event=type(event).__name__)

    # --- start

    def on_stop_asked(self, stop: Callable[[], None]) -> None:
        """What to call when a command asks the process to end."""
        self._on_stop = stop

    def startService(self) -> None:
        super().startService()
        self._started_at = self._reactor.seconds()
        self._starting = Deferred.fromCoroutine(self._start_or_close())

    async def _start_or_close(self) -> None:
        """Never fails: `started` tells how it went."""
        try:
            await self._start()
        except Exception:
            failure = Failure()
            self.log.info("The peer did not start: {text}", text=failure.getErrorMessage())
            await self._close()
            self.started.errback(failure)
        else:
            self.started.callback(None)

    async def _start(self) -> None:
        self._directory.open()
        self._directory.keep_apart(PEER_SCHEMA.name)
        database = Database(self._directory.database_file(PEER_SCHEMA.name), PEER_SCHEMA, ThreadExecutor(self._reactor))
        await database.open()
        self._database = database
        if database.created and self._directory.key_file.exists():
            await database.write(lambda tables: tables.settings.set(ANEW_SETTING, b""))
        anew = await database.read(lambda tables: tables.settings.get(ANEW_SETTING))
        if anew is not None:
            text = NEW_DATABASE.format(self._directory.path)
            self.log.warn("{text}", text=text)
            self._problems.emit(Problem(text=text))
        environment, handle = await self._open_environment(database)
        credentials = own_credentials(environment.identity.private_key, environment.wall())
        dialler = Dialler(self._reactor, self._reactor, self._sweep, self.settings.dial_port)
        peer = Peer(environment, dialler, PeerDiallerTLS(credentials), await self._policy(database), handle)
        await peer.people.load()
        self._listen(peer, ListenerTLS(credentials, (PEER_PROTOCOL,)))
        self.peer = peer
        hooks, desktop = (Programs(self._reactor, self._complain) for _ in range(2))
        self._programs = [hooks, desktop]
        notifying = Notifying(environment, hooks, desktop)
        await notifying.load()
        self._within.append(Listening(notifying.take, self._within))
        self._commands = Commands(
            peer,
            lambda: self._on_stop(),
            lambda: self._reactor.seconds() - self._started_at,
            notifying,
            Examination(peer, self.settings),
        )
        for server in await self._joined(database, handle, environment.wall()):
            await self._join(peer, server, dialler, credentials)
        self._start_local()
        self._looking.start(1.0, now=False)
        await peer.resume()
        if anew is not None:
            await database.write(lambda tables: tables.settings.delete(ANEW_SETTING))

    async def _open_environment(self, database: Database[PeerTables]) -> tuple[Environment, str]:
        known, stored = await database.read(
            lambda tables: (tables.settings.get(KEY_SETTING), tables.settings.get(HANDLE_SETTING))
        )
        identity = load_or_create_identity(self._directory, known, lambda: os.urandom(32))
        fresh_store = os.urandom(16)
        handle = self.settings.name or (stored.decode() if stored else handle_from(_login_name()))

        def remember(tables: PeerTables) -> bytes:
            tables.settings.set(KEY_SETTING, identity.key)
            tables.settings.set(HANDLE_SETTING, handle.encode())
            return tables.settings.set_once(STORE_SETTING, fresh_store)

        store = await database.write(remember)
        return self._environment(identity, database, store), handle

    async def _policy(self, database: Database[PeerTables]) -> Policy | None:
        """What happens to requests: as was said at this start, or as is remembered; None: as the moment asks for."""
        said = self.settings.accept or await database.read(accept_of)
        return Policy(said) if said else Policy.ASK if self.settings.accept_else == "ask" else None

    def _environment(self, identity: Identity, database: Database[PeerTables], store: bytes) -> Environment:
        return Environment(
            identity=identity,
            database=database,
            clock=self._reactor,
            wall=lambda: int(time.time() * 1000),
            random=os.urandom,
            emit=self._problems.emit,
            heard=self._heard,
            attended=lambda: any(each.answers for each in self._listeners),
            store=store,
            nonce=os.urandom(16),
        )

    def _listen(self, peer: Peer, tls: ListenerTLS) -> None:
        """Listen on the port that was asked for, or on any where that is taken: the roster carries it."""
        limits = AdmissionLimits.for_descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        admission = self._admission = Admission(self._reactor, limits, lambda _: True, random.random)
        factory = ListenerFactory(lambda: Connection(Link(peer.links), self._reactor, self._sweep))
        wanted, interface = self.settings.listen_port, self.settings.interface

        def open_port(port: int) -> IListeningPort:
            return listen(self._reactor, self._reactor, factory, tls, admission, port, interface)

        try:
            self._port = open_port(wanted)
        except CannotListenError as error:
            self.log.info("Cannot listen on port {port} ({error}); taking another one", port=wanted, error=str(error))
            try:
                self._port = open_port(0)
            except CannotListenError as worse:
                raise UserError(
                    f"cannot listen on {interface or 'this machine'}: {worse.socketError}; choose another --interface"
                ) from None
        address = self._port.getHost()
        assert isinstance(address, (IPv4Address, IPv6Address))
        peer.listens = [Address(host=address.host, port=address.port)]

    async def _joined(self, database: Database[PeerTables], handle: str, now: int) -> list[Server]:
        """The servers to link with: those joined before, and those of this start's links."""

        def put(tables: PeerTables) -> list[Server]:
            for link in self.settings.join:
                if link.server is not None:
                    put_server(tables, link, handle, FoundServer(link.server), now)
                elif all((link.host, link.port) != (known.host, known.port) for known in tables.servers.all()):
                    raise UserError(
                        f"--join needs the whole link of {link.host}; or run once: p2pchat join {link.host}"
                    )
            return tables.servers.all()

        return await database.write(put)

    async def _join(self, peer: Peer, server: Server, dialler: Dialler, credentials: Any) -> None:
        view = await peer.rosters.load(server.id)
        tls = ServerDiallerTLS(credentials, server.host)
        link = ServerLink(peer.environment, server, dialler, tls, peer, view)
        peer.servers.append(link)
        link.start()

    def _start_local(self) -> None:
        factory = LocalFactory(
            json_execute(Command, self.execute, "peer"),
            self._reactor,
            subscribe=json_subscribe(self._subscribe_locally),
        )
        self._local = LocalService(self._reactor, self._directory.socket_file, factory)
        self._local.setServiceParent(self)

    def _complain(self, line: str) -> None:
        self._problems.emit(Problem(text=line))

    def _look(self) -> None:
        if self.peer is None or self._commands is None:
            return
        for look in (self.peer.look, self._commands.look):
            try:
                look()
            except Exception:
                # A bug, but all chats hang on this timer, and what is too old is deleted by it.
                self.log.failure("Looking after the chats failed")

    # --- end

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._emit(Stopping())
        self._tell()
        self._silent = True
        if self._starting is not None:
            # What a start has half done can be undone only when it is over.
            await self._starting
        await self._close()
        await _fired(super().stopService())

    async def _close(self) -> None:
        """Undo all of the start, however far it went."""
        self._commands = None
        if self._looking.running:
            self._looking.stop()
        for programs in self._programs:
            await programs.stop()
        if self._port is not None:
            port, self._port = self._port, None
            await _fired(port.stopListening())
        if self.peer is not None:
            self.peer.stop()
        await self._until_gone()
        if self._admission is not None:
            self._admission.close()
        if self._local is not None:
            local, self._local = self._local, None
            await _fired(local.disownServiceParent())
        if self._database is not None:
            database, self._database = self._database, None
            await database.close()
        self._directory.close()

    async def _until_gone(self) -> None:
        """Links were told; those that do not follow, or did not say hello yet, are aborted."""
        for connection in self._sweep.connections:
            connection.close(EndCode.LEAVING)
        for within, pause in ((POLITE_WITHIN, 0.02), (ABORTED_WITHIN, 0.0)):
            end = self._reactor.seconds() + within
            while self._sweep.connections and self._reactor.seconds() < end:
                await deferLater(self._reactor, pause)
            for connection in self._sweep.connections:
                connection.abort()


async def _fired(deferred: Any) -> None:
    if isinstance(deferred, Deferred):
        await deferred


def _login_name() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "peer"
