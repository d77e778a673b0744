"""Pictures -> JPEG files end to end, one file per camera, each picture found by its offset.

    dataset ──write_compressed──> camera-0.jpegs, camera-0.places ... ──gather──> {camera: uint8 [B, h, w, 3]}

Every picture stands for itself, so a random one costs its own decoding and nothing before it. At 480 x 640,
JPEG is nearer to the original than x264 without prediction at as many bytes, decoded as fast as that and 2.5
times as fast as WebP, and written faster than both (docs/data.md, "What it costs").
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vantage.data.stores.header import Header, damaged
from vantage.data.stores.raw import check_rows
from vantage.data.stores.recording import Picture, Recording, Size, pictures, sample_pictures
from vantage.progress import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedFrames:
    """The pictures of one dataset as JPEG, memory-mapped.

    Decoded when they are asked for, by as many threads as there are cores.
    """

    header: Header
    folder: Path
    content: Mapping[str, UInt8[np.ndarray, "_bytes"]]
    """Read-only memory maps."""
    places: Mapping[str, Int64[np.ndarray, "N 2"]]
    """First byte and one past the last of every picture."""

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
        """Decode the pictures of these frames, in this order. Raises VantageError for a damaged one."""
        check_rows(rows, len(self))
        chosen = cameras or self.cameras
        gathered = {camera: np.empty((len(rows), *self.cameras[camera], 3), np.uint8) for camera in chosen}

        def decode(job: tuple[str, int]) -> None:
            camera, i = job
            gathered[camera][i] = self._picture(camera, int(rows[i]))

        jobs = [(camera, i) for camera in gathered for i in range(len(rows))]
        in_parallel(decode, jobs)
        return gathered

    def _picture(self, camera: str, row: int) -> Picture:
        begin, end = self.places[camera][row]
        try:
            with Image.open(io.BytesIO(self.content[camera][begin:end].data), formats=("JPEG",)) as image:
                picture = np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise damaged(self.folder) from error

        if picture.shape != (*self.cameras[camera], 3):
            raise damaged(self.folder)
        return picture


def in_parallel[T](work: Callable[[T], None], jobs: Sequence[T]) -> None:
    """Do jobs that release Python's lock, on as many threads as this process may use cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(cores, 8, len(jobs))

    if threads <= 1:
        for job in jobs:
            work(job)
        return

    # Threads of this call alone: a pool that outlives it would be dead in a forked process.
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, jobs):
            pass


def encode_picture(picture: Picture, quality: int) -> bytes:
    """One picture as JPEG, its colours at half resolution as in every video that it may come from."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def compressed_bytes(recording: Recording, quality: int) -> int:
    """About how many bytes it will take on disk, by a sample of pictures."""
    total = 0.0
    for camera in recording.cameras:
        sizes = [len(encode_picture(picture, quality)) for picture in sample_pictures(recording, camera)]
        total += recording.frames * sum(sizes) / len(sizes)
    return round(total) + place_bytes(recording.frames, len(recording.cameras))


def place_bytes(frames: int, cameras: int) -> int:
    """Bytes of the offsets, on disk and in memory."""
    return frames * cameras * 16


def open_compressed(folder: Path, header: Header) -> CompressedFrames:
    """Map an existing store. Raises VantageError where a file is missing or cut short."""
    try:
        files = {camera: header.file(folder, camera, "jpegs") for camera in header.cameras}
        content = {camera: np.memmap(path, np.uint8, "r") for camera, path in files.items()}
        tables = {camera: header.file(folder, camera, "places") for camera in header.cameras}
        places = {camera: load_file(path)["places"] for camera, path in tables.items()}
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise damaged(folder) from error

    for camera, rows in places.items():
        if len(rows) != header.frames or rows.max() > len(content[camera]):
            raise damaged(folder)
    return CompressedFrames(header=header, folder=folder, content=content, places=places)


def write_compressed(recording: Recording, folder: Path, header: Header, quality: int, advance: Bar) -> None:
    """Decode every picture of a dataset once, in order, and encode it.

    Raises VantageError for a frame without a picture.
    """
    for camera in recording.cameras:
        places = np.zeros((recording.frames, 2), np.int64)
        end = 0

        with header.file(folder, camera.name, "jpegs").open("wb") as sink:
            for row, picture in pictures(recording, camera):
                content = encode_picture(picture, quality)
                sink.write(content)
                places[row] = end, end + len(content)
                end += len(content)
                advance()

        save_file({"places": places}, header.file(folder, camera.name, "places"))
