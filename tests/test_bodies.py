"""What travels as opaque bytes (docs/protocol.md, sections 7 and 9)."""

from typing import Any

import msgspec
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.bodies import (
    EntryBody,
    RecordBody,
    ResetBody,
    TextBody,
    decode_body,
    encode_body,
    raw,
)
from p2pchat.core.errors import EndCode, LocalProtocolError, RemoteProtocolError

from .examples import ALICE, BASE, ENTRIES, RECORD, RECORD_BYTES, SERVER, STREAM, WALL

pack = msgspec.msgpack.encode

ENTRY: dict[str, Any] = {
    "id": bytes(16),
    "number": 1,
    "lamport": 1,
    "time": WALL,
    "kind": "text",
    "auth": "link",
    "body": {"text": "hello"},
}
RECORD_MAP: dict[str, Any] = {
    "key": ALICE.key,
    "server": SERVER.id,
    "handle": "alice",
    "name": "Alice",
    "addresses": [{"host": "192.0.2.7", "port": 6666}],
    "counter": 5,
}
KINDS: tuple[type[msgspec.Struct], ...] = (RecordBody, EntryBody, TextBody, ResetBody)


class BodyTests(SynchronousTestCase):
    def taken(self, kind: type[msgspec.Struct], fields: dict[str, Any]) -> None:
        """A map that must be a good body."""
        self.assertIsInstance(decode_body(kind, pack(fields)), kind)

    def refused(self, kind: type[msgspec.Struct], data: bytes, hint: object = None) -> None:
        """Bytes must be refused as malformed."""
        try:
            value = decode_body(kind, data)
        except RemoteProtocolError as error:
            self.assertIs(error.code, EndCode.MALFORMED)
        else:
            self.fail(f"taken: {hint}: {value}")

    def check_limits(
        self, kind: type[msgspec.Struct], good: dict[str, Any], limits: dict[str, tuple[list[Any], list[Any]]]
    ) -> None:
        """For each field: the values that are taken, and those that are refused."""
        for name, (taken, refused) in limits.items():
            for value in taken:
                self.taken(kind, good | {name: value})
            for value in refused:
                self.refused(kind, pack(good | {name: value}), (name, value))

    def test_record(self) -> None:
        """A record is decoded to what was encoded."""
        self.assertEqual(decode_body(RecordBody, RECORD_BYTES), RECORD)
        self.assertEqual(encode_body(RECORD), RECORD_BYTES)

    def test_record_limits(self) -> None:
        """Every field of a record at its limit is taken, and beyond it refused."""
        address = {"host": "::1", "port": 6666}
        self.check_limits(
            RecordBody,
            RECORD_MAP,
            {
                "key": ([bytes(44)], [bytes(43), bytes(45), "k" * 44, None]),
                "server": ([bytes(32)], [bytes(31), bytes(33), None]),
                "handle": (["a", "z" * 32], ["", "z" * 33, "Alice", "a\n", None]),
                "name": (["", "😀" * 64], ["x" * 65, b"x", None]),
                "addresses": ([[], [address] * 4], [[address] * 5, [{"host": "::1"}], [{"port": 1}], None]),
                "counter": ([0, 2**53 - 1], [-1, 2**53, 1.0, True, None]),
                "successor": ([None, b"", bytes(64)], [bytes(65), "x"]),
                "prekeys": ([None, b"", bytes(2048)], [bytes(2049), "x"]),
            },
        )
        for name in ("key", "server", "handle", "counter"):
            self.refused(RecordBody, pack({key: value for key, value in RECORD_MAP.items() if key != name}), name)

    def test_entry_limits(self) -> None:
        """Every field of an entry at its limit is taken, and beyond it refused; none may be absent."""
        integers: tuple[list[Any], list[Any]] = ([0, 2**53 - 1], [-1, 2**53, 1.0, False, None])
        self.check_limits(
            EntryBody,
            ENTRY,
            {
                "id": ([bytes(16)], [bytes(15), bytes(17), "i" * 16, None]),
                "number": integers,
                "lamport": integers,
                "time": integers,
                "kind": (["t", "😀" * 32], ["", "t" * 33, b"text", None]),
                "auth": (["l", "a" * 16], ["", "a" * 17, b"link", None]),
                "body": ([None, 1, 1.5, [], {}, b"x"], []),
            },
        )
        for name in ENTRY:
            self.refused(EntryBody, pack({key: value for key, value in ENTRY.items() if key != name}), name)

    def test_reset_limits(self) -> None:
        """A reset names a stream, a seq from 0 on and a head."""
        self.check_limits(
            ResetBody,
            {"stream": STREAM, "seq": 3, "head": BASE},
            {
                "stream": ([bytes(80)], [bytes(79), bytes(81), None]),
                "seq": ([0, 2**53 - 1], [-1, 2**53, None]),
                "head": ([bytes(32)], [bytes(31), bytes(33), None]),
            },
        )

    def test_body_of_an_entry_is_kept_as_it_came(self) -> None:
        """The body inside an entry is not decoded with it, whatever it holds."""
        bodies: list[Any] = [None, 1.5, {"text": 1}, [[]], msgspec.msgpack.Ext(3, b"abc")]
        for body in bodies:
            entry = decode_body(EntryBody, pack(ENTRY | {"body": body}))
            self.assertEqual(bytes(entry.body), pack(body))

    def test_body_of_a_void_is_the_empty_map(self) -> None:
        """A void entry carries {}."""
        self.assertEqual(bytes(raw(None)), b"\x80")

    def test_unknown_fields_are_skipped(self) -> None:
        """A newer author may add fields."""
        self.taken(EntryBody, ENTRY | {"brand-new": [1.5, {"a": None}]})
        self.taken(RecordBody, RECORD_MAP | {"brand-new": b"x"})
        self.taken(TextBody, {"text": "x", "brand-new": 1})

    def test_P9_trailing_bytes(self) -> None:
        """Nothing stands behind the map."""
        for kind, fields in ((RecordBody, RECORD_MAP), (EntryBody, ENTRY), (TextBody, {"text": ""})):
            self.refused(kind, pack(fields) + b"\xc0", kind)

    def test_P8_text_that_is_no_utf8(self) -> None:
        """The text of a message is UTF-8."""
        for bad in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
            self.refused(TextBody, b"\x81\xa4text" + bytes([0xA0 | len(bad)]) + bad)

    def test_P6_nesting(self) -> None:
        """Endless nesting where a body stands is refused, and deep nesting harms nobody."""
        entry = pack({key: value for key, value in ENTRY.items() if key != "body"})
        start = bytes([entry[0] + 1]) + entry[1:] + b"\xa4body"
        self.refused(EntryBody, start + b"\x91" * 60_000 + b"\xc0")
        self.assertIsInstance(decode_body(EntryBody, start + b"\x91" * 500 + b"\xc0"), EntryBody)

    def test_no_entry_above_its_limit_is_made(self) -> None:
        """What we encode is never longer than an entry may be."""
        overhead = len(encode_body(TextBody(text="x" * 60_000))) - 60_000
        self.assertEqual(len(encode_body(TextBody(text="x" * (61_440 - overhead)))), 61_440)
        self.assertRaises(LocalProtocolError, encode_body, TextBody(text="x" * (61_441 - overhead)))

    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(KINDS), st.sampled_from([RECORD_BYTES, *ENTRIES]), st.binary(max_size=6), st.integers(0, 400)
    )
    def test_only_one_error_escapes(self, kind: type[msgspec.Struct], data: bytes, put: bytes, at: int) -> None:
        """Any bytes are a body or RemoteProtocolError."""
        data = data[:at] + put + data[at + len(put) :]
        try:
            decode_body(kind, data)
        except RemoteProtocolError as error:
            self.assertIs(error.code, EndCode.MALFORMED)
