"""A bimanual world as a value; knows everything about it without importing the simulator."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from vantage.bounds import Count, Whole, check
from vantage.errors import VantageError
from vantage.worlds.protocol import World, WorldInputs

LIMITS: Final = MappingProxyType({"bag-bottle": 400, "pouch-zip": 500, "sack-draw": 600})
"""Task -> control steps that its episodes usually have; 25 a second."""
TASKS: Final = tuple(LIMITS)
"""Tasks of two arms."""
JOINTS: Final = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12)
"""Action dimensions that are joint angles; the other two are grippers."""
_ENVIRONMENT_DIM: Final = MappingProxyType({"bag-bottle": 91, "pouch-zip": 95, "sack-draw": 199})
"""Task -> numbers of its true state."""


@dataclass(frozen=True, slots=True)
class BimanualSpec:
    """One task of two arms; calling the value builds the world."""

    task: str
    """Its name, e.g. ``bag-bottle``."""
    limit: Whole = 400
    """Control steps before an unsolved episode ends as a failure; 16 seconds."""
    image_size: Count = 96
    """Side of the recorded pictures in pixels."""
    fps: ClassVar[int] = 25
    """Control steps per second."""
    robot: ClassVar[str] = "aloha"
    cameras: ClassVar[tuple[str, ...]] = ("top", "left_wrist", "right_wrist")
    """What its world shows."""
    state_dim: ClassVar[int] = 14
    """Numbers of proprioception."""
    action_dim: ClassVar[int] = 14

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def environment_dim(self) -> int:
        """Numbers of true state. Raises VantageError for a task that does not exist."""
        if self.task not in TASKS:
            raise VantageError(f"there is no bimanual task {self.task!r}; there is {', '.join(TASKS)}")
        return _ENVIRONMENT_DIM[self.task]

    @property
    def inputs(self) -> WorldInputs:
        """What its world offers to a policy."""
        return WorldInputs(
            cameras={camera: (self.image_size, self.image_size) for camera in self.cameras},
            state_dim=self.state_dim,
            environment_dim=self.environment_dim,
            action_dim=self.action_dim,
        )

    def __call__(self) -> World:
        """Build it (here and now: graphics contexts do not travel between processes).

        Raises VantageError for a task that does not exist.
        """
        from vantage.worlds.bimanual.build import build_world  # the simulator is an extra, and slow to import

        return build_world(self.task, self.image_size)
