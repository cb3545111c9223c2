"""The client's end of the local socket, against a daemon that says what the test wants."""

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from p2pchat.api import Done, Event, JoinLinks, Problem, ServerReport, ShowLinks, StopServer, WhoIs
from p2pchat.core.errors import NotRunning, Reported, StateError, UsageError, UserError
from p2pchat.net import local_client
from p2pchat.net.local_client import LocalClient

DONE = {"type": "done"}
LONG = 60.0
"""Seconds: longer than any test takes."""


class Daemon:
    """Takes one connection in a thread and lets `talk` speak over it."""

    def __init__(self, path: Path, talk: Callable[["Daemon"], None]) -> None:
        self._talk = talk
        self._listening = socket.socket(socket.AF_UNIX)
        descriptor = os.open(path.parent, os.O_PATH)
        self._listening.bind(f"/proc/self/fd/{descriptor}/{path.name}")
        os.close(descriptor)
        self._listening.listen()
        self.requests: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._connection, _ = self._listening.accept()
        self._file = self._connection.makefile("rb")
        try:
            self._talk(self)
        finally:
            self._file.close()
            self._connection.close()

    def read(self) -> int:
        """The number of the next request."""
        self.requests.append(json.loads(self._file.readline()))
        number = self.requests[-1]["request"]
        assert isinstance(number, int)
        return number

    def wait_for_end(self) -> None:
        self._file.read()

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def line(self, version: int = 1, **fields: Any) -> None:
        self.send(json.dumps({"version": version, **fields}).encode() + b"\n")

    def join(self) -> None:
        self._thread.join(LONG)
        self._listening.close()


class ClientCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(tempfile.mkdtemp())

    def serve(self, talk: Callable[[Daemon], None]) -> Daemon:
        daemon = Daemon(self.state / "socket", talk)
        self.addCleanup(daemon.join)
        return daemon

    def client(self, timeout: float = LONG) -> LocalClient:
        client = LocalClient(self.state, "server", timeout)
        client.open()
        self.addCleanup(client.close)
        return client

    def refused(self, kind: type[UserError], words: str, *arguments: Any) -> UserError:
        function, *rest = arguments
        error = self.assertRaises(kind, function, *rest)
        assert isinstance(error, kind)
        self.assertIn(words, str(error))
        self.assertNotIn("\n", str(error))
        return error


class ConnectTests(ClientCase):
    def test_no_directory(self) -> None:
        """Without a state directory nothing runs, and the way to start it is named."""
        client = LocalClient(self.state / "none", "peer")
        error = self.refused(NotRunning, f"p2pchat peer --state {self.state / 'none'}", client.open)
        self.assertEqual(error.exit_code, 6)

    def test_no_socket(self) -> None:
        """Nor does it without a socket."""
        self.refused(NotRunning, "no server runs", LocalClient(self.state, "server").open)

    def test_stale_socket(self) -> None:
        """A socket that a killed process left leads nowhere."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fsencode(self.state / "socket"))
        self.refused(NotRunning, "no server runs", LocalClient(self.state, "server").open)

    def test_file_for_a_directory(self) -> None:
        """A file is no state directory."""
        (self.state / "file").write_text("")
        self.refused(NotRunning, "no server runs", LocalClient(self.state / "file", "server").open)

    def test_not_allowed(self) -> None:
        """Another user's daemon is not said to be absent."""
        if os.geteuid() != 0:
            raise SkipTest("only root can become somebody else")
        self.state.chmod(0o700)
        os.seteuid(65534)
        self.addCleanup(os.seteuid, 0)
        error = self.assertRaises(StateError, LocalClient(self.state, "server").open)
        self.assertIn("owner", str(error))

    def test_full_queue(self) -> None:
        """Where too many connect at once it waits for its turn, but not for ever."""
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fsencode(self.state / "socket"))
            listening.listen(0)
            waiting = socket.socket(socket.AF_UNIX)
            self.addCleanup(waiting.close)
            waiting.connect(os.fsencode(self.state / "socket"))
            self.refused(UserError, "does not answer", LocalClient(self.state, "server", 0.05).open)
            timer = threading.Timer(0.05, lambda: listening.accept()[0].close())
            timer.start()
            self.client().close()
            timer.join()

    def test_long_path(self) -> None:
        """A path may be longer than the address of a socket."""
        for _ in range(10):
            self.state = self.state / ("d" * 100)
        self.state.mkdir(parents=True)
        self.serve(lambda daemon: daemon.line(request=daemon.read(), reply=DONE))
        self.assertEqual(self.client().call(StopServer(), Done), Done())


class CallTests(ClientCase):
    def test_reply(self) -> None:
        """A command goes out with a number and a version, and its reply comes back typed."""
        reply = {"type": "join-links", "id": "abc", "links": ["p2pchat://x"]}
        daemon = self.serve(lambda daemon: daemon.line(request=daemon.read(), reply=reply))
        self.assertEqual(self.client().call(ShowLinks(), JoinLinks), JoinLinks(id="abc", links=("p2pchat://x",)))
        self.assertEqual(daemon.requests, [{"version": 1, "request": 1, "command": {"type": "show-links"}}])

    def test_two_calls(self) -> None:
        """A connection serves any number of calls."""

        def talk(daemon: Daemon) -> None:
            for _ in range(2):
                daemon.line(request=daemon.read(), reply=DONE)

        daemon = self.serve(talk)
        client = self.client()
        client.call(StopServer(), Done)
        client.call(StopServer(), Done)
        self.assertEqual([request["request"] for request in daemon.requests], [1, 2])

    def test_refusal(self) -> None:
        """What the daemon refuses comes with its line and its exit code."""
        self.serve(lambda daemon: daemon.line(request=daemon.read(), error="no such contact", exit_code=5))
        error = self.refused(Reported, "no such contact", self.client().call, StopServer(), Done)
        self.assertEqual(error.exit_code, 5)

    def test_refused_connection(self) -> None:
        """A line about the whole connection is an answer too, also where the daemon has closed it already."""
        self.serve(lambda daemon: daemon.line(error="not for you", exit_code=1))
        self.refused(Reported, "not for you", self.client().call, StopServer(), Done)

    def test_other_version(self) -> None:
        """The line by which another version says that it is one is shown."""

        def talk(daemon: Daemon) -> None:
            daemon.read()
            daemon.line(version=2, error="this p2pchat speaks version 2", exit_code=1)

        self.serve(talk)
        self.refused(Reported, "version 2", self.client().call, StopServer(), Done)

    def test_end_before_the_answer(self) -> None:
        """A daemon may die on a command."""

        def die(daemon: Daemon) -> None:
            daemon.read()

        self.serve(die)
        self.refused(UserError, "ended before it answered", self.client().call, StopServer(), Done)

    def test_silence(self) -> None:
        """A daemon that does not answer is not waited for for ever."""
        self.serve(Daemon.wait_for_end)
        client = self.client(timeout=0.01)
        self.refused(UserError, "does not answer", client.call, StopServer(), Done)
        client.close()

    def test_nonsense(self) -> None:
        """Whatever else listens there, it is one line."""
        rows = (
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\xff\n",
            b"[" * 50000 + b"\n",
            b'{"version":2,"request":1,"reply":{"type":"done"}}\n',
            b'{"version":1,"request":1,"reply":{"type":"other"}}\n',
            b'{"version":1,"request":1}\n',
            b'{"request":1,"reply":{"type":"done"}}\n',
        )
        for row in rows:
            with self.subTest(row[:60]):
                self.setUp()

                def talk(daemon: Daemon, row: bytes = row) -> None:
                    daemon.read()
                    daemon.send(row)

                self.serve(talk)
                self.refused(UserError, "does not answer as", self.client().call, StopServer(), Done)

    def test_endless_line(self) -> None:
        """A line without an end is not collected for ever."""
        self.patch(local_client, "MAX_ANSWER_LINE", 100_000)

        def talk(daemon: Daemon) -> None:
            daemon.read()
            daemon.send(b"x" * 200_000)

        self.serve(talk)
        self.refused(UserError, "does not answer as", self.client().call, StopServer(), Done)

    def test_large_answer(self) -> None:
        """An answer in many pieces is one answer."""
        refused = {f"reason {number}": number for number in range(20_000)}
        report = {"pid": 1, "version": "x", "id": "y", "listens": [], "online": 0, "capacity": 1, "uptime": 0}

        def talk(daemon: Daemon) -> None:
            daemon.line(request=daemon.read(), reply={"type": "server-report", **report, "refused": refused})

        self.serve(talk)
        self.assertEqual(self.client().call(StopServer(), ServerReport).refused, refused)

    def test_text_that_is_no_unicode(self) -> None:
        """Bytes of a command line that are no UTF-8 are refused before they are sent."""
        self.serve(Daemon.wait_for_end)
        client = self.client()
        self.refused(UsageError, "no Unicode", client.call, WhoIs(who="\udcff"), Done)
        client.close()

    def test_closed(self) -> None:
        """A client that is not open has nobody to ask."""
        self.assertRaises(NotRunning, LocalClient(self.state, "server").call, StopServer(), Done)


class SubmitTests(ClientCase):
    def test_several_at_a_time(self) -> None:
        """Requests may go out before the first is answered; what comes is given in order, events too."""

        def talk(daemon: Daemon) -> None:
            first, second = daemon.read(), daemon.read()
            daemon.line(request=second, reply=DONE)
            daemon.line(event={"type": "problem", "text": "1"})
            daemon.line(request=first, error="no", exit_code=4)

        self.serve(talk)
        client = self.client()
        numbers = [client.submit(StopServer()), client.submit(StopServer())]
        came: list[Any] = []
        while len(came) < 3:
            answers, _ = client.receive(LONG)
            came += answers
        self.assertEqual([answer.request for answer in came], [numbers[1], None, numbers[0]])
        self.assertEqual(client.decoded(came[0], Done), Done())
        self.assertEqual(self.refused(Reported, "no", client.decoded, came[2], Done).exit_code, 4)
        self.refused(UserError, "ended", client.receive, LONG)

    def test_what_came_during_a_call(self) -> None:
        """What comes while another answer is waited for is kept."""

        def talk(daemon: Daemon) -> None:
            first, second = daemon.read(), daemon.read()
            daemon.line(event={"type": "problem", "text": "1"})
            daemon.line(request=first, reply=DONE)
            daemon.line(request=second, reply=DONE)

        self.serve(talk)
        client = self.client()
        client.submit(StopServer())
        client.call(StopServer(), Done)
        answers, _ = client.receive(0)
        self.assertEqual([answer.request for answer in answers], [None, 1])

    def test_beside(self) -> None:
        """It waits for another descriptor too, and no longer than told."""
        self.serve(Daemon.wait_for_end)
        client = self.client()
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.assertEqual(client.receive(0.01, reading), ([], False))
        os.close(writing)
        self.assertEqual(client.receive(LONG, reading), ([], True))
        client.close()

    def test_both_write(self) -> None:
        """A daemon that reads nothing before its own lines are taken is no deadlock."""

        def talk(daemon: Daemon) -> None:
            for _ in range(64):
                daemon.line(event={"type": "problem", "text": "x" * 65536})
            for _ in range(64):
                daemon.line(request=daemon.read(), reply=DONE)

        self.serve(talk)
        client = self.client()
        for _ in range(64):
            client.submit(WhoIs(who="x" * 60000))
        came = 0
        while came < 128:
            came += len(client.receive(LONG)[0])

    def test_detach(self) -> None:
        """An open connection can be given away."""
        self.serve(lambda daemon: daemon.send(b"x"))
        client = self.client()
        connection = client.detach()
        client.close()
        self.assertEqual(connection.recv(1), b"x")
        connection.close()


class EventTests(ClientCase):
    def test_events(self) -> None:
        """Events come in order, those before the answer too, until the daemon ends; unknown ones are left out."""

        def talk(daemon: Daemon) -> None:
            number = daemon.read()
            daemon.line(event={"type": "problem", "text": "1"})
            daemon.line(request=number, reply=DONE)
            daemon.line(event={"type": "of-a-newer-version"})
            daemon.line(event={"type": "problem", "text": "2"})

        self.serve(talk)
        client = self.client()
        client.subscribe()
        self.assertEqual(list(client.events(Event)), [Problem(text="1"), Problem(text="2")])

    def test_wait_for_end(self) -> None:
        """Whether a daemon has ended is told by the connection."""
        self.serve(lambda daemon: daemon.line(request=daemon.read(), reply=DONE))
        client = self.client()
        client.call(StopServer(), Done)
        self.assertTrue(client.wait_for_end(LONG))

    def test_wait_in_vain(self) -> None:
        """One that goes on is not waited for for ever."""
        self.serve(Daemon.wait_for_end)
        client = self.client()
        self.assertFalse(client.wait_for_end(0.01))
        client.close()
