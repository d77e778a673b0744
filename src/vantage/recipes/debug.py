"""The smoke test: every stage, in under a minute."""

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Improvement
from vantage.algorithms.supervised import Supervision
from vantage.collect.operators import DemonstrateStock, Rescue
from vantage.learn.critic.fit import CriticFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.policies.small.gaussian import GaussianConfig
from vantage.practice.ppo import PPOFit
from vantage.practice.settings import Checks, Play, Practice
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.spec import MetaWorldSpec


def debug() -> HABCRun:
    """Two rounds on one task from true state, under a minute: does the whole loop work here?"""
    return HABCRun(
        worlds=(MetaWorldSpec("push-v3", limit=120),),
        policy=FlowConfig(net=NetConfig(sight=TrueState(), width=128)),
        supervision=Supervision(
            demonstrations=Demonstrations(per_world=6), supervised=PolicyFit(steps=300, save_every=100)
        ),
        rounds=2,
        rollouts=Rollouts(per_world=16, operator=Rescue(extension=80)),
        improvement=Improvement(critic=CriticFit(steps=120), fit=PolicyFit(steps=120, save_every=50)),
        evaluation=Evaluation(per_world=16),
        control=False,
    )


def debug_ppo() -> ChunkedPPORun:
    """Chunked PPO on two tasks from true state, half a minute: does the whole loop work here?"""
    return ChunkedPPORun(
        worlds=(MetaWorldSpec("push-v3", limit=120), MetaWorldSpec("window-close-v3", limit=120)),
        policy=GaussianConfig(
            net=NetConfig(sight=TrueState(width=64), width=64, chunk=5, execute=5), correlation=0.5
        ),
        supervision=Supervision(
            demonstrations=Demonstrations(per_world=4, operator=DemonstrateStock()),
            supervised=PolicyFit(steps=300),
        ),
        practice=Practice(
            steps=12_000,
            play=Play(episodes=20, limit=120, side_by_side=10),
            fit=PPOFit(warm_up=1, batch=256),
            checks=Checks(every=4_000, per_world=4, limit=120),
        ),
        evaluation=Evaluation(per_world=8),
        limit=120,
    )
