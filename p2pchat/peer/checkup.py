"""A doctor for a peer that does not run: its directory, key and database, its ports, and whether its servers answer."""

import errno
import os
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from shlex import quote

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTCP, IReactorTime

from ..api import Finding
from ..api.health import StoreFacts, failed, for_state, warning
from ..config import DIAL_PORT, LISTEN_PORT, state_option
from ..core.addresses import written
from ..core.errors import UserError
from ..core.messages import Address
from ..net.interfaces import own_addresses
from ..net.tls import openssl_version
from ..storage.directory import StateDirectory
from ..storage.health import look_at
from ..storage.keys import KEY_SETTING, check_kept
from ..storage.offline import open_offline
from ..storage.peer_tables import PEER_SCHEMA
from ..storage.servers import Server
from .diagnosis import diagnose
from .facts import Facts, PortFacts, ServerFacts
from .firewall import find_tool
from .probe import probe_server
from .server_host import ServerState

WITHOUT_KEY = "run p2pchat identity import FILE"
"""What else to do where the key is missing and no backup has it."""

NEW = frozenset({"listen", "dial", "post-quantum"})
"""What can be said of a peer that has never been started."""


def stored(state: Path) -> tuple[StoreFacts, tuple[Server, ...]] | None:
    """What a state directory is like, and the servers that it remembers; None where no peer was ever started."""
    directory = StateDirectory(state, "doctor")
    if not directory.database_file(PEER_SCHEMA.name).exists():
        return None
    option = state_option(directory.path, "peer")
    facts = StoreFacts(path=str(directory.path), option=option)
    try:
        # Before it is opened, which mends the mode.
        room = look_at(directory.path)
        facts = replace(facts, free=room.free, mode=room.mode, owned=room.owned, network=room.network)
        with open_offline(directory, PEER_SCHEMA) as database:
            fault, known, servers = database.read(
                lambda tables: (tables.integrity.fault(), tables.settings.get(KEY_SETTING), tables.servers.all())
            )
            check_kept(directory, known, for_state(WITHOUT_KEY, option))
    except OSError as error:
        return replace(facts, refusal=f"cannot use {directory.path}: {error.strerror}"), ()
    except UserError as error:
        return replace(facts, refusal=str(error)), ()
    return replace(facts, fault=fault), tuple(servers)


def of_new_peer(state: Path, wall: int) -> tuple[Finding, ...]:
    """What to say where no peer was ever started."""
    option = state_option(state, "peer")
    store = StoreFacts(path=str(state), option=option)
    facts = Facts(wall=wall, servers=(), ports=_ports(), store=store, openssl=openssl_version())
    fix = for_state(f"start it: p2pchat{option}, or first p2pchat join LINK", option)
    new = warning("state", f"no peer was started in {state} yet", fix)
    if os.path.exists(StateDirectory(state).database_file("server")):
        other = f"p2pchat doctor --server --state {quote(str(state))}"
        fix = f"name the peer's with --state DIR; of the server tells: {other}"
        new = failed("state", f"{state} is a server's directory", fix)
    elif os.path.exists(StateDirectory(state).key_file):
        fix = f"put peer.db back from a backup, or start without what was in it: p2pchat{option}"
        new = failed("store", f"the database in {state} is gone, and the key is there", fix)
    return (new, *(finding for finding in diagnose(facts) if finding.check in NEW))


async def check_up(
    tcp: IReactorTCP, clock: IReactorTime, store: StoreFacts, servers: Iterable[Server], wall: int
) -> tuple[Finding, ...]:
    """Everything that can be said while no peer runs; the servers are asked who they are, and no more."""
    asked = [Deferred.fromCoroutine(_ask(tcp, clock, server, wall)) for server in servers]
    found = await gatherResults(asked, True)
    facts = Facts(wall=wall, servers=tuple(found), ports=_ports(), store=store, openssl=openssl_version())
    return diagnose(facts)


async def _ask(tcp: IReactorTCP, clock: IReactorTime, server: Server, wall: int) -> ServerFacts:
    began = clock.seconds()
    facts = ServerFacts(
        address=written(Address(host=server.host, port=server.port)),
        host=server.host,
        port=server.port,
        state=ServerState.LOST.value,
        certified=server.trust == "certified",
    )
    try:
        found = await probe_server(tcp, clock, server.host, server.port, wall)
    except UserError as error:
        return replace(facts, reason=str(error))
    if found.id != server.id:
        return replace(facts, reason="another key answers there than the one that was joined")
    if server.trust == "certified" and not found.certified:
        return replace(facts, reason="it had a certificate of an authority before and shows none now")
    passed = int((clock.seconds() - began) * 1000)
    ahead = None if found.time is None else wall + passed - found.time
    return replace(facts, state=ServerState.ONLINE.value, ahead=ahead, expires=found.expires, group=found.group)


def _ports() -> PortFacts:
    return PortFacts(
        running=False,
        listen_port=LISTEN_PORT,
        dial_port=DIAL_PORT,
        taken=frozenset(port for port in (LISTEN_PORT, DIAL_PORT) if not is_free(port)),
        own=tuple(own_addresses()),
        firewall=find_tool(),
    )


def is_free(port: int) -> bool:
    """Whether a peer could have this TCP port on all addresses, as it would ask for it."""
    for family, anywhere in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                attempt.bind((anywhere, port))
                attempt.listen(1)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT and error.errno != errno.EADDRNOTAVAIL:
                return False
    return True
