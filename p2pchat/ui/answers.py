"""What a command brought, in words for a person: every reply of the api into lines."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from p2pchat import api
from p2pchat.core.text import Kind, cell_width, clean

from .actions import Fingerprint
from .alerts import notification_lines
from .fate import doubt_lines, queue_lines, retention_lines, times
from .numbers import count_of
from .tables import local_time
from .words import host_of, name_of, reason_of, scope_of, short_id, split_address

GAP = "  "
"""Between two columns."""

DIGIT_GROUPS = 4
"""Of a safety number in a row: three rows that are the same on a narrow screen and on a wide one."""

EXACT_BELOW = 100.0
"""Milliseconds of a round trip that are shown with tenths."""

Asked = api.Command | Fingerprint
"""What may have brought a reply."""


def answer(asked: Asked, reply: api.Reply, places: Mapping[str, int] = MappingProxyType({})) -> list[str]:
    """The lines that tell a reply; none where an event tells it. `places`: the numbers of chats here, by id."""
    match reply:
        case api.People(people=people):
            return _people(asked, people)
        case api.Myself():
            return [reply.id] if isinstance(asked, Fingerprint) else _myself(reply)
        case api.Safety():
            return _safety(reply)
        case api.Notifications():
            return notification_lines(reply, asked)
        case api.PeerStatus():
            return _status(reply, places)
        case api.Started() if isinstance(asked, api.Connect):
            return _started(reply)
        case api.Queue() | api.MessageTimes() | api.Doubts() | api.Retention() | api.Resent():
            return _history(reply)
        case api.RoundTrips(trips=trips):
            return [_trip(trip) for trip in trips]
        case api.Reconnecting():
            return _reconnecting(reply)
        case api.Done():
            done = _done(asked)
            return [done] if done else []
    return []


def _started(reply: api.Started) -> list[str]:
    is_open = reply.person is not None and reply.person.chat == "open"
    lines = [] if is_open else [f"trying {_whom(reply.person, reply.address)} ..."]
    if reply.unsaid and reply.person is not None:
        name = name_of(reply.person)
        line = f"{name} was asked before, so your line did not go along: /msg {name} {clean(reply.unsaid, Kind.LINE)}"
        lines.append(line)
    return lines


def _history(reply: api.Queue | api.MessageTimes | api.Doubts | api.Retention | api.Resent) -> list[str]:
    match reply:
        case api.Queue():
            return queue_lines(reply)
        case api.MessageTimes():
            return [times(reply)]
        case api.Doubts(doubts=doubts):
            return doubt_lines(doubts)
        case api.Retention():
            return retention_lines(reply)
        case api.Resent(count=0):
            return ["nothing is sent again: what there is of these waits already"]
        case api.Resent(count=count):
            return [f"{count_of(count)} sent again"]


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of cleaned fields under each other."""
    table = [list(row) for row in rows]
    widths = [max(map(cell_width, column)) for column in zip(*table, strict=True)]
    return [
        GAP.join(field + " " * (width - cell_width(field)) for field, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _whom(person: api.Person | None, address: str) -> str:
    return name_of(person) if person else clean(address, Kind.LINE)


def _people(asked: Asked, people: Sequence[api.Person]) -> list[str]:
    if isinstance(asked, api.WhoIs):
        return [line for person in people for line in _person(person)]
    if isinstance(asked, Fingerprint):
        return [f"{name_of(person)}  {clean(person.id, Kind.LINE)}" for person in people]
    if isinstance(asked, api.AddContact):
        return [f"{name_of(person)} ({short_id(person.id)}) is a contact now" for person in people]
    if not people:
        return ["nobody is online" if isinstance(asked, api.ListPeople) else "no contacts yet: /contacts add ID [NAME]"]
    return columns(_row(person) for person in people)


def _row(person: api.Person) -> list[str]:
    host, port = split_address(person.addresses[0]) if person.addresses else ("", "")
    return [name_of(person), host or "-", port or "-", short_id(person.id), person.standing, _remarks(person)]


def _remarks(person: api.Person) -> str:
    chats = {"asking": "was asked", "asked": "asks to chat", "open": "chat open", "lost": "chat open, no link now"}
    remarks = [
        "offline" if person.online is False else "",
        "last known" if person.last_known else "",
        chats.get(person.chat, ""),
        f"{person.unsent} not delivered" if person.unsent else "",
    ]
    display = clean(person.display_name, Kind.NAME).replace('"', "'")
    return ", ".join(remark for remark in (f'"{display}"' if display else "", *remarks) if remark)


def _person(person: api.Person) -> list[str]:
    facts = {
        "id": clean(person.id, Kind.LINE),
        "calls themselves": f"{clean(person.handle, Kind.NAME)} {clean(person.display_name, Kind.NAME)}".strip(),
        "standing": f"{person.standing}{', a contact' if person.contact else ''}",
        "asks": "accepted without asking" if person.consent == "always" else "shown, you decide",
        "addresses": ", ".join(clean(address, Kind.LINE) for address in person.addresses),
        "server says": {True: "online", False: "offline", None: "nothing"}[person.online],
        "chat": _chat(person),
    }
    return [name_of(person), *columns(["", what, fact] for what, fact in facts.items() if fact)]


def _chat(person: api.Person) -> str:
    parts = [_remarks(person), scope_of(person), person.path, clean(person.group, Kind.NAME)]
    return "; ".join(part for part in parts if part)


def _myself(myself: api.Myself) -> list[str]:
    lines = [f"{clean(myself.name, Kind.NAME)}  {myself.id}"]
    if myself.listens:
        lines.append(f"listening on {', '.join(clean(address, Kind.LINE) for address in myself.listens)}")
    return [*lines, *(_server(server) for server in myself.servers)]


def _server(server: api.ServerStatus) -> str:
    others = "1 other" if server.online == 1 else f"{server.online} others"
    words = {"online": f"online, seen as {host_of(server.observed)}, {others} online"}
    state = words.get(server.state, server.state)
    why = f" ({reason_of(server.reason)})" if server.reason else ""
    return f"server {clean(server.address, Kind.LINE)}  {short_id(server.id)}  {server.trust}  {state}{why}"


def _safety(safety: api.Safety) -> list[str]:
    name = name_of(safety.person)
    digits = clean(safety.digits, Kind.LINE).split()
    rows = [" ".join(digits[start : start + DIGIT_GROUPS]) for start in range(0, len(digits), DIGIT_GROUPS)]
    compare = f"compare it with {name} face to face or by telephone; if all digits are the same: /verify {name} yes"
    if safety.person.standing == "verified":
        since = "" if safety.verified is None else f" since {local_time(safety.verified)}"
        compare = f"{name} is verified{since}; if the digits are not the same now: /verify {name} no"
    return [
        f"the safety number with {name} ({short_id(safety.person.id)}), the same on both screens:",
        *(f"  {row}" for row in rows),
        compare,
    ]


def _status(status: api.PeerStatus, places: Mapping[str, int]) -> list[str]:
    numbered = sorted(status.chats, key=lambda person: places.get(person.id, len(places) + 1))
    keys = [f"Alt-{places[person.id]}" if person.id in places else "" for person in numbered]
    rows = zip(keys, numbered, strict=True)
    chats = columns([*([key] if places else []), name_of(person), _chat(person)] for key, person in rows)
    hours, minutes = divmod(status.uptime // 60, 60)
    return [
        *_myself(status.myself),
        *([f"  {chat}" for chat in chats] or ["no chat is open"]),
        f"p2pchat {clean(status.version, Kind.NAME)}, pid {status.pid}, up {hours} h {minutes} min",
    ]


def _trip(trip: api.RoundTrip) -> str:
    who = name_of(trip.person) if trip.person else f"the server {clean(trip.server, Kind.LINE)}"
    if trip.milliseconds is None:
        return f"{who} does not answer"
    way = ", ".join(clean(each, Kind.LINE) for each in (trip.path, trip.address) if each)
    return f"{who} answered in {trip.milliseconds:.{1 if trip.milliseconds < EXACT_BELOW else 0}f} ms; {way}"


def _reconnecting(reply: api.Reconnecting) -> list[str]:
    dialled = [*(clean(server, Kind.LINE) for server in reply.servers), *map(name_of, reply.people)]
    lines = [f"dialling {', '.join(dialled)} ..."] if dialled else []
    refusing = ", ".join(clean(server, Kind.LINE) for server in reply.refusing)
    if refusing:
        lines.append(f"{refusing} refused us, and is asked again by itself within half a minute; /status says why")
    return lines or ["nothing has to be dialled: no server is lost, and nobody is being sought"]


def _done(asked: Asked) -> str:
    match asked:
        case api.Verify(who=who, verified=True):
            return f"{_typed(who)} is verified"
        case api.Verify(who=who):
            return f"{_typed(who)} is no longer verified"
        case api.Trust(who=who, classical=classical):
            also = ", also without post-quantum key agreement" if classical else ""
            return f"{_typed(who)} is a contact now{also}"
        case api.Block(who=who):
            return f"{_typed(who)} is blocked: they can neither ask nor write"
        case api.Unblock(who=who):
            return f"{_typed(who)} is not blocked any more"
        case api.RemoveContact(who=who):
            return (
                f"{_typed(who)} is no contact any more: what they ask is a stranger's request again, they are not "
                "verified, and --classical is taken back; their key and what was said stay"
            )
        case api.Reject(who=who):
            return f"{_typed(who)} was rejected"
        case api.LeaveIt():
            return "it is left as it is, and not mentioned any more"
        case api.FetchHistory():
            return "asking for older messages ..."
    return ""


def _typed(who: str) -> str:
    return clean(who, Kind.NAME)
