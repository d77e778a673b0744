"""Small parts that more than one network is built from."""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Standardise(nn.Module):
    """x -> clip((x - mean) / std), with statistics that belong to the checkpoint, not to the optimiser."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, clip: float | None = None) -> None:
        """`clip` bounds the result on both sides; None leaves it."""
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, x: Float[Tensor, "N dim"]) -> None:
        """Take mean and standard deviation from data; a dimension that never moves keeps unit scale."""
        std = x.std(0, correction=0)
        self.mean.copy_(x.mean(0))
        self.std.copy_(torch.where(std > 1e-4, std, torch.ones_like(std)))

    def forward(self, x: Float[Tensor, "*B dim"]) -> Float[Tensor, "*B dim"]:
        """World units to unit scale."""
        y = (x - self.mean) / self.std
        return y if self.clip is None else y.clamp(-self.clip, self.clip)

    def inverse(self, y: Float[Tensor, "*B dim"]) -> Float[Tensor, "*B dim"]:
        """Unit scale to world units."""
        return y * self.std + self.mean


class ResidualBlock(nn.Module):
    """x + W2 silu(W1 LN(x) + c): one conditioned residual layer."""

    def __init__(self, width: int) -> None:
        """`width` of the stream and of the condition."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B W"], condition: Float[Tensor, "B W"]) -> Float[Tensor, "B W"]:
        """One layer."""
        return x + self.down(nn.functional.silu(self.up(self.norm(x)) + condition))


def mlp(*widths: int, dropout: float | None = None) -> nn.Sequential:
    """Linear layers with SiLU (and dropout, unless None) between them; nothing after the last."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(a, b))
        if i < len(widths) - 2:
            layers.append(nn.SiLU())
            if dropout is not None:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def time_features(time: Float[Tensor, "B"], dim: int) -> Float[Tensor, "B dim"]:
    """Sines and cosines of t at `dim` / 2 frequencies from 1 to 100 (in half turns)."""
    frequencies = torch.exp(torch.linspace(0, math.log(100.0), dim // 2, device=time.device))
    angle = math.pi * time[:, None] * frequencies
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
