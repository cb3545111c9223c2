"""
Telling a person of what came while nobody looked: terminals by an event, the desktop and a hook by programs.

What is told and when is decided in core/notices.py. It happens in the peer's process, so that it reaches somebody
whose terminal is detached. A front end that shows a message in its chat says Displayed; then nobody is told.
"""

import shutil
import time
from collections.abc import Callable
from functools import partial

from twisted.logger import Logger

from .. import api
from ..api.lines import to_line
from ..core.identity import format_id, parse_id
from ..core.notices import Notices, Preferences, Told
from ..core.text import Kind, clean
from .environment import Environment
from .preferences import changed, keep, shown, stored
from .programs import Programs

NOTIFY_SEND = "notify-send"

SHOWN_CHARACTERS = 200
"""Of a text on the desktop: it is a hint, and no page to read."""

SHOWN_ID = 19
"""Of the id of somebody who is no contact: 16 characters in their groups."""

TellOf = api.Said | api.Asked

HEARD = frozenset({api.Said, api.Asked, api.AskEnded, api.Opened})
"""Events that say something here: most of a flood says nothing."""


def local_minute(wall: int) -> int:
    """The minute of the day, in this machine's time zone."""
    local = time.localtime(wall / 1000)
    return 60 * local.tm_hour + local.tm_min


class Notifying:
    """
    Hears all events of a peer, and sees to it that its person does.

    What the hook is run with and what the desktop is shown are run apart: many messages are no reason to show none.
    """

    log = Logger()

    def __init__(
        self,
        environment: Environment,
        hooks: Programs,
        desktop: Programs,
        minute: Callable[[int], int] = local_minute,
    ) -> None:
        self._environment = environment
        self._hooks = hooks
        self._desktop = desktop
        self._minute = minute
        self._preferences = Preferences()
        self._notices: Notices[TellOf] = Notices()

    async def load(self) -> None:
        """Read what the person wants."""
        self._preferences = await self._environment.database.read(stored)

    async def change(self, command: api.SetNotifications, who: bytes | None) -> None:
        """Change it, on the disk first; raises UsageError."""
        written = None if who is None else format_id(who)
        wall = self._environment.wall()
        changed(self._preferences, command, written, wall)  # what is wrong with it is no matter of the disk
        change = partial(changed, command=command, who=written, wall=wall)
        self._preferences = await self._environment.database.write(lambda tables: keep(tables, change))

    def shown(self, person_of: Callable[[bytes], api.Person]) -> api.Notifications:
        """What the person wants, as front ends are told."""
        return shown(self._preferences, self._environment.wall(), person_of)

    def take(self, event: api.Event) -> None:
        """Something happened."""
        if type(event) not in HEARD:
            return
        now = self._environment.clock.seconds()
        match event:
            case api.Said():
                if event.kind == "text" and not event.history:
                    self._notices.came(("said", event.person.id), event.entry, event, now)
            case api.Asked(person=person):
                self._notices.came(("asked", person.id), 0, event, now)
            case api.AskEnded(person=person) | api.Opened(person=person):
                self._notices.gone(("asked", person.id))

    def looked(self, who: bytes, entry: int) -> None:
        """A terminal that a person sees is on the chat with `who`, and has shown everything up to `entry`."""
        self._notices.looked(("said", format_id(who)), entry)

    def look(self, person_of: Callable[[bytes], api.Person]) -> None:
        """Once a second: tell what it is time for, of people as they are now: much may have changed since it came."""
        wall = self._environment.wall()
        minute = self._minute(wall)

        def wants(event: TellOf) -> bool:
            return self._preferences.wants(event.person.id, wall, minute)

        passed, told = self._notices.due(self._environment.clock.seconds(), wants)
        if self._preferences.hook:
            for event in filter(wants, passed):
                self._hooks.run([self._preferences.hook], to_line(event))
        for one in told:
            self._tell(one, person_of(parse_id(one.last.person.id)))

    def _tell(self, told: Told[TellOf], person: api.Person) -> None:
        event = told.last
        notice = api.Notice(
            person=person,
            what="said" if isinstance(event, api.Said) else "asked",
            count=told.count,
            text=event.text if self._preferences.text else "",
            terminal=self._preferences.terminal,
        )
        self._environment.emit(notice)
        if self._preferences.desktop:
            self._tell_desktop(notice)

    def _tell_desktop(self, notice: api.Notice) -> None:
        program = shutil.which(NOTIFY_SEND)
        if program is None:
            self._desktop.missing(NOTIFY_SEND, "install it (libnotify-bin), or: /notify desktop off")
        else:
            self._desktop.run(notify_send(program, notice))


def notify_send(program: str, notice: api.Notice) -> list[str]:
    """
    The argument list that shows a notice on the desktop.

    Nothing behind `--` is taken for an option. The body is markup to most desktops, and notify-send itself reads
    backslashes in it as C does: so a text is written such that it shows as it was typed.
    """
    name, some_id = clean(notice.person.name, Kind.NAME), notice.person.id[:SHOWN_ID]
    who = name if notice.person.contact else f"{name} ({some_id})"
    body = clean(notice.text, Kind.LINE)
    if len(body) > SHOWN_CHARACTERS:
        body = f"{body[: SHOWN_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    what = (
        "asks to chat" if notice.what == "asked" else "1 message" if notice.count == 1 else f"{notice.count} messages"
    )
    for sign, written in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        body = body.replace(sign, written)
    return [program, "--app-name=p2pchat", "--", f"{who}: {what}", body]
