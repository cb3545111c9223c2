"""The table that `make bench` prints: a row for each figure, with its ratio to the bare one and what it should be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    name: str
    unit: str
    product: float | None
    """None where only the bare program does it."""
    bare: float | None = None
    """None where there is nothing to compare with."""
    most: float | None = None
    """The ratio to the bare figure that it may have at most."""
    least: float | None = None
    """The ratio to the bare figure that it must have at least."""
    note: str = ""
    under: float | None = None
    """What the figure itself, in its unit, may be at most."""

    @property
    def ratio(self) -> float | None:
        """The figure as a multiple of the bare one."""
        if self.product is None or not self.bare:
            return None
        return self.product / self.bare

    @property
    def reached(self) -> bool | None:
        """Whether it is as it should be; None where nothing is said about it."""
        judged = [self.ratio <= self.most] if self.ratio is not None and self.most is not None else []
        judged += [self.ratio >= self.least] if self.ratio is not None and self.least is not None else []
        judged += [self.product <= self.under] if self.product is not None and self.under is not None else []
        return all(judged) if judged else None

    def cells(self) -> tuple[str, ...]:
        """What stands in its columns."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        bounds = (
            "" if self.most is None else f"<= {self.most:g}",
            "" if self.least is None else f">= {self.least:g}",
            "" if self.under is None else f"<= {self.under:g} {self.unit}",
        )
        verdict = {None: "", True: "yes", False: "NO"}[self.reached]
        target = ", ".join(filter(None, bounds))
        return (self.name, self.unit, _figure(self.product), _figure(self.bare), ratio, target, verdict, self.note)


HEADINGS = ("what", "unit", "p2pchat", "bare", "ratio", "target", "reached", "")
_RIGHT = frozenset({"p2pchat", "bare", "ratio"})


def table(rows: Iterable[Row]) -> str:
    """All rows under their headings, as a Markdown table that is read well on a terminal."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = tuple(
        "-" * (width - 1) + ":" if heading in _RIGHT else "-" * width
        for width, heading in zip(widths, HEADINGS, strict=True)
    )
    return "\n".join(_line(cells, widths) for cells in (lines[0], rule, *lines[1:]))


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of the values are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def middle(values: Iterable[float]) -> float:
    """The median."""
    return median(values)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
        for cell, width, heading in zip(cells, widths, HEADINGS, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
