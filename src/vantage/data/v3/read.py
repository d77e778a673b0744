"""A LeRobotDataset folder (anybody's) -> every column that is not pixels, as contiguous numpy arrays, checked.

    meta/info.json, meta/tasks.parquet, data/*/*.parquet ──read_table──> Table ──traces──> Trace per episode

The parquet files are read directly (15,000 frames in 0.05 s; importing LeRobot alone takes 11 s). Everything that would make a later stage
silently wrong is one sentence here: missing or mistyped columns, NaN, gaps in the frame index, files that do not agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64

from vantage.data.v3.schema import (
    ACTION,
    ENVIRONMENT_STATE,
    EPISODE,
    FRAME,
    IMAGE_PREFIX,
    INDEX,
    INTERVENTION_ALIASES,
    POLICY_ACTION,
    POLICY_VERSION,
    STATE,
    SUCCESS,
    TIMESTAMP,
)
from vantage.data.v3.video import check_video
from vantage.disk.files import read_json
from vantage.disk.tables import read_arrow
from vantage.types import Trace, VantageError

INFO_FILE = "meta/info.json"
TASKS_FILE = "meta/tasks.parquet"
TASK_INDEX = "task_index"
GAP = 1.5
"""A step in time longer than this many control periods is a cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """N frames of a dataset of M episodes, in LeRobot's order, without pixels."""

    root: Path
    """The dataset's folder."""
    fps: int
    """Control steps per second."""
    cameras: tuple[str, ...]
    """Camera names, in the order of `info.json`."""
    demos: bool
    """Whether the dataset was read as demonstrations."""
    index: Int64[np.ndarray, "N"]
    """0 ... N - 1: LeRobot's absolute frame index, the key of every sidecar."""
    episode_index: Int64[np.ndarray, "N"]
    """0 ... M - 1."""
    frame_index: Int64[np.ndarray, "N"]
    """0 ... T - 1 within the episode."""
    timestamp: Float64[np.ndarray, "N"]
    """Seconds within the episode."""
    state: Float32[np.ndarray, "N S"]
    """`observation.state`."""
    environment_state: Float32[np.ndarray, "N E"] | None
    """`observation.environment_state`, where it was recorded."""
    action: Float32[np.ndarray, "N A"]
    """What was executed."""
    policy_action: Float32[np.ndarray, "N A"] | None
    """What the policy proposed, where it was recorded."""
    intervention: Bool[np.ndarray, "N"]
    """True where a human drove; all True in demonstrations that do not say."""
    policy_version: Int64[np.ndarray, "N"]
    """Actor updates since the supervised checkpoint; where it was not recorded 0, in demonstrations -1."""
    success: Bool[np.ndarray, "N"] | None
    """`next.success`, where it was recorded."""
    cut: Bool[np.ndarray, "N"]
    """True where more than 1.5 control periods passed since the frame before, within an episode."""
    prompt: Int64[np.ndarray, "N"]
    """Which of `prompts` the robot was following."""
    prompts: tuple[str, ...]
    """Every distinct prompt, in the order in which the dataset numbers its tasks."""

    def __len__(self) -> int:
        return len(self.index)

    @property
    def episodes(self) -> int:
        """M."""
        return len(self.starts) - 1

    @property
    def starts(self) -> Int64[np.ndarray, "_"]:
        """First row of every episode, and N: M + 1 values."""
        return np.append(np.flatnonzero(self.frame_index == 0), len(self))

    @property
    def slices(self) -> list[slice]:
        """The rows of every episode."""
        return [slice(int(a), int(b)) for a, b in pairwise(self.starts)]

    def traces(self, outcomes: Sequence[bool | None]) -> list[Trace]:
        """Every episode without its pixels, with the outcome given for it (`outcomes.outcomes_of`)."""
        return [
            Trace(
                intervention=self.intervention[rows],
                policy_version=self.policy_version[rows],
                cut=self.cut[rows],
                outcome=outcome,
                demo=self.demos,
            )
            for rows, outcome in zip(self.slices, outcomes, strict=True)
        ]


def read_info(root: Path) -> dict[str, Any]:
    """Read `meta/info.json`; raise VantageError where the folder is no LeRobotDataset v3."""
    if not (root / INFO_FILE).is_file():
        raise VantageError(f"{root} is not a LeRobotDataset: {INFO_FILE} is missing; give the dataset's own folder.")
    info = read_json(root / INFO_FILE)
    if not isinstance(info, dict) or not {"fps", "features", "codebase_version"} <= info.keys():
        raise VantageError(f"{root / INFO_FILE} lacks fps, features or codebase_version; give a LeRobotDataset of version 3.")
    if not str(info["codebase_version"]).startswith("v3"):
        raise VantageError(f"{root} has LeRobot format {info['codebase_version']}; convert it to v3.0 with LeRobot first.")
    return info


def camera_features(info: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Camera name -> its feature, for the cameras of a dataset; LeRobot's single `observation.image` is the camera `image`."""
    features: Mapping[str, Any] = info["features"]
    pictures = {name: feature for name, feature in features.items() if feature["dtype"] in ("video", "image")}
    return {name.removeprefix(IMAGE_PREFIX).removeprefix("observation."): feature for name, feature in pictures.items()}


def camera_key(info: Mapping[str, Any], camera: str) -> str:
    """The column of a camera."""
    return IMAGE_PREFIX + camera if IMAGE_PREFIX + camera in info["features"] else f"observation.{camera}"


def read_rows(root: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of all data files of a dataset, sorted by `index`."""
    paths = sorted((root / "data").glob("*/*.parquet"))
    if not paths:
        raise VantageError(f"{root} holds no data files; record at least one episode.")
    tables = [read_arrow(path, [*columns]) for path in paths]
    try:
        table = pa.concat_tables(tables, promote_options="default")
    except pa.ArrowException as error:
        raise VantageError(f"the data files of {root} disagree about their columns; record them with one set of features.") from error
    order = table.column(INDEX).to_numpy()
    return table if (np.diff(order) > 0).all() else table.sort_by(INDEX)


def _wide(table: pa.Table, name: str, root: Path) -> Float32[np.ndarray, "N D"]:
    column: pa.Array = table.column(name).combine_chunks()
    flat: pa.Array = column
    while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type) or pa.types.is_large_list(flat.type):
        flat = flat.flatten()
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        raise VantageError(f"column `{name}` of {root} holds {flat.type} where numbers belong; record it as float32.")
    if column.null_count or flat.null_count or len(flat) % len(table) or not len(flat):
        raise VantageError(f"column `{name}` of {root} has empty or uneven rows; every frame needs the same number of values.")
    values = flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(table), -1)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        episode, frame = (table.column(key)[row].as_py() for key in (EPISODE, FRAME))
        raise VantageError(
            f"column `{name}` of {root} is NaN or infinite in {int(bad.sum()):,} frames, first in episode {episode}, frame {frame}; "
            "repair or drop those episodes."
        )
    return values


def _flag(table: pa.Table, name: str, root: Path) -> Bool[np.ndarray, "N"]:
    column: pa.Array = table.column(name).combine_chunks()
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        flat = column.flatten()
        if len(flat) != len(column):
            raise VantageError(f"column `{name}` of {root} has {len(flat):,} values for {len(column):,} frames; it needs one per frame.")
        column = flat
    if not pa.types.is_boolean(column.type):
        raise VantageError(f"column `{name}` of {root} is {column.type} and must be bool; record it as True and False.")
    if column.null_count:
        raise VantageError(
            f"column `{name}` of {root} has {len(column) - column.null_count:,} values for {len(column):,} frames; it needs one per frame."
        )
    return column.to_numpy(zero_copy_only=False).astype(np.bool_)


def _whole(table: pa.Table, name: str, root: Path) -> Int64[np.ndarray, "N"]:
    column: pa.Array = table.column(name).combine_chunks()
    if column.null_count or not pa.types.is_integer(column.type):
        raise VantageError(f"column `{name}` of {root} must hold one whole number per frame, and it is {column.type}.")
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _check_order(index: np.ndarray, episode: np.ndarray, frame: np.ndarray, info: Mapping[str, Any], root: Path) -> None:
    expected = info.get("total_frames")
    if expected is not None and expected != len(index):
        raise VantageError(f"{root} holds {len(index):,} frames and its info.json says {expected:,}; frames are missing, record it again.")
    opens = np.append(True, np.diff(episode) != 0)
    wanted = np.arange(len(index)) - np.maximum.accumulate(np.where(opens, np.arange(len(index)), 0))
    wrong = frame != wanted
    if wrong.any():
        row = int(wrong.argmax())
        raise VantageError(
            f"episode {episode[row]} of {root} has a gap in its frame index: frame {frame[row]} stands where {wanted[row]} belongs; "
            "record the episode again or drop it."
        )
    if (index != np.arange(len(index))).any():
        row = int((index != np.arange(len(index))).argmax())
        raise VantageError(f"{root} has a gap in its frame index: `index` is {index[row]} where {row} belongs; record the dataset again.")
    if (episode != np.cumsum(opens) - 1).any():
        row = int((episode != np.cumsum(opens) - 1).argmax())
        raise VantageError(
            f"{root} jumps to episode {episode[row]} after {episode[row - 1] if row else 'nothing'}; number them 0, 1, 2 ..."
        )


def _prompts(root: Path, used: Int64[np.ndarray, "N"]) -> tuple[str, ...]:
    tasks = read_arrow(root / TASKS_FILE)
    name = "task" if "task" in tasks.column_names else "__index_level_0__"
    known = dict(zip(tasks.column(TASK_INDEX).to_pylist(), tasks.column(name).to_pylist(), strict=True))
    unknown = sorted(set(used.tolist()) - known.keys())
    if unknown or known.keys() != set(range(len(known))):
        raise VantageError(f"{root / TASKS_FILE} does not name task {unknown or sorted(known)}; restore it or record the dataset again.")
    return tuple(str(known[task]) for task in range(len(known)))


def check_videos(root: Path) -> None:
    """Raise VantageError unless every video file of the dataset is there, opens and is long enough; decodes nothing."""
    info = read_info(root)
    keys = [camera_key(info, camera) for camera, feature in camera_features(info).items() if feature["dtype"] == "video"]
    for key in keys:
        for path, rows in video_files(root, info, key).items():
            check_video(path, max(position for position, _ in rows.values()))


def video_files(root: Path, info: Mapping[str, Any], key: str) -> dict[Path, dict[int, tuple[int, int]]]:
    """File -> {episode: (one past its last position in the file, its first position)} for one camera's videos."""
    found: dict[Path, dict[int, tuple[int, int]]] = {}
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        names = [f"videos/{key}/{part}" for part in ("chunk_index", "file_index", "from_timestamp")]
        table = read_arrow(path, [EPISODE, "length", *names])
        for episode, length, chunk, file, begin in zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True):
            video = root / str(info["video_path"]).format(video_key=key, chunk_index=chunk, file_index=file)
            first = round(begin * info["fps"])
            found.setdefault(video, {})[episode] = (first + length, first)
    return found


def read_table(root: Path, demos: bool = False) -> Table:
    """Read and check a LeRobotDataset.

    `demos=True` reads demonstrations: `intervention` may be absent (everybody drove by hand) and `policy_version` is then -1.
    Raises VantageError for: no dataset, an empty one, truncated files, missing or mistyped columns, NaN or infinite states or actions, gaps
    in the frame index, videos that are missing, cut short or shorter than their episodes.
    """
    info = read_info(root)
    features: Mapping[str, Any] = info["features"]
    if not info.get("total_frames", 1):
        raise VantageError(f"{root} is an empty dataset; record at least one episode.")
    needed = [STATE, ACTION, INDEX, EPISODE, FRAME, TIMESTAMP, TASK_INDEX]
    missing = [name for name in needed if name not in features]
    if missing:
        raise VantageError(f"{root} has no column {', '.join(f'`{name}`' for name in missing)}; record it with them.")
    driver = next((name for name in INTERVENTION_ALIASES if name in features), None)
    if driver is None and not demos:
        raise VantageError(f"{root} has no column `intervention`; record who drove, or read it as demonstrations (--demos).")
    optional = [name for name in (ENVIRONMENT_STATE, POLICY_ACTION, POLICY_VERSION, SUCCESS) if name in features]
    table = read_rows(root, [*needed, *optional, *([driver] if driver else [])])
    if not len(table):
        raise VantageError(f"{root} is an empty dataset; record at least one episode.")

    index, episode, frame = (_whole(table, name, root) for name in (INDEX, EPISODE, FRAME))
    _check_order(index, episode, frame, info, root)
    prompt = _whole(table, TASK_INDEX, root)
    timestamp = np.asarray(table.column(TIMESTAMP).to_numpy(), np.float64)
    elapsed = np.diff(timestamp, prepend=timestamp[:1])
    check_videos(root)
    fps = int(info["fps"])
    return Table(
        root=root,
        fps=fps,
        cameras=tuple(camera_features(info)),
        demos=demos,
        index=index,
        episode_index=episode,
        frame_index=frame,
        timestamp=timestamp,
        state=_wide(table, STATE, root),
        environment_state=_wide(table, ENVIRONMENT_STATE, root) if ENVIRONMENT_STATE in optional else None,
        action=_wide(table, ACTION, root),
        policy_action=_wide(table, POLICY_ACTION, root) if POLICY_ACTION in optional else None,
        intervention=_flag(table, driver, root) if driver else np.ones(len(table), np.bool_),
        policy_version=_whole(table, POLICY_VERSION, root) if POLICY_VERSION in optional else np.full(len(table), -1 if demos else 0),
        success=_flag(table, SUCCESS, root) if SUCCESS in optional else None,
        cut=(frame > 0) & ((elapsed > GAP / fps) | (elapsed <= 0)),
        prompt=prompt,
        prompts=_prompts(root, prompt),
    )
