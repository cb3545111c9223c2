"""
A client written from docs/protocol.md alone against a real server and real peers.

What the page says stands in tests/stranger*.py a second time, without p2pchat; that is imported here only to tell the
real peers what to do, and to hear what they tell people.
"""

import os
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.api import (
    Accept,
    Asked,
    Close,
    Connect,
    Delivered,
    Displayed,
    Doubt,
    Ended,
    NotDelivered,
    Opened,
    PresenceChanged,
    Reject,
    RosterRows,
    Said,
    Say,
    Seen,
    ShowRoster,
)
from tests.stranger import PEER_PROTOCOL, Gone, Link, ServerLink, Stranger, consent, dial
from tests.stranger_chat import START_BYTES, Chat
from tests.stranger_fields import Broken, Message
from tests.stranger_house import house
from tests.stranger_words import frame, proves, record, sha256, written


class StrangerTestCase(SynchronousTestCase):
    """Somebody new in each test."""

    def setUp(self) -> None:
        self.house = house()
        self.server, self.bob, self.carol = self.house.server, self.house.bob, self.house.carol

    def stranger(self, handle: str = "", leader: bool | None = None) -> Stranger:
        """Somebody with a key, and a handle that nobody else has; leader or follower beside bob."""
        made = Stranger() if leader is None else Stranger.beside(self.bob.id, leader)
        made.handle = handle or f"stranger-{made.identity.id.hex()[:8]}"
        self.addCleanup(made.close)
        return made

    def online(self, stranger: Stranger) -> ServerLink:
        """A registered link of somebody."""
        link = stranger.register(self.house.port, self.house.id)
        self.addCleanup(link.link.cut)
        return link

    def server_link(self, stranger: Stranger) -> ServerLink:
        """One that is not registered yet."""
        link = ServerLink(stranger, self.house.port, self.house.id)
        self.addCleanup(link.link.cut)
        return link

    def dial(self, stranger: Stranger, peer: Any = None) -> Link:
        """A link to bob, or somebody else, after both hellos."""
        far = peer or self.bob
        link = stranger.dial(far.port, far.id)
        self.addCleanup(link.cut)
        return link

    def chat(self, leader: bool = True) -> Chat:
        """An open chat with bob, without any server."""
        stranger = self.stranger(leader=leader)
        chat = Chat(stranger, self.bob.id)
        self.join(chat)
        return chat

    def join(self, chat: Chat) -> list[Message]:
        """Dial bob for a chat; what he holds."""
        link = self.dial(chat.stranger)
        consent(link, text="it is me")
        return chat.begin(link)

    def reachable(self, leader: bool | None = None) -> Stranger:
        """Somebody who listens, and of whom bob knows that."""
        stranger = self.stranger(leader=leader)
        stranger.listen()
        self.online(stranger)
        self.bob.hear(PresenceChanged, stranger.identity.id)
        return stranger

    def bob_says(self, chat: Chat, text: str) -> None:
        """A line from bob."""
        self.bob.ask(Say(who=written(chat.me), text=text))

    def bob_heard(self, chat: Chat, texts: list[str]) -> None:
        """Bob's person was told these lines of somebody, each once, in this order."""
        said = self.bob.hear(Said, chat.me, lambda events: len(events) >= len(texts))
        self.assertEqual([event.text for event in said], texts)

    def bob_told_delivered(self, chat: Chat, count: int) -> None:
        """Bob's person was told that these were delivered, each once, in order."""
        events = self.bob.hear(Delivered, chat.me, lambda events: sum(len(event.numbers) for event in events) >= count)
        self.assertEqual([number for event in events for number in event.numbers], [*range(1, count + 1)])


class ServerTests(StrangerTestCase):
    """Section 7."""

    def test_registers_and_is_listed(self) -> None:
        """Who registers is on the roster that the operator sees, and watchers are told; of changes and leaving too."""
        watcher, stranger, other = self.online(self.stranger()), self.stranger(), self.stranger()
        me = stranger.identity.id
        self.assertNotIn(me, watcher.watch())
        port = stranger.listen()
        link, other_link = self.online(stranger), self.online(other)
        while not {me, other.identity.id} <= watcher.online.keys():
            watcher.change()
        self.assertEqual(watcher.online[me]["addresses"], [{"host": "127.0.0.1", "port": port}])
        rows = self.server.ask(ShowRoster(), RosterRows).rows
        [row] = [row for row in rows if row.id == written(me)]
        self.assertEqual((row.handle, row.name, row.port), (stranger.handle, "A Stranger", port))
        self.assertEqual(link.register(link.record(port=4711))["type"], "registered")
        other_link.link.bye("leaving")
        while watcher.online[me]["addresses"][0]["port"] != 4711 or other.identity.id in watcher.online:
            watcher.change()

    def test_sees_the_real_ones(self) -> None:
        """The snapshot shows real peers under records that they signed; who watches ids is shown those alone."""
        link = self.online(self.stranger())
        self.assertEqual({body["handle"] for body in link.watch().values()} & {"bob", "carol"}, {"bob", "carol"})
        self.assertEqual(link.online[self.bob.id]["addresses"], [{"host": "127.0.0.1", "port": self.bob.port}])
        named = link.watch(everyone=False, ids=(self.carol.id, link.stranger.identity.id))
        self.assertEqual({body["handle"] for body in named.values()}, {"carol", link.stranger.handle})

    def test_proof(self) -> None:
        """The server's signature is over this connection alone, and whoever expects another server says nothing."""
        one, other = self.server_link(self.stranger()), self.server_link(self.stranger())
        proof = one.hello["proof"]
        domain = b"p2pchat server v1\0"
        self.assertTrue(proves(one.hello["key"], domain, one.link.exporter(), proof))
        self.assertFalse(proves(one.hello["key"], domain, other.link.exporter(), proof))
        self.assertEqual(one.hello["observed"]["host"], "127.0.0.1")
        self.assertRaises(Broken, ServerLink, self.stranger(), self.house.port, sha256(b"another server"))

    def test_stale_record(self) -> None:
        """A record that is not newer is declined with the newer one, and the next try may be better."""
        stranger = self.stranger()
        newest = self.online(stranger).record()
        link = self.server_link(stranger)
        self.assertEqual(link.register(newest)["type"], "registered")
        link = self.server_link(stranger)
        answer = link.register(link.record(counter=5))
        self.assertEqual((answer["type"], answer["code"], answer["record"]), ("declined", "stale-record", newest))
        stranger.counter = msgspec.msgpack.decode(answer["record"]["body"])["counter"]
        self.assertEqual(link.register()["type"], "registered")

    def test_handle_taken(self) -> None:
        """A handle belongs to the first key, also when that is not online; another one is taken on the same link."""
        self.online(self.stranger("first-come")).link.bye("leaving")
        thief = self.stranger("first-come")
        link = self.server_link(thief)
        self.assertEqual(link.register()["code"], "handle-taken")
        thief.handle = "second-come"
        answer = link.register()
        self.assertEqual((answer["type"], answer["handle"]), ("registered", "second-come"))

    def test_bad_records(self) -> None:
        """Records for another server, of another key, or with a wrong signature are declined; after four it is over."""
        stranger, other = self.stranger(), self.stranger()
        link = self.server_link(stranger)
        good = link.record()
        bad = (
            record(stranger.identity, sha256(b"another server"), stranger.handle, 1),
            record(other.identity, self.house.id, stranger.handle, 1),
            good | {"signature": bytes(64)},
            good | {"body": b"\xc1"},
        )
        self.assertEqual([link.register(each).get("code") for each in bad], ["bad-record"] * 4)
        link.link.send("register", record=good)
        self.assertEqual(link.link.ending(), "rate")

    def test_dial_back(self) -> None:
        """Who asks for it is dialled back, where it comes from, and nothing is said there; but not without end."""
        stranger = self.stranger()
        stranger.features = ("dial-back", "another")
        port = stranger.listen()
        link = self.online(stranger)
        self.assertIn("dial-back", link.hello["features"])
        said: list[Message] = []
        for number in (9, 10, 11):
            answer = link.dial_back(number, lambda: said.extend(stranger.knocked()))
            self.assertEqual((answer["number"], answer["code"], said), (number, "reached", []))
            self.assertEqual(answer["address"], {"host": "127.0.0.1", "port": port})
        answer = link.dial_back(12)
        self.assertEqual((answer["number"], answer["code"], answer["address"]), (12, "later", None))

    def test_dial_back_to_nobody(self) -> None:
        """Where nothing listens that is said; a port of a service is not dialled at all."""
        for port, code in ((0, "refused"), (25, "not-dialled")):
            stranger = self.stranger()
            stranger.features = ("dial-back",)
            port = port or stranger.listen()
            stranger.close()
            link = self.server_link(stranger)
            link.register(link.record(port=port))
            self.assertEqual(link.dial_back(1)["code"], code)

    def test_dial_back_without_the_feature(self) -> None:
        """A peer whose hello does not list it may not ask."""
        link = self.online(self.stranger())
        link.link.send("dial-back", number=1)
        self.assertEqual(link.link.ending(), "unexpected")

    def test_two_links_of_one_key(self) -> None:
        """The newer counts: the older ends with `duplicate` for one process, and `displaced` for two."""
        for nonce, code in ((None, "duplicate"), (os.urandom(16), "displaced")):
            with self.subTest(code=code):
                stranger = self.stranger()
                old = self.online(stranger)
                stranger.nonce = nonce or stranger.nonce
                new = self.online(stranger)
                self.assertEqual(old.link.ending(), code)
                self.assertIn(stranger.identity.id, new.watch())

    def test_ping(self) -> None:
        """A ping is answered with its number at any time after the hellos; what begins with x- is skipped."""
        link = self.server_link(self.stranger())
        link.link.send("x-whatever", number="of any type")
        link.link.send("ping", number=2**53 - 1, unknown=[1.5, None])
        self.assertEqual(link.link.expect("pong")["number"], 2**53 - 1)

    def test_violations(self) -> None:
        """What breaks a rule of the page after hello is answered by `bye` with the code of it."""
        hello = self.stranger().hello()
        for data, codes in (
            (frame({"type": "watch", "everyone": True}), {"unexpected"}),
            (frame({"type": "hello", **hello}), {"unexpected"}),
            (frame({"type": "ask", "text": ""}), {"unexpected"}),
            (frame({"type": "unknown"}), {"malformed"}),
            (frame({"type": "ping"}), {"malformed"}),
            (frame({"type": "ping", "number": -1}), {"malformed"}),
            (frame({"type": "ping", "number": 2**53}), {"malformed"}),
            (frame({"type": "ping", "number": True}), {"malformed"}),
            (frame({"type": "bye", "code": b"leaving"}), {"malformed"}),
            (b"\0\0\0\1\x90", {"malformed"}),
            (b"\0\0\0\0", {"malformed", "too-big"}),
            ((16_385).to_bytes(4, "big"), {"too-big"}),
            (frame({"type": "ping", "number": 1}) * 300, {"rate"}),
        ):
            with self.subTest(data=data[:40]):
                link = self.server_link(self.stranger()).link
                link.send_bytes(data)
                self.assertIn(link.ending(), codes)

    def test_before_hello(self) -> None:
        """Before hello a violation is answered by nothing at all."""
        link = dial(self.house.port, self.stranger().identity, b"p2pchat-server/1", self.house.id)
        link.send("ping", number=1)
        with self.assertRaises(Gone):
            while link.next()["type"] == "server-hello":
                pass
        self.assertEqual(link.ended, None)

    def test_versions(self) -> None:
        """A newer version is spoken down to; one below the first is refused."""
        for version, ending in ((2, None), (0, "version")):
            with self.subTest(version=version):
                stranger = self.stranger()
                link = dial(self.house.port, stranger.identity, b"p2pchat-server/1", self.house.id)
                self.addCleanup(link.cut)
                link.send("hello", **stranger.hello() | {"version": version})
                link.expect("server-hello")
                if ending is None:
                    link.round_trip()
                else:
                    self.assertEqual(link.ending(), ending)


class ChatTests(StrangerTestCase):
    """Sections 8 to 10, both ways, from both ends."""

    def test_dials(self) -> None:
        """As leader and as follower, somebody whom no server knows dials, asks, and chats both ways."""
        for leader in (True, False):
            with self.subTest(leader=leader):
                chat = self.chat(leader)
                [asked] = self.bob.hear(Opened, chat.me)
                self.assertEqual((asked.again, asked.person.handle), (False, chat.stranger.handle))
                chat.say("hello, bob 🙂")
                chat.say("a second line\n\twith a third")
                chat.until_delivered(2)
                self.bob_heard(chat, ["hello, bob 🙂", "a second line\n\twith a third"])
                self.bob_says(chat, "hello, stranger")
                chat.until_said(1)
                self.assertEqual([(line.number, line.text) for line in chat.lines], [(1, "hello, stranger")])
                self.assertEqual(self.bob.hear(Delivered, chat.me)[0].numbers, (1,))

    def test_is_dialled(self) -> None:
        """As leader and as follower, somebody on the roster is dialled by name and by id, and chats both ways."""
        for leader in (True, False):
            with self.subTest(leader=leader):
                stranger = self.reachable(leader)
                who = stranger.handle if leader else written(stranger.identity.id)
                self.bob.ask(Connect(who=who, text="about the grant"))
                link = stranger.answer()
                self.addCleanup(link.cut)
                self.assertEqual((link.far_id, link.hello["handle"]), (self.bob.id, "bob"))
                self.assertEqual(consent(link)[0], {"type": "ask", "text": "about the grant"})
                chat = Chat(stranger, self.bob.id)
                chat.begin(link)
                self.bob_says(chat, "are you there?")
                chat.until_said(1)
                chat.say("yes")
                chat.until_delivered(1)
                self.bob_heard(chat, ["yes"])
                self.assertEqual(chat.texts, ["are you there?"])
                self.bob.ask(Close(who=who))
                self.assertEqual(link.ending(), "closed")

    def test_consent(self) -> None:
        """Who asks waits for the person there, who sees one line of text, and accepts or rejects."""
        for command, answer in ((Accept, ("accept", "once")), (Reject, ("reject", "rejected"))):
            with self.subTest(answer=answer):
                stranger = self.stranger()
                link = self.dial(stranger, self.carol)
                link.send("ask", text="about the grant")
                link.send("accept", scope="once")
                [asked] = self.carol.hear(Asked, stranger.identity.id)
                self.assertEqual((asked.text, asked.person.handle), ("about the grant", stranger.handle))
                self.carol.ask(command(who=written(stranger.identity.id)))
                message = link.next()
                self.assertEqual((message["type"], message.get("scope") or message["code"]), answer)

    def test_accepting_asks(self) -> None:
        """Who consents and says nothing has asked all the same, without a line."""
        stranger = self.stranger()
        self.dial(stranger, self.carol).send("accept", scope="always")
        [asked] = self.carol.hear(Asked, stranger.identity.id)
        self.assertEqual(asked.text, "")

    def test_rejects(self) -> None:
        """Who is asked may refuse, and the person there is told."""
        stranger = self.reachable()
        self.bob.ask(Connect(who=stranger.handle, text="please"))
        link = stranger.answer()
        self.assertEqual(link.expect("ask")["text"], "please")
        link.send("reject")
        link.ending()
        [ended] = self.bob.hear(Ended, stranger.identity.id)
        self.assertEqual(ended.reason, "rejected")

    def test_closes(self) -> None:
        """Who closes a chat says so, and the person there is told."""
        chat = self.chat()
        chat.link.bye("closed")
        [ended] = self.bob.hear(Ended, chat.me)
        self.assertEqual(ended.reason, "closed")

    def test_windows(self) -> None:
        """Far more than the first window goes through: bob raises it, and every head fits."""
        chat = self.chat()
        lines = [f"line {number}" for number in range(700)]
        for line in lines:
            chat.say(line)
        chat.until_delivered(700)
        self.bob_heard(chat, lines)

    def test_bob_waits_for_room(self) -> None:
        """Bob sends no more than the window's bytes before it is raised, and the rest after."""
        chat = self.chat()
        chat.acknowledges = False
        lines = [f"{number} {'x' * 15_990}" for number in range(20)]
        for line in lines:
            self.bob_says(chat, line)
        chat.serve(lambda: chat.granted.size - chat.granted.used_bytes < 17_000)
        chat.link.round_trip()
        chat.link.send("ping", number=1)
        self.assertEqual(chat.link.next(), {"type": "pong", "number": 1})
        self.assertLess(len(chat.lines), 20)
        self.assertEqual(self.bob.all(Delivered, chat.me), [])
        chat.acknowledges = True
        chat.acknowledge()
        chat.until_said(20)
        self.assertEqual(chat.texts, lines)
        self.assertGreater(chat.granted.size, START_BYTES)
        self.bob_told_delivered(chat, 20)

    def test_seen(self) -> None:
        """What was displayed is told, both ways, and again at the next link-up."""
        chat = self.chat()
        self.bob_says(chat, "one")
        chat.until_said(1)
        chat.confirm_seen()
        self.assertEqual(self.bob.hear(Seen, chat.me)[0].numbers, (1,))
        chat.say("two")
        chat.until_delivered(1)
        [said] = self.bob.hear(Said, chat.me)
        self.assertEqual(chat.mine[0].seen, 0)
        self.bob.ask(Displayed(who=written(chat.me), entry=said.entry))
        chat.serve(lambda: chat.mine[0].seen == 1)
        chat.cut()
        chat.mine[0].seen = 0
        self.join(chat)
        chat.serve(lambda: chat.mine[0].seen == 1)

    def test_refused(self) -> None:
        """What bob cannot take he refuses, with a code, until that is processed; what follows is delivered."""
        chat = self.chat()
        good = chat.say("good")
        twin = msgspec.msgpack.decode(good) | {"body": {"text": "other"}}
        chat.write(b"\xc1")
        chat.write(chat.entry(id=b"short"))
        chat.write(chat.entry(body={"text": "x" * 16_385}))
        chat.write(chat.entry(auth="signed"))
        chat.write(msgspec.msgpack.encode(twin))
        chat.write(good)
        chat.write(chat.entry(kind="poll", body=[1.5, None]))
        chat.write(chat.entry(kind="void", body={}))
        chat.say("after")
        chat.processes = False
        chat.until_delivered(10)
        expected = {2: "malformed", 3: "malformed", 4: "too-big", 5: "auth", 6: "conflict"}
        self.assertEqual(chat.mine[0].refused, expected)
        chat.cut()
        chat.mine[0].refused = {}
        self.join(chat)
        chat.serve(lambda: len(chat.mine[0].refused) == 5)
        self.assertEqual(chat.mine[0].refused, expected)
        chat.process_refusals()
        chat.link.round_trip()
        chat.cut()
        chat.mine[0].refused = {}
        self.join(chat)
        chat.link.round_trip()
        chat.say("and on")
        chat.until_delivered(11)
        self.assertEqual(chat.mine[0].refused, {})
        texts = [event.text for event in self.bob.hear(Said, chat.me, lambda events: len(events) == 4)]
        self.assertEqual(texts, ["good", "", "after", "and on"])

    def test_refuses(self) -> None:
        """What a stranger refuses is shown to bob as not delivered, and bob says that he knows."""
        chat = self.chat()
        chat.refuses = "too-big"
        self.bob_says(chat, "no")
        chat.serve(lambda: any(stream.processed for stream in chat.theirs.values()))
        [shown] = self.bob.hear(NotDelivered, chat.me)
        self.assertEqual(shown.number, 1)

    def test_history(self) -> None:
        """What lies before a reader's first entry comes on request."""
        chat = self.chat()
        lines = ["one", "two", "three"]
        for line in lines:
            self.bob_says(chat, line)
        chat.until_said(3)
        self.bob_told_delivered(chat, 3)
        chat.cut()
        [old] = chat.theirs.values()
        anew = Chat(chat.stranger, self.bob.id)
        chat.stranger.store = os.urandom(16)
        self.join(anew)
        self.bob_says(anew, "four")
        anew.until_said(1)
        self.assertEqual(anew.texts, ["four"])
        [new] = anew.theirs.values()
        self.assertEqual((new.name, new.first, new.base), (old.name, 4, old.head(3)))
        anew.link.send("history", stream=new.name, first=1, last=3)
        anew.serve(lambda: anew.answered)
        self.assertEqual([data for _, data in anew.history], old.entries)
        self.assertEqual((anew.answered[0]["first"], anew.answered[0]["last"]), (1, 3))


class ReconnectTests(StrangerTestCase):
    """Links that are cut, and databases that are lost."""

    def test_cut_while_bob_sends(self) -> None:
        """What bob was not told to be committed he sends again; nothing twice, and the heads go on."""
        chat = self.chat(leader=False)
        self.bob_says(chat, "one")
        chat.until_said(1)
        self.bob.hear(Delivered, chat.me)
        chat.acknowledges = False
        for text in ("two", "three", "four"):
            self.bob_says(chat, text)
        chat.until_said(3)
        chat.cut()
        chat.forget_uncommitted(2)
        chat.acknowledges = True
        self.join(chat)
        chat.until_said(4)
        self.bob_says(chat, "five")
        chat.until_said(5)
        self.assertEqual(chat.texts, ["one", "two", "three", "four", "five"])
        self.assertEqual((chat.duplicates, len(chat.theirs), chat.doubts), (0, 1, []))
        self.bob.hear(
            Delivered, chat.me, lambda events: [n for event in events for n in event.numbers] == [1, 2, 3, 4, 5]
        )

    def test_cut_while_sending(self) -> None:
        """What was sent into a link that is cut is sent again as far as bob lacks it; his person sees each once."""
        for leader in (True, False):
            with self.subTest(leader=leader):
                chat = self.chat(leader)
                lines = [f"line {number}" for number in range(120)]
                for line in lines[:60]:
                    chat.say(line)
                chat.cut()
                for line in lines[60:]:
                    chat.say(line)
                self.join(chat)
                self.assertLessEqual(chat.delivered, 60)
                chat.until_delivered(120)
                self.bob_heard(chat, lines)
                self.assertEqual(chat.doubts, [])

    def test_bob_comes_back(self) -> None:
        """Bob dials again when a link is cut that he dialled, and has what was written meanwhile."""
        stranger = self.reachable()
        self.bob.ask(Connect(who=stranger.handle))
        chat = Chat(stranger, self.bob.id)
        link = stranger.answer()
        consent(link)
        chat.begin(link)
        chat.cut()
        self.bob_says(chat, "while you were away")
        chat.say("here too")
        link = stranger.answer()
        self.addCleanup(link.cut)
        consent(link)
        chat.begin(link)
        chat.until_delivered(1)
        chat.until_said(1)
        self.assertEqual(chat.texts, ["while you were away"])
        self.assertEqual([event.again for event in self.bob.hear(Opened, chat.me)], [False, True])
        self.bob.ask(Close(who=stranger.handle))
        self.assertEqual(link.ending(), "closed")

    def test_head_differs(self) -> None:
        """Who holds something else than bob wrote gets a new stream that says where the old one was sure."""
        chat = self.chat()
        for text in ("one", "two"):
            self.bob_says(chat, text)
        chat.until_said(2)
        self.bob_told_delivered(chat, 2)
        chat.cut()
        [stream] = chat.theirs.values()
        head = stream.head(2)
        stream.entries[1] = b"damaged"
        self.join(chat)
        chat.serve(lambda: chat.resets)
        reset = chat.resets[0]
        self.assertEqual(reset["stream"], stream.name)
        self.assertIn((reset["seq"], reset["head"]), {(0, stream.base), (1, stream.head(1)), (2, head)})
        self.bob_says(chat, "three")
        chat.serve(lambda: chat.texts[-1] == "three")
        self.assertTrue(self.bob.hear(Doubt, chat.me)[0].mine)

    def test_rolled_back(self) -> None:
        """An author who lost what bob holds begins a new stream; bob's person is told, and sees the new lines."""
        chat = self.chat()
        for text in ("one", "two", "three"):
            chat.say(text)
        chat.until_delivered(3)
        chat.cut()
        del chat.mine[0].entries[1:]
        chat.mine[0].confirmed = 1
        self.join(chat)
        self.assertEqual(chat.doubts, ["one of us was rolled back"])
        chat.say("four")
        chat.serve(lambda: chat.mine[-1].confirmed == chat.mine[-1].seq)
        self.bob_heard(chat, ["one", "two", "three", "four"])
        self.assertFalse(self.bob.hear(Doubt, chat.me)[0].mine)
        chat.cut()
        held = [holding["stream"] for holding in self.join(chat)]
        self.assertEqual(held, [stream.name for stream in chat.mine])


class RuleTests(StrangerTestCase):
    """What bob does not let pass."""

    def assert_ends(self, link: Link, *codes: str | None) -> None:
        self.assertIn(link.ending(), codes)

    def test_before_hello(self) -> None:
        """Before hello a violation is answered by nothing at all, and no later than that bob has said hello."""
        link = dial(self.bob.port, self.stranger().identity, PEER_PROTOCOL, self.bob.id)
        link.send("ask", text="")
        with self.assertRaises(Gone):
            while link.next()["type"] == "hello":
                pass
        self.assertEqual(link.ended, None)

    def test_while_asking(self) -> None:
        """Before consent nothing that belongs to a chat may come, and no large frame."""
        stream = bytes(80)
        for message, code in (
            ({"type": "entry", "stream": stream, "seq": 1, "bytes": b"x"}, "unexpected"),
            ({"type": "have", "streams": [], "last": True}, "unexpected"),
            ({"type": "select"}, "unexpected"),
            ({"type": "register", "record": {"body": b"x", "signature": bytes(64)}}, "unexpected"),
            ({"type": "hello", **self.stranger().hello()}, "unexpected"),
            ({"type": "ask", "text": "x" * 201}, "malformed"),
            ({"type": "accept", "scope": "for-ever"}, "malformed"),
            ({"type": "ping", "number": 1, "x": bytes(16_384)}, "too-big"),
        ):
            with self.subTest(message=str(message)[:40]):
                link = self.dial(self.stranger())
                link.send_bytes(frame(message))
                self.assert_ends(link, code)

    def test_versions(self) -> None:
        """A newer version is spoken down to; one below the first is refused."""
        for version, ending in ((7, None), (0, "version")):
            with self.subTest(version=version):
                stranger = self.stranger()
                link = dial(self.bob.port, stranger.identity, PEER_PROTOCOL, self.bob.id)
                self.addCleanup(link.cut)
                link.send("hello", **stranger.hello() | {"version": version})
                self.assertEqual(link.expect("hello")["version"], 1)
                if ending is None:
                    link.round_trip()
                else:
                    self.assert_ends(link, ending)

    def test_rate(self) -> None:
        """Control that comes without end is cut off."""
        link = self.dial(self.stranger())
        link.send_bytes(frame({"type": "x-noise"}) * 150)
        link.send_bytes(frame({"type": "ping", "number": 1}) * 150)
        self.assert_ends(link, "rate")

    def test_while_chatting(self) -> None:
        """Streams, numbers, heads and windows that cannot be are violations."""
        other = Stranger()

        def entry(chat: Chat, **changes: Any) -> Message:
            good = {"stream": chat.mine[0].name, "seq": 2, "bytes": chat.entry()}
            return {"type": "entry", **good, **changes}

        def have(chat: Chat, **changes: Any) -> Message:
            [theirs] = chat.theirs.values()
            return {"type": "have", "streams": [theirs.holding(False) | changes], "last": False}

        violations = {
            "a seq that is not next": lambda chat: entry(chat, seq=3),
            "a seq again": lambda chat: entry(chat, seq=1),
            "a stream that was not listed": lambda chat: entry(chat, stream=chat.mine[0].name[:64] + bytes(16), seq=1),
            "another author": lambda chat: entry(chat, stream=chat.conversation + other.identity.id + bytes(16)),
            "the reader's stream": lambda chat: entry(chat, stream=next(iter(chat.theirs))),
            "another conversation": lambda chat: entry(chat, stream=bytes(32) + chat.me + bytes(16)),
            "a holding that moves backwards": lambda chat: have(
                chat, seq=0, head=next(iter(chat.theirs.values())).base
            ),
            "a holding beyond what was sent": lambda chat: have(chat, seq=2),
            "a wrong head": lambda chat: have(chat, head=bytes(32)),
            "seen beyond what is held": lambda chat: {"type": "seen", "stream": next(iter(chat.theirs)), "seq": 2},
            "one's own seen": lambda chat: {"type": "seen", "stream": chat.mine[0].name, "seq": 1},
            "a smaller window": lambda chat: {"type": "window", "entries": 1, "bytes": START_BYTES},
        }
        for what, violation in violations.items():
            with self.subTest(what=what):
                chat = self.chat()
                chat.say("one")
                self.bob_says(chat, "one")
                chat.until_delivered(1)
                chat.until_said(1)
                chat.link.send_bytes(frame(violation(chat)))
                self.assertEqual(chat.link.ending(), "violation")
                self.assertEqual(self.bob.all(Said, chat.me)[1:], [])

    def test_too_big(self) -> None:
        """An open link takes frames of 64 KiB, and no more."""
        chat = self.chat()
        chat.link.send("x-large", x=bytes(65_000))
        chat.link.round_trip()
        chat.link.send_bytes((65_537).to_bytes(4, "big"))
        self.assert_ends(chat.link, "too-big")

    def test_two_links(self) -> None:
        """Bob, where he leads, keeps the newest link of one process; where he follows he ends none."""
        follower = self.chat(leader=False)
        newest = Chat(follower.stranger, self.bob.id)
        self.join(newest)
        self.assertEqual(follower.link.ending(), "duplicate")
        leader = self.chat(leader=True)
        second = self.dial(leader.stranger)
        consent(second)
        second.round_trip()
        leader.link.round_trip()
        leader.link.bye("duplicate")
        leader.begin(second)
        leader.say("on the newer one")
        leader.until_delivered(1)
        self.bob_heard(leader, ["on the newer one"])

    def test_another_instance(self) -> None:
        """Another process with the same key displaces the first one."""
        chat = self.chat()
        chat.stranger.nonce = os.urandom(16)
        self.join(Chat(chat.stranger, self.bob.id))
        self.assertEqual(chat.link.ending(), "displaced")

    def test_a_record_for_later(self) -> None:
        """A record may come at any time once the link is open; a bad one harms nobody."""
        chat = self.chat()
        signed = record(chat.stranger.identity, self.house.id, chat.stranger.handle, 1)
        chat.link.send("record", **signed)
        chat.link.send("record", **signed | {"signature": bytes(64)})
        chat.link.round_trip()
