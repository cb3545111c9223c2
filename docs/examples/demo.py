"""
A server and two peers on this machine, in a temporary directory.

At a terminal you are one of the peers and the other is a friendly echo; you may have it killed, and the server. Without
a terminal two text files are played against each other. In the middle the server is killed, and later one of the peers,
while messages are on their way to it; what the other says meanwhile waits. Then what both have stored, and both
transcripts, are compared with the files.
"""

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.core.text import Kind, clean, split_message
from p2pchat.net.local_client import LocalClient

HERE = Path(__file__).parent
TWISTD = str(Path(sys.executable).with_name("twistd"))

START_WITHIN = 60.0
"""Seconds for a daemon to say that it is ready."""

AWAY = 8.0
"""Seconds for which who was killed stays away: long enough to see what is said of a message that waits."""

PLAY_WITHIN = 120.0
"""Seconds for everything to arrive."""

PAGE = 200
"""Lines of history that are asked for at a time."""

RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (\S+)#(\d+): (.*)", re.DOTALL)
"""A message in a transcript (p2pchat/ui/transcript.py)."""


class Failed(Exception):
    """The demo did not do what it shows; one line says why."""


def start(*words: str, **options: object) -> "subprocess.Popen[str]":
    """One process of ours, ended with us at the latest."""
    return subprocess.Popen(list(words), text=True, **options)  # type: ignore[call-overload,no-any-return]


@contextlib.contextmanager
def running(processes: "list[subprocess.Popen[str]]") -> Iterator[None]:
    """End what was started, whatever happens."""
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def first_lines(process: "subprocess.Popen[str]", sign: str) -> str:
    """What a daemon printed up to a line with `sign`; goes on reading so that it never stands still."""
    found: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            found.append(line)
            if sign in line:
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(START_WITHIN) or not any(sign in line for line in found):
        raise Failed(f"{sign!r} did not come: {''.join(found).strip() or 'nothing was said'}")
    return "".join(found)


def start_server(state: Path, port: int = 0) -> "tuple[subprocess.Popen[str], str, int]":
    """A rendezvous server on loopback: the process, its join link, its port."""
    server = start(
        TWISTD, "-n", "p2pchat-server", "--state", str(state), "--port", str(port), "--interface", "127.0.0.1",
        "--host", "127.0.0.1", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    told = first_lines(server, "p2pchat join ")
    link = re.search(r"p2pchat://127\.0\.0\.1:(\d+)/#\w+", told)
    if link is None:
        raise Failed(f"the server gave no link: {told.strip()}")
    return server, link[0], int(link[1])


def peer_words(state: Path, name: str, link: str, *more: str) -> list[str]:
    """The command line of a peer on loopback."""
    return [
        TWISTD, "-n", "p2pchat-peer", "--state", str(state), "--name", name, "--join", link,
        "--listen-port", "0", "--dial-port", "0", "--interface", "127.0.0.1", *more,
    ]  # fmt: skip


# --- at a terminal


class Talk:
    """You and the echo; said to it, `kill echo` and `kill server` do that to a process, which comes back later."""

    INTRODUCTION = (
        "A rendezvous server and an echo peer run on this machine; you are the other peer.\n"
        "Type a line and press Enter. /help shows the commands, /quit leaves.\n"
        f"Say `kill echo` or `kill server`: it is killed (-9), and comes back {AWAY:.0f} seconds later. Talk on.\n"
    )

    def __init__(self, home: Path) -> None:
        self._home = home
        self._processes: list[subprocess.Popen[str]] = []
        self._over = threading.Event()

    def run(self) -> int:
        """Talk until the person leaves; their exit code. Raises Failed."""
        with running(self._processes):
            self._server, self._link, self._port = start_server(self._home / "server")
            self._processes.append(self._server)
            self._start_echo()
            print(self.INTRODUCTION, flush=True)
            threading.Thread(target=self._listen, daemon=True).start()
            person = start(*peer_words(self._home / "you", "you", self._link, "--to", "echo", "--trust-first"))
            try:
                return _until_left(person)
            finally:
                self._over.set()

    def _start_echo(self) -> None:
        words = peer_words(self._home / "echo", "echo", self._link, "--accept", "all")
        self._echo = start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._processes.append(self._echo)
        first_lines(self._echo, "127.0.0.1")  # online there, or the server is not back yet
        bot = [sys.executable, str(HERE / "echo.py"), str(self._home / "echo")]
        self._processes.append(start(*bot, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _listen(self) -> None:
        """Do what is said to the echo, again after it was killed itself."""
        while not self._over.wait(0.1):  # there may be no echo for a while
            with contextlib.suppress(UserError, Failed), LocalClient(self._home / "echo", "peer") as client:
                client.subscribe()
                for event in client.events(api.Event):
                    if isinstance(event, api.Said) and not event.history:
                        wait_until_answered(client, event.entry)
                        self._obey(" ".join(event.text.lower().split()))

    def _obey(self, wish: str) -> None:
        if wish == "kill echo":
            self._kill(self._echo)
            self._start_echo()
        elif wish == "kill server":
            self._kill(self._server)
            self._server, _, _ = start_server(self._home / "server", self._port)
            self._processes.append(self._server)

    def _kill(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.wait()
        self._over.wait(AWAY)
        if self._over.is_set():
            raise Failed("the person has left")


def wait_until_answered(peer: LocalClient, entry: int) -> None:
    """Until the echo has dealt with a line: killed in between it would answer that one again. Raises UserError."""
    end = time.monotonic() + START_WITHIN
    while time.monotonic() < end:
        if any(place.entry >= entry for place in peer.call(api.ShowCursors(), api.Cursors).cursors):
            return
        time.sleep(0.02)


def _until_left(person: "subprocess.Popen[str]") -> int:
    while True:
        try:
            return person.wait()
        except KeyboardInterrupt:
            continue


# --- without one


class Play:
    """
    Two files against each other: alice's and bob's, in three parts each.

    The server is killed after the first part. Bob is killed while alice's last part arrives; the end of hers waits
    for him, and his own last part is said after he came back.
    """

    NAMES = ("alice", "bob")

    def __init__(self, home: Path) -> None:
        self._home = home
        self._data = {name: (HERE / f"{name}.txt").read_bytes() for name in self.NAMES}
        self._wanted = {name: messages_of(data.decode()) for name, data in self._data.items()}
        self._peers: dict[str, subprocess.Popen[str]] = {}
        self._processes: list[subprocess.Popen[str]] = []

    def run(self) -> int:
        """Play, and judge; the exit code. Raises Failed."""
        with running(self._processes):
            server, link, port = self._start_server()
            print(f"server is up on port {port}; {' and '.join(self.NAMES)} join", flush=True)
            for name in self.NAMES:
                self._start_peer(name, link)
            self._feed(alice=(0, 1 / 3), bob=(0, 1 / 3))
            self._wait_for({name: len(texts) // 4 for name, texts in self._wanted.items()})

            server.kill()
            print("the server is killed; the chat goes on without it", flush=True)
            self._feed(alice=(1 / 3, 2 / 3), bob=(1 / 3, 2 / 3))
            self._wait_for({name: self._lines_in(name, 2 / 3) for name in self.NAMES})
            self._start_server(port)
            print("the server is started again", flush=True)

            so_far = self._lines_in("alice", 2 / 3)
            self._feed(alice=(2 / 3, 5 / 6))
            self._wait_for({"alice": so_far + 1}, ("bob",))
            self._peers["bob"].kill()
            self._peers["bob"].wait()
            self._feed(alice=(5 / 6, 1))
            # A last line without its end is said when the input ends, and so the pipes stay open until then.
            self._wait_for({"alice": self._lines_in("alice", 1)}, ("alice",))
            print("bob is killed with messages on their way to him; what alice says meanwhile is queued", flush=True)

            self._start_peer("bob", link)
            print("bob is started again", flush=True)
            self._feed(bob=(2 / 3, 1))
            self._wait_until(self._all_stored)
            stored = {name: self._stored(name) for name in self.NAMES}
            for name in ("bob", "alice"):
                self._end(name)
        return self._judge(stored)

    # --- processes

    def _start_server(self, port: int = 0) -> "tuple[subprocess.Popen[str], str, int]":
        server = start_server(self._home / "server", port)
        self._processes.append(server[0])
        return server

    def _start_peer(self, name: str, link: str) -> None:
        (other,) = set(self.NAMES) - {name}
        words = peer_words(
            self._home / name, name, link, "--accept", "all", "--to", other, "--trust-first", "--input", "-",
            "--transcript", str(self._transcript(name)), "--timeout", str(PLAY_WITHIN),
        )  # fmt: skip
        self._peers[name] = start(*words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._processes.append(self._peers[name])

    def _end(self, name: str) -> None:
        """Close a peer's input; it ends when all of its messages are delivered."""
        peer = self._peers[name]
        assert peer.stdin is not None
        peer.stdin.close()
        code = peer.wait(PLAY_WITHIN)
        if code != 0:
            raise Failed(f"{name} ended with {code}")

    def _feed(self, **parts: tuple[float, float]) -> None:
        """Write a part of each file to its peer; each from a thread, since a peer reads as fast as it commits."""
        threads = []
        for name, (first, last) in parts.items():
            part = self._part(name, last)[len(self._part(name, first)) :]
            threads.append(threading.Thread(target=write_all, args=(self._peers[name].stdin, part), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PLAY_WITHIN)

    # --- what arrived

    def _transcript(self, name: str) -> Path:
        return self._home / f"{name}-transcript.txt"

    def _part(self, name: str, share: float) -> bytes:
        """The first part of a file, in whole lines."""
        data = self._data[name]
        if share in (0, 1):
            return data[: len(data) * int(share)]
        return data[: data.rindex(b"\n", 0, int(len(data) * share)) + 1]

    def _lines_in(self, name: str, share: float) -> int:
        """How many messages are complete in it."""
        whole, end, _ = self._part(name, share).rpartition(b"\n")
        return len(messages_of((whole + end).decode()))

    def _wait_for(self, counts: dict[str, int], readers: tuple[str, ...] = NAMES) -> None:
        """Until the transcripts hold so many messages of each author."""

        def have() -> bool:
            found = [said(self._transcript(reader)) for reader in readers]
            return all(len(lines.get(author, [])) >= counts[author] for lines in found for author in counts)

        self._wait_until(have)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PLAY_WITHIN
        while not condition():
            if time.monotonic() > end:
                raise Failed(f"not everything arrived within {PLAY_WITHIN:.0f} s")
            for name, peer in self._peers.items():
                if peer.poll() not in (None, -signal.SIGKILL):
                    raise Failed(f"{name} ended too early, with {peer.returncode}")
            time.sleep(0.02)

    def _stored(self, name: str) -> dict[str, list[tuple[int, str]]]:
        (other,) = set(self.NAMES) - {name}
        return stored_at(self._home / name, other)

    def _all_stored(self) -> bool:
        counts = {name: self._lines_in(name, 1) for name in self.NAMES}
        for name in self.NAMES:
            try:
                stored = self._stored(name)
            except UserError:
                return False  # it has only just been started
            if any(len(stored.get(author, [])) < count for author, count in counts.items()):
                return False
        return True

    # --- the judgement

    def _judge(self, stored: dict[str, dict[str, list[tuple[int, str]]]]) -> int:
        for reader in self.NAMES:
            for author, texts in self._wanted.items():
                where = f"{reader} has stored of {author}"
                numbered = list(enumerate(texts, 1))
                expect(where, stored[reader].get(author, []), numbered[: self._lines_in(author, 1)])
                shown = [(number, clean(text, Kind.BODY)) for number, text in numbered]
                found = said(self._transcript(reader)).get(author, [])
                expect(f"{reader}'s transcript has of {author}", found, shown)
            show_end(reader, self._transcript(reader))
        total = sum(len(texts) for texts in self._wanted.values())
        print(f"\nall {total} messages arrived once, in order, on both sides; server and bob were killed in the middle")
        return 0


def messages_of(text: str) -> list[str]:
    """The messages that the lines of a file become."""
    return [part for line in text.removesuffix("\n").split("\n") for part in split_message(line)]


def said(transcript: Path) -> dict[str, list[tuple[int, str]]]:
    """The messages in a transcript: (number, text) by author."""
    by_author: dict[str, list[tuple[int, str]]] = {}
    if transcript.exists():
        for line in transcript.read_text(encoding="utf-8").split("\n"):
            match = RECORD.fullmatch(line)
            if match:
                by_author.setdefault(match[1], []).append((int(match[2]), match[3]))
    return by_author


def stored_at(state: Path, with_whom: str) -> dict[str, list[tuple[int, str]]]:
    """The messages that a running peer has stored of the chat with somebody, as `said`; raises UserError."""
    by_author: dict[str, list[tuple[int, str]]] = {}
    with LocalClient(state, "peer") as client:
        after, more = 0, True
        while more:
            page = client.call(api.ShowLines(who=with_whom, after=after, count=PAGE), api.Lines)
            for line in page.lines:
                by_author.setdefault(line.author, []).append((line.number, line.text))
                after = line.entry
            more = page.more
    return by_author


def write_all(pipe: object, data: bytes) -> None:
    """Write to a process's standard input."""
    stream = pipe.buffer  # type: ignore[attr-defined]
    stream.write(data)
    stream.flush()


def expect(what: str, found: list[tuple[int, str]], wanted: list[tuple[int, str]]) -> None:
    """Raise Failed if they are not the same."""
    if [number for number, _ in found] != [number for number, _ in wanted]:
        raise Failed(f"{what} not #1 to #{len(wanted)}, each once, in order")
    for (number, text), (_, should) in zip(found, wanted, strict=True):
        if text != should:
            raise Failed(f"{what} #{number} with another text than the file's")


def show_end(name: str, transcript: Path) -> None:
    """The last lines of a transcript."""
    print(f"\nthe end of {name}'s transcript:")
    for line in transcript.read_text(encoding="utf-8").splitlines()[-6:]:
        print("  " + (line if len(line) < 110 else line[:107] + "..."))


def main() -> int:
    """Run the demo that fits where we are."""
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with tempfile.TemporaryDirectory(prefix="p2pchat-demo-") as home:
        try:
            return Talk(Path(home)).run() if interactive else Play(Path(home)).run()
        except Failed as failure:
            print(f"demo: {failure}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
