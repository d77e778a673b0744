"""What every policy must offer so that Vantage can weight, train, run and store it."""

from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from vantage.types import Batch, Observation


class ActorLoss(NamedTuple):
    """One pass of an actor over a batch."""

    elementwise: Float[Tensor, "B H A"]
    """Squared flow-matching error (Eq. 1), neither masked nor weighted nor reduced. Requires grad."""
    features: Float[Tensor, "B D"]
    """phi(s), detached, of the same pass: what a critic reads."""


class Draw(NamedTuple):
    """The randomness of one loss evaluation; its shapes are the actor's own business."""

    noise: Float[Tensor, "B H *A"]
    time: Float[Tensor, "B"]


@runtime_checkable
class Actor(Protocol):
    """A policy that predicts chunks of actions. Masks and weights are applied outside."""

    chunk: int
    """H: steps predicted."""
    execute: int
    """Steps executed before the next prediction."""
    action_dim: int
    """A."""
    feature_dim: int
    """D."""
    image_size: int | None
    """Side in pixels of the square pictures it wants; None: it looks at no pictures."""
    cameras: tuple[str, ...]
    """The cameras it looks at."""

    @property
    def module(self) -> nn.Module:
        """Everything trainable."""
        ...

    def draw(self, batch_size: int, generator: Generator) -> Draw:
        """Noise and time for one loss evaluation."""
        ...

    def loss(self, batch: Batch, noise: Tensor, time: Tensor) -> ActorLoss:
        """Elementwise flow-matching loss and features of the same pass."""
        ...

    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s) alone, without gradient; equals what `loss` returns for the same parameters."""
        ...

    def act(self, observation: Observation, generator: Generator) -> Float[Tensor, "B H A"]:
        """A chunk of actions in the world's units."""
        ...

    def save(self, folder: Path) -> None:
        """Write a checkpoint in the actor's own format."""
        ...

    @classmethod
    def load(cls, folder: Path) -> "Actor":
        """Read what `save` wrote."""
        ...


@runtime_checkable
class StochasticActor(Actor, Protocol):
    """An actor whose chunks have a tractable density, so that reinforcement learning can reweigh what it did.

    noise [P, H, A] ──explore──> path [P, H, A] ──chunk_of──> chunk [H, A];   log_prob(path) is M numbers per chunk, M = 1 for a density.

    The path is whatever the density needs: for a Gaussian the chunk itself (P = 1), for a stochastic flow every point on the way to it.
    M > 1: several estimates of it, each with a ratio of its own.
    """

    def exploration(self, generator: Generator) -> Float[Tensor, "P H A"]:
        """The noise of one decision."""
        ...

    def explore(self, observation: Observation, noise: Float[Tensor, "B P H A"]) -> Float[Tensor, "B P H A"]:
        """Sampled paths, without gradient."""
        ...

    def chunk_of(self, path: Float[Tensor, "B P H A"]) -> Float[Tensor, "B H A"]:
        """The chunk at the end of a path, in the world's units."""
        ...

    def log_prob(self, observation: Observation, path: Float[Tensor, "B P H A"], executed: Bool[Tensor, "B H"]) -> Float[Tensor, "B M"]:
        """Log density of every path, without the steps that were never executed."""
        ...
