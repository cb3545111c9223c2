"""p2pchat.ui.conversation: the model of the screen, without a screen."""

from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.core.errors import UsageError
from p2pchat.ui.actions import AcceptRequest
from p2pchat.ui.conversation import ON_SCREEN, Conversation, consent, refusal
from p2pchat.ui.words import short_id
from tests.fake_api import ALICE, BOB, CAROL, person


def asked(who=ALICE):
    return api.Asked(person=who, text="", address="10.0.0.5:7777")


def said(who=BOB, entry=1, **fields):
    return api.Said(person=who, number=entry, text="x", kind="text", at=0, entry=entry, **fields)


class CurrentChatTests(SynchronousTestCase):
    """Which chat a line goes to."""

    def test_only_own_commands_change_it(self):
        """Whatever happens, the current chat stays; one's own commands change it."""
        chats = Conversation()
        self.assertEqual((chats.current_id, chats.prompt), (None, "> "))
        events = [
            asked(),
            api.Opened(person=ALICE, again=False),
            said(ALICE),
            api.Ended(person=BOB, address="", reason="closed"),
            api.Silent(person=BOB, seconds=30, waiting=(), total=0),
            api.Answered(person=CAROL, address="x"),
        ]
        for event in events:
            chats.take(event)
        self.assertIsNone(chats.current_id)
        chats.switch(BOB)
        for event in events:
            chats.take(event)
            self.assertEqual((chats.current_id, chats.prompt), (BOB.id, "[bob] > "))
        chats.leave(ALICE.id)
        self.assertEqual(chats.current_id, BOB.id)
        chats.leave(BOB.id)
        self.assertEqual(chats.prompt, "> ")

    def test_prompt_follows_the_name(self):
        """A contact that gets another petname is called by it; the chat stays that id's."""
        chats = Conversation()
        chats.switch(BOB)
        chats.take(said(person("robert", id=BOB.id, contact=True)))
        self.assertEqual((chats.current_id, chats.prompt), (BOB.id, "[robert] > "))

    def test_completion(self):
        """Names of all who were heard of, and of those who wait."""
        chats = Conversation()
        chats.meet(CAROL)
        chats.take(asked())
        self.assertEqual((chats.people, chats.pending), (["alice", "carol"], ["alice"]))


class RequestTests(SynchronousTestCase):
    """/accept and /reject."""

    def setUp(self):
        self.chats = Conversation()
        self.chats.take(asked())

    def refused(self, *arguments, **keywords):
        return str(self.assertRaises(UsageError, self.chats.request_of, *arguments, **keywords))

    def test_the_only_one_after_two_seconds(self):
        """Without a name it works once the only request has been on the screen for two seconds."""
        self.refused(None, 100.0)
        self.chats.request_shown(ALICE.id, 100.0)
        self.assertIn("just come", self.refused(None, 100.0 + ON_SCREEN - 0.01))
        self.assertEqual(self.chats.request_of(None, 100.0 + ON_SCREEN).person, ALICE)

    def test_shown_again_does_not_count(self):
        """The first showing counts."""
        self.chats.request_shown(ALICE.id, 100.0)
        self.chats.request_shown(ALICE.id, 101.9)
        self.assertEqual(self.chats.request_of(None, 102.0).person, ALICE)

    def test_two_pending(self):
        """With two pending a name must be said, however long they have been there."""
        self.chats.take(asked(CAROL))
        for who in (ALICE, CAROL):
            self.chats.request_shown(who.id, 0.0)
        words = self.refused(None, 100.0)
        self.assertIn(short_id(CAROL.id), words)
        self.assertEqual(self.chats.request_of("carol", 100.0).person, CAROL)

    def test_by_name_or_id(self):
        """A name, the whole id or its first 16 characters mean the person, at once."""
        for who in ("alice", ALICE.id, short_id(ALICE.id)):
            self.assertEqual(self.chats.request_of(who, 0.0).person, ALICE)
        for who in ("bob", ALICE.id[:9]):
            self.assertIn("alice", self.refused(who, 0.0))

    def test_gone(self):
        """What expired, opened or was answered is not pending any more."""
        for event in (
            api.AskEnded(person=ALICE, reason="expired"),
            api.Opened(person=ALICE, again=False),
            api.Ended(person=ALICE, address="", reason="closed"),
        ):
            self.chats.take(asked())
            self.chats.take(event)
            self.refused("alice", 0.0)
        self.chats.take(asked())
        self.chats.answered(ALICE.id)
        self.refused("alice", 0.0)

    def test_somebody_called_always(self):
        """`/accept always` is refused while somebody called so waits: it must not give more than was meant."""
        chats = Conversation()
        chats.take(asked(person("always")))
        chats.request_shown(person("always").id, 0.0)
        self.assertIn("write both", str(self.assertRaises(UsageError, chats.request_of, None, 9.0, "always")))

    def test_commands(self):
        """A yes to a request is Accept, to an answer at an address Confirm; a no is Reject, or Close."""
        request = self.chats.request_of("alice", 0.0)
        self.assertEqual(
            consent(request, AcceptRequest(None, "timed", 60)), api.Accept(who=ALICE.id, scope="timed", seconds=60)
        )
        self.assertEqual(refusal(request), api.Reject(who=ALICE.id))
        self.chats.take(api.Answered(person=BOB, address="10.0.0.9"))
        answer = self.chats.request_of("bob", 0.0)
        self.assertEqual(
            (consent(answer, AcceptRequest()), refusal(answer)), (api.Confirm(who=BOB.id), api.Close(who=BOB.id))
        )


class ReadingTests(SynchronousTestCase):
    """What is told to have been read."""

    def setUp(self):
        self.chats = Conversation()
        self.chats.switch(BOB)
        for who in (BOB, CAROL):
            self.chats.shown_whole(who.id, None)

    def test_missed(self):
        """While there may be lines that nobody saw and that are not shown, none counts as read; then all do."""
        chats = Conversation()
        chats.switch(BOB)
        chats.displayed(said(entry=7))
        self.assertIsNone(chats.read())
        chats.shown_whole(BOB.id, 5)
        chats.displayed(said(entry=4))
        self.assertIsNone(chats.read())
        chats.displayed(said(entry=5))
        self.assertEqual(chats.read(), api.Displayed(who=BOB.id, entry=7))

    def test_current_chat(self):
        """What is displayed of the current chat is told, once, up to the last."""
        self.chats.displayed(said(entry=5))
        self.chats.displayed(said(entry=7))
        self.assertEqual(self.chats.read(), api.Displayed(who=BOB.id, entry=7))
        self.assertIsNone(self.chats.read())

    def test_other_chat(self):
        """What is displayed of another chat is told when that becomes the current one."""
        self.chats.displayed(said(CAROL, 5))
        self.assertIsNone(self.chats.read())
        self.chats.switch(CAROL)
        self.assertEqual(self.chats.read_of(CAROL.id), api.Displayed(who=CAROL.id, entry=5))
        self.assertIsNone(self.chats.read_of(CAROL.id))

    def test_not_shown(self):
        """What could not be shown again is not told to have been read, nor what comes after it, until it is shown."""
        self.chats.displayed(said(CAROL, 5))
        self.chats.switch(CAROL)
        self.chats.not_shown(CAROL.id)
        self.chats.displayed(said(CAROL, 6))
        self.assertIsNone(self.chats.read())
        self.chats.shown_again(CAROL.id)
        self.assertEqual(self.chats.read(), api.Displayed(who=CAROL.id, entry=6))

    def test_no_gap(self):
        """After a line that was never displayed, no later one is told."""
        self.chats.displayed(said(entry=5))
        self.chats.missed(said(entry=6))
        self.chats.displayed(said(entry=7))
        self.assertEqual(self.chats.read(), api.Displayed(who=BOB.id, entry=5))

    def test_history(self):
        """What was sent again on request moves nothing."""
        self.chats.displayed(said(entry=5, history=True))
        self.assertIsNone(self.chats.read())
