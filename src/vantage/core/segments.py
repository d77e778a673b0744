"""Who drove, and where time was cut -> segments, suffixes and runs of rows.

    driver   P P P H H P P P          P policy, H human, | a gap in the recording
    cut            .     |
    segment  0 0 0 1 1 2 3 3          they tile the episode
    suffix             x x x          all that the policy drove after the last intervention

A *run* is any maximal stretch of neighbouring rows of a table (an episode, a segment, a stretch of unbroken
time); `starts` marks the first row of each. Runs, not episodes, are what the rest of `core` works on, so that
one call handles a table of many episodes.
"""

import numpy as np
from jaxtyping import Bool, Int64


def segment_starts(intervention: Bool[np.ndarray, "T"], cut: Bool[np.ndarray, "T"]) -> Bool[np.ndarray, "T"]:
    """First frame of every segment of one episode: frame 0, every change of driver, every cut in time."""
    starts = cut.copy()
    starts[:1] = True
    starts[1:] |= intervention[1:] != intervention[:-1]
    return starts


def segments(intervention: Bool[np.ndarray, "T"], cut: Bool[np.ndarray, "T"]) -> Int64[np.ndarray, "T"]:
    """Number the segments of one episode 0, 1, 2 ...

    A segment is an interval under one controller (the paper's "Problem Setup") without a cut in time.
    """
    return np.cumsum(segment_starts(intervention, cut), dtype=np.int64) - 1


def numbered(starts: Bool[np.ndarray, "N"], begins: Bool[np.ndarray, "N"]) -> Int64[np.ndarray, "N"]:
    """Number runs 0, 1, 2 ..., from 0 again at every row of `begins`. `starts`: first row of every run;
    ``begins[0]`` must be True, and every row of `begins` starts a run."""
    count = np.cumsum(starts, dtype=np.int64)
    return count - np.maximum.accumulate(np.where(begins, count, 0))


def suffix(intervention: Bool[np.ndarray, "T"]) -> Bool[np.ndarray, "T"]:
    """Frames after the last intervention.

    All of an autonomous episode, and none of one that ends in human hands. A cut in time does not shorten it:
    who was in control, not the recording, is the attribution boundary.
    """
    human = np.flatnonzero(intervention)
    return np.arange(len(intervention)) > (human[-1] if len(human) else -1)


def last_of_run(starts: Bool[np.ndarray, "N"]) -> Int64[np.ndarray, "N"]:
    """Last row (inclusive) of the run that each row is in. ``starts[0]`` must be True."""
    first = np.flatnonzero(starts)
    after = np.append(first, len(starts))[1:]
    return np.repeat(after - 1, after - first)


def last_of_segment(
    segment: Int64[np.ndarray, "N"], episode: Int64[np.ndarray, "N"]
) -> Int64[np.ndarray, "N"]:
    """Last row (inclusive) of the segment that each row of a table of many episodes is in.

    It is what `windows` calls ``segment_end``.
    """
    starts = np.ones(len(segment), dtype=np.bool_)
    starts[1:] = (segment[1:] != segment[:-1]) | (episode[1:] != episode[:-1])
    return last_of_run(starts)
