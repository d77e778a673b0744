"""What all bimanual tasks share: two arms, 14 absolute targets at 25 Hz, three cameras, latched success.

    action ─> servo targets, of limited speed ─> 20 steps of physics ─> the task's own test

A task adds objects to the scene, places them by a seed, and says when it is done.
"""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import mujoco
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from vantage.worlds.bimanual import arms
from vantage.worlds.mujoco_warnings import warn_on_the_terminal
from vantage.worlds.render import FastRenderer, shared_renderer

CAMERAS: Final = ("top", "left_wrist", "right_wrist")
TIMESTEP, SUBSTEPS = 0.002, 20
"""Seconds of a physics step, and physics steps of a control step. At 4 ms with elliptic friction cones, a
bottle squeezed between an arm and the table diverged."""
FPS: Final = 25
ARM: Final = 7
"""Actions of one arm: six joints and a gripper."""
SPEED: Final = np.full(2 * ARM, 2.5)
"""Fastest that a target may move: radians a second; the gripper from shut to open in 0.4 s."""
SETTLED_STEPS: Final = 10
"""Control steps for which a task's final state must last before it counts."""


def environment_dim(objects: int, marks: int, scales: int = 0) -> int:
    """Numbers in the true state of a task with so many numbers of its objects, and so many marks, the way to
    which is said at so many further scales."""
    return 4 * ARM + objects + 2 * (9 + 3 * marks) + 2 * 3 * marks * scales


_SCENE = """<mujoco>
  <compiler angle="radian"/>
  <option timestep="{timestep}" integrator="implicitfast" solver="Newton" iterations="30" tolerance="1e-7"
    cone="pyramidal"><flag multiccd="enable"/></option>
  <size memory="16M"/>
  <visual><headlight ambient="0.35 0.35 0.35" diffuse="0.2 0.2 0.2"/><map znear="0.02"/></visual>
  <asset>{assets}
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.75 0.8 0.85" rgb2="0.55 0.6 0.65"
      width="32" height="32"/>
  </asset>
  <worldbody>
    <light directional="true" diffuse="0.32 0.32 0.32" specular="0 0 0" pos="-0.5 0 1.5" dir="0.4 0.4 -1"/>
    <light directional="true" diffuse="0.2 0.2 0.2" specular="0 0 0" pos="0.5 1 1.5" dir="-0.4 -0.4 -1"/>
    <geom name="table" type="box" size="0.61 0.38 0.02" pos="0 0.6 -0.02" rgba="0.62 0.66 0.68 1"
      contype="1" conaffinity="7" friction="0.9 0.005 0.0001"/>
    <geom name="ground" type="plane" size="3 3 1" pos="0 0.6 -0.4" rgba="0.35 0.36 0.38 1"
      contype="1" conaffinity="7"/>
    <camera name="top" pos="0.03 0.34 0.72" xyaxes="1 0 0 0 0.97 0.24" fovy="50"/>
    <camera name="view" pos="0.04 -0.12 0.52" xyaxes="1 0 0 0 0.6 0.8" fovy="48"/>
    {left}{right}{objects}
  </worldbody>
  <contact>{contact}</contact>{more}
  <actuator>{actuators}</actuator>
</mujoco>"""


class BimanualWorld(ABC):
    """One task of two arms; implements `World`. The limit of an episode belongs to whoever runs it."""

    task: str
    prompt: str
    fps: int = FPS
    cameras: tuple[str, ...] = CAMERAS

    def __init__(self, *, image_size: int = 96) -> None:
        """Build the scene; `image_size`: side of the pictures in pixels."""
        warn_on_the_terminal()
        text = _SCENE.format(
            timestep=TIMESTEP,
            assets=arms.assets(),
            left=arms.body("left"),
            right=arms.body("right"),
            objects=self._objects(),
            contact=self._contact(),
            more=self._more(),
            actuators=arms.actuators(),
        )
        self.model: Any = mujoco.MjModel.from_xml_string(text, arms.mesh_files())
        self.data: Any = mujoco.MjData(self.model)
        low, high = np.r_[arms.LIMITS[:, 0], 0.0], np.r_[arms.LIMITS[:, 1], 1.0]
        self.action_low = np.tile(low, 2).astype(np.float32)
        self.action_high = np.tile(high, 2).astype(np.float32)

        self._links = [self.model.body(f"{side}/gripper_link").id for side in arms.SIDES]
        geoms = {self.model.geom(number).name for number in range(self.model.ngeom)}
        self._marks = [
            (self.data.geom_xpos, self.model.geom(name).id)
            if name in geoms
            else (self.data.xpos, self.model.body(name).id)
            for name in self.marks
        ]
        self._image_size = image_size
        self._renderer: FastRenderer | None = None
        self._target = np.zeros(2 * ARM)
        self._settled = 0
        self._success = False
        self._pads = {
            side: tuple(
                self.model.geom(f"{side}/{finger}_pad").id for finger in ("left_finger", "right_finger")
            )
            for side in arms.SIDES
        }

    # What a task brings.

    @abstractmethod
    def _objects(self) -> str:
        """MJCF of the task's own bodies."""

    def _contact(self) -> str:
        """MJCF of pairs that never touch."""
        return ""

    def _more(self) -> str:
        """Further MJCF of the task's: tendons, equalities."""
        return ""

    @abstractmethod
    def _place(self, rng: np.random.Generator) -> None:
        """Put the task's objects where this episode starts."""

    def _before_physics(self) -> None:
        """What the task switches before a control step."""
        return

    @abstractmethod
    def _done(self) -> bool:
        """Whether the objects are now as the task wants them."""

    @abstractmethod
    def _truth(self) -> Float64[np.ndarray, "_E"]:
        """The objects' own part of the true state."""

    marks: tuple[str, ...]
    """Names of geoms and bodies by whose places a hand finds its way."""
    scales: tuple[float, ...] = ()
    """Metres within which the way from a hand to a mark is said once more, finer (`_near`)."""

    # What a world is.

    def reset(self, seed: int) -> None:
        """Start the episode of this seed: objects placed by it, arms near home."""
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self.model, self.data)

        for arm in range(2):
            joints = arms.HOME + rng.uniform(-0.03, 0.03, 6)
            self._target[arm * ARM : arm * ARM + 6] = joints
            self._target[arm * ARM + 6] = 1.0
        self._command()
        self.data.qpos[:16] = self.data.ctrl
        self._place(rng)

        mujoco.mj_forward(self.model, self.data)
        self._settled, self._success = 0, False

    def step(self, action: Float32[np.ndarray, "14"]) -> bool:
        """One control step (40 ms); returns whether the task has succeeded, now or before.

        `action`: per arm six joint angles in radians and the gripper (0 shut, 1 open), absolute.
        """
        wanted = np.clip(np.asarray(action, dtype=np.float64), self.action_low, self.action_high)
        fastest = SPEED / FPS
        self._target += np.clip(wanted - self._target, -fastest, fastest)
        self._command()
        self._before_physics()
        mujoco.mj_step(self.model, self.data, nstep=SUBSTEPS)
        # Positions have moved since the last forward pass: what is read below is of now.
        mujoco.mj_forward(self.model, self.data)

        self._settled = self._settled + 1 if self._done() else 0
        self._success = self._success or self._settled >= SETTLED_STEPS
        return self._success

    def _command(self) -> None:
        """Hand the targets to the servos; both fingers of a gripper follow one number."""
        opening = arms.FINGER_OPEN - arms.FINGER_SHUT
        for arm in range(2):
            target = self._target[arm * ARM : (arm + 1) * ARM]
            self.data.ctrl[arm * 8 : arm * 8 + 6] = target[:6]
            self.data.ctrl[arm * 8 + 6 : arm * 8 + 8] = arms.FINGER_SHUT + opening * target[6]

    def _joints(self) -> Float64[np.ndarray, "14"]:
        """Measured joints, in the order and units of an action."""
        opening = 2 * (arms.FINGER_OPEN - arms.FINGER_SHUT)
        qpos = self.data.qpos
        parts: list[np.ndarray] = []
        for arm in range(2):
            fingers = qpos[arm * 8 + 6] + qpos[arm * 8 + 7] - 2 * arms.FINGER_SHUT
            parts += [qpos[arm * 8 : arm * 8 + 6], np.array([fingers / opening])]
        return np.concatenate(parts)

    def _pinches(self, side: str, geoms: frozenset[int]) -> bool:
        """Whether both pads of a gripper touch one of these geoms."""
        touching: set[int] = set()
        for one, other in self.data.contact.geom[: self.data.ncon].tolist():
            for pad, thing in ((one, other), (other, one)):
                if thing in geoms and pad in self._pads[side]:
                    touching.add(pad)
        return len(touching) == 2

    def proprioception(self) -> Float32[np.ndarray, "14"]:
        """Measured joint angles (radians) and gripper openings (0 to 1), left arm first."""
        return self._joints().astype(np.float32)

    def environment_state(self) -> Float32[np.ndarray, "_E"]:
        """Measured joints (14), servo targets (14), the task's objects, the hands (`_reaches`), and how near
        they are (`_near`)."""
        marks = np.array([where[number] for where, number in self._marks])
        hands = self._hands()
        ways = [marks - hand for hand in hands]
        parts = (self._joints(), self._target, self._truth(), self._reaches(hands, ways), self._near(ways))
        return np.concatenate(parts).astype(np.float32)

    def _hands(self) -> list[Float64[np.ndarray, "3"]]:
        """The points between each gripper's pads (m)."""
        data = self.data
        return [data.xpos[link] + arms.TOOL * data.xmat[link].reshape(3, 3)[:, 0] for link in self._links]

    def _reaches(
        self, hands: Sequence[Float64[np.ndarray, "3"]], ways: Sequence[Float64[np.ndarray, "M 3"]]
    ) -> Float64[np.ndarray, "_H"]:
        """Per arm, in the table's frame: the point between the pads (3, m), where the gripper points (3) and
        across its fingers (3), and from that point to each of `marks` (3 each, m).

        All of it follows from the numbers before it, but by the arms' geometry, which a small network learns
        slowly: with such numbers a policy of BagBottle went from .18 of its trials to .57 (n = 60, one seed;
        docs/log/2026-11-27-two-arms-from-true-state.md).
        """
        parts: list[np.ndarray] = []
        for link, hand, way in zip(self._links, hands, ways, strict=True):
            axes = self.data.xmat[link].reshape(3, 3)
            parts += [hand, axes[:, 0], axes[:, 1], way.ravel()]
        return np.concatenate(parts)

    def _near(self, ways: Sequence[Float64[np.ndarray, "M 3"]]) -> Float64[np.ndarray, "_N"]:
        """Per scale, the ways from both hands to `marks` once more, as tanh(way / scale): far away it is 1 or
        -1, and close by it changes fast.

        A thing that is carried across the table has a spread of a dozen centimetres, by which a network's
        inputs are divided; the five millimetres that decide a grasp are lost in it.
        """
        return np.concatenate([np.zeros(0), *(np.tanh(np.ravel(ways) / scale) for scale in self.scales)])

    def images(self) -> dict[str, UInt8[np.ndarray, "_P _P 3"]]:
        """One picture per camera, rendered now."""
        if self._renderer is None:
            self._renderer = shared_renderer(("bimanual", self.task), self.model, self._image_size)
        return {camera: self._renderer(self.model, self.data, camera) for camera in self.cameras}

    def close(self) -> None:
        """Let go of the renderer; it closes with its last holder."""
        self._renderer = None
