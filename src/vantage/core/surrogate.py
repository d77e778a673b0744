"""Chunks of episodes, their rewards and values in; advantages and PPO's losses out (arXiv 2509.25718).

    one decision = one chunk of up to h actions, executed open loop

    rewards, values ──chunk_advantages──> A_k, targets ──standardise_by_task──> A_k
    log-ratios, A_k ──clipped_surrogate──> policy loss
    values, targets ──clipped_value_loss──> critic loss

N chunks lie end to end, episode after episode; `last` marks where an episode ends. Everything discounts by
control step, never by chunk, so that chunk lengths compare.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from vantage.bounds import NotNegative, Share, check


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """Reward 1 on the success step, discounted: a success n steps later is worth gamma^n of it."""

    gamma: Share = 0.99
    """Per control step."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    reads_potential = False

    def reward(
        self,
        steps: Int64[np.ndarray, "N"],
        success: Bool[np.ndarray, "N"],
        before: Float64[np.ndarray, "N"],
        after: Float64[np.ndarray, "N"],
    ) -> Float64[np.ndarray, "N"]:
        """R_k = sum_i gamma^i r_{t+i} of every chunk: gamma^(n_k - 1) where it ends in success, else 0."""
        return np.where(success, self.gamma ** (steps - 1.0), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """Every control step costs the same, beside the reward 1 on the success step."""

    cost: NotNegative = 0.005
    """Per control step. A success is worth the price of 1 / cost steps."""
    gamma: Share = 1.0

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    reads_potential = False

    def reward(
        self,
        steps: Int64[np.ndarray, "N"],
        success: Bool[np.ndarray, "N"],
        before: Float64[np.ndarray, "N"],
        after: Float64[np.ndarray, "N"],
    ) -> Float64[np.ndarray, "N"]:
        """R_k = gamma^(n_k - 1) [success] - cost sum_{i < n_k} gamma^i."""
        paid = steps if self.gamma == 1 else (1 - self.gamma**steps) / (1 - self.gamma)
        return np.where(success, self.gamma ** (steps - 1.0), 0.0) - self.cost * paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Potential:
    """The discount, and HABC's efficiency head as a shaping potential: Phi(s) = scale * V_e(s) / T_max.

    Shaping (Ng, Harada and Russell 1999) rewards getting nearer to success and leaves the best policy what it
    was: over an episode it adds up to -Phi(first state), because Phi is 0 where an episode ends for good
    (`potential_ahead`). scale = 0: `Discount`.
    """

    gamma: Share = 0.99
    scale: NotNegative = 1.0

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    reads_potential = True

    def reward(
        self,
        steps: Int64[np.ndarray, "N"],
        success: Bool[np.ndarray, "N"],
        before: Float64[np.ndarray, "N"],
        after: Float64[np.ndarray, "N"],
    ) -> Float64[np.ndarray, "N"]:
        """R_k = gamma^(n_k - 1) [success] + scale (gamma^n_k Phi(s_{k+1}) - Phi(s_k)).

        `before`, `after`: V_e / T_max at the chunk's beginning and end, as `potential_ahead` has it.
        """
        plain = np.where(success, self.gamma ** (steps - 1.0), 0.0)
        return plain + self.scale * (self.gamma**steps * after - before)


TimePrice = Discount | StepCost | Potential


def potential_ahead(
    potential: Float64[np.ndarray, "N"],
    potential_at_end: Float64[np.ndarray, "N"],
    success: Bool[np.ndarray, "N"],
    last: Bool[np.ndarray, "N"],
    *,
    limit_bootstraps: bool,
) -> Float64[np.ndarray, "N"]:
    """Phi at the end of every chunk: at the next one's beginning, and 0 where an episode ends for good.

    Where the limit bootstraps, an episode that ran into it goes on, so Phi of its end counts
    (`potential_at_end`, read where `last`). The critic's value there has lost that same Phi, so the two add
    up to the value without shaping, and shaping adds up to -Phi(first state) there too.
    """
    goes_on = last & ~success & limit_bootstraps
    return np.where(last, np.where(goes_on, potential_at_end, 0.0), np.append(potential[1:], 0.0))


def chunk_advantages(
    reward: Float64[np.ndarray, "N"],
    value: Float64[np.ndarray, "N"],
    value_at_end: Float64[np.ndarray, "N"],
    steps: Int64[np.ndarray, "N"],
    success: Bool[np.ndarray, "N"],
    last: Bool[np.ndarray, "N"],
    *,
    gamma: float,
    lam: float,
    limit_bootstraps: bool,
) -> tuple[Float64[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """(A_k, target of V_k): generalised advantages over chunks by their executed steps n_k.

        A_k = R_k + gamma^n_k V_{k+1} (1 - success) - V_k + (gamma lambda)^n_k (1 - last) A_{k+1}

    Source: docs/chunked_ppo.md; Schulman et al. 2016. The target is A_k + V_k. A success never bootstraps. An
    episode that ran into its limit does, from `value_at_end` (read where `last`), if `limit_bootstraps`;
    otherwise the limit is an end worth 0. lam = 1 without values: the discounted return. n_k = 1 everywhere:
    the usual GAE.
    """
    after = np.where(last, value_at_end if limit_bootstraps else 0.0, np.append(value[1:], 0.0))
    residual = reward + gamma**steps * np.where(success, 0.0, after) - value
    carry = np.where(last, 0.0, (gamma * lam) ** steps)

    advantage = np.empty_like(value)
    ahead = 0.0
    for k in range(len(value) - 1, -1, -1):
        ahead = residual[k] + carry[k] * ahead
        advantage[k] = ahead
    return advantage, advantage + value


def standardise_by_task(
    advantage: Float64[np.ndarray, "N"], task: Int64[np.ndarray, "N"], *, floor: float = 1e-3
) -> Float64[np.ndarray, "N"]:
    """(A - mean) / std within every task, so that hard and easy, long and short tasks pull alike.

    A standard deviation below `floor` counts as `floor`.
    """
    standardised = np.empty_like(advantage)
    for number in np.unique(task):
        rows = task == number
        own = advantage[rows]
        standardised[rows] = (own - own.mean()) / max(float(own.std()), floor)
    return standardised


def clipped_surrogate(
    log_ratio: Float[Tensor, "B M"],
    advantage: Float[Tensor, "B"],
    *,
    clip: float,
    denominator: int,
    pull_back: bool = False,
) -> Float[Tensor, ""]:
    """L_PPO = -1/B sum_k min(rho_k A_k, clip(rho_k, 1 - eps, 1 + eps) A_k).

    One ratio per chunk: rho = pi(chunk | s) / pi_old(chunk | s). M > 1: the mean over M estimates of it.
    `denominator`: B of the whole optimiser step. At rho = 1 the loss is minus the mean advantage, and its
    gradient is the policy gradient.

    `pull_back`: where A < 0, rho A - |A| (rho - 1)^2 / (2 eps) in place of the minimum. Its gradient does not
    vanish where a ratio has left the region, but pulls it back (FPO++, arXiv 2602.02481, Eq. 11 and 12).
    """
    ratio, advantage = log_ratio.clamp(-20, 20).exp(), advantage[:, None]
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    if pull_back:
        gain = torch.where(advantage < 0, advantage * (ratio + (ratio - 1).square() / (2 * clip)), gain)
    return -gain.mean(1).sum() / max(denominator, 1)


def clipped_value_loss(
    value: Float[Tensor, "B"],
    before: Float[Tensor, "B"],
    target: Float[Tensor, "B"],
    *,
    clip: float,
    denominator: int,
) -> Float[Tensor, ""]:
    """1/2B sum_k max((V - y)^2, (clip(V, V_old - eps, V_old + eps) - y)^2): PPO's clipped value loss.

    `denominator`: B of the whole optimiser step. clip = inf: half the mean squared error.
    """
    near = before + (value - before).clamp(-clip, clip)
    worst = torch.maximum((value - target).square(), (near - target).square())
    return 0.5 * worst.sum() / max(denominator, 1)


def divergence(log_ratio: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """KL(old || new) of every sample, without bias and never negative: rho - 1 - log rho (Schulman 2020)."""
    return log_ratio.clamp(-20, 20).exp() - 1 - log_ratio
