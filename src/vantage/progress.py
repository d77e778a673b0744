"""Progress for people: one bar per stage with its rate and the time left.

Without a terminal, in the file of a job that runs over night: a line a minute, and one at the end.
"""

import re
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters but for tabs and line breaks, marks that turn the direction of writing around, and lone
surrogates, by which Python keeps the undecodable bytes of a file's name and which, like U+FFFE and U+FFFF, no
page may hold."""


def printable(text: str) -> str:
    """Text without what a terminal or a page would obey or could not show.

    Every such character becomes a visible mark.
    """
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


class Terminal(Console):
    """A console for which text is data: no markup unless it is asked for, and no control characters.

    Lines are not broken, so that `grep` finds them whole.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        """Write to standard output, or to standard error."""
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        """A plain text, as rich wants it."""
        return super().render_str(printable(text), **options)


console = Terminal(stderr=True)

WIDE = 160
"""Columns of a table that goes into a file, where no terminal says how many there are."""


def print_table(table: RenderableType) -> None:
    """Print a table on standard output, as wide as the terminal, and wide enough for a file or a pipe."""
    output = Terminal()
    if not output.is_terminal:
        output.width = WIDE
    output.print(table, soft_wrap=False)


@runtime_checkable
class Bar(Protocol):
    """Counts work done."""

    def __call__(self, done: int = 1, note: str = "") -> None:
        """`done` more units; `note` is shown at the end of the bar."""
        ...


class _Note(ProgressColumn):
    """The note at the end of a bar: the first to be cut where there is no room."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.fields["note"]), style="dim", no_wrap=True, overflow="ellipsis")


def _columns(width: int) -> list[ProgressColumn]:
    """What a bar shows in so many columns.

    On a narrow terminal the bar goes first, then the rate, then what the rest says too.
    """
    fixed = Column(no_wrap=True)
    columns: list[ProgressColumn] = [TextColumn("{task.description:<22}", style="bold", markup=False)]

    if width >= 108:
        columns.append(BarColumn(bar_width=28))
    columns.append(MofNCompleteColumn(table_column=fixed))
    if width >= 70:
        columns.append(TaskProgressColumn(show_speed=False, table_column=fixed))
    if width >= 94:
        columns.append(TextColumn("{task.fields[rate]}", markup=False))
    if width >= 70:
        columns.append(TimeElapsedColumn(table_column=fixed))

    return [*columns, TextColumn("left"), TimeRemainingColumn(table_column=fixed), _Note()]


@contextmanager
def silence() -> Generator[None]:
    """While open, no progress is shown."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


BEAT = 60.0
"""Seconds between two lines of one bar, where there is no terminal."""


@contextmanager
def bar(title: str, total: int, unit: str) -> Generator[Bar]:
    """Show `title` with `total` units of work while the context lives."""
    columns, hidden = _columns(console.width), not console.is_terminal
    with Progress(*columns, console=console, refresh_per_second=4, disable=hidden) as progress:
        task = progress.add_task(title, total=total, note="", rate="")
        told = time.monotonic()

        def advance(done: int = 1, note: str = "") -> None:
            nonlocal told
            current = progress.tasks[0]
            rate = "" if not current.speed else f"{current.speed:,.1f} {unit}/s"
            progress.update(task, advance=done, rate=rate, note=note or current.fields["note"])

            if hidden and time.monotonic() - told >= BEAT:
                told = time.monotonic()
                console.print(_line(progress.tasks[0], total, unit))

        yield advance
        done = progress.tasks[0]

    if not console.is_terminal:
        seconds = done.elapsed or 0.0
        rate = done.completed / seconds if seconds else 0.0
        speed = f"{seconds:.1f} s ({rate:,.1f} {unit}/s)"
        console.print(f"{title:<22} {done.completed:,.0f} {unit} in {speed} {done.fields['note']}")


def _line(task: Task, total: int, unit: str) -> str:
    """How far a bar is, in words."""
    rate = task.completed / task.elapsed if task.elapsed else 0.0
    left = f", {(total - task.completed) / rate:,.0f} s left" if rate else ""
    return (
        f"{task.description:<22} {task.completed:,.0f} of {total:,} {unit} "
        f"({rate:,.1f} {unit}/s{left}) {task.fields['note']}"
    )


def counted[T](items: Iterable[T], title: str, total: int, unit: str) -> Iterator[T]:
    """Pass items through a bar."""
    with bar(title, total, unit) as advance:
        for item in items:
            yield item
            advance()


def say(sentence: str) -> None:
    """One line for people; what a path or a name holds is shown as it is."""
    console.print(sentence)
