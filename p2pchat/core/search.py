"""
What is looked for, and in what: one pure function makes both comparable.

`indexed` gives a text the form in which the full-text index gets it, and `query` writes a person's words, put through
the same function, as phrases: whatever they type is data, never the index's own syntax.

- Capitals and compatibility forms are folded (NFKC, case folding), accents and vowel points dropped: "cafe" finds
  "Café".
- Scripts that are written without spaces are cut into characters, so that 東京 is found as a phrase inside a
  sentence; each symbol or emoji stands for itself.

What was indexed is deleted by giving the index the same text again. So a change of this function needs an upgrade of
the database that indexes everything anew (storage/peer_tables.py).
"""

import re
import unicodedata

MAX_WORDS = 16
"""Words of one search; more say nothing more, and each costs."""

MAX_QUERY = 1_024
"""Characters of one search."""

_POINTS = re.compile(
    "["
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"  # combining diacritical marks
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew points
    "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # Arabic ones
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors
    "\u200b-\u200f\u2060-\u2064\ufeff\u00ad\u0640"  # zero width, soft hyphen, tatweel
    "]+"
)
"""What a person who searches leaves out. Marks that are letters to their readers (Thai, Devanagari) are not in it."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aad\ua9e0-\ua9ff\uaa60-\uaadf"  # Thai to Tai Viet
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u3096\u309d-\u309f\u30a1-\u30ff"  # kana
    "\u3100-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Bopomofo, ideographs
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul, whose particles stick to the word
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_SYMBOLS = "\u2100-\u214f\u2190-\u2bff\u3200-\u33ff\U0001f000-\U0001faff"

_ALONE = re.compile(f"[{_UNSPACED}{_SYMBOLS}]")

_WORDS = frozenset("LNM")
"""First letters of the categories that words are made of; with So and Co, what the index keeps (peer-2.sql)."""


def indexed(text: str) -> str:
    """The text as the index gets it: words and single characters with spaces around them."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.encode("utf-8", "replace").decode()).casefold()
    composed = unicodedata.normalize("NFKC", _POINTS.sub("", plain))
    return _cut(composed)


def _cut(text: str) -> str:
    """Spaces around each character that is a word of its own, with the marks that follow it."""
    if _ALONE.search(text) is None:
        return text
    parts: list[str] = []
    alone = False
    for character in text:
        if unicodedata.category(character)[0] == "M":
            parts.append(character)
            continue
        apart = alone
        alone = _ALONE.match(character) is not None
        parts.append(f" {character}" if alone or apart else character)
    return "".join(parts)


def query(words: str) -> str:
    """A person's words as a full-text query for entries that have all of them; empty if there is no word in it."""
    phrases: list[str] = []
    for word in words[:MAX_QUERY].split():
        phrase = " ".join(indexed(word).replace('"', " ").replace("\0", " ").split())
        if any(_counts(character) for character in phrase):
            phrases.append(f'"{phrase}"')
    return " AND ".join(phrases[:MAX_WORDS])


def _counts(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in _WORDS or category in ("So", "Co")
