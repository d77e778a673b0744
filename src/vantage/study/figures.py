"""Stored rows -> the figures of a study, as SVG text: the paper's Fig. 3, 4 (left), App. G, the differences, and what a stop rule saves."""

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from vantage.core.stats import Interval, wilson
from vantage.report.paper import VIABLE
from vantage.report.svg import Plot, axes, dot, interval, line, plot, rule, svg, text
from vantage.report.svg import ticks as round_ticks
from vantage.report.words import number, percent
from vantage.study.plan import Online
from vantage.study.rows import Results
from vantage.study.statistics import grids, hold_together, rate
from vantage.study.tables import contrasts, evaluated, title

FAMILY = {
    "sft": "demo",
    "sft-more": "demo",
    "imit-dagger": "human",
    "awr": "unlabelled",
    "imit-recap": "failure",
    "filtered-bc": "efficiency",
}
"""Colour class of the arms that are not HABC."""
_RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
_ROW = 24
_LABELS = 250.0


def colour(arm: str) -> str:
    """Blue is HABC without its efficiency head or with everything; baselines have colours of their own; violet goes beyond the paper."""
    plain = arm.removeprefix("shared-").removesuffix("-calm").removesuffix("-anew").removesuffix("+rescues")
    return FAMILY.get(plain) or ("policy" if plain.startswith("habc") else "gate")


ANCHORS = ("filtered-bc", "habc", "habc+ir")
"""Arms of the paper's comparison that a figure of other arms begins with."""


def ordered_arms(results: Results) -> list[str]:
    """The arms of the study's order that have rows: the paper's Fig. 3."""
    return [name for name in results.study.order if has_rows(results, name)]


def further_arms(results: Results) -> list[str]:
    """The evaluated arms that are not in the order, those with rows, behind a few that are; none, if there are none."""
    known = [name for name in evaluated(results.study) if not name.startswith("shared-") and has_rows(results, name)]
    further = [name for name in known if name not in results.study.order]
    return [name for name in ANCHORS if name in known and further] + further


def shared_arms(results: Results) -> list[str]:
    """The arms that learned from the same rollouts, those with rows, in the study's order."""
    return [name for name in evaluated(results.study) if name.startswith("shared-") and has_rows(results, name)]


def success_by_method(results: Results, width: float, arms: Sequence[str]) -> str:
    """Fig. 3, upper half: success by method and task."""
    tasks = [task.world.task for task in results.study.tasks]
    found = {name: rate(results.tables["trials"], name) for name in arms}
    rows: dict[str, dict[str, Interval]] = {name: each.by_task for name, each in found.items() if each is not None}
    return _forest(rows, tasks, width, "Success rate by method and task", percent, (0.0, 1.0), _RATES)


def steps_by_method(results: Results, width: float, arms: Sequence[str]) -> str:
    """Fig. 3, lower half: steps of successes by method and task, with the scatter between seeds."""
    tasks = [task.world.task for task in results.study.tasks]
    rows: dict[str, dict[str, Interval]] = {}
    for name in arms:
        rows[name] = {}
        for task, grid in grids(results.tables["trials"], name).items():
            means = np.array([steps[won].mean() for steps, won in zip(grid.steps, grid.success, strict=True) if won.any()])
            half = 1.96 * means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else float("nan")
            centre = float(means.mean()) if len(means) else float("nan")
            rows[name][task] = Interval(estimate=centre, low=centre - half, high=centre + half, n=len(means))
    known = [each.estimate for row in rows.values() for each in row.values() if np.isfinite(each.estimate)]
    top = 10 * np.ceil(max(known, default=1.0) * 1.08 / 10)
    low = 10 * np.floor(min(known, default=0.0) * 0.92 / 10)
    return _forest(rows, tasks, width, "Steps of successful trials by method and task", number, (float(low), float(top)), None)


def _forest(
    rows: dict[str, dict[str, Interval]],
    tasks: Sequence[str],
    width: float,
    label: str,
    write: Callable[[float], str],
    extent: tuple[float, float],
    marks: Sequence[float] | None,
) -> str:
    """One line per method and one panel per task: a dot, its interval, its number; hollow where other methods have more seeds."""
    names, left = list(rows), _LABELS
    height = 58 + _ROW * len(names)
    span = (width - left - 8) / max(len(tasks), 1)
    parts = [
        text(4, 34 + _ROW * (i + 0.5) + 4, title(name), cls="strong" if name.startswith(("habc", "vantage-anew")) else "")
        for i, name in enumerate(names)
    ]
    for place, task in enumerate(tasks):
        most = max((row[task].n for row in rows.values() if task in row), default=0)
        area = plot((left + place * span, 34, left + (place + 1) * span - 26, height - 24), x=extent)
        ticks = marks or tuple(round_ticks(*extent, 4))
        parts.append(text(area.left, 18, task, cls="strong"))
        for m in ticks:
            end = "start" if m == extent[0] else "end" if m == extent[1] else "middle"
            parts.append(rule(area.x(m), area.top, area.x(m), area.bottom))
            if marks is None or m in marks[::2]:
                parts.append(text(area.x(m), area.bottom + 16, write(m), anchor=end))
        for i, name in enumerate(names):
            each = rows[name].get(task)
            if each is not None and np.isfinite(each.estimate):
                cls = colour(name) if each.n == most else f"hollow {colour(name)}"
                parts.append(_flat(area, 34 + _ROW * (i + 0.5), each, cls, f"{title(name)}, {task}: {each}"))
    words = "; ".join(
        f"{title(name)}: " + ", ".join(f"{task} {write(each.estimate)}" for task, each in row.items()) for name, row in rows.items()
    )
    return svg(width, height, parts, f"{label}. {words}")


def every_cell(results: Results, width: float) -> str:
    """All that stands behind the means: every cell of every evaluated arm, one line a seed, with its Wilson interval."""
    tasks = [task.world.task for task in results.study.tasks]
    found = {name: grids(results.tables["trials"], name) for name in evaluated(results.study) if has_rows(results, name)}
    left, top, lane = _LABELS, 34.0, 4.0
    seeds = {name: max(len(grid.seeds) for grid in by_task.values()) for name, by_task in found.items()}
    tall = {name: max(20.0, lane * count + 10) for name, count in seeds.items()}
    begin = dict(zip(found, np.cumsum([top, *tall.values()]).tolist(), strict=False))
    height = top + sum(tall.values()) + 24
    span = (width - left - 8) / max(len(tasks), 1)
    parts = [text(4, begin[name] + tall[name] / 2 + 4, title(name)) for name in found]
    for place, task in enumerate(tasks):
        area = plot((left + place * span, top, left + (place + 1) * span - 26, height - 24), x=(0.0, 1.0))
        parts.append(text(area.left, 18, task, cls="strong"))
        for m, end in zip(_RATES[::2], ("start", "middle", "end"), strict=True):
            parts += [rule(area.x(m), area.top, area.x(m), area.bottom), text(area.x(m), area.bottom + 16, percent(m), anchor=end)]
        for name, by_task in found.items():
            if task not in by_task:
                continue
            grid, first = by_task[task], begin[name] + (tall[name] - lane * (len(by_task[task].seeds) - 1)) / 2
            for i, (seed, won) in enumerate(zip(grid.seeds.tolist(), grid.success, strict=True)):
                each, y = wilson(int(won.sum()), len(won)), first + lane * i
                parts.append(rule(area.x(each.low), y, area.x(each.high), y, f"mark fine {colour(name)}"))
                parts.append(dot(area.x(each.estimate), y, colour(name), 2, f"{title(name)}, {task}, seed {seed}: {each}"))
    return svg(width, height, parts, "Success of every cell with its Wilson interval, by method and task, one line a seed")


def _flat(area: Plot, y: float, each: Interval, cls: str, words: str) -> Markup:
    """A dot with an interval lying on its side."""
    parts = Markup("")
    if np.isfinite(each.low):
        parts = rule(area.x.clip(each.low), y, area.x.clip(each.high), y, f"mark {cls}")
    return parts + dot(area.x.clip(each.estimate), y, cls, 4.5, words)


def differences(results: Results, width: float) -> str:
    """Every comparison of the plan: success of the first minus the second."""
    found = contrasts(results)
    left, height = 410.0, 58 + _ROW * len(found)
    ends = [end for each in found for end in (each.difference.low, each.difference.estimate, each.difference.high) if np.isfinite(end)]
    low, high = np.floor(10 * min([-0.05, *ends])) / 10, np.ceil(10 * max([0.05, *ends])) / 10
    area = plot((left, 20, width - 64, height - 38), x=(float(low), float(high)))
    parts = [
        rule(area.x(t), area.top, area.x(t), area.bottom)
        + text(area.x(t), area.bottom + 16, f"{100 * t:+.0f}" if t else "0", anchor="middle")
        for t in round_ticks(float(low), float(high), 6)
    ]
    parts.append(rule(area.x(0), area.top, area.x(0), area.bottom, "axis"))
    parts.append(text(area.right, height - 4, "points of success, first minus second", anchor="end"))
    for i, (each, sure) in enumerate(zip(found, hold_together(found), strict=True)):
        y = 20 + _ROW * (i + 0.5)
        parts.append(text(4, y + 4, f"{title(each.ours)} − {title(each.theirs)}", cls="strong" if sure else ""))
        parts.append(_flat(area, y, each.difference, colour(each.ours), str(each.difference)))
        parts.append(text(width - 44, y + 4, f"{100 * each.difference.estimate:+.1f}", cls="strong" if sure else ""))
    words = "; ".join(f"{title(e.ours)} minus {title(e.theirs)} {100 * e.difference.estimate:+.1f} points" for e in found)
    return svg(width, height, parts, f"Differences in success. {words}")


def viable_starts(results: Results, width: float, height: float = 260) -> str:
    """Fig. 4, left: the share of first states that the critic calls viable, round after round, and the share that was then solved alone."""
    starts = results.tables["starts"]
    names = [arm.name for arm in results.study.arms if isinstance(arm, Online) and starts and (starts["arm"] == arm.name).any()]
    chain = [name for name in ("habc", "habc+ir", "habc+ir-2", "habc+ir-3") if name in names] or names[:1]
    mine = np.isin(starts["arm"], chain) if starts else np.zeros(0, bool)
    rounds = np.unique(starts["round"][mine]) if mine.any() else np.array([1])
    area = plot((46, 30, width - 150, height - 50), x=(float(rounds.min()) - 0.3, float(rounds.max()) + 0.3))
    parts = [axes(area, x_ticks=rounds.tolist(), y_ticks=_RATES, y_names=[percent(r) for r in _RATES], x_label="round")]
    series = (
        ("policy", f"p_v at the start above {number(VIABLE)}", lambda rows: starts["p_v"][rows] > VIABLE),
        ("demo", "solved alone", lambda rows: starts["alone"][rows].astype(bool)),
    )
    for cls, words, of in series:
        shares = np.array([_by_seed(starts, np.flatnonzero(mine & (starts["round"] == r)), of) for r in rounds])
        parts.append(line(area, rounds.astype(float), shares[:, 0], cls))
        for r, (centre, half) in zip(rounds.tolist(), shares.tolist(), strict=True):
            parts.append(interval(area, r, centre - half, centre + half, cls))
            parts.append(dot(area.x(r), area.y(centre), cls, 4.5, f"round {r}: {percent(centre)}"))
        lower = 14 if cls == "demo" else -6
        parts.append(
            text(
                area.right + 8,
                area.y(float(shares[-1, 0])) + lower,
                words.replace("p_v at the start above", "p_v(s₀) >"),
                cls=f"named {cls}",
            )
        )
    return svg(
        width, height, parts, f"Share of starts above viability {number(VIABLE)} by round, of {' then '.join(title(n) for n in chain)}"
    )


def _by_seed(starts: dict[str, np.ndarray], rows: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Mean over (task, seed) of a share, and half its 95 % interval."""
    key = np.char.add(starts["task"][rows].astype(str), starts["seed"][rows].astype(str))
    means = np.array([of(rows[key == one]).mean() for one in np.unique(key)])
    return float(means.mean()), float(1.96 * means.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else 0.0


def gate_means(results: Results, width: float) -> str:
    """App. G: mean g on successful rollouts and on rescues, by task, of HABC's rounds."""
    rounds = results.tables["rounds"]
    rows: dict[str, dict[str, Interval]] = {}
    for words, column, arms in (
        ("successful rollouts", "mean_g_success", ("habc",)),
        ("rescues (IR)", "mean_g_rescue", ("habc+ir", "habc+ir-2", "habc+ir-3")),
    ):
        rows[words] = {}
        for place in results.study.tasks:
            mine = np.isin(rounds["arm"], arms) & (rounds["task"] == place.world.task) if rounds else np.zeros(0, bool)
            values = rounds[column][mine] if rounds else np.zeros(0)
            values = values[~np.isnan(values)]
            if len(values):
                half = 1.96 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
                centre = float(values.mean())
                rows[words][place.world.task] = Interval(estimate=centre, low=centre - half, high=centre + half, n=len(values))
    tasks = [task.world.task for task in results.study.tasks]
    return _forest(rows, tasks, width, "Mean g", lambda v: f"{v:.2f}", (0.0, 2.0), (0.0, 0.5, 1.0, 1.5, 2.0))


def stop_curve(results: Results, arm: str, width: float, height: float = 280) -> str:
    """Robot steps saved against successes lost, one point per threshold and one line per task."""
    stops = results.tables["stops"]
    area = plot((52, 26, width - 150, height - 48), x=(0, 0.3), y=(0, 0.4))
    parts = [
        axes(
            area,
            x_ticks=(0, 0.1, 0.2, 0.3),
            x_names=[percent(v) for v in (0, 0.1, 0.2, 0.3)],
            y_ticks=(0, 0.1, 0.2, 0.3, 0.4),
            y_names=[percent(v) for v in (0, 0.1, 0.2, 0.3, 0.4)],
            x_label="successes lost",
            y_label="control steps saved",
        )
    ]
    for number_of, (place, cls) in enumerate(zip(results.study.tasks, ("policy", "human", "efficiency", "failure"), strict=False)):
        mine = (stops["arm"] == arm) & (stops["task"] == place.world.task) if stops else np.zeros(0, bool)
        if not mine.any():
            continue
        points: list[tuple[float, float]] = []
        for threshold in np.unique(stops["threshold"][mine]):
            here = mine & (stops["threshold"] == threshold)
            lost = float(stops["lost"][here].sum() / max(stops["successes"][here].sum(), 1))
            saved = float(stops["saved"][here].sum() / stops["steps"][here].sum())
            points.append((lost, saved))
            if lost <= 0.3:
                parts.append(
                    dot(
                        area.x(lost),
                        area.y.clip(saved),
                        f"{cls} small",
                        4,
                        f"p_v < {threshold:g}: saves {percent(saved)}, loses {percent(lost)}",
                    )
                )
        shown = np.array([point for point in points if point[0] <= 0.3])
        parts.append(line(area, shown[:, 0], shown[:, 1], cls))
        parts.append(text(area.right + 8, area.top + 12 + 18 * number_of, place.world.task, cls=f"named {cls}"))
    return svg(width, height, parts, f"Control steps saved against successes lost when stopping at low viability, {title(arm)}")


def has_rows(results: Results, arm: str) -> bool:
    """Whether an arm has finished cells."""
    trials = results.tables["trials"]
    return bool(trials) and bool((trials["arm"] == arm).any())
