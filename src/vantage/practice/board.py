"""What practice says while it runs: a live table per task on a terminal, a line per check elsewhere."""

import time
from types import TracebackType
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from vantage.progress import console


class PracticeBoard:
    """Shows the last check of every task, the best before it, and how fast practice goes."""

    def __init__(self, steps: int) -> None:
        """`steps`: environment steps of the whole run."""
        self._total = steps
        self._began, self._first = time.monotonic(), None
        self._line: dict[str, Any] = {}
        self._checks: list[dict[str, Any]] = []
        self._live: Live | None = None

    def __enter__(self) -> "PracticeBoard":
        """Begin to show."""
        if console.is_terminal:
            self._live = Live(self._table(), console=console, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
        if self._live is not None:
            self._live.stop()

    def iterated(self, line: dict[str, Any]) -> None:
        """An iteration has ended."""
        self._first = self._first or line
        self._line = line
        if self._live is not None:
            self._live.update(self._table())

    def checked(self, check: dict[str, Any]) -> None:
        """A check has ended; a fall is said aloud."""
        self._checks.append(check)
        if self._live is not None:
            self._live.update(self._table())
        else:
            kept = "  (kept)" if check["kept"] else ""
            console.print(
                f"{check['steps']:>10,} steps  success {check['success']:.3f}  "
                f"steps of successes {check['length']:.1f}  "
                f"with failures at the limit {check['cost']:.1f}{kept}  {self._speed()}"
            )

        if check["falling"]:
            best = max(c["success"] for c in self._checks)
            fallen = f"success has fallen to {check['success']:.2f} from {best:.2f};"
            advice = " the best checkpoint is kept. If it stays down, lower fit.kl_stop or fit.clip."
            console.print(Text.assemble((fallen, "bold yellow"), advice))

    def _speed(self) -> str:
        if not self._line or self._first is None or self._line is self._first:
            return ""
        done = self._line["steps"] - self._first["steps"]
        speed = done / max(time.monotonic() - self._began, 1e-9)
        left = max(self._total - self._line["steps"], 0) / max(speed, 1e-9)
        return f"{speed:,.0f} steps/s, about {left / 60:.0f} min left"

    def _table(self) -> Group:
        title = "practice: success and steps of successes on development starts"
        table = RichTable(title=title, title_justify="left")
        for name in ("task", "at the start", "before", "now"):
            table.add_column(name, justify="left" if name == "task" else "right")

        # The first check and the last two; empty columns until there are three.
        shown = [*self._checks, *[None] * (3 - len(self._checks))]
        if len(self._checks) > 2:
            shown = [self._checks[0], *self._checks[-2:]]
        for task in self._checks[0]["by_task"] if self._checks else ():
            table.add_row(task, *(_cell(*check["by_task"][task]) if check else "" for check in shown))
        all_tasks = [_cell(check["success"], check["length"]) if check else "" for check in shown]
        table.add_row("all", *all_tasks, style="bold")

        line = self._line
        words = "beginning"
        if line:
            noisy = _cell(line["success"], line["length"])
            done = f"{line['steps']:,} of {self._total:,} steps, iteration {line['iteration']}"
            words = f"{done}: with noise {noisy}, KL {line.get('kl', 0):.3f}, {self._speed()}"
        return Group(table, Text(words, style="dim"))


def _cell(success: float, length: float) -> str:
    return f"{success:.2f} / {length:.0f}" if length == length else f"{success:.2f} / -"
