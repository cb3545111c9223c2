"""Tables and lines about people and daemons."""

import os
import time

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.api import Myself, PeerStatus, Person, RosterRow, ServerReport
from p2pchat.api.values import ServerStatus
from p2pchat.core.text import cell_width
from p2pchat.ui.changes import Change, changes, describe
from p2pchat.ui.tables import contact_table, duration, local_time, peer_lines, roster_table, server_lines, table

ID = "f3qz-7k2m-aaaa-bbbb-cccc"
HOSTILE = "\x1b[2J\u202eevil\n\u200bname"


def row(**changed: object) -> RosterRow:
    values = {"handle": "bob", "name": "", "id": ID, "address": "10.0.0.9", "port": 6666, "since": 0, "heard": 1}
    return RosterRow(**{**values, **changed})  # type: ignore[arg-type]


class TableTests(SynchronousTestCase):
    def test_columns(self) -> None:
        """Columns stand under each other, also behind wide characters and marks, and lines end without blanks."""
        names = ["bob", "東京", "e\u0301va", "😀"]
        lines = table(("NAME", "N", "END"), [(name, str(number), "") for number, name in enumerate(names)])
        before = {cell_width(line[: line.rindex(str(number))]) for number, line in enumerate(lines[1:])}
        self.assertEqual(before, {6})
        self.assertTrue(all(line == line.rstrip() for line in lines))

    def test_empty(self) -> None:
        """A table without rows is its head."""
        self.assertEqual(table(("A", "B"), []), ["A  B"])
        self.assertEqual(len(roster_table([])), 1)

    def test_X1_X2_text_from_others(self) -> None:
        """Nothing that somebody else chose reaches the terminal as more than text on its own line."""
        hostile = row(handle=HOSTILE, name=HOSTILE, id=HOSTILE, address=HOSTILE)
        person = Person(id=HOSTILE, name=HOSTILE, standing=HOSTILE, consent=HOSTILE, chat=HOSTILE)
        server = ServerStatus(id=HOSTILE, address=HOSTILE, state=HOSTILE, reason=HOSTILE, observed=HOSTILE)
        myself = Myself(id=HOSTILE, name=HOSTILE, listens=(HOSTILE,), servers=(server,))
        status = PeerStatus(pid=1, version=HOSTILE, myself=myself, chats=(person,), uptime=1)
        report = ServerReport(
            pid=1,
            version=HOSTILE,
            id=HOSTILE,
            listens=(HOSTILE,),
            online=0,
            capacity=1,
            uptime=1,
            refused={HOSTILE: 1},
        )
        lines = [*roster_table([hostile]), *contact_table([person]), *peer_lines(status), *server_lines(report)]
        lines.append(describe(Change("came", hostile)))
        for line in lines:
            for sign in "\x1b\u202e\n\u200b":
                self.assertNotIn(sign, line)

    @given(st.text(max_size=40), st.text(max_size=40))
    @settings(max_examples=100, deadline=None)
    def test_any_name(self, handle: str, name: str) -> None:
        """Whatever stands in a name, it is one line of the table."""
        self.assertEqual(len("\n".join(roster_table([row(handle=handle, name=name)])).splitlines()), 2)

    def test_nowhere(self) -> None:
        """Who listens nowhere has no port."""
        self.assertEqual(roster_table([row(port=0)])[1].split()[3], "-")


class TimeTests(SynchronousTestCase):
    def test_durations(self) -> None:
        """A length of time is told in its largest unit."""
        told = [duration(seconds) for seconds in (-5, 0, 59, 60, 3599, 3600, 86_399, 86_400 * 400)]
        self.assertEqual(told, ["0 s", "0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "400 d"])

    def test_local_time(self) -> None:
        """A time is told in this machine's zone; one that no calendar has is told as unknown."""
        before = os.environ.get("TZ")
        self.addCleanup(self.set_zone, before)
        self.set_zone("UTC-2")
        self.assertEqual(local_time(1_700_000_000_000), "2023-11-15 00:13")
        self.assertEqual(local_time(2**53), "?")
        self.assertEqual(local_time(-(2**53)), "?")

    @staticmethod
    def set_zone(name: str | None) -> None:
        if name is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = name
        time.tzset()


class ChangeTests(SynchronousTestCase):
    def test_changes(self) -> None:
        """Who went comes first, then who came or can be reached elsewhere."""
        bob, carol, dave = row(), row(id="carol"), row(id="dave")
        moved = row(id="carol", port=7)
        found = changes([bob, carol, dave], [moved, row(id="dave", heard=9), row(id="eve")])
        told = [(change.change, change.row.id) for change in found]
        self.assertEqual(told, [("went", ID), ("changed", "carol"), ("came", "eve")])

    def test_back_again(self) -> None:
        """Who left and came back between two looks has changed."""
        self.assertEqual([change.change for change in changes([row()], [row(since=5)])], ["changed"])
