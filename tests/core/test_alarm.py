"""When an alarm calls, and that what it costs is measured on episodes that did not choose it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.alarm import Alarm, Watched, calibrate
from vantage.types import VantageError


def episode(number: int, p_v: list[float], solved: bool | None) -> Watched:
    at = np.arange(len(p_v)) * 4
    return Watched(
        episode=number,
        p_v=np.array(p_v),
        at=at,
        steps=4 * len(p_v),
        solved=solved,
        taken_over=False,
    )


def test_it_calls_after_so_many_in_a_row() -> None:
    p_v = np.array([0.9, 0.3, 0.6, 0.3, 0.2, 0.1])
    assert [Alarm(0.5, patience).first(p_v) for patience in (1, 2, 3, 4)] == [1, 4, 5, None]
    assert Alarm(0.0, 1).first(p_v) is None, "a threshold of 0 never calls"
    assert episode(0, p_v.tolist(), solved=False).called(Alarm(0.5, 2)) == 16


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1), st.integers(1, 5)
)
def test_a_higher_threshold_or_less_patience_never_calls_later(
    p_v: list[float], one: float, other: float, patience: int
) -> None:
    low, high = sorted((one, other))
    never = len(p_v)
    calls = [Alarm(low, patience + 1), Alarm(low, patience), Alarm(high, patience)]
    late, middle, early = (never if (n := alarm.first(np.array(p_v))) is None else n for alarm in calls)
    assert early <= middle <= late


def test_a_perfect_critic_saves_all_but_what_it_takes_to_see() -> None:
    past = [episode(number, [0.9, 0.8, 0.9, 0.9], solved=True) for number in range(6)]
    past += [episode(number, [0.9, 0.1, 0.1, 0.1], solved=False) for number in range(6, 10)]
    found = calibrate(past, 0.0)
    assert found.alarm.patience == 1 and 0.1 < found.alarm.threshold <= 0.8
    assert found.chosen.lost.estimate == 0 and found.chosen.caught.estimate == 1
    assert (found.chosen.saved, found.chosen.of) == (4 * 12, 4 * 16)
    assert found.calls == {**dict.fromkeys(range(6)), **dict.fromkeys(range(6, 10), 4)}


def test_an_episode_does_not_choose_the_alarm_that_judges_it() -> None:
    """Success 0 has the lowest p_v of all successes: chosen on all episodes, the alarm stays just below it
    and loses nothing; chosen without it, the alarm goes up to the others' 0.6, and calls in it."""
    past = [episode(0, [0.31], solved=True)]
    past += [episode(number, [0.61], solved=True) for number in range(1, 5)]
    past += [episode(number, [0.5], solved=False) for number in range(5, 8)]
    past += [episode(8, [0.21], solved=False)]
    found = calibrate(past, 0.0)
    assert all(watched.called(found.alarm) is None for watched in past if watched.solved)
    assert found.calls[0] == 0 and found.chosen.lost.estimate == pytest.approx(1 / 5)


def test_noise_promises_nothing() -> None:
    """Where p_v knows nothing, what is lost comes near the share that is called, whatever was chosen."""
    rng = np.random.default_rng(0)
    past = [episode(number, rng.random(10).tolist(), solved=number % 2 == 0) for number in range(200)]
    chosen = calibrate(past, 0.1).chosen
    assert abs(chosen.lost.estimate - chosen.caught.estimate) < 0.15 and chosen.lost.estimate < 0.25


def test_what_nobody_judged_is_called_and_counts_for_nothing() -> None:
    past = [episode(0, [0.9], solved=True), episode(1, [0.9], solved=True), episode(2, [0.1], solved=False)]
    found = calibrate([*past, episode(3, [0.05], solved=None)], 0.0)
    assert found.chosen.lost.n == 2 and found.chosen.caught.n == 1 and found.calls[3] == 0


@pytest.mark.parametrize("solved", [[True, True], [False, False], [True, False]])
def test_too_little_to_choose_by_is_said(solved: list[bool]) -> None:
    with pytest.raises(
        VantageError, match=r"the policy solved alone and others that it did not; here are \d"
    ):
        calibrate([episode(number, [0.5], solved=how) for number, how in enumerate(solved)], 0.0)
