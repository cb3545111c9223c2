"""
The promise, tried: the real peers and the real store under a simulated network, disk and clock, all from one seed.

    python -m tests.simulation --seeds 300              runs seeds 0 to 299
    python -m tests.simulation --seeds 300 --from 5000  runs seeds 5000 to 5299
    python -m tests.simulation --seed 17 --story        tells what happens in seed 17

What is real: `peer.Peer` with its pursuits, links, selection, chats, outbox and inbox, `net.connection.Connection`,
`core.session` with its frames, `core.delivery`, `storage` and SQLite. What is simulated: TCP and TLS (`network`), the
files below SQLite (`disk`), machines, power and clocks (`machine`), people (`world`). What may happen stands in
`plot`, what must hold in `oracle`; `shrink` makes a story short.
"""
