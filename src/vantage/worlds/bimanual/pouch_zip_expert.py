"""A scripted operator of PouchZip that may take over in any state: demonstrator and rescuer (`hands.py`).

true state ──View──> how far open, where the marker is, what is held, which teeth are closed
View ──left_arm, right_arm──> for each gripper: where to, how wide, how delicate

The left arm pinches the tab and pulls the mouth open, the right one lays the marker into it; then the left
one lets go and draws the zip. A tab, a marker or a zip that was let go is grasped again, a marker that missed
the mouth is brought again, a zip that was drawn too early or past an open tooth is drawn back. Nobody mends a
pouch that fell over or what has left the table.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64

from vantage.worlds.bimanual import pouch_zip as pouch
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

STAGES: Final = ("tab held", "mouth open", "marker held", "marker in", "zip held", "zipped")
"""What is done, in the order of a demonstration; the two arms work side by side."""

_STEEP = 1.35
"""Radians below level at which the marker is picked: the hand can turn to wherever it points."""
_PICK_AT = 0.012
"""Metres above the table at which a marker that lies on it is pinched."""
_PICK_ASIDE = 0.014
"""Metres from the marker's middle, towards the right arm: the left hand needs the room over the mouth."""
_LAY = np.array([0.030, -0.012])
"""Where over the mouth the marker's middle is let go, in the pouch's frame (m)."""
_OVER, _DROP = 0.195, 0.132
"""Metres above the table: of the marker that is carried over the mouth, and where it is let go."""
_OPEN, _PULLED = -0.008, -0.02
"""How far the tab is pulled (m, from where the front is tight): at least, for the marker, and at most."""
_OPENED = 0.45
"""How wide the left gripper is opened around the tab."""


@dataclass(frozen=True, slots=True)
class View(ArmsView):
    """The true state, taken apart. Points in metres, in the table's frame."""

    pouch_point: Float64[np.ndarray, "3"]
    pouch_axes: Float64[np.ndarray, "3 3"]
    tab: Float64[np.ndarray, "3"]
    """How far the tab is from where the front is tight, in the pouch's frame (m)."""
    zipped: float
    """How far the zip has run (m)."""
    closed: Bool[np.ndarray, "3"]
    """Which teeth are closed, from the left."""
    marker_point: Float64[np.ndarray, "3"]
    marker_axis: Float64[np.ndarray, "3"]
    """The direction of its end that is nearer to the right arm."""
    tab_held: bool
    zip_held: bool
    """Both by the left gripper."""
    marker_held: bool
    """By the right one."""

    @property
    def is_open(self) -> bool:
        """Whether the mouth stands open for the marker."""
        return self.tab_held and bool(self.tab[1] < _OPEN)

    @property
    def marker_in(self) -> bool:
        """Whether the marker lies in the pouch."""
        ends = self.marker_axis * np.array([[pouch.MARKER_HALF], [-pouch.MARKER_HALF]])
        return all(
            pouch.is_inside(self.pouch_axes.T @ (self.marker_point + end - self.pouch_point)) for end in ends
        )

    @property
    def is_zipped(self) -> bool:
        """Whether the zip is closed all the way."""
        return bool(self.closed.all() and self.zipped > 0.9 * pouch.ZIP_WAY)

    @property
    def yaw(self) -> float:
        """How the pouch is turned on the table (radians)."""
        return float(np.arctan2(self.pouch_axes[1, 0], self.pouch_axes[0, 0]))

    @property
    def mouth(self) -> Float64[np.ndarray, "3"]:
        """The middle of the mouth."""
        return self.in_table(np.array([*_LAY, pouch.FLOOR + pouch.HEIGHT]))

    def in_table(self, point: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
        """A point of the pouch's frame in the table's."""
        return self.pouch_point + self.pouch_axes @ point


class Expert(BimanualExpert[View]):
    """An operator for PouchZip; may take over in any state, at any time."""

    stages = STAGES

    def view(self, state: Float32[np.ndarray, "95"]) -> View:
        """Take a true state apart."""
        wide = state.astype(np.float64)
        hands, objects = self._arms(wide), wide[28:]
        held = objects[21:25] > 0.5
        axis = axes_of(objects[17:21])[:, 0]
        return View(
            targets=hands.targets,
            left=hands.left,
            right=hands.right,
            grips=hands.grips,
            pouch_point=objects[:3],
            pouch_axes=axes_of(objects[3:7]),
            tab=objects[7:10],
            zipped=float(objects[10]),
            closed=objects[11:14] > 0.5,
            marker_point=objects[14:17],
            marker_axis=axis if axis[0] > 0.0 else -axis,
            tab_held=bool(held[0]),
            zip_held=bool(held[1]),
            marker_held=bool(held[3]),
        )

    def _goals(self, view: View) -> tuple[Goal, Goal]:
        return left_arm(view), right_arm(view)

    def _held(self, view: View) -> tuple[bool, bool]:
        return view.tab_held or view.zip_held, view.marker_held

    def _done(self, view: View) -> list[bool]:
        inside = view.marker_in
        zipped = inside and view.is_zipped
        return [
            view.tab_held or inside,
            view.is_open or inside,
            view.marker_held or inside,
            inside,
            (inside and view.zip_held) or zipped,
            zipped,
        ]

    def _share(self, view: View) -> float:
        if view.marker_in:
            return 0.5 * view.zipped / pouch.ZIP_WAY
        share = 0.0
        if not view.tab_held:
            share += 0.4 * near(np.linalg.norm(view.left.point - _tab(view)))
        if not view.marker_held:
            share += 0.4 * near(np.linalg.norm(view.right.point - view.marker_point))
        return share


def left_arm(view: View) -> Goal:
    """Pull the mouth open and hold it until the marker is in and the other hand gone; then draw the zip."""
    right_gone = np.linalg.norm(view.right.point - view.mouth) > 0.12
    if view.marker_in and right_gone:
        return _leave_tab(view) or _draw(view, forwards=True)
    too_early = view.closed.any() or view.zipped > (0.004 if view.zip_held else 0.02)
    if not view.marker_in and too_early and not view.tab_held:
        return _draw(view, forwards=False)

    if view.zip_held:
        return Goal(view.left, _OPENED, care=1.0)
    axes = pointing(_within(view.yaw, 0.4), PITCH, side="left")
    if view.tab_held:
        pull = view.pouch_axes @ np.array([0.0, float(np.clip(_PULLED - view.tab[1], -0.012, 0.012)), 0.0])
        return Goal(Pose(view.left.point + pull, axes), 0.0, care=0.9)
    return _over(view.left, reach(view.left, _tab(view), axes, wide=_OPENED), _tab(view), high=0.21)


def right_arm(view: View) -> Goal:
    """Pick the marker, lay it into the mouth when that is open, and go."""
    if view.marker_in:
        axes = pointing(_within(view.yaw, 0.4), _STEEP, side="right")
        return let_go(view.right, axes, view.mouth, grip=view.grips[1], wide=0.5, home=0.22)
    if view.marker_held:
        return _carry(view)

    flat = float(np.arctan2(view.marker_axis[1], view.marker_axis[0]))
    axes = pointing(_within(flat, 1.2), _STEEP, side="right")
    point = view.marker_point + _PICK_ASIDE * view.marker_axis
    point[2] = max(point[2], _PICK_AT)
    return _over(view.right, reach(view.right, point, axes, wide=0.6), point)


def _carry(view: View) -> Goal:
    """Bring the marker over the mouth, level and along it, then down, and let go."""
    along = view.pouch_axes[:, 0]
    axes = least_turn(view.marker_axis, along) @ view.right.axes
    level = float(view.marker_axis @ along)
    marker = view.marker_point
    lay = view.in_table(np.array([*_LAY, 0.0]))
    apart = float(np.linalg.norm((lay - marker)[:2]))

    if apart < 0.008 and marker[2] < _DROP + 0.006 and level > 0.98:
        return Goal(Pose(view.right.point, axes), 0.5, care=1.0)
    if (apart < 0.008 or (apart < 0.016 and marker[2] < _OVER - 0.03)) and view.is_open and level > 0.97:
        wanted, care = np.array([lay[0], lay[1], _DROP]), 0.9
    elif marker[2] < _OVER - 0.03 and apart > 0.006:
        # Up first: everything on the way is lower than the marker then.
        wanted, care = np.array([marker[0], marker[1], _OVER + 0.01]), 0.5
    else:
        wait = np.zeros(3) if view.is_open else 0.12 * along
        wanted, care = np.array([lay[0], lay[1], _OVER]) + wait, 0.7
    return Goal(Pose(view.right.point + wanted - marker, axes), 0.0, care=care)


def _leave_tab(view: View) -> Goal | None:
    """Open around the tab and rise from it; None: the hand is not there."""
    if view.tab_held or (view.grips[0] < 0.25 and not view.zip_held and _at_tab(view)):
        return Goal(view.left, _OPENED, care=1.0)
    if _at_tab(view) and not view.zip_held:
        return Goal(Pose(view.left.point + (-0.01, 0.0, 0.05), view.left.axes), _OPENED, care=0.9)
    return None


def _at_tab(view: View) -> bool:
    """Whether the left hand has a finger in the mouth."""
    away = view.pouch_axes.T @ (view.left.point - _tab(view))
    return bool(abs(away[0]) < 0.04 and abs(away[1]) < 0.06 and away[2] < 0.03)


def _draw(view: View, *, forwards: bool) -> Goal:
    """Grasp the zip and draw it: to its end, back to a tooth that it missed, or to its beginning."""
    axes = pointing(_within(view.yaw, 0.4), PITCH, side="left")
    point = view.in_table(np.array([pouch.ZIP_START + view.zipped, pouch.BACK, pouch.PULL_AT]))
    if not view.zip_held:
        return _over(view.left, reach(view.left, point, axes, wide=_OPENED), point, high=0.21)

    end = pouch.ZIP_WAY + 0.002 if forwards else 0.0
    for tooth, closed in enumerate(view.closed):
        at = pouch.tooth_at(tooth) - pouch.ZIP_START
        if forwards and not closed and view.zipped > at + pouch.CATCH:
            end = at - 0.015
            break
    step = float(np.clip(end - view.zipped, -0.03, 0.03))
    height = np.array([0.0, 0.0, point[2] - view.left.point[2]])
    return Goal(Pose(view.left.point + step * view.pouch_axes[:, 0] + height, axes), 0.0, care=0.9)


def _over(hand: Pose, goal: Goal, point: Float64[np.ndarray, "3"], *, high: float = 0.18) -> Goal:
    """The same goal, but a hand that is low goes up before it goes far, and comes down when it is there."""
    if float(np.linalg.norm((point - hand.point)[:2])) < 0.085:
        return goal
    if hand.point[2] < high - 0.01:
        return Goal(Pose(np.append(hand.point[:2], high + 0.02), hand.axes), max(goal.grip, 0.4), care=0.5)
    height = max(goal.pose.point[2], high + 0.005)
    return Goal(Pose(np.append(goal.pose.point[:2], height), goal.pose.axes), goal.grip, care=goal.care)


def _tab(view: View) -> Float64[np.ndarray, "3"]:
    """Where the tab is to be pinched."""
    return view.in_table(pouch.TAB + view.tab + np.array([0.0, 0.0, 0.005]))


def _within(angle: float, most: float) -> float:
    """An angle, kept within bounds on both sides (radians)."""
    return float(np.clip(angle, -most, most))
