"""Which addresses that others supplied may be dialled (docs/protocol.md, section 11)."""

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.addresses import (
    MAX_CANDIDATES,
    candidates,
    is_loopback,
    is_private,
    may_dial,
    parse,
    unmap,
    written,
)
from p2pchat.core.messages import Address

NEVER = [
    *("0.0.0.0", "::", "::ffff:0.0.0.0"),
    *("224.0.0.1", "239.255.255.250", "::ffff:224.0.0.251", "ff02::1", "ff0e::1", "ff02::1%eth0"),
    *("169.254.0.1", "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1"),
    *("255.255.255.255", "::ffff:255.255.255.255"),
]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::1%lo"]
ALWAYS = [
    *("192.0.2.7", "10.0.0.5", "172.31.255.254", "192.168.1.1", "100.64.0.1", "8.8.8.8", "::ffff:10.0.0.5"),
    *("2001:db8::7", "fd00::1", "2606:4700::1111"),
]


def at(host: str, port: int = 6666) -> Address:
    """An address with a usual port."""
    return Address(host=host, port=port)


class MayDialTests(SynchronousTestCase):
    def test_R5_never(self) -> None:
        """Unspecified, multicast, link-local and broadcast addresses are never dialled, in whatever form."""
        for host in NEVER:
            for loopback in (False, True):
                self.assertFalse(may_dial(at(host), loopback=loopback), host)

    def test_R5_loopback_only_from_a_loopback_server(self) -> None:
        """Loopback is dialled only if our own link to the server is a loopback one."""
        for host in LOOPBACK:
            self.assertFalse(may_dial(at(host), loopback=False), host)
            self.assertTrue(may_dial(at(host), loopback=True), host)

    def test_private_and_public(self) -> None:
        """Private addresses are what labs have; public ones are dialled as well."""
        for host in ALWAYS:
            self.assertTrue(may_dial(at(host), loopback=False), host)

    def test_R5_ports_below_1024(self) -> None:
        """Ports of services are not knocked at."""
        for port in (1, 22, 25, 80, 443, 1023):
            self.assertFalse(may_dial(at("192.0.2.7", port), loopback=True), port)
        for port in (1024, 6666, 65535):
            self.assertTrue(may_dial(at("192.0.2.7", port), loopback=False), port)

    def test_names_are_no_addresses(self) -> None:
        """A name, or a number that only some libraries read as an address, is never looked up."""
        for host in (
            "localhost",
            "lab1.example",
            "127.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "127.0.0.01",
            "",
        ):
            self.assertFalse(may_dial(at(host), loopback=True), host)
            self.assertIsNone(parse(host))


class FormTests(SynchronousTestCase):
    def test_unmap(self) -> None:
        """An IPv4-mapped address is the IPv4 address; others are written as RFC 5952 says; names stay."""
        for host, plain in {
            "::ffff:192.0.2.7": "192.0.2.7",
            "::FFFF:C000:0207": "192.0.2.7",
            "192.0.2.7": "192.0.2.7",
            "2001:DB8:0:0:0:0:0:7": "2001:db8::7",
            "fe80::1%eth0": "fe80::1",
            "lab1": "lab1",
        }.items():
            self.assertEqual(unmap(host), plain)

    def test_is_loopback(self) -> None:
        """All of 127/8, ::1, and mapped ones."""
        for host in LOOPBACK:
            self.assertTrue(is_loopback(host), host)
        for host in (*ALWAYS, *NEVER, "localhost"):
            self.assertFalse(is_loopback(host), host)

    def test_is_private(self) -> None:
        """Private networks, loopback and link-local; not the rest of the world, nor a name."""
        for host in (*LOOPBACK, "10.0.0.5", "172.16.0.1", "192.168.1.1", "169.254.0.1", "fe80::1", "fd00::1"):
            self.assertTrue(is_private(host), host)
        self.assertTrue(is_private("::ffff:10.0.0.5"))
        for host in ("8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "localhost", ""):
            self.assertFalse(is_private(host), host)

    def test_written(self) -> None:
        """IPv6 stands in brackets."""
        self.assertEqual(written(at("192.0.2.7")), "192.0.2.7:6666")
        self.assertEqual(written(at("2001:db8::7", 7)), "[2001:db8::7]:7")


class CandidateTests(SynchronousTestCase):
    def test_signed_before_observed(self) -> None:
        """The signed addresses come first, in their order, then the observation with the port that was signed."""
        signed = [at("192.0.2.7", 7001), at("2001:db8::7", 7002)]
        self.assertEqual(
            candidates(signed, at("198.51.100.1", 7777), loopback=False), [*signed, at("198.51.100.1", 7001)]
        )

    def test_observed_alone_has_no_port(self) -> None:
        """Without a signed port nobody knows where to dial."""
        self.assertEqual(candidates([], at("198.51.100.1", 7777), loopback=False), [])

    def test_R2_at_most_four(self) -> None:
        """However many addresses are given, at most four are tried."""
        signed = [at(f"192.0.2.{number}") for number in range(1, 10)]
        self.assertEqual(candidates(signed, at("198.51.100.1"), loopback=False), signed[:MAX_CANDIDATES])
        self.assertEqual(MAX_CANDIDATES, 4)

    def test_each_once(self) -> None:
        """The same address in another form is the same address."""
        signed = [at("::ffff:192.0.2.7"), at("192.0.2.7"), at("2001:DB8::7"), at("2001:db8:0::7")]
        self.assertEqual(
            candidates(signed, at("192.0.2.7", 7777), loopback=False), [at("192.0.2.7"), at("2001:db8::7")]
        )

    def test_own_addresses_are_left_out(self) -> None:
        """Where we listen ourselves nobody else answers, however that address is written."""
        own = [at("::ffff:192.0.2.7"), at("2001:DB8::7")]
        signed = [at("192.0.2.7"), at("2001:db8::7"), at("192.0.2.7", 6667)]
        self.assertEqual(candidates(signed, None, loopback=False, own=own), [at("192.0.2.7", 6667)])

    def test_R5_bad_ones_are_left_out(self) -> None:
        """A record full of what may not be dialled gives nothing."""
        for host in (*NEVER, *LOOPBACK):
            self.assertEqual(candidates([at(host)], at(host), loopback=False), [], host)
        self.assertEqual(candidates([at("192.0.2.7", 22)], at("192.0.2.8", 22), loopback=False), [])

    def test_loopback_first_on_one_host(self) -> None:
        """Peers of one host reach each other by loopback first."""
        signed = [at("192.0.2.7"), at("127.0.0.1")]
        self.assertEqual(candidates(signed, at("::1"), loopback=True), [at("127.0.0.1"), at("::1"), at("192.0.2.7")])

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.builds(Address, host=st.ip_addresses().map(str), port=st.integers(1, 65535)), max_size=8),
        st.none() | st.builds(Address, host=st.ip_addresses().map(str), port=st.integers(1, 65535)),
        st.booleans(),
    )
    def test_R2_whatever_is_supplied(self, signed: list[Address], observed: Address | None, loopback: bool) -> None:
        """What comes out may be dialled, stands once, was supplied, and is no more than four."""
        found = candidates(signed, observed, loopback=loopback)
        hosts = {unmap(address.host) for address in (*signed, *([observed] if observed else []))}
        self.assertLessEqual(len(found), MAX_CANDIDATES)
        self.assertEqual(len(set(found)), len(found))
        for address in found:
            self.assertTrue(may_dial(address, loopback=loopback))
            self.assertIn(address.host, hosts)
            self.assertIn(address.port, {each.port for each in signed})
