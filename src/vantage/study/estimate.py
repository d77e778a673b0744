"""How long a cell will take, from what it has to do and how fast this machine turned out to be in a few seconds."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from vantage.actors.load import build_actor
from vantage.collect.pool import Job, play
from vantage.core.losses import flow_loss
from vantage.learn.optim import Optimiser
from vantage.nets.vla import Pixels
from vantage.study.plan import Acting, Arm, Gathered, MoreSupervised, Offline, Online, Study, Supervised
from vantage.threads import one_thread
from vantage.types import Batch, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """Seconds on one core."""

    episode: float
    """One episode (measured on demonstrations, without a policy)."""
    step: float
    """One gradient step of the actor."""


POLICY = 2.0
"""A policy's episodes take so many times as long as the operator's: it fails, and it thinks."""
OVERHEAD = 2.5
"""Seconds per round beside episodes and gradient steps: the critic, the ledger, the files."""


def measure_speeds(study: Study, episodes: int = 3, steps: int = 8) -> Speeds:
    """Play a few demonstrations of every task and take a few gradient steps, here and now."""
    base = study.base
    spent: list[float] = []
    for place in study.tasks:
        for number in range(episodes + 1):
            began = time.perf_counter()
            pictures = base.frame_size is not None
            play(Job(number=number, world=place.world, actor=None, operator=base.demonstrations.operator, seed=number, pictures=pictures))
            if number:  # the first one builds the world
                spent.append(time.perf_counter() - began)
    with one_thread():
        actor = build_actor(base.actor, 0)
        batch = _blank(base.fit.batch, study)
        optimiser = Optimiser(actor.module, base.fit.optim, steps + 2)
        for number in range(steps + 2):
            if number == 2:
                began = time.perf_counter()
            noise, moment = actor.draw(base.fit.batch, torch.Generator().manual_seed(number))
            optimiser.step(flow_loss(actor.loss(batch, noise, moment).elementwise, batch.mask, torch.ones(base.fit.batch), base.fit.batch))
        step = (time.perf_counter() - began) / steps  # pyright: ignore[reportPossiblyUnboundVariable]
    return Speeds(episode=float(np.mean(spent)), step=step)


def _blank(size: int, study: Study) -> Batch:
    net = study.base.actor.net
    sight = net.sight
    images = (
        {c: torch.zeros(size, sight.size, sight.size, 3, dtype=torch.uint8) for c in sight.cameras} if isinstance(sight, Pixels) else {}
    )
    seen = Observation(
        images=images,
        state=torch.zeros(size, net.state_dim),
        environment_state=None if isinstance(sight, Pixels) else torch.zeros(size, sight.dim),
        prompts=("go",) * size,
    )
    shape = (size, net.chunk, net.action_dim)
    return Batch(observation=seen, actions=torch.zeros(shape), mask=torch.ones(shape, dtype=torch.bool), row=np.arange(size))


def cell_seconds(study: Study, arm: Arm, speeds: Speeds) -> float:
    """What a cell will take on one core."""
    base = study.base
    trials = base.evaluation.per_world * speeds.episode * POLICY
    update = base.fit.steps * speeds.step + OVERHEAD
    match arm:
        case Supervised():
            demonstrations = max(task.demonstrations for task in study.tasks)
            return demonstrations * speeds.episode + base.supervised.steps * speeds.step + trials
        case Acting():
            return trials
        case MoreSupervised(rounds=rounds):
            return rounds * base.fit.steps * speeds.step + trials
        case Gathered():
            return (arm.rollouts or base.rollouts).per_world * speeds.episode * POLICY
        case Offline():
            return update + trials
        case Online(rounds=rounds):
            played = (arm.rollouts or base.rollouts).per_world * speeds.episode * POLICY
            return rounds * (played + update) + trials
