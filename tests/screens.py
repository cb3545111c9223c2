"""The prompt of tests/prompt_example.py in a real terminal: tmux, whose panes are captured."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

PLUGIN = """
from twisted.application.service import ServiceMaker
prompt = ServiceMaker("prompt", "tests.prompt_example", "for tests", "p2pchat-prompt")
"""

ROOT = Path(__file__).resolve().parent.parent
TIME = re.compile(r"^\d\d:\d\d ")

PATIENCE = 120
"""Seconds after which something does not happen any more."""


class Screens(SynchronousTestCase):
    """A person at a terminal of `columns` by 24."""

    columns = 80
    arguments: tuple[str, ...] = ()
    ready = ">"

    def setUp(self):
        if shutil.which("tmux") is None:
            raise SkipTest("needs tmux")
        self.directory = Path(self.mktemp()).absolute()
        plugins = self.directory / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "prompt_plugin.py").write_text(PLUGIN)
        self.socket = f"p2pchat-test-{os.getpid()}-{id(self)}"
        self.addCleanup(self.tmux, "kill-server", check=False)
        run = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
        words = [sys.executable, "-c", run, "-n", "p2pchat-prompt", "--state", str(self.directory / "state")]
        words += self.arguments
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
            *("-f", str(configuration), "new-session", "-d", "-x", str(self.columns), "-y", "24"),
            f"sh {shlex.quote(str(script))}",
        )
        self.wait_for("/help lists the commands")
        self.wait_for(self.ready)

    def tmux(self, *arguments, check=True):
        return subprocess.run(
            ["tmux", "-u", "-L", self.socket, *arguments], capture_output=True, text=True, check=check, timeout=PATIENCE
        ).stdout

    def pane(self, history=0):
        """What is on the screen; the last row is the bar, and the one before it the input."""
        rows = self.tmux("capture-pane", "-p", "-J", "-S", f"-{history}").rstrip("\n").split("\n")
        return [TIME.sub("hh:mm ", row).rstrip() for row in rows]

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
