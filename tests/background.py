"""Daemonized peers with a server, in a temporary directory, for the commands that use them."""

import json
import re
import subprocess
import sys
from typing import Any

from tests.terminals import PATIENCE, Terminal
from tests.test_tap_peer import Processes

P2PCHAT = [sys.executable, "-m", "p2pchat"]


class Background(Processes):
    """Peers that run in the background, as `twistd p2pchat-peer` starts them, and a server if a test starts one."""

    def setUp(self) -> None:
        super().setUp()
        self.environment |= {"TERM": "xterm", "NO_COLOR": "1"}
        self.link: str | None = None

    def start_server(self) -> None:
        """Peers that are started from now on join it."""
        words = self.words("p2pchat-server", "server", "--port", "0", "--interface", "127.0.0.1", "--host", "127.0.0.1")
        self.server = self.start(words, "server.out")
        found = re.search(r"p2pchat://127[^'\s]+", self.wait_for("server.out", "p2pchat join"))
        assert found is not None
        self.link = found[0]

    def run_p2pchat(self, *words: str, code: int = 0, **options: Any) -> str:
        """The standard output of the command, which must exit with `code`."""
        options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
        result = subprocess.run(
            [*P2PCHAT, *words], cwd=self.directory, env=self.environment, capture_output=True, text=True,
            timeout=PATIENCE, **options,
        )  # fmt: skip
        self.assertEqual(result.returncode, code, result)
        return str(result.stdout)

    def daemonize(self, name: str, *arguments: str) -> None:
        """Start a peer in the background; it is up when this returns."""
        joining = () if self.link is None else ("--join", self.link)
        words = self.peer_words(name, *joining, *arguments)
        subprocess.run(
            [word for word in words if word != "-n"],
            cwd=self.directory, env=self.environment, check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.addCleanup(self.stop, name)

    def stop(self, name: str) -> None:
        """End it, if it runs."""
        words = [*P2PCHAT, "stop", "--state", str(self.directory / name)]
        subprocess.run(words, env=self.environment, capture_output=True, timeout=PATIENCE)

    def status(self, name: str) -> dict[str, Any]:
        found = json.loads(self.run_p2pchat("status", "--json", "--state", name))
        assert isinstance(found, dict)
        return found

    def befriend(self, *names: str) -> None:
        """Each is a contact of the others, under the same name."""
        ids = {name: self.status(name)["myself"]["id"] for name in names}
        for name in names:
            for other in names:
                if other != name:
                    self.run_p2pchat("contact", "add", ids[other], "--name", other, "--state", name)

    def attach(self, name: str, *words: str) -> Terminal:
        """A terminal on a peer."""
        command = [*P2PCHAT, *(words or ("attach",)), "--state", str(self.directory / name)]
        terminal = Terminal(command, cwd=self.directory, env=self.environment)
        self.addCleanup(terminal.close)
        return terminal
