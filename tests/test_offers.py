"""p2pchat.ui.session: what Tab offers."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.ui.session import Names, offers
from tests.fake_api import BOB, CAROL

NAMES = Names(people=("bob", "carol"), pending=("dora",), ids=(BOB.id, CAROL.id))


class OffersTests(SynchronousTestCase):
    def test_words(self):
        """Commands, names, who waits: each with the blank that follows."""
        self.assertEqual(offers("/conn", NAMES), ["/connect "])
        self.assertEqual(offers("/connect b", NAMES), ["bob "])
        self.assertEqual(offers("@ca", NAMES), ["@carol "])
        self.assertEqual(offers("/accept ", NAMES), ["dora "])

    def test_ids(self):
        """Where no name begins like that, an id may."""
        self.assertEqual(offers(f"/whois {BOB.id[:7]}", NAMES), [f"{BOB.id} "])
        self.assertEqual(offers(f"@{CAROL.id[:7]}", NAMES), [f"@{CAROL.id} "])

    def test_paths(self):
        """Files for a command that takes one; a directory is not the end of its path."""
        directory = Path(self.mktemp())
        (directory / "notes").mkdir(parents=True)
        (directory / "notes.txt").touch()
        self.assertEqual(
            sorted(offers(f"/export bob {directory}/no", NAMES)), [f"{directory}/notes.txt ", f"{directory}/notes/"]
        )

    def test_nothing(self):
        """A message is nobody's to complete."""
        self.assertEqual(offers("hello bo", NAMES), [])
