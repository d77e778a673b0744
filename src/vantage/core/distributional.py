"""Scalar returns <-> probabilities over bins, for the distributional parent head (App. A).

Two projections of a scalar target onto the bins, each a value: `TwoHot` splits it between its two neighbours,
`HLGauss` smears it with a Gaussian (Imani and White 2018; Farebrother et al. 2024, arXiv 2403.03950). Both
keep the mean away from the support's ends.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from vantage.bounds import Bounds, Positive, check
from vantage.errors import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """`count` evenly spaced bin centres from `low` to `high`, both included."""

    low: float = -200.0
    """Lowest return; `ParentReward.lowest_return` gives a bound."""
    high: float = 0.0
    """Highest return."""
    count: Annotated[int, Bounds(least=2)] = 201
    """K, at least 2."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds, and for ends that are exchanged."""
        check(self)
        if self.low >= self.high:
            raise VantageError(
                f"Bins.low is {self.low:g} and Bins.high {self.high:g}; low must be below high"
            )

    @property
    def width(self) -> float:
        """Distance of neighbouring centres."""
        return (self.high - self.low) / (self.count - 1)

    def centres(self, like: Tensor) -> Float[Tensor, "K"]:
        """The centres, on the device and in the dtype of `like`."""
        return torch.linspace(self.low, self.high, self.count, device=like.device, dtype=like.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoHot:
    """All mass on the two centres around the value, so that the mean is the value.

    Values off the support go to its nearest end.
    """

    def __call__(self, value: Float[Tensor, "*B"], bins: Bins) -> Float[Tensor, "*B K"]:
        """Probabilities over the bins."""
        position = (value.clamp(bins.low, bins.high) - bins.low) / bins.width
        number = torch.arange(bins.count, device=value.device, dtype=value.dtype)
        distance = (position[..., None] - number).abs()
        return (1 - distance).clamp(min=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HLGauss:
    """The mass that a Gaussian around the value puts on each bin.

    Cut off at the support's ends and renormalised.
    """

    sigma: Positive = 0.75
    """Standard deviation in bin widths; 0.75 is Farebrother et al.'s."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def __call__(self, value: Float[Tensor, "*B"], bins: Bins) -> Float[Tensor, "*B K"]:
        """Probabilities over the bins."""
        last = value.new_tensor([bins.high + bins.width / 2])
        edges = torch.cat([bins.centres(value) - bins.width / 2, last])
        scaled = (edges - value.clamp(bins.low, bins.high)[..., None]) / (self.sigma * bins.width)
        mass = torch.special.ndtr(scaled).diff(dim=-1)
        return mass / mass.sum(dim=-1, keepdim=True)


Projection = TwoHot | HLGauss


def expectation(logits: Float[Tensor, "*B K"], bins: Bins) -> Float[Tensor, "*B"]:
    """V(s) = sum_j softmax(logits)_j * centre_j."""
    return (logits.softmax(dim=-1) * bins.centres(logits)).sum(dim=-1)


def cross_entropy(logits: Float[Tensor, "*B K"], target: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    """-sum_j target_j log softmax(logits)_j, one value per sample, not reduced."""
    return -(target * logits.log_softmax(dim=-1)).sum(dim=-1)
