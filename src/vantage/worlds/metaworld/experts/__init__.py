"""Scripted operators: demonstrators and rescuers for the tasks that have a plan.

state ──Plan.at──> which stage, where to, how far ──Hand──> a human-like action
"""

import numpy as np
from jaxtyping import Float32

from vantage.types import VantageError
from vantage.worlds.metaworld.experts.plans import PLANS, Step, View
from vantage.worlds.metaworld.experts.style import CLEAN, DEMONSTRATOR, RESCUER, Hand, Style

__all__ = ["CLEAN", "DEMONSTRATOR", "OPERATED", "RESCUER", "Expert", "Style"]

OPERATED = tuple(PLANS)
"""Tasks that have a plan; the others are operated by MetaWorld's own policies (stock.py)."""


class Expert:
    """An operator for one task by its plan; may take over in any state, at any time."""

    def __init__(self, task: str) -> None:
        """Raises VantageError for a task without a plan."""
        if task not in PLANS:
            raise VantageError(f"there is no plan for {task!r}; there are plans for {', '.join(PLANS)}")
        self._plan = PLANS[task]
        self.reset(np.random.default_rng(0), CLEAN)

    def reset(self, rng: np.random.Generator, style: Style) -> None:
        """A new episode, with a new hand."""
        self._hand = Hand(style, rng)
        self._letting_go = 0
        self._gripped = False

    def stage(self, state: Float32[np.ndarray, "39"]) -> int:
        """0, 1, 2 ...: which stage of the task this state is in."""
        return self._plan.at(view_of(state)).stage

    def progress(self, state: Float32[np.ndarray, "39"]) -> float:
        """Stages done, and the share done of this one."""
        step = self._plan.at(view_of(state))
        return step.stage + 1.0 - step.left

    def act(self, state: Float32[np.ndarray, "39"]) -> Float32[np.ndarray, "4"]:
        """The action that is executed: hand motion (1 = 1 cm per step) and gripper effort, in [-1, 1]."""
        view = view_of(state)
        step = self._plan.at(view)
        wanted = np.clip(step.gain * (step.target + self._hand.misjudged - view.hand), -1.0, 1.0)
        if step.care == 1.0:
            wanted = np.clip(wanted, -0.2, 0.2)
        action = np.append(self._hand.move(wanted, care=step.care), self._grip(step))
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _grip(self, step: Step) -> float:
        """The plan's grip; now and then a human lets go once and grasps again."""
        closing = step.grip > 0 and self._plan.stages == 4
        if closing and not self._gripped and self._hand.slips():
            self._letting_go = 6
        self._gripped = closing
        if self._letting_go:
            self._letting_go -= 1
            return -1.0
        return step.grip


def view_of(state: Float32[np.ndarray, "39"]) -> View:
    """The parts of MetaWorld's observation that plans look at."""
    wide = state.astype(np.float64)
    return View(hand=wide[:3], opening=float(wide[3]), thing=wide[4:7], goal=wide[36:39])
