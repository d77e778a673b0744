"""The paper's comparison on three tasks of two arms with soft objects, from true state (docs/bimanual.md)."""

from collections.abc import Mapping
from dataclasses import replace

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Improvement
from vantage.algorithms.supervised import Supervision
from vantage.core.weights import HABC
from vantage.policies.small.flow import FlowConfig
from vantage.recipes.bimanual import (
    DEMONSTRATIONS,
    DEMONSTRATORS,
    PICTURES,
    PIXEL_DEMONSTRATIONS,
    RESCUE,
    pixel_policy_of,
    policy_of,
)
from vantage.recipes.study import RULES, at_zero_noise, pixel_arms, weighing_of
from vantage.recipes.vantage import CRITIC, WEIGHING
from vantage.stages.collect import Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study.plan import Arm, MoreSupervised, Online, Study, StudyTask, Supervised
from vantage.worlds.bimanual.spec import LIMITS, TASKS, BimanualSpec

_REWEIGHTED = Weighing(rule=HABC(reweight_interventions=True))


def study_bimanual() -> Study:
    """The paper's comparison on three tasks of two arms with soft objects, from true state: three rounds of
    50 rollouts, and up to six."""
    worlds = [BimanualSpec(name, limit=LIMITS[name]) for name in TASKS]
    return Study(
        base=_base(policy_of(worlds[0])),
        tasks=tuple(replace(_task(world, DEMONSTRATIONS), policy=policy_of(world)) for world in worlds),
        arms=bimanual_arms(),
        order=(
            *("sft", "sft-more", "imit-dagger", "imit-recap", "filtered-bc", "habc-v", "habc"),
            *("habc-more", "habc+ir", "habc+ir-3"),
        ),
        contrasts=(
            ("habc", "sft-more"),
            ("imit-dagger", "sft-more"),
            ("habc", "imit-dagger"),
            ("habc", "filtered-bc"),
            ("habc+ir", "habc-more"),
            ("vantage", "habc"),
            ("vantage", "filtered-bc"),
            ("vantage-6", "habc+ir-3"),
            ("vantage-6-zero-noise", "habc+ir-3-zero-noise"),
            ("habc-zero-noise", "habc"),
            ("vantage-zero-noise", "habc-zero-noise"),
            ("vantage-zero-noise", "filtered-bc-zero-noise"),
        ),
        answers=(
            ("habc", "sft-more"),
            ("imit-dagger", "sft-more"),
            ("habc", "imit-dagger"),
            ("habc", "filtered-bc"),
            ("habc", "habc-v"),
            ("habc+ir", "habc-more"),
            ("vantage", "habc"),
            ("vantage-6", "habc+ir-3"),
        ),
    )


def study_bimanual_pixels() -> Study:
    """The same tasks through three cameras, with the small VLA: SFT, filtered BC, HABC, HABC+IR, Vantage."""
    worlds = [BimanualSpec(name, limit=LIMITS[name], image_size=PICTURES) for name in TASKS]
    return Study(
        base=_base(pixel_policy_of(worlds[0])),
        tasks=tuple(_task(world, PIXEL_DEMONSTRATIONS) for world in worlds),
        arms=(
            *pixel_arms(),
            Online(name="habc+ir", after="habc", rounds=1, weighing=_REWEIGHTED),
            *at_zero_noise("sft", "sft-more", "filtered-bc", "habc", "vantage", "habc+ir"),
        ),
        order=("sft", "sft-more", "filtered-bc", "habc", "vantage", "habc+ir"),
        contrasts=(
            ("habc", "sft-more"),
            ("habc", "filtered-bc"),
            ("habc+ir", "habc"),
            ("vantage", "habc"),
            ("vantage-zero-noise", "habc-zero-noise"),
            ("habc-zero-noise", "sft-more-zero-noise"),
            ("vantage-zero-noise", "sft-more-zero-noise"),
            ("vantage-zero-noise", "filtered-bc-zero-noise"),
        ),
        answers=(("habc", "sft-more"), ("habc", "filtered-bc"), ("vantage", "habc")),
    )


def _task(world: BimanualSpec, demonstrations: Mapping[str, int]) -> StudyTask:
    """A world with as many demonstrations as its task is given, by whoever demonstrates it."""
    return StudyTask(
        world=world,
        demonstrations=demonstrations[world.task],
        demonstrator=DEMONSTRATORS.get(world.task),
    )


def _base(policy: FlowConfig) -> HABCRun:
    """What all cells share. A fit that is killed begins again: no training state is saved."""
    return HABCRun(
        worlds=(),
        policy=policy,
        supervision=Supervision(supervised=PolicyFit(steps=10_000, save_every=1_000_000)),
        rollouts=Rollouts(per_world=50, operator=RESCUE),
        improvement=Improvement(fit=PolicyFit(steps=800, save_every=1_000_000)),
        evaluation=Evaluation(per_world=100),
        control=False,
    )


def bimanual_arms() -> tuple[Arm, ...]:
    """The paper's methods after three rounds, then HABC continued, HABC+IR and Vantage's rule for up to six;
    some of them also by zero-noise inference."""
    rules = ("imit-dagger", "imit-recap", "filtered-bc", "habc-v", "habc")
    recipe = Online(name="vantage", weighing=WEIGHING, critic=CRITIC)

    return (
        Supervised(),
        MoreSupervised(name="sft-more"),
        *(Online(name=name, weighing=weighing_of(RULES[name])) for name in rules),
        recipe,
        Online(name="habc-more", after="habc", rounds=1),
        Online(name="habc+ir", after="habc", rounds=1, weighing=_REWEIGHTED),
        Online(name="habc+ir-3", after="habc+ir", rounds=2, weighing=_REWEIGHTED),
        replace(recipe, name="vantage-6", after="vantage", rounds=3),
        *at_zero_noise("sft", "filtered-bc", "habc", "vantage", "habc+ir-3", "vantage-6"),
    )
