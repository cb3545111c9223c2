"""Two chats over a link in memory, with real stores (docs/protocol.md, section 10; "The promise" of the design)."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.api import Back, Delivered, HistoryFetched, NotDelivered, Problem, Queued, Said, Seen as SeenEvent, Silent
from p2pchat.core.allowance import Limits
from p2pchat.core.delivery import MAX_LINK_UP
from p2pchat.core.entries import first_head, next_head, reset_entry, stream_name, text_entry
from p2pchat.core.errors import EndCode, OutboxFull, StoreFull, UserError
from p2pchat.core.messages import Entry, Have, History, Holding, Message, Refused, Seen, Window
from p2pchat.core.window import AHEAD_BYTES, AHEAD_ENTRIES, FIRST_BYTES, FIRST_ENTRIES
from p2pchat.peer import outbox
from p2pchat.peer.chat import MAX_EARLY, SILENT_AFTER
from p2pchat.peer.ledger import APPEND_BATCH
from p2pchat.peer.outbox import MAX_DRAFTS

from .conversations import End, Home, Storm, World
from .examples import BOB, WALL


class ChatTestCase(SynchronousTestCase):
    """Alice and Bob, without a link."""

    def setUp(self) -> None:
        self.world = World()
        self.addCleanup(self.world.close)
        self.alice, self.bob = self.world.homes

    def say(self, *texts: str) -> None:
        """Alice says something, and it is committed."""
        for text in texts:
            self.alice.say(text)
        while self.alice.run():
            pass

    def assert_said(self, *texts: str) -> None:
        """Bob has exactly this, and was shown it once each and in order; Alice knows; no rule was broken."""
        self.assertEqual(self.bob.shown(), list(texts))
        self.assertEqual([entry.number for entry in self.bob.received()], list(range(1, len(texts) + 1)))
        self.assertEqual((self.alice.waiting(), self.alice.chat.unsent), (0, 0))
        self.assertEqual(list(self.world.faults()), [])

    def end(self, home: Home) -> End:
        """The newest link's end at somebody's."""
        return self.world.wire.ends[home.name]


class SayingTests(ChatTestCase):
    def test_nothing_is_accepted_before_its_commit(self) -> None:
        """A message is accepted, and told, when it is on the disk."""
        accepted = self.alice.say("hello")
        self.alice.executor.commit()
        self.assertNoResult(accepted)
        self.assertEqual(self.alice.events, [])
        self.alice.executor.deliver()
        written = self.successResultOf(accepted)
        assert written is not None
        (queued,) = self.alice.told(Queued)
        self.assertEqual((queued.number, queued.text, queued.author), (1, "hello", "alice"))
        self.assertEqual((written, self.alice.chat.unsent), ([queued], 1))

    def test_said_together(self) -> None:
        """What is said by one command gets numbers without a gap, and each message is told and delivered by itself."""
        self.world.connect()
        self.world.run()
        self.alice.say("one")
        accepted = self.alice.say("two", "three", "four")
        self.say("five")
        self.world.run()
        self.assertEqual([each.text for each in self.successResultOf(accepted) or ()], ["two", "three", "four"])
        self.assertEqual([each.number for each in self.alice.told(Queued)], [1, 2, 3, 4, 5])
        self.assert_said("one", "two", "three", "four", "five")

    def test_said_together_stored_together(self) -> None:
        """What is said by one command is never cut by the end of a transaction, so no crash keeps a part of it."""
        for number in range(APPEND_BATCH - 1):
            self.alice.say(f"{number}")
        together = [self.alice.say("a", "b"), self.alice.say(*["c"] * (APPEND_BATCH - 2)), self.alice.say("d", "e")]
        for count in (APPEND_BATCH - 1, 2 * APPEND_BATCH - 1, 2 * APPEND_BATCH + 1):
            self.alice.executor.commit()
            self.alice.executor.deliver()
            self.assertEqual(len(self.alice.written()), count)
        for each in together:
            self.successResultOf(each)

    def test_F26_all_or_none(self) -> None:
        """Of what is said by one command nothing is taken if there is no room for all of it."""
        self.alice.allowance.each = Limits(3, 10_000)
        self.say("one", "two")
        with self.assertRaisesRegex(OutboxFull, "^2 messages wait"):
            self.alice.say("three", "four")
        self.alice.say("five")
        with self.assertRaisesRegex(OutboxFull, "^3 messages wait"):
            self.alice.say("six", "seven")
        self.alice.run()
        self.assertEqual([each.text for each in self.alice.told(Queued)], ["one", "two", "five"])

    def test_F26_outbox_full(self) -> None:
        """What would be too much is refused, and what waits stays; what is delivered makes room."""
        self.alice.allowance.each = Limits(3, 10_000)
        self.say("one", "two")
        accepted = self.alice.say("three")
        self.assertRaises(OutboxFull, self.alice.say, "four")
        self.alice.run()
        self.assertIsNotNone(self.successResultOf(accepted))
        self.alice.restart()
        self.alice.allowance.each = Limits(3, 10_000)
        self.assertRaises(OutboxFull, self.alice.say, "four")
        self.alice.allowance.each = Limits(10, 10_000)
        self.assertRaises(OutboxFull, self.alice.say, "x" * 9_900)
        self.world.connect()
        self.world.run()
        self.assert_said("one", "two", "three")
        self.say("four")
        self.world.run()
        self.assert_said("one", "two", "three", "four")
        self.assertEqual((self.alice.allowance.messages, self.alice.allowance.bytes), (0, 0))

    def test_F26_what_failed_may_be_said_again_at_once(self) -> None:
        """Whoever is told that a message was not accepted has the room that it would have taken."""
        self.alice.allowance.each = Limits(1, 10_000)
        self.alice.fill()
        again: list[Deferred[list[Queued]]] = []

        def say_again(_: object) -> None:
            self.alice.fill(False)
            again.append(self.alice.chat.say("one"))

        self.alice.chat.say("one").addErrback(say_again)
        self.alice.run()
        self.alice.run()
        self.assertEqual([queued.number for each in again for queued in self.successResultOf(each)], [1])

    def test_F26_a_refused_commit_takes_no_room(self) -> None:
        """What could not be written does not count."""
        self.alice.allowance.each = Limits(1, 10_000)
        self.alice.fill()
        refused = self.alice.say("one")
        self.alice.run()
        self.assertIsNone(self.successResultOf(refused))
        self.alice.fill(False)
        self.say("one")
        self.assertEqual(self.alice.chat.unsent, 1)

    def test_queued_before_a_link(self) -> None:
        """What was said without a link is sent over the first one, in order."""
        self.say("one", "two")
        self.world.connect()
        self.world.run()
        self.assert_said("one", "two")
        self.assertEqual([number for event in self.alice.told(Delivered) for number in event.numbers], [1, 2])

    def test_queued_before_a_restart(self) -> None:
        """It is sent after a crash too, and counted after it."""
        self.say("one", "two")
        self.alice.restart()
        self.assertEqual(self.alice.chat.unsent, 2)
        self.world.connect()
        self.world.run()
        self.assert_said("one", "two")

    def test_live(self) -> None:
        """Over a link what is said leaves with its commit, and not before it."""
        self.world.connect()
        self.world.run()
        self.alice.say("hello")
        self.assertEqual(self.end(self.alice).pending(), [])
        self.alice.executor.commit()
        self.assertEqual(self.end(self.alice).pending(), [])
        self.alice.executor.deliver()
        self.assertEqual([type(each) for each in self.end(self.alice).pending()], [Have, Entry])
        self.world.run()
        self.assert_said("hello")

    def test_live_needs_one_commit(self) -> None:
        """What leaves at once is not read from the disk again."""
        self.world.connect()
        self.world.run()
        before = self.alice.database.commits
        self.say("hello")
        self.assertEqual(self.alice.database.commits, before + 1)

    def test_both_ways(self) -> None:
        """Both write at once, and neither waits for the other."""
        self.world.connect()
        for number in range(40):
            self.alice.say(f"a{number}")
            self.bob.say(f"b{number}")
            self.world.turn()
        self.world.run()
        self.assertEqual(self.alice.shown(), [f"b{number}" for number in range(40)])
        self.assert_said(*[f"a{number}" for number in range(40)])

    def test_nothing_is_acknowledged_before_its_commit(self) -> None:
        """A reader says that it has an entry, and shows it, when it is on the disk."""
        self.world.connect()
        self.world.run()
        self.say("hello")
        self.world.wire.carry("alice")
        self.bob.executor.commit()
        self.assertEqual((self.end(self.bob).pending(), self.bob.shown()), ([], []))
        self.bob.executor.deliver()
        self.assertIsInstance(self.end(self.bob).pending()[0], Have)
        self.assertEqual(self.bob.shown(), ["hello"])
        self.assertEqual(self.alice.told(Delivered), [])

    def test_too_many_drafts(self) -> None:
        """Who writes faster than the disk is refused, and may go on when it has caught up."""
        for number in range(MAX_DRAFTS):
            self.alice.say(f"{number}")
        extra = 0
        with self.assertRaises(UserError):
            while extra < 1_000:
                extra += 1
                self.alice.say("too much")
        self.assertLess(extra, 300, "one batch is on its way to the disk")
        self.world.run()
        self.say("again")
        self.assertEqual(len(self.alice.written()), MAX_DRAFTS + extra)

    def test_too_many_bytes_of_drafts(self) -> None:
        """So is who says more bytes than may wait for the disk, however few messages those are."""
        self.patch(outbox, "MAX_DRAFT_BYTES", 1_000)
        self.alice.say("x" * 500)
        with self.assertRaisesRegex(OutboxFull, "wait for the disk"):
            self.alice.say("x" * 500)
        self.alice.run()
        self.say("x" * 500)
        self.assertEqual(len(self.alice.written()), 2)

    def test_full_disk_while_saying(self) -> None:
        """What cannot be written is refused and never sent; what is said when there is room again is."""
        self.world.connect()
        self.world.run()
        self.alice.fill()
        refused = self.alice.chat.say("lost")
        self.alice.run()
        self.failureResultOf(refused, StoreFull)
        self.assertEqual((self.alice.told(Queued), self.alice.chat.unsent), ([], 0))
        self.alice.fill(False)
        self.say("kept")
        self.world.run()
        self.assert_said("kept")

    def test_failed_batch(self) -> None:
        """Whatever goes wrong with a batch, whoever waits for it is told, and so are those who come next."""
        self.alice.tables.entries.append_many = None  # type: ignore[assignment,method-assign]
        for batch in (("one", "two"), ("later",)):
            accepted = [self.alice.chat.say(text) for text in batch]
            self.alice.executor.run()
            for each in accepted:
                self.failureResultOf(each, TypeError)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)
        del self.alice.tables.entries.append_many
        self.say("three")
        self.assertEqual(len(self.alice.written()), 1)


class ProgressTests(ChatTestCase):
    def test_F27_acknowledgements_are_progress(self) -> None:
        """What a reader acknowledges it has taken: its link is told so, though more may wait for it."""
        self.world.connect()
        self.world.run()
        self.assertEqual((self.end(self.alice).taken, self.end(self.alice).carries), (0, True))
        for count in (1, 2):
            self.say("hello")
            self.world.run()
            self.assertEqual(self.end(self.alice).taken, count)
        self.assertEqual(self.end(self.bob).taken, 0)


class CutTests(ChatTestCase):
    """A link that ends at every possible moment."""

    def moments(self) -> list[Callable[[], object]]:
        """All that happens on both sides, in small steps."""
        world = self.world
        return [
            lambda: self.alice.executor.commit(),
            lambda: self.alice.executor.deliver(),
            lambda: world.wire.carry("alice", 1),
            lambda: self.bob.executor.commit(),
            lambda: self.bob.executor.deliver(),
            lambda: world.wire.carry("bob", 1),
        ]

    def fail_after(self, steps: int, fault: Callable[[], object]) -> None:
        """Talk for so many steps, then the fault, then a new link."""
        self.world.close()
        self.world = World()
        self.alice, self.bob = self.world.homes
        self.say("one", "two")
        self.bob.say("answer")
        self.world.connect()
        moments = self.moments()
        for step in range(steps):
            if step == 30:
                self.alice.say("three")
            moments[step % len(moments)]()
        if steps <= 30:
            self.alice.say("three")
        while self.alice.run():
            pass
        fault()
        self.world.connect()
        self.world.run()
        stored = [entry.number for entry in self.bob.received()]
        self.assertEqual(stored, [1, 2, 3], f"after {steps} steps")
        self.assertEqual((self.alice.waiting(), self.alice.chat.unsent), (0, 0))
        self.assertEqual(len(self.alice.received()), len(self.bob.written()))
        self.assertEqual(list(self.world.faults()), [], f"after {steps} steps")
        self.assertLessEqual(len(self.bob.shown()), 3)

    def test_cut_everywhere(self) -> None:
        """Wherever a link is cut, the next one carries what is missing, and nothing twice."""
        for steps in range(60):
            self.fail_after(steps, lambda: self.world.cut_all())
            self.assertEqual(self.bob.shown(), ["one", "two", "three"])

    def test_receiver_crashes_everywhere(self) -> None:
        """Wherever the receiver crashes."""
        for steps in range(60):
            self.fail_after(steps, lambda: self.bob.restart())

    def test_sender_crashes_everywhere(self) -> None:
        """Wherever the sender crashes, after its message was accepted."""
        for steps in range(60):
            self.fail_after(steps, lambda: self.alice.restart())

    def test_lost_acknowledgement(self) -> None:
        """What was committed but not acknowledged turns out as delivered at the next link-up, and is not sent again."""
        self.world.connect()
        self.world.run()
        self.say("hello")
        self.world.wire.carry("alice")
        self.bob.run()
        self.world.cut_all()
        self.assertEqual(self.alice.told(Delivered), [])
        self.world.connect()
        self.world.run()
        self.assert_said("hello")
        self.assertEqual([event.numbers for event in self.alice.told(Delivered)], [(1,)])

    def test_seen_of_a_lost_acknowledgement(self) -> None:
        """The same for what was seen meanwhile."""
        self.world.connect()
        self.world.run()
        self.say("hello")
        self.world.wire.carry("alice")
        self.bob.run()
        self.world.cut_all()
        self.bob.display()
        self.bob.run()
        self.world.connect()
        self.world.run()
        self.assert_said("hello")
        self.assertEqual([event.numbers for event in self.alice.told(SeenEvent)], [(1,)])

    def test_dead_link_takes_nothing(self) -> None:
        """What is said while a dead link is still selected is on the disk, and goes over the next one."""
        self.world.connect()
        self.world.run()
        self.end(self.alice).alive = False
        self.say("hello")
        self.assertEqual(self.alice.chat.unsent, 1)
        self.world.cut_all()
        self.world.connect()
        self.world.run()
        self.assert_said("hello")


class SelectTests(ChatTestCase):
    def test_new_link_while_the_old_one_is_committing(self) -> None:
        """What came over the old link is committed before anything is listed on the new one; nothing comes twice."""
        self.world.connect()
        self.world.run()
        self.say("one", "two")
        self.world.wire.carry("alice")
        self.say("three")
        old = self.world.wire
        new = self.world.connect()
        new.carry(self.world.leader.name)
        old.carry("alice")
        self.bob.executor.commit()
        self.bob.executor.deliver()
        self.assertEqual(self.bob.shown(), ["one"], "it was on its way to the disk, and the next one was not")
        self.assertEqual([each for each in old.ends["bob"].pending() if isinstance(each, Have)], [])
        self.world.run()
        self.assert_said("one", "two", "three")

    def test_entries_on_an_old_link_are_dropped(self) -> None:
        """What arrives on a link that is not selected any more is no violation, and comes again."""
        self.world.connect()
        self.world.run()
        self.say("one")
        old, end = self.world.wire, self.end(self.bob)
        attached = End(self.world.clock, self.alice.store)
        self.bob.chat.attach(attached)
        self.bob.run()
        old.carry("alice")
        self.bob.run()
        self.assertEqual((self.bob.received(), end.said), ([], None))
        self.world.cut_all()
        self.world.connect()
        self.world.run()
        self.assert_said("one")

    def test_gathered_entries_of_an_old_link_are_dropped(self) -> None:
        """What had come, but was not yet on its way to the disk, is dropped with its link."""
        self.world.connect()
        self.world.run()
        for text in ("one", "two"):
            self.say(text)
            self.world.wire.carry("alice")
        self.world.cut_all()
        self.bob.run()
        self.assertEqual(self.bob.shown(), ["one"])
        self.world.connect()
        self.world.run()
        self.assert_said("one", "two")

    def test_loading_for_an_old_link(self) -> None:
        """What was read from the disk for a link that is gone is sent over the next one."""
        self.say(*[f"{number}" for number in range(600)])
        self.world.connect()
        for _ in range(3):
            self.world.turn()
        self.world.connect()
        self.world.run()
        self.assert_said(*[f"{number}" for number in range(600)])

    def test_losing_another_link(self) -> None:
        """The end of a link that is not selected changes nothing."""
        self.world.connect()
        self.world.run()
        self.alice.chat.detach(End(self.world.clock, self.bob.store))
        self.say("hello")
        self.world.run()
        self.assert_said("hello")

    def test_early_messages(self) -> None:
        """What comes before our own part of link-up is read from the disk waits for it."""
        self.say("hello")
        wire = self.world.connect()
        wire.carry(self.world.leader.name)
        self.world.follower.run()
        wire.carry(self.world.follower.name)
        self.assertEqual(self.end(self.world.leader).pending(), [])
        self.world.run()
        self.assert_said("hello")

    def test_what_waits_behind_a_batch_of_the_older_link(self) -> None:
        """What came over an older link, and waits for the disk, is dropped with it: it comes again over the next."""
        wire = self.world.connect()
        self.world.run()
        for text in ("first", "second"):
            self.alice.chat.say(text)
            self.alice.executor.run()
            # The first is on its way to Bob's disk from then on, and the second waits for it.
            wire.carry("alice")
        wire.cut()
        self.world.connect()
        self.world.run()
        self.assert_said("first", "second")


class WindowTests(ChatTestCase):
    def test_first_window(self) -> None:
        """Nobody sends more than the first window before the reader has committed anything."""
        self.say(*[f"{number}" for number in range(700)])
        self.world.connect()
        for home in (self.alice, self.bob):
            home.run()
        self.world.wire.carry(self.world.leader.name)
        for home in (self.alice, self.bob):
            home.run()
        self.world.wire.carry("bob")
        sent = 0
        for _ in range(20):
            self.alice.run()
            sent += sum(isinstance(each, Entry) for each in self.end(self.alice).pending())
            self.world.wire.carry("alice")
        self.assertEqual((sent, self.bob.received()), (FIRST_ENTRIES, []))
        self.world.run()
        self.assert_said(*[f"{number}" for number in range(700)])

    def test_bytes(self) -> None:
        """The window counts bytes too."""
        text = "x" * 16_000
        self.say(*[text] * 60)
        self.world.connect()
        largest = 0
        while self.world.turn():
            largest = max(
                largest, sum(len(each.bytes) for each in self.end(self.alice).pending() if isinstance(each, Entry))
            )
        self.assertLessEqual(largest, AHEAD_BYTES)
        self.assertGreater(60 * 16_000, FIRST_BYTES)
        self.assert_said(*[text] * 60)

    def test_large_backlog(self) -> None:
        """Thousands that waited are sent within the window, whatever the pace of the two disks."""
        count = 3_000
        for start in range(0, count, 1_000):
            self.say(*[f"{number}" for number in range(start, start + 1_000)])
        self.world.connect()
        ahead = 0
        while self.world.turn():
            sent = self.alice.tables.vectors.of_conversation(self.alice.two.conversation)
            ahead = max(ahead, max((vector.sent for vector in sent), default=0) - len(self.bob.received()))
        self.assertLessEqual(ahead, AHEAD_ENTRIES)
        self.assert_said(*[f"{number}" for number in range(count)])

    def test_congested(self) -> None:
        """Nothing is loaded for a transport that takes nothing; it goes on when it does."""
        self.world.connect()
        self.world.run()
        self.end(self.alice).congested = True
        self.say("one", "two")
        self.world.run()
        self.assertEqual(self.bob.shown(), [])
        self.end(self.alice).congested = False
        self.alice.chat.pump()
        self.world.run()
        self.assert_said("one", "two")

    def test_congested_while_it_commits(self) -> None:
        """A transport that has had enough while a message is committed takes that one, and nothing is lost."""
        self.world.connect()
        self.world.run()
        self.alice.say("one")
        self.end(self.alice).congested = True
        self.alice.run()
        self.say("two")
        self.end(self.alice).congested = False
        self.alice.chat.pump()
        self.world.run()
        self.assert_said("one", "two")


class DiskTests(ChatTestCase):
    def test_full_disk_at_the_receiver(self) -> None:
        """What the receiver cannot store is not acknowledged, its link ends, and it comes again."""
        self.world.connect()
        self.world.run()
        self.bob.fill()
        self.say("hello")
        self.world.run()
        wire = self.world.wire
        said = wire.ends["bob"].said
        assert said is not None
        self.assertEqual((said[0], self.bob.shown(), self.alice.told(Delivered)), (EndCode.INTERNAL, [], []))
        self.assertEqual([type(event) for event in self.bob.events], [Problem])
        self.bob.fill(False)
        self.world.connect()
        self.world.run()
        self.assert_said("hello")

    def test_full_disk_at_link_up(self) -> None:
        """A link-up that cannot be settled ends its link; the next one does it."""
        self.say("hello")
        self.alice.fill()
        self.world.connect()
        self.world.run()
        self.assertEqual(self.bob.shown(), [])
        self.alice.fill(False)
        self.world.connect()
        self.world.run()
        self.assert_said("hello")

    def test_full_disk_at_an_acknowledgement(self) -> None:
        """An acknowledgement that cannot be stored is told when it is."""
        self.world.connect()
        self.world.run()
        self.say("hello")
        self.world.wire.carry("alice")
        self.bob.run()
        self.alice.fill()
        self.world.run()
        self.assertEqual((self.alice.told(Delivered), self.alice.chat.unsent), ([], 1))
        self.alice.fill(False)
        self.world.connect()
        self.world.run()
        self.assert_said("hello")


class ReceiptTests(ChatTestCase):
    def test_seen(self) -> None:
        """What was displayed is told, once."""
        self.world.connect()
        self.say("one", "two", "three")
        self.world.run()
        for entry in self.bob.received()[1:]:
            self.bob.display(entry.entry)
            self.bob.display(entry.entry)
        self.world.run()
        self.assertEqual([event.numbers for event in self.alice.told(SeenEvent)], [(1, 2), (3,)])

    def test_seen_without_a_link(self) -> None:
        """What was displayed without a link is told at the next link-up."""
        self.world.connect()
        self.say("one")
        self.world.run()
        self.world.cut_all()
        self.bob.display()
        self.bob.run()
        self.world.connect()
        self.world.run()
        self.assertEqual([event.numbers for event in self.alice.told(SeenEvent)], [(1,)])

    def test_seen_during_link_up(self) -> None:
        """What was displayed while a link comes up is told over it."""
        self.world.connect()
        self.say("one")
        self.world.run()
        self.world.cut_all()
        wire = self.world.connect()
        wire.carry(self.world.leader.name)
        self.bob.run()
        self.bob.display()
        self.bob.run()
        self.world.run()
        self.assertEqual([event.numbers for event in self.alice.told(SeenEvent)], [(1,)])

    def test_seen_switched_off(self) -> None:
        """Who does not tell what was seen does not tell it at link-up either."""
        self.bob.chat.tells_seen = False
        self.world.connect()
        self.say("one")
        self.world.run()
        self.bob.display()
        self.world.run()
        self.world.cut_all()
        self.world.connect()
        self.world.run()
        self.assertEqual((self.alice.told(SeenEvent), len(self.alice.told(Delivered))), ([], 1))

    def test_silence(self) -> None:
        """A person is told once that the far side is silent, with what waits, and once that it is back."""
        self.world.connect()
        self.world.run()
        self.say("hello")
        self.alice.chat.look()
        self.world.clock.advance(SILENT_AFTER + 1)
        for _ in range(3):
            self.alice.chat.look()
        self.world.run()
        (silent,) = self.alice.told(Silent)
        self.assertEqual((silent.seconds, silent.waiting, silent.total), (31, (1,), 1))
        self.world.run()
        for _ in range(3):
            self.alice.chat.look()
        self.assertEqual(len(self.alice.told(Back)), 1)

    def test_silence_that_is_over_before_it_is_told(self) -> None:
        """Who is back before the disk was asked what waits was never silent for the person."""
        self.alice.chat.tell_silence(0)
        self.alice.chat.tell_back()
        self.alice.executor.run()
        self.assertEqual(self.alice.told(Silent), [])

    def test_lost_while_a_receipt_is_on_its_way_to_the_disk(self) -> None:
        """What was delivered over a link that is lost by now is no reason to say that they are back."""
        self.world.connect()
        self.world.run()
        self.say("hello")
        self.alice.run()
        wire = self.world.wire
        wire.carry("alice")
        self.bob.run()
        wire.carry("bob")
        self.world.cut_all()
        self.alice.chat.tell_silence(0)
        self.alice.executor.run()
        self.assertEqual(len(self.alice.told(Delivered)), 1)
        self.assertEqual((len(self.alice.told(Silent)), self.alice.told(Back)), (1, []))

    def test_trouble_before_the_first_link(self) -> None:
        """Trouble that was told before a chat ever opened is told of again when it comes again."""
        self.alice.chat.tell_trouble()
        self.alice.chat.tell_trouble()
        self.world.connect()
        self.world.run()
        self.alice.chat.look()
        self.world.cut_all()
        self.alice.chat.tell_silence(0)
        self.alice.chat.tell_trouble()
        self.assertEqual(len(self.alice.told(Problem)), 2)

    def test_no_link(self) -> None:
        """Without a link there is nothing to look at."""
        self.world.clock.advance(100)
        self.alice.chat.look()
        self.alice.executor.run()
        self.assertEqual(self.alice.events, [])


class DoubtTests(ChatTestCase):
    """Databases that are lost or rolled back: everything drains or is named, and nobody is stuck."""

    def setUp(self) -> None:
        super().setUp()
        self.world.connect()
        self.say("one", "two", "three")
        self.world.run()
        self.backups = self.alice.backup(), self.bob.backup()
        self.say("four", "five")
        self.world.run()
        self.bob.display()
        self.world.run()

    def reconnect(self) -> None:
        """Two links: what was compared on the first is said at the latest on the second."""
        for _ in range(2):
            self.world.connect()
            self.world.run()
        self.assertEqual((self.alice.waiting(), self.alice.chat.unsent), (0, 0))
        self.assertEqual(list(self.world.faults()), [])

    def texts(self) -> list[int]:
        """The numbers that Bob has, in order of arrival."""
        return [entry.number for entry in self.bob.received()]

    def remembered(self) -> list[tuple[int, int]]:
        """What Alice's person is told at the next terminal."""
        return [(each.first, each.last) for each in self.alice.tables.doubts.all() if each.mine]

    def test_receiver_lost_its_database(self) -> None:
        """What is new arrives; both are told what is not there any more."""
        self.bob.lose()
        self.say("six")
        self.reconnect()
        self.assertEqual(self.texts(), [6])
        self.assertEqual((self.alice.doubts(True), self.bob.doubts(False)), ([(1, 5)], [(1, 5)]))

    def test_receiver_was_rolled_back(self) -> None:
        """What it lost is sent again; the sender is told the range."""
        self.bob.restore(self.backups[1])
        self.say("six")
        self.reconnect()
        self.assertEqual((self.texts(), self.alice.doubts(True)), ([1, 2, 3, 4, 5, 6], [(4, 5)]))
        self.assertEqual(self.alice.told(Delivered)[-1].numbers[-1], 6)
        self.assertEqual(self.remembered(), [], "it is sent again, and nobody has to decide about it")

    def test_sender_ends_before_it_tells(self) -> None:
        """Who ends right after it found out that the far side was rolled back tells that when it is back."""
        self.bob.restore(self.backups[1])
        self.world.connect()
        while not self.remembered():
            self.world.turn()
            self.alice.executor.commit()
        self.alice.restart()
        self.assertEqual((self.alice.doubts(True), self.remembered()), ([], [(4, 5)]))
        self.reconnect()
        self.assertEqual((self.texts(), self.remembered()), ([1, 2, 3, 4, 5], [(4, 5)]))

    def test_sender_was_rolled_back(self) -> None:
        """Numbers that are used again are no duplicates; both are told."""
        self.alice.restore(self.backups[0])
        self.say("another four")
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 4])
        self.assertEqual((self.alice.doubts(True), self.bob.doubts(False)), ([(4, 4)], [(4, 5)]))

    def test_sender_was_rolled_back_twice(self) -> None:
        """A second restore of the same backup finds its stream replaced, and is no end of it."""
        for text in ("another four", "a third four"):
            self.alice.restore(self.backups[0])
            self.say(text)
            self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 4, 4])

    def test_sender_lost_its_database(self) -> None:
        """It begins again with number 1; both are told."""
        self.alice.lose()
        self.say("hello again")
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 1])
        self.assertEqual((self.alice.doubts(True), self.bob.doubts(False)), ([(0, 0)], [(1, 5)]))

    def test_both_were_rolled_back(self) -> None:
        """Both agree on less; what the sender still has arrives."""
        self.alice.restore(self.backups[0])
        self.bob.restore(self.backups[1])
        self.say("another four")
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4])

    def test_both_were_lost(self) -> None:
        """Both begin again."""
        self.alice.lose()
        self.bob.lose()
        self.say("one")
        self.reconnect()
        self.assertEqual(self.texts(), [1])

    def test_receiver_lost_its_database_and_found_a_backup(self) -> None:
        """A backup that is put back after a new database was used goes on where the backup ends."""
        self.bob.lose()
        self.say("six")
        self.reconnect()
        self.bob.restore(self.backups[1])
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 6])

    def test_receiver_rolled_back_before_the_sender_was(self) -> None:
        """A backup of the receiver from before a replaced stream ended lacks nothing in the end."""
        self.alice.restore(self.backups[0])
        self.say("another four")
        self.reconnect()
        self.bob.restore(self.backups[1])
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4])

    def test_receiver_found_a_backup_of_what_the_sender_lost(self) -> None:
        """A backup that is put back after both began anew is of another chain: what the new database had is sent."""
        backup = self.bob.backup()
        self.bob.lose()
        self.alice.restore(self.backups[0])
        self.say("another four", "another five")
        self.reconnect()
        self.assertEqual(self.texts(), [4, 5])
        self.bob.restore(backup)
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 4, 5])
        self.assertEqual((self.alice.doubts(True)[-1], self.bob.doubts(False)[-1]), ((1, 5), (1, 5)))

    def test_receiver_found_a_newer_backup_after_both_were_rolled_back(self) -> None:
        """Who holds something else in the place of what it confirmed last lacks that: it is sent again."""
        backup = self.bob.backup()
        self.bob.restore(self.backups[1])
        self.alice.restore(self.backups[0])
        self.say("another four", "another five")
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5])
        self.bob.restore(backup)
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 4, 5])
        self.assertEqual((self.alice.doubts(True)[-1], self.bob.doubts(False)[-1]), ((1, 5), (1, 5)))

    def test_receiver_found_a_longer_backup_after_both_were_rolled_back(self) -> None:
        """A reader that is not where the sender takes both to be says so, once: the sender is told what it may lack."""
        backup = self.bob.backup()
        self.bob.restore(self.backups[1])
        self.alice.restore(self.backups[0])
        self.say("another four")
        self.reconnect()
        self.bob.restore(backup)
        self.say("another five")
        self.world.connect()
        while not self.alice.doubts(True)[1:]:
            self.assertTrue(self.world.turn())
        self.alice.restart()
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 5])
        self.assertEqual(self.alice.doubts(True), [(5, 5), (1, 4)])
        self.assertEqual((self.bob.doubts(False), self.alice.told(NotDelivered)), ([(1, 5)], []))
        Deferred.fromCoroutine(self.alice.chat.send_again(1, 4))
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 5, 4])

    def test_seen_of_what_the_sender_lost(self) -> None:
        """What a reader saw of another chain, and beyond what a lost database had, says nothing of ours."""
        self.bob.lose()
        self.say("six")
        self.reconnect()
        self.bob.display()
        self.world.run()
        self.assertEqual([event.numbers for event in self.alice.told(SeenEvent)], [(1, 2, 3, 4, 5), (6,)])
        self.alice.restore(self.backups[0])
        self.say("another four", "another five", "another six")
        self.reconnect()
        self.assertEqual(len(self.alice.told(SeenEvent)), 2)

    def test_history_of_what_the_sender_lost(self) -> None:
        """Who asks for older messages before the reset is there is told that there are none."""
        self.bob.lose()
        self.say("six")
        self.reconnect()
        self.alice.restore(self.backups[0])
        self.world.connect()
        while not self.alice.doubts(True)[1:]:
            self.world.turn()
        self.bob.chat.fetch()
        self.world.run()
        self.reconnect()
        self.assertEqual([event.complete for event in self.bob.told(HistoryFetched)], [False])

    def test_rolled_back_while_the_link_is_cut(self) -> None:
        """A settlement that was never told over its link is told over the next one."""
        self.alice.restore(self.backups[0])
        self.say("another four")
        for turns in range(6):
            self.world.connect()
            for _ in range(turns):
                self.world.turn()
            self.world.cut_all()
        self.reconnect()
        self.assertEqual(self.texts(), [1, 2, 3, 4, 5, 4])


class HostileTests(ChatTestCase):
    """Alice talks to somebody who breaks rules; the test is that somebody."""

    def setUp(self) -> None:
        super().setUp()
        self.link = End(self.world.clock, b"h" * 16)
        self.alice.chat.attach(self.link)
        self.name = stream_name(self.alice.two.wire, BOB.id, b"1" * 16)
        self.head = first_head(self.name)

    def come(self, *messages: Message) -> None:
        """These come."""
        for message in messages:
            self.alice.receive(self.link, message)

    def link_up(self, *listed: Holding) -> None:
        """Link-up, with what they list."""
        self.alice.executor.run()
        self.come(Have(streams=listed, last=True))
        self.alice.executor.run()

    def own(self, seq: int = 0) -> Holding:
        """Their listing of their own stream."""
        return Holding(stream=self.name, first=1, base=first_head(self.name), seq=seq, head=self.head)

    def entry(self, seq: int, data: bytes = b"") -> Entry:
        """An entry of theirs."""
        data = data or text_entry("hi", id=seq.to_bytes(16, "big"), number=seq, lamport=seq, time=WALL)
        return Entry(stream=self.name, seq=seq, bytes=data)

    def mine(self) -> tuple[bytes, bytes]:
        """Our only stream: its name, and its head."""
        (row,) = self.alice.tables.streams.of_conversation(self.alice.two.conversation)
        return row.name, row.head

    def holds(self, seq: int, head: bytes | None = None) -> Holding:
        """Their word about our stream."""
        name, own_head = self.mine()
        return Holding(stream=name, first=1, base=first_head(name), seq=seq, head=head or own_head)

    def sent(self, kind: type[Message]) -> list[Message]:
        """What we said to them, of one class."""
        return [each for each in self.link.pending() if isinstance(each, kind)]

    def assert_ended(self, code: EndCode) -> None:
        """We ended the link, and nothing of it matters any more."""
        assert self.link.said is not None
        self.assertEqual(self.link.said[0], code)
        self.come(self.entry(1))
        self.alice.executor.run()
        self.assertEqual(self.alice.received(), [])

    def test_entry_before_link_up(self) -> None:
        """An entry before our own part of link-up is a violation, and is not kept in memory."""
        self.come(Have(streams=(self.own(),), last=True), self.entry(1))
        self.assert_ended(EndCode.VIOLATION)

    def test_P15_flood_before_link_up(self) -> None:
        """What comes before our part of link-up is bounded, by holdings too."""
        page = tuple(self.own() for _ in range(100))
        for _ in range(MAX_EARLY // 100 + 2):
            self.come(Have(streams=page))
        self.assert_ended(EndCode.RATE)

    def test_P15_seen_before_link_up(self) -> None:
        """The same for small messages."""
        for _ in range(MAX_EARLY + 1):
            self.come(Seen(stream=self.name, seq=1))
        self.assert_ended(EndCode.RATE)

    def test_P12_gap(self) -> None:
        """An entry that is not the next one ends the link."""
        self.link_up(self.own())
        self.come(self.entry(2))
        self.assert_ended(EndCode.VIOLATION)

    def test_P14_forged_acknowledgement(self) -> None:
        """Who acknowledges what was not sent ends the link, and nothing is told as delivered."""
        self.say("hello")
        self.alice.executor.run()
        self.come(Have(streams=(), last=True))
        self.come(Have(streams=(self.holds(1),)))
        self.alice.executor.run()
        self.assertEqual(self.alice.told(Delivered), [])
        self.assert_ended(EndCode.VIOLATION)

    def test_P14_lying_holdings(self) -> None:
        """Whatever a reader lists, link-up ends with a stream that carries all that is not known to be delivered."""
        self.say("one", "two")
        lies = [self.holds(2**53 - 1, b"x" * 32), self.holds(1, b"x" * 32), self.holds(0, b"x" * 32)]
        for lie in lies:
            self.link = End(self.world.clock, b"h" * 16)
            self.alice.chat.attach(self.link)
            self.link_up(lie)
            self.assertIsNone(self.link.said)
            self.assertEqual(len(self.sent(Entry)), 3, "a reset and both messages")
            self.alice.chat.detach(self.link)
            self.assertEqual((self.alice.told(Delivered), self.alice.chat.unsent), ([], 2))

    def claim(self, *listed: Holding, store: bytes = b"h" * 16) -> EndCode | None:
        """A new link on which they list this; how we ended it, if we did."""
        self.link = End(self.world.clock, store)
        self.alice.chat.attach(self.link)
        self.link_up(*listed)
        said = self.link.said
        self.alice.chat.detach(self.link)
        return None if said is None else said[0]

    def unknown(self, number: int) -> Holding:
        """Their word about a stream of ours that never was."""
        name = stream_name(self.alice.two.wire, self.alice.two.me, number.to_bytes(16, "big"))
        return Holding(stream=name, first=1, base=first_head(name), seq=9, head=b"x" * 32)

    def test_P14_streams_that_never_were(self) -> None:
        """Who makes up streams on every link has us write new ones, and tell, a few times and then once in an hour."""
        self.say("one", "two")
        codes = [self.claim(self.unknown(number)) for number in range(100)]
        self.assertEqual(codes, [None] * 8 + [EndCode.RATE] * 92)
        self.assertEqual(len(self.alice.doubts(True)), 8)
        self.assertEqual(len(self.alice.told(Problem)), 1, "and that is told once")
        streams = self.alice.tables.streams.of_conversation(self.alice.two.conversation)
        self.assertLessEqual(len(streams), 1 + 8)
        self.assertEqual(self.alice.chat.unsent, 2)
        self.assertIsNone(self.claim(), "who lists what fits is sent what waits")
        self.assertEqual(len(self.sent(Entry)), 3, "a reset and both messages")

    def test_P14_every_kind_of_claim(self) -> None:
        """The same for other heads, for what was confirmed and is not listed, and for ever new databases."""
        self.say("one")
        name, head = self.mine()
        for number in range(100):
            self.claim(self.holds(1), store=number.to_bytes(16, "big"))
            self.claim(store=(number + 1000).to_bytes(16, "big"))
            self.claim(Holding(stream=name, first=1, base=first_head(name), seq=1, head=head))
            self.claim(Holding(stream=name, first=1, base=first_head(name), seq=0, head=first_head(name)))
        self.assertEqual(len(self.alice.doubts(True)), 8)

    def test_P14_honest_after_all(self) -> None:
        """A restored backup is noticed and told after a run of claims as well, at the latest after an hour."""
        self.say("one")
        for number in range(20):
            self.claim(self.unknown(number))
        told = len(self.alice.doubts(True))
        self.assertEqual(self.claim(self.unknown(100)), EndCode.RATE)
        self.world.clock.advance(3600)
        self.assertIsNone(self.claim(self.unknown(100)))
        self.assertEqual(len(self.alice.doubts(True)), told + 1)
        self.assertEqual(self.claim(self.unknown(101)), EndCode.RATE)
        self.assertEqual(len(self.alice.told(Problem)), 2)

    def test_P14_the_same_claim_again(self) -> None:
        """Who lists a stream until they have its `reset`, as an honest reader does, is told of once and not counted."""
        self.say("one")
        for _ in range(50):
            self.assertIsNone(self.claim(self.unknown(1)))
        self.assertEqual(self.alice.doubts(True), [(0, 0)])
        self.assertEqual(len(self.alice.tables.streams.of_conversation(self.alice.two.conversation)), 2)
        self.alice.restart()
        for _ in range(2):
            self.assertIsNone(self.claim(self.unknown(1)))
        self.assertEqual(self.alice.doubts(True), [(0, 0)] * 2, "and again by who may have ended before it was told")

    def test_P14_resets_without_end(self) -> None:
        """Who replaces stream after stream is told of a few times; what else is in doubt is kept as one range."""
        for number in range(40):
            names = [stream_name(self.alice.two.wire, BOB.id, bytes([number, place]) * 8) for place in (1, 2)]
            old = self.data("lost", 2 * number + 1)
            reset = reset_entry(
                names[0], 0, first_head(names[0]), id=self.world.token(16), lamport=2 * number + 1, time=WALL
            )
            self.link = End(self.world.clock, b"h" * 16)
            self.alice.chat.attach(self.link)
            self.link_up(*(Holding(stream=n, first=1, base=first_head(n), seq=0, head=first_head(n)) for n in names))
            self.come(Entry(stream=names[0], seq=1, bytes=old))
            self.alice.executor.run()
            self.come(Entry(stream=names[1], seq=1, bytes=reset))
            self.alice.executor.run()
            self.assertIsNone(self.link.said)
            self.alice.chat.detach(self.link)
        self.assertEqual(self.alice.shown(), ["lost"] * 40)
        self.assertEqual(len(self.alice.doubts(False)), 8)
        kept = [(each.first, each.last) for each in self.alice.tables.doubts.all() if not each.mine]
        self.assertEqual(kept, [(1, 79)])

    def data(self, text: str, number: int) -> bytes:
        """A message of theirs."""
        return text_entry(text, id=self.world.token(16), number=number, lamport=number, time=WALL)

    def test_P14_streams_of_theirs(self) -> None:
        """No more streams of theirs go on at once than may be listed at link-up."""
        names = [stream_name(self.alice.two.wire, BOB.id, number.to_bytes(16, "big")) for number in range(1_030)]
        for at in range(0, len(names), 103):
            listed = [
                Holding(stream=n, first=1, base=first_head(n), seq=0, head=first_head(n)) for n in names[at:][:103]
            ]
            self.link = End(self.world.clock, b"h" * 16)
            self.alice.chat.attach(self.link)
            self.link_up(*listed)
            for number, each in enumerate(listed, at):
                self.come(Entry(stream=each.stream, seq=1, bytes=self.data(f"{number}", number + 1)))
                self.alice.executor.run()
            if self.link.said is not None:
                break
            self.alice.chat.detach(self.link)
        assert self.link.said is not None
        self.assertEqual((self.link.said[0], len(self.alice.received())), (EndCode.VIOLATION, MAX_LINK_UP))

    def test_P15_processed_flood(self) -> None:
        """Who says again and again what it processed is charged, and nothing of it goes to the disk."""
        self.link_up(self.own())
        self.come(self.entry(1, b"\xc1"))
        self.alice.executor.run()
        self.assertEqual(len(self.sent(Refused)), 1)
        before = self.alice.database.commits
        huge = Holding(
            stream=self.name, first=1, base=first_head(self.name), seq=1, head=self.head, processed=2**53 - 1
        )
        for _ in range(200):
            self.come(Have(streams=(huge,)))
        self.alice.executor.run()
        self.assertLessEqual(self.alice.database.commits, before + 1)
        assert self.link.said is not None
        self.assertEqual(self.link.said[0], EndCode.RATE)

    def test_refuses_everything(self) -> None:
        """A reader that refuses all that it is sent: each is told once as not delivered, and none waits."""
        self.say(*[f"{number}" for number in range(300)])
        self.link_up()
        name, _ = self.mine()
        sent = self.sent(Entry)
        self.assertEqual(len(sent), FIRST_ENTRIES)
        for seq in range(1, len(sent) + 1):
            self.come(Refused(stream=name, seq=seq, code="malformed"))
        head = first_head(name)
        for each in sent:
            assert isinstance(each, Entry)
            head = next_head(head, each.bytes)
        self.come(Have(streams=(self.holds(len(sent), head),)), Window(entries=2_000, bytes=2_000_000))
        self.alice.executor.run()
        told = [event.number for event in self.alice.told(NotDelivered)]
        self.assertEqual((told, self.alice.told(Delivered)), (list(range(1, 257)), []))
        self.assertEqual((self.alice.chat.unsent, self.alice.waiting()), (44, 44))
        self.assertIsNone(self.link.said)

    def test_refusal_repeated_at_link_up(self) -> None:
        """A refusal that comes with link-up is not told as delivered before."""
        self.say("one", "two")
        self.alice.executor.run()
        name, _ = self.mine()
        self.come(Have(streams=(self.holds(2),), last=True), Refused(stream=name, seq=1, code="malformed"))
        self.alice.executor.run()
        self.assertEqual([event.numbers for event in self.alice.told(Delivered)], [(2,)])
        self.assertEqual([event.number for event in self.alice.told(NotDelivered)], [1])
        self.assertEqual((self.alice.chat.unsent, self.alice.waiting()), (0, 0))
        (processed,) = self.sent(Have)[-1:]
        assert isinstance(processed, Have)
        self.assertEqual(processed.streams[0].processed, 1)

    def test_history_of_everything(self) -> None:
        """Who asks for history gets what it confirmed, and never what was not sent in its turn."""
        self.say("one", "two")
        self.alice.executor.run()
        self.come(Have(streams=(self.holds(2),), last=True))
        self.alice.executor.run()
        name, _ = self.mine()
        self.say("three")
        self.come(History(stream=name, first=1, last=2**53 - 1), Window(entries=2_000, bytes=2_000_000))
        self.alice.executor.run()
        entries = self.sent(Entry)
        self.assertEqual([(each.seq, each.history) for each in entries], [(3, False), (1, True), (2, True)])  # type: ignore[attr-defined]
        (answered,) = self.sent(History)
        assert isinstance(answered, History)
        self.assertEqual((answered.first, answered.last), (1, 2**53 - 1))

    def test_history_of_nothing(self) -> None:
        """A range of what was never written is answered at once, without an entry."""
        self.say("one")
        self.link_up()
        name, _ = self.mine()
        self.come(History(stream=name, first=2**53 - 1, last=2**53 - 1))
        self.alice.executor.run()
        self.assertEqual((len(self.sent(Entry)), len(self.sent(History)), self.link.said), (1, 1, None))

    def test_P13_entry_of_another_conversation(self) -> None:
        """An entry of a stream of others ends the link."""
        other = stream_name(b"w" * 32, BOB.id, b"1" * 16)
        self.link_up()
        self.come(Entry(stream=other, seq=1, bytes=b"x"))
        self.assert_ended(EndCode.VIOLATION)

    def test_P13_entry_in_our_name(self) -> None:
        """An entry of a stream of ours ends the link."""
        self.say("one")
        self.link_up()
        self.come(Entry(stream=self.mine()[0], seq=1, bytes=b"x"))
        self.assert_ended(EndCode.VIOLATION)

    def test_undecodable_entries(self) -> None:
        """What cannot be read is refused before the have that covers it, and shown to nobody."""
        self.link_up(self.own())
        self.come(self.entry(1, b"\xc1"), self.entry(2))
        self.alice.executor.run()
        answers = [each for each in self.link.pending() if isinstance(each, Refused | Have)][-3:]
        self.assertEqual([type(each) for each in answers], [Refused, Have, Have])
        self.assertEqual(self.alice.told(Said)[0].number, 2)


class StormTests(SynchronousTestCase):
    """Everything at once, from seeds; `Storm` holds invariants I1 to I5."""

    def run_storm(self, seed: int, steps: int, rollbacks: bool) -> None:
        world = World(seed)
        try:
            storm = Storm(world, rollbacks)
            for step in range(steps):
                storm.step()
                if step % 40 == 0:
                    storm.check()
            storm.calm()
            storm.check()
            storm.check_drained()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        finally:
            world.close()

    def test_cuts_and_crashes(self) -> None:
        """Links are cut and replaced, peers crash, disks are full: the promise holds."""
        for seed in range(3):
            self.run_storm(seed, 200, False)

    def test_lost_and_restored_databases(self) -> None:
        """Databases are lost and rolled back on both sides: all drains or is named in doubt."""
        for seed in range(6):
            self.run_storm(1_000 + seed, 200, True)

    def test_same_seed_same_run(self) -> None:
        """A seed says all that happens."""
        runs = []
        for _ in range(2):
            world = World(7)
            storm = Storm(world)
            for _ in range(150):
                storm.step()
            storm.calm()
            runs.append([(home.events, home.accepted) for home in world.homes])
            world.close()
        self.assertEqual(*runs)
