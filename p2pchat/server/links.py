"""
Join links: what an operator passes on, so that peers find this server and know that it is the one.

What they are made of is kept in a file of the state directory, so that they can be printed while nothing runs.
"""

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime

from ..core.errors import StateError
from ..core.identity import JoinLink
from ..net.interfaces import own_addresses
from ..storage.directory import StateDirectory
from ..storage.files import write_atomically

NAME_WITHIN = 2.0
"""Seconds that the start of a server waits for the name service (F35)."""

LOOPBACK = ("127.0.0.1", "::1")


class Reach(Struct, frozen=True, kw_only=True):
    """How peers reach this server; what the file holds."""

    id: bytes
    port: int
    hosts: tuple[str, ...] = ()
    """As the operator gave them; none: to be found out."""
    interface: str = ""
    """The only address that it listens on, if there is only one."""


def links(reach: Reach, name: str | None) -> list[JoinLink]:
    """
    One link for each host, those for this machine alone last.

    `name` is the machine's own name, if it has one that leads to it (`own_name`).
    """
    found: Iterable[str]
    if reach.hosts:
        found = reach.hosts
    elif reach.interface:
        found = (reach.interface,)
    else:
        found = (*([name] if name else []), *own_addresses(), LOOPBACK[0])
    hosts = sorted(dict.fromkeys(found), key=lambda host: host in (*LOOPBACK, "localhost"))
    return [JoinLink(host, reach.port, reach.id) for host in hosts]


def own_name() -> str | None:
    """The full name of this machine, if the name service leads from it to an address of ours. Blocks."""
    name = socket.getfqdn()
    if "." not in name or name.startswith("localhost"):
        return None
    with suppress(OSError, UnicodeError):
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
        if found & set(own_addresses()):
            return name
    return None


def find_own_name(
    reactor: IReactorFromThreads, clock: IReactorTime, find: Callable[[], str | None] = own_name
) -> Deferred[str | None]:
    """`own_name` without blocking; fires with None if the name service does not answer in time."""
    answered: Deferred[str | None] = Deferred()

    def answer(name: str | None) -> None:
        if timer.active():
            timer.cancel()
            answered.callback(name)

    def look() -> None:
        name = find()
        with suppress(RuntimeError):  # the reactor may have ended while the name service thought
            reactor.callFromThread(answer, name)

    timer: IDelayedCall = clock.callLater(NAME_WITHIN, answered.callback, None)
    # A thread of its own: the reactor's pool would wait for it at the end, and the name service may take minutes.
    Thread(target=look, name="own name", daemon=True).start()
    return answered


def remember(directory: StateDirectory, reach: Reach) -> None:
    """Keep what the links are made of. Raises StateError or StoreFull."""
    write_atomically(_file(directory.path), msgspec.json.encode(reach))


def recall(path: Path) -> Reach:
    """What was kept in the state directory at `path`; raises StateError if no server ever ran there."""
    try:
        return msgspec.json.decode(_file(path).read_bytes(), type=Reach)
    except FileNotFoundError:
        raise StateError(f"no server has run with {path}; start one: p2pchat server --state {path}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise StateError(f"cannot read {_file(path)}: {error}; start the server once to have it written anew") from None


def _file(path: Path) -> Path:
    return path / "reach.json"
