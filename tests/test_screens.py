"""What a person sees: panes of a real terminal (tmux), captured and compared, at 80 and at 40 columns, and in plain."""

from tests.screens import Screens

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
"""The beginning of what tmux keeps of four people joined to one sign."""


class WideScreens(Screens):
    """At 80 columns."""

    def test_talk(self):
        """Times, numbers, a hanging indent; receipts are in the bar alone."""
        self.chat()
        for text in ("hello", "sentence", "table"):
            self.line(text)
            self.wait_for(f": {text}")
        self.wait_for("indented")
        rows = self.wait_until(lambda rows: "seen #3" in rows[-1])
        self.assertEqual(
            rows,
            [
                "-- /help lists the commands, /quit leaves",
                "> /connect bob",
                "hh:mm alice#1: hello",
                "hh:mm alice#2: sentence",
                "hh:mm   bob#1: a sentence that is longer than a narrow screen is wide, and",
                "               that goes on after that",
                "hh:mm alice#3: table",
                "hh:mm   bob#2: name     value    unit",
                "               length   12       m",
                "                       indented",
                "[bob] >",
                "no server | bob: direct, post-quantum, not verified | delivered #3, seen #3",
            ],
        )

    def test_not_delivered(self):
        """What has not arrived after some seconds is said in a line, and counted nowhere else."""
        self.chat()
        self.line("unheard")
        self.wait_for("hh:mm -- bob: #1 not delivered yet; kept until bob is reached")

    def test_scripts(self):
        """Wide characters, right-to-left text, joined emoji and heaps of marks keep to their rows."""
        self.chat()
        for text in ("japanese", "hebrew", "family", "marks", "last"):
            self.line(text)
            self.wait_for(f": {text}")
        rows = self.wait_for("bob#4")
        start = next(index for index, row in enumerate(rows) if "bob#1" in row)
        self.assertEqual(rows[start], f"hh:mm   bob#1: {'日本語の文は' * 5}日本")
        self.assertEqual(rows[start + 1], f"{'':15}{'語の文は日本語の文は日本語の文は'}")
        self.assertTrue(any("שלום עולם" in row for row in rows))
        self.assertTrue(any(f"bob#3: a {FAMILY}" in row for row in rows))
        self.assertTrue(any("bob#4: a" + "\u0301" * 4 + "\ufffd" in row for row in rows), rows)
        self.wait_until(lambda rows: rows[-2] == "[bob] >" and rows[-1].startswith("no server | bob: "))

    def test_X6_forgery(self):
        """A message that imitates lines of ours is seen to be one message of its author's."""
        self.chat()
        self.line("forgery")
        rows = self.wait_for("bob#1: hi")
        start = rows.index("hh:mm   bob#1: hi")
        fakes = ("-- server lost", "12:00 alice#9: I agree", "[bob] > /quit")
        self.assertEqual(rows[start + 1 : start + 4], [f"{'':15}{fake}" for fake in fakes])

    def test_chats(self):
        """Keys change the chat, drafts stay where they were begun, and what others say is counted in the bar."""
        self.chat()
        self.line("carol")
        self.wait_until(lambda rows: "1 carol: 1" in rows[-1])
        self.tmux("send-keys", "-l", "for bob")
        self.press("M-1")
        self.wait_until(lambda rows: rows[-2] == "[carol] >" and "unread" not in rows[-1] and "1 carol" not in rows[-1])
        self.tmux("send-keys", "-l", "for carol")
        self.press("C-n")
        self.wait_until(lambda rows: rows[-2] == "[bob] > for bob")
        self.press("C-p")
        self.wait_until(lambda rows: rows[-2] == "[carol] > for carol")
        self.press("M-2")
        self.wait_until(lambda rows: rows[-2] == "[bob] > for bob")
        self.press("Enter")
        self.wait_for("alice#2: for bob")

    def test_search(self):
        """Ctrl-R finds what was typed in this chat, which is on the disk."""
        self.chat()
        for text in ("first words", "others"):
            self.line(text)
            self.wait_for(f": {text}")
        self.press("C-r")
        self.tmux("send-keys", "-l", "first")
        self.wait_for("first words")
        self.press("Enter")
        self.wait_until(
            lambda rows: rows[-2] == "[bob] > first words" or any("alice#3: first words" in r for r in rows)
        )
        kept = "".join(file.read_text() for file in (self.directory / "state" / "typed").iterdir())
        self.assertEqual(sorted(kept.split("\n"))[1:3], ['"/connect bob"', '"first words"'])

    def test_ctrl_c_in_a_search(self):
        """Ctrl-C leaves the search, and what is typed then is a line."""
        self.chat()
        self.line("first words")
        self.wait_for(": first words")
        self.press("C-r")
        self.tmux("send-keys", "-l", "fir")
        self.wait_until(lambda rows: any("search" in row and "fir" in row for row in rows[-4:]))
        self.press("C-c")
        self.wait_until(lambda rows: not any("search" in row for row in rows[-4:]))
        self.line("and now this")
        self.wait_for("alice#2: and now this")

    def test_many_lines(self):
        """A pasted text of many lines is asked about, and then one message."""
        self.chat()
        self.tmux("set-buffer", "\n".join(f"line {number}" for number in range(1, 22)))
        self.tmux("paste-buffer", "-p")
        self.wait_for("line 21")
        self.press("Enter")
        self.wait_for("21 lines as one message")
        self.press("Enter")
        self.wait_for("alice#1: line 1", 60)

    def test_more_lines_than_rows(self):
        """The question stands on the screen however long the text is; it can be looked at, dropped, and sent."""
        self.chat()
        text = "\n".join(f"line {number}" for number in range(1, 61)) + "\n"

        def paste() -> None:
            self.tmux("set-buffer", text)
            self.tmux("paste-buffer", "-p")
            self.wait_for("line 60")
            self.press("Enter")
            asked = "60 lines as one message: Enter sends"
            self.wait_until(lambda rows: any(asked in row for row in rows[-6:]) and rows[-2:-1] == ["[bob] >"])

        paste()
        self.press("C-c")
        self.wait_for("the 60 lines were dropped")
        paste()
        self.line("hello")
        self.wait_for("alice#1: hello")
        self.assertTrue(any("the 60 lines were dropped; nothing" in row for row in self.pane()[-6:]))
        paste()
        self.press("Up")
        self.wait_for("line 60")
        self.press("Enter")
        self.wait_until(lambda rows: rows[-2:-1] == ["[bob] >"])
        self.press("Enter")
        self.wait_for("alice#2: line 1", 200)

    def test_pasted_colours(self):
        """Control sequences that come in as keys, as from a terminal without bracketed paste, end nothing."""
        self.chat()
        self.tmux("set-buffer", "\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[m text")
        self.tmux("paste-buffer", "-r")
        self.wait_until(lambda rows: any("text" in row for row in rows))
        self.press("Enter")
        self.wait_for("alice#1: ")
        self.line("still here")
        self.wait_for("alice#2: still here")

    def test_focus(self):
        """What a terminal tells of its window's focus, asked by a program that is gone, is no text."""
        self.chat()
        self.tmux("set-buffer", "\x1b[Ihel\x1b[Olo\x1b[I")
        self.tmux("paste-buffer", "-r")
        self.wait_until(lambda rows: any("hello" in row for row in rows))
        self.press("Enter")
        self.wait_for("alice#1: hello")

    def test_resized(self):
        """A screen that is made narrow and wide again shows one input line and one bar, each within it."""
        self.chat()
        self.line("hello")
        self.wait_until(lambda rows: "seen #1" in rows[-1])
        self.tmux("resize-window", "-x", "40", "-y", "24")
        self.wait_until(lambda rows: rows[-2:] == ["[bob] >", "bob: pq, not verified | #1, seen #1"])
        self.tmux("resize-window", "-x", "100", "-y", "30")
        self.wait_until(
            lambda rows: (
                rows[-1] == "alice | no server | bob: direct, post-quantum, not verified | delivered #1, seen #1"
            )
        )
        self.assertEqual(sum(row.startswith("[bob] >") for row in self.pane()), 1)

    def test_colours(self):
        """A name has a colour; with NO_COLOR nothing has (tests/test_page.py)."""
        self.chat()
        self.line("sentence")
        self.wait_for("bob#1")
        self.assertRegex(self.tmux("capture-pane", "-p", "-e"), r"\x1b\[38;5;\d+m(\x1b\[49m)?bob#1: \x1b\[39m")


class NarrowScreens(Screens):
    """At 40 columns."""

    columns = 40

    def test_talk(self):
        """The same, in rows that fit; a table stays a table, and the bar tells what matters most."""
        self.chat()
        for text in ("sentence", "table"):
            self.line(text)
            self.wait_for(f": {text}")
        self.wait_for("indented")
        rows = self.wait_until(lambda rows: "seen #2" in rows[-1])
        self.assertEqual(
            rows[3:],
            [
                "hh:mm alice#1: sentence",
                "hh:mm   bob#1: a sentence that is",
                "               longer than a narrow",
                "               screen is wide, and",
                "               that goes on after that",
                "hh:mm alice#2: table",
                "hh:mm   bob#2: name     value    unit",
                "               length   12       m",
                "                       indented",
                "[bob] >",
                "bob: pq, not verified | #2, seen #2",
            ],
        )

    def test_link(self):
        """A link that is longer than the screen is whole, and alone in its row."""
        self.chat()
        self.line("link")
        rows = self.wait_for("bob#1")
        start = rows.index("hh:mm   bob#1: see")
        self.assertRegex(rows[start + 1], r"\A    https://example.org/a/path/\S+/eighty/columns\Z")
        self.assertEqual(rows[start + 2], "    now")

    def test_long_input(self):
        """What is typed beyond the edge goes on in the next row, and lines still come above it."""
        self.chat()
        self.line("later")
        self.tmux("send-keys", "-l", "typing " * 12)
        self.wait_for("bob#1: hi there")
        rows = self.wait_until(lambda rows: "seen #1" in rows[-1] and "typing" in rows[-2])
        start = next(index for index, row in enumerate(rows) if row.startswith("[bob] >"))
        self.assertEqual("".join(row.ljust(40) for row in rows[start:-1]).split(), ["[bob]", ">", *["typing"] * 12])
        self.assertEqual(rows[start - 1], "hh:mm   bob#1: hi there")


class PlainScreens(Screens):
    """In plain mode: the same abilities, written forward."""

    arguments = ("--plain",)
    ready = "/quit leaves"

    def chat(self):
        self.line("/connect bob")
        self.wait_for("you write to bob")

    def test_talk(self):
        """Every line once, the prompt where something is typed, what a bar would show in lines."""
        self.chat()
        for text in ("hello", "table"):
            self.line(text)
            self.wait_for(f": {text}")
        self.wait_for("indented")
        self.press("/", "s", "t", "a", "t", "Tab")
        self.wait_for("/status")
        self.press("Enter")
        rows = self.wait_for("-- bob: delivered #2, seen #2")
        self.assertEqual(
            [row for row in rows if "delivered, seen" not in row][:10],
            [
                "-- /help lists the commands, /quit leaves",
                "> /connect bob",
                "hh:mm -- you write to bob: direct, post-quantum, not verified",
                "[bob] > hello",
                "hh:mm alice#1: hello",
                "[bob] > table",
                "hh:mm alice#2: table",
                "hh:mm   bob#1:",
                "  name     value    unit",
                "  length   12       m",
            ],
        )

    def test_clear(self):
        """Nothing is drawn, so nothing is cleared, and that is said."""
        self.chat()
        self.line("/clear")
        rows = self.wait_for("-- nothing is drawn here, so there is nothing to clear")
        self.assertIn("> /connect bob", rows)

    def test_held(self):
        """What comes while one types waits until that is entered; a deleted character is gone."""
        self.chat()
        self.line("later")
        self.wait_for("alice#1: later")
        self.tmux("send-keys", "-l", "whole senx")
        self.press("BSpace")
        self.line("tence")
        rows = self.wait_for("alice#2: whole sentence")
        self.assertIn("[bob] > whole sentence", rows)
        self.wait_for("bob#1: hi there")

    def test_several_lines(self):
        """/paste takes lines as one message, Esc-Enter too; Ctrl-R brings back what was typed."""
        self.chat()
        for text in ("/paste", "one", "two", "."):
            self.line(text)
        rows = self.wait_for("alice#1:")
        start = rows.index("hh:mm alice#1:")
        self.assertEqual(rows[start + 1 : start + 3], ["  one", "  two"])
        self.tmux("send-keys", "-l", "three")
        self.press("Escape", "Enter")
        self.line("four")
        self.wait_for("  four")
        self.tmux("send-keys", "-l", "thr")
        self.press("C-r")
        self.wait_for("four")
        self.press("Enter")
        self.wait_for("alice#3:")
