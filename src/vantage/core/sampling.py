"""Pools, shares and raw weights -> the probability that one draw picks each window, and the draws themselves.

    pool   demo (S)    intervention (I)    rollout (O: every other frame)
    share  1/4         1/4                 1/2

An empty pool's share goes to the others, in proportion. Inside a pool every window that may be drawn is
equally likely. What is drawn at a step is a pure function of (seed, step).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped

from vantage.bounds import Share, check
from vantage.types import Route, VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolShares:
    """Batch mix S : I : O, as relative numbers.

    The paper does not state its own; equal thirds are what `vantage run paper` takes.
    """

    demo: float = 0.25
    intervention: float = 0.25
    rollout: float = 0.5

    def __post_init__(self) -> None:
        """Raise `VantageError` for shares that are no mix."""
        shares = (self.demo, self.intervention, self.rollout)
        if min(shares) < 0 or sum(shares) <= 0 or not np.isfinite(sum(shares)):
            remedy = "give three numbers >= 0 of which one is positive"
            raise VantageError(f"the pool shares are {shares}; {remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesByNeed:
    """Batch mix that follows the policy: the worse its last rollouts went, the more of the batch is human
    (beyond the paper)."""

    demo: Share = 0.25
    """Share of demonstrations."""
    least: Share = 0.1
    """Least share of interventions, and of rollouts."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, success_rate: float) -> PoolShares:
        """The rest of the batch is rollouts in proportion to `success_rate`, and interventions."""
        rest = 1.0 - self.demo
        rollout = float(np.clip(rest * success_rate, self.least, rest - self.least))
        return PoolShares(demo=self.demo, intervention=rest - rollout, rollout=rollout)


def drawable(
    raw_weight: Float[np.ndarray, "N"],
    route: Shaped[np.ndarray, "N"],
    valid: Bool[np.ndarray, "N"],
    *,
    draw_zero_weight: bool = False,
) -> Bool[np.ndarray, "N"]:
    """Windows that a batch may hold: `valid` anchors with a positive raw weight.

    For fresh ones only, pass ``valid & fresh(...)``. `draw_zero_weight` also lets windows in that the rule
    gave 0 (failed rollouts), which take room in the batch; unlabelled ones stay out.
    """
    return valid & ((raw_weight > 0) | (draw_zero_weight & (route != Route.UNLABELLED)))


def sampling_probability(
    route: Shaped[np.ndarray, "N"],
    may_draw: Bool[np.ndarray, "N"],
    shares: PoolShares = PoolShares(),
    emphasis: Float[np.ndarray, "N"] | None = None,
) -> Float64[np.ndarray, "N"]:
    """Probability that one draw picks the window anchored at each frame; sums to 1.

    `emphasis` > 0: how likely frames are relative to others of their pool; None: equally. Raises
    `VantageError` if no window may be drawn.
    """
    demo, intervention = route == Route.DEMO, route == Route.INTERVENTION
    pools = [may_draw & demo, may_draw & intervention, may_draw & ~demo & ~intervention]
    counts = [np.count_nonzero(pool) for pool in pools]

    wanted = np.array([shares.demo, shares.intervention, shares.rollout]) * (np.array(counts) > 0)
    if wanted.sum() == 0:
        left = f"demonstrations {counts[0]}, interventions {counts[1]}, rollouts {counts[2]}"
        raise VantageError(
            f"no valid window is left to draw ({left}); "
            "collect more episodes, shorten the chunk or change the pool shares"
        )
    given = wanted / wanted.sum()

    probability = np.zeros(len(route))
    for pool, share, count in zip(pools, given, counts, strict=True):
        if emphasis is None:
            probability += pool * (share / max(count, 1))
        else:
            likely = pool * emphasis.astype(np.float64)
            probability += likely * (share / max(likely.sum(), 1e-300))
    return probability


def draw(
    probability: Float64[np.ndarray, "N"], *, seed: int, step: int, batch: int
) -> Int64[np.ndarray, "B"]:
    """Draw `batch` rows with replacement, as a pure function of (seed, step)."""
    upto = np.cumsum(probability)
    point = np.random.default_rng((seed, step)).random(batch) * upto[-1]
    return np.minimum(np.searchsorted(upto, point, side="right"), np.flatnonzero(probability)[-1])
