"""Three ways to give a flow-matching policy a ratio, so that PPO can train it.

    NoisyFlowPolicy  x_0 ──Euler steps──> x_K ──noise──> chunk   density given x_0: one Gaussian
    FlowSDEPolicy    x_0 ──noisy Euler steps──> x_K = chunk      density of the path: a product of Gaussians
    FPOPolicy        x_0 ──Euler steps──> chunk                  exp(-flow loss) in place of a density

All are flow policies: the same network, the same supervised fine-tuning, the same deployment. Time runs from
0 (noise) to 1 (data).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vantage.batch import Observation
from vantage.bounds import Count, Decay, NotNegative, Passes, Positive, check
from vantage.core.flow import path_point
from vantage.core.noise import chunk_log_prob, correlate
from vantage.nets.vla import NetConfig
from vantage.policies.protocol import StochasticPolicy
from vantage.policies.small.flow import SmallFlow
from vantage.policies.small.network import load_small


@dataclass(frozen=True, slots=True)
class NoisyFlowConfig:
    """A flow that explores by Gaussian noise on the chunk it ends in (beyond the papers).

    What practice improves is then what is deployed: the end of the plain Euler steps.
    """

    net: NetConfig = NetConfig()
    euler_steps: Passes = 4
    """When exploring and when deployed."""
    noise: NotNegative = 0.0
    """Scale of x_0 when deployed; 0: the middle chunk, always the same."""
    start: NotNegative = 0.0
    """Scale of x_0 when exploring. What practice changes is the flow from there."""
    log_std: float = -1.6
    """Initial log standard deviation of the noise, in the world's action units; it is learned."""
    correlation: Decay = 0.0
    """Correlation of the noise between neighbouring steps of a chunk (AR(1))."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


class NoisyFlowPolicy(SmallFlow[NoisyFlowConfig], StochasticPolicy):
    """The path: x_0, in standardised units, and the chunk, in the world's.

    x_0 is drawn without looking at the state, so that log N(chunk; end of the flow from x_0, Sigma) is the
    whole ratio. Its gradient goes back through every Euler step.
    """

    def __init__(self, config: NoisyFlowConfig, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        super().__init__(config, seed)
        self.log_std = nn.Parameter(torch.full((config.net.action_dim,), config.log_std))

    def exploration(self, generator: torch.Generator) -> Float[Tensor, "2 H A"]:
        """x_0 and the noise on the chunk, standard normal."""
        return torch.randn(2, self.chunk, self.action_dim, generator=generator)

    @torch.no_grad()
    def explore(self, observation: Observation, noise: Float[Tensor, "B 2 H A"]) -> Float[Tensor, "B 2 H A"]:
        """x_0, and the chunk in the world's units: the end of the flow + std * correlated noise."""
        start = self.config.start * noise[:, 0]
        spread = self.log_std.exp() * correlate(noise[:, 1], self.config.correlation)
        return torch.stack([start, self.actions.inverse(self.end(observation, start)) + spread], dim=1)

    def chunk_of(self, path: Float[Tensor, "B 2 H A"]) -> Float[Tensor, "B H A"]:
        """The end of the path."""
        return path[:, 1]

    def log_prob(
        self, observation: Observation, path: Float[Tensor, "B 2 H A"], executed: Bool[Tensor, "B H"]
    ) -> Float[Tensor, "B 1"]:
        """log N(chunk; end of the flow from x_0, Sigma) of the executed steps."""
        error = path[:, 1] - self.actions.inverse(self.end(observation, path[:, 0]))
        return chunk_log_prob(error, self.log_std, self.config.correlation, executed)

    @classmethod
    def load(cls, folder: Path) -> "NoisyFlowPolicy":
        """Read what `save` wrote."""
        return load_small(NoisyFlowConfig, cls, folder)


@dataclass(frozen=True, slots=True)
class FlowSDEConfig:
    """A flow that explores by a stochastic differential equation (Flow-SDE).

    Source: pi_RL, arXiv 2510.25889; Liu et al., arXiv 2505.05470.
    """

    net: NetConfig = NetConfig()
    euler_steps: Passes = 4
    """K, when exploring and when deployed."""
    noise: NotNegative = 0.0
    """Scale of x_0 when deployed; 0: the middle chunk, always the same."""
    level: Positive = 0.4
    """a, strength of the noise that is added on the way: sigma_t = a sqrt(1 - t), in standardised action
    units."""
    start: NotNegative = 1.0
    """Scale of x_0 when exploring."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


class FlowSDEPolicy(SmallFlow[FlowSDEConfig], StochasticPolicy):
    """The path: P = K + 1 points from noise to chunk.

    dx = [v + sigma_t^2 / 2 score] dt + sigma_t dW keeps the marginals of the flow, with score = (t v - x) /
    (1 - t) for Gaussian noise. With sigma_t = a sqrt(1 - t) the drift is v + a^2 / 2 (t v - x): finite at
    both ends. As a goes to 0 it becomes the deterministic flow.
    """

    def exploration(self, generator: torch.Generator) -> Float[Tensor, "P H A"]:
        """x_0 and the noise of every step, standard normal."""
        return torch.randn(self.config.euler_steps + 1, self.chunk, self.action_dim, generator=generator)

    @torch.no_grad()
    def explore(self, observation: Observation, noise: Float[Tensor, "B P H A"]) -> Float[Tensor, "B P H A"]:
        """x_0, x_1 ... x_K in standardised units."""
        features = self.backbone(observation)
        points = [self.config.start * noise[:, 0]]
        for k in range(self.config.euler_steps):
            points.append(self._mean_after(features, points[-1], k) + self._std(k) * noise[:, k + 1])
        return torch.stack(points, dim=1)

    def chunk_of(self, path: Float[Tensor, "B P H A"]) -> Float[Tensor, "B H A"]:
        """x_K in the world's units."""
        return self.actions.inverse(path[:, -1])

    def log_prob(
        self, observation: Observation, path: Float[Tensor, "B P H A"], executed: Bool[Tensor, "B H"]
    ) -> Float[Tensor, "B 1"]:
        """sum_k log N(x_{k+1}; mean(x_k), sigma_k^2 / K)."""
        features = self.backbone(observation)
        total = path.new_zeros(len(path))
        for k in range(self.config.euler_steps):
            z = (path[:, k + 1] - self._mean_after(features, path[:, k], k)) / self._std(k)
            of_step = (-0.5 * z.square() - math.log(self._std(k)) - 0.5 * math.log(2 * math.pi)).sum(-1)

            # What was never executed is left out of the last Euler step only: in the steps before, every
            # component of a point moves all others.
            if k == self.config.euler_steps - 1:
                of_step = torch.where(executed, of_step, 0.0)
            total = total + of_step.sum(-1)
        return total[:, None]

    def _mean_after(
        self, features: Float[Tensor, "B D"], x: Float[Tensor, "B H A"], k: int
    ) -> Float[Tensor, "B H A"]:
        """The mean of x_{k+1}, given x_k."""
        steps = self.config.euler_steps
        t = k / steps
        velocity = self.head(features, x, torch.full((len(x),), t, device=x.device))
        return x + (velocity + 0.5 * self.config.level**2 * (t * velocity - x)) / steps

    def _std(self, k: int) -> float:
        """The standard deviation of x_{k+1}, given x_k."""
        steps = self.config.euler_steps
        return self.config.level * math.sqrt((1 - k / steps) / steps)

    @classmethod
    def load(cls, folder: Path) -> "FlowSDEPolicy":
        """Read what `save` wrote."""
        return load_small(FlowSDEConfig, cls, folder)


@dataclass(frozen=True, slots=True)
class FPOConfig:
    """A flow whose ratio is the change of its own loss (FPO, arXiv 2507.21053; FPO++, arXiv 2602.02481)."""

    net: NetConfig = NetConfig()
    euler_steps: Passes = 5
    noise: NotNegative = 0.0
    """Scale of x_0 when deployed; 0: the middle chunk, always the same."""
    draws: Count = 8
    """Noises, each at a time of its own, by which the loss of a chunk is estimated; the same for the old and
    the new policy."""
    per_draw: bool = True
    """A ratio for every noise, clipped by itself (FPO++), rather than one of their mean loss (FPO)."""
    start: NotNegative = 1.0
    """Scale of x_0 when exploring: all the exploration there is."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


class FPOPolicy(SmallFlow[FPOConfig], StochasticPolicy):
    """The path is the chunk and the noises that its loss is estimated with.

    log-ratio_m = L_m,old - L_m,new with L_m = sum_executed 1/2 |v(x_tm) - (a - e_m)|^2, on the stratified
    times t_m = (m + 1/2) / draws; or one log-ratio, their mean. Where nothing has been learned yet both have
    the same gradient.
    """

    def exploration(self, generator: torch.Generator) -> Float[Tensor, "P H A"]:
        """x_0 and the noises of the estimate, standard normal."""
        return torch.randn(self.config.draws + 1, self.chunk, self.action_dim, generator=generator)

    @torch.no_grad()
    def explore(self, observation: Observation, noise: Float[Tensor, "B P H A"]) -> Float[Tensor, "B P H A"]:
        """The chunk in standardised units, then the noises."""
        chunk = self.end(observation, self.config.start * noise[:, 0])
        return torch.cat([chunk[:, None], noise[:, 1:]], dim=1)

    def chunk_of(self, path: Float[Tensor, "B P H A"]) -> Float[Tensor, "B H A"]:
        """In the world's units."""
        return self.actions.inverse(path[:, 0])

    def log_prob(
        self, observation: Observation, path: Float[Tensor, "B P H A"], executed: Bool[Tensor, "B H"]
    ) -> Float[Tensor, "B M"]:
        """Minus the flow loss of the executed steps, for every noise or on average."""
        batch, draws = len(path), self.config.draws
        features = self.backbone(observation).repeat_interleave(draws, dim=0)

        chunk = path[:, :1].expand(-1, draws, -1, -1).flatten(0, 1)
        time = ((torch.arange(draws, device=path.device) + 0.5) / draws).repeat(batch)
        point, target = path_point(chunk, path[:, 1:].flatten(0, 1), time)

        error = (self.head(features, point, time) - target).square().sum(-1).unflatten(0, (batch, draws))
        of_draw = -0.5 * torch.where(executed[:, None], error, 0.0).sum(-1)
        return of_draw if self.config.per_draw else of_draw.mean(1, keepdim=True)

    @classmethod
    def load(cls, folder: Path) -> "FPOPolicy":
        """Read what `save` wrote."""
        return load_small(FPOConfig, cls, folder)
