"""The numbers of a run -> its figures, one function each, as SVG text of a given width in CSS pixels.

Every figure says in its `aria-label` what it shows; the page adds one sentence on how to read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vantage.report.figures import axes, dot, histogram, interval, line, number, percent, plot, rule, stacked, svg, text, ticks
from vantage.report.tables import VIABLE, Arm, Collected, Kind, Starts, WeightStatistics
from vantage.types import Route

KIND_CLASS = {Kind.DEMO: "demo", Kind.ALONE: "policy", Kind.RESCUED: "human", Kind.FAILED: "failure", Kind.UNKNOWN: "unlabelled"}
ROUTE_CLASS = {
    Route.DEMO: "demo",
    Route.ROLLOUT_SUCCESS: "policy",
    Route.INTERVENTION: "human",
    Route.ROLLOUT_FAILURE: "failure",
    Route.UNLABELLED: "unlabelled",
}
ROUTE_WORDS = {
    Route.DEMO: "demonstration",
    Route.ROLLOUT_SUCCESS: "policy, succeeded",
    Route.INTERVENTION: "human, correcting",
    Route.ROLLOUT_FAILURE: "policy, failed",
    Route.UNLABELLED: "policy, not judged",
}
WIDTHS = (345, 640, 1000)
"""Wide figures are drawn for a phone, a tablet and a desk; the page shows the one that fits."""
_RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
_RATE_NAMES = [percent(rate) for rate in _RATES]


def success(arms: Sequence[Arm], width: float, height: float, title: str = "") -> str:
    """Success by round with Wilson intervals; the rounds joined, the control beside them as a ring."""
    area = plot((46, 38 if title else 22, width - 20, height - 30), x=(-0.5, len(arms) - 0.5))
    rates = [arm.trials.rate() for arm in arms]
    names = [arm.short if len(arms) <= 5 else arm.short.removeprefix("round ") for arm in arms]
    parts = [axes(area, x_ticks=range(len(arms)), x_names=names, y_ticks=_RATES, y_names=_RATE_NAMES)]
    if title:
        parts.append(text(4, 16, title if len(title) < width / 7 else title[: int(width / 7)] + "…", cls="strong"))
    learned = [place for place, arm in enumerate(arms) if not arm.control]
    parts.append(line(area, np.array(learned, float), np.array([rates[i].estimate for i in learned]), "policy"))
    for place, (arm, rate) in enumerate(zip(arms, rates, strict=True)):
        cls = "demo" if arm.control or not arm.rounds else "policy"
        x, y = area.x(place), area.y(rate.estimate)
        parts.append(interval(area, place, rate.low, rate.high, cls))
        parts.append(dot(x, y, f"{cls} hollow" if arm.control else cls, 5, f"{arm.name}: {rate}"))
        parts.append(text(x, area.y(rate.high) - 8, percent(rate.estimate), anchor="middle", cls="strong"))
    words = "; ".join(f"{arm.name} {percent(rate.estimate)}" for arm, rate in zip(arms, rates, strict=True))
    return svg(width, height, parts, f"Success rate{f' on {title}' if title else ''}: {words}")


def step_pairs(ours: Arm, theirs: Arm, width: float, height: float) -> str:
    """Steps to success of two policies on every start that both solve, with the diagonal of no difference."""
    both = ours.trials.success & theirs.trials.success
    x, y = theirs.trials.steps[both], ours.trials.steps[both]
    top = float(max(x.max(initial=1), y.max(initial=1))) * 1.06
    area = plot((46, 34, width - 20, height - 48), x=(0, top), y=(0, top))
    marks = ticks(0, top, 4)
    parts = [axes(area, x_ticks=marks, y_ticks=marks, x_label=f"steps, {theirs.name}", y_label=f"steps, {ours.name}")]
    parts.append(rule(area.x(0), area.y(0), area.x(top), area.y(top), "guide"))
    parts += [dot(area.x(float(a)), area.y(float(b)), "policy small", 3.5) for a, b in zip(x, y, strict=True)]
    faster = f"{int((y < x).sum())} of {len(x)} below the diagonal, where {ours.name} is faster"
    return svg(width, height, parts, f"Steps to success on the starts both solve: {faster}")


def episode_columns(rounds: Sequence[Collected], width: float, height: float) -> str:
    """How the recorded episodes of each round went."""
    parts = {each.number: [(KIND_CLASS[k], f"{k}: {n}", float(n)) for k, n in each.episodes.items()] for each in rounds}
    return _columns(parts, width, height, "episodes", "Episodes recorded in each round, by how they went")


def route_columns(rounds: Sequence[Collected], width: float, height: float) -> str:
    """What each round's frames may be used for."""
    parts = {
        each.number: [(ROUTE_CLASS[r], f"{ROUTE_WORDS[r]}: {n:,} frames", float(n)) for r, n in each.frames.items()] for each in rounds
    }
    return _columns(parts, width, height, "frames", "Frames recorded in each round, by what they may teach")


def _columns(rounds: Mapping[int, Sequence[tuple[str, str, float]]], width: float, height: float, unit: str, label: str) -> str:
    top = max((sum(amount for *_, amount in parts) for parts in rounds.values()), default=1) or 1
    area = plot((52, 34, width - 20, height - 34), x=(-0.5, len(rounds) - 0.5), y=(0, top * 1.05))
    names = [f"round {n}" if n else "demos" for n in rounds]
    drawn = [axes(area, x_ticks=range(len(rounds)), x_names=names, y_ticks=ticks(0, top * 1.05, 4), y_label=unit)]
    bar = min(54.0, (area.right - area.left) / len(rounds) * 0.6)
    drawn += [stacked(area, place, bar, parts) for place, parts in enumerate(rounds.values())]
    return svg(width, height, drawn, label)


def gate_histogram(found: WeightStatistics, width: float, height: float) -> str:
    """Distribution of the gate g by route, each route's share of its own frames."""
    edges = np.linspace(0, 2, 21)
    series = [(ROUTE_CLASS[each.route], ROUTE_WORDS[each.route], _shares(each.g, edges)) for each in found.routes if len(each.g)]
    top = max((float(share.max()) for *_, share in series), default=1.0) * 1.08
    area = plot((46, 34, width - 20, height - 48), x=(0, 2), y=(0, top))
    marks = ticks(0, top, 3)
    parts = [
        axes(
            area,
            x_ticks=(0, 0.5, 1, 1.5, 2),
            y_ticks=marks,
            y_names=[percent(m) for m in marks],
            x_label="gate g",
            y_label="share of frames",
        ),
        rule(area.x(1), area.top, area.x(1), area.bottom, "guide"),
        histogram(area, edges, series),
    ]
    means = "; ".join(f"{ROUTE_WORDS[each.route]} mean {number(each.mean_g)}" for each in found.routes)
    return svg(width, height, parts, f"Distribution of the gate g: {means}")


def weight_histogram(found: WeightStatistics, width: float, height: float) -> str:
    """Distribution of the final weights over the frames that may be drawn."""
    top_weight = float(max(2.0, np.quantile(found.weight, 0.995) if len(found.weight) else 2.0))
    edges = np.linspace(0, top_weight, 25)
    share = _shares(np.minimum(found.weight, top_weight), edges)
    top = float(share.max()) * 1.08 or 1.0
    area = plot((46, 34, width - 20, height - 48), x=(0, top_weight), y=(0, top))
    marks = ticks(0, top, 3)
    parts = [
        axes(
            area,
            x_ticks=ticks(0, top_weight, 4),
            y_ticks=marks,
            y_names=[percent(m) for m in marks],
            x_label="weight in the loss",
            y_label="share of frames",
        ),
        rule(area.x(1), area.top, area.x(1), area.bottom, "guide"),
        histogram(area, edges, [("gate", "weight", share)]),
    ]
    return svg(width, height, parts, f"Distribution of weights over {found.drawable} frames; mean under the sampler is 1")


def _shares(values: Float[np.ndarray, "M"], edges: Float[np.ndarray, "J"]) -> Float[np.ndarray, "K"]:
    return np.histogram(values, edges)[0] / max(len(values), 1)


def calibration(bins: Sequence[Mapping[str, Any]], width: float, height: float) -> str:
    """Reliability diagram: what p_v promised and what came true; a dot grows with the number of frames behind it."""
    area = plot((46, 34, width - 20, height - 48))
    parts = [
        axes(
            area,
            x_ticks=_RATES,
            x_names=_RATE_NAMES,
            y_ticks=_RATES,
            y_names=_RATE_NAMES,
            x_label="predicted viability",
            y_label="came true",
        ),
        rule(area.x(0), area.y(0), area.x(1), area.y(1), "guide"),
    ]
    filled = [each for each in bins if each["n"]]
    largest = max((float(each["n"]) for each in filled), default=1.0)
    x = np.array([float(each["mean_p"]) for each in filled])
    y = np.array([float(each["rate"]) for each in filled])
    parts.append(line(area, x, y, "policy"))
    for each in filled:
        n = int(each["n"])
        size = 3 + 5 * (n / largest) ** 0.5
        title = f"predicted {percent(each['mean_p'])}, came true {percent(each['rate'])}, {n:,} frames"
        parts.append(dot(area.x(float(each["mean_p"])), area.y(float(each["rate"])), "policy", size, title))
    words = "; ".join(f"{percent(each['mean_p'])} predicted, {percent(each['rate'])} true" for each in filled)
    return svg(width, height, parts, f"Calibration of the viability head on held-out episodes: {words}")


def auc_rows(by_task: Mapping[str, float | None], overall: float | None, width: float) -> str:
    """AUC of the viability head, overall and by task, beside the 0.5 of a guess that knows only the task."""
    rows = [("all tasks", overall), *by_task.items()]
    height = 62 + 34 * len(rows)
    area = plot((16, 20, width - 44, height - 42), x=(0.4, 1.0), y=(len(rows), 0))
    marks = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    parts = [rule(area.x(m), area.top, area.x(m), area.bottom) for m in marks]
    parts += [text(area.x(m), height - 24, number(m), anchor="middle") for m in marks]
    parts += [rule(area.x(0.5), area.top - 6, area.x(0.5), area.bottom, "guide"), text(area.right, height - 6, "AUC", anchor="end")]
    for place, (name, value) in enumerate(rows):
        y = 20 + 34 * place + 12
        parts.append(text(area.left, y, str(name)[: int(width / 7)], cls="strong" if place == 0 else ""))
        if value is None or np.isnan(value):
            parts.append(text(area.right + 10, y + 16, "–"))
            continue
        parts.append(rule(area.x(0.5), y + 12, area.x.clip(value), y + 12, "mark policy heavy"))
        parts += [dot(area.x.clip(value), y + 12, "policy", 5, f"{name}: {value:.3f}"), text(area.right + 10, y + 16, f"{value:.2f}")]
    return svg(width, height, parts, "AUC of the viability head: " + "; ".join(f"{n} {number(v)}" for n, v in rows if v is not None))


def curves(
    rows: Sequence[Mapping[str, Any]],
    series: Sequence[tuple[str, str, str]],
    width: float,
    height: float,
    *,
    over: tuple[str, str] = ("step", "gradient steps"),
) -> str:
    """Training curves; each of `series` is (column, words, colour class), `over` the column and the words of the horizontal axis."""
    present = [(key, words, cls) for key, words, cls in series if any(key in row for row in rows)]
    step = np.array([float(row[over[0]]) for row in rows])
    data = {key: np.array([float(row.get(key, np.nan)) for row in rows]) for key, *_ in present}
    top = max((float(np.nanquantile(y, 0.99)) for y in data.values()), default=1.0) * 1.1
    area = plot((46, 50, width - 20, height - 48), x=(0, float(step.max())), y=(0, top))
    parts = [axes(area, x_ticks=ticks(0, float(step.max()), 4), y_ticks=ticks(0, top, 4), x_label=over[1])]
    x = area.left
    for key, words, cls in present:
        parts += [line(area, step, data[key], cls), rule(x, 22, x + 16, 22, f"mark heavy {cls}"), text(x + 22, 26, words)]
        x += 34 + 6.6 * len(words)
    label = "; ".join(f"{words} ends at {number(float(data[key][-1]))}" for key, words, _ in present)
    return svg(width, height, parts, f"Training curve: {label}")


def start_strips(rounds: Sequence[Starts], width: float) -> str:
    """p_v at the first frame of every episode, one strip per round; the share above the paper's threshold beside it."""
    height = 74 + 74 * len(rounds)
    area = plot((16, 26, width - 20, height - 48))
    parts = [rule(area.x(m), area.top, area.x(m), area.bottom) for m in _RATES]
    parts += [text(area.x(m), area.bottom + 18, name, anchor="middle") for m, name in zip(_RATES, _RATE_NAMES, strict=True)]
    parts += [
        rule(area.x(VIABLE), area.top - 4, area.x(VIABLE), area.bottom, "guide"),
        text(area.right, height - 12, "viability at the start", anchor="end"),
    ]
    for place, each in enumerate(rounds):
        top = 26 + 74 * place
        share = f"{percent(each.viable)} of {len(each.p_v)} starts above {number(VIABLE)}"
        parts += [text(area.left, top + 14, f"round {each.number}", cls="strong"), text(area.right, top + 14, share, anchor="end")]
        for i, (p, kind) in enumerate(zip(each.p_v.tolist(), each.kind, strict=True)):
            # A golden-ratio comb instead of random jitter: spread evenly, and the same on every redraw.
            y = top + 26 + 40 * ((i * 0.618034) % 1)
            parts.append(dot(area.x(p), y, f"{KIND_CLASS[kind]} small", 4, f"p_v {p:.2f}: {kind}"))
        parts.append(rule(area.left, top + 72, area.right, top + 72))
    words = "; ".join(f"round {each.number}: {percent(each.viable)}" for each in rounds)
    return svg(width, height, parts, f"Share of starts that the critic calls viable: {words}")
