"""The flow-matching policy: trained by Eq. 1, acts by carrying noise to a chunk in a few Euler steps."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vantage.batch import Batch, Observation
from vantage.bounds import NotNegative, Passes, Whole, check
from vantage.core.flow import draw_time, integrate_euler, path_point
from vantage.errors import VantageError
from vantage.nets.vla import NetConfig
from vantage.policies.protocol import Draw, PolicyLoss
from vantage.policies.small.network import SmallPolicy, load_small


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """A flow-matching policy on the small network."""

    net: NetConfig = NetConfig()
    euler_steps: Passes = 5
    """Integration steps when acting."""
    noise: NotNegative = 1.0
    """Scale of the noise that acting starts from: 1 samples a chunk; 0 is zero-noise inference (beyond the
    paper)."""
    relative: tuple[Whole, ...] = ()
    """Action dimensions that are predicted as what they are beyond the measured proprioception of the same
    number at the chunk's start, such as joint positions; empty: all are predicted as they are. A chunk then
    says where to go from here, which needs less precision and follows an arm that was pushed aside."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds, and for relative actions of which there is no
        proprioception."""
        check(self)
        least = min(self.net.state_dim, self.net.action_dim)
        if len(set(self.relative)) < len(self.relative) or any(dim >= least for dim in self.relative):
            raise VantageError(
                f"FlowConfig.relative is {self.relative}; name each dimension once, all below {least}: of "
                f"{self.net.action_dim} actions and {self.net.state_dim} numbers of proprioception"
            )


@runtime_checkable
class SamplerConfig(Protocol):
    """What the settings of every flow say."""

    @property
    def net(self) -> NetConfig:
        """The network."""
        ...

    @property
    def euler_steps(self) -> int:
        """Of the deployed sampler."""
        ...

    @property
    def noise(self) -> float:
        """Scale of the noise that the deployed sampler begins with."""
        ...


class SmallFlow[C: SamplerConfig](SmallPolicy):
    """What every flow on the small network shares: the supervised loss and the deployed sampler."""

    def __init__(self, config: C, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        super().__init__(config, config.net, seed, flow=True)
        self.config = config

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Standard normal noise [B, H, A] and stratified times."""
        noise = torch.randn(batch_size, self.chunk, self.action_dim, generator=generator)
        return Draw(noise, draw_time(batch_size, generator))

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """|v(x_t, t, s) - (a - noise)|^2 per step and dimension (Eq. 1), in standardised action units."""
        features = self.backbone(batch.observation)
        chunk = self.standardised(batch.actions, batch.observation)
        point, target = path_point(chunk, draw.noise, draw.time)
        velocity = self.head(features, point, draw.time)
        return PolicyLoss((velocity - target).square(), features.detach())

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """A chunk in the world's units, from noise of `generator`."""
        drawn = torch.randn(len(observation), self.chunk, self.action_dim, generator=generator)
        return self.in_units(self.end(observation, self.config.noise * drawn), observation)

    def end(self, observation: Observation, start: Float[Tensor, "B H A"]) -> Float[Tensor, "B H A"]:
        """Where the Euler steps lead from noise, in standardised action units, with gradient."""
        return self.carried(self.backbone(observation), start)

    def carried(
        self, features: Float[Tensor, "B D"], start: Float[Tensor, "B H A"]
    ) -> Float[Tensor, "B H A"]:
        """Where they lead given phi(s)."""
        start = start.to(features.device)
        return integrate_euler(lambda x, t: self.head(features, x, t), start, self.config.euler_steps)

    def with_noise(self, scale: float) -> "SmallFlow[C]":
        """The same policy, acting from noise of another scale; 0 is zero-noise inference."""
        other = copy.deepcopy(self)
        other.config = other.settings = replace(cast(Any, self.config), noise=scale)
        return other

    def standardised(
        self, actions: Float[Tensor, "B H A"], observation: Observation
    ) -> Float[Tensor, "B H A"]:
        """A chunk in the world's units, as the head learns it."""
        return self.actions(actions)

    def in_units(self, chunk: Float[Tensor, "B H A"], observation: Observation) -> Float[Tensor, "B H A"]:
        """The inverse of `standardised`."""
        return self.actions.inverse(chunk)


class FlowPolicy(SmallFlow[FlowConfig]):
    """The small VLA (or its true-state form) with a flow-matching head."""

    _relative: Tensor

    def __init__(self, config: FlowConfig, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        super().__init__(config, seed)
        relative = torch.zeros(self.action_dim)
        relative[list(config.relative)] = 1.0
        self.register_buffer("_relative", relative, persistent=False)

    def fit_normaliser(
        self,
        state: Float[np.ndarray, "N S"],
        actions: Float[np.ndarray, "N A"],
        environment_state: Float[np.ndarray, "N E"] | None,
        last: Int64[np.ndarray, "N"] | None = None,
    ) -> None:
        """As every small policy; of relative actions, from the chunks that begin at each frame."""
        super().fit_normaliser(state, actions, environment_state, last)
        if self.config.relative:
            self._fit_relative(state, actions, last)

    def _fit_relative(
        self,
        state: Float[np.ndarray, "N S"],
        actions: Float[np.ndarray, "N A"],
        last: Int64[np.ndarray, "N"] | None,
    ) -> None:
        """One scale a dimension for all steps of a chunk: with one for each, the small moves of the first
        steps, which are mostly a hand's tremor, would weigh as much as where the chunk leads."""
        rows = np.arange(len(actions))
        ends = np.full(len(actions), len(actions) - 1) if last is None else last
        relative = list(self.config.relative)
        here = np.zeros_like(actions)
        here[:, relative] = state[:, relative]

        beyond: list[np.ndarray] = []
        for step in range(self.chunk):
            begun = rows[rows + step <= ends]
            beyond.append(actions[begun + step] - here[begun])
        self.actions.fit(torch.from_numpy(np.concatenate(beyond)).float())

    def standardised(
        self, actions: Float[Tensor, "B H A"], observation: Observation
    ) -> Float[Tensor, "B H A"]:
        """Relative dimensions less where the robot is."""
        return self.actions(actions - self._here(observation) if self.config.relative else actions)

    def in_units(self, chunk: Float[Tensor, "B H A"], observation: Observation) -> Float[Tensor, "B H A"]:
        """The inverse of `standardised`."""
        actions = self.actions.inverse(chunk)
        return actions + self._here(observation) if self.config.relative else actions

    def _here(self, observation: Observation) -> Float[Tensor, "B 1 A"]:
        """The proprioception in relative dimensions, 0 in the others."""
        known = min(self.net.state_dim, self.action_dim)
        here = nn.functional.pad(observation.state[:, :known], (0, self.action_dim - known))
        return (self._relative * here)[:, None]

    @classmethod
    def load(cls, folder: Path) -> "FlowPolicy":
        """Read what `save` wrote."""
        return load_small(FlowConfig, cls, folder)
