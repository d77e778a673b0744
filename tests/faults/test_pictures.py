"""Pictures that are not where they should be, are none, or are distances; and names of files that lead out of
the dataset."""

import io
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from campaign.datasets import (
    CELLS,
    DATA_PATHS,
    FIELDS,
    FRONT,
    MILLIMETRES,
    OUTSIDE,
    PLAYLISTS,
    Spoiled,
    cells,
    png,
)
from PIL import Image
from three import BRIGHTNESS, DATA, VIDEO, Three

from vantage.data.audit import audit
from vantage.data.frames import Compressed, Direct, Raw, make_frames
from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.paths import fill_in
from vantage.data.v3.pictures import read_pictures, stream_cells
from vantage.data.v3.read import read_table
from vantage.data.v3.video import read_video
from vantage.types import VantageError

TheThree = Callable[..., Three]


def shown(three: Three, name: str = "front", **options: Any) -> np.ndarray:
    frames = make_frames(
        three.root, three.root.parent / f"frames-{time.monotonic_ns()}", storage=Raw(), **options
    )
    return frames.gather(np.arange(24))[name].mean((1, 2, 3))


def first_episode(root: Path) -> dict[str, np.ndarray]:
    return read_pictures(read_episodes(read_info(root)), 0)


def refused(three: Three, sentence: str, **options: Any) -> None:
    for storage in (Raw(), Compressed()):
        with pytest.raises(VantageError, match=sentence):
            make_frames(three.root, three.root.parent / "frames", storage=storage, **options)
    assert not (three.root.parent / "frames").exists()


# -------------------------------------------------------------------------------------- pictures in the table


@pytest.mark.parametrize("case", [*CELLS, MILLIMETRES], ids=str)
def test_cells_that_hold_no_picture(case: Spoiled, the_three: TheThree) -> None:
    """Distances in millimetres were clipped to 8 bits without a word."""
    three = the_three(*case.cameras, images=case.images)
    case.spoil(three)
    refused(three, case.says)
    assert any(re.search(case.says, text) for text in audit(three.root, pictures=True).failures)


def test_pictures_of_any_colours(the_three: TheThree) -> None:
    three = the_three("front", images=True)

    def repaint(number: int, cell: dict[str, Any]) -> dict[str, Any]:
        picture = Image.open(io.BytesIO(cell["bytes"])).convert(("RGBA", "L", "P", "RGB")[number % 4])
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    assert np.abs(shown(cells(three, repaint)) - BRIGHTNESS).max() <= 3


def test_a_frame_that_is_there_twice(the_three: TheThree) -> None:
    three = the_three("front", images=True)
    index = np.arange(24)
    index[9] = 8
    with pytest.raises(VantageError, match="has a gap in its frame index"):
        read_table(three.column("index", index).root)
    refused(three, "has two pictures for frame 8")


def test_pictures_are_read_a_few_at_a_time(tmp_path: Path, the_three: TheThree) -> None:
    """A data file of pictures may be larger than the memory: what is held is a row group (LeRobot writes one
    per episode), not the file."""
    three = the_three("front", images=True)
    noise = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    contents = [png(picture) for picture in noise]
    frames = 600
    table = {
        "index": np.arange(frames),
        "episode_index": np.zeros(frames, np.int64),
        "frame_index": np.arange(frames),
        FRONT: pa.array([{"bytes": contents[number % 16], "path": None} for number in range(frames)]),
    }
    pq.write_table(pa.table(table), three.root / DATA, row_group_size=50, use_dictionary=False)
    size = (three.root / DATA).stat().st_size
    pool = pa.default_memory_pool()
    before, peak = pool.bytes_allocated(), 0
    info = read_info(three.root)
    for number, (row, picture) in enumerate(stream_cells(info, info.cameras["front"])):
        assert row == number and np.array_equal(picture, noise[number % 16])
        peak = max(peak, pool.bytes_allocated() - before)
    assert number == frames - 1 and peak < size / 4, (peak, size)


# -------------------------------------------------------------------------------------------------- distances


@pytest.mark.parametrize(
    "note",
    [
        {"info": {"is_depth_map": True}},
        {"info": {"video.is_depth_map": True}},
        {"video_info": {"video.is_depth_map": True}},
    ],
)
def test_depth_cameras_are_left_out_with_a_sentence(
    note: dict[str, Any], the_three: TheThree, capsys: pytest.CaptureFixture[str]
) -> None:
    three = the_three("front", "front_depth").feature("observation.images.front_depth", **note)
    assert read_table(three.root).cameras == ("front",)
    assert list(first_episode(three.root)) == ["front"]
    assert np.abs(shown(three) - BRIGHTNESS).max() < 4
    assert "left out front_depth, which holds distances (depth) that no policy here reads." in " ".join(
        capsys.readouterr().err.split()
    )
    refused(
        three,
        r"camera front_depth of .* holds distances \(depth\), which no policy here reads; leave it out",
        cameras={"front_depth": None},
    )


# ----------------------------------------------------------------------------------------------- camera names


@pytest.mark.parametrize(
    ("column", "name"), [("observation.image", "image"), ("image", "image"), ("wrist_image", "wrist_image")]
)
def test_a_single_camera_under_another_name(column: str, name: str, the_three: TheThree) -> None:
    """`observation.image` as in pusht, `image` and `wrist_image` as in openpi's conversions."""
    three = the_three("front", images=True)
    three.edit(
        DATA,
        lambda table: table.rename_columns([column if old == FRONT else old for old in table.column_names]),
    )
    three.rename_feature(FRONT, column)
    assert read_table(three.root).cameras == (name,) and np.array_equal(shown(three, name), BRIGHTNESS)


# ------------------------------------------------------------------------------------------------------ paths


@pytest.mark.parametrize("case", OUTSIDE, ids=str)
def test_videos_outside_the_dataset(case: Spoiled, the_three: TheThree) -> None:
    three = the_three(*case.cameras)
    case.spoil(three)
    for read in (read_table, lambda root: make_frames(root, root.parent / "f"), first_episode):
        with pytest.raises(VantageError, match=case.says):
            read(three.root)


@pytest.mark.parametrize("case", FIELDS, ids=str)
def test_fields_that_a_file_name_has_not(case: Spoiled, the_three: TheThree) -> None:
    """`str.format` would read attributes of our objects and build names of any length."""
    three = the_three(*case.cameras)
    case.spoil(three)
    began = time.monotonic()
    with pytest.raises(VantageError, match=case.says):
        read_table(three.root)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("case", DATA_PATHS, ids=str)
def test_data_files_are_found_where_the_format_has_them(case: Spoiled, the_three: TheThree) -> None:
    three = the_three(*case.cameras)
    case.spoil(three)
    assert len(read_table(three.root)) == 24


def test_known_fields_are_filled_in_as_lerobot_does() -> None:
    values = {"video_key": "observation.images.{front}", "chunk_index": 12, "file_index": 3}
    template = (
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}-{file_index}-{chunk_index:1d}.mp4"
    )
    assert fill_in(template, values) == "videos/observation.images.{front}/chunk-012/file-003-3-12.mp4"
    with pytest.raises(VantageError, match="asks for `video_key`, which it has not"):
        fill_in("{video_key}", {"chunk_index": 0})


def test_data_files_that_are_links(the_three: TheThree, tmp_path: Path) -> None:
    """Out of the dataset: refused.

    Into the contents beside a snapshot, as Hugging Face's cache keeps them: read.
    """
    three = the_three("front")
    outside = tmp_path / "outside.parquet"
    (three.root / DATA).rename(outside)
    (three.root / DATA).symlink_to(outside)
    with pytest.raises(VantageError, match="names a file outside its own folder"):
        read_table(three.root)

    (three.root / DATA).unlink()
    outside.rename(three.root / DATA)
    cache = tmp_path / "datasets--me--three"
    (cache / "blobs").mkdir(parents=True)
    snapshot = cache / "snapshots/0123abc"
    snapshot.parent.mkdir()
    three.root.rename(snapshot)
    for number, path in enumerate(path for path in sorted(snapshot.rglob("*")) if path.is_file()):
        path.rename(cache / f"blobs/{number}")
        path.symlink_to(os.path.relpath(cache / f"blobs/{number}", path.parent))
    assert len(read_table(snapshot)) == 24 and np.abs(shown(Three(snapshot)) - BRIGHTNESS).max() < 4


@pytest.mark.parametrize("case", PLAYLISTS, ids=str)
def test_playlists_are_no_videos(case: Spoiled, the_three: TheThree) -> None:
    """A file is opened as what it is, whatever it asks to be fetched."""
    three = the_three(*case.cameras)
    case.spoil(three)
    for read in (lambda: list(read_video(three.root / VIDEO)), lambda: read_table(three.root)):
        with pytest.raises(VantageError, match=case.says):
            read()


def test_a_folder_or_pipe_is_no_video(the_three: TheThree) -> None:
    three = the_three("front")
    (three.root / VIDEO).unlink()
    os.mkfifo(three.root / VIDEO)
    for storage in (Raw(), Direct()):
        with pytest.raises(VantageError, match="is missing; restore it"):
            make_frames(three.root, three.root.parent / "f", storage=storage)
