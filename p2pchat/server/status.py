"""What the local socket is told: the server's commands (p2pchat.api.rendezvous) and their replies."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from .. import __version__
from ..api import (
    Done,
    JoinLinks,
    RosterRow,
    RosterRows,
    ServerCommand,
    ServerReply,
    ServerReport,
    ShowLinks,
    ShowRoster,
    ShowServer,
    StopServer,
)
from ..core.identity import format_id
from ..core.records import read_record
from ..net.admission import Admission
from .registration import Registration
from .rendezvous import Rendezvous


@dataclass(frozen=True, slots=True)
class Status:
    """Executes commands about one running server."""

    rendezvous: Rendezvous
    admission: Admission
    clock: IReactorTime
    links: Callable[[], tuple[str, ...]]
    listens: tuple[str, ...]
    started_at: float
    """In the clock's seconds."""
    stop: Callable[[], None]
    """Ends the process in order, soon."""

    def execute(self, command: ServerCommand) -> ServerReply:
        """Do it."""
        match command:
            case ShowRoster():
                return self._roster()
            case ShowLinks():
                return JoinLinks(id=format_id(self.rendezvous.identity.id), links=self.links())
            case ShowServer():
                return self._report()
            case StopServer():
                self.stop()
                return Done()

    def _roster(self) -> RosterRows:
        now = self.clock.seconds()
        rows = (self._row(registration, now) for registration in self.rendezvous.online)
        return RosterRows(number=self.rendezvous.roster.number, rows=tuple(sorted(rows, key=lambda row: row.handle)))

    def _row(self, registration: Registration, now: float) -> RosterRow:
        listing = self.rendezvous.roster.get(registration.peer)
        assert listing is not None, "who is online is on the roster"
        body = read_record(listing.record, self.rendezvous.identity.id)
        return RosterRow(
            handle=body.handle,
            name=body.name,
            id=format_id(registration.peer),
            address=registration.observed.host,
            port=body.addresses[0].port if body.addresses else 0,
            since=registration.since,
            heard=int(registration.connection.session.silence(now)),
        )

    def _report(self) -> ServerReport:
        refused = {str(refusal.value): count for refusal, count in self.admission.refused.items()}
        return ServerReport(
            pid=os.getpid(),
            version=__version__,
            id=format_id(self.rendezvous.identity.id),
            listens=self.listens,
            online=len(self.rendezvous.roster),
            capacity=self.rendezvous.roster.capacity,
            uptime=int(self.clock.seconds() - self.started_at),
            refused=refused | dict(self.rendezvous.refused),
        )
