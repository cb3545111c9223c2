-- The database of a peer, version 2.
--
-- peer ids, server ids and heads are SHA-256 (32 bytes); *_at and until are wall-clock milliseconds since 1970, for
-- showing, never for deciding an order. Rows of entry are never deleted, only their bytes: their ids must be known
-- for ever, or what was deleted would come back.

-- Single values: 'store' (random 16 bytes, the id of this database), 'key' (the identity's SPKI, so that a lost
-- key file is noticed), 'handle' and whatever else there is one of.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Everybody whom the person added or met.
CREATE TABLE contact (
    contact INTEGER PRIMARY KEY,
    peer BLOB NOT NULL UNIQUE CHECK (length(peer) = 32), -- peer id: SHA-256 of the SubjectPublicKeyInfo
    key BLOB,                                            -- the SubjectPublicKeyInfo, once seen
    petname TEXT NOT NULL UNIQUE COLLATE NOCASE,         -- our own name for them; of two equal ones one gets -2
    added_at INTEGER NOT NULL,
    consent TEXT NOT NULL CHECK (consent IN ('ask', 'always')),
    verified_at INTEGER,                                 -- when the safety numbers were compared
    blocked_at INTEGER,                                  -- when the person blocked them
    hybrid_at INTEGER,                                   -- when the hybrid key agreement was first seen
    classical INTEGER NOT NULL CHECK (classical IN (0, 1)),   -- 1: the person allowed to go back from the hybrid
    tells_seen INTEGER NOT NULL CHECK (tells_seen IN (0, 1)), -- 1: we tell them what was seen
    listed INTEGER NOT NULL CHECK (listed IN (0, 1))          -- 1: the person added them; 0: only met
) STRICT;

-- Consent to chat that stands for a while.
CREATE TABLE consent (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    scope TEXT NOT NULL CHECK (scope IN ('once', 'timed')), -- once: until /close or 24 h
    until INTEGER NOT NULL                                  -- over from then on
) STRICT;

-- Rendezvous servers that were joined.
CREATE TABLE server (
    server INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 32), -- SHA-256 of the server's Ed25519 SubjectPublicKeyInfo
    key BLOB,                                        -- that SubjectPublicKeyInfo, once seen
    host TEXT NOT NULL,                              -- name or address, as typed or in the join link
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    trust TEXT NOT NULL CHECK (trust IN ('pinned', 'certified')), -- how it is checked; never downgraded
    handle TEXT NOT NULL,                            -- what we are called there
    counter INTEGER NOT NULL,                        -- counter of our last record there; 0: none yet
    joined_at INTEGER NOT NULL
) STRICT;

-- The newest roster record that was seen of a peer at a server: new chats start from these while it is down.
CREATE TABLE record (
    peer BLOB NOT NULL CHECK (length(peer) = 32),
    server BLOB NOT NULL CHECK (length(server) = 32), -- server id; records compare only under the same one
    body BLOB NOT NULL,                               -- the record as received
    signature BLOB NOT NULL,                          -- over the domain prefix and body
    counter INTEGER NOT NULL,                         -- from the body; a higher one is newer
    observed TEXT,                                    -- address that the server saw the peer at: a hint
    observed_port INTEGER,
    received_at INTEGER NOT NULL,                     -- when it was last told; its lifetime counts from here
    PRIMARY KEY (peer, server)
) STRICT, WITHOUT ROWID;

-- Peer ids as small integers: every author and reader of a stream, ourselves included.
CREATE TABLE party (
    party INTEGER PRIMARY KEY,
    peer BLOB NOT NULL UNIQUE CHECK (length(peer) = 32)
) STRICT;

CREATE TABLE conversation (
    conversation INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 32), -- as on the wire
    contact INTEGER REFERENCES contact,              -- of a chat of two; NULL for a room
    number INTEGER NOT NULL,                         -- of our last entry there (alice#13); 0: none yet
    lamport INTEGER NOT NULL,                        -- our Lamport clock there
    open INTEGER NOT NULL CHECK (open IN (0, 1))     -- 1: is to be dialled again after a restart
) STRICT;
CREATE INDEX conversation_contact ON conversation (contact);

-- What one author writes in one conversation. After a doubt an author goes on in a new stream.
CREATE TABLE stream (
    stream INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation,
    author INTEGER NOT NULL REFERENCES party,
    name BLOB NOT NULL UNIQUE CHECK (length(name) = 80), -- conversation id || author's peer id || random 128 bits
    first INTEGER NOT NULL,                              -- seq of the first entry that is here
    base BLOB NOT NULL CHECK (length(base) = 32),        -- head(first - 1)
    seq INTEGER NOT NULL,                                -- of the last entry; first - 1: none yet
    head BLOB NOT NULL CHECK (length(head) = 32),        -- head(seq)
    state TEXT NOT NULL CHECK (state IN ('current', 'closed')) -- closed: neither reported nor compared again
) STRICT;
CREATE INDEX stream_conversation ON stream (conversation);

-- Entries: what was said, and what else belongs into the log.
CREATE TABLE entry (
    entry INTEGER PRIMARY KEY,                    -- order of arrival over all conversations
    conversation INTEGER NOT NULL REFERENCES conversation, -- the stream's
    stream INTEGER NOT NULL REFERENCES stream,    -- changes when its author moves it to a new stream
    seq INTEGER NOT NULL,                         -- place in the stream
    head BLOB NOT NULL CHECK (length(head) = 32), -- head(seq)
    author INTEGER NOT NULL REFERENCES party,     -- the stream's
    id BLOB NOT NULL CHECK (length(id) = 16),     -- random, from its author
    number INTEGER NOT NULL,                      -- its author's running count in the conversation
    lamport INTEGER NOT NULL,
    written_at INTEGER NOT NULL,                  -- by its author's clock
    arrived_at INTEGER NOT NULL,                  -- by ours; when it was typed, for our own
    kind TEXT NOT NULL,                           -- text, reset, void, ... ; unknown ones are kept too
    auth TEXT NOT NULL,                           -- link, signed or sealed
    history INTEGER NOT NULL CHECK (history IN (0, 1)), -- 1: sent again on request, never new to a program
    bytes BLOB,                                   -- as its author encoded it; NULL: deleted here
    UNIQUE (stream, seq),
    UNIQUE (author, id)
) STRICT;
-- Each of these also ends with the entry itself.
CREATE INDEX entry_arrival ON entry (conversation);                -- a screen: the last ones that came
CREATE INDEX entry_history ON entry (conversation, lamport);       -- history: the same order for everyone
CREATE INDEX entry_number ON entry (conversation, author, number); -- /seen 13

-- How far each reader is in a stream. For streams of others there is one row, of ourselves.
CREATE TABLE vector (
    stream INTEGER NOT NULL REFERENCES stream,
    reader INTEGER NOT NULL REFERENCES party,
    store BLOB CHECK (length(store) = 16), -- the reader's store id that the rest is true of; NULL: never heard
    first INTEGER NOT NULL,                -- seq that the reader's copy begins with
    seq INTEGER NOT NULL,                  -- delivered up to here; 0: nothing
    head BLOB CHECK (length(head) = 32),   -- head(seq) as the reader confirmed it; NULL: nothing confirmed
    sent INTEGER NOT NULL,                 -- sent up to here, committed before the bytes leave
    seen INTEGER NOT NULL,                 -- seen up to here
    PRIMARY KEY (stream, reader)
) STRICT, WITHOUT ROWID;

-- When a vector moved: everything up to seq that no earlier row covers was delivered (seen) at that time.
CREATE TABLE progress (
    stream INTEGER NOT NULL REFERENCES stream,
    reader INTEGER NOT NULL REFERENCES party,
    kind TEXT NOT NULL CHECK (kind IN ('delivered', 'seen')),
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (stream, reader, kind, seq)
) STRICT, WITHOUT ROWID;

-- Entries that a reader could not take: ours by others, and those of others by us.
CREATE TABLE refusal (
    stream INTEGER NOT NULL REFERENCES stream,
    reader INTEGER NOT NULL REFERENCES party,
    seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    told INTEGER NOT NULL CHECK (told IN (0, 1)), -- 1: the author has processed it
    PRIMARY KEY (stream, reader, seq)
) STRICT, WITHOUT ROWID;

-- Where an entry of ours stood before it was moved to the end of a stream, to be sent again after a doubt.
CREATE TABLE hole (
    stream INTEGER NOT NULL REFERENCES stream,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32), -- head(seq)
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

-- What a reader may lack since a database was lost, until the person sends it again, fetches it, or leaves it.
CREATE TABLE doubt (
    conversation INTEGER NOT NULL REFERENCES conversation,
    mine INTEGER NOT NULL CHECK (mine IN (0, 1)), -- 1: ours may be missing there; 0: theirs may be missing here
    first INTEGER NOT NULL,                       -- the author's numbers
    last INTEGER NOT NULL,
    at INTEGER NOT NULL,                          -- when it was noticed
    PRIMARY KEY (conversation, mine, first)
) STRICT, WITHOUT ROWID;

-- Up to where programs have dealt with what others said, by names of their own choice.
CREATE TABLE cursor (
    name TEXT NOT NULL,
    conversation INTEGER NOT NULL, -- only of this conversation; 0: of all
    entry INTEGER NOT NULL,        -- everything up to here is done with
    PRIMARY KEY (name, conversation)
) STRICT, WITHOUT ROWID;

-- For how many days what was said is kept; a conversation without a row is kept as the row of 0 says.
CREATE TABLE retention (
    conversation INTEGER PRIMARY KEY, -- 0: all that have no row of their own
    days INTEGER                      -- since it arrived here; NULL: for ever
) STRICT;

-- The full-text index of all messages; rowid is entry.entry. It holds no text, so what is taken out must be given
-- again, in the form that core/search.py makes of it. Marks and symbols belong to words: there are scripts whose
-- vowels are marks. secure-delete: what is taken out leaves nothing behind.
CREATE VIRTUAL TABLE search USING fts5(
    text,
    content = '',
    columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* M* Co So'"
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
