"""
Roster records: what a peer says about itself, signed, for one server (docs/protocol.md, section 7).

A record travels and is stored as the bytes that were signed; here they are made, checked and read. A server can hide
one or tell an old one, but invent or change nothing.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from .addresses import REMEMBERED
from .bodies import RecordBody, decode_body, encode_body
from .errors import EndCode, LocalProtocolError, RemoteProtocolError
from .identity import Domain, Identity, verify
from .messages import MAX_INTEGER, MAX_RECORD, Address, Signed

MAX_ADDRESSES = 4
"""Most addresses in a record."""


LATEST_TIME = 2**48
"""ms since 1970 that a server's clock may show: the year 10889. What is left above lasts for ever."""


def make_record(
    identity: Identity, server: bytes, handle: str, name: str, addresses: Iterable[Address], counter: int
) -> Signed:
    """
    The record of `identity` for the server with the id `server`; the first MAX_ADDRESSES addresses are taken.

    Raises LocalProtocolError for what nobody would accept.
    """
    body = RecordBody(
        key=identity.key,
        server=server,
        handle=handle,
        name=name,
        addresses=tuple(addresses)[:MAX_ADDRESSES],
        counter=counter,
    )
    data = encode_body(body)
    if len(data) > MAX_RECORD:
        raise LocalProtocolError(f"a record of {len(data)} bytes")
    record = Signed(body=data, signature=identity.sign(Domain.RECORD, data))
    try:
        check_record(record, server)
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"cannot make that record: {error}") from None
    return record


def read_record(record: Signed, server: bytes) -> RecordBody:
    """
    What a record says, its signature not checked: for one that was checked before.

    Raises RemoteProtocolError(BAD_RECORD) if it is unreadable, was made for another server than that with the id
    `server`, or names something that is no address.
    """
    try:
        body = decode_body(RecordBody, record.body)
    except RemoteProtocolError as error:
        raise _bad(str(error)) from None
    if body.server != server:
        raise _bad("a record for another server")
    if not all(is_address_text(address.host) for address in body.addresses):
        raise _bad("a record with something that is no address")
    return body


def check_record(record: Signed, server: bytes) -> RecordBody:
    """
    What a record says, proved to come from the owner of its `key`.

    Raises RemoteProtocolError(BAD_RECORD) as `read_record` does, and for a wrong signature.
    """
    body = read_record(record, server)
    if not verify(body.key, Domain.RECORD, record.body, record.signature):
        raise _bad("a record with a wrong signature")
    return body


def next_counter(last: int, server_time: int) -> int:
    """
    The counter of a new record: above `last`, our highest so far, and not below the server's clock.

    A clock that is none is not followed: a server could use up all counters, and with them our place at its successor.
    """
    return min(max(last + 1, server_time if server_time <= LATEST_TIME else 0), MAX_INTEGER)


@lru_cache(REMEMBERED)
def is_address_text(host: str) -> bool:
    """Whether `host` is an IP address as RFC 5952 writes it: no name, no zone, and no IPv4 address inside IPv6."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address.scope_id is not None):
        return False
    return str(address) == host


def _bad(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(EndCode.BAD_RECORD, reason)
