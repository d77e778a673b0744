"""Rounds with a ledger -> a few episodes worth watching, and the figure of one (the paper's Fig. 5).

Chosen by rule, not by hand: the rescue with the largest rise of p_v under human control, the autonomous
success with the deepest dip, the failure with the largest fall; then the next of each, an unseen task
before a seen one. They show what the critic does, not how often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped
from markupsafe import Markup

from vantage.report.charts import ROUTE_CLASS, ROUTE_WORDS
from vantage.report.folder import RoundFiles, Run
from vantage.report.numbers import VALUES, Kind, episodes_of, is_gated, values_of
from vantage.report.svg import Plot, band, element, group, line, plot, rect, rule, svg, text, ticks
from vantage.report.words import number
from vantage.types import Controller, Route


def largest_rise(p_v: Float[np.ndarray, "T"], human: Bool[np.ndarray, "T"]) -> float:
    """How far viability rises under human control, above where it stood when a human first took over."""
    driven = p_v[human]
    return float(driven.max() - driven[0])


def deepest_dip(p_v: Float[np.ndarray, "T"]) -> float:
    """How far viability falls below the lower of its peaks before and after: a fall that was made good."""
    before = np.maximum.accumulate(p_v)
    after = np.maximum.accumulate(p_v[::-1])[::-1]
    return float((np.minimum(before, after) - p_v).max())


def largest_fall(p_v: Float[np.ndarray, "T"]) -> float:
    """How far viability falls below its highest value so far."""
    return float((np.maximum.accumulate(p_v) - p_v).max())


def fall_and_rise(p_v: Float[np.ndarray, "T"], human: Bool[np.ndarray, "T"]) -> float:
    """How far viability falls until a human first takes over, plus how far it has risen when one last drives.

    No human may drive the first frame.
    """
    first, last = int(human.argmax()), len(human) - 1 - int(human[::-1].argmax())
    return float(p_v[:first].max() - p_v[first] + p_v[last] - p_v[first])


def smooth(p_v: Float[np.ndarray, "T"], width: int = 9) -> Float64[np.ndarray, "T"]:
    """A running mean over an odd number of frames; the ends repeat."""
    padded = np.pad(p_v.astype(np.float64), width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One chosen episode of T frames."""

    round: int
    number: int
    first: int
    """Frame of the recorded episode at which it begins."""
    kind: Kind
    prompt: str
    human: Bool[np.ndarray, "T"]
    route: Shaped[np.ndarray, "T"]
    gated: Bool[np.ndarray, "T"]
    """Where the gate is what a frame counts, so that g decides anything."""
    uses: Mapping[Route, str]
    """What the round makes of the frames of each route, in words."""
    values: Mapping[str, Float[np.ndarray, "T"]]
    """The columns `numbers.VALUES`; NaN where the ledger is silent."""

    def __len__(self) -> int:
        return len(self.human)


def choose(run: Run, count: int) -> list[Watch]:
    """At most `count` episodes, of the last round whose ledger speaks of its own frames."""
    for files in reversed(run.rounds):
        values = values_of(files)
        if values is None or files.labels is None or np.isnan(values["p_v"]).all():
            continue
        watches = _watches(files, files.labels, values)
        return _interleave([w for w in watches if not np.isnan(w.values["p_v"]).any()], count)
    return []


def _watches(
    files: RoundFiles,
    labels: Mapping[str, Shaped[np.ndarray, "N"]],
    values: Mapping[str, Float[np.ndarray, "N"]],
) -> list[Watch]:
    """Every episode of a round."""
    route = labels["route"]
    gated = np.zeros(len(route), bool)
    uses = dict[Route, str]()
    for name in Route:
        rows = route == name
        raw, g = values["raw_weight"][rows], values["g"][rows]
        gated[rows] = name != Route.DEMO and is_gated(raw, g)
        uses[name] = _use(name, raw, is_gated(raw, g))

    return [
        Watch(
            round=files.number,
            number=fact.number,
            first=fact.first,
            kind=fact.kind,
            prompt=files.catalogue.prompt(fact.number) if files.catalogue else "",
            human=labels["controller"][fact.rows] == Controller.HUMAN,
            route=route[fact.rows],
            gated=gated[fact.rows],
            uses=uses,
            values={name: values[name][fact.rows] for name in VALUES},
        )
        for fact in episodes_of(labels)
    ]


def _use(route: Route, raw_weight: Float[np.ndarray, "M"], gated: bool) -> str:
    """What the frames of a route are used for, read from what they count before normalisation."""
    known = raw_weight[~np.isnan(raw_weight)]
    if (known == 0).all():
        return _UNUSED.get(route, "not imitated")
    if gated:
        return "imitated, weighted by g"
    if (known == 1).all():
        return "imitated"
    if np.isin(known, (0.0, 1.0)).all():
        return "imitated in part"
    return "imitated, weighted"


_UNUSED = {
    Route.ROLLOUT_FAILURE: "teaches the critic only",
    Route.UNLABELLED: "not judged, not imitated",
}


def _interleave(watches: Sequence[Watch], count: int) -> list[Watch]:
    """The most interesting of each kind in turn; in a kind, a prompt that was not shown yet goes first."""
    kinds = (Kind.RESCUED, Kind.ALONE, Kind.FAILED)
    queues = [sorted((w for w in watches if w.kind == kind), key=interest, reverse=True) for kind in kinds]

    chosen = list[Watch]()
    while len(chosen) < count and any(queues):
        for queue in filter(None, queues):
            seen = {w.prompt for w in chosen if w.kind == queue[0].kind}
            best = next((w for w in queue if w.prompt not in seen), queue[0])
            queue.remove(best)
            chosen.append(best)
    return chosen[:count]


def interest(watch: Watch) -> float:
    """How much there is to see in an episode, in viability."""
    p_v = watch.values["p_v"]
    match watch.kind:
        case Kind.RESCUED:
            return largest_rise(p_v, watch.human)
        case Kind.ALONE:
            return deepest_dip(p_v)
        case _:
            return largest_fall(p_v)


def handovers(watch: Watch) -> list[int]:
    """Steps at which the driver changes."""
    return (np.flatnonzero(watch.human[1:] != watch.human[:-1]) + 1).tolist()


def story(watch: Watch) -> str:
    """What happens, in one or two sentences."""
    p_v = watch.values["p_v"]
    lowest, highest = int(p_v.argmin()), int(p_v.argmax())

    match watch.kind:
        case Kind.RESCUED:
            return _rescue_story(watch)
        case Kind.ALONE:
            low = f"Viability was lowest, {p_v[lowest]:.2f}, at step {lowest}."
            return f"The policy succeeded alone in {len(watch)} steps. {low}"
        case _:
            helped = " although a human helped" if watch.human.any() else ""
            high = f"viability was highest, {p_v[highest]:.2f}, at step {highest}"
            return f"The policy failed{helped}: {high} and {p_v[-1]:.2f} at the end."


def _rescue_story(watch: Watch) -> str:
    last, changes = len(watch), handovers(watch)
    taken = int(watch.human.argmax())
    back = next((step for step in changes if step > taken and not watch.human[step]), None)

    if back is None:
        ending = f"finished the task at step {last}"
    elif not watch.human[-1]:
        ending = f"handed back at step {back}; the policy finished at step {last}"
    else:
        again = next(step for step in reversed(changes) if watch.human[step])
        ending = f"handed back at step {back}, took over again at step {again} and finished at step {last}"

    viability = f"{watch.values['p_v'][taken]:.2f}"
    return f"A human took over at step {taken}, with viability at {viability}, and {ending}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Value axes shared by all chosen episodes, so that they can be compared."""

    v_e: float
    a_v: float
    a_e: float
    weight: float

    def of(self, name: str) -> tuple[float, float]:
        """Lowest and highest value that the track of this name shows."""
        match name:
            case "v_e":
                return self.v_e, 0.0
            case "a_v":
                return -self.a_v, self.a_v
            case "a_e":
                return -self.a_e, self.a_e
            case "g":
                return 0.0, 2.0
            case "weight":
                return 0.0, self.weight
            case _:
                return 0.0, 1.0


def shared_ranges(watches: Sequence[Watch]) -> Ranges:
    """Lowest V_e, the 99th percentile of |A_v| and |A_e|, and the largest weight, at least 2."""

    def known(name: str) -> Float[np.ndarray, "N"]:
        values = [w.values[name][~np.isnan(w.values[name])] for w in watches]
        return np.concatenate([np.zeros(1), *values])

    def reach(name: str) -> float:
        return max(float(np.quantile(np.abs(known(name)), 0.99)), 1e-3)

    lowest = min(float(known("v_e").min()), -1.0)
    largest = max(float(known("weight").max()), 2.0)
    return Ranges(v_e=lowest * 1.04, a_v=reach("a_v"), a_e=reach("a_e"), weight=largest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """How one value of an episode is drawn."""

    height: float
    symbol: tuple[str, str]
    """Letter and subscript."""
    cls: str
    base: float
    """The value that the coloured ground under the curve begins at."""
    words: str
    short: str
    """The words where there is little room."""


_TRACKS = {
    "p_v": Track(
        height=84,
        symbol=("p", "v"),
        cls="policy",
        base=0.0,
        words="viability: the chance that this ends well",
        short="viability",
    ),
    "v_e": Track(
        height=62,
        symbol=("V", "e"),
        cls="efficiency",
        base=0.0,
        words="minus the steps still to go",
        short="minus steps to go",
    ),
    "a_v": Track(
        height=56,
        symbol=("A", "v"),
        cls="policy",
        base=0.0,
        words="what the next steps did to viability (logits)",
        short="gain in viability",
    ),
    "a_e": Track(
        height=56,
        symbol=("A", "e"),
        cls="efficiency",
        base=0.0,
        words="steps gained per step; below zero, time was lost",
        short="steps gained",
    ),
    "g": Track(
        height=62,
        symbol=("g", ""),
        cls="gate",
        base=1.0,
        words="the gate: above 1 imitate more, below 1 less; faint where it is not used",
        short="gate; faint where not used",
    ),
    "weight": Track(
        height=56,
        symbol=("w", ""),
        cls="gate",
        base=0.0,
        words="weight in the loss: what this moment counts in the end",
        short="weight in the loss",
    ),
}


def traces(watch: Watch, ranges: Ranges, width: float) -> Markup:
    """Driver, use and values of one episode on one time axis, with a cursor that the page's script moves."""
    left, right, last = 52.0, width - 12, max(len(watch) - 1, 1)
    wide = width > 560

    areas, top = dict[str, Plot](), 62.0
    for name, track in _TRACKS.items():
        box = (left, top + 20, right, top + 20 + track.height)
        areas[name] = plot(box, x=(0, last), y=ranges.of(name))
        top += track.height + 32
    axis, bottom = areas["p_v"], areas["weight"].bottom

    parts = list[Markup]()
    for start, stop in _runs(watch.human):
        if watch.human[start]:
            parts.append(rect(axis.x(start), 6, min(axis.x(stop), right), bottom, "area human"))
    parts += _strips(watch, axis)
    for name, area in areas.items():
        parts += _track(name, area, watch, wide)

    for mark in ticks(0, last, 8 if wide else 4):
        parts.append(text(axis.x(mark), bottom + 18, number(mark), anchor="middle"))
    parts.append(text(right, bottom + 36, "control steps", anchor="end"))
    parts.append(rule(left, 6, left, bottom, "cursor"))

    label = f"Driver and the critic's values over {len(watch)} steps. {story(watch)}"
    data = {"data-left": f"{left:g}", "data-right": f"{right:g}", "data-width": f"{width:g}"}
    return svg(width, bottom + 44, parts, label, cls="traces", data=data)


def _track(name: str, area: Plot, watch: Watch, wide: bool) -> list[Markup]:
    """One value over time: grid, words, curve, and marks where the curve leaves the plot."""
    track, values = _TRACKS[name], watch.values[name]
    low, high = area.y.low, area.y.high

    marks = _marks(name, low, high)
    parts = [rule(area.left, area.y(mark), area.right, area.y(mark)) for mark in marks]
    parts += [text(area.left - 8, area.y(mark) + 4, number(mark), anchor="end") for mark in marks]
    parts += _title(track, area, wide)

    steps = np.arange(len(values), dtype=float)
    curve = values
    if name == "g":
        # All of g is there to look at, but only the part that the loss uses is drawn as a value that counts.
        parts.append(line(area, steps, values, f"{track.cls} fine"))
        curve = _only(values, watch.gated)
    shown = np.clip(curve, low, high)
    floor = np.where(np.isnan(curve), np.nan, track.base)
    parts.append(band(area, steps, np.minimum(shown, floor), np.maximum(shown, floor), track.cls))
    parts.append(line(area, steps, curve, track.cls))
    return parts + _cuts(area, values, track.cls)


def _marks(name: str, low: float, high: float) -> list[float]:
    """Values that are written at the left of a track: the ends of its scale and its middle."""
    match name:
        case "p_v":
            return [0.0, 0.5, 1.0]
        case "g":
            return [0.0, 1.0, 2.0]
        case "a_v" | "a_e":
            reach = ticks(0, high, 1)[-1] or high
            return [-reach, 0.0, reach]
        case _:
            return ticks(low, high, 2)


def _only(values: Float[np.ndarray, "T"], where: Bool[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """The values where they count and the one after each, so that a single frame is a stroke and no point."""
    drawn = where.copy()
    drawn[1:] |= where[:-1]
    return np.where(drawn, values, np.nan)


def _cuts(area: Plot, values: Float[np.ndarray, "T"], cls: str) -> list[Markup]:
    """Thick strokes on the rim of a plot over the steps at which the value lies beyond it."""
    marks = list[Markup]()
    beyond = (np.nan_to_num(values) > area.y.high).astype(int) - (np.nan_to_num(values) < area.y.low)

    for start, stop in _runs(beyond):
        if beyond[start]:
            y = area.top if beyond[start] > 0 else area.bottom
            furthest = float(values[start:stop][np.abs(values[start:stop]).argmax()])
            x1, x2 = area.x(start - 0.5), area.x(stop - 0.5)
            tip = f"cut: goes to {number(furthest)}"
            marks.append(rect(max(x1, area.left), y - 1.5, min(x2, area.right), y + 1.5, f"bar {cls}", tip))

    return marks


def _title(track: Track, area: Plot, wide: bool) -> list[Markup]:
    """Symbol and words above a track."""
    letter, below = track.symbol
    symbol = element("tspan", {"font-style": "italic"}, letter)
    subscript = element("tspan", {"dy": "3", "font-size": "10"}, below)
    named = element("tspan", {"class": f"named {track.cls}"}, group([symbol, subscript]))

    words = track.words if wide else track.short
    return [
        element("text", {"x": area.left + 5, "y": area.top - 8}, named),
        text(area.left + (29 if below else 21), area.top - 8, words),
    ]


def _runs(values: Shaped[np.ndarray, "T"]) -> list[tuple[int, int]]:
    """Stretches of equal values as (first, one past the last)."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    return list(pairwise([0, *edges.tolist(), len(values)]))


def _strips(watch: Watch, area: Plot) -> list[Markup]:
    """Two coloured strips above the tracks: who drives, and what a frame is used for."""
    parts = [text(area.left - 8, 21, "driver", anchor="end"), text(area.left - 8, 45, "use", anchor="end")]
    for start, stop in _runs(watch.human):
        driver = "human" if watch.human[start] else "policy"
        parts += _strip(area, start, stop, 10, driver, driver)

    for start, stop in _runs(watch.route):
        route = Route(str(watch.route[start]))
        use = watch.uses[route]
        parts += _strip(area, start, stop, 34, ROUTE_CLASS[route], use, f"{ROUTE_WORDS[route]}: {use}")
    return parts


def _strip(
    area: Plot,
    start: int,
    stop: int,
    y: float,
    cls: str,
    words: str,
    title: str = "",
) -> list[Markup]:
    """One piece of a strip, with its words where there is room for them."""
    x1, x2 = area.x(start), min(area.x(stop), area.right)
    box = rect(x1, y, x2, y + 15, f"bar {cls}", title or words, 3)
    if x2 - x1 <= 6.4 * len(words) + 10:
        return [box]

    ink = "strong tiny" if cls == "unlabelled" else "on"
    return [box, text((x1 + x2) / 2, y + 11.5, words, anchor="middle", cls=ink)]
