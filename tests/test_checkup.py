"""The doctor of a peer that does not run: its directory, its key, its ports, and servers that answer or do not."""

import os
import socket
from pathlib import Path
from typing import Any
from unittest import skipIf

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pchat.api import Finding
from p2pchat.api.health import StoreFacts
from p2pchat.core.identity import Identity, JoinLink
from p2pchat.oneshot.running import held
from p2pchat.peer import checkup, offline
from p2pchat.peer.diagnosis import diagnose
from p2pchat.peer.facts import Facts
from p2pchat.peer.offline import FoundServer
from p2pchat.server.service import wall_clock
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.offline import open_offline
from p2pchat.storage.server_tables import SERVER_SCHEMA
from p2pchat.storage.servers import Server
from tests.servers import start_server

SERVER = Identity.from_seed(b"s" * 32)
OTHER = Identity.from_seed(b"t" * 32)


def joined(state: Path, port: int = 8888, identity: Identity = SERVER) -> tuple[StoreFacts, tuple[Server, ...]]:
    """A peer that joined a server once, as its directory tells."""
    offline.join(state, JoinLink("127.0.0.1", port, identity.id), "alice", FoundServer(identity.id))
    found = checkup.stored(state)
    assert found is not None
    return found


class DirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()

    def test_good(self) -> None:
        """A healthy directory, with the servers that it remembers."""
        store, servers = joined(self.state)
        self.assertEqual((store.fault, store.refusal, store.mode, store.owned), ("", "", 0o700, True))
        self.assertEqual([server.id for server in servers], [SERVER.id])

    def test_new(self) -> None:
        """Where no peer was ever started nothing is made, and it is said how to start one."""
        self.assertIsNone(checkup.stored(self.state))
        self.assertFalse(self.state.exists())
        found = {finding.check: finding for finding in checkup.of_new_peer(self.state, wall_clock())}
        self.assertEqual(set(found), {"state", "listen", "dial", "post-quantum"})
        self.assertEqual(found["state"].state, "warning")
        self.assertIn(f"p2pchat join --state {self.state} LINK", found["state"].fix)

    def test_directory_of_a_server(self) -> None:
        """Nobody is told to start a peer under the key of a server."""
        with open_offline(StateDirectory(self.state), SERVER_SCHEMA):
            (self.state / "identity.key").write_text("")
        first, *_ = checkup.of_new_peer(self.state, wall_clock())
        self.assertEqual((first.check, first.state), ("state", "failed"))
        self.assertIn("p2pchat doctor --server --state", first.fix)

    def test_lost_database(self) -> None:
        """Where the key is there and the database is not, nobody is told that this peer is new."""
        joined(self.state)
        (self.state / "peer.db").unlink()
        first, *_ = checkup.of_new_peer(self.state, wall_clock())
        self.assertEqual((first.check, first.state), ("store", "failed"))
        self.assertIn(f"p2pchat --state {self.state}", first.fix)

    def test_cannot_be_opened(self) -> None:
        """What cannot be opened is said first, and not that no server was joined; each command names the directory."""
        joined(self.state)
        (self.state / "identity.key").unlink()
        found = checkup.stored(self.state)
        assert found is not None
        store, _ = found
        self.assertIn(f"p2pchat identity import --state {self.state} FILE", store.refusal)
        facts = Facts(wall=0, servers=(), ports=checkup._ports(), store=store, openssl="")
        first, *rest = diagnose(facts)
        self.assertEqual((first.check, first.state), ("store", "failed"))
        self.assertEqual([each for each in rest if each.check in ("store", "server")], [])

    @skipIf(os.geteuid() != 0, "only root may look at what is another user's")
    def test_root(self) -> None:
        """Root looks at the directory of a service's user, and leaves it and what is made there to that user."""
        joined(self.state)
        (self.state / "lock").unlink()
        for path in (self.state, *self.state.iterdir()):
            os.chown(path, 12345, 12345)
        found = checkup.stored(self.state)
        assert found is not None
        self.assertEqual((found[0].refusal, found[0].fault, found[0].owned), ("", "", True))
        self.assertEqual({path.stat().st_uid for path in (self.state, *self.state.iterdir())}, {12345})

    def test_open_to_others(self) -> None:
        """The mode is told as it was, though opening the directory mends it."""
        joined(self.state)
        self.state.chmod(0o755)
        found = checkup.stored(self.state)
        assert found is not None
        self.assertEqual(found[0].mode, 0o755)

    def test_key_lost(self) -> None:
        """A key that is gone, or is not the one that the database knows."""
        joined(self.state)
        key = StateDirectory(self.state).key_file
        key.rename(key.with_suffix(".away"))
        found = checkup.stored(self.state)
        assert found is not None
        self.assertIn("is missing", found[0].refusal)
        other = Path(self.mktemp()).absolute()
        joined(other)
        StateDirectory(other).key_file.rename(key)
        found = checkup.stored(self.state)
        assert found is not None
        self.assertIn("another identity", found[0].refusal)

    def test_damaged(self) -> None:
        """A database that is none any more."""
        joined(self.state)
        (self.state / "peer.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
        found = checkup.stored(self.state)
        assert found is not None
        self.assertNotEqual(found[0].refusal + (found[0].fault or ""), "")

    def test_held(self) -> None:
        """Whoever has the directory without answering is named."""
        joined(self.state)
        self.assertIsNone(held(self.state))
        with StateDirectory(self.state, "peer"):
            finding = held(self.state)
        assert finding is not None
        self.assertEqual(finding.state, "failed")
        self.assertIn(f"a peer with pid {os.getpid()}", finding.text)

    def test_ports(self) -> None:
        """A port that another process has, and one that nobody has."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertFalse(checkup.is_free(port))
        self.assertTrue(checkup.is_free(port))


class ServerTests(TestCase):
    """Against a real server."""

    async def check(self, state: Path, port: int, identity: Identity, **changes: Any) -> dict[str, Finding]:
        store, servers = joined(state, port, identity)
        asked = [server._replace(**changes) for server in servers]
        found = await checkup.check_up(reactor, reactor, store, asked, wall_clock())  # type: ignore[arg-type]
        return {finding.check: finding for finding in found}

    def test_there(self) -> Deferred[None]:
        """A server that runs: its key, its clock, and how the keys were agreed; nobody can be dialled back."""

        async def look() -> None:
            server = await start_server(self, reactor)
            found = await self.check(Path(self.mktemp()), server.port.address.port, server.identity)
            self.assertEqual((found["server"].state, found["clock"].state, found["certificate"].state), ("ok",) * 3)
            self.assertIn("X25519MLKEM768", found["post-quantum"].text)
            self.assertEqual((found["reach"].state, found["store"].state), ("unknown", "ok"))
            self.assertNotIn("paths", found)
            self.assertEqual(server.rendezvous.online, (), "nothing was registered")

        return Deferred.fromCoroutine(look())

    def test_another_key(self) -> Deferred[None]:
        """Where another server answers than the one that was joined, or one without its certificate, that is said."""

        async def look() -> None:
            server = await start_server(self, reactor)
            port = server.port.address.port
            found = await self.check(Path(self.mktemp()), port, OTHER)
            self.assertEqual(found["server"].state, "failed")
            self.assertIn("another key", found["server"].text)
            found = await self.check(Path(self.mktemp()), port, server.identity, trust="certified")
            self.assertEqual(found["server"].state, "failed")
            self.assertIn("shows none now", found["server"].text)

        return Deferred.fromCoroutine(look())

    def test_not_there(self) -> Deferred[None]:
        """Where no server runs: which one, why, and what to do."""

        async def look() -> None:
            with socket.create_server(("127.0.0.1", 0)) as gone:
                port = gone.getsockname()[1]
            found = await self.check(Path(self.mktemp()), port, SERVER)
            self.assertEqual(found["server"].state, "failed")
            self.assertIn(f"127.0.0.1:{port}", found["server"].text)
            self.assertIn("start the server", found["server"].fix)
            self.assertEqual(found["clock"].state, "unknown")

        return Deferred.fromCoroutine(look())
