"""Twisted transports: they move bytes and have no policy of their own."""
