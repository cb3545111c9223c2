"""The TLS policy, by real handshakes: in memory, and with another TLS library's client over loopback."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL
from OpenSSL._util import lib
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from p2pchat.core.errors import CertificateExpired, HandshakeRefused, LocalProtocolError
from p2pchat.core.identity import key_from_public
from p2pchat.net.certificates import Credentials, own_credentials
from p2pchat.net.tls import (
    PEER_PROTOCOL,
    RELAY_PROTOCOL,
    SERVER_PROTOCOL,
    Authenticated,
    ListenerTLS,
    PeerDiallerTLS,
    ServerDiallerTLS,
    authenticate,
    refusal_of,
    words_of,
)

from .forgery import by_hand, issue, padding
from .handshakes import (
    WALL,
    Ends,
    Recorder,
    fresh_credentials,
    peers,
    stranger_context,
    stranger_dials,
    stranger_listens,
)

OPENSSL = shutil.which("openssl")


def authenticated(end: Recorder) -> Authenticated:
    """What `end` learned; fails if it learned nothing."""
    assert end.authenticated is not None, end.refused or end.lost
    return end.authenticated


def new_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


class PeerLinkTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """The policies are what Twisted's TLS wants."""
        credentials = fresh_credentials()
        verifyObject(IOpenSSLServerConnectionCreator, ListenerTLS(credentials, [PEER_PROTOCOL]))
        verifyObject(IOpenSSLClientConnectionCreator, PeerDiallerTLS(credentials))
        verifyObject(IOpenSSLClientConnectionCreator, ServerDiallerTLS(credentials, "lab1.example"))

    def test_both_learn_the_key_of_the_other(self) -> None:
        """After the handshake each end knows the other's key, and knows it uncertified; then bytes pass."""
        one, other = new_key(), new_key()
        ends = peers(own_credentials(one, WALL), own_credentials(other, WALL))
        self.assertEqual(authenticated(ends.dialling).key, key_from_public(other.public_key()))
        self.assertEqual(authenticated(ends.listening).key, key_from_public(one.public_key()))
        for end in (ends.dialling, ends.listening):
            self.assertFalse(authenticated(end).certified)
            self.assertEqual(authenticated(end).protocol, PEER_PROTOCOL)
        assert ends.dialling.transport is not None
        ends.dialling.transport.write(b"hello")
        ends.pump.flush()
        self.assertEqual(ends.listening.received, b"hello")

    def test_renewed_certificate_is_the_same_peer(self) -> None:
        """A new certificate of the same key is the same key."""
        key = new_key()
        keys = {authenticated(peers(own_credentials(key, wall)).listening).key for wall in (0, WALL)}
        self.assertEqual(keys, {key_from_public(key.public_key())})

    def test_exporter_is_shared_and_new_each_time(self) -> None:
        """Both ends hold the same 32 bytes, other ones on each connection."""
        seen = set()
        for _ in range(2):
            ends = peers()
            self.assertEqual(authenticated(ends.dialling).exporter, authenticated(ends.listening).exporter)
            seen.add(authenticated(ends.dialling).exporter)
        self.assertEqual([len(exporter) for exporter in seen], [32, 32])

    def test_only_our_transports_are_asked(self) -> None:
        """What is no TLS transport, or is one of another policy, is a bug of ours and no refusal."""
        self.assertRaises(LocalProtocolError, authenticate, StringTransport())
        self.assertRaises(LocalProtocolError, authenticate, None)
        ends = stranger_dials(stranger_context(*self.shown()))
        self.assertRaises(LocalProtocolError, authenticate, ends.dialling.transport)

    def shown(self) -> tuple[ed25519.Ed25519PrivateKey, bytes]:
        key = new_key()
        return key, by_hand(key)


class GroupTests(SynchronousTestCase):
    def context(self, groups: bytes) -> SSL.Context:
        """A stranger whose library knows these groups only; pyOpenSSL has no call for that."""
        key = new_key()
        context = stranger_context(key, by_hand(key))
        self.assertEqual(lib.SSL_CTX_set1_curves_list(context._context, groups), 1)
        return context

    def both_ways(self, groups: bytes) -> list[Recorder]:
        return [stranger_dials(self.context(groups)).listening, stranger_listens(self.context(groups)).dialling]

    def test_hybrid_by_default(self) -> None:
        """Two of us agree on X25519MLKEM768 and say so."""
        ends = peers()
        for end in (ends.dialling, ends.listening):
            self.assertEqual(authenticated(end).group, "X25519MLKEM768")
            self.assertTrue(authenticated(end).hybrid)

    def test_x25519_is_allowed_and_told(self) -> None:
        """With somebody who knows X25519 only, the link stands and says that it is not hybrid."""
        for end in self.both_ways(b"X25519"):
            self.assertEqual(authenticated(end).group, "X25519")
            self.assertFalse(authenticated(end).hybrid)

    def test_hybrid_is_preferred(self) -> None:
        """Somebody who would rather have X25519 but knows both agrees to the hybrid when dialling us."""
        self.assertTrue(authenticated(stranger_dials(self.context(b"X25519:X25519MLKEM768")).listening).hybrid)

    def test_other_groups_are_refused(self) -> None:
        """P-256 and finite fields are refused."""
        for groups in (b"P-256", b"ffdhe2048"):
            for end in self.both_ways(groups):
                self.assertIsNone(end.authenticated)
                self.assertIsNotNone(end.lost)
                self.assertEqual(str(end.refused), "it chose a key agreement that is not accepted")


class ProtocolNameTests(SynchronousTestCase):
    def context(self, protocol: bytes | None) -> SSL.Context:
        key = new_key()
        return stranger_context(key, by_hand(key), protocol=protocol)

    def test_one_port_several_protocols(self) -> None:
        """A listener with several protocols tells which one was agreed on."""
        for protocol in (SERVER_PROTOCOL, RELAY_PROTOCOL):
            listener = ListenerTLS(fresh_credentials(), [SERVER_PROTOCOL, RELAY_PROTOCOL])
            ends = Ends(PeerDiallerTLS(fresh_credentials(), protocol).wrap, listener.wrap)
            for end in (ends.dialling, ends.listening):
                self.assertEqual(authenticated(end).protocol, protocol)

    def test_another_protocol_is_refused(self) -> None:
        """A dialler that wants a server does not get a peer, and both are told why."""
        dialler = PeerDiallerTLS(fresh_credentials(), SERVER_PROTOCOL)
        listener = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        ends = Ends(dialler.wrap, listener.wrap)
        for end in (ends.dialling, ends.listening):
            self.assertIsNone(end.authenticated)
            self.assertEqual(str(end.refused), "it speaks another protocol")

    def test_dialler_without_protocol_is_refused(self) -> None:
        """Whoever dials without ALPN finishes TLS, and is aborted."""
        ends = stranger_dials(self.context(None))
        self.assertEqual(str(ends.listening.refused), "it did not agree to the protocol")
        self.assertIsNotNone(ends.dialling.lost)

    def test_listener_without_protocol_is_refused(self) -> None:
        """A listener that ignores ALPN finishes TLS, and is aborted."""
        ends = stranger_listens(self.context(None))
        self.assertEqual(str(ends.dialling.refused), "it did not agree to the protocol")
        self.assertIsNotNone(ends.listening.lost)

    def test_listener_with_an_invented_protocol_is_refused(self) -> None:
        """A listener that answers with a name that was not offered is refused."""
        ends = stranger_listens(self.context(b"p2pchat-peer/2"))
        self.assertIsNone(ends.dialling.authenticated)
        self.assertIsNotNone(ends.dialling.lost)


class Victim:
    """One of us, listening, with a wire that takes any bytes."""

    def __init__(self, listener: ListenerTLS | None = None) -> None:
        self.recorder = Recorder()
        listener = listener or ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        factory = listener.wrap(Factory.forProtocol(lambda: self.recorder), Clock())
        self.tls = factory.buildProtocol(IPv4Address("TCP", "10.0.0.5", 50_000))
        self.wire = StringTransport()
        self.tls.makeConnection(self.wire)

    def take(self, data: bytes) -> bytes:
        """Receive `data`; the bytes that are answered."""
        self.wire.clear()
        self.tls.dataReceived(data)
        answer: bytes = self.wire.value()
        return answer

    @property
    def closed(self) -> bool:
        return bool(self.wire.disconnecting)

    def shake_hands(self, client: SSL.Connection) -> bytes:
        """Go through a handshake with `client`; returns all bytes that the client sent."""
        client.set_connect_state()
        sent = b""
        for _ in range(3):
            try:
                client.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                break
            try:
                data = client.bio_read(2**20)
            except SSL.WantReadError:
                break
            sent += data
            if answer := self.take(data):
                client.bio_write(answer)
        return sent


class NotOurTLSTests(SynchronousTestCase):
    def test_T2_plaintext(self) -> None:
        """HTTP, SSH, IRC and noise are closed, answered by an alert at most, and a typed error says why."""
        for text in (
            b"GET / HTTP/1.1\r\nHost: lab1.example\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            b"NICK alice\r\nUSER alice 0 * :Alice\r\n",
            bytes(range(256)),
            b"\0" * 4_096,
            b"\x80\x2e\x01\x03\x01" + b"\0" * 64,
        ):
            victim = Victim()
            answer = victim.take(text)
            self.assertTrue(victim.closed, text)
            self.assertIn(answer[:1], (b"", b"\x15"), text)
            victim.tls.connectionLost(Failure(ConnectionLost()))
            self.assertIsInstance(victim.recorder.refused, HandshakeRefused)
            self.assertIsNone(victim.recorder.authenticated)
            self.assertEqual(victim.recorder.received, b"")

    def test_T2_answered_in_plaintext(self) -> None:
        """A dialler that is answered with a banner instead of TLS gives up with a typed error."""
        recorder = Recorder()
        factory = PeerDiallerTLS(fresh_credentials()).wrap(Factory.forProtocol(lambda: recorder), Clock())
        tls = factory.buildProtocol(IPv4Address("TCP", "10.0.0.5", 6666))
        wire = StringTransport()
        tls.makeConnection(wire)
        tls.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertTrue(wire.disconnecting)
        tls.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(str(recorder.refused), "it does not speak TLS 1.3")

    def test_T3_old_versions(self) -> None:
        """A hello of SSL 3.0 to TLS 1.2 gets the alert protocol_version (RFC 8446, appendix D.5)."""
        for minor in range(4):
            version = bytes([3, minor])
            hello = version + bytes(32) + b"\0" + b"\0\4\xc0\x2f\0\x2f" + b"\1\0"
            handshake = b"\1" + len(hello).to_bytes(3, "big") + hello
            victim = Victim()
            answer = victim.take(b"\x16" + version + len(handshake).to_bytes(2, "big") + handshake)
            self.assertTrue(victim.closed)
            self.assertEqual((answer[0], answer[5:]), (0x15, b"\x02\x46"))

    def test_T3_a_client_of_tls_12(self) -> None:
        """A client that knows nothing above TLS 1.2 is refused, and so is such a server."""
        for meet in (stranger_dials, stranger_listens):
            key = ec.generate_private_key(ec.SECP256R1())
            context = stranger_context(key, issue(key.public_key(), key))
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            ends = meet(context)
            ours = ends.listening if meet is stranger_dials else ends.dialling
            self.assertIsNone(ours.authenticated)
            self.assertEqual(str(ours.refused), "it does not speak TLS 1.3")

    def test_T3_every_connection_is_judged(self) -> None:
        """A session that somebody kept cannot be resumed: the certificate is judged again."""
        listener = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        judged = count_calls(listener._rules, "check")
        key = new_key()
        context = stranger_context(key, by_hand(key))
        context.set_session_cache_mode(SSL.SESS_CACHE_BOTH)
        session: SSL.Session | None = None
        counts = []
        for _ in range(3):
            client = SSL.Connection(context)
            if session is not None:
                client.set_session(session)
            victim = Victim(listener)
            victim.shake_hands(client)
            self.assertRaises(SSL.WantReadError, client.recv, 1)
            session = client.get_session()
            authenticated(victim.recorder)
            counts.append(judged())
        self.assertGreater(counts[0], 0)
        self.assertEqual(counts, [counts[0], 2 * counts[0], 3 * counts[0]])

    def test_T4_no_certificate(self) -> None:
        """Whoever shows no certificate is refused, though its own side believes the handshake done."""
        ends = stranger_dials(stranger_context())
        self.assertIsNone(ends.listening.authenticated)
        self.assertEqual(str(ends.listening.refused), "it shows no certificate")
        self.assertEqual(str(ends.dialling.refused), "it wants a certificate and got none")


def count_calls(owner: object, name: str) -> Callable[[], int]:
    """Let `name` of `owner` count its calls; the function that is returned tells how many."""
    original = getattr(owner, name)
    calls = []

    def counted(*args: object) -> object:
        calls.append(args)
        return original(*args)

    setattr(owner, name, counted)
    return lambda: len(calls)


class ForgedPeerTests(SynchronousTestCase):
    def refused(self, *shown: object) -> str:
        """What a listener of ours says of somebody who shows this, after both sides closed."""
        ends = stranger_dials(stranger_context(*shown))  # type: ignore[arg-type]
        self.assertIsNone(ends.listening.authenticated)
        self.assertIsNotNone(ends.listening.lost)
        self.assertIsNotNone(ends.dialling.lost)
        return str(ends.listening.refused)

    def test_T5_other_keys(self) -> None:
        """RSA, P-256 and P-521 are refused before the signature that proves the key is looked at."""
        keys = (
            rsa.generate_private_key(65537, 2048),
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP521R1()),
        )
        for key in keys:
            reason = self.refused(key, issue(key.public_key(), key))
            self.assertEqual(reason, "its certificate is not of an Ed25519 key")

    def test_T5_dialled_peer(self) -> None:
        """The same is refused in a peer that we dialled."""
        key = ec.generate_private_key(ec.SECP256R1())
        ends = stranger_listens(stranger_context(key, issue(key.public_key(), key)))
        self.assertEqual(str(ends.dialling.refused), "its certificate is not of an Ed25519 key")

    def test_T5_certificates_beside_a_good_one(self) -> None:
        """100 certificates that nobody needs are refused, with the good one before them."""
        key, other = new_key(), new_key()
        extras = [issue(other.public_key(), other)] * 100
        self.assertIn("a chain of certificates", self.refused(key, by_hand(key), extras))
        ends = stranger_listens(stranger_context(key, by_hand(key), extras[:1]))
        self.assertIn("a chain of certificates", str(ends.dialling.refused))

    def test_T5_chain_of_100(self) -> None:
        """A chain of 100 certificates is refused at the second."""
        keys = [new_key() for _ in range(101)]
        chain = [
            issue(keys[n].public_key(), keys[n + 1], subject=f"{n}", issuer=f"{n + 1}", authority=n > 0)
            for n in range(100)
        ]
        self.assertIn("a chain of certificates", self.refused(keys[0], chain[0], chain[1:]))

    def test_T5_issued_by_another(self) -> None:
        """A certificate that another key signed is refused."""
        key = new_key()
        self.assertIn(
            "not a plain self-signed", self.refused(key, issue(key.public_key(), new_key(), issuer="another"))
        )

    def test_T5_large_certificates(self) -> None:
        """64 KB are refused by our limit, 200 KB by OpenSSL's before they are read."""
        for size, reason in ((65_536, "bytes"), (200_000, "excessive message size")):
            key = new_key()
            victim = Victim()
            client = SSL.Connection(stranger_context(key, by_hand(key, extensions=padding(size))))
            victim.shake_hands(client)
            self.assertTrue(victim.closed)
            victim.tls.connectionLost(Failure(ConnectionLost()))
            self.assertIn(reason, str(victim.recorder.refused))

    def test_T5_odd_but_harmless(self) -> None:
        """Expired, of the future, with NUL or nothing as its name, badly self-signed: it is the key that counts."""
        variants: tuple[dict[str, Any], ...] = (
            {"dates": (b"20000101000000Z", b"20010101000000Z")},
            {"dates": (b"29990101000000Z", b"29990201000000Z")},
            {"subject": bytes.fromhex("3000")},
            {"subject": bytes.fromhex("300e310c300a06035504030c03610062")},
            {"signature": bytes(64)},
            {"extensions": padding(3_000)},
        )
        for variant in variants:
            key = new_key()
            ends = stranger_dials(stranger_context(key, by_hand(key, **variant)))
            self.assertEqual(authenticated(ends.listening).key, key_from_public(key.public_key()))

    def test_T5_version_and_serial(self) -> None:
        """Version 1 and serial numbers that are not positive are refused."""
        variants: tuple[dict[str, Any], ...] = ({"version": b""}, {"serial": b"\2\1\xff"}, {"serial": b"\2\1\0"})
        for variant in variants:
            key = new_key()
            self.assertIn("RFC 5280", self.refused(key, by_hand(key, **variant)))
        self.flushWarnings()

    def test_T6_replayed_handshake(self) -> None:
        """The bytes of a good handshake, sent again, lead nowhere."""
        listener = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        key = new_key()
        first, second = Victim(listener), Victim(listener)
        sent = first.shake_hands(SSL.Connection(stranger_context(key, by_hand(key))))
        authenticated(first.recorder)
        second.take(sent)
        self.assertIsNone(second.recorder.authenticated)
        self.assertTrue(second.closed)

    def test_T6_flipped_bit(self) -> None:
        """A handshake in which one bit was flipped on the way leads nowhere, wherever the bit is."""
        for place in (10, 100, 1_200, -200, -60, -5):
            key = new_key()
            victim = Victim()
            client = SSL.Connection(stranger_context(key, by_hand(key)))
            client.set_connect_state()
            self.assertRaises(SSL.WantReadError, client.do_handshake)
            hello = bytearray(client.bio_read(2**16))
            if place > 0:
                hello[place] ^= 1
            client.bio_write(victim.take(bytes(hello)))
            try:
                client.do_handshake()
            except SSL.Error:
                continue
            finish = bytearray(client.bio_read(2**16))
            finish[place] ^= 1
            victim.take(bytes(finish))
            self.assertIsNone(victim.recorder.authenticated)
            self.assertTrue(victim.closed)


class BrokenRulesTests(SynchronousTestCase):
    def broken(self, name: str) -> ListenerTLS:
        listener = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])

        def fail(*args: object) -> None:
            raise ZeroDivisionError("a bug")

        setattr(listener._rules, name, fail)
        return listener

    def test_T12_callback_raises(self) -> None:
        """A bug in the verify callback fails each handshake closed, and is in the log once."""
        listener = self.broken("check")
        for _ in range(3):
            ends = Ends(PeerDiallerTLS(fresh_credentials()).wrap, listener.wrap)
            self.assertIsNone(ends.listening.authenticated)
            self.assertEqual(str(ends.listening.refused), "its certificate could not be judged")
            self.assertIsNotNone(ends.dialling.lost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_T12_afterwards_raises(self) -> None:
        """A bug in the check after the handshake refuses as well."""
        listener = self.broken("key_of")
        listener._rules.check = lambda *args: None  # type: ignore[method-assign]
        for _ in range(3):
            ends = Ends(PeerDiallerTLS(fresh_credentials()).wrap, listener.wrap)
            self.assertIsNone(ends.listening.authenticated)
            self.assertEqual(str(ends.listening.refused), "its certificate could not be judged")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_T12_each_check_is_enough(self) -> None:
        """With the verify callback letting everything pass, the check after the handshake still refuses."""
        listener = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        rules = listener._rules
        rules.check = lambda *args: None  # type: ignore[method-assign]
        key = ec.generate_private_key(ec.SECP256R1())
        ends = stranger_dials(stranger_context(key, issue(key.public_key(), key)), listener)
        self.assertEqual(str(ends.listening.refused), "its certificate is not of an Ed25519 key")


class ServerLinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = ec.generate_private_key(ec.SECP384R1())
        self.middle = ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())
        root = issue(self.root.public_key(), self.root, subject="root", issuer="root", authority=True)
        self.middle_certificate = issue(
            self.middle.public_key(), self.root, subject="middle", issuer="root", authority=True
        )
        self.authorities = Path(self.mktemp())
        self.authorities.write_bytes(root.public_bytes(Encoding.PEM))

    def leaf(self, *hosts: str, key: object = None, **dates: datetime) -> x509.Certificate:
        names = [
            x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            for host in hosts or ("lab1.example",)
        ]
        public = key or self.key.public_key()
        return issue(
            public,  # type: ignore[arg-type]
            self.middle,
            subject="leaf",
            issuer="middle",
            names=tuple(names),
            **dates,  # type: ignore[arg-type]
        )

    def meet(self, leaf: x509.Certificate, host: str = "lab1.example", trusted: bool = True) -> Ends:
        """A peer that typed `host` dials a server that shows `leaf`."""
        credentials = Credentials(self.key, (leaf, self.middle_certificate))
        listener = ListenerTLS(credentials, [SERVER_PROTOCOL, RELAY_PROTOCOL])
        authorities = self.authorities if trusted else None
        return Ends(ServerDiallerTLS(fresh_credentials(), host, authorities=authorities).wrap, listener.wrap)

    def refused(self, ends: Ends) -> HandshakeRefused:
        self.assertIsNone(ends.dialling.authenticated)
        self.assertIsNotNone(ends.dialling.lost)
        self.assertIsNotNone(ends.listening.lost)
        assert ends.dialling.refused is not None
        return ends.dialling.refused

    def test_certified(self) -> None:
        """A certificate of a trusted authority for the host that was typed is certified; the peer shows its own key."""
        for host in ("lab1.example", "LAB1.example", "lab1.example.", "10.0.0.7"):
            ends = self.meet(self.leaf("lab1.example", "10.0.0.7"), host)
            self.assertTrue(authenticated(ends.dialling).certified, host)
            self.assertEqual(authenticated(ends.dialling).protocol, SERVER_PROTOCOL)
            self.assertEqual(authenticated(ends.dialling).exporter, authenticated(ends.listening).exporter)
            self.assertFalse(authenticated(ends.listening).certified)

    def test_end_of_a_certificate(self) -> None:
        """When an authority's certificate ends is told; the dates of a peer's or server's own one say nothing."""
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=12)
        ends = self.meet(self.leaf("lab1.example", end=end), "lab1.example")
        self.assertEqual(authenticated(ends.dialling).expires, int(end.timestamp() * 1000))
        self.assertIsNone(authenticated(ends.listening).expires)

    def test_own_key_of_a_server(self) -> None:
        """A server that shows its own key is known by it, and is not certified."""
        key = new_key()
        listener = ListenerTLS(own_credentials(key, WALL), [SERVER_PROTOCOL])
        dialler = ServerDiallerTLS(fresh_credentials(), "10.0.0.7", authorities=self.authorities)
        ends = Ends(dialler.wrap, listener.wrap)
        self.assertEqual(authenticated(ends.dialling).key, key_from_public(key.public_key()))
        self.assertFalse(authenticated(ends.dialling).certified)

    def test_another_host(self) -> None:
        """A certificate for another host is refused, also if it names the address that the name stands for."""
        for host in ("lab2.example", "10.0.0.7"):
            refusal = self.refused(self.meet(self.leaf("lab1.example"), host))
            self.assertEqual(str(refusal), f"its certificate was not issued for {host}")

    def test_unknown_authority(self) -> None:
        """An authority that the system does not trust is refused, and never taken for the server's own key."""
        refusal = self.refused(self.meet(self.leaf(), trusted=False))
        self.assertIn("no authority that this machine trusts", str(refusal))

    def test_expired(self) -> None:
        """An expired certificate is a typed error with the date."""
        end = datetime.now(UTC) - timedelta(days=2)
        refusal = self.refused(self.meet(self.leaf(start=end - timedelta(days=90), end=end)))
        assert isinstance(refusal, CertificateExpired)
        self.assertEqual(refusal.not_after, end.replace(microsecond=0))
        self.assertIn(f"expired on {end:%Y-%m-%d}", str(refusal))

    def test_T5_weak_or_odd_keys(self) -> None:
        """RSA of 1024 bits and P-521 are refused, though a trusted authority issued them."""
        for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP521R1())):
            context = stranger_context(key, self.leaf(key=key.public_key()), [self.middle_certificate], SERVER_PROTOCOL)
            dialler = ServerDiallerTLS(fresh_credentials(), "lab1.example", authorities=self.authorities)
            self.assertIsNone(stranger_listens(context, dialler).dialling.authenticated)

    def test_T5_chain_of_five(self) -> None:
        """Four certificates from leaf to root are taken, five are not."""
        keys = [self.root, *(ec.generate_private_key(ec.SECP256R1()) for _ in range(4))]
        names = ["root", "a", "b", "c", "d"]
        for length, taken in ((3, True), (4, False)):
            chain = [
                issue(
                    keys[n].public_key(),
                    keys[n - 1],
                    subject=names[n],
                    issuer=names[n - 1],
                    names=(x509.DNSName("lab1.example"),),
                    authority=n < length,
                )
                for n in range(length, 0, -1)
            ]
            listener = ListenerTLS(Credentials(keys[length], tuple(chain)), [SERVER_PROTOCOL])
            dialler = ServerDiallerTLS(fresh_credentials(), "lab1.example", authorities=self.authorities)
            ends = Ends(dialler.wrap, listener.wrap)
            if taken:
                self.assertTrue(authenticated(ends.dialling).certified)
            else:
                self.assertIn("too long", str(self.refused(ends)))

    def test_T5_ed25519_by_an_authority(self) -> None:
        """An Ed25519 certificate that a trusted authority issued is neither kind, and refused."""
        key = new_key()
        certificate = issue(key.public_key(), self.root, subject="lab1", issuer="root")
        dialler = ServerDiallerTLS(fresh_credentials(), "lab1.example", authorities=self.authorities)
        ends = stranger_listens(stranger_context(key, certificate, (), SERVER_PROTOCOL), dialler)
        self.assertIn("a chain of certificates", str(ends.dialling.refused))

    def test_T6_certificate_without_its_key(self) -> None:
        """Somebody who has a server's certificate, and signs with something else than its key, is refused by TLS."""
        right = rsa.generate_private_key(65537, 2048).private_numbers()
        # Anything that is further off is refused by the library of whoever tries.
        wrong = rsa.RSAPrivateNumbers(
            right.p, right.q, right.d - 2, right.dmp1 - 2, right.dmq1 - 2, right.iqmp, right.public_numbers
        ).private_key(unsafe_skip_rsa_key_validation=True)
        leaf = self.leaf(key=right.public_numbers.public_key())
        context = stranger_context(wrong, leaf, [self.middle_certificate], SERVER_PROTOCOL)
        dialler = ServerDiallerTLS(fresh_credentials(), "lab1.example", authorities=self.authorities)
        ends = stranger_listens(context, dialler)
        self.assertIsNone(ends.dialling.authenticated)
        self.assertIn("TLS failed", str(ends.dialling.refused))

    def test_name_is_told_to_what_stands_before_the_server(self) -> None:
        """The host name goes into the hello in the clear, an address does not."""
        for host, told in (("lab1.example", b"lab1.example"), ("10.0.0.7", None)):
            ends = self.meet(self.leaf("lab1.example", "10.0.0.7"), host)
            handle = ends.listening.transport.getHandle()  # type: ignore[union-attr]
            self.assertEqual(handle.get_servername(), told)


class RefusalTests(SynchronousTestCase):
    def test_other_endings_are_not_of_tls(self) -> None:
        """A connection that ended for another reason has no TLS refusal."""
        self.assertIsNone(refusal_of(Failure(ConnectionLost())))
        self.assertEqual(words_of(Failure(ConnectionLost())), "the connection was lost")
        self.assertEqual(words_of(Failure(ConnectionDone())), "the other side closed the connection")

    def test_every_error_is_typed(self) -> None:
        """Whatever OpenSSL says becomes one line."""
        for error in (
            SSL.Error(),
            SSL.Error([]),
            SSL.Error([("SSL routines", "", "bad thing")]),
            SSL.ZeroReturnError(),
        ):
            refusal = refusal_of(Failure(error))
            assert refusal is not None
            self.assertNotIn("\n", str(refusal))
            self.assertTrue(str(refusal))


class Farewell(Recorder):
    """Closes as soon as it knows who is there, and tells when it is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: Deferred[None] = Deferred()

    def handshakeCompleted(self) -> None:
        super().handshakeCompleted()
        if self.authenticated is not None and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.gone.callback(None)


class OtherLibraryTests(TestCase):
    """The system's `openssl s_client`, an OpenSSL of another generation, against a real port."""

    if OPENSSL is None:
        skip = "needs the openssl command"

    async def listen(self):
        """A port of one of us, and what comes to be behind it."""
        ends: list[Farewell] = []

        def make() -> Farewell:
            ends.append(Farewell())
            return ends[-1]

        listener = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        factory = listener.wrap(Factory.forProtocol(make), reactor)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        return port.getHost().port, ends

    def identity(self):
        """The options that let s_client show an Ed25519 key, and that key."""
        key = new_key()
        path = Path(self.mktemp())
        certificate = x509.load_der_x509_certificate(by_hand(key))
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        return ("-cert", str(path), "-key", str(path)), key_from_public(key.public_key())

    async def dial(self, port, ends, *options):
        """What s_client prints until it was told farewell, or refused."""
        arguments = ["s_client", "-connect", f"127.0.0.1:{port}", "-alpn", PEER_PROTOCOL.decode(), *options]
        output, error, _ = await getProcessOutputAndValue(OPENSSL, arguments)
        await ends[-1].gone
        return (output + error).decode("utf-8", "replace")

    async def test_a_stranger_gets_in(self):
        """Another program with an Ed25519 key is authenticated, by X25519."""
        port, ends = await self.listen()
        shown, key = self.identity()
        printed = await self.dial(port, ends, "-groups", "X25519", *shown)
        self.assertIn("New, TLSv1.3", printed)
        self.assertEqual(authenticated(ends[0]).key, key)
        self.assertEqual(authenticated(ends[0]).group, "X25519")

    async def test_T3_tls_12(self):
        """A client that is told to use TLS 1.2 is refused by an alert."""
        port, ends = await self.listen()
        shown, _ = self.identity()
        self.assertIn("alert protocol version", await self.dial(port, ends, "-tls1_2", *shown))
        self.assertIsNone(ends[0].authenticated)

    async def test_T3_only_a_shared_key(self):
        """A client that offers a pre-shared key instead of a certificate is refused."""
        port, ends = await self.listen()
        await self.dial(port, ends, "-tls1_3", "-psk", "00112233445566778899aabbccddeeff")
        self.assertIsNone(ends[0].authenticated)
        self.assertEqual(str(ends[0].refused), "it shows no certificate")

    async def test_T3_session_and_early_data(self):
        """A session that was saved is not resumed, and no early data are allowed or taken."""
        port, ends = await self.listen()
        shown, key = self.identity()
        session, early = self.mktemp(), self.mktemp()
        Path(early).write_bytes(b"early")
        self.assertIn("New, TLSv1.3", await self.dial(port, ends, *shown, "-sess_out", session))
        # OpenSSL writes tickets though nobody keeps what they name; without one there is nothing to try.
        self.assertTrue(Path(session).exists())
        printed = await self.dial(port, ends, *shown, "-sess_in", session, "-early_data", early)
        self.assertIn("New, TLSv1.3", printed)
        self.assertNotIn("Reused", printed)
        self.assertIn("Early data was not sent", printed)
        self.assertEqual([authenticated(end).key for end in ends], [key, key])
        self.assertEqual([end.received for end in ends], [b"", b""])
