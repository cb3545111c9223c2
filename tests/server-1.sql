-- The database of a rendezvous server, version 1. Who is online is not in here: that is told again after a restart.
--
-- *_at and until are wall-clock milliseconds since 1970.

-- Names, and the keys that own them until 90 days after they were last seen.
CREATE TABLE handle (
    handle TEXT PRIMARY KEY,                           -- [a-z0-9._-]{1,32}
    peer BLOB NOT NULL CHECK (length(peer) = 32),      -- peer id of the owner
    claimed_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL                           -- when the owner was last registered under it
) STRICT, WITHOUT ROWID;
CREATE INDEX handle_peer ON handle (peer);

-- Who is not admitted.
CREATE TABLE ban (
    kind TEXT NOT NULL CHECK (kind IN ('peer', 'network')),
    subject TEXT NOT NULL,                             -- peer id in hexadecimal; address or network in CIDR form
    reason TEXT NOT NULL,                              -- for the operator
    banned_at INTEGER NOT NULL,
    until INTEGER,                                     -- over from then on; NULL: for good
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

-- Invitations that admit from outside the private networks.
CREATE TABLE invitation (
    token BLOB PRIMARY KEY CHECK (length(token) = 32), -- SHA-256 of the invitation's secret
    note TEXT NOT NULL,                                -- for the operator: whom it is for
    uses INTEGER NOT NULL CHECK (uses >= 0),           -- how many may still come in with it
    made_at INTEGER NOT NULL,
    until INTEGER NOT NULL                             -- over from then on
) STRICT, WITHOUT ROWID;

-- Peers that came in with an invitation; they need none the next time.
CREATE TABLE guest (
    peer BLOB PRIMARY KEY CHECK (length(peer) = 32),
    token BLOB NOT NULL,                               -- the invitation, which may be gone
    admitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Single values.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
