"""The main job, in ten minutes on two cores, from pixels."""

from vantage.algorithms.habc import HABCRun
from vantage.envs.spec import MetaWorldSpec
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_actor import ActorFit


def quickstart() -> HABCRun:
    """Three tasks that share a scene, a small VLA from pixels, two HABC rounds with rescues, and a report: ten minutes on two cores."""
    return HABCRun(
        worlds=(MetaWorldSpec("reach-v3", alike=True), MetaWorldSpec("push-v3", alike=True), MetaWorldSpec("pick-place-v3", alike=True)),
        demonstrations=Demonstrations(per_world=20),
        supervised=ActorFit(steps=800),
        rounds=2,
        rollouts=Rollouts(per_world=25),
        fit=ActorFit(steps=500),
        evaluation=Evaluation(per_world=40),
    )
