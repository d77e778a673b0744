"""A small vision-language-action network: pictures, proprioception, prompt -> features, chunk velocities.

    camera 1 ── conv ──┐
    camera 2 ── conv ──┤
    proprioception ────┼── MLP ──> phi(s) [D] ──┐
    prompt ── words ───┘                        ├── residual MLP ──> velocity [H, A]
    noisy chunk [H, A], time ───────────────────┘

The true-state form replaces the pictures by the simulator's state; everything after phi is the same code.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vantage.batch import Observation
from vantage.bounds import Bounds, Count, check
from vantage.errors import VantageError
from vantage.nets.blocks import ResidualBlock, mlp, time_features
from vantage.nets.encoders import ImageEncoder, StateEncoder, TextEncoder


@dataclass(frozen=True, slots=True)
class Pixels:
    """See through cameras, as a real robot must."""

    cameras: tuple[str, ...] = ("corner4", "gripperPOV")
    size: Count = 48
    """Side of the pictures in pixels."""
    width: Count = 96
    """Vector per camera."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class TrueState:
    """Read the simulator's true state: for cheap research runs, never a VLA."""

    dim: Count = 39
    """E, numbers in the environment state."""
    width: Count = 128
    """Vector of the state."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class NetConfig:
    """Sizes of the network; part of the checkpoint."""

    sight: Pixels | TrueState = Pixels()
    state_dim: Count = 4
    """S, proprioception."""
    action_dim: Count = 4
    """A."""
    chunk: Count = 16
    """H, steps predicted."""
    execute: Count = 8
    """Steps executed before the next prediction."""
    width: Count = 256
    """D, width of phi and of the head."""
    depth: Annotated[int, Bounds(least=0, most=1000)] = 3
    """Residual layers of the head."""
    text: Count = 32
    """Vector of the prompt."""
    proprioception: Count = 32
    """Vector of the proprioception."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds, and for more steps executed than
        predicted."""
        check(self)
        if self.execute > self.chunk:
            raise VantageError(
                f"NetConfig.execute is {self.execute}; it must be at most chunk, the {self.chunk} "
                f"steps that are predicted"
            )


class Backbone(nn.Module):
    """phi: an observation to D features."""

    def __init__(self, config: NetConfig) -> None:
        """Build the encoders that `config.sight` names."""
        super().__init__()
        self.config = config
        match config.sight:
            case Pixels(cameras, size, width):
                self.eyes = nn.ModuleDict({name: ImageEncoder(size, width) for name in cameras})
                seen = width * len(cameras)
            case TrueState(dim, width):
                self.truth = StateEncoder(dim, width)
                seen = width

        self.text = TextEncoder(config.text)
        self.state = StateEncoder(config.state_dim, config.proprioception)
        self.mix = mlp(seen + config.text + config.proprioception, config.width, config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, observation: Observation) -> Float[Tensor, "B D"]:
        """Features of B observations."""
        match self.config.sight:
            case Pixels(cameras):
                seen = [self.eyes[name](observation.images[name]) for name in cameras]
            case TrueState():
                truth = observation.environment_state
                assert truth is not None, "a true-state policy needs observation.environment_state"
                seen = [self.truth(truth)]

        parts = [*seen, self.state(observation.state), self.text(observation.prompts)]
        return self.norm(self.mix(torch.cat(parts, dim=-1)))


class ChunkHead(nn.Module):
    """Features (and, for a flow, a noisy chunk and its time) to one vector per step of a chunk."""

    def __init__(self, config: NetConfig, *, flow: bool) -> None:
        """`flow`: take a noisy chunk and a time; otherwise predict from features alone."""
        super().__init__()
        self.shape = (config.chunk, config.action_dim)
        flat = config.chunk * config.action_dim
        self.condition = nn.Linear(config.width + (32 if flow else 0), config.width)
        self.enter = nn.Linear(flat, config.width) if flow else None
        self.blocks = nn.ModuleList(ResidualBlock(config.width) for _ in range(config.depth))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, flat))

    def forward(
        self,
        features: Float[Tensor, "B D"],
        noisy: Float[Tensor, "B H A"] | None = None,
        time: Float[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "B H A"]:
        """Velocity of the noisy chunk, or the chunk itself where there is none."""
        if self.enter is None or noisy is None or time is None:
            condition = self.condition(features)
            x = condition
        else:
            condition = self.condition(torch.cat([features, time_features(time, 32)], dim=-1))
            x = self.enter(noisy.flatten(1)) + condition

        for block in self.blocks:
            x = block(x, condition)
        return self.leave(x).unflatten(-1, self.shape)
