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
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.tables import Column, read_parquet
from vantage.seeding import seed_for
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.study.caps import Score, score
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


def worlds_of(suite: str) -> tuple[MetaWorldSpec, ...]:
    """The tasks of a suite at the cap. Raises VantageError for another name."""
    if suite not in SUITES:
        raise VantageError(f"there is no suite {suite!r}; there are {' and '.join(SUITES)}")
    return tuple(MetaWorldSpec(task, limit=CAP) for task in SUITES[suite])


def starts_hash(worlds: tuple[MetaWorldSpec, ...], settings: Evaluation) -> str:
    """SHA-256 over the true states (to 1e-5) that all trials begin in.

    It is the same on every machine, or the scores do not compare.
    """
    digest = hashlib.sha256()
    for spec in worlds:
        world = spec()
        for trial in range(settings.per_world):
            world.reset(seed_for(settings.suite, place_of(spec), trial))
            state = np.round(world.environment_state().astype(np.float64), 5)
            digest.update(state.astype("<f4").tobytes())
        world.close()
    return digest.hexdigest()


def play_suite(actor: Path, suite: str, out: Path, settings: Evaluation, *, pool: Pool) -> dict[str, Column]:
    """Play every trial of a suite into `out`, or read what is there; returns its columns.

    Raises VantageError for trials of other starts.
    """
    worlds = worlds_of(suite)
    evaluate(actor, out, worlds, settings, pool=pool, title=suite)
    trials = read_parquet(out, EVAL_COLUMNS)

    count = range(settings.per_world)
    wanted = [seed_for(settings.suite, place_of(world), number) for world in worlds for number in count]
    if trials["seed"].tolist() != wanted:
        fault = f"{out} holds trials of another suite, another number a task or other starts"
        raise VantageError(f"{fault}; name another file with --out")
    return trials


def score_table(trials: Mapping[str, Column]) -> RichTable:
    """Everybody's rules over the same trials, then every task at the full cap."""
    title = f"{len(trials['task'])} trials, {len(np.unique(trials['task']))} tasks"
    table = RichTable(title=title, title_justify="left")
    table.add_column("rules, or task at cap 500", justify="left")
    for name in ("success", "95 % interval", "steps of successes", "failures at the cap"):
        table.add_column(name, justify="right")

    for rules in RULES:
        _row(table, rules.name, score(trials, rules.cap))
    table.add_section()
    for task in dict.fromkeys(trials["task"].tolist()):
        rows = trials["task"] == task
        _row(table, str(task), score({name: column[rows] for name, column in trials.items()}, CAP))
    return table


def _row(table: RichTable, name: str, result: Score) -> None:
    rate = result.success
    interval = f"{rate.low:.3f} to {rate.high:.3f}"
    table.add_row(name, f"{rate.estimate:.3f}", interval, f"{result.steps:.2f}", f"{result.cost:.2f}")
