"""
The local socket: a Unix socket in the state directory, through which people's commands and programs reach a daemon.

JSON lines (docs/local-api.md). The file is 0600, or 0660 for an admin group; beyond that the kernel is asked
who connected. The client's end is `local_client`, which needs no Twisted.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
from twisted.application.service import Service
from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..api.lines import to_json
from ..core.errors import StateError, UsageError
from ..core.text import Kind, clean
from .admins import Admins, user_of
from .local_connection import Cancellable, Execute, LocalConnection, Subscribe

MAX_CLIENTS = 64
"""Clients at a time: people's terminals and programs on one machine."""

MAX_ADDRESS = 107
"""Bytes of a Unix socket's address (unix(7): sun_path has 108, with the zero behind it)."""

PRIVATE_MODE = 0o600
GROUP_MODE = 0o660

GROUP_DIRECTORY_MODE = 0o710
"""What the state directory gets for an admin group: its members may pass through to the socket, and list nothing."""


class _Tagged(msgspec.Struct):
    type: str


_tag = msgspec.json.Decoder(_Tagged)


def json_execute(commands: Any, execute: Callable[[Any], Deferred[Any]], role: str = "daemon") -> Execute:
    """
    `execute`, which takes a command of the union `commands` and gives a reply, for JSON on both sides.

    `role` is named to whoever has a command for another one.
    """
    decoder = msgspec.json.Decoder(commands)
    known = {each.__struct_config__.tag for each in get_args(commands) or (commands,)}

    def run(raw: bytes) -> Deferred[bytes]:
        try:
            command = decoder.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            with suppress(msgspec.MsgspecError, ValueError, RecursionError):
                if (wanted := _tag.decode(raw).type) not in known:
                    words = f"what runs here is a p2pchat {role}, which has no command {clean(wanted, Kind.NAME)!r}"
                    fix = "name another directory with --state DIR, or start it again if it is older"
                    return fail(UsageError(f"{words}; {fix}"))
            return fail(UsageError(f"that command cannot be read: {error}"))
        return execute(command).addCallback(to_json)

    return run


def json_subscribe(subscribe: Callable[[Callable[[Any], None], bool], Cancellable]) -> Subscribe:
    """`subscribe`, whose listeners take events, for listeners that take JSON."""
    return lambda listener, answers: subscribe(lambda event: listener(to_json(event)), answers)


class LocalFactory(Factory):
    """
    Makes the connections of clients.

    `execute` gets each command as JSON. `subscribe` is None where there are no events.
    """

    _log = Logger()
    noisy = False

    def __init__(
        self,
        execute: Execute,
        clock: IReactorTime,
        *,
        subscribe: Subscribe | None = None,
        admin_group: str | None = None,
    ) -> None:
        self._execute = execute
        self._clock = clock
        self._subscribe = subscribe
        self.admins = Admins(admin_group)
        self._connections: set[LocalConnection] = set()
        self._emptied: Deferred[None] | None = None

    def buildProtocol(self, address: IAddress | None) -> LocalConnection:
        connection = LocalConnection(self._execute, self._subscribe, self._clock, self._refusal, self._ended)
        self._connections.add(connection)
        return connection

    def close(self) -> Deferred[None]:
        """End all connections; fires when they are gone, at the latest after a second."""
        if not self._connections:
            return succeed(None)
        self._emptied = Deferred()
        for connection in list(self._connections):
            connection.close()
        return self._emptied

    def _refusal(self, transport: Any) -> str | None:
        try:
            user = user_of(transport.socket)
        except OSError as error:
            return f"the system does not say who you are: {error.strerror}"
        if not self.admins.admits(user):
            self._log.warn("refused user {uid} at the local socket", uid=user.uid)
            return "this socket is for its owner and the admin group; run the command as one of them"
        if len(self._connections) > MAX_CLIENTS:
            return f"{MAX_CLIENTS} programs use this socket already; end one of them"
        return None

    def _ended(self, connection: LocalConnection) -> None:
        self._connections.discard(connection)
        if self._emptied is not None and not self._connections:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)


class _Port(unix.Port):
    """A listening Unix socket whose file may be gone when it is closed."""

    def connectionLost(self, reason: Failure) -> None:
        try:
            super().connectionLost(reason)
        except FileNotFoundError:
            # Twisted removes the file first and would leave the rest undone.
            tcp.Port.connectionLost(self, reason)


class LocalService(Service):
    """
    The socket at `path` while the service runs.

    To be started by whoever holds the lock of the state directory, when that is held: a socket that is still
    there is then a killed process's, and is replaced.
    """

    def __init__(self, reactor: Any, path: Path, factory: LocalFactory) -> None:
        self._reactor = reactor
        self._path = path
        self._factory = factory
        self._port: _Port | None = None
        self._directory: int | None = None

    def startService(self) -> None:
        """Listen; raises StateError or UsageError."""
        self._factory.admins.resolve()
        try:
            self._listen()
        except OSError as error:
            Deferred.fromCoroutine(self._stop())
            raise StateError(f"cannot make the socket {self._path}: {error.strerror}") from error
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop listening, remove the socket, end all connections; fires when that is done."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            await port.stopListening()
        self._close_directory()
        await self._factory.close()

    def _listen(self) -> None:
        _remove_stale(self._path)
        gid = self._factory.admins.gid
        mode = PRIVATE_MODE if gid is None else GROUP_MODE
        port = _Port(self._address(), self._factory, mode=mode, reactor=self._reactor)
        try:
            port.startListening()
        except CannotListenError as error:
            raise error.socketError from error
        self._port = port
        if gid is not None:
            self._open_to(gid)

    def _open_to(self, gid: int) -> None:
        os.chown(self._path, -1, gid)
        os.chown(self._path.parent, -1, gid)
        self._path.parent.chmod(GROUP_DIRECTORY_MODE)

    def _address(self) -> bytes:
        address = os.fsencode(self._path)
        if len(address) <= MAX_ADDRESS:
            return address
        # The kernel follows this to the directory, however long its own path is. It must stay open until the
        # file is removed under the same name.
        self._directory = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return os.fsencode(f"/proc/self/fd/{self._directory}/{self._path.name}")

    def _close_directory(self) -> None:
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None


def _remove_stale(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise StateError(f"{path} is in the way of the socket; move it away")
    path.unlink()
