"""What a study compares: arms (methods), tasks, seeds, and the settings that arms share.

    sft ──┬── sft more          equal further gradient steps, demonstrations alone
          ├── habc ──┬── habc, continued        every arm plays its own rollouts
          ├── recap  └── habc+ir
          └── one set of rollouts ──┬── habc on it        every rule learns from the same data
                                    └── recap on it

    PPO, 10 demonstrations          whole runs of any algorithm, which differ from the demonstrations on
    PPO, 3 demonstrations

An arm is a value. Its cell (arm, task, seed) is a pure function of the plan: it is rebuilt, with all it
stands on, from nothing else.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from typing import ClassVar, overload

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Staged
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.run import Run, gradient_steps, trial_limits
from vantage.bounds import Count, NotNegative, Whole, check
from vantage.collect.operators import OperatorSpec, Rescues
from vantage.config import brief
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.steering import NoiseSteering, Steering
from vantage.policies.build import PolicySpec
from vantage.stages.collect import Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.weigh import Weighing
from vantage.study.view import PracticeView
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
    rescues: Rescues | None = None
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
    """One round of rollouts by the policy of `after`, for several arms to learn from.

    Itself neither trained nor evaluated.
    """

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
    """The policy of `after`, not trained on, acting from noise of another scale, or led (`steering`)."""

    name: str
    after: str
    noise: NotNegative = 0.0
    """Of its own where a `NoiseSteering` chooses it."""
    steering: Steering | None = None
    """What leads it, trained on all that the rounds of `after` have recorded; None: nothing."""

    @property
    def tried(self) -> Evaluation:
        """How it acts; the rest is the study's."""
        chosen = isinstance(self.steering, NoiseSteering)
        return Evaluation(noise=None if chosen else self.noise, steering=self.steering)

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """A whole run of any algorithm, which stands on no other arm: for arms that differ from round 0 on.

    Cells whose runs agree in everything that decides round 0 share it on disk.
    """

    name: str
    run: Run
    """Everything about it. Its worlds and its seed are set per cell, and the number of its demonstrations
    where the task has one."""
    after: ClassVar[str] = ""


Part = Supervised | MoreSupervised | Online | Gathered | Offline | Acting
"""Arms that are parts of an HABC run and share the study's `base`."""
Arm = Part | WholeRun


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTask:
    """A world, and how many demonstrations of it the supervised policy gets."""

    world: WorldSpec
    demonstrations: Count
    demonstrator: OperatorSpec | None = None
    """Who demonstrates; None: whom the run of the arm (or the study's `base`) names."""
    policy: PolicySpec | None = None
    """The policy of this task's cells, where its sizes are not those of others; None: that of the arm's run
    (or the study's `base`)."""
    supervised: PolicyFit | None = None
    """How the supervised policy of this task is trained, where it takes more or fewer steps than others;
    None: as the arm's run (or the study's `base`) says."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def name(self) -> str:
        """What the task is called in rows and tables."""
        return self.world.task

    @property
    def worlds(self) -> tuple[WorldSpec, ...]:
        """The worlds that a policy of this task is trained and evaluated in."""
        return (self.world,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Several worlds that one policy learns together: one task of a study."""

    name: str
    worlds: tuple[WorldSpec, ...]
    demonstrations: Count | None = None
    """Per world; None: as many as the run of the arm (or the study's `base`) says."""

    def __post_init__(self) -> None:
        """Raise VantageError for no worlds, for two of one name, and for numbers out of their bounds."""
        check(self)
        tasks = [world.task for world in self.worlds]
        if not tasks:
            raise VantageError(f"suite {self.name!r} has no worlds; name at least one")
        if twice := [task for task in tasks if tasks.count(task) > 1]:
            fault = f"suite {self.name!r} has two worlds called {twice[0]!r}"
            raise VantageError(f"{fault}, whose trials could not be told apart; keep one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The whole comparison; its JSON form is study.json."""

    base: HABCRun | None = None
    """What the arms share that are part of a run; its worlds and its seed are set per cell.

    None where every arm is a `WholeRun`.
    """
    tasks: tuple[StudyTask | Suite, ...]
    arms: tuple[Arm, ...]
    order: tuple[str, ...] = ()
    """Arms whose neighbours are compared, from the one expected to be worst."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Further pairs to compare: (ours, theirs)."""
    answers: tuple[tuple[str, str], ...] = ()
    """The pairs, of those that are compared, that answer what the study asks; empty: see `first_pairs`."""
    view: PracticeView | None = None
    """What is shown beside the differences, where the arms practise."""

    def __post_init__(self) -> None:
        """Raise VantageError for arms without a parent, names used twice, and arms that do not compare."""
        names: list[str] = []
        for task in self.tasks:
            names += {task.name, *(world.task for world in task.worlds)}
        if twice := [name for name in names if names.count(name) > 1]:
            raise VantageError(
                f"two tasks of the study have {twice[0]!r}; give each task a name and worlds of its own"
            )

        known: set[str] = set()
        for arm in self.arms:
            if self.base is None and not isinstance(arm, WholeRun):
                fault = f"arm {arm.name!r} is part of a run that the study does not have"
                raise VantageError(f"{fault}; set the study's base")
            if arm.name in known:
                raise VantageError(
                    f"two arms of the study are called {arm.name!r}; give each a name of its own"
                )
            if arm.after and arm.after not in known:
                fault = f"arm {arm.name!r} comes after {arm.after!r}, which is no arm before it"
                raise VantageError(f"{fault}; name one of {sorted(known)}")
            if arm.after and not _may_follow(arm, self.arm(arm.after)):
                raise VantageError(
                    f"arm {arm.name!r} cannot come after {arm.after!r}: only an `Offline` arm learns from "
                    "what was gathered, and only rounds of a run are gone on from; "
                    "name a `Supervised` or `Online` arm (a `Gathered` one)"
                )
            known.add(arm.name)

        shown = self.view.arms if self.view else ()
        named = (*self.order, *(name for pair in self.contrasts for name in pair), *shown)
        if missing := [name for name in named if name not in known]:
            fault = f"the study compares {missing[0]!r}, which is no arm"
            raise VantageError(f"{fault}; there are {', '.join(sorted(known))}")
        for ours, theirs in self.answers:
            if (ours, theirs) not in self.pairs:
                fault = f"{ours!r} beside {theirs!r} is no pair that the study compares"
                raise VantageError(f"{fault}; add it to its contrasts")
        self._check_limits()

    def _check_limits(self) -> None:
        """Raise VantageError for a pair whose trials run to different limits.

        Where the study has a view, that counts them under one cap.
        """
        if self.view is not None:
            return

        for pair in self.pairs:
            for task in self.tasks:
                first, second = (trial_limits(self.settings(self.arm(name), task, 0)) for name in pair)
                if first != second:
                    raise VantageError(
                        f"trials of {pair[0]!r} and {pair[1]!r} on {task.name} end after {first[0]} and "
                        f"{second[0]} control steps; give both runs one limit, or the study a view with a cap"
                    )

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
        """What is shown first: the answers; without them the neighbours of the order; else every pair."""
        return self.answers or self.neighbours or self.pairs

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        known = ", ".join(arm.name for arm in self.arms)
        raise VantageError(f"there is no arm {name!r} in this study; there are {known}")

    def task(self, name: str) -> StudyTask | Suite:
        """The task of that name."""
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(task.name for task in self.tasks)
        raise VantageError(f"there is no task {name!r} in this study; there are {known}")

    @property
    def shared(self) -> HABCRun:
        """`base`, where there is one. Raises VantageError for a study of whole runs."""
        if self.base is None:
            raise VantageError("this study has whole runs only, which share nothing; set the study's base")
        return self.base

    @property
    def suites(self) -> tuple[str, ...]:
        """Names of the sets of starts that its arms are evaluated on."""
        runs: list[Run] = [self.base] if self.base else []
        runs += [arm.run for arm in self.arms if isinstance(arm, WholeRun)]
        return tuple(dict.fromkeys(run.evaluation.suite for run in runs))

    def ancestry(self, arm: Arm) -> tuple[Arm, ...]:
        """The arm and all it stands on, the first one first."""
        return (*self.ancestry(self.arm(arm.after)), arm) if arm.after else (arm,)

    def trains_on(self, arm: Arm) -> bool:
        """Whether another arm learns from what this one has recorded."""
        followers = [other for other in self.arms if other.after == arm.name]
        return any(not isinstance(other, Acting) or other.steering is not None for other in followers)

    def first_round(self, arm: Arm) -> int:
        """How many rounds the arm finds when it begins (0: none, round 0 included)."""
        return sum(_rounds(ancestor) for ancestor in self.ancestry(arm)[:-1])

    def gradient_steps(self, arm: Arm) -> int | None:
        """Gradient steps after the supervised checkpoint that an arm has cost, with all it stands on.

        None where the settings do not fix their number.
        """
        if isinstance(arm, WholeRun):
            return gradient_steps(arm.run)
        return sum(_updates(part) * self.fit_of(part).steps for part in self.ancestry(arm))

    def fit_of(self, arm: Arm) -> PolicyFit:
        """How long an arm trains its policy in a round, and by what."""
        return (isinstance(arm, Online) and arm.fit) or self.shared.improvement.fit

    @overload
    def settings(self, arm: Part, task: StudyTask | Suite, seed: int) -> HABCRun: ...

    @overload
    def settings(self, arm: WholeRun, task: StudyTask | Suite, seed: int) -> Run: ...

    def settings(self, arm: Arm, task: StudyTask | Suite, seed: int) -> Run:
        """What a run of this arm on this task with this seed is made by."""
        if isinstance(arm, WholeRun):
            return _placed(arm.run, task, seed)

        shared = _placed(self.shared, task, seed)
        improvement = shared.improvement
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
                return replace(
                    shared,
                    improvement=learned,
                    rollouts=arm.rollouts or shared.rollouts,
                    rescues=arm.rescues or shared.rescues,
                )

    def fingerprint(self, arm: Arm, task: StudyTask | Suite) -> str:
        """Twelve hex digits of every choice that decides a cell but its seed."""
        ancestry = self.ancestry(arm)
        chain = [brief(part) for part in ancestry]
        settings = [brief(self.settings(part, task, 0)) for part in ancestry]
        return hashlib.sha256(json.dumps([chain, settings], sort_keys=True).encode()).hexdigest()[:12]


def _placed[R: Run](run: R, task: StudyTask | Suite, seed: int) -> R:
    """A run on the worlds of a task, with a seed.

    And with the task's number of demonstrations, its demonstrator, its policy and how that is trained, where
    it has them.
    """
    supervision = run.supervision
    demonstrations = supervision.demonstrations
    if task.demonstrations is not None:
        demonstrations = replace(demonstrations, per_world=task.demonstrations)
    if isinstance(task, StudyTask):
        demonstrations = replace(demonstrations, operator=task.demonstrator or demonstrations.operator)
        supervision = replace(supervision, supervised=task.supervised or supervision.supervised)
    supervision = replace(supervision, demonstrations=demonstrations)
    return replace(
        run, worlds=task.worlds, seed=seed, supervision=supervision, policy=policy_on(task, run.policy)
    )


def policy_on(task: StudyTask | Suite, policy: PolicySpec) -> PolicySpec:
    """The policy of a task's cells: the task's own where it has one, else `policy`."""
    return (isinstance(task, StudyTask) and task.policy) or policy


def _may_follow(arm: Arm, parent: Arm) -> bool:
    """Whether `arm` finds at its parent what it begins with."""
    if isinstance(arm, Offline):
        return isinstance(parent, Gathered)
    if isinstance(arm, Acting):
        others = () if arm.steering else (Supervised, MoreSupervised)  # they have no rollouts to be led by
        return isinstance(parent, (Online, *others))
    return isinstance(parent, Supervised | Online)


def _updates(arm: Arm) -> int:
    """Fits of the study's length that an arm makes after the supervised one; 0 for a whole run, whose fits
    are its own."""
    match arm:
        case Supervised() | Gathered() | Acting() | WholeRun():
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
        case MoreSupervised() | Acting() | WholeRun():
            return 0
