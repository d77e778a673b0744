"""One episode of a LeRobotDataset -> its pictures -> one small mp4 that any browser plays.

    1-episodes/ ──read_catalogue──> what is where ──read_pictures──> camera -> pictures ──tile──> one picture per step ──encode──> mp4

Only what is asked for is decoded: the file is entered at the key frame before the episode.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image

from vantage.data.v3.schema import EPISODE, FRAME, IMAGE_PREFIX
from vantage.types import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What a dataset's `meta/` says of its pictures and episodes."""

    root: Path
    fps: int
    cameras: Mapping[str, bool]
    """Camera name -> whether it is stored as video (otherwise as pictures in the data file)."""
    rows: Mapping[int, Mapping[str, Any]]
    """Episode -> its row in `meta/episodes`."""
    data_path: str
    video_path: str

    def prompt(self, episode: int) -> str:
        """What the robot was told in this episode; empty where the dataset does not say."""
        tasks = self.rows.get(episode, {}).get("tasks") or [""]
        return str(tasks[0])


def read_catalogue(root: Path) -> Catalogue:
    """Read `meta/` of a LeRobotDataset v3. Raises VantageError where it is missing or damaged."""
    try:
        info = json.loads((root / "meta/info.json").read_text())
        rows = dict[int, Mapping[str, Any]]()
        for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
            with pa.OSFile(str(path)) as file:
                table = pq.read_table(file)
            for row in table.select([name for name in table.column_names if not name.startswith("stats/")]).to_pylist():
                rows[int(row[EPISODE])] = row
        kinds = {name: feature["dtype"] for name, feature in info["features"].items() if name.startswith(IMAGE_PREFIX)}
        return Catalogue(
            root=root,
            fps=int(info["fps"]),
            cameras={name.removeprefix(IMAGE_PREFIX): kind == "video" for name, kind in kinds.items()},
            rows=rows,
            data_path=info["data_path"],
            video_path=info.get("video_path") or "",
        )
    except (OSError, ValueError, KeyError) as error:
        raise VantageError(f"{root} is not a whole LeRobotDataset v3 (its meta/ is missing or damaged); record it again.") from error


def read_pictures(catalogue: Catalogue, episode: int) -> dict[str, UInt8[np.ndarray, "T P Q 3"]]:
    """Every camera's pictures of one episode, one per frame; empty for a dataset without cameras.

    Raises VantageError for an episode that is not there and for a file that is missing, damaged or too short.
    """
    if episode not in catalogue.rows:
        raise VantageError(f"{catalogue.root} has no episode {episode}; it has {len(catalogue.rows)} episodes.")
    row = catalogue.rows[episode]
    return {
        camera: _from_video(catalogue, row, camera) if as_video else _from_table(catalogue, row, camera)
        for camera, as_video in catalogue.cameras.items()
    }


def _from_video(catalogue: Catalogue, row: Mapping[str, Any], camera: str) -> UInt8[np.ndarray, "T P Q 3"]:
    key, length = IMAGE_PREFIX + camera, int(row["length"])
    chunk, number = row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"]
    path = catalogue.root / catalogue.video_path.format(video_key=key, chunk_index=chunk, file_index=number)
    first = round(row[f"videos/{key}/from_timestamp"] * catalogue.fps)
    try:
        pictures = list(_decode(path, catalogue.fps, first, first + length))
    except (FFmpegError, OSError, IndexError) as error:
        raise VantageError(f"video {path} is missing, truncated or damaged; restore it or record the dataset again.") from error
    if len(pictures) != length:
        found = f"{len(pictures)} of the {length} pictures of episode {row[EPISODE]}"
        raise VantageError(f"video {path} has {found}; restore it or record the dataset again.")
    return np.stack(pictures)


def _decode(path: Path, fps: int, first: int, stop: int) -> Iterator[UInt8[np.ndarray, "P Q 3"]]:
    """The pictures at positions first ... stop - 1, entered at the key frame before them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1, fps)
        container.seek(int(first / fps / base), stream=stream, backward=True)
        for frame in container.decode(stream):
            place = round((frame.pts or 0) * base * fps)
            if place >= stop:
                return
            if place >= first:
                yield frame.to_ndarray(format="rgb24")


def _from_table(catalogue: Catalogue, row: Mapping[str, Any], camera: str) -> UInt8[np.ndarray, "T P Q 3"]:
    path = catalogue.root / catalogue.data_path.format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])
    with pa.OSFile(str(path)) as file:
        table = pq.read_table(file, columns=[EPISODE, FRAME, IMAGE_PREFIX + camera])
    mine = table.filter(pc.equal(table.column(EPISODE), row[EPISODE])).sort_by(FRAME)  # pyright: ignore[reportAttributeAccessIssue]
    cells: list[dict[str, Any]] = mine.column(IMAGE_PREFIX + camera).to_pylist()
    return np.stack([np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in cells])


def tile(pictures: Mapping[str, UInt8[np.ndarray, "T P Q 3"]], scale: int = 3, gap: int = 2) -> UInt8[np.ndarray, "T H W 3"]:
    """All cameras side by side, enlarged by whole pixels, on black; sides are made even, as H.264 wants them."""
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


def encode(pictures: UInt8[np.ndarray, "T H W 3"], fps: int, *, quality: int = 26) -> bytes:
    """An H.264 mp4 with a key frame every ten pictures, so that a browser seeks quickly.

    Picture i is shown from i / fps to (i + 1) / fps seconds. `quality` is x264's constant rate factor: 18 fine, 26 good, 34 small.
    """
    buffer = io.BytesIO()
    options = {"crf": str(quality), "preset": "veryfast", "tune": "animation", "g": "10", "bf": "0", "threads": "1"}
    with av.open(buffer, "w", format="mp4") as container:
        stream: VideoStream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = pictures.shape[1], pictures.shape[2], "yuv420p"
        stream.time_base = Fraction(1, fps)
        for place, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
