"""Pictures of a dataset -> one memory-mapped array [N, cameras, size, size, 3], so that a random picture costs one copy and no decoding.

    1-episodes/videos ──build────────┐
    journal (lossless) ──from_journal┴─> store: frames.u8 + frames.json ──gather(rows)──> uint8[B, cameras, size, size, 3]

The store is whole or absent. `collect` makes a lossless one from its journal; `FrameStore.build` makes one from anybody's dataset, whose
pictures have been through a video.
"""

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from vantage.core.images import area_downsample
from vantage.data.episodes import load_episode
from vantage.data.v3.read import camera_features, camera_key, read_info, read_rows, video_files
from vantage.data.v3.schema import INDEX
from vantage.data.v3.video import read_video
from vantage.disk.files import read_json, whole_folder, write_json
from vantage.disk.tables import read_arrow
from vantage.types import VantageError

HEADER = "frames.json"
PIXELS = "frames.u8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a store holds; `frames.json`."""

    frames: int
    """N."""
    cameras: tuple[str, ...]
    size: int
    """Side in pixels."""
    lossless: bool
    """Whether the pictures never went through a video."""

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(N, cameras, size, size, 3)."""
        return (self.frames, len(self.cameras), self.size, self.size, 3)


def _shrink(pictures: UInt8[np.ndarray, "T P Q 3"], size: int, camera: str) -> UInt8[np.ndarray, "T {size} {size} 3"]:
    height, width = pictures.shape[1:3]
    if height != width or height % size:
        raise VantageError(
            f"camera {camera} is {width} x {height} px and the policy wants {size}; "
            f"record square pictures with a side that is a multiple of {size}."
        )
    return area_downsample(pictures, size)


@dataclass(frozen=True, slots=True)
class FrameStore:
    """The pictures of one dataset, by frame index. Make one with `build`, `from_journal` or `open`."""

    header: Header
    pixels: UInt8[np.ndarray, "N C P P 3"]
    """A read-only memory map."""

    def __len__(self) -> int:
        return self.header.frames

    @classmethod
    def open(cls, folder: Path) -> "FrameStore":
        """Map an existing store. Raises VantageError where there is none, or not a whole one."""
        if not (folder / HEADER).is_file():
            raise VantageError(
                f"there is no frame store at {folder}: collect the round again, or make one of its videos with FrameStore.build."
            )
        record = read_json(folder / HEADER)
        try:
            header = Header(**(record | {"cameras": tuple(record["cameras"])}))
            pixels = np.memmap(folder / PIXELS, np.uint8, "r", shape=header.shape)
        except (TypeError, KeyError, ValueError, OSError) as error:
            raise VantageError(
                f"the frame store {folder} is damaged: delete it and collect again, or make one of its videos with FrameStore.build."
            ) from error
        return cls(header, pixels)

    @classmethod
    def build(cls, root: Path, folder: Path, size: int) -> "FrameStore":
        """Decode every picture of a LeRobotDataset once, in order, and store it at `size` px; an existing store that fits is kept.

        Raises VantageError for a dataset without cameras, videos that are missing or cut short, and pictures that `size` does not divide.
        """
        info = read_info(root)
        cameras = camera_features(info)
        if not cameras:
            raise VantageError(f"{root} has no cameras; record pictures, or use a policy on true state.")
        header = Header(frames=int(info["total_frames"]), cameras=tuple(cameras), size=size, lossless=False)
        return cls._make(folder, header, lambda sink: _copy_dataset(root, info, header, sink))

    @classmethod
    def from_journal(cls, journal: Path, numbers: Sequence[int], folder: Path, size: int) -> "FrameStore":
        """Store the journal's pictures, laid out as `dataset.write_dataset` does with the same `numbers`; they never meet a video codec."""
        if not numbers:
            raise VantageError(f"the frame store {folder} would be empty; record at least one episode.")
        first = load_episode(journal, numbers[0])
        lengths = [len(load_episode(journal, number, pixels=False)) for number in numbers]
        header = Header(frames=sum(lengths), cameras=tuple(first.images), size=size, lossless=True)
        if not header.cameras:
            raise VantageError(f"the journal {journal} has no pictures; record them, or use a policy on true state.")

        def copy(sink: BinaryIO) -> None:
            for number in numbers:
                images = load_episode(journal, number).images
                views = [_shrink(images[camera], size, camera) for camera in header.cameras]
                sink.write(np.stack(views, axis=1).tobytes())

        return cls._make(folder, header, copy)

    @classmethod
    def _make(cls, folder: Path, header: Header, copy: Callable[[BinaryIO], None]) -> "FrameStore":
        if _fits(folder, header):
            return cls.open(folder)
        with whole_folder(folder) as temporary:
            with (temporary / PIXELS).open("w+b") as sink:
                copy(sink)
            write_json(temporary / HEADER, asdict(header))
        return cls.open(folder)

    def gather(self, rows: Int64[np.ndarray, "B"], out: UInt8[np.ndarray, "B C P P 3"] | None = None) -> UInt8[np.ndarray, "B C P P 3"]:
        """Copy the pictures of these frames, in this order; `out` may be given to save the allocation."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a store of {len(self)} frames")
        # numpy copies straight into the result only in this mode; the rows have just been checked.
        return np.take(self.pixels, rows, axis=0, out=out, mode="clip")


def _fits(folder: Path, header: Header) -> bool:
    """Whether a whole store of just this content stands here already."""
    if not (folder / HEADER).is_file() or not (folder / PIXELS).is_file():
        return False
    same: bool = read_json(folder / HEADER) == json.loads(json.dumps(asdict(header)))
    return same and (folder / PIXELS).stat().st_size == math.prod(header.shape)


def _copy_dataset(root: Path, info: dict[str, Any], header: Header, sink: BinaryIO) -> None:
    # A plain file written by position, never a writable map: a full disk is then an error and not a crash.
    picture = header.size**2 * 3
    starts = _episode_starts(root)
    for place, (camera, feature) in enumerate(camera_features(info).items()):
        key = camera_key(info, camera)
        if feature["dtype"] == "image":
            for row, cell in enumerate(read_rows(root, [INDEX, key]).column(key).to_pylist()):
                image = np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB"))
                sink.seek((row * len(header.cameras) + place) * picture)
                sink.write(_shrink(image[None], header.size, camera).tobytes())
            continue
        for path, episodes in video_files(root, info, key).items():
            rows = {
                first + offset: starts[episode] + offset for episode, (stop, first) in episodes.items() for offset in range(stop - first)
            }
            for position, image in read_video(path, int(info["fps"])):
                row = rows.pop(position, None)
                if row is not None:
                    sink.seek((row * len(header.cameras) + place) * picture)
                    sink.write(_shrink(image[None], header.size, camera).tobytes())
            if rows:
                raise VantageError(f"video {path} lacks {len(rows):,} pictures that its dataset needs; restore it or record it again.")


def _episode_starts(root: Path) -> dict[int, int]:
    tables = [read_arrow(path, ["episode_index", "dataset_from_index"]) for path in sorted((root / "meta/episodes").glob("*/*.parquet"))]
    return {int(episode): int(start) for table in tables for episode, start in zip(*(c.to_pylist() for c in table.columns), strict=True)}
