"""Stored checks of arms that practise -> a figure of one of their columns, a line a seed, over environment
steps."""

import math
from collections.abc import Sequence

import numpy as np

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.report.paper import PPO_STEPS
from vantage.report.words import percent
from vantage.study.figures.card import LIGHT, MARGIN, Axes, bare, card, grid, note_lines
from vantage.study.figures.forest import WIDTH
from vantage.study.measure import Table
from vantage.study.plan import Study, WholeRun
from vantage.study.rows import Results
from vantage.study.view import Curves, Shown

COLOURS = ("blue", "red", "teal", "violet", "orange", "grey")
"""Of the arms, in their order; a seventh begins again."""
PANEL = 210.0
"""Height of the panel in pixels."""
LINE = 18.0
"""Height of a line of names."""


def practice_curves(results: Results, curves: Curves) -> str:
    """The figure as SVG text; every arm that has checks is named with its number of seeds above the panel."""
    checks = results.tables["checks"]
    arms = [shown for shown in curves.arms if checks and (checks["arm"] == shown.arm).any()]
    own = np.isin(checks["arm"], [shown.arm for shown in arms]) if arms else np.zeros(0, bool)
    longest = float(checks["steps"][own].max()) / 1e6 if arms else 1.0
    ticks = _ticks(checks[curves.column][own].astype(np.float64) if arms else np.zeros(0), curves)
    low = ticks[0]
    if curves.column == "length":
        low -= 0.06 * (ticks[-1] - ticks[0])  # the shortest lines stand clear of the axis

    names = [f"{shown.words} (n = {_seeds(checks, shown)})" for shown in arms]
    places = _places(names)
    top = 76.0 + (places[-1][1] - places[0][1] if places else 0.0)
    left, right, bottom = 60.0, WIDTH - 24, top + PANEL

    with card(WIDTH, bottom + 70) as sheet:
        sheet.title(curves.words)
        axes = sheet.panel(left, top, right, bottom, x=(0.0, longest), y=(low, ticks[-1]))
        bare(axes, keep=("bottom",))
        written = [percent(tick) if curves.column == "success" else f"{tick:g}" for tick in ticks]
        grid(axes, ticks, written, along="y")
        axes.tick_params(axis="x", length=3)
        sheet.text(right, bottom + 36, "environment steps, millions", align="right")

        for number, (shown, name, (x, y)) in enumerate(zip(arms, names, places, strict=True)):
            colour = COLOURS[number % len(COLOURS)]
            _lines(axes, checks, shown, curves.column, colour)
            sheet.text(x, y, name, colour=colour, bold=True, size=11)
        if curves.column == "length":
            _paper(axes, longest)

        sheet.note(note_lines(_note(results.study, arms), WIDTH))
        return sheet.svg(f"{curves.words}: " + ", ".join(shown.words for shown in arms))


def _seeds(checks: Table, shown: Shown) -> int:
    return len(np.unique(checks["seed"][checks["arm"] == shown.arm]))


def _places(names: Sequence[str]) -> list[tuple[float, float]]:
    """Where names stand on the card, from left to right, in as many lines as they need."""
    places: list[tuple[float, float]] = []
    x, y = MARGIN, 54.0
    for name in names:
        width = 6.8 * len(name) + 18
        if x > MARGIN and x + width > WIDTH:
            x, y = MARGIN, y + LINE
        places.append((x, y))
        x += width
    return places


def _lines(axes: Axes, checks: Table, shown: Shown, column: str, colour: str) -> None:
    """The lines of one arm, one a seed."""
    rows = checks["arm"] == shown.arm
    for seed in np.unique(checks["seed"][rows]):
        own = rows & (checks["seed"] == seed)
        axes.plot(checks["steps"][own] / 1e6, checks[column][own].astype(float), color=LIGHT[colour])


def _paper(axes: Axes, right: float) -> None:
    """The length that the paper reports, as a line across the panel."""
    axes.axhline(PPO_STEPS, color=LIGHT["soft"], linewidth=1, linestyle=(0, (3, 4)))
    words = f"{PPO_STEPS}: the paper's VLA"
    axes.text(right, PPO_STEPS + 0.8, words, ha="right", va="bottom", color=LIGHT["soft"], size=12)


def _note(study: Study, arms: Sequence[Shown]) -> str:
    """What the lines stand on."""
    limits: set[int] = set()
    for shown in arms:
        arm = study.arm(shown.arm)
        if isinstance(arm, WholeRun) and isinstance(arm.run, ChunkedPPORun):
            limits.add(arm.run.practice.checks.limit)
    most = f", {max(limits)} steps at most" if limits else ""
    return (
        f"A line is a seed (n: seeds). Development starts{most}; what is reported is tried on other starts."
    )


def _ticks(values: np.ndarray, curves: Curves) -> list[float]:
    """Tenths (of a success, up to 1) or tens that hold every value that is a number."""
    step = 0.1 if curves.column == "success" else 10.0
    known = values[np.isfinite(values)]
    if not len(known):
        return [0.0, step]

    first, last = math.floor(known.min() / step + 1e-9), math.ceil(known.max() / step - 1e-9)
    last = round(1 / step) if curves.column == "success" else max(last, first + 1)
    return [round(number * step, 10) for number in range(first, last + 1)]
