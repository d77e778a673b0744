"""What exploration buys per rollout where nobody rescues: one way of exploring at a time."""

from dataclasses import replace

from vantage.collect.exploration import BeforeFailure, DoubtfulStart, Exploration
from vantage.collect.operators import DemonstrateStock
from vantage.recipes.study import at_zero_noise, state_base
from vantage.stages.collect import Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.study.plan import Arm, MoreSupervised, Online, Study, StudyTask, Supervised
from vantage.worlds.spec import MetaWorldSpec

EXPLORATIONS: dict[str, Exploration] = {
    "noises": Exploration(noises=(0.5, 1.0, 1.5)),
    "chunk-lengths": Exploration(executes=(4, 8, 16)),
    "doubtful-starts": Exploration(starts=DoubtfulStart()),
    "before-failure": Exploration(starts=BeforeFailure()),
    "noises+before-failure": Exploration(noises=(0.5, 1.0, 1.5), starts=BeforeFailure()),
}
"""Beside which stands `habc`, whose rollouts act with the flow's own noise, from any start, for 8 steps of a
chunk."""


def study_exploration() -> Study:
    """HABC without rescues, its rollouts exploring in one way at a time: three rounds of 100, on development
    starts."""
    stock = DemonstrateStock()
    return Study(
        base=replace(state_base(), rescues="none", evaluation=Evaluation(per_world=150, suite="development")),
        tasks=(
            StudyTask(world=MetaWorldSpec("pick-place-v3", limit=160), demonstrations=10),
            StudyTask(world=MetaWorldSpec("hammer-v3", limit=160), demonstrations=6, demonstrator=stock),
            StudyTask(world=MetaWorldSpec("stick-pull-v3", limit=240), demonstrations=10, demonstrator=stock),
        ),
        arms=exploration_arms(),
        order=("sft", "sft-more", "habc"),
        contrasts=(
            ("habc-zero-noise", "sft-zero-noise"),
            *((name, "habc") for name in EXPLORATIONS),
            *((f"{name}-zero-noise", "habc-zero-noise") for name in EXPLORATIONS),
        ),
        answers=tuple((f"{name}-zero-noise", "habc-zero-noise") for name in EXPLORATIONS),
    )


def exploration_arms() -> tuple[Arm, ...]:
    """HABC with rollouts of the policy as it is, and with each way of exploring; all of them at zero noise
    too."""
    plain = state_base().rollouts

    def exploring(exploration: Exploration) -> Rollouts:
        return replace(plain, exploration=exploration)

    return (
        Supervised(),
        MoreSupervised(name="sft-more"),
        Online(name="habc"),
        *(Online(name=name, rollouts=exploring(explored)) for name, explored in EXPLORATIONS.items()),
        *at_zero_noise("sft", "habc", *EXPLORATIONS),
    )
