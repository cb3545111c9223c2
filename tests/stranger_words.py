"""
What docs/protocol.md says byte for byte, written a second time from that page alone.

Nothing here or in tests/stranger.py comes from p2pchat: where both disagree, the page or one of them is wrong.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .stranger_fields import BODIES, ENTRY, MESSAGES, RECORD, Broken, Message

KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

SMALL_FRAME = 16_384
LARGE_FRAME = 65_536
MAX_TEXT = 16_384
SAFETY_ROUNDS = 5_200
DEFAULT_PORT = 8888

SERVER_DOMAIN = b"p2pchat server v1\0"
RECORD_DOMAIN = b"p2pchat record v1\0"


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
    if not text.isascii():
        raise ValueError(text)
    plain = re.sub(r"[- \t\r\n]", "", text).lower().translate({ord("o"): "0", ord("i"): "1", ord("l"): "1"})
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
    found = re.fullmatch(r"p2pchat://(\[[^\]]+\]|[^:/\[\]]+)(?::([0-9]+))?/#(.+)", link)
    port = int(found[2] or DEFAULT_PORT) if found else 0
    if not found or not 1 <= port <= 65535:
        raise ValueError(link)
    return found[1].strip("[]"), port, read_id(found[3])


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
            if message is not None:
                yield message


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decoded(body: bytes) -> Message | None:
    """A message from the bytes of its frame; None for one to be skipped."""
    try:
        message = msgspec.msgpack.decode(body)
    except UNREADABLE:
        raise Broken("malformed") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Broken("malformed")
    if len(message) < pairs(body) and body.count(b"\xa4type") > 1:
        raise Broken("malformed")
    kind = message["type"]
    if kind in MESSAGES:
        return MESSAGES[kind].whole(message)
    if kind.startswith("x-") and len(kind) <= 64:
        return None
    raise Broken("malformed")


def pairs(data: bytes) -> int:
    """How many keys a map in MessagePack has, those that stand twice counted twice."""
    match data[0]:
        case 0xDE:
            return int.from_bytes(data[1:3], "big")
        case 0xDF:
            return int.from_bytes(data[1:5], "big")
        case small:
            return small & 0x0F


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
    try:
        body = RECORD.whole(msgspec.msgpack.decode(signed["body"]))
    except (*UNREADABLE, Broken, TypeError, ValueError):
        raise Broken("bad-record") from None
    if not proves(body["key"], RECORD_DOMAIN, signed["body"], signed["signature"]):
        raise Broken("bad-record")
    return body


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
        entry = ENTRY.whole(msgspec.msgpack.decode(data))
        if entry["auth"] != "link":
            return "auth"
        if entry["kind"] in BODIES:
            BODIES[entry["kind"]].whole(entry["body"])
    except (*UNREADABLE, Broken, TypeError, ValueError, AttributeError):
        return "malformed"
    if entry["kind"] == "text" and len(entry["body"]["text"].encode()) > MAX_TEXT:
        return "too-big"
    return None
