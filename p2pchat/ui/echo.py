"""
What is typed, repeated on a terminal that is never drawn anew: for screen readers, braille displays, TERM=dumb.

Pure: told what the input line holds, it gives what to write. The terminal only goes forward, but for a character
that is deleted at the end, which is taken back as every terminal's own driver does it. The prompt, which names the
chat, is written when something is typed and not before: so lines that arrive leave no empty prompts behind.
"""

from p2pchat.core.text import Kind, cell_width, clean

END = "\n"
"""The terminal's driver makes its own of it."""


class Echo:
    """The row that the person is writing."""

    def __init__(self) -> None:
        self._prompt = ""
        self._text: str | None = None
        """What stands behind the prompt; None while nothing stands on the row."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is being typed."""
        return not self._text

    def show(self, prompt: str, text: str) -> str:
        """The input holds `text` now."""
        text = clean(text, Kind.BODY)
        before, self._text = self._text, text
        if before is None:
            self._prompt = prompt
            if not text:
                self._text = None
            return prompt + text if text else ""
        if prompt == self._prompt and text.startswith(before):
            return text[len(before) :]
        removed = before[len(text) :]
        if prompt == self._prompt and before.startswith(text) and "\n" not in removed:
            return "\b \b" * cell_width(removed)
        self._prompt = prompt
        return END + prompt + text

    def leave(self) -> str:
        """Something else is written next, at the left edge; what was typed is shown again with the next key."""
        before, self._text = self._text, None
        return "" if before is None else END
