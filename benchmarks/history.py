"""What a long history costs: at the start, and where somebody looks for a line."""

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Stage, peer_words
from benchmarks.server import start_server
from benchmarks.start import seconds_until
from benchmarks.table import Row, middle, percentile
from p2pchat.core.entries import conversation_of
from p2pchat.core.identity import Identity, id_of
from p2pchat.core.window import NO_ROOM
from p2pchat.peer.ledger import Draft, Two, append_texts
from p2pchat.storage.keys import KEY_SETTING
from p2pchat.storage.peer_tables import PeerTables
from p2pchat.storage.schema import open_writer

NOW = 1_790_000_000_000
AT_ONCE = 10_000
"""Messages of one transaction, while the history is made."""

_FIRST = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
_REST = ("ado", "ako", "ale", "amo", "ane", "aru", "ebo", "edi", "ego", "eku", "elo", "emi", "eno", "era", "ibo", "ida")
VOCABULARY = [first + rest for first in _FIRST for rest in _REST]
"""Words that are in one message in twenty or so."""

WORDS = 12
"""Words of a message."""


@dataclass(frozen=True, slots=True)
class HistorySizes:
    """How much is done."""

    messages: int = 1_000_000
    starts: int = 7
    searches: int = 20
    """Of each kind."""


def measure_history(state: Path, sizes: HistorySizes) -> Iterator[Row]:
    """All rows about history; a peer with one and a peer without are started in turns."""
    with Stage() as stage:
        _, link, _ = start_server(stage, state / "server")
        full, empty = (peer_words(state / name, "--join", link) for name in ("full", "empty"))
        for words in (full, empty):
            seconds_until(words, "online at")  # makes its key and its database
        fill(state / "full" / "peer.db", sizes.messages)
        pairs = [(seconds_until(full, "online at"), seconds_until(empty, "online at")) for _ in range(sizes.starts)]
    filled, without = (middle(pair[side] for pair in pairs) * 1e3 for side in (0, 1))
    name = f"start with {sizes.messages:,} messages of history (bare: an empty one)"
    yield Row(name, "ms", filled, without, most=1.2)
    with Stage() as stage:
        chatter = stage.program("chatter", str(state / "full"), "full")
        for name, inside, sought in _searches(sizes):
            seconds = [chatter.ask(what="search", words=each, inside=inside)["seconds"] for each in sought]
            note = f"slowest of {len(seconds)}: {max(seconds) * 1e3:.1f} ms"
            yield Row(
                f"first page of a search, {name}",
                "ms",
                percentile(seconds, 0.5) * 1e3,
                note=note,
                under=50,
            )


def _searches(sizes: HistorySizes) -> Iterator[tuple[str, bool, list[str]]]:
    chance = random.Random(2)
    one = [chance.choice(VOCABULARY) for _ in range(sizes.searches)]
    yield "a common word, all chats", False, one
    yield "a common word, one chat", True, one
    yield (
        "three common words, all chats",
        False,
        [" ".join(chance.sample(VOCABULARY, 3)) for _ in one],
    )
    yield (
        "a word that is there once",
        False,
        [f"rare{chance.randrange(sizes.messages)}" for _ in one],
    )


def fill(path: Path, messages: int) -> None:
    """Write a history of a peer that does not run, by its own functions, each message with a word of its own."""
    connection = open_writer(path)
    connection.pragma("synchronous", "OFF")
    connection.execute("BEGIN")
    tables = PeerTables(connection)
    key = tables.settings.get(KEY_SETTING)
    assert key is not None
    me, them = id_of(key), Identity.from_seed(bytes(32)).id
    contact = tables.contacts.add(them, "friend", NOW, listed=True)
    wire = conversation_of(me, them)
    two = Two(
        tables.conversations.open_for(contact.contact, wire).conversation,
        wire,
        me,
        them,
    )
    chance = random.Random(1)
    for first in range(0, messages, AT_ONCE):
        drafts = [
            Draft(
                " ".join((*chance.choices(VOCABULARY, k=WORDS), f"rare{number}")),
                os.urandom(16),
                NOW + number,
            )
            for number in range(first, min(first + AT_ONCE, messages))
        ]
        append_texts(tables, two, drafts, bytes(16), NO_ROOM)
        connection.execute("COMMIT")
        connection.execute("BEGIN")
    connection.execute("COMMIT")
    connection.close()
    subprocess.run(["sync", "-d", str(path)], check=False)
