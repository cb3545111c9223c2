"""p2pchat.oneshot.introduction: the first start, at a pseudo-terminal, of somebody who presses Enter."""

import io
import os
from contextlib import redirect_stdout

from p2pchat.oneshot.introduction import ABOUT_NAMES, ABOUT_REQUESTS, GOODBYE, WELCOME, tell
from tests.background import P2PCHAT, Background
from tests.terminals import Terminal

ALL = (*WELCOME, *ABOUT_NAMES, *ABOUT_REQUESTS, *GOODBYE)


class FirstRunTests(Background):
    def bare(self) -> Terminal:
        """`p2pchat` and nothing else, but for where its state is."""
        terminal = Terminal([*P2PCHAT, "--state", "new"], cwd=self.directory, env=self.environment)
        self.addCleanup(terminal.close)
        return terminal

    def test_from_nothing(self) -> None:
        """A link, Enter, Enter: then the peer is online, and its person knows what to type."""
        self.start_server()
        assert self.link is not None
        terminal = self.bare()
        terminal.wait_for("[none]: ")
        terminal.type("lab1:x")
        terminal.wait_for("port")
        terminal.wait_for("[none]: ")
        terminal.type(self.link)
        terminal.wait_for("Your name [")
        terminal.type("nora")
        terminal.wait_for("Who may chat [ask]: ")
        terminal.type("")
        terminal.wait_for("joined the server")
        terminal.wait_for("/help")
        terminal.wait_for("nora ")
        terminal.wait_for("online at 127.0.0.1")
        terminal.type("/quit")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(self.run_p2pchat("accept", "--state", "new"), "ask\n")
        again = self.bare()
        again.wait_for("/quit leaves")
        self.assertNotIn("[none]", again.told)
        again.type("/quit")
        self.assertEqual(again.wait(), 0)

    def test_wrong_answers(self) -> None:
        """What is no answer, nobody's address, and a server that is not the right one are said, and asked again."""
        self.start_server()
        assert self.link is not None
        where = self.link.removeprefix("p2pchat://").partition("/")[0]
        terminal = self.bare()
        for answer, told in (
            ("lab 1", "is no address; write HOST"),
            ("127.0.0.1:1", "cannot reach 127.0.0.1:1"),
            (where, "Is that the right one?"),
        ):
            terminal.wait_for("[none]: ")
            terminal.type(answer)
            terminal.wait_for(told)
        terminal.type("no")
        terminal.wait_for("not joined")
        terminal.wait_for("[none]: ")
        terminal.type(where)
        terminal.wait_for("[yes/no]: ")
        terminal.type("yes")
        terminal.wait_for("Your name [")
        terminal.type("Nora N")
        terminal.wait_for("'Nora N' must be 1 to")
        terminal.type("nora")
        terminal.wait_for("Who may chat [ask]: ")
        terminal.type("nobody")
        terminal.wait_for("'nobody' is not known; give one of: ask, contacts, all")
        terminal.type("contacts")
        terminal.wait_for("joined the server")
        terminal.wait_for("online at 127.0.0.1")
        self.assertNotIn("--", terminal.told.partition("joined the server")[0])
        terminal.type("/quit")
        self.assertEqual(terminal.wait(), 0)

    def test_ten_lines(self) -> None:
        """It explains itself in ten lines of 80 columns, and breaks between words where there are fewer."""
        for columns, most in ((80, 10), (40, 22)):
            self.patch(os, "environ", {**os.environ, "COLUMNS": str(columns)})
            told = io.StringIO()
            with redirect_stdout(told):
                for part in (WELCOME, ABOUT_NAMES, ABOUT_REQUESTS, GOODBYE):
                    tell(part)
            lines = told.getvalue().splitlines()
            self.assertLessEqual(len(lines), most)
            self.assertLess(max(map(len, lines)), columns)
            self.assertEqual(" ".join(" ".join(lines).split()), " ".join(" ".join(ALL).split()))
