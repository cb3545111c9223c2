"""
Mutual TLS 1.3 as bare as it can be with the settings of p2pchat: any certificate is good, and nothing is read in it.

Of p2pchat the bare programs know nothing but the cipher suites and the frames.
"""

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from p2pchat.net.tls import CIPHERSUITES

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bare")])


def make_certificate(key: Ed25519PrivateKey) -> x509.Certificate:
    """A self-signed certificate."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(_NAME, _NAME, key.public_key(), 1, now - day, now + day)
    return builder.sign(key, None)


def make_context(key: Ed25519PrivateKey, certificate: x509.Certificate | None = None) -> SSL.Context:
    """Every setting of p2pchat/net/tls.py, and no judgement."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(CIPHERSUITES)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _take)
    context.use_privatekey(key)
    context.use_certificate(certificate or make_certificate(key))
    return context


def _take(connection: SSL.Connection, certificate: X509, error: int, depth: int, good: int) -> bool:
    return True


def send_at_once(transport: Any) -> None:
    """TCP_NODELAY on the socket under a TLS transport: what is written leaves, and is not kept for more."""
    transport.setTcpNoDelay(True)


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLClientConnectionCreator)
class BareTLS:
    """Makes the TLS connections of a bare program."""

    def __init__(self, protocol: bytes) -> None:
        self._context = make_context(Ed25519PrivateKey.generate())
        self._context.set_alpn_select_callback(lambda connection, offered: protocol)
        self._context.set_alpn_protos([protocol])

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context)

    def listen(self, reactor: Any, factory: Factory) -> int:
        """Listen on a free port of the loopback interface; which."""
        port: int = (
            reactor.listenTCP(0, TLSMemoryBIOFactory(self, False, factory, reactor), 1024, "127.0.0.1").getHost().port
        )
        return port

    async def dial(self, reactor: Any, factory: Factory, port: int) -> Any:
        """Connect to such a port; the protocol that `factory` made."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        transport: Any = await endpoint.connect(TLSMemoryBIOFactory(self, True, factory, reactor))
        return transport.wrappedProtocol
