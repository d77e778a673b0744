"""Rates and differences of stored trials, with an interval where there is one seed, too.

    python -m experiments.few_seeds alone      the study's differences, task by task -> docs/results.md

Over several seeds it is the study's own, which draws seeds and starts again. With one seed it is over the
starts alone, and says nothing of how much another seed would differ.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vantage.core.stats import Interval, paired_difference, wilson
from vantage.report.table import Table as Sheet
from vantage.study.arms import title
from vantage.study.measure import Table
from vantage.study.rows import Results
from vantage.study.statistics import Grid, contrast, grids, pair, rate
from vantage.study.words import span


def success(trials: Table, arm: str) -> Interval | None:
    """Success of an arm, its tasks counting the same; None without trials."""
    measured = rate(trials, arm)
    if measured is None:
        return None
    played = list(grids(trials, arm).values())
    if not _one_seed(played):
        return measured.overall
    solved = np.concatenate([grid.success[0] for grid in played])
    return wilson(int(solved.sum()), len(solved))


def difference(trials: Table, ours: str, theirs: str) -> Interval | None:
    """Success of one arm minus that of another on the same starts; None where they share no cell."""
    pairs = list(pair(grids(trials, ours), grids(trials, theirs)).values())
    if not pairs:
        return None
    if not _one_seed([one for one, _ in pairs]):
        compared = contrast(trials, ours, theirs)
        return None if compared is None else compared.difference
    first, second = (np.concatenate([both[side].success[0] for both in pairs]) for side in (0, 1))
    return paired_difference(first, second)


def _one_seed(played: list[Grid]) -> bool:
    """Whether every task has one seed, and as many starts as the others."""
    return {grid.success.shape for grid in played} == {(1, played[0].success.shape[1])}


def on_task(results: Results, task: str) -> Table:
    """The trials of one task."""
    trials = results.tables["trials"]
    return {name: column[trials["task"] == task] for name, column in trials.items()}


def by_task(results: Results, pairs: Iterable[tuple[str, str]], tasks: Sequence[str] = ()) -> str:
    """A line per pair of arms: the difference in success on the same starts, task by task, as Markdown.

    `tasks`: which, in this order; empty: all of the study, and before them the difference over all of them.
    """
    study, trials = results.study, results.tables["trials"]
    chosen = tasks or [task.name for task in study.tasks]
    head = ("pair", *chosen) if tasks else ("pair", "all", *chosen)

    parts = [*(() if tasks else (trials,)), *(on_task(results, task) for task in chosen)]
    rows: list[tuple[str, ...]] = []
    for ours, theirs in pairs:
        compared = [difference(part, ours, theirs) for part in parts]
        if any(one is not None for one in compared):
            cells = ("–" if one is None else span(one, signed=True) for one in compared)
            rows.append((f"{title(study, ours)} − {title(study, theirs)}", *cells))
    return Sheet(head, rows).markdown()


def main(name: str) -> None:
    """Print the differences that a study asks for, and put them into docs/results.md."""
    from experiments.publish_study import between  # which needs this module for its own tables

    results = Results.read(Path(f"docs/results/study-{name}"))
    drawn = by_task(results, results.study.contrasts)
    print(drawn)
    between(Path("docs/results.md"), f"few-{name}", drawn, f"### `{name}`, task by task")


if __name__ == "__main__":
    main(*sys.argv[1:])
