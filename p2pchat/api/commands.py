"""
What a front end or a program asks of a peer.

`who` is a petname, a handle on the roster, an id, or (Connect only) ADDRESS[:PORT].
"""

from .cursors import DropCursor, MoveCursor, Receive, ShowCursors
from .values import Tagged


class ListPeople(Tagged, frozen=True, kw_only=True):
    """Who is on the roster, and who of the contacts and of the chats is not. Reply: People."""


class Contacts(Tagged, frozen=True, kw_only=True):
    """The contacts. Reply: People."""


class WhoAmI(Tagged, frozen=True, kw_only=True):
    """Reply: Myself."""


class WhoIs(Tagged, frozen=True, kw_only=True):
    """Reply: People with one row."""

    who: str


class SafetyNumber(Tagged, frozen=True, kw_only=True):
    """The digits to compare with somebody. Reply: Safety."""

    who: str


class Status(Tagged, frozen=True, kw_only=True):
    """Reply: PeerStatus."""


class Examine(Tagged, frozen=True, kw_only=True):
    """
    Look whether everything is well: servers, clock, ports, whether others reach us, the store. Reply: Findings.

    It takes some seconds: servers are asked to dial back, and the whole database is read.
    """


class Connect(Tagged, frozen=True, kw_only=True):
    """
    Ask somebody to chat, and dial them until they are reached or Close is said.

    Reply: Started. What comes of it is told by events (Asking, Opened, Ended). With an address alone somebody
    yet unknown answers: the event
    Answered tells who, and Confirm goes on.
    """

    who: str
    text: str = ""
    """One line for the person there."""
    contact_only: bool = False
    """Take `who` only for a contact's petname or a whole id, and no stranger's handle."""


class Confirm(Tagged, frozen=True, kw_only=True):
    """Go on with whoever answered at an address (after the event Answered). Reply: Done."""

    who: str


class Say(Tagged, frozen=True, kw_only=True):
    """Send a message. Reply: Accepted, once it is committed to the disk. Refused with UserError if it was not taken."""

    who: str
    text: str


class SayAll(Tagged, frozen=True, kw_only=True):
    """
    Send messages, at most `MOST_SAID`: all of them are taken, in one transaction, or none is. Reply: AllAccepted, once
    they are committed. Otherwise as Say.
    """

    who: str
    texts: tuple[str, ...]


class Accept(Tagged, frozen=True, kw_only=True):
    """Consent to a request. Reply: Started."""

    who: str
    scope: str = "once"
    """"once", "timed", "always"."""
    seconds: int | None = None
    """With "timed"."""


class Reject(Tagged, frozen=True, kw_only=True):
    """Refuse a request. Reply: Done."""

    who: str


class Close(Tagged, frozen=True, kw_only=True):
    """
    End a chat, or stop asking; `once` and `timed` consent end with it. Undelivered messages stay queued. Reply:
    Done.
    """

    who: str


class Verify(Tagged, frozen=True, kw_only=True):
    """Note that the digits were compared, or (verified=False) take it back. Reply: Done."""

    who: str
    verified: bool = True


class Trust(Tagged, frozen=True, kw_only=True):
    """
    Keep somebody as a contact; classical=True lets them come back without post-quantum key agreement. Reply:
    Done.
    """

    who: str
    classical: bool = False


class Block(Tagged, frozen=True, kw_only=True):
    """Refuse somebody from now on, without telling them why. Reply: Done."""

    who: str


class Unblock(Tagged, frozen=True, kw_only=True):
    """Reply: Done."""

    who: str


class AddContact(Tagged, frozen=True, kw_only=True):
    """Keep an id as a contact whose requests are accepted. Reply: People with one row."""

    id: str
    name: str = ""
    """The petname; empty: the handle if known, else the id's first letters."""


class RemoveContact(Tagged, frozen=True, kw_only=True):
    """Keep somebody no longer as a contact; the pin and the history stay. Reply: Done."""

    who: str


class Displayed(Tagged, frozen=True, kw_only=True):
    """Every message of that person up to `entry` was displayed to a person who looks at that chat. Reply: Done."""

    who: str
    entry: int
    """The `entry` of the last Said."""


class ShowLines(Tagged, frozen=True, kw_only=True):
    """
    The last lines of a chat, or those before `before`, around `around` or after `after`. Reply: Lines.

    They come in the order of the chat's history, the same for both sides, which need not be that of arrival.
    """

    who: str
    count: int = 20
    """At most 200."""
    before: int | None = None
    """An `entry`: only what stands before it."""
    around: int | None = None
    """An `entry`: it, and so many lines before and after it."""
    after: int | None = None
    """An `entry`: the first lines after it; 0: from the beginning. `more` then tells of those that follow."""


class ShowArrivals(Tagged, frozen=True, kw_only=True):
    """
    What was said in all chats, one's own lines too, in order of arrival. Reply: Lines.

    Without `after` and `before` the last lines. Those that were deleted here come as well, without their text and in
    the state "deleted": a program that keeps a copy finds its place even where nothing else is left.
    """

    count: int = 100
    """At most 200."""
    after: int | None = None
    """An `entry`: the first lines that arrived after it; 0: from the beginning."""
    before: int | None = None
    """An `entry`: only what arrived before it; the page before."""


class Search(Tagged, frozen=True, kw_only=True):
    """Lines with all of these words, the newest first; a person's words, no query language. Reply: Lines."""

    words: str
    who: str = ""
    """Only the chat with somebody; empty: all chats."""
    count: int = 20
    before: int | None = None
    """An `entry`: the page after it."""


class ShowUnseen(Tagged, frozen=True, kw_only=True):
    """How much others said that neither a person nor a program has seen yet. Reply: Unseen."""

    who: str = ""
    """Only somebody; empty: everybody."""


class ShowMessage(Tagged, frozen=True, kw_only=True):
    """When one of one's own messages was queued, delivered and seen. Reply: MessageTimes."""

    who: str
    number: int


class ShowQueue(Tagged, frozen=True, kw_only=True):
    """What waits for whom. Reply: Queue."""

    who: str = ""
    """Only for somebody; empty: for everybody."""


class Cancel(Tagged, frozen=True, kw_only=True):
    """Take back a message that has not left. Reply: Done; refused with UserError if it may have left."""

    who: str
    number: int


class Resend(Tagged, frozen=True, kw_only=True):
    """After a doubt: send these of one's own messages again, under their old ids. Reply: Resent."""

    who: str
    first: int
    last: int


class ShowDoubts(Tagged, frozen=True, kw_only=True):
    """What may be missing, here or there, and waits for Resend, FetchHistory or LeaveIt. Reply: Doubts."""


class LeaveIt(Tagged, frozen=True, kw_only=True):
    """After a doubt: do not mention it any more. Reply: Done."""

    who: str


class FetchHistory(Tagged, frozen=True, kw_only=True):
    """Ask somebody for the older messages that this store does not have. Reply: Done; they come as Said."""

    who: str


class Forget(Tagged, frozen=True, kw_only=True):
    """Delete what was said with somebody, here; ids stay, so that nothing comes back. Reply: Forgotten."""

    who: str


class SetRetention(Tagged, frozen=True, kw_only=True):
    """Delete what is older than so many days, from now on; None keeps everything. Reply: Done."""

    days: int | None
    who: str = ""
    """Only the chat with somebody; empty: all chats without a setting of their own."""


class ShowRetention(Tagged, frozen=True, kw_only=True):
    """For how long what is said is kept. Reply: Retention."""


class ShowNotifications(Tagged, frozen=True, kw_only=True):
    """When and how the person is told of what they do not look at. Reply: Notifications."""


class SetNotifications(Tagged, frozen=True, kw_only=True):
    """Change that; what is None stays as it is. It outlasts a restart. Reply: Notifications."""

    dnd: bool | None = None
    """Do not disturb: tell nothing from now on."""
    seconds: int | None = None
    """With dnd=True: for how long."""
    quiet: str | None = None
    """Hours of every day in which nothing is told, such as 22:00-7:00; empty: none."""
    who: str = ""
    told: bool | None = None
    """With `who`: whether anything of them is told."""
    terminal: str | None = None
    """How terminals tell it: "auto", "bell", "osc9", "osc777", "off"."""
    desktop: bool | None = None
    """Whether notify-send is run."""
    text: bool | None = None
    """Whether notices show what was said."""
    hook: str | None = None
    """A program to run for each event, by its whole path; empty: none."""


class Ping(Tagged, frozen=True, kw_only=True):
    """
    How long an answer over the open link takes. Reply: RoundTrips. Refused with UserError where there is no link, or
    no answer within 5 s.
    """

    who: str = ""
    """Also a server's host, or "server"; empty: all servers."""


class Reconnect(Tagged, frozen=True, kw_only=True):
    """
    Dial now instead of waiting. Reply: Reconnecting. What waits for delivery stays.

    It is done for one person or server at most once in 10 s: dialling stays within its rates.
    """

    who: str = ""
    """
    Somebody with whom a chat is wanted, or a server ("server", its host): a link with them is dropped. Empty: servers
    that are lost or silent, and everybody who is being sought.
    """


class Stop(Tagged, frozen=True, kw_only=True):
    """End the process in order. Reply: Done."""


Command = (
    ListPeople
    | Contacts
    | WhoAmI
    | WhoIs
    | SafetyNumber
    | Status
    | Examine
    | Connect
    | Confirm
    | Say
    | SayAll
    | Accept
    | Reject
    | Close
    | Verify
    | Trust
    | Block
    | Unblock
    | AddContact
    | RemoveContact
    | Displayed
    | ShowLines
    | ShowArrivals
    | Search
    | ShowUnseen
    | ShowMessage
    | ShowQueue
    | Cancel
    | Resend
    | ShowDoubts
    | LeaveIt
    | FetchHistory
    | Forget
    | SetRetention
    | ShowRetention
    | Receive
    | MoveCursor
    | ShowCursors
    | DropCursor
    | ShowNotifications
    | SetNotifications
    | Ping
    | Reconnect
    | Stop
)
