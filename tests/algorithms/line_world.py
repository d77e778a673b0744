"""A known world: a point on a line, a goal, 0.1 per step at most. Its fastest policy can be written down."""

from dataclasses import dataclass

import numpy as np

from vantage.worlds.spec import MetaWorldSpec


class Line:
    """Implements `World`."""

    task = "line"
    fps = 10
    cameras = ()
    prompt = "go"
    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)

    def reset(self, seed: int) -> None:
        self.x, self.goal = np.random.default_rng(seed).uniform(-1, 1, 2)

    def step(self, action: np.ndarray) -> bool:
        self.x += 0.1 * float(np.clip(action[0], -1, 1))
        return bool(abs(self.x - self.goal) < 0.1)

    def proprioception(self) -> np.ndarray:
        return np.array([self.x], np.float32)

    def environment_state(self) -> np.ndarray:
        return np.array([self.x, self.goal], np.float32)

    def images(self) -> dict:
        return {}

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LineSpec(MetaWorldSpec):
    """Builds it."""

    def __call__(self) -> Line:
        return Line()
