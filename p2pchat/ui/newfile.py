"""
A file that a person asked for: it appears whole under its name, or not at all, and never in place of another.

It is written beside its place, synced, and moved there. What the peer itself keeps is written by storage/files.py; this
is written by whichever process the person's terminal is, which need not be the peer's.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from p2pchat.core.errors import UserError
from p2pchat.core.text import Kind, clean

MODE = 0o600
"""What was said is nobody else's business."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What a file system answers that knows no hard links, as those of memory sticks."""


class NewFile:
    """A file to be; every call may wait for the disk, and raises UserError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._temporary = path.with_name(f".{path.name[:100]}.{token_hex(8)}")
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = open(os.open(self._temporary, flags, MODE), "wb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise self._refused(error) from None

    def write(self, data: bytes) -> None:
        """Put this to its end."""
        try:
            self._file.write(data)
        except (OSError, ValueError) as error:
            self.discard()
            raise self._refused(error) from None

    def place(self) -> None:
        """It is complete: let it appear."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._move()
            self._sync_directory()
        except (OSError, ValueError) as error:
            self.discard()
            raise self._refused(error) from None

    def discard(self) -> None:
        """It will not be; nothing is left of it. Not where it was placed."""
        self._temporary.unlink(missing_ok=True)
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()

    def _move(self) -> None:
        try:
            os.link(self._temporary, self.path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Take the name first, since a rename alone would replace what is there.
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))
            try:
                os.replace(self._temporary, self.path)
            except OSError:
                self.path.unlink(missing_ok=True)
                raise
        else:
            self._temporary.unlink()

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it cannot be synced, as on some network file systems
                raise
        finally:
            os.close(descriptor)

    def _refused(self, error: OSError | ValueError) -> UserError:
        shown = clean(str(self.path), Kind.LINE)
        if isinstance(error, FileExistsError):
            return UserError(f"there is a file {shown} already; choose another name")
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return UserError(f"there is no room on the disk for {shown}; make room and try again")
        why = error.strerror if isinstance(error, OSError) else "that cannot be the name of a file"
        return UserError(f"cannot write {shown}: {why}; choose another place")
