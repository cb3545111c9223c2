"""`p2pchat server`, `p2pchat peer`, and `p2pchat` alone: into twistd, in this process."""

import os
import shutil
import sys
import sysconfig
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from ..config import Role
from ..core.errors import NotRunning, StateInUse, UsageError, UserError
from ..ui.questions import at_terminal
from ..units import unit
from .attaching import attach
from .introduction import introduce
from .output import print_line, state_of


def run_daemon(options: Namespace, typed: list[str]) -> None:
    """Run the role that the command names; `typed` is the whole command line, handed on as it is."""
    role: Role = options.command
    if options.print_unit:
        print_line(unit(role, _twistd()), end="")
    else:
        _become(role, typed[typed.index(role) + 1 :])


def run_own_peer(options: Namespace) -> None:
    """The person's peer, introduced first if it is new; a terminal on it, if it runs already."""
    from ..peer import offline
    from ..storage.directory import holder

    state = state_of(options, "peer")
    running = holder(state)
    if running is not None:
        if at_terminal():
            with suppress(NotRunning):  # it may be starting, or ending
                attach(options)
                return
        pid = "" if running.pid is None else f" with pid {running.pid}"
        line = f"a peer runs already{pid}, in {state}; end it with: p2pchat stop --state {state}"
        raise StateInUse(line, running.pid)
    if offline.standing(state).handle is None:
        if not at_terminal():
            raise UsageError(f"this peer is new; run first: p2pchat join LINK --name NAME --state {state}")
        introduce(state)
    _become("peer", ["--state", str(state), *(["--plain"] if options.plain else [])])


def _become(role: Role, words: list[str]) -> None:
    if sys.__stdout__ is None:
        # It was closed. A daemon may run without an output, unlike a program that is asked for something.
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    if "twisted.internet.reactor" in sys.modules:
        # A reactor that has run does not run again, so begin anew; -P leaves the current directory off the path.
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-P", "-m", "p2pchat", role, *words])
    from twisted.scripts import twistd

    sys.argv = [f"p2pchat {role}", "--nodaemon", "--pidfile=", f"p2pchat-{role}", *words]
    twistd.run()


def _twistd() -> str:
    """The path of this installation's twistd."""
    beside = Path(sysconfig.get_path("scripts")) / "twistd"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("twistd")
    if found is None:
        raise UserError("there is no twistd beside this program; install it with: pipx install --include-deps p2pchat")
    return found
