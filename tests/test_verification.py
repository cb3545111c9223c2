"""What the far side must show, judged on single certificates."""

from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import CertificateExpired, HandshakeRefused
from p2pchat.core.identity import is_key, key_from_public
from p2pchat.net.certificates import make_certificate
from p2pchat.net.verification import MAX_OWN_CERTIFICATE, OpenSSLCode, OwnKeyRules, ServerRules, is_address

from .forgery import by_hand, der, issue, name_of, padding
from .handshakes import WALL

KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
AUTHORITY = ec.generate_private_key(ec.SECP256R1())
GOOD = make_certificate(KEY, WALL)


def in_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


class OwnKeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rules = OwnKeyRules()

    def refusal(self, certificate: bytes, others: int = 0) -> str:
        return str(self.assertRaises(HandshakeRefused, self.rules.key_of, certificate, others))

    def test_the_key_is_read(self) -> None:
        """A good certificate gives its key, which is not certified."""
        self.assertEqual(self.rules.key_of(GOOD, 0), (key_from_public(KEY.public_key()), False))

    def test_T5_size(self) -> None:
        """4,096 bytes of DER are allowed, one more is not, nor are 64 KB."""
        around = len(by_hand(KEY, extensions=padding(3_000))) - 3_000
        largest, larger = (by_hand(KEY, extensions=padding(size - around)) for size in (4_096, 4_097))
        self.assertEqual((len(largest), len(larger)), (MAX_OWN_CERTIFICATE, MAX_OWN_CERTIFICATE + 1))
        self.rules.key_of(largest, 0)
        self.assertEqual(self.refusal(larger), "its certificate has 4097 bytes")
        self.refusal(by_hand(KEY, extensions=padding(65_536)))

    def test_T5_other_keys(self) -> None:
        """A self-signed certificate of any other kind of key is refused, however large, before the key is read."""
        huge = rsa.RSAPublicNumbers(65537, 2**16383 + 1).public_key()
        small = rsa.RSAPublicNumbers(65537, 2**1023 + 1).public_key()
        curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
        others = [ec.generate_private_key(curve).public_key() for curve in curves]
        for key in (huge, small, *others, ed448.Ed448PrivateKey.generate().public_key()):
            certificate = in_der(issue(key, AUTHORITY))  # type: ignore[arg-type]
            self.assertEqual(self.refusal(certificate), "its certificate is not of an Ed25519 key")

    def test_T5_chain(self) -> None:
        """A good certificate that comes with another one is refused, and so is any at a depth."""
        self.assertIn("chain", self.refusal(GOOD, 1))
        refused = self.assertRaises(HandshakeRefused, self.rules.check, GOOD, OpenSSLCode.OK, 1)
        self.assertIn("chain", str(refused))

    def test_T5_version_and_serial(self) -> None:
        """Version 1, an impossible version, and a serial number that is not positive are refused."""
        for version in (b"", bytes.fromhex("a003020104")):
            self.refusal(by_hand(KEY, version=version))
        for serial in ("0201ff", "020100"):
            self.refusal(by_hand(KEY, serial=bytes.fromhex(serial)))
        self.flushWarnings()

    def test_T5_bad_lengths(self) -> None:
        """Lengths that say more, or less, than there is are refused."""
        body = GOOD[3:]
        for wrong in (
            b"\x30\x81" + bytes([len(body) - 1]) + body,
            b"\x30\x81" + bytes([len(body) + 1]) + body,
            b"\x30\x84\xff\xff\xff\xff" + body,
            b"\x30\x80" + body + b"\0\0",
            GOOD + b"\0",
            GOOD[:-1],
            b"",
        ):
            self.assertEqual(self.refusal(wrong), "its certificate is malformed")

    def test_T5_names_are_not_read(self) -> None:
        """NUL, escapes, an empty or an enormous name: the key is the same, and nothing else is taken from there."""
        for subject in (name_of(b"lab1.example\0.evil.example"), name_of(b"\x1b[2J"), der(0x30), name_of(b"x" * 1_500)):
            key, certified = self.rules.key_of(by_hand(KEY, subject=subject), 0)
            self.assertEqual((key, certified), (key_from_public(KEY.public_key()), False))

    def test_F17_dates_are_not_read(self) -> None:
        """An expired certificate and one of the future are as good: the pin is the key."""
        for dates in ((b"20000101000000Z", b"20010101000000Z"), (b"29990101000000Z", b"29990201000000Z")):
            self.rules.key_of(by_hand(KEY, dates=dates), 0)
        for report in (OpenSSLCode.EXPIRED, OpenSSLCode.NOT_YET_VALID, OpenSSLCode.SELF_SIGNED):
            self.rules.check(GOOD, report, 0)

    def test_other_reports_refuse(self) -> None:
        """Whatever else OpenSSL has against a certificate, known to us or not, refuses it."""
        for report in (2, 7, 13, 14, 19, 20, 21, 22, 24, 26, 34, 50, 66, 94, 10_000):
            self.assertRaises(HandshakeRefused, self.rules.check, GOOD, report, 0)

    @given(st.data())
    @settings(max_examples=300)
    def test_any_bytes(self, data: st.DataObject) -> None:
        """Whatever a certificate is changed into, it gives a key or a typed refusal."""
        changed = bytearray(GOOD)
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(changed) - 1))
            changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
            if not changed:
                break
        try:
            key, certified = self.rules.key_of(bytes(changed), 0)
        except HandshakeRefused:
            return
        finally:
            self.flushWarnings()
        self.assertTrue(is_key(key))
        self.assertFalse(certified)


class ServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rules = ServerRules("lab1.example")
        self.server_key = ec.generate_private_key(ec.SECP256R1())

    def certificate(self, *names: x509.GeneralName, key: object = None) -> bytes:
        public = key or self.server_key.public_key()
        return in_der(issue(public, AUTHORITY, issuer="authority", names=names))  # type: ignore[arg-type]

    def refusal(self, certificate: bytes, others: int = 1, rules: ServerRules | None = None) -> str:
        return str(self.assertRaises(HandshakeRefused, (rules or self.rules).key_of, certificate, others))

    def test_own_key(self) -> None:
        """A server may show its own key, which is not certified then, alone."""
        self.rules.check(GOOD, OpenSSLCode.SELF_SIGNED, 0)
        # 20: issued by somebody who is not there.
        self.assertRaises(HandshakeRefused, self.rules.check, GOOD, 20, 0)
        self.assertEqual(self.rules.key_of(GOOD, 0), (key_from_public(KEY.public_key()), False))
        self.assertIn("chain", self.refusal(GOOD, 1))

    def test_issued(self) -> None:
        """A certificate issued for the host gives its key, certified."""
        certificate = self.certificate(x509.DNSName("lab1.example"))
        self.rules.check(certificate, OpenSSLCode.OK, 0)
        key, certified = self.rules.key_of(certificate, 1)
        self.assertTrue(certified)
        self.assertIn(key, certificate)

    def test_host_is_checked(self) -> None:
        """A certificate for another name, for part of it, for an address, or for none, is refused."""
        for name in ("lab2.example", "example", "*.lab1.example", "lab1.example.evil.example"):
            certificate = self.certificate(x509.DNSName(name))
            self.assertEqual(self.refusal(certificate), "its certificate was not issued for lab1.example")
        self.refusal(self.certificate())
        address = self.certificate(x509.IPAddress(ip_address("10.0.0.7")))
        self.refusal(address)
        ServerRules("10.0.0.7").key_of(address, 1)
        self.refusal(self.certificate(x509.DNSName("10.0.0.7")), rules=ServerRules("10.0.0.7"))

    def test_ipv6_host(self) -> None:
        """An IPv6 address is checked as an address, however it is written."""
        address = self.certificate(x509.IPAddress(ip_address("2001:db8::7")))
        for written in ("2001:db8::7", "2001:0DB8:0:0::7"):
            self.assertTrue(ServerRules(written).key_of(address, 1)[1])
        self.refusal(address, rules=ServerRules("2001:db8::8"))
        self.assertTrue(is_address("2001:db8::7"))
        self.assertFalse(is_address("lab1.example"))

    def test_subject_is_not_read(self) -> None:
        """A common name alone names no host."""
        certificate = in_der(issue(self.server_key.public_key(), AUTHORITY, subject="lab1.example", issuer="authority"))
        self.refusal(certificate)

    def test_odd_hosts(self) -> None:
        """What is no host name at all is refused, by no other exception."""
        certificate = self.certificate(x509.DNSName("lab1.example"))
        for host in ("", ".", "a" * 300, "\0", "bücher.example", "xn--\u2603", "1.2.3.4.5", "fe80::1%eth0"):
            self.refusal(certificate, rules=ServerRules(host))

    def test_T5_keys(self) -> None:
        """RSA below 2048 bits and above 8192, P-521 and others are refused, at every depth."""
        numbers = rsa.RSAPublicNumbers
        for key in (
            numbers(65537, 2**1023 + 1).public_key(),
            numbers(65537, 2**16383 + 1).public_key(),
            ec.generate_private_key(ec.SECP521R1()).public_key(),
            ed448.Ed448PrivateKey.generate().public_key(),
        ):
            certificate = self.certificate(x509.DNSName("lab1.example"), key=key)
            for depth in range(3):
                self.assertRaises(HandshakeRefused, self.rules.check, certificate, OpenSSLCode.OK, depth)
            self.refusal(certificate)

    def test_T5_chain_length(self) -> None:
        """Four certificates are allowed, five are not, whether they were needed or only sent."""
        certificate = self.certificate(x509.DNSName("lab1.example"))
        self.rules.check(certificate, OpenSSLCode.OK, 3)
        self.assertRaises(HandshakeRefused, self.rules.check, certificate, OpenSSLCode.OK, 4)
        self.assertRaises(HandshakeRefused, self.rules.check, certificate, OpenSSLCode.CHAIN_TOO_LONG, 0)
        self.rules.key_of(certificate, 3)
        self.assertIn("too long", self.refusal(certificate, 4))

    def test_T5_ed25519_by_an_authority(self) -> None:
        """An Ed25519 certificate that an authority issued is neither kind."""
        certificate = in_der(issue(KEY.public_key(), AUTHORITY, issuer="authority"))
        self.assertIn("chain", self.refusal(certificate, 1))

    def test_expired(self) -> None:
        """An expired certificate is a typed error with the date."""
        certificate = self.certificate(x509.DNSName("lab1.example"))
        expired = self.assertRaises(CertificateExpired, self.rules.check, certificate, OpenSSLCode.EXPIRED, 0)
        end = x509.load_der_x509_certificate(certificate).not_valid_after_utc
        self.assertEqual(expired.not_after, end)
        self.assertIn(f"{end:%Y-%m-%d}", str(expired))
        self.assertGreater(end, datetime(2020, 1, 1, tzinfo=UTC))

    def test_not_yet_valid(self) -> None:
        """A certificate of the future points at the clock."""
        certificate = self.certificate(x509.DNSName("lab1.example"))
        report = OpenSSLCode.NOT_YET_VALID
        refused = self.assertRaises(HandshakeRefused, self.rules.check, certificate, report, 0)
        self.assertIn("clock", str(refused))

    def test_untrusted(self) -> None:
        """Any other report of OpenSSL means that no authority vouches for it."""
        certificate = self.certificate(x509.DNSName("lab1.example"))
        for report in (18, 19, 20, 21, 23, 24, 26, 10_000):
            refused = self.assertRaises(HandshakeRefused, self.rules.check, certificate, report, 0)
            self.assertIn("no authority that this machine trusts", str(refused))
