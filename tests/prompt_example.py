"""
The prompt over an api in memory, as a twistd plugin: what tests/test_prompt.py starts in a real terminal.

Some messages make something happen: `later` brings a line half a second after, `flood` brings 5,000 at once,
`crash` makes the drawing fail.
"""

import time
from pathlib import Path

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.tap.process import DaemonOptions, Process
from p2pchat.ui.front import front_end
from tests.fake_api import BOB, FakeApi

FLOOD = 5_000


class Options(DaemonOptions):
    """Only --state."""

    role = "prompt"

    def configure(self):
        self.settings = PeerSettings(state=Path(self["state"]).absolute())
        return self.settings.state


class Lively(FakeApi):
    """Bob says something at certain words."""

    def __init__(self, reactor, front):
        super().__init__()
        self.reactor, self.front = reactor, front
        self.entry = 0

    def execute(self, command):
        if isinstance(command, api.Say):
            match command.text:
                case "later":
                    self.reactor.callLater(0.5, self.says, "hi there")
                case "flood":
                    self.reactor.callLater(0, lambda: [self.says(f"flood {n}") for n in range(1, FLOOD + 1)])
                case "crash":
                    self.front()._prompt._painted = lambda line, width: 1 / 0
        return super().execute(command)

    def says(self, text):
        self.entry += 1
        self.tell(api.Said(person=BOB, number=self.entry, text=text, kind="text", at=0, entry=self.entry))


def makeService(options):
    from twisted.internet import reactor

    process = Process(options, reactor)
    fake = Lively(reactor, lambda: front)
    front = front_end(options.settings, fake, reactor, time.time, process.finish, True)
    front.setServiceParent(process)
    reactor.callWhenRunning(front.begin)
    return process
