"""A finished run of chunked PPO -> the rows that a study keeps of it: its checks on the way, its cost, and how hard its policy drives.

5-actor/checks.json ──> checks     one row per check on development starts
speed.json          ──> practice   environment steps, seconds playing, seconds learning
5-actor, played     ──> pace       one row per world: share of control steps at which the arm is at its speed limit
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
"""What a check says: environment steps so far, success, control steps of successes and of all trials, and whether its policy was kept."""
PACE_TRIALS = 20
"""Development starts per world on which the pace is measured, or as many as the run's own checks have, if fewer."""
AT_LIMIT = 0.95
"""A control step counts as driven at the limit where some axis of the hand is commanded to more than this share of its range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Practised:
    """Columns by table."""

    checks: Table = field(default_factory=dict[str, np.ndarray])
    """One row per check."""
    practice: Table = field(default_factory=dict[str, np.ndarray])
    """One row: what practice cost."""
    pace: Table = field(default_factory=dict[str, np.ndarray])
    """One row per world: how near to its speed limit the arm is driven."""


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
    """Per world, over the control steps of successes on development starts: how near to its limit the hand is driven.

    Worlds without a success have NaN.
    """
    checks = settings.practice.checks
    worlds = [replace(world, limit=checks.limit) for world in settings.worlds]
    starts = [
        Start(world, number, seed_for("development", place_of(world), trial))
        for number, world in enumerate(worlds)
        for trial in range(min(PACE_TRIALS, checks.per_world))
    ]
    played = play_group(Group(0, tuple(starts), actor, explores=False))

    rows: list[tuple[str, int, float, float, float]] = []
    for number, world in enumerate(worlds):
        won = np.flatnonzero((played.task == number) & played.success)
        chunks = np.isin(played.episode, won)
        # The first three numbers of an action move the hand; the fourth closes it.
        push = np.abs(played.action[chunks][played.executed[chunks]][:, :3]).max(axis=1) if len(won) else np.full(1, np.nan)
        at_limit = float((push > AT_LIMIT).mean()) if len(won) else float("nan")
        steps = float(played.steps[won].mean()) if len(won) else float("nan")
        rows.append((world.task, len(won), steps, at_limit, float(push.mean())))

    columns = zip(*rows, strict=True)
    return {name: np.array(column) for name, column in zip(("world", "successes", "steps", "at_limit", "push"), columns, strict=True)}
