"""Counts, pairs and predictions -> estimates that carry their uncertainty."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from vantage.types import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate, its confidence interval and how many trials it rests on."""

    estimate: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """As docs and pages print it: ``0.83 [0.76, 0.88], n = 150``; a single seed has no interval."""
        known = "" if math.isnan(self.low) else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.estimate:.2f}{known}, n = {self.n}"


def normal_quantile(probability: float) -> float:
    """The value below which a standard normal variable stays with this probability.

    1.96 for 0.975, 0.84 for 0.8.
    """
    return NormalDist().inv_cdf(probability)


def student_probability(t: float, freedom: int) -> float:
    """P(|T| <= t) of Student's t with `freedom` >= 1 degrees of freedom, t >= 0.

    With theta = arctan(t / sqrt(freedom)) it is a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4):

        odd   2 / pi (theta + sin theta (cos theta + 2/3 cos^3 theta + 2 4 / (3 5) cos^5 theta + ...))
        even  sin theta (1 + 1/2 cos^2 theta + 1 3 / (2 4) cos^4 theta + ...)

    up to cos^(freedom - 2) theta.

    One degree of freedom is Cauchy's distribution, 2 theta / pi; many approach the normal one.
    """
    theta = math.atan2(t, math.sqrt(freedom))
    odd = freedom % 2 == 1

    # Each term is the one before it times cos^2 and the next ratio of an even and an odd number.
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for power in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= math.cos(theta) ** 2 * (power + 1) / (power + 2)

    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total


def student_quantile(level: float, freedom: int) -> float:
    """The t >= 0 with P(|T| <= t) = `level` of Student's t.

    At level 0.95: 4.30 with 2 degrees of freedom, 2.26 with 9, 1.96 with very many.

    Raises VantageError for a level outside (0, 1) or without a degree of freedom.
    """
    if not 0 < level < 1 or freedom < 1:
        raise VantageError(
            f"Student's t has no quantile at level {level} with {freedom} degrees of freedom; "
            "give a level between 0 and 1 and at least one degree"
        )

    # Bisection over theta = arctan(t / sqrt(freedom)), which is bounded where t is not.
    # 60 halvings exhaust a double.
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if student_probability(math.sqrt(freedom) * math.tan(middle), freedom) < level:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def t_interval(sample: Float[np.ndarray, "N"], *, level: float = 0.95) -> Interval:
    """Mean of few values with Student's interval (Student 1908): mean -+ t_{N-1} s / sqrt(N).

    s is the sample's standard deviation (divided by N - 1).
    One value says nothing of the scatter: no interval (NaN). No value: all NaN.
    """
    n, nan = len(sample), float("nan")
    if n < 2:
        return Interval(estimate=float(sample[0]) if n else nan, low=nan, high=nan, n=n)
    mean = float(sample.mean())
    half = student_quantile(level, n - 1) * float(sample.std(ddof=1)) / math.sqrt(n)
    return Interval(estimate=mean, low=mean - half, high=mean + half, n=n)


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927).

    n = 0: the estimate is NaN, the interval [0, 1]. Raises VantageError for impossible counts.
    """
    if not 0 <= successes <= n:
        raise VantageError(f"{successes} successes of {n} trials make no proportion; count again")
    if n == 0:
        return Interval(estimate=float("nan"), low=0.0, high=1.0, n=0)

    p, z = successes / n, normal_quantile(0.5 + level / 2)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return Interval(
        estimate=p,
        low=0.0 if successes == 0 else max(0.0, centre - half),
        high=1.0 if successes == n else min(1.0, centre + half),
        n=n,
    )


def paired_difference(
    ours: Bool[np.ndarray, "N"],
    theirs: Bool[np.ndarray, "N"],
    *,
    level: float = 0.95,
) -> Interval:
    """Success rate of `ours` minus that of `theirs` on the same N starts, with Newcombe's score interval.

    For paired proportions: method 10 of Newcombe (1998), Statistics in Medicine 17:2635-2650: the Wilson
    limits of both rates, combined with the (continuity corrected) correlation phi of the pairs. Pairs narrow
    it; with phi = 0 it is his interval for independent samples.
    """
    if len(ours) != len(theirs) or len(ours) == 0:
        raise VantageError(
            f"{len(ours)} and {len(theirs)} trials cannot be paired; "
            "evaluate both policies on the same starts",
        )

    n = len(ours)
    both = int((ours & theirs).sum())
    only_ours = int((ours & ~theirs).sum())
    only_theirs = int((~ours & theirs).sum())
    neither = n - both - only_ours - only_theirs

    p, q = wilson(both + only_ours, n, level=level), wilson(both + only_theirs, n, level=level)
    margins = (both + only_ours) * (only_theirs + neither) * (both + only_theirs) * (only_ours + neither)
    covariance = both * neither - only_ours * only_theirs
    corrected = max(covariance - n / 2, 0.0) if covariance > 0 else float(covariance)
    phi = corrected / margins**0.5 if margins > 0 else 0.0

    def reach(a: float, b: float) -> float:
        return max(a * a - 2 * phi * a * b + b * b, 0.0) ** 0.5

    difference = (only_ours - only_theirs) / n
    return Interval(
        estimate=difference,
        low=difference - reach(p.estimate - p.low, q.high - q.estimate),
        high=difference + reach(p.high - p.estimate, q.estimate - q.low),
        n=n,
    )


def bootstrap_mean(
    sample: Float[np.ndarray, "N"],
    *,
    seed: int,
    level: float = 0.95,
    draws: int = 10_000,
) -> Interval:
    """Mean with a percentile bootstrap interval (Efron 1979), a pure function of the seed.

    One value: no interval (NaN); none: all NaN.
    """
    n, nan = len(sample), float("nan")
    if n < 2:
        return Interval(estimate=float(sample[0]) if n else nan, low=nan, high=nan, n=n)
    rows = np.random.default_rng(seed).integers(0, n, size=(draws, n))
    low, high = np.quantile(sample[rows].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=float(sample.mean()), low=float(low), high=float(high), n=n)


def auc(score: Float[np.ndarray, "N"], positive: Bool[np.ndarray, "N"]) -> float:
    """Chance that a positive scores above a negative, ties counting half (Mann-Whitney).

    NaN where one class is missing.
    """
    n_pos = int(positive.sum())
    n_neg = len(positive) - n_pos
    if n_pos == 0 or n_neg == 0:
        return float("nan")

    # Equal scores share the mean of the ranks that they would have one after the other.
    _, distinct, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[distinct]
    return float((rank[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def kendall_tau(a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"]) -> float:
    """Kendall's tau-b: 1 where two scores order everything alike, -1 where the other way round.

    Pairs that tie in both count nowhere, those that tie in one count in its denominator (Kendall 1945). NaN
    where one of the scores is constant.
    """
    first, second = np.triu_indices(len(a), 1)
    x, y = np.sign(a[first] - a[second]), np.sign(b[first] - b[second])
    square = float(np.square(x).sum() * np.square(y).sum())
    return float((x * y).sum()) / square**0.5 if square > 0 else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """K equal bins of predicted probability: what was predicted in each, and the share that came true.

    NaN in empty bins.
    """

    count: Int64[np.ndarray, "K"]
    predicted: Float64[np.ndarray, "K"]
    """Mean prediction."""
    observed: Float64[np.ndarray, "K"]
    """Share that came true."""
    edges: Float64[np.ndarray, "K+1"]
    """Borders of the bins."""

    @property
    def error(self) -> float:
        """Expected calibration error: sum_k count_k / N |predicted_k - observed_k|; NaN if N is 0."""
        if not self.count.any():
            return float("nan")
        gap = np.abs(np.nan_to_num(self.predicted) - np.nan_to_num(self.observed))
        return float((self.count * gap).sum() / self.count.sum())


def reliability(p: Float[np.ndarray, "N"], outcome: Bool[np.ndarray, "N"], *, bins: int = 10) -> Reliability:
    """Sort predictions p in [0, 1] into `bins` equal bins.

    A prediction on an edge belongs to the bin above it; 1 belongs to the last.
    """
    bin_of = np.minimum((p * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    total = np.where(count > 0, count, np.nan)

    return Reliability(
        count=count.astype(np.int64),
        predicted=np.bincount(bin_of, weights=p, minlength=bins) / total,
        observed=np.bincount(bin_of, weights=outcome, minlength=bins) / total,
        edges=np.linspace(0.0, 1.0, bins + 1),
    )


def calibration_error(p: Float[np.ndarray, "N"], outcome: Bool[np.ndarray, "N"], *, bins: int = 10) -> float:
    """Expected calibration error of predicted probabilities, over `bins` equal bins."""
    return reliability(p, outcome, bins=bins).error


def explained_variance(prediction: Float[np.ndarray, "N"], target: Float[np.ndarray, "N"]) -> float:
    """1 - Var(target - prediction) / Var(target): 1 perfect, 0 no better than a constant, below 0 worse.

    NaN for a constant target.
    """
    spread = float(np.var(target)) if len(target) else 0.0
    return 1.0 - float(np.var(target - prediction)) / spread if spread > 0 else float("nan")


def effective_sample_size(
    weight: Float[np.ndarray, "N"],
    sampling: Float[np.ndarray, "N"] | None = None,
) -> float:
    """Kish's (sum w)^2 / sum w^2: how many equally weighted frames these are worth.

    N for equal weights, 1 if one frame holds all weight, 0 for none. With `sampling`, the probability of each
    draw: the frames' expected contributions ``sampling * weight`` take the weights' place.
    """
    contribution = weight.astype(np.float64) if sampling is None else weight.astype(np.float64) * sampling
    square = float(np.square(contribution).sum())
    return float(contribution.sum()) ** 2 / square if square > 0 else 0.0


def difference(ours: int, n_ours: int, theirs: int, n_theirs: int, *, level: float = 0.95) -> Interval:
    """Success rate of one sample minus that of another, with Newcombe's score interval.

    For independent proportions: method 10 of Newcombe (1998), Statistics in Medicine 17:873-890: the Wilson
    limits of both rates. n is that of the smaller sample. Raises VantageError for impossible counts.
    """
    p, q = wilson(ours, n_ours, level=level), wilson(theirs, n_theirs, level=level)
    estimate = p.estimate - q.estimate
    return Interval(
        estimate=estimate,
        low=estimate - math.hypot(p.estimate - p.low, q.high - q.estimate),
        high=estimate + math.hypot(p.high - p.estimate, q.estimate - q.low),
        n=min(n_ours, n_theirs),
    )


def trials_needed(p: float, q: float, *, level: float = 0.95, power: float = 0.8) -> int | None:
    """Trials of each of two policies after which their rates differ significantly with chance `power`.

    `p`, `q`: the true rates. The usual normal approximation for two independent proportions (Fleiss, Levin
    and Paik 2003, eq. 4.14). None where the rates are equal.
    """
    if p == q:
        return None
    mean = (p + q) / 2
    reach = normal_quantile(0.5 + level / 2) * math.sqrt(2 * mean * (1 - mean))
    reach += normal_quantile(power) * math.sqrt(p * (1 - p) + q * (1 - q))
    return math.ceil((reach / (p - q)) ** 2)


def pairs_needed(
    only_ours: float, only_theirs: float, *, level: float = 0.95, power: float = 0.8
) -> int | None:
    """Paired starts after which two policies differ significantly with chance `power`.

    `only_ours`, `only_theirs`: the true shares of starts that only one of them solves. McNemar's test by the
    normal approximation (Connor 1987, Biometrics 43:207-211). None where the shares are equal.
    """
    apart, differ = only_ours - only_theirs, only_ours + only_theirs
    if apart == 0:
        return None
    reach = normal_quantile(0.5 + level / 2) * math.sqrt(differ)
    reach += normal_quantile(power) * math.sqrt(max(differ - apart * apart, 0.0))
    return math.ceil((reach / apart) ** 2)
