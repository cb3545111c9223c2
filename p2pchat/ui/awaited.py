"""Whom a front end was told to connect to when it starts; a handle is waited for, since the roster comes later."""

from collections.abc import Awaitable, Callable

from p2pchat import api
from p2pchat.core.errors import NoSuchContact, UserError
from p2pchat.core.text import Kind, clean


class Awaited:
    """Connects to one person, as soon as they are known."""

    def __init__(self, connect: Callable[[api.Connect], Awaitable[None]], say: Callable[[str], None]) -> None:
        self._connect = connect
        self._say = say
        self._awaited: api.Connect | None = None

    async def start(self, connect: api.Connect) -> None:
        """Connect as the options asked."""
        try:
            await self._connect(connect)
        except UserError as error:
            # An api over the socket tells the exit code alone.
            if connect.contact_only or error.exit_code != NoSuchContact.exit_code:
                self._say(str(error))
                return
            self._awaited = connect
            self._say(f"waiting for {clean(connect.who, Kind.NAME)} to come online")

    def wants(self, event: api.Event) -> bool:
        """Whether somebody may be there now: then `again` is due."""
        match event:
            case api.ServerChanged():
                return self._awaited is not None
            case api.PresenceChanged(person=person):
                return self._awaited is not None and person.handle == self._awaited.who
        return False

    async def again(self) -> None:
        """Try once more."""
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            return
        try:
            await self._connect(awaited)
        except UserError as error:
            if error.exit_code == NoSuchContact.exit_code:
                self._awaited = awaited
            else:
                self._say(str(error))
