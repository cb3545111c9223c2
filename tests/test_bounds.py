"""p2pchat.api.bounds: no number of a command, however large, is more than refused; over all commands and fields."""

import json
from typing import Any, get_args

from hypothesis import given, strategies as st
from msgspec.structs import fields
from twisted.internet.defer import Deferred

from p2pchat import api
from p2pchat.api.bounds import MOST_NUMBER, MOST_SECONDS, check_numbers
from p2pchat.api.lines import to_json
from p2pchat.core.errors import UsageError, UserError
from p2pchat.core.notices import Preferences
from p2pchat.net.local import json_execute
from p2pchat.peer import preferences
from p2pchat.ui.alerts import notification_lines
from tests.company import WALL
from tests.make_local_vectors import example
from tests.test_peer_commands import CommandTests

COMMANDS: tuple[Any, ...] = tuple(kind for kind in get_args(api.Command) if kind is not api.Stop)

BEYOND = (-1, -(2**63), -(2**63) - 1, -(10**30), MOST_NUMBER + 1, 2**63 - 1, 2**63, 2**64, 10**30)

NUMBERS = st.sampled_from((*BEYOND, 0, 1, MOST_SECONDS, MOST_SECONDS + 1, MOST_NUMBER)) | st.integers()

WORDS = st.sampled_from(("", "bob", "alice", "10.0.0.2:6666", "once", "timed", "auto", "22:00-7:00")) | st.text()

VALUES = st.none() | st.booleans() | NUMBERS | st.floats() | WORDS | st.lists(WORDS, max_size=3)


def numbers_of(kind: Any) -> list[str]:
    """The fields of a command that hold a number."""
    return [field.name for field in fields(kind) if int in (field.type, *get_args(field.type))]


FIELDS = tuple((kind, field.name) for kind in COMMANDS for field in fields(kind))


def any_command() -> st.SearchStrategy[dict[str, Any]]:
    """A command as a program may send it: any one of its fields holds what belongs there, or anything else."""
    return st.sampled_from(FIELDS).flatmap(
        lambda one: st.fixed_dictionaries(
            {
                **{name: st.just(value) for name, value in json.loads(to_json(example(one[0]))).items()},
                one[1]: NUMBERS if one[1] in numbers_of(one[0]) else VALUES,
            }
        )
    )


class BoundTests(CommandTests):
    """At a peer."""

    def test_every_number(self) -> None:
        """Each number of each command is refused outside its bounds, in a line that names it, and taken at them."""
        checked = 0
        for kind in COMMANDS:
            known = {field.name: getattr(example(kind), field.name) for field in fields(kind)}
            for name in numbers_of(kind):
                most = MOST_SECONDS if name == "seconds" else MOST_NUMBER
                for number in (*BEYOND, most + 1):
                    line = self.alice.refuse(kind(**{**known, name: number}), UsageError)
                    self.assertEqual(line, f"{name} may be 0 to {most}; give a number within that")
                for number in (0, most):
                    check_numbers(kind(**{**known, name: number}))
                checked += 1
        self.assertGreater(checked, 15)

    def test_whatever_comes(self) -> None:
        """Whatever stands in the fields of a command, it is answered, or refused in one line."""
        self.open()
        execute = json_execute(api.Command, lambda each: Deferred.fromCoroutine(self.alice.commands.execute(each)))

        @given(any_command())
        def check(command: dict[str, Any]) -> None:
            failures: list[Any] = []
            execute(json.dumps(command).encode()).addErrback(failures.append)
            self.world.settle()
            for failure in failures:
                self.assertIsInstance(failure.value, UserError, str(failure))
                self.assertNotIn("\n", failure.getErrorMessage())

        check()

    def test_do_not_disturb_for_ages(self) -> None:
        """Do-not-disturb until a year that no calendar has, stored by an older version, stands without an end."""
        stored = Preferences(dnd=True, dnd_until=WALL + 10**17)
        self.successResultOf(self.alice.database.write(lambda tables: preferences.keep(tables, lambda _: stored)))
        self.alice.run(self.alice.notifying.load())
        shown = self.alice.do(api.ShowNotifications())
        assert isinstance(shown, api.Notifications)
        self.assertEqual((shown.dnd, shown.until), (True, None))
        self.assertIn("do not disturb: on", notification_lines(shown))
