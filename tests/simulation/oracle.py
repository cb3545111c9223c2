"""
What must hold, after every step and at the end (I1 to I5 of the promise).

The oracle hears what people say and are told, and looks at the disks with its own SQL. It knows of every rollback, and
of nothing else that the peers do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from p2pchat.api import Delivered, Doubt, Event, NotDelivered, Person, Said, Seen
from p2pchat.core.identity import format_id
from p2pchat.core.messages import Have

from .machine import Machine, Process, identity_of
from .plot import Plot
from .reading import PADDING, Contents, Voice


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
    owed: dict[str, int] = field(default_factory=dict)
    """Text to number: what was rolled away at the reader, and the author had for delivered: they must be told."""
    old: dict[str, int] = field(default_factory=dict)
    """Of those, what the reader's lost database had: never new again, unless the author sends it again."""
    asked_again: set[str] = field(default_factory=set)
    """What the author's person wanted to be sent again, and is not delivered since."""
    bereft: set[str] = field(default_factory=set)
    """What was durable at the reader, and then rolled away."""
    forgotten: set[str] = field(default_factory=set)
    """What was accepted, and then rolled away at the author."""
    withdrawn: set[str] = field(default_factory=set)
    maybe_void: set[int] = field(default_factory=set)
    """Numbers that somebody wanted to take back."""
    shown: set[str] = field(default_factory=set)
    """What the reader was told as new, since its disk was last rolled back."""
    last_shown: int = 0
    """The number of the last of them."""
    displayed: set[str] = field(default_factory=set)
    """What the person there has before their eyes, or had."""
    rolled: bool = False
    """Whether one of the two disks was ever rolled back."""
    rewritten: bool = False
    """Whether the author's was."""
    doubts: list[tuple[str, int, int]] = field(default_factory=list)
    """(who was told, first, last) of the author's numbers."""

    @property
    def name(self) -> str:
        return f"{self.author.name} to {self.reader.name}"

    def own_words(self, contents: Contents) -> Voice:
        """What the author says in a database, to whomever."""
        return contents.of(self.author.identity.id)

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
        self._looked: dict[str, tuple[Process | None, int]] = {}

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
        if text not in way.own_words(way.author.durable_contents()).texts:
            self.complain(f"I2: {text!r} was accepted, and is not durable at {author}")

    def would_take_back(self, author: str, reader: str, text: str, number: int) -> None:
        """It may be taken back; if the process ends before it says so nobody knows."""
        way = self.ways[author, reader]
        way.accepted.pop(text, None)
        way.maybe_void.add(number)

    def keeps(self, author: str, reader: str, text: str, number: int) -> None:
        """It was not taken back."""
        self.ways[author, reader].accepted[text] = number

    def takes_back(self, author: str, reader: str, text: str) -> None:
        """It was taken back: nobody must ever read it, unless a backup knew nothing of its having left."""
        way = self.ways[author, reader]
        if not way.rewritten:
            way.withdrawn.add(text)

    def sends_again(self, author: str, reader: str, first: int, last: int) -> None:
        """Somebody wants messages to be sent again that count as delivered."""
        way = self.ways[author, reader]
        way.old = {text: number for text, number in way.old.items() if not first <= number <= last}
        lines = way.own_words(way.author.contents()).lines
        way.asked_again |= {line.text for line in lines if first <= line.number <= last}

    def displays(self, reader: str, author: str, entry: int) -> None:
        """Everything up to an entry is before somebody's eyes."""
        way = self.ways[author, reader]
        lines = way.own_words(way.reader.contents()).lines
        way.displayed |= {line.text for line in lines if line.entry <= entry}

    # --- what machines tell each other

    def has(self, process: Process, have: Have) -> None:
        """I1: what a machine says that it has, it has, whatever happens now."""
        machine = process.machine
        for holding in have.streams:
            author = holding.stream[32:64]
            if author != machine.identity.id and (durable := machine.durably_holds(holding.stream)) < holding.seq:
                self.complain(
                    f"I1: {machine.name} acknowledges {self._ids[author]}'s entries up to {holding.seq}, and what is "
                    f"durable ends at {durable}"
                )

    # --- what people are told

    def told(self, process: Process, event: Event) -> None:
        """A front end is told something."""
        match event:
            case Said() if not event.history:
                self._said(self.ways[self._names[event.person.id], process.machine.name], event)
            case Delivered():
                self._delivered(self.ways[process.machine.name, self._names[event.person.id]], event)
            case Seen():
                self._seen(self.ways[process.machine.name, self._names[event.person.id]], event)
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
        if text in way.old:
            self.complain(f"{way.reader.name} was shown {text!r} as new, which a lost database had")
        if text in way.shown:
            self.complain(f"I3: {way.reader.name} was shown {text!r} twice")
        if event.number <= way.last_shown and not way.rolled:
            self.complain(
                f"I3: {way.reader.name} was shown #{event.number} of {way.author.name} after #{way.last_shown}"
            )
        way.shown.add(text)
        way.last_shown = event.number

    def _delivered(self, way: Way, event: Delivered) -> None:
        if not self._honest_way(way):
            return
        written = self._numbers(way)
        durable = way.own_words(way.reader.durable_contents()).texts
        for number in event.numbers:
            text = written(number)
            if text is None:
                self.complain(f"I1: {way.name} #{number} is told as delivered, and there is no such message")
            elif text not in durable and text not in way.bereft:
                self.complain(f"I1: {way.name} #{number} {text!r} is told as delivered, and is not durable there")
            elif text in durable:
                way.delivered.add(text)
                if text in way.asked_again:
                    # What was lost after its author had it sent again, and before it left, was not lost with what was
                    # delivered: it waited, and has arrived as new.
                    way.asked_again.remove(text)
                    way.owed.pop(text, None)

    def _seen(self, way: Way, event: Seen) -> None:
        if not self._honest_way(way):
            return
        text_of = self._numbers(way)
        for number in event.numbers:
            if text_of(number) not in way.displayed:
                self.complain(f"{way.name} #{number} {text_of(number)!r} is told as seen, and nobody saw it")

    def _numbers(self, way: Way) -> Callable[[int], str | None]:
        """What the author says to the reader under a number."""
        by_number, said = way.own_words(way.author.contents()).by_number, way.said

        def text_of(number: int) -> str | None:
            return next((text for text in reversed(by_number.get(number, [])) if text in said), None)

        return text_of

    def _doubt(self, name: str, other: str, event: Doubt) -> None:
        way = self.ways[(name, other) if event.mine else (other, name)]
        way.doubts.append((name, event.first, event.last))
        if event.mine:
            way.owed = {text: n for text, n in way.owed.items() if not event.first <= n <= event.last}
        if self._honest_way(way) and not way.rolled:
            self.complain(f"{name} is told that {way.name} #{event.first} to #{event.last} are in doubt, for no reason")

    def _not_delivered(self, way: Way, event: NotDelivered) -> None:
        # A message and its void have one id: after a backup was restored on one side of that the other one may come.
        if self._honest_way(way) and not (way.rewritten and event.number in way.maybe_void):
            self.complain(f"{way.name} #{event.number} was refused: {event.reason}")

    # --- disks

    def rolled_back(self, machine: Machine, before: Contents, lost: bool) -> None:
        """The disk of a machine is an older one: what the promise says of it is only that doubt is told."""
        contents = machine.contents()
        for way in self.ways.values():
            if machine not in (way.author, way.reader):
                continue
            there = way.own_words(contents).texts
            way.rolled = True
            if machine is way.author:
                way.rewritten = True
                way.owed.clear()
                way.old.clear()
                way.forgotten |= way.accepted.keys() - there
                way.accepted = {text: number for text, number in way.accepted.items() if text in there}
                # What was taken back after the backup was made is a message again.
                for text in way.withdrawn & there:
                    way.accepted[text] = next(
                        line.number for line in way.own_words(contents).lines if line.text == text
                    )
                way.withdrawn -= there
            else:
                there_before = way.own_words(before).texts
                way.bereft |= there_before - there
                gone = self._confirmed(way, there_before - there)
                # An older backup may be followed by a newer one: what is there again is not lost.
                way.owed = {text: number for text, number in {**way.owed, **gone}.items() if text not in there}
                way.old = {**way.old, **gone} if lost else {}
                way.delivered &= there
                way.shown &= there

    def _confirmed(self, way: Way, texts: set[str]) -> dict[str, int]:
        """Those that are delivered by the author's disk, with their numbers."""
        confirmed = way.author.confirmed_by(way.reader)
        lines = way.own_words(way.author.contents()).lines
        return {
            line.text: line.number for line in lines if line.text in texts and line.seq <= confirmed.get(line.stream, 0)
        }

    def look(self, machine: Machine) -> None:
        """I1 to I4 on a disk, if it may have changed."""
        process = machine.process
        mark = (process, -1 if process is None else process.database.commits)
        if self._looked.get(machine.name) != mark:
            self._looked[machine.name] = mark
            self.examine(machine)

    def examine(self, machine: Machine) -> None:
        """I1 to I4 on a disk."""
        if machine.name not in self._honest:
            return
        contents = machine.contents()
        for way in self.ways.values():
            if machine is way.author and way.reader.name in self._honest:
                self._examine_author(way, way.own_words(contents))
            elif machine is way.reader and way.author.name in self._honest:
                self._examine_reader(way, way.own_words(contents))

    def _examine_author(self, way: Way, words: Voice) -> None:
        missing = way.accepted.keys() - words.texts
        if missing:
            self.complain(f"I2: {way.author.name} no longer has {sorted(missing)}, which were accepted")

    def _examine_reader(self, way: Way, words: Voice) -> None:
        if missing := way.delivered - words.texts:
            self.complain(f"I1: {way.reader.name} no longer has {sorted(missing)}, which were told as delivered")
        if words.twice:
            self.complain(f"I3: {way.reader.name} has something of {way.author.name} twice")
        if strange := words.texts - way.said:
            self.complain(f"I4: {way.reader.name} has {sorted(strange)}, which {way.author.name} never said to them")
        if back := way.withdrawn & words.texts:
            self.complain(f"{way.reader.name} has {sorted(back)}, which were taken back")
        if not way.rolled and not words.in_order:
            self.complain(f"I3: {way.name} arrived as {[line.number for line in words.lines]}")

    # --- the end

    def drained(self) -> bool:
        """Whether nothing waits any more."""
        return all(self._waiting(way) == 0 for way in self.ways.values())

    def _waiting(self, way: Way) -> int:
        chat = None if way.author.process is None else way.author.process.chat(way.reader)
        return 1 if chat is None else chat.unsent

    def conclude(self) -> None:
        """I5: everything that was accepted is there, or was refused, or somebody was told that it is in doubt."""
        for way in self.ways.values():
            if self._waiting(way):
                self.complain(f"I5: {self._waiting(way)} messages {way.name} still wait")
            if self._honest_way(way):
                self._conclude(way)

    def _conclude(self, way: Way) -> None:
        written = [line for line in way.own_words(way.author.contents()).lines if line.text in way.said]
        there = way.own_words(way.reader.contents()).texts
        for line in written:
            if line.text not in there and not way.in_doubt(line.number):
                self.complain(f"I5: {way.name} #{line.number} {line.text!r} never arrived, and nobody was told")
        if way.owed:
            # A process that died right after it had noted a doubt tells its person when it is back (/doubts).
            noted = way.author.doubts_about(way.reader)
            way.owed = {text: n for text, n in way.owed.items() if not any(first <= n <= last for first, last in noted)}
        if way.owed:
            self.complain(
                f"{way.reader.name} lost #{sorted(way.owed.values())} of {way.author.name}, who was told nothing"
            )
        kept = {line.text for line in written}
        if (left := (way.forgotten & there) - kept) and not way.doubts:
            self.complain(f"{way.author.name} lost {sorted(left)}, which {way.reader.name} has; nobody was told")
