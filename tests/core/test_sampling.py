import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.sampling import PoolShares, SharesByNeed, draw, drawable, sampling_probability
from vantage.types import Route, VantageError

ROUTES = np.array(
    [
        Route.DEMO,
        Route.DEMO,
        Route.INTERVENTION,
        Route.ROLLOUT_SUCCESS,
        Route.ROLLOUT_FAILURE,
        Route.UNLABELLED,
    ],
    dtype="<U15",
)
RAW = np.array([1.0, 1.0, 1.0, 0.7, 0.0, 0.0])
ALL = np.ones(6, bool)


def test_drawable_by_hand():
    np.testing.assert_array_equal(drawable(RAW, ROUTES, ALL), [1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(drawable(RAW, ROUTES, ALL, draw_zero_weight=True), [1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(
        drawable(RAW, ROUTES, np.array([1, 0, 0, 1, 1, 1], bool)), [1, 0, 0, 1, 0, 0]
    )


def test_pool_shares_by_hand():
    may = drawable(RAW, ROUTES, ALL)
    np.testing.assert_allclose(sampling_probability(ROUTES, may), [1 / 8, 1 / 8, 1 / 4, 1 / 2, 0, 0])
    failures = drawable(RAW, ROUTES, ALL, draw_zero_weight=True)
    np.testing.assert_allclose(sampling_probability(ROUTES, failures), [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 4, 0])


def test_an_empty_pool_gives_its_share_to_the_others_in_proportion():
    may = drawable(
        RAW, ROUTES, np.array([1, 1, 0, 1, 1, 1], bool)
    )  # no intervention: 1/4 : 1/2 becomes 1/3 : 2/3
    np.testing.assert_allclose(sampling_probability(ROUTES, may), [1 / 6, 1 / 6, 0, 2 / 3, 0, 0])
    only = drawable(RAW, ROUTES, np.array([1, 1, 0, 0, 0, 0], bool))
    np.testing.assert_allclose(sampling_probability(ROUTES, only), [1 / 2, 1 / 2, 0, 0, 0, 0])


def test_dagger_draws_half_and_half():
    shares = PoolShares(demo=1, intervention=1, rollout=0)
    np.testing.assert_allclose(
        sampling_probability(ROUTES, drawable(RAW, ROUTES, ALL), shares), [1 / 4, 1 / 4, 1 / 2, 0, 0, 0]
    )


def test_emphasis_moves_draws_inside_a_pool_and_never_between_pools():
    may = drawable(RAW, ROUTES, ALL, draw_zero_weight=True)
    emphasis = np.array([1.0, 3.0, 7.0, 1.0, 0.25, 9.0])
    np.testing.assert_allclose(
        sampling_probability(ROUTES, may, emphasis=emphasis), [1 / 16, 3 / 16, 1 / 4, 0.4, 0.1, 0]
    )
    np.testing.assert_allclose(
        sampling_probability(ROUTES, may, emphasis=np.full(6, 5.0)), sampling_probability(ROUTES, may)
    )


@pytest.mark.parametrize(("rate", "rollout"), [(0.5, 0.375), (0.0, 0.1), (1.0, 0.65)])
def test_shares_by_need_by_hand(rate, rollout):
    shares = SharesByNeed()(rate)
    assert shares.rollout == pytest.approx(rollout) and shares.demo == 0.25
    assert shares.demo + shares.intervention + shares.rollout == pytest.approx(1)


@pytest.mark.parametrize("valid", [np.zeros(6, bool), np.array([0, 0, 0, 0, 1, 1], bool)])
def test_no_window_left_gets_a_sentence(valid):
    with pytest.raises(VantageError, match="no valid window is left"):
        sampling_probability(ROUTES, drawable(RAW, ROUTES, valid))


@pytest.mark.parametrize("shares", [(0, 0, 0), (-1, 1, 1), (np.inf, 1, 1), (np.nan, 1, 1)])
def test_shares_that_are_no_mix_get_a_sentence(shares):
    with pytest.raises(VantageError, match="pool shares"):
        PoolShares(demo=float(shares[0]), intervention=float(shares[1]), rollout=float(shares[2]))


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Route)), st.sampled_from([0.0, 0.5, 1.9]), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
)
def test_sampling_sums_to_one_and_leaves_the_rest_alone(rows, draw_zero):
    route, raw, valid = (np.array(column) for column in zip(*rows, strict=True))
    may = drawable(raw, route, valid, draw_zero_weight=draw_zero)
    if not may.any():
        return
    p = sampling_probability(route, may)
    assert p.sum() == pytest.approx(1) and (p >= 0).all()
    np.testing.assert_array_equal(p > 0, may)


def test_draws_are_a_function_of_seed_and_step():
    p = np.array([0.1, 0.0, 0.6, 0.3, 0.0])
    first = draw(p, seed=3, step=17, batch=64)
    np.testing.assert_array_equal(first, draw(p, seed=3, step=17, batch=64))
    assert (first != draw(p, seed=3, step=18, batch=64)).any() and (
        first != draw(p, seed=4, step=17, batch=64)
    ).any()


def test_draws_follow_the_probabilities_and_never_pick_a_zero():
    p = np.array([0.0, 0.1, 0.0, 0.6, 0.3, 0.0])
    counts = np.bincount(
        np.concatenate([draw(p, seed=0, step=step, batch=1000) for step in range(20)]), minlength=6
    )
    assert (counts[p == 0] == 0).all()
    # 20,000 draws: the standard deviation of a share is at most sqrt(0.25 / 20000) = 0.0035.
    np.testing.assert_allclose(counts / 20_000, p, atol=0.015)
