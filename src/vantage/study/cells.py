"""A cell (arm, task, seed) in, its rows out: trials, rounds, starts, what a stop rule would have saved, and how practice went.

    work/bin-picking-v3/seed-03/habc/round-00 -> ../sft/round-00      a cell begins as links to what its parent has made
                                     round-01 ... round-03
    work/MT10/seed-03/3 demos/round-00 -> ../.starts/5f0c.../round-00     whole runs that begin alike share their round 0

Cells of one task and seed share demonstrations, evaluation starts and the seeds of their rollouts, so that arms are paired.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import (
    collect_round,
    evaluate_round,
    improve_policy,
    improver,
    label_round,
    supervise_round,
)
from vantage.algorithms.run import Run, last_round, run_algorithm, supervised_part
from vantage.algorithms.supervised import train_control_policy
from vantage.collect.pool import play_here
from vantage.config import brief
from vantage.disk.files import write_whole
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.stages.evaluate import evaluate
from vantage.study.measure import Table, measure_round
from vantage.study.plan import Acting, Arm, Gathered, MoreSupervised, Offline, Online, Part, Study, StudyTask, Suite, Supervised, Whole
from vantage.study.practised import Practised, measure_practice
from vantage.threads import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One arm on one task with one seed."""

    task: str
    arm: str
    seed: int

    def folder(self, work: Path) -> Path:
        """Where it works. A name that is made for people to read (spaces, signs) keeps its letters, and gets a few digits of its own."""
        name = self.arm
        if not re.fullmatch(r"[\w.+-]+", name):
            plain = "-".join(re.findall(r"[\w.+]+", name))
            name = f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
        return work / self.task / f"seed-{self.seed:02d}" / name


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRows:
    """What a finished cell leaves behind: columns by table."""

    cell: Cell
    seconds: float
    """Processor time of this cell, which a busy neighbour hardly changes."""
    trials: Table
    """One row per evaluation trial."""
    rounds: Table
    """One row per round that this arm has made."""
    starts: Table
    """One row per rollout: the viability of its first state."""
    stops: Table
    """One row per round and stop threshold."""
    practised: Practised
    """How practice went; empty tables of an arm that does not practise."""


def finished(study: Study, cell: Cell, work: Path) -> bool:
    """Whether other cells may stand on this one: it is whole, and was made by just these settings."""
    return (cell.folder(work) / ".whole").exists() and _made_by(cell, work) == study.fingerprint(study.arm(cell.arm), study.task(cell.task))


def _made_by(cell: Cell, work: Path) -> str | None:
    path = cell.folder(work) / "fingerprint"
    return path.read_text() if path.exists() else None


def run_cell(study: Study, cell: Cell, work: Path) -> CellRows:
    """Do whatever of the cell is not on disk yet, on one core; what other settings made there is deleted. Its parent must be finished."""
    began = time.process_time()
    arm, task = study.arm(cell.arm), study.task(cell.task)
    folder, fingerprint = cell.folder(work), study.fingerprint(arm, task)
    if _made_by(cell, work) != fingerprint:
        forget(cell, work)
        write_whole(folder / "fingerprint", fingerprint.encode())
    if arm.after:
        parent = Cell(task=cell.task, arm=arm.after, seed=cell.seed)
        branch(parent.folder(work), folder, study, arm)
    practised = Practised()
    with one_thread():  # with another number the same numbers come out rounded differently
        if isinstance(arm, Whole):
            settings = study.settings(arm, task, cell.seed)
            made = _make_whole(settings, folder)
            evaluation = last_round(folder, settings).evaluation
            if isinstance(settings, ChunkedPPORun):
                practised = measure_practice(folder, settings)
        else:
            made = _make(study, arm, task, cell.seed, folder)
            evaluation = made[-1].evaluation if made else Round(folder / "more").evaluation

    trials = _trials(evaluation, arm)
    measured = [measure_round(each) for each in made if each.labels.exists()]
    for each in made:
        (each.critic / "features.safetensors").unlink(missing_ok=True)  # the largest file of a round, and quickly made again
        if not study.trains_on(arm):
            for frames in each.folder.glob(".frames-*"):
                shutil.rmtree(frames)
    (folder / ".whole").touch()
    return CellRows(
        cell=cell,
        seconds=time.process_time() - began,
        trials=trials,
        rounds=_stack([m.summary for m in measured]),
        starts=_stack([m.starts for m in measured]),
        stops=_stack([m.stops for m in measured]),
        practised=practised,
    )


def branch(parent: Path, folder: Path, study: Study, arm: Arm) -> None:
    """Begin a run as links to the rounds of another; an `Offline` arm links what was gathered, and labels, of its last round only."""
    folder.mkdir(parents=True, exist_ok=True)
    count = study.first_round(arm)
    for number in range(count):
        theirs, mine = Round.of(parent, number), Round.of(folder, number)
        if isinstance(arm, Offline) and number == count - 1:
            mine.folder.mkdir(exist_ok=True)
            for made in (theirs.episodes, theirs.labels, *theirs.folder.glob(".frames-*")):
                _link(made, mine.folder / made.name)
        else:
            _link(theirs.folder, mine.folder)


def _link(target: Path, link: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(target.resolve(), link.parent))


def _make_whole(settings: Run, folder: Path) -> list[Round]:
    """Run an algorithm to its end; all its rounds but round 0, which may be another cell's too."""
    share_start(settings, folder)
    run_algorithm(folder, settings, workers=1)
    last = last_round(folder, settings)
    return [Round.of(folder, number) for number in range(1, last.number + 1)]


def share_start(settings: Run, folder: Path) -> None:
    """Link round 0 of a run to the one that every run of this task and seed shares which begins alike; made here if it is not there yet.

    Runs begin alike where their settings agree in all that decides round 0. Two processes that want the same one make it once: the
    second waits for the first.
    """
    beginning = supervised_part(settings)
    key = hashlib.sha256(json.dumps(brief(beginning), sort_keys=True).encode()).hexdigest()[:12]
    starts = folder.parent / STARTS
    starts.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    with (starts / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_algorithm(starts / key, beginning, workers=1)
    _link(Round.of(starts / key, 0).folder, Round.of(folder, 0).folder)


STARTS = ".starts"
"""Folder of the shared beginnings of whole runs, beside the cells of a task and seed."""


def _make(study: Study, arm: Part, task: StudyTask | Suite, seed: int, folder: Path) -> list[Round]:
    """Run the arm; the rounds that it has made itself, the last one evaluated."""
    settings = study.settings(arm, task, seed)
    first = study.first_round(arm)
    match arm:
        case Supervised():
            here = Round.of(folder, 0)
            supervise_round(here, settings, play_here)
            evaluate_round(here, settings, play_here)
            return [here]
        case MoreSupervised(rounds=rounds):
            more = Round(folder / "more")
            fit = settings.improvement.fit
            train_control_policy(Round.of(folder, 0), more.actor, settings.interface, fit, rounds=rounds, seed=seed)
            evaluate(more.actor, more.evaluation, settings.worlds, settings.evaluation, pool=play_here)
            return []
        case Acting(noise=noise):
            policy, evaluation = Round.of(folder, first - 1).actor, replace(settings.evaluation, noise=noise)
            evaluate(policy, Round(folder / "more").evaluation, settings.worlds, evaluation, pool=play_here)
            return []
        case Gathered():
            here = Round.of(folder, first)
            collect_round(here, settings, play_here)
            label_round(here, settings)
            return [here]
        case Offline():
            here = Round.of(folder, first - 1)
            improver(here, settings).learn()
            evaluate_round(here, settings, play_here)
            return [here]
        case Online(rounds=rounds):
            made = [Round.of(folder, number) for number in range(first, first + rounds)]
            for here in made:
                improve_policy(here, settings, play_here)
            evaluate_round(made[-1], settings, play_here)
            return made


def _trials(path: Path, arm: Arm) -> Table:
    """World, number, success, steps and limit of every trial, in the order of the suite; nothing of an arm that is not evaluated."""
    if isinstance(arm, Gathered):
        return {}
    found = read_parquet(path, ("task", "success", "steps", "limit"))
    world = found.pop("task")
    trial = np.zeros(len(world), np.int64)
    for name in np.unique(world):
        trial[world == name] = np.arange((world == name).sum())
    return {"world": world, "trial": trial} | found


def _stack(tables: list[Table]) -> Table:
    filled = [table for table in tables if table]
    return {name: np.concatenate([table[name] for table in filled]) for name in filled[0]} if filled else {}


def forget(cell: Cell, work: Path, *, starts: bool = False) -> None:
    """Delete all that a cell has made, so that it is made again; with `starts`, also the beginnings that whole runs share."""
    folder = cell.folder(work)
    shutil.rmtree(folder, ignore_errors=True)
    if starts:
        shutil.rmtree(folder.parent / STARTS, ignore_errors=True)
