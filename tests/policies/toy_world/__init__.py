"""A world of noise for stock `lerobot-eval`: it writes down what the policy saw and did, so that a test can
ask ours the same.

lerobot-eval --env.discover_packages_path=toy_world --env.type=toy_world ──> $TOY_WORLD_LOG/episode-N.npz
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium
import numpy as np
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig

SIZES = {"front": (48, 64), "wrist": (40, 40)}
STEPS = 6


class ToyWorld(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - gymnasium's own form

    def __init__(self) -> None:
        self._max_episode_steps = STEPS
        self.task, self.task_description, self.render_mode = "toy", "pick the cube", "rgb_array"
        pixels = {name: gymnasium.spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in SIZES.items()}
        self.observation_space = gymnasium.spaces.Dict(
            {
                "pixels": gymnasium.spaces.Dict(pixels),
                "agent_pos": gymnasium.spaces.Box(-np.inf, np.inf, (6,), np.float64),
            }
        )
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
        self._episodes = 0

    def _observe(self) -> dict:
        pixels = {
            name: self.np_random.integers(0, 255, (*size, 3), dtype=np.uint8) for name, size in SIZES.items()
        }
        return {"pixels": pixels, "agent_pos": self.np_random.standard_normal(6)}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self._first, self._actions = self._observe(), []
        return self._first, {"is_success": False}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self._actions.append(np.array(action))
        ended = len(self._actions) == STEPS
        if ended:
            path = Path(os.environ["TOY_WORLD_LOG"]) / f"episode-{self._episodes}.npz"
            np.savez(
                path, actions=np.stack(self._actions), state=self._first["agent_pos"], **self._first["pixels"]
            )
            self._episodes += 1
        return self._observe(), 0.0, False, ended, {"is_success": False}

    def render(self) -> np.ndarray:
        return np.zeros((48, 64, 3), np.uint8)


def _features() -> dict[str, PolicyFeature]:
    pictures = {
        f"pixels/{name}": PolicyFeature(FeatureType.VISUAL, (*size, 3)) for name, size in SIZES.items()
    }
    return pictures | {
        "action": PolicyFeature(FeatureType.ACTION, (4,)),
        "agent_pos": PolicyFeature(FeatureType.STATE, (6,)),
    }


def _keys() -> dict[str, str]:
    pictures = {f"pixels/{name}": f"observation.images.{name}" for name in SIZES}
    return pictures | {"action": "action", "agent_pos": "observation.state"}


@EnvConfig.register_subclass("toy_world")
@dataclass
class ToyWorldConfig(EnvConfig):
    task: str = "toy"
    fps: int = 10
    features: dict[str, PolicyFeature] = field(default_factory=_features)
    features_map: dict[str, str] = field(default_factory=_keys)

    @property
    def gym_kwargs(self) -> dict:
        return {}

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict:
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        return {"toy_world": {0: SyncVectorEnv([ToyWorld] * n_envs, autoreset_mode=AutoresetMode.SAME_STEP)}}
