"""Pictures that are not where they should be, are none, or are distances; and names of files that lead out of
the dataset."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from three import BRIGHTNESS, DATA, VIDEO, Three

from vantage.data.frames import Compressed, Direct, Raw, make_frames
from vantage.data.v3.meta import fill_in, read_episodes, read_info
from vantage.data.v3.pictures import read_pictures, stream_cells
from vantage.data.v3.read import read_table
from vantage.data.v3.video import read_video
from vantage.types import VantageError

TheThree = Callable[..., Three]
FRONT = "observation.images.front"


def shown(three: Three, name: str = "front", **options: Any) -> np.ndarray:
    frames = make_frames(three.root, three.root.parent / f"frames-{time.monotonic_ns()}", storage=Raw(), **options)
    return frames.gather(np.arange(24))[name].mean((1, 2, 3))


def first_episode(root: Path) -> dict[str, np.ndarray]:
    return read_pictures(read_episodes(read_info(root)), 0)


def refused(three: Three, sentence: str, **options: Any) -> None:
    for storage in (Raw(), Compressed()):
        with pytest.raises(VantageError, match=sentence):
            make_frames(three.root, three.root.parent / "frames", storage=storage, **options)
    assert not (three.root.parent / "frames").exists()


# -------------------------------------------------------------------------------------- pictures in the table


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def cells(three: Three, change: Callable[[int, dict[str, Any]], Any]) -> Three:
    rows = pq.read_table(three.root / DATA).column(FRONT).to_pylist()
    return three.column(FRONT, pa.array([change(number, row) for number, row in enumerate(rows)]))


@pytest.mark.parametrize("folder", ["", "pictures/front/", f"images/{FRONT}/episode-"])
def test_pictures_by_path(folder: str, the_three: TheThree) -> None:
    """`{"bytes": None, "path": ...}`: beside the data, or in the folder that LeRobot fills before it packs
    them."""
    three = the_three("front", images=True)

    def unpack(number: int, cell: dict[str, Any]) -> dict[str, Any]:
        episode, frame = divmod(number, 8)
        place = f"{folder}{episode:06d}/" if folder.endswith("episode-") else folder
        name = f"frame-{frame:06d}.png" if folder.endswith("episode-") else f"frame-{number:06d}.png"
        (three.root / place).mkdir(parents=True, exist_ok=True)
        (three.root / place / name).write_bytes(cell["bytes"])
        return {"bytes": None, "path": name if folder.endswith("episode-") else place + name}

    cells(three, unpack)
    assert np.array_equal(shown(three), BRIGHTNESS)
    picture = next(three.root.rglob("frame-000003.png"))
    picture.unlink()
    refused(
        three,
        r"camera front of .* in episode ., frame 3 is a file that is not there \(.*frame-000003.png\); copy it",
    )


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (
            {"bytes": None, "path": None},
            "in episode 1, frame 1 has no picture; record it again or drop the episode",
        ),
        ({"bytes": None, "path": ""}, "in episode 1, frame 1 has no picture"),
        ({"bytes": b"", "path": None}, "in episode 1, frame 1 holds bytes that are no whole picture"),
        (
            {"bytes": b"GIF89a and so on", "path": None},
            "in episode 1, frame 1 holds bytes that are no whole picture",
        ),
        (
            {"bytes": png(np.zeros((16, 24, 3), np.uint8))[:-30], "path": None},
            "in episode 1, frame 1 holds bytes that are no whole",
        ),
        (
            {"bytes": png(np.zeros((16, 20, 3), np.uint8)), "path": None},
            "shows 20 x 16 px at frame 9 and 24 x 16 px before",
        ),
    ],
)
def test_cells_that_hold_no_picture(cell: dict[str, Any], sentence: str, the_three: TheThree) -> None:
    refused(cells(the_three("front", images=True), lambda number, old: cell if number == 9 else old), sentence)


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


def test_depth_as_16_bit_pictures(the_three: TheThree) -> None:
    """Millimetres were clipped to 8 bits without a word."""
    depth = np.linspace(0, 5000, 16 * 24).reshape(16, 24).astype(np.uint16)
    refused(
        cells(the_three("front", images=True), lambda *_: {"bytes": png(depth), "path": None}),
        r"camera front of .* holds distances \(mode I;16, over 8 bits\) and no colours; leave this camera out",
    )


@pytest.mark.parametrize(
    "note",
    [
        {"info": {"is_depth_map": True}},
        {"info": {"video.is_depth_map": True}},
        {"video_info": {"video.is_depth_map": True}},
    ],
)
def test_depth_cameras_are_left_out_with_a_sentence(note: dict[str, Any], the_three: TheThree, capsys: pytest.CaptureFixture[str]) -> None:
    three = the_three("front", "front_depth").feature("observation.images.front_depth", **note)
    assert read_table(three.root).cameras == ("front",)
    assert list(first_episode(three.root)) == ["front"]
    assert np.abs(shown(three) - BRIGHTNESS).max() < 4
    assert "left out front_depth, which holds distances (depth) that no policy here reads." in " ".join(capsys.readouterr().err.split())
    refused(
        three,
        r"camera front_depth of .* holds distances \(depth\), which no policy here reads; leave it out",
        cameras={"front_depth": None},
    )


# ----------------------------------------------------------------------------------------------- camera names


@pytest.mark.parametrize(("column", "name"), [("observation.image", "image"), ("image", "image"), ("wrist_image", "wrist_image")])
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


@pytest.mark.parametrize(
    "template",
    [
        "/etc/hostname",
        "../../{video_key}.mp4",
        "videos/../../secret.mp4",
        "{video_key}/../../../secret.mp4",
        "videos/\0/file.mp4",
        "videos/link/secret.mp4",
    ],
)
def test_videos_outside_the_dataset(template: str, the_three: TheThree) -> None:
    three = the_three("front").info(video_path=template)
    (three.root.parent / "secret.mp4").write_bytes((three.root / VIDEO).read_bytes())
    (three.root / "videos/link").symlink_to(three.root.parent)
    for read in (read_table, lambda root: make_frames(root, root.parent / "f"), first_episode):
        with pytest.raises(VantageError, match=r"names a file (outside its own folder|that cannot be)"):
            read(three.root)


@pytest.mark.parametrize(
    "template",
    [
        "{0.__class__}.mp4",
        "{video_key.__class__.__mro__}.mp4",
        "{video_key!r}.mp4",
        "{chunk_index:01000000000d}.mp4",
        "{chunk_index:>1000000000}.mp4",
        "{episode_index:06d}.mp4",
        "{}.mp4",
        "{{video_key}}.mp4",
        "{video_key.mp4",
        "x" * 1001,
    ],
)
def test_fields_that_a_file_name_has_not(template: str, the_three: TheThree) -> None:
    """`str.format` would read attributes of our objects and build names of any length."""
    began = time.monotonic()
    with pytest.raises(
        VantageError,
        match=r"has a field other than video_key, chunk_index and file_index|must be a file name with fields",
    ):
        read_table(the_three("front").info(video_path=template).root)
    assert time.monotonic() - began < 5


def test_known_fields_are_filled_in_as_lerobot_does() -> None:
    values = {"video_key": "observation.images.{front}", "chunk_index": 12, "file_index": 3}
    template = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}-{file_index}-{chunk_index:1d}.mp4"
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


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 'secret.mp4'\n",
        b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ],
    ids=["m3u8", "concat", "dash", "sdp"],
)
def test_playlists_are_no_videos(content: bytes, the_three: TheThree) -> None:
    """A file is opened as what it is, whatever it asks to be fetched."""
    three = the_three("front")
    video = three.root / VIDEO
    video.with_name("secret.mp4").write_bytes(video.read_bytes())
    video.write_bytes(content)
    for read in (lambda: list(read_video(video)), lambda: read_table(three.root)):
        with pytest.raises(VantageError, match="is truncated or damaged"):
            read()


def test_a_folder_or_pipe_is_no_video(the_three: TheThree) -> None:
    three = the_three("front")
    (three.root / VIDEO).unlink()
    os.mkfifo(three.root / VIDEO)
    for storage in (Raw(), Direct()):
        with pytest.raises(VantageError, match="is missing; restore it"):
            make_frames(three.root, three.root.parent / "f", storage=storage)
