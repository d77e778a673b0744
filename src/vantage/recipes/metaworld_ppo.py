"""Action-chunked PPO with self behaviour cloning on MetaWorld MT10 (arXiv 2509.25718)."""

from dataclasses import replace

from vantage.actors.gaussian import GaussianConfig
from vantage.actors.stochastic_flow import FlowSDEConfig
from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.practice import Checks
from vantage.envs.spec import MetaWorldSpec
from vantage.learn.ppo import PPOFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.stages.fit_actor import ActorFit

MT10 = (
    "reach-v3", "push-v3", "pick-place-v3", "door-open-v3", "drawer-open-v3",
    "drawer-close-v3", "button-press-topdown-v3", "peg-insert-side-v3", "window-open-v3", "window-close-v3",
)  # fmt: skip
"""The ten tasks, in MetaWorld's order."""


def metaworld_mt10_ppo_state() -> ChunkedPPORun:
    """Chunked PPO on MT10 from true state: ten demonstrations a task, then two million environment steps; ten minutes on two cores."""
    return ChunkedPPORun(worlds=tuple(MetaWorldSpec(task, limit=200) for task in MT10))


def metaworld_mt10_ppo_flow() -> ChunkedPPORun:
    """The same from true state with a flow-matching policy, whose ratio comes from a stochastic sampler (Flow-SDE)."""
    return replace(metaworld_mt10_ppo_state(), actor=FlowSDEConfig(net=NetConfig(sight=TrueState(), chunk=5, execute=5)))


def metaworld_mt10_ppo() -> ChunkedPPORun:
    """Chunked PPO on MT10 from pixels: the small VLA with a Gaussian head; its critic reads the true state. Hours on two cores."""
    return replace(
        metaworld_mt10_ppo_state(),
        actor=GaussianConfig(net=NetConfig(chunk=5, execute=5), log_std=-1.2, correlation=0.5),
        supervised=ActorFit(steps=4000),
        steps=1_000_000,
        fit=PPOFit(epochs=3, batch=256, bc_batch=128),
        checks=Checks(per_world=10),
    )
