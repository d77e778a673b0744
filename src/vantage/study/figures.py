"""Stored rows -> the figures of a study: the paper's Fig. 3, 4 (left) and App. G, the differences, every cell, what a stop rule saves.

    rows ──statistics──> estimates with intervals ──forest, lines──> Figure (name, heading, SVG text)

Colours are the families of arms (`arms.Family`); groups and names come from the arms' own settings. Every figure states its n and what its
intervals are; where there is one seed there is no interval, and none is drawn.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from jaxtyping import Bool

from vantage.core.stats import Interval, t_interval, wilson
from vantage.core.weights import HABC
from vantage.report.paper import VIABLE
from vantage.report.words import percent
from vantage.study.arms import Family, describe, evaluated, title
from vantage.study.drawing import (
    LIGHT,
    NOTE,
    Axes,
    Card,
    bare,
    card,
    dot,
    grid,
    interval,
    note_lines,
    upright,
)
from vantage.study.measure import PATIENCE, Table
from vantage.study.plan import Acting, Offline, Online
from vantage.study.practice_figures import practice_curves
from vantage.study.rows import Results
from vantage.study.statistics import Contrast, Grid, Rate, hold_together, task_grids
from vantage.study.tables import Estimates, counted, stop_arm
from vantage.study.words import count

WIDTH = 840.0
"""Pixels: what a README on GitHub shows without scaling."""
COLOUR = {
    Family.SUPERVISED: "grey",
    Family.BASELINE: "teal",
    Family.HABC: "blue",
    Family.BEYOND: "red",
    Family.PRACTICE: "violet",
}
"""The colour of each family of arms."""
TASK_COLOUR = ("blue", "red", "teal", "violet", "orange", "grey")
"""Colours of lines that are tasks, in the order of the study."""
REPEATED = ("filtered-bc", "habc", "habc+ir")
"""Arms of the paper's comparison that a figure of further arms begins with."""
ROW, HEADING, EDGE = 22.0, 30.0, 16.0
"""Heights of a row and of a group's heading, and the margin of a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One drawing of a study."""

    name: str
    """Of its file."""
    heading: str
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows of a forest under one heading."""

    heading: str
    arms: tuple[str, ...]


def draw_study(results: Results, estimates: Estimates) -> list[Figure]:
    """Every figure for which there are rows."""
    rates = estimates.rates
    ordered, further, shared = ordered_arms(results), further_arms(results), shared_arms(results)
    view = results.study.view
    under = f", within {view.caps[0]} control steps" if view else ""
    drawn: list[Figure] = []
    if ordered:
        drawn.append(
            Figure(
                name="fig3-success",
                heading="Success by method and task (the paper's Fig. 3)",
                svg=success_by_method(results, rates, by_family(results, ordered)),
            )
        )
        drawn.append(
            Figure(
                name="fig3-steps",
                heading="Steps of successes (Fig. 3)",
                svg=steps_by_method(results, by_family(results, ordered)),
            )
        )
    if view:
        drawn += [
            Figure(name=curves.name, heading=curves.words, svg=practice_curves(results.tables["checks"], curves)) for curves in view.curves
        ]
    if not results.study.order:
        groups, words = by_family(results, unordered_arms(results)), f"Success by method and task{under}"
        drawn.append(Figure(name="success", heading=words, svg=success_by_method(results, rates, groups, words=words)))
    drawn.append(
        Figure(
            name="differences",
            heading=f"Differences{under}, with 95 % intervals; bold: stands among all of them (Holm, 5 %)",
            svg=differences(results, estimates.contrasts),
        ),
    )
    if further:
        groups = by_training(results, further)
        beyond = success_by_method(results, rates, groups, words="Success beyond the paper's comparison")
        steps = steps_by_method(results, groups, words="Steps of successes beyond the paper's comparison")
        drawn.append(
            Figure(name="beyond-success", heading="Success beyond the paper's comparison", svg=beyond),
        )
        drawn.append(Figure(name="beyond-steps", heading="Steps of successes beyond it", svg=steps))
    if shared:
        same = success_by_method(
            results,
            rates,
            by_family(results, shared),
            words="Success of every rule on the same rollouts",
        )
        drawn.append(
            Figure(name="shared-success", heading="Success of every rule on the same rollouts", svg=same),
        )
    drawn.append(
        Figure(name="cells", heading="Every cell, with its Wilson interval", svg=every_cell(results)),
    )

    judge = stop_arm(results)
    if judge:
        drawn.append(
            Figure(
                name="fig4-starts",
                heading="Viable starts, round after round (Fig. 4, left)",
                svg=viable_starts(results),
            )
        )
        drawn.append(Figure(name="app-g", heading="Mean g (App. G)", svg=gate_means(results)))
        drawn.append(
            Figure(name="stops", heading="Stop early and call for help", svg=stop_curve(results, judge)),
        )
    return drawn


# Which arms a figure shows, and in which groups.


def has_rows(results: Results, arm: str) -> bool:
    """Whether an arm has finished cells."""
    trials = results.tables["trials"]
    return bool(trials) and bool((trials["arm"] == arm).any())


def ordered_arms(results: Results) -> list[str]:
    """The arms of the study's order that have rows: the paper's Fig. 3."""
    return [name for name in results.study.order if has_rows(results, name)]


def further_arms(results: Results) -> list[str]:
    """The evaluated arms with rows that are not in the order, behind a few that are; none, if there are none."""
    study = results.study
    if not study.order:
        return []
    alone = [name for name in evaluated(study) if not isinstance(study.arm(name), Offline) and has_rows(results, name)]
    further = [name for name in alone if name not in study.order]
    return [name for name in REPEATED if name in alone and further] + further


def unordered_arms(results: Results) -> list[str]:
    """The evaluated arms of a study without an order that have rows, family by family; each family in the order of the study."""
    families = list(Family)
    names = [name for name in evaluated(results.study) if has_rows(results, name)]
    return sorted(names, key=lambda name: families.index(describe(results.study, name).family))


def shared_arms(results: Results) -> list[str]:
    """The arms that learned from the same rollouts, those with rows, in the study's order."""
    study = results.study
    return [name for name in evaluated(study) if isinstance(study.arm(name), Offline) and has_rows(results, name)]


def by_family(results: Results, arms: Sequence[str]) -> list[Group]:
    """Groups of neighbours of one family, in the order of the arms."""
    runs = groupby(arms, key=lambda name: describe(results.study, name).family)
    return [Group(heading=family.value, arms=tuple(names)) for family, names in runs]


def by_training(results: Results, arms: Sequence[str]) -> list[Group]:
    """Groups of arms that are trained and act alike: as the study does, then whatever else there is, each in the order of the arms."""
    usual = "training the last round's policy further"
    named: dict[str, list[str]] = {usual: []}
    for name in arms:
        heading = describe(results.study, name).group or usual
        named.setdefault(heading, []).append(name)
    return [Group(heading=heading, arms=tuple(names)) for heading, names in named.items() if names]


# Forests: one row per arm, one panel per task.


def success_by_method(
    results: Results,
    rates: Mapping[str, Rate],
    groups: Sequence[Group],
    *,
    words: str = "Success by method and task",
) -> str:
    """Fig. 3, upper half: success by method and task; `rates` has every arm of the groups."""
    values = {name: rates[name].by_task for group in groups for name in group.arms}
    ends = [end for row in values.values() for at in row.values() for end in (at.estimate, at.low) if math.isfinite(end)]
    floor = math.floor(10 * min(ends, default=0.0)) / 10
    scale = Scale(low=floor, high=1.0, ticks=_ticks(floor, 1.0, 4), write=percent)
    return _forest(
        results,
        Forest(
            words=f"{words}, %",
            note=f"{_sizes(results, values)}. Bars: 95 % crossed bootstraps over seeds and starts.",
            groups=groups,
            values=values,
            scales=dict.fromkeys(_tasks(results), scale),
            number=lambda value: f"{100 * value:.0f}",
        ),
    )


def steps_by_method(
    results: Results,
    groups: Sequence[Group],
    *,
    words: str = "Steps of successful trials by method and task",
) -> str:
    """Fig. 3, lower half: steps of successes by method and task; the interval is Student's, over the means of the seeds."""
    values: dict[str, Mapping[str, Interval]] = {}
    for group in groups:
        for name in group.arms:
            values[name] = {task: t_interval(_step_means(at)) for task, at in task_grids(counted(results), name).items()}

    return _forest(
        results,
        Forest(
            words=words,
            note=f"{_sizes(results, values)}. Mean over seeds of each seed's mean; bars: 95 %, Student's t over seeds.",
            groups=groups,
            values=values,
            scales={task: _around([row[task] for row in values.values() if task in row]) for task in _tasks(results)},
            number=lambda value: f"{value:.0f}",
        ),
    )


def _step_means(at: Grid) -> np.ndarray:
    """Mean steps of the successes of each seed that has one."""
    return np.array([steps[won].mean() for steps, won in zip(at.steps, at.success, strict=True) if won.any()])


def gate_means(results: Results) -> str:
    """App. G: mean g on successful rollouts and on rescues, by task, of HABC's rounds; Student's interval over the seeds' means."""
    rounds = results.tables["rounds"]
    rows = (
        ("successful rollouts", "mean_g_success", _chain(results)[:1]),
        ("rescues, reweighted (IR)", "mean_g_rescue", _chain(results)[1:]),
    )
    values: dict[str, Mapping[str, Interval]] = {}
    for name, column, arms in rows:
        by_task: dict[str, Interval] = {}
        for task in _tasks(results):
            mine = np.isin(rounds["arm"], arms) & (rounds["task"] == task) & ~np.isnan(rounds[column])
            seeds = np.unique(rounds["seed"][mine])
            if len(seeds):
                by_task[task] = t_interval(np.array([rounds[column][mine & (rounds["seed"] == seed)].mean() for seed in seeds]))
        if by_task:
            values[name] = by_task

    most = max((at.n for row in values.values() for at in row.values()), default=0)
    scale = Scale(low=0.0, high=2.0, ticks=(0.0, 0.5, 1.0, 1.5, 2.0), write=lambda value: f"{value:g}")
    return _forest(
        results,
        Forest(
            words="Mean gate g in HABC's rounds, by task",
            note=f"n = {count(most, 'seed')}, each the mean over its rounds. Bars: 95 %, Student's t over seeds. "
            "At 1 the gate changes nothing.",
            groups=[Group(heading="", arms=tuple(values))],
            values=values,
            scales=dict.fromkeys(_tasks(results), scale),
            number=lambda value: f"{value:.2f}",
            arms=False,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The horizontal axis of a panel."""

    low: float
    high: float
    ticks: Sequence[float]
    write: Callable[[float], str]


def _around(shown: Sequence[Interval]) -> Scale:
    """A scale that holds some estimates and their intervals, with room for the dots at both ends."""
    ends = [end for at in shown for end in (at.low, at.estimate, at.high) if math.isfinite(end)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.06 * (high - low) or 1.0
    low, high = low - room, high + room
    return Scale(low=low, high=high, ticks=_ticks(low, high, 5), write=lambda value: f"{value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """What a forest shows: a row per name, a panel per task."""

    words: str
    note: str
    groups: Sequence[Group]
    values: Mapping[str, Mapping[str, Interval]]
    """Row -> task -> estimate."""
    scales: Mapping[str, Scale]
    """Task -> the axis of its panel."""
    number: Callable[[float], str]
    """How an estimate is written beside its dot."""
    arms: bool = True
    """Whether the rows are arms; otherwise they are called by their own names and share one colour."""


def _forest(results: Results, forest: Forest) -> str:
    """Draw it: a dot, its interval and its number in every cell; hollow where a row stands on fewer seeds than others do."""
    values, labels = forest.values, {}
    if forest.arms:
        labels = {name: describe(results.study, name) for name in values}
    names = {name: labels[name].name if forest.arms else name for name in values}
    colours = {name: COLOUR[labels[name].family] if forest.arms else "blue" for name in values}
    families = [label.family for label in labels.values()]
    headed_by_family = {group.heading for group in forest.groups} <= {family.value for family in families}

    tasks = _tasks(results)
    most = {task: max((row[task].n for row in values.values() if task in row), default=0) for task in tasks}
    fewer = any(at.n < most[task] for row in values.values() for task, at in row.items())
    note = forest.note + (" Hollow: fewer seeds than others, so compare by differences." if fewer else "")
    lines = note_lines(note, WIDTH)

    # A legend is of use only where the headings do not name the families.
    top = 66.0 if headed_by_family or not forest.arms else 88.0
    heights, bottom = _layout(forest.groups, top)
    left = EDGE + 14 + max(150.0, 7.0 * max((len(name) for name in names.values()), default=0))
    span = (WIDTH - left) / max(len(tasks), 1)

    with card(WIDTH, bottom + 44 + NOTE * len(lines)) as sheet:
        sheet.text(EDGE, 28, forest.words, colour="ink", bold=True, size=14)
        if top > 66:
            _legend(sheet, families, y=50)
        for group in forest.groups:
            if group.heading:
                sheet.text(EDGE, heights[group.arms[0]] - ROW / 2 - 7, group.heading, colour="ink")
            for name in group.arms:
                sheet.text(EDGE + (10 if group.heading else 0), heights[name] + 4, names[name])

        for number, task in enumerate(tasks):
            begin, scale = left + number * span, forest.scales[task]
            axes = sheet.panel(begin, top, begin + span - 54, bottom, x=(scale.low, scale.high))
            grid(axes, scale.ticks, [scale.write(tick) for tick in scale.ticks])
            bare(axes)
            sheet.text(begin, top - 8, task, colour="ink", bold=True)
            for name, row in values.items():
                if task in row and math.isfinite(row[task].estimate):
                    called = title(results.study, name) if forest.arms else name
                    tip = f"{called}, {task}: {row[task]}"
                    interval(
                        sheet,
                        axes,
                        row[task],
                        heights[name],
                        colours[name],
                        tip,
                        hollow=row[task].n < most[task],
                    )
                    sheet.text(
                        begin + span - 20,
                        heights[name] + 4,
                        forest.number(row[task].estimate),
                        align="right",
                    )

        sheet.note(lines)
        said = "; ".join(
            f"{names[name]}: " + ", ".join(f"{task} {forest.number(at.estimate)}" for task, at in row.items())
            for name, row in values.items()
        )
        return sheet.svg(f"{forest.words}. {said}")


def _layout(groups: Sequence[Group], top: float) -> tuple[dict[str, float], float]:
    """The middle of every row in pixels, and where the last one ends."""
    heights: dict[str, float] = {}
    y = top
    for group in groups:
        y += HEADING if group.heading else 0
        for name in group.arms:
            heights[name] = y + ROW / 2
            y += ROW
    return heights, y + 4


def _legend(sheet: Card, families: Sequence[Family], y: float) -> None:
    """The colours of the families that a figure shows, in one line."""
    x = EDGE
    axes = sheet.panel(0, 0, sheet.width, sheet.height, x=(0, sheet.width))
    axes.set_axis_off()
    for family in Family:
        if family in families:
            axes.plot(
                [x + 5],
                [y - 4],
                marker="o",
                markersize=8,
                color=LIGHT[COLOUR[family]],
                markeredgewidth=0,
            )
            sheet.text(x + 15, y, family.value)
            x += 15 + 6.4 * len(family.value) + 20


def _tasks(results: Results) -> list[str]:
    """The names of the study's tasks."""
    return [task.name for task in results.study.tasks]


def _sizes(results: Results, values: Mapping[str, Mapping[str, Interval]]) -> str:
    """``n = 10 seeds x 150 starts a task``."""
    trials = results.tables["trials"]
    seeds = max((at.n for row in values.values() for at in row.values()), default=0)
    starts = len(np.unique(trials["trial"])) if trials else 0
    where = "a task" if all(len(task.worlds) == 1 for task in results.study.tasks) else "a world"
    return f"n = {count(seeds, 'seed')} × {count(starts, 'start')} {where}"


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, both included where they are round, at most `most` steps apart from end to end."""
    span = high - low
    if not span > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= most + 1e-9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


# Everything behind the means.


def every_cell(results: Results) -> str:
    """Every cell of every evaluated arm, one line a seed, with its Wilson interval."""
    tasks = _tasks(results)
    arms = [name for name in evaluated(results.study) if has_rows(results, name)]
    measured = {name: task_grids(counted(results), name) for name in arms}

    lane, y = 4.0, 66.0
    middles: dict[str, float] = {}
    for name, by_task in measured.items():
        tall = max(ROW, lane * max(len(at.seeds) for at in by_task.values()) + 12)
        middles[name] = y + tall / 2
        y += tall
    left = EDGE + 6.8 * max((len(title(results.study, name)) for name in arms), default=0) + 14
    span = (WIDTH - left) / max(len(tasks), 1)

    with card(WIDTH, y + 58) as sheet:
        sheet.text(EDGE, 28, "Success of every cell, by method and task", colour="ink", bold=True, size=14)
        for name in arms:
            sheet.text(EDGE, middles[name] + 4, title(results.study, name))
        for place, task in enumerate(tasks):
            begin = left + place * span
            axes = sheet.panel(begin, 62, begin + span - 46, y)
            grid(axes, (0.0, 0.5, 1.0), [percent(tick) for tick in (0.0, 0.5, 1.0)])
            bare(axes)
            sheet.text(begin, 52, task, colour="ink", bold=True)
            for name in arms:
                if task in measured[name]:
                    colour = LIGHT[COLOUR[describe(results.study, name).family]]
                    called = f"{title(results.study, name)}, {task}"
                    _lanes(sheet, axes, measured[name][task], middles[name], lane, colour, called)
        sheet.note(
            note_lines(
                "One line a seed, lowest number on top; n = its starts. Bars: 95 % Wilson intervals over starts.",
                WIDTH,
            )
        )
        return sheet.svg(
            "Success of every cell with its Wilson interval, by method and task, one line a seed",
        )


def _lanes(sheet: Card, axes: Axes, at: Grid, middle: float, lane: float, colour: str, called: str) -> None:
    """The cells of one arm on one task, one above the other."""
    first = middle - lane * (len(at.seeds) - 1) / 2
    for number, (seed, won) in enumerate(zip(at.seeds.tolist(), at.success, strict=True)):
        y = first + lane * number
        cell = wilson(int(won.sum()), len(won))
        axes.plot([cell.low, cell.high], [y, y], color=colour, linewidth=1, alpha=0.45, clip_on=False)
        (disc,) = axes.plot(
            [cell.estimate],
            [y],
            linestyle="none",
            marker="o",
            markersize=3.6,
            color=colour,
            markeredgewidth=0,
            clip_on=False,
        )
        sheet.tip(disc, f"{called}, seed {seed}: {cell}")


# Differences.


def differences(results: Results, compared: Sequence[Contrast]) -> str:
    """Every comparison of the plan that has rows, success of the first minus the second, grouped by what differs."""
    stands = dict(zip(((one.ours, one.theirs) for one in compared), hold_together(compared), strict=True))
    groups: dict[str, list[Contrast]] = {}
    for kind in _KINDS:
        groups[kind] = [one for one in compared if _kind(results, one) == kind]

    longest = {side: max((len(title(results.study, getattr(one, side))) for one in compared), default=0) for side in ("ours", "theirs")}
    middle = EDGE + 6.7 * longest["ours"] + 10
    left = middle + 6.7 * longest["theirs"] + 26
    width = left + 340
    low, high = _reach(compared)
    y, top = 92.0, 64.0
    bottom = y + sum(HEADING + ROW * len(group) for group in groups.values() if group)

    with card(width, bottom + 66) as sheet:
        sheet.text(
            EDGE,
            28,
            "Differences in success, first minus second, in points",
            colour="ink",
            bold=True,
            size=14,
        )
        _legend(sheet, [describe(results.study, one.ours).family for one in compared], y=50)
        axes = sheet.panel(left, top + 16, width - 70, bottom + 8, x=(low, high))
        ticks = _ticks(low, high, 6)
        grid(axes, ticks, [f"{100 * tick:+.0f}".replace("-", "−") if tick else "0" for tick in ticks])
        bare(axes)
        axes.axvline(0, color=LIGHT["axis"], linewidth=1.2)

        for heading, group in groups.items():
            if not group:
                continue
            y += HEADING
            sheet.text(EDGE, y - 8, heading, colour="ink")
            for one in group:
                ours, theirs = title(results.study, one.ours), title(results.study, one.theirs)
                sure = stands[one.ours, one.theirs]
                sheet.text(
                    middle,
                    y + ROW / 2 + 4,
                    ours,
                    align="right",
                    bold=sure,
                    colour="ink" if sure else "soft",
                )
                sheet.text(middle + 12, y + ROW / 2 + 4, "−", align="center")
                sheet.text(middle + 24, y + ROW / 2 + 4, theirs, bold=sure, colour="ink" if sure else "soft")
                colour = COLOUR[describe(results.study, one.ours).family]
                tip = f"{ours} minus {theirs}: {one.difference}, p = {one.p:.4f}"
                axes.axhline(y + ROW / 2, color=LIGHT["grid"], linewidth=1)
                interval(sheet, axes, one.difference, y + ROW / 2, colour, tip)
                value = f"{100 * one.difference.estimate:+.1f}".replace("-", "−")
                sheet.text(
                    width - EDGE,
                    y + ROW / 2 + 4,
                    value,
                    align="right",
                    bold=sure,
                    colour="ink" if sure else "soft",
                )
                y += ROW

        pairs = sorted({one.difference.n for one in compared})
        sizes = " to ".join(str(number) for number in dict.fromkeys((pairs[0], pairs[-1]))) if pairs else "0"
        note = f"n = {sizes} pairs of cells, by task, seed and start. Bars: 95 % crossed bootstraps. "
        sheet.note(note_lines(f"{note}Bold: stands among all {len(compared)} (Holm, 5 %).", width))
        said = "; ".join(
            f"{title(results.study, one.ours)} minus {title(results.study, one.theirs)} {100 * one.difference.estimate:+.1f} points"
            for one in compared
        )
        return sheet.svg(f"Differences in success. {said}")


_KINDS = (
    "methods, all else alike",
    "one update on the same rollouts",
    "zero-noise inference, the same checkpoint",
    "training from scratch each round, the same method",
    "several at once",
)
"""What the two arms of a comparison differ in, in the order in which they are shown."""


def _kind(results: Results, one: Contrast) -> str:
    """Which of `_KINDS` a comparison is, from the two arms' settings."""
    study = results.study
    arm, ours, theirs = study.arm(one.ours), describe(study, one.ours), describe(study, one.theirs)
    if ours.shared and theirs.shared:
        return _KINDS[1]
    if isinstance(arm, Acting) and arm.after == one.theirs:
        return _KINDS[2]
    if (ours.scratch, ours.noise) == (theirs.scratch, theirs.noise):
        return _KINDS[0]
    if (ours.method, ours.noise) == (theirs.method, theirs.noise):
        return _KINDS[3]
    return _KINDS[4]


def _reach(compared: Sequence[Contrast]) -> tuple[float, float]:
    """Whole tenths that hold every difference and its interval."""
    ends = [end for one in compared for end in (one.difference.low, one.difference.estimate, one.difference.high)]
    known = [end for end in ends if math.isfinite(end)]
    return math.floor(10 * min([-0.05, *known])) / 10, math.ceil(10 * max([0.05, *known])) / 10


# Curves.


def viable_starts(results: Results) -> str:
    """Fig. 4, left: the share of first states that the critic calls viable, by round, and the share that was then solved alone."""
    starts = results.tables["starts"]
    arms = [name for name in _chain(results) if starts and (starts["arm"] == name).any()]
    mine = np.isin(starts["arm"], arms) if starts else np.zeros(0, bool)
    rounds = np.unique(starts["round"][mine]).tolist() if mine.any() else []
    called = _rounds_of(results, arms)
    series = (
        ("blue", f"judged viable, p_v(s₀) > {VIABLE:g}", lambda rows: starts["p_v"][rows] > VIABLE),
        ("grey", "solved alone", lambda rows: starts["alone"][rows].astype(bool)),
    )
    shares = [[_share_by_seed(starts, mine & (starts["round"] == number), of) for number in rounds] for _, _, of in series]
    sizes = sorted({share.n for line in shares for share in line}) or [0]

    width, height, top, bottom = 640.0, 320.0, 70.0, 250.0
    with card(width, height) as sheet:
        sheet.text(
            EDGE,
            28,
            "Starts that the critic judges viable, by round",
            colour="ink",
            bold=True,
            size=14,
        )
        sheet.text(EDGE, 48, called)
        axes = sheet.panel(
            60,
            top,
            width - 230,
            bottom,
            x=(min(rounds, default=1) - 0.4, max(rounds, default=1) + 0.4),
            y=(0.0, 1.0),
        )
        bare(axes, keep=("bottom",))
        rates = (0.0, 0.25, 0.5, 0.75, 1.0)
        grid(axes, rates, [percent(tick) for tick in rates], along="y")
        axes.set_xticks(rounds, [f"round {number}" for number in rounds])

        # The two lines stand a little beside each other, so that neither hides the other's interval.
        for (colour, words, _), line, aside in zip(series, shares, (-0.07, 0.07), strict=True):
            at = np.array(rounds, np.float64) + aside
            axes.plot(at, [share.estimate for share in line], color=LIGHT[colour])
            for x, number, share in zip(at.tolist(), rounds, line, strict=True):
                tip = f"{words}, round {number}: {share}"
                upright(sheet, axes, x, share, colour, tip, hollow=share.n < sizes[-1])

        ends = [top + (1 - line[-1].estimate) * (bottom - top) + 4 if line else bottom for line in shares]
        for (colour, words, _), y in zip(series, _apart(ends, 16), strict=True):
            sheet.text(width - 222, y, words, colour=colour, bold=True)

        n = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
        hollow = " (hollow: fewer)" if sizes[0] < sizes[-1] else ""
        sheet.note(
            note_lines(
                f"n = {n} seeds{hollow}, each the mean over its tasks. Bars: 95 %, Student's t over seeds.",
                width,
            )
        )
        return sheet.svg(f"Share of starts judged viable (p_v above {VIABLE:g}) by round, of {called}")


def _rounds_of(results: Results, arms: Sequence[str]) -> str:
    """``HABC (rounds 1 to 3), then HABC+IR (rounds 4 to 6)``: the methods of arms that go on from each other."""
    study = results.study
    words: list[str] = []
    for method, names in groupby(arms, key=lambda name: describe(study, name).method):
        chain = [arm for arm in (study.arm(name) for name in names) if isinstance(arm, Online)]
        first, last = study.first_round(chain[0]), study.first_round(chain[-1]) + chain[-1].rounds - 1
        words.append(f"{method} (rounds {first} to {last})" if last > first else f"{method} (round {first})")
    return ", then ".join(words)


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Heights of words, moved as little as keeps neighbours at least so far apart."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    moved = list(heights)
    for upper, lower in pairwise(order):
        missing = least - (moved[lower] - moved[upper])
        if missing > 0:
            moved[upper] -= missing / 2
            moved[lower] += missing / 2
    return moved


def _share_by_seed(
    starts: Table,
    chosen: Bool[np.ndarray, "M"],
    of: Callable[[np.ndarray], np.ndarray],
) -> Interval:
    """Mean over seeds of a share, tasks counting the same, with Student's interval; a seed that lacks a task is left out."""
    tasks = np.unique(starts["task"][chosen])
    means: list[float] = []
    for seed in np.unique(starts["seed"][chosen]):
        cells = [np.flatnonzero(chosen & (starts["seed"] == seed) & (starts["task"] == task)) for task in tasks]
        if all(len(rows) for rows in cells):
            means.append(float(np.mean([of(rows).mean() for rows in cells])))
    return t_interval(np.array(means))


def stop_curve(results: Results, arm: str) -> str:
    """Robot steps saved against successes lost, one point per threshold and one line per task."""
    stops = results.tables["stops"]
    most = 0.3
    lines: list[tuple[str, str, list[tuple[float, float, float]]]] = []
    for task, colour in zip(_tasks(results), TASK_COLOUR, strict=False):
        points = [point for point in _stop_points(stops, arm, task) if point[1] <= most]
        if points:
            lines.append((task, colour, points))

    width, height, left, right, top, bottom = 640.0, 350.0, 60.0, 480.0, 66.0, 262.0
    ceiling = math.ceil(10 * max((saved for *_, points in lines for *_, saved in points), default=0.4)) / 10
    with card(width, height) as sheet:
        sheet.text(
            EDGE,
            28,
            f"Stop and call for help: {title(results.study, arm)}",
            colour="ink",
            bold=True,
            size=14,
        )
        sheet.text(left, 54, "control steps saved")
        axes = sheet.panel(left, top, right, bottom, x=(0.0, most), y=(0.0, ceiling))
        bare(axes, keep=("bottom",))
        ticks = _ticks(0.0, ceiling, 5)
        grid(axes, ticks, [percent(tick) for tick in ticks], along="y")
        grid(axes, (0.0, 0.1, 0.2, 0.3), [percent(tick) for tick in (0.0, 0.1, 0.2, 0.3)])
        sheet.text(right, bottom + 38, "successes lost", align="right")

        for task, colour, points in lines:
            axes.plot([lost for _, lost, _ in points], [saved for *_, saved in points], color=LIGHT[colour])
            for threshold, lost, saved in points:
                dot(
                    sheet,
                    axes,
                    lost,
                    saved,
                    colour,
                    f"{task}, p_v < {threshold:g}: saves {percent(saved)}, loses {percent(lost)}",
                )

        # Each line's name stands at the height of its end, outside of the panel, where no other line runs.
        ends = [bottom - points[-1][2] / ceiling * (bottom - top) + 4 for *_, points in lines]
        for (task, colour, _), y in zip(lines, _apart(ends, 16), strict=True):
            sheet.text(right + 14, y, task, colour=colour, bold=True)

        once = (stops["arm"] == arm) & (stops["threshold"] == stops["threshold"].min()) if stops else np.zeros(0, bool)
        untouched = int(stops["untouched"][once].sum()) if stops else 0
        note = f"n = {untouched:,} rollouts that nobody touched. A point: stop after {PATIENCE} steps in a row below a viability "
        sheet.note(note_lines(f"{note}of .02 (left) to .5.", width))
        return sheet.svg(
            f"Control steps saved against successes lost when stopping at low viability, {title(results.study, arm)}",
        )


def _stop_points(stops: Table, arm: str, task: str) -> list[tuple[float, float, float]]:
    """(threshold, share of successes lost, share of steps saved) of all rounds and seeds of an arm on a task."""
    if not stops:
        return []
    mine = (stops["arm"] == arm) & (stops["task"] == task)
    points: list[tuple[float, float, float]] = []
    for threshold in np.unique(stops["threshold"][mine]):
        rows = mine & (stops["threshold"] == threshold)
        lost = stops["lost"][rows].sum() / max(stops["successes"][rows].sum(), 1)
        points.append(
            (float(threshold), float(lost), float(stops["saved"][rows].sum() / stops["steps"][rows].sum())),
        )
    return points


def _chain(results: Results) -> list[str]:
    """HABC as the paper runs it, and what goes on from it with reweighted interventions (IR), each after the one before."""
    study = results.study
    online = [arm for arm in study.arms if isinstance(arm, Online) and describe(study, arm.name).family == Family.HABC]
    plain = [arm for arm in online if arm.weighing.rule == HABC() and not arm.from_scratch and arm.fit is None]
    chain = [plain[0].name] if plain else []
    while chain:
        further = [arm.name for arm in online if arm.after == chain[-1] and arm.weighing.rule == HABC(reweight_interventions=True)]
        if not further:
            break
        chain.append(further[0])
    return chain
