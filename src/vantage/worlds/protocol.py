"""What every simulated (or real) world must offer to the one collection loop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8


@runtime_checkable
class World(Protocol):
    """One task of one robot.

    Time stands still between `step` calls; nothing is rendered unless `images` is called.
    """

    task: str
    """Machine name, e.g. ``push-v3``."""
    prompt: str
    """What a person would tell the robot; distinct for every task."""
    fps: int
    """Control steps per second."""
    cameras: tuple[str, ...]
    """Names that `images` returns."""
    action_low: Float32[np.ndarray, "A"]
    action_high: Float32[np.ndarray, "A"]
    """Limits of the action; `step` clips to them."""

    def reset(self, seed: int) -> None:
        """Start the episode that belongs to this seed.

        The same seed gives the same start, on any machine and whatever was played before.
        """
        ...

    def step(self, action: Float32[np.ndarray, "A"]) -> bool:
        """Execute one control step; True if the task succeeds now or has succeeded before (latched)."""
        ...

    def proprioception(self) -> Float32[np.ndarray, "S"]:
        """What the robot's own sensors say."""
        ...

    def environment_state(self) -> Float32[np.ndarray, "E"]:
        """Everything, object poses and goal included.

        For cheap research and for operators, never for a VLA.
        """
        ...

    def images(self) -> dict[str, UInt8[np.ndarray, "_h _w 3"]]:
        """One picture per camera, rendered now."""
        ...

    def close(self) -> None:
        """Free the simulator and its graphics context."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldInputs:
    """What a world offers to a policy, known before the first episode."""

    cameras: Mapping[str, tuple[int, int]]
    """Camera name -> (height, width) of its pictures."""
    state_dim: int
    """Numbers of proprioception."""
    environment_dim: int
    """Numbers of true state."""
    action_dim: int


@runtime_checkable
class OwnWorldSpec(Protocol):
    """What a world of one's own must offer as a value: a frozen dataclass, which can be compared, hashed and
    written down."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def task(self) -> str:
        """Machine name, fit for a file name; different for every world of a run."""
        ...

    @property
    def limit(self) -> int:
        """Control steps before an unsolved episode ends as a failure."""
        ...

    @property
    def fps(self) -> int:
        """Control steps per second."""
        ...

    @property
    def robot(self) -> str:
        """Name of the robot, for the data set's info.json; the same in all worlds of a run."""
        ...

    @property
    def inputs(self) -> WorldInputs:
        """What its world offers to a policy."""
        ...

    def __call__(self) -> World:
        """Build it (here and now: graphics contexts do not travel between processes)."""
        ...
