"""A data set and its outcomes in; `2-labels.parquet` out (docs/data.md). The data set itself is never touched."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vantage.core.credit import join_labels, label_episode
from vantage.data.outcomes import resolve_outcomes
from vantage.data.v3.read import read_table
from vantage.data.v3.schema import EPISODE, FRAME, INDEX, LABEL_COLUMNS, OUTCOME_SOURCE
from vantage.disk.tables import write_parquet
from vantage.types import Labels, OutcomeSource


@dataclass(frozen=True, slots=True)
class Labelling:
    """Whether demonstrations teach the critic too."""

    demo_viability: bool = False
    """Demonstrations as viability data (outcome 1)."""
    demo_efficiency: bool = False
    """Demonstrations as efficiency data."""


def label(episodes: Path, out: Path, *, outcomes: Path | None = None, demos: bool = False, settings: Labelling = Labelling()) -> Labels:
    """Label every frame of a LeRobotDataset and write the table.

    `outcomes`: a csv with the columns episode_index, success; None: the data set's own next.success column. `demos`: it holds
    demonstrations. Raises VantageError, and writes nothing, for anything that docs/data.md forbids.
    """
    table = read_table(episodes, demos=demos)
    recorded, source = ({}, OutcomeSource.DEMO) if demos and outcomes is None else resolve_outcomes(table, outcomes)

    # A demonstration that nobody judged succeeded: that is why it was kept.
    ends = [recorded.get(episode) for episode in range(table.episodes)]
    sources = [_source_of(end, source, demos) for end in ends]
    traces = table.traces([True if end is None and demos else end for end in ends])

    labels = join_labels(
        [label_episode(trace, demo_viability=settings.demo_viability, demo_efficiency=settings.demo_efficiency) for trace in traces]
    )
    columns = {
        INDEX: table.index,
        EPISODE: table.episode_index,
        FRAME: table.frame_index,
        OUTCOME_SOURCE: np.repeat(np.array(sources, dtype=object), np.diff(table.starts)),
        **{name: getattr(labels, name) for name in Labels.__dataclass_fields__},
    }
    nullable = ("outcome", OUTCOME_SOURCE, "viability_target", "efficiency_target_mc")
    write_parquet(out, {name: columns[name] for name in LABEL_COLUMNS}, nullable)
    return labels


def _source_of(outcome: bool | None, source: OutcomeSource, demos: bool) -> str | None:
    """Who said how an episode ended; None where nobody did."""
    if outcome is not None:
        return source.value
    return OutcomeSource.DEMO.value if demos else None
