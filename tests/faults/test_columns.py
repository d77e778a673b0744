"""Columns that lie: flags of other types and names, clocks that tell no time, and lists whose lengths only
add up."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from campaign.datasets import CLOCK, CLOCKS, FLAGS, HUMAN, NO_INDICES, NO_NUMBERS, NOT_FINITE, UNEVEN, Spoiled
from three import FPS, Three

from vantage.data.v3.clock import cuts_in_time
from vantage.data.v3.read import read_table
from vantage.types import VantageError

TheThree = Callable[..., Three]


def refused(case: Spoiled, the_three: TheThree) -> None:
    three = the_three(*case.cameras, images=case.images)
    case.spoil(three)
    with pytest.raises(VantageError, match=case.says):
        read_table(three.root)


# -------------------------------------------------------------------------------------------------- who drove


@pytest.mark.parametrize(
    "name", ["intervention", "complementary_info.is_intervention", "is_intervention", "intervene_flag"]
)
@pytest.mark.parametrize("kind", ["bool", "float32", "float64", "int64", "uint8"])
def test_who_drove_in_any_type_and_under_any_known_name(name: str, kind: str, the_three: TheThree) -> None:
    """LeRobot's replay buffer and Evo-RL write float32, RLinf calls it `intervene_flag`."""
    three = the_three().column("intervention", None).column(name, HUMAN.astype(kind))
    three.rename_feature("intervention", name).feature(name, dtype=kind)
    assert np.array_equal(read_table(three.root).intervention, HUMAN)


def test_a_list_of_one_is_one_value(the_three: TheThree) -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(HUMAN.astype(np.float32)), 1)
    assert np.array_equal(read_table(the_three().column("intervention", values).root).intervention, HUMAN)


@pytest.mark.parametrize("case", FLAGS, ids=str)
def test_numbers_that_are_no_flag_name_their_frame(case: Spoiled, the_three: TheThree) -> None:
    refused(case, the_three)


# ----------------------------------------------------------------------------------------------------- clocks


def cuts(three: Three) -> list[int]:
    return np.flatnonzero(read_table(three.root).cut).tolist()


def test_jitter_cuts_nothing() -> None:
    """20 ms at 20 Hz: steps between 10 and 90 ms, where 75 counted as a gap."""
    draw = np.random.default_rng(0)
    frame = np.tile(np.arange(500), 20)
    noise = draw.uniform(-0.02, 0.02, len(frame))
    assert (np.diff(frame / FPS + noise) > 1.5 / FPS).sum() > 100, "many steps look long"
    assert not cuts_in_time(frame / FPS + noise, frame, FPS).any()


def test_every_missing_frame_is_a_cut_even_under_jitter() -> None:
    draw = np.random.default_rng(0)
    frame = np.tile(np.arange(500), 20)
    gaps = np.array([start + place for start in range(0, 10_000, 500) for place in (100, 200, 215, 400)])
    missing = np.zeros(len(frame))
    for row, lost in zip(gaps, draw.integers(1, 60, len(gaps)), strict=True):
        end = row - frame[row] + 500
        missing[row:end] += lost
    seconds = (frame + missing + draw.uniform(-0.2, 0.2, len(frame))) / FPS
    assert np.flatnonzero(cuts_in_time(seconds, frame, FPS)).tolist() == gaps.tolist()


def test_short_episodes_with_gaps(the_three: TheThree) -> None:
    late = np.zeros(24)
    late[3:8] += 1 / FPS  # one frame is missing before frame 3 of episode 0
    late[20:] += 2.0  # a pause of two seconds in episode 2
    late[22:] += 1.0  # and another
    assert cuts(the_three().column("timestamp", (CLOCK + late).astype(np.float32))) == [3, 20, 22]


def test_a_clock_that_was_set_back_is_a_cut_and_one_late_stamp_is_none(the_three: TheThree) -> None:
    assert cuts(the_three().column("timestamp", CLOCK - np.where(np.arange(24) % 8 >= 4, 1.0, 0.0))) == [
        4,
        12,
        20,
    ]
    assert cuts(the_three().column("timestamp", CLOCK + np.where(np.arange(24) == 4, 0.06, 0.0))) == []


def test_clocks_that_run_on_or_begin_anywhere_are_clocks(the_three: TheThree) -> None:
    assert cuts(the_three().column("timestamp", np.arange(24) / FPS)) == []
    assert cuts(the_three().column("timestamp", 1.7e9 + CLOCK)) == [], "seconds since 1970, in 64 bits"
    assert cuts(the_three().column("timestamp", CLOCK * 1.2)) == [], (
        "a clock that is 20 % slow drifts, and misses nothing"
    )


@pytest.mark.parametrize("case", CLOCKS, ids=str)
def test_clocks_that_tell_no_time(case: Spoiled, the_three: TheThree) -> None:
    """Named, with what to write instead; never a cut that is not there."""
    refused(case, the_three)


# ---------------------------------------------------------------------------------------------------- vectors


@pytest.mark.parametrize("case", UNEVEN, ids=str)
def test_lists_whose_lengths_only_add_up(case: Spoiled, the_three: TheThree) -> None:
    refused(case, the_three)


def test_even_rows_of_any_kind_are_read(the_three: TheThree) -> None:
    values = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
    wide = [pa.array(values.tolist(), pa.large_list(pa.float64())), pa.array(values[:, :, None].tolist())]
    for column in (pa.array(values.tolist()), *wide):
        assert np.array_equal(read_table(the_three().column("action", column).root).action, values)


@pytest.mark.parametrize("case", NO_NUMBERS, ids=str)
def test_columns_without_numbers(case: Spoiled, the_three: TheThree) -> None:
    refused(case, the_three)


@pytest.mark.parametrize("case", NO_INDICES, ids=str)
def test_indices_that_are_no_numbers(case: Spoiled, the_three: TheThree) -> None:
    refused(case, the_three)


@pytest.mark.parametrize("case", NOT_FINITE, ids=str)
def test_values_that_are_not_finite(case: Spoiled, the_three: TheThree) -> None:
    refused(case, the_three)
