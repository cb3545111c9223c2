"""From typed text to effect: history, search, export, queue, doubts and forgetting, at real peers with real stores."""

import json
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.ui.browsing import NEAR, OPENING
from p2pchat.ui.words import short_id
from tests.company import Node
from tests.consoles import Desk
from tests.test_hostile_text import FORBIDDEN, X1, X2, X3, X5, X6
from tests.test_losses import LossTests

DATE = r"20\d\d-\d\d-\d\d \d\d:\d\d"


def undated(rows: list[str]) -> list[str]:
    """Rows without the dates of this machine's time zone."""
    return [re.sub(DATE, "DATE", row) for row in rows]


class RecallTests(LossTests):
    """Base: a person at alice's, who knows bob; bob has nobody at his."""

    def desk(self, node: Node | None = None) -> Desk:
        return Desk(node or self.alice)

    def talked(self, *texts: str) -> None:
        """Alice and bob have a link, and this was said by them in turn."""
        self.open()
        for index, text in enumerate(texts):
            if index % 2:
                self.say(text, node=self.bob, who="alice")
            else:
                self.say(text)


class HistoryCommandTests(RecallTests):
    def test_history(self) -> None:
        """/history shows the last lines of a chat with dates, between two notes, and marks what is not delivered."""
        self.talked("one", "two", "three\nand more")
        self.bob.crash()
        self.world.wait(60)
        self.say("four")
        rows = undated(self.desk().type("/history bob 3"))
        self.assertEqual(
            rows,
            [
                "-- history of the chat with bob; what was before: /more",
                "-- not seen before:",
                "  DATE bob#1: two",
                "DATE alice#2: three",
                "  | and more",
                "DATE alice#3 (queued): four",
                "-- end of history",
            ],
        )

    def test_more(self) -> None:
        """/more goes back to the beginning of the chat, page by page, and then says that this is it."""
        self.talked(*map(str, range(7)))
        desk = self.desk()
        self.assertIn("-- there is nothing to go on with; /history or /search first", desk.type("/more"))
        shown = desk.type("/history bob 3", "/more", "/more")
        found = [row.rpartition(": ")[2] for row in shown if re.search(rf"{DATE} \w+#\d", row)]
        self.assertEqual(found, ["4", "5", "6", "1", "2", "3", "0"])
        self.assertEqual(desk.type("/more"), ["-- that was the beginning of the chat"])

    def test_many_lines(self) -> None:
        """More lines than the api gives at once come as one page, in order."""
        self.open()
        self.say(*map(str, range(13)))
        with mock.patch("p2pchat.ui.browsing.PAGE_MOST", 5):
            rows = self.desk().type("/history bob 12")
        self.assertEqual([row.rpartition(": ")[2] for row in rows[1:-1]], [str(n) for n in range(1, 13)])

    def test_nothing(self) -> None:
        """Where nothing was said, and for nobody, it is one line."""
        desk = self.desk()
        self.assertEqual(desk.type("/history bob"), ["-- nothing was said in that chat so far"])
        self.assertIn("nobody", desk.type("/history zoe")[0])
        self.assertIn("write /history", desk.type("/history")[0])

    def test_current_chat(self) -> None:
        """Without a name it is the chat that the prompt names."""
        self.talked("one")
        desk = self.desk()
        desk.type("/connect bob")
        self.assertIn("DATE alice#1: one", undated(desk.type("/history")))

    def test_late(self) -> None:
        """What came more than a day after it was written says so."""
        self.bob.crash()
        self.say("slow")
        self.world.wall += 3 * 86_400_000
        self.bob = self.bob.again()
        self.open()
        rows = undated(self.desk(self.bob).type("/history alice"))
        self.assertIn("  DATE alice#1 (arrived DATE): slow", rows)


class OpeningTests(RecallTests):
    def test_last_lines(self) -> None:
        """Who opens a chat is shown its last lines, set apart from what comes, once; and nothing of a new chat."""
        self.talked(*map(str, range(15)))
        for line in self.lines(self.alice, api.ShowLines(who="bob")):
            if not line.mine:
                self.alice.do(api.Displayed(who="bob", entry=line.entry))
        desk = self.desk()
        rows = desk.type("/connect bob")
        self.assertEqual(rows[0], "-- history of the chat with bob; what was before: /more")
        self.assertEqual([row[-1] for row in rows[1 : OPENING + 1]], list("5678901234"))
        self.assertEqual(rows[OPENING + 1], "-- end of history")
        self.assertEqual(desk.type("/msg bob"), [])
        carol = self.world.node("carol")
        self.alice.knows(carol)
        self.assertEqual(desk.type("/connect carol")[:1], ["-- trying carol ..."])

    def test_what_was_missed(self) -> None:
        """All that nobody saw is shown, below a note, and counts as seen once it is on the screen."""
        self.open()
        self.say("old", node=self.bob, who="alice")
        (entry,) = self.entries(api.ShowLines(who="bob"), self.alice)
        self.alice.do(api.Displayed(who="bob", entry=entry))
        self.say(*(f"missed {number}" for number in range(25)), node=self.bob, who="alice")
        self.assertEqual(self.bob.told(api.Seen)[-1].numbers, (1,))
        rows = self.desk().type("/connect bob")
        self.assertIn("-- not seen before:", rows)
        self.assertRegex(next(row for row in rows if "missed" in row), "missed 0$")
        self.assertEqual(sum("missed" in row for row in rows), 25)
        self.assertEqual(self.bob.told(api.Seen)[-1].numbers[-1], 26)
        self.assertEqual(self.desk().type("/connect bob")[0][:32], "-- history of the chat with bob;")

    def test_told_who_wrote(self) -> None:
        """A terminal that comes is told who wrote while nobody looked; once it was seen, none is told any more."""
        self.open()
        self.say("one", "two")
        carol = self.world.node("carol")
        carol.knows(self.bob)
        self.bob.knows(carol)
        carol.dials(self.bob)
        self.world.settle()
        self.say("hello", node=carol)
        reader = self.desk(self.bob)
        self.assertIn("-- not seen yet: carol 1, alice 2; /msg carol shows it", reader.rows)
        reader.type("/msg carol")
        self.assertIn("-- not seen yet: alice 2; /msg alice shows it", self.desk(self.bob).rows)
        reader.type("/msg alice")
        self.assertFalse(any("not seen yet" in row for row in self.desk(self.bob).rows))

    def test_after_a_reset(self) -> None:
        """What was missed before the other lost their history counts as seen as well, and is not shown for ever."""
        self.open()
        self.say("one")
        self.alice = self.lose(self.alice, self.bob)
        self.open()
        self.say("two")
        self.assertEqual([chat.count for chat in self.unseen(self.bob)], [2])
        self.desk(self.bob).type("/connect alice")
        self.assertEqual(self.unseen(self.bob), ())

    def unseen(self, node: Node) -> tuple[api.UnseenChat, ...]:
        reply = node.do(api.ShowUnseen())
        assert isinstance(reply, api.Unseen)
        return reply.chats

    def test_not_on_the_screen(self) -> None:
        """What did not reach the screen was not seen, and neither was what came after it."""
        self.open()
        self.say("missed", node=self.bob, who="alice")
        desk = self.desk()
        desk.looks = False
        desk.type("/connect bob")
        desk.looks = True
        self.say("live", node=self.bob, who="alice")
        desk.settle()
        self.assertIn("  bob#2: live", desk.rows)
        self.assertEqual(self.bob.told(api.Seen), [])

    def test_shown_as_it_came(self) -> None:
        """What this screen showed as it came is not repeated when its chat is opened, and counts as seen then."""
        self.talked("before")
        desk = self.desk()
        self.say("live", node=self.bob, who="alice")
        desk.settle()
        self.assertEqual(desk.rows[-1], "  bob#1: live")
        self.assertEqual(self.bob.told(api.Seen), [])
        self.assertEqual(undated(desk.type("/msg bob"))[1:], ["DATE alice#1: before", "-- end of history"])
        self.assertEqual(self.bob.told(api.Seen)[-1].numbers, (1,))

    def test_of_a_closed_chat(self) -> None:
        """A chat with a contact is opened and read while nobody is there; that it was seen is told later."""
        self.open()
        self.say("by the way", node=self.bob, who="alice")
        self.alice.do(api.Close(who="bob"))
        self.bob.crash()
        self.alice.crash()
        self.alice = self.alice.again()
        desk = self.desk()
        self.assertIn("  DATE bob#1: by the way", undated(desk.type("/msg bob")))
        self.assertEqual(self.unseen(self.alice), ())
        desk.type("I read it")
        self.assertIn("alice#1 (queued for bob): I read it", desk.rows)
        self.bob = self.bob.again()
        self.open()
        self.assertEqual(self.bob.told(api.Seen)[-1].numbers, (1,))
        self.assertEqual(self.bob.texts(), ["I read it"])

    def test_they_never_wrote(self) -> None:
        """In a chat in which only we spoke, however much, the first thing that the other says counts as seen."""
        self.open()
        self.say(*map(str, range(12)))
        with mock.patch("p2pchat.ui.browsing.MOST_MISSED", 5), mock.patch("p2pchat.ui.browsing.PAGE_MOST", 5):
            desk = self.desk()
            desk.type("/connect bob")
        self.say("at last", node=self.bob, who="alice")
        desk.settle()
        self.assertEqual(self.bob.told(api.Seen)[-1].numbers, (1,))

    def test_missed_without_end(self) -> None:
        """However much was missed, a screenful is shown, and nothing counts as seen before /more showed the rest."""
        self.open()
        self.say(*map(str, range(30)), node=self.bob, who="alice")
        with mock.patch("p2pchat.ui.browsing.MOST_MISSED", 5), mock.patch("p2pchat.ui.browsing.PAGE_MOST", 5):
            desk = self.desk()
            desk.type("/connect bob")
            for _ in range(4):
                self.assertEqual(self.bob.told(api.Seen), [])
                desk.type("/more")
            self.assertEqual(self.bob.told(api.Seen)[-1].numbers[-1], 30)

    def test_one_unseen_line_behind_many(self) -> None:
        """An unseen line is shown, and counts as seen, however many of one's own stand behind it."""
        self.open()
        self.say("look here", node=self.bob, who="alice")
        self.say(*map(str, range(30)))
        with mock.patch("p2pchat.ui.browsing.MOST_MISSED", 5), mock.patch("p2pchat.ui.browsing.PAGE_MOST", 5):
            rows = undated(self.desk().type("/connect bob"))
        self.assertEqual(rows[1:3], ["-- not seen before:", "  DATE bob#1: look here"])
        self.assertEqual(rows[6], "-- ... 17 lines ...")
        self.assertEqual([row.rpartition(": ")[2] for row in rows[7:17]], [str(number) for number in range(20, 30)])
        self.assertEqual(self.bob.told(api.Seen)[-1].numbers, (1,))
        self.assertEqual(self.unseen(self.alice), ())

    def test_says_how_many_are_left(self) -> None:
        """Of what was missed and is not shown at once it is said how much it is; /more goes on in large steps."""
        self.open()
        self.say(*map(str, range(30)), node=self.bob, who="alice")
        with mock.patch("p2pchat.ui.browsing.MOST_MISSED", 10):
            desk = self.desk()
            rows = desk.type("/connect bob")
        self.assertIn("-- 20 more that you have not seen stand before these: /more shows them", rows)
        self.assertIn("/more", rows[0])
        desk.type("/more")
        self.assertEqual(self.bob.told(api.Seen)[-1].numbers[-1], 30)
        self.assertEqual(self.unseen(self.alice), ())

    def elsewhere(self) -> tuple[Node, Desk]:
        """Carol's first line stands beside bob's chat; her second has scrolled away there, between lines of bob's."""
        carol = self.world.node("carol")
        carol.knows(self.alice)
        self.alice.knows(carol)
        self.open()
        carol.dials(self.alice)
        self.world.settle()
        desk = self.desk()
        desk.type("/msg carol", "/msg bob")
        self.say("near", node=carol, who="alice")
        desk.settle()
        self.assertEqual(desk.type("/msg carol"), [])
        desk.type("/msg bob")
        self.say("before", node=self.bob, who="alice")
        self.say("far", node=carol, who="alice")
        self.say(*map(str, range(NEAR)), node=self.bob, who="alice")
        desk.settle()
        self.assertEqual([event.numbers for event in carol.told(api.Seen)], [(1,)])
        return carol, desk

    def test_shown_again(self) -> None:
        """What came while another chat was current is shown again where it has scrolled away, and told as seen then."""
        carol, desk = self.elsewhere()
        rows = undated(desk.type("/msg carol"))
        self.assertEqual(rows[0][:65], "-- said in the chat with carol while you were elsewhere; what was")
        self.assertEqual(rows[1:], ["-- not seen before:", "  DATE carol#2: far", "-- end of history"])
        self.assertEqual([event.numbers for event in carol.told(api.Seen)], [(1,), (2,)])
        self.assertEqual(desk.type("/msg bob", "/msg carol"), [])

    def test_all_shown_again(self) -> None:
        """All of it is, before it is told as seen, also where it is more than the api gives at once."""
        carol, desk = self.elsewhere()
        self.say(*(f"c{number}" for number in range(350)), node=carol, who="alice")
        self.say("between", node=self.bob, who="alice")
        desk.settle()
        rows = "\n".join(desk.type("/msg carol"))
        self.assertEqual([text for text in ("far", "c0", "c199", "c349") if f": {text}\n" not in rows], [])
        self.assertEqual(carol.told(api.Seen)[-1].numbers[-1], 352)

    def test_opened_first_later(self) -> None:
        """So it is where the chat was never opened before: what scrolled away unread is shown when it can be."""
        carol = self.world.node("carol")
        carol.knows(self.alice)
        self.alice.knows(carol)
        self.open()
        carol.dials(self.alice)
        self.world.settle()
        desk = self.desk()
        desk.type("/msg bob")
        self.say("far", node=carol, who="alice")
        self.say(*map(str, range(NEAR)), node=self.bob, who="alice")
        desk.settle()
        with mock.patch("p2pchat.peer.history.page_of", side_effect=UserError("no disk")):
            rows = desk.type("/msg carol")
        self.assertEqual(rows, ["-- what was said before cannot be shown: no disk"])
        desk.type("/msg bob")
        self.assertEqual(carol.told(api.Seen), [])
        rows = undated(desk.type("/msg carol"))
        self.assertIn("  DATE carol#1: far", rows)
        self.assertEqual([event.numbers for event in carol.told(api.Seen)], [(1,)])

    def test_shown_again_later(self) -> None:
        """What could not be shown again is not seen, nor is what comes then; opening it once more shows all."""
        carol, desk = self.elsewhere()
        with mock.patch("p2pchat.peer.history.page_around", side_effect=UserError("no disk")):
            rows = desk.type("/msg carol")
        self.assertEqual(rows, ["-- what was said before cannot be shown: no disk"])
        self.say("new", node=carol, who="alice")
        desk.settle()
        self.assertEqual([event.numbers for event in carol.told(api.Seen)], [(1,)])
        desk.type("/msg bob")
        rows = undated(desk.type("/msg carol"))
        self.assertIn("  DATE carol#2: far", rows)
        self.assertEqual([event.numbers for event in carol.told(api.Seen)], [(1,), (2, 3)])


class SearchCommandTests(RecallTests):
    def test_deleted_since(self) -> None:
        """What was found and then deleted, by age or at another terminal, is said to be."""
        self.talked("a cafe", "another cafe")
        desk = self.desk()
        desk.type("/search cafe")
        self.alice.do(api.Forget(who="bob"))
        self.assertEqual(desk.type("/jump 2"), ["-- [2] was deleted since it was found"])
        self.say("no coffee")
        desk.settle()
        self.assertEqual(desk.type("/jump 2"), ["-- [2] was deleted since it was found"])

    def test_search_and_jump(self) -> None:
        """What was found is numbered, newest first, over all chats, with its date; /jump shows the lines around it."""
        self.talked(*(f"line {number}" for number in range(20)), "the café", "was closed")
        carol = self.world.node("carol")
        self.alice.knows(carol)
        self.say("a cafe here?", who="carol")
        desk = self.desk()
        rows = undated(desk.type("/search Cafe"))
        self.assertEqual(
            rows,
            [
                "-- found, the newest first; /jump N shows the lines around one",
                "[1] DATE alice#1 to carol: a cafe here?",
                "[2] DATE alice#11 to bob: the café",
                "-- that is all",
            ],
        )
        rows = undated(desk.type("/jump 2"))
        self.assertEqual(rows[0], "-- around [2], in the chat with bob; what was before: /more")
        self.assertIn("DATE alice#11 (found): the café", rows)
        self.assertEqual(rows[-2], "  DATE bob#11: was closed")
        self.assertIn("  DATE bob#6: line 11", undated(desk.type("/more")))
        self.assertEqual(desk.type("/jump 3"), ["-- there is no [3] among what was found; the last is [2]"])

    def test_newer(self) -> None:
        """/newer goes on from /jump to the end of the chat, and /more back again."""
        self.talked(
            *(f"line {number}" for number in range(40)), "the café", *(f"later {number}" for number in range(40))
        )
        desk = self.desk()
        self.assertEqual(desk.type("/newer"), ["-- there is nothing to go on with; /history or /search first"])
        rows = undated(desk.type("/search cafe", "/jump 1"))
        self.assertIn("-- around [1], in the chat with bob; what was before: /more; what came after: /newer", rows)
        self.assertTrue(rows[-2].endswith(": later 5"), rows)
        rows = undated(desk.type("/newer"))
        self.assertEqual(rows[0], "-- history of the chat with bob; what was before: /more; what came after: /newer")
        texts = [row.rpartition(": ")[2] for row in rows if "#" in row]
        self.assertEqual(texts, [f"later {number}" for number in range(6, 26)])
        rows = undated(desk.type("/newer"))
        self.assertEqual(rows[0], "-- history of the chat with bob; what was before: /more")
        self.assertTrue(rows[-2].endswith(": later 39"), rows)
        self.assertEqual(desk.type("/newer"), ["-- that was the end of the chat"])
        texts = [row.rpartition(": ")[2] for row in desk.type("/more") if "#" in row]
        self.assertEqual(texts, [f"later {number}" for number in range(6, 26)])

    def test_pages_and_back(self) -> None:
        """/newer goes back through what a search found, under the same numbers, and /more forth again."""
        self.open()
        self.say(*(f"word {number}" for number in range(25)))
        desk = self.desk()

        def numbers(*typed: str) -> list[int]:
            return [int(found[1]) for row in desk.type(*typed) if (found := re.match(r"\[(\d+)\]", row))]

        desk.type("/search word", "/more", "/more")
        self.assertEqual(numbers("/newer"), list(range(11, 21)))
        self.assertEqual(numbers("/newer"), list(range(1, 11)))
        self.assertEqual(desk.type("/newer"), ["-- these are the newest that were found"])
        self.assertEqual(numbers("/more", "/more"), list(range(11, 26)))
        self.assertEqual(desk.type("/more"), ["-- that was all that was found"])

    def test_pages(self) -> None:
        """/more goes on with a search, and the numbers go on."""
        self.open()
        self.say(*(f"word {number}" for number in range(25)))
        desk = self.desk()
        self.assertEqual(desk.type("/jump 1"), ["-- nothing was found yet; /search WORDS first"])
        rows = desk.type("/search word", "/more", "/more")
        numbers = [int(found[1]) for row in rows if (found := re.match(r"\[(\d+)\]", row))]
        self.assertEqual(numbers, list(range(1, 26)))
        self.assertEqual(desk.type("/more"), ["-- that was all that was found"])
        self.assertTrue(any("(found): word 0" in row for row in desk.type("/jump 25")))

    def test_words_are_data(self) -> None:
        """Whatever a person types is looked for, and never the index's own syntax; CJK is found inside a sentence."""
        self.open()
        self.say('he said "AND" to her', "NEAR the end", "a*b", "明日は東京へ行く", "col:umn", "(paren", "naïve CAFÉ")
        desk = self.desk()
        for typed, found in {
            "AND": 'he said "AND" to her',
            '"AND" said': 'he said "AND" to her',
            "NEAR": "NEAR the end",
            "NEAR(end)": None,
            "a*": "a*b",
            "東京": "明日は東京へ行く",
            "京都": None,
            "col:umn": "col:umn",
            "text:col": None,
            "(paren": "(paren",
            "cafe": "naïve CAFÉ",
            "-cafe": "naïve CAFÉ",
            "OR": None,
            "NOT x": None,
            "{text}": None,
            "'; DROP TABLE entry; --": None,
        }.items():
            rows = desk.type(f"/search {typed}")
            hits = [row.partition(" to bob: ")[2] for row in rows if row.startswith("[")]
            self.assertEqual(hits, [found] if found else [], typed)
        self.assertIn("there is no word in that", desk.type('/search "*"')[0])

    def test_excerpt(self) -> None:
        """Of a long message the piece with the word is shown; /jump shows all of it."""
        self.open()
        self.say("x " * 1000 + "needle" + " y" * 1000)
        desk = self.desk()
        (row,) = [row for row in desk.type("/search needle") if row.startswith("[1]")]
        self.assertIn("needle", row)
        self.assertLess(len(row), 250)
        self.assertGreater(len("".join(desk.type("/jump 1"))), 4000)

    def test_X6_hostile(self) -> None:
        """X1 to X6: no text of another's does anything to the terminal, or looks like a line that is not theirs."""
        self.open()
        for text in (*X1, *X2, *X3, *X5, *X6):
            self.say(f"needle {text[:4_000]}", node=self.bob, who="alice")
        desk = self.desk()
        rows = desk.type("/connect bob", "/history bob 200", "/search needle", *["/more"] * 4, "/jump 1", "/jump 30")
        self.assertGreater(len(rows), 100)
        for row in rows:
            self.assertFalse({unicodedata.category(sign) for sign in row if sign != "\u200d"} & FORBIDDEN, repr(row))
            if not row.startswith("  "):
                self.assertRegex(row, r"-- (history of|not seen|end of|found|there is more|that |around)", repr(row))


class QueueCommandTests(RecallTests):
    def test_queue_and_cancel(self) -> None:
        """/queue says what waits for whom and why; /cancel takes back what has not left, by its number."""
        self.bob.crash()
        carol = self.world.node("carol")
        self.alice.knows(carol)
        carol.crash()
        desk = self.desk()
        self.assertEqual(desk.type("/queue"), ["-- nothing waits"])
        desk.type("@bob one", "@bob two\nlines", "@carol three")
        rows = undated(desk.type("/queue"))
        self.assertEqual(
            rows,
            [
                "-- for bob: not reached yet, or they have not answered yet; they go out by themselves then",
                "--   #1 DATE: one",
                "--   #2 DATE: two lines",
                "-- for carol: not reached yet, or they have not answered yet; they go out by themselves then",
                "--   #1 DATE: three",
                "-- /cancel NAME N takes one back that has not left",
            ],
        )
        self.assertEqual(desk.type("/cancel bob 1"), ["-- #1 to bob was taken back before it left"])
        desk.type("/connect carol")
        self.assertEqual(desk.type("/unsend alice#1"), ["-- #1 to carol was taken back before it left"])
        self.assertEqual(desk.type("/cancel bob#2"), ["-- bob#2 is not your message; yours are alice#N"])
        self.assertEqual(undated(desk.type("/queue bob"))[1], "--   #2 DATE: two lines")
        self.assertIn("DATE alice#1 was taken back before it left", "".join(undated(desk.type("/history bob"))))

    def test_seen(self) -> None:
        """/seen says when a message was queued, delivered and seen."""
        self.bob.crash()
        desk = self.desk()
        desk.type("@bob one")
        (row,) = undated(desk.type("/seen bob 1"))
        self.assertEqual(
            row,
            "-- alice#1 to bob: queued DATE, not delivered yet: not reached yet, or they have not answered yet; "
            "they go out by themselves then",
        )
        self.bob = self.bob.again()
        self.open()
        desk.settle()
        self.assertEqual(undated(desk.type("/seen bob alice#1")), ["-- alice#1 to bob: queued DATE, delivered DATE"])
        reader = self.desk(self.bob)
        reader.type("/connect alice")
        rows = undated(desk.type("/seen bob 1"))
        self.assertEqual(rows[0], "-- alice#1 to bob: queued DATE, delivered DATE, seen DATE")
        self.assertIn("there is no message #9", desk.type("/seen bob 9")[0])
        desk.type("/msg bob")
        self.assertIn("there is no message #9 of yours to bob; /history bob shows", desk.type("/seen 9")[0])

    def test_left_already(self) -> None:
        """What was delivered cannot be taken back."""
        self.talked("one")
        self.assertIn("may have left already", self.desk().type("/cancel bob 1")[0])


class DoubtCommandTests(RecallTests):
    def test_resend(self) -> None:
        """What may be missing is said with its day and with what to type; typed like that, it arrives."""
        self.open()
        self.say(*(f"message {number}" for number in range(1, 6)))
        desk = self.desk()
        self.back()
        desk.settle()
        told = [row for row in desk.rows if "may be missing" in row]
        self.assertEqual(len(told), 1)
        found = re.fullmatch(
            r"-- bob's history was reset on \d+ September 2026; your #1 to #5 may be missing there: "
            r"(/resend bob 1-5) or (/leave-it bob)",
            told[0],
        )
        assert found is not None
        self.assertEqual(desk.type("/doubts"), told)
        self.assertIn("-- 4 messages sent again", desk.type("/resend bob 2-5"))
        self.assertEqual(self.bob.texts(), [f"message {number}" for number in range(2, 6)])
        self.assertIn("your #1 may be missing there: /resend bob 1 or /leave-it bob", desk.type("/doubts")[0])
        self.assertEqual(desk.type(found[2]), ["-- it is left as it is, and not mentioned any more"])
        self.assertEqual(desk.type("/doubts"), ["-- nothing is in doubt"])

    def test_told_at_the_next_terminal(self) -> None:
        """What came into doubt while nobody looked is told at the next terminal."""
        self.open()
        self.say("one")
        self.back()
        self.assertTrue(any("/resend bob 1" in row for row in self.desk().rows))

    def test_older_copy_there(self) -> None:
        """Where the other side put an older database back, it is said that what is here may be missing there."""
        self.talked("one", "two")
        older = self.copy(self.bob)
        self.say("three", "four", node=self.bob, who="alice")
        desk = self.desk()
        self.bob.crash()
        self.bob = self.bob.again(database=older)
        self.open()
        self.world.wait(60)
        desk.settle()
        told = [row for row in desk.rows if "in doubt" in row]
        self.assertRegex(told[0], "bob may no longer have their own #2 to #3, which are here, and use those")

    def test_fetch(self) -> None:
        """Where it was one's own database that was lost, /fetch gets back what the other has."""
        self.talked("one", "two")
        self.bob = self.lose(self.bob, self.alice)
        desk = self.desk(self.bob)
        self.world.wait(60)
        self.say("three")
        desk.settle()
        told = [row for row in desk.rows if "/fetch" in row]
        self.assertRegex(
            told[0], r"your own history was reset before \d+ September 2026; alice's #1 .*: /fetch alice or"
        )
        rows = desk.type("/fetch alice")
        self.assertEqual(rows[0], "-- asking for older messages ...")
        self.assertIn("  alice#1 (from history): one", rows)
        self.assertIn("-- from alice came 1 older message that this side lacked", rows)


class ForgetCommandTests(RecallTests):
    def test_forget(self) -> None:
        """/forget says what it would do and what it cannot reach; with yes it does it, and says how much it was."""
        self.talked("one", "two")
        desk = self.desk()
        rows = desk.type("/forget bob")
        self.assertIn("this deletes all that was said with bob, here and for good; not in reach: what the", rows[0])
        self.assertEqual(rows[1], "-- if you mean it: /forget bob yes")
        self.assertEqual(len(self.texts_here(self.alice, "bob")), 2)
        desk.type("/search one")
        rows = desk.type("/forget bob yes")
        self.assertEqual(rows[:2], ["-- deleting what was said with bob ...", "-- 2 messages deleted"])
        self.assertEqual(desk.forgotten, 2, "what was typed before, and meanwhile")
        self.assertIn("not in reach: what bob has", rows[2])
        self.assertEqual(desk.type("/history bob"), ["-- nothing was said in that chat so far"])
        self.assertEqual(desk.type("/search one")[0], "-- nothing was found")
        self.assertEqual(desk.type("/jump 1"), ["-- nothing was found yet; /search WORDS first"])
        self.assertEqual(len(self.texts_here(self.bob, "alice")), 2)

    def test_what_is_not_gone(self) -> None:
        """What is not gone yet is said, also of what was typed; which is forgotten first, whatever then happens."""
        self.talked("one")
        desk = self.desk()
        desk.unforgettable = "what was typed in that chat cannot be deleted: Permission denied"
        copy = Path(f"{self.alice.database.path}.version-1")
        copy.mkdir()
        rows = desk.type("/forget bob yes")
        self.assertIn("-- not gone yet: the copy of", rows[2])
        self.assertIn("Permission denied; say /forget again", rows[3])
        self.patch(self.alice.database, "write", lambda *args, **named: Deferred())
        desk.type("/forget bob yes")
        self.assertEqual(desk.forgotten, 3)

    def test_retention(self) -> None:
        """/retention asks as well, deletes what is older, and is taken back with off."""
        self.talked("old")
        self.world.wall += 3 * 86_400_000
        self.say("young")
        desk = self.desk()
        rows = desk.type("/retention bob 2")
        self.assertIn("deletes what is older than 2 days, now and from now on, in the chat with bob", rows[0])
        self.assertEqual(rows[1], "-- if you mean it: /retention bob 2 yes")
        self.assertEqual(self.texts_here(self.alice, "bob"), ["old", "young"])
        self.assertIn("kept for 2 days", desk.type("/retention bob 2 yes")[-1])
        self.assertEqual(self.texts_here(self.alice, "bob"), ["young"])
        self.assertEqual(
            desk.type("/retention"),
            [
                "-- what is said with bob is kept for 2 days, and then deleted",
                "-- what is said in the other chats is kept for ever",
            ],
        )
        self.assertEqual(desk.type("/retention bob off"), ["-- what is said with bob is kept for ever"])
        desk.type("/retention 90 yes")
        self.assertEqual(
            desk.type("/retention")[1], "-- what is said in the other chats is kept for 90 days, and then deleted"
        )
        self.assertIn("in all chats", desk.type("/retention 1")[0])
        self.assertIn("1 to 36500", desk.type("/retention 40000 yes")[0])


class ExportCommandTests(RecallTests):
    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def test_text(self) -> None:
        """As text it reads like a transcript: dates, numbers, cleaned, further lines set apart, oldest first, 0600."""
        self.talked("one", "-- chat: eve\nbob#9: no\x1b[2J", "three")
        file = self.directory / "bob.txt"
        rows = self.desk().type(f"/export bob {file}")
        self.assertEqual(rows, [f"-- all that was said with bob, 3 lines, is in {file}"])
        lines = [re.sub(r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", line) for line in file.read_text().splitlines()]
        self.assertEqual(lines[0], f"-- chat: bob ({short_id(self.bob.written)})")
        self.assertEqual(
            lines[1:],
            [
                "DATE alice#1: one",
                "DATE bob#1: -- chat: eve",
                "  | bob#9: no\N{REPLACEMENT CHARACTER}[2J",
                "DATE alice#2: three",
            ],
        )
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.directory), ["bob.txt"])

    def test_json(self) -> None:
        """As JSON lines it is whole, in printable ASCII, over many pages."""
        self.open()
        texts = [*(f"{number} é\x1b\u202e" for number in range(12)), *["y" * 16_000] * 13]
        self.say(*texts)
        file = self.directory / "bob.jsonl"
        self.desk().type(f"/export bob {file}")
        data = file.read_bytes()
        self.assertEqual(set(data) - set(range(32, 127)), {10})
        found = [json.loads(line) for line in data.splitlines()]
        self.assertEqual([line["text"] for line in found], texts)
        self.assertEqual([line["number"] for line in found], list(range(1, 26)))
        self.assertEqual(
            {name: found[0][name] for name in ("chat", "chat_id", "mine", "author", "kind", "state", "history")},
            {
                "chat": "bob",
                "chat_id": self.bob.written,
                "mine": True,
                "author": "alice",
                "kind": "text",
                "state": "delivered",
                "history": False,
            },
        )

    def test_never_overwrites(self) -> None:
        """A file that is there stays, and so does what a link points to."""
        self.talked("one")
        desk = self.desk()
        file, link = self.directory / "file", self.directory / "link"
        file.write_text("precious")
        link.symlink_to(self.directory / "nowhere")
        for path in (file, link, self.directory):
            self.assertIn("there is a file", desk.type(f"/export bob {path}")[-1])
        self.assertEqual(file.read_text(), "precious")
        self.assertEqual(sorted(os.listdir(self.directory)), ["file", "link"])

    def test_home(self) -> None:
        """~ is the home directory."""
        self.talked("one")
        with mock.patch.dict(os.environ, HOME=str(self.directory)):
            self.desk().type("/export bob ~/chat.txt")
        self.assertIn("alice#1: one", (self.directory / "chat.txt").read_text())
        self.assertIn("cannot write ~zoe/x: No such file", self.desk().type("/export bob ~zoe/x")[0])

    def test_whole_or_not_at_all(self) -> None:
        """If the store or the disk fails in the middle, or the person leaves, there is no file, nor a piece of one."""
        self.talked("one")
        desk = self.desk()
        with mock.patch("p2pchat.ui.newfile.os.fsync", side_effect=OSError(28, "No space left on device")):
            self.assertIn("there is no room on the disk", desk.type(f"/export bob {self.directory}/a")[-1])
        self.assertIn("cannot write", desk.type(f"/export bob {self.directory}/no/such")[-1])
        self.assertEqual(os.listdir(self.directory), [])

    def test_long(self) -> None:
        """While it goes on its progress is said, and the person types on; if they leave, nothing is left of it."""
        self.open()
        self.say(*(str(number) for number in range(9)))
        desk = self.desk()
        waiting: list[Deferred[None]] = []

        def aside(work: Callable[[], None]) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1].addCallback(lambda _: work())

        desk.aside = aside
        shown: list[str] = []
        before = len(desk.rows)
        self.enterContext(mock.patch("p2pchat.ui.export.PAGE_LINES", 4))
        desk.type(f"/export bob {self.directory}/a", "/seen bob 1")
        self.assertIn("-- alice#1 to bob: queued", desk.rows[-1])
        while waiting and len(shown) < 2:
            waiting.pop(0).callback(None)
            desk.settle(3)
            shown = [row for row in desk.rows[before:] if "lines so far" in row]
        self.assertEqual(shown, [f"-- exporting the chat with bob: {count} lines so far" for count in (4, 8)])
        self.assertEqual(len(os.listdir(self.directory)), 1)
        desk.console.stop()
        self.assertEqual(os.listdir(self.directory), [])
        while waiting:
            waiting.pop(0).callback(None)
            desk.settle()
        self.assertEqual(os.listdir(self.directory), [])
