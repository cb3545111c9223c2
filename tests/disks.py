"""A disk that notes what SQLite asks of it, fails when told, and remembers what would survive a loss of power."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import apsw

_numbers = count()

Fault = Callable[[str, str], Exception | None]


def fsync_failed() -> apsw.IOError:
    """EIO out of fsync."""
    error = apsw.IOError("disk I/O error")
    error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
    return error


def write_failed() -> apsw.IOError:
    """EIO out of write."""
    error = apsw.IOError("disk I/O error")
    error.extendedresult = apsw.SQLITE_IOERR_WRITE  # type: ignore[attr-defined]
    return error


def full() -> apsw.FullError:
    """ENOSPC out of write."""
    return apsw.FullError("database or disk is full")


class Disk(apsw.VFS):
    """
    An apsw VFS over the real files, by its `name`.

    `calls` has every (call, end of the file's name); `fault(call, file)` returns what is raised instead; `synced`
    has the contents of every file at its last sync: what a loss of power leaves at the least.
    """

    def __init__(self) -> None:
        self.name = f"test-disk-{next(_numbers)}"
        self.calls: list[tuple[str, str]] = []
        self.synced: dict[str, bytes] = {}
        self.fault: Fault = lambda call, file: None
        super().__init__(self.name, "")

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def note(self, call: str, file: str) -> None:
        kind = Path(file).name
        self.calls.append((call, kind))
        error = self.fault(call, kind)
        if error is not None:
            raise error

    def count(self, call: str) -> int:
        return sum(each == call for each, _ in self.calls)


class MemoryDisk(apsw.VFS):
    """
    Files in memory alone, without memory that connections could share: what the simulation's disk is like.

    While `full` is true nothing can be written.
    """

    def __init__(self) -> None:
        self.name = f"test-memory-{next(_numbers)}"
        self.files: dict[str, bytearray] = {}
        self.full = False
        super().__init__(self.name, "")

    def xOpen(self, name, flags):
        return _MemoryFile(self, name, flags)

    def xFullPathname(self, name):
        return name

    def xAccess(self, path, flags):
        return path in self.files

    def xDelete(self, path, sync):
        del self.files[path]


class _MemoryFile:
    def __init__(self, disk, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path not in disk.files and not flags[0] & apsw.SQLITE_OPEN_CREATE:
            raise apsw.CantOpenError(path)
        self._disk = disk
        self._data = disk.files.setdefault(path, bytearray())

    def xRead(self, amount, offset):
        return bytes(self._data[offset : offset + amount])

    def xWrite(self, data, offset):
        if self._disk.full:
            raise full()
        self._data.extend(bytes(max(0, offset - len(self._data))))
        self._data[offset : offset + len(data)] = data

    def xTruncate(self, size):
        del self._data[size:]

    def xFileSize(self):
        return len(self._data)

    def xCheckReservedLock(self):
        return False

    def xFileControl(self, operation, pointer):
        return False

    def xSectorSize(self):
        return 4096

    def xDeviceCharacteristics(self):
        return 0

    def xSync(self, flags):
        pass

    def xLock(self, level):
        pass

    def xUnlock(self, level):
        pass

    def xClose(self):
        pass


class _File(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("", name, flags)

    def xWrite(self, data, offset):
        self._disk.note("write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags):
        self._disk.note("sync", self._name)
        super().xSync(flags)
        self._disk.synced[Path(self._name).name] = Path(self._name).read_bytes()

    def xTruncate(self, size):
        self._disk.note("truncate", self._name)
        super().xTruncate(size)
