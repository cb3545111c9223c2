"""What facts about a rendezvous server mean for whoever runs it: findings, each with what to do about it. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote

from ..api import Finding, ServerReport
from ..api.health import StoreFacts, failed, ok, span, store_findings, unknown, warning

EXPIRES_SOON = 14 * 24 * 3600 * 1000
"""ms before the end of a certificate: authorities and their tools renew a month before it."""

SET_BACK = 60_000
"""ms by which a clock may be behind what was written: file systems round times."""

NEARLY_FULL = 0.9
"""Of the capacity."""

OPEN_TO_GROUP = 0o710
"""The mode of a directory where --admin-group was given: its members reach the socket and see nothing."""

CLOCK_FIX = "sudo timedatectl set-ntp true (see: date)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back at one of the addresses in the join links."""

    address: str
    """HOST:PORT."""
    reason: str = ""
    """Why it is not this server that answers there, one line; empty: it is."""
    certified: bool = False
    """Whether a certificate of an authority was shown, and is good."""
    expires: int | None = None
    """The end of that certificate, ms since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RendezvousFacts:
    """What a doctor looks at."""

    wall: int
    """The wall clock, ms since 1970."""
    port: int
    """Where it listens, or did when it ran last."""
    store: StoreFacts
    report: ServerReport | None = None
    """What the server says, if it runs."""
    taken: bool = False
    """Whether another process has the port, where it does not run."""
    answers: tuple[Answered, ...] = ()
    written: int | None = None
    """When the newest file of the directory was written, by the same clock."""
    synchronized: bool | None = None
    """Whether this machine sets its clock by the network; None: it does not say."""


def diagnose(facts: RendezvousFacts) -> tuple[Finding, ...]:
    """The findings, in the order in which a person reads them."""
    return (
        *_process(facts),
        *_answers(facts),
        *_certificate(facts),
        _clock(facts),
        *_capacity(facts.report),
        *store_findings(facts.store, OPEN_TO_GROUP),
    )


def _process(facts: RendezvousFacts) -> Iterator[Finding]:
    report, directory = facts.report, quote(facts.store.path)
    who = f"see who has it: sudo ss -ltnp 'sport = :{facts.port}'; stop that, or choose another with --port"
    if report is not None:
        yield ok("server", f"it runs, version {report.version}, pid {report.pid}")
        if report.listens:
            yield ok("listen", f"on {', '.join(report.listens)}")
        else:
            yield failed("listen", "it listens nowhere", f"p2pchat stop --state {directory}, and start it again")
        return
    start = f"start it: p2pchat server --state {directory}, or in the background: twistd p2pchat-server"
    yield failed("server", "it does not run", f"{start}, with the options it had")
    if facts.taken:
        yield failed("listen", f"port {facts.port} is taken by something else", who)
    else:
        yield ok("listen", f"port {facts.port} is free")


def _answers(facts: RendezvousFacts) -> Iterator[Finding]:
    for answer in facts.answers:
        if answer.reason:
            yield failed("links", f"{answer.address}: {answer.reason}", _way_in(answer, facts.port))
        else:
            yield ok("links", f"this server answers at {answer.address}, as seen from this machine")


def _way_in(answer: Answered, port: int) -> str:
    host = answer.address.rpartition(":")[0]
    lowered = answer.reason.lower()
    if "no host" in lowered:
        return f"make that name lead here (getent hosts {quote(host)}), or give peers another: --host NAME"
    if "expired" in lowered or "certificate" in lowered:
        return "renew the certificate, and start the server again with the new --certificate and --key"
    if "another key" in lowered:
        return f"see who answers there: sudo ss -ltnp 'sport = :{port}' here, or on the machine that has that address"
    return (
        f"see whether this machine has that address (ip address) and lets TCP port {port} in; give peers another one "
        "with --host NAME"
    )


def _certificate(facts: RendezvousFacts) -> Iterator[Finding]:
    there = [answer for answer in facts.answers if not answer.reason]
    certified = [answer for answer in there if answer.certified]
    if there and not certified:
        yield ok("certificate", "peers know it by its own key, which does not expire")
    for expires in dict.fromkeys(answer.expires for answer in certified if answer.expires is not None):
        left = expires - facts.wall
        if left > EXPIRES_SOON:
            yield ok("certificate", f"it is good for {span(left)} more")
        else:
            text = f"it ends in {span(left)}" if left > 0 else "it has expired"
            fix = "renew it, and start the server again with the new --certificate and --key"
            yield (warning if left > 0 else failed)("certificate", text, fix)


def _clock(facts: RendezvousFacts) -> Finding:
    if facts.written is not None and facts.wall < facts.written - SET_BACK:
        behind = span(facts.written - facts.wall)
        return failed("clock", f"this clock is {behind} behind what was written in {facts.store.path}", CLOCK_FIX)
    if facts.synchronized is False:
        return warning("clock", "this machine does not set its clock by the network", CLOCK_FIX)
    if facts.synchronized:
        return ok("clock", "this machine sets its clock by the network")
    return ok("clock", "this clock was not set back since the server wrote last")


def _capacity(report: ServerReport | None) -> Iterator[Finding]:
    if report is None:
        yield unknown("capacity", "only a server that runs knows who is online")
        return
    text = f"{report.online} of {report.capacity} peers online"
    fix = "start it with a greater --capacity"
    if report.online >= report.capacity:
        yield failed("capacity", f"{text}: nobody else gets in", fix)
    elif report.online >= NEARLY_FULL * report.capacity:
        yield warning("capacity", text, fix)
    elif refused := report.refused.get("full", 0):
        yield warning("capacity", f"{text}; {refused} were refused since the start because it was full", fix)
    else:
        yield ok("capacity", text)
