"""p2pchat.core.search: what is looked for, and in what; the index itself is in test_searching."""

import apsw
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.search import MAX_WORDS, indexed, query
from p2pchat.storage.peer_tables import PEER_SCHEMA

TEXTS = st.text(max_size=60) | st.text(alphabet="aé東京ทีं่🏽👍 \"'*():^-+AND OR", max_size=40)


class SearchCase(SynchronousTestCase):
    """An index of its own."""

    def setUp(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute(PEER_SCHEMA.script())
        self.addCleanup(self.connection.close)
        self.count = 0

    def put(self, text: str) -> int:
        self.count += 1
        self.connection.execute("INSERT INTO search (rowid, text) VALUES (?, ?)", (self.count, indexed(text)))
        return self.count

    def found(self, words: str) -> list[int]:
        wanted = query(words)
        if not wanted:
            return []
        return [row for (row,) in self.connection.execute("SELECT rowid FROM search WHERE search MATCH ?", (wanted,))]


class FindsTest(SearchCase):
    """What finds what."""

    def test_found(self) -> None:
        """Accents, capitals and widths do not matter, and characters of unspaced scripts are found in sentences."""
        examples = [
            ("cafe", "let us meet at the Café"),
            ("CAFÉ", "cafe\u0301 now"),
            ("東京", "明日は東京へ行きます"),
            ("ที่ไหน", "ไปที่ไหนมา"),
            ("학교", "오늘 학교에 간다"),
            ("हिन्दी", "यह हिन्दी है"),
            ("strasse", "Lange Straße 5"),
            ("abc", "ＡＢＣ"),
            ("👍", "fine👍🏽thanks"),
            ("שלום", "שָׁלוֹם"),
            ("grant proposal", "the proposal for the grant"),
            ("don't", "I don't know"),
            ("10.0.0.5", "it is at 10.0.0.5 now"),
        ]
        for words, text in examples:
            with self.subTest(words=words):
                self.assertIn(self.put(text), self.found(words))

    def test_not_found(self) -> None:
        """Words are whole, all of them must be there, and characters in another order are another word."""
        for words, text in [
            ("caf", "the café"),
            ("grant later", "the grant"),
            ("京東", "東京"),
            ("かき", "かぎ"),
            ("5.0", "0.5"),
        ]:
            with self.subTest(words=words):
                self.assertNotIn(self.put(text), self.found(words))

    def test_syntax_is_data(self) -> None:
        """What is syntax elsewhere is looked for as it stands, or is nothing."""
        self.put("one two")
        for words in ('"', "*", "text:one", "one OR three", "NEAR(one two)", "one NOT two", "one*3", "a\0b"):
            with self.subTest(words=words):
                self.assertEqual(self.found(words), [])
        self.assertEqual(self.found("(one) -two ^one"), [1])

    def test_no_word(self) -> None:
        """Where there is no word there is no query."""
        for words in ("", " ", "--", '""', "!?", "\u0301"):
            self.assertEqual(query(words.replace("\u0301", "")), "")

    def test_bounded(self) -> None:
        """Of very many words the first ones count."""
        self.assertEqual(query("a " * 1000).count("AND"), MAX_WORDS - 1)


class AnythingTest(SearchCase):
    """Whatever is written."""

    @settings(max_examples=150, deadline=None)
    @given(TEXTS)
    def test_every_text_is_found_by_itself(self, text: str) -> None:
        """A text is found by its own words, and nothing that is typed is an error."""
        entry = self.put(text)
        if query(text) and len(text.split()) <= MAX_WORDS:
            self.assertIn(entry, self.found(text))

    @settings(max_examples=150, deadline=None)
    @given(TEXTS)
    def test_indexed_again(self, text: str) -> None:
        """The same text gives the same form every time, so that what was indexed can be taken out."""
        self.assertEqual(indexed(text), indexed(str(text)))
        entry = self.put(text)
        self.connection.execute(
            "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)", (entry, indexed(text))
        )
        self.assertNotIn(entry, self.found(text))
