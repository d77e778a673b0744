"""Rewards and the critic's own values -> regression targets for the critic.

    Monte-Carlo     the steps or rewards to the recorded end     steps_to_success, discounted_returns
    TD              k recorded steps, then the critic's value    stride_rows -> LookAhead
    mix             a weighted mean of the two                   mix

One look-ahead serves every head: y(t) = gain(t) + discount(t) * V(s_row(t)). V_e has gain -1 per step and
discount 1 (Eq. 3); the parent head has its rewards and gamma (Eq. 9); viability, where TD teaches it, has the
outcome at the end as its only gain, and discount 1. Everything is in control steps; `losses.efficiency_loss`
divides by a unit.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from vantage.bounds import Count, NotNegative, Share, check
from vantage.core.segments import last_of_run
from vantage.core.timeline import Timeline
from vantage.types import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Strides:
    """Where a look k steps ahead lands, for every frame of a table."""

    row: Int64[np.ndarray, "N"]
    """t + steps: the frame k ahead, or the last one of its stretch."""
    steps: Int64[np.ndarray, "N"]
    """Control steps to that frame: k, or fewer where the stretch ends first; 0 on its last frame."""
    terminal: Bool[np.ndarray, "N"]
    """True where the episode terminates in fewer than k steps, so that there is nothing to bootstrap from."""
    stride: int
    """k."""

    @property
    def defined(self) -> Bool[np.ndarray, "N"]:
        """False on the last frame of a stretch that does not terminate: what comes next is not known."""
        return self.terminal | (self.steps > 0)


def stride_rows(starts: Bool[np.ndarray, "N"], terminal: Bool[np.ndarray, "N"], stride: int) -> Strides:
    """Look `stride` control steps ahead of every frame without leaving its stretch.

    `starts` opens every stretch (`Timeline.stretch_starts`: never across a cut in time or the end of an
    episode); `terminal` marks the frames at which an episode terminates (`Timeline.success` for V_e,
    `Timeline.last` for the parent head). k = 1 is the paper: only the terminal frame itself has no successor.
    Raises `VantageError` for a stride below 1.
    """
    if stride < 1:
        raise VantageError(f"the stride is {stride}; choose at least 1 control step")

    row, last = np.arange(len(starts)), last_of_run(starts)
    left = last - row
    steps = np.minimum(left, stride)
    return Strides(row=row + steps, steps=steps, terminal=terminal[last] & (left < stride), stride=stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAhead:
    """A TD target for every frame: y = gain + discount * V(s_row). NaN gain where no target exists."""

    row: Int64[np.ndarray, "N"]
    """The frame whose value is bootstrapped."""
    gain: Float64[np.ndarray, "N"]
    """Rewards on the way there."""
    discount: Float64[np.ndarray, "N"]
    """What the value there counts; 0 where the episode terminates on the way."""

    def __call__(self, value: Float[np.ndarray, "N"]) -> Float64[np.ndarray, "N"]:
        """The targets of a whole table, from its own values."""
        ahead = np.where(self.discount > 0, value.astype(np.float64)[self.row], 0.0)
        return bootstrap(self.gain, self.discount, ahead)


def bootstrap[X: (np.ndarray, Tensor)](gain: X, discount: X, value_ahead: X) -> X:
    """y = gain + discount * V(s_row), elementwise, for arrays and tensors.

    `value_ahead` must carry no gradient (stopgrad of Eq. 3).
    """
    return gain + discount * value_ahead


def efficiency_ahead(strides: Strides) -> LookAhead:
    """TD targets of V_e at stride k (Eq. 3): -k + V_e(s_{t+k}).

    Within k steps of the success frame T - 1 they are -(T - 1 - t). At k = 1 that is the paper's: 0 at the
    success step, else -1 + V_e(s_{t+1}). Larger k is the n-step (chunk) target.
    """
    return _undiscounted(strides, -strides.steps.astype(np.float64))


def viability_ahead(strides: Strides, outcome: Float64[np.ndarray, "N"]) -> LookAhead:
    """TD targets of viability at stride k: p(s_{t+k}), and the outcome itself within k steps of the end.

    `strides`: with every recorded end as `terminal`. `outcome`: of each frame's episode, 1 or 0. It is the
    n-step return of a reward that is 1 at success and 0 elsewhere, undiscounted (as in arXiv 2507.07969).
    """
    return _undiscounted(strides, np.where(strides.terminal, outcome, 0.0))


def _undiscounted(strides: Strides, gain: Float64[np.ndarray, "N"]) -> LookAhead:
    """`gain` and what the frame ahead is worth, unless the episode terminates on the way there."""
    return LookAhead(
        row=strides.row,
        gain=np.where(strides.defined, gain, np.nan),
        discount=np.where(strides.terminal, 0.0, 1.0),
    )


def parent_ahead(
    strides: Strides, reward: Float64[np.ndarray, "N"], starts: Bool[np.ndarray, "N"], gamma: float
) -> LookAhead:
    """TD targets of the parent head at stride k: sum_{i<k} gamma^i r_{t+i} + gamma^k V(s_{t+k}).

    The TD half of Eq. 9. `starts` as given to `stride_rows`, with every end as `terminal`. Without an
    outcome, rewards and targets are NaN.
    """
    to_go = discounted_returns(reward, starts, gamma)
    decay = gamma ** strides.steps.astype(np.float64)
    gain = np.where(strides.terminal, to_go, to_go - decay * to_go[strides.row])
    return LookAhead(
        row=strides.row,
        gain=np.where(strides.defined, gain, np.nan),
        discount=np.where(strides.terminal, 0.0, decay),
    )


def discounted_returns(
    reward: Float64[np.ndarray, "N"], starts: Bool[np.ndarray, "N"], gamma: float
) -> Float64[np.ndarray, "N"]:
    """Monte-Carlo return R_t = sum_i gamma^i r_{t+i} to the end of t's run (App. A).

    By doubling, in log2(longest run) passes over the table: after a pass with shift s every entry holds the
    first 2s terms of its sum, S_2s(t) = S_s(t) + gamma^s S_s(t + s).
    """
    room = last_of_run(starts) - np.arange(len(starts))
    total, shift = reward.copy(), 1
    while shift <= room.max(initial=0):
        ahead = np.append(total[shift:], np.zeros(shift))
        total, shift = total + np.where(room >= shift, gamma**shift * ahead, 0.0), 2 * shift
    return total


def mix[X: (np.ndarray, Tensor)](td: X, mc: X, mc_share: float) -> X:
    """(1 - mc_share) * TD + mc_share * MC.

    0 is the paper's pure TD; 1 is Monte-Carlo, which does not look at `td`, so that it may be NaN.
    """
    return mc if mc_share == 1 else (1 - mc_share) * td + mc_share * mc


def _with_target(mask: Bool[np.ndarray, "N"], ahead: LookAhead, mc_share: float) -> Bool[np.ndarray, "N"]:
    """`mask`, less the frames without a TD target where a part of the target is TD."""
    return mask if mc_share == 1 else mask & np.isfinite(ahead.gain)


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficiencyTarget:
    """How V_e is taught. The defaults are the paper's.

    With ``mc_share=0.5`` and the chunk as stride, a prototype converged.
    """

    stride: Count = 1
    """k, recorded control steps before the bootstrap."""
    mc_share: Share = 0.0
    """Share of the Monte-Carlo target."""
    across_handover: bool = True
    """Whether the bootstrap may look past a hand-over (always real frames, never past a cut in time)."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def ahead(self, frames: Timeline) -> LookAhead:
        """TD targets for a table of frames."""
        starts = frames.stretch_starts(across_handover=self.across_handover)
        return efficiency_ahead(stride_rows(starts, frames.success, self.stride))

    def supervised(self, mask: Bool[np.ndarray, "N"], ahead: LookAhead) -> Bool[np.ndarray, "N"]:
        """Frames with a target: `mask`, less the frames just before a cut, which have no TD target."""
        return _with_target(mask, ahead, self.mc_share)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViabilityTarget:
    """How the viability of a state and a chunk is taught: by what was reached k steps later, by the outcome,
    or by both."""

    stride: Count = 8
    """k, recorded control steps before the bootstrap."""
    mc_share: Share = 0.5
    """Share of the outcome itself (Monte-Carlo); 1: nothing else."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def ahead(self, frames: Timeline) -> LookAhead:
        """TD targets for a table of frames; none looks past a hand-over, since no outcome may cross one."""
        ends = frames.last & ~np.isnan(frames.outcome)
        starts = frames.stretch_starts(across_handover=False)
        return viability_ahead(stride_rows(starts, ends, self.stride), frames.outcome)

    def supervised(self, mask: Bool[np.ndarray, "N"], ahead: LookAhead) -> Bool[np.ndarray, "N"]:
        """Frames with a target: `mask`, less the frames just before a cut, which have no TD target."""
        return _with_target(mask, ahead, self.mc_share)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentReward:
    """Rewards of the parent head (App. A): -1 per step, 0 at success; a failure costs C."""

    failure_penalty: NotNegative = 100.0
    """C."""
    per_transition: bool = False
    """True: -C on every transition of a failed episode, as printed. False: -C once, at the failing end
    (docs/habc.md, deviation 13)."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, frames: Timeline) -> Float64[np.ndarray, "N"]:
        """One reward per frame; NaN in episodes whose outcome was not recorded."""
        last = frames.last
        success = np.where(last, 0.0, -1.0)
        failure = np.where(last | self.per_transition, -self.failure_penalty, -1.0)
        return np.where(np.isnan(frames.outcome), np.nan, np.where(frames.outcome == 1, success, failure))

    def lowest_return(self, gamma: float) -> float:
        """A bound below every return: -1 or -C for ever, and -C at the end.

        For the support of the distributional head.
        """
        per_step = self.failure_penalty if self.per_transition else 1.0
        return -per_step / (1 - gamma) - (0.0 if self.per_transition else self.failure_penalty)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentTarget:
    """How the parent head is taught (Eq. 9): TD inside an episode, the Monte-Carlo return at its boundary."""

    gamma: Share = 0.99
    """Discount per control step."""
    stride: Count = 1
    """k, recorded control steps before the bootstrap."""
    mc_share: Share = 0.0
    """Share of the Monte-Carlo return away from the boundary; 0 is the paper."""
    reward: ParentReward = ParentReward()
    """Rewards per frame."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def ahead(self, frames: Timeline) -> LookAhead:
        """TD targets for a table of frames.

        At an episode's boundary (c_t = 1) they are the Monte-Carlo return, as in Eq. 9.
        """
        starts = frames.stretch_starts()
        strides = stride_rows(starts, frames.last, self.stride)
        return parent_ahead(strides, self.reward(frames), starts, self.gamma)

    def monte_carlo(self, frames: Timeline) -> Float64[np.ndarray, "N"]:
        """R_t of every frame, to the episode's end."""
        return discounted_returns(self.reward(frames), frames.frame == 0, self.gamma)
