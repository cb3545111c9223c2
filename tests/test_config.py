"""Settings: what is taken, what is refused and with which words."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2pchat import config
from p2pchat.config import PeerSettings, ServerSettings
from p2pchat.core import identity
from p2pchat.core.errors import UsageError
from p2pchat.core.identity import JoinLink

STATE = Path("/nowhere")


class Refusals(SynchronousTestCase):
    """Base: one line for a person."""

    def refused(self, words, make, *arguments, **options):
        error = self.assertRaises(UsageError, make, *arguments, **options)
        self.assertIn(words, str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual(error.exit_code, 2)


class ServerSettingsTests(Refusals):
    def test_defaults(self) -> None:
        """A server listens on 8888 of all addresses and admits private ones."""
        settings = ServerSettings(state=STATE)
        self.assertEqual((settings.port, settings.interface, settings.open), (8888, "", False))
        self.assertEqual(config.SERVER_PORT, identity.DEFAULT_SERVER_PORT)

    def test_ports(self) -> None:
        """A port is 0 to 65535."""
        for port in (0, 1, 65535):
            ServerSettings(state=STATE, port=port)
        for port in (-1, 65536):
            self.refused("--port", ServerSettings, state=STATE, port=port)

    def test_interface(self) -> None:
        """An interface is an IP address of either family, and no name."""
        for address in ("", "127.0.0.1", "::1", "fe80::1%eth0"):
            ServerSettings(state=STATE, interface=address)
        for address in ("localhost", "127.0.0.1:80", "1.2.3", " "):
            self.refused("--interface", ServerSettings, state=STATE, interface=address)

    def test_hosts(self) -> None:
        """A host for the links is a name or an address, without port, scheme or anything that would break a link."""
        ServerSettings(state=STATE, hosts=("lab1.example", "10.0.0.7", "2001:db8::7", "münchen.example"))
        bad = ("", "a b", "lab1:8888", "p2pchat://lab1", "a#b", "a@b", "[::1]", "a\x1bb", "x" * 254)
        for host in bad:
            self.refused("--host", ServerSettings, state=STATE, hosts=("lab1", host))

    def test_certificate_and_key(self) -> None:
        """A certificate without its key is of no use, nor the other way round."""
        pem = Path("/pem")
        ServerSettings(state=STATE, certificate=pem, key=pem)
        self.refused("--key", ServerSettings, state=STATE, certificate=pem)
        self.refused("--certificate", ServerSettings, state=STATE, key=pem)

    def test_capacity(self) -> None:
        """A server has room for somebody."""
        ServerSettings(state=STATE, capacity=1)
        for capacity in (0, -5, config.MAX_CAPACITY + 1):
            self.refused("--capacity", ServerSettings, state=STATE, capacity=capacity)

    def test_admin_group(self) -> None:
        """An empty group name is a script's unset variable."""
        self.refused("--admin-group", ServerSettings, state=STATE, admin_group="")


class PeerSettingsTests(Refusals):
    def test_defaults(self) -> None:
        """A peer listens on 6666, dials from 7777 and lets in its contacts."""
        settings = PeerSettings(state=STATE)
        self.assertEqual((settings.listen_port, settings.dial_port, settings.accept_else), (6666, 7777, "contacts"))

    def test_ports_differ(self) -> None:
        """Listening and dialling take different ports; two times any port is fine."""
        PeerSettings(state=STATE, listen_port=0, dial_port=0)
        self.refused("both 7000", PeerSettings, state=STATE, listen_port=7000, dial_port=7000)
        self.refused("--dial-port", PeerSettings, state=STATE, dial_port=-1)
        self.refused("--listen-port", PeerSettings, state=STATE, listen_port=65536)

    def test_name(self) -> None:
        """A name is a handle; for anything else one that would do is named."""
        PeerSettings(state=STATE, name="alice.b-2_c")
        self.refused("such as alice", PeerSettings, state=STATE, name="Alice")
        self.refused("--name ''", PeerSettings, state=STATE, name="")
        self.refused("\\x1b", PeerSettings, state=STATE, name="a\x1b[31m")

    def test_accept(self) -> None:
        """Requests are asked about, taken from contacts, or taken from all."""
        for accept in ("ask", "contacts", "all"):
            PeerSettings(state=STATE, accept=accept)
        self.refused("ask, contacts, all", PeerSettings, state=STATE, accept="none")

    def test_options_about_nobody(self) -> None:
        """What makes sense only towards somebody needs --to."""
        PeerSettings(state=STATE, to="bob", input="-", timeout=3, trust_first=True)
        self.refused("--input needs --to", PeerSettings, state=STATE, input="-")
        self.refused("--timeout needs --to", PeerSettings, state=STATE, timeout=3)
        self.refused("--trust-first needs --to", PeerSettings, state=STATE, trust_first=True)
        self.refused("--to is empty", PeerSettings, state=STATE, to=" ")
        self.refused("--input is empty", PeerSettings, state=STATE, to="bob", input="")

    def test_timeout(self) -> None:
        """A timeout is a positive number of seconds."""
        for seconds in (0.0, -1.0, float("nan"), float("inf"), 1e300):
            self.refused("--timeout", PeerSettings, state=STATE, to="bob", timeout=seconds)

    def test_links(self) -> None:
        """A link leads to a host."""
        PeerSettings(state=STATE, join=(JoinLink("lab1"), JoinLink("::1")))
        self.refused("--host", PeerSettings, state=STATE, join=(JoinLink("a:b"),))


class WordsTests(Refusals):
    def test_ports(self) -> None:
        """A port is written in plain digits."""
        self.assertEqual([config.parse_port(text, "--port") for text in ("0", "8888", "65535")], [0, 8888, 65535])
        for text in ("", "x", "-1", "+1", "1_0", " 1", "65536", "٣", "1" * 5000):
            self.refused("--port", config.parse_port, text, "--port")

    def test_capacity(self) -> None:
        """A capacity is written in plain digits."""
        self.assertEqual(config.parse_capacity("10"), 10)
        for text in ("0", "", "many", "1e3"):
            self.refused("--capacity", config.parse_capacity, text)

    def test_timeout(self) -> None:
        """A timeout may have a fraction."""
        self.assertEqual(config.parse_timeout("0.5"), 0.5)
        for text in ("", "x", "nan", "inf", "-1", "0"):
            self.refused("--timeout", config.parse_timeout, text)

    def test_paths(self) -> None:
        """Paths come out absolute, since a daemon changes its directory, and ~ is a home."""
        self.assertEqual(config.parse_path("a/b", "--state"), Path.cwd() / "a/b")
        self.patch(os, "environ", {**os.environ, "HOME": "/home/somebody"})
        self.assertEqual(config.parse_path("~/a", "--state"), Path("/home/somebody/a"))
        self.refused("--state", config.parse_path, "", "--state")
        self.refused("--state", config.parse_path, "a\0b", "--state")
        self.refused("home", config.parse_path, "~nobody-has-this-name/a", "--state")


class DefaultStateTests(SynchronousTestCase):
    def environment(self, **values):
        kept = {name: value for name, value in os.environ.items() if name not in ("STATE_DIRECTORY", "XDG_DATA_HOME")}
        self.patch(os, "environ", {**kept, **values})

    def test_of_a_user(self) -> None:
        """Each role has its own directory among the user's data."""
        self.environment(HOME="/home/somebody")
        self.assertEqual(config.default_state("peer"), Path("/home/somebody/.local/share/p2pchat/peer"))
        self.assertEqual(config.default_state("server"), Path("/home/somebody/.local/share/p2pchat/server"))

    def test_under_systemd(self) -> None:
        """systemd's directory, the first of them, is used as it is."""
        self.environment(STATE_DIRECTORY="/var/lib/p2pchat-server:/var/lib/other")
        self.assertEqual(config.default_state("server"), Path("/var/lib/p2pchat-server"))
