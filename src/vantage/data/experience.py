"""Several labelled data sets in, one table of frames out: all that a round trains on, in one order that every stage agrees on.

Source (round 0, demonstrations) ─┐
Source (round 1)                 ─┼──> Experience: N frames, row by row ──> features, targets, weights, windows
Source (round 2)                 ─┘
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vantage.core.credit import join_labels
from vantage.core.segments import last_of_segment
from vantage.core.timeline import Timeline, timeline
from vantage.data.frames import Frames, open_frames
from vantage.data.loader import RandomShift, WindowLoader
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import INDEX, LABEL_COLUMNS
from vantage.disk.layout import Source
from vantage.disk.tables import check_coverage, read_parquet
from vantage.types import Labels, Route, Trace, VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
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
    stores: tuple[Frames, ...]
    """Pictures, source by source; empty for a policy that looks at none."""

    def __len__(self) -> int:
        """N."""
        return len(self.index)

    @property
    def state(self) -> Float32[np.ndarray, "N S"]:
        """Proprioception of every frame."""
        return np.concatenate([table.state for table in self.tables])

    @property
    def action(self) -> Float32[np.ndarray, "N A"]:
        """What was executed on every frame."""
        return np.concatenate([table.action for table in self.tables])

    @property
    def environment_state(self) -> Float32[np.ndarray, "N E"] | None:
        """True state of every frame; None unless every data set recorded it."""
        recorded = [table.environment_state for table in self.tables]
        known = [truth for truth in recorded if truth is not None]
        return np.concatenate(known) if len(known) == len(recorded) else None

    @property
    def cameras(self) -> dict[str, tuple[int, int]]:
        """Camera name -> (height, width) of its pictures; empty where no pictures were kept."""
        if not self.stores:
            return {}
        return dict(self.stores[0].cameras)

    def loader(self, horizon: int, cameras: Mapping[str, tuple[int, int] | None], shift: int = 0) -> WindowLoader:
        """Windows of `horizon` steps over these frames.

        `cameras`: what the policy looks at (`policy.interface.cameras`). `shift`: random shift of the pictures by up to so many pixels.
        Raises VantageError for a camera that a data set lacks, or holds at another size than the policy must be given.
        """
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


def load_experience(sources: Sequence[Source]) -> Experience:
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

        # The labels may stand in any order; the frames of the dataset decide.
        order = np.argsort(columns[INDEX])[np.searchsorted(np.sort(columns[INDEX]), table.index)]
        own = Labels(**{name: columns[name][order] for name in Labels.__dataclass_fields__})
        tables.append(table)
        labels.append(own)
        traces += _traces(table, own, source.labels)
    tables = _alike(sources, tables)
    joined = join_labels(labels)
    whole = timeline(traces)
    return Experience(
        sources=tuple(sources),
        tables=tuple(tables),
        labels=joined,
        traces=tuple(traces),
        frames=whole,
        round=np.concatenate([np.full(len(t.index), s.round, dtype=np.int64) for s, t in zip(sources, tables, strict=True)]),
        index=np.concatenate([t.index for t in tables]),
        segment_end=last_of_segment(joined.segment, whole.episode),
        stores=tuple(open_frames(s.frames) for s in sources if s.frames is not None),
    )


def _traces(table: Table, labels: Labels, path: Path) -> list[Trace]:
    """Episodes as credit assignment sees them, with the outcomes that stand in their labels.

    Raises VantageError where the rows of one episode disagree about its outcome.
    """
    outcomes: list[bool | None] = []
    for episode, rows in enumerate(table.slices):
        recorded = np.unique(labels.outcome[rows])  # NaN counts once
        if len(recorded) != 1:
            raise VantageError(
                f"{path} gives episode {episode} several outcomes; one episode has one: run `vantage label {path.parent}` again"
            )
        outcomes.append(None if np.isnan(recorded[0]) else bool(recorded[0]))
    return table.traces(outcomes)


def _alike(sources: Sequence[Source], tables: Sequence[Table]) -> list[Table]:
    """The tables with their columns in the order of the first one's names. Raises VantageError where they are not of one robot."""
    first, origin = tables[0], sources[0].episodes
    aligned: list[Table] = []
    for source, table in zip(sources, tables, strict=True):
        if table.state.shape[1] != first.state.shape[1] or table.action.shape[1] != first.action.shape[1]:
            described = ", ".join(f"{s.episodes}: {t.state.shape[1]} and {t.action.shape[1]}" for s, t in zip(sources, tables, strict=True))
            raise VantageError(f"the data sets differ in state and action dimensions ({described}); train on one robot at a time")
        if abs(table.fps - first.fps) > 1e-3:
            raise VantageError(
                f"{source.episodes} was recorded at {table.fps:g} control steps a second and {origin} at {first.fps:g}; "
                "steps and chunks would mean different times: record both at one rate, or train on them apart"
            )
        state = _order("observation.state", first.state_names, table.state_names, source.episodes, origin)
        action = _order("action", first.action_names, table.action_names, source.episodes, origin)
        aligned.append(_reordered(table, state, action))
    return aligned


def _order(column: str, wanted: tuple[str, ...] | None, names: tuple[str, ...] | None, path: Path, origin: Path) -> list[int] | None:
    """Where the dimensions called `wanted` stand among `names`; None where they stand right, or where one side has no names."""
    if wanted is None or names is None or wanted == names:
        return None
    if sorted(wanted) != sorted(names):
        strange = sorted(set(names) ^ set(wanted))
        raise VantageError(
            f"column `{column}` of {path} has other dimensions than that of {origin} ({', '.join(strange)}); train on one robot at a time"
        )
    return [names.index(name) for name in wanted]


def _reordered(table: Table, state: list[int] | None, action: list[int] | None) -> Table:
    """A table with its state and action dimensions in another order; itself where both are None."""
    if state is not None:
        table = replace(table, state=np.ascontiguousarray(table.state[:, state]))
    if action is not None:
        proposed = table.policy_action
        table = replace(
            table,
            action=np.ascontiguousarray(table.action[:, action]),
            policy_action=None if proposed is None else np.ascontiguousarray(proposed[:, action]),
        )
    return table
