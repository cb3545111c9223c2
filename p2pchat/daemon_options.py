"""The options of `p2pchat server` and `p2pchat peer`: the words of the twistd plugins, for help and early errors."""

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable

from .config import (
    ACCEPT_WHOM,
    CAPACITY,
    DIAL_PORT,
    LISTEN_PORT,
    SERVER_PORT,
    parse_capacity,
    parse_port,
    parse_timeout,
)


def add_server_options(parser: ArgumentParser) -> None:
    """All of the server's but --state."""
    port, capacity = f"where peers connect (default: {SERVER_PORT}; 0: any)", f"most peers online (default: {CAPACITY})"
    parser.add_argument("--port", metavar="PORT", type=_port("--port"), help=port)
    parser.add_argument("--interface", metavar="ADDRESS", help="listen on this address alone (default: all)")
    parser.add_argument("--host", metavar="NAME", action="append", help="name or address for the links; repeatable")
    parser.add_argument("--certificate", metavar="PEM", help="a certificate by an authority, with its chain")
    parser.add_argument("--key", metavar="PEM", help="the private key of --certificate")
    parser.add_argument("--capacity", metavar="N", type=parse_capacity, help=capacity)
    parser.add_argument("--open", action="store_true", help="admit public addresses too, not just private ones")
    parser.add_argument("--admin-group", metavar="GROUP", help="a group that may use the local socket too")
    _print_unit(parser)


def add_peer_options(parser: ArgumentParser) -> None:
    """All of the peer's but --state and --name."""
    parser.add_argument("--join", metavar="LINK", action="append", help="join this server too; repeatable")
    listen, dial = f"where other peers connect (default: {LISTEN_PORT})", f"source port (default: {DIAL_PORT}; 0: any)"
    parser.add_argument("--listen-port", metavar="PORT", type=_port("--listen-port"), help=listen)
    parser.add_argument("--dial-port", metavar="PORT", type=_port("--dial-port"), help=dial)
    parser.add_argument("--interface", metavar="ADDRESS", help="listen on this address alone (default: all)")
    parser.add_argument(
        "--accept",
        metavar="WHOM",
        choices=ACCEPT_WHOM,
        help="requests to chat: ask, contacts, or all (default: as p2pchat accept)",
    )
    parser.add_argument("--to", metavar="WHO", help="connect to this contact or id")
    parser.add_argument("--trust-first", action="store_true", help="take whoever has the name --to now")
    add_plain_option(parser)
    parser.add_argument("--input", metavar="FILE", help="send every line of it to --to, then end; -: standard input")
    parser.add_argument("--transcript", metavar="FILE", help="write both sides of all chats there as they happen")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=parse_timeout, help="exit with 3 if it is not delivered by then"
    )
    _print_unit(parser)


def add_plain_option(parser: ArgumentParser, default: object = SUPPRESS) -> None:
    """The option of whatever shows a prompt."""
    words = "lines only, nothing drawn: for screen readers and braille displays"
    parser.add_argument("--plain", action="store_true", default=default, help=words)


def _print_unit(parser: ArgumentParser) -> None:
    parser.add_argument("--print-unit", action="store_true", help="print a systemd unit for this installation")


def _port(option: str) -> Callable[[str], int]:
    return lambda text: parse_port(text, option)
