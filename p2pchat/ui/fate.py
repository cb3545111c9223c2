"""
What became of messages, in words: what waits and why, when it arrived, what may be missing, what was deleted.

The replies of the api about it, and the questions before something is deleted.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from p2pchat import api
from p2pchat.core.text import Kind, clean

from .numbers import count_of
from .tables import local_time
from .words import in_doubt, name_of, typable

SHOWN_CHATS = 8
"""With unseen lines that are named."""

SHOWN_TEXT = 60
"""Characters of a waiting message that are shown: enough to know it again."""

OUT_OF_REACH = "what the other side has, backups of this machine, transcripts, exports, what recover kept"


# --- what waits


def queue_lines(queue: api.Queue) -> list[str]:
    """What waits, for each person with the reason."""
    if not queue.total:
        return ["nothing waits"]
    lines = []
    for _, group in groupby(queue.waiting, lambda each: each.person.id):
        waiting = list(group)
        person = waiting[0].person
        lines.append(f"for {name_of(person)}: {why_waiting(person)}")
        lines += [f"  {_waiting(each)}" for each in waiting]
    more = queue.total - len(queue.waiting)
    lines += [f"and {more} more"] if more > 0 else []
    if any(not each.left for each in queue.waiting):
        lines.append("/cancel NAME N takes one back that has not left")
    return lines


def why_waiting(person: api.Person) -> str:
    """Why messages to somebody are not delivered yet, and what would deliver them."""
    name = typable(person)
    if person.standing == "blocked":
        return f"you blocked them: /unblock {name}"
    match person.chat:
        case "open":
            return "on their way"
        case "lost":
            return "there is no link now; they go out by themselves when it is back"
        case "asked":
            return f"they want to chat and wait for your answer: /accept {name}"
        case "asking" if person.online is False:
            return "away; they go out by themselves when both of you are online"
        case "asking":
            return "not reached yet, or they have not answered yet; they go out by themselves then"
    return f"no chat is open: /connect {name}"


def _waiting(line: api.QueuedLine) -> str:
    text = clean(" ".join(line.text.split()), Kind.LINE)
    shown = text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]} ..."
    return f"#{line.number} {local_time(line.at)}{' (may have left)' if line.left else ''}: {shown}"


def unseen_line(chats: Sequence[api.UnseenChat]) -> str:
    """Who said something that nobody has seen yet."""
    named = [f"{name_of(chat.person)} {chat.count}" for chat in chats[:SHOWN_CHATS]]
    more = [f"{len(chats) - SHOWN_CHATS} others"] if len(chats) > SHOWN_CHATS else []
    first = chats[0].person
    how = "/msg" if first.contact or first.chat != "none" else "/history"
    return f"not seen yet: {', '.join([*named, *more])}; {how} {typable(first)} shows it"


# --- one message


def times(told: api.MessageTimes) -> str:
    """The life of a message, in one line."""
    name = name_of(told.person)
    facts = [f"queued {local_time(told.queued)}"]
    if told.taken_back:
        facts.append("taken back before it left")
    elif told.refused:
        facts.append(f"not delivered: {name} cannot take it ({clean(told.refused, Kind.LINE)})")
    elif told.delivered is None and told.seen is None:
        facts.append(f"not delivered yet: {why_waiting(told.person)}")
    facts += [f"delivered {local_time(told.delivered)}"] if told.delivered is not None else []
    facts += [f"seen {local_time(told.seen)}"] if told.seen is not None else []
    return f"{clean(told.author, Kind.NAME)}#{told.number} to {name}: {', '.join(facts)}"


# --- what may be missing


def doubt_lines(doubts: Iterable[api.DoubtRange]) -> list[str]:
    """What waits for a decision."""
    return [in_doubt(each.person, each.mine, each.first, each.last, each.at, each.here) for each in doubts] or [
        "nothing is in doubt"
    ]


# --- what was deleted


def forgotten(reply: api.Forgotten, typed: str = "") -> list[str]:
    """What was deleted, what stays, what is not gone yet (also what was `typed`, and why), and what is out of reach."""
    deleted = f"{count_of(reply.count)} deleted" if reply.count else "nothing was there to be deleted"
    stays = f"; what waits to be delivered stays until then ({reply.waiting})" if reply.waiting else ""
    traces = [f"not gone yet: {clean(reply.traces, Kind.LINE)}; it is tried again by itself"] if reply.traces else []
    kept = [f"{clean(typed, Kind.LINE)}; say /forget again when that is mended"] if typed else []
    return [f"{deleted}{stays}", *traces, *kept, clean(reply.out_of_reach, Kind.LINE)]


def question(command: api.Forget | api.SetRetention, person: api.Person | None) -> list[str]:
    """What a command would delete, and how it is confirmed."""
    if isinstance(command, api.Forget):
        assert person is not None
        what = f"this deletes all that was said with {name_of(person)}, here and for good"
        sure = f"/forget {typable(person)} yes"
    else:
        where = (
            f"in the chat with {name_of(person)}" if person is not None else "in all chats without a time of their own"
        )
        what = f"this deletes what is older than {count_of(command.days or 0, 'day')}, now and from now on, {where}"
        sure = " ".join(["/retention", *([typable(person)] if person is not None else []), f"{command.days} yes"])
    return [f"{what}; not in reach: {OUT_OF_REACH}", f"if you mean it: {sure}"]


def kept(command: api.SetRetention, person: api.Person | None) -> str:
    """How long is kept what is said, from now on."""
    where = f"with {name_of(person)}" if person is not None else "in all chats without a time of their own"
    return f"what is said {where} is kept {_how_long(command.days)}"


def retention_lines(retention: api.Retention) -> list[str]:
    """What is kept for how long."""
    others = " in the other chats" if retention.chats else ""
    own = [f"what is said with {name_of(chat.person)} is kept {_how_long(chat.days)}" for chat in retention.chats]
    return [*own, f"what is said{others} is kept {_how_long(retention.days)}"]


def _how_long(days: int | None) -> str:
    return "for ever" if days is None else f"for {count_of(days, 'day')}, and then deleted"
