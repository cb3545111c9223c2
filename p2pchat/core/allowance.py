"""
How much may wait for delivery, for one reader and for all of them: the bound of what a person or a program can pile up.

Nothing that waits is ever dropped to make room. What would go beyond the bound is refused before it is written, and
whoever said it is told (F26).
"""

from dataclasses import dataclass

from .errors import OutboxFull


@dataclass(frozen=True, slots=True)
class Limits:
    """Of messages, and of bytes of their entries."""

    messages: int
    bytes: int


EACH = Limits(250_000, 256 * 2**20)
"""For one reader: a week of a busy log while they are away, and a tenth of a small disk."""

ALL = Limits(1_000_000, 2**30)
"""For all readers together."""


@dataclass(slots=True)
class Allowance:
    """What waits for all readers, as far as their chats are in use; a closed one counts again once it is used."""

    each: Limits = EACH
    all: Limits = ALL
    messages: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Waiting:
    """
    What waits for one reader.

    Messages are counted exactly. Bytes are counted as they are written; what is delivered takes away the mean of what
    waited, so that nobody has to read a size again, and an empty queue is exactly empty.
    """

    allowance: Allowance
    messages: int = 0
    bytes: int = 0

    def check(self, messages: int, size: int, new: int = 1) -> None:
        """
        Raises OutboxFull if so many more messages, of so many bytes together, are too many.

        `new` of them are not accepted yet, and are those that are refused.
        """
        shared = self.allowance
        if self.messages + messages > shared.each.messages or self.bytes + size > shared.each.bytes:
            waiting = f"{self.messages + messages - new} messages wait for them already"
            raise OutboxFull(f"{waiting}; {AFTERWARDS}")
        if shared.messages + messages > shared.all.messages or shared.bytes + size > shared.all.bytes:
            waiting = f"{shared.messages + messages - new} messages wait here already, for all chats together"
            raise OutboxFull(f"{waiting}; {AFTERWARDS}")

    def add(self, messages: int, size: int) -> None:
        """So many more wait."""
        self.become(self.messages + messages, self.bytes + size)

    def remove(self, messages: int) -> None:
        """So many do not wait any more."""
        left = max(0, self.messages - messages)
        self.become(left, self.bytes * left // self.messages if self.messages else 0)

    def become(self, messages: int, size: int) -> None:
        """So many wait, as was counted."""
        shared = self.allowance
        shared.messages += messages - self.messages
        shared.bytes += size - self.bytes
        self.messages, self.bytes = messages, size


AFTERWARDS = "nothing was sent: try again when some are delivered, or take some back (/queue lists them)"
