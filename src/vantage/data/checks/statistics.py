"""`meta/stats.json` and the statistics in `meta/episodes` -> whether they are those of the data.

Stock training normalises by the former, and makes the former out of the latter when it merges or deletes.
Vantage computes its own from the data.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
from jaxtyping import Float32, Float64

from vantage.data.checks.motion import dimension_name
from vantage.data.findings import Finding, name, note, warning
from vantage.data.v3.meta import EPISODES_FOLDER
from vantage.data.v3.paths import visible_files
from vantage.data.v3.read import Table
from vantage.data.v3.schema import ACTION, EPISODE, STATE
from vantage.disk.files import read_json
from vantage.disk.tables import column_names, read_arrow
from vantage.types import VantageError

STATS_FILE = "meta/stats.json"
OFF = 0.02
"""A statistic is wrong that is off by more than this share of the dimension's range."""
QUANTILES = ("q01", "q10", "q50", "q90", "q99")


def look_at_statistics(table: Table) -> Iterator[Finding]:
    """Statistics that are missing, or not those of the data."""
    path = table.root / STATS_FILE
    if not path.is_file():
        yield note(f"there is no {STATS_FILE}: stock lerobot-train needs it, Vantage does not")
    else:
        try:
            record: Any = read_json(path)
        except VantageError as error:
            yield warning(str(error))
            record = {}
        yield from _whole(table, record if isinstance(record, dict) else {})
    yield from _by_episode(table)


def _whole(table: Table, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Statistics of all frames."""
    for column, values, names in _columns(table):
        stored: Any = record.get(column)
        if not isinstance(stored, dict):
            continue

        wrong = _wrong(cast(Mapping[str, Any], stored), values)
        if wrong:
            statistic, dimension, said, true = wrong
            yield warning(
                f"{STATS_FILE} gives `{column}` dimension {dimension_name(names, dimension)} the {statistic} "
                f"{said:.4g}, and the data {true:.4g}: stock lerobot-train would normalise by it"
            )

        disorder = _disorder(cast(Mapping[str, Any], stored))
        if disorder:
            yield warning(
                f"{STATS_FILE} has quantiles of `{column}` out of order ({disorder}): policies that "
                "normalise by quantiles (pi0.5) would learn upside down from them"
            )


def _by_episode(table: Table) -> Iterator[Finding]:
    """Statistics of every episode, kept in meta/episodes; and whether that is there at all."""
    if not list(visible_files(table.root, EPISODES_FOLDER)):
        yield warning(
            f"{EPISODES_FOLDER} is missing: Vantage learns from these recordings without it, and LeRobot's "
            "own tools cannot open them; restore it from where the dataset came from"
        )
    slices = table.slices
    for column, values, _ in _columns(table):
        wrong: list[int] = []
        for path in visible_files(table.root, EPISODES_FOLDER):
            known = [f"stats/{column}/{key}" for key in ("min", "max", "mean", "std")]
            have = column_names(path)
            kept = [key for key in known if key in have]
            if EPISODE not in have or not kept:
                continue

            for row in read_arrow(path, [EPISODE, *kept]).to_pylist():
                episode = row[EPISODE]
                if not isinstance(episode, int) or not 0 <= episode < len(slices):
                    continue
                stored = {key.rpartition("/")[2]: row[key] for key in kept}
                if _wrong(stored, values[slices[episode]]):
                    wrong.append(episode)

        if wrong:
            yield warning(
                f"meta/episodes holds statistics of `{column}` for {name(sorted(wrong))} that are not the "
                f"data's: a merge or a deletion makes a wrong {STATS_FILE} of them"
            )


def _columns(table: Table) -> Sequence[tuple[str, Float32[np.ndarray, "N _d"], tuple[str, ...] | None]]:
    return ((ACTION, table.action, table.action_names), (STATE, table.state, table.state_names))


def _wrong(
    stored: Mapping[str, Any], values: Float32[np.ndarray, "T D"]
) -> tuple[str, int, float, float] | None:
    """The first statistic that is not that of the values: (which, dimension, stored, true)."""
    low, high = values.min(0).astype(np.float64), values.max(0).astype(np.float64)
    true = {
        "min": low,
        "max": high,
        "mean": values.mean(0, dtype=np.float64),
        "std": values.std(0, dtype=np.float64),
    }

    room = np.maximum(OFF * (high - low), 1e-4 * np.maximum(np.abs(low), np.abs(high)) + 1e-6)
    for statistic, expected in true.items():
        said = _numbers(stored.get(statistic), len(expected))
        if said is None:
            continue
        off = ~(np.abs(said - expected) <= room)
        if off.any():
            dimension = int(off.argmax())
            return statistic, dimension, float(said[dimension]), float(expected[dimension])
    return None


def _disorder(stored: Mapping[str, Any]) -> str:
    """Two quantiles that stand the wrong way round; empty where none do."""
    known = [
        (key, np.asarray(stored[key], np.float64).reshape(-1))
        for key in QUANTILES
        if _is_numbers(stored.get(key))
    ]
    for (lower, below), (upper, above) in pairwise(known):
        if len(below) == len(above) and (below > above + 1e-9 + 1e-6 * np.abs(above)).any():
            return f"{lower} above {upper}"
    return ""


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(number, int | float) for number in cast(list[object], value)
    )


def _numbers(value: object, count: int) -> Float64[np.ndarray, "D"] | None:
    """A list of so many numbers; None for anything else."""
    if not _is_numbers(value):
        return None
    numbers = np.asarray(value, np.float64)
    return numbers if numbers.shape == (count,) else None
