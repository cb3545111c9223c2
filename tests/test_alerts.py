"""p2pchat.ui.alerts: how a terminal tells of what nobody looks at."""

import unicodedata

import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.ui.alerts import alert, notice_words, notification_lines, way
from tests.fake_api import BOB, CAROL

WAYS: tuple[tuple[dict[str, str], str], ...] = (
    ({"TERM": "xterm-256color"}, "bell"),
    ({"TERM": "linux"}, "bell"),
    ({"TERM": "xterm-kitty"}, "osc9"),
    ({"TERM": "foot"}, "osc777"),
    ({"TERM": "rxvt-unicode-256color"}, "osc777"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "osc9"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "osc9"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, "bell"),
    ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux"}, "bell"),
    ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, "bell"),
    ({"TERM": "screen.xterm-256color", "STY": "1.pts-0"}, "bell"),
    ({"TERM": "dumb"}, "off"),
    ({}, "off"),
)


def said(text: str = "hello", **fields: object) -> api.Notice:
    return api.Notice(**{"person": CAROL, "what": "said", "count": 1, "text": text, **fields})  # type: ignore[arg-type]


class AlertTests(SynchronousTestCase):
    def test_ways(self) -> None:
        """Each terminal tells as it can; what the person set goes before what the terminal's name says."""
        for environment, expected in WAYS:
            self.assertEqual(way("auto", environment), expected, environment)
            self.assertEqual(way("osc9", environment), "osc9")

    def test_sequences(self) -> None:
        """A bell, a text in one of two control sequences, or nothing."""
        for terminal, sequence in {
            "bell": "\a",
            "osc9": "\x1b]9;p2pchat: carol: hello; 4;1\x1b\\",
            "osc777": "\x1b]777;notify;p2pchat;carol: hello, 4,1\x1b\\",
            "off": "",
        }.items():
            self.assertEqual(alert(said("hello; 4;1", terminal=terminal), {}), sequence)

    def test_words(self) -> None:
        """Who and what, in one line; a stranger with the id."""
        for notice, words in (
            (said(), "carol: hello"),
            (said(text=""), "carol: 1 message"),
            (said(count=12), "carol: 12 messages"),
            (said(what="asked", text="about it"), "carol asks to chat: about it"),
            (said(what="asked", text="", person=BOB), f"bob ({BOB.id[:19]}) asks to chat"),
            (said("x" * 500), f"carol: {'x' * 199}…"),
        ):
            self.assertEqual(notice_words(notice), words)

    @given(st.text(), st.text(), st.sampled_from(["osc9", "osc777"]))
    def test_X7_X1_nothing_ends_the_sequence(self, text: str, name: str, terminal: str) -> None:
        """Whatever somebody wrote, or is called: between the beginning and the end stands nothing but text."""
        named = msgspec.structs.replace(CAROL, name=name)
        sequence = alert(said(text, person=named, terminal=terminal), {})
        inside = sequence.removeprefix("\x1b]").removesuffix("\x1b\\")
        self.assertEqual({c for c in inside if unicodedata.category(c) in ("Cc", "Cf", "Cs")}, set())
        if terminal == "osc777":
            self.assertEqual(inside.count(";"), 3)

    def test_settings(self) -> None:
        """What is set, in words; on a desktop with texts, who else may read them."""
        shown = api.Notifications(
            dnd=True, until=1_790_000_000_000, quiet="22:00-7:00", muted=(BOB, CAROL), terminal="auto",
            desktop=True, text=True, hook="/usr/local/bin/tell",
        )  # fmt: skip
        lines = notification_lines(shown)
        self.assertIn("do not disturb: on until 2026-", lines[0])
        self.assertIn("nothing is told of: bob, carol", lines)
        self.assertIn("hook: /usr/local/bin/tell", lines)
        self.assertIn("/notify text off", lines[4])
        self.assertEqual(notification_lines(shown, api.SetNotifications(dnd=True)), lines[:1])
        self.assertEqual(notification_lines(shown, api.SetNotifications(who="bob", told=False)), lines[2:3])
        self.assertEqual(notification_lines(shown, api.ShowNotifications()), lines)
