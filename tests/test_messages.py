"""Every message and its limits, and what the decoder makes of hostile bytes (docs/protocol.md, sections 4 to 9)."""

import tracemalloc
from typing import Any

import msgspec
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import EndCode, RemoteProtocolError
from p2pchat.core.framing import LARGE_FRAME
from p2pchat.core.messages import MESSAGES, Ask, Bye, Declined, Have, Message, Ping, Reject, decode, encode, tag_of

from .examples import EXAMPLES

pack = msgspec.msgpack.encode

Fields = dict[str, Any]


def fields(message: Message) -> Fields:
    """The map that carries a message, as another MessagePack library would read it."""
    return dict(msgspec.msgpack.decode(encode(message)))


def example(tag: str) -> Fields:
    """The map of the last example, which has the most optional fields, of a message."""
    return next(fields(message) for message in reversed(EXAMPLES) if tag_of(type(message)) == tag)


def changed(tag: str, path: str, value: object) -> bytes:
    """An example with another value at `path`, whose parts are joined by dots."""
    whole: Any = example(tag)
    place = whole
    *parents, last = path.split(".")
    for name in parents:
        place = place[int(name)] if name.isdigit() else place[name]
    place[int(last) if last.isdigit() else last] = value
    return pack(whole)


INTEGERS = [
    ("hello", "version"),
    ("ping", "number"),
    ("pong", "number"),
    ("server-hello", "version"),
    ("server-hello", "time"),
    ("registered", "expires"),
    ("roster", "number"),
    ("changes", "since"),
    ("changes", "number"),
    ("dial-back", "number"),
    ("dialled-back", "number"),
    ("accept", "seconds"),
    ("have", "streams.0.seq"),
    ("have", "streams.0.processed"),
    ("window", "entries"),
    ("window", "bytes"),
]
SEQUENCES = [
    ("have", "streams.0.first"),
    ("entry", "seq"),
    ("refused", "seq"),
    ("seen", "seq"),
    ("history", "first"),
    ("history", "last"),
]
PORTS = [("server-hello", "observed.port"), ("dialled-back", "address.port"), ("changes", "listings.0.observed.port")]
BINARIES = [
    ("hello", "nonce", 16, 16),
    ("hello", "store", 16, 16),
    ("server-hello", "key", 44, 44),
    ("server-hello", "proof", 64, 64),
    ("server-hello", "nonce", 16, 16),
    ("register", "record.body", 1, 4096),
    ("register", "record.signature", 64, 64),
    ("register", "invitation", 1, 256),
    ("declined", "record.body", 1, 4096),
    ("watch", "ids.0", 32, 32),
    ("roster", "listings.0.record.body", 1, 4096),
    ("changes", "gone.0", 32, 32),
    ("have", "streams.0.stream", 80, 80),
    ("have", "streams.0.base", 32, 32),
    ("have", "streams.0.head", 32, 32),
    ("entry", "stream", 80, 80),
    ("entry", "bytes", 1, 61_440),
    ("entry", "signature", 64, 64),
    ("refused", "stream", 80, 80),
    ("seen", "stream", 80, 80),
    ("history", "stream", 80, 80),
    ("record", "body", 1, 4096),
    ("record", "signature", 64, 64),
]
STRINGS = [
    ("hello", "handle", 1, 32),
    ("hello", "features.0", 1, 32),
    ("bye", "code", 1, 32),
    ("server-hello", "observed.host", 2, 45),
    ("registered", "handle", 1, 32),
    ("declined", "code", 1, 32),
    ("dialled-back", "code", 1, 32),
    ("dialled-back", "address.host", 2, 45),
    ("ask", "text", 0, 200),
    ("reject", "code", 1, 32),
    ("refused", "code", 1, 32),
]
ARRAYS = [
    ("hello", "features", "f", 32),
    ("server-hello", "features", "f", 32),
    ("watch", "ids", bytes(32), 512),
    ("roster", "listings", example("roster")["listings"][0], 500),
    ("changes", "listings", example("roster")["listings"][0], 500),
    ("changes", "gone", bytes(32), 500),
    ("have", "streams", example("have")["streams"][0], 128),
]
BOOLEANS = [
    ("watch", "everyone"),
    ("roster", "more"),
    ("roster", "listings.0.online"),
    ("have", "last"),
    ("entry", "history"),
]
MAX = 2**53 - 1


class MessageTestCase(SynchronousTestCase):
    def taken(self, frame: bytes, hint: object = None) -> Message:
        """The message in a frame that must be good."""
        try:
            message = decode(frame)
        except RemoteProtocolError as error:
            self.fail(f"refused: {hint}: {error}")
        assert message is not None
        return message

    def refused(self, frame: bytes, hint: object = None) -> None:
        """A frame must be refused as malformed."""
        try:
            message = decode(frame)
        except RemoteProtocolError as error:
            self.assertIs(error.code, EndCode.MALFORMED)
        else:
            self.fail(f"taken: {hint}: {message}")


class RoundTripTests(MessageTestCase):
    def test_there_is_an_example_of_every_message(self) -> None:
        """The examples leave no message out."""
        self.assertEqual({type(message) for message in EXAMPLES}, set(MESSAGES))

    def test_encode_then_decode(self) -> None:
        """What was encoded is decoded to the same, and encodes to the same bytes again."""
        for message in EXAMPLES:
            frame = encode(message)
            self.assertEqual(decode(frame), message)
            self.assertEqual(encode(self.taken(frame)), frame)

    def test_order_of_keys_does_not_matter(self) -> None:
        """The type may stand last."""
        for message in EXAMPLES:
            reverse = dict(reversed(fields(message).items()))
            self.assertEqual(decode(pack(reverse)), message)

    def test_tags(self) -> None:
        """The tags are those of the protocol page."""
        self.assertEqual(
            {tag_of(kind) for kind in MESSAGES},
            {
                *("hello", "ping", "pong", "bye", "server-hello", "register", "registered", "declined", "watch"),
                *("roster", "changes", "ask", "accept", "reject", "select", "have", "entry", "refused", "seen"),
                *("window", "history", "record", "dial-back", "dialled-back"),
            },
        )

    def test_missing_fields(self) -> None:
        """A message without one of its fields is refused; only optional ones may be absent, or nil."""
        optional = {
            "hello": {"features"},
            "server-hello": {"features"},
            "register": {"invitation"},
            "declined": {"record"},
            "watch": {"ids"},
            "changes": {"listings", "gone"},
            "dialled-back": {"address"},
            "ask": {"text"},
            "accept": {"seconds"},
            "reject": {"code"},
            "have": {"last"},
            "entry": {"history", "signature"},
        }
        for kind in MESSAGES:
            tag = tag_of(kind)
            whole = example(tag)
            for name in set(whole) - {"type"}:
                frame = pack({key: value for key, value in whole.items() if key != name})
                check = self.taken if name in optional.get(tag, ()) else self.refused
                check(frame, (tag, name))

    def test_nil_is_absent_for_optional_fields_without_a_default(self) -> None:
        """An optional field may be nil; one with a default may be absent, but not nil."""
        for tag, name in (
            ("register", "invitation"),
            ("declined", "record"),
            ("dialled-back", "address"),
            ("accept", "seconds"),
            ("entry", "signature"),
            ("have", "streams.0.processed"),
            ("roster", "listings.0.observed"),
        ):
            self.taken(changed(tag, name, None), (tag, name))
        for tag, name in (("hello", "features"), ("reject", "code"), ("entry", "history"), ("ping", "number")):
            self.refused(changed(tag, name, None), (tag, name))

    def test_codes_not_known_are_unknown(self) -> None:
        """A receiver takes a code that it does not know as `unknown`."""
        for message in (Bye(code="brand-new"), Declined(code="brand-new"), Reject(code="brand-new")):
            self.assertIs(message.reason, EndCode.UNKNOWN)
        for code in EndCode:
            self.assertIs(Bye(code=code.value).reason, code)


class LimitTests(MessageTestCase):
    def test_integers(self) -> None:
        """All integers lie in 0 .. 2^53-1."""
        for tag, path in INTEGERS:
            for value in (0, MAX):
                self.taken(changed(tag, path, value), (tag, path, value))
            for value in (-1, -(2**63), MAX + 1, 2**63, 2**64 - 1):
                self.refused(changed(tag, path, value), (tag, path, value))

    def test_sequence_numbers(self) -> None:
        """Numbers of entries begin with 1."""
        for tag, path in SEQUENCES:
            for value in (1, MAX):
                self.taken(changed(tag, path, value), (tag, path, value))
            for value in (0, MAX + 1):
                self.refused(changed(tag, path, value), (tag, path, value))

    def test_ports(self) -> None:
        """Ports lie in 1 .. 65535."""
        for tag, path in PORTS:
            for value in (1, 65_535):
                self.taken(changed(tag, path, value), (tag, path, value))
            for value in (0, 65_536):
                self.refused(changed(tag, path, value), (tag, path, value))

    def test_binaries(self) -> None:
        """Lengths of bin are inclusive limits, in bytes."""
        for tag, path, least, most in BINARIES:
            for size in (least, most):
                self.taken(changed(tag, path, bytes(size)), (tag, path, size))
            for size in (least - 1, most + 1):
                self.refused(changed(tag, path, bytes(size)), (tag, path, size))

    def test_strings(self) -> None:
        """Lengths of str are inclusive limits, in code points."""
        for tag, path, least, most in STRINGS:
            letter = "a" if path == "handle" else "😀"
            for size in (least, most):
                self.taken(changed(tag, path, letter * size), (tag, path, size))
            for size in {least - 1, most + 1} - {-1}:
                self.refused(changed(tag, path, letter * size), (tag, path, size))

    def test_arrays(self) -> None:
        """Arrays may be empty and have an inclusive limit."""
        for tag, path, item, most in ARRAYS:
            for count in (0, 1, most):
                self.taken(changed(tag, path, [item] * count), (tag, path, count))
            self.refused(changed(tag, path, [item] * (most + 1)), (tag, path, most + 1))

    def test_handles(self) -> None:
        """Handles are [a-z0-9._-]{1,32}, and nothing around that."""
        for tag in ("hello", "registered"):
            for handle in ("a", "0.9_z-", "-" * 32):
                self.taken(changed(tag, "handle", handle), handle)
            for handle in ("A", "a\n", "\na", "a b", "é", "а", "a/b", "a\0", "a@b"):
                self.refused(changed(tag, "handle", handle), handle)

    def test_scopes(self) -> None:
        """Consent is for once, for a time or always."""
        for scope in ("once", "timed", "always"):
            self.taken(changed("accept", "scope", scope), scope)
        for scope in ("", "Once", "once\n", "forever", "onceonce"):
            self.refused(changed("accept", "scope", scope), scope)

    def test_full_messages_fit_into_a_frame(self) -> None:
        """The longest Have, Watch and Entry are no longer than a frame may be."""
        for tag, path, value in (
            ("have", "streams", [example("have")["streams"][0] | {"first": MAX, "seq": MAX, "processed": MAX}] * 128),
            ("watch", "ids", [bytes(32)] * 512),
            ("entry", "bytes", bytes(61_440)),
        ):
            self.assertLessEqual(len(changed(tag, path, value)), LARGE_FRAME, tag)


class TypeTests(MessageTestCase):
    def test_P9_no_boolean_for_an_integer(self) -> None:
        """true and false are no integers, and integers are no booleans."""
        for tag, path in INTEGERS + SEQUENCES + PORTS:
            self.refused(changed(tag, path, True), (tag, path))
        for tag, path in BOOLEANS:
            for value in (0, 1, "true", None):
                self.refused(changed(tag, path, value), (tag, path, value))

    def test_P9_no_floats(self) -> None:
        """A float is no integer, not even a whole one; NaN and infinity are nothing."""
        for tag, path in INTEGERS + SEQUENCES + PORTS:
            for value in (1.0, -0.0, 1.5, float("nan"), float("inf")):
                self.refused(changed(tag, path, value), (tag, path, value))

    def test_P9_no_extension_types(self) -> None:
        """No field that the page names takes an extension type, a timestamp neither."""
        for tag in map(tag_of, MESSAGES):
            for name in set(example(tag)) - {"type"}:
                for code in (1, -1, 127):
                    self.refused(changed(tag, name, msgspec.msgpack.Ext(code, b"\0\0\0\1")), (tag, name))

    def test_binary_and_text_do_not_stand_for_each_other(self) -> None:
        """str is refused where bin is asked for, and the other way round."""
        for tag, path, _, most in BINARIES:
            self.refused(changed(tag, path, "a" * most), (tag, path))
        for tag, path, _, most in STRINGS:
            self.refused(changed(tag, path, b"a" * most), (tag, path))

    def test_not_a_map(self) -> None:
        """A frame holds one map and nothing else."""
        for value in (None, 1, "ping", b"ping", [], ["ping", 1], True):
            self.refused(pack(value), value)
        self.refused(b"", "nothing")

    def test_P9_trailing_bytes(self) -> None:
        """Nothing stands behind the map."""
        for message in EXAMPLES:
            for tail in (b"\xc0", b"\0", encode(Ping(number=1))):
                self.refused(encode(message) + tail, message)

    def test_truncated(self) -> None:
        """A message that ends early is refused, wherever it ends."""
        for message in EXAMPLES:
            frame = encode(message)
            for end in {*range(min(len(frame), 40)), len(frame) - 1}:
                self.refused(frame[:end], (message, end))

    def test_P9_keys_that_stand_twice(self) -> None:
        """Where a key stands twice the last one counts, and each must be good; the type stands once."""
        twice = b"\x83\xa4type\xa4ping\xa6number"
        self.assertEqual(decode(twice + b"\x05\xa6number\x06"), Ping(number=6))
        self.refused(twice + b"\xff\xa6number\x06", "first one bad")
        self.refused(twice + b"\x05\xa4type\xa4pong", "two types")
        self.refused(b"\x83\xa4type\xa3x-a\xa6number\x05\xa4type\xa4ping", "two types, one to be skipped")

    def test_keys_are_strings(self) -> None:
        """A key that is no string is refused."""
        self.refused(pack({"type": "ask", 5: "x"}))
        self.refused(pack({"type": "ask", b"text": "x"}))


class SkippingTests(MessageTestCase):
    def test_unknown_fields_are_skipped(self) -> None:
        """Fields that this version does not know change nothing, whatever they hold, on every level."""
        strange = (None, 1.5, float("nan"), -1, 2**64 - 1, b"\xff", "x", [1, {}], {"a": {1: 2}}, True)
        extension = msgspec.msgpack.Ext(5, b"abc")
        for message in EXAMPLES:
            for value in (*strange, extension):
                self.assertEqual(decode(pack(fields(message) | {"brand-new": value})), message)
        whole = example("have")
        whole["streams"][0]["brand-new"] = extension
        self.assertIsInstance(decode(pack(whole)), Have)

    def test_unknown_types(self) -> None:
        """An unknown type is skipped if it begins with `x-`, and refused otherwise."""
        for tag in ("x-", "x-new", "x-ping", "x-" + "a" * 62):
            self.assertIsNone(decode(pack({"type": tag, "anything": [1.5]})), tag)
        for tag in ("", "new", "X-new", "x", "Ping", "ping ", "ping\0", " x-new", "x-" + "a" * 63):
            self.refused(pack({"type": tag, "number": 1}), tag)
        for strange in (None, 1, b"ping", ["ping"], True):
            self.refused(pack({"type": strange, "number": 1}), strange)
        self.refused(pack({"number": 1}), "no type")

    def test_P8_text_that_is_no_utf8(self) -> None:
        """A str that is no UTF-8 (a lone surrogate, an overlong form) is refused in every field that we read."""
        for bad in (b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            text = bytes([0xA0 | len(bad)]) + bad
            self.refused(b"\x82\xa4type\xa3ask\xa4text" + text, bad)
            self.refused(b"\x81\xa4type" + text, bad)
            self.refused(b"\x82\xa4type\xa3bye\xa4code" + text, bad)

    def test_P8_in_what_is_skipped(self) -> None:
        """What is skipped is not looked at: bad UTF-8 there harms nobody."""
        self.assertEqual(decode(b"\x82\xa4type\xa3ask\xa1z\xa2\xff\xfe"), Ask())
        self.assertEqual(decode(b"\x82\xa4type\xa3ask\xa2\xff\xfe\xa1z"), Ask())
        self.assertIsNone(decode(b"\x82\xa4type\xa3x-a\xa4text\xa2\xff\xfe"))

    def test_never_used_byte(self) -> None:
        """0xc1 is no MessagePack, also where it is skipped."""
        self.refused(b"\x82\xa4type\xa3ask\xa1z\xc1")
        self.refused(b"\x82\xa4type\xa3x-a\xa1z\xc1")


class HostileTests(MessageTestCase):
    def peak(self, frame: bytes) -> int:
        """Bytes that decoding `frame`, taken or refused, made at most."""
        tracemalloc.start()
        try:
            decode(frame)
        except RemoteProtocolError as error:
            self.assertIs(error.code, EndCode.MALFORMED)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return peak

    def test_P5_lengths_that_are_not_there(self) -> None:
        """A length of 2^32-1 is refused without making room for it, in every place and of every kind."""
        for head in (b"\x82\xa4type\xa4have\xa7streams", b"\x82\xa4type\xa3ask\xa1z", b"\x82\xa4type\xa3x-a\xa1z", b""):
            for kind in (b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9"):
                frame = head + kind + b"\xff\xff\xff\xff\0"
                self.refused(frame, frame)
                self.assertLess(self.peak(frame), 16 * 1024, frame)

    def test_P6_nesting(self) -> None:
        """Nesting is skipped or refused, however deep, and ends the process nowhere."""
        for opening in (b"\x91", b"\x81\xa1a", b"\x81\xc0"):
            for depth in (500, 60_000 // len(opening)):
                nested = opening * depth + b"\xc0"
                for head in (
                    b"\x82\xa4type\xa3ask\xa1z",
                    b"\x82\xa4type\xa3x-a\xa1z",
                    b"\x82\xa4type\xa4have\xa7streams",
                ):
                    try:
                        message = decode(head + nested)
                    except RemoteProtocolError as error:
                        self.assertIs(error.code, EndCode.MALFORMED)
                    else:
                        self.assertIn(message, (None, Ask()))
                self.refused(nested, depth)

    def test_P7_many_empty_maps(self) -> None:
        """64 KiB full of empty maps or arrays makes no more than a small part of itself."""
        count = LARGE_FRAME - 64
        for filling in (b"\x80", b"\x90", b"\xc0", b"\xa0"):
            for head in (
                b"\x82\xa4type\xa3x-a\xa1z",
                b"\x82\xa4type\xa3ask\xa1z",
                b"\x82\xa4type\xa4have\xa7streams",
                b"\x82\xa4type\xa5watch\xa3ids",
                b"\x82\xa4type\xa5hello\xa8features",
            ):
                frame = head + b"\xdd" + count.to_bytes(4, "big") + filling * count
                self.assertLess(self.peak(frame), LARGE_FRAME, (head, filling))

    def test_P7_the_largest_good_message(self) -> None:
        """A frame of 64 KiB full of good rows makes at most 16 times its size."""
        listing = msgspec.msgpack.encode(
            {"record": {"body": b"x", "signature": bytes(64)}, "online": True, "observed": {"host": "::1", "port": 9}}
        )
        count = min(500, LARGE_FRAME // len(listing) - 1)
        frame = (
            b"\x84\xa4type\xa6roster\xa6number\x01\xa4more\xc2\xa8listings\xdd"
            + count.to_bytes(4, "big")
            + listing * count
        )
        self.assertLessEqual(len(frame), LARGE_FRAME)
        self.taken(frame)
        self.assertLess(self.peak(frame), 16 * LARGE_FRAME)

    @settings(max_examples=400, deadline=None)
    @given(st.binary(max_size=200))
    def test_only_one_error_escapes_from_random_bytes(self, frame: bytes) -> None:
        """Any bytes are a message, nothing, or RemoteProtocolError."""
        try:
            decode(frame)
        except RemoteProtocolError as error:
            self.assertIs(error.code, EndCode.MALFORMED)

    @settings(max_examples=600, deadline=None)
    @given(
        st.sampled_from([encode(message) for message in EXAMPLES]),
        st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=4),
    )
    def test_only_one_error_escapes_from_mutated_messages(
        self, frame: bytes, changes: list[tuple[int, bytes, int]]
    ) -> None:
        """A message with bytes replaced, added or taken out is a message, nothing, or RemoteProtocolError."""
        for place, put, taken in changes:
            at = place % (len(frame) + 1)
            frame = frame[:at] + put + frame[at + taken :]
        try:
            message = decode(frame)
        except RemoteProtocolError as error:
            self.assertIs(error.code, EndCode.MALFORMED)
        else:
            if message is not None:
                self.assertEqual(decode(encode(message)), message)
