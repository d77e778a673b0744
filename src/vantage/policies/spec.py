"""Columns of the experience -> what a policy needs to know of it before it is built.

state [N, S], actions [N, A], cameras, names, fps ──> DataFacts ──build(seed, facts) of a spec──> Policy
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float64

_QUANTILES = {"q01": 0.01, "q10": 0.10, "q90": 0.90, "q99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """Statistics of one column, per dimension, under LeRobot's names."""

    mean: Float64[np.ndarray, "D"]
    std: Float64[np.ndarray, "D"]
    min: Float64[np.ndarray, "D"]
    max: Float64[np.ndarray, "D"]
    q01: Float64[np.ndarray, "D"]
    q10: Float64[np.ndarray, "D"]
    q90: Float64[np.ndarray, "D"]
    q99: Float64[np.ndarray, "D"]
    count: int
    """N, the frames that they were computed from."""

    @classmethod
    def of(cls, column: Float[np.ndarray, "N D"]) -> "Scale":
        """Exact statistics of a column; N must be at least 1."""
        wide = np.asarray(column, np.float64)
        levels = np.quantile(wide, list(_QUANTILES.values()), axis=0)

        return cls(
            mean=wide.mean(0),
            std=wide.std(0),
            min=wide.min(0),
            max=wide.max(0),
            count=len(wide),
            **dict(zip(_QUANTILES, levels, strict=True)),
        )

    @property
    def dim(self) -> int:
        """D."""
        return len(self.mean)

    def arrays(self) -> dict[str, Float64[np.ndarray, "..."]]:
        """Every statistic under LeRobot's name; `count` has shape [1]."""
        named = {field.name: np.asarray(getattr(self, field.name), np.float64) for field in fields(self)}
        return named | {"count": np.array([float(self.count)])}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataFacts:
    """What the experience offers to a policy."""

    cameras: Mapping[str, tuple[int, int]]
    """Camera name -> (height, width) of its pictures."""
    action: Scale
    """Of the executed actions."""
    state: Scale | None = None
    """Of proprioception; None: there is none."""
    environment_state: Scale | None = None
    """Of the true state; None: there is none."""
    action_names: tuple[str, ...] | None = None
    """Names of the action's dimensions, where the data know them."""
    state_names: tuple[str, ...] | None = None
    """Names of the state's dimensions, where the data know them."""
    fps: float | None = None
    """Control steps per second, where the data know it."""
    prompts: int = 1
    """Number of different task prompts."""
