"""
Going through what was said: pages of a chat, what a search found, the lines around it; and what somebody missed.

Whoever opens a chat is shown its last lines, all those among them that nobody saw yet, and none that this screen showed
as they came. A chat of which this screen has shown everything since the last line that was seen is *whole*: only
then may what comes next count as seen (ui/conversation.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from p2pchat import api
from p2pchat.core.errors import UsageError, UserError

from .conversation import Conversation
from .drawing import Line, told
from .pages import PAGE, found_lines, page
from .words import name_of

OPENING = 10
"""Lines that are shown of a chat that is opened, if all of them were seen."""

MOST_MISSED = 1_000
"""Unseen lines that are shown then; what was before is a matter of /more."""

MOST_BETWEEN = 20_000
"""Lines that are looked through for them; there may be many of one's own between."""

BESIDE = 3
"""Lines that are shown on each side of an unseen one; of more between two of them it is said how many those are."""

NEAR = 8
"""Messages behind which an unread one may stand above the input and still be looked for there."""

AROUND = 6
"""Lines on each side of one that was found."""

PAGE_MOST = 200
"""Lines that the api gives at once; around one line, half of them on each side."""

NOTHING_SHOWN = "there is nothing to go on with; /history or /search first"

Show = Callable[[Line, api.Event | None], None]


@dataclass(frozen=True, slots=True)
class _Place:
    """The page that was shown last of a chat."""

    who: str
    count: int
    first: int
    """The `entry` of its first line, before which /more goes on."""
    last: int
    """That of its last line, after which /newer goes on."""
    from_end: bool
    """Everything behind it was shown."""


@dataclass(frozen=True, slots=True)
class _Search:
    """The page that was shown last of what a search found."""

    words: str
    count: int
    before: int | None
    """Where the search goes on behind all that it found so far; none at its end."""
    start: int = 0
    """How many stand before this page, newer ones."""


class Browser:
    """Shows what was said, page by page."""

    def __init__(self, held: api.Api, conversation: Conversation, show: Show) -> None:
        self._api = held
        self._conversation = conversation
        self._show = show
        self._shown: _Place | _Search | None = None
        self._hits: list[api.StoredLine] = []
        self._opened: set[str] = set()
        self._rows = 0
        """Messages that were shown on this screen."""
        self._unread: dict[str, tuple[int, int]] = {}
        """The first message of each chat that came while another one was current: its entry, and `_rows` then."""
        self._first_said: dict[str, int] = {}
        self._first_own: dict[str, int] = {}

    def take(self, event: api.Event) -> None:
        """What this screen shows as it happens need not be shown again."""
        match event:
            case api.Said(person=person, entry=entry, history=False):
                self._first_said.setdefault(person.id, entry)
                self._rows += 1
                if person.id != self._conversation.current_id:
                    self._unread.setdefault(person.id, (entry, self._rows))
            case api.Queued(person=person, number=number):
                self._first_own.setdefault(person.id, number)
                self._rows += 1

    def lost_track(self) -> None:
        """Events were left out: what this screen showed is not known any more, and chats are opened anew."""
        self._opened.clear()
        self._unread.clear()
        self._first_said.clear()
        self._first_own.clear()

    def clear(self) -> None:
        """Something was deleted: nothing that was shown can be gone on with."""
        self._shown = None
        self._hits = []

    # --- commands

    async def lines(self, command: api.ShowLines) -> None:
        """The last lines of a chat."""
        found, more = await self._gather(command.who, command.count, command.before)
        if not found:
            self._show(told("nothing was said in that chat so far"), None)
            return
        place = _place(command.who, command.count, found, from_end=True)
        self._show_page(found, more, place, not more or _reaches_seen(found))

    async def more(self) -> None:
        """Go on with what was shown last, to what is older. Raises UsageError."""
        match self._shown:
            case None:
                raise UsageError(NOTHING_SHOWN)
            case _Search() as search if search.start + search.count < len(self._hits):
                self._show_hits(replace(search, start=search.start + search.count))
            case _Search(before=None):
                raise UsageError("that was all that was found")
            case _Search() as search:
                await self._find(search)
            case _Place() as place:
                found, more = await self._gather(place.who, place.count, place.first)
                if not found:
                    raise UsageError("that was the beginning of the chat")
                page_of = _place(place.who, place.count, found, place.from_end)
                self._show_page(found, more, page_of, not more or _reaches_seen(found), newer=True)

    async def newer(self) -> None:
        """The other way: to what came after that, or to the hits before these. Raises UsageError."""
        match self._shown:
            case None:
                raise UsageError(NOTHING_SHOWN)
            case _Search(start=0):
                raise UsageError("these are the newest that were found")
            case _Search() as search:
                self._show_hits(replace(search, start=max(0, search.start - search.count)))
            case _Place() as place:
                count = min(place.count, PAGE_MOST)
                reply = await self._ask(api.ShowLines(who=place.who, count=count, after=place.last))
                if not reply.lines:
                    raise UsageError("that was the end of the chat")
                page_of = _place(place.who, place.count, reply.lines, place.from_end)
                self._show_page(reply.lines, True, page_of, whole=False, newer=reply.more)

    async def search(self, command: api.Search) -> None:
        """Look for words in all chats."""
        self._hits = []
        await self._find(_Search(command.words, command.count, command.before))

    async def jump(self, hit: int) -> None:
        """The lines around what was found. Raises UsageError."""
        if not self._hits:
            raise UsageError("nothing was found yet; /search WORDS first")
        if hit > len(self._hits):
            raise UsageError(f"there is no [{hit}] among what was found; the last is [{len(self._hits)}]")
        line = self._hits[hit - 1]
        reply = await self._ask(api.ShowLines(who=line.person.id, count=AROUND, around=line.entry))
        if line.entry not in [each.entry for each in reply.lines]:
            raise UsageError(f"[{hit}] was deleted since it was found")
        self._shown = _place(line.person.id, PAGE, reply.lines, from_end=False)
        title = f"around [{hit}], in the chat with {name_of(line.person)}"
        after = len(reply.lines) - 1 - [each.entry for each in reply.lines].index(line.entry)
        for row, _ in page(reply.lines, title, reply.more, line.entry, newer=after == AROUND):
            self._show(row, None)

    async def open(self, person: api.Person) -> None:
        """
        A chat was opened on this screen: show what was said last, and what was missed, once. What came while another
        chat was current is shown again, if so much was shown since that it need not be on the screen any more. Raises
        UserError: then it is shown when the chat is opened again.
        """
        unread = self._unread.pop(person.id, None)
        try:
            await self._open(person, *(unread or (0, self._rows)))
        except UserError:
            if unread is not None:
                self._unread[person.id] = unread
            raise

    # --- inside

    async def _open(self, person: api.Person, entry: int, row: int) -> None:
        unread = entry if self._rows - row >= NEAR else 0
        if person.id in self._opened:
            if unread:
                await self._show_unread(person, unread)
            return
        found, more, whole, before = await self._missed(person)
        self._opened.add(person.id)
        shown = [line for line in found if not self._was_shown(line) or (unread and line.entry >= unread)]
        if shown:
            count = PAGE if whole else PAGE_MOST
            self._show_page(shown, more, _place(person.id, count, shown, from_end=True), whole, condense=True)
        elif whole:
            self._conversation.shown_whole(person.id, None)
        if before:
            self._show(told(f"{before} more that you have not seen stand before these: /more shows them"), None)

    async def _show_unread(self, person: api.Person, entry: int) -> None:
        """Show again what was said from an entry on."""
        reply = await self._ask(api.ShowLines(who=person.id, count=PAGE_MOST, around=entry))
        at = next((at for at, line in enumerate(reply.lines) if line.entry == entry), 0)
        lines = list(reply.lines[at:])
        newer = len(lines) > PAGE_MOST // 2
        while newer and len(lines) < MOST_MISSED:
            behind = await self._ask(api.ShowLines(who=person.id, count=PAGE_MOST, after=lines[-1].entry))
            lines += behind.lines
            newer = behind.more and bool(behind.lines)
        if lines:
            self._shown = _place(person.id, PAGE, lines, from_end=not newer)
            title = f"said in the chat with {name_of(person)} while you were elsewhere"
            for row, line in page(_condensed(lines), title, reply.more or at > 0, newer=newer):
                self._show(row, _said(line) if line is not None and line.state == "new" else None)

    async def _missed(self, person: api.Person) -> tuple[Sequence[api.StoredLine], bool, bool, int]:
        """
        The last lines, as far back as there are any that nobody saw.

        And whether there are more before them, whether none of those is unseen, and how many are.
        """
        unseen = await self._api.execute(api.ShowUnseen(who=person.id))
        assert isinstance(unseen, api.Unseen)
        count, last = (unseen.chats[0].count, unseen.chats[0].entry) if unseen.chats else (0, 0)
        found, more = await self._gather(person.id, OPENING, None)
        while more and _new_until(found, last) < min(count, MOST_MISSED) and len(found) < MOST_BETWEEN:
            older, more = await self._gather(person.id, PAGE_MOST, found[0].entry)
            found = [*older, *found]
        before = count - _new_until(found, last) if more else 0
        whole = before <= 0
        first_new = next((at for at, line in enumerate(found) if line.state == "new"), len(found))
        start = max(0, min(first_new, len(found) - OPENING))
        return found[start:], more or start > 0, whole, max(0, before)

    def _was_shown(self, line: api.StoredLine) -> bool:
        first = (self._first_own if line.mine else self._first_said).get(line.person.id)
        return first is not None and (line.number if line.mine else line.entry) >= first

    def _show_page(
        self,
        lines: Sequence[api.StoredLine],
        more: bool,
        place: _Place,
        whole: bool,
        newer: bool = False,
        condense: bool = False,
    ) -> None:
        self._shown = place
        person = lines[0].person
        if place.from_end and whole:
            last = next((line.entry for line in reversed(lines) if line.state == "new"), None)
            self._conversation.shown_whole(person.id, last)
        self._rows += len(lines)
        title = f"history of the chat with {name_of(person)}"
        for row, line in page(_condensed(lines) if condense else lines, title, more, newer=newer):
            self._show(row, _said(line) if line is not None and line.state == "new" else None)

    async def _gather(self, who: str, count: int, before: int | None) -> tuple[list[api.StoredLine], bool]:
        """So many lines before one, of several pages if need be."""
        found: list[api.StoredLine] = []
        while True:
            command = api.ShowLines(who=who, count=min(count - len(found), PAGE_MOST), before=before)
            reply = await self._ask(command)
            found = [*reply.lines, *found]
            if not reply.more or not reply.lines or len(found) >= count:
                return found, reply.more
            before = found[0].entry

    async def _find(self, search: _Search) -> None:
        reply = await self._ask(api.Search(words=search.words, count=search.count, before=search.before))
        start = len(self._hits)
        self._hits += reply.lines
        before = reply.lines[-1].entry if reply.lines and reply.more else None
        self._show_hits(replace(search, before=before, start=start))
        if not reply.lines:
            self._shown = replace(search, before=None)

    def _show_hits(self, search: _Search) -> None:
        hits = self._hits[search.start : search.start + search.count]
        more = search.before is not None or search.start + search.count < len(self._hits)
        for line in found_lines(hits, search.words, search.start, more):
            self._show(line, None)
        self._shown = search

    async def _ask(self, command: api.ShowLines | api.Search) -> api.Lines:
        reply = await self._api.execute(command)
        assert isinstance(reply, api.Lines)
        return reply


def _place(who: str, count: int, lines: Sequence[api.StoredLine], from_end: bool) -> _Place:
    """The page with these lines."""
    return _Place(who, count, lines[0].entry, lines[-1].entry, from_end)


def _condensed(lines: Sequence[api.StoredLine]) -> list[api.StoredLine | int]:
    """Lines that nobody saw, those beside them and the last ones; for what is left out, how many those are."""
    wanted = set(range(len(lines) - OPENING, len(lines)))
    for at, line in enumerate(lines):
        if line.state == "new":
            wanted.update(range(at - BESIDE, at + BESIDE + 1))
    condensed: list[api.StoredLine | int] = []
    left_out = 0
    for at, line in enumerate(lines):
        if at not in wanted:
            left_out += 1
            continue
        if left_out:
            condensed.append(left_out)
            left_out = 0
        condensed.append(line)
    return condensed


def _new_until(lines: Sequence[api.StoredLine], entry: int) -> int:
    """How many of these nobody saw, up to one of them: what came later is on this screen as it came."""
    return sum(line.state == "new" and line.entry <= entry for line in lines)


def _reaches_seen(lines: Sequence[api.StoredLine]) -> bool:
    """Whether there is a line of theirs that was seen, and so nothing before it that was not."""
    return any(not line.mine and line.state != "new" and not line.history for line in lines)


def _said(line: api.StoredLine) -> api.Said:
    """A line that nobody saw yet, as the screen gives it back once it is there."""
    return api.Said(
        person=line.person, number=line.number, text=line.text, kind=line.kind, at=line.at, entry=line.entry
    )
