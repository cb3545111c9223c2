"""
One chat of a client that knows p2pchat from docs/protocol.md alone: its sections 8 to 10, from `select` on.

What it remembers is in memory, and counts as committed at once.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .stranger import PATIENCE, Link, Stranger
from .stranger_fields import Broken, Message
from .stranger_words import chain, conversation, head_of, read_record, refusal

START_ENTRIES, START_BYTES = 256, 262_144
"""The window after `select`."""


@dataclass
class Stream:
    """One stream, and what its author or its reader has of it."""

    name: bytes
    first: int = 1
    base: bytes = b""
    entries: list[bytes] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    """What its reader cannot take."""
    processed: int = 0
    """How far its author has committed refusals."""
    seen: int = 0
    confirmed: int = 0
    """By its reader; the author's knowledge."""
    sent: int = 0
    """The last seq that went over the present link."""

    def __post_init__(self) -> None:
        self.base = self.base or head_of(self.name, [])

    @property
    def seq(self) -> int:
        """The last seq."""
        return self.first + len(self.entries) - 1

    def head(self, seq: int) -> bytes:
        """The head after `seq`."""
        return chain(self.base, self.entries[: seq - self.first + 1])

    def at(self, seq: int) -> bytes:
        """One entry."""
        return self.entries[seq - self.first]

    def holding(self, own: bool) -> Message:
        """As `have` says it."""
        told = {"processed": self.processed} if own else {}
        named = {"stream": self.name, "first": self.first, "base": self.base}
        return {**named, "seq": self.seq, "head": self.head(self.seq), **told}


@dataclass
class Window:
    """Room in entries and bytes since `select`, in absolute totals."""

    entries: int = START_ENTRIES
    size: int = START_BYTES
    used_entries: int = 0
    used_bytes: int = 0

    def has_room(self, data: bytes) -> bool:
        """Whether one more entry fits."""
        return self.used_entries < self.entries and self.used_bytes + len(data) <= self.size

    def use(self, data: bytes) -> None:
        """One more entry went."""
        self.used_entries += 1
        self.used_bytes += len(data)

    def raise_to(self, entries: int, size: int) -> None:
        """The reader gave more."""
        if entries < self.entries or size < self.size:
            raise Broken("violation")
        self.entries, self.size = entries, size


@dataclass(frozen=True)
class Line:
    """What the other side said."""

    number: int
    text: str
    seq: int


class Chat:
    """What a stranger remembers of one conversation, and what it does on the selected link of it."""

    def __init__(self, stranger: Stranger, far_id: bytes) -> None:
        self.stranger = stranger
        self.me = stranger.identity.id
        self.far_id = far_id
        self.conversation = conversation(self.me, far_id)
        self.mine: list[Stream] = []
        self.theirs: dict[bytes, Stream] = {}
        self.lines: list[Line] = []
        self.doubts: list[str] = []
        """What its person would be told."""
        self.resets: list[Message] = []
        """What the other side's `reset` entries said."""
        self.history: list[tuple[int, bytes]] = []
        """What came on request."""
        self.answered: list[Message] = []
        """Each `history` that ended an answer."""
        self.replaced: list[bytes] = []
        """Streams of one's own that are used no more."""
        self.duplicates = 0
        self.acknowledges = True
        """Whether what comes is committed at once, and that said."""
        self.processes = True
        """Whether refusals are committed at once, and that said."""
        self.refuses: str | None = None
        """The code with which everything is refused."""
        self._ids: dict[bytes, bytes] = {}
        self._number = self._lamport = 0
        self._link: Link | None = None

    # --- what a person does

    def entry(self, **changes: Any) -> bytes:
        """A new entry's bytes; it is written nowhere yet."""
        self._number += 1
        self._lamport += 1
        fields = {"id": os.urandom(16), "number": self._number, "lamport": self._lamport, "kind": "text"}
        fields |= {"time": time.time_ns() // 1_000_000, "auth": "link", "body": {"text": f"line {self._number}"}}
        return msgspec.msgpack.encode(fields | changes)

    def say(self, text: str) -> bytes:
        """Write a line; its bytes. It is sent if there is a link."""
        return self.write(self.entry(body={"text": text}))

    def write(self, data: bytes) -> bytes:
        """Append these bytes, good or bad, to one's own stream; they are sent if there is a link."""
        if not self.mine:
            self._begin_stream()
        self.mine[-1].entries.append(data)
        if self._link is not None:
            self.send_rest()
        return data

    def confirm_seen(self) -> None:
        """Say that every line was displayed."""
        for stream in self.theirs.values():
            stream.seen = stream.seq
            self.link.send("seen", stream=stream.name, seq=stream.seq)

    def _begin_stream(self) -> Stream:
        stream = Stream(self.conversation + self.me + os.urandom(16))
        self.mine.append(stream)
        if self._link is not None:
            self.link.send("have", streams=[stream.holding(True)], last=False)
        return stream

    # --- a link

    @property
    def link(self) -> Link:
        """The selected one."""
        assert self._link is not None, "there is none"
        return self._link

    def cut(self) -> None:
        """Lose the link: nothing is sent until the next one."""
        self.link.cut()
        self._link = None

    def acknowledge(self) -> None:
        """Say what is held, and make room for more."""
        self.link.send("have", streams=[stream.holding(False) for stream in self.theirs.values()], last=False)
        self._grant()

    def process_refusals(self) -> None:
        """Say that all refusals so far are committed."""
        for stream in self.mine:
            stream.processed = max(stream.refused, default=0)
        self.link.send("have", streams=[stream.holding(True) for stream in self.mine], last=False)

    def forget_uncommitted(self, committed: int) -> None:
        """Start again with the first so many lines of the other side's only stream."""
        [stream] = self.theirs.values()
        for data in stream.entries[committed:]:
            del self._ids[msgspec.msgpack.decode(data)["id"]]
        del stream.entries[committed:], self.lines[committed:]

    def begin(self, link: Link) -> list[Message]:
        """Do what follows `accept`: selection and link-up. Gives all that the other side listed."""
        if self.me < self.far_id:
            link.send("select")
        else:
            link.expect("select")
        self._link, self.room, self.granted = link, Window(), Window()
        listed = [stream.holding(False) for stream in self.theirs.values() if stream.entries]
        link.send("have", streams=[*listed, *(stream.holding(True) for stream in self.mine)], last=True)
        self._repeat()
        holdings: list[Message] = []
        while True:
            message = link.expect("have")
            holdings += message["streams"]
            if message["last"]:
                break
        self._compare({holding["stream"]: holding for holding in holdings})
        return holdings

    def serve(self, until: Callable[[], object], patience: float = PATIENCE) -> None:
        """Live on the link until something has happened."""
        end = time.monotonic() + patience
        self.send_rest()
        while not until():
            self.take(self.link.next(end - time.monotonic()))

    def until_delivered(self, count: int) -> None:
        """Live on the link until the other side has committed so many entries."""
        self.serve(lambda: self.delivered >= count)

    def until_said(self, count: int) -> None:
        """Live on the link until the other side has said so many lines."""
        self.serve(lambda: len(self.lines) >= count)

    def send_rest(self) -> None:
        """Send what the reader lacks, as far as the window goes."""
        for stream in self.mine:
            while stream.sent < stream.seq:
                data = stream.at(stream.sent + 1)
                if not self.room.has_room(data):
                    return
                self.room.use(data)
                stream.sent += 1
                self.link.send("entry", stream=stream.name, seq=stream.sent, history=False, bytes=data)

    def _repeat(self) -> None:
        for stream in self.theirs.values():
            for seq, code in sorted(stream.refused.items()):
                if seq > stream.processed:
                    self.link.send("refused", stream=stream.name, seq=seq, code=code)
            if stream.seen:
                self.link.send("seen", stream=stream.name, seq=stream.seen)

    def _compare(self, holdings: dict[bytes, Message]) -> None:
        """Section 10, "Doubt"."""
        for stream in list(self.mine):
            holding = holdings.pop(stream.name, None) or {"seq": stream.first - 1, "head": stream.base}
            if holding["seq"] > stream.seq or stream.head(holding["seq"]) != holding["head"]:
                self._replace(stream)
                continue
            if holding["seq"] < stream.confirmed:
                self.doubts.append("the reader was rolled back")
            stream.confirmed = stream.sent = holding["seq"]
        for holding in holdings.values():
            self._listed(holding)

    def _replace(self, old: Stream) -> None:
        self.doubts.append("one of us was rolled back")
        self.mine.remove(old)
        self.replaced.append(old.name)
        agreed = min(old.confirmed, old.seq)
        body = {"stream": old.name, "seq": agreed, "head": old.head(agreed)}
        new = self._begin_stream()
        new.entries.append(self.entry(kind="reset", number=0, body=body))
        new.entries += old.entries[agreed + 1 - old.first :]

    @property
    def delivered(self) -> int:
        """How many of one's own entries the other side has committed."""
        return sum(stream.confirmed for stream in self.mine)

    @property
    def texts(self) -> list[str]:
        """What the other side said."""
        return [line.text for line in self.lines]

    # --- what comes

    def take(self, message: Message) -> None:
        """Do what one message asks for."""
        match message["type"]:
            case "entry":
                self._take_entry(message)
            case "have":
                for holding in message["streams"]:
                    self._moved(holding)
            case "window":
                self.room.raise_to(message["entries"], message["bytes"])
                self.send_rest()
            case "refused" | "seen" if message["stream"] in self.replaced:
                pass  # the other side has not read our `reset` yet
            case "refused":
                stream = self._own(message["stream"])
                stream.refused[message["seq"]] = message["code"]
                if self.processes:
                    self.process_refusals()
            case "seen":
                stream = self._own(message["stream"])
                if not stream.seen <= message["seq"] <= stream.sent:
                    raise Broken("violation")
                stream.seen = message["seq"]
            case "history":
                self._answer_history(message)
            case "record":
                read_record(message)
            case other:
                raise AssertionError(f"nobody may say {other} now")

    def _own(self, name: bytes) -> Stream:
        found = [stream for stream in self.mine if stream.name == name]
        if not found:
            raise Broken("violation")
        return found[0]

    def _listed(self, holding: Message) -> None:
        """The author of a stream told what there is of it."""
        name = holding["stream"]
        if name[:64] != self.conversation + self.far_id or len(name) != 80:
            raise Broken("violation")
        stream = self.theirs.setdefault(name, Stream(name, holding["first"], holding["base"]))
        stream.processed = max(stream.processed, holding.get("processed") or 0)

    def _moved(self, holding: Message) -> None:
        if holding["stream"][32:64] == self.far_id:
            self._listed(holding)
            return
        stream = self._own(holding["stream"])
        if not stream.confirmed <= holding["seq"] <= stream.sent or stream.head(holding["seq"]) != holding["head"]:
            raise Broken("violation")
        stream.confirmed = holding["seq"]

    def _take_entry(self, message: Message) -> None:
        stream, data = self.theirs.get(message["stream"]), message["bytes"]
        if stream is None or not self.granted.has_room(data):
            raise Broken("violation")
        self.granted.use(data)
        if message["history"]:
            self.history.append((message["seq"], data))
            return
        if message["seq"] != stream.seq + 1:
            raise Broken("violation")
        stream.entries.append(data)
        code = self.refuses or refusal(data) or self._keep(stream, data)
        if code:
            stream.refused[stream.seq] = code
            self.link.send("refused", stream=stream.name, seq=stream.seq, code=code)
        if self.acknowledges:
            self.acknowledge()

    def _keep(self, stream: Stream, data: bytes) -> str | None:
        entry = msgspec.msgpack.decode(data)
        known = self._ids.setdefault(entry["id"], data)
        if known is not data:
            self.duplicates += 1
            return None if known == data else "conflict"
        self._lamport = max(self._lamport, entry["lamport"])
        if entry["kind"] == "text":
            self.lines.append(Line(entry["number"], entry["body"]["text"], stream.seq))
        elif entry["kind"] == "reset":
            self.resets.append(entry["body"])
            self.theirs.pop(entry["body"]["stream"], None)
        return None

    def _grant(self) -> None:
        now = self.granted
        if now.entries - now.used_entries < START_ENTRIES // 2 or now.size - now.used_bytes < START_BYTES // 2:
            now.raise_to(now.used_entries + START_ENTRIES, now.used_bytes + START_BYTES)
            self.link.send("window", entries=now.entries, bytes=now.size)

    def _answer_history(self, message: Message) -> None:
        if message["stream"][32:64] == self.far_id:
            self.answered.append(message)
            return
        stream = self._own(message["stream"])
        for seq in range(max(message["first"], stream.first), min(message["last"], stream.seq) + 1):
            data = stream.at(seq)
            self.room.use(data)
            self.link.send("entry", stream=stream.name, seq=seq, history=True, bytes=data)
        self.link.send("history", stream=stream.name, first=message["first"], last=message["last"])
