import numpy as np
import pytest
from core_episodes import episode, traces
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.credit import join_labels, label_episode
from vantage.core.segments import last_of_segment
from vantage.core.timeline import timeline
from vantage.core.windows import (
    WindowRule,
    action_mask,
    commanded_dims,
    earlier_rows,
    near_handover,
    valid_anchors,
    window_index,
)


def table(episodes):
    labels, frames = join_labels([label_episode(trace) for trace in episodes]), timeline(episodes)
    return labels, frames, last_of_segment(labels.segment, frames.episode)


def test_windows_by_hand():
    end = np.array([3, 3, 3, 3, 5, 5])  # a a a a b b
    rows, valid = window_index(end, np.array([0, 2, 5]), 3)
    np.testing.assert_array_equal(rows, [[0, 1, 2], [2, 3, 3], [5, 5, 5]])
    np.testing.assert_array_equal(valid, [[1, 1, 1], [1, 1, 0], [1, 0, 0]])


def test_windows_that_look_back_by_hand():
    end = np.array([3, 3, 3, 3, 5, 5])  # a a a a b b
    rows, valid = window_index(end, np.array([0, 3, 5]), 2, past=2)
    np.testing.assert_array_equal(rows, [[0, 0, 0, 1], [1, 2, 3, 3], [4, 4, 5, 5]])
    np.testing.assert_array_equal(valid, [[0, 0, 1, 1], [1, 1, 1, 0], [0, 1, 1, 0]])
    np.testing.assert_array_equal(earlier_rows(end, np.array([0, 3, 5]), 2), [[0, 1, 4], [0, 2, 4]])
    assert earlier_rows(end, np.array([0, 3]), 0).shape == (0, 2)


@given(st.lists(traces(), min_size=1, max_size=3), st.integers(1, 8), st.integers(0, 3), st.data())
def test_windows_stay_in_their_segment_and_pad_with_its_first_and_last_frame(episodes, horizon, past, data):
    labels, frames, end = table(episodes)
    anchors = np.array(data.draw(st.lists(st.integers(0, len(frames) - 1), min_size=1, max_size=4)))
    rows, valid = window_index(end, anchors, horizon, past)
    for b, anchor in enumerate(anchors):
        home = (frames.episode[anchor], labels.segment[anchor])
        own = [row for row in range(len(frames)) if (frames.episode[row], labels.segment[row]) == home]
        for h, row in enumerate(range(anchor - past, anchor + horizon)):
            assert valid[b, h] == (row in own)
            assert rows[b, h] == min(max(row, own[0]), own[-1])
    np.testing.assert_array_equal(earlier_rows(end, anchors, past), rows[:, :past].T)


@pytest.mark.parametrize(("horizon", "human"), [(50, 10), (1, 1), (5, 1), (6, 2), (16, 4), (51, 11)])
def test_human_share(horizon, human):
    assert WindowRule().human_steps(horizon) == human


def test_valid_anchors_by_hand():
    labels, _, end = table([episode("PPP" + "H" * 12 + "P", True)])
    # H = 50 needs 10 human steps: of the 12 human frames only those with 12, 11 and 10 left may anchor; any
    # policy frame may.
    np.testing.assert_array_equal(valid_anchors(end, labels.route, 50), [1] * 3 + [1] * 3 + [0] * 9 + [1])
    # A policy window may be asked for more steps: here 2, which the last of the three and the lone suffix
    # frame do not have.
    np.testing.assert_array_equal(
        valid_anchors(end, labels.route, 50, WindowRule(policy_steps=2)), [1, 1, 0] + [1] * 3 + [0] * 9 + [0]
    )
    assert valid_anchors(end, labels.route, 5).all()  # ceil(5 / 5) = 1


def test_near_a_handover_by_hand():
    frames = timeline([episode("PPPPHHHHPP", True), episode("PPP", True)])
    near = near_handover(frames.intervention, frames.episode, 2)
    np.testing.assert_array_equal(near, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    assert not near_handover(frames.intervention, frames.episode, 0).any()


@given(st.lists(traces(), min_size=1, max_size=3), st.integers(0, 4))
def test_near_a_handover_is_the_obvious_loop(episodes, margin):
    frames = timeline(episodes)
    n, drove, home = len(frames), frames.intervention, frames.episode
    wanted = np.zeros(n, bool)
    for t in range(n):
        for first in range(max(t - margin + 1, 1), min(t + margin, n - 1) + 1):
            wanted[t] |= home[first] == home[first - 1] == home[t] and drove[first] != drove[first - 1]
    np.testing.assert_array_equal(near_handover(drove, home, margin), wanted)


def test_a_demonstration_is_no_intervention():
    labels, _, end = table([episode("HHH", True, demo=True)])
    assert valid_anchors(end, labels.route, 50).all()


def test_action_mask_by_hand():
    rows, valid = window_index(np.array([1, 1, 2]), np.array([0, 2]), 2)
    one_arm = np.array([True, False])
    np.testing.assert_array_equal(action_mask(rows, valid, one_arm), [[[1, 0], [1, 0]], [[1, 0], [0, 0]]])
    dims = commanded_dims(np.array([False, False, True]), one_arm)
    np.testing.assert_array_equal(dims, [[1, 1], [1, 1], [1, 0]])
    np.testing.assert_array_equal(action_mask(rows, valid, dims), [[[1, 1], [1, 1]], [[1, 0], [0, 0]]])
