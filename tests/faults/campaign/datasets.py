"""Datasets that lie, are damaged, or are only unusual: edits of "the three", and what must be said of each.

The tests of this folder try them on the functions that read, the campaign on `vantage audit` and `vantage
label`.
"""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from three import DATA, FPS, META, TASKS, VIDEO, Three

FRONT = "observation.images.front"
BEGIN = f"videos/{FRONT}/from_timestamp"
CHUNK = f"videos/{FRONT}/chunk_index"
HUMAN = np.array([False] * 11 + [True] * 3 + [False] * 10)
CLOCK = np.tile(np.arange(8) / FPS, 3)


@dataclass(frozen=True)
class Spoiled:
    """An edit of the three."""

    name: str
    spoil: Callable[[Three], object]
    says: str = ""
    """Regular expression that the sentence matches; empty for a dataset that is valid and read rightly."""
    cameras: tuple[str, ...] = ()
    images: bool = False
    """Whether pictures stand in the data file; else in a video."""
    only_pictures: bool = False
    """Whether `label`, which looks at no pictures, rightly accepts it."""

    def __str__(self) -> str:
        return self.name


# -------------------------------------------------------------------------------- flags and vectors


def _flag(column: str, value: float, shown: str) -> Spoiled:
    numbers = HUMAN.astype(np.float32)
    numbers[13] = value
    says = rf"column `{column}` of .* is {shown} in episode 1, frame 5, and must be 0 or 1 everywhere"
    return Spoiled(f"{column} is {shown}", lambda three: three.column(column, numbers), says)


FLAGS = [
    _flag(column, value, shown)
    for column in ("intervention", "next.success")
    for value, shown in ((0.5, "0.5"), (2.0, "2"), (-1.0, "-1"), (np.nan, "nan"), (np.inf, "inf"))
]

_UNEVEN: dict[str, list[Any]] = {
    "ragged": [[1.0, 2.0, 3.0]] * 22 + [[1.0, 2.0], [1.0, 2.0, 3.0, 4.0]],
    "nested and ragged": [[[1.0], [2.0], [3.0]]] * 22 + [[[1.0, 2.0], [3.0]], [[1.0], [2.0, 3.0]]],
    "empty and double": [[1.0, 2.0, 3.0]] * 22 + [[], [1.0] * 6],
    "without a row": [[1.0, 2.0, 3.0]] * 23 + [None],
    "without a value": [[1.0, 2.0, 3.0]] * 23 + [[1.0, None, 3.0]],
    "empty": [[]] * 24,
}


def _uneven(column: str, name: str) -> Spoiled:
    rows = _UNEVEN[name]
    nested = any(row and isinstance(row[0], list) for row in rows)
    values = pa.array(rows, None if nested else pa.list_(pa.float32()))
    says = rf"column `{column}` of .* has empty or uneven rows; every frame needs the same number"
    return Spoiled(f"{column} is {name}", lambda three: three.column(column, values), says)


UNEVEN = [_uneven(column, name) for column in ("action", "observation.state") for name in _UNEVEN]

_NO_NUMBERS: dict[str, list[Any]] = {"words": ["a"] * 24, "records": [{"x": 1.0}] * 24, "flags": [True] * 24}
NO_NUMBERS = [
    Spoiled(
        f"action is {name}",
        lambda three, values=values: three.column("action", pa.array(values)),
        r"column `action` of .* holds .* where numbers belong",
    )
    for name, values in _NO_NUMBERS.items()
]

_NO_INDICES: dict[str, list[Any]] = {
    "nothing": [None] * 24,
    "text": ["0"] * 24,
    "halves": [0.5] * 24,
    "lists": [[0]] * 24,
}
NO_INDICES = [
    Spoiled(
        f"{column} is {name}",
        lambda three, column=column, values=values: three.column(column, pa.array(values)),
        f"column `{column}` of .* must hold one whole number per frame",
    )
    for column in ("index", "episode_index", "frame_index", "task_index")
    for name, values in _NO_INDICES.items()
]


def _not_finite(column: str, value: float) -> Spoiled:
    def spoil(three: Three) -> object:
        rows = pq.read_table(three.root / DATA).column(column).to_pylist()
        rows[3][0] = value
        return three.column(column, pa.array(rows, pa.list_(pa.float32())))

    return Spoiled(f"{column} has {value}", spoil, "NaN or infinite")


NOT_FINITE = [
    _not_finite(column, value) for column in ("action", "observation.state") for value in (np.nan, np.inf)
]


# ----------------------------------------------------------------------------------------------------- clocks


def _clock(name: str, values: Any, sentence: str) -> Spoiled:
    says = rf"column `timestamp` of .* {sentence}.*write frame_index / 20 into it"
    return Spoiled(f"clock: {name}", lambda three: three.column("timestamp", values), says)


CLOCKS = [
    _clock("zero", np.zeros(24, np.float32), "is 0 in every frame"),
    _clock("1970 in 32 bits", (1.7e9 + CLOCK).astype(np.float32), "looks like a wall clock kept in 32 bits"),
    _clock(
        "milliseconds",
        CLOCK * 1e3,
        "looks like milliseconds: one control step is 50, and seconds belong there",
    ),
    _clock("whole milliseconds", (CLOCK * 1e3).astype(np.int64), "looks like milliseconds"),
    _clock("microseconds", CLOCK * 1e6, "looks like microseconds"),
    _clock("nanoseconds", 1.7e18 + CLOCK * 1e9, "looks like nanoseconds"),
    _clock(
        "three times too fast",
        CLOCK * 3,
        "advances by 0.15 s per frame, and info.json says 20 frames per second",
    ),
    _clock("stands still", np.full(24, 3.5), "advances by 0 s per frame"),
    _clock(
        "NaN",
        np.where(np.arange(24) == 9, np.nan, CLOCK),
        "is NaN or infinite in 1 frames, first in episode 1, frame 1",
    ),
    _clock("infinite", np.where(np.arange(24) == 9, np.inf, CLOCK), "is NaN or infinite in 1 frames"),
    _clock("empty once", pa.array([None, *CLOCK[1:]]), "is empty in 1 frames"),
    _clock("text", pa.array([str(value) for value in CLOCK]), "is string where seconds belong"),
    _clock(
        "dates",
        pa.array((CLOCK * 1e3).astype("datetime64[ms]")),
        r"is timestamp\[ms\] where seconds belong",
    ),
    _clock("lists", pa.array([[value] for value in CLOCK]), "is list"),
]


# -------------------------------------------------------------------------------- meta/episodes


def _rows(
    name: str, says: str, rows: list[int] | None = None, cells: dict[str, dict[int, Any]] | None = None
) -> Spoiled:
    return Spoiled(f"meta: {name}", lambda three: three.meta(rows, cells), says, cameras=("front",))


def _extra(table: pa.Table) -> pa.Table:
    records = table.to_pylist()
    extra = records[2] | {"episode_index": 3, "length": 0, "dataset_from_index": 24}
    return pa.Table.from_pylist([*records, extra])


META_ROWS = [
    _rows(
        "episode 1 lost",
        r"meta/episodes lacks episode 1 \(2 are there\); restore it from where the dataset came from",
        [0, 2],
    ),
    _rows("the last episode lost", r"meta/episodes lacks episode 2 \(2 are there\)", [0, 1]),
    _rows(
        "short in the middle",
        r"episode 2 begins at frame 16, and the ones before it end at 13",
        None,
        {"length": {1: 5}},
    ),
    _rows(
        "short at the end",
        r"the episodes of .* have 21 frames and info.json counts 24",
        None,
        {"length": {2: 5}},
    ),
    _rows(
        "starts exchanged",
        r"episode 0 begins at frame 8, and the ones before it end at 0",
        None,
        {"dataset_from_index": {0: 8, 1: 0}},
    ),
    _rows("a row twice", r"meta/episodes names episode 1 twice", [0, 1, 1, 2]),
    _rows(
        "length 0",
        r"gives episode 1 0 frames; an episode has at least one",
        None,
        {"length": {1: 0}},
    ),
    _rows("length -8", r"gives episode 1 -8 frames", None, {"length": {1: -8}}),
    _rows(
        "no length",
        r"column `length` of .* must hold a whole number for every episode",
        None,
        {"length": {1: None}},
    ),
    _rows(
        "a frame moved",
        r"gives episode 0 7 frames and the data files hold 8",
        None,
        {"length": {0: 7, 1: 9}, "dataset_from_index": {1: 7}},
    ),
    _rows(
        "no chunk",
        r"`videos/observation.images.front/chunk_index` of episode 1 in .* is None and must be a "
        r"whole number",
        None,
        {CHUNK: {1: None}},
    ),
    _rows("chunk -1", r"is -1 and must be a whole number", None, {CHUNK: {1: -1}}),
    _rows(
        "another chunk",
        r"video .*chunk-007/file-000.mp4 is missing",
        None,
        {CHUNK: {0: 7, 1: 7, 2: 7}},
    ),
    _rows(
        "video time NaN",
        r"from_timestamp` of episode 1 in .* is nan and must be seconds",
        None,
        {BEGIN: {1: float("nan")}},
    ),
    Spoiled(
        "meta: a row without frames",
        lambda three: three.edit(META, _extra),
        r"names episode 3, which .*info.json does not count",
        ("front",),
    ),
    Spoiled(
        "meta: a counted row without frames",
        lambda three: three.edit(META, _extra).info(total_episodes=4),
        r"gives episode 3 0 frames",
        ("front",),
    ),
    Spoiled(
        "meta: no column of times",
        lambda three: three.column(BEGIN, None, META),
        r"has no column `videos/observation.images.front/from_timestamp`",
        ("front",),
    ),
    Spoiled(
        "meta: no column of lengths",
        lambda three: three.column("length", None, META),
        r"has no column `length`",
        ("front",),
    ),
    Spoiled(
        "meta: no meta/episodes",
        lambda three: (three.root / META).unlink(),
        r"meta/episodes is missing, and it says where every episode's pictures are",
        ("front",),
    ),
]

VIDEO_TIMES = [
    Spoiled(
        f"video time off by {shift} frames",
        lambda three, shift=shift: three.meta(cells={BEGIN: {2: 0.8 + shift / 20}}),
        rf"episode 2 begins {16 + shift:.1f} frames into .*mp4 by its time stamp .* and 16 frames by "
        r"the lengths",
        ("front",),
    )
    for shift in (-0.6, 0.6, -3, 3)
]


# -------------------------------------------------------------------------------------------------- info.json

RATES = [
    Spoiled(
        f"fps {fps!r}",
        lambda three, fps=fps: three.info(fps=fps),
        r"`fps` of .*info.json is .* and must be a number of control steps per second",
        ("front",),
    )
    for fps in (0, -20, "20", [20], None, True, float("nan"), float("inf"), {"fps": 20})
]


def _info(name: str, says: str, **changes: Any) -> Spoiled:
    return Spoiled(f"info.json: {name}", lambda three: three.info(**changes), says, ("front",))


def _action(**feature: Any) -> dict[str, Any]:
    return {"action": feature}


INFO_VALUES = [
    _info("frames as text", r"`total_frames` of .* is '24' and must be a whole number", total_frames="24"),
    _info("half a frame", r"`total_frames` of .* is '24.5' and must be a whole number", total_frames=24.5),
    _info("-1 frames", r"`total_frames` of .* is '-1' and must be a whole number", total_frames=-1),
    _info("a list of episodes", r"`total_episodes` of .* must be a whole number", total_episodes=[3]),
    _info(
        "a list of features",
        r"`features` of .* must describe every column by name",
        features=["action"],
    ),
    _info("a number as feature", r"gives no `dtype` for column `action`", features={"action": 7}),
    _info(
        "a shape of words",
        r"gives the shape .* to column `action`",
        features=_action(dtype="float32", shape=["3"]),
    ),
    _info(
        "a shape of -3",
        r"gives the shape .* to column `action`",
        features=_action(dtype="float32", shape=[-3]),
    ),
    _info("no video_path", r"names no `video_path`, and camera front is a video", video_path=None),
    _info("an older format", r"has LeRobot format v2.1; convert it to v3.0", codebase_version="v2.1"),
]


def _whole(name: str, content: bytes, says: str) -> Spoiled:
    return Spoiled(
        f"info.json: {name}",
        lambda three: (three.root / "meta/info.json").write_bytes(content),
        says,
        ("front",),
    )


INFO_FILES = [
    _whole("empty", b"", "is not valid JSON"),
    _whole("a list", b"[]", "lacks fps, features or codebase_version"),
    _whole("half", b'{"fps": 20', "is not valid JSON"),
    _whole("nested 200,000 deep", b"[" * 200_000, "nested too deeply|not valid JSON"),
    _whole("bytes", b"\xff\xfe\x00", "is not valid JSON"),
]

SHAPES = [
    Spoiled(
        "info.json: another shape",
        lambda three: three.feature("action", shape=[4]),
        r"info.json gives `action` the shape \[4\] and the data files hold 3 values",
    ),
    Spoiled(
        "info.json: another type",
        lambda three: three.feature("action", dtype="int64"),
        r"info.json says that `action` is int64 and the data files hold float",
    ),
]


# ------------------------------------------------------------------------------------------------------ tasks


def _tasks(name: str, table: pa.Table, says: str) -> Spoiled:
    return Spoiled(f"tasks: {name}", lambda three: pq.write_table(table, three.root / TASKS), says)


TASK_TABLES = [
    _tasks(
        "no words",
        pa.table({"task_index": [0]}),
        r"has the columns task_index and needs `task_index` and `task`",
    ),
    _tasks(
        "no numbers",
        pa.table({"task": ["push"]}),
        r"has the columns task and needs `task_index` and `task`",
    ),
    _tasks(
        "words empty",
        pa.table({"task_index": [0], "task": pa.array([None], pa.string())}),
        r"has no words for task 0",
    ),
    _tasks(
        "another number",
        pa.table({"task_index": [1], "task": ["push"]}),
        r"does not name task \[0\]",
    ),
    _tasks(
        "number empty",
        pa.table({"task_index": pa.array([None], pa.int64()), "task": ["push"]}),
        r"does not name task \[0\]",
    ),
    _tasks(
        "one number empty",
        pa.table({"task_index": [0, None], "task": ["push", "pull"]}),
        r"does not name task",
    ),
    Spoiled(
        "tasks: gone",
        lambda three: (three.root / TASKS).unlink(),
        r"tasks.parquet is missing, and it holds the prompts; restore it",
    ),
]


# -------------------------------------------------------------------------------------------- files and parts


def split_data(three: Three) -> Three:
    """One data file per episode, as LeRobot splits large ones."""
    table = pq.read_table(three.root / DATA)
    for number in range(3):
        pq.write_table(table.slice(8 * number, 8), three.root / f"data/chunk-000/file-{number:03d}.parquet")
    return three.meta(cells={"data/file_index": {0: 0, 1: 1, 2: 2}})


def _download(three: Three) -> None:
    (split_data(three).root / DATA).unlink()


def _part(three: Three) -> None:
    for name, by in (("index", 100), ("episode_index", 7)):
        three.column(name, pq.read_table(three.root / DATA).column(name).to_numpy() + by)


def _frame_gap(three: Three) -> None:
    frame = np.tile(np.arange(8), 3)
    frame[5] = 9
    three.column("frame_index", frame)


def _frame_twice(three: Three) -> None:
    index = np.arange(24)
    index[9] = 8
    three.column("index", index)


def _cut(three: Three, file: str, keep: float) -> None:
    path = three.root / file
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


def _link_out(three: Three) -> None:
    outside = three.root.parent / "outside.parquet"
    (three.root / DATA).rename(outside)
    (three.root / DATA).symlink_to(outside)


def _link_loop(three: Three) -> None:
    (three.root / DATA).unlink()
    (three.root / DATA).symlink_to((three.root / DATA).name)


def _pipe(three: Three) -> None:
    (three.root / VIDEO).unlink()
    os.mkfifo(three.root / VIDEO)


def _data_pipe(three: Three) -> None:
    (three.root / DATA).unlink()
    os.mkfifo(three.root / DATA)


def _info_pipe(three: Three) -> None:
    (three.root / "meta/info.json").unlink()
    os.mkfifo(three.root / "meta/info.json")


def _data_folder(three: Three) -> None:
    (three.root / DATA).unlink()
    (three.root / DATA).mkdir()


INCOMPLETE = Spoiled(
    "an incomplete download",
    _download,
    r"is an incomplete download: it lacks data/chunk-000/file-000.parquet; fetch the dataset again",
    ("front",),
)
PART = Spoiled(
    "a part that keeps its numbers",
    _part,
    r"begins at frame 100 of episode 7: it is a part of a dataset; cut it out .* with `lerobot",
)
TWICE = Spoiled("a frame twice", _frame_twice, "has a gap in its frame index", ("front",), images=True)
LINK_OUT = Spoiled("data is a link out of it", _link_out, "names a file outside its own folder", ("front",))
PIPE = Spoiled("video is a pipe", _pipe, "is missing; restore it", ("front",))
FILES = [
    INCOMPLETE,
    PART,
    TWICE,
    LINK_OUT,
    PIPE,
    Spoiled("a gap in frame_index", _frame_gap, "gap in its frame index"),
    Spoiled("data cut to half", lambda three: _cut(three, DATA, 0.5), "truncated or damaged"),
    Spoiled("data empty", lambda three: _cut(three, DATA, 0), "truncated or damaged"),
    Spoiled(
        "data without rows",
        lambda three: three.edit(DATA, lambda table: table.slice(0, 0)),
        "empty|frames are missing",
    ),
    Spoiled(
        "meta/episodes cut to half", lambda three: _cut(three, META, 0.5), "truncated or damaged", ("front",)
    ),
    Spoiled("tasks cut to half", lambda three: _cut(three, TASKS, 0.5), "truncated or damaged"),
    Spoiled(
        "video cut to half", lambda three: _cut(three, VIDEO, 0.5), "truncated or damaged|lacks", ("front",)
    ),
    Spoiled("video empty", lambda three: _cut(three, VIDEO, 0), "truncated or damaged|missing", ("front",)),
    Spoiled("no dataset", lambda three: shutil.rmtree(three.root), "is not a LeRobotDataset|does not exist"),
    Spoiled("data is a link to itself", _link_loop, "missing|lacks|cannot|outside"),
    Spoiled("data is a pipe", _data_pipe, "missing|lacks|no file|pipe"),
    Spoiled("data is a folder", _data_folder, "missing|lacks|no file|folder"),
    Spoiled("info.json is a pipe", _info_pipe, "is not a LeRobotDataset|does not exist"),
]


# --------------------------------------------------------------------------------------------------- pictures


def png(picture: np.ndarray) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def cells(three: Three, change: Callable[[int, dict[str, Any]], Any]) -> Three:
    """Change the pictures of a data file, one by one."""
    rows = pq.read_table(three.root / DATA).column(FRONT).to_pylist()
    return three.column(FRONT, pa.array([change(number, row) for number, row in enumerate(rows)]))


def _cell(name: str, cell: dict[str, Any], says: str) -> Spoiled:
    return Spoiled(
        f"picture: {name}",
        lambda three: cells(three, lambda number, old: cell if number == 9 else old),
        says,
        ("front",),
        images=True,
        only_pictures=True,
    )


CELLS = [
    _cell(
        "none",
        {"bytes": None, "path": None},
        "in episode 1, frame 1 has no picture; record it again or drop the episode",
    ),
    _cell("an empty path", {"bytes": None, "path": ""}, "in episode 1, frame 1 has no picture"),
    _cell(
        "no bytes",
        {"bytes": b"", "path": None},
        "in episode 1, frame 1 holds bytes that are no whole picture",
    ),
    _cell(
        "another format",
        {"bytes": b"GIF89a and so on", "path": None},
        "in episode 1, frame 1 holds bytes that are no whole picture",
    ),
    _cell(
        "cut",
        {"bytes": png(np.zeros((16, 24, 3), np.uint8))[:-30], "path": None},
        "in episode 1, frame 1 holds bytes that are no whole",
    ),
    _cell(
        "another size",
        {"bytes": png(np.zeros((16, 20, 3), np.uint8)), "path": None},
        "shows 20 x 16 px at frame 9 and 24 x 16 px before",
    ),
    _cell(
        "a path out of the dataset",
        {"bytes": None, "path": "../../../../../../etc/hostname"},
        "outside|not there|no picture",
    ),
]
MILLIMETRES = Spoiled(
    "picture: distances in 16 bits",
    lambda three: cells(
        three,
        lambda *_: {
            "bytes": png(np.linspace(0, 5000, 16 * 24).reshape(16, 24).astype(np.uint16)),
            "path": None,
        },
    ),
    r"camera front of .* holds distances \(mode I;16, over 8 bits\) and no colours; leave this camera out",
    ("front",),
    images=True,
    only_pictures=True,
)


def _playlist(name: str, content: bytes) -> Spoiled:
    def spoil(three: Three) -> None:
        video = three.root / VIDEO
        video.with_name("secret.mp4").write_bytes(video.read_bytes())
        video.write_bytes(content)

    return Spoiled(f"video: {name}", spoil, "is truncated or damaged", ("front",))


PLAYLISTS = [
    _playlist(
        "m3u8",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    ),
    _playlist("concat", b"ffconcat version 1.0\nfile 'secret.mp4'\n"),
    _playlist("dash", b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>"),
    _playlist("sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
]


# ------------------------------------------------------------------------------------------- paths out of it


def _outside(template: str) -> Spoiled:
    def spoil(three: Three) -> None:
        three.info(video_path=template)
        (three.root.parent / "secret.mp4").write_bytes((three.root / VIDEO).read_bytes())
        (three.root / "videos/link").symlink_to(three.root.parent)

    return Spoiled(
        f"video_path {template!r}", spoil, r"names a file (outside its own folder|that cannot be)", ("front",)
    )


OUTSIDE = [
    _outside(template)
    for template in (
        "/etc/hostname",
        "../../{video_key}.mp4",
        "videos/../../secret.mp4",
        "{video_key}/../../../secret.mp4",
        "videos/\0/file.mp4",
        "videos/link/secret.mp4",
    )
]

FIELDS = [
    Spoiled(
        f"video_path {template[:40]!r}",
        lambda three, template=template: three.info(video_path=template),
        r"has a field other than video_key, chunk_index and file_index|must be a file name with fields",
        ("front",),
    )
    for template in (
        "{0.__class__}.mp4",
        "{video_key.__class__.__mro__}.mp4",
        "{video_key!r}.mp4",
        "{chunk_index:01000000000d}.mp4",
        "{chunk_index:>1000000000}.mp4",
        "{episode_index:06d}.mp4",
        "{}.mp4",
        "{{video_key}}.mp4",
        "{video_key.mp4",
        "x" * 1001,
    )
]

DATA_PATHS = [
    Spoiled(
        f"data_path {template[:40]!r}",
        lambda three, template=template: three.info(data_path=template),
        "",
        ("front",),
    )
    for template in (
        "/etc/hostname",
        "../{chunk_index}.parquet",
        "{0.__class__}",
        "{chunk_index:>1000000000}",
    )
]
"""Data files are found where the format has them, whatever `data_path` says."""


# ------------------------------------------------------------------------------------------ unusual and valid


def _other_name(three: Three) -> None:
    three.column("intervention", None).column("intervene_flag", HUMAN.astype(np.float32))
    three.rename_feature("intervention", "intervene_flag").feature("intervene_flag", dtype="float32")


def _leftovers(three: Three) -> None:
    for folder in ("data/chunk-000", "meta/episodes/chunk-000"):
        for name in (
            "._file-000.parquet",
            ".DS_Store",
            "file-000.parquet~",
            "~file-000.parquet",
            ".file-001.parquet.swp",
        ):
            (three.root / folder / name).write_bytes(b"\x00\x05\x16\x07 no parquet")
    (three.root / "data/._chunk-000").mkdir()
    (three.root / "data/._chunk-000/file-000.parquet").write_bytes(b"no parquet")
    (three.root / VIDEO).with_name("._file-000.mp4").write_bytes(b"no video")


def _converted(three: Three) -> None:
    """From v2.1: the first files are number 1, in chunk 1; the state is float64; other kinds of columns
    beside."""
    meta, data, video = (file.replace("-000", "-001") for file in (META, DATA, VIDEO))
    for old, new in ((META, meta), (DATA, data), (VIDEO, video)):
        (three.root / new).parent.mkdir(parents=True, exist_ok=True)
        (three.root / old).rename(three.root / new)
    for column in ("data", f"videos/{FRONT}"):
        for part in ("chunk_index", "file_index"):
            three.column(f"{column}/{part}", [1, 1, 1], meta)
    state = pq.read_table(three.root / data).column("observation.state").to_pylist()
    three.column("observation.state", pa.array(state, pa.list_(pa.float64())), data)
    three.column("language_events", pa.array([[{"role": "user", "content": "go"}]] * 24), data)
    three.column("subtask_index", pa.array([-1] * 24), data)


def _words(words: str) -> Callable[[Three], object]:
    def spoil(three: Three) -> None:
        pq.write_table(pa.table({"task_index": [0], "task": [words]}), three.root / TASKS)

    return spoil


def _jitter(three: Three) -> None:
    three.column("timestamp", CLOCK + np.random.default_rng(0).uniform(-0.02, 0.02, 24))


LEFTOVERS = Spoiled("leftovers of editors", _leftovers, cameras=("front",))
CONVERTED = Spoiled("converted from v2.1", _converted, cameras=("front",))
VALID = [
    LEFTOVERS,
    CONVERTED,
    Spoiled("untouched", lambda three: None, cameras=("front",)),
    Spoiled("who drove under another name and type", _other_name),
    Spoiled("rows of meta in another order", lambda three: three.meta([2, 0, 1]), cameras=("front",)),
    Spoiled(
        "times a little off", lambda three: three.meta(cells={BEGIN: {2: 0.8 + 0.4 / 20}}), cameras=("front",)
    ),
    Spoiled("a clock that jitters", _jitter),
    Spoiled("a clock since 1970", lambda three: three.column("timestamp", 1.7e9 + CLOCK)),
    Spoiled("one data file per episode", split_data, cameras=("front",)),
    *(
        Spoiled(f"prompt {words!r}", _words(words))
        for words in (
            "",
            "把方块放进盒子",
            "[red]push[/red] [/x]",
            "<script>alert(1)</script>",
            "\x1b[31mred\x1b]0;title\x07",
            "{{ 7 * 7 }} {% raw %}",
            "a\u202eb\x00c\nd",
            "w" * 100_000,
        )
    ),
]

REFUSED: dict[str, list[Spoiled]] = {
    "flags that are none": FLAGS,
    "uneven or wordy vectors": [*UNEVEN, *NO_NUMBERS],
    "indices that are no numbers": NO_INDICES,
    "NaN and infinite values": NOT_FINITE,
    "clocks that tell no time": CLOCKS,
    "meta/episodes against data": META_ROWS,
    "video times against lengths": VIDEO_TIMES,
    "impossible rates": RATES,
    "impossible info.json": [*INFO_VALUES, *INFO_FILES, *SHAPES],
    "impossible tasks": TASK_TABLES,
    "files damaged or missing": FILES,
    "pictures that are none": [*CELLS, MILLIMETRES],
    "playlists as videos": PLAYLISTS,
}
PATHS = [*OUTSIDE, *FIELDS, *DATA_PATHS]


def every() -> Iterator[tuple[str, Spoiled]]:
    """(kind, case) of all of them."""
    for kind, cases in REFUSED.items():
        yield from ((kind, case) for case in cases)
    yield from (("valid and unusual: read rightly", case) for case in VALID)


def names_are_unique() -> bool:
    """No two cases have the same name."""
    names = [case.name for _, case in every()] + [case.name for case in PATHS]
    return len(names) == len(set(names))


def labels_of(three: Path) -> dict[str, Any]:
    """A parquet file as values, to be compared."""
    return pq.read_table(three).to_pydict()


def as_json(text: str) -> Any:
    """The JSON in what a command said, after whatever it said before."""
    return json.loads(text[text.index("{") :])
