"""p2pchat.ui.appending: a thread that writes, beside a pipe that nobody reads, and a disk that hangs."""

import os
import stat
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from p2pchat.core.errors import StoreError
from p2pchat.ui import appending
from p2pchat.ui.appending import WAITING_BYTES, InThread
from p2pchat.ui.transcript import Transcript
from tests.fake_api import BOB
from tests.test_transcript import said


class AppendingTests(TestCase):
    def setUp(self):
        self.path = Path(self.mktemp())
        self.failed = []

    def open(self, path=None):
        file = InThread(path or self.path, reactor)
        file.end = file.open(100, self.failed.append)
        return file

    async def test_in_order(self):
        """What is given is behind what was there, in order, once it is closed; of that the last bytes are told."""
        self.path.write_bytes(b"x" * 150)
        file = self.open()
        self.assertEqual((file.end.data, file.end.whole), (b"x" * 100, False))
        for number in range(1_000):
            self.assertTrue(file.append(b"%d\n" % number))
        file.append(b"")
        await file.close(b"last")
        self.assertEqual(self.path.read_bytes()[150:], b"".join(b"%d\n" % n for n in range(1_000)) + b"last")

    async def test_new(self):
        """A new file is 0600."""
        file = self.open()
        self.assertEqual((file.end.data, file.end.whole), (b"", True))
        await file.close()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def reading(self):
        """Somebody reads at last: a thread, and what it reads until the end."""
        data = bytearray()

        def read():
            with self.path.open("rb", buffering=0) as file:
                while piece := file.read(1 << 20):
                    data.extend(piece)

        thread = threading.Thread(target=read)
        thread.start()
        return thread, data

    async def test_nobody_reads(self):
        """A pipe that nobody reads holds nobody up: what is beyond the bound is not taken, what was is written."""
        os.mkfifo(self.path)
        file = self.open()
        piece = b"y" * 65_536
        taken = 0
        while file.append(piece):
            taken += 1
            self.assertLess(taken, WAITING_BYTES // 65_536 + 10)
        self.assertFalse(file.has_room)
        closed = file.close()
        self.assertFalse(closed.called)
        thread, data = self.reading()
        await closed
        thread.join()
        self.assertEqual(len(data), taken * len(piece))

    async def test_room(self):
        """Whoever writes much waits for room, but not for ever."""
        self.patch(appending, "ROOM_WAIT", 0.1)
        os.mkfifo(self.path)
        file = self.open()
        while file.append(b"y" * 65_536):
            pass
        await file.room()
        self.assertFalse(file.has_room)
        self.patch(appending, "ROOM_WAIT", 60.0)
        thread, _ = self.reading()
        await file.room()
        self.assertTrue(file.has_room)
        await file.close()
        thread.join()

    async def test_full_disk(self):
        """An error is told once; what comes later is dropped."""
        told = Deferred()
        file = InThread(Path("/dev/full"), reactor)
        file.open(100, told.callback)
        file.append(b"a")
        error = await told
        self.assertIn("No space left", error.strerror)
        file.append(b"b")
        await file.close(b"c")

    def test_cannot_be_opened(self):
        """What cannot be opened is an error at once."""
        for path in (self.path / "no" / "such", Path(".")):
            self.assertRaises(OSError, InThread(path, reactor).open, 100, self.failed.append)

    def test_whole_disk(self):
        """A block device is refused, in one line."""
        with mock.patch("p2pchat.ui.appending.os.fstat", lambda _: SimpleNamespace(st_mode=stat.S_IFBLK)):
            transcript = Transcript(InThread(self.path, reactor), lambda: 0.0, self.failed.append)
            error = self.assertRaises(StoreError, transcript.open)
        self.assertEqual(
            str(error), f"cannot write the transcript {self.path}: it is a whole disk, no file; choose another file"
        )

    async def test_disk_that_hangs(self):
        """A disk that does not answer when the file is opened ends the wait; the file is closed when it does."""
        self.patch(appending, "OPEN_WAIT", 0.01)
        goes_on, opened = threading.Event(), appending.open_end

        def hangs(path):
            goes_on.wait(60)
            return opened(path)

        self.patch(appending, "open_end", hangs)
        file = InThread(self.path, reactor)
        error = self.assertRaises(OSError, file.open, 100, self.failed.append)
        self.assertEqual(error.strerror, "its disk does not answer")
        goes_on.set()
        await file._stopped
        self.assertEqual(self.failed, [])

    async def test_transcript_in_a_pipe(self):
        """A transcript in a pipe that nobody reads takes whatever happens, and says in the end how much is missing."""
        os.mkfifo(self.path)
        transcript = Transcript(InThread(self.path, reactor), lambda: 0.0, self.failed.append)
        transcript.open()
        for number in range(1_200):
            transcript.take(said("z" * 16_000, number, BOB))
        closed = transcript.close()
        thread, data = self.reading()
        await closed
        thread.join()
        written = data.count(b" bob#")
        self.assertRegex(bytes(data[-60:]), rb"-- %d records are missing here\n$" % (1_200 - written))
        self.assertGreater(written, 400)
