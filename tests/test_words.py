"""p2pchat.ui.words, drawing, receipts, numbers, answers, names: what people read."""

import itertools
import typing

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.core.errors import EndCode
from p2pchat.core.text import cell_width
from p2pchat.ui.actions import Fingerprint
from p2pchat.ui.answers import answer
from p2pchat.ui.drawing import FURTHER, WRAPPED, Line, Origin, draw
from p2pchat.ui.names import NamedApi
from p2pchat.ui.numbers import Numbers, write_numbers
from p2pchat.ui.receipts import AGAIN, GATHER, LATE, RETURN, Receipts
from p2pchat.ui.words import ENDINGS, Narrator, date_of, name_of, short_id, split_address
from tests.fake_api import ALICE, BOB, CAROL, OWN_ID, FakeApi, person

MARCH = 1_772_535_600_000
"""The third, at eleven."""

HOSTILE = "evil\x1b[2J\x9b31m\u202e\u200b\u2028\r\n-- forged\r> \x07\x00"


def server(state, **fields):
    """A server's state as an event."""
    status = api.ServerStatus(id="s", address="lab1:8888", state=state, handle="alice", **fields)
    return api.ServerChanged(server=status, open_chats=2)


def rows(*events, narrator=None, current=None):
    """What a screen shows of some events."""
    narrator = narrator or Narrator()
    return [row for event in events for line in narrator.tell(event, current) for row in draw(line)]


class NarratorTests(SynchronousTestCase):
    """The words of events."""

    def test_server(self):
        """A server comes, goes and comes back; what repeats is said once."""
        narrator = Narrator()
        narrator.own_id = OWN_ID
        online = server("online", observed="10.0.0.5:7777", online=3)
        told = rows(online, server("lost"), server("lost"), server("connecting"), online, online, narrator=narrator)
        self.assertEqual(
            told,
            [
                f"-- alice {short_id(OWN_ID)}  online at lab1 (you are seen as 10.0.0.5); 3 peers online",
                "-- server lost; 2 chats go on",
                "-- server back, online again",
            ],
        )

    def test_server_never_reached(self):
        """A server that cannot be reached, or refuses, is said with its address and why."""
        told = rows(server("connecting"), server("lost", reason="timeout"), server("refused", reason="handle-taken"))
        self.assertEqual(told[0], "-- server lab1 cannot be reached (fell silent); trying again")
        self.assertIn("p2pchat peer --name NAME", told[1])

    def test_for_a_time(self):
        """Consent for a time is called that, not by its name on the wire."""
        bob = person("bob", scope="timed", path="direct", group="X25519MLKEM768", standing="verified")
        self.assertEqual(
            rows(api.Opened(person=bob, again=False))[0].split(";")[0], "-- chat with bob is open (for a time)"
        )

    def test_chat(self):
        """Asking, accepting, silence and the end, in the words that people were promised."""
        bob = person("bob", scope="once", path="direct", group="X25519MLKEM768")
        self.assertEqual(
            rows(
                api.Asking(person=bob),
                api.Opened(person=bob, again=False),
                api.Silent(person=bob, seconds=30, waiting=(14, 15), total=2),
                api.Silent(person=bob, seconds=0, waiting=(14,), total=3),
                api.Ended(person=bob, address="", reason="closed"),
                api.Ended(person=None, address="10.0.0.7:6666", reason="nobody answers there"),
            ),
            [
                "-- asking bob ...",
                "-- bob accepted (once); direct; X25519MLKEM768; not verified: compare with /verify bob",
                "-- bob silent for 30 s; #14 #15 not delivered, retrying",
                "-- the link to bob is lost; #14 and 2 more not delivered, retrying",
                "-- bob: the chat is closed",
                "-- 10.0.0.7:6666: nobody answers there",
            ],
        )

    def test_opened_by_the_other(self):
        """Whom I accepted did not accept me; classical key agreement is named."""
        bob = person("bob", scope="always", path="direct", group="x25519", standing="verified")
        self.assertEqual(
            rows(api.Opened(person=bob, again=False)),
            ["-- chat with bob is open (always); direct; x25519 (not post-quantum); verified"],
        )

    def test_asked(self):
        """A request shows who asks with 16 characters of the id, the text, and what to type."""
        (row,) = rows(api.Asked(person=ALICE, text="about the grant", address="10.0.0.5:7777"))
        self.assertEqual(
            row,
            f'-- alice (10.0.0.5, {short_id(ALICE.id)}, new) wants to chat: "about the grant"'
            "   /accept alice [once|2h|always]  or  /reject alice",
        )

    def test_messages(self):
        """Messages have author and number; the addressee stands there where it is not the current chat."""
        queued = api.Queued(person=BOB, author="alice", number=1, text="hello", at=0)
        said = api.Said(person=BOB, number=1, text="hi there", kind="text", at=0, entry=1)
        self.assertEqual(rows(queued, said, current=BOB.id), ["alice#1: hello", "  bob#1: hi there"])
        self.assertEqual(rows(queued, current=CAROL.id), ["alice#1 to bob: hello"])

    def test_other_kinds(self):
        """What was taken back, or needs a newer version, is said and not shown as text."""
        void = api.Said(person=BOB, number=2, text="", kind="void", at=0, entry=2)
        new = api.Said(person=BOB, number=3, text="", kind="hologram", at=0, entry=3)
        self.assertEqual(rows(void)[0], "-- bob#2 was taken back before it was sent")
        self.assertIn("newer version", rows(new)[0])

    def test_doubt_and_refusal(self):
        """What is in doubt and what was not taken is named by its numbers."""
        told = rows(
            api.NotDelivered(person=BOB, number=14, reason="too-big"),
            api.Doubt(person=BOB, mine=True, first=3, last=9, explanation="bob's disk was restored"),
            api.Doubt(person=BOB, mine=False, first=4, last=4, explanation="x"),
            api.Doubt(person=BOB, mine=False, first=4, last=7, explanation="x", here=True),
            api.Doubt(person=BOB, mine=True, first=0, last=0, explanation="your history was reset"),
        )
        self.assertIn("#14 was not delivered", told[0])
        self.assertIn("your #3 to #9 may be missing at bob; bob's disk was restored", told[1])
        self.assertIn("bob's #4 may be missing here", told[2])
        self.assertIn("bob may no longer have their own #4 to #7, which are here, and use those", told[3])
        self.assertEqual(told[-1], "-- in doubt, in the chat with bob: your history was reset")

    def test_doubt_that_waits(self):
        """What waits for a decision is said with its day, and with what to type, for names with blanks too."""
        smith = person("bob smith", contact=True)
        told = rows(
            api.Doubt(person=BOB, mine=True, first=31, last=40, explanation="x", waits=True, at=MARCH),
            api.Doubt(person=BOB, mine=True, first=31, last=31, explanation="x", waits=True, at=MARCH),
            api.Doubt(person=smith, mine=False, first=1, last=2, explanation="x", waits=True, at=MARCH),
        )
        on = "was reset on 3 March 2026; your"
        self.assertEqual(
            [row.split(": ") for row in told],
            [
                [f"-- bob's history {on} #31 to #40 may be missing there", "/resend bob 31-40 or /leave-it bob"],
                [f"-- bob's history {on} #31 may be missing there", "/resend bob 31 or /leave-it bob"],
                [
                    "-- your own history was reset before 3 March 2026; bob smith's #1 to #2 may be missing here",
                    '/fetch "bob smith" or /leave-it "bob smith"',
                ],
            ],
        )
        self.assertEqual(date_of(1 << 62), "an unknown day")

    def test_taken_back_and_fetched(self):
        """What was taken back, and what came of asking for older messages."""
        self.assertEqual(
            rows(
                api.TakenBack(person=BOB, number=14),
                api.HistoryFetched(person=BOB, count=1, complete=True),
                api.HistoryFetched(person=BOB, count=12, complete=False),
            ),
            [
                "-- #14 to bob was taken back before it left",
                "-- from bob came 1 older message that this side lacked",
                "-- from bob came 12 older messages that this side lacked; the rest is gone there, or was sent anew",
            ],
        )

    def test_presence(self):
        """Strangers come and go unsaid; contacts do not."""
        self.assertEqual(rows(api.PresenceChanged(person=ALICE)), [])
        self.assertEqual(rows(api.PresenceChanged(person=CAROL)), ["-- carol is online"])

    def test_every_end_code(self):
        """Every code of the protocol has words."""
        self.assertEqual(set(ENDINGS), {code.value for code in EndCode})

    def test_X1_hostile_text_everywhere(self):
        """Whatever stands in any text field of any event: no control reaches the screen, and no row of our looks."""
        evil = person(
            HOSTILE, handle=HOSTILE, display_name=HOSTILE, standing="new", group=HOSTILE, path="direct", chat="open"
        )
        status = api.ServerStatus(id="s", address=HOSTILE, state="online", observed=HOSTILE, handle=HOSTILE)
        special = {"person": evil, "server": status, "kind": "text", "numbers": (1,), "waiting": (1,)}
        for kind in typing.get_args(api.Event):
            fields = {
                name: special.get(name, {str: HOSTILE, int: 1, bool: True}.get(hint))
                for name, hint in typing.get_type_hints(kind).items()
            }
            for row in rows(kind(**fields)):
                self.assertTrue(row.isprintable(), row)
                self.assertNotIn("\u202e", row)
                forged = row.removeprefix("-- ").startswith(("-- ", "> "))
                self.assertFalse(forged, row)

    def test_split_address(self):
        """Addresses with and without port, IPv6 in brackets."""
        for text, parts in {
            "10.0.0.9:6666": ("10.0.0.9", "6666"),
            "[::1]:6666": ("::1", "6666"),
            "lab1": ("lab1", ""),
            "": ("", ""),
        }.items():
            self.assertEqual(split_address(text), parts)


class DrawingTests(SynchronousTestCase):
    """Rows that nobody can imitate."""

    @given(st.text(max_size=300), st.none() | st.integers(20, 90))
    @settings(max_examples=200)
    def test_X6_nothing_imitates_a_system_line(self, text, width):
        """No row of a peer's message begins like a note or like somebody's own message; none is wider than asked."""
        for row in draw(Line(Origin.THEIRS, text, "bob#1: "), width):
            self.assertTrue(row.startswith("  "), row)
            if width is not None:
                self.assertLessEqual(cell_width(row), width + 8)

    def test_X6_fakes(self):
        """A fake system line, message, prompt and command stay inside the message that brought them."""
        text = "hi\n-- server lost\nalice#9: I agree\n> /quit\n  bob#2: yes\x01ACTION"
        drawn = draw(Line(Origin.THEIRS, text, "bob#1: "))
        self.assertEqual(
            drawn,
            [
                "  bob#1: hi",
                "  | -- server lost",
                "  | alice#9: I agree",
                "  | > /quit",
                "  |   bob#2: yes\ufffdACTION",
            ],
        )

    def test_X6_broken_rows(self):
        """A long line is broken by us, since a terminal would go on at its left edge."""
        drawn = draw(Line(Origin.THEIRS, f"{'x' * 22} -- forged {'y' * 30}", "bob#1: "), 40)
        self.assertTrue(all(row.startswith(WRAPPED) for row in drawn[1:]), drawn)

    def test_own_lines_hang_too(self):
        """What one pastes hangs under its first line like everything else."""
        self.assertEqual(draw(Line(Origin.MINE, "a\nb", "alice#1: ")), ["alice#1: a", f"{FURTHER}b"])

    def test_mark_on_the_head(self):
        """A combining mark at the start is not drawn onto what stands before it."""
        self.assertEqual(draw(Line(Origin.THEIRS, "\u0301x", "bob#1: ")), ["  bob#1: \ufffdx"])


class NumbersTests(SynchronousTestCase):
    """Sets of numbers."""

    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=60))
    @settings(max_examples=150)
    def test_like_a_set(self, steps):
        """It holds what a set would hold, in as few runs as can be."""
        numbers, model = Numbers(), set()
        for adding, number in steps:
            self.assertEqual(numbers.add(number) if adding else numbers.discard(number), (number in model) != adding)
            (model.add if adding else model.discard)(number)
            self.assertEqual((len(numbers), number in numbers), (len(model), number in model))
        self.assertEqual([n for first, last in numbers.ranges() for n in range(first, last + 1)], sorted(model))
        runs = list(numbers.ranges())
        self.assertTrue(all(after[0] > before[1] + 1 for before, after in itertools.pairwise(runs)))

    @given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 12)), max_size=20))
    def test_runs(self, steps):
        """A run put in at once is all of its numbers, whatever it touches."""
        numbers, model = Numbers(), set()
        for first, more in steps:
            numbers.add_run(first, first + more)
            model.update(range(first, first + more + 1))
            self.assertEqual(len(numbers), len(model))
        self.assertEqual([n for first, last in numbers.ranges() for n in range(first, last + 1)], sorted(model))
        self.assertTrue(all(b[0] > a[1] + 1 for a, b in itertools.pairwise(numbers.ranges())))

    def test_a_long_run(self):
        """A run takes no room by its length."""
        numbers = Numbers()
        numbers.add_run(1, 2**53)
        self.assertIn(2**52, numbers)

    def test_written(self):
        """Neighbours stand alone, longer runs as ranges, many runs are counted."""
        self.assertEqual(write_numbers(Numbers([14, 15])), "#14 #15")
        self.assertEqual(write_numbers(Numbers([14, 15, 16, 20])), "#14-#16 #20")
        self.assertTrue(write_numbers(Numbers(range(0, 100, 2))).endswith("... (50 in all)"))


class ReceiptsTests(SynchronousTestCase):
    """Receipts in few lines."""

    def told(self, receipts, now):
        return [row for line in receipts.due(now) for row in draw(line)]

    def test_stream(self):
        """A stream of receipts is one line for each person and interval."""
        receipts = Receipts()
        for number in range(1, 101):
            receipts.take(api.Delivered(person=BOB, numbers=(number,), at=0), 0.001 * number)
        receipts.take(api.Seen(person=BOB, numbers=(1, 2, 3), at=0), 0.2)
        self.assertEqual(self.told(receipts, 0.3), [])
        self.assertEqual(self.told(receipts, receipts.next_due()), ["-- bob: #1-#100 delivered; #1-#3 seen"])
        self.assertIsNone(receipts.next_due())

    def test_both_at_once(self):
        """What was delivered and seen within a moment is said in one word more."""
        receipts = Receipts()
        receipts.take(api.Delivered(person=BOB, numbers=(1,), at=0), 0)
        receipts.take(api.Seen(person=BOB, numbers=(1,), at=0), 0.1)
        self.assertEqual(self.told(receipts, GATHER), ["-- bob: #1 delivered, seen"])

    def test_back(self):
        """Who was silent is back, together with what is delivered by that."""
        receipts = Receipts()
        receipts.take(api.Silent(person=BOB, seconds=30, waiting=(14, 15), total=2), 0)
        receipts.take(api.Back(person=BOB), 10)
        receipts.take(api.Delivered(person=BOB, numbers=(14, 15), at=0), 10.5)
        self.assertEqual(self.told(receipts, 10.5 + GATHER), ["-- bob is back; #14 #15 delivered"])

    def test_back_without_delivery(self):
        """Who is back without taking what waits is back all the same; who was never silent is not."""
        receipts = Receipts()
        receipts.take(api.Back(person=BOB), 0)
        self.assertIsNone(receipts.next_due())
        receipts.take(api.Silent(person=BOB, seconds=30, waiting=(14,), total=1), 0)
        receipts.take(api.Back(person=BOB), 10)
        self.assertEqual(self.told(receipts, 10 + RETURN), ["-- bob is back"])

    def test_a_link_is_no_return(self):
        """Who opens a link and ends it at once, as with a full disk, is not back until the peer says so."""
        receipts = Receipts()
        receipts.take(api.Silent(person=BOB, seconds=0, waiting=(14,), total=1), 0)
        receipts.take(api.Opened(person=BOB, again=True), 10)
        self.assertIsNone(receipts.next_due())
        receipts.take(api.Back(person=BOB), 300)
        self.assertEqual(self.told(receipts, 300 + RETURN), ["-- bob is back"])

    def queue(self, receipts, *numbers, now=0):
        for number in numbers:
            receipts.take(api.Queued(person=BOB, author="alice", number=number, text="x", at=0), now)

    def test_late(self):
        """What is not delivered after some seconds is said, and so is its delivery, even beside a status bar."""
        receipts = Receipts(silent=True)
        self.queue(receipts, 14, 15, 16)
        receipts.take(api.Delivered(person=BOB, numbers=(14,), at=0), 1)
        self.assertEqual(self.told(receipts, LATE), ["-- bob: #15 #16 not delivered yet; kept until bob is reached"])
        self.assertIsNone(receipts.next_due())
        receipts.take(api.Delivered(person=BOB, numbers=(15, 16), at=0), 60)
        self.assertEqual(self.told(receipts, 60 + GATHER), ["-- bob: #15 #16 delivered"])
        self.assertIsNone(receipts.next_due())

    def test_silent(self):
        """Beside a status bar a receipt in time costs no line."""
        receipts = Receipts(silent=True)
        self.queue(receipts, 1)
        receipts.take(api.Delivered(person=BOB, numbers=(1,), at=0), 1)
        receipts.take(api.Seen(person=BOB, numbers=(1,), at=0), 1)
        self.assertIsNone(receipts.next_due())

    def test_late_again(self):
        """To somebody who is away one writes many messages, and is not told after each that it waits."""
        receipts = Receipts(silent=True)
        self.queue(receipts, 1)
        self.told(receipts, LATE)
        self.queue(receipts, 2, now=LATE)
        self.queue(receipts, 3, now=LATE + 10)
        self.assertEqual(receipts.next_due(), LATE + AGAIN)
        self.assertEqual(
            self.told(receipts, LATE + AGAIN), ["-- bob: #2 #3 not delivered yet; kept until bob is reached"]
        )

    def test_late_after_silence(self):
        """What was named when somebody fell silent is not said once more."""
        receipts = Receipts(silent=True)
        self.queue(receipts, 1, 2)
        receipts.take(api.Silent(person=BOB, seconds=0, waiting=(1, 2), total=2), 1)
        self.assertIsNone(receipts.next_due())
        receipts.take(api.Back(person=BOB), 10)
        receipts.take(api.Delivered(person=BOB, numbers=(1, 2), at=0), 10.5)
        self.assertEqual(self.told(receipts, 10.5 + GATHER), ["-- bob is back; #1 #2 delivered"])

    def test_no_longer_waiting(self):
        """What was taken back, or cannot be delivered at all, is not waited for."""
        receipts = Receipts(silent=True)
        self.queue(receipts, 1, 2)
        receipts.take(api.TakenBack(person=BOB, number=1), 1)
        receipts.take(api.NotDelivered(person=BOB, number=2, reason="x"), 1)
        self.assertIsNone(receipts.next_due())


class AnswersTests(SynchronousTestCase):
    """The words of replies."""

    def test_list(self):
        """People stand in columns: name, address, port, 16 characters of the id, standing."""
        lines = answer(api.ListPeople(), api.People(people=(BOB, CAROL)))
        self.assertEqual(lines[0].split()[:5], ["bob", "10.0.0.9", "6666", short_id(BOB.id), "new"])
        self.assertEqual(lines[1].split()[:5], ["carol", "10.0.0.11", "6666", short_id(CAROL.id), "verified"])
        self.assertEqual(lines[0].index("10.0.0.9"), lines[1].index("10.0.0.11"))

    def test_chats_in_a_list(self):
        """Who asks whom, and how a chat stands, is said beside each person, from their side."""
        said = {
            chat: answer(api.ListPeople(), api.People(people=(person("bob", chat=chat),)))[0].split("  ")[-1]
            for chat in ("asking", "asked", "open", "lost")
        }
        self.assertEqual(
            said,
            {"asking": "was asked", "asked": "asks to chat", "open": "chat open", "lost": "chat open, no link now"},
        )

    def test_connect(self):
        """What is tried is said; a line that could not go along is not lost."""
        there = api.Started(person=person("bob", chat="asking"), unsaid="about it")
        self.assertEqual(
            answer(api.Connect(who="bob", text="about it"), there),
            ["trying bob ...", "bob was asked before, so your line did not go along: /msg bob about it"],
        )
        self.assertEqual(answer(api.Connect(who="bob"), api.Started(person=person("bob", chat="open"))), [])
        nobody = api.Started(person=None, address="10.0.0.9:6666")
        self.assertEqual(answer(api.Connect(who="10.0.0.9"), nobody), ["trying 10.0.0.9:6666 ..."])

    def test_nobody(self):
        """No people are said to be none."""
        self.assertEqual(answer(api.ListPeople(), api.People(people=())), ["nobody is online"])

    def test_safety(self):
        """The digits stand in rows, with what to type."""
        lines = answer(api.SafetyNumber(who="bob"), api.Safety(person=BOB, digits=" ".join(["12345"] * 12)))
        self.assertEqual(sum(line.count("12345") for line in lines), 12)
        self.assertIn("/verify bob yes", lines[-1])

    def test_fingerprint(self):
        """A fingerprint is the whole id."""
        self.assertEqual(answer(Fingerprint("bob"), api.People(people=(BOB,))), [f"bob  {BOB.id}"])
        self.assertEqual(answer(Fingerprint(), FakeApi().myself()), [OWN_ID])

    def test_X1_hostile_people(self):
        """Nobody's fields reach the screen uncleaned."""
        evil = person(HOSTILE, handle=HOSTILE, display_name=HOSTILE, addresses=(HOSTILE,), group=HOSTILE)
        for asked in (api.ListPeople(), api.WhoIs(who="x"), Fingerprint("x"), api.AddContact(id="x")):
            for line in answer(asked, api.People(people=(evil,))):
                self.assertTrue(line.isprintable(), line)


class NamesTests(SynchronousTestCase):
    """Names that cannot be taken for one another."""

    def setUp(self):
        self.friend = person("bob", id=CAROL.id, contact=True)
        self.stranger = person("bob", id=BOB.id)
        self.inner = FakeApi(self.friend, self.stranger)
        self.api = NamedApi(self.inner)
        self.events = []
        self.api.subscribe(self.events.append)

    def name_of_teller(self, who):
        self.inner.tell(api.Said(person=who, number=1, text="x", kind="text", at=0, entry=1))
        return name_of(self.events[-1].person)

    def test_X4_stranger_with_a_contact_s_name(self):
        """A stranger who looks like a contact is shown with 16 characters of the id; the contact is not."""
        self.successResultOf(self.api.execute(api.Contacts()))
        self.assertEqual(self.name_of_teller(self.stranger), f"bob/{short_id(BOB.id)}")
        self.assertEqual(self.name_of_teller(self.friend), "bob")
        self.assertEqual(self.name_of_teller(person("b0b", id=ALICE.id)), f"b0b/{short_id(ALICE.id)}")

    def test_X4_inside_lines(self):
        """Also in lines from the store, in what waits, in what is in doubt, in who was not seen yet and in who asks."""
        self.successResultOf(self.api.execute(api.Contacts()))
        shown = f"bob/{short_id(BOB.id)}"
        who = self.stranger
        line = api.StoredLine(
            entry=1, person=who, mine=False, author="bob", number=1, text="x", kind="text", at=0, arrived=0
        )
        self.inner.lines = [line]
        self.inner.waiting_lines = [api.QueuedLine(person=who, number=1, text="x", at=0, left=False)]
        self.inner.doubts = [api.DoubtRange(person=who, mine=True, first=1, last=2, at=0)]
        self.inner.unseen = [api.UnseenChat(person=who, count=1, entry=1)]
        self.inner.requests = [api.PendingRequest(kind="asked", person=who)]
        for command, field in {
            api.Search(words="x"): "lines",
            api.ShowQueue(): "waiting",
            api.ShowDoubts(): "doubts",
            api.ShowUnseen(): "chats",
            api.Status(): "requests",
        }.items():
            (value,) = getattr(self.successResultOf(self.api.execute(command)), field)
            self.assertEqual(value.person.name, shown, field)

    def test_alone(self):
        """Whose name is nobody else's is shown by it."""
        self.assertEqual(self.name_of_teller(self.stranger), "bob")

    def test_shown_name_can_be_typed(self):
        """What is shown, or 16 characters of the id, means that person."""
        self.name_of_teller(self.stranger)
        for typed in (f"bob/{short_id(BOB.id)}", short_id(BOB.id), BOB.id):
            self.successResultOf(self.api.execute(api.WhoIs(who=typed)))
            self.assertEqual(self.inner.asked[-1].who, BOB.id)
        self.successResultOf(self.api.execute(api.WhoIs(who="bob")))
        self.assertEqual(self.inner.asked[-1].who, "bob")

    def test_no_handle(self):
        """A name that is neither a petname nor a handle is not shown."""
        self.assertEqual(name_of(person("Bob the King: hi")), short_id(person("Bob the King: hi").id))
        self.assertEqual(name_of(person("Bob the King", contact=True)), "Bob the King")


class FakeApiTests(SynchronousTestCase):
    """The stand-in of these tests."""

    def test_answers_every_command(self):
        """Every command of the union is answered by a reply of the union."""
        fake = FakeApi()
        values = {"who": "bob", "id": BOB.id, "text": "x", "entry": 1, "words": "x", "cursor": "bot"}
        values |= {"number": 1, "first": 1, "last": 2, "days": 3, "texts": ("x", "y")}
        for kind in typing.get_args(api.Command):
            fields = {name: values[name] for name in kind.__struct_fields__ if name in values}
            reply = self.successResultOf(fake.execute(kind(**fields)))
            self.assertIsInstance(reply, api.Reply)
