"""How long a cell will take, from what it has to do and how fast this machine turned out to be in a few seconds."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from vantage.collect.observe import facts_of_world, interface_in
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, play
from vantage.core.losses import flow_loss
from vantage.learn.step import Learner, whole
from vantage.policies.build import build_policy
from vantage.policies.protocol import Policy
from vantage.study.plan import Acting, Arm, Gathered, MoreSupervised, Offline, Online, Study, Supervised
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


UNMEASURED = Speeds(demonstration=0.0, rollout=0.0, trial=0.0, step=0.0)
ENDS_EARLY = 0.75
"""A trained policy's episodes take such a share of those of one that knows nothing, which run to the limit."""
LONGER = 1.3
"""A long run takes so much longer than a short measurement says: batches to gather, files, a busy neighbour (docs/log, the pixel study)."""
OVERHEAD = 2.5
"""Seconds per round beside episodes and gradient steps: the critic, the ledger, the files."""


def measure_speeds(study: Study, episodes: int = 2, steps: int = 8) -> Speeds:
    """Play a few episodes of every kind on every task and take a few gradient steps, here and now."""
    base = study.base
    world = study.tasks[0].world
    pictures = bool(interface_in(base.policy, world).cameras)
    with TemporaryDirectory() as folder, one_thread():
        actor = build_policy(base.policy, 0, facts_of_world(world))
        untrained = Path(folder) / "actor"
        actor.save(untrained)
        spent: dict[str, list[float]] = {"demonstration": [], "rollout": [], "trial": []}
        for place in study.tasks:
            shared = Job(number=0, world=place.world, actor=untrained, operator=base.rollouts.operator, seed=0, pictures=pictures)
            kinds = {
                "demonstration": replace(shared, actor=None, operator=base.supervision.demonstrations.operator),
                "rollout": shared,
                "trial": replace(shared, operator=NoOne(), pictures=False),
            }
            play(kinds["demonstration"])  # builds the world
            for kind, job in kinds.items():
                for seed in range(episodes):
                    began = time.perf_counter()
                    play(replace(job, seed=seed))
                    spent[kind].append(time.perf_counter() - began)
        step = _gradient_step(study, actor, steps)
    return Speeds(**{kind: float(np.mean(seconds)) for kind, seconds in spent.items()}, step=step)


def _gradient_step(study: Study, actor: Policy, steps: int) -> float:
    fit = study.base.improvement.fit
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
    """What a cell will take on one core."""
    return LONGER * _work(study, arm, speeds)


def _work(study: Study, arm: Arm, speeds: Speeds) -> float:
    base = study.base
    trials = base.evaluation.per_world * speeds.trial * ENDS_EARLY
    rollouts = (isinstance(arm, (Gathered, Online)) and arm.rollouts) or base.rollouts
    played = rollouts.per_world * speeds.rollout * ENDS_EARLY
    update = study.fit_of(arm).steps * speeds.step + OVERHEAD
    match arm:
        case Supervised():
            demonstrations = max(task.demonstrations for task in study.tasks)
            return demonstrations * speeds.demonstration + base.supervision.supervised.steps * speeds.step + trials
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
