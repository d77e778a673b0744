"""The study of two arms beside the paper's own numbers, and its arms beside each other task by task.

    python -m experiments.beside_the_paper      prints both tables, and puts them into docs/bimanual.md

The paper's are of a robot and a VLA of some billion parameters, 50 trials each; ours of three simulated tasks
after its own, a small network and true state. What can be compared is the order of methods.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.few_seeds import by_task, on_task, success
from experiments.publish_study import between
from vantage.report.table import Table as Sheet
from vantage.study.arms import title
from vantage.study.rows import Results
from vantage.study.words import count, span

ROWS, PAGE = Path("docs/results/study-bimanual"), Path("docs/bimanual.md")
TASKS: Mapping[str, str] = {"pouch-zip": "Pencil Pouch", "bag-bottle": "Paper Bag", "sack-draw": "Snack Bag"}
"""Task -> the paper's, after which it is made."""
PAPER: Mapping[str, tuple[float, float, float]] = {
    "sft": (0.36, 0.44, 0.12),
    "habc": (0.60, 0.78, 0.22),
    "habc+ir-3": (0.92, 0.88, 0.38),
}
"""Arm -> success on the paper's tasks, in this order (Figure 3, and the last rounds of HABC+IR)."""
PAIRS = (
    ("habc", "sft-more"),
    ("habc", "filtered-bc"),
    ("habc", "imit-dagger"),
    ("filtered-bc", "sft-more"),
    ("imit-dagger", "sft-more"),
    ("vantage", "habc"),
    ("vantage", "filtered-bc"),
)
"""Arms that are compared task by task."""


def beside(results: Results) -> str:
    """A line per method: success here and in the paper, task by task, as Markdown."""
    study, trials = results.study, results.tables["trials"]
    head = ["method"]
    for task, theirs in TASKS.items():
        head += [task, f"{theirs} (paper)"]

    rows: list[tuple[str, ...]] = []
    for arm in (arm.name for arm in study.arms):
        if not (trials["arm"] == arm).any():
            continue
        row = [title(study, arm)]
        for number, task in enumerate(TASKS):
            row.append(_success(results, arm, task))
            row.append(f"{PAPER[arm][number]:.2f}" if arm in PAPER else "–")
        rows.append(tuple(row))
    return Sheet(tuple(head), rows).markdown()


def _success(results: Results, arm: str, task: str) -> str:
    """Success of an arm on a task, with its interval and number of seeds."""
    trials = on_task(results, task)
    measured = success(trials, arm)
    if measured is None:
        return "–"
    return f"{span(measured)}, {count(len(np.unique(trials['seed'][trials['arm'] == arm])), 'seed')}"


def differences(results: Results) -> str:
    """A line per pair of methods: the difference in success on the same starts, task by task, as Markdown."""
    return by_task(results, PAIRS, tuple(TASKS))


def main() -> None:
    """Print both tables, and put them into the page."""
    results = Results.read(ROWS)
    drawn = f"{beside(results)}\n\n{differences(results)}"
    print(drawn)
    between(PAGE, "bimanual-study", drawn, "## What the study says")


if __name__ == "__main__":
    main()
