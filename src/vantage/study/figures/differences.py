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


def differences(study: Study, compared: Sequence[Contrast], *, under: str = "") -> str:
    """Success of the first arm minus that of the second, for every comparison; bold where it stands among all
    of them.

    `under`: words for the limit under which the trials are counted, which follow "success" in the title.
    """
    groups = {
        kind: [pair for pair in compared if kind_of(study, pair.ours, pair.theirs) == kind] for kind in KINDS
    }
    groups = {kind: group for kind, group in groups.items() if group}
    stands = {
        (pair.ours, pair.theirs): sure for pair, sure in zip(compared, hold_together(compared), strict=True)
    }

    # Two columns of titles, set against each other at the minus sign, then the panel and the numbers.
    minus = MARGIN + 22 + 6.7 * max((len(title(study, pair.ours)) for pair in compared), default=0)
    left = minus + 32 + 6.7 * max((len(title(study, pair.theirs)) for pair in compared), default=0)
    width = left + 330
    bottom = TOP + 12 + sum(HEADING + ROW * len(group) for group in groups.values())
    lines = note_lines(_note(compared), width)

    with card(width, bottom + 50 + NOTE * len(lines)) as sheet:
        sheet.title(f"Differences in success{under}, first minus second, in points")
        draw_legend(sheet, [describe(study, pair.ours).family for pair in compared])
        axes = _panel(sheet, compared, left, width - 70, bottom + 8)

        y = TOP
        for heading, group in groups.items():
            y += HEADING
            sheet.text(MARGIN, y - 8, heading, colour="ink")
            for pair in group:
                _row(sheet, axes, study, pair, y + ROW / 2, minus, sure=stands[pair.ours, pair.theirs])
                y += ROW

        sheet.note(lines)
        sentences: list[str] = []
        for pair in compared:
            points = f"{100 * pair.difference.estimate:+.1f} points"
            sentences.append(f"{title(study, pair.ours)} minus {title(study, pair.theirs)} {points}")
        return sheet.svg(f"Differences in success{under}. {'; '.join(sentences)}")


def _panel(sheet: Card, compared: Sequence[Contrast], left: float, right: float, bottom: float) -> Axes:
    """The panel of the dots, over whole tenths that hold every difference and its interval, with a line at no
    difference."""
    ends = [
        end
        for pair in compared
        for end in (pair.difference.low, pair.difference.estimate, pair.difference.high)
    ]
    finite = [end for end in ends if math.isfinite(end)]
    low = math.floor(10 * min([-0.05, *finite])) / 10
    high = math.ceil(10 * max([0.05, *finite])) / 10

    axes = sheet.panel(left, TOP, right, bottom, x=(low, high))
    ticks = round_ticks(low, high, 6)
    grid(axes, ticks, [_points(tick, 0) if tick else "0" for tick in ticks])
    bare(axes)
    axes.axvline(0, color=LIGHT["axis"], linewidth=1.2)
    return axes


def _row(
    sheet: Card, axes: Axes, study: Study, pair: Contrast, y: float, minus: float, *, sure: bool
) -> None:
    """One comparison: both titles, the dot with its interval, the number."""
    ours, theirs = title(study, pair.ours), title(study, pair.theirs)
    colour = "ink" if sure else "soft"
    sheet.text(minus - 12, y + 4, ours, align="right", bold=sure, colour=colour)
    sheet.text(minus, y + 4, "−", align="center")
    sheet.text(minus + 12, y + 4, theirs, bold=sure, colour=colour)

    axes.axhline(y, color=LIGHT["grid"], linewidth=1)
    tip = f"{ours} minus {theirs}: {pair.difference}, p = {pair.p:.4f}"
    interval(sheet, axes, pair.difference, y, COLOUR[describe(study, pair.ours).family], tip)
    value = _points(pair.difference.estimate, 1)
    sheet.text(sheet.width - MARGIN, y + 4, value, align="right", bold=sure, colour=colour)


def _points(difference: float, digits: int) -> str:
    """A difference of rates in points, with its sign."""
    return f"{100 * difference:+.{digits}f}".replace("-", "−")


def _note(compared: Sequence[Contrast]) -> str:
    """What the figure stands on."""
    sizes = sorted({pair.difference.n for pair in compared}) or [0]
    n = f"{sizes[0]} to {sizes[-1]}" if sizes[-1] > sizes[0] else str(sizes[0])
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
