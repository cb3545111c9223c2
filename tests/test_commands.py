"""p2pchat.ui.commands: what a person may type."""

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat import api
from p2pchat.core.errors import UsageError
from p2pchat.ui.actions import (
    AcceptRequest,
    Clear,
    Detach,
    Export,
    Fingerprint,
    Help,
    Jump,
    More,
    OwnMessage,
    Paste,
    Quit,
    RejectRequest,
    Switch,
    Unconfirmed,
    Version,
)
from p2pchat.ui.arguments import parse_scope
from p2pchat.ui.commands import TABLE, NoChat, completions, nearest, parse

EXAMPLES = {
    "/list": api.ListPeople(),
    "/who": api.ListPeople(),
    "/names": api.ListPeople(),
    "/LIST ": api.ListPeople(),
    " /list": api.ListPeople(),
    "/connect carol": api.Connect(who="carol"),
    "/c carol about  the grant": api.Connect(who="carol", text="about the grant"),
    "/connect 10.0.0.9:6667": api.Connect(who="10.0.0.9:6667"),
    "/msg carol hi  there\nyou": api.Say(who="carol", text="hi  there\nyou"),
    "/msg carol": Switch("carol"),
    "@carol hi": api.Say(who="carol", text="hi"),
    "@carol": Switch("carol"),
    '@"carol smith" hi': api.Say(who="carol smith", text="hi"),
    "/msg @carol hi": api.Say(who="carol", text="hi"),
    "/accept": AcceptRequest(),
    "/accept alice": AcceptRequest("alice"),
    "/accept always": AcceptRequest(None, "always", None, "always"),
    "/accept 2h": AcceptRequest(None, "timed", 7_200, "2h"),
    "/accept alice 30m": AcceptRequest("alice", "timed", 1_800),
    "/accept once once": AcceptRequest("once", "once"),
    "/accept alice 1d": AcceptRequest("alice", "timed", 86_400),
    "/reject": RejectRequest(),
    "/decline alice": RejectRequest("alice"),
    "/close": api.Close(who="bob"),
    "/leave carol": api.Close(who="carol"),
    "/disconnect": api.Close(who="bob"),
    "/stop": api.Stop(),
    "/quit": Quit(),
    "/exit": Quit(),
    "/q": Quit(),
    "/detach": Detach(),
    "/clear": Clear(),
    "/version": Version(),
    "/whoami": api.WhoAmI(),
    "/whois carol": api.WhoIs(who="carol"),
    "/whois": api.WhoIs(who="bob"),
    "/fingerprint": Fingerprint(),
    "/fingerprint carol": Fingerprint("carol"),
    "/verify": api.SafetyNumber(who="bob"),
    "/verify carol": api.SafetyNumber(who="carol"),
    "/verify carol yes": api.Verify(who="carol"),
    "/verify no": api.Verify(who="bob", verified=False),
    "/trust carol": api.Trust(who="carol"),
    "/trust carol --classical": api.Trust(who="carol", classical=True),
    "/trust --classical": api.Trust(who="bob", classical=True),
    "/untrust carol": api.RemoveContact(who="carol"),
    "/untrust": api.RemoveContact(who="bob"),
    "/block carol": api.Block(who="carol"),
    "/ignore carol": api.Block(who="carol"),
    "/unblock carol": api.Unblock(who="carol"),
    "/contacts": api.Contacts(),
    "/contacts add x1mm-2 carol": api.AddContact(id="x1mm-2", name="carol"),
    "/contacts remove carol": api.RemoveContact(who="carol"),
    "/query carol hi": api.Say(who="carol", text="hi"),
    "/history": api.ShowLines(who="bob", count=20),
    "/history carol": api.ShowLines(who="carol", count=20),
    "/history 50": api.ShowLines(who="bob", count=50),
    "/history @50": api.ShowLines(who="50", count=20),
    "/history @carol 5": api.ShowLines(who="carol", count=5),
    '/scrollback "carol smith" 1000': api.ShowLines(who="carol smith", count=1000),
    '/search  the café AND "x': api.Search(words='the café AND "x', count=10),
    "/lastlog x": api.Search(words="x", count=10),
    "/grep x": api.Search(words="x", count=10),
    "/jump 3": Jump(3),
    "/jump [3]": Jump(3),
    "/more": More(),
    "/newer": More(newer=True),
    "/export notes.txt": Export("bob", "notes.txt", False),
    "/export carol ~/notes.JSONL": Export("carol", "~/notes.JSONL", True),
    "/export carol notes.txt --json": Export("carol", "notes.txt", True),
    '/export --text @carol "my notes.json"': Export("carol", "my notes.json", False),
    "/queue": api.ShowQueue(),
    "/queue @carol": api.ShowQueue(who="carol"),
    "/cancel 13": api.Cancel(who="bob", number=13),
    "/cancel #13": api.Cancel(who="bob", number=13),
    "/cancel carol 13": api.Cancel(who="carol", number=13),
    "/unsend alice#13": OwnMessage(api.Cancel(who="bob", number=13), "alice"),
    "/seen 13": api.ShowMessage(who="bob", number=13),
    "/seen carol #13": api.ShowMessage(who="carol", number=13),
    "/seen carol alice#13": OwnMessage(api.ShowMessage(who="carol", number=13), "alice"),
    "/doubts": api.ShowDoubts(),
    "/resend 31-40": api.Resend(who="bob", first=31, last=40),
    "/resend carol #31-#40": api.Resend(who="carol", first=31, last=40),
    "/resend carol 31": api.Resend(who="carol", first=31, last=31),
    "/fetch": api.FetchHistory(who="bob"),
    "/fetch carol": api.FetchHistory(who="carol"),
    "/leave-it": api.LeaveIt(who="bob"),
    "/leave-it carol": api.LeaveIt(who="carol"),
    "/forget carol": Unconfirmed(api.Forget(who="carol")),
    "/forget @carol yes": api.Forget(who="carol"),
    "/forget yes": Unconfirmed(api.Forget(who="yes")),
    "/retention": api.ShowRetention(),
    "/retention 30": Unconfirmed(api.SetRetention(days=30)),
    "/retention 30 yes": api.SetRetention(days=30),
    "/retention off": api.SetRetention(days=None),
    "/retention carol 7": Unconfirmed(api.SetRetention(days=7, who="carol")),
    "/retention carol 7 yes": api.SetRetention(days=7, who="carol"),
    "/retention carol off": api.SetRetention(days=None, who="carol"),
    "/dnd": api.ShowNotifications(),
    "/dnd on": api.SetNotifications(dnd=True),
    "/dnd off": api.SetNotifications(dnd=False),
    "/dnd 2h": api.SetNotifications(dnd=True, seconds=7_200),
    "/notify": api.ShowNotifications(),
    "/notify none": api.SetNotifications(who="bob", told=False),
    "/notify carol all": api.SetNotifications(who="carol", told=True),
    "/notify @desktop none": api.SetNotifications(who="desktop", told=False),
    '/notify "carol smith" none': api.SetNotifications(who="carol smith", told=False),
    "/notify dnd 30m": api.SetNotifications(dnd=True, seconds=1_800),
    "/notify quiet 22:00-7:00": api.SetNotifications(quiet="22:00-7:00"),
    "/notify quiet off": api.SetNotifications(quiet=""),
    "/notify terminal bell": api.SetNotifications(terminal="bell"),
    "/notify desktop on": api.SetNotifications(desktop=True),
    "/notify text off": api.SetNotifications(text=False),
    "/notify hook /usr/local/bin/tell": api.SetNotifications(hook="/usr/local/bin/tell"),
    "/notify hook off": api.SetNotifications(hook=""),
    "/paste": Paste(),
    "/status": api.Status(),
    "/ping": api.Ping(who="bob"),
    "/ping @carol": api.Ping(who="carol"),
    "/ping server": api.Ping(who="server"),
    "/reconnect": api.Reconnect(),
    "/reconnect carol": api.Reconnect(who="carol"),
    "/doctor": api.Examine(),
    "/help": Help(),
    "/help /list": Help("list"),
    "//etc": api.Say(who="bob", text="/etc"),
    "///": api.Say(who="bob", text="//"),
    "hello": api.Say(who="bob", text="hello"),
    "  indented": api.Say(who="bob", text="  indented"),
    "two\nlines": api.Say(who="bob", text="two\nlines"),
    "7 lists": api.Say(who="bob", text="7 lists"),
    "- help me": api.Say(who="bob", text="- help me"),
    "": None,
    "  \n": None,
}


class ParseTests(SynchronousTestCase):
    """Lines into actions."""

    def test_examples(self):
        """Every command, alias and form of its arguments means what the table says."""
        for line, action in EXAMPLES.items():
            self.assertEqual(parse(line, "bob"), action, line)

    def test_every_name_is_an_example(self):
        """No command of the table is left out of the examples."""
        typed = {line.split()[0][1:].lower() for line in EXAMPLES if line.strip().startswith("/") and line[1:2] != "/"}
        self.assertEqual({name for row in TABLE for name in (row.name, *row.aliases)} - typed, set())

    def test_no_current_chat(self):
        """A message typed while no chat is the current one goes to nobody; commands work."""
        for line in ("hello", "//etc"):
            self.assertRaises(NoChat, parse, line, None)
        self.assertEqual(parse("@bob hello", None), api.Say(who="bob", text="hello"))
        self.assertRaises(UsageError, parse, "/close", None)

    def test_X6_mistyped_command_is_never_sent(self):
        """A line that looks like a mistyped command is refused and the nearest command named."""
        for line, meant in {
            "/lsit": "/list",
            "/conect bob": "/connect",
            "/conn bob": "/connect",
            "/acept": "/accept",
            "/quiet": "/quit",
            "/ list": "/list",
            "7list": "/list",
            "\\quit": "/quit",
            "-/accept alice": "/accept",
            ".exit": "/exit",
            "／list": "/list",
            "quit": "/quit",
            " exit ": "/exit",
        }.items():
            error = self.assertRaises(UsageError, parse, line, "bob")
            self.assertIn(f"did you mean {meant}?", str(error), line)
        for line in ("/etc/passwd is odd", "/", "/zzzz"):
            self.assertIn("//", str(self.assertRaises(UsageError, parse, line, "bob")))

    def test_wrong_arguments(self):
        """Wrong arguments are one line that shows the right ones."""
        for line in (
            "/list all",
            "/connect",
            "/msg",
            "/accept alice forever",
            "/accept alice 2h 3h",
            "/accept alice 0m",
            "/accept alice 400d",
            "/block",
            "/unblock",
            "/contacts add",
            "/verify a b c",
            "/quit now",
            "/history carol many",
            "/history 1001",
            "/history carol 0",
            "/history carol 5 6",
            "/search",
            "/jump",
            "/jump x",
            "/more 3",
            "/newer 3",
            "/export",
            "/export carol file more",
            "/cancel",
            "/cancel carol",
            "/cancel 0",
            "/seen carol thirteen",
            "/queue bob carol",
            "/doubts carol",
            "/resend carol",
            "/resend carol 3-",
            "/fetch carol dora",
            "/forget",
            "/forget carol no",
            "/retention carol",
            "/retention carol 0",
            "/retention yes",
            "/retention a b 3",
            "/dnd always",
            "/dnd maybe",
            "/notify desktop perhaps",
            "/notify loud",
            "/notify hook a b",
        ):
            error = str(self.assertRaises(UsageError, parse, line, "bob"))
            self.assertIn(f"write /{line.split()[0][1:]}", error)
            self.assertNotIn("\n", error)

    def test_durations(self):
        """30m, 2h and 1d are durations; nothing else is."""
        self.assertEqual(
            [parse_scope(word) for word in ("30m", "2H", "1d")], [("timed", n) for n in (1800, 7200, 86400)]
        )
        for word in ("m", "30", "1w", "-1h", "1.5h", "²h", ""):
            self.assertIsNone(parse_scope(word))

    @settings(max_examples=300)
    @given(st.text(max_size=40) | st.text('/@ "abcdeilqstu\n', max_size=20), st.none() | st.just("bob"))
    def test_total(self, line, current):
        """Whatever is typed is an action, nothing, or UsageError; and only a message for a known chat is sent."""
        try:
            action = parse(line, current)
        except UsageError as error:
            self.assertNotIn("\n", str(error))
            return
        if isinstance(action, api.Say):
            self.assertTrue(action.text.strip())
            self.assertTrue(action.who == current or line.lstrip().startswith(("@", "/msg")))


class OfferTests(SynchronousTestCase):
    """What is offered for what was typed, from the same table."""

    def test_nearest(self):
        """Nothing near is nothing suggested."""
        self.assertEqual([nearest(word) for word in ("wohis", "xyzzy", "")], ["whois", None, None])

    def test_completions(self):
        """Commands, names, those who wait, and consents are completed where they belong."""
        people, pending = ["bob", "bela", "carol"], ["dora"]
        for text, offers in {
            "/co": ["/connect", "/contacts"],
            "/connect b": ["bob", "bela"],
            "/connect bob h": [],
            "@c": ["@carol"],
            "/accept ": ["dora"],
            "/accept dora a": ["always"],
            "/help clo": ["close"],
            "/history b": ["bob", "bela"],
            "/export c": ["carol"],
            "/export carol /nowhere/": [],
            "/dnd o": ["on", "off"],
            "/notify de": ["desktop"],
            "/notify ca": ["carol"],
            "hello b": [],
            "h": [],
            "": [],
            "/nonsense b": [],
        }.items():
            self.assertEqual(completions(text, people, pending), offers, text)
