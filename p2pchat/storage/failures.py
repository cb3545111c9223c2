"""What SQLite's errors mean to a person, and which of them end the use of a database."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

import apsw

from p2pchat.core.errors import StoreCorrupt, StoreError, StoreFull, StoreUnsure

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

DAMAGED = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
DISK = (
    *DAMAGED,
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.NoMemError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.PermissionsError,
    apsw.InterruptError,
    apsw.ProtocolError,
)
"""Errors of the disk and the machine below it, as against errors of the operation that ran into them."""


def store_error(error: Exception, path: str, system_errno: int = 0) -> StoreError:
    """
    The one line for a person.

    `system_errno` is the errno of the last failed system call of that connection. ENOSPC and a used-up quota
    are "full" in every call but fsync: after a failed fsync nobody knows what is on the disk (F6).
    """
    extended = getattr(error, "extendedresult", 0)
    fsync = extended in (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)
    no_room = extended == apsw.SQLITE_IOERR_SHMSIZE or (system_errno in _NO_ROOM and not fsync)
    match error:
        case StoreError():
            return error
        case apsw.FullError():
            return _full(path)
        case apsw.IOError() | apsw.CantOpenError() if no_room:
            return _full(path)
        case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError():
            return corrupt(path, str(error))
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.CantOpenError():
            return StoreError(f"cannot open or write {path} ({error}): check who owns it and its directory")
        case apsw.BusyError() | apsw.LockedError() | apsw.ProtocolError():
            return StoreError(f"another program holds {path} locked: end it and try again")
        case apsw.InterruptError():
            return StoreError(f"{path} is being closed: try again when it is open")
        case apsw.NoMemError() | MemoryError():
            return StoreError(f"no memory left to use {path}: nothing was stored; try again")
    return StoreError(
        f"the disk failed under {path} ({error}): nothing more is stored there; check the disk, then start again"
    )


def unsure(error: Exception, told: StoreError, path: str) -> StoreError:
    """
    What whoever waited for a COMMIT that ended with `error` is told in place of `told`.

    Where a sync failed the whole transaction is in the WAL already, and a new start writes it there again.
    """
    if not isinstance(error, apsw.IOError) or isinstance(told, StoreFull):
        return told
    return StoreUnsure(
        f"the disk failed under {path} ({error}) while this was being stored: whether it is stored is not known; check "
        "the disk, start again, and look for it before you do it again"
    )


def anew(told: StoreError) -> StoreError:
    """The same error once more: whoever waits for it adds to its traceback, which must not grow for ever."""
    return copy(told)


def corrupt(path: str, detail: str) -> StoreCorrupt:
    """A database that is damaged or not ours."""
    state = os.path.dirname(path) or "."
    return StoreCorrupt(
        f"{path} is damaged ({detail}), and nothing was changed: put a copy from a backup in its place, or save what "
        f"can be read with: p2pchat recover --state {state}",
        detail,
    )


def ends_use(error: Exception, told: StoreError) -> bool:
    """
    Whether the database counts as failed after `error`, of which the person is told `told`.

    Full, locked and out of memory pass; damage and a failed disk do not: an fsync that failed once reports
    success the next time, while the pages are gone.
    """
    if isinstance(told, StoreFull) or isinstance(error, MemoryError):
        return False
    return isinstance(told, StoreCorrupt) or isinstance(error, apsw.IOError) or not isinstance(error, DISK)


@contextmanager
def told_to_people(path: str) -> Iterator[None]:
    """Errors of SQLite inside come out as `StoreError`."""
    try:
        yield
    except apsw.Error as error:
        raise store_error(error, path) from error


def _full(path: str) -> StoreFull:
    return StoreFull(f"no room on the disk for {path}: nothing was stored; make room and try again")
