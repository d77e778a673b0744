"""MetaWorld's tasks as worlds: seeded, unlimited goals, latched success, nothing computed or drawn that nobody asked for.

reset(seed) ── objects and goal drawn from this seed alone
step(action) ── physics, then the task's own success test; never its shaped reward
images() ── corner4 (turned upright) and gripperPOV, only when called
"""

from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float32, UInt8
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, MT10_V3

from vantage.envs.render import FastRenderer
from vantage.types import VantageError

TASKS = tuple(sorted(ALL_V3_ENVIRONMENTS))
"""All 50."""
MT10 = tuple(MT10_V3)
SAME_SCENE = ("reach-v3", "push-v3", "pick-place-v3")
"""Tasks that become one scene with ``alike=True``."""
CAMERAS = ("corner4", "gripperPOV")

_SAME_SCENE_PROMPTS = MappingProxyType(
    {
        "reach-v3": "reach the top of the green pole with the gripper",
        "push-v3": "push the blue puck to the foot of the green pole",
        "pick-place-v3": "pick up the blue puck and lift it to the top of the green pole",
    }
)


class MetaWorld:
    """One task; implements `World`. The limit of an episode belongs to whoever runs it."""

    fps = 80
    cameras = CAMERAS

    def __init__(self, task: str, *, alike: bool = False, half_open: bool = False, image_size: int = 96) -> None:
        """`alike`: reach, push and pick-place become one scene that only the prompt tells apart: the same puck, and a green pole whose
        top is the goal of reach and pick-place and whose foot is the goal of push; the same seed gives the same picture for all three."""
        if task not in ALL_V3_ENVIRONMENTS:
            raise VantageError(f"there is no MetaWorld task {task!r}; there are {', '.join(TASKS)}")
        if alike and task not in SAME_SCENE:
            raise VantageError(f"{task} shares no scene; alike is for {', '.join(SAME_SCENE)}")
        self.task = task
        self.prompt = _SAME_SCENE_PROMPTS[task] if alike else task.removesuffix("-v3").replace("-", " ")
        self.action_low, self.action_high = -np.ones(4, dtype=np.float32), np.ones(4, dtype=np.float32)
        self._alike, self._half_open, self._image_size = alike, half_open, image_size
        env: Any = ALL_V3_ENVIRONMENTS[task]()
        env._freeze_rand_vec, env._set_task_called, env.seeded_rand_vec, env._partially_observable = False, True, True, False
        env.__dict__.pop("sawyer_observation_space", None)
        self._env, self._model, self._data = env, env.model, env.data
        self._renderer: FastRenderer | None = None
        self._success = False
        self._observation = np.zeros(39)
        if alike:
            self._paint_alike()

    def reset(self, seed: int) -> None:
        """Start the episode of this seed."""
        env = self._env
        mujoco.mj_resetData(self._model, self._data)
        env.np_random = np.random.default_rng(seed)
        env.curr_path_length = 0
        env.reset_model()
        if self._alike:
            self._place_alike(np.random.default_rng(seed))
        mujoco.mj_forward(self._model, self._data)
        env._prev_obs = env._get_curr_obs_combined_no_goal()
        self._observation = env._get_obs()
        self._success = False

    def step(self, action: Float32[np.ndarray, "4"]) -> bool:
        """One control step (12.5 ms)."""
        env = self._env
        env.curr_path_length = 0
        command = np.clip(action, self.action_low, self.action_high)
        env.set_xyz_action(command[:3])
        env.do_simulation([command[3], -command[3]], n_frames=env.frame_skip)
        for site in env._target_site_config:
            env._set_pos_site(*site)
        mujoco.mj_forward(self._model, self._data)
        space = env.sawyer_observation_space
        self._observation = np.clip(env._get_obs(), space.low, space.high)
        _, info = env.evaluate_state(self._observation, command)
        self._success = self._success or bool(info["success"])
        return self._success

    def proprioception(self) -> Float32[np.ndarray, "4"]:
        """Hand position (m) and gripper opening (0 to 1)."""
        return self._observation[:4].astype(np.float32)

    def environment_state(self) -> Float32[np.ndarray, "39"]:
        """MetaWorld's own observation: this frame, the one before, the goal."""
        return self._observation.astype(np.float32)

    def images(self) -> dict[str, UInt8[np.ndarray, "P P 3"]]:
        """Both cameras, now."""
        if self._renderer is None:
            self._renderer = FastRenderer(self._model, self._image_size, flipped=("corner4",))
        return {camera: self._renderer(self._data, camera) for camera in self.cameras}

    def close(self) -> None:
        """Free the graphics context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _paint_alike(self) -> None:
        """One puck, one pole, and corner4 nearer to the table, for all three tasks."""
        model = self._model
        puck, goal = model.geom("objGeom").id, model.site("goal").id
        model.geom_matid[puck], model.geom_rgba[puck] = -1, (0.1, 0.2, 1.0, 1.0)
        model.site_type[goal], model.site_rgba[goal] = mujoco.mjtGeom.mjGEOM_CAPSULE, (0.0, 1.0, 0.2, 1.0)
        model.cam_fovy[model.camera("corner4").id] = 32

    def _place_alike(self, rng: np.random.Generator) -> None:
        """Draw puck and pole; the pole's top is 8 to 25 cm above the table, at least 15 cm beside the puck."""
        puck = pole = np.zeros(3)
        while np.linalg.norm(puck[:2] - pole[:2]) < 0.15:
            puck = rng.uniform((-0.1, 0.6, 0.02), (0.1, 0.7, 0.02))
            pole = rng.uniform((-0.1, 0.8, 0.08), (0.1, 0.9, 0.25))
        env, goal = self._env, self._model.site("goal").id
        env._set_obj_xyz(puck)
        env.obj_init_pos = puck
        env._target_pos = np.array([pole[0], pole[1], puck[2]]) if self.task == "push-v3" else pole
        self._model.site_pos[goal] = (pole[0], pole[1], pole[2] / 2)
        self._model.site_size[goal] = (0.012, pole[2] / 2, 0)
