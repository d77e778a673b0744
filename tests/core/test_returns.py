import numpy as np
import pytest
import torch
from core_episodes import episode, traces
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.credit import steps_to_success
from vantage.core.returns import (
    EfficiencyTarget,
    ParentReward,
    ParentTarget,
    ViabilityTarget,
    bootstrap,
    discounted_returns,
    efficiency_ahead,
    mix,
    stride_rows,
    viability_ahead,
)
from vantage.core.timeline import timeline
from vantage.types import VantageError

NAN = np.nan


def strides_of(traces, stride, **kwargs):
    frames = timeline(traces)
    return stride_rows(frames.stretch_starts(**kwargs), frames.success, stride)


def test_stride_rows_of_a_success_by_hand():
    # T = 5, k = 2: frames 3 and 4 are fewer than 2 steps before the success frame 4; frame 2 still has its
    # s_{t+2} = s_4.
    strides = strides_of([episode("PPPPP", True)], 2)
    np.testing.assert_array_equal(strides.row, [2, 3, 4, 4, 4])
    np.testing.assert_array_equal(strides.steps, [2, 2, 2, 1, 0])
    np.testing.assert_array_equal(strides.terminal, [0, 0, 0, 1, 1])
    assert strides.defined.all()


@pytest.mark.parametrize("outcome", [False, None])
def test_stride_rows_shrink_where_an_episode_does_not_succeed(outcome):
    strides = strides_of([episode("PPPPP", outcome), episode("P", True)], 2)
    np.testing.assert_array_equal(strides.row, [2, 3, 4, 4, 4, 5])
    np.testing.assert_array_equal(strides.steps, [2, 2, 2, 1, 0, 0])
    np.testing.assert_array_equal(strides.terminal, [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(strides.defined, [1, 1, 1, 1, 0, 1])


def test_stride_rows_shrink_at_a_cut_even_on_the_way_to_success():
    # PP|PPP, k = 3: frame 0 sees one step ahead, frame 1 none; beyond the cut, frames 2, 3, 4 are all within
    # 3 steps of the success.
    strides = strides_of([episode("PP|PPP", True)], 3)
    np.testing.assert_array_equal(strides.steps, [1, 0, 2, 1, 0])
    np.testing.assert_array_equal(strides.terminal, [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(strides.defined, [1, 0, 1, 1, 1])


def test_a_hand_over_is_crossed_unless_a_setting_says_no():
    trace = episode("PPHHPP", True)
    np.testing.assert_array_equal(strides_of([trace], 2).row, [2, 3, 4, 5, 5, 5])
    alone = strides_of([trace], 2, across_handover=False)
    np.testing.assert_array_equal(alone.row, [1, 1, 3, 3, 5, 5])
    np.testing.assert_array_equal(alone.defined, [1, 0, 1, 0, 1, 1])


def test_a_stride_below_one_gets_a_sentence():
    with pytest.raises(VantageError, match="stride is 0"):
        strides_of([episode("P", True)], 0)


@given(st.lists(traces(), min_size=1, max_size=3), st.integers(1, 6))
def test_strides_are_the_slow_walk(episodes, stride):
    frames, strides = timeline(episodes), strides_of(episodes, stride)
    for n in range(len(frames)):
        row = n
        while (
            row - n < stride
            and row + 1 < len(frames)
            and frames.episode[row + 1] == frames.episode[n]
            and not frames.cut[row + 1]
        ):
            row += 1
        short = row - n < stride
        assert (strides.row[n], strides.steps[n]) == (row, row - n)
        assert strides.terminal[n] == (short and frames.success[row])


def test_efficiency_td_at_stride_one_is_equation_3():
    v = np.array([-9.0, -4.0, -2.0])
    # y(T) = 0 at the success frame; else -1 + V(s_{t+1}): -1 - 4 = -5, -1 - 2 = -3.
    np.testing.assert_array_equal(efficiency_ahead(strides_of([episode("PPP", True)], 1))(v), [-5, -3, 0])


def test_efficiency_td_at_stride_two_by_hand():
    v = np.array([-9.0, -7.0, -6.0, -3.0, -1.0])
    # -2 + V(s_{t+2}) for t = 0, 1, 2: -8, -5, -3; then facts: -(4 - 3) = -1, 0.
    np.testing.assert_array_equal(
        efficiency_ahead(strides_of([episode("PPPPP", True)], 2))(v), [-8, -5, -3, -1, 0]
    )
    # The same episode cut before frame 2: frame 0 sees one step, -1 + V(s_1) = -8; frame 1 nothing; beyond,
    # -2 + V(s_4) = -3.
    np.testing.assert_array_equal(
        efficiency_ahead(strides_of([episode("PP|PPP", True)], 2))(v), [-8, NAN, -3, -1, 0]
    )


def test_viability_td_by_hand():
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    ends = np.arange(5) == 4
    for outcome in (1.0, 0.0):
        strides = stride_rows(np.arange(5) == 0, ends, 2)
        # p(s_{t+2}) for t = 0, 1, 2, at 2 the last frame's own; fewer than 2 steps from the end, the outcome.
        wanted = [0.3, 0.4, 0.5, outcome, outcome]
        np.testing.assert_array_equal(viability_ahead(strides, np.full(5, outcome))(p), wanted)


def test_viability_td_never_looks_past_a_hand_over_or_a_cut():
    target = ViabilityTarget(stride=3, mc_share=0.5)
    frames = timeline([episode("PPHHPP|PP", True), episode("PPPP", None)])
    ahead = target.ahead(frames)
    # The policy's two steps before the rescue see each other; after it time is cut, and the outcome ends it.
    np.testing.assert_array_equal(ahead.row, [1, 1, 3, 3, 5, 5, 7, 7, 11, 11, 11, 11])
    np.testing.assert_array_equal(ahead.gain, [0, NAN, 0, NAN, 0, NAN, 1, 1, 0, 0, 0, NAN])
    labelled = np.array([False] * 4 + [True] * 4 + [False] * 4)
    taught = target.supervised(labelled, ahead)
    assert np.flatnonzero(taught).tolist() == [4, 6, 7], "before the cut nothing is known of what comes"
    assert ViabilityTarget(mc_share=1.0).supervised(labelled, ahead).sum() == 4, "the outcome is"


@given(st.integers(1, 20), st.integers(1, 25), st.booleans())
def test_the_outcome_is_the_fixed_point_of_viability_td(length, stride, outcome):
    frames = timeline([episode("P" * length, outcome)])
    ahead = ViabilityTarget(stride=stride).ahead(frames)
    np.testing.assert_array_equal(ahead(frames.outcome), frames.outcome)


@given(st.integers(1, 20), st.integers(1, 25))
def test_true_values_are_the_fixed_point_of_td_at_any_stride(length, stride):
    mc = steps_to_success(length)
    np.testing.assert_array_equal(efficiency_ahead(strides_of([episode("P" * length, True)], stride))(mc), mc)


def test_td_iteration_solves_a_chain():
    # A chain of 30 states, values from 0: n-step TD settles on the steps that are left after ceil(30 / k)
    # sweeps.
    ahead = efficiency_ahead(strides_of([episode("P" * 30, True)], 8))
    v = np.zeros(30)
    for _ in range(4):
        v = ahead(v)
    np.testing.assert_array_equal(v, steps_to_success(30))


@given(traces(), st.integers(1, 5), st.integers(0, 2**31))
def test_targets_on_one_side_of_a_cut_do_not_see_the_other(trace, stride, seed):
    frames, rng = timeline([trace]), np.random.default_rng(seed)
    here, there = rng.normal(size=(2, len(frames)))
    for cut in np.flatnonzero(frames.cut):
        early = np.arange(len(frames)) < cut
        for target in (EfficiencyTarget(stride=stride), ParentTarget(stride=stride)):
            ahead = target.ahead(frames)
            before, swapped = ahead(np.where(early, here, there)), ahead(np.where(early, here, -there))
            np.testing.assert_array_equal(before[early], swapped[early])
            np.testing.assert_array_equal(
                ahead(np.where(early, here, there))[~early], ahead(np.where(early, -here, there))[~early]
            )


def test_mix_by_hand():
    td, mc = np.array([-8.0, NAN]), np.array([-4.0, -3.0])
    np.testing.assert_array_equal(mix(td, mc, 0.25), [-7.0, NAN])  # 0.75 * -8 + 0.25 * -4
    np.testing.assert_array_equal(mix(td, mc, 1.0), mc)  # Monte-Carlo does not need the TD target
    np.testing.assert_array_equal(mix(td, mc, 0.0), td)


def test_the_arithmetic_serves_tensors_too():
    y = bootstrap(torch.tensor([-2.0, -1.0]), torch.tensor([1.0, 0.0]), torch.tensor([-5.0, -9.0]))
    assert mix(y, torch.tensor([-3.0, -1.0]), 0.5).tolist() == [-5.0, -1.0]  # (-7 - 3) / 2, (-1 - 1) / 2


def test_efficiency_target_names_the_frames_it_can_teach():
    frames, mask = timeline([episode("PP|PP", True)]), np.ones(4, bool)
    td = EfficiencyTarget(stride=2)
    np.testing.assert_array_equal(td.supervised(mask, td.ahead(frames)), [1, 0, 1, 1])
    mc = EfficiencyTarget(mc_share=1.0)
    np.testing.assert_array_equal(mc.supervised(mask, mc.ahead(frames)), mask)


def test_discounted_returns_by_hand():
    reward, starts = np.array([1.0, 2.0, 4.0, 8.0]), np.array([True, False, False, True])
    # gamma = 1/2: 1 + 2/2 + 4/4 = 3, 2 + 4/2 = 4, 4, and the next episode: 8.
    np.testing.assert_array_equal(discounted_returns(reward, starts, 0.5), [3, 4, 4, 8])


@given(st.lists(traces(max_length=40), min_size=1, max_size=3), st.floats(0, 1), st.integers(0, 2**31))
def test_discounted_returns_are_the_backward_loop(episodes, gamma, seed):
    frames = timeline(episodes)
    reward = np.random.default_rng(seed).normal(size=len(frames))
    expected, after = np.zeros(len(frames)), 0.0
    for n in reversed(range(len(frames))):
        after = reward[n] + (0.0 if frames.last[n] else gamma * after)
        expected[n] = after
    np.testing.assert_allclose(discounted_returns(reward, frames.frame == 0, gamma), expected, atol=1e-9)


def test_parent_rewards_by_hand():
    frames = timeline([episode("PPP", True), episode("PPP", False), episode("PP", None)])
    np.testing.assert_array_equal(ParentReward()(frames), [-1, -1, 0, -1, -1, -100, NAN, NAN])
    np.testing.assert_array_equal(
        ParentReward(per_transition=True)(frames), [-1, -1, 0, -100, -100, -100, NAN, NAN]
    )


def test_parent_returns_lie_above_the_bound():
    frames = timeline([episode("P" * 400, False)])
    for reward in (ParentReward(), ParentReward(per_transition=True)):
        target = ParentTarget(reward=reward)
        assert target.monte_carlo(frames).min() >= reward.lowest_return(0.99)
    assert ParentReward().lowest_return(0.99) == pytest.approx(-200)  # -1 / (1 - 0.99) - 100


def test_parent_targets_are_equation_9_at_stride_one():
    frames, v = timeline([episode("PPP", False)]), np.array([-50.0, -60.0, -70.0])
    # r + gamma V(s') inside: -1 - 0.5 * 60 = -31, -1 - 0.5 * 70 = -36; at the boundary the return itself, -C
    # = -100.
    np.testing.assert_allclose(ParentTarget(gamma=0.5).ahead(frames)(v), [-31, -36, -100])
    # R: -1 - 0.5 + 0.25 * -100 = -26.5, -1 - 50 = -51, -100.
    np.testing.assert_allclose(ParentTarget(gamma=0.5).monte_carlo(frames), [-26.5, -51, -100])


def test_parent_targets_at_stride_two_by_hand():
    target, v = ParentTarget(gamma=0.5, stride=2), np.array([-50.0, -60.0, -70.0, -80.0])
    # Two rewards, then V: -1 - 0.5 + 0.25 * -70 = -19, -1.5 + 0.25 * -80 = -21.5; then the facts: -1 + 0.5 *
    # 0 = -1, 0.
    np.testing.assert_allclose(target.ahead(timeline([episode("PPPP", True)]))(v), [-19, -21.5, -1, 0])
    # Cut before frame 2: frame 0 has one step, -1 + 0.5 * -60 = -31; frame 1 nothing.
    np.testing.assert_allclose(target.ahead(timeline([episode("PP|PP", True)]))(v), [-31, NAN, -1, 0])


@given(traces(outcome=st.booleans()), st.integers(1, 6))
def test_true_returns_are_the_fixed_point_of_parent_td(trace, stride):
    frames, target = timeline([trace]), ParentTarget(stride=stride)
    returns, ahead = target.monte_carlo(frames), target.ahead(frames)
    known = np.isfinite(ahead.gain)
    np.testing.assert_allclose(ahead(returns)[known], returns[known], atol=1e-9)
    np.testing.assert_array_equal(
        ~known, np.append(frames.cut[1:], False)
    )  # only the frame just before a cut has no target
