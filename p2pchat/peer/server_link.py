"""
The link to one rendezvous server: dial, check who it is, register, watch; and again when it is lost.

What a server says is a hint. It is believed about who is online, and its records are believed as far as their peers
signed them.
"""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..api import ServerStatus
from ..core.addresses import is_loopback, written
from ..core.errors import EndCode, HandshakeRefused, RemoteProtocolError
from ..core.identity import Domain, format_id, id_of, verify
from ..core.messages import (
    DIAL_BACK,
    VERSION,
    Address,
    Bye,
    Changes,
    Declined,
    DialBack,
    DialledBack,
    Hello,
    Message,
    Ping,
    Pong,
    Register,
    Registered,
    RosterPage,
    ServerHello,
    Signed,
)
from ..core.records import check_record, make_record, next_counter
from ..core.roster_view import RosterView
from ..core.session import Session
from ..core.states import Side
from ..net.connection import Connection, Ending, LinkKeeper
from ..net.dialler import Dialler, why_not
from ..net.tls import Authenticated, ServerDiallerTLS
from ..storage.servers import Server
from .dial_back import DialBackQuestion
from .environment import Environment
from .pursuit import Backoff
from .round_trips import RoundTrips
from .server_host import ServerHost, ServerState

REFUSED_WAIT = 30.0
"""Seconds before a server that refused us is asked again."""

SILENT_FOR = 15.0
"""Seconds without a word after which a link seems dead to whoever asks: the heartbeat is answered every 10."""

MAX_COUNTER_TRIES = 3
"""Records signed with a higher counter on one link; more means that the server plays with us."""


class ServerLink(LinkKeeper):
    """One server, joined for good; the keeper of the Connection to it."""

    log = Logger()

    def __init__(
        self,
        environment: Environment,
        server: Server,
        dialler: Dialler,
        tls: ServerDiallerTLS,
        host: ServerHost,
        view: RosterView,
    ) -> None:
        self.server = server
        self.view = view
        self.state = ServerState.CONNECTING
        self.reason = ""
        self.observed: Address | None = None
        self.own_address: Address | None = None
        """Our end of the link, while there is one."""
        self.record: Signed | None = None
        """What we last signed for this server."""
        self._environment = environment
        self._dialler = dialler
        self._tls = tls
        self._host = host
        self._backoff = Backoff(environment.fraction)
        self._connection: Connection | None = None
        self._left: Connection | None = None
        """One on which the server said goodbye, until its socket is gone."""
        self._session: Session | None = None
        self._authenticated: Authenticated | None = None
        self._server_time = 0
        self._greeted_at = 0.0
        self._registered_at: float | None = None
        """When the server took us, on this link."""
        self._question = DialBackQuestion(environment.clock)
        self._trips = RoundTrips(environment.clock.seconds)
        self._tries = 0
        self._timer: IDelayedCall | None = None
        self._dial: Deferred[None] | None = None
        self._running = False

    @property
    def local(self) -> bool:
        """
        Whether the link is a loopback one: then loopback addresses of others may be dialled.

        While there is no link it is what it would be, so that peers of one host go on while their server is dead.
        """
        if self.own_address is not None:
            return is_loopback(self.own_address.host)
        return self.server.host == "localhost" or is_loopback(self.server.host)

    @property
    def certificate_expires(self) -> int | None:
        """When the certificate ends that an authority issued for the server, ms since 1970; None without one."""
        return None if self._authenticated is None else self._authenticated.expires

    @property
    def group(self) -> str:
        """The key agreement of the link; empty without one."""
        if self._session is None or self._authenticated is None:
            return ""
        return self._authenticated.group

    @property
    def clock_ahead(self) -> int | None:
        """How many ms our clock is ahead of the server's; None while it has not told its own."""
        if not self._server_time:
            return None
        environment = self._environment
        passed = int((environment.clock.seconds() - self._greeted_at) * 1000)
        return environment.wall() - (self._server_time + passed)

    @property
    def on_this_machine(self) -> bool:
        """Whether the link does not leave this machine: then both of its ends have one address."""
        if self._connection is None or self.own_address is None:
            return False
        return self._connection.peer_address.host == self.own_address.host

    @property
    def tells_reach(self) -> bool:
        """Whether it is there, and can be asked to dial us back."""
        return self._connection is not None and self._session is not None and self._session.may_send(DialBack)

    def dial_back(self) -> "Deferred[DialledBack | None]":
        """Ask whether others can reach us; fires with None if there is no answer. Only where `tells_reach`."""
        connection = self._connection
        assert connection is not None, "it is there"
        return self._question.ask(connection.send)

    def measure(self) -> "Deferred[float | None]":
        """How many seconds an answer takes; fires with None where it is not there, or the link ends before."""
        connection, session = self._connection, self._session
        if connection is None or session is None or not connection.alive or not session.may_send(Ping):
            return succeed(None)
        return self._trips.measure(connection.ping)

    @property
    def address(self) -> str:
        """The IP address of the server, while there is a link."""
        there = self._connection is not None and self._connection.alive
        return self._connection.peer_address.host if there and self._connection is not None else ""

    def status(self) -> ServerStatus:
        """For front ends."""
        own = self._environment.identity.id
        online = sum(row.online and row.id != own for row in self.view.rows())
        return ServerStatus(
            id=format_id(self.server.id),
            address=written(Address(host=self.server.host, port=self.server.port)),
            state=self.state.value,
            reason=self.reason,
            observed="" if self.observed is None else self.observed.host,
            online=online if self.state is ServerState.ONLINE else 0,
            trust=self.server.trust,
            handle=self.server.handle,
        )

    # --- life

    def start(self) -> None:
        """Dial, and keep the link from now on."""
        if not self._running:
            self._running = True
            # The end of one that was stopped before may still come, and is nothing to us.
            self._connection = self._session = None
            self._dial_now()

    def stop(self, code: EndCode = EndCode.LEAVING) -> None:
        """End the link in order, and do not dial again."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dial is not None:
            self._dial.cancel()
        if self._connection is not None:
            self._connection.close(code)

    def reconnect(self, named: bool) -> bool:
        """
        Dial now instead of waiting, and say whether that is done.

        A link that is up is dropped for it only if it has fallen silent, or if it is the one that was `named`. A
        server that refused us is asked no sooner.
        """
        if not self._running or self.state is ServerState.REFUSED:
            return False
        self._backoff.reset()
        if self._session is not None and self._connection is not None and self._connection.alive:
            silence = self._session.silence(self._environment.clock.seconds())
            if named or silence >= SILENT_FOR:
                self._connection.abort("dialled again")
                return True
            return False
        if self._timer is None:
            return False
        self._timer.reset(0)
        return True

    def _dial_now(self) -> None:
        self._timer = None
        if self._left is not None:
            self._left.abort("dialled again")
        self._dial = Deferred.fromCoroutine(self._try())
        self._dial.addErrback(lambda failure: self._dial_failed(why_not(failure.value)))

    async def _try(self) -> None:
        connection = await self._dialler.dial(self.server.host, self.server.port, self._tls, self)
        # There is nothing to say on it yet, but stop() must be able to end it.
        self._connection = connection

    def _dial_failed(self, text: str) -> None:
        self._dial = None
        if self._running:
            self._lose(ServerState.LOST, text)

    def _lose(self, state: ServerState, reason: str) -> None:
        changed = self.state is not state or self.reason != reason
        self.state, self.reason = state, reason
        self.own_address = None
        # First of all: whatever goes wrong below, it is dialled again.
        if self._running and self._timer is None:
            wait = self._backoff.next()
            if state is ServerState.REFUSED:
                wait = max(wait, REFUSED_WAIT)
            self._timer = self._environment.clock.callLater(wait, self._dial_now)
        if changed:
            self._host.server_changed(self)
        self._question.end()
        self._trips.end()

    # --- LinkKeeper

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        if not self._running:
            raise HandshakeRefused("we have stopped")
        if self.server.trust == "certified" and not authenticated.certified:
            raise HandshakeRefused("it had a certificate of an authority before and has none now")
        if not authenticated.certified and id_of(authenticated.key) != self.server.id:
            raise HandshakeRefused("another key answers there; if it is a new one, join again with the whole link")
        self._connection = connection
        self._authenticated = authenticated
        self.own_address = connection.own_address
        self._tries = 0
        environment = self._environment
        hello = Hello(
            version=VERSION,
            handle=self.server.handle,
            nonce=environment.nonce,
            store=environment.store,
            features=(DIAL_BACK,),
        )
        self._session = Session(Side.CLIENT, hello, environment.clock.seconds())
        return self._session

    def received(self, connection: Connection, message: Message) -> None:
        match message:
            case ServerHello():
                self._greeted(connection, message)
            case Registered(handle=handle):
                self._registered(connection, handle)
            case Declined():
                self._declined(connection, message)
            case RosterPage() | Changes():
                self._take_roster(connection, message)
            case Pong(number=number):
                self._trips.answered(number)
            case DialledBack():
                self._question.answered(message)
            case Bye():
                # Now, and not when its socket is gone at last: that is up to the server.
                self._left = connection
                self._end(Ending(message.reason, True))

    def writable(self, connection: Connection) -> None:
        """Nothing waits for it."""

    def lost(self, connection: Connection, ending: Ending) -> None:
        if connection is self._left:
            self._left = None
        if connection is self._connection:
            self._end(ending)

    def _end(self, ending: Ending) -> None:
        if self._registered_at is not None:
            self._backoff.ended(self._environment.clock.seconds() - self._registered_at)
        self._dial = None
        self._connection = None
        self._session = None
        self._registered_at = None
        if ending.by_them and ending.code is EndCode.DISPLACED:
            self._running = False
            self._lose(ServerState.REFUSED, ending.code.value)
            self._host.displaced(self.server.host)
            return
        refused = ending.code in (EndCode.FULL, EndCode.NOT_ADMITTED, EndCode.HANDLE_TAKEN, EndCode.VERSION)
        reason = ending.code.value if ending.by_them else ending.detail or ending.code.value
        self._lose(ServerState.REFUSED if refused else ServerState.LOST, reason)

    # --- what it says

    def _greeted(self, connection: Connection, hello: ServerHello) -> None:
        assert self._authenticated is not None
        proved = verify(hello.key, Domain.SERVER, self._authenticated.exporter, hello.proof)
        if not proved or id_of(hello.key) != self.server.id:
            raise RemoteProtocolError(EndCode.VIOLATION, "the server could not prove its key")
        if hello.version < VERSION:
            connection.close(EndCode.VERSION)
            return
        self.observed = hello.observed
        self._server_time, self._greeted_at = hello.time, self._environment.clock.seconds()
        self._run(self._register(connection, self.server.counter))

    async def _register(self, connection: Connection, above: int) -> None:
        """Sign a record with a counter that is on the disk before it leaves."""
        server = self.server.id
        counter = next_counter(max(above, self.server.counter), self._server_time)
        await self._environment.database.write(lambda tables: tables.servers.raise_counter(server, counter))
        self.server = self.server._replace(counter=counter)
        if not connection.alive or self.own_address is None:
            return
        presence = self._host.presence(server, self.own_address)
        self.server = self.server._replace(handle=presence.handle)
        record = make_record(
            self._environment.identity, server, presence.handle, presence.name, presence.addresses, counter
        )
        self.record = record
        connection.send(Register(record=record))

    def _registered(self, connection: Connection, handle: str) -> None:
        self.server = self.server._replace(handle=handle)
        if self._registered_at is None:
            self._registered_at = self._environment.clock.seconds()
        if self.state is not ServerState.ONLINE:
            self._watch(connection)

    def _declined(self, connection: Connection, message: Declined) -> None:
        own = self._environment.identity
        if message.reason is EndCode.STALE_RECORD and message.record is not None and self._tries < MAX_COUNTER_TRIES:
            self._tries += 1
            newer = check_record(message.record, self.server.id)
            if newer.key == own.key:
                self._run(self._register(connection, newer.counter))
                return
        known = message.reason is not EndCode.UNKNOWN
        connection.close(message.reason, "" if known else "the server does not take our record, and we do not know why")

    def _watch(self, connection: Connection) -> None:
        connection.send(self.view.watch(True, self._host.watched()))

    def _take_roster(self, connection: Connection, message: RosterPage | Changes) -> None:
        change = self.view.apply(message)
        if change.watch_again:
            self._watch(connection)
        first = self.state is not ServerState.ONLINE
        self._host.roster_changed(self, change, first)
        if first and isinstance(message, RosterPage) and not message.more:
            # Only now is it known who is online.
            self.state, self.reason = ServerState.ONLINE, ""
            self._host.server_changed(self)

    def watch_again(self) -> None:
        """The ids to watch by name changed."""
        if self._connection is not None and self.state is ServerState.ONLINE:
            self._watch(self._connection)

    def _run(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(coroutine).addErrback(lambda failure: self._failed(failure.getErrorMessage()))

    def _failed(self, text: str) -> None:
        self.log.error("The link to the server failed: {text}", text=text)
        if self._connection is not None:
            self._connection.close(EndCode.INTERNAL, text)
