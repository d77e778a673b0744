"""A journal of episodes -> one LeRobotDataset v3 folder, whole or absent, that stock LeRobot opens.

The files are written directly (the format is public and small): LeRobot's recorder costs 50 s where this
costs 5 (22,000 frames, two 96-px cameras, one core), and importing it costs 11 s more. A test opens the
result with stock LeRobot and compares every column. Nothing in the folder depends on the time of day or on
the machine. docs/data.md lists every file and column.
"""

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Shaped, UInt8
from PIL import Image

from vantage.data.episodes import Episode, load_episode
from vantage.data.v3.meta import DATA_FILE, INFO_FILE, TASKS_FILE, VIDEO_FILE
from vantage.data.v3.paths import fill_in
from vantage.data.v3.schema import (
    ACTION,
    DONE,
    ENVIRONMENT_STATE,
    EPISODE,
    FRAME,
    IMAGE_PREFIX,
    INDEX,
    INTERVENTION,
    POLICY_ACTION,
    POLICY_VERSION,
    STATE,
    SUCCESS,
    TASK_INDEX,
    TIMESTAMP,
)
from vantage.data.v3.statistics import colour_histogram, column_statistics, picture_statistics
from vantage.data.v3.video import VideoWriter, video_info
from vantage.disk.files import whole_folder, write_json
from vantage.disk.tables import write_parquet
from vantage.types import VantageError

EPISODES_FILE = "meta/episodes/chunk-000/file-000.parquet"
STATS_FILE = "meta/stats.json"
OURS_FILE = "meta/vantage_episodes.parquet"

Columns = dict[str, Shaped[np.ndarray, "T *D"]]


def _columns(episode: Episode, number: int, start: int, task_index: int, fps: float) -> Columns:
    frames = np.arange(len(episode))
    columns: dict[str, np.ndarray | None] = {
        STATE: episode.state,
        ENVIRONMENT_STATE: episode.environment_state,
        ACTION: episode.action,
        POLICY_ACTION: episode.policy_action,
        INTERVENTION: episode.intervention,
        POLICY_VERSION: episode.policy_version,
        SUCCESS: episode.success,
        DONE: episode.done,
        TIMESTAMP: (frames / fps).astype(np.float32),
        FRAME: frames,
        EPISODE: np.full(len(episode), number),
        INDEX: start + frames,
        TASK_INDEX: np.full(len(episode), task_index),
    }

    return {name: column for name, column in columns.items() if column is not None}


def _png(picture: UInt8[np.ndarray, "_h _w 3"]) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return {"bytes": buffer.getvalue(), "path": None}


def arrow_column(column: Shaped[np.ndarray, "T *D"]) -> pa.Array:
    """A column as the data files hold it."""
    # LeRobot stores a one-dimensional feature as a scalar, a wider one as a list of fixed length.
    if column.ndim == 1 or column.shape[1] == 1:
        return pa.array(column.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(column).reshape(-1)), column.shape[1]
    )


def _features(
    columns: Columns, sizes: Mapping[str, tuple[int, int]], fps: float, as_video: bool
) -> dict[str, Any]:
    numbers = {
        name: {"dtype": str(column.dtype), "shape": list(column.shape[1:]) or [1], "names": None}
        for name, column in columns.items()
    }

    pictures: dict[str, Any] = {}
    for camera, (height, width) in sizes.items():
        feature: dict[str, Any] = {
            "dtype": "video" if as_video else "image",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        }
        if as_video:
            feature["info"] = video_info(height, width, fps)
        pictures[IMAGE_PREFIX + camera] = feature
    return pictures | numbers


def _check_alike(first: Episode, episode: Episode, number: int) -> None:
    def shape(one: Episode) -> dict[str, tuple[int, ...]]:
        wide = {STATE: one.state, ENVIRONMENT_STATE: one.environment_state, ACTION: one.action, **one.images}
        return {name: column.shape[1:] for name, column in wide.items() if column is not None}

    if shape(first) != shape(episode):
        fault = f"episode {number} has columns of shapes {shape(episode)}, but the first has {shape(first)}"
        raise VantageError(f"{fault}; record them alike.")


def write_tasks(path: Path, prompts: Sequence[str]) -> None:
    """`meta/tasks.parquet`: the prompts, in the order of their numbers."""
    # LeRobot reads this file with pandas and expects the prompt to be its index.
    described = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_type, "metadata": None}
        for name, kind, numpy_type in ((TASK_INDEX, "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": described,
        "pandas_version": "2.0.0",
    }

    table = pa.table({TASK_INDEX: np.arange(len(prompts)), "task": list(prompts)})
    with path.open("wb") as file:
        pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), file)


def _video_path(camera: str) -> str:
    return fill_in(VIDEO_FILE, {"video_key": IMAGE_PREFIX + camera, "chunk_index": 0, "file_index": 0})


def _episode_row(
    number: int, prompt: str, start: int, length: int, videos: Sequence[str], fps: float
) -> dict[str, Any]:
    row: dict[str, Any] = {
        EPISODE: number,
        "tasks": [prompt],
        "length": length,
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": start,
        "dataset_to_index": start + length,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }

    for name in (IMAGE_PREFIX + camera for camera in videos):
        row |= {f"videos/{name}/chunk_index": 0, f"videos/{name}/file_index": 0}
        row |= {
            f"videos/{name}/from_timestamp": start / fps,
            f"videos/{name}/to_timestamp": (start + length) / fps,
        }
    return row


class _Recorder:
    """An open dataset: `add` episodes, then `close` writes everything that needs them all.

    The first episode fixes all shapes.
    """

    def __init__(self, folder: Path, first: Episode, fps: float, images: bool) -> None:
        self._folder, self._fps, self._images = folder, fps, images
        self._sizes = {camera: pictures.shape[1:3] for camera, pictures in first.images.items()}
        self._data = folder / fill_in(DATA_FILE, {"chunk_index": 0, "file_index": 0})
        self._open = ExitStack()
        self._writer: pq.ParquetWriter | None = None

        # What is written at the end: columns and rows of every episode so far.
        self._prompts: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._ours: list[tuple[int, str, bool, str]] = []
        self._columns: list[Columns] = []
        self._histograms: dict[str, list[np.ndarray]] = {camera: [] for camera in self._sizes}
        self._start = 0

    def __enter__(self) -> "_Recorder":
        for path in (self._data, self._folder / EPISODES_FILE):
            path.parent.mkdir(parents=True)
        self._sink = self._open.enter_context(self._data.open("wb"))

        self._videos: dict[str, VideoWriter] = {}
        if not self._images:
            for camera, size in self._sizes.items():
                writer = VideoWriter(self._folder / _video_path(camera), self._fps, *size)
                self._videos[camera] = self._open.enter_context(writer)
        return self

    def __exit__(self, *problem: Any) -> None:
        self._open.__exit__(*problem)

    def add(self, episode: Episode) -> None:
        """Append one episode: its rows, its pictures, its statistics."""
        number = len(self._rows)
        if episode.prompt not in self._prompts:
            self._prompts.append(episode.prompt)
        columns = _columns(episode, number, self._start, self._prompts.index(episode.prompt), self._fps)

        self._write_rows(
            {name: arrow_column(column) for name, column in columns.items()} | self._add_pictures(episode)
        )
        row = _episode_row(number, episode.prompt, self._start, len(episode), list(self._videos), self._fps)
        self._rows.append(row | self._statistics(episode, columns))
        self._ours.append(
            (episode.seed, episode.task, episode.outcome, json.dumps(dict(episode.info), sort_keys=True))
        )
        self._columns.append(columns)
        self._start += len(episode)

    def _add_pictures(self, episode: Episode) -> dict[str, pa.Array]:
        """Encode an episode's pictures; those that belong into the data file come back as columns."""
        columns: dict[str, pa.Array] = {}
        for camera, pictures in episode.images.items():
            if self._images:
                columns[IMAGE_PREFIX + camera] = pa.array([_png(picture) for picture in pictures])
            else:
                self._videos[camera].add(pictures)
        return columns

    def _write_rows(self, columns: Mapping[str, pa.Array]) -> None:
        table = pa.table(dict(columns))
        self._writer = self._writer or self._open.enter_context(pq.ParquetWriter(self._sink, table.schema))
        self._writer.write_table(table)

    def _statistics(self, episode: Episode, columns: Columns) -> dict[str, Any]:
        """The columns of meta/episodes that describe one episode's values."""
        statistics = column_statistics(columns)
        for camera, pictures in episode.images.items():
            histogram = colour_histogram(pictures)
            self._histograms[camera].append(histogram)
            statistics[IMAGE_PREFIX + camera] = picture_statistics(histogram)
        return {
            f"stats/{name}/{key}": value
            for name, values in statistics.items()
            for key, value in values.items()
        }

    def close(self, robot_type: str | None) -> None:
        """Finish the data and video files and write `meta/`."""
        self._open.close()

        names = self._columns[0]
        whole = {name: np.concatenate([columns[name] for columns in self._columns]) for name in names}
        statistics = column_statistics(whole)
        for camera, histograms in self._histograms.items():
            statistics[IMAGE_PREFIX + camera] = picture_statistics(np.sum(histograms, axis=0))
        write_json(self._folder / STATS_FILE, statistics)

        write_tasks(self._folder / TASKS_FILE, self._prompts)
        with (self._folder / EPISODES_FILE).open("wb") as file:
            pq.write_table(pa.Table.from_pylist(self._rows), file)
        self._write_ours()
        write_json(self._folder / INFO_FILE, self._info(robot_type))

    def _write_ours(self) -> None:
        seeds, tasks, outcomes, infos = zip(*self._ours, strict=True)
        columns = {
            EPISODE: np.arange(len(self._rows)),
            "seed": np.array(seeds, np.int64),
            "task": np.array(tasks, np.str_),
            "success": np.array(outcomes, np.bool_),
            "info": np.array(infos, np.str_),
        }

        write_parquet(self._folder / OURS_FILE, columns)

    def _info(self, robot_type: str | None) -> dict[str, Any]:
        return {
            "codebase_version": "v3.0",
            "fps": self._fps,
            "features": _features(self._columns[0], self._sizes, self._fps, as_video=not self._images),
            "total_episodes": len(self._rows),
            "total_frames": self._start,
            "total_tasks": len(self._prompts),
            "chunks_size": 1000,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "data_path": DATA_FILE,
            "video_path": VIDEO_FILE if self._videos else None,
            "robot_type": robot_type,
            "splits": {"train": f"0:{len(self._rows)}"},
        }


def write_dataset(
    journal: Path,
    numbers: Sequence[int],
    root: Path,
    fps: float,
    robot_type: str | None = None,
    images: bool = False,
) -> None:
    """Assemble the journal's episodes, in the order given, into a LeRobotDataset v3 at `root`.

    They become episodes 0, 1, 2 ... Pictures go into one H.264 file per camera, or with `images=True`
    losslessly (PNG) into the data file. Seed, machine name, outcome and free information of every episode go
    to `meta/vantage_episodes.parquet`. A dataset that already stands at `root` is replaced. Raises
    VantageError for no episodes, a missing or damaged one, episodes of different shapes and a full disk;
    `root` is then untouched.
    """
    if not numbers:
        raise VantageError(f"{root} would be an empty dataset; record at least one episode in {journal}.")

    first = load_episode(journal, numbers[0])
    with whole_folder(root) as folder, _Recorder(folder, first, fps, images) as recorder:
        for number in numbers:
            episode = first if number == numbers[0] else load_episode(journal, number)
            _check_alike(first, episode, number)
            recorder.add(episode)
        recorder.close(robot_type)
