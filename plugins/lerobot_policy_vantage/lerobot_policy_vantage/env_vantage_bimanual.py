"""The tasks of two arms, as `vantage run` plays them, as an environment of LeRobot's.

lerobot-eval --env.type=vantage_bimanual --env.task=bag-bottle --seed=0 ...
"""

from dataclasses import dataclass

from lerobot.envs.configs import EnvConfig

from vantage.worlds.bimanual.spec import LIMITS, BimanualSpec

from .world_env import VantageWorldConfig


@EnvConfig.register_subclass("vantage_bimanual")
@dataclass
class VantageBimanualConfig(VantageWorldConfig):
    """Tasks and how they are shown."""

    task: str = "bag-bottle"
    """One task, or several with commas between them."""
    fps: int = BimanualSpec.fps
    limit: int = 0
    """Control steps before an unsolved episode ends as a failure; 0: what is usual for the task."""

    def specs(self) -> list[BimanualSpec]:
        """The tasks that were named, as worlds to build."""
        return [
            BimanualSpec(task, limit=self.limit or LIMITS.get(task, 1), image_size=self.image_size)
            for task in self.tasks
        ]
