"""`p2pchat recover`: save what can be read of a damaged database, and say what that is."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from ..config import Role, default_state
from ..core.errors import UserError
from .output import print_line, print_lines

ROLES: tuple[Role, ...] = ("peer", "server")

NOUNS = {
    "contact": ("person", "people"),
    "entry": ("message", "messages"),
    "server": ("server", "servers"),
    "record": ("address", "addresses"),
    "cursor": ("cursor", "cursors"),
    "handle": ("name", "names"),
    "ban": ("ban", "bans"),
    "invitation": ("invitation", "invitations"),
    "guest": ("guest", "guests"),
}
"""Tables that a person knows by another word; the rest only holds these together."""


HOLDS: dict[Role, str] = {"peer": ", for it holds what was said", "server": ""}
"""Why a damaged file is not to be kept for longer than it is needed."""


def recover(options: Namespace) -> None:
    """Recover the database in --state, or those in the usual directories."""
    if options.state is not None:
        _recover(options.state, "server" if _has(options.state, "server") else "peer")
        return
    found = [role for role in ROLES if _has(default_state(role), role)]
    if not found:
        places = " or ".join(str(default_state(role)) for role in ROLES)
        raise UserError(f"there is no database in {places}; name another directory with --state DIR")
    for role in found:
        _recover(default_state(role), role)


def _has(state: Path, role: Role) -> bool:
    """Whether a database of that role is there, or what is left of one."""
    return any(state.glob(f"{role}.db*"))


def _recover(state: Path, role: Role) -> None:
    from ..peer.recovery import recover_peer
    from ..server.recovery import recover_server

    found = (recover_peer if role == "peer" else recover_server)(state)
    if found is None:
        print_line(f"the {role}'s database in {state} is in order; there is nothing to recover")
        return
    lost = _counted(found.lost)
    unread = f"{found.damaged} rows could not be read" if found.damaged else ""
    lines = [
        f"the {role}'s database in {state} was damaged ({found.why}); what could be read is in a new one",
        f"saved: {_counted(found.saved) or 'nothing'}",
        f"lost: {', '.join(part for part in (lost, unread) if part) or 'nothing that anything tells of'}",
        f"kept: {found.kept}, as it was; delete it when nothing is missing{HOLDS[role]}",
    ]
    if role == "peer":
        lines += [
            "what others said and is missing comes again when you meet; what you said and had not left is gone if lost",
            "look through your contacts: who is verified or blocked may be lost (p2pchat contact list)",
        ]
    print_lines(lines)


def _counted(rows: Mapping[str, int]) -> str:
    """`3 people, 118 messages`; tables that no person knows are counted as parts."""
    words = [f"{number} {NOUNS[table][number != 1]}" for table, number in rows.items() if number and table in NOUNS]
    return ", ".join(words)
