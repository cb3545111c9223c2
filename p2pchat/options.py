"""
The words of the `p2pchat` command: subcommands, options, and their help.

Only words: what they mean is done in `oneshot`. The options of `server` and `peer` are those of the twistd plugins
of the same names, to which they are handed on as they were typed; here they stand for their help and so that a
wrong one is told before anything is imported.
"""

from typing import Any

from . import __version__
from .config import ACCEPT_WHOM
from .daemon_options import add_peer_options, add_plain_option, add_server_options
from .message_options import add_recv_options, add_send_options
from .option_parts import Parser, add_command, add_json, add_name, add_state, descriptor_of, path_of


def make_parser() -> Parser:
    """The whole command line; `command` is the subcommand ("contact add") or empty."""
    parser = Parser(
        prog="p2pchat",
        usage="p2pchat [--state DIR] [--plain]\n       p2pchat COMMAND [options]",
        description="Private chat between machines that people run themselves.\n"
        "Without a command: start your peer, or attach this terminal to it if it runs.",
        epilog="p2pchat COMMAND --help says more about each.",
    )
    parser.add_argument("--version", action="version", version=f"p2pchat {__version__}", help="print it and exit")
    parser.add_argument("--state", metavar="DIR", type=path_of("--state"), help="the peer's directory")
    add_plain_option(parser, False)
    parser.set_defaults(command="")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    _add_server(commands)
    _add_peer(commands)
    _add_join(commands)
    _add_link(commands)
    _add_roster(commands)
    _add_status(commands)
    _add_stop(commands)
    _add_doctor(commands)
    _add_attach(commands)
    _add_send(commands)
    _add_recv(commands)
    _add_contact(commands)
    _add_identity(commands)
    _add_recover(commands)
    _add_notify(commands)
    _add_accept(commands)
    _add_completion(commands)
    return parser


# --- the daemons


def _add_server(commands: Any) -> None:
    parser = add_command(
        commands,
        "server",
        "run the rendezvous server",
        "Run the rendezvous server in the foreground: it introduces peers to each other and reads no message. The same "
        "as `twistd -n p2pchat-server`; `twistd p2pchat-server` runs it in the background.",
    )
    add_state(parser, "server")
    add_server_options(parser)


def _add_peer(commands: Any) -> None:
    parser = add_command(
        commands,
        "peer",
        "run a peer",
        "Run a peer in the foreground: chat at this terminal, or send a file or a pipe. The same as `twistd -n "
        "p2pchat-peer`; `twistd p2pchat-peer` runs it in the background.",
        "examples:\n"
        "  p2pchat peer --join 'p2pchat://lab1:8888/#f3qz...' --name alice\n"
        "  p2pchat peer --to bob --input notes.txt --transcript chat.txt\n"
        "  make 2>&1 | p2pchat peer --to bob --input - --timeout 600",
    )
    add_state(parser, "peer")
    add_name(parser)
    add_peer_options(parser)


# --- the rest


def _add_join(commands: Any) -> None:
    parser = add_command(
        commands,
        "join",
        "join a server",
        "Join a server: its address and its key are remembered, and your peer goes online there from then on. A join "
        "link (the operator's `p2pchat link`) names the key. With an address alone, the server is asked for its key, "
        "and you are shown its fingerprint to compare.",
    )
    parser.add_argument("link", metavar="LINK", help="p2pchat://HOST:PORT/#KEY, or HOST[:PORT]")
    add_name(parser)
    add_state(parser, "peer")


def _add_link(commands: Any) -> None:
    parser = add_command(
        commands,
        "link",
        "print the server's join links",
        "Print the links by which peers join the server of this machine, one a line.",
    )
    add_state(parser, "server")


def _add_roster(commands: Any) -> None:
    parser = add_command(
        commands,
        "roster",
        "show who is online at the server",
        "Show who is online at the server of this machine.",
        "With --json each peer is one JSON object on a line of its own; with --watch as well, each\n"
        'line is {"change": "came", "went" or "changed", "row": {...}}.',
    )
    parser.add_argument("--watch", action="store_true", help="go on and show changes, until Ctrl-C")
    add_json(parser)
    add_state(parser, "server")


def _add_status(commands: Any) -> None:
    parser = add_command(
        commands,
        "status",
        "say how the running server or peer is",
        "Say how the server and the peer of this machine are, as far as they run. Exits with 6 if neither does.",
    )
    add_json(parser)
    add_state(parser, None)


def _add_stop(commands: Any) -> None:
    parser = add_command(
        commands,
        "stop",
        "end the running server or peer",
        "End the server and the peer of this machine, as far as they run, and wait until they have. Exits with 6 if "
        "neither runs.",
    )
    add_state(parser, None)


def _add_doctor(commands: Any) -> None:
    parser = add_command(
        commands,
        "doctor",
        "look what is wrong with your peer, or your server",
        "Look whether everything is well with your peer: servers, their clocks and certificates, whether others can "
        "reach it (a server that is asked to dials it back once), ports, links, store. What is wrong is said with what "
        "to do about it. Through the peer if it runs, otherwise as far as that goes without. With --server: whether "
        "everything is well with the server of this machine: port, join links, certificate, clock, room for peers, "
        "store. Exits with 1 if a check has failed.",
        "With --json each finding is one object: check, state (ok, warning, failed, unknown), text, fix.",
    )
    parser.add_argument("--server", action="store_true", help="examine the server of this machine, not the peer")
    add_json(parser)
    add_state(parser, None)


def _add_attach(commands: Any) -> None:
    parser = add_command(
        commands,
        "attach",
        "a terminal on the running peer",
        "Chat at this terminal through the peer that runs here already, in the background or elsewhere; any number of "
        "terminals may. /quit leaves the terminal and not the peer; /stop, or p2pchat stop, ends the peer.",
    )
    add_plain_option(parser)
    add_state(parser, "peer")


def _add_send(commands: Any) -> None:
    parser = add_command(
        commands,
        "send",
        "send a message through the running peer",
        "Send a message to a contact through the peer that runs here, and wait until it is queued (on this disk), "
        "delivered (on theirs) or seen. Without a chat one is begun, as with /connect. Exits with 0 when that is "
        "reached, 3 if not in time (it stays queued and goes out by itself), 4 if they refuse it, 5 if nobody is "
        "called so, 6 if no peer runs, 1 if the peer here does not take it (a full disk, a contact that you blocked).",
        "With - each line of standard input is a message, in order; one of more than 16 KiB goes in parts.\n"
        "examples:\n"
        "  p2pchat send bob 'the build is done' --wait delivered --timeout 60\n"
        "  make 2>&1 | p2pchat send bob -",
    )
    add_send_options(parser)
    add_state(parser, "peer")


def _add_recv(commands: Any) -> None:
    parser = add_command(
        commands,
        "recv",
        "print what others said to the running peer",
        "Print messages of others that the peer here has received, in order of arrival. With --cursor it goes on where "
        "that name stopped (a new one: at the very first), and moves the cursor behind each message when all of it is "
        "written: a program that is killed gets that one again, and nothing else twice. Without --cursor it shows the "
        "last ones, or with --follow what comes from now on, and remembers nothing. Exit codes are those of send.",
        "With --json each is an object on a line of printable ASCII: entry (names the\n"
        "message for --ack), author, id, number, kind, text, at, arrived (ms since 1970).\n"
        "examples:\n"
        "  p2pchat recv --from bob --follow\n"
        "  p2pchat recv --cursor bot --json --follow --no-ack | ./bot\n"
        "  p2pchat recv --cursor bot --ack 4711   # which ./bot runs",
    )
    add_recv_options(parser)
    add_state(parser, "peer")


def _add_contact(commands: Any) -> None:
    group = add_command(
        commands, "contact", "add, list, remove contacts", "Keep contacts, whether or not your peer runs."
    )
    group.set_defaults(command="contact")
    kinds = group.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser, required=True)
    add = add_command(
        kinds, "contact add", "keep somebody as a contact", "Keep an id as a contact: its requests are accepted."
    )
    add.add_argument("id", metavar="ID", help="their whole id, as they see it with /whoami")
    add.add_argument("--name", metavar="NAME", default="", help="what you call them")
    add_state(add, "peer")
    listing = add_command(kinds, "contact list", "show the contacts", "Show the contacts.")
    add_json(listing)
    add_state(listing, "peer")
    remove = add_command(kinds, "contact remove", "keep somebody no longer", "Keep somebody no longer as a contact.")
    remove.add_argument("who", metavar="WHO", help="their name or whole id")
    add_state(remove, "peer")


def _add_identity(commands: Any) -> None:
    group = add_command(
        commands, "identity", "back up who you are", "Keep your identity safe: who loses its key is somebody else."
    )
    kinds = group.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser, required=True)
    for name, words, more in (
        (
            "export",
            "write it to a file, under a passphrase",
            "Write your identity to a new file, encrypted under a passphrase that is asked for. Your peer may run.",
        ),
        (
            "import",
            "take it from such a file",
            "Take your identity from an exported file. There must be none yet, and your peer may not run.",
        ),
    ):
        parser = add_command(kinds, f"identity {name}", words, more)
        parser.add_argument("file", metavar="FILE", type=path_of("FILE"), help="the exported identity")
        source = parser.add_mutually_exclusive_group()
        source.add_argument(
            "--passphrase-file",
            metavar="FILE",
            type=path_of("--passphrase-file"),
            help="its first line is the passphrase",
        )
        source.add_argument(
            "--passphrase-fd", metavar="N", type=descriptor_of, help="read the passphrase from this open descriptor"
        )
        add_state(parser, "peer")


def _add_recover(commands: Any) -> None:
    parser = add_command(
        commands,
        "recover",
        "save what can be read of a damaged database",
        "Look whether the database of the peer (or server) here is damaged, and if it is, save what can be read into a "
        "new one. The damaged files are kept beside it. Neither may run meanwhile.",
    )
    add_state(parser, None)


def _add_notify(commands: Any) -> None:
    parser = add_command(
        commands,
        "notify",
        "when and how you are told of messages",
        "Say whom you want to be told of, when, and how: with the words of /notify at the prompt. Without any: show "
        "what is set. It works whether or not your peer runs, and nobody needs to sit at a terminal.",
        "settings:\n"
        "  NAME all|none              tell of somebody, or never\n"
        "  dnd on|off|2h              do not disturb, until off or for a time\n"
        "  quiet 22:00-7:00|off       hours of every day in which nothing is told\n"
        "  terminal auto|bell|osc9|osc777|off\n"
        "  desktop on|off             run notify-send\n"
        "  text on|off                show what was said, or only by whom\n"
        "  hook PROGRAM|off           run PROGRAM with each event as JSON on its standard input\n"
        "examples:\n"
        "  p2pchat notify bob none\n"
        "  p2pchat notify hook ~/bin/tell-my-phone",
    )
    parser.add_argument("words", metavar="SETTING", nargs="*", help="a setting and its value")
    add_state(parser, "peer")


def _add_accept(commands: Any) -> None:
    parser = add_command(
        commands,
        "accept",
        "who may chat with you",
        "Say what happens to requests to chat whenever your peer starts without --accept: ask (you are shown each, and "
        "decide), contacts (the people you keep get in, nobody else), or all (everybody gets in). Without WHOM: show "
        "it. Somebody whom you accepted already, or keep as a contact, is not asked again.",
    )
    parser.add_argument("whom", metavar="WHOM", nargs="?", choices=ACCEPT_WHOM, help="ask, contacts, or all")
    add_state(parser, "peer")


def _add_completion(commands: Any) -> None:
    parser = add_command(
        commands,
        "completion",
        "print the completion for a shell",
        "Print the completion of this command for a shell, where it is not installed by itself (or, for such scripts, "
        "the names of people that the peer that runs here knows, one a line).",
        "examples:\n"
        '  eval "$(p2pchat completion bash)"                  in ~/.bashrc\n'
        "  p2pchat completion fish > ~/.config/fish/completions/p2pchat.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish", "people"), help="bash, zsh, or fish")
    add_state(parser, "peer")
