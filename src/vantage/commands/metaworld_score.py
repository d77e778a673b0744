"""A checkpoint in, its MetaWorld score out, by one pinned protocol and by the rules that others report by.

Every trial is played once, to MetaWorld's own cap of 500 steps, and ends at its first success. What a shorter
cap would have counted follows from the same trials, so scores at different caps are of the same episodes.
What the rules leave open: docs/metaworld_protocol.md.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table as RichTable

from vantage.collect.pool import Pool
from vantage.core.stats import Interval, wilson
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.tables import Column, read_parquet
from vantage.seeding import seed_for
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.types import VantageError
from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.metaworld.world import TASKS
from vantage.worlds.spec import MetaWorldSpec, place_of

CAP = 500
"""MetaWorld's own: the longest that an episode may be."""
SUITES: Mapping[str, tuple[str, ...]] = {"MT10": MT10, "MT50": TASKS}


@dataclass(frozen=True, slots=True)
class Rules:
    """How somebody counts."""

    name: str
    cap: int
    """Control steps within which success counts."""


RULES = (
    Rules("cap 500", 500),
    Rules("cap 200", 200),
    Rules("cap 150", 150),
    Rules("cap 100, success once (RLinf)", 100),
    Rules("cap 400 (LeRobot)", 400),
    Rules("cap 400 (Evo-1)", 400),
)


@dataclass(frozen=True, slots=True)
class Score:
    """What one set of rules says of some trials."""

    success: Interval
    """Over all trials; tasks count the same, because they have the same number of trials."""
    steps: float
    """Mean over tasks of the mean steps of their successes; tasks without any are left out.

    NaN if there is none.
    """
    cost: float
    """Mean steps of all trials, failures counted at the cap."""


def worlds_of(suite: str) -> tuple[MetaWorldSpec, ...]:
    """The tasks of a suite at the cap. Raises VantageError for another name."""
    if suite not in SUITES:
        raise VantageError(f"there is no suite {suite!r}; there are {' and '.join(SUITES)}")
    return tuple(MetaWorldSpec(task, limit=CAP) for task in SUITES[suite])


def score(trials: Mapping[str, Column], cap: int) -> Score:
    """Count some trials under a cap.

    `trials` has the columns of 6-eval.parquet, played to `CAP` or to `cap` at least.
    """
    if int(trials["limit"].min()) < cap:
        raise VantageError(
            f"these trials were stopped after {int(trials['limit'].min())} steps, so nobody knows who solves them within {cap}"
        )
    steps = trials["steps"].astype(np.float64)
    won = trials["success"].astype(bool) & (steps <= cap)
    tasks = np.unique(trials["task"])
    means = [steps[won & (trials["task"] == task)].mean() for task in tasks if (won & (trials["task"] == task)).any()]
    return Score(
        wilson(int(won.sum()), len(won)), float(np.mean(means)) if means else float("nan"), float(np.where(won, steps, cap).mean())
    )


def starts_hash(worlds: tuple[MetaWorldSpec, ...], settings: Evaluation) -> str:
    """SHA-256 over the true states (to 1e-5) that all trials begin in: the same everywhere, or the scores do
    not compare."""
    found = hashlib.sha256()
    for spec in worlds:
        world = spec()
        for trial in range(settings.per_world):
            world.reset(seed_for(settings.suite, place_of(spec), trial))
            found.update(np.round(world.environment_state().astype(np.float64), 5).astype("<f4").tobytes())
        world.close()
    return found.hexdigest()


def play_suite(actor: Path, suite: str, out: Path, settings: Evaluation, *, pool: Pool) -> dict[str, Column]:
    """Play every trial of a suite into `out`, or read what is there; returns its columns.

    VantageError for trials of other starts.
    """
    worlds = worlds_of(suite)
    evaluate(actor, out, worlds, settings, pool=pool, title=suite)
    found = read_parquet(out, EVAL_COLUMNS)
    wanted = [seed_for(settings.suite, place_of(world), trial) for world in worlds for trial in range(settings.per_world)]
    if found["seed"].tolist() != wanted:
        raise VantageError(f"{out} holds trials of another suite, another number a task or other starts; name another file with --out")
    return found


def score_table(trials: Mapping[str, Column]) -> RichTable:
    """Everybody's rules over the same trials, then every task at the full cap."""
    table = RichTable(title=f"{len(trials['task'])} trials, {len(np.unique(trials['task']))} tasks", title_justify="left")
    for name in ("rules, or task at cap 500", "success", "95 % interval", "steps of successes", "failures at the cap"):
        table.add_column(name, justify="left" if name.startswith("rules") else "right")
    for rules in RULES:
        _row(table, rules.name, score(trials, rules.cap))
    table.add_section()
    for task in dict.fromkeys(trials["task"].tolist()):
        mine = trials["task"] == task
        _row(table, str(task), score({name: column[mine] for name, column in trials.items()}, CAP))
    return table


def _row(table: RichTable, name: str, found: Score) -> None:
    rate = found.success
    table.add_row(name, f"{rate.estimate:.3f}", f"{rate.low:.3f} to {rate.high:.3f}", f"{found.steps:.2f}", f"{found.cost:.2f}")
