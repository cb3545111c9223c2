"""
A small model of delivery, searched completely: one author, one reader, every order of everything that can happen.

The decisions are the real ones (`core.doubt.compare` and `start_for`, the heads of `core.entries`); disks, links and
processes are tuples. Two messages, two crashes, one restored backup, links that are lost or dialled twice at any
moment. In every state that can be reached nobody breaks the protocol, nothing is stored twice or out of order, what was
acknowledged is on the reader's disk, and from there everything drains once the faults stop, or a doubt was told.

    python -m tests.model        searches everything and prints the number of states
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple, TypeVar

from p2pchat.core.doubt import Broken, Knowledge, RolledBack, compare, start_for
from p2pchat.core.entries import first_head, next_head
from p2pchat.core.messages import Holding


class Wrong(Exception):
    """The model reached a state that must not be."""


class Limits(NamedTuple):
    """How much may happen in one story."""

    messages: int = 2
    crashes: int = 2
    restores: int = 1
    losses: int = 1
    dials: int = 3


class Written(NamedTuple):
    """One stream on the author's disk."""

    name: int
    entries: tuple[str, ...] = ()
    first: int = 1
    """From where this reader reads."""
    confirmed: int = 0
    confirmed_head: bytes = b""
    store: int = 0
    """The reader's store that confirmed it; 0 for none."""
    closed: bool = False


class Held(NamedTuple):
    """One stream on the reader's disk."""

    name: int
    first: int
    base: bytes
    seq: int
    head: bytes
    closed: bool = False


class Author(NamedTuple):
    """The author's disk, and what people were told there."""

    streams: tuple[Written, ...] = ()
    delivered: frozenset[str] = frozenset()
    doubt: bool = False


class Reader(NamedTuple):
    """The reader's disk, and what people were told there."""

    streams: tuple[Held, ...] = ()
    stored: tuple[str, ...] = ()
    store: int = 1
    doubt: bool = False


Parcel = tuple[object, ...]


class Link(NamedTuple):
    """One link: who still has it, what is on its way, and what both remember of it."""

    author: bool = True
    reader: bool = True
    out: tuple[Parcel, ...] = ()
    back: tuple[Parcel, ...] = ()
    sent: tuple[tuple[int, int], ...] | None = None
    """(stream, next seq) at the author once link-up is settled."""
    listed: tuple[int, ...] = ()
    """Streams that the author listed on it."""
    received: tuple[tuple[int, int, str], ...] = ()
    """(stream, seq, entry) that the reader has in memory only."""
    ends: tuple[tuple[int, int, bytes], ...] = ()
    """(stream, seq, head) up to where the reader received."""
    begins: tuple[tuple[int, int, bytes], ...] = ()
    """(stream, first, base) of streams that the reader would begin."""


class World(NamedTuple):
    """Everything; equal worlds are one state."""

    author: Author = Author()
    reader: Reader = Reader()
    links: tuple[Link, ...] = ()
    chosen: int = -1
    """The link that the author, who leads, selected; -1 for none."""
    followed: int = -1
    """The link that the reader was told of."""
    said: int = 0
    streams: int = 0
    crashes: int = 0
    losses: int = 0
    dials: int = 0
    restores: int = 0
    author_backup: Author | None = None
    reader_backup: Reader | None = None
    forgotten: frozenset[str] = frozenset()
    """What a restore threw away at the author: no promise holds for it but that a doubt is told."""


@cache
def name_of(stream: int) -> bytes:
    """A stream's name on the wire."""
    return stream.to_bytes(80, "big")


@cache
def head_of(stream: int, entries: tuple[str, ...]) -> bytes:
    """The head after these entries of a stream."""
    if not entries:
        return first_head(name_of(stream))
    return next_head(head_of(stream, entries[:-1]), entries[-1].encode())


TupleType = TypeVar("TupleType", bound=NamedTuple)


def replace(value: TupleType, **fields: object) -> TupleType:
    """The same value with some fields replaced; named tuples do it five times as fast as dataclasses."""
    return value._replace(**fields)


def put(items: tuple, index: int, value: object) -> tuple:
    """The tuple with one item replaced."""
    return (*items[:index], value, *items[index + 1 :])


# --- what can happen


def steps(world: World, limits: Limits) -> Iterator[tuple[str, World]]:
    """Every step from a world, faults and all."""
    for name, after in all_steps(world, limits):
        yield name, tidy(after)


def tidy(world: World) -> World:
    """The same world without what nobody can see any more, so that more worlds are equal."""
    links = tuple(Link(False, False) if not link.author and not link.reader else link for link in world.links)
    links = tuple(replace(link, sent=None, listed=(), back=()) if not link.author else link for link in links)
    links = tuple(replace(link, received=(), ends=(), begins=(), out=()) if not link.reader else link for link in links)
    gone = 0
    while gone < len(links) and links[gone] == Link(False, False):
        gone += 1
    chosen = world.chosen if world.chosen >= 0 and world.links[world.chosen].author else -1
    followed = world.followed if world.followed >= 0 and world.links[world.followed].reader else -1
    author_backup = world.author_backup if world.restores == 0 else None
    reader_backup = world.reader_backup if world.restores == 0 else None
    return replace(
        world,
        links=links[gone:],
        chosen=max(chosen - gone, -1),
        followed=max(followed - gone, -1),
        author_backup=author_backup,
        reader_backup=reader_backup,
    )


def all_steps(world: World, limits: Limits) -> Iterator[tuple[str, World]]:
    """Every step, faults and all."""
    yield from honest_steps(world, limits)
    if world.crashes < limits.crashes:
        yield "author crashes", crash(world, author=True)
        yield "reader crashes", crash(world, author=False)
    if world.losses < limits.losses:
        for index, link in enumerate(world.links):
            if link.author and link.reader:
                lost = replace(link, author=False)
                yield f"author loses link {index}", drop(replace(world, losses=world.losses + 1), index, lost)
                lost = replace(link, reader=False)
                yield f"reader loses link {index}", drop(replace(world, losses=world.losses + 1), index, lost)
    if world.restores < limits.restores:
        if world.author_backup is None and world.reader_backup is None:
            yield "author's backup", replace(world, author_backup=world.author)
            yield "reader's backup", replace(world, reader_backup=world.reader)
        if world.author_backup is not None and world.author_backup != world.author:
            yield "author restored", restore_author(world)
        if world.reader_backup is not None and world.reader_backup != world.reader:
            yield "reader restored", restore_reader(world)


def honest_steps(world: World, limits: Limits) -> Iterator[tuple[str, World]]:
    """Every step that is no fault."""
    if world.said < limits.messages:
        yield "say", say(world)
    if world.dials < limits.dials and sum(link.author and link.reader for link in world.links) < 2:
        yield "dial", replace(world, links=(*world.links, Link()), dials=world.dials + 1)
    newest = newest_link(world)
    if newest > world.chosen:
        yield f"select {newest}", select(world, newest)
    for index, link in enumerate(world.links):
        if link.out and link.reader:
            yield f"to reader {index}: {link.out[0][0]}", to_reader(world, index)
        if link.back and link.author:
            yield f"to author {index}: {link.back[0][0]}", to_author(world, index)
        if link.received and link.reader:
            yield f"reader commits {index}", commit(world, index)
        if not link.author and link.reader and not link.out:
            yield f"reader sees the end of {index}", drop(world, index, replace(link, reader=False))
        if not link.reader and link.author and not link.back:
            yield f"author sees the end of {index}", drop(world, index, replace(link, author=False))
    sent = send(world)
    if sent is not None:
        yield "send", sent


def newest_link(world: World) -> int:
    """The newest link that both still have; -1 for none."""
    return max((index for index, link in enumerate(world.links) if link.author and link.reader), default=-1)


def say(world: World) -> World:
    """A message is accepted: it is on the author's disk, in its current stream."""
    author, streams = world.author, world.streams
    entry = f"m{world.said}"
    current = next((at for at, each in enumerate(author.streams) if not each.closed), None)
    if current is None:
        streams += 1
        author = replace(author, streams=(*author.streams, Written(streams)))
        current = len(author.streams) - 1
    stream = author.streams[current]
    stream = replace(stream, entries=(*stream.entries, entry))
    author = replace(author, streams=put(author.streams, current, stream))
    return replace(world, author=author, said=world.said + 1, streams=streams)


def crash(world: World, *, author: bool) -> World:
    """One process dies; its disk stays, its memory and its ends of the links are gone."""
    links = tuple(
        replace(link, author=False, back=()) if author else replace(link, reader=False, out=(), received=())
        for link in world.links
    )
    world = replace(world, links=links, crashes=world.crashes + 1)
    return replace(world, chosen=-1) if author else replace(world, followed=-1)


def drop(world: World, index: int, link: Link) -> World:
    """One side no longer has a link."""
    if not link.reader:
        link = replace(link, out=(), received=())
    if not link.author:
        link = replace(link, back=())
    return replace(world, links=put(world.links, index, link))


def restore_author(world: World) -> World:
    """The author's disk is the one of the backup."""
    backup = world.author_backup
    assert backup is not None
    before = {entry for stream in world.author.streams for entry in stream.entries}
    after = {entry for stream in backup.streams for entry in stream.entries}
    gone = replace(world, forgotten=world.forgotten | frozenset(before - after))
    stopped = crash(replace(gone, author=backup), author=True)
    return replace(stopped, crashes=world.crashes, restores=world.restores + 1)


def restore_reader(world: World) -> World:
    """The reader's disk is the one of the backup."""
    backup = world.reader_backup
    assert backup is not None
    stopped = crash(replace(world, reader=backup), author=False)
    return replace(stopped, crashes=world.crashes, restores=world.restores + 1)


# --- the protocol


def listing(world: World, stream: Written) -> Parcel:
    """What the author says of one of its streams."""
    known = knowledge(stream)
    first, _ = start_for(known, store_name(world.reader.store))
    base = head_of(stream.name, stream.entries[: first - 1])
    return (stream.name, first, base)


def knowledge(stream: Written) -> Knowledge:
    """What the author knows of a stream and its reader."""
    confirmed_head = stream.confirmed_head or head_of(stream.name, stream.entries[: stream.first - 1])
    return Knowledge(
        name_of(stream.name),
        len(stream.entries),
        head_of(stream.name, stream.entries),
        store_name(stream.store) if stream.store else None,
        stream.first,
        max(stream.confirmed, stream.first - 1),
        confirmed_head,
    )


def store_name(store: int) -> bytes:
    """A store's id."""
    return store.to_bytes(16, "big")


def select(world: World, index: int) -> World:
    """The author, who leads, selects a link and lists its streams."""
    current = [stream for stream in world.author.streams if not stream.closed]
    # TLS keeps the order, so that select and the whole list may arrive as one.
    parcel = ("select", tuple(listing(world, stream) for stream in current))
    link = world.links[index]
    link = replace(link, out=(*link.out, parcel), listed=tuple(stream.name for stream in current))
    # The leader ends every other link; what is on its way there may still arrive.
    links = tuple(replace(each, author=False) for each in world.links)
    return replace(world, links=put(links, index, link), chosen=index)


def to_reader(world: World, index: int) -> World:
    """The reader takes the next parcel of a link."""
    link = world.links[index]
    parcel, link = link.out[0], replace(link, out=link.out[1:])
    world = replace(world, links=put(world.links, index, link))
    if parcel[0] == "select":
        # What came over an older link is dropped; its parcels are not read any more.
        links = tuple(replace(each, received=()) if at != index else each for at, each in enumerate(world.links))
        holdings = tuple(held for held in world.reader.streams if not held.closed)
        ends = tuple((held.name, held.seq, held.head) for held in holdings)
        chosen = replace(links[index], back=(*links[index].back, ("holdings", holdings)), ends=ends)
        for each in parcel[1]:  # type: ignore[attr-defined]
            chosen = learn(world, chosen, each)
        return replace(world, links=put(links, index, chosen), followed=index)
    if index != world.followed:
        return world
    _, heard, name, seq, entry = parcel
    if heard is not None:
        link = learn(world, link, heard)  # type: ignore[arg-type]
    return receive(replace(world, links=put(world.links, index, link)), index, name, seq, entry)  # type: ignore[arg-type]


def learn(world: World, link: Link, heard: Parcel) -> Link:
    """The author listed a stream of its own; one that the reader has is none of its business."""
    name, first, base = heard
    if any(end[0] == name for end in link.ends) or any(held.name == name for held in world.reader.streams):
        return link
    begins = (*link.begins, (name, first, base))
    return replace(link, ends=(*link.ends, (name, first - 1, base)), begins=begins)  # type: ignore[operator]


def receive(world: World, index: int, name: int, seq: int, entry: str) -> World:
    """An entry came over the selected link: it must be the next one."""
    link = world.links[index]
    at = next((at for at, end in enumerate(link.ends) if end[0] == name), None)
    if at is None:
        raise Wrong("an entry of a stream that was not listed")
    if seq != link.ends[at][1] + 1:
        raise Wrong(f"entry {seq} after {link.ends[at][1]}")
    end = (name, seq, next_head(link.ends[at][2], entry.encode()))
    link = replace(link, received=(*link.received, (name, seq, entry)), ends=put(link.ends, at, end))
    return replace(world, links=put(world.links, index, link))


def commit(world: World, index: int) -> World:
    """What was received is on the reader's disk; only then it is acknowledged."""
    link, reader = world.links[index], world.reader
    acknowledged: dict[int, tuple[int, bytes]] = {}
    for name, seq, entry in link.received:
        held = next((each for each in reader.streams if each.name == name), None)
        if held is None:
            first, base = next((first, base) for begun, first, base in link.begins if begun == name)
            held = Held(name, first, base, first - 1, base)
            reader = replace(reader, streams=(*reader.streams, held))
        at = reader.streams.index(held)
        moved = replace(held, seq=seq, head=next_head(held.head, entry.encode()))
        reader = replace(reader, streams=put(reader.streams, at, moved))
        acknowledged[name] = (seq, moved.head)
        if entry.startswith("reset"):
            old = int(entry.split()[1])
            streams = tuple(replace(each, closed=True) if each.name == old else each for each in reader.streams)
            reader = replace(reader, streams=streams, doubt=True)
        elif entry not in reader.stored:
            reader = replace(reader, stored=(*reader.stored, entry))
    parcels = tuple(("have", name, seq, head) for name, (seq, head) in acknowledged.items())
    if index == world.followed:
        link = replace(link, back=(*link.back, *parcels))
    link = replace(link, received=())
    return replace(world, reader=reader, links=put(world.links, index, link))


def to_author(world: World, index: int) -> World:
    """The author takes the next parcel of a link."""
    link = world.links[index]
    parcel, link = link.back[0], replace(link, back=link.back[1:])
    world = replace(world, links=put(world.links, index, link))
    if index != world.chosen:
        return world
    if parcel[0] == "holdings":
        return settle(world, index, parcel[1])  # type: ignore[arg-type]
    return acknowledge(world, index, *parcel[1:])  # type: ignore[arg-type]


def acknowledge(world: World, index: int, name: int, seq: int, head: bytes) -> World:
    """The reader committed up to `seq`; it can only be what was sent on this link."""
    at = next((at for at, stream in enumerate(world.author.streams) if stream.name == name), None)
    if at is None or world.links[index].sent is None:
        raise Wrong("acknowledges a stream that was not sent")
    stream = world.author.streams[at]
    following = dict(world.links[index].sent or ()).get(name, 0)
    if seq >= following or head != head_of(name, stream.entries[:seq]):
        raise Wrong("acknowledges what was not sent on this link")
    return confirmed(world, at, seq, head)


def confirmed(world: World, at: int, seq: int, head: bytes) -> World:
    """The author notes what the reader has."""
    author = world.author
    stream = author.streams[at]
    now = frozenset(entry for entry in stream.entries[:seq] if not entry.startswith("reset"))
    stream = replace(stream, confirmed=seq, confirmed_head=head, store=world.reader.store)
    author = replace(author, streams=put(author.streams, at, stream), delivered=author.delivered | now)
    return replace(world, author=author)


def settle(world: World, index: int, holdings: tuple[Held, ...]) -> World:
    """The author compares what the reader holds with what it wrote, and goes on from there."""
    link = world.links[index]
    sent: list[tuple[int, int]] = []
    broken: list[tuple[int, int]] = []
    by_name = {held.name: held for held in holdings}
    for at, stream in enumerate(world.author.streams):
        held = by_name.pop(stream.name, None)
        if stream.closed:
            continue
        verdict = compare(
            knowledge(stream),
            None if held is None else _holding(held),
            store_name(world.reader.store),
            heads_of(stream),
        )
        if isinstance(verdict, Broken):
            broken.append((stream.name, verdict.seq))
            continue
        if isinstance(verdict, RolledBack):
            world = replace(world, author=replace(world.author, doubt=True))
        world = confirmed(world, at, verdict.seq, verdict.head)
        sent.append((stream.name, verdict.seq + 1))
    broken += [(name, 0) for name in by_name]
    if broken:
        world = begin_anew(world, broken)
        sent.append((world.streams, 1))
    link = replace(link, sent=tuple(sent))
    return replace(world, links=put(world.links, index, link))


def heads_of(stream: Written) -> Callable[[int], bytes | None]:
    """head(seq) as the author knows it."""
    return lambda seq: head_of(stream.name, stream.entries[:seq]) if seq <= len(stream.entries) else None


def _holding(held: Held) -> Holding:
    return Holding(stream=name_of(held.name), first=held.first, base=held.base, seq=held.seq, head=held.head)


def begin_anew(world: World, broken: list[tuple[int, int]]) -> World:
    """A new stream replaces those that do not fit; what the reader may lack moves there."""
    author = world.author
    number = world.streams + 1
    entries = [f"reset {name} {seq}" for name, seq in broken]
    streams = list(author.streams)
    for name, seq in broken:
        at = next((at for at, stream in enumerate(streams) if stream.name == name), None)
        if at is not None:
            old = streams[at]
            entries += [entry for entry in old.entries[seq:] if not entry.startswith("reset")]
            streams[at] = replace(old, entries=old.entries[:seq], closed=True)
    new = Written(number, tuple(entries), store=world.reader.store)
    author = replace(author, streams=(*streams, new), doubt=True)
    return replace(world, author=author, streams=number)


def send(world: World) -> World | None:
    """The author sends the next entry on the selected link; None if there is none."""
    if world.chosen < 0 or not world.links[world.chosen].author:
        return None
    link = world.links[world.chosen]
    if link.sent is None:
        return None
    positions = dict(link.sent)
    for stream in world.author.streams:
        following = positions.get(stream.name, 1)
        if stream.closed or following > len(stream.entries):
            continue
        listed, told = link.listed, None
        if stream.name not in listed:
            told = listing(world, stream)
            listed = (*listed, stream.name)
        parcel = ("entry", told, stream.name, following, stream.entries[following - 1])
        positions[stream.name] = following + 1
        link = replace(link, out=(*link.out, parcel), sent=tuple(sorted(positions.items())), listed=listed)
        return replace(world, links=put(world.links, world.chosen, link))
    return None


# --- what must hold


def check(world: World) -> None:
    """What holds in every state; raises Wrong."""
    stored = world.reader.stored
    if len(set(stored)) != len(stored):
        raise Wrong("stored twice")
    if list(stored) != sorted(stored) and not (world.author.doubt or world.reader.doubt):
        raise Wrong("out of order, and nobody was told")
    rolled_back = world.restores > 0
    if not world.author.delivered <= set(stored) and not rolled_back:
        raise Wrong("acknowledged, and not on the disk")


def at_rest(world: World) -> World:
    """The two disks of a world alone, as they are when everything else has stopped."""
    return replace(
        world, links=(), chosen=-1, followed=-1, crashes=0, losses=0, dials=0, author_backup=None, reader_backup=None
    )


def drained(world: World) -> World:
    """The world after the faults have stopped: a new link, and everything runs to its end."""
    world = replace(world, links=(Link(),))
    still = Limits(messages=0, dials=0)
    for _ in range(200):
        step = next(honest_steps(world, still), None)
        if step is None:
            return world
        world = step[1]
        check(world)
    raise Wrong("it never comes to rest")


def check_end(world: World) -> None:
    """What holds once everything came to rest; raises Wrong."""
    written = {entry for stream in world.author.streams for entry in stream.entries if not entry.startswith("reset")}
    told = world.author.doubt or world.reader.doubt
    if not written <= set(world.reader.stored):
        raise Wrong(f"never arrived: {sorted(written - set(world.reader.stored))}")
    lost = world.forgotten - set(world.reader.stored)
    reused = world.forgotten & set(world.reader.stored)
    if reused and not told:
        raise Wrong(f"the author's disk was rolled back behind {sorted(reused)}, and nobody was told")
    if lost & world.author.delivered:
        raise Wrong("delivered, and gone")
    unconfirmed = written - world.author.delivered
    if unconfirmed:
        raise Wrong(f"arrived, and never confirmed: {sorted(unconfirmed)}")


def search(limits: Limits) -> int:
    """Look at every state that can be reached; the number of them. Raises Wrong with the story that leads there."""
    start = World()
    parents: dict[World, tuple[World, str] | None] = {start: None}
    waiting = deque([start])
    rested: set[World] = set()
    while waiting:
        world = waiting.popleft()
        try:
            check(world)
            disks = at_rest(world)
            if disks not in rested:
                rested.add(disks)
                check_end(drained(disks))
            following = list(steps(world, limits))
        except Wrong as wrong:
            raise Wrong(f"{wrong}; {story(parents, world)}") from None
        for name, after in following:
            if after not in parents:
                parents[after] = (world, name)
                waiting.append(after)
    return len(parents)


def story(parents: dict[World, tuple[World, str] | None], world: World) -> str:
    """The steps that lead to a world."""
    names: list[str] = []
    while (parent := parents[world]) is not None:
        world, name = parent
        names.append(name)
    return " / ".join(reversed(names))


SEARCHES = (
    Limits(messages=2, crashes=2, restores=1, losses=1, dials=2),
    Limits(messages=1, crashes=1, restores=1, losses=1, dials=3),
)
"""What `python -m tests.model` searches, under a minute."""


def main() -> None:
    """Search everything, and print how much it was."""
    for limits in SEARCHES:
        began = time.monotonic()
        states = search(limits)
        budget = ", ".join(f"{value} {name}" for name, value in limits._asdict().items())
        print(f"{states:,} states with {budget}: all of them good ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
