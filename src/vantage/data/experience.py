"""Several labelled data sets -> one table of frames: all that a round trains on, in the order of every stage.

Source (round 0, demonstrations) ─┐
Source (round 1)                 ─┼──> Experience: N frames ──> features, targets, weights, windows
Source (round 2)                 ─┘
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from vantage.core.credit import join_labels
from vantage.core.segments import last_of_segment
from vantage.core.timeline import Timeline, timeline
from vantage.core.windows import commanded_dims
from vantage.data.fingerprints import fingerprints
from vantage.data.frames import Frames, open_frames
from vantage.data.loader import RandomShift, WindowLoader
from vantage.data.sidecars import match, read_labels
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import ATTEMPT, FINGERPRINT
from vantage.disk.layout import Source
from vantage.disk.tables import Column
from vantage.types import Controller, Labels, Reading, Route, Trace, VantageError


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
    fingerprint: Int64[np.ndarray, "N"]
    """Of the content of the frame's episode (`data.fingerprints`)."""
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

    def loader(
        self,
        horizon: int,
        cameras: Mapping[str, tuple[int, int] | None],
        shift: int = 0,
        human_actions: Sequence[str] = (),
        history: int = 1,
        *,
        whole_demonstrations: bool = False,
    ) -> WindowLoader:
        """Windows of `horizon` steps over these frames, from their anchors on.

        `cameras`, `history`: what the policy looks at (`policy.interface`). `shift`: random shift of the
        pictures by up to so many pixels. `human_actions`: the action dimensions that a person commands, by
        name or number; none: all. `whole_demonstrations`: in demonstrations a person commands all of them.
        Raises VantageError for a camera that a data set lacks, or holds at another size than the policy must
        be given, and for a dimension that is not there.
        """
        augment = RandomShift(shift) if shift and cameras else None
        stores = self.stores if cameras else ()
        windows = WindowLoader.over(self.tables, self.segment_end, horizon, stores, cameras, augment, history)
        if not human_actions:
            return windows
        human = self.frames.intervention
        if whole_demonstrations:
            human = human & (self.labels.route != Route.DEMO)
        commanded = commanded_dims(human, self._dimensions(human_actions))
        return replace(windows, commanded=commanded)

    def _dimensions(self, wanted: Sequence[str]) -> Bool[np.ndarray, "A"]:
        """Which action dimensions some names or numbers mean."""
        count = self.tables[0].action.shape[1]
        names = self.tables[0].action_names or ()
        known = {str(number): number for number in range(count)}
        known |= {name: number for number, name in enumerate(names)}
        strange = [name for name in wanted if name not in known]
        if strange:
            have = f"{', '.join(names)}, or " if names else ""
            raise VantageError(
                f"the actions have no dimension {strange[0]!r}; name some of {have}0 to {count - 1}"
            )

        chosen = np.zeros(count, np.bool_)
        chosen[[known[name] for name in wanted]] = True
        return chosen

    @property
    def prompts(self) -> tuple[str, ...]:
        """The distinct prompts, in the order of their first episode."""
        return tuple(dict.fromkeys(p for table in self.tables for p in table.prompts))

    @property
    def prompt(self) -> Int64[np.ndarray, "N"]:
        """Row of `prompts` of every frame."""
        number = {prompt: i for i, prompt in enumerate(self.prompts)}
        of_table = [np.array([number[prompt] for prompt in table.prompts], np.int64) for table in self.tables]
        return np.concatenate([own[table.prompt] for own, table in zip(of_table, self.tables, strict=True)])

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
    fingerprint: list[Column] = []
    for source in sources:
        table, columns = _described(source)
        own = Labels(**{name: columns[name] for name in Labels.__dataclass_fields__})
        tables.append(table)
        labels.append(own)
        fingerprint.append(columns[FINGERPRINT])
        traces += _traces(table, own, columns[ATTEMPT], source.labels)

    tables = _alike(sources, tables)
    joined = join_labels(labels)
    whole = timeline(traces)
    rounds = [
        np.full(len(table), source.round, np.int64) for source, table in zip(sources, tables, strict=True)
    ]
    return Experience(
        sources=tuple(sources),
        tables=tuple(tables),
        labels=joined,
        traces=tuple(traces),
        frames=whole,
        round=np.concatenate(rounds),
        index=np.concatenate([table.index for table in tables]),
        fingerprint=np.concatenate(fingerprint),
        segment_end=last_of_segment(joined.segment, whole.episode),
        stores=tuple(open_frames(source.frames) for source in sources if source.frames is not None),
    )


def _described(source: Source) -> tuple[Table, dict[str, Column]]:
    """A data set as its labels describe it, and these, row by row as its frames.

    Who drove, and what is a demonstration, is what the labels say: they were told how to read the recording.
    """
    table = read_table(source.episodes, reading=Reading("policy"))
    contents = fingerprints(table.action, table.state, table.starts)[table.episode_index]
    remedy = f"run `vantage label {source.labels.parent}`"
    columns = match(source.labels, read_labels(source.labels), table.index, contents, remedy)
    columns |= {FINGERPRINT: contents}

    human = columns["controller"] == Controller.HUMAN
    # A demonstration that failed is not imitated, and is one all the same.
    shown = (columns["route"] == Route.DEMO) | (human & (columns["route"] == Route.UNLABELLED))
    demo = np.logical_and.reduceat(shown, table.starts[:-1])
    version = np.where(demo[table.episode_index], -1, table.policy_version)
    return replace(table, intervention=human, demo=demo, policy_version=version), columns


def _traces(table: Table, labels: Labels, attempt: Column, path: Path) -> list[Trace]:
    """Attempts as credit assignment sees them, with the outcomes that stand in their labels.

    Raises VantageError where the rows of one attempt disagree about its outcome.
    """
    begins = np.append(True, np.diff(attempt) != 0) | (table.frame_index == 0)
    edges = np.append(np.flatnonzero(begins), len(table))

    traces: list[Trace] = []
    for start, stop in pairwise(edges.tolist()):
        recorded = np.unique(labels.outcome[start:stop])  # NaN counts once
        if len(recorded) != 1:
            fault = f"{path} gives episode {table.episode_index[start]} several outcomes; one attempt has one"
            raise VantageError(f"{fault}: run `vantage label {path.parent}` again")
        outcome = None if np.isnan(recorded[0]) else bool(recorded[0])
        traces.append(table.trace(slice(start, stop), outcome))
    return traces


def _alike(sources: Sequence[Source], tables: Sequence[Table]) -> list[Table]:
    """The tables with their columns in the order of the first one's names.

    Raises VantageError where they are not of one robot.
    """
    first, origin = tables[0], sources[0].episodes
    aligned: list[Table] = []
    for source, table in zip(sources, tables, strict=True):
        if _dimensions(table) != _dimensions(first):
            pairs = [
                (named.episodes, *_dimensions(read)) for named, read in zip(sources, tables, strict=True)
            ]
            described = ", ".join(f"{episodes}: {state} and {action}" for episodes, state, action in pairs)
            fault = f"the data sets differ in state and action dimensions ({described})"
            raise VantageError(f"{fault}; train on one robot at a time")
        if abs(table.fps - first.fps) > 1e-3:
            raise VantageError(
                f"{source.episodes} was recorded at {table.fps:g} control steps a second and {origin} at "
                f"{first.fps:g}; steps and chunks would mean different times: "
                "record both at one rate, or train on them apart"
            )

        state = _order("observation.state", first.state_names, table.state_names, source.episodes, origin)
        action = _order("action", first.action_names, table.action_names, source.episodes, origin)
        aligned.append(_reordered(table, state, action))
    return aligned


def _dimensions(table: Table) -> tuple[int, int]:
    """(S, A) of a table."""
    return table.state.shape[1], table.action.shape[1]


def _order(
    column: str,
    wanted: tuple[str, ...] | None,
    names: tuple[str, ...] | None,
    path: Path,
    origin: Path,
) -> list[int] | None:
    """The position among `names` of every dimension of `wanted`.

    None where they are in that order already, or where one side has no names. Raises VantageError where the
    two name different dimensions.
    """
    if wanted is None or names is None or wanted == names:
        return None
    if sorted(wanted) != sorted(names):
        strange = ", ".join(sorted(set(names) ^ set(wanted)))
        fault = f"column `{column}` of {path} has other dimensions than that of {origin} ({strange})"
        raise VantageError(f"{fault}; train on one robot at a time")
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
