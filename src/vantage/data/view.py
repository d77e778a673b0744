"""Labelled data sets and their ledger -> one LeRobotDataset in which lerobot-train finds the windows that
Vantage draws.

    rounds, end to end    | demonstrations | P P P H H P P | ...       segments: who drove, without a gap
    episodes of the view  | 0              |       1   2   | ...       those that hold a window to draw
    meta/vantage_weights.parquet: the ledger of these frames, by the view's own index

A window of LeRobot's ends where its episode ends, so a segment that is an episode is cut where Vantage cuts:
at hand-overs, at gaps in time, where an attempt ends. What is never drawn (failed rollouts, for most rules)
is not there. Pictures are not encoded anew: videos are hard links, or copies where a link cannot be.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64, Int64, Shaped

from vantage.core.windows import first_of_segment
from vantage.data.experience import Experience
from vantage.data.fingerprints import fingerprints
from vantage.data.sidecars import AnyLength
from vantage.data.v3.meta import (
    DATA_FILE,
    INFO_FILE,
    TASKS_FILE,
    VIDEO_FILE,
    VIEW_FILE,
    Camera,
    Episodes,
    Info,
    read_episodes,
    read_info,
    stored_feature,
)
from vantage.data.v3.paths import fill_in
from vantage.data.v3.pictures import stored_pictures
from vantage.data.v3.schema import (
    ACTION,
    ENVIRONMENT_STATE,
    EPISODE,
    FINGERPRINT,
    FRAME,
    INDEX,
    ROUND,
    STATE,
    TASK_INDEX,
    TIMESTAMP,
    WEIGHT_COLUMNS,
)
from vantage.data.v3.statistics import Statistics, column_statistics
from vantage.data.v3.write import EPISODES_FILE, STATS_FILE, arrow_column, write_tasks
from vantage.disk.files import read_json, whole_folder, write_json
from vantage.disk.tables import write_parquet
from vantage.types import Route, VantageError

WEIGHTS_FILE = VIEW_FILE
"""The view's own ledger: 4-weights.parquet's columns, and whose frame each one is (`source`,
`source_index`)."""
Columns = dict[str, Shaped[np.ndarray, "K ..."]]
CHUNK = 1000
"""Video files in a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a view holds, and what is drawn from it."""

    episodes: int
    frames: int
    demo_evenly: float
    """Share of demonstrations where every frame is drawn as often, as lerobot-train does by itself."""
    idle_evenly: float
    """Share of windows that weigh nothing, drawn so."""
    demo_drawn: float
    """Share of demonstrations as Vantage draws."""

    def describe(self) -> str:
        """All of it, in a sentence."""
        return (
            f"{self.frames:,} frames in {self.episodes:,} episodes, one for every stretch under one driver; "
            f"lerobot-train's own draw takes {self.demo_evenly:.0%} demonstrations and "
            f"{self.idle_evenly:.0%} windows that weigh nothing, the plugin's {self.demo_drawn:.0%} and none"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """One episode of the view: neighbouring rows of the experience, all of one source's episode."""

    rows: slice
    source: int
    episode: int
    """Its number in the source."""
    frame: int
    """Of its first row, within that episode."""

    @property
    def length(self) -> int:
        return self.rows.stop - self.rows.start


def write_view(experience: Experience, ledger: Mapping[str, AnyLength], out: Path) -> View:
    """Write the view of some labelled data sets to the folder `out`; one that stands there is replaced.

    `ledger`: the columns of 4-weights.parquet, row by row as the experience. Raises VantageError for data
    sets whose pictures cannot lie in one, and for a full disk.
    """
    segments = list(_segments(experience, ledger["sampling"]))
    rows = np.concatenate([np.arange(one.rows.start, one.rows.stop) for one in segments])
    columns = _columns(experience, segments, rows)

    infos = [read_info(source.episodes) for source in experience.sources]
    cameras = _shared_cameras(infos)
    episodes = [read_episodes(info) for info in infos] if cameras else []

    with whole_folder(out) as folder:
        _write_data(folder, segments, columns, cameras, episodes)
        videos = _link_videos(folder, segments, cameras, episodes)
        _write_meta(folder, experience, segments, columns, infos, cameras, videos)
        _write_weights(folder / WEIGHTS_FILE, experience, ledger, rows, columns)

    demo = ledger["route"][rows] == Route.DEMO
    idle = ledger["sampling"][rows] * ledger["weight"][rows] == 0
    return View(
        episodes=len(segments),
        frames=len(rows),
        demo_evenly=float(demo.mean()),
        idle_evenly=float(idle.mean()),
        demo_drawn=float(ledger["sampling"][rows][demo].sum()),
    )


def _segments(experience: Experience, sampling: Float64[np.ndarray, "N"]) -> Iterator[_Segment]:
    """The segments that hold a window to draw, in order."""
    ends = np.unique(experience.segment_end[sampling > 0])
    starts = first_of_segment(experience.segment_end, ends)
    lengths = np.array([len(table) for table in experience.tables])
    begins = np.cumsum(lengths) - lengths
    sources = np.searchsorted(begins, starts, side="right") - 1

    for start, end, source in zip(starts.tolist(), ends.tolist(), sources.tolist(), strict=True):
        table, own = experience.tables[source], start - int(begins[source])
        yield _Segment(
            rows=slice(start, end + 1),
            source=source,
            episode=int(table.episode_index[own]),
            frame=int(table.frame_index[own]),
        )


def _columns(experience: Experience, segments: Sequence[_Segment], rows: Int64[np.ndarray, "K"]) -> Columns:
    """The view's columns, without pictures. Time begins with the segment."""
    lengths = np.array([segment.length for segment in segments])
    frame = np.concatenate([np.arange(length) for length in lengths.tolist()])
    columns: dict[str, Any] = {
        STATE: experience.state,
        ENVIRONMENT_STATE: experience.environment_state,
        ACTION: experience.action,
        TASK_INDEX: experience.prompt,
    }
    taken = {name: column[rows] for name, column in columns.items() if column is not None}
    return taken | {
        TIMESTAMP: (frame / experience.tables[0].fps).astype(np.float32),
        FRAME: frame,
        EPISODE: np.repeat(np.arange(len(segments)), lengths),
        INDEX: np.arange(len(rows)),
    }


def _shared_cameras(infos: Sequence[Info]) -> dict[str, tuple[Camera, ...]]:
    """Column -> the camera in every data set, for those that all of them have.

    Raises VantageError where they differ in size, or in how they are stored: a data set has one of each.
    """
    first, *others = infos
    shared: dict[str, tuple[Camera, ...]] = {}
    for name, camera in first.cameras.items():
        if not all(name in info.cameras for info in others):
            continue
        shape = first.features[camera.column].shape
        for info in others:
            other = info.cameras[name]
            theirs = info.features[other.column].shape
            if (other.column, other.is_video, theirs) != (camera.column, camera.is_video, shape):
                raise VantageError(
                    f"camera {name} is {_in_words(camera, shape)} in {first.root} and "
                    f"{_in_words(other, theirs)} in {info.root}, and one data set cannot hold both; make "
                    "them alike with lerobot-edit-dataset, or train with `vantage finetune`, which takes both"
                )
        shared[camera.column] = tuple(info.cameras[name] for info in infos)
    return shared


def _in_words(camera: Camera, shape: tuple[int, ...]) -> str:
    kind = "video" if camera.is_video else "pictures"
    return f"`{camera.column}`, {kind} of {' x '.join(str(side) for side in shape)}"


def _data_file(folder: Path) -> Path:
    return folder / fill_in(DATA_FILE, {"chunk_index": 0, "file_index": 0})


def _write_data(
    folder: Path,
    segments: Sequence[_Segment],
    columns: Columns,
    cameras: Mapping[str, tuple[Camera, ...]],
    episodes: Sequence[Episodes],
) -> None:
    """The data file: a row group for every segment, as LeRobot writes it; at most one episode's pictures are
    in memory."""
    stored = {column: each for column, each in cameras.items() if not each[0].is_video}
    kept: dict[str, list[bytes]] = {}
    of: tuple[int, int] | None = None

    with ExitStack() as opened:
        _data_file(folder).parent.mkdir(parents=True)
        sink = opened.enter_context(_data_file(folder).open("wb"))
        writer: pq.ParquetWriter | None = None
        for number, segment in enumerate(segments):
            own = columns[EPISODE] == number
            rows = {name: arrow_column(column[own]) for name, column in columns.items()}
            if stored and of != (segment.source, segment.episode):
                of = (segment.source, segment.episode)
                kept = {
                    column: stored_pictures(episodes[segment.source], segment.episode, each[segment.source])
                    for column, each in stored.items()
                }
            for column, pictures in kept.items():
                cells = pictures[segment.frame : segment.frame + segment.length]
                rows[column] = pa.array([{"bytes": cell, "path": None} for cell in cells])

            table = pa.table(rows)
            if writer is None:
                writer = opened.enter_context(pq.ParquetWriter(sink, table.schema))
            writer.write_table(table)


def _link_videos(
    folder: Path,
    segments: Sequence[_Segment],
    cameras: Mapping[str, tuple[Camera, ...]],
    episodes: Sequence[Episodes],
) -> list[dict[str, Any]]:
    """Put every video that is needed into the view; returns what meta/episodes says of each segment."""
    placed: dict[tuple[str, Path], tuple[int, int]] = {}
    described: list[dict[str, Any]] = [{} for _ in segments]
    for column, each in cameras.items():
        if not each[0].is_video:
            continue
        for segment, row in zip(segments, described, strict=True):
            of, camera = episodes[segment.source], each[segment.source]
            original = of.video_file(camera, segment.episode)
            if (column, original) not in placed:
                place = divmod(sum(name == column for name, _ in placed), CHUNK)
                placed[column, original] = place
                values = {"video_key": column, "chunk_index": place[0], "file_index": place[1]}
                _link(original.resolve(), folder / fill_in(VIDEO_FILE, values))

            chunk, file = placed[column, original]
            begins = of.begins(camera, segment.episode) + segment.frame / of.info.fps
            row |= {f"videos/{column}/chunk_index": chunk, f"videos/{column}/file_index": file}
            row |= {
                f"videos/{column}/from_timestamp": begins,
                f"videos/{column}/to_timestamp": begins + segment.length / of.info.fps,
            }
    return described


def _link(original: Path, place: Path) -> None:
    """The same file under a second name, or a copy where the disk is another one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(original, place)
    except OSError:
        shutil.copyfile(original, place)


def _write_meta(
    folder: Path,
    experience: Experience,
    segments: Sequence[_Segment],
    columns: Columns,
    infos: Sequence[Info],
    cameras: Mapping[str, tuple[Camera, ...]],
    videos: Sequence[dict[str, Any]],
) -> None:
    """`meta/`: info.json, tasks, episodes, statistics of what is there."""
    starts = np.append(0, np.cumsum([segment.length for segment in segments])).tolist()
    described: list[dict[str, Any]] = []
    for number, video in enumerate(videos):
        start, stop = starts[number : number + 2]
        own = {name: column[start:stop] for name, column in columns.items()}
        statistics = {
            f"stats/{name}/{key}": value
            for name, values in column_statistics(own).items()
            for key, value in values.items()
        }
        tasks = [experience.prompts[task] for task in dict.fromkeys(own[TASK_INDEX].tolist())]
        described.append(
            {
                EPISODE: number,
                "tasks": tasks,
                "length": stop - start,
                "data/chunk_index": 0,
                "data/file_index": 0,
                "dataset_from_index": start,
                "dataset_to_index": stop,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                **video,
                **statistics,
            }
        )
    (folder / EPISODES_FILE).parent.mkdir(parents=True)
    with (folder / EPISODES_FILE).open("wb") as file:
        pq.write_table(pa.Table.from_pylist(described), file)
    write_tasks(folder / TASKS_FILE, experience.prompts)

    pictures = {
        column: _pooled(infos, column, [segment.length for segment in segments], segments)
        for column in cameras
    }
    write_json(folder / STATS_FILE, column_statistics(columns) | pictures)

    info = infos[0]
    numbers: dict[str, Any] = {
        name: {"dtype": str(column.dtype), "shape": list(column.shape[1:]) or [1], "names": None}
        for name, column in columns.items()
    }
    for name, known in (
        (STATE, experience.tables[0].state_names),
        (ACTION, experience.tables[0].action_names),
    ):
        numbers[name]["names"] = None if known is None else list(known)
    has_videos = any(each[0].is_video for each in cameras.values())
    write_json(
        folder / INFO_FILE,
        {
            "codebase_version": "v3.0",
            "fps": info.fps,
            "features": {column: stored_feature(info, column) for column in cameras} | numbers,
            "total_episodes": len(segments),
            "total_frames": starts[-1],
            "total_tasks": len(experience.prompts),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "data_path": DATA_FILE,
            "video_path": VIDEO_FILE if has_videos else None,
            "robot_type": info.robot_type,
            "splits": {"train": f"0:{len(segments)}"},
        },
    )


def _pooled(
    infos: Sequence[Info], column: str, lengths: Sequence[int], segments: Sequence[_Segment]
) -> Statistics:
    """A camera's statistics over all data sets, by how many frames of each are kept: those that they state
    themselves, as LeRobot pools them in a merge (its quantiles are means of quantiles).

    Raises VantageError where a data set states none.
    """
    frames = np.bincount([segment.source for segment in segments], weights=lengths, minlength=len(infos))
    stated: list[dict[str, Any]] = []
    for info in infos:
        path = info.root / STATS_FILE
        statistics = read_json(path).get(column) if path.is_file() else None
        if not isinstance(statistics, dict):
            raise VantageError(
                f"{path} says nothing about `{column}`, which lerobot-train scales by it; make it with "
                f"lerobot-edit-dataset --root {info.root} --operation.type recompute_stats"
            )
        stated.append(statistics)

    share = (frames / frames.sum())[:, None, None, None]

    def values(name: str) -> Float64[np.ndarray, "K 3 1 1"]:
        return np.array([one[name] for one in stated], np.float64)

    mean = (share * values("mean")).sum(0)
    variance = (share * (values("std") ** 2 + (values("mean") - mean) ** 2)).sum(0)
    pooled = {
        "min": values("min").min(0),
        "max": values("max").max(0),
        "mean": mean,
        "std": np.sqrt(variance),
    }
    common = set.intersection(*(set(one) for one in stated))
    for name in sorted(name for name in common if name.startswith("q")):
        pooled[name] = (share * values(name)).sum(0)
    counts = [int(np.sum(one.get("count", 0))) for one in stated]
    return {name: value.tolist() for name, value in pooled.items()} | {"count": [sum(counts)]}


def _write_weights(
    path: Path,
    experience: Experience,
    ledger: Mapping[str, AnyLength],
    rows: Int64[np.ndarray, "K"],
    columns: Columns,
) -> None:
    """The ledger of the frames that are here, by their index here."""
    starts = np.append(np.flatnonzero(columns[FRAME] == 0), len(rows))
    contents = fingerprints(columns[ACTION], columns[STATE], starts)
    written = {name: ledger[name][rows] for name in WEIGHT_COLUMNS}
    written |= {
        ROUND: np.zeros(len(rows), np.int64),
        INDEX: columns[INDEX],
        FINGERPRINT: contents[columns[EPISODE]],
        "source": experience.round[rows],
        "source_index": experience.index[rows],
    }
    nullable = ("z_v", "p_v", "v_e", "a_v", "a_e", "g", "v_parent", "a_parent")
    write_parquet(path, written, nullable=nullable)
