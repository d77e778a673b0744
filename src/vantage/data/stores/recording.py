"""A LeRobotDataset and the cameras that a policy looks at -> every picture, at the size that is to be kept.

    root, {camera: size} ──read_recording──> Recording ──pictures──> (frame, picture)

Nothing is left black: a picture that never came is an error that names the file.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vantage.core.images import area_downsample, divides
from vantage.data.v3.columns import whole_numbers
from vantage.data.v3.meta import (
    Camera,
    Episodes,
    Info,
    Video,
    check_episodes,
    fingerprint,
    read_episodes,
    read_info,
    videos_of,
)
from vantage.data.v3.pictures import stream_cells
from vantage.data.v3.read import read_rows
from vantage.data.v3.schema import EPISODE, INDEX
from vantage.data.v3.video import read_video, sample_video, video_size
from vantage.errors import VantageError

Picture = UInt8[np.ndarray, "_h _w 3"]
Size = tuple[int, int]
"""(height, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The pictures of some cameras of one dataset."""

    info: Info
    episodes: Episodes | None
    """None where no camera is a video."""
    frames: int
    """N."""
    native: Mapping[str, Size]
    """Camera -> size as recorded."""
    kept: Mapping[str, Size]
    """Camera -> size to keep; the same, or smaller by whole factors."""
    fingerprint: str

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """In the order asked for."""
        return tuple(self.info.cameras[name] for name in self.kept)

    def videos(self, camera: Camera) -> list[Video]:
        """A camera's video files; none for a camera whose pictures lie in the data files."""
        return videos_of(self.episodes, camera) if camera.is_video and self.episodes is not None else []


def read_recording(root: Path, cameras: Mapping[str, Size | None] | None) -> Recording:
    """Look at what a dataset's cameras hold, without decoding it.

    `cameras`: name -> the (height, width) that the policy must be given, or None where it resizes by itself;
    None: every camera as it is. Raises VantageError for a camera that is not there or holds distances, a size
    that is not a whole part of the recorded one, and a `meta/episodes` that does not describe the data.
    """
    info = read_info(root)
    wanted: Mapping[str, Size | None] = dict.fromkeys(info.cameras) if cameras is None else cameras
    if not wanted:
        raise VantageError(f"{root} has no cameras; record pictures, or use a policy on true state.")
    chosen = [info.camera(name) for name in wanted]

    rows = read_rows(info, [INDEX, EPISODE])
    if not len(rows):
        raise VantageError(f"{root} is an empty dataset; record at least one episode.")
    _, lengths = np.unique(whole_numbers(rows, EPISODE, root), return_counts=True)
    episodes = None
    if any(camera.is_video for camera in chosen):
        episodes = read_episodes(info)
        check_episodes(episodes, lengths)

    native = {camera.name: _native_size(info, episodes, camera) for camera in chosen}
    return Recording(
        info=info,
        episodes=episodes,
        frames=len(rows),
        native=native,
        kept={name: _kept_size(root, name, native[name], size) for name, size in wanted.items()},
        fingerprint=fingerprint(info),
    )


def _native_size(info: Info, episodes: Episodes | None, camera: Camera) -> Size:
    """What the files hold; info.json may say something else, and nothing depends on it."""
    if episodes is None or not camera.is_video:
        _, picture = next(stream_cells(info, camera))
        return picture.shape[0], picture.shape[1]

    sizes = {video.path: video_size(video.path) for video in videos_of(episodes, camera)}
    first, size = next(iter(sizes.items()))
    for path, other in sizes.items():
        if other != size:
            fault = f"{path} has pictures of {_px(other)} and {first} of {_px(size)}"
            raise VantageError(f"{fault}; record one camera at one size.")
    return size


def _kept_size(root: Path, name: str, native: Size, wanted: Size | None) -> Size:
    size = wanted or native
    if not divides(native, size):
        raise VantageError(
            f"camera {name} of {root} is {_px(native)} and the policy wants {_px(size)}; give it a policy "
            "that resizes by itself, or pictures whose sides are whole multiples of that."
        )
    return size


def _px(size: tuple[int, ...]) -> str:
    return f"{size[1]} x {size[0]} px"


def pictures(recording: Recording, camera: Camera) -> Iterator[tuple[int, Picture]]:
    """Yield (frame, picture at the size to keep) for every frame, file by file.

    Raises VantageError at the end where a frame got no picture, and at once for one of another size.
    """
    seen = np.zeros(recording.frames, np.bool_)
    for row, picture in _raw_pictures(recording, camera):
        if not 0 <= row < recording.frames or seen[row]:
            fault = f"camera {camera.name} of {recording.info.root} has two pictures for frame {row:,}"
            raise VantageError(f"{fault}; restore the dataset.")
        seen[row] = True
        yield row, _shrunk(recording, camera, picture, f"at frame {row:,}")

    if not seen.all():
        raise VantageError(
            f"camera {camera.name} of {recording.info.root} has no picture for {int((~seen).sum()):,} of "
            f"{len(seen):,} frames, first for frame {int(seen.argmin()):,}; restore the dataset or drop "
            "those episodes."
        )


def _raw_pictures(recording: Recording, camera: Camera) -> Iterator[tuple[int, Picture]]:
    if not camera.is_video:
        yield from stream_cells(recording.info, camera)
        return

    for video in recording.videos(camera):
        position = -1
        for position, picture in read_video(video.path):
            # A file may end with pictures that no episode claims.
            if position == len(video.rows):
                break
            yield int(video.rows[position]), picture

        if position + 1 < len(video.rows):
            lacking = len(video.rows) - position - 1
            fault = f"video {video.path} lacks {lacking:,} pictures that its dataset needs"
            raise VantageError(f"{fault}; restore it or record it again.")


def sample_pictures(recording: Recording, camera: Camera, count: int = 16) -> list[Picture]:
    """About `count` pictures from all over a camera's recording, at the size to keep.

    By them it is judged how well the recording compresses.
    """
    if not camera.is_video:
        # The data files are read in order; a sample from their beginning is what can be had cheaply.
        cells = itertools.islice(stream_cells(recording.info, camera), count)
        return [_shrunk(recording, camera, picture, f"at frame {row:,}") for row, picture in cells]

    videos = recording.videos(camera)
    numbers = np.unique(np.linspace(0, len(videos) - 1, 4).astype(int))
    files = [videos[number].path for number in numbers]
    share = max(1, count // len(files))
    return [
        _shrunk(recording, camera, picture, f"in {path}")
        for path in files
        for picture in sample_video(path, share)
    ]


def _shrunk(recording: Recording, camera: Camera, picture: Picture, where: str) -> Picture:
    """The picture at the size to keep. Raises VantageError for one that is not of the camera's size."""
    size, native = picture.shape[:2], recording.native[camera.name]
    if size != native:
        fault = f"camera {camera.name} of {recording.info.root} shows {_px(size)} {where}"
        raise VantageError(f"{fault} and {_px(native)} before; record it at one size.")
    return area_downsample(picture, recording.kept[camera.name])
