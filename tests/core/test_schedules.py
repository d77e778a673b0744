import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.schedules import Cosine, half_cosine


def test_cosine_by_hand():
    rate = Cosine(peak=2.0, total=14, warm_up=4, floor=0.1)
    # Warm-up: 2 * 1/5, 2 * 2/5 ...; the peak at step 4; half-way (step 9) 2 * (0.1 + 0.9 / 2) = 1.1; the
    # floor 0.2 from step 14 on.
    assert [rate(s) for s in (0, 1, 3, 4, 9, 14, 99)] == pytest.approx([0.4, 0.8, 1.6, 2.0, 1.1, 0.2, 0.2])


def test_quarter_of_the_way_without_warm_up():
    assert Cosine(peak=1.0, total=8)(2) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_a_floor_of_one_is_constant_to_the_last_bit():
    rate = Cosine(peak=3e-4, total=7, warm_up=2, floor=1.0)
    assert [rate(step) for step in (0, 1)] == pytest.approx([1e-4, 2e-4])
    assert {rate(step) for step in range(2, 20)} == {3e-4}


def test_half_cosine_by_hand():
    # 0.2 + 0.8 (1 + cos(60 degrees)) / 2 = 0.2 + 0.8 * 0.75 = 0.8.
    assert [half_cosine(p, floor=0.2) for p in (0.0, 1 / 3, 0.5, 1.0)] == pytest.approx([1.0, 0.8, 0.6, 0.2])


@given(st.integers(1, 200), st.integers(0, 50), st.floats(0, 1))
def test_cosine_rises_then_falls_within_its_bounds(total, warm_up, floor):
    rate = Cosine(peak=1.0, total=total + warm_up, warm_up=warm_up, floor=floor)
    values = [rate(step) for step in range(total + warm_up + 3)]
    assert all(0 < v <= 1 for v in values[: warm_up + 1]) and values[: warm_up + 1] == sorted(
        values[: warm_up + 1]
    )
    assert values[warm_up:] == sorted(values[warm_up:], reverse=True) and values[-1] == pytest.approx(floor)
