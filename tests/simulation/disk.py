"""
A simulated disk below SQLite: what was written but not synced is kept apart, and a loss of power takes it away, in
whole or in part.

Every file has what its process reads (the page cache) and what is durable (what was synced). Writes pass into the
second in their order when the file is synced. A failed fsync leaves what waited neither: it can still be read, and no
later sync makes it durable, which is what Linux does.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple

import apsw

_numbers = count()

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""

FATES = ("nothing", "everything", "the first", "some", "some torn")
"""What may become of unsynced writes when the power fails."""


ERRORS = {"read": apsw.SQLITE_IOERR_READ, "write": apsw.SQLITE_IOERR_WRITE, "sync": apsw.SQLITE_IOERR_FSYNC}
"""What SQLite is told of an operation that fails."""


class Write(NamedTuple):
    """A write that was not synced; `data` is None for the end of a file, which moves to `offset`."""

    offset: int
    data: bytes | None


class File:
    """One file."""

    def __init__(self, content: bytes = b"", named: bool = False) -> None:
        self.cache = bytearray(content)
        self.durable = bytearray(content)
        self.named = named
        """Whether its name is durable too."""
        self.waiting: list[Write] = []
        self.spoiled = False
        """Whether a sync failed: some of what can be read is not durable, and will not be."""

    def write(self, write: Write) -> None:
        self.waiting.append(write)
        apply(self.cache, write)

    def sync(self) -> None:
        self.named = True
        for write in self.waiting:
            apply(self.durable, write)
        self.waiting.clear()

    @property
    def clean(self) -> bool:
        """Whether all that can be read is durable."""
        return self.named and not self.waiting and not self.spoiled


def apply(content: bytearray, write: Write) -> None:
    """Write into the content of a file."""
    offset, data = write
    if data is None:
        del content[offset:]
        return
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Trap(NamedTuple):
    """The process ends, or the power fails, at one of the next operations that change the disk."""

    after: int
    """How many operations go well first."""
    late: bool
    """Whether the operation itself is still done."""


class Disk(apsw.VFS):
    """
    The files of one machine, in one life of its process.

    `spring` is called when the trap springs; from then on, or once `dead` is set, nothing can be done with it.
    """

    def __init__(self, files: Mapping[str, File] | None = None) -> None:
        self.name = f"simulated-{next(_numbers)}"
        self.files: dict[str, File] = dict(files or {})
        self.ghosts: dict[str, bytes] = {}
        """Deleted, but not durably."""
        self.full = False
        self.dead = False
        self.trap: Trap | None = None
        self.spring: Callable[[str], None] = lambda what: None
        self.failing: dict[str, int] = {}
        """By operation (read, write, sync): how many of it go well before one fails."""
        self.operations = 0
        self._is_observed = False
        super().__init__(self.name, "")

    # --- faults

    def change(self, operation: str, path: str, perform: Callable[[], None]) -> None:
        """Do something to the disk, if nothing comes between."""
        if self.dead:
            raise apsw.IOError("the machine is gone")
        self.operations += 1
        self._fail(operation, path)
        trap = self.trap
        if trap is None or trap.after > 0:
            self.trap = trap and trap._replace(after=trap.after - 1)
            perform()
            return
        if trap.late:
            perform()
        self.trap, self.dead = None, True
        self.spring(f"{'after' if trap.late else 'before'} {operation} of {path}")
        raise apsw.IOError("the machine is gone")

    def _fail(self, operation: str, path: str) -> None:
        left = self.failing.get(operation)
        if left is None:
            return
        if left > 0:
            self.failing[operation] = left - 1
            return
        del self.failing[operation]
        if operation == "sync":
            # What waited is not written, and will not be: the kernel holds it for written.
            self.files[path].waiting.clear()
            self.files[path].spoiled = True
        error = apsw.IOError("disk I/O error")
        error.extendedresult = ERRORS.get(operation, apsw.SQLITE_IOERR_WRITE)  # type: ignore[attr-defined]
        raise error

    def read(self, path: str, file: File, amount: int, offset: int) -> bytes:
        """Some of a file."""
        if self.dead:
            raise apsw.IOError("the machine is gone")
        if self.failing and not self._is_observed:
            self._fail("read", path)
        return bytes(file.cache[offset : offset + amount])

    @contextmanager
    def observed(self) -> Iterator[None]:
        """What is read meanwhile the story does not read."""
        self._is_observed = True
        try:
            yield
        finally:
            self._is_observed = False

    def lose_power(self, random: Random, fate: str) -> dict[str, File]:
        """What is on the disk when the power comes back."""
        files = dict(self._ghosts(random))
        for path, file in self.files.items():
            content = bytearray(file.durable)
            for write in survivors(file.waiting, random, fate):
                apply(content, write)
            if file.named or fate == "everything" or (fate != "nothing" and random.random() < 0.5):
                files[path] = File(bytes(content), named=True)
        return files

    def _ghosts(self, random: Random) -> list[tuple[str, File]]:
        return [(path, File(data, named=True)) for path, data in self.ghosts.items() if random.random() < 0.5]

    def copy(self) -> dict[str, bytes]:
        """What a backup of the files holds."""
        return {path: bytes(file.cache) for path, file in self.files.items()}

    @property
    def clean(self) -> bool:
        """Whether everything that was written is durable."""
        return not self.ghosts and all(file.clean for file in self.files.values())

    @property
    def durable(self) -> dict[str, bytes]:
        """What is left at the least when the power fails."""
        return {path: bytes(file.durable) for path, file in self.files.items() if file.named}

    # --- apsw.VFS

    def xOpen(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if self.dead or (path not in self.files and not flags[0] & apsw.SQLITE_OPEN_CREATE):
            raise apsw.CantOpenError(path)
        return OpenFile(self, path, self.files.setdefault(path, File()))

    def xFullPathname(self, name):
        return name

    def xAccess(self, path, flags):
        return path in self.files

    def xDelete(self, path, sync):
        self.change("deletion", path, lambda: self._delete(path, bool(sync)))

    def _delete(self, path: str, sync: bool) -> None:
        file = self.files.pop(path, None)
        if file is None:
            raise apsw.IOError(path)
        if sync:
            self.ghosts.clear()
        elif file.named:
            self.ghosts[path] = bytes(file.durable)


class OpenFile:
    """An open file, as apsw wants one."""

    def __init__(self, disk: Disk, path: str, file: File) -> None:
        self._disk = disk
        self._path = path
        self._file = file

    def xRead(self, amount, offset):
        return self._disk.read(self._path, self._file, amount, offset)

    def xWrite(self, data, offset):
        if self._disk.full and offset + len(data) > len(self._file.cache):
            raise apsw.FullError("database or disk is full")
        write = Write(offset, bytes(data))
        self._disk.change("write", self._path, lambda: self._file.write(write))

    def xTruncate(self, size):
        self._disk.change("truncation", self._path, lambda: self._file.write(Write(size, None)))

    def xSync(self, flags):
        self._disk.change("sync", self._path, self._sync)

    def _sync(self) -> None:
        if not self._file.named:
            # SQLite syncs the directory with the first sync of a new file.
            self._disk.ghosts.clear()
        self._file.sync()

    def xFileSize(self):
        return len(self._file.cache)

    def xCheckReservedLock(self):
        return False

    def xFileControl(self, operation, pointer):
        return False

    def xSectorSize(self):
        return 4096

    def xDeviceCharacteristics(self):
        # What SQLite's own VFS says of every disk: writing here does not damage what stands beside it.
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xLock(self, level):
        pass

    def xUnlock(self, level):
        pass

    def xClose(self):
        pass


def survivors(waiting: list[Write], random: Random, fate: str) -> list[Write]:
    """Those of the unsynced writes that reached the disk before the power failed; a disk keeps no order."""
    match fate:
        case "nothing":
            return []
        case "everything":
            return list(waiting)
        case "the first":
            return waiting[: random.randint(0, len(waiting))]
    kept = [write for write in waiting if random.random() < 0.5]
    if fate == "some torn":
        return [torn(write, random) for write in kept]
    return kept


def torn(write: Write, random: Random) -> Write:
    """A write of which only the first sectors, or the last, are on the disk."""
    if write.data is None or len(write.data) <= SECTOR:
        return write
    at = random.randrange(SECTOR, len(write.data), SECTOR)
    if random.random() < 0.5:
        return Write(write.offset, write.data[:at])
    return Write(write.offset + at, write.data[at:])


def database_file(name: str) -> Path:
    """Where a machine keeps its database."""
    return Path(f"/{name}.db")
