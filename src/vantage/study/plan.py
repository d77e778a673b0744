"""What a study compares: arms (methods), tasks, seeds, and the settings that arms share.

    sft ──┬── sft more          equal further gradient steps, demonstrations alone
          ├── habc ──┬── habc, continued        every arm plays its own rollouts
          ├── recap  └── habc+ir
          └── one set of rollouts ──┬── habc on it        every rule learns from the same data
                                    └── recap on it

    chunked PPO, 10 demonstrations                  a whole run of any algorithm, which differs from the demonstrations on
    chunked PPO, 3 demonstrations

An arm is a value. Its cell (arm, task, seed) is a pure function of the plan: it is rebuilt, with all it stands on, from nothing else.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, overload

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Staged
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.run import Run, gradient_steps
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole run of an algorithm, which stands on no other arm: for arms that differ from the demonstrations on.

    Cells whose runs agree in everything that decides round 0 share it on disk.
    """

    name: str
    run: Run
    """Everything about it; its worlds and its seed are set per cell, and its demonstrations where the task says how many."""
    after: ClassVar[str] = ""


Part = Supervised | MoreSupervised | Online | Gathered | Offline | Acting
"""Arms that are parts of an HABC run and share the study's `base`."""
Arm = Part | Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTask:
    """A world, and how many demonstrations of it the supervised policy gets."""

    world: WorldSpec
    demonstrations: Count

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def name(self) -> str:
        """What the task is called in rows and tables."""
        return self.world.task

    @property
    def worlds(self) -> tuple[WorldSpec, ...]:
        """The worlds that a policy of this task is trained and tried in."""
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
            raise VantageError(f"suite {self.name!r} has two worlds called {twice[0]!r}, whose trials could not be told apart; keep one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An arm in a table or a figure that shows only some, and what it is called there."""

    arm: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A figure of what some arms reached while they practised, by environment steps."""

    name: str
    """Of its file."""
    column: Literal["success", "length"]
    """Success on the development starts, or the control steps of successes."""
    words: str
    """Its title."""
    arms: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeView:
    """What is shown of a study whose arms practise (reinforcement learning) on trials that run to a long limit."""

    caps: tuple[Count, ...]
    """Limits under which the same trials are counted, in control steps; differences are taken under the first."""
    counted: tuple[str, ...] = ()
    """Arms whose trials are also counted under the limits by which others report."""
    paced: tuple[str, ...] = ()
    """Arms of which is shown how near they drive to the speed limit of the arm."""
    title: str = ""
    """What the arms of the short table have in common."""
    short: tuple[Shown, ...] = ()
    """The arms of the short table."""
    curves: tuple[Curves, ...] = ()

    def __post_init__(self) -> None:
        """Raise VantageError for numbers out of their bounds, and for no caps."""
        check(self)
        if not self.caps:
            raise VantageError("the view of a study needs a cap under which its trials are counted; name one")

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm that is named."""
        shown = (*self.short, *(arm for curves in self.curves for arm in curves.arms))
        return (*self.counted, *self.paced, *(one.arm for one in shown))


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The whole comparison; its JSON form is study.json."""

    base: HABCRun | None = None
    """What all arms but the `Whole` ones share; its worlds and its seed are set per cell. None where every arm is a `Whole` one."""
    tasks: tuple[StudyTask | Suite, ...]
    arms: tuple[Arm, ...]
    order: tuple[str, ...] = ()
    """Arms whose neighbours are compared, from the one expected to be worst."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Further pairs to compare: (ours, theirs)."""
    view: PracticeView | None = None
    """What is shown beside the differences, where the arms practise."""

    def __post_init__(self) -> None:
        """Raise VantageError for arms that stand on nothing, and for names that mean two things."""
        names = [name for task in self.tasks for name in {task.name, *(world.task for world in task.worlds)}]
        if twice := [name for name in names if names.count(name) > 1]:
            raise VantageError(f"two tasks of the study have something called {twice[0]!r}; give each task its own worlds and name")

        known: set[str] = set()
        for arm in self.arms:
            if self.base is None and not isinstance(arm, Whole):
                raise VantageError(f"arm {arm.name!r} is part of a run that the study does not have; set the study's base")
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
        named = (*self.order, *(name for pair in self.contrasts for name in pair), *(self.view.arms if self.view else ()))
        if missing := [name for name in named if name not in known]:
            raise VantageError(f"the study compares {missing[0]!r}, which is no arm; there are {', '.join(sorted(known))}")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Everything that is compared: neighbours first."""
        neighbours = tuple((ours, theirs) for theirs, ours in itertools.pairwise(self.order))
        return (*neighbours, *(pair for pair in self.contrasts if pair not in neighbours))

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise VantageError(f"there is no arm {name!r} in this study; there are {', '.join(a.name for a in self.arms)}")

    def task(self, name: str) -> StudyTask | Suite:
        """The task of that name."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise VantageError(f"there is no task {name!r} in this study; there are {', '.join(task.name for task in self.tasks)}")

    @property
    def shared(self) -> HABCRun:
        """`base`, where there is one. Raises VantageError for a study of whole runs."""
        if self.base is None:
            raise VantageError("this study has whole runs only and nothing that they share; set the study's base")
        return self.base

    @property
    def suites(self) -> tuple[str, ...]:
        """Names of the sets of starts that its arms are tried on."""
        runs = (*((self.base,) if self.base else ()), *(arm.run for arm in self.arms if isinstance(arm, Whole)))
        return tuple(dict.fromkeys(run.evaluation.suite for run in runs))

    def ancestry(self, arm: Arm) -> tuple[Arm, ...]:
        """The arm and all it stands on, the first one first."""
        return (*self.ancestry(self.arm(arm.after)), arm) if arm.after else (arm,)

    def trains_on(self, arm: Arm) -> bool:
        """Whether another arm learns from what this one has recorded."""
        return any(each.after == arm.name and not isinstance(each, Acting) for each in self.arms)

    def first_round(self, arm: Arm) -> int:
        """How many rounds the arm finds when it begins (0: none, round 0 included)."""
        return sum(_rounds(each) for each in self.ancestry(arm)[:-1])

    def gradient_steps(self, arm: Arm) -> int | None:
        """Gradient steps after the supervised checkpoint that an arm has cost, with all it stands on; None where nobody knows."""
        if isinstance(arm, Whole):
            return gradient_steps(arm.run)
        return sum(_updates(each) * self.fit_of(each).steps for each in self.ancestry(arm))

    def fit_of(self, arm: Arm) -> PolicyFit:
        """How long an arm trains its policy in a round, and by what."""
        return (isinstance(arm, Online) and arm.fit) or self.shared.improvement.fit

    @overload
    def settings(self, arm: Part, task: StudyTask | Suite, seed: int) -> HABCRun: ...

    @overload
    def settings(self, arm: Whole, task: StudyTask | Suite, seed: int) -> Run: ...

    def settings(self, arm: Arm, task: StudyTask | Suite, seed: int) -> Run:
        """What a run of this arm on this task with this seed is made by."""
        if isinstance(arm, Whole):
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
                return replace(shared, improvement=learned, rollouts=arm.rollouts or shared.rollouts)

    def fingerprint(self, arm: Arm, task: StudyTask | Suite) -> str:
        """Twelve hex digits of every choice that decides a cell but its seed."""
        chain = [brief(each) for each in self.ancestry(arm)]
        settings = [brief(self.settings(each, task, 0)) for each in self.ancestry(arm)]
        return hashlib.sha256(json.dumps([chain, settings], sort_keys=True).encode()).hexdigest()[:12]


def _placed[R: Run](run: R, task: StudyTask | Suite, seed: int) -> R:
    """A run on the worlds of a task, with a seed, and with as many demonstrations as the task says, where it does."""
    supervision = run.supervision
    if task.demonstrations is not None:
        demonstrations = replace(supervision.demonstrations, per_world=task.demonstrations)
        supervision = replace(supervision, demonstrations=demonstrations)
    return replace(run, worlds=task.worlds, seed=seed, supervision=supervision)


def _may_follow(arm: Arm, parent: Arm) -> bool:
    """Whether `arm` finds at its parent what it begins with."""
    return isinstance(parent, Gathered) if isinstance(arm, Offline) else isinstance(parent, Supervised | Online)


def _updates(arm: Arm) -> int:
    """Fits of the study's length that an arm makes after the supervised one; none for a whole run, whose fits are its own."""
    match arm:
        case Supervised() | Gathered() | Acting() | Whole():
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
        case MoreSupervised() | Acting() | Whole():
            return 0
