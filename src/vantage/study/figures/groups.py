"""A study's arms -> which of them a figure shows, and under which headings, from what the arms are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from vantage.core.weights import HABC
from vantage.study.arms import Family, describe, evaluated
from vantage.study.plan import Offline, Online, Study
from vantage.study.rows import Results

REPEATED = ("filtered-bc", "habc", "habc+ir")
"""Arms of the paper's comparison that a figure of further arms begins with, where the study has them."""
USUAL = "training the last round's policy further"
"""Heading of the arms that train and act as the study does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmGroup:
    """Names of arms under one heading."""

    heading: str
    arms: tuple[str, ...]


def has_rows(results: Results, arm: str) -> bool:
    """Whether an arm has finished cells."""
    trials = results.tables["trials"]
    return bool(trials) and bool((trials["arm"] == arm).any())


def ordered_arms(results: Results) -> list[str]:
    """The arms of the study's order that have rows: the paper's Fig. 3."""
    return [arm for arm in results.study.order if has_rows(results, arm)]


def further_arms(results: Results) -> list[str]:
    """The evaluated arms with rows that are not in the order, behind a few that are; none where none are, or
    where the study has no order."""
    study = results.study
    if not study.order:
        return []
    alone = [arm for arm in _drawn(results) if not isinstance(study.arm(arm), Offline)]
    further = [arm for arm in alone if arm not in study.order]
    if not further:
        return []
    return [arm for arm in REPEATED if arm in alone and arm not in further] + further


def unordered_arms(results: Results) -> list[str]:
    """Of a study without an order: the evaluated arms with rows, but for those that learned from the same
    rollouts; arms of a family together."""
    study = results.study
    if study.order:
        return []
    families = list(Family)
    alone = [arm for arm in _drawn(results) if not isinstance(study.arm(arm), Offline)]
    return sorted(alone, key=lambda arm: families.index(describe(study, arm).family))


def shared_arms(results: Results) -> list[str]:
    """The arms that learned from the same rollouts, those with rows, in the study's order."""
    return [arm for arm in _drawn(results) if isinstance(results.study.arm(arm), Offline)]


def _drawn(results: Results) -> list[str]:
    return [arm for arm in evaluated(results.study) if has_rows(results, arm)]


def by_family(study: Study, arms: Sequence[str]) -> list[ArmGroup]:
    """Groups of neighbours of one family, in the order of the arms."""
    runs = groupby(arms, key=lambda arm: describe(study, arm).family)
    return [ArmGroup(heading=family.value, arms=tuple(names)) for family, names in runs]


def by_training(study: Study, arms: Sequence[str]) -> list[ArmGroup]:
    """Groups of arms that train and act alike: as the study does, then whatever else there is; each in the
    order of the arms."""
    named: dict[str, list[str]] = {USUAL: []}
    for arm in arms:
        named.setdefault(describe(study, arm).group or USUAL, []).append(arm)
    return [ArmGroup(heading=heading, arms=tuple(names)) for heading, names in named.items() if names]


def habc_chain(study: Study) -> list[str]:
    """HABC as the paper runs it, and what goes on from it with reweighted interventions (IR), each after the
    one before."""
    habc = [
        arm
        for arm in study.arms
        if isinstance(arm, Online) and describe(study, arm.name).family == Family.HABC
    ]
    first = [arm for arm in habc if arm.weighing.rule == HABC() and not arm.from_scratch and arm.fit is None]
    if not first:
        return []

    chain = [first[0].name]
    for arm in habc:  # a plan names an arm before those that go on from it
        if arm.after == chain[-1] and arm.weighing.rule == HABC(reweight_interventions=True):
            chain.append(arm.name)
    return chain
