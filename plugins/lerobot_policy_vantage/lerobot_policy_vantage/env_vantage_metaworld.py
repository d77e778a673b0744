"""MetaWorld's tasks, as `vantage run` plays them, as an environment of LeRobot's.

    lerobot-eval --env.type=vantage_metaworld --env.task=reach-v3,push-v3 --env.alike=true --seed=0 ...

LeRobot's own `metaworld` has other cameras, starts and limits.
"""

from dataclasses import dataclass

from lerobot.envs.configs import EnvConfig

from vantage.worlds.spec import MetaWorldSpec

from .world_env import VantageWorldConfig


@EnvConfig.register_subclass("vantage_metaworld")
@dataclass
class VantageMetaWorldConfig(VantageWorldConfig):
    """Tasks and how they are shown."""

    task: str = "reach-v3"
    """One task, or several with commas between them."""
    fps: int = MetaWorldSpec.fps
    alike: bool = False
    """Draw reach, push and pick-place as one scene, so that only the prompt tells them apart."""
    half_open: bool = False
    """Start drawers and windows half open."""

    def specs(self) -> list[MetaWorldSpec]:
        """The tasks that were named, as worlds to build."""
        return [
            MetaWorldSpec(
                task=task,
                alike=self.alike,
                half_open=self.half_open,
                limit=self.limit,
                image_size=self.image_size,
            )
            for task in self.tasks
        ]
