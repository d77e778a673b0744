"""One recorded episode and the credit ledger -> why its frames count as they do, in sentences.

    explain ──> Explanation(title, stretches)
                              └──> Stretch(frames, driver, sentences)

A stretch is what one driver did without a break: the unit in which outcomes are credited. Every number is the
ledger's own (docs/data.md); nothing is computed again but the two terms of the gate (Eq. 7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from vantage.data.v3.schema import EPISODE, FRAME, ROUND
from vantage.disk.tables import Column
from vantage.report.folder import RoundFiles, Run
from vantage.report.numbers import Kind, episodes_of, is_gated, values_of
from vantage.report.words import fixed
from vantage.types import Controller, Route, VantageError

_WENT = {
    Kind.DEMO: "a demonstration",
    Kind.ALONE: "the policy succeeded alone",
    Kind.RESCUED: "it succeeded, with a person's help",
    Kind.FAILED: "it failed",
    Kind.UNKNOWN: "nobody said how it went",
}
NEUTRAL = 0.05
"""A gate within this of 1 favours nothing."""

Values = Mapping[str, Float[np.ndarray, "T"]]
"""The columns `numbers.VALUES` on some frames."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one driver did without a break."""

    first: int
    """Frame of the episode."""
    last: int
    """Included."""
    driver: str
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the frames of an episode count as they do."""

    title: str
    """Which episode, what was asked, how it went and who says so."""
    stretches: Sequence[Stretch]


def explain(run: Run, episode: int, round_number: int | None = None) -> Explanation:
    """Explain one episode of a round, by default the last one that was weighed.

    The weights are those of the round itself, or of the first later one that weighed its frames: rounds of
    demonstrations have none of their own. Raises VantageError where the run has no such round or episode, or
    nothing has weighed it.
    """
    one = weighed(run, round_number)
    labels, values = one.labels, values_of(one)
    assert labels is not None and values is not None, "a round that was weighed has both"

    attempts = [fact for fact in episodes_of(labels) if fact.number == episode]
    if not attempts:
        last = int(labels[EPISODE].max())
        raise VantageError(f"round {one.number} of {run.folder} has no episode {episode}; it has 0 to {last}")

    gated = {
        name: is_gated(values["raw_weight"][labels["route"] == name], values["g"][labels["route"] == name])
        for name in Route
    }
    mean = _mean_raw_weight(labels["route"], values)
    stretches = list[Stretch]()
    for fact in attempts:
        segment = labels["segment"][fact.rows]
        edges = np.flatnonzero(np.diff(segment, prepend=segment[0] - 1))
        for start, stop in zip(edges, [*edges[1:], len(segment)], strict=True):
            rows = slice(fact.rows.start + int(start), fact.rows.start + int(stop))
            stretches.append(_stretch(labels, values, fact.rows, rows, gated, mean))

    went = "; then ".join(_WENT[fact.kind] for fact in attempts)
    source = str(labels["outcome_source"][attempts[0].rows.start])
    told = f" (says {source})" if source and attempts[0].kind not in (Kind.DEMO, Kind.UNKNOWN) else ""
    prompt = one.catalogue.prompt(episode) if one.catalogue else ""
    asked = f", asked to {prompt!r}" if prompt else ""
    return Explanation(f"episode {episode} of round {one.number}{asked}: {went}{told}", stretches)


def weighed(run: Run, number: int | None) -> RoundFiles:
    """A round, by default the last one that was weighed, with a ledger that speaks of its frames.

    Raises VantageError where there is none.
    """
    if number is None:
        asked = [one for one in run.rounds if values_of(one) is not None][-1:]
        if not asked:
            raise VantageError(f"{run.folder} holds no weights yet; `vantage weights` or a run makes them")
        return asked[0]

    one = next((one for one in run.rounds if one.number == number), None)
    if one is None or one.labels is None:
        labelled = [str(one.number) for one in run.rounds if one.labels is not None]
        known = ", ".join(labelled) or "none"
        raise VantageError(f"{run.folder} has no labels of a round {number}; rounds with labels: {known}")

    for ledger in (other.weights for other in run.rounds if other.number >= number):
        if ledger is not None and (ledger[ROUND] == number).any():
            return replace(one, weights=ledger)
    raise VantageError(f"nothing in {run.folder} has weighed the frames of round {number} yet")


def _mean_raw_weight(route: Column, values: Values) -> float:
    """c of Eq. 8, read back from what it divided; NaN where no frame tells."""
    raw, weight = values["raw_weight"], values["weight"]
    tells = (route != Route.DEMO) & (raw > 0) & (weight > 0)
    return float(np.median(raw[tells] / weight[tells])) if tells.any() else float("nan")


def _stretch(
    labels: Mapping[str, Column],
    values: Values,
    attempt: slice,
    rows: slice,
    gated: Mapping[Route, bool],
    mean: float,
) -> Stretch:
    """One stretch of an attempt, both given as rows of the label table."""
    frames = labels[FRAME][rows]
    route = Route(labels["route"][rows.start])
    human = labels["controller"][rows.start] == Controller.HUMAN
    own = {name: column[rows] for name, column in values.items()}

    sentences = [_use(labels, attempt, rows, route)]
    viability = own["p_v"][~np.isnan(own["p_v"])]
    if len(viability) and route != Route.DEMO:
        sentences.append(
            f"The critic saw a chance of success of {fixed(viability[0])} at its beginning "
            f"and {fixed(viability[-1])} at its end."
        )
    if route != Route.DEMO:
        sentences += _counts(frames, own, gated[route], mean)
    return Stretch(
        first=int(frames[0]),
        last=int(frames[-1]),
        driver="a person" if human else "the policy",
        sentences=sentences,
    )


def _use(labels: Mapping[str, Column], attempt: slice, rows: slice, route: Route) -> str:
    """What the frames of a stretch teach, and why."""
    match route:
        case Route.DEMO:
            return "A demonstration: imitated, and every window that begins here counts 1."
        case Route.INTERVENTION:
            return "A correction: imitated, whatever the outcome."
        case Route.ROLLOUT_SUCCESS:
            return "It carries the success: the critic learns from it, and the policy imitates it."
        case Route.ROLLOUT_FAILURE:
            return "It carries the failure, which the critic learns from."
        case Route.UNLABELLED:
            pass

    if labels["attempt"][rows.start] < 0:
        return "It belongs to no attempt: not judged, not imitated."
    if np.isnan(labels["outcome"][rows.start]):
        return "Nobody said how this ended: not judged, not imitated."
    later = slice(rows.stop, attempt.stop)
    human = np.flatnonzero(labels["controller"][later] == Controller.HUMAN)
    if len(human):
        frame = int(labels[FRAME][later][human[0]])
        return (
            f"A person took over at frame {frame}, and no outcome crosses a hand-over: "
            "not judged, not imitated."
        )
    return "No outcome reaches it: not judged, not imitated."


def _counts(frames: Column, own: Values, gated: bool, mean: float) -> list[str]:
    """How much the frames of a stretch count, and where most and least."""
    weight, raw = own["weight"], own["raw_weight"]
    counting = np.flatnonzero(weight > 0)
    silent = int(((raw > 0) & (weight == 0)).sum())
    if not len(counting):
        return ["None of its frames begins a window that could be imitated."] if silent else [_nothing(raw)]

    counts = weight[counting]
    spread = "" if np.ptp(counts) < 5e-3 else f" on average, {fixed(counts.min())} to {fixed(counts.max())}"
    made = "the gate g" if gated else "the rule's weight"
    sentences = [
        f"Its frames count {fixed(counts.mean())}{spread}: {made}, {fixed(raw[counting].mean())}"
        f"{' on average' if spread else ''}, over {fixed(mean)}, what a frame of rollouts or corrections "
        "counts on average."
    ]
    if silent:
        begin = "begins" if silent == 1 else "begin"
        sentences.append(f"{silent} of them {begin} no whole window: weight 0.")
    if gated and spread:
        for word, place in (
            ("most", int(counting[counts.argmax()])),
            ("least", int(counting[counts.argmin()])),
        ):
            count, reason = fixed(float(weight[place])), _reason(own, place)
            sentences.append(f"Frame {frames[place]} counts {word}, {count}: {reason}.")
    return sentences


def _nothing(raw: Float[np.ndarray, "T"]) -> str:
    return "No weight is known." if np.isnan(raw).all() else "Its frames count 0."


def _reason(own: Values, row: int) -> str:
    """What moved the gate of one frame, by the larger of its two terms (Eq. 7)."""
    p_v, a_v, a_e, g = (float(own[name][row]) for name in ("p_v", "a_v", "a_e", "g"))
    if np.isnan(g):
        return "nothing follows by which it could be judged, so it counts as it is"
    if abs(g - 1) < NEUTRAL:
        return "neither viability nor the steps to success changed much"
    if abs((1 - p_v) * a_v) >= abs(p_v * a_e):
        change = "rose" if a_v > 0 else "fell"
        return f"viability {change} from there, by {fixed(abs(a_v))} logits"
    change = "gained" if a_e > 0 else "lost"
    return f"every step from there {change} {fixed(abs(a_e))} steps on what the critic had expected"
