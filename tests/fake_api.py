"""An `api.Api` in memory: every command of the union is answered, every event is told when the test says so."""

from collections import deque

from twisted.internet.defer import Deferred, fail, succeed

from p2pchat import api
from p2pchat.core.errors import NoSuchContact
from p2pchat.core.identity import format_id

OWN_ID = format_id(bytes(32))


def person(name="bob", **fields):
    """Somebody; the id follows from the handle."""
    handle = fields.pop("handle", name)
    fields.setdefault("id", format_id((handle.encode() * 32)[:32]))
    return api.Person(name=name, handle=handle, **fields)


BOB = person("bob", online=True, addresses=("10.0.0.9:6666",), chat="open", scope="once", path="direct")
CAROL = person("carol", online=True, addresses=("10.0.0.11:6666",), standing="verified", contact=True)
ALICE = person("alice")


def stored(entry, text, **fields):
    """A line as the store has it; the number follows from the entry."""
    someone, mine = fields.pop("person", BOB), fields.pop("mine", False)
    told = {"number": entry, "kind": "text", "at": 0, "arrived": entry * 1000, **fields}
    return api.StoredLine(
        entry=entry, person=someone, mine=mine, author="alice" if mine else someone.name, text=text, **told
    )


class Subscription:
    """One listener."""

    def __init__(self, listeners, listener):
        self._listeners, self._listener = listeners, listener

    def cancel(self):
        self._listeners.remove(self._listener)


def _texts(command):
    return command.texts if isinstance(command, api.SayAll) else (command.text,)


class FakeApi:
    """
    Keeps what it was asked (`asked`), and answers from a few people.

    `hold` makes Says wait until `commit()`; `refuse[type]` is the UserError with which a command is refused.
    """

    def __init__(self, *people):
        self.people = {one.id: one for one in (people or (BOB, CAROL, ALICE))}
        self.asked = []
        self.refuse = {}
        self.hold = False
        self.waiting = deque()
        self.listeners = []
        self.number = 0
        self.lines = []
        """What was said, for every question after lines; at most `count` of them are given."""
        self.waiting_lines = []
        self.doubts = []
        self.requests = []
        self.unseen = []
        self.examined = None
        """A Deferred: what the doctor waits for."""

    def execute(self, command):
        self.asked.append(command)
        error = self.refuse.get(type(command))
        if error is not None:
            return fail(error)
        try:
            return self._answer(command)
        except NoSuchContact as error:
            return fail(error)

    def subscribe(self, listener):
        self.listeners.append(listener)
        return Subscription(self.listeners, listener)

    def tell(self, *events):
        """Something happens."""
        for event in events:
            for listener in list(self.listeners):
                listener(event)

    def commit(self, count=None):
        """Let what waits be on the disk: all of it, or so many messages, and whatever was said with the last."""
        before = self.number
        while self.waiting and (count is None or self.number - before < count):
            self._commit(*self.waiting.popleft())

    def said(self):
        """The texts that were accepted or wait, in order."""
        return [text for command in self.asked if isinstance(command, api.Say | api.SayAll) for text in _texts(command)]

    def find(self, who):
        """Somebody by name or id."""
        for one in self.people.values():
            if who in (one.id, one.name):
                return one
        raise NoSuchContact(f"nobody is known as {who}; /list shows who is online")

    def _commit(self, who, command, done):
        first = self.number + 1
        for text in _texts(command):
            self.number += 1
            self.tell(api.Queued(person=who, author="alice", number=self.number, text=text, at=0))
        if isinstance(command, api.Say):
            done.callback(api.Accepted(person=who, author="alice", number=first))
        else:
            done.callback(api.AllAccepted(person=who, author="alice", first=first, last=self.number))

    def _answer(self, command):  # noqa: C901 - one case for each command
        match command:
            case api.ListPeople():
                return succeed(api.People(people=tuple(self.people.values())))
            case api.Contacts():
                return succeed(api.People(people=tuple(one for one in self.people.values() if one.contact)))
            case api.WhoAmI():
                return succeed(self.myself())
            case api.Status():
                chats = tuple(one for one in self.people.values() if one.chat != "none")
                return succeed(
                    api.PeerStatus(
                        pid=1,
                        version="0",
                        myself=self.myself(),
                        chats=chats,
                        uptime=3700,
                        requests=tuple(self.requests),
                    )
                )
            case api.Examine():
                return self.examined or succeed(api.Findings(findings=()))
            case api.WhoIs(who=who):
                return succeed(api.People(people=(self.find(who),)))
            case api.AddContact(id=who):
                return succeed(api.People(people=(self.find(who),)))
            case api.SafetyNumber(who=who):
                return succeed(api.Safety(person=self.find(who), digits=" ".join(["12345"] * 12)))
            case api.Connect(who=who):
                return succeed(self._connect(who))
            case api.Accept(who=who):
                return succeed(api.Started(person=self.find(who)))
            case api.Say() | api.SayAll():
                done = Deferred()
                self.waiting.append((self.find(command.who), command, done))
                if not self.hold:
                    self.commit()
                return done
            case api.ShowNotifications() | api.SetNotifications():
                return succeed(self._notifications(command))
            case api.Ping(who=who):
                found = self.find(who) if who else None
                trip = api.RoundTrip(
                    person=found,
                    server="" if found else "lab1:8888",
                    address="10.0.0.9",
                    path="direct",
                    milliseconds=12.34 if found else 123.4,
                )
                return succeed(api.RoundTrips(trips=(trip,)))
            case api.Reconnect(who=who):
                return succeed(api.Reconnecting(people=(self.find(who),) if who else ()))
            case api.Stop():
                return succeed(api.Done())
            case (
                api.ShowLines()
                | api.ShowArrivals()
                | api.Search()
                | api.Receive()
                | api.ShowUnseen()
                | api.ShowMessage()
                | api.ShowQueue()
                | api.ShowDoubts()
            ):
                return succeed(self._told(command))
            case api.Resend(who=who, first=first, last=last):
                self.find(who)
                return succeed(api.Resent(count=last - first + 1))
            case api.Forget(who=who):
                self.find(who)
                return succeed(api.Forgotten(count=3, waiting=1, out_of_reach=f"not in reach: what {who} has"))
            case api.ShowRetention():
                return succeed(api.Retention(days=None, chats=()))
            case api.ShowCursors():
                return succeed(api.Cursors(cursors=()))
            case api.SetRetention(who="") | api.MoveCursor(who="") | api.DropCursor(who=""):
                return succeed(api.Done())
            case _:
                self.find(command.who)
                return succeed(api.Done())

    def _told(self, command):
        """Of what was said."""
        if getattr(command, "who", ""):
            self.find(command.who)
        match command:
            case api.ShowMessage(who=who, number=number):
                return api.MessageTimes(
                    person=self.find(who), author="alice", number=number, text="hi", queued=1, delivered=2, seen=None
                )
            case api.ShowUnseen():
                return api.Unseen(chats=tuple(self.unseen))
            case api.ShowQueue():
                return api.Queue(waiting=tuple(self.waiting_lines), total=len(self.waiting_lines))
            case api.ShowDoubts():
                return api.Doubts(doubts=tuple(self.doubts))
            case api.ShowArrivals(after=int(after)):
                known = [line for line in self.lines if line.entry > after]
                return api.Lines(lines=tuple(known[: command.count]), more=len(known) > command.count)
            case api.ShowLines(before=before) | api.ShowArrivals(before=before):
                known = [line for line in self.lines if before is None or line.entry < before]
                return api.Lines(lines=tuple(known[-command.count :]), more=len(known) > command.count)
            case _:
                return api.Lines(lines=tuple(self.lines[: command.count]), more=len(self.lines) > command.count)

    def _notifications(self, command):
        muted = (self.find(command.who),) if getattr(command, "told", None) is False else ()
        return api.Notifications(
            dnd=bool(getattr(command, "dnd", None)), until=None, quiet=getattr(command, "quiet", None) or "",
            muted=muted, terminal="auto", desktop=False, text=True, hook="",
        )  # fmt: skip

    def _connect(self, who):
        if "." in who:
            return api.Started(person=None, address=who)
        return api.Started(person=self.find(who))

    def myself(self):
        return api.Myself(id=OWN_ID, name="alice", listens=("10.0.0.5:6666",), servers=())
