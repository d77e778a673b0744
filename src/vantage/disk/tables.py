"""Columns of numbers and words -> parquet files that are whole or absent, and back.

    columns ──write_parquet──> 2-labels.parquet ──read_parquet──> columns

NaN in a column declared nullable is stored as null and read back as NaN; a missing word is read back as the
empty one.
"""

import io
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64, Shaped

from vantage.disk.files import write_whole
from vantage.errors import VantageError

Column = Shaped[np.ndarray, "N"]


def _to_arrow(name: str, column: Column | pa.Array, nullable: bool, path: Path) -> pa.Array:
    """One column of a table to be written."""
    if not isinstance(column, np.ndarray):
        return column

    if column.dtype.kind == "U":
        # As a list: from numpy's own words Arrow takes only what stands before a NUL.
        return pa.array(column.tolist(), pa.string())

    if column.dtype.kind == "O":
        if any(value is None for value in column) and not nullable:
            raise VantageError(
                f"column `{name}` of {path.name} would hold empty words, but it may not be empty."
            )
        return pa.array([None if value is None else str(value) for value in column], pa.string())

    if column.dtype.kind == "f":
        hole = np.isnan(column)
        if hole.any() and not nullable:
            fault = f"column `{name}` of {path.name} would hold {int(hole.sum())} NaN"
            raise VantageError(f"{fault}, but it may not be empty.")
        return pa.array(column, mask=hole)

    return pa.array(column)


def write_parquet(
    path: Path, columns: Mapping[str, Column | pa.Array], nullable: Collection[str] = ()
) -> None:
    """Write columns of equal length, in the order given.

    NaN (or None, in words) in the columns of `nullable` becomes null. Raises VantageError for columns of
    different lengths, NaN in a column that is not nullable, and a full disk.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise VantageError(f"the columns of {path.name} differ in length: {lengths}.")
    table = pa.table(
        {name: _to_arrow(name, column, name in nullable, path) for name, column in columns.items()}
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_whole(path, buffer.getvalue())


def _to_numpy(name: str, column: pa.ChunkedArray, path: Path) -> Column:
    array: pa.Array = column.combine_chunks()
    if pa.types.is_floating(array.type):
        return array.to_numpy(zero_copy_only=False)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return array.fill_null("").to_numpy(zero_copy_only=False).astype(np.str_)
    if array.null_count:
        raise VantageError(
            f"column `{name}` of {path} has {array.null_count} empty values; it must have none."
        )
    return array.to_numpy(zero_copy_only=False)


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one parquet file, all of it or some columns.

    Raises VantageError for a file that is missing, truncated or foreign, or lacks one of the columns.
    """
    with _open_parquet(path) as file:
        known: list[str] = pq.read_schema(file).names
        missing = [f"`{name}`" for name in columns or () if name not in known]
        if not missing:
            # Not pq.read_table, which imports pandas first. Here a name also means the columns below it.
            table = pq.ParquetFile(file).read(columns=None if columns is None else list(columns))
            return table if columns is None else table.select(list(columns))
    raise VantageError(f"{path} has no column {', '.join(missing)}; it has {listed(known)}.")


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names in a sentence, of many the first ones: LeRobot's files of statistics have hundreds of columns."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def column_names(path: Path) -> list[str]:
    """The columns of one parquet file, of which nothing else is read."""
    with _open_parquet(path) as file:
        return pq.read_schema(file).names


@contextmanager
def _open_parquet(path: Path) -> Generator[pa.OSFile]:
    if not path.is_file():
        raise VantageError(f"{path} does not exist; run the stage that writes it first.")
    try:
        # Not Python's file: Arrow's threads may let go of that after the interpreter's end.
        with pa.OSFile(str(path)) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise VantageError(
            f"{path} is not a whole parquet file (truncated or damaged); write it again."
        ) from error


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> dict[str, Column]:
    """Read columns as numpy arrays: null floats as NaN, strings as `str`.

    `columns` must be in the file; None reads them all. Raises VantageError as `read_arrow` does.
    """
    table = read_arrow(path, columns)
    return {name: _to_numpy(name, table.column(name), path) for name in columns or table.column_names}


def check_coverage(
    path: Path, have: Int64[np.ndarray, "M"], want: Int64[np.ndarray, "N"], remedy: str
) -> None:
    """Raise unless the `index` column of a sidecar names every frame of its dataset exactly once.

    Example: "2-labels.parquet covers 4,812 of 5,000 frames; run `vantage label ROUND`".
    """
    repeated = len(have) - len(np.unique(have))
    if repeated:
        raise VantageError(f"{path.name} names {repeated:,} frames more than once; {remedy}.")
    covered = int(np.isin(want, have).sum())
    if covered < len(want):
        raise VantageError(f"{path.name} covers {covered:,} of {len(want):,} frames; {remedy}.")
    if len(have) > len(want):
        raise VantageError(f"{path.name} has {len(have):,} rows for {len(want):,} frames; {remedy}.")
