"""Stored checks of the PPO cells -> two figures of docs/: how short successes become, and what fewer
demonstrations or pixels cost.

`python -m experiments.ppo_mt10 table` draws them with its tables, from docs/results/ppo-mt10 alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vantage.disk.files import write_whole
from vantage.disk.tables import read_parquet
from vantage.report.words import percent
from vantage.study.figures.card import LIGHT, bare, card, grid, note_lines

CHECKS = Path("docs/results/ppo-mt10/checks.parquet")
PAPER_STEPS = 42.17
"""Control steps of a success that the paper of chunked PPO reports for its
VLA, under rules that we do not know."""
WIDTH, HEIGHT = 840.0, 356.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A configuration of the cells, what its lines are called, and their colour."""

    arm: str
    words: str
    colour: str


LONGEST = (
    Curve(arm="10 demos, 11 M steps, PPO alone, two cores", words="PPO alone, 11 M", colour="red"),
    Curve(arm="10 demos, 5 M steps", words="+ own successes, 5 M", colour="blue"),
    Curve(arm="10 demos, 2 M steps, PPO alone", words="PPO alone, 2 M", colour="teal"),
    Curve(arm="10 demos, h = 3, 2 M steps, PPO alone", words="PPO alone, h = 3, 2 M", colour="violet"),
)
FEWER = (
    Curve(arm="3 demos, 1 M steps", words="3 demos", colour="blue"),
    Curve(arm="3 demos, 1 M steps, operator's lead", words="3 demos, operator's lead", colour="red"),
    Curve(arm="1 demo, 1 M steps", words="1 demo", colour="teal"),
    Curve(arm="pixels: 10 demos, 3.5 M steps, PPO alone, two cores", words="10 demos, pixels", colour="violet"),
)


def draw(folder: Path) -> None:
    """Write both figures."""
    checks = read_parquet(CHECKS)
    steps = curves(
        checks,
        LONGEST,
        "length",
        ticks=range(40, 81, 10),
        words="Control steps of successes while practising, mean over ten tasks",
    )
    success = curves(
        checks,
        FEWER,
        "success",
        ticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        words="Success while practising, mean over ten tasks",
    )
    write_whole(folder / "ppo-mt10.svg", steps.encode())
    write_whole(folder / "ppo-mt10-harder.svg", success.encode())


def curves(checks: dict[str, np.ndarray], shown: Sequence[Curve], column: str, *, ticks: Sequence[float], words: str) -> str:
    """A column of the checks over environment steps, a line a seed; every configuration
    named with its seeds above the panel."""
    present = [curve for curve in shown if (checks["arm"] == curve.arm).any()]
    longest = max((float(checks["steps"][checks["arm"] == curve.arm].max()) for curve in present), default=1e6) / 1e6
    left, right, top, bottom = 60.0, WIDTH - 24, 76.0, HEIGHT - 70
    low = min(ticks) - (0.06 if column == "length" else 0.0) * (max(ticks) - min(ticks))

    with card(WIDTH, HEIGHT) as sheet:
        sheet.text(16, 28, words, colour="ink", bold=True, size=14)
        axes = sheet.panel(left, top, right, bottom, x=(0.0, longest), y=(low, max(ticks)))
        bare(axes, keep=("bottom",))
        grid(axes, ticks, [percent(tick) if column == "success" else f"{tick:g}" for tick in ticks], along="y")
        axes.tick_params(axis="x", length=3)
        sheet.text(right, bottom + 36, "environment steps, millions", align="right")

        across = 16.0
        for curve in present:
            mine = checks["arm"] == curve.arm
            seeds = np.unique(checks["seed"][mine])
            for seed in seeds:
                one = mine & (checks["seed"] == seed)
                axes.plot(checks["steps"][one] / 1e6, checks[column][one].astype(float), color=LIGHT[curve.colour])
            called = f"{curve.words} (n = {len(seeds)})"
            sheet.text(across, 54, called, colour=curve.colour, bold=True, size=11)
            across += 6.8 * len(called) + 18

        if column == "length":
            axes.axhline(PAPER_STEPS, color=LIGHT["soft"], linewidth=1, linestyle=(0, (3, 4)))
            axes.text(
                longest,
                PAPER_STEPS + 0.8,
                f"{PAPER_STEPS}: the paper's VLA",
                ha="right",
                va="bottom",
                color=LIGHT["soft"],
                size=12,
            )
        starts = "Development starts, 200 steps at most; what is reported is tried on other starts."
        sheet.note(note_lines(f"A line is a seed (n: seeds). {starts}", WIDTH))
        return sheet.svg(f"{words}: " + ", ".join(curve.words for curve in present))
