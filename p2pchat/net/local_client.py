"""
The client's end of the local socket: blocking, and without Twisted, since importing that takes longer than an answer.

    with LocalClient(state, "server") as server:
        roster = server.call(ShowRoster(), RosterRows)
"""

import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from ..api.lines import LOCAL_VERSION, Answer, Request, to_line
from ..core.errors import NotRunning, Reported, StateError, UsageError, UserError

SOCKET_NAME = "socket"
"""The socket's file in a state directory."""

ANSWER_TIMEOUT = 15.0
"""Seconds for a connection and for each answer: a daemon that needs longer is stuck."""

MAX_ANSWER_LINE = 16 * 1024 * 1024
"""Bytes: a roster of 40,000 rows; a longer line comes from no daemon of ours."""

QUEUE_PAUSE = 0.01
"""Seconds between two attempts to connect where the queue of the socket is full."""

_CHUNK = 64 * 1024

ReplyT = TypeVar("ReplyT")


class LocalClient:
    """
    A connection to the daemon whose state directory is `state`; `role` ("peer", "server") is for messages to people.

    All methods raise UserError: NotRunning (exit code 6) when no daemon runs there, Reported with the daemon's
    own line and exit code when it refuses.
    """

    def __init__(self, state: Path, role: str, timeout: float = ANSWER_TIMEOUT) -> None:
        self.state = state
        self.role = role
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._data = bytearray()
        self._searched = 0
        self._kept: deque[Answer] = deque()
        """What came while something else was waited for."""
        self._number = 0

    def __enter__(self) -> "LocalClient":
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Connect."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.settimeout(self._timeout)
        try:
            self._connect(connection)
        except BaseException:
            connection.close()
            raise
        self._socket = connection

    def close(self) -> None:
        """End the connection; harmless when there is none."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def detach(self) -> socket.socket:
        """Give the open connection away: nothing was sent or received over it yet."""
        connection, self._socket = self._connection, None
        return connection

    def call(self, command: Any, reply: type[ReplyT]) -> ReplyT:
        """Have `command` executed; its reply, which must be a `reply`."""
        return self.decoded(self._answer(self.submit(command)), reply)

    def submit(self, command: Any) -> int:
        """Ask without waiting for the answer, which comes under this number (`receive`)."""
        self._number += 1
        try:
            line = to_line(
                Request(version=LOCAL_VERSION, request=self._number, command=Raw(msgspec.json.encode(command)))
            )
        except UnicodeError:
            raise UsageError("that text is no Unicode; check the terminal's locale, or write it anew") from None
        self._send(line)
        return self._number

    def decoded(self, answer: Answer, reply: type[ReplyT]) -> ReplyT:
        """The reply in an answer; raises Reported if it is a refusal."""
        if answer.error is not None:
            raise Reported(answer.error, answer.exit_code or 1)
        try:
            return msgspec.json.decode(answer.reply, type=reply)
        except (msgspec.MsgspecError, ValueError):
            raise self._foreign() from None

    def subscribe(self) -> None:
        """Have events sent, from now on; `events` gives them."""
        self.call({"type": "subscribe"}, Raw)

    def events(self, kinds: Any) -> Iterator[Any]:
        """
        Each event as it comes, for ever; ends when the daemon does. To be called after `subscribe`.

        `kinds` is the union of events, such as `api.Event`; an event of another kind is left out, since a newer
        daemon may tell more.
        """
        decoder = msgspec.json.Decoder(kinds)
        while True:
            answer = self._kept.popleft() if self._kept else self._read(None)
            if answer is None:
                return
            if answer.error is not None:
                raise Reported(answer.error, answer.exit_code or 1)
            if not answer.event:
                continue
            try:
                event = decoder.decode(answer.event)
            except msgspec.ValidationError:
                continue
            yield event

    def receive(self, timeout: float | None, beside: int | None = None) -> tuple[list[Answer], bool]:
        """
        Wait for answers and events: those that came, in order, and whether the descriptor `beside` can be read.

        Neither, if `timeout` seconds (None: for ever) went by first. Raises UserError at the daemon's end.
        """
        if not self._kept and (answer := self._whole()) is not None:
            self._kept.append(answer)
        descriptors: list[Any] = [self._connection] if beside is None else [self._connection, beside]
        readable, _, _ = select.select(descriptors, [], [], 0 if self._kept else timeout)
        ended = self._connection in readable and not self._fetch()
        while (answer := self._whole()) is not None:
            self._kept.append(answer)
        came = list(self._kept)
        self._kept.clear()
        if ended and not came:
            raise self._ended()
        return came, beside in readable

    def wait_for_end(self, timeout: float) -> bool:
        """Wait until the daemon has closed the connection, at most `timeout` seconds; whether it did."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                if self._receive(left) == b"":
                    return True
            except TimeoutError:
                return False
        return False

    def _connect(self, connection: socket.socket) -> None:
        try:
            directory = os.open(self.state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise self._not_running() from None
        except OSError as error:
            raise StateError(f"cannot look into {self.state}: {error.strerror}") from None
        try:
            # An address has room for 107 bytes, and this is short however long the path is.
            self._connect_to(connection, f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        except (FileNotFoundError, ConnectionRefusedError):
            raise self._not_running() from None
        except PermissionError:
            raise StateError(
                f"you may not use the socket in {self.state}; run the command as its owner, or as root"
            ) from None
        except TimeoutError:
            raise self._stuck() from None
        except OSError as error:
            raise StateError(f"cannot use the socket in {self.state}: {error.strerror}") from None
        finally:
            os.close(directory)

    def _connect_to(self, connection: socket.socket, address: str) -> None:
        """Connect; where too many do so at this moment the kernel takes nobody, and does not say when it will."""
        end = time.monotonic() + self._timeout
        while True:
            try:
                return connection.connect(address)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise TimeoutError from None
                time.sleep(QUEUE_PAUSE)

    def _send(self, line: bytes) -> None:
        """Write it, and read meanwhile: a daemon whose answers nobody takes reads nothing more."""
        connection, left = self._connection, memoryview(line)
        while left:
            readable, writable, _ = select.select([connection], [connection], [], self._timeout)
            if not readable and not writable:
                raise self._stuck()
            if readable and not self._fetch():
                return  # it closed the connection; why, stands in what it sent before
            try:
                left = left[connection.send(left, socket.MSG_DONTWAIT) :] if writable else left
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                return

    def _answer(self, number: int) -> Answer:
        end = time.monotonic() + self._timeout
        while True:
            try:
                answer = self._read(max(end - time.monotonic(), 0.001))
            except TimeoutError:
                raise self._stuck() from None
            if answer is None:
                raise self._ended()
            # An error without a number is about the whole connection.
            if answer.request == number or (answer.request is None and answer.error is not None):
                return answer
            self._kept.append(answer)

    def _read(self, timeout: float | None) -> Answer | None:
        """The next line; None at the end. Raises TimeoutError."""
        while (answer := self._whole()) is None:
            if not self._receive(timeout):
                return None
        return answer

    def _whole(self) -> Answer | None:
        """The next line, if all of it is here."""
        end = self._data.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._data)
            if self._searched > MAX_ANSWER_LINE:
                raise self._foreign()
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        self._searched = 0
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise self._foreign() from None
        if answer.version != LOCAL_VERSION and answer.error is None:
            raise self._foreign()
        return answer

    def _receive(self, timeout: float | None) -> bytes:
        readable, _, _ = select.select([self._connection], [], [], timeout)
        if not readable:
            raise TimeoutError
        return self._fetch()

    def _fetch(self) -> bytes:
        """What can be read at once; nothing at the end."""
        try:
            data = self._connection.recv(_CHUNK)
        except ConnectionError:
            return b""
        self._data += data
        return data

    @property
    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise self._not_running()
        return self._socket

    def _not_running(self) -> NotRunning:
        return NotRunning(
            f"no {self.role} runs in {self.state}; start it with: p2pchat {self.role} --state {self.state}"
        )

    def _stuck(self) -> UserError:
        return UserError(f"the {self.role} in {self.state} does not answer; wait and try again, or look into its log")

    def _ended(self) -> UserError:
        return UserError(f"the {self.role} in {self.state} ended before it answered; look into its log")

    def _foreign(self) -> UserError:
        return UserError(
            f"what runs in {self.state} does not answer as a p2pchat {self.role} of this version does; "
            "restart it, or use the command of its version"
        )
