"""What changed on a roster between two looks at it."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from p2pchat.api import RosterRow
from p2pchat.core.text import Kind, clean

from .words import short_id

Kinds = Literal["came", "went", "changed"]


class Change(Struct, frozen=True):
    """One peer that came, went, or is to be reached elsewhere; as JSON what `roster --watch --json` prints."""

    change: Kinds
    row: RosterRow


def changes(before: Sequence[RosterRow], after: Sequence[RosterRow]) -> list[Change]:
    """Who went, then who came or changed; that somebody was heard again is no change."""
    old = {row.id: row for row in before}
    new = {row.id: row for row in after}
    found = [Change("went", row) for row in before if row.id not in new]
    for row in after:
        known = old.get(row.id)
        if known is None:
            found.append(Change("came", row))
        elif _lasting(known) != _lasting(row):
            found.append(Change("changed", row))
    return found


def describe(change: Change) -> str:
    """A change as a line."""
    row = change.row
    address = clean(row.address, Kind.NAME)
    place = f"[{address}]:{row.port}" if ":" in address else f"{address}:{row.port}"
    return f"{change.change}: {clean(row.handle, Kind.NAME)} {place} {short_id(row.id)}"


def _lasting(row: RosterRow) -> tuple[str, str, str, int, int]:
    return row.handle, row.name, row.address, row.port, row.since
