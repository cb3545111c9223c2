"""How a peer stands with a server, what it says of itself there, and what the link to a server tells the peer."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from ..core.messages import Address
from ..core.roster_view import ViewChange

if TYPE_CHECKING:
    from .server_link import ServerLink


class ServerState(Enum):
    """How we stand with a server."""

    CONNECTING = "connecting"
    ONLINE = "online"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Presence:
    """What we tell a server about ourselves."""

    handle: str
    name: str
    addresses: tuple[Address, ...]


class ServerHost(Protocol):
    """What a server link tells the peer."""

    def presence(self, server: bytes, link_address: Address) -> Presence:
        """What to put into our record there; `link_address` is our end of the link."""

    def watched(self) -> Iterable[bytes]:
        """The ids to watch by name."""

    def server_changed(self, link: "ServerLink") -> None:
        """Its state changed."""

    def roster_changed(self, link: "ServerLink", change: ViewChange, first: bool) -> None:
        """Somebody came, left, or changed their record; `first`: it is the snapshot at the start of a link."""

    def displaced(self, where: str) -> None:
        """Another instance with our key is there."""
