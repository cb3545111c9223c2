"""Rows of the table of commands: this program, and the peer that it shows."""

from p2pchat import api

from .actions import Action, Clear, Detach, Help, Quit, Version
from .arguments import Row, nothing, words_in


def _help(rest: str, current: str | None) -> Action:
    words = words_in(rest, 1)
    return Help(words[0].lstrip("/").lower() if words else "")


def _ping(rest: str, current: str | None) -> Action:
    words = words_in(rest, 1)
    return api.Ping(who=words[0].removeprefix("@") if words else current or "")


def _reconnect(rest: str, current: str | None) -> Action:
    words = words_in(rest, 1)
    return api.Reconnect(who=words[0].removeprefix("@") if words else "")


PROGRAM_ROWS: tuple[Row, ...] = (
    Row("status", "", "server, chats, what waits", nothing(api.Status()), example="/status"),
    Row(
        "ping",
        "[NAME|server]",
        "how long an answer takes, and which way; without NAME in the current chat, or from the server",
        _ping,
        completes=("person",),
        example="/ping bob",
    ),
    Row(
        "reconnect",
        "[NAME|server]",
        "dial now instead of waiting; with NAME a link that seems dead is dropped first; what waits stays",
        _reconnect,
        completes=("person",),
        example="/reconnect bob",
    ),
    Row(
        "doctor",
        "",
        "look what is wrong, and how to mend it; takes some seconds",
        nothing(api.Examine()),
        example="/doctor",
    ),
    Row(
        "version",
        "",
        "of p2pchat, Python and the TLS library; also the peer's, where that is another process",
        nothing(Version()),
        example="/version",
    ),
    Row(
        "clear",
        "",
        "an empty screen; what the terminal keeps of earlier lines stays",
        nothing(Clear()),
        example="/clear",
    ),
    Row(
        "help",
        "[TOPIC | COMMAND | all]",
        "the most used commands; those of a topic, one, or all",
        _help,
        completes=("command",),
        example="/help people",
        common=True,
    ),
    Row(
        "stop",
        "",
        "end the peer, with all of its terminals; unsent messages wait",
        nothing(api.Stop()),
        example="/stop",
    ),
    Row(
        "detach",
        "",
        "leave, and let the peer go on; where this terminal is the peer: says how to have that",
        nothing(Detach()),
        example="/detach",
    ),
    Row(
        "quit",
        "",
        "leave; a peer that began with this terminal ends (twistd p2pchat-peer runs one without a terminal)",
        nothing(Quit()),
        ("exit", "q"),
        example="/quit",
        common=True,
    ),
)
