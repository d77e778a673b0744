"""Pictures -> one memory-mapped array [N, height, width, 3] per camera.

    dataset ──write_raw───────────┐
    journal ──frames_from_journal─┴─> camera-0.u8, camera-1.u8 ... ──gather──> {camera: uint8 [B, h, w, 3]}

A random picture costs one copy and no decoding.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64, UInt8

from vantage.core.images import area_downsample, divides
from vantage.data.episodes import load_episode
from vantage.data.stores.header import HEADER, Header, damaged, read_header
from vantage.data.stores.recording import Recording, Size, pictures
from vantage.disk.files import whole_folder
from vantage.errors import VantageError
from vantage.progress import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFrames:
    """The pictures of one dataset, uncompressed on disk; what is used stays in the system's file cache."""

    header: Header
    pixels: Mapping[str, UInt8[np.ndarray, "N _h _w 3"]]
    """Read-only memory maps."""

    @property
    def cameras(self) -> Mapping[str, Size]:
        """Camera -> (height, width)."""
        return self.header.cameras

    def __len__(self) -> int:
        """N."""
        return self.header.frames

    def gather(
        self, rows: Int64[np.ndarray, "B"], cameras: Sequence[str] | None = None
    ) -> dict[str, UInt8[np.ndarray, "B _h _w 3"]]:
        """Copy the pictures of these frames, in this order."""
        check_rows(rows, len(self))
        # numpy copies straight into the result only in this mode; the rows have just been checked.
        chosen = cameras or self.cameras
        return {camera: np.take(self.pixels[camera], rows, axis=0, mode="clip") for camera in chosen}


def check_rows(rows: Int64[np.ndarray, "B"], frames: int) -> None:
    """Raise IndexError for a row that a store does not have."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < frames:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of a store of {frames} frames")


def raw_bytes(frames: int, sizes: Mapping[str, Size]) -> int:
    """Bytes on disk."""
    return frames * sum(height * width * 3 for height, width in sizes.values())


def open_raw(folder: Path, header: Header) -> RawFrames:
    """Map an existing store. Raises VantageError where a file is missing or cut short."""
    try:
        pixels = {
            camera: np.memmap(
                header.file(folder, camera, "u8"), np.uint8, "r", shape=(header.frames, *size, 3)
            )
            for camera, size in header.cameras.items()
        }
    except (ValueError, OSError) as error:
        raise damaged(folder) from error
    return RawFrames(header=header, pixels=pixels)


def is_whole_raw(folder: Path, header: Header) -> bool:
    """Whether every file has the size that it should."""
    wanted = {
        header.file(folder, camera, "u8"): header.frames * math.prod(size) * 3
        for camera, size in header.cameras.items()
    }
    return all(path.is_file() and path.stat().st_size == size for path, size in wanted.items())


def write_raw(recording: Recording, folder: Path, header: Header, advance: Bar) -> None:
    """Decode every picture of a dataset once, in order. Raises VantageError for a frame without a picture."""
    for camera in recording.cameras:
        height, width = recording.kept[camera.name]

        # A plain file written by position, never a writable map: a full disk is then an error and no crash.
        with header.file(folder, camera.name, "u8").open("w+b") as sink:
            for row, picture in pictures(recording, camera):
                sink.seek(row * height * width * 3)
                sink.write(np.ascontiguousarray(picture).data)
                advance()


def frames_from_journal(
    journal: Path,
    numbers: Sequence[int],
    folder: Path,
    cameras: Mapping[str, Size | None] | None = None,
) -> RawFrames:
    """Store the journal's pictures, laid out as `write_dataset` does with the same `numbers`, lossless.

    `cameras`: name -> (height, width) to keep, or None for the recorded size; None: every camera as it is. A
    store that fits is kept. Raises VantageError for a journal without pictures, a camera that is not there,
    and a size that is no whole part of the recorded one.
    """
    if not numbers:
        raise VantageError(f"the frame store {folder} would be empty; record at least one episode.")
    first = load_episode(journal, numbers[0])
    if not first.images:
        raise VantageError(
            f"the journal {journal} has no pictures; record them, or use a policy on true state."
        )

    wanted: Mapping[str, Size | None] = dict.fromkeys(first.images) if cameras is None else cameras
    lengths = [len(load_episode(journal, number, pixels=False)) for number in numbers]
    header = Header(
        kind="raw",
        frames=sum(lengths),
        cameras={camera: size or _size(first.images, camera, journal) for camera, size in wanted.items()},
        lossless=True,
        source=None,
    )
    if (folder / HEADER).is_file() and read_header(folder) == header and is_whole_raw(folder, header):
        return open_raw(folder, header)

    with whole_folder(folder) as temporary:
        sinks = {camera: header.file(temporary, camera, "u8").open("wb") for camera in header.cameras}
        try:
            for number in numbers:
                _append(load_episode(journal, number).images, header, sinks, journal)
        finally:
            for sink in sinks.values():
                sink.close()
        header.write(temporary)
    return open_raw(folder, header)


def _append(
    images: Mapping[str, UInt8[np.ndarray, "T _h _w 3"]],
    header: Header,
    sinks: Mapping[str, BinaryIO],
    journal: Path,
) -> None:
    for camera, size in header.cameras.items():
        native = _size(images, camera, journal)
        if not divides(native, size):
            raise VantageError(
                f"camera {camera} is {native[1]} x {native[0]} px and the policy wants {size[1]} x "
                f"{size[0]}; record pictures whose sides are whole multiples of that."
            )
        sinks[camera].write(np.ascontiguousarray(area_downsample(images[camera], size)).data)


def _size(images: Mapping[str, UInt8[np.ndarray, "T _h _w 3"]], camera: str, journal: Path) -> Size:
    if camera not in images:
        raise VantageError(
            f"the policy looks at camera {camera}, which the journal {journal} lacks; record it."
        )
    height, width = images[camera].shape[1:3]
    return height, width
