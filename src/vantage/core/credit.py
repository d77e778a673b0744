"""One outcome bit and who was driving -> what every frame may teach: segment, route, targets, masks (docs/habc.md, step 1).

    drove            outcome   P before     H              P after (the suffix)
    autonomous       y         -            -              labelled y (the whole episode)
    with rescue      y         unlabelled   intervention   labelled y
    in human hands   y         unlabelled   intervention   -  (the episode ends with H: nothing is labelled)
    not recorded     -         unlabelled   intervention   unlabelled

Outcome labels never cross a hand-over; the time to success does, because it is a fact of the episode (docs/habc.md).
Nothing here sees observations or actions, so nothing in them can change a label.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float64

from vantage.core.segments import segments, suffix
from vantage.core.timeline import check_trace
from vantage.types import Controller, Labels, Route, Trace

_TEXT = np.dtype("<U15")  # the longest Route, in characters
_DRIVERS = np.array([Controller.POLICY.value, Controller.HUMAN.value], dtype=_TEXT)
_ROUTES = np.array([route.value for route in Route], dtype=_TEXT)
_CODE = {route: code for code, route in enumerate(Route)}


class RouteTable(Protocol):
    """How an episode's outcome is attributed to its frames: `label_episode` (intervention-aware) or `label_whole_episode`."""

    def __call__(self, trace: Trace, /, *, demo_viability: bool = False, demo_efficiency: bool = False) -> Labels:
        """Label every frame of one episode."""
        ...


def label_episode(trace: Trace, /, *, demo_viability: bool = False, demo_efficiency: bool = False) -> Labels:
    """Label one episode with intervention-aware credit (paper, "Intervention-Aware Credit Assignment", App. D).

    The outcome reaches the whole of an autonomous episode, or only the policy's suffix after the last intervention. Human frames are
    `Route.INTERVENTION`: imitation data, and progress targets where the episode succeeded. Demonstrations are `Route.DEMO` throughout;
    `demo_viability` and `demo_efficiency` let their recorded outcome supervise the heads too. Raises `VantageError` on a malformed trace.
    """
    check_trace(trace)
    return _label(trace, suffix(trace.intervention), demo_viability=demo_viability, demo_efficiency=demo_efficiency)


def label_whole_episode(trace: Trace, /, *, demo_viability: bool = False, demo_efficiency: bool = False) -> Labels:
    """Label one episode without intervention-aware credit: every policy frame carries y (Imit-Recap's route table).

    Equals `label_episode` where nobody intervened.
    """
    check_trace(trace)
    return _label(trace, ~trace.intervention, demo_viability=demo_viability, demo_efficiency=demo_efficiency)


def steps_to_success(length: int) -> Float64[np.ndarray, "T"]:
    """Monte-Carlo efficiency target of a successful episode: -(T - 1 - t), in control steps; 0 at the success frame T - 1."""
    return np.arange(1.0 - length, 1.0)


def join_labels(labels: Sequence[Labels]) -> Labels:
    """Lay the labels of several episodes end to end."""
    return Labels(
        segment=np.concatenate([each.segment for each in labels]),
        controller=np.concatenate([each.controller for each in labels]),
        route=np.concatenate([each.route for each in labels]),
        viability_target=np.concatenate([each.viability_target for each in labels]),
        viability_mask=np.concatenate([each.viability_mask for each in labels]),
        efficiency_target_mc=np.concatenate([each.efficiency_target_mc for each in labels]),
        efficiency_mask=np.concatenate([each.efficiency_mask for each in labels]),
    )


def _label(trace: Trace, attributed: Bool[np.ndarray, "T"], *, demo_viability: bool, demo_efficiency: bool) -> Labels:
    """Fill the table for one episode whose outcome belongs to the policy frames `attributed`."""
    length = len(trace.intervention)
    succeeded, known, nothing = bool(trace.outcome), trace.outcome is not None, np.zeros(length, dtype=np.bool_)
    if trace.demo:
        code = np.full(length, _CODE[Route.DEMO])
        viability_mask = np.full(length, known and demo_viability)
        efficiency_mask = np.full(length, succeeded and demo_efficiency)
    else:
        rollout = _CODE[Route.ROLLOUT_SUCCESS if succeeded else Route.ROLLOUT_FAILURE]
        viability_mask = attributed if known else nothing
        efficiency_mask = attributed | trace.intervention if succeeded else nothing
        code = np.where(trace.intervention, _CODE[Route.INTERVENTION], np.where(viability_mask, rollout, _CODE[Route.UNLABELLED]))
    return Labels(
        segment=segments(trace.intervention, trace.cut),
        controller=_DRIVERS[trace.intervention.astype(np.intp)],
        route=_ROUTES[code],
        viability_target=np.where(viability_mask, np.float32(succeeded), np.float32(np.nan)),
        viability_mask=viability_mask,
        efficiency_target_mc=np.where(efficiency_mask, steps_to_success(length), np.nan).astype(np.float32),
        efficiency_mask=efficiency_mask,
    )
