"""Pictures -> H.264, and any video file -> its pictures by position: the one place that encodes and decodes.

    pictures ──VideoWriter──> mp4 of a dataset
    pictures ──encode──> bytes of a small clip for a browser
    mp4 ──read_video──> every picture in order
    mp4 ──index_video──> VideoIndex ──OpenVideo──> any pictures

A picture's position is its rank in the order of presentation, 0, 1, 2 ..., whatever its time stamp says.

Recordings are small (96 px) and long, so the encoder is x264 at its fastest preset with a key frame every
second picture: measured on one core, 13,700 pictures/s against 1,270 for LeRobot's default AV1, and seeking
stays cheap for stock LeRobot. Picture i is shown at exactly i / fps seconds.
"""

import io
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Int64, UInt8

from vantage.errors import VantageError

CODEC = "libx264"
PIXELS = "yuv420p"

# A file of a dataset is read as a plain file in a container that holds pictures. FFmpeg would otherwise
# follow playlists and addresses that such a file may contain.
_SAFE = {"protocol_whitelist": "file", "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What x264 is asked for. One thread always, so that the same pictures give the same bytes."""

    quality: int
    """Constant rate factor: 18 fine, 26 good, 34 small."""
    preset: str
    group: int
    """Pictures from one key frame to the next."""
    options: tuple[tuple[str, str], ...] = ()
    """Further options of x264."""

    def arguments(self) -> dict[str, str]:
        """As the encoder wants them."""
        plain = {"preset": self.preset, "crf": str(self.quality), "g": str(self.group), "threads": "1"}
        return plain | dict(self.options)


RECORDING = Encoding(quality=18, preset="ultrafast", group=2)
"""Of a dataset."""
CLIP = Encoding(quality=26, preset="veryfast", group=10, options=(("tune", "animation"), ("bf", "0")))
"""Of a clip in a page: a key frame every ten pictures, so that a browser seeks quickly."""


def video_info(height: int, width: int, fps: float) -> dict[str, Any]:
    """What LeRobot keeps about a video stream in `info.json`."""
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": PIXELS,
        "video.fps": fps,
        "video.channels": 3,
        "video.g": RECORDING.group,
        "video.crf": RECORDING.quality,
        "video.preset": RECORDING.preset,
        "video.fast_decode": 0,
        "video.video_backend": "pyav",
        "video.extra_options": {},
        "has_audio": False,
        "is_depth_map": False,
    }


class VideoWriter:
    """Appends pictures of one size to an mp4, at a path or in memory.

    Use it as a context: the file is whole when that ends.
    """

    def __init__(
        self, target: Path | io.BytesIO, fps: float, height: int, width: int, encoding: Encoding = RECORDING
    ) -> None:
        if height % 2 or width % 2:
            name = target if isinstance(target, Path) else "the clip"
            even = f"{width + width % 2} x {height + height % 2} px"
            raise VantageError(
                f"H.264 needs an even picture size and {name} would have {width} x {height} px; "
                f"render {even} or store images."
            )
        if isinstance(target, Path):
            target.parent.mkdir(parents=True, exist_ok=True)
        self._own = target.open("wb") if isinstance(target, Path) else None
        self._container = av.open(self._own or target, "w", format="mp4")

        rate = Fraction(fps).limit_denominator(100_000)
        self._stream: VideoStream = self._container.add_stream(CODEC, rate=rate, options=encoding.arguments())
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, PIXELS
        self._stream.time_base = 1 / rate
        self.frames = 0

    def add(self, pictures: UInt8[np.ndarray, "T _h _w 3"]) -> None:
        """Append T pictures."""
        for picture in pictures:
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
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
            if self._own is not None:
                self._own.close()


def encode(pictures: UInt8[np.ndarray, "T _h _w 3"], fps: float, *, quality: int = CLIP.quality) -> bytes:
    """A small mp4 that any browser plays; picture i is shown from i / fps to (i + 1) / fps seconds."""
    buffer = io.BytesIO()
    height, width = pictures.shape[1:3]
    with VideoWriter(buffer, fps, height, width, replace(CLIP, quality=quality)) as writer:
        writer.add(pictures)
    return buffer.getvalue()


def _damaged(path: Path) -> VantageError:
    return VantageError(f"video {path} is truncated or damaged; restore it or record the dataset again.")


@contextmanager
def _damage_is_a_sentence(path: Path) -> Generator[None]:
    """Turn what FFmpeg raises over a bad file into one `VantageError`."""
    try:
        yield
    except (FFmpegError, OSError, IndexError) as error:
        raise _damaged(path) from error


def _open(path: Path) -> InputContainer:
    """Open a plain file. Raises VantageError where there is none, or none that is a video."""
    if not path.is_file():
        raise VantageError(f"video {path} is missing; restore it or record the dataset again.")
    try:
        return av.open(str(path.resolve()), options=_SAFE)
    except (FFmpegError, OSError) as error:
        raise _damaged(path) from error


def read_video(path: Path, pixels: str = "rgb24") -> Iterator[tuple[int, np.ndarray]]:
    """Yield (position, picture) for every picture, in order.

    Raises VantageError for a missing or damaged file.
    """
    with _open(path) as container, _damage_is_a_sentence(path):
        decoded: Iterator[VideoFrame] = container.decode(container.streams.video[0])
        for position, frame in enumerate(decoded):
            if frame.is_corrupt:
                raise _damaged(path)
            yield position, frame.to_ndarray(format=pixels)


def check_video(path: Path, frames: int, first: Mapping[int, int] | None = None) -> None:
    """Raise VantageError unless the file opens and its index promises at least `frames` pictures.

    `first`: episode -> the position of its first picture, to say whose are missing. Decodes nothing.
    """
    with _open(path) as container, _damage_is_a_sentence(path):
        stream = container.streams.video[0]
        known = stream.frames
        if known < frames and known:
            raise VantageError(
                f"video {path} holds {known:,} pictures and its dataset needs {frames:,}"
                f"{_whose(known, first or {})}; restore it or record again."
            )

        # A file with its index in front opens even when its end is gone: the last packet must be there too.
        if stream.duration:
            container.seek(max(0, stream.duration - 1), stream=stream)
        if not any(packet.size and not packet.is_corrupt for packet in container.demux(stream)):
            raise _damaged(path)


def _whose(position: int, first: Mapping[int, int]) -> str:
    """Whose pictures are missing where a file ends at `position`."""
    begun = [(start, episode) for episode, start in first.items() if start <= position]
    if not begun:
        return ""
    start, episode = max(begun)
    return f" (at the latest from frame {position - start} of episode {episode} on)"


def video_size(path: Path) -> tuple[int, int]:
    """(height, width) of a file's pictures."""
    container = _open(path)
    try:
        stream = container.streams.video[0]
        return stream.height, stream.width
    except IndexError as error:
        raise _damaged(path) from error
    finally:
        container.close()


def sample_video(path: Path, count: int) -> list[UInt8[np.ndarray, "_h _w 3"]]:
    """Up to `count` pictures from all over a file: those of the key frames before equally spaced times."""
    sample: list[np.ndarray] = []
    with _open(path) as container, _damage_is_a_sentence(path):
        stream = container.streams.video[0]
        for part in range(count):
            container.seek((stream.duration or 0) * part // count, stream=stream, backward=True)
            frame = next(iter(container.decode(stream)), None)
            if frame is not None:
                sample.append(frame.to_ndarray(format="rgb24"))

    if not sample:
        raise _damaged(path)
    return sample


@dataclass(frozen=True, slots=True, eq=False)
class VideoIndex:
    """When each picture of a file is presented, and how far one must decode to reach it.

    It costs a read of the file, and no decoding.
    """

    pts: Int64[np.ndarray, "F"]
    """Presentation times in the stream's own unit, rising: picture i has pts[i]."""
    group: int
    """The largest number of pictures from one key frame to the next."""

    def __len__(self) -> int:
        return len(self.pts)


def index_video(path: Path) -> VideoIndex:
    """Read the packets of a file. Raises VantageError for a missing or damaged one."""
    packets: list[tuple[int, bool]] = []
    with _open(path) as container, _damage_is_a_sentence(path):
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None and packet.size and not packet.is_discard:
                packets.append((packet.pts, packet.is_keyframe))

    if not packets:
        raise _damaged(path)
    packets.sort()
    keys = np.flatnonzero([key for _, key in packets])
    if not len(keys) or keys[0]:
        raise _damaged(path)
    group = int(np.diff(np.append(keys, len(packets))).max())
    return VideoIndex(np.array([pts for pts, _ in packets], np.int64), group)


class OpenVideo:
    """A video file that stays open, for one thread at a time.

    A picture costs a seek and the decoding of what lies between its key frame and itself.
    """

    def __init__(self, path: Path, index: VideoIndex) -> None:
        self._path, self._pts, self._group = path, index.pts, index.group
        self._container = _open(path)
        with _damage_is_a_sentence(path):
            self._stream = self._container.streams.video[0]
        # A decoder with several threads reads ahead: a single picture would come later and cost more.
        self._stream.thread_type = "NONE"
        self._stream.codec_context.thread_count = 1

    def read(self, positions: Int64[np.ndarray, "K"]) -> Iterator[UInt8[np.ndarray, "_h _w 3"]]:
        """Yield the pictures at these positions, which must not fall; neighbours are decoded together.

        Raises VantageError for a position past the end and for a damaged file.
        """
        if len(positions) and not 0 <= positions[0] <= positions[-1] < len(self._pts):
            raise VantageError(
                f"video {self._path} has {len(self._pts):,} pictures and picture {positions[-1]:,} was asked "
                "for."
            )
        wanted = deque(int(position) for position in positions)
        with _damage_is_a_sentence(self._path):
            while wanted:
                yield from self._read_on(wanted)

    def _read_on(self, wanted: deque[int]) -> Iterator[UInt8[np.ndarray, "_h _w 3"]]:
        """Yield the first of `wanted` and those close behind it, from one seek; take them off the queue."""
        for frame in self._frames_from(wanted[0]):
            now = wanted[0]
            if frame.pts != self._pts[now]:
                continue

            picture = frame.to_ndarray(format="rgb24")
            while wanted and wanted[0] == now:
                yield picture
                wanted.popleft()

            # Where a key frame lies between, a seek is cheaper than decoding all that comes before it.
            if not wanted or wanted[0] - now > self._group:
                return
        raise _damaged(self._path)

    def _frames_from(self, position: int) -> Iterator[VideoFrame]:
        """Decoded frames, the first of which is the one at `position`.

        Pictures may be shown before the key frame that precedes them in the file; such a one needs the key
        frame before.
        """
        target = int(self._pts[position])
        for groups_back in range(3):
            start = int(self._pts[max(0, position - groups_back * self._group)])
            self._container.seek(start, stream=self._stream, backward=True)

            frames: Iterator[VideoFrame] = self._container.decode(self._stream)
            for frame in frames:
                if frame.pts > target or (frame.pts == target and frame.is_corrupt):
                    break
                if frame.pts == target:
                    yield frame
                    yield from frames
                    return
        raise _damaged(self._path)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
