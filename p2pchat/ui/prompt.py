"""
The terminal: prompt_toolkit in a thread of its own, inline, with a status bar below the input.

The reactor's thread hands over lines and is handed what was typed; nothing else is shared. What comes is written
above the input line, which is put away for that and drawn again, so it never splits what is being typed, and the
scroll-back stays the terminal's own. A UI that crashes is logged, leaves the terminal as it was, and ends the
program in order; `crashed` is the last line then.

Not prompt_toolkit's StdoutProxy, which corrupts the prompt from another thread; not its event loop in the reactor,
which takes the reactor's children; not sys.stdout, which twistd replaced by its log.
"""

import asyncio
import contextlib
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorCore, IReactorThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api

from .appending import IAppendReactor
from .drawing import Line, Origin, note, told
from .keys import Wishes
from .overview import Part, changed_facts, fit
from .page import Page
from .screen import Person
from .session import Names, make_session
from .surface import Drawn, Spoken, Surface, is_gone, look
from .writing import Addressee, Writing

if TYPE_CHECKING:
    from prompt_toolkit.application import Application

WAITING_LINES = 50_000
WAITING_CHARACTERS = 8 * 1024 * 1024
"""Lines that wait for a stalled terminal, and characters in them, at most; then lines are left out, which is said."""

AT_ONCE = 150
CHARACTERS_AT_ONCE = 32_768
"""Lines, and characters in them, written before the input line is drawn again: some milliseconds of work."""

BETWEEN_PRINTS, BETWEEN_BATCHES = 0.1, 0.03
"""Seconds of which keys have all: the input line is put away no more often, nor where more wait than go at once."""

BETWEEN_BARS = 0.1
"""Seconds from the first change to the bar that shows it: a stream of events is one change."""

BETWEEN_FACTS = 1.0
"""The same where a change is said in lines."""

BETWEEN_SIZES = 0.5
"""Seconds between two looks at the size of the terminal."""

GLANCE = 0.2
"""Seconds between two looks whether lines that wait may be written now."""

ANSWER_WAIT = 2.0
"""Seconds that the next prompt waits for what the last line did to it."""

CLOSE_WAIT = 3.0
"""Seconds for which the end of the program waits for the terminal."""

HUNG_UP = 128 + signal.SIGHUP
"""The exit code of who is left by their terminal, as the shell has it."""


class IFrontReactor(IAppendReactor, IReactorCore, IReactorThreads):
    """What front ends ask of the reactor."""


class Prompt(Service):
    """A `Screen` (ui/screen.py) that a person looks at."""

    _log = Logger()

    def __init__(
        self,
        reactor: IFrontReactor,
        leave: Callable[[int, str], None],
        crashed: str,
        wall: Callable[[], float],
        state: Path,
        plain: bool = False,
    ) -> None:
        self._reactor = reactor
        self._leave = leave
        self._crashed_words = crashed
        self._state = state
        self.console: Person | None = None
        """Set before the service starts."""
        self._lines: deque[tuple[Line, api.Event | None]] = deque()
        self._waiting_characters = 0
        self._left_out = 0
        self._lock = threading.Lock()
        self._current = Addressee()
        """Both of its parts at once, since two threads look at it."""
        self._names = Names()
        self._bar: tuple[Part, ...] = ()
        self._bar_due: IDelayedCall | None = None
        self._facts: Mapping[str, str] = {}
        self._sequence = ""
        """What `ring` was given last, until the terminal has it."""
        self._clearing = False
        self._kicked = False
        self._print_at = 0.0
        self.has_begun = False
        self._closing = False
        self._ended = Deferred[None]()
        self._page = Page(look(plain), wall)
        self._surface: Surface | None = None
        self._app: Application[str] | None = None
        self._writing: Writing | None = None
        self._thread = threading.Thread(target=self._main, name="terminal", daemon=True)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is drawn: then there is no bar."""
        return self._page.look.plain

    # --- in the reactor's thread

    def startService(self) -> None:
        """Take the terminal; nothing is shown before `begin`, so that a failed start leaves no trace on it."""
        super().startService()
        self._surface = Spoken() if self.is_plain else Drawn()
        wishes = Wishes(lambda text: self.show(told(text)), self._go_to, self._go_by)
        bar = None if self.is_plain else self._bar_row
        session = make_session(self._surface, wishes, lambda: self._names, bar)
        self._app, self._writing = session.app, Writing(session, self._surface, self._state)

    def begin(self) -> None:
        """Show what waits, and the prompt."""
        self.has_begun = True
        self._thread.start()

    def stopService(self) -> "Deferred[None] | None":
        """Put the input line away and give the terminal back; fires then, or after a few seconds."""
        super().stopService()
        if self._bar_due is not None:
            self._bar_due.cancel()
            self._bar_due = None
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
            left_out = len(self._lines) >= WAITING_LINES or self._waiting_characters >= WAITING_CHARACTERS
            if left_out:
                self._left_out += 1
            else:
                self._tell_left_out()
                self._lines.append((line, token))
                self._waiting_characters += len(line.text)
        if left_out and token is not None and self.console is not None:
            self.console.missed([token])
        if not self._kicked:  # else it looks again when it has printed
            self._in_terminal(self._kick)

    def _tell_left_out(self) -> None:
        """Say so where those lines would stand, before what comes behind them."""
        if self._left_out:
            words, self._left_out = f"{self._left_out} lines were left out here: the terminal took none", 0
            self._lines.append((note(words), None))
            self._waiting_characters += len(words)

    def prompt_changed(self) -> None:
        """Draw the prompt again if it is another one, and the bar soon."""
        if self.console is None:
            return
        conversation = self.console.conversation
        current = Addressee(conversation.prompt, conversation.current_id)
        if current != self._current:
            self._current = current
            if self._writing is not None:
                self._writing.wanted = current
                self._in_terminal(self._writing.name_wanted)
        if self._bar_due is None and self.running:
            self._bar_due = self._reactor.callLater(BETWEEN_FACTS if self.is_plain else BETWEEN_BARS, self._renew_bar)

    def _renew_bar(self) -> None:
        self._bar_due = None
        if self.console is None:
            return
        conversation = self.console.conversation
        self._names = Names(conversation.people, conversation.pending, conversation.ids)
        if self.is_plain:
            facts = self.console.overview.facts(conversation.current)
            for text in changed_facts(self._facts, facts):
                self.show(note(text))
            self._facts = facts
            return
        bar = self.console.overview.bar(conversation.current)
        if bar != self._bar:
            self._bar = bar
            if self._writing is not None:
                self._in_terminal(self._writing.redraw)

    def keep(self, text: str) -> None:
        """Put a refused line back into the input, behind the command that makes it possible to send it."""
        if self._writing is not None:
            self._writing.keep(text)
            self.show(note("what you wrote comes back behind your next command; Enter sends it then"))

    def ring(self, sequence: str) -> None:
        """Give the terminal a control sequence that moves nothing on the screen, such as its bell."""
        self._sequence = sequence
        self._in_terminal(self._ring)

    def clear(self) -> bool:
        """Clear what is drawn, not the scroll-back; the input stays. False where nothing is drawn."""
        self._clearing = not self.is_plain
        self._in_terminal(self._clear)
        return not self.is_plain

    def forget(self, person: str) -> str:
        """What was typed in the chat with the id `person` cannot be called back at any terminal; else why it can."""
        return "" if self._writing is None else self._writing.forget(person)

    def _in_terminal(self, function: Callable[[], None]) -> None:
        """Call something in the terminal's thread; not at all while there is no prompt to call it in."""
        loop = self._app.loop if self._app is not None else None
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
            # Raw also between two prompts: the terminal's driver would echo what is typed in that moment.
            with self._app.input.raw_mode() if self._app is not None else contextlib.nullcontext():
                while not self._closing and self._ask():
                    pass
            self._write(self._take(everything=True))
        except BaseException:
            crash = Failure()
        self._reactor.callFromThread(self._ended.callback, None)
        if is_gone():
            self._reactor.callFromThread(self._leave, HUNG_UP, "")
        elif crash is not None:
            self._reactor.callFromThread(self._crashed, crash)
        elif not self._closing:
            self._reactor.callFromThread(self._leave, 0, "")

    def _ask(self) -> bool:
        """One line; false if the person leaves."""
        assert self._writing is not None
        try:
            self._clear()
            self._write(self._take())
            line = self._writing.ask(self._begin)
        except EOFError:
            return False
        except KeyboardInterrupt:
            return True
        shown = self._writing.shown
        command = line.lstrip().startswith("/")
        self._writing.entered(command)
        if command and not self.is_plain:  # a message comes back with its number
            self._write([(Line(Origin.MINE, line, shown.prompt, timed=False), None)])
        dealt_with = threading.Event()
        self._reactor.callFromThread(self._typed, line, shown.chat, dealt_with)
        dealt_with.wait(ANSWER_WAIT)
        return True

    def _typed(self, line: str, chat: str | None, dealt_with: threading.Event) -> None:
        """In the reactor's thread again."""
        if self.console is not None:
            self.console.typed_at_prompt(line, chat).addBoth(lambda _: dealt_with.set())

    def _begin(self) -> None:
        loop = self._app.loop if self._app is not None else None
        if loop is not None:
            # prompt_toolkit's own handler would show the traceback and wait for Enter.
            loop.set_exception_handler(self._failed_in_loop)
        if self._app is not None:
            self._app.create_background_task(self._watch_size())
        self._ring()
        # A line that was entered while others were about to be printed cancels that.
        self._kicked = False
        self._kick()
        if self._closing:
            self._in_terminal(self._exit)

    async def _watch_size(self) -> None:
        """
        Draw anew on another size.

        No signal tells it in this thread. prompt_toolkit looks too, but misses a change in the first half second of
        each line.
        """
        assert self._app is not None and self._surface is not None
        size = self._surface.output.get_size()
        while True:
            await asyncio.sleep(BETWEEN_SIZES)
            before, size = size, self._surface.output.get_size()
            if size != before:
                self._app.renderer.erase()
                self._app._redraw()

    def _exit(self) -> None:
        if self._app is not None and self._app.is_running:
            self._app.exit(exception=EOFError)

    def _failed_in_loop(self, loop: object, context: dict[str, Any]) -> None:
        """A key, a redraw or the printing failed: leave the prompt with that, so that `_main` sees it."""
        if self._app is not None and self._app.is_running:
            self._app.exit(exception=context.get("exception") or RuntimeError(str(context.get("message"))))

    def _go_to(self, place: int) -> None:
        if self.console is not None and self._writing is not None:
            self._writing.switch()
            self._reactor.callFromThread(self.console.go_to, place)

    def _go_by(self, step: int) -> None:
        if self.console is not None and self._writing is not None:
            self._writing.switch()
            self._reactor.callFromThread(self.console.go_by, step)

    def _bar_row(self, width: int) -> str:
        return fit(self._bar, width)

    # --- printing

    def _ring(self) -> None:
        sequence, self._sequence = self._sequence, ""
        if sequence and self._surface is not None:
            self._surface.control(sequence)

    def _clear(self) -> None:
        if self._clearing and self._app is not None and self._surface is not None:
            self._clearing = False
            self._app.renderer.erase()
            self._surface.clear()
            if self._app.is_running:
                self._app._redraw()

    def _kick(self) -> None:
        app = self._app
        if app is not None and app.loop is not None and app.is_running and not self._kicked and self._lines:
            self._kicked = True
            app.create_background_task(self._print(self._print_at - app.loop.time()))

    async def _print(self, pause: float) -> None:
        assert self._app is not None and self._surface is not None
        while (pause := max(pause, self._surface.patience())) > 0:
            await asyncio.sleep(min(pause, GLANCE))
            pause = 0.0
        # Not in_terminal(), which gives the keys back to the terminal's driver meanwhile: it would echo them, and
        # keep them until Enter.
        self._app.renderer.erase()
        self._write(self._take())
        self._app._redraw()  # at once, as in_terminal() does: a moment without an input line would flicker
        self._print_at = asyncio.get_running_loop().time() + (BETWEEN_BATCHES if self._lines else BETWEEN_PRINTS)
        self._kicked = False
        self._kick()

    def _take(self, everything: bool = False) -> list[tuple[Line, api.Event | None]]:
        taken: list[tuple[Line, api.Event | None]] = []
        with self._lock:
            self._tell_left_out()
            least = self._waiting_characters - CHARACTERS_AT_ONCE
            while self._lines and (everything or (len(taken) < AT_ONCE and self._waiting_characters > least)):
                taken.append(self._lines.popleft())
                self._waiting_characters -= len(taken[-1][0].text)
        return taken

    def _write(self, lines: list[tuple[Line, api.Event | None]]) -> None:
        if not lines or self._surface is None:
            return
        width = self._surface.output.get_size().columns
        self._surface.write(row for line, _ in lines for row in self._page.draw(line, width))
        tokens = [token for _, token in lines if token is not None]
        if tokens and self.console is not None:
            self._reactor.callFromThread(self.console.displayed, tokens)
