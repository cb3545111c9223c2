"""Making a story shorter: steps are left out as long as something still goes wrong (delta debugging)."""

from collections.abc import Callable

from .oracle import Wrong
from .plot import Plot
from .world import run

MOST_RUNS = 600
"""Runs after which a story counts as short enough."""


def fails(plot: Plot) -> str:
    """What goes wrong in a story; empty if nothing does."""
    try:
        run(plot)
    except Wrong as wrong:
        return str(wrong)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def kind_of(wrong: str) -> str:
    """The same for two failures that are likely one."""
    return "".join(letter for letter in wrong[:24] if not letter.isdigit())


def shrink(plot: Plot, wrong: str, judge: Callable[[Plot], str] = fails) -> Plot:
    """A shorter story in which the same kind of thing goes wrong."""
    steps, runs, kind = list(plot.steps), 0, kind_of(wrong)
    size = len(steps) // 2
    while size and runs < MOST_RUNS:
        at, before = 0, len(steps)
        while at < len(steps) and runs < MOST_RUNS:
            shorter = steps[:at] + steps[at + size :]
            runs += 1
            if kind_of(judge(plot._replace(steps=tuple(shorter)))) == kind:
                steps = shorter
            else:
                at += size
        if size > 1 or len(steps) == before:
            size //= 2
    return plot._replace(steps=tuple(steps))


def story_of(plot: Plot) -> str:
    """What happens in a story, to be read: its seed, its steps, and line by line what comes of them."""
    lines: list[str] = []
    try:
        run(plot, lines.append)
    except Exception as error:
        lines.append(f"WRONG: {error}")
    else:
        lines.append("all is well")
    steps = ", ".join(map(repr, plot.steps))
    return "\n".join([f"seed {plot.seed}, {len(plot.steps)} steps: {steps}", *lines])
