"""Cells of a study on a Ray cluster of two nodes have the rows of this machine, also where a node dies."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster as Machines
from tiny_base import tiny_base
from two_machines import two_machines

from vantage.collect.cluster import Ray, open_cluster
from vantage.commands.studies import find_study
from vantage.learn.critic.fit import CriticFit
from vantage.study.cells import Cell, CellRows
from vantage.study.places import _Machines
from vantage.study.plan import Online, Study, Supervised
from vantage.study.rows import TABLES, Results
from vantage.study.run import run_study


def little_study() -> Study:
    """A supervised policy, one that stands on it, and one that stands on that."""
    debug, base = find_study("debug"), tiny_base()
    one_fold = replace(base.improvement, critic=CriticFit(steps=20, folds=1))
    return Study(
        base=replace(base, improvement=one_fold),
        tasks=(replace(debug.tasks[0], demonstrations=3),),
        arms=(
            Supervised(),
            Online(name="habc", rounds=1),
            Online(name="habc-more", after="habc", rounds=1),
        ),
        order=("sft", "habc", "habc-more"),
        contrasts=(),
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the temporary folders of the two machines, `first` and `second`."""
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def machines(folders: Path) -> Iterator[Machines]:
    """Two nodes of one processor; the second one may be taken away."""
    started = two_machines(folders)
    yield started
    started.shutdown()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The study's rows, made on this machine."""
    folder = tmp_path_factory.mktemp("study")
    rows = Results.open(folder / "here", little_study())
    run_study(rows.study, rows, folder / "work", seeds=[0, 1], workers=1)
    return rows


def rows_of(results: Results) -> dict[str, dict[Cell, list[tuple]]]:
    """Table -> cell -> its rows, without what clocks and machines say."""
    found: dict[str, dict[Cell, list[tuple]]] = {}
    for name in TABLES:
        table = results.tables[name]
        kept = [column for column in table if column not in ("seconds", "commit")]
        cells = found.setdefault(name, {})
        for row in zip(*(table[column] for column in kept), strict=True):
            values = dict(zip(kept, row, strict=True))
            cell = Cell(task=str(values["task"]), arm=str(values["arm"]), seed=int(values["seed"]))
            cells.setdefault(cell, []).append(tuple(str(value) for value in row))
    return found


def test_a_cell_goes_to_the_machine_that_made_its_parent(
    machines: Machines, folders: Path, tmp_path: Path
) -> None:
    study, task = little_study(), little_study().tasks[0].name
    with open_cluster(Ray(str(machines.address))) as cluster:
        places = _Machines(study, tmp_path, cluster)
        for arm in study.order:
            places.submit(Cell(task=task, arm=arm, seed=0)).result(timeout=200)
        assert len(places._node) == 3 and len(set(places._node.values())) == 1
        assert len(list(folders.glob("*/vantage-study-*"))) == 1, "in one machine's temporary folder"
        places.close()


def test_a_study_on_a_cluster_has_the_rows_of_one_machine_though_a_node_dies(
    here: Results, machines: Machines, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = here.study
    there = Results.open(tmp_path / "there", study)
    add, gone = there.add, threading.Event()

    def lose_a_machine_after_the_first(self: Results, rows: CellRows) -> None:
        add(rows)
        if not gone.is_set():
            (second,) = machines.worker_nodes
            machines.remove_node(second, allow_graceful=False)
            gone.set()

    monkeypatch.setattr(Results, "add", lose_a_machine_after_the_first)
    run_study(study, there, tmp_path / "nothing", seeds=[0, 1], workers=Ray(str(machines.address)))
    assert gone.is_set() and len(there.done()) == 6
    assert rows_of(there) == rows_of(here)

    assert not (tmp_path / "nothing").exists(), "a cluster keeps nothing here"
    # What a lost machine made stays with it: its processes may live on and still write.
    assert not list((folders / "first").glob("vantage-study-*")), "nor there, when it is through"


def test_what_a_cell_stands_on_is_made_again_where_it_is_not(
    here: Results, machines: Machines, tmp_path: Path
) -> None:
    wanted, study = rows_of(here), here.study
    here.drop([Cell(task=study.tasks[0].name, arm="habc-more", seed=0)])
    run_study(study, here, tmp_path / "nothing", seeds=[0], workers=Ray(str(machines.address)))
    assert rows_of(here) == wanted
