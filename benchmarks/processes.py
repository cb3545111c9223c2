"""
Processes that are measured, and those that load them.

A *program* of ours reads one JSON object a line on its standard input and answers each with one on its standard
output. What a process cost is read from /proc, so nothing of whoever loads it is in the figure.
"""

import json
import os
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ANSWER_WITHIN = 120.0
"""Seconds for one answer; far more than any needs."""

ROOT = Path(__file__).parent.parent
"""From where this package is found."""

TWISTD = str(Path(sys.executable).with_name("twistd"))
P2PCHAT = str(Path(sys.executable).with_name("p2pchat"))


class BenchmarkFailed(Exception):
    """Something could not be measured; one line says why."""


class Daemon:
    """A process that says in lines what it does; ended with the benchmark."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=ROOT)
        self._data = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def read_line(self) -> str:
        """The next line that it says. Raises BenchmarkFailed."""
        assert self._process.stdout is not None
        end = time.monotonic() + ANSWER_WITHIN
        while b"\n" not in self._data:
            if not select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise BenchmarkFailed(f"no answer from {' '.join(self._words)}")
            data = self._process.stdout.read(65536)
            if not data:
                raise BenchmarkFailed(f"{' '.join(self._words)} ended")
            self._data += data
        line, self._data = self._data.split(b"\n", 1)
        return line.decode()

    def says_within(self, seconds: float) -> bool:
        """Whether it says something in that time."""
        assert self._process.stdout is not None
        return b"\n" in self._data or bool(select.select([self._process.stdout], [], [], seconds)[0])

    def read_until(self, sign: str) -> str:
        """Its lines up to one with `sign` in it, and that one. Raises BenchmarkFailed."""
        while sign not in (line := self.read_line()):
            pass
        return line

    def write_line(self, line: str) -> None:
        """Say something to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def end(self) -> None:
        """Ask it to end, and make it."""
        _end(self._process)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


class Program(Daemon):
    """A module of this package in a process of its own; `greeting` is what it said first."""

    def __init__(self, module: str, *words: str) -> None:
        super().__init__(sys.executable, "-m", f"benchmarks.{module}", *words)
        self.greeting = self.answer()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Have something done; what came of it."""
        self.put(**question)
        return self.answer()

    def put(self, **question: Any) -> None:
        """Have something done; `answer` must follow."""
        self.write_line(json.dumps(question))

    def answer(self) -> dict[str, Any]:
        """Its next answer."""
        answer: dict[str, Any] = json.loads(self.read_line())
        return answer


class Stage(ExitStack):
    """All processes of a measure; they end with it."""

    def program(self, module: str, *words: str) -> Program:
        """Start a program of this package."""
        program = Program(module, *words)
        self.callback(program.end)
        return program

    def process(self, *words: str, stdin: Any = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        """Start a process whose output is of no interest."""
        process = subprocess.Popen(words, stdin=stdin, stdout=subprocess.DEVNULL, cwd=ROOT)
        self.callback(_end, process)
        return process

    def daemon(self, *words: str) -> Daemon:
        """Start any other process."""
        daemon = Daemon(*words)
        self.callback(daemon.end)
        return daemon


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def peer_words(state: Path, *words: str) -> tuple[str, ...]:
    """A real peer on loopback, on any ports, who accepts everybody."""
    return (
        TWISTD, "-n", "p2pchat-peer", "--state", str(state), "--name", state.name, "--listen-port", "0",
        "--dial-port", "0", "--interface", "127.0.0.1", "--accept", "all", *words,
    )  # fmt: skip


def cpu_seconds(pid: int) -> float:
    """Processor time that all threads of a process have used, by the scheduler's own account (nanoseconds)."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total / 1e9


def pss_kib(pid: int) -> int:
    """Memory of a process, what it shares with others counted by its part, in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0])
    raise BenchmarkFailed("this kernel does not tell the memory of a process")
