"""twistd's door to a peer: its options, and how its parts are put together."""

import os
import time
from pathlib import Path
from typing import cast

from p2pchat.config import DIAL_PORT, LISTEN_PORT, PeerSettings, default_state, parse_path, parse_port, parse_timeout
from p2pchat.core.identity import JoinLink, parse_join_link
from p2pchat.ui.front import front_end
from p2pchat.ui.prompt import IFrontReactor

from .process import DaemonOptions, Process


class Options(DaemonOptions):
    """What `twistd p2pchat-peer --help` shows."""

    role = "peer"

    longdesc = (
        "A chat peer. With a terminal (twistd -n) it shows a prompt; with --to it sends a file or a pipe line by line "
        "and ends when all of it is delivered; otherwise it runs unattended, tells on standard output what happens, "
        "and takes the prompt's commands from standard input. Exit codes: 0 done, 1 failed, 2 wrong options, "
        "3 not delivered, 4 refused, 5 no such contact."
    )

    synopsis = "[options]"

    optParameters = [
        ["name", None, None, "The name to register under, a-z 0-9 . _ -; remembered."],
        ["listen-port", None, str(LISTEN_PORT), "Where to listen for peers; any free one if it is taken; 0: any."],
        ["dial-port", None, str(DIAL_PORT), "The source port for whatever is dialled; 0: any."],
        ["interface", None, "", "The IP address to listen on; by default all of this machine."],
        ["to", None, None, "Connect to this contact (its name or whole id) at the start."],
        ["input", None, None, "Send every line of this file to --to, and end when all are delivered; -: a pipe."],
        ["transcript", None, None, "Append both sides of all chats to this file, with numbers and receipts."],
        ["accept", None, None, "Who may chat: ask (a person decides), contacts, all. Default: p2pchat accept."],
        ["timeout", None, None, "Seconds without a delivery after which --input gives up (exit code 3)."],
    ]

    optFlags = [
        ["trust-first", None, "Let --to take whoever holds that name at the server now."],
        ["plain", None, "At a terminal: lines only, nothing drawn; for screen readers and braille displays."],
    ]

    settings: PeerSettings
    terminal = False
    """Whether a person sits there."""

    def __init__(self) -> None:
        super().__init__()
        self._links: list[JoinLink] = []

    def opt_join(self, link: str) -> None:
        """Join this server, beside those that are remembered (its join link); may be repeated."""
        self._links.append(parse_join_link(link))

    def configure(self) -> Path:
        """Check the options, keep what they mean, give the state directory. Raises UserError."""
        self.heard = not self.detaches and not all(map(_discards, (0, 1)))
        self.terminal = not self.detaches and os.isatty(0) and os.isatty(1) and self["input"] is None
        self.settings = PeerSettings(
            state=parse_path(self["state"], "--state") if self["state"] is not None else default_state("peer"),
            name=self["name"],
            join=tuple(self._links),
            listen_port=parse_port(self["listen-port"], "--listen-port"),
            dial_port=parse_port(self["dial-port"], "--dial-port"),
            interface=self["interface"],
            accept=self["accept"],
            accept_else="ask" if self.terminal else "contacts",
            to=self["to"],
            input=_input(self["input"]),
            transcript=parse_path(self["transcript"], "--transcript") if self["transcript"] is not None else None,
            timeout=parse_timeout(self["timeout"]) if self["timeout"] is not None else None,
            trust_first=bool(self["trust-first"]),
            plain=bool(self["plain"]),
        )
        return self.settings.state


def _discards(descriptor: int) -> bool:
    """Whether nothing comes from there, and what goes there is lost."""
    return os.fstat(descriptor).st_rdev == os.stat(os.devnull).st_rdev


def _input(name: str | None) -> str | None:
    return name if name in (None, "-") else str(parse_path(name or "", "--input"))


def makeService(options: Options) -> Process:
    """A peer with its front end, under a process."""
    from twisted.internet import reactor

    from p2pchat.peer.service import PeerService

    process = Process(options, reactor)
    peer = PeerService(options.settings, reactor)
    peer.on_stop_asked(process.finish)
    peer.setServiceParent(process)
    front = front_end(
        options.settings,
        peer,
        cast(IFrontReactor, reactor),
        time.time,
        process.finish,
        options.terminal,
        options.heard,
    )
    front.setServiceParent(process)

    def begin() -> str:
        front.begin()
        return ""

    process.started_by(peer.started, begin)
    return process
