"""A critic of states and chunks in, something better to do out: three ways, each a value of one setting.

    BestOfN             N chunks are drawn when acting, the best is executed       a critic beside the policy
    RejectionTargets    at every recorded state the best of N chunks is imitated   acting stays as it was
    ExponentialWeights  what was executed is imitated, by exp(advantage / T)       acting stays as it was

The chunks are the policy's own, so none of the three leaves what it may do. At recorded states a chunk is
judged by critics that never saw the episode.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Generator, Tensor

from vantage.batch import Batch, Observation
from vantage.config import Count, Share, check
from vantage.core.weights import sigmoid
from vantage.data.experience import Experience
from vantage.learn.critic.chunks import ChunkCritic
from vantage.policies.protocol import Draw, Policy, PolicyLoss
from vantage.seeding import seed_for


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Draw chunks when acting and execute the one that the critic finds most viable.

    When acting, the critic stands beside the policy, and every decision costs `count` chunks.
    """

    count: Count = 8

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class RejectionTargets:
    """Imitate, at every recorded state of a rollout, the most viable of some chunks of the policy that
    played (rejection sampling, as in Q-chunking, arXiv 2507.07969). Acting is as it was."""

    count: Count = 8
    """1: the policy imitates itself, which is what selection is compared with."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class ExponentialWeights:
    """Imitate what rollouts executed, failures included, by exp(advantage / T). Acting is as it was."""

    effective: Share = 0.5
    """Effective sample size over the number of windows: T is chosen so (`core.weights.tempered`)."""
    count: Count = 8
    """Chunks of the policy whose mean viability is what a state is worth."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


Extraction = BestOfN | RejectionTargets | ExponentialWeights
"""How a critic of chunks is used."""


class BestOf(Policy):
    """A policy that executes the most viable of `count` chunks of another policy."""

    def __init__(self, policy: Policy, critic: ChunkCritic, count: int) -> None:
        """`critic`: trained on the features of this very `policy`."""
        super().__init__()
        self.policy, self.critic, self.count = policy, critic, count
        self.interface, self.feature_dim = policy.interface, policy.feature_dim

    def draw(self, batch_size: int, generator: Generator) -> Draw:
        """As the policy inside draws."""
        return self.policy.draw(batch_size, generator)

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """The loss of the policy inside."""
        return self.policy(batch, draw)

    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s) of the policy inside."""
        return self.policy.features(observation)

    @torch.no_grad()
    def act(self, observation: Observation, generator: Generator) -> Float[Tensor, "B C A"]:
        """The chunk that the critic finds most viable, of those that the policy draws."""
        chunks = draw_chunks(self.policy, observation, self.count, generator)
        size = len(observation)
        features = self.policy.features(observation).repeat_interleave(self.count, 0)
        judged = self.critic.judge(features, chunks.flatten(0, 1)).z_v.reshape(size, self.count)
        return chunks[torch.arange(size), torch.from_numpy(judged.argmax(1))]

    def save(self, folder: Path) -> None:
        """Write the policy inside: a checkpoint that acts without the critic."""
        self.policy.save(folder)


def draw_chunks(
    policy: Policy, observation: Observation, count: int, generator: Generator
) -> Float[Tensor, "B N C A"]:
    """N = `count` chunks of a policy at each observation."""
    rows = torch.arange(len(observation)).repeat_interleave(count)
    return policy.act(observation.at(rows), generator).unflatten(0, (len(observation), count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Chunks of a policy at some recorded states, and what critics say that never saw the episode."""

    rows: Int64[np.ndarray, "M"]
    """The states, as rows of the experience."""
    chunks: Float32[np.ndarray, "M N C A"]
    viability: Float[np.ndarray, "M N"]
    """p of each chunk."""

    @property
    def best(self) -> Float32[np.ndarray, "M C A"]:
        """The most viable chunk at each state."""
        return self.chunks[np.arange(len(self.rows)), self.viability.argmax(1)]

    @property
    def worth(self) -> Float[np.ndarray, "M"]:
        """What each state is worth under the policy: the mean viability of its chunks."""
        return self.viability.mean(1)


def judge_recorded(
    experience: Experience,
    rows: Int64[np.ndarray, "M"],
    policy: Policy,
    critic: ChunkCritic,
    fold: Int64[np.ndarray, "N"],
    *,
    count: int,
    seed: int,
    batch: int = 256,
) -> Judged:
    """Draw N = `count` chunks of `policy` at recorded states, and judge them by critics of other folds.

    `fold`: whose turn it is, of every frame of `experience` (`TrainedPanel.fold`). `batch`: states at once.
    """
    loader = experience.loader(policy.chunk, policy.interface.cameras, history=policy.interface.history)
    generator = torch.Generator().manual_seed(seed_for("chunks to judge", seed))
    chunks = np.zeros((len(rows), count, policy.chunk, policy.action_dim), np.float32)
    viability = np.zeros((len(rows), count))

    for start in range(0, len(rows), batch):
        part = slice(start, start + batch)
        observation = loader.observe(rows[part]).to(policy.device)
        drawn = draw_chunks(policy, observation, count, generator).float().cpu().numpy()
        features = policy.features(observation).float().cpu().numpy().repeat(count, 0)
        first = drawn.reshape(-1, *drawn.shape[2:])[:, : critic.length]
        z_v = critic.values(features, first, fold[rows[part]].repeat(count)).z_v
        chunks[part], viability[part] = drawn, sigmoid(z_v).reshape(-1, count)

    return Judged(rows=rows, chunks=chunks, viability=viability)
