"""The `p2pchat` command, in this process, and where it must be, in one of its own."""

import builtins
import getpass
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from p2pchat import __version__, cli
from p2pchat.core.identity import Identity, JoinLink, format_id, short_id
from p2pchat.manual.completion import script
from p2pchat.manual.grammar import command_line
from p2pchat.oneshot import attaching, daemons, joining, running
from p2pchat.peer import backup, offline
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.schema import open_writer
from p2pchat.ui import questions

from .fake_daemon import ENDS, FakeDaemon

BOB = format_id(Identity.from_seed(b"b" * 32).id)
SERVER = Identity.from_seed(b"s" * 32)
LINK = str(JoinLink("lab1", 8888, SERVER.id))
ROW = {
    "handle": "bob",
    "name": "Bob \x1b[31m",
    "id": BOB,
    "address": "10.0.0.9",
    "port": 6666,
    "since": 1_700_000_000_000,
    "heard": 3,
}
REPORT = {
    "type": "server-report",
    "pid": 42,
    "version": "9.9",
    "id": BOB,
    "listens": ["[::]:8888"],
    "online": 3,
    "capacity": 4096,
    "uptime": 7200,
    "refused": {"full": 2, "rate": 0},
}
PEER = {
    "type": "peer-status",
    "pid": 43,
    "version": "9.9",
    "myself": {"type": "myself", "id": BOB, "name": "bob", "listens": [], "servers": []},
    "chats": [],
    "uptime": 5,
    "requests": [],
    "python": "Python 3.11.2",
    "tls": "OpenSSL 4.0.0",
}


class CliCase(SynchronousTestCase):
    """Runs the command with a home of its own; nobody sits at a terminal unless `answers` are given."""

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG", "STATE"))}
        self.patch(os, "environ", {**kept, "HOME": str(self.home)})
        self.patch(questions, "at_terminal", lambda: False)
        for module in (daemons, joining):
            self.patch(module, "at_terminal", lambda: False)
        self.patch(backup, "SCRYPT_COST", 16)
        self.state = self.home / ".local/share/p2pchat/peer"
        self.server_state = self.home / ".local/share/p2pchat/server"

    def run_cli(self, *words: object) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as exit:
            assert isinstance(exit.code, int)
            code = exit.code
        return code, out.getvalue(), err.getvalue()

    def succeeds(self, *words: object) -> str:
        code, out, err = self.run_cli(*words)
        self.assertEqual((code, err), (0, ""))
        return out

    def fails(self, code: int, text: str, *words: object) -> str:
        """It says one line on stderr and exits with `code`."""
        found, out, err = self.run_cli(*words)
        self.assertEqual((found, err.count("\n")), (code, 1), err)
        self.assertTrue(err.startswith("p2pchat: "), err)
        self.assertIn(text, err)
        return out

    def serve(self, state: Path, **answers: Any) -> FakeDaemon:
        daemon = FakeDaemon(state, {kind.replace("_", "-"): answer for kind, answer in answers.items()})
        self.addCleanup(daemon.close)
        return daemon

    def at_terminal(self, *answers: str) -> list[str]:
        """Somebody answers; the questions that they were asked."""
        asked: list[str] = []
        left = list(answers)

        def answer(question: str) -> str:
            asked.append(question)
            if not left:
                raise EOFError
            return left.pop(0)

        for module in (daemons, joining, questions):
            self.patch(module, "at_terminal", lambda: True)
        self.patch(builtins, "input", answer)
        return asked


class WordsTests(CliCase):
    def test_version(self) -> None:
        """The version is one line."""
        self.assertEqual(self.succeeds("--version"), f"p2pchat {__version__}\n")

    def test_every_command_is_done_somewhere(self) -> None:
        """The words of the command line and the functions that do them are the same; each function is there."""
        known = {command.path for command in command_line().all() if not command.commands}
        self.assertEqual(set(cli.HOMES), {"", *known})
        for module, function in cli.HOMES.values():
            self.assertTrue(callable(getattr(import_module(f"p2pchat.oneshot.{module}"), function)))

    def test_help(self) -> None:
        """Every command explains itself within 80 columns."""
        names = (
            "server",
            "peer",
            "join",
            "link",
            "roster",
            "status",
            "stop",
            "attach",
            "send",
            "recv",
            "contact",
            "recover",
        )
        pages: list[list[str]] = [[], *([name] for name in names)]
        pages += [["contact", "add"], ["contact", "list"], ["contact", "remove"], ["identity"]]
        pages += [["identity", "export"], ["identity", "import"]]
        for page in pages:
            out = self.succeeds(*page, "--help")
            self.assertTrue(out.startswith("usage: p2pchat"))
            self.assertLessEqual(max(map(len, out.splitlines())), 96 if page == ["roster"] else 100)

    def test_wrong_words(self) -> None:
        """What cannot be understood is one line, and where to read more."""
        for words in (["nonsense"], ["roster", "--nonsense"], ["join"], ["contact"], ["identity", "export"], ["sta"]):
            self.fails(2, "--help", *words)
        for typed, meant in (("snd", "send"), ("stauts", "status"), ("conatct", "contact")):
            self.fails(2, f"did you mean {meant}?", typed)
        self.fails(2, "--port", "server", "--port", "99999")
        self.fails(2, "--accept", "peer", "--accept", "some")
        self.fails(2, "such as alice", "join", LINK, "--name", "Alice")
        self.fails(2, "--passphrase-fd", "identity", "export", "x", "--passphrase-fd", "-1")

    def test_X1_what_was_typed_is_cleaned(self) -> None:
        """What somebody typed cannot act on the terminal when it is said back."""
        *_, err = self.run_cli("join", "a\x1b]0;title\x07b")
        self.assertNotIn("\x1b", err)

    def test_interrupted(self) -> None:
        """Ctrl-C ends it without a word."""

        def interrupt(options: object) -> None:
            raise KeyboardInterrupt

        self.patch(running, "status", interrupt)
        self.assertEqual(self.run_cli("status"), (130, "", ""))


class OwnProcessTests(SynchronousTestCase):
    """What can only be seen from outside."""

    def run_process(self, *words: str, code: str = "from p2pchat.cli import main; import sys; sys.exit(main())") -> Any:
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": tempfile.mkdtemp()},
        )

    def test_version_imports_little(self) -> None:
        """What takes long to import is not imported for the version, nor for asking a daemon."""
        code = (
            "import sys; from p2pchat.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "large = 'twisted', 'OpenSSL', 'cryptography', 'apsw', 'prompt_toolkit'\n"
            "print(*(name for name in large if name in sys.modules))"
        )
        run = self.run_process("--version", code=code)
        self.assertEqual(run.stdout, f"p2pchat {__version__}\n\n")
        run = self.run_process("roster", code=code)
        self.assertNotIn("twisted", run.stdout)
        self.assertIn("no server runs", run.stderr)

    def test_module(self) -> None:
        """`python -m p2pchat` is the same command."""
        run = self.run_process("--version", code="import runpy; runpy.run_module('p2pchat', run_name='__main__')")
        self.assertEqual((run.returncode, run.stdout), (0, f"p2pchat {__version__}\n"))

    def test_closed_output(self) -> None:
        """Where nobody reads any more, it ends without complaint."""
        state = Path(tempfile.mkdtemp()) / "state"
        link = "p2pchat://" + "x" * 60
        daemon = FakeDaemon(state, {"show-links": {"type": "join-links", "id": BOB, "links": [link] * 10_000}})
        self.addCleanup(daemon.close)
        process = subprocess.Popen(
            [sys.executable, "-m", "p2pchat", "link", "--state", str(state)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual((process.stderr.read(), process.wait()), (b"", 141))
        process.stderr.close()


class OutputTests(CliCase):
    """Where standard output takes nothing: one line says so, and the exit code."""

    def into(self, output: str, *words: object) -> tuple[int, str]:
        """Exit code and standard error of the command, whose standard output is that file."""
        err = io.StringIO()
        self.patch(sys, "stderr", err)
        with open(output, "w") as file:
            self.patch(sys, "stdout", file)
            try:
                code = cli.main([str(word) for word in words])
            except SystemExit as exit:
                assert isinstance(exit.code, int)
                code = exit.code
        return code, err.getvalue()

    def test_full(self) -> None:
        """A full disk under the output is an error of every command that prints."""
        self.serve(self.server_state, status=REPORT, show_roster={"type": "roster-rows", "number": 1, "rows": [ROW]})
        self.serve(self.state, status=PEER, contacts={"type": "people", "people": []})
        commands = ["--version", "send --help", "status", "status --json", "roster", "roster --json", "completion bash"]
        commands += ["contact list", "server --print-unit", f"accept all --state {self.home / 'new'}"]
        for command in commands:
            code, err = self.into("/dev/full", *command.split())
            self.assertEqual((code, err.count("\n")), (1, 1), (command, err))
            self.assertIn("cannot write to standard output: No space left on device", err, command)

    def test_full_behind_an_error(self) -> None:
        """What else went wrong is said, and not that as well."""
        code, err = self.into("/dev/full", "roster")
        self.assertEqual((code, err.count("\n")), (6, 1), err)

    def run_process(self, redirection: str, *words: str) -> tuple[int, str]:
        """Exit code and standard error of a process, started by a shell."""
        shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "p2pchat", *words]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment.pop("PYTHONUNBUFFERED", None)
        run = subprocess.run(shell, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
        return run.returncode, run.stderr

    def test_closed(self) -> None:
        """So is an output that is closed; nothing that Python says at its end comes beside that."""
        self.serve(self.server_state, status=REPORT)
        for redirection, reason in ((">&-", "it is closed"), (">/dev/full", "No space left on device")):
            code, err = self.run_process(redirection, "status")
            self.assertEqual((code, err.count("\n")), (1, 1), err)
            self.assertIn(f"cannot write to standard output: {reason}", err)

    def test_closed_error(self) -> None:
        """What is meant for standard error does not get into the output where that one is closed."""
        output = self.home / "output"
        self.assertEqual(self.run_process(f">{output} 2>&-", "roster"), (6, ""))
        self.assertEqual(output.read_text(), "")

    def test_interrupted_twice(self) -> None:
        """Whoever presses Ctrl-C twice reads nothing of Python's, wherever the second comes."""
        code = """
            import os, signal, sys
            from p2pchat import cli
            from p2pchat.oneshot import running

            def twice(options):
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                finally:
                    os.kill(os.getpid(), signal.SIGINT)

            running.status = twice
            code = cli.main()
            os.kill(os.getpid(), signal.SIGINT)
            sys.exit(code)
        """
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), "status"],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        self.assertEqual((run.returncode, run.stdout, run.stderr), (-signal.SIGINT, "", ""))


class DaemonTests(CliCase):
    def become(self, *words: object) -> list[str]:
        """The arguments that twistd is run with."""
        taken: list[str] = []
        self.patch(daemons, "_become", lambda role, rest: taken.extend([role, *rest]))
        self.succeeds(*words)
        return taken

    def test_words_go_on(self) -> None:
        """The words of a daemon reach it as they were typed."""
        words = ["--state", "/s", "--host", "a", "--host", "b", "--open", "--port=0"]
        self.assertEqual(self.become("server", *words), ["server", *words])
        words = ["--to", "peer", "--input", "-", "--timeout", "5", "--join", LINK]
        self.assertEqual(self.become("peer", *words), ["peer", *words])

    def test_twistd(self) -> None:
        """It runs in this process, in the foreground, without a pid file."""
        from twisted.scripts import twistd

        seen: list[list[str]] = []
        self.patch(twistd, "run", lambda: seen.append(sys.argv))
        self.patch(sys, "argv", sys.argv)
        # The tests have a reactor already, as has a command that asked a server who it is.
        self.patch(sys, "modules", {name: m for name, m in sys.modules.items() if name != "twisted.internet.reactor"})
        daemons._become("peer", ["--name", "alice"])
        self.assertEqual(seen, [["p2pchat peer", "--nodaemon", "--pidfile=", "p2pchat-peer", "--name", "alice"]])

    def test_twistd_anew(self) -> None:
        """A process whose reactor has run begins anew."""
        seen: list[list[str]] = []
        self.patch(os, "execv", lambda program, words: seen.append(words))
        self.patch(sys, "modules", {**sys.modules, "twisted.internet.reactor": object()})
        from twisted.scripts import twistd

        self.patch(twistd, "run", lambda: None)
        daemons._become("peer", ["--name", "alice"])
        self.assertEqual(seen[0][1:], ["-P", "-m", "p2pchat", "peer", "--name", "alice"])

    def test_options_of_the_plugins(self) -> None:
        """The help of `p2pchat server` and `peer` tells the options that twistd's plugins take."""
        from p2pchat.options import make_parser
        from p2pchat.tap import peer, server

        for role, plugin in (("server", server.Options), ("peer", peer.Options)):
            commands = next(action for action in make_parser()._actions if action.choices and "peer" in action.choices)
            assert isinstance(commands.choices, dict)
            ours = {word[2:] for word in commands.choices[role]._option_string_actions if word.startswith("--")}
            theirs = {word.rstrip("=") for word in plugin().longOpt}
            self.assertEqual(ours - {"print-unit"}, theirs - {"version"})

    def test_print_unit(self) -> None:
        """The printed unit names this installation's twistd, which is there."""
        for role in ("server", "peer"):
            out = self.succeeds(role, "--print-unit")
            (line,) = [line for line in out.splitlines() if line.startswith("ExecStart=")]
            program = Path(line.removeprefix("ExecStart=").split(" --nodaemon")[0])
            self.assertEqual(program.name, "twistd")
            self.assertTrue(os.access(program, os.X_OK))


class BareTests(CliCase):
    def become(self) -> list[str]:
        taken: list[str] = []
        self.patch(daemons, "_become", lambda role, rest: taken.extend([role, *rest]))
        return taken

    def test_new_without_a_terminal(self) -> None:
        """Where nobody can be asked, the command that answers is named."""
        taken = self.become()
        self.fails(2, f"p2pchat join LINK --name NAME --state {self.state}")
        self.assertEqual(taken, [])
        self.assertFalse(self.state.exists())

    def test_new_with_a_link(self) -> None:
        """A new peer is asked for a link and a name, joins, and starts."""
        taken = self.become()
        self.at_terminal(LINK, "alice", "contacts")
        self.succeeds()
        self.assertEqual(taken, ["peer", "--state", str(self.state)])
        after = offline.standing(self.state)
        found = after.handle, [server.id for server in after.servers], after.accept
        self.assertEqual(found, ("alice", [SERVER.id], "contacts"))

    def test_new_without_a_server(self) -> None:
        """Every answer may be left empty: no server, a name made of the login, and each request is asked about."""
        self.patch(getpass, "getuser", lambda: "Ålice B")
        taken = self.become()
        asked = self.at_terminal("", "", "")
        out = self.succeeds()
        self.assertLessEqual(out.count("\n"), 10)
        self.assertEqual(["[none]" in asked[0], "[alice-b]" in asked[1], "[ask]" in asked[2]], [True] * 3)
        self.assertEqual(offline.standing(self.state), offline.Standing("alice-b", accept="ask"))
        self.assertEqual(taken[0], "peer")

    def test_answers_that_will_not_do(self) -> None:
        """A wrong answer is said and asked again; where the answers end, nothing was changed."""
        self.become()
        self.at_terminal("lab1:x", LINK, "Not A Handle", "alice", "maybe", "ALL")
        out = self.succeeds()
        for words in ("port", "such as", "one of: ask, contacts, all"):
            self.assertIn(words, out)
        self.assertEqual(offline.standing(self.state).accept, "all")
        other = self.home / "other"
        self.at_terminal(LINK, "alice")
        self.fails(1, "nothing was changed", "--state", other)
        self.assertFalse(other.exists())

    def test_accept(self) -> None:
        """What was answered about requests can be seen and changed later."""
        self.assertEqual(self.succeeds("accept"), "ask at a terminal, contacts otherwise\n")
        self.assertFalse(self.state.exists())
        self.assertEqual(self.succeeds("accept", "all"), "all\n")
        self.assertEqual(self.succeeds("accept"), "all\n")
        self.fails(2, "maybe", "accept", "maybe")

    def test_accept_while_a_peer_runs(self) -> None:
        """It is shown also where a peer runs; who would change it is told of that peer."""
        self.succeeds("accept", "contacts")
        with StateDirectory(self.state, "peer"), closing(open_writer(self.state / "peer.db")):
            self.assertEqual(self.succeeds("accept"), "contacts\n")
            self.fails(1, "in use by a p2pchat peer", "accept", "all")

    def test_a_peer_runs(self) -> None:
        """Where a peer runs, that is said with its pid."""
        with StateDirectory(self.state, "peer"):
            self.fails(1, f"a peer runs already with pid {os.getpid()}")

    def test_a_peer_runs_at_a_terminal(self) -> None:
        """At a terminal that is attached to the peer; one that is just starting is said to run."""
        attached: list[Path] = []
        self.patch(daemons, "attach", lambda options: attached.append(self.state))
        self.at_terminal()
        with StateDirectory(self.state, "peer"):
            self.succeeds()
            self.assertEqual(attached, [self.state])
            self.patch(daemons, "attach", attaching.attach)
            self.fails(1, "a peer runs already")

    def test_joined(self) -> None:
        """A peer that has a name just starts, also in another directory."""
        offline.set_handle(self.home / "other", "alice")
        taken = self.become()
        self.succeeds("--state", self.home / "other")
        self.assertEqual(taken, ["peer", "--state", str(self.home / "other")])


class JoinTests(CliCase):
    def test_whole_link(self) -> None:
        """With a whole link nothing is asked, and nobody."""
        out = self.succeeds("join", LINK, "--name", "alice")
        self.assertIn(f"joined the server {short_id(SERVER.id)} at lab1:8888 as alice", out)
        self.assertEqual(offline.standing(self.state).servers[0].id, SERVER.id)

    def test_name_is_kept(self) -> None:
        """Joining another server keeps the name."""
        self.succeeds("join", LINK, "--name", "alice")
        self.assertIn("as alice", self.succeeds("join", LINK.replace("lab1", "[::1]")))

    def test_bad_links(self) -> None:
        """A link with a typing error is one line."""
        for link in (LINK[:-1], "http://x/", "lab1:0", "p2pchat://", ""):
            self.fails(2, "", "join", link)
        self.assertFalse(self.state.exists())

    def probe(self) -> None:
        """Whoever is asked who answers hears of SERVER."""
        from p2pchat.tap import once

        self.patch(once, "run_once", lambda main: offline.FoundServer(SERVER.id, SERVER.key))

    def test_address_without_a_terminal(self) -> None:
        """With an address alone the id is shown, and the command that takes it is named."""
        self.probe()
        out = self.fails(2, f"p2pchat join '{LINK}'", "join", "lab1")
        self.assertIn(format_id(SERVER.id), out)
        self.assertFalse(self.state.exists())

    def test_address_confirmed(self) -> None:
        """A person who says yes has joined; anything unclear is asked again."""
        self.probe()
        asked = self.at_terminal("perhaps", "yes")
        self.succeeds("join", "lab1", "--name", "alice")
        self.assertEqual(len(asked), 2)
        self.assertEqual(offline.standing(self.state).servers[0].key, SERVER.key)

    def test_address_refused(self) -> None:
        """A person who says no has not."""
        self.probe()
        self.at_terminal("no")
        self.fails(1, "not joined", "join", "lab1")
        self.assertFalse(self.state.exists())

    def test_while_a_peer_runs(self) -> None:
        """A running peer is named."""
        with StateDirectory(self.state, "peer"):
            self.fails(1, "in use by a p2pchat peer", "join", LINK, "--name", "alice")


class ServerCommandTests(CliCase):
    def test_link(self) -> None:
        """The links, one a line, cleaned."""
        self.serve(self.server_state, show_links={"type": "join-links", "id": BOB, "links": [LINK, "p2pchat://\x1bx"]})
        first, second = self.succeeds("link").splitlines()
        self.assertEqual(first, LINK)
        self.assertNotIn("\x1b", second)

    def test_link_of_none(self) -> None:
        """Where no server ever ran there are none."""
        self.fails(1, "no server has run", "link")

    def test_roster(self) -> None:
        """The table names what the issue asks for, with 16 characters of the id, and shows no escapes."""
        self.serve(self.server_state, show_roster={"type": "roster-rows", "number": 1, "rows": [ROW]})
        head, line = self.succeeds("roster").splitlines()
        self.assertEqual(head.split(), ["HANDLE", "NAME", "ID", "IP", "ADDRESS", "PORT", "SINCE", "HEARD"])
        for part in ("bob", BOB[:19], "10.0.0.9", "6666", "3 s ago"):
            self.assertIn(part, line)
        self.assertNotIn("\x1b", line)

    def test_roster_json(self) -> None:
        """For programs: an object a line, ASCII, nothing lost."""
        self.serve(self.server_state, show_roster={"type": "roster-rows", "number": 1, "rows": [ROW, ROW]})
        out = self.succeeds("roster", "--json")
        self.assertEqual([json.loads(line) for line in out.splitlines()], [ROW, ROW])
        self.assertTrue(out.isascii())

    def watch(self, *words: str) -> str:
        carol = {**ROW, "id": BOB[::-1], "handle": "carol", "address": "::5"}
        rosters = ([ROW], [{**ROW, "heard": 9}, carol], [{**carol, "port": 7}])
        answers: list[Any] = [{"type": "roster-rows", "number": 1, "rows": rows} for rows in rosters]
        self.serve(self.server_state, show_roster=[*answers, {"error": "enough", "exit_code": 1}])
        self.patch(running, "WATCH_INTERVAL", 0)
        return self.fails(1, "enough", "roster", "--watch", *words)

    def test_watch(self) -> None:
        """In a pipe, who is there comes first, then a line for each change; being heard again is none."""
        lines = self.watch().splitlines()
        self.assertEqual(
            [line.split()[:2] for line in lines],
            [["came:", "bob"], ["came:", "carol"], ["went:", "bob"], ["changed:", "carol"]],
        )
        self.assertIn("[::5]:7", lines[3])

    def test_watch_json(self) -> None:
        """So it is in JSON."""
        found = [json.loads(line) for line in self.watch("--json").splitlines()]
        self.assertEqual([change["change"] for change in found], ["came", "came", "went", "changed"])
        self.assertEqual(found[0]["row"], ROW)

    def test_watch_to_the_end(self) -> None:
        """A server that ends meanwhile is one that does not run, as for everybody who asks then."""
        self.serve(self.server_state, show_roster=[{"type": "roster-rows", "number": 1, "rows": [ROW]}, ENDS])
        self.patch(running, "WATCH_INTERVAL", 0)
        self.fails(6, "has ended", "roster", "--watch")

    def test_no_server(self) -> None:
        """Where no server runs the exit code is 6."""
        self.fails(6, "p2pchat server --state", "roster")
        self.fails(6, "/elsewhere", "roster", "--state", "/elsewhere")


class RunningTests(CliCase):
    def test_status_of_both(self) -> None:
        """Without --state it is told of whatever runs."""
        self.serve(self.server_state, status=REPORT)
        self.serve(self.state, status=PEER)
        out = self.succeeds("status")
        for part in ("pid 42", "up 2 h", "3 of 4096 peers online", "refused: full 2\n", "p2pchat peer bob", "pid 43"):
            self.assertIn(part, out)

    def test_status_of_one(self) -> None:
        """One that does not run is passed over."""
        self.serve(self.state, status=PEER)
        self.assertIn("p2pchat peer bob", self.succeeds("status"))
        self.assertEqual(json.loads(self.succeeds("status", "--json")), PEER)

    def test_status_by_directory(self) -> None:
        """--state may name either role's directory."""
        self.serve(self.home / "x", status=REPORT)
        self.assertIn("p2pchat server", self.succeeds("status", "--state", self.home / "x"))

    def test_status_of_none(self) -> None:
        """Where neither runs the exit code is 6, for one directory and for both."""
        self.fails(6, "neither a server nor a peer", "status")
        self.fails(6, "no peer runs", "status", "--state", self.home)
        self.fails(6, "neither", "stop")

    @skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_of_another_user(self) -> None:
        """A directory that belongs to somebody else is one line, whatever is asked."""
        self.serve(self.home / "x", status=PEER)
        os.seteuid(65534)
        self.addCleanup(os.seteuid, 0)
        for words in ("status", "stop", "doctor", "doctor --server", "contact list", "accept", "notify", "recover"):
            self.fails(1, f"{self.home / 'x'}", *words.split(), "--state", self.home / "x")

    def test_stop(self) -> None:
        """It is over when the daemon has let its directory go."""
        daemon = self.serve(self.state, stop=ENDS)
        self.assertIn(f"stopped the peer in {self.state}", self.succeeds("stop"))
        self.assertEqual(daemon.commands, [{"type": "stop"}])

    def test_stop_in_vain(self) -> None:
        """A daemon that does not end is named, with exit code 3."""
        self.patch(running, "STOP_TIMEOUT", 0.05)
        self.serve(self.state, stop=ENDS)
        with StateDirectory(self.state, "peer"):
            self.fails(3, f"(pid {os.getpid()}) has not ended", "stop")

    def test_refusal(self) -> None:
        """What a daemon refuses is its line, cleaned, and its exit code."""
        self.serve(self.state, status={"error": "no \x1b[31m", "exit_code": 4})
        *_, err = self.run_cli("status")
        self.assertNotIn("\x1b", err)
        self.fails(4, "no ", "status")


class ContactTests(CliCase):
    def test_without_a_peer(self) -> None:
        """Contacts are kept whether or not a peer runs: here, in the store."""
        self.assertEqual(self.succeeds("contact", "add", BOB, "--name", "bob"), "bob is a contact\n")
        head, line = self.succeeds("contact", "list").splitlines()
        self.assertEqual(line.split(), ["bob", "known", "always", BOB])
        self.assertEqual(json.loads(self.succeeds("contact", "list", "--json"))["name"], "bob")
        self.assertEqual(self.succeeds("contact", "remove", "bob"), "bob is no contact any more\n")
        self.fails(5, "no contact is called", "contact", "remove", "bob")
        self.assertTrue(head.startswith("NAME"))

    def test_with_a_peer(self) -> None:
        """Or over the socket of the one that runs."""
        person = {"id": BOB, "name": "bob"}
        daemon = self.serve(
            self.state,
            add_contact={"type": "people", "people": [person]},
            contacts={"type": "people", "people": [person]},
            remove_contact={"error": "no contact", "exit_code": 5},
        )
        self.assertEqual(self.succeeds("contact", "add", BOB, "--name", "bob"), "bob is a contact\n")
        self.assertIn(BOB, self.succeeds("contact", "list"))
        self.fails(5, "no contact", "contact", "remove", "bob")
        self.assertEqual(daemon.commands[0], {"type": "add-contact", "id": BOB, "name": "bob"})
        self.assertFalse((self.state / "peer.db").exists())

    def test_bad_id(self) -> None:
        """An id with an error in it is no contact."""
        self.fails(2, "typing error", "contact", "add", BOB[:-1] + ("0" if BOB[-1] != "0" else "1"))

    def test_a_peer_that_starts(self) -> None:
        """A peer that holds the directory and does not answer yet is not gone around."""
        with StateDirectory(self.state, "peer"):
            self.fails(1, "in use", "contact", "add", BOB)


class NotifyTests(CliCase):
    def test_without_a_peer(self) -> None:
        """Settings are changed in the store where no peer runs, with the words of the prompt, and shown."""
        self.assertIn("do not disturb: off", self.succeeds("notify"))
        self.assertFalse(self.state.exists())
        self.succeeds("contact", "add", BOB, "--name", "bob smith")
        self.succeeds("notify", "bob smith", "none")
        self.succeeds("notify", "quiet", "22:00-7:00")
        self.succeeds("notify", "dnd", "2h")
        out = self.succeeds("notify")
        for line in ("do not disturb: on until", "quiet hours: 22:00-7:00", "nothing is told of: bob smith"):
            self.assertIn(line, out)
        self.assertIn("nothing is told of: nobody", self.succeeds("notify", "bob smith", "all"))
        self.assertIn("do not disturb: off", self.succeeds("notify", "dnd", "off"))

    def test_hook(self) -> None:
        """A hook's path is that of the shell in which it was typed."""
        hook = self.home / "hook"
        hook.write_text("")
        self.fails(2, "no program", "notify", "hook", hook)
        hook.chmod(0o755)
        self.assertIn(f"hook: {hook}", self.succeeds("notify", "hook", "~/hook"))
        self.assertIn("hook: none", self.succeeds("notify", "hook", "off"))

    def test_wrong(self) -> None:
        """What is no setting is refused; nobody is meant by a name that no contact has."""
        self.fails(2, "write /notify", "notify", "loud")
        self.fails(2, "write /notify", "notify", "none")
        self.fails(2, "is no way to tell", "notify", "terminal", "loud")
        self.fails(5, "nobody", "notify", "nobody", "none")

    def test_with_a_peer(self) -> None:
        """A peer that runs is asked."""
        answer = {
            "type": "notifications", "dnd": False, "until": None, "quiet": "", "muted": [], "terminal": "bell",
            "desktop": True, "text": False, "hook": "",
        }  # fmt: skip
        peer = self.serve(self.state, set_notifications=answer)
        self.assertEqual(self.succeeds("notify", "desktop", "on"), "desktop (notify-send): on\n")
        self.assertEqual(peer.commands[-1]["desktop"], True)


class CompletionTests(CliCase):
    def test_scripts(self) -> None:
        """Each shell gets its own; what is no shell is refused."""
        for shell in ("bash", "zsh", "fish"):
            self.assertEqual(self.succeeds("completion", shell), script(shell))
        self.fails(2, "did you mean fish?", "completion", "fsh")

    def test_people(self) -> None:
        """Names come from the peer that runs, as far as they can be shown; without one there are none."""
        self.assertEqual(self.succeeds("completion", "people"), "")
        people = [{"id": f"id-{name}", "name": name} for name in ("carol", "bob", "ev\x1bil")]
        self.serve(self.state, list_people={"type": "people", "people": people})
        self.assertEqual(self.succeeds("completion", "people"), "bob\ncarol\n")

    def test_peer_that_refuses(self) -> None:
        """What goes wrong is no matter of somebody who presses Tab."""
        self.serve(self.state, list_people={"error": "the peer is not ready", "exit_code": 1})
        self.assertEqual(self.succeeds("completion", "people"), "")


class IdentityTests(CliCase):
    def setUp(self) -> None:
        super().setUp()
        offline.set_handle(self.state, "alice")
        self.file = self.home / "alice.pem"
        self.secret = self.home / "secret"
        self.secret.write_text("a long passphrase\nnot this\n")

    def test_by_file(self) -> None:
        """A passphrase may be the first line of a file."""
        out = self.succeeds("identity", "export", self.file, "--passphrase-file", self.secret)
        self.assertIn("wrote the identity", out)
        other = self.home / "other"
        out = self.succeeds("identity", "import", self.file, "--passphrase-file", self.secret, "--state", other)
        self.assertEqual((other / "identity.key").read_bytes(), (self.state / "identity.key").read_bytes())

    def test_by_descriptor(self) -> None:
        """Or come over a descriptor that is open."""
        reading, writing = os.pipe()
        os.write(writing, b"a long passphrase")
        os.close(writing)
        self.succeeds("identity", "export", self.file, "--passphrase-fd", reading)
        self.fails(1, "cannot read the passphrase", "identity", "export", self.home / "x", "--passphrase-fd", 987)

    def test_by_terminal(self) -> None:
        """Or be typed, twice where it is made, and never shown."""
        self.at_terminal()
        typed = ["a long passphrase", "a lung passphrase"]
        self.patch(getpass, "getpass", lambda prompt: typed.pop(0))
        self.fails(1, "not the same", "identity", "export", self.file)
        self.assertFalse(self.file.exists())
        typed += ["a long passphrase"] * 3
        self.succeeds("identity", "export", self.file)
        self.succeeds("identity", "import", self.file, "--state", self.home / "other")

    def test_nobody_to_ask(self) -> None:
        """Without a terminal the option that helps is named."""
        self.fails(2, "--passphrase-file", "identity", "export", self.file)

    def test_bad_passphrase_files(self) -> None:
        """An empty, endless or binary first line is no passphrase."""
        for data in (b"", b"\nx", b"x" * 5000, b"\xff\xff\xff\xff\xff\xff\xff\xff\n"):
            self.secret.write_bytes(data)
            self.fails(1, "no passphrase", "identity", "export", self.file, "--passphrase-file", self.secret)
        self.fails(2, "8 characters", "identity", "export", self.file, "--passphrase-file", self.write("short"))
        self.assertFalse(self.file.exists())

    def write(self, text: str) -> Path:
        self.secret.write_text(text)
        return self.secret

    def test_nothing_is_overwritten(self) -> None:
        """A file that is there stays, and that is said before a passphrase is asked for."""
        self.file.write_text("precious")
        self.fails(1, "exists already", "identity", "export", self.file)
        self.assertEqual(self.file.read_text(), "precious")

    def test_never_in_arguments(self) -> None:
        """There is no option that takes the passphrase itself."""
        self.fails(2, "unrecognized", "identity", "export", self.file, "--passphrase", "a long passphrase")
