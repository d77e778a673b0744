"""Actions seen in data -> bounds on actions to come: how far each dimension may go, and how fast.

    wanted [B, A] ──range──> in [low, high] ──rate──> at most `rate` from the action before ──> given [B, A]

What is within bounds passes bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from vantage.errors import VantageError


@dataclass(frozen=True, slots=True)
class Limited:
    """One dimension of one action that was changed."""

    row: int
    """Of the batch."""
    dimension: int
    by: str
    """range, rate, or missing (the policy gave no number)."""
    wanted: float
    given: float


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Bounds on actions, in the robot's units."""

    low: Float32[np.ndarray, "A"]
    high: Float32[np.ndarray, "A"]
    rate: Float32[np.ndarray, "A"]
    """The largest change from one control step to the next; infinite: any."""

    @classmethod
    def of(
        cls, actions: Float[np.ndarray, "N A"], starts: Bool[np.ndarray, "N"], margin: float = 0.1
    ) -> "Limits":
        """The range and the largest step of data, both wider by `margin` of themselves.

        `starts`: rows whose step from the row before does not count, because a person, another episode or a
        pause lies between.
        """
        wide = actions.astype(np.float64)
        low, high = wide.min(0), wide.max(0)
        steps = np.abs(np.diff(wide, axis=0))[~starts[1:]]
        rate = steps.max(0) if len(steps) else np.full(wide.shape[1], np.inf)

        slack = margin * (high - low)
        return cls(
            (low - slack).astype(np.float32),
            (high + slack).astype(np.float32),
            ((1 + margin) * rate).astype(np.float32),
        )

    def without(self, *, clamp: bool, rate: bool) -> "Limits":
        """The same bounds, of which `clamp` (the range) and `rate` say what is kept."""
        endless = np.full_like(self.low, np.inf)
        return Limits(
            self.low if clamp else -endless, self.high if clamp else endless, self.rate if rate else endless
        )

    def __call__(
        self, wanted: Float32[np.ndarray, "B A"], before: Float32[np.ndarray, "B A"] | None
    ) -> tuple[Float32[np.ndarray, "B A"], Sequence[Limited]]:
        """The actions that may be executed, and everything that was changed.

        `before`: what was executed at the control step before; None: nothing, and any step is allowed. Where
        the policy gives no number (NaN), the action before is kept. Raises VantageError where there is none.
        """
        missing = ~np.isfinite(wanted)
        if before is None and missing.any():
            raise VantageError(
                "the policy's first action is no number (NaN); check its checkpoint and its statistics"
            )
        usable = wanted if before is None else np.where(missing, before, wanted)

        given = np.minimum(np.maximum(usable, self.low), self.high)
        ranged = given != usable
        if before is not None:
            slowest, fastest = before - self.rate, before + self.rate
            given = np.minimum(np.maximum(given, slowest), fastest)

        changed = (given != wanted) | missing
        limited = [
            Limited(
                int(row), int(dim), _by(bool(missing[row, dim]), bool(ranged[row, dim])), *map(float, pair)
            )
            for row, dim in zip(*np.nonzero(changed), strict=True)
            for pair in [(wanted[row, dim], given[row, dim])]
        ]
        return given, limited


def _by(missing: bool, ranged: bool) -> str:
    if missing:
        return "missing"
    return "range" if ranged else "rate"
