"""`p2pchat attach`: the prompt on a peer that runs."""

import gc
from argparse import Namespace

from ..core.errors import UsageError
from ..net.local_client import LocalClient
from ..ui.questions import at_terminal
from .output import state_of


def attach(options: Namespace) -> None:
    """Be a terminal of the peer until the person leaves, or the peer ends."""
    state = state_of(options, "peer")
    with LocalClient(state, "peer"):
        pass  # better said now than behind the second that the rest takes to load
    if not at_terminal():
        raise UsageError("attach needs a terminal; for programs there are p2pchat send and p2pchat recv")
    # What is loaded from here on stays: to look through it again and again is a tenth of the start.
    gc.disable()
    from ..tap.attach import attach_terminal

    attach_terminal(state, options.plain)
