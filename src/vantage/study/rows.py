"""Finished cells <-> parquet files that are committed.

A study grows run by run, on any machine, and is drawn again from these files alone:

docs/results/study-state/study.json      the plan
                         cells.parquet   one row per finished cell: fingerprint, seconds, commit, machine,
                                         meanings of its stages, supervised checkpoint, processor,
                                         libraries
                         trials.parquet  one row per evaluation trial
                         rounds.parquet  one row per round
                         starts.parquet  one row per rollout: viability of its first state
                         stops.parquet   one row per round and stop threshold
    of arms that practise:
                         checks.parquet    one row per check on the way
                         practice.parquet  one row per cell: environment steps, seconds playing and learning
                         pace.parquet      one row per world: how near to its speed limit the robot is driven
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vantage.config import classes_of, first_difference, from_json, to_json
from vantage.disk.files import read_json, write_json
from vantage.disk.lock import alone
from vantage.disk.tables import read_parquet, write_parquet
from vantage.study.cells import Cell, CellRows
from vantage.study.meanings import MEANINGS, meanings_of, write_meanings
from vantage.study.measure import Table
from vantage.study.plan import (
    Acting,
    Gathered,
    MoreSupervised,
    Offline,
    Online,
    Study,
    Supervised,
    WholeRun,
)
from vantage.study.provenance import COLUMNS as PROVENANCE
from vantage.study.provenance import SUPERVISED
from vantage.types import VantageError

KEY = ("task", "arm", "seed")
"""Of a cell, in every row."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "trials": ("trial", "success", "steps", "limit"),
    "rounds": ("round", "episodes", "robot_steps", "human_steps"),
    "starts": ("round", "p_v", "alone", "rescued"),
    "stops": ("round", "threshold", "untouched", "saved"),
    "checks": ("steps", "success", "length", "cost"),
    "practice": ("env_steps", "playing", "learning"),
    "pace": ("world", "successes", "at_limit"),
    "cells": ("fingerprint", "seconds", "commit", "machine"),
}
"""Table -> columns by which it is known."""
TABLES = tuple(COLUMNS)
"""In the order in which they are written: a cell is there when its last row is."""
RECORDED: Mapping[str, tuple[type, ...]] = {
    "trials": (Supervised, MoreSupervised, Online, Offline, Acting, WholeRun),
    "rounds": (Online, Offline, Gathered),
}
"""Table -> the kinds of arms of which it has rows; the other tables depend on more than the kind."""


def check_study(folder: Path) -> None:
    """Raise VantageError for a folder that no study has written its rows to."""
    if not (folder / "study.json").exists():
        fault = f"{folder} holds no study (study.json is missing)"
        raise VantageError(f"{fault}; name the folder that `vantage study` wrote its rows to")


@dataclass(slots=True)
class Results:
    """All rows of a study, in memory and on disk."""

    folder: Path
    study: Study
    tables: dict[str, Table] = field(default_factory=dict[str, Table])

    @classmethod
    def open(cls, folder: Path, study: Study) -> "Results":
        """Read what is there. Raises VantageError where rows were made by other settings than the study's."""
        results = cls.held(folder, study)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "study.json", to_json(study))
        return results

    @classmethod
    def held(cls, folder: Path, study: Study) -> "Results":
        """The same, and nothing is written: for those who only look at the rows."""
        results = cls(folder, study, _read_all(folder))
        results._check()
        _check_complete(folder, study, results.tables)
        return results

    @classmethod
    def read(cls, folder: Path, own: Mapping[str, type[Any]] | None = None) -> "Results":
        """Read results with the plan that is stored beside them.

        `own`: classes from outside Vantage that the plan holds.
        """
        check_study(folder)
        study = from_json(Study, read_json(folder / "study.json"), str(folder / "study.json"), own)
        tables = _read_all(folder)
        _check_complete(folder, study, tables)
        return cls(folder, study, tables)

    def done(self) -> set[Cell]:
        """Cells whose rows are here."""
        return set(_cells_of(self.tables["cells"]))

    def add(self, rows: CellRows) -> None:
        """Append a cell's rows and write the tables."""
        cell = rows.cell
        self.drop([cell])  # what a kill between two tables may have left
        arm, task = self.study.arm(cell.arm), self.study.task(cell.task)
        about: Table = {
            "fingerprint": np.array([self.study.fingerprint(arm, task)]),
            "seconds": np.array([rows.seconds]),
            MEANINGS: np.array([write_meanings(meanings_of(self.study, arm, task))]),
            SUPERVISED: np.array([rows.supervised]),
            **{column: np.array([said]) for column, said in rows.machine.items()},
        }

        new: dict[str, Table] = {
            "trials": rows.trials,
            "rounds": rows.rounds,
            "starts": rows.starts,
            "stops": rows.stops,
            "checks": rows.practised.checks,
            "practice": rows.practised.practice,
            "pace": rows.practised.pace,
            "cells": about,
        }
        for name, table in new.items():
            if table:
                self._append(name, cell, table)

    def _append(self, name: str, cell: Cell, more: Table) -> None:
        """Add rows of a cell to a table, and write it."""
        count = len(next(iter(more.values())))
        key: Table = {
            "task": np.full(count, cell.task),
            "arm": np.full(count, cell.arm),
            "seed": np.full(count, cell.seed, np.int64),
        }
        self.tables[name] = _joined(self.tables[name], key | more)
        self._write(name)

    def merge(self, other: "Results") -> int:
        """Take over the cells of `other` that are missing here; returns how many.

        Raises VantageError where its settings were others.
        """
        Results(self.folder, self.study, other.tables)._check()
        new = other.done() - self.done()
        self.drop(new)  # what a kill between two tables may have left
        for name in TABLES:
            table = other.tables[name]
            if table:
                keep = np.array([cell in new for cell in _cells_of(table)])
                taken = {column: values[keep] for column, values in table.items()}
                self.tables[name] = _joined(self.tables[name], taken)
                self._write(name)
        return len(new)

    def _write(self, name: str) -> None:
        table = self.tables[name]
        nullable = [key for key, column in table.items() if column.dtype.kind == "f"]
        write_parquet(self.folder / f"{name}.parquet", table, nullable=nullable)

    @classmethod
    @contextmanager
    def alone(cls, folder: Path, study: Study) -> Generator["Results"]:
        """Read what is there, and keep other processes from writing there meanwhile.

        It is read when nobody else can write any more. Raises VantageError where another process writes, and
        as `open` does.
        """
        with alone(folder, "wait for it, or name another folder with --results and merge the two"):
            yield cls.open(folder, study)

    def drop(self, cells: Iterable[Cell]) -> None:
        """Forget the rows of some cells."""
        gone = set(cells)
        for name, table in self.tables.items():
            if table:
                keep = np.array([cell not in gone for cell in _cells_of(table)])
                self.tables[name] = {column: values[keep] for column, values in table.items()}

    def _check(self) -> None:
        """Raise VantageError for rows that other settings than the study's have made."""
        cells = self.tables["cells"]
        if not cells:
            return

        wanted: dict[tuple[str, str], str] = {}
        for cell, stored in zip(_cells_of(cells), cells["fingerprint"], strict=True):
            key = (cell.task, cell.arm)
            if key not in wanted:
                wanted[key] = self.study.fingerprint(self.study.arm(cell.arm), self.study.task(cell.task))
            if wanted[key] != stored:
                changed = self._changed(*key)
                raise VantageError(
                    f"{self.folder} holds rows of {cell.arm!r} on {cell.task} that other settings have made"
                    f"{changed}; name another folder with --results, or delete this one"
                )

    def _changed(self, task: str, arm: str) -> str:
        """The setting in which a cell differs from the plan that is stored beside its rows, in brackets.

        Empty where that plan does not say.
        """
        try:
            plan = read_json(self.folder / "study.json")
            stored = from_json(Study, plan, "study.json", classes_of(self.study))
            theirs, ours = stored.ancestry(stored.arm(arm)), self.study.ancestry(self.study.arm(arm))
            differences = [
                first_difference(
                    to_json(stored.settings(was, stored.task(task), 0)),
                    to_json(self.study.settings(now, self.study.task(task), 0)),
                )
                for was, now in zip(theirs, ours, strict=False)
            ]
        except VantageError:
            return ""
        return next((f" ({difference})" for difference in differences if difference), "")


def _cells_of(table: Table) -> list[Cell]:
    """The cell of every row of a table."""
    if not table:
        return []
    keys = zip(table["task"], table["arm"], table["seed"], strict=True)
    return [Cell(task=str(task), arm=str(arm), seed=int(seed)) for task, arm, seed in keys]


def _joined(old: Table, new: Table) -> Table:
    """The rows of two tables, one after the other."""
    if not old:
        return new
    return {column: np.concatenate([old[column], values]) for column, values in new.items()}


def _read_all(folder: Path) -> dict[str, Table]:
    """Every table; an empty one where there is no file. Raises VantageError for one that is not what its name
    says."""
    tables = {name: _read(folder / f"{name}.parquet", columns) for name, columns in COLUMNS.items()}
    trials = tables["trials"]
    if trials and "world" not in trials:
        trials["world"] = trials["task"]  # rows from before a task could be a suite: every task was a world
    cells = tables["cells"]
    for name in (MEANINGS, *PROVENANCE):
        if cells and name not in cells:
            cells[name] = np.full(len(cells["seed"]), "")  # rows from before they said it
    return tables


def _read(path: Path, columns: Iterable[str]) -> Table:
    """A table, or an empty one where there is no file."""
    if not path.exists():
        return {}
    try:
        table = read_parquet(path)
    except VantageError as error:
        fault = str(error).removesuffix(".").removesuffix("; write it again")
        raise VantageError(f"{fault}; {_remedy(path.parent)}") from error
    missing = [name for name in (*KEY, *columns) if name not in table]
    if missing:
        raise VantageError(
            f"{path} has no column {missing[0]}: it holds something else; {_remedy(path.parent)}"
        )
    return table


def _remedy(folder: Path) -> str:
    return (
        f"restore it from where it came from, or delete {folder} and give the command of the study again, "
        "which takes finished cells from its work folder"
    )


def _check_complete(folder: Path, study: Study, tables: Mapping[str, Table]) -> None:
    """Raise VantageError where a table lacks rows of a cell that is there."""
    cells = set(_cells_of(tables["cells"]))
    for name, kinds in RECORDED.items():
        wanted = {cell for cell in cells if isinstance(study.arm(cell.arm), kinds)}
        there = set(_cells_of(tables[name]))
        lost = sorted(f"{cell.task} {cell.arm} seed {cell.seed}" for cell in wanted - there)
        if lost:
            raise VantageError(
                f"{folder / name}.parquet lacks the rows of {len(lost)} cells, such as {lost[0]}; "
                f"{_remedy(folder)}"
            )
