"""What is said of an arm comes from its settings; names on disk may be anything."""

from dataclasses import replace

import pytest

from vantage.core.weights import AWR, HABC, FilteredBC
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.steering import ChunkEdits, NoiseSteering
from vantage.recipes.study import study_debug, study_pixels, study_screen, study_state
from vantage.recipes.study_exploration import study_exploration
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study.arms import TITLES, Family, describe, short_terms, title
from vantage.study.plan import Acting, Gathered, Offline, Online, Study, Supervised


def renamed(study: Study) -> Study:
    """The same plan with arms called a0, a1, ..."""
    names = {arm.name: f"a{number}" for number, arm in enumerate(study.arms)}
    arms = tuple(replace(arm, name=names[arm.name], after=names.get(arm.after, "")) for arm in study.arms)
    return replace(study, arms=arms, order=(), contrasts=(), answers=())


@pytest.mark.parametrize(
    "study", [study_state(), study_pixels(), study_screen(), study_exploration(), study_debug()]
)
def test_what_arms_are_does_not_depend_on_their_names(study: Study) -> None:
    other = renamed(study)
    for arm, blind in zip(study.arms, other.arms, strict=True):
        ours, theirs = describe(study, arm.name), describe(other, blind.name)
        assert (ours.family, ours.group, ours.steps) == (theirs.family, theirs.group, theirs.steps), arm.name
        if arm.name not in TITLES and getattr(arm, "after", "") not in TITLES:
            assert ours.rounds == theirs.rounds, arm.name


def test_titles_by_hand() -> None:
    study = study_state()
    by_hand = {
        "sft": "SFT",
        "habc-more": "HABC, continued",
        "habc+ir": "HABC+IR",
        "habc+ir-3": "HABC+IR, 6 rounds",
        "habc-zero-noise": "HABC, zero-noise",
        "habc-long": "HABC, 2,400 steps a round",
        "habc-long-zero-noise": "HABC, 2,400 steps a round, zero-noise",
        "vantage-4-zero-noise": "Vantage, 4 rounds, zero-noise",
        "vantage-scratch-6-zero-noise": "Vantage, from scratch, 6 rounds, zero-noise",
        "filtered-bc+rescues-scratch-zero-noise": "filtered BC, more rescues, from scratch, zero-noise",
        "shared-imit-recap": "Imit-Recap, shared data",
        "shared-vantage": "Vantage, shared data",
    }
    assert {name: title(study, name) for name in by_hand} == by_hand
    group = describe(study, "vantage-scratch-zero-noise").group
    assert group == "training from scratch each round, zero-noise inference"
    rescues = "certainty-price+rescues"
    assert title(study_screen(), f"{rescues}-zero-noise") == f"{rescues}, zero-noise"
    for plan in (study, study_pixels(), study_screen(), study_exploration()):
        titles = [title(plan, arm.name) for arm in plan.arms]
        assert len(set(titles)) == len(titles), "no two arms of a study are called the same"
        assert not any("-zero-noise" in words or "-scratch" in words for words in titles), (
            "a key, not a title"
        )


def test_a_plan_with_names_of_its_own() -> None:
    study = Study(
        base=study_debug().base,
        tasks=study_debug().tasks,
        arms=(
            Supervised(),
            Online(name="zero-noise-scratch-shared", weighing=Weighing(rule=AWR())),
            Online(name="again", weighing=Weighing(rule=AWR()), from_scratch=True),
            Acting(name="quiet", after="again"),
            Acting(name="loud", after="again", noise=0.5),
            Acting(name="led", after="again", steering=NoiseSteering()),
            Acting(name="edited", after="again", steering=ChunkEdits()),
            Online(name="longer", weighing=Weighing(rule=AWR()), fit=PolicyFit(steps=1234)),
            Gathered(name="pot"),
            Offline(name="once", after="pot", weighing=Weighing(rule=FilteredBC())),
            Online(name="printed", weighing=Weighing(stride=1)),
            Online(name="folds", critic=CriticFit(folds=5)),
            Online(name="certainty-price", weighing=Weighing(rule=HABC(certainty_price=1.0))),
        ),
    )
    assert [title(study, arm.name) for arm in study.arms] == [
        "SFT",
        "zero-noise-scratch-shared",
        "zero-noise-scratch-shared, from scratch",
        "zero-noise-scratch-shared, from scratch, zero-noise",
        "zero-noise-scratch-shared, from scratch, noise 0.5",
        "zero-noise-scratch-shared, from scratch, steered noise",
        "zero-noise-scratch-shared, from scratch, edited chunks",
        "zero-noise-scratch-shared, 1,234 steps a round",
        "pot",
        "once, shared data",
        "printed",
        "folds",
        "certainty-price",
    ]
    assert "a small network leads the policy" in short_terms(study, ["led"])
    families = {arm.name: describe(study, arm.name).family for arm in study.arms}
    assert families["sft"] == Family.SUPERVISED
    assert families["quiet"] == families["once"] == Family.BASELINE
    assert families["printed"] == Family.HABC, "stride 1 is the paper's own"
    assert families["folds"] == families["certainty-price"] == Family.BEYOND


def test_terms_are_explained_where_they_stand() -> None:
    study = study_state()
    assert short_terms(study, ["sft", "habc"]) == ""
    assert short_terms(study, ["sft-zero-noise"]) == "Zero-noise: zero-noise inference."
    assert short_terms(study, ["vantage-scratch-zero-noise"]) == (
        "From scratch: training from scratch each round. Zero-noise: zero-noise inference."
    )
