"""The bounds of the numbers in commands: what every language's JSON holds exactly, and no time that never ends."""

from ..core.errors import UsageError
from .values import Tagged

MOST_NUMBER = (1 << 53) - 1
"""JSON's numbers are exact up to here in every language (RFC 8259, section 6)."""

MOST_SECONDS = 365 * 86_400
"""A year: whoever means longer means without end."""


def check_numbers(command: Tagged) -> None:
    """Raises UsageError if a number in a command is out of its bounds; beyond them neither SQLite nor C has room."""
    for name in command.__struct_fields__:
        number = getattr(command, name)
        most = MOST_SECONDS if name == "seconds" else MOST_NUMBER
        # It is not written into the line: it may have a hundred thousand digits.
        if isinstance(number, int) and not 0 <= number <= most:
            raise UsageError(f"{name} may be 0 to {most}; give a number within that")
