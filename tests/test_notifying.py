"""p2pchat.peer.notifying and preferences: two peers, of whom one has nobody at a terminal."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from p2pchat import api
from p2pchat.api.lines import to_line
from p2pchat.core.errors import NoSuchContact, UsageError
from p2pchat.core.notices import Preferences
from p2pchat.peer.notifying import Notifying, local_minute, notify_send
from p2pchat.peer.preferences import PREFERENCES_SETTING, stored
from p2pchat.storage.peer_tables import PeerTables
from tests.company import Node, WorldTests
from tests.fake_api import BOB, CAROL
from tests.test_programs import script

NIGHT = 23 * 60


class Runs:
    """Instead of Programs: what would be run."""

    def __init__(self) -> None:
        self.ran: list[tuple[list[str], bytes]] = []
        self.missed: list[str] = []

    def run(self, words: Sequence[str], data: bytes = b"") -> None:
        self.ran.append((list(words), data))

    def missing(self, what: str, advice: str) -> None:
        self.missed.append(what)


def put(tables: PeerTables, data: bytes) -> None:
    """Store it as the preferences."""
    tables.settings.set(PREFERENCES_SETTING, data)


class NotifyingTests(WorldTests):
    """Alice writes to bob."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.world.node("alice"), self.world.node("bob")
        self.alice.knows(self.bob)
        self.bob.knows(self.alice)
        self.minute = 12 * 60
        self.notify(self.bob)
        self.alice.dials(self.bob)
        self.world.settle()
        self.patch(shutil, "which", lambda name: f"/usr/bin/{name}")

    def notify(self, node: Node) -> None:
        """Attach it to recorders of programs."""
        self.hooks, self.desktop = Runs(), Runs()
        environment = node.peer.environment
        self.notifying = Notifying(environment, self.hooks, self.desktop, lambda wall: self.minute)  # type: ignore[arg-type]
        node.commands._notifying = self.notifying
        node.run(self.notifying.load())
        self.heard = len(node.events)

    def say(self, *texts: str) -> None:
        for text in texts:
            self.alice.do(api.Say(who="bob", text=text))

    def hear(self) -> None:
        """Give it the events since the last time."""
        for event in self.bob.events[self.heard :]:
            self.notifying.take(event)
        self.heard = len(self.bob.events)

    def wait(self, seconds: float = 2.0) -> list[api.Notice]:
        """Let time pass, second by second as the service does; the notices meanwhile."""
        before = len(self.bob.told(api.Notice))
        while seconds > 0:
            self.hear()
            self.world.wait(1.0)
            self.bob.commands.look()
            seconds -= 1
        return self.bob.told(api.Notice)[before:]

    def hook(self) -> str:
        path = Path(self.mktemp()).absolute()
        return str(script(path, ""))

    def test_told(self) -> None:
        """A message that no terminal shows is told; several come together."""
        self.say("hello")
        [notice] = self.wait()
        self.assertEqual((notice.person.name, notice.what, notice.count, notice.text), ("alice", "said", 1, "hello"))
        self.say("one", "two", "three")
        self.assertEqual([(each.count, each.text) for each in self.wait(12)], [(3, "three")])

    def test_as_they_are_now(self) -> None:
        """A notice tells of somebody as they are when it is told: a front end takes it for the latest word on them."""
        self.say("hello")
        self.hear()
        self.bob.do(api.Close(who="alice"))
        self.world.settle()
        [notice] = self.wait()
        self.assertEqual(notice.person, self.bob.peer.people.person(self.alice.identity.id))
        self.assertEqual((notice.person.chat, notice.text), ("none", "hello"))

    def test_displayed(self) -> None:
        """What a terminal showed in its chat is told nobody; another chat's terminal changes nothing."""
        self.say("hello")
        [said] = self.bob.told(api.Said)
        self.hear()
        self.bob.do(api.Displayed(who="alice", entry=said.entry))
        self.assertEqual(self.wait(), [])
        carol = self.world.node("carol")
        self.bob.knows(carol)
        self.say("again")
        self.hear()
        self.bob.do(api.Displayed(who="carol", entry=said.entry + 100))
        self.assertEqual([notice.text for notice in self.wait()], ["again"])

    def test_request(self) -> None:
        """A request to chat is told, with its line; one that is over before is not."""
        carol = self.world.node("carol")
        carol.knows(self.bob)
        carol.dials(self.bob, text="about the grant")
        self.world.settle()
        [notice] = self.wait()
        self.assertEqual((notice.person.name, notice.what, notice.text), ("carol", "asked", "about the grant"))
        dora = self.world.node("dora")
        dora.knows(self.bob)
        dora.dials(self.bob)
        self.world.settle()
        self.hear()
        dora.stop()
        self.assertEqual(len(self.bob.told(api.AskEnded)), 1)
        self.assertEqual(self.wait(), [])

    def test_silence(self) -> None:
        """Nothing is told in quiet hours, of who is muted, nor while it is do-not-disturb; afterwards again."""
        for on, off in (
            (api.SetNotifications(dnd=True), api.SetNotifications(dnd=False)),
            (api.SetNotifications(quiet="22-7"), api.SetNotifications(quiet="")),
            (api.SetNotifications(who="alice", told=False), api.SetNotifications(who="alice", told=True)),
        ):
            self.minute = NIGHT
            self.bob.do(on)
            self.say("psst")
            self.assertEqual(self.wait(), [], on)
            self.bob.do(off)
            self.wait(310)
            self.say("hello")
            self.assertEqual(len(self.wait(2)), 1, off)
            self.wait(310)

    def test_dnd_for_a_time(self) -> None:
        """Do-not-disturb for a time is over by itself."""
        reply = self.bob.do(api.SetNotifications(dnd=True, seconds=60))
        assert isinstance(reply, api.Notifications)
        self.assertEqual((reply.dnd, reply.until), (True, self.world.wall + 60_000))
        self.say("psst")
        self.assertEqual(self.wait(), [])
        self.wait(60)
        self.say("hello")
        self.assertEqual(len(self.wait()), 1)
        reply = self.bob.do(api.ShowNotifications())
        assert isinstance(reply, api.Notifications)
        self.assertEqual((reply.dnd, reply.until), (False, None))

    def test_outlasts_a_restart(self) -> None:
        """What was set stands after a restart."""
        hook = self.hook()
        self.bob.do(api.SetNotifications(quiet="22:30-7", terminal="osc9", desktop=True, text=False, hook=hook))
        self.bob.do(api.SetNotifications(who="alice", told=False))
        before = self.bob.do(api.ShowNotifications())
        self.bob.stop()
        self.bob = self.bob.again()
        self.notify(self.bob)
        after = self.bob.do(api.ShowNotifications())
        assert isinstance(before, api.Notifications) and isinstance(after, api.Notifications)
        self.assertEqual(after.muted[0].name, "alice")
        self.assertEqual(msgspec.structs.replace(after, muted=()), msgspec.structs.replace(before, muted=()))
        self.assertEqual(
            (after.quiet, after.terminal, after.desktop, after.text, after.hook),
            ("22:30-7:00", "osc9", True, False, hook),
        )

    def test_unreadable(self) -> None:
        """What is stored and cannot be read counts as nothing; what a newer version added is skipped."""
        for data, expected in (
            (b"\xff", Preferences()),
            (b'{"dnd": 3}', Preferences()),
            (b'{"dnd": true, "colour": "red"}', Preferences(dnd=True)),
        ):
            database = self.bob.peer.environment.database
            self.successResultOf(database.write(partial(put, data=data)))
            self.assertEqual(self.successResultOf(database.read(stored)), expected)

    def test_hook(self) -> None:
        """The hook gets each event, one by one, as the local socket writes it; the desktop gets one notice."""
        hook = self.hook()
        self.bob.do(api.SetNotifications(hook=hook, desktop=True))
        self.say("one", "two")
        self.wait()
        events = self.bob.told(api.Said)
        self.assertEqual(self.hooks.ran, [([hook], to_line(event)) for event in events])
        self.assertEqual(
            self.desktop.ran, [(["/usr/bin/notify-send", "--app-name=p2pchat", "--", "alice: 2 messages", "two"], b"")]
        )

    def test_hook_is_silent_too(self) -> None:
        """Neither program is run while nothing is to be told."""
        self.bob.do(api.SetNotifications(hook=self.hook(), desktop=True, dnd=True))
        self.say("psst")
        self.wait()
        self.assertEqual((self.hooks.ran, self.desktop.ran), ([], []))

    def test_no_texts(self) -> None:
        """Who wants no texts in notices gets none, on the desktop neither."""
        self.bob.do(api.SetNotifications(text=False, desktop=True))
        self.say("secret")
        self.assertEqual([notice.text for notice in self.wait()], [""])
        self.assertEqual(self.desktop.ran[0][0][-2:], ["alice: 1 message", ""])

    def test_no_notify_send(self) -> None:
        """Where notify-send is not there, that is said."""
        self.patch(shutil, "which", lambda name: None)
        self.bob.do(api.SetNotifications(desktop=True))
        self.say("hello")
        self.wait()
        self.assertEqual((self.desktop.ran, self.desktop.missed), ([], ["notify-send"]))

    def test_wrong(self) -> None:
        """What cannot be set is refused in one line, and nothing changes."""
        before = self.bob.do(api.ShowNotifications())
        no_program = Path(self.mktemp()).absolute()
        no_program.write_text("x")
        for command in (
            api.SetNotifications(terminal="loud"),
            api.SetNotifications(quiet="always"),
            api.SetNotifications(told=False),
            api.SetNotifications(hook="bin/hook"),
            api.SetNotifications(hook="/nonsense/hook"),
            api.SetNotifications(hook=str(no_program)),
            api.SetNotifications(hook=str(no_program.parent)),
            api.SetNotifications(hook="\0"),
        ):
            self.bob.refuse(command, UsageError)
        self.bob.refuse(api.SetNotifications(who="nobody", told=False), NoSuchContact)
        self.assertEqual(self.bob.do(api.ShowNotifications()), before)


class WordsTests(WorldTests):
    def test_strangers(self) -> None:
        """Who is no contact is shown with 16 characters of the id, and by a request as one."""
        for person, shown in ((CAROL, "carol"), (BOB, f"bob ({BOB.id[:19]})")):
            notice = api.Notice(person=person, what="asked", count=1, text="let me in")
            self.assertEqual(notify_send("n", notice)[3:], [f"{shown}: asks to chat", "let me in"])

    def test_local_minute(self) -> None:
        """Quiet hours are those of this machine's time zone."""
        self.assertEqual((local_minute(60_000) - local_minute(0)) % (24 * 60), 1)
