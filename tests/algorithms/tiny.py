"""A run that is small enough for a test and real in every part: MetaWorld, an operator, a policy, two
rounds."""

from dataclasses import replace
from pathlib import Path

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Improvement
from vantage.algorithms.supervised import Supervision
from vantage.collect.operators import Rescue
from vantage.disk.files import sha256_file, sha256_folder
from vantage.learn.critic.fit import CriticFit
from vantage.nets.vla import NetConfig
from vantage.policies.small.flow import FlowConfig
from vantage.recipes.debug import debug
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit


def tiny(*, pixels: bool = False) -> HABCRun:
    """A few seconds of everything."""
    recipe = replace(
        debug(),
        supervision=Supervision(
            demonstrations=Demonstrations(per_world=4),
            supervised=PolicyFit(steps=60, batch=32, save_every=20, log_every=5),
        ),
        rollouts=Rollouts(
            per_world=10,
            operator=Rescue(permission=0.8, stuck_after=15, late_at=0.5, hand_back=0.5, extension=100),
        ),
        improvement=Improvement(
            critic=CriticFit(steps=40, check_every=10),
            fit=PolicyFit(steps=30, batch=32, save_every=10, log_every=5),
        ),
        evaluation=Evaluation(per_world=3),
        control=True,
    )
    return replace(recipe, policy=FlowConfig(net=NetConfig(width=64))) if pixels else recipe


def improved(**changes: object) -> HABCRun:
    """The tiny run with other choices of its improvement."""
    recipe = tiny()
    return replace(recipe, improvement=replace(recipe.improvement, **changes))


def fingerprint(run: Path) -> dict[str, str]:
    """Checksum of everything a run made, save videos' bytes and the records that name the code's commit."""
    found = {}
    for path in sorted(run.glob("*/[1-6]-*")):
        name = str(path.relative_to(run))
        found[name] = sha256_folder(path) if path.is_dir() else sha256_file(path)
    return found
