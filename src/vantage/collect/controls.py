"""Keys and sticks held -> an action, one `Axis` for every dimension of it.

    "push a d"    as far from the middle as the keys or the stick say, and back to the middle when let go
    "latch q e"   the lower limit after one key, the upper after the other, until the next of them
    "move j l"    moves while held and stays where it was let go: for targets, such as joint angles
    "still"       has no key: it stays where it was

Shift makes what is held a quarter as strong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from jaxtyping import Float32

from vantage.errors import VantageError

Kind = Literal["push", "latch", "move", "still"]

FINE = 0.25
"""What shift leaves of a deflection."""
SWEEP = 0.25
"""Share of its range that an axis moves in a second at full deflection."""
PAIRS = (
    *("a d", "s w", "f r", "q e", "z c", "v g", "j l", "k i", "h y", "u o", "n m", "t p"),
    *("1 2", "3 4", "5 6", "7 8", "9 0"),
)
"""Keys of the dimensions in their order, where nobody names others: less, more."""
TAKEN = ("space", "b", "x", "enter", "escape", "shift", "?")
"""Keys that mean something else on the page."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a person holds at one moment."""

    keys: frozenset[str] = frozenset()
    """Names of keys as a browser gives them, in small letters; the space bar is ``space``."""
    analog: tuple[float, ...] = ()
    """Deflections of a gamepad from -1 to 1, one for every dimension of the action as far as they go."""
    number: int = 0
    """Counts what was sent; a picture says up to which number it has answered."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How one dimension of the action is held."""

    kind: Kind
    less: str = ""
    more: str = ""

    def deflection(self, held: Held, dimension: int) -> float:
        """From -1 to 1, by key and by stick together."""
        keys = float(self.more in held.keys) - float(self.less in held.keys)
        stick = held.analog[dimension] if dimension < len(held.analog) else 0.0
        fine = FINE if "shift" in held.keys else 1.0
        return fine * min(max(keys + stick, -1.0), 1.0)


def read_axes(words: Sequence[str]) -> tuple[Axis, ...]:
    """Axes as they are typed, ``push a d``. Raises VantageError for one that is none, or a key that is
    named twice or means something else."""
    axes: list[Axis] = []
    keys: set[str] = set()
    for text in words:
        match text.lower().split():
            case ["still"]:
                axes.append(Axis("still"))
            case [kind, less, more] if kind in get_args(Kind) and kind != "still":
                for key in (less, more):
                    if key in keys or key in TAKEN:
                        raise VantageError(f"the key {key!r} of the axis {text!r} has a meaning already")
                    keys.add(key)
                axes.append(Axis(cast(Kind, kind), less, more))
            case _:
                raise VantageError(
                    f"{text!r} is no axis; write `push a d`, `latch q e`, `move j l` (the keys for less and "
                    "for more) or `still`, one for every dimension of the action"
                )
    return tuple(axes)


def usual_axes(low: Float32[np.ndarray, "A"], high: Float32[np.ndarray, "A"]) -> tuple[Axis, ...]:
    """Axes of an action of which only the limits are known.

    Where all limits are -1 and 1 the action is taken as a velocity (`push`), and the last of four as a
    gripper (`latch`); otherwise as a target (`move`). Raises VantageError where there are more dimensions
    than pairs of keys.
    """
    if len(low) > len(PAIRS):
        raise VantageError(
            f"the action has {len(low)} dimensions, and there are keys for {len(PAIRS)}; name the axes, "
            "those that nobody needs as `still`"
        )
    velocity = bool((low == -1).all() and (high == 1).all())
    kinds: list[Kind] = ["push" if velocity else "move"] * len(low)
    if velocity and len(low) == 4:
        kinds[-1] = "latch"
    return tuple(Axis(kind, *keys.split()) for kind, keys in zip(kinds, PAIRS, strict=False))


class Stick:
    """All axes of one hand, in one episode."""

    def __init__(
        self,
        axes: Sequence[Axis],
        low: Float32[np.ndarray, "A"],
        high: Float32[np.ndarray, "A"],
        fps: float,
    ) -> None:
        """Raises VantageError where there is not one axis for every dimension."""
        if len(axes) != len(low):
            raise VantageError(
                f"{len(axes)} axes are named, and the action has {len(low)} dimensions; name one for each"
            )
        self._axes, self._low, self._high, self._fps = tuple(axes), low, high, fps
        self._value = ((low + high) / 2).astype(np.float32)

    def take_hold(self, last: Float32[np.ndarray, "A"]) -> None:
        """Begin where the hand is: `last` is the action that was executed before this one."""
        self._value = np.clip(last, self._low, self._high).astype(np.float32)
        for dimension, axis in enumerate(self._axes):
            if axis.kind == "latch":
                middle = (self._low[dimension] + self._high[dimension]) / 2
                shut = self._value[dimension] > middle
                self._value[dimension] = self._high[dimension] if shut else self._low[dimension]

    def action(self, held: Held) -> Float32[np.ndarray, "A"]:
        """The action of this control step."""
        for dimension, axis in enumerate(self._axes):
            low, high = float(self._low[dimension]), float(self._high[dimension])
            deflection = axis.deflection(held, dimension)
            match axis.kind:
                case "push":
                    self._value[dimension] = (low + high) / 2 + deflection * (high - low) / 2
                case "latch":
                    if abs(deflection) > FINE / 2:
                        self._value[dimension] = high if deflection > 0 else low
                case "move":
                    moved = float(self._value[dimension]) + deflection * SWEEP * (high - low) / self._fps
                    self._value[dimension] = min(max(moved, low), high)
                case "still":
                    pass
        return self._value.copy()
