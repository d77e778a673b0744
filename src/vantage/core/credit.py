"""One outcome bit and who was driving -> what every frame may teach: segment, route, targets, masks.

Step 1 of docs/habc.md:

    drove            outcome   P before     H              P after (the suffix)
    autonomous       y         -            -              labelled y (the whole episode)
    with rescue      y         unlabelled   intervention   labelled y
    in human hands   y         unlabelled   intervention   -  (the episode ends with H: nothing is labelled)
    not recorded     -         unlabelled   intervention   unlabelled
    demonstration    y         -            demo           -  (unlabelled where it failed)

Outcome labels never cross a hand-over; the time to success does, because it is a fact of the episode
(docs/habc.md). Nothing here sees observations or actions, so nothing in them can change a label.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from vantage.core.segments import segments, suffix
from vantage.core.timeline import check_trace
from vantage.types import Controller, Labels, Route, Trace

_TEXT = np.dtype("<U15")  # the longest Route, in characters
_DRIVERS = np.array([Controller.POLICY.value, Controller.HUMAN.value], dtype=_TEXT)
_ROUTES = np.array([route.value for route in Route], dtype=_TEXT)
_CODE = {route: code for code, route in enumerate(Route)}


def label_episode(trace: Trace, /, *, demo_viability: bool = False, demo_efficiency: bool = False) -> Labels:
    """Label one episode with intervention-aware credit.

    Source: the paper's "Intervention-Aware Credit Assignment" and App. D. The outcome reaches the whole of an
    autonomous episode, or only the policy's suffix after the last intervention. Human frames are
    `Route.INTERVENTION`: imitation data, and progress targets where the episode succeeded. Demonstrations are
    `Route.DEMO` throughout, or `Route.UNLABELLED` where they failed: a failure is not imitated.
    `demo_viability` and `demo_efficiency` let their recorded outcome supervise the heads too. `route_whole`
    stands beside it, for rules without intervention-aware credit. Raises `VantageError` on a malformed trace.
    """
    check_trace(trace)
    length, succeeded, known = len(trace.intervention), bool(trace.outcome), trace.outcome is not None
    attributed = suffix(trace.intervention)

    if trace.demo:
        viability_mask = np.full(length, known and demo_viability)
        efficiency_mask = np.full(length, succeeded and demo_efficiency)
    else:
        nothing = np.zeros(length, dtype=np.bool_)
        viability_mask = attributed if known else nothing
        efficiency_mask = attributed | trace.intervention if succeeded else nothing

    return Labels(
        segment=segments(trace.intervention, trace.cut),
        controller=_DRIVERS[trace.intervention.astype(np.intp)],
        route=_routes(trace, attributed),
        route_whole=whole_episode_route(trace),
        outcome=np.full(length, np.float32(succeeded) if known else np.float32(np.nan)),
        viability_target=np.where(viability_mask, np.float32(succeeded), np.float32(np.nan)),
        viability_mask=viability_mask,
        efficiency_target_mc=np.where(efficiency_mask, steps_to_success(length), np.nan).astype(np.float32),
        efficiency_mask=efficiency_mask,
    )


def whole_episode_route(trace: Trace, /) -> Shaped[np.ndarray, "T"]:
    """The routes without intervention-aware credit: every policy frame carries the episode's outcome.

    Imit-Recap's route table (App. B). Equals `label_episode(trace).route` where nobody intervened.
    """
    return _routes(trace, ~trace.intervention)


def steps_to_success(length: int) -> Float64[np.ndarray, "T"]:
    """Monte-Carlo efficiency target of a successful episode of T frames: -(T - 1 - t), in control steps.

    It is 0 at the success frame T - 1.
    """
    return np.arange(1.0 - length, 1.0)


def leave_out(labels: Labels) -> Labels:
    """The labels of frames that belong to no attempt: neither credited nor imitated, whoever drove.

    `labels`: of these frames as an episode without an outcome.
    """
    nothing = np.full(len(labels.route), Route.UNLABELLED.value, dtype=_TEXT)
    return replace(labels, route=nothing, route_whole=nothing)


def join_labels(labels: Sequence[Labels]) -> Labels:
    """Lay the labels of several episodes end to end."""
    names = Labels.__dataclass_fields__
    columns = {name: np.concatenate([getattr(episode, name) for episode in labels]) for name in names}
    return Labels(**columns)


def _routes(trace: Trace, attributed: Bool[np.ndarray, "T"]) -> Shaped[np.ndarray, "T"]:
    """Route of every frame of an episode whose outcome belongs to the policy frames `attributed`."""
    if trace.demo:
        route = Route.UNLABELLED if trace.outcome is False else Route.DEMO
        return np.full(len(attributed), route.value, dtype=_TEXT)

    if trace.outcome is None:
        policy = np.full(len(attributed), _CODE[Route.UNLABELLED])
    else:
        rollout = _CODE[Route.ROLLOUT_SUCCESS if trace.outcome else Route.ROLLOUT_FAILURE]
        policy = np.where(attributed, rollout, _CODE[Route.UNLABELLED])
    return _ROUTES[np.where(trace.intervention, _CODE[Route.INTERVENTION], policy)]
