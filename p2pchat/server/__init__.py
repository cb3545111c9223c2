"""The rendezvous daemon: who is online, under which key, at which address."""
