"""meta/ that is not the data: rows lost, short, doubled, exchanged or empty, and info.json that says the
impossible."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from campaign.datasets import (
    BEGIN,
    CHUNK,
    CONVERTED,
    FILES,
    INFO_FILES,
    INFO_VALUES,
    LEFTOVERS,
    META_ROWS,
    RATES,
    SHAPES,
    TASK_TABLES,
    VIDEO_TIMES,
    Spoiled,
    split_data,
)
from three import BRIGHTNESS, DATA, TASKS, Three

from vantage.data.audit import audit
from vantage.data.frames import Direct, Raw, Storage, make_frames
from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.read import read_table
from vantage.types import VantageError

TheThree = Callable[..., Three]


def refused_everywhere(case: Spoiled, the_three: TheThree) -> None:
    """By whatever reads it, before a picture is looked at, and without leaving a store behind; audit says
    the same."""
    three = the_three(*case.cameras, images=case.images)
    case.spoil(three)
    for read in (read_table, lambda root: make_frames(root, root.parent / "frames")):
        with pytest.raises(VantageError, match=case.says):
            read(three.root)
    assert not (three.root.parent / "frames").exists()
    assert any(re.search(case.says, text) for text in audit(three.root).failures)


def brightness(three: Three, storage: Storage) -> np.ndarray:
    frames = make_frames(three.root, three.root.parent / f"frames-{type(storage).__name__}", storage=storage)
    return frames.gather(np.arange(24))["front"].mean((1, 2, 3))


# ---------------------------------------------------------------------------------------------- meta/episodes


@pytest.mark.parametrize("case", META_ROWS, ids=str)
def test_rows_that_are_not_the_data(case: Spoiled, the_three: TheThree) -> None:
    refused_everywhere(case, the_three)


@pytest.mark.parametrize("storage", [Raw(), Direct()], ids=str)
def test_rows_in_another_order_are_the_same_rows(storage: Storage, the_three: TheThree) -> None:
    three = the_three("front").meta([2, 0, 1])
    assert np.abs(brightness(three, storage) - BRIGHTNESS).max() < 4
    assert read_table(three.root).episodes == 3 and not audit(three.root).problems


def test_numbers_that_became_floats_are_numbers(the_three: TheThree) -> None:
    """As pandas writes whole numbers once a cell of their column has been empty."""
    three = the_three("front").meta(cells={CHUNK: {0: 0.0, 1: 0.0, 2: 0.0}})
    assert np.abs(brightness(three, Raw()) - BRIGHTNESS).max() < 4


@pytest.mark.parametrize("rows", [[0, 2], [0, 1, 1, 2]])
def test_without_videos_nothing_is_needed_from_it(rows: list[int], the_three: TheThree) -> None:
    assert len(read_table(the_three().meta(rows).root)) == 24
    three = the_three("front", images=True).meta(rows)
    assert len(read_table(three.root)) == 24 and np.array_equal(brightness(three, Raw()), BRIGHTNESS)


# ------------------------------------------------------------------------------------------------ video times


@pytest.mark.parametrize("storage", [Raw(), Direct()], ids=str)
@pytest.mark.parametrize("shift", [-0.4, 0.4])
def test_times_a_little_off_do_not_move_a_picture(
    shift: float, storage: Storage, the_three: TheThree
) -> None:
    three = the_three("front").meta(cells={BEGIN: {2: 0.8 + shift / 20}})
    assert np.abs(brightness(three, storage) - BRIGHTNESS).max() < 4


@pytest.mark.parametrize("case", VIDEO_TIMES, ids=str)
def test_times_that_disagree_are_said(case: Spoiled, the_three: TheThree) -> None:
    refused_everywhere(case, the_three)


def test_a_rate_that_is_no_whole_number(the_three: TheThree) -> None:
    """Positions are counted, not computed from a rounded rate; LeRobot lets the rate be a float in places."""
    three = the_three("front", fps=19.97)
    table = read_table(three.root)
    assert table.fps == 19.97 and not table.cut.any() and read_info(three.root).fps == 19.97
    for storage in (Raw(), Direct()):
        assert np.abs(brightness(three, storage) - BRIGHTNESS).max() < 4


# -------------------------------------------------------------------------------------------------- info.json


@pytest.mark.parametrize("case", RATES, ids=str)
def test_rates_that_cannot_be(case: Spoiled, the_three: TheThree) -> None:
    refused_everywhere(case, the_three)


def test_a_whole_rate_written_as_a_float_is_whole(the_three: TheThree) -> None:
    fps = read_table(the_three().info(fps=20.0).root).fps
    assert fps == 20 and isinstance(fps, int)


@pytest.mark.parametrize("case", [*INFO_VALUES, *INFO_FILES], ids=str)
def test_descriptions_that_cannot_be(case: Spoiled, the_three: TheThree) -> None:
    refused_everywhere(case, the_three)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x", "y", "z"], ("x", "y", "z")),
        ({"motors": ["x", "y", "z"]}, ("x", "y", "z")),
        ({"left": ["x"], "right": ["y", "z"]}, ("x", "y", "z")),
        ({"z": 2, "x": 0, "y": 1}, ("x", "y", "z")),
        (None, None),
        (["actions"], None),
        ({"motors": None}, None),
        ("xyz", None),
    ],
)
def test_names_of_dimensions(names: Any, expected: tuple[str, ...] | None, the_three: TheThree) -> None:
    table = read_table(the_three().feature("action", names=names).root)
    assert table.action_names == expected and table.state_names is None


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_a_shape_or_type_that_is_not_the_datas(case: Spoiled, the_three: TheThree) -> None:
    three = the_three(*case.cameras)
    case.spoil(three)
    with pytest.raises(VantageError, match=case.says):
        read_table(three.root)


# ------------------------------------------------------------------------------------------------------ tasks


@pytest.mark.parametrize("case", TASK_TABLES, ids=str)
def test_tasks_that_name_nothing(case: Spoiled, the_three: TheThree) -> None:
    three = the_three(*case.cameras)
    case.spoil(three)
    with pytest.raises(VantageError, match=case.says):
        read_table(three.root)


def test_tasks_of_any_words(the_three: TheThree) -> None:
    three = the_three()
    for words in ("", "把方块放进盒子", "[red]push[/red]"):
        pq.write_table(pa.table({"task_index": [0], "__index_level_0__": [words]}), three.root / TASKS)
        assert read_table(three.root).prompts == (words,)


# ----------------------------------------------------------------------------------- parts of a whole dataset


def test_an_incomplete_download(the_three: TheThree) -> None:
    three = split_data(the_three("front"))
    assert np.abs(brightness(three, Raw()) - BRIGHTNESS).max() < 4
    (three.root / DATA).unlink()
    (three.root / "data/chunk-000/file-002.parquet").unlink()
    with pytest.raises(VantageError, match=r"lacks data/chunk-000/file-000.parquet and 1 more"):
        read_table(three.root)


@pytest.mark.parametrize("case", FILES, ids=str)
def test_files_that_are_damaged_missing_or_none(case: Spoiled, the_three: TheThree) -> None:
    three = the_three(*case.cameras)
    case.spoil(three)
    with pytest.raises(VantageError, match=case.says):
        read_table(three.root)


def test_a_dataset_as_converters_write_it(the_three: TheThree) -> None:
    three = the_three("front")
    CONVERTED.spoil(three)
    assert np.abs(brightness(three, Raw()) - BRIGHTNESS).max() < 4
    assert read_table(three.root).state.dtype == np.float32 and not audit(three.root).problems


def test_the_prompt_may_change_within_an_episode(the_three: TheThree) -> None:
    three = the_three().column("task_index", ([0] * 4 + [1] * 4) * 3)
    pq.write_table(pa.table({"task_index": [0, 1], "task": ["pick", "place"]}), three.root / TASKS)
    table = read_table(three.root)
    assert table.prompts == ("pick", "place") and table.prompt.tolist() == ([0] * 4 + [1] * 4) * 3


# -------------------------------------------------------------------------------------------------- leftovers


def test_what_an_operating_system_or_an_editor_left(the_three: TheThree) -> None:
    three = the_three("front")
    LEFTOVERS.spoil(three)
    assert len(read_table(three.root)) == 24 and not audit(three.root).problems
    assert np.abs(brightness(three, Raw()) - BRIGHTNESS).max() < 4


def test_info_reads_what_our_writer_wrote(the_three: TheThree) -> None:
    episodes = read_episodes(read_info(the_three("front").root))
    assert episodes.length.tolist() == [8, 8, 8] and episodes.start.tolist() == [0, 8, 16]
    assert episodes.prompt(2) == "push the puck" and episodes.prompt(3) == ""
    assert json.loads(Path(episodes.info.root / "meta/info.json").read_text())["fps"] == episodes.info.fps
