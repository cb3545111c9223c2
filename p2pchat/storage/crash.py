"""
Places where a process may be killed, by name, so that a test can kill it at every one of them (F1, F2, F40).

Each place calls `reach` with its name. That does nothing, unless the process was started with
`P2PCHAT_CRASH_AT=NAME` or `NAME:N` in its environment: then it is killed, as with kill -9, where it gets there the
N-th time. `tests/test_crashes.py` goes through all of `Point`, so whoever adds a name has it tested.
"""

import os
import signal
from enum import Enum

VARIABLE = "P2PCHAT_CRASH_AT"
"""The environment variable, read once, when the process starts."""


class Point(Enum):
    """A place; the value is what `P2PCHAT_CRASH_AT` says."""

    # The first start, and the first one of a newer version; these stand first, since they come first.
    DATABASE_FILLED = "database-filled"
    """The new database is whole, under another name."""
    DATABASE_PLACED = "database-placed"
    """It has its name, which is not on the disk yet."""
    COPY_WRITTEN = "copy-written"
    """The copy of an older database is whole, under another name."""
    UPGRADE_WRITTEN = "upgrade-written"
    """An older database is changed, and that is not committed."""
    UPGRADED = "upgraded"
    """It is committed."""
    SECRET_WRITTEN = "secret-written"
    """A key is whole, under another name."""
    SECRET_PLACED = "secret-placed"
    """It has its name, which is not on the disk yet."""
    KEY_MADE = "key-made"
    """The identity has a key that its database does not know yet."""

    # What we say.
    OWN_WRITTEN = "own-written"
    """Messages of ours are in the transaction, which is not committed."""
    OWN_COMMITTED = "own-committed"
    """They are on the disk, and nobody was told that they are queued."""
    OWN_ANNOUNCED = "own-announced"
    """They were told to be queued, and nothing has left."""
    REST_LOADED = "rest-loaded"
    """The sent-up-to mark of what waited is on the disk, and nothing of it has left."""
    OWN_SENT = "own-sent"
    """An entry was handed to the link."""

    # What comes.
    RECEIVED = "received"
    """Entries were read from the link, and nothing of them is stored."""
    RECEIVED_WRITTEN = "received-written"
    """They are in the transaction, which is not committed."""
    RECEIVED_COMMITTED = "received-committed"
    """They are on the disk, and were neither shown nor acknowledged."""
    RECEIVED_TOLD = "received-told"
    """They were shown, and the `have` has not left."""
    RECEIVED_ACKNOWLEDGED = "received-acknowledged"
    """The `have` was handed to the link."""

    # What they say of ours.
    CONFIRMED_WRITTEN = "confirmed-written"
    """That they were delivered is in the transaction, which is not committed."""
    CONFIRMED_COMMITTED = "confirmed-committed"
    """It is on the disk, and nobody was told."""
    SEEN_WRITTEN = "seen-written"
    """That they were seen is in the transaction, which is not committed."""

    # Link-up.
    OPENED = "opened"
    """What we have was read for a new link, and not told yet."""
    SETTLED_WRITTEN = "settled-written"
    """What follows from comparing the two sides is in the transaction, which is not committed."""
    SETTLED_COMMITTED = "settled-committed"
    """It is on the disk, and nothing was sent again."""

    # The store itself.
    BEFORE_COMMIT = "before-commit"
    """Any transaction is written, and not committed."""
    AFTER_COMMIT = "after-commit"
    """Any transaction is committed, and nobody knows."""
    CHECKPOINTED = "checkpointed"
    """The WAL was copied back into the database."""


def reach(point: Point) -> None:
    """We are at `point`: end here, if that was asked for."""
    if _fuse is not None:
        _fuse.burn(point)


class Fuse:
    """Kills this process when it reaches `point` the `times`-th time."""

    def __init__(self, point: Point, times: int) -> None:
        self.point = point
        self.times = times

    def burn(self, point: Point) -> None:
        """Count, and kill."""
        if point is self.point:
            self.times -= 1
            if self.times == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def fuse_from(text: str | None) -> Fuse | None:
    """What the environment variable asks for; raises ValueError for what names no place."""
    if not text:
        return None
    name, _, times = text.partition(":")
    return Fuse(Point(name), int(times or 1))


_fuse = fuse_from(os.environ.get(VARIABLE))
