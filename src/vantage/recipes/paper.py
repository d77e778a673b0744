"""HABC as printed, where the paper says how; the quickstart's worlds and sizes, where it does not."""

from dataclasses import replace

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.interleaved import Interleaved
from vantage.core.returns import EfficiencyTarget
from vantage.core.sampling import PoolShares
from vantage.learn.critic.fit import CriticFit
from vantage.recipes.quickstart import quickstart
from vantage.stages.weigh import Weighing


def paper() -> HABCRun:
    """The quickstart with the paper's own choices: Algorithm 1's interleaved update, one-step advantages,
    pure TD, 500 steps of warm-up.

    The Huber loss of V_e keeps its unit of eight control steps (docs/habc.md, 7).
    """
    plain = quickstart()
    as_printed = replace(
        plain.improvement,
        schedule=Interleaved(warm_up=500),
        critic=CriticFit(target=EfficiencyTarget(stride=1, mc_share=0.0)),
        weighing=Weighing(stride=1, shares=PoolShares(demo=1.0, intervention=1.0, rollout=1.0)),
    )
    return replace(plain, improvement=as_printed)
