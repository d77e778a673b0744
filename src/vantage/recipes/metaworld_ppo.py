"""Action-chunked PPO with self behaviour cloning on MetaWorld MT10 (arXiv 2509.25718)."""

from dataclasses import replace

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.core.self_bc import NoSelfBC
from vantage.learn.optim import OptimConfig
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.gaussian import GaussianConfig
from vantage.policies.small.stochastic_flow import FlowSDEConfig
from vantage.practice.ppo import PPOFit
from vantage.practice.trainer import Checks, Practice
from vantage.stages.fit_policy import ActorFit
from vantage.worlds.spec import MetaWorldSpec

MT10 = (
    "reach-v3", "push-v3", "pick-place-v3", "door-open-v3", "drawer-open-v3",
    "drawer-close-v3", "button-press-topdown-v3", "peg-insert-side-v3", "window-open-v3", "window-close-v3",
)  # fmt: skip
"""The ten tasks, in MetaWorld's order."""


def metaworld_mt10_ppo_state() -> ChunkedPPORun:
    """Chunked PPO on MT10 from true state: ten demonstrations a task, then two million environment steps; ten minutes on two cores.

    Without self-cloning, which ten demonstrations a task do not need (docs/results.md); the paper's form is `self_bc=SuccessBC()`.
    """
    return ChunkedPPORun(worlds=tuple(MetaWorldSpec(task, limit=200) for task in MT10), self_bc=NoSelfBC())


def metaworld_mt10_ppo_state_long() -> ChunkedPPORun:
    """The same for as long as half an hour on two cores allows: eleven million environment steps, checked on twice as many starts."""
    return replace(metaworld_mt10_ppo_state(), steps=11_000_000, checks=Checks(every=500_000, per_world=40))


def metaworld_mt50_ppo_state() -> ChunkedPPORun:
    """The same on all fifty tasks: an iteration plays 400 episodes, and practice goes on for five million steps."""
    from vantage.worlds.metaworld.world import TASKS  # the simulator is an extra, and slow to import

    return replace(
        metaworld_mt10_ppo_state(),
        worlds=tuple(MetaWorldSpec(task, limit=200) for task in TASKS),
        supervised=ActorFit(steps=8000, batch=256, optim=OptimConfig(weight_decay=0.3)),
        steps=5_000_000,
        practice=Practice(episodes=400, side_by_side=50),
        checks=Checks(every=500_000, per_world=5),
    )


def metaworld_mt10_ppo_flow() -> ChunkedPPORun:
    """The same from true state with a flow-matching policy, whose ratio comes from a stochastic sampler (Flow-SDE)."""
    return replace(metaworld_mt10_ppo_state(), actor=FlowSDEConfig(net=NetConfig(sight=TrueState(), chunk=5, execute=5)))


def metaworld_mt10_ppo() -> ChunkedPPORun:
    """Chunked PPO on MT10 from pixels: the small VLA with a Gaussian head; its critic reads the true state. 71 minutes on two cores.

    Its steps begin half as large as from true state: larger ones lost for a while what the supervised policy could do (docs/log).
    """
    return replace(
        metaworld_mt10_ppo_state(),
        actor=GaussianConfig(net=NetConfig(chunk=5, execute=5), log_std=-1.2, correlation=0.5),
        supervised=ActorFit(steps=4000),
        steps=3_500_000,
        fit=PPOFit(epochs=3, batch=256, bc_batch=128, kl_stop=0.5, kl_end=0.05),
        checks=Checks(every=500_000, per_world=20),
    )
