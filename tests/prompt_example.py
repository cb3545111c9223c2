"""
The prompt over an api in memory, as a twistd plugin: what the tests of the prompt start in a real terminal.

Some messages make something happen: `later` brings a line half a second after, `flood` brings 5,000 at once, `crash`
makes the drawing fail, `carol` makes somebody else speak, a name of SPEECHES makes bob say that. All but `unheard`
are delivered and seen.
"""

import time
from pathlib import Path

import msgspec

from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.tap.process import DaemonOptions, Process
from p2pchat.ui.front import front_end
from tests.fake_api import ALICE, BOB, CAROL, FakeApi

FLOOD = 5_000

SPEECHES = {
    "sentence": "a sentence that is longer than a narrow screen is wide, and that goes on after that",
    "table": "name     value    unit\nlength   12       m\n\tindented",
    "link": "see https://example.org/a/path/that/is/rather/long/and/goes/on/and/on/for/more/than/eighty/columns now",
    "japanese": "日本語の文は" * 8,
    "hebrew": "שלום עולם",
    "family": "a \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 b",
    "marks": "a" + "\u0301" * 10_000 + "b",
    "forgery": "hi\n-- server lost\n12:00 alice#9: I agree\n[bob] > /quit",
}

QUANTUM = "X25519MLKEM768"
FRIEND = msgspec.structs.replace(BOB, group=QUANTUM)
OTHER = msgspec.structs.replace(CAROL, group=QUANTUM, chat="open", path="direct")


class Options(DaemonOptions):
    """Only --state and --plain."""

    role = "prompt"

    optFlags = [["plain", None, ""]]

    def configure(self):
        self.settings = PeerSettings(state=Path(self["state"]).absolute(), plain=bool(self["plain"]))
        return self.settings.state


class Lively(FakeApi):
    """Bob says something at certain words."""

    def __init__(self, reactor, front):
        super().__init__(FRIEND, OTHER, ALICE)
        self.reactor, self.front = reactor, front
        self.entry = 0

    def execute(self, command):
        reply = super().execute(command)
        if isinstance(command, api.Say):
            self.reactor.callLater(0, self.react, command.text, self.number)
        return reply

    def react(self, text, number):
        if text != "unheard":
            self.tell(
                api.Delivered(person=FRIEND, numbers=(number,), at=0), api.Seen(person=FRIEND, numbers=(number,), at=0)
            )
        match text:
            case "later":
                self.reactor.callLater(0.5, self.says, "hi there")
            case "flood":
                for each in range(1, FLOOD + 1):
                    self.says(f"flood {each}")
            case "crash":
                self.front()._prompt._page.draw = lambda line, width: 1 / 0
                self.says("what is to be drawn")  # the terminal's thread may have drawn all that there was
            case "carol":
                self.tell(api.Opened(person=OTHER, again=False))
                self.says("hello from carol", OTHER)
            case _ if text in SPEECHES:
                self.says(SPEECHES[text])

    def says(self, text, who=FRIEND):
        self.entry += 1
        at = int(time.time() * 1000)
        self.tell(api.Said(person=who, number=self.entry, text=text, kind="text", at=at, entry=self.entry))


def makeService(options):
    from twisted.internet import reactor

    process = Process(options, reactor)
    fake = Lively(reactor, lambda: front)
    front = front_end(options.settings, fake, reactor, time.time, process.finish, True)
    front.setServiceParent(process)
    reactor.callWhenRunning(front.begin)
    return process
