"""
What `twistd --help` lists: names, descriptions, and where to find the rest.

Strings only, since every twistd on the machine imports this file. There is no `__init__.py` beside or above
it: with one, this directory would hide Twisted's own plugins instead of standing beside them.
"""

from twisted.application.service import ServiceMaker

server = ServiceMaker(
    "p2pchat rendezvous server",
    "p2pchat.tap.server",
    "A chat rendezvous server: introduces peers to each other and reads no message.",
    "p2pchat-server",
)

peer = ServiceMaker(
    "p2pchat peer",
    "p2pchat.tap.peer",
    "A chat peer: talks to other peers directly, for a person, a file or a pipe.",
    "p2pchat-peer",
)
