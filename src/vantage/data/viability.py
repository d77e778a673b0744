"""A run, a credit ledger, or a file of progress -> p_v of every frame of the episodes that it speaks of.

What a critic says of recordings stands in the ledger of the round that weighed them (docs/data.md). Nothing
is computed again: a critic needs the policy's features, and those a machine that can run it.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from vantage.data.v3.schema import FINGERPRINT, INDEX, ROUND
from vantage.disk.layout import Round
from vantage.disk.tables import column_names, read_parquet
from vantage.types import VantageError

PROGRESS = "progress_sparse"
"""p_v in NAME-sarm_progress.parquet, as LeRobot calls it; those of others have no fingerprints."""

Viability = dict[int, Float64[np.ndarray, "_"]]
"""Episode -> p_v of its frames; NaN where nothing is known."""


def stored_viability(
    path: Path, fingerprints: Int64[np.ndarray, "M"], lengths: Int64[np.ndarray, "M"]
) -> Viability:
    """p_v of the episodes of a dataset that a run has weighed.

    `path`: a run, a round, its critic, its ledger, or NAME-sarm_progress.parquet. `fingerprints`, `lengths`:
    of the dataset's M episodes. Raises VantageError where it holds no such values, or none of these episodes.
    """
    table = _table(path)
    name = _column(table)
    there = set(column_names(table))
    if FINGERPRINT not in there:
        return _by_index(table, name, lengths)

    columns = read_parquet(table, [*({ROUND} & there), INDEX, FINGERPRINT, name])
    rounds = columns.get(ROUND, np.zeros(len(columns[INDEX]), np.int64))
    values: Viability = {}
    for episode, (fingerprint, length) in enumerate(zip(fingerprints, lengths, strict=True)):
        rows = np.flatnonzero(columns[FINGERPRINT] == fingerprint)
        if not len(rows):
            continue
        rows = rows[rounds[rows] == rounds[rows].max()]
        rows = rows[np.argsort(columns[INDEX][rows], kind="stable")][:length]
        if len(rows) == length and not np.isnan(columns[name][rows]).all():
            values[episode] = columns[name][rows].astype(np.float64)

    if not values:
        raise VantageError(
            f"{table} says no p_v of these recordings: its critic has not seen them; name its run, whose "
            "critic looks at them"
        )
    return values


def _table(path: Path) -> Path:
    """The file that holds the values."""
    if path.is_file():
        return path
    folders = [path, path.parent, *sorted(path.glob("round-*"), reverse=True)]
    ledgers = [ledger for folder in folders if (ledger := Round(folder).weights).is_file()]
    if not ledgers:
        raise VantageError(
            f"{path} holds no values of a critic (4-weights.parquet); name a run of `vantage weights` or "
            "`vantage finetune`, or a file of values"
        )
    return ledgers[0]


def _column(table: Path) -> str:
    """The column that holds the values."""
    try:
        there = column_names(table)
    except VantageError as error:
        raise VantageError(f"{table} is no table of values (parquet); name a run or its 3-critic") from error
    name = next((name for name in ("p_v", PROGRESS) if name in there), None)
    if name is None:
        raise VantageError(f"{table} has no column `p_v` or `{PROGRESS}`; name a run, or a file of values")
    return name


def _by_index(table: Path, name: str, lengths: Int64[np.ndarray, "M"]) -> Viability:
    """Values of a file without fingerprints, which must be about as many frames as there are now."""
    columns = read_parquet(table, [INDEX, name])
    order = np.argsort(columns[INDEX])
    if not np.array_equal(columns[INDEX][order], np.arange(lengths.sum())):
        raise VantageError(
            f"{table} is about {len(order):,} frames and the data set has {lengths.sum():,}; name the run "
            "that made it, whose values are matched by content"
        )
    parts = np.split(columns[name][order].astype(np.float64), np.cumsum(lengths)[:-1])
    return {episode: part for episode, part in enumerate(parts) if not np.isnan(part).all()}
