"""Anchors -> windows: H rows of one segment each, what is real in them, and which anchors may be used.

segment   a a a a b b          H = 3, anchor at the third a:
row       0 1 2 3 4 5          rows  2 3 3
anchor        ^                valid 1 1 0      padded where the segment ends, and masked there

A policy that looks back has windows that begin before their anchor, padded and masked alike where the segment
begins.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from vantage.bounds import Count, Whole, check
from vantage.types import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRule:
    """How much of a window must be real."""

    human_one_in: Count = 5
    """An intervention window needs at least ceil(H / this) human steps: 10 of 50 in the paper (App. D)."""
    policy_steps: Count = 1
    """Any other window (policy, demonstration) needs at least this many valid steps."""
    margin: Whole = 0
    """Control steps on both sides of a hand-over that anchor no window: a log may say a little too early or
    too late who drives."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def human_steps(self, horizon: int) -> int:
        """Human steps that an intervention window of `horizon` steps needs."""
        return -(-horizon // self.human_one_in)


def window_index(
    segment_end: Int64[np.ndarray, "N"], anchors: Int64[np.ndarray, "B"], horizon: int, past: int = 0
) -> tuple[Int64[np.ndarray, "B H"], Bool[np.ndarray, "B H"]]:
    """Rows of the windows of `anchors`, and which of them are real.

    A window is the anchor with the `past` rows before it and the `horizon` - 1 rows after it (H = past +
    horizon). Rows outside the anchor's segment become its first or its last row, and are not real.
    """
    rows = anchors[:, None] + np.arange(-past, horizon)
    end = segment_end[anchors][:, None]
    if not past:
        return np.minimum(rows, end), rows <= end

    start = first_of_segment(segment_end, anchors)[:, None]
    return np.clip(rows, start, end), (start <= rows) & (rows <= end)


def earlier_rows(
    segment_end: Int64[np.ndarray, "N"],
    rows: Int64[np.ndarray, "B"],
    past: int,
) -> Int64[np.ndarray, "P B"]:
    """The P = `past` rows before each row, oldest first; a segment's first row stands for those before it."""
    back = np.arange(past, 0, -1)[:, None]
    return np.maximum(rows - back, first_of_segment(segment_end, rows))


def first_of_segment(
    segment_end: Int64[np.ndarray, "N"],
    rows: Int64[np.ndarray, "B"],
) -> Int64[np.ndarray, "B"]:
    """First row of the segment that each row is in."""
    # The rows of a segment name the same end, and ends only grow.
    return np.searchsorted(segment_end, segment_end[rows]).astype(np.int64)


def valid_anchors(
    segment_end: Int64[np.ndarray, "N"],
    route: Shaped[np.ndarray, "N"],
    horizon: int,
    rule: WindowRule = WindowRule(),
) -> Bool[np.ndarray, "N"]:
    """Frames that can anchor a window of `horizon` steps."""
    # Inside one segment one controller drives, so the human steps of a window are all of its real ones.
    real = np.minimum(segment_end - np.arange(len(segment_end)) + 1, horizon)
    return real >= np.where(route == Route.INTERVENTION, rule.human_steps(horizon), rule.policy_steps)


def near_handover(
    intervention: Bool[np.ndarray, "N"], episode: Int64[np.ndarray, "N"], margin: int
) -> Bool[np.ndarray, "N"]:
    """Frames fewer than `margin` steps after a hand-over or at most `margin` before it, in their episode."""
    near = np.zeros(len(intervention), dtype=np.bool_)
    first = np.flatnonzero((intervention[1:] != intervention[:-1]) & (episode[1:] == episode[:-1])) + 1
    for step in range(-margin, margin):
        at = first + step
        inside = (at >= 0) & (at < len(near))
        at, home = at[inside], episode[first[inside]]
        near[at[episode[at] == home]] = True
    return near


def commanded_dims(
    intervention: Bool[np.ndarray, "N"], human_dims: Bool[np.ndarray, "A"]
) -> Bool[np.ndarray, "N A"]:
    """Action dimensions that somebody commanded: all where the policy drove, `human_dims` where a human did.

    A human may hold one arm of two.
    """
    return ~intervention[:, None] | human_dims


def action_mask(
    rows: Int64[np.ndarray, "B H"],
    valid: Bool[np.ndarray, "B H"],
    dims: Bool[np.ndarray, "A"] | Bool[np.ndarray, "N A"],
) -> Bool[np.ndarray, "B H A"]:
    """Mask of Eq. 1's norm: False on padding and on action dimensions that nobody commanded.

    `dims`: those that somebody commanded, for the robot or for every frame.
    """
    return valid[:, :, None] & (dims if dims.ndim == 1 else dims[rows])
