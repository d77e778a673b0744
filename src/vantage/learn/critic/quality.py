"""A critic's values and the frames held out from it in, how far to trust them out (3-critic/quality.json)."""

from typing import Any

import numpy as np
from jaxtyping import Float

from vantage.core.stats import auc, calibration_error, explained_variance, reliability
from vantage.core.weights import sigmoid
from vantage.learn.critic.problem import CriticProblem


def assess(
    z_v: Float[np.ndarray, "N"],
    v_e: Float[np.ndarray, "N"],
    problem: CriticProblem,
) -> dict[str, Any]:
    """How good these values are on the frames that `problem` holds out.

    Every rate stands beside what knowing only the task would give.

    `z_v`: viability logits; `v_e`: minus the control steps to success. The numbers are defined in
    docs/metrics.md.
    """
    rows, progressing = problem.viability_check, problem.efficiency_check
    outcome, monte_carlo = problem.outcome.cpu().numpy(), problem.monte_carlo.cpu().numpy()
    p, y, task = sigmoid(z_v[rows]), outcome[rows], problem.task[rows]
    won = y > 0.5
    of_task = {name: task == number for number, name in enumerate(problem.tasks)}
    base_rate = _base_rates(problem)
    table = reliability(p, won)
    bins = zip(table.edges[:-1], table.edges[1:], table.count, table.predicted, table.observed, strict=True)

    return {
        "held_out_frames": len(rows),
        "auc": _number(auc(p, won)),
        "auc_by_task": {name: _number(auc(p[rows], won[rows])) for name, rows in of_task.items()},
        "bce": _bce(y, p),
        "bce_base_rate": _bce(y, base_rate[task]),
        "ece": calibration_error(p, won),
        "reliability": [
            {
                "p_low": float(low),
                "p_high": float(high),
                "n": int(n),
                "mean_p": _number(mean),
                "rate": _number(rate),
            }
            for low, high, n, mean, rate in bins
        ],
        "explained_variance_v_e": _number(explained_variance(v_e[progressing], monte_carlo[progressing])),
    }


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if np.isnan(value) else float(value)


def _base_rates(problem: CriticProblem) -> Float[np.ndarray, "tasks"]:
    """Share of successes among the training frames of every task; 0.5 where there are none."""
    rows = problem.viability_train
    task, outcome = problem.task[rows], problem.outcome.cpu().numpy()[rows]
    known = set(task.tolist())
    return np.array([outcome[task == t].mean() if t in known else 0.5 for t in range(len(problem.tasks))])


def _bce(y: Float[np.ndarray, "N"], p: Float[np.ndarray, "N"]) -> float:
    """Mean binary cross-entropy, in nats."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
