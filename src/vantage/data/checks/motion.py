"""States and actions -> what is strange about their values, and about hand-overs from driver to driver."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64

from vantage.data.findings import Finding, name, warning
from vantage.data.v3.read import Table

SATURATED = 0.5
"""An action dimension sits at the ends of its range in more than this share of the frames: clipped."""
LARGEST = 1e6
"""Values beyond this are hardly in the units that somebody meant."""
JUMP = 10.0
"""A state jumps that moves, within one frame, this many times as far as its usual step."""
FAR = 0.05
"""It must also move by this share of its dimension's range."""


def look_at_values(table: Table) -> Iterator[Finding]:
    """Dimensions that never move, are clipped, or have odd units."""
    low, high = table.action.min(0), table.action.max(0)
    still: list[str] = []
    for dimension, (bottom, top) in enumerate(zip(low, high, strict=True)):
        column = table.action[:, dimension]
        called = dimension_name(table.action_names, dimension)
        if bottom == top:
            still.append(f"{called} ({bottom:g})")
            continue

        share = float(((column == bottom) | (column == top)).mean())
        # A gripper that only opens and closes is no clipped joint.
        if share > SATURATED and len(np.unique(column)) > 2:
            limits = f"({bottom:g} or {top:g}) in {share:.0%} of the frames"
            yield warning(f"action dimension {called} sits at its limits {limits}: clipped, or a gripper")

    if still:
        noun = "dimension" if len(still) == 1 else "dimensions"
        yield warning(f"action {noun} {', '.join(still)} never changes: a policy learns nothing of it")
    for column, values in (("observation.state", table.state), ("action", table.action)):
        largest = float(np.abs(values).max())
        if largest > LARGEST:
            yield warning(f"`{column}` reaches {largest:.3g}: check its units")


def dimension_name(names: tuple[str, ...] | None, dimension: int) -> str:
    """A dimension by its number, and by its name where it has one."""
    return f"{dimension}" if names is None else f"{dimension} ({names[dimension]})"


def look_at_handovers(table: Table) -> Iterator[Finding]:
    """Hand-overs at which the state jumps, and corrections after which the policy saw the past."""
    rows = handovers(table)
    if not len(rows):
        return

    size = jumps(table, rows)
    far = np.flatnonzero(size > JUMP)
    if len(far):
        worst = rows[far[size[far].argmax()]]
        yield warning(
            f"the state jumps at {len(far):,} of {len(rows):,} hand-overs, by up to {size.max():.0f} times "
            f"its usual step (episode {table.episode_index[worst]}, frame {table.frame_index[worst]}): the "
            "recorder paused there, and steps to success are counted too low across it; "
            "--critic.target.across-handover False looks across none"
        )

    stale = rows[_stale(table, rows)]
    if len(stale):
        episodes = np.unique(table.episode_index[stale]).tolist()
        yield warning(
            f"{name(episodes)} in which the policy resumed on the state from before the correction: its "
            "first actions answer what it no longer sees; "
            "--weighing.windows.margin N leaves N frames around hand-overs out"
        )


def handovers(table: Table) -> Int64[np.ndarray, "K"]:
    """First row behind every change of the driver, within an episode."""
    changed = np.append(False, table.intervention[1:] != table.intervention[:-1])
    return np.flatnonzero(changed & (table.frame_index > 0))


def jumps(table: Table, rows: Int64[np.ndarray, "K"]) -> Float64[np.ndarray, "K"]:
    """How far the state moves into each row, in usual steps of the dimension that moves farthest.

    A usual step is the root mean square of those under one driver. 0 where the move is small against the
    dimension's range.
    """
    step = np.abs(np.diff(table.state.astype(np.float64), axis=0, prepend=table.state[:1]))
    ordinary = (table.frame_index > 0) & ~table.cut
    ordinary[rows] = False
    usual = np.sqrt(np.mean(step[ordinary] ** 2, axis=0)) if ordinary.any() else np.zeros(step.shape[1])

    moved = step[rows]
    reach = np.ptp(table.state, axis=0)
    far = (moved > FAR * reach) & (usual > 0)
    return np.where(far, moved / np.where(usual > 0, usual, 1), 0.0).max(axis=1)


def _stale(table: Table, rows: Int64[np.ndarray, "K"]) -> Bool[np.ndarray, "K"]:
    """Rows at which the policy takes over with exactly the state from before the person did."""
    back = ~table.intervention[rows]
    first = np.maximum.accumulate(np.where(table.intervention[rows], rows, 0))  # of the block that ends here
    known = back & (first > 0) & (table.episode_index[first] == table.episode_index[rows])
    before = table.state[np.maximum(first - 1, 0)]
    moved = (table.state[rows - 1] != before).any(axis=1)
    return known & moved & (table.state[rows] == before).all(axis=1)
