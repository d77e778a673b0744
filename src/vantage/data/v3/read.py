"""A LeRobotDataset folder (anybody's) -> every column that is not pixels, checked, as contiguous arrays.

    meta/ ──meta──┐
    data/*/*.parquet ──read_table──> Table ──traces──> Trace per episode

The parquet files are read directly (15,000 frames in 0.05 s; importing LeRobot alone takes 11 s). Everything
that would make a later stage silently wrong raises one sentence: missing or mistyped columns, NaN, gaps in
the frame index, files that do not agree.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64

from vantage.data.v3.clock import cuts_in_time, seconds
from vantage.data.v3.columns import flags, rewarded, vectors, whole_numbers
from vantage.data.v3.meta import (
    DATA_FOLDER,
    VIEW_FILE,
    Info,
    check_episodes,
    missing_data_files,
    read_episodes,
    read_info,
    read_prompts,
    videos_of,
)
from vantage.data.v3.paths import visible_files
from vantage.data.v3.schema import (
    ACTION,
    ENVIRONMENT_STATE,
    EPISODE,
    FRAME,
    INDEX,
    INTERVENTION_ALIASES,
    POLICY_ACTION,
    POLICY_VERSION,
    REWARD,
    STATE,
    SUCCESS_ALIASES,
    TASK_INDEX,
    TIMESTAMP,
)
from vantage.data.v3.video import check_video
from vantage.disk.tables import read_arrow
from vantage.types import Reading, Trace, VantageError

LIKELY = {
    STATE: ("state", "observation.qpos", "qpos", "proprio", "observation.proprio", "observation/state"),
    ACTION: ("actions", "action.joint", "action_joint", "observation.action"),
    TIMESTAMP: ("timestamps", "time"),
    TASK_INDEX: ("task_id",),
}
"""What openpi's, RLinf's and LIBERO's converters call the columns that must be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """N frames of a dataset of M episodes, in LeRobot's order, without pixels."""

    root: Path
    """The dataset's folder."""
    fps: float
    """Control steps per second; a whole number is an int."""
    cameras: tuple[str, ...]
    """Camera names, in the order of `info.json`, without depth cameras."""
    demo: Bool[np.ndarray, "M"]
    """Which episodes were read as demonstrations."""
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
    """True where a human drove; all True in demonstrations."""
    policy_version: Int64[np.ndarray, "N"]
    """Actor updates since the supervised checkpoint; where it was not recorded 0, in demonstrations -1."""
    success: Bool[np.ndarray, "N"] | None
    """`next.success` (or another of its names), where it was recorded."""
    rewarded: Bool[np.ndarray, "N"] | None = None
    """Where `next.reward` is above 0, where it was recorded."""
    cut: Bool[np.ndarray, "N"]
    """True where frames are missing before this one: time jumped by more than 1.5 control periods, or
    backwards, and stayed there."""
    prompt: Int64[np.ndarray, "N"]
    """Which of `prompts` the robot was following."""
    prompts: tuple[str, ...]
    """Every distinct prompt, in the order in which the dataset numbers its tasks."""
    state_names: tuple[str, ...] | None = None
    """Names of the state's dimensions, where info.json gives one to each."""
    action_names: tuple[str, ...] | None = None
    """Names of the action's dimensions, where info.json gives one to each."""

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

    def trace(self, rows: slice, outcome: bool | None) -> Trace:
        """Neighbouring frames of one episode without their pixels, and how they ended."""
        return Trace(
            intervention=self.intervention[rows],
            policy_version=self.policy_version[rows],
            cut=self.cut[rows],
            outcome=outcome,
            demo=bool(self.demo[self.episode_index[rows.start]]),
        )


def read_rows(info: Info, columns: Sequence[str]) -> pa.Table:
    """Some columns of all data files of a dataset, sorted by `index`.

    Raises VantageError for none, damaged or foreign ones.
    """
    paths = visible_files(info.root, DATA_FOLDER)
    if not paths:
        raise VantageError(f"{info.root} holds no data files; record at least one episode.")

    tables = [read_arrow(path, [*columns]) for path in paths]
    try:
        # Converters write float64 into one file and float32 into the next.
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise VantageError(
            f"the data files of {info.root} disagree about their columns; "
            "record them with one set of features."
        ) from error

    order = whole_numbers(table, INDEX, info.root)
    return table if (np.diff(order) > 0).all() else table.sort_by(INDEX)


def read_table(
    root: Path,
    demos: bool | Collection[int] = False,
    reading: Reading = Reading(),
    *,
    videos: bool = True,
) -> Table:
    """Read and check a LeRobotDataset.

    `demos`: which episodes are demonstrations, all of them, none, or those with these numbers. A person drove
    a demonstration throughout, whatever the recording says, and its `policy_version` is -1. `reading`: how
    the others say who drove. Raises VantageError for: no dataset, an empty one, truncated files, missing or
    mistyped columns, NaN or infinite states or actions, gaps in the frame index, clocks that tell no time,
    and for cameras that are videos: a `meta/episodes` that does not describe the data, and videos that are
    missing, cut short or shorter than their episodes. `videos=False` leaves the latter to somebody else.
    """
    refuse_view(root)
    info = read_info(root)
    missing_columns(info)
    driver = driver_column(info, demos is True, reading)
    needed = [STATE, ACTION, INDEX, EPISODE, FRAME, TIMESTAMP, TASK_INDEX]
    optional = [
        name for name in (ENVIRONMENT_STATE, POLICY_ACTION, POLICY_VERSION, REWARD) if name in info.features
    ]
    succeeded = next((name for name in SUCCESS_ALIASES if name in info.features), None)
    optional += [succeeded] if succeeded else []
    table = read_rows(info, [*needed, *optional, *([driver] if driver else [])])
    if not len(table):
        raise VantageError(f"{root} is an empty dataset; record at least one episode.")

    index, episode, frame = (whole_numbers(table, name, root) for name in (INDEX, EPISODE, FRAME))
    check_count(len(index), info)
    check_frames(episode, frame, root)
    check_indices(index, episode, root)
    if videos:
        check_videos(info, np.bincount(episode))
    timestamp = seconds(table, info)
    prompt = whole_numbers(table, TASK_INDEX, root)

    demo = demonstrations(demos, int(episode[-1]) + 1, root)
    intervention = flags(table, driver, root) if driver else np.full(len(table), reading.driver == "human")
    version = np.zeros(len(table), np.int64)
    if POLICY_VERSION in optional:
        version = whole_numbers(table, POLICY_VERSION, root)
    return Table(
        root=root,
        fps=info.fps,
        cameras=tuple(info.cameras),
        demo=demo,
        index=index,
        episode_index=episode,
        frame_index=frame,
        timestamp=timestamp,
        state=vectors(table, STATE, info),
        environment_state=vectors(table, ENVIRONMENT_STATE, info) if ENVIRONMENT_STATE in optional else None,
        action=vectors(table, ACTION, info),
        policy_action=vectors(table, POLICY_ACTION, info) if POLICY_ACTION in optional else None,
        intervention=intervention | demo[episode],
        policy_version=np.where(demo[episode], -1, version),
        success=flags(table, succeeded, root) if succeeded else None,
        rewarded=rewarded(table) if REWARD in optional else None,
        cut=cuts_in_time(timestamp, frame, info.fps),
        prompt=prompt,
        prompts=read_prompts(info, prompt),
        state_names=info.features[STATE].names,
        action_names=info.features[ACTION].names,
    )


def refuse_view(root: Path) -> None:
    """Raise VantageError for what `vantage weights --view` wrote: the same frames stand in its sources."""
    if (root / VIEW_FILE).exists():
        raise VantageError(
            f"{root} is a view of other data sets, which `vantage weights --view` wrote for lerobot-train; "
            "name the recordings themselves"
        )


def demonstrations(demos: bool | Collection[int], episodes: int, root: Path) -> Bool[np.ndarray, "M"]:
    """Which of the episodes are demonstrations. Raises VantageError for a number that no episode has."""
    if isinstance(demos, bool):
        return np.full(episodes, demos)
    strange = [number for number in demos if not 0 <= number < episodes]
    if strange:
        known = f"{episodes:,} (0 to {episodes - 1})"
        raise VantageError(
            f"there is no episode {strange[0]} to be a demonstration: {root} has {known}; correct --demos."
        )

    demo = np.zeros(episodes, np.bool_)
    demo[[*demos]] = True
    return demo


def check_videos(info: Info, lengths: Int64[np.ndarray, "M"]) -> None:
    """Raise VantageError unless meta/episodes describes the data and every video file is whole.

    A whole file opens and is long enough. `lengths`: frames per episode, by the data files. Decodes nothing;
    a dataset without videos needs no meta/episodes.
    """
    cameras = [camera for camera in info.cameras.values() if camera.is_video]
    if not cameras:
        return

    episodes = read_episodes(info)
    check_episodes(episodes, lengths)
    for camera in cameras:
        for video in videos_of(episodes, camera):
            check_video(video.path, len(video.rows), video.first)


def missing_columns(info: Info) -> None:
    """Raise VantageError for columns that info.json does not describe, naming those that may be meant."""
    root, known = info.root, info.features
    if not (1 if info.total_frames is None else info.total_frames):
        raise VantageError(f"{root} is an empty dataset; record at least one episode.")
    missing = [
        name for name in (STATE, ACTION, INDEX, EPISODE, FRAME, TIMESTAMP, TASK_INDEX) if name not in known
    ]
    if not missing:
        return

    named = ", ".join(f"`{name}`" for name in missing)
    likely = {name: [alias for alias in LIKELY.get(name, ()) if alias in known] for name in missing}
    guesses = ", ".join(f"`{aliases[0]}` may be `{name}`" for name, aliases in likely.items() if aliases)
    remedy = f"{guesses}: rename it in info.json and in the data files" if guesses else "record it with them"
    raise VantageError(f"{root} has no column {named}; {remedy}.")


def driver_column(info: Info, all_demos: bool, reading: Reading) -> str | None:
    """The name of the column that says who drove; None where nobody says, or where `reading` says it for all.

    Raises VantageError where somebody must say.
    """
    root = info.root
    if reading.driver != "recorded":
        return None
    if reading.intervention_column is not None and reading.intervention_column not in info.features:
        raise VantageError(
            f"{root} has no column `{reading.intervention_column}`; it has {', '.join(info.features)}."
        )

    known = INTERVENTION_ALIASES if reading.intervention_column is None else (reading.intervention_column,)
    driver = next((name for name in known if name in info.features), None)
    if driver is None and not all_demos:
        raise VantageError(
            f"{root} has no column `intervention`, which says who drove; if the policy drove alone, read it "
            "with --driver policy; if another column says it, name that with --intervention-column; "
            "only demonstrations are read with --demos."
        )
    return driver


def check_frames(episode: Int64[np.ndarray, "N"], frame: Int64[np.ndarray, "N"], root: Path) -> None:
    """Raise VantageError unless the frames of every episode are numbered 0, 1, 2 ..."""
    opens = np.append(True, np.diff(episode) != 0)
    wanted = np.arange(len(frame)) - np.maximum.accumulate(np.where(opens, np.arange(len(frame)), 0))
    wrong = frame != wanted
    if wrong.any():
        row = int(wrong.argmax())
        raise VantageError(
            f"episode {episode[row]} of {root} has a gap in its frame index: frame {frame[row]} stands "
            f"where {wanted[row]} belongs; restore the episode, or delete it with `lerobot-edit-dataset`."
        )


def check_indices(index: Int64[np.ndarray, "N"], episode: Int64[np.ndarray, "N"], root: Path) -> None:
    """Raise VantageError unless frames and episodes are numbered 0, 1, 2 ..."""
    wrong = index != np.arange(len(index))
    if wrong.all() and (np.diff(index) == 1).all():
        raise VantageError(
            f"{root} begins at frame {index[0]:,} of episode {episode[0]}: it is a part of a dataset; cut "
            "it out of the whole one with `lerobot-edit-dataset --operation.type=split` (or "
            "delete_episodes), which numbers frames and episodes again."
        )
    if wrong.any():
        row = int(wrong.argmax())
        raise VantageError(
            f"{root} has a gap in its frame index: `index` is {index[row]} where {row} belongs; "
            "fetch the dataset again, all of it."
        )

    opens = np.append(True, np.diff(episode) != 0)
    wrong = episode != np.cumsum(opens) - 1
    if wrong.any():
        row = int(wrong.argmax())
        raise VantageError(
            f"{root} jumps to episode {episode[row]} after {episode[row - 1] if row else 'nothing'}; "
            "number them 0, 1, 2 ..."
        )


def check_count(frames: int, info: Info) -> None:
    """Raise VantageError unless there are as many frames as info.json says."""
    if info.total_frames is None or info.total_frames == frames:
        return
    missing = missing_data_files(info)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise VantageError(
            f"{info.root} is an incomplete download: it lacks {missing[0]}{more}; "
            "fetch the dataset again, all of it."
        )

    raise VantageError(
        f"{info.root} holds {frames:,} frames and its info.json says {info.total_frames:,}; "
        "frames are missing, fetch or record it again."
    )
