"""
A real peer that writes a transcript is killed while both sides talk: between the disk and the file, and anywhere.

In the end the transcript has what its database has: all messages of both sides, each once, in order of arrival, and
that they were delivered.
"""

import os
import re
import time
from pathlib import Path
from random import SystemRandom

import apsw

from p2pchat.core.entries import judge
from p2pchat.core.text import Kind, clean
from p2pchat.storage.crash import VARIABLE, Point

from .dialogues import DialogueTestCase
from .test_transcript import parse

PLACES = (
    Point.OWN_COMMITTED,
    Point.RECEIVED_COMMITTED,
    Point.RECEIVED_TOLD,
    Point.CONFIRMED_COMMITTED,
)
"""Where what is stored and what is written may differ; it dies there the second time."""

KILLS = 100 if os.environ.get("P2PCHAT_SOAK") == "1" else 2
"""At moments that nobody chose."""


class TranscriptKillTests(DialogueTestCase):
    def test_complete(self) -> None:
        """Whenever it is killed, the transcript is complete in the end, and has nothing twice."""
        transcript = self.doomed.state.with_name("transcript.txt")
        self.doomed.words += ("--transcript", str(transcript))
        self.doomed.start()
        self.begin_talking()
        self.eventually(lambda: len(parse(transcript.read_text("utf-8"))) > 5, "the transcript grows")
        self.doomed.kill()
        for point in PLACES:
            self.stage = f"{point.value}:2"
            self.doomed.start(**{VARIABLE: self.stage})
            self.doomed.wait()
        for number in range(KILLS):
            self.stage = f"kill {number + 1}"
            self.doomed.start()
            self.doomed.ready()
            # Where the process is by then is chance.
            time.sleep(SystemRandom().uniform(0, 0.2))
            self.doomed.kill()
        self.doomed.start()
        self.conclude(at_least=KILLS)
        stored = stored_in(self.doomed.database, self.doomed.raw_id)
        # It may have ended, in order, before it had caught up: then what is lacking comes with the next start.
        self.doomed.start()
        mine = [number for author, number, _ in stored if author == "doomed"]

        def complete() -> bool:
            text = transcript.read_text("utf-8")
            return len(parse(text)) >= len(stored) and len(delivered_in(text)) >= len(mine)

        self.eventually(complete, "the transcript is complete")
        self.doomed.ready()
        self.doomed.end()
        text = transcript.read_text("utf-8")
        self.assertEqual([(author, number, words) for _, author, number, words in parse(text)], stored)
        self.assertEqual(delivered_in(text), mine)


def stored_in(database: Path, me: bytes) -> list[tuple[str, int, str]]:
    """Author, number and text of all messages, as a transcript shows them, in order of arrival."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute(
            "SELECT party.peer = ?, number, bytes FROM entry JOIN party ON party.party = entry.author "
            "WHERE kind = 'text' ORDER BY entry",
            (me,),
        )
        return [
            ("doomed" if mine else "other", number, clean(judge(data).text, Kind.BODY)) for mine, number, data in rows
        ]
    finally:
        connection.close()


def delivered_in(text: str) -> list[int]:
    """Numbers that are told to be delivered, in rising order, as often as they are told."""
    told: list[int] = []
    for line in text.splitlines():
        if receipt := re.fullmatch(r"\S+ \S+ -- other: delivered (.*)", line):
            for first, last in re.findall(r"#(\d+)(?:-#(\d+))?", receipt[1]):
                told += range(int(first), int(last or first) + 1)
    return sorted(told)
