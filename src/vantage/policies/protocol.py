"""What a policy is: a module that predicts chunks of actions and says what it wants to see.

    Batch, Draw ──policy(batch, draw)──> PolicyLoss: error per step and dimension; phi(s) of the same pass
    Observation ──policy.act───────────> chunk [B, C, A]
    Observation ──policy.features──────> phi(s) [B, D]

C steps are predicted from the present on; a window has H of them, more where the policy looks back
(`Interface.window`). Masks and weights are applied outside, so that one loss serves every policy. The loss is
`forward`, so that the hooks of whatever wraps a policy (DDP, FSDP2, LoRA) fire. A policy lives on one device;
observations and batches are moved there by whoever calls it (learn/step.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from vantage.batch import Batch, Observation
from vantage.types import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What goes into a policy and what comes out.

    It is known before the policy is built, and compared with data and worlds.
    """

    cameras: Mapping[str, tuple[int, int] | None]
    """Camera name, as data and worlds call it -> (height, width) that the policy must be given; None: any
    size, it resizes by itself."""
    state_dim: int | None
    """S, numbers of proprioception; None: it looks at none."""
    environment_dim: int | None
    """E, numbers of true state; None: it looks at none."""
    action_dim: int
    """A."""
    chunk: int
    """Steps predicted from the present on."""
    execute: int
    """Steps executed before the next prediction."""
    state_names: tuple[str, ...] | None = None
    """Names of the state's dimensions, where the checkpoint knows them."""
    action_names: tuple[str, ...] | None = None
    """Names of the action's dimensions, where the checkpoint knows them."""
    fps: float | None = None
    """Control steps per second that it was trained at, where the checkpoint knows it."""
    history: int = 1
    """Observations that it looks at: the present one, and those of the `history` - 1 control steps before."""

    @property
    def window(self) -> int:
        """H, steps of a training window.

        A policy that looks back learns the actions since its first observation too.
        """
        return self.history - 1 + self.chunk

    def fake_observation(self, count: int) -> Observation:
        """`count` observations of zeros, with everything that the policy looks at: for timing and shapes.

        Pictures that may have any size are 96 x 96 px.
        """
        images = {
            camera: torch.zeros(count, *(size or (96, 96)), 3, dtype=torch.uint8)
            for camera, size in self.cameras.items()
        }
        truth = None if self.environment_dim is None else torch.zeros(count, self.environment_dim)
        present = Observation(
            images=images,
            state=torch.zeros(count, self.state_dim or 0),
            environment_state=truth,
            prompts=("go",) * count,
        )

        return replace(present, earlier=(present,) * (self.history - 1))

    def fake_batch(self, count: int) -> Batch:
        """`count` windows of zeros, all of them valid."""
        shape = (count, self.window, self.action_dim)
        return Batch(
            observation=self.fake_observation(count),
            actions=torch.zeros(shape),
            mask=torch.ones(shape, dtype=torch.bool),
            row=np.arange(count),
        )


class PolicyLoss(NamedTuple):
    """One pass of a policy over a batch."""

    elementwise: Float[Tensor, "B H A"]
    """Error per step and action dimension (flow matching: the squared error of Eq. 1), neither masked nor
    weighted. Requires grad."""
    features: Float[Tensor, "B D"]
    """phi(s), detached, of the same pass: what a critic reads."""


class Draw(NamedTuple):
    """The randomness of one loss evaluation; its shapes are the policy's own business."""

    noise: Float[Tensor, "B H *A"]
    time: Float[Tensor, "B"]

    def at(self, rows: slice) -> "Draw":
        """The draw of some windows of a batch."""
        return Draw(self.noise[rows], self.time[rows])

    def to(self, device: torch.device | str) -> "Draw":
        """The same draw on another device."""
        return Draw(self.noise.to(device), self.time.to(device))


class Policy(nn.Module, ABC):
    """A policy that predicts chunks of actions.

    Everything trainable is a parameter of the module. Random numbers come from generators on the CPU and are
    then moved, so that the same seed draws the same noise on every device.
    """

    interface: Interface
    feature_dim: int
    """D."""
    remarks: tuple[str, ...] = ()
    """Sentences about how it was made that somebody should read: what was filled, changed, or could not be
    compared."""

    @property
    def chunk(self) -> int:
        """Steps predicted from the present on."""
        return self.interface.chunk

    @property
    def execute(self) -> int:
        """Steps executed before the next prediction."""
        return self.interface.execute

    @property
    def action_dim(self) -> int:
        """A."""
        return self.interface.action_dim

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras it looks at."""
        return tuple(self.interface.cameras)

    @property
    def units(self) -> tuple[nn.Module, ...]:
        """Parts that every forward pass calls as a whole; none unless a policy says so.

        Where a policy is sharded over processes, one of them is gathered at a time; without any, all at once.
        """
        return ()

    @property
    def device(self) -> torch.device:
        """Where its parameters live."""
        return next(self.parameters()).device

    @abstractmethod
    def draw(self, batch_size: int, generator: Generator) -> Draw:
        """Noise and time for one loss evaluation, on the generator's device."""

    @abstractmethod
    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """Elementwise loss and features of the same pass. Everything must be on the policy's device."""

    @abstractmethod
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s) alone, without gradient; equals what `forward` returns for the same parameters."""

    @abstractmethod
    def act(self, observation: Observation, generator: Generator) -> Float[Tensor, "B C A"]:
        """A chunk of actions from the present on, in the world's units, on the policy's device.

        It is the same for the same state of the generator.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write a checkpoint in the policy's own format."""

    def with_noise(self, scale: float) -> "Policy":
        """The same policy, acting from noise of another scale; 0 is zero-noise inference.

        Raises VantageError where it acts from none.
        """
        fault = f"{type(self).__name__} does not act from noise, so its scale cannot be {scale:g}"
        raise VantageError(f"{fault}; leave noise unset")

    def fit_normaliser(
        self,
        state: Float[np.ndarray, "N S"],
        actions: Float[np.ndarray, "N A"],
        environment_state: Float[np.ndarray, "N E"] | None,
        last: Int64[np.ndarray, "N"] | None = None,
    ) -> None:
        """Take the scales of inputs and actions from data.

        `last`: the row with which each frame's trajectory ends; None: all are one trajectory. A policy whose
        checkpoint brought scales of its own keeps them: do nothing.
        """


class StochasticPolicy(Policy, ABC):
    """A policy whose chunks have a tractable density, so that reinforcement learning can reweigh what it did.

        noise [P, H, A] ──explore──> path [P, H, A] ──chunk_of──> chunk [H, A]
                                     path [P, H, A] ──log_prob──> M numbers (M = 1: a density)

    The path is whatever the density needs: for a Gaussian the chunk itself (P = 1), for a stochastic flow
    every point on the way to it. M > 1: several estimates of it, each with a ratio of its own.
    """

    @abstractmethod
    def exploration(self, generator: Generator) -> Float[Tensor, "P H A"]:
        """The noise of one decision."""

    @abstractmethod
    def explore(self, observation: Observation, noise: Float[Tensor, "B P H A"]) -> Float[Tensor, "B P H A"]:
        """Sampled paths, without gradient."""

    @abstractmethod
    def chunk_of(self, path: Float[Tensor, "B P H A"]) -> Float[Tensor, "B H A"]:
        """The chunk at the end of a path, in the world's units."""

    @abstractmethod
    def log_prob(
        self, observation: Observation, path: Float[Tensor, "B P H A"], executed: Bool[Tensor, "B H"]
    ) -> Float[Tensor, "B M"]:
        """Log density of every path, without the steps that were never executed."""
