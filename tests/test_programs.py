"""p2pchat.peer.programs: programs of the person, with real processes and a clock of the test's."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from p2pchat.peer.programs import AT_ONCE, ENDED_WITHIN, PER, STARTS, TIME_TO_LIVE, WAITING, Programs
from tests.servers import until

reactor: Any = _reactor


class Reactor(Clock):
    """The time is the test's, the processes are real."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Any] = []

    def spawnProcess(self, protocol: Any, *words: Any, **options: Any) -> Any:
        process = reactor.spawnProcess(protocol, *words, **options)
        self.started.append(process)
        return process


def script(path: Path, text: str) -> Path:
    """A program in Python."""
    path.write_text(f"#!{sys.executable} -I\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class ProgramsTests(TestCase):
    timeout = 180

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.reactor = Reactor()
        self.complaints: list[str] = []
        self.programs = Programs(self.reactor, self.complaints.append)  # type: ignore[arg-type]

    async def tearDown(self) -> None:
        await self.programs.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        # Their pipes are closed a turn of the reactor later.
        await until(reactor, lambda: not any(process.pipes for process in self.reactor.started))

    async def all_ended(self) -> None:
        await until(reactor, lambda: not self.programs._running)

    async def test_words_and_input(self) -> None:
        """A program gets the words as they are, no shell between, and all of the data; what it writes is let go."""
        out = self.directory / "out"
        text = (
            "import json, sys\n"
            "data = sys.stdin.read(); print('x' * 100_000); print('y', file=sys.stderr)\n"
            f"json.dump([sys.argv[1:], data], open({str(out)!r}, 'w'))"
        )
        program = script(self.directory / "program", text)
        words = ["$(x)", "`x`", "-e", "'; rm", "%n", "<b>&amp;</b>", "", "two words\n"]
        data = b"\\u00e9 " * 50_000
        self.programs.run([str(program), *words], data)
        await self.all_ended()
        self.assertEqual(json.loads(out.read_text()), [words, data.decode()])
        self.assertEqual(self.complaints, [])

    async def test_killed(self) -> None:
        """One that takes too long is killed, whatever it does about signals and its input."""
        program = script(
            self.directory / "program", "import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: signal.pause()"
        )
        self.programs.run([str(program)], b"x" * 1_000_000)
        self.reactor.advance(TIME_TO_LIVE - 1)
        self.assertEqual(len(self.programs._running), 1)
        self.reactor.advance(1)
        await self.all_ended()
        self.assertEqual(self.complaints, [f"{program} took more than 10 s and was killed; the log says more"])

    async def test_what_it_leaves_behind(self) -> None:
        """One that ends and leaves a child with its pipes behind takes no place any more."""
        left = self.directory / "left"
        text = (
            "import os, signal\n"
            "child = os.fork()\n"
            f"if child: open({str(left)!r}, 'w').write(str(child))\n"
            "else: signal.pause()"
        )
        self.programs.run([str(script(self.directory / "program", text))])
        await self.all_ended()
        os.kill(int(left.read_text()), 9)

    async def test_few_at_a_time(self) -> None:
        """Some run, some wait, and what is beyond is left out and said once; when they end, those that wait run."""
        program = script(self.directory / "program", "import sys; sys.stdin.read(); import signal; signal.pause()")
        for _ in range(STARTS + 20):
            self.programs.run([str(program)])
        self.assertEqual(len(self.programs._running), AT_ONCE)
        self.assertEqual(len(self.programs._waiting), WAITING)
        [complaint] = self.complaints
        self.assertIn("more came", complaint)
        self.reactor.advance(TIME_TO_LIVE)
        await until(reactor, lambda: len(self.reactor.started) == 2 * AT_ONCE)

    async def test_starts_per_minute(self) -> None:
        """So many in a minute, however quick they are; afterwards again."""
        program = str(script(self.directory / "program", ""))
        for _ in range(STARTS + 10):
            self.programs.run([program])
            await self.all_ended()
        self.assertEqual(len(self.reactor.started), STARTS)
        self.reactor.advance(PER)
        self.programs.run([program])
        await self.all_ended()
        self.assertEqual(len(self.reactor.started), STARTS + 1)

    async def test_missing(self) -> None:
        """One that is not there, or cannot be run, is said once, and nothing else happens."""
        data = self.directory / "data"
        data.write_text("no program")
        for _ in range(3):
            self.programs.run([str(self.directory / "nothing")], b"x")
            self.programs.run([str(data)], b"x")
            self.programs.missing("notify-send", "install it")
        self.assertEqual(len(self.complaints), 3, self.complaints)
        for complaint in self.complaints:
            self.assertIn("cannot be run", complaint)
            self.assertNotIn("\n", complaint)
        self.assertEqual(self.programs._running, set())

    async def test_failing(self) -> None:
        """One that fails is said once, without what it wrote, which may be the words of somebody else."""
        program = script(
            self.directory / "program", "import sys; print('-- server lost', file=sys.stderr); sys.exit(3)"
        )
        for _ in range(3):
            self.programs.run([str(program)])
        await self.all_ended()
        self.assertEqual(self.complaints, [f"{program} failed (exit code 3); the log says more"])

    async def test_one_that_cannot_be_killed(self) -> None:
        """The end waits some seconds for what was killed, and no longer: a process may hang in the kernel."""
        program = script(self.directory / "program", "import signal; signal.pause()")
        self.programs.run([str(program)])
        [running] = self.programs._running
        kill = running.kill
        self.patch(running, "kill", lambda: None)
        ended = self.programs.stop()
        self.reactor.advance(ENDED_WITHIN - 1)
        self.assertFalse(ended.called)
        self.reactor.advance(1)
        self.assertTrue(ended.called)
        kill()
        await self.all_ended()

    async def test_stopped(self) -> None:
        """After the end nothing is started."""
        program = script(self.directory / "program", "import signal; signal.pause()")
        for _ in range(AT_ONCE + 2):
            self.programs.run([str(program)])
        await self.programs.stop()
        self.programs.run([str(program)])
        self.assertEqual(len(self.reactor.started), AT_ONCE)
