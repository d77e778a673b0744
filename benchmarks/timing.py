"""Work in, a row out: a speed beside its peer's, both measured in the same run.

Times are this process's processor time where nothing else is said: threads are not counted as speed, and a
busy neighbour hardly changes it.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a benchmark found."""

    ours: float
    """In the benchmark's unit."""
    peer: float
    """What ours is held against, in the same unit."""
    ratio: float
    """What the aim is about."""
    interval: tuple[float, float] | None = None
    """95 % interval of the ratio, where it was measured in pairs."""
    aside: Mapping[str, float] = field(default_factory=dict[str, float])
    """Further ratios, without an aim."""

    @staticmethod
    def of_rates(ours: float, peer: float, **aside: float) -> "Row":
        """Two rates: how many times as many of ours."""
        return Row(ours=ours, peer=peer, ratio=ours / peer, aside=aside)


def seconds_per_call(work: Callable[[int], object], calls: int, repeats: int = 5) -> float:
    """The median over `repeats` of the mean time of a call; `work` is given its number, from 0."""
    work(0)
    means: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        for number in range(calls):
            work(number)
        means.append((time.process_time() - start) / calls)
    return statistics.median(means)


def rate(samples: int, work: Callable[[], object], seconds: float) -> float:
    """Samples per second, over at least `seconds`; one call of `work` makes `samples` of them."""
    work()
    made, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        work()
        made += samples
    return made / spent


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of the median that asks nothing of how the values scatter: two of them, by rank.

    Of n values, the k-th smallest and the k-th largest enclose the median unless fewer than k of them lie on
    one side of it, which has twice the binomial probability P(X < k) of n fair coins; k is the largest for
    which that is 5 % at most. Fewer than six values have no such interval: their smallest and largest.
    """
    ordered, n = sorted(values), len(values)
    missed, k = 0.0, 0
    while (missed := missed + math.comb(n, k) / 2**n) <= 0.025:
        k += 1
    return ordered[max(k - 1, 0)], ordered[min(n - k, n - 1)]
