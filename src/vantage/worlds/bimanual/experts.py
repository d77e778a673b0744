"""A scripted operator of BagBottle that may take over in any state: demonstrator and rescuer.

true state ──View──> what is held, how far open, where things are
View ──left_arm, right_arm──> for each gripper: where to, how wide, how delicate
goals ──Hand──> human-like steps ──Kinematics──> joint targets

Which goal holds follows from the state alone, so the plan can be entered anywhere: a lip that was let go is
grasped again, a bottle that stands in the wrong place is picked up again, one that hangs aslant is righted.
Memory is kept of two things: a grasp that closed on nothing opens before it is tried again, and an arm that
was found twisted is brought to order before it goes on. Nobody mends a bag that lies on its side, a bottle
that lies with its top towards the right arm, or what has left the table.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64

from vantage.worlds.bimanual import arms
from vantage.worlds.bimanual import bag_bottle as bag
from vantage.worlds.bimanual.kinematics import Kinematics, Pose, pointing, rotation_between
from vantage.worlds.metaworld.experts.style import CLEAN, Hand, Style

STAGES: Final = ("lip held", "bag open", "bottle held", "bottle over the mouth", "bottle in", "hands off")
"""What is done, in the order of a demonstration; the two arms work side by side."""

_PITCH = 1.05
"""Radians below level at which both grippers work: steeper is out of reach when the bottle is up."""
_LIP_AT = 0.021
"""Metres up the lip, where it is pinched."""
_LIP_SIDE = -0.02
"""Metres from the lip's middle towards the left arm."""
_NECK_AT = 0.118
"""Metres up the bottle, where it is pinched."""
_OVER = 0.185
"""Metres above the table of the bottle's foot when it is carried over the bag."""
_STAND_AT = np.array([0.0, 0.006, bag.FLOOR])
"""Where the bottle shall stand, in the bag's frame: a little behind the middle, away from the lip's pinch."""
_STEP = 0.01
"""Metres a control step at full speed, 0.25 m/s."""
_TURN = 0.06
"""Radians a control step by which a gripper may turn."""
_TILTED, _LIES = 0.97, 0.5
"""Height of the bottle's axis (1 upright) below which it must be righted before it is put down, and below
which it lies."""
_UNWIND = 0.06
"""Radians a control step, when an arm is brought to order joint by joint."""
_USUAL = np.array([1.1, np.inf, np.inf, 1.0, np.inf, 1.6])
"""Radians: with waist, forearm roll and wrist within these the arm reaches the whole table without turning
round. Beyond them small steps end at a joint's limit."""


@dataclass(frozen=True, slots=True)
class View:
    """The true state, taken apart. Points in metres, in the table's frame."""

    targets: Float64[np.ndarray, "2 7"]
    """What the servos were last asked for, per arm."""
    left: Pose
    right: Pose
    """Measured."""
    grips: Float64[np.ndarray, "2"]
    """Measured openings, 0 to 1."""
    bag_point: Float64[np.ndarray, "3"]
    bag_axes: Float64[np.ndarray, "3 3"]
    front: float
    lip: float
    """Angles of these two creases (radians); the front is upright at 0 and leans in below it."""
    bottle_point: Float64[np.ndarray, "3"]
    """The middle of its foot."""
    bottle_axis: Float64[np.ndarray, "3"]
    lip_held: bool
    neck_held: bool

    @property
    def bottle_in_bag(self) -> Float64[np.ndarray, "3"]:
        """The bottle's foot in the bag's frame."""
        return self.bag_axes.T @ (self.bottle_point - self.bag_point)

    @property
    def bottle_is_in(self) -> bool:
        """Whether the bottle stands on the bag's floor."""
        x, y, z = self.bottle_in_bag
        return bool(abs(x) < bag.WIDTH / 2 and abs(y) < bag.DEPTH / 2 and z < bag.FLOOR + 0.01)

    @property
    def is_open(self) -> bool:
        """Whether the front stands far enough out for the bottle."""
        return self.front > bag.OPEN_ANGLE - 0.09

    @property
    def lip_point(self) -> Float64[np.ndarray, "3"]:
        """Where the lip is to be pinched."""
        edge = np.array([_LIP_SIDE, *_turned(self.front, bag.HEIGHT)])
        up_the_lip = np.array([0.0, *_turned(self.front + self.lip, _LIP_AT)])
        hinge = np.array([0.0, -bag.DEPTH / 2, bag.FLOOR])
        return self.bag_point + self.bag_axes @ (hinge + edge + up_the_lip)

    @property
    def bag_yaw(self) -> float:
        """How the bag is turned on the table (radians)."""
        return float(np.arctan2(self.bag_axes[1, 0], self.bag_axes[0, 0]))


@dataclass(frozen=True, slots=True)
class Goal:
    """What one arm should do now."""

    pose: Pose
    grip: float
    """0 shut, 1 open."""
    care: float = 0.0
    """0 to 1: how delicate the moment is; 1 is slow and without tremor."""


class Expert:
    """An operator for BagBottle; may take over in any state, at any time."""

    def __init__(self) -> None:
        """A clean hand until `reset` brings another."""
        self._kinematics = (Kinematics("left"), Kinematics("right"))
        # Where a twisted arm goes to: over its side of the table, the wrist bent, so that no joint is near
        # another's axis.
        self._ready = [
            hand.towards(
                arms.HOME, Pose(np.array([x, 0.5, 0.26]), pointing(0.0, _PITCH, side=side)), iterations=60
            )
            for hand, x, side in zip(self._kinematics, (-0.2, 0.2), arms.SIDES, strict=True)
        ]
        self.reset(np.random.default_rng(0), CLEAN)

    def reset(self, rng: np.random.Generator, style: Style) -> None:
        """A new episode, with new hands."""
        self._hands = (Hand(style, rng), Hand(style, rng))
        self._reopening = [False, False]
        self._unwinding = [False, False]

    def stage(self, state: Float32[np.ndarray, "49"]) -> int:
        """How many of `STAGES` are done in this state."""
        return int(sum(_done(self.view(state))))

    def progress(self, state: Float32[np.ndarray, "49"]) -> float:
        """Stages done, and the share done of the next ones."""
        view = self.view(state)
        done = _done(view)
        share = 0.0
        if not done[0]:
            share += 0.4 * _near(np.linalg.norm(view.left.point - view.lip_point))
        if not done[2]:
            share += 0.4 * _near(np.linalg.norm(view.right.point - _neck(view)))
        return float(sum(done)) + share

    def act(self, state: Float32[np.ndarray, "49"]) -> Float32[np.ndarray, "14"]:
        """The action that is executed: absolute joint angles and grips of both arms."""
        view = self.view(state)
        goals = (self._goal(view, 0, left_arm(view)), self._goal(view, 1, right_arm(view)))
        action = [self._towards(view, arm, goal) for arm, goal in enumerate(goals)]
        return np.concatenate(action).astype(np.float32)

    def view(self, state: Float32[np.ndarray, "49"]) -> View:
        """Take a true state apart."""
        wide = state.astype(np.float64)
        objects = wide[28:]
        creases, bottle = objects[7:12], objects[12:19]
        return View(
            targets=wide[14:28].reshape(2, 7),
            left=self._kinematics[0].pose(wide[:6]),
            right=self._kinematics[1].pose(wide[7:13]),
            grips=wide[[6, 13]],
            bag_point=objects[:3],
            bag_axes=_axes(objects[3:7]),
            front=float(creases[0]),
            lip=float(creases[1]),
            bottle_point=bottle[:3],
            bottle_axis=_axes(bottle[3:])[:, 2],
            lip_held=bool(objects[19] > 0.5),
            neck_held=bool(objects[20] > 0.5),
        )

    def _goal(self, view: View, arm: int, goal: Goal) -> Goal:
        """The plan's goal, but a gripper that closed on nothing opens first."""
        held = view.lip_held if arm == 0 else view.neck_held
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

    def _towards(self, view: View, arm: int, goal: Goal) -> Float64[np.ndarray, "7"]:
        """One human step towards a goal, as joint targets."""
        kinematics, hand = self._kinematics[arm], self._hands[arm]
        joints, grip = view.targets[arm, :6], view.targets[arm, 6]
        now = kinematics.pose(joints)
        if self._is_unwinding(arm, joints):
            held = view.lip_held if arm == 0 else view.neck_held
            return np.append(
                joints + np.clip(self._ready[arm] - joints, -_UNWIND, _UNWIND), grip if held else 0.5
            )

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


def left_arm(view: View) -> Goal:
    """Pinch the lip, pull it out, hold it until the bottle stands inside and the other hand is gone."""
    axes = pointing(view.bag_yaw, _PITCH, side="left")
    right_gone = np.linalg.norm(view.right.point - _mouth(view)) > 0.12
    if view.bottle_is_in and not view.neck_held and right_gone:
        return _let_go(view.left, axes, _mouth(view), grip=view.grips[0], wide=0.5, home=-0.22)

    if view.lip_held:
        # Follow the circle that the front's edge describes, a little ahead of where it is.
        ahead = min(view.front + 0.12, bag.OPEN_ANGLE) - view.front
        sideways, up = _turned(view.front + ahead, bag.HEIGHT) - _turned(view.front, bag.HEIGHT)
        pull = view.bag_axes @ np.array([0.0, sideways, up])
        return Goal(Pose(view.left.point + pull, axes), 0.0, care=0.9)

    return _reach(view.left, view.lip_point, axes, wide=0.5)


def right_arm(view: View) -> Goal:
    """Pinch the bottle's neck, lift it, wait until the bag is open, stand it inside, let go."""
    axes = pointing(0.0, _PITCH, side="right")
    if view.bottle_is_in:
        return _let_go(view.right, axes, _mouth(view), grip=view.grips[1], wide=0.6, home=0.22)
    if not view.neck_held:
        if view.bottle_axis[2] < _LIES:
            axes = _along(view.bottle_axis)
        return _reach(view.right, _neck(view), axes, wide=0.8)

    if view.bottle_axis[2] < _TILTED:
        # Held aslant: raise it to where it can swing, and turn the hand until it hangs upright.
        x, y, _ = view.right.point
        return Goal(Pose(np.array([x, y, 0.3]), _kept_upright(view)), 0.0, care=0.8)
    return _carry(view, axes if view.bottle_axis[2] > 0.998 else _kept_upright(view))


def _carry(view: View, axes: Float64[np.ndarray, "3 3"]) -> Goal:
    """Bring the bottle over the mouth and down."""
    stand = view.bag_point + view.bag_axes @ _STAND_AT
    foot = view.bottle_point
    ready = view.is_open and view.lip_held
    apart = float(np.linalg.norm((foot - stand)[:2]))
    down_inside = foot[2] < _OVER - 0.03

    if apart < (0.012 if not down_inside else 0.03) and (ready or foot[2] < 0.1):
        wanted, care = stand + (0.0, 0.0, 0.002), 0.95
    elif down_inside and apart > 0.004:
        # Up first: everything on the way is lower than the bottle's foot then.
        wanted, care = np.array([foot[0], foot[1], _OVER + 0.01]), 0.5
    else:
        wait = np.zeros(3) if ready else np.array([0.12, 0.0, 0.0])
        wanted, care = np.array([stand[0], stand[1], _OVER]) + wait, 0.7
    return Goal(Pose(view.right.point + wanted - foot, axes), 0.0, care=care)


def _reach(
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


def _let_go(
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


def _done(view: View) -> list[bool]:
    """Which of `STAGES` are done: a later one of an arm counts the ones before it as done."""
    inside = view.bottle_is_in and bool(view.bottle_axis[2] > 0.9)
    stand = view.bag_point + view.bag_axes @ _STAND_AT
    over = view.neck_held and float(np.linalg.norm((view.bottle_point - stand)[:2])) < 0.02
    free = not view.lip_held and not view.neck_held
    return [
        view.lip_held or inside,
        (view.lip_held and view.is_open) or inside,
        view.neck_held or inside,
        over or inside,
        inside,
        inside and free,
    ]


def _along(axis: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Axes of the right gripper for a bottle that lies: along it, so that the pads come down on its sides.

    The bottle can be righted where its top points away from the arm; otherwise the gripper stays as it is.
    """
    yaw = float(np.arctan2(-axis[1], -axis[0]))
    return pointing(yaw if abs(yaw) < 1.2 else 0.0, 1.2, side="right")


def _kept_upright(view: View) -> Float64[np.ndarray, "3 3"]:
    """The right gripper's axes, turned a little so that the bottle in it is upright."""
    return _least_turn(view.bottle_axis, np.array([0.0, 0.0, 1.0])) @ view.right.axes


def _least_turn(
    now: Float64[np.ndarray, "3"], wanted: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3 3"]:
    """The smallest rotation that turns one direction into another."""
    axis = np.cross(now, wanted)
    sine, cosine = float(np.linalg.norm(axis)), float(now @ wanted)
    return _rotation(axis / sine, float(np.arctan2(sine, cosine))) if sine > 1e-9 else np.eye(3)


def _rotation(axis: Float64[np.ndarray, "3"], angle: float) -> Float64[np.ndarray, "3 3"]:
    """A rotation by an angle (radians) about a unit vector (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def _neck(view: View) -> Float64[np.ndarray, "3"]:
    """Where the bottle is to be pinched."""
    return view.bottle_point + _NECK_AT * view.bottle_axis


def _mouth(view: View) -> Float64[np.ndarray, "3"]:
    """The middle of the bag's rim."""
    return view.bag_point + view.bag_axes @ np.array([0.0, 0.0, bag.FLOOR + bag.HEIGHT])


def _near(distance: np.floating | float) -> float:
    """1 at no distance, 0 from 30 cm on."""
    return float(np.clip(1.0 - distance / 0.3, 0.0, 1.0))


def _turned(angle: float, length: float) -> Float64[np.ndarray, "2"]:
    """The end (y, z) of a panel of this length that stands at an angle on a crease along x."""
    return length * np.array([-np.sin(angle), np.cos(angle)])


def _axes(quaternion: Float64[np.ndarray, "4"]) -> Float64[np.ndarray, "3 3"]:
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
    return wanted if angle <= _TURN else _rotation(turn / angle, _TURN) @ now
