"""`p2pchat doctor`: whether everything is well with the peer here (or the server), whether or not it runs."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ..api import Examine, Finding, Findings, ServerReport, Status
from ..config import Role
from ..core.errors import NotRunning, UserError
from ..net.local_client import LocalClient
from ..ui.findings import finding_lines
from .output import print_aside, print_json, print_lines, state_of
from .running import held
from .server_doctor import examine_server

PATIENCE = 120.0
"""Seconds for a peer to answer: it waits a minute for its disk."""


START_WITHIN = 10.0
"""Seconds in which a peer that has its directory opens its socket: it may just have been started."""

START_POLL = 0.1

AnswerT = TypeVar("AnswerT")


def doctor(options: Namespace) -> None:
    """Say what was found; fails if something is wrong."""
    if options.server:
        state = state_of(options, "server")
        findings = examine_server(state, _asked(state, "server", lambda daemon: daemon.call(Status(), ServerReport)))
    else:
        state = state_of(options, "peer")
        findings = _running(state) or _offline(state)
    if options.json:
        print_json(findings)
    else:
        print_lines(finding_lines(findings))
    failed = sum(finding.state == "failed" for finding in findings)
    if failed:
        raise UserError(f"{failed} of {len(findings)} checks failed; each says what to do")


def _running(state: Path) -> Sequence[Finding]:
    """What the peer that runs says; nothing if none does."""

    def examine(peer: LocalClient) -> Sequence[Finding]:
        _progress("examining the peer that runs here; its servers are asked to dial it back ...")
        return peer.call(Examine(), Findings).findings

    return _asked(state, "peer", examine) or ()


def _asked(state: Path, role: Role, ask: Callable[[LocalClient], AnswerT]) -> AnswerT | None:
    """What the daemon there says; None if none runs, or if it answers not even after a start's time."""
    from ..storage.directory import holder

    end = time.monotonic() + START_WITHIN
    while True:
        try:
            with LocalClient(state, role, PATIENCE) as daemon:
                return ask(daemon)
        except NotRunning:
            if holder(state) is None or time.monotonic() > end:
                return None
        time.sleep(START_POLL)


def _offline(state: Path) -> Sequence[Finding]:
    from ..peer import checkup
    from ..tap.once import run_once

    wall = time.time_ns() // 1_000_000
    in_the_way = held(state)
    if in_the_way is not None:
        return (in_the_way,)
    _progress("no peer runs here; looking at its directory, its ports and its servers ...")
    stored = checkup.stored(state)
    if stored is None:
        return checkup.of_new_peer(state, wall)
    store, servers = stored
    wall = time.time_ns() // 1_000_000
    return run_once(lambda reactor: checkup.check_up(reactor, reactor, store, servers, wall))


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print_aside(text)
