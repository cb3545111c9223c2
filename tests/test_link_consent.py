"""Consent on links: who is asked, let in, refused; how long that stands; and how many may ask."""

import re
from dataclasses import replace
from typing import Any

from twisted.logger import capturedLogs

from p2pchat import api
from p2pchat.core.errors import NoSuchContact
from p2pchat.core.framing import encode_frame
from p2pchat.core.identity import format_id
from p2pchat.core.messages import Accept, Ask, Bye, Hello, Reject, encode
from p2pchat.core.trust import MAX_REQUESTS, MAX_REQUESTS_PER_ADDRESS, REQUEST_LASTS, Policy
from p2pchat.net import connection
from p2pchat.peer import people
from p2pchat.peer.attendance import MOST_REFUSED
from p2pchat.ui.words import Narrator
from tests.company import Node, Stranger, WorldTests, identity_of


class ConsentTests(WorldTests):
    """Base: alice, who knows where bob is, and bob, who is asked."""

    policy: Policy | None = Policy.ASK

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.world.node("alice")
        self.bob = self.world.node("bob", self.policy)

    def asking(self, text: str = "") -> None:
        """Alice wants to chat with bob."""
        self.alice.dials(self.bob, text=text)
        self.world.settle()

    def open(self, accept: api.Accept | None = None) -> None:
        self.asking()
        self.bob.do(accept or api.Accept(who="alice"))
        self.assert_open()

    def assert_open(self) -> None:
        self.assertIsNotNone(self.alice.link_with(self.bob))
        self.assertIsNotNone(self.bob.link_with(self.alice))

    def assert_asked(self, times: int) -> None:
        self.assertEqual(len(self.bob.told(api.Asked)), times)

    def come_back(self) -> None:
        """The link breaks, and time enough passes to dial again."""
        self.world.drop(self.alice, self.bob)
        self.world.wait(40)


class AskingTests(ConsentTests):
    def test_accept(self) -> None:
        """Who is asked sees who, from where, and one line; nothing is open before the person's word."""
        self.asking("about the grant")
        [asked] = self.bob.told(api.Asked)
        self.assertEqual((asked.person.name, asked.text, asked.address), ("alice", "about the grant", "10.0.0.1"))
        self.assertEqual(asked.person.chat, "asked")
        self.assertEqual(self.alice.told(api.Opened), [])
        self.assertEqual(len(self.alice.told(api.Asking)), 1)
        self.bob.do(api.Accept(who="alice"))
        self.assert_open()
        self.assertEqual(self.alice.told(api.Opened)[0].person.scope, "once")

    def test_reject(self) -> None:
        """Who was refused is told so, and asks no more by himself."""
        self.asking()
        self.bob.do(api.Reject(who="alice"))
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["rejected"])
        # Another terminal, or a notice that is due, must not go on asking.
        (ended,) = self.bob.told(api.AskEnded)
        self.assertEqual((ended.reason, Narrator().tell(ended)), ("rejected", []))
        self.world.wait(60)
        self.assert_asked(1)
        self.assertEqual(self.bob.told(api.Ended), [])
        self.bob.refuse(api.Accept(who="alice"), NoSuchContact)

    def test_expire(self) -> None:
        """A request is void after two minutes; both sides are told, and nobody asks again by himself."""
        self.asking()
        self.world.wait(REQUEST_LASTS - 2)
        self.assertEqual(self.bob.told(api.AskEnded), [])
        self.world.wait(3)
        self.assertEqual([event.reason for event in self.bob.told(api.AskEnded)], ["expired"])
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["expired"])
        self.world.wait(120)
        self.assert_asked(1)
        self.bob.refuse(api.Accept(who="alice"), NoSuchContact)

    def test_connect_is_an_answer(self) -> None:
        """Who wants to chat with somebody who asks has consented."""
        self.asking()
        self.bob.do(api.Connect(who="alice"))
        self.assert_open()

    def test_add_contact_is_an_answer(self) -> None:
        """So has who makes a contact of them."""
        self.asking()
        self.bob.knows(self.alice)
        self.assert_open()

    def test_asker_gives_up(self) -> None:
        """A request of somebody who is gone is void."""
        self.asking()
        self.alice.do(api.Close(who="bob"))
        self.assertEqual([event.reason for event in self.bob.told(api.AskEnded)], ["gone"])
        self.bob.refuse(api.Accept(who="alice"), NoSuchContact)

    def test_two_askers_of_one_name(self) -> None:
        """Where two ask under one name, neither is let in by it."""
        for name in ("one", "two"):
            Stranger(self.world, name, f"10.1.0.{len(name + name)}").dial(self.bob).say(Ask())
        for command in (api.Accept(who="stranger"), api.Reject(who="stranger"), api.Block(who="stranger")):
            self.assertIn("whole id", self.bob.refuse(command, NoSuchContact))
        self.bob.do(api.Accept(who=format_id(identity_of("two").id)))
        self.assertEqual(
            [request.link.id for request in self.bob.peer.links.requests.values()], [identity_of("one").id]
        )

    def test_asker_under_the_name_of_a_contact(self) -> None:
        """Whoever asks under a contact's name is shown under another, and let in under that alone."""
        carol = identity_of("carol")
        self.bob.do(api.AddContact(id=format_id(carol.id), name="stranger"))
        mallory = Stranger(self.world, "mallory").dial(self.bob)
        mallory.say(Ask(text="it is me"))
        [asked] = self.bob.told(api.Asked)
        self.assertNotEqual(asked.person.name, "stranger")
        self.bob.refuse(api.Accept(who="stranger"), NoSuchContact)
        self.bob.do(api.Block(who="stranger"))
        self.assertTrue(self.bob.peer.people.facts(carol.id).blocked)
        self.assertFalse(self.bob.peer.people.facts(mallory.identity.id).blocked)
        self.bob.do(api.Accept(who=asked.person.name))
        self.assertEqual(len(mallory.of(Accept)), 1)

    def test_silent_stranger(self) -> None:
        """Who says hello and then nothing is gone after the time of a request; so is who accepts nothing."""
        quiet = Stranger(self.world, "quiet").dial(self.bob)
        self.world.wait(200)
        self.assertEqual(quiet.code, "expired")
        asks = Stranger(self.world, "asks").dial(self.bob)
        asks.say(Ask())
        self.bob.do(api.Accept(who="stranger"))
        self.world.wait(200)
        self.assertEqual(asks.code, "expired")
        self.assertEqual(self.bob.told(api.Opened), [])

    def test_far_side_that_never_answers(self) -> None:
        """Who dialled somebody that neither accepts nor refuses gives up the link, and tries again."""
        far = Stranger(self.world, "far", "10.0.0.9").listen()
        self.bob.do(api.AddContact(id=format_id(far.identity.id), name="far"))
        self.bob.run(self.bob.peer.want(far.identity.id, typed=[far.address]))
        self.world.wait(400)
        self.assertGreaterEqual(len(far.connections), 2)
        self.assertLessEqual(sum(each.alive for each in far.connections), 1)


class StandingTests(ConsentTests):
    def test_once_over_a_lost_link(self) -> None:
        """`once` lasts over lost links: nobody is asked again."""
        self.open()
        self.come_back()
        self.assert_open()
        self.assert_asked(1)
        self.assertEqual([event.again for event in self.bob.told(api.Opened)], [False, True])

    def test_once_over_a_start(self) -> None:
        """It lasts over a start of either side, too."""
        self.open()
        self.alice.stop()
        self.alice = self.alice.again()
        self.world.wait(5)
        self.assert_open()
        self.bob.crash()
        self.bob = self.bob.again()
        self.world.wait(40)
        self.assert_open()
        self.assertEqual(self.bob.told(api.Asked), [])

    def test_once_ends_with_close(self) -> None:
        """After Close, by either side, the next request is asked about."""
        for number, (one, other) in enumerate([("alice", "bob"), ("bob", "alice")]):
            self.open()
            getattr(self, one).do(api.Close(who=other))
            self.world.wait(60)
            self.assert_asked(number + 1)
            self.assertEqual(getattr(self, other).told(api.Ended)[-1].reason, "closed")
            self.assertIsNone(self.bob.peer.people.consent(self.alice.id))
            self.assertIsNone(self.alice.peer.people.consent(self.bob.id))

    def test_once_ends_with_close_while_the_link_is_lost(self) -> None:
        """Who closes a chat that has no link has ended their consent as well."""
        self.open()
        self.bob.leave()
        self.world.drop(self.alice, self.bob)
        self.bob.do(api.Close(who="alice"))
        self.bob.listen()
        self.world.wait(40)
        self.assert_asked(2)

    def test_once_ends_after_a_day(self) -> None:
        """`once` is over after 24 h (here: less): a link lost then is not dialled again, the next request is asked."""
        self.patch(people, "ONCE_LASTS", 300.0)
        self.open()
        self.world.wait(310)
        self.assert_open()
        self.come_back()
        for one in (self.alice, self.bob):
            [ended] = one.told(api.Ended)
            self.assertIn("/connect", ended.reason)
        self.assert_asked(1)
        self.asking()
        self.assert_asked(2)

    def test_timed(self) -> None:
        """Timed consent stands for its time, and not beyond."""
        self.open(api.Accept(who="alice", scope="timed", seconds=600))
        self.assertEqual(self.alice.told(api.Opened)[0].person.scope, "timed")
        self.come_back()
        self.assert_open()
        self.assert_asked(1)
        self.world.wait(600)
        self.come_back()
        self.assert_asked(2)

    def test_always(self) -> None:
        """Whoever was accepted for always is let in after a Close, too, and is a contact."""
        self.open(api.Accept(who="alice", scope="always"))
        self.alice.do(api.Close(who="bob"))
        self.asking()
        self.assert_open()
        self.assert_asked(1)
        self.assertTrue(self.bob.peer.people.person(self.alice.id).contact)

    def test_block(self) -> None:
        """Who is blocked is gone at once, is refused from then on, and nobody is asked or told."""
        self.open()
        self.bob.do(api.Block(who="alice"))
        self.assertIsNone(self.bob.link_with(self.alice))
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["closed"])
        self.bob.events.clear()
        self.asking()
        self.assertEqual(self.alice.told(api.Ended)[-1].reason, "rejected")
        self.assertEqual(self.bob.events, [])
        self.bob.do(api.Unblock(who="alice"))
        self.asking()
        self.assert_asked(1)

    def test_block_who_asks(self) -> None:
        """Blocking somebody who asks refuses them, like any other refusal."""
        self.asking()
        self.bob.do(api.Block(who="alice"))
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["rejected"])
        self.assertEqual(self.bob.peer.links.all(), [])


class ContactsOnlyTests(ConsentTests):
    policy = Policy.CONTACTS

    def test_contacts(self) -> None:
        """With `--accept contacts` a contact is let in, and anybody else refused, without a question."""
        self.asking()
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["rejected"])
        self.bob.knows(self.alice)
        self.asking()
        self.assert_open()
        self.assert_asked(0)

    def test_crossing_with_an_address(self) -> None:
        """A refusal on one link does not end what the person is still to confirm on another."""
        self.alice.dials(self.bob)
        self.bob.run(self.bob.commands.execute(api.Connect(who=self.alice.address)))
        self.world.settle()
        self.assertEqual(len(self.bob.told(api.Answered)), 1)
        self.bob.do(api.Confirm(who="alice"))
        self.assert_open()
        self.assertEqual(self.alice.told(api.Ended), [])


class NeverSaidTests(ConsentTests):
    """The person never said what happens to requests, and the peer was started without a terminal."""

    policy: Policy | None = None

    def test_somebody_is_there(self) -> None:
        """Where a terminal is attached when the request comes, it is asked."""
        self.bob.attended = True
        self.asking()
        self.assert_asked(1)
        self.bob.do(api.Accept(who="alice"))
        self.assert_open()
        self.bob.peer.links.attendance.tell()
        self.assertEqual(self.bob.told(api.Problem), [])

    def test_nobody_is_there(self) -> None:
        """Otherwise it is refused, and the next terminal is told that, once, and how to find who it was."""
        for _ in range(2):
            self.asking()
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["rejected"] * 2)
        self.assert_asked(0)
        for _ in range(2):
            self.bob.peer.links.attendance.tell()
        (told,) = self.bob.told(api.Problem)
        who = re.escape(f"({self.alice.written[:19]})")
        self.assertRegex(told.text, rf"^alice.* {who} asked to chat at \d\d:\d\d on .* was refused")
        self.assertTrue(told.text.endswith(f": /connect {self.alice.written}"), told.text)

    def test_contacts(self) -> None:
        """A contact is let in, whoever is there."""
        self.bob.knows(self.alice)
        self.asking()
        self.assert_open()

    def test_many(self) -> None:
        """Of many that were refused the last ones are told."""
        ids = [identity_of(f"stranger {number}").id for number in range(MOST_REFUSED + 1)]
        for identifier in ids:
            self.bob.peer.links.attendance.refused(identifier)
        self.bob.peer.links.attendance.tell()
        told = [event.text for event in self.bob.told(api.Problem)]
        self.assertEqual(len(told), MOST_REFUSED)
        self.assertIn(format_id(ids[-1]), told[-1])

    def test_A5_many_strangers(self) -> None:
        """Strangers with ever so many keys fill no log, and do not push out somebody who is known."""
        self.bob.do(api.Unblock(who=self.alice.written))
        attendance = self.bob.peer.links.attendance
        with capturedLogs() as events:
            attendance.refused(self.alice.id)
            for number in range(10 * MOST_REFUSED):
                attendance.refused(identity_of(f"stranger {number}").id)
        lines = [event for event in events if "was refused" in event["log_format"]]
        self.assertEqual(len(lines), MOST_REFUSED)
        attendance.tell()
        told = [event.text for event in self.bob.told(api.Problem)]
        self.assertEqual(len(told), MOST_REFUSED)
        self.assertIn(self.alice.written, told[0])


class EverybodyTests(ConsentTests):
    policy = Policy.ALL

    def test_all(self) -> None:
        """With `--accept all` everybody is let in, as often as they come, but nobody who is blocked."""
        self.asking()
        self.assert_open()
        self.come_back()
        self.assert_open()
        self.assertEqual(self.bob.told(api.Asked, api.Ended), [])
        self.alice.do(api.Close(who="bob"))
        self.bob.do(api.Block(who="alice"))
        self.asking()
        self.assertEqual(self.alice.told(api.Ended)[-1].reason, "rejected")


class AddressTests(ConsentTests):
    """Dialling an address alone."""

    def test_confirm(self) -> None:
        """Whoever answers at an address is told nothing but hello before the person said that it is the right one."""
        far = Stranger(self.world, "far", "10.0.0.9").listen()
        self.alice.do(api.Connect(who="10.0.0.9", text="secret plan"))
        [answered] = self.alice.told(api.Answered)
        self.assertEqual((answered.person.name, answered.address), ("stranger", "10.0.0.9:6666"))
        self.assertEqual([type(message) for message in far.came], [Hello])
        self.assertIsNone(self.alice.peer.people.consent(far.identity.id))
        self.alice.do(api.Confirm(who="stranger"))
        self.assertEqual([ask.text for ask in far.of(Ask)], ["secret plan"])
        self.assertEqual([accept.scope for accept in far.of(Accept)], ["once"])

    def test_not_the_right_one(self) -> None:
        """Whoever is not confirmed is left, and has no consent."""
        far = Stranger(self.world, "far", "10.0.0.9").listen()
        self.alice.do(api.Connect(who="10.0.0.9:6666"))
        self.alice.do(api.Reject(who="stranger"))
        self.assertEqual((far.code, far.of(Ask)), ("closed", []))
        self.assertIsNone(self.alice.peer.people.consent(far.identity.id))
        self.alice.refuse(api.Confirm(who="stranger"), NoSuchContact)

    def test_two_of_one_name(self) -> None:
        """Where two answered under one name, neither is meant by it."""
        far = [Stranger(self.world, name, f"10.0.0.{host}").listen() for name, host in (("one", 8), ("two", 9))]
        for each in far:
            self.alice.do(api.Connect(who=each.host))
        for command in (api.Confirm(who="stranger"), api.Reject(who="stranger"), api.Close(who="stranger")):
            self.assertIn("whole id", self.alice.refuse(command, NoSuchContact))
        self.alice.do(api.Confirm(who=format_id(far[1].identity.id)))
        self.assertEqual([len(each.of(Ask)) for each in far], [0, 1])

    def test_nobody_decides(self) -> None:
        """An answer that nobody confirms is given up in the time of a request."""
        far = Stranger(self.world, "far", "10.0.0.9").listen()
        self.alice.do(api.Connect(who="10.0.0.9"))
        self.world.wait(200)
        self.assertEqual(far.code, "expired")
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["expired"])

    def test_nobody_answers(self) -> None:
        """Where nobody answers the person is told once, and nothing goes on by itself."""
        self.world.silent.add(("10.0.0.66", 6666))
        for host in ("10.0.0.55", "10.0.0.66"):
            self.alice.events.clear()
            self.alice.do(api.Connect(who=host))
            self.world.wait(60)
            [ended] = self.alice.told(api.Ended)
            self.assertEqual((ended.person, ended.address), (None, f"{host}:6666"))
        self.assertEqual(len(self.alice.dialler.dialled), 2)

    def test_whom_the_person_knows(self) -> None:
        """Somebody for whom consent stands needs no confirmation, and is dialled again when the link breaks."""
        self.alice.knows(self.bob)
        self.alice.do(api.Connect(who=self.bob.address))
        self.assertEqual(self.alice.told(api.Answered), [])
        self.assert_asked(1)
        self.come_back()
        self.assert_asked(2)

    def test_lost_before_consent(self) -> None:
        """So is somebody who was confirmed."""
        self.alice.do(api.Connect(who=self.bob.address))
        self.alice.do(api.Confirm(who="bob"))
        self.assert_asked(1)
        self.come_back()
        self.assert_asked(2)
        self.bob.do(api.Accept(who="alice"))
        self.assert_open()

    def test_whom_one_chats_with(self) -> None:
        """Where somebody answers with whom a chat is open, that is said, and one link is left."""
        self.alice.knows(self.bob)
        self.alice.do(api.Connect(who="bob"))
        self.alice.dials(self.bob)
        self.world.settle()
        self.bob.do(api.Accept(who="alice"))
        self.assert_open()
        self.alice.events.clear()
        self.alice.do(api.Connect(who=self.bob.address))
        self.world.wait(10)
        self.assertEqual([(event.person.name, event.again) for event in self.alice.told(api.Opened)], [("bob", False)])
        self.assertEqual(self.alice.told(api.Asking, api.Ended), [])
        self.assertEqual(len(self.alice.peer.links.all()), 1)

    def test_two_addresses_of_one(self) -> None:
        """Who answers at two addresses is confirmed once, and one link is used."""
        self.world.listeners["10.0.0.22", 6666] = self.world.listeners[self.bob.host, 6666]
        for host in (self.bob.host, "10.0.0.22"):
            self.alice.do(api.Connect(who=host))
        self.alice.do(api.Confirm(who="bob"))
        self.bob.do(api.Accept(who="alice"))
        self.assert_open()
        self.world.wait(10)
        self.assertEqual(len(self.alice.peer.links.all()), 1)

    def test_blocked(self) -> None:
        """Somebody who is blocked is not let in by way of an address."""
        self.alice.knows(self.bob)
        self.alice.do(api.Block(who="bob"))
        self.alice.do(api.Connect(who=self.bob.address))
        self.assertEqual(len(self.alice.told(api.Ended)), 1)
        self.assert_asked(0)

    def test_stop_during_the_handshake(self) -> None:
        """A dial that is under way when the peer stops leaves nothing behind, and nothing is told of it."""
        self.world.silent.add(("10.0.0.66", 6666))
        self.alice.do(api.Connect(who="10.0.0.66"))
        self.alice.run(self.alice.commands.execute(api.Connect(who=self.bob.address)))
        self.world.clock.advance(0)
        self.alice.events.clear()
        self.alice.stop()
        self.world.settle()
        self.assertEqual(self.alice.events, [])
        self.assertEqual(self.alice.sweep.connections, frozenset())


class DowngradeTests(ConsentTests):
    def setUp(self) -> None:
        super().setUp()
        self.hybrid = True
        authenticate = connection.authenticate  # type: ignore[attr-defined]

        def as_said(transport: Any) -> Any:
            authenticated = authenticate(transport)
            alice = authenticated.key == self.alice.identity.key
            return replace(authenticated, group="X25519") if alice and not self.hybrid else authenticated

        self.patch(connection, "authenticate", as_said)

    def test_refused_unless_allowed(self) -> None:
        """Who had post-quantum key agreement is refused without it, before hello, until the person allows it."""
        self.open(api.Accept(who="alice", scope="always"))
        self.assertEqual(self.bob.peer.people.person(self.alice.id).group, "X25519MLKEM768")
        self.hybrid = False
        self.come_back()
        self.assertIsNone(self.bob.link_with(self.alice))
        [problem] = self.bob.told(api.Problem)
        self.assertIn("/trust alice --classical", problem.text)
        self.bob.do(api.Trust(who="alice", classical=True))
        self.world.wait(60)
        self.assert_open()
        self.assertEqual(self.bob.peer.people.person(self.alice.id).group, "X25519")

    def test_first_contact_without(self) -> None:
        """On first contact plain X25519 is allowed, and shown."""
        self.hybrid = False
        self.open()
        self.assertEqual(self.bob.told(api.Opened)[0].person.group, "X25519")
        self.hybrid = True
        self.come_back()
        self.assert_open()

    def test_told_rarely(self) -> None:
        """However often somebody comes without it, the person is not told more than once in ten minutes."""
        self.open(api.Accept(who="alice", scope="always"))
        self.hybrid = False
        self.world.drop(self.alice, self.bob)
        for _ in range(50):
            Stranger(self.world, "alice").dial(self.bob)
        self.assertEqual(len(self.bob.told(api.Problem)), 1)


class LimitTests(ConsentTests):
    def asks(self, name: str, host: str) -> Stranger:
        stranger = Stranger(self.world, name, host).dial(self.bob)
        if not stranger.endings:
            stranger.say(Ask(text=name))
        return stranger

    def test_twenty_in_all(self) -> None:
        """Twenty requests wait at a time; one more is refused, and has room when another is answered."""
        for number in range(MAX_REQUESTS):
            self.asks(f"number {number}", f"10.2.0.{number}")
        self.assert_asked(MAX_REQUESTS)
        self.assertEqual(self.asks("too many", "10.2.0.99").code, "rejected")
        self.assert_asked(MAX_REQUESTS)
        self.bob.do(api.Reject(who=format_id(identity_of("number 7").id)))
        self.assertIsNone(self.asks("room again", "10.2.0.99").code)
        self.assert_asked(MAX_REQUESTS + 1)

    def test_three_of_an_address(self) -> None:
        """Three requests wait from one address; others have room."""
        for number in range(MAX_REQUESTS_PER_ADDRESS):
            self.assertIsNone(self.asks(f"number {number}", "10.2.0.1").code)
        self.assertEqual(self.asks("too many", "10.2.0.1").code, "rejected")
        self.assertIsNone(self.asks("another", "10.2.0.2").code)

    def test_one_of_an_id(self) -> None:
        """However many links somebody opens, the person is asked once."""
        links = [self.asks("one", "10.2.0.1") for _ in range(4)]
        self.assert_asked(1)
        self.assertEqual(len(self.bob.peer.links.requests), 1)
        self.bob.do(api.Reject(who="stranger"))
        self.assertEqual([link.code for link in links], ["rejected"] * 4)
        self.assertEqual(links[0].of(Reject)[0].code, "rejected")

    def test_ask_twice(self) -> None:
        """A second `ask` on a link breaks a rule."""
        stranger = self.asks("one", "10.2.0.1")
        stranger.connection.transport.write(encode_frame(encode(Ask(text="again"))))
        self.world.settle()
        self.assertEqual([bye.code for bye in stranger.of(Bye)], ["unexpected"])

    def test_A5_asking_and_leaving(self) -> None:
        """Who asks and hangs up, again and again, is shown three times in two minutes, under however many keys."""
        for number in range(30):
            self.asks(f"key {number}", "10.2.0.1").hang_up()
        self.assert_asked(MAX_REQUESTS_PER_ADDRESS)
        for number in range(60):
            self.asks(f"other key {number}", f"10.2.1.{number}").hang_up()
        self.assert_asked(MAX_REQUESTS)
        self.world.wait(REQUEST_LASTS + 1)
        self.asks("later", "10.2.0.1")
        self.assert_asked(MAX_REQUESTS + 1)

    def test_A5_contacts_have_room(self) -> None:
        """However many strangers wait, a contact is let in."""
        self.bob.knows(self.alice)
        for number in range(MAX_REQUESTS + 3):
            self.asks(f"number {number}", f"10.2.0.{number}")
        self.asking()
        self.assert_open()

    def test_A5_silent_strangers_take_places(self) -> None:
        """Strangers who ask nothing count as well: they hold no more links than those who ask."""
        silent = [Stranger(self.world, f"number {number}", "10.2.0.1").dial(self.bob) for number in range(10)]
        self.assertEqual(sum(stranger.code is None for stranger in silent), MAX_REQUESTS_PER_ADDRESS)

    def test_A4_coming_and_going(self) -> None:
        """A contact that comes and goes without end is let in once a second in the long run, and told why."""
        self.bob.knows(self.alice)
        self.alice.stop()
        links = []
        for _ in range(60):
            links.append(Stranger(self.world, "alice").dial(self.bob))
            links[-1].hang_up()
        refused = [link for link in links if link.of(Bye)]
        self.assertGreater(len(refused), 30)
        self.assertEqual({bye.code for link in refused for bye in link.of(Bye)}, {"rate"})
        self.world.wait(5)
        self.assertEqual(Stranger(self.world, "alice").dial(self.bob).of(Bye), [])

    def test_three_of_a_network(self) -> None:
        """IPv6 addresses of one network count as one: whoever has one of them has all."""
        for number in range(MAX_REQUESTS_PER_ADDRESS):
            self.assertIsNone(self.asks(f"number {number}", f"2001:db8::{number + 1:x}").code)
        self.assertEqual(self.asks("too many", "2001:db8::ffff").code, "rejected")
        self.assertIsNone(self.asks("another", "2001:db8:0:1::1").code)

    def test_many_who_are_answered(self) -> None:
        """Requests that the person answered leave their place at once: peers on one host may come one by one."""
        for number in range(8):
            stranger = self.asks(f"number {number}", "10.2.0.1")
            self.bob.do(api.Reject(who="stranger"))
            self.assertEqual(len(stranger.of(Reject)), 1)
        self.assert_asked(8)


class StopTests(WorldTests):
    def test_stop_in_every_state(self) -> None:
        """Stopping while links are in every state tells them `leaving`, and leaves nothing behind."""
        node: Node = self.world.node("alice")
        states = [Stranger(self.world, f"number {number}", f"10.3.0.{number}") for number in range(3)]
        for stranger in states:
            stranger.dial(node)
        states[1].say(Ask())
        states[2].say(Ask(), Accept(scope="once"))
        node.do(api.Accept(who=format_id(states[2].identity.id)))
        node.events.clear()
        node.stop()
        self.world.wait(6)
        self.assertEqual([stranger.code for stranger in states], ["leaving"] * 3)
        self.assertEqual(node.told(api.Ended, api.Silent, api.Opened), [])
        self.assertEqual(node.sweep.connections, frozenset())
