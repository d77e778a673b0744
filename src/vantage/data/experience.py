"""Several labelled data sets in, one table of frames out: all that a round trains on, in one order that every stage agrees on.

Source (round 0, demonstrations) ─┐
Source (round 1)                 ─┼──> Replay: N frames, row by row ──> features, targets, weights, windows
Source (round 2)                 ─┘
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from vantage.core.credit import join_labels
from vantage.core.segments import last_of_segment
from vantage.core.timeline import Timeline, timeline
from vantage.data.frames import FrameStore
from vantage.data.loader import RandomShift, WindowLoader
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import INDEX, LABEL_COLUMNS
from vantage.disk.layout import Source
from vantage.disk.tables import check_coverage, read_note, read_parquet
from vantage.types import Labels, Route, Trace, VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """N frames of several data sets, end to end."""

    sources: tuple[Source, ...]
    tables: tuple[Table, ...]
    labels: Labels
    traces: tuple[Trace, ...]
    frames: Timeline
    round: Int64[np.ndarray, "N"]
    """In whose `1-episodes` a frame lives."""
    index: Int64[np.ndarray, "N"]
    """Absolute frame index in that data set."""
    segment_end: Int64[np.ndarray, "N"]
    """Last row of the frame's segment."""
    stores: tuple[FrameStore, ...]
    """Pictures, source by source; empty for a policy that looks at none."""

    def __len__(self) -> int:
        """N."""
        return len(self.index)

    def loader(self, horizon: int, cameras: tuple[str, ...], shift: int = 0) -> WindowLoader:
        """Windows of `horizon` steps over these frames; `shift`: random shift of the pictures by up to so many pixels."""
        augment = RandomShift(shift) if shift and cameras else None
        return WindowLoader.over(self.tables, self.segment_end, horizon, self.stores if cameras else (), cameras, augment)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The distinct prompts, in the order of their first episode."""
        return tuple(dict.fromkeys(p for table in self.tables for p in table.prompts))

    @property
    def prompt(self) -> Int64[np.ndarray, "N"]:
        """Row of `prompts` of every frame."""
        place = {p: i for i, p in enumerate(self.prompts)}
        return np.concatenate([np.array([place[p] for p in t.prompts], dtype=np.int64)[t.prompt] for t in self.tables])

    @property
    def demo(self) -> Bool[np.ndarray, "N"]:
        """Frames of demonstrations."""
        return self.labels.route == Route.DEMO


def load_replay(sources: Sequence[Source]) -> Replay:
    """Read every source and lay them end to end. Raises VantageError where labels and frames do not fit."""
    if not sources:
        raise VantageError("there is nothing to train on: name at least one data set")
    tables: list[Table] = []
    labels: list[Labels] = []
    traces: list[Trace] = []
    for source in sources:
        columns = read_parquet(source.labels, LABEL_COLUMNS)
        table = read_table(source.episodes, demos=bool((columns["route"] == Route.DEMO).all()))
        check_coverage(source.labels, columns[INDEX], table.index, f"run `vantage label {source.labels.parent}`")
        order = np.argsort(columns[INDEX])[np.searchsorted(np.sort(columns[INDEX]), table.index)]
        mine = Labels(**{name: columns[name][order] for name in Labels.__dataclass_fields__})
        tables.append(table)
        labels.append(mine)
        traces += _traces(table, mine, read_note(source.labels).get("outcomes"))
    _check_alike(sources, tables)
    joined = join_labels(labels)
    whole = timeline(traces)
    return Replay(
        sources=tuple(sources),
        tables=tuple(tables),
        labels=joined,
        traces=tuple(traces),
        frames=whole,
        round=np.concatenate([np.full(len(t.index), s.round, dtype=np.int64) for s, t in zip(sources, tables, strict=True)]),
        index=np.concatenate([t.index for t in tables]),
        segment_end=last_of_segment(joined.segment, whole.episode),
        stores=tuple(FrameStore.open(s.frames) for s in sources if s.frames is not None),
    )


def _traces(table: Table, labels: Labels, outcomes: Sequence[bool | None] | None) -> list[Trace]:
    """Episodes as credit assignment sees them, with the outcomes that were noted beside the labels.

    Without a note the outcome is read back from the labels, which cannot tell a failure in human hands from an episode without an outcome.
    Demonstrations count as successes.
    """
    slices = [slice(a, b) for a, b in itertools.pairwise(table.starts)]
    known = [_outcome(labels, rows) for rows in slices] if outcomes is None else outcomes
    return [_trace(table, labels, rows, outcome) for rows, outcome in zip(slices, known, strict=True)]


def _outcome(labels: Labels, rows: slice) -> bool | None:
    if labels.efficiency_mask[rows].any():
        return True
    return False if (labels.route[rows] == Route.ROLLOUT_FAILURE).any() else None


def _trace(table: Table, labels: Labels, rows: slice, outcome: bool | None) -> Trace:
    demo = bool((labels.route[rows] == Route.DEMO).all())
    return Trace(
        intervention=table.intervention[rows],
        policy_version=table.policy_version[rows],
        cut=table.cut[rows],
        outcome=True if demo else outcome,
        demo=demo,
    )


def _check_alike(sources: Sequence[Source], tables: Sequence[Table]) -> None:
    shapes = {(t.state.shape[1], t.action.shape[1]) for t in tables}
    if len(shapes) > 1:
        described = ", ".join(f"{s.episodes}: {t.state.shape[1]} and {t.action.shape[1]}" for s, t in zip(sources, tables, strict=True))
        raise VantageError(f"the data sets differ in state and action dimensions ({described}); train on one robot at a time")
