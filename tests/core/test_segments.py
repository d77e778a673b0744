import numpy as np
import pytest
from core_episodes import episode, traces
from hypothesis import given

from vantage.core.segments import last_of_run, last_of_segment, segment_starts, segments, suffix


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("PPPP", [0, 0, 0, 0]),
        ("PPHHP", [0, 0, 1, 1, 2]),
        ("PHPHP", [0, 1, 2, 3, 4]),
        ("P", [0]),
        ("PP|PP", [0, 0, 1, 1]),
        ("PP|HH|HP", [0, 0, 1, 1, 2, 3]),  # a cut and a hand-over on the same frame open one segment, not two
    ],
)
def test_segments_by_hand(picture, expected):
    trace = episode(picture, True)
    np.testing.assert_array_equal(segments(trace.intervention, trace.cut), expected)


def test_a_cut_flag_on_the_first_frame_changes_nothing():
    np.testing.assert_array_equal(segments(np.zeros(3, bool), np.array([True, False, True])), [0, 0, 1])


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("PPP", [1, 1, 1]),
        ("PHPP", [0, 0, 1, 1]),
        ("PH", [0, 0]),
        ("HP|P", [0, 1, 1]),
        ("PHPHP", [0, 0, 0, 0, 1]),
    ],
)
def test_suffix_by_hand(picture, expected):
    np.testing.assert_array_equal(suffix(episode(picture, True).intervention), np.array(expected, bool))


@given(traces())
def test_segments_tile_the_episode(trace):
    segment = segments(trace.intervention, trace.cut)
    assert segment[0] == 0
    assert set(np.diff(segment)) <= {0, 1}  # contiguous, none skipped
    for number in range(segment[-1] + 1):
        rows = np.flatnonzero(segment == number)
        assert (
            len(set(trace.intervention[rows])) == 1 and not trace.cut[rows[1:]].any()
        )  # one driver, no gap inside
    for t in range(1, len(segment)):  # maximal: a border is there for a reason
        assert (segment[t] != segment[t - 1]) == (
            trace.cut[t] or trace.intervention[t] != trace.intervention[t - 1]
        )


@given(traces())
def test_last_of_run_is_the_slow_search(trace):
    starts = segment_starts(trace.intervention, trace.cut)
    last = last_of_run(starts)
    for t in range(len(starts)):
        end = t
        while end + 1 < len(starts) and not starts[end + 1]:
            end += 1
        assert last[t] == end


def test_last_of_segment_stops_at_the_end_of_an_episode_with_the_same_number():
    segment, episodes = np.array([0, 0, 1, 0, 0, 0]), np.array([0, 0, 0, 1, 1, 2])
    np.testing.assert_array_equal(last_of_segment(segment, episodes), [1, 1, 2, 4, 4, 5])


def test_no_rows_no_runs():
    assert len(last_of_run(np.zeros(0, bool))) == 0
