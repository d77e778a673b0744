"""The numbers of a run -> its figures, one function each, as SVG of a given width in CSS pixels.

Every figure says in its `aria-label` what it shows; the page adds one sentence on how to read it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from vantage.report.numbers import Arm, Collected, Kind, Starts, WeightStatistics
from vantage.report.paper import VIABLE
from vantage.report.svg import (
    Plot,
    axes,
    dot,
    histogram,
    interval,
    line,
    plot,
    rule,
    stacked,
    svg,
    text,
    ticks,
)
from vantage.report.words import number, percent, shorten
from vantage.types import Route

KIND_CLASS = {
    Kind.DEMO: "demo",
    Kind.ALONE: "policy",
    Kind.RESCUED: "human",
    Kind.FAILED: "failure",
    Kind.UNKNOWN: "unlabelled",
}
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
GOLDEN = 0.618034
"""The golden ratio's fractional part: multiples of it, modulo 1, spread evenly."""
_RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
_RATE_NAMES = [percent(rate) for rate in _RATES]


def success(arms: Sequence[Arm], width: float, height: float) -> Markup:
    """Success by round with Wilson intervals; the rounds joined, the control beside them as a ring."""
    area = plot((46, 22, width - 20, height - 30), x=(-0.5, len(arms) - 0.5))
    rates = [arm.trials.rate() for arm in arms]
    names = [arm.short if len(arms) <= 5 else arm.short.removeprefix("round ") for arm in arms]
    parts = [axes(area, x_ticks=range(len(arms)), x_names=names, y_ticks=_RATES, y_names=_RATE_NAMES)]

    learned = [column for column, arm in enumerate(arms) if not arm.control]
    curve = np.array([rates[column].estimate for column in learned])
    parts.append(line(area, np.array(learned, float), curve, "policy"))

    for column, (arm, rate) in enumerate(zip(arms, rates, strict=True)):
        cls = "demo" if arm.control or not arm.rounds else "policy"
        x, y = area.x(column), area.y(rate.estimate)
        parts.append(interval(area, column, rate.low, rate.high, cls))
        parts.append(dot(x, y, f"{cls} hollow" if arm.control else cls, 5, f"{arm.name}: {rate}"))
        parts.append(text(x, area.y(rate.high) - 8, percent(rate.estimate), anchor="middle", cls="strong"))

    words = "; ".join(f"{arm.name} {percent(rate.estimate)}" for arm, rate in zip(arms, rates, strict=True))
    return svg(width, height, parts, f"Success rate: {words}")


def step_pairs(ours: Arm, theirs: Arm, width: float, height: float) -> Markup:
    """Steps to success of two policies on every start that both solve, with the diagonal of no difference."""
    both = ours.trials.success & theirs.trials.success
    x, y = theirs.trials.steps[both], ours.trials.steps[both]
    top = float(max(x.max(initial=1), y.max(initial=1))) * 1.06
    area = plot((46, 34, width - 20, height - 48), x=(0, top), y=(0, top))

    marks = ticks(0, top, 4)
    names = {"x_label": f"steps, {theirs.name}", "y_label": f"steps, {ours.name}"}
    parts = [
        axes(area, x_ticks=marks, y_ticks=marks, **names),
        rule(area.x(0), area.y(0), area.x(top), area.y(top), "guide"),
    ]
    parts += [dot(area.x(float(a)), area.y(float(b)), "policy small", 3.5) for a, b in zip(x, y, strict=True)]

    faster = f"{int((y < x).sum())} of {len(x)} below the diagonal, where {ours.name} is faster"
    return svg(width, height, parts, f"Steps to success on the starts both solve: {faster}")


def episode_columns(rounds: Sequence[Collected], width: float, height: float) -> Markup:
    """How the recorded episodes of each round went."""
    columns = dict[int, list[Part]]()
    for recorded in rounds:
        kinds = recorded.episodes.items()
        columns[recorded.number] = [(KIND_CLASS[kind], f"{kind}: {n}", float(n)) for kind, n in kinds]
    label = "Episodes recorded in each round, by how they went"
    return _columns(columns, "episodes", label, width=width, height=height)


def route_columns(rounds: Sequence[Collected], width: float, height: float) -> Markup:
    """What each round's frames may be used for."""
    columns = dict[int, list[Part]]()
    for recorded in rounds:
        parts = list[Part]()
        for route, n in recorded.frames.items():
            parts.append((ROUTE_CLASS[route], f"{ROUTE_WORDS[route]}: {n:,} frames", float(n)))
        columns[recorded.number] = parts
    label = "Frames recorded in each round, by what they may teach"
    return _columns(columns, "frames", label, width=width, height=height)


Part = tuple[str, str, float]
"""Of a stacked column: colour class, tooltip and amount."""


def _columns(
    rounds: Mapping[int, Sequence[Part]],
    unit: str,
    label: str,
    *,
    width: float,
    height: float,
) -> Markup:
    """One stacked column per round."""
    totals = [sum(amount for *_, amount in parts) for parts in rounds.values()]
    top = 1.05 * (max(totals, default=1) or 1)
    area = plot((52, 34, width - 20, height - 34), x=(-0.5, len(rounds) - 0.5), y=(0, top))

    names = [f"round {n}" if n else "demos" for n in rounds]
    grid = axes(area, x_ticks=range(len(rounds)), x_names=names, y_ticks=ticks(0, top, 4), y_label=unit)
    bar = min(54.0, (area.right - area.left) / len(rounds) * 0.6)
    columns = [stacked(area, column, bar, parts) for column, parts in enumerate(rounds.values())]
    return svg(width, height, [grid, *columns], label)


def gate_histogram(statistics: WeightStatistics, width: float, height: float) -> Markup:
    """Distribution of g by route, as shares of the route's frames; a dotted line where g decides nothing."""
    edges = np.linspace(0, 2, 21)
    present = [route for route in statistics.routes if len(route.g)]
    shares = [_shares(route.g, edges) for route in present]
    top = max((float(share.max()) for share in shares), default=1.0) * 1.08
    area = plot((46, 34, width - 20, height - 48), x=(0, 2), y=(0, top))

    series = list[tuple[str, str, Float[np.ndarray, "K"]]]()
    for route, share in zip(present, shares, strict=True):
        cls = ROUTE_CLASS[route.route]
        series.append((cls if route.gated else f"{cls} thin", ROUTE_WORDS[route.route], share))
    drawn = _share_histogram(area, edges, series, (0, 0.5, 1, 1.5, 2), "gate g")

    means = "; ".join(
        f"{ROUTE_WORDS[route.route]} mean {number(route.mean_g)}" for route in statistics.routes
    )
    return svg(width, height, drawn, f"Distribution of the gate g: {means}")


def weight_histogram(statistics: WeightStatistics, width: float, height: float) -> Markup:
    """Distribution of the final weights over the frames that may be drawn."""
    weight = statistics.weight
    largest = float(max(2.0, np.quantile(weight, 0.995) if len(weight) else 2.0))
    edges = np.linspace(0, largest, 25)

    # The rarest largest weights are counted in the last bin, so that they do not stretch the axis.
    share = _shares(np.minimum(weight, largest), edges)
    top = float(share.max()) * 1.08 or 1.0
    area = plot((46, 34, width - 20, height - 48), x=(0, largest), y=(0, top))
    series = [("gate", "weight", share)]
    drawn = _share_histogram(area, edges, series, ticks(0, largest, 4), "weight in the loss")

    label = f"Distribution of weights over {statistics.drawable} frames; mean under the sampler is 1"
    return svg(width, height, drawn, label)


def _share_histogram(
    area: Plot,
    edges: Float[np.ndarray, "J"],
    series: Sequence[tuple[str, str, Float[np.ndarray, "K"]]],
    x_ticks: Sequence[float],
    x_label: str,
) -> list[Markup]:
    """Axes, the dashed line at 1, and the steps of a histogram whose bars are shares of frames."""
    marks = ticks(0, area.y.high, 3)
    names = [percent(mark) for mark in marks]
    words = {"x_label": x_label, "y_label": "share of frames"}
    return [
        axes(area, x_ticks=x_ticks, y_ticks=marks, y_names=names, **words),
        rule(area.x(1), area.top, area.x(1), area.bottom, "guide"),
        histogram(area, edges, series),
    ]


def _shares(values: Float[np.ndarray, "M"], edges: Float[np.ndarray, "J"]) -> Float[np.ndarray, "K"]:
    return np.histogram(values, edges)[0] / max(len(values), 1)


def calibration(bins: Sequence[Mapping[str, Any]], width: float, height: float) -> Markup:
    """Reliability diagram: what p_v promised and what came true; a dot grows with the frames behind it."""
    area = plot((46, 34, width - 20, height - 48))
    words = {"x_label": "predicted viability", "y_label": "came true"}
    parts = [
        axes(area, x_ticks=_RATES, x_names=_RATE_NAMES, y_ticks=_RATES, y_names=_RATE_NAMES, **words),
        rule(area.x(0), area.y(0), area.x(1), area.y(1), "guide"),
    ]

    filled = [bucket for bucket in bins if bucket["n"]]
    predicted = np.array([float(bucket["mean_p"]) for bucket in filled])
    observed = np.array([float(bucket["rate"]) for bucket in filled])
    frames = np.array([int(bucket["n"]) for bucket in filled])
    parts.append(line(area, predicted, observed, "policy"))

    for p, rate, n in zip(predicted.tolist(), observed.tolist(), frames.tolist(), strict=True):
        radius = 3 + 5 * (n / frames.max()) ** 0.5
        tip = f"predicted {percent(p)}, came true {percent(rate)}, {n:,} frames"
        parts.append(dot(area.x(p), area.y(rate), "policy", radius, tip))

    pairs = zip(predicted.tolist(), observed.tolist(), strict=True)
    promises = "; ".join(f"{percent(p)} predicted, {percent(rate)} true" for p, rate in pairs)
    return svg(width, height, parts, f"Calibration of the viability head on held-out episodes: {promises}")


def auc_rows(by_task: Mapping[str, float | None], overall: float | None, width: float) -> Markup:
    """AUC of the viability head, overall and by task, beside the 0.5 of a guess that knows only the task."""
    rows = [("all tasks", overall), *by_task.items()]
    height = 62 + 34 * len(rows)
    area = plot((16, 20, width - 44, height - 42), x=(0.4, 1.0), y=(len(rows), 0))

    marks = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    parts = [rule(area.x(m), area.top, area.x(m), area.bottom) for m in marks]
    parts += [text(area.x(m), height - 24, number(m), anchor="middle") for m in marks]
    parts.append(text(area.right, height - 6, "AUC", anchor="end"))

    for row, (name, value) in enumerate(rows):
        y = area.top + 34 * row
        words = shorten(name, int((area.right - area.left) / 6.6))
        parts.append(text(area.left, y + 12, words, cls="" if row else "strong"))
        parts.append(rule(area.x(0.5), y + 17, area.x(0.5), y + 31, "guide"))
        if value is None or np.isnan(value):
            parts.append(text(area.right + 10, y + 28, "–"))
            continue
        parts.append(rule(area.x(0.5), y + 24, area.x.clip(value), y + 24, "mark policy heavy"))
        parts.append(dot(area.x.clip(value), y + 24, "policy", 5, f"{name}: {value:.3f}"))
        parts.append(text(area.right + 10, y + 28, f"{value:.2f}"))

    values = "; ".join(f"{name} {number(value)}" for name, value in rows if value is not None)
    return svg(width, height, parts, f"AUC of the viability head: {values}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One logged value over training."""

    column: str
    words: str
    cls: str
    """Colour class."""
    kept_at_least: bool = False
    """Whether what was trained is kept as it was where this value was least; the figure marks the place."""


def curves(
    rows: Sequence[Mapping[str, Any]],
    series: Sequence[Curve],
    width: float,
    height: float,
    *,
    over: tuple[str, str] = ("step", "gradient steps"),
) -> Markup:
    """Curves of the logged `rows`; `over` is the column and the words of the horizontal axis."""
    present = logged(rows, series)
    step = np.array([float(row[over[0]]) for row in rows])
    values = [np.array([float(row.get(curve.column, np.nan)) for row in rows]) for curve in present]

    # A first, huge loss would flatten all that follows: the axis ends at the 99th percentile.
    top = max((float(np.nanquantile(y, 0.99)) for y in values), default=1.0) * 1.1
    last = float(step.max())
    area = plot((46, 14, width - 20, height - 48), x=(0, last), y=(0, top))
    parts = [axes(area, x_ticks=ticks(0, last, 4), y_ticks=ticks(0, top, 4), x_label=over[1])]

    for curve, y in zip(present, values, strict=True):
        parts.append(line(area, step, y, curve.cls, curve.words))
        if curve.kept_at_least:
            best = int(np.nanargmin(y))
            tip = f"{curve.words}: kept at {number(step[best])} {over[1]}"
            parts.append(dot(area.x(step[best]), area.y.clip(y[best]), curve.cls, 4.5, tip))

    ends = [number(float(y[~np.isnan(y)][-1])) for y in values]
    last_values = "; ".join(f"{curve.words} ends at {end}" for curve, end in zip(present, ends, strict=True))
    return svg(width, height, parts, f"Training curve: {last_values}")


def logged(rows: Sequence[Mapping[str, Any]], series: Sequence[Curve]) -> list[Curve]:
    """The curves of which something was logged."""
    return [curve for curve in series if any(known(row.get(curve.column)) for row in rows)]


def known(value: object) -> bool:
    """Whether a logged value is a number."""
    return isinstance(value, int | float) and not np.isnan(value)


def start_strips(rounds: Sequence[Starts], width: float) -> Markup:
    """p_v at the first frame of every episode, a strip per round, with the share that looks viable."""
    height = 74 + 74 * len(rounds)
    area = plot((16, 26, width - 20, height - 48))
    parts = [rule(area.x(m), area.top, area.x(m), area.bottom) for m in _RATES]
    for mark, name in zip(_RATES, _RATE_NAMES, strict=True):
        parts.append(text(area.x(mark), area.bottom + 18, name, anchor="middle"))
    parts.append(rule(area.x(VIABLE), area.top - 4, area.x(VIABLE), area.bottom, "guide"))
    parts.append(text(area.right, height - 12, "viability at the start", anchor="end"))

    for strip, starts in enumerate(rounds):
        top = 26 + 74 * strip
        share = f"{percent(starts.viable)} of {len(starts.p_v)} starts above {number(VIABLE)}"
        parts.append(text(area.left, top + 14, f"round {starts.number}", cls="strong"))
        parts.append(text(area.right, top + 14, share, anchor="end"))
        for i, (p, kind) in enumerate(zip(starts.p_v.tolist(), starts.kind, strict=True)):
            # A golden-ratio comb instead of random jitter: spread evenly, and the same on every redraw.
            y = top + 26 + 40 * ((i * GOLDEN) % 1)
            parts.append(dot(area.x(p), y, f"{KIND_CLASS[kind]} small", 4, f"p_v {p:.2f}: {kind}"))
        parts.append(rule(area.left, top + 72, area.right, top + 72))

    shares = "; ".join(f"round {starts.number}: {percent(starts.viable)}" for starts in rounds)
    return svg(width, height, parts, f"Share of starts that the critic calls viable: {shares}")
