"""P1 to P17 against real listeners: frames, MessagePack and messages that no honest program sends."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from p2pchat import api
from p2pchat.core.entries import conversation_of, first_head, stream_name, text_entry
from p2pchat.core.framing import LARGE_FRAME, SMALL_FRAME
from p2pchat.core.messages import MESSAGES, tag_of
from p2pchat.core.window import FIRST_ENTRIES

from .hostile import COUNTS, Attack, Liar, frame, hello
from .liars import signed_record
from .rosters import identity
from .victims import FRIEND, PeerVictim, ServerVictim, Talk, Victim, polite

MALLORY = identity(6_002)

pack = msgspec.msgpack.encode


def prefix(size: int) -> bytes:
    """The length in front of a frame."""
    return struct.pack(">I", size)


def nested(depth: int) -> bytes:
    """A ping with a field that is an array in an array in an array."""
    return b"\x83" + pack("type") + pack("ping") + pack("number") + b"\1" + pack("x") + b"\x91" * depth + b"\1"


def ping(number: bytes) -> bytes:
    """A ping with a number of any encoding."""
    return b"\x82" + pack("type") + pack("ping") + pack("number") + number


BAD_VALUES = {
    "P5 array of 2^32-1": b"\xdd\xff\xff\xff\xff",
    "P5 map of 2^32-1": b"\xdf\xff\xff\xff\xff",
    "P5 string of 2^32-1": ping(b"\xdb\xff\xff\xff\xff"),
    "P5 array inside": ping(b"\xdd\xff\xff\xff\xff"),
    "P8 bad UTF-8 as tag": b"\x81" + pack("type") + b"\xa4\xff\xfe\xfd\xfc",
    "P8 bad UTF-8 as key": b"\x82" + pack("type") + pack("ping") + b"\xa1\xff\x01",
    "P8 lone surrogate": b"\x81" + pack("type") + b"\xa3\xed\xa0\x80",
    "P9 float": ping(pack(1.5)),
    "P9 NaN": ping(pack(float("nan"))),
    "P9 infinity": ping(pack(float("inf"))),
    "P9 minus zero": ping(b"\xcb\x80" + bytes(7)),
    "P9 boolean": ping(b"\xc3"),
    "P9 2^63": ping(b"\xcf\x80" + bytes(7)),
    "P9 2^53": ping(pack(2**53)),
    "P9 negative": ping(pack(-1)),
    "P9 nil": ping(b"\xc0"),
    "P9 string": ping(pack("1")),
    "P9 extension type": ping(b"\xd6\xff\0\0\0\0"),
    "P9 trailing bytes": pack({"type": "ping", "number": 1}) + b"\0",
    "P9 no map": pack(["ping", 1]),
    "P9 key that is no string": b"\x82\1\1" + pack("type") + pack("ping"),
    "P9 field is missing": pack({"type": "ping"}),
    "P10 deep JSON": b'{"type":' + b"[" * 5_000,
    "P10 JSON": json.dumps({"type": "ping", "number": 1}).encode(),
    "P11 unknown type": pack({"type": "search"}),
    "P11 no type": pack({"number": 1}),
    "P16 gzip": gzip.compress(pack({"type": "ping", "number": 1})),
    "P16 zlib": zlib.compress(pack({"type": "ping", "number": 1}) * 50),
    "P16 bomb": gzip.compress(bytes(10 * 2**20)),
}


class Rude(Attack):
    """What every attack needs."""

    async def start(self) -> Victim:
        raise NotImplementedError

    async def refused(self, liar: Liar, data: bytes, *codes: str) -> None:
        """The link is ended with one of these codes; with none of them in silence."""
        liar.say(data)
        if not codes:
            await self.assert_gone(liar)
            self.assertIsNone(liar.bye)
        else:
            await self.until(lambda: liar.bye is not None, f"an end with {codes}")
            self.assertIn(liar.bye, codes)
        liar.hang_up()
        await self.assert_gone(liar)

    async def at_every_stage(self, victim: Victim, datas: Iterable[bytes], *codes: str) -> None:
        """These bytes abort a link before the hello, and end it with a code after; nobody else notices."""
        for data in datas:
            await self.refused(await victim.shaken(MALLORY), data)
            await self.refused(await victim.greeted(MALLORY), data, *codes)
            await self.refused(await victim.opened(MALLORY), data, *codes)
        await self.until(lambda: victim.connections == [], "the links to be forgotten")
        await victim.undisturbed()

    async def say_locally(self, path: str, data: bytes) -> None:
        """Say something at the local socket; it is answered with an error, or cut."""
        caller = await self.open_socket(path)
        caller.say(data)
        await self.until(lambda: caller.lost is not None or b"\n" in caller.received, "an answer")
        if caller.received:
            self.assertTrue(json.loads(caller.received.splitlines()[0])["error"])
        caller.hang_up()


class Attacks:
    """What can be done to any listener; a mix-in, so that it runs once for each kind of victim."""

    async def test_P1_lengths(self: Any) -> None:
        """A length of 0, of more than the cap, or of 2^32-1 ends the link before a byte of the body is kept."""
        victim = await self.start()
        for size, code in ((0, "malformed"), (2**31, "too-big"), (2**32 - 1, "too-big"), (LARGE_FRAME + 1, "too-big")):
            await self.at_every_stage(victim, [prefix(size) + bytes(1_000)], code)
        liar = await victim.greeted(MALLORY)
        await self.refused(liar, prefix(SMALL_FRAME + 1), "too-big")
        self.assertEqual(victim.held(), 0)

    async def test_P2_truncated_frame(self: Any) -> None:
        """A frame that is not whole after 30 seconds ends the link; one that is cut off by an end is forgotten."""
        victim = await self.start()
        liar = await victim.opened(MALLORY)
        liar.say(prefix(100) + bytes(50))
        await self.until(lambda: victim.held() == 54, "the beginning of a frame")
        await self.reactor.skip(25.0)
        self.assertIsNone(liar.bye)
        await self.reactor.skip(7.0)
        await self.until(lambda: liar.bye == "timeout", "an end")
        cut = await victim.opened(MALLORY)
        cut.say(prefix(100) + bytes(50))
        cut.hang_up()
        await self.until(lambda: victim.connections == [], "the end of the link that was cut")
        await victim.undisturbed()

    async def test_P3_segments(self: Any) -> None:
        """Messages a byte at a time, and many messages in one read, are the same messages."""
        victim = await self.start()
        slow = await victim.shaken(MALLORY)
        for byte in frame(hello()) + frame(ping(b"\7")):
            slow.say(bytes([byte]))
            await self.reactor.turn()
        await self.until(lambda: slow.of("pong") == [{"type": "pong", "number": 7}], "an answer")
        slow.hang_up()
        await self.assert_gone(slow)
        fast = await victim.shaken(MALLORY)
        fast.say(frame(hello()) + b"".join(frame(ping(bytes([number]))) for number in range(50)))
        await self.until(lambda: len(fast.of("pong")) == 50, "the answers")
        self.assertEqual([pong["number"] for pong in fast.of("pong")], list(range(50)))
        await victim.undisturbed()

    async def test_P4_bytes_without_end(self: Any) -> None:
        """Before the hello no more than a small frame is ever held, whatever comes; noise is cut off."""
        victim = await self.start()
        drip = await victim.shaken(MALLORY)
        drip.say(prefix(SMALL_FRAME) + bytes(SMALL_FRAME - 1))
        await self.until(lambda: victim.held() == SMALL_FRAME + 3, "all but one byte")
        liar = await victim.shaken(MALLORY)
        sent = 0
        while liar.lost is None and sent < COUNTS.noise:
            liar.say(bytes(range(256)) * 64)
            sent += SMALL_FRAME
            self.assertLessEqual(victim.held(), 2 * (SMALL_FRAME + 4))
            await self.reactor.turn()
        await self.assert_gone(liar)
        self.assertEqual((liar.bye, drip.bye), (None, None))
        await self.reactor.skip(11.0)
        await self.assert_gone(drip)
        await victim.undisturbed()

    async def test_P5_P8_P9_P10_P11_P16_bad_values(self: Any) -> None:
        """What is no message by the page ends the link with `malformed` after the hello, and in silence before."""
        victim = await self.start()
        for what, body in BAD_VALUES.items():
            with self.subTest(what):
                await self.refused(await victim.shaken(MALLORY), frame(body))
                await self.refused(await victim.opened(MALLORY), frame(body), "malformed", "too-big")
        await victim.undisturbed()

    async def test_P6_nesting(self: Any) -> None:
        """Fields that nobody knows may be nested a little; endless nesting is malformed."""
        victim = await self.start()
        for depth in (5_000, SMALL_FRAME - 100):
            await self.at_every_stage(victim, [frame(nested(depth))], "malformed")

    async def test_P7_many_empty_maps(self: Any) -> None:
        """A frame of nothing but empty maps costs a bounded moment, and is refused or skipped."""
        victim = await self.start()
        count = LARGE_FRAME - 200
        body = b"\x83" + pack("type") + pack("ping") + pack("number") + b"\5" + pack("x")
        body += b"\xdd" + struct.pack(">I", count) + b"\x80" * count
        liar = await victim.opened(MALLORY)
        liar.say(frame(body) * 10)
        # What is unknown is skipped.
        await self.until(lambda: len(liar.of("pong")) == 10, "answers")
        await self.refused(liar, frame(b"\xdd" + struct.pack(">I", count) + b"\x80" * count), "malformed")
        await self.refused(await victim.greeted(MALLORY), frame(body), "too-big")
        await victim.undisturbed()

    async def test_P9_keys_that_stand_twice(self: Any) -> None:
        """Where a key stands twice the last one counts; nobody is served both."""
        victim = await self.start()
        liar = await victim.greeted(MALLORY)
        twice = b"\x83" + pack("type") + pack("ping") + pack("number") + b"\1" + pack("number") + b"\2"
        liar.say(frame(twice))
        await self.until(lambda: liar.of("pong") == [{"type": "pong", "number": 2}], "an answer")

    async def test_P11_out_of_order(self: Any) -> None:
        """A message that the state does not allow, a second hello, and a message before the hello end the link."""
        victim = await self.start()
        for message in (
            ping(b"\1"),
            pack({"type": "bye", "code": "leaving"}),
            pack({"type": "accept", "scope": "once"}),
        ):
            await self.refused(await victim.shaken(MALLORY), frame(message))
        await self.refused(await victim.greeted(MALLORY), frame(hello()), "unexpected")
        await self.refused(await victim.opened(MALLORY), frame(hello()), "unexpected")
        for message in self.too_early:
            await self.refused(await victim.greeted(MALLORY), frame(message), "unexpected")
        for message in self.never:
            await self.refused(await victim.opened(MALLORY), frame(message), "unexpected")
        await victim.undisturbed()

    async def test_P11_hellos(self: Any) -> None:
        """A hello with a bad handle, nonce, store or version aborts; unknown fields and features are skipped."""
        victim = await self.start()
        for changes in (
            {"handle": ""},
            {"handle": "Alice"},
            {"handle": "a" * 33},
            {"handle": "alice\n"},
            {"handle": b"alice"},
            {"nonce": b"n" * 15},
            {"store": "s" * 16},
            {"version": -1},
            {"version": True},
            {"features": ["f"] * 33},
            {"features": ["f" * 33]},
        ):
            await self.refused(await victim.shaken(MALLORY), frame(hello(**changes)))
        old = await victim.shaken(MALLORY)
        await self.refused(old, frame(hello(version=0)), "version")
        newer = await victim.shaken(MALLORY)
        newer.say_hello(version=9, features=["time-travel"], colour="green")
        newer.say(frame(ping(b"\1")))
        await self.until(lambda: bool(newer.of("pong")), "an answer")
        await victim.undisturbed()

    async def test_P11_skippable(self: Any) -> None:
        """An unknown type that begins with x- is skipped, in every state; but not without end (P15)."""
        victim = await self.start()
        for liar in (await victim.greeted(MALLORY), await victim.opened(MALLORY)):
            liar.tell("x-later", anything=[1, {"a": b"b"}])
            liar.say(frame(ping(b"\1")))
            await self.comes(liar, "pong")
            await self.refused(liar, frame({"type": "x-later"}) * COUNTS.messages, "rate")
        await victim.undisturbed()

    async def test_P15_pings_without_end(self: Any) -> None:
        """Pings, pongs and other small control are bounded: after a burst of 100 the link is cut."""
        victim = await self.start()
        for data in (frame(ping(b"\1")), frame({"type": "pong", "number": 1})):
            for liar in (await victim.greeted(MALLORY), await victim.opened(MALLORY)):
                await self.refused(liar, data * COUNTS.messages, "rate")
                self.assertLessEqual(len(liar.of("pong")), 100)
        await victim.undisturbed()

    async def test_P15_no_hello_but_pings(self: Any) -> None:
        """What a far side says does not keep a link without hello alive."""
        victim = await self.start()
        await self.refused(await victim.shaken(MALLORY), frame(ping(b"\1")) * COUNTS.messages)

    async def test_P16_nothing_is_compressed(self: Any) -> None:
        """TLS 1.3 has no compression, and no frame is ever unpacked: a long message costs its length."""
        victim = await self.start()
        liar = await victim.greeted(MALLORY)
        self.assertEqual(liar.tls.get_protocol_version_name(), "TLSv1.3")
        await self.refused(liar, frame(gzip.compress(pack({"type": "ping", "number": 1}))), "malformed")
        await victim.undisturbed()

    async def test_P17_no_patterns(self: Any) -> None:
        """No message carries a pattern to search by: names are whole, ids are whole."""
        victim = await self.start()
        fields = {name for kind in MESSAGES for name in kind.__struct_fields__} | {tag_of(kind) for kind in MESSAGES}
        self.assertEqual(fields & {"query", "pattern", "search", "filter", "prefix", "match", "regex", "like"}, set())
        await self.refused(await victim.opened(MALLORY), frame({"type": "search", "text": "(a+)+$"}), "malformed")
        part = frame({"type": "watch", "everyone": False, "ids": [b"a" * 31]})
        await self.refused(await victim.opened(MALLORY), part, "malformed")
        await victim.undisturbed()

    async def test_P10_local_socket(self: Any) -> None:
        """The local socket, the one that reads JSON, takes endless nesting, long lines and noise for what they are."""
        victim = await self.start()
        path = str(victim.socket)
        for data in (
            b'{"version":1,"request":1,"command":' + b"[" * 50_000 + b"\n",
            b'{"version":1,"request":1,"command":' + b'{"a":' * 10_000 + b"\n",
            b"\xff\xfe" * 1_000 + b"\n",
            b'"\\ud800"\n',
            b"x" * 4_000_000,
        ):
            await self.say_locally(path, data)
        await victim.undisturbed()


class ServerTests(Attacks, Rude):
    """The server port."""

    too_early = (
        pack({"type": "watch", "everyone": True}),
        pack({"type": "registered", "handle": "a", "expires": 30}),
        pack({"type": "ask", "text": ""}),
        pack({"type": "accept", "scope": "once"}),
    )
    never = (
        pack({"type": "roster", "number": 1, "listings": [], "more": False}),
        pack({"type": "changes", "since": 0, "number": 1}),
        pack({"type": "select"}),
        pack({"type": "have", "streams": [], "last": True}),
        pack({"type": "record", "body": b"b", "signature": bytes(64)}),
    )

    async def start(self) -> ServerVictim:
        return await ServerVictim(self).start()

    async def test_P12_replayed_registration(self) -> None:
        """A registration that was heard once, sent again by whoever or by the same, puts nobody on the roster."""
        victim = await self.start()
        mallory, other = await victim.greeted(MALLORY), await victim.greeted(identity(6_003))
        record = victim.record(MALLORY, mallory)
        mallory.tell("register", record=record)
        await self.until(lambda: bool(mallory.of("registered")), "a registration")
        other.tell("register", record=record)
        await self.until(lambda: bool(other.of("declined")), "a refusal")
        self.assertEqual(other.of("declined")[0]["code"], "bad-record")
        mallory.tell("register", record=record)
        await self.until(lambda: bool(mallory.of("declined")), "a refusal")
        self.assertEqual(mallory.of("declined")[0]["code"], "stale-record")
        self.assertEqual({each.peer for each in victim.service.rendezvous.online}, {MALLORY.id, FRIEND.id})

    async def test_P13_records_of_others(self) -> None:
        """Nobody registers as somebody else: with their key, their signature, or the record of another server."""
        victim = await self.start()
        liar = await victim.greeted(MALLORY)
        time = liar.of("server-hello")[0]["time"] + 5
        good = signed_record(MALLORY, victim.id, time)
        for record in (
            signed_record(FRIEND, victim.id, time),
            signed_record(MALLORY, victim.id, time, key=FRIEND.key),
            {**good, "signature": bytes(64)},
            signed_record(MALLORY, b"o" * 32, time),
        ):
            before = len(liar.of("declined"))
            liar.tell("register", record=record)
            await self.comes(liar, "declined", before + 1)
        self.assertEqual({each["code"] for each in liar.of("declined")}, {"bad-record"})
        await self.refused(liar, frame({"type": "register", "record": good}), "rate")
        self.assertEqual({each.peer for each in victim.service.rendezvous.online}, {FRIEND.id})
        await victim.undisturbed()

    async def test_P14_server_takes_no_receipts(self) -> None:
        """Nothing about messages between peers means anything to the server."""
        victim = await self.start()
        for kind in ("have", "entry", "seen", "refused", "window", "history"):
            fields = {"stream": bytes(80), "seq": 1, "code": "x", "entries": 1, "bytes": b"b", "first": 1, "last": 1}
            if kind == "have":
                fields = {"streams": [], "last": True}
            if kind == "window":
                fields = {"entries": 1, "bytes": 1}
            await self.refused(await victim.opened(MALLORY), frame({"type": kind, **fields}), "unexpected")
        await victim.undisturbed()

    async def test_P15_registrations_without_end(self) -> None:
        """Records, good or bad, come under the same rate."""
        victim = await self.start()
        liar = await victim.greeted(MALLORY)
        time = liar.of("server-hello")[0]["time"]
        records = [signed_record(MALLORY, victim.id, time + number) for number in range(200)]
        data = b"".join(frame({"type": "register", "record": record}) for record in records)
        await self.refused(liar, data, "rate")
        await victim.undisturbed()

    async def test_P15_watches_without_end(self) -> None:
        """Whoever asks for the whole roster again and again, and reads nothing, costs a page, and is cut."""
        victim = await self.start()
        liar = await victim.opened(MALLORY)
        liar.below.pauseProducing()
        liar.say(frame({"type": "watch", "everyone": True, "ids": []}) * COUNTS.messages)
        await self.until(lambda: not any(each.alive for each in victim.connections), "an end")
        self.assertLess(victim.piled(), 2**20)
        await self.reactor.skip(2.0)
        await victim.undisturbed()


class PeerTests(Attacks, Rude):
    """A peer's listen port."""

    too_early = (
        pack({"type": "select"}),
        pack({"type": "have", "streams": [], "last": True}),
        pack({"type": "seen", "stream": bytes(80), "seq": 1}),
        pack({"type": "window", "entries": 1, "bytes": 1}),
        pack({"type": "entry", "stream": bytes(80), "seq": 1, "history": False, "bytes": b"b"}),
        pack({"type": "record", "body": b"b", "signature": bytes(64)}),
        pack({"type": "watch", "everyone": True}),
    )
    never = (
        pack({"type": "ask", "text": "again"}),
        pack({"type": "accept", "scope": "always"}),
        pack({"type": "reject"}),
        pack({"type": "register", "record": {"body": b"b", "signature": bytes(64)}}),
        pack({"type": "roster", "number": 1, "listings": [], "more": False}),
    )

    async def start(self) -> PeerVictim:
        victim = await PeerVictim(self).start()
        await victim.invite(MALLORY)
        return victim

    async def talk(self, victim: PeerVictim) -> Talk:
        """An open chat with Mallory, who is a contact."""
        return await victim.chat(MALLORY)

    async def test_P12_entries(self) -> None:
        """What was accepted stays; a replay, an older entry, a gap or one from the future ends the link."""
        victim = await self.start()
        talk = await self.talk(victim)
        for text in ("one", "two", "three"):
            talk.say(text)
        await self.until(lambda: talk.acknowledged == 3, "an acknowledgement")
        good = text_entry("x", id=b"i" * 16, number=4, lamport=4, time=1)
        for seq in (1, 3, 5, 2**53 - 1):
            fields = {"stream": talk.stream, "seq": seq, "bytes": good, "history": False}
            await self.refused(talk.liar, frame({"type": "entry", **fields}), "violation")
            before = talk
            talk = await self.talk(victim)
            kept = [
                each for have in talk.liar.of("have") for each in have["streams"] if each["stream"] == before.stream
            ]
            self.assertEqual([(each["seq"], each["head"]) for each in kept], [(3, before.head)])
            talk.seq, talk.head = before.seq, before.head
        self.assertEqual([text for name, text in victim.said if name != "friend"], ["one", "two", "three"])
        await victim.undisturbed()

    async def test_P12_same_id_again(self) -> None:
        """The same entry again is one message; another body under its id is refused, and shown to nobody."""
        victim = await self.start()
        talk = await self.talk(victim)
        first = text_entry("the truth", id=b"i" * 16, number=1, lamport=1, time=1)
        twin = text_entry("a lie", id=b"i" * 16, number=1, lamport=1, time=1)
        for data in (first, first, twin):
            talk.entry(data)
        await self.until(lambda: talk.acknowledged == 3, "an acknowledgement")
        self.assertEqual([(each["seq"], each["code"]) for each in talk.liar.of("refused")], [(3, "conflict")])
        self.assertEqual([text for name, text in victim.said if name != "friend"], ["the truth"])

    async def test_P12_undecodable(self) -> None:
        """Entries of noise, of bad text, of a forged signature, too long or too deep are refused one by one."""
        victim = await self.start()
        talk = await self.talk(victim)
        fields = {"id": b"i" * 16, "number": 1, "lamport": 1, "time": 1, "kind": "text", "auth": "link"}
        bad = [
            b"\xc1",
            pack({**fields, "body": {"text": 5}}),
            pack(fields)[:-1] + b"\xc1",
            b"\x87" + pack(fields)[1:] + pack("body") + b"\x81" + pack("text") + b"\xa2\xff\xff",
            b"\x87" + pack(fields)[1:] + pack("body") + b"\x91" * 5_000 + b"\1",
            pack({**fields, "body": {"text": "a" * 16_385}}),
            pack({**fields, "auth": "signed", "body": {"text": "a"}}),
            pack({**fields, "number": -1, "body": {"text": "a"}}),
            pack({**fields, "kind": "k" * 33, "body": {"text": "a"}}),
        ]
        for data in bad:
            talk.entry(data)
        talk.say("and a good one")
        await self.until(lambda: talk.acknowledged == len(bad) + 1, "an acknowledgement")
        refused = talk.liar.of("refused")
        self.assertEqual([each["seq"] for each in refused], list(range(1, len(bad) + 1)))
        self.assertEqual({each["code"] for each in refused}, {"malformed", "too-big", "auth"})
        self.assertEqual([text for name, text in victim.said if name != "friend"], ["and a good one"])

    async def test_P13_names_of_others(self) -> None:
        """Nobody speaks in another's name, of another conversation, or of a stream that is not theirs."""
        victim = await self.start()
        random = b"r" * 16
        ours = conversation_of(MALLORY.id, victim.id)
        friends = conversation_of(FRIEND.id, victim.id)
        for stream in (
            stream_name(friends, FRIEND.id, random),
            stream_name(friends, MALLORY.id, random),
            stream_name(ours, FRIEND.id, random),
            stream_name(ours, victim.id, random),
            victim.talk.stream,
        ):
            head = first_head(stream)
            holding = {"stream": stream, "first": 1, "base": head, "seq": 0, "head": head}
            for message in (
                {"type": "have", "streams": [{**holding, "seq": 1}]},
                {"type": "entry", "stream": stream, "seq": 1, "history": False, "bytes": b"b"},
                {"type": "refused", "stream": stream, "seq": 1, "code": "malformed"},
                {"type": "seen", "stream": stream, "seq": 1},
                {"type": "history", "stream": stream, "first": 1, "last": 1},
            ):
                if stream[:64] == ours + victim.id and message["type"] == "refused":
                    continue  # of a stream of theirs that was replaced: nothing hangs on it any more
                await self.refused((await self.talk(victim)).liar, frame(message), "violation")
        self.assertEqual([name for name, _ in victim.said if name != "friend"], [])
        await victim.undisturbed()

    async def test_P14_forged_receipts(self) -> None:
        """What was not sent cannot be confirmed, seen or refused; a wrong head confirms nothing, delivers nothing."""
        victim = await self.start()
        name = victim.name_of(MALLORY)
        talk = await self.talk(victim)
        await victim.do(api.Say(who=name, text="secret"))
        await self.until(lambda: bool(talk.liar.of("entry")), "the message")
        sent = talk.liar.of("entry")[0]
        [listed] = [
            each for have in talk.liar.of("have") for each in have["streams"] if each["stream"] == sent["stream"]
        ][:1]
        for changes in (
            {"seq": 1, "head": b"h" * 32},
            {"seq": 2, "head": b"h" * 32},
            {"seq": 2**53 - 1, "head": b"h" * 32},
        ):
            message = {"type": "have", "streams": [{**listed, **changes}], "last": False}
            await self.refused(talk.liar, frame(message), "violation")
            talk = await self.talk(victim)
        for message in (
            {"type": "seen", "stream": sent["stream"], "seq": 1},
            {"type": "seen", "stream": sent["stream"], "seq": 99},
            {"type": "refused", "stream": sent["stream"], "seq": 99, "code": "malformed"},
        ):
            await self.refused(talk.liar, frame(message), "violation")
            talk = await self.talk(victim)
        self.assertEqual(victim.told(api.Delivered, api.Seen, api.NotDelivered), [])
        await victim.undisturbed()

    async def test_P14_windows(self) -> None:
        """A window that shrinks is a violation, and so is more than was granted; what was granted is stored."""
        victim = await self.start()
        talk = await self.talk(victim)
        talk.liar.tell("window", entries=600, bytes=600_000)
        await self.refused(talk.liar, frame({"type": "window", "entries": 599, "bytes": 700_000}), "violation")
        talk = await self.talk(victim)
        entries = [
            text_entry("x", id=number.to_bytes(16, "big"), number=number, lamport=1, time=1) for number in range(1_400)
        ]
        for data in entries:
            talk.entry(data)
        await self.until(lambda: talk.liar.bye is not None, "an end")
        self.assertEqual(talk.liar.bye, "violation")
        await victim.undisturbed()

    async def test_P15_window_is_no_rate(self) -> None:
        """A contact may send all that the window grants at once."""
        victim = await self.start()
        talk = await self.talk(victim)
        for _ in range(FIRST_ENTRIES):
            talk.say("fast")
        await self.until(lambda: talk.acknowledged == FIRST_ENTRIES, "an acknowledgement")
        self.assertIsNone(talk.liar.bye)

    async def test_P15_control_that_moves_nothing(self) -> None:
        """Receipts, windows and questions that move nothing come under the rate."""
        victim = await self.start()
        name = victim.name_of(MALLORY)
        await victim.do(api.Say(who=name, text="hello"))
        for make in (
            lambda stream: {"type": "have", "streams": []},
            lambda stream: {"type": "window", "entries": 256, "bytes": 262_144},
            lambda stream: {"type": "record", "body": b"b", "signature": bytes(64)},
            lambda stream: {"type": "history", "stream": stream, "first": 1, "last": 1},
        ):
            talk = await self.talk(victim)
            await self.comes(talk.liar, "entry")
            data = frame(make(talk.liar.of("entry")[0]["stream"])) * COUNTS.messages
            await self.refused(talk.liar, data, "rate")
        await victim.undisturbed()

    async def test_P15_silent_strangers(self) -> None:
        """Strangers who say hello and no more hold few places, for two minutes; contacts come in beside them."""
        victim = await self.start()
        liars = []
        for number in range(COUNTS.strangers):
            source = f"127.0.{1 + number // 6}.7"
            liars.append(await victim.greeted(identity(100_000 + number), source=source))
        await self.until(lambda: sum(not liar.of("reject") for liar in liars) <= 20, "refusals")
        # Whoever read the refusal may still hold a place for a moment.
        await self.until(lambda: len(victim.peer.links.all()) <= 21, "free places")
        contact = await self.talk(victim)
        for liar in [contact.liar, *liars]:
            liar.on_message = polite(liar)
        await self.reactor.skip(140.0)
        await self.assert_gone(*liars)
        self.assertEqual(victim.told(api.Asked), [])
        self.assertIsNone(contact.liar.lost)
        await victim.undisturbed()

    async def test_P15_requests_of_strangers(self) -> None:
        """A person is shown at most 20 requests at a time, 3 from one address, one of each id."""
        victim = await self.start()
        for number in range(COUNTS.strangers):
            source = f"127.0.{1 + number // 6}.7"
            liar = await victim.greeted(identity(100_000 + number), source=source)
            liar.tell("ask", text="x" * 200)
        await self.until(lambda: len(victim.told(api.Asked)) >= 20, "requests")
        asked = victim.told(api.Asked)
        self.assertEqual(len(asked), 20)
        self.assertEqual(len({event.person.id for event in asked}), 20)
        addresses = [event.address for event in asked]
        self.assertLessEqual(max(addresses.count(address) for address in addresses), 3)
        long = await victim.greeted(identity(99_999), source="127.0.200.1")
        self.assertIn(long.bye, (None, "rejected"))
        await victim.undisturbed()

    async def test_P15_links_of_one(self) -> None:
        """One id, contact or not, holds a handful of links, whatever it says on them."""
        victim = await self.start()
        liars = [await victim.greeted(MALLORY) for _ in range(24)]
        await self.until(lambda: sum(liar.bye is None for liar in liars) <= 8, "refusals")
        self.assertEqual({liar.bye for liar in liars} - {None, "duplicate"}, {"rate"})
        await victim.undisturbed()
