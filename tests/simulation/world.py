"""
A story as it happens: machines, the network between them, and the people at them, moved step by step.
"""

from collections.abc import Callable
from random import Random
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.failure import Failure

from p2pchat.api import MOST_SAID, Event, Said
from p2pchat.core.errors import EndCode, StoreError, UserError
from p2pchat.core.messages import Have, Message

from .disk import Trap
from .machine import Machine, Process
from .network import Call, Network
from .oracle import Oracle, Wrong
from .plot import LIAR, MANY, Plot, Step
from .reading import PADDING
from .tongue import Tongue

FAULTS = frozenset({EndCode.VIOLATION, EndCode.UNEXPECTED, EndCode.MALFORMED, EndCode.TOO_BIG, EndCode.RATE})
"""What two honest peers never find in one another."""

YEAR = 365 * 86_400_000
"""Milliseconds."""

MOVES = 20_000
"""Movements after which a world that should come to rest counts as one that never does."""

MOMENT, LULL = 0.5, 2.0
"""Seconds that pass at once, while something happens and while nothing does."""

DRAIN_WITHIN = 400.0
"""
Simulated seconds from the end of the faults until everything is delivered: 45 s until a dead link is noticed, twice,
waits of 30 s between dials, and what is left to move.
"""


class World:
    """One story. Use it in a `with`: what it holds is given back."""

    def __init__(self, plot: Plot, tell: Callable[[str], None] | None = None) -> None:
        self.plot = plot
        self.now = 0.0
        self._tell = tell
        self.oracle = Oracle(plot)
        self.network = Network(self._broken, self._says)
        self.machines = {
            name: Machine(name, plot.seed, self.network, self._told, self.oracle.complain, self.note)
            for name in plot.cast
        }
        if plot.liar:
            liar = self.machines[LIAR]
            liar.tongue = Tongue(Random(f"{plot.seed} lies"))
        self.oracle.introduce(self.machines)
        self._said = 0
        self._last_read: dict[tuple[str, str], int] = {}
        self._ends = 0

    def __enter__(self) -> "World":
        globalLogPublisher.addObserver(cast(ILogObserver, self._logged))
        return self

    def __exit__(self, *error: object) -> None:
        for machine in self.machines.values():
            machine.close()
        globalLogPublisher.removeObserver(cast(ILogObserver, self._logged))

    def note(self, text: str) -> None:
        """A line of the story."""
        if self._tell is not None:
            self._tell(f"{self.now:8.2f} s  {text}")

    # --- what is heard

    def _told(self, process: Process, event: Event) -> None:
        if self._tell is not None:
            self._note_event(process, event)
        if isinstance(event, Said):
            other = next(each for each in self.machines.values() if each.name == self.oracle.name_of(event.person))
            self._last_read[process.machine.name, other.name] = event.entry
        self.oracle.told(process, event)

    def _note_event(self, process: Process, event: Event) -> None:
        values = {
            key: getattr(event, key)
            for key in ("number", "numbers", "text", "mine", "first", "last", "explanation", "reason")
            if hasattr(event, key)
        }
        about = ", ".join(f"{key} {str(value).rstrip(PADDING)!r}" for key, value in values.items())
        person = getattr(event, "person", None)
        whom = f" of {self.oracle.name_of(person)}" if person is not None else ""
        self.note(f"    {process.machine.name} is told: {type(event).__name__}{whom} {about}")

    def _says(self, process: Process, message: Message) -> list[Message]:
        """A process says something to another; what leaves."""
        if process.alive and isinstance(message, Have):
            self.oracle.has(process, message)
        tongue = process.machine.tongue
        return [message] if tongue is None else tongue(message)

    def _broken(self, process: Process, other: Process, code: EndCode, detail: str) -> None:
        if not process.alive:
            return
        self.note(f"    {process.machine.name} ends a link with {other.machine.name}: {code.value}, {detail}")
        names = {process.machine.name, other.machine.name}
        if code in FAULTS and LIAR not in names:
            self.oracle.complain(f"{process.machine.name} to {other.machine.name}: {code.value}, {detail}")

    def _logged(self, event: Any) -> None:
        if "log_failure" not in event:
            return
        failure: Failure = event["log_failure"]
        # What a process does that is no more is nobody's business.
        if self._ends == self._count_ends():
            self.oracle.complain(f"a bug: {failure.value!r}\n{failure.getTraceback()}")

    def _count_ends(self) -> int:
        return sum(len(machine.disks) for machine in self.machines.values())

    # --- steps

    def perform(self, step: Step) -> None:
        """Let a step happen, and look whether all is well; raises Wrong."""
        self._ends = self._count_ends()
        word, *values = step
        getattr(self, f"_do_{str(word).replace(' ', '_')}")(*values)
        self.check()

    def check(self) -> None:
        """Raises Wrong."""
        for machine in self.machines.values():
            machine.bury()
            self.oracle.look(machine)
        if self.oracle.wrong:
            raise Wrong("; ".join(dict.fromkeys(self.oracle.wrong)))

    def _alive(self, name: str) -> Process | None:
        process = self.machines[name].process
        return None if process is None or self.machines[name].frozen else process

    def _do_start(self, name: str) -> None:
        machine = self.machines[name]
        if machine.process is not None and machine.process.database.failed is not None:
            machine.end_of_process("since its person starts it again")
        if machine.process is None:
            self.note(f"{name} starts")
            machine.start()

    def _do_want(self, name: str, other: str, pick: int = 0) -> None:
        process = self._alive(name)
        if process is not None:
            self.note(f"{name} wants to chat with {other}")
            process.want(self.machines[other])

    def _do_say(self, name: str, other: str, count: int, size: int) -> None:
        process = self._alive(name)
        chat = None if process is None else process.chat(self.machines[other])
        if process is None or chat is None:
            return
        texts = [f"{name} to {other}: {self._said + place}" for place in range(1, count + 1)]
        self._said += count
        # Now and then all of them by one command.
        for together in [texts] if 1 < count <= MOST_SAID and self._said % 3 == 0 else [[text] for text in texts]:
            for text in together:
                self.oracle.says(name, other, text)
            self._say(process, chat, other, together, size)

    _do_burst = _do_say

    def _say(self, process: Process, chat: Any, other: str, texts: list[str], size: int) -> None:
        name = process.machine.name
        self.note(f"{name} says {', '.join(map(repr, texts))}" + (f" and {size} bytes more" if size else ""))
        try:
            said: Deferred[Any] = chat.say(*(text + PADDING * size for text in texts))
        except UserError:
            return

        def answered(result: Any) -> None:
            if not process.alive:
                return
            if isinstance(result, Failure):
                if result.check(UserError) is None:
                    self.oracle.complain(f"{name} could not say something: {result.getErrorMessage()}")
                return
            for text, queued in zip(texts, result, strict=True):
                self.oracle.accepts(name, other, text, queued.number)

        said.addBoth(answered)

    def _do_display(self, name: str, other: str, pick: int = 0) -> None:
        process = self._alive(name)
        chat = None if process is None else process.chat(self.machines[other])
        entry = self._last_read.get((name, other))
        if process is not None and chat is not None and entry is not None:
            self.oracle.displays(name, other, entry)
            process.run(chat.displayed(entry))

    def _do_take_back(self, name: str, other: str, pick: int) -> None:
        process = self._alive(name)
        chat = None if process is None else process.chat(self.machines[other])
        accepted = list(self.oracle.ways[name, other].accepted.items())
        if process is None or chat is None or not accepted:
            return
        text, number = accepted[-1 - pick % min(4, len(accepted))]

        async def take_back() -> None:
            try:
                await chat.take_back(number)
            except StoreError:
                # A commit that failed may be on the disk all the same.
                return
            except UserError:
                if process.alive:
                    self.oracle.keeps(name, other, text, number)
                return
            if process.alive:
                self.note(f"{name} has taken back #{number}")
                self.oracle.takes_back(name, other, text)

        self.oracle.would_take_back(name, other, text, number)

        process.run(take_back())

    def _do_send_again(self, name: str, other: str, pick: int) -> None:
        process = self._alive(name)
        chat = None if process is None else process.chat(self.machines[other])
        doubts = [each for each in self.oracle.ways[name, other].doubts if each[0] == name and each[1]]
        if process is not None and chat is not None and doubts:
            _, first, last = doubts[pick % len(doubts)]
            self.note(f"{name} sends #{first} to #{last} to {other} again")
            self.oracle.sends_again(name, other, first, last)
            process.run(chat.send_again(first, last))

    def _do_fetch(self, name: str, other: str, pick: int = 0) -> None:
        process = self._alive(name)
        chat = None if process is None else process.chat(self.machines[other])
        if process is not None and chat is not None:

            async def fetch() -> None:
                chat.fetch()

            process.run(fetch())

    # --- what moves

    def _do_move(self, pick: int, most: int) -> None:
        ready = self._movable()
        if ready:
            self._move(ready[pick % len(ready)], most)

    def _movable(self) -> list[Any]:
        found: list[Any] = []
        for each in self.network.ready():
            receiver = self.network.homes[each.address] if isinstance(each, Call) else each.other.process.machine
            if not receiver.frozen:
                found.append(each)
        return found

    def _move(self, each: Any, most: int) -> None:
        if isinstance(each, Call):
            name, where = each.process.machine.name, self.network.homes[each.address].name
            what = self.network.connect(each)
            self.note(f"{name} dials {where}: {what}")
            return
        name, other = each.process.machine.name, each.other.process.machine.name
        number = self.network.wires.index(each.wire)
        what = each.move(most)
        if self._tell is not None:
            self.note(f"{name} -> {other}: {what} (wire {each.here.port}-{each.there.port}, {number})")

    def _do_commit(self, name: str) -> bool:
        process = self._alive(name)
        committed = process is not None and process.executor.commit()
        if committed:
            self.note(f"{name} commits")
        return committed

    def _do_fire(self, name: str) -> None:
        process = self._alive(name)
        if process is not None:
            process.executor.deliver()

    def _do_turn(self) -> bool:
        """Everything that can happen does; whether anything did."""
        moved = False
        for name in self.machines:
            moved = self._do_commit(name) or moved
            self._do_fire(name)
        for each in self._movable():
            if isinstance(each, Call) or (each.ready and each.wire in self.network.wires):
                self._move(each, MANY)
                moved = True
        return moved

    def _do_wait(self, seconds: float) -> None:
        """Time passes, and whatever can happen does: twice a second, and more rarely where nothing happens."""
        pause = MOMENT
        while seconds > 0:
            step = min(seconds, pause)
            seconds -= step
            self.advance(step)
            pause = MOMENT if self._do_turn() else LULL

    def advance(self, seconds: float) -> None:
        """Time passes, and nothing moves meanwhile."""
        self.now += seconds
        for machine in self.machines.values():
            process = machine.process
            if process is not None and not machine.frozen:
                process.clock.advance(seconds)

    # --- faults

    def _do_cut(self, pick: int, told: int) -> None:
        wires = self.network.wires
        if wires:
            wire = wires[pick % len(wires)]
            names = [plug.process.machine.name for plug in wire.ends]
            self.note(f"a link of {names[0]} and {names[1]} is cut; told: {('none', *names, 'both')[told]}")
            wire.cut(told)

    def _do_block(self, name: str, other: str, pick: int) -> None:
        self.note(f"nothing passes from {name} to {other}" + (" or back" if pick & 1 else ""))
        self.network.blocked.add((name, other))
        if pick & 1:
            self.network.blocked.add((other, name))

    def _do_unblock(self, name: str, other: str, pick: int = 0) -> None:
        self.network.blocked -= {(name, other), (other, name)}

    def _do_address(self, name: str, told: int) -> None:
        machine = self.machines[name]
        machine.move()
        self.note(f"{name} has another address")
        for other in self.machines if told else ():
            if other != name:
                self._do_want(other, name)

    def _do_freeze(self, name: str, seconds: float) -> None:
        machine = self.machines[name]
        self.note(f"{name} stands still for {seconds} s")
        machine.frozen = True
        self._do_wait(seconds)
        machine.frozen = False
        if machine.process is not None:
            machine.process.clock.advance(seconds)

    def _do_kill(self, name: str) -> None:
        self.machines[name].end_of_process("by kill -9")

    def _do_power(self, name: str, fate: str) -> None:
        self.machines[name].end_of_power("between two steps", fate)

    def _do_disk_trap(self, name: str, after: int, late: int, power: int, fate: str) -> None:
        machine = self.machines[name]
        machine.set_trap_spring(bool(power), fate)
        machine.disk.trap = Trap(after, bool(late))

    def _do_send_trap(self, name: str, after: int, late: int) -> None:
        process = self.machines[name].process
        if process is not None:
            process.waits_for_send = after, bool(late)

    def _do_full(self, name: str, full: int) -> None:
        self.note(f"{name}'s disk " + ("is full" if full else "has room"))
        self.machines[name].disk.full = bool(full)

    def _do_failure(self, name: str, operation: str, after: int) -> None:
        self.machines[name].disk.failing[operation] = after

    def _do_wall(self, name: str, years: int) -> None:
        self.note(f"{name}'s wall clock jumps by {years} years")
        self.machines[name].wall_offset += years * YEAR

    def _do_back_up(self, name: str) -> None:
        machine = self.machines[name]
        self.note(f"{name} makes a backup")
        machine.backups.append(machine.disk.copy())

    def _do_restore(self, name: str, pick: int) -> None:
        backups = self.machines[name].backups
        if backups:
            self._put(name, backups[pick % len(backups)], "restores a backup")

    def _do_lose(self, name: str) -> None:
        self._put(name, {}, "loses the database")

    def _put(self, name: str, files: dict[str, bytes], what: str) -> None:
        machine = self.machines[name]
        self.note(f"{name} {what}")
        before = machine.durable_contents()
        machine.put(files)
        # An `entry` is a place in one database, and no front end outlives its peer: nobody saw what stands there now.
        self._last_read = {way: entry for way, entry in self._last_read.items() if way[0] != name}
        self.oracle.rolled_back(machine, before, lost=not files)

    # --- the end

    def heal(self) -> None:
        """The faults stop."""
        self.note("the faults stop")
        self.network.blocked.clear()
        self._repent()
        for machine in self.machines.values():
            machine.disk.full, machine.disk.trap = False, None
            machine.disk.failing.clear()
            if machine.process is not None:
                machine.process.waits_for_send = None
                # Whoever learns only now that the disk failed under them, when it still did, is started again too.
                machine.process.executor.deliver()
            self._do_start(machine.name)
        self.rest()
        for one in self.machines:
            for other in self.machines:
                if one != other:
                    self._do_want(one, other)

    def _repent(self) -> None:
        """The liar lies no more, on links on which it never did: what it did must be got over."""
        for machine in self.machines.values():
            if machine.tongue is not None:
                machine.tongue = None
                for plug in machine.plugs():
                    plug.wire.cut(3)

    def rest(self) -> None:
        """Until nothing moves without time passing; raises Wrong if that never comes."""
        for _ in range(MOVES):
            if not self._stir():
                return
        raise Wrong("it never comes to rest")

    def _stir(self) -> bool:
        moved = False
        for machine in self.machines.values():
            process = machine.process
            if process is not None:
                # What is delivered may leave more to commit, also where a step of the story had committed it before.
                moved = process.executor.commit() or moved
                moved = process.executor.deliver() or moved
        for each in self._movable():
            if isinstance(each, Call) or each.ready:
                moved = True
                self._move(each, MANY)
        return moved

    def drain(self) -> None:
        """I5: everything arrives in bounded time; raises Wrong."""
        end = self.now + DRAIN_WITHIN
        calm = 0
        while self.now < end and calm < 4:
            self._ends = self._count_ends()
            self.advance(MOMENT)
            self.rest()
            self.check()
            calm = calm + 1 if self.oracle.drained() else 0


def run(plot: Plot, tell: Callable[[str], None] | None = None) -> None:
    """Let a story happen, from its beginning to its end; raises Wrong."""
    with World(plot, tell) as world:
        for step in plot.steps:
            world.perform(step)
        world.heal()
        world.drain()
        for machine in world.machines.values():
            world.oracle.examine(machine)
        world.oracle.conclude()
        world.check()


__all__ = ["World", "run"]
