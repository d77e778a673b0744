"""Bounds on actions: what is within them passes bit for bit, and nothing else passes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vantage.core.limits import Limits
from vantage.types import VantageError

ANY = st.floats(-100, 100, width=32)
BOUNDS = Limits(
    low=np.array([-1.0, 0.0, -50.0], np.float32),
    high=np.array([1.0, 2.0, 50.0], np.float32),
    rate=np.array([0.25, 0.5, np.inf], np.float32),
)


def test_range_and_step_of_data_by_hand() -> None:
    """Rows 0 to 2 are one stretch, 3 and 4 another: the step from 2 to 3 is nobody's."""
    actions = np.array([[0.0], [1.0], [1.5], [9.0], [10.0]])
    limits = Limits.of(actions, np.array([True, False, False, True, False]), margin=0.1)
    np.testing.assert_allclose([limits.low[0], limits.high[0], limits.rate[0]], [-1.0, 11.0, 1.1], rtol=1e-6)
    given, changes = limits(actions.astype(np.float32), None)
    assert not changes and (given == actions).all(), "data are within their own bounds"


@given(
    arrays(np.float32, (2, 3), elements=ANY), st.lists(arrays(np.float32, (2, 3), elements=ANY), max_size=6)
)
def test_nothing_leaves_the_bounds_and_nothing_else_is_changed(
    first: np.ndarray, later: list[np.ndarray]
) -> None:
    before = None
    for wanted in (first, *later):
        given, changes = BOUNDS(wanted, before)
        assert (given >= BOUNDS.low).all() and (given <= BOUNDS.high).all()
        if before is not None:
            assert (np.abs(given.astype(float) - before) <= BOUNDS.rate.astype(float) + 1e-5).all()

        changed = {(change.row, change.dimension) for change in changes}
        for row, dimension in np.ndindex(*wanted.shape):
            same = given[row, dimension].tobytes() == wanted[row, dimension].tobytes()
            assert same or (row, dimension) in changed or given[row, dimension] == wanted[row, dimension] == 0
        for change in changes:
            assert change.given == given[change.row, change.dimension] != change.wanted
            assert change.wanted == wanted[change.row, change.dimension]
        before = given


def test_both_can_be_left_out() -> None:
    wild = np.full((1, 3), 99, np.float32)
    calm = np.zeros((1, 3), np.float32)
    assert (BOUNDS.without(clamp=False, rate=False)(wild, calm)[0] == wild).all()
    np.testing.assert_allclose(BOUNDS.without(clamp=True, rate=False)(wild, calm)[0], [[1, 2, 50]])
    np.testing.assert_allclose(BOUNDS.without(clamp=False, rate=True)(wild, calm)[0], [[0.25, 0.5, 99]])


def test_what_is_no_number_keeps_the_action_before() -> None:
    before = np.array([[0.5, 1.0, 7.0]], np.float32)
    given, changes = BOUNDS(np.array([[np.nan, 1.0, np.inf]], np.float32), before)
    assert (given == before).all() and [change.by for change in changes] == ["missing", "missing"]
    with pytest.raises(VantageError, match="first action is no number"):
        BOUNDS(np.array([[np.nan, 1.0, 0.0]], np.float32), None)
