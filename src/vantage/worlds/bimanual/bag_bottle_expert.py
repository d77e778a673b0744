"""A scripted operator of BagBottle that may take over in any state: demonstrator and rescuer (`hands.py`).

true state ──View──> what is held, how far open, where things are
View ──left_arm, right_arm──> for each gripper: where to, how wide, how delicate

Which goal holds follows from the state alone, so the plan can be entered anywhere: a lip that was let go is
grasped again, a bottle that stands in the wrong place is picked up again, one that hangs aslant is righted.
Nobody mends a bag that lies on its side, a bottle that lies with its top towards the right arm, or what has
left the table.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64

from vantage.worlds.bimanual import bag_bottle as bag
from vantage.worlds.bimanual.hands import (
    PITCH,
    ArmsView,
    BimanualExpert,
    Goal,
    axes_of,
    least_turn,
    let_go,
    near,
    reach,
)
from vantage.worlds.bimanual.kinematics import Pose, pointing

STAGES: Final = ("lip held", "bag open", "bottle held", "bottle over the mouth", "bottle in", "hands off")
"""What is done, in the order of a demonstration; the two arms work side by side."""

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
_TILTED, _LIES = 0.97, 0.5
"""Height of the bottle's axis (1 upright) below which it must be righted before it is put down, and below
which it lies."""


@dataclass(frozen=True, slots=True)
class View(ArmsView):
    """The true state, taken apart. Points in metres, in the table's frame."""

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


class Expert(BimanualExpert[View]):
    """An operator for BagBottle; may take over in any state, at any time."""

    stages = STAGES

    def view(self, state: Float32[np.ndarray, "91"]) -> View:
        """Take a true state apart."""
        wide = state.astype(np.float64)
        hands, objects = self._arms(wide), wide[28:]
        creases, bottle = objects[7:12], objects[12:19]
        return View(
            targets=hands.targets,
            left=hands.left,
            right=hands.right,
            grips=hands.grips,
            bag_point=objects[:3],
            bag_axes=axes_of(objects[3:7]),
            front=float(creases[0]),
            lip=float(creases[1]),
            bottle_point=bottle[:3],
            bottle_axis=axes_of(bottle[3:])[:, 2],
            lip_held=bool(objects[19] > 0.5),
            neck_held=bool(objects[20] > 0.5),
        )

    def _goals(self, view: View) -> tuple[Goal, Goal]:
        return left_arm(view), right_arm(view)

    def _held(self, view: View) -> tuple[bool, bool]:
        return view.lip_held, view.neck_held

    def _done(self, view: View) -> list[bool]:
        return _done(view)

    def _share(self, view: View) -> float:
        done = _done(view)
        share = 0.0
        if not done[0]:
            share += 0.4 * near(np.linalg.norm(view.left.point - view.lip_point))
        if not done[2]:
            share += 0.4 * near(np.linalg.norm(view.right.point - _neck(view)))
        return share


def left_arm(view: View) -> Goal:
    """Pinch the lip, pull it out, hold it until the bottle stands inside and the other hand is gone."""
    axes = pointing(view.bag_yaw, PITCH, side="left")
    right_gone = np.linalg.norm(view.right.point - _mouth(view)) > 0.12
    if view.bottle_is_in and not view.neck_held and right_gone:
        return let_go(view.left, axes, _mouth(view), grip=view.grips[0], wide=0.5, home=-0.22)

    if view.lip_held:
        # Follow the circle that the front's edge describes, a little ahead of where it is.
        ahead = min(view.front + 0.12, bag.OPEN_ANGLE) - view.front
        sideways, up = _turned(view.front + ahead, bag.HEIGHT) - _turned(view.front, bag.HEIGHT)
        pull = view.bag_axes @ np.array([0.0, sideways, up])
        return Goal(Pose(view.left.point + pull, axes), 0.0, care=0.9)

    return reach(view.left, view.lip_point, axes, wide=0.5)


def right_arm(view: View) -> Goal:
    """Pinch the bottle's neck, lift it, wait until the bag is open, stand it inside, let go."""
    axes = pointing(0.0, PITCH, side="right")
    if view.bottle_is_in:
        return let_go(view.right, axes, _mouth(view), grip=view.grips[1], wide=0.6, home=0.22)
    if not view.neck_held:
        if view.bottle_axis[2] < _LIES:
            axes = _along(view.bottle_axis)
        return reach(view.right, _neck(view), axes, wide=0.8)

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
    return least_turn(view.bottle_axis, np.array([0.0, 0.0, 1.0])) @ view.right.axes


def _neck(view: View) -> Float64[np.ndarray, "3"]:
    """Where the bottle is to be pinched."""
    return view.bottle_point + _NECK_AT * view.bottle_axis


def _mouth(view: View) -> Float64[np.ndarray, "3"]:
    """The middle of the bag's rim."""
    return view.bag_point + view.bag_axes @ np.array([0.0, 0.0, bag.FLOOR + bag.HEIGHT])


def _turned(angle: float, length: float) -> Float64[np.ndarray, "2"]:
    """The end (y, z) of a panel of this length that stands at an angle on a crease along x."""
    return length * np.array([-np.sin(angle), np.cos(angle)])
