"""Columns and pictures -> the statistics that LeRobot keeps in `meta/stats.json` and beside every episode.

Quantiles are exact: of the values themselves, and for pictures of the 256-bin histogram per colour (at most
20 pictures per episode are looked at).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

_LEVELS = np.array([0.01, 0.10, 0.50, 0.90, 0.99])
_NAMES = ("q01", "q10", "q50", "q90", "q99")
_SAMPLES = 20

Statistics = dict[str, Any]


def column_statistics(columns: Mapping[str, Shaped[np.ndarray, "T *D"]]) -> dict[str, Statistics]:
    """Statistics of every column, computed over one wide matrix."""
    flat = [np.asarray(column, np.float64).reshape(len(column), -1) for column in columns.values()]
    wide = np.concatenate(flat, axis=1)
    rows = {"min": wide.min(0), "max": wide.max(0), "mean": wide.mean(0), "std": wide.std(0)}
    rows |= dict(zip(_NAMES, np.quantile(wide, _LEVELS, axis=0), strict=True))

    # Back to columns, which stand side by side in the matrix.
    statistics: dict[str, Statistics] = {}
    start = 0
    for name, column in columns.items():
        stop = start + int(np.prod(column.shape[1:], dtype=int))
        own = {key: row[start:stop].tolist() for key, row in rows.items()}
        statistics[name] = own | {"count": [len(column)]}
        start = stop
    return statistics


def colour_histogram(pictures: UInt8[np.ndarray, "T _h _w 3"]) -> Int64[np.ndarray, "3 256"]:
    """Counts of every value of every colour over at most 20 pictures, evenly spaced."""
    frames = np.unique(np.linspace(0, len(pictures) - 1, _SAMPLES).round().astype(int))
    sample = pictures[frames].reshape(-1, 3)
    return np.stack([np.bincount(sample[:, colour], minlength=256) for colour in range(3)]).astype(np.int64)


def picture_statistics(histogram: Int64[np.ndarray, "3 256"]) -> Statistics:
    """Statistics of pixels scaled to [0, 1], in LeRobot's shape (3, 1, 1); `count` counts pixels."""
    value = np.arange(256) / 255
    count = histogram.sum(1)
    mean = histogram @ value / count
    cumulative = histogram.cumsum(1)

    rows = {
        "min": value[(histogram > 0).argmax(1)],
        "max": value[255 - (histogram[:, ::-1] > 0).argmax(1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(histogram @ value**2 / count - mean**2, 0)),
    }
    for name, level in zip(_NAMES, _LEVELS, strict=True):
        rows[name] = value[(cumulative >= level * count[:, None]).argmax(1)]
    return {name: row.reshape(3, 1, 1).tolist() for name, row in rows.items()} | {"count": [int(count[0])]}
