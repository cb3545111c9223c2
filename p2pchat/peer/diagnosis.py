"""
What facts about a peer mean for its person: findings, each with what to do about it. No I/O.

A finding is `failed` where something that people count on does not work, a `warning` where it works worse than it
could, and `unknown` where nobody could be asked.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ..api import Finding
from ..api.health import failed, for_state, ok, span, store_findings, unknown, warning
from ..core.addresses import unmap, written
from ..core.reach import Outcome, outcome_of
from .facts import Facts, PortFacts, ServerFacts
from .firewall import let_in
from .server_host import ServerState
from .server_trouble import remedy

CLOCK_OFF = 30_000
"""ms between two clocks that people notice: it stands beside every message."""

CLOCK_WRONG = 24 * 3600 * 1000
"""ms beyond which certificates are judged wrongly."""

EXPIRES_SOON = 14 * 24 * 3600 * 1000
"""ms before the end of a certificate: authorities and their tools renew a month before it."""

HYBRID = "X25519MLKEM768"


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """The findings, in the order in which a person reads them."""
    found = (
        *(store_findings(facts.store) if facts.store.refusal else ()),  # the rest may come of that
        *_servers(facts),
        *_clocks(facts),
        *_certificates(facts),
        _listening(facts.ports),
        *_reach(facts),
        _dialling(facts),
        *_paths(facts),
        _key_agreement(facts),
        *(() if facts.store.refusal else store_findings(facts.store)),
    )
    return tuple(replace(each, fix=for_state(each.fix, facts.store.option)) for each in found)


# --- servers


def _servers(facts: Facts) -> Iterator[Finding]:
    if not facts.servers and not facts.store.refusal:
        fix = "p2pchat join LINK, with the link that a server's operator gives you"
        yield warning("server", "no server is joined: you find only those whose address you type", fix)
    for server in facts.servers:
        yield _server(server)


def _server(server: ServerFacts) -> Finding:
    if server.state == ServerState.ONLINE.value:
        seen = f", which sees this peer as {server.observed.host}" if server.observed is not None else ""
        return ok("server", f"{server.address} is there{seen}")
    if server.state == ServerState.CONNECTING.value:
        return unknown("server", f"{server.address} is being dialled", "ask again in a moment")
    text, fix = remedy(server.address, server.port, server.reason)
    return failed("server", text, fix)


def _clocks(facts: Facts) -> Iterator[Finding]:
    told = [(server, server.ahead) for server in facts.servers if server.ahead is not None]
    if facts.servers and not told:
        yield unknown("clock", "no server has told its time")
    for server, ahead in told:
        if abs(ahead) < CLOCK_OFF:
            yield ok("clock", f"this clock and that of {server.host} agree")
            continue
        text = f"this clock is {span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} that of {server.host}"
        fix = "sudo timedatectl set-ntp true, on whichever of the two machines is wrong (see: date)"
        yield (failed if abs(ahead) >= CLOCK_WRONG else warning)("clock", text, fix)


def _certificates(facts: Facts) -> Iterator[Finding]:
    for server in facts.servers:
        if not server.certified:
            yield ok("certificate", f"{server.host} is known by its own key, which does not expire")
        elif server.expires is None:
            yield unknown("certificate", f"{server.host} has not shown its certificate since this peer started")
        elif server.expires - facts.wall > EXPIRES_SOON:
            yield ok("certificate", f"that of {server.host} is good for {span(server.expires - facts.wall)} more")
        else:
            left = server.expires - facts.wall
            text = f"that of {server.host} ends in {span(left)}" if left > 0 else f"that of {server.host} has expired"
            fix = "tell its operator to renew it, and to restart p2pchat server with the new --certificate"
            yield (warning if left > 0 else failed)("certificate", text, fix)


# --- ports


def _listening(ports: PortFacts) -> Finding:
    wanted = ports.listen_port
    who = f"see who has it: sudo ss -ltnp 'sport = :{wanted}'; stop that, or choose another with --listen-port"
    if not ports.running:
        if wanted in ports.taken:
            return warning("listen", f"port {wanted} is taken: your peer will listen on another one", who)
        return ok("listen", f"port {wanted} is free" if wanted else "any port will do")
    if not ports.listens:
        return failed("listen", "this peer listens nowhere", "end it with p2pchat stop, and start it again")
    where = ", ".join(written(address) for address in ports.listens)
    if wanted and all(address.port != wanted for address in ports.listens):
        return warning("listen", f"port {wanted} was taken: listening on {where}, which the roster tells", who)
    return ok("listen", f"on {where}")


def _dialling(facts: Facts) -> Finding:
    wanted = facts.ports.dial_port
    if not facts.ports.running:
        if wanted in facts.ports.taken:
            return warning("dial", f"port {wanted} is taken: your peer will dial from any port", _who_dials(wanted))
        return ok("dial", f"port {wanted} is free" if wanted else "from any port, as you wished")
    used = next((server.own.port for server in facts.servers if server.own is not None), None)
    if not wanted:
        return ok("dial", "from any port, as you wished")
    if used is None:
        return unknown("dial", f"from port {wanted}, once a server can be dialled")
    if used == wanted:
        return ok("dial", f"from port {wanted}")
    text = f"port {wanted} could not be used: dialling from {used}, which is no help through NAT"
    return warning("dial", text, _who_dials(wanted))


def _who_dials(port: int) -> str:
    return (
        f"see who has it: sudo ss -tanp 'sport = :{port}'; for a second peer on one machine that is as it should be: "
        "--dial-port 0"
    )


# --- can others reach us


def _reach(facts: Facts) -> Iterator[Finding]:
    if not facts.ports.running:
        yield unknown("reach", "only a peer that runs can be dialled back", "start your peer, and ask again")
        return
    there = [server for server in facts.servers if server.state == ServerState.ONLINE.value]
    if not there:
        yield unknown("reach", "no server is there that could dial back")
    for server in there:
        yield _reached(server, facts.ports)


def _reached(server: ServerFacts, ports: PortFacts) -> Finding:
    if not server.answers:
        fix = "its operator can install a newer p2pchat"
        return unknown("reach", f"{server.host} cannot dial back: it is older than this peer", fix)
    if server.dialled is None:
        return unknown("reach", f"{server.host} did not say whether it reached this peer", "ask again in a minute")
    outcome, dialled = outcome_of(server.dialled.code), server.dialled.address
    where = written(dialled) if dialled is not None else "this peer"
    match outcome:
        case Outcome.REACHED:
            word = "; it is on this very machine, so that says nothing of others" if server.local else ""
            return ok("reach", f"{server.host} dialled {where} and reached this peer{word}")
        case Outcome.LATER:
            return unknown("reach", f"{server.host} was asked a moment ago", "ask again in a minute")
        case Outcome.NOT_DIALLED:
            fix = "listen on a port from 1024 on: --listen-port 6666"
            return warning("reach", f"{server.host} may not dial the port on which this peer listens", fix)
        case Outcome.UNKNOWN:
            return unknown("reach", f"{server.host} answers in words of a newer version", "install a newer p2pchat")
    said = {
        Outcome.SILENT: f"nobody answers at {where}: others cannot reach this peer there",
        Outcome.REFUSED: f"{where} refuses connections: others cannot reach this peer there",
        Outcome.UNREACHABLE: f"the way to {where} is closed: others cannot reach this peer there",
        Outcome.OTHER: f"something else answers at {where}: others do not reach this peer there",
    }
    return failed("reach", said[outcome], _opening(server, ports))


def _opening(server: ServerFacts, ports: PortFacts) -> str:
    """How others get in: through the router before us, or through our own firewall."""
    port = ports.listens[0].port if ports.listens else ports.listen_port
    only = [address.host for address in ports.listens if unmap(address.host) not in ("::", "0.0.0.0")]
    if server.observed is not None and _behind_nat(server, ports):
        own = server.own.host if server.own is not None else "this machine"
        return (
            f"this machine is behind NAT: in the router that is {server.observed.host}, forward TCP port {port} to "
            f"{own} port {port}; then, for this machine's own firewall: {let_in(ports.firewall, port)}"
        )
    if server.observed is not None and only and server.observed.host not in only:
        return f"this peer listens on {', '.join(only)} alone; start it without --interface"
    return let_in(ports.firewall, port)


def _behind_nat(server: ServerFacts, ports: PortFacts) -> bool:
    return server.observed is not None and server.observed.host not in {
        *ports.own,
        *([server.own.host] if server.own is not None else []),
        *(unmap(address.host) for address in ports.listens),
    }


# --- links


def _paths(facts: Facts) -> Iterator[Finding]:
    if not facts.ports.running:
        return
    if not facts.chats:
        yield ok("paths", "no chat has a link now; this version knows direct links, and no relay yet")
        return
    listed = ", ".join(f"{chat.name} ({chat.path or 'direct'})" for chat in facts.chats)
    yield ok("paths", f"open to {listed}; this version knows direct links, and no relay yet")


def _key_agreement(facts: Facts) -> Finding:
    links = [(chat.name, chat.group) for chat in facts.chats]
    links += [(server.host, server.group) for server in facts.servers]
    classical = [name for name, group in links if group and group != HYBRID]
    if classical:
        fix = "whoever runs the other side: OpenSSL 3.5 or newer (pip install --upgrade pyOpenSSL cryptography)"
        text = f"the link to {', '.join(classical)} is without post-quantum key agreement"
        return warning("post-quantum", text, fix)
    if any(group for _, group in links):
        return ok("post-quantum", f"all links agree with {HYBRID} ({facts.openssl})")
    return ok("post-quantum", f"no link to judge; {facts.openssl} offers {HYBRID} first")
