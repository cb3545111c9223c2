"""
What a person may type: one table of commands, and the reader of typed lines.

The table is the only place where a command's name, aliases, arguments, help and completion stand: `parse`, the
completion, the help (ui/help.py) and the manual page all read it. A typed line becomes an action (ui/actions.py)
or UsageError: a line that looks like a mistyped command is never sent to anybody. The rows about chats stand here;
the others in ui/people_rows.py, ui/history_rows.py, ui/notify_rows.py and ui/program_rows.py.
"""

import difflib
import re
from collections.abc import Mapping, Sequence

from p2pchat import api
from p2pchat.core.errors import UsageError

from .actions import AcceptRequest, Action, Paste, RejectRequest, Switch
from .arguments import SCOPES, TOPICS, Row, name_first, nothing, parse_scope, person, words_in
from .history_rows import HISTORY_ROWS
from .instead import INSTEAD
from .notify_rows import NOTIFY_ROWS
from .paths import path_offers
from .people_rows import PEOPLE_ROWS
from .program_rows import PROGRAM_ROWS

# --- arguments


def _connect(rest: str, current: str | None) -> Action:
    who, text = name_first(rest)
    if not who:
        raise UsageError("say who: a name, an id, or ADDRESS[:PORT]")
    return api.Connect(who=who, text=" ".join(text.split()))


def _message(rest: str, current: str | None) -> Action:
    who, text = name_first(rest)
    if not who:
        raise UsageError("say who")
    return api.Say(who=who, text=text) if text.strip() else Switch(who)


def _accept(rest: str, current: str | None) -> Action:
    words = words_in(rest, 2)
    if len(words) == 1 and (consent := parse_scope(words[0])) is not None:
        return AcceptRequest(None, *consent, word=words[0])
    who = words[0].removeprefix("@") if words else None
    if len(words) < 2:
        return AcceptRequest(who)
    consent = parse_scope(words[1])
    if consent is None:
        raise UsageError(f"{words[1]!r} is no consent; say once, always, or for how long: 30m, 2h, 1d")
    return AcceptRequest(who, *consent)


def _reject(rest: str, current: str | None) -> Action:
    words = words_in(rest, 1)
    return RejectRequest(words[0].removeprefix("@") if words else None)


TABLE: tuple[Row, ...] = (
    Row(
        "connect",
        "NAME|ID|ADDRESS[:PORT] [TEXT]",
        "ask somebody to chat, with one line for them",
        _connect,
        ("c",),
        ("person", "words"),
        topic="chats",
        example="/connect bob about the grant",
        common=True,
    ),
    Row(
        "msg",
        "NAME [TEXT]",
        "send a message (or @NAME TEXT); without TEXT: go to that chat",
        _message,
        ("query",),
        ("person", "words"),
        topic="chats",
        example="/msg bob the build is done",
        common=True,
    ),
    Row(
        "accept",
        "[NAME] [once|2h|always]",
        "chat with whoever asks: until /close, a while, for ever",
        _accept,
        completes=("pending", "scope"),
        topic="chats",
        example="/accept carol always",
        common=True,
    ),
    Row(
        "reject",
        "[NAME]",
        "do not chat with whoever asks",
        _reject,
        ("decline",),
        ("pending",),
        topic="chats",
        example="/reject carol",
        common=True,
    ),
    Row(
        "close",
        "[NAME]",
        "end a chat, or stop asking",
        person(lambda who: api.Close(who=who)),
        ("disconnect", "leave"),
        ("person",),
        topic="chats",
        example="/close bob",
        common=True,
    ),
    *PEOPLE_ROWS,
    *HISTORY_ROWS,
    *NOTIFY_ROWS,
    Row(
        "paste",
        "",
        "write or paste lines as one message; a line with only a dot sends it",
        nothing(Paste()),
        topic="chats",
        example="/paste",
    ),
    *PROGRAM_ROWS,
)

_ROWS: Mapping[str, Row] = {name: row for row in TABLE for name in (row.name, *row.aliases)}

# --- typed lines

_SLIP = re.compile(r"\s*(?:[\\|7.:;&?\uff0f-]/?|/\s+)([a-z]+)\b.*", re.IGNORECASE | re.DOTALL)
"""A command behind a neighbour of the slash (7 where it is Shift-7), or behind a slash and a space."""

_BARE = {"quit", "exit"}
"""Typed by everybody who wants to leave whatever program it is."""


def parse(line: str, current: str | None) -> Action | None:
    """
    Read a typed line; `current` is whom the current chat is with (anything that the api takes as `who`).

    Gives None for a blank line. Raises UsageError where nothing may be done; NoChat where the line is a message
    and no chat is the current one.
    """
    line = line.rstrip("\r\n")
    if not line.strip():
        return None
    if line.startswith("//"):
        return _say(line[1:], current)
    if line.lstrip().startswith("/"):
        return _command(line.lstrip()[1:], current)
    if line.startswith("@"):
        return _message(line, current)
    _refuse_slip(line)
    return _say(line, current)


class NoChat(UsageError):
    """A message was typed and no chat is the current one; it was sent to nobody."""


def _say(text: str, current: str | None) -> Action:
    if current is None:
        raise NoChat("no chat is the current one, nothing was sent: /connect NAME, or /msg NAME, and send it again")
    return api.Say(who=current, text=text)


def _command(rest: str, current: str | None) -> Action:
    found = re.match(r"\S*", rest)
    word = found[0] if found else ""
    row = _ROWS.get(word.lower())
    if row is None:
        slip = _SLIP.fullmatch(f"/{rest}")
        literally = "" if word.lower() in INSTEAD else "; // at the start sends a slash"
        raise UsageError(f"{_no_command(word, slip[1] if slip else word)}{literally}")
    try:
        return row.make(rest[len(word) :], current)
    except UsageError as error:
        raise UsageError(f"{error}; write {row.usage}") from None


class Slip(UsageError):
    """A command without its slash: nobody wants to have it back."""


def _refuse_slip(line: str) -> None:
    slip = _SLIP.fullmatch(line)
    word = slip[1].lower() if slip else line.strip().lower()
    if word in (_ROWS if slip and len(word) > 1 else _BARE):
        literally = " ".join(line.split())[:40]
        raise Slip(f"did you mean /{word}? nothing was sent; to send it as it is: /msg NAME {literally}")


def _no_command(word: str, like: str) -> str:
    if word.lower() in INSTEAD:
        return f"there is no command /{word.lower()}; instead: {INSTEAD[word.lower()]}"
    near = nearest(like)
    what = f"there is no command /{word[:40]}" if word else "a command's name follows the slash at once"
    return f"{what}; did you mean /{near}?" if near else f"{what}; /help lists them"


def nearest(word: str) -> str | None:
    """The command that somebody most likely meant; None if nothing is near."""
    word = word.lower()
    if not word:
        return None
    begun = [row.name for row in TABLE if row.name.startswith(word)]
    close = difflib.get_close_matches(word, list(_ROWS), 1, 0.6)
    found = begun[0] if begun else close[0] if close else None
    return found and _ROWS[found].name if found in _ROWS else None


def find(word: str) -> Row:
    """The command of that name or alias. Raises UsageError, with the nearest one, if there is none."""
    row = _ROWS.get(word.lower())
    if row is None:
        raise UsageError(_no_command(word, word))
    return row


# --- completion


def completions(text: str, people: Sequence[str], pending: Sequence[str]) -> list[str]:
    """
    What the last word of `text` may become, whole words.

    `people` are the names that can be written to, `pending` those who wait for an answer.
    """
    words = text.split(" ")
    last = words[-1]
    if len(words) == 1:
        if last.startswith("@"):
            return [f"@{name}" for name in people if name.startswith(last[1:])]
        return [f"/{row.name}" for row in TABLE if last.startswith("/") and row.name.startswith(last[1:])]
    row = _ROWS.get(words[0].removeprefix("/").lower()) if words[0].startswith("/") else None
    if row is None or len(words) - 2 >= len(row.completes):
        return []
    offers: Mapping[str, Sequence[str]] = {
        "person": people,
        "pending": pending,
        "scope": SCOPES,
        "setting": (*row.settings, *people) if row.name == "notify" else row.settings,
        "command": ["all", *TOPICS, *(row.name for row in TABLE)],
        "words": (),
    }
    argument = row.completes[len(words) - 2]
    found = [offer for offer in offers.get(argument, ()) if offer.startswith(last)]
    # Who is named may be left out where a file is meant.
    return found or (path_offers(last) if "file" in row.completes else [])
