"""
A friendly echo: answers every message of everybody who chats with a running peer.

    python docs/examples/echo.py STATE

STATE is the directory of a peer that runs (`p2pchat peer --state STATE --accept all`). Everything goes over that
peer's local socket (docs/local-api.md): this program subscribes to the events and says something back.
"""

import sys
from pathlib import Path

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.net.local_client import LocalClient


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
        for event in listening.events(api.Event):
            match event:
                case api.Said(kind="text", history=False) as said:
                    who = said.person.id
                    # The line was read by a program: say so, as a person's screen would.
                    saying.call(api.Displayed(who=who, entry=said.entry), api.Done)
                    saying.call(api.Say(who=who, text=answer_to(said.text)), api.Accepted)
                case api.Opened(again=False) as opened:
                    greeting = "welcome to p2pchat! I am a small echo peer; say hello"
                    saying.call(api.Say(who=opened.person.id, text=greeting), api.Accepted)


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
