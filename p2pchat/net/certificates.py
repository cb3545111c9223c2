"""
What we show in a TLS handshake: a certificate of our own key, or one that an authority issued for a server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from ..core.errors import StateError

MAX_CHAIN = 4
"""Most certificates of a CA-issued chain, leaf and root counted: what public authorities need today."""

MIN_RSA_BITS = 2048
"""Least size of an RSA key in a CA-issued chain: what public authorities issue."""

MAX_RSA_BITS = 8192
"""Largest RSA key in a CA-issued chain: checking with larger ones is slow (CVE-2023-39533, in libp2p)."""

CURVES = frozenset({"secp256r1", "secp384r1"})
"""The curves of ECDSA keys in a CA-issued chain."""

MAX_PEM = 256 * 1024
"""Most bytes read of a PEM file: a chain of four with all its text is below 32 KiB."""

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2pchat")])
_BEFORE = timedelta(days=1)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280, section 4.1.2.5: the end of validity of what has no end."""

PrivateKey = Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """A private key, and the certificates that go with it."""

    private_key: PrivateKey
    chain: tuple[x509.Certificate, ...]
    """Our certificate, then those that lead from it to the authority; the key's own certificate stands alone."""


def make_certificate(private_key: Ed25519PrivateKey, wall: int) -> bytes:
    """
    A new self-signed certificate of `private_key`, in DER (232 bytes); `wall` is the time in ms since 1970.

    Nobody reads anything in it but the key, so that it may be made anew at any time, and a wrong clock
    (F17) harms nothing. The subject and the dates are there because X.509 wants some.
    """
    builder = x509.CertificateBuilder(
        issuer_name=_NAME,
        subject_name=_NAME,
        public_key=private_key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=_day_before(wall),
        not_valid_after=_NEVER,
    )
    return builder.sign(private_key, None).public_bytes(Encoding.DER)


def own_credentials(private_key: Ed25519PrivateKey, wall: int) -> Credentials:
    """What a peer shows, and a server without a CA-issued certificate: its own key (see make_certificate)."""
    return Credentials(private_key, (x509.load_der_x509_certificate(make_certificate(private_key, wall)),))


def load_credentials(certificate: Path, private_key: Path, wall: int) -> Credentials:
    """
    A CA-issued certificate with its chain, and its private key, from PEM files.

    `wall` is the time in ms since 1970. Raises StateError, one line with what to do, if anything in them would make
    every client refuse.
    """
    chain = _read_chain(certificate)
    key = _read_key(private_key)
    leaf = chain[0]
    if leaf.public_key() != key.public_key():
        raise StateError(f"{private_key} is not the key of the first certificate in {certificate}")
    if not is_issued_kind(leaf):
        raise StateError(f"{certificate} must be of an RSA key of 2048 to 8192 bits, or of P-256 or P-384")
    now = _date(wall)
    if leaf.not_valid_after_utc < now:
        raise StateError(f"{certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it")
    if leaf.not_valid_before_utc > now:
        start = f"{leaf.not_valid_before_utc:%Y-%m-%d}"
        raise StateError(f"{certificate} is valid from {start} on; check the clock of this machine")
    return Credentials(key, tuple(chain))


def is_issued_kind(certificate: x509.Certificate) -> bool:
    """
    Whether the key in a certificate is of a kind that a CA-issued chain may have.

    Raises ValueError or UnsupportedAlgorithm if the key cannot be read.
    """
    match certificate.public_key():
        case RSAPublicKey() as rsa:
            return MIN_RSA_BITS <= rsa.key_size <= MAX_RSA_BITS
        case EllipticCurvePublicKey() as elliptic:
            return elliptic.curve.name in CURVES
        case _:
            return False


def _date(wall: int) -> datetime:
    # The clock of a machine may show anything; datetime takes less than that.
    seconds = min(max(wall / 1000, _EARLIEST.timestamp()), _LATEST.timestamp())
    return datetime.fromtimestamp(seconds, UTC)


def _day_before(wall: int) -> datetime:
    # A whole day, so that the certificate does not tell when exactly a key was made.
    return (_date(wall) - _BEFORE).replace(hour=0, minute=0, second=0, microsecond=0)


def _read_chain(path: Path) -> Sequence[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise StateError(f"{path} holds no certificate in PEM; give the file that holds the chain") from None
    if len(chain) > MAX_CHAIN:
        raise StateError(f"{path} holds {len(chain)} certificates; give the server's own and at most 3 above it")
    return chain


def _read_key(path: Path) -> PrivateKey:
    data = _read(path)
    try:
        key = load_pem_private_key(data, None)
    except TypeError:
        raise StateError(f"{path} is encrypted; give a key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise StateError(f"{path} holds no private key in PEM") from None
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise StateError(f"{path} holds a kind of key that TLS 1.3 has no use for; give RSA or ECDSA")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PEM)
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from None
