"""
A build notifier: tells somebody of the lines of its input that matter.

    tail -F build.log | python docs/examples/notifier.py STATE WHO PATTERN

STATE is the directory of a peer that runs, WHO one of its contacts, PATTERN a regular expression. Of many lines that
come at once the first few are sent, and how many more there were: a build that fails a thousand times is one piece of
news. What was sent is on the peer's disk, and arrives when the two peers meet.
"""

import os
import re
import sys
from pathlib import Path

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.core.text import split_message
from p2pchat.net.local_client import LocalClient

MOST_LINES = 5
"""Sent of those that come at once."""

CHUNK = 65_536
"""Bytes that are read at once."""


class Matching:
    """Collects bytes and gives the whole lines in them that match."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """What came; nothing at the end of the input, whose last line may lack its end."""
        *lines, self._rest = (self._rest + data).split(b"\n") if data else (self._rest, b"")
        texts = [line.decode("utf-8", "replace") for line in lines]
        return [text for text in texts if self._pattern.search(text)]


def news(lines: list[str]) -> list[str]:
    """The messages about lines that came at once."""
    more = len(lines) - MOST_LINES
    kept = [part for line in lines[:MOST_LINES] for part in split_message(line)]
    return [*kept, f"(and {more} more)"] if more > 0 else kept


def notify(state: Path, who: str, pattern: re.Pattern[str]) -> None:
    """Until the input ends; raises UserError if the peer does not take a message."""
    matching = Matching(pattern)
    with LocalClient(state, "peer") as peer:
        peer.call(api.Connect(who=who, contact_only=True), api.Started)
        while True:
            data = os.read(sys.stdin.fileno(), CHUNK)
            for text in news(matching.feed(data)):
                peer.call(api.Say(who=who, text=text), api.Accepted)
            if not data:
                return


def main() -> int:
    """Run until the input or the peer ends."""
    if len(sys.argv) != 4:
        print("usage: notifier.py STATE WHO PATTERN", file=sys.stderr)
        return 2
    try:
        notify(Path(sys.argv[1]), sys.argv[2], re.compile(sys.argv[3]))
    except re.error as error:
        print(f"notifier: {sys.argv[3]!r} is no regular expression: {error}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"notifier: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
