"""
The `p2pchat` command: one thing done for a person or a script, and an exit code.

0 done, 1 failed, 2 wrong words, 3 not in time, 4 refused, 5 no such contact, 6 no daemon runs. What fails is said
in one line on stderr. Here stand no more than what is needed for `--version` in a tenth of a second.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from .core.errors import UserError
from .options import make_parser

if TYPE_CHECKING:
    from argparse import Namespace

INTERRUPTED = 130
"""What a shell reports for Ctrl-C."""

OUTPUT_CLOSED = 141
"""What a shell reports where nobody reads the output any more."""


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words say; the exit code."""
    typed = list(sys.argv[1:] if words is None else words)
    try:
        _run(make_parser().parse_args(typed), typed)
        sys.stdout.flush()
    except UserError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    return 0


def _run(options: "Namespace", typed: list[str]) -> None:
    group, _, action = options.command.partition(" ")
    match group:
        case "":
            from .oneshot import daemons

            daemons.run_own_peer(options)
        case "server" | "peer":
            from .oneshot import daemons

            daemons.run_daemon(options, typed)
        case "accept":
            from .oneshot import introduction

            introduction.accept(options)
        case "completion":
            from .oneshot import completing

            completing.completion(options)
        case "join":
            from .oneshot import joining

            joining.join(options)
        case "contact":
            from .oneshot import contacts

            {"add": contacts.add, "list": contacts.show, "remove": contacts.remove}[action](options)
        case "identity":
            from .oneshot import identity

            {"export": identity.export_to_file, "import": identity.import_from_file}[action](options)
        case "notify":
            from .oneshot import notifications

            notifications.notify(options)
        case "attach":
            from .oneshot import attaching

            attaching.attach(options)
        case "send":
            from .oneshot import sending

            sending.send(options)
        case "recv":
            from .oneshot import receiving

            receiving.receive(options)
        case "recover":
            from .oneshot import recovering

            recovering.recover(options)
        case _:
            from .oneshot import running

            one = {"link": running.link, "roster": running.roster, "status": running.status, "stop": running.stop}
            one[group](options)


def _complain(text: str) -> None:
    from .core.text import Kind, clean

    with suppress(OSError, ValueError, AttributeError):  # stderr may be closed
        print(f"p2pchat: {clean(text, Kind.LINE)}", file=sys.stderr)
