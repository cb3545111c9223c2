"""The manual pages `p2pchat(1)` and `p2pchat-server(1)`, in the language of man(7)."""

import re
from collections.abc import Iterable, Iterator

from .. import __version__
from ..ui.arguments import TOPICS
from ..ui.commands import TABLE
from ..ui.help import WRITING
from .grammar import Command, Option, Value, command_line

EXIT_CODES = (
    ("0", "done; of what was sent: delivered"),
    ("1", "failed"),
    ("2", "wrong words"),
    ("3", "not in time"),
    ("4", "refused"),
    ("5", "no such contact"),
    ("6", "no daemon runs"),
)

SERVER_COMMANDS = ("server", "link", "roster", "status", "stop")
"""What the operator of a server uses."""


def peer_page() -> str:
    """p2pchat(1)."""
    whole = command_line()
    commands = [command for command in whole.all() if command.path and command.path != "server"]
    return _page(
        [
            *_title("P2PCHAT"),
            *_section("NAME", [r"p2pchat \- private chat between machines that people run themselves"]),
            *_section("SYNOPSIS", [*_synopsis(whole), ".br", r"\fBp2pchat\fR \fICOMMAND\fR [options]"]),
            *_section("DESCRIPTION", _about_peer()),
            *_section("OPTIONS", _options(whole.options)),
            *_section("COMMANDS", (line for command in commands for line in _subsection(command))),
            *_section("AT THE PROMPT", _prompt()),
            *_section("FILES", _files("peer", "identity, contacts, messages, log, local socket")),
            *_section("EXIT STATUS", _exit_status()),
            *_section("ENVIRONMENT", _environment()),
            *_section("SEE ALSO", [r"\fBp2pchat-server\fR(1), \fBtwistd\fR(1)"]),
        ]
    )


def server_page() -> str:
    """p2pchat-server(1)."""
    commands = {command.path: command for command in command_line().all()}
    server = commands["server"]
    return _page(
        [
            *_title("P2PCHAT-SERVER"),
            *_section("NAME", [r"p2pchat-server \- the rendezvous server of p2pchat"]),
            *_section(
                "SYNOPSIS",
                [
                    *_synopsis(server),
                    ".br",
                    r"\fBtwistd\fR [\fB\-n\fR] \fBp2pchat\-server\fR [options]",
                    *(line for name in SERVER_COMMANDS[1:] for line in (".br", *_synopsis(commands[name]))),
                ],
            ),
            *_section("DESCRIPTION", _about_server()),
            *_section("OPTIONS", _options(server.options)),
            *_section("COMMANDS", (line for name in SERVER_COMMANDS[1:] for line in _subsection(commands[name]))),
            *_section("FILES", _files("server", "key, names, log, local socket")),
            *_section("EXIT STATUS", _exit_status()),
            *_section("SEE ALSO", [r"\fBp2pchat\fR(1), \fBtwistd\fR(1)"]),
        ]
    )


# --- what is said here and nowhere else


def _about_peer() -> list[str]:
    return [
        *_text(
            "Chats go straight from peer to peer over mutual TLS 1.3, and through no server; a rendezvous server shows "
            "peers to each other. Messages are on the disk before they count as sent, numbered, and delivered in order "
            "and once, also over a crash, a lost link or a changed address."
        ),
        ".PP",
        *_text(
            "Without a command it starts your peer at this terminal, or attaches the terminal to the peer if it runs. "
            "The first time it asks three things: a join link, a name, and who may chat."
        ),
    ]


def _about_server() -> list[str]:
    return [
        *_text(
            "The rendezvous server keeps who is online, under which identity and at which address, and shows it to "
            "peers and to whoever runs the machine. It never has a readable message. If it ends, running chats go on."
        ),
        ".PP",
        *_text(
            "twistd p2pchat-server runs it in the background, with a log and a pid file in its directory; "
            "p2pchat server --print-unit prints a unit for systemd. At its start it prints the links by which peers "
            "join."
        ),
    ]


def _prompt() -> Iterator[str]:
    yield from _text(f"What begins with a slash is a command; {WRITING}. At the prompt /help says the same by topic.")
    for topic, words in TOPICS.items():
        yield f".SS {_escaped(f'{topic}: {words}')}"
        for row in TABLE:
            if row.topic == topic:
                aliases = f" Also {', '.join(f'/{alias}' for alias in row.aliases)}." if row.aliases else ""
                yield from _tagged(
                    rf"\fB{_escaped(f'/{row.name}')}\fR {_escaped(row.arguments)}".rstrip(),
                    f"{_sentence(row.help)}{aliases} Such as: {row.example}",
                )


def _files(role: str, what: str) -> list[str]:
    return _tagged(rf"\fI{_escaped(f'~/.local/share/p2pchat/{role}')}\fR", f"{_sentence(what)} --state names another.")


def _exit_status() -> Iterator[str]:
    for code, meaning in EXIT_CODES:
        yield from _tagged(rf"\fB{code}\fR", _sentence(meaning))


def _environment() -> Iterator[str]:
    yield from _tagged(r"\fBXDG_DATA_HOME\fR", "Where the directories above are, instead of ~/.local/share.")
    yield from _tagged(r"\fBSTATE_DIRECTORY\fR", "The directory itself, as systemd gives it.")
    yield from _tagged(r"\fBNO_COLOR\fR", "Set: the prompt uses no colour.")
    yield from _tagged(r"\fBTERM\fR, \fBTERM_PROGRAM\fR", "How the terminal tells of what you do not look at.")


# --- commands


def _subsection(command: Command) -> Iterator[str]:
    yield f".SS {_escaped(command.path)}"
    yield from _synopsis(command)
    yield ".PP"
    yield from _text(" ".join(command.description.split()))
    for operand in command.operands:
        yield from _tagged(rf"\fI{_escaped(operand.name)}\fR", _sentence(operand.help))
    yield from _options(command.options)
    if command.epilog:
        yield from (".PP", ".nf", *map(_line, command.epilog.splitlines()), ".fi")


def _options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        if option.name != "--help":
            yield from _tagged(_option(option), _sentence(option.help))


def _synopsis(command: Command) -> list[str]:
    words = [rf"\fB{_escaped(f'p2pchat {command.path}'.strip())}\fR"]
    for option in command.options:
        if option.name != "--help":
            words.append(_option(option) if option.required else f"[{_option(option)}]")
    if command.commands:
        words.append("|".join(rf"\fB{_escaped(each.name)}\fR" for each in command.commands if command.path))
    words += [_operand(operand) for operand in command.operands]
    return [" ".join(word for word in words if word)]


def _option(option: Option) -> str:
    name = rf"\fB{_escaped(option.name)}\fR"
    if option.value is None:
        return name
    value = "|".join(option.value.words) if option.value.words else option.value.name
    return rf"{name} \fI{_escaped(value)}\fR"


def _operand(operand: Value) -> str:
    shown = rf"\fI{_escaped(operand.name)}\fR{'...' if operand.many else ''}"
    return f"[{shown}]" if operand.optional else shown


# --- the language


def _page(lines: Iterable[str]) -> str:
    return "\n".join([r".\" Made from the tables of options and commands by tests/make_manual.py.", *lines]) + "\n"


def _title(name: str) -> list[str]:
    """Without a date, which would be that of a build; and nothing is hyphenated, least of all a command."""
    return [f'.TH {name} 1 "" "p2pchat {__version__}"', ".nh"]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [f".SH {title}", *lines]


def _tagged(tag: str, text: str) -> list[str]:
    return [".TP", tag, *_text(text)]


def _text(text: str) -> list[str]:
    """Each sentence on a line of its own, so that a change of one shows as such."""
    return [_line(sentence) for sentence in re.split(r"(?<=[.!?]) (?=[A-Z])", text)]


def _line(text: str) -> str:
    escaped = _escaped(text)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    r"""A hyphen stays what can be copied into a shell (\-), and a backslash is none of the language's."""
    return text.replace("\\", r"\e").replace("-", r"\-")


def _sentence(text: str) -> str:
    if text.split(" ")[0].strip(",;:").isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
