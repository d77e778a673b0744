"""What the cells of a small study share: seconds of training, and an operator who often rescues."""

from dataclasses import replace

from vantage.algorithms.habc import HABCRun
from vantage.collect.operators import Rescue
from vantage.commands.studies import find_study
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.learn.critic.fit import CriticFit
from vantage.stages.collect import Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit

OPERATOR = Rescue(permission=0.8, stuck_after=15, late_at=0.5, extension=60)


def tiny_base() -> HABCRun:
    """The base of the study `debug`, smaller still."""
    shared = find_study("debug").shared
    return replace(
        shared,
        supervision=replace(shared.supervision, supervised=PolicyFit(steps=60, batch=32)),
        improvement=replace(
            shared.improvement,
            fit=PolicyFit(steps=20, batch=32),
            critic=CriticFit(steps=20, folds=2),
            chunk_critic=ChunkCriticFit(critic=CriticFit(steps=4, folds=2, batch=16)),
        ),
        rollouts=Rollouts(per_world=8, operator=OPERATOR),
        evaluation=Evaluation(per_world=4),
    )
