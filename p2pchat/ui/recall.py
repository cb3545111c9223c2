"""What is typed about what was said, done: pages and searches shown, exports written, deleted what was confirmed."""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.core.errors import UsageError, UserError
from p2pchat.core.text import Kind, clean

from .actions import Export, Jump, More, OwnMessage, Unconfirmed
from .browsing import Browser
from .export import Aside, Exporting
from .fate import forgotten, kept, question, times
from .words import name_of

Recalled = api.ShowLines | api.Search | api.Forget | api.SetRetention | More | Jump | Export | OwnMessage | Unconfirmed
"""What is done here."""


class Recall:
    """Does it. `say` shows notes, `forget` forgets what was typed at the screen, `now` is a monotonic clock."""

    _log = Logger()

    def __init__(
        self,
        held: api.Api,
        browser: Browser,
        say: Callable[..., None],
        forget: Callable[[str], str],
        aside: Aside,
        now: Callable[[], float],
    ) -> None:
        self._api = held
        self._browser = browser
        self._say = say
        self._forget = forget
        self._aside = aside
        self._now = now
        self._exports: set[Exporting] = set()

    def stop(self) -> None:
        """The screen is going away: an export that is not finished leaves nothing."""
        for export in list(self._exports):
            export.stop()

    async def do(self, action: Recalled) -> None:
        """Do it, or begin it if it may take long. Raises UserError."""
        match action:
            case api.ShowLines():
                await self._browser.lines(action)
            case api.Search():
                await self._browser.search(action)
            case More(newer=newer):
                await (self._browser.newer() if newer else self._browser.more())
            case Jump(hit=hit):
                await self._browser.jump(hit)
            case OwnMessage(command=command, author=author):
                await self._own_message(command, author)
            case Unconfirmed(command=command):
                self._say(*question(command, await self._person(command.who)))
            case Export():
                await self._export(action)
            case api.Forget() | api.SetRetention():
                await self._delete(action)

    async def _own_message(self, command: api.ShowMessage | api.Cancel, author: str) -> None:
        myself = await self._api.execute(api.WhoAmI())
        if isinstance(myself, api.Myself) and myself.name.casefold() != author.casefold():
            raise UsageError(
                f"{clean(author, Kind.NAME)}#{command.number} is not your message; yours are {myself.name}#N"
            )
        reply = await self._api.execute(command)
        if isinstance(reply, api.MessageTimes):
            self._say(times(reply))

    async def _export(self, action: Export) -> None:
        person = await self._person(action.who)
        assert person is not None
        export = Exporting(self._api, person, action.path, action.as_json, self._aside, self._now)
        self._exports.add(export)
        self._meanwhile(self._run(export))

    async def _run(self, export: Exporting) -> None:
        try:
            await export.run(self._say)
        finally:
            self._exports.discard(export)

    async def _delete(self, command: api.Forget | api.SetRetention) -> None:
        person = await self._person(command.who)
        if isinstance(command, api.Forget):
            self._say(f"deleting what was said with {name_of(person)} ..." if person else "deleting ...")
        self._meanwhile(self._deleted(command, person))

    async def _deleted(self, command: api.Forget | api.SetRetention, person: api.Person | None) -> None:
        if isinstance(command, api.Forget) and person is not None:
            # First: whoever ends in between leaves what is not deleted to the peer, which finishes that by itself.
            self._forget(person.id)
        reply = await self._api.execute(command)
        self._browser.clear()
        if isinstance(reply, api.Forgotten):
            typed = "" if person is None else self._forget(person.id)
            self._say(*forgotten(reply, typed))
        elif isinstance(command, api.SetRetention):
            self._say(kept(command, person))

    async def _person(self, who: str) -> api.Person | None:
        if not who:
            return None
        reply = await self._api.execute(api.WhoIs(who=who))
        return reply.people[0] if isinstance(reply, api.People) and reply.people else None

    def _meanwhile(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """What may take long keeps nobody from typing on."""
        Deferred.fromCoroutine(work).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(UserError):
            self._say(failure.getErrorMessage())
        else:
            self._log.failure("what was typed went wrong", failure)
            self._say("that went wrong; the log says more")
