"""Trials of a study -> rates, differences and what they are worth. Everything is paired: the same seeds, the same starts.

    rows ──grid──> per world: success [S seeds, N starts], steps [S, N] ──contrast──> difference, probability of improvement, power

Intervals are 95 % crossed bootstraps: in every world, seeds and starts are both drawn again (the "pigeonhole" bootstrap of Owen 2007,
Annals of Applied Statistics 1:386-411, which errs on the wide side), and worlds are averaged, each counting the same. A task is one world,
or a suite of worlds in which one policy is tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        place = np.searchsorted(self.seeds, seeds)
        return Grid(task=self.task, seeds=seeds, success=self.success[place], steps=self.steps[place])


def grids(trials: Table, arm: str) -> dict[str, Grid]:
    """World -> what an arm did there, seeds in order. Worlds without finished cells are absent."""
    found: dict[str, Grid] = {}
    mine = trials["arm"] == arm if trials else np.zeros(0, bool)
    for world in np.unique(trials["world"][mine]) if mine.any() else ():
        rows = np.flatnonzero(mine & (trials["world"] == world))
        order = rows[np.lexsort((trials["trial"][rows], trials["seed"][rows]))]
        seeds = np.unique(trials["seed"][order])
        success = trials["success"][order].astype(bool).reshape(len(seeds), -1)
        steps = np.where(success, trials["steps"][order].reshape(success.shape), trials["limit"][order].reshape(success.shape))
        found[str(world)] = Grid(
            task=str(trials["task"][order[0]]),
            seeds=seeds.astype(np.int64),
            success=success,
            steps=steps.astype(np.int64),
        )
    return found


def task_grids(trials: Table, arm: str) -> dict[str, Grid]:
    """Task -> what an arm did there, the starts of all its worlds side by side."""
    found = grids(trials, arm)
    return {
        task: Grid(
            task=task,
            seeds=found[worlds[0]].seeds,
            success=np.concatenate([found[world].success for world in worlds], axis=1),
            steps=np.concatenate([found[world].steps for world in worlds], axis=1),
        )
        for task, worlds in worlds_by_task(found).items()
    }


def pair(ours: dict[str, Grid], theirs: dict[str, Grid]) -> dict[str, tuple[Grid, Grid]]:
    """World -> both arms on the seeds that both have finished."""
    found: dict[str, tuple[Grid, Grid]] = {}
    for task in ours:
        if task in theirs:
            seeds = np.intersect1d(ours[task].seeds, theirs[task].seeds)
            if len(seeds):
                found[task] = (ours[task].of(seeds), theirs[task].of(seeds))
    return found


def worlds_by_task(grids: Mapping[str, Grid]) -> dict[str, list[str]]:
    """Task -> its worlds."""
    found: dict[str, list[str]] = {}
    for world, grid in grids.items():
        found.setdefault(grid.task, []).append(world)
    return found


def cells_in(grids: Mapping[str, Grid]) -> int:
    """Pairs of task and seed."""
    return sum(max(len(grids[world].seeds) for world in worlds) for worlds in worlds_by_task(grids).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One arm beside another."""

    ours: str
    theirs: str
    difference: Interval
    """Success rate of ours minus theirs; n = pairs of cells."""
    by_task: dict[str, float]
    improvement: Interval
    """Probability that a run of ours beats a run of theirs on the same task (Agarwal et al. 2021, NeurIPS); n as above."""
    shared_steps: Interval
    """Steps of ours minus theirs on the starts that both solve with the same seed; n = those starts."""
    limit_steps: Interval
    """The same over all starts, failures counted at the limit."""
    detectable: float
    """The difference in success that would be found with 80 % power at the 5 % level, given how much these cells scatter;
    NaN where a task has one seed."""
    p: float
    """Chance of a difference in success as large as this, either way, between arms that are alike: paired sign-flip test over cells, which
    asks nothing of their scatter and takes the starts as they are. Never below 2^(1 - cells)."""


def contrast(trials: Table, ours: str, theirs: str, *, seed: int = 0) -> Contrast | None:
    """Compare two arms on everything that both have finished; None where that is nothing."""
    pairs = pair(grids(trials, ours), grids(trials, theirs))
    if not pairs:
        return None
    rng = np.random.default_rng([seed, 5])
    change = {task: a.success.astype(np.float64) - b.success for task, (a, b) in pairs.items()}
    both = {task: (a.success & b.success).astype(np.float64) for task, (a, b) in pairs.items()}
    steps = {task: (a.steps - b.steps).astype(np.float64) for task, (a, b) in pairs.items()}
    weights = {task: _resample(rng, matrix.shape) for task, matrix in change.items()}
    ones = {task: np.ones_like(matrix) for task, matrix in change.items()}
    ours_in = {world: first for world, (first, _) in pairs.items()}
    cells, tasks = cells_in(ours_in), worlds_by_task(ours_in)
    difference, spread = _ratio(change, ones, weights, cells)
    shared, _ = _ratio({task: both[task] * steps[task] for task in steps}, both, weights, int(sum(m.sum() for m in both.values())))
    limit, _ = _ratio(steps, ones, weights, sum(matrix.size for matrix in steps.values()))
    return Contrast(
        ours=ours,
        theirs=theirs,
        difference=difference,
        by_task={task: float(np.mean([change[world].mean() for world in worlds])) for task, worlds in tasks.items()},
        improvement=_improvement(pairs, weights, cells),
        shared_steps=shared,
        limit_steps=limit,
        detectable=DETECTABLE * spread,
        p=_p_value([[change[world] for world in worlds] for worlds in tasks.values()], rng),
    )


def hold_together(found: Sequence[Contrast], level: float = 0.05) -> list[bool]:
    """Which differences in success stand when all are looked at together: Holm's procedure (1979, Scand. J. Statistics 6:65-70).

    Sorted by p, the k-th smallest of m must lie below level / (m - k), k from 0; the first that does not, and all behind it, do not stand.
    """
    order = sorted(range(len(found)), key=lambda place: found[place].p)
    stands = [False] * len(found)
    for k, place in enumerate(order):
        if found[place].p > level / (len(order) - k):
            break
        stands[place] = True
    return stands


def _p_value(change: Sequence[Sequence[Float64[np.ndarray, "S N"]]], rng: np.random.Generator) -> float:
    """Paired sign-flip test: were the two arms alike, either could have been the better one in every cell by itself.

    `change`: per task, the differences in its worlds, whose rows are the same seeds; a cell is one seed in all worlds of a task.
    """
    parts = np.concatenate([np.sum([matrix.mean(axis=1) / len(matrix) for matrix in worlds], axis=0) for worlds in change])
    count = len(parts)
    if exact := count <= 16:
        signs = 1.0 - 2.0 * (np.arange(1 << count)[:, None] >> np.arange(count) & 1)
    else:
        signs = rng.choice((-1.0, 1.0), (FLIPS, count))
    as_far = int((np.abs(signs @ parts) >= abs(parts.sum()) - 1e-12).sum())
    return as_far / len(signs) if exact else (as_far + 1) / (len(signs) + 1)


Weights = tuple[Float64[np.ndarray, "R S"], Float64[np.ndarray, "R N"]]


def _resample(rng: np.random.Generator, shape: tuple[int, ...]) -> Weights:
    """How often each seed and each start appears in each replication."""
    seeds, starts = shape
    return (
        rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS).astype(np.float64),
        rng.multinomial(starts, np.full(starts, 1 / starts), DRAWS).astype(np.float64),
    )


def _ratio(
    top: dict[str, Float64[np.ndarray, "S N"]], bottom: dict[str, Float64[np.ndarray, "S N"]], weights: dict[str, Weights], n: int
) -> tuple[Interval, float]:
    """Mean over tasks of sum(top) / sum(bottom), with its interval and its standard error. A task with nothing below is left out.

    No interval (NaN) where a task has a single seed: drawn from its starts alone it would be too narrow by the scatter between seeds.
    """
    tasks = [task for task in top if bottom[task].sum() > 0]
    nan = float("nan")
    if not tasks:
        return Interval(estimate=nan, low=nan, high=nan, n=0), nan
    estimate = float(np.mean([top[task].sum() / bottom[task].sum() for task in tasks]))
    drawn = [_total(top[task], weights[task]) / np.maximum(_total(bottom[task], weights[task]), 1e-9) for task in tasks]
    means = np.mean(drawn, axis=0)
    if min(len(top[task]) for task in tasks) < 2:
        return Interval(estimate=estimate, low=nan, high=nan, n=n), nan
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(estimate=estimate, low=float(low), high=float(high), n=n), float(means.std())


def _total(matrix: Float64[np.ndarray, "S N"], weights: Weights) -> Float64[np.ndarray, "R"]:
    seeds, starts = weights
    return ((seeds @ matrix) * starts).sum(axis=1)


def _improvement(pairs: dict[str, tuple[Grid, Grid]], weights: dict[str, Weights], n: int) -> Interval:
    """P(ours > theirs) over all pairs of runs of a task, ties counting half, tasks averaged; seeds drawn again."""
    wins = {}
    for task, (a, b) in pairs.items():
        x, y = a.success.mean(axis=1), b.success.mean(axis=1)
        wins[task] = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    drawn = [np.einsum("rs,st,rt->r", weights[task][0], win, weights[task][0]) / len(win) ** 2 for task, win in wins.items()]
    single = min(len(win) for win in wins.values()) < 2
    low, high = (float("nan"),) * 2 if single else np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    return Interval(estimate=float(np.mean([win.mean() for win in wins.values()])), low=float(low), high=float(high), n=n)


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
    found = grids(trials, arm)
    if not found:
        return None
    rng = np.random.default_rng([seed, 6])
    success = {task: grid.success.astype(np.float64) for task, grid in found.items()}
    weights = {world: _resample(rng, matrix.shape) for world, matrix in success.items()}
    ones = {world: np.ones_like(matrix) for world, matrix in success.items()}
    overall, _ = _ratio(success, ones, weights, cells_in(found))

    tasks: dict[str, Interval] = {}
    reached: dict[str, float] = {}
    for task, worlds in worlds_by_task(found).items():
        here = {world: success[world] for world in worlds}
        seeds = max(len(matrix) for matrix in here.values())
        tasks[task] = _ratio(here, ones, weights, seeds)[0]
        reached[task] = float(np.mean([matrix.mean(axis=1) for matrix in here.values()], axis=0).max())
    steps = [float(grid.steps[grid.success].mean()) for grid in found.values() if grid.success.any()]
    return Rate(
        overall=overall,
        by_task=tasks,
        steps=float(np.mean(steps)) if steps else float("nan"),
        reached=reached,
    )
