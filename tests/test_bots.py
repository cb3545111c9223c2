"""The bots in docs/examples, as somebody would run them: at real peers in the background."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from runpy import run_path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from p2pchat import api
from p2pchat.core.errors import Reported
from tests.background import Background
from tests.fake_api import person
from tests.terminals import PATIENCE

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"


class BotCase(Background):
    """A bot at bob's peer; alice talks to it."""

    def setUp(self) -> None:
        super().setUp()
        if not EXAMPLES.exists():
            raise SkipTest("not a source tree")
        self.start_server()
        self.daemonize("alice")
        self.daemonize("bob")
        self.befriend("alice", "bob")

    def bot(self, name: str, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(EXAMPLES / name), "bob", *words]
        options = {"stdin": subprocess.DEVNULL} | options
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, cwd=self.directory, env=self.environment, **options
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        if process.stdin is not None:
            process.stdin.close()

    def received(self, name: str, *words: str) -> list[str]:
        found = self.run_p2pchat("recv", "--json", "--state", name, *words)
        return [json.loads(line)["text"] for line in found.splitlines()]

    def next_of(self, name: str, count: int = 1) -> list[str]:
        """The next messages to somebody, when they are there."""
        words = ("--cursor", "test", "--follow", "--count", str(count), "--timeout", str(PATIENCE))
        return self.received(name, *words)

    def until(self, condition: Callable[[], bool]) -> None:
        last = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), last, "it did not come in time")
            time.sleep(0.02)


class EchoTests(BotCase):
    def test_echo(self) -> None:
        """It answers each message once, also what came while it did not run, and says that it read it."""
        self.run_p2pchat("send", "bob", "before", "--wait", "delivered", "--state", "alice")
        echo = self.bot("echo.py")
        self.assertEqual(self.next_of("alice"), ["you said: before"])
        self.run_p2pchat("send", "bob", "hello", "--wait", "seen", "--state", "alice")
        self.assertRegex(self.next_of("alice")[0], "^hello! I am an echo")
        self.stop("bob")
        self.assertEqual(echo.wait(PATIENCE), 0)

    def test_long(self) -> None:
        """The echo of a message that just fits takes two; it is answered as well."""
        self.run_p2pchat("send", "bob", "x" * 16_384, "--wait", "delivered", "--state", "alice")
        self.bot("echo.py")
        first, second = self.next_of("alice", 2)
        self.assertRegex(first, "^you said: x{16000}")
        self.assertRegex(second, "x$")


class GreetingTests(SynchronousTestCase):
    def test_gone_again(self) -> None:
        """Whoever has left before they were greeted ends nothing for the others."""
        if not EXAMPLES.exists():
            raise SkipTest("not a source tree")
        echo = run_path(str(EXAMPLES / "echo.py"))
        peer = mock.MagicMock()
        peer.__enter__.return_value = peer
        peer.events.return_value = [api.Opened(person=person("mallory"), again=False), api.Missed(count=1)]
        asked = list[type]()

        def call(command: api.Command, reply: type) -> api.Reply:
            asked.append(type(command))
            if isinstance(command, api.Say | api.SayAll):
                raise Reported("no chat with mallory", 1)
            return api.Lines(lines=(), more=False)

        peer.call = call
        with mock.patch.dict(echo["answer_all"].__globals__, LocalClient=lambda *_: peer):
            echo["answer_all"](Path("bob"))
        self.assertEqual(asked[-1], api.Receive)


class NotifierTests(BotCase):
    def test_lines_that_matter(self) -> None:
        """
        Of a log only the lines that match are sent, and of many at once the first ones and their number.

        Where that cannot be, its exit code says why.
        """
        notifier = self.bot("notifier.py", "alice", "error|FAILED", stdin=subprocess.PIPE)
        assert notifier.stdin is not None
        notifier.stdin.write(b"compiling\nerror: no such grant\nlinking\nhalf a l")
        notifier.stdin.flush()
        self.assertEqual(self.next_of("alice"), ["error: no such grant"])
        notifier.stdin.write(b"ine, and an error\n" + b"".join(b"FAILED %d\n" % number for number in range(50)))
        notifier.stdin.write(b"fine\nthe last error has no line end")
        notifier.stdin.close()
        self.assertEqual(notifier.wait(PATIENCE), 0)
        first, *more = self.next_of("alice", 7)
        self.assertEqual(first, "half a line, and an error")
        self.assertEqual(more[:4], [f"FAILED {number}" for number in range(4)])
        self.assertEqual(more[4:], ["(and 46 more)", "the last error has no line end"])
        self.refuses()

    def refuses(self) -> None:
        """Somebody unknown is 5, a bad pattern 2, no peer 6."""
        for words, code in ((("nobody", "x"), 5), (("alice", "("), 2), (("alice",), 2)):
            self.assertEqual(self.bot("notifier.py", *words, stderr=subprocess.DEVNULL).wait(PATIENCE), code)
        self.stop("bob")
        self.assertEqual(self.bot("notifier.py", "alice", "x", stderr=subprocess.DEVNULL).wait(PATIENCE), 6)


class FolderTests(BotCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = self.directory / "folder"
        (self.folder / "out").mkdir(parents=True)

    def put(self, name: str, text: str) -> None:
        new = self.folder / "out" / f".{name}"
        new.write_text(text)
        new.rename(self.folder / "out" / name)

    def texts_in(self, name: str) -> list[str]:
        found = [path for path in (self.folder / name).glob("*") if not path.name.startswith(".")]
        return [path.read_text() for path in sorted(found, key=lambda path: (len(path.name), path.name))]

    def got_further(self, sent: int, came: int) -> bool:
        """Whether some files were sent since there were so many, or some messages have come."""
        return len(self.texts_in("sent")) > sent + 2 or len(self.texts_in("in")) > came + 3

    def test_both_ways(self) -> None:
        """Files are sent by their names, messages become files, and what is no message is put aside."""
        self.put("b", "second\nwith a line")
        self.put("a", "first")
        self.put("c", "x" * 20_000)
        self.bot("folder.py", "alice", "folder")
        self.assertEqual(self.next_of("alice", 2), ["first", "second\nwith a line"])
        self.put("d", "third")
        self.assertEqual(self.next_of("alice"), ["third"])
        self.until(lambda: (self.folder / "sent" / "d").exists())
        self.assertTrue((self.folder / "refused" / "c").exists())
        self.assertEqual(list((self.folder / "out").iterdir()), [])
        self.run_p2pchat("send", "bob", "grüße", "--wait", "seen", "--state", "alice")
        self.assertEqual(self.texts_in("in"), ["grüße"])

    def test_killed(self) -> None:
        """It is killed -9 again and again while both talk: every text arrives once, both ways, in order."""
        mine, theirs = [f"file {number:02}" for number in range(30)], [f"message {number}" for number in range(30)]
        for start in range(0, 30, 6):
            for text in mine[start : start + 6]:
                self.put(text, text)
            lines = "".join(f"{text}\n" for text in theirs[start : start + 6])
            self.run_p2pchat("send", "bob", "-", "--state", "alice", input=lines)
            sent, came = len(self.texts_in("sent")), len(self.texts_in("in"))
            bot = self.bot("folder.py", "alice", "folder")
            self.until(partial(self.got_further, sent, came))
            bot.kill()
            bot.wait(PATIENCE)
        self.bot("folder.py", "alice", "folder")
        self.until(lambda: len(self.texts_in("sent")) == 30 and len(self.texts_in("in")) == 30)
        self.assertEqual(self.next_of("alice", 30), mine)
        self.assertEqual(self.texts_in("in"), theirs)
        self.assertEqual(self.received("alice", "--cursor", "test"), [], "nothing came twice")
