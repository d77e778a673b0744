"""Columns that lie: flags of other types and names, clocks that tell no time, and lists whose lengths only
add up."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from three import FPS, Three

from vantage.data.v3.read import cuts_in_time, read_table
from vantage.types import VantageError

TheThree = Callable[..., Three]
HUMAN = np.array([False] * 11 + [True] * 3 + [False] * 10)
CLOCK = np.tile(np.arange(8) / FPS, 3)


# -------------------------------------------------------------------------------------------------- who drove


@pytest.mark.parametrize("name", ["intervention", "complementary_info.is_intervention", "is_intervention", "intervene_flag"])
@pytest.mark.parametrize("kind", ["bool", "float32", "float64", "int64", "uint8"])
def test_who_drove_in_any_type_and_under_any_known_name(name: str, kind: str, the_three: TheThree) -> None:
    """LeRobot's replay buffer and Evo-RL write float32, RLinf calls it `intervene_flag`."""
    three = the_three().column("intervention", None).column(name, HUMAN.astype(kind))
    three.rename_feature("intervention", name).feature(name, dtype=kind)
    assert np.array_equal(read_table(three.root).intervention, HUMAN)


def test_a_list_of_one_is_one_value(the_three: TheThree) -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(HUMAN.astype(np.float32)), 1)
    assert np.array_equal(read_table(the_three().column("intervention", values).root).intervention, HUMAN)


@pytest.mark.parametrize("column", ["intervention", "next.success"])
@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.5"), (2.0, "2"), (-1.0, "-1"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_numbers_that_are_no_flag_name_their_frame(column: str, value: float, shown: str, the_three: TheThree) -> None:
    numbers = HUMAN.astype(np.float32)
    numbers[13] = value
    with pytest.raises(
        VantageError,
        match=rf"column `{column}` of .* is {shown} in episode 1, frame 5, and must be 0 or 1 everywhere",
    ):
        read_table(the_three().column(column, numbers).root)


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
    assert cuts(the_three().column("timestamp", CLOCK * 1.2)) == [], "a clock that is 20 % slow drifts, and misses nothing"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros(24, np.float32), "is 0 in every frame"),
        ((1.7e9 + CLOCK).astype(np.float32), "looks like a wall clock kept in 32 bits"),
        (CLOCK * 1e3, "looks like milliseconds: one control step is 50, and seconds belong there"),
        ((CLOCK * 1e3).astype(np.int64), "looks like milliseconds"),
        (CLOCK * 1e6, "looks like microseconds"),
        (1.7e18 + CLOCK * 1e9, "looks like nanoseconds"),
        (CLOCK * 3, "advances by 0.15 s per frame, and info.json says 20 frames per second"),
        (np.full(24, 3.5), "advances by 0 s per frame"),
        (
            np.where(np.arange(24) == 9, np.nan, CLOCK),
            "is NaN or infinite in 1 frames, first in episode 1, frame 1",
        ),
        (np.where(np.arange(24) == 9, np.inf, CLOCK), "is NaN or infinite in 1 frames"),
        (pa.array([None, *CLOCK[1:]]), "is empty in 1 frames"),
        (pa.array([str(value) for value in CLOCK]), "is string where seconds belong"),
        (pa.array((CLOCK * 1e3).astype("datetime64[ms]")), r"is timestamp\[ms\] where seconds belong"),
        (pa.array([[value] for value in CLOCK]), "is list"),
    ],
)
def test_clocks_that_tell_no_time(values: Any, sentence: str, the_three: TheThree) -> None:
    """Named, with what to write instead; never a cut that is not there."""
    with pytest.raises(VantageError, match=rf"column `timestamp` of .* {sentence}.*write frame_index / 20 into it"):
        read_table(the_three().column("timestamp", values).root)


# ---------------------------------------------------------------------------------------------------- vectors


def nested(rows: list[Any]) -> pa.Array:
    return pa.array(rows)


@pytest.mark.parametrize("column", ["action", "observation.state"])
@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 2.0, 3.0]] * 22 + [[1.0, 2.0], [1.0, 2.0, 3.0, 4.0]],
        [[[1.0], [2.0], [3.0]]] * 22 + [[[1.0, 2.0], [3.0]], [[1.0], [2.0, 3.0]]],
        [[1.0, 2.0, 3.0]] * 22 + [[], [1.0] * 6],
        [[1.0, 2.0, 3.0]] * 23 + [None],
        [[1.0, 2.0, 3.0]] * 23 + [[1.0, None, 3.0]],
        [[]] * 24,
    ],
    ids=["ragged", "nested and ragged", "empty and double", "no row", "no value", "nothing"],
)
def test_lists_whose_lengths_only_add_up(column: str, rows: list[Any], the_three: TheThree) -> None:
    with pytest.raises(
        VantageError,
        match=rf"column `{column}` of .* has empty or uneven rows; every frame needs the same number",
    ):
        read_table(the_three().column(column, pa.array(rows, pa.list_(pa.float32()) if not nested_rows(rows) else None)).root)


def nested_rows(rows: list[Any]) -> bool:
    return any(row and isinstance(row[0], list) for row in rows)


def test_even_rows_of_any_kind_are_read(the_three: TheThree) -> None:
    values = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
    wide = [pa.array(values.tolist(), pa.large_list(pa.float64())), pa.array(values[:, :, None].tolist())]
    for column in (pa.array(values.tolist()), *wide):
        assert np.array_equal(read_table(the_three().column("action", column).root).action, values)


@pytest.mark.parametrize("values", [["a"] * 24, [{"x": 1.0}] * 24, [True] * 24])
def test_columns_without_numbers(values: list[Any], the_three: TheThree) -> None:
    with pytest.raises(VantageError, match=r"column `action` of .* holds .* where numbers belong"):
        read_table(the_three().column("action", pa.array(values)).root)


@pytest.mark.parametrize("name", ["index", "episode_index", "frame_index", "task_index"])
@pytest.mark.parametrize("values", [[None] * 24, ["0"] * 24, [0.5] * 24, [[0]] * 24])
def test_indices_that_are_no_numbers(name: str, values: list[Any], the_three: TheThree) -> None:
    with pytest.raises(VantageError, match=f"column `{name}` of .* must hold one whole number per frame"):
        read_table(the_three().column(name, pa.array(values)).root)
