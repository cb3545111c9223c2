"""
What a difference between two disks means: what an author does at link-up about one stream of its own.

docs/protocol.md, section 10, "Doubt". The number of an entry proves nothing, since a restored backup uses numbers
again; the heads of the chain do.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .entries import first_head
from .messages import Holding


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What an author knows of one of its streams and of its reader."""

    name: bytes
    seq: int
    """The last entry that it wrote."""
    head: bytes
    store: bytes | None
    """The reader's store when it last confirmed; None if nothing was ever heard."""
    first: int
    """From where this reader reads."""
    confirmed_seq: int
    confirmed_head: bytes
    """head(confirmed_seq); head(first - 1) if nothing is confirmed."""


@dataclass(frozen=True, slots=True)
class Fits:
    """All is well: go on after `seq`, which the reader has."""

    seq: int
    head: bytes


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The reader has less than it confirmed, under the same store: tell the person, send the rest again."""

    seq: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The chains differ: begin a new stream whose first entry is `reset`, naming (seq, head)."""

    seq: int
    head: bytes


Verdict = Fits | RolledBack | Broken


def start_for(known: Knowledge, store: bytes) -> tuple[int, bytes]:
    """The `first` and `base` that an author lists for a reader with this store, given that it has (first, base)."""
    if known.store is not None and known.store != store:
        # The old store confirmed these; the new one gets them only on request.
        return known.confirmed_seq + 1, known.confirmed_head
    return known.first, b""


def compare(known: Knowledge, holding: Holding | None, store: bytes, head_at: Callable[[int], bytes | None]) -> Verdict:
    """
    What an author does about one stream of its own at link-up.

    `holding` is the reader's word, None if it listed nothing; `head_at(seq)` is head(seq) as the author knows it.
    """
    new_store = known.store is not None and known.store != store
    if holding is None:
        if new_store:
            return Fits(known.confirmed_seq, known.confirmed_head)
        if known.confirmed_seq >= known.first:
            base = head_at(known.first - 1)
            return Broken(0, first_head(known.name)) if base is None else RolledBack(known.first - 1, base)
        return Fits(known.confirmed_seq, known.confirmed_head)
    if holding.seq > known.seq or head_at(holding.seq) != holding.head:
        return _broken(known, holding, new_store, head_at)
    if holding.seq < known.confirmed_seq and not new_store:
        return RolledBack(holding.seq, holding.head)
    return Fits(holding.seq, holding.head)


def _broken(known: Knowledge, holding: Holding, new_store: bool, head_at: Callable[[int], bytes | None]) -> Broken:
    """The chains differ: the last place up to which the reader need not be sent everything again."""
    if head_at(known.confirmed_seq) == known.confirmed_head:
        # If it has more than that, and another entry there, only the reader can see it: then it refuses the `reset`.
        if not new_store and holding.seq > known.confirmed_seq:
            return Broken(known.confirmed_seq, known.confirmed_head)
        # What it confirmed and no longer says that it has, or now has something else in the place of, it may lack: all
        # that was ever for it is sent again. And of what another database of it confirmed, whatever is not before the
        # place where this one began to read.
        start = min(holding.first - 1, known.confirmed_seq) if new_store else known.first - 1
        base = head_at(start)
        if base is not None and holding.seq >= start:
            return Broken(start, base)
    return Broken(0, first_head(known.name))
