"""A data set and its outcomes in; `2-labels.parquet` out (docs/data.md). The data set itself is never touched."""

from dataclasses import dataclass
from pathlib import Path

from vantage.core.credit import join_labels, label_episode
from vantage.data.outcomes import resolve_outcomes
from vantage.data.v3.read import read_table
from vantage.data.v3.schema import EPISODE, FRAME, INDEX, LABEL_COLUMNS
from vantage.disk.tables import write_parquet
from vantage.types import Labels


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
    known = {} if demos and outcomes is None else resolve_outcomes(table, outcomes)
    traces = table.traces([known.get(episode, True if demos else None) for episode in range(table.episodes)])
    labels = join_labels(
        [label_episode(t, demo_viability=settings.demo_viability, demo_efficiency=settings.demo_efficiency) for t in traces]
    )
    columns = {
        INDEX: table.index,
        EPISODE: table.episode_index,
        FRAME: table.frame_index,
        **{name: getattr(labels, name) for name in Labels.__dataclass_fields__},
    }
    nullable = ("viability_target", "efficiency_target_mc")
    write_parquet(out, {name: columns[name] for name in LABEL_COLUMNS}, nullable, note={"outcomes": [t.outcome for t in traces]})
    return labels
