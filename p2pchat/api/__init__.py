"""
What people's front ends and programs hold: commands in, replies and events out.

Two unions, `Command` and `Event`, apart from the wire, and `Api`, which executes the one and tells the other. There
are two implementations, in the peer's process and over its local socket; a front end cannot tell which it has. The
rendezvous server's commands (`ServerCommand`) go over its local socket in the same shape; `status` and `stop` have
one name at both. All of it encodes as JSON (docs/local-api.md).

Text from other people stands here raw: whoever shows it cleans it first (`core.text.clean`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .commands import (
    Accept,
    AddContact,
    Block,
    Cancel,
    Close,
    Command,
    Confirm,
    Connect,
    Contacts,
    Displayed,
    Examine,
    FetchHistory,
    Forget,
    LeaveIt,
    ListPeople,
    MoveCursor,
    Receive,
    Reject,
    RemoveContact,
    Resend,
    SafetyNumber,
    Say,
    Search,
    SetNotifications,
    SetRetention,
    ShowArrivals,
    ShowDoubts,
    ShowLines,
    ShowMessage,
    ShowNotifications,
    ShowQueue,
    ShowRetention,
    ShowUnseen,
    Status,
    Stop,
    Trust,
    Unblock,
    Verify,
    WhoAmI,
    WhoIs,
)
from .events import (
    Answered,
    Asked,
    AskEnded,
    Asking,
    Back,
    Delivered,
    Displaced,
    Doubt,
    Ended,
    Event,
    HistoryFetched,
    Missed,
    NotDelivered,
    Notice,
    Opened,
    PresenceChanged,
    Problem,
    Queued,
    Said,
    Seen,
    ServerChanged,
    Silent,
    Stopping,
    TakenBack,
)
from .rendezvous import (
    JoinLinks,
    RosterRow,
    RosterRows,
    ServerCommand,
    ServerReply,
    ServerReport,
    ShowLinks,
    ShowRoster,
    ShowServer,
    StopServer,
)
from .replies import (
    Accepted,
    Done,
    Doubts,
    Findings,
    Forgotten,
    Lines,
    MessageTimes,
    Myself,
    Notifications,
    PeerStatus,
    People,
    Queue,
    Reply,
    Resent,
    Retention,
    Safety,
    Started,
    Unseen,
)
from .values import (
    DoubtRange,
    Finding,
    KeptChat,
    PendingRequest,
    Person,
    QueuedLine,
    ServerStatus,
    StoredLine,
    UnseenChat,
)

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

__all__ = [
    "Accept",
    "Accepted",
    "AddContact",
    "Answered",
    "Api",
    "AskEnded",
    "Asked",
    "Asking",
    "Back",
    "Block",
    "Cancel",
    "Close",
    "Command",
    "Confirm",
    "Connect",
    "Contacts",
    "Delivered",
    "Displaced",
    "Displayed",
    "Done",
    "Doubt",
    "DoubtRange",
    "Doubts",
    "Ended",
    "Event",
    "Examine",
    "FetchHistory",
    "Finding",
    "Findings",
    "Forget",
    "Forgotten",
    "HistoryFetched",
    "JoinLinks",
    "KeptChat",
    "LeaveIt",
    "Lines",
    "ListPeople",
    "MessageTimes",
    "Missed",
    "MoveCursor",
    "Myself",
    "NotDelivered",
    "Notice",
    "Notifications",
    "Opened",
    "PeerStatus",
    "PendingRequest",
    "People",
    "Person",
    "PresenceChanged",
    "Problem",
    "Queue",
    "Queued",
    "QueuedLine",
    "Receive",
    "Reject",
    "RemoveContact",
    "Reply",
    "Resend",
    "Resent",
    "Retention",
    "RosterRow",
    "RosterRows",
    "Safety",
    "SafetyNumber",
    "Said",
    "Say",
    "Search",
    "Seen",
    "ServerChanged",
    "ServerCommand",
    "ServerReply",
    "ServerReport",
    "ServerStatus",
    "SetNotifications",
    "SetRetention",
    "ShowArrivals",
    "ShowDoubts",
    "ShowLines",
    "ShowLinks",
    "ShowMessage",
    "ShowNotifications",
    "ShowQueue",
    "ShowRetention",
    "ShowRoster",
    "ShowServer",
    "ShowUnseen",
    "Silent",
    "Started",
    "Status",
    "Stop",
    "StopServer",
    "Stopping",
    "StoredLine",
    "Subscription",
    "TakenBack",
    "Trust",
    "Unblock",
    "Unseen",
    "UnseenChat",
    "Verify",
    "WhoAmI",
    "WhoIs",
]


class Subscription(Protocol):
    """What `subscribe` gives back."""

    def cancel(self) -> None:
        """No more events, from now on."""


class Api(Protocol):
    """What a front end holds."""

    def execute(self, command: Command) -> "Deferred[Reply]":
        """
        Do it.

        Fires with the reply that the command names, or fails with UserError: one line for the person, and the exit
        code for a script.
        """

    def subscribe(self, listener: Callable[[Event], None]) -> Subscription:
        """Call `listener` with every event from now on, in order, never from inside `execute` or `subscribe`."""
