"""A LeRobotDataset's `meta/` -> what it says of itself, checked.

    meta/info.json ──read_info──> Info: fps, columns, cameras, where files lie
    meta/episodes/*/*.parquet ──read_episodes──> Episodes ──videos_of──> Video: which picture is which frame's
    meta/tasks.parquet ──read_prompts──> prompts

No other module reads info.json, meta/episodes or meta/tasks.parquet. What they hold comes from anybody: a
path that they name must lie inside the dataset's folder, and a number must be one.
"""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from vantage.data.v3.paths import fill_in, inside, visible_files
from vantage.data.v3.schema import EPISODE, IMAGE_PREFIX, TASK, TASK_INDEX
from vantage.disk.files import read_json
from vantage.disk.tables import column_names, read_arrow
from vantage.errors import VantageError

INFO_FILE = "meta/info.json"
TASKS_FILE = "meta/tasks.parquet"
EPISODES_FOLDER = "meta/episodes"
DATA_FOLDER = "data"
DATA_FILE = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIEW_FILE = "meta/vantage_weights.parquet"
"""Makes a data set a view of others (`data.view`)."""
VIDEO_FILE = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

RESTORE = "restore it from where the dataset came from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A column, as info.json describes it."""

    dtype: str
    """`float32`, `video`, `image` ..."""
    shape: tuple[int, ...]
    """Of one frame's value; empty where it is not said."""
    names: tuple[str, ...] | None
    """Of the dimensions of a vector, where every one of them is named."""
    is_depth: bool
    """Whether its pictures are distances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Where a camera's pictures are stored."""

    name: str
    """`front` for the column `observation.images.front`, `image` for `observation.image`."""
    column: str
    is_video: bool
    """In video files; otherwise in the data files, as PNG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """`meta/info.json`."""

    root: Path
    """The dataset's folder."""
    fps: float
    """Control steps per second; a whole number is an int."""
    features: Mapping[str, Feature]
    cameras: Mapping[str, Camera]
    """By name, in the order of info.json; without depth cameras."""
    depth_cameras: tuple[str, ...]
    """Names of the cameras that hold distances; Vantage does not read them."""
    total_frames: int | None
    total_episodes: int | None
    data_path: str
    """Template of the data files' names."""
    video_path: str | None
    """Template of the video files' names."""
    robot_type: str | None

    def data_file(self, chunk: int, file: int) -> Path:
        """A data file. Raises VantageError for a name that leads out of the dataset."""
        return inside(self.root, fill_in(self.data_path, {"chunk_index": chunk, "file_index": file}))

    def video_file(self, camera: Camera, chunk: int, file: int) -> Path:
        """A video file of a camera. Raises VantageError for a name that leads out of the dataset."""
        if self.video_path is None:
            raise VantageError(
                f"{self.root / INFO_FILE} names no `video_path`, and camera {camera.name} is a video; "
                "correct it."
            )
        return inside(
            self.root,
            fill_in(self.video_path, {"video_key": camera.column, "chunk_index": chunk, "file_index": file}),
        )

    def camera(self, name: str) -> Camera:
        """A camera by name. Raises VantageError for one that is not there, or holds distances."""
        if name in self.depth_cameras:
            raise VantageError(
                f"camera {name} of {self.root} holds distances (depth), which no policy here reads; "
                "leave it out."
            )
        if name not in self.cameras:
            known = ", ".join(self.cameras) or "none"
            raise VantageError(
                f"the policy looks at camera {name}, which {self.root} lacks (it has: {known}); "
                "rename or record it."
            )
        return self.cameras[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episodes:
    """`meta/episodes`: M episodes in the order of their numbers, which are 0 ... M - 1."""

    info: Info
    length: Int64[np.ndarray, "M"]
    """Frames."""
    start: Int64[np.ndarray, "M"]
    """Row of the first frame."""
    prompts: tuple[str, ...]
    """What the robot was told first; empty where it is not said."""
    columns: Mapping[str, Sequence[Any]]
    """The columns that say in which file what lies."""

    def __len__(self) -> int:
        """M."""
        return len(self.length)

    def prompt(self, episode: int) -> str:
        """What the robot was told in an episode.

        Empty where that is not said, or there is no such episode.
        """
        return self.prompts[episode] if 0 <= episode < len(self) else ""

    @property
    def folder(self) -> Path:
        """Where this was read."""
        return self.info.root / EPISODES_FOLDER

    def data_file(self, episode: int) -> Path:
        """The data file that holds an episode."""
        return self.info.data_file(
            self._number("data/chunk_index", episode), self._number("data/file_index", episode)
        )

    def video_file(self, camera: Camera, episode: int) -> Path:
        """The video file that holds an episode's pictures."""
        chunk = self._number(f"videos/{camera.column}/chunk_index", episode)
        file = self._number(f"videos/{camera.column}/file_index", episode)
        return self.info.video_file(camera, chunk, file)

    def _number(self, column: str, episode: int) -> int:
        value = self._value(column, episode)
        if not isinstance(value, int) or not 0 <= value < 10**9:
            raise VantageError(
                f"`{column}` of episode {episode} in {self.folder} is {value!r} and must be a whole number; "
                f"{RESTORE}."
            )
        return value

    def begins(self, camera: Camera, episode: int) -> float:
        """Seconds from the beginning of the video file to the episode's first picture."""
        column = f"videos/{camera.column}/from_timestamp"
        value = self._value(column, episode)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise VantageError(
                f"`{column}` of episode {episode} in {self.folder} is {value!r} and must be seconds; "
                f"{RESTORE}."
            )
        return float(value)

    def _value(self, column: str, episode: int) -> object:
        if column not in self.columns:
            raise VantageError(f"{self.folder} has no column `{column}`; {RESTORE}.")
        value = self.columns[column][episode]
        # Whole numbers become floats where a tool has met an empty cell.
        if isinstance(value, float) and value.is_integer() and not column.endswith("timestamp"):
            return int(value)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One video file of one camera, of which F pictures belong to the dataset."""

    path: Path
    rows: Int64[np.ndarray, "F"]
    """The frame of the dataset that each picture belongs to, by position in the file."""
    first: Mapping[int, int]
    """Episode -> the position of its first picture, in the order of the file."""


# -------------------------------------------------------------------------------------------------- info.json


def check_dataset(root: Path) -> None:
    """Raise VantageError for a path that is no LeRobotDataset's folder: it says what is there instead."""
    if (root / INFO_FILE).is_file():
        return
    if root.is_file():
        raise VantageError(
            f"{root} is a file, and a LeRobotDataset is a folder; name the one that holds {INFO_FILE}."
        )
    if root.is_dir():
        hint = "give the dataset's own folder"
        inside = sorted(path.parents[1] for path in root.glob(f"*/{INFO_FILE}"))
        if inside:
            hint = f"name one of the data sets in it, such as {inside[0]}"
        raise VantageError(f"{root} is not a LeRobotDataset: {INFO_FILE} is missing; {hint}.")

    hint = "name the folder of a LeRobotDataset"
    if not root.is_absolute() and len(root.parts) == 2 and root.parts[0] not in (".", ".."):
        hint = f"name a folder (from the hub: hf download {root} --repo-type=dataset --local-dir={root})"
        home = os.environ.get("HF_LEROBOT_HOME", "~/.cache/huggingface/lerobot")
        kept = Path(home).expanduser() / root
        if (kept / INFO_FILE).is_file():
            hint = f"name a folder; {kept}, where LeRobot records it, is one"
    raise VantageError(f"{root} does not exist; {hint}.")


def read_info(root: Path) -> Info:
    """Read and check `meta/info.json`.

    Raises VantageError where the folder is no LeRobotDataset v3, or info.json says the impossible.
    """
    check_dataset(root)
    path = root / INFO_FILE
    try:
        record: Any = read_json(path)
    except RecursionError as error:
        raise VantageError(f"{path} is nested too deeply to be read; {RESTORE}.") from error
    if not isinstance(record, dict) or not {"fps", "features", "codebase_version"} <= record.keys():
        raise VantageError(
            f"{path} lacks fps, features or codebase_version; give a LeRobotDataset of version 3."
        )
    if not str(record["codebase_version"]).startswith("v3"):
        version = str(record["codebase_version"])[:40]
        raise VantageError(
            f"{root} has LeRobot format {version}; convert it to v3.0 with LeRobot first (python -m "
            f"lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=me/{root.name} --root={root} "
            "--push-to-hub=false)."
        )

    info = cast(dict[str, Any], record)
    features = _features(info["features"], path)
    pictures = {name: feature for name, feature in features.items() if feature.dtype in ("video", "image")}
    named = _camera_names(list(pictures))
    robot = info.get("robot_type")
    return Info(
        root=root,
        fps=_fps(info["fps"], path),
        features=features,
        cameras={
            named[column]: Camera(name=named[column], column=column, is_video=feature.dtype == "video")
            for column, feature in pictures.items()
            if not feature.is_depth
        },
        depth_cameras=tuple(named[column] for column, feature in pictures.items() if feature.is_depth),
        total_frames=_total(info, "total_frames", path),
        total_episodes=_total(info, "total_episodes", path),
        data_path=_template(info.get("data_path"), "data_path", path) or DATA_FILE,
        video_path=_template(info.get("video_path"), "video_path", path),
        robot_type=robot if isinstance(robot, str) else None,
    )


def stored_feature(info: Info, column: str) -> dict[str, Any]:
    """A column's own record in `meta/info.json`, with whatever its recorder noted there (a video's codec)."""
    return cast(dict[str, Any], read_json(info.root / INFO_FILE)["features"][column])


def _fps(value: object, path: Path) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return int(value) if float(value).is_integer() else float(value)

    raise VantageError(
        f"`fps` of {path} is {str(value)[:40]!r} and must be a number of control steps per second above 0; "
        "correct it."
    )


def _total(info: Mapping[str, Any], name: str, path: Path) -> int | None:
    value = info.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise VantageError(
            f"`{name}` of {path} is {str(value)[:40]!r} and must be a whole number; correct it."
        )
    return value


def _template(value: object, name: str, path: Path) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > 1000):
        raise VantageError(
            f"`{name}` of {path} must be a file name with fields such as {{chunk_index:03d}}; correct it."
        )
    return value


def _features(record: object, path: Path) -> dict[str, Feature]:
    if not isinstance(record, dict):
        raise VantageError(f"`features` of {path} must describe every column by name; {RESTORE}.")
    return {
        str(name): _feature(str(name), value, path) for name, value in cast(dict[Any, Any], record).items()
    }


def _feature(name: str, record: Any, path: Path) -> Feature:
    if not isinstance(record, dict) or not isinstance(record.get("dtype"), str):
        raise VantageError(f"{path} gives no `dtype` for column `{name[:80]}`; {RESTORE}.")
    shape = record.get("shape") or ()
    if not isinstance(shape, list | tuple) or not all(isinstance(side, int) and side > 0 for side in shape):
        raise VantageError(
            f"{path} gives the shape {str(shape)[:40]} to column `{name[:80]}`; "
            "it must hold whole numbers above 0."
        )

    # LeRobot says "is_depth_map" in `info`; older versions wrote "video.is_depth_map", there or in
    # `video_info`.
    notes = [note for note in (record.get("info"), record.get("video_info")) if isinstance(note, dict)]
    depth = any(note.get("is_depth_map") or note.get("video.is_depth_map") for note in notes)
    return Feature(
        dtype=record["dtype"],
        shape=tuple(shape),
        names=_names(record.get("names"), shape),
        is_depth=bool(depth),
    )


def _names(record: Any, shape: Sequence[int]) -> tuple[str, ...] | None:
    """Names of a vector's dimensions: `["x", "y"]`, `{"motors": ["x", "y"]}`, `{"x": 0, "y": 1}`.

    None for anything else.
    """
    names: Any = record
    if isinstance(record, dict) and record and all(isinstance(number, int) for number in record.values()):
        names = sorted(record, key=lambda name: record[name])
    elif isinstance(record, dict) and all(isinstance(part, list) for part in record.values()):
        names = [name for part in record.values() for name in part]

    # Converters write one name for all dimensions, such as ["actions"]: that names none of them.
    if not isinstance(names, list) or len(shape) != 1 or len(names) != shape[0]:
        return None
    return tuple(str(name) for name in names)


def _camera_names(columns: Sequence[str]) -> dict[str, str]:
    """Column -> camera name; a column whose short name is taken keeps its whole one."""
    named: dict[str, str] = {}
    for column in columns:
        prefix = IMAGE_PREFIX if column.startswith(IMAGE_PREFIX) else "observation."
        short = column.removeprefix(prefix)
        named[column] = column if short in named.values() else short
    return named


# ---------------------------------------------------------------------------------------------- meta/episodes


def read_episodes(info: Info) -> Episodes:
    """Read `meta/episodes` and check that it agrees with itself; its rows may stand in any order.

    Raises VantageError for an episode that is missing, named twice, of length 0, or whose frames do not
    follow those of the one before.
    """
    folder = info.root / EPISODES_FOLDER
    paths = visible_files(info.root, EPISODES_FOLDER)
    if not paths:
        raise VantageError(f"{folder} is missing, and it says where every episode's pictures are; {RESTORE}.")
    tables = [_file_columns(path) for path in paths]
    try:
        table = pa.concat_tables(tables, promote_options="default")
    except pa.ArrowException as error:
        raise VantageError(f"the files of {folder} disagree about their columns; {RESTORE}.") from error

    number = _whole_column(table, EPISODE, folder)
    order = np.argsort(number, kind="stable")
    _check_numbers(number[order], info, folder)
    length, start = (_whole_column(table, name, folder)[order] for name in ("length", "dataset_from_index"))
    _check_lengths(length, start, info, folder)
    columns = {name: table.column(name).to_pylist() for name in table.column_names if "/" in name}
    tasks = table.column("tasks").to_pylist() if "tasks" in table.column_names else [None] * len(number)
    return Episodes(
        info=info,
        length=length,
        start=start,
        prompts=tuple(str(tasks[row][0]) if tasks[row] else "" for row in order),
        columns={name: [values[row] for row in order] for name, values in columns.items()},
    )


def _file_columns(path: Path) -> pa.Table:
    """What of one file is used: not the statistics, which are nearly all of it."""
    whole = read_arrow(path, [EPISODE, "length", "dataset_from_index"])
    known = column_names(path)
    more = [name for name in known if name == "tasks" or name.startswith(("data/", "videos/"))]
    extra = read_arrow(path, more) if more else whole.select([])
    for name in more:
        whole = whole.append_column(name, extra.column(name))
    return whole


def _whole_column(table: pa.Table, name: str, folder: Path) -> Int64[np.ndarray, "M"]:
    column: pa.Array = table.column(name).combine_chunks()
    if column.null_count or not pa.types.is_integer(column.type):
        raise VantageError(
            f"column `{name}` of {folder} must hold a whole number for every episode; {RESTORE}."
        )
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _check_numbers(number: Int64[np.ndarray, "M"], info: Info, folder: Path) -> None:
    """`number` is sorted."""
    twice = np.flatnonzero(np.diff(number) == 0)
    if len(twice):
        raise VantageError(f"{folder} names episode {number[twice[0]]} twice; {RESTORE}.")

    expected = len(number) if info.total_episodes is None else info.total_episodes
    lacking = sorted(set(range(expected)) - set(number.tolist()))
    if lacking:
        raise VantageError(f"{folder} lacks episode {lacking[0]} ({len(number):,} are there); {RESTORE}.")
    if len(number) > expected:
        raise VantageError(
            f"{folder} names episode {number[-1]}, which {info.root / INFO_FILE} does not count; {RESTORE}."
        )


def _check_lengths(
    length: Int64[np.ndarray, "M"], start: Int64[np.ndarray, "M"], info: Info, folder: Path
) -> None:
    empty = np.flatnonzero(length < 1)
    if len(empty):
        raise VantageError(
            f"{folder} gives episode {empty[0]} {length[empty[0]]} frames; "
            f"an episode has at least one, so {RESTORE}."
        )

    wanted = np.cumsum(length) - length
    wrong = np.flatnonzero(start != wanted)
    if len(wrong):
        episode = wrong[0]
        raise VantageError(
            f"{folder} says that episode {episode} begins at frame {start[episode]:,}, and the ones before "
            f"it end at {wanted[episode]:,}; {RESTORE}."
        )
    if info.total_frames is not None and length.sum() != info.total_frames:
        raise VantageError(
            f"the episodes of {folder} have {length.sum():,} frames and info.json counts "
            f"{info.total_frames:,}; {RESTORE}."
        )


def check_episodes(episodes: Episodes, lengths: Int64[np.ndarray, "M"]) -> None:
    """Raise VantageError unless `meta/episodes` gives every episode as many frames as the data files hold."""
    if len(episodes) != len(lengths):
        raise VantageError(
            f"{episodes.folder} names {len(episodes):,} episodes and the data files hold {len(lengths):,}; "
            f"{RESTORE}."
        )

    wrong = np.flatnonzero(episodes.length != lengths)
    if len(wrong):
        episode = wrong[0]
        raise VantageError(
            f"{episodes.folder} gives episode {episode} {episodes.length[episode]:,} frames and the data "
            f"files hold {lengths[episode]:,}; {RESTORE}."
        )


def videos_of(episodes: Episodes, camera: Camera) -> list[Video]:
    """The video files of a camera, and which frame each of their pictures belongs to.

    A picture's position is the number of pictures before it: the sum of the lengths of the episodes before
    its own in the file. The times that meta/episodes gives are only compared, since they add up rounding.
    Raises VantageError where they are off by more than half a frame.
    """
    files: dict[Path, list[int]] = {}
    for episode in range(len(episodes)):
        files.setdefault(episodes.video_file(camera, episode), []).append(episode)
    return [_video(episodes, camera, path, inside_it) for path, inside_it in files.items()]


def _video(episodes: Episodes, camera: Camera, path: Path, numbers: Sequence[int]) -> Video:
    position, first = 0, dict[int, int]()
    for episode in numbers:
        said = episodes.begins(camera, episode) * episodes.info.fps
        if abs(said - position) > 0.5:
            raise VantageError(
                f"episode {episode} begins {said:.1f} frames into {path} by its time stamp in "
                f"meta/episodes, and {position:,} frames by the lengths of the episodes before it; "
                f"{RESTORE}."
            )
        first[episode] = position
        position += int(episodes.length[episode])

    rows = [np.arange(episodes.length[episode]) + episodes.start[episode] for episode in numbers]
    return Video(path=path, rows=np.concatenate(rows), first=first)


def missing_data_files(info: Info) -> list[str]:
    """Data files that `meta/episodes` names and that are not there; empty where meta/episodes cannot say."""
    try:
        episodes = read_episodes(info)
        paths = dict.fromkeys(episodes.data_file(episode) for episode in range(len(episodes)))
    except VantageError:
        return []
    return [str(path.relative_to(info.root)) for path in paths if not path.is_file()]


# ---------------------------------------------------------------------------------------------- tasks.parquet


def read_prompts(info: Info, used: Int64[np.ndarray, "N"]) -> tuple[str, ...]:
    """The prompts of the tasks 0, 1, 2 and so on.

    `used`: task numbers of the frames, all of which must be named.
    """
    path = info.root / TASKS_FILE
    if not path.is_file():
        raise VantageError(f"{path} is missing, and it holds the prompts; {RESTORE}.")

    table = read_arrow(path)
    # LeRobot writes the prompt as the index of a pandas table, which older versions left without a name.
    name = next((name for name in (TASK, "__index_level_0__") if name in table.column_names), None)
    if name is None or TASK_INDEX not in table.column_names:
        raise VantageError(
            f"{path} has the columns {', '.join(table.column_names)} and needs `{TASK_INDEX}` and `{TASK}`; "
            f"{RESTORE}."
        )
    known = dict(zip(table.column(TASK_INDEX).to_pylist(), table.column(name).to_pylist(), strict=True))

    unknown = sorted(set(used.tolist()) - known.keys())
    if unknown or known.keys() != set(range(len(known))):
        raise VantageError(f"{path} does not name task {unknown or sorted(map(str, known))}; {RESTORE}.")
    silent = [task for task, prompt in known.items() if not isinstance(prompt, str)]
    if silent:
        raise VantageError(f"{path} has no words for task {silent[0]}; write its prompt there.")
    return tuple(known[task] for task in range(len(known)))


# ------------------------------------------------------------------------------------------------ fingerprint


def fingerprint(info: Info) -> str:
    """A hex digest over info.json, meta/episodes, and the name and size of every file.

    It differs between two datasets. Contents of data and video files are not read.
    """
    digest = hashlib.sha256((info.root / INFO_FILE).read_bytes())
    for path in visible_files(info.root, EPISODES_FOLDER):
        digest.update(path.read_bytes())
    for folder in (DATA_FOLDER, "videos"):
        for path in sorted((info.root / folder).rglob("*.*")):
            if path.is_file() and not path.name.startswith("."):
                digest.update(f"{path.relative_to(info.root).as_posix()}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()
