"""What every part of a peer is given: its key, its store, its clocks, its randomness, and where events go."""

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from ..api import Event
from ..core.allowance import Allowance
from ..core.identity import Identity
from ..storage.database import Database
from ..storage.peer_tables import PeerTables


@dataclass(frozen=True, slots=True)
class Environment:
    """Passed in, so that a test runs a hundred peers on one clock, from one seed."""

    identity: Identity
    database: Database[PeerTables]
    clock: IReactorTime
    """Monotonic seconds; decides everything."""
    wall: Callable[[], int]
    """Wall clock, ms since 1970; shown, and stored beside what happened."""
    random: Callable[[int], bytes]
    """So many random bytes."""
    emit: Callable[[Event], None]
    """Tells every front end."""
    heard: Callable[[], bool] = field(default=lambda: True, kw_only=True)
    """Whether there is a front end that is told."""
    attended: Callable[[], bool] = field(default=lambda: False, kw_only=True)
    """Whether a person at a front end that came later can be asked."""
    store: bytes
    """The id of our store, 16 bytes."""
    nonce: bytes = field(default=b"")
    """Made when the process started, 16 bytes."""
    allowance: Allowance = field(default_factory=Allowance)
    """How much may wait for delivery."""

    def fraction(self) -> float:
        """A random number from 0 up to 1."""
        return int.from_bytes(self.random(6), "big") / 2**48
