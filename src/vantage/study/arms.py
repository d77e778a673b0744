"""An arm and the plan that it stands in -> what people call it, the group it is shown in, and its family,
which is its colour.

    Acting(after=vantage-scratch-4) ──> method "Vantage"   from scratch   4 rounds   zero-noise
                                     title  "Vantage, from scratch, 4 rounds, zero-noise"
                                     group  "training from scratch each round, zero-noise inference"

An arm's name is a key of the stored rows and means nothing. How a policy was trained and how it acts is read
from the arm's own settings; only the method at the root of a variant is called by a name, the one in `TITLES`
or, where that has none, the arm's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.run import gradient_steps
from vantage.core.weights import HABC, HABCV
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.steering import ChunkEdits, NoiseSteering, Steering
from vantage.stages.weigh import Weighing
from vantage.study.plan import (
    Acting,
    Arm,
    Gathered,
    MoreSupervised,
    Offline,
    Online,
    Study,
    Supervised,
    WholeRun,
)

TITLES = {
    "sft": "SFT",
    "sft-more": "SFT, equal steps",
    "sft-more-6": "SFT, equal steps, 6 rounds",
    "filtered-bc": "filtered BC",
    "awr": "AWR",
    "imit-dagger": "Imit-DAgger",
    "imit-recap": "Imit-Recap",
    "habc-v": "HABC-V",
    "habc": "HABC",
    "habc-more": "HABC, continued",
    "habc+ir": "HABC+IR",
    "filtered-bc+rescues": "filtered BC, more rescues",
    "interleaved": "HABC, interleaved",
    "vantage": "Vantage",
    "vantage-scratch": "Vantage",
    "zero-noise-rollouts": "zero-noise rollouts",
    "noises": "HABC, three noises",
    "chunk-lengths": "HABC, three chunk lengths",
    "doubtful-starts": "HABC, doubtful starts",
    "before-failure": "HABC, before failures",
    "noises+before-failure": "HABC, three noises, before failures",
}
"""What methods are called that a study's arms go by; the name of an arm that is not here is its title."""


class Family(StrEnum):
    """What kind of method an arm is; figures give each its colour."""

    SUPERVISED = "supervised"
    """Demonstrations alone."""
    BASELINE = "other rules for experience"
    """The rules that the paper compares HABC with."""
    HABC = "HABC, as in the paper"
    """The paper's own rules."""
    BEYOND = "HABC, beyond the paper"
    """HABC with a setting that the paper does not have."""
    PRACTICE = "reinforcement learning"
    """Practice in simulation, by its own success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What is said of an arm."""

    method: str
    """The method, without what the other fields say."""
    family: Family
    rounds: int = 0
    """How many rounds it has had in all, where it goes on with a method for longer than the study's own
    number; 0 elsewhere."""
    steps: int = 0
    """Gradient steps a round, where it trains the last round's policy on for more of them than the study
    does; 0 elsewhere."""
    shared: bool = False
    """It learned from rollouts that other arms learned from too."""
    scratch: bool = False
    """Training from scratch each round: every round's policy begins with its first weights."""
    noise: float | None = None
    """The scale of the noise that a trained policy acts from, where that is another than in training; 0 is
    zero-noise inference."""
    steering: Steering | None = None
    """What leads it when it acts."""

    @property
    def name(self) -> str:
        """The method and for how long, without how it is trained and how it acts: what stands beside a row of
        its group."""
        words = [self.method]
        if self.steps:
            words.append(f"{self.steps:,} steps a round")
        if self.rounds:
            words.append(f"{self.rounds} rounds")
        return ", ".join(words)

    @property
    def title(self) -> str:
        """Everything, short enough for a table; `short_terms` explains the terms."""
        words = [self.method]
        if self.shared:
            words.append("shared data")
        if self.steps:
            words.append(f"{self.steps:,} steps a round")
        if self.scratch:
            words.append("from scratch")
        if self.rounds:
            words.append(f"{self.rounds} rounds")
        if acting := self._acting(short=True):
            words.append(acting)
        return ", ".join(words)

    @property
    def group(self) -> str:
        """How the policy is trained and how it acts; empty for an arm that does both as the study does."""
        words: list[str] = []
        if self.shared:
            words.append("one update on shared data")
        if self.scratch:
            words.append("training from scratch each round")
        if acting := self._acting(short=False):
            words.append(acting)
        return ", ".join(words)

    def _acting(self, *, short: bool) -> str:
        match self.steering:
            case NoiseSteering():
                return "steered noise"
            case ChunkEdits():
                return "edited chunks"
            case None:
                pass
        if self.noise is None:
            return ""
        if self.noise:
            return f"noise {self.noise:g}"
        return "zero-noise" if short else "zero-noise inference"


def describe(study: Study, name: str) -> Label:
    """What is said of the arm of that name. Raises VantageError where the study has none."""
    arm = study.arm(name)
    match arm:
        case Supervised() | MoreSupervised():
            return Label(method=_method(study, arm), family=Family.SUPERVISED)
        case Gathered():
            return Label(method=TITLES.get(arm.name, arm.name), family=Family.BASELINE)
        case WholeRun():
            return Label(method=TITLES.get(arm.name, arm.name), family=_family_of_run(arm))
        case Acting():
            return replace(describe(study, arm.after), noise=arm.tried.noise, steering=arm.steering)
        case Offline():
            return Label(method=_method(study, arm), family=_family(arm.weighing, arm.critic), shared=True)
        case Online():
            return Label(
                method=_method(study, arm),
                family=_family(arm.weighing, arm.critic),
                rounds=_rounds(study, arm),
                steps=0 if arm.fit is None or arm.from_scratch else arm.fit.steps,
                scratch=arm.from_scratch,
            )


def title(study: Study, name: str) -> str:
    """What people call the arm of that name."""
    return describe(study, name).title


def short_terms(study: Study, names: Iterable[str]) -> str:
    """What the short terms in the titles of some arms mean, as sentences for the caption of a table; empty
    where there are none."""
    labels = [describe(study, name) for name in names]
    sentences: list[str] = []
    if any(label.scratch for label in labels):
        sentences.append("From scratch: training from scratch each round.")
    if any(label.noise == 0 and label.steering is None for label in labels):
        sentences.append("Zero-noise: zero-noise inference.")
    if any(label.steering is not None for label in labels):
        sentences.append("Steered noise, edited chunks: a small network leads the policy when it acts.")
    return " ".join(sentences)


def evaluated(study: Study) -> list[str]:
    """Names of the arms that are evaluated, in the study's order."""
    return [arm.name for arm in study.arms if not isinstance(arm, Gathered)]


def _method(study: Study, arm: Arm) -> str:
    """The arm's own title, or that of the first arm which learns by the same settings and trains as the study
    does; else that of the run which it goes on with, or its name."""
    if arm.name in TITLES:
        return TITLES[arm.name]
    if isinstance(arm, Online | Offline):
        for other in study.arms:
            if not isinstance(other, Online) or other.from_scratch or other.fit is not None:
                continue
            if _same_rule(arm, other):
                return TITLES.get(other.name, other.name)

    # No such arm in the study: the title is that of the run which an arm goes on with.
    if isinstance(arm, Online):
        parent = study.arm(arm.after)
        if isinstance(parent, Online) and _same_rule(arm, parent):
            return _method(study, parent)
    return arm.name


def _same_rule(arm: Online | Offline, other: Online) -> bool:
    """Whether two arms learn from experience in the same way; an `Offline` arm plays no rollouts that could
    differ."""
    same = (arm.weighing, arm.critic, arm.schedule) == (other.weighing, other.critic, other.schedule)
    if isinstance(arm, Offline):
        return same
    return same and (arm.rollouts, arm.rescues) == (other.rollouts, other.rescues)


def _rounds(study: Study, arm: Online) -> int:
    """Rounds in all of an arm that goes on with its parent's method under no title of its own; 0 for every
    other arm."""
    parent = study.arm(arm.after)
    if arm.name in TITLES or not isinstance(parent, Online):
        return 0
    if not _same_rule(arm, parent) or parent.from_scratch != arm.from_scratch:
        return 0
    return study.first_round(arm) + arm.rounds - 1


def _family_of_run(arm: WholeRun) -> Family:
    """Of a whole run: supervised where nothing follows round 0, else by how it learns from experience."""
    if gradient_steps(arm.run) == 0:
        return Family.SUPERVISED
    if not isinstance(arm.run, HABCRun):
        return Family.PRACTICE
    improvement = arm.run.improvement
    return _family(improvement.weighing, improvement.critic)


def _family(weighing: Weighing, critic: CriticFit | None) -> Family:
    """HABC is the paper's as long as nothing but the stride k and the schedule differs from one of its own
    rules."""
    if not isinstance(weighing.rule, HABC | HABCV):
        return Family.BASELINE
    paper = (Weighing(rule=HABC()), Weighing(rule=HABC(reweight_interventions=True)), Weighing(rule=HABCV()))
    plain = replace(weighing, stride=Weighing().stride) in paper
    one_critic = critic is None or (critic.folds, critic.members) == (1, 1)
    return Family.HABC if plain and one_critic else Family.BEYOND
