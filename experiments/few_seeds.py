"""Rates and differences of stored trials, with an interval where there is one seed, too.

Over several seeds it is the study's own, which draws seeds and starts again. With one seed it is over the
starts alone, and says nothing of how much another seed would differ.
"""

import numpy as np

from vantage.core.stats import Interval, paired_difference, wilson
from vantage.study.measure import Table
from vantage.study.statistics import Grid, contrast, grids, pair, rate


def success(trials: Table, arm: str) -> Interval | None:
    """Success of an arm, its tasks counting the same; None without trials."""
    measured = rate(trials, arm)
    if measured is None:
        return None
    played = list(grids(trials, arm).values())
    if not _one_seed(played):
        return measured.overall
    solved = np.concatenate([grid.success[0] for grid in played])
    return wilson(int(solved.sum()), len(solved))


def difference(trials: Table, ours: str, theirs: str) -> Interval | None:
    """Success of one arm minus that of another on the same starts; None where they share no cell."""
    pairs = list(pair(grids(trials, ours), grids(trials, theirs)).values())
    if not pairs:
        return None
    if not _one_seed([one for one, _ in pairs]):
        compared = contrast(trials, ours, theirs)
        return None if compared is None else compared.difference
    first, second = (np.concatenate([both[side].success[0] for both in pairs]) for side in (0, 1))
    return paired_difference(first, second)


def _one_seed(played: list[Grid]) -> bool:
    """Whether every task has one seed, and as many starts as the others."""
    return {grid.success.shape for grid in played} == {(1, played[0].success.shape[1])}
