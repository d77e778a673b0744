"""The flow-matching actor: trained by Eq. 1, acts by carrying noise to a chunk in a few Euler steps."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from vantage.config import from_json
from vantage.core.flow import draw_time, integrate_euler, path_point
from vantage.nets.vla import NetConfig
from vantage.policies.protocol import ActorLoss, Draw
from vantage.policies.small.network import SmallActor, SmallNet, read_config, seeded_network
from vantage.types import Batch, Observation


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """A flow-matching actor on the small network."""

    net: NetConfig = NetConfig()
    euler_steps: int = 5
    """Integration steps when acting."""
    noise: float = 1.0
    """Scale of the noise that acting starts from: 1 samples a chunk, 0 always takes the middle one (beyond the paper)."""


class FlowActor(SmallActor[SmallNet]):
    """Implements `Actor` with the small VLA (or its true-state form)."""

    def __init__(self, config: FlowConfig, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        super().__init__(config, config.net, seeded_network(SmallNet, config.net, seed, flow=True))
        self.config = config

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Standard normal noise [B, H, A] and stratified times."""
        noise = torch.randn(batch_size, self.chunk, self.action_dim, generator=generator)
        return Draw(noise, draw_time(batch_size, generator))

    def loss(self, batch: Batch, noise: Tensor, time: Tensor) -> ActorLoss:
        """|v(x_t, t, s) - (a - noise)|^2 per step and dimension (Eq. 1), in standardised action units."""
        features = self._net.backbone(batch.observation)
        point, target = path_point(self._net.actions(batch.actions), noise, time)
        velocity = self._net.head(features, point, time)
        return ActorLoss((velocity - target).square(), features.detach())

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """A chunk in the world's units, from noise of `generator`."""
        features = self._net.backbone(observation)
        noise = self.config.noise * torch.randn(len(features), self.chunk, self.action_dim, generator=generator)
        chunk = integrate_euler(lambda x, t: self._net.head(features, x, t), noise, self.config.euler_steps)
        return self._net.actions.inverse(chunk)

    def calmed(self, noise: float) -> "FlowActor":
        """The same policy, acting from noise of another scale."""
        other = FlowActor(replace(self.config, noise=noise))
        other.module.load_state_dict(self.module.state_dict())
        return other

    @classmethod
    def load(cls, folder: Path) -> "FlowActor":
        """Read what `save` wrote."""
        actor = cls(from_json(FlowConfig, read_config(folder)))
        actor.read_weights(folder)
        return actor
