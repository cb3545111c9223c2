"""p2pchat.manual: the manual pages and completions in share/, against the tables, and in the shells that are here."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.manual.completion import script
from p2pchat.manual.grammar import command_line
from p2pchat.ui.commands import TABLE
from tests.fake_daemon import FakeDaemon
from tests.make_manual import SHARE, made
from tests.terminals import PATIENCE, Terminal

BASH, ZSH, FISH = (
    SHARE / name
    for name in (
        "bash-completion/completions/p2pchat",
        "zsh/site-functions/_p2pchat",
        "fish/vendor_completions.d/p2pchat.fish",
    )
)

PEOPLE = {
    "type": "people",
    "people": [
        {"id": f"id-{name}", "name": name} for name in ("bob", "bela", "carol smith", "$(touch pwned)", "evil\x1b[2J")
    ],
}

OFFERS = {
    ("con",): ["contact"],
    ("contact", ""): ["add", "list", "remove"],
    ("contact", "add", "--n"): ["--name"],
    ("send", "--wait", ""): ["delivered", "queued", "seen"],
    ("send", "--timeout", "5", "b"): ["bela", "bob"],
    ("send", "--timeout", ""): [],
    ("send", "bob", "b"): [],
    ("accept", "a"): ["all", "ask"],
    ("notify", "bo"): ["bob"],
    ("notify", "qu"): ["quiet"],
    ("--st",): ["--state"],
    ("peer", "--accept", "c"): ["contacts"],
}
"""The words so far, the last of them begun: what it may become, in every shell."""


class FileTests(SynchronousTestCase):
    def test_as_the_tables_say(self) -> None:
        """What is in share/ is what the tables make; make manual writes it."""
        for name, text in made().items():
            self.assertEqual((SHARE / name).read_text(), text, f"{name}: run make manual")

    def test_nothing_is_left_out(self) -> None:
        """Every command, option and command of the prompt is in the manual; every option is offered by each shell."""
        pages = made()
        manual = (pages["man/man1/p2pchat.1"] + pages["man/man1/p2pchat-server.1"]).replace("\\-", "-")
        scripts = [script(shell) for shell in ("bash", "zsh", "fish")]
        for command in command_line().all():
            self.assertIn(f".SS {command.path}\n" if command.path not in ("", "server") else "p2pchat server", manual)
            for option in command.options:
                for text in scripts:
                    self.assertIn(option.name.removeprefix("--"), text)
                if option.name != "--help":
                    self.assertIn(f"\\fB{option.name}\\fR", manual)
        for row in TABLE:
            self.assertIn(f"\\fB/{row.name}\\fR", manual)
            self.assertIn(row.example, manual)

    def test_options_mean_one_thing(self) -> None:
        """An option that takes a word takes one in every command: the scripts count words by that."""
        valued: dict[str, bool] = {}
        for command in command_line().all():
            for option in command.options:
                self.assertEqual(valued.setdefault(option.name, option.value is not None), option.value is not None)

    def test_pages_are_sound(self) -> None:
        """What typesets manual pages has nothing to say against them."""
        for page in ("p2pchat.1", "p2pchat-server.1"):
            path = str(SHARE / "man" / "man1" / page)
            for words in (
                ["groff", "-ww", "-man", "-Tutf8", "-z", path],
                ["mandoc", "-T", "lint", "-W", "warning", path],
            ):
                if shutil.which(words[0]) is None:
                    continue
                ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
                # The date would be that of the build.
                said = [each for each in (ended.stdout + ended.stderr).splitlines() if "missing date" not in each]
                self.assertEqual(said, [], page)

    def test_syntax(self) -> None:
        """The shells that are here read their scripts."""
        for shell, path in (("bash", BASH), ("zsh", ZSH), ("fish", FISH)):
            if shutil.which(shell) is not None:
                ended = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual((ended.returncode, ended.stderr), (0, ""), shell)


class ShellTests(SynchronousTestCase):
    """Real shells, with a peer that knows some people."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())  # short enough for the address of a socket
        self.addCleanup(shutil.rmtree, self.directory)
        programs = self.directory / "bin"
        programs.mkdir(parents=True)
        program = programs / "p2pchat"
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m p2pchat \"$@\"\n")
        program.chmod(0o755)
        self.peer = FakeDaemon(self.directory / "data" / "p2pchat" / "peer", {"list-people": PEOPLE})
        self.addCleanup(self.peer.close)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG", "STATE", "COVERAGE"))}
        self.environment = kept | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(SHARE.parent),
            "XDG_DATA_HOME": str(self.directory / "data"),
            "HOME": str(self.directory),
            "TERM": "xterm",
            "PS1": "shell> ",
        }

    def output(self, *words: str) -> list[str]:
        """Its lines; the command must succeed and complain of nothing."""
        ended = subprocess.run(
            words, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), words)
        return ended.stdout.splitlines()

    def test_names(self) -> None:
        """The names that the peer knows, as far as they can be shown; nothing, and no complaint, where none runs."""
        names = ["$(touch pwned)", "bela", "bob", "carol smith"]
        self.assertEqual(self.output("p2pchat", "completion", "people"), names)
        self.assertEqual(self.output("p2pchat", "completion", "people", "--state", "nowhere"), [])

    def test_printed(self) -> None:
        """The command prints the same scripts that are installed."""
        for shell, path in (("bash", BASH), ("zsh", ZSH), ("fish", FISH)):
            self.assertEqual("\n".join(self.output("p2pchat", "completion", shell)) + "\n", path.read_text())

    @skipUnless(shutil.which("bash"), "needs bash")
    def test_bash(self) -> None:
        """The function that bash calls offers what may stand there; names are quoted, and nothing in them is run."""
        lines = [f"source '{BASH}'"]
        for words in OFFERS:
            quoted = " ".join(f"'{word}'" for word in ("p2pchat", *words))
            lines.append(f'COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _p2pchat; echo "${{COMPREPLY[*]}}"')
        lines += ["COMP_WORDS=(p2pchat send ''); COMP_CWORD=2; _p2pchat; printf '%s\\n' \"${COMPREPLY[@]}\""]
        said = self.output("bash", "-c", "\n".join(lines))
        for (words, offers), line in zip(OFFERS.items(), said, strict=False):
            self.assertEqual(sorted(line.split()), offers, words)
        self.assertEqual(said[len(OFFERS) :], ["\\$\\(touch\\ pwned\\)", "bela", "bob", "carol\\ smith"])
        self.assertFalse((self.directory / "pwned").exists())

    @skipUnless(shutil.which("bash"), "needs bash")
    def test_bash_at_a_terminal(self) -> None:
        """A person at bash presses Tab."""
        terminal = self.terminal("bash", "--norc", "--noprofile", "-i")
        terminal.type(f"source '{BASH}'")
        terminal.press(b"p2pchat sen\tbo\t")
        terminal.wait_for("p2pchat send bob ")

    @skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_at_a_terminal(self) -> None:
        """A person at zsh presses Tab."""
        terminal = self.terminal("zsh", "-f", "-i")
        terminal.type(f"fpath=('{ZSH.parent}' $fpath); autoload -U compinit; compinit -u -D; echo ready")
        terminal.wait_for("\nready")
        for typed, shown in ((b"contact a", "contact add "), (b"send bo", "send bob "), (b"accept al", "accept all ")):
            terminal.press(b"p2pchat " + typed + b"\t")
            terminal.wait_for(f"p2pchat {shown}")
            terminal.press(b"\x15")

    @skipUnless(shutil.which("fish"), "needs fish")
    def test_fish(self) -> None:
        """What fish offers."""
        for words, offers in OFFERS.items():
            line = " ".join(("p2pchat", *words))
            said = self.output("fish", "--no-config", "-c", f"source '{FISH}'; complete -C '{line}'")
            self.assertEqual(sorted({each.split("\t")[0] for each in said}), offers, words)
        self.assertFalse((self.directory / "pwned").exists())

    def terminal(self, *words: str) -> Terminal:
        terminal = Terminal(list(words), cwd=self.directory, env=self.environment)
        self.addCleanup(terminal.close)
        return terminal
