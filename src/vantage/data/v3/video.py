"""Pictures -> one H.264 file per camera, and back, strictly in order.

Recordings are small (96 px) and long, so the encoder is x264 at its fastest preset with a key frame every second picture: measured on
one core, 13,700 pictures/s against 1,270 for LeRobot's default AV1, and seeking stays cheap for stock LeRobot. Picture i is shown at
exactly i / fps seconds.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import UInt8

from vantage.types import VantageError

CODEC = "libx264"
PIXELS = "yuv420p"
GROUP = 2
QUALITY = 18
PRESET = "ultrafast"


def video_info(side: int, fps: int) -> dict[str, Any]:
    """What LeRobot keeps about a video stream in `info.json`."""
    return {
        "video.height": side,
        "video.width": side,
        "video.codec": "h264",
        "video.pix_fmt": PIXELS,
        "video.fps": fps,
        "video.channels": 3,
        "video.g": GROUP,
        "video.crf": QUALITY,
        "video.preset": PRESET,
        "video.fast_decode": 0,
        "video.video_backend": "pyav",
        "video.extra_options": {},
        "has_audio": False,
        "is_depth_map": False,
    }


class VideoWriter:
    """Appends square pictures to an mp4. One thread, so that the same pictures give the same bytes."""

    def __init__(self, path: Path, fps: int, side: int) -> None:
        if side % 2:
            raise VantageError(f"H.264 needs an even picture size and {path} would have {side} px; render {side + 1} px or store images.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._container = av.open(self._file, "w", format="mp4")
        options = {"preset": PRESET, "crf": str(QUALITY), "g": str(GROUP), "threads": "1"}
        self._stream: VideoStream = self._container.add_stream(CODEC, rate=fps, options=options)
        self._stream.width = self._stream.height = side
        self._stream.pix_fmt = PIXELS
        self._stream.time_base = Fraction(1, fps)
        self.frames = 0

    def add(self, pictures: UInt8[np.ndarray, "T P P 3"]) -> None:
        """Append T pictures."""
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = self.frames
            self._container.mux(self._stream.encode(frame))
            self.frames += 1

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        finally:
            self._file.close()


def _damaged(path: Path) -> VantageError:
    return VantageError(f"video {path} is truncated or damaged; restore it or record the dataset again.")


def read_video(path: Path, fps: int, pixels: str = "rgb24") -> Iterator[tuple[int, np.ndarray]]:
    """Yield (position, picture) for every frame in order; position = round(time * fps).

    Raises VantageError for a missing or damaged file.
    """
    if not path.is_file():
        raise VantageError(f"video {path} is missing; restore it or record the dataset again.")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            decoded: Iterator[Any] = container.decode(stream)
            for frame in decoded:
                if frame.pts is None or frame.is_corrupt:
                    raise _damaged(path)
                yield round(frame.pts * frame.time_base * fps), frame.to_ndarray(format=pixels)
    except (FFmpegError, OSError, IndexError) as error:
        raise _damaged(path) from error


def check_video(path: Path, frames: int) -> None:
    """Raise VantageError unless the file opens and its index promises at least `frames` pictures; decodes nothing."""
    if not path.is_file():
        raise VantageError(f"video {path} is missing; restore it or record the dataset again.")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            known = stream.frames
            if known < frames and known:
                raise VantageError(f"video {path} holds {known:,} pictures and its dataset needs {frames:,}; restore it or record again.")
            if stream.duration:
                container.seek(max(0, stream.duration - 1), stream=stream)
            if not any(packet.size and not packet.is_corrupt for packet in container.demux(stream)):
                raise _damaged(path)
    except (FFmpegError, OSError, IndexError) as error:
        raise _damaged(path) from error
