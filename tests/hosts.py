"""Hosts of our own for tests: network namespaces joined by a bridge, with real twistd processes on them."""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

TWISTD = str(Path(sys.executable).with_name("twistd"))
COMMAND = str(Path(sys.executable).with_name("p2pchat"))

WITHIN = 120.0
"""Seconds for anything to happen on a busy machine; a test that waits so long has failed."""


def unusable() -> str | None:
    """Why network namespaces cannot be made here; None if they can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    if shutil.which("ip") is None:
        return "needs iproute2"
    name = f"p2pt{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode != 0:
        return "network namespaces cannot be made here"
    subprocess.run(["ip", "netns", "delete", name], check=False)
    return None


def run(*words: str) -> str:
    """Run a command to its end; its output."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=WITHIN, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Network:
    """A bridge, and hosts on it; all gone with `close`."""

    def __init__(self) -> None:
        self._prefix = f"p2p{os.getpid() % 10_000}"
        self._hub = f"{self._prefix}hub"
        self.hosts: list[Host] = []
        run("ip", "netns", "add", self._hub)
        run("ip", "-n", self._hub, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", self._hub, "link", "set", "bridge", "up")

    def host(self, *addresses: str) -> "Host":
        """A new host with these addresses, written with their prefix length."""
        number = len(self.hosts)
        host = Host(f"{self._prefix}h{number}", self._hub, f"port{number}", addresses)
        self.hosts.append(host)
        return host

    def close(self) -> None:
        """End every process and take everything down."""
        for host in self.hosts:
            host.close()
        subprocess.run(["ip", "netns", "delete", self._hub], check=False)


class Host:
    """One host: a namespace with one interface."""

    def __init__(self, name: str, hub: str, port: str, addresses: tuple[str, ...]) -> None:
        self.name = name
        self._hub = hub
        self._port = port
        self._processes: list[Process] = []
        run("ip", "netns", "add", name)
        run("ip", "-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", hub, "link", "set", port, "master", "bridge", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        for address in addresses:
            self.give(address)

    def give(self, address: str) -> None:
        """One more address."""
        flags = ["nodad"] if ":" in address else []
        run("ip", "-n", self.name, "address", "add", address, "dev", "eth0", *flags)

    def take(self, address: str) -> None:
        """One address less."""
        run("ip", "-n", self.name, "address", "delete", address, "dev", "eth0")

    def shut(self, port: int) -> None:
        """Let nobody reach a TCP port from outside, in silence, as a firewall that drops."""
        run("ip", "-n", self.name, "rule", "add", "ipproto", "tcp", "sport", str(port), "blackhole")

    def pull(self) -> None:
        """Pull the cable."""
        run("ip", "-n", self._hub, "link", "set", self._port, "down")

    def plug(self) -> None:
        """Put the cable in again."""
        run("ip", "-n", self._hub, "link", "set", self._port, "up")

    def start(self, *words: str) -> "Process":
        """Run a command here."""
        process = Process(("ip", "netns", "exec", self.name, *words))
        self._processes.append(process)
        return process

    def run(self, *words: str) -> str:
        """Run a command here to its end; its output."""
        return run("ip", "netns", "exec", self.name, *words)

    def close(self) -> None:
        """End what runs here, and the host."""
        for process in self._processes:
            process.close()
        subprocess.run(["ip", "netns", "delete", self.name], check=False)


class Process:
    """A process whose lines are waited for; `ip netns exec` becomes the command, so its pid is the command's."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self._data = b""
        self._from = 0

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{line}\n".encode())

    def wait_for(self, sign: str, within: float = WITHIN) -> str:
        """The line with `sign`, which must come after what was waited for before."""
        end = time.monotonic() + within
        assert self._child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while True:
                for line in self._data[self._from :].decode("utf-8", "replace").splitlines(keepends=True):
                    if not line.endswith("\n"):
                        break
                    self._from += len(line.encode())
                    if sign in line:
                        return line.rstrip("\n")
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise AssertionError(f"no {sign!r} in:\n{self._data.decode('utf-8', 'replace')}")
                chunk = self._child.stdout.read(65536)
                if not chunk:
                    raise AssertionError(f"ended without {sign!r}:\n{self._data.decode('utf-8', 'replace')}")
                self._data += chunk

    def kill(self) -> None:
        """kill -9."""
        self._child.kill()
        self._child.wait(WITHIN)

    def code(self) -> int:
        """Wait for its end; its exit code."""
        return self._child.wait(WITHIN)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(10)
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait(WITHIN)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
