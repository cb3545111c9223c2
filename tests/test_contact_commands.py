"""What a person decides about others, while the disk is slow or full: what was taken back holds, nothing else does."""

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.api import Command, Reply
from p2pchat.core.errors import StoreFull, UserError
from p2pchat.core.identity import format_id
from p2pchat.core.messages import Accept, Address, Ask
from p2pchat.core.trust import REQUEST_LASTS, Facts, Scope
from p2pchat.peer import people
from p2pchat.storage.database import Database
from p2pchat.storage.executor import InlineExecutor
from p2pchat.storage.peer_tables import PEER_SCHEMA
from tests.company import Node, Stranger, WorldTests
from tests.disks import MemoryDisk


class SlowDiskTests(WorldTests):
    """Base: alice, whose disk waits for the test, and fills up when told; bob knows her."""

    def setUp(self) -> None:
        super().setUp()
        self.executor = InlineExecutor()
        self.disk = MemoryDisk()
        database = Database(Path("/alice.db"), PEER_SCHEMA, self.executor, self.disk.name)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        self.addCleanup(self.work)
        self.alice, self.bob = self.world.node("alice", database=database), self.world.node("bob")
        self.bob.knows(self.alice)

    def stop(self) -> None:
        """The disk does nothing from now on."""
        self.executor.automatic = False

    def work(self) -> None:
        """The disk does what waits, and all that follows from it."""
        self.disk.full = False
        self.executor.run()
        self.world.settle()
        self.executor.run()
        self.executor.automatic = True
        self.world.settle()

    def begin(self, command: Command) -> "Deferred[Reply]":
        """A command whose writes wait."""
        result = Deferred.fromCoroutine(self.alice.commands.execute(command))
        result.addErrback(lambda failure: failure.trap(UserError) and failure.value)
        self.world.settle()
        return result

    def refused(self, command: Command) -> str:
        """A command during which the disk is full; what the person is told."""
        self.disk.full = True
        told = self.alice.refuse(command, StoreFull)
        self.disk.full = False
        self.world.settle()
        return told

    def after_a_start(self) -> Node:
        """Alice, as her disk has her."""
        self.alice.crash()
        self.alice = self.alice.again()
        return self.alice

    def facts(self) -> Facts:
        return self.alice.peer.people.facts(self.bob.id)

    def stands(self) -> bool:
        """Whether bob would be let in."""
        return self.alice.peer.links.stands(self.bob.id)

    def knock(self) -> Stranger:
        """Bob's key comes and asks."""
        far = Stranger(self.world, self.bob.identity).dial(self.alice)
        if far.connection.alive:
            far.say(Ask())
        return far

    def asked(self) -> Stranger:
        """Bob's key waits for our word."""
        far = self.knock()
        self.assertIn(self.bob.id, self.alice.peer.links.requests)
        return far

    def changes(self) -> list[Command]:
        """What else may be on its way to the disk for bob."""
        who = self.bob.written
        return [
            api.AddContact(id=who, name="robert"),
            api.AddContact(id=who),
            api.Verify(who=who),
            api.Verify(who=who, verified=False),
            api.Trust(who=who),
            api.Trust(who=who, classical=True),
            api.Connect(who=who),
        ]

    def each_change(self, wait: Callable[[Command], None]) -> None:
        """With each of them, for somebody who is a contact already."""
        for command in self.changes():
            self.alice.knows(self.bob)
            wait(command)
            self.work()
            self.alice.do(api.Unblock(who=self.bob.written))
            self.alice.do(api.Close(who=self.bob.written))


class ChangedTests(SlowDiskTests):
    def test_told_to_everybody(self) -> None:
        """Every front end is told how somebody stands now."""
        commands = (
            api.AddContact(id=format_id(self.bob.id), name="bob"),
            api.Verify(who="bob"),
            api.Verify(who="bob", verified=False),
            api.Block(who="bob"),
            api.Unblock(who="bob"),
            api.RemoveContact(who="bob"),
        )
        for command in commands:
            self.alice.do(command)
        told = [(event.person.standing, event.person.contact) for event in self.alice.told(api.ContactChanged)]
        known = [("known", True), ("verified", True), ("known", True), ("blocked", True), ("known", True)]
        self.assertEqual(told[:5], known)
        self.assertFalse(told[5][1])

    def test_accepted_for_good(self) -> None:
        """So it is where who asked is kept by the answer, and not where the answer is for once."""
        for scope, told in (("once", []), ("always", [("known", True)])):
            self.knock()
            self.alice.do(api.Accept(who=self.bob.written, scope=scope))
            changed = [(event.person.standing, event.person.contact) for event in self.alice.told(api.ContactChanged)]
            self.assertEqual(changed, told)
            self.alice.do(api.Close(who=self.bob.written))

    def test_nothing_changed(self) -> None:
        """What is refused has changed nothing, and nobody is told of it."""
        self.alice.refuse(api.AddContact(id=self.alice.written, name="me"), UserError)
        self.assertEqual(self.alice.told(api.ContactChanged), [])


class BlockTests(SlowDiskTests):
    def test_said_while_another_change_is_on_its_way(self) -> None:
        """A block stands from the moment that it is said, and no change that was said before it undoes it."""

        def check(command: Command) -> None:
            self.stop()
            self.begin(command)
            self.begin(api.Block(who=self.bob.written))
            self.assertEqual(self.knock().code, "rejected")
            while self.executor.commit():
                self.executor.deliver()
                self.assertTrue(self.facts().blocked, command)
                self.assertIsNone(self.facts().consent, command)
            self.work()
            for alice in (self.alice, self.after_a_start()):
                self.assertTrue(alice.peer.people.facts(self.bob.id).blocked, command)
                self.assertIsNone(alice.peer.people.consent(self.bob.id), command)

        self.each_change(check)

    def test_another_change_is_said_while_it_is_on_its_way(self) -> None:
        """Nor does one that was said after it."""

        def check(command: Command) -> None:
            self.stop()
            self.begin(api.Block(who=self.bob.written))
            self.begin(command)
            self.work()
            for alice in (self.alice, self.after_a_start()):
                self.assertTrue(alice.peer.people.facts(self.bob.id).blocked, command)

        self.each_change(check)

    def test_taken_back_while_it_is_on_its_way(self) -> None:
        """Who is unblocked again before the disk has the block stays so, whatever is said next."""

        def check(command: Command) -> None:
            self.stop()
            for each in (api.Block(who=self.bob.written), api.Unblock(who=self.bob.written), command):
                self.begin(each)
            self.work()
            for alice in (self.alice, self.after_a_start()):
                self.assertFalse(alice.peer.people.facts(self.bob.id).blocked, command)

        self.each_change(check)

    def test_consent_after_it_was_taken_back(self) -> None:
        """Consent that is given then is not taken back by what is said next, and the end of the chat ends it."""
        known, bob = self.alice.peer.people, self.bob.id
        for closes in (False, True):
            self.stop()
            self.begin(api.Block(who=self.bob.written))
            self.begin(api.Unblock(who=self.bob.written))
            granted = Deferred.fromCoroutine(known.grant(bob, Scope.ONCE))
            if closes:
                self.begin(api.Close(who=self.bob.written))
            met = Deferred.fromCoroutine(known.conversation(bob))
            self.work()
            self.successResultOf(met)
            self.assertIs(self.successResultOf(granted), not closes)
            for alice in (self.alice, self.after_a_start()):
                self.assertIs(alice.peer.people.consent(bob), None if closes else Scope.ONCE)
            known = self.alice.peer.people

    def test_both_are_kept(self) -> None:
        """The other change is not undone by it either."""
        self.alice.knows(self.bob)
        self.stop()
        for command in (
            api.Trust(who="bob", classical=True),
            api.Verify(who="bob"),
            api.AddContact(id=format_id(self.bob.id), name="robert"),
            api.Block(who="bob"),
        ):
            self.begin(command)
        self.work()
        contact = self.alice.peer.people.contact(self.bob.id)
        assert contact is not None
        self.assertEqual((contact.petname, contact.classical), ("robert", True))
        self.assertTrue(contact.verified_at and contact.blocked_at)

    def test_of_who_is_being_accepted(self) -> None:
        """Who is blocked while their request is being accepted is refused, and nobody is dialled."""
        for scope, seconds in (("once", None), ("timed", 60), ("always", None)):
            far = self.asked()
            self.stop()
            accepted = self.begin(api.Accept(who=self.bob.written, scope=scope, seconds=seconds))
            self.begin(api.Block(who=self.bob.written))
            self.assertEqual(far.code, "rejected")
            self.assertEqual(self.knock().code, "rejected")
            self.work()
            self.assertIn("ended", str(self.successResultOf(accepted)))
            self.assertEqual(far.of(Accept), [])
            self.assertTrue(self.facts().blocked)
            self.assertIsNone(self.facts().consent)
            talk = self.alice.peer.talk(self.bob.id)
            self.assertFalse(talk is not None and talk.wanted)
            self.alice.do(api.Unblock(who=self.bob.written))

    def test_of_who_is_let_in(self) -> None:
        """Who is blocked while we let them in by ourselves is not let in."""
        self.alice.knows(self.bob)
        self.stop()
        far = self.knock()
        self.begin(api.Block(who="bob"))
        self.work()
        self.assertEqual((far.of(Accept), far.code), ([], "closed"))

    def test_of_a_stranger(self) -> None:
        """It holds at once for who was never met, too."""
        self.stop()
        self.begin(api.Block(who=self.bob.written))
        self.assertEqual(self.knock().code, "rejected")
        self.assertEqual(self.alice.peer.people.person(self.bob.id).standing, "blocked")

    def test_open_chat(self) -> None:
        """A chat that is open is over before the disk has the block."""
        self.alice.knows(self.bob)
        self.alice.dials(self.bob)
        self.world.settle()
        self.assertIsNotNone(self.alice.link_with(self.bob))
        self.stop()
        self.begin(api.Block(who="bob"))
        self.assertIsNone(self.alice.link_with(self.bob))
        self.assertEqual([event.reason for event in self.bob.told(api.Ended)], ["closed"])

    def test_what_is_said_waits_for_the_disk(self) -> None:
        """What was said before it is queued, and nobody is dialled for it."""
        self.alice.knows(self.bob)
        self.stop()
        self.begin(api.Say(who="bob", text="one"))
        self.begin(api.Block(who="bob"))
        self.work()
        self.assertEqual(len(self.alice.told(api.Queued)), 1)
        talk = self.alice.peer.talk(self.bob.id)
        assert talk is not None
        self.assertFalse(talk.wanted)

    def test_full_disk(self) -> None:
        """A block that cannot be stored holds as long as the process; the person is told, and may say it again."""
        for known in (False, True):
            if known:
                self.alice.knows(self.bob)
            told = self.refused(api.Block(who=self.bob.written))
            self.assertIn("is blocked while this peer runs; say it again", told)
            self.assertTrue(self.facts().blocked)
            self.assertIsNone(self.facts().consent)
            self.assertEqual(self.knock().code, "rejected")
            self.assertEqual(self.alice.peer.people.person(self.bob.id).standing, "blocked")
            self.alice.do(api.Block(who=self.bob.written))
            self.assertTrue(self.after_a_start().peer.people.facts(self.bob.id).blocked)
            self.alice.do(api.Unblock(who=self.bob.written))
            self.assertFalse(self.facts().blocked)

    def test_full_disk_stored_with_the_next_change(self) -> None:
        """What could not be stored goes with the next change of the same person; an unblock ends it as well."""
        self.alice.knows(self.bob)
        self.refused(api.Block(who="bob"))
        self.alice.do(api.Verify(who="bob"))
        self.assertTrue(self.after_a_start().peer.people.facts(self.bob.id).blocked)
        self.alice.do(api.Unblock(who="bob"))
        self.refused(api.Block(who="bob"))
        self.alice.do(api.Unblock(who="bob"))
        for alice in (self.alice, self.after_a_start()):
            self.assertFalse(alice.peer.people.facts(self.bob.id).blocked)

    def test_full_disk_and_the_consent_that_stood(self) -> None:
        """The consent that stood does not come back with an unblock, however late the block was stored."""
        self.alice.do(api.Connect(who=self.bob.written))
        self.refused(api.Block(who=self.bob.written))
        self.alice.do(api.Trust(who=self.bob.written))
        self.after_a_start().do(api.Unblock(who=self.bob.written))
        self.assertIsNone(self.facts().consent)

    def test_full_disk_while_another_change_is_on_its_way(self) -> None:
        """It holds also where the other change fails with it."""
        self.alice.knows(self.bob)
        for commands in ((api.Verify(who="bob"), api.Block(who="bob")), (api.Block(who="bob"), api.Verify(who="bob"))):
            self.stop()
            for command in commands:
                self.begin(command)
            self.disk.full = True
            self.executor.run()
            self.assertTrue(self.facts().blocked)
            self.assertEqual(self.knock().code, "rejected")
            self.work()
            self.alice.do(api.Unblock(who="bob"))

    def test_unblock_waits_for_the_disk(self) -> None:
        """Who is blocked stays blocked until the unblock is stored, and a block that is said meanwhile holds."""
        self.alice.do(api.Block(who=self.bob.written))
        self.refused(api.Unblock(who=self.bob.written))
        self.assertTrue(self.facts().blocked)
        self.stop()
        self.begin(api.Unblock(who=self.bob.written))
        self.assertTrue(self.facts().blocked)
        self.begin(api.Block(who=self.bob.written))
        while self.executor.commit():
            self.executor.deliver()
            self.assertTrue(self.facts().blocked)
        self.work()
        self.assertTrue(self.after_a_start().peer.people.facts(self.bob.id).blocked)


class RemovalTests(SlowDiskTests):
    def test_said_while_another_change_is_on_its_way(self) -> None:
        """Nothing stands for who is removed from the moment that it is said, whatever was said before it."""
        for command in self.changes():
            self.alice.knows(self.bob)
            self.stop()
            self.begin(command)
            self.begin(api.RemoveContact(who=self.bob.written))
            self.assertFalse(self.stands(), command)
            while self.executor.commit():
                self.executor.deliver()
                self.assertFalse(self.stands(), command)
            self.work()
            for alice in (self.alice, self.after_a_start()):
                person = alice.peer.people.person(self.bob.id)
                self.assertEqual((person.contact, person.consent, person.scope), (False, "ask", ""), command)
                self.assertNotEqual(person.standing, "verified", command)
            self.alice.do(api.Close(who=self.bob.written))

    def test_added_again(self) -> None:
        """Who is added after it is a contact, once that is stored, and not before."""
        self.alice.knows(self.bob)
        for again in (False, True):
            self.stop()
            self.begin(api.RemoveContact(who=self.bob.written))
            self.begin(api.AddContact(id=format_id(self.bob.id), name="bob"))
            if again:
                self.begin(api.RemoveContact(who=self.bob.written))
            self.assertFalse(self.stands())
            self.work()
            self.assertEqual(self.stands(), not again)

    def test_of_who_is_let_in(self) -> None:
        """Who is removed while we let them in by ourselves, or accept them, is not let in."""
        self.alice.knows(self.bob)
        self.stop()
        far = self.knock()
        self.begin(api.RemoveContact(who="bob"))
        self.work()
        self.assertEqual((far.of(Accept), far.code), ([], "rejected"))

    def test_full_disk(self) -> None:
        """A removal that cannot be stored holds as long as the process; the person is told, and may say it again."""
        self.alice.knows(self.bob)
        told = self.refused(api.RemoveContact(who="bob"))
        self.assertIn("bob is no contact while this peer runs; say it again", told)
        self.assertFalse(self.stands())
        self.assertEqual(self.alice.peer.people.contacts(), [])
        self.alice.do(api.RemoveContact(who="bob"))
        self.assertEqual(self.after_a_start().peer.people.contacts(), [])

    def test_full_disk_and_another_change(self) -> None:
        """A later change of somebody who was removed does not bring back what stood before."""
        self.alice.knows(self.bob)
        self.refused(api.RemoveContact(who="bob"))
        self.alice.do(api.Trust(who="bob"))
        for alice in (self.alice, self.after_a_start()):
            person = alice.peer.people.person(self.bob.id)
            self.assertEqual((person.contact, person.consent), (True, "ask"))


class CloseTests(SlowDiskTests):
    def test_said_while_it_is_being_opened(self) -> None:
        """A chat that is closed while its consent is on the way to the disk does not begin."""
        for scope, seconds in (("once", None), ("timed", 60)):
            far = self.asked()
            self.stop()
            accepted = self.begin(api.Accept(who=self.bob.written, scope=scope, seconds=seconds))
            self.begin(api.Close(who=self.bob.written))
            self.assertEqual(far.code, "closed")
            self.work()
            self.assertIn("ended", str(self.successResultOf(accepted)))
            self.assertEqual(far.of(Accept), [])
            for alice in (self.alice, self.after_a_start()):
                self.assertIsNone(alice.peer.people.consent(self.bob.id))
                talk = alice.peer.talk(self.bob.id)
                self.assertFalse(talk is not None and talk.wanted)

    def test_said_while_we_begin_to_dial(self) -> None:
        """Nor is anybody dialled for it, now or after a start."""
        for known in (False, True):
            if known:
                self.alice.knows(self.bob)
            self.stop()
            self.begin(api.Connect(who=self.bob.written))
            self.begin(api.Close(who=self.bob.written))
            self.work()
            for alice in (self.alice, self.after_a_start()):
                talk = alice.peer.talk(self.bob.id)
                self.assertFalse(talk is not None and talk.wanted)

    def test_what_was_said_before_it(self) -> None:
        """What was said before it is queued, and does not open the chat again."""
        self.alice.knows(self.bob)
        self.stop()
        self.begin(api.Say(who="bob", text="one"))
        self.begin(api.Close(who="bob"))
        self.work()
        self.assertEqual(len(self.alice.told(api.Queued)), 1)
        for alice in (self.alice, self.after_a_start()):
            talk = alice.peer.talk(self.bob.id)
            self.assertFalse(talk is not None and talk.wanted)

    def test_said_after_a_start(self) -> None:
        """A chat that is closed before a start has come to it is not gone on with, nor after the next one."""
        self.alice.knows(self.bob)
        self.alice.do(api.Connect(who="bob"))
        self.alice.crash()
        database = self.alice.database
        self.alice = self.world.node(self.alice.identity, host=self.alice.host, database=database, handle="alice")
        self.stop()
        resumed = Deferred.fromCoroutine(self.alice.peer.resume())
        self.begin(api.Close(who="bob"))
        self.work()
        self.successResultOf(resumed)
        for alice in (self.alice, self.after_a_start()):
            talk = alice.peer.talk(self.bob.id)
            self.assertFalse(talk is not None and talk.wanted)

    def test_full_disk(self) -> None:
        """What cannot be stored holds as long as the process; the person is told, and may say it again."""
        self.alice.do(api.Connect(who=self.bob.written))
        told = self.refused(api.Close(who=self.bob.written))
        self.assertIn("is closed while this peer runs; say it again", told)
        self.assertFalse(self.stands())
        self.alice.do(api.Close(who=self.bob.written))
        self.assertIsNone(self.after_a_start().peer.people.consent(self.bob.id))
        self.assertIsNone(self.alice.peer.talk(self.bob.id))

    def test_of_always(self) -> None:
        """The consent that stands for always outlasts it, and what is said later opens the chat again."""
        self.asked()
        self.stop()
        self.begin(api.Accept(who=self.bob.written, scope="always"))
        self.begin(api.Close(who=self.bob.written))
        connected = self.begin(api.Connect(who=self.bob.written))
        self.work()
        self.assertIsInstance(self.successResultOf(connected), api.Started)
        self.assertIs(self.facts().consent, Scope.ALWAYS)


class ConsentTests(SlowDiskTests):
    def test_accepted_when_it_is_stored(self) -> None:
        """The word leaves when the consent is on the disk, and nothing stands before."""
        for scope, seconds in (("once", None), ("timed", 60), ("always", None)):
            far = self.asked()
            self.stop()
            self.begin(api.Accept(who=self.bob.written, scope=scope, seconds=seconds))
            self.assertIsNone(self.facts().consent)
            self.assertEqual(far.of(Accept), [])
            self.work()
            self.assertEqual([accept.scope for accept in far.of(Accept)], [scope])
            self.alice.do(api.Close(who=self.bob.written))

    def test_full_disk(self) -> None:
        """Where it cannot be stored nothing is accepted: the request waits, and can be accepted later."""
        for scope, seconds in (("once", None), ("timed", 60), ("always", None)):
            far = self.asked()
            for _ in range(2):
                self.refused(api.Accept(who=self.bob.written, scope=scope, seconds=seconds))
                self.assertIsNone(self.facts().consent)
                self.assertEqual(far.of(Accept), [])
            self.alice.do(api.Accept(who=self.bob.written, scope=scope, seconds=seconds))
            self.assertEqual([accept.scope for accept in far.of(Accept)], [scope])
            self.alice.do(api.Close(who=self.bob.written))
            self.alice.do(api.Block(who=self.bob.written))
            self.alice.do(api.Unblock(who=self.bob.written))

    def test_accept_at_the_last_moment(self) -> None:
        """A request that was answered in time does not expire while the disk has yet to store that."""
        far = self.asked()
        self.world.wait(REQUEST_LASTS - 1)
        self.stop()
        accepted = self.begin(api.Accept(who=self.bob.written))
        self.world.wait(3)
        self.work()
        self.assertIsInstance(self.successResultOf(accepted), api.Started)
        self.assertEqual([accept.scope for accept in far.of(Accept)], ["once"])
        self.assertEqual(self.alice.told(api.AskEnded), [])

    def test_reject_comes_too_late(self) -> None:
        """Who is being accepted, or confirmed, cannot be rejected any more: it is said what ends the chat."""
        far = self.asked()
        self.stop()
        self.begin(api.Accept(who=self.bob.written))
        self.assertIn("/close", str(self.successResultOf(self.begin(api.Reject(who=self.bob.written)))))
        self.work()
        self.assertEqual(len(far.of(Accept)), 1)
        self.alice.do(api.Close(who=self.bob.written))
        far = Stranger(self.world, self.bob.identity, "10.0.0.77").listen()
        self.alice.do(api.Connect(who=far.host))
        self.stop()
        self.begin(api.Confirm(who=self.bob.written))
        self.assertIn("/close", str(self.successResultOf(self.begin(api.Reject(who=self.bob.written)))))
        self.work()
        self.assertEqual(len(far.of(Ask)), 1)

    def test_full_disk_for_a_dial(self) -> None:
        """Nobody is dialled, and nobody let in, on consent that could not be stored."""
        self.alice.run(self.alice.peer.people.meet(self.bob.id))
        self.refused(api.Connect(who=self.bob.written))
        self.assertIsNone(self.facts().consent)
        self.assertFalse(self.stands())

    def test_full_disk_when_a_chat_begins(self) -> None:
        """A chat that could not be begun is not taken for one that is: what is said later opens it."""
        self.alice.knows(self.bob)
        self.alice.dials(self.bob)
        self.world.settle()
        self.alice.do(api.Close(who="bob"))
        self.refused(api.Connect(who="bob"))
        self.assertEqual(self.alice.peer.people.person(self.bob.id).chat, "none")
        self.alice.do(api.Say(who="bob", text="hello"))
        self.world.wait(10)
        self.assertEqual(self.bob.texts(), ["hello"])

    def test_who_is_dialled_again_when_it_has_run_out(self) -> None:
        """Dialling is consent: it is on the disk before our word leaves, and if it cannot be, the link is closed."""
        self.patch(people, "ONCE_LASTS", 100.0)
        far = Stranger(self.world, self.bob.identity, "10.0.0.77").listen()
        self.alice.run(self.alice.peer.people.grant(self.bob.id, Scope.ONCE))
        self.alice.run(self.alice.peer.want(self.bob.id, typed=[Address(host=far.host, port=6666)]))
        self.world.settle()
        listener = self.world.listeners.pop((far.host, 6666))
        far.hang_up()
        far.came.clear()
        self.world.wait(120)
        self.assertIsNone(self.facts().consent)
        self.world.listeners[far.host, 6666] = listener
        self.stop()
        self.world.wait(40)
        self.assertEqual((len(far.of(Ask)), far.of(Accept)), (1, []))
        self.disk.full = True
        self.executor.run()
        self.world.settle()
        self.assertEqual((far.code, far.of(Accept)), ("internal", []))
        self.work()
        self.world.wait(60)
        self.assertEqual([accept.scope for accept in far.of(Accept)], ["once"])
        self.assertIs(self.facts().consent, Scope.ONCE)

    def test_verified_and_trusted_when_it_is_stored(self) -> None:
        """Nobody is called verified, or let in without what they could do, before that is on the disk."""
        self.alice.knows(self.bob)
        self.refused(api.Verify(who="bob"))
        self.refused(api.Trust(who="bob", classical=True))
        self.stop()
        self.begin(api.Verify(who="bob"))
        self.begin(api.Trust(who="bob", classical=True))
        self.assertEqual(self.alice.peer.people.person(self.bob.id).standing, "known")
        self.assertFalse(self.facts().classical_allowed)
        self.work()
        self.assertEqual(self.alice.peer.people.person(self.bob.id).standing, "verified")
        self.assertTrue(self.facts().classical_allowed)

    def test_none_undoes_another(self) -> None:
        """Changes that are on their way together are all there afterwards, in whichever order they were said."""
        carol = format_id(bytes(32))
        commands: list[Command] = [
            api.Verify(who=carol),
            api.Trust(who=carol, classical=True),
            api.AddContact(id=carol, name="carol"),
            api.AddContact(id=carol),
        ]
        for order in (commands, commands[::-1]):
            self.stop()
            for command in order:
                self.begin(command)
            self.work()
            for alice in (self.alice, self.after_a_start()):
                contact = alice.peer.people.contact(bytes(32))
                assert contact is not None
                self.assertEqual((contact.petname, contact.classical, contact.consent), ("carol", True, "always"))
                self.assertIsNotNone(contact.verified_at)
            self.alice.do(api.RemoveContact(who="carol"))
