"""A study's name in: its cells run, one of them run again, or its tables and figures drawn."""

import re
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vantage.commands.names import Named, find
from vantage.commands.runs import processes
from vantage.core.stats import Interval, wilson
from vantage.disk.files import check_writable
from vantage.disk.lock import alone
from vantage.progress import console
from vantage.recipes import STUDIES
from vantage.study.cells import Cell, forget, run_cell
from vantage.study.measure import Table
from vantage.study.plan import Gathered, Study, StudyTask, Suite
from vantage.study.rows import Results
from vantage.study.run import run_study
from vantage.types import VantageError

WORK_LOCK = ".work.lock"
"""Of the folder that a study works in, which may also be that of its rows."""


def find_study(name: str) -> Study:
    """The study of that name. Raises VantageError where there is none."""
    return named_study(name).value


def named_study(name: str, own: Mapping[str, type[Any]] | None = None) -> Named[Study]:
    """The study of that name, of that file's function, or in that JSON file.

    `own`: classes of one's own that a JSON file may hold. Raises VantageError where there is none.
    """
    return find(name, STUDIES, (Study,), "study", own)


def start_study(
    study: Study,
    out: Path,
    results: Path,
    *,
    seeds: int,
    first_seed: int = 0,
    workers: int | str = 0,
    arms: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
) -> None:
    """Run what is missing of a study, and store its rows under `results`."""
    if seeds < 1:
        raise VantageError(f"a study of {seeds} seeds has nothing to run; say --seeds 1 or more")
    for arm in [study.arm(name) for name in arms] or study.arms:
        for task in [study.task(name) for name in tasks] or study.tasks:
            with _options_of_a_study(task):
                study.settings(arm, task, first_seed).check_compatible()

    check_writable(out, folder=True)
    check_writable(results, folder=True)
    numbers, places = range(first_seed, first_seed + seeds), processes(workers)
    with working_in(out), Results.alone(results, study) as stored:
        run_study(study, stored, out, seeds=numbers, workers=places, arms=arms, tasks=tasks)


@contextmanager
def _options_of_a_study(task: StudyTask | Suite) -> Generator[None]:
    """What a run is refused for is said with the options of `vantage run`; those of a study stand behind
    `--base`, and a task's own policy behind the task."""
    own = isinstance(task, StudyTask) and task.policy is not None
    try:
        yield
    except VantageError as error:
        said = re.sub(r"--(?=policy[.\s])", f"--tasks.{task.name}." if own else "--base.", str(error))
        said = re.sub(r"--(?=(?:demonstrations|rollouts|evaluation)[.\s])", "--base.", said)
        raise VantageError(said) from error


def working_in(work: Path) -> AbstractContextManager[None]:
    """Keep other studies out of a folder of cells meanwhile: two that make the same cell make it of each
    other's halves.

    Raises VantageError where one works there.
    """
    return alone(work, "wait for it, or name another folder with --out", name=WORK_LOCK)


def check_cell(study: Study, cell: Cell, out: Path, results: Path | None) -> bool:
    """Run one cell again, from nothing but the plan and its seed, and hold it against the stored one.

    True if it lands in its interval.
    """
    arm = study.arm(cell.arm)
    if isinstance(arm, Gathered):
        raise VantageError(f"arm {cell.arm!r} only gathers rollouts and is not evaluated; name another")

    before = None if results is None else _stored(study, cell, results)

    # The cell's ancestors first; the last one is the cell itself.
    trials: Table = {}
    with working_in(out):
        for ancestor in study.ancestry(arm):
            part = Cell(task=cell.task, arm=ancestor.name, seed=cell.seed)
            forget(part, out, starts=True)
            rows = run_cell(study, part, out)
            trials = rows.trials
            console.print(f"{ancestor.name:<20} {rows.seconds:5.0f} s")
    wins, n = int(trials["success"].sum()), len(trials["success"])
    console.print(f"again:  {wilson(wins, n)}")
    if before is None:
        return True
    inside = before.low <= wins / n <= before.high
    console.print(f"stored: {before}\n{'inside' if inside else 'OUTSIDE'} its 95 % interval")
    return inside


def _stored(study: Study, cell: Cell, results: Path) -> Interval:
    """The success rate of a cell's stored trials. Raises VantageError where there are none."""
    stored = Results.held(results, study).tables["trials"]
    own = np.zeros(0, bool)
    if stored:
        own = (stored["task"] == cell.task) & (stored["arm"] == cell.arm) & (stored["seed"] == cell.seed)
    if not own.any():
        fault = f"{results} has no rows of {cell.arm!r} on {cell.task} with seed {cell.seed}"
        raise VantageError(f"{fault}; run the study first")

    return wilson(int(stored["success"][own].sum()), int(own.sum()))
