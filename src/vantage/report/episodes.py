"""Rounds with a ledger -> a few episodes worth watching, and the figure of one (the paper's Fig. 5).

Chosen by rule, not by hand: the rescue with the largest rise of p_v under human control, the autonomous success with the deepest dip, the
failure with the largest fall; then the next of each, an unseen task before a seen one. They show what the critic does, not how often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Shaped

from vantage.report.charts import ROUTE_CLASS, ROUTE_WORDS
from vantage.report.figures import Plot, band, line, number, plot, rect, rule, svg, text, ticks
from vantage.report.folder import RoundFiles, Run
from vantage.report.tables import EpisodeFacts, Kind, episodes_of, values_of
from vantage.types import Controller, Route

VALUE_NAMES = ("p_v", "v_e", "a_v", "a_e", "g")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One chosen episode of T frames."""

    round: int
    number: int
    kind: Kind
    prompt: str
    human: Bool[np.ndarray, "T"]
    route: Shaped[np.ndarray, "T"]
    values: Mapping[str, Float[np.ndarray, "T"]]
    """p_v, v_e, a_v, a_e, g; NaN where the ledger is silent."""

    def __len__(self) -> int:
        return len(self.human)


def choose(run: Run, count: int) -> list[Watch]:
    """At most `count` episodes, of the last round whose ledger speaks of its own frames."""
    for each in reversed(run.rounds):
        values = values_of(each)
        if values is not None and each.labels is not None and not np.isnan(values["p_v"]).all():
            everything = [_watch(each, fact, values) for fact in episodes_of(each.labels)]
            return _interleave([watch for watch in everything if not np.isnan(watch.values["p_v"]).any()], count)
    return []


def _watch(each: RoundFiles, fact: EpisodeFacts, values: Mapping[str, Float[np.ndarray, "N"]]) -> Watch:
    assert each.labels is not None
    return Watch(
        round=each.number,
        number=fact.number,
        kind=fact.kind,
        prompt=each.catalogue.prompt(fact.number) if each.catalogue else "",
        human=each.labels["controller"][fact.rows] == Controller.HUMAN,
        route=each.labels["route"][fact.rows],
        values={name: values[name][fact.rows] for name in VALUE_NAMES},
    )


def _interleave(watches: Sequence[Watch], count: int) -> list[Watch]:
    queues = [
        sorted((w for w in watches if w.kind == kind), key=interest, reverse=True) for kind in (Kind.RESCUED, Kind.ALONE, Kind.FAILED)
    ]
    chosen = list[Watch]()
    while len(chosen) < count and any(queues):
        for queue in filter(None, queues):
            seen = {w.prompt for w in chosen if w.kind == queue[0].kind}
            best = next((w for w in queue if w.prompt not in seen), queue[0])
            queue.remove(best)
            chosen.append(best)
    return chosen[:count]


def interest(watch: Watch) -> float:
    """How much there is to see: the rise of p_v under human control, the deepest dip that was recovered from, or the largest fall."""
    p = watch.values["p_v"]
    if watch.kind == Kind.RESCUED:
        return float(p[watch.human].max() - p[watch.human][0])
    before, after = np.maximum.accumulate(p), np.maximum.accumulate(p[::-1])[::-1]
    return float((np.minimum(before, after) - p).max() if watch.kind == Kind.ALONE else (before - p).max())


def handovers(watch: Watch) -> list[int]:
    """Steps at which the driver changes."""
    return (np.flatnonzero(watch.human[1:] != watch.human[:-1]) + 1).tolist()


def story(watch: Watch) -> str:
    """What happens, in one or two sentences."""
    p = watch.values["p_v"]
    low, last = int(p.argmin()), len(watch)
    if watch.kind == Kind.RESCUED:
        taken = int(watch.human.argmax())
        changes = handovers(watch)
        back = next((step for step in changes if step > taken and not watch.human[step]), None)
        if back is None:
            ending = f"finished the task at step {last}"
        elif not watch.human[-1]:
            ending = f"handed back at step {back}; the policy finished at step {last}"
        else:
            again = next(step for step in reversed(changes) if watch.human[step])
            ending = f"handed back at step {back}, took over again at step {again} and finished at step {last}"
        return f"A human took over at step {taken}, with viability at {p[taken]:.2f}, and {ending}."
    if watch.kind == Kind.ALONE:
        return f"The policy succeeded alone in {last} steps. Viability was lowest, {p[low]:.2f}, at step {low}."
    helped = " although a human helped" if watch.human.any() else ""
    return f"The policy failed{helped}: viability was highest, {p.max():.2f}, at step {int(p.argmax())} and {p[-1]:.2f} at the end."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Value axes shared by all chosen episodes, so that they can be compared."""

    v_e: float
    a_v: float
    a_e: float


def shared_ranges(watches: Sequence[Watch]) -> Ranges:
    """Lowest V_e, and the 99th percentile of |A_v| and |A_e|."""

    def all_of(name: str) -> Float[np.ndarray, "N"]:
        return np.concatenate([np.zeros(1), *(w.values[name][~np.isnan(w.values[name])] for w in watches)])

    spread = {name: max(float(np.quantile(np.abs(all_of(name)), 0.99)), 1e-3) for name in ("a_v", "a_e")}
    return Ranges(v_e=min(float(all_of("v_e").min()), -1.0) * 1.04, **spread)


def traces(watch: Watch, ranges: Ranges, width: float) -> str:
    """Driver, use and the five values of one episode on one time axis, with a cursor that the page's script moves."""
    left, right, last = (52.0, width - 12, max(len(watch) - 1, 1))
    heights = {"p_v": 92, "v_e": 72, "a_v": 64, "a_e": 64, "g": 92}
    steps = np.arange(len(watch), dtype=float)
    wide = width > 560
    parts, top, areas = list[str](), 66.0, list[tuple[str, Plot]]()
    for name, height in heights.items():
        low, high = _range(name, ranges)
        areas.append((name, plot((left, top + 20, right, top + 20 + height), x=(0, last), y=(low, high))))
        top += height + 34
    axis = areas[0][1]
    bottom = areas[-1][1].bottom
    for start, stop in _runs(watch.human):
        if watch.human[start]:
            parts.append(rect(axis.x(start), 6, min(axis.x(stop), right), bottom, "area human"))
    parts += _strips(watch, axis)
    for name, area in areas:
        parts += _track(name, area, steps, watch.values[name], wide)
    for mark in ticks(0, last, 8 if wide else 4):
        parts.append(text(axis.x(mark), bottom + 18, number(mark), anchor="middle"))
    parts.append(text(right, bottom + 36, "control steps", anchor="end"))
    parts.append(f'<line class="cursor" x1="{left:g}" x2="{left:g}" y1="6" y2="{bottom:.1f}"/>')
    data = f' data-left="{left:g}" data-right="{right:g}" data-width="{width:g}"'
    return svg(
        width, bottom + 44, parts, f"Driver and the critic's values over {len(watch)} steps. {story(watch)}", cls="traces", data=data
    )


def _range(name: str, ranges: Ranges) -> tuple[float, float]:
    match name:
        case "v_e":
            return ranges.v_e, 0.0
        case "a_v":
            return -ranges.a_v, ranges.a_v
        case "a_e":
            return -ranges.a_e, ranges.a_e
        case "g":
            return 0.0, 2.0
        case _:
            return 0.0, 1.0


_TRACKS = {
    "p_v": ("p", "v", "policy", "viability: the chance that this ends well", "viability"),
    "v_e": ("V", "e", "efficiency", "minus the steps still to go", "minus steps to go"),
    "a_v": ("A", "v", "policy", "what the next steps did to viability (logits)", "gain in viability"),
    "a_e": ("A", "e", "efficiency", "steps gained per step; below zero, time was lost", "steps gained"),
    "g": ("g", "", "gate", "the gate: above 1 is imitated more, below 1 less", "gate: imitate more / less"),
}


def _track(name: str, area: Plot, steps: Float[np.ndarray, "T"], values: Float[np.ndarray, "T"], wide: bool) -> list[str]:
    letter, below, cls, words, short = _TRACKS[name]
    low, high = area.y.low, area.y.high
    base = {"g": 1.0, "a_v": 0.0, "a_e": 0.0}.get(name, low if name == "p_v" else high)
    marks = (0.0, 0.5, 1.0) if name == "p_v" else (0.0, 1.0, 2.0) if name == "g" else ticks(low, high, 2)
    parts = [rule(area.left, area.y(mark), area.right, area.y(mark), "grid") for mark in marks]
    parts += [text(area.left - 8, area.y(mark) + 4, number(mark), anchor="end") for mark in marks]
    symbol = f'<tspan font-style="italic">{letter}</tspan><tspan dy="3" font-size="10">{below}</tspan>'
    parts.append(f'<text x="{area.left + 5:g}" y="{area.top - 8:g}"><tspan class="named {cls}">{symbol}</tspan></text>')
    parts.append(text(area.left + (29 if below else 21), area.top - 8, words if wide else short))
    floor = np.where(np.isnan(values), np.nan, base)
    inside = np.clip(values, low, high)
    return [*parts, band(area, steps, np.minimum(inside, floor), np.maximum(inside, floor), cls), line(area, steps, values, cls)]


def _runs(values: Shaped[np.ndarray, "T"]) -> list[tuple[int, int]]:
    """Stretches of equal values as (first, one past the last)."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = [0, *edges.tolist(), len(values)]
    return list(pairwise(bounds))


def _strips(watch: Watch, area: Plot) -> list[str]:
    parts = [text(area.left - 8, 21, "driver", anchor="end"), text(area.left - 8, 45, "use", anchor="end")]
    for start, stop in _runs(watch.human):
        cls, words = ("human", "human") if watch.human[start] else ("policy", "policy")
        parts += _strip(area, start, stop, 10, cls, words)
    for start, stop in _runs(watch.route):
        route = Route(str(watch.route[start]))
        parts += _strip(area, start, stop, 34, ROUTE_CLASS[route], _USE[route], f"{ROUTE_WORDS[route]}: {_USE[route]}")
    return parts


_USE = {
    Route.DEMO: "imitated",
    Route.ROLLOUT_SUCCESS: "imitated, weighted by g",
    Route.INTERVENTION: "imitated",
    Route.ROLLOUT_FAILURE: "teaches the critic only",
    Route.UNLABELLED: "not judged, not imitated",
}


def _strip(area: Plot, start: int, stop: int, y: float, cls: str, words: str, title: str = "") -> list[str]:
    x1, x2 = area.x(start), min(area.x(stop), area.right)
    box = rect(x1, y, x2, y + 15, f"bar {cls}", title or words, 3)
    room = x2 - x1 > 6.4 * len(words) + 10
    ink = "strong tiny" if cls == "unlabelled" else "on"
    return [box, text((x1 + x2) / 2, y + 11.5, words, anchor="middle", cls=ink)] if room else [box]
