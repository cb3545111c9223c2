"""
Words that other chat programs have as commands and this one has not, and what does here what their user wants.

Whoever types one is told so in a line; nothing is sent to anybody. A word that becomes a command of the table leaves
this one.
"""

from collections.abc import Mapping

_NO_ROOMS = "chats are between two people: /connect NAME"
_NO_FILES = "files are not sent; the lines of a text go from a shell: p2pchat send NAME - < FILE"
_SHELL = "a server is joined from a shell: p2pchat join LINK"

INSTEAD: Mapping[str, str] = {
    "ack": "/seen N says when your message N was delivered and seen",
    "add": "/contacts add ID NAME keeps somebody",
    "afk": "/dnd on, or /dnd 2h: nothing is told; others see whether your peer is online, and no more",
    "away": "/dnd on, or /dnd 2h: nothing is told; others see whether your peer is online, and no more",
    "back": "/dnd off",
    "ban": "/block NAME",
    "color": "colours are off where NO_COLOR=1 is set, and with --plain",
    "delete": "/cancel N takes back your message N if it has not left, /forget NAME deletes a chat here",
    "edit": "/cancel N takes back your message N if it has not left; then write another",
    "file": _NO_FILES,
    "get": _NO_FILES,
    "group": _NO_ROOMS,
    "info": "/whois NAME",
    "invite": f"{_NO_ROOMS}; who shall find you joins the same server, or uses the id of /whoami",
    "join": f"{_SHELL}; {_NO_ROOMS}",
    "kick": _NO_ROOMS,
    "log": "/export FILE writes a chat to a file, and --transcript FILE all of them as they go on",
    "me": "write it as a message, such as: *waves*",
    "members": _NO_ROOMS,
    "mute": "/notify NAME none",
    "nick": "/contacts add ID NAME is what you call somebody; what others call you: p2pchat join LINK --name NAME, "
    "or --name NAME when your peer starts",
    "pair": "/connect NAME, and then /verify NAME to compare digits",
    "part": "/close NAME",
    "register": f"your key is your account, there is nothing to register; {_SHELL}",
    "rooms": _NO_ROOMS,
    "save": "/export FILE writes a chat to a file; all is stored in any case",
    "send": f"/msg NAME TEXT; {_NO_FILES}",
    "sendfile": _NO_FILES,
    "server": f"/status shows the servers; {_SHELL}",
    "set": "what can be set has a command of its own: /notify, /dnd, /retention, /contacts, /trust; from a shell: "
    "p2pchat accept",
    "share": _NO_FILES,
    "silence": "/notify NAME none",
    "topic": _NO_ROOMS,
    "transfers": _NO_FILES,
    "unmute": "/notify NAME all",
    "unverify": "/verify NAME no",
}
"""The word without its slash, and one line."""
