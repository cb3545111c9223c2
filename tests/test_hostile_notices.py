"""X7, X1: what a contact writes, in programs that are run for it: notify-send and a hook, as real processes."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from p2pchat import api
from p2pchat.core.notices import NOTICES
from p2pchat.core.text import Kind, clean
from p2pchat.peer.programs import AT_ONCE, STARTS

from .test_hostile_text import X1, X2, X3, X7, Sinks
from .test_programs import script
from .victims import PeerVictim

RECORD = """
import json, os, sys
path = {directory!r} + "/" + str(os.getpid())
with open(path + ".part", "w") as file:
    json.dump({{"words": sys.argv[1:], "input": sys.stdin.read(), "shell": os.environ.get("SHLVL")}}, file)
os.rename(path + ".part", path + ".json")
"""


class NoticeTests(Sinks):
    """A victim whose person is told on the desktop and by a hook."""

    async def notified(self) -> PeerVictim:
        """`ran` gives what either program was given."""
        self.records = Path(self.mktemp()).absolute()
        programs = self.records / "bin"
        programs.mkdir(parents=True)
        for name in ("notify-send", "hook"):
            (self.records / name).mkdir()
            script(programs / name, RECORD.format(directory=str(self.records / name)))
        self.patch(os, "environ", {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
        victim, _ = await self.start()
        await victim.do(api.SetNotifications(desktop=True, hook=str(programs / "hook")))
        return victim

    def ran(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in (self.records / name).glob("*.json")]

    def more_ran(self, than: int) -> bool:
        """Whether notify-send was run again."""
        return len(self.ran("notify-send")) > than

    async def test_X7_X1_texts_are_arguments(self) -> None:
        """A text is one argument behind `--`, cleaned, and shows as it was typed; no shell is there, and no option."""
        victim = await self.notified()
        before = sorted(os.listdir())
        hostile = [*X7, X1[0], X1[2], X2[4], X3[0], "a\\033[2Jb", "&lt;", "x" * 16_000]
        for text in hostile:
            count = len(self.ran("notify-send"))
            await self.tell(victim, text)
            await self.reactor.skip(2.0)
            await self.until(partial(self.more_ran, count), "notify-send")
            await victim.do(api.Displayed(who="friend", entry=victim.told(api.Said)[-1].entry))
            await self.reactor.skip(10.0)
        self.assertEqual(sorted(os.listdir()), before)
        bodies = set()
        for ran in self.ran("notify-send"):
            application, end, summary, body = ran["words"]
            self.assertEqual((application, end, summary), ("--app-name=p2pchat", "--", "friend: 1 message"))
            self.assertEqual((ran["input"], ran["shell"]), ("", os.environ.get("SHLVL")))
            self.assert_harmless(body)
            for sign in "<>":
                self.assertNotIn(sign, body)
            # What markup and C escapes (g_strcompress) make of it.
            for written, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("\\\\", "\\")):
                body = body.replace(written, sign)
            bodies.add(body)
        shown = {clean(text, Kind.LINE) for text in hostile}
        self.assertEqual(bodies, {text if len(text) <= 200 else f"{text[:199]}…" for text in shown})

    async def test_X7_X1_hook(self) -> None:
        """A hook gets no arguments, and the event on its input: one line, printable ASCII, that gives back the text."""
        victim = await self.notified()
        hostile = [*X7, *X1, *X2[:5], *X3[:5]]
        await self.tell(victim, *hostile)
        await self.reactor.skip(2.0)
        await self.until(lambda: len(self.ran("hook")) == len(hostile), "the hooks")
        events = []
        for ran in self.ran("hook"):
            self.assertEqual(ran["words"], [])
            self.assertTrue(ran["input"].removesuffix("\n").isprintable() and ran["input"].isascii())
            events.append(json.loads(ran["input"]))
        self.assertEqual({event["type"] for event in events}, {"said"})
        self.assertEqual(sorted(event["text"] for event in events), sorted(hostile))

    async def test_X7_flood(self) -> None:
        """A contact who writes without end runs few programs and fills no desktop, and the chat goes on."""
        victim = await self.notified()
        count = 5 * STARTS
        for begin in range(0, count, 100):
            await self.tell(victim, *(f"flood {number}" for number in range(begin, begin + 100)))
        await self.reactor.skip(2.0)
        await self.until(lambda: bool(self.ran("notify-send")), "notify-send")
        running = victim.service._programs[0]
        self.assertLessEqual(len(running._running), AT_ONCE)
        await self.until(lambda: not running._running, "their end")
        self.assertLessEqual(len(self.ran("hook")) + len(self.ran("notify-send")), STARTS)
        self.assertLessEqual(len(self.ran("notify-send")), NOTICES)
        await self.until(lambda: bool(victim.told(api.Notice)), "a notice")
        [problem] = [each.text for each in victim.told(api.Problem)]
        self.assertIn("was not given to them", problem)
        await victim.undisturbed()

    async def test_X7_hook_that_hangs(self) -> None:
        """A hook that takes for ever is killed, harms no chat, and does not hold up the end of the peer."""
        victim = await self.notified()
        hanging = script(self.records / "bin" / "hanging", "import signal; signal.pause()")
        await victim.do(api.SetNotifications(desktop=False, hook=str(hanging)))
        await self.tell(victim, *X7)
        await self.reactor.skip(2.0)
        running = victim.service._programs[0]
        await self.until(lambda: len(running._running) == AT_ONCE, "hooks")
        first = set(running._running)
        await self.reactor.skip(10.0)
        await self.until(lambda: not first & running._running, "their end")
        await victim.undisturbed()
        await victim.service.stopService()
        self.assertEqual(running._running, set())

    async def test_X7_nothing_unless_asked_for(self) -> None:
        """Without the person's own setting no program is run, whatever comes."""
        victim = await self.notified()
        await victim.do(api.SetNotifications(desktop=False, hook=""))
        await self.tell(victim, *X7)
        await self.reactor.skip(2.0)
        await self.until(lambda: bool(victim.told(api.Notice)), "a notice")
        self.assertEqual(self.ran("hook") + self.ran("notify-send"), [])
        for running in victim.service._programs:
            self.assertEqual(list(running._started_at), [])
