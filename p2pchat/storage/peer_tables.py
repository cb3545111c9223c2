"""The peer's tables, by noun: `database.write(lambda tables: tables.contacts.add(...))`."""

import apsw

from p2pchat.core.entries import Kind, judge
from p2pchat.storage.contacts import Consents, Contacts
from p2pchat.storage.conversations import Conversations, Parties, Streams
from p2pchat.storage.entries import Entries
from p2pchat.storage.health import Integrity
from p2pchat.storage.lines import Lines
from p2pchat.storage.remembered import Cursors, Doubts, Retentions
from p2pchat.storage.schema import Schema
from p2pchat.storage.search import Search
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
        self.lines = Lines(connection)
        self.search = Search(connection)
        self.cursors = Cursors(connection)
        self.doubts = Doubts(connection)
        self.retentions = Retentions(connection)
        self.integrity = Integrity(connection)


def index_everything(connection: apsw.Connection) -> None:
    """Put the messages that are there into the full-text index, which is empty."""
    sql = "SELECT entry, bytes FROM entry WHERE kind = ? AND bytes IS NOT NULL"
    stored = connection.execute(sql, (Kind.TEXT.value,))
    Search(connection).add((entry, judge(data).text) for entry, data in stored)


PEER_SCHEMA = Schema("peer", int.from_bytes(b"p2pP"), 2, PeerTables, after={1: index_everything})
"""The database of a peer: storage/peer-2.sql."""
