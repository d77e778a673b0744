"""The nouns of Vantage: what one episode, one frame and one batch are made of.

    world ──> Trace (who drove, which policy, one outcome bit)          one episode, no pixels
    Trace ──> Labels (segment, route, targets and masks)                one row per frame
    Labels + critic ──> Values ──> Evidence ──> weight                  one row per frame
    windows of frames ──> Batch ──> Policy                              B windows of H steps

Shape letters used everywhere: T frames of an episode, N frames of a table, B windows of a batch, H steps of a window (the chunk),
A action dimensions, S proprioception dimensions, E environment-state dimensions, D feature dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped, UInt8
from torch import Tensor

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


class OutcomeSource(StrEnum):
    """Who said how an episode ended; `outcome_source` in 2-labels.parquet."""

    CSV = "csv"
    """A file of outcomes that somebody wrote."""
    PAGE = "page"
    """Somebody watched the episode and pressed a key."""
    NEXT_SUCCESS = "next.success"
    """The dataset's own column."""
    EPISODE = "episode"
    """A column of the dataset's `meta/episodes`."""
    DEMO = "demo"
    """Nobody: it is a demonstration, and those succeed unless somebody recorded another outcome."""


class Route(StrEnum):
    """How a frame may be used; the route table is credit assignment (docs/habc.md, step 1)."""

    DEMO = "demo"
    """A frame of a demonstration: imitation data."""
    ROLLOUT_SUCCESS = "rollout_success"
    """A policy frame that carries the outcome 1: a whole autonomous success, or the suffix of a rescued one."""
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
    """True where time is cut between the frame before and this one (a pause in the recording). ``cut[0]`` is False."""
    outcome: bool | None
    """Success, failure, or not recorded. A successful episode succeeds on its last frame."""
    demo: bool = False
    """Whether the episode is a demonstration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the outcome bit says about every frame: `2-labels.parquet` (docs/data.md). Targets are NaN where their mask is False."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """B observations s_t = (I_t, q_t, l)."""

    images: Mapping[str, UInt8[Tensor, "B _h _w 3"]]
    """Camera name -> pictures, each camera at a size of its own; empty for a policy on true state."""
    state: Float[Tensor, "B S"]
    """Proprioception."""
    environment_state: Float[Tensor, "B E"] | None
    """The simulator's true state; a VLA never looks at it."""
    prompts: tuple[str, ...]
    """B task prompts."""

    def __len__(self) -> int:
        """B."""
        return len(self.state)

    def at(self, rows: Int64[Tensor, "M"] | slice) -> "Observation":
        """The observations of some rows, in the order given."""
        truth = self.environment_state
        prompts = self.prompts[rows] if isinstance(rows, slice) else tuple(self.prompts[row] for row in rows.tolist())
        return Observation(
            images={camera: pictures[rows] for camera, pictures in self.images.items()},
            state=self.state[rows],
            environment_state=None if truth is None else truth[rows],
            prompts=prompts,
        )

    def to(self, device: torch.device | str) -> "Observation":
        """The same observations on another device. Prompts are words and live on none."""
        truth = self.environment_state
        return Observation(
            images={camera: pictures.to(device, non_blocking=True) for camera, pictures in self.images.items()},
            state=self.state.to(device, non_blocking=True),
            environment_state=None if truth is None else truth.to(device, non_blocking=True),
            prompts=self.prompts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """B windows of H steps, each anchored at its first frame and cut from one segment."""

    observation: Observation
    """At the anchors."""
    actions: Float[Tensor, "B H A"]
    """Executed actions, in the world's units; past the segment's end the last one repeats."""
    mask: Bool[Tensor, "B H A"]
    """False on padding past the segment's end and on action dimensions that nobody commanded."""
    row: Int64[np.ndarray, "B"]
    """The anchors' rows in the table that they were drawn from; they stay on the host."""

    def at(self, rows: slice) -> "Batch":
        """Some of the windows."""
        return Batch(
            observation=self.observation.at(rows),
            actions=self.actions[rows],
            mask=self.mask[rows],
            row=self.row[rows],
        )

    def to(self, device: torch.device | str) -> "Batch":
        """The same windows on another device."""
        return Batch(
            observation=self.observation.to(device),
            actions=self.actions.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            row=self.row,
        )
