"""Trials and rounds -> what each arm reaches by task: success, steps, the gate's
mean, and every cell behind the means."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from jaxtyping import Float

from vantage.core.stats import Interval, t_interval, wilson
from vantage.report.words import percent
from vantage.study.arms import Family, describe, evaluated, title
from vantage.study.figures.card import LIGHT, MARGIN, Axes, Card, bare, card, grid, note_lines
from vantage.study.figures.forest import (
    COLOUR,
    LEAST,
    ROW,
    WIDTH,
    Estimates,
    Forest,
    Group,
    Row,
    Scale,
    arm_row,
    draw_forest,
    round_ticks,
    scale_around,
)
from vantage.study.figures.groups import ArmGroup, habc_chain, has_rows
from vantage.study.rows import Results
from vantage.study.statistics import Grid, Rate, task_grids
from vantage.study.tables import counted
from vantage.study.words import count

LANE = 4.0
"""Pixels between two seeds of an arm in the figure of every cell."""


def success_by_method(
    results: Results,
    rates: Mapping[str, Rate],
    groups: Sequence[ArmGroup],
    *,
    words: str = "Success by method and task",
) -> str:
    """Fig. 3, upper half: success by method and task; `rates` has every arm of the groups."""
    values = {arm: rates[arm].by_task for group in groups for arm in group.arms}
    ends = [end for row in values.values() for at in row.values() for end in (at.estimate, at.low)]
    floor = math.floor(10 * min((end for end in ends if math.isfinite(end)), default=0.0)) / 10
    scale = Scale(low=floor, high=1.0, ticks=round_ticks(floor, 1.0, 4), write=percent)
    forest = Forest(
        words=f"{words}, %",
        note=f"{_sizes(results, values)}. Bars: 95 % crossed bootstraps over seeds and starts.",
        groups=_arm_groups(results, groups, values),
        scales=dict.fromkeys(_tasks(results), scale),
        number=lambda value: f"{100 * value:.0f}",
        legend=_legend(results, groups),
    )
    return draw_forest(forest)


def steps_by_method(
    results: Results,
    groups: Sequence[ArmGroup],
    *,
    words: str = "Steps of successful trials by method and task",
) -> str:
    """Fig. 3, lower half: steps of successes by method and task; the interval is
    Student's, over the means of the seeds."""
    trials = counted(results)
    values: dict[str, Estimates] = {}
    for group in groups:
        for arm in group.arms:
            values[arm] = {task: t_interval(_step_means(at)) for task, at in task_grids(trials, arm).items()}

    scales: dict[str, Scale] = {}
    for task in _tasks(results):
        scales[task] = scale_around([row[task] for row in values.values() if task in row])
    sizes = _sizes(results, values)
    forest = Forest(
        words=words,
        note=f"{sizes}. Mean over seeds of each seed's mean; bars: 95 %, Student's t over seeds.",
        groups=_arm_groups(results, groups, values),
        scales=scales,
        number=lambda value: f"{value:.0f}",
        legend=_legend(results, groups),
    )
    return draw_forest(forest)


def _step_means(at: Grid) -> Float[np.ndarray, "S"]:
    """Mean steps of the successes of each seed that has one."""
    return np.array([steps[won].mean() for steps, won in zip(at.steps, at.success, strict=True) if won.any()])


def gate_means(results: Results) -> str:
    """App. G: mean g on successful rollouts and on rescues, by task, of HABC's rounds; Student's t over the
    seeds' means."""
    rounds = results.tables["rounds"]
    chain = habc_chain(results.study)
    rows: list[Row] = []
    for name, column, arms in (
        ("successful rollouts", "mean_g_success", chain[:1]),
        ("rescues, reweighted (IR)", "mean_g_rescue", chain[1:]),
    ):
        values: dict[str, Interval] = {}
        for task in _tasks(results):
            own = np.isin(rounds["arm"], arms) & (rounds["task"] == task) & ~np.isnan(rounds[column])
            seeds = np.unique(rounds["seed"][own])
            if len(seeds):
                means = [rounds[column][own & (rounds["seed"] == seed)].mean() for seed in seeds]
                values[task] = t_interval(np.array(means))
        if values:
            rows.append(Row(name=name, title=name, colour="blue", values=values))

    seeds = max((at.n for row in rows for at in row.values.values()), default=0)
    scale = Scale(low=0.0, high=2.0, ticks=(0.0, 0.5, 1.0, 1.5, 2.0), write=lambda value: f"{value:g}")
    forest = Forest(
        words="Mean gate g in HABC's rounds, by task",
        note=f"n = {count(seeds, 'seed')}, each the mean over its rounds. Bars: 95 %, Student's t over "
        "seeds. At 1 the gate changes nothing.",
        groups=[Group(heading="", rows=rows)],
        scales=dict.fromkeys(_tasks(results), scale),
        number=lambda value: f"{value:.2f}",
    )
    return draw_forest(forest)


def every_cell(results: Results, *, words: str = "Success of every cell, by method and task") -> str:
    """Every cell of every evaluated arm, one line a seed, with its Wilson interval."""
    study, tasks = results.study, _tasks(results)
    arms = [arm for arm in evaluated(study) if has_rows(results, arm)]
    trials = counted(results)
    measured = {arm: task_grids(trials, arm) for arm in arms}

    # An arm takes as much height as it has seeds.
    middles: dict[str, float] = {}
    y = 66.0
    for arm in arms:
        height = max(ROW, LANE * max(len(at.seeds) for at in measured[arm].values()) + 12)
        middles[arm] = y + height / 2
        y += height
    left = MARGIN + 14 + 6.8 * max((len(title(study, arm)) for arm in arms), default=0)
    span = max((WIDTH - left) / max(len(tasks), 1), LEAST)
    width = left + span * max(len(tasks), 1)

    with card(width, y + 58) as sheet:
        sheet.title(words)
        for arm in arms:
            sheet.text(MARGIN, middles[arm] + 4, title(study, arm))

        for column, task in enumerate(tasks):
            begin = left + column * span
            axes = sheet.panel(begin, 62, begin + span - 46, y)
            grid(axes, (0.0, 0.5, 1.0), [percent(tick) for tick in (0.0, 0.5, 1.0)])
            bare(axes)
            sheet.text(begin, 52, task, colour="ink", bold=True)
            for arm in arms:
                if task in measured[arm]:
                    colour = LIGHT[COLOUR[describe(study, arm).family]]
                    cells = f"{title(study, arm)}, {task}"
                    _cells(sheet, axes, measured[arm][task], middles[arm], colour, cells)

        note = (
            "One line a seed, lowest number on top; n = its starts. Bars: 95 % Wilson intervals over starts."
        )
        sheet.note(note_lines(note, width))
        return sheet.svg(
            "Success of every cell with its Wilson interval, by method and task, one line a seed"
        )


def _cells(sheet: Card, axes: Axes, at: Grid, middle: float, colour: str, called: str) -> None:
    """The cells of one arm on one task, one above the other."""
    first = middle - LANE * (len(at.seeds) - 1) / 2
    for number, (seed, won) in enumerate(zip(at.seeds.tolist(), at.success, strict=True)):
        y = first + LANE * number
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


def _arm_groups(results: Results, groups: Sequence[ArmGroup], values: Mapping[str, Estimates]) -> list[Group]:
    """Rows of arms, in their groups."""
    drawn: list[Group] = []
    for group in groups:
        rows = [arm_row(results.study, arm, values[arm]) for arm in group.arms]
        drawn.append(Group(heading=group.heading, rows=rows))
    return drawn


def _legend(results: Results, groups: Sequence[ArmGroup]) -> list[Family]:
    """The families of some arms; none where the headings name them."""
    families = [describe(results.study, arm).family for group in groups for arm in group.arms]
    if {group.heading for group in groups} <= {family.value for family in families}:
        return []
    return [family for family, _ in groupby(sorted(families))]


def _tasks(results: Results) -> list[str]:
    """The names of the study's tasks."""
    return [task.name for task in results.study.tasks]


def _sizes(results: Results, values: Mapping[str, Estimates]) -> str:
    """``n = 10 seeds × 150 starts a task``; of suites: a world."""
    trials = results.tables["trials"]
    seeds = max((at.n for row in values.values() for at in row.values()), default=0)
    starts = len(np.unique(trials["trial"])) if trials else 0
    single = all(len(task.worlds) == 1 for task in results.study.tasks)
    return f"n = {count(seeds, 'seed')} × {count(starts, 'start')} a {'task' if single else 'world'}"
