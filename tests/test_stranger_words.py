"""The stranger's own functions against docs/vectors.json: what is written from the page alone comes to the same."""

import ast
import json
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from tests.layers import imports
from tests.stranger_fields import BODIES, ENTRY, MESSAGES, RECORD, Broken, Message
from tests.stranger_words import (
    LARGE_FRAME,
    RECORD_DOMAIN,
    SERVER_DOMAIN,
    Frames,
    Identity,
    conversation,
    decoded,
    frame,
    head_of,
    proves,
    read_id,
    read_join_link,
    read_record,
    refusal,
    safety_number,
    written,
)

ROOT = Path(__file__).resolve().parent.parent
VECTORS: Any = json.loads((ROOT / "docs/vectors.json").read_text())


def plain(value: Any) -> Any:
    """A value of the vectors with its bytes as bytes."""
    match value:
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list():
            return [plain(each) for each in value]
    return value


def message_in(data: bytes) -> Message:
    """The one message of these bytes."""
    frames = Frames()
    frames.limit = LARGE_FRAME
    [message] = frames.feed(data)
    return message


class ImportTests(SynchronousTestCase):
    """Nothing of the stranger comes from where it is going to."""

    def test_nothing_of_ours(self) -> None:
        """The stranger's modules import other people's libraries, and each other."""
        modules = {"stranger", "stranger_chat", "stranger_fields", "stranger_words"}
        for module in modules:
            tree = ast.parse((ROOT / f"tests/{module}.py").read_text())
            for found in imports(f"tests/{module}.py", tree):
                with self.subTest(module=module, name=found.name):
                    self.assertFalse(found.within("p2pchat") or found.within("twisted"))
                    self.assertTrue(not found.within("tests") or found.name.split(".")[1] in modules)


class VectorTests(SynchronousTestCase):
    """Section 2, 4, 7 and 9 by example."""

    def test_identities(self) -> None:
        """Keys, ids, their written form, and whom a person sees."""
        for vector in VECTORS["identities"]:
            identity = Identity(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"])))
            self.assertEqual((identity.key.hex(), identity.id.hex()), (vector["key"], vector["id"]))
            self.assertEqual(written(identity.id), vector["written"])
            self.assertEqual(written(identity.id)[:19], vector["shown_where_a_person_decides"])

    def test_written_ids(self) -> None:
        """What is read as an id, and what is none."""
        for vector in VECTORS["written_ids"]["good"]:
            self.assertEqual(read_id(vector["text"]).hex(), vector["id"])
        for vector in VECTORS["written_ids"]["bad"]:
            with self.subTest(why=vector["why"]):
                self.assertRaises(ValueError, read_id, vector["text"])

    def test_safety_numbers(self) -> None:
        """The same digits from both sides."""
        for vector in VECTORS["safety_numbers"]:
            one, other = map(bytes.fromhex, vector["keys"])
            self.assertEqual(safety_number(one, other), vector["number"])

    def test_join_links(self) -> None:
        """Where a server is, and who it must be."""
        for vector in VECTORS["join_links"]["good"]:
            found = read_join_link(vector["text"])
            self.assertEqual(found, (vector["host"], vector["port"], bytes.fromhex(vector["id"])))
        for vector in VECTORS["join_links"]["bad"]:
            with self.subTest(why=vector["why"]):
                self.assertRaises(ValueError, read_join_link, vector["text"])

    def test_record(self) -> None:
        """A signed record, and one that somebody changed."""
        vector = VECTORS["record"]
        signed = {name: bytes.fromhex(vector[name]) for name in ("body", "signature")}
        self.assertEqual(bytes.fromhex(vector["domain"]), RECORD_DOMAIN)
        self.assertEqual(read_record(signed), RECORD.whole(plain(vector["fields"])))
        for name in signed:
            changed = signed | {name: signed[name][:-1] + bytes([signed[name][-1] ^ 1])}
            self.assertRaises(Broken, read_record, changed)

    def test_server_proof(self) -> None:
        """A server's proof of its key."""
        vector = VECTORS["server_proof"]
        key, body, signature = (bytes.fromhex(vector[name]) for name in ("by", "body", "signature"))
        self.assertEqual(bytes.fromhex(vector["domain"]), SERVER_DOMAIN)
        self.assertTrue(proves(key, SERVER_DOMAIN, body, signature))
        self.assertFalse(proves(key, RECORD_DOMAIN, body, signature))

    def test_conversation(self) -> None:
        """The name of a conversation, of a stream, its entries and heads."""
        vector = VECTORS["conversation"]
        name = conversation(*map(bytes.fromhex, vector["between"]))
        self.assertEqual(name.hex(), vector["conversation"])
        stream = name + bytes.fromhex(vector["author"]) + bytes.fromhex(vector["random"])
        self.assertEqual((stream.hex(), head_of(stream, []).hex()), (vector["stream"], vector["head_0"]))
        entries = []
        for seq, entry in enumerate(vector["entries"], 1):
            entries.append(data := bytes.fromhex(entry["bytes"]))
            self.assertEqual((entry["seq"], entry["head"]), (seq, head_of(stream, entries).hex()))
            self.assert_entry(data, plain(entry["fields"]))
        self.assert_entry(bytes.fromhex(vector["reset"]["bytes"]), plain(vector["reset"]["fields"]))

    def assert_entry(self, data: bytes, fields: Message) -> None:
        """An entry that a reader takes."""
        self.assertEqual((refusal(data), msgspec.msgpack.decode(data)), (None, fields))
        self.assertEqual(ENTRY.whole(fields), fields)
        self.assertEqual(BODIES[fields["kind"]].whole(fields["body"]), fields["body"])

    def test_refused_entries(self) -> None:
        """Entries that a reader cannot take, each with its code."""
        for vector in VECTORS["refused_entries"]:
            with self.subTest(why=vector["why"]):
                self.assertEqual(refusal(bytes.fromhex(vector["bytes"])), vector["code"])

    def test_frames(self) -> None:
        """Every message, both ways; what is encoded here may differ, what it says may not."""
        kinds = set()
        for vector in VECTORS["frames"]:
            fields = plain(vector["fields"])
            kinds.add(fields["type"])
            expected = MESSAGES[fields["type"]].whole(fields)
            self.assertEqual(message_in(bytes.fromhex(vector["frame"])), expected)
            self.assertEqual(message_in(frame(fields)), expected)
        self.assertEqual(kinds, MESSAGES.keys())

    def test_a_whole_link(self) -> None:
        """The link of section 13, each side's bytes in one piece and byte by byte."""
        for side in ("alice", "bob"):
            sent = [each for each in VECTORS["link"] if each["from"] == side]
            data = b"".join(bytes.fromhex(each["frame"]) for each in sent)
            at_once, slowly = Frames(), Frames()
            messages = [*at_once.feed(data)]
            self.assertEqual([message["type"] for message in messages], [each["type"] for each in sent])
            self.assertEqual([message for byte in data for message in slowly.feed(bytes([byte]))], messages)

    def test_other_frames(self) -> None:
        """What is skipped, what is taken all the same, what is malformed, and which lengths are refused."""
        vectors = VECTORS["other_frames"]
        for vector in vectors["skipped"]:
            self.assertIsNone(decoded(bytes.fromhex(vector["frame"])[4:]))
        for vector in vectors["taken"]:
            with self.subTest(why=vector["why"]):
                message, expected = message_in(bytes.fromhex(vector["frame"])), plain(vector["same_as"])
                known = MESSAGES[expected["type"]].whole(expected)
                self.assertEqual({name: message[name] for name in known}, known)
        for vector in vectors["malformed"]:
            with self.subTest(why=vector["why"]):
                self.assertEqual(self.code_of(bytes.fromhex(vector["frame"])), "malformed")
        for vector in vectors["lengths"]:
            with self.subTest(length=vector["frame_begins"]):
                begin = bytes.fromhex(vector["frame_begins"])
                self.assertEqual(self.code_of(begin, "unless" not in vector), vector["code"])

    def code_of(self, data: bytes, is_open: bool = True) -> str:
        """The code with which bytes are refused."""
        frames = Frames()
        frames.limit = LARGE_FRAME if is_open else frames.limit
        return str(self.assertRaises(Broken, list, frames.feed(data)))
