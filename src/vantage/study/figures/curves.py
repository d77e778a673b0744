"""Starts and stop rules -> curves: viable starts by round (the paper's Fig. 4, left),
and what stopping early saves and loses."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

import numpy as np
from jaxtyping import Bool, Float, Int64

from vantage.core.stats import Interval, t_interval
from vantage.report.paper import VIABLE
from vantage.report.words import percent
from vantage.study.arms import describe, title
from vantage.study.figures.card import LIGHT, MARGIN, bare, card, dot, grid, note_lines, upright
from vantage.study.figures.forest import round_ticks
from vantage.study.figures.groups import habc_chain
from vantage.study.measure import PATIENCE, THRESHOLDS, Table
from vantage.study.plan import Online, Study
from vantage.study.rows import Results
from vantage.study.words import count

TASK_COLOUR = ("blue", "red", "teal", "violet", "orange", "grey")
"""Colours of lines that are tasks, in the order of the study."""
MOST_LOST = 0.3
"""Share of successes lost at which the curve of a stop rule ends; who would
lose more calls for help too often."""

Shares = Callable[[Int64[np.ndarray, "M"]], Float[np.ndarray, "M"]]
"""Rows of the starts -> 1 where it holds, 0 elsewhere."""


def viable_starts(results: Results) -> str:
    """Fig. 4, left: the share of first states that the critic calls viable, by round, and of those then
    solved alone."""
    starts = results.tables["starts"]
    arms = [arm for arm in habc_chain(results.study) if starts and (starts["arm"] == arm).any()]
    own = np.isin(starts["arm"], arms) if starts else np.zeros(0, bool)
    rounds: list[int] = np.unique(starts["round"][own]).tolist() if own.any() else []

    def viable(rows: Int64[np.ndarray, "M"]) -> Float[np.ndarray, "M"]:
        return (starts["p_v"][rows] > VIABLE).astype(np.float64)

    def alone(rows: Int64[np.ndarray, "M"]) -> Float[np.ndarray, "M"]:
        return starts["alone"][rows].astype(np.float64)

    series = (("blue", f"judged viable, p_v(s₀) > {VIABLE:g}", viable), ("grey", "solved alone", alone))
    lines = [
        [_by_seed(starts, own & (starts["round"] == number), of) for number in rounds] for _, _, of in series
    ]
    sizes = sorted({share.n for line in lines for share in line}) or [0]

    width, height, left, right, top, bottom = 640.0, 320.0, 60.0, 410.0, 70.0, 250.0
    with card(width, height) as sheet:
        called = _rounds_of(results.study, arms)
        sheet.title("Starts that the critic judges viable, by round")
        sheet.text(MARGIN, 48, called)
        span = (min(rounds, default=1) - 0.4, max(rounds, default=1) + 0.4)
        axes = sheet.panel(left, top, right, bottom, x=span, y=(0.0, 1.0))
        bare(axes, keep=("bottom",))
        rates = (0.0, 0.25, 0.5, 0.75, 1.0)
        grid(axes, rates, [percent(tick) for tick in rates], along="y")
        axes.set_xticks(rounds, [f"round {number}" for number in rounds])

        # The two lines stand a little beside each other, so that neither hides the other's interval.
        for (colour, words, _), line, aside in zip(series, lines, (-0.07, 0.07), strict=True):
            at = [number + aside for number in rounds]
            axes.plot(at, [share.estimate for share in line], color=LIGHT[colour])
            for x, number, share in zip(at, rounds, line, strict=True):
                tip = f"{words}, round {number}: {share}"
                upright(sheet, axes, x, share, colour, tip, hollow=share.n < sizes[-1])

        ends = [top + (1 - line[-1].estimate) * (bottom - top) + 4 if line else bottom for line in lines]
        for (colour, words, _), y in zip(series, keep_apart(ends, 16), strict=True):
            sheet.text(right + 8, y, words, colour=colour, bold=True)
        sheet.note(note_lines(_note(sizes, lines), width))
        return sheet.svg(f"Share of starts judged viable (p_v above {VIABLE:g}) by round, of {called}")


def _by_seed(starts: Table, chosen: Bool[np.ndarray, "M"], of: Shares) -> Interval:
    """Mean over seeds of a share, tasks counting the same, with Student's interval; a seed that lacks a task
    is left out."""
    tasks = np.unique(starts["task"][chosen])
    means: list[float] = []
    for seed in np.unique(starts["seed"][chosen]):
        own = chosen & (starts["seed"] == seed)
        cells = [np.flatnonzero(own & (starts["task"] == task)) for task in tasks]
        if all(len(rows) for rows in cells):
            means.append(float(np.mean([of(rows).mean() for rows in cells])))
    return t_interval(np.array(means))


def _note(sizes: Sequence[int], lines: Sequence[Sequence[Interval]]) -> str:
    """What the dots stand on; `sizes`: their numbers of seeds, the least first."""
    n, hollow = count(sizes[0], "seed"), ""
    if sizes[-1] > sizes[0]:
        n, hollow = f"{sizes[0]} to {sizes[-1]} seeds", " (hollow: fewer)"
    beyond = any(share.low < 0 or share.high > 1 for line in lines for share in line)
    cut = ", cut off at 0 and 100 %" if beyond else ""
    return f"n = {n}{hollow}, each the mean over its tasks. Bars: 95 %, Student's t over seeds{cut}."


def _rounds_of(study: Study, arms: Sequence[str]) -> str:
    """``HABC (rounds 1 to 3), then HABC+IR (rounds 4 to 6)``: methods of arms that go on from each other."""
    words: list[str] = []
    for method, names in groupby(arms, key=lambda arm: describe(study, arm).method):
        chain = [arm for arm in (study.arm(name) for name in names) if isinstance(arm, Online)]
        first = study.first_round(chain[0])
        last = study.first_round(chain[-1]) + chain[-1].rounds - 1
        words.append(f"{method} (rounds {first} to {last})" if last > first else f"{method} (round {first})")
    return ", then ".join(words)


def keep_apart(heights: Sequence[float], least: float) -> list[float]:
    """Heights of words, moved as little as keeps neighbours at least so far apart."""
    order = sorted(range(len(heights)), key=lambda row: heights[row])
    moved = list(heights)
    for upper, lower in pairwise(order):
        missing = least - (moved[lower] - moved[upper])
        if missing > 0:
            moved[upper] -= missing / 2
            moved[lower] += missing / 2
    return moved


def stop_curve(results: Results, arm: str) -> str:
    """Control steps saved against successes lost, one point per threshold and one line per task."""
    stops = results.tables["stops"]
    lines: list[tuple[str, str, list[tuple[float, float, float]]]] = []
    for task, colour in zip(results.study.tasks, TASK_COLOUR, strict=False):
        points = [point for point in _stop_points(stops, arm, task.name) if point[1] <= MOST_LOST]
        if points:
            lines.append((task.name, colour, points))
    called = title(results.study, arm)

    width, height, left, right, top, bottom = 640.0, 350.0, 60.0, 480.0, 66.0, 262.0
    most_saved = max((saved for *_, points in lines for *_, saved in points), default=0.4)
    ceiling = math.ceil(10 * most_saved) / 10
    with card(width, height) as sheet:
        sheet.title(f"Stop and call for help: {called}")
        sheet.text(left, 54, "control steps saved")
        sheet.text(right, bottom + 38, "successes lost", align="right")
        axes = sheet.panel(left, top, right, bottom, x=(0.0, MOST_LOST), y=(0.0, ceiling))
        bare(axes, keep=("bottom",))
        for along, ticks in (("y", round_ticks(0.0, ceiling, 5)), ("x", round_ticks(0.0, MOST_LOST, 3))):
            grid(axes, ticks, [percent(tick) for tick in ticks], along=along)

        for task, colour, points in lines:
            axes.plot([lost for _, lost, _ in points], [saved for *_, saved in points], color=LIGHT[colour])
            for threshold, lost, saved in points:
                tip = f"{task}, p_v < {threshold:g}: saves {percent(saved)}, loses {percent(lost)}"
                dot(sheet, axes, lost, saved, colour, tip)

        # Each line's name stands at the height of its end, outside of the panel, where no other line runs.
        ends = [bottom - points[-1][2] / ceiling * (bottom - top) + 4 for *_, points in lines]
        for (task, colour, _), y in zip(lines, keep_apart(ends, 16), strict=True):
            sheet.text(right + 14, y, task, colour=colour, bold=True)

        once = (stops["arm"] == arm) & (stops["threshold"] == stops["threshold"].min())
        untouched = int(stops["untouched"][once].sum())
        note = (
            f"n = {untouched:,} rollouts that nobody touched. A point: stop after {PATIENCE} steps in a row "
            f"below a viability of {THRESHOLDS[0]:g} (left) to {THRESHOLDS[-1]:g}."
        )
        sheet.note(note_lines(note, width))
        return sheet.svg(
            f"Control steps saved against successes lost when stopping at low viability, {called}"
        )


def _stop_points(stops: Table, arm: str, task: str) -> list[tuple[float, float, float]]:
    """(threshold, share of successes lost, share of steps saved) of an arm on a task, all rounds and
    seeds."""
    own = (stops["arm"] == arm) & (stops["task"] == task)
    points: list[tuple[float, float, float]] = []
    for threshold in np.unique(stops["threshold"][own]):
        rows = own & (stops["threshold"] == threshold)
        lost = stops["lost"][rows].sum() / max(stops["successes"][rows].sum(), 1)
        saved = stops["saved"][rows].sum() / stops["steps"][rows].sum()
        points.append((float(threshold), float(lost), float(saved)))
    return points
