"""Progress for people: one bar per stage with its rate and the time left, or plain lines where nobody watches a terminal."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)

WIDE = 160
"""Columns of a table that goes into a file, where no terminal says how many there are."""


def print_table(table: RenderableType) -> None:
    """Print a table on standard output, as wide as the terminal, and wide enough for a file or a pipe."""
    output = Console(highlight=False)
    if not output.is_terminal:
        output.width = WIDE
    output.print(table)


@runtime_checkable
class Bar(Protocol):
    """Counts work done."""

    def __call__(self, done: int = 1, note: str = "") -> None:
        """`done` more units; `note` is shown at the end of the bar."""
        ...


@contextmanager
def bar(title: str, total: int, unit: str) -> Generator[Bar]:
    """Show `title` with `total` units of work while the context lives."""
    columns = (
        TextColumn("[bold]{task.description:<22}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=False),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=4, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, note="", rate="")

        def advance(done: int = 1, note: str = "") -> None:
            current = progress.tasks[0]
            rate = "" if not current.speed else f"{current.speed:,.1f} {unit}/s"
            progress.update(task, advance=done, rate=rate, note=note or current.fields["note"])

        yield advance
        done = progress.tasks[0]
    if not console.is_terminal:
        seconds = done.elapsed or 0.0
        rate = done.completed / seconds if seconds else 0.0
        line = f"{title:<22} {done.completed:,.0f} {unit} in {seconds:.1f} s ({rate:,.1f} {unit}/s) {done.fields['note']}"
        console.print(line, soft_wrap=True, markup=False)


def counted[T](items: Iterable[T], title: str, total: int, unit: str) -> Iterator[T]:
    """Pass items through a bar."""
    with bar(title, total, unit) as advance:
        for item in items:
            yield item
            advance()


def say(sentence: str) -> None:
    """One line for people; what a path or a name holds is shown as it is."""
    console.print(sentence, markup=False, soft_wrap=True)
