"""p2pchat.ui.console: from a typed line to its effect, from an event to the screen."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.core.errors import NoSuchContact, StoreUnsure, UserError
from p2pchat.core.text import CUT, split_message
from p2pchat.ui.console import Console
from p2pchat.ui.drawing import draw
from p2pchat.ui.outgoing import MOST_WAITING
from p2pchat.ui.receipts import GATHER, LATE
from p2pchat.ui.words import short_id
from tests.consoles import at_once
from tests.fake_api import ALICE, BOB, CAROL, OWN_ID, FakeApi, person


class FakeScreen:
    """Remembers what it was given."""

    def __init__(self):
        self.rows, self.tokens, self.kept = [], [], []

    def show(self, line, token=None):
        self.rows += draw(line)
        if token is not None:
            self.tokens.append(token)

    def prompt_changed(self):
        pass

    def keep(self, text):
        self.kept.append(text)

    def forget(self, person):
        return ""

    def clear(self):
        self.rows.append("cleared")
        return True


class ConsoleTests(SynchronousTestCase):
    """At a prompt."""

    def setUp(self):
        self.api, self.clock, self.screen, self.left = FakeApi(), Clock(), FakeScreen(), []
        self.console = Console(self.api, self.clock, self.screen, lambda: self.left.append(True), at_once)
        self.console.begin()
        self.api.asked.clear()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.console.stop)

    def type(self, *lines):
        for line in lines:
            self.successResultOf(self.console.typed_at_prompt(line, self.console.conversation.current_id))

    def asked(self):
        """What the api was asked, without what is shown of a chat that is opened."""
        asked, self.api.asked[:] = list(self.api.asked), []
        return [command for command in asked if not isinstance(command, api.ShowLines | api.ShowUnseen)]

    def test_comes_later(self):
        """A screen with a bar that comes while chats are open has them under their numbers, with what nobody saw."""
        self.api.unseen = [api.UnseenChat(person=BOB, count=2, entry=7)]
        later = Console(self.api, self.clock, self.screen, lambda: None, at_once, has_bar=True)
        self.addCleanup(later.stop)
        later.begin()
        self.assertEqual(self.screen.rows, ["-- not seen yet: bob 2; /msg bob shows it"])
        self.assertEqual(later.overview.facts(None), {"unread": "unread: bob 2"})
        later.go_to(1)
        self.assertEqual(later.conversation.current_id, BOB.id)
        self.assertEqual(later.overview.facts(None), {})

    def test_connect_and_talk(self):
        """/connect makes the chat the current one, and lines go there."""
        self.type("/connect bob about it", "hello")
        self.assertEqual(self.asked(), [api.Connect(who="bob", text="about it"), api.Say(who=BOB.id, text="hello")])
        self.assertIn("alice#1: hello", self.screen.rows)

    def test_notifications(self):
        """/dnd and /notify change what is told, and say what was changed; alone they say all of it."""
        self.type("/dnd 2h", "/notify bob none", "/notify")
        self.assertEqual(
            self.asked(),
            [
                api.SetNotifications(dnd=True, seconds=7_200),
                api.SetNotifications(who="bob", told=False),
                api.ShowNotifications(),
            ],
        )
        self.assertEqual(self.screen.rows[:2], ["-- do not disturb: on", "-- nothing is told of: bob"])
        self.assertEqual(len(self.screen.rows), 9)

    def test_no_chat(self):
        """A line without a current chat is refused, kept, and sent to nobody, even if a chat is open."""
        self.api.tell(api.Opened(person=BOB, again=False))
        self.type("hello")
        self.assertEqual((self.asked(), self.screen.kept), ([], ["hello"]))
        self.assertIn("/connect NAME", self.screen.rows[-1])

    def test_mistyped_command(self):
        """A mistyped command is not kept in the way, and sent to nobody."""
        self.type("/msg bob", "/qiut")
        self.assertEqual(self.asked(), [api.WhoIs(who="bob")])
        self.assertIn("did you mean /quit?", self.screen.rows[-1])

    def test_nothing_that_arrives_redirects(self):
        """While I write to bob, requests, messages and new chats change nothing about whom I write to."""
        self.type("/msg bob")
        self.api.tell(
            api.Asked(person=ALICE, text="", address="x"),
            api.Opened(person=CAROL, again=False),
            api.Said(person=CAROL, number=1, text="/msg carol", kind="text", at=0, entry=1),
            api.Ended(person=BOB, address="", reason="closed"),
        )
        self.type("for bob")
        self.assertEqual(self.asked()[-1], api.Say(who=BOB.id, text="for bob"))

    def test_prompt_that_named_another_chat(self):
        """A line goes to the chat that the prompt named when it was typed, or to nobody."""
        self.type("/msg bob")
        self.asked()
        self.successResultOf(self.console.typed_at_prompt("secret", CAROL.id))
        self.assertEqual((self.asked(), self.screen.kept), ([], ["secret"]))

    def test_lines_wait_for_a_switch(self):
        """A line behind a command that changes the chat waits until that is done."""
        answer = Deferred()
        self.api.execute, execute = lambda command: answer, self.api.execute
        self.console.typed("/msg carol")
        done = self.console.typed("for carol")
        self.assertNoResult(done)
        self.api.execute = execute
        answer.callback(api.People(people=(person("carol", id=CAROL.id, chat="open"),)))
        self.successResultOf(done)
        self.assertEqual(self.asked(), [api.Say(who=CAROL.id, text="for carol")])

    def test_failed_switch_in_a_pipe(self):
        """In a pipe, what follows a switch that failed goes to nobody."""
        for line in ("/msg bob", "/msg nobody", "secret"):
            self.successResultOf(self.console.typed(line))
        self.assertEqual(self.api.said(), [])

    def test_switch_needs_a_chat(self):
        """/msg NAME does not make a chat that does not exist the current one, unless it is with a contact."""
        self.type("/msg alice")
        self.assertIn("/connect alice", self.screen.rows[-1])
        self.assertIsNone(self.console.conversation.current_id)
        self.type("/msg carol", "for carol")
        self.assertEqual(self.asked()[-1], api.Say(who=CAROL.id, text="for carol"))

    def test_at(self):
        """@NAME TEXT goes there and changes no current chat."""
        self.type("/msg bob", "@carol hi", "@bob")
        self.assertEqual(self.api.said(), ["hi"])
        self.assertEqual(self.console.conversation.current_id, BOB.id)

    def test_accept(self):
        """/accept takes the request, and its chat becomes the current one if there was none."""
        self.api.tell(api.Asked(person=ALICE, text="hi", address="x"))
        self.console.displayed(self.screen.tokens)
        self.type("/accept")
        self.assertIn("just come", self.screen.rows[-1])
        self.clock.advance(2)
        self.type("/accept 2h")
        accepted = api.Accept(who=ALICE.id, scope="timed", seconds=7200)
        self.assertEqual(self.asked(), [accepted, api.WhoIs(who=ALICE.id)])
        self.assertEqual(self.console.conversation.current_id, ALICE.id)

    def test_accept_beside_another_chat(self):
        """/accept does not take the person away from the chat that they are in."""
        self.type("/msg bob")
        self.api.tell(api.Asked(person=ALICE, text="hi", address="x"))
        self.type("/accept alice", "for bob")
        self.assertEqual(self.asked()[-1], api.Say(who=BOB.id, text="for bob"))
        self.assertTrue(any("you still write to bob" in row for row in self.screen.rows))

    def test_accept_in_the_same_chat(self):
        """Whoever is written to already and accepted is not told about as another chat."""
        self.type("/msg bob")
        self.api.tell(api.Asked(person=BOB, text="hi", address="x"))
        self.type("/accept bob", "for bob")
        self.assertEqual(self.asked()[-1], api.Say(who=BOB.id, text="for bob"))
        self.assertFalse(any("still write" in row for row in self.screen.rows), self.screen.rows)

    def test_answered_at_an_address(self):
        """Whoever answers at an address is confirmed, and then written to."""
        self.type("/connect 10.0.0.9")
        self.assertIsNone(self.console.conversation.current_id)
        self.api.tell(api.Answered(person=BOB, address="10.0.0.9:6666"))
        self.assertIn(short_id(BOB.id), self.screen.rows[-1])
        self.type("/accept bob")
        self.assertEqual(self.asked()[-2:], [api.Confirm(who=BOB.id), api.WhoIs(who=BOB.id)])
        self.assertEqual(self.console.conversation.current_id, BOB.id)

    def test_reject(self):
        """/reject says no."""
        self.api.tell(api.Asked(person=ALICE, text="hi", address="x"))
        self.type("/reject alice")
        self.assertEqual(self.asked(), [api.Reject(who=ALICE.id)])
        self.assertEqual(self.screen.rows[-1], "-- alice was rejected")

    def test_close(self):
        """/close ends the current chat, and lines go nowhere after."""
        self.type("/msg bob", "/close", "secret")
        self.assertEqual(self.asked()[-1], api.Close(who=BOB.id))
        self.assertEqual(self.screen.kept, ["secret"])

    def test_other_commands(self):
        """Every other command reaches the api, and its reply the screen."""
        for line, command, words in (
            ("/list", api.ListPeople(), "10.0.0.9"),
            ("/whoami", api.WhoAmI(), OWN_ID),
            ("/whois carol", api.WhoIs(who="carol"), CAROL.id),
            ("/fingerprint bob", api.WhoIs(who="bob"), BOB.id),
            ("/verify bob", api.SafetyNumber(who="bob"), "/verify bob yes"),
            ("/verify bob yes", api.Verify(who="bob"), "bob is verified"),
            ("/trust bob", api.Trust(who="bob"), "bob is a contact"),
            ("/block bob", api.Block(who="bob"), "bob is blocked"),
            ("/unblock bob", api.Unblock(who="bob"), "not blocked"),
            ("/contacts", api.Contacts(), "carol"),
            ("/status", api.Status(), "pid 1"),
        ):
            self.screen.rows.clear()
            self.type(line)
            self.assertEqual(self.asked()[:1], [command])
            self.assertIn(words, "\n".join(self.screen.rows))

    def test_doctor(self):
        """/doctor says that it looks, and the person goes on meanwhile; what was found comes when it is there."""
        self.api.examined = Deferred()
        self.type("/doctor", "/msg bob", "meanwhile")
        self.assertEqual(self.asked()[0], api.Examine())
        self.assertIn("looking at", "\n".join(self.screen.rows))
        self.assertIn("alice#1: meanwhile", self.screen.rows)
        finding = api.Finding(
            check="reach", state="failed", text="nobody\x1b[2J answers", fix="sudo ufw allow 6666/tcp"
        )
        self.api.examined.callback(api.Findings(findings=(finding,)))
        self.assertEqual(self.screen.rows[-2].split()[:2], ["--", "FAILED"])
        self.assertNotIn("\x1b", self.screen.rows[-2])
        self.assertIn("fix: sudo ufw allow 6666/tcp", self.screen.rows[-1])

    def test_doctor_that_fails(self):
        """A doctor that cannot look says so; a bug is logged."""
        self.api.examined = Deferred()
        self.type("/doctor")
        self.api.examined.errback(UserError("the peer ends"))
        self.assertIn("the peer ends", self.screen.rows[-1])
        self.api.examined = Deferred()
        self.type("/doctor")
        self.api.examined.errback(ZeroDivisionError())
        self.assertIn("the log says more", self.screen.rows[-1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_paste(self):
        """/paste makes one message of the lines up to a dot, whatever they look like; /cancel drops them."""
        self.type("/msg bob", "/paste", "one", "", "  /quit", "@carol three", ".")
        self.assertEqual(self.api.said(), ["one\n\n  /quit\n@carol three"])
        self.assertEqual(self.left, [])
        self.type("/paste", "secret", "/cancel", "/paste", ".")
        self.assertIn("nothing was sent", self.screen.rows[-1])
        self.assertEqual(len(self.api.said()), 1)

    def test_paste_without_a_chat(self):
        """Without a chat nothing is gathered."""
        self.type("/paste")
        self.assertIn("no chat is the current one", self.screen.rows[-1])
        self.assertIsNone(self.console.conversation.block)

    def test_paste_for_another_chat(self):
        """Lines gathered for one chat are never sent to another; they are given back."""
        self.type("/msg bob", "/paste", "for bob")
        self.api.tell(api.Opened(person=person("carol", id=CAROL.id, chat="open"), again=False))
        self.console.go_by(1)
        self.type(".")
        self.assertEqual((self.api.said(), self.screen.kept), ([], ["for bob"]))

    def test_numbers_of_chats(self):
        """A key changes to the chat with its number, or to the next; where there is none, that is said."""
        self.api.tell(api.Ended(person=person("bob", id=BOB.id), address="", reason="closed"))
        self.console.go_by(1)
        self.assertIn("there is no chat", self.screen.rows[-1])
        carol = person("carol", id=CAROL.id, chat="open")
        self.api.tell(api.Opened(person=BOB, again=False), api.Opened(person=carol, again=False))
        for go, argument, current in (
            (self.console.go_to, 2, CAROL.id),
            (self.console.go_to, 1, BOB.id),
            (self.console.go_by, -1, CAROL.id),
            (self.console.go_by, 1, BOB.id),
        ):
            go(argument)
            self.assertEqual(self.console.conversation.current_id, current)
        self.console.go_to(7)
        self.assertIn("no chat has the number 7", self.screen.rows[-1])
        self.assertEqual(self.console.conversation.current_id, BOB.id)

    def test_receipts_of_before(self):
        """A terminal that comes later knows from the store how far the other side had come."""
        screen = FakeScreen()
        console = Console(self.api, self.clock, screen, lambda: None, at_once, has_bar=True)
        self.addCleanup(console.stop)
        line = {"person": BOB, "author": "alice", "text": "", "kind": "text", "at": 0, "arrived": 0, "mine": True}
        self.api.lines = [
            api.StoredLine(entry=n, number=n, state="seen" if n < 3 else "queued", **line) for n in (1, 2, 3)
        ]
        self.successResultOf(console.typed_at_prompt("/msg bob", None))
        self.assertEqual(console.overview.facts(console.conversation.current)["receipts"], "bob: delivered #2, seen #2")

    def test_verified(self):
        """That somebody is verified is known to the bar, at whatever terminal that was said."""
        self.type("/msg bob")
        self.type("/verify yes")
        self.assertIn("-- bob is verified", self.screen.rows)
        rows = len(self.screen.rows)
        self.api.tell(api.ContactChanged(person=person("bob", id=BOB.id, chat="open", standing="verified")))
        self.assertEqual(len(self.screen.rows), rows)
        self.assertEqual(self.console.conversation.current.standing, "verified")
        self.type("/status")
        self.assertIn("-- bob: verified", self.screen.rows)

    def test_left_out_events(self):
        """Where a terminal fell behind, that is said, nothing counts as seen, and the chat is shown anew."""
        self.type("/msg bob")
        self.api.tell(api.Said(person=BOB, number=1, text="one", kind="text", at=0, entry=7))
        self.api.asked.clear()
        self.api.tell(api.Missed(count=12))
        self.assertIn("12 events were left out here", "\n".join(self.screen.rows))
        self.assertIn(api.ShowLines, map(type, self.api.asked))

    def test_left_out_requests_and_receipts(self):
        """What was left out may have been a receipt or a request: nothing is said to wait, and who asks is shown."""
        self.type("/msg bob", "one")
        self.api.requests = [api.PendingRequest(kind="asked", person=ALICE, text="hi", address="10.0.0.5")]
        self.api.tell(api.Missed(count=12))
        self.clock.advance(LATE + 1)
        self.assertFalse(any("not delivered yet" in row for row in self.screen.rows), self.screen.rows)
        self.type("/accept alice")
        self.assertEqual(self.api.asked.count(api.Accept(who=ALICE.id, scope="once")), 1)

    def test_requests_from_before(self):
        """Who asked, or answered at an address, before this terminal was there is shown by it, and can be accepted."""
        before = FakeApi()
        before.requests = [
            api.PendingRequest(kind="asked", person=ALICE, text="about the grant", address="10.0.0.5"),
            api.PendingRequest(kind="answered", person=CAROL, address="10.0.0.11:6666"),
        ]
        screen = FakeScreen()
        console = Console(before, self.clock, screen, lambda: None, at_once)
        self.addCleanup(console.stop)
        console.begin()
        rows = "\n".join(screen.rows)
        self.assertIn('wants to chat: "about the grant"', rows)
        self.assertIn("somebody answered: carol", rows)
        before.tell(api.Missed(count=1))
        for line in ("/accept alice", "/accept carol"):
            self.successResultOf(console.typed_at_prompt(line, None))
        self.assertIn(api.Accept(who=ALICE.id, scope="once"), before.asked)
        self.assertIn(api.Confirm(who=CAROL.id), before.asked)

    def test_help_and_quit(self):
        """/help is shown; /quit leaves."""
        self.type("/help", "/q")
        self.assertTrue(any("/connect" in row for row in self.screen.rows))
        self.assertEqual(self.left, [True])

    def test_not_taken(self):
        """A message that was not accepted is said and given back."""
        self.type("/msg bob")
        self.api.refuse[api.Say] = UserError("the disk is full; make room")
        self.type("precious")
        self.assertIn("not sent: the disk is full", self.screen.rows[-1])
        self.assertEqual(self.screen.kept, ["precious"])

    def test_nobody(self):
        """An unknown name is one line."""
        self.type("/connect nobody")
        self.assertIn("nobody is known as nobody", self.screen.rows[-1])

    def test_long_line(self):
        """A line of more than 16 KiB goes in parts, in order."""
        self.type("/msg bob", "x" * 40_000)
        self.assertEqual(len(self.api.said()), 3)
        self.assertTrue(all(len(text.encode()) <= 16_384 for text in self.api.said()))

    def test_long_line_not_taken(self):
        """Of a line that goes in parts all are taken or none is; refused, all of it comes back as one."""
        self.type("/msg bob")
        self.api.refuse[api.SayAll] = UserError("10000 messages wait for them already")
        self.type("x" * 40_000)
        self.assertEqual(self.asked()[-1], api.SayAll(who=BOB.id, texts=tuple(split_message("x" * 40_000))))
        self.assertEqual(self.screen.kept, ["x" * 40_000])
        self.assertEqual(len([row for row in self.screen.rows if "not sent: 10000 messages" in row]), 1)

    def test_longer_than_a_command(self):
        """What one command does not hold goes in several; what is behind a refused one does not go, and comes back."""
        text = "".join(f"line {number}: é\n" for number in range(20_000)).rstrip()
        self.type(f"@bob {text}")
        commands = self.asked()
        self.assertGreater(len(commands), 2)
        self.assertEqual([each for command in commands for each in command.texts], split_message(text))
        self.api.hold = True
        typed = self.console.typed(f"@bob {text}")
        self.assertEqual(self.asked(), commands[:1])
        self.assertNoResult(typed)
        self.api.refuse[api.SayAll] = UserError("10000 messages wait for them already")
        self.api.commit()
        self.assertEqual(self.asked(), commands[1:2])
        self.successResultOf(typed)
        left = "".join(part.strip(CUT) for command in commands[1:] for part in command.texts)
        self.assertEqual(self.screen.kept, [f"@bob {left}"])

    def test_unsure(self):
        """Where nobody knows whether a message is stored, it is not said that it was not sent."""
        self.type("/msg bob")
        self.api.refuse[api.Say] = StoreUnsure("whether it is stored is not known; check the disk")
        self.type("precious")
        self.assertEqual(self.screen.rows[-1], "-- whether it is stored is not known; check the disk")
        self.assertEqual(self.screen.kept, ["precious"])

    def test_bytes_that_are_no_text(self):
        """A terminal's bytes that are no UTF-8 become U+FFFD."""
        self.type("/msg bob", "a\udcffb")
        self.assertEqual(self.api.said(), ["a\ufffdb"])

    def test_back_pressure(self):
        """A pipe that is faster than the disk waits; order is kept."""
        self.api.hold = True
        self.type("/msg bob")
        for number in range(MOST_WAITING + 10):
            last = self.console.typed(str(number))
        self.assertNoResult(last)
        self.assertEqual(len(self.api.said()), MOST_WAITING)
        self.api.commit(20)
        self.successResultOf(last)
        self.api.commit()
        self.assertEqual(self.api.said(), [str(number) for number in range(MOST_WAITING + 10)])

    def test_receipts(self):
        """Receipts come a moment later, in one line."""
        self.type("/msg bob", "a", "b")
        self.api.tell(api.Delivered(person=BOB, numbers=(1,), at=0), api.Delivered(person=BOB, numbers=(2,), at=0))
        self.clock.advance(GATHER)
        self.assertEqual(self.screen.rows[-1], "-- bob: #1 #2 delivered")

    def test_displayed(self):
        """What a person saw of the current chat is told to the api; of others when they turn to it."""
        self.type("/msg bob")
        said = [
            api.Said(person=who, number=1, text="x", kind="text", at=0, entry=n) for n, who in ((3, BOB), (4, CAROL))
        ]
        self.api.tell(*said)
        self.asked()
        self.console.displayed(self.screen.tokens)
        self.assertEqual(self.asked(), [api.Displayed(who=BOB.id, entry=3)])
        self.type("/connect carol")
        self.assertEqual(self.asked()[-1], api.Displayed(who=CAROL.id, entry=4))

    def test_to(self):
        """--to connects at the start, to a contact unless told otherwise; an unknown one is one line."""
        self.console.begin("carol")
        self.assertIn(api.Connect(who="carol", contact_only=True), self.asked())
        self.assertEqual(self.console.conversation.current_id, CAROL.id)
        self.api.refuse[api.Connect] = NoSuchContact("no contact is called dora")
        self.console.begin("dora")
        self.assertEqual(self.screen.rows[-1], "-- no contact is called dora")

    def test_to_whoever_comes(self):
        """A handle that --trust-first names is waited for: the roster comes after the start."""
        self.api.refuse[api.Connect] = NoSuchContact("nobody is called carol here")
        self.console.begin("carol", trust_first=True)
        self.assertEqual(self.screen.rows[-1], "-- waiting for carol to come online")
        self.asked()
        self.api.tell(api.PresenceChanged(person=BOB))
        self.assertEqual(self.asked(), [])
        self.api.refuse.pop(api.Connect)
        self.api.tell(api.PresenceChanged(person=CAROL))
        self.assertIn(api.Connect(who="carol"), self.asked())
        self.assertEqual(self.console.conversation.current_id, CAROL.id)

    def test_bug(self):
        """A bug behind a command is logged and said, and the next line works."""
        self.api.refuse[api.Status] = ZeroDivisionError()
        self.type("/status")
        self.assertIn("the log says more", self.screen.rows[-1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.type("/list")
        self.assertIn("carol", self.screen.rows[-2])

    def test_two_seconds_are_not_asked_of_a_name(self):
        """/accept NAME works at once."""
        self.api.tell(api.Asked(person=ALICE, text="hi", address="x"))
        self.type("/accept alice")
        self.assertEqual(self.asked(), [api.Accept(who=ALICE.id), api.WhoIs(who=ALICE.id)])
