"""
Who somebody is: keys, ids and how they are written, signatures, safety numbers, join links.

docs/protocol.md, section 2. Keys are Ed25519 (RFC 8032) and travel as DER SubjectPublicKeyInfo (RFC 8410).
Nothing here makes a key: the seed is passed in.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .errors import UsageError

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, lower case: no letter that looks like a digit."""

KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of the key in a SubjectPublicKeyInfo of Ed25519."""

KEY_SIZE = len(KEY_PREFIX) + 32
DATA_CHARACTERS = 52
CHECK_CHARACTERS = 4
GROUP = 4
"""Characters between two dashes of a written id."""

SHORT_GROUPS = 4
"""Groups shown where a person decides: 16 characters, 80 bits."""

SAFETY_ROUNDS = 5200
"""As in Signal's numeric fingerprint: finding a key for a chosen number becomes 5,200 times dearer."""

DEFAULT_SERVER_PORT = 8888

REMEMBERED = 1024
"""Ids whose written form is remembered: writing or reading one takes some 30 microseconds, and every event of a chat
names somebody."""

MAX_PORT_DIGITS = 16
"""Digits of a port that are read, zeros in front counted."""

_LOWER = {character: value for value, character in enumerate(ALPHABET)} | {"o": 0, "i": 1, "l": 1}
# Not by str.lower, which makes ASCII letters of others: U+212A, the Kelvin sign, would be read as k.
_VALUES = _LOWER | {character.upper(): value for character, value in _LOWER.items()}


class Domain:
    """The prefixes under which p2pchat signs, so that no signature can be taken for another one."""

    RECORD = b"p2pchat record v1\0"
    SERVER = b"p2pchat server v1\0"
    ENTRY = b"p2pchat entry v1\0"


def key_from_public(public: Ed25519PublicKey) -> bytes:
    """The 44 bytes of SubjectPublicKeyInfo."""
    return KEY_PREFIX + public.public_bytes_raw()


def is_key(key: bytes) -> bool:
    """Whether these bytes are the SubjectPublicKeyInfo of an Ed25519 key."""
    return len(key) == KEY_SIZE and key.startswith(KEY_PREFIX)


def id_of(key: bytes) -> bytes:
    """The id, 32 bytes, of whoever owns `key`."""
    return hashlib.sha256(key).digest()


def verify(key: bytes, domain: bytes, body: bytes, signature: bytes) -> bool:
    """Whether the owner of `key` signed `body` under `domain`."""
    if not is_key(key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key[len(KEY_PREFIX) :]).verify(signature, domain + body)
    except (InvalidSignature, ValueError):
        return False
    return True


class Identity:
    """A private key, and what follows from it."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self.private_key = private_key
        self.key = key_from_public(private_key.public_key())
        self.id = id_of(self.key)

    @classmethod
    def from_seed(cls, seed: bytes) -> "Identity":
        """The identity of a 32-byte seed, which must come from a source of real randomness."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, domain: bytes, body: bytes) -> bytes:
        """64 bytes of signature over domain || body."""
        return self.private_key.sign(domain + body)

    def __repr__(self) -> str:
        return f"<Identity {short_id(self.id)}>"


# --- written ids


def _characters(data: bytes, count: int) -> str:
    bits = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    return "".join(ALPHABET[bits >> 5 * place & 31] for place in reversed(range(count)))


def _check_characters(identifier: bytes) -> str:
    digest = hashlib.sha256(b"p2pchat id check v1\0" + identifier).digest()
    return _characters(digest[:5], 8)[:CHECK_CHARACTERS]


@lru_cache(REMEMBERED)
def compact_id(identifier: bytes) -> str:
    """The id in 56 characters without dashes, as in a join link."""
    return _characters(identifier, DATA_CHARACTERS) + _check_characters(identifier)


@lru_cache(REMEMBERED)
def format_id(identifier: bytes) -> str:
    """The id in 14 groups of four characters."""
    text = compact_id(identifier)
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def short_id(identifier: bytes) -> str:
    """The first 16 characters of the id, in groups: the least that a person decides by."""
    return "-".join(format_id(identifier).split("-")[:SHORT_GROUPS])


@lru_cache(REMEMBERED)
def parse_id(text: str) -> bytes:
    """The id that somebody typed; raises UsageError that says what is wrong with it."""
    letters = [character for character in text if character not in "- \t\r\n"]
    unknown = next((character for character in letters if character not in _VALUES), None)
    if unknown is not None:
        raise UsageError(f"{unknown!r} cannot stand in an id; check it against the original")
    if len(letters) != DATA_CHARACTERS + CHECK_CHARACTERS:
        raise UsageError(
            f"an id has {DATA_CHARACTERS + CHECK_CHARACTERS} letters and digits, this one has {len(letters)}; "
            "copy it whole"
        )
    bits = 0
    for character in letters[:DATA_CHARACTERS]:
        bits = bits << 5 | _VALUES[character]
    identifier = (bits >> 4).to_bytes(32, "big")
    check = [_VALUES[character] for character in _check_characters(identifier)]
    if bits & 15 or [_VALUES[character] for character in letters[DATA_CHARACTERS:]] != check:
        raise UsageError("that id has a typing error in it; check it against the original")
    return identifier


@lru_cache(REMEMBERED)
def looks_like_id(text: str) -> bool:
    """Whether somebody who typed `text` meant an id, rightly written or not, and no name."""
    letters = text.replace("-", "").replace(" ", "")
    return len(letters) > 40 and letters.isalnum()


# --- comparing


def safety_number(one: bytes, other: bytes) -> str:
    """60 digits in 12 groups of five, the same for both orders of the two keys."""
    halves = sorted((_safety_half(one), _safety_half(other)))
    digits = "".join(halves)
    return " ".join(digits[start : start + 5] for start in range(0, len(digits), 5))


def _safety_half(key: bytes) -> str:
    digest = hashlib.sha512(b"p2pchat safety number v1\0" + key + id_of(key)).digest()
    for _ in range(SAFETY_ROUNDS - 1):
        digest = hashlib.sha512(digest + key).digest()
    chunks = (digest[start : start + 5] for start in range(0, 30, 5))
    return "".join(f"{int.from_bytes(chunk, 'big') % 100_000:05}" for chunk in chunks)


# --- join links


@dataclass(frozen=True, slots=True)
class JoinLink:
    """Where a server is, and who it must be."""

    host: str
    """A name, or an IP address without brackets."""

    port: int = DEFAULT_SERVER_PORT

    server: bytes | None = None
    """The server's id; None where a person typed only an address."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        identifier = "" if self.server is None else f"#{compact_id(self.server)}"
        return f"p2pchat://{host}:{self.port}/{identifier}"


def parse_join_link(text: str) -> JoinLink:
    """
    A join link, or a bare `HOST[:PORT]`.

    Raises UsageError.
    """
    rest, _, fragment = text.strip().removeprefix("p2pchat://").partition("#")
    host, port = parse_host_port(rest.removesuffix("/"), DEFAULT_SERVER_PORT)
    return JoinLink(host, port, parse_id(fragment) if fragment else None)


def parse_host_port(text: str, default_port: int) -> tuple[str, int]:
    """
    `HOST`, `HOST:PORT`, `[IPv6]`, `[IPv6]:PORT` or a bare IPv6 address.

    Raises UsageError.
    """
    port_text = ""
    if text.startswith("["):
        host, bracket, port_text = text[1:].partition("]")
        if not bracket or (port_text and not port_text.startswith(":")):
            raise UsageError(f"{text!r} is no address; write [IPv6]:PORT")
        port_text = port_text[1:]
    elif text.count(":") == 1:
        host, _, port_text = text.partition(":")
    else:
        host = text
    if not _is_host(host) or ((text.startswith("[") or ":" in host) and not _is_ipv6(host)):
        raise UsageError(f"{text!r} is no address; write HOST, HOST:PORT or [IPv6]:PORT")
    return host, _port(port_text) if port_text else default_port


def _is_host(host: str) -> bool:
    """Whether `host` may be the name or address of a machine; who resolves it says more."""
    return bool(host) and all(
        character.isprintable() and not character.isspace() and character not in "/@#?%[]\\" for character in host
    )


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_PORT_DIGITS else 0
    if not 0 < port < 65536:
        raise UsageError(f"{text!r} is no port; write a number from 1 to 65535")
    return port
