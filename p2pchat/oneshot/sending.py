"""
`p2pchat send`: messages to one person through the peer that runs, until they are queued, delivered or seen.

Exit codes: 0 reached, 3 queued but not reached in time, 4 refused, 5 no such contact, 6 no peer runs. Whatever the
code, what the peer has accepted is on its disk, and goes out when the two peers meet.
"""

import os
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from ..api import (
    AllAccepted,
    Connect,
    Delivered,
    Ended,
    Missed,
    NotDelivered,
    People,
    Person,
    SayAll,
    Seen,
    Started,
    WhoIs,
)
from ..api.lines import Answer, fit_together
from ..core.errors import NoSuchContact, NotInTime, Reported, StoreUnsure, UsageError, UserError
from ..core.identity import looks_like_id
from ..core.text import Kind, clean, decode_utf8, split_message
from ..net.local_client import LocalClient
from ..ui.numbers import Numbers, write_numbers
from ..ui.splitter import Splitter
from ..ui.words import name_of, not_taken, reason_of
from .output import client_of, print_aside, print_line

PIECE_BYTES = 65_536
"""Read at once: what a pipe holds."""

STANDARD_INPUT = 0

SILENT_FOR = 3.0
"""Seconds after which a person is told what is waited for."""

REFUSED = 4
"""The exit code where the other side does not take it."""

_EVENTS = msgspec.json.Decoder(Delivered | Seen | NotDelivered | Ended | Missed)


def send(options: Namespace) -> None:
    """Send a text, or with `-` every line of standard input."""
    from_input = options.text == ["-"]
    texts = [] if from_input else _messages(" ".join(options.text))
    with client_of(options, "peer") as peer:
        peer.subscribe()  # first, so that nothing that follows is missed
        person = _begin(peer, options.who, trust_first=options.trust_first)
        sending = Sending(peer, person, options.wait, options.timeout)
        sending.run(texts, STANDARD_INPUT if from_input else None)
    if sending.said:
        _report(f"{sending.named(sending.said)} {options.wait}")
    if sending.replaced:
        words = f"{sending.replaced} pieces of the input were no UTF-8 and were sent as U+FFFD"
        print_aside(f"p2pchat: {words}")


def _report(outcome: str) -> None:
    """Print it; nobody may send again because that did not work."""
    try:
        print_line(outcome, flush=True)
    except UserError as error:
        raise UserError(f"{error}; {outcome} all the same") from None


def _messages(typed: str) -> list[str]:
    """One message, or several where it is too long for one."""
    text, _ = decode_utf8(os.fsencode(typed))
    if not text:
        raise UsageError("there is nothing to send; give a text, or - to send the lines of standard input")
    return split_message(text)


def _begin(peer: LocalClient, who: str, *, trust_first: bool) -> Person:
    """Who is meant, with a chat that is wanted: dialling somebody is consent, as with /connect."""
    (person,) = peer.call(WhoIs(who=who), People).people
    if person.chat in ("open", "lost", "asking"):
        return person
    if not (person.contact or trust_first or looks_like_id(who)):
        # A handle is whatever a stranger chose, and nobody is here to look at the id.
        raise NoSuchContact(f"no contact is called {who}; give the whole id: p2pchat contact add ID --name {who}")
    started = peer.call(Connect(who=person.id), Started)
    return started.person or person


def _person_reads() -> bool:
    return sys.stderr.isatty()


class Sending:
    """Messages on their way to `person`, up to `wait`: "queued", "delivered" or "seen"."""

    def __init__(self, peer: LocalClient, person: Person, wait: str, timeout: float) -> None:
        self.said = Numbers()
        """The numbers of those that are on our disk."""
        self._peer = peer
        self._person = person
        self._author = ""
        self._wait = wait
        self._timeout = timeout
        self._reached = Numbers()
        self._delivered = Numbers()
        self._texts: deque[str] = deque()
        self._unanswered = 0
        """Messages of the one command that is not answered: nothing may go out behind a refused one."""
        self._input: int | None = None
        self._splitter = Splitter()
        self._moved_at = time.monotonic()
        self._told = False
        self._missed = False
        """Events were left out for us: some of what is waited for may have happened unseen."""

    @property
    def replaced(self) -> int:
        """How many pieces of the input were no UTF-8."""
        return self._splitter.replaced

    def named(self, numbers: Numbers) -> str:
        """`alice#13`, or `alice: #1-#20`."""
        author = clean(self._author, Kind.NAME)
        return f"{author}{': ' if len(numbers) > 1 else ''}{write_numbers(numbers)}"

    def run(self, texts: Iterable[str], descriptor: int | None) -> None:
        """Send the texts, then the lines of a descriptor if there is one. Raises UserError if that fails."""
        self._texts.extend(texts)
        self._input = descriptor
        while self._texts or self._unanswered or self._input is not None or self._lacking():
            if self._texts and not self._unanswered:
                together = self._together()
                self._peer.submit(SayAll(who=self._person.id, texts=together))
                self._unanswered = len(together)
            if self._missed and not self._texts and not self._unanswered and self._input is None:
                raise NotInTime(f"more happens at the peer than can be followed here; {self._account()}")
            self._listen()

    def _together(self) -> tuple[str, ...]:
        """The next messages, as many as one command takes."""
        return tuple(self._texts.popleft() for _ in range(fit_together(self._texts)))

    def _listen(self) -> None:
        waits = bool(self._unanswered or self._lacking())
        left = self._moved_at + self._timeout - time.monotonic() if waits else None
        if left is not None and left < self._timeout - SILENT_FOR:
            self._say_that_it_waits()
        if left is not None and left <= 0:
            raise NotInTime(f"not {self._wait} within {self._timeout:g} s: {self._account()}")
        try:
            quiet = left if self._told or left is None else min(left, SILENT_FOR)
            answers, readable = self._peer.receive(quiet, None if self._texts else self._input)
        except UserError as error:
            if not self.said and not self._unanswered:
                raise
            raise NotInTime(f"{error}; {self._account()}") from None
        for answer in answers:
            self._take(answer)
        if readable:
            self._texts.extend(self._read())
        if not waits:
            self._moved_at = time.monotonic()  # nothing waited so far

    def _say_that_it_waits(self) -> None:
        """To a person, who might think that nothing happens; once."""
        if not self._told and _person_reads():
            until = f"waiting until it is {self._wait}, at most {self._timeout:g} s"
            print_aside(f"p2pchat: {until}; it goes out also if you leave with Ctrl-C")
        self._told = True

    def _read(self) -> Iterator[str]:
        try:
            data = os.read(STANDARD_INPUT if self._input is None else self._input, PIECE_BYTES)
        except OSError as error:
            raise UserError(f"cannot read standard input: {error.strerror}; {self._account()}") from None
        if data:
            return self._splitter.feed(data)
        self._input = None
        return self._splitter.end()

    # --- what the peer says

    def _take(self, answer: Answer) -> None:
        if answer.event:
            with suppress(msgspec.ValidationError):  # of another kind
                self._happened(_EVENTS.decode(answer.event))
            return
        try:
            accepted = self._peer.decoded(answer, AllAccepted)
        except Reported as error:
            refused = error.exit_code != StoreUnsure.exit_code
            raise Reported(f"{not_taken(error)}; {self._account(refused)}", error.exit_code) from None
        self._unanswered = 0
        self._author = accepted.author
        self.said.add_run(accepted.first, accepted.last)
        self._moved_at = time.monotonic()

    def _happened(self, event: Any) -> None:
        if isinstance(event, Missed):
            self._missed = True
            return
        person: Person | None = event.person
        if person is None or person.id != self._person.id:
            return
        if isinstance(event, Delivered | Seen):
            self._delivered.update(event.numbers)
        match event:
            case Delivered(numbers=numbers) if self._wait != "seen":
                self._reach(numbers)
            case Seen(numbers=numbers):
                self._reach(numbers)
            case NotDelivered(number=number, reason=reason) if number in self.said and self._wait != "queued":
                why = f"{name_of(person)} cannot take #{number} ({reason_of(reason)}), and it is not sent again"
                raise Reported(why, REFUSED)
            case Ended(reason=reason) if self._wait != "queued" and self._is_over():
                words = f"{name_of(person)}: {reason_of(reason) or 'the chat is over'}; {self._account()}"
                raise Reported(words, REFUSED)

    def _is_over(self) -> bool:
        """Whether nobody goes on to dial: what ended may have been a chat before this one."""
        (person,) = self._peer.call(WhoIs(who=self._person.id), People).people
        return person.chat == "none" and (self._lacking() > 0 or bool(self._unanswered))

    def _reach(self, numbers: Iterable[int]) -> None:
        self._reached.update(numbers)
        self._moved_at = time.monotonic()

    def _lacking(self) -> int:
        """How many have not got as far as is waited for."""
        return 0 if self._wait == "queued" else self._not_in(self._reached)

    def _not_in(self, numbers: Numbers) -> int:
        return len(self.said) - sum(self._among_said(first, last) for first, last in numbers.ranges())

    def _among_said(self, first: int, last: int) -> int:
        return sum(max(0, min(last, end) - max(first, begin) + 1) for begin, end in self.said.ranges())

    def _account(self, refused: bool = False) -> str:
        """What became of what was given to us; `refused`: the peer said that it does not take the last command."""
        if self._unanswered:
            words = f"whether the peer has taken the last {self._unanswered} is not known"
            if refused:
                words = f"the peer has not taken the last {self._unanswered}"
            return f"{words}; {len(self.said)} before are queued" if self.said else words
        if not self.said:
            return "nothing was sent"
        if not self._lacking():
            return f"what was sent is {self._wait}: {self.named(self.said)}"
        queued, count = self._not_in(self._delivered), len(self.said)
        if count == 1:
            then = "queued on this disk, and goes out when the two peers meet" if queued else "delivered"
            return f"{self.named(self.said)} is {then}"
        if not queued:
            return f"all {count} are delivered, and {self._lacking()} of them not seen"
        rest = "; the rest is delivered" if queued < count else ""
        return f"{queued} of {count} are queued on this disk, and go out when the two peers meet{rest}"
