-- From version 1 to 2: sending again, doubts, cursors, retention, and the full-text index, which is filled in
-- storage/peer_tables.py. What each is for stands in peer-2.sql.

CREATE TABLE hole (
    stream INTEGER NOT NULL REFERENCES stream,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32), -- head(seq)
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE doubt (
    conversation INTEGER NOT NULL REFERENCES conversation,
    mine INTEGER NOT NULL CHECK (mine IN (0, 1)), -- 1: ours may be missing there; 0: theirs may be missing here
    first INTEGER NOT NULL,                       -- the author's numbers
    last INTEGER NOT NULL,
    at INTEGER NOT NULL,                          -- when it was noticed
    PRIMARY KEY (conversation, mine, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (
    name TEXT NOT NULL,
    conversation INTEGER NOT NULL, -- only of this conversation; 0: of all
    entry INTEGER NOT NULL,        -- everything up to here is done with
    PRIMARY KEY (name, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE retention (
    conversation INTEGER PRIMARY KEY, -- 0: all that have no row of their own
    days INTEGER                      -- since it arrived here; NULL: for ever
) STRICT;

CREATE VIRTUAL TABLE search USING fts5(
    text,
    content = '',
    columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* M* Co So'"
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
