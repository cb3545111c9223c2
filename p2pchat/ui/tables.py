"""
Lists of people as tables for a terminal, and the state of a daemon as lines.

All text from others is cleaned here.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from p2pchat.api import PeerStatus, Person, RosterRow, ServerReport
from p2pchat.api.values import ServerStatus
from p2pchat.core.text import Kind, cell_width, clean

from .words import reason_of, short_id

GAP = "  "
"""Between two columns."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of columns that stand under each other, also where characters are two cells wide; no trailing blanks."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(map(cell_width, column)) for column in zip(*lines, strict=True)]
    return [GAP.join(_padded(text, width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def roster_table(rows: Iterable[RosterRow]) -> list[str]:
    """Who is online: the header always, then a line for each."""
    head = ("HANDLE", "NAME", "ID", "IP ADDRESS", "PORT", "SINCE", "HEARD")
    return table(head, [roster_cells(row) for row in rows])


def roster_cells(row: RosterRow) -> tuple[str, ...]:
    """What the table shows of one peer."""
    return (
        clean(row.handle, Kind.NAME),
        clean(row.name, Kind.NAME),
        short_id(row.id),
        clean(row.address, Kind.NAME),
        str(row.port) if row.port else "-",
        local_time(row.since),
        f"{duration(row.heard)} ago",
    )


def contact_table(people: Iterable[Person]) -> list[str]:
    """The contacts: the header always, then a line for each."""
    rows = [
        (
            clean(person.name, Kind.NAME),
            clean(person.standing, Kind.NAME),
            clean(person.consent, Kind.NAME),
            whole_id(person),
        )
        for person in people
    ]
    return table(("NAME", "STANDING", "REQUESTS", "ID"), rows)


def whole_id(person: Person) -> str:
    """All of somebody's id."""
    return clean(person.id, Kind.LINE)


def server_lines(report: ServerReport) -> list[str]:
    """How a server is."""
    process = f"version {_word(report.version)}, pid {report.pid}, up {duration(report.uptime)}"
    lines = [
        f"p2pchat server {short_id(report.id)}  {process}",
        f"  listening on {', '.join(map(_word, report.listens)) or 'nothing'}",
        f"  {report.online} of {report.capacity} peers online",
    ]
    refused = [f"{_word(reason)} {count}" for reason, count in sorted(report.refused.items()) if count]
    return [*lines, f"  refused: {', '.join(refused)}"] if refused else lines


def peer_lines(status: PeerStatus) -> list[str]:
    """How a peer is."""
    myself = status.myself
    process = f"version {_word(status.version)}, pid {status.pid}, up {duration(status.uptime)}"
    return [
        f"p2pchat peer {clean(myself.name, Kind.NAME)} {short_id(myself.id)}  {process}",
        f"  listening on {', '.join(map(_word, myself.listens)) or 'nothing'}",
        *(f"  {_server(server)}" for server in myself.servers),
        *(f"  {_chat(person)}" for person in status.chats),
    ]


def duration(seconds: int) -> str:
    """A length of time in its largest unit."""
    for size, letter in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {letter}"
    return f"{max(seconds, 0)} s"


def local_time(milliseconds: int) -> str:
    """A wall-clock time as this machine's people read it; "?" for one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "?"


def _server(server: ServerStatus) -> str:
    reason = f": {reason_of(server.reason)}" if server.reason else ""
    seen = f", seen as {_word(server.observed)}" if server.observed else ""
    return f"server {_word(server.address)} {short_id(server.id)} {_word(server.state)}{reason}{seen}"


def _chat(person: Person) -> str:
    unsent = f", {person.unsent} not delivered" if person.unsent else ""
    return f"chat with {_name(person)} {short_id(person.id)} {_word(person.chat)}{unsent}"


def _name(person: Person) -> str:
    return clean(person.name, Kind.NAME)


def _word(text: str) -> str:
    return clean(text, Kind.LINE)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_width(text))
