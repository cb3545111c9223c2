"""The options of `p2pchat send` and `p2pchat recv`, by which scripts say and hear."""

from argparse import ArgumentParser
from collections.abc import Callable

from .config import SHOWN_LINES, parse_timeout
from .core.errors import UsageError

SEND_TIMEOUT = 60.0
"""Seconds without progress after which `p2pchat send` gives up waiting, unless told otherwise."""


def add_send_options(parser: ArgumentParser) -> None:
    """All of `send` but --state."""
    parser.add_argument("who", metavar="WHO", help="a contact's name, or a whole id")
    parser.add_argument("text", metavar="TEXT", nargs="+", help="the message; -: the lines of standard input")
    parser.add_argument(
        "--wait",
        choices=("queued", "delivered", "seen"),
        default="delivered",
        help="what to wait for (default: delivered)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=parse_timeout,
        default=SEND_TIMEOUT,
        help=f"exit with 3 if nothing gets on for so long (default: {SEND_TIMEOUT:.0f})",
    )
    parser.add_argument("--trust-first", action="store_true", help="take whoever has the name WHO now")


def add_recv_options(parser: ArgumentParser) -> None:
    """All of `recv` but --state."""
    parser.add_argument("--from", metavar="WHO", dest="who", type=_named("--from"), help="only of this contact or id")
    parser.add_argument("--follow", action="store_true", help="wait for what comes, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="for programs: JSON, one object a line")
    cursor = "go on where this name stopped (with each --from)"
    parser.add_argument("--cursor", metavar="NAME", type=_named("--cursor"), help=cursor)
    count = f"at most so many, then end (default: all; without --cursor: the last {SHOWN_LINES})"
    parser.add_argument("--count", metavar="N", type=_number("--count"), help=count)
    parser.add_argument("--no-ack", action="store_true", help="do not move the cursor; --ack does")
    parser.add_argument(
        "--ack", metavar="ENTRY", type=_number("--ack"), help="print nothing: everything up to ENTRY is dealt with"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=parse_timeout, help="exit with 3 if --follow waits for so long"
    )
    parser.add_argument("--cursors", action="store_true", help="show which cursors there are, and how far each is")
    parser.add_argument("--drop", action="store_true", help="delete the cursor, whose program is no more")


def _named(option: str) -> Callable[[str], str]:
    """A name; where a script's variable is empty, nobody may get everything instead."""

    def parse(text: str) -> str:
        if not text.strip():
            raise UsageError(f"{option} is empty; give a name, or leave it out")
        return text

    return parse


def _number(option: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text[:16]) >= 1 and len(text) <= 15):
            raise UsageError(f"{option} is {text!r}; give a number from 1 on")
        return int(text)

    return parse
