import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.stats import (
    Interval,
    auc,
    bootstrap_mean,
    calibration_error,
    effective_sample_size,
    explained_variance,
    kendall_tau,
    normal_quantile,
    paired_difference,
    reliability,
    student_probability,
    student_quantile,
    t_interval,
    wilson,
)
from vantage.types import VantageError

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def pairs(both: int, ours: int, theirs: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([1] * both + [1] * ours + [0] * theirs + [0] * neither, bool), np.array(
        [1] * both + [0] * ours + [1] * theirs + [0] * neither, bool
    )


def test_wilson_against_newcombe_1998():
    # Newcombe (1998), Statistics in Medicine 17:857-872, table I: 81/263, 15/148, 0/20, 1/29.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = wilson(successes, n)
        assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
        assert interval.estimate == successes / n and interval.n == n


def test_wilson_edges():
    assert (wilson(0, 5).low, wilson(5, 5).high) == (0.0, 1.0)
    nothing = wilson(0, 0)
    assert math.isnan(nothing.estimate) and (nothing.low, nothing.high) == (0, 1)
    with pytest.raises(VantageError, match="6 successes of 5"):
        wilson(6, 5)


@given(st.integers(1, 300), st.data())
def test_wilson_solves_its_equation(n, data):
    k = data.draw(st.integers(0, n))
    interval, z = wilson(k, n), 1.959963984540054
    for limit in (interval.low, interval.high):  # |k/n - p| = z sqrt(p (1 - p) / n) at both limits
        assert abs(k / n - limit) == pytest.approx(z * math.sqrt(limit * (1 - limit) / n), abs=1e-7)


def test_interval_reads_as_the_docs_print_it():
    assert str(Interval(estimate=0.834, low=0.76, high=0.88, n=150)) == "0.83 [0.76, 0.88], n = 150"
    assert str(Interval(estimate=0.834, low=float("nan"), high=float("nan"), n=1)) == "0.83, n = 1"


def test_paired_difference_by_hand():
    # both 20, only ours 12, only theirs 2, neither 16: p = 32/50, q = 22/50.
    interval = paired_difference(*pairs(20, 12, 2, 16))
    # Wilson: p in [0.5014, 0.7586], q in [0.3116, 0.5769]; phi = (20 * 16 - 12 * 2 - 25) / sqrt(32 * 18 * 22
    # * 28) = 271 / 595.66
    p, q, phi = wilson(32, 50), wilson(22, 50), 271 / math.sqrt(32 * 18 * 22 * 28)
    a, b = 0.64 - p.low, q.high - 0.44
    c, d = p.high - 0.64, 0.44 - q.low
    assert interval.estimate == pytest.approx(0.2)
    assert interval.low == pytest.approx(0.2 - math.sqrt(a * a - 2 * phi * a * b + b * b))
    assert interval.high == pytest.approx(0.2 + math.sqrt(c * c - 2 * phi * c * d + d * d))


def test_pairs_narrow_the_interval():
    agree, disagree = paired_difference(*pairs(25, 5, 0, 20)), paired_difference(*pairs(5, 25, 20, 0))
    assert agree.estimate == disagree.estimate == pytest.approx(0.1)
    assert agree.high - agree.low < 0.6 * (disagree.high - disagree.low)


def test_paired_difference_without_pairs_gets_a_sentence():
    with pytest.raises(VantageError, match="same starts"):
        paired_difference(np.zeros(0, bool), np.zeros(0, bool))


@given(PAIRS)
def test_paired_difference_is_antisymmetric_and_bounded(rows):
    ours, theirs = (np.array(column) for column in zip(*rows, strict=True))
    one, other = paired_difference(ours, theirs), paired_difference(theirs, ours)
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))
    assert -1 <= one.low <= one.estimate <= one.high <= 1
    assert one.estimate == pytest.approx(ours.mean() - theirs.mean())


def test_paired_difference_covers_the_truth():
    rng, truth, hits = np.random.default_rng(0), 0.15, 0
    for _ in range(2000):  # p = 0.6 against 0.45, correlated through a shared difficulty
        difficulty = rng.random(60)
        ours, theirs = difficulty < 0.6, np.where(rng.random(60) < 0.5, difficulty, rng.random(60)) < 0.45
        interval = paired_difference(ours, theirs)
        hits += interval.low <= truth <= interval.high
    assert 0.93 <= hits / 2000 <= 0.985


def test_bootstrap_mean():
    sample = np.random.default_rng(1).normal(10.0, 2.0, size=100)
    interval = bootstrap_mean(sample, seed=5)
    assert interval == bootstrap_mean(sample, seed=5) and interval != bootstrap_mean(sample, seed=6)
    half = 1.96 * sample.std(ddof=1) / 10  # the normal approximation
    assert interval.estimate == sample.mean()
    assert interval.low == pytest.approx(sample.mean() - half, abs=0.05) and interval.high == pytest.approx(
        sample.mean() + half, abs=0.05
    )
    constant = bootstrap_mean(np.full(4, 3.0), seed=0)
    assert (constant.low, constant.high) == (3.0, 3.0)
    one, none = bootstrap_mean(np.array([3.0]), seed=0), bootstrap_mean(np.zeros(0), seed=0)
    assert one.estimate == 3.0 and math.isnan(one.low) and math.isnan(none.estimate) and none.n == 0


def test_auc_by_hand():
    # positives 0.8, 0.4 against negatives 0.4, 0.1: 0.8 beats both, 0.4 ties one (1/2) and beats one: 3.5 of
    # 4.
    assert auc(np.array([0.8, 0.4, 0.4, 0.1]), np.array([True, True, False, False])) == 3.5 / 4
    assert math.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=25))
def test_auc_is_the_double_loop(rows):
    score, positive = np.array([float(s) for s, _ in rows]), np.array([p for _, p in rows])
    wins = [float(a > b) + 0.5 * (a == b) for a in score[positive] for b in score[~positive]]
    if wins:
        assert auc(score, positive) == pytest.approx(sum(wins) / len(wins))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=20))
def test_kendall_tau_is_scipys(rows):
    a, b = np.array(rows, float).T
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert kendall_tau(a, b) == pytest.approx(scipy.stats.kendalltau(a, b).statistic)
    else:
        assert math.isnan(kendall_tau(a, b))


def test_calibration_by_hand():
    p, outcome = np.array([0.1, 0.2, 0.5, 0.9, 1.0]), np.array([False, True, True, True, True])
    bins = reliability(p, outcome, bins=2)
    # [0, 0.5): 0.1, 0.2 -> mean 0.15, 1 of 2 true; [0.5, 1]: 0.5, 0.9, 1.0 -> mean 0.8, all true.
    np.testing.assert_array_equal(bins.count, [2, 3])
    np.testing.assert_allclose(bins.predicted, [0.15, 0.8])
    np.testing.assert_allclose(bins.observed, [0.5, 1.0])
    np.testing.assert_allclose(bins.edges, [0, 0.5, 1])
    assert calibration_error(p, outcome, bins=2) == pytest.approx((2 * 0.35 + 3 * 0.2) / 5)
    assert np.isnan(reliability(p, outcome, bins=10).observed[7]) and math.isnan(
        calibration_error(np.zeros(0), np.zeros(0, bool))
    )


def test_explained_variance_by_hand():
    target = np.array([-3.0, -2.0, -1.0, 0.0])
    assert explained_variance(target, target) == 1.0
    assert explained_variance(np.full(4, -1.5), target) == 0.0
    assert explained_variance(target + 7, target) == 1.0  # blind to a constant offset
    assert explained_variance(-target, target) == pytest.approx(
        1 - 4
    )  # the error 2 t has 4 times the variance
    assert math.isnan(explained_variance(target, np.zeros(4)))


def test_effective_sample_size_by_hand():
    assert effective_sample_size(np.ones(8)) == 8
    assert effective_sample_size(np.array([5.0, 0.0, 0.0])) == 1
    assert effective_sample_size(np.array([1.0, 2.0, 1.0])) == pytest.approx(16 / 6)
    assert effective_sample_size(np.zeros(3)) == 0
    assert (
        effective_sample_size(np.array([1.0, 2.0]), np.array([0.5, 0.25])) == 2
    )  # contributions 0.5 and 0.5


def test_students_quantiles_are_scipys():
    for freedom in (1, 2, 3, 4, 5, 9, 10, 29, 30, 149, 1000):
        for level in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999):
            expected = scipy.stats.t.ppf(0.5 + level / 2, freedom)
            assert student_quantile(level, freedom) == pytest.approx(expected, rel=1e-9), (level, freedom)
    for t in (0.0, 0.3, 1.0, 2.5, 40.0):
        for freedom in (1, 2, 7, 8):
            expected = 1 - 2 * scipy.stats.t.sf(t, freedom)
            assert student_probability(t, freedom) == pytest.approx(expected, abs=1e-12), (t, freedom)
    assert student_quantile(0.95, 100_000) == pytest.approx(normal_quantile(0.975), abs=1e-4)
    assert normal_quantile(0.8) == pytest.approx(scipy.stats.norm.ppf(0.8), abs=1e-12)


def test_students_quantile_of_nothing_is_refused():
    for level, freedom in ((0.95, 0), (0.0, 3), (1.0, 3)):
        with pytest.raises(VantageError, match="no quantile"):
            student_quantile(level, freedom)


def test_the_t_interval_by_hand_and_by_scipy():
    # mean 2, s = 1, n = 3: 2 -+ 4.302653 / sqrt(3)
    by_hand = t_interval(np.array([1.0, 2.0, 3.0]))
    half = 4.302653 / 3**0.5
    assert (by_hand.low, by_hand.estimate, by_hand.high) == (
        pytest.approx(2 - half, abs=1e-6),
        2.0,
        pytest.approx(2 + half, abs=1e-6),
    )

    sample = np.random.default_rng(3).normal(5, 2, 10)
    low, high = scipy.stats.t.interval(0.9, 9, loc=sample.mean(), scale=scipy.stats.sem(sample))
    ours = t_interval(sample, level=0.9)
    assert (ours.low, ours.high, ours.n) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9), 10)


def test_one_value_has_no_interval():
    one, none = t_interval(np.array([0.7])), t_interval(np.empty(0))
    assert one.estimate == 0.7 and one.n == 1 and math.isnan(one.low) and math.isnan(one.high)
    assert none.n == 0 and math.isnan(none.estimate) and math.isnan(none.low)
    same = t_interval(np.array([0.5, 0.5]))
    assert (same.low, same.high) == (0.5, 0.5), (
        "two equal values have an interval of no width, which is not the same"
    )


def test_the_t_interval_holds_the_mean_of_three_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = rng.normal(1.0, 0.3, (2000, 3))
    inside = [t_interval(sample).low <= 1.0 <= t_interval(sample).high for sample in samples]
    assert 0.935 < np.mean(inside) < 0.965, "1.96 standard errors would hold it 81 % of the time"
