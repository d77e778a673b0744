"""What the operators of all tasks of two arms share: goals, and how a human hand follows them.

true state ──view──> a task's own View, beside what the arms are at (`ArmsView`)
View ──goals──> for each gripper: where to, how wide, how delicate (the task's plan)
goals ──Hand──> human-like steps ──Kinematics──> joint targets

A plan says a goal for every state, so it can be entered anywhere. Memory is kept of little: a grasp that
closed on nothing opens before it is tried again, an arm that was found twisted is brought to order before it
goes on, and a hand's pauses and tremor last (`Hand`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from jaxtyping import Float32, Float64

from vantage.worlds.bimanual import arms
from vantage.worlds.bimanual.kinematics import Kinematics, Pose, pointing, rotation_between
from vantage.worlds.metaworld.experts.style import CLEAN, Hand, Style

PITCH: Final = 1.05
"""Radians below level at which grippers usually work: steeper is out of reach when something long is held
up."""
_STEP = 0.01
"""Metres a control step at full speed, 0.25 m/s."""
_TURN = 0.06
"""Radians a control step by which a gripper may turn."""
_UNWIND = 0.06
"""Radians a control step, when an arm is brought to order joint by joint."""
_USUAL = np.array([1.1, np.inf, np.inf, 1.0, np.inf, 1.6])
"""Radians: with waist, forearm roll and wrist within these the arm reaches the whole table without turning
round. Beyond them small steps end at a joint's limit."""


@dataclass(frozen=True, slots=True)
class ArmsView:
    """What the arms are at."""

    targets: Float64[np.ndarray, "2 7"]
    """What the servos were last asked for, per arm."""
    left: Pose
    right: Pose
    """Measured."""
    grips: Float64[np.ndarray, "2"]
    """Measured openings, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What one arm should do now."""

    pose: Pose
    grip: float
    """0 shut, 1 open."""
    care: float = 0.0
    """0 to 1: how delicate the moment is; 1 is slow and without tremor."""


class BimanualExpert[View: ArmsView](ABC):
    """An operator of one task; may take over in any state, at any time."""

    stages: ClassVar[tuple[str, ...]]
    """What is done in a demonstration."""

    def __init__(self) -> None:
        """A clean hand until `reset` brings another."""
        self._kinematics = (Kinematics("left"), Kinematics("right"))
        # Where a twisted arm goes to: over its side of the table, the wrist bent, so that no joint is near
        # another's axis.
        self._ready = [
            hand.towards(
                arms.HOME, Pose(np.array([x, 0.5, 0.26]), pointing(0.0, PITCH, side=side)), iterations=60
            )
            for hand, x, side in zip(self._kinematics, (-0.2, 0.2), arms.SIDES, strict=True)
        ]
        self.reset(np.random.default_rng(0), CLEAN)

    # What a task brings.

    @abstractmethod
    def view(self, state: Float32[np.ndarray, "_E"]) -> View:
        """Take a true state apart."""

    @abstractmethod
    def _goals(self, view: View) -> tuple[Goal, Goal]:
        """What each arm should do now."""

    @abstractmethod
    def _held(self, view: View) -> tuple[bool, bool]:
        """Whether each gripper holds what it should."""

    @abstractmethod
    def _done(self, view: View) -> list[bool]:
        """Which of `stages` are done."""

    @abstractmethod
    def _share(self, view: View) -> float:
        """How much of the next stages is done; less than one stage."""

    # What an operator is.

    def reset(self, rng: np.random.Generator, style: Style) -> None:
        """A new episode, with new hands."""
        self._hands = (Hand(style, rng), Hand(style, rng))
        self._reopening = [False, False]
        self._unwinding = [False, False]

    def stage(self, state: Float32[np.ndarray, "_E"]) -> int:
        """How many of `stages` are done in this state."""
        return int(sum(self._done(self.view(state))))

    def progress(self, state: Float32[np.ndarray, "_E"]) -> float:
        """Stages done, and the share done of the next ones."""
        view = self.view(state)
        return float(sum(self._done(view))) + self._share(view)

    def act(self, state: Float32[np.ndarray, "_E"]) -> Float32[np.ndarray, "14"]:
        """The action that is executed: absolute joint angles and grips of both arms."""
        view = self.view(state)
        held = self._held(view)
        action: list[np.ndarray] = []
        for arm, goal in enumerate(self._goals(view)):
            action.append(self._towards(view, arm, self._opened(view, arm, goal, held[arm]), held[arm]))
        return np.concatenate(action).astype(np.float32)

    def _arms(self, state: Float64[np.ndarray, "_E"]) -> ArmsView:
        """The arms' part of a true state."""
        return ArmsView(
            targets=state[14:28].reshape(2, 7),
            left=self._kinematics[0].pose(state[:6]),
            right=self._kinematics[1].pose(state[7:13]),
            grips=state[[6, 13]],
        )

    def _opened(self, view: View, arm: int, goal: Goal, held: bool) -> Goal:
        """The plan's goal, but a gripper that closed on nothing opens first."""
        if goal.grip == 0.0 and not held and view.grips[arm] < 0.04:
            self._reopening[arm] = True
        if view.grips[arm] > 0.35:
            self._reopening[arm] = False
        return Goal(goal.pose, 0.5, goal.care) if self._reopening[arm] else goal

    def _is_unwinding(self, arm: int, joints: Float64[np.ndarray, "6"]) -> bool:
        """Whether an arm must be brought to order before small steps bring it anywhere."""
        if (np.abs(joints) > _USUAL).any():
            self._unwinding[arm] = True
        elif np.abs(joints - self._ready[arm]).max() < 0.1:
            self._unwinding[arm] = False
        return self._unwinding[arm]

    def _towards(self, view: View, arm: int, goal: Goal, held: bool) -> Float64[np.ndarray, "7"]:
        """One human step towards a goal, as joint targets."""
        kinematics, hand = self._kinematics[arm], self._hands[arm]
        joints, grip = view.targets[arm, :6], view.targets[arm, 6]
        now = kinematics.pose(joints)
        if self._is_unwinding(arm, joints):
            step = np.clip(self._ready[arm] - joints, -_UNWIND, _UNWIND)
            return np.append(joints + step, grip if held else 0.5)

        # Misjudgement fades where touch guides the hand.
        aim = goal.pose.point + (1.0 - goal.care) * hand.misjudged
        wanted = (aim - now.point) / _STEP
        fastest = 0.45 if goal.care >= 0.9 else 1.0
        distance = float(np.linalg.norm(wanted))
        if distance > fastest:
            wanted *= fastest / distance
        moved = now.point + _STEP * hand.move(wanted, care=goal.care)

        turn = kinematics.towards(joints, Pose(moved, _turned_towards(now.axes, goal.pose.axes)))
        grip += float(np.clip(goal.grip - grip, -0.1, 0.1))
        return np.append(turn, grip)


def reach(
    hand: Pose, point: Float64[np.ndarray, "3"], axes: Float64[np.ndarray, "3 3"], *, wide: float
) -> Goal:
    """Come down to a point along the way that the gripper points, open; then shut."""
    forward = axes[:, 0]
    offset = hand.point - point
    ahead = float(-offset @ forward)
    aside = float(np.linalg.norm(offset + ahead * forward))

    if aside < 0.006 and abs(ahead) < 0.006:
        return Goal(Pose(point, axes), 0.0, care=1.0)
    if aside < 0.008 or (aside < 0.014 and ahead < 0.02):
        return Goal(Pose(point, axes), wide, care=0.9)
    if ahead < 0.06 and aside > 0.014 and np.linalg.norm(offset) < 0.2:
        back = hand.point - 0.05 * forward + np.array([0.0, 0.0, 0.02])
        return Goal(Pose(back, axes), wide, care=0.5)
    return Goal(Pose(point - 0.075 * forward, axes), wide, care=0.6 if aside < 0.03 else 0.0)


def funnel(
    hand: Pose, point: Float64[np.ndarray, "3"], axes: Float64[np.ndarray, "3 3"], *, wide: float
) -> Goal:
    """Come down to a point within a cone about the way that the gripper points, open; then shut.

    `reach` aligns at a height and then comes down, by thresholds; here the height follows from how far aside
    the hand is, so nothing is decided by a hair, and a hand that is low and aside is shown its way back.
    """
    forward = axes[:, 0]
    offset = hand.point - point
    ahead = float(-offset @ forward)
    beside = offset + ahead * forward
    aside = float(np.linalg.norm(beside))
    if aside < 0.006 and abs(ahead) < 0.006:
        return Goal(Pose(point, axes), 0.0, care=1.0)

    # A hand below the cone goes up first: 1 is straight up, 0 straight to the cone's axis.
    height = float(np.clip(2.5 * (aside - 0.005), 0.0, 0.075))
    below = float(np.clip((height - ahead - 0.005) / 0.03, 0.0, 1.0))
    care = float(np.clip(1.1 - aside / 0.04, 0.0, 0.9))
    return Goal(Pose(point - height * forward + below * beside, axes), wide, care=care)


def let_go(
    hand: Pose,
    axes: Float64[np.ndarray, "3 3"],
    mouth: Float64[np.ndarray, "3"],
    *,
    grip: float,
    wide: float,
    home: float,
) -> Goal:
    """Open, draw back along the way that the gripper points, then go home."""
    if grip < wide - 0.12:
        return Goal(Pose(hand.point, axes), wide, care=1.0)
    if np.linalg.norm(hand.point - mouth) < 0.14:
        return Goal(Pose(hand.point - 0.05 * axes[:, 0], axes), wide, care=0.8)
    return Goal(Pose(np.array([home, 0.5, 0.28]), axes), wide)


def near(distance: np.floating | float) -> float:
    """1 at no distance, 0 from 30 cm on."""
    return float(np.clip(1.0 - distance / 0.3, 0.0, 1.0))


def least_turn(now: Float64[np.ndarray, "3"], wanted: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """The smallest rotation that turns one direction into another."""
    axis = np.cross(now, wanted)
    sine, cosine = float(np.linalg.norm(axis)), float(now @ wanted)
    return rotation(axis / sine, float(np.arctan2(sine, cosine))) if sine > 1e-9 else np.eye(3)


def rotation(axis: Float64[np.ndarray, "3"], angle: float) -> Float64[np.ndarray, "3 3"]:
    """A rotation by an angle (radians) about a unit vector (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def axes_of(quaternion: Float64[np.ndarray, "4"]) -> Float64[np.ndarray, "3 3"]:
    """Axes of a body, as columns, from its quaternion (w, x, y, z)."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _turned_towards(
    now: Float64[np.ndarray, "3 3"], wanted: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "3 3"]:
    """Axes that are turned from one pose towards another by at most `_TURN`."""
    turn = rotation_between(now, wanted)
    angle = float(np.linalg.norm(turn))
    return wanted if angle <= _TURN else rotation(turn / angle, _TURN) @ now
