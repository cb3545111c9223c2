"""What a server may dial that was asked to dial a peer back, and what its answer means (protocol.md, section 7)."""

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.bodies import RecordBody
from p2pchat.core.messages import Address
from p2pchat.core.reach import Outcome, door, outcome_of
from tests.rosters import SERVER, identity


def record(*addresses: tuple[str, int]) -> RecordBody:
    """A peer's record with these addresses."""
    signed = tuple(Address(host=host, port=port) for host, port in addresses)
    return RecordBody(key=identity(0).key, server=SERVER, handle="alice", addresses=signed, counter=1)


class DoorTests(SynchronousTestCase):
    def dialled(self, observed: str, *signed: tuple[str, int]) -> str:
        found = door(Address(host=observed, port=7777), record(*signed))
        return "" if found is None else f"{found.host} {found.port}"

    def test_address_that_the_server_sees(self) -> None:
        """The address is where the peer comes from, whatever it signed; the port is the first that it signed."""
        self.assertEqual(self.dialled("10.0.0.5", ("10.0.0.200", 6666), ("10.0.0.201", 9999)), "10.0.0.5 6666")
        self.assertEqual(self.dialled("2001:db8::5", ("10.0.0.200", 6667)), "2001:db8::5 6667")
        self.assertEqual(self.dialled("::ffff:10.0.0.5", ("10.0.0.200", 6667)), "10.0.0.5 6667")

    def test_ports_of_services(self) -> None:
        """No port below 1024: they belong to services that nobody may make the server knock at."""
        for port in (1, 22, 25, 443, 1023):
            self.assertEqual(self.dialled("10.0.0.5", ("10.0.0.5", port)), "")
        self.assertEqual(self.dialled("10.0.0.5", ("10.0.0.5", 1024)), "10.0.0.5 1024")

    def test_no_address(self) -> None:
        """Who signed no address listens nowhere."""
        self.assertEqual(self.dialled("10.0.0.5"), "")

    def test_loopback(self) -> None:
        """Loopback is dialled only for those who come from there, which are on the server's own machine."""
        self.assertEqual(self.dialled("127.0.0.1", ("10.0.0.5", 6666)), "127.0.0.1 6666")
        self.assertEqual(self.dialled("10.0.0.5", ("127.0.0.1", 6666)), "10.0.0.5 6666")

    def test_never(self) -> None:
        """What is no address of one machine on the network is not dialled."""
        for host in ("0.0.0.0", "::", "224.0.0.1", "ff02::1", "169.254.1.1", "fe80::1", "255.255.255.255", "lab1"):
            self.assertEqual(self.dialled(host, ("10.0.0.5", 6666)), "")


class OutcomeTests(SynchronousTestCase):
    def test_codes(self) -> None:
        """A code of a newer server is unknown, and no error."""
        self.assertIs(outcome_of("reached"), Outcome.REACHED)
        self.assertIs(outcome_of("through-the-roof"), Outcome.UNKNOWN)
