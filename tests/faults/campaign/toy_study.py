"""A study of seconds: supervised fine-tuning and one round of HABC on one world. `vantage study
toy_study.py:make`."""

from dataclasses import replace

from vantage.collect.operators import DemonstrateStock
from vantage.recipes.debug import debug
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.study.plan import Online, Study, StudyTask, Supervised
from vantage.worlds.spec import MetaWorldSpec


def make() -> Study:
    """A toy."""
    base = debug()
    demonstrations = replace(base.supervision.demonstrations, per_world=2, operator=DemonstrateStock())
    fit = PolicyFit(steps=20, batch=16, save_every=5)
    improvement = replace(base.improvement, fit=fit, critic=replace(base.improvement.critic, steps=10))
    base = replace(
        base,
        worlds=(),
        supervision=replace(base.supervision, demonstrations=demonstrations, supervised=fit),
        rounds=1,
        rollouts=replace(base.rollouts, per_world=3),
        improvement=improvement,
        evaluation=Evaluation(per_world=2),
    )
    return Study(
        base=base,
        tasks=(StudyTask(world=MetaWorldSpec("push-v3", limit=90), demonstrations=2),),
        arms=(Supervised(), Online(name="habc", rounds=1)),
        order=("sft", "habc"),
        contrasts=(("habc", "sft"),),
    )
