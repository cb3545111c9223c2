"""`twistd p2pchat-server`: the options of a rendezvous server, and the service that they make."""

import sys
from pathlib import Path

from p2pchat.config import CAPACITY, SERVER_PORT, ServerSettings, default_state, parse_capacity, parse_path, parse_port
from p2pchat.server.service import RendezvousService
from p2pchat.tap.process import DaemonOptions, Process


class Options(DaemonOptions):
    """What a person may say about a rendezvous server; `settings` is what it means."""

    role = "server"
    synopsis = "[options]"
    longdesc = (
        "Runs a rendezvous server: it introduces the peers of a chat to each other, and reads no message. "
        "At its start it prints the links by which peers join."
    )

    optParameters = [
        ["port", None, str(SERVER_PORT), "Where peers connect; 0 takes any free port."],
        ["interface", None, None, "The IP address to listen on. [default: all, IPv4 and IPv6]"],
        ["certificate", None, None, "PEM of a certificate by an authority, with its chain; else the own key is shown."],
        ["key", None, None, "PEM of the private key of --certificate."],
        ["capacity", None, str(CAPACITY), "Most peers online at a time."],
        ["admin-group", None, None, "A group whose members may use the local socket too."],
    ]
    optFlags = [["open", None, "Admit peers from public addresses too, not only from private ones."]]

    settings: ServerSettings

    def __init__(self) -> None:
        super().__init__()
        self._hosts: list[str] = []

    def opt_host(self, name: str) -> None:
        """A name or address for the join links; may be given several times. [default: found out]"""
        self._hosts.append(name)

    def configure(self) -> Path:
        """Check the options; raises UsageError."""
        state = parse_path(self["state"], "--state") if self["state"] is not None else default_state("server")
        self.settings = ServerSettings(
            state=state,
            port=parse_port(self["port"], "--port"),
            interface=self["interface"] or "",
            hosts=tuple(self._hosts),
            certificate=self._file("certificate"),
            key=self._file("key"),
            capacity=parse_capacity(self["capacity"]),
            open=bool(self["open"]),
            admin_group=self["admin-group"],
        )
        return self.settings.state

    def _file(self, option: str) -> Path | None:
        return None if self[option] is None else parse_path(self[option], f"--{option}")


def makeService(options: Options) -> Process:
    """The root of the server's services."""
    from twisted.internet import reactor

    process = Process(options, reactor)
    service = RendezvousService(options.settings, reactor, process.finish)
    service.setServiceParent(process)
    process.started_by(service.started, lambda: _say(options, service.words()))
    return process


def _say(options: Options, words: str) -> str:
    """Show the words in the terminal of a foreground process; a daemon's are shown by whoever waits for it."""
    if not options.detaches and sys.__stdout__ is not None:
        # twistd has put its log in the place of sys.stdout.
        print(words, file=sys.__stdout__, flush=True)
    return words
