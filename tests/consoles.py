"""A person at a console on a peer of tests/company.py: what is typed, and what is on the screen."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred

from p2pchat import api
from p2pchat.ui.console import Console
from p2pchat.ui.drawing import Line, draw
from p2pchat.ui.names import NamedApi

from .company import Node


def at_once(work: Callable[[], None]) -> Deferred[None]:
    """What a thread does elsewhere."""
    return maybeDeferred(work)


class _Subscription:
    def __init__(self, listeners: list[Callable[[api.Event], None]], listener: Callable[[api.Event], None]) -> None:
        self._listeners, self._listener = listeners, listener

    def cancel(self) -> None:
        if self._listener in self._listeners:
            self._listeners.remove(self._listener)


class NodeApi:
    """The api of a peer; `tell` passes on what has happened since."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._listeners: list[Callable[[api.Event], None]] = []
        self._told = len(node.events)

    def execute(self, command: api.Command) -> Deferred[api.Reply]:
        return Deferred.fromCoroutine(self.node.commands.execute(command))

    def subscribe(self, listener: Callable[[api.Event], None]) -> api.Subscription:
        self._listeners.append(listener)
        return _Subscription(self._listeners, listener)

    def tell(self) -> None:
        while self._told < len(self.node.events):
            self._told += 1
            for listener in list(self._listeners):
                listener(self.node.events[self._told - 1])


class Desk:
    """A screen of a person who reads all of it, and a keyboard."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.rows: list[str] = []
        self.kept: list[str] = []
        self.forgotten = 0
        """How often what was typed was forgotten."""
        self.unforgettable = ""
        """Why it cannot be."""
        self.looks = True
        """Whether what is shown reaches the screen."""
        self.aside = at_once
        """How work that waits for a disk is done."""
        self._tokens: list[api.Event] = []
        self._api = NodeApi(node)
        self.console = Console(NamedApi(self._api), node.world.clock, self, lambda: None, lambda work: self.aside(work))
        node.world.test.addCleanup(self.console.stop)
        self.console.begin()
        self.settle()

    def show(self, line: Line, token: api.Event | None = None) -> None:
        self.rows += draw(line)
        if token is not None:
            self._tokens.append(token)

    def prompt_changed(self) -> None:
        pass

    def keep(self, text: str) -> None:
        self.kept.append(text)

    def clear(self) -> bool:
        return False

    def forget(self, person: str) -> str:
        self.forgotten += 1
        return self.unforgettable

    def settle(self, seconds: float = 1.0) -> None:
        """Let everything happen that follows, and be seen."""
        self.node.world.wait(seconds)
        self._api.tell()
        tokens, self._tokens = self._tokens, []
        if self.looks:
            self.console.displayed(tokens)
        self.node.world.wait(seconds)
        self._api.tell()

    def type(self, *lines: str) -> list[str]:
        """Type lines; what the screen shows from then on."""
        before = len(self.rows)
        for line in lines:
            done = self.console.typed_at_prompt(line, self.console.conversation.current_id)
            self.settle()
            self.node.world.test.successResultOf(done)
        return self.rows[before:]
