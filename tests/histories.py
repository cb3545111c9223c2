"""
What was said and what arrived, and whether the promise was kept: an offline checker, after the manner of Jepsen.

One author notes what became of every message that it asked its peer to send; when everything is over the receiver's
database is read, and `judge` compares. It knows nothing of how either side works.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import apsw
import msgspec


class Outcome(Enum):
    """What the author knows of a message."""

    ACCEPTED = "accepted"
    """It was told that it is queued, and must arrive."""
    REFUSED = "refused"
    """It was told that it is not, and must never arrive."""
    UNKNOWN = "unknown"
    """The peer died before it answered: it may arrive, once."""


@dataclass(frozen=True)
class Attempt:
    """A message that was to be sent; no two have the same text."""

    text: str
    outcome: Outcome
    number: int = 0
    """Under which it was accepted."""


@dataclass(frozen=True)
class Recorded:
    """A message of the author in the receiver's store."""

    number: int
    text: str


@dataclass(frozen=True)
class Verdict:
    """What is wrong; everything is empty if the promise was kept."""

    accepted: int
    recorded: int
    lost: tuple[str, ...]
    """Accepted, and not at the receiver."""
    twice: tuple[str, ...]
    """More than once at the receiver."""
    reordered: tuple[str, ...]
    """At the receiver behind one that has a higher number, or was accepted later."""
    phantom: tuple[str, ...]
    """At the receiver, but never said, refused, or under another number."""

    @property
    def kept(self) -> bool:
        """Whether the promise was."""
        return not (self.lost or self.twice or self.reordered or self.phantom)

    def __str__(self) -> str:
        counts = {name: len(getattr(self, name)) for name in ("lost", "twice", "reordered", "phantom")}
        words = ", ".join(f"{name} {count}" for name, count in counts.items())
        examples = [f"{name}: {getattr(self, name)[:5]}" for name, count in counts.items() if count]
        return "; ".join([f"{self.accepted} accepted, {self.recorded} recorded, {words}", *examples])


def judge(attempts: Sequence[Attempt], recorded: Sequence[Recorded]) -> Verdict:
    """Compare what an author said, in its order, with what the receiver has of it, in order of arrival."""
    said = {attempt.text: attempt for attempt in attempts}
    place = {attempt.text: index for index, attempt in enumerate(attempts)}
    assert len(said) == len(attempts), "no two messages may be alike"
    counted = Counter(each.text for each in recorded)
    lost = [each.text for each in attempts if each.outcome is Outcome.ACCEPTED and each.text not in counted]
    phantom = [each.text for each in recorded if not _may_be(said.get(each.text), each)]
    reordered: list[str] = []
    last = (0, -1)
    for each in recorded:
        here = (each.number, place.get(each.text, -1))
        if here[0] <= last[0] or here[1] <= last[1]:
            reordered.append(each.text)
        last = (max(here[0], last[0]), max(here[1], last[1]))
    return Verdict(
        accepted=sum(each.outcome is Outcome.ACCEPTED for each in attempts),
        recorded=len(recorded),
        lost=tuple(lost),
        twice=tuple(text for text, count in counted.items() if count > 1),
        reordered=tuple(reordered),
        phantom=tuple(phantom),
    )


def _may_be(attempt: Attempt | None, recorded: Recorded) -> bool:
    if attempt is None or attempt.outcome is Outcome.REFUSED:
        return False
    return attempt.outcome is Outcome.UNKNOWN or attempt.number == recorded.number


def recorded_of(database: Path, author: bytes) -> list[Recorded]:
    """The messages of the peer with the id `author` in a database that nobody uses, in order of arrival."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute(
            "SELECT number, bytes FROM entry JOIN party ON party.party = entry.author "
            "WHERE party.peer = ? AND kind = 'text' ORDER BY entry",
            (author,),
        )
        return [Recorded(number, msgspec.msgpack.decode(data)["body"]["text"]) for number, data in rows]
    finally:
        connection.close()


def damage_in(database: Path) -> str:
    """What SQLite finds wrong with a database that nobody uses; "ok" if nothing is."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return " ".join(str(line) for (line,) in connection.execute("PRAGMA integrity_check(3)"))
    finally:
        connection.close()
