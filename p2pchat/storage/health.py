"""Whether a store is healthy: what SQLite says of its file, the room that is left, and who may look in."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import apsw

from p2pchat.storage.directory import MOUNTINFO
from p2pchat.storage.mounts import network_file_system


class Integrity:
    """
    Asks SQLite, over a connection that is open.

    One that read before others wrote may take their full-text index for damaged: to be asked anew (`Database.read`).
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def fault(self) -> str:
        """The first thing that is wrong with the database, or nothing. Reads all of it: seconds where it is large."""
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        text = str(found[0]) if found else "no answer"
        return "" if text == "ok" else text


@dataclass(frozen=True, slots=True)
class Room:
    """The file system under a state directory, and who may look in."""

    free: int
    """Bytes that we may still write."""
    mode: int
    """Permission bits of the directory."""
    owned: bool
    """Whether it belongs to us; to root all do."""
    network: str | None
    """The type of the network file system that it is on; None: a local one."""


def look_at(path: Path, mountinfo: Path = MOUNTINFO) -> Room:
    """What a state directory is like; raises OSError. It blocks: a disk may be slow, and a network gone."""
    status, file_system = path.stat(), os.statvfs(path)
    try:
        mounts = mountinfo.read_bytes()
    except OSError:
        mounts = b""
    return Room(
        free=file_system.f_bavail * file_system.f_frsize,
        mode=stat.S_IMODE(status.st_mode),
        owned=os.geteuid() in (0, status.st_uid),
        network=network_file_system(Path(os.path.realpath(path)), mounts),
    )
