"""
The help, in layers: the dozen commands that people use most, the commands of a topic, one command, all of them.

Everything stands in the table of commands (ui/commands.py); here it is laid out.
"""

from collections.abc import Iterable, Sequence

from p2pchat.core.errors import UsageError

from .arguments import TOPICS, Row
from .commands import TABLE, find
from .instead import INSTEAD

EVERYTHING = "all"
"""The topic that holds all others."""

WIDEST = 28
"""Columns in which a command's arguments stand under each other; longer ones push their help to the right."""

WRITING = "anything else is sent to the current chat; @NAME TEXT to another; // sends a slash"


def help_lines(topic: str = "") -> list[str]:
    """What `/help TOPIC` says. Raises UsageError if that is neither a topic nor a command."""
    if not topic:
        common = [row for row in TABLE if row.common]
        more = f"more: /help {', '.join(TOPICS)}, {EVERYTHING}, or a command, such as /help accept"
        return [*_by_topic(common), WRITING, more]
    if topic == EVERYTHING:
        return [*_by_topic(TABLE), WRITING]
    for name, words in TOPICS.items():
        if topic == name:
            rows = [row for row in TABLE if row.topic == name]
            return [
                f"{name}: {words}",
                *_table(rows, _width(rows)),
                "with an example: /help COMMAND",
            ]
    try:
        return command_lines(find(topic))
    except UsageError as error:
        if topic in INSTEAD:
            raise
        raise UsageError(f"{error}; topics are {', '.join(TOPICS)}, {EVERYTHING}") from None


def command_lines(row: Row) -> list[str]:
    """One command whole."""
    also = f" (also {', '.join(f'/{alias}' for alias in row.aliases)})" if row.aliases else ""
    return [f"{row.usage}{also}", f"  {row.help}", f"  such as: {row.example}"]


def _by_topic(rows: Sequence[Row]) -> list[str]:
    width = _width(rows)
    lines: list[str] = []
    for topic in TOPICS:
        if own := [row for row in rows if row.topic == topic]:
            lines += [f"{topic}:", *_table(own, width)]
    return lines


def _table(rows: Iterable[Row], width: int) -> list[str]:
    return [f"  {row.usage:<{width}}  {row.help}" for row in rows]


def _width(rows: Iterable[Row]) -> int:
    return max((width for row in rows if (width := len(row.usage)) <= WIDEST), default=WIDEST)
