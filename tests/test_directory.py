"""p2pchat.storage.directory."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

import p2pchat
from p2pchat.core.errors import StateError, StateInUse
from p2pchat.storage.directory import Holder, StateDirectory, holder

HOLD = """
import sys
from p2pchat.storage.directory import StateDirectory
directory = StateDirectory(sys.argv[1], "peer")
directory.open()
print("held", flush=True)
sys.stdin.read()
"""


class DirectoryTestCase(SynchronousTestCase):
    """A place for state directories."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.base = Path(temporary.name)
        self.path = self.base / "state"

    def opened(self, role: str = "peer") -> StateDirectory:
        directory = StateDirectory(self.path, role)
        directory.open()
        self.addCleanup(directory.close)
        return directory

    def hold(self) -> "subprocess.Popen[str]":
        """Another process that holds the directory."""
        root = str(Path(p2pchat.__file__).parents[1])
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
        )
        self.addCleanup(self.end, process)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), "held\n")
        return process

    def end(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.communicate()


class Opening(DirectoryTestCase):
    """What a directory must be."""

    def test_constructor_touches_nothing(self) -> None:
        """Before open() there is nothing on the disk and no descriptor: twistd forks in between."""
        descriptors = os.listdir("/proc/self/fd")
        directory = StateDirectory(self.path, "peer")
        self.assertFalse(directory.opened)
        self.assertEqual(os.listdir(self.base), [])
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(descriptors))

    def test_made_with_its_parents(self) -> None:
        """It is made, with the parents that are missing, for its owner alone."""
        self.addCleanup(os.umask, os.umask(0))
        directory = StateDirectory(self.base / "a" / "b", "peer")
        with directory:
            for path in (directory.path, directory.path.parent):
                self.assertEqual(path.stat().st_mode & 0o7777, 0o700)
            self.assertEqual(directory.lock_file.stat().st_mode & 0o7777, 0o600)

    def test_mode_is_mended(self) -> None:
        """A directory of ours that others could look into is closed to them."""
        self.path.mkdir(0o755)
        self.opened()
        self.assertEqual(self.path.stat().st_mode & 0o7777, 0o700)

    @skipIf(os.geteuid() != 0, "needs root to give a directory away")
    def test_foreign_owner(self) -> None:
        """A directory of somebody else is refused, and left as it is."""
        self.path.mkdir(0o755)
        os.chown(self.path, 12345, -1)
        error = self.assertRaises(StateError, StateDirectory(self.path).open)
        self.assertIn("--state DIR", str(error))
        self.assertEqual(self.path.stat().st_mode & 0o7777, 0o755)
        self.assertEqual(os.listdir(self.path), [])

    @skipIf(os.geteuid() != 0, "needs root to give a directory away")
    def test_foreign_owner_and_root(self) -> None:
        """To look and to recover root may use it; what root made there goes to the owner, and nothing else does."""
        self.path.mkdir(0o700)
        os.chown(self.path, 12345, 12345)
        for name in ("peer.db.x", "peer.db.twice", "other"):
            (self.path / name).write_text("")
        os.link(self.path / "peer.db.twice", self.base / "elsewhere")
        (self.path / "peer.db.link").symlink_to(self.base / "elsewhere")
        for role in ("doctor", "recover"):
            with StateDirectory(self.path, role):
                pass
        owners = {path.name: path.stat().st_uid for path in self.path.iterdir()}
        expected = {"lock": 12345, "peer.db.x": 12345, "peer.db.twice": 0, "peer.db.link": 0, "other": 0}
        self.assertEqual(owners, expected)
        for role in ("peer", "server", "command"):
            self.assertRaises(StateError, StateDirectory(self.path, role).open)

    def test_no_directory(self) -> None:
        """A file, a link into nowhere, or a place that cannot be made is refused in one line with the fix."""
        self.path.write_text("")
        (self.base / "link").symlink_to(self.base / "nowhere")
        (self.base / "loop").symlink_to(self.base / "loop")
        for path in (self.path, self.path / "below", self.base / "link", self.base / "loop", Path("/proc/no/such")):
            error = self.assertRaises(StateError, StateDirectory(path).open)
            self.assertIn("--state DIR", str(error))
            self.assertNotIn("\n", str(error))

    def test_network_file_system(self) -> None:
        """On a network file system it is refused before anything is made, also through a link, with the fix."""
        mountinfo = self.base / "mountinfo"
        mountinfo.write_text(f"1 1 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {self.base}/far rw - nfs4 files:/ rw\n")
        (self.base / "far").mkdir()
        (self.base / "near").symlink_to(self.base / "far")
        for path in (self.base / "far" / "state", self.base / "near" / "state"):
            error = self.assertRaises(StateError, StateDirectory(path, "peer", mountinfo).open)
            self.assertIn("nfs4", str(error))
            self.assertIn("choose another with --state DIR", str(error))
        self.assertEqual(os.listdir(self.base / "far"), [])
        with StateDirectory(self.base / "local", "peer", mountinfo):
            pass

    def test_opened_twice(self) -> None:
        """The same object cannot be opened twice; closed, it can be opened again."""
        directory = self.opened()
        self.assertRaises(StateError, directory.open)
        directory.close()
        directory.close()
        directory.open()
        self.assertTrue(directory.opened)

    def test_paths(self) -> None:
        """Everything has its place below the directory."""
        directory = StateDirectory("~/x")
        self.assertEqual(directory.path, Path.home() / "x")
        names = (
            directory.key_file,
            directory.database_file("peer"),
            directory.socket_file,
            directory.log_file,
            directory.pid_file,
            directory.lock_file,
        )
        self.assertEqual({name.parent for name in names}, {directory.path})
        self.assertEqual(len(set(names)), len(names))


class Locking(DirectoryTestCase):
    """One process at a time."""

    def test_F23_second_process(self) -> None:
        """A second process is refused at once, and told the pid of the first."""
        process = self.hold()
        error = self.assertRaises(StateInUse, StateDirectory(self.path, "peer").open)
        self.assertEqual(error.pid, process.pid)
        self.assertIn(f"peer with pid {process.pid}", str(error))

    def test_F23_after_kill_9(self) -> None:
        """After kill -9 of the holder the next one starts at once."""
        process = self.hold()
        process.kill()
        process.wait()
        self.opened()
        self.assertEqual(holder(self.path), Holder(os.getpid(), "peer"))

    def test_second_in_the_same_process(self) -> None:
        """Two objects in one process exclude each other as two processes do."""
        first = self.opened()
        second = StateDirectory(self.path, "peer")
        self.assertRaises(StateInUse, second.open)
        self.assertFalse(second.opened)
        first.close()
        second.open()
        second.close()

    def test_descriptors(self) -> None:
        """Neither a refusal nor a close leaves a descriptor open, and children inherit none."""
        before = len(os.listdir("/proc/self/fd"))
        first = self.opened()
        assert first._lock is not None
        self.assertFalse(os.get_inheritable(first._lock))
        self.assertRaises(StateInUse, StateDirectory(self.path).open)
        holder(self.path)
        first.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_start_while_somebody_looks(self) -> None:
        """One who only looks whether the lock is held does not make a start fail."""
        self.opened().close()
        looking = os.open(self.path / "lock", os.O_RDONLY)
        fcntl.flock(looking, fcntl.LOCK_SH)
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                os.close(looking)

        self.patch(sys.modules["p2pchat.storage.directory"].time, "sleep", pause)
        self.opened()
        self.assertEqual(len(pauses), 3)


class Holding(DirectoryTestCase):
    """Who holds a directory."""

    def test_nobody(self) -> None:
        """No directory, a fresh one, a closed one, one whose holder was killed: nobody, whatever the file says."""
        self.assertIsNone(holder(self.path))
        self.path.mkdir()
        self.assertIsNone(holder(self.path))
        self.opened().close()
        self.assertIsNone(holder(self.path))
        (self.path / "lock").write_text(f"{os.getpid()} peer\n")
        self.assertIsNone(holder(self.path))

    def test_somebody(self) -> None:
        """The pid and the role of the holder, without disturbing it."""
        directory = self.opened("server")
        self.assertEqual(directory.holder(), Holder(os.getpid(), "server"))
        self.assertRaises(StateInUse, StateDirectory(self.path).open)

    def test_somebody_unknown(self) -> None:
        """A lock held by something that wrote no number is held all the same."""
        directory = self.opened()
        for text in ("", "garbage\n", "\xff 1"):
            directory.lock_file.write_text(text, "latin-1")
            found = holder(self.path)
            assert found is not None
            self.assertIsNone(found.pid)
            self.assertIsNone(self.assertRaises(StateInUse, StateDirectory(self.path).open).pid)


class StalePidFiles(DirectoryTestCase):
    """remove_stale_pid_file."""

    def test_F41_stale(self) -> None:
        """A pid file is removed when nobody holds the lock, even if some process has its number."""
        directory = StateDirectory(self.path, "peer")
        self.assertFalse(directory.remove_stale_pid_file())
        self.path.mkdir()
        self.assertFalse(directory.remove_stale_pid_file())
        for _ in ("never locked", "locked before"):
            directory.pid_file.write_text(str(os.getpid()))
            self.assertTrue(directory.remove_stale_pid_file())
            self.assertFalse(directory.pid_file.exists())
            self.opened().close()

    def test_F41_held(self) -> None:
        """The pid file of a process that holds the lock stays."""
        self.hold()
        directory = StateDirectory(self.path, "peer")
        directory.pid_file.write_text("1")
        self.assertFalse(directory.remove_stale_pid_file())
        self.assertTrue(directory.pid_file.exists())
