"""p2pchat.storage.files."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import StateError, StoreFull
from p2pchat.storage import files
from p2pchat.storage.files import create_once, read_secret, write_atomically

STEPS = ("open", "fchmod", "fsync", "replace", "link", "unlink")
"""What the module asks of the system, in `os`; a kill may come before or after each."""


class FilesTestCase(SynchronousTestCase):
    """A fresh directory."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.path = self.directory / "identity.key"

    def others(self) -> list[str]:
        return [name for name in os.listdir(self.directory) if name != self.path.name]


class Writing(FilesTestCase):
    """write_atomically and create_once."""

    def test_new(self) -> None:
        """A new file has the data, is the owner's alone, and nothing lies beside it."""
        for write in (write_atomically, create_once):
            write(self.path, b"secret")
            self.assertEqual(self.path.read_bytes(), b"secret")
            self.assertEqual(self.path.stat().st_mode & 0o7777, 0o600)
            self.assertEqual(self.others(), [])
            self.path.unlink()

    def test_mode_whatever_the_umask(self) -> None:
        """The mode is the one asked for."""
        self.addCleanup(os.umask, os.umask(0o377))
        write_atomically(self.path, b"", 0o644)
        self.assertEqual(self.path.stat().st_mode & 0o7777, 0o644)

    def test_replaces(self) -> None:
        """write_atomically puts the new data in place of the old; a link there is replaced, not followed."""
        target = self.directory / "target"
        target.write_bytes(b"old")
        self.path.symlink_to(target)
        write_atomically(self.path, b"new")
        self.assertEqual((self.path.read_bytes(), target.read_bytes()), (b"new", b"old"))
        self.assertFalse(self.path.is_symlink())

    def test_once(self) -> None:
        """create_once never overwrites what is there, be it a link into nowhere."""
        create_once(self.path, b"first")
        self.assertRaises(FileExistsError, create_once, self.path, b"second")
        self.assertEqual(self.path.read_bytes(), b"first")
        self.path.unlink()
        self.path.symlink_to("nowhere")
        self.assertRaises(FileExistsError, create_once, self.path, b"second")
        self.assertEqual(self.others(), [])

    def test_no_directory(self) -> None:
        """What cannot be written is said in a line with the path."""
        error = self.assertRaises(StateError, write_atomically, self.directory / "no" / "file", b"")
        self.assertIn("no/file", str(error))

    def test_F18_full(self) -> None:
        """Without room the old file stands as it was, nothing lies beside it, and the person is told."""
        write_atomically(self.path, b"old")
        self.patch(os, "fsync", _raise_no_space)
        error = self.assertRaises(StoreFull, write_atomically, self.path, b"new")
        self.assertIn(str(self.path), str(error))
        self.assertEqual((self.path.read_bytes(), self.others()), (b"old", []))

    def test_synced_before_it_is_moved(self) -> None:
        """The data is synced before the name points to it, and the directory after."""
        done: list[str] = []
        self.patch(os, "fsync", _noting(done, "fsync", os.fsync))
        self.patch(os, "replace", _noting(done, "replace", os.replace))
        write_atomically(self.path, b"data")
        self.assertEqual(done, ["fsync", "replace", "fsync"])


class Killed(FilesTestCase):
    """A process that is killed while it writes."""

    def test_F40_absent_or_whole(self) -> None:
        """Killed before or after any step, a new key file is absent or whole."""
        outcomes = self.outcomes(lambda: create_once(self.path, b"whole" * 1000), None)
        self.assertEqual(outcomes, {None, b"whole" * 1000})

    def test_F40_old_or_new(self) -> None:
        """Killed before or after any step, a replaced file is the old one or the new one."""
        outcomes = self.outcomes(lambda: write_atomically(self.path, b"new"), b"old")
        self.assertEqual(outcomes, {b"old", b"new"})

    def outcomes(self, write, before: bytes | None) -> set[bytes | None]:
        found = set()
        for step in range(100):
            self.path.unlink(missing_ok=True)
            if before is not None:
                self.path.write_bytes(before)
            finished = self.child(write, step)
            found.add(self.path.read_bytes() if self.path.exists() else None)
            if finished:
                return found
        raise AssertionError("the writer never came to an end")

    def child(self, write, kill_at: int) -> bool:
        """Run `write` in a child that is killed at its n-th step; whether it came through."""
        child = os.fork()
        if child == 0:
            try:
                _kill_at(kill_at)
                write()
            finally:
                os._exit(0)
        return os.waitpid(child, 0)[1] == 0


class Reading(FilesTestCase):
    """read_secret."""

    def test_own(self) -> None:
        """What was written as a secret can be read."""
        write_atomically(self.path, b"secret")
        self.assertEqual(read_secret(self.path), b"secret")

    def test_absent(self) -> None:
        """Only a file that is not there is called absent."""
        self.assertRaises(FileNotFoundError, read_secret, self.path)

    def test_F40_unreadable_is_not_absent(self) -> None:
        """A key that is there and cannot be read is an error that names it, so that no new identity is made."""
        self.path.mkdir()
        self.assertIn(str(self.path), str(self.assertRaises(StateError, read_secret, self.path)))
        self.path.rmdir()
        self.path.symlink_to(self.path)
        self.assertRaises(StateError, read_secret, self.path)

    def test_others_may_read(self) -> None:
        """A key file that others may read or write is refused, with the command that mends it."""
        write_atomically(self.path, b"secret")
        for mode in (0o640, 0o604, 0o620, 0o602, 0o610):
            self.path.chmod(mode)
            self.assertIn("chmod 600", str(self.assertRaises(StateError, read_secret, self.path)))

    @skipIf(os.geteuid() != 0, "needs root to give a file away")
    def test_foreign(self) -> None:
        """A key file of another user is refused."""
        write_atomically(self.path, b"secret")
        os.chown(self.path, 12345, -1)
        for owner in (None, 12346):
            self.assertIn("12345", str(self.assertRaises(StateError, read_secret, self.path, owner)))
        self.assertEqual(read_secret(self.path, 12345), b"secret")

    def test_fifo(self) -> None:
        """A FIFO in its place is refused, and not waited for."""
        os.mkfifo(self.path, 0o600)
        self.assertRaises(StateError, read_secret, self.path)

    def test_huge(self) -> None:
        """A file that is no key is not read into memory."""
        write_atomically(self.path, b"")
        os.truncate(self.path, files.SECRET_SIZE + 1)
        self.assertRaises(StateError, read_secret, self.path)


def _raise_no_space(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def _noting(done: list[str], name: str, function):
    def noting(*arguments):
        done.append(name)
        return function(*arguments)

    return noting


def _kill_at(wanted: int) -> None:
    """From now on, kill this process at the step of that number: 2n before, 2n + 1 after the n-th call."""
    step = -1

    def killing(function):
        def call(*arguments):
            nonlocal step
            step += 1
            if step == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments)
            step += 1
            if step == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in STEPS:
        setattr(os, name, killing(getattr(os, name)))
