"""Time stamps of a recording -> seconds that can be trusted, and where frames are missing."""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from vantage.data.v3.columns import first_frame
from vantage.data.v3.meta import Info
from vantage.data.v3.schema import FRAME, TIMESTAMP
from vantage.types import VantageError

GAP = 1.5
"""A step in time longer than this many control periods may be a cut."""
LATE = 0.6
"""It is one where the frames behind it are late by more than this many periods against those before it."""
AROUND = 10
"""Frames on either side whose lateness is compared, by the median: a clock that jitters by 0.4 periods makes
no cut."""


def seconds(table: pa.Table, info: Info) -> Float64[np.ndarray, "N"]:
    """The time stamps.

    Raises VantageError for those that tell no time, since a cut in time could not be seen in them.
    """
    column: pa.Array = table.column(TIMESTAMP).combine_chunks()
    remedy = f"write frame_index / {info.fps:g} into it if the recording has no pauses"
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise VantageError(
            f"column `{TIMESTAMP}` of {info.root} is {column.type} where seconds belong; {remedy}."
        )
    if column.null_count:
        raise VantageError(
            f"column `{TIMESTAMP}` of {info.root} is empty in {column.null_count:,} frames; {remedy}."
        )
    seconds = column.to_numpy(zero_copy_only=False).astype(np.float64)
    bad = ~np.isfinite(seconds)
    if bad.any():
        raise VantageError(
            f"column `{TIMESTAMP}` of {info.root} is NaN or infinite in {int(bad.sum()):,} frames, "
            f"first in {first_frame(table, bad)}; {remedy}."
        )

    inner = np.asarray(table.column(FRAME).to_numpy()) > 0
    if inner.any():
        elapsed = np.diff(seconds, prepend=0.0)[inner]
        looks = _strange_clock(seconds, elapsed, pa.types.is_float32(column.type), info.fps)
        if looks:
            raise VantageError(f"column `{TIMESTAMP}` of {info.root} {looks}; {remedy}.")
    return seconds


def _strange_clock(
    seconds: Float64[np.ndarray, "N"], elapsed: Float64[np.ndarray, "K"], is_single: bool, fps: float
) -> str:
    """What is wrong with a clock as a whole, judged by its median step; empty where nothing is."""
    if not seconds.any():
        return "is 0 in every frame"
    largest = float(np.abs(seconds).max())
    if is_single and np.spacing(np.float32(largest)) > 0.5 / fps:
        return (
            f"looks like a wall clock kept in 32 bits: at {largest:.3g} s it cannot tell one control step "
            "from the next"
        )

    periods = float(np.median(elapsed)) * fps
    for unit, per_second in (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        if 2 / 3 < periods / per_second < 1.5:
            return (
                f"looks like {unit}: one control step is {np.median(elapsed):.3g}, and seconds belong there"
            )
    if not 2 / 3 < periods < 1.5:
        return (
            f"advances by {np.median(elapsed):.3g} s per frame, and info.json says {fps:g} frames per second "
            "(correct that if it is wrong)"
        )
    return ""


def cuts_in_time(
    seconds: Float64[np.ndarray, "N"], frame: Int64[np.ndarray, "N"], fps: float
) -> Bool[np.ndarray, "N"]:
    """Where frames are missing before this one.

    A cut is a step that is too long or leads backwards, and behind which everything stays late (or early). A
    frame that comes late alone is no cut: a gap of one frame shifts all that follow by a period, and jitter
    shifts none.
    """
    step = np.diff(seconds, prepend=seconds[:1]) * fps
    lateness = seconds * fps - frame
    start = np.arange(len(frame)) - frame
    bounds = np.append(np.flatnonzero(frame == 0), len(frame))

    cut = np.zeros(len(frame), np.bool_)
    for row in np.flatnonzero((frame > 0) & ((step > GAP) | (step <= 0))):
        end = bounds[np.searchsorted(bounds, row, side="right")]
        before = lateness[max(start[row], row - AROUND) : row]
        behind = lateness[row : min(end, row + AROUND)]
        cut[row] = abs(np.median(behind) - np.median(before)) > LATE
    return cut
