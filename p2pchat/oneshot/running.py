"""`p2pchat link`, `roster`, `status`, `stop`: what a running server or peer is asked."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..api import (
    Done,
    Finding,
    JoinLinks,
    PeerStatus,
    RosterRow,
    RosterRows,
    ServerReport,
    ShowLinks,
    ShowRoster,
    Status,
    Stop,
)
from ..api.health import in_the_way
from ..config import Role, default_state
from ..core.errors import NotInTime, NotRunning, Reported, UserError
from ..core.text import Kind, clean
from ..net.local_client import LocalClient
from ..ui.changes import changes, describe
from ..ui.tables import peer_lines, roster_table, server_lines
from .output import client_of, print_json, print_line, print_lines, state_of

STOP_TIMEOUT = 30.0
"""Seconds that a daemon is given to end: its own patience with links is 5 s, and the disk may be slow."""

STOP_POLL = 0.05
"""Seconds between two looks whether it has."""

WATCH_INTERVAL = 1.0
"""Seconds between two looks at the roster; a person sees no difference to less."""

CLEAR_SCREEN = "\x1b[H\x1b[2J"

ROLES: tuple[Role, ...] = ("server", "peer")


def link(options: Namespace) -> None:
    """The join links, also of a server that does not run now."""
    links: Sequence[str]
    try:
        with client_of(options, "server") as server:
            links = server.call(ShowLinks(), JoinLinks).links
    except NotRunning:
        from ..server.offline import join_links

        links = join_links(state_of(options, "server"))
    print_lines(clean(each, Kind.LINE) for each in links)


def roster(options: Namespace) -> None:
    """Who is online."""
    with client_of(options, "server") as server:
        rows = _rows(server)
        if options.watch:
            _watch(server, rows, as_json=options.json)
        elif options.json:
            print_json(rows)
        else:
            print_lines(roster_table(rows))


def status(options: Namespace) -> None:
    """How the daemons are."""

    def show(client: LocalClient) -> None:
        either: Any = PeerStatus | ServerReport  # one command for both, and each has its own reply
        reply = client.call(Status(), either)
        if options.json:
            print_json([reply])
        else:
            print_lines(server_lines(reply) if isinstance(reply, ServerReport) else peer_lines(reply))

    _each(options, show)


def stop(options: Namespace) -> None:
    """End the daemons, and wait until they have."""

    def end(client: LocalClient) -> None:
        client.call(Stop(), Done)
        last = time.monotonic() + STOP_TIMEOUT
        client.wait_for_end(STOP_TIMEOUT)
        _wait_until_free(client.state, last)
        print_line(f"stopped the {client.role} in {client.state}")

    _each(options, end)


def _rows(server: LocalClient) -> Sequence[RosterRow]:
    return server.call(ShowRoster(), RosterRows).rows


def _watch(server: LocalClient, rows: Sequence[RosterRow], *, as_json: bool) -> None:
    """Show the roster, then what changes: drawn anew on a terminal, otherwise a line for each."""
    drawn = not as_json and sys.stdout.isatty()
    before: Sequence[RosterRow] = ()
    while True:
        found = changes(before, rows)
        if drawn:
            print_line(CLEAR_SCREEN + "\n".join(roster_table(rows)), flush=True)
        elif as_json:
            print_json(found)
        else:
            for change in found:
                print_line(describe(change), flush=True)
        before = rows
        time.sleep(WATCH_INTERVAL)
        try:
            rows = _rows(server)
        except Reported:
            raise
        except UserError:
            if held(server.state) is not None:
                raise
            raise NotRunning(f"the server in {server.state} has ended") from None


def held(state: Path) -> Finding | None:
    """What is wrong where a process has the directory and does not answer at its socket. Raises StateError."""
    from ..storage.directory import StateDirectory, holder

    running = holder(state)
    if running is None:
        return None
    return in_the_way(state, running.role, running.pid, StateDirectory(state).log_file)


def _wait_until_free(state: Path, last: float) -> None:
    from ..storage.directory import holder

    while (running := holder(state)) is not None:
        if time.monotonic() >= last:
            pid = "" if running.pid is None else f" (pid {running.pid})"
            raise NotInTime(f"what runs in {state}{pid} has not ended within {STOP_TIMEOUT:.0f} s; look into its log")
        time.sleep(STOP_POLL)


def _each(options: Namespace, action: Callable[[LocalClient], None]) -> None:
    """Do it with the daemon in --state, or with those that run in the usual directories."""
    if options.state is not None:
        with LocalClient(options.state, _role_in(options.state)) as client:
            action(client)
        return
    found = [role for role in ROLES if _done(LocalClient(default_state(role), role), action)]
    if not found:
        places = " or ".join(str(default_state(role)) for role in ROLES)
        raise NotRunning(f"neither a server nor a peer runs in {places}; name another directory with --state DIR")


def _done(client: LocalClient, action: Callable[[LocalClient], None]) -> bool:
    with suppress(NotRunning), client:
        action(client)
        return True
    return False


def _role_in(state: Path) -> Role:
    # Path.exists() raises an error where one may not look.
    return "server" if os.path.exists(state / "server.db") else "peer"
