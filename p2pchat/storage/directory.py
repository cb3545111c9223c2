"""
The state directory: everything of one server or peer that outlives its process, and the lock on it.

The lock is a `flock` on a file of its own (F23). The kernel drops it with the process, so it works at once
after kill -9; and it is not on the database, because closing any descriptor of that file would drop SQLite's
own locks. Nothing is touched before `open()`: twistd forks after the service was made, and a lock or an open
file must not be carried over that.
"""

import fcntl
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from p2pchat.core.errors import StateError, StateInUse
from p2pchat.storage.files import remove_unplaced, sync_directory
from p2pchat.storage.mounts import network_file_system

DIRECTORY_MODE = 0o700
"""Nobody else may look: names, addresses and texts are in there."""

OTHER_DIRECTORY = "choose another with --state DIR"
"""What a person can always do."""

LOCK_PROBES = 100
PROBE_PAUSE = 0.01
"""Seconds: so long, and so often, a start waits for somebody who only looks whether the lock is held."""

MOUNTINFO = Path("/proc/self/mountinfo")


ROOTS_TOO = frozenset({"doctor", "recover"})
"""What root may do in the directory of another user, such as that of a system service, whose user nobody can become."""

ROLES = frozenset({"peer", "server"})
"""Whose databases there are, each in a directory of its own: the key that stands beside one is who that one is."""

OURS = ("lock", "peer.db", "server.db")
"""What the names of the files begin with that such a command may have made."""


class Holder(NamedTuple):
    """The process that holds a state directory."""

    pid: int | None
    """None if the lock is held by something that did not write its number (yet)."""
    role: str
    """`peer`, `server`, or what an offline command called itself; empty if unknown."""


class StateDirectory:
    """
    A directory of ours, by path; after `open()` it exists, is private, local, and locked by us.

    `role` is written beside the pid for whoever finds the directory in use.
    """

    def __init__(self, path: Path | str, role: str = "", mountinfo: Path = MOUNTINFO) -> None:
        self.path = Path(path).expanduser().absolute()
        self.role = role
        self._mountinfo = mountinfo
        self._lock: int | None = None

    @property
    def key_file(self) -> Path:
        """The identity's private key, 0600."""
        return self.path / "identity.key"

    @property
    def socket_file(self) -> Path:
        """The Unix socket for programs and admins."""
        return self.path / "socket"

    @property
    def log_file(self) -> Path:
        """The log of a daemonized process."""
        return self.path / "log"

    @property
    def pid_file(self) -> Path:
        """twistd's pid file of a daemonized process."""
        return self.path / "pid"

    @property
    def lock_file(self) -> Path:
        """The file whose flock is the lock; never deleted, or two processes could lock two files."""
        return self.path / "lock"

    def database_file(self, name: str) -> Path:
        """The SQLite database of the schema `name`: `peer.db`, `server.db`."""
        return self.path / f"{name}.db"

    def keep_apart(self, name: str) -> None:
        """Raise StateError where the other role's database is and none of `name`: its key is another's identity."""
        (other,) = ROLES - {name}
        if os.path.lexists(self.database_file(other)) and not os.path.lexists(self.database_file(name)):
            raise StateError(f"{self.path} is a {other}'s directory, not a {name}'s: {OTHER_DIRECTORY}")

    @property
    def opened(self) -> bool:
        """Whether we hold the lock."""
        return self._lock is not None

    def open(self) -> None:
        """
        Make the directory if need be, check it and lock it.

        Raises `StateInUse` (with the pid) if another process has it, `StateError` if it cannot be used.
        """
        if self._lock is not None:
            raise StateError(f"{self.path} is open already")
        self._refuse_network()
        try:
            self._make()
            self._lock = self._take_lock()
            remove_unplaced(self.key_file)
        except OSError as error:
            raise StateError(f"cannot use {self.path}: {error.strerror}; {OTHER_DIRECTORY}") from error

    def close(self) -> None:
        """Let the lock go; harmless when it is not held."""
        if self._lock is None:
            return
        descriptor, self._lock = self._lock, None
        try:
            os.ftruncate(descriptor, 0)
            if os.geteuid() == 0 and self.role in ROOTS_TOO:
                self._hand_over()
        finally:
            os.close(descriptor)

    def __enter__(self) -> "StateDirectory":
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def holder(self) -> Holder | None:
        """Who has the directory now, found without disturbing a process that starts; see `holder()`."""
        return holder(self.path)

    def remove_stale_pid_file(self) -> bool:
        """
        Remove a pid file left by a killed process; true if one was removed.

        twistd refuses to start while any process has the number in it, related or not (F41). The flock tells
        the truth: where it is free, the file says nothing. To be called before twistd looks at the file.
        """
        descriptor = _open_lock(self.lock_file)
        try:
            if descriptor is not None and not _flock(descriptor, fcntl.LOCK_SH):
                return False
            self.pid_file.unlink()
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StateError(f"cannot remove {self.pid_file}: {error.strerror}; {OTHER_DIRECTORY}") from error
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _refuse_network(self) -> None:
        try:
            mountinfo = self._mountinfo.read_bytes()
        except OSError:
            return  # no /proc (not Linux, or a bare jail): nothing to judge by
        kind = network_file_system(Path(os.path.realpath(self.path)), mountinfo)
        if kind is not None:
            raise StateError(
                f"{self.path} is on a network file system ({kind}), where locks do not hold: {OTHER_DIRECTORY}"
            )

    def _make(self) -> None:
        for directory in reversed([self.path, *self.path.parents]):
            if directory.exists():
                continue
            try:
                directory.mkdir(DIRECTORY_MODE)
            except FileExistsError:
                continue  # somebody else was faster, or it is a link into nowhere: the check below tells
            with suppress(PermissionError):  # a parent that may be written to, but not listed
                sync_directory(directory.parent)
        status = self.path.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise StateError(f"{self.path} is not a directory: {OTHER_DIRECTORY}")
        if status.st_uid != os.geteuid() and not (os.geteuid() == 0 and self.role in ROOTS_TOO):
            raise StateError(
                f"{self.path} belongs to user {status.st_uid}, not to you ({os.geteuid()}): {OTHER_DIRECTORY}"
            )
        if stat.S_IMODE(status.st_mode) != DIRECTORY_MODE:
            self.path.chmod(DIRECTORY_MODE)

    def _hand_over(self) -> None:
        """Give what root has made here to the owner of the directory, who could not use it otherwise."""
        owner = self.path.stat()
        for file in self.path.iterdir():
            if owner.st_uid == 0 or not file.name.startswith(OURS):
                continue
            with suppress(OSError):  # it is gone, or a link
                _give(file, owner.st_uid, owner.st_gid)

    def _take_lock(self) -> int:
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            for _ in range(LOCK_PROBES):
                if _flock(descriptor, fcntl.LOCK_EX):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()} {self.role}\n".encode(), 0)
                    return descriptor
                # A shared lock that can be had means that the other only looks (`holder`): let it finish.
                if not _flock(descriptor, fcntl.LOCK_SH):
                    break
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                time.sleep(PROBE_PAUSE)
            raise self._in_use(_read_holder(descriptor))
        except BaseException:
            os.close(descriptor)
            raise

    def _in_use(self, by: Holder) -> StateInUse:
        who = f"a p2pchat {by.role}".rstrip() + (f" with pid {by.pid}" if by.pid is not None else "")
        return StateInUse(f"{self.path} is in use by {who}: stop it first, or {OTHER_DIRECTORY}", by.pid)


def holder(path: Path | str) -> Holder | None:
    """
    Who holds the state directory at `path`, or None if nobody does (or there is no such directory).

    It asks the lock itself, not the number in the file, so neither a killed process nor a number that was given
    to another one misleads it. Raises `StateError` if the lock may not be looked at.
    """
    file = Path(path).expanduser().absolute() / "lock"
    try:
        descriptor = _open_lock(file)
        if descriptor is None:
            return None
        try:
            return None if _flock(descriptor, fcntl.LOCK_SH) else _read_holder(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StateError(f"cannot look at {file}: {error.strerror}; {OTHER_DIRECTORY}") from error


def _give(file: Path, user: int, group: int) -> None:
    """Give a file of root's away; no other name of it may be elsewhere, or somebody had it given who may not."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == 0 and status.st_nlink == 1:
            os.fchown(descriptor, user, group)
    finally:
        os.close(descriptor)


def _open_lock(file: Path) -> int | None:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(descriptor: int) -> Holder:
    pid, _, role = os.pread(descriptor, 256, 0).decode("ascii", "replace").partition(" ")
    return Holder(int(pid) if pid.isdecimal() else None, role.strip())
