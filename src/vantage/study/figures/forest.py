"""Estimates by row and task -> a forest: a panel per task, and in it a dot, an interval and a number per row.

groups of rows     panel of task 1        panel of task 2
  a row            ──●──────     86       ───●───      77
  another          ────●────     89       ─────○─────  80      a ring stands on fewer seeds than other rows do
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vantage.core.stats import Interval
from vantage.study.arms import Family, describe, title
from vantage.study.figures.card import LIGHT, MARGIN, NOTE, Card, bare, card, grid, interval, note_lines
from vantage.study.plan import Study

WIDTH = 840.0
"""Pixels: what a README on GitHub shows without scaling."""
ROW, HEADING = 22.0, 30.0
"""Heights of a row and of a group's heading, in pixels."""
PANEL = 340.0
"""The most that a panel takes with its numbers; a study of one task has a narrow figure."""
LEAST = 190.0
"""The least; a study of many tasks has a wide figure."""
COLOUR = {
    Family.SUPERVISED: "grey",
    Family.BASELINE: "teal",
    Family.HABC: "blue",
    Family.BEYOND: "red",
    Family.PRACTICE: "ink",
}
"""The colour of each family of arms; each can be told from the others whatever colours a reader does not
see."""

Estimates = Mapping[str, Interval]
"""Task -> estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a forest."""

    name: str
    """What stands beside it."""
    title: str
    """What it is called where it stands alone."""
    colour: str
    values: Estimates


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows under one heading; no heading where it is empty."""

    heading: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The horizontal axis of a panel."""

    low: float
    high: float
    ticks: Sequence[float]
    write: Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """What a forest shows."""

    words: str
    """Its title."""
    note: str
    """What the numbers stand on."""
    groups: Sequence[Group]
    scales: Mapping[str, Scale]
    """Task -> the axis of its panel, in the order of the panels."""
    number: Callable[[float], str]
    """How an estimate is written beside its dot."""
    legend: Sequence[Family] = ()
    """Families to explain, where the headings do not name them."""


def arm_row(study: Study, arm: str, values: Estimates) -> Row:
    """A row for an arm, called by its method and in the colour of its family."""
    label = describe(study, arm)
    return Row(name=label.name, title=title(study, arm), colour=COLOUR[label.family], values=values)


def draw_forest(forest: Forest) -> str:
    """The forest as SVG text."""
    rows = [row for group in forest.groups for row in group.rows]
    most = {
        task: max((row.values[task].n for row in rows if task in row.values), default=0)
        for task in forest.scales
    }
    fewer = any(row.values[task].n < most[task] for row in rows for task in row.values)
    note = forest.note + (" Hollow: fewer seeds than others, so compare by differences." if fewer else "")

    left = MARGIN + 14 + max(150.0, 7.0 * max((len(row.name) for row in rows), default=0))
    span = min(max((WIDTH - left) / max(len(forest.scales), 1), LEAST), PANEL)
    width = left + span * max(len(forest.scales), 1)
    top = 88.0 if forest.legend else 66.0
    lines = note_lines(note, width)
    bottom = (
        top + 4 + sum((HEADING if group.heading else 0) + ROW * len(group.rows) for group in forest.groups)
    )

    with card(width, bottom + 44 + NOTE * len(lines)) as sheet:
        sheet.title(forest.words)
        if forest.legend:
            draw_legend(sheet, forest.legend)

        middles: list[float] = []
        y = top
        for group in forest.groups:
            if group.heading:
                y += HEADING
                sheet.text(MARGIN, y - 7, group.heading, colour="ink")
            for row in group.rows:
                middles.append(y + ROW / 2)
                sheet.text(MARGIN + (10 if group.heading else 0), y + ROW / 2 + 4, row.name)
                y += ROW

        for column, (task, scale) in enumerate(forest.scales.items()):
            begin = left + column * span
            axes = sheet.panel(begin, top, begin + span - 54, bottom, x=(scale.low, scale.high))
            grid(axes, scale.ticks, [scale.write(tick) for tick in scale.ticks])
            bare(axes)
            sheet.text(begin, top - 8, task, colour="ink", bold=True)

            for row, middle in zip(rows, middles, strict=True):
                at = row.values.get(task)
                if at is not None and math.isfinite(at.estimate):
                    tip = f"{row.title}, {task}: {at}"
                    interval(sheet, axes, at, middle, row.colour, tip, hollow=at.n < most[task])
                    sheet.text(begin + span - 20, middle + 4, forest.number(at.estimate), align="right")

        sheet.note(lines)
        said = [
            f"{row.name}: "
            + ", ".join(f"{task} {forest.number(at.estimate)}" for task, at in row.values.items())
            for row in rows
        ]
        return sheet.svg(f"{forest.words}. {'; '.join(said)}")


def draw_legend(sheet: Card, families: Sequence[Family]) -> None:
    """The colours of the families that a figure shows, in one line below its title."""
    axes = sheet.panel(0, 0, sheet.width, sheet.height, x=(0, sheet.width))
    axes.set_axis_off()
    x, y = MARGIN, 50.0
    for family in Family:
        if family in families:
            colour = LIGHT[COLOUR[family]]
            axes.plot([x + 5], [y - 4], marker="o", markersize=8, color=colour, markeredgewidth=0)
            sheet.text(x + 15, y, family.value)
            x += 15 + 6.4 * len(family.value) + 20


def scale_around(shown: Sequence[Interval]) -> Scale:
    """A scale that holds some estimates and their intervals, with room for the dots at both ends."""
    ends = [end for at in shown for end in (at.low, at.estimate, at.high) if math.isfinite(end)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.06 * (high - low) or 1.0
    low, high = low - room, high + room
    return Scale(low=low, high=high, ticks=round_ticks(low, high, 5), write=lambda value: f"{value:g}")


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Numbers 1, 2, 2.5 or 5 times a power of ten apart inside [low, high], with at most `most` steps between
    the ends.

    Example: round_ticks(0, 97, 4) = [0, 25, 50, 75].
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(
        power * factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (power * factor) <= most + 1e-9
    )

    # A tick that misses an end by a rounding error stands on it.
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]
