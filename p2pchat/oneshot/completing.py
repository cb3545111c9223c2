"""`p2pchat completion`: a script for a shell, or what such a script offers as names of people."""

from argparse import Namespace
from contextlib import suppress

from ..api import ListPeople, People
from ..core.errors import UserError
from ..core.text import Kind, clean
from ..net.local_client import LocalClient
from .output import print_line, print_lines, state_of

PATIENCE = 1.0
"""Seconds for the peer: somebody waits with a finger on the key."""


def completion(options: Namespace) -> None:
    """Print it; of people nothing, and no complaint, where no peer runs or it does not answer at once."""
    if options.shell == "people":
        with suppress(UserError), LocalClient(state_of(options, "peer"), "peer", PATIENCE) as peer:
            names = {person.name for person in peer.call(ListPeople(), People).people}
            print_lines(sorted(name for name in names if clean(name, Kind.NAME) == name))
        return
    from ..manual.completion import script

    print_line(script(options.shell), end="")
