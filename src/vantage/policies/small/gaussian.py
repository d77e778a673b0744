"""The Gaussian twin of the flow policy: the same backbone, a mean per step, and a density in closed form."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vantage.batch import Batch, Observation
from vantage.bounds import Decay, check
from vantage.core.noise import chunk_log_prob, correlate
from vantage.nets.vla import NetConfig
from vantage.policies.protocol import Draw, PolicyLoss, StochasticPolicy
from vantage.policies.small.network import SmallPolicy, load_small


@dataclass(frozen=True, slots=True)
class GaussianConfig:
    """A diagonal Gaussian over the chunk with a learned, state-independent standard deviation."""

    net: NetConfig = NetConfig()
    log_std: float = -1.6
    """Initial log standard deviation, in the world's action units."""
    mean_only: bool = True
    """Act with the mean."""
    correlation: Decay = 0.0
    """Correlation of the noise between neighbouring steps of a chunk (AR(1))."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


class GaussianPolicy(SmallPolicy, StochasticPolicy):
    """A mean chunk on the small network, and a standard deviation per action dimension.

    Its path is the chunk.
    """

    def __init__(self, config: GaussianConfig, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        super().__init__(config, config.net, seed, flow=False)
        self.log_std = nn.Parameter(torch.full((config.net.action_dim,), config.log_std))
        self.config = config

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Nothing is drawn: the loss has no noise."""
        return Draw(torch.zeros(batch_size, self.chunk, self.action_dim), torch.zeros(batch_size))

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """Squared distance of the mean from the action, in standardised units.

        The counterpart of the flow loss.
        """
        features = self.backbone(batch.observation)
        error = self.head(features) - self.actions(batch.actions)
        return PolicyLoss(error.square(), features.detach())

    def mean(self, observation: Observation) -> Float[Tensor, "B H A"]:
        """The mean chunk in the world's units, with gradient."""
        return self.actions.inverse(self.head(self.backbone(observation)))

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """The mean chunk, or a sample, in the world's units."""
        mean = self.mean(observation)
        if self.config.mean_only:
            return mean
        noise = torch.stack([self.exploration(generator) for _ in range(len(mean))])
        return mean + self._spread(noise.to(mean.device))

    def exploration(self, generator: torch.Generator) -> Float[Tensor, "1 H A"]:
        """Independent standard normal noise for one chunk."""
        return torch.randn(1, self.chunk, self.action_dim, generator=generator)

    @torch.no_grad()
    def explore(self, observation: Observation, noise: Float[Tensor, "B 1 H A"]) -> Float[Tensor, "B 1 H A"]:
        """Chunks in the world's units: mean + std * correlated noise."""
        return (self.mean(observation) + self._spread(noise))[:, None]

    def chunk_of(self, path: Float[Tensor, "B 1 H A"]) -> Float[Tensor, "B H A"]:
        """The path is the chunk."""
        return path[:, 0]

    def log_prob(
        self, observation: Observation, path: Float[Tensor, "B 1 H A"], executed: Bool[Tensor, "B H"]
    ) -> Float[Tensor, "B 1"]:
        """log N(chunk; mean, Sigma) of the executed steps."""
        error = path[:, 0] - self.mean(observation)
        return chunk_log_prob(error, self.log_std, self.config.correlation, executed)

    def _spread(self, noise: Float[Tensor, "B 1 H A"]) -> Float[Tensor, "B H A"]:
        return self.log_std.exp() * correlate(noise[:, 0], self.config.correlation)

    @classmethod
    def load(cls, folder: Path) -> "GaussianPolicy":
        """Read what `save` wrote."""
        return load_small(GaussianConfig, cls, folder)
