"""`p2pchat join`: remember a server and its key, after the person has seen the key."""

from __future__ import annotations

import getpass
import time
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UsageError, UserError
from ..core.identity import JoinLink, format_id, parse_join_link, short_id
from ..core.text import handle_from
from ..ui.questions import at_terminal, confirm
from .output import print_line, state_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ..peer.offline import FoundServer

parse_link = parse_join_link


def join(options: Namespace) -> None:
    """With a whole link nothing is asked, and nobody: the server need not run."""
    from ..peer.offline import standing

    state = state_of(options, "peer")
    link = parse_link(options.link)
    join_server(state, link, find_server(link), options.name or standing(state).handle or default_handle())
    print_line("start your peer with: p2pchat" + ("" if options.state is None else f" --state {state}"))


def find_server(link: JoinLink) -> FoundServer:
    """
    The server of a link, or the one that answers at its address if the person takes it for the right one.

    Raises UserError, after which it may be called again with another link.
    """
    from ..peer.offline import FoundServer

    if link.server is not None:
        return FoundServer(link.server)
    found = _probe_apart(link.host, link.port)
    _confirm(link, found.id, found.certified)
    return found


def join_server(state: Path, link: JoinLink, found: FoundServer, handle: str) -> None:
    """Remember the server that was found at a link."""
    from ..peer.offline import join

    join(state, link, handle, found)
    print_line(f"joined the server {short_id(found.id)} at {_address(link)} as {handle}")


def default_handle() -> str:
    """A handle made of the login name."""
    try:
        return handle_from(getpass.getuser())
    except (KeyError, OSError):
        return handle_from("")


def _probe_apart(host: str, port: int) -> FoundServer:
    """Probe in a process of its own: a reactor runs once in each, and somebody may have to try several addresses."""
    from multiprocessing import get_context

    context = get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_probe_into, args=(sending, host, port), daemon=True)
    process.start()
    sending.close()
    try:
        found: FoundServer | UserError = receiving.recv()
    except EOFError:  # Ctrl-C reaches that process too, and may be there first
        raise KeyboardInterrupt from None
    finally:
        process.kill()
        process.join()
    if isinstance(found, UserError):
        raise found
    return found


def _probe_into(answer: Connection, host: str, port: int) -> None:
    with suppress(KeyboardInterrupt):
        try:
            answer.send(_probe(host, port))
        except UserError as error:
            answer.send(error)


def _probe(host: str, port: int) -> FoundServer:
    from ..peer.probe import probe_server
    from ..tap.once import run_once

    wall = time.time_ns() // 1_000_000
    return run_once(lambda reactor: probe_server(reactor, reactor, host, port, wall))


def _confirm(link: JoinLink, server: bytes, certified: bool) -> None:
    """Show who answered, and go on only if the person takes it for the right one."""
    known = "a trusted authority certified it" if certified else "compare it with what its operator says"
    print_line(f"The server at {_address(link)} is {short_id(server)}; {known}.")
    print_line(f"Its whole id: {format_id(server)}", flush=True)
    if not at_terminal():
        whole = JoinLink(link.host, link.port, server)
        raise UsageError(f"there is no terminal to ask whether that is the right one; if it is: p2pchat join '{whole}'")
    if not confirm("Is that the right one?"):
        raise UserError("not joined; ask its operator for the join link (p2pchat link)")


def _address(link: JoinLink) -> str:
    return f"[{link.host}]:{link.port}" if ":" in link.host else f"{link.host}:{link.port}"
