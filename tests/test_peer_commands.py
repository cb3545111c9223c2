"""Every command of the api: what it does at a peer, what it answers, and how it is refused, in one line."""

import os
from collections.abc import Iterable
from pathlib import Path

from twisted.internet.defer import Deferred

from p2pchat import __version__, api
from p2pchat.core.errors import NoSuchContact, UsageError, UserError
from p2pchat.core.identity import format_id, safety_number
from p2pchat.core.messages import MAX_TEXT, Accept, Ask, Listing, RosterPage
from p2pchat.core.records import make_record
from p2pchat.core.roster_view import RosterView
from p2pchat.core.trust import Scope
from p2pchat.peer.commands import Commands
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA
from tests.company import WALL, Node, Stranger, WorldTests, identity_of
from tests.rosters import HOME, SERVER

NOBODY = "nobody"
ID = format_id(identity_of("somebody else").id)


class CommandTests(WorldTests):
    """Base: alice and bob, who know each other by name."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.world.node("alice"), self.world.node("bob")
        self.alice.knows(self.bob)

    def open(self) -> None:
        self.bob.knows(self.alice)
        self.alice.dials(self.bob)
        self.world.settle()
        self.assertIsNotNone(self.alice.link_with(self.bob))

    def roster(self, node: Node, *names: str) -> None:
        """What a server told."""
        view = RosterView(SERVER)
        records = (make_record(identity_of(name), SERVER, name, f"The {name}", HOME, WALL) for name in names)
        view.apply(
            RosterPage(number=1, listings=tuple(Listing(record=each, online=True) for each in records), more=False)
        )
        node.peer.people.rosters[SERVER] = view
        node.peer.people.online_servers.add(SERVER)
        node.peer.people.rosters_changed()


class OrderTests(WorldTests):
    """What is said while a chat is still being read from the disk, as after a start."""

    def test_in_the_order_of_the_calls(self) -> None:
        """Messages are numbered in the order in which they were said, whatever the disk had done when each was said."""
        executor = InlineExecutor()
        database = Database(Path(self.mktemp()), PEER_SCHEMA, executor)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        alice, bob = self.world.node("alice", database=database), self.world.node("bob")
        alice.knows(bob)
        executor.automatic = False
        said: list[Deferred[api.Reply]] = []

        def say(reply: api.Reply | None = None) -> None:
            command = api.Say(who="bob", text=f"{len(said) + 1}")
            said.append(Deferred.fromCoroutine(alice.commands.execute(command)))

        for _ in range(6):
            say()
            executor.commit()
            say()
            executor.deliver()
        said[0].addCallback(say)
        executor.run()
        replies = [self.successResultOf(each) for each in said[1:]]
        numbers = [reply.number for reply in replies if isinstance(reply, api.Accepted)]
        self.assertEqual(numbers, list(range(2, 14)))


class WhoTests(CommandTests):
    def test_nobody(self) -> None:
        """Every command that names somebody refuses a name that nobody has."""
        commands = (
            api.WhoIs(who=NOBODY),
            api.SafetyNumber(who=NOBODY),
            api.Connect(who=NOBODY),
            api.Connect(who=NOBODY, contact_only=True),
            api.Confirm(who=NOBODY),
            api.Say(who=NOBODY, text="hello"),
            api.Accept(who=NOBODY),
            api.Reject(who=NOBODY),
            api.Close(who=NOBODY),
            api.Verify(who=NOBODY),
            api.Trust(who=NOBODY),
            api.Block(who=NOBODY),
            api.Unblock(who=NOBODY),
            api.RemoveContact(who=NOBODY),
            api.Displayed(who=NOBODY, entry=1),
        )
        for command in commands:
            self.assertIn(NOBODY, self.alice.refuse(command, NoSuchContact))

    def test_misspelt_id(self) -> None:
        """An id with a wrong letter is refused as such."""
        wrong = ID[:-1] + ("0" if ID[-1] != "0" else "1")
        for command in (api.WhoIs(who=wrong), api.Connect(who=wrong), api.AddContact(id=wrong)):
            self.alice.refuse(command, UserError)

    def test_who_is(self) -> None:
        """By petname, by id, by handle."""
        self.roster(self.alice, "carol")
        for who in ("bob", "BOB", self.bob.written, "carol"):
            reply = self.alice.do(api.WhoIs(who=who))
            assert isinstance(reply, api.People)
            self.assertEqual(reply.people[0].name, "carol" if who == "carol" else "bob")
        reply = self.alice.do(api.WhoIs(who=ID))
        assert isinstance(reply, api.People)
        self.assertEqual(reply.people[0].standing, "new")


class TellingTests(CommandTests):
    def people(self, command: api.Command) -> Iterable[str]:
        reply = self.alice.do(command)
        assert isinstance(reply, api.People)
        return [person.name for person in reply.people]

    def test_lists(self) -> None:
        """/list shows contacts and who is on a roster, /contacts the contacts."""
        self.roster(self.alice, "carol")
        self.assertEqual(self.people(api.ListPeople()), ["bob", "carol"])
        self.assertEqual(self.people(api.Contacts()), ["bob"])

    def test_lists_who_was_only_met(self) -> None:
        """Somebody with whom a chat is wanted or open is listed, on no roster and no contact though they are."""
        self.alice.do(api.RemoveContact(who="bob"))
        self.assertEqual(self.people(api.ListPeople()), [])
        self.alice.do(api.Connect(who=self.bob.written))
        self.open()
        self.assertEqual(self.people(api.ListPeople()), ["bob"])
        self.assertEqual(self.people(api.Contacts()), [])
        self.alice.do(api.Close(who="bob"))
        self.assertEqual(self.people(api.ListPeople()), [])

    def test_who_am_i(self) -> None:
        """Oneself, with where one listens."""
        reply = self.alice.do(api.WhoAmI())
        assert isinstance(reply, api.Myself)
        self.assertEqual((reply.id, reply.name, reply.listens), (self.alice.written, "alice", ("10.0.0.1:6666",)))

    def test_safety_number(self) -> None:
        """The same 60 digits on both sides; refused while the key is not known."""
        self.assertIn("not known yet", self.alice.refuse(api.SafetyNumber(who="bob"), UserError))
        self.open()
        digits = []
        for one, other in (("alice", "bob"), ("bob", "alice")):
            reply = getattr(self, one).do(api.SafetyNumber(who=other))
            digits.append(reply.digits)
        expected = safety_number(self.alice.identity.key, self.bob.identity.key)
        self.assertEqual(digits, [expected, expected])

    def test_safety_number_from_a_roster(self) -> None:
        """A record holds the key, too."""
        self.roster(self.alice, "carol")
        reply = self.alice.do(api.SafetyNumber(who="carol"))
        assert isinstance(reply, api.Safety)
        self.assertEqual(reply.digits, safety_number(self.alice.identity.key, identity_of("carol").key))

    def test_status(self) -> None:
        """The process, and its chats."""
        self.open()
        reply = self.alice.do(api.Status())
        assert isinstance(reply, api.PeerStatus)
        self.assertEqual((reply.pid, reply.version), (os.getpid(), __version__))
        self.assertEqual([(person.name, person.chat) for person in reply.chats], [("bob", "open")])

    def test_status_with_requests(self) -> None:
        """Who waits for an answer stands in it too, with what was asked, for a terminal that comes later."""
        self.alice.dials(self.bob, text="about the grant")
        self.world.settle()
        reply = self.bob.do(api.Status())
        assert isinstance(reply, api.PeerStatus)
        [told], [request] = self.bob.told(api.Asked), reply.requests
        self.assertEqual(
            (request.kind, request.person.id, request.text, request.address),
            ("asked", self.alice.written, told.text, told.address),
        )
        Stranger(self.world, "far", "10.0.0.9").listen()
        self.alice.do(api.Connect(who="10.0.0.9"))
        self.world.settle()
        reply = self.alice.do(api.Status())
        assert isinstance(reply, api.PeerStatus)
        [answered], [request] = self.alice.told(api.Answered), reply.requests
        self.assertEqual(
            (request.kind, request.person.id, request.address), ("answered", answered.person.id, answered.address)
        )

    def test_stop(self) -> None:
        """Stop asks the process to end."""
        asked = []
        commands = Commands(
            self.alice.peer, lambda: asked.append(True), lambda: 0.0, self.alice.notifying, self.alice.examination
        )
        self.assertEqual(self.alice.run(commands.execute(api.Stop())), api.Done())
        self.assertEqual(asked, [True])


class ChatTests(CommandTests):
    def test_connect_by_name(self) -> None:
        """A wish for a chat starts a search, and asks for nothing else."""
        reply = self.alice.do(api.Connect(who="bob"))
        assert isinstance(reply, api.Started)
        assert reply.person is not None
        self.assertEqual((reply.person.name, reply.person.chat), ("bob", "asking"))
        self.assertIs(self.alice.peer.people.consent(self.bob.id), Scope.ALWAYS)

    def test_connect_by_id(self) -> None:
        """A whole id is enough to search for somebody; the consent is `once`."""
        self.alice.do(api.Connect(who=ID, contact_only=True))
        self.assertIs(self.alice.peer.people.consent(identity_of("somebody else").id), Scope.ONCE)

    def test_connect_to_oneself(self) -> None:
        """Oneself is nobody to chat with."""
        self.assertIn("yourself", self.alice.refuse(api.Connect(who=self.alice.written), UserError))

    def test_connect_to_a_stranger_as_contact(self) -> None:
        """With contact_only a handle is not enough."""
        self.roster(self.alice, "carol")
        self.alice.refuse(api.Connect(who="carol", contact_only=True), NoSuchContact)
        self.alice.refuse(api.Connect(who="10.0.0.2", contact_only=True), NoSuchContact)

    def test_connect_to_somebody_blocked(self) -> None:
        """Whoever is blocked must be unblocked first; so it is with messages."""
        self.alice.do(api.Block(who="bob"))
        for command in (api.Connect(who="bob"), api.Say(who="bob", text="x")):
            self.assertIn("/unblock bob", self.alice.refuse(command, UserError))

    def test_connect_with_a_bad_address(self) -> None:
        """What is no address is told in one line."""
        for who in ("10.0.0.2:0", "10.0.0.2:99999", "[::1", "bob.example:port"):
            self.alice.refuse(api.Connect(who=who), UserError)

    def test_connect_while_open(self) -> None:
        """A wish for what is there already changes nothing."""
        self.open()
        dialled = len(self.alice.dialler.dialled)
        self.alice.do(api.Connect(who="bob"))
        self.world.wait(5)
        self.assertEqual(len(self.alice.dialler.dialled), dialled)

    def test_connect_with_a_text_too_late(self) -> None:
        """A line that can go with no request any more is given back, in every state of a chat."""
        far = Stranger(self.world, "far", "10.0.0.9").listen()
        self.alice.do(api.Connect(who="10.0.0.9", text="first"))
        self.alice.do(api.Confirm(who="stranger"))
        self.assertEqual(self.unsaid("stranger"), "more")
        self.assertEqual([ask.text for ask in far.of(Ask)], ["first"])
        self.assertEqual(self.unsaid("bob"), "")
        self.open()
        self.assertEqual(self.unsaid("bob"), "more")
        self.world.drop(self.alice, self.bob)
        self.assertEqual(self.unsaid("bob"), "more")

    def test_connect_with_a_text_to_who_asks(self) -> None:
        """Whoever asks needs no request: the chat opens, and the line is given back."""
        asker = Stranger(self.world, "asker", "10.0.0.8")
        asker.dial(self.alice)
        asker.say(Ask(text="please"))
        self.assertEqual(self.unsaid("stranger"), "more")

    def unsaid(self, who: str) -> str:
        """What comes back of a line for somebody whom alice connects to."""
        reply = self.alice.do(api.Connect(who=who, text="more"))
        assert isinstance(reply, api.Started)
        return reply.unsaid

    def test_connect_with_a_text_before_anybody_was_asked(self) -> None:
        """While nobody is reached the last line given is the one that goes."""
        far = Stranger(self.world, "far", "10.0.0.9")
        who = format_id(far.identity.id)
        self.alice.do(api.Connect(who=who, text="first"))
        self.alice.do(api.Connect(who=who, text="second"))
        talk = self.alice.peer.talk(far.identity.id)
        assert talk is not None
        self.assertEqual(talk.text, "second")

    def test_text_of_a_request(self) -> None:
        """The line that goes with a request is one line, of at most 200 characters."""
        far = Stranger(self.world, "far", "10.0.0.9").listen()
        self.alice.do(api.Connect(who="10.0.0.9", text="about\nthe \x1b[31mgrant" + "x" * 400))
        self.alice.do(api.Confirm(who="stranger"))
        [ask] = far.of(Ask)
        self.assertEqual(len(ask.text), 200)
        self.assertNotIn("\n", ask.text)
        self.assertNotIn("\x1b", ask.text)

    def test_say(self) -> None:
        """A message is numbered when it is on the disk, and waits for a contact who is not there."""
        for number in (1, 2):
            reply = self.alice.do(api.Say(who="bob", text="hello"))
            assert isinstance(reply, api.Accepted)
            self.assertEqual((reply.author, reply.number), ("alice", number))
        self.open()
        self.assertEqual(self.bob.texts(), ["hello", "hello"])

    def test_say_all(self) -> None:
        """Messages of one command are numbered without a gap, and answered with the first number and the last."""
        self.alice.do(api.Say(who="bob", text="zero"))
        for first, texts in ((2, ("one", "two", "two")), (5, ("three",))):
            reply = self.alice.do(api.SayAll(who="bob", texts=texts))
            assert isinstance(reply, api.AllAccepted)
            self.assertEqual((reply.author, reply.first, reply.last), ("alice", first, first + len(texts) - 1))
        self.open()
        self.assertEqual(self.bob.texts(), ["zero", "one", "two", "two", "three"])

    def test_say_all_or_nothing(self) -> None:
        """If one message of a command cannot be taken, none is."""
        most = api.MOST_SAID
        for texts, why in (
            ((), "0 messages at once"),
            (("x",) * (most + 1), "at once"),
            (("x", "x" * (MAX_TEXT + 1)), "too long"),
            (("x", "\ud800"), "no text"),
            (("\ud83d", "\ude00"), "no text"),
        ):
            self.assertIn(why, self.alice.refuse(api.SayAll(who="bob", texts=texts), UsageError))
        self.assertIn("/connect ", self.alice.refuse(api.SayAll(who=ID, texts=("x",)), UserError))
        self.assertEqual(self.alice.told(api.Queued), [])
        self.alice.do(api.SayAll(who="bob", texts=("x",) * most))
        self.assertEqual(len(self.alice.told(api.Queued)), most)

    def test_say_to_a_stranger(self) -> None:
        """Nothing is said to somebody whom nobody asked."""
        self.roster(self.alice, "carol")
        self.assertIn("/connect carol", self.alice.refuse(api.Say(who="carol", text="x"), UserError))

    def test_say_by_id_to_a_contact(self) -> None:
        """What a front end asked for by id is refused under the name that a person knows."""
        self.alice.do(api.AddContact(id=ID, name="carol"))
        self.alice.do(api.Block(who="carol"))
        for command in (api.Say(who=ID, text="x"), api.Connect(who=ID)):
            self.assertIn("/unblock carol", self.alice.refuse(command, UserError))
        self.alice.do(api.Unblock(who="carol"))
        self.alice.do(api.RemoveContact(who="carol"))
        self.assertIn("/connect ", self.alice.refuse(api.Say(who=ID, text="x"), UserError))

    def test_say_to_oneself(self) -> None:
        """Nobody has a chat with themselves: what is said there could never be delivered."""
        for command in (
            api.Say(who=format_id(self.alice.id), text="x"),
            api.SayAll(who=format_id(self.alice.id), texts=("x",)),
        ):
            self.assertIn("that is yourself", self.alice.refuse(command, UserError))

    def test_say_to_somebody_who_asks(self) -> None:
        """Whoever asks and has no answer yet is answered first."""
        far = Stranger(self.world, "far").dial(self.alice)
        far.say(Ask())
        for who in ("stranger", format_id(identity_of("far").id)):
            self.assertIn(
                "wants to chat and waits for /accept", self.alice.refuse(api.Say(who=who, text="x"), UserError)
            )

    def test_say_too_much(self) -> None:
        """A message that does not fit, in bytes, is refused before anything is stored."""
        self.alice.do(api.Say(who="bob", text="x" * MAX_TEXT))
        for text in ("x" * (MAX_TEXT + 1), "é" * (MAX_TEXT // 2 + 1)):
            self.assertIn("too long", self.alice.refuse(api.Say(who="bob", text=text), UsageError))
        self.alice.refuse(api.Say(who="bob", text="\ud800"), UserError)
        self.assertEqual(len(self.alice.told(api.Queued)), 1)

    def test_displayed(self) -> None:
        """What was displayed is told as seen; for a chat that is not there nothing happens."""
        self.assertEqual(self.alice.do(api.Displayed(who="bob", entry=1)), api.Done())
        self.open()
        self.alice.do(api.Say(who="bob", text="look"))
        [said] = self.bob.told(api.Said)
        self.bob.do(api.Displayed(who="alice", entry=said.entry))
        self.assertEqual([event.numbers for event in self.alice.told(api.Seen)], [(1,)])

    def test_close(self) -> None:
        """Close ends a chat, or the search for somebody, and is harmless where there is none."""
        self.assertEqual(self.alice.do(api.Close(who="bob")), api.Done())
        self.assertEqual(self.alice.told(api.Ended), [])
        self.alice.do(api.Connect(who="bob"))
        self.alice.do(api.Close(who="bob"))
        self.assertEqual([event.reason for event in self.alice.told(api.Ended)], ["closed"])
        self.world.wait(60)
        self.assertEqual(self.alice.dialler.dialled, [])

    def test_accept_scopes(self) -> None:
        """A scope that there is not, and a time that is none, are refused; the request waits on."""
        Stranger(self.world, "far").dial(self.alice).say(Ask())
        for scope, seconds in (("never", None), ("timed", None), ("timed", 0), ("timed", -5), ("timed", 10**15)):
            self.alice.refuse(api.Accept(who="stranger", scope=scope, seconds=seconds), UsageError)
        reply = self.alice.do(api.Accept(who="stranger", scope="timed", seconds=60))
        self.assertIsInstance(reply, api.Started)
        self.assertIs(self.alice.peer.people.consent(identity_of("far").id), Scope.TIMED)

    def test_accept_tells_the_scope(self) -> None:
        """The other side is told what it was given, and for how long."""
        far = Stranger(self.world, "far").dial(self.alice)
        far.say(Ask())
        self.alice.do(api.Accept(who="stranger", scope="timed", seconds=60))
        self.assertEqual(far.of(Accept), [Accept(scope="timed", seconds=60)])


class ContactTests(CommandTests):
    def test_add(self) -> None:
        """A contact is added by id, under a name or what is known; requests of contacts are accepted."""
        self.roster(self.alice, "carol")
        for command, name in (
            (api.AddContact(id=format_id(identity_of("carol").id)), "carol"),
            (api.AddContact(id=ID, name="Dave"), "Dave"),
        ):
            reply = self.alice.do(command)
            assert isinstance(reply, api.People)
            [person] = reply.people
            self.assertEqual((person.name, person.contact, person.consent), (name, True, "always"))

    def test_bad_names(self) -> None:
        """A name that could be taken for something else is refused."""
        for name in ("/quit", "@bob", 'a"b', ID, "a\nb", "x\u202ey"):
            self.alice.refuse(api.AddContact(id=ID, name=name), UserError)
        self.assertIn("own id", self.alice.refuse(api.AddContact(id=self.alice.written), UserError))

    def test_remove(self) -> None:
        """Who was removed is a contact no longer; twice is once too often."""
        self.alice.do(api.RemoveContact(who="bob"))
        self.assertEqual(self.alice.peer.people.contacts(), [])
        self.alice.refuse(api.RemoveContact(who="bob"), NoSuchContact)

    def test_verify(self) -> None:
        """Digits were compared; that can be taken back."""
        for verified, standing in ((True, "verified"), (False, "known")):
            self.alice.do(api.Verify(who="bob", verified=verified))
            self.assertEqual(self.alice.peer.people.person(self.bob.id).standing, standing)

    def test_trust(self) -> None:
        """Trust keeps somebody; classical key agreement is allowed where that is said, and stays so."""
        self.roster(self.alice, "carol")
        carol = identity_of("carol").id
        self.alice.do(api.Trust(who="carol"))
        self.assertTrue(self.alice.peer.people.person(carol).contact)
        self.assertFalse(self.alice.peer.people.facts(carol).classical_allowed)
        self.alice.do(api.Trust(who="carol", classical=True))
        self.alice.do(api.Trust(who="carol"))
        self.assertTrue(self.alice.peer.people.facts(carol).classical_allowed)

    def test_block_and_unblock(self) -> None:
        """Blocked is blocked until it is taken back; the consent that stood does not come back with it."""
        self.alice.do(api.Block(who="bob"))
        self.assertEqual(self.alice.peer.people.person(self.bob.id).standing, "blocked")
        self.alice.do(api.Unblock(who="bob"))
        self.assertEqual(self.alice.peer.people.person(self.bob.id).standing, "known")
        self.assertIsNone(self.alice.peer.people.consent(self.bob.id))

    def test_block_by_a_word_that_means_a_contact(self) -> None:
        """Petnames come first for commands, too: a stranger who waits does not stand before a contact."""
        self.alice.do(api.AddContact(id=ID, name="stranger"))
        far = Stranger(self.world, "far").dial(self.alice)
        far.say(Ask())
        self.alice.do(api.Block(who="stranger"))
        self.assertIsNone(far.code)
        self.assertTrue(self.alice.peer.people.facts(identity_of("somebody else").id).blocked)
