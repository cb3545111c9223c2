"""
One peer on one link to the server: from its hello over its registration to what it watches.

    begin: our hello --Hello--> admitted? room? --Register--> record, handle, counter --Registered--> Watch
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.bodies import RecordBody
from ..core.errors import EndCode, RemoteProtocolError, StoreError
from ..core.messages import (
    Address,
    Bye,
    Declined,
    DialBack,
    DialledBack,
    Hello,
    Message,
    Register,
    Registered,
    Signed,
    Watch,
)
from ..core.reach import Outcome
from ..core.records import check_record
from ..core.session import DEAD_AFTER
from ..core.states import Side
from ..core.watchers import Watcher

if TYPE_CHECKING:
    from ..net.connection import Connection
    from .rendezvous import Rendezvous

MAX_DECLINED = 4
"""Registrations declined on one link; a peer that needs more is guessing."""

MAX_WAITING = 4
"""Registrations that may wait for the one before: a peer waits for an answer, so more is a mistake."""

EXPIRES = int(DEAD_AFTER[Side.SERVER])
"""Seconds of silence after which a peer is online no longer."""


class Registration:
    """What the server knows of one link; `peer` is the id that its TLS handshake proved."""

    __slots__ = (
        "_declined",
        "_rendezvous",
        "_waiting",
        "_watcher",
        "connection",
        "handle",
        "nonce",
        "observed",
        "peer",
        "since",
    )

    log = Logger()

    def __init__(self, rendezvous: Rendezvous, connection: Connection, peer: bytes, observed: Address) -> None:
        self._rendezvous = rendezvous
        self._declined = 0
        self._waiting: list[Signed] | None = None
        self._watcher: Watcher | None = None
        self.connection = connection
        self.peer = peer
        self.observed = observed
        """The address from which the peer comes."""
        self.nonce = b""
        self.handle = ""
        """Empty while it is not registered."""
        self.since = 0
        """Wall clock at registration, ms since 1970."""

    def received(self, message: Message) -> None:
        """A message that the link's state allows; raises RemoteProtocolError."""
        match message:
            case Hello():
                self._greeted(message)
            case Register():
                self._register(message.record)
            case Watch():
                self._watch(message)
            case DialBack(number=number):
                self._dial_back(number)
            case Bye():
                self._rendezvous.leave(self)

    def read_on(self) -> None:
        """The watcher has something: this link gets its turn."""
        self._rendezvous.feed(self)

    def read_frame(self) -> int:
        """
        Send the next frame of the watcher, if there is one and the link takes it, and give its size.

        What a slow link does not take waits where it is, and not in a queue (F28).
        """
        if self._watcher is None or not self.connection.alive or self.connection.congested:
            return 0
        frame = self._watcher.next_frame()
        if frame is None:
            return 0
        self.connection.send_encoded(frame.kind, frame.data)
        return len(frame.data)

    def end(self) -> None:
        """The link is over."""
        self._waiting = None
        if self._watcher is not None:
            self._rendezvous.roster.unwatch(self._watcher)
            self._watcher = None

    def _greeted(self, hello: Hello) -> None:
        self.nonce = hello.nonce
        refusal = self._rendezvous.refusal(self)
        if hello.version < 1:
            refusal = EndCode.VERSION
        if refusal is not None:
            self._rendezvous.refuse(self, refusal)

    def _watch(self, watch: Watch) -> None:
        if self._watcher is not None:
            self._rendezvous.roster.unwatch(self._watcher)
        self._watcher = self._rendezvous.roster.watch(self, watch.everyone, watch.ids)
        self.read_on()

    def _dial_back(self, number: int) -> None:
        """Look whether this peer can be reached, where it comes from and at the port that it signed."""
        address, asked = self._rendezvous.dial_back(self)

        def answer(outcome: Outcome) -> None:
            dialled = None if outcome in (Outcome.NOT_DIALLED, Outcome.LATER) else address
            self.connection.send(DialledBack(number=number, code=outcome.value, address=dialled))

        asked.addCallback(answer)

    # --- registering

    def _register(self, record: Signed) -> None:
        if self._declined >= MAX_DECLINED:
            raise RemoteProtocolError(EndCode.RATE, "too many registrations")
        if self._waiting is None:
            self._take(record)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(record)
        else:
            raise RemoteProtocolError(EndCode.RATE, "registrations faster than they can be stored")

    def _take(self, record: Signed) -> None:
        """Check one registration, and go on at once or when a new handle is on the disk."""
        try:
            body = check_record(record, self._rendezvous.identity.id)
        except RemoteProtocolError as error:
            self._rendezvous.incidents.report(self.observed.host, str(error))
            self._decline(EndCode.BAD_RECORD)
            return
        objection = self._objection(body)
        if objection is not None:
            self._object(objection)
            return
        decided = self._rendezvous.claim(self, body.handle)
        if decided is None:
            self._finish(body, record)
        else:
            self._waiting = []
            decided.addCallbacks(self._decided, self._not_stored, (body, record))
            decided.addErrback(self._failed)

    def _objection(self, body: RecordBody) -> EndCode | None:
        if body.key != self.connection.authenticated.key:
            return EndCode.BAD_RECORD
        return self._rendezvous.objection(self.peer, body)

    def _decided(self, objection: EndCode | None, body: RecordBody, record: Signed) -> None:
        self._rendezvous.claimed(self)
        if not self.connection.alive:
            return
        if objection is None:
            self._finish(body, record)
        else:
            self._object(objection)
        waiting, self._waiting = self._waiting or [], None
        for later in waiting:
            if self.connection.alive:
                self._take_later(later)

    def _take_later(self, record: Signed) -> None:
        try:
            self._register(record)
        except RemoteProtocolError as error:
            self.connection.fail(error.code, str(error))

    def _not_stored(self, failure: Failure) -> None:
        self._rendezvous.claimed(self)
        if failure.check(StoreError) is None:
            self._failed(failure)
        else:
            self.log.error("A handle could not be stored: {reason!s}", reason=failure.value)
            self._rendezvous.refuse(self, EndCode.INTERNAL)

    def _failed(self, failure: Failure) -> None:
        self.log.failure("A registration failed", failure)
        self._rendezvous.refuse(self, EndCode.INTERNAL)

    def _finish(self, body: RecordBody, record: Signed) -> None:
        objection = self._rendezvous.put(self, body, record)
        if objection is not None:
            self._object(objection)
            return
        self.handle = body.handle
        self.connection.send(Registered(handle=body.handle, expires=EXPIRES))

    def _object(self, objection: EndCode) -> None:
        match objection:
            case EndCode.STALE_RECORD:
                newer = self._rendezvous.roster.get(self.peer)
                self._decline(objection, None if newer is None else newer.record)
            case EndCode.FULL:
                self._rendezvous.refuse(self, objection)
            case _:
                self._decline(objection)

    def _decline(self, code: EndCode, newer: Signed | None = None) -> None:
        self._declined += 1
        self._rendezvous.refused[code.value] += 1
        self.connection.send(Declined(code=code.value, record=newer))
