"""How human an operator is: speed, pauses, tremor, second grasps.

Imperfections are part of what is executed and recorded.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Imperfections of one operator. Zeros everywhere: a machine."""

    speed: tuple[float, float]
    """Range of the largest action component; redrawn now and then."""
    change_of_speed: float
    """Probability per step of a new speed."""
    pause: float
    """Probability per step of a pause."""
    pause_steps: tuple[int, int]
    """Length of a pause, ends included."""
    tremor: float
    """Standard deviation of the noise on the hand's action (Ornstein-Uhlenbeck, 6 steps' memory)."""
    regrasp: float
    """Probability, per grasp, of letting go once and grasping again."""
    aim: float
    """Standard deviation (m) of a constant misjudgement of where things are, per episode."""


CLEAN = Style(speed=(0.9, 0.9), change_of_speed=0, pause=0, pause_steps=(0, 0), tremor=0, regrasp=0, aim=0)
DEMONSTRATOR = Style(
    speed=(0.45, 0.9),
    change_of_speed=0.03,
    pause=0.012,
    pause_steps=(5, 19),
    tremor=0.19,
    regrasp=0.15,
    aim=0.003,
)
RESCUER = Style(
    speed=(0.7, 0.95),
    change_of_speed=0.01,
    pause=0.004,
    pause_steps=(5, 12),
    tremor=0.06,
    regrasp=0.04,
    aim=0.001,
)


class Hand:
    """Turns what a perfect operator would do into what a human does."""

    def __init__(self, style: Style, rng: np.random.Generator) -> None:
        """One hand for one episode."""
        self._style, self._rng = style, rng
        self._speed = rng.uniform(*style.speed)
        self._pause = 0
        self._tremor = np.zeros(3)
        self.misjudged = rng.normal(0, style.aim, 3) if style.aim else np.zeros(3)

    def move(self, wanted: Float64[np.ndarray, "3"], *, care: float) -> Float64[np.ndarray, "3"]:
        """Cap the speed, pause, tremble.

        `care`, 0 to 1: how delicate the moment is, which damps the tremor.
        """
        style, rng = self._style, self._rng

        if rng.random() < style.change_of_speed:
            self._speed = rng.uniform(*style.speed)
        fastest = np.abs(wanted).max()
        action = wanted * (self._speed / fastest) if fastest > self._speed else wanted

        if self._pause > 0:
            self._pause -= 1
            action = np.zeros(3)
        elif rng.random() < style.pause:
            self._pause = int(rng.integers(style.pause_steps[0], style.pause_steps[1] + 1))

        # 0.527 = sqrt(1 - 0.85^2), so that the standard deviation stays `style.tremor`.
        self._tremor = 0.85 * self._tremor + rng.normal(0, 0.527 * style.tremor, 3)
        return action + (1.0 - care) * self._tremor

    def slips(self) -> bool:
        """Whether this grasp is let go once."""
        return bool(self._rng.random() < self._style.regrasp)
