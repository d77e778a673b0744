"""Trials of a study -> rates, differences and their uncertainty. All is paired: the same seeds and starts.

    rows ──grid──> per world: success [S seeds, N starts], steps [S, N]
                   ──contrast──> difference, probability of improvement, power

Intervals are 95 % crossed bootstraps: in every world, seeds and starts are both drawn again (the "pigeonhole"
bootstrap of Owen 2007, Annals of Applied Statistics 1:386-411, which errs on the wide side), and worlds are
averaged, each counting the same. A task is one world, or a suite of worlds in which one policy is evaluated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from vantage.core.stats import Interval, normal_quantile
from vantage.study.measure import Table

DRAWS = 4000
"""Bootstrap replications."""
FLIPS = 20_000
"""Sign flips where there are too many cells to try all."""
LEVEL, POWER = 0.95, 0.8
"""Level of every interval, and the power that "detectable" speaks of."""
DETECTABLE = normal_quantile(0.5 + LEVEL / 2) + normal_quantile(POWER)
"""Standard errors that a difference must measure to be found at the level with the power: 1.96 + 0.84."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One arm in one world."""

    task: str
    """The task that the world belongs to."""
    seeds: Int64[np.ndarray, "S"]
    success: Bool[np.ndarray, "S N"]
    steps: Int64[np.ndarray, "S N"]
    """Control steps; the limit where it failed."""

    def of(self, seeds: Int64[np.ndarray, "R"]) -> "Grid":
        """The rows of some of its seeds, in their order."""
        rows = np.searchsorted(self.seeds, seeds)
        return Grid(task=self.task, seeds=seeds, success=self.success[rows], steps=self.steps[rows])


def grids(trials: Table, arm: str) -> dict[str, Grid]:
    """World -> what an arm did there, seeds in order. Worlds without finished cells are absent."""
    own = trials["arm"] == arm if trials else np.zeros(0, bool)
    if not own.any():
        return {}

    by_world: dict[str, Grid] = {}
    for world in np.unique(trials["world"][own]):
        rows = np.flatnonzero(own & (trials["world"] == world))
        order = rows[np.lexsort((trials["trial"][rows], trials["seed"][rows]))]

        seeds = np.unique(trials["seed"][order])
        success = trials["success"][order].astype(bool).reshape(len(seeds), -1)
        steps, limit = (trials[name][order].reshape(success.shape) for name in ("steps", "limit"))
        by_world[str(world)] = Grid(
            task=str(trials["task"][order[0]]),
            seeds=seeds.astype(np.int64),
            success=success,
            steps=np.where(success, steps, limit).astype(np.int64),
        )
    return by_world


def task_grids(trials: Table, arm: str) -> dict[str, Grid]:
    """Task -> what an arm did there, the starts of all its worlds side by side."""
    by_world = grids(trials, arm)
    by_task: dict[str, Grid] = {}
    for task, worlds in worlds_by_task(by_world).items():
        by_task[task] = Grid(
            task=task,
            seeds=by_world[worlds[0]].seeds,  # those of every world: a cell plays in all of its task
            success=np.concatenate([by_world[world].success for world in worlds], axis=1),
            steps=np.concatenate([by_world[world].steps for world in worlds], axis=1),
        )
    return by_task


def pair(ours: dict[str, Grid], theirs: dict[str, Grid]) -> dict[str, tuple[Grid, Grid]]:
    """World -> both arms on the seeds that both have finished."""
    pairs: dict[str, tuple[Grid, Grid]] = {}
    for world in ours:
        if world in theirs:
            seeds = np.intersect1d(ours[world].seeds, theirs[world].seeds)
            if len(seeds):
                pairs[world] = (ours[world].of(seeds), theirs[world].of(seeds))
    return pairs


def worlds_by_task(grids: Mapping[str, Grid]) -> dict[str, list[str]]:
    """Task -> its worlds."""
    worlds: dict[str, list[str]] = {}
    for world, grid in grids.items():
        worlds.setdefault(grid.task, []).append(world)
    return worlds


def cells_in(grids: Mapping[str, Grid]) -> int:
    """Pairs of task and seed."""
    by_task = worlds_by_task(grids).values()
    return sum(max(len(grids[world].seeds) for world in worlds) for worlds in by_task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One arm beside another."""

    ours: str
    theirs: str
    difference: Interval
    """Success rate of ours minus theirs; n = pairs of cells."""
    by_task: dict[str, float]
    improvement: Interval
    """Probability that a run of ours beats a run of theirs on the same task; n = pairs of cells.

    Source: Agarwal et al. 2021, NeurIPS.
    """
    shared_steps: Interval
    """Steps of ours minus theirs on the starts that both solve with the same seed; n = those starts."""
    limit_steps: Interval
    """The same over all starts, failures counted at the limit."""
    detectable: float
    """The difference in success that would be significant at the 5 % level with 80 % power, for cells that
    scatter as these do; NaN where a task has one seed."""
    p: float
    """Chance of a difference in success as large as this, either way, between arms that are alike.

    By the paired sign-flip test over cells, which assumes nothing of their scatter and takes the starts as
    they are. Never below 2^(1 - cells).
    """


def contrast(trials: Table, ours: str, theirs: str, *, seed: int = 0) -> Contrast | None:
    """Compare two arms on everything that both have finished; None where that is nothing."""
    pairs = pair(grids(trials, ours), grids(trials, theirs))
    if not pairs:
        return None

    # Per world, ours minus theirs on every seed and start.
    change = {task: a.success.astype(np.float64) - b.success for task, (a, b) in pairs.items()}
    both = {task: (a.success & b.success).astype(np.float64) for task, (a, b) in pairs.items()}
    steps = {task: (a.steps - b.steps).astype(np.float64) for task, (a, b) in pairs.items()}
    solved = {task: both[task] * steps[task] for task in steps}

    weights, rng = _resample((seed, 5), change)
    ones = {task: np.ones_like(matrix) for task, matrix in change.items()}
    ours_in = {world: first for world, (first, _) in pairs.items()}
    cells, tasks = cells_in(ours_in), worlds_by_task(ours_in)

    difference, spread = _ratio(change, ones, weights, cells)
    shared, _ = _ratio(solved, both, weights, int(sum(matrix.sum() for matrix in both.values())))
    limit, _ = _ratio(steps, ones, weights, sum(matrix.size for matrix in steps.values()))
    return Contrast(
        ours=ours,
        theirs=theirs,
        difference=difference,
        by_task={
            task: float(np.mean([change[world].mean() for world in worlds])) for task, worlds in tasks.items()
        },
        improvement=_improvement(pairs, weights, cells),
        shared_steps=shared,
        limit_steps=limit,
        detectable=DETECTABLE * spread,
        p=_p_value([[change[world] for world in worlds] for worlds in tasks.values()], rng),
    )


def hold_together(contrasts: Sequence[Contrast], level: float = 0.05) -> list[bool]:
    """Which differences in success are significant when all are tested together.

    By Holm's procedure (1979, Scand. J. Statistics 6:65-70): sorted by p, the k-th smallest of m must lie
    below level / (m - k), k from 0; the first that does not, and all behind it, are not significant.
    """
    order = sorted(range(len(contrasts)), key=lambda number: contrasts[number].p)
    stands = [False] * len(contrasts)
    for k, number in enumerate(order):
        if contrasts[number].p > level / (len(order) - k):
            break
        stands[number] = True
    return stands


def _p_value(change: Sequence[Sequence[Float64[np.ndarray, "_ _"]]], rng: np.random.Generator) -> float:
    """Paired sign-flip test: between arms that are alike, the difference in every cell could have either
    sign.

    `change`: per task, the differences in its worlds, whose rows are the same seeds; a cell is one seed in
    all worlds of a task. Every cell is flipped by itself, also where tasks share a seed (docs/study.md).
    """
    by_task = [np.sum([matrix.mean(axis=1) / len(matrix) for matrix in worlds], axis=0) for worlds in change]
    parts = np.concatenate(by_task)
    count = len(parts)

    # All signs where there are few cells, else a sample of them.
    if exact := count <= 16:
        signs = 1.0 - 2.0 * (np.arange(1 << count)[:, None] >> np.arange(count) & 1)
    else:
        signs = rng.choice((-1.0, 1.0), (FLIPS, count))

    as_far = int((np.abs(signs @ parts) >= abs(parts.sum()) - 1e-12).sum())
    return as_far / len(signs) if exact else (as_far + 1) / (len(signs) + 1)


Weights = tuple[Float64[np.ndarray, "R S"], Float64[np.ndarray, "R N"]]


def _resample(
    seed: tuple[int, int],
    matrices: Mapping[str, Float64[np.ndarray, "_ _"]],
) -> tuple[dict[str, Weights], np.random.Generator]:
    """How often each seed and each start of some matrices appears in each replication.

    And the generator after these draws, for more of them.
    """
    weights, state = _draw(seed, tuple(matrix.shape for matrix in matrices.values()))
    rng = np.random.default_rng()
    rng.bit_generator.state = state
    return dict(zip(matrices, weights, strict=True)), rng


@lru_cache(maxsize=4)
def _draw(
    seed: tuple[int, int], shapes: tuple[tuple[int, ...], ...]
) -> tuple[tuple[Weights, ...], dict[str, Any]]:
    """The draws for matrices of some shapes, and the state of the generator behind them.

    Most arms of a study have as many seeds and starts as the last one, and drawing takes longer than all that
    is made of the draws, so the last few are kept.
    """
    rng = np.random.default_rng(seed)
    weights: list[Weights] = []
    for shape in shapes:
        uniform = [np.full(count, 1 / count) for count in shape]
        drawn = [rng.multinomial(len(chances), chances, DRAWS).astype(np.float64) for chances in uniform]
        for counts in drawn:
            counts.setflags(write=False)
        weights.append((drawn[0], drawn[1]))
    return tuple(weights), dict(rng.bit_generator.state)


def _ratio(
    top: dict[str, Float64[np.ndarray, "_ _"]],
    bottom: dict[str, Float64[np.ndarray, "_ _"]],
    weights: dict[str, Weights],
    n: int,
) -> tuple[Interval, float]:
    """Mean over tasks of sum(top) / sum(bottom), with its interval and its standard error.

    `top`, `bottom`: [S, N] per task, which need not have as many seeds each. Tasks whose bottom adds up to 0
    are left out. No interval (NaN) where a task has a single seed: drawn from its starts alone it would be
    too narrow by the scatter between seeds.
    """
    tasks = [task for task in top if bottom[task].sum() > 0]
    nan = float("nan")
    if not tasks:
        return Interval(estimate=nan, low=nan, high=nan, n=0), nan

    estimate = float(np.mean([top[task].sum() / bottom[task].sum() for task in tasks]))
    if min(len(top[task]) for task in tasks) < 2:
        return Interval(estimate=estimate, low=nan, high=nan, n=n), nan

    drawn: list[np.ndarray] = []
    for task in tasks:
        below = np.maximum(_total(bottom[task], weights[task]), 1e-9)
        drawn.append(_total(top[task], weights[task]) / below)
    means = np.mean(drawn, axis=0)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(estimate=estimate, low=float(low), high=float(high), n=n), float(means.std())


def _total(matrix: Float64[np.ndarray, "S N"], weights: Weights) -> Float64[np.ndarray, "R"]:
    """The sum of a matrix in every replication."""
    seeds, starts = weights
    return ((seeds @ matrix) * starts).sum(axis=1)


def _improvement(pairs: dict[str, tuple[Grid, Grid]], weights: dict[str, Weights], n: int) -> Interval:
    """P(ours > theirs) over all pairs of runs of a task, ties counting half, tasks averaged.

    Its interval draws seeds again.
    """
    wins: dict[str, Float64[np.ndarray, "S S"]] = {}
    for task, (a, b) in pairs.items():
        x, y = a.success.mean(axis=1), b.success.mean(axis=1)
        wins[task] = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    estimate = float(np.mean([win.mean() for win in wins.values()]))

    if min(len(win) for win in wins.values()) < 2:
        return Interval(estimate=estimate, low=float("nan"), high=float("nan"), n=n)
    drawn: list[np.ndarray] = []
    for task, win in wins.items():
        seeds = weights[task][0]
        drawn.append(np.einsum("rs,st,rt->r", seeds, win, seeds) / len(win) ** 2)
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    return Interval(estimate=estimate, low=float(low), high=float(high), n=n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """An arm's success over its tasks, each counting the same."""

    overall: Interval
    """Crossed bootstrap; n = cells."""
    by_task: dict[str, Interval]
    """The same for each task; n = seeds."""
    steps: float
    """Mean steps of its successes, tasks averaged."""
    reached: dict[str, float]
    """Task -> the best seed's rate."""


def rate(trials: Table, arm: str, *, seed: int = 0) -> Rate | None:
    """Success of one arm; None without finished cells."""
    by_world = grids(trials, arm)
    if not by_world:
        return None

    success = {world: grid.success.astype(np.float64) for world, grid in by_world.items()}
    weights, _ = _resample((seed, 6), success)
    ones = {world: np.ones_like(matrix) for world, matrix in success.items()}
    overall, _ = _ratio(success, ones, weights, cells_in(by_world))

    tasks: dict[str, Interval] = {}
    reached: dict[str, float] = {}
    for task, worlds in worlds_by_task(by_world).items():
        of_task = {world: success[world] for world in worlds}
        seeds = max(len(matrix) for matrix in of_task.values())
        tasks[task] = _ratio(of_task, ones, weights, seeds)[0]
        reached[task] = float(np.mean([matrix.mean(axis=1) for matrix in of_task.values()], axis=0).max())

    steps = [float(grid.steps[grid.success].mean()) for grid in by_world.values() if grid.success.any()]
    return Rate(
        overall=overall,
        by_task=tasks,
        steps=float(np.mean(steps)) if steps else float("nan"),
        reached=reached,
    )
