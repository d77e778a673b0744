"""An arm of a study -> how long a cell of it will take on one core, by a few seconds of measuring."""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.run import Run
from vantage.collect.observe import facts_of_world, interface_in
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, play
from vantage.config import brief
from vantage.core.losses import flow_loss
from vantage.learn.step import Learner, whole
from vantage.policies.build import build_policy
from vantage.policies.protocol import Policy
from vantage.stages.fit_policy import PolicyFit
from vantage.study.plan import (
    Acting,
    Arm,
    Gathered,
    MoreSupervised,
    Offline,
    Online,
    Part,
    Study,
    Supervised,
    WholeRun,
    policy_on,
)
from vantage.threads import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """Seconds on one core."""

    demonstration: float
    """One episode of the operator."""
    rollout: float
    """One episode of a policy with an operator beside it, to the end of its limit at most."""
    trial: float
    """One episode of a policy alone; it draws a picture only where it looks."""
    step: float
    """One gradient step of the actor."""
    control: float = 0.0
    """One control step of a trial."""


ENDS_EARLY = 0.75
"""Length of a trained policy's episodes as a share of an untrained one's, which run to the limit."""
LONGER = 1.3
"""Time of a long run over what a short measurement says: batches to gather, files, other processes (docs/log,
the pixel study)."""
OVERHEAD = 2.5
"""Seconds per round beside episodes and gradient steps: the critic, the ledger, the files."""
PRACTICE = 1.5
"""Seconds of practice over the seconds of its control steps alone, for a third of it is learning
(docs/results.md)."""
MEASURED = 3
"""Worlds on which speeds are measured, at most."""


@dataclass(frozen=True, slots=True)
class Estimator:
    """Says what cells will take; measures the speeds of every kind of policy once, where first asked."""

    study: Study
    _speeds: dict[str, Speeds] = field(default_factory=dict[str, Speeds])

    def seconds(self, arm: Arm) -> float:
        """What a cell of the arm will take on one core."""
        run = arm.run if isinstance(arm, WholeRun) else self.study.shared
        key = json.dumps(brief(run.policy), sort_keys=True)
        if key not in self._speeds:
            self._speeds[key] = measure_speeds(self.study, run)
        return cell_seconds(self.study, arm, self._speeds[key])


def measure_speeds(study: Study, run: Run, episodes: int = 2, steps: int = 8) -> Speeds:
    """Play a few episodes of every kind on the study's tasks, and take a few gradient steps.

    With the policy of `run`, or with a task's own where it has one, untrained.
    """
    places = [(task, world) for task in study.tasks for world in task.worlds][:MEASURED]
    operator = run.operator if isinstance(run, HABCRun) else NoOne()

    with TemporaryDirectory() as folder, one_thread():
        spent: dict[str, list[float]] = {"demonstration": [], "rollout": [], "trial": []}
        control: list[float] = []
        step: list[float] = []
        fit = run.improvement.fit if isinstance(run, HABCRun) else run.supervision.supervised
        tried: dict[str, Path] = {}

        for task, world in places:
            policy = policy_on(task, run.policy)
            pictures = bool(interface_in(policy, world).cameras)
            key = json.dumps(brief(policy), sort_keys=True)
            if key not in tried:
                actor = build_policy(policy, 0, facts_of_world(world))
                tried[key] = Path(folder) / f"actor-{len(tried)}"
                actor.save(tried[key])
                step.append(_gradient_step(fit, actor, steps))

            shared = Job(
                number=0, world=world, actor=tried[key], operator=operator, seed=0, pictures=pictures
            )
            kinds = {
                "demonstration": replace(
                    shared, actor=None, operator=run.supervision.demonstrations.operator
                ),
                "rollout": shared,
                "trial": replace(shared, operator=NoOne(), pictures=False),
            }
            play(kinds["demonstration"])  # builds the world

            for kind, job in kinds.items():
                for seed in range(episodes):
                    began = time.perf_counter()
                    played = play(replace(job, seed=seed))
                    spent[kind].append(time.perf_counter() - began)
                    if kind == "trial":
                        control.append(spent[kind][-1] / played.steps)

    means = {kind: float(np.mean(seconds)) for kind, seconds in spent.items()}
    return Speeds(**means, step=float(np.mean(step)), control=float(np.mean(control)))


def _gradient_step(fit: PolicyFit, actor: Policy, steps: int) -> float:
    """Seconds of one gradient step; the first two warm up and do not count."""
    batch = actor.interface.fake_batch(fit.batch)
    learner = Learner(actor, fit.optim, steps + 2)

    spent: list[float] = []
    for number in range(steps + 2):
        began = time.perf_counter()
        draw = actor.draw(fit.batch, torch.Generator().manual_seed(number))
        loss = flow_loss(actor(batch, draw).elementwise, batch.mask, torch.ones(fit.batch), fit.batch)
        learner.step(whole(loss))
        spent.append(time.perf_counter() - began)
    return float(np.mean(spent[2:]))


def cell_seconds(study: Study, arm: Arm, speeds: Speeds) -> float:
    """What a cell will take on one core, where its task is the longest of the study."""
    worlds = max(len(task.worlds) for task in study.tasks)
    if isinstance(arm, WholeRun):
        return LONGER * _run(study, arm.run, worlds, speeds)
    return LONGER * _part(study, arm, worlds, speeds)


def _run(study: Study, run: Run, worlds: int, speeds: Speeds) -> float:
    """A whole run, round 0 included."""
    trials = worlds * run.evaluation.per_world * speeds.trial * ENDS_EARLY
    first = _supervision(study, run, worlds, speeds) + trials

    if isinstance(run, HABCRun):
        played = worlds * run.rollouts.per_world * speeds.rollout * ENDS_EARLY
        update = run.improvement.fit.steps * speeds.step + OVERHEAD
        return first + run.rounds * (played + update + trials)

    if not run.practice.steps:
        return first
    return first + PRACTICE * run.practice.steps * speeds.control + trials


def _supervision(study: Study, run: Run, worlds: int, speeds: Speeds) -> float:
    """Demonstrations, and the policy that imitates them."""
    usual = run.supervision.demonstrations.per_world
    demonstrations = max(task.demonstrations or usual for task in study.tasks)
    return worlds * demonstrations * speeds.demonstration + run.supervision.supervised.steps * speeds.step


def _part(study: Study, arm: Part, worlds: int, speeds: Speeds) -> float:
    """An arm that is a part of an HABC run, without what it stands on."""
    base = study.shared
    trials = worlds * base.evaluation.per_world * speeds.trial * ENDS_EARLY
    rollouts = (isinstance(arm, (Gathered, Online)) and arm.rollouts) or base.rollouts
    played = worlds * rollouts.per_world * speeds.rollout * ENDS_EARLY
    update = study.fit_of(arm).steps * speeds.step + OVERHEAD

    match arm:
        case Supervised():
            return _supervision(study, base, worlds, speeds) + trials
        case Acting():
            return trials
        case MoreSupervised(rounds=rounds):
            return rounds * base.improvement.fit.steps * speeds.step + trials
        case Gathered():
            return played
        case Offline():
            return update + trials
        case Online(rounds=rounds):
            return rounds * (played + update) + trials
