"""A run in memory -> the numbers of its report: pure functions of the files, nothing drawn and nothing rounded.

common_starts, compare    success and steps, start by start        collected          episodes and routes by round
weight_statistics         Appendix G                               start_viability    Fig. 4, left
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float

from vantage.core.stats import Interval, bootstrap_mean, effective_sample_size, paired_difference
from vantage.data.v3.schema import EPISODE, FRAME, INDEX, ROUND
from vantage.disk.tables import Column
from vantage.report.folder import RoundFiles, Run, Trials
from vantage.types import Controller, Route, VantageError

VIABLE = 0.6
"""The paper calls a start viable where p_v(s_0) is above this (Fig. 4)."""


class Kind(StrEnum):
    """How an episode went."""

    DEMO = "demonstration"
    ALONE = "solved alone"
    RESCUED = "rescued"
    FAILED = "failed"
    UNKNOWN = "no outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One evaluated policy."""

    name: str
    short: str
    trials: Trials
    rounds: int = 0
    """Rounds of learning from outcomes behind it; 0: supervised only."""
    control: bool = False


def common_starts(run: Run) -> list[Arm]:
    """Every evaluated policy, supervised first, the control last, on the starts (task, seed) that all were tried on, in one order."""
    arms = [
        Arm(
            name=f"{run.method}, round {each.number}" if each.number else "supervised",
            short=f"round {each.number}" if each.number else "supervised",
            trials=each.trials,
            rounds=each.number,
        )
        for each in run.rounds
        if each.trials is not None
    ]
    if run.control is not None:
        arms.append(Arm(name="supervised, equal steps", short="control", trials=run.control, control=True))
    if not arms:
        return []
    starts = [{key: row for row, key in enumerate(_starts(arm.trials))} for arm in arms]
    shared = sorted(set(starts[0]).intersection(*starts[1:]))
    if not shared:
        raise VantageError(f"the evaluations of {run.folder} share no start (task, seed); evaluate every policy on the same suite")
    return [
        replace(arm, trials=arm.trials.at(np.array([place[key] for key in shared], np.int64)))
        for arm, place in zip(arms, starts, strict=True)
    ]


def _starts(trials: Trials) -> list[tuple[str, int]]:
    return list(zip(map(str, trials.task), map(int, trials.seed), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Ours beside theirs on the same starts."""

    ours: Arm
    theirs: Arm
    difference: Interval
    """Success rate of ours minus theirs, Newcombe's paired interval."""
    only_ours: int
    only_theirs: int
    both: int
    """Starts that both solve."""
    steps_ours: float
    """Mean steps to success on the starts that both solve; NaN where there are none."""
    steps_theirs: float
    steps_difference: Interval
    """Ours minus theirs on those starts, bootstrapped."""


def compare(ours: Arm, theirs: Arm) -> Comparison:
    """Compare two policies start by start; both must come from `common_starts`."""
    a, b = ours.trials, theirs.trials
    if _starts(a) != _starts(b):
        raise VantageError(f"{ours.name} and {theirs.name} were tried on different starts; pair them first")
    both = a.success & b.success
    gap = (a.steps - b.steps)[both].astype(np.float64)
    nan = float("nan")
    return Comparison(
        ours=ours,
        theirs=theirs,
        difference=paired_difference(a.success, b.success),
        only_ours=int((a.success & ~b.success).sum()),
        only_theirs=int((~a.success & b.success).sum()),
        both=int(both.sum()),
        steps_ours=float(a.steps[both].mean()) if both.any() else nan,
        steps_theirs=float(b.steps[both].mean()) if both.any() else nan,
        steps_difference=bootstrap_mean(gap, seed=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFacts:
    """One recorded episode, as its labels tell it."""

    number: int
    kind: Kind
    rows: slice
    """Its rows of the label table."""
    human_share: float


def episodes_of(labels: Mapping[str, Column]) -> list[EpisodeFacts]:
    """Episodes in order, each with the outcome that its labels record."""
    order = np.lexsort((labels[FRAME], labels[EPISODE]))
    if (order != np.arange(len(order))).any():
        raise VantageError("2-labels.parquet is not in order of episode and frame; write it again with `vantage label`")
    edges = np.flatnonzero(np.diff(labels[EPISODE], prepend=-1))
    facts = list[EpisodeFacts]()
    for start, stop in zip(edges.tolist(), [*edges[1:].tolist(), len(order)], strict=True):
        rows = slice(start, stop)
        route = labels["route"][rows]
        human = labels["controller"][rows] == Controller.HUMAN
        if (route == Route.DEMO).all():
            kind = Kind.DEMO
        elif labels["outcome"][start] == 1:
            kind = Kind.RESCUED if human.any() else Kind.ALONE
        else:
            kind = Kind.FAILED if labels["outcome"][start] == 0 else Kind.UNKNOWN
        facts.append(EpisodeFacts(number=int(labels[EPISODE][start]), kind=kind, rows=rows, human_share=float(human.mean())))
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one round recorded."""

    number: int
    episodes: Mapping[Kind, int]
    frames: Mapping[Route, int]
    human_share: float
    """Share of all frames that a human drove."""


def collected(run: Run) -> list[Collected]:
    """One entry per round with labels."""
    found = list[Collected]()
    for each in run.rounds:
        if each.labels is None:
            continue
        kinds = [facts.kind for facts in episodes_of(each.labels)]
        found.append(
            Collected(
                number=each.number,
                episodes={kind: kinds.count(kind) for kind in Kind},
                frames={route: int((each.labels["route"] == route).sum()) for route in Route},
                human_share=float((each.labels["controller"] == Controller.HUMAN).mean()),
            )
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWeights:
    """What the gate said on one kind of frame."""

    route: Route
    frames: int
    g: Float[np.ndarray, "M"]
    """The gate where it could be computed."""
    mean_g: float
    share_above_one: float
    mean_weight: float
    drawn: float
    """Probability that a drawn window starts on such a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightStatistics:
    """Appendix G for one round."""

    number: int
    routes: Sequence[RouteWeights]
    weight: Float[np.ndarray, "K"]
    """Weights of the windows that may be drawn, demonstrations aside."""
    effective: float
    """How many equally weighted frames the K drawable ones are worth (Kish)."""
    drawable: int
    passing: float
    """Share of autonomous rollout frames with a weight above zero."""


def _mean(values: Float[np.ndarray, "M"] | Bool[np.ndarray, "M"]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def weight_statistics(each: RoundFiles) -> WeightStatistics | None:
    """The weight statistics of a round; None where it has no weights or no gate (supervised fine-tuning)."""
    if each.weights is None or np.isnan(each.weights["g"]).all():
        return None
    table = each.weights
    route, g, weight = table["route"], table["g"], table["weight"]
    sampling = np.nan_to_num(table["sampling"].astype(np.float64))
    routes = list[RouteWeights]()
    for name in (Route.ROLLOUT_SUCCESS, Route.INTERVENTION, Route.ROLLOUT_FAILURE):
        mine = route == name
        known = g[mine & ~np.isnan(g)]
        routes.append(
            RouteWeights(
                route=name,
                frames=int(mine.sum()),
                g=known,
                mean_g=_mean(known),
                share_above_one=_mean(known > 1),
                mean_weight=_mean(weight[mine]),
                drawn=float(sampling[mine].sum()),
            )
        )
    online = (route != Route.DEMO) & (sampling > 0)
    rollout = (route == Route.ROLLOUT_SUCCESS) | (route == Route.ROLLOUT_FAILURE)
    return WeightStatistics(
        number=each.number,
        routes=routes,
        weight=weight[online],
        effective=effective_sample_size(weight[online], sampling[online]),
        drawable=int(online.sum()),
        passing=_mean(weight[rollout] > 0),
    )


def values_of(each: RoundFiles) -> dict[str, Float[np.ndarray, "N"]] | None:
    """The ledger's value columns on the round's own frames, row by row as in its labels; NaN where the ledger is silent."""
    if each.labels is None or each.weights is None:
        return None
    own = np.flatnonzero(each.weights[ROUND] == each.number)
    place = {int(index): int(row) for index, row in zip(each.weights[INDEX][own], own, strict=True)}
    rows = np.array([place.get(int(index), -1) for index in each.labels[INDEX]], np.int64)
    if (rows < 0).all():
        return None
    names = ("p_v", "v_e", "a_v", "a_e", "g", "weight")
    return {name: np.where(rows >= 0, each.weights[name][rows].astype(np.float64), np.nan) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """p_v at the first frame of each episode of one round, by the round's own critic."""

    number: int
    p_v: Float[np.ndarray, "E"]
    kind: Sequence[Kind]

    @property
    def viable(self) -> float:
        """Share of starts above `VIABLE`."""
        return _mean(self.p_v > VIABLE)


def start_viability(run: Run) -> list[Starts]:
    """One entry per round whose critic looked at its own first frames."""
    found = list[Starts]()
    for each in run.rounds:
        values = values_of(each)
        if values is None or each.labels is None or not each.number:
            continue
        facts = episodes_of(each.labels)
        p_v = np.array([values["p_v"][fact.rows.start] for fact in facts])
        if np.isnan(p_v).all():
            continue
        seen = np.flatnonzero(~np.isnan(p_v)).tolist()
        found.append(Starts(number=each.number, p_v=p_v[seen], kind=[facts[i].kind for i in seen]))
    return found
