"""p2pchat.ui.prompt in a real terminal (tmux)."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from tests.prompt_example import FLOOD

PLUGIN = """
from twisted.application.service import ServiceMaker
prompt = ServiceMaker("prompt", "tests.prompt_example", "for tests", "p2pchat-prompt")
"""

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120
"""Seconds after which something does not happen any more."""


@skipUnless(shutil.which("tmux"), "needs tmux")
class PromptTests(SynchronousTestCase):
    """A person at 80 by 24."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        plugins = self.directory / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "prompt_plugin.py").write_text(PLUGIN)
        self.socket = f"p2pchat-test-{os.getpid()}-{id(self)}"
        self.addCleanup(self.tmux, "kill-server", check=False)
        run = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
        words = [sys.executable, "-c", run, "-n", "p2pchat-prompt", "--state", str(self.directory / "state")]
        script = self.directory / "script"
        script.write_text(
            f"export LC_ALL=C.UTF-8 PYTHONPATH={shlex.quote(f'{self.directory}:{ROOT}')}\n"
            f"cd {shlex.quote(str(self.directory))}\n"
            f"{shlex.join(words)}; echo code $?\n"
            "stty -a | tr ';' '\\n' | grep -ow -e '-*icanon' -e '-*echo'; exec cat\n"
        )
        configuration = self.directory / "tmux.conf"
        configuration.write_text("set -g history-limit 20000\nset -g default-terminal screen-256color\n")
        self.tmux(
            "-f", str(configuration), "new-session", "-d", "-x", "80", "-y", "24", f"sh {shlex.quote(str(script))}"
        )
        self.wait_for("/help lists the commands")
        self.wait_for(">")

    def tmux(self, *arguments, check=True):
        return subprocess.run(
            ["tmux", "-u", "-L", self.socket, *arguments], capture_output=True, text=True, check=check, timeout=PATIENCE
        ).stdout

    def pane(self, history=0):
        return self.tmux("capture-pane", "-p", "-J", "-S", f"-{history}").rstrip("\n").split("\n")

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def line(self, text):
        self.tmux("send-keys", "-l", text)
        self.press("Enter")

    def wait_for(self, text, history=0):
        end = time.monotonic() + PATIENCE
        rows = self.pane(history)
        while not any(text in row for row in rows):
            self.assertLess(time.monotonic(), end, f"no {text!r} in:\n" + "\n".join(rows) + self.log())
            time.sleep(0.05)
            rows = self.pane(history)
        return rows

    def wait_until(self, condition):
        """Until what is on the screen fulfils it."""
        end = time.monotonic() + PATIENCE
        while not condition(rows := self.pane()):
            self.assertLess(time.monotonic(), end, "\n".join(rows))
            time.sleep(0.1)
        return rows

    def log(self):
        file = self.directory / "state" / "log"
        return file.read_text() if file.exists() else ""

    def chat(self):
        self.line("/connect bob")
        self.wait_for("[bob] >")

    def assert_left(self, code):
        """The process is gone, and the terminal is as it was."""
        rows = self.wait_for(f"code {code}")
        rows = self.wait_for("echo")
        self.assertEqual([row for row in rows if row.strip() in ("icanon", "echo")], ["icanon", "echo"])

    def test_talk(self):
        """The prompt names the chat; what is typed is sent, and shown with its number."""
        self.chat()
        self.line("héllo 日本")
        self.wait_for("alice#1: héllo 日本")

    def test_no_chat(self):
        """A line that goes to nobody is back in the input."""
        self.line("precious")
        self.wait_for("no chat is the current one")
        self.assertEqual(self.wait_for("> precious")[-1], "> precious")

    def test_incoming_does_not_split(self):
        """What arrives while one types is shown above, and the input stays whole."""
        self.chat()
        self.line("later")
        self.wait_for("alice#1: later")
        self.tmux("send-keys", "-l", "half a sen")
        self.wait_for("  bob#1: hi there")
        self.wait_until(lambda rows: rows[-1] == "[bob] > half a sen")
        self.line("tence")
        self.wait_for("alice#2: half a sentence")

    def test_flood(self):
        """5,000 lines at once: all are there, in order, nothing else between, and the prompt below."""
        self.chat()
        self.line("flood")
        self.tmux("send-keys", "-l", "still here")
        self.wait_for(f"flood {FLOOD}")
        rows = [row.strip() for row in self.pane(FLOOD + 100)]
        flood = [row for row in rows if "flood " in row]
        self.assertEqual(flood, [f"bob#{n}: flood {n}" for n in range(1, FLOOD + 1)])
        self.assertEqual(self.wait_for("[bob] > still here")[-1], "[bob] > still here")

    def test_ctrl_c(self):
        """Ctrl-C clears the line; twice leaves, with the terminal as it was."""
        self.tmux("send-keys", "-l", "something")
        self.wait_for("> something")
        self.press("C-c")
        self.wait_until(lambda rows: rows[-1].strip() == ">")
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
        start = rows.index("alice#1: one")
        self.assertEqual(rows[start : start + 3], ["alice#1: one", "  | /quit", "  | three"])

    def test_escape_enter(self):
        """Esc-Enter begins another line of the same message."""
        self.chat()
        self.tmux("send-keys", "-l", "one")
        self.press("Escape", "Enter")
        self.line("two")
        rows = self.wait_for("alice#1: one")
        self.assertIn("  | two", rows)

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
