"""p2pchat.net.local_api: the api over the socket, for a program with a reactor."""

import json
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.api.lines import MAX_REQUEST_LINE, to_json
from p2pchat.core.errors import Reported, StoreUnsure, UsageError, UserError
from p2pchat.core.messages import MAX_TEXT
from p2pchat.net.local_api import GATHER, STALLED, LocalApi, LocalApiFactory
from tests.fake_api import BOB

SAID = api.Said(person=BOB, number=1, text="hi \u65e5", kind="text", at=0, entry=7)
DONE = {"type": "done"}


class Transport(StringTransport):
    aborted = False

    def abortConnection(self):
        self.aborted = True


class LocalApiCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.transport = Clock(), Transport()
        self.ended: list[str] = []
        self.api = LocalApi(self.clock, api.Reply, api.Event, lambda text: api.Problem(text=text), self.ended.append)
        self.assertIs(LocalApiFactory(self.api).buildProtocol(None), self.api)
        self.api.makeConnection(self.transport)
        self.assertEqual([request["command"] for request in self.requests()], [{"type": "subscribe"}])
        self.answer(request=1, reply=DONE)
        self.addCleanup(self.assert_nothing_left)

    def assert_nothing_left(self) -> None:
        self.clock.advance(GATHER)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def requests(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.transport.value().splitlines()]
        self.transport.clear()
        return found

    def answer(self, version: int = 1, **fields: Any) -> None:
        self.api.dataReceived(json.dumps({"version": version, **fields}).encode() + b"\n")

    def event(self, event: api.Event) -> None:
        self.answer(event=json.loads(to_json(event)))

    def lose(self) -> None:
        self.api.connectionLost(Failure(ConnectionLost()))


class CommandTests(LocalApiCase):
    def test_several(self) -> None:
        """Commands go out with numbers; each Deferred fires with the reply to its own."""
        first = self.api.execute(api.WhoIs(who="bob"))
        second = self.api.execute(api.Close(who="bob"))
        requests = self.requests()
        self.assertEqual([request["command"]["type"] for request in requests], ["who-is", "close"])
        self.answer(request=requests[1]["request"], reply=DONE)
        self.assertNoResult(first)
        self.assertEqual(self.successResultOf(second), api.Done())
        self.answer(request=requests[0]["request"], reply={"type": "people", "people": []})
        self.assertEqual(self.successResultOf(first), api.People(people=()))

    def test_refused(self) -> None:
        """A refusal is a UserError with the daemon's line and exit code."""
        deferred = self.api.execute(api.Close(who="bob"))
        self.answer(request=2, error="nobody is called bob", exit_code=5)
        error = self.failureResultOf(deferred, Reported).value
        self.assertEqual((str(error), error.exit_code), ("nobody is called bob", 5))

    def test_reply_of_another_version(self) -> None:
        """A reply that this version does not know fails alone."""
        deferred = self.api.execute(api.Close(who="bob"))
        self.answer(request=2, reply={"type": "something-new"})
        self.failureResultOf(deferred, UserError)
        self.assertEqual(self.ended, [])

    def test_the_longest_message(self) -> None:
        """A message of the greatest length fits, whatever stands in it; what does not fit is not sent."""
        deferred = self.api.execute(api.Say(who=BOB.id, text="\x01" * MAX_TEXT))
        line = self.transport.value()
        self.assertLessEqual(len(line), MAX_REQUEST_LINE)
        self.failureResultOf(self.api.execute(api.Say(who="x", text="\x01" * 2 * MAX_TEXT)), UsageError)
        self.failureResultOf(self.api.execute(api.Say(who="x", text="\udcff")), UsageError)
        self.assertEqual(self.transport.value(), line)
        self.answer(request=2, reply=DONE)
        self.successResultOf(deferred)

    def test_stalled(self) -> None:
        """A daemon that answers nothing for long is told of once, as a problem, and nothing is taken as failed."""
        heard: list[api.Event] = []
        self.api.subscribe(heard.append)
        first, second = self.api.execute(api.Status()), self.api.execute(api.Status())
        self.clock.advance(STALLED - 1)
        self.answer(request=2, reply=DONE)
        self.clock.advance(STALLED - 1)
        self.assertEqual(heard, [])
        self.clock.advance(1)
        self.assertIn("has not answered", str(heard[0]))
        self.clock.advance(10 * STALLED)
        self.assertEqual(len(heard), 1)
        self.assertNoResult(second)
        self.answer(request=3, reply=DONE)
        self.successResultOf(second)
        self.successResultOf(first)


class EventTests(LocalApiCase):
    def test_listeners(self) -> None:
        """Every listener hears every event in order; one that fails or leaves harms no other."""
        first: list[api.Event] = []
        second: list[api.Event] = []

        def fail(event: api.Event) -> None:
            raise ZeroDivisionError

        leaving = self.api.subscribe(first.append)
        self.api.subscribe(fail)
        self.api.subscribe(second.append)
        self.event(SAID)
        leaving.cancel()
        leaving.cancel()
        self.answer(event={"type": "of-a-newer-version"})
        self.event(api.Stopping())
        self.assertEqual((first, second), ([SAID], [SAID, api.Stopping()]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_any_segmentation(self) -> None:
        """It does not matter how the bytes were cut."""
        heard: list[api.Event] = []
        self.api.subscribe(heard.append)
        for byte in b'{"version":1,"event":{"type":"stopping"}}\n' * 2:
            self.api.dataReceived(bytes([byte]))
        self.assertEqual(len(heard), 2)


class FloodTests(LocalApiCase):
    def is_read(self) -> bool:
        return self.transport.producerState == "producing"

    def flood(self) -> None:
        for _ in range(2):
            self.event(SAID)

    def test_gathers(self) -> None:
        """Events that follow one another at once are left to gather for a moment; the first is never kept waiting."""
        self.clock.advance(1)
        self.event(SAID)
        self.assertTrue(self.is_read())
        self.event(SAID)
        self.assertFalse(self.is_read())
        self.clock.advance(GATHER)
        self.assertTrue(self.is_read())
        self.clock.advance(GATHER)
        self.event(SAID)
        self.assertTrue(self.is_read())

    def test_nobody_waits_for_an_answer(self) -> None:
        """What is asked is answered at once also in a flood."""
        self.flood()
        self.api.execute(api.Status())
        self.assertTrue(self.is_read())
        self.flood()
        self.assertTrue(self.is_read())
        self.answer(request=2, reply=DONE)
        self.assertFalse(self.is_read())
        self.clock.advance(GATHER)

    def test_leaving(self) -> None:
        """Nothing is left behind by whoever leaves in a flood, nor where the daemon ends in one."""
        self.flood()
        self.api.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EndTests(LocalApiCase):
    def test_lost(self) -> None:
        """When the daemon is gone everything fails, and that is told once."""
        deferred = self.api.execute(api.Status())
        self.lose()
        self.failureResultOf(deferred, UserError)
        self.failureResultOf(self.api.execute(api.Status()), UserError)
        self.lose()
        self.assertEqual(len(self.ended), 1)

    def test_lost_while_it_was_done(self) -> None:
        """Whether what was not answered was done, nobody knows: a message may be stored, and is not called unsent."""
        deferred = self.api.execute(api.Say(who="bob", text="hello"))
        self.lose()
        error = self.failureResultOf(deferred, UserError).value
        self.assertEqual(error.exit_code, StoreUnsure.exit_code)
        self.assertIn("is lost", str(error))
        self.assertIn("whether", str(error))
        # What was asked afterwards was certainly not done.
        error = self.failureResultOf(self.api.execute(api.Say(who="bob", text="hello")), UserError).value
        self.assertEqual(error.exit_code, UserError.exit_code)

    def test_refused_connection(self) -> None:
        """A line about the whole connection is why it is over."""
        self.answer(error="64 programs use this socket already", exit_code=1)
        self.assertEqual(self.ended, ["64 programs use this socket already"])
        self.assertTrue(self.transport.aborted)
        self.lose()
        self.assertEqual(len(self.ended), 1)

    def test_leave(self) -> None:
        """Leaving fails what is not answered, and `ended` is not called for it."""
        deferred = self.api.execute(api.Status())
        self.api.leave()
        self.failureResultOf(deferred, UserError)
        self.lose()
        self.assertEqual((self.ended, self.transport.aborted), ([], True))

    def test_nonsense(self) -> None:
        """Whatever else answers there is one line and the end."""
        for row in (b"HTTP/1.1 400\r\n", b"\xff\n", b"[" * 50000 + b"\n", b'{"version":2,"request":2}\n', b"7\n"):
            with self.subTest(row[:20]):
                self.setUp()
                self.api.dataReceived(row)
                self.assertEqual(len(self.ended), 1)
                self.assertIn("does not answer as", self.ended[0])
                self.assertTrue(self.transport.aborted)

    def test_endless_line(self) -> None:
        """A line without an end is not collected for ever."""
        self.patch(self.api._lines, "_limit", 1000)
        self.api.dataReceived(b"x" * 1001)
        self.assertEqual(len(self.ended), 1)

    def test_no_events_there(self) -> None:
        """A daemon that refuses its events is no peer."""
        ended: list[str] = []
        held = LocalApi(self.clock, api.Reply, api.Event, str, ended.append)
        held.makeConnection(Transport())
        held.dataReceived(b'{"version":1,"request":1,"error":"there are no events here","exit_code":2}\n')
        self.assertEqual(ended, ["there are no events here"])
