"""Attempts of a table -> the labels of all its frames, and why some of them teach nothing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vantage.core.credit import join_labels, label_episode, leave_out
from vantage.core.segments import numbered
from vantage.data.outcomes import LEFT_OUT, Attempt
from vantage.data.v3.read import Table
from vantage.types import Labels


def labels_of(
    table: Table,
    attempts: Sequence[Attempt],
    *,
    demo_viability: bool = False,
    demo_efficiency: bool = False,
) -> Labels:
    """The labels of every frame of a table.

    `attempts`: of all its frames, in order. `demo_viability`, `demo_efficiency`: whether demonstrations teach
    the critic too.
    """
    parts: list[Labels] = []
    for attempt in attempts:
        labels = label_episode(
            table.trace(attempt.rows, attempt.outcome),
            demo_viability=demo_viability,
            demo_efficiency=demo_efficiency,
        )
        parts.append(leave_out(labels) if attempt.number == LEFT_OUT else labels)
    joined = join_labels(parts)

    # Segments are numbered through an episode, however many attempts it holds.
    starts = np.append(True, np.diff(joined.segment) != 0)
    starts[[attempt.rows.start for attempt in attempts]] = True
    return replace(joined, segment=numbered(starts, table.frame_index == 0))
