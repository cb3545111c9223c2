"""
What must outlive the process: state directory, lock, atomic files, SQLite.

    directory        the state directory and the lock on it; mounts: whether it is on a network file system
    files            keys and certificates, absent or whole
    database         write and read with Deferreds; offline: the same at once, for commands while no daemon runs
      workers        group commit, and when a database counts as failed
      executor       the threads, or none (tests, simulation)
      schema         making, checking and upgrading a database; peer-2.sql, server-2.sql
      failures       what SQLite's errors mean to a person
    crash            where a test may kill the process
    peer_tables      contacts, servers, conversations, entries, vectors, settings: one module a noun
    server_tables    handles, bans, invitations

Tables store and load, and decide nothing. Times in rows are wall-clock milliseconds, ids and heads are bytes.
"""
