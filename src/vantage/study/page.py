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
from vantage.report.svg import save_svg
from vantage.report.table import Bold, Cell, Table
from vantage.report.words import code, markdown
from vantage.study import figures
from vantage.study.exhibits import exhibit_figures
from vantage.study.rows import Results
from vantage.study.tables import Sheet, cost, sheets, stop_arm

WIDTH = 980.0


def write_study(folder: Path, out: Path) -> Path:
    """Draw everything into `out` and return the page, `out`/study.html."""
    results = Results.read(folder)
    command = f"vantage study-report {shlex.quote(str(folder))}"
    drawn = draw(results)
    written = [_written(sheet) for sheet in sheets(results)]

    for name, (_, figure) in drawn.items():
        save_svg(figure, out / f"{name}.svg")
    write_whole(out / "results.md", _markdown(results, written, command).encode())

    values = {
        "name": results.folder.resolve().name,
        "about": _cost(results),
        "figures": [(heading, Markup(figure)) for heading, figure in drawn.values()],
        "sheets": written,
        "command": command,
    }
    write_whole(out / "study.html", render("study.html", values).encode())
    return out / "study.html"


def draw(results: Results) -> dict[str, tuple[str, str]]:
    """File name -> (heading, figure), those for which there are rows."""
    judge = stop_arm(results)
    ordered, further, shared = figures.ordered_arms(results), figures.further_arms(results), figures.shared_arms(results)
    drawn = {
        "fig3-success": ("Success by method and task (the paper's Fig. 3)", figures.success_by_method(results, WIDTH, ordered)),
        "fig3-steps": ("Steps of successes (Fig. 3)", figures.steps_by_method(results, WIDTH, ordered)),
        "differences": (
            "Differences, with 95 % intervals; bold: stands among all of them (Holm, 5 %)",
            figures.differences(results, WIDTH),
        ),
    }
    if further:
        drawn["beyond-success"] = ("Success beyond the paper's comparison", figures.success_by_method(results, WIDTH, further))
        drawn["beyond-steps"] = ("Steps of successes beyond it", figures.steps_by_method(results, WIDTH, further))
    if shared:
        drawn["shared-success"] = ("Success of every rule on the same rollouts", figures.success_by_method(results, WIDTH, shared))
    drawn["cells"] = ("Every cell, with its Wilson interval", figures.every_cell(results, WIDTH))
    if judge:
        drawn["fig4-starts"] = ("Viable starts, round after round (Fig. 4, left)", figures.viable_starts(results, WIDTH))
        drawn["app-g"] = ("Mean g (App. G)", figures.gate_means(results, WIDTH))
        drawn["stops"] = ("Stop early and call for help", figures.stop_curve(results, judge, WIDTH))
    return drawn | exhibit_figures(results.folder, WIDTH)


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


def _cost(results: Results) -> str:
    return cost(results).replace("`", "")


def _markdown(results: Results, written: Sequence[Written], command: str) -> str:
    head = f"Drawn by {code(command)} from the rows beside this file. {markdown(_cost(results))}"
    tables = [f"### {markdown(one.title)}\n\n{markdown(one.words)}\n\n{one.table.markdown()}\n" for one in written]
    return "\n".join([head, "", *tables])
