"""python -m tests.simulation: many stories, or one that is told."""

import argparse
import sys
import time
from collections.abc import Sequence

from twisted.logger import globalLogBeginner

from .plot import plot_of
from .shrink import fails, shrink, story_of


def tell(seed: int, whole: bool) -> bool:
    """Tell a story, shrunk if something goes wrong in it; whether nothing did."""
    plot = plot_of(seed)
    wrong = fails(plot)
    print(story_of(shrink(plot, wrong) if wrong and not whole else plot))
    return not wrong


def many(first: int, count: int, stop_after: int) -> int:
    """Run many stories; how many went wrong."""
    began, bad = time.monotonic(), []
    for done, seed in enumerate(range(first, first + count), 1):
        wrong = fails(plot_of(seed))
        if wrong:
            bad.append(seed)
            print(f"seed {seed}: {wrong[:600]}", flush=True)
            if len(bad) == stop_after:
                break
        if done % 1000 == 0:
            print(f"{done} seeds, {len(bad)} wrong, {time.monotonic() - began:.0f} s", flush=True)
    seconds = time.monotonic() - began
    print(f"seeds {first} to {seed}: {len(bad)} wrong {bad[:20]} ({seconds:.1f} s, {done * 60 / seconds:.0f} a minute)")
    return len(bad)


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Try the promise.")
    parser.add_argument("--seeds", type=int, default=300, help="how many stories")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--stop-after", type=int, default=10, help="how many may go wrong before it ends")
    parser.add_argument("--seed", type=int, help="one story alone")
    parser.add_argument("--story", action="store_true", help="tell it, shrunk if something goes wrong")
    parser.add_argument("--whole", action="store_true", help="tell it as it is")
    options = parser.parse_args(arguments)
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    if options.seed is not None:
        if options.story or options.whole:
            return 0 if tell(options.seed, options.whole) else 1
        return 1 if many(options.seed, 1, 1) else 0
    return 1 if many(options.first, options.seeds, options.stop_after) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
