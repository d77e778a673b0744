"""The Gaussian twin of the flow actor: the same backbone, a mean per step, and a density that can be computed."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vantage.actors.flow import fit_scales, load_net, read_config, save_net
from vantage.actors.protocol import ActorLoss, Draw
from vantage.config import dumps, from_json
from vantage.nets.blocks import Standardise
from vantage.nets.vla import Backbone, ChunkHead, NetConfig, Pixels
from vantage.types import Batch, Observation


@dataclass(frozen=True, slots=True)
class GaussianConfig:
    """A diagonal Gaussian over the chunk with a learned, state-independent standard deviation."""

    net: NetConfig = NetConfig()
    log_std: float = -1.6
    """Initial log standard deviation, in the world's action units."""
    mean_only: bool = True
    """Act with the mean."""


class _GaussianNet(nn.Module):
    def __init__(self, config: GaussianConfig) -> None:
        super().__init__()
        self.backbone = Backbone(config.net)
        self.head = ChunkHead(config.net, flow=False)
        self.actions = Standardise(config.net.action_dim)
        self.log_std = nn.Parameter(torch.full((config.net.action_dim,), config.log_std))


class GaussianActor:
    """Implements `StochasticActor`."""

    def __init__(self, config: GaussianConfig, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        self.config = config
        net = config.net
        self.chunk, self.execute, self.action_dim, self.feature_dim = net.chunk, net.execute, net.action_dim, net.width
        self.cameras = net.sight.cameras if isinstance(net.sight, Pixels) else ()
        self.image_size = net.sight.size if isinstance(net.sight, Pixels) else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._net = _GaussianNet(config)

    @property
    def module(self) -> nn.Module:
        """Everything trainable."""
        return self._net

    def fit_normaliser(
        self,
        state: Float[np.ndarray, "N S"],
        actions: Float[np.ndarray, "N A"],
        environment_state: Float[np.ndarray, "N E"] | None,
    ) -> None:
        """Take the scales of inputs and actions from data (demonstrations, once); they stay with the checkpoint."""
        fit_scales(self._net.backbone, self._net.actions, state, actions, environment_state)

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Nothing is drawn: the loss has no noise."""
        return Draw(torch.zeros(batch_size, self.chunk, self.action_dim), torch.zeros(batch_size))

    def loss(self, batch: Batch, noise: Tensor, time: Tensor) -> ActorLoss:
        """Squared distance of the mean from the action, in standardised units (the flow loss's counterpart)."""
        features = self._net.backbone(batch.observation)
        error = self._net.head(features) - self._net.actions(batch.actions)
        return ActorLoss(error.square(), features.detach())

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s)."""
        return self._net.backbone(observation)

    def mean(self, observation: Observation) -> Float[Tensor, "B H A"]:
        """The mean chunk in the world's units, with gradient."""
        return self._net.actions.inverse(self._net.head(self._net.backbone(observation)))

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """The mean chunk, or a sample, in the world's units."""
        mean = self.mean(observation)
        if self.config.mean_only:
            return mean
        return mean + self._net.log_std.exp() * torch.randn(mean.shape, generator=generator)

    def log_prob(self, observation: Observation, actions: Float[Tensor, "B H A"]) -> Float[Tensor, "B H"]:
        """log N(a; mean, std^2), summed over action dimensions; actions in the world's units."""
        z = (actions - self.mean(observation)) / self._net.log_std.exp()
        return (-0.5 * z.square() - self._net.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors."""
        save_net(folder, self._net, dumps(self.config))

    @classmethod
    def load(cls, folder: Path) -> "GaussianActor":
        """Read what `save` wrote."""
        actor = cls(from_json(GaussianConfig, read_config(folder)))
        load_net(folder, actor._net)
        return actor
