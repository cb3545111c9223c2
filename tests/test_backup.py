"""The identity in a file under a passphrase."""

import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from p2pchat.core.errors import StateError, UsageError, UserError
from p2pchat.core.identity import Identity, format_id
from p2pchat.peer import backup, offline
from p2pchat.peer.backup import decrypt, encrypt, export_identity, import_identity
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.keys import load_identity

PASSPHRASE = "pässword of 3 words"
ALICE = Identity.from_seed(b"a" * 32)


class FormatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(backup, "SCRYPT_COST", 16)
        self.data = encrypt(ALICE, PASSPHRASE, bytes(16), bytes(range(16)))

    def refused(self, words: str, data: bytes, passphrase: str = PASSPHRASE) -> None:
        error = self.assertRaises(UserError, decrypt, data, passphrase)
        self.assertIn(words, str(error))
        self.assertNotIn("\n", str(error))

    def test_round_trip(self) -> None:
        """With the passphrase, in whatever way its letters are typed, the same identity comes back."""
        self.assertEqual(decrypt(self.data, PASSPHRASE).id, ALICE.id)
        self.assertEqual(decrypt(self.data, "pa\u0308ssword of 3 words").id, ALICE.id)
        self.assertIn(format_id(ALICE.id).encode(), self.data)

    def test_plain_pkcs8(self) -> None:
        """It is a key that other programs read."""
        key = load_pem_private_key(self.data, PASSPHRASE.encode())
        self.assertEqual(key.public_key(), ALICE.private_key.public_key())

    def test_openssl(self) -> None:
        """OpenSSL's own command reads it too, and sees the cost of a guess."""
        openssl = shutil.which("openssl")
        if openssl is None:
            raise SkipTest("there is no openssl command")
        self.patch(backup, "SCRYPT_COST", 2**14)
        file = Path(tempfile.mkdtemp()) / "alice.pem"
        file.write_bytes(encrypt(ALICE, "only-ascii", bytes(16), bytes(16)))
        run = subprocess.run(
            [openssl, "pkey", "-in", file, "-passin", "pass:only-ascii", "-text", "-noout"],
            capture_output=True,
            text=True,
        )
        self.assertIn("ED25519", run.stdout.upper(), run.stderr)
        parsed = subprocess.run([openssl, "asn1parse", "-in", file], capture_output=True, text=True).stdout
        for part in ("PBES2", "scrypt", ":4000", "aes-256-cbc"):
            self.assertIn(part, parsed)

    def test_wrong_passphrase(self) -> None:
        """Without the passphrase nothing comes back."""
        self.refused("not the passphrase", self.data, "another passphrase")
        self.refused("not the passphrase", self.data, "")

    def test_other_files(self) -> None:
        """A file that is something else is said to be that."""
        for data in (b"", b"junk", b"\xff" * 100, ALICE.key):
            self.refused("no exported identity", data)

    def test_damage(self) -> None:
        """A damaged file never becomes another identity."""
        text = self.data.decode()
        start = text.index("-----\n") + 6
        for place in range(start, text.index("-----END"), 3):
            letter = "A" if text[place] != "A" else "B"
            if text[place] == "\n":
                continue
            damaged = f"{text[:place]}{letter}{text[place + 1 :]}".encode()
            try:
                self.assertEqual(decrypt(damaged, PASSPHRASE).id, ALICE.id)
            except UserError as error:
                self.assertNotIn("\n", str(error))

    def test_salt(self) -> None:
        """Another salt makes another file."""
        self.assertNotEqual(self.data, encrypt(ALICE, PASSPHRASE, bytes(15) + b"1", bytes(range(16))))


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(backup, "SCRYPT_COST", 16)
        self.home = Path(tempfile.mkdtemp())
        self.state = self.home / "state"
        self.file = self.home / "alice.pem"
        offline.set_handle(self.state, "alice")
        self.identity = load_identity(StateDirectory(self.state).key_file)
        assert self.identity is not None
        self.own = self.identity.id

    def refused(self, kind: type[UserError], words: str, *arguments: Any) -> None:
        function, *rest = arguments
        error = self.assertRaises(kind, function, *rest)
        self.assertIn(words, str(error))
        self.assertNotIn("\n", str(error))

    def export(self) -> None:
        export_identity(self.state, self.file, PASSPHRASE)

    def test_export_and_import(self) -> None:
        """An identity goes to a new machine in a private file."""
        with StateDirectory(self.state, "peer"):  # while a peer runs
            self.export()
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        other = self.home / "other"
        self.assertEqual(import_identity(other, self.file, PASSPHRASE).id, self.own)
        found = load_identity(StateDirectory(other).key_file)
        assert found is not None
        self.assertEqual(found.id, self.own)

    def test_never_overwrites(self) -> None:
        """An export replaces nothing."""
        self.file.write_text("precious")
        self.refused(UserError, "exists already", self.export)
        self.assertEqual(self.file.read_text(), "precious")

    def test_nothing_to_export(self) -> None:
        """Where there is no identity none is made."""
        self.refused(StateError, "no identity yet", export_identity, self.home / "new", self.file, PASSPHRASE)
        self.assertFalse((self.home / "new").exists())

    def test_short_passphrase(self) -> None:
        """A passphrase that could be guessed is refused."""
        self.refused(UsageError, "8 characters", export_identity, self.state, self.file, "seven77")
        self.assertFalse(self.file.exists())

    def test_no_such_file(self) -> None:
        """A file that cannot be read is one line."""
        self.refused(UserError, "cannot read", import_identity, self.state, self.file, PASSPHRASE)

    def test_lost_key(self) -> None:
        """A directory that lost its key gets it back."""
        self.export()
        StateDirectory(self.state).key_file.unlink()
        import_identity(self.state, self.file, PASSPHRASE)
        offline.set_handle(self.state, "still-alice")

    def test_own_identity(self) -> None:
        """Importing what is there changes nothing."""
        self.export()
        self.refused(UserError, "this identity already", import_identity, self.state, self.file, PASSPHRASE)

    def test_another_identity(self) -> None:
        """An identity is never replaced, with its key there or lost."""
        other = self.home / "other"
        offline.set_handle(other, "bob")
        self.export()
        before = StateDirectory(other).key_file.read_bytes()
        self.refused(StateError, "another identity", import_identity, other, self.file, PASSPHRASE)
        self.assertEqual(StateDirectory(other).key_file.read_bytes(), before)
        StateDirectory(other).key_file.unlink()
        self.refused(StateError, "another identity", import_identity, other, self.file, PASSPHRASE)
        self.assertFalse(StateDirectory(other).key_file.exists())

    def test_another_identity_without_a_database(self) -> None:
        """So it is where there is only a key yet."""
        self.export()
        other = self.home / "other"
        offline.set_handle(other, "bob")
        StateDirectory(other).database_file("peer").unlink()
        self.refused(UserError, "another identity", import_identity, other, self.file, PASSPHRASE)

    def test_a_servers_directory(self) -> None:
        """A server whose key is lost gets no peer's."""
        self.export()
        other = self.home / "server"
        other.mkdir()
        StateDirectory(other).database_file("server").touch()
        self.refused(StateError, "a server's directory", import_identity, other, self.file, PASSPHRASE)
        self.assertFalse(StateDirectory(other).key_file.exists())

    def test_while_a_peer_runs(self) -> None:
        """A running peer's identity is not exchanged."""
        self.export()
        with StateDirectory(self.state, "peer"):
            self.refused(StateError, "in use", import_identity, self.state, self.file, PASSPHRASE)
