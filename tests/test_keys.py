"""The identity's key file: made once, never replaced."""

import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import StateError
from p2pchat.core.identity import Identity, short_id
from p2pchat.storage import keys
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.keys import load_identity, load_or_create_identity, store_identity

SEED = bytes(range(32))
OTHER = bytes(reversed(range(32)))


class KeyCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = StateDirectory(Path(tempfile.mkdtemp()) / "state", "peer")
        self.directory.open()
        self.addCleanup(self.directory.close)
        self.file = self.directory.key_file

    def load(self, known: bytes | None = None, seed: bytes = SEED) -> Identity:
        return load_or_create_identity(self.directory, known, lambda: seed)

    def refused(self, words: str, *arguments: Any) -> None:
        before = self.file.read_bytes() if self.file.exists() else None
        error = self.assertRaises(StateError, self.load, *arguments)
        self.assertIn(words, str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual(self.file.read_bytes() if self.file.exists() else None, before)


class CreateTests(KeyCase):
    def test_first_start(self) -> None:
        """A first start makes a key, readable by its owner alone; later ones find it."""
        made = self.load()
        self.assertEqual(made.id, Identity.from_seed(SEED).id)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(self.load(seed=OTHER).id, made.id)
        self.assertEqual(self.load(made.key, OTHER).id, made.id)

    def test_F40_two_at_once(self) -> None:
        """Where another process put a key there in the same moment, that one counts."""

        def late() -> bytes:
            store_identity(self.file, Identity.from_seed(OTHER))
            return SEED

        found = load_or_create_identity(self.directory, None, late)
        self.assertEqual(found.id, Identity.from_seed(OTHER).id)

    def test_F40_vanished(self) -> None:
        """A key that is gone again at once is never answered for."""
        self.patch(keys, "create_once", lambda file, data: None)
        self.refused("vanished")

    def test_F40_killed_while_it_was_made(self) -> None:
        """No second name of a key, and no half of one, stays behind where its maker was killed."""
        made = self.load()
        self.directory.close()
        path = self.directory.path
        os.link(self.file, path / f".{self.file.name}.0123456789abcdef")
        (path / f".{self.file.name}.fedcba9876543210").write_bytes(b"half")
        others = [f".{self.file.name}.old", f"{self.file.name}.0123456789abcdef", ".other.0123456789abcdef"]
        for name in others:
            (path / name).write_bytes(b"somebody's")
        self.directory.open()
        left = {entry.name for entry in path.iterdir()} - {"lock"}
        self.assertEqual(left, {self.file.name, *others})
        self.assertEqual(self.file.stat().st_nlink, 1)
        self.assertEqual(self.load().id, made.id)

    def test_store_once(self) -> None:
        """A key is never written over."""
        store_identity(self.file, Identity.from_seed(SEED))
        self.assertRaises(FileExistsError, store_identity, self.file, Identity.from_seed(OTHER))
        self.assertEqual(self.load().id, Identity.from_seed(SEED).id)
        self.assertEqual(
            [entry.name for entry in self.directory.path.iterdir() if entry.name != "lock"], ["identity.key"]
        )


class RefusalTests(KeyCase):
    def test_F40_missing_key(self) -> None:
        """A lost key file of a known identity makes no new identity, and the way back is named."""
        known = Identity.from_seed(SEED)
        self.refused(f"missing, the key of {short_id(known.id)}", known.key)
        self.assertFalse(self.file.exists())

    def test_other_identity(self) -> None:
        """A key file that was exchanged is noticed."""
        self.load()
        self.refused("belongs to", Identity.from_seed(OTHER).key)

    def test_F40_unreadable(self) -> None:
        """What cannot be read is not replaced."""
        identity = Identity.from_seed(SEED)
        private = identity.private_key
        whole = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        rows = (
            (b"", "holds no private key"),
            (b"junk", "holds no private key"),
            (whole[:-40], "holds no private key"),
            (
                private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
                "holds no private key",
            ),
            (
                rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
                "another kind of key",
            ),
        )
        for data, words in rows:
            with self.subTest(data[:40]):
                self.file.write_bytes(data)
                self.file.chmod(0o600)
                self.refused(words)

    def test_open_to_others(self) -> None:
        """A key that others could read is refused, as ssh does."""
        self.load()
        self.file.chmod(0o644)
        self.refused("chmod 600")

    def test_no_permission(self) -> None:
        """A key that may not be read is no absent key."""
        self.file.mkdir()
        self.assertRaises(StateError, self.load)
        os.rmdir(self.file)

    def test_none(self) -> None:
        """No file is no identity, and nothing is made by looking."""
        self.assertIsNone(load_identity(self.file))
        self.assertFalse(self.file.exists())
