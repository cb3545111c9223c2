"""The benchmark: its table, and that each measure still runs. No figure is judged here."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.chat import ChatSizes, measure_chat
from benchmarks.flow import FlowSizes, measure_flow
from benchmarks.history import HistorySizes, measure_history
from benchmarks.screen import ScreenSizes, measure_screen
from benchmarks.server import ServerSizes, measure_server
from benchmarks.start import StartSizes, measure_start
from benchmarks.table import HEADINGS, Row, percentile, table


class RowTests(SynchronousTestCase):
    def test_ratio(self) -> None:
        """The ratio is the figure as a multiple of the bare one; without one of the two there is none."""
        self.assertEqual(Row("a", "ms", 3.0, 2.0).ratio, 1.5)
        self.assertIsNone(Row("a", "ms", 3.0).ratio)
        self.assertIsNone(Row("a", "ms", None, 2.0).ratio)

    def test_reached(self) -> None:
        """A target holds at its bound and not beyond it; a row without a target says nothing."""
        self.assertIs(Row("a", "ms", 3.0, 2.0, most=1.5).reached, True)
        self.assertIs(Row("a", "ms", 3.1, 2.0, most=1.5).reached, False)
        self.assertIs(Row("a", "1/s", 1.0, 2.0, least=0.5).reached, True)
        self.assertIs(Row("a", "1/s", 0.9, 2.0, least=0.5).reached, False)
        self.assertIsNone(Row("a", "ms", 3.0, 2.0).reached)
        self.assertIsNone(Row("a", "ms", None, 2.0, most=1.5).reached)
        self.assertIs(Row("a", "ms", 3.0, under=3).reached, True)
        self.assertIs(Row("a", "ms", 3.0, 4.0, most=1, under=2.9).reached, False)

    def test_cells(self) -> None:
        """A missed target is what stands out in its row."""
        cells = Row("memory", "KiB", 60.0, 30.0, most=1.5, note="why").cells()
        self.assertEqual(cells, ("memory", "KiB", "60", "30", "2.00", "<= 1.5", "NO", "why"))
        self.assertEqual(Row("key", "ms", 12.0, under=20).cells()[4:7], ("", "<= 20 ms", "yes"))


class TableTests(SynchronousTestCase):
    def test_aligned(self) -> None:
        """All lines of the table are of one width, and every row has every column."""
        lines = table([Row("a", "ms", 0.12345, 1234.5), Row("a longer one", "1/s", None, 2.0)]).splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertEqual({line.count("|") for line in lines}, {len(HEADINGS) + 1})
        self.assertIn("0.123", lines[2])
        self.assertIn("1,234", lines[2])

    def test_percentile(self) -> None:
        """A percentile is one of the values, in any order, also of few."""
        values = [float(value) for value in range(100, 0, -1)]
        self.assertEqual(percentile(values, 0.5), 51.0)
        self.assertEqual(percentile(values, 0.99), 100.0)
        self.assertEqual(percentile([7.0], 0.99), 7.0)


class MeasureTests(SynchronousTestCase):
    """Each with small numbers, in real processes."""

    def state(self) -> Path:
        """A directory of its own."""
        state = Path(self.mktemp()).absolute()
        state.mkdir()
        return state

    def check(self, rows: list[Row], count: int) -> None:
        """So many rows, each with figures."""
        self.assertEqual(len(rows), count)
        self.assertEqual([row.name for row in rows if row.product is None and row.bare is None], [])
        # Memory may stay as it is, and so little time shows no processor time.
        rows = [row for row in rows if "memory that" not in row.name and "idle CPU" not in row.name]
        self.assertEqual([row.name for row in rows for figure in (row.product, row.bare) if figure == 0], [])

    def test_server(self) -> None:
        """Memory, registration and push are measured."""
        self.check(list(measure_server(self.state(), ServerSizes(10, 20, 10, 10, 1))), 6)

    def test_chat(self) -> None:
        """Single messages and floods of them are measured."""
        self.check(list(measure_chat(self.state(), ChatSizes(1, 5, 1, 100, 50))), 10)

    def test_start(self) -> None:
        """The command and the start of a peer are measured."""
        self.check(list(measure_start(self.state(), StartSizes(1, 1))), 2)

    def test_history(self) -> None:
        """A history is written, started with, and searched."""
        self.check(list(measure_history(self.state(), HistorySizes(500, 1, 2))), 5)

    def test_flow(self) -> None:
        """Messages are queued and drained, and lines are piped, while memory is looked at."""
        self.check(list(measure_flow(self.state(), FlowSizes(50, 200, 100, 64))), 8)

    def test_screen(self) -> None:
        """Somebody types at a terminal on a peer, while messages arrive and while none do."""
        self.check(list(measure_screen(self.state(), ScreenSizes(1, 5, 50, 60, 0.1, 100, 1))), 8)
