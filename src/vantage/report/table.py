"""Rows of text -> a table, which a page's template shows and Markdown is written from."""

from collections.abc import Sequence
from dataclasses import dataclass

from vantage.report.words import markdown


@dataclass(frozen=True, slots=True)
class Bold:
    """A cell that begins with words in bold. Example: Bold("+37", " [+23, +48]")."""

    words: str
    rest: str = ""


Cell = str | Bold


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells of plain text under a head; a page leaves out a head without names."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        """The table as lines of Markdown; what a cell holds stays text."""
        lines = [_line([markdown(name) for name in self.head]), "|" + "---|" * len(self.head)]
        lines += [_line([_markdown_cell(cell) for cell in row]) for row in self.rows]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Bold):
        return f"**{markdown(cell.words)}**{markdown(cell.rest)}"
    return markdown(cell)
