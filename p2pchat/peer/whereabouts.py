"""Where somebody is looked for, and where we say that we can be found (docs/protocol.md, section 11)."""

from collections.abc import Iterable, Sequence

from ..core.addresses import candidates, is_loopback, parse
from ..core.messages import Address
from ..core.records import MAX_ADDRESSES
from ..core.roster_view import ViewRow
from ..net.interfaces import own_addresses
from ..storage.database import Database
from ..storage.peer_tables import PeerTables
from .pursuit import Target
from .server_link import ServerLink


def targets(
    row: ViewRow | None, typed: Sequence[Address], servers: Iterable[ServerLink], listens: Iterable[Address]
) -> list[Target]:
    """What to dial for somebody of whom a roster says `row`: what the person typed first, under no rules."""
    found = [Target(address, typed=True) for address in typed]
    if row is None:
        return found
    local = any(server.local and server.server.id == row.body.server for server in servers)
    hosts = [*own_addresses(), "127.0.0.1", "::1"]
    own = [Address(host=host, port=listen.port) for listen in listens for host in hosts]
    wanted = candidates(row.body.addresses, row.observed, loopback=local, own=own)
    return found + [Target(address) for address in wanted if address not in typed]


def own_candidates(listens: Sequence[Address], link_address: Address) -> tuple[Address, ...]:
    """What to sign at a server to which our end of the link is `link_address`."""
    hosts: list[str] = []
    for listen in listens:
        host = parse(listen.host)
        if host is not None and not host.is_unspecified:
            hosts.append(listen.host)
            continue
        if not is_loopback(link_address.host):
            hosts.append(link_address.host)
        hosts += own_addresses()[: MAX_ADDRESSES - 1]
        if is_loopback(link_address.host):
            hosts.append(link_address.host)
    port = listens[0].port if listens else 0
    kept = list(dict.fromkeys(hosts))
    if len(kept) > MAX_ADDRESSES:
        # The loopback address, which comes last, is the one that peers on this host need.
        kept = [*kept[: MAX_ADDRESSES - 1], kept[-1]]
    return tuple(Address(host=host, port=port) for host in kept if port)


async def remember_typed(database: Database[PeerTables], identifier: bytes, address: Address) -> None:
    """Keep where the person found somebody: where no server tells, that is all there is after a start."""
    value = f"{address.host} {address.port}".encode()
    await database.write(lambda tables: tables.settings.set(_setting(identifier), value))


async def typed_before(database: Database[PeerTables], identifier: bytes) -> list[Address]:
    """Where the person found somebody before."""
    value = await database.read(lambda tables: tables.settings.get(_setting(identifier)))
    if value is None:
        return []
    host, _, port = value.decode().rpartition(" ")
    return [Address(host=host, port=int(port))]


def _setting(identifier: bytes) -> str:
    return f"address {identifier.hex()}"
