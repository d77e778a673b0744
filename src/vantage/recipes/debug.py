"""The smoke test: every stage, in under a minute."""

from vantage.actors.flow import FlowConfig
from vantage.algorithms.habc import HABCRun
from vantage.collect.operators import Rescue
from vantage.envs.spec import MetaWorldSpec
from vantage.learn.critic import CriticFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_actor import ActorFit


def debug() -> HABCRun:
    """Two rounds on one task from true state, under a minute: does the whole loop work here?"""
    return HABCRun(
        worlds=(MetaWorldSpec("push-v3", limit=120),),
        actor=FlowConfig(net=NetConfig(sight=TrueState(), width=128)),
        demonstrations=Demonstrations(per_world=6),
        supervised=ActorFit(steps=300, save_every=100),
        rounds=2,
        rollouts=Rollouts(per_world=16, operator=Rescue(extension=80)),
        critic=CriticFit(steps=120),
        fit=ActorFit(steps=120, save_every=50),
        evaluation=Evaluation(per_world=16),
        control=False,
    )
