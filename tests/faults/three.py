"""A tiny dataset, "the three", and ways of breaking it: three episodes of 8 frames, drivers PPPPPPPP /
PPPHHHPP / PPPPPPPP.

Public faults (what users of LeRobot and its neighbours reported) become edits of these files.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vantage.data.episodes import Episode, save_episode
from vantage.data.v3.write import write_dataset

FPS = 20
DRIVERS = ("PPPPPPPP", "PPPHHHPP", "PPPPPPPP")
DATA = "data/chunk-000/file-000.parquet"
META = "meta/episodes/chunk-000/file-000.parquet"
TASKS = "meta/tasks.parquet"
VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"


def episode(number: int, drivers: str, cameras: Sequence[str], size: tuple[int, int] = (16, 24)) -> Episode:
    """Frame t of episode n shows a grey level of 20 + 64 n + 8 t: any picture in another's place is seen."""
    length = len(drivers)
    draw = np.random.default_rng(number)
    last = np.arange(length) == length - 1
    action = draw.uniform(-1, 1, (length, 3)).astype(np.float32)
    grey = np.stack([np.full((*size, 3), 20 + 64 * number + 8 * t, np.uint8) for t in range(length)])
    return Episode(
        state=draw.standard_normal((length, 4)).astype(np.float32),
        action=action,
        policy_action=action,
        intervention=np.array([driver == "H" for driver in drivers]),
        policy_version=np.zeros(length, np.int64),
        success=last,
        done=last,
        prompt="push the puck",
        images=dict.fromkeys(cameras, grey),
    )


BRIGHTNESS = np.array([20 + 64 * number + 8 * t for number in range(3) for t in range(8)])
"""Of all 24 pictures."""


def write_three(folder: Path, cameras: Sequence[str], images: bool, fps: float) -> Path:
    """Write the dataset; `the_three` of conftest.py copies it."""
    for number, drivers in enumerate(DRIVERS):
        save_episode(folder / "journal", number, episode(number, drivers, cameras))
    write_dataset(folder / "journal", range(3), folder / "data", fps, images=images)
    return folder / "data"


@dataclass(frozen=True)
class Three:
    """The dataset in a folder of its own, to be edited."""

    root: Path

    def info(self, **changes: Any) -> "Three":
        """Change values of info.json."""
        path = self.root / "meta/info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return self

    def feature(self, column: str, **changes: Any) -> "Three":
        """Change what info.json says of a column, which may be new."""
        features = json.loads((self.root / "meta/info.json").read_text())["features"]
        return self.info(features=features | {column: features.get(column, {}) | changes})

    def rename_feature(self, column: str, name: str) -> "Three":
        """Call a column something else in info.json; the data file is not touched."""
        features = json.loads((self.root / "meta/info.json").read_text())["features"]
        return self.info(features={name if key == column else key: value for key, value in features.items()})

    def forget(self, column: str) -> "Three":
        """Leave a column out of info.json; the data file is not touched."""
        features = json.loads((self.root / "meta/info.json").read_text())["features"]
        return self.info(features={key: value for key, value in features.items() if key != column})

    def edit(self, file: str, change: Callable[[pa.Table], pa.Table]) -> "Three":
        """Replace a parquet file by what `change` makes of it."""
        pq.write_table(change(pq.read_table(self.root / file)), self.root / file)
        return self

    def meta(
        self, rows: Sequence[int] | None = None, cells: Mapping[str, Mapping[int, Any]] | None = None
    ) -> "Three":
        """Set cells of meta/episodes, `{"length": {1: 5}}`; then keep some rows, in this order."""

        def change(table: pa.Table) -> pa.Table:
            records = table.to_pylist()
            for name, values in (cells or {}).items():
                for row, value in values.items():
                    records[row][name] = value
            return pa.Table.from_pylist(records if rows is None else [records[row] for row in rows])

        return self.edit(META, change)

    def column(self, name: str, values: Any, file: str = DATA) -> "Three":
        """Set a column of the data file; None drops it."""

        def change(table: pa.Table) -> pa.Table:
            kept = table.drop_columns([name]) if name in table.column_names else table
            if values is None:
                return kept
            return kept.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))

        return self.edit(file, change)
