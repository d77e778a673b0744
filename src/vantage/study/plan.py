"""What a study compares: arms (methods), tasks, seeds, and the one setting that all of them share.

    sft ──┬── sft more          equal further gradient steps, demonstrations alone
          ├── habc ──┬── habc, continued        every arm plays its own rollouts
          ├── recap  └── habc+ir
          └── one set of rollouts ──┬── habc on it        every rule learns from the same data
                                    └── recap on it

An arm is a value. Its cell (arm, task, seed) is a pure function of the plan: it is rebuilt, with all it stands on, from nothing else.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass, replace

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Staged
from vantage.algorithms.interleaved import Interleaved
from vantage.config import Count, NotNegative, Whole, brief, check
from vantage.learn.critic.fit import CriticFit
from vantage.stages.collect import Rollouts
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.types import VantageError
from vantage.worlds.spec import WorldSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervised:
    """Round 0: demonstrations, and the policy that imitates them (SFT)."""

    name: str = "sft"
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreSupervised:
    """As many further gradient steps as `rounds` rounds have, on the demonstrations alone."""

    name: str
    after: str = "sft"
    rounds: Whole = 3

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Online:
    """Rounds of its own rollouts and updates, from the checkpoint (and the data) of the arm `after`."""

    name: str
    after: str = "sft"
    rounds: Whole = 3
    weighing: Weighing = Weighing()
    critic: CriticFit | None = None
    """None: the study's."""
    rollouts: Rollouts | None = None
    """None: the study's."""
    fit: PolicyFit | None = None
    """None: the study's."""
    from_scratch: bool = False
    """Training from scratch each round (`Improvement.from_scratch`)."""
    schedule: Staged | Interleaved = Staged()

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One round of rollouts by the policy of `after`, for several arms to learn from; itself neither trained nor evaluated."""

    name: str
    after: str = "sft"
    rollouts: Rollouts | None = None
    """None: the study's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """One update of the supervised policy on what `after` (a `Gathered`) has gathered."""

    name: str
    after: str
    weighing: Weighing = Weighing()
    critic: CriticFit | None = None
    """None: the study's."""
    schedule: Staged | Interleaved = Staged()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """The policy of `after`, not trained on, acting from noise of another scale."""

    name: str
    after: str
    noise: NotNegative = 0.0

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


Arm = Supervised | MoreSupervised | Online | Gathered | Offline | Acting


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTask:
    """A world, and how many demonstrations of it the supervised policy gets."""

    world: WorldSpec
    demonstrations: Count

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The whole comparison; its JSON form is study.json."""

    base: HABCRun
    """What all arms share; its worlds and its seed are set per cell."""
    tasks: tuple[StudyTask, ...]
    arms: tuple[Arm, ...]
    order: tuple[str, ...] = ()
    """Arms whose neighbours are compared, from the one expected to be worst."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Further pairs to compare: (ours, theirs)."""
    answers: tuple[tuple[str, str], ...] = ()
    """The pairs, of those that are compared, that answer what the study asks; empty: see `first_pairs`."""

    def __post_init__(self) -> None:
        """Raise VantageError for arms that stand on nothing."""
        known: set[str] = set()
        for arm in self.arms:
            if arm.name in known:
                raise VantageError(f"two arms of the study are called {arm.name!r}; give each a name of its own")
            if arm.after and arm.after not in known:
                raise VantageError(f"arm {arm.name!r} comes after {arm.after!r}, which is no arm before it; name one of {sorted(known)}")
            if arm.after and not _may_follow(arm, self.arm(arm.after)):
                raise VantageError(
                    f"arm {arm.name!r} cannot come after {arm.after!r}: only an `Offline` arm learns from what was gathered, and "
                    "only rounds of a run are gone on from; name a `Supervised` or `Online` arm (a `Gathered` one)"
                )
            known.add(arm.name)
        named = (*self.order, *(name for pair in self.contrasts for name in pair))
        if missing := [name for name in named if name not in known]:
            raise VantageError(f"the study compares {missing[0]!r}, which is no arm; there are {', '.join(sorted(known))}")
        for ours, theirs in self.answers:
            if (ours, theirs) not in self.pairs:
                raise VantageError(f"{ours!r} beside {theirs!r} is no pair that the study compares; add it to its contrasts")

    @property
    def neighbours(self) -> tuple[tuple[str, str], ...]:
        """Every arm of the order beside the one before it: (ours, theirs)."""
        return tuple((ours, theirs) for theirs, ours in itertools.pairwise(self.order))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Everything that is compared: neighbours first."""
        neighbours = self.neighbours
        return (*neighbours, *(pair for pair in self.contrasts if pair not in neighbours))

    @property
    def first_pairs(self) -> tuple[tuple[str, str], ...]:
        """What is shown first: the answers; without them the neighbours of the order; without an order, every pair."""
        return self.answers or self.neighbours or self.pairs

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise VantageError(f"there is no arm {name!r} in this study; there are {', '.join(a.name for a in self.arms)}")

    def task(self, name: str) -> StudyTask:
        """The task of that name."""
        for task in self.tasks:
            if task.world.task == name:
                return task
        raise VantageError(f"there is no task {name!r} in this study; there are {', '.join(t.world.task for t in self.tasks)}")

    def ancestry(self, arm: Arm) -> tuple[Arm, ...]:
        """The arm and all it stands on, the first one first."""
        return (*self.ancestry(self.arm(arm.after)), arm) if arm.after else (arm,)

    def trains_on(self, arm: Arm) -> bool:
        """Whether another arm learns from what this one has recorded."""
        return any(each.after == arm.name and not isinstance(each, Acting) for each in self.arms)

    def first_round(self, arm: Arm) -> int:
        """How many rounds the arm finds when it begins (0: none, round 0 included)."""
        return sum(_rounds(each) for each in self.ancestry(arm)[:-1])

    def gradient_steps(self, arm: Arm) -> int:
        """Gradient steps after the supervised checkpoint that an arm has cost, with all it stands on."""
        return sum(_updates(each) * self.fit_of(each).steps for each in self.ancestry(arm))

    def fit_of(self, arm: Arm) -> PolicyFit:
        """How long an arm trains its policy in a round, and by what."""
        return (isinstance(arm, Online) and arm.fit) or self.base.improvement.fit

    def settings(self, arm: Arm, task: StudyTask, seed: int) -> HABCRun:
        """What a run of this arm on this task with this seed is made by."""
        supervision, improvement = self.base.supervision, self.base.improvement
        demonstrations = replace(supervision.demonstrations, per_world=task.demonstrations)
        shared = replace(self.base, worlds=(task.world,), seed=seed, supervision=replace(supervision, demonstrations=demonstrations))
        match arm:
            case Supervised() | MoreSupervised() | Acting():
                return shared
            case Gathered():
                return replace(shared, rollouts=arm.rollouts or shared.rollouts)
            case Offline():
                learned = replace(
                    improvement,
                    weighing=arm.weighing,
                    critic=arm.critic or improvement.critic,
                    schedule=arm.schedule,
                )
                return replace(shared, improvement=learned)
            case Online():
                learned = replace(
                    improvement,
                    weighing=arm.weighing,
                    critic=arm.critic or improvement.critic,
                    schedule=arm.schedule,
                    fit=self.fit_of(arm),
                    from_scratch=arm.from_scratch,
                )
                return replace(shared, improvement=learned, rollouts=arm.rollouts or shared.rollouts)

    def fingerprint(self, arm: Arm, task: StudyTask) -> str:
        """Twelve hex digits of every choice that decides a cell but its seed."""
        chain = [brief(each) for each in self.ancestry(arm)]
        settings = [brief(self.settings(each, task, 0)) for each in self.ancestry(arm)]
        return hashlib.sha256(json.dumps([chain, settings], sort_keys=True).encode()).hexdigest()[:12]


def _may_follow(arm: Arm, parent: Arm) -> bool:
    """Whether `arm` finds at its parent what it begins with."""
    return isinstance(parent, Gathered) if isinstance(arm, Offline) else isinstance(parent, Supervised | Online)


def _updates(arm: Arm) -> int:
    """Fits of the study's length that an arm makes after the supervised one."""
    match arm:
        case Supervised() | Gathered() | Acting():
            return 0
        case Offline():
            return 1
        case Online() | MoreSupervised():
            return arm.rounds


def _rounds(arm: Arm) -> int:
    """Rounds that an arm adds to a run."""
    match arm:
        case Supervised() | Gathered() | Offline():
            return 1
        case Online():
            return arm.rounds
        case MoreSupervised() | Acting():
            return 0
