"""
What docs/protocol.md says byte for byte, written a second time from that page alone.

Nothing here or in tests/stranger.py comes from p2pchat: where both disagree, the page or one of them is wrong.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Message = dict[str, Any]

KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
HANDLE = re.compile(r"[a-z0-9._-]{1,32}")

SMALL_FRAME = 16_384
LARGE_FRAME = 65_536
MAX_ENTRY = 61_440
MAX_TEXT = 16_384
MAX_RECORD = 4_096
MAX_INT = 2**53 - 1
SAFETY_ROUNDS = 5_200
DEFAULT_PORT = 8888

DEFAULTS: dict[str, Message] = {
    "hello": {"features": []},
    "server-hello": {"features": []},
    "changes": {"listings": [], "gone": []},
    "ask": {"text": ""},
    "reject": {"code": "rejected"},
    "have": {"last": False},
    "entry": {"history": False},
}
"""What an absent field means."""

SERVER_DOMAIN = b"p2pchat server v1\0"
RECORD_DOMAIN = b"p2pchat record v1\0"


class Broken(Exception):
    """The other side did what the page forbids; the argument is the code of section 5."""


def sha256(*parts: bytes) -> bytes:
    """SHA-256 of the parts joined."""
    return hashlib.sha256(b"".join(parts)).digest()


# --- section 2


@dataclass(frozen=True)
class Identity:
    """A key pair, its key as on the wire, and its id."""

    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def key(self) -> bytes:
        """44 bytes."""
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return KEY_PREFIX + self.private.public_key().public_bytes(*raw)

    @property
    def id(self) -> bytes:
        """32 bytes."""
        return sha256(self.key)

    def sign(self, domain: bytes, body: bytes) -> bytes:
        """64 bytes over the domain's prefix and the body."""
        return self.private.sign(domain + body)


def proves(key: bytes, domain: bytes, body: bytes, signature: bytes) -> bool:
    """Whether `key` signed this."""
    if len(key) != 44 or not key.startswith(KEY_PREFIX):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key[12:]).verify(signature, domain + body)
    except InvalidSignature:
        return False
    return True


def digits(bits: str) -> str:
    """Five bits a character."""
    return "".join(ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5))


def bits_of(data: bytes) -> str:
    """As zeros and ones, most significant first."""
    return "".join(f"{byte:08b}" for byte in data)


def written(identifier: bytes) -> str:
    """An id as people write it."""
    check = bits_of(sha256(b"p2pchat id check v1\0", identifier))[:20]
    plain = digits(bits_of(identifier) + "0000") + digits(check)
    return "-".join(plain[at : at + 4] for at in range(0, 56, 4))


def read_id(text: str) -> bytes:
    """An id that people wrote; ValueError if it is none."""
    plain = re.sub(r"[-\s]", "", text).lower().translate({ord("o"): "0", ord("i"): "1", ord("l"): "1"})
    if len(plain) != 56 or any(letter not in ALPHABET for letter in plain):
        raise ValueError(text)
    bits = "".join(f"{ALPHABET.index(letter):05b}" for letter in plain[:52])
    identifier = int(bits[:256], 2).to_bytes(32, "big")
    if bits[256:] != "0000" or written(identifier).replace("-", "") != plain:
        raise ValueError(text)
    return identifier


def half_safety_number(key: bytes) -> str:
    """The 30 digits of one key."""
    digest = hashlib.sha512(b"p2pchat safety number v1\0" + key + sha256(key)).digest()
    for _ in range(SAFETY_ROUNDS - 1):
        digest = hashlib.sha512(digest + key).digest()
    numbers = (int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 30, 5))
    return "".join(f"{number:05}" for number in numbers)


def safety_number(one: bytes, other: bytes) -> str:
    """60 digits in 12 groups for two keys."""
    joined = "".join(sorted((half_safety_number(one), half_safety_number(other))))
    return " ".join(joined[at : at + 5] for at in range(0, 60, 5))


def read_join_link(link: str) -> tuple[str, int, bytes]:
    """Host, port, and the server's id."""
    found = re.fullmatch(r"p2pchat://(\[[^\]]+\]|[^:/\[\]]+)(?::(\d+))?/#(.+)", link)
    if not found:
        raise ValueError(link)
    return found[1].strip("[]"), int(found[2] or DEFAULT_PORT), read_id(found[3])


# --- section 4


def frame(message: Message) -> bytes:
    """A message as it goes over the link."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


class Frames:
    """Bytes in, whole messages out."""

    def __init__(self) -> None:
        self.limit = SMALL_FRAME
        self._data = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """Every message that is whole now, except for those whose tag says that they may be skipped."""
        self._data += data
        while len(self._data) >= 4:
            length = int.from_bytes(self._data[:4], "big")
            if length > self.limit:
                raise Broken("too-big")
            if length == 0:
                raise Broken("malformed")
            if len(self._data) < 4 + length:
                return
            body, self._data = self._data[4 : 4 + length], self._data[4 + length :]
            message = decoded(body)
            if not str(message["type"]).startswith("x-"):
                yield message


def decoded(body: bytes) -> Message:
    """A message from the bytes of its frame."""
    try:
        message = msgspec.msgpack.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Broken("malformed") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Broken("malformed")
    return DEFAULTS.get(message["type"], {}) | message


def is_int(value: object, least: int = 0) -> bool:
    """Whether a value is what this protocol calls an integer."""
    return type(value) is int and least <= value <= MAX_INT


# --- section 7: records


def record(owner: Identity, server: bytes, handle: str, counter: int, port: int | None = None) -> Message:
    """A signed record; `port` is where its owner listens on loopback."""
    body = msgspec.msgpack.encode(
        {
            "key": owner.key,
            "server": server,
            "handle": handle,
            "name": "A Stranger",
            "addresses": [{"host": "127.0.0.1", "port": port}] if port else [],
            "counter": counter,
        }
    )
    return {"body": body, "signature": owner.sign(RECORD_DOMAIN, body)}


def read_record(signed: Message) -> Message:
    """What a record says, once its signature was checked; Broken otherwise."""
    body = {"name": "", "addresses": []} | msgspec.msgpack.decode(signed["body"])
    if len(signed["body"]) > MAX_RECORD or not proves(body["key"], RECORD_DOMAIN, signed["body"], signed["signature"]):
        raise Broken("bad-record")
    sound = len(body["server"]) == 32 and HANDLE.fullmatch(body["handle"]) and len(body["name"]) <= 64
    if not (sound and len(body["addresses"]) <= 4 and is_int(body["counter"])):
        raise Broken("bad-record")
    return body  # type: ignore[no-any-return]


# --- section 9


def conversation(one: bytes, other: bytes) -> bytes:
    """The name of what two ids say to each other."""
    return sha256(b"p2pchat conversation v1\0", *sorted((one, other)))


def head_of(stream: bytes, entries: Iterable[bytes]) -> bytes:
    """The head of a stream after these entries, its first ones."""
    return chain(sha256(b"p2pchat stream v1\0", stream), entries)


def chain(head: bytes, entries: Iterable[bytes]) -> bytes:
    """The head that follows `head` after these entries."""
    for each in entries:
        head = sha256(head, each)
    return head


def refusal(data: bytes) -> str | None:
    """Why an entry's bytes cannot be taken, as the code of section 10."""
    try:
        entry = msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "malformed"
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), bytes) or len(entry["id"]) != 16:
        return "malformed"
    if not all(is_int(entry.get(name)) for name in ("number", "lamport", "time")):
        return "malformed"
    kind, auth, body = (entry.get(name) for name in ("kind", "auth", "body"))
    if not isinstance(kind, str) or not 1 <= len(kind) <= 32 or not isinstance(auth, str) or not 1 <= len(auth) <= 16:
        return "malformed"
    if auth != "link":
        return "auth"
    if kind == "text":
        text = body.get("text") if isinstance(body, dict) else None
        if not isinstance(text, str):
            return "malformed"
        return "too-big" if len(text.encode()) > MAX_TEXT else None
    return None
