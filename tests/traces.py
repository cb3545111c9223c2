"""What a process asks of its kernel, as strace saw it: what came, what leaves, and what was synced in between."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RECEIVING = frozenset({"recvfrom", "recvmsg", "read"})
SENDING = frozenset({"sendto", "sendmsg", "write"})
SYNCING = frozenset({"fdatasync", "fsync"})

_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. \w+ resumed>)?(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\(\d+<(?P<file>[^>]*)>.*\) += (?P<result>-?\d+)")
_BEGINNING = re.compile(r"(?P<name>\w+)\(\d+<(?P<file>[^>]*)>")

UNFINISHED = " <unfinished ...>"


class Call(NamedTuple):
    """A call that begins (`result` is None), or is done."""

    name: str
    file: str
    result: int | None


def tracer(log: Path) -> tuple[str, ...]:
    """The words before a command line that have it traced, its threads too, under its own process id."""
    calls = ",".join(sorted(RECEIVING | SENDING | SYNCING))
    return ("strace", "-D", "-f", "-q", "-y", "-s", "0", "-e", f"trace={calls}", "-e", "signal=none", "-o", str(log))


def why_not(directory: Path) -> str:
    """Why nothing can be traced here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is missing"
    tried = subprocess.run([*tracer(directory / "tried"), "true"], capture_output=True, text=True, timeout=60)
    return "" if tried.returncode == 0 and not tried.stderr else f"strace: {tried.stderr.strip() or tried.returncode}"


def calls_in(text: str) -> Iterator[Call]:
    """Every call twice, as it begins and as it is done, in the order in which that happened."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, rest = found["thread"], found["rest"]
        if "resumed>" in line:
            rest = begun.pop(thread, "") + rest
        elif (beginning := _BEGINNING.match(rest)) is not None:
            yield Call(beginning["name"], beginning["file"], None)
        if rest.endswith(UNFINISHED):
            begun[thread] = rest.removesuffix(UNFINISHED)
        elif (done := _CALL.match(rest)) is not None:
            yield Call(done["name"], done["file"], int(done["result"]))


def answers(calls: Iterator[Call], at_least: int, synced: str) -> list[bool]:
    """
    For each time that so many bytes came at once from a socket and something was sent back: whether the file whose name
    ends in `synced` was synced in between.
    """
    waiting: dict[str, bool] = {}
    found: list[bool] = []
    for call in calls:
        if call.name in RECEIVING and call.file.startswith("socket:") and (call.result or 0) >= at_least:
            waiting[call.file] = False
        elif call.name in SYNCING and call.file.endswith(synced) and call.result == 0:
            waiting = dict.fromkeys(waiting, True)
        elif call.name in SENDING and call.result is None and call.file in waiting:
            found.append(waiting.pop(call.file))
    return found
