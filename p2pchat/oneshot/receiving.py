"""
`p2pchat recv`: what others said, from the peer that runs to standard output, and each message confirmed by itself.

With `--cursor NAME` the peer remembers how far that name is. A message counts as dealt with when all of it was
written: the cursor moves behind it before the next one is looked at, so that a program that is killed at any moment
gets at most that one again, under the same number, and nothing is left out. Exit codes are those of `send`.
"""

import os
import select
import signal
import stat
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import msgspec

from ..api import (
    Cursors,
    Done,
    DropCursor,
    Lines,
    Missed,
    MoveCursor,
    People,
    Person,
    Receive,
    Said,
    ShowCursors,
    Stopping,
    StoredLine,
    WhoIs,
)
from ..api.lines import to_json
from ..config import SHOWN_LINES
from ..core.errors import NotInTime, NotRunning, UsageError, UserError
from ..core.text import Kind, clean, hang
from ..net.local_client import LocalClient
from ..ui.drawing import FURTHER
from ..ui.words import name_of
from ..ui.written import record
from .output import client_of, print_json, print_lines, reason_of

PAGE_LINES = 100
"""Messages asked for at once."""

STANDARD_OUTPUT = 1

_EVENTS = msgspec.json.Decoder(Said | Missed | Stopping)


def receive(options: Namespace) -> None:
    """Print messages, or with `--ack` only say that they were dealt with; or see to cursors."""
    _check(options)
    with client_of(options, "peer") as peer:
        if options.cursors:
            _show_cursors(peer, options.json)
            return
        who = _whose(peer, options.who)
        if options.drop:
            peer.call(DropCursor(cursor=options.cursor, who=who), Done)
            return
        if options.ack is not None:
            peer.call(MoveCursor(cursor=options.cursor, entry=options.ack, who=who), Done)
            return
        with Leaving() as leaving:
            receiving = Receiving(peer, options, who, leaving)
            if options.cursor or options.follow:
                receiving.run()
            else:
                receiving.show_last()


def _show_cursors(peer: LocalClient, as_objects: bool) -> None:
    places = peer.call(ShowCursors(), Cursors).cursors
    if as_objects:
        print_json(
            {"cursor": each.cursor, "entry": each.entry, "id": each.person.id if each.person else ""} for each in places
        )
    else:
        print_lines(
            f"{clean(each.cursor, Kind.NAME)}  {each.entry}  {name_of(each.person) if each.person else 'everybody'}"
            for each in places
        )


def _check(options: Namespace) -> None:
    """Raises UsageError for options that mean nothing together."""
    prints = options.follow or options.count or options.no_ack or options.ack is not None
    if options.cursors and (prints or options.cursor or options.who or options.drop):
        raise UsageError("--cursors shows all of them; give it alone, or with --json")
    if options.drop and (prints or not options.cursor):
        raise UsageError("--drop deletes a cursor: say which, --cursor NAME, and with --from which of that chat")
    if not options.cursor and (options.no_ack or options.ack is not None):
        raise UsageError("say which cursor is meant: --cursor NAME")
    if options.ack is not None and (options.no_ack or options.follow or options.count):
        raise UsageError("--ack prints nothing; leave out --no-ack, --follow and --count")
    if options.timeout is not None and not options.follow:
        raise UsageError("--timeout is for how long --follow waits; give both or neither")


def _whose(peer: LocalClient, who: str | None) -> str:
    """The id of whom alone is meant; empty for everybody."""
    if who is None:
        return ""
    (person,) = peer.call(WhoIs(who=who), People).people
    return person.id


class Leaving:
    """Ctrl-C and SIGTERM end the program at once, but not while what was written is being confirmed."""

    def __init__(self) -> None:
        self._held = False
        self._came: int | None = None

    def __enter__(self) -> "Leaving":
        self._before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What comes inside acts at the end; to be short."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._came is not None:
            self._leave(self._came)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._came = number
        if not self._held:
            self._leave(number)

    def _leave(self, number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


class Receiving:
    """Messages on their way to standard output; of the person with the id `who` alone, unless it is empty."""

    def __init__(self, peer: LocalClient, options: Namespace, who: str, leaving: Leaving) -> None:
        self._peer = peer
        self._options = options
        self._who = who
        self._leaving = leaving
        self._left: int | None = options.count
        """How many more are wanted; None for all."""
        self._after: int | None = None
        """What was printed last; the cursor need not follow."""
        status = os.fstat(STANDARD_OUTPUT)
        self._is_file = stat.S_ISREG(status.st_mode)
        self._pipe = STANDARD_OUTPUT if stat.S_ISFIFO(status.st_mode) else None

    def run(self) -> None:
        """Print what the cursor has before it, and then what comes if that is wanted; without a cursor only that."""
        if not self._options.cursor:
            self._after = self._newest()
        while self._print_page() or (self._options.follow and self._wanted() and self._wait()):
            pass

    def show_last(self) -> None:
        """Print the last ones, and remember nothing."""
        wanted, found, before = self._left or SHOWN_LINES, list[StoredLine](), None
        while len(found) < wanted:
            page = self._ask(self._peer, count=wanted - len(found), newest=True, before=before)
            found[:0] = page.lines
            if not page.more:
                break
            before = found[0].entry
        for line in found:
            self._write(line)

    def _newest(self) -> int:
        page = self._ask(self._peer, count=1, newest=True)
        return page.lines[-1].entry if page.lines else 0

    def _wanted(self) -> bool:
        return self._left is None or self._left > 0

    def _print_page(self) -> bool:
        """Print some of what is there; whether there may be more of what is wanted."""
        if not self._wanted():
            return False
        count = PAGE_LINES if self._left is None else min(PAGE_LINES, self._left)
        page = self._ask(self._peer, count=count)
        for line in page.lines:
            self._write(line)
            self._after = line.entry
            if self._options.cursor and not self._options.no_ack:
                with self._leaving.held():
                    self._peer.call(MoveCursor(cursor=self._options.cursor, entry=line.entry, who=self._who), Done)
            if self._left is not None:
                self._left -= 1
        return page.more

    def _ask(self, peer: LocalClient, **fields: Any) -> Lines:
        return peer.call(
            Receive(cursor=self._options.cursor or "", who=self._who, **{"after": self._after, **fields}), Lines
        )

    # --- what comes

    def _wait(self) -> bool:
        """
        Return true when there is more; raises UserError if nothing will come.

        The connection with events lives for this wait alone: while a slow reader holds up our output nobody would
        read it, and the peer cuts who does not read.
        """
        with LocalClient(self._peer.state, "peer") as listening:
            listening.subscribe()  # first, so that nothing that follows is missed
            if self._ask(listening, count=1).lines:
                return True
            timeout = self._options.timeout
            end = None if timeout is None else time.monotonic() + timeout
            while True:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise NotInTime(f"nothing came within {timeout:g} s")
                # The end of a pipe to which we write can be read when nobody holds the other one any more.
                answers, closed = listening.receive(left, self._pipe)
                if closed:
                    raise BrokenPipeError
                if any(self._is_new(answer.event) for answer in answers if answer.event):
                    return True

    def _is_new(self, raw: msgspec.Raw) -> bool:
        event: Any = None
        with suppress(msgspec.ValidationError):  # of another kind
            event = _EVENTS.decode(raw)
        if isinstance(event, Stopping):
            again = "what comes later is there when it runs again"
            raise NotRunning(f"the peer in {self._peer.state} has ended; {again}")
        if isinstance(event, Missed):
            return True
        return event is not None and not event.history and self._who in ("", event.person.id)

    # --- output

    def _write(self, line: StoredLine) -> None:
        """All of one message; it is with the reader, or on the disk, when this returns."""
        view = memoryview(as_json(line) if self._options.json else as_text(line).encode("utf-8", "replace"))
        try:
            while view:
                try:
                    view = view[os.write(STANDARD_OUTPUT, view) :]
                except BlockingIOError:  # somebody who shares the descriptor made it so
                    select.select([], [STANDARD_OUTPUT], [])
            if self._is_file:
                os.fsync(STANDARD_OUTPUT)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UserError(
                f"cannot write message {line.entry} to the output: {reason_of(error)}; it and what follows come again"
            ) from None


def as_json(line: StoredLine) -> bytes:
    """A message for programs: one line of printable ASCII."""
    message = {
        "entry": line.entry,
        "author": line.author,
        "id": line.person.id,
        "number": line.number,
        "kind": line.kind,
        "text": line.text,
        "at": line.at,
        "arrived": line.arrived,
    }
    return to_json(message) + b"\n"


def as_text(line: StoredLine) -> str:
    """A message for people: as in a transcript, cleaned, with the time at which it arrived here."""
    person: Person = line.person
    head = f"{name_of(person)}#{line.number}"
    if line.kind == "text":
        return record(line.arrived / 1000, f"{head}: {hang(line.text, FURTHER)}")
    kind = clean(line.kind, Kind.NAME)
    return record(line.arrived / 1000, f"-- {head} needs a newer version of p2pchat to be shown ({kind})")
