"""MetaWorld's tasks as worlds: unlimited seeded goals, latched success, pictures only when asked for.

reset(seed) ── objects and goal drawn from this seed alone, whatever happened before
step(action) ── physics, then the task's own success test; never its shaped reward
images() ── corner4 (turned upright) and gripperPOV, only when called
"""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

import copy
import sys
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.utils import reward_utils

from vantage.types import VantageError
from vantage.worlds.metaworld.prompts import ALIKE_PROMPTS, PROMPTS
from vantage.worlds.mujoco_warnings import warn_on_the_terminal
from vantage.worlds.render import FastRenderer, shared_renderer

TASKS = tuple(sorted(ALL_V3_ENVIRONMENTS))
"""All 50."""
ALIKE = tuple(ALIKE_PROMPTS)
"""Tasks that become one scene with ``alike=True``."""
HALF_OPEN = ("drawer-open-v3", "drawer-close-v3", "window-open-v3", "window-close-v3")
"""Tasks that pairwise become one scene with ``half_open=True``."""
CAMERAS = ("corner4", "gripperPOV")

_PLACED = (
    "body_pos",
    "body_quat",
    "geom_pos",
    "geom_quat",
    "geom_size",
    "site_pos",
    "site_quat",
    "site_size",
    "jnt_range",
    "qpos0",
)
"""What tasks move in the model itself when they reset."""
_MUST_GRASP = ("stick-push-v3",)
"""Tasks whose success test asks whether the fingers touch the object."""
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION


def check_task(task: str) -> None:
    """Raise `VantageError` for a name that none of MetaWorld's tasks has."""
    if task not in ALL_V3_ENVIRONMENTS:
        raise VantageError(f"there is no MetaWorld task {task!r}; there are {', '.join(TASKS)}")


class MetaWorld:
    """One task; implements `World`. The limit of an episode belongs to whoever runs it."""

    fps = 80
    cameras: tuple[str, ...] = CAMERAS

    def __init__(
        self, task: str, *, alike: bool = False, half_open: bool = False, image_size: int = 96
    ) -> None:
        """Load the task. Raises VantageError for a task, or a form of it, that does not exist.

        `alike`: reach, push and pick-place become one scene that only the prompt tells apart: the same blue
        puck, and a green pole whose top is the goal of reach and pick-place and whose foot is the goal of
        push; corner4 looks closer. `half_open`: drawers and windows start half open, with no goal drawn, so
        that open and close differ in the prompt alone. In both forms the same seed gives the very same first
        pictures for every task of the scene; the success tests stay MetaWorld's own.
        """
        check_task(task)
        if alike and task not in ALIKE:
            raise VantageError(f"{task} shares no scene; alike is for {', '.join(ALIKE)}")
        if half_open and task not in HALF_OPEN:
            raise VantageError(f"{task} cannot start half open; half_open is for {', '.join(HALF_OPEN)}")

        self.task = task
        self.prompt = ALIKE_PROMPTS[task] if alike else PROMPTS[task]
        self.action_low, self.action_high = -np.ones(4, dtype=np.float32), np.ones(4, dtype=np.float32)
        self._alike, self._half_open, self._image_size = alike, half_open, image_size

        warn_on_the_terminal()
        # A goal from every seed, and seen: MetaWorld's benchmark would fix 50 of them and hide the goal.
        env: Any = ALL_V3_ENVIRONMENTS[task]()
        env._freeze_rand_vec = False
        env._set_task_called = True
        env.seeded_rand_vec = True
        env._partially_observable = False
        env.__dict__.pop("sawyer_observation_space", None)
        self._low, self._high = env.sawyer_observation_space.low, env.sawyer_observation_space.high
        self._env, self._model, self._data = env, env.model, env.data
        self._paint()

        # What a reset changes, to be put back before the next one.
        self._pristine = {name: getattr(self._model, name).copy() for name in _PLACED}
        self._attributes = {
            name: copy.deepcopy(value) for name, value in vars(env).items() if _is_plain(value)
        }

        # Parts of MetaWorld's own code that are slow and change nothing here.
        self._settled: dict[int, np.ndarray] = {}
        self._settle_hand = env._reset_hand
        env._reset_hand = self._reset_hand
        env._gripper_caging_reward = _nothing
        if task not in _MUST_GRASP:
            env.touching_object = _untouched
        self._cheaply = Cheaply(sys.modules[type(env).__module__])

        bodies = [self._model.body(name).id for name in ("hand", "rightclaw", "leftclaw")]
        self._hand, self._right_claw, self._left_claw = bodies
        self._frame_skip: int = env.frame_skip
        self._scale: float = env.action_scale
        self._reach = (env.mocap_low.tolist(), env.mocap_high.tolist())
        self._xpos, self._ctrl = self._data.xpos, self._data.ctrl
        self._mocap_pos, self._mocap_quat = self._data.mocap_pos, self._data.mocap_quat

        self._renderer: FastRenderer | None = None
        self._success = False
        self._previous, self._observation = np.zeros(18), np.zeros(39)

    def reset(self, seed: int) -> None:
        """Start the episode of this seed."""
        env, model = self._env, self._model

        for name, value in self._pristine.items():
            getattr(model, name)[:] = value
        vars(env).update(copy.deepcopy(self._attributes))
        mujoco.mj_resetData(model, self._data)

        env.np_random = np.random.default_rng(seed)
        env.reset_model()

        rng = np.random.default_rng(seed)
        if self._alike:
            self._place_alike(rng)
        if self._half_open:
            self._place_half_open(rng)

        # Tasks move bodies after their last forward pass: without this one the first observation is of the
        # scene before.
        mujoco.mj_forward(model, self._data)
        with self._cheaply:
            now = self._look()
        self._observation = self._observe(now, now)
        self._previous = now

        self._success = False

    def step(self, action: Float32[np.ndarray, "4"]) -> bool:
        """One control step (12.5 ms); returns whether the task has succeeded, now or before."""
        command = np.minimum(np.maximum(action, self.action_low), self.action_high)
        self._move_mocap((command[:3] * self._scale).tolist())
        self._ctrl[:] = (command[3], -command[3])

        mujoco.mj_step(self._model, self._data, nstep=self._frame_skip)
        mujoco.mj_forward(self._model, self._data)

        with self._cheaply:
            now = self._look()
            self._observation = self._observe(now, self._previous)
            self._previous = now
            if not self._success:
                _, info = self._env.evaluate_state(self._observation, command)
                self._success = bool(info["success"])
        return self._success

    def _move_mocap(self, delta: list[float]) -> None:
        """Move the hand's target by so many metres, within the arm's reach."""
        # Plain numbers, because numpy is slow on three of them.
        target = self._mocap_pos[0].tolist()
        axes = zip(target, delta, *self._reach, strict=True)
        self._mocap_pos[0] = [min(max(now + by, low), high) for now, by, low, high in axes]
        self._mocap_quat[0] = (1.0, 0.0, 1.0, 0.0)

    def _look(self) -> Float64[np.ndarray, "18"]:
        """MetaWorld's description of one frame: hand, opening, and up to two objects with their turns."""
        env, xpos = self._env, self._xpos
        frame = np.zeros(18)

        frame[:3] = xpos[self._hand]
        apart = xpos[self._right_claw] - xpos[self._left_claw]
        frame[3] = min(1.0, float(apart @ apart) ** 0.5 / 0.1)

        position, turn = env._get_pos_objects(), env._get_quat_objects()
        for i in range(len(position) // 3):
            frame[4 + 7 * i : 7 + 7 * i] = position[3 * i : 3 * i + 3]
            frame[7 + 7 * i : 11 + 7 * i] = turn[4 * i : 4 * i + 4]
        return frame

    def _observe(
        self, now: Float64[np.ndarray, "18"], before: Float64[np.ndarray, "18"]
    ) -> Float64[np.ndarray, "39"]:
        """This frame, the one before and the goal, clipped as MetaWorld clips them."""
        whole = np.concatenate((now, before, self._env._get_pos_goal()))
        return np.minimum(np.maximum(whole, self._low), self._high)

    def proprioception(self) -> Float32[np.ndarray, "4"]:
        """Hand position (m) and gripper opening (0 to 1)."""
        return self._observation[:4].astype(np.float32)

    def environment_state(self) -> Float32[np.ndarray, "39"]:
        """MetaWorld's own observation: this frame, the one before, the goal."""
        return self._observation.astype(np.float32)

    def images(self) -> dict[str, UInt8[np.ndarray, "P P 3"]]:
        """Both cameras, now."""
        if self._renderer is None:
            form = (self.task, self._alike, self._half_open)
            self._renderer = shared_renderer(form, self._model, self._image_size, flipped=("corner4",))
        return {camera: self._renderer(self._model, self._data, camera) for camera in self.cameras}

    def close(self) -> None:
        """Let go of the graphics context, which closes when no world of its form needs it."""
        self._renderer = None

    def _reset_hand(self, steps: int = 50) -> None:
        """Bring the hand to its start: simulated once, remembered afterwards.

        Stock MetaWorld simulates it twice in every reset.
        """
        env, model, data = self._env, self._model, self._data

        if steps not in self._settled:
            self._settle_hand(steps=steps)
            state = np.empty(mujoco.mj_stateSize(model, _STATE))
            mujoco.mj_getState(model, data, state, _STATE)
            self._settled[steps] = state

        mujoco.mj_setState(model, data, self._settled[steps], _STATE)
        mujoco.mj_forward(model, data)
        env.init_tcp = env.tcp_center

    def _paint(self) -> None:
        """Colours and views of the shared scenes."""
        model = self._model
        if self._alike:
            goal = model.site("goal").id
            puck = model.geom("objGeom").id
            model.geom_matid[puck], model.geom_rgba[puck] = -1, (0.1, 0.2, 1.0, 1.0)
            model.site_type[goal] = mujoco.mjtGeom.mjGEOM_CAPSULE
            model.site_rgba[goal] = (0.0, 1.0, 0.2, 1.0)
            model.cam_fovy[model.camera("corner4").id] = 32
        if self._half_open:
            model.site_rgba[:, 3] = 0.0

    def _place_alike(self, rng: np.random.Generator) -> None:
        """Draw the positions of puck and pole.

        The pole's top is 8 to 25 cm above the table, at least 15 cm beside the puck.
        """
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

    def _place_half_open(self, rng: np.random.Generator) -> None:
        """Draw where the drawer or the window stands, and leave it half open."""
        env, model, data = self._env, self._model, self._data
        drawer = self.task.startswith("drawer")

        if drawer:
            position = rng.uniform((-0.1, 0.9, 0.0), (0.1, 0.9, 0.0))
            model.body("drawer").pos = position
            data.joint("goal_slidey").qpos = -0.1
            closed = position + (0.0, -0.16, 0.09)
            env._target_pos = closed if self.task == "drawer-close-v3" else closed - (0.0, env.maxDist, 0.0)
        else:
            position = rng.uniform((-0.1, 0.7, 0.16), (0.1, 0.9, 0.16))
            model.body("window").pos = position
            data.joint("window_slide").qpos = 0.1
            env._target_pos = position if self.task == "window-close-v3" else position + (0.2, 0.0, 0.0)

        data.qvel[:] = 0
        mujoco.mj_forward(model, data)
        env.obj_init_pos = env._get_pos_objects() if drawer else position
        env.window_handle_pos_init = env._get_pos_objects()


def _is_plain(value: object) -> bool:
    """Whether a reset may change such an attribute, and it can be put back: numbers, arrays, dictionaries."""
    return value is None or isinstance(value, bool | int | float | np.ndarray | dict)


def _nothing(*_: object, **__: object) -> float:
    """Stands for every part of the shaped reward."""
    return 0.0


def _untouched(_: int) -> bool:
    """Grasp bookkeeping that no success test reads."""
    return False


class Cheaply:
    """A context in which three names of MetaWorld's mean something cheaper.

    Success tests come out of its `evaluate_state`, and the reward terms that it computes on the way cost
    nothing; rotations become quaternions without scipy. A plain class, not a generator, because it is entered
    in every step.
    """

    __slots__ = ("_before", "_module")

    def __init__(self, module: Any) -> None:
        """`module`: where the task's class lives."""
        self._module = module
        rotation = getattr(module, "Rotation", None)
        self._before = (reward_utils.tolerance, reward_utils.hamacher_product, rotation)

    def __enter__(self) -> None:
        reward_utils.tolerance = reward_utils.hamacher_product = _nothing
        self._module.Rotation = FastRotation

    def __exit__(self, *_: object) -> None:
        reward_utils.tolerance, reward_utils.hamacher_product, self._module.Rotation = self._before


class FastRotation:
    """All that MetaWorld asks of scipy's Rotation: a rotation matrix as a quaternion (x, y, z, w).

    With scipy's choice of sign.
    """

    __slots__ = ("_matrix",)

    def __init__(self, matrix: Float64[np.ndarray, "3 3"]) -> None:
        """Wrap a matrix."""
        self._matrix = matrix

    @staticmethod
    def from_matrix(matrix: Float64[np.ndarray, "3 3"]) -> "FastRotation":
        """Scipy's constructor."""
        return FastRotation(matrix)

    def as_quat(self) -> Float64[np.ndarray, "4"]:
        """The largest component is positive (scipy's rule, after Markley 2008)."""
        (a, b, c), (d, e, f), (g, h, i) = self._matrix.tolist()
        trace = a + e + i

        largest = max(a, e, i, trace)
        if largest == trace:
            quaternion = (h - f, c - g, d - b, 1.0 + trace)
        elif largest == a:
            quaternion = (1.0 - trace + 2 * a, b + d, c + g, h - f)
        elif largest == e:
            quaternion = (d + b, 1.0 - trace + 2 * e, f + h, c - g)
        else:
            quaternion = (g + c, h + f, 1.0 - trace + 2 * i, d - b)

        x, y, z, w = quaternion
        norm = (x * x + y * y + z * z + w * w) ** 0.5
        return np.array((x / norm, y / norm, z / norm, w / norm))
