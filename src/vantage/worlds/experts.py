"""Scripted experts of simulated tasks by the task's name, whatever the simulator."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from vantage.worlds.bimanual.spec import TASKS as BIMANUAL
from vantage.worlds.metaworld.experts import OPERATED
from vantage.worlds.metaworld.experts import Expert as MetaWorldExpert
from vantage.worlds.metaworld.experts.style import Style


@runtime_checkable
class Expert(Protocol):
    """An operator for one task; may take over in any state, at any time."""

    def reset(self, rng: np.random.Generator, style: Style) -> None:
        """A new episode, with a new hand."""
        ...

    def stage(self, state: Float32[np.ndarray, "E"]) -> int:
        """0, 1, 2 ...: which stage of the task this state is in."""
        ...

    def progress(self, state: Float32[np.ndarray, "E"]) -> float:
        """Stages done, and the share done of this one."""
        ...

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        """The action that is executed, within the world's limits."""
        ...


def expert_for(task: str) -> Expert:
    """The expert of a task: a plan of ours, or MetaWorld's own policy with a human-like hand.

    Raises VantageError for a task that nobody can operate.
    """
    if task in BIMANUAL:
        from vantage.worlds.bimanual.build import build_expert  # the simulator is an extra

        return build_expert(task)
    if task in OPERATED:
        return MetaWorldExpert(task)

    from vantage.worlds.metaworld.experts.stock import StockOperator  # the simulator is an extra
    from vantage.worlds.metaworld.world import check_task

    check_task(task)
    return StockOperator(task)
