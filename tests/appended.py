"""A file of a transcript that is written at once: what a thread does elsewhere (p2pchat/ui/appending.py)."""

import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred, succeed

from p2pchat.ui.appending import End, open_end, read_end, write_all


class AtOnce:
    """`full`: there is no room."""

    def __init__(self, path: Path, reactor: object = None) -> None:
        self.path = path
        self.full = False
        self._descriptor: int | None = None

    def open(self, most: int, failed: Callable[[OSError], None]) -> End:
        self._failed = failed
        self._descriptor = open_end(self.path)
        return read_end(self._descriptor, most)

    @property
    def has_room(self) -> bool:
        return not self.full

    async def room(self) -> None:
        pass

    def append(self, data: bytes) -> bool:
        if not self.full:
            self._write(data)
        return not self.full

    def close(self, last: bytes = b"") -> Deferred[None]:
        if self._descriptor is not None:
            self._write(last)
            os.close(self._descriptor)
            self._descriptor = None
        return succeed(None)

    def _write(self, data: bytes) -> None:
        try:
            assert self._descriptor is not None
            write_all(self._descriptor, data)
        except OSError as error:
            self._failed(error)
