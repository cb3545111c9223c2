"""
The terminal: prompt_toolkit in a thread of its own, inline, undecorated.

The reactor's thread hands over lines and is handed what was typed; nothing else is shared. What comes is written
above the input line, which is put away for that and drawn again, so it never splits what is being typed, and the
scroll-back stays the terminal's own. A UI that crashes is logged, leaves the terminal as it was, and ends the
program in order; `crashed` is the last line then.

Not prompt_toolkit's StdoutProxy, which corrupts the prompt from another thread; not its event loop in the reactor,
which takes the reactor's children; not sys.stdout, which twistd replaced by its log.
"""

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorCore, IReactorThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api

from .commands import completions
from .conversation import Conversation
from .drawing import Line, Origin, draw, note

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

WAITING_LINES = 50_000
"""Lines that wait for a stalled terminal at most; what comes then is left out, and that is said."""

AT_ONCE = 500
"""Lines written before the input line is drawn again: some milliseconds of a terminal's time."""

TWICE = 1.5
"""Seconds within which a second Ctrl-C leaves."""

ANSWER_WAIT = 2.0
"""Seconds that the next prompt waits for what the last line did to it."""

CLOSE_WAIT = 3.0
"""Seconds for which the end of the program waits for the terminal."""

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class IFrontReactor(IReactorCore, IReactorTime, IReactorThreads):
    """What front ends ask of the reactor."""


class Person(Protocol):
    """What a terminal asks of the program (ui/console.py)."""

    conversation: Conversation

    def typed_at_prompt(self, line: str, chat: str | None) -> "Deferred[None]":
        """A line was typed."""

    def displayed(self, tokens: Sequence[api.Event]) -> None:
        """These are on the screen now."""

    def missed(self, tokens: Sequence[api.Event]) -> None:
        """These will never be."""


class Prompt(Service):
    """A `Screen` (ui/console.py) that a person looks at."""

    _log = Logger()

    def __init__(self, reactor: IFrontReactor, leave: Callable[[int, str], None], crashed: str) -> None:
        self._reactor = reactor
        self._leave = leave
        self._crashed_words = crashed
        self.console: Person | None = None
        """Set before the service starts."""
        self._lines: deque[tuple[Line, api.Event | None]] = deque()
        self._left_out = 0
        self._lock = threading.Lock()
        self._current: tuple[str, str | None] = ("> ", None)
        """The prompt, and the id of the chat that it names; both at once, since two threads look at it."""
        self._shown_chat: str | None = None
        self._names: tuple[Sequence[str], Sequence[str]] = ((), ())
        self._kept = ""
        self._sequence = ""
        self._forgetting = False
        self._kicked = False
        self._closing = False
        self._ended = Deferred[None]()
        self._session: PromptSession[str] | None = None
        self._thread = threading.Thread(target=self._main, name="terminal", daemon=True)
        self._interrupted_at = 0.0
        self._colour = "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"

    # --- in the reactor's thread

    def startService(self) -> None:
        """Take the terminal; nothing is shown before `begin`, so that a failed start leaves no trace on it."""
        super().startService()
        self._session = self._make_session()

    def begin(self) -> None:
        """Show what waits, and the prompt."""
        self._reactor.callWhenRunning(self._thread.start)

    def stopService(self) -> "Deferred[None] | None":
        """Put the input line away and give the terminal back; fires then, or after a few seconds."""
        super().stopService()
        if not self._thread.is_alive():
            return None
        self._closing = True
        self._in_terminal(self._exit)
        over = Deferred[None]()
        timer = self._reactor.callLater(CLOSE_WAIT, over.callback, None)

        def closed(_: object) -> None:
            if timer.active():
                timer.cancel()

        return DeferredList([self._ended, over], fireOnOneCallback=True).addCallback(closed)

    def show(self, line: Line, token: api.Event | None = None) -> None:
        """Write a line above the input."""
        with self._lock:
            if len(self._lines) >= WAITING_LINES:
                self._left_out += 1
                left_out = True
            else:
                self._lines.append((line, token))
                left_out = False
        if left_out and token is not None and self.console is not None:
            self.console.missed([token])
        self._in_terminal(self._kick)

    def prompt_changed(self) -> None:
        """Draw the prompt again if it is another one."""
        if self.console is None:
            return
        conversation = self.console.conversation
        self._names = (conversation.people, conversation.pending)
        current = (conversation.prompt, conversation.current_id)
        if current != self._current:
            self._current = current
            self._in_terminal(self._redraw)

    def keep(self, text: str) -> None:
        """Put a refused line back into the input, if nothing new was begun."""
        self._kept = text
        self._in_terminal(self._put_back)

    def ring(self, sequence: str) -> None:
        """Give the terminal a control sequence that moves nothing on the screen, such as its bell."""
        self._sequence = sequence
        self._in_terminal(self._ring)

    def forget(self) -> None:
        """What was typed here so far cannot be called back any more."""
        self._forgetting = True
        self._in_terminal(self._forget_typed)

    def _in_terminal(self, function: Callable[[], None]) -> None:
        """Call something in the terminal's thread; not at all while there is no prompt to call it in."""
        loop = self._session.app.loop if self._session is not None else None
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # that prompt was just closed; the next one writes what waits
                loop.call_soon_threadsafe(function)

    def _crashed(self, failure: Failure) -> None:
        self._log.failure("the terminal failed", failure)
        self._leave(1, self._crashed_words)

    # --- in the terminal's thread

    def _main(self) -> None:
        crash: Failure | None = None
        try:
            while not self._closing and self._ask():
                pass
            self._write(self._take(WAITING_LINES))
        except BaseException:
            crash = Failure()
        self._reactor.callFromThread(self._ended.callback, None)
        if crash is not None:
            self._reactor.callFromThread(self._crashed, crash)
        elif not self._closing:
            self._reactor.callFromThread(self._leave, 0, "")

    def _ask(self) -> bool:
        """One line; false if the person leaves."""
        assert self._session is not None
        try:
            self._write(self._take(AT_ONCE))
            kept, self._kept = self._kept, ""
            line = self._session.prompt(
                self._prompt, default=kept, handle_sigint=False, set_exception_handler=False, pre_run=self._begin
            )
        except EOFError:
            return False
        except KeyboardInterrupt:
            return True
        dealt_with = threading.Event()
        self._reactor.callFromThread(self._typed, line, self._shown_chat, dealt_with)
        dealt_with.wait(ANSWER_WAIT)
        return True

    def _prompt(self) -> str:
        """What stands before the input; a line goes to the chat that was named when it was last drawn."""
        message, self._shown_chat = self._current
        return message

    def _typed(self, line: str, chat: str | None, dealt_with: threading.Event) -> None:
        """In the reactor's thread again."""
        if self.console is not None:
            self.console.typed_at_prompt(line, chat).addBoth(lambda _: dealt_with.set())

    def _begin(self) -> None:
        loop = self._session.app.loop if self._session is not None else None
        if loop is not None:
            # prompt_toolkit's own handler would show the traceback and wait for Enter.
            loop.set_exception_handler(self._failed_in_loop)
        self._forget_typed()
        # A line that was entered while others were about to be printed cancels that.
        self._kicked = False
        self._kick()
        self._ring()
        if self._closing:
            self._in_terminal(self._exit)

    def _exit(self) -> None:
        if self._session is not None and self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    def _failed_in_loop(self, loop: object, context: dict[str, Any]) -> None:
        """A key, a redraw or the printing failed: leave the prompt with that, so that `_main` sees it."""
        if self._session is not None and self._session.app.is_running:
            self._session.app.exit(exception=context.get("exception") or RuntimeError(str(context.get("message"))))

    def _redraw(self) -> None:
        if self._session is not None:
            self._session.app.invalidate()

    def _put_back(self) -> None:
        if self._session is not None and not self._session.default_buffer.text:
            self._session.default_buffer.insert_text(self._kept)
            self._kept = ""

    def _ring(self) -> None:
        sequence, self._sequence = self._sequence, ""
        if sequence and self._session is not None:
            self._session.output.write_raw(sequence)
            self._session.output.flush()

    def _forget_typed(self) -> None:
        from prompt_toolkit.history import InMemoryHistory

        if self._session is not None and self._forgetting:
            self._forgetting = False
            buffer = self._session.default_buffer
            self._session.history = buffer.history = InMemoryHistory()
            buffer.reset(buffer.document)

    def _kick(self) -> None:
        app = self._session.app if self._session is not None else None
        if app is not None and app.is_running and not self._kicked and self._lines:
            self._kicked = True
            app.create_background_task(self._print())

    async def _print(self) -> None:
        from prompt_toolkit.application import in_terminal

        async with in_terminal():
            self._write(self._take(AT_ONCE))
        self._kicked = False
        self._kick()

    def _take(self, most: int) -> list[tuple[Line, api.Event | None]]:
        with self._lock:
            taken = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
            if self._left_out and not self._lines:
                taken.append((note(f"{self._left_out} lines were left out here: the terminal took none"), None))
                self._left_out = 0
        return taken

    def _write(self, lines: list[tuple[Line, api.Event | None]]) -> None:
        if not lines or self._session is None:
            return
        output = self._session.output
        width = output.get_size().columns
        output.enable_autowrap()
        output.write_raw("".join(self._painted(line, width) for line, _ in lines))
        output.flush()
        tokens = [token for _, token in lines if token is not None]
        if tokens and self.console is not None:
            self._reactor.callFromThread(self.console.displayed, tokens)

    def _painted(self, line: Line, width: int) -> str:
        rows = "\r\n".join(draw(line, width))
        # What others wrote is never dim: not even a broken row of theirs looks like a note (X6).
        return f"{DIM}{rows}{PLAIN}\r\n" if line.origin is Origin.NOTE and self._colour else f"{rows}\r\n"

    # --- the session

    def _make_session(self) -> "PromptSession[str]":
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.input.defaults import create_input
        from prompt_toolkit.output.defaults import create_output

        return PromptSession(
            history=InMemoryHistory(),
            completer=_completer(lambda: self._names),
            complete_while_typing=False,
            reserve_space_for_menu=4,
            key_bindings=self._keys(),
            input=create_input(stdin=sys.__stdin__),
            output=create_output(stdout=sys.__stdout__),
        )

    def _keys(self) -> "KeyBindings":
        from prompt_toolkit.key_binding import KeyBindings

        keys = KeyBindings()

        @keys.add("escape", "enter")
        def _new_line(event: "KeyPressEvent") -> None:
            event.current_buffer.newline()

        @keys.add("c-c")
        def _interrupt(event: "KeyPressEvent") -> None:
            now = event.app.loop.time() if event.app.loop is not None else 0.0
            if event.current_buffer.text:
                event.current_buffer.reset()
            elif now - self._interrupted_at < TWICE:
                event.app.exit(exception=EOFError)
            else:
                self.show(note("Ctrl-C again leaves"))
            self._interrupted_at = now

        return keys


def _completer(names: Callable[[], tuple[Sequence[str], Sequence[str]]]) -> Any:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class Words(Completer):
        """What the table of commands offers."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Any:
            text = document.text_before_cursor
            start = -len(text.split(" ")[-1])
            # A directory is not the end of a path.
            return (
                Completion(word if word.endswith("/") else f"{word} ", start) for word in completions(text, *names())
            )

    return Words()
