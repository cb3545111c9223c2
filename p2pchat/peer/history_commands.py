"""What the commands about what was said do at a peer: read it back, search, cursors, queue, doubts, forgetting."""

from collections.abc import Callable

from .. import api
from ..api import Person, Reply
from ..core.entries import Kind, conversation_of, judge
from ..core.errors import NoSuchContact, UsageError, UserError
from ..storage.lines import Part, WaitingEntry
from . import history, receipts
from .forgetting import Forgetting
from .history import FoundLine, Page
from .peer import Peer
from .talk import Talk

MAX_CURSOR_NAME = 64
"""Characters of a cursor's name."""

MAX_DAYS = 36_500
"""A hundred years: longer is for ever."""

HistoryCommand = (
    api.ShowLines
    | api.ShowArrivals
    | api.Search
    | api.ShowUnseen
    | api.ShowMessage
    | api.ShowQueue
    | api.Cancel
    | api.Resend
    | api.ShowDoubts
    | api.LeaveIt
    | api.FetchHistory
    | api.Forget
    | api.SetRetention
    | api.ShowRetention
    | api.Receive
    | api.MoveCursor
    | api.ShowCursors
    | api.DropCursor
)


class HistoryCommands:
    """Executes them. `someone` tells whom a word means, or raises NoSuchContact."""

    def __init__(self, peer: Peer, forgetting: Forgetting, someone: Callable[[str], bytes]) -> None:
        self._peer = peer
        self._forgetting = forgetting
        self._someone = someone

    async def execute(self, command: HistoryCommand) -> Reply:
        """Do it; raises UserError."""
        match command:
            case api.ShowLines() | api.ShowArrivals() | api.Search():
                return await self._show(command)
            case api.ShowUnseen(who=who):
                return await self._show_unseen(who)
            case api.ShowMessage(who=who, number=number):
                return await self._show_message(who, number)
            case api.ShowQueue(who=who):
                return await self._show_queue(who)
            case api.ShowDoubts():
                return await self._show_doubts()
            case api.Receive() | api.MoveCursor() | api.ShowCursors() | api.DropCursor():
                return await self._for_programs(command)
            case api.SetRetention(days=days, who=who):
                return await self._set_retention(days, who)
            case api.ShowRetention():
                return await self._show_retention()
            case api.Forget(who=who):
                return await self._forget(who)
            case _:
                return await self._revise(command)

    async def _revise(self, command: api.Cancel | api.Resend | api.LeaveIt | api.FetchHistory) -> Reply:
        """What a chat does about its own messages, and about what is missing."""
        talk = await self.talk(command.who)
        match command:
            case api.Cancel(number=number):
                await talk.chat.take_back(number)
            case api.Resend(first=first, last=last):
                if first < 1 or last < first:
                    raise UsageError("say which numbers, such as 31-40")
                return api.Resent(count=await talk.chat.send_again(first, last))
            case api.LeaveIt():
                conversation = talk.chat.two.conversation
                if not await self._peer.environment.database.write(lambda tables: tables.doubts.forget(conversation)):
                    raise UserError(f"nothing is in doubt with {command.who}")
            case api.FetchHistory():
                talk.chat.fetch()
        return api.Done()

    # --- lines

    async def _show(self, command: api.ShowLines | api.ShowArrivals | api.Search) -> Reply:
        match command:
            case api.ShowLines():
                return await self._show_lines(command)
            case api.ShowArrivals():
                return await self._show_arrivals(command)
            case api.Search():
                return await self._search(command)

    async def _show_lines(self, command: api.ShowLines) -> Reply:
        wire, me = self._wire(self._someone(command.who)), self._me
        database = self._peer.environment.database
        if command.around is not None:
            around, count = command.around, command.count
            return self._lines(await database.read(lambda tables: history.page_around(tables, me, wire, count, around)))
        count = command.count
        if command.after is not None:
            after = command.after
            return self._lines(await database.read(lambda tables: history.page_after(tables, me, wire, count, after)))
        return self._lines(await database.read(lambda tables: history.page_of(tables, me, wire, count, command.before)))

    async def _show_arrivals(self, command: api.ShowArrivals) -> Reply:
        me, count = self._me, command.count
        part = Part(command.after or 0, command.before or history.ABOVE_ALL, newest=command.after is None)
        return self._lines(
            await self._peer.environment.database.read(lambda tables: history.arrivals(tables, me, count, part))
        )

    async def _search(self, command: api.Search) -> Reply:
        wire = self._wire(self._someone(command.who)) if command.who else None
        me, words, count, before = self._me, command.words, command.count, command.before
        found = await self._peer.environment.database.read(
            lambda tables: history.search(tables, me, words, wire, count, before), long=True
        )
        return self._lines(found)

    async def _show_unseen(self, who: str) -> Reply:
        me, wire = self._me, self._wire(self._someone(who)) if who else None
        found = await self._peer.environment.database.read(
            lambda tables: history.unseen(tables, me, wire), long=not who
        )
        person = self._peer.people.person
        return api.Unseen(
            chats=tuple(api.UnseenChat(person=person(peer), count=count, entry=last) for peer, count, last in found)
        )

    async def _for_programs(self, command: api.Receive | api.MoveCursor | api.ShowCursors | api.DropCursor) -> Reply:
        match command:
            case api.Receive():
                return await self._receive(command)
            case api.MoveCursor():
                return await self._move_cursor(command)
            case api.ShowCursors():
                return await self._show_cursors()
            case api.DropCursor():
                return await self._drop_cursor(command)

    async def _receive(self, command: api.Receive) -> Reply:
        wire = self._wire(self._someone(command.who)) if command.who else None
        me, cursor, count = self._me, command.cursor and _checked_cursor(command.cursor), command.count
        part = Part(command.after or 0, command.before or history.ABOVE_ALL, command.newest)
        found = await self._peer.environment.database.read(
            lambda tables: history.new_to_program(tables, me, cursor, wire, count, part)
        )
        return self._lines(found)

    async def _move_cursor(self, command: api.MoveCursor) -> Reply:
        wire = self._wire(self._someone(command.who)) if command.who else None
        me, cursor, entry = self._me, _checked_cursor(command.cursor), command.entry
        seen = await self._peer.environment.database.write(
            lambda tables: [
                (each.them, receipts.display(tables, each, last))
                for each, last in history.move_cursor(tables, me, cursor, wire, entry)
            ]
        )
        for them, said in seen:
            talk = self._peer.talk(them)
            if talk is not None and said is not None:
                talk.chat.say_seen(*said)
        return api.Done()

    async def _show_cursors(self) -> Reply:
        found = await self._peer.environment.database.read(history.cursors)
        person = self._peer.people.person
        return api.Cursors(
            cursors=tuple(
                api.CursorPlace(cursor=name, entry=entry, person=None if peer is None else person(peer))
                for name, peer, entry in found
            )
        )

    async def _drop_cursor(self, command: api.DropCursor) -> Reply:
        wire = self._wire(self._someone(command.who)) if command.who else None
        cursor = _checked_cursor(command.cursor)
        await self._peer.environment.database.write(lambda tables: history.drop_cursor(tables, cursor, wire))
        return api.Done()

    async def _show_message(self, who: str, number: int) -> Reply:
        identifier = self._someone(who)
        wire, me = self._wire(identifier), self._me
        life = await self._peer.environment.database.read(
            lambda tables: history.life_of(tables, me, identifier, wire, number)
        )
        if life is None:
            name = self._peer.people.person(identifier).name
            raise UserError(f"there is no message #{number} of yours to {name}; /history {name} shows what there is")
        return api.MessageTimes(
            person=self._peer.people.person(identifier),
            author=self._peer.handle,
            number=number,
            text=life.line.text,
            queued=life.line.entry.arrived_at,
            delivered=life.delivered,
            seen=life.seen,
            refused=life.refused,
            taken_back=life.line.entry.kind == Kind.VOID,
        )

    # --- what waits, and what is in doubt

    async def _show_queue(self, who: str) -> Reply:
        me, wire = self._me, self._wire(self._someone(who)) if who else None
        waiting, total = await self._peer.environment.database.read(lambda tables: history.queue_of(tables, me, wire))
        return api.Queue(
            waiting=tuple(self._queued(peer, entry) for peer, entry in waiting),
            total=total,
        )

    def _queued(self, peer: bytes, entry: WaitingEntry) -> api.QueuedLine:
        return api.QueuedLine(
            person=self._peer.people.person(peer),
            number=entry.number,
            text=judge(entry.bytes).text,
            at=entry.arrived_at,
            left=entry.seq <= entry.sent,
        )

    async def _show_doubts(self) -> Reply:
        found = await self._peer.environment.database.read(history.doubts)
        return api.Doubts(
            doubts=tuple(
                api.DoubtRange(
                    person=self._peer.people.person(peer),
                    mine=doubt.mine,
                    first=doubt.first,
                    last=doubt.last,
                    at=doubt.at,
                    here=here,
                )
                for peer, doubt, here in found
            )
        )

    # --- forgetting

    async def _forget(self, who: str) -> Reply:
        identifier = self._someone(who)
        done = await self._forgetting.forget(self._wire(identifier))
        name = self._peer.people.person(identifier).name
        return api.Forgotten(
            count=done.count,
            waiting=done.waiting,
            out_of_reach=self._forgetting.out_of_reach(name),
            traces=done.traces,
        )

    async def _set_retention(self, days: int | None, who: str) -> Reply:
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise UsageError(f"say for how many days, 1 to {MAX_DAYS}, or keep everything")
        wire = self._wire(self._someone(who)) if who else None
        await self._forgetting.set_retention(wire, days)
        return api.Done()

    async def _show_retention(self) -> Reply:
        everywhere, chats = await self._peer.environment.database.read(history.retention)
        person = self._peer.people.person
        return api.Retention(
            days=everywhere, chats=tuple(api.KeptChat(person=person(peer), days=days) for peer, days in chats)
        )

    # --- people

    @property
    def _me(self) -> bytes:
        return self._peer.environment.identity.id

    def _wire(self, identifier: bytes) -> bytes:
        return conversation_of(self._me, identifier)

    async def talk(self, who: str) -> Talk:
        """The conversation with somebody with whom something was said; raises NoSuchContact if nothing was."""
        identifier = self._someone(who)
        wire = self._wire(identifier)
        known = await self._peer.environment.database.read(lambda tables: tables.conversations.by_id(wire))
        if known is None:
            raise NoSuchContact(f"nothing was ever said with {who}; /list shows whom you can reach")
        return await self._peer.talk_with(identifier)

    def _lines(self, page: Page) -> api.Lines:
        people: dict[bytes, Person] = {}
        for line in page.lines:
            if line.peer not in people:
                people[line.peer] = self._peer.people.person(line.peer)
        return api.Lines(lines=tuple(self._line(line, people[line.peer]) for line in page.lines), more=page.more)

    def _line(self, line: FoundLine, person: Person) -> api.StoredLine:
        entry = line.entry
        mine = entry.author == self._me
        return api.StoredLine(
            entry=entry.entry,
            person=person,
            mine=mine,
            author=self._peer.handle if mine else person.name,
            number=entry.number,
            text=line.text,
            kind=entry.kind,
            at=entry.written_at,
            arrived=entry.arrived_at,
            state=line.state,
            history=entry.history,
        )


def _checked_cursor(name: str) -> str:
    if not 1 <= len(name) <= MAX_CURSOR_NAME or not name.isprintable():
        raise UsageError(f"a cursor's name has 1 to {MAX_CURSOR_NAME} printable characters; choose another")
    return name
