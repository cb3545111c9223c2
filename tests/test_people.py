"""The people of a peer: whom a word means, what somebody is called, and which consent stands."""

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import NoSuchContact, UserError
from p2pchat.core.identity import Identity, compact_id, format_id
from p2pchat.core.messages import Address, Listing, RosterPage
from p2pchat.core.records import make_record
from p2pchat.core.roster_view import RosterView
from p2pchat.core.trust import ONCE_LASTS, TIMED_AT_MOST, Scope
from p2pchat.peer.contact_changes import Met, verifying
from p2pchat.peer.environment import Environment
from p2pchat.peer.people import Contactable, People
from tests.company import WALL, identity_of, open_database
from tests.rosters import SERVER

ME, BOB, CAROL, EVE, MALLORY = (identity_of(name) for name in ("me", "bob", "carol", "eve", "mallory"))
HOME = Address(host="10.0.0.9", port=6666)
HOUR, DAY = 3600.0, 86400.0


class PeopleTests(SynchronousTestCase):
    """Base: a peer's people, over a store that can be opened again."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.wall = WALL
        self.database = open_database(self)
        self.people = self.loaded()

    def loaded(self) -> People:
        """As after a start."""
        environment = Environment(
            identity=ME,
            database=self.database,
            clock=self.clock,
            wall=lambda: self.wall,
            random=bytes,
            emit=lambda event: None,
            store=bytes(16),
        )
        people = People(environment, lambda identifier: Contactable())
        self.run_(people.load())
        return people

    def run_(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def roster(self, *rows: tuple[Identity, str], server: bytes = SERVER, online: bool = True) -> None:
        """What a server says."""
        view = RosterView(server)
        listings = tuple(
            Listing(record=make_record(peer, server, handle, "", [HOME], WALL), online=online) for peer, handle in rows
        )
        view.apply(RosterPage(number=1, listings=listings, more=False))
        self.people.rosters[server] = view
        self.people.online_servers.add(server)
        self.people.rosters_changed()

    def name(self, peer: Identity) -> str:
        return self.people.person(peer.id).name

    def names(self, peers: Iterable[Identity]) -> list[str]:
        return [self.name(peer) for peer in peers]


class NameTests(PeopleTests):
    def test_petname_first(self) -> None:
        """A petname means its contact, also while somebody else holds that name as a handle."""
        self.run_(self.people.add(BOB.id, "bob"))
        self.roster((EVE, "bob"), (BOB, "bobby"))
        self.assertEqual(self.people.resolve("bob"), BOB.id)
        self.assertEqual(self.people.resolve(" BOB "), BOB.id)
        self.assertEqual(self.people.resolve("bob", contact_only=True), BOB.id)

    def test_petname_that_looks_like_an_id(self) -> None:
        """An id means its owner, also as a whole and without dashes."""
        self.assertEqual(self.people.resolve(format_id(EVE.id)), EVE.id)
        self.assertEqual(self.people.resolve(format_id(EVE.id).upper().replace("-", "")), EVE.id)

    def test_stranger_with_a_name_of_a_contact(self) -> None:
        """Whoever calls himself as a contact is called, or looks, is shown with letters of his id."""
        self.run_(self.people.add(BOB.id, "bob"))
        for handle in ("bob", "b0b"):
            self.roster((EVE, handle))
            self.assertEqual(self.name(EVE), f"{handle}-{compact_id(EVE.id)[:8]}")
            self.assertEqual(self.people.resolve(self.name(EVE)), EVE.id)
        self.assertEqual(self.name(BOB), "bob")

    def test_look_alike_is_not_meant_by_its_handle(self) -> None:
        """A handle that looks like a petname means nobody: it is shown how that stranger can be named."""
        self.run_(self.people.add(BOB.id, "bob"))
        self.roster((EVE, "b0b"))
        error = self.assertRaises(NoSuchContact, self.people.resolve, "b0b")
        self.assertIn(self.name(EVE), str(error))

    def test_contact_by_its_handle(self) -> None:
        """A contact that was given another name is not meant by its handle either, and is not called a stranger."""
        self.run_(self.people.add(BOB.id, "robert"))
        self.roster((BOB, "bob"))
        error = self.assertRaises(NoSuchContact, self.people.resolve, "bob")
        self.assertIn("bob on the roster is robert, whom you keep", str(error))

    def test_letters_that_are_a_petname_themselves(self) -> None:
        """Not even a handle with the right letters behind it is taken for a contact of that petname."""
        self.run_(self.people.add(BOB.id, "bob"))
        self.run_(self.people.add(CAROL.id, f"bob-{compact_id(EVE.id)[:8]}"))
        self.roster((EVE, "bob"))
        self.assertNotIn(self.name(EVE), self.names((BOB, CAROL)))
        self.assertEqual(self.people.resolve(f"bob-{compact_id(EVE.id)[:8]}"), CAROL.id)

    def test_two_strangers_of_one_name(self) -> None:
        """Two strangers of one handle are told apart, and neither is meant by it."""
        self.roster((EVE, "sam"))
        self.roster((MALLORY, "sam"), server=bytes(32))
        self.assertEqual(len({"sam", *self.names((EVE, MALLORY))}), 3)
        error = self.assertRaises(NoSuchContact, self.people.resolve, "sam")
        self.assertIn("several", str(error))

    def test_met_stranger_gives_way(self) -> None:
        """Who was only met gives up the name that the person gives to a contact, at once and after a start."""
        self.roster((EVE, "bob"))
        self.run_(self.people.meet(EVE.id))
        self.assertEqual(self.name(EVE), "bob")
        self.run_(self.people.add(BOB.id, "bob"))
        for _ in range(2):
            self.assertEqual(self.people.resolve("bob"), BOB.id)
            self.assertEqual(self.name(BOB), "bob")
            self.assertNotEqual(self.name(EVE), "bob")
            self.people = self.loaded()

    def test_renaming_makes_others_give_way(self) -> None:
        """The same where a contact gets another name."""
        self.roster((EVE, "robert"))
        self.run_(self.people.meet(EVE.id))
        self.run_(self.people.add(BOB.id, "bob"))
        self.run_(self.people.add(BOB.id, "robert"))
        self.assertEqual(self.people.resolve("robert"), BOB.id)

    def test_strangers_by_what_is_shown(self) -> None:
        """A stranger on the roster is meant by what is shown, and only where that may be a stranger."""
        self.roster((EVE, "eve"))
        self.assertEqual(self.people.resolve("Eve"), EVE.id)
        self.assertRaises(NoSuchContact, self.people.resolve, "eve", contact_only=True)
        self.assertRaises(NoSuchContact, self.people.resolve, "nobody")

    def test_without_a_handle(self) -> None:
        """Of whom nothing is known is called by 16 letters of the id."""
        self.assertEqual(self.name(EVE), compact_id(EVE.id)[:16])

    def test_handle_that_is_learnt_later(self) -> None:
        """Who was known by the id alone is called by the handle once it is known; a petname is never replaced."""
        self.run_(self.people.meet(EVE.id))
        self.run_(self.people.meet(EVE.id, Met(EVE.key, "eve")))
        self.assertEqual(self.name(EVE), "eve")
        self.run_(self.people.meet(EVE.id, Met(EVE.key, "mallory")))
        self.assertEqual(self.name(EVE), "eve")
        self.run_(self.people.add(BOB.id, ""))
        self.run_(self.people.meet(BOB.id, Met(BOB.key, "eve")))
        self.assertEqual(self.name(BOB), compact_id(BOB.id)[:16])

    def test_a_large_roster_is_listed_in_one_breath(self) -> None:
        """Naming everybody looks at each row of the roster once, not once for each row."""
        peers = [identity_of(f"peer {number}") for number in range(300)]
        self.roster(*((peer, f"peer-{number}") for number, peer in enumerate(peers)))
        view = self.people.rosters[SERVER]
        counted = 0
        rows = view.rows

        def counting() -> Any:
            nonlocal counted
            counted += 1
            return rows()

        self.patch(view, "rows", counting)
        names = {self.people.person(identifier).name for identifier in self.people.everybody()}
        self.assertEqual(len(names), 300)
        self.assertLess(counted, 5)


class PersonTests(PeopleTests):
    def test_online(self) -> None:
        """Online is the word of servers that are there; without any nothing is said."""
        self.roster((EVE, "eve"))
        self.assertIs(self.people.person(EVE.id).online, True)
        self.assertIs(self.people.person(BOB.id).online, False)
        self.people.online_servers.clear()
        person = self.people.person(EVE.id)
        self.assertEqual((person.online, person.last_known), (None, True))

    def test_standing(self) -> None:
        """New, known, verified, blocked."""
        self.assertEqual(self.people.person(BOB.id).standing, "new")
        self.run_(self.people.add(BOB.id, "bob"))
        self.assertEqual(self.people.person(BOB.id).standing, "known")
        self.run_(self.people.change(BOB.id, verifying(WALL)))
        self.assertEqual(self.people.person(BOB.id).standing, "verified")
        self.run_(self.people.block(BOB.id))
        self.assertEqual(self.people.person(BOB.id).standing, "blocked")
        self.assertTrue(self.people.facts(BOB.id).blocked)

    def test_everybody(self) -> None:
        """Contacts and those on the rosters, each once, oneself never."""
        self.run_(self.people.add(BOB.id, "bob"))
        self.roster((EVE, "eve"), (BOB, "bob"), (ME, "me"))
        self.assertEqual(self.people.everybody(), [BOB.id, EVE.id])

    def test_contacts_are_watched_first(self) -> None:
        """Those whom the person keeps come before those who were met."""
        self.run_(self.people.meet(EVE.id))
        self.run_(self.people.add(BOB.id, "bob"))
        self.assertEqual(self.people.known_ids(), [BOB.id, EVE.id])

    def test_oneself_is_no_contact(self) -> None:
        """One's own id is refused."""
        self.failureResultOf(Deferred.fromCoroutine(self.people.add(ME.id, "me")), UserError)

    def test_key_is_pinned_once(self) -> None:
        """The first key and the hybrid are remembered; later meetings change neither."""
        self.run_(self.people.meet(EVE.id, Met(EVE.key, "eve", hybrid=True)))
        self.wall += 5
        self.run_(self.people.meet(EVE.id, Met(BOB.key, "other", hybrid=False)))
        contact = self.people.contact(EVE.id)
        assert contact is not None
        self.assertEqual((contact.key, contact.petname, contact.hybrid_at), (EVE.key, "eve", WALL))
        self.assertTrue(self.people.facts(EVE.id).hybrid_before)

    def test_server_that_is_online_counts_before_one_that_is_lost(self) -> None:
        """Of two rosters that of the server that is there is believed."""
        self.roster((EVE, "old"), server=bytes(32))
        self.roster((EVE, "new"))
        self.people.online_servers = {SERVER}
        row = self.people.row(EVE.id)
        assert row is not None
        self.assertEqual(row.body.handle, "new")


class ConsentTests(PeopleTests):
    def test_once_ends_after_a_day(self) -> None:
        """`once` stands for 24 h at most."""
        self.run_(self.people.grant(BOB.id, Scope.ONCE))
        self.clock.advance(ONCE_LASTS - 1)
        self.assertIs(self.people.consent(BOB.id), Scope.ONCE)
        self.clock.advance(1)
        self.assertIsNone(self.people.consent(BOB.id))

    def test_timed(self) -> None:
        """Timed consent stands as long as was said, and is no contact."""
        self.run_(self.people.grant(BOB.id, Scope.TIMED, HOUR))
        self.clock.advance(HOUR - 1)
        self.assertIs(self.people.consent(BOB.id), Scope.TIMED)
        self.clock.advance(1)
        self.assertIsNone(self.people.consent(BOB.id))
        self.assertEqual(self.people.contacts(), [])

    def test_always(self) -> None:
        """`always` stands until the person takes it back; who has it is a contact."""
        self.run_(self.people.grant(BOB.id, Scope.ALWAYS))
        self.clock.advance(1000 * DAY)
        self.run_(self.people.revoke(BOB.id))
        self.assertIs(self.people.consent(BOB.id), Scope.ALWAYS)
        self.assertEqual([contact.peer for contact in self.people.contacts()], [BOB.id])

    def test_revoke(self) -> None:
        """What was revoked is gone, also after a start."""
        self.run_(self.people.grant(BOB.id, Scope.ONCE))
        self.run_(self.people.revoke(BOB.id))
        self.assertIsNone(self.people.consent(BOB.id))
        self.assertIsNone(self.loaded().consent(BOB.id))

    def test_over_a_start(self) -> None:
        """What is left of consent stands after a start."""
        self.run_(self.people.grant(BOB.id, Scope.ONCE))
        self.run_(self.people.grant(EVE.id, Scope.TIMED, HOUR))
        self.clock.advance(HOUR / 2)
        self.wall += int(HOUR / 2 * 1000)
        people = self.loaded()
        self.clock.advance(HOUR / 2 - 1)
        self.assertEqual((people.consent(BOB.id), people.consent(EVE.id)), (Scope.ONCE, Scope.TIMED))
        self.clock.advance(1)
        self.assertEqual((people.consent(BOB.id), people.consent(EVE.id)), (Scope.ONCE, None))

    def test_F15_steps_of_the_wall_clock(self) -> None:
        """A running peer does not ask the wall clock whether consent stands."""
        self.run_(self.people.grant(BOB.id, Scope.TIMED, HOUR))
        for step in (-10 * 365 * DAY, 20 * 365 * DAY):
            self.wall += int(step * 1000)
            self.assertIs(self.people.consent(BOB.id), Scope.TIMED)
        self.clock.advance(HOUR)
        self.assertIsNone(self.people.consent(BOB.id))

    def test_F15_clock_that_was_wrong_makes_no_consent_last_longer(self) -> None:
        """After a start with a clock ten years back `once` stands for a day at most, and timed for a year."""
        self.run_(self.people.grant(BOB.id, Scope.ONCE))
        self.run_(self.people.grant(EVE.id, Scope.TIMED, HOUR))
        self.wall -= int(10 * 365 * DAY * 1000)
        people = self.loaded()
        self.clock.advance(ONCE_LASTS)
        self.assertIsNone(people.consent(BOB.id))
        self.clock.advance(TIMED_AT_MOST)
        self.assertIsNone(people.consent(EVE.id))

    def test_F15_clock_that_ran_ahead_ends_consent(self) -> None:
        """After a start with a clock ten years ahead nothing but `always` stands."""
        self.run_(self.people.grant(BOB.id, Scope.ONCE))
        self.run_(self.people.grant(EVE.id, Scope.ALWAYS))
        self.wall += int(10 * 365 * DAY * 1000)
        people = self.loaded()
        self.assertEqual((people.consent(BOB.id), people.consent(EVE.id)), (None, Scope.ALWAYS))

    def test_remove(self) -> None:
        """Nothing stands for who is a contact no longer; who was never one cannot be removed."""
        self.run_(self.people.add(BOB.id, "bob"))
        self.run_(self.people.conversation(BOB.id))
        self.run_(self.people.remove(BOB.id))
        for people in (self.people, self.loaded()):
            self.assertIsNone(people.consent(BOB.id))
            self.assertEqual(people.contacts(), [])
            self.assertEqual(people.person(BOB.id).standing, "known")
        for stranger in (BOB, EVE):
            self.failureResultOf(Deferred.fromCoroutine(self.people.remove(stranger.id)), NoSuchContact)

    def test_remove_leaves_nothing_where_nothing_was_said(self) -> None:
        """A contact without a conversation is forgotten, unless it is blocked."""
        self.run_(self.people.add(BOB.id, "bob"))
        self.run_(self.people.add(EVE.id, "eve"))
        self.run_(self.people.block(EVE.id))
        for peer in (BOB, EVE):
            self.run_(self.people.remove(peer.id))
        self.assertIsNone(self.people.contact(BOB.id))
        self.assertTrue(self.loaded().facts(EVE.id).blocked)
