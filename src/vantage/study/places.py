"""Where the cells of a study run: in processes of this machine, or on the machines of a Ray cluster.

    cell ──submit──> a place ──future of its rows──> the study

On a cluster no folder has to be shared. A machine keeps the cells that it made in a folder of its own, and
makes again what a cell stands on and is not there: a cell is a pure function of the study and its seed. So
cells go to the machine that made their parent where it has room, and anywhere else otherwise, and a machine
that is lost costs no rows.
"""

import fcntl
import hashlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from vantage.collect.cluster import Cluster, Ray, open_cluster
from vantage.collect.workers import Workers, open_workers
from vantage.environment import prepare_process
from vantage.progress import console
from vantage.study.cells import Cell, CellRows, finished, run_cell
from vantage.study.plan import Study
from vantage.threads import one_thread

PRELOAD = ("vantage.study.cells", "vantage.worlds.metaworld.world")


@runtime_checkable
class Places(Protocol):
    """Runs cells whose parents are made."""

    room: int
    """Cells that run at once."""

    def made(self, cell: Cell, done: set[Cell]) -> bool:
        """Whether others may stand on a cell; `done`: those whose rows are here."""
        ...

    def submit(self, cell: Cell) -> Future[CellRows]:
        """Have a cell run."""
        ...

    def renew(self, *, given_up: bool) -> None:
        """Go on after a `BrokenProcessPool`, or raise `LostProcess` where it is `given_up`."""
        ...


def kept_in(study: Study, work: Path) -> Callable[[Cell], bool]:
    """Whether a cell is whole in a work folder, so that others may stand on it."""
    return lambda cell: finished(study, cell, work)


@contextmanager
def open_places(study: Study, work: Path, workers: int | Ray) -> Generator[Places]:
    """Processes here, which keep cells in `work`, or a cluster; as long as the context lives.

    Raises VantageError where there is no cluster.
    """
    if isinstance(workers, Ray):
        with open_cluster(workers) as cluster:
            machines = _Machines(study, work, cluster)
            yield machines
            machines.close()
        return
    with open_workers(workers, preload=PRELOAD, quiet=True) as processes:
        yield _Here(study, work, workers, processes)


class _Here:
    def __init__(self, study: Study, work: Path, room: int, processes: Workers) -> None:
        self.room = room
        self._study, self._work, self._processes = study, work, processes

    def made(self, cell: Cell, done: set[Cell]) -> bool:
        return kept_in(self._study, self._work)(cell)

    def submit(self, cell: Cell) -> Future[CellRows]:
        return self._processes.submit(run_cell, self._study, cell, self._work)

    def renew(self, *, given_up: bool) -> None:
        self._processes.renew(given_up=given_up)


class _Machines:
    def __init__(self, study: Study, work: Path, cluster: Cluster) -> None:
        self.room = cluster.room
        self._study, self._cluster = study, cluster
        # The same command, given again from here, finds on each machine what it had made there.
        self._name = hashlib.sha256(f"{socket.gethostname()}:{work.resolve()}".encode()).hexdigest()[:16]
        self._node = dict[Cell, str]()

    def made(self, cell: Cell, done: set[Cell]) -> bool:
        return cell in done

    def submit(self, cell: Cell) -> Future[CellRows]:
        parent = replace(cell, arm=self._study.arm(cell.arm).after)
        near = self._node.get(parent, "")
        theirs, ours = self._cluster.call(near, _run_there, self._study, cell, self._name), Future[CellRows]()

        def settle(ended: Future[tuple[CellRows, str]]) -> None:
            error = ended.exception()
            if error is not None:
                ours.set_exception(error)
                return
            rows, self._node[cell] = ended.result()
            ours.set_result(rows)

        theirs.add_done_callback(settle)
        return ours

    def renew(self, *, given_up: bool) -> None:
        raise AssertionError("a cluster renews itself")

    def close(self) -> None:
        """Delete what was made on the machines; a study that is through needs it no more."""
        self._cluster.on_every_node(_forget_there, self._name)


# ------------------------------------------------------------------------------------------ on the other side


def _run_there(study: Study, cell: Cell, name: str) -> tuple[CellRows, str]:
    """A cell's rows, and the node it was made on, with whatever it stands on that this machine lacks."""
    import ray

    prepare_process()
    console.quiet = True
    work = _scratch(name)
    with one_thread():
        for ancestor in study.ancestry(study.arm(cell.arm))[:-1]:
            part = Cell(task=cell.task, arm=ancestor.name, seed=cell.seed)
            with _alone_with(part, work):
                if not finished(study, part, work):
                    run_cell(study, part, work)
        with _alone_with(cell, work):
            rows = run_cell(study, cell, work)
    return rows, ray.get_runtime_context().get_node_id()


@contextmanager
def _alone_with(cell: Cell, work: Path) -> Generator[None]:
    """Wait until no other process of this machine makes this cell."""
    folder = cell.folder(work)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_there(name: str) -> None:
    shutil.rmtree(_scratch(name), ignore_errors=True)


def _scratch(name: str) -> Path:
    """Where a machine keeps the cells of a study."""
    return Path(tempfile.gettempdir()) / f"vantage-study-{name}"
