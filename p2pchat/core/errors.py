"""
Every exception that p2pchat raises on purpose, and every code that says how a link ended.

    ChatError
    +-- ProtocolError              never raised itself
    |   +-- LocalProtocolError     we asked for something that the state forbids: our bug
    |   +-- RemoteProtocolError    the far side broke a rule; carries the code that tells it so
    |       +-- HandshakeRefused   it did not show in TLS what it must; the text is fit for a person
    |           +-- CertificateExpired
    +-- UserError                  one line for a person: what happened and what to do next
        +-- UsageError             the words of a command or option are off (exit code 2)
        +-- NotInTime              it did not happen in the time it had (exit code 3)
        +-- NoSuchContact          nobody, or more than one, is meant by a name or id (exit code 5)
        +-- StateError             the state directory cannot be used
        |   +-- StateInUse         another process holds it
        +-- NotRunning             there is no daemon to ask (exit code 6)
        +-- OutboxFull             too much waits for delivery; nothing was accepted
        +-- Reported               what a daemon answered over its local socket; carries its exit code
        +-- StoreError             the database failed; nothing was accepted
            +-- StoreUnsure        it failed in the middle: what was to be stored may be there (exit code 3)
            +-- StoreFull          no room on the disk; goes on when there is
            +-- StoreCorrupt       the file is damaged; never replaced in silence
            +-- StoreTooNew        written by a newer version

What crosses the wire is an `EndCode`, never the text of an exception.
"""

from datetime import datetime
from enum import StrEnum


class EndCode(StrEnum):
    """
    How a link ended, in one word; the value is what `Bye` carries.

    docs/protocol.md ("Codes") says what each side should do next.
    """

    # A person or a program decided.
    CLOSED = "closed"
    """The chat was closed; `once` consent is over."""
    LEAVING = "leaving"
    """The peer or the server is stopping; come back later."""
    REJECTED = "rejected"
    """The request to chat was refused; the reason is nobody's business."""
    EXPIRED = "expired"
    """Nobody answered the request to chat in time."""

    # Two links, or two instances.
    DUPLICATE = "duplicate"
    """The leader keeps another link between the same two."""
    DISPLACED = "displaced"
    """Another instance with the same key came; stop and ask your person."""
    SELF = "self"
    """The hello came from our own key."""

    # The server's answers.
    NOT_ADMITTED = "not-admitted"
    """This address is not admitted here."""
    FULL = "full"
    """No room; nothing was stored."""
    HANDLE_TAKEN = "handle-taken"
    """The handle belongs to another key."""
    STALE_RECORD = "stale-record"
    """The record's counter is not above the one known here."""
    BAD_RECORD = "bad-record"
    """The record is unreadable, unsigned, or names another server, key or handle than it must."""

    # The far side broke a rule.
    VERSION = "version"
    """No version in common."""
    TOO_BIG = "too-big"
    """A frame above the cap."""
    MALFORMED = "malformed"
    """Not the MessagePack that the schema asks for."""
    UNEXPECTED = "unexpected"
    """A message that this state does not allow."""
    VIOLATION = "violation"
    """A legal message with a content that the rules forbid."""
    RATE = "rate"
    """Too many messages."""

    # Neither.
    TIMEOUT = "timeout"
    """Silence, an unfinished hello, or a reader that made no progress."""
    INTERNAL = "internal"
    """A bug or a failed disk on the side that says so."""
    UNKNOWN = "unknown"
    """Said by nobody: what a code that we do not know is read as."""


class ChatError(Exception):
    """Base of everything that p2pchat raises on purpose."""


class ProtocolError(ChatError):
    """Somebody broke the wire protocol."""


class LocalProtocolError(ProtocolError):
    """We asked a session for something that its state forbids: our bug."""


class RemoteProtocolError(ProtocolError):
    """The far side broke a rule: it is told `code`, and the link is dropped."""

    def __init__(self, code: EndCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        """What the far side is told."""


class HandshakeRefused(RemoteProtocolError):
    """
    The far side did not show in its TLS handshake what it must; nothing was said to it, nor believed.

    The text completes a sentence for a person: "cannot connect to lab1: its certificate ...".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(EndCode.VIOLATION, reason)


class CertificateExpired(HandshakeRefused):
    """A server's CA-issued certificate ran out at `not_after`; its operator has to renew it."""

    def __init__(self, not_after: datetime) -> None:
        super().__init__(f"its certificate expired on {not_after:%Y-%m-%d}; whoever runs it must renew it")
        self.not_after = not_after
        """The end of its validity, in UTC."""


class UserError(ChatError):
    """One line for a person: what happened, and what to do next."""

    exit_code = 1
    """What a process that ends because of this exits with."""


class UsageError(UserError):
    """The words of a command or an option are off."""

    exit_code = 2


class NotInTime(UserError):
    """What was waited for did not happen in the time it had; it may still."""

    exit_code = 3


class NoSuchContact(UserError):
    """Nobody is known under that name or id."""

    exit_code = 5


class StateError(UserError):
    """The state directory cannot be used as it is."""


class StateInUse(StateError):
    """Another process holds the state directory; `pid` is that process, if known."""

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class NotRunning(UserError):
    """The command is for a peer or server that runs, and none does."""

    exit_code = 6


class OutboxFull(UserError):
    """Too much waits for delivery; what was said was not accepted, and may be said again later."""


class Reported(UserError):
    """A UserError of another process, as it came over the local socket."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StoreError(UserError):
    """The database failed; what was being stored was not accepted."""


class StoreUnsure(StoreError):
    """The disk failed while it confirmed a transaction: a new start may find it stored, or not."""

    exit_code = 3


class StoreFull(StoreError):
    """There is no room on the disk; storing goes on as soon as there is."""


class StoreCorrupt(StoreError):
    """The database is damaged; it is never replaced in silence. `detail` says in a few words what is wrong."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class StoreTooNew(StoreError):
    """The database was written by a newer version of p2pchat."""
