"""Entries, their names and chains, and how a reader judges them (docs/protocol.md, section 9)."""

import hashlib
from functools import reduce
from typing import Any

import msgspec
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.entries import (
    LAMPORT_LEAP,
    Kind,
    RefusalCode,
    author_in,
    conversation_in,
    conversation_of,
    first_head,
    ids_from,
    judge,
    moved_by_all,
    moved_lamport,
    next_head,
    stream_name,
    text_entry,
    void_entry,
)
from p2pchat.core.messages import MAX_ENTRY, MAX_INTEGER, MAX_TEXT

from .examples import ALICE, BASE, BOB, CONVERSATION, ENTRIES, HEADS, OLD_STREAM, RESET, STREAM, WALL

pack = msgspec.msgpack.encode

GOOD: dict[str, Any] = {
    "id": bytes(16),
    "number": 1,
    "lamport": 2,
    "time": WALL,
    "kind": "text",
    "auth": "link",
    "body": {"text": "hello"},
}


class NameTests(SynchronousTestCase):
    def test_conversation(self) -> None:
        """A conversation is named by both ids, the lower one first, whoever asks."""
        lower, higher = sorted((ALICE.id, BOB.id))
        expected = hashlib.sha256(b"p2pchat conversation v1\0" + lower + higher).digest()
        self.assertEqual(conversation_of(ALICE.id, BOB.id), expected)
        self.assertEqual(conversation_of(BOB.id, ALICE.id), expected)

    def test_stream(self) -> None:
        """A stream is conversation || author || 16 random bytes."""
        name = stream_name(CONVERSATION, ALICE.id, bytes(range(16)))
        self.assertEqual(name, CONVERSATION + ALICE.id + bytes(range(16)))
        self.assertEqual(len(name), 80)
        self.assertEqual(conversation_in(name), CONVERSATION)
        self.assertEqual(author_in(name), ALICE.id)

    def test_heads(self) -> None:
        """head(0) is of the stream's name, head(n) of head(n-1) and the bytes of entry n."""
        head = hashlib.sha256(b"p2pchat stream v1\0" + STREAM).digest()
        self.assertEqual(first_head(STREAM), head)
        for number, entry in enumerate(ENTRIES, 1):
            self.assertEqual(next_head(head, entry), hashlib.sha256(head + entry).digest())
            head = next_head(head, entry)
            self.assertEqual(head, HEADS[number])

    def test_ids_of_entries_written_together(self) -> None:
        """They follow one another from a random one on, also beyond the last that there is."""
        self.assertEqual(ids_from(bytes(16), 0), [])
        self.assertEqual(ids_from(bytes(15) + b"\xff", 2), [bytes(15) + b"\xff", bytes(14) + b"\x01\x00"])
        self.assertEqual(ids_from(b"\xff" * 16, 2), [b"\xff" * 16, bytes(16)])


class WritingTests(SynchronousTestCase):
    def test_text(self) -> None:
        """A message carries what its author gave, and its text unchanged."""
        for text in ("", "hello", "a\n\tb", "\x1b[2J", "😀" * 4096):
            judged = judge(text_entry(text, id=bytes(16), number=13, lamport=14, time=WALL))
            self.assertIsNone(judged.refusal)
            self.assertEqual(
                (judged.kind, judged.text, judged.number, judged.lamport, judged.time), ("text", text, 13, 14, WALL)
            )
            self.assertEqual(judged.id, bytes(16))

    def test_void(self) -> None:
        """What was taken back keeps its number and has the empty map for a body."""
        data = void_entry(id=bytes(16), number=13, lamport=14, time=WALL)
        judged = judge(data)
        self.assertEqual((judged.refusal, judged.kind, judged.number, judged.text), (None, "void", 13, ""))
        self.assertEqual(msgspec.msgpack.decode(data)["body"], {})

    def test_reset(self) -> None:
        """A reset names the old stream and what was confirmed of it; it is no message and has number 0."""
        judged = judge(RESET)
        assert judged.reset is not None
        self.assertEqual((judged.refusal, judged.kind, judged.number), (None, "reset", 0))
        self.assertEqual(
            (judged.reset.stream, judged.reset.seq, judged.reset.head), (OLD_STREAM, 0, first_head(OLD_STREAM))
        )

    def test_vouched_for_by_the_link(self) -> None:
        """In this version `auth` is `link`."""
        for data in (*ENTRIES, RESET):
            self.assertEqual(msgspec.msgpack.decode(data)["auth"], "link")

    def test_largest_text_fits(self) -> None:
        """The longest message is far below the longest entry."""
        data = text_entry("x" * MAX_TEXT, id=bytes(16), number=MAX_INTEGER, lamport=MAX_INTEGER, time=MAX_INTEGER)
        self.assertLess(len(data), MAX_ENTRY)
        self.assertIsNone(judge(data).refusal)


class JudgeTests(SynchronousTestCase):
    def judged(self, **changes: object) -> RefusalCode | None:
        """What becomes of a good entry with these changes."""
        return judge(pack(GOOD | changes)).refusal

    def test_good(self) -> None:
        """An entry of another implementation, whose keys stand in another order, is taken."""
        self.assertIsNone(self.judged())
        self.assertIsNone(judge(pack(dict(reversed(GOOD.items())))).refusal)

    def test_too_big(self) -> None:
        """An entry above 61,440 bytes, or a text above 16,384 bytes of UTF-8, is too big."""
        self.assertEqual(judge(bytes(MAX_ENTRY + 1)).refusal, RefusalCode.TOO_BIG)
        for letter, most in (("x", 16_384), ("é", 8192), ("☕", 5461), ("😀", 4096)):
            self.assertIsNone(self.judged(body={"text": letter * most}), letter)
            self.assertEqual(self.judged(body={"text": letter * (most + 1)}), RefusalCode.TOO_BIG, letter)

    def test_auth(self) -> None:
        """What is not vouched for by the link is refused with `auth`, also `signed` and `sealed`."""
        for auth in ("signed", "sealed", "Link", "x"):
            self.assertEqual(self.judged(auth=auth), RefusalCode.AUTH)

    def test_malformed(self) -> None:
        """What cannot be decoded, or breaks a limit, is refused with `malformed`."""
        bad: tuple[dict[str, Any], ...] = (
            {"id": bytes(15)},
            {"number": -1},
            {"lamport": 2**53},
            {"time": 1.5},
            {"kind": ""},
            {"kind": "x" * 33},
            {"auth": 1},
            {"body": None},
            {"body": "hello"},
            {"body": {}},
            {"body": {"text": b"hello"}},
            {"kind": "reset", "body": {}},
            {"kind": "reset", "body": {"stream": STREAM, "seq": -1, "head": BASE}},
            {"kind": "reset", "body": {"stream": STREAM[:79], "seq": 1, "head": BASE}},
        )
        for changes in bad:
            self.assertEqual(self.judged(**changes), RefusalCode.MALFORMED, changes)
        for missing in GOOD:
            data = pack({name: value for name, value in GOOD.items() if name != missing})
            self.assertEqual(judge(data).refusal, RefusalCode.MALFORMED, missing)
        for data in (b"", b"\xc0", b"\x80", pack(GOOD) + b"\0", pack(GOOD)[:-1]):
            self.assertEqual(judge(data).refusal, RefusalCode.MALFORMED, data)

    def test_unknown_kind(self) -> None:
        """An entry of an unknown kind is taken whatever its body is, and shows no text."""
        bodies: tuple[Any, ...] = (None, 1, {"text": "hello"}, [[]], 1.5)
        for body in bodies:
            judged = judge(pack(GOOD | {"kind": "reaction", "body": body}))
            self.assertEqual((judged.refusal, judged.kind, judged.text, judged.reset), (None, "reaction", "", None))
        self.assertNotIn("reaction", list(Kind))

    def test_unknown_fields(self) -> None:
        """A newer author may add fields to an entry and to a body."""
        self.assertIsNone(self.judged(new=1, body={"text": "x", "new": [1.5]}))

    def test_P6_nested_body(self) -> None:
        """A body without end is refused, and ends the process nowhere."""
        entry = pack({key: value for key, value in GOOD.items() if key != "body"} | {"kind": "new"})
        start = bytes([entry[0] + 1]) + entry[1:] + b"\xa4body"
        self.assertEqual(judge(start + b"\x91" * 60_000 + b"\xc0").refusal, RefusalCode.MALFORMED)
        self.assertIsNone(judge(start + b"\x91" * 500 + b"\xc0").refusal)

    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from([*ENTRIES, RESET]), st.binary(max_size=5), st.integers(0, 300), st.integers(0, 5))
    def test_never_raises(self, data: bytes, put: bytes, at: int, taken: int) -> None:
        """Whatever the bytes are, they are judged."""
        judged = judge(data[:at] + put + data[at + taken :])
        if judged.refusal is not None:
            self.assertEqual((judged.id, judged.number, judged.text, judged.reset), (b"", 0, "", None))


class LamportTests(SynchronousTestCase):
    def test_moves_up_and_never_down(self) -> None:
        """One's own lamport is at least every one that was seen."""
        self.assertEqual(moved_lamport(5, 9), 9)
        self.assertEqual(moved_lamport(9, 5), 9)

    def test_a_leap_is_not_followed(self) -> None:
        """More than 2^32 beyond one's own moves nothing."""
        self.assertEqual(moved_lamport(5, 5 + 2**32), 5 + 2**32)
        self.assertEqual(moved_lamport(5, 6 + 2**32), 5)
        self.assertEqual(moved_lamport(5, MAX_INTEGER), 5)
        self.assertEqual(LAMPORT_LEAP, 2**32)

    @settings(deadline=None)
    @given(st.integers(0, 2**34), st.lists(st.integers(0, 2**34) | st.sampled_from([2**32, 2**33, 2**33 + 1])))
    def test_all_at_once_is_one_by_one(self, own: int, received: list[int]) -> None:
        """What comes together moves one's own as it would in turn, leaps among it or not."""
        self.assertEqual(moved_by_all(own, received), reduce(moved_lamport, received, own))
