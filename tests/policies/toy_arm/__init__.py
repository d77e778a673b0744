"""An arm without hardware, and a leader arm for it, as plug-ins of stock `lerobot-rollout`: six joints that
go a fifth of the way to their goal at every control step, and one camera that sees the first joint move.

lerobot-rollout --robot.discover_packages_path=toy_arm --robot.type=toy_arm --teleop.type=toy_leader

It prints its id and a number at every observation, so that somebody who watches can press keys in time, and
writes down what it showed and what it was told: $TOY_ARM_LOG/ID.npz.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lerobot.robots import Robot, RobotConfig
from lerobot.teleoperators import Teleoperator, TeleoperatorConfig

JOINTS = tuple(f"joint_{number}.pos" for number in range(6))
CAMERA, SIZE = "front", (48, 64)
HELD = 2.0
"""Where the leader holds every joint."""


@RobotConfig.register_subclass("toy_arm")
@dataclass(kw_only=True)
class ToyArmConfig(RobotConfig):
    pass


class ToyArm(Robot):
    config_class, name = ToyArmConfig, "toy_arm"

    def __init__(self, config: ToyArmConfig) -> None:
        super().__init__(config)
        self._joints, self._connected = np.linspace(-1, 1, len(JOINTS)), False
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
        across = np.abs(np.arange(SIZE[1]) - SIZE[1] * (0.5 + 0.2 * self._joints[0]))
        picture = np.broadcast_to(255 * (across < 8)[:, None], (*SIZE, 3)).astype(np.uint8)
        self._shown.append((self._joints.copy(), picture))
        return dict(zip(JOINTS, self._joints.tolist(), strict=True)) | {CAMERA: picture}

    def send_action(self, action: dict) -> dict:
        goal = np.array([action[joint] for joint in JOINTS])
        self._told.append((len(self._shown) - 1, goal))
        self._joints += 0.2 * np.clip(goal - self._joints, -1, 1)
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
    pass


class ToyLeader(Teleoperator):
    config_class, name = ToyLeaderConfig, "toy_leader"

    def __init__(self, config: ToyLeaderConfig) -> None:
        super().__init__(config)
        self._connected = False

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
        return dict.fromkeys(JOINTS, HELD)

    def send_feedback(self, feedback: dict) -> None: ...

    def disconnect(self) -> None:
        self._connected = False
