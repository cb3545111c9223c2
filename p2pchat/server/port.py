"""The server port: admission, TLS, and the rendezvous behind them."""

import resource
from collections.abc import Callable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.logger import Logger

from ..config import ServerSettings
from ..core.addresses import written
from ..core.errors import EndCode, StateError
from ..core.messages import Address
from ..net.admission import DESCRIPTOR_SHARE, DESCRIPTORS_KEPT, MAX_PENDING, Admission, AdmissionLimits
from ..net.connection import Sweep
from ..net.listener import listen
from ..net.tls import ListenerTLS
from .rendezvous import Rendezvous, RendezvousFactory


class ServerPort:
    """The one port on which peers find the server; `admission` counts who was refused before saying anything."""

    log = Logger()

    def __init__(
        self, reactor: IReactorTCP, clock: IReactorTime, settings: ServerSettings, admission: Admission
    ) -> None:
        self.admission = admission
        self._reactor = reactor
        self._clock = clock
        self._settings = settings
        self._sweep = Sweep(clock)
        self._port: IListeningPort | None = None

    def open(self, tls: ListenerTLS, rendezvous: Rendezvous) -> None:
        """Listen; raises StateError."""
        factory = RendezvousFactory(rendezvous, self._clock, self._sweep)
        wanted, interface = self._settings.port, self._settings.interface
        try:
            self._port = listen(self._reactor, self._clock, factory, tls, self.admission, wanted, interface)
        except CannotListenError as error:
            raise StateError(_cannot_listen(wanted, interface, error)) from None

    @property
    def address(self) -> Address:
        """Where it listens."""
        assert self._port is not None, "the port is open"
        host = self._port.getHost()
        assert isinstance(host, IPv4Address | IPv6Address)
        return Address(host=host.host, port=host.port)

    @property
    def listens(self) -> str:
        """The same as people write it."""
        return written(self.address)

    def close(self) -> Deferred[None]:
        """Let nobody in any more, and drop those who did not say hello; links are the rendezvous's to end."""
        for connection in self._sweep.connections:
            if not connection.alive:
                connection.close(EndCode.LEAVING)
        self.admission.close()
        if self._port is None:
            return succeed(None)
        port, self._port = self._port, None
        return port.stopListening() or succeed(None)


def make_room(capacity: int) -> AdmissionLimits:
    """The limits that fit this process, after it was allowed as many descriptors as `capacity` peers need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = int((capacity + MAX_PENDING + DESCRIPTORS_KEPT) / DESCRIPTOR_SHARE) + 1
    if soft < needed and soft != resource.RLIM_INFINITY:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return AdmissionLimits.for_descriptors(needed if soft == resource.RLIM_INFINITY else soft)


def make_admission(clock: IReactorTime, limits: AdmissionLimits, draw: Callable[[], float]) -> Admission:
    """Admission by room alone: who is not admitted for the address is told so after the hellos."""
    return Admission(clock, limits, lambda _: True, draw)


def _cannot_listen(port: int, interface: str, error: CannotListenError) -> str:
    reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    where = f"port {port}" + (f" of {interface}" if interface else "")
    return f"cannot listen on {where}: {reason}; stop what uses it, or choose another with --port or --interface"
