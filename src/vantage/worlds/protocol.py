"""What every simulated (or real) world must offer to the one collection loop."""

from typing import Protocol, runtime_checkable

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

    def images(self) -> dict[str, UInt8[np.ndarray, "P P 3"]]:
        """One picture per camera, rendered now."""
        ...

    def close(self) -> None:
        """Free the simulator and its graphics context."""
        ...
