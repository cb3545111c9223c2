"""p2pchat.tap.peer: the options, and real peers that send files to each other under twistd."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.identity import Identity, format_id, parse_join_link
from p2pchat.tap.peer import Options
from p2pchat.ui.front import FrontEnd, Unattended, front_end

from .fake_api import FakeApi
from .terminals import Terminal

ROOT = Path(__file__).resolve().parent.parent
TWISTD = [sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"]
PATIENCE = 120
"""Seconds after which something does not happen any more."""

NOBODY = format_id(Identity.from_seed(bytes(32)).id)
"""The id of somebody who is nowhere."""


class OptionsTests(SynchronousTestCase):
    """Words of a command line into settings."""

    def setUp(self):
        self.state = Path(self.mktemp()).absolute()

    def parse(self, *arguments):
        options = Options()
        options.parseOptions(["--state", str(self.state), *arguments])
        return options.settings

    def refused(self, *arguments):
        reading, writing = os.pipe()
        saved, sys.stderr = sys.stderr, os.fdopen(writing, "w")
        try:
            error = self.assertRaises(SystemExit, self.parse, *arguments)
        finally:
            sys.stderr.close()
            sys.stderr = saved
        with os.fdopen(reading) as stream:
            return error.code, stream.read()

    def test_defaults(self):
        """The ports of the original; without a terminal only contacts get in."""
        settings = self.parse()
        self.assertEqual((settings.listen_port, settings.dial_port, settings.accept), (6666, 7777, None))
        self.assertEqual(settings.accept_else, "contacts")
        self.assertEqual((settings.state, settings.to, settings.input, settings.join), (self.state, None, None, ()))

    def test_nobody_listens(self):
        """Where what is written is lost and nothing can be typed, nothing is put into words; either end is enough."""
        for read, written, heard in ((True, True, False), (True, False, True), (False, True, True)):
            with self.streams(read, written):
                options = Options()
                options.parseOptions(["--state", str(self.state)])
            self.assertEqual(options.heard, heard)
            front = front_end(options.settings, FakeApi(), None, time.time, lambda *_: None, False, options.heard)
            self.assertIs(type(front), Unattended if heard else FrontEnd)

    @contextlib.contextmanager
    def streams(self, read_null, written_null):
        """Standard input and output are /dev/null, or a pipe."""
        saved = os.dup(0), os.dup(1)
        pipe = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null if read_null else pipe[0], 0)
        os.dup2(null if written_null else pipe[1], 1)
        try:
            yield
        finally:
            for number, descriptor in enumerate(saved):
                os.dup2(descriptor, number)
            for descriptor in (*saved, *pipe, null):
                os.close(descriptor)

    def test_all(self):
        """Every option of the manual is understood, and paths are whole: a daemon changes its directory."""
        link = f"p2pchat://10.0.0.7:8888/#{NOBODY.replace('-', '')}"
        settings = self.parse(
            *("--name", "alice", "--join", link, "--join", "lab2", "--listen-port", "0", "--dial-port", "7000"),
            *("--interface", "127.0.0.1", "--to", "bob", "--input", "notes.txt", "--transcript", "chat.txt"),
            *("--accept", "all", "--timeout", "30", "--trust-first", "--plain"),
        )
        self.assertEqual(settings.join, (parse_join_link(link), parse_join_link("lab2")))
        self.assertEqual((settings.input, settings.transcript), (f"{Path.cwd()}/notes.txt", Path.cwd() / "chat.txt"))
        self.assertEqual((settings.timeout, settings.trust_first, settings.accept), (30.0, True, "all"))
        self.assertEqual((settings.plain, self.parse().plain), (True, False))
        self.assertEqual(self.parse("--to", "bob", "--input", "-").input, "-")

    def test_wrong(self):
        """What is wrong is one line, and 2."""
        for arguments in (
            ["--listen-port", "99999"],
            ["--input", "notes.txt"],
            ["--join", "p2pchat://lab/#short"],
            ["--accept", "maybe"],
            ["--name", "Not A Handle"],
            ["--nonsense"],
        ):
            code, words = self.refused(*arguments)
            self.assertEqual((code, words.count("\n")), (2, 1), words)
            self.assertTrue(words.startswith("p2pchat-peer: "), words)


class Processes(SynchronousTestCase):
    """Real processes in one temporary directory."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.environment = os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}

    def words(self, plugin, state, *arguments, twistd=("-n",)):
        return [*TWISTD, *twistd, plugin, "--state", str(self.directory / state), *arguments]

    def peer_words(self, name, *arguments):
        ports = ("--listen-port", "0", "--dial-port", "0", "--interface", "127.0.0.1")
        return self.words("p2pchat-peer", name, "--name", name, *ports, *arguments)

    def run_peer(self, name, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
        return subprocess.run(
            self.peer_words(name, *arguments),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            timeout=PATIENCE,
            **options,
        )

    def start(self, words, output, **options):
        file = (self.directory / output).open("wb")
        self.addCleanup(file.close)
        options = {"stdin": subprocess.DEVNULL} | options
        process = subprocess.Popen(
            words, cwd=self.directory, env=self.environment, stdout=file, stderr=subprocess.STDOUT, **options
        )
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        return process

    def wait_for(self, output, text):
        end = time.monotonic() + PATIENCE
        while text not in (found := (self.directory / output).read_text()):
            self.assertLess(time.monotonic(), end, f"no {text!r} in:\n{found}")
            time.sleep(0.02)
        return found

    def assert_one_line(self, result, code, words):
        self.assertEqual((result.returncode, result.stderr.count(b"\n")), (code, 1), result)
        self.assertIn(words, result.stderr.decode())

    def messages(self, transcript, author):
        lines = (self.directory / transcript).read_text().split("\n")
        return [match[1] for line in lines if (match := re.fullmatch(rf"\S+ \S+ {author}#\d+: (.*)", line))]


class AloneTests(Processes):
    """Peers that reach nobody."""

    def test_no_such_contact(self):
        """--to somebody unknown is 5."""
        self.assert_one_line(self.run_peer("alice", "--to", "bob", "--input", "-"), 5, "no contact is called bob")

    def test_not_delivered(self):
        """Nobody reached within --timeout is 3."""
        result = self.run_peer("alice", "--to", NOBODY, "--input", "-", "--timeout", "0.5", input=b"hello")
        self.assert_one_line(result, 3, "not delivered within 0.5 s")

    def test_vanished_file(self):
        """An input that is not there is 1."""
        result = self.run_peer("alice", "--to", NOBODY, "--input", "gone.txt")
        self.assert_one_line(result, 1, "gone.txt: No such file or directory")

    def test_empty_and_closed_input(self):
        """An empty input, a closed one, and all standard streams closed, are 0."""
        self.assertEqual(self.run_peer("alice", "--to", NOBODY, "--input", "-").returncode, 0)
        words = self.peer_words("alice", "--to", NOBODY, "--input", "-")
        for closed in ("<&-", "<&- >&- 2>&-"):
            shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *words]
            code = subprocess.run(shell, cwd=self.directory, env=self.environment, timeout=PATIENCE).returncode
            self.assertEqual(code, 0, closed)

    def test_transcript_cannot_be_opened(self):
        """A transcript that cannot be written is 1, before anybody is called."""
        result = self.run_peer("alice", "--transcript", "/no/such/file")
        self.assert_one_line(result, 1, "cannot write the transcript /no/such/file")

    def test_commands_from_a_pipe(self):
        """An unattended peer takes the prompt's commands from standard input; what is wrong with one is said."""
        result = self.run_peer("alice", input=b"/whoami\n/lsit\nhello\n/quit\n")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        told = result.stdout.decode().splitlines()
        self.assertRegex(told[0], r"^-- alice  \w{4}-")
        self.assertIn("did you mean /list?", result.stdout.decode())
        self.assertIn("no chat is the current one", told[-1])

    def test_closed_output(self):
        """An unattended peer whose output is closed ends in order, with 1."""
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.Popen(
            self.peer_words("alice"),
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=writing,
            stderr=subprocess.PIPE,
        )
        os.close(writing)
        _, words = process.communicate(b"/whoami\n", PATIENCE)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"standard output was closed", words)
        self.assertIn("Server Shut Down", (self.directory / "alice" / "log").read_text())

    def test_daemon_without_state(self):
        """A daemonized start that cannot open its state says so on the terminal and exits non-zero."""
        (self.directory / "alice").write_text("a file")
        result = subprocess.run(
            self.words("p2pchat-peer", "alice", twistd=()),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            timeout=PATIENCE,
        )
        self.assert_one_line(result, 1, "is not a directory")

    def test_at_a_terminal(self):
        """With a terminal on both ends there is a prompt, and Ctrl-D leaves with 0."""
        environment = self.environment | {"TERM": "xterm"}
        terminal = Terminal(self.peer_words("alice"), cwd=self.directory, env=environment)
        self.addCleanup(terminal.close)
        terminal.wait_for("/help lists")
        # Before the input line is there a terminal still edits lines itself, and keeps Ctrl-D.
        terminal.wait_for("\n>")
        terminal.press(b"\x04")
        self.assertEqual(terminal.wait(), 0, terminal.told)


class TogetherTests(Processes):
    """Peers with a server."""

    def setUp(self):
        super().setUp()
        words = self.words("p2pchat-server", "server", "--port", "0", "--interface", "127.0.0.1", "--host", "127.0.0.1")
        self.server = self.start(words, "server.out")
        self.link = re.search(r"p2pchat://127[^'\s]+", self.wait_for("server.out", "p2pchat join"))[0]

    def start_bob(self, *arguments, **options):
        self.bob = self.start(self.peer_words("bob", "--join", self.link, *arguments), "bob.out", **options)
        self.wait_for("bob.out", "online at")

    def send(self, *arguments, **options):
        arguments = ("--join", self.link, "--to", "bob", "--trust-first", *arguments)
        return self.run_peer("alice", *arguments, **options)

    def test_file(self):
        """A file with everything in it arrives whole and in order, both transcripts say so, and the code is 0."""
        lines = ["one", "", "zwei ü", "日本 👩‍👩‍👧", "-- server lost", "x" * 5_000, "tab\there", "", "last"]
        (self.directory / "notes.txt").write_text("\n".join(lines))
        self.start_bob("--accept", "all", "--transcript", "bob.txt")
        result = self.send("--input", "notes.txt", "--transcript", "alice.txt", "--timeout", "100")
        self.assertEqual((result.returncode, result.stderr), (0, b""), result)
        self.wait_for("bob.txt", "alice#9: last")
        self.assertEqual(self.messages("alice.txt", "alice"), lines)
        self.assertEqual(self.messages("bob.txt", "alice"), lines)
        self.assertIn("-- bob: delivered #", (self.directory / "alice.txt").read_text())
        self.assertRegex(result.stdout.decode(), r"^-- alice \w{4}-\w{4}-\w{4}-\w{4}  online at 127.0.0.1")

    def test_pipe_while_the_server_dies(self):
        """A pipe goes on when the server is killed in the middle."""
        self.start_bob("--accept", "all")
        reading, writing = os.pipe()
        words = self.peer_words("alice", "--join", self.link, "--to", "bob", "--trust-first", "--input", "-")
        alice = self.start(words, "alice.out", stdin=reading)
        os.close(reading)
        os.write(writing, b"before\n")
        self.wait_for("bob.out", "alice#1: before")
        self.server.send_signal(signal.SIGKILL)
        self.wait_for("alice.out", "server lost; 1 chat goes on")
        os.write(writing, b"after\nunterminated")
        os.close(writing)
        self.assertEqual(alice.wait(PATIENCE), 0)
        self.wait_for("bob.out", "alice#3: unterminated")

    def test_refused(self):
        """Whom the other side does not let in gets 4, and nothing was sent."""
        self.start_bob("--accept", "contacts")
        result = self.send("--input", "-", "--timeout", "100", input=b"hello\n")
        self.assert_one_line(result, 4, "bob: refused to chat; nothing was sent")
        self.assertNotIn("hello", (self.directory / "bob.out").read_text())

    def test_transcript_on_a_full_disk(self):
        """A transcript that fails in the middle is one line and 1."""
        self.start_bob("--accept", "all")
        result = self.send("--input", "-", "--transcript", "/dev/full", "--timeout", "100", input=b"hello\n")
        self.assert_one_line(result, 1, "cannot write the transcript /dev/full: No space left")
