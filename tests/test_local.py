"""The daemon's end of the local socket: lines, limits, and who may use it."""

import contextlib
import grp
import json
import os
import re
import resource
import socket
import stat
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

from hypothesis import given, settings, strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from p2pchat.api import (
    Command,
    Done,
    Event,
    Person,
    Problem,
    Reply,
    RosterRow,
    RosterRows,
    Said,
    ServerCommand,
    ServerReply,
)
from p2pchat.api.lines import MAX_REQUEST_LINE, to_json
from p2pchat.core.errors import StateError, UsageError, UserError
from p2pchat.net.admins import Admins, LocalUser
from p2pchat.net.local import MAX_CLIENTS, LocalFactory, LocalService, json_execute, json_subscribe
from p2pchat.net.local_connection import (
    CLOSE_TIMEOUT,
    MAX_IN_FLIGHT,
    MAX_WAITING,
    MOST_WAITING,
    STALL_TIMEOUT,
    LineBuffer,
    LineTooLong,
    LocalConnection,
    _Outgoing,
)

NOBODY = 65534


def request(number, command=None, version=1):
    return json.dumps({"version": version, "request": number, "command": command or {"type": "x"}}).encode() + b"\n"


class FakeTransport(StringTransport):
    """Counts what is asked of it, and has room as long as `room` says so."""

    producer: Any
    room = True
    aborted = False

    def write(self, data):
        super().write(data)
        if not self.room and self.producer is not None:
            self.producer.pauseProducing()

    def abortConnection(self):
        self.aborted = True

    def lines(self):
        found = [json.loads(line) for line in self.value().splitlines()]
        self.clear()
        return found


class Events:
    """A source of events."""

    def __init__(self) -> None:
        self.listener: Any = None
        self.cancelled = 0

    def subscribe(self, listener, answers):
        self.listener, self.answers = listener, answers
        return self

    def cancel(self):
        self.cancelled += 1
        self.listener = None


class ConnectionCase(SynchronousTestCase):
    """A client on a fake transport."""

    refusal: str | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.commands: list[Any] = []
        self.results: list[Deferred[bytes]] = []
        self.events = Events()
        self.ended: list[LocalConnection] = []
        self.transport = FakeTransport()
        self.connection = LocalConnection(
            self.execute, self.events.subscribe, self.clock, lambda transport: self.refusal, self.ended.append
        )
        self.connection.makeConnection(self.transport)

    def execute(self, raw):
        self.commands.append(json.loads(raw))
        result: Deferred[bytes] = Deferred()
        self.results.append(result)
        return result

    def receive(self, data):
        self.connection.dataReceived(data)

    def lose(self):
        self.connection.connectionLost(Failure(ConnectionError()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.ended, [self.connection])

    def assert_refused(self, words, exit_code):
        (answer,) = self.transport.lines()
        self.assertEqual((answer["version"], answer["exit_code"]), (1, exit_code))
        self.assertIn(words, answer["error"])
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)
        self.receive(request(1))
        self.assertEqual(self.commands, [])
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertTrue(self.transport.aborted)
        self.lose()


class RequestTests(ConnectionCase):
    def test_interfaces(self) -> None:
        """Twisted is told of half-closed connections, and tells when there is room."""
        verifyObject(IHalfCloseableProtocol, self.connection)
        verifyObject(IPushProducer, _Outgoing(self.transport, self.clock, lambda why: None, lambda: None))

    def test_answers_carry_the_number(self) -> None:
        """Several requests are executed at a time; each answer has the number of its request."""
        self.receive(request(7, {"type": "a"}) + request(8, {"type": "b"}))
        self.assertEqual(self.commands, [{"type": "a"}, {"type": "b"}])
        self.results[1].callback(b'{"type":"second"}')
        self.results[0].callback(b'{"type":"first"}')
        self.assertEqual(
            self.transport.lines(),
            [
                {"version": 1, "request": 8, "reply": {"type": "second"}},
                {"version": 1, "request": 7, "reply": {"type": "first"}},
            ],
        )
        self.lose()

    def test_any_segmentation(self) -> None:
        """It does not matter how the bytes were cut; blank lines are nothing."""
        for byte in b"\n \r\n" + request(1) + b"\n" + request(2):
            self.receive(bytes([byte]))
        self.assertEqual(len(self.commands), 2)

    def test_refusal_for_a_person(self) -> None:
        """A UserError is one line and its exit code; the connection goes on."""
        self.receive(request(1) + request(2))
        self.results[0].errback(UsageError("no such thing;\n try another"))
        self.results[1].callback(b"{}")
        error, reply = self.transport.lines()
        self.assertEqual(error, {"version": 1, "request": 1, "error": "no such thing; try another", "exit_code": 2})
        self.assertEqual(reply["request"], 2)

    def test_text_that_is_no_unicode(self) -> None:
        """A file name of any bytes may stand in an error."""
        self.receive(request(1))
        self.results[0].errback(UserError("cannot read /tmp/\udcff"))
        self.assertEqual(self.transport.lines()[0]["error"], "cannot read /tmp/?")

    def test_bugs_stay_inside(self) -> None:
        """Anything else is logged, and the client learns only that."""
        self.receive(request(1))
        self.results[0].errback(ZeroDivisionError("secret"))
        (answer,) = self.transport.lines()
        self.assertEqual((answer["error"], answer["exit_code"]), ("internal error; see the log", 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_gone_before_the_answer(self) -> None:
        """What was asked is done even if nobody waits for the answer."""
        self.receive(request(1))
        self.lose()
        self.results[0].callback(b"{}")
        self.assertEqual(self.transport.lines(), [])


class GarbageTests(ConnectionCase):
    """On the local socket: garbage gets one line, and the connection ends."""

    def test_garbage_on_the_local_socket(self) -> None:
        """What is no request is refused as such, whatever it is."""
        rows = (
            b"hello",
            b"\xff\xfe\x00",
            b"null",
            b"[1]",
            b"{}",
            b'{"version":"1"}',
            b'{"version":1.5,"request":1,"command":{"type":"x"}}',
            b'{"version":1,"command":{"type":"x"}}',
            b'{"version":1,"request":1}',
            b'{"version":1,"request":9223372036854775808,"command":{"type":"status"}}',
            b'{"version":1,"request":-9223372036854775809,"command":{"type":"status"}}',
            b'{"version":1,"request":1' + 40 * b"0" + b',"command":{"type":"status"}}',
            b'{"version":1,"request":1,"command":[]}',
            b'{"version":1,"request":1,"command":{}}',
            b'{"version":1,"request":1,"command":{"type":1}}',
            b'{"version":1,"request":1,"command":{"type":"\xff"}}',
            b'{"version":1,"request":1,"command":{"type":"x"}} {}',
            b'{"version":1,"request":1,"command":' + b"[" * 30000 + b"]" * 30000 + b"}",
            b"[" * 120000,
            b"GET / HTTP/1.1\r",
        )
        for row in rows:
            with self.subTest(row[:60]):
                self.setUp()
                self.receive(row + b"\n" + request(9))
                self.assert_refused("no request", 2)

    def test_too_long_a_line(self) -> None:
        """A line above 128 KiB is refused before its end, and nothing of what follows is kept."""
        self.receive(b" " * MAX_REQUEST_LINE)
        self.assertEqual(self.transport.lines(), [])
        self.receive(b" ")
        self.assert_refused("bytes at most", 2)

    def test_too_long_a_whole_line(self) -> None:
        """So is one that came whole."""
        self.receive(b" " * (MAX_REQUEST_LINE + 1) + b"\n")
        self.assert_refused("bytes at most", 2)

    def test_unknown_version(self) -> None:
        """Another version is named, even where its lines look otherwise."""
        self.receive(b'{"version":2,"ask":"something"}\n')
        self.assert_refused("version 1", 1)

    def test_not_admitted(self) -> None:
        """Who may not use the socket is told so, and is not listened to."""
        self.refusal = "not for you"
        self.setUp()
        self.assert_refused("not for you", 1)

    @given(st.binary(max_size=300))
    @settings(max_examples=200, deadline=None)
    def test_any_bytes(self, data):
        """No bytes make it raise, and every line that comes back is a JSON object with a version."""
        self.setUp()
        self.receive(data)
        self.connection.readConnectionLost()
        for answer in self.transport.lines():
            self.assertEqual(answer["version"], 1)
        self.lose()


class PressureTests(ConnectionCase):
    def test_requests_in_flight(self) -> None:
        """Beyond 64 requests nothing more is read until one is answered."""
        self.receive(b"".join(request(number) for number in range(MAX_IN_FLIGHT + 3)))
        self.assertEqual(len(self.commands), MAX_IN_FLIGHT)
        self.assertEqual(self.transport.producerState, "paused")
        self.results[5].callback(b"{}")
        self.assertEqual(len(self.commands), MAX_IN_FLIGHT + 1)
        for result in self.results[MAX_IN_FLIGHT - 3 : MAX_IN_FLIGHT]:
            result.callback(b"{}")
        self.assertEqual(len(self.commands), MAX_IN_FLIGHT + 3)
        self.assertEqual(self.transport.producerState, "producing")

    def test_many_lines_answered_at_once(self) -> None:
        """A thousand requests in one read, each answered at once, nest nothing."""
        self.connection._execute = lambda raw: succeed(b"{}")
        self.receive(b"".join(request(number) for number in range(1000)))
        self.assertEqual([answer["request"] for answer in self.transport.lines()], list(range(1000)))

    def stall(self):
        self.receive(request(1, {"type": "subscribe"}))
        self.transport.room = False
        self.events.listener(b'{"number":0}')
        self.transport.clear()

    def test_a_client_that_reads_again(self) -> None:
        """While a client does not read, events wait in order, and nothing is read from it."""
        self.stall()
        for number in range(1, 4):
            self.events.listener(b'{"number":%d}' % number)
        self.receive(request(2))
        self.assertEqual((self.transport.lines(), self.commands), ([], []))
        self.assertEqual(self.transport.producerState, "paused")
        self.transport.room = True
        self.transport.producer.resumeProducing()
        self.assertEqual([line["event"]["number"] for line in self.transport.lines()], [1, 2, 3])
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.commands, [{"type": "x"}])
        self.lose()

    def test_room_for_a_part(self) -> None:
        """What waits goes out as far as there is room."""
        self.stall()
        for number in range(1, 4):
            self.events.listener(b'{"number":%d}' % number)
        for number in range(1, 4):
            self.transport.producer.resumeProducing()
            self.assertEqual([line["event"]["number"] for line in self.transport.lines()], [number])
        self.lose()

    def test_client_that_never_reads_on_the_local_socket(self) -> None:
        """A client that has not read for 60 s is cut, and its subscription ends."""
        self.stall()
        self.clock.advance(STALL_TIMEOUT - 1)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(1)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.events.cancelled, 1)
        self.lose()

    def test_events_for_a_client_that_is_behind(self) -> None:
        """What waits for a client is bounded: events are left out, it is told how many, and then gets events again."""
        self.stall()
        event = b'{"text":"%s"}' % (b"x" * 65536)
        for _ in range(40):
            self.events.listener(event)
        self.assertFalse(self.transport.aborted)
        self.transport.room = True
        self.transport.producer.resumeProducing()
        got = [line["event"] for line in self.transport.lines() if "event" in line]
        kept = len(got) - 1
        self.assertEqual(got[-1], {"type": "missed", "count": 40 - kept})
        self.assertLess(kept * len(event), MAX_WAITING + 2 * len(event))
        self.assertGreater(kept * len(event), MAX_WAITING)
        self.events.listener(b'{"number":1}')
        self.assertEqual(self.transport.lines()[-1]["event"], {"number": 1})
        self.lose()

    def test_nothing_overtakes_what_was_left_out(self) -> None:
        """Once an event was left out, those behind it are too, until the client was told."""
        self.stall()
        event = b'{"text":"%s"}' % (b"x" * 65536)
        for _ in range(20):
            self.events.listener(event)
        self.transport.producer.resumeProducing()  # room for one line, and the rest waits
        self.events.listener(b'{"number":1}')
        self.transport.room = True
        self.transport.producer.resumeProducing()
        got = [line["event"] for line in self.transport.lines() if "event" in line]
        self.assertEqual([each["type"] for each in got if "text" not in each], ["missed"])
        self.lose()

    def test_too_many_answers_for_a_client_that_does_not_read(self) -> None:
        """Answers are never left out: where too many wait the client is cut, and nobody else notices."""
        self.receive(b"".join(request(number) for number in range(1, 12)))
        self.stall()
        for number, result in enumerate(self.results[:10], 1):
            self.assertEqual(self.transport.aborted, number > MOST_WAITING // MAX_WAITING + 1)
            result.callback(b'"%s"' % (b"x" * MAX_WAITING))
        self.assertTrue(self.transport.aborted)
        self.lose()

    def test_one_large_answer(self) -> None:
        """One answer above the bound is no offence."""
        self.transport.room = False
        self.receive(request(1) + request(2))
        self.results[0].callback(b'"%s"' % (b"x" * 2 * MAX_WAITING))
        self.results[1].callback(b'"%s"' % (b"x" * 2 * MAX_WAITING))
        self.assertFalse(self.transport.aborted)
        self.lose()


class EventTests(ConnectionCase):
    def test_subscribe(self) -> None:
        """A subscription is answered, then events come; asking twice changes nothing."""
        self.receive(request(1, {"type": "subscribe"}) + request(2, {"type": "subscribe"}))
        self.events.listener(b'{"type":"problem"}')
        self.assertEqual(
            self.transport.lines(),
            [
                {"version": 1, "request": 1, "reply": {"type": "done"}},
                {"version": 1, "request": 2, "reply": {"type": "done"}},
                {"version": 1, "event": {"type": "problem"}},
            ],
        )
        self.lose()
        self.assertEqual(self.events.cancelled, 1)

    def test_a_person_who_answers(self) -> None:
        """A subscription may say that a person is there; what is neither yes nor no is refused."""
        self.receive(request(1, {"type": "subscribe", "answers": 3}))
        self.assertEqual(self.transport.lines()[0]["exit_code"], 2)
        for answers in (True, False):
            self.connection._subscription = None
            self.receive(request(2, {"type": "subscribe", "answers": answers}))
            self.assertIs(self.events.answers, answers)

    def test_no_events(self) -> None:
        """Where there are no events, that is said."""
        self.connection._subscribe = None
        self.receive(request(1, {"type": "subscribe"}))
        self.assertEqual(self.transport.lines()[0]["exit_code"], 2)


class EndTests(ConnectionCase):
    def test_half_closed(self) -> None:
        """A program may close its side after its last request, also an unfinished one, and read the answers."""
        self.receive(request(1) + request(2).rstrip())
        self.connection.readConnectionLost()
        self.assertEqual(len(self.commands), 2)
        self.results[0].callback(b"{}")
        self.assertFalse(self.transport.disconnecting)
        self.results[1].callback(b"{}")
        self.assertEqual(len(self.transport.lines()), 2)
        self.assertTrue(self.transport.disconnecting)
        self.lose()

    def test_half_closed_subscriber(self) -> None:
        """Events go on to whoever only closed their own side."""
        self.receive(request(1, {"type": "subscribe"}))
        self.connection.readConnectionLost()
        self.assertFalse(self.transport.disconnecting)
        self.lose()

    def test_close(self) -> None:
        """A connection that we end gets what waits for it first, and is gone after a second."""
        self.receive(request(1, {"type": "subscribe"}))
        self.transport.room = False
        for number in range(3):
            self.events.listener(b'{"number":%d}' % number)
        self.connection.close()
        self.connection.close()
        self.assertEqual([line["event"]["number"] for line in self.transport.lines()[1:]], [0, 1, 2])
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertTrue(self.transport.aborted)
        self.lose()


class LineTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=20)), st.integers(1, 9))
    @settings(max_examples=100, deadline=None)
    def test_segmentation(self, lines, step):
        """However bytes are cut, the lines are the same."""
        lines = [line.replace(b"\n", b"") for line in lines]
        data = b"".join(line + b"\n" for line in lines)
        buffer, found = LineBuffer(20), []
        for start in range(0, len(data), step):
            buffer.feed(data[start : start + step])
            while (line := buffer.take()) is not None:
                found.append(line)
        self.assertEqual(found, lines)

    def test_limit(self) -> None:
        """A line of exactly the limit passes, one more byte does not."""
        buffer = LineBuffer(3)
        buffer.feed(b"abc\nabcd")
        self.assertEqual(buffer.take(), b"abc")
        self.assertRaises(LineTooLong, buffer.take)

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    @settings(max_examples=200, deadline=None)
    def test_X1_json_for_programs_is_printable_ascii(self, text):
        """Whatever stands in a text, its JSON is printable ASCII on one line, and means the same."""
        encoded = to_json({"text": text})
        self.assertTrue(all(0x20 <= byte < 0x7F for byte in encoded))
        self.assertEqual(json.loads(encoded), {"text": text})


class TypedTests(SynchronousTestCase):
    def test_commands(self) -> None:
        """Commands are decoded into their union, replies encoded."""
        row = RosterRow(handle="bob", name="Bób", id="x", address="10.0.0.9", port=6666, since=0, heard=1)
        execute = json_execute(ServerCommand, lambda command: succeed(RosterRows(number=1, rows=(row,))))
        reply = self.successResultOf(execute(b'{"type":"show-roster"}'))
        self.assertIn(b'"name":"B\\u00f3b"', reply)

    def test_unknown_command(self) -> None:
        """What is no command there is the client's fault."""
        execute = json_execute(ServerCommand, lambda command: fail(AssertionError()))
        for raw in (
            b'{"type":"say","who":"bob","text":"x"}',
            b'{"type":"x"}',
            b'{"type":"show-roster","a":' + b"[" * 9999,
        ):
            self.failureResultOf(execute(raw), UsageError)
        execute = json_execute(ServerCommand, lambda command: fail(AssertionError()), "server")
        told = str(self.failureResultOf(execute(b'{"type":"receive"}'), UsageError).value)
        self.assertIn("is a p2pchat server, which has no command 'receive'; name another directory", told)

    def test_events(self) -> None:
        """Events are encoded for each listener."""
        events = Events()
        heard: list[bytes] = []
        json_subscribe(events.subscribe)(heard.append, False)
        events.listener(Problem(text="caf\u00e9"))
        self.assertEqual(heard, [b'{"type":"problem","text":"caf\\u00e9"}'])


class AdminTests(SynchronousTestCase):
    def test_without_a_group(self) -> None:
        """The owner and root are admitted, whatever their groups."""
        admins = Admins()
        admins.resolve()
        self.assertTrue(admins.admits(LocalUser(1, os.geteuid(), 5, frozenset())))
        self.assertTrue(admins.admits(LocalUser(1, 0, 5, frozenset())))
        self.assertFalse(admins.admits(LocalUser(1, os.geteuid() + 1, os.getegid(), frozenset({0}))))

    def test_with_a_group(self) -> None:
        """So are members of the group, by their first group or another."""
        admins = Admins(grp.getgrgid(os.getegid()).gr_name)
        admins.resolve()
        other = os.geteuid() + 1
        self.assertTrue(admins.admits(LocalUser(1, other, os.getegid(), frozenset())))
        self.assertTrue(admins.admits(LocalUser(1, other, 77777, frozenset({os.getegid()}))))
        self.assertFalse(admins.admits(LocalUser(1, other, 77777, frozenset({77778}))))

    def test_no_such_group(self) -> None:
        """A group that is not there is said, not ignored."""
        self.assertRaises(UsageError, Admins("no-such-group-here").resolve)


class ServiceCase(TestCase):
    """A real socket."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp()) / "state"
        self.directory.mkdir(mode=0o700)
        self.path = self.directory / "socket"
        self.events = Events()

    def start(self, **options):
        execute = json_execute(ServerCommand, lambda command: succeed(Done()))
        self.factory = LocalFactory(execute, reactor, subscribe=self.events.subscribe, **options)
        self.service = LocalService(reactor, self.path, self.factory)
        self.service.startService()
        self.addCleanup(self.stop)

    async def stop(self):
        if self.service.running:
            await self.service.stopService()

    def in_thread(self, function, *arguments):
        return deferToThread(function, *arguments)

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(os.fsencode(self.path))
        self.addCleanup(connection.close)
        return connection

    def connect_patiently(self):
        """Connect, also when the queue of those that were not taken up yet is full."""
        while True:
            with contextlib.suppress(BlockingIOError):
                return self.connect()
            time.sleep(0.001)

    def ask(self):
        """One request over a connection of its own; what came back until its end."""
        with self.connect() as connection:
            connection.sendall(request(1, {"type": "show-roster"}))
            connection.shutdown(socket.SHUT_WR)
            return self.read_all(connection)

    @staticmethod
    def read_all(connection):
        data = b""
        # A connection that was closed over what we sent ends in an error, behind what was sent to us.
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                data += chunk
        return [json.loads(line) for line in data.splitlines()]


class ServiceTests(ServiceCase):
    async def test_request(self) -> None:
        """The socket is private, answers, and is removed at the end."""
        self.start()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        answers = await self.in_thread(self.ask)
        self.assertEqual(answers, [{"version": 1, "request": 1, "reply": {"type": "done"}}])
        await self.service.stopService()
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_long_path(self) -> None:
        """The path of the state directory may be as long as paths can be."""
        for _ in range(12):
            self.directory = self.directory / ("d" * 100)
        self.directory.mkdir(mode=0o700, parents=True)
        self.path = self.directory / "socket"
        self.start()
        self.assertTrue(stat.S_ISSOCK(self.path.stat().st_mode))
        descriptor = os.open(self.directory, os.O_PATH)
        self.addCleanup(os.close, descriptor)
        self.path = Path(f"/proc/self/fd/{descriptor}/socket")
        self.assertEqual(len(await self.in_thread(self.ask)), 1)
        await self.service.stopService()
        self.assertEqual(list(self.directory.iterdir()), [])
        open_here = []
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/self/fd/{number}") == str(self.directory):
                    open_here.append(int(number))
        self.assertEqual(open_here, [descriptor])

    async def test_stale_socket(self) -> None:
        """A socket that a killed process left is replaced."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fsencode(self.path))
        self.start()
        self.assertEqual(len(await self.in_thread(self.ask)), 1)

    def test_something_in_the_way(self) -> None:
        """Anything else under that name is left alone."""
        self.path.write_text("mine")
        service = LocalService(reactor, self.path, LocalFactory(lambda raw: succeed(b""), reactor))
        self.assertRaises(StateError, service.startService)
        self.assertEqual(self.path.read_text(), "mine")

    def test_no_directory(self) -> None:
        """A directory that is not there is one line."""
        service = LocalService(reactor, self.path / "x" / "y", LocalFactory(lambda raw: succeed(b""), reactor))
        error = self.assertRaises(StateError, service.startService)
        self.assertIn("cannot make the socket", str(error))

    async def test_file_removed(self) -> None:
        """Somebody may have removed the file before we do."""
        self.start()
        self.path.unlink()
        await self.service.stopService()

    async def test_too_many_clients_on_the_local_socket(self) -> None:
        """The sixty-fifth client gets a line; when another leaves there is room again."""
        self.start()

        def fill():
            kept = []
            for _ in range(MAX_CLIENTS):
                connection = self.connect()
                connection.sendall(request(1))
                connection.recv(1)
                kept.append(connection)
            with self.connect() as extra:
                refused = self.read_all(extra)
            for connection in kept:
                connection.close()
            return refused

        ((refused),) = await self.in_thread(fill)
        self.assertIn("64 programs", refused["error"])
        self.assertEqual(len(await self.in_thread(self.ask)), 1)

    async def test_a_thousand_clients_on_the_local_socket(self) -> None:
        """Of a thousand at once 64 are served, the others get a line each, and no descriptor stays."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.start()

        def crowd():
            kept = [self.connect_patiently() for _ in range(1000)]
            for connection in kept[:MAX_CLIENTS]:
                connection.sendall(request(1))
            served = [bool(connection.recv(1)) for connection in kept[:MAX_CLIENTS]]
            refused = [self.read_all(connection)[0]["error"] for connection in kept[MAX_CLIENTS:]]
            kept[0].sendall(request(2))
            again = b""
            while b'"request":2' not in again:
                again += kept[0].recv(65536)
            for connection in kept:
                connection.close()
            return served, refused, again

        descriptors = len(os.listdir("/proc/self/fd"))
        served, refused, again = await self.in_thread(crowd)
        self.assertEqual((served, len(refused)), ([True] * MAX_CLIENTS, 1000 - MAX_CLIENTS))
        self.assertEqual({"64 programs" in line for line in refused}, {True})
        self.assertIn(b"has no command", again)
        self.assertEqual(len(await self.in_thread(self.ask)), 1)
        await deferLater(reactor, 0, lambda: None)  # type: ignore[arg-type]
        self.assertLess(len(os.listdir("/proc/self/fd")), descriptors + 10)

    async def test_client_that_never_reads_on_the_real_socket(self) -> None:
        """What waits for a client that never reads is bounded, and others are served; when it reads, it is told."""
        self.start()
        connection = self.connect()
        connection.sendall(request(1, {"type": "subscribe"}))
        await self.in_thread(connection.recv, 1)
        person = Person(id="x", name="bob")
        raw = to_json(Said(person=person, number=1, text="x" * 16384, kind="text", at=0, entry=1))
        for _ in range(16 * MAX_WAITING // len(raw)):
            self.events.listener(raw)
        self.assertEqual(self.events.cancelled, 0)
        self.assertEqual(len(await self.in_thread(self.ask)), 1)
        found = await self.in_thread(self.until_missed, connection)
        self.assertLess(found, 4 * MAX_WAITING)

    @staticmethod
    def until_missed(connection):
        """How many bytes come before the client is told that it missed something."""
        size, tail = 0, b""
        while b'"type":"missed"' not in tail:
            data = connection.recv(65536)
            assert data, "it was cut"
            size, tail = size + len(data), tail[-100:] + data
        return size

    async def test_end(self) -> None:
        """When the service ends, so do the connections, with what was on its way to them."""
        self.start()
        connection = self.connect()
        connection.sendall(request(1, {"type": "subscribe"}))
        await self.in_thread(connection.recv, 1)
        self.events.listener(b'{"type":"stopping"}')
        await self.service.stopService()
        data = await self.in_thread(self.drain, connection)
        self.assertTrue(data.endswith(b'{"version":1,"event":{"type":"stopping"}}\n'))

    @staticmethod
    def drain(connection):
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
        return data


class OtherUserTests(ServiceCase):
    """On the local socket: other users of the machine."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can run a client as somebody else")
        super().setUp()

    def ask_as(self, uid, gid, groups):
        """`ask` in a child process of another user; what came back, or the errno that connecting failed with."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(groups)
                os.setgid(gid)
                os.setuid(uid)
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(20)
                    connection.connect(os.fsencode(self.path))
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(request(1, {"type": "show-roster"}))
                        connection.shutdown(socket.SHUT_WR)
                    os.write(writing, json.dumps(self.read_all(connection)).encode())
            except OSError as error:
                os.write(writing, json.dumps(error.errno).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as pipe:
            result = json.loads(pipe.read())
        os.waitpid(child, 0)
        return result

    def open_to_all(self):
        """Take the permissions of the files away, so that only the kernel's word stands."""
        for path in (self.directory.parent, self.directory):
            path.chmod(0o755)
        self.path.chmod(0o666)

    async def test_other_uid_by_file_mode(self) -> None:
        """The modes of directory and socket keep others out already."""
        self.start()
        self.directory.parent.chmod(0o755)
        self.assertEqual(await self.in_thread(self.ask_as, NOBODY, NOBODY, []), 13)

    async def test_other_uid_by_credentials(self) -> None:
        """Where the modes would let another user in, SO_PEERCRED does not, and nothing is executed."""
        self.start()
        self.open_to_all()
        (answer,) = await self.in_thread(self.ask_as, NOBODY, NOBODY, [])
        self.assertIn("owner", answer["error"])
        self.assertEqual(answer["exit_code"], 1)

    async def test_member_of_the_group(self) -> None:
        """A member of the admin group comes in, by the modes that were set and by their groups."""
        group = next(each for each in grp.getgrall() if each.gr_gid not in (0, NOBODY))
        self.start(admin_group=group.gr_name)
        self.directory.parent.chmod(0o755)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o710)
        for gid, groups in ((group.gr_gid, []), (NOBODY, [77777, group.gr_gid])):
            (answer,) = await self.in_thread(self.ask_as, NOBODY, gid, groups)
            self.assertEqual(answer["reply"], {"type": "done"})
        self.assertEqual(await self.in_thread(self.ask_as, NOBODY, NOBODY, [77777]), 13)


class DocumentTests(SynchronousTestCase):
    def test_every_word_is_documented(self) -> None:
        """docs/local-api.md names every command, reply and event of the socket, and every field of theirs."""
        document = Path(__file__).parent.parent / "docs" / "local-api.md"
        if not document.exists():
            raise SkipTest("not a source tree")
        words = set(re.findall(r"`([a-z_-]+)[`:]", document.read_text()))
        for union in (Command, ServerCommand, Reply, ServerReply, Event):
            for kind in get_args(union):
                missing = {kind.__struct_config__.tag, *kind.__struct_fields__} - words
                self.assertEqual(missing, set(), kind.__name__)
