"""How much self behaviour cloning counts beside PPO, right now: every rule of docs/chunked_ppo.md as a value.

A rule reads how training stands and returns (weight of L_PPO, weight of L_BC for every task).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vantage.bounds import Count, NotNegative, Share, check


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a rule may look at."""

    steps: int
    """Environment steps so far."""
    success: Float64[np.ndarray, "K"]
    """Running success rate of every task."""
    gradient_ratio: float
    """Running |gradient of L_PPO| / |gradient of L_BC|; 1 before anything was measured."""


Weights = tuple[float, Float64[np.ndarray, "K"]]


@dataclass(frozen=True, slots=True)
class NoSelfBC:
    """PPO alone."""

    def __call__(self, now: Standing) -> Weights:
        """(1, 0)."""
        return 1.0, np.zeros_like(now.success)


@dataclass(frozen=True, slots=True)
class ConstantBC:
    """L = L_PPO + beta L_BC."""

    beta: NotNegative = 0.1

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, now: Standing) -> Weights:
        """(1, beta)."""
        return 1.0, np.full_like(now.success, self.beta)


@dataclass(frozen=True, slots=True)
class RampBC:
    """L = b L_PPO + (1 - b) L_BC with b = tanh(t / T): from imitation to reinforcement."""

    over: Count = 300_000
    """T, environment steps."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, now: Standing) -> Weights:
        """(b, 1 - b)."""
        b = math.tanh(now.steps / self.over)
        return b, np.full_like(now.success, 1 - b)


@dataclass(frozen=True, slots=True)
class SuccessBC:
    """L = L_PPO + beta_task L_BC with beta_task = beta_max max(floor, 1 - success of the task).

    It fades where the task is solved.
    """

    beta_max: NotNegative = 0.3
    floor: Share = 0.0

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, now: Standing) -> Weights:
        """(1, beta of every task)."""
        return 1.0, self.beta_max * np.maximum(self.floor, 1 - now.success)


@dataclass(frozen=True, slots=True)
class GradientBC:
    """L_BC pulls with a share of PPO's own gradient norm, and less as success grows."""

    share: NotNegative = 0.5
    floor: Share = 0.1

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, now: Standing) -> Weights:
        """(1, share max(floor, 1 - mean success) |g_PPO| / |g_BC|)."""
        beta = self.share * max(self.floor, 1 - float(now.success.mean())) * now.gradient_ratio
        return 1.0, np.full_like(now.success, beta)


SelfBCRule = NoSelfBC | ConstantBC | RampBC | SuccessBC | GradientBC
