"""What a study says while it runs: how long it will take, a table of what is there, and how much is left."""

from collections.abc import Iterable
from types import TracebackType

import numpy as np
from jaxtyping import Bool
from rich.console import Group
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from vantage.progress import console
from vantage.study.cells import Cell, CellRows
from vantage.study.estimate import Estimator
from vantage.study.measure import Table
from vantage.study.plan import Gathered, Study
from vantage.study.rows import Results
from vantage.study.words import count, hours


class Board:
    """Shows the state of a study: a live table on a terminal, one line per finished cell elsewhere."""

    def __init__(self, study: Study, results: Results, cells: tuple[Cell, ...], workers: int) -> None:
        """`cells`: what this run has to do."""
        self._study, self._results, self._workers = study, results, workers
        self._left = {cell: 0.0 for cell in cells}
        self._running: list[Cell] = []
        self._live: Live | None = None

    def announce(self) -> None:
        """Say what is missing and how long it will take; measures the machine's speed where no finished cell
        tells it."""
        if not self._left:
            console.print(
                f"every cell is there already; draw them with `vantage study-report {self._results.folder}`",
            )
            return
        known = _known_seconds(self._results)
        unknown = {cell.arm for cell in self._left} - set(known)
        estimator = Estimator(self._study)
        for cell in self._left:
            seconds = known.get(cell.arm)
            self._left[cell] = seconds or estimator.seconds(self._study.arm(cell.arm))

        source = "measured on finished cells"
        if unknown:
            source = "from a short measurement of this machine's speed"
        work = f"{count(len(self._left), 'cell')} to run, about {hours(self._remaining())}"
        console.print(f"{work} on {count(self._workers, 'worker')} ({source})")

    def __enter__(self) -> "Board":
        """Begin to show."""
        if console.is_terminal:
            self._live = Live(self._table(), console=console, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing."""
        if self._live is not None:
            self._live.stop()
        if not self._left:
            console.print(f"done; draw it with `vantage study-report {self._results.folder}`")

    def show(self, running: Iterable[Cell], waiting: int) -> None:
        """Draw the table again."""
        self._running = list(running)
        if self._live is not None:
            self._live.update(self._table())

    def finished(self, rows: CellRows) -> None:
        """A cell has ended."""
        cell = rows.cell
        expected = self._left.pop(cell, 0.0)
        if expected:
            # The cells of the same arm that are left will be about as much slower or faster than expected.
            ratio = rows.seconds / expected
            for other in self._left:
                if other.arm == cell.arm:
                    self._left[other] *= 0.7 + 0.3 * ratio

        if self._live is not None:
            self._live.update(self._table())
            return

        rate = f"{rows.trials['success'].mean():.3f}" if rows.trials else "-"
        name = f"{cell.task:<18} seed {cell.seed:<3} {cell.arm:<22}"
        console.print(f"{name} success {rate:<6} {rows.seconds:5.0f} s   {self._what_is_left()}")

    def _remaining(self) -> float:
        """Seconds until the last cell ends, every worker busy until then."""
        return sum(self._left.values()) / self._workers

    def _what_is_left(self) -> str:
        return f"{count(len(self._left), 'cell')} left, about {hours(self._remaining())}"

    def _table(self) -> Group:
        """Success by arm and task, and below it what is running."""
        table = RichTable(title="success by arm and task (finished cells)", title_justify="left")
        table.add_column("arm")
        for task in self._study.tasks:
            table.add_column(task.name, justify="right")
        for arm in self._study.arms:
            if not isinstance(arm, Gathered):
                table.add_row(arm.name, *(self._rate(arm.name, task.name) for task in self._study.tasks))

        running = ", ".join(f"{cell.arm} ({cell.task}, seed {cell.seed})" for cell in self._running)
        return Group(table, Text(f"{self._what_is_left()}; running: {running or '-'}", style="dim"))

    def _rate(self, arm: str, task: str) -> str:
        """Success over the finished cells, and how many they are: ``0.713 (4)``."""
        trials, cells = self._results.tables["trials"], self._results.tables["cells"]
        finished = int(_where(cells, arm, task).sum())
        if not finished:
            return "-"
        return f"{trials['success'][_where(trials, arm, task)].mean():.3f} ({finished})"


def _where(table: Table, arm: str, task: str) -> Bool[np.ndarray, "M"]:
    """Which rows of a table are an arm's on a task."""
    if not table:
        return np.zeros(0, bool)
    return (table["arm"] == arm) & (table["task"] == task)


def _known_seconds(results: Results) -> dict[str, float]:
    """Arm -> seconds that its finished cells took, their median."""
    cells = results.tables["cells"]
    if not cells:
        return {}
    known: dict[str, float] = {}
    for arm in np.unique(cells["arm"]):
        known[str(arm)] = float(np.median(cells["seconds"][cells["arm"] == arm]))
    return known
