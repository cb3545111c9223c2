"""
A real peer in a program of the benchmark, which holds its api as any program may.

    python -m benchmarks.chatter STATE NAME [PORT]
"""

import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from benchmarks.lines import Answer, run, serve
from p2pchat import api
from p2pchat.config import PeerSettings
from p2pchat.peer.service import PeerService

SAID_AT_ONCE = 500
"""Messages that wait for their commit while many are queued; a peer refuses more than a few thousand."""


class Chatter:
    """The questions of the benchmark."""

    def __init__(self, service: PeerService, reactor: Any) -> None:
        self._service = service
        self._reactor = reactor
        self._who = ""
        self._opened: Deferred[None] = Deferred()
        self._delivered: Deferred[None] = Deferred()
        self._arrived: Deferred[None] = self._delivered
        self._missing = 0
        self._more: list[str] = []
        self._together = True
        service.subscribe(self._take)

    async def act(self, what: str, **values: Any) -> Answer:
        """Do what is asked."""
        match what:
            case "connect":
                await self._connect(**values)
            case "one_by_one":
                return await self._one_by_one(**values)
            case "in_flight":
                return await self._in_flight(**values)
            case "queue":
                await self._queue(**values)
            case "drain":
                return await self._drain(**values)
            case "paced":
                return await self._paced(**values)
            case "search":
                return await self._search(**values)
        return {"commits": self._commits}

    async def _connect(self, address: str) -> None:
        self._opened = Deferred()
        await self._service.execute(api.Connect(who=address))
        await self._opened

    async def _one_by_one(self, count: int, size: int) -> Answer:
        """Seconds from saying to `queued` and to `delivered`, of one after the other."""
        queued: list[float] = []
        delivered: list[float] = []
        for _ in range(count):
            arrived = self._expect(1)
            started = time.perf_counter()
            await self._say(size)
            queued.append(time.perf_counter() - started)
            await arrived
            delivered.append(time.perf_counter() - started)
        return {"queued": queued, "delivered": delivered}

    async def _in_flight(self, count: int, size: int, window: int, together: bool) -> Answer:
        """
        Seconds for `count` messages, of which `window` are not delivered yet, and commits for them.

        `together`: as many as may be said are said by one command, as who reads a pipe does.
        """
        started, commits = time.perf_counter(), self._commits
        arrived = self._expect(count)
        self._more = ["x" * size] * count
        self._together = together
        self._say_more(window)
        await arrived
        return {"seconds": time.perf_counter() - started, "commits": self._commits - commits}

    async def _queue(self, count: int, size: int) -> None:
        """Say so many to somebody who is away, a few of them at a time on their way to the disk."""
        self._arrived = self._expect(count)
        for first in range(0, count, SAID_AT_ONCE):
            await gatherResults([self._say(size) for _ in range(min(SAID_AT_ONCE, count - first))])

    async def _drain(self, address: str) -> Answer:
        """Seconds from an open chat until everything that was queued is delivered."""
        await self._connect(address)
        started = time.perf_counter()
        await self._arrived
        return {"seconds": time.perf_counter() - started}

    async def _paced(self, rate: int, seconds: float, size: int) -> Answer:
        """Say so many a second; how many that were, once all of them are delivered."""
        started, said = self._reactor.seconds(), 0
        self._missing = 0
        while (passed := self._reactor.seconds() - started) < seconds:
            due = int(passed * rate) + 1
            for _ in range(due - said):
                self._missing += 1
                self._say(size)
            said = due
            await deferLater(self._reactor, 1 / rate)
        if self._missing:
            await self._expect(self._missing)
        return {"said": said}

    async def _search(self, words: str, inside: bool) -> Answer:
        """Seconds for the first page of what holds these words, in one chat or in all."""
        who = "" if not inside else await self._only_contact()
        started = time.perf_counter()
        lines = await self._service.execute(api.Search(words=words, who=who))
        seconds = time.perf_counter() - started
        assert isinstance(lines, api.Lines)
        return {"seconds": seconds, "found": len(lines.lines)}

    async def _only_contact(self) -> str:
        people = await self._service.execute(api.Contacts())
        assert isinstance(people, api.People)
        return people.people[0].id

    def _expect(self, count: int) -> Deferred[None]:
        self._missing = count
        self._delivered = Deferred()
        return self._delivered

    def _say(self, size: int) -> Deferred[api.Reply]:
        return self._service.execute(api.Say(who=self._who, text="x" * size))

    def _say_more(self, count: int) -> None:
        """The next so many of what is still to be said."""
        texts = tuple(self._more[:count])
        del self._more[: len(texts)]
        for first in range(0, len(texts), api.MOST_SAID):
            if self._together:
                self._service.execute(api.SayAll(who=self._who, texts=texts[first : first + api.MOST_SAID]))
            else:
                for text in texts[first : first + api.MOST_SAID]:
                    self._service.execute(api.Say(who=self._who, text=text))

    def _take(self, event: api.Event) -> None:
        match event:
            case api.Queued() | api.Said():
                pass
            case api.Answered(person=person):
                self._service.execute(api.Confirm(who=person.id))
            case api.Opened(person=person):
                self._who = person.id
                if not self._opened.called:
                    self._opened.callback(None)
            case api.Delivered(numbers=numbers):
                self._missing -= len(numbers)
                self._say_more(len(numbers))
                if self._missing == 0 and not self._delivered.called:
                    self._delivered.callback(None)
            case api.Problem(text=text) | api.Ended(reason=text):
                print(text, file=sys.stderr)

    @property
    def _commits(self) -> int:
        database = self._service._database
        return 0 if database is None else database.commits


async def start() -> None:
    """Start the peer, and say where it listens."""
    from twisted.internet import reactor

    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    settings = PeerSettings(
        state=Path(sys.argv[1]), name=sys.argv[2], listen_port=port, dial_port=0, interface="127.0.0.1", accept="all"
    )
    service = PeerService(settings, reactor)
    chatter = Chatter(service, reactor)
    service.startService()
    await service.started
    assert service.peer is not None
    serve({"port": service.peer.listens[0].port}, chatter.act)


if __name__ == "__main__":
    run(start)
