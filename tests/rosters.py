"""Peers with records, for tests of whatever has to do with the roster."""

import hashlib
from functools import cache

from p2pchat.core.framing import encode_frame
from p2pchat.core.identity import Identity
from p2pchat.core.messages import Address, Listing, Signed, decode, encode
from p2pchat.core.records import make_record, read_record
from p2pchat.core.roster import Roster
from p2pchat.core.watchers import Frame, Watcher

SERVER = hashlib.sha256(b"the server").digest()
"""The id of the server that the records are for."""

HOME = (Address(host="10.0.0.9", port=6666),)


@cache
def identity(number: int) -> Identity:
    """One of as many peers as it takes."""
    return Identity.from_seed(hashlib.sha256(b"peer %d" % number).digest())


@cache
def record_of(peer: Identity, counter: int, server: bytes = SERVER, addresses: tuple[Address, ...] = HOME) -> Signed:
    """A good record."""
    return make_record(peer, server, f"peer-{peer.id.hex()[:8]}", "", addresses, counter)


def put(roster: Roster, peer: Identity, counter: int, now: float, observed: Address | None = None) -> object:
    """Register a peer; gives what is wrong with it."""
    record = record_of(peer, counter)
    return roster.put(peer.id, read_record(record, SERVER), record, observed, now)


def listing_of(peer: Identity, counter: int, server: bytes = SERVER) -> Listing:
    """A row of the roster."""
    return Listing(record=record_of(peer, counter, server), online=True)


class Quiet:
    """A reader that has to be asked."""

    def read_on(self) -> None:
        """Nothing."""


def decoded(frame: Frame) -> object:
    """The message in a frame, which is checked to be what it says and to fit."""
    size, body = int.from_bytes(frame.data[:4], "big"), frame.data[4:]
    message = decode(body)
    assert size == len(body), "a frame of another length"
    assert isinstance(message, frame.kind), "a frame of another kind"
    assert encode_frame(encode(message))
    return message


def read_all(watcher: Watcher) -> list[object]:
    """Everything that a watcher has to read now."""
    messages = []
    while (frame := watcher.next_frame()) is not None:
        messages.append(decoded(frame))
    return messages
