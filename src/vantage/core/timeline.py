"""Traces of many episodes -> one table of frames, end to end, for every other function of `core`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from vantage.core.segments import last_of_run
from vantage.types import Trace, VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """N frames of several episodes, in order of time within each episode."""

    episode: Int64[np.ndarray, "N"]
    """Position of the episode among the traces."""
    frame: Int64[np.ndarray, "N"]
    """Position of the frame within its episode, from 0."""
    intervention: Bool[np.ndarray, "N"]
    """True where a human drove."""
    policy_version: Int64[np.ndarray, "N"]
    """Actor updates since the supervised checkpoint; -1 in demonstrations."""
    cut: Bool[np.ndarray, "N"]
    """True where time is cut before this frame, within the episode."""
    demo: Bool[np.ndarray, "N"]
    """True in demonstrations."""
    outcome: Float64[np.ndarray, "N"]
    """The episode's outcome on each of its frames: 1, 0, NaN where it was not recorded."""

    def __len__(self) -> int:
        """N."""
        return len(self.frame)

    @property
    def last(self) -> Bool[np.ndarray, "N"]:
        """The last frame of every episode."""
        return np.arange(len(self)) == last_of_run(self.frame == 0)

    @property
    def success(self) -> Bool[np.ndarray, "N"]:
        """The success frames: the last of every successful episode."""
        return self.last & (self.outcome == 1)

    def stretch_starts(self, *, across_handover: bool = True) -> Bool[np.ndarray, "N"]:
        """First frame of every stretch that a look ahead may not leave.

        A stretch ends with its episode, at a cut in time, and at a hand-over if not `across_handover`.
        """
        starts = (self.frame == 0) | self.cut
        if not across_handover:
            starts[1:] |= self.intervention[1:] != self.intervention[:-1]
        return starts


def check_trace(trace: Trace) -> None:
    """Raise `VantageError` for a trace without frames or with columns of different lengths."""
    lengths = {len(trace.intervention), len(trace.policy_version), len(trace.cut)}
    if lengths == {0}:
        raise VantageError("an episode has no frames; leave it out of the dataset")
    if len(lengths) > 1:
        fault = f"the columns of one episode have different lengths {sorted(lengths)}"
        raise VantageError(f"{fault}; record one value per frame in each")


def timeline(traces: Sequence[Trace]) -> Timeline:
    """Lay the episodes end to end. Raises `VantageError` where there is nothing to lay."""
    if not traces:
        raise VantageError("there are no episodes; collect some first")
    for trace in traces:
        check_trace(trace)

    lengths = np.array([len(trace.cut) for trace in traces])
    outcomes = np.array([np.nan if trace.outcome is None else float(trace.outcome) for trace in traces])
    frame = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])

    return Timeline(
        episode=np.repeat(np.arange(len(traces), dtype=np.int64), lengths),
        frame=frame,
        intervention=np.concatenate([trace.intervention for trace in traces]),
        policy_version=np.concatenate([trace.policy_version for trace in traces]),
        cut=np.concatenate([trace.cut for trace in traces]) & (frame > 0),
        demo=np.repeat(np.array([trace.demo for trace in traces]), lengths),
        outcome=np.repeat(outcomes, lengths),
    )
