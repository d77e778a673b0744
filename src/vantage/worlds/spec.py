"""A world as a value: what to build, in which process, and how long an episode may last."""

from dataclasses import dataclass
from typing import ClassVar

from vantage.bounds import Count, Whole, check
from vantage.seeding import seed_for
from vantage.worlds.bimanual.spec import BimanualSpec
from vantage.worlds.gymnasium.lerobot import LeRobotEnv
from vantage.worlds.gymnasium.spec import Gymnasium
from vantage.worlds.protocol import OwnWorldSpec, World, WorldInputs


@dataclass(frozen=True, slots=True)
class MetaWorldSpec:
    """One MetaWorld task; calling the value builds the world."""

    task: str
    """Name with its version, e.g. ``push-v3``."""
    alike: bool = False
    """Draw reach, push and pick-place as one scene, so that only the prompt tells them apart."""
    half_open: bool = False
    """Start drawers and windows half open, so that only the prompt tells open from close."""
    limit: Whole = 160
    """Control steps before an unsolved episode ends as a failure."""
    image_size: Count = 96
    """Side of the recorded pictures in pixels."""
    fps: ClassVar[int] = 80
    """Control steps per second."""
    robot: ClassVar[str] = "sawyer"
    cameras: ClassVar[tuple[str, ...]] = ("corner4", "gripperPOV")
    """What its world shows."""
    state_dim: ClassVar[int] = 4
    """Numbers of proprioception."""
    environment_dim: ClassVar[int] = 39
    """Numbers of true state."""
    action_dim: ClassVar[int] = 4

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

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
        """Build it (here and now: graphics contexts do not travel between processes)."""
        from vantage.worlds.metaworld.world import MetaWorld  # the simulator is an extra, and slow to import

        return MetaWorld(self.task, alike=self.alike, half_open=self.half_open, image_size=self.image_size)


WorldSpec = MetaWorldSpec | Gymnasium | LeRobotEnv | BimanualSpec | OwnWorldSpec
"""Every kind of world the collector can build."""


def place_of(world: WorldSpec) -> int:
    """A number that belongs to the task, whatever suite it stands in: part of the seed of its trials."""
    return seed_for(world.task)
