"""The nouns of Vantage: what one episode and one frame are made of.

    world ──> Trace (who drove, which policy, one outcome bit)          one episode, no pixels
    Trace ──> Labels (segment, route, targets and masks)                one row per frame
    Labels + critic ──> Values ──> Evidence ──> weight                  one row per frame
    windows of frames ──> Batch ──> Policy                              B windows of H steps (batch.py)

Shape letters used everywhere: T frames of an episode, N frames of a table, B windows of a batch, H steps of a
window (the chunk), A action dimensions, S proprioception dimensions, E environment-state dimensions, D
feature dimensions.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, Shaped

from vantage.errors import VantageError as VantageError


class Controller(StrEnum):
    """Who chose the action that was executed."""

    POLICY = "policy"
    HUMAN = "human"


class Credit(StrEnum):
    """How an outcome is attributed to frames: which column of 2-labels.parquet a weighting rule goes by."""

    AWARE = "route"
    """Intervention-aware credit: no outcome crosses a hand-over."""
    WHOLE = "route_whole"
    """An episode's outcome on all its policy frames, whoever took over in between (Imit-Recap, AWR)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a recording says who drove."""

    driver: Literal["recorded", "policy", "human"] = "recorded"
    """recorded: as its column says. policy: the policy alone drove, as in lerobot-rollout's strategies
    without take-overs, which write no such column. human: a person did, all the time, and episodes may have
    failed."""
    intervention_column: str | None = None
    """The column that says so; None: LeRobot's `intervention`, or one of the other names that are known."""


class OutcomeSource(StrEnum):
    """Who said how an episode ended; `outcome_source` in 2-labels.parquet."""

    CSV = "csv"
    """A file of outcomes that somebody wrote."""
    PAGE = "page"
    """Somebody watched the episode and pressed a key."""
    NEXT_SUCCESS = "next.success"
    """The dataset's own column of successes."""
    NEXT_REWARD = "next.reward"
    """The dataset's own rewards: above 0 in an episode's last frame."""
    EPISODE = "episode"
    """A column of the dataset's `meta/episodes`."""
    DEMO = "demo"
    """Nobody: it is a demonstration, and those succeed unless somebody recorded another outcome."""


class Route(StrEnum):
    """How a frame may be used; the route table is credit assignment (docs/habc.md, step 1)."""

    DEMO = "demo"
    """A frame of a demonstration: imitation data."""
    ROLLOUT_SUCCESS = "rollout_success"
    """A policy frame that carries the outcome 1: an autonomous success, or the suffix of a rescued one."""
    ROLLOUT_FAILURE = "rollout_failure"
    """A policy frame that carries the outcome 0."""
    INTERVENTION = "intervention"
    """A human frame outside a demonstration: imitation data, never labelled with the outcome."""
    UNLABELLED = "unlabelled"
    """A policy frame whose outcome cannot be attributed to the policy: kept, not trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One episode without its pixels: all that credit assignment may look at.

    Example: a policy that drove 3 frames, was corrected for 2 and finished in 1, with success:
    ``Trace(intervention=[0,0,0,1,1,0], policy_version=[7]*6, cut=[0]*6, outcome=True)``.
    """

    intervention: Bool[np.ndarray, "T"]
    """True where a human drove."""
    policy_version: Int64[np.ndarray, "T"]
    """Actor updates since the supervised checkpoint when the frame was collected; -1 in demonstrations."""
    cut: Bool[np.ndarray, "T"]
    """True where time is cut between the frame before and this one (a pause in the recording). ``cut[0]`` is
    False."""
    outcome: bool | None
    """Success, failure, or not recorded. A successful episode succeeds on its last frame."""
    demo: bool = False
    """Whether the episode is a demonstration: a person drove all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the outcome bit says about every frame: `2-labels.parquet` (docs/data.md). Targets are NaN where
    their mask is False."""

    segment: Int64[np.ndarray, "N"]
    """0, 1, 2 ... within the episode; a new one where the controller changes and where time is cut."""
    controller: Shaped[np.ndarray, "N"]
    """`Controller` values, as strings."""
    route: Shaped[np.ndarray, "N"]
    """`Route` values, as strings: intervention-aware credit."""
    route_whole: Shaped[np.ndarray, "N"]
    """`Route` values, as strings: the episode's outcome on all its policy frames."""
    outcome: Float32[np.ndarray, "N"]
    """The episode's outcome on each of its frames: 1, 0, NaN where none was recorded."""
    viability_target: Float32[np.ndarray, "N"]
    """The outcome, 0 or 1."""
    viability_mask: Bool[np.ndarray, "N"]
    """Where the outcome may supervise the viability head."""
    efficiency_target_mc: Float32[np.ndarray, "N"]
    """-(control steps to the success frame)."""
    efficiency_mask: Bool[np.ndarray, "N"]
    """Where steps-to-success may supervise the efficiency head."""

    def credited(self, credit: Credit) -> Shaped[np.ndarray, "N"]:
        """The routes by one way of attributing outcomes."""
        return self.route if credit is Credit.AWARE else self.route_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What a critic says about every frame."""

    z_v: Float[np.ndarray, "N"]
    """Viability logit."""
    v_e: Float[np.ndarray, "N"]
    """Minus the expected control steps to success, <= 0."""
    v_parent: Float[np.ndarray, "N"] | None = None
    """Expected return of the parent head (Imit-Recap only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a weighting rule sees of every frame. NaN where nothing could be computed."""

    route: Shaped[np.ndarray, "N"]
    """`Route` values."""
    outcome: Float[np.ndarray, "N"]
    """The whole episode's outcome (1, 0; NaN: not recorded), for rules without intervention-aware credit."""
    intervention: Bool[np.ndarray, "N"]
    """True where a human drove."""
    p_v: Float[np.ndarray, "N"]
    """Viability, sigmoid(z_v)."""
    a_v: Float[np.ndarray, "N"]
    """Viability advantage, in logits (Eq. 5)."""
    a_e: Float[np.ndarray, "N"]
    """Efficiency advantage, per control step (Eq. 6)."""
    a_parent: Float[np.ndarray, "N"]
    """TD residual of the parent head (Appendix A)."""
    a_chunk: Float[np.ndarray, "N"] | None = None
    """Viability of the executed chunk minus the mean viability of the policy's own chunks; None: no critic of
    chunks was asked."""
