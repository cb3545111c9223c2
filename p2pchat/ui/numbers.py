"""Sets of message numbers: kept small however many messages there are, and written for people."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

MOST_RANGES = 8
"""Ranges written out in one line; what is beyond is counted."""


class Numbers:
    """A set of numbers that takes room by its gaps, not by its size: messages are numbered without gaps."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._count = 0
        self.update(numbers)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        index = self._index(number)
        return index >= 0 and self._ranges[index][1] >= number

    def __repr__(self) -> str:
        return f"<Numbers {write_numbers(self)}>"

    def ranges(self) -> Iterator[tuple[int, int]]:
        """First and last of each run, in order."""
        return iter(self._ranges)

    def add(self, number: int) -> bool:
        """Put a number in; false if it was there."""
        if number in self:
            return False
        self.add_run(number, number)
        return True

    def add_run(self, first: int, last: int) -> None:
        """Put all from `first` up to `last` (not less) in, however many those are."""
        begin = self._index(first)
        if begin < 0 or self._ranges[begin][1] < first - 1:
            begin += 1
        end = self._index(last + 1) + 1
        touched = self._ranges[begin:end]
        if touched:
            first, last = min(first, touched[0][0]), max(last, touched[-1][1])
        self._count += last - first + 1 - sum(until - since + 1 for since, until in touched)
        self._ranges[begin:end] = [(first, last)]

    def discard(self, number: int) -> bool:
        """Take a number out; false if it was not there."""
        if number not in self:
            return False
        self._count -= 1
        index = self._index(number)
        first, last = self._ranges.pop(index)
        self._ranges[index:index] = [run for run in ((first, number - 1), (number + 1, last)) if run[0] <= run[1]]
        return True

    def update(self, numbers: Iterable[int]) -> None:
        """Put several in."""
        for number in numbers:
            self.add(number)

    def clear(self) -> None:
        """Take all out."""
        self._ranges.clear()
        self._count = 0

    def _index(self, number: int) -> int:
        """The last run that begins at `number` or before; -1 if none does."""
        return bisect_right(self._ranges, number, key=lambda run: run[0]) - 1


def count_of(count: int, what: str = "message") -> str:
    """`1 message`, `12 messages`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def write_numbers(numbers: Numbers, most: int | None = MOST_RANGES) -> str:
    """`#14 #15`, `#14-#20 #22`; beyond `most` of them only how many there are in all."""
    parts = []
    for first, last in numbers.ranges():
        parts += [f"#{number}" for number in range(first, last + 1)] if last - first < 2 else [f"#{first}-#{last}"]
    if most is None or len(parts) <= most:
        return " ".join(parts)
    return f"{' '.join(parts[:most])} ... ({len(numbers)} in all)"
