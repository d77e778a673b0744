"""The main job, in ten minutes on two cores, from pixels."""

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Improvement
from vantage.algorithms.supervised import Supervision
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.spec import MetaWorldSpec


def quickstart() -> HABCRun:
    """Three tasks that share a scene, a small VLA from pixels, two HABC rounds with rescues, and a report:
    ten minutes on two cores.

    Eight demonstrations a task leave the supervised policy at 40 % on the development starts, where a round
    of experience shows; the sizes were chosen there (docs/log), and the page reports the evaluation starts,
    which nothing was chosen on.
    """
    return HABCRun(
        worlds=tuple(MetaWorldSpec(task, alike=True) for task in ("reach-v3", "push-v3", "pick-place-v3")),
        supervision=Supervision(demonstrations=Demonstrations(per_world=8), supervised=PolicyFit(steps=1000)),
        rounds=2,
        rollouts=Rollouts(per_world=30),
        improvement=Improvement(fit=PolicyFit(steps=1200)),
        evaluation=Evaluation(per_world=60),
    )
