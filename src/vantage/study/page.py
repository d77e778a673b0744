"""The folder of a study's rows -> results.md, one SVG per figure, and one self-contained page. Nothing but the stored rows is read."""

import shlex
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from vantage.disk.files import write_whole
from vantage.report.figures import FONT, STYLE, save_svg
from vantage.report.markup import panel, section, table
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
    found = sheets(results)
    for name, (_, figure) in drawn.items():
        save_svg(figure, out / f"{name}.svg")
    write_whole(out / "results.md", _markdown(results, found, command).encode())
    write_whole(out / "study.html", _page(results, drawn, found, command).encode())
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


def _markdown(results: Results, found: Sequence[Sheet], command: str) -> str:
    head = [f"Drawn by `{command}` from the rows beside this file. {cost(results)}", ""]
    return "\n".join([*head, *(sheet.markdown() for sheet in found)])


def _page(results: Results, drawn: dict[str, tuple[str, str]], found: Sequence[Sheet], command: str) -> str:
    style = (files("vantage.report") / "assets" / "page.css").read_text(encoding="utf-8")
    plots = "".join(panel(heading, "", f'<div class="scroll">{figure}</div>') for heading, figure in drawn.values())
    written = "".join(
        panel(sheet.title, escape(sheet.words), table(sheet.head, [[_bold(cell) for cell in row] for row in sheet.rows])) for sheet in found
    )
    about = escape(cost(results).replace("`", ""))
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(results.folder.resolve().name)} · Vantage</title>",
            f"<style>:root{{--font:{FONT}}}{STYLE}\n{style}\n.panel svg{{min-width:720px;width:100%;height:auto}}</style></head><body>",
            f"<header><div><h1>Which method is better, and by how much</h1><p>{about}</p></div></header><main>",
            section(
                "figures",
                "Figures",
                "Every dot carries its 95 % interval; hover for the numbers. Hollow: fewer seeds than the others; compare by differences.",
                plots,
            ),
            section("tables", "Tables", "The same rows as numbers.", written),
            f"</main><footer><div><p>Drawn by <code>{escape(command)}</code>.</p></div></footer></body></html>\n",
        ]
    )


def _bold(cell: str) -> str:
    return f"<b>{escape(cell[2:-2])}</b>" if cell.startswith("**") else escape(cell)
