"""A view of the world -> the stage of its task, where the hand should go, and how far that still is.

    Reach   to the goal
    Carry   above -> down -> grip -> carry
    Slide   above -> down -> slide      (handles, windows, buttons, doors: touch at a point and move along)

A plan is a value. Its stage is recognised by looking at the world, not by memory: from any state, after a
drop too, the earliest stage that is needed comes next.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Point = Float64[np.ndarray, "3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an operator looks at (metres; opening 0 closed to 1 open)."""

    hand: Point
    opening: float
    thing: Point
    goal: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do now."""

    stage: int
    target: Point
    grip: float
    """-1 open, 1 close."""
    left: float
    """Share of the stage that is still to do, 0 to 1."""
    gain: float = 10.0
    """Action per metre of distance."""
    care: float = 0.0
    """How delicate the moment is: 1 lets no hand tremble, 0 does not ask for care."""


def raised(point: Point, by: float) -> Point:
    """The point `by` metres above."""
    return np.array([point[0], point[1], point[2] + by])


def share(distance: float, span: float) -> float:
    """Distance as a share of `span`, at most 1."""
    return float(min(1.0, max(0.0, distance / span)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Move the hand to the goal."""

    stages: int = 1

    def at(self, view: View) -> Step:
        """One stage."""
        left = share(float(np.linalg.norm(view.goal - view.hand)), 0.5)
        return Step(stage=0, target=view.goal, grip=-1.0, left=left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carry:
    """Grip the thing and bring it to the goal."""

    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """From the thing to where it is gripped."""
    hover: float = 0.09
    """Height above that point to come from."""
    near: float = 0.025
    """Distance in the plane that counts as above."""
    low: float = 0.045
    """Height that counts as down."""
    closed: float = 0.75
    """Opening below which the grip counts as closed."""
    via: Callable[[View], Point] = lambda view: view.goal
    """Where a carried thing goes next."""
    grip_force: float = 1.0
    within: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """Box that the gripping point is kept in: fingers need room beside a wall."""
    carry_care: float = 0.0
    """`Step.care` while it carries."""
    stages: int = 4

    def at(self, view: View) -> Step:
        """Above, down, grip or carry, whichever the state asks for."""
        point = self._point(view)
        beside = float(np.linalg.norm((view.hand - point)[:2]))
        above = float(view.hand[2] - point[2])

        if beside > self.near:
            left = share(beside, 0.4)
            return Step(stage=0, target=raised(point, self.hover), grip=-1.0, left=left)
        if above > self.low:
            left = share(above, 0.25)
            return Step(stage=1, target=raised(point, 0.01), grip=-1.0, left=left, care=0.5)
        if view.opening > self.closed:
            left = share(view.opening - self.closed, 0.5)
            return Step(stage=2, target=point, grip=self.grip_force, left=left, gain=5.0, care=1.0)

        left = share(float(np.linalg.norm(view.thing - view.goal)), 0.5)
        return Step(stage=3, target=self.via(view), grip=self.grip_force, left=left, care=self.carry_care)

    def _point(self, view: View) -> Point:
        """Where to grip: inside the box if that is still on the thing."""
        point = view.thing + self.offset
        if self.within is None:
            return point
        inside = np.clip(point, *self.within)
        return inside if np.abs(inside - point).max() < 0.03 else point


@dataclass(frozen=True, slots=True, kw_only=True)
class Slide:
    """Touch the thing at a point and move along."""

    contact: tuple[float, float, float]
    """From the thing to where the hand touches it."""
    along: tuple[float, float, float]
    """From the touching point to where the hand then pulls or pushes."""
    hover: float
    """Height above the touching point to come from."""
    near: float = 0.04
    """Distance in the plane that counts as above."""
    loose: float = 0.08
    """Distance in the plane that still counts as touching once down."""
    low: float = 0.03
    """Height difference that counts as down."""
    grip: float = 1.0
    gain: float = 25.0
    rise: float = 0.0
    """On the far side (larger y) of the thing, rise at least so high above it first; 0: never."""
    stages: int = 3

    def at(self, view: View) -> Step:
        """Above, down or slide."""
        point = view.thing + self.contact
        beside = float(np.linalg.norm((view.hand - point)[:2]))
        height = float(view.hand[2] - point[2])

        if abs(height) <= self.low and beside <= self.loose:
            left = share(float(np.linalg.norm(view.goal - view.thing)), 0.4)
            return Step(stage=2, target=point + self.along, grip=self.grip, left=left, gain=self.gain)
        if beside <= self.near:
            return Step(stage=1, target=point, grip=self.grip, left=share(abs(height), 0.3))
        if self.rise and view.hand[1] > point[1] + 0.02 and height < self.rise:
            return Step(stage=0, target=raised(view.hand, 0.2), grip=self.grip, left=1.0)
        return Step(stage=0, target=raised(point, self.hover), grip=self.grip, left=share(beside, 0.6))


Plan = Reach | Carry | Slide


def _over_the_bin(view: View) -> Point:
    """Lift, cross, lower: the bins have a wall between them."""
    bin_centre = np.array([0.12, 0.7, 0.05])
    across = float(np.linalg.norm((view.hand - bin_centre)[:2]))
    if across > 0.03 and view.hand[2] < 0.16:
        return np.array([view.hand[0], view.hand[1], 0.22])
    if across > 0.03:
        return np.array([bin_centre[0], bin_centre[1], 0.2])
    return bin_centre


def _through_the_hoop(view: View) -> Point:
    """Up first, then over the hoop."""
    hoop = np.array([view.goal[0], 0.875, 0.35])
    return hoop if view.thing[2] > hoop[2] - 0.03 else np.array([view.hand[0], view.hand[1], hoop[2] + 0.02])


def _into_the_hole(view: View) -> Point:
    """In front of the hole first, then along its axis."""
    # What must line up is the peg, wherever the fingers hold it.
    aligned = np.linalg.norm((view.thing - view.goal)[1:]) < 0.02
    peg = view.goal + ((-0.1, 0.0, 0.0) if aligned else (0.35, 0.0, 0.0))
    return view.hand + (peg - view.thing)


PLANS: dict[str, Plan] = {
    "reach-v3": Reach(),
    "push-v3": Carry(),
    "pick-place-v3": Carry(),
    "bin-picking-v3": Carry(
        offset=(0.0, 0.0, 0.02),
        hover=0.13,
        near=0.02,
        low=0.02,
        closed=0.7,
        via=_over_the_bin,
        within=((-0.16, 0.67, 0.0), (0.16, 0.73, 1.0)),
    ),
    "basketball-v3": Carry(
        offset=(0.0, 0.0, 0.01),
        hover=0.2,
        near=0.025,
        low=0.025,
        closed=0.85,
        via=_through_the_hoop,
        carry_care=0.5,
    ),
    "peg-insert-side-v3": Carry(
        hover=0.2,
        near=0.03,
        low=0.035,
        closed=0.6,
        via=_into_the_hole,
        carry_care=0.7,
    ),
    "door-open-v3": Slide(
        contact=(0.01, 0.02, 0.0),
        along=(-0.08, -0.03, 0.0),
        hover=0.2,
        near=0.06,
        loose=0.12,
        low=0.04,
    ),
    "drawer-open-v3": Slide(
        contact=(0.0, 0.0, -0.02),
        along=(0.0, -0.12, 0.0),
        hover=0.15,
        near=0.04,
        loose=0.08,
        low=0.03,
        grip=-1.0,
        gain=50.0,
    ),
    "drawer-close-v3": Slide(
        contact=(0.0, -0.075, -0.02),
        along=(0.0, 0.12, 0.0),
        hover=0.1,
        near=0.04,
        loose=0.1,
        low=0.04,
        rise=0.2,
    ),
    "button-press-topdown-v3": Slide(
        contact=(0.0, 0.0, 0.0),
        along=(0.0, 0.0, -0.1),
        hover=0.1,
        near=0.03,
        loose=0.04,
        low=0.02,
    ),
    "window-open-v3": Slide(
        contact=(-0.03, -0.03, -0.08),
        along=(0.12, 0.0, 0.0),
        hover=0.2,
        near=0.04,
        loose=0.08,
        low=0.03,
    ),
    "window-close-v3": Slide(
        contact=(0.03, -0.03, -0.08),
        along=(-0.12, 0.0, 0.0),
        hover=0.2,
        near=0.04,
        loose=0.08,
        low=0.03,
    ),
}
"""Tasks that have an operator."""
