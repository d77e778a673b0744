"""Trials of a study whose successes are put in by hand."""

import numpy as np


def trials(solved: dict[tuple[str, str, int], int], starts: int = 20) -> dict[str, np.ndarray]:
    """(task, arm, seed) has solved its first so many starts."""
    cells = list(solved)
    return {
        "task": np.repeat([task for task, _, _ in cells], starts),
        "world": np.repeat([task for task, _, _ in cells], starts),
        "arm": np.repeat([arm for _, arm, _ in cells], starts),
        "seed": np.repeat([seed for *_, seed in cells], starts),
        "trial": np.tile(np.arange(starts), len(cells)),
        "success": np.concatenate([np.arange(starts) < count for count in solved.values()]),
        "steps": np.full(starts * len(cells), 100),
        "limit": np.full(starts * len(cells), 400),
    }
