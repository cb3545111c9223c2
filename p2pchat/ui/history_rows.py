"""Rows of the table of commands: what was said, what waits, what is in doubt, and forgetting it."""

import re
from pathlib import PurePath

from p2pchat import api
from p2pchat.core.errors import UsageError

from .actions import Action, Export, Jump, More, OwnMessage, Unconfirmed
from .arguments import Row, nothing, person, whom, words_in
from .pages import PAGE

MOST_LINES = 1_000
"""Lines that /history shows at once: more is for a file, and for /export."""

HITS = 10
"""That /search shows at once."""

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
"""Of files to which /export writes JSON lines without being told."""

_NUMBER = re.compile(r"([1-9][0-9]{0,15})")
_MESSAGE = re.compile(r"(?:(\S+)?#)?([1-9][0-9]{0,15})")
_RANGE = re.compile(r"#?([1-9][0-9]{0,15})(?:(?:-|\.\.)#?([1-9][0-9]{0,15}))?")


def _somebody(word: str, current: str | None) -> str:
    """Who is meant by a word; without one it is whom the current chat is with."""
    return word.removeprefix("@") or whom("", current)


def _history(rest: str, current: str | None) -> Action:
    who, count = "", str(PAGE)
    match words_in(rest, 2):
        case [word] if _NUMBER.fullmatch(word):
            count = word
        case [word]:
            who = word
        case [who, count]:
            pass
    if not _NUMBER.fullmatch(count) or int(count) > MOST_LINES:
        raise UsageError(f"say how many lines, 1 to {MOST_LINES} (/export writes all of them)")
    return api.ShowLines(who=_somebody(who, current), count=int(count))


def _search(rest: str, current: str | None) -> Action:
    if not rest.strip():
        raise UsageError("say what to look for")
    return api.Search(words=rest.strip(), count=HITS)


def _jump(rest: str, current: str | None) -> Action:
    words = words_in(rest, 1)
    found = _NUMBER.fullmatch(words[0].strip("[]")) if words else None
    if found is None:
        raise UsageError("say which of the lines that were found")
    return Jump(int(found[1]))


def _export(rest: str, current: str | None) -> Action:
    option = re.search(r"(?:^|\s)--(json|text)(?=\s|$)", rest)
    words = words_in(rest if option is None else rest[: option.start()] + rest[option.end() :], 2)
    if not words:
        raise UsageError("say to which file")
    path = words[-1]
    as_json = PurePath(path).suffix.lower() in JSON_SUFFIXES if option is None else option[1] == "json"
    return Export(_somebody(words[0] if len(words) > 1 else "", current), path, as_json)


def _message(rest: str, current: str | None) -> tuple[str, int, str]:
    """Whom a message of one's own went to, its number, and the author if that was typed too: `alice#13`."""
    words = words_in(rest, 2)
    found = _MESSAGE.fullmatch(words[-1]) if words else None
    if found is None:
        raise UsageError("say which of your messages, such as 13")
    return _somebody(words[0] if len(words) > 1 else "", current), int(found[2]), found[1] or ""


def _seen(rest: str, current: str | None) -> Action:
    who, number, author = _message(rest, current)
    show = api.ShowMessage(who=who, number=number)
    return OwnMessage(show, author) if author else show


def _cancel(rest: str, current: str | None) -> Action:
    who, number, author = _message(rest, current)
    cancel = api.Cancel(who=who, number=number)
    return OwnMessage(cancel, author) if author else cancel


def _resend(rest: str, current: str | None) -> Action:
    words = words_in(rest, 2)
    found = _RANGE.fullmatch(words[-1]) if words else None
    if found is None:
        raise UsageError("say which of your messages, such as 31-40")
    who = _somebody(words[0] if len(words) > 1 else "", current)
    return api.Resend(who=who, first=int(found[1]), last=int(found[2] or found[1]))


def _queue(rest: str, current: str | None) -> Action:
    words = words_in(rest, 1)
    return api.ShowQueue(who=words[0].removeprefix("@") if words else "")


def _forget(rest: str, current: str | None) -> Action:
    words = words_in(rest, 2)
    if not words or words[1:] not in ([], ["yes"]):
        raise UsageError("say whose chat")
    forget = api.Forget(who=words[0].removeprefix("@"))
    return forget if words[1:] else Unconfirmed(forget)


def _retention(rest: str, current: str | None) -> Action:
    words = words_in(rest, 3)
    if not words:
        return api.ShowRetention()
    sure = len(words) > 1 and words[-1] == "yes"
    *name, days = words[:-1] if sure else words
    if len(name) > 1 or not (days == "off" or _NUMBER.fullmatch(days)):
        raise UsageError("say for how many days, or off to keep everything")
    kept = api.SetRetention(days=None if days == "off" else int(days), who=name[0].removeprefix("@") if name else "")
    return kept if sure or kept.days is None else Unconfirmed(kept)


HISTORY_ROWS: tuple[Row, ...] = (
    Row(
        "history",
        "[NAME] [N]",
        f"the last N ({PAGE}) lines of a chat; /more goes further back, /newer forward",
        _history,
        ("scrollback",),
        ("person",),
        topic="history",
        example="/history bob 50",
        common=True,
    ),
    Row(
        "search",
        "WORDS",
        "lines of all chats with all of these words, the newest first; /more goes on",
        _search,
        ("lastlog", "grep"),
        topic="history",
        example="/search build failed",
        common=True,
    ),
    Row(
        "jump",
        "N",
        "the lines around one that /search found",
        _jump,
        topic="history",
        example="/jump 2",
    ),
    Row(
        "more",
        "",
        "what stands before the lines shown last, or the next that were found",
        nothing(More()),
        topic="history",
        example="/more",
    ),
    Row(
        "newer",
        "",
        "the way back from /more, and on from /jump: what came after the lines shown last",
        nothing(More(newer=True)),
        topic="history",
        example="/newer",
    ),
    Row(
        "export",
        "[NAME] FILE [--json|--text]",
        "write all of a chat to a new file; as JSON lines if it is called .jsonl",
        _export,
        completes=("person", "file"),
        topic="history",
        example="/export bob bob.txt",
    ),
    Row(
        "queue",
        "[NAME]",
        "which of your messages wait for whom, and why",
        _queue,
        completes=("person",),
        topic="history",
        example="/queue",
    ),
    Row(
        "cancel",
        "[NAME] N",
        "take back your message N if it has not left yet",
        _cancel,
        ("unsend",),
        ("person",),
        topic="history",
        example="/cancel 13",
    ),
    Row(
        "seen",
        "[NAME] N",
        "when your message N was queued, delivered and seen",
        _seen,
        completes=("person",),
        topic="history",
        example="/seen 13",
    ),
    Row(
        "doubts",
        "",
        "what may be missing since somebody's history was lost",
        nothing(api.ShowDoubts()),
        topic="history",
        example="/doubts",
    ),
    Row(
        "resend",
        "[NAME] N[-M]",
        "after a doubt: send these of your messages again; what is there already is not shown twice",
        _resend,
        completes=("person",),
        topic="history",
        example="/resend 31-40",
    ),
    Row(
        "fetch",
        "[NAME]",
        "ask somebody for the older messages that are missing here",
        person(lambda who: api.FetchHistory(who=who)),
        (),
        ("person",),
        topic="history",
        example="/fetch bob",
    ),
    Row(
        "leave-it",
        "[NAME]",
        "after a doubt: leave what is missing, and mention it no more",
        person(lambda who: api.LeaveIt(who=who)),
        (),
        ("person",),
        topic="history",
        example="/leave-it bob",
    ),
    Row(
        "forget",
        "NAME [yes]",
        "delete what was said with somebody, here; asks first",
        _forget,
        completes=("person",),
        topic="history",
        example="/forget bob",
    ),
    Row(
        "retention",
        "[[NAME] DAYS|off [yes]]",
        "what is kept for how long; or delete what is older than so many days, in all chats or in one",
        _retention,
        completes=("person",),
        topic="history",
        example="/retention 90",
    ),
)
