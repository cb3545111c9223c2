"""`p2pchat join`: remember a server and its key, after the person has seen the key."""

import getpass
import time
from argparse import Namespace
from pathlib import Path

from ..core.errors import UsageError, UserError
from ..core.identity import JoinLink, format_id, parse_join_link, short_id
from ..core.text import handle_from
from ..ui.questions import at_terminal, confirm
from .output import state_of

parse_link = parse_join_link


def join(options: Namespace) -> None:
    """With a whole link nothing is asked, and nobody: the server need not run."""
    from ..peer.offline import standing

    state = state_of(options, "peer")
    link = parse_link(options.link)
    join_server(state, link, options.name or standing(state).handle or default_handle())
    print("start your peer with: p2pchat" + ("" if options.state is None else f" --state {state}"))


def join_server(state: Path, link: JoinLink, handle: str) -> None:
    """Join the server of a link, or the one that answers at its address if the person takes it for the right one."""
    from ..peer.offline import FoundServer, join
    from ..peer.probe import probe_server
    from ..tap.once import run_once

    if link.server is not None:
        found = FoundServer(link.server)
    else:
        wall = time.time_ns() // 1_000_000
        found = run_once(lambda reactor: probe_server(reactor, reactor, link.host, link.port, wall))
        _confirm(link, found.id, found.certified)
    join(state, link, handle, found)
    print(f"joined the server {short_id(found.id)} at {_address(link)} as {handle}")


def default_handle() -> str:
    """A handle made of the login name."""
    try:
        return handle_from(getpass.getuser())
    except (KeyError, OSError):
        return handle_from("")


def _confirm(link: JoinLink, server: bytes, certified: bool) -> None:
    """Show who answered, and go on only if the person takes it for the right one."""
    known = "a trusted authority certified it" if certified else "compare it with what its operator says"
    print(f"The server at {_address(link)} is {short_id(server)}; {known}.")
    print(f"Its whole id: {format_id(server)}", flush=True)
    if not at_terminal():
        whole = JoinLink(link.host, link.port, server)
        raise UsageError(f"there is no terminal to ask whether that is the right one; if it is: p2pchat join '{whole}'")
    if not confirm("Is that the right one?"):
        raise UserError("not joined; ask its operator for the join link (p2pchat link)")


def _address(link: JoinLink) -> str:
    return f"[{link.host}]:{link.port}" if ":" in link.host else f"{link.host}:{link.port}"
