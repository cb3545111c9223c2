"""
A directory as a chat: files that are put into it are sent, and messages become files.

    python docs/examples/folder.py STATE WHO DIRECTORY

STATE is the directory of a peer that runs, WHO one of its contacts. The text of each file in DIRECTORY/out is sent, and
the file goes to DIRECTORY/sent; what WHO says becomes DIRECTORY/in/ENTRY.txt. Write a file under another name (one that
begins with a dot) and rename it when it is whole. Whatever is killed at any moment, every text arrives, and none twice:

- a message's file has the name of its entry, and only when it is on the disk does the cursor move: after a crash the
  same message comes again, and is written over itself;
- a file first goes to DIRECTORY/sending, under a name that says how far our numbers were. What is still there after a
  crash was sent if a later message of ours has its text, and otherwise was not.

What stands in the files is as people wrote it: clean it before a terminal shows it.
"""

import os
import sys
from pathlib import Path

from p2pchat import api
from p2pchat.core.errors import UserError
from p2pchat.core.text import MESSAGE_BYTES
from p2pchat.net.local_client import LocalClient

CURSOR = "folder"

LOOK_EVERY = 1.0
"""Seconds between two looks at the directory; messages are told of at once."""

LAST_LINES = 200
"""Of the chat, among which what was sent before a crash is looked for."""


class Folder:
    """The directory, and the peer that `peer` asks."""

    def __init__(self, peer: LocalClient, who: str, directory: Path) -> None:
        self._peer = peer
        self._who = who
        self._out, self._sending, self._sent, self._refused, self._in = (
            directory / name for name in ("out", "sending", "sent", "refused", "in")
        )
        for path in (self._out, self._sending, self._sent, self._refused, self._in):
            path.mkdir(parents=True, exist_ok=True)

    def finish(self) -> None:
        """After a crash: see what became of files that were on their way."""
        lines = self._own_lines()
        for path in self._sending.iterdir():
            number, _, name = path.name.partition("-")
            texts = [line.text for line in lines if line.number > int(number)]
            if path.read_text("utf-8", "replace") in texts:
                path.replace(self._sent / name)
            else:
                path.replace(self._out / name)

    def send_all(self) -> None:
        """Send the files that are there, by their names."""
        for path in sorted(self._out.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                self._send(path)

    def receive_all(self) -> None:
        """Write what was said, and move the cursor behind each message when its file is on the disk."""
        more = True
        while more:
            page = self._peer.call(api.Receive(cursor=CURSOR, who=self._who), api.Lines)
            for line in page.lines:
                self._write(self._in / f"{line.entry}.txt", line.text)
                self._peer.call(api.MoveCursor(cursor=CURSOR, entry=line.entry, who=self._who), api.Done)
            more = page.more

    def _own_lines(self) -> list[api.StoredLine]:
        page = self._peer.call(api.ShowLines(who=self._who, count=LAST_LINES), api.Lines)
        return [line for line in page.lines if line.mine]

    def _send(self, path: Path) -> None:
        text = path.read_text("utf-8", "replace")
        if not text or len(text.encode()) > MESSAGE_BYTES:
            path.replace(self._refused / path.name)
            return
        number = max((line.number for line in self._own_lines()), default=0)
        sending = self._sending / f"{number}-{path.name}"
        path.replace(sending)
        self._sync(self._sending)
        self._peer.call(api.Say(who=self._who, text=text), api.Accepted)
        sending.replace(self._sent / path.name)

    def _write(self, path: Path, text: str) -> None:
        """Whole, or not at all."""
        new = path.with_name(f".{path.name}")
        with new.open("wb") as file:
            file.write(text.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        self._sync(path.parent)

    def _sync(self, directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def bridge(state: Path, who: str, directory: Path) -> None:
    """Until the peer ends; raises UserError then."""
    with LocalClient(state, "peer") as listening, LocalClient(state, "peer") as peer:
        listening.subscribe()  # first, so that nothing that follows is missed
        started = peer.call(api.Connect(who=who, contact_only=True), api.Started)
        folder = Folder(peer, started.person.id if started.person else who, directory)
        folder.finish()
        while True:
            folder.receive_all()
            folder.send_all()
            # Whatever happened: a look costs nothing, and so no event has to be understood.
            listening.receive(LOOK_EVERY)


def main() -> int:
    """Run until the peer ends."""
    if len(sys.argv) != 4:
        print("usage: folder.py STATE WHO DIRECTORY", file=sys.stderr)
        return 2
    try:
        bridge(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except UserError as error:
        print(f"folder: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
