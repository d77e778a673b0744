"""A finished round in, a few numbers out: what was collected, how good the critic is, what the weights are.

The numbers of the paper's App. G.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from vantage.data.v3.schema import EPISODE, FRAME, INDEX, ROUND
from vantage.disk.files import read_json
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.types import Route

Table = dict[str, np.ndarray]
"""Columns of equal length by name."""
THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Viabilities below which an operator might be called."""
PATIENCE = 16
"""Control steps in a row that viability must stay below the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Columns of one round; `summary` has one row."""

    summary: Table
    starts: Table
    stops: Table


def measure_round(files: Round) -> Measured:
    """Read a round's sidecars. Numbers that it does not have (no critic, no rescue) are NaN."""
    nan = float("nan")
    labels = read_parquet(files.labels, (INDEX, EPISODE, FRAME, "route", "outcome"))
    first = np.flatnonzero(labels[FRAME] == 0)
    episode = np.cumsum(labels[FRAME] == 0) - 1
    human = labels["route"] == Route.INTERVENTION

    rescued = np.bincount(episode[human], minlength=len(first)) > 0
    succeeded = labels["outcome"][first] == 1
    alone = succeeded & ~rescued
    length = np.bincount(episode)

    quality_file = files.critic / "quality.json"
    quality = read_json(quality_file) if quality_file.exists() else {}
    numbers = {
        "episodes": len(first),
        "alone": float(alone.mean()),
        "rescued": float(rescued.mean()),
        "robot_steps": int(length.sum()),
        "human_steps": int(human.sum()),
        "auc": _or_nan(quality.get("auc")),
        "bce": _or_nan(quality.get("bce")),
        "bce_base_rate": _or_nan(quality.get("bce_base_rate")),
        "ece": _or_nan(quality.get("ece")),
        "explained_variance": _or_nan(quality.get("explained_variance_v_e")),
        "mean_g_success": nan,
        "mean_g_rescue": nan,
        "passing": nan,
    }

    starts: Table = {}
    stops: Table = {}
    values = _own_values(files, labels[INDEX])
    if values is not None:
        autonomous = ~human
        numbers["mean_g_success"] = _mean(values["g"][labels["route"] == Route.ROLLOUT_SUCCESS])
        numbers["mean_g_rescue"] = _mean(values["g"][human])
        numbers["passing"] = _mean(values["weight"][autonomous] > 0)

        p_v = values["p_v"]
        if not np.isnan(p_v).all():
            starts = {
                "round": np.full(len(first), files.number, np.int64),
                "p_v": p_v[first].astype(np.float32),
                "alone": alone,
                "rescued": rescued,
            }
            stops = _stops(files.number, p_v, episode, length, succeeded, rescued)

    summary: Table = {"round": np.array([files.number])}
    summary |= {name: np.array([value]) for name, value in numbers.items()}
    return Measured(summary=summary, starts=starts, stops=stops)


def _own_values(files: Round, index: np.ndarray) -> Table | None:
    """The ledger's values on the round's own frames, in the order of its labels; None without a ledger."""
    if not files.weights.exists() or files.number == 0:
        return None

    table = read_parquet(files.weights, (ROUND, INDEX, "p_v", "g", "weight"))
    own = table[ROUND] == files.number
    order = np.argsort(table[INDEX][own])[np.argsort(np.argsort(index))]
    return {name: table[name][own][order] for name in ("p_v", "g", "weight")}


def _stops(
    number: int,
    p_v: Float[np.ndarray, "frames"],
    episode: Int64[np.ndarray, "frames"],
    length: Int64[np.ndarray, "E"],
    succeeded: Bool[np.ndarray, "E"],
    rescued: Bool[np.ndarray, "E"],
) -> Table:
    """What stopping at low viability would have saved and lost, over the episodes that nobody touched."""
    names = ("threshold", "untouched", "successes", "lost", "steps", "saved", "failed_steps")
    rows: dict[str, list[float]] = {name: [] for name in names}

    begin = np.concatenate([[0], np.cumsum(length)[:-1]])[~rescued]
    won, steps = succeeded[~rescued], length[~rescued]
    untouched = [slice(int(first), int(first + count)) for first, count in zip(begin, steps, strict=True)]

    for threshold in THRESHOLDS:
        at = np.array(
            [_first_stop(p_v[episode_rows] < threshold) for episode_rows in untouched], dtype=np.int64
        )
        stopped = at < steps
        rows["threshold"].append(threshold)
        rows["untouched"].append(len(untouched))
        rows["successes"].append(int(won.sum()))
        rows["lost"].append(int((stopped & won).sum()))
        rows["steps"].append(int(steps.sum()))
        rows["saved"].append(int((steps - np.minimum(at, steps)).sum()))
        rows["failed_steps"].append(int(steps[~won].sum()))

    columns: Table = {name: np.array(column, dtype=np.float64) for name, column in rows.items()}
    return {"round": np.full(len(THRESHOLDS), number, np.int64)} | columns


def _first_stop(low: Bool[np.ndarray, "T"]) -> int:
    """The step at which `low` has been true for `PATIENCE` steps; a huge number if it never has."""
    if len(low) < PATIENCE:
        return 1 << 30

    run = np.convolve(low.astype(np.int64), np.ones(PATIENCE, np.int64), mode="valid") == PATIENCE
    return int(run.argmax()) + PATIENCE if run.any() else 1 << 30


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values.astype(np.float64))] if len(values) else values
    return float(known.mean()) if len(known) else float("nan")
