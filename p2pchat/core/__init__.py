"""
The pure heart of p2pchat: it decides, and touches nothing.

No Twisted, no sockets, no clock, no files, and no randomness that is not passed in. Bytes and `now` come
in as arguments; bytes, events and the time of the next timer go out as results. That is what lets a test
run a hundred peers over a lossy network in one process, from one seed.
"""
