"""Certificates that no library makes willingly, for tests: X.509 (RFC 5280, section 4.1) by hand, in DER."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey

ED25519 = bytes.fromhex("300506032b6570")
"""AlgorithmIdentifier of an Ed25519 signature (RFC 8410)."""


def der(tag: int, *contents: bytes) -> bytes:
    """One DER value."""
    body = b"".join(contents)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def name_of(common_name: bytes, tag: int = 0x0C) -> bytes:
    """A Name of one commonName; the tag is that of a UTF8String."""
    return der(0x30, der(0x31, der(0x30, bytes.fromhex("0603550403"), der(tag, common_name))))


def by_hand(
    key: ed25519.Ed25519PrivateKey,
    *,
    version: bytes = bytes.fromhex("a003020102"),
    serial: bytes = bytes.fromhex("020101"),
    subject: bytes = name_of(b"p2pchat"),
    dates: tuple[bytes, bytes] = (b"20200101000000Z", b"99991231235959Z"),
    extensions: bytes = b"",
    signature: bytes | None = None,
) -> bytes:
    """A self-signed certificate of `key`, with any of its parts replaced by other bytes."""
    validity = der(0x30, *(der(0x18, date) for date in dates))
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = der(0x30, version, serial, ED25519, subject, validity, subject, info, extensions)
    return der(0x30, body, ED25519, der(0x03, b"\0", key.sign(body) if signature is None else signature))


def padding(size: int) -> bytes:
    """The extensions of a certificate: one that nobody knows, of `size` bytes."""
    return der(0xA3, der(0x30, der(0x30, bytes.fromhex("06032a0304"), der(0x04, bytes(size)))))


def issue(
    public_key: PublicKey,
    signer: PrivateKey,
    *,
    subject: str = "p2pchat",
    issuer: str = "p2pchat",
    names: tuple[x509.GeneralName, ...] = (),
    authority: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
) -> x509.Certificate:
    """An ordinary certificate, valid now for a month unless told otherwise."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
        public_key,
        x509.random_serial_number(),
        start or now - timedelta(days=1),
        end or now + timedelta(days=30),
    )
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else SHA256())
