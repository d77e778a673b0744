"""Finished cells <-> parquet files that are committed: a study grows run by run, on any machine, and is drawn again from them alone.

docs/results/study-state/study.json      the plan
                         cells.parquet   one row per finished cell: fingerprint, seconds, commit, machine
                         trials.parquet  one row per evaluation trial
                         rounds.parquet  one row per round
                         starts.parquet  one row per rollout: viability of its first state
                         stops.parquet   one row per round and stop threshold
"""

import fcntl
import os
import platform
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vantage.config import first_difference, from_json, to_json
from vantage.disk.files import read_json, write_json
from vantage.disk.record import git_commit
from vantage.disk.tables import read_parquet, write_parquet
from vantage.study.cells import Cell, CellRows
from vantage.study.measure import Table
from vantage.study.plan import Study
from vantage.types import VantageError

TABLES = ("trials", "rounds", "starts", "stops", "cells")
"""In the order in which they are written: a cell is there when its last row is."""


@dataclass(slots=True)
class Results:
    """All rows of a study, in memory and on disk."""

    folder: Path
    study: Study
    tables: dict[str, Table] = field(default_factory=dict[str, Table])

    @classmethod
    def open(cls, folder: Path, study: Study) -> "Results":
        """Read what is there. Raises VantageError where rows were made by other settings than the study's."""
        results = cls(folder, study, {name: _read(folder / f"{name}.parquet") for name in TABLES})
        results._check()
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "study.json", to_json(study))
        return results

    @classmethod
    def read(cls, folder: Path, own: Mapping[str, type[Any]] | None = None) -> "Results":
        """Read results with the plan that is stored beside them. `own`: classes from outside Vantage that the plan holds."""
        if not (folder / "study.json").exists():
            raise VantageError(f"{folder} holds no study (study.json is missing); name the folder that `vantage study` wrote its rows to")
        study = from_json(Study, read_json(folder / "study.json"), "study.json", own)
        return cls(folder, study, {name: _read(folder / f"{name}.parquet") for name in TABLES})

    def done(self) -> set[Cell]:
        """Cells whose rows are here."""
        cells = self.tables["cells"]
        if not cells:
            return set()
        return {Cell(task=str(t), arm=str(a), seed=int(s)) for t, a, s in zip(cells["task"], cells["arm"], cells["seed"], strict=True)}

    def add(self, rows: CellRows) -> None:
        """Append a cell's rows and write the tables."""
        cell = rows.cell
        self.drop([cell])  # what a kill between two tables may have left
        arm, task = self.study.arm(cell.arm), self.study.task(cell.task)
        about: Table = {
            "fingerprint": np.array([self.study.fingerprint(arm, task)]),
            "seconds": np.array([rows.seconds]),
            "commit": np.array([git_commit() or "unknown"]),
            "machine": np.array([f"{os.cpu_count()} x {platform.machine()}"]),
        }
        for name, more in {
            "trials": rows.trials,
            "rounds": rows.rounds,
            "starts": rows.starts,
            "stops": rows.stops,
            "cells": about,
        }.items():
            if more:
                self._append(name, cell, more)

    def _append(self, name: str, cell: Cell, more: Table) -> None:
        count = len(next(iter(more.values())))
        whose: Table = {
            "task": np.full(count, cell.task),
            "arm": np.full(count, cell.arm),
            "seed": np.full(count, cell.seed, np.int64),
        }
        new, old = whose | more, self.tables[name]
        self.tables[name] = {key: np.concatenate([old[key], new[key]]) for key in new} if old else new
        self._write(name)

    def merge(self, other: "Results") -> int:
        """Take over the cells of `other` that are missing here; returns how many. Raises VantageError where its settings were others."""
        Results(self.folder, self.study, other.tables)._check()
        new = other.done() - self.done()
        self.drop(new)  # what a kill between two tables may have left
        for name in TABLES:
            theirs = other.tables[name]
            if not theirs:
                continue
            whose = zip(theirs["task"], theirs["arm"], theirs["seed"], strict=True)
            keep = np.array([Cell(task=str(t), arm=str(a), seed=int(s)) in new for t, a, s in whose])
            mine = self.tables[name]
            self.tables[name] = {k: np.concatenate([mine[k], v[keep]]) if mine else v[keep] for k, v in theirs.items()}
            self._write(name)
        return len(new)

    def _write(self, name: str) -> None:
        table = self.tables[name]
        nullable = [key for key, column in table.items() if column.dtype.kind == "f"]
        write_parquet(self.folder / f"{name}.parquet", table, nullable=nullable)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keep other processes from writing here meanwhile. Raises VantageError where one does."""
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise VantageError(
                    f"another study is writing to {self.folder}; wait for it, or name another folder with --results and merge the two"
                ) from error
            yield

    def drop(self, cells: Iterable[Cell]) -> None:
        """Forget the rows of some cells."""
        gone = set(cells)
        for name, table in self.tables.items():
            if table:
                whose = zip(table["task"], table["arm"], table["seed"], strict=True)
                keep = np.array([Cell(task=str(t), arm=str(a), seed=int(s)) not in gone for t, a, s in whose])
                self.tables[name] = {key: column[keep] for key, column in table.items()}

    def _check(self) -> None:
        cells = self.tables["cells"]
        if not cells:
            return
        wanted: dict[tuple[str, str], str] = {}
        for task, name, found in zip(cells["task"], cells["arm"], cells["fingerprint"], strict=True):
            key = (str(task), str(name))
            if key not in wanted:
                wanted[key] = self.study.fingerprint(self.study.arm(key[1]), self.study.task(key[0]))
            if wanted[key] != found:
                raise VantageError(
                    f"{self.folder} holds rows of {key[1]!r} on {key[0]} that other settings have made{self._changed(*key)}; "
                    "name another folder with --results, or delete this one"
                )

    def _changed(self, task: str, arm: str) -> str:
        """The setting in which a cell differs from the plan that is stored beside its rows, in brackets; empty where that does not say."""
        try:
            stored = from_json(Study, read_json(self.folder / "study.json"), "study.json")
            pairs = zip(stored.ancestry(stored.arm(arm)), self.study.ancestry(self.study.arm(arm)), strict=False)
            differences = [
                first_difference(
                    to_json(stored.settings(was, stored.task(task), 0)),
                    to_json(self.study.settings(now, self.study.task(task), 0)),
                )
                for was, now in pairs
            ]
        except VantageError:
            return ""
        return next((f" ({difference})" for difference in differences if difference), "")


def _read(path: Path) -> Table:
    return read_parquet(path) if path.exists() else {}
