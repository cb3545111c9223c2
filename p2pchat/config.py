"""
The settings of a server and of a peer: ports, paths and limits, checked when they are made.

Words from a command line become values by the functions at the end; both they and the settings themselves
raise UsageError, one line each. Whoever starts a role is handed one of these and reads no option again.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal, get_args

from .core.errors import UsageError

if TYPE_CHECKING:
    from .core.identity import JoinLink

SERVER_PORT = 8888
LISTEN_PORT = 6666
DIAL_PORT = 7777

SHOWN_LINES = 10
"""Messages that `p2pchat recv` shows without a cursor, unless told otherwise: what `tail` shows of a file."""

CAPACITY = 4096
"""Peers online at a server, unless told otherwise; each costs some 100 KiB with its TLS state."""

MAX_CAPACITY = 1_000_000
"""Above this somebody typed a wrong number."""

MAX_TIMEOUT = 10 * 365 * 86400.0
"""Seconds: the longest wait that timers take without rounding to nonsense."""

MAX_HOST = 253
"""Characters of a host name (RFC 1035, section 2.3.4)."""

Role = Literal["server", "peer"]

AcceptWhom = Literal["ask", "contacts", "all"]
"""What happens to a request to chat: a person is asked; contacts alone get in; everybody gets in."""

ACCEPT_WHOM: tuple[AcceptWhom, ...] = get_args(AcceptWhom)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a rendezvous server is told; raises UsageError."""

    state: Path
    """Its directory: key, names, socket, log."""

    port: int = SERVER_PORT
    """Where it listens, 0 to 65535; 0 takes any free port."""

    interface: str = ""
    """The IP address to listen on; empty: all of this machine, IPv4 and IPv6."""

    hosts: tuple[str, ...] = ()
    """Names and addresses under which peers reach it, for the join links; empty: found out."""

    certificate: Path | None = None
    """PEM of a CA-issued certificate with its chain; None: peers check its own key instead."""

    key: Path | None = None
    """PEM of the private key of `certificate`."""

    capacity: int = CAPACITY
    """Most peers online at a time."""

    open: bool = False
    """Admit everybody, not just private addresses."""

    admin_group: str | None = None
    """A group of this machine whose members may use the local socket beside its owner and root."""

    def __post_init__(self) -> None:
        _check_port("--port", self.port)
        _check_interface(self.interface)
        for host in self.hosts:
            _check_host(host)
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--certificate and --key go together; give both PEM files, or neither")
        if not 1 <= self.capacity <= MAX_CAPACITY:
            raise UsageError(f"--capacity is {self.capacity}; give a number from 1 to {MAX_CAPACITY}")
        if self.admin_group == "":
            raise UsageError("--admin-group is empty; give the name of a group of this machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """What a peer is told; raises UsageError."""

    state: Path
    """Its directory: key, contacts, messages, socket, log."""

    name: str | None = None
    """The handle to register under, from now on; None: the one that the state directory remembers."""

    join: tuple[JoinLink, ...] = ()
    """Servers to join beside those that the state directory remembers."""

    listen_port: int = LISTEN_PORT
    """Where it listens for peers; 0, and this port when it is taken, mean any free one."""

    dial_port: int = DIAL_PORT
    """The source port of whatever it dials; 0: any."""

    interface: str = ""
    """The IP address to listen on; empty: all of this machine, IPv4 and IPv6."""

    accept: AcceptWhom | None = None
    """What happens to requests to chat; None: what the state directory remembers, or else `accept_else`."""

    accept_else: AcceptWhom = "contacts"
    """What happens to them if nobody ever said; with `contacts`, whoever is at an attached terminal then is asked."""

    to: str | None = None
    """A contact or a whole id to connect to at the start (with `trust_first`: whoever holds that handle now)."""

    input: str | None = None
    """A file whose lines are sent to `to`; "-": standard input."""

    transcript: Path | None = None
    """A file to which both sides of all chats are appended, line by line."""

    timeout: float | None = None
    """Seconds after which `input` counts as not delivered; None: never."""

    trust_first: bool = False
    """Take whoever holds the handle `to` now."""

    plain: bool = False
    """At a terminal: lines only, for screen readers and braille displays."""

    def __post_init__(self) -> None:
        _check_port("--listen-port", self.listen_port)
        _check_port("--dial-port", self.dial_port)
        if self.listen_port == self.dial_port != 0:
            raise UsageError(f"--listen-port and --dial-port are both {self.dial_port}; give two different ones")
        _check_interface(self.interface)
        if self.name is not None:
            check_handle(self.name)
        for link in self.join:
            _check_host(link.host)
        if self.accept is not None:
            check_accept(self.accept)
        if self.timeout is not None:
            _check_timeout(self.timeout)
        self._check_to()

    def _check_to(self) -> None:
        if self.to is None:
            given = {"--input": self.input, "--timeout": self.timeout, "--trust-first": self.trust_first or None}
            for option, value in given.items():
                if value is not None:
                    raise UsageError(f"{option} needs --to; say to whom")
        elif not self.to.strip():
            raise UsageError("--to is empty; give a contact's name or a whole id")
        if self.input == "":
            raise UsageError("--input is empty; give a file, or - for standard input")


def default_state(role: Role) -> Path:
    """
    Where a role keeps its state when nobody says: $STATE_DIRECTORY under systemd, else among the user's data.

    It is data, and not what XDG calls state: who loses the key in it has lost oneself, so backups should have it.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given).absolute()
    import platformdirs

    return platformdirs.user_data_path("p2pchat", appauthor=False).absolute() / role


# --- words into values


def parse_path(text: str, option: str) -> Path:
    """The absolute path that somebody typed: a daemon changes its directory."""
    if not text or "\0" in text:
        raise UsageError(f"{option} is empty; give a path")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"{option}: there is no home directory for {text!r}; write the path in full") from None


def parse_port(text: str, option: str) -> int:
    """A port number that somebody typed, 0 included."""
    port = _parse_number(text)
    if port is None or port > 65535:
        raise UsageError(f"{option} is {text!r}; give a number from 0 (any free port) to 65535")
    return port


def parse_capacity(text: str) -> int:
    """A number of peers that somebody typed."""
    number = _parse_number(text)
    if number is None or not 1 <= number <= MAX_CAPACITY:
        raise UsageError(f"--capacity is {text!r}; give a number from 1 to {MAX_CAPACITY}")
    return number


def parse_timeout(text: str) -> float:
    """A number of seconds that somebody typed."""
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"--timeout is {text!r}; give a number of seconds") from None
    _check_timeout(seconds)
    return seconds


def check_handle(name: str, option: str = "--name ") -> None:
    """Raises UsageError, with a name that would do, unless `name` is a handle; `option`: how it was given."""
    from .core.text import HANDLE_CHARACTERS, handle_from, is_handle

    if is_handle(name):
        return
    suggestion = handle_from(name)
    example = f", such as {suggestion}" if is_handle(suggestion) else ""
    raise UsageError(f"{option}{name!r} must be 1 to {HANDLE_CHARACTERS} of a-z 0-9 . _ -; choose another{example}")


def state_option(state: Path, role: Role) -> str:
    """What a command is to be given for this directory: nothing for the usual one."""
    return "" if state == default_state(role) else f" --state {quote(str(state))}"


def check_accept(whom: str, option: str = "--accept ") -> AcceptWhom:
    """Raises UsageError unless it is one of ACCEPT_WHOM; `option`: how it was given."""
    for known in ACCEPT_WHOM:
        if whom == known:
            return known
    raise UsageError(f"{option}{whom!r} is not known; give one of: {', '.join(ACCEPT_WHOM)}")


def _parse_number(text: str) -> int | None:
    # int() also takes signs, underscores, blanks and other scripts' digits.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _check_port(option: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise UsageError(f"{option} is {port}; give a number from 0 (any free port) to 65535")


def _check_interface(interface: str) -> None:
    if not interface:
        return
    try:
        ip_address(interface)
    except ValueError:
        raise UsageError(f"--interface is {interface!r}; give an IP address of this machine") from None


def _check_host(host: str) -> None:
    if ":" in host:
        try:
            ip_address(host)
        except ValueError:
            raise UsageError(f"--host is {host!r}; give a name or an IP address, without a port") from None
    elif not host or len(host) > MAX_HOST or any(c.isspace() or not c.isprintable() or c in "/@#?%\\[]" for c in host):
        raise UsageError(f"--host is {host!r}; give a name or an IP address")


def _check_timeout(seconds: float) -> None:
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_TIMEOUT):
        raise UsageError(f"--timeout is {seconds:g}; give a number of seconds above 0")
