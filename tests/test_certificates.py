"""What we show: our own certificate, or one that an authority issued, from files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import StateError
from p2pchat.net.certificates import load_credentials, make_certificate, own_credentials

from .forgery import issue
from .handshakes import WALL


class OwnCertificateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()

    def read(self, wall: int = WALL) -> x509.Certificate:
        return x509.load_der_x509_certificate(make_certificate(self.key, wall))

    def test_names_nothing_but_the_key(self) -> None:
        """It is small and self-signed, and says the same of everybody."""
        certificate = self.read()
        self.assertEqual(certificate.public_key(), self.key.public_key())
        certificate.verify_directly_issued_by(certificate)
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=p2pchat")
        self.assertEqual(len(certificate.extensions), 0)
        self.assertLess(len(make_certificate(self.key, WALL)), 300)

    def test_renewed_under_the_same_key(self) -> None:
        """A second certificate of a key is another certificate of the same key."""
        one, other = self.read(), self.read()
        self.assertNotEqual(one.serial_number, other.serial_number)
        self.assertEqual(one.public_key(), other.public_key())

    def test_dates(self) -> None:
        """It began on the day before and never ends, and does not tell the hour at which it was made."""
        certificate = self.read()
        made = datetime.fromtimestamp(WALL / 1000, UTC)
        midnight = datetime(made.year, made.month, made.day, tzinfo=UTC)
        self.assertEqual(certificate.not_valid_before_utc, midnight - timedelta(days=1))
        self.assertEqual(certificate.not_valid_after_utc.year, 9999)

    def test_F17_any_clock(self) -> None:
        """Whatever the clock of a machine shows, it can make its certificate."""
        for wall in (-(10**18), -1, 0, 10**13, 2**53 - 1, 10**30):
            self.assertEqual(self.read(wall).public_key(), self.key.public_key(), wall)

    def test_credentials(self) -> None:
        """A peer shows its key and that one certificate."""
        credentials = own_credentials(self.key, WALL)
        self.assertIs(credentials.private_key, self.key)
        self.assertEqual([link.public_key() for link in credentials.chain], [self.key.public_key()])


class LoadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.authority = ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())

    def write_key(self, key: object = None, encryption: KeySerializationEncryption | None = None) -> Path:
        path = self.directory / "key.pem"
        key = key or self.key
        data = key.private_bytes(  # type: ignore[attr-defined]
            Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
        )
        path.write_bytes(data)
        return path

    def write_chain(self, *chain: x509.Certificate) -> Path:
        path = self.directory / "chain.pem"
        path.write_bytes(b"".join(link.public_bytes(Encoding.PEM) for link in chain))
        return path

    def leaf(self, **dates: datetime) -> x509.Certificate:
        return issue(self.key.public_key(), self.authority, subject="lab1", issuer="authority", **dates)  # type: ignore[arg-type]

    def now(self) -> int:
        return int(datetime.now(UTC).timestamp() * 1000)

    def refusal(self, certificate: Path, key: Path) -> str:
        return str(self.assertRaises(StateError, load_credentials, certificate, key, self.now()))

    def test_chain_and_key(self) -> None:
        """The certificates are taken in the order of the file, with the key of the first."""
        chain = (self.leaf(), issue(self.authority.public_key(), self.authority, authority=True))
        credentials = load_credentials(self.write_chain(*chain), self.write_key(), self.now())
        self.assertEqual(credentials.chain, chain)
        self.assertEqual(credentials.private_key.public_key(), self.key.public_key())

    def test_kinds_of_key(self) -> None:
        """RSA from 2048 bits, P-256 and P-384 serve; others are refused here and not by every client."""
        good = (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1()))
        bad = (
            rsa.generate_private_key(65537, 1024),
            ec.generate_private_key(ec.SECP521R1()),
            ed25519.Ed25519PrivateKey.generate(),
        )
        for key in (*good, *bad):
            certificate = self.write_chain(issue(key.public_key(), self.authority))
            if key in good:
                load_credentials(certificate, self.write_key(key), self.now())
            else:
                self.assertIn("must be of an RSA key", self.refusal(certificate, self.write_key(key)))

    def test_unusable_kind_of_key(self) -> None:
        """A private key that TLS has no use for is refused."""
        key = self.write_key(ed448.Ed448PrivateKey.generate())
        self.assertIn("a kind of key", self.refusal(self.write_chain(self.leaf()), key))

    def test_other_key(self) -> None:
        """A key that belongs to another certificate is refused, and both files are named."""
        key = self.write_key(ec.generate_private_key(ec.SECP256R1()))
        refusal = self.refusal(self.write_chain(self.leaf()), key)
        self.assertIn("key.pem is not the key", refusal)
        self.assertIn("chain.pem", refusal)

    def test_expired(self) -> None:
        """An expired certificate is refused, with the date."""
        end = datetime.now(UTC) - timedelta(days=3)
        certificate = self.write_chain(self.leaf(start=end - timedelta(days=90), end=end))
        self.assertIn(f"expired on {end:%Y-%m-%d}; renew it", self.refusal(certificate, self.write_key()))

    def test_not_yet_valid(self) -> None:
        """A certificate of the future is refused, with a hint at the clock."""
        start = datetime.now(UTC) + timedelta(days=3)
        certificate = self.write_chain(self.leaf(start=start, end=start + timedelta(days=90)))
        refusal = self.refusal(certificate, self.write_key())
        self.assertIn(f"{start:%Y-%m-%d}", refusal)
        self.assertIn("clock", refusal)

    def test_encrypted_key(self) -> None:
        """A key under a passphrase is refused with what to do."""
        key = self.write_key(encryption=BestAvailableEncryption(b"secret"))
        self.assertIn("without a passphrase", self.refusal(self.write_chain(self.leaf()), key))

    def test_no_pem(self) -> None:
        """Files that hold something else are refused by name, also when the two were exchanged."""
        certificate, key = self.write_chain(self.leaf()), self.write_key()
        self.assertIn("key.pem holds no certificate", self.refusal(key, key))
        self.assertIn("chain.pem holds no private key", self.refusal(certificate, certificate))
        empty = self.directory / "empty.pem"
        empty.touch()
        self.assertIn("empty.pem holds no certificate", self.refusal(empty, key))
        self.assertIn("empty.pem holds no private key", self.refusal(certificate, empty))

    def test_unreadable(self) -> None:
        """A file that is not there, or is a directory, is named with the reason."""
        key = self.write_key()
        self.assertIn("No such file", self.refusal(self.directory / "nothing.pem", key))
        self.assertIn("Is a directory", self.refusal(self.directory, key))

    def test_T5_long_chain(self) -> None:
        """More than four certificates would be refused by clients, so they are refused here."""
        chain = [self.leaf()] * 5
        self.assertIn("holds 5 certificates", self.refusal(self.write_chain(*chain), self.write_key()))
