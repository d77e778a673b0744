"""What a policy sees: B observations and their windows of executed actions, as tensors on any device.

The nouns of an episode, which are arrays, stand in `types.py`, apart from these because importing torch takes
seconds. Shape letters are explained there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from vantage.errors import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """B observations s_t = (I_t, q_t, l)."""

    images: Mapping[str, UInt8[Tensor, "B _h _w 3"]]
    """Camera name -> pictures, each camera at a size of its own; empty for a policy on true state."""
    state: Float[Tensor, "B S"]
    """Proprioception."""
    environment_state: Float[Tensor, "B E"] | None
    """The simulator's true state; a VLA never looks at it."""
    prompts: tuple[str, ...]
    """B task prompts."""
    earlier: tuple["Observation", ...] = ()
    """What was seen at the control steps before, oldest first: as many as the policy looks back
    (`Interface.history` - 1). The first observation of a segment stands for those before it."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for pictures that are no bytes: policies divide by 255, and pictures in 0 to 1
        would turn black without a word."""
        for camera, pictures in self.images.items():
            if pictures.dtype != torch.uint8:
                kind = str(pictures.dtype).removeprefix("torch.")
                raise VantageError(
                    f"the pictures of camera {camera} are {kind} and must be bytes (uint8, 0 to 255); where "
                    "they are in 0 to 1, give (pictures * 255).round().to(torch.uint8)"
                )

    def __len__(self) -> int:
        """B."""
        return len(self.state)

    def at(self, rows: Int64[Tensor, "M"] | slice) -> "Observation":
        """The observations of some rows, in the order given."""
        truth = self.environment_state
        numbers = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        return Observation(
            images={camera: pictures[rows] for camera, pictures in self.images.items()},
            state=self.state[rows],
            environment_state=None if truth is None else truth[rows],
            prompts=tuple(self.prompts[row] for row in numbers),
            earlier=tuple(before.at(rows) for before in self.earlier),
        )

    def to(self, device: torch.device | str) -> "Observation":
        """The same observations on another device. Prompts are words and live on none."""
        truth = self.environment_state
        return Observation(
            images={
                camera: pictures.to(device, non_blocking=True) for camera, pictures in self.images.items()
            },
            state=self.state.to(device, non_blocking=True),
            environment_state=None if truth is None else truth.to(device, non_blocking=True),
            prompts=self.prompts,
            earlier=tuple(before.to(device) for before in self.earlier),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """B windows of H steps, each cut from one segment. A window begins at its anchor, or with the first of
    the earlier observations where the policy looks back."""

    observation: Observation
    """At the anchors."""
    actions: Float[Tensor, "B H A"]
    """Executed actions, in the world's units; outside the segment its first or last one repeats."""
    mask: Bool[Tensor, "B H A"]
    """False on padding outside the segment and on action dimensions that nobody commanded."""
    row: Int64[np.ndarray, "B"]
    """The anchors' rows in the table that they were drawn from; they stay on the host."""

    def at(self, rows: slice) -> "Batch":
        """Some of the windows."""
        return Batch(
            observation=self.observation.at(rows),
            actions=self.actions[rows],
            mask=self.mask[rows],
            row=self.row[rows],
        )

    def to(self, device: torch.device | str) -> "Batch":
        """The same windows on another device."""
        return Batch(
            observation=self.observation.to(device),
            actions=self.actions.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            row=self.row,
        )
