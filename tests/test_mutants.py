import ast

from twisted.trial.unittest import SynchronousTestCase

from .mutants import MUTANTS, ROOT, mutated


class MutantTests(SynchronousTestCase):
    """`make mutants` takes long; this looks whether it still could."""

    def test_texts(self) -> None:
        """The text of every mistake stands once in its file; what it becomes can be read and means something else."""
        for mutant in MUTANTS:
            with self.subTest(mutant.name):
                right = (ROOT / mutant.file).read_text("utf-8")
                self.assertNotEqual(ast.dump(ast.parse(mutated(mutant))), ast.dump(ast.parse(right)))

    def test_names(self) -> None:
        """Each has a name of its own, and the tests that are to notice it are there."""
        self.assertEqual(len({mutant.name for mutant in MUTANTS}), len(MUTANTS))
        for mutant in MUTANTS:
            for name in mutant.tests:
                self.assertTrue((ROOT / f"{name.replace('.', '/')}.py").exists(), name)

    def test_page(self) -> None:
        """docs/proof.md names each."""
        page = (ROOT / "docs" / "proof.md").read_text("utf-8")
        for mutant in MUTANTS:
            self.assertIn(f"| {mutant.name} | `{mutant.file.removeprefix('p2pchat/')}` |", page)
