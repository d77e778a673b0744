"""Gradient step -> learning rate. Pure functions of the step: a resumed run has nothing to restore."""

import math
from dataclasses import dataclass


def half_cosine(progress: float, *, floor: float = 0.0) -> float:
    """From 1 at `progress` 0 to `floor` at 1: floor + (1 - floor) (1 + cos(pi progress)) / 2."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Linear warm-up to `peak`, then half a cosine down to ``floor * peak`` at `total` steps, and flat
    after it."""

    peak: float
    """Highest value, reached on step `warm_up`."""
    total: int
    """Steps to the floor, warm-up included."""
    warm_up: int = 0
    """Steps of linear rise; step s gives ``peak * (s + 1) / (warm_up + 1)``, never 0."""
    floor: float = 0.0
    """Share of the peak that is left at the end; 1: constant after the warm-up."""

    def __call__(self, step: int) -> float:
        """Value at `step`, counted from 0."""
        if step < self.warm_up:
            return self.peak * (step + 1) / (self.warm_up + 1)
        progress = min(1.0, (step - self.warm_up) / max(1, self.total - self.warm_up))
        return self.peak * half_cosine(progress, floor=self.floor)
