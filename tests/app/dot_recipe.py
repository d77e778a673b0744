"""A dot that a person can push to the right edge of its only picture, as a recipe of one's own."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from vantage import RECIPES, DemonstrateWith, Demonstrations, Evaluation, FlowConfig, PolicyFit, Rollouts
from vantage.learn.critic.fit import CriticFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.worlds.protocol import WorldInputs

SIDE = 32
GREY, WHITE = 60, 250


class Dot:
    """It is solved where x reaches 1. The column of the white dot says where it is."""

    task, prompt, fps, cameras = "dot", "push the dot to the right", 40, ("side",)
    action_low, action_high = -np.ones(1, np.float32), np.ones(1, np.float32)

    def reset(self, seed: int) -> None:
        self.x = float(np.random.default_rng(seed).uniform(0.1, 0.2))

    def step(self, action: np.ndarray) -> bool:
        self.x = min(max(self.x + 0.02 * float(action[0]), 0.0), 1.0)
        return self.x >= 1.0

    def proprioception(self) -> np.ndarray:
        return np.array([self.x], np.float32)

    environment_state = proprioception

    def images(self) -> dict[str, np.ndarray]:
        picture = np.full((SIDE, SIDE, 3), GREY, np.uint8)
        column = round(self.x * (SIDE - 1))
        picture[:, max(0, column - 2) : column + 3] = WHITE
        return {"side": picture}

    def close(self) -> None: ...


@dataclass(frozen=True)
class DotSpec:
    task: str = "dot"
    limit: int = 600
    fps: ClassVar[int] = 40
    robot: ClassVar[str] = "dot"
    inputs: ClassVar[WorldInputs] = WorldInputs(
        cameras={"side": (SIDE, SIDE)}, state_dim=1, environment_dim=1, action_dim=1
    )

    def __call__(self) -> Dot:
        return Dot()


@dataclass(frozen=True)
class Right:
    """Pushes to the right."""

    def __call__(self, rng: np.random.Generator) -> "Right":
        return self

    def act(self, state: np.ndarray) -> np.ndarray:
        return np.ones(1, np.float32)

    def progress(self, state: np.ndarray) -> float:
        return float(state[0])


def make():
    """Two demonstrations, one round of four rollouts, hardly any training."""
    start = RECIPES["debug"]()
    net = NetConfig(sight=TrueState(dim=1, width=8), state_dim=1, action_dim=1, width=8, chunk=2, execute=2)
    fit = PolicyFit(steps=2)
    return replace(
        start,
        worlds=(DotSpec(),),
        policy=FlowConfig(net=net),
        supervision=replace(
            start.supervision, demonstrations=Demonstrations(2, DemonstrateWith(Right())), supervised=fit
        ),
        rounds=1,
        rollouts=Rollouts(4),
        improvement=replace(start.improvement, critic=CriticFit(steps=2), fit=fit),
        evaluation=Evaluation(per_world=1),
    )
