"""
TLS by hand over a bare connection, for tests: every byte that leaves is known, and after the handshake any record can
be made, also those that no library sends: empty ones, KeyUpdate by the thousand (RFC 8446, sections 4.6.3, 5.2, 7).
"""

from __future__ import annotations

import struct
from contextlib import suppress

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL
from OpenSSL._util import lib

from .hostile import Attack, Caller

HANDSHAKE, DATA = 22, 23
"""Content types."""

KEY_UPDATE = bytes([24, 0, 0, 1, 1])
"""A KeyUpdate that asks for one in return."""


class OwnTLS:
    """
    The client's end of one TLS connection over `caller`.

    The lowest bit of the byte number `flip` is flipped on the way; `offer` is a session to resume.
    """

    def __init__(
        self, caller: Caller, context: SSL.Context, flip: int | None = None, offer: SSL.Session | None = None
    ) -> None:
        self.caller = caller
        self._flip = flip
        self.sent = b""
        """Everything that left."""
        self._secret = b""
        self._sequence = 0
        if context.get_app_data() is None:
            # A context that made a connection can be changed no more.
            context.set_app_data(self)
            context.set_keylog_callback(self._note_secret)
            context.set_tls13_ciphersuites(b"TLS_AES_256_GCM_SHA384")
        self._connection = SSL.Connection(context)
        self._connection.set_connect_state()
        if offer is not None:
            self._connection.set_session(offer)

    async def session(self, test: Attack) -> SSL.Session:
        """The session that the other side's ticket names."""
        await test.until(lambda: bool(self.caller.received), "a ticket")
        self._connection.bio_write(self.caller.received)
        with suppress(SSL.WantReadError):
            self._connection.recv(2**16)
        session = self._connection.get_session()
        assert session is not None
        return session

    @property
    def resumed(self) -> bool:
        """Whether the handshake was a short one."""
        return bool(lib.SSL_session_reused(self._connection._ssl))

    async def shake_hands(self, test: Attack) -> bool:
        """Complete the handshake; false if it was refused."""
        while True:
            try:
                self._connection.do_handshake()
                done = True
            except SSL.WantReadError:
                done = False
            except SSL.Error:
                return False
            self._flush()
            if done:
                return True
            await test.until(lambda: bool(self.caller.received) or self.caller.lost is not None, "an answer")
            if self.caller.lost is not None:
                return False
            data, self.caller.received = self.caller.received, b""
            self._connection.bio_write(data)

    def record(self, content: int, data: bytes) -> bytes:
        """One record of a content type, encrypted; from the first one on OpenSSL must send nothing more."""
        plain = data + bytes([content])
        header = struct.pack(">BHH", DATA, 0x0303, len(plain) + 16)
        nonce = int.from_bytes(self._expand(b"iv", 12), "big") ^ self._sequence
        self._sequence += 1
        return header + AESGCM(self._expand(b"key", 32)).encrypt(nonce.to_bytes(12, "big"), plain, header)

    def key_update(self) -> bytes:
        """A KeyUpdate; what follows is encrypted with the next key."""
        record = self.record(HANDSHAKE, KEY_UPDATE)
        self._secret, self._sequence = self._expand(b"traffic upd", 48), 0
        return record

    def say(self, data: bytes) -> None:
        """Send raw bytes."""
        place = -1 if self._flip is None else self._flip - len(self.sent)
        self.sent += data
        if 0 <= place < len(data):
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        self.caller.say(data)

    def _expand(self, label: bytes, size: int) -> bytes:
        full = b"tls13 " + label
        info = struct.pack(">HB", size, len(full)) + full + b"\0"
        return HKDFExpand(SHA384(), size, info).derive(self._secret)

    def _note_secret(self, connection: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.split()
        if label == b"CLIENT_TRAFFIC_SECRET_0":
            self._secret = bytes.fromhex(secret.decode())

    def _flush(self) -> None:
        with suppress(SSL.WantReadError):
            while True:
                self.say(self._connection.bio_read(2**16))
