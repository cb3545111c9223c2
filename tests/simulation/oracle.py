"""
What must hold, after every step and at the end (I1 to I5 of the promise).

The oracle hears what people say and are told, and looks at the disks with its own SQL. It knows of every rollback, and
of nothing else that the peers do.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from p2pchat.api import Delivered, Doubt, Event, NotDelivered, Person, Said
from p2pchat.core.identity import format_id

from .machine import PADDING, Line, Machine, Process, identity_of
from .plot import Plot


class Wrong(AssertionError):
    """Something that must hold does not."""


@dataclass
class Way:
    """From an author to a reader: what was said, and what both were told of it."""

    author: Machine
    reader: Machine
    said: set[str] = field(default_factory=set)
    accepted: dict[str, int] = field(default_factory=dict)
    """Text to number: what must be on the author's disk."""
    delivered: set[str] = field(default_factory=set)
    """What must be on the reader's disk."""
    bereft: set[str] = field(default_factory=set)
    """What was durable at the reader, and then rolled away."""
    forgotten: set[str] = field(default_factory=set)
    """What was accepted, and then rolled away at the author."""
    withdrawn: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    """What the reader was told as new, since its disk was last rolled back."""
    rolled: bool = False
    """Whether one of the two disks was ever rolled back."""
    doubts: list[tuple[str, int, int]] = field(default_factory=list)
    """(who was told, first, last) of the author's numbers."""

    @property
    def name(self) -> str:
        return f"{self.author.name} to {self.reader.name}"

    def in_doubt(self, number: int) -> bool:
        """Whether somebody was told that this number is in doubt."""
        return any(first <= number <= last for _, first, last in self.doubts)


class Oracle:
    """Judges one story."""

    def __init__(self, plot: Plot) -> None:
        self.ways: dict[tuple[str, str], Way] = {}
        self.wrong: list[str] = []
        self._honest = plot.honest
        self._liar = plot.liar
        self._names = {format_id(identity_of(name).id): name for name in plot.cast}
        self._ids = {identity_of(name).id: name for name in plot.cast}
        self._commits: dict[str, tuple[int, int]] = {}
        self._dirty: set[str] = set()

    def introduce(self, machines: dict[str, Machine]) -> None:
        """Everybody who may say something to somebody."""
        for author in machines.values():
            for reader in machines.values():
                if author is not reader:
                    self.ways[author.name, reader.name] = Way(author, reader)

    def name_of(self, person: Person) -> str:
        """Whom a front end is told about."""
        return self._names[person.id]

    def complain(self, what: str) -> None:
        """Something is wrong."""
        self.wrong.append(what)

    def _honest_way(self, way: Way) -> bool:
        return way.author.name in self._honest and way.reader.name in self._honest

    # --- what people do

    def says(self, author: str, reader: str, text: str) -> None:
        """Somebody says something; it is not accepted yet."""
        self.ways[author, reader].said.add(text)

    def accepts(self, author: str, reader: str, text: str, number: int) -> None:
        """It is accepted: I2, it must be durable now."""
        way = self.ways[author, reader]
        way.accepted[text] = number
        if text not in _texts(way.author.durable_lines(), way.author):
            self.complain(f"I2: {text!r} was accepted, and is not durable at {author}")

    def would_take_back(self, author: str, reader: str, text: str) -> None:
        """It may be taken back; if the process ends before it says so nobody knows."""
        self.ways[author, reader].accepted.pop(text, None)

    def keeps(self, author: str, reader: str, text: str, number: int) -> None:
        """It was not taken back."""
        self.ways[author, reader].accepted[text] = number

    def takes_back(self, author: str, reader: str, text: str) -> None:
        """It was taken back: nobody must ever read it."""
        self.ways[author, reader].withdrawn.add(text)

    # --- what people are told

    def told(self, process: Process, event: Event) -> None:
        """A front end is told something."""
        match event:
            case Said() if not event.history:
                self._said(self.ways[self._names[event.person.id], process.machine.name], event)
            case Delivered():
                self._delivered(self.ways[process.machine.name, self._names[event.person.id]], event)
            case Doubt():
                self._doubt(process.machine.name, self._names[event.person.id], event)
            case NotDelivered():
                self._not_delivered(self.ways[process.machine.name, self._names[event.person.id]], event)

    def _said(self, way: Way, event: Said) -> None:
        if way.author.name not in self._honest or way.reader.name not in self._honest:
            return
        text = event.text.rstrip(PADDING)
        if text not in way.said:
            self.complain(f"I4: {way.reader.name} was shown {text!r}, which {way.author.name} never said")
        if text in way.shown:
            self.complain(f"I3: {way.reader.name} was shown {text!r} twice")
        way.shown.add(text)

    def _delivered(self, way: Way, event: Delivered) -> None:
        if not self._honest_way(way):
            return
        written = {
            line.number: line.text
            for line in way.author.lines()
            if _by(line, way.author) and line.kind == "text" and line.text in way.said
        }
        durable = _texts(way.reader.durable_lines(), way.author)
        for number in event.numbers:
            text = written.get(number)
            if text is None:
                self.complain(f"I1: {way.name} #{number} is told as delivered, and there is no such message")
            elif text not in durable | way.bereft:
                self.complain(f"I1: {way.name} #{number} {text!r} is told as delivered, and is not durable there")
            elif text in durable:
                way.delivered.add(text)

    def _doubt(self, name: str, other: str, event: Doubt) -> None:
        way = self.ways[(name, other) if event.mine else (other, name)]
        way.doubts.append((name, event.first, event.last))
        if self._honest_way(way) and not way.rolled:
            self.complain(f"{name} is told that {way.name} #{event.first} to #{event.last} are in doubt, for no reason")

    def _not_delivered(self, way: Way, event: NotDelivered) -> None:
        if self._honest_way(way):
            self.complain(f"{way.name} #{event.number} was refused: {event.reason}")

    # --- disks

    def rolled_back(self, machine: Machine, before: list[Line]) -> None:
        """The disk of a machine is an older one: what the promise says of it is only that doubt is told."""
        lines = machine.lines()
        for way in self.ways.values():
            if machine not in (way.author, way.reader):
                continue
            there = _texts(lines, way.author)
            way.rolled = True
            if machine is way.author:
                way.forgotten |= way.accepted.keys() - there
                way.accepted = {text: number for text, number in way.accepted.items() if text in there}
                # What was taken back after the backup was made is a message again.
                for text in way.withdrawn & there:
                    way.accepted[text] = next(line.number for line in lines if line.text == text)
                way.withdrawn -= there
            else:
                way.bereft |= _texts(before, way.author) - there
                way.delivered &= there
                way.shown &= there

    def look(self, machine: Machine) -> None:
        """I1 to I4 on a disk, if it may have changed."""
        process = machine.process
        mark = (-1, -1) if process is None else (id(process), process.database.commits)
        if self._commits.get(machine.name) == mark:
            return
        self._commits[machine.name] = mark
        self.examine(machine)

    def examine(self, machine: Machine) -> None:
        """I1 to I4 on a disk."""
        if machine.name not in self._honest:
            return
        lines = machine.lines()
        by_author: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            if line.kind == "text":
                by_author[self._ids[line.author]].append(line)
        for way in self.ways.values():
            if machine is way.author and way.reader.name in self._honest:
                self._examine_author(way, by_author[machine.name])
            elif machine is way.reader and way.author.name in self._honest:
                self._examine_reader(way, by_author[way.author.name])

    def _examine_author(self, way: Way, lines: list[Line]) -> None:
        missing = way.accepted.keys() - {line.text for line in lines}
        if missing:
            self.complain(f"I2: {way.author.name} no longer has {sorted(missing)}, which were accepted")

    def _examine_reader(self, way: Way, lines: list[Line]) -> None:
        texts = [line.text for line in lines]
        if missing := way.delivered - set(texts):
            self.complain(f"I1: {way.reader.name} no longer has {sorted(missing)}, which were told as delivered")
        if len(set(texts)) < len(texts):
            self.complain(f"I3: {way.reader.name} has something of {way.author.name} twice")
        if strange := set(texts) - way.said:
            self.complain(f"I4: {way.reader.name} has {sorted(strange)}, which {way.author.name} never said to them")
        if back := way.withdrawn & set(texts):
            self.complain(f"{way.reader.name} has {sorted(back)}, which were taken back")
        numbers = [line.number for line in lines]
        if not way.rolled and numbers != sorted(numbers):
            self.complain(f"I3: {way.name} arrived as {numbers}")

    # --- the end

    def drained(self) -> bool:
        """Whether nothing waits any more between the honest."""
        return all(self._waiting(way) == 0 for way in self.ways.values() if self._honest_way(way))

    def _waiting(self, way: Way) -> int:
        chat = None if way.author.process is None else way.author.process.chat(way.reader)
        return 1 if chat is None else chat.unsent

    def conclude(self) -> None:
        """I5: everything that was accepted is there, or was refused, or somebody was told that it is in doubt."""
        for way in self.ways.values():
            if self._honest_way(way):
                self._conclude(way)

    def _conclude(self, way: Way) -> None:
        written = [
            line
            for line in way.author.lines()
            if _by(line, way.author) and line.kind == "text" and line.text in way.said
        ]
        there = {line.text for line in way.reader.lines() if _by(line, way.author)}
        for line in written:
            if line.text not in there and not way.in_doubt(line.number):
                self.complain(f"I5: {way.name} #{line.number} {line.text!r} never arrived, and nobody was told")
        kept = {line.text for line in written}
        if (left := (way.forgotten & there) - kept) and not way.doubts:
            self.complain(f"{way.author.name} lost {sorted(left)}, which {way.reader.name} has; nobody was told")
        if self._waiting(way):
            self.complain(f"I5: {self._waiting(way)} messages {way.name} still wait")


def _by(line: Line, author: Machine) -> bool:
    return line.author == author.identity.id


def _texts(lines: list[Line], author: Machine) -> set[str]:
    return {line.text for line in lines if _by(line, author) and line.kind == "text"}
