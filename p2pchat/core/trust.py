"""
Whom we let in: what happens to a request to chat, and what a known peer must still be able to do.

Pure decisions; the facts they need are passed in. Contacts are ids: no name decides anything here.
"""

from dataclasses import dataclass
from enum import Enum

ONCE_LASTS = 24 * 3600.0
"""Seconds that `once` consent stands at most, over lost links too; Close ends it before."""

TIMED_AT_MOST = 365 * 24 * 3600.0
"""Seconds that timed consent stands at most: whoever means longer means `always`."""

REQUEST_LASTS = 120.0
"""Seconds after which a request to chat that nobody answered is void."""

MAX_REQUESTS = 20
"""Requests that wait for a person at a time: more nobody reads."""

MAX_REQUESTS_PER_ADDRESS = 3
"""Of them from one IP address."""


class Scope(Enum):
    """How long consent stands."""

    ONCE = "once"
    TIMED = "timed"
    ALWAYS = "always"


class Policy(Enum):
    """What happens to requests for which no consent stands (`--accept`)."""

    ASK = "ask"
    CONTACTS = "contacts"
    ALL = "all"


class Answer(Enum):
    """What we say to somebody who wants to chat."""

    ACCEPT = "accept"
    ASK = "ask"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Facts:
    """What we know of somebody who has just proved their key."""

    blocked: bool = False
    consent: Scope | None = None
    """What stands, if anything."""
    hybrid_before: bool = False
    """They once agreed on keys with the post-quantum hybrid."""
    classical_allowed: bool = False
    """The person allowed them to come without it."""


def judge_request(facts: Facts, policy: Policy) -> Answer:
    """What to say to a request."""
    if facts.blocked:
        return Answer.REJECT
    if facts.consent is not None or policy is Policy.ALL:
        return Answer.ACCEPT
    return Answer.ASK if policy is Policy.ASK else Answer.REJECT


def may_come_back(facts: Facts, hybrid: bool) -> bool:
    """Whether the key agreement is no step back from what this peer could do before."""
    return hybrid or not facts.hybrid_before or facts.classical_allowed


def has_room(waiting: int, from_address: int) -> bool:
    """Whether one more request may wait for the person."""
    return waiting < MAX_REQUESTS and from_address < MAX_REQUESTS_PER_ADDRESS


def accepted_scope(facts: Facts, policy: Policy) -> Scope:
    """The scope that an Accept without a person's word tells."""
    if facts.consent is not None:
        return facts.consent
    return Scope.ALWAYS if policy is Policy.ALL else Scope.ONCE
