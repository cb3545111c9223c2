"""
What may happen in a story: its cast, and its steps, made from a seed before anything runs.

A step is a tuple of a word and plain values. It means something in any state, if only that nothing happens, so that any
part of a story is a story too: that is what makes it possible to shorten one.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from .disk import FATES

Step = tuple[str | int | float, ...]

LENGTHS = ((40, 120), (40, 120), (120, 240), (240, 450))
"""Steps of a story, from and to: many short ones find more than a few long ones, and some need to be long."""

BURSTS = ((60, 0), (60, 12_000), (300, 0), (300, 1_000))
"""Messages at once, and bytes of each: more than the first window, and more than a transport likes to hold."""

MANY = 1 << 16
"""Of a number that picks something: it is taken modulo how much there is."""

LIAR = "mallory"


class Plot(NamedTuple):
    """Who is in a story, and what happens, before the faults stop."""

    seed: int
    honest: tuple[str, ...]
    liar: bool
    steps: tuple[Step, ...]

    @property
    def cast(self) -> tuple[str, ...]:
        """Everybody."""
        return (*self.honest, LIAR) if self.liar else self.honest


def plot_of(seed: int) -> Plot:
    """The story of a seed. Which faults are in it at all is drawn first: some are found only where others are rare."""
    random = Random(seed)
    honest = ("alice", "bob", "carol") if random.random() < 0.2 else ("alice", "bob")
    liar = random.random() < 0.15
    cast = (*honest, LIAR) if liar else honest
    trouble = random.choice((0.1, 0.3, 0.6, 1.0))
    weights = {
        word: weight if word in ALWAYS else weight * trouble
        for word, weight in WORDS.items()
        if word in ALWAYS or random.random() < 0.6
    }
    if random.random() < 0.5:
        # A story in which nothing is rolled back must hold without any doubt.
        for word in ROLLBACKS:
            weights.pop(word, None)
    words, shares = list(weights), list(weights.values())
    count = random.randint(*random.choice(LENGTHS))
    steps = [step for word in random.choices(words, shares, k=count) for step in episode(word, random, cast)]
    return Plot(seed, honest, liar, (*opening(cast), *steps))


WORDS: dict[str, float] = {
    "say": 12,
    "display": 3,
    "move": 40,
    "commit": 18,
    "fire": 18,
    "turn": 14,
    "wait": 10,
    "want": 3,
    "start": 6,
    "cut": 2,
    "block": 1.2,
    "unblock": 2,
    "address": 0.7,
    "freeze": 0.7,
    "kill": 1,
    "power": 1,
    "disk trap": 2.5,
    "send trap": 1.2,
    "full": 0.8,
    "failure": 0.5,
    "wall": 0.5,
    "take back": 5,
    "burst": 0.6,
    "send again": 1,
    "fetch": 1,
    "back up": 4,
    "restore": 2,
    "lose": 0.7,
}
"""Every word, and how often it comes."""

ALWAYS = frozenset({"say", "move", "commit", "fire", "turn", "wait", "want", "start", "display", "unblock"})
ROLLBACKS = ("restore", "lose")


def opening(cast: tuple[str, ...]) -> tuple[Step, ...]:
    """Everybody starts, and wants to chat with everybody."""
    return (*(("start", name) for name in cast), ("turn",), ("turn",), ("turn",), *_everybody(cast))


def _everybody(cast: tuple[str, ...]) -> tuple[Step, ...]:
    return tuple(("want", one, other) for one in cast for other in cast if one < other)


def episode(word: str, random: Random, cast: tuple[str, ...]) -> Iterator[Step]:
    """
    The steps of a word. Mostly that is one; but whoever had to restore a backup often starts at once and goes on
    talking before anybody is reached, under numbers that were used before.
    """
    step = step_of(word, random, cast)
    yield step
    if word in ROLLBACKS and random.random() < 0.7:
        name = str(step[1])
        other = random.choice([each for each in cast if each != name])
        yield "start", name
        yield from (("commit", name), ("fire", name)) * 4
        yield "want", name, other, 0
        yield from (("commit", name), ("fire", name)) * 4
        yield "say", name, other, random.choice((0, 1, 3, 8)), 0
        yield "commit", name


def step_of(word: str, random: Random, cast: tuple[str, ...]) -> Step:  # noqa: C901  # one arm for each word
    """A step that begins with a word."""
    one, other = random.sample(cast, 2)
    pick = random.randrange(MANY)
    fate = random.choice(FATES)
    match word:
        case "say":
            return word, one, other, random.choice((1, 1, 1, 2, 3, 8)), random.choice((0, 0, 0, 0, 0, 4000))
        case "burst":
            return word, one, other, *random.choice(BURSTS)
        case "move":
            return word, pick, random.choice((1, 30, 300, 300, MANY, MANY, MANY))
        case "commit" | "fire" | "start" | "kill" | "back up" | "lose":
            return word, one
        case "power":
            return word, one, fate
        case "wait":
            return word, random.choice((0.1, 0.5, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0))
        case "want" | "display" | "take back" | "fetch" | "send again" | "block" | "unblock":
            return word, one, other, pick
        case "cut":
            return word, pick, random.randrange(4)
        case "freeze":
            return word, one, random.choice((5.0, 40.0, 50.0, 100.0))
        case "disk trap":
            return word, one, random.choice((0, 1, 2, 3, 5, 8, 13)), pick & 1, (pick >> 1) & 1, fate
        case "send trap":
            return word, one, random.choice((0, 1, 2, 3, 5)), pick & 1
        case "full":
            return word, one, random.choice((1, 0, 0))
        case "failure":
            return word, one, random.choice(("read", "write", "sync")), random.choice((0, 1, 2, 3, 5, 8))
        case "wall":
            return word, one, random.choice((-30, -10, -1, 1, 10, 30))
        case "address":
            return word, one, pick & 1
        case "restore":
            return word, one, pick
        case _:
            return (word,)
