"""
The rendezvous server as a service: it opens what it needs in order, says where it is, and closes in reverse.

    state directory (lock) -> database -> key -> handles -> port -> local socket
"""

import secrets
import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..api import ServerCommand, ServerReply
from ..config import ServerSettings
from ..core.errors import StoreError
from ..core.identity import Identity, format_id
from ..net.certificates import Credentials, load_credentials, own_credentials
from ..net.connection import Sweep
from ..net.dialler import Dialler
from ..net.local import LocalFactory, LocalService, json_execute
from ..net.tls import SERVER_PROTOCOL, ListenerTLS, PeerDiallerTLS
from ..storage.database import Database
from ..storage.directory import StateDirectory
from ..storage.executor import Executor, ThreadExecutor
from ..storage.keys import ANEW_SETTING, KEY_SETTING, load_or_create_identity
from ..storage.server_tables import SERVER_SCHEMA, ServerTables
from .dial_back import DialBacks
from .handles import HandleBook
from .links import LOOPBACK, Reach, find_own_name, links, remember
from .port import ServerPort, make_admission, make_room
from .rendezvous import Rendezvous
from .status import Status

SEEN_EVERY = 3600.0
"""
Seconds between two notes on the disk of whose handles are in use, and of how long the server ran: a server that is
killed has run so much less, and handles are kept so much longer.
"""


def wall_clock() -> int:
    """Milliseconds since 1970; for showing, never for deciding how long something took."""
    return int(time.time() * 1000)


def random_fraction() -> float:
    """A random number from 0 up to 1, which nobody can predict."""
    return secrets.randbits(53) / 2**53


NEW_DATABASE = (
    "the database in {} is new, and the key there is older: names, bans and invitations from before are not in it; if "
    "they should be, stop this server and put server.db back from a backup"
)
"""What is said where a database is gone: an empty start is never a silent one."""


class RendezvousService(MultiService):
    """
    One rendezvous server.

    `started` fires when it listens and its store is open, or fails with UserError, and then all is closed again.
    `stop` ends the process in order; without it the command `stop` ends this service alone.
    """

    log = Logger()

    def __init__(
        self,
        settings: ServerSettings,
        reactor: Any,
        stop: Callable[[], object] | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__()
        self.started: Deferred[None] = Deferred()
        self.rendezvous: Rendezvous
        """From `started` on."""
        self.port: ServerPort
        """From `started` on."""
        self._settings = settings
        self._reactor = reactor
        self._stop = stop or self.stopService
        self._executor = executor or ThreadExecutor(reactor)
        self._first_start = False
        self._new_database = False
        self._reach: Reach
        self._own_name: str | None = None
        self._opening: Deferred[None] = succeed(None)
        self._closers: list[Callable[[], Deferred[None]]] = []

    # --- IService

    def startService(self) -> None:
        """Begin to open everything; `started` tells how it went."""
        super().startService()
        self._opening = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """Say good-bye to all peers and close everything; fires when it is closed."""
        return Deferred.fromCoroutine(self._end())

    # --- for whoever runs it

    @property
    def identity(self) -> Identity:
        """The server's key."""
        return self.rendezvous.identity

    def join_links(self) -> tuple[str, ...]:
        """The links by which peers join, as they are now."""
        return tuple(str(link) for link in links(self._reach, self._own_name))

    def words(self) -> str:
        """What a person reads after the start."""
        made = " (first start: made its key)" if self._first_start else ""
        lines = [f"p2pchat server {format_id(self.identity.id)} listening on {self.port.listens}{made}"]
        for link in links(self._reach, self._own_name):
            where = "this" if link.host in LOOPBACK else "another"
            lines.append(f"Join from {where} machine: p2pchat join '{link}'")
        if self._new_database:
            lines.append(NEW_DATABASE.format(self._settings.state))
        return "\n".join(lines)

    # --- opening

    async def _start(self) -> None:
        try:
            await self._open()
        except Exception as error:
            await self._close()
            self.started.errback(error)
        else:
            self.started.callback(None)

    async def _open(self) -> None:
        directory = StateDirectory(self._settings.state, "server")
        directory.open()
        self._closers.append(lambda: _now(directory.close))
        directory.keep_apart(SERVER_SCHEMA.name)
        database = Database(directory.database_file(SERVER_SCHEMA.name), SERVER_SCHEMA, self._executor)
        await database.open()
        self._closers.append(database.close)
        identity = await self._open_identity(directory, database)
        handles = HandleBook(database, self._reactor, wall_clock, self._settings.capacity)
        await handles.load()
        self._open_port(identity, handles)
        await self._open_links(directory)
        self._open_socket(directory)
        if self._new_database:
            await database.write(lambda tables: tables.settings.delete(ANEW_SETTING))
        self._write_seen(handles)

    async def _open_identity(self, directory: StateDirectory, database: Database[ServerTables]) -> Identity:
        self._first_start = not directory.key_file.exists()
        if database.created and not self._first_start:
            await database.write(lambda tables: tables.settings.set(ANEW_SETTING, b""))
        known, anew = await database.read(
            lambda tables: (tables.settings.get(KEY_SETTING), tables.settings.get(ANEW_SETTING))
        )
        self._new_database = anew is not None
        if self._new_database:
            self.log.warn("{text}", text=NEW_DATABASE.format(directory.path))
        identity = load_or_create_identity(directory, known, lambda: secrets.token_bytes(32))
        await database.write(lambda tables: tables.settings.set_once(KEY_SETTING, identity.key))
        return identity

    def _open_port(self, identity: Identity, handles: HandleBook) -> None:
        settings = self._settings
        tls = ListenerTLS(self._credentials(identity), [SERVER_PROTOCOL])
        admission = make_admission(self._reactor, make_room(settings.capacity), random_fraction)
        if admission.limits.connections < settings.capacity:
            self.log.warn(
                "{capacity} peers need more open files than this process may have; {room} connections fit",
                capacity=settings.capacity,
                room=admission.limits.connections,
            )
        self.rendezvous = Rendezvous(
            self._reactor,
            identity,
            handles,
            capacity=settings.capacity,
            nonce=secrets.token_bytes(16),
            incidents=admission.incidents,
            wall=wall_clock,
            everybody=settings.open,
            dial_backs=self._dial_backs(identity),
        )
        self.port = ServerPort(self._reactor, self._reactor, settings, admission)
        self.port.open(tls, self.rendezvous)
        self._closers += [self.rendezvous.close, self.port.close]

    def _dial_backs(self, identity: Identity) -> DialBacks:
        # Whoever is dialled back sees the key that it knows as the server's, whatever certificate the port shows.
        tls = PeerDiallerTLS(own_credentials(identity.private_key, wall_clock()))
        return DialBacks(self._reactor, Dialler(self._reactor, self._reactor, Sweep(self._reactor), 0), tls)

    def _credentials(self, identity: Identity) -> Credentials:
        certificate, key = self._settings.certificate, self._settings.key
        if certificate is None or key is None:
            return own_credentials(identity.private_key, wall_clock())
        return load_credentials(certificate, key, wall_clock())

    async def _open_links(self, directory: StateDirectory) -> None:
        settings = self._settings
        self._reach = Reach(
            id=self.identity.id, port=self.port.address.port, hosts=settings.hosts, interface=settings.interface
        )
        remember(directory, self._reach)
        if not (settings.hosts or settings.interface):
            self._own_name = await find_own_name(self._reactor, self._reactor)

    def _open_socket(self, directory: StateDirectory) -> None:
        status = Status(
            rendezvous=self.rendezvous,
            admission=self.port.admission,
            clock=self._reactor,
            links=self.join_links,
            listens=(self.port.listens,),
            started_at=self._reactor.seconds(),
            # The answer leaves first.
            stop=lambda: self._reactor.callLater(0, self._stop),
        )

        def execute(command: ServerCommand) -> Deferred[ServerReply]:
            return succeed(status.execute(command))

        factory = LocalFactory(
            json_execute(ServerCommand, execute, "server"), self._reactor, admin_group=self._settings.admin_group
        )
        socket = LocalService(self._reactor, directory.socket_file, factory)
        socket.startService()
        self._closers.append(socket.stopService)

    def _write_seen(self, handles: HandleBook) -> None:
        async def write() -> None:
            try:
                self.rendezvous.note_seen()
                await handles.write()
            except StoreError as error:
                self.log.error("Whose handles are in use could not be stored: {reason!s}", reason=error)
            except Exception as error:
                # A bug, but it must not end the loop: in 90 days everybody's name would have run out.
                self.log.error("Noting whose handles are in use failed, and is tried again: {error!r}", error=error)

        def look() -> Deferred[None]:
            return Deferred.fromCoroutine(write())

        loop = LoopingCall(look)
        loop.clock = self._reactor
        loop.start(SEEN_EVERY, now=False)

        def end() -> Deferred[None]:
            loop.stop()
            return look()

        self._closers.append(end)

    # --- closing

    async def _end(self) -> None:
        await self._opening
        await self._close()
        await MultiService.stopService(self)

    async def _close(self) -> None:
        while self._closers:
            try:
                await self._closers.pop()()
            except Exception:
                self.log.failure("Closing a part of the server failed; the rest is closed nevertheless")


def _now(action: Callable[[], None]) -> Deferred[None]:
    action()
    return succeed(None)
