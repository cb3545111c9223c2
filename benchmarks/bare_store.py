"""
Bare commits: the schema of a peer, one connection, WAL and FULL, and nothing around them.

    python -m benchmarks.bare_store FILE    commits when it is asked to (processes.py), with no network anywhere
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from p2pchat.core.entries import text_entry

STORAGE = Path(__file__).parent.parent / "p2pchat" / "storage"

_INSERT = (
    "INSERT INTO entry (conversation, stream, seq, head, author, id, number, lamport, written_at, arrived_at, kind, "
    "auth, history, bytes) VALUES (1, 1, ?1, ?2, 1, ?3, ?1, ?1, ?4, ?4, 'text', 'link', 0, ?5)"
)
NOW = 1_790_000_000_000

ENVELOPE = len(text_entry("", id=bytes(16), number=100_000, lamport=100_000, time=NOW))
"""Bytes of an entry beside its text, as its author encoded it: they are in every row."""


class BareStore:
    """One author's stream in one conversation."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("journal_mode", "WAL")
        self._connection.pragma("synchronous", "FULL")
        self._connection.pragma("foreign_keys", True)  # what the schema says is kept to
        self._connection.execute(_schema().read_text("utf-8"))
        self._seq = 0
        self._fill()

    def append(self, texts: Sequence[bytes]) -> None:
        """Commit so many entries: rows, their words, the stream's end, the running count, the reader's vector."""
        rows = []
        envelope = bytes(ENVELOPE)
        for text in texts:
            self._seq += 1
            rows.append((self._seq, bytes(32), self._seq.to_bytes(16, "big"), NOW, envelope + text))
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        self._connection.executemany(_INSERT, rows)
        self._connection.executemany(
            "INSERT INTO search (rowid, text) VALUES (?, ?)",
            ((self._seq - len(texts) + place, text.decode()) for place, text in enumerate(texts, 1)),
        )
        execute("UPDATE stream SET seq = ?, head = ? WHERE stream = 1", (self._seq, bytes(32)))
        execute("UPDATE conversation SET number = ?1, lamport = ?1 WHERE conversation = 1", (self._seq,))
        execute("UPDATE vector SET seq = ?1, sent = ?1 WHERE stream = 1 AND reader = 2", (self._seq,))
        execute("COMMIT")

    def _fill(self) -> None:
        execute = self._connection.execute
        execute("BEGIN")
        execute("INSERT INTO party (party, peer) VALUES (1, ?), (2, ?)", (bytes(32), bytes([1] * 32)))
        execute(
            "INSERT INTO conversation (conversation, id, number, lamport, open) VALUES (1, ?, 0, 0, 1)", (bytes(32),)
        )
        execute(
            "INSERT INTO stream (stream, conversation, author, name, first, base, seq, head, state) "
            "VALUES (1, 1, 1, ?, 1, ?, 0, ?, 'current')",
            (bytes(80), bytes(32), bytes(32)),
        )
        execute("INSERT INTO vector (stream, reader, first, seq, sent, seen) VALUES (1, 2, 1, 0, 0, 0)")
        execute("COMMIT")


def _schema() -> Path:
    """The newest whole schema of a peer."""
    return max(STORAGE.glob("peer-?.sql"))


class Commits:
    """The questions of the benchmark."""

    def __init__(self, path: Path) -> None:
        self._store = BareStore(path)

    def one_by_one(self, count: int, size: int) -> dict[str, Any]:
        """Seconds of each of `count` commits of one entry of `size` bytes."""
        seconds: list[float] = []
        for _ in range(count):
            started = time.perf_counter()
            self._store.append([b"x" * size])
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds}

    def in_batches(self, count: int, size: int, batch: int) -> dict[str, Any]:
        """Seconds for `count` entries, `batch` in a commit."""
        started = time.perf_counter()
        for done in range(0, count, batch):
            self._store.append([b"x" * size] * min(batch, count - done))
        return {"seconds": time.perf_counter() - started}


def main() -> None:
    """Serve questions."""
    commits = Commits(Path(sys.argv[1]))
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(getattr(commits, question.pop("what"))(**question)), flush=True)


if __name__ == "__main__":
    main()
