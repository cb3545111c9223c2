"""
The `p2pchat` command: one thing done for a person or a script, and an exit code.

0 done, 1 failed, 2 wrong words, 3 not in time, 4 refused, 5 no such contact, 6 no daemon runs. What fails is said
in one line on stderr. Here stand no more than what is needed for `--version` in a tenth of a second.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from .core.errors import UserError
from .options import make_parser

if TYPE_CHECKING:
    from argparse import Namespace

HOMES = {
    "": ("daemons", "run_own_peer"),
    "server": ("daemons", "run_daemon"),
    "peer": ("daemons", "run_daemon"),
    "join": ("joining", "join"),
    "accept": ("introduction", "accept"),
    "contact add": ("contacts", "add"),
    "contact list": ("contacts", "show"),
    "contact remove": ("contacts", "remove"),
    "identity export": ("identity", "export_to_file"),
    "identity import": ("identity", "import_from_file"),
    "attach": ("attaching", "attach"),
    "send": ("sending", "send"),
    "recv": ("receiving", "receive"),
    "notify": ("notifications", "notify"),
    "recover": ("recovering", "recover"),
    "completion": ("completing", "completion"),
    "link": ("running", "link"),
    "roster": ("running", "roster"),
    "doctor": ("doctor", "doctor"),
    "status": ("running", "status"),
    "stop": ("running", "stop"),
}
"""Where each command is done: module of `oneshot` and function. It is imported for that command alone."""

DAEMONS = frozenset({"server", "peer"})
"""They are given the words as typed too, for twistd."""

INTERRUPTED = 130
"""What a shell reports for Ctrl-C."""

OUTPUT_CLOSED = 141
"""What a shell reports where nobody reads the output any more."""

CodeT = TypeVar("CodeT")


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words say; the exit code."""
    _occupy_standard()
    typed = list(sys.argv[1:] if words is None else words)
    try:
        return _written(_code_of(typed))
    except KeyboardInterrupt:  # a second one, while the first has it end
        return INTERRUPTED
    finally:
        if words is None:
            # The process is about to end: whoever presses Ctrl-C once more need not read where that was.
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _code_of(typed: list[str]) -> int:
    """Do it; what fails is said."""
    try:
        _run(make_parser().parse_args(typed), typed)
    except UserError as error:
        _complain(str(error))
        return error.exit_code
    except SystemExit as leaving:  # after --help, and behind SIGTERM
        raise SystemExit(_written(leaving.code)) from None
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return OUTPUT_CLOSED
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 1
    return 0


def _written(code: CodeT) -> CodeT | int:
    """Have written what was printed; the exit code after that."""
    try:
        sys.stdout.flush()
        return code
    except OSError as error:
        # Python would complain when it tries once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return OUTPUT_CLOSED
        if code:
            return code  # something else was said, or this was
        from .oneshot.output import unwritten

        _complain(str(unwritten(error)))
        return 1


def _occupy_standard() -> None:
    """
    Where a standard descriptor is closed, the next socket would take its place, and be read as the input.

    A closed output gets one that cannot be written to: what is printed there must fail, and not seem to be read.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)
    # Where they are None, print() does nothing, or takes the one for the other.
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _run(options: "Namespace", typed: list[str]) -> None:
    module, function = HOMES[options.command]
    perform = getattr(import_module(f".oneshot.{module}", __package__), function)
    arguments = (options, typed) if options.command in DAEMONS else (options,)
    perform(*arguments)


def _complain(text: str) -> None:
    from .core.text import Kind, clean

    with suppress(OSError, ValueError, AttributeError):  # stderr may be closed
        print(f"p2pchat: {clean(text, Kind.LINE)}", file=sys.stderr)
