"""MetaWorld's tasks, as `vantage run` plays them, as an environment of LeRobot's.

    lerobot-eval --env.type=vantage_metaworld --env.task=reach-v3,push-v3 --env.alike=true --seed=0 ...

Trial i of a task is the episode with seed i: with --seed=0 the trials are those of `vantage evaluate`, start
by start, in pixels and in true state. LeRobot's own `metaworld` has other cameras, starts and limits.
"""

import os
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig

from vantage.seeding import seed_for
from vantage.worlds.spec import MetaWorldSpec, place_of


class VantageWorld(gymnasium.Env):
    """One task; an episode ends with success, or at its limit."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": MetaWorldSpec.fps}  # noqa: RUF012 - gymnasium's own form
    render_mode = "rgb_array"

    def __init__(self, spec: MetaWorldSpec, suite: str, *, pictures: bool) -> None:
        """`suite`: whose starts the trials have. `pictures`: show them; else true state alone."""
        os.environ.setdefault("MUJOCO_GL", "egl")
        self._spec, self._suite, self._pictures = spec, suite, pictures
        self._world = spec()
        self._steps = self._trial = 0
        self._max_episode_steps = spec.limit
        self.task, self.task_description = spec.task, self._world.prompt

        box = partial(gymnasium.spaces.Box, -np.inf, np.inf, dtype=np.float32)
        spaces: dict[str, gymnasium.Space] = {
            "agent_pos": box((spec.state_dim,)),
            "environment_state": box((spec.environment_dim,)),
        }
        if pictures:
            side = (spec.image_size, spec.image_size, 3)
            shown = {name: gymnasium.spaces.Box(0, 255, side, np.uint8) for name in spec.cameras}
            spaces["pixels"] = gymnasium.spaces.Dict(shown)
        self.observation_space = gymnasium.spaces.Dict(spaces)
        self.action_space = gymnasium.spaces.Box(self._world.action_low, self._world.action_high)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Trial number `seed`; without one, the next trial."""
        super().reset(seed=seed)
        self._trial = self._trial + 1 if seed is None else seed
        self._world.reset(seed_for(self._suite, place_of(self._spec), self._trial))
        self._steps = 0
        return self._observe(), {"is_success": False}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step; the reward is 1 with success."""
        command = np.clip(action, self._world.action_low, self._world.action_high).astype(np.float32)
        success = self._world.step(command)
        self._steps += 1
        over = self._steps >= self._spec.limit and not success
        return self._observe(), float(success), success, over, {"is_success": success}

    def render(self) -> np.ndarray:
        """What the first camera shows."""
        return self._world.images()[self._spec.cameras[0]]

    def close(self) -> None:
        """Free the simulator."""
        self._world.close()

    def _observe(self) -> dict[str, Any]:
        shown = {
            "agent_pos": self._world.proprioception(),
            "environment_state": self._world.environment_state(),
        }
        return shown | ({"pixels": self._world.images()} if self._pictures else {})


@EnvConfig.register_subclass("vantage_metaworld")
@dataclass
class VantageMetaWorldConfig(EnvConfig):
    """Tasks and how they are shown."""

    task: str = "reach-v3"
    """One task, or several with commas between them."""
    fps: int = MetaWorldSpec.fps
    alike: bool = False
    """Draw reach, push and pick-place as one scene, so that only the prompt tells them apart."""
    half_open: bool = False
    """Start drawers and windows half open."""
    limit: int = 160
    """Control steps before an unsolved episode ends as a failure."""
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
        size, spec = self.image_size, MetaWorldSpec
        described = {
            "action": ("action", FeatureType.ACTION, (spec.action_dim,)),
            "agent_pos": ("observation.state", FeatureType.STATE, (spec.state_dim,)),
            "environment_state": ("observation.environment_state", FeatureType.ENV, (spec.environment_dim,)),
        }
        if self.pictures:
            for camera in spec.cameras:
                name = f"observation.images.{camera}"
                described[name] = (name, FeatureType.VISUAL, (size, size, 3))
        self.features = {key: PolicyFeature(kind, shape) for key, (_, kind, shape) in described.items()}
        self.features_map = {key: name for key, (name, _, _) in described.items()}

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Nothing: the worlds are not made by gymnasium."""
        return {}

    def specs(self) -> list[MetaWorldSpec]:
        """The tasks that were named, as worlds to build."""
        return [
            MetaWorldSpec(
                task=task.strip(),
                alike=self.alike,
                half_open=self.half_open,
                limit=self.limit,
                image_size=self.image_size,
            )
            for task in self.task.split(",")
        ]

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, VectorEnv]]:
        """{vantage_metaworld: {number of the task: its environments}}."""

        def several(spec: MetaWorldSpec) -> VectorEnv:
            makers = [partial(VantageWorld, spec, self.suite, pictures=self.pictures)] * n_envs
            if self.processes and use_async_envs and n_envs > 1:
                return AsyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP, context="forkserver")
            return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)

        return {self.type: {number: several(spec) for number, spec in enumerate(self.specs())}}
