"""A LeRobotDataset and its outcomes in; `2-labels.parquet`, one row per frame, out.

Nothing in the data set is touched.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from vantage.data.fingerprints import fingerprints
from vantage.data.labelling import labels_of
from vantage.data.outcomes import attempts_of, none_succeeded
from vantage.data.outcomes_csv import unproven
from vantage.data.v3.read import read_table
from vantage.data.v3.schema import (
    ATTEMPT,
    EPISODE,
    FINGERPRINT,
    FRAME,
    INDEX,
    LABEL_COLUMNS,
    OUTCOME_SOURCE,
)
from vantage.disk.tables import write_parquet
from vantage.progress import say
from vantage.types import Labels, Reading

MEANING = 1
"""Raised by hand when the same input and settings are meant to give something else (tests/golden)."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """Whether demonstrations teach the critic too."""

    demo_viability: bool = False
    """Demonstrations as viability data (outcome 1, or what somebody recorded)."""
    demo_efficiency: bool = False
    """Demonstrations as efficiency data."""


def label(
    episodes: Path,
    out: Path,
    *,
    outcomes: Path | None = None,
    demos: bool | Collection[int] = False,
    settings: Labelling = Labelling(),
    reading: Reading = Reading(),
    judged_by_world: bool = False,
) -> Labels:
    """Label every frame of a LeRobotDataset and write the table.

    `outcomes`: a csv of outcomes (`data.outcomes`); None: what the data set itself records. `demos`: which
    episodes are demonstrations, all, none, or those with these numbers. `reading`: how the others say who
    drove. `judged_by_world`: a simulated world said how every episode ended, so that nobody can have
    forgotten to. Raises VantageError, and writes nothing, for anything that docs/data.md forbids.
    """
    table = read_table(episodes, demos=demos, reading=reading)
    attempts = attempts_of(table, outcomes)
    for doubt in (unproven(table, outcomes), "" if judged_by_world else none_succeeded(attempts)):
        if doubt:
            say(f"{table.root}: {doubt}")
    labels = labels_of(
        table,
        attempts,
        demo_viability=settings.demo_viability,
        demo_efficiency=settings.demo_efficiency,
    )

    lengths = np.array([attempt.rows.stop - attempt.rows.start for attempt in attempts])
    sources = pa.array(
        [None if attempt.source is None else attempt.source.value for attempt in attempts], pa.string()
    )
    contents = fingerprints(table.action, table.state, table.starts)
    columns = {
        INDEX: table.index,
        EPISODE: table.episode_index,
        FRAME: table.frame_index,
        OUTCOME_SOURCE: sources.take(pa.array(np.repeat(np.arange(len(attempts)), lengths))),
        ATTEMPT: np.repeat(np.array([attempt.number for attempt in attempts]), lengths),
        FINGERPRINT: contents[table.episode_index],
        **{name: getattr(labels, name) for name in Labels.__dataclass_fields__},
    }
    nullable = ("outcome", OUTCOME_SOURCE, "viability_target", "efficiency_target_mc")
    write_parquet(out, {name: columns[name] for name in LABEL_COLUMNS}, nullable)
    return labels
