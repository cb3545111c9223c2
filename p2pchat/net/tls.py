"""
The whole TLS policy: what we show in a handshake, what the far side must show, and what is off.

TLS 1.3 only, both sides with a certificate, one expected ALPN name, no resumption of any kind
(docs/protocol.md, section 3). This is the only module that imports OpenSSL.

A certificate is judged twice: in OpenSSL's verify callback, so that a bad one costs little and is answered by
an alert, and again in `authenticate`, which the protocol on top calls from `handshakeCompleted` and without
which it learns no key. What fails anywhere fails closed.

What pyOpenSSL lets nobody set, and why that is bounded anyway:

- `max_cert_list`: OpenSSL's own 100 KiB holds for a whole Certificate message, which is refused unread above it.
- Key agreement groups: OpenSSL 4.0 prefers X25519MLKEM768; `authenticate` refuses what is not in GROUPS.
- Signature algorithms: a key of a wrong kind is refused in the verify callback, before its signature is checked.
- The number of tickets: a server still writes two, 158 bytes, but they name a session that nobody kept.
- Early data are off in OpenSSL unless asked for, renegotiation and compression do not exist in TLS 1.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, X509, dump_certificate
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    ITransport,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..core.errors import HandshakeRefused, LocalProtocolError
from .certificates import MAX_CHAIN, Credentials
from .records import MeteredFactory
from .verification import OwnKeyRules, Rules, ServerRules, is_address

SERVER_PROTOCOL: Final = b"p2pchat-server/1"
"""ALPN name of a link between a peer and a rendezvous server."""

PEER_PROTOCOL: Final = b"p2pchat-peer/1"
"""ALPN name of a link between two peers."""

RELAY_PROTOCOL: Final = b"p2pchat-relay/1"
"""ALPN name of a circuit through a rendezvous server; reserved."""

GROUPS: Final = {"x25519mlkem768": "X25519MLKEM768", "x25519": "X25519"}
"""The key agreements that we accept, as OpenSSL names them in lower case and as people are shown them."""

CIPHERSUITES: Final = b"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
"""The three of RFC 8446 that OpenSSL has on by default; named, so that no configuration adds to them."""

EXPORTER_LABEL: Final = b"EXPORTER-p2pchat-server"
"""Label of the keying material that a server signs to prove its key (RFC 8446, section 7.5)."""

EXPORTER_SIZE: Final = 32
"""Bytes of keying material that a server signs."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who is at the other end of a finished handshake, and how that is known."""

    key: bytes
    """DER of the SubjectPublicKeyInfo that the far side proved to hold; a peer's id is its SHA-256."""
    protocol: bytes
    """The ALPN name that was negotiated: one of those offered."""
    group: str
    """The key agreement, "X25519MLKEM768" or "X25519"."""
    certified: bool
    """
    True: a trusted authority certified `key` for the host that was typed. False: `key` is the far side's own
    Ed25519 key, for the caller to compare with its pin. A server that was True once must not come back False.
    """
    exporter: bytes
    """32 bytes known to both ends of this connection alone; what a server signs in its hello."""
    expires: int | None = None
    """Where `certified`: when that certificate ends, in ms since 1970. Nobody reads the dates of others."""

    @property
    def hybrid(self) -> bool:
        """Whether the key agreement withstands a quantum computer as well."""
        return self.group == "X25519MLKEM768"


class _CallbackRefusal(SSL.Error):
    """
    Carries a HandshakeRefused out of an OpenSSL callback.

    Twisted ends a connection quietly, after the alert was sent, only for an SSL.Error, and reads the last
    tuple in it.
    """

    def __init__(self, refusal: HandshakeRefused) -> None:
        super().__init__([("p2pchat", "", str(refusal))])
        self.refusal = refusal


# What makes connections.


class _Policy:
    """One Context for every connection of a kind, and what its far side must show."""

    log = Logger()

    def __init__(self, credentials: Credentials, protocols: Sequence[bytes], rules: Rules, depth: int) -> None:
        self._protocols = tuple(protocols)
        self._rules = rules
        self._depth = depth
        self._context = self._make_context(credentials)
        self._bug_reported = False

    def _make_context(self, credentials: Credentials) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_max_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(CIPHERSUITES)
        # OP_NO_TICKET alone makes tickets refer to the cache, and no cache alone makes them whole: only both
        # together leave nothing to resume, and a resumed session would skip the verify callback.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        context.set_verify_depth(self._depth)
        context.use_privatekey(credentials.private_key)
        context.use_certificate(credentials.chain[0])
        for certificate in credentials.chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.check_privatekey()
        # `authenticate` finds the rules of a connection here.
        context.set_app_data(self)
        return context

    def _verify(self, connection: SSL.Connection, certificate: X509, error: int, depth: int, good: int) -> bool:
        """OpenSSL's verify callback: called at least once for each certificate of a chain that it built."""
        try:
            self._rules.check(dump_certificate(FILETYPE_ASN1, certificate), error, depth)
        except Exception as failure:
            raise self._refusal(failure) from None
        return True

    def _select(self, connection: SSL.Connection, offered: list[bytes]) -> bytes:
        """OpenSSL's ALPN callback: the first of ours that is offered, or the alert of RFC 7301, section 3.2."""
        for protocol in self._protocols:
            if protocol in offered:
                return protocol
        raise _CallbackRefusal(HandshakeRefused("it speaks another protocol"))

    def _refusal(self, failure: Exception) -> _CallbackRefusal:
        """What to raise in a callback for `failure`: a bug of ours refuses as well, and is logged once."""
        if isinstance(failure, HandshakeRefused):
            return _CallbackRefusal(failure)
        if not self._bug_reported:
            self._bug_reported = True
            self.log.failure("Judging a certificate failed; such links are refused", Failure(failure))
        return _CallbackRefusal(HandshakeRefused("its certificate could not be judged"))

    def authenticate(self, connection: SSL.Connection) -> Authenticated:
        """What the far side of a finished handshake has shown; raises HandshakeRefused and nothing else."""
        try:
            return self._authenticate(connection)
        except Exception as failure:
            raise self._refusal(failure).refusal from None

    def _authenticate(self, connection: SSL.Connection) -> Authenticated:
        protocol = connection.get_alpn_proto_negotiated()
        if protocol not in self._protocols:
            raise HandshakeRefused("it did not agree to the protocol")
        group = GROUPS.get((connection.get_group_name() or "").lower())
        if group is None:
            raise HandshakeRefused("it chose a key agreement that is not accepted")
        certificate = connection.get_peer_certificate()
        if certificate is None:
            raise HandshakeRefused("it shows no certificate")
        key, certified = self._rules.key_of(
            dump_certificate(FILETYPE_ASN1, certificate), self._count_others(connection)
        )
        exporter = connection.export_keying_material(EXPORTER_LABEL, EXPORTER_SIZE)
        expires = int(certificate.to_cryptography().not_valid_after_utc.timestamp() * 1000) if certified else None
        return Authenticated(key, protocol, group, certified, exporter, expires)

    def _count_others(self, connection: SSL.Connection) -> int:
        """How many certificates came beside the far side's own, or were found to lead back from it."""
        raise NotImplementedError


@implementer(IOpenSSLServerConnectionCreator)
class ListenerTLS(_Policy):
    """
    The accepting side, at a peer and at a server: it shows `credentials` and lets peers in.

    One port may speak several protocols; `Authenticated.protocol` tells which one was agreed.
    """

    def __init__(self, credentials: Credentials, protocols: Sequence[bytes]) -> None:
        super().__init__(credentials, protocols, OwnKeyRules(), 0)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context)

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> TLSMemoryBIOFactory:
        """A factory of TLS transports around the protocols of `factory`, for a listening port."""
        return MeteredFactory(self, False, factory, clock)

    def _make_context(self, credentials: Credentials) -> SSL.Context:
        context = super()._make_context(credentials)
        context.set_alpn_select_callback(self._select)
        return context

    def _count_others(self, connection: SSL.Connection) -> int:
        # On this side OpenSSL leaves the far side's own certificate out of the chain.
        return len(connection.get_peer_cert_chain() or ())


@implementer(IOpenSSLClientConnectionCreator)
class _DiallingPolicy(_Policy):
    """The dialling side, which speaks one protocol."""

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context)

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> TLSMemoryBIOFactory:
        """A factory of TLS transports around the protocols of `factory`, to connect with."""
        return MeteredFactory(self, True, factory, clock)

    def _make_context(self, credentials: Credentials) -> SSL.Context:
        context = super()._make_context(credentials)
        context.set_alpn_protos(list(self._protocols))
        return context

    def _count_others(self, connection: SSL.Connection) -> int:
        # The second is longer if a trusted root, which need not be sent, has issued it.
        return max(len(connection.get_peer_cert_chain() or ()), len(connection.get_verified_chain() or ())) - 1


class PeerDiallerTLS(_DiallingPolicy):
    """The dialling side of links to peers; `Authenticated.key` is for the caller to compare with its pin."""

    def __init__(self, credentials: Credentials, protocol: bytes = PEER_PROTOCOL) -> None:
        super().__init__(credentials, (protocol,), OwnKeyRules(), 0)


class ServerDiallerTLS(_DiallingPolicy):
    """
    The dialling side of links to the server at `host`, a name or an IP address as it was typed.

    `authorities` is a PEM file of trusted authorities; without it, those that the system trusts. Make one
    for each server and keep it: reading the system's authorities takes some 20 ms.
    """

    def __init__(
        self,
        credentials: Credentials,
        host: str,
        protocol: bytes = SERVER_PROTOCOL,
        authorities: Path | None = None,
    ) -> None:
        self._host = host.rstrip(".")
        self._authorities = authorities
        # OpenSSL counts what stands between the leaf and the root.
        super().__init__(credentials, (protocol,), ServerRules(self._host), MAX_CHAIN - 2)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = super().clientConnectionForTLS(tlsProtocol)
        if not is_address(self._host) and self._host.isascii():
            # Our servers do not read it; whatever stands before one and sorts by name does (RFC 6066).
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection

    def _make_context(self, credentials: Credentials) -> SSL.Context:
        context = super()._make_context(credentials)
        if self._authorities is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(str(self._authorities))
        return context


# What the protocol on top calls.


def openssl_version() -> str:
    """Which OpenSSL there is, as it names itself."""
    return SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii", "replace")


def authenticate(transport: ITransport | None) -> Authenticated:
    """
    Who is at the other end of `transport`; to be called from `IHandshakeListener.handshakeCompleted`.

    Raises HandshakeRefused: nothing that came or comes over this link may be believed, abort it.
    """
    if not isinstance(transport, TLSMemoryBIOProtocol):
        raise LocalProtocolError("only a TLS transport can tell who is at its other end")
    connection = transport.getHandle()
    policy = connection.get_context().get_app_data()
    if not isinstance(policy, _Policy):
        raise LocalProtocolError("this TLS transport was not made by this policy")
    return policy.authenticate(connection)


def refusal_of(reason: Failure) -> HandshakeRefused | None:
    """What TLS said, in a typed error, if a `connectionLost` with `reason` comes from TLS; otherwise None."""
    match reason.value:
        case _CallbackRefusal() as carrier:
            return carrier.refusal
        case SSL.Error() as error:
            return HandshakeRefused(_explain(error))
        case _:
            return None


def words_of(reason: Failure) -> str:
    """Why a connection is lost, for a person: what TLS said, or the network."""
    refusal = refusal_of(reason)
    if refusal is not None:
        return str(refusal)
    if reason.check(ConnectionDone):
        return "the other side closed the connection"
    if reason.check(ConnectionLost):
        return "the connection was lost"
    return reason.getErrorMessage()


_EXPLANATIONS: Final = (
    ("no application protocol", "it speaks another protocol"),
    ("certificate required", "it wants a certificate and got none"),
    ("alert certificate", "it refused our certificate"),
    ("alert bad certificate", "it refused our certificate"),
    ("alert unsupported certificate", "it refused our certificate"),
    ("alert unknown ca", "it refused our certificate"),
    ("alert access denied", "it refused our certificate"),
    ("peer did not return a certificate", "it shows no certificate"),
    ("http request", "it speaks HTTP instead of TLS"),
    ("wrong version number", "it does not speak TLS 1.3"),
    ("unsupported protocol", "it does not speak TLS 1.3"),
    ("protocol version", "it does not speak TLS 1.3"),
)
"""What OpenSSL's reasons (never the far side's own words) mean; the first that is found counts."""


def _explain(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    text = str(reasons[-1][-1]) if reasons else "the connection broke off"
    for sign, explanation in _EXPLANATIONS:
        if sign in text:
            return explanation
    return f"TLS failed: {text}"
