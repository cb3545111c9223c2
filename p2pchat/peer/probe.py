"""Who answers at a server's address: one link, until the server has proved its key, and no further."""

from dataclasses import dataclass
from secrets import token_bytes

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IReactorTCP, IReactorTime

from ..core.errors import EndCode, HandshakeRefused, UserError
from ..core.identity import DEFAULT_SERVER_PORT, Domain, Identity, id_of, verify
from ..core.messages import VERSION, Hello, Message, ServerHello
from ..core.session import Session
from ..core.states import Side
from ..net.certificates import own_credentials
from ..net.connection import Connection, Ending, LinkKeeper, Sweep
from ..net.dialler import Dialler, why_not
from ..net.tls import Authenticated, ServerDiallerTLS
from .offline import FoundServer

HANDLE = "probe"
"""The handle in the hello of somebody who only looks; nothing is registered under it."""


class _Prober(LinkKeeper):
    """The keeper of that link."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.found: Deferred[FoundServer] = Deferred()
        """Fires once; fails with HandshakeRefused or UserError."""

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        hello = Hello(version=VERSION, handle=HANDLE, nonce=token_bytes(16), store=token_bytes(16))
        return Session(Side.CLIENT, hello, self._clock.seconds())

    def received(self, connection: Connection, message: Message) -> None:
        if isinstance(message, ServerHello):
            self._check(connection.authenticated, message)
            connection.close(EndCode.LEAVING)

    def _check(self, authenticated: Authenticated, hello: ServerHello) -> None:
        own = authenticated.certified or authenticated.key == hello.key
        if not own or not verify(hello.key, Domain.SERVER, authenticated.exporter, hello.proof):
            self._fail("it does not prove its key")
        else:
            self._succeed(
                FoundServer(
                    id_of(hello.key),
                    hello.key,
                    authenticated.certified,
                    expires=authenticated.expires,
                    time=hello.time,
                    group=authenticated.group,
                )
            )

    def writable(self, connection: Connection) -> None:
        """Nothing waits to be sent."""

    def lost(self, connection: Connection, ending: Ending) -> None:
        self._fail(ending.detail or f"it ended the connection ({ending.code.value})")

    def _succeed(self, found: FoundServer) -> None:
        if not self.found.called:
            self.found.callback(found)

    def _fail(self, reason: str) -> None:
        if not self.found.called:
            self.found.errback(HandshakeRefused(reason))


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look."""

    host: str
    port: int = DEFAULT_SERVER_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def probe_server(tcp: IReactorTCP, clock: IReactorTime, host: str, port: int, wall: int) -> FoundServer:
    """
    The server at `host` and `port`; `wall` is the time in ms since 1970.

    It is shown a key that was made for this alone, so it learns nothing but our address. Raises UserError.
    """
    place = Place(host, port)
    stranger = own_credentials(Identity.from_seed(token_bytes(32)).private_key, wall)
    prober = _Prober(clock)
    dialler = Dialler(tcp, clock, Sweep(clock), 0)
    try:
        await dialler.dial(host, port, ServerDiallerTLS(stranger, host), prober)
        return await prober.found
    except (DNSLookupError, ValueError):  # nobody knows that name, or none can be like that
        raise UserError(f"there is no host {host!r}: check the address") from None
    except ConnectError as error:
        raise UserError(
            f"cannot reach {place}: {why_not(error)}: check the address, and that the server runs"
        ) from None
    except HandshakeRefused as refusal:
        raise UserError(f"what answers at {place} cannot be joined: {refusal}") from None
