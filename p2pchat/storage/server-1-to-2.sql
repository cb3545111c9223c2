-- From version 1 to 2: handles are held by the server's own running time. What each is for stands in server-2.sql.

CREATE TABLE tenure (
    handle TEXT PRIMARY KEY REFERENCES handle ON DELETE CASCADE,
    seen INTEGER NOT NULL,
    held INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The running time begins now, and with it 90 days for everybody. How long they were here is not known: at most the
-- time between the first and the last time.
INSERT INTO tenure SELECT handle, 0, max(0, min(seen_at - claimed_at, 90 * 24 * 3600 * 1000)) FROM handle;
