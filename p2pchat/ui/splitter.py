"""Bytes of an input into messages."""

from collections.abc import Iterator

from p2pchat.core.text import CUT, decode_utf8, split_message

LINE_BYTES = 262_144
"""A line longer than this is cut before its end is known: 64 MiB without a line end must not be held."""


class Splitter:
    """
    Bytes into messages: one for each line, several for one of more than 16 KiB.

    Ends of lines are LF and CR LF. What is no UTF-8 becomes U+FFFD and is counted. Holds at most `LINE_BYTES` and
    what was fed last.
    """

    def __init__(self) -> None:
        self.replaced = 0
        """How many pieces were no UTF-8."""
        self._rest = bytearray()
        self._continues = False

    def feed(self, data: bytes) -> Iterator[str]:
        """The messages that are complete now."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._rest += data[start:end]
            start = end + 1
            yield from self._line()
        self._rest += data[start:]
        if len(self._rest) > LINE_BYTES:
            yield from self._begin_of_long_line()

    def end(self) -> Iterator[str]:
        """The last message, if the input did not end with the end of a line."""
        if self._rest or self._continues:
            yield from self._line()

    def _line(self) -> Iterator[str]:
        if self._rest.endswith(b"\r"):
            del self._rest[-1:]
        yield from split_message(self._take(len(self._rest)))
        self._continues = False

    def _begin_of_long_line(self) -> Iterator[str]:
        *parts, last = split_message(self._take(_whole_characters(self._rest)))
        yield from parts
        self._rest[:0] = last.removeprefix(CUT).encode()
        self._continues = True

    def _take(self, size: int) -> str:
        text, replaced = decode_utf8(bytes(self._rest[:size]))
        self.replaced += replaced
        del self._rest[:size]
        return CUT + text if self._continues else text


def _whole_characters(data: bytearray) -> int:
    """How many bytes from the first on end with a whole character."""
    for size in range(len(data), max(len(data) - 4, 0), -1):
        byte = data[size - 1]
        if byte < 0x80:
            return size
        if byte >= 0xC0:
            width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if len(data) - size + 1 >= width else size - 1
    return len(data)
