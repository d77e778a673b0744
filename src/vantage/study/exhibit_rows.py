"""Episodes worth looking at <-> exhibits.parquet: a row per step, with what the critic said of it and, on a
few of them, a picture.

    make_exhibits ──write_exhibits──> docs/results/study-state/exhibits.parquet ──read_exhibits──> filmstrip
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from vantage.disk.tables import read_arrow, write_parquet

FILE = "exhibits.parquet"
VALUES = ("p_v", "a_v", "v_e", "a_e", "g")
"""What the critic says of a step, and what Eq. 7 makes of it: columns of the file, fields of an `Exhibit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One episode to look at."""

    name: str
    """Of its figure."""
    words: str
    """What it shows."""
    p_v: Float[np.ndarray, "T"]
    a_v: Float[np.ndarray, "T"]
    v_e: Float[np.ndarray, "T"]
    a_e: Float[np.ndarray, "T"]
    g: Float[np.ndarray, "T"]
    human: Bool[np.ndarray, "T"]
    """True where a human drives."""
    pictures: dict[int, bytes]
    """Step -> JPEG."""


def write_exhibits(folder: Path, exhibits: list[Exhibit]) -> Path:
    """Store the exhibits of a study beside its other rows; returns the file."""
    lengths = [len(exhibit.p_v) for exhibit in exhibits]
    pictures = [exhibit.pictures.get(step, b"") for exhibit in exhibits for step in range(len(exhibit.p_v))]
    columns: dict[str, np.ndarray | pa.Array] = {
        "exhibit": np.repeat([exhibit.name for exhibit in exhibits], lengths),
        "words": np.repeat([exhibit.words for exhibit in exhibits], lengths),
        "step": np.concatenate([np.arange(length) for length in lengths]),
    }
    for value in VALUES:
        columns[value] = np.concatenate([getattr(exhibit, value).astype(np.float32) for exhibit in exhibits])
    columns["human"] = np.concatenate([exhibit.human for exhibit in exhibits])
    columns["picture"] = pa.array(pictures, pa.binary())

    write_parquet(folder / FILE, columns, nullable=VALUES)
    return folder / FILE


def read_exhibits(folder: Path) -> list[Exhibit]:
    """The exhibits stored in a folder of rows, in their order; none where there is no such file."""
    if not (folder / FILE).exists():
        return []
    table = read_arrow(folder / FILE)
    names = np.array(table.column("exhibit").to_pylist())

    exhibits: list[Exhibit] = []
    for name in dict.fromkeys(names.tolist()):
        part = table.take(pa.array(np.flatnonzero(names == name)))
        columns = {value: part.column(value).to_numpy(zero_copy_only=False) for value in VALUES}
        exhibits.append(
            Exhibit(
                name=name,
                words=part.column("words")[0].as_py(),
                **{value: column.astype(np.float64) for value, column in columns.items()},
                human=part.column("human").to_numpy(zero_copy_only=False),
                pictures={step: jpeg for step, jpeg in enumerate(part.column("picture").to_pylist()) if jpeg},
            )
        )
    return exhibits
