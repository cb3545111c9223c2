"""
`p2pchat recover` for a peer: what can be read of its damaged database goes on under a new store id.

With that id everybody whom we meet compares what they have of ours and we of theirs (docs/protocol.md, section 10,
"Doubt"): what others wrote comes again, and where something is missing both people are told.
"""

import os
import time
from pathlib import Path

from ..core.entries import conversation_of
from ..core.errors import StateError
from ..core.identity import Identity
from ..storage.directory import StateDirectory
from ..storage.keys import KEY_SETTING, load_identity
from ..storage.peer_salvage import mending
from ..storage.peer_tables import PEER_SCHEMA, PeerTables
from ..storage.recovery import Recovered, recover
from ..storage.settings import STORE_SETTING
from .ledger import Two
from .settlement import replace_damaged


def recover_peer(state: Path) -> Recovered | None:
    """
    Replace the database of the peer in `state` if it is damaged; None if it is in order.

    Raises StateInUse where a peer runs, StateError, or the StoreError tree.
    """
    if not state.is_dir():
        raise StateError(f"there is no directory {state}: name the peer's with --state DIR")
    with StateDirectory(state, "recover") as directory:
        identity = load_identity(directory.key_file)
        if identity is None:
            raise StateError(f"{directory.key_file} is missing: put it back from a backup first, or import it")
        known, now = identity, time.time_ns() // 1_000_000
        needs = mending(identity.id, now, lambda tables, damaged: begin_anew(tables, damaged, known, now))
        return recover(directory, PEER_SCHEMA, needs, time.strftime("%Y%m%d-%H%M%S"))


def begin_anew(tables: PeerTables, damaged: list[int], identity: Identity, now: int) -> None:
    """Take another store id, and move what others lack of our damaged streams (by row) to new ones."""
    tables.settings.delete(STORE_SETTING)
    tables.settings.set(KEY_SETTING, identity.key)
    conversations = {tables.streams.get(stream).conversation for stream in damaged}
    for conversation in sorted(conversations):
        them = tables.lines.peer_of(conversation)
        if them is not None:
            two = Two(conversation, conversation_of(identity.id, them), identity.id, them)
            replace_damaged(tables, two, damaged, os.urandom(32), now)
