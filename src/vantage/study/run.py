"""A study and seeds in, every missing cell out.

Parents come before children; cells run on one core each, as many at once as there is room for (`places.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from vantage.collect.cluster import Ray
from vantage.collect.workers import RETRIES
from vantage.study.board import Board
from vantage.study.cells import Cell, CellRows
from vantage.study.places import Places, open_places
from vantage.study.plan import Study
from vantage.study.rows import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The cells to run, in an order in which parents come before their children."""

    cells: tuple[Cell, ...]
    again: frozenset[Cell]
    """Cells whose rows are stored already and whose checkpoints others need.

    They run for the checkpoint, and their rows are not stored twice.
    """


def wanted_cells(
    study: Study,
    seeds: Iterable[int],
    made: Callable[[Cell], bool],
    done: set[Cell],
    arms: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
) -> Wanted:
    """Cells without rows, and the ancestors that they need and that are not `made`; `done`: those with rows.

    Seed by seed, so that an interrupted study is a balanced one.
    """
    chosen_arms = [study.arm(name) for name in arms] or list(study.arms)
    chosen_tasks = [study.task(name) for name in tasks] or list(study.tasks)
    cells: list[Cell] = []
    again: set[Cell] = set()

    for seed in seeds:
        for task in chosen_tasks:
            by_arm: dict[str, Cell] = {}
            for arm in chosen_arms:
                cell = Cell(task=task.name, arm=arm.name, seed=seed)
                if cell in done:
                    continue
                for ancestor in study.ancestry(arm)[:-1]:
                    needed = Cell(task=task.name, arm=ancestor.name, seed=seed)
                    if ancestor.name not in by_arm and not made(needed):
                        by_arm[ancestor.name] = needed
                        if needed in done:
                            again.add(needed)
                by_arm[arm.name] = cell
            cells += [by_arm[arm.name] for arm in study.arms if arm.name in by_arm]

    return Wanted(cells=tuple(cells), again=frozenset(again))


def run_study(
    study: Study,
    results: Results,
    work: Path,
    *,
    seeds: Iterable[int],
    workers: int | Ray,
    arms: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
) -> None:
    """Run every wanted cell and store its rows as it ends.

    Started again, it goes on where it was, inside cells too.
    """
    with open_places(study, work, workers) as places:
        stored = results.done()
        wanted = wanted_cells(study, seeds, lambda cell: places.made(cell, stored), stored, arms, tasks)
        board = Board(study, results, wanted.cells, places.room)
        board.announce()
        if wanted.cells:
            with board:
                _run_all(study, results, places, board, wanted)


def _run_all(study: Study, results: Results, places: Places, board: Board, wanted: Wanted) -> None:
    waiting = list(wanted.cells)
    running: dict[Future[CellRows], Cell] = {}

    # A pool plays a list of jobs in any order; cells wait for their parents, so each is handed over by
    # itself.
    lost = Counter[Cell]()
    done = results.done()
    while waiting or running:
        under_way = {*waiting, *running.values()}
        ready = [cell for cell in waiting if _may_run(study, cell, places, done, under_way)]
        for cell in ready[: places.room - len(running)]:
            waiting.remove(cell)
            running[places.submit(cell)] = cell
        board.show(running.values(), len(waiting))

        try:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                rows = future.result()
                cell = running.pop(future)
                done.add(cell)
                if cell not in wanted.again:
                    results.add(rows)
                board.finished(rows)
        except BrokenProcessPool:
            # One worker's death ends them all. Their cells go on where they were, in fresh processes.
            lost.update(running.values())
            waiting[:0] = running.values()
            running.clear()
            places.renew(given_up=max(lost.values()) > RETRIES)


def _may_run(study: Study, cell: Cell, places: Places, done: set[Cell], under_way: set[Cell]) -> bool:
    """Whether a cell has no parent, or one that is made."""
    after = study.arm(cell.arm).after
    if not after:
        return True

    parent = Cell(task=cell.task, arm=after, seed=cell.seed)
    return parent not in under_way and places.made(parent, done)
