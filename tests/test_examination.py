"""The doctor of a peer that runs: what it asks servers, links and the store, and what it says."""

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.api import Examine, Finding, Findings
from p2pchat.core.errors import EndCode, StoreError
from p2pchat.core.messages import Address, DialBack, DialledBack
from p2pchat.core.trust import Policy
from p2pchat.peer import examination
from p2pchat.peer.dial_back import ANSWER_WITHIN
from p2pchat.peer.examination import CHECK_WITHIN
from p2pchat.storage.health import look_at
from tests.company import WALL
from tests.test_server_link import ServerLinkTests


class ExaminationCase(ServerLinkTests):
    """Base: a server that says what the test makes it say."""

    def begin(self) -> Deferred[Any]:
        """Ask the doctor; the server's answer is up to the test."""
        found = Deferred.fromCoroutine(self.alice.commands.execute(Examine()))
        self.world.settle()
        return found

    def findings(self, answer: DialledBack | None = None) -> dict[str, Finding]:
        """What the doctor says, by check, where the server answers so."""
        asked = len(self.far.of(DialBack))
        found = self.begin()
        if len(self.far.of(DialBack)) > asked:
            if answer is None:
                self.world.wait(ANSWER_WITHIN + 1)
            else:
                self.far.say(answer)
                self.world.settle()
        reply = self.successResultOf(found)
        assert isinstance(reply, Findings)
        return {finding.check: finding for finding in reply.findings}

    def reached(self, code: str = "reached") -> DialledBack:
        """An answer to the next question."""
        number = len(self.far.of(DialBack)) + 1
        return DialledBack(number=number, code=code, address=Address(host="192.0.2.7", port=6666))


class ServerTests(ExaminationCase):
    """What is known from servers and links."""

    def test_all_is_well(self) -> None:
        """A peer that is reached: every check is there, and none has failed."""
        self.start()
        found = self.findings(self.reached())
        self.assertEqual([finding for finding in found.values() if finding.state == "failed"], [])
        self.assertEqual((found["server"].state, found["clock"].state, found["store"].state), ("ok",) * 3)
        self.assertIn("reached this peer", found["reach"].text)
        self.assertIn("X25519MLKEM768", found["post-quantum"].text)
        self.assertEqual(found["paths"].text.partition(";")[0], "no chat has a link now")

    def test_not_reached(self) -> None:
        """A peer behind a NAT that lets nobody in is told about the router."""
        self.start()
        found = self.findings(self.reached("silent"))
        self.assertEqual(found["reach"].state, "failed")
        self.assertIn("forward TCP port 6666", found["reach"].fix)

    def test_open_chats(self) -> None:
        """Open chats are named with their path."""
        self.start()
        bob = self.world.node("bob", Policy.ALL)
        self.alice.dials(bob)
        self.world.settle()
        self.assertTrue(self.alice.told(api.Opened))
        self.assertIn("(direct)", self.findings(self.reached())["paths"].text)

    def test_no_server(self) -> None:
        """A peer without a server is told that it has none, and that nobody could dial back."""
        self.alice.peer.servers.clear()
        found = self.findings()
        self.assertEqual((found["server"].state, found["reach"].state), ("warning", "unknown"))

    def test_server_that_is_down(self) -> None:
        """Where the server does not run nothing is asked, and the reason is told."""
        self.link.start()
        self.world.settle()
        found = self.findings()
        self.assertEqual((found["server"].state, found["reach"].state), ("failed", "unknown"))
        self.assertIn("10.0.1.1:8888", found["server"].text)
        self.link.stop()

    def test_silent_server(self) -> None:
        """A server that never answers holds nobody up for long."""
        self.start()
        self.assertEqual(self.findings()["reach"].state, "unknown")

    def test_server_that_leaves(self) -> None:
        """Where the link is lost meanwhile there is an answer all the same."""
        self.start()
        found = self.begin()
        self.far.links[-1].close(EndCode.LEAVING)
        self.world.settle()
        states = {finding.check: finding.state for finding in self.successResultOf(found).findings}
        self.assertEqual((states["server"], states["reach"]), ("failed", "unknown"))

    def test_old_server(self) -> None:
        """A server of an older version is not asked, and that is said."""
        self.far.features = ()
        self.start()
        found = self.findings()
        self.assertEqual((found["reach"].state, self.far.of(DialBack)), ("unknown", []))
        self.assertIn("older", found["reach"].text)

    def test_clock(self) -> None:
        """A wrong clock is noticed."""
        self.far.time = WALL - 7_200_000
        self.start()
        found = self.findings(self.reached())
        self.assertEqual(found["clock"].state, "warning")
        self.assertIn("2 h ahead of that of 10.0.1.1", found["clock"].text)

    def test_asked_by_many(self) -> None:
        """Who asks while it is under way gets the same answer: the server is asked once, and the disk read once."""
        self.start()
        answer = self.reached()
        with mock.patch.object(examination, "look_at", wraps=look_at) as looked:
            found = [self.begin() for _ in range(5)]
            self.far.say(answer)
            self.world.settle()
            replies = [self.successResultOf(each) for each in found]
        self.assertEqual(replies, [replies[0]] * 5)
        self.assertEqual((len(self.far.of(DialBack)), looked.call_count), (1, 1))
        self.assertIn("reach", self.findings(self.reached("later")), "and it can be asked again")


class StoreTests(ExaminationCase):
    """The disk."""

    def look(self) -> dict[str, Finding]:
        self.alice.peer.servers.clear()
        return self.findings()

    def broken(self, error: Exception) -> Any:
        """A database that cannot be read."""
        failed: Deferred[Any] = Deferred()
        failed.errback(Failure(error))
        return mock.patch.object(self.alice.database, "read", return_value=failed)

    def test_cannot_be_read(self) -> None:
        """A store that fails is a finding, and no error."""
        with self.broken(StoreError("peer.db cannot be read: look at the disk")):
            found = self.look()
        store = found["store"]
        self.assertEqual((store.state, store.text), ("failed", "peer.db cannot be read: look at the disk"))

    def test_asked_anew(self) -> None:
        """The database is read over a connection of this moment: an older one takes a merged index for damaged."""
        with mock.patch.object(self.alice.database, "read", wraps=self.alice.database.read) as read:
            self.assertEqual(self.look()["store"].state, "ok")
        self.assertEqual(read.call_args.kwargs, {"long": True, "anew": True})

    def test_directory_gone(self) -> None:
        """A directory that cannot be looked at is a finding too."""
        with mock.patch.object(examination, "look_at", side_effect=PermissionError(13, "Permission denied")):
            found = self.look()
        self.assertIn("Permission denied", found["store"].text)

    def test_takes_too_long(self) -> None:
        """A large database is not waited for without end."""
        never: Deferred[Any] = Deferred()
        self.alice.peer.servers.clear()
        with mock.patch.object(self.alice.database, "read", return_value=never):
            found = self.begin()
            self.world.wait(CHECK_WITHIN + 1)
        states = {finding.check: finding.state for finding in self.successResultOf(found).findings}
        self.assertEqual(states["store"], "unknown")

    def test_bug(self) -> None:
        """Where a bug ends it all who ask are told, and the next one may ask."""
        with self.broken(ZeroDivisionError()):
            first, second = self.begin(), self.begin()
            self.failureResultOf(first, ZeroDivisionError)
            self.failureResultOf(second, ZeroDivisionError)
        self.assertIn("store", self.look())
