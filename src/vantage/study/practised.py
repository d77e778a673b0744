"""A finished run of chunked PPO -> the rows that a study keeps of it: its checks on the way, its cost, and
how hard its policy drives the robot.

    5-actor/checks.json ──> checks     one row per check on development starts
    speed.json          ──> practice   environment steps, seconds of playing, seconds of learning
    5-actor, played     ──> pace       one row per world: share of control steps at the robot's speed limit
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.run import last_round
from vantage.disk.files import read_json
from vantage.practice.lockstep import Group, Start, play_group
from vantage.seeding import seed_for
from vantage.study.measure import Table
from vantage.worlds.spec import place_of

CHECKED = ("steps", "success", "length", "cost", "kept")
"""What a check says: environment steps so far, success, control steps of successes and of all trials, and
whether its policy was kept."""
PACE_TRIALS = 20
"""Development starts per world on which the pace is measured, or as many as the run's own checks have, if
those are fewer."""
AT_LIMIT = 0.95
"""A control step is at the limit where some axis of the hand is commanded to more than this share of its
range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Practised:
    """Columns by table."""

    checks: Table = field(default_factory=dict[str, np.ndarray])
    """One row per check."""
    practice: Table = field(default_factory=dict[str, np.ndarray])
    """One row: what practice cost."""
    pace: Table = field(default_factory=dict[str, np.ndarray])
    """One row per world: how near to its speed limit the robot is driven."""


def measure_practice(folder: Path, settings: ChunkedPPORun) -> Practised:
    """Read what a run has logged, and play its policy for the pace."""
    result = last_round(folder, settings)
    checks: Table = {}
    speed = {"steps": 0, "seconds_playing": 0.0, "seconds_learning": 0.0}
    if settings.practice.steps:
        logged = read_json(result.actor / "checks.json")
        checks = {name: np.array([check[name] for check in logged]) for name in CHECKED}
        speed = read_json(result.folder / "speed.json")

    practice: Table = {
        "env_steps": np.array([int(speed["steps"])]),
        "playing": np.array([float(speed["seconds_playing"])]),
        "learning": np.array([float(speed["seconds_learning"])]),
    }
    return Practised(checks=checks, practice=practice, pace=measure_pace(result.actor, settings))


def measure_pace(actor: Path, settings: ChunkedPPORun) -> Table:
    """How near to its speed limit a policy drives the robot, per world: a mean over the control steps of its
    successes on development starts. NaN in worlds without a success."""
    checks = settings.practice.checks
    worlds = [replace(world, limit=checks.limit) for world in settings.worlds]
    starts = [
        Start(world, number, seed_for("development", place_of(world), trial))
        for number, world in enumerate(worlds)
        for trial in range(min(PACE_TRIALS, checks.per_world))
    ]
    played = play_group(Group(0, tuple(starts), actor, explores=False))

    columns: dict[str, list[str | int | float]] = {
        "world": [],
        "successes": [],
        "steps": [],
        "at_limit": [],
        "push": [],
    }
    for number, world in enumerate(worlds):
        won = np.flatnonzero((played.task == number) & played.success)
        steps, at_limit, push = float("nan"), float("nan"), float("nan")
        if len(won):
            chunks = np.isin(played.episode, won)
            # The first three numbers of an action move the hand; the fourth closes it.
            hand = np.abs(played.action[chunks][played.executed[chunks]][:, :3]).max(axis=1)
            steps, at_limit, push = played.steps[won].mean(), (hand > AT_LIMIT).mean(), hand.mean()

        row = (world.task, len(won), float(steps), float(at_limit), float(push))
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return {name: np.array(column) for name, column in columns.items()}
