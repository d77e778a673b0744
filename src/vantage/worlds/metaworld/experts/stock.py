"""MetaWorld's own scripted policies: as they are, the demonstrators that published MetaWorld numbers have
learned from, and as operators of the tasks that no plan of ours knows.

state ──ENV_POLICY_MAP──> what a machine would do ──Hand──> a human-like action
                                                  └─stuck?─> rise with an open hand, and begin again
"""

import warnings

import numpy as np
from jaxtyping import Float32
from metaworld.policies import ENV_POLICY_MAP

from vantage.types import VantageError
from vantage.worlds.metaworld.experts.style import CLEAN, Hand, Style

# Its policies ask for more than the limits of the action.
warnings.filterwarnings("ignore", message="Constant.s. may be too high", module="metaworld")


class StockExpert:
    """The policy that MetaWorld ships for a task: fast, without noise, not always successful."""

    def __init__(self, task: str) -> None:
        """Raises VantageError for a task that MetaWorld has no policy for."""
        if task not in ENV_POLICY_MAP:
            known = ", ".join(sorted(ENV_POLICY_MAP))
            raise VantageError(f"MetaWorld has no scripted policy for {task}; it has them for {known}")
        self._policy = ENV_POLICY_MAP[task]()

    def act(self, state: Float32[np.ndarray, "39"]) -> Float32[np.ndarray, "4"]:
        """Its action, within the limits."""
        # A copy, because the policy for door-open writes into what it is given.
        action = self._policy.get_action(state.astype(np.float64))
        return np.clip(action, -1.0, 1.0).astype(np.float32)


NEAR = 0.1
"""Metres from hand to thing at which the hand has come to it: the first of two stages."""
GAIN = 0.02
"""Least progress that counts."""
PATIENCE, RISE = 90, 25
"""Control steps without progress before the hand rises, and for how many it does."""


class StockOperator:
    """MetaWorld's own policy of a task as an operator who may take over in any state.

    Where the hand gets nowhere for a while (it presses on a thing that it should be beside, or has lost it),
    it opens, rises, and the policy begins again from above: the policy itself would go on pressing.
    """

    def __init__(self, task: str) -> None:
        """Raises VantageError for a task that MetaWorld has no policy for."""
        self._task = task
        self.reset(np.random.default_rng(0), CLEAN)

    def reset(self, rng: np.random.Generator, style: Style) -> None:
        """A new episode, with a new hand."""
        self._policy, self._hand = StockExpert(self._task), Hand(style, rng)
        self._best, self._waited, self._rising = -np.inf, 0, 0

    def stage(self, state: Float32[np.ndarray, "39"]) -> int:
        """0 until the hand has come to the thing, then 1."""
        return int(_apart(state)[0] < NEAR)

    def progress(self, state: Float32[np.ndarray, "39"]) -> float:
        """From 0 to 2: how near the hand is to the thing, and the thing to its goal.

        By distances alone, for any task: a hand that must first go around something makes none meanwhile.
        """
        hand_to_thing, thing_to_goal = _apart(state)
        return float(np.exp(-5 * max(hand_to_thing - NEAR / 2, 0)) + np.exp(-5 * thing_to_goal))

    def act(self, state: Float32[np.ndarray, "39"]) -> Float32[np.ndarray, "4"]:
        """The action that is executed: hand motion (1 = 1 cm per step) and gripper effort, in [-1, 1]."""
        if self._is_stuck(state):
            self._rising = RISE
        if self._rising:
            self._rising -= 1
            return np.append(self._hand.move(np.array([0.0, 0.0, 1.0]), care=0.0), -1.0).astype(np.float32)
        action = self._policy.act(state).astype(np.float64)
        care = 1.0 if self.stage(state) else 0.5  # a person does not tremble where it counts
        return np.clip(np.append(self._hand.move(action[:3], care=care), action[3]), -1, 1).astype(np.float32)

    def _is_stuck(self, state: Float32[np.ndarray, "39"]) -> bool:
        """Whether nothing has been gained for long; counts from there again."""
        progress = self.progress(state)
        self._waited += 1
        if progress > self._best + GAIN:
            self._best, self._waited = progress, 0
        if self._waited < PATIENCE:
            return False
        self._best, self._waited = progress, 0
        return True


def _apart(state: Float32[np.ndarray, "39"]) -> tuple[float, float]:
    """Metres from the hand to the thing, and from the thing to its goal."""
    hand, thing, goal = state[:3], state[4:7], state[36:39]
    return float(np.linalg.norm(hand - thing)), float(np.linalg.norm(thing - goal))
