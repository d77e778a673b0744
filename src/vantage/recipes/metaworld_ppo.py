"""Action-chunked PPO with self behaviour cloning on MetaWorld MT10 (arXiv 2509.25718)."""

from dataclasses import replace

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.core.self_bc import NoSelfBC
from vantage.learn.optim import OptimConfig
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.gaussian import GaussianConfig
from vantage.policies.small.stochastic_flow import NoisyFlowConfig
from vantage.practice.ppo import PPOFit
from vantage.practice.settings import Checks, Play, Practice
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.spec import MetaWorldSpec


def metaworld_mt10_ppo_state() -> ChunkedPPORun:
    """Chunked PPO on MT10 from true state: ten demonstrations a task, then two million environment steps; ten
    minutes on two cores.

    Without self-cloning, which ten demonstrations a task do not need (docs/results.md); the paper's form is
    `practice.self_bc=SuccessBC()`.
    """
    return ChunkedPPORun(
        worlds=tuple(MetaWorldSpec(task, limit=200) for task in MT10), practice=Practice(self_bc=NoSelfBC())
    )


def metaworld_mt10_ppo_state_long() -> ChunkedPPORun:
    """The same for as long as half an hour on two cores allows: eleven million environment steps, checked on
    twice as many starts."""
    short = metaworld_mt10_ppo_state()
    longer = replace(short.practice, steps=11_000_000, checks=Checks(every=500_000, per_world=40))
    return replace(short, practice=longer)


def metaworld_mt50_ppo_state() -> ChunkedPPORun:
    """The same on all fifty tasks: an iteration plays 400 episodes, and practice goes on for five million
    steps."""
    from vantage.worlds.metaworld.world import TASKS  # the simulator is an extra, and slow to import

    ten = metaworld_mt10_ppo_state()
    return replace(
        ten,
        worlds=tuple(MetaWorldSpec(task, limit=200) for task in TASKS),
        supervision=replace(
            ten.supervision, supervised=PolicyFit(steps=8000, batch=256, optim=OptimConfig(weight_decay=0.3))
        ),
        practice=replace(
            ten.practice,
            steps=5_000_000,
            play=Play(episodes=400, side_by_side=50),
            checks=Checks(every=500_000, per_world=5),
        ),
    )


def metaworld_mt10_ppo_flow() -> ChunkedPPORun:
    """The same from true state with a flow-matching policy, which explores by noise on the chunk that its
    flow ends in, as wide as the Gaussian's."""
    net = NetConfig(sight=TrueState(), chunk=5, execute=5)
    return replace(metaworld_mt10_ppo_state(), policy=NoisyFlowConfig(net=net, log_std=-1.2, correlation=0.5))


def metaworld_mt10_ppo() -> ChunkedPPORun:
    """Chunked PPO on MT10 from pixels: the small VLA with a Gaussian head; its critic reads the true state.
    71 minutes on two cores.

    Its steps begin half as large as from true state: larger ones lost for a while what the supervised policy
    could do (docs/log).
    """
    state = metaworld_mt10_ppo_state()

    return replace(
        state,
        policy=GaussianConfig(net=NetConfig(chunk=5, execute=5), log_std=-1.2, correlation=0.5),
        supervision=replace(state.supervision, supervised=PolicyFit(steps=4000)),
        practice=replace(
            state.practice,
            steps=3_500_000,
            fit=PPOFit(epochs=3, batch=256, bc_batch=128, kl_stop=0.5, kl_end=0.05),
            checks=Checks(every=500_000, per_world=20),
        ),
    )
