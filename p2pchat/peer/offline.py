"""
What can be done with a peer's state directory while no peer runs in it: join a server, keep contacts.

Each function on a state directory holds its lock while it runs: where a peer runs it raises StateInUse, and that
peer is to be asked instead. The functions on tables are what that peer does with the same command.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import TypeVar

from ..api import Notifications, Person, SetNotifications, ShowNotifications
from ..config import ACCEPT_WHOM, AcceptWhom
from ..core.errors import NoSuchContact, RemoteProtocolError, StateInUse, UsageError, UserError
from ..core.identity import JoinLink, format_id, id_of, looks_like_id, parse_id, short_id
from ..core.messages import Signed
from ..core.notices import Preferences
from ..core.records import read_record
from ..core.text import Kind, clean
from ..storage.contacts import Contact
from ..storage.directory import StateDirectory
from ..storage.keys import ANEW_SETTING, KEY_SETTING, load_or_create_identity
from ..storage.offline import look_beside, open_offline
from ..storage.peer_tables import PEER_SCHEMA, PeerTables
from ..storage.servers import Server, Trust
from . import preferences

HANDLE_SETTING = "handle"
"""The setting that holds what the peer wants to be called at servers, in ASCII."""

ACCEPT_SETTING = "accept"
"""The setting that holds what happens to requests to chat, one of config.ACCEPT_WHOM."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a state directory says of its peer."""

    handle: str | None = None
    """What it wants to be called; None if nobody has said."""

    servers: tuple[Server, ...] = ()
    """Those it joined."""

    accept: AcceptWhom | None = None
    """What happens to requests to chat; None if nobody has said."""


@dataclass(frozen=True, slots=True)
class FoundServer:
    """The server at an address, as it proved itself or as a join link names it."""

    id: bytes
    key: bytes | None = None
    """Its SubjectPublicKeyInfo, where it was asked."""

    certified: bool = False
    """Whether a trusted authority certified it for the host that was typed."""

    expires: int | None = None
    """When that certificate ends, ms since 1970."""

    time: int | None = None
    """Its wall clock, ms since 1970, where it was asked."""

    group: str = ""
    """The key agreement with it, where it was asked."""


# --- joining


def standing(state: Path) -> Standing:
    """What is known so far, also where a peer runs; nothing is made where there is nothing."""
    directory = StateDirectory(state)
    if not directory.database_file(PEER_SCHEMA.name).exists():
        return Standing()
    try:
        return _with_tables(state, _standing)
    except StateInUse:
        with look_beside(directory, PEER_SCHEMA) as tables:
            return _standing(tables)


def join(state: Path, link: JoinLink, handle: str, found: FoundServer) -> Standing:
    """
    Remember the server `found`, at the address of `link`, and the handle; make the identity if there is none.

    Where the address was that of another server before, a link that names the new one replaces it, and an address
    alone does not. Nor does an address alone lead away from a certificate. Both raise UserError.
    """
    now = _wall()
    _, after = _prepared(state, lambda tables: put_server(tables, link, handle, found, now))
    return after


def set_handle(state: Path, handle: str) -> Standing:
    """Remember the handle; make the identity if there is none."""
    _, after = _prepared(state, lambda tables: tables.settings.set(HANDLE_SETTING, handle.encode()))
    return after


def set_accept(state: Path, whom: AcceptWhom) -> Standing:
    """Remember what happens to requests to chat; make the identity if there is none."""
    _, after = _prepared(state, lambda tables: tables.settings.set(ACCEPT_SETTING, whom.encode()))
    return after


def accept_of(tables: PeerTables) -> AcceptWhom | None:
    """What was remembered."""
    stored = tables.settings.get(ACCEPT_SETTING)
    return next((known for known in ACCEPT_WHOM if stored == known.encode()), None)


def put_server(tables: PeerTables, link: JoinLink, handle: str, found: FoundServer, now: int) -> None:
    """
    Remember a server as `join` does, at the wall-clock time `now`.

    Raises UserError.
    """
    if link.server is not None and link.server != found.id:
        raise UserError(
            f"{link.host} is the server {short_id(found.id)}, not the one of the link, {short_id(link.server)}: "
            "ask whoever gave you the link"
        )
    _replace(tables, link)
    _check_change(tables, link, found)
    tables.settings.set(HANDLE_SETTING, handle.encode())
    trust: Trust = "certified" if found.certified else "pinned"
    added = tables.servers.add(found.id, link.host, link.port, trust, handle, now, found.key)
    if found.certified and added.trust != "certified":
        tables.servers.update(added._replace(trust="certified"))


def _replace(tables: PeerTables, link: JoinLink) -> None:
    """The person gave a link, so they were told who is there now."""
    if link.server is None:
        return
    for server in tables.servers.all():
        if (server.host, server.port) == (link.host, link.port) and server.id != link.server:
            tables.servers.remove(server.id)


def _check_change(tables: PeerTables, link: JoinLink, found: FoundServer) -> None:
    for server in tables.servers.all():
        if (server.host, server.port) == (link.host, link.port) and server.id != found.id:
            raise UserError(
                f"the server at {link.host} has another key than before ({short_id(found.id)}, was "
                f"{short_id(server.id)}): ask its operator, and join with the whole link"
            )
        if link.server is None and server.id == found.id and server.trust == "certified" and not found.certified:
            raise UserError(
                f"the server at {link.host} had a certificate of an authority before and shows none now: ask its "
                "operator"
            )


# --- contacts


def add_contact(state: Path, identifier: str, name: str) -> Person:
    """Keep somebody as a contact whose requests are accepted; raises UserError."""
    peer = parse_id(identifier)
    now = _wall()
    person, _ = _prepared(state, lambda tables: put_contact(tables, peer, name, now))
    return person


def list_contacts(state: Path) -> Sequence[Person]:
    """The contacts; none where there is no directory."""
    if not StateDirectory(state).database_file(PEER_SCHEMA.name).exists():
        return ()
    return _with_tables(state, lambda tables: [person_of(row) for row in tables.contacts.all(listed_only=True)])


def remove_contact(state: Path, who: str) -> Person:
    """Keep somebody no longer as a contact; raises NoSuchContact."""
    if not StateDirectory(state).database_file(PEER_SCHEMA.name).exists():
        raise _no_such(who)
    return _with_tables(state, lambda tables: drop_contact(tables, who))


def change_notifications(state: Path, command: ShowNotifications | SetNotifications) -> Notifications:
    """Show, or change, when and how the person is told; raises UserError."""
    wall = _wall()
    shows = isinstance(command, ShowNotifications)
    if shows and not StateDirectory(state).database_file(PEER_SCHEMA.name).exists():
        return preferences.shown(Preferences(), wall, lambda _: Person(id="", name=""))

    def run(tables: PeerTables) -> Notifications:
        def person(identifier: bytes) -> Person:
            contact = tables.contacts.by_peer(identifier)
            return Person(id=format_id(identifier), name="") if contact is None else person_of(contact)

        if isinstance(command, ShowNotifications):
            return preferences.shown(preferences.stored(tables), wall, person)
        contact = find_contact(tables, command.who) if command.who else None
        if command.who and contact is None:
            raise _no_such(command.who)
        who = None if contact is None else format_id(contact.peer)
        after = preferences.keep(tables, lambda before: preferences.changed(before, command, who, wall))
        return preferences.shown(after, wall, person)

    notifications, _ = _prepared(state, run)
    return notifications


def put_contact(tables: PeerTables, peer: bytes, name: str, now: int) -> Person:
    """
    Keep the peer with the id `peer` as a contact named `name`, whose requests are accepted.

    Without a name it is the handle of a record that we have of them, or else the beginning of their id. One who is
    a contact already gets the new name, if one was given. Raises UsageError.
    """
    if tables.settings.get(KEY_SETTING) is not None and peer == id_of(tables.settings.get(KEY_SETTING) or b""):
        raise UsageError("that is your own id; add the other's, which they see with /whoami")
    petname = check_petname(name) if name else _handle_of(tables, peer) or short_id(peer)
    contact = tables.contacts.add(peer, petname, now, listed=True)
    if name:
        contact = contact._replace(petname=petname)
    return person_of(tables.contacts.update(contact._replace(consent="always")))


def drop_contact(tables: PeerTables, who: str) -> Person:
    """Keep whoever has the petname or id `who` no longer as a contact; raises NoSuchContact."""
    contact = find_contact(tables, who)
    if contact is None or not contact.listed:
        raise _no_such(who)
    tables.contacts.remove(contact.contact)
    return person_of(contact._replace(listed=False, consent="ask"))


def find_contact(tables: PeerTables, who: str) -> Contact | None:
    """The row of a petname or, if nobody has that, of an id; raises UsageError for an id that is misspelt."""
    named = tables.contacts.by_petname(who)
    if named is not None or not looks_like_id(who):
        return named
    return tables.contacts.by_peer(parse_id(who))


def check_petname(name: str) -> str:
    """A petname as it may be kept and shown; raises UsageError for one that could be taken for something else."""
    shown = clean(name, Kind.NAME)
    if shown != name.strip() or not shown:
        raise UsageError(f"the name {shown!r} has signs that cannot be shown, or is too long; choose another")
    if looks_like_id(shown) or shown[0] in "/@" or any(sign in shown for sign in "\"'"):
        raise UsageError(
            f"{shown!r} cannot be a name; choose one that is no id, has no quotes, and begins without / or @"
        )
    return shown


def person_of(contact: Contact) -> Person:
    """A contact as front ends see them while nothing but the store is known."""
    if contact.blocked_at is not None:
        standing = "blocked"
    else:
        standing = "known" if contact.verified_at is None else "verified"
    return Person(
        id=format_id(contact.peer),
        name=contact.petname,
        standing=standing,
        contact=contact.listed,
        consent=contact.consent,
    )


def _handle_of(tables: PeerTables, peer: bytes) -> str | None:
    for record in tables.records.of_peer(peer):
        try:
            return read_record(Signed(body=record.body, signature=record.signature), record.server).handle
        except RemoteProtocolError:
            continue
    return None


def _no_such(who: str) -> NoSuchContact:
    return NoSuchContact(f"no contact is called {clean(who, Kind.NAME)!r}: see them with p2pchat contact list")


# --- the store


def _with_tables(state: Path, operation: Callable[[PeerTables], ResultT]) -> ResultT:
    with open_offline(StateDirectory(state, "command"), PEER_SCHEMA) as database:
        return database.write(operation)


def _prepared(state: Path, operation: Callable[[PeerTables], ResultT]) -> tuple[ResultT, Standing]:
    """Run `operation` where there is an identity, made if need be; what it gives, and how things stand then."""
    directory = StateDirectory(state, "command")
    with open_offline(directory, PEER_SCHEMA) as database:
        if database.created and directory.key_file.exists():
            database.write(lambda tables: tables.settings.set(ANEW_SETTING, b""))
        known = database.read(lambda tables: tables.settings.get(KEY_SETTING))
        identity = load_or_create_identity(directory, known, lambda: token_bytes(32))

        def run(tables: PeerTables) -> tuple[ResultT, Standing]:
            tables.settings.set_once(KEY_SETTING, identity.key)
            return operation(tables), _standing(tables)

        return database.write(run)


def _standing(tables: PeerTables) -> Standing:
    handle = tables.settings.get(HANDLE_SETTING)
    return Standing(None if handle is None else handle.decode("ascii"), tuple(tables.servers.all()), accept_of(tables))


def _wall() -> int:
    return time.time_ns() // 1_000_000
