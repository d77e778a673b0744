"""Arrays and records -> parquet and JSON files that are either whole or absent, and back.

    columns ──write_parquet──> 2-labels.parquet ──read_parquet──> columns
    bytes   ──write_whole────> any file         folder ──whole_folder──> any folder

Every write goes to a temporary neighbour, is flushed to the disk and then renamed, so that a killed process or a full disk never leaves
half a file under the real name. NaN in a column declared nullable is stored as null and read back as NaN.
"""

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64, Shaped

from vantage.types import VantageError

Column = Shaped[np.ndarray, "N"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def full_disk_is_a_sentence(path: Path) -> Generator[None]:
    """Turn the operating system's ways of saying "full" into one `VantageError` that names what was being written."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise VantageError(f"the disk is full: {path} could not be written; free some space and run the same command again.") from error
        raise


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is safe on disk when this returns, and that nobody ever sees half written.

    Raises VantageError when the disk is full; whatever was under `path` before is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with full_disk_is_a_sentence(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """Yield an empty temporary folder beside `path`; rename it to `path` when the block succeeds, delete it when it fails.

    A folder that already stands at `path` is replaced at the end.
    """
    temporary = path.with_name(f".{path.name}.partial")
    with full_disk_is_a_sentence(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
            _flush_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _to_arrow(name: str, column: Column | pa.Array, nullable: bool, path: Path) -> pa.Array:
    if not isinstance(column, np.ndarray):
        return column
    if column.dtype.kind in "UO":
        return pa.array([str(value) for value in column], pa.string())
    if column.dtype.kind == "f":
        hole = np.isnan(column)
        if hole.any() and not nullable:
            raise VantageError(f"column `{name}` of {path.name} would hold {int(hole.sum())} NaN, but it may not be empty.")
        return pa.array(column, mask=hole)
    return pa.array(column)


def write_parquet(
    path: Path, columns: Mapping[str, Column | pa.Array], nullable: Collection[str] = (), note: Mapping[str, Any] | None = None
) -> None:
    """Write columns of equal length, in the order given; NaN in the columns of `nullable` becomes null.

    `note`: JSON that is no row, kept in the file's metadata under "vantage". Raises VantageError for columns of different lengths, NaN in a
    column that is not nullable, and a full disk.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise VantageError(f"the columns of {path.name} differ in length: {lengths}.")
    table = pa.table({name: _to_arrow(name, column, name in nullable, path) for name, column in columns.items()})
    if note is not None:
        table = table.replace_schema_metadata({"vantage": json.dumps(note)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_whole(path, buffer.getvalue())


def _to_numpy(name: str, column: pa.ChunkedArray, path: Path) -> Column:
    array: pa.Array = column.combine_chunks()
    if pa.types.is_floating(array.type):
        return array.to_numpy(zero_copy_only=False)
    if array.null_count:
        raise VantageError(f"column `{name}` of {path} has {array.null_count} empty values; it must have none.")
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    return values.astype(np.str_) if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) else values


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one parquet file, all of it or some columns; a missing, truncated or foreign file is one sentence."""
    if not path.is_file():
        raise VantageError(f"{path} does not exist; run the stage that writes it first.")
    try:
        with pa.OSFile(str(path)) as file:  # not Python's: Arrow's threads may let go of that after the interpreter's end
            known: list[str] = pq.read_schema(file).names
            missing = [f"`{name}`" for name in columns or () if name not in known]
            if not missing:
                return pq.read_table(file, columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        raise VantageError(f"{path} is not a whole parquet file (truncated or damaged); write it again.") from error
    raise VantageError(f"{path} has no column {', '.join(missing)}; it has {', '.join(known)}.")


def read_note(path: Path) -> dict[str, Any]:
    """What `write_parquet` noted beside the rows; empty where it noted nothing."""
    noted = (read_arrow(path, ()).schema.metadata or {}).get(b"vantage")
    return {} if noted is None else json.loads(noted)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> dict[str, Column]:
    """Read columns as numpy arrays: null floats as NaN, strings as `str`; `columns` must be there, None reads them all."""
    table = read_arrow(path, columns)
    return {name: _to_numpy(name, table.column(name), path) for name in columns or table.column_names}


def check_coverage(path: Path, have: Int64[np.ndarray, "M"], want: Int64[np.ndarray, "N"], remedy: str) -> None:
    """Raise unless the `index` column of a sidecar names every frame of its dataset exactly once.

    Example: "2-labels.parquet covers 4,812 of 5,000 frames; run `vantage label ROUND`".
    """
    if len(np.unique(have)) != len(have):
        raise VantageError(f"{path.name} names {len(have) - len(np.unique(have)):,} frames more than once; {remedy}.")
    covered = int(np.isin(want, have).sum())
    if covered < len(want):
        raise VantageError(f"{path.name} covers {covered:,} of {len(want):,} frames; {remedy}.")
    if len(have) > len(want):
        raise VantageError(f"{path.name} has {len(have):,} rows for {len(want):,} frames; {remedy}.")


def write_json(path: Path, record: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON with a stable layout (two spaces, keys as given), whole or not at all."""
    write_whole(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; a missing or damaged file is one sentence."""
    if not path.is_file():
        raise VantageError(f"{path} does not exist.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VantageError(f"{path} is not valid JSON ({error}); write it again.") from error


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path, ignore: Collection[str] = (".mp4",)) -> str:
    """Hex digest over the relative names and bytes of all files, in name order; files with an `ignore`d suffix count by name only."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = "" if path.suffix in ignore else sha256_file(path)
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
