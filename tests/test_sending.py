"""`p2pchat send`, against a peer that answers as the test wants."""

import io
import json
import os
import subprocess
import sys
import threading
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api, cli
from p2pchat.api import MOST_SAID
from p2pchat.api.lines import LOCAL_VERSION, MAX_REQUEST_LINE, Answer
from p2pchat.core.identity import Identity, format_id
from p2pchat.net.local_client import LocalClient
from p2pchat.oneshot import sending
from tests.fake_daemon import DIES, HANGS_UP, MUTE
from tests.test_cli import CliCase

BOB = format_id(Identity.from_seed(b"b" * 32).id)
CAROL = format_id(Identity.from_seed(b"c" * 32).id)
DONE = {"type": "done"}


def person(identifier: str = BOB, name: str = "bob", **fields: Any) -> dict[str, Any]:
    return {"id": identifier, "name": name, "contact": True, "chat": "open", **fields}


def people(**fields: Any) -> dict[str, Any]:
    return {"type": "people", "people": [person(**fields)]}


def told(kind: str, *numbers: int, identifier: str = BOB) -> dict[str, Any]:
    return {"type": kind, "person": person(identifier), "numbers": numbers, "at": 0}


class OneAtATime:
    """A peer that fails the test if it is asked something before it has answered."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.commands: list[api.SayAll] = []
        self._test = test
        self._answered = True

    def submit(self, command: api.SayAll) -> int:
        self._test.assertTrue(self._answered)
        self._answered = False
        self.commands.append(command)
        return len(self.commands)

    def receive(self, timeout: float | None, beside: int | None) -> tuple[list[Answer], bool]:
        self._answered = True
        return [Answer(version=LOCAL_VERSION, request=len(self.commands))], False

    def decoded(self, answer: Answer, reply: type[api.AllAccepted]) -> api.AllAccepted:
        last = sum(len(command.texts) for command in self.commands)
        first = last - len(self.commands[-1].texts) + 1
        return reply(person=api.Person(id=BOB, name="bob"), author="alice", first=first, last=last)


class SendCase(CliCase):
    """Bob is a contact, and the peer says what `then` gives behind each message."""

    def setUp(self) -> None:
        super().setUp()
        self.number = 12
        self.then: dict[int, list[dict[str, Any]]] = {}
        self.who_is: Any = people()

    def say_all(self, command: dict[str, Any]) -> dict[str, Any]:
        first, self.number = self.number + 1, self.number + len(command["texts"])
        accepted = {"type": "all-accepted", "person": person(), "author": "alice", "first": first, "last": self.number}
        return {
            **accepted,
            "then": [each for said in range(first, self.number + 1) for each in self.then.get(said, [])],
        }

    def start(self, **answers: Any) -> None:
        standing = {"subscribe": DONE, "who_is": self.who_is, "say_all": self.say_all}
        self.daemon = self.serve(self.state, **{**standing, **answers})

    def asked(self, kind: str) -> list[dict[str, Any]]:
        return [command for command in self.daemon.commands if command["type"] == kind]

    def texts(self) -> list[str]:
        return [text for command in self.asked("say-all") for text in command["texts"]]

    def feed(self, *pieces: bytes) -> None:
        """Standard input."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.patch(sending, "STANDARD_INPUT", reading)

        def write() -> None:
            for piece in pieces:
                os.write(writing, piece)
            os.close(writing)

        thread = threading.Thread(target=write)
        thread.start()
        self.addCleanup(thread.join)


class ReachTests(SendCase):
    def test_queued(self) -> None:
        """With --wait queued it is done once the message is on the disk, and its number is told."""
        self.start()
        self.assertEqual(self.succeeds("send", "bob", "hello", "--wait", "queued"), "alice#13 queued\n")
        self.assertEqual(self.asked("say-all"), [{"type": "say-all", "who": BOB, "texts": ["hello"]}])
        self.assertEqual(self.asked("connect"), [])

    def test_delivered(self) -> None:
        """By default it waits until the message is on the other side's disk; what concerns others is skipped."""
        others = [told("delivered", 13, identifier=CAROL), told("delivered", 12), {"type": "of-a-newer-version"}]
        self.then[13] = [*others, told("delivered", 13)]
        self.start()
        self.assertEqual(self.succeeds("send", "bob", "two", "words"), "alice#13 delivered\n")
        self.assertEqual(self.texts(), ["two words"])

    def test_seen(self) -> None:
        """With --wait seen, delivered is not enough."""
        self.then[13] = [told("delivered", 13)]
        self.start()
        words = ("bob", "hi", "--wait", "seen", "--timeout", "0.05")
        self.fails(3, "alice#13 is delivered\n", "send", *words)
        self.then[14] = [told("seen", 13, 14)]
        self.assertEqual(self.succeeds("send", "bob", "hi", "--wait", "seen"), "alice#14 seen\n")

    def test_full_output(self) -> None:
        """Where the number cannot be told, that it was sent is: nobody may send it once more."""
        self.then[13] = [told("delivered", 13)]
        self.start()
        err = io.StringIO()
        self.patch(sys, "stderr", err)
        with open("/dev/full", "w") as full:
            self.patch(sys, "stdout", full)
            self.assertEqual(cli.main(["send", "bob", "hi"]), 1)
        self.assertIn("No space left on device", err.getvalue())
        self.assertIn("alice#13 delivered all the same", err.getvalue())
        self.assertEqual(err.getvalue().count("\n"), 1)

    def test_not_all_seen(self) -> None:
        """Of several that are not seen in time it says which of them are delivered, and which are on our disk alone."""
        self.then[14] = [told("seen", 13), told("delivered", 14)]
        self.start()
        self.feed(b"one\ntwo\nthree\n")
        words = ("send", "bob", "-", "--wait", "seen", "--timeout", "0.05")
        self.fails(3, "1 of 3 are queued on this disk, and go out when the two peers meet; the rest is", *words)
        self.then = {16: [told("delivered", 16, 17)]}
        self.feed(b"four\nfive\n")
        self.fails(3, "all 2 are delivered, and 2 of them not seen", *words)

    def test_says_that_it_waits(self) -> None:
        """A person is told what is waited for, once; a script is not."""
        self.patch(sending, "SILENT_FOR", 0.01)
        self.start()
        words = ("send", "bob", "hi", "--timeout", "0.1")
        self.fails(3, "is queued", *words)
        self.patch(sending, "_person_reads", lambda: True)
        code, _, err = self.run_cli(*words)
        self.assertEqual((code, err.count("waiting until it is delivered, at most 0.1 s")), (3, 1))

    def test_seen_is_delivered(self) -> None:
        """Seen implies delivered."""
        self.then[13] = [told("seen", 13)]
        self.start()
        self.succeeds("send", "bob", "hi")

    def test_not_in_time(self) -> None:
        """What is queued and not reached in time is 3, and the words say that it goes out by itself."""
        self.start()
        self.fails(3, "goes out when the two peers meet", "send", "bob", "hi", "--timeout", "0.05")

    def test_the_peer_ends(self) -> None:
        """A peer that ends while one waits has the message on its disk: 3."""
        self.then[13] = [HANGS_UP]
        self.start()
        self.fails(3, f"the peer in {self.state} ended", "send", "bob", "hi")

    def test_the_peer_ends_in_the_middle(self) -> None:
        """What it had taken before is told, and of the rest that nobody knows."""
        self.feed(b"x\n" * (MOST_SAID + 10))
        self.start(say_all=[self.say_all, DIES])
        told = "whether the peer has taken the last 10 is not known; 256 before are queued"
        self.fails(3, told, "send", "bob", "-", "--wait", "queued")

    def test_the_peer_ends_at_once(self) -> None:
        """A peer that ended before it answered may have taken the one message: nobody is told that it failed."""
        self.start(say_all=DIES)
        self.fails(3, "whether the peer has taken the last 1 is not known", "send", "bob", "hi")

    def test_a_peer_that_does_not_answer(self) -> None:
        """What the peer has not answered in time it may have taken all the same."""
        self.start(say_all=MUTE)
        self.fails(3, "whether the peer has taken the last 1 is not known", "send", "bob", "hi", "--timeout", "0.1")

    def test_no_peer(self) -> None:
        """Where no peer runs it is 6."""
        self.fails(6, "no peer runs", "send", "bob", "hi")


class RefusalTests(SendCase):
    def test_nobody(self) -> None:
        """Nobody of that name is 5, in the peer's own words."""
        self.start(who_is={"error": "nobody is called bob here", "exit_code": 5})
        self.fails(5, "nobody is called bob", "send", "bob", "hi")

    def test_stranger(self) -> None:
        """A handle alone proves nothing, so a stranger of that name is nobody, unless --trust-first says so."""
        self.who_is = people(contact=False, chat="none")
        self.start(connect={"type": "started", "person": person(), "address": ""})
        self.fails(5, "no contact is called bob", "send", "bob", "hi")
        self.assertEqual(self.texts(), [])
        self.succeeds("send", "bob", "hi", "--trust-first", "--wait", "queued")
        self.succeeds("send", BOB, "hi", "--wait", "queued")
        self.assertEqual([command["who"] for command in self.asked("connect")], [BOB, BOB])

    def test_no_chat(self) -> None:
        """Where no chat is wanted one is begun first."""
        self.who_is = people(chat="none")
        self.start(connect={"type": "started", "person": person(chat="asking"), "address": ""})
        self.succeeds("send", "bob", "hi", "--wait", "queued")
        kinds = [command["type"] for command in self.daemon.commands]
        self.assertEqual(kinds, ["subscribe", "who-is", "connect", "say-all"])

    def test_refused(self) -> None:
        """An end of the chat before it is delivered is 4."""
        self.who_is = [people(), people(chat="none")]
        ended = {"type": "ended", "address": "", "reason": "rejected"}
        self.then[13] = [{**ended, "person": None}, {**ended, "person": person()}]
        self.start()
        self.fails(4, "bob: refused to chat; alice#13 is queued", "send", "bob", "hi")

    def test_end_of_another_chat(self) -> None:
        """The end of a chat before this one is nothing, if one is wanted now."""
        ended = {"type": "ended", "person": person(), "address": "", "reason": "closed"}
        self.then[13] = [ended, told("delivered", 13)]
        self.start()
        self.succeeds("send", "bob", "hi")

    def test_cannot_take_it(self) -> None:
        """A message that the other side cannot take is 4."""
        refusal = {"type": "not-delivered", "person": person(), "reason": "too-big"}
        self.then[13] = [{**refusal, "number": 12}, {**refusal, "number": 13}]
        self.start()
        self.fails(4, "cannot take #13", "send", "bob", "hi")

    def test_not_taken(self) -> None:
        """What the peer does not accept ends with the peer's line and code."""
        self.start(say_all={"error": "the disk is full; make room", "exit_code": 1})
        self.fails(1, "not sent: the disk is full", "send", "bob", "hi")

    def test_disk_failed_in_the_middle(self) -> None:
        """Where the peer's disk failed while it stored something nothing says that this was not sent."""
        self.start(say_all={"error": "the disk failed: whether it is stored is not known", "exit_code": 3})
        told = self.fails(3, "whether the peer has taken the last 1 is not known", "send", "bob", "hi")
        self.assertNotIn("not sent", told)

    def test_nothing(self) -> None:
        """An empty text is no message."""
        self.start()
        self.fails(2, "nothing to send", "send", "bob", "")

    def test_strange_words(self) -> None:
        """A reason of the other side cannot act on the terminal."""
        self.who_is = [people(), people(chat="none")]
        self.then[13] = [{"type": "ended", "person": person(), "address": "", "reason": "\x1b[2Jgone"}]
        self.start()
        self.fails(4, "gone", "send", "bob", "hi")
        _, _, err = self.run_cli("send", "bob", "hi")
        self.assertNotIn("\x1b", err)


class InputTests(SendCase):
    def test_lines(self) -> None:
        """With - each line is a message, in order, an empty one too; the last may lack its end."""
        self.feed(b"one\n\ntw", b"o\r\nthree")
        self.start()
        self.assertEqual(self.succeeds("send", "bob", "-", "--wait", "queued"), "alice: #13-#16 queued\n")
        self.assertEqual(self.texts(), ["one", "", "two", "three"])

    def test_delivered(self) -> None:
        """The input is delivered when its last message is."""
        self.feed(b"one\ntwo\n")
        self.then[13], self.then[14] = [told("delivered", 13)], [told("delivered", 14)]
        self.start()
        self.assertEqual(self.succeeds("send", "bob", "-"), "alice: #13 #14 delivered\n")

    def test_partly_delivered(self) -> None:
        """What is missing is counted."""
        self.feed(b"one\ntwo\nthree\n")
        self.then[13] = [told("delivered", 13)]
        self.start()
        self.fails(3, "2 of 3 are queued", "send", "bob", "-", "--timeout", "0.05")

    def test_many(self) -> None:
        """Thousands of lines go out in order, many by one command."""
        lines = [str(number) for number in range(3000)]
        self.feed("\n".join(lines).encode())
        self.start()
        self.succeeds("send", "bob", "-", "--wait", "queued")
        self.assertEqual(self.texts(), lines)
        sizes = [len(command["texts"]) for command in self.asked("say-all")]
        self.assertLessEqual(len(sizes), 60)
        self.assertEqual(max(sizes), MOST_SAID)

    def test_F26_nothing_goes_out_behind_what_was_refused(self) -> None:
        """What stands behind refused lines is not sent, whatever there may be room for."""
        self.feed("\n".join(map(str, range(MOST_SAID + 10))).encode())
        refusal = {"error": "250000 messages wait for them already", "exit_code": 1}
        self.start(say_all=[refusal, self.say_all])
        told = "not sent: 250000 messages wait for them already; the peer has not taken the last 256"
        self.fails(1, told, "send", "bob", "-", "--wait", "queued")
        self.assertEqual(len(self.asked("say-all")), 1)

    def test_one_command_at_a_time(self) -> None:
        """No command is sent before the last one was answered, so that none can be taken behind a refused one."""
        peer = OneAtATime(self)
        sending.Sending(cast(LocalClient, peer), api.Person(id=BOB, name="bob"), "queued", 60).run(["x"] * 3000, None)
        self.assertEqual([len(command.texts) for command in peer.commands], [MOST_SAID] * 11 + [3000 - 11 * MOST_SAID])

    def test_long_lines(self) -> None:
        """However long lines are as JSON, no command is longer than a peer takes."""
        lines = ["\x01" * 16_000, "\x01" * 4_000, "y" * 100, "é" * 8_000] * 3
        self.feed("\n".join(lines).encode())
        self.start()
        self.succeeds("send", "bob", "-", "--wait", "queued")
        self.assertEqual(self.texts(), lines)
        commands = self.asked("say-all")
        self.assertLess(len(commands), len(lines))
        self.assertLess(max(len(json.dumps(command)) for command in commands), MAX_REQUEST_LINE - 100)

    def test_missed(self) -> None:
        """Events that were left out for us hold up no input: all of it goes out, and only then is it said."""
        lines = [str(number) for number in range(100)]
        missed = {"type": "missed", "count": 7}
        for wait in ("queued", "delivered"):
            self.feed("\n".join(lines).encode())
            self.number, self.then[13] = 12, [missed]
            self.start()
            if wait == "queued":
                self.succeeds("send", "bob", "-", "--wait", wait)
            else:
                self.fails(3, "more happens at the peer than can be followed", "send", "bob", "-", "--wait", wait)
            self.assertEqual(self.texts(), lines)
            self.daemon.close()

    def test_empty(self) -> None:
        """An empty input is done at once."""
        self.feed(b"")
        self.start()
        self.assertEqual(self.succeeds("send", "bob", "-"), "")

    def test_long_line(self) -> None:
        """A line of more than 16 KiB goes in parts, as does a long text."""
        self.feed(b"x" * 40_000 + b"\n")
        self.start()
        self.succeeds("send", "bob", "-", "--wait", "queued")
        self.assertEqual(len(self.texts()), 3)
        self.succeeds("send", "bob", "y" * 20_000, "--wait", "queued")
        self.assertEqual(len(self.texts()), 5)
        self.assertLessEqual(max(len(text.encode()) for text in self.texts()), 16_384)

    def test_no_utf8(self) -> None:
        """What is no UTF-8 becomes U+FFFD, and that is said."""
        self.feed(b"a\xffb\n")
        self.start()
        code, out, err = self.run_cli("send", "bob", "-", "--wait", "queued")
        self.assertEqual((code, out, self.texts()), (0, "alice#13 queued\n", ["a\ufffdb"]))
        self.assertIn("1 pieces of the input were no UTF-8", err)

    def test_arguments_that_are_no_utf8(self) -> None:
        """So does what is none in an argument."""
        self.start()
        self.succeeds("send", "bob", os.fsdecode(b"a\xffb"), "--wait", "queued")
        self.assertEqual(self.texts(), ["a\ufffdb"])

    def test_silent_pipe(self) -> None:
        """While all is delivered and the pipe is silent, no time runs out."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.patch(sending, "STANDARD_INPUT", reading)
        self.then[13] = [told("delivered", 13)]
        self.start()
        os.write(writing, b"one\n")
        timer = threading.Timer(0.3, os.close, [writing])
        timer.start()
        self.addCleanup(timer.join)
        self.succeeds("send", "bob", "-", "--timeout", "0.1")


class ClosedInputTests(SendCase):
    def test_closed_input(self) -> None:
        """Where standard input is closed nothing is sent; the peer's own socket is not taken for it."""
        self.start()
        words = [sys.executable, "-m", "p2pchat", "send", "--state", str(self.state), "bob", "-"]
        ended = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *words], capture_output=True, text=True, timeout=60)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "", ""))
        self.assertEqual(self.texts(), [])


class ImportTests(CliCase):
    def test_without_twisted(self) -> None:
        """It starts quickly: nothing that it needs imports Twisted."""
        code = "import sys, p2pchat.oneshot.sending; print([name for name in sys.modules if 'twisted' in name])"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(found.stdout, "[]\n")
