"""Trials played to a long limit -> what a shorter limit (a cap) would have counted, of the same episodes.

A trial ends at its first success, so success within a cap is success at a step no later than the cap.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vantage.core.stats import Interval, wilson
from vantage.disk.tables import Column
from vantage.errors import VantageError


@dataclass(frozen=True, slots=True)
class Score:
    """What one set of rules says of some trials."""

    success: Interval
    """Over all trials; tasks count the same, because they have the same number of trials."""
    steps: float
    """Mean over tasks of the mean steps of their successes; tasks without any are left out.

    NaN if there is none.
    """
    cost: float
    """Mean steps of all trials, failures counted at the cap."""


def score(trials: Mapping[str, Column], cap: int) -> Score:
    """Count some trials under a cap in control steps.

    `trials` has the columns of 6-eval.parquet. Raises VantageError where they were stopped before the cap.
    """
    counted = within(trials, cap)
    won, steps = counted["success"], counted["steps"]

    successes = [won & (trials["task"] == task) for task in np.unique(trials["task"])]
    means = [steps[rows].astype(np.float64).mean() for rows in successes if rows.any()]
    return Score(
        success=wilson(int(won.sum()), len(won)),
        steps=float(np.mean(means)) if means else float("nan"),
        cost=float(np.where(won, steps, cap).mean()),
    )


def within(trials: Mapping[str, Column], cap: int) -> dict[str, Column]:
    """The same trials as if they had been stopped after `cap` control steps.

    Raises VantageError where they were stopped before that.
    """
    played = int(trials["limit"].min())
    if played < cap:
        fault = (
            f"these trials were stopped after {played} steps, so nobody knows who solves them within {cap}"
        )
        raise VantageError(f"{fault}; name a cap of {played} at most")

    return dict(trials) | {
        "success": trials["success"].astype(bool) & (trials["steps"] <= cap),
        "steps": np.minimum(trials["steps"], cap),
        "limit": np.full(len(trials["steps"]), cap),
    }
