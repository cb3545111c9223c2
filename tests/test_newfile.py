"""p2pchat.ui.newfile: a file that appears whole or not at all; p2pchat.ui.paths: names of files offered."""

import errno
import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import UserError
from p2pchat.ui.commands import completions
from p2pchat.ui.newfile import NewFile
from p2pchat.ui.paths import path_offers


class NewFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "new.txt"

    def names(self) -> list[str]:
        return sorted(os.listdir(self.directory))

    def test_whole(self) -> None:
        """Nothing stands under its name before it is complete; then it is there, for its owner alone."""
        file = NewFile(self.path)
        file.write(b"one ")
        file.write(b"two")
        self.assertFalse(self.path.exists())
        file.place()
        self.assertEqual(self.path.read_bytes(), b"one two")
        self.assertEqual((self.names(), self.path.stat().st_mode & 0o777), (["new.txt"], 0o600))

    def test_discarded(self) -> None:
        """Nothing is left of it, and it takes nothing more."""
        file = NewFile(self.path)
        file.write(b"one")
        file.discard()
        self.assertEqual(self.names(), [])
        self.assertRaises(UserError, file.write, b"two")
        self.assertRaises(UserError, file.place)
        file.discard()
        self.assertEqual(self.names(), [])

    def test_one_that_comes_first(self) -> None:
        """Of two that race for a name the later one is refused, and the first stays."""
        first, second = NewFile(self.path), NewFile(self.path)
        first.write(b"first")
        first.place()
        second.write(b"second")
        self.assertIn("already", str(self.assertRaises(UserError, second.place)))
        self.assertEqual((self.names(), self.path.read_bytes()), (["new.txt"], b"first"))

    def test_no_hard_links_and_a_full_disk(self) -> None:
        """Where it cannot be moved to the name that was taken for it, that name is given back."""
        file = NewFile(self.path)
        file.write(b"one")
        refuse = mock.patch("p2pchat.ui.newfile.os.link", side_effect=OSError(errno.EPERM, "Operation not permitted"))
        full = mock.patch("p2pchat.ui.newfile.os.replace", side_effect=OSError(errno.ENOSPC, "No space left on device"))
        with refuse, full, self.assertRaisesRegex(UserError, "no room on the disk"):
            file.place()
        self.assertEqual(self.names(), [])

    def test_no_hard_links(self) -> None:
        """On a file system without hard links it appears too, and never in place of another."""
        refuse = mock.patch("p2pchat.ui.newfile.os.link", side_effect=OSError(errno.EPERM, "Operation not permitted"))
        with refuse:
            file, late = NewFile(self.path), NewFile(self.path)
            file.write(b"one")
            file.place()
            self.assertIn("already", str(self.assertRaises(UserError, late.place)))
        self.assertEqual((self.names(), self.path.read_bytes()), (["new.txt"], b"one"))

    def test_refused(self) -> None:
        """What cannot be written is one line, with what to do."""
        for name, words in {
            "no/such": "No such file",
            "\0": "cannot be the name",
            "/": "cannot be the name",
            "x" * 300: "File name too long",
        }.items():
            error = str(self.assertRaises(UserError, lambda name=name: NewFile(self.directory / name).place()))
            self.assertIn(words, error)
            self.assertNotIn("\n", error)
        self.assertEqual(self.names(), [])

    def test_full_disk(self) -> None:
        """On a full disk nothing is left of it."""
        file = NewFile(self.path)
        file.write(b"one")
        with mock.patch("p2pchat.ui.newfile.os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.assertIn("make room", str(self.assertRaises(UserError, file.place)))
        self.assertEqual(self.names(), [])


class OffersTests(SynchronousTestCase):
    def test_offers(self) -> None:
        """Directories end in a slash; hidden names are offered once their dot was typed; ~ stays; odd ones are not."""
        directory = Path(self.mktemp()).absolute()
        (directory / "notes.d").mkdir(parents=True)
        for name in ("notes.txt", "other", ".hidden", "two words", "bad\x1bname", 'quo"te'):
            (directory / name).touch()
        here = f"{directory}/"
        for begun, offers in {"no": ["notes.d/", "notes.txt"], ".h": [".hidden"], "t": [], "b": [], "q": []}.items():
            self.assertEqual(path_offers(here + begun), [here + offer for offer in offers], begun)
        self.assertEqual(path_offers(here), [here + name for name in ("notes.d/", "notes.txt", "other")])
        with mock.patch.dict(os.environ, HOME=str(directory)):
            self.assertEqual(path_offers("~/o"), ["~/other"])
            for typed in ("/export bob ~/o", "/export ~/o"):
                self.assertEqual(completions(typed, ["bob"], []), ["~/other"])
        self.assertEqual(path_offers(f"{here}none/x"), [])
        self.assertEqual(path_offers("\0/x"), [])
