"""p2pchat.ui.help: the help in layers, from the table of commands."""

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import UsageError
from p2pchat.ui.arguments import TOPICS
from p2pchat.ui.commands import TABLE, NoChat, parse
from p2pchat.ui.help import EVERYTHING, help_lines


class HelpTests(SynchronousTestCase):
    def test_short(self) -> None:
        """/help alone is a dozen commands and the way to the rest: it fits on a small screen."""
        lines = help_lines()
        self.assertLessEqual(len(lines), 20)
        self.assertLessEqual(sum(row.common for row in TABLE), 12)
        for row in TABLE:
            self.assertEqual(
                row.common,
                any(line.startswith(f"  {row.usage} ") for line in lines),
                row.name,
            )
        for topic in (*TOPICS, EVERYTHING):
            self.assertIn(topic, lines[-1])

    def test_all(self) -> None:
        """/help all has every command, once."""
        lines = help_lines(EVERYTHING)
        for row in TABLE:
            self.assertEqual(sum(line.split()[0] == f"/{row.name}" for line in lines), 1, row.name)

    def test_topics(self) -> None:
        """Each command is in the page of its topic, and in no other."""
        pages = {topic: help_lines(topic) for topic in TOPICS}
        for row in TABLE:
            found = [topic for topic, page in pages.items() if any(line.split()[0] == f"/{row.name}" for line in page)]
            self.assertEqual(found, [row.topic])

    def test_command(self) -> None:
        """One command's help names its aliases and has an example."""
        self.assertEqual(help_lines("q"), help_lines("quit"))
        self.assertIn("/exit, /q", help_lines("quit")[0])
        self.assertIn("such as: /accept carol always", "\n".join(help_lines("accept")))

    def test_unknown(self) -> None:
        """What is neither is refused in one line, with the nearest command and the topics."""
        words = str(self.assertRaises(UsageError, help_lines, "lits"))
        self.assertIn("/list", words)
        self.assertIn("people", words)
        self.assertNotIn("\n", words)

    def test_examples_can_be_typed(self) -> None:
        """Every command has an example, which is understood as that command."""
        for row in TABLE:
            self.assertEqual(row.example.split()[0], f"/{row.name}", row.name)
            try:
                self.assertIsNotNone(parse(row.example, "bob"))
            except NoChat:
                self.fail(row.example)
