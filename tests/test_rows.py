"""
Every row of hostile input has a test against a real listener, and every "cannot" of docs/threats.md a test that exists.

The rows: T (below and in TLS), P (frames and messages), R (roster), X (text). Tests name them: `test_T8_key_updates`.
"""

import ast
import re
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

TESTS = Path(__file__).resolve().parent
THREATS = TESTS.parent / "docs" / "threats.md"

ROWS = [
    f"{letter}{number}" for letter, last in (("T", 12), ("P", 17), ("R", 5), ("X", 8)) for number in range(1, last + 1)
]

ATTACKERS = [f"A{number}" for number in (1, 3, 4, 5, 6, 7, 8)]
"""Those of whom there is a surface: A2 (relay), A9 (status page) and A10 (other servers) have none yet."""

NAMED = re.compile(r"`(test_\w+)\.(\w+)\.(test_\w+)`")


def rows_in(name: str) -> set[str]:
    """The rows that the name of a test names."""
    return set(re.findall(r"(?<=_)[TPRX]\d+(?=_)", name))


def names_in(path: Path) -> list[str]:
    """The names of the tests in a module."""
    found = ast.walk(ast.parse(path.read_text()))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node.name for node in found if isinstance(node, kinds) and node.name.startswith("test_")]


def exists(module: str, kind: str, name: str) -> bool:
    """Whether trial would run such a test."""
    found = getattr(import_module(f"tests.{module}"), kind, None)
    return isinstance(found, type) and issubclass(found, SynchronousTestCase | TestCase) and hasattr(found, name)


class RowTests(SynchronousTestCase):
    def test_every_row_meets_a_listener(self) -> None:
        """Each row occurs in the name of a test against a real listener."""
        names = [name for path in TESTS.glob("test_hostile_*.py") for name in names_in(path)]
        covered = set().union(*(rows_in(name) for name in names))
        self.assertEqual([row for row in ROWS if row not in covered], [])

    def test_how_names_are_read(self) -> None:
        """A row stands between underscores; several may."""
        self.assertEqual(rows_in("test_P5_P8_bad_values"), {"P5", "P8"})
        self.assertEqual(rows_in("test_TP1_X12a_X"), set())


class ThreatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.page = THREATS.read_text()

    def section(self, attacker: str) -> str:
        """What the page says of an attacker."""
        found = re.search(rf"^## {attacker}\b.*?(?=^## |\Z)", self.page, re.MULTILINE | re.DOTALL)
        assert found is not None, f"{attacker} is not there"
        return found.group()

    def test_named_tests_exist(self) -> None:
        """Every test that the page names would be run by trial."""
        named = NAMED.findall(self.page)
        self.assertGreater(len(named), 50)
        self.assertEqual([".".join(each) for each in named if not exists(*each)], [])

    def test_every_cannot_names_a_test(self) -> None:
        """Each attacker has what it can, what it cannot, and for each of those a test."""
        for attacker in ATTACKERS:
            section = self.section(attacker)
            self.assertIn("**Can**", section)
            cannot = [
                line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| Cannot")
            ]
            self.assertTrue(cannot, attacker)
            for line in cannot:
                self.assertTrue(NAMED.search(line), line)

    def test_every_row_is_on_the_page(self) -> None:
        """Each row has its tests on the page."""
        section = self.page[self.page.index("## Rows") :]
        for row in ROWS:
            found = re.search(rf"^\| {row} \|.*$", section, re.MULTILINE)
            assert found is not None, row
            tests = NAMED.findall(found.group())
            self.assertTrue(any(row in rows_in(name) for _, _, name in tests), row)
