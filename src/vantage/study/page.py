"""The folder of a study's rows -> results.md, one SVG per figure, and one self-contained page.

    rows ──statistics──> estimates ──figures, tables──> drawings, rows of text
    drawings, rows of text ──templates/study.html──> study.html

Nothing but the stored rows is read. The page begins with the study's answer; every figure and table can be
opened below it.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vantage.core.stats import Interval
from vantage.disk.files import write_whole
from vantage.report.render import render
from vantage.report.words import code, markdown
from vantage.study.arms import title
from vantage.study.figures.draw import draw_study
from vantage.study.meanings import meanings_in_words, older
from vantage.study.provenance import provenance_in_words
from vantage.study.rows import Results
from vantage.study.sheet import Sheet
from vantage.study.statistics import Contrast, hold_together
from vantage.study.tables import Estimates, answer_sheet, cost, estimate, sheets

OPEN = ("fig3-success", "beyond-success", "success")
"""Figures that the page shows without being asked, beside those of practice."""


def write_study(folder: Path, out: Path, own: Mapping[str, type[Any]] | None = None) -> Path:
    """Draw everything into `out` and return the page, `out`/study.html.

    `own`: classes from outside Vantage that the plan holds.
    """
    results = Results.read(folder, own)
    command = f"vantage study-report {shlex.quote(str(folder))}"
    estimates = estimate(results)
    drawn = draw_study(results, estimates)
    written = sheets(results, estimates)

    for figure in drawn:
        write_whole(out / f"{figure.name}.svg", figure.svg.encode())
    write_whole(out / "results.md", _markdown(results, estimates, written, command).encode())

    view = results.study.view
    opened = {*OPEN, *(curves.name for curves in view.curves)} if view else set(OPEN)
    values = {
        "name": results.folder.resolve().name,
        "tasks": [task.name for task in results.study.tasks],
        "about": cost(results),
        "behind": bool(older(results.study, results.tables["cells"])),
        "meanings": meanings_in_words(results.study, results.tables["cells"]),
        "provenance": provenance_in_words(results.study, results.tables["cells"], estimates.contrasts),
        "answer": _answer(results, estimates.contrasts),
        # What matplotlib draws has escaped its own words; see study/figures/card.py.
        "figures": [(figure.heading, Markup(figure.svg), figure.name in opened) for figure in drawn],
        "sheets": written,
        "command": command,
    }
    write_whole(out / "study.html", render("study.html", values).encode())
    return out / "study.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the page says first."""

    sheet: Sheet
    ours: str
    """What people call the first method of the first pair; empty where no pair has rows."""
    theirs: str
    difference: Interval | None
    stands: int
    """How many differences stand when all are looked at together."""
    compared: int


def _answer(results: Results, compared: Sequence[Contrast]) -> Answer:
    study = results.study
    by_arms = {(contrast.ours, contrast.theirs): contrast for contrast in compared}
    first = next((by_arms[pair] for pair in study.first_pairs if pair in by_arms), None)

    return Answer(
        sheet=answer_sheet(results, compared),
        ours=title(study, first.ours) if first else "",
        theirs=title(study, first.theirs) if first else "",
        difference=first.difference if first else None,
        stands=sum(hold_together(compared)),
        compared=len(compared),
    )


def _markdown(results: Results, estimates: Estimates, written: Sequence[Sheet], command: str) -> str:
    """results.md: every table under its heading."""
    parts = [f"Drawn by {code(command)} from the rows beside this file. {markdown(cost(results))}", ""]
    cells = results.tables["cells"]
    parts += [markdown(meanings_in_words(results.study, cells)), ""]
    parts += [markdown(provenance_in_words(results.study, cells, estimates.contrasts)), ""]
    for sheet in written:
        parts += [f"### {markdown(sheet.title)}", "", markdown(sheet.words), "", sheet.table.markdown(), ""]
    return "\n".join(parts)
