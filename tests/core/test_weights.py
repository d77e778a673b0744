from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
from core_episodes import episode, traces
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.credit import join_labels, label_episode
from vantage.core.returns import ParentTarget, stride_rows
from vantage.core.stats import effective_sample_size
from vantage.core.timeline import timeline
from vantage.core.weights import (
    AWR,
    HABC,
    HABCV,
    Above,
    ExponentialWeights,
    FilteredBC,
    ImitDAgger,
    ImitRecap,
    Passing,
    RejectionTargets,
    Uniform,
    efficiency_advantage,
    fresh,
    gate,
    gather_evidence,
    hide_advantages,
    normalise,
    normalise_batch,
    parent_advantage,
    passing_threshold,
    sigmoid,
    tempered,
    viability_advantage,
    warmed_up,
)
from vantage.types import Credit, Evidence, Route, Values, VantageError

NAN = np.nan
S, F, I, D, U = Route.ROLLOUT_SUCCESS, Route.ROLLOUT_FAILURE, Route.INTERVENTION, Route.DEMO, Route.UNLABELLED  # noqa: E741


def strides_of(trace, stride):
    frames = timeline([trace])
    return stride_rows(frames.stretch_starts(), frames.success, stride)


def evidence(*, route, outcome=None, p_v=None, a_v=None, a_e=None, a_parent=None) -> Evidence:
    n = len(route)
    column = lambda values: np.full(n, NAN) if values is None else np.array(values, float)  # noqa: E731
    return Evidence(
        route=np.array(route, dtype="<U15"),
        outcome=column(outcome),
        intervention=np.array([r == I for r in route]),
        p_v=column(p_v),
        a_v=column(a_v),
        a_e=column(a_e),
        a_parent=column(a_parent),
    )


# --- Eq. 2, 5, 6: advantages


def test_sigmoid_by_hand_and_without_overflow():
    np.testing.assert_allclose(sigmoid(np.array([0.0, np.log(3.0), -np.log(3.0)])), [0.5, 0.75, 0.25])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(sigmoid(np.array([-1e4, 1e4])), [0, 1])


def test_advantages_at_stride_one_are_the_papers():
    z, v, strides = (
        np.array([1.0, 3.0, 2.5]),
        np.array([-5.0, -3.5, -0.5]),
        strides_of(episode("PPP", True), 1),
    )
    np.testing.assert_allclose(viability_advantage(z, strides), [2, -0.5, 0])
    # -1 - 3.5 + 5 = 0.5; -1 - 0.5 + 3.5 = 2; at the success frame 0 - V = 0.5.
    np.testing.assert_allclose(efficiency_advantage(v, strides), [0.5, 2, 0.5])


def test_advantages_at_stride_two_near_a_success():
    z, v = np.array([0.0, 1.0, 3.0, 6.0, 10.0]), np.array([-9.0, -7.0, -6.0, -3.0, -1.0])
    strides = strides_of(episode("PPPPP", True), 2)
    # Two frames ahead; frame 3 only has the last one, and the success frame itself nothing: 10 - 6 = 4 and 0.
    np.testing.assert_allclose(viability_advantage(z, strides), [3, 5, 7, 4, 0])
    # (-2 + V(t+2) - V(t)) / 2: (-2 - 6 + 9) / 2 = 0.5, (-2 - 3 + 7) / 2 = 1, (-2 - 1 + 6) / 2 = 1.5;
    # fewer than 2 steps to go: (-1 + 3) / 2 = 1 and (0 + 1) / 2 = 0.5, still divided by k.
    np.testing.assert_allclose(efficiency_advantage(v, strides), [0.5, 1, 1.5, 1, 0.5])


def test_advantages_at_the_end_of_a_failure_shrink_the_stride_and_its_divisor():
    z, v = np.array([0.0, 1.0, 3.0, 6.0, 10.0]), np.array([-9.0, -7.0, -6.0, -3.0, -1.0])
    strides = strides_of(episode("PPPPP", False), 2)
    np.testing.assert_allclose(viability_advantage(z, strides), [3, 5, 7, 4, NAN])
    # frame 3 has k' = 1: (-1 - 1 + 3) / 1 = 1; frame 4 has nothing.
    np.testing.assert_allclose(efficiency_advantage(v, strides), [0.5, 1, 1.5, 1, NAN])
    three = strides_of(episode("PPPPP", False), 3)
    # k = 3 at frame 2: k' = 2, (-2 - 1 + 6) / 2 = 1.5, where a success would have had (-2 + 6) / 3 = 4/3.
    assert efficiency_advantage(v, three)[2] == 1.5
    assert efficiency_advantage(v, strides_of(episode("PPPPP", True), 3))[2] == pytest.approx(4 / 3)


def test_advantages_at_a_cut_on_the_way_to_success():
    z, v = np.array([0.0, 1.0, 3.0, 6.0, 10.0]), np.array([-9.0, -7.0, -6.0, -3.0, -1.0])
    strides = strides_of(episode("PP|PPP", True), 2)
    np.testing.assert_allclose(viability_advantage(z, strides), [1, NAN, 7, 4, 0])
    np.testing.assert_allclose(
        efficiency_advantage(v, strides), [1, NAN, 1.5, 1, 0.5]
    )  # frame 0: (-1 - 7 + 9) / 1


def test_a_policy_frame_sees_the_state_the_human_made():
    z = np.array([0.0, 1.0, 5.0])
    np.testing.assert_allclose(viability_advantage(z, strides_of(episode("PHP", True), 1)), [1, 4, 0])


@given(traces(), st.integers(1, 6), st.integers(0, 2**31))
def test_advantages_are_the_obvious_loop(trace, stride, seed):
    n = len(trace.cut)
    z, v = np.random.default_rng(seed).normal(size=(2, n))
    strides = strides_of(trace, stride)
    a_v, a_e = viability_advantage(z, strides), efficiency_advantage(v, strides)
    for t in range(n):
        end = next((u - 1 for u in range(t + 1, n) if trace.cut[u]), n - 1)  # last frame before the next cut
        to_success = n - 1 - t if trace.outcome is True and end == n - 1 else None
        if to_success is not None and to_success < stride:
            assert a_e[t] == pytest.approx((-to_success - v[t]) / stride) and a_v[t] == pytest.approx(
                z[n - 1] - z[t]
            )
        elif (k := min(stride, end - t)) == 0:
            assert np.isnan(a_e[t]) and np.isnan(a_v[t])
        else:
            assert a_e[t] == pytest.approx((-k + v[t + k] - v[t]) / k) and a_v[t] == pytest.approx(
                z[t + k] - z[t]
            )


@given(st.integers(1, 20), st.integers(1, 8))
def test_a_critic_that_knows_the_time_left_finds_no_advantage(length, stride):
    v = np.arange(1.0 - length, 1.0)
    np.testing.assert_allclose(
        efficiency_advantage(v, strides_of(episode("P" * length, True), stride)), 0, atol=1e-12
    )


@given(traces(), st.integers(1, 4), st.integers(0, 2**31))
def test_advantages_on_one_side_of_a_cut_do_not_see_the_other(trace, stride, seed):
    z, other = np.random.default_rng(seed).normal(size=(2, len(trace.cut)))
    strides = strides_of(trace, stride)
    for cut in np.flatnonzero(trace.cut):
        early = np.arange(len(z)) < cut
        for advantage in (viability_advantage, efficiency_advantage):
            np.testing.assert_array_equal(
                advantage(np.where(early, z, other), strides)[early], advantage(z, strides)[early]
            )
            np.testing.assert_array_equal(
                advantage(np.where(early, other, z), strides)[~early], advantage(z, strides)[~early]
            )


def test_parent_advantage_by_hand():
    target, frames, v = (
        ParentTarget(gamma=0.5),
        timeline([episode("PP|P", False)]),
        np.array([-50.0, -60.0, -70.0]),
    )
    # r + gamma V' - V: -1 - 30 + 50 = 19; nothing before the cut; -100 + 70 = -30 at the end (d = 1).
    np.testing.assert_allclose(parent_advantage(v, target.ahead(frames)), [19, NAN, -30])


# --- Eq. 7: the gate


def test_gate_by_hand():
    p, a_v, a_e = (
        np.array([0.0, 1.0, 0.25, 0.5, 0.5]),
        np.array([0.5, 9.0, 2.0, 0.0, NAN]),
        np.array([9.0, -0.5, -2.0, 0.0, 1.0]),
    )
    # 1 + tanh(0.5), 1 + tanh(-0.5), 1 + tanh(0.75 * 2 - 0.25 * 2) = 1 + tanh(1), 1, unknown.
    np.testing.assert_allclose(gate(p, a_v, a_e), [1.46211716, 0.53788284, 1.76159416, 1, NAN])


@given(st.floats(0, 1), st.floats(-15, 15), st.floats(-15, 15))
def test_gate_stays_in_zero_two_and_rises_with_its_advantages(p, a_v, a_e):
    at = lambda v, e: gate(np.array([p]), np.array([v]), np.array([e]))[0]  # noqa: E731
    assert 0 <= at(a_v, a_e) <= 2
    assert at(a_v + 1, a_e) >= at(a_v, a_e) and at(a_v, a_e + 1) >= at(a_v, a_e)


# --- The rules

FRAMES = evidence(
    route=[D, S, S, F, I, U],
    outcome=[1, 1, 1, 0, 1, 1],
    p_v=[0.5, 0.0, 1.0, 0.5, 0.5, 0.5],
    a_v=[1, 0.5, 9, 1, 1, 1],
    a_e=[1, 9, -0.5, 1, 1, 1],
    a_parent=[9, 3, -1, 2, 9, -5],
)
UP, DOWN, ONE = 1 + np.tanh(0.5), 1 - np.tanh(0.5), 1 + np.tanh(1)
TABLE = {
    Uniform(): [1, 1, 1, 1, 1, 0],
    FilteredBC(): [1, 1, 1, 0, 1, 0],
    ImitDAgger(): [1, 0, 0, 0, 1, 0],
    HABC(): [1, UP, DOWN, 0, 1, 0],
    HABC(reweight_interventions=True): [1, UP, DOWN, 0, ONE, 0],
    # One failed frame with A_v = 1, p_v = 0.5. The two successful rollouts have A_v 0.5 and 9 (spread 4.25),
    # A_e 9 and -0.5 (spread 4.75).
    HABC(rising_failures=True): [1, UP, DOWN, 0.5 * np.tanh(1), 1, 0],
    HABC(certainty_price=1.0): [1, UP, 1 - np.tanh(1.5), 0, 1, 0],
    HABC(self_normalised=True): [1, 1 + np.tanh(0.5 / 4.25), 1 - np.tanh(0.5 / 4.75), 0, 1, 0],
    HABCV(): [1, UP, 1 + np.tanh(9), 0, 1, 0],
    HABCV(reweight_interventions=True): [1, UP, 1 + np.tanh(9), 0, ONE, 0],
    # The four autonomous windows (also the failed and the unlabelled one) have -5, -1, 2, 3: a quarter of
    # them passes, the 3.
    ImitRecap(): [1, 1, 0, 0, 1, 0],
    ImitRecap(threshold=Passing(share=0.5)): [1, 1, 0, 1, 1, 0],
    ImitRecap(threshold=Above(value=-1.0)): [1, 1, 1, 1, 1, 0],
    AWR(temperature=2.0, clip=3.0): [
        1,
        3,
        np.exp(-0.5),
        np.exp(1),
        1,
        np.exp(-2.5),
    ],  # exp(1.5) = 4.5 is clipped
    # No critic of chunks was asked: every rollout counts 1.
    ExponentialWeights(): [1, 1, 1, 1, 1, 0],
    RejectionTargets(): [1, 1, 1, 1, 1, 0],
}


@pytest.mark.parametrize("rule", TABLE)
def test_rules_side_by_side(rule):
    np.testing.assert_allclose(rule(FRAMES), TABLE[rule])


@pytest.mark.parametrize("rule", TABLE)
def test_missing_evidence(rule):
    nothing = evidence(route=[D, S, F, I], outcome=[1, 1, 0, 1])
    filters = {ImitDAgger: [1, 0, 0, 1]}
    filters |= {kind: [1, 1, 1, 1] for kind in (Uniform, AWR, ExponentialWeights, RejectionTargets)}
    match rule:
        case ImitRecap(threshold=Passing()):
            with pytest.raises(VantageError, match="parent advantage"):
                rule(nothing)
        case ImitRecap():
            np.testing.assert_array_equal(rule(nothing), [1, 0, 0, 1])
        case _:  # neutral: g = 1 on successes, as in warm-up
            np.testing.assert_array_equal(rule(nothing), filters.get(type(rule), [1, 1, 0, 1]))


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_a_frame_without_advantages_counts_as_one_whose_advantages_are_zero(price):
    """Before a cut nothing is known but p_v: there the price of certainty is paid as everywhere."""
    unknown, zero = (
        evidence(route=[S, S, S], outcome=[1, 1, 1], p_v=[0.0, 0.5, 0.9], a_v=[a] * 3, a_e=[a] * 3)
        for a in (np.nan, 0.0)
    )
    g = HABC(certainty_price=price)(unknown)
    np.testing.assert_allclose(g, HABC(certainty_price=price)(zero))
    np.testing.assert_allclose(g, 1 - np.tanh(price * np.array([0.0, 0.5, 0.9])))


def test_a_failed_frame_whose_viability_falls_counts_nothing():
    falling = evidence(route=[F, F, F], outcome=[0, 0, 0], p_v=[0.9, 0.9, 0.0], a_v=[-1, 0, 5], a_e=[1, 1, 1])
    np.testing.assert_array_equal(HABC(rising_failures=True)(falling), [0, 0, 0])


@given(st.floats(0.1, 50), st.integers(0, 99))
def test_self_normalised_gates_forget_the_scale_of_the_critic(scale, seed):
    rng = np.random.default_rng(seed)
    a_v, a_e, p_v = rng.normal(size=(2, 30)).tolist() + [rng.random(30).tolist()]
    one = evidence(route=[S] * 30, outcome=np.ones(30), p_v=p_v, a_v=a_v, a_e=a_e)
    other = evidence(
        route=[S] * 30, outcome=np.ones(30), p_v=p_v, a_v=np.multiply(a_v, scale), a_e=np.multiply(a_e, scale)
    )
    rule = HABC(self_normalised=True)
    np.testing.assert_allclose(rule(one), rule(other), atol=1e-9)


def test_recap_passes_a_quarter_and_ignores_human_and_unknown_episodes():
    n = 400
    a = np.random.default_rng(0).normal(size=n)
    frames = evidence(route=[S] * n, outcome=np.ones(n), a_parent=a)
    assert ImitRecap()(frames).sum() == 100
    human = evidence(route=[I, D], outcome=[1, 1], a_parent=[-9, -9])
    np.testing.assert_array_equal(ImitRecap()(human), [1, 1])
    unknown = evidence(route=[U, S], outcome=[NAN, 1], a_parent=[9, 1])
    np.testing.assert_array_equal(ImitRecap()(unknown), [0, 1])
    np.testing.assert_array_equal(AWR()(unknown), [0, np.e])


def test_recap_goes_by_whole_episodes_whichever_route_table_the_evidence_has():
    trace = episode("PPHP", True)
    a_parent = np.array([3.0, -1.0, 0.0, 1.0])
    labels = label_episode(trace)
    for route in (labels.route, labels.route_whole):
        frames = evidence(route=list(route), outcome=np.ones(4), a_parent=a_parent)
        np.testing.assert_array_equal(ImitRecap(threshold=Above(value=2.0))(frames), [1, 0, 1, 0])


def test_rules_say_what_they_go_by():
    for rule in TABLE:
        whole = isinstance(rule, ImitRecap | AWR)
        assert rule.credit is (Credit.WHOLE if whole else Credit.AWARE)
        assert rule.reads_parent == whole and rule.reads_critic == isinstance(rule, HABC | HABCV)
        assert rule.judged_chunks == (8 if isinstance(rule, ExponentialWeights | RejectionTargets) else 0)
        assert rule.relabels == isinstance(rule, RejectionTargets)


# --- Exponential weights, by effective sample size


@given(st.floats(0.01, 100), st.floats(0.51, 0.99))
def test_the_temperature_of_two_frames_by_hand(apart, effective):
    # w = (1, u), and (1 + u)^2 / (2 (1 + u^2)) = e has one root in (0, 1).
    weight, temperature = tempered(np.array([3.0, 3.0 - apart]), effective)
    a = 2 * effective - 1
    u = (1 - np.sqrt(1 - a**2)) / a
    np.testing.assert_allclose(weight, [1, u], rtol=1e-6)
    assert temperature == pytest.approx(-apart / np.log(u), rel=1e-6)


@given(st.integers(0, 999), st.floats(0.1, 0.95))
def test_the_temperature_is_the_root_that_scipy_finds(seed, effective):
    advantage = np.random.default_rng(seed).normal(size=60)
    weight, temperature = tempered(advantage, effective)
    assert effective_sample_size(weight) == pytest.approx(effective * 60, rel=1e-6)

    def excess(log):
        w = np.exp((advantage - advantage.max()) / np.exp(log))
        return w.sum() ** 2 / (w**2).sum() - effective * 60

    root = np.exp(scipy.optimize.brentq(excess, -10, 10, xtol=1e-12))
    assert temperature == pytest.approx(root, rel=1e-6)
    moved, same = tempered(7 + 3 * advantage, effective)
    np.testing.assert_allclose(moved, weight, rtol=1e-6)  # neither offset nor unit matters
    assert same == pytest.approx(3 * temperature, rel=1e-6)


def test_where_nothing_can_be_weighed_every_frame_counts_the_same():
    for advantage, effective in ((np.zeros(5), 0.5), (np.arange(5.0), 1.0), (np.zeros(0), 0.5)):
        weight, temperature = tempered(advantage, effective)
        assert temperature == np.inf and (weight == 1).all() and len(weight) == len(advantage)
    weight, _ = tempered(np.array([1.0, 1.0, 0.0, 0.0]), 0.1)
    np.testing.assert_allclose(weight, [1, 1, 0, 0], atol=1e-12)  # no less than the largest is left


def test_rollouts_count_by_how_much_better_they_did_than_the_policy_would():
    frames = replace(FRAMES, a_chunk=np.array([NAN, 0.3, -0.1, 0.1, NAN, NAN]))
    weight = ExponentialWeights(effective=0.7)(frames)
    wanted, _ = tempered(np.array([0.3, -0.1, 0.1]), 0.7)
    np.testing.assert_allclose(weight, [1, *wanted, 1, 0])
    assert weight[1] > weight[3] > weight[2], "the failure as well"
    np.testing.assert_array_equal(RejectionTargets()(frames), [1, 1, 1, 1, 1, 0])


def test_passing_threshold_by_hand():
    # The upper quartile of 1, 2, 3, 4, 5 is 4: two of five reach it. NaN does not count.
    assert passing_threshold(np.array([4.0, 1.0, NAN, 3.0, 2.0, 5.0])) == 4.0
    with pytest.raises(VantageError, match="parent advantage"):
        passing_threshold(np.array([NAN]))


def test_gather_evidence_by_hand():
    traces_ = [episode("PPH", True)]
    frames, labels = timeline(traces_), join_labels([label_episode(t) for t in traces_])
    strides, target = stride_rows(frames.stretch_starts(), frames.success, 1), ParentTarget(gamma=0.5)
    common = {
        "route": labels.route,
        "outcome": frames.outcome,
        "intervention": frames.intervention,
        "strides": strides,
    }
    values = Values(
        z_v=np.array([0.0, 1.0, 3.0]), v_e=np.array([-4.0, -2.0, -1.0]), v_parent=np.array([-6.0, -4.0, -2.0])
    )
    seen = gather_evidence(**common, values=values, parent=target.ahead(frames))
    np.testing.assert_allclose(seen.p_v, sigmoid(values.z_v))
    np.testing.assert_allclose(seen.a_v, [1, 2, 0])
    np.testing.assert_allclose(seen.a_e, [1, 0, 1])  # -1 - 2 + 4, -1 - 1 + 2, 0 + 1
    np.testing.assert_allclose(seen.a_parent, [3, 2, 2])  # -1 - 2 + 6, -1 - 1 + 4, 0 + 2
    assert np.isnan(gather_evidence(**common, values=values).a_parent).all()


# --- Warm-up, staleness, normalisation (Eq. 8)


def test_warm_up_is_g_one_and_failures_stay_zero():
    assert not warmed_up(499) and warmed_up(500) and warmed_up(0, n_wu=0)
    cold = hide_advantages(FRAMES)
    assert np.isnan(cold.a_v).all() and np.isnan(cold.a_e).all(), "neither head is listened to"
    for rule in (HABC(), HABC(reweight_interventions=True), HABC(certainty_price=1.0), HABCV()):
        np.testing.assert_array_equal(rule(cold), [1, 1, 1, 0, 1, 0])
    np.testing.assert_array_equal(ImitRecap()(cold), ImitRecap()(FRAMES))  # the parent head enters pretrained


def test_stale_rollouts_by_hand():
    version = np.array([-1, 0, 4_999, 5_000, 5_001, 15_000])
    np.testing.assert_array_equal(fresh(version, 15_000), [1, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(fresh(version, 15_000, cutoff=15_001), [1, 1, 1, 1, 1, 1])


def test_normalise_by_hand():
    raw = np.array([1.0, 1.0, 0.5, 1.5, 0.7])
    sampling = np.array([0.25, 0.25, 0.125, 0.375, 0.0])
    demo, valid = np.array([1, 0, 0, 0, 0], bool), np.array([1, 1, 1, 1, 0], bool)
    # c = (0.25 * 1 + 0.125 * 0.5 + 0.375 * 1.5) / 0.75 = 0.875 / 0.75 = 7/6.
    np.testing.assert_allclose(normalise(raw, sampling, demo, valid), [1, 6 / 7, 3 / 7, 9 / 7, 0])


def test_normalise_batch_by_hand():
    # c = (0.5 + 1.5 + 1) / 3 = 1 over the non-demonstrations; with the zero it is (0.5 + 0) / 2 = 0.25.
    np.testing.assert_allclose(
        normalise_batch(np.array([1, 0.5, 1.5, 1.0]), np.array([True, False, False, False])), [1, 0.5, 1.5, 1]
    )
    np.testing.assert_allclose(
        normalise_batch(np.array([1, 0.5, 0.0]), np.array([True, False, False])), [1, 2, 0]
    )


def test_normalise_edges():
    demos = np.ones(3, bool)
    np.testing.assert_array_equal(normalise(np.ones(3), np.full(3, 1 / 3), demos), [1, 1, 1])
    nothing_drawn = normalise(np.array([1.0, 0.4]), np.array([1.0, 0.0]), np.array([True, False]))
    np.testing.assert_array_equal(nothing_drawn, [1, 0.4])
    np.testing.assert_array_equal(
        normalise(np.zeros(2), np.full(2, 0.5), np.zeros(2, bool)), [0, 0]
    )  # eps, not a division by 0


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, 1), st.booleans()), min_size=1, max_size=20),
    st.floats(0.1, 10),
)
def test_normalised_weights_have_mean_one_as_drawn_and_forget_the_scale(rows, scale):
    raw, sampling, demo = (np.array(column) for column in zip(*rows, strict=True))
    weight = normalise(raw, sampling / sampling.sum(), demo)
    assert (weight[demo] == 1).all()
    rest = ~demo
    if np.dot(sampling[rest], raw[rest]) > 1e-3:
        assert np.average(weight[rest], weights=sampling[rest]) == pytest.approx(1)
        np.testing.assert_allclose(
            normalise(raw * scale, sampling, demo)[rest], weight[rest], atol=1e-300
        )  # denormals halve to 0
