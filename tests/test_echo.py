"""p2pchat.ui.echo: what a terminal shows that is only written forward."""

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.text import Kind, clean
from p2pchat.ui.echo import Echo


class EchoTests(SynchronousTestCase):
    def setUp(self):
        self.echo = Echo()
        self.told = ""

    def type(self, *texts, prompt="[bob] > "):
        for text in texts:
            self.told += self.echo.show(prompt, text)

    def test_typing(self):
        """The prompt comes with the first character, then every character once."""
        self.type("", "h", "hi", "hi\n", "hi\nyou")
        self.assertEqual(self.told, "[bob] > hi\nyou")
        self.assertEqual(self.echo.leave(), "\n")
        self.assertEqual(self.echo.leave(), "")

    def test_deleting(self):
        """A character at the end is taken back, of two cells by two."""
        self.type("a日", "a", "")
        self.assertEqual(self.told, "[bob] > a日" + "\b \b" * 3)
        self.assertTrue(self.echo.is_empty)
        self.type("b")
        self.assertTrue(self.told.endswith("\bb"))

    def test_other_changes(self):
        """What is changed in its middle, recalled, or broken over lines is shown anew in a row of its own."""
        self.type("hello", "hallo", "/list")
        self.assertEqual(self.told, "[bob] > hello\n[bob] > hallo\n[bob] > /list")
        self.type("a\nb", "a")
        self.assertTrue(self.told.endswith("[bob] > a\nb\n[bob] > a"))

    def test_interrupted(self):
        """After a line that came, what was typed so far is shown again with the next key."""
        self.type("half")
        self.told += self.echo.leave() + "  bob#1: hi\n"
        self.type("half a")
        self.assertEqual(self.told, "[bob] > half\n  bob#1: hi\n[bob] > half a")

    def test_another_chat(self):
        """When another chat is named, the row that named the first is not gone on with."""
        self.type("a")
        self.type("ab", prompt="[carol] > ")
        self.assertEqual(self.told, "[bob] > a\n[carol] > ab")

    @given(st.lists(st.text(max_size=6), max_size=8))
    @settings(max_examples=150)
    def test_nothing_is_drawn(self, texts):
        """Whatever is typed, no control sequence is written, and the last row ends with what was typed."""
        echo, told = Echo(), ""
        for text in texts:
            told += echo.show("> ", text)
        self.assertNotIn("\x1b", told)
        self.assertNotIn("\r", told)
        shown = ""
        for character in told:
            shown = shown[:-1] if character == "\b" and shown else shown + character
        last = clean(texts[-1], Kind.BODY) if texts else ""
        self.assertTrue(not last or told.endswith("\b") or shown.endswith(last[-1]), (told, last))
