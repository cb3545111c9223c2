"""
Are the tests any good? Each mutant is one mistake put into a copy of the package; some test must notice it.

    python -m tests.mutants                    every mutant, with SEEDS stories each, or the tests that it names
    python -m tests.mutants --seeds 1000 NAME  those whose name holds NAME

The same stories and tests must find nothing in a copy without a mistake: that is tried first. A mutant that nothing
notices is printed as ALIVE, and the exit code is 1. One whose text is not in the source any more is an error: it has to
be written anew.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SEEDS = 300
"""Stories that a mutant has to live through: as many as `make test` tells."""

WITHIN = 900.0
"""Seconds for one mutant; one that hangs is noticed."""


@dataclass(frozen=True)
class Mutant:
    """A mistake: `old` stands in `file` once, and is replaced."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    """The trial tests that notice it; empty: the simulation does."""


MUTANTS = (
    Mutant(
        "acknowledge before the commit",
        "p2pchat/peer/inbox.py",
        "                stored, until_told = await self._write(two, batch, now)\n",
        "                if selected is not None and selected.exchange is not None:\n"
        "                    self._acknowledge(selected, selected.exchange, [Stored(each, 0) for each in batch])\n"
        "                stored, until_told = await self._write(two, batch, now)\n",
    ),
    Mutant(
        "acknowledge before the commit, as strace sees it",
        "p2pchat/peer/inbox.py",
        "                stored, until_told = await self._write(two, batch, now)\n",
        "                if selected is not None and selected.exchange is not None:\n"
        "                    self._acknowledge(selected, selected.exchange, [Stored(each, 0) for each in batch])\n"
        "                stored, until_told = await self._write(two, batch, now)\n",
        ("tests.test_syncs",),
    ),
    Mutant(
        "accept before the commit",
        "p2pchat/storage/workers.py",
        '            self.connection.execute("COMMIT")\n',
        '            self.connection.execute("PRAGMA synchronous")\n            deliver(list(batch), self._health)\n'
        '            batch.clear()\n            self.connection.execute("COMMIT")\n',
    ),
    Mutant(
        "synchronous NORMAL for FULL",
        "p2pchat/storage/schema.py",
        'connection.pragma("synchronous", "FULL")\n            connection.pragma("fullfsync"',
        'connection.pragma("synchronous", "NORMAL")\n            connection.pragma("fullfsync"',
    ),
    Mutant(
        "duplicates by number",
        "p2pchat/peer/receipts.py",
        "    return tables.entries.bodies(two.them, [each.judged.id for each in batch if each.judged.refusal "
        "is None])\n",
        "    numbered = tables.entries.by_number\n"
        "    same = ((each, numbered(two.conversation, two.them, each.judged.number)) for each in batch)\n"
        "    return {each.judged.id: found[0].bytes for each, found in same if found}\n",
    ),
    Mutant(
        "duplicates are not looked for",
        "p2pchat/peer/receipts.py",
        "intake = _Intake(tables, two, _twins(tables, two, batch), now)",
        "intake = _Intake(tables, two, {}, now)",
    ),
    Mutant(
        "no head is compared",
        "p2pchat/core/doubt.py",
        "if holding.seq > known.seq or head_at(holding.seq) != holding.head:",
        "if holding.seq > known.seq:",
    ),
    Mutant(
        "no new stream after a mismatch",
        "p2pchat/core/doubt.py",
        "        return _broken(known, holding, new_store, head_at)\n",
        "        return Fits(min(holding.seq, known.seq), holding.head)\n",
    ),
    Mutant(
        "nothing is sent again on a new link",
        "p2pchat/peer/ledger.py",
        "return Outgoing(stream.stream, stream.name, listed, stream.seq, confirmed + 1, ",
        "return Outgoing(stream.stream, stream.name, listed, stream.seq, max(confirmed, vector.sent) + 1, ",
    ),
    Mutant(
        "nobody is told that a reader was rolled back",
        "p2pchat/peer/settlement.py",
        "if replacing else _in_doubt(ranges, SENT_AGAIN)\n",
        "if replacing else []\n",
    ),
    Mutant(
        "delivered is not bound to the reader's store",
        "p2pchat/core/doubt.py",
        "    if known.store is not None and known.store != store:\n",
        "    if False:\n",
    ),
    Mutant(
        "the sent-up-to mark is not committed",
        "p2pchat/peer/ledger.py",
        "        tables.vectors.set_sent(batch.outgoing.stream, two.them, written[-1].seq)\n",
        "        pass\n",
    ),
    Mutant(
        "what the memory kept is sent, whatever the disk has by now",
        "p2pchat/peer/ledger.py",
        "    if kept and tables.entries.head_at(batch.outgoing.stream, kept[-1].seq) == kept[-1].head:\n",
        "    if kept:\n",
        ("tests.test_ledger",),
    ),
    Mutant(
        "what waits is marked as sent, whatever the disk has by now",
        "p2pchat/peer/ledger.py",
        'leaving = 0 if behind not in (b"", stream.head) else _leaving(written, room)',
        "leaving = _leaving(written, room)",
        ("tests.test_ledger",),
    ),
    Mutant(
        "both sides close the older link",
        "p2pchat/peer/selection.py",
        "            self._held[link] = []\n",
        "            current.close(EndCode.DUPLICATE)\n            self._take(link)\n",
        ("tests.test_links",),
    ),
    Mutant(
        "a link that was replaced is used again",
        "p2pchat/peer/selection.py",
        "        self._held = {}\n        self._current, ",
        "        self._held.pop(link, None)\n        self._current, ",
        ("tests.test_links",),
    ),
    Mutant(
        "whatever a reader lists is believed",
        "p2pchat/peer/settlement.py",
        "    if doubts and not may_doubt:\n",
        "    if doubts and not doubts:\n",
        ("tests.test_chat",),
    ),
    Mutant(
        "a link that opened makes the waits short",
        "p2pchat/peer/pursuit.py",
        "        if lasted >= LASTED:\n",
        "        if lasted >= 0:\n",
        ("tests.test_links",),
    ),
    Mutant(
        "entries are taken from a link that is not selected",
        "p2pchat/peer/chat.py",
        "        if selected is None or link is not selected.link or not link.alive:\n            return None\n",
        "        if selected is None:\n            return None\n",
        ("tests.test_chat",),
    ),
    Mutant(
        "what came over the older link is kept",
        "p2pchat/peer/inbox.py",
        "        self._received = []\n\n    async def _store_all",
        "        pass\n\n    async def _store_all",
        ("tests.test_chat",),
    ),
    Mutant(
        "what is said by one command is said one by one",
        "p2pchat/peer/commands.py",
        "        return talk.chat.say(*texts)\n",
        "        return [talk.chat.say(text) for text in texts][-1]\n",
        ("tests.test_peer_commands",),
    ),
    Mutant(
        "a WAL that was left behind is believed as it is",
        "p2pchat/storage/schema.py",
        "        _write_wal_again(path, vfs)\n",
        "",
        ("tests.test_left_behind",),
    ),
    Mutant(
        "loseConnection for abort",
        "p2pchat/net/connection.py",
        "            self._tls.abortConnection()\n",
        "            self._tls.loseConnection()\n",
        ("tests.test_connection",),
    ),
    Mutant(
        "seen over a gap",
        "p2pchat/ui/conversation.py",
        "        if not reading.broken and not said.history:\n",
        "        if not said.history:\n",
        ("tests.test_conversation",),
    ),
    Mutant(
        "seen although something before was missed",
        "p2pchat/ui/conversation.py",
        "        if reading is None or reading.withheld or not reading.whole or reading.displayed <= reading.told:\n",
        "        if reading is None or reading.withheld or reading.displayed <= reading.told:\n",
        ("tests.test_conversation",),
    ),
    Mutant(
        "taken back although it left",
        "p2pchat/peer/revision.py",
        'if stream.state != "current" or entry.seq <= max(vector.sent, vector.seq):',
        'if stream.state != "current" or entry.seq <= vector.seq:',
    ),
    Mutant(
        "retention believes a clock that jumped",
        "p2pchat/peer/timekeeping.py",
        "        return not self._watch.doubted\n",
        "        return True\n",
        ("tests.test_losses",),
    ),
    Mutant(
        "a failed fsync is tried again",
        "p2pchat/storage/failures.py",
        "    return isinstance(told, StoreCorrupt) or isinstance(error, apsw.IOError) or not isinstance(error, DISK)\n",
        "    return isinstance(told, StoreCorrupt) or not isinstance(error, DISK)\n",
        ("tests.test_workers",),
    ),
)


def mutated(mutant: Mutant, root: Path = ROOT) -> str:
    """The file with the mistake in it; raises ValueError if its text is not there once."""
    text = (root / mutant.file).read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"its text stands {text.count(mutant.old)} times in {mutant.file}")
    return text.replace(mutant.old, mutant.new)


def mutate(mutant: Mutant, copy: Path) -> None:
    """Put the mistake into a copy of the package; raises ValueError."""
    (copy / mutant.file).write_text(mutated(mutant, copy), "utf-8")


def noticed_by(tests: Sequence[str], copy: Path, seeds: int) -> str:
    """What the tests, or the stories if there are none, find wrong with a copy; empty if nothing is."""
    stories = ["-m", "tests.simulation", "--seeds", str(seeds), "--stop-after", "1"]
    command = [sys.executable, *(["-m", "twisted.trial", *tests] if tests else stories)]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    try:
        result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=WITHIN)
    except subprocess.TimeoutExpired:
        return "it hangs"
    if not result.returncode:
        return ""
    lines = [line for line in (result.stdout or result.stderr).splitlines() if line.strip()]
    failed = [line.strip() for line in lines if line.startswith("tests.")] if tests else []
    return (failed or lines)[0][:150]


def look_at(tests: Sequence[str], seeds: int, mutant: Mutant | None = None) -> str:
    """What tests find wrong with a fresh copy, with a mistake or without one."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for part in ("p2pchat", "tests", "twisted", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            mutate(mutant, copy)
        return noticed_by(tests, copy, seeds)


def try_one(mutant: Mutant, seeds: int) -> bool:
    """Whether the tests notice a mutant."""
    began = time.monotonic()
    try:
        killer = look_at(mutant.tests, seeds, mutant)
        verdict = f"killed: {killer}" if killer else "ALIVE"
    except ValueError as error:
        killer, verdict = "", f"ALIVE: {error}"
    print(f"{mutant.name}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    return bool(killer)


def sound(mutants: Sequence[Mutant], seeds: int) -> bool:
    """Whether what is to notice the mutants finds nothing where there is no mistake."""
    for tests in sorted({mutant.tests for mutant in mutants}):
        found = look_at(tests, seeds)
        print(f"no mistake, {' '.join(tests) or f'{seeds} stories'}: {found or 'nothing is found'}", flush=True)
        if found:
            return False
    return True


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 if every mutant was killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Test the tests.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="stories that each has to live through")
    parser.add_argument("name", nargs="?", default="", help="only those whose name holds this")
    options = parser.parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS if options.name in mutant.name]
    if not sound(chosen, options.seeds):
        return 1
    killed = sum(try_one(mutant, options.seeds) for mutant in chosen)
    print(f"{killed} of {len(chosen)} mutants killed")
    return 0 if killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
