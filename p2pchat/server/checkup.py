"""A doctor for a server, whether or not it runs: its directory, key and database, its port, and its join links."""

import errno
import os
import socket
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

from twisted.internet.defer import Deferred, gatherResults

from ..api import Finding
from ..api.health import StoreFacts, failed, warning
from ..config import SERVER_PORT, state_option
from ..core.addresses import written as written_address
from ..core.errors import UserError
from ..core.identity import JoinLink
from ..core.messages import Address
from ..storage.directory import StateDirectory
from ..storage.health import look_at
from ..storage.keys import KEY_SETTING, check_kept
from ..storage.offline import look_beside, open_offline
from ..storage.server_tables import SERVER_SCHEMA, ServerTables
from .diagnosis import Answered
from .links import LOOPBACK, Reach, links, own_name, recall

WITHOUT_KEY = "no peer knows this server again"
"""What comes of a missing key that no backup has."""

MOST_LINKS = 6
"""Addresses that are tried: a machine with many networks has many."""

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
"""Is there once systemd-timesyncd has set the clock by the network."""


def stored(state: Path, running: bool) -> StoreFacts | None:
    """What a state directory is like; None where no server was ever started. With `running`: only looks."""
    directory = StateDirectory(state, "doctor")
    if not directory.database_file(SERVER_SCHEMA.name).exists():
        return None
    option = state_option(directory.path, "server")
    facts = StoreFacts(path=str(directory.path), doctor="p2pchat doctor --server", option=option)
    try:
        # Before it is opened, which mends the mode.
        room = look_at(directory.path)
        facts = replace(facts, free=room.free, mode=room.mode, owned=room.owned, network=room.network)
        with _beside_it(directory) if running else _alone(directory) as found:
            fault, known = found
        check_kept(directory, known, WITHOUT_KEY)
    except OSError as error:
        return replace(facts, refusal=f"cannot use {directory.path}: {error.strerror}")
    except UserError as error:
        return replace(facts, refusal=str(error))
    return replace(facts, fault=fault)


def _look(tables: ServerTables) -> tuple[str, bytes | None]:
    return tables.integrity.fault(), tables.settings.get(KEY_SETTING)


@contextmanager
def _alone(directory: StateDirectory) -> Iterator[tuple[str, bytes | None]]:
    with open_offline(directory, SERVER_SCHEMA) as database:
        yield database.read(_look)


@contextmanager
def _beside_it(directory: StateDirectory) -> Iterator[tuple[str, bytes | None]]:
    """Read while the server has the directory and its lock."""
    with look_beside(directory, SERVER_SCHEMA) as tables:
        yield _look(tables)


def of_new_server(state: Path) -> Finding:
    """What to say where no server was ever started."""
    if os.path.exists(StateDirectory(state).database_file("peer")):
        fix = f"name the server's with --state DIR; of the peer tells: p2pchat doctor --state {quote(str(state))}"
        return failed("state", f"{state} is a peer's directory", fix)
    start = f"p2pchat server --state {quote(str(state))}"
    if os.path.exists(StateDirectory(state).key_file):
        fix = f"put server.db back from a backup, or start without what was in it: {start}"
        return failed("store", f"the database in {state} is gone, and the key is there", fix)
    fix = f"start it: {start}"
    return warning("state", f"no server was started in {state} yet", fix)


def reach_of(state: Path) -> Reach | None:
    """How peers reach the server; None where that was not kept."""
    try:
        return recall(state)
    except UserError:
        return None


def addresses(reach: Reach) -> list[JoinLink]:
    """Where peers are told to join, other machines' ways first. Blocks for the name service."""
    found = links(reach, own_name())
    return [link for link in found if link.host not in LOOPBACK][: MOST_LINKS - 1] or found[:1]


class Found(Protocol):
    """Who answered at an address."""

    @property
    def id(self) -> bytes:
        """The id that was proved."""

    @property
    def certified(self) -> bool:
        """Whether a good certificate of an authority was shown."""

    @property
    def expires(self) -> int | None:
        """Its end, ms since 1970."""


async def answers(
    links: Iterable[JoinLink], probe: Callable[[str, int], Coroutine[Any, Any, Found]]
) -> tuple[Answered, ...]:
    """What comes back at each of these addresses, all at once; `probe` joins there, as far as the key."""

    async def one(link: JoinLink) -> Answered:
        address = written_address(Address(host=link.host, port=link.port))
        try:
            found = await probe(link.host, link.port)
        except UserError as error:
            return Answered(address=address, reason=str(error))
        if found.id != link.server:
            return Answered(address=address, reason="another key answers there than this server's")
        return Answered(address=address, certified=found.certified, expires=found.expires)

    return tuple(await gatherResults([Deferred.fromCoroutine(one(link)) for link in links], True))


def port_of(reach: Reach | None) -> int:
    """Where the server listened last, or would."""
    return SERVER_PORT if reach is None else reach.port


def is_taken(reach: Reach | None) -> bool:
    """Whether another process has the port that the server would take again."""
    port, hosts = port_of(reach), ["::", "0.0.0.0"]
    if reach is not None and reach.interface:
        hosts = [reach.interface]
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                attempt.bind((host, port))
                attempt.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
    return False


def written(state: Path) -> int | None:
    """When the newest file in the directory was written, ms since 1970; to be asked before anything is opened there."""
    times = []
    for file in state.glob("*"):
        with suppress(OSError):
            times.append(file.stat().st_mtime_ns // 1_000_000)
    return max(times, default=None)


def is_synchronized(mark: Path = SYNCHRONIZED) -> bool | None:
    """Whether this machine has set its clock by the network; None where nothing says so."""
    return True if mark.exists() else False if mark.parent.exists() else None
