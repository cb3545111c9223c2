"""When and how a person wants to be told: kept among the settings, changed by a command, shown to front ends."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from .. import api
from ..config import parse_path
from ..core.errors import UsageError
from ..core.identity import parse_id
from ..core.notices import TERMINAL_MODES, Preferences, format_hours, parse_hours
from ..core.text import Kind, clean
from ..storage.peer_tables import PeerTables

PREFERENCES_SETTING = "notifications"
"""The setting that holds the preferences, in JSON."""

MOST_MUTED = 10_000
"""People of whom nothing is told: more is a mistake of a program."""

LAST_TIME = 253_402_214_400_000
"""The last day of the year 9999, in ms since 1970: what is later was never meant as a time, and none can be shown."""


def stored(tables: PeerTables) -> Preferences:
    """What the person wants; the defaults where nothing that can be read is stored."""
    data = tables.settings.get(PREFERENCES_SETTING)
    try:
        found = Preferences() if data is None else msgspec.json.decode(data, type=Preferences)
    except msgspec.DecodeError:
        return Preferences()
    if found.dnd_until is not None and found.dnd_until > LAST_TIME:
        return msgspec.structs.replace(found, dnd_until=None)
    return found


def changed(before: Preferences, command: api.SetNotifications, who: str | None, wall: int) -> Preferences:
    """The preferences after a command about the person with the written id `who`; raises UsageError."""
    after = before
    if command.dnd is not None:
        until = wall + 1000 * command.seconds if command.dnd and command.seconds is not None else None
        after = msgspec.structs.replace(after, dnd=command.dnd, dnd_until=until)
    if command.quiet is not None:
        after = msgspec.structs.replace(after, quiet=parse_hours(command.quiet) if command.quiet else None)
    if command.told is not None:
        if who is None:
            raise UsageError("say of whom")
        muted = {*after.muted, who} if not command.told else {*after.muted} - {who}
        if len(muted) > MOST_MUTED:
            raise UsageError(f"more than {MOST_MUTED} people are not told of; /dnd on silences everybody")
        after = msgspec.structs.replace(after, muted=tuple(sorted(muted)))
    if command.terminal is not None:
        if command.terminal not in TERMINAL_MODES:
            raise UsageError(f"{command.terminal[:40]!r} is no way to tell; give {', '.join(TERMINAL_MODES)}")
        after = msgspec.structs.replace(after, terminal=command.terminal)
    if command.desktop is not None:
        after = msgspec.structs.replace(after, desktop=command.desktop)
    if command.text is not None:
        after = msgspec.structs.replace(after, text=command.text)
    if command.hook is not None:
        after = msgspec.structs.replace(after, hook=_checked_hook(command.hook))
    return after


def _checked_hook(typed: str) -> str:
    if not typed:
        return ""
    path = Path(typed).expanduser() if typed.startswith("~") else Path(typed)
    if not path.is_absolute():
        raise UsageError(f"give the hook's whole path, not {clean(typed, Kind.LINE)}")
    path = parse_path(typed, "hook")
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UsageError(f"{clean(str(path), Kind.LINE)} is no program; give one that can be run (chmod +x)")
    return str(path)


def keep(tables: PeerTables, change: Callable[[Preferences], Preferences]) -> Preferences:
    """Change what is stored; the preferences as they then are."""
    after = change(stored(tables))
    tables.settings.set(PREFERENCES_SETTING, msgspec.json.encode(after))
    return after


def shown(preferences: Preferences, wall: int, person_of: Callable[[bytes], api.Person]) -> api.Notifications:
    """The preferences as front ends are told; do-not-disturb that has run out is over."""
    dnd = preferences.dnd and (preferences.dnd_until is None or wall < preferences.dnd_until)
    return api.Notifications(
        dnd=dnd,
        until=preferences.dnd_until if dnd else None,
        quiet="" if preferences.quiet is None else format_hours(preferences.quiet),
        muted=tuple(person_of(parse_id(written)) for written in preferences.muted),
        terminal=preferences.terminal,
        desktop=preferences.desktop,
        text=preferences.text,
        hook=preferences.hook,
    )
