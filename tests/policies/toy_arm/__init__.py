"""An arm without hardware, and a leader arm for it, as plug-ins of stock `lerobot-rollout`: six joints that
go a fifth of the way to their goal at every control step, and one camera that sees the first joint move.

lerobot-rollout --robot.discover_packages_path=toy_arm --robot.type=toy_arm --teleop.type=toy_leader
lerobot-eval --env.discover_packages_path=toy_arm --env.type=toy_arm_world        the same arm, in simulation

It prints its id and a number at every observation, so that somebody who watches can press keys in time, and
writes down what it showed and what it was told: $TOY_ARM_LOG/ID.npz.
"""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium
import numpy as np
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.robots import Robot, RobotConfig
from lerobot.teleoperators import Teleoperator, TeleoperatorConfig

JOINTS = tuple(f"joint_{number}.pos" for number in range(6))
CAMERA, SIZE = "front", (48, 64)
HELD = 2.0
"""Where the leader holds every joint."""
GOAL, STEPS = 1.0, 12
"""A trial succeeds where the first joint gets so far, and has so many control steps."""


def picture_of(joints: np.ndarray) -> np.ndarray:
    """What the camera sees: a bar where the first joint is."""
    across = np.abs(np.arange(SIZE[1]) - SIZE[1] * (0.5 + 0.2 * joints[0]))
    return np.broadcast_to(255 * (across < 8)[:, None], (*SIZE, 3)).astype(np.uint8)


def moved(joints: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The joints a control step later."""
    return joints + 0.2 * np.clip(goal - joints, -1, 1)


@RobotConfig.register_subclass("toy_arm")
@dataclass(kw_only=True)
class ToyArmConfig(RobotConfig):
    stops_after: int | None = None
    """How many actions it takes before it interrupts whoever tells it, as a person at a keyboard would."""


class ToyArm(Robot):
    config_class, name = ToyArmConfig, "toy_arm"

    def __init__(self, config: ToyArmConfig) -> None:
        super().__init__(config)
        self.cameras = {CAMERA: None}  # lerobot-record counts them
        self._joints, self._connected = np.linspace(-1, 1, len(JOINTS)), False
        self._stops_after = config.stops_after
        self._shown: list[tuple[np.ndarray, np.ndarray]] = []
        self._told: list[tuple[int, np.ndarray]] = []

    @property
    def observation_features(self) -> dict:
        return dict.fromkeys(JOINTS, float) | {CAMERA: (*SIZE, 3)}

    @property
    def action_features(self) -> dict:
        return dict.fromkeys(JOINTS, float)

    @property
    def is_connected(self) -> bool:
        return self._connected

    @property
    def is_calibrated(self) -> bool:
        return True

    def connect(self, calibrate: bool = True) -> None:
        self._connected = True

    def calibrate(self) -> None: ...

    def configure(self) -> None: ...

    def get_observation(self) -> dict:
        print(f"{self.id} {len(self._shown)}", flush=True)
        picture = picture_of(self._joints)
        self._shown.append((self._joints.copy(), picture))
        return dict(zip(JOINTS, self._joints.tolist(), strict=True)) | {CAMERA: picture}

    def send_action(self, action: dict) -> dict:
        goal = np.array([action[joint] for joint in JOINTS])
        self._told.append((len(self._shown) - 1, goal))
        self._joints = moved(self._joints, goal)
        if len(self._told) == self._stops_after:
            signal.raise_signal(signal.SIGINT)
        return action

    def disconnect(self) -> None:
        self._connected = False
        np.savez(
            Path(os.environ["TOY_ARM_LOG"]) / f"{self.id}.npz",
            state=np.stack([state for state, _ in self._shown]),
            picture=np.stack([picture for _, picture in self._shown]),
            told_at=np.array([number for number, _ in self._told]),
            told=np.stack([goal for _, goal in self._told]),
        )


@TeleoperatorConfig.register_subclass("toy_leader")
@dataclass(kw_only=True)
class ToyLeaderConfig(TeleoperatorConfig):
    sway: float = 0.0
    """How far the hand that holds it moves to and fro."""


class ToyLeader(Teleoperator):
    config_class, name = ToyLeaderConfig, "toy_leader"

    def __init__(self, config: ToyLeaderConfig) -> None:
        super().__init__(config)
        self._connected, self._sway, self._asked = False, config.sway, 0

    @property
    def action_features(self) -> dict:
        return dict.fromkeys(JOINTS, float)

    @property
    def feedback_features(self) -> dict:
        return {}

    @property
    def is_connected(self) -> bool:
        return self._connected

    @property
    def is_calibrated(self) -> bool:
        return True

    def connect(self, calibrate: bool = True) -> None:
        self._connected = True

    def calibrate(self) -> None: ...

    def configure(self) -> None: ...

    def get_action(self) -> dict:
        self._asked += 1
        swayed = HELD + self._sway * np.sin(self._asked / 3 + np.arange(len(JOINTS)))
        return dict(zip(JOINTS, swayed.tolist(), strict=True))

    def send_feedback(self, feedback: dict) -> None: ...

    def disconnect(self) -> None:
        self._connected = False


class ToyArmWorld(gymnasium.Env):
    """The arm without a robot: to move the first joint to `GOAL`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 - gymnasium's own form

    def __init__(self) -> None:
        self._max_episode_steps = STEPS
        self.task, self.task_description, self.render_mode = "toy", "put the cube into the box", "rgb_array"
        picture = gymnasium.spaces.Box(0, 255, (*SIZE, 3), np.uint8)
        joints = gymnasium.spaces.Box(-np.inf, np.inf, (len(JOINTS),), np.float64)
        pixels = gymnasium.spaces.Dict({CAMERA: picture})
        self.observation_space = gymnasium.spaces.Dict({"pixels": pixels, "agent_pos": joints})
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(JOINTS),), np.float32)

    def _observe(self) -> dict:
        return {"pixels": {CAMERA: picture_of(self._joints)}, "agent_pos": self._joints.copy()}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self._joints, self._steps = self.np_random.uniform(-1, 0.5, len(JOINTS)), 0
        return self._observe(), {"is_success": False}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self._joints, self._steps = moved(self._joints, np.asarray(action)), self._steps + 1
        there = bool(self._joints[0] >= GOAL)
        return self._observe(), float(there), there, self._steps == STEPS, {"is_success": there}

    def render(self) -> np.ndarray:
        return picture_of(self._joints)


def _features() -> dict[str, PolicyFeature]:
    return {
        f"pixels/{CAMERA}": PolicyFeature(FeatureType.VISUAL, (*SIZE, 3)),
        "action": PolicyFeature(FeatureType.ACTION, (len(JOINTS),)),
        "agent_pos": PolicyFeature(FeatureType.STATE, (len(JOINTS),)),
    }


def _keys() -> dict[str, str]:
    picture = {f"pixels/{CAMERA}": f"observation.images.{CAMERA}"}
    return picture | {"action": "action", "agent_pos": "observation.state"}


@EnvConfig.register_subclass("toy_arm_world")
@dataclass
class ToyArmWorldConfig(EnvConfig):
    task: str = "toy"
    fps: int = 30
    features: dict[str, PolicyFeature] = field(default_factory=_features)
    features_map: dict[str, str] = field(default_factory=_keys)

    @property
    def gym_kwargs(self) -> dict:
        return {}

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict:
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        worlds = SyncVectorEnv([ToyArmWorld] * n_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        return {"toy_arm_world": {0: worlds}}
