"""`2-labels.parquet` and `4-weights.parquet` -> their columns, row by row as the data that they describe.

A table that was made before its dataset's episodes were deleted, split or merged is matched to it by
fingerprints, and refused where they do not fit. One without fingerprints, of an earlier version or of another
tool, is matched by the frame's index, as it says.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

from vantage.data.fingerprints import UNKNOWN, rows_of
from vantage.data.v3.schema import ATTEMPT, FINGERPRINT, INDEX, LABEL_COLUMNS, WEIGHT_COLUMNS
from vantage.disk.tables import check_coverage, column_names, read_parquet
from vantage.progress import say

AnyLength = Shaped[np.ndarray, "_"]
"""A column; of two tables in one signature."""

ADDED = {ATTEMPT: 0, FINGERPRINT: UNKNOWN}
"""Columns that earlier versions did not write, and what stands for them."""


def read_labels(path: Path) -> dict[str, AnyLength]:
    """The columns of a label table, as they stand there."""
    return _read(path, LABEL_COLUMNS)


def read_ledger(path: Path) -> dict[str, AnyLength]:
    """The columns of a credit ledger, as they stand there."""
    return _read(path, WEIGHT_COLUMNS)


def _read(path: Path, columns: Collection[str]) -> dict[str, AnyLength]:
    lacking = ADDED.keys() - set(column_names(path))
    table = read_parquet(path, [name for name in columns if name not in lacking])
    length = len(table[INDEX])
    filled = {name: np.full(length, ADDED[name], np.int64) for name in lacking if name in columns}
    return table | filled


def match(
    path: Path,
    table: Mapping[str, AnyLength],
    index: Int64[np.ndarray, "N"],
    fingerprint: Int64[np.ndarray, "N"],
    remedy: str,
) -> dict[str, AnyLength]:
    """The rows of a table for the frames of one dataset, in their order.

    `index`, `fingerprint`: of the N frames. Says aloud where frames have other numbers now. Raises
    VantageError where the table does not describe them; `remedy` is what to do then.
    """
    known = table[FINGERPRINT]
    order = np.argsort(table[INDEX], kind="stable")
    if (known == UNKNOWN).all():
        check_coverage(path, table[INDEX], index, remedy)
        say(
            f"{path} has no fingerprints, so nothing shows that it is about these recordings: it is matched "
            "by frame numbers, which is right if no episode was deleted, split or merged since it was made"
        )
        return _taken(table, order)

    same = len(order) == len(index) and bool((table[INDEX][order] == index).all())
    if same and (known[order] == fingerprint).all():
        return _taken(table, order)

    rows = rows_of(path, known, table[INDEX], fingerprint, remedy)
    if (table[INDEX][rows] != index).any():
        say(f"{path}: its episodes have other numbers in the dataset now, and were matched by their content")
    return _taken(table, rows) | {INDEX: index}


def _taken(table: Mapping[str, AnyLength], rows: Int64[np.ndarray, "N"]) -> dict[str, AnyLength]:
    return {name: column[rows] for name, column in table.items()}
