"""The smoke test: every stage, in under a minute."""

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import HABCRun
from vantage.collect.operators import DemonstrateStock, Rescue
from vantage.learn.critic.fit import CriticFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.policies.small.gaussian import GaussianConfig
from vantage.practice.ppo import PPOFit
from vantage.practice.trainer import Checks, Practice
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import ActorFit
from vantage.worlds.spec import MetaWorldSpec


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


def debug_ppo() -> ChunkedPPORun:
    """Chunked PPO on two tasks from true state, half a minute: does the whole loop work here?"""
    return ChunkedPPORun(
        worlds=(MetaWorldSpec("push-v3", limit=120), MetaWorldSpec("window-close-v3", limit=120)),
        actor=GaussianConfig(net=NetConfig(sight=TrueState(width=64), width=64, chunk=5, execute=5), correlation=0.5),
        demonstrations=Demonstrations(per_world=4, operator=DemonstrateStock()),
        supervised=ActorFit(steps=300),
        steps=12_000,
        practice=Practice(episodes=20, limit=120, side_by_side=10),
        fit=PPOFit(warm_up=1, batch=256),
        checks=Checks(every=4_000, per_world=4, limit=120),
        evaluation=Evaluation(per_world=8),
        limit=120,
    )
