"""
Who is admitted, and what of an address is told to others. Policy alone: net/admission.py keeps the places below TLS.

Whether an address is admitted is judged after the hellos, so that whoever is not is told so in a word that a peer can
show.
"""

from functools import lru_cache
from ipaddress import IPv4Network

from ..core.addresses import is_private, parse
from ..core.messages import Address

SHARED = IPv4Network("100.64.0.0/10")
"""Carrier-grade and overlay networks (RFC 6598): never seen from the Internet, and where many labs live."""


@lru_cache(4096)
def is_admitted(host: str) -> bool:
    """Whether a peer that comes from the IP address `host` is admitted without --open: from private networks."""
    address = parse(host)
    return is_private(host) or (address is not None and address in SHARED)


@lru_cache(4096)
def to_list(observed: Address) -> Address | None:
    """
    The observation of a peer as others are told it: None where it would mean something else to them.

    A peer on our own host must not be listed as 127.0.0.1; a link-local address has no meaning without its link.
    """
    address = parse(observed.host)
    if address is None or address.is_loopback or address.is_link_local:
        return None
    return observed
