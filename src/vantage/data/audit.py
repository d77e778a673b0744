"""A dataset, and the labels and weights made from it -> what is in it, and what is wrong with it, one sentence per problem.

    vantage audit DATASET    segments, hand-overs, outcomes, label coverage per head, effective sample size of the weights, problems

What would stop a later stage (docs/data.md, "Bad input") stops the audit too, as a `VantageError`; problems are what it would not notice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from vantage.core.segments import segment_starts
from vantage.core.stats import effective_sample_size
from vantage.data.outcomes import Outcomes, resolve_outcomes
from vantage.data.v3.meta import Video, read_episodes, read_info, videos_of
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import INDEX, LABEL_COLUMNS
from vantage.data.v3.video import read_video
from vantage.disk.tables import check_coverage, read_parquet
from vantage.types import Route, VantageError

STUCK_SECONDS = 2.0
"""A camera that shows the same picture for longer than this while the robot moves is stuck."""
BLOCKS = 24
"""Pictures are compared as about this many blocks a side, which forgives a video codec its noise ..."""
SAME = 4.0
"""... and count as the same where no block's mean differs by this many of 255 levels."""
MOVED = 0.1
"""A robot has moved that crossed this share of the range of one of its state dimensions."""
SATURATED = 0.5
"""Report an action dimension that sits at the end of its range in more than this share of the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """What `4-weights.parquet` would train on."""

    frames: int
    """Rows of the table."""
    drawn: int
    """Frames that can be drawn."""
    effective: float
    """Kish's effective sample size of the drawn, weighted frames."""
    largest: float
    """The largest weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What is in a dataset."""

    root: Path
    frames: int
    fps: float
    cameras: tuple[str, ...]
    prompts: tuple[str, ...]
    lengths: Int64[np.ndarray, "M"]
    """Frames per episode."""
    successes: int
    failures: int
    unrecorded: int
    """Episodes by outcome."""
    autonomous: int
    """Episodes in which nobody intervened."""
    rescued: int
    """Episodes with an intervention that succeeded."""
    ends_in_human_hands: int
    segments: int
    """Intervals under one controller, without a cut in time."""
    handovers: int
    """Changes of the controller."""
    cuts: int
    """Gaps in the recording."""
    human_frames: int
    routes: Mapping[str, int]
    """Frames per route; empty without labels."""
    coverage: Mapping[str, int]
    """Frames that supervise each head; empty without labels."""
    weighing: Weighing | None
    """None without weights."""
    problems: tuple[str, ...]


def audit(
    root: Path, outcomes: Path | None = None, labels: Path | None = None, weights: Path | None = None, *, demos: bool = False
) -> Audit:
    """Look through a dataset and, where given, its outcomes csv, its labels and its weights. Every video is decoded once."""
    table = read_table(root, demos=demos)
    found, problems = _outcomes(table, outcomes)
    slices = table.slices
    human = [table.intervention[rows] for rows in slices]
    recorded = list(found.values())
    routes, coverage = ({}, {}) if labels is None else _coverage(table, labels)
    opens = [segment_starts(table.intervention[rows], table.cut[rows]) for rows in slices]
    return Audit(
        root=root,
        frames=len(table),
        fps=table.fps,
        cameras=table.cameras,
        prompts=table.prompts,
        lengths=np.diff(table.starts),
        successes=recorded.count(True),
        failures=recorded.count(False),
        unrecorded=recorded.count(None),
        autonomous=sum(not driver.any() for driver in human),
        rescued=sum(bool(driver.any()) and found[episode] is True for episode, driver in enumerate(human)),
        ends_in_human_hands=sum(bool(driver[-1]) for driver in human),
        segments=int(sum(each.sum() for each in opens)),
        handovers=int(sum(np.count_nonzero(np.diff(driver)) for driver in human)),
        cuts=int(table.cut.sum()),
        human_frames=int(table.intervention.sum()),
        routes=routes,
        coverage=coverage,
        weighing=None if weights is None else _weighing(weights),
        problems=(*problems, *_episode_problems(table, found, slices), *_action_problems(table), *_picture_problems(table)),
    )


def _outcomes(table: Table, path: Path | None) -> tuple[Outcomes, list[str]]:
    if path is None and table.success is None:
        problem = [] if table.demos else ["no outcome is recorded (no column `next.success`); give outcomes in a csv"]
        return dict.fromkeys(range(table.episodes)), problem
    return resolve_outcomes(table, path)[0], []


def _coverage(table: Table, path: Path) -> tuple[dict[str, int], dict[str, int]]:
    columns = read_parquet(path, LABEL_COLUMNS)
    check_coverage(path, columns[INDEX], table.index, "run `vantage label` again")
    routes = {str(route): int((columns["route"] == route).sum()) for route in Route}
    heads = {head: int(columns[f"{head}_mask"].sum()) for head in ("viability", "efficiency")}
    return {route: count for route, count in routes.items() if count}, heads


def _weighing(path: Path) -> Weighing:
    columns = read_parquet(path, ("weight", "sampling"))
    weight, sampling = columns["weight"].astype(np.float64), columns["sampling"].astype(np.float64)
    drawn = sampling > 0
    return Weighing(
        frames=len(weight),
        drawn=int(drawn.sum()),
        effective=effective_sample_size(weight, sampling),
        largest=float(weight.max(initial=0.0)),
    )


def _name(episodes: Sequence[int]) -> str:
    """Name one episode, or count many."""
    return f"episode {episodes[0]}" if len(episodes) == 1 else f"{len(episodes)} episodes (first {episodes[0]})"


def _episode_problems(table: Table, outcomes: Outcomes, slices: Sequence[slice]) -> list[str]:
    silent = [episode for episode, outcome in outcomes.items() if outcome is None]
    blips = [e for e, rows in enumerate(slices) if (_run_lengths(table.intervention[rows]) == 1).any()]
    single = [e for e, rows in enumerate(slices) if rows.stop - rows.start == 1]
    late = [e for e, rows in enumerate(slices) if table.success is not None and table.success[rows].any() and not table.success[rows][-1]]
    cut = [e for e, rows in enumerate(slices) if table.cut[rows].any()]
    said = [
        (silent if len(silent) < len(outcomes) else [], "without an outcome: their policy frames stay unlabelled"),
        (blips if not table.demos else [], "with an intervention of a single frame: a slip of the finger, or a flag that flickers"),
        (single, "of a single frame"),
        (late, "that succeeded before the end and not on the last frame: steps to success are counted to the last frame"),
        (cut, "with a gap in the recording: nothing is carried across it"),
    ]
    return [f"{_name(episodes)} {text}" for episodes, text in said if episodes]


def _run_lengths(flag: Bool[np.ndarray, "T"]) -> Int64[np.ndarray, "K"]:
    """Lengths of the runs of True."""
    edges = np.diff(np.concatenate([[0], flag.astype(np.int64), [0]]))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def _action_problems(table: Table) -> list[str]:
    problems: list[str] = []
    low, high = table.action.min(0), table.action.max(0)
    for dimension, (bottom, top) in enumerate(zip(low, high, strict=True)):
        column = table.action[:, dimension]
        if bottom == top:
            problems.append(f"action dimension {dimension} never changes (it is {bottom:g} in every frame)")
            continue
        share = float(((column == bottom) | (column == top)).mean())
        if share > SATURATED and len(np.unique(column)) > 2:
            problems.append(
                f"action dimension {dimension} sits at its limits ({bottom:g} or {top:g}) in {share:.0%} of the frames: clipped"
            )
    for name, values in (("observation.state", table.state), ("action", table.action)):
        largest = float(np.abs(values).max())
        if largest > 1e6:
            problems.append(f"`{name}` reaches {largest:.3g}: check its units")
    return problems


def _picture_problems(table: Table) -> list[str]:
    """Episodes in which a camera shows one picture for more than `STUCK_SECONDS` while the robot moves. Reads videos only."""
    info = read_info(table.root)
    problems: list[str] = []
    if info.depth_cameras:
        problems.append(f"{', '.join(info.depth_cameras)} holds distances (depth), which no policy here reads: left out")
    cameras = [camera for camera in info.cameras.values() if camera.is_video]
    if not cameras:
        return problems

    episodes = read_episodes(info)
    for camera in cameras:
        stuck = [episode for video in videos_of(episodes, camera) for episode in _stuck_episodes(table, video)]
        if stuck:
            problems.append(
                f"{_name(sorted(stuck))} in which camera {camera.name} shows the same picture for over {STUCK_SECONDS:g} s "
                "while the robot moves"
            )
    return problems


def _stuck_episodes(table: Table, video: Video) -> list[int]:
    seen = [_blocks(picture) for _, picture in zip(video.rows, _gray(video), strict=False)]
    if len(seen) < len(video.rows):
        lacking = len(video.rows) - len(seen)
        raise VantageError(f"video {video.path} lacks {lacking:,} pictures that its dataset needs; restore it or record it again.")
    limit = round(STUCK_SECONDS * table.fps)
    reach = np.ptp(table.state, axis=0)
    stuck: list[int] = []
    for episode, first in video.first.items():
        rows = table.slices[episode]
        shown = np.stack(seen[first : first + rows.stop - rows.start])
        if _stuck(shown, table.state[rows] / np.where(reach > 0, reach, 1), limit):
            stuck.append(episode)
    return stuck


def _gray(video: Video) -> Iterator[UInt8[np.ndarray, "_h _w"]]:
    return (picture for _, picture in read_video(video.path, "gray"))


def _blocks(picture: UInt8[np.ndarray, "P Q"]) -> Float32[np.ndarray, "K L"]:
    """Means of about BLOCKS x BLOCKS equal blocks; what is left over at the right and the bottom is not looked at."""
    side = max(1, min(picture.shape) // BLOCKS)
    rows, columns = (extent // side for extent in picture.shape)
    cropped = picture[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cropped.mean(axis=(1, 3), dtype=np.float32)


def _stuck(shown: Float32[np.ndarray, "T K L"], state: Float32[np.ndarray, "T S"], limit: int) -> bool:
    """Whether `limit` pictures in a row equal the one before them while the state, in shares of its range, moves."""
    start = 0
    for now in range(1, len(shown)):
        if np.abs(shown[now] - shown[start]).max() >= SAME:
            start = now
        elif now - start >= limit and np.ptp(state[start : now + 1], axis=0).max() > MOVED:
            return True
    return False
