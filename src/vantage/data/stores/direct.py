"""A dataset's own video files -> random pictures out of them; only where each picture lies is written.

    videos/*/*.mp4 ──write_direct──> camera-0.places, ... ──gather(rows)──> {camera: uint8 [B, h, w, 3]}

A picture costs a seek and the decoding of what lies between its key frame and itself: little where the
recorder set a key frame every second picture, as LeRobot does, and up to hundreds of pictures elsewhere.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Int64, UInt8
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vantage.core.images import area_downsample
from vantage.data.stores.compressed import in_parallel
from vantage.data.stores.header import Header, damaged
from vantage.data.stores.raw import check_rows
from vantage.data.stores.recording import Recording, Size
from vantage.data.v3.meta import Camera
from vantage.data.v3.paths import inside
from vantage.data.v3.video import OpenVideo, VideoIndex, index_video
from vantage.errors import VantageError
from vantage.progress import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFiles:
    """The video files of one camera, some of them open. One thread at a time."""

    paths: tuple[Path, ...]
    indices: tuple[VideoIndex, ...]
    file: Int64[np.ndarray, "N"]
    """In which file a frame's picture lies."""
    position: Int64[np.ndarray, "N"]
    """Its rank in that file."""
    most_open: int
    opened: OrderedDict[int, OpenVideo] = field(default_factory=OrderedDict[int, OpenVideo])
    """By number, the one used last at the end."""
    _lock: Lock = field(default_factory=Lock)

    def read(self, rows: Int64[np.ndarray, "B"], out: UInt8[np.ndarray, "B _h _w 3"]) -> None:
        """Fill `out` with the pictures of these frames, shrunk to its size."""
        size = out.shape[1], out.shape[2]

        with self._lock:
            # File by file and forwards, so that neighbours are decoded together and no file is opened twice.
            order = np.lexsort((self.position[rows], self.file[rows]))
            for file in np.unique(self.file[rows]):
                of_file = order[self.file[rows[order]] == file]
                decoded = self._video(int(file)).read(self.position[rows[of_file]])
                for i, picture in zip(of_file, decoded, strict=True):
                    out[i] = area_downsample(picture, size)

    def _video(self, file: int) -> OpenVideo:
        if file in self.opened:
            self.opened.move_to_end(file)
            return self.opened[file]
        if len(self.opened) >= self.most_open:
            _, oldest = self.opened.popitem(last=False)
            oldest.close()
        self.opened[file] = OpenVideo(self.paths[file], self.indices[file])
        return self.opened[file]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectFrames:
    """The pictures of one dataset, decoded from its videos when they are asked for, one thread per camera."""

    header: Header
    files: Mapping[str, VideoFiles]

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
        """Decode the pictures of these frames, in this order. Raises VantageError for a damaged video."""
        check_rows(rows, len(self))
        chosen = cameras or self.cameras
        gathered = {camera: np.empty((len(rows), *self.cameras[camera], 3), np.uint8) for camera in chosen}
        in_parallel(lambda camera: self.files[camera].read(rows, gathered[camera]), list(gathered))
        return gathered


def write_direct(recording: Recording, folder: Path, header: Header, advance: Bar) -> None:
    """Note where each picture lies; reads the packets of every video file and decodes none.

    Raises VantageError for a camera whose pictures are no video, and for a file that is too short.
    """
    for camera in recording.cameras:
        save_file(_places(recording, camera), header.file(folder, camera.name, "places"))
        advance(recording.frames)


def check_direct(recording: Recording) -> None:
    """Raise VantageError unless every camera is a video."""
    for camera in recording.cameras:
        if not camera.is_video:
            raise VantageError(
                f"camera {camera.name} of {recording.info.root} is stored as pictures in the data files, "
                "which cannot be read one by one; use Compressed() or Raw()."
            )


def _places(recording: Recording, camera: Camera) -> dict[str, np.ndarray]:
    file, position = np.zeros(recording.frames, np.int64), np.zeros(recording.frames, np.int64)
    tensors: dict[str, np.ndarray] = {}

    for number, video in enumerate(recording.videos(camera)):
        index = index_video(video.path)
        if len(index) < len(video.rows):
            lacking = len(video.rows) - len(index)
            fault = f"video {video.path} lacks {lacking:,} pictures that its dataset needs"
            raise VantageError(f"{fault}; restore it or record it again.")
        file[video.rows], position[video.rows] = number, np.arange(len(video.rows))
        tensors[f"pts.{number}"], tensors[f"group.{number}"] = index.pts, np.array([index.group])
    return tensors | {"file": file, "position": position}


def direct_settings(recording: Recording) -> dict[str, object]:
    """What the header keeps: the dataset's folder and its files, with their sizes."""
    root = recording.info.root
    files = {
        camera.name: [
            [str(video.path.relative_to(root)), video.path.stat().st_size]
            for video in recording.videos(camera)
        ]
        for camera in recording.cameras
    }
    return {"root": str(root.resolve()), "files": files}


def open_direct(folder: Path, header: Header) -> DirectFrames:
    """Open an existing store. Raises VantageError where a video has gone or changed since."""
    try:
        root, most_open = Path(header.settings["root"]), int(header.settings["most_open"])
        files = {camera: _video_files(root, folder, header, camera, most_open) for camera in header.cameras}
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise damaged(folder) from error
    return DirectFrames(header=header, files=files)


def _video_files(root: Path, folder: Path, header: Header, camera: str, most_open: int) -> VideoFiles:
    paths: list[Path] = []
    for name, size in header.settings["files"][camera]:
        path = inside(root, name)
        if not path.is_file() or path.stat().st_size != size:
            fault = f"video {path} is missing or has changed since {folder} was made of it"
            raise VantageError(f"{fault}; delete that folder and run again.")
        paths.append(path)

    tensors = load_file(header.file(folder, camera, "places"))
    indices = [
        VideoIndex(tensors[f"pts.{number}"], int(tensors[f"group.{number}"][0]))
        for number in range(len(paths))
    ]
    return VideoFiles(
        paths=tuple(paths),
        indices=tuple(indices),
        file=tensors["file"],
        position=tensors["position"],
        most_open=most_open,
    )
