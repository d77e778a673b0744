"""A LeRobotDataset -> what the page of `vantage outcomes` shows of every episode: pictures as they lie on the
disk, who drove, values over time.

    dataset ──open_recordings──> Recordings ──described──> JSON of an episode
                                            ├──video_files──> the mp4 files, served by ranges
                                            └──pictures──> PNG or JPEG bytes of the data files

What cannot be shown (a broken video, distances) is said in the place where it would be; it keeps nobody from
judging the rest.
"""

import io
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from PIL import Image

from vantage.app.viability import Question, known_viability
from vantage.data.fingerprints import fingerprints
from vantage.data.outcomes import recorded_outcomes
from vantage.data.outcomes_csv import Outcome
from vantage.data.v3.meta import INFO_FILE, Camera, Episodes, Info, read_episodes, read_info, videos_of
from vantage.data.v3.pictures import stored_pictures
from vantage.data.v3.read import Table, driver_column, read_table
from vantage.data.v3.video import check_video
from vantage.data.viability import Viability
from vantage.types import OutcomeSource, Reading, VantageError

POINTS = 600
"""Of a curve, at most."""
MOST_CURVES = 16
"""Dimensions of the state, and of the action, that are drawn."""

_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp", b"BM": "image/bmp"}
"""How the formats begin that browsers show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Films:
    """A camera whose pictures are in video files."""

    file: Mapping[int, int]
    """Episode -> number of the file in `Recordings.video_files`."""
    first: Mapping[int, int]
    """Episode -> position of its first picture in that file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """A dataset, opened to be watched."""

    table: Table
    info: Info
    episodes: Episodes | None
    """None where `meta/episodes` cannot be read: then there are no pictures."""
    fingerprints: Int64[np.ndarray, "M"]
    lengths: Int64[np.ndarray, "M"]
    driver_known: bool
    """Whether a column says who drove."""
    films: Mapping[str, Films]
    """By camera; those whose videos are whole."""
    video_files: Sequence[Path]
    problems: Mapping[str, str]
    """Camera -> why it cannot be shown."""
    recorded: Mapping[int, Outcome]
    """What the dataset itself says."""
    recorded_by: OutcomeSource | None
    viability: Viability
    """What is known of p_v; `app.viability.Asking` adds to it."""
    question: Question | None
    """What a critic has yet to say."""
    signature: tuple[str, ...]
    """Name, size and time of every file of the dataset, as they were when it was opened."""

    def check_unchanged(self) -> None:
        """Raise VantageError where a file of the dataset was written, added or removed since it was opened.

        Episodes may have other numbers then, and a press would be about another one than is shown.
        """
        root, now = self.table.root, signature(self.table.root)
        if now == self.signature:
            return
        changed = sorted({line.partition("\0")[0] for line in {*now} ^ {*self.signature}})
        more = f" and {len(changed) - 1:,} more files" if len(changed) > 1 else ""
        raise VantageError(
            f"nothing was saved: {root / changed[0]}{more} changed while this page was open, and episodes "
            "may have other numbers now; end `vantage outcomes` with Ctrl-C and start it again (what was "
            "saved before is safe)"
        )

    def described(self, episode: int) -> dict[str, Any]:
        """All that the page draws of one episode, but for its pictures."""
        rows = self.table.slices[episode]
        human = self.table.intervention[rows]
        values = self.viability.get(episode)
        return {
            "episode": episode,
            "frames": int(self.lengths[episode]),
            "prompt": self.table.prompts[self.table.prompt[rows.start]],
            "cameras": [
                self._camera(name, episode) for name in (*self.info.cameras, *self.info.depth_cameras)
            ],
            "human": _runs(human) if self.driver_known else None,
            "cuts": np.flatnonzero(self.table.cut[rows]).tolist(),
            "p_v": None if values is None else _rounded(values),
            "recorded": self.recorded.get(episode),
            "recorded_by": self.recorded_by,
            "curves": [
                _curves("state", self.table.state[rows], self.table.state_names),
                _curves("action", self.table.action[rows], self.table.action_names),
            ],
        }

    def _camera(self, name: str, episode: int) -> dict[str, Any]:
        """Where the page gets a camera's pictures from."""
        if name in self.problems:
            return {"name": name, "problem": self.problems[name]}
        place = [*self.info.cameras].index(name)
        if name in self.films:
            films = self.films[name]
            return {"name": name, "video": f"video/{films.file[episode]}", "first": films.first[episode]}
        return {"name": name, "pictures": f"picture/{place}/{episode}"}

    def picture(self, camera: int, episode: int, frame: int) -> tuple[bytes, str]:
        """The bytes of a picture out of the data files, and their media type.

        Raises VantageError for one that is not there, IndexError for a number that means nothing.
        """
        cameras = [*self.info.cameras.values()]
        if not (
            0 <= camera < len(cameras) and 0 <= episode < len(self.lengths) and self.episodes is not None
        ):
            raise IndexError("no such camera or episode")
        if not 0 <= frame < self.lengths[episode] or cameras[camera].is_video:
            raise IndexError("no such picture")
        return _showable(_kept(_Shelf(self.episodes, cameras[camera]), episode)[frame])


@dataclass(frozen=True, slots=True, eq=False)
class _Shelf:
    """One camera's pictures; the same dataset and camera are the same shelf."""

    episodes: Episodes
    camera: Camera

    def __hash__(self) -> int:
        return hash((id(self.episodes), self.camera.column))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shelf) and hash(self) == hash(other)


@lru_cache(maxsize=8)
def _kept(shelf: _Shelf, episode: int) -> list[bytes]:
    """An episode's pictures; the last few episodes stay in memory, because a page asks frame by frame."""
    return stored_pictures(shelf.episodes, episode, shelf.camera)


def _showable(content: bytes) -> tuple[bytes, str]:
    """Bytes that a browser shows, as they are where it can; TIFF becomes PNG."""
    kind = next((kind for begins, kind in _KINDS.items() if content.startswith(begins)), None)
    if kind is not None:
        return content, kind
    try:
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "PNG")
            return buffer.getvalue(), "image/png"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VantageError("the data file holds bytes that are no picture; restore it") from error


def signature(root: Path) -> tuple[str, ...]:
    """Name, size and time of every file that a dataset is read from; no content is read.

    A file or a folder that cannot be looked at counts as one that is not there.
    """
    lines: list[str] = []
    for path in (root / INFO_FILE, *sorted(root.glob("meta/episodes/**/*")), *sorted(root.glob("data/**/*"))):
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                name = path.relative_to(root).as_posix()
                lines.append(f"{name}\0{status.st_size}\0{status.st_mtime_ns}")
    return tuple(lines)


def open_recordings(
    root: Path,
    *,
    intervention_column: str | None = None,
    critic: Path | None = None,
    features_of: Path | None = None,
) -> Recordings:
    """Read all of a dataset but its pictures.

    `critic`, `features_of`: whose p_v to show (`app.viability`). Raises VantageError for a dataset that
    cannot be read, and where there is no such critic.
    """
    before = signature(root)
    info = read_info(root)
    reading, known = Reading(intervention_column=intervention_column), True
    try:
        driver_column(info, False, reading)
    except VantageError:
        if intervention_column is not None:
            raise
        reading, known = Reading("policy"), False

    table = read_table(root, reading=reading, videos=False)
    contents = fingerprints(table.action, table.state, table.starts)
    lengths = np.diff(table.starts)
    problems = {name: "holds distances (depth), which are not shown" for name in info.depth_cameras}
    episodes, films, files = None, dict[str, Films](), list[Path]()
    if info.cameras:
        episodes = _episodes(info, lengths, problems)
    for camera in info.cameras.values():
        try:
            if camera.is_video and episodes is not None:
                films[camera.name] = _films(episodes, camera, files)
        except VantageError as error:
            problems[camera.name] = str(error)

    viability: Viability = {}
    question: Question | None = None
    if critic is not None:
        viability, question = known_viability(critic, info, contents, lengths, features_of)
    said, source = recorded_outcomes(table)
    return Recordings(
        table=table,
        info=info,
        episodes=episodes,
        fingerprints=contents,
        lengths=lengths,
        driver_known=known,
        films=films,
        video_files=files,
        problems=problems,
        recorded=said,
        recorded_by=source,
        viability=viability,
        question=question,
        signature=before,
    )


def _episodes(info: Info, lengths: Int64[np.ndarray, "M"], problems: dict[str, str]) -> Episodes | None:
    """Where which pictures lie; where that cannot be read, no camera can be shown."""
    try:
        episodes = read_episodes(info)
        if np.array_equal(episodes.length, lengths):
            return episodes
        fault = f"{episodes.folder} does not give the episodes the frames that the data files hold"
    except VantageError as error:
        fault = str(error)
    problems |= dict.fromkeys(info.cameras, fault)
    return None


def _films(episodes: Episodes, camera: Camera, files: list[Path]) -> Films:
    """Where a camera's episodes are in its files, which are added to `files`."""
    file, first = dict[int, int](), dict[int, int]()
    for video in videos_of(episodes, camera):
        check_video(video.path, len(video.rows))
        file |= dict.fromkeys(video.first, len(files))
        first |= video.first
        files.append(video.path)
    return Films(file=file, first=first)


def _runs(flags: np.ndarray) -> list[list[int]]:
    """[first, last] of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [[int(first), int(stop) - 1] for first, stop in zip(edges[::2], edges[1::2], strict=True)]


def _rounded(values: Float[np.ndarray, "T"]) -> list[float | None]:
    return [round(value, 4) if np.isfinite(value) else None for value in values.tolist()]


def _curves(name: str, values: Float[np.ndarray, "T D"], names: tuple[str, ...] | None) -> dict[str, Any]:
    """Up to `POINTS` frames of every dimension."""
    step = -(-len(values) // POINTS)
    dimensions = values.shape[1]
    return {
        "name": name,
        "step": step,
        "dimensions": dimensions,
        "names": [*(names or map(str, range(dimensions)))][:MOST_CURVES],
        "values": [_rounded(column) for column in values[::step, :MOST_CURVES].T],
    }
