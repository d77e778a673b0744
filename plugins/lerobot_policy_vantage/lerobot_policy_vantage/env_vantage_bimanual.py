"""The tasks of two arms, as `vantage run` plays them, as an environment of LeRobot's.

lerobot-eval --env.type=vantage_bimanual --env.task=bag-bottle --seed=0 ...
"""

from dataclasses import dataclass, field
from typing import Any

from gymnasium.vector import VectorEnv
from lerobot.configs.types import PolicyFeature
from lerobot.envs.configs import EnvConfig

from vantage.worlds.bimanual.spec import LIMITS, BimanualSpec

from .world_env import described, environments


@EnvConfig.register_subclass("vantage_bimanual")
@dataclass
class VantageBimanualConfig(EnvConfig):
    """Tasks and how they are shown."""

    task: str = "bag-bottle"
    """One task, or several with commas between them."""
    fps: int = BimanualSpec.fps
    limit: int = 0
    """Control steps before an unsolved episode ends as a failure; 0: what is usual for the task."""
    image_size: int = 96
    """Side of the pictures in pixels."""
    pictures: bool = True
    """Show pictures; without them a policy on true state runs much faster."""
    processes: bool = False
    """Give every environment of a batch a process of its own, which imports LeRobot first; else all are
    stepped in one."""
    suite: str = "evaluation"
    """Whose starts the trials have: `development` to choose by, `evaluation` only to report."""
    features: dict[str, PolicyFeature] = field(default_factory=dict)
    features_map: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Describe what the worlds show."""
        self.features, self.features_map = described(self.specs()[0], pictures=self.pictures)

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Nothing: the worlds are not made by gymnasium."""
        return {}

    def specs(self) -> list[BimanualSpec]:
        """The tasks that were named, as worlds to build."""
        tasks = [task.strip() for task in self.task.split(",")]
        return [
            BimanualSpec(task, limit=self.limit or LIMITS.get(task, 1), image_size=self.image_size)
            for task in tasks
        ]

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, VectorEnv]]:
        """{vantage_bimanual: {number of the task: its environments}}."""
        apart = self.processes and use_async_envs
        return environments(
            self.type, self.specs(), self.suite, n_envs, pictures=self.pictures, processes=apart
        )
