"""
A client that knows p2pchat from docs/protocol.md alone: links to servers and peers, over blocking sockets.

It is made for tests: it does what it is told, one thing at a time, waits a bounded time for every answer, and raises
when the other side does what the page forbids.
"""

import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from .stranger_fields import Broken, Message
from .stranger_words import LARGE_FRAME, SERVER_DOMAIN, Frames, Identity, frame, proves, read_record, record, sha256

SERVER_PROTOCOL = b"p2pchat-server/1"
PEER_PROTOCOL = b"p2pchat-peer/1"

PATIENCE = 60.0
"""Seconds after which an answer will not come any more."""


class Gone(Exception):
    """The link is over; the argument is the code of its `bye`, or None."""


# --- section 3


def certificate(identity: Identity) -> x509.Certificate:
    """A self-signed certificate that carries nothing but the key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, identity.private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return builder.sign(identity.private, None)


def tls_context(identity: Identity, protocol: bytes) -> SSL.Context:
    """TLS 1.3, both sides with a certificate, no tickets, one ALPN name."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_privatekey(identity.private)
    context.use_certificate(certificate(identity))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.set_alpn_protos([protocol])
    context.set_alpn_select_callback(
        lambda _, offered: protocol if protocol in offered else SSL.NO_OVERLAPPING_PROTOCOLS
    )
    return context


# --- sections 4 to 6


class Link:
    """One connection: TCP, TLS, frames; pings are answered, everything else is given to whoever asks for it."""

    def __init__(self, connection: socket.socket, identity: Identity, protocol: bytes, dialled: bool) -> None:
        self.identity = identity
        self.frames = Frames()
        self.answers_pings = True
        self.ended: str | None = None
        self.hello: Message = {}
        """The other peer's."""
        self._waiting: deque[Message] = deque()
        self._socket = connection
        self._tls = SSL.Connection(tls_context(identity, protocol), None)
        if dialled:
            self._tls.set_connect_state()
        else:
            self._tls.set_accept_state()
        try:
            self._handshake(protocol)
        except BaseException:
            self.cut()
            raise

    def _handshake(self, protocol: bytes) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._tls.do_handshake()
                break
            except SSL.WantReadError:
                self._flush()
                self._receive(end)
            except SSL.Error as error:
                raise Gone(None) from error
        self._flush()
        if self._tls.get_protocol_version_name() != "TLSv1.3" or self._tls.get_alpn_proto_negotiated() != protocol:
            raise Broken("not our protocol")
        shown = self._tls.get_peer_certificate(as_cryptography=True)
        if shown is None or not isinstance(shown.public_key(), Ed25519PublicKey):
            raise Broken("no certificate of an Ed25519 key")
        spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        self.far_key = shown.public_key().public_bytes(*spki)
        self.far_id = sha256(self.far_key)
        self.group = self._tls.get_group_name()

    def exporter(self) -> bytes:
        """What a server signs."""
        return self._tls.export_keying_material(b"EXPORTER-p2pchat-server", 32, b"")

    def send(self, kind: str, **fields: Any) -> None:
        """Send one message."""
        self.send_bytes(frame({"type": kind, **fields}))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes that need be no frame."""
        with suppress(OSError):  # whoever listens to us no more has said why, and that is read later
            for at in range(0, len(data), 16_384):
                self._tls.send(data[at : at + 16_384])
                self._flush()

    def next(self, patience: float = PATIENCE) -> Message:
        """The next message that is no `ping`; Gone at the end of the link, TimeoutError."""
        end = time.monotonic() + patience
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                match message["type"]:
                    case "ping" if self.answers_pings:
                        self.send("pong", number=message["number"])
                    case "bye":
                        self.ended = message["code"]
                        raise self._over()
                    case _:
                        return message
            self._read(end)

    def expect(self, kind: str, past: tuple[str, ...] = ("record",)) -> Message:
        """The next message, which must be of this kind; those of the kinds `past` may come before it."""
        while (message := self.next())["type"] != kind:
            if message["type"] not in past:
                raise AssertionError(f"{kind} was expected, {message} came")
        return message

    def ending(self) -> str | None:
        """Read until the link is over; the code of its `bye`."""
        with suppress(Gone):
            while True:
                self.next()
        return self.ended

    def round_trip(self) -> None:
        """Return when everything that was sent before has been read there; what comes meanwhile waits."""
        number = int.from_bytes(os.urandom(6), "big")
        self.send("ping", number=number)
        passed = []
        while (message := self.next()) != {"type": "pong", "number": number}:
            passed.append(message)
        self._waiting.extendleft(reversed(passed))

    def bye(self, code: str) -> None:
        """End the link in order."""
        self.send("bye", code=code)
        self._over()

    def cut(self) -> None:
        """Lose the connection without a word: what the other side has not read yet is lost too."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _over(self) -> Gone:
        """Close TLS and the connection: nobody waits for anything more."""
        with suppress(SSL.Error, OSError):
            self._tls.shutdown()
            self._flush()
        self._socket.close()
        return Gone(self.ended)

    def _flush(self) -> None:
        with suppress(SSL.WantReadError):
            while True:
                self._socket.sendall(self._tls.bio_read(65_536))

    def _receive(self, end: float) -> None:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            self._socket.settimeout(left)
            data = self._socket.recv(65_536)
        except TimeoutError:
            raise
        except OSError:
            data = b""
        if not data:
            raise self._over()
        self._tls.bio_write(data)

    def _read(self, end: float) -> None:
        try:
            data = self._tls.recv(65_536)
        except SSL.WantReadError:
            self._receive(end)
            return
        except SSL.Error:
            raise self._over() from None
        self._waiting.extend(self.frames.feed(data))


def dial(port: int, identity: Identity, protocol: bytes, far_id: bytes) -> Link:
    """Connect to whoever has this id and listens at this port of the loopback interface."""
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    link = Link(connection, identity, protocol, True)
    if link.far_id != far_id:
        link.cut()
        raise Broken("somebody else answered")
    return link


# --- section 7


class ServerLink:
    """A stranger's link to a rendezvous server: both hellos are said when it is made."""

    def __init__(self, stranger: "Stranger", port: int, server: bytes) -> None:
        self.stranger = stranger
        self.link = dial(port, stranger.identity, SERVER_PROTOCOL, server)
        self.link.send("hello", **stranger.hello())
        hello = self.hello = self.link.expect("server-hello")
        if sha256(hello["key"]) != server or not proves(
            hello["key"], SERVER_DOMAIN, self.link.exporter(), hello["proof"]
        ):
            raise Broken("the server did not prove its key")
        self.server = server

    def record(self, counter: int | None = None, **changes: Any) -> Message:
        """A good record of the stranger for this server."""
        least = max(self.stranger.counter + 1, self.hello["time"])
        self.stranger.counter = counter if counter is not None else least
        about = {"handle": self.stranger.handle, "port": self.stranger.port, **changes}
        return record(self.stranger.identity, self.server, counter=self.stranger.counter, **about)

    def register(self, signed: Message | None = None) -> Message:
        """Register; `registered` or `declined`."""
        self.link.send("register", record=signed or self.record())
        answer = self.link.next()
        if answer["type"] == "registered":
            self.link.frames.limit = LARGE_FRAME
        return answer

    def dial_back(self, number: int, meanwhile: Callable[[], object] = lambda: None) -> Message:
        """Ask to be dialled back, do something meanwhile; what came of it."""
        self.link.send("dial-back", number=number)
        meanwhile()
        return self.link.expect("dialled-back")

    def watch(self, everyone: bool = True, ids: tuple[bytes, ...] = ()) -> "dict[bytes, Message]":
        """Watch; the snapshot: the bodies of the records of those online, by id."""
        self.link.send("watch", everyone=everyone, ids=list(ids))
        self.online: dict[bytes, Message] = {}
        while True:
            page = self.link.expect("roster")
            self._list(page["listings"])
            self.number = page["number"]
            if not page["more"]:
                return self.online

    def change(self) -> "dict[bytes, Message]":
        """Wait for a change; who is online now."""
        changes = self.link.expect("changes")
        if changes["since"] != self.number:
            raise Broken("changes with a hole")
        self.number = changes["number"]
        self._list(changes["listings"])
        for gone in changes["gone"]:
            self.online.pop(gone, None)
        return self.online

    def _list(self, listings: list[Message]) -> None:
        for listing in listings:
            body = read_record(listing["record"])
            if body["server"] != self.server:
                raise Broken("a record for another server")
            if listing["online"]:
                self.online[sha256(body["key"])] = body
            else:
                self.online.pop(sha256(body["key"]), None)


# --- sections 6 and 8


@dataclass
class Stranger:
    """Somebody with a key, a handle, and a port to listen at."""

    handle: str = "stranger"
    identity: Identity = field(default_factory=Identity)
    nonce: bytes = field(default_factory=lambda: os.urandom(16))
    store: bytes = field(default_factory=lambda: os.urandom(16))
    counter: int = 0
    """The greatest that it signed."""
    features: tuple[str, ...] = ()
    """What its hello lists."""

    def __post_init__(self) -> None:
        self._listener: socket.socket | None = None

    @classmethod
    def beside(cls, far_id: bytes, leader: bool, handle: str = "stranger") -> "Stranger":
        """One whose id is below that of somebody else (the leader), or above it."""
        while ((found := cls(handle)).identity.id < far_id) is not leader:
            pass
        return found

    def hello(self) -> Message:
        """What it says first on every link."""
        return {
            "version": 1,
            "handle": self.handle,
            "nonce": self.nonce,
            "store": self.store,
            "features": list(self.features),
        }

    def listen(self) -> int:
        """Listen for peers, at any port; the port."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        return self.port

    @property
    def port(self) -> int:
        """Where it listens; 0: nowhere."""
        return self._listener.getsockname()[1] if self._listener else 0

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def register(self, port: int, server: bytes) -> ServerLink:
        """Be online at the server with this id."""
        link = ServerLink(self, port, server)
        answer = link.register()
        if answer["type"] != "registered":
            raise Broken(answer["code"])
        return link

    def dial(self, port: int, far_id: bytes) -> Link:
        """A link to the peer with this id, with both hellos said."""
        return self._greet(dial(port, self.identity, PEER_PROTOCOL, far_id))

    def answer(self) -> Link:
        """The next link from a peer that dials, with both hellos said."""
        assert self._listener is not None, "listen first"
        connection, _ = self._listener.accept()
        return self._greet(Link(connection, self.identity, PEER_PROTOCOL, False))

    def knocked(self) -> list[Message]:
        """Take the next connection as a peer does, up to the hello of whoever came; all that they said."""
        assert self._listener is not None, "listen first"
        connection, _ = self._listener.accept()
        said: list[Message] = []
        with suppress(Gone):
            link = Link(connection, self.identity, PEER_PROTOCOL, False)
            while True:
                said.append(link.next())
        return said

    def _greet(self, link: Link) -> Link:
        link.send("hello", **self.hello())
        link.hello = link.expect("hello")
        if link.hello["nonce"] == self.nonce or len(link.hello["store"]) != 16 or link.hello["version"] < 1:
            raise Broken("malformed")
        return link


def consent(link: Link, scope: str = "once", text: str | None = None) -> list[Message]:
    """Ask, if there is something to say, accept, and wait for the other side's consent; all that it said."""
    if text is not None:
        link.send("ask", text=text)
    link.send("accept", scope=scope)
    said = [link.next()]
    while said[-1]["type"] == "ask":
        said.append(link.next())
    if said[-1]["type"] != "accept":
        raise Broken(said[-1].get("code") or said[-1]["type"])
    link.frames.limit = LARGE_FRAME
    return said
