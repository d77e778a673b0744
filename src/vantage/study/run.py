"""A study and seeds in, every missing cell out: parents before children, one core each, as many at once as there are workers."""

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from vantage.collect.pool import open_processes
from vantage.study.board import Board
from vantage.study.cells import Cell, CellRows, finished, run_cell
from vantage.study.plan import Study
from vantage.study.rows import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The cells to run, in an order in which parents come before their children."""

    cells: tuple[Cell, ...]
    again: frozenset[Cell]
    """Cells whose rows are stored already and whose checkpoints others need: run for the checkpoint, their rows not stored twice."""


def wanted_cells(
    study: Study, seeds: Iterable[int], work: Path, done: set[Cell], arms: tuple[str, ...] = (), tasks: tuple[str, ...] = ()
) -> Wanted:
    """Cells without rows, and the ancestors that they need. Seed by seed, so that an interrupted study is a balanced one."""
    chosen = [study.arm(name) for name in arms] or list(study.arms)
    places = [study.task(name) for name in tasks] or list(study.tasks)
    cells: list[Cell] = []
    again: set[Cell] = set()
    for seed in seeds:
        for place in places:
            mine: dict[str, Cell] = {}
            for arm in chosen:
                cell = Cell(task=place.name, arm=arm.name, seed=seed)
                if cell in done:
                    continue
                for ancestor in study.ancestry(arm)[:-1]:
                    needed = Cell(task=place.name, arm=ancestor.name, seed=seed)
                    if ancestor.name not in mine and not finished(study, needed, work):
                        mine[ancestor.name] = needed
                        if needed in done:
                            again.add(needed)
                mine[arm.name] = cell
            cells += [mine[arm.name] for arm in study.arms if arm.name in mine]
    return Wanted(cells=tuple(cells), again=frozenset(again))


def run_study(
    study: Study,
    results: Results,
    work: Path,
    *,
    seeds: Iterable[int],
    workers: int,
    arms: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
) -> None:
    """Run every wanted cell and store its rows as it ends. Started again, it goes on where it was, inside cells too."""
    wanted = wanted_cells(study, seeds, work, results.done(), arms, tasks)
    board = Board(study, results, wanted.cells, workers)
    board.announce()
    if not wanted.cells:
        return
    waiting = list(wanted.cells)
    running: dict[Future[CellRows], Cell] = {}
    # A pool plays a list of jobs in any order; cells wait for their parents, so they are handed to its processes one by one.
    with open_processes(workers, preload=("vantage.study.cells", "vantage.worlds.metaworld.world"), quiet=True) as executor, board:
        while waiting or running:
            ready = [cell for cell in waiting if _may_run(study, cell, work, waiting, running)][: workers - len(running)]
            for cell in ready:
                waiting.remove(cell)
                running[executor.submit(run_cell, study, cell, work)] = cell
            board.show(running.values(), len(waiting))
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                rows = future.result()
                if cell not in wanted.again:
                    results.add(rows)
                board.finished(rows)


def _may_run(study: Study, cell: Cell, work: Path, waiting: list[Cell], running: dict[Future[CellRows], Cell]) -> bool:
    after = study.arm(cell.arm).after
    parent = Cell(task=cell.task, arm=after, seed=cell.seed)
    return not after or (parent not in waiting and parent not in running.values() and finished(study, parent, work))
