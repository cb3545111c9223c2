"""docs/vectors.json against this implementation: the file is the reference."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.bodies import RecordBody, decode_body, encode_body
from p2pchat.core.delivery import Exchange
from p2pchat.core.effects import Received
from p2pchat.core.entries import conversation_of, first_head, judge, next_head, stream_name
from p2pchat.core.errors import EndCode, RemoteProtocolError, UsageError
from p2pchat.core.framing import FrameBuffer, encode_frame
from p2pchat.core.identity import (
    Identity,
    compact_id,
    format_id,
    id_of,
    parse_id,
    parse_join_link,
    safety_number,
    short_id,
    verify,
)
from p2pchat.core.messages import MESSAGES, Entry, Have, Hello, Message, Ping, Pong, Window, decode, encode, tag_of
from p2pchat.core.session import Session
from p2pchat.core.states import Side, State

FILE = Path(__file__).parent.parent / "docs" / "vectors.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text("ascii"))


def restored(value: Any) -> Any:
    """JSON with bytes in it again."""
    match value:
        case {"hex": str(digits), **rest} if not rest:
            return bytes.fromhex(digits)
        case dict():
            return {key: restored(each) for key, each in value.items()}
        case list():
            return [restored(each) for each in value]
        case _:
            return value


def body_of(frame: str) -> bytes:
    """What a whole frame holds."""
    buffer = FrameBuffer()
    buffer.feed(bytes.fromhex(frame))
    (body,) = buffer.frames()
    return bytes(body)


def fields_of(message: Message) -> Any:
    """The map that carries a message."""
    return msgspec.msgpack.decode(encode(message))


class IdentityVectors(SynchronousTestCase):
    def test_identities(self) -> None:
        """Seeds give these keys, ids and written forms."""
        for vector in VECTORS["identities"]:
            identity = Identity.from_seed(bytes.fromhex(vector["seed"]))
            self.assertEqual(identity.key.hex(), vector["key"])
            self.assertEqual(id_of(identity.key).hex(), vector["id"])
            self.assertEqual(format_id(identity.id), vector["written"])
            self.assertEqual(short_id(identity.id), vector["shown_where_a_person_decides"])

    def test_written_ids(self) -> None:
        """These are read, and those are refused."""
        for vector in VECTORS["written_ids"]["good"]:
            self.assertEqual(parse_id(vector["text"]).hex(), vector["id"])
        for vector in VECTORS["written_ids"]["bad"]:
            self.assertRaises(UsageError, parse_id, vector["text"])

    def test_safety_numbers(self) -> None:
        """These keys have these numbers."""
        for vector in VECTORS["safety_numbers"]:
            one, other = map(bytes.fromhex, vector["keys"])
            self.assertEqual(safety_number(one, other), vector["number"])

    def test_join_links(self) -> None:
        """These are read and written so, and those are refused."""
        for vector in VECTORS["join_links"]["good"]:
            link = parse_join_link(vector["text"])
            assert link.server is not None
            self.assertEqual((link.host, link.port, link.server.hex()), (vector["host"], vector["port"], vector["id"]))
            self.assertEqual(str(link), vector["written"])
            self.assertIn(compact_id(link.server), vector["written"])
        for vector in VECTORS["join_links"]["bad"]:
            self.assertRaises(UsageError, parse_join_link, vector["text"])

    def test_signatures(self) -> None:
        """The record and the server's proof are signed by these keys under these domains, and made again the same."""
        identities = {vector["key"]: bytes.fromhex(vector["seed"]) for vector in VECTORS["identities"]}
        for vector in (VECTORS["record"], VECTORS["server_proof"]):
            key, domain, body, signature = (
                bytes.fromhex(vector[name]) for name in ("by", "domain", "body", "signature")
            )
            self.assertTrue(verify(key, domain, body, signature))
            self.assertFalse(verify(key, domain, body + b"\0", signature))
            self.assertEqual(Identity.from_seed(identities[vector["by"]]).sign(domain, body), signature)

    def test_record(self) -> None:
        """The body of the record holds these fields."""
        body = bytes.fromhex(VECTORS["record"]["body"])
        record = decode_body(RecordBody, body)
        self.assertEqual(record.key.hex(), VECTORS["record"]["by"])
        self.assertEqual(msgspec.msgpack.decode(body), restored(VECTORS["record"]["fields"]))
        self.assertEqual(encode_body(record), body)


class ConversationVectors(SynchronousTestCase):
    vector: dict[str, Any] = VECTORS["conversation"]

    def test_names(self) -> None:
        """The conversation, its stream and head(0) have these names."""
        one, other = map(bytes.fromhex, self.vector["between"])
        self.assertEqual(conversation_of(one, other).hex(), self.vector["conversation"])
        self.assertEqual(conversation_of(other, one).hex(), self.vector["conversation"])
        parts = (bytes.fromhex(self.vector[name]) for name in ("conversation", "author", "random"))
        self.assertEqual(stream_name(*parts).hex(), self.vector["stream"])
        self.assertEqual(first_head(bytes.fromhex(self.vector["stream"])).hex(), self.vector["head_0"])

    def test_chain(self) -> None:
        """The entries hold these fields and give these heads."""
        head = bytes.fromhex(self.vector["head_0"])
        self.assertEqual(len(self.vector["entries"]), 3)
        for entry in self.vector["entries"]:
            data, fields = bytes.fromhex(entry["bytes"]), restored(entry["fields"])
            head = next_head(head, data)
            self.assertEqual(head.hex(), entry["head"])
            self.check_entry(data, fields)

    def test_reset(self) -> None:
        """The reset names the old stream."""
        data, fields = bytes.fromhex(self.vector["reset"]["bytes"]), restored(self.vector["reset"]["fields"])
        self.check_entry(data, fields)
        reset = judge(data).reset
        assert reset is not None
        self.assertEqual({"stream": reset.stream, "seq": reset.seq, "head": reset.head}, fields["body"])

    def check_entry(self, data: bytes, fields: dict[str, Any]) -> None:
        """An entry must be taken, and hold these fields."""
        judged = judge(data)
        self.assertIsNone(judged.refusal)
        self.assertEqual(msgspec.msgpack.decode(data), fields)
        for name in ("id", "number", "lamport", "time", "kind"):
            self.assertEqual(getattr(judged, name), fields[name])
        self.assertEqual(judged.text, fields["body"].get("text", ""))

    def test_refused_entries(self) -> None:
        """These entries are refused with these codes."""
        for vector in VECTORS["refused_entries"]:
            self.assertEqual(judge(bytes.fromhex(vector["bytes"])).refusal, vector["code"], vector["why"])


class FrameVectors(SynchronousTestCase):
    def test_every_message_is_there(self) -> None:
        """There is a frame of every message."""
        self.assertEqual({vector["type"] for vector in VECTORS["frames"]}, set(map(tag_of, MESSAGES)))

    def test_frames(self) -> None:
        """Each frame decodes to these fields, and is made again the same."""
        for vector in VECTORS["frames"]:
            message = decode(body_of(vector["frame"]))
            assert message is not None
            self.assertEqual(tag_of(type(message)), vector["type"])
            self.assertEqual(fields_of(message), restored(vector["fields"]))
            self.assertEqual(encode_frame(encode(message)).hex(), vector["frame"])

    def test_other_frames(self) -> None:
        """Odd frames are skipped, taken and refused as the file says."""
        others = VECTORS["other_frames"]
        for vector in others["skipped"]:
            self.assertIsNone(decode(body_of(vector["frame"])), vector["why"])
        for vector in others["taken"]:
            message = decode(body_of(vector["frame"]))
            assert message is not None
            self.assertEqual(fields_of(message), restored(vector["same_as"]), vector["why"])
        for vector in others["malformed"]:
            error = self.assertRaises(RemoteProtocolError, decode, body_of(vector["frame"]))
            assert isinstance(error, RemoteProtocolError)
            self.assertIs(error.code, EndCode.MALFORMED, vector["why"])

    def test_lengths(self) -> None:
        """Lengths that are not allowed are refused with these codes before their body comes."""
        for vector in VECTORS["other_frames"]["lengths"]:
            buffer = FrameBuffer()
            buffer.feed(bytes.fromhex(vector["frame_begins"]))
            error = self.assertRaises(RemoteProtocolError, list, buffer.frames())
            assert isinstance(error, RemoteProtocolError)
            self.assertEqual(error.code, vector["code"])


class LinkVectors(SynchronousTestCase):
    def test_a_whole_link(self) -> None:
        """The frames of a short link are legal one after the other, and what is acknowledged is what came."""
        hellos: dict[str, Hello] = {}
        for vector in VECTORS["link"][:2]:
            hello = decode(body_of(vector["frame"]))
            assert isinstance(hello, Hello)
            hellos[vector["from"]] = hello
        ids = {vector["name"]: bytes.fromhex(vector["id"]) for vector in VECTORS["identities"]}
        self.assertLess(ids["bob"], ids["alice"])
        sessions = {
            "alice": Session(Side.FOLLOWER, hellos["alice"], 0.0),
            "bob": Session(Side.LEADER, hellos["bob"], 0.0),
        }
        reader = Exchange(ids["bob"], ids["alice"], [], [])
        answers: list[Message] = list(reader.opening())
        for vector in VECTORS["link"]:
            frame = bytes.fromhex(vector["frame"])
            sender = sessions[vector["from"]]
            receiver = sessions["bob" if vector["from"] == "alice" else "alice"]
            message = decode(frame[4:])
            assert message is not None
            if isinstance(message, Have | Window) and vector["from"] == "bob":
                self.assertEqual(message, answers.pop(0))
            if not isinstance(message, Hello | Pong):
                sender.send(message, 0.0)
            self.assertEqual(sender.data_to_send(), frame)
            given = list(receiver.receive(frame, 0.0))
            if vector["from"] == "alice" and isinstance(message, Have | Entry):
                for effect in reader.receive(message)[0]:
                    if isinstance(effect, Received):
                        moved = [(effect.incoming, effect.seq, effect.head)]
                        answers += reader.committed(1, len(effect.data), moved)
            alone: list[Message | list[Entry]] = [[message] if isinstance(message, Entry) else message]
            self.assertEqual(given, [] if isinstance(message, Ping | Pong) else alone)
        self.assertEqual({session.state for session in sessions.values()}, {State.CLOSED})
        self.assertEqual(answers, [])


class PageTests(SynchronousTestCase):
    def test_examples_on_the_page(self) -> None:
        """Every run of bytes in section 13 of the page is one of the vectors, and no frame of the link is left out."""
        page = (FILE.parent / "protocol.md").read_text("utf-8")
        section = page[page.index("\n## 13. Worked examples") :]
        shown = shown_bytes(section)
        everything = "\n".join(all_texts(VECTORS))
        self.assertGreater(len(shown), 30)
        for digits in shown:
            self.assertIn(digits, everything)
        for vector in VECTORS["link"]:
            self.assertIn(vector["frame"], shown)
        for vector in VECTORS["identities"][:1]:
            self.assertIn(vector["written"], section)


def shown_bytes(section: str) -> list[str]:
    """The hexadecimal runs in the blocks of a page: a name and digits, that go on in lines without a name."""
    runs: list[str] = []
    for block in section.split("```")[1::2]:
        for line in block.splitlines():
            match = re.fullmatch(r"(\S.*?)? {2,}([0-9a-f]+)", line)
            if match is None:
                continue
            if match[1]:
                runs.append(match[2])
            else:
                runs[-1] += match[2]
    return runs


def all_texts(value: Any) -> list[str]:
    """Every string in JSON."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for each in value.values() for text in all_texts(each)]
        case list():
            return [text for each in value for text in all_texts(each)]
        case _:
            return []
