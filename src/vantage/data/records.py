"""A csv file -> its columns and lines, as text, whatever wrote it; or one sentence."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from vantage.errors import VantageError


def read_records(
    path: Path, check_columns: Callable[[Sequence[str]], None]
) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """The names of the columns (small letters, no spaces around them), and each line with its number in the
    file.

    `check_columns`: raises VantageError where a column is missing, before any line is looked at. A cell that
    a line lacks is empty. Raises VantageError for a file that is no text in UTF-8, and for a line with more
    cells than there are columns.
    """
    lines: list[tuple[int, dict[str, str]]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            records = csv.reader(file, skipinitialspace=True)
            columns = tuple(name.strip().lower() for name in next(records, []))
            check_columns(columns)
            for cells in records:
                number = records.line_num
                if any(cell.strip() for cell in cells[len(columns) :]):
                    raise VantageError(
                        f"line {number} of {path} has {len(cells)} cells and the file {len(columns)} "
                        "columns; put text that holds a comma into quotes"
                    )
                padded = [*cells, *[""] * (len(columns) - len(cells))]
                lines.append((number, dict(zip(columns, padded, strict=False))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise VantageError(
            f"{path} is not text in UTF-8 with commas ({error}); save it as CSV UTF-8."
        ) from error
    return columns, lines
