"""The studies: every method of the paper on identical tasks, data and budget."""

from dataclasses import replace

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Improvement
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.supervised import Supervision
from vantage.collect.operators import DemonstrateStock, Rescue
from vantage.core.returns import EfficiencyTarget
from vantage.core.sampling import PoolShares, SharesByNeed
from vantage.core.weights import AWR, HABC, HABCV, FilteredBC, ImitDAgger, ImitRecap, Rule
from vantage.core.windows import WindowRule
from vantage.learn.critic.fit import CriticFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.recipes.vantage import CRITIC, FIT, RESCUES, WEIGHING
from vantage.stages.collect import Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study.plan import (
    Acting,
    Arm,
    Gathered,
    MoreSupervised,
    Offline,
    Online,
    Study,
    StudyTask,
    Supervised,
)
from vantage.worlds.spec import MetaWorldSpec

RULES: dict[str, Rule] = {
    "filtered-bc": FilteredBC(),
    "awr": AWR(temperature=4.0),
    "imit-dagger": ImitDAgger(),
    "imit-recap": ImitRecap(),
    "habc-v": HABCV(),
    "habc": HABC(),
}
"""The methods that learn from experience, in the order in which their tables print them."""
ORDER = (
    *("sft", "sft-more", "imit-dagger", "awr", "imit-recap", "filtered-bc", "habc-v", "habc"),
    *("habc-more", "habc+ir", "habc+ir-2", "habc+ir-3"),
)

CONTRASTS = (
    ("habc", "sft-more"),
    ("habc", "filtered-bc"),
    ("habc-v", "imit-recap"),
    ("habc", "imit-recap"),
    ("habc", "imit-dagger"),
    ("habc", "awr"),
    ("habc+ir", "filtered-bc"),
    ("habc+ir", "habc-more"),
    ("habc+ir-3", "habc"),
    ("vantage", "habc"),
    ("vantage", "filtered-bc"),
    ("vantage", "filtered-bc+rescues"),
    ("filtered-bc+rescues", "filtered-bc"),
    ("vantage-4", "habc+ir"),
    ("vantage-4-zero-noise", "habc+ir"),
    ("vantage-4-zero-noise", "habc+ir-zero-noise"),
    ("vantage-zero-noise", "filtered-bc-zero-noise"),
    ("vantage-4-zero-noise", "filtered-bc"),
    ("filtered-bc-zero-noise", "filtered-bc"),
    ("habc-zero-noise", "habc"),
    ("habc+ir-zero-noise", "habc+ir"),
    ("habc-zero-noise", "filtered-bc-zero-noise"),
    ("vantage-scratch-zero-noise", "filtered-bc"),
    ("vantage-scratch-zero-noise", "vantage-zero-noise"),
    ("vantage-scratch-zero-noise", "habc-scratch-zero-noise"),
    ("vantage-scratch-zero-noise", "filtered-bc-scratch-zero-noise"),
    ("vantage-scratch-zero-noise", "filtered-bc+rescues-scratch-zero-noise"),
    ("filtered-bc+rescues-scratch-zero-noise", "filtered-bc-scratch-zero-noise"),
    ("filtered-bc+rescues-scratch-zero-noise", "filtered-bc"),
    ("filtered-bc+rescues-scratch-zero-noise", "habc+ir"),
    ("vantage-scratch", "filtered-bc+rescues-scratch"),
    ("vantage-scratch", "vantage"),
    ("vantage-scratch-4", "habc+ir"),
    ("vantage-scratch-4-zero-noise", "habc+ir"),
    ("vantage-scratch-4-zero-noise", "habc+ir-zero-noise"),
    ("vantage-scratch-4-zero-noise", "vantage-4-zero-noise"),
    ("vantage-scratch-6-zero-noise", "vantage-scratch-4-zero-noise"),
    ("vantage-scratch-6-zero-noise", "habc+ir-3"),
    ("vantage-scratch-6-zero-noise", "habc+ir-3-zero-noise"),
    ("habc-scratch", "habc"),
    ("habc-scratch-zero-noise", "habc-zero-noise"),
    ("habc-long", "habc"),
    ("habc-scratch", "habc-long"),
    ("habc-scratch-zero-noise", "habc-long-zero-noise"),
    ("filtered-bc-scratch", "filtered-bc"),
    ("filtered-bc-scratch-zero-noise", "filtered-bc-zero-noise"),
    ("habc-scratch-zero-noise", "filtered-bc-scratch-zero-noise"),
    ("habc+ir-3-zero-noise", "habc+ir-zero-noise"),
    ("interleaved", "habc"),
    ("interleaved-zero-noise", "habc-zero-noise"),
    ("sft-zero-noise", "sft"),
    ("shared-habc", "shared-filtered-bc"),
    ("shared-habc", "shared-habc-v"),
    ("shared-habc", "shared-imit-recap"),
    ("shared-vantage", "shared-habc"),
    ("shared-vantage", "shared-filtered-bc"),
)
"""Pairs beside the neighbours of the order."""

ANSWERS = (
    ("habc", "sft-more"),
    ("imit-dagger", "sft-more"),
    ("habc", "imit-dagger"),
    ("habc", "filtered-bc"),
    ("habc", "habc-v"),
    ("habc+ir", "habc-more"),
    ("habc-zero-noise", "habc"),
    ("habc-scratch-zero-noise", "habc-long-zero-noise"),
    ("vantage-scratch-zero-noise", "vantage-zero-noise"),
    ("vantage-scratch-zero-noise", "habc-scratch-zero-noise"),
    ("vantage-scratch-zero-noise", "filtered-bc+rescues-scratch-zero-noise"),
    ("filtered-bc+rescues-scratch-zero-noise", "filtered-bc-scratch-zero-noise"),
    ("vantage-scratch-zero-noise", "filtered-bc"),
    ("vantage-scratch-4-zero-noise", "habc+ir"),
    ("vantage-scratch-4-zero-noise", "habc+ir-zero-noise"),
)
"""Pairs of the true-state study that its page and README.md begin with."""

RESCUE = Rescue(stuck_after=80, drop=1.9, late_at=0.95, extension=120)
"""An operator who may act in half of the episodes, and steps in where the policy fails, not where it is slow.

See docs/log.
"""


def at_zero_noise(*names: str) -> tuple[Acting, ...]:
    """The policies of these arms, acting from zero noise."""
    return tuple(Acting(name=f"{name}-zero-noise", after=name) for name in names)


def weighing_of(rule: Rule) -> Weighing:
    """How the study weighs by a rule.

    Imit-DAgger draws demonstrations and interventions half and half, as in the paper.
    """
    if isinstance(rule, ImitDAgger):
        return Weighing(rule=rule, shares=PoolShares(demo=0.5, intervention=0.5, rollout=0.0))
    return Weighing(rule=rule)


def state_base() -> HABCRun:
    """What every cell of the true-state study shares: three rounds of 100 rollouts with rescues, 800 gradient
    steps each, 150 trials."""
    return HABCRun(
        worlds=(),
        policy=FlowConfig(net=NetConfig(sight=TrueState(), width=128)),
        supervision=Supervision(supervised=PolicyFit(steps=1500, save_every=1_000_000)),
        rollouts=Rollouts(per_world=100, operator=RESCUE),
        improvement=Improvement(fit=PolicyFit(steps=800, save_every=1_000_000)),
        evaluation=Evaluation(per_world=150),
        control=False,
    )


def paper_arms() -> tuple[Arm, ...]:
    """Step 1, Step 2 and the shared-data form of the paper's comparison."""
    better = Weighing(rule=HABC(reweight_interventions=True))

    return (
        Supervised(),
        MoreSupervised(name="sft-more"),
        *(Online(name=name, weighing=weighing_of(rule)) for name, rule in RULES.items()),
        Online(name="habc-more", after="habc", rounds=1),
        Online(name="habc+ir", after="habc", rounds=1, weighing=better),
        Online(name="habc+ir-2", after="habc+ir", rounds=1, weighing=better),
        Online(name="habc+ir-3", after="habc+ir-2", rounds=1, weighing=better),
        Gathered(name="shared", rollouts=Rollouts(per_world=150, operator=RESCUE)),
        *(
            Offline(name=f"shared-{name}", after="shared", weighing=weighing_of(rule))
            for name, rule in RULES.items()
        ),
    )


def study_state() -> Study:
    """Three tasks from true state, every method of the paper; about five hours of one core for ten seeds of
    the paper's arms."""
    return Study(
        base=state_base(),
        tasks=(
            StudyTask(world=MetaWorldSpec("bin-picking-v3", limit=240), demonstrations=10),
            StudyTask(world=MetaWorldSpec("pick-place-v3", limit=160), demonstrations=10),
            StudyTask(world=MetaWorldSpec("peg-insert-side-v3", limit=240), demonstrations=8),
        ),
        arms=(*paper_arms(), *vantage_arms()),
        order=ORDER,
        contrasts=CONTRASTS,
        answers=ANSWERS,
    )


def study_alone() -> Study:
    """What the outcome alone is worth: six tasks from true state, and nobody rescues; 300 and 600 rollouts.

    The operator demonstrates where it can; on the last three tasks MetaWorld's own policy does, whose
    demonstrations are clean.
    """
    stock = DemonstrateStock()
    return Study(
        base=replace(state_base(), rescues="none"),
        tasks=(
            *study_state().tasks,
            StudyTask(world=MetaWorldSpec("hammer-v3", limit=160), demonstrations=6, demonstrator=stock),
            StudyTask(world=MetaWorldSpec("coffee-push-v3", limit=160), demonstrations=4, demonstrator=stock),
            StudyTask(world=MetaWorldSpec("stick-pull-v3", limit=240), demonstrations=10, demonstrator=stock),
        ),
        arms=alone_arms(),
        order=("sft", "sft-more", "awr", "filtered-bc", "habc-v", "habc"),
        contrasts=(
            ("habc", "sft-more"),
            ("habc", "filtered-bc"),
            ("filtered-bc", "sft-more"),
            ("sft-zero-noise", "sft"),
            ("habc-zero-noise", "sft-more-zero-noise"),
            ("habc-zero-noise", "filtered-bc-zero-noise"),
            ("filtered-bc-zero-noise", "sft-more-zero-noise"),
            ("filtered-bc-zero-noise", "sft-zero-noise"),
            ("vantage-scratch-zero-noise", "sft-more"),
            ("vantage-scratch-zero-noise", "sft-more-zero-noise"),
            ("vantage-scratch-zero-noise", "sft-zero-noise"),
            ("vantage-scratch-zero-noise", "filtered-bc"),
            ("vantage-scratch-zero-noise", "filtered-bc-zero-noise"),
            ("vantage-scratch-zero-noise", "habc-zero-noise"),
            ("habc-6", "sft-more-6"),
            ("habc-6", "filtered-bc-6"),
            ("habc-6", "habc"),
            ("vantage-scratch-6-zero-noise", "sft-more-6"),
            ("vantage-scratch-6-zero-noise", "vantage-scratch-zero-noise"),
        ),
        answers=(
            ("filtered-bc", "sft-more"),
            ("habc", "sft-more"),
            ("habc", "filtered-bc"),
            ("habc-zero-noise", "sft-more-zero-noise"),
            ("vantage-scratch-zero-noise", "sft-more-zero-noise"),
            ("vantage-scratch-zero-noise", "filtered-bc"),
            ("habc-6", "sft-more-6"),
        ),
    )


def alone_arms() -> tuple[Arm, ...]:
    """The methods that can learn without rescues, after 300 rollouts and after 600.

    Imit-DAgger is not among them: it learns from rescues only.
    """
    rules = ("filtered-bc", "awr", "habc-v", "habc")
    recipe = Online(name="vantage-scratch", weighing=WEIGHING, critic=CRITIC, fit=FIT, from_scratch=True)
    three = tuple(Online(name=name, weighing=weighing_of(RULES[name])) for name in rules)

    return (
        Supervised(),
        MoreSupervised(name="sft-more"),
        *three,
        recipe,
        *at_zero_noise("sft", "sft-more", "filtered-bc", "habc", "vantage-scratch"),
        MoreSupervised(name="sft-more-6", rounds=6),
        *(replace(arm, name=f"{arm.name}-6", after=arm.name) for arm in (*three, recipe)),
        *at_zero_noise("vantage-scratch-6"),
    )


def vantage_arms() -> tuple[Arm, ...]:
    """Vantage's own recipe at the budgets of HABC and of HABC+IR, then further, and its parts one at a time.

    And every method by zero-noise inference.
    """
    return (
        Online(name="filtered-bc+rescues", weighing=Weighing(rule=FilteredBC(), shares=RESCUES)),
        Online(name="vantage", weighing=WEIGHING, critic=CRITIC),
        Online(name="vantage-4", after="vantage", rounds=1, weighing=WEIGHING, critic=CRITIC),
        *at_zero_noise("sft", "filtered-bc", "habc", "habc+ir", "vantage", "vantage-4"),
        *scratch_arms(),
        *at_zero_noise("habc+ir-3"),
        Offline(name="shared-vantage", after="shared", weighing=WEIGHING, critic=CRITIC),
        Online(name="interleaved", weighing=Weighing(stride=1), schedule=Interleaved(warm_up=200)),
        *at_zero_noise("interleaved"),
    )


def scratch_arms() -> tuple[Arm, ...]:
    """Training from scratch each round: Vantage's recipe for up to six rounds, and its controls."""
    recipe = Online(name="vantage-scratch", weighing=WEIGHING, critic=CRITIC, fit=FIT, from_scratch=True)

    return (
        recipe,
        replace(recipe, name="vantage-scratch-4", after="vantage-scratch", rounds=1),
        replace(recipe, name="vantage-scratch-6", after="vantage-scratch-4", rounds=2),
        Online(name="habc-scratch", fit=FIT, from_scratch=True),
        Online(name="habc-long", fit=FIT),
        Online(name="filtered-bc-scratch", weighing=Weighing(rule=FilteredBC()), fit=FIT, from_scratch=True),
        Online(
            name="filtered-bc+rescues-scratch",
            weighing=Weighing(rule=FilteredBC(), shares=RESCUES),
            fit=FIT,
            from_scratch=True,
        ),
        *at_zero_noise(
            "vantage-scratch",
            "vantage-scratch-4",
            "vantage-scratch-6",
            "habc-scratch",
            "habc-long",
            "filtered-bc-scratch",
            "filtered-bc+rescues-scratch",
        ),
    )


def screen_arms() -> tuple[Arm, ...]:
    """HABC, filtered BC, and one arm per setting that goes beyond the paper or back to its printed form."""
    fold5, habc = CriticFit(folds=5), HABC()
    early = Rollouts(per_world=100, operator=RESCUE, recorded_late=-10)

    return (
        Supervised(),
        Online(name="filtered-bc", weighing=Weighing(rule=FilteredBC())),
        Online(name="habc"),
        Online(name="one-step", weighing=Weighing(stride=1), critic=CriticFit(target=EfficiencyTarget())),
        Online(name="interleaved", weighing=Weighing(stride=1), schedule=Interleaved(warm_up=200)),
        Online(name="ir-at-once", weighing=Weighing(rule=HABC(reweight_interventions=True))),
        Online(name="cross-fitted", critic=fold5),
        Online(
            name="cross-fitted+ir", critic=fold5, weighing=Weighing(rule=HABC(reweight_interventions=True))
        ),
        Online(name="ensemble", critic=CriticFit(members=4)),
        Online(
            name="self-normalised", critic=fold5, weighing=Weighing(rule=replace(habc, self_normalised=True))
        ),
        Online(
            name="rising-failures", critic=fold5, weighing=Weighing(rule=replace(habc, rising_failures=True))
        ),
        Online(name="recency", weighing=Weighing(recency=0.5)),
        Online(name="by-need", weighing=Weighing(shares=SharesByNeed())),
        Online(name="more-rescues", weighing=Weighing(shares=RESCUES)),
        *at_zero_noise("sft"),
        Online(
            name="fewer-demos", weighing=Weighing(shares=PoolShares(demo=0.1, intervention=0.3, rollout=0.6))
        ),
        Online(name="certainty-price", critic=fold5, weighing=Weighing(rule=HABC(certainty_price=1.0))),
        Online(
            name="certainty-price+rescues",
            critic=fold5,
            weighing=Weighing(rule=HABC(certainty_price=1.0), shares=RESCUES),
        ),
        Online(
            name="interleaved+rescues",
            weighing=Weighing(stride=1, shares=RESCUES),
            schedule=Interleaved(warm_up=200),
        ),
        *at_zero_noise(
            "habc", "filtered-bc", "certainty-price+rescues", "interleaved+rescues", "more-rescues"
        ),
        Online(name="zero-noise-rollouts", rollouts=Rollouts(per_world=100, operator=RESCUE, noise=0.0)),
        *at_zero_noise("zero-noise-rollouts"),
        Online(name="early-labels", rollouts=early),
        Online(name="early-labels+margin", rollouts=early, weighing=Weighing(windows=WindowRule(margin=10))),
    )


def study_screen() -> Study:
    """One task, one setting at a time, on development starts and seeds of its own: where the recipe of
    Vantage comes from."""
    return Study(
        base=replace(state_base(), evaluation=Evaluation(per_world=100, suite="development")),
        tasks=(StudyTask(world=MetaWorldSpec("pick-place-v3", limit=160), demonstrations=10),),
        arms=screen_arms(),
        order=("sft", "filtered-bc", "habc"),
        contrasts=tuple((arm.name, "habc") for arm in screen_arms()[3:] if not isinstance(arm, Acting))
        + tuple((arm.name, arm.after) for arm in screen_arms() if isinstance(arm, Acting))
        + (("early-labels+margin", "early-labels"),),
    )


def study_pixels() -> Study:
    """The same tasks from pixels, with the small VLA: SFT, filtered BC, HABC, Vantage; about seven hours of
    one core for three seeds."""
    state = state_base()
    base = replace(
        state,
        policy=FlowConfig(),
        supervision=replace(state.supervision, supervised=PolicyFit(steps=1200, save_every=400)),
        improvement=replace(state.improvement, fit=PolicyFit(steps=800, save_every=400)),
    )

    return Study(
        base=base,
        tasks=(
            StudyTask(world=MetaWorldSpec("bin-picking-v3", limit=240), demonstrations=6),
            StudyTask(world=MetaWorldSpec("pick-place-v3", limit=160), demonstrations=10),
            StudyTask(world=MetaWorldSpec("peg-insert-side-v3", limit=240), demonstrations=8),
        ),
        arms=(
            *pixel_arms(),
            *at_zero_noise("sft", "filtered-bc", "habc", "vantage"),
            Online(name="vantage-scratch", weighing=WEIGHING, critic=CRITIC, fit=FIT, from_scratch=True),
            *at_zero_noise("vantage-scratch"),
        ),
        order=("sft", "sft-more", "filtered-bc", "habc", "vantage"),
        contrasts=(
            ("habc", "sft"),
            ("habc", "sft-more"),
            ("vantage", "filtered-bc"),
            ("vantage-zero-noise", "filtered-bc"),
            ("vantage-zero-noise", "habc"),
            ("vantage-zero-noise", "filtered-bc-zero-noise"),
            ("vantage-zero-noise", "habc-zero-noise"),
            ("vantage-zero-noise", "vantage"),
            ("vantage-scratch", "vantage"),
            ("vantage-scratch-zero-noise", "vantage-zero-noise"),
            ("vantage-scratch-zero-noise", "habc-zero-noise"),
            ("vantage-scratch-zero-noise", "habc"),
            ("vantage-scratch-zero-noise", "filtered-bc"),
            ("habc-zero-noise", "habc"),
            ("filtered-bc-zero-noise", "filtered-bc"),
            ("sft-zero-noise", "sft"),
        ),
        answers=(
            ("habc", "sft-more"),
            ("habc", "filtered-bc"),
            ("vantage-scratch-zero-noise", "filtered-bc"),
            ("vantage-scratch-zero-noise", "habc"),
            ("vantage-scratch-zero-noise", "vantage-zero-noise"),
        ),
    )


def pixel_arms() -> tuple[Arm, ...]:
    """The methods that are worth their price from pixels: SFT, SFT with equal steps, filtered BC, HABC and
    Vantage's rule."""
    return (
        Supervised(),
        MoreSupervised(name="sft-more"),
        Online(name="filtered-bc", weighing=weighing_of(FilteredBC())),
        Online(name="habc"),
        Online(name="vantage", weighing=WEIGHING, critic=CRITIC),
    )


def study_debug() -> Study:
    """The smallest study that has every kind of arm, in two minutes: does it work here?"""
    state = state_base()
    base = replace(
        state,
        supervision=replace(state.supervision, supervised=PolicyFit(steps=200)),
        improvement=replace(state.improvement, fit=PolicyFit(steps=60), critic=CriticFit(steps=60)),
        rollouts=Rollouts(per_world=12, operator=RESCUE),
        evaluation=Evaluation(per_world=10),
    )
    rules = {name: RULES[name] for name in ("filtered-bc", "imit-recap", "habc")}

    return Study(
        base=base,
        tasks=(StudyTask(world=MetaWorldSpec("push-v3", limit=100), demonstrations=6),),
        arms=(
            Supervised(),
            MoreSupervised(name="sft-more", rounds=1),
            *(Online(name=name, rounds=1, weighing=weighing_of(rule)) for name, rule in rules.items()),
            Online(
                name="habc+ir",
                after="habc",
                rounds=1,
                weighing=Weighing(rule=HABC(reweight_interventions=True)),
            ),
            Gathered(name="shared", rollouts=Rollouts(per_world=12, operator=RESCUE)),
            *(
                Offline(name=f"shared-{name}", after="shared", weighing=weighing_of(rule))
                for name, rule in rules.items()
            ),
        ),
        order=("sft", "sft-more", "imit-recap", "filtered-bc", "habc", "habc+ir"),
    )
