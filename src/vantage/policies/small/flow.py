"""The flow-matching policy: trained by Eq. 1, acts by carrying noise to a chunk in a few Euler steps."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from vantage.batch import Batch, Observation
from vantage.config import NotNegative, Passes, check
from vantage.core.flow import draw_time, integrate_euler, path_point
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

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


class SmallFlow(SmallPolicy):
    """What every flow on the small network shares: the supervised loss and the deployed sampler."""

    def __init__(self, config: object, net: NetConfig, seed: int, *, euler_steps: int, noise: float) -> None:
        """Random weights, a pure function of `seed`. `euler_steps` and `noise`: of the deployed sampler."""
        super().__init__(config, net, seed, flow=True)
        self.euler_steps, self.noise = euler_steps, noise

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Standard normal noise [B, H, A] and stratified times."""
        noise = torch.randn(batch_size, self.chunk, self.action_dim, generator=generator)
        return Draw(noise, draw_time(batch_size, generator))

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """|v(x_t, t, s) - (a - noise)|^2 per step and dimension (Eq. 1), in standardised action units."""
        features = self.backbone(batch.observation)
        point, target = path_point(self.actions(batch.actions), draw.noise, draw.time)
        velocity = self.head(features, point, draw.time)
        return PolicyLoss((velocity - target).square(), features.detach())

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """A chunk in the world's units, from noise of `generator`."""
        features = self.backbone(observation)
        noise = self.noise * torch.randn(len(features), self.chunk, self.action_dim, generator=generator)

        chunk = integrate_euler(
            lambda x, t: self.head(features, x, t), noise.to(features.device), self.euler_steps
        )
        return self.actions.inverse(chunk)


class FlowPolicy(SmallFlow):
    """The small VLA (or its true-state form) with a flow-matching head."""

    def __init__(self, config: FlowConfig, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        super().__init__(config, config.net, seed, euler_steps=config.euler_steps, noise=config.noise)
        self.config = config

    def with_noise(self, scale: float) -> "FlowPolicy":
        """The same policy, acting from noise of another scale; 0 is zero-noise inference."""
        other = FlowPolicy(replace(self.config, noise=scale))
        other.load_state_dict(self.state_dict())
        return other.to(self.device)

    @classmethod
    def load(cls, folder: Path) -> "FlowPolicy":
        """Read what `save` wrote."""
        return load_small(FlowConfig, cls, folder)
