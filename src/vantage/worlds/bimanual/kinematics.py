"""Where a gripper is, and which joints bring it elsewhere: damped least squares on a model of the arms alone.

    joints ──pose──> point between the pads, and the gripper's axes (x points forward, y across the fingers)
    joints, wanted pose ──towards──> joints a small step nearer

Source: Y. Nakamura, H. Hanafusa, "Inverse kinematic solutions with singularity robustness", 1986.
"""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float64

from vantage.worlds.bimanual import arms


class Pose(NamedTuple):
    """Of one gripper, in the table's frame."""

    point: Float64[np.ndarray, "3"]
    """Metres; between the pads."""
    axes: Float64[np.ndarray, "3 3"]
    """Columns: where the gripper points, across its fingers, and the third."""


class Kinematics:
    """Of one arm. Not for several threads at once: it works in a scratch state of its own."""

    def __init__(self, side: str) -> None:
        """`side`: left or right."""
        text = f'<mujoco><compiler angle="radian"/><asset>{arms.assets()}</asset>'
        text += f"<worldbody>{arms.body(side)}</worldbody></mujoco>"
        self._model = mujoco.MjModel.from_xml_string(text, arms.mesh_files())
        self._data = mujoco.MjData(self._model)
        self._link = self._model.body(f"{side}/gripper_link").id
        self._jacobian = np.zeros((6, self._model.nv))

    def pose(self, joints: Float64[np.ndarray, "6"]) -> Pose:
        """The gripper's pose at these joint angles (radians)."""
        self._data.qpos[:6] = joints
        mujoco.mj_kinematics(self._model, self._data)
        axes = self._data.xmat[self._link].reshape(3, 3).copy()
        return Pose(self._data.xpos[self._link] + arms.TOOL * axes[:, 0], axes)

    def towards(
        self,
        joints: Float64[np.ndarray, "6"],
        wanted: Pose,
        *,
        iterations: int = 3,
        damping: float = 0.02,
        reach: float = 0.25,
    ) -> Float64[np.ndarray, "6"]:
        """Joint angles that bring the gripper nearer to a pose, within their limits.

        Each iteration moves a joint by at most `reach` radians, so that a pose beyond the arm's reach ends in
        the nearest stretch of it and never in a leap.
        """
        joints = np.array(joints, dtype=np.float64)
        for _ in range(iterations):
            now = self.pose(joints)
            error = np.concatenate((wanted.point - now.point, rotation_between(now.axes, wanted.axes)))
            if np.abs(error[:3]).max() < 2e-4 and np.abs(error[3:]).max() < 2e-3:
                break

            mujoco.mj_comPos(self._model, self._data)
            jacobian = self._jacobian
            mujoco.mj_jac(self._model, self._data, jacobian[:3], jacobian[3:], now.point, self._link)
            arm = jacobian[:, :6]
            step = arm.T @ np.linalg.solve(arm @ arm.T + damping**2 * np.eye(6), error)
            joints = np.clip(joints + np.clip(step, -reach, reach), arms.LIMITS[:, 0], arms.LIMITS[:, 1])
        return joints


def rotation_between(
    now: Float64[np.ndarray, "3 3"], wanted: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "3"]:
    """The rotation vector (radians, table's frame) that turns one set of axes into the other."""
    turn = wanted @ now.T
    axis = 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    sine = float(np.linalg.norm(axis))
    angle = float(np.arctan2(sine, 0.5 * (np.trace(turn) - 1.0)))
    return axis * (angle / sine) if sine > 1e-9 else axis


def pointing(yaw: float, pitch: float, *, side: str) -> Float64[np.ndarray, "3 3"]:
    """Axes of a gripper that points down by `pitch` (radians), turned by `yaw` from straight across the
    table."""
    yaw = yaw if side == "left" else yaw + np.pi
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    return about_z @ about_y
