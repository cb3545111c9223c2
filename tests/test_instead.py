"""p2pchat.ui.instead: commands of other programs, and what to use here."""

import re

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.cli import HOMES
from p2pchat.core.errors import UsageError
from p2pchat.ui.commands import TABLE, parse
from p2pchat.ui.help import help_lines
from p2pchat.ui.instead import INSTEAD

NAMES = {name for row in TABLE for name in (row.name, *row.aliases)}


class InsteadTests(SynchronousTestCase):
    def test_no_command(self):
        """None of these words is a command, and each names only commands that there are."""
        self.assertEqual(NAMES & set(INSTEAD), set())
        for word, line in INSTEAD.items():
            named = set(re.findall(r"/([a-z-]+)", line))
            self.assertEqual(named - NAMES, set(), word)
            shell = set(re.findall(r"p2pchat ([a-z]+)", line))
            self.assertEqual(shell - set(HOMES), set(), word)
            self.assertNotIn("\n", line)

    def test_typed(self):
        """Typed with arguments or without it sends nothing and says what to use; so does the help."""
        for typed, wanted in {
            "/nick carol": "/contacts add ID NAME",
            "/me waves": "*waves*",
            "/AWAY": "/dnd on",
            "/set theme dark": "/notify, /dnd",
            "/topic": "/connect NAME",
        }.items():
            error = str(self.assertRaises(UsageError, parse, typed, "bob"))
            self.assertIn(f"there is no command {typed.split()[0].lower()}; instead: ", error)
            self.assertIn(wanted, error)
            word = typed.split()[0].lower()[1:]
            found = str(self.assertRaises(UsageError, help_lines, word))
            self.assertIn(wanted, found)
            self.assertNotIn("topics are", found)
