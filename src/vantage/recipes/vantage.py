"""Vantage's own recipe: HABC with what the study found to be better."""

from dataclasses import replace

from vantage.algorithms.habc import HABCRun
from vantage.core.sampling import PoolShares
from vantage.core.weights import HABC
from vantage.learn.critic.fit import CriticFit
from vantage.policies.small.flow import FlowConfig
from vantage.recipes.quickstart import quickstart
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing

RESCUES = PoolShares(demo=0.2, intervention=0.4, rollout=0.4)
"""A batch mix with more of what operators did."""
WEIGHING = Weighing(rule=HABC(certainty_price=1.0), shares=RESCUES)
"""The doubtful states of successes, and what operators did, count more."""
CRITIC = CriticFit(folds=5)
"""No frame is weighed by a critic that saw its episode."""
FIT = PolicyFit(steps=2400)
"""Gradient steps of a policy that every round trains from scratch (`Improvement.from_scratch`)."""


def vantage() -> HABCRun:
    """The quickstart with Vantage's own choices (docs/results.md): doubt and rescues count more, critics are
    cross-fitted, every round trains its policy from scratch, which explores with the flow's noise and is
    deployed by zero-noise inference."""
    plain = quickstart()
    return replace(
        plain,
        policy=FlowConfig(noise=0.0),
        rollouts=replace(plain.rollouts, noise=1.0),
        improvement=replace(plain.improvement, weighing=WEIGHING, critic=CRITIC, fit=FIT, from_scratch=True),
    )
