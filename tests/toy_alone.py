"""A run where nobody rescues, at toy size: what the experiments on critics of chunks begin with."""

from dataclasses import replace

from experiments import rank_chunks
from vantage.algorithms.habc import HABCRun
from vantage.core.returns import EfficiencyTarget
from vantage.learn.critic.fit import CriticFit
from vantage.stages.collect import Rollouts
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.spec import MetaWorldSpec

TASK, SEED = "reach-v3", 0
TINY = CriticFit(steps=4, folds=2, batch=16, target=EfficiencyTarget(stride=8, mc_share=0.5))


def toy(_task: str, seed: int) -> HABCRun:
    """Reach with a policy that hardly learned it, eight rollouts."""
    settings = rank_chunks.alone("pick-place-v3", seed)
    supervision = settings.supervision
    return replace(
        settings,
        worlds=(MetaWorldSpec(TASK, limit=60),),
        supervision=replace(
            supervision,
            demonstrations=replace(supervision.demonstrations, per_world=2),
            supervised=PolicyFit(steps=40, batch=32),
        ),
        rollouts=Rollouts(per_world=8),
        improvement=replace(settings.improvement, critic=TINY),
    )
