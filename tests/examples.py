"""Two made-up peers and a server with keys from fixed seeds, and an example of every message between them."""

from p2pchat.core.bodies import RecordBody, encode_body
from p2pchat.core.entries import (
    conversation_of,
    first_head,
    next_head,
    reset_entry,
    stream_name,
    text_entry,
    void_entry,
)
from p2pchat.core.identity import Domain, Identity
from p2pchat.core.messages import (
    Accept,
    Address,
    Ask,
    Bye,
    Changes,
    Declined,
    DialBack,
    DialledBack,
    Entry,
    Have,
    Hello,
    History,
    Holding,
    Listing,
    Message,
    Ping,
    Pong,
    Record,
    Refused,
    Register,
    Registered,
    Reject,
    RosterPage,
    Seen,
    Select,
    ServerHello,
    Signed,
    Watch,
    Window,
)

WALL = 1_790_000_000_000
"""A fixed time, in ms since 1970: September 2026."""

ALICE = Identity.from_seed(bytes([1]) * 32)
BOB = Identity.from_seed(bytes([2]) * 32)
SERVER = Identity.from_seed(bytes([3]) * 32)
EXPORTER = bytes(range(32))
"""Stands for the 32 bytes that a TLS connection exports."""

CONVERSATION = conversation_of(ALICE.id, BOB.id)
STREAM = stream_name(CONVERSATION, ALICE.id, bytes([0xA1]) * 16)
BASE = first_head(STREAM)
ENTRIES = (
    text_entry("hello", id=bytes([0xE1]) * 16, number=1, lamport=1, time=WALL),
    text_entry("grüße\n\tund ☕", id=bytes([0xE2]) * 16, number=2, lamport=2, time=WALL + 1000),
    void_entry(id=bytes([0xE3]) * 16, number=3, lamport=4, time=WALL + 2000),
)
"""A short chain by Alice."""

OLD_STREAM = stream_name(CONVERSATION, ALICE.id, bytes([0xA0]) * 16)
RESET = reset_entry(OLD_STREAM, 0, first_head(OLD_STREAM), id=bytes([0xE0]) * 16, lamport=5, time=WALL + 3000)


def heads() -> list[bytes]:
    """head(0) to head(3) of the chain."""
    chain = [BASE]
    for entry in ENTRIES:
        chain.append(next_head(chain[-1], entry))
    return chain


HEADS = heads()
HOLDING = Holding(stream=STREAM, first=1, base=BASE, seq=3, head=HEADS[3])
OBSERVED = Address(host="192.0.2.7", port=7777)
RECORD = RecordBody(
    key=ALICE.key,
    server=SERVER.id,
    handle="alice",
    name="Alice Ångström",
    addresses=(Address(host="192.0.2.7", port=6666), Address(host="2001:db8::7", port=6666)),
    counter=WALL,
)
RECORD_BYTES = encode_body(RECORD)
SIGNED = Signed(body=RECORD_BYTES, signature=ALICE.sign(Domain.RECORD, RECORD_BYTES))
LISTING = Listing(record=SIGNED, online=True, observed=OBSERVED)
HELLO = Hello(version=1, handle="alice", nonce=bytes([0xB1]) * 16, store=bytes([0xC1]) * 16)
SERVER_HELLO = ServerHello(
    version=1,
    key=SERVER.key,
    proof=SERVER.sign(Domain.SERVER, EXPORTER),
    time=WALL,
    observed=OBSERVED,
    nonce=bytes([0xB3]) * 16,
)

EXAMPLES: tuple[Message, ...] = (
    HELLO,
    Hello(version=1, handle="bob", nonce=bytes([0xB2]) * 16, store=bytes([0xC2]) * 16, features=("one", "two")),
    Ping(number=0),
    Pong(number=2**53 - 1),
    Bye(code="leaving"),
    SERVER_HELLO,
    Register(record=SIGNED),
    Registered(handle="alice", expires=30),
    Declined(code="handle-taken"),
    Declined(code="stale-record", record=SIGNED),
    Watch(everyone=True),
    Watch(everyone=False, ids=(ALICE.id, BOB.id)),
    RosterPage(number=7, listings=(LISTING, Listing(record=SIGNED, online=False)), more=False),
    Changes(since=7, number=9, listings=(LISTING,), gone=(BOB.id,)),
    DialBack(number=5),
    DialledBack(number=6, code="later"),
    DialledBack(number=5, code="reached", address=OBSERVED),
    Ask(text="about the grant"),
    Accept(scope="once"),
    Accept(scope="timed", seconds=7200),
    Reject(),
    Reject(code="expired"),
    Select(),
    Have(streams=(HOLDING,), last=True),
    Have(streams=(Holding(stream=STREAM, first=1, base=BASE, seq=3, head=HEADS[3], processed=2),)),
    Entry(stream=STREAM, seq=1, bytes=ENTRIES[0]),
    Entry(stream=STREAM, seq=2, bytes=ENTRIES[1], history=True, signature=bytes(64)),
    Refused(stream=STREAM, seq=2, code="malformed"),
    Seen(stream=STREAM, seq=3),
    Window(entries=1280, bytes=1_310_720),
    History(stream=STREAM, first=1, last=3),
    Record(body=RECORD_BYTES, signature=SIGNED.signature),
)
"""At least one of every class, optional fields with and without a value."""
