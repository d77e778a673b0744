"""Stored checks of arms that practise -> a figure of one of their columns by environment steps, a line a seed."""

import numpy as np

from vantage.report.paper import PPO_STEPS
from vantage.report.words import percent
from vantage.study.drawing import LIGHT, Axes, Card, bare, card, grid, note_lines
from vantage.study.measure import Table
from vantage.study.plan import Curves, Shown

WIDTH, HEIGHT = 840.0, 356.0
COLOURS = ("blue", "red", "teal", "violet", "orange", "grey")
"""Of the arms, in their order."""


def practice_curves(checks: Table, curves: Curves) -> str:
    """The figure as SVG text; every arm that has checks is named, with its seeds, above the panel."""
    present = [shown for shown in curves.arms if checks and (checks["arm"] == shown.arm).any()]
    longest = max((float(checks["steps"][checks["arm"] == shown.arm].max()) for shown in present), default=1e6) / 1e6
    values = np.concatenate([checks[curves.column][checks["arm"] == shown.arm] for shown in present] or [np.zeros(0)])
    ticks = _ticks(values[np.isfinite(values.astype(np.float64))], curves)
    left, right, top, bottom = 60.0, WIDTH - 24, 76.0, HEIGHT - 70
    low = ticks[0] - (0.06 * (ticks[-1] - ticks[0]) if curves.column == "length" else 0.0)

    with card(WIDTH, HEIGHT) as sheet:
        sheet.text(16, 28, curves.words, colour="ink", bold=True, size=14)
        axes = sheet.panel(left, top, right, bottom, x=(0.0, longest), y=(low, ticks[-1]))
        bare(axes, keep=("bottom",))
        names = [percent(tick) if curves.column == "success" else f"{tick:g}" for tick in ticks]
        grid(axes, ticks, names, along="y")
        axes.tick_params(axis="x", length=3)
        sheet.text(right, bottom + 36, "environment steps, millions", align="right")

        across = 16.0
        for shown, colour in zip(present, COLOURS, strict=False):
            across += _arm(sheet, axes, checks, shown, curves.column, colour, across)
        if curves.column == "length":
            _paper(axes, longest)

        note = "A line is a seed (n: seeds). Development starts; what is reported is tried on other starts."
        sheet.note(note_lines(note, WIDTH))
        return sheet.svg(f"{curves.words}: " + ", ".join(shown.words for shown in present))


def _arm(sheet: Card, axes: Axes, checks: Table, shown: Shown, column: str, colour: str, across: float) -> float:
    """The lines of one arm and, `across` the card, its name; returns the width of the name."""
    rows = checks["arm"] == shown.arm
    seeds = np.unique(checks["seed"][rows])
    for seed in seeds:
        one = rows & (checks["seed"] == seed)
        axes.plot(checks["steps"][one] / 1e6, checks[column][one].astype(float), color=LIGHT[colour])
    called = f"{shown.words} (n = {len(seeds)})"
    sheet.text(across, 54, called, colour=colour, bold=True, size=11)
    return 6.8 * len(called) + 18


def _paper(axes: Axes, right: float) -> None:
    """The length that the paper reports, as a line across the panel."""
    axes.axhline(PPO_STEPS, color=LIGHT["soft"], linewidth=1, linestyle=(0, (3, 4)))
    axes.text(right, PPO_STEPS + 0.8, f"{PPO_STEPS}: the paper's VLA", ha="right", va="bottom", color=LIGHT["soft"], size=12)


def _ticks(values: np.ndarray, curves: Curves) -> list[float]:
    """Whole tenths or tens that hold every value; up to 1 for a success."""
    step = 0.1 if curves.column == "success" else 10.0
    if not len(values):
        return [0.0, step]
    first, last = np.floor(values.min() / step + 1e-9), np.ceil(values.max() / step - 1e-9)
    last = round(1 / step) if curves.column == "success" else max(last, first + 1)
    return [round(float(number * step), 10) for number in np.arange(first, last + 1)]
