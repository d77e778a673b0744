"""The settings of any algorithm and a folder -> the run, and what is true of a run of any algorithm.

    HABCRun         demonstrations, supervised policy, rounds of HABC
    ChunkedPPORun   demonstrations, supervised policy, practice

Whoever runs an algorithm by its settings (a study, the command line) comes here; nothing else has to ask
which algorithm the settings belong to.
"""

from dataclasses import replace
from pathlib import Path

from vantage.algorithms.chunked_ppo import ChunkedPPORun, run_chunked_ppo
from vantage.algorithms.habc import HABCRun, run_habc
from vantage.algorithms.improvement import Improvement
from vantage.collect.cluster import Ray
from vantage.disk.layout import Round
from vantage.practice.settings import Practice
from vantage.stages.collect import Rollouts

Run = HABCRun | ChunkedPPORun
"""The settings of a run. Every kind has `worlds`, `seed`, `policy`, `supervision` and `evaluation`."""


def run_algorithm(folder: Path, settings: Run, *, workers: int | Ray) -> None:
    """Do whatever of the run is not on disk yet.

    Raises `VantageError` for settings that do not fit together.
    """
    match settings:
        case HABCRun():
            run_habc(folder, settings, workers=workers)
        case ChunkedPPORun():
            run_chunked_ppo(folder, settings, workers=workers)


def last_round(folder: Path, settings: Run) -> Round:
    """The round whose policy and trials are the result of the run in `folder`."""
    match settings:
        case HABCRun(rounds=rounds):
            return Round.of(folder, rounds)
        case ChunkedPPORun(practice=practice):
            return Round.of(folder, 1 if practice.steps else 0)


def supervised_part(settings: Run) -> Run:
    """The same run without what follows round 0: all that decides the supervised policy and its trials, and
    nothing else. Two runs with equal supervised parts begin with the same round 0."""
    match settings:
        case HABCRun(improvement=improvement):
            labelling = Improvement(labelling=improvement.labelling)
            return replace(
                settings,
                rounds=0,
                rollouts=Rollouts(),
                rescues="all",
                improvement=labelling,
                control=False,
            )
        case ChunkedPPORun():
            return replace(settings, practice=Practice(steps=0))


def gradient_steps(settings: Run) -> int | None:
    """Gradient steps of the policy after the supervised ones; None where the settings do not fix them."""
    match settings:
        case HABCRun(rounds=rounds, improvement=improvement):
            return rounds * improvement.fit.steps
        case ChunkedPPORun(practice=practice):
            return None if practice.steps else 0


def trial_limits(settings: Run) -> tuple[int, ...]:
    """Control steps after which a trial of the evaluation ends without success, per world of the run."""
    match settings:
        case HABCRun(worlds=worlds):
            return tuple(world.limit for world in worlds)
        case ChunkedPPORun(worlds=worlds, limit=limit):
            return (limit,) * len(worlds)
