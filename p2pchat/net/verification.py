"""
What the far side must show in a TLS handshake, and what that makes of it.

OpenSSL walks the chain of certificates and reports on each (`check`, in its verify callback, where most of what
is bad ends cheaply); after the handshake the rules name the key that was shown (`key_of`). Whatever they
refuse they refuse by HandshakeRefused.
"""

from enum import IntEnum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import PublicKeyAlgorithmOID
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address

from ..core.errors import CertificateExpired, HandshakeRefused
from .certificates import MAX_CHAIN, is_issued_kind

MAX_OWN_CERTIFICATE = 4096
"""Most bytes of DER of a self-signed certificate; ours has 232."""


MAX_HANDSHAKES = 256
"""Certificates whose key is remembered for the rest of their handshake: as many as may be under way."""


class OpenSSLCode(IntEnum):
    """What OpenSSL reports on a certificate of a chain (x509_vfy.h); most others stay numbers."""

    OK = 0
    NOT_YET_VALID = 9
    EXPIRED = 10
    SELF_SIGNED = 18
    CHAIN_TOO_LONG = 22


SELF_SIGNED_REPORTS = frozenset({OpenSSLCode.SELF_SIGNED, OpenSSLCode.NOT_YET_VALID, OpenSSLCode.EXPIRED})
"""What OpenSSL has to say against every good self-signed certificate, or of its dates, which nobody reads."""


class OwnKeyRules:
    """One self-signed certificate of an Ed25519 key; nothing else in it is read (its dates neither)."""

    def check(self, certificate: bytes, error: int, depth: int) -> None:
        """Judge one report of OpenSSL while it walks the chain; raises HandshakeRefused."""
        if depth > 0:
            raise HandshakeRefused("it shows a chain of certificates instead of its own key")
        if error == OpenSSLCode.OK:
            # The last report on a certificate that was already judged at the report of it being self-signed.
            return
        if error not in SELF_SIGNED_REPORTS:
            raise HandshakeRefused(f"its certificate is not a plain self-signed one (OpenSSL {error})")
        self.key_of(certificate, 0)

    def key_of(self, certificate: bytes, others: int) -> tuple[bytes, bool]:
        """
        The SubjectPublicKeyInfo in a certificate (DER) that came with, or was led back to, so many `others`;
        and False: it is not certified. Raises HandshakeRefused.

        The certificate's own signature is not checked: the handshake has proved that the key is held, and
        checking would cost a fifth of a handshake and prove nothing more.
        """
        if others:
            raise HandshakeRefused("it shows a chain of certificates instead of its own key")
        if len(certificate) > MAX_OWN_CERTIFICATE:
            raise HandshakeRefused(f"its certificate has {len(certificate)} bytes")
        return _own_key_in(certificate), False


# Each certificate is judged in the handshake and again after it.
@lru_cache(MAX_HANDSHAKES)
def _own_key_in(certificate: bytes) -> bytes:
    leaf = _parse(certificate)
    if not _is_ed25519(leaf):
        raise HandshakeRefused("its certificate is not of an Ed25519 key")
    if leaf.version is not x509.Version.v3 or leaf.serial_number <= 0:
        # Some libraries read such ones and others do not, so that a peer would be known to some only.
        raise HandshakeRefused("its certificate is not of X.509 version 3 as in RFC 5280")
    return _key_info(leaf)


class ServerRules:
    """Either the server's own key, or a certificate that a trusted authority issued for `host`."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._own_key = OwnKeyRules()

    def check(self, certificate: bytes, error: int, depth: int) -> None:
        """Judge one report of OpenSSL while it walks the chain; raises HandshakeRefused."""
        if depth >= MAX_CHAIN or error == OpenSSLCode.CHAIN_TOO_LONG:
            raise HandshakeRefused("its chain of certificates is too long")
        parsed = _parse(certificate)
        if depth == 0 and _is_ed25519(parsed):
            self._own_key.check(certificate, error, depth)
            return
        match error:
            case OpenSSLCode.OK:
                _check_issued_key(parsed)
            case OpenSSLCode.EXPIRED:
                raise CertificateExpired(parsed.not_valid_after_utc)
            case OpenSSLCode.NOT_YET_VALID:
                start = f"{parsed.not_valid_before_utc:%Y-%m-%d}"
                raise HandshakeRefused(f"its certificate is valid from {start} on; check this machine's clock")
            case _:
                raise HandshakeRefused(
                    f"its certificate comes from no authority that this machine trusts (OpenSSL {error})"
                )

    def key_of(self, certificate: bytes, others: int) -> tuple[bytes, bool]:
        """
        The SubjectPublicKeyInfo in the server's certificate (DER), and whether it is certified.

        Raises HandshakeRefused. The chain was checked by OpenSSL and `check`, without which the handshake
        would not have finished: no session is ever resumed.
        """
        leaf = _parse(certificate)
        if _is_ed25519(leaf):
            return self._own_key.key_of(certificate, others)
        if others >= MAX_CHAIN:
            raise HandshakeRefused("its chain of certificates is too long")
        _check_issued_key(leaf)
        self._check_host(leaf)
        return _key_info(leaf), True

    def _check_host(self, leaf: x509.Certificate) -> None:
        verify = verify_certificate_ip_address if is_address(self._host) else verify_certificate_hostname
        try:
            verify(leaf, self._host)
        except (VerificationError, CertificateError, ValueError):
            raise HandshakeRefused(f"its certificate was not issued for {self._host}") from None


Rules = OwnKeyRules | ServerRules


def is_address(host: str) -> bool:
    """Whether somebody who typed `host` typed an IP address and no name."""
    return isIPAddress(host) or isIPv6Address(host)


class _Strictly:
    """Whatever cryptography says against a stranger's bytes is a HandshakeRefused."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ValueError | TypeError | UnsupportedAlgorithm | x509.InvalidVersion):
            raise HandshakeRefused(self._reason) from None


def _parse(certificate: bytes) -> x509.Certificate:
    with _Strictly("its certificate is malformed"):
        return x509.load_der_x509_certificate(certificate)


def _is_ed25519(certificate: x509.Certificate) -> bool:
    # The identifier stands before the key, so a large key of another kind is not even read.
    return certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.ED25519


def _key_info(certificate: x509.Certificate) -> bytes:
    with _Strictly("the key in its certificate is malformed"):
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_issued_key(certificate: x509.Certificate) -> None:
    with _Strictly("the key in its certificate is malformed"):
        if not is_issued_kind(certificate):
            raise HandshakeRefused("its certificate is of a kind of key that is not accepted")
