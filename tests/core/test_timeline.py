import numpy as np
import pytest
from core_episodes import episode

from vantage.core.timeline import timeline
from vantage.types import Trace, VantageError


def test_timeline_by_hand():
    frames = timeline([episode("PH|P", True), episode("PP", None, version=9), episode("H", False, demo=True)])
    assert len(frames) == 6
    np.testing.assert_array_equal(frames.episode, [0, 0, 0, 1, 1, 2])
    np.testing.assert_array_equal(frames.frame, [0, 1, 2, 0, 1, 0])
    np.testing.assert_array_equal(frames.intervention, [0, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(frames.policy_version, [7, 7, 7, 9, 9, -1])
    np.testing.assert_array_equal(frames.cut, [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(frames.demo, [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(frames.outcome, [1, 1, 1, np.nan, np.nan, 0])
    np.testing.assert_array_equal(frames.last, [0, 0, 1, 0, 1, 1])
    np.testing.assert_array_equal(frames.success, [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(frames.stretch_starts(), [1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(frames.stretch_starts(across_handover=False), [1, 1, 1, 1, 0, 1])


def test_bad_traces_get_a_sentence():
    with pytest.raises(VantageError, match="no episodes"):
        timeline([])
    with pytest.raises(VantageError, match="no frames"):
        timeline([episode("", True)])
    uneven = object.__new__(Trace)  # a reader's mistake that the type checks of the tests would stop earlier
    for name, value in {
        "intervention": np.zeros(2, bool),
        "policy_version": np.zeros(3, np.int64),
        "cut": np.zeros(2, bool),
    }.items():
        object.__setattr__(uneven, name, value)
    with pytest.raises(VantageError, match="different lengths \\[2, 3\\]"):
        timeline([uneven])
