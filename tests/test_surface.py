"""p2pchat.ui.surface: what is done to a terminal apart from drawing on it."""

import os
import pty
import select

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.ui.surface import drop_typed


class DropTypedTests(SynchronousTestCase):
    def test_dropped(self) -> None:
        """What was typed and not read is gone for whoever reads the terminal next."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        for text in (b"words for a friend\n", b"and half a li"):
            os.write(master, text)
        drop_typed(slave)
        self.assertEqual(select.select([slave], [], [], 0)[0], [])
        os.write(master, b"ls\n")
        self.assertEqual(os.read(slave, 100), b"ls\n")

    def test_no_terminal(self) -> None:
        """Where there is none nothing happens."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, b"text")
        os.close(writing)
        drop_typed(reading)
        self.assertEqual(os.read(reading, 10), b"text")
