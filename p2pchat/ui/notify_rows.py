"""Rows of the table of commands: when and how to be told of what one does not look at."""

from p2pchat import api
from p2pchat.core.errors import UsageError

from .actions import Action
from .arguments import Row, parse_scope, words_in


def _dnd(rest: str, current: str | None) -> Action:
    match words_in(rest, 1):
        case []:
            return api.ShowNotifications()
        case ["on" | "off" as word]:
            return api.SetNotifications(dnd=word == "on")
        case [word] if (scope := parse_scope(word)) is not None and scope[1] is not None:
            return api.SetNotifications(dnd=True, seconds=scope[1])
    raise UsageError("say on, off, or for how long: 30m, 2h, 1d")


def _notify(rest: str, current: str | None) -> Action:
    match words_in(rest, 2):
        case []:
            return api.ShowNotifications()
        case ["dnd", word]:
            return _dnd(word, current)
        case ["quiet", word]:
            return api.SetNotifications(quiet="" if word == "off" else word)
        case ["terminal", word]:
            return api.SetNotifications(terminal=word.lower())
        case ["desktop" | "text" as setting, "on" | "off" as word]:
            on = word == "on"
            return api.SetNotifications(desktop=on) if setting == "desktop" else api.SetNotifications(text=on)
        case ["hook", word]:
            return api.SetNotifications(hook="" if word == "off" else word)
        case [*name, "all" | "none" as word] if name or current is not None:
            who = name[0].removeprefix("@") if name else current
            return api.SetNotifications(who=who or "", told=word == "all")
    raise UsageError("that is not understood")


NOTIFY_ROWS: tuple[Row, ...] = (
    Row(
        "dnd",
        "[on | off | 2h]",
        "do not disturb: tell nothing until off, or for a time",
        _dnd,
        completes=("setting",),
        settings=("on", "off", "2h"),
        topic="notifications",
        example="/dnd 2h",
        common=True,
    ),
    Row(
        "notify",
        "[[NAME] all|none | quiet HOURS|off | terminal HOW | desktop on|off | text on|off | hook PROGRAM|off]",
        "whom you are told of, when, and how; alone: what is set",
        _notify,
        completes=("setting", "words"),
        settings=("all", "none", "desktop", "dnd", "hook", "quiet", "terminal", "text"),
        topic="notifications",
        example="/notify quiet 22:00-7:00",
    ),
)
