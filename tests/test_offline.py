"""What is done with a peer's state directory while no peer runs: joining, contacts."""

import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import NoSuchContact, StateError, StateInUse, UsageError, UserError
from p2pchat.core.identity import Identity, JoinLink, format_id, id_of, short_id
from p2pchat.core.messages import Address
from p2pchat.core.records import make_record
from p2pchat.peer import offline
from p2pchat.peer.offline import FoundServer
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.keys import KEY_SETTING, load_identity
from p2pchat.storage.offline import open_offline
from p2pchat.storage.peer_tables import PEER_SCHEMA
from p2pchat.storage.servers import Record

SERVER = Identity.from_seed(b"s" * 32)
OTHER_SERVER = Identity.from_seed(b"t" * 32)
BOB = Identity.from_seed(b"b" * 32)
CAROL = Identity.from_seed(b"c" * 32)


class OfflineCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(tempfile.mkdtemp()) / "deep" / "state"
        self.directory = StateDirectory(self.state)

    def refused(self, kind: type[UserError], words: str, *arguments: Any) -> None:
        function, *rest = arguments
        error = self.assertRaises(kind, function, *rest)
        self.assertIn(words, str(error))
        self.assertNotIn("\n", str(error))

    def change(self, operation: Any) -> Any:
        with open_offline(self.directory, PEER_SCHEMA) as database:
            return database.write(operation)


class JoinTests(OfflineCase):
    def join(
        self, server: Identity = SERVER, *, linked: bool = True, certified: bool = False, host: str = "lab1"
    ) -> offline.Standing:
        link = JoinLink(host, 8888, server.id if linked else None)
        return offline.join(self.state, link, "alice", FoundServer(server.id, server.key, certified))

    def test_nothing_yet(self) -> None:
        """Looking makes nothing."""
        self.assertEqual(offline.standing(self.state), offline.Standing())
        self.assertFalse(self.state.exists())

    def test_first(self) -> None:
        """Joining makes the identity, and remembers server, pin and handle."""
        after = self.join()
        self.assertEqual(after, offline.standing(self.state))
        self.assertEqual(after.handle, "alice")
        (server,) = after.servers
        self.assertEqual((server.id, server.key, server.host, server.port), (SERVER.id, SERVER.key, "lab1", 8888))
        self.assertEqual((server.trust, server.handle), ("pinned", "alice"))
        identity = load_identity(self.directory.key_file)
        assert identity is not None
        self.assertEqual(self.change(lambda tables: tables.settings.get(KEY_SETTING)), identity.key)

    def test_again(self) -> None:
        """Joining again keeps the identity and the server."""
        self.join()
        before = load_identity(self.directory.key_file)
        after = self.join(host="10.0.0.7")
        self.assertEqual([server.host for server in after.servers], ["10.0.0.7"])
        now = load_identity(self.directory.key_file)
        assert before is not None
        assert now is not None
        self.assertEqual(now.id, before.id)

    def test_two_servers(self) -> None:
        """A peer may join several servers."""
        self.join()
        self.assertEqual(len(self.join(OTHER_SERVER, host="lab2").servers), 2)

    def test_exchanged_server(self) -> None:
        """Another key at a known address is refused, as ssh does, unless a link names it."""
        self.join()
        self.refused(UserError, "another key than before", lambda: self.join(OTHER_SERVER, linked=False))
        self.assertEqual([server.id for server in offline.standing(self.state).servers], [SERVER.id])
        self.assertEqual([server.id for server in self.join(OTHER_SERVER).servers], [OTHER_SERVER.id])

    def test_other_server_than_the_link(self) -> None:
        """A link is only for the server that it names."""
        link = JoinLink("lab1", 8888, SERVER.id)
        self.refused(
            UserError,
            "not the one of the link",
            offline.join,
            self.state,
            link,
            "alice",
            FoundServer(OTHER_SERVER.id, OTHER_SERVER.key),
        )

    def test_certified_is_not_downgraded(self) -> None:
        """A server that had an authority's certificate does not come back by an address without one."""
        self.assertEqual(self.join(linked=False, certified=True).servers[0].trust, "certified")
        self.refused(UserError, "certificate", lambda: self.join(linked=False))
        self.assertEqual(self.join().servers[0].trust, "certified")

    def test_pinned_becomes_certified(self) -> None:
        """A server that has one now is held to it from now on."""
        self.join()
        self.assertEqual(self.join(linked=False, certified=True).servers[0].trust, "certified")

    def test_handle_alone(self) -> None:
        """A peer without a server has a handle as well."""
        self.assertEqual(offline.set_handle(self.state, "bob"), offline.Standing("bob"))

    def test_while_a_peer_runs(self) -> None:
        """A directory that is in use is left alone, and who uses it is named."""
        with StateDirectory(self.state, "peer"):
            self.refused(StateInUse, "p2pchat peer with pid", self.join)

    def test_lost_key(self) -> None:
        """A directory whose key is lost gets no new one by joining."""
        self.join()
        self.directory.key_file.unlink()
        self.refused(StateError, "missing", self.join)
        self.assertFalse(self.directory.key_file.exists())


class ContactTests(OfflineCase):
    def add(self, identity: Identity = BOB, name: str = "bob") -> Any:
        return offline.add_contact(self.state, format_id(identity.id), name)

    def names(self) -> list[str]:
        return [person.name for person in offline.list_contacts(self.state)]

    def test_nothing_yet(self) -> None:
        """Where there is no directory there are no contacts, and none is made."""
        self.assertEqual(self.names(), [])
        self.refused(NoSuchContact, "no contact is called 'bob'", offline.remove_contact, self.state, "bob")
        self.assertFalse(self.state.exists())

    def test_add(self) -> None:
        """A contact is an id under a petname, and its requests are accepted."""
        person = self.add()
        self.assertEqual((person.id, person.name), (format_id(BOB.id), "bob"))
        self.assertEqual((person.contact, person.consent, person.standing), (True, "always", "known"))
        self.assertEqual(list(offline.list_contacts(self.state)), [person])

    def test_rename(self) -> None:
        """Adding a contact again renames it, or changes nothing without a name."""
        self.add()
        self.assertEqual(self.add(name="").name, "bob")
        self.assertEqual(self.add(name="robert").name, "robert")
        self.assertEqual(self.names(), ["robert"])

    def test_equal_names(self) -> None:
        """A petname is one contact's: a second one gets a number."""
        self.add()
        self.assertEqual(self.add(CAROL).name, "bob-2")

    def test_default_name(self) -> None:
        """Without a name it is the beginning of the id, or the handle of a record that we have of them."""
        self.assertEqual(self.add(BOB, "").name, short_id(BOB.id))
        record = make_record(CAROL, SERVER.id, "carol", "", [Address(host="10.0.0.9", port=6666)], 1)
        row = Record(CAROL.id, SERVER.id, record.body, record.signature, 1, None, None, 0)
        self.change(lambda tables: tables.records.put_if_newer(row))
        self.assertEqual(self.add(CAROL, "").name, "carol")

    def test_unreadable_record(self) -> None:
        """A record that cannot be read gives no name."""
        row = Record(BOB.id, SERVER.id, b"x", b"y" * 64, 1, None, None, 0)
        offline.set_handle(self.state, "alice")
        self.change(lambda tables: tables.records.put_if_newer(row))
        self.assertEqual(self.add(BOB, "").name, short_id(BOB.id))

    def test_bad_ids(self) -> None:
        """A mistyped id is no contact."""
        written = format_id(BOB.id)
        for text in ("bob", written[:-1], written[:-1] + ("0" if written[-1] != "0" else "1"), ""):
            self.refused(UsageError, "", offline.add_contact, self.state, text, "bob")
        self.assertFalse(self.state.exists())

    def test_oneself(self) -> None:
        """One's own id is no contact."""
        offline.set_handle(self.state, "alice")
        key = self.change(lambda tables: tables.settings.get(KEY_SETTING))
        self.refused(UsageError, "your own id", offline.add_contact, self.state, format_id(id_of(key)), "me")

    def test_bad_names(self) -> None:
        """A petname is one line that shows what it is, and looks like nothing else that is typed there."""
        for name in ("a\x1b[31mb", "a\nb", "x" * 200, "/quit", "@bob", format_id(CAROL.id), 'a"b', "\u202ebob", " "):
            self.refused(UsageError, "", offline.add_contact, self.state, format_id(BOB.id), name)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.add(name="Bób the builder").name, "Bób the builder")

    def test_remove(self) -> None:
        """A contact is removed by name or by id, once."""
        self.add()
        self.add(CAROL, "carol")
        self.assertFalse(offline.remove_contact(self.state, "BOB").contact)
        offline.remove_contact(self.state, format_id(CAROL.id))
        self.assertEqual(self.names(), [])
        self.refused(NoSuchContact, "bob", offline.remove_contact, self.state, "bob")
        self.refused(NoSuchContact, "", offline.remove_contact, self.state, format_id(CAROL.id))

    def test_remove_a_misspelt_id(self) -> None:
        """An id with a typing error is said to be one."""
        self.add()
        written = format_id(BOB.id)
        swapped = written[:-1] + ("0" if written[-1] != "0" else "1")
        self.refused(UsageError, "typing error", offline.remove_contact, self.state, swapped)

    def test_X1_error_text(self) -> None:
        """What somebody typed is cleaned before it is said back."""
        offline.set_handle(self.state, "alice")
        error = self.assertRaises(NoSuchContact, offline.remove_contact, self.state, "a\x1b]0;x\x07")
        self.assertNotIn("\x1b", str(error))

    def test_standing(self) -> None:
        """Whether somebody is verified or blocked is told."""
        self.add()

        def verify(tables: Any) -> None:
            tables.contacts.update(tables.contacts.by_petname("bob")._replace(verified_at=1))

        def block(tables: Any) -> None:
            tables.contacts.update(tables.contacts.by_petname("bob")._replace(blocked_at=1))

        self.change(verify)
        self.assertEqual(offline.list_contacts(self.state)[0].standing, "verified")
        self.change(block)
        self.assertEqual(offline.list_contacts(self.state)[0].standing, "blocked")
