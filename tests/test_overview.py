"""p2pchat.ui.overview: the status bar, without a screen."""

import msgspec
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.core.text import cell_width
from p2pchat.ui.overview import Overview, Part, fit
from tests.fake_api import ALICE, BOB, CAROL, OWN_ID

PQ = "X25519MLKEM768"


def server(state="online", id="s", address="lab1:8888"):
    return api.ServerStatus(id=id, address=address, state=state)


def with_chat(person, **fields):
    return msgspec.structs.replace(person, **({"chat": "open", "path": "direct", "group": PQ} | fields))


def said(person, number=1, **fields):
    return api.Said(person=person, number=number, text="x", kind="text", at=0, entry=number, **fields)


class OverviewTests(SynchronousTestCase):
    """What is told all the time."""

    def setUp(self):
        self.overview = Overview()
        self.overview.introduce(api.Myself(id=OWN_ID, name="alice", listens=(), servers=(server(),)))
        self.bob, self.carol = with_chat(BOB), with_chat(CAROL)

    def take(self, *events, current=None):
        for event in events:
            self.overview.take(event, current)

    def bar(self, current=None, width=200):
        return fit(self.overview.bar(current), width)

    def open(self, *people):
        self.take(*(api.Opened(person=person, again=False) for person in people))

    def test_whole(self):
        """Who I am, the server, the chat and how its link is, receipts, unread, what waits."""
        self.open(self.bob, self.carol)
        self.take(
            api.Delivered(person=self.bob, numbers=(13, 14), at=0),
            api.Seen(person=self.bob, numbers=(12,), at=0),
            said(self.carol),
            said(self.carol, 2),
            said(self.bob),
            api.Queued(person=with_chat(BOB, unsent=3), author="alice", number=17, text="x", at=0),
            current=BOB.id,
        )
        self.assertEqual(
            self.bar(self.bob),
            "alice | lab1 up | bob: direct, post-quantum, not verified | "
            "delivered #14, seen #12 | 2 carol: 2 | 3 waiting",
        )

    def test_missed(self):
        """What nobody saw before the screen was there is unread, of those who have a chat; what came since is in it."""
        self.take(said(self.carol))
        chats = [api.UnseenChat(person=one, count=3, entry=9) for one in (self.bob, self.carol, ALICE)]
        self.overview.missed(chats)
        self.assertEqual(self.bar(), "alice | lab1 up | no chat | 1 carol: 3 2 bob: 3")
        self.assertEqual(self.overview.at(2), self.bob)
        self.overview.turn_to(BOB.id)
        self.assertEqual(self.overview.facts(None), {"unread": "unread: carol 3"})

    def test_narrow(self):
        """At 40 columns what matters most is left: whether it is safe, receipts, unread, waiting."""
        self.test_whole()
        self.assertEqual(self.bar(with_chat(BOB, standing="verified"), 40), "pq, verified | 2 carol: 2 | 3 waiting")
        self.assertEqual(
            self.bar(with_chat(BOB, standing="verified"), 80),
            "bob: direct, post-quantum, verified | #14, seen #12 | 2 carol: 2 | 3 waiting",
        )

    def test_links(self):
        """How the link is: asking, lost, classical, verified or not."""
        for fields, words in (
            ({"chat": "asking", "group": "", "path": ""}, "bob: asking, not verified"),
            ({"chat": "lost"}, "bob: no link now, not verified"),
            ({"group": "x25519"}, "bob: direct, not post-quantum, not verified"),
            ({"standing": "verified"}, "bob: direct, post-quantum, verified"),
        ):
            self.assertIn(words, self.bar(with_chat(BOB, **fields)))

    def test_servers(self):
        """A server that is down is said even where there is little room; several are counted."""
        self.assertIn("lab1 up", self.bar())
        self.take(api.ServerChanged(server=server("lost"), open_chats=0))
        self.assertIn("lab1 down", self.bar())
        self.assertEqual(self.bar(self.bob, 20), "server down")
        self.take(api.ServerChanged(server=server(id="t", address="lab2:8888"), open_chats=0))
        self.assertIn("1 of 2 servers up", self.bar())
        self.assertIn("no server", fit(Overview().bar(None), 80))

    def test_unread(self):
        """What others say in other chats is counted until I turn there; history is nothing new."""
        self.open(self.bob, self.carol)
        self.take(said(self.carol), said(self.carol, 2, history=True), said(self.bob), current=BOB.id)
        self.assertIn("2 carol: 1", self.bar(self.bob))
        self.assertNotIn("bob: 1", self.bar(self.bob))
        self.overview.turn_to(CAROL.id)
        self.assertNotIn("carol", self.bar(self.bob))

    def test_places(self):
        """A chat keeps its number until it is closed, and only somebody new takes it then."""
        dora = with_chat(ALICE)
        self.open(self.bob, self.carol)
        self.take(api.Ended(person=with_chat(BOB, chat="none"), address="", reason="closed"))
        self.assertEqual((self.overview.at(1), self.overview.at(2)), (None, self.carol))
        self.open(dora, self.bob)
        self.assertEqual(
            [self.overview.at(place) for place in (1, 2, 3, 4, 0)], [dora, self.carol, self.bob, None, None]
        )

    def test_beside(self):
        """The next chat and the one before, around the end; none where there is none."""
        self.assertIsNone(self.overview.beside(None, 1))
        self.open(self.bob, self.carol)
        for current, step, found in (
            (None, 1, self.bob),
            (None, -1, self.carol),
            (BOB.id, 1, self.carol),
            (CAROL.id, 1, self.bob),
            (BOB.id, -1, self.carol),
        ):
            self.assertEqual(self.overview.beside(current, step), found)

    def test_who_asks_has_no_chat(self):
        """Somebody who asks has no place before they are accepted."""
        self.take(api.Asked(person=with_chat(ALICE, chat="asked"), text="", address=""))
        self.assertIsNone(self.overview.at(1))

    def test_recalled(self):
        """What was delivered before this screen was there is known from the store, and never goes back."""
        self.open(self.bob)
        lines = [
            api.StoredLine(
                entry=n,
                person=self.bob,
                mine=mine,
                author="x",
                number=n,
                text="",
                kind="text",
                at=0,
                arrived=0,
                state=state,
            )
            for n, mine, state in ((1, True, "seen"), (2, True, "delivered"), (3, True, "queued"), (9, False, ""))
        ]
        self.overview.recall(lines)
        self.assertIn("delivered #2, seen #1", self.bar(self.bob))
        self.take(api.Delivered(person=self.bob, numbers=(1,), at=0))
        self.assertIn("delivered #2, seen #1", self.bar(self.bob))

    def test_facts(self):
        """The same in lines, for screens without a bar."""
        self.test_whole()
        self.assertEqual(
            list(self.overview.facts(self.bob).values()),
            [
                "bob: direct, post-quantum, not verified",
                "bob: delivered #14, seen #12",
                "unread: carol 2",
                "waiting to be delivered: bob 3",
            ],
        )

    def test_X1_hostile_fields(self):
        """Nothing that others chose reaches the bar uncleaned."""
        evil = with_chat(BOB, name="\x1b[2J\u202e", path="\x1b]0;x\x07", group="MLKEM\x1b")
        self.take(said(evil), api.ServerChanged(server=server(address="\x1b[1m:1"), open_chats=0))
        self.assertTrue(self.bar(evil).isprintable())


class FitTests(SynchronousTestCase):
    @given(
        st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=3), max_size=6),
        st.integers(0, 60),
    )
    @settings(max_examples=150)
    def test_never_wider(self, parts, width):
        """The bar is never wider than the screen."""
        row = fit([Part(tuple(forms), tuple(map(len, forms[1:]))) for forms in parts], width)
        self.assertLessEqual(cell_width(row), width)
