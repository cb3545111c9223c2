"""
A server and two peers on this machine, in a temporary directory.

At a terminal you are one of the peers and the other is a friendly echo. Without a terminal two text files are played
against each other, the server is killed in the middle, and both transcripts are compared with the files.
"""

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from p2pchat.core.text import Kind, clean, split_message

HERE = Path(__file__).parent
TWISTD = str(Path(sys.executable).with_name("twistd"))

START_WITHIN = 20.0
"""Seconds for a daemon to say that it is ready."""

PLAY_WITHIN = 120.0
"""Seconds for everything to arrive."""

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


def talk(home: Path) -> int:
    """You and the echo."""
    processes: list[subprocess.Popen[str]] = []
    with running(processes):
        server, link, _ = start_server(home / "server")
        processes.append(server)
        words = peer_words(home / "echo", "echo", link, "--accept", "all")
        echo_peer = start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        processes.append(echo_peer)
        first_lines(echo_peer, "online at")
        processes.append(start(sys.executable, str(HERE / "echo.py"), str(home / "echo"), stdin=subprocess.DEVNULL))
        name = "you"
        print("A rendezvous server and an echo peer run on this machine; you are the other peer.")
        print("Type a line and press Enter. /help shows the commands, /quit leaves.\n", flush=True)
        person = start(*peer_words(home / name, name, link, "--to", "echo", "--trust-first"))
        while True:
            try:
                return person.wait()
            except KeyboardInterrupt:
                continue


# --- without one


def expected(file: Path) -> list[str]:
    """The messages that a file's lines become, as a transcript shows them."""
    text = file.read_text(encoding="utf-8")
    lines = text.removesuffix("\n").split("\n")
    return [clean(part, Kind.BODY) for line in lines for part in split_message(line)]


def said(transcript: Path) -> dict[str, list[tuple[int, str]]]:
    """The messages in a transcript: (number, text) by author."""
    by_author: dict[str, list[tuple[int, str]]] = {}
    if transcript.exists():
        for line in transcript.read_text(encoding="utf-8").split("\n"):
            match = RECORD.fullmatch(line)
            if match:
                by_author.setdefault(match[1], []).append((int(match[2]), match[3]))
    return by_author


def play(home: Path) -> int:
    """Two files against each other, with the server killed in the middle."""
    files = {"alice": HERE / "alice.txt", "bob": HERE / "bob.txt"}
    wanted = {name: expected(file) for name, file in files.items()}
    transcripts = {name: home / f"{name}-transcript.txt" for name in files}
    processes: list[subprocess.Popen[str]] = []
    with running(processes):
        server, link, port = start_server(home / "server")
        processes.append(server)
        print(f"server is up on port {port}; {' and '.join(files)} join", flush=True)
        peers = {}
        for name, other in (("alice", "bob"), ("bob", "alice")):
            words = peer_words(
                home / name, name, link, "--accept", "all", "--to", other, "--trust-first", "--input", "-",
                "--transcript", str(transcripts[name]), "--timeout", str(PLAY_WITHIN),
            )  # fmt: skip
            peers[name] = start(*words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            processes.append(peers[name])
        halves = {name: file.read_bytes() for name, file in files.items()}
        feed(peers, {name: data[: len(data) // 2] for name, data in halves.items()})
        wait_for(transcripts, {name: len(lines) // 4 for name, lines in wanted.items()}, peers)
        server.kill()
        print("the server is killed; the chat goes on without it", flush=True)
        feed(peers, {name: data[len(data) // 2 :] for name, data in halves.items()})
        # A last line without its end is sent when the input ends; so the pipes stay open until the rest is there.
        unfinished = {name: int(not data.endswith(b"\n")) for name, data in halves.items()}
        wait_for(transcripts, {name: len(lines) - unfinished[name] for name, lines in wanted.items()}, peers)
        server, _, _ = start_server(home / "server", port)
        processes.append(server)
        print("the server is started again", flush=True)
        for name in ("bob", "alice"):
            stdin = peers[name].stdin
            assert stdin is not None
            stdin.close()
            code = peers[name].wait(PLAY_WITHIN)
            if code != 0:
                raise Failed(f"{name} ended with {code}")
    return judge(transcripts, wanted)


def feed(peers: "dict[str, subprocess.Popen[str]]", data: dict[str, bytes]) -> None:
    """Write to the peers' standard input; each from its own thread, since a peer reads as fast as it commits."""
    threads = [
        threading.Thread(target=_write, args=(peer.stdin, data[name]), daemon=True) for name, peer in peers.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PLAY_WITHIN)


def _write(pipe: object, data: bytes) -> None:
    stream = pipe.buffer  # type: ignore[attr-defined]
    stream.write(data)
    stream.flush()


def wait_for(transcripts: dict[str, Path], counts: dict[str, int], peers: "dict[str, subprocess.Popen[str]]") -> None:
    """Until both transcripts hold so many lines of each author."""
    end = time.monotonic() + PLAY_WITHIN
    while time.monotonic() < end:
        have = {name: said(transcript) for name, transcript in transcripts.items()}
        if all(len(lines.get(author, [])) >= counts[author] for lines in have.values() for author in counts):
            return
        for name, peer in peers.items():
            if peer.poll() is not None:
                raise Failed(f"{name} ended too early, with {peer.returncode}")
        time.sleep(0.1)
    raise Failed(f"not everything arrived within {PLAY_WITHIN:.0f} s")


def judge(transcripts: dict[str, Path], wanted: dict[str, list[str]]) -> int:
    """Compare both transcripts with both files, and show their ends."""
    for name, transcript in transcripts.items():
        lines = said(transcript)
        for author, texts in wanted.items():
            found = lines.get(author, [])
            if [number for number, _ in found] != list(range(1, len(texts) + 1)):
                raise Failed(f"{name}'s transcript does not have #1 to #{len(texts)} of {author}, each once, in order")
            for (number, text), should in zip(found, texts, strict=True):
                if text != should:
                    raise Failed(f"{name}'s transcript has another text as {author}#{number} than the file")
        print(f"\nthe end of {name}'s transcript:")
        for line in transcript.read_text(encoding="utf-8").splitlines()[-6:]:
            print("  " + (line if len(line) < 110 else line[:107] + "..."))
    total = sum(len(texts) for texts in wanted.values())
    print(f"\nall {total} messages arrived once, in order, on both sides; the server was killed in the middle")
    return 0


def main() -> int:
    """Run the demo that fits where we are."""
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with tempfile.TemporaryDirectory(prefix="p2pchat-demo-") as home:
        try:
            return talk(Path(home)) if interactive else play(Path(home))
        except Failed as failure:
            print(f"demo: {failure}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
