"""
Whether a peer can be reached: what a server that was asked to dial it back may dial, and how that can end.

docs/protocol.md, section 7. The server is no port scanner: only the address from which the peer itself comes, only the
port that the peer signed.
"""

from enum import StrEnum

from .addresses import is_loopback, may_dial, unmap
from .bodies import RecordBody
from .messages import Address


class Outcome(StrEnum):
    """How a dial-back ended; the value is the code on the wire."""

    REACHED = "reached"
    """The peer itself answered: it proved its key."""
    REFUSED = "refused"
    """Nothing listens there, or a firewall says so."""
    SILENT = "silent"
    """No answer in time: what a firewall that drops looks like."""
    UNREACHABLE = "unreachable"
    """The network, or a firewall that rejects, said that there is no way."""
    OTHER = "other"
    """Something else answered there."""
    NOT_DIALLED = "not-dialled"
    """The rules forbid that address or port, or the record names none."""
    LATER = "later"
    """Asked too often, or too many ask at once."""
    UNKNOWN = "unknown"
    """Said by nobody: what a code that we do not know is read as."""


def outcome_of(code: str) -> Outcome:
    """A code from the wire as we know it."""
    try:
        return Outcome(code)
    except ValueError:
        return Outcome.UNKNOWN


def door(observed: Address, record: RecordBody) -> Address | None:
    """
    Where a peer that comes from `observed` may be dialled back, or None: nowhere.

    A loopback address is its own machine, and therefore ours.
    """
    if not record.addresses:
        return None
    address = Address(host=unmap(observed.host), port=record.addresses[0].port)
    return address if may_dial(address, loopback=is_loopback(address.host)) else None
