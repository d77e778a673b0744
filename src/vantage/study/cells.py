"""A cell (arm, task, seed) in, its rows out: trials, rounds, starts, what a stop rule would have saved, and
how practice went.

    work/bin-picking-v3/seed-03/habc/round-00 -> ../sft/round-00      links to what the cell's parent has made
                                     round-01 ... round-03
    work/MT10/seed-03/ppo/round-00 -> ../.starts/5f0c/round-00    whole runs that begin alike share round 0

Cells of one task and seed share demonstrations, evaluation starts and the seeds of their rollouts, so that
arms are paired.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import (
    collect_round,
    evaluate_round,
    fit_acting,
    improve_policy,
    improver,
    supervise_round,
)
from vantage.algorithms.made import check_run
from vantage.algorithms.run import Run, last_round, run_algorithm, supervised_part
from vantage.algorithms.supervised import label_round, train_control_policy
from vantage.collect.pool import play_here
from vantage.config import brief
from vantage.disk.files import sha256_folder, write_whole
from vantage.disk.layout import Round
from vantage.disk.made import let_go
from vantage.disk.tables import read_parquet
from vantage.stages.evaluate import evaluate
from vantage.study.measure import Table, measure_round
from vantage.study.plan import (
    Acting,
    Arm,
    Gathered,
    MoreSupervised,
    Offline,
    Online,
    Part,
    Study,
    StudyTask,
    Suite,
    Supervised,
    WholeRun,
)
from vantage.study.practised import Practised, measure_practice
from vantage.study.provenance import this_machine
from vantage.threads import one_thread

STARTS = ".starts"
"""Folder of the rounds 0 that whole runs share, beside the cells of a task and seed."""

MORE = "more"
"""Folder of what a cell makes besides rounds: a policy that was trained further, trials of one that acts
otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One arm on one task with one seed."""

    task: str
    arm: str
    seed: int

    def folder(self, work: Path) -> Path:
        """Where it works."""
        return work / _folder_name(self.task) / f"seed-{self.seed:02d}" / _folder_name(self.arm)


def _folder_name(name: str) -> str:
    """What the folder of a name is called, so that no two names share one.

    The name itself or, where that has spaces or signs (`10 demos, h = 1`), its letters with six digits of its
    hash.
    """
    if re.fullmatch(r"\w[\w.+-]*", name):
        return name
    letters = "-".join(re.findall(r"[\w.+]+", name))
    return f"{letters}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRows:
    """What a finished cell leaves behind: columns by table."""

    cell: Cell
    seconds: float
    """Processor time of this cell, which other processes hardly change."""
    supervised: str
    """sha256 of the supervised checkpoint with which the run began."""
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
    machine: Mapping[str, str]
    """What it ran on, by column of cells.parquet (`provenance.this_machine`)."""


def finished(study: Study, cell: Cell, work: Path) -> bool:
    """Whether other cells may stand on this one: it is whole, and was made by just these settings."""
    wanted = study.fingerprint(study.arm(cell.arm), study.task(cell.task))
    return (cell.folder(work) / ".whole").exists() and _made_by(cell, work) == wanted


def _made_by(cell: Cell, work: Path) -> str | None:
    path = cell.folder(work) / "fingerprint"
    return path.read_text() if path.exists() else None


def run_cell(study: Study, cell: Cell, work: Path) -> CellRows:
    """Do whatever of the cell is not on disk yet, on one core. Its parent must be finished.

    What other settings have made in its folder is deleted.
    """
    began = time.process_time()
    arm, task = study.arm(cell.arm), study.task(cell.task)
    folder, fingerprint = cell.folder(work), study.fingerprint(arm, task)

    if _made_by(cell, work) != fingerprint:
        forget(cell, work)
        write_whole(folder / "fingerprint", fingerprint.encode())
    if arm.after:
        parent = Cell(task=cell.task, arm=arm.after, seed=cell.seed)
        branch(parent.folder(work), folder, study, arm)
    check_run(folder)

    practised = Practised()
    with one_thread():  # with another number the same numbers come out rounded differently
        if isinstance(arm, WholeRun):
            settings = study.settings(arm, task, cell.seed)
            made = _make_whole(settings, folder)
            evaluation = last_round(folder, settings).evaluation
            if isinstance(settings, ChunkedPPORun):
                practised = measure_practice(folder, settings)
        else:
            made = _make(study, arm, task, cell.seed, folder)
            evaluation = made[-1].evaluation if made else Round(folder / MORE).evaluation

    trials = _trials(evaluation, arm)
    measured = [measure_round(current) for current in made if current.labels.exists()]

    # What takes much room and is quickly made again.
    for current in made:
        let_go(current.critic / "features.safetensors")
        (current.critic / "features.safetensors").unlink(missing_ok=True)
        if not study.trains_on(arm):
            for frames in current.folder.glob(".frames-*"):
                let_go(frames)
                shutil.rmtree(frames)
    (folder / ".whole").touch()

    return CellRows(
        cell=cell,
        seconds=time.process_time() - began,
        supervised=sha256_folder(Round.of(folder, 0).actor),
        trials=trials,
        rounds=_stack([one.summary for one in measured]),
        starts=_stack([one.starts for one in measured]),
        stops=_stack([one.stops for one in measured]),
        practised=practised,
        machine=this_machine(),
    )


def branch(parent: Path, folder: Path, study: Study, arm: Arm) -> None:
    """Begin a run as links to the rounds of another.

    Of the last round, an `Offline` arm links only what was gathered, and its labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = study.first_round(arm)

    for number in range(count):
        source, link = Round.of(parent, number), Round.of(folder, number)
        if isinstance(arm, Offline) and number == count - 1:
            link.folder.mkdir(exist_ok=True)
            for path in (source.episodes, source.labels, *source.folder.glob(".frames-*")):
                _link(path, link.folder / path.name)
        else:
            _link(source.folder, link.folder)


def _link(target: Path, link: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(target.resolve(), link.parent))


def _make_whole(settings: Run, folder: Path) -> list[Round]:
    """Run an algorithm to its end; returns all its rounds but round 0, which may be another cell's too."""
    share_start(settings, folder)
    run_algorithm(folder, settings, workers=1)
    last = last_round(folder, settings)
    return [Round.of(folder, number) for number in range(1, last.number + 1)]


def share_start(settings: Run, folder: Path) -> None:
    """Make round 0 of the run in `folder` a link to the one that all runs of its task and seed share whose
    settings agree in everything that decides round 0.

    It is made here if it is not there yet. Two processes that want the same one make it once: the second
    waits for the first.
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


def _make(study: Study, arm: Part, task: StudyTask | Suite, seed: int, folder: Path) -> list[Round]:
    """Run the arm; the rounds that it has made itself, the last one evaluated."""
    settings = study.settings(arm, task, seed)
    first = study.first_round(arm)

    match arm:
        case Supervised():
            current = Round.of(folder, 0)
            supervise_round(current, settings, play_here)
            evaluate_round(current, settings, play_here)
            return [current]

        case MoreSupervised(rounds=rounds):
            more = Round(folder / MORE)
            start, fit = Round.of(folder, 0), settings.improvement.fit
            train_control_policy(start, more.actor, settings.interface, fit, rounds=rounds, seed=seed)
            evaluate(more.actor, more.evaluation, settings.worlds, settings.evaluation, pool=play_here)
            return []

        case Acting(after=after):
            trained = Round.of(folder, first - 1)
            if isinstance(study.arm(after), MoreSupervised):  # whose policy is that of no round
                trained = Round(folder.parent / _folder_name(after) / MORE)
            evaluation = replace(settings.evaluation, noise=arm.tried.noise, steering=arm.steering)
            more = Round(folder / MORE)
            if arm.steering is not None:
                parent = study.arm(after)
                assert isinstance(parent, Online), "nothing else has rollouts to be led by"
                fit_acting(trained, more, study.settings(parent, task, seed), evaluation)
            evaluate(
                trained.actor,
                more.evaluation,
                settings.worlds,
                evaluation,
                pool=play_here,
                steering=more.steering,
            )
            return []

        case Gathered():
            current = Round.of(folder, first)
            collect_round(current, settings, play_here)
            label_round(current, settings.improvement.labelling)
            return [current]

        case Offline():
            current = Round.of(folder, first - 1)
            improver(current, settings).learn()
            evaluate_round(current, settings, play_here)
            return [current]

        case Online(rounds=rounds):
            made = [Round.of(folder, number) for number in range(first, first + rounds)]
            for current in made:
                improve_policy(current, settings, play_here)
            evaluate_round(made[-1], settings, play_here)
            return made


def _trials(path: Path, arm: Arm) -> Table:
    """World, number within it, success, steps and limit of every trial, in the order of the suite.

    Empty for an arm that is not evaluated.
    """
    if isinstance(arm, Gathered):
        return {}

    evaluated = read_parquet(path, ("task", "success", "steps", "limit"))
    world = evaluated.pop("task")  # an evaluation calls a world a task
    trial = np.zeros(len(world), np.int64)
    for name in np.unique(world):
        trial[world == name] = np.arange((world == name).sum())
    return {"world": world, "trial": trial} | evaluated


def _stack(tables: list[Table]) -> Table:
    filled = [table for table in tables if table]
    return {name: np.concatenate([table[name] for table in filled]) for name in filled[0]} if filled else {}


def forget(cell: Cell, work: Path, *, starts: bool = False) -> None:
    """Delete all that a cell has made, so that it is made again.

    With `starts`, also the rounds 0 that whole runs share.
    """
    folder = cell.folder(work)
    shutil.rmtree(folder, ignore_errors=True)
    if starts:
        shutil.rmtree(folder.parent / STARTS, ignore_errors=True)
