"""meta/ that is not the data: rows lost, short, doubled, exchanged or empty, and info.json that says the
impossible."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from three import BRIGHTNESS, DATA, META, TASKS, VIDEO, Three

from vantage.data.audit import audit
from vantage.data.frames import Direct, Raw, Storage, make_frames
from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.read import read_table
from vantage.types import VantageError

TheThree = Callable[..., Three]
BEGIN = "videos/observation.images.front/from_timestamp"
CHUNK = "videos/observation.images.front/chunk_index"


def refused_everywhere(three: Three, sentence: str) -> None:
    """By whatever reads it, before a picture is looked at, and without leaving a store behind."""
    for read in (read_table, audit, lambda root: make_frames(root, root.parent / "frames")):
        with pytest.raises(VantageError, match=sentence):
            read(three.root)
    assert not (three.root.parent / "frames").exists()


def brightness(three: Three, storage: Storage) -> np.ndarray:
    frames = make_frames(three.root, three.root.parent / f"frames-{type(storage).__name__}", storage=storage)
    return frames.gather(np.arange(24))["front"].mean((1, 2, 3))


# ---------------------------------------------------------------------------------------------- meta/episodes


@pytest.mark.parametrize(
    ("rows", "cells", "sentence"),
    [
        (
            [0, 2],
            {},
            r"meta/episodes lacks episode 1 \(2 are there\); restore it from where the dataset came from",
        ),
        ([0, 1], {}, r"meta/episodes lacks episode 2 \(2 are there\)"),
        (None, {"length": {1: 5}}, r"episode 2 begins at frame 16, and the ones before it end at 13"),
        (None, {"length": {2: 5}}, r"the episodes of .* have 21 frames and info.json counts 24"),
        (
            None,
            {"dataset_from_index": {0: 8, 1: 0}},
            r"episode 0 begins at frame 8, and the ones before it end at 0",
        ),
        ([0, 1, 1, 2], {}, r"meta/episodes names episode 1 twice"),
        (None, {"length": {1: 0}}, r"gives episode 1 0 frames; an episode has at least one"),
        (None, {"length": {1: -8}}, r"gives episode 1 -8 frames"),
        (None, {"length": {1: None}}, r"column `length` of .* must hold a whole number for every episode"),
        (
            None,
            {"length": {0: 7, 1: 9}, "dataset_from_index": {1: 7}},
            r"gives episode 0 7 frames and the data files hold 8",
        ),
        (
            None,
            {CHUNK: {1: None}},
            r"`videos/observation.images.front/chunk_index` of episode 1 in .* is None and must be a whole number",
        ),
        (None, {CHUNK: {1: -1}}, r"is -1 and must be a whole number"),
        (None, {CHUNK: {0: 7, 1: 7, 2: 7}}, r"video .*chunk-007/file-000.mp4 is missing"),
        (None, {BEGIN: {1: float("nan")}}, r"from_timestamp` of episode 1 in .* is nan and must be seconds"),
    ],
)
def test_rows_that_are_not_the_data(rows: Any, cells: Any, sentence: str, the_three: TheThree) -> None:
    refused_everywhere(the_three("front").meta(rows, cells), sentence)


def test_an_extra_row_without_frames(the_three: TheThree) -> None:
    """`vantage audit` met this with an IndexError."""
    three = the_three("front")

    def extra(table: pa.Table) -> pa.Table:
        records = table.to_pylist()
        return pa.Table.from_pylist([*records, records[2] | {"episode_index": 3, "length": 0, "dataset_from_index": 24}])

    refused_everywhere(three.edit(META, extra), r"names episode 3, which .*info.json does not count")
    refused_everywhere(three.info(total_episodes=4), r"gives episode 3 0 frames")


@pytest.mark.parametrize("storage", [Raw(), Direct()], ids=str)
def test_rows_in_another_order_are_the_same_rows(storage: Storage, the_three: TheThree) -> None:
    three = the_three("front").meta([2, 0, 1])
    assert np.abs(brightness(three, storage) - BRIGHTNESS).max() < 4
    assert read_table(three.root).episodes == 3 and not audit(three.root).problems


def test_columns_that_are_not_there(the_three: TheThree) -> None:
    refused_everywhere(
        the_three("front").column(BEGIN, None, META),
        r"has no column `videos/observation.images.front/from_timestamp`",
    )
    refused_everywhere(the_three("front").column("length", None, META), r"has no column `length`")
    three = the_three("front")
    (three.root / META).unlink()
    refused_everywhere(three, r"meta/episodes is missing, and it says where every episode's pictures are")


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
def test_times_a_little_off_do_not_move_a_picture(shift: float, storage: Storage, the_three: TheThree) -> None:
    three = the_three("front").meta(cells={BEGIN: {2: 0.8 + shift / 20}})
    assert np.abs(brightness(three, storage) - BRIGHTNESS).max() < 4


@pytest.mark.parametrize("shift", [-0.6, 0.6, -3, 3])
def test_times_that_disagree_are_said(shift: float, the_three: TheThree) -> None:
    three = the_three("front").meta(cells={BEGIN: {2: 0.8 + shift / 20}})
    refused_everywhere(
        three,
        rf"episode 2 begins {16 + shift:.1f} frames into .*mp4 by its time stamp .* and 16 frames by the lengths",
    )


def test_a_rate_that_is_no_whole_number(the_three: TheThree) -> None:
    """Positions are counted, not computed from a rounded rate; LeRobot lets the rate be a float in places."""
    three = the_three("front", fps=19.97)
    table = read_table(three.root)
    assert table.fps == 19.97 and not table.cut.any() and read_info(three.root).fps == 19.97
    for storage in (Raw(), Direct()):
        assert np.abs(brightness(three, storage) - BRIGHTNESS).max() < 4


# -------------------------------------------------------------------------------------------------- info.json


@pytest.mark.parametrize("fps", [0, -20, "20", [20], None, True, float("nan"), float("inf"), {"fps": 20}])
def test_rates_that_cannot_be(fps: Any, the_three: TheThree) -> None:
    refused_everywhere(
        the_three("front").info(fps=fps),
        r"`fps` of .*info.json is .* and must be a number of control steps per second",
    )


def test_a_whole_rate_written_as_a_float_is_whole(the_three: TheThree) -> None:
    fps = read_table(the_three().info(fps=20.0).root).fps
    assert fps == 20 and isinstance(fps, int)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"total_frames": "24"}, r"`total_frames` of .* is '24' and must be a whole number"),
        ({"total_frames": 24.5}, r"`total_frames` of .* is '24.5' and must be a whole number"),
        ({"total_frames": -1}, r"`total_frames` of .* is '-1' and must be a whole number"),
        ({"total_episodes": [3]}, r"`total_episodes` of .* must be a whole number"),
        ({"features": ["action"]}, r"`features` of .* must describe every column by name"),
        ({"features": {"action": 7}}, r"gives no `dtype` for column `action`"),
        (
            {"features": {"action": {"dtype": "float32", "shape": ["3"]}}},
            r"gives the shape .* to column `action`",
        ),
        (
            {"features": {"action": {"dtype": "float32", "shape": [-3]}}},
            r"gives the shape .* to column `action`",
        ),
        ({"video_path": None}, r"names no `video_path`, and camera front is a video"),
        ({"codebase_version": "v2.1"}, r"has LeRobot format v2.1; convert it to v3.0"),
    ],
)
def test_values_that_cannot_be(changes: dict[str, Any], sentence: str, the_three: TheThree) -> None:
    refused_everywhere(the_three("front").info(**changes), sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is not valid JSON"),
        ("[]", "lacks fps, features or codebase_version"),
        ('{"fps": 20', "is not valid JSON"),
        ("[" * 200_000, "nested too deeply|not valid JSON"),
        (b"\xff\xfe\x00", "is not valid JSON"),
    ],
)
def test_a_file_that_is_no_description(content: str | bytes, sentence: str, the_three: TheThree) -> None:
    three = the_three("front")
    (three.root / "meta/info.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused_everywhere(three, sentence)


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


def test_a_shape_or_type_that_is_not_the_datas(the_three: TheThree) -> None:
    for changes, sentence in (
        ({"shape": [4]}, r"info.json gives `action` the shape \[4\] and the data files hold 3 values"),
        ({"dtype": "int64"}, r"info.json says that `action` is int64 and the data files hold float"),
    ):
        with pytest.raises(VantageError, match=sentence):
            read_table(the_three().feature("action", **changes).root)


# ------------------------------------------------------------------------------------------------------ tasks


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (pa.table({"task_index": [0]}), r"has the columns task_index and needs `task_index` and `task`"),
        (pa.table({"task": ["push"]}), r"has the columns task and needs `task_index` and `task`"),
        (pa.table({"task_index": [0], "task": pa.array([None], pa.string())}), r"has no words for task 0"),
        (pa.table({"task_index": [1], "task": ["push"]}), r"does not name task \[0\]"),
        (
            pa.table({"task_index": pa.array([None], pa.int64()), "task": ["push"]}),
            r"does not name task \[0\]",
        ),
        (pa.table({"task_index": [0, None], "task": ["push", "pull"]}), r"does not name task"),
    ],
)
def test_tasks_that_name_nothing(table: pa.Table, sentence: str, the_three: TheThree) -> None:
    three = the_three()
    pq.write_table(table, three.root / TASKS)
    with pytest.raises(VantageError, match=sentence):
        read_table(three.root)


def test_tasks_of_any_words(the_three: TheThree) -> None:
    three = the_three()
    for words in ("", "把方块放进盒子", "[red]push[/red]"):
        pq.write_table(pa.table({"task_index": [0], "__index_level_0__": [words]}), three.root / TASKS)
        assert read_table(three.root).prompts == (words,)
    (three.root / TASKS).unlink()
    with pytest.raises(VantageError, match=r"tasks.parquet is missing, and it holds the prompts; restore it"):
        read_table(three.root)


# ----------------------------------------------------------------------------------- parts of a whole dataset


def split_data(three: Three) -> Three:
    """One data file per episode, as LeRobot splits large ones."""
    table = pq.read_table(three.root / DATA)
    for number in range(3):
        pq.write_table(table.slice(8 * number, 8), three.root / f"data/chunk-000/file-{number:03d}.parquet")
    return three.meta(cells={"data/file_index": {0: 0, 1: 1, 2: 2}})


def test_an_incomplete_download(the_three: TheThree) -> None:
    three = split_data(the_three("front"))
    assert np.abs(brightness(three, Raw()) - BRIGHTNESS).max() < 4
    (three.root / DATA).unlink()
    with pytest.raises(
        VantageError,
        match=r"is an incomplete download: it lacks data/chunk-000/file-000.parquet; fetch the dataset again",
    ):
        read_table(three.root)
    (three.root / "data/chunk-000/file-002.parquet").unlink()
    with pytest.raises(VantageError, match=r"lacks data/chunk-000/file-000.parquet and 1 more"):
        read_table(three.root)


def test_a_part_that_keeps_its_numbers(the_three: TheThree) -> None:
    three = the_three()
    for name, by in (("index", 100), ("episode_index", 7)):
        three.column(name, pq.read_table(three.root / DATA).column(name).to_numpy() + by)
    with pytest.raises(
        VantageError,
        match=r"begins at frame 100 of episode 7: it is a part of a dataset; cut it out .* with `lerobot",
    ):
        read_table(three.root)


def test_a_dataset_as_converters_write_it(the_three: TheThree) -> None:
    """From v2.1: the first files are number 1, in chunk 1; the state is float64; other kinds of columns beside."""
    three = the_three("front")
    meta, data, video = (file.replace("-000", "-001") for file in (META, DATA, VIDEO))
    for old, new in ((META, meta), (DATA, data), (VIDEO, video)):
        (three.root / new).parent.mkdir(parents=True, exist_ok=True)
        (three.root / old).rename(three.root / new)
    for column in ("data", "videos/observation.images.front"):
        for part in ("chunk_index", "file_index"):
            three.column(f"{column}/{part}", [1, 1, 1], meta)
    state = pq.read_table(three.root / data).column("observation.state").to_pylist()
    three.column("observation.state", pa.array(state, pa.list_(pa.float64())), data)
    three.column("language_events", pa.array([[{"role": "user", "content": "go"}]] * 24), data)
    three.column("subtask_index", pa.array([-1] * 24), data)
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
    for folder in ("data/chunk-000", "meta/episodes/chunk-000"):
        for name in (
            "._file-000.parquet",
            ".DS_Store",
            "file-000.parquet~",
            "~file-000.parquet",
            ".file-001.parquet.swp",
        ):
            (three.root / folder / name).write_bytes(b"\x00\x05\x16\x07 no parquet")
    (three.root / "data/._chunk-000").mkdir()
    (three.root / "data/._chunk-000/file-000.parquet").write_bytes(b"no parquet")
    (three.root / VIDEO).with_name("._file-000.mp4").write_bytes(b"no video")
    assert len(read_table(three.root)) == 24 and not audit(three.root).problems
    assert np.abs(brightness(three, Raw()) - BRIGHTNESS).max() < 4


def test_info_reads_what_our_writer_wrote(the_three: TheThree) -> None:
    episodes = read_episodes(read_info(the_three("front").root))
    assert episodes.length.tolist() == [8, 8, 8] and episodes.start.tolist() == [0, 8, 16]
    assert episodes.prompt(2) == "push the puck" and episodes.prompt(3) == ""
    assert json.loads(Path(episodes.info.root / "meta/info.json").read_text())["fps"] == episodes.info.fps
