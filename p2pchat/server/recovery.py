"""`p2pchat recover` for a server: the names, bans and invitations that can be read of a damaged database."""

import time
from pathlib import Path

from ..core.errors import StateError
from ..storage.directory import StateDirectory
from ..storage.recovery import PLAIN, Recovered, recover
from ..storage.server_tables import SERVER_SCHEMA


def recover_server(state: Path) -> Recovered | None:
    """
    Replace the database of the server in `state` if it is damaged; None if it is in order.

    Raises StateInUse where a server runs, StateError, or the StoreError tree.
    """
    if not state.is_dir():
        raise StateError(f"there is no directory {state}: name the server's with --state DIR")
    with StateDirectory(state, "recover") as directory:
        return recover(directory, SERVER_SCHEMA, PLAIN, time.strftime("%Y%m%d-%H%M%S"))
