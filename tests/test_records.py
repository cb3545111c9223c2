"""Roster records: made, checked, and refused for every reason there is."""

import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.bodies import RecordBody, encode_body
from p2pchat.core.errors import EndCode, LocalProtocolError, RemoteProtocolError
from p2pchat.core.identity import Domain
from p2pchat.core.messages import MAX_INTEGER, MAX_RECORD, Address, Signed
from p2pchat.core.records import LATEST_TIME, check_record, is_address_text, make_record, next_counter, read_record
from tests.rosters import HOME, SERVER, identity, record_of

ALICE, MALLORY = identity(1), identity(2)
OTHER_SERVER = bytes(32)


def signed(data: bytes) -> Signed:
    """Alice's signature under whatever it is."""
    return Signed(body=data, signature=ALICE.sign(Domain.RECORD, data))


def body(**changes: object) -> RecordBody:
    fields: dict[str, object] = {"key": ALICE.key, "server": SERVER, "handle": "alice", "counter": 7}
    return msgspec.convert({**fields, **changes}, RecordBody)


class RecordTests(SynchronousTestCase):
    def assert_bad(self, record: Signed, server: bytes = SERVER) -> None:
        error = self.assertRaises(RemoteProtocolError, check_record, record, server)
        self.assertIs(error.code, EndCode.BAD_RECORD)

    def test_round_trip(self) -> None:
        """What was signed is what is read, and it is proved to be the signer's."""
        record = make_record(ALICE, SERVER, "alice", "Alice ♥", HOME, 7)
        found = check_record(record, SERVER)
        self.assertEqual(
            (found.key, found.server, found.handle, found.name, found.addresses, found.counter),
            (ALICE.key, SERVER, "alice", "Alice ♥", HOME, 7),
        )
        self.assertEqual(read_record(record, SERVER), found)

    def test_another_server(self) -> None:
        """A record is for one server; there is nothing to compare under another."""
        self.assert_bad(record_of(ALICE, 7, OTHER_SERVER))

    def test_another_key(self) -> None:
        """Nobody can sign for somebody else's key."""
        data = encode_body(body())
        self.assert_bad(Signed(body=data, signature=MALLORY.sign(Domain.RECORD, data)))

    def test_another_domain(self) -> None:
        """A signature that was given for something else is none."""
        data = encode_body(body())
        self.assert_bad(Signed(body=data, signature=ALICE.sign(Domain.SERVER, data)))

    def test_every_bit_counts(self) -> None:
        """A record with one bit changed, in its body or its signature, is refused."""
        good = record_of(ALICE, 7)
        for place in range(0, len(good.body) * 8, 37):
            data = bytearray(good.body)
            data[place // 8] ^= 1 << place % 8
            self.assert_bad(Signed(body=bytes(data), signature=good.signature))
        for place in range(0, 512, 37):
            signature = bytearray(good.signature)
            signature[place // 8] ^= 1 << place % 8
            self.assert_bad(Signed(body=good.body, signature=bytes(signature)))

    def test_unknown_fields_are_skipped(self) -> None:
        """A newer version may say more; the signature covers what we do not understand as well."""
        fields = msgspec.to_builtins(body(), builtin_types=(bytes,)) | {"later": 1}
        self.assertEqual(check_record(signed(msgspec.msgpack.encode(fields)), SERVER).handle, "alice")

    def test_limits(self) -> None:
        """Well signed, and yet not what the schema allows."""
        for changes in (
            {"handle": "Alice"},
            {"handle": "x" * 33},
            {"handle": "alice\n"},
            {"name": "x" * 65},
            {"counter": MAX_INTEGER + 1},
            {"counter": -1},
            {"counter": 1.0},
            {"key": ALICE.key + b"x"},
            {"key": b"x" * 44},
            {"addresses": [{"host": "10.0.0.9", "port": 6666}] * 5},
            {"addresses": [{"host": "10.0.0.9", "port": 0}]},
        ):
            with self.subTest(changes=changes):
                fields = msgspec.to_builtins(body(), builtin_types=(bytes,)) | changes
                self.assert_bad(signed(msgspec.msgpack.encode(fields)))

    def test_R2_only_addresses(self) -> None:
        """A record names IP addresses, written in one way; no name that would be looked up."""
        for host in ("lab1.example", "::ffff:10.0.0.9", "fe80::1%eth0", "10.0.0.09", "2001:DB8::1", "\x1b[2J", "10.1"):
            with self.subTest(host=host):
                self.assert_bad(signed(encode_body(body(addresses=[{"host": host, "port": 6666}]))))
                self.assertFalse(is_address_text(host))
        for host in ("10.0.0.9", "2001:db8::1", "::1", "fe80::1"):
            self.assertTrue(is_address_text(host), host)

    @given(st.binary(min_size=1, max_size=200))
    def test_garbage(self, data: bytes) -> None:
        """Nothing but BAD_RECORD comes of bytes that somebody made up, well signed or not."""
        self.assert_bad(signed(data))
        self.assert_bad(Signed(body=data, signature=bytes(64)))

    def test_our_own_mistakes(self) -> None:
        """What nobody would accept is not even made."""
        for handle, name, host in (("Alice", "", "10.0.0.9"), ("alice", "x" * 65, "::1"), ("alice", "", "lab1")):
            with self.assertRaises(LocalProtocolError):
                make_record(ALICE, SERVER, handle, name, [Address(host=host, port=6666)], 1)

    def test_size(self) -> None:
        """The largest record that can be made is within the limit, and takes the first four addresses."""
        hosts = [Address(host=f"fe80:1111:2222:3333:4444:5555:6666:{number:x}", port=65535) for number in range(1, 9)]
        record = make_record(ALICE, SERVER, "x" * 32, "\U0001f600" * 64, hosts, MAX_INTEGER)
        self.assertLess(len(record.body), MAX_RECORD)
        self.assertEqual(check_record(record, SERVER).addresses, tuple(hosts[:4]))

    @given(st.integers(0, MAX_INTEGER), st.integers(0, MAX_INTEGER))
    def test_counter(self, last: int, server_time: int) -> None:
        """A counter grows, whatever the server's clock shows (F16), and never leaves what the wire can hold."""
        counter = next_counter(last, server_time)
        self.assertTrue(counter > last or last == MAX_INTEGER)
        self.assertGreaterEqual(counter, server_time if server_time <= LATEST_TIME else 0)
        self.assertLessEqual(counter, MAX_INTEGER)

    def test_A1_server_at_the_end_of_time(self) -> None:
        """A server's clock that is no clock uses up no counters."""
        self.assertEqual(next_counter(5, MAX_INTEGER), 6)
