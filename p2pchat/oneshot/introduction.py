"""The first start of a peer: three questions to its person, each of which may be left empty; and `p2pchat accept`."""

from __future__ import annotations

import shutil
import textwrap
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..config import AcceptWhom, check_accept, check_handle
from ..core.errors import UserError
from ..core.identity import JoinLink
from ..ui.questions import Unanswered, ask
from .joining import default_handle, find_server, join_server, parse_link
from .output import print_line, state_of

if TYPE_CHECKING:
    from ..peer.offline import FoundServer

AnswerT = TypeVar("AnswerT")

NONE = "none"
"""The answer of somebody who has no join link."""

WELCOME = (
    (
        "p2pchat: private chat between machines that people run themselves. What you say goes straight from this "
        "machine to the other one, encrypted, and through no server."
    ),
    "This peer is new. Three questions; Enter alone takes what stands in brackets.",
    (
        "A server shows peers to each other; who runs it gives you a join link. Without one you reach people by "
        "address, and can join later: p2pchat join LINK"
    ),
)

ABOUT_NAMES = ("Others see you under a name of a-z 0-9 . _ -",)

ABOUT_REQUESTS = ("Who may chat: ask (you decide), contacts (those you keep), all (anybody)",)

GOODBYE = (
    "Your key is you: keep a copy of it (p2pchat identity export FILE).",
    "Next: /list shows who is online, /connect NAME begins a chat, /help the rest.",
)

WIDEST = 90
"""Columns: longer rows are hard to read."""


def introduce(state: Path) -> None:
    """Ask for a link, a name, and who may chat; then remember all of that. Nothing is made before the last answer."""
    from ..peer.offline import set_accept, set_handle

    tell(WELCOME)
    server = _answered("Join link or address of a server", NONE, _server)
    tell(ABOUT_NAMES)
    handle = _answered("Your name", default_handle(), _handle)
    tell(ABOUT_REQUESTS)
    whom: AcceptWhom = _answered("Who may chat", "ask", _whom)
    if server is None:
        set_handle(state, handle)
    else:
        join_server(state, *server, handle)
    set_accept(state, whom)
    tell(GOODBYE)


def accept(options: Namespace) -> None:
    """Say, or change, what happens to requests."""
    from ..peer.offline import set_accept, standing

    state = state_of(options, "peer")
    after = standing(state) if options.whom is None else set_accept(state, options.whom)
    print_line(after.accept or "ask at a terminal, contacts otherwise")


def tell(paragraphs: Sequence[str]) -> None:
    """Print them, broken between words."""
    width = min(WIDEST, shutil.get_terminal_size().columns - 1)
    for paragraph in paragraphs:
        print_line(textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False))


def _answered(question: str, default: str, read: Callable[[str], AnswerT]) -> AnswerT:
    """What was answered; what is no answer is said, and asked again. Raises Unanswered at the end of the input."""
    while True:
        try:
            return read(ask(question, default))
        except Unanswered:
            raise
        except UserError as error:
            print_line(str(error))


def _server(text: str) -> tuple[JoinLink, FoundServer] | None:
    if text.lower() == NONE:
        return None
    link = parse_link(text)
    return link, find_server(link)


def _handle(text: str) -> str:
    check_handle(text, "")
    return text


def _whom(text: str) -> AcceptWhom:
    return check_accept(text.lower(), "")
