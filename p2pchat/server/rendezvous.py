"""
The rendezvous: every link of peers to this server, who of them is online, and the pushes to those who watch.

It keeps the links (net.connection.LinkKeeper). It never holds a message of anybody.
"""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..core.addresses import parse
from ..core.bodies import RecordBody
from ..core.errors import EndCode
from ..core.identity import Domain, Identity, id_of
from ..core.messages import DIAL_BACK, VERSION, Address, Message, ServerHello, Signed
from ..core.reach import Outcome, door
from ..core.records import read_record
from ..core.roster import Roster
from ..core.session import Session
from ..core.states import Side
from ..net.admission import source_of
from ..net.connection import Connection, Ending, LinkKeeper, Sweep
from ..net.incidents import IncidentLog
from ..net.listener import ListenerFactory
from ..net.tls import Authenticated
from . import admission
from .dial_back import DialBacks
from .handles import HandleBook
from .registration import Registration

BYTES_PER_TURN = 512 * 1024
"""What is written to watchers in one turn of the reactor: some 10 ms, and no more memory than that at a time."""

MAX_UNDECIDED = 256
"""Links from one source that said hello and are not registered: all peers of a host may start at once, and no more."""

FRAME_COST = 1024
"""What a small frame counts for: writing it costs as much time as so many bytes."""


class Rendezvous(LinkKeeper):
    """
    All links of one server.

    `wall` is the wall clock in ms since 1970, `nonce` 16 random bytes of this process, `everybody` what --open says.
    Without `dial_backs` no peer may ask to be dialled back.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        identity: Identity,
        handles: HandleBook,
        *,
        capacity: int,
        nonce: bytes,
        incidents: IncidentLog,
        wall: Callable[[], int],
        everybody: bool = False,
        dial_backs: DialBacks | None = None,
    ) -> None:
        self.identity = identity
        self.roster = Roster(capacity)
        self.refused: Counter[str] = Counter()
        """Registrations and links refused since the start, by code."""
        self.incidents = incidents
        """Where what strangers do wrong is written."""
        self._clock = clock
        self._handles = handles
        self._nonce = nonce
        self._wall = wall
        self._everybody = everybody
        self._dial_backs = dial_backs
        self._links: dict[Connection, Registration] = {}
        self._undecided: defaultdict[str, set[Registration]] = defaultdict(set)
        """By source, who said hello and is not registered."""
        self._online: dict[bytes, Registration] = {}
        self._claiming: set[bytes] = set()
        """Peers not online whose new handle is being written: their places are taken already."""
        self._push: IDelayedCall | None = None
        self._readers: OrderedDict[Registration, None] = OrderedDict()
        self._feeding: IDelayedCall | None = None
        self._closing = False
        self._closed: Deferred[None] | None = None

    @property
    def online(self) -> tuple[Registration, ...]:
        """Everybody registered."""
        return tuple(self._online.values())

    # --- LinkKeeper

    def begin(self, connection: Connection, authenticated: Authenticated) -> Session:
        """Greet whoever completed a handshake."""
        peer, observed = id_of(authenticated.key), connection.peer_address
        self._links[connection] = Registration(self, connection, peer, observed)
        hello = ServerHello(
            version=VERSION,
            key=self.identity.key,
            proof=self.identity.sign(Domain.SERVER, authenticated.exporter),
            time=self._wall(),
            observed=observed,
            nonce=self._nonce,
            features=() if self._dial_backs is None else (DIAL_BACK,),
        )
        return Session(Side.SERVER, hello, self._clock.seconds())

    def received(self, connection: Connection, message: Message) -> None:
        """Something came over a link; raises RemoteProtocolError."""
        self._links[connection].received(message)

    def writable(self, connection: Connection) -> None:
        """A slow reader took something."""
        self.feed(self._links[connection])

    def lost(self, connection: Connection, ending: Ending) -> None:
        """A link is over; its peer is online no longer, unless it came back over another."""
        registration = self._links.pop(connection, None)
        if registration is not None:
            registration.end()
            self._decide(registration)
            self.leave(registration)
        if self._closed is not None and not self._links:
            closed, self._closed = self._closed, None
            closed.callback(None)

    # --- for registrations

    def refusal(self, registration: Registration) -> EndCode | None:
        """Why somebody who said hello is refused, before anything is stored: NOT_ADMITTED, FULL, SELF, or None."""
        if registration.peer == self.identity.id:
            return EndCode.SELF
        if not (self._everybody or admission.is_admitted(registration.observed.host) or _on_our_host(registration)):
            return EndCode.NOT_ADMITTED
        undecided = self._undecided[_source(registration)]
        if self._is_full(registration.peer) or len(undecided) >= MAX_UNDECIDED:
            return EndCode.FULL
        undecided.add(registration)
        return None

    def _decide(self, registration: Registration) -> None:
        """Somebody is registered, or gone."""
        source = _source(registration)
        self._undecided[source].discard(registration)
        if not self._undecided[source]:
            del self._undecided[source]

    def refuse(self, registration: Registration, code: EndCode) -> None:
        """End a link whose peer cannot be taken."""
        self.refused[code.value] += 1
        self.incidents.report(registration.observed.host, f"refused: {code.value}")
        registration.connection.close(code)

    def objection(self, peer: bytes, body: RecordBody) -> EndCode | None:
        """Why a record that was checked cannot be taken now, or None."""
        if self._is_full(peer):
            return EndCode.FULL
        return self.roster.judge(peer, body.counter) or self._handles.judge(body.handle, peer)

    def claim(self, registration: Registration, handle: str) -> Deferred[EndCode | None] | None:
        """Reserve a place, claim a handle; None if that needs no writing, otherwise `claimed` must follow."""
        stored = self._handles.claim(handle, registration.peer)
        if stored is not None and registration.peer not in self._online:
            self._claiming.add(registration.peer)
        return stored

    def claimed(self, registration: Registration) -> None:
        """A claim is decided."""
        self._claiming.discard(registration.peer)

    def put(self, registration: Registration, body: RecordBody, record: Signed) -> EndCode | None:
        """A peer is online; an older link of the same key is ended. Returns why not."""
        peer, now = registration.peer, self._clock.seconds()
        observed = admission.to_list(registration.observed)
        objection = self.roster.put(peer, body, record, observed, now)
        if objection is not None:
            return objection
        older = self._online.get(peer)
        if older is not None and older.handle != body.handle:
            self._handles.left(older.handle)
        self._handles.came(body.handle)
        if older is not registration:
            registration.since = self._wall()
        self._online[peer] = registration
        self._claiming.discard(peer)
        self._decide(registration)
        if older is not None and older is not registration:
            same = older.nonce == registration.nonce
            older.connection.close(EndCode.DUPLICATE if same else EndCode.DISPLACED)
        self._plan_push()
        return None

    def leave(self, registration: Registration) -> None:
        """A peer is online no longer, unless it is over another link."""
        if self._online.get(registration.peer) is not registration:
            return
        del self._online[registration.peer]
        self._handles.left(registration.handle)
        self.roster.leave(registration.peer, self._clock.seconds())
        self._plan_push()

    def note_seen(self) -> None:
        """Remember for the handles of all who are online that they are."""
        for registration in self._online.values():
            self._handles.seen(registration.handle)

    def dial_back(self, registration: Registration) -> tuple[Address | None, Deferred[Outcome]]:
        """Knock at a peer's door: where that is, and what will have come of it."""
        listing = self.roster.get(registration.peer)
        if self._dial_backs is None or listing is None:
            return None, succeed(Outcome.NOT_DIALLED)
        address = door(registration.observed, read_record(listing.record, self.identity.id))
        return address, self._dial_backs.ask(registration.peer, _source(registration), address)

    def _is_full(self, peer: bytes) -> bool:
        if peer in self._online or peer in self._claiming:
            return False
        return len(self._online) + len(self._claiming) >= self.roster.capacity

    # --- pushes

    def _plan_push(self) -> None:
        due = self.roster.next_push()
        if due is None or self._closing:
            return
        # Never at once: what else changes in this turn of the reactor goes with it.
        delay = max(0.0, due - self._clock.seconds())
        if self._push is None:
            self._push = self._clock.callLater(delay, self._do_push)
        elif self._push.getTime() > due:
            self._push.reset(delay)

    def _do_push(self) -> None:
        self._push = None
        try:
            for watcher in self.roster.push(self._clock.seconds()):
                watcher.reader.read_on()
        except Exception:
            # A bug, but all watchers hang on this timer, as on the next one.
            self.log.failure("A push to those who watch failed")
        self._plan_push()

    def feed(self, reader: Registration) -> None:
        """A link may have something to read: it gets its turn."""
        self._readers[reader] = None
        if self._feeding is None and not self._closing:
            self._feeding = self._clock.callLater(0, self._feed)

    def _feed(self) -> None:
        """A frame for each in turn, so that one who reads a long snapshot holds nobody up."""
        room = BYTES_PER_TURN
        while self._readers and room > 0:
            reader, _ = self._readers.popitem(last=False)
            sent = self._read_frame(reader)
            if sent:
                room -= max(sent, FRAME_COST)
                self._readers[reader] = None
        self._feeding = self._clock.callLater(0, self._feed) if self._readers else None

    def _read_frame(self, reader: Registration) -> int:
        try:
            return reader.read_frame()
        except Exception:
            self.log.failure("Telling a peer who is online failed; its link is aborted")
            reader.connection.abort("a bug of ours")
            return 0

    # --- the end

    def close(self) -> Deferred[None]:
        """End all links in order; fires when they are gone, after 5 seconds at the latest."""
        self._closing = True
        for timer in (self._push, self._feeding):
            if timer is not None:
                timer.cancel()
        self._push = self._feeding = None
        if self._dial_backs is not None:
            self._dial_backs.close()
        if not self._links:
            return succeed(None)
        self._closed = Deferred()
        closed = self._closed
        for connection in list(self._links):
            connection.close(EndCode.LEAVING)
        return closed


def _on_our_host(registration: Registration) -> bool:
    """Whether a peer comes from the very address that it came to."""
    return registration.observed.host == registration.connection.own_address.host


def _source(registration: Registration) -> str:
    """The address, or the network of IPv6, whose places somebody takes."""
    address = parse(registration.observed.host)
    return registration.observed.host if address is None else source_of(address)


class RendezvousFactory(ListenerFactory):
    """Makes the links of peers that come to the server port."""

    def __init__(self, rendezvous: Rendezvous, clock: IReactorTime, sweep: Sweep) -> None:
        super().__init__(lambda: Connection(rendezvous, clock, sweep))
