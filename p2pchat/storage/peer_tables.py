"""The peer's tables, by noun: `database.write(lambda tables: tables.contacts.add(...))`."""

import apsw

from p2pchat.storage.contacts import Consents, Contacts
from p2pchat.storage.conversations import Conversations, Parties, Streams
from p2pchat.storage.entries import Entries
from p2pchat.storage.schema import Schema
from p2pchat.storage.servers import Records, Servers
from p2pchat.storage.settings import Settings
from p2pchat.storage.vectors import Progress, Refusals, Vectors


class PeerTables:
    """
    Typed, synchronous access to a peer's database over one connection.

    To be used only inside an operation of `Database.write` or `read`, on whose thread and in whose transaction it
    runs; what is returned are values, and may be kept.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        parties = Parties(connection)
        self.settings = Settings(connection)
        self.contacts = Contacts(connection)
        self.consents = Consents(connection)
        self.servers = Servers(connection)
        self.records = Records(connection)
        self.conversations = Conversations(connection)
        self.streams = Streams(connection, parties)
        self.entries = Entries(connection)
        self.vectors = Vectors(connection, parties)
        self.progress = Progress(connection, parties)
        self.refusals = Refusals(connection, parties)


PEER_SCHEMA = Schema("peer", int.from_bytes(b"p2pP"), 1, PeerTables)
"""The database of a peer: storage/peer-1.sql."""
