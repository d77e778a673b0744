"""A scripted operator of SackDraw that may take over in any state: demonstrator and rescuer (`hands.py`).

true state ──View──> which snacks are in, what is held, how far the string is drawn
View ──left_arm, right_arm──> for each gripper: where to, how wide, how delicate

Each arm brings the snacks of its side of the sack, one arm at a time over the mouth; then the left one holds
the sack by its handle and the right one pulls the bead. A snack that fell beside the sack is brought again, a
handle or a bead that was let go is grasped again. Nobody mends a sack that fell over or what has left the
table.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64

from vantage.worlds.bimanual import sack_draw as sack
from vantage.worlds.bimanual.hands import (
    PITCH,
    ArmsView,
    BimanualExpert,
    Goal,
    axes_of,
    funnel,
    near,
)
from vantage.worlds.bimanual.kinematics import Pose, pointing

STAGES: Final = ("one snack in", "two snacks in", "three snacks in", "handle held", "bead held", "mouth shut")
"""What is done; in a demonstration the handle is often held before the last snack is in."""

_STEEP = 1.35
"""Radians below level at which snacks are picked and dropped: the hand can turn to any side of a snack."""
_PICK_AT = 0.018
"""Metres above the table at which a snack that lies on it is pinched."""
_CARRY, _DROP = 0.19, 0.142
"""Metres above the table: of a hand that carries a snack over the mouth, and of one that drops it there."""
_LOW = 0.175
"""Metres above the table below which a hand beside the sack first goes up, before it goes anywhere else."""
_BESIDE = 0.21
"""Metres from the sack's axis within which a hand is beside the sack."""
_OVER = 0.1
"""Metres from the sack's axis within which a hand is over the mouth."""
_WITHIN: Final = ((-0.07, 0.02), (0.45, 0.55))
"""Where on the table (x and y, m) a sack is left that the left arm holds."""
_TURNED = 0.25
"""Radians up to which it may be turned there."""
_SIDES: Final = (-1.0, 1.0)
"""Which way along the table's x each arm is from the sack: left, right."""


@dataclass(frozen=True, slots=True)
class View(ArmsView):
    """The true state, taken apart. Points in metres, in the table's frame."""

    sack_point: Float64[np.ndarray, "3"]
    sack_axes: Float64[np.ndarray, "3 3"]
    leans: Float64[np.ndarray, "8"]
    """Of the staves (radians, outwards)."""
    pulled: float
    """How far the bead is from where it was (m)."""
    items: Float64[np.ndarray, "3 3"]
    """Where the snacks are."""
    item_axes: Float64[np.ndarray, "3 3 3"]
    handle_held: bool
    """By the left gripper."""
    bead_held: bool
    """By the right one."""
    items_held: tuple[tuple[bool, ...], tuple[bool, ...]]
    """Per arm, per snack."""

    @property
    def inside(self) -> list[bool]:
        """Which snacks are in the sack."""
        return [sack.is_inside(self.sack_axes.T @ (item - self.sack_point)) for item in self.items]

    @property
    def is_shut(self) -> bool:
        """Whether the mouth is drawn shut."""
        return sack.mouth_radius(self.leans) < sack.SHUT

    @property
    def yaw(self) -> float:
        """How the sack is turned on the table (radians)."""
        return float(np.arctan2(self.sack_axes[1, 0], self.sack_axes[0, 0]))

    @property
    def place_point(self) -> Float64[np.ndarray, "3"]:
        """Where the sack should stand: where it is, but on the table and within reach of both arms."""
        x, y, _ = self.sack_point
        return np.array([np.clip(x, *_WITHIN[0]), np.clip(y, *_WITHIN[1]), 0.0])

    @property
    def place_yaw(self) -> float:
        """How the sack should be turned (radians): as it is, but not far from straight."""
        return float(np.clip(self.yaw, -_TURNED, _TURNED))

    @property
    def is_in_place(self) -> bool:
        """Whether the sack stands where it should."""
        apart = float(np.linalg.norm(self.place_point - self.sack_point))
        return bool(apart < 0.008 and abs(self.yaw - self.place_yaw) < 0.05 and self.sack_axes[2, 2] > 0.995)

    def in_table(self, point: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
        """A point of the sack's frame in the table's."""
        return self.sack_point + self.sack_axes @ point

    def hand(self, arm: int) -> Pose:
        """Left or right."""
        return (self.left, self.right)[arm]

    def carried(self, arm: int) -> int | None:
        """Which snack an arm holds that is not in the sack."""
        for k, held in enumerate(self.items_held[arm]):
            if held and not self.inside[k]:
                return k
        return None

    def wanted(self, arm: int) -> int | None:
        """Which snack an arm should bring next: of those that lie on its side, the one furthest in front.

        Not the nearest one: where two are about as near, a hair decides, and whoever learns from such
        demonstrations stops between the two.
        """
        first, least = None, np.inf
        for k, item in enumerate(self.items):
            side = (item - self.sack_point)[0] * _SIDES[arm] > 0.0
            if side and not self.inside[k] and not self.items_held[1 - arm][k] and item[1] < least:
                first, least = k, item[1]
        return first


class Expert(BimanualExpert[View]):
    """An operator for SackDraw; may take over in any state, at any time."""

    stages = STAGES

    def view(self, state: Float32[np.ndarray, "199"]) -> View:
        """Take a true state apart."""
        wide = state.astype(np.float64)
        hands, objects = self._arms(wide), wide[28:]
        leans, rest = objects[7 : 7 + sack.STAVES], objects[7 + sack.STAVES :]
        items = rest[1 : 1 + 7 * sack.ITEMS].reshape(sack.ITEMS, 7)
        held = (rest[1 + 7 * sack.ITEMS :][: 2 * (1 + sack.ITEMS)] > 0.5).reshape(2, 1 + sack.ITEMS).tolist()
        return View(
            targets=hands.targets,
            left=hands.left,
            right=hands.right,
            grips=hands.grips,
            sack_point=objects[:3],
            sack_axes=axes_of(objects[3:7]),
            leans=leans,
            pulled=float(rest[0]),
            items=items[:, :3],
            item_axes=np.stack([axes_of(item[3:]) for item in items]),
            handle_held=held[0][0],
            bead_held=held[1][0],
            items_held=(tuple(held[0][1:]), tuple(held[1][1:])),
        )

    def _goals(self, view: View) -> tuple[Goal, Goal]:
        return left_arm(view), right_arm(view)

    def _held(self, view: View) -> tuple[bool, bool]:
        return view.handle_held or any(view.items_held[0]), view.bead_held or any(view.items_held[1])

    def _done(self, view: View) -> list[bool]:
        count = sum(view.inside)
        packed = count == sack.ITEMS
        shut = packed and view.is_shut
        return [
            count > 0,
            count > 1,
            packed,
            view.handle_held or shut,
            (packed and view.bead_held) or shut,
            shut,
        ]

    def _share(self, view: View) -> float:
        share = 0.0
        for arm in range(2):
            item = view.wanted(arm)
            if item is not None:
                share += 0.2 * near(np.linalg.norm(view.hand(arm).point - view.items[item]))
                share += 0.2 * (view.carried(arm) is not None)
        if all(view.inside):
            share += 0.5 * min(view.pulled / sack.PULL, 1.0)
        return share


def left_arm(view: View) -> Goal:
    """Bring the snacks on the left, then hold the sack by its handle where both arms reach it."""
    if (goal := _snacks(view, 0)) is not None:
        return goal
    if view.handle_held:
        return _put_in_place(view)
    pitch = PITCH if abs(view.yaw) < 0.4 else _STEEP
    axes = pointing(float(np.clip(view.yaw, -1.2, 1.2)), pitch, side="left")
    point = view.in_table(sack.HANDLE)
    return _around(view, view.left, funnel(view.left, point, axes, wide=0.5), point)


def right_arm(view: View) -> Goal:
    """Bring the snacks on the right, then pull the bead, when all are in and the sack is held."""
    if (goal := _snacks(view, 1)) is not None:
        return goal
    axes = pointing(float(np.clip(view.yaw, -0.4, 0.4)), PITCH, side="right")
    along = view.sack_axes[:, 0]
    point = view.in_table(sack.BEAD) + view.pulled * along
    if view.bead_held:
        further = min(0.03, sack.PULL - view.pulled) if all(view.inside) and view.handle_held else 0.0
        return Goal(Pose(point + further * along, axes), 0.0, care=0.9)
    if not (all(view.inside) and view.is_in_place):
        aside = np.array([0.22, 0.5, 0.22])
        return _around(view, view.right, Goal(Pose(aside, axes), 0.5), aside)
    return _around(view, view.right, funnel(view.right, point, axes, wide=0.6), point)


def _put_in_place(view: View) -> Goal:
    """Move the hand that holds the sack until the sack stands where it should; there, keep still."""
    cosine, sine = np.cos(view.place_yaw), np.sin(view.place_yaw)
    upright = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    turn = np.eye(3) if view.is_in_place else upright @ view.sack_axes.T
    point = view.place_point + turn @ (view.left.point - view.sack_point)
    return Goal(Pose(point, turn @ view.left.axes), 0.0, care=0.9)


def _snacks(view: View, arm: int) -> Goal | None:
    """Carry the snack that is held, or fetch the next one; None: no more to do for this arm."""
    hand, side = view.hand(arm), ("left", "right")[arm]
    if (held := view.carried(arm)) is not None:
        return _carry(view, arm, view.items[held])

    wanted = view.wanted(arm)
    if wanted is None:
        return None
    if (arm == 0 and view.handle_held) or (arm == 1 and view.bead_held):
        return Goal(hand, 0.6, care=1.0)
    axes = pointing(_pick_yaw(view.item_axes[wanted], hand, arm), _STEEP, side=side)
    item = view.items[wanted]
    point = np.array([item[0], item[1], max(item[2], _PICK_AT)])
    return _around(view, hand, funnel(hand, point, axes, wide=0.8), point)


def _carry(view: View, arm: int, item: Float64[np.ndarray, "3"]) -> Goal:
    """Up, over the mouth when the other arm is not there, down a little, and let go."""
    hand, other = view.hand(arm), view.hand(1 - arm)
    side = ("left", "right")[arm]
    axes = pointing(0.0, _STEEP, side=side)
    apart = (view.sack_point - item)[:2]
    away = float(np.linalg.norm(apart))
    if away < 0.014 and item[2] < _DROP + 0.012:
        return Goal(Pose(hand.point, hand.axes), 0.8, care=1.0)
    if item[2] < _LOW - 0.01 and away > 0.02:
        return Goal(Pose(np.append(hand.point[:2], _CARRY + 0.03), hand.axes), 0.0, care=0.6)
    if away < 0.012:
        return Goal(Pose(np.append(hand.point[:2] + apart, _DROP), axes), 0.0, care=0.8)

    # One arm at a time over the mouth of a sack that stands; where both wait, the right one goes.
    theirs = float(np.linalg.norm((other.point - view.sack_point)[:2]))
    busy = (theirs < _OVER and other.point[2] > 0.08) or (view.handle_held and not view.is_in_place)
    busy = busy or (arm == 0 and view.carried(1) is not None and theirs < 0.16)
    if busy and away > _OVER:
        place = view.sack_point[:2] + (0.15 * _SIDES[arm], 0.0)
        apart = place - item[:2]
    return Goal(Pose(np.append(hand.point[:2] + apart, _CARRY), axes), 0.0, care=0.7)


def _around(view: View, hand: Pose, goal: Goal, point: Float64[np.ndarray, "3"]) -> Goal:
    """The same goal, but a hand that is low beside the sack goes up before it goes to another place, and
    comes down when it is there."""
    far = float(np.linalg.norm((point - hand.point)[:2])) > 0.075
    beside = float(np.linalg.norm((hand.point - view.sack_point)[:2])) < _BESIDE
    if not (far and beside):
        return goal
    if hand.point[2] < _LOW:
        return Goal(Pose(np.append(hand.point[:2], _LOW + 0.03), hand.axes), max(goal.grip, 0.5), care=0.5)
    height = max(goal.pose.point[2], _LOW + 0.02)
    return Goal(Pose(np.append(goal.pose.point[:2], height), goal.pose.axes), goal.grip, care=goal.care)


def _pick_yaw(axes: Float64[np.ndarray, "3 3"], hand: Pose, arm: int) -> float:
    """How to turn the gripper (radians) so that its pads meet two faces of a cube: the nearest such turn."""
    across = hand.axes[:, 1] * (1.0 if arm == 0 else -1.0)
    now = np.clip(np.arctan2(-across[0], across[1]), -0.6, 0.6)
    level = axes[:, np.abs(axes[2]) < 0.6]
    if not level.shape[1]:
        return 0.0
    turn = np.arctan2(level[1, 0], level[0, 0])
    return float(now + (turn - now + np.pi / 4) % (np.pi / 2) - np.pi / 4)
