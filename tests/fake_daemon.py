"""A daemon's local socket that answers as a test wants, in a thread, for the commands that ask it."""

import json
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

HANGS_UP: dict[str, Any] = {"hangs-up": True}
"""An event: close the connection instead."""

DIES: dict[str, Any] = {"dies": True}
"""An answer: close the connection instead."""

MUTE: dict[str, Any] = {"mute": True}
"""An answer: none."""

ENDS: dict[str, Any] = {"ends": True}
"""An answer: close the connection and the socket, as a daemon that stops."""


class FakeDaemon:
    """
    Answers each command in `state` by its type.

    An answer is a reply, or has "error"; of a list of them each is given in turn, and the last one again. It may be
    a function of the command. Its "then" are events that are told behind it. `commands` is what it was asked.
    """

    def __init__(self, state: Path, answers: dict[str, Any]) -> None:
        self._answers = {kind: answer if isinstance(answer, list) else [answer] for kind, answer in answers.items()}
        self.commands: list[dict[str, Any]] = []
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = state / "socket"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(os.fsencode(self._path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def answer(self, kind: str, answer: Any) -> None:
        """Answer that type so from now on."""
        self._answers[kind] = answer if isinstance(answer, list) else [answer]

    def close(self) -> None:
        """End, and wait until it has."""
        self._end()
        self._thread.join(60)
        self._listening.close()

    def _end(self) -> None:
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # it has ended before
            self._listening.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        threads: list[threading.Thread] = []
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threads.append(threading.Thread(target=self._serve, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join(60)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(ConnectionError), connection, connection.makefile("rb") as lines:  # the client may go first
            for line in lines:
                if not self._answer(connection, json.loads(line)):
                    self._end()
                    return

    def _answer(self, connection: socket.socket, request: dict[str, Any]) -> bool:
        self.commands.append(request["command"])
        answers = self._answers[request["command"]["type"]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(request["command"])
        if answer is DIES:
            return False
        if answer is MUTE:
            return True
        if answer is ENDS:
            answer = {"type": "done"}
            goes_on = False
        else:
            goes_on = True
        answer = dict(answer)
        events = answer.pop("then", [])
        fields = answer if "error" in answer else {"reply": answer}
        lines = [{"version": 1, "request": request["request"], **fields}]
        lines += [{"version": 1, "event": event} for event in events if event is not HANGS_UP]
        connection.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        if HANGS_UP in events:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return goes_on
