"""Pictures of a LeRobotDataset, by episode or as a stream; several cameras tiled to one picture per step.

    Episodes, number ──read_pictures──> camera -> pictures ──tile──> one picture per step
    Info, camera ──stream_cells──> every picture that is stored in the data files, a few at a time

Only what is asked for is decoded: a video is entered at the key frame before the episode.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from PIL import Image

from vantage.data.v3.meta import DATA_FOLDER, Camera, Episodes, Info, videos_of
from vantage.data.v3.paths import inside, visible_files
from vantage.data.v3.schema import EPISODE, FRAME, INDEX
from vantage.data.v3.video import OpenVideo, index_video
from vantage.disk.tables import column_names
from vantage.errors import VantageError

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_DISTANCES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
"""Pillow's modes of more than 8 bits."""
_AT_ONCE = 16
"""Cells that are in memory together."""


def read_pictures(episodes: Episodes, number: int) -> dict[str, UInt8[np.ndarray, "T _h _w 3"]]:
    """Every camera's pictures of one episode, one per frame; empty for a dataset without cameras.

    Raises VantageError for an episode that is not there and for a file that is missing, damaged or too short.
    """
    if not 0 <= number < len(episodes):
        raise VantageError(f"{episodes.info.root} has no episode {number}; it has {len(episodes)} episodes.")

    pictures: dict[str, UInt8[np.ndarray, "T _h _w 3"]] = {}
    for name, camera in episodes.info.cameras.items():
        read = _from_video if camera.is_video else _from_table
        pictures[name] = read(episodes, number, camera)
    return pictures


def _from_video(episodes: Episodes, number: int, camera: Camera) -> UInt8[np.ndarray, "T _h _w 3"]:
    video = next(video for video in videos_of(episodes, camera) if number in video.first)
    index = index_video(video.path)
    first, length = video.first[number], int(episodes.length[number])
    if len(index) < first + length:
        there = f"{max(0, len(index) - first)} of the {length} pictures of episode {number}"
        raise VantageError(f"video {video.path} has {there}; restore it or record the dataset again.")

    opened = OpenVideo(video.path, index)
    try:
        return np.stack(list(opened.read(np.arange(first, first + length))))
    finally:
        opened.close()


def _from_table(episodes: Episodes, number: int, camera: Camera) -> UInt8[np.ndarray, "T _h _w 3"]:
    path = episodes.data_file(number)
    pictures = [
        (row[FRAME], decode_cell(row[camera.column], episodes.info, camera, number, row[FRAME]))
        for row in _rows(path, camera)
        if row[EPISODE] == number
    ]

    if len(pictures) != episodes.length[number]:
        raise VantageError(
            f"{path} has {len(pictures)} of the {episodes.length[number]} pictures of episode {number}; "
            "restore it or record again."
        )
    return np.stack([picture for _, picture in sorted(pictures, key=lambda pair: pair[0])])


def stream_cells(info: Info, camera: Camera) -> Iterator[tuple[int, UInt8[np.ndarray, "_h _w 3"]]]:
    """Yield (frame index, picture) for every picture of a camera that is stored in the data files.

    File by file: at most a row group is in memory, of which LeRobot writes one for every episode. Raises
    VantageError for a cell that holds no picture, and for pictures of distances.
    """
    for path in visible_files(info.root, DATA_FOLDER):
        for row in _rows(path, camera):
            yield row[INDEX], decode_cell(row[camera.column], info, camera, row[EPISODE], row[FRAME])


def stored_pictures(episodes: Episodes, number: int, camera: Camera) -> list[bytes]:
    """The bytes of an episode's pictures as they lie in the data files, frame by frame; nothing is decoded.

    Raises VantageError for a file that is missing or damaged, and for a frame without a picture.
    """
    path, pictures = episodes.data_file(number), dict[int, bytes]()
    for row in _rows(path, camera, number):
        where = f"camera {camera.name} of {episodes.info.root} in episode {number}, frame {row[FRAME]}"
        pictures[row[FRAME]] = _content(row[camera.column], episodes.info, camera, number, where)

    if len(pictures) != episodes.length[number]:
        raise VantageError(
            f"{path} has {len(pictures)} of the {episodes.length[number]} pictures of episode {number}; "
            "restore it or record again."
        )
    return [pictures[frame] for frame in sorted(pictures)]


def _rows(path: Path, camera: Camera, episode: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a data file, or those of one episode, with a camera's cells."""
    if not path.is_file():
        raise VantageError(f"{path} is missing; fetch the dataset again, all of it.")

    columns = [INDEX, EPISODE, FRAME, camera.column]
    lacking = [name for name in columns if name not in column_names(path)]
    if lacking:
        raise VantageError(
            f"{path} has no column `{lacking[0]}`; restore it from where the dataset came from."
        )
    try:
        # Read ahead as little as possible: a data file of pictures may be larger than the memory.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            groups = [group for group in range(file.num_row_groups) if _may_hold(file, group, episode)]
            for batch in file.iter_batches(
                batch_size=_AT_ONCE, row_groups=groups, columns=columns, use_threads=False
            ):
                for row in batch.to_pylist():
                    if episode is None or row[EPISODE] == episode:
                        yield row
    except (pa.ArrowException, OSError) as error:
        raise VantageError(
            f"{path} is not a whole parquet file (truncated or damaged); restore it."
        ) from error


def _may_hold(file: pq.ParquetFile, group: int, episode: int | None) -> bool:
    """Whether a row group may hold rows of an episode, by its statistics: LeRobot writes one for each."""
    if episode is None:
        return True
    places = (number for number in range(len(file.schema)) if file.schema.column(number).path == EPISODE)
    statistics = file.metadata.row_group(group).column(next(places)).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return statistics.min <= episode <= statistics.max


def decode_cell(
    cell: object, info: Info, camera: Camera, episode: int, frame: int
) -> UInt8[np.ndarray, "_h _w 3"]:
    """One picture out of a data file: PNG or JPEG bytes, or the path of a file in the dataset's folder.

    Raises VantageError for an empty cell, a file that is missing or outside the folder, bytes that are no
    picture, and distances.
    """
    where = f"camera {camera.name} of {info.root} in episode {episode}, frame {frame}"

    content = _content(cell, info, camera, episode, where)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.mode in _DISTANCES:
                raise VantageError(
                    f"{where} holds distances (mode {image.mode}, over 8 bits) and no colours; "
                    "leave this camera out."
                )
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VantageError(
            f"{where} holds bytes that are no whole picture; restore them or drop the episode."
        ) from error


def _content(cell: object, info: Info, camera: Camera, episode: int, where: str) -> bytes:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        return content
    name = cell.get("path") if isinstance(cell, dict) else cell
    if not isinstance(name, str) or not name:
        raise VantageError(f"{where} has no picture; record it again or drop the episode.")

    # LeRobot writes pictures to this folder before it packs them; the cell's path may be the bare name.
    packed = f"images/{camera.column}/episode-{episode:06d}/{Path(name).name}"
    for relative in (packed, name):
        path = inside(info.root, relative)
        if path.is_file():
            return path.read_bytes()
    raise VantageError(
        f"{where} is a file that is not there ({name[:200]}); copy it into the dataset's folder."
    )


def tile(
    pictures: Mapping[str, UInt8[np.ndarray, "T _h _w 3"]], scale: int = 3, gap: int = 2
) -> UInt8[np.ndarray, "T _H _W 3"]:
    """All cameras side by side, enlarged by whole pixels, on black.

    Sides are made even, as H.264 wants them.
    """
    views = list(pictures.values())
    height = max(view.shape[1] for view in views) * scale
    width = sum(view.shape[2] * scale for view in views) + gap * (len(views) - 1)
    wall = np.zeros((len(views[0]), height + height % 2, width + width % 2, 3), np.uint8)

    left = 0
    for view in views:
        large = view.repeat(scale, axis=1).repeat(scale, axis=2)
        wall[:, : large.shape[1], left : left + large.shape[2]] = large
        left += large.shape[2] + gap
    return wall
