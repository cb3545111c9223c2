"""The rendezvous server's commands and replies, over its local socket."""

from .replies import Done
from .values import Tagged, Value


class ShowRoster(Tagged, frozen=True, kw_only=True):
    """Reply: RosterRows."""


class ShowLinks(Tagged, frozen=True, kw_only=True):
    """Reply: JoinLinks."""


class ShowServer(Tagged, frozen=True, kw_only=True, tag="status"):
    """Reply: ServerReport."""


class StopServer(Tagged, frozen=True, kw_only=True, tag="stop"):
    """End the process in order. Reply: Done."""


ServerCommand = ShowRoster | ShowLinks | ShowServer | StopServer


class RosterRow(Value, frozen=True, kw_only=True):
    """Who is online at the server."""

    handle: str
    name: str
    id: str
    address: str
    """The IP address from which the server sees them."""
    port: int
    """Where they listen for peers; 0 if nowhere."""
    since: int
    """Wall clock, ms since 1970."""
    heard: int
    """Seconds since they were last heard."""


class RosterRows(Tagged, frozen=True, kw_only=True):
    """Everybody online, by handle."""

    number: int
    """The roster number; unchanged means that nobody came, left or changed."""
    rows: tuple[RosterRow, ...]


class JoinLinks(Tagged, frozen=True, kw_only=True):
    """The links by which peers join."""

    id: str
    links: tuple[str, ...]


class ServerReport(Tagged, frozen=True, kw_only=True):
    """How the server is."""

    pid: int
    version: str
    id: str
    listens: tuple[str, ...]
    online: int
    capacity: int
    uptime: int
    refused: dict[str, int]
    """Connections and registrations refused since the start, by reason."""


ServerReply = Done | RosterRows | JoinLinks | ServerReport
