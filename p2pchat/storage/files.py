"""
Files that are absent or whole, at every moment, also when the power fails (F40).

A key, a certificate or a profile is written to a new file beside its place, synced, and moved there; then
the directory is synced, since it is the directory that remembers the name.
"""

import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from p2pchat.core.errors import StateError, StoreFull
from p2pchat.storage.crash import Point, reach

SECRET_MODE = 0o600
"""What a file gets when nothing else is asked for: readable by its owner alone."""

SECRET_SIZE = 1 << 20
"""Bytes: a key or certificate file above this is somebody's mistake, and is not read."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: Path, data: bytes, mode: int = SECRET_MODE) -> None:
    """
    Put `data` at `path`, in place of what was there; the file is the old one or the new one, never a part.

    Raises `StoreFull` where there is no room, `StateError` for anything else; the old file then still stands.
    """
    _place(path, data, mode, os.replace)


def create_once(path: Path, data: bytes, mode: int = SECRET_MODE) -> None:
    """
    Put `data` at `path`, where nothing may be yet: of two that race, one gets its data there.

    Raises `FileExistsError` if something is there (it stays as it is), otherwise like `write_atomically`.
    """
    _place(path, data, mode, _link)


def remove_unplaced(path: Path) -> None:
    """
    Remove what a process that was killed left beside `path`, on its way there: whole or half, it may be a key.

    For whoever has the directory's lock, so that nobody else is just writing it.
    """
    unplaced = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}")
    with suppress(OSError):
        for beside in path.parent.iterdir():
            if unplaced.fullmatch(beside.name):
                beside.unlink()


def read_secret(path: Path, owner: int | None = None) -> bytes:
    """
    The contents of a key file of ours.

    Refused with `StateError`, as OpenSSH does, if it belongs to somebody else or others may read or write it:
    a warning would scroll away, and the key may already have been copied. Root may read that of `owner`, too.
    Raises `FileNotFoundError` if there is none; a key that is there and cannot be read is never an absent one,
    so everything else is `StateError`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            _check_secret(path, os.fstat(descriptor), owner)
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(SECRET_SIZE)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}; look whose it is: ls -l {path}") from error


def sync_directory(path: Path) -> None:
    """Wait until the names in the directory are on the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_secret(path: Path, status: os.stat_result, owner: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StateError(f"{path} is not a file: move it away")
    if status.st_uid != os.geteuid() and not (os.geteuid() == 0 and status.st_uid == owner):
        raise StateError(f"{path} belongs to user {status.st_uid}, not to you ({os.geteuid()}): use a key of your own")
    if status.st_mode & 0o077:
        raise StateError(
            f"{path} can be read or written by other users: if nobody has, run: chmod 600 {path}; if in doubt, "
            "make a new identity"
        )
    if status.st_size > SECRET_SIZE:
        raise StateError(f"{path} is not a key file: it has {status.st_size} bytes")


def _link(source: Path, target: Path) -> None:
    """Like a rename that does not overwrite."""
    os.link(source, target)
    os.unlink(source)


def _place(path: Path, data: bytes, mode: int, move: Callable[[Path, Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        try:
            _write_new(temporary, data, mode)
            reach(Point.SECRET_WRITTEN)
            move(temporary, path)
            reach(Point.SECRET_PLACED)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreFull(f"no room on the disk for {path}: make room and try again") from error
        raise StateError(f"cannot write {path}: {error.strerror}") from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # the umask has no say in it
        file.write(data)
        file.flush()
        os.fsync(descriptor)
