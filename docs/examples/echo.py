"""
A friendly echo: answers every message of everybody who chats with a running peer.

    python docs/examples/echo.py STATE

STATE is the directory of a peer that runs (`p2pchat peer --state STATE --accept all`). Everything goes over that
peer's local socket (docs/local-api.md): this program subscribes to the events, and reads behind a cursor of its own.
That moves when a message was answered: so what comes while this program does not run is answered too, and a message
twice only if it is killed between the answer and the cursor.
"""

import sys
from pathlib import Path

from p2pchat import api
from p2pchat.core.errors import Reported, UserError
from p2pchat.core.text import Kind, clean, split_message
from p2pchat.net.local_client import LocalClient

CURSOR = "echo"


def answer_to(text: str) -> str:
    """What the echo says to a message."""
    words = text.split()
    if not words:
        return "an empty line; it arrived all the same"
    if words[0].lower().strip("!,.") in ("hi", "hello", "hey"):
        return "hello! I am an echo: whatever you say comes back. Try /verify echo, /status, or /quit to leave"
    return f"you said: {text}"


def answer_all(state: Path) -> None:
    """Answer until the peer ends; raises UserError if there is none."""
    with LocalClient(state, "peer") as listening, LocalClient(state, "peer") as saying:
        listening.subscribe()
        answer_what_came(saying)
        for event in listening.events(api.Event):
            match event:
                case api.Said(history=False) | api.Missed():
                    answer_what_came(saying)
                case api.Opened(again=False) as opened:
                    greet(saying, opened.person)


def greet(peer: LocalClient, person: api.Person) -> None:
    """Welcome whoever is new: after a restart of the peer a chat that goes on is told as opened, too."""
    if not peer.call(api.ShowLines(who=person.id, count=1), api.Lines).lines:
        say(peer, person, "welcome to p2pchat! I am a small echo peer; say hello")


def answer_what_came(peer: LocalClient) -> None:
    """Answer everything behind the cursor, and move it behind each message; its author is told that it was seen."""
    more = True
    while more:
        page = peer.call(api.Receive(cursor=CURSOR), api.Lines)
        for line in page.lines:
            answer(peer, line)
            peer.call(api.MoveCursor(cursor=CURSOR, entry=line.entry), api.Done)
        more = page.more


def answer(peer: LocalClient, line: api.StoredLine) -> None:
    """Say something back."""
    if line.kind == "text":
        say(peer, line.person, answer_to(line.text))


def say(peer: LocalClient, person: api.Person, text: str) -> None:
    """Say it, in parts if it is long, where that is possible: the chat may be over by now."""
    try:
        peer.call(api.SayAll(who=person.id, texts=tuple(split_message(text))), api.AllAccepted)
    except Reported as error:
        print(f"echo: nothing could be said to {clean(person.name, Kind.NAME)}: {error}", file=sys.stderr)


def main() -> int:
    """Run until the peer ends."""
    if len(sys.argv) != 2:
        print("usage: echo.py STATE", file=sys.stderr)
        return 2
    try:
        answer_all(Path(sys.argv[1]))
    except UserError as error:
        print(f"echo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
