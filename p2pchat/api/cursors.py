"""How programs read what others said: behind a cursor of their own, which moves when they say so."""

from .values import Tagged


class Receive(Tagged, frozen=True, kw_only=True):
    """
    The first messages of others after a named cursor, in order of arrival; it does not move. Reply: Lines.

    A cursor that nobody moved yet stands before everything. What was sent again on request is left out.
    """

    cursor: str = ""
    """1 to 64 characters; with another `who` it is another cursor. Empty: none, so before everything."""
    who: str = ""
    count: int = 100
    after: int | None = None
    """An `entry`: leave out what arrived up to it too, wherever the cursor stands."""
    newest: bool = False
    """The last `count` of them instead of the first; `more` then tells of older ones."""
    before: int | None = None
    """An `entry`: only what arrived before it; the page before, with `newest`."""


class MoveCursor(Tagged, frozen=True, kw_only=True):
    """A program has dealt with everything up to `entry`: do not give it again, and say `seen`. Reply: Done."""

    cursor: str
    entry: int
    who: str = ""


class ShowCursors(Tagged, frozen=True, kw_only=True):
    """Which cursors there are. Reply: Cursors."""


class DropCursor(Tagged, frozen=True, kw_only=True):
    """A program is no more: its cursor goes, and would begin anew under that name. Reply: Done."""

    cursor: str
    who: str = ""
    """That of this chat alone; empty: the one for all chats."""
