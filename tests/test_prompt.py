"""p2pchat.ui.prompt in a real terminal (tmux)."""

import time
from pathlib import Path
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.ui.drawing import told
from p2pchat.ui.prompt import Prompt
from tests.prompt_example import FLOOD
from tests.screens import PATIENCE, Screens


class WaitingTests(SynchronousTestCase):
    """Lines that wait for a terminal that takes none."""

    def test_left_out_in_place(self):
        """What is left out is counted where it would stand: before what comes once there is room again."""
        prompt = Prompt(Clock(), mock.Mock(), "", lambda: 0.0, Path("."), plain=True)
        with mock.patch("p2pchat.ui.prompt.WAITING_LINES", 3), mock.patch("p2pchat.ui.prompt.AT_ONCE", 2):
            for text in "abcde":
                prompt.show(told(text))
            written = prompt._take()
            prompt.show(told("f"))
            written += prompt._take() + prompt._take(everything=True)
        words = [line.text for line, _ in written]
        self.assertEqual(words, ["a", "b", "c", "2 lines were left out here: the terminal took none", "f"])

    def test_long_lines(self):
        """Long lines are left out as soon as they are much together, however few they are, and counted off again."""
        prompt = Prompt(Clock(), mock.Mock(), "", lambda: 0.0, Path("."), plain=True)
        for _ in range(2):
            for _ in range(1_000):
                prompt.show(told("x" * 16_384))
            lengths = [len(line.text) for line, _ in prompt._take(everything=True)]
            self.assertEqual(lengths[:-1], [16_384] * 512)


class PromptTests(Screens):
    """A person at 80 by 24."""

    def test_talk(self):
        """The prompt names the chat; what is typed is sent, and shown with its number."""
        self.chat()
        self.line("héllo 日本")
        self.wait_for("alice#1: héllo 日本")

    def test_suspend(self):
        """Ctrl-Z, by which nothing here is suspended, puts no control character into a message."""
        self.chat()
        self.press("a", "C-z", "b", "Enter")
        self.wait_for("alice#1: ab")

    def test_no_chat(self):
        """A line that goes to nobody is out of the way of the command that is advised, and back behind it."""
        self.line("precious")
        self.wait_for("no chat is the current one")
        self.wait_for("comes back behind your next command")
        self.wait_until(lambda rows: rows[-2] == ">")
        self.line("/contacts")
        self.wait_until(lambda rows: rows[-2] == ">")
        self.line("/msg bob")
        self.wait_until(lambda rows: rows[-2] == "[bob] > precious")
        self.press("Enter")
        self.wait_for("alice#1: precious")

    def test_several_that_go_to_nobody(self):
        """Of several refused lines none takes the place of another: they come back together."""
        self.line("precious")
        self.wait_for("comes back behind your next command")
        self.line("as well")
        self.wait_until(lambda rows: sum("no chat is the current one" in row for row in rows) == 2 and rows[-2] == ">")
        self.line("/msg bob")
        self.wait_until(lambda rows: rows[-3:-1] == ["[bob] > precious", "as well"])
        self.press("Enter")
        self.wait_for("alice#1: precious")

    def test_refused_with_a_name(self):
        """A message that named its chat is out of the way too, though it was a command itself."""
        self.chat()
        self.line("/msg nobody precious")
        self.wait_for("comes back behind your next command")
        self.wait_until(lambda rows: rows[-2] == "[bob] >")
        self.line("/contacts")
        self.wait_until(lambda rows: rows[-2] == "[bob] > /msg nobody precious")

    def test_command_without_its_slash(self):
        """A command that lacks its slash is not in the way of the one that has it."""
        self.line("exit")
        self.wait_for("did you mean /exit?")
        self.line("/msg bob")
        self.wait_until(lambda rows: rows[-2] == "[bob] >")

    def test_incoming_does_not_split(self):
        """What arrives while one types is shown above, and the input stays whole."""
        self.chat()
        self.line("later")
        self.wait_for("alice#1: later")
        self.tmux("send-keys", "-l", "half a sen")
        self.wait_for("hh:mm   bob#1: hi there")
        self.wait_until(lambda rows: rows[-2] == "[bob] > half a sen")
        self.line("tence")
        self.wait_for("alice#2: half a sentence")

    def test_flood(self):
        """5,000 lines at once: all are there, in order, nothing else between, and the prompt below."""
        self.chat()
        self.line("flood")
        self.tmux("send-keys", "-l", "still here")
        self.wait_for(f"flood {FLOOD}")
        flood = [row for row in self.pane(FLOOD + 100) if "flood " in row]
        self.assertEqual(flood, [f"hh:mm   bob#{n}: flood {n}" for n in range(1, FLOOD + 1)])
        self.wait_until(lambda rows: rows[-2] == "[bob] > still here")

    def test_ctrl_c(self):
        """Ctrl-C clears the line; twice leaves, with the terminal as it was."""
        self.tmux("send-keys", "-l", "something")
        self.wait_for("> something")
        self.press("C-c")
        self.wait_until(lambda rows: rows[-2] == ">")
        self.press("C-c")
        answer = self.wait_until(lambda rows: "code 0" in rows or any("again leaves" in row for row in rows))
        if "code 0" not in answer:  # on a slow machine the two were too far apart
            self.press("C-c")
        self.assert_left(0)

    def test_ctrl_c_once(self):
        """Ctrl-C on an empty line says what a second one does."""
        self.press("C-c")
        self.wait_for("Ctrl-C again leaves")

    def test_ctrl_d(self):
        """Ctrl-D on an empty line leaves."""
        self.press("C-d")
        self.assert_left(0)

    def test_quit(self):
        """/quit leaves."""
        self.line("/quit")
        self.assert_left(0)

    def test_paste_is_one_message(self):
        """A pasted text of several lines is one message."""
        self.chat()
        self.tmux("set-buffer", "one\n/quit\nthree")
        self.tmux("paste-buffer", "-p")
        self.wait_for("three")
        self.press("Enter")
        rows = self.wait_for("alice#1: one")
        start = rows.index("hh:mm alice#1: one")
        self.assertEqual(rows[start : start + 3], ["hh:mm alice#1: one", f"{'':15}/quit", f"{'':15}three"])

    def test_escape_enter(self):
        """Esc-Enter begins another line of the same message."""
        self.chat()
        self.tmux("send-keys", "-l", "one")
        self.press("Escape", "Enter")
        self.line("two")
        rows = self.wait_for("alice#1: one")
        self.assertIn(f"{'':15}two", rows)

    def test_completion(self):
        """Tab completes commands and names."""
        self.chat()
        self.tmux("send-keys", "-l", "/conne")
        self.press("Tab")
        self.wait_for("/connect ")
        self.tmux("send-keys", "-l", "bo")
        self.press("Tab")
        self.wait_for("/connect bob")

    def test_history(self):
        """The last line comes back with the up key."""
        self.chat()
        self.line("again")
        self.wait_for("alice#1: again")
        self.press("Up", "Enter")
        self.wait_for("alice#2: again")

    def test_forgotten(self):
        """After /forget the up key brings back nothing of what was typed before; what is being typed stays."""
        self.chat()
        self.line("secret")
        self.wait_for("alice#1: secret")
        self.line("/forget bob yes")
        self.wait_for("3 messages deleted")
        self.tmux("send-keys", "-l", "new")
        self.press("Up", "Up", "Enter")
        self.wait_for("alice#2: new")
        self.press("Up", "Enter")
        self.wait_for("alice#3: new")

    def test_clear(self):
        """/clear and Ctrl-L leave an empty screen with the input; what is being typed stays, and the chat goes on."""
        self.chat()
        for number, clear in enumerate((lambda: self.line("/clear"), lambda: self.press("C-l")), 1):
            self.line(f"hello {number}")
            self.wait_for(f"alice#{number}: hello {number}")
            clear()
            self.wait_until(lambda rows: rows[0] == "[bob] >" and not any("hello" in row for row in rows))
        self.tmux("send-keys", "-l", "half a")
        self.wait_for("half a")
        self.press("C-l")
        self.line(" line")
        rows = self.wait_for("alice#3: half a line")
        self.assertEqual(rows[0], "hh:mm alice#3: half a line")

    def test_crash(self):
        """A UI that crashes is logged, gives the terminal back, and ends the peer in order."""
        self.chat()
        self.line("crash")
        self.wait_for("the terminal failed")
        self.assert_left(1)
        self.assertIn("ZeroDivisionError", self.log())
        self.assertIn("Server Shut Down", self.log())

    def test_terminal_hangs_up(self):
        """A terminal that is closed ends the peer in order."""
        self.tmux("kill-server")
        end = time.monotonic() + PATIENCE
        while "Server Shut Down" not in self.log():
            self.assertLess(time.monotonic(), end, self.log())
            time.sleep(0.05)
