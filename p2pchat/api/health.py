"""
Findings of a doctor that are the same for a peer and for a server: what a state directory is like. Pure.

A finding is `failed` where something that people count on does not work, a `warning` where it works worse than it
could, and `unknown` where nobody could be asked.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from .values import Finding

LITTLE_ROOM = 1024**3
"""Bytes: below that a large file of somebody else fills the disk any day."""

NO_ROOM = 64 * 1024**2
"""Bytes: what waits for delivery may take 256 MiB."""

PRIVATE = 0o700
"""The mode of a directory that its owner alone may look into."""

_COMMANDS = re.compile(r"p2pchat (?:stop|recover|join|peer|identity (?:import|export))\b(?! --state)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """The state directory and the database in it."""

    path: str
    fault: str | None = ""
    """What is wrong with the database; empty: nothing; None: it was not found out in time."""
    refusal: str = ""
    """Why it cannot be used at all, and what to do: the line of whoever refused it."""
    free: int | None = None
    """Bytes left on its file system."""
    mode: int | None = None
    """Permission bits of the directory."""
    owned: bool = True
    network: str | None = None
    """The type of its file system, if that is a network's."""
    doctor: str = "p2pchat doctor"
    """The command that looks at such a directory."""
    option: str = ""
    """` --state DIR`, as commands must be given it; empty for the usual directory."""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check=check, state="ok", text=text)


def warning(check: str, text: str, fix: str) -> Finding:
    """It works worse than it could."""
    return Finding(check=check, state="warning", text=text, fix=fix)


def failed(check: str, text: str, fix: str) -> Finding:
    """Something that people count on does not work."""
    return Finding(check=check, state="failed", text=text, fix=fix)


def unknown(check: str, text: str, fix: str = "") -> Finding:
    """Nobody could be asked."""
    return Finding(check=check, state="unknown", text=text, fix=fix)


def store_findings(store: StoreFacts, private: int = PRIVATE) -> Iterator[Finding]:
    """What a directory and its database are like; `private`: the most that its mode may allow."""
    if store.refusal:
        yield failed("store", store.refusal, f"do what that says, and then look again: {store.doctor}{store.option}")
    elif store.fault is None:
        yield unknown("store", "checking the database takes longer than a minute", "ask again later")
    elif store.fault:
        fix = f"p2pchat stop, keep a copy of {store.path}, then save what can be read: p2pchat recover"
        yield failed("store", f"the database is damaged: {store.fault}", for_state(fix, store.option))
    else:
        yield ok("store", "the database is in order")
    if store.free is not None:
        left = f"{size(store.free)} are free under {store.path}"
        fix = f"make room on that file system (df -h {quote(store.path)}); nothing is stored, nor sent, without it"
        if store.free >= LITTLE_ROOM:
            yield ok("disk", left)
        else:
            yield (failed if store.free < NO_ROOM else warning)("disk", f"only {left}", fix)
    if store.mode is not None:
        yield _directory(store, store.mode, private)


def _directory(store: StoreFacts, mode: int, private: int) -> Finding:
    if store.network is not None:
        fix = "keep it on a disk of this machine: --state DIR"
        return failed("state", f"{store.path} is on a network file system ({store.network}): locks do not hold", fix)
    if not store.owned:
        fix = f'run this as that user, or with sudo; if it should be yours: sudo chown -R "$USER" {quote(store.path)}'
        return failed("state", f"{store.path} belongs to another user", fix)
    if mode & ~private:
        return failed("state", f"{store.path} is open to others (mode {mode:04o})", f"chmod 700 {quote(store.path)}")
    return ok("state", f"{store.path} is closed to others")


def for_state(text: str, option: str) -> str:
    """Name the directory in the commands of a text that would otherwise be done with the usual one."""
    return _COMMANDS.sub(lambda found: found[0] + option, text)


def span(milliseconds: int) -> str:
    """A length of time, roughly."""
    seconds = milliseconds // 1000
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def size(count: int) -> str:
    """So many bytes, roughly."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count // 1024**2} MiB"


def in_the_way(state: Path, role: str, pid: int | None, log_file: Path) -> Finding:
    """A process has the directory `state` and does not answer at its socket; `role` is empty where that is unknown."""
    who = f"a {role or 'process'}" + ("" if pid is None else f" with pid {pid}")
    end = f"p2pchat stop --state {quote(str(state))}, or kill it"
    return failed("state", f"{who} has {state}, and does not answer", f"look into its log, {log_file}; then {end}")
