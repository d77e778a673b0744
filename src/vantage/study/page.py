"""The folder of a study's rows -> results.md, one SVG per figure, and one self-contained page.

Nothing but the stored rows is read.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from vantage.disk.files import write_whole
from vantage.report.render import render
from vantage.report.table import Bold, Cell, Table
from vantage.report.words import code, markdown
from vantage.study.exhibit_rows import read_exhibits
from vantage.study.figures import draw_study
from vantage.study.filmstrip import draw_exhibit
from vantage.study.rows import Results
from vantage.study.tables import Sheet, cost, estimate, sheets


def write_study(folder: Path, out: Path) -> Path:
    """Draw everything into `out` and return the page, `out`/study.html."""
    results = Results.read(folder)
    command = f"vantage study-report {shlex.quote(str(folder))}"
    estimates = estimate(results)
    drawn = [*draw_study(results, estimates), *map(draw_exhibit, read_exhibits(folder))]
    written = [_written(sheet) for sheet in sheets(results, estimates)]

    for figure in drawn:
        write_whole(out / f"{figure.name}.svg", figure.svg.encode())
    write_whole(out / "results.md", _markdown(results, written, command).encode())

    values = {
        "name": results.folder.resolve().name,
        "about": cost(results).replace("`", ""),
        "figures": [(figure.heading, Markup(figure.svg)) for figure in drawn],
        "sheets": written,
        "command": command,
    }
    write_whole(out / "study.html", render("study.html", values).encode())
    return out / "study.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A table as it is written down."""

    title: str
    words: str
    table: Table


def _written(sheet: Sheet) -> Written:
    rows = [[_cell(content) for content in row] for row in sheet.rows]
    return Written(title=sheet.title, words=sheet.words, table=Table(sheet.head, rows))


def _cell(content: str) -> Cell:
    """A sheet marks the cells that are to be bold by two stars on either side."""
    return Bold(content[2:-2]) if content.startswith("**") else content


def _markdown(results: Results, written: Sequence[Written], command: str) -> str:
    head = f"Drawn by {code(command)} from the rows beside this file. {cost(results)}"
    tables = [f"### {markdown(one.title)}\n\n{markdown(one.words)}\n\n{one.table.markdown()}\n" for one in written]
    return "\n".join([head, "", *tables])
