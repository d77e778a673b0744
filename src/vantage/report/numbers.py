"""A run in memory -> the numbers of its report: pure functions of the files, nothing drawn, nothing rounded.

common_starts, compare    success and steps, start by start
collected                 episodes and routes by round
untried                   what a policy that nobody has tried yet learned from
weight_statistics         Appendix G
start_viability           Fig. 4, left
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float

from vantage.core.stats import Interval, bootstrap_mean, effective_sample_size, paired_difference
from vantage.data.v3.schema import ATTEMPT, EPISODE, FRAME, INDEX, ROUND
from vantage.disk.layout import Round
from vantage.disk.tables import Column
from vantage.report.folder import RoundFiles, Run, Trials
from vantage.report.paper import VIABLE
from vantage.types import Controller, Route, VantageError


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
    """Every evaluated policy, supervised first and the control last, on the starts that all were tried on.

    A start is a (task, seed); the trials of all policies come in one order. Raises VantageError where they
    share none.
    """
    arms = [_arm_of(run, files, files.trials) for files in run.rounds if files.trials is not None]
    if run.control is not None:
        arms.append(Arm(name="supervised, equal steps", short="control", trials=run.control, control=True))
    if not arms:
        return []

    rows_of = [{start: row for row, start in enumerate(_starts(arm.trials))} for arm in arms]
    shared = sorted(set(rows_of[0]).intersection(*rows_of[1:]))
    if not shared:
        remedy = "evaluate every policy on the same suite"
        raise VantageError(f"the evaluations of {run.folder} share no start (task, seed); {remedy}")

    aligned = list[Arm]()
    for arm, row_of in zip(arms, rows_of, strict=True):
        rows = np.array([row_of[start] for start in shared], np.int64)
        aligned.append(replace(arm, trials=arm.trials.at(rows)))
    return aligned


def _arm_of(run: Run, files: RoundFiles, trials: Trials) -> Arm:
    if not files.number:
        return Arm(name="supervised", short="supervised", trials=trials)
    short = f"round {files.number}"
    return Arm(name=f"{run.method}, {short}", short=short, trials=trials, rounds=files.number)


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
    neither: int
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
    return Comparison(
        ours=ours,
        theirs=theirs,
        difference=paired_difference(a.success, b.success),
        only_ours=int((a.success & ~b.success).sum()),
        only_theirs=int((~a.success & b.success).sum()),
        both=int(both.sum()),
        neither=int((~a.success & ~b.success).sum()),
        steps_ours=_mean(a.steps[both].astype(np.float64)),
        steps_theirs=_mean(b.steps[both].astype(np.float64)),
        steps_difference=bootstrap_mean(gap, seed=0),
    )


def compare_last(arms: Sequence[Arm]) -> list[Comparison]:
    """The last round (never the best one) beside the supervised policy, and beside the control."""
    learned = [arm for arm in arms if arm.rounds]
    if not learned:
        return []
    return [compare(learned[-1], other) for other in arms if not other.rounds]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFacts:
    """One recorded attempt, as its labels tell it."""

    number: int
    """Of the episode."""
    first: int
    """Frame of the episode at which it begins."""
    kind: Kind
    rows: slice
    """Its rows of the label table."""
    human_share: float


def episodes_of(labels: Mapping[str, Column]) -> list[EpisodeFacts]:
    """The attempts of a label table, in order, each with the outcome that its labels record.

    An attempt is a whole episode, or one of several in it. Raises VantageError where the rows are in
    another order.
    """
    order = np.lexsort((labels[FRAME], labels[EPISODE]))
    if (order != np.arange(len(order))).any():
        remedy = "write it again with `vantage label`"
        raise VantageError(f"2-labels.parquet is not in order of episode and frame; {remedy}")

    opens = (np.diff(labels[EPISODE], prepend=-1) != 0) | (np.diff(labels[ATTEMPT], prepend=0) != 0)
    edges = np.flatnonzero(opens)
    facts = list[EpisodeFacts]()
    for start, stop in zip(edges.tolist(), [*edges[1:].tolist(), len(order)], strict=True):
        rows = slice(start, stop)
        human = labels["controller"][rows] == Controller.HUMAN
        facts.append(
            EpisodeFacts(
                number=int(labels[EPISODE][start]),
                first=int(labels[FRAME][start]),
                kind=_kind_of(labels, rows),
                rows=rows,
                human_share=float(human.mean()),
            )
        )
    return facts


def _kind_of(labels: Mapping[str, Column], rows: slice) -> Kind:
    """How the episode in these rows went. Its outcome is the same on all of them, NaN where it is unknown."""
    if (labels["route"][rows] == Route.DEMO).all():
        return Kind.DEMO

    match float(labels["outcome"][rows.start]):
        case 1.0:
            helped = (labels["controller"][rows] == Controller.HUMAN).any()
            return Kind.RESCUED if helped else Kind.ALONE
        case 0.0:
            return Kind.FAILED
        case _:
            return Kind.UNKNOWN


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
    rounds = list[Collected]()
    for files in run.rounds:
        if files.labels is None:
            continue

        route, controller = files.labels["route"], files.labels["controller"]
        kinds = [facts.kind for facts in episodes_of(files.labels)]
        rounds.append(
            Collected(
                number=files.number,
                episodes={kind: kinds.count(kind) for kind in Kind},
                frames={name: int((route == name).sum()) for name in Route},
                human_share=float((controller == Controller.HUMAN).mean()),
            )
        )
    return rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Untried:
    """A policy that has learned from outcomes, and that nobody has tried since."""

    number: int
    """Its round."""
    learned: Sequence[str]
    """What its rollouts were, counted in words."""
    checkpoint: str
    """Where it lies."""


def untried(run: Run) -> Untried | None:
    """The last round's policy, if it learned from rollouts; None if nothing has been learned from them yet.

    For a run in which nothing was evaluated.
    """
    last = run.rounds[-1]
    rollouts = next((recorded for recorded in collected(run) if recorded.number == last.number), None)
    if not last.actor_curve or rollouts is None:
        return None

    words = {
        Kind.ALONE: "that worked",
        Kind.RESCUED: "that a person rescued",
        Kind.FAILED: "that failed",
        Kind.UNKNOWN: "without an outcome",
    }
    counts = {kind: rollouts.episodes[kind] for kind in words if rollouts.episodes[kind]}
    if not counts:
        return None
    return Untried(
        number=last.number,
        learned=[f"{count} {words[kind]}" for kind, count in counts.items()],
        checkpoint=str(Round.of(run.folder, last.number).actor),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWeights:
    """What the gate said on one kind of frame."""

    route: Route
    frames: int
    gated: bool
    """Whether g is what these frames count, so that the gate decides anything here."""
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


def weight_statistics(files: RoundFiles) -> WeightStatistics | None:
    """The weight statistics of a round; None where it has no weights or no gate (supervised fine-tuning)."""
    if files.weights is None or np.isnan(files.weights["g"]).all():
        return None

    route, g, weight = files.weights["route"], files.weights["g"], files.weights["weight"]
    raw = files.weights["raw_weight"]
    sampling = np.nan_to_num(files.weights["sampling"].astype(np.float64))

    routes = list[RouteWeights]()
    for name in (Route.ROLLOUT_SUCCESS, Route.INTERVENTION, Route.ROLLOUT_FAILURE):
        rows = route == name
        known = g[rows & ~np.isnan(g)]
        routes.append(
            RouteWeights(
                route=name,
                frames=int(rows.sum()),
                gated=is_gated(raw[rows], g[rows]),
                g=known,
                mean_g=_mean(known),
                share_above_one=_mean(known > 1),
                mean_weight=_mean(weight[rows]),
                drawn=float(sampling[rows].sum()),
            )
        )

    online = (route != Route.DEMO) & (sampling > 0)
    rollout = (route == Route.ROLLOUT_SUCCESS) | (route == Route.ROLLOUT_FAILURE)
    return WeightStatistics(
        number=files.number,
        routes=routes,
        weight=weight[online],
        effective=effective_sample_size(weight[online], sampling[online]),
        drawable=int(online.sum()),
        passing=_mean(weight[rollout] > 0),
    )


def is_gated(raw_weight: Float[np.ndarray, "M"], g: Float[np.ndarray, "M"]) -> bool:
    """Whether frames of one route count the gate itself: g wherever it is known, which is somewhere."""
    known = ~np.isnan(g)
    return bool(known.any()) and np.allclose(raw_weight[known], g[known], rtol=1e-5, atol=1e-6)


VALUES = ("p_v", "v_e", "a_v", "a_e", "g", "raw_weight", "weight")
"""Columns of the ledger that say what the critic thought of a frame, and what became of it."""


def values_of(files: RoundFiles) -> dict[str, Float[np.ndarray, "N"]] | None:
    """The columns `VALUES` on the round's own frames, row by row as in its labels.

    NaN where the ledger is silent. None where the round has no ledger, or one that does not cover its own
    frames.
    """
    if files.labels is None or files.weights is None:
        return None

    own = np.flatnonzero(files.weights[ROUND] == files.number)
    row_of = {int(index): int(row) for index, row in zip(files.weights[INDEX][own], own, strict=True)}
    rows = np.array([row_of.get(int(index), -1) for index in files.labels[INDEX]], np.int64)
    if (rows < 0).all():
        return None

    return {
        name: np.where(rows >= 0, files.weights[name][rows].astype(np.float64), np.nan) for name in VALUES
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """p_v at the first frame of each episode of one round, by the round's own critic."""

    number: int
    p_v: Float[np.ndarray, "E"]
    kind: Sequence[Kind]

    @property
    def viable(self) -> float:
        """Share of starts that the critic calls viable."""
        return _mean(self.p_v > VIABLE)


def start_viability(run: Run) -> list[Starts]:
    """One entry per round whose critic looked at its own first frames."""
    rounds = list[Starts]()
    for files in run.rounds:
        values = values_of(files)
        if values is None or files.labels is None or not files.number:
            continue

        facts = episodes_of(files.labels)
        p_v = np.array([values["p_v"][fact.rows.start] for fact in facts])
        known = np.flatnonzero(~np.isnan(p_v))
        if len(known):
            kinds = [facts[row].kind for row in known.tolist()]
            rounds.append(Starts(number=files.number, p_v=p_v[known], kind=kinds))
    return rounds
