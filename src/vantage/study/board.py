"""What a study says while it runs: how long it will take, a table of what is there, and how much is left."""

import time
from collections.abc import Iterable
from types import TracebackType

import numpy as np
from rich.console import Group
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from vantage.core.stats import wilson
from vantage.progress import console
from vantage.study.cells import Cell, CellRows
from vantage.study.estimate import UNMEASURED, cell_seconds, measure_speeds
from vantage.study.plan import Gathered, Study
from vantage.study.rows import Results


class Board:
    """Shows the state of a study: a live table on a terminal, one line per finished cell elsewhere."""

    def __init__(self, study: Study, results: Results, cells: tuple[Cell, ...], workers: int) -> None:
        """`cells`: what this run has to do."""
        self._study, self._results, self._workers = study, results, workers
        self._left = {cell: 0.0 for cell in cells}
        self._began = time.monotonic()
        self._running: list[Cell] = []
        self._live: Live | None = None

    def announce(self) -> None:
        """Say what is missing and how long it will take; measures the machine's speed where no finished cell tells it."""
        if not self._left:
            console.print(f"every cell is there already; draw them with `vantage study-report {self._results.folder}`")
            return
        known = _known_seconds(self._results)
        unknown = {cell.arm for cell in self._left} - set(known)
        speeds = measure_speeds(self._study) if unknown else UNMEASURED
        for cell in self._left:
            arm = self._study.arm(cell.arm)
            self._left[cell] = known.get(cell.arm) or cell_seconds(self._study, arm, speeds)
        total = sum(self._left.values()) / self._workers
        how = "measured on finished cells" if not unknown else "from a short measurement of this machine's speed"
        console.print(f"{len(self._left)} cells to run, about {hours(total)} on {self._workers} worker{'s'[: self._workers > 1]} ({how})")

    def __enter__(self) -> "Board":
        """Begin to show."""
        self._began = time.monotonic()
        if console.is_terminal:
            self._live = Live(self._table(), console=console, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
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
        expected = self._left.pop(rows.cell, 0.0)
        if expected:
            ratio = rows.seconds / expected
            for cell in self._left:
                if cell.arm == rows.cell.arm:
                    self._left[cell] *= 0.7 + 0.3 * ratio
        if self._live is not None:
            self._live.update(self._table())
            return
        cell = rows.cell
        rate = f"{rows.trials['success'].mean():.3f}" if rows.trials else "-"
        console.print(
            f"{cell.task:<18} seed {cell.seed:<3} {cell.arm:<22} success {rate:<6} {rows.seconds:5.0f} s   "
            f"{len(self._left)} cells left, about {hours(self._remaining())}"
        )

    def _remaining(self) -> float:
        return sum(self._left.values()) / self._workers

    def _table(self) -> Group:
        caption = f"{len(self._left)} cells left, about {hours(self._remaining())}; running: " + (
            ", ".join(f"{c.arm} ({c.task}, seed {c.seed})" for c in self._running) or "-"
        )
        table = RichTable(title="success by arm and task (finished cells)", title_justify="left")
        table.add_column("arm")
        for task in self._study.tasks:
            table.add_column(task.world.task, justify="right")
        trials, cells = self._results.tables["trials"], self._results.tables["cells"]
        for arm in self._study.arms:
            if isinstance(arm, Gathered):
                continue
            row: list[str] = []
            for task in self._study.tasks:
                mine = _where(trials, arm.name, task.world.task)
                n = int(_where(cells, arm.name, task.world.task).sum())
                row.append(f"{wilson(int(trials['success'][mine].sum()), int(mine.sum())).estimate:.3f} ({n})" if n else "-")
            table.add_row(arm.name, *row)
        return Group(table, Text(caption, style="dim"))


def _where(table: dict[str, np.ndarray], arm: str, task: str) -> np.ndarray:
    return (table["arm"] == arm) & (table["task"] == task) if table else np.zeros(0, bool)


def _known_seconds(results: Results) -> dict[str, float]:
    cells = results.tables["cells"]
    if not cells:
        return {}
    return {str(arm): float(np.median(cells["seconds"][cells["arm"] == arm])) for arm in np.unique(cells["arm"])}


def hours(seconds: float) -> str:
    """``1 h 05 min``, ``12 min``, ``40 s``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
