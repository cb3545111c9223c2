"""
The terminal of a person, as far as it is written to; for the terminal's own thread.

`Drawn` has an input line and a bar that prompt_toolkit draws below what was written; it asks the terminal nothing:
where the cursor is, it would ask after every line that comes, and wait for the answer over a slow network. `Spoken`
is written forward only, without a control sequence; prompt_toolkit reads the keys and draws nowhere.
"""

import contextlib
import os
import sys
import termios
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from .echo import Echo
from .page import Look

if TYPE_CHECKING:
    from prompt_toolkit.output import Output

BELL = "\a"

HELD = 10.0
"""Seconds after the last key for which lines wait until what is being typed is entered."""


def look(plain: bool = False) -> Look:
    """What this terminal can do and its person wants (NO_COLOR: https://no-color.org)."""
    plain = plain or os.environ.get("TERM", "") in ("", "dumb", "unknown")
    return Look(colours=not (plain or os.environ.get("NO_COLOR")), plain=plain)


def is_gone() -> bool:
    """Whether nobody is at the other end of this terminal any more; what is written or read fails then."""
    try:
        termios.tcgetattr(0)
    except termios.error:
        return True
    return False


def drop_typed(descriptor: int = 0) -> None:
    """Drop what was typed at this terminal and not read: it was for a chat, and the shell would run it."""
    with contextlib.suppress(termios.error):  # no terminal
        termios.tcflush(descriptor, termios.TCIFLUSH)


class Surface(Protocol):
    """What is written to."""

    output: "Output"
    """Where prompt_toolkit draws."""

    def write(self, rows: Iterable[str]) -> None:
        """Write rows where the cursor is, at the left edge; what prompt_toolkit drew was put away."""

    def control(self, sequence: str) -> None:
        """Write a control sequence that moves nothing and shows nothing."""

    def clear(self) -> None:
        """Begin again at the top of an empty screen."""

    def typed(self, prompt: str, text: str) -> None:
        """The input holds `text`."""

    def entered(self) -> None:
        """The input was entered or given up."""

    def patience(self) -> float:
        """Seconds for which lines should wait, as things are."""


class Drawn:
    """A terminal that prompt_toolkit draws on."""

    def __init__(self) -> None:
        self.output = _inline()

    def write(self, rows: Iterable[str]) -> None:
        """As `Surface.write`."""
        self.output.enable_autowrap()
        self.output.write_raw("".join(f"{row}\r\n" for row in rows))
        self.output.flush()

    def control(self, sequence: str) -> None:
        """As `Surface.control`."""
        self.output.write_raw(sequence)
        self.output.flush()

    def clear(self) -> None:
        """As `Surface.clear`; what the terminal keeps of earlier rows stays."""
        self.output.erase_screen()
        self.output.cursor_goto(0, 0)
        self.output.flush()

    def typed(self, prompt: str, text: str) -> None:
        """It is drawn."""

    def entered(self) -> None:
        """It is drawn."""

    def patience(self) -> float:
        """Lines stand above the input and disturb nobody."""
        return 0.0


class Spoken:
    """A terminal that is written forward."""

    def __init__(self) -> None:
        from prompt_toolkit.output import DummyOutput

        self.output: Output = DummyOutput()
        self._sized = _inline()
        self.output.get_size = self._sized.get_size  # type: ignore[method-assign]
        self._echo = Echo()
        self._typed_at = 0.0

    def write(self, rows: Iterable[str]) -> None:
        """As `Surface.write`."""
        self._write(self._echo.leave() + "".join(f"{row}\n" for row in rows))

    def control(self, sequence: str) -> None:
        """As `Surface.control`; nothing but a bell."""
        if BELL in sequence:
            self._write(BELL)

    def clear(self) -> None:
        """Nothing is drawn."""

    def typed(self, prompt: str, text: str) -> None:
        """Repeat it."""
        self._typed_at = time.monotonic()
        self._write(self._echo.show(prompt, text))

    def entered(self) -> None:
        """As `Surface.entered`."""
        self._write(self._echo.leave())

    def patience(self) -> float:
        """Whoever listens while typing would lose both."""
        return 0.0 if self._echo.is_empty else max(0.0, self._typed_at + HELD - time.monotonic())

    @staticmethod
    def _write(text: str) -> None:
        view = memoryview(text.encode("utf-8", "replace"))
        while view:
            view = view[os.write(1, view) :]


def _inline() -> "Output":
    from prompt_toolkit.output.vt100 import Vt100_Output

    class Inline(Vt100_Output):
        """Draws where the cursor is, with as many rows as are needed."""

        @property
        def responds_to_cpr(self) -> bool:
            return False

        def get_rows_below_cursor_position(self) -> int:
            return 1  # there always is the cursor's own, and more are made by scrolling

    assert sys.__stdout__ is not None  # twistd put its log in the place of sys.stdout
    sized = Vt100_Output.from_pty(sys.__stdout__, term=os.environ.get("TERM"))
    return Inline(sys.__stdout__, sized.get_size, term=os.environ.get("TERM"))
