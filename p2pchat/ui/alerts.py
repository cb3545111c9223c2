"""
How a person is told at a terminal of what they do not look at: by its bell, or by a text that it shows itself.

Which control sequence a terminal has cannot be asked of it; its name in TERM or TERM_PROGRAM says it, and where it
says nothing there is the bell, which every terminal has and tmux and screen pass on. A text goes in cleaned, so that
it holds no control character that could end the sequence.
"""

import time
from collections.abc import Mapping

from p2pchat import api
from p2pchat.core.text import Kind, clean

from .words import name_of, short_id

OTHERS_SEE = "other users of this machine see a text while it runs (/notify text off)"

BELL = "\a"
ESCAPE_OSC, STRING_END = "\x1b]", "\x1b\\"

SHOWN_CHARACTERS = 200
"""Of a text: it is a hint, and no page to read."""

TERMINALS: Mapping[str, str] = {
    "iTerm.app": "osc9",
    "WezTerm": "osc9",
    "wezterm": "osc9",
    "xterm-kitty": "osc9",
    "ghostty": "osc777",
    "xterm-ghostty": "osc777",
    "foot": "osc777",
    "foot-extra": "osc777",
    "contour": "osc777",
    "rxvt-unicode": "osc777",
    "rxvt-unicode-256color": "osc777",
}
"""TERM or TERM_PROGRAM to what that terminal has, as its documentation says."""

SILENT_TERMINALS = frozenset({"", "dumb", "unknown"})
"""Where a bell may be drawn as a character."""


def way(wanted: str, environment: Mapping[str, str]) -> str:
    """How this terminal tells, `bell`, `osc9`, `osc777` or `off`; `wanted` is a word of Notice.terminal."""
    if wanted != "auto":
        return wanted
    term = environment.get("TERM", "")
    if term in SILENT_TERMINALS:
        return "off"
    if "TMUX" in environment or "STY" in environment or term.startswith(("tmux", "screen")):
        return "bell"  # they swallow what they do not know, and mark the window at a bell
    return TERMINALS.get(term) or TERMINALS.get(environment.get("TERM_PROGRAM", "")) or "bell"


def alert(notice: api.Notice, environment: Mapping[str, str]) -> str:
    """The control sequence that tells it; empty if there is none."""
    text = notice_words(notice)
    match way(notice.terminal, environment):
        case "bell":
            return BELL
        case "osc9":
            # Some take a number at the beginning for another command, so it does not begin with a text of theirs.
            return f"{ESCAPE_OSC}9;p2pchat: {text}{STRING_END}"
        case "osc777":
            return f"{ESCAPE_OSC}777;notify;p2pchat;{text.replace(';', ',')}{STRING_END}"
    return ""


def notice_words(notice: api.Notice) -> str:
    """A notice in one line."""
    person = notice.person
    who = name_of(person) if person.contact else f"{name_of(person)} ({short_id(person.id)})"
    text = clean(notice.text, Kind.LINE)
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[: SHOWN_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    if notice.what == "asked":
        return f"{who} asks to chat{f': {text}' if text else ''}"
    if notice.count > 1:
        return f"{who}: {notice.count} messages"
    return f"{who}: {text}" if text else f"{who}: 1 message"


def notification_lines(set_so: api.Notifications, asked: object = None) -> list[str]:
    """What is set, for a person; after a change that alone which was changed."""
    until = "" if set_so.until is None else time.strftime(" until %Y-%m-%d %H:%M", time.localtime(set_so.until / 1000))
    lines = {
        "dnd": f"do not disturb: on{until}" if set_so.dnd else "do not disturb: off",
        "quiet": f"quiet hours: {clean(set_so.quiet, Kind.LINE) or 'none'}",
        "told": f"nothing is told of: {', '.join(map(name_of, set_so.muted)) or 'nobody'}",
        "terminal": f"terminals: {clean(set_so.terminal, Kind.NAME)}",
        "desktop": f"desktop (notify-send): {_on(set_so.desktop)}",
        "text": f"texts in notices: {_on(set_so.text)}",
        "hook": f"hook: {clean(set_so.hook, Kind.LINE) or 'none'}",
    }
    if set_so.desktop and set_so.text:
        lines["desktop"] += f"; {OTHERS_SEE}"
    if isinstance(asked, api.SetNotifications):
        return [line for field, line in lines.items() if getattr(asked, field) is not None]
    return list(lines.values())


def _on(value: bool) -> str:
    return "on" if value else "off"
