"""From facts about a peer to findings: which words, and which remedy."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.api import Finding
from p2pchat.api.health import LITTLE_ROOM, NO_ROOM, StoreFacts
from p2pchat.core.errors import EndCode
from p2pchat.core.messages import Address, DialledBack
from p2pchat.core.reach import Outcome
from p2pchat.net.dialler import why_not
from p2pchat.peer.diagnosis import diagnose
from p2pchat.peer.facts import ChatFacts, Facts, PortFacts, ServerFacts
from p2pchat.peer.firewall import TOOLS, find_tool, let_in
from p2pchat.peer.server_trouble import remedy

WALL = 1_790_000_000_000
DAY = 24 * 3600 * 1000
OWN = Address(host="10.0.0.5", port=7777)
DOOR = Address(host="10.0.0.5", port=6666)

LAB = ServerFacts(
    address="lab1:8888",
    host="lab1",
    port=8888,
    state="online",
    ahead=200,
    group="X25519MLKEM768",
    observed=OWN,
    own=OWN,
    answers=True,
    dialled=DialledBack(number=1, code="reached", address=DOOR),
)
PORTS = PortFacts(
    running=True,
    listen_port=6666,
    dial_port=7777,
    listens=(Address(host="::", port=6666),),
    own=("10.0.0.5",),
    firewall="ufw",
)
STORE = StoreFacts(path="/home/alice/p2pchat", free=50 * 1024**3, mode=0o700)
BOB = ChatFacts(name="bob", path="direct", group="X25519MLKEM768")
WELL = Facts(wall=WALL, servers=(LAB,), ports=PORTS, store=STORE, chats=(BOB,), openssl="OpenSSL 4.0.3")


def lab(**changes: Any) -> Facts:
    """All is well but for something at the server."""
    return replace(WELL, servers=(replace(LAB, **changes),))


def dialled(code: str, address: Address | None = DOOR, **changes: Any) -> Facts:
    """All is well but for what the server found when it dialled back."""
    return lab(dialled=DialledBack(number=1, code=code, address=address), **changes)


def ports(**changes: Any) -> Facts:
    """All is well but for something about our ports."""
    return replace(WELL, ports=replace(PORTS, **changes))


def store(**changes: Any) -> Facts:
    """All is well but for something about our disk."""
    return replace(WELL, store=replace(STORE, **changes))


class DiagnosisTests(SynchronousTestCase):
    def finding(self, facts: Facts, check: str) -> Finding:
        """The one finding of a check; everything else must be as well as it was."""
        found = diagnose(facts)
        [one] = [finding for finding in found if finding.check == check]
        return one

    def expect(self, facts: Facts, check: str, state: str, text: str = "", fix: str = "") -> None:
        """The finding says this, in one line, and what to do if something is not well."""
        finding = self.finding(facts, check)
        self.assertEqual(finding.state, state, finding)
        self.assertIn(text, finding.text)
        self.assertIn(fix, finding.fix)
        self.assertNotIn("\n", finding.text + finding.fix)
        if state in ("failed", "warning"):
            self.assertNotEqual(finding.fix, "", finding)
        if state == "ok":
            self.assertEqual(finding.fix, "")

    def test_all_is_well(self) -> None:
        """Where all is well every check says so, once, and there is nothing to do."""
        found = diagnose(WELL)
        self.assertEqual({(finding.state, finding.fix) for finding in found}, {("ok", "")})
        checks = [finding.check for finding in found]
        self.assertEqual(len(set(checks)), len(checks))
        order = "server clock certificate listen reach dial paths post-quantum store disk state"
        self.assertEqual(" ".join(checks), order)

    def test_server(self) -> None:
        """Whether the server is there; if not, why not, and what to do about just that."""
        self.expect(WELL, "server", "ok", "lab1:8888 is there, which sees this peer as 10.0.0.5")
        self.expect(lab(state="connecting"), "server", "unknown")
        self.expect(replace(WELL, servers=()), "server", "warning", "no server is joined", "p2pchat join LINK")
        for reason, text, fix in (
            (why_not(ConnectionRefusedError()), "nobody listens", "start the server"),
            (why_not(TCPTimedOutError(errno.ETIMEDOUT)), "timed out", "ufw allow 8888/tcp"),
            (why_not(TimeoutError()), "no answer", "firewall-cmd --add-port=8888/tcp"),
            (why_not(NoRouteError(errno.EHOSTUNREACH)), "no route", "ip route"),
            (why_not(ConnectError(errno.ENETUNREACH)), "unreachable", "ip route"),
            (why_not(DNSLookupError()), "no such name", "getent hosts"),
            ("its certificate expired on 2026-01-01; whoever runs it must renew it", "expired", "renew"),
            ("another key answers there; if it is a new one, join again", "another key", "join with the whole link"),
            ("not-admitted", "does not admit", "--open"),
            ("full", "no room", "--capacity"),
            ("handle-taken", "your name", "--name"),
            ("displaced", "your key", "stop one of the two"),
            ("something never heard of", "something never heard of", "operator"),
            ("", "no reason", "operator"),
        ):
            self.expect(lab(state="lost", reason=reason), "server", "failed", text, fix)
            self.assertIn("lab1:8888", self.finding(lab(state="lost", reason=reason), "server").text)

    def test_every_code_has_words(self) -> None:
        """Whatever code a server ends a link with, there are words and a remedy."""
        for code in EndCode:
            text, fix = remedy("lab1:8888", 8888, code.value)
            self.assertIn("lab1:8888", text)
            self.assertNotEqual(fix, "")

    def test_clock(self) -> None:
        """Two clocks that differ are told apart by how much, and which is ahead."""
        self.expect(lab(ahead=-5_000), "clock", "ok", "agree")
        self.expect(lab(ahead=3_720_000), "clock", "warning", "62 min ahead of that of lab1", "set-ntp true")
        self.expect(lab(ahead=-45_000), "clock", "warning", "45 s behind", "set-ntp true")
        self.expect(lab(ahead=-40 * DAY), "clock", "failed", "40 days behind", "set-ntp true")
        self.expect(lab(ahead=None), "clock", "unknown")

    def test_certificate(self) -> None:
        """A key of the server's own does not expire; the end of a certificate is told two weeks before."""
        self.expect(WELL, "certificate", "ok", "does not expire")
        for left, state, text in (
            (60 * DAY, "ok", "60 days"),
            (10 * DAY, "warning", "ends in 10 days"),
            (-DAY, "failed", "has expired"),
        ):
            self.expect(lab(certified=True, expires=WALL + left), "certificate", state, text)
        self.expect(lab(certified=True), "certificate", "unknown")

    def test_listening(self) -> None:
        """The port that was wished for, another one, or none."""
        self.expect(WELL, "listen", "ok", "[::]:6666")
        other = (Address(host="::", port=40_123),)
        self.expect(ports(listens=other), "listen", "warning", "40123", "ss -ltnp 'sport = :6666'")
        self.expect(ports(listens=other, listen_port=0), "listen", "ok", "40123")
        self.expect(ports(listens=()), "listen", "failed", "nowhere")

    def test_reached(self) -> None:
        """Who was reached is told so; on the server's own machine that says nothing of others, and that is told too."""
        self.expect(WELL, "reach", "ok", "lab1 dialled 10.0.0.5:6666 and reached this peer")
        self.expect(lab(local=True), "reach", "ok", "nothing of others")
        self.assertNotIn("others", self.finding(WELL, "reach").text)

    def test_not_reached(self) -> None:
        """Each way not to be reached has words of its own; without NAT the remedy is this machine's firewall."""
        for outcome, text in (
            (Outcome.SILENT, "nobody answers at 10.0.0.5:6666"),
            (Outcome.REFUSED, "10.0.0.5:6666 refuses"),
            (Outcome.UNREACHABLE, "the way to 10.0.0.5:6666 is closed"),
            (Outcome.OTHER, "something else answers at 10.0.0.5:6666"),
        ):
            self.expect(dialled(outcome.value), "reach", "failed", text, "sudo ufw allow 6666/tcp")

    def test_behind_nat(self) -> None:
        """Where the server sees an address that is not ours, the router comes first."""
        seen = Address(host="192.0.2.7", port=40_000)
        facts = dialled("silent", Address(host="192.0.2.7", port=6666), observed=seen)
        self.expect(facts, "reach", "failed", "192.0.2.7:6666", "forward TCP port 6666 to 10.0.0.5 port 6666")
        self.assertIn("sudo ufw allow 6666/tcp", self.finding(facts, "reach").fix)

    def test_interface(self) -> None:
        """Who listens on one address alone is not reached at another."""
        facts = dialled("refused")
        only = (Address(host="127.0.0.1", port=6666),)
        facts = replace(facts, ports=replace(PORTS, listens=only))
        self.expect(facts, "reach", "failed", "refuses", "without --interface")

    def test_the_port_that_it_has(self) -> None:
        """The remedy names the port on which the peer really listens."""
        other = (Address(host="::", port=40_123),)
        facts = replace(dialled("silent"), ports=replace(PORTS, listens=other))
        self.expect(facts, "reach", "failed", "", "40123/tcp")

    def test_not_known(self) -> None:
        """Where nobody could be asked that is said, and counts as no failure."""
        self.expect(dialled("later", None), "reach", "unknown", "a moment ago", "again")
        self.expect(lab(dialled=None), "reach", "unknown", "did not say")
        self.expect(lab(answers=False, dialled=None), "reach", "unknown", "older than this peer", "newer")
        self.expect(dialled("through-the-roof"), "reach", "unknown", "newer version")
        self.expect(lab(state="lost", reason="full"), "reach", "unknown", "no server is there")
        self.expect(dialled("not-dialled", None), "reach", "warning", "may not dial", "--listen-port")

    def test_dialling(self) -> None:
        """Whether the dial port worked."""
        self.expect(WELL, "dial", "ok", "from port 7777")
        other = lab(own=Address(host="10.0.0.5", port=51_234))
        self.expect(other, "dial", "warning", "dialling from 51234", "ss -tanp 'sport = :7777'")
        self.expect(replace(other, ports=replace(PORTS, dial_port=0)), "dial", "ok", "as you wished")
        self.expect(lab(own=None), "dial", "unknown")

    def test_paths(self) -> None:
        """Which paths are open, and which this version does not have."""
        self.expect(WELL, "paths", "ok", "bob (direct)")
        self.expect(WELL, "paths", "ok", "no relay yet")
        self.expect(replace(WELL, chats=()), "paths", "ok", "no chat has a link")

    def test_key_agreement(self) -> None:
        """A link without post-quantum key agreement is named."""
        self.expect(WELL, "post-quantum", "ok", "X25519MLKEM768 (OpenSSL 4.0.3)")
        facts = replace(WELL, chats=(BOB, replace(BOB, name="carol", group="X25519")))
        self.expect(facts, "post-quantum", "warning", "carol", "OpenSSL 3.5")
        self.assertNotIn("bob", self.finding(facts, "post-quantum").text)
        self.expect(lab(group="X25519"), "post-quantum", "warning", "lab1")
        self.expect(replace(lab(group=""), chats=()), "post-quantum", "ok", "no link to judge")

    def test_store(self) -> None:
        """A damaged database, one that takes too long, and one that cannot be used."""
        damaged = store(fault="row 7 missing from index")
        self.expect(damaged, "store", "failed", "row 7 missing", "keep a copy of /home/alice/p2pchat")
        damaged = store(fault="row 7", option=" --state /srv/me")
        self.expect(damaged, "store", "failed", "row 7", "read: p2pchat recover --state /srv/me")
        self.expect(store(fault=None), "store", "unknown", "longer than a minute")
        refused = self.finding(store(refusal="peer.db is of a newer version: install it"), "store")
        self.assertEqual((refused.state, refused.text), ("failed", "peer.db is of a newer version: install it"))
        self.assertIn("p2pchat doctor", refused.fix, "whatever has failed names something to do")

    def test_room(self) -> None:
        """Little room is a warning, hardly any a failure."""
        self.expect(store(free=LITTLE_ROOM - 1), "disk", "warning", "1023 MiB", "df -h")
        self.expect(store(free=NO_ROOM - 1), "disk", "failed", "63 MiB", "make room")
        self.expect(store(free=LITTLE_ROOM), "disk", "ok", "1.0 GiB")

    def test_directory(self) -> None:
        """A state directory that others may read, that is not ours, or that a network holds."""
        self.expect(store(mode=0o750), "state", "failed", "mode 0750", "chmod 700 /home/alice/p2pchat")
        self.expect(store(owned=False), "state", "failed", "another user", "as that user, or with sudo")
        self.expect(
            store(path="/home/alice/my chats", mode=0o750),
            "state",
            "failed",
            "open",
            "chmod 700 '/home/alice/my chats'",
        )
        self.expect(store(network="nfs4"), "state", "failed", "nfs4", "--state DIR")

    def test_nothing_runs(self) -> None:
        """While no peer runs its ports are only tried, and nobody can dial it back."""
        free = ports(running=False, listens=(), taken=frozenset())
        self.expect(free, "listen", "ok", "6666 is free")
        self.expect(free, "dial", "ok", "7777 is free")
        self.expect(free, "reach", "unknown", "only a peer that runs", "start your peer")
        self.assertNotIn("paths", [finding.check for finding in diagnose(free)])
        taken = ports(running=False, listens=(), taken=frozenset({6666, 7777}))
        self.expect(taken, "listen", "warning", "6666 is taken", "ss -ltnp")
        self.expect(taken, "dial", "warning", "7777 is taken", "ss -tanp")

    def test_several_servers(self) -> None:
        """Each server has findings of its own."""
        two = replace(WELL, servers=(LAB, replace(LAB, address="lab2:8888", host="lab2", state="lost", reason="full")))
        found = [(finding.check, finding.state) for finding in diagnose(two)]
        self.assertEqual([state for check, state in found if check == "server"], ["ok", "failed"])
        self.assertEqual([state for check, state in found if check == "reach"], ["ok"])


class FirewallTests(SynchronousTestCase):
    def test_commands(self) -> None:
        """Each tool has its command, with the port; without a tool it is said in words."""
        for tool in TOOLS:
            self.assertIn(tool, let_in(tool, 6667))
            self.assertIn("6667", let_in(tool, 6667))
        self.assertIn("6667", let_in("", 6667))

    def test_the_tool_that_is_there(self) -> None:
        """The first that is installed counts: who has firewalld or ufw keeps its rules with it."""
        place = Path(self.mktemp())
        place.mkdir()
        self.assertEqual(find_tool(str(place)), "")
        for tool in reversed(TOOLS):
            (place / tool).write_text("#!/bin/sh\n")
            os.chmod(place / tool, 0o700)
            self.assertEqual(find_tool(str(place)), tool)
