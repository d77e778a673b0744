"""Stored rows of rounds -> what the rollouts of an arm have cost: episodes, minutes of robot and human."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from vantage.study.measure import Table
from vantage.study.plan import Gathered, Online
from vantage.study.rows import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutTime:
    """What the rollouts of an arm have cost, with all that it stands on; mean over tasks and seeds."""

    rollouts: float
    """Episodes."""
    robot_minutes: float
    """Control steps of the rollouts over the world's steps a second."""
    human_minutes: float
    """Those of them in which the operator drove."""


def rollout_time(results: Results, name: str) -> RolloutTime | None:
    """Rollouts and their minutes, of an arm and of all that it stands on.

    Tasks count the same. None for an arm without rollouts or without rows.
    """
    study, rounds = results.study, results.tables["rounds"]
    players = [arm.name for arm in study.ancestry(study.arm(name)) if isinstance(arm, Online | Gathered)]
    if not players or not rounds:
        return None

    means: list[list[float]] = []
    for task in study.tasks:
        seeds = _seeds(rounds, players, task.name)
        if not seeds:
            continue
        minute = 60.0 * task.worlds[0].fps
        chosen = (rounds["task"] == task.name) & np.isin(rounds["arm"], players)
        chosen &= np.isin(rounds["seed"], seeds)
        columns = (("episodes", 1.0), ("robot_steps", minute), ("human_steps", minute))
        means.append([float(rounds[column][chosen].sum()) / len(seeds) / unit for column, unit in columns])

    if not means:
        return None
    episodes, robot, human = np.mean(means, axis=0).tolist()
    return RolloutTime(rollouts=episodes, robot_minutes=robot, human_minutes=human)


def _seeds(rounds: Table, players: list[str], task: str) -> list[int]:
    """Seeds for which every one of some arms has rows on a task."""

    def of(arm: str) -> Bool[np.ndarray, "M"]:
        return (rounds["arm"] == arm) & (rounds["task"] == task)

    return sorted(set.intersection(*(set(rounds["seed"][of(arm)].tolist()) for arm in players)))
