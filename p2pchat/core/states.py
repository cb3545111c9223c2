"""
What may cross a link when: for each side and each state the messages that are legal, and the state that each leads to.

docs/protocol.md, sections 1, 4, 6, 7 and 8. core/session.py goes by these tables.
"""

from enum import Enum

from .messages import (
    DIAL_BACK,
    Accept,
    Ask,
    Bye,
    Changes,
    Declined,
    DialBack,
    DialledBack,
    Entry,
    Have,
    Hello,
    History,
    Message,
    Ping,
    Pong,
    Record,
    Refused,
    Register,
    Registered,
    Reject,
    RosterPage,
    Seen,
    Select,
    ServerHello,
    Watch,
    Window,
)


class State(Enum):
    """Where a link is in its life."""

    # Enum's own hash runs Python code for every look into the tables: a quarter of a microsecond.
    __hash__ = object.__hash__

    GREETING = "greeting"
    """The far side's hello has not come."""
    ASKING = "asking"
    """Peer link: nobody has accepted."""
    WE_ACCEPTED = "we accepted"
    """Peer link: our accept was sent."""
    THEY_ACCEPTED = "they accepted"
    """Peer link: their accept has come."""
    OPEN = "open"
    """Peer link: both accepted."""
    SELECTED = "selected"
    """Peer link: the leader chose it; conversations flow."""
    REGISTERING = "registering"
    """Server link: the peer is not on the roster yet."""
    REGISTERED = "registered"
    """Server link: the peer is online."""
    CLOSED = "closed"
    """Nothing more may cross."""


class Side(Enum):
    """Which end of which link we are."""

    __hash__ = object.__hash__

    LEADER = "leader"
    """Peer link: our id is the lower one."""
    FOLLOWER = "follower"
    """Peer link: our id is the higher one."""
    CLIENT = "client"
    """Server link: the peer."""
    SERVER = "server"
    """Server link: the rendezvous server."""


Legal = dict[State, dict[type[Message], State]]
"""For each state the messages that may cross in one direction, and the state that each leads to."""

S = State


def _stay(state: State, *kinds: type[Message]) -> dict[type[Message], State]:
    """These messages change nothing; and those that are legal whenever somebody is there."""
    legal: tuple[type[Message], ...] = (*kinds, Ping, Pong)
    return dict.fromkeys(legal, state) | {Bye: S.CLOSED}


_CHAT = (Have, Entry, Refused, Seen, Window, History, Record)

_PEER_SENDS: Legal = {
    S.GREETING: {},
    S.ASKING: _stay(S.ASKING, Ask) | {Accept: S.WE_ACCEPTED, Reject: S.CLOSED},
    S.WE_ACCEPTED: _stay(S.WE_ACCEPTED),
    S.THEY_ACCEPTED: _stay(S.THEY_ACCEPTED, Ask) | {Accept: S.OPEN, Reject: S.CLOSED},
    S.OPEN: _stay(S.OPEN, Record),
    S.SELECTED: _stay(S.SELECTED, *_CHAT),
    S.CLOSED: {},
}
_PEER_RECEIVES: Legal = {
    S.GREETING: {Hello: S.ASKING},
    S.ASKING: _stay(S.ASKING, Ask) | {Accept: S.THEY_ACCEPTED, Reject: S.CLOSED},
    S.WE_ACCEPTED: _stay(S.WE_ACCEPTED, Ask) | {Accept: S.OPEN, Reject: S.CLOSED},
    S.THEY_ACCEPTED: _stay(S.THEY_ACCEPTED),
    S.OPEN: _stay(S.OPEN, Record),
    S.SELECTED: _stay(S.SELECTED, *_CHAT),
    S.CLOSED: {},
}
_TO_SERVER: Legal = {
    S.GREETING: {},
    S.REGISTERING: _stay(S.REGISTERING, Register),
    S.REGISTERED: _stay(S.REGISTERED, Register, Watch, DialBack),
    S.CLOSED: {},
}
_FROM_SERVER: Legal = {
    S.GREETING: {},
    S.REGISTERING: _stay(S.REGISTERING, Declined) | {Registered: S.REGISTERED},
    S.REGISTERED: _stay(S.REGISTERED, Registered, Declined, RosterPage, Changes, DialledBack),
    S.CLOSED: {},
}
_SELECTING: Legal = {S.OPEN: {Select: S.SELECTED}}


def _merged(legal: Legal, more: Legal) -> Legal:
    return {state: kinds | more.get(state, {}) for state, kinds in legal.items()}


SENDS: dict[Side, Legal] = {
    Side.LEADER: _merged(_PEER_SENDS, _SELECTING),
    Side.FOLLOWER: _PEER_SENDS,
    Side.CLIENT: _TO_SERVER,
    Side.SERVER: _merged(_FROM_SERVER, {S.GREETING: {Bye: S.CLOSED}}),
}
"""What we may send, and the state that it leads to. The first hello is sent by the constructor."""

RECEIVES: dict[Side, Legal] = {
    Side.LEADER: _PEER_RECEIVES,
    Side.FOLLOWER: _merged(_PEER_RECEIVES, _SELECTING),
    Side.CLIENT: _merged(_FROM_SERVER, {S.GREETING: {ServerHello: S.REGISTERING, Bye: S.CLOSED}}),
    Side.SERVER: _merged(_TO_SERVER, {S.GREETING: {Hello: S.REGISTERING}}),
}
"""What the far side may send, and the state that it leads to."""

ONCE = frozenset({Ask, Accept})
"""Legal in its states, but once in each direction."""

NEEDS: dict[type[Message], str] = {DialBack: DIAL_BACK, DialledBack: DIAL_BACK}
"""Legal in its states, but only where both hellos listed this feature."""
