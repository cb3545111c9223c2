"""
Addresses that others supply, and which of them may be dialled (docs/protocol.md, section 11).

What a person types is not bound by these rules.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from .messages import Address

MAX_CANDIDATES = 4
"""Addresses of a peer that are tried."""

LOWEST_PORT = 1024
"""Ports below belong to services that we must not be made to knock at."""

REMEMBERED = 2048
"""Addresses that need not be read again: reading one takes 5 microseconds (an IPv4-mapped one 30), some of them
several times for each link."""


@lru_cache(REMEMBERED)
def unmap(host: str) -> str:
    """An IP address as text, an IPv4-mapped one as the IPv4 address that it means; names come back as they are."""
    address = parse(host)
    return host if address is None else str(address)


@lru_cache(REMEMBERED)
def parse(host: str) -> IPv4Address | IPv6Address | None:
    """An IP address, unmapped and without a zone; None for a name."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address."""
    address = parse(host)
    return address is not None and address.is_loopback


def may_dial(address: Address, *, loopback: bool) -> bool:
    """
    Whether an address that somebody supplied may be dialled.

    `loopback`: our own link to the server that gave it is a loopback one, or they are on our own host.
    """
    host = parse(address.host)
    if host is None or address.port < LOWEST_PORT:
        return False
    if host.is_loopback:
        return loopback
    broadcast = host == IPv4Address("255.255.255.255")
    return not (host.is_unspecified or host.is_multicast or host.is_link_local or broadcast)


def candidates(
    signed: Iterable[Address], observed: Address | None, *, loopback: bool, own: Iterable[Address] = ()
) -> list[Address]:
    """
    What to dial, in order: the signed addresses, then the server's observation with the ports that they signed.

    `own` are addresses at which we listen ourselves: dialling them reaches nobody else.
    """
    signed = list(signed)
    hints = [] if observed is None else [Address(host=observed.host, port=address.port) for address in signed[:1]]
    wanted: list[Address] = []
    avoided = {_plain(address) for address in own}
    for address in (*signed[:MAX_CANDIDATES], *hints):
        plain = _plain(address)
        if may_dial(plain, loopback=loopback) and plain not in wanted and plain not in avoided:
            wanted.append(plain)
    if loopback:
        # On one host the loopback address is the surest one.
        wanted.sort(key=lambda address: not is_loopback(address.host))
    return wanted[:MAX_CANDIDATES]


def _plain(address: Address) -> Address:
    """The one form of an address by which it is compared."""
    return Address(host=unmap(address.host), port=address.port)


def is_private(host: str) -> bool:
    """Whether `host` is an address of a private network, loopback and link-local included (RFC 1918, RFC 4193)."""
    address = parse(host)
    return address is not None and (address.is_private or address.is_link_local or address.is_loopback)


def written(address: Address) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"
