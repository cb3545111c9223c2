"""What a message costs between two peers: alone, and in a crowd of its like."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import Program, Stage
from benchmarks.table import Row, middle, percentile

RIVALS = "Prosody 13,500 and ejabberd 27,000 pass on, without a disk"


@dataclass(frozen=True, slots=True)
class ChatSizes:
    """How much is done."""

    rounds: int = 8
    single: int = 100
    """Messages of a round, one after the other."""
    floods: int = 5
    many: int = 20_000
    """Messages of a flood."""
    window: int = 1_000
    """Of those, under way at a time."""
    size: int = 100
    """Bytes of text."""


@dataclass(slots=True)
class Singles:
    """Seconds of single messages, by what was done."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: list[float]) -> None:
        """More of them."""
        self.values.setdefault(name, []).extend(seconds)

    def at(self, name: str, part: float) -> float:
        """A percentile, in microseconds."""
        return percentile(self.values[name], part) * 1e6


def measure_chat(state: Path, sizes: ChatSizes) -> Iterator[Row]:
    """All rows about messages; real and bare peers run side by side and speak in turns."""
    with Stage() as stage:
        product, product_reader = _product(stage, state)
        bare = _bare(stage, state)
        commits = [stage.program("bare_store", str(state / f"commits-{number}.db")) for number in (1, 2)]
        yield from _single(product, bare, commits[0], sizes)
        yield from _floods(product, product_reader, bare, commits, sizes)


def _product(stage: Stage, state: Path) -> tuple[Program, Program]:
    reader = stage.program("chatter", str(state / "reader"), "reader")
    author = stage.program("chatter", str(state / "author"), "author")
    author.ask(what="connect", address=f"127.0.0.1:{reader.greeting['port']}")
    return author, reader


def _bare(stage: Stage, state: Path) -> Program:
    reader = stage.program("bare_chat", str(state / "reader.db"))
    return stage.program("bare_chat", str(state / "author.db"), str(reader.greeting["port"]))


def _single(product: Program, bare: Program, commits: Program, sizes: ChatSizes) -> Iterator[Row]:
    singles = Singles()
    common: dict[str, Any] = {"what": "one_by_one", "count": sizes.single, "size": sizes.size}
    for _ in range(sizes.rounds):
        singles.add("commit", commits.ask(**common)["seconds"])
        singles.add("bare", bare.ask(**common, durable=False)["seconds"])
        singles.add("bare durable", bare.ask(**common, durable=True)["seconds"])
        ours = product.ask(**common)
        singles.add("queued", ours["queued"])
        singles.add("delivered", ours["delivered"])
    for part, name in ((0.5, "p50"), (0.99, "p99")):
        yield Row(f"bare TLS round trip, no disk, {name}", "us", None, singles.at("bare", part))
        yield Row(
            f"message to queued (bare: one commit), {name}",
            "us",
            singles.at("queued", part),
            singles.at("commit", part),
        )
        yield Row(
            f"message to delivered (bare: the same, two commits), {name}", "us",
            singles.at("delivered", part), singles.at("bare durable", part),
        )  # fmt: skip
    total = 2 * singles.at("commit", 0.5) + singles.at("bare", 0.5)
    yield Row(
        "message to delivered (bare: 2 commits + round trip), p50", "us", singles.at("delivered", 0.5), total, most=1.3
    )


def _floods(
    product: Program, reader: Program, bare: Program, commits: list[Program], sizes: ChatSizes
) -> Iterator[Row]:
    ours: list[float] = []
    apart: list[float] = []
    network: list[float] = []
    disk: list[float] = []
    per_commit: list[tuple[int, int]] = []
    for _ in range(sizes.floods):
        before = reader.ask(what="commits")["commits"]
        common: dict[str, Any] = {"what": "in_flight", "count": sizes.many, "size": sizes.size, "window": sizes.window}
        flood = product.ask(**common, together=True)
        ours.append(sizes.many / flood["seconds"])
        batches = [
            max(1, round(sizes.many / number))
            for number in (flood["commits"], reader.ask(what="commits")["commits"] - before)
        ]
        per_commit.append((batches[0], batches[1]))
        network.append(sizes.many / bare.ask(**common, durable=True)["seconds"])
        for program, batch in zip(commits, batches, strict=True):
            program.put(what="in_batches", count=sizes.many, size=sizes.size, batch=batch)
        disk.append(sizes.many / max(program.answer()["seconds"] for program in commits))
        apart.append(sizes.many / product.ask(**common, together=False)["seconds"])
    rate = middle(ours)
    authors, readers = (middle(batch[side] for batch in per_commit) for side in (0, 1))
    batch_note = f"{authors:.0f} a commit at the author, {readers:.0f} at the reader"
    yield Row("durable messages/s, window full (bare: the same)", "1/s", rate, middle(network), note=RIVALS)
    yield Row("the same (bare: both commit, no network)", "1/s", rate, middle(disk), least=0.5, note=batch_note)
    yield Row("each said by a command of its own", "1/s", middle(apart))
