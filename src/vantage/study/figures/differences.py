"""Comparisons of a study -> one figure of all of them, grouped by what the two arms differ in."""

import math
from collections.abc import Sequence

from vantage.study.arms import describe, title
from vantage.study.figures.card import LIGHT, MARGIN, NOTE, Axes, Card, bare, card, grid, interval, note_lines
from vantage.study.figures.forest import COLOUR, HEADING, ROW, draw_legend, round_ticks
from vantage.study.plan import Acting, Study
from vantage.study.statistics import Contrast, hold_together

KINDS = (
    "methods, all else alike",
    "one update on the same rollouts",
    "zero-noise inference, the same checkpoint",
    "training from scratch each round, the same method",
    "several at once",
)
"""What the two arms of a comparison differ in, in the order in which they are shown."""
TOP = 80.0


def differences(study: Study, compared: Sequence[Contrast]) -> str:
    """Success of the first arm minus that of the second, for every comparison;
    bold where it stands among all of them."""
    groups = {kind: [one for one in compared if kind_of(study, one.ours, one.theirs) == kind] for kind in KINDS}
    groups = {kind: group for kind, group in groups.items() if group}
    stands = {(one.ours, one.theirs): sure for one, sure in zip(compared, hold_together(compared), strict=True)}

    # Two columns of titles, set against each other at the minus sign, then the panel and the numbers.
    minus = MARGIN + 22 + 6.7 * max((len(title(study, one.ours)) for one in compared), default=0)
    left = minus + 32 + 6.7 * max((len(title(study, one.theirs)) for one in compared), default=0)
    width = left + 330
    bottom = TOP + 12 + sum(HEADING + ROW * len(group) for group in groups.values())
    lines = note_lines(_note(compared), width)

    with card(width, bottom + 50 + NOTE * len(lines)) as sheet:
        sheet.title("Differences in success, first minus second, in points")
        draw_legend(sheet, [describe(study, one.ours).family for one in compared])
        axes = _panel(sheet, compared, left, width - 70, bottom + 8)

        y = TOP
        for heading, group in groups.items():
            y += HEADING
            sheet.text(MARGIN, y - 8, heading, colour="ink")
            for one in group:
                _row(sheet, axes, study, one, y + ROW / 2, minus, sure=stands[one.ours, one.theirs])
                y += ROW

        sheet.note(lines)
        said: list[str] = []
        for one in compared:
            points = f"{100 * one.difference.estimate:+.1f} points"
            said.append(f"{title(study, one.ours)} minus {title(study, one.theirs)} {points}")
        return sheet.svg(f"Differences in success. {'; '.join(said)}")


def _panel(sheet: Card, compared: Sequence[Contrast], left: float, right: float, bottom: float) -> Axes:
    """The panel of the dots, over whole tenths that hold every difference and its
    interval, with a line at no difference."""
    ends = [end for one in compared for end in (one.difference.low, one.difference.estimate, one.difference.high)]
    known = [end for end in ends if math.isfinite(end)]
    low = math.floor(10 * min([-0.05, *known])) / 10
    high = math.ceil(10 * max([0.05, *known])) / 10

    axes = sheet.panel(left, TOP, right, bottom, x=(low, high))
    ticks = round_ticks(low, high, 6)
    grid(axes, ticks, [_points(tick, 0) if tick else "0" for tick in ticks])
    bare(axes)
    axes.axvline(0, color=LIGHT["axis"], linewidth=1.2)
    return axes


def _row(sheet: Card, axes: Axes, study: Study, one: Contrast, y: float, minus: float, *, sure: bool) -> None:
    """One comparison: both titles, the dot with its interval, the number."""
    ours, theirs = title(study, one.ours), title(study, one.theirs)
    colour = "ink" if sure else "soft"
    sheet.text(minus - 12, y + 4, ours, align="right", bold=sure, colour=colour)
    sheet.text(minus, y + 4, "−", align="center")
    sheet.text(minus + 12, y + 4, theirs, bold=sure, colour=colour)

    axes.axhline(y, color=LIGHT["grid"], linewidth=1)
    tip = f"{ours} minus {theirs}: {one.difference}, p = {one.p:.4f}"
    interval(sheet, axes, one.difference, y, COLOUR[describe(study, one.ours).family], tip)
    value = _points(one.difference.estimate, 1)
    sheet.text(sheet.width - MARGIN, y + 4, value, align="right", bold=sure, colour=colour)


def _points(difference: float, digits: int) -> str:
    """A difference of rates in points, with its sign."""
    return f"{100 * difference:+.{digits}f}".replace("-", "−")


def _note(compared: Sequence[Contrast]) -> str:
    """What the figure stands on."""
    pairs = sorted({one.difference.n for one in compared}) or [0]
    n = f"{pairs[0]} to {pairs[-1]}" if pairs[-1] > pairs[0] else str(pairs[0])
    return (
        f"n = {n} pairs of cells, by task, seed and start. Bars: 95 % crossed bootstraps; none where a task "
        f"has one seed. Bold: stands among all {len(compared)} (Holm, 5 %)."
    )


def kind_of(study: Study, ours: str, theirs: str) -> str:
    """Which of `KINDS` a comparison of two arms is, from their settings."""
    arm, first, second = study.arm(ours), describe(study, ours), describe(study, theirs)
    if first.shared and second.shared:
        return KINDS[1]
    if isinstance(arm, Acting) and arm.after == theirs:
        return KINDS[2]
    if (first.scratch, first.noise) == (second.scratch, second.noise):
        return KINDS[0]
    if (first.method, first.noise) == (second.method, second.noise):
        return KINDS[3]
    return KINDS[4]
