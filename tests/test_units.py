"""The systemd units: the same in the package and in the program, and taken by systemd without a word."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from p2pchat.units import unit

ROOT = Path(__file__).parent.parent
ROLES: tuple[Literal["server", "peer"], ...] = ("server", "peer")


class UnitTests(SynchronousTestCase):
    def test_packaged(self) -> None:
        """systemd/ holds what the program prints, with the paths of a package."""
        for role in ROLES:
            file = ROOT / "systemd" / f"p2pchat-{role}.service"
            if not file.exists():
                raise SkipTest("not a source tree")
            self.assertEqual(file.read_text(), unit(role))

    def test_command(self) -> None:
        """The daemon stays in the foreground, without a pid file, and logs to the journal."""
        for role in ROLES:
            line = f"ExecStart=/x/twistd --nodaemon --pidfile= --logfile=- p2pchat-{role}"
            self.assertTrue(any(each.startswith(line) for each in unit(role, "/x/twistd").splitlines()))

    def test_never_write_and_execute(self) -> None:
        """The one hardening that breaks TLS stays off."""
        for role in ROLES:
            self.assertNotIn("\nMemoryDenyWriteExecute=", unit(role))

    def test_home(self) -> None:
        """An installation in somebody's home is not hidden from the service."""
        self.assertIn("\nProtectHome=yes\n", unit("server"))
        self.assertIn("\nProtectHome=read-only\n", unit("server", "/home/somebody/.local/bin/twistd"))

    def test_odd_paths(self) -> None:
        """What means something to systemd is written so that it means the path."""
        self.assertIn('ExecStart="/my env/50%%/a\\"b/twistd" --nodaemon', unit("server", '/my env/50%/a"b/twistd'))


class SystemdTests(SynchronousTestCase):
    def setUp(self) -> None:
        tool = shutil.which("systemd-analyze")
        if tool is None:
            raise SkipTest("there is no systemd-analyze")
        self.tool = tool
        self.directory = Path(tempfile.mkdtemp())

    def analyze(self, role: Literal["server", "peer"], *words: str) -> subprocess.CompletedProcess[str]:
        file = self.directory / f"p2pchat-{role}.service"
        # Any program that is there will do: it is not run.
        file.write_text(unit(role, sys.executable))
        return subprocess.run(
            [self.tool, *words, str(file)],
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.directory)},
        )

    def test_verify(self) -> None:
        """systemd has nothing to say about either unit; it exits with 0 even where it does not know a word."""
        for role, words in (("server", ("verify",)), ("peer", ("--user", "verify"))):
            run = self.analyze(role, *words)  # type: ignore[arg-type]
            self.assertEqual((run.stdout, run.stderr, run.returncode), ("", "", 0))

    def test_exposure(self) -> None:
        """The server's unit is among the tightest that systemd knows: 1.5 of 10 at most."""
        run = self.analyze("server", "security", "--offline=true", "--threshold=15")
        self.assertEqual(run.returncode, 0, run.stdout)
