"""Pictures -> cameras that show one picture for too long, boundaries that are off, cameras that are left out.

`look_at_cameras` decodes nothing; `look_at_pictures` decodes every picture once, of videos and of data files.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jaxtyping import Float32, UInt8

from vantage.data.findings import Finding, failure, name, note, warning
from vantage.data.v3.meta import Camera, Episodes, Info, read_episodes, read_info, videos_of
from vantage.data.v3.pictures import stream_cells
from vantage.data.v3.read import Table
from vantage.data.v3.video import read_video
from vantage.errors import VantageError
from vantage.progress import bar

STUCK_SECONDS = 2.0
"""A camera that shows the same picture for longer than this while the robot moves is stuck."""
BLOCKS = 24
"""Pictures are compared by means of about this many blocks a side, which a codec's noise hardly moves."""
SAME = 4.0
"""Pictures count as the same where no block's mean differs by this many of 255 levels."""
MOVED = 0.1
"""A robot has moved that crossed this share of the range of one of its state dimensions."""
OFF_GRID = 0.05
"""Periods by which an episode may begin between two pictures of its video."""


def look_at_cameras(table: Table) -> Iterator[Finding]:
    """Cameras that are left out, and episodes that begin between two pictures."""
    info = read_info(table.root)
    if info.depth_cameras:
        yield note(
            f"{', '.join(info.depth_cameras)} holds distances (depth), which no policy here reads: left out"
        )

    episodes = _episodes(info)
    for camera in info.cameras.values() if episodes is not None else ():
        if not camera.is_video or episodes is None:
            continue
        begins = np.array([episodes.begins(camera, episode) for episode in range(len(episodes))]) * info.fps
        off = np.flatnonzero(np.abs(begins - np.round(begins)) > OFF_GRID).tolist()
        if off:
            yield warning(
                f"{name(off)} that begins between two pictures of camera {camera.name} by its time stamp: "
                "Vantage counts pictures, readers that seek by time may take the one before"
            )


def look_at_pictures(table: Table) -> Iterator[Finding]:
    """Cameras that are stuck, and videos with too few pictures. A bar counts the pictures.

    Raises VantageError for a picture that cannot be decoded, or has another size than the ones before it.
    """
    info = read_info(table.root)
    episodes = _episodes(info)

    with bar("pictures", len(info.cameras) * len(table), "pictures") as advance:
        for camera in info.cameras.values():
            stuck: list[int] = []
            if not camera.is_video:
                first = {episode: rows.start for episode, rows in enumerate(table.slices)}
                stuck += _stuck_episodes(table, first, _stored(table, info, camera, advance))

            for video in videos_of(episodes, camera) if camera.is_video and episodes is not None else ():
                seen: list[Float32[np.ndarray, "K L"]] = []
                for _, (_, picture) in zip(video.rows, read_video(video.path, "gray"), strict=False):
                    seen.append(_blocks(picture))
                    advance()
                if len(seen) < len(video.rows):
                    lacking = len(video.rows) - len(seen)
                    yield failure(
                        f"video {video.path} lacks {lacking:,} pictures that its dataset needs; "
                        "restore it, or delete the episodes in it"
                    )
                    continue
                stuck += _stuck_episodes(table, video.first, seen)

            if stuck:
                yield warning(
                    f"{name(sorted(stuck))} in which camera {camera.name} shows the same picture for over "
                    f"{STUCK_SECONDS:g} s while the robot moves"
                )


def _episodes(info: Info) -> Episodes | None:
    """meta/episodes, where it is needed: for videos."""
    return read_episodes(info) if any(camera.is_video for camera in info.cameras.values()) else None


def _stored(
    table: Table, info: Info, camera: Camera, advance: Callable[[], object]
) -> list[Float32[np.ndarray, "K L"]]:
    """The pictures of a camera that are stored in the data files, as blocks, in the order of the frames."""
    size: tuple[int, ...] | None = None
    by_row: dict[int, Float32[np.ndarray, "K L"]] = {}
    for row, picture in stream_cells(info, camera):
        size = size or picture.shape
        if picture.shape != size:
            shown, before = (f"{width} x {height} px" for height, width, _ in (picture.shape, size))
            raise VantageError(
                f"camera {camera.name} of {table.root} shows {shown} at frame {row} and {before} "
                f"before; record it at one size"
            )
        by_row[row] = _blocks(picture.mean(axis=2).astype(np.uint8))
        advance()
    return [by_row[row] for row in sorted(by_row)]


def _stuck_episodes(
    table: Table, first_picture: Mapping[int, int], seen: list[Float32[np.ndarray, "K L"]]
) -> list[int]:
    """Episodes in which a camera shows one picture for too long.

    `first_picture`: of every episode, its place in `seen`, which holds the pictures as blocks.
    """
    limit = round(STUCK_SECONDS * table.fps)
    reach = np.ptp(table.state, axis=0)
    slices = table.slices
    stuck: list[int] = []
    for episode, first in first_picture.items():
        rows = slices[episode]
        shown = np.stack(seen[first : first + rows.stop - rows.start])
        if _stuck(shown, table.state[rows] / np.where(reach > 0, reach, 1), limit):
            stuck.append(episode)
    return stuck


def _blocks(picture: UInt8[np.ndarray, "P Q"]) -> Float32[np.ndarray, "K L"]:
    """Means of about BLOCKS x BLOCKS equal blocks.

    Pixels that are left over at the right and the bottom are not looked at.
    """
    side = max(1, min(picture.shape) // BLOCKS)
    rows, columns = (extent // side for extent in picture.shape)
    cropped = picture[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cropped.mean(axis=(1, 3), dtype=np.float32)


def _stuck(shown: Float32[np.ndarray, "T K L"], state: Float32[np.ndarray, "T S"], limit: int) -> bool:
    """Whether `limit` pictures in a row equal the one before them while the state moves.

    `state`: in shares of its range.
    """
    start = 0
    for now in range(1, len(shown)):
        if np.abs(shown[now] - shown[start]).max() >= SAME:
            start = now
        elif now - start >= limit and np.ptp(state[start : now + 1], axis=0).max() > MOVED:
            return True
    return False
