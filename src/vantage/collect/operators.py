"""Operators: who may take the controls from the policy, when, and what they do with them.

A setting (`NoOne`, `Demonstrate`, `Rescue`; with an expert of one's own `DemonstrateWith`, `RescueWith`;
for a person `DemonstrateByHand`, `RescueByHand`) builds, for one episode, an `Operator` that watches every
control step, says what it notices, and acts while it drives. Scripted operators may look at the world's true
state; the policy never does. `DemonstrateFrom` drives nothing: it names a data set of demonstrations.
"""

import reprlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32

from vantage.bounds import Count, NotNegative, Positive, Share, Whole, check
from vantage.collect.by_hand import DemonstrateByHand, RescueByHand
from vantage.collect.handover import Event, Phase
from vantage.data.named import episodes_named
from vantage.errors import VantageError, own_code
from vantage.seeding import seed_for
from vantage.worlds.experts import Expert, expert_for
from vantage.worlds.metaworld.experts import CLEAN, DEMONSTRATOR, RESCUER, Style


@runtime_checkable
class Operator(Protocol):
    """One operator in one episode."""

    def watch(self, phase: Phase, t: int, state: Float32[np.ndarray, "E"]) -> Event | None:
        """What the operator notices before control step t."""
        ...

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        """The operator's action; called only while the human drives."""
        ...


class _Absent:
    def watch(self, phase: Phase, t: int, state: Float32[np.ndarray, "E"]) -> Event | None:
        return None

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        raise AssertionError("nobody is at the controls")


@dataclass(frozen=True, slots=True)
class NoOne:
    """The policy is alone."""

    @property
    def extension(self) -> int:
        """Steps that human time may add to an episode's limit."""
        return 0

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """An operator who never comes."""
        return _Absent()


@dataclass(frozen=True, slots=True)
class Demonstrate:
    """A human drives from the first step to the last: human-like, or clean (no pauses, no noise)."""

    clean_share: Share = 0.0
    """Share of episodes driven without imperfections."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    @property
    def extension(self) -> int:
        """Human time is the whole episode here and adds nothing."""
        return 0

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """A demonstrator for one episode."""
        return _Demonstrator(task, rng, CLEAN if rng.random() < self.clean_share else DEMONSTRATOR)


@dataclass(frozen=True, slots=True)
class DemonstrateFrom:
    """Nobody drives: the demonstrations are episodes of a LeRobotDataset, recorded by a person or by whatever
    wrote it. Of each world the first ones are taken whose task is the world's prompt."""

    dataset: Path
    """Folder of the data set."""
    episodes: str = field(default="all", kw_only=True)
    """Which of its episodes, such as ``0-4,9``."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for words that name no episodes."""
        if not episodes_named(self.episodes, "DemonstrateFrom.episodes"):
            raise VantageError("DemonstrateFrom.episodes names no episode; write all, or numbers as in 0-4,9")

    @property
    def extension(self) -> int:
        """Nothing is added to the limit."""
        return 0

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """Raises VantageError: what was recorded cannot drive."""
        raise VantageError(
            f"the episodes in {self.dataset} are recorded, and cannot drive {task}; name another operator"
        )


@runtime_checkable
class Driver(Protocol):
    """Who can do a task from any state, in one episode."""

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        """The action in this state, the world's true one."""
        ...

    def progress(self, state: Float32[np.ndarray, "E"]) -> float:
        """Stages done, and the share done of this one: it grows towards success. Only a rescuer asks."""
        ...


@runtime_checkable
class OwnExpert(Protocol):
    """An expert of one's own for one task: a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, rng: np.random.Generator) -> Driver:
        """The driver of one episode; whatever differs between episodes comes from `rng`."""
        ...


@dataclass(frozen=True, slots=True)
class DemonstrateWith:
    """An expert of one's own drives from the first step to the last."""

    expert: OwnExpert

    @property
    def extension(self) -> int:
        """Nothing is added to the limit."""
        return 0

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """A demonstrator for one episode."""
        return _Driven(self.expert(rng))


class _Driven:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def watch(self, phase: Phase, t: int, state: Float32[np.ndarray, "E"]) -> Event | None:
        return Event.TAKE_OVER if phase is not Phase.CORRECTING else None

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        return self._driver.act(state)


class _Demonstrator:
    def __init__(self, task: str, rng: np.random.Generator, style: Style) -> None:
        self._expert = expert_for(task)
        self._expert.reset(rng, style)

    def watch(self, phase: Phase, t: int, state: Float32[np.ndarray, "E"]) -> Event | None:
        return Event.TAKE_OVER if phase is not Phase.CORRECTING else None

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        return self._expert.act(state)


@dataclass(frozen=True, slots=True)
class DemonstrateStock:
    """MetaWorld's own scripted policy drives from the first step to the last."""

    @property
    def extension(self) -> int:
        """Nothing is added to the limit."""
        return 0

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """A demonstrator for one episode."""
        return _StockDemonstrator(task)


class _StockDemonstrator:
    def __init__(self, task: str) -> None:
        # The simulator is an extra, and slow to import.
        from vantage.worlds.metaworld.experts.stock import StockExpert

        self._expert = StockExpert(task)

    def watch(self, phase: Phase, t: int, state: Float32[np.ndarray, "E"]) -> Event | None:
        return Event.TAKE_OVER if phase is not Phase.CORRECTING else None

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        return self._expert.act(state)


@dataclass(frozen=True, slots=True)
class Rescue:
    """A human stands by and rescues a policy in trouble.

    Source: docs/habc.md, 17; the paper's Appendix E, where about half of the failures were rescued.
    """

    permission: Share = 0.5
    """Probability, drawn per episode, that the operator may act at all."""
    stuck_after: Count = 40
    """Control steps without new progress that count as stuck."""
    drop: Positive = 0.9
    """Progress lost (in stages) that counts as dropped."""
    late_at: NotNegative = 0.75
    """Share of the limit after which an unfinished episode is running out of time."""
    reaction: tuple[Whole, Whole] = (5, 15)
    """Delay between trouble and taking over, in control steps, drawn evenly (ends included)."""
    hand_back: Share = 0.35
    """Probability, drawn per take-over, that control goes back once a further stage is reached; else the
    operator finishes."""
    hold: Whole = 12
    """Least control steps at the controls."""
    at_most: Whole = 3
    """Take-overs per episode."""
    extension: Whole = 120
    """Steps that human time may add to an episode's limit."""
    actions: tuple[Whole, ...] = ()
    """Action dimensions, by number, that the operator commands while at the controls, such as those of one
    arm of two; the policy goes on commanding the others. Empty: all."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds, and for an action dimension named twice."""
        check(self)
        if self.reaction[0] > self.reaction[1]:
            fastest, slowest = self.reaction
            raise VantageError(f"Rescue.reaction is {fastest} to {slowest}; name the shorter delay first")
        if twice := [number for number in self.actions if self.actions.count(number) > 1]:
            raise VantageError(f"Rescue.actions names action dimension {twice[0]} twice; name it once")

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """An operator for one episode."""
        if rng.random() >= self.permission:
            return _Absent()
        expert = expert_for(task)
        expert.reset(rng, RESCUER)
        return _Rescuer(self, expert, limit, rng)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueWith(Rescue):
    """An expert of one's own stands by, with the timing of `Rescue`, whose numbers are those of 80 Hz."""

    expert: OwnExpert

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """An operator for one episode."""
        if rng.random() >= self.permission:
            return _Absent()
        return _Rescuer(self, self.expert(rng), limit, rng)


@runtime_checkable
class OwnOperator(Protocol):
    """What an operator of one's own must offer: a frozen dataclass in a file that the command line or a
    script names."""

    @property
    def extension(self) -> int:
        """Steps that human time may add to an episode's limit."""
        ...

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> Operator:
        """The operator of one episode; `limit` in control steps."""
        ...


ByHand = DemonstrateByHand | RescueByHand
"""A person, who sits in front of this process."""

Demonstrator = Demonstrate | DemonstrateStock | DemonstrateFrom | DemonstrateWith | DemonstrateByHand
"""Who drives every step of an episode: the policy has no part in it."""
Bystander = NoOne | Rescue | RescueWith | RescueByHand
"""Who stands by while the policy drives."""

OperatorSpec = (
    NoOne
    | Demonstrate
    | DemonstrateStock
    | DemonstrateFrom
    | Rescue
    | DemonstrateWith
    | RescueWith
    | ByHand
    | OwnOperator
)
"""Every kind of operator."""

Rescues = Literal["all", "half", "none"]
"""In which rollouts the operator of a run stands by: in every one, in each with probability one half, or in
none."""


def operator_of(operator: OperatorSpec, rescues: Rescues, episode_seed: int) -> OperatorSpec:
    """Who stands by in the episode of that seed: the run's operator, or nobody.

    With "half" the episode's seed decides, by a draw of its own: where the operator stands by, the episode is
    the same as with "all", and elsewhere the same as with "none".
    """
    match rescues:
        case "all":
            return operator
        case "half":
            stands_by = np.random.default_rng(seed_for("rescues", episode_seed)).random() < 0.5
            return operator if stands_by else NoOne()
        case "none":
            return NoOne()


def begin(operator: OperatorSpec, task: str, limit: int, rng: np.random.Generator) -> Operator:
    """The operator of one episode.

    Raises VantageError where one of one's own is none, or may add no number of steps to an episode.
    """
    with own_code():
        extension = cast(object, operator.extension)
        begun = cast(object, operator(task, limit, rng))
    name = type(operator).__name__
    if isinstance(extension, bool) or not isinstance(extension, int | np.integer) or extension < 0:
        raise VantageError(
            f"{name}.extension is {extension!r}; it must be a whole number of control steps, or 0"
        )
    if missing := [method for method in ("watch", "act") if not hasattr(begun, method)]:
        raise VantageError(
            f"{name}, when it was called, returned {_SHORT.repr(begun)}, which has no "
            f"{' and no '.join(missing)}; return an Operator, with watch(phase, t, state) and act(state)"
        )
    return cast(Operator, begun)


def noticed_by(
    begun: Operator, operator: OperatorSpec, phase: Phase, t: int, state: Float32[np.ndarray, "E"]
) -> Event | None:
    """What the operator of an episode notices before control step t.

    Raises VantageError where one of one's own says what is no event.
    """
    with own_code():
        event = cast(object, begun.watch(phase, t, state))
    if event is not None and not isinstance(event, Event):
        raise VantageError(
            f"the operator of {type(operator).__name__} noticed {event!r} at control step {t}; "
            f"return one of {', '.join(f'Event.{one.name}' for one in Event)}, or None"
        )
    return event


def action_of(
    begun: Operator, operator: OperatorSpec, state: Float32[np.ndarray, "E"], action_dim: int
) -> Float32[np.ndarray, "A"]:
    """The action of the operator of an episode, which drives.

    Raises VantageError where one of one's own returns what is no action of the world.
    """
    with own_code():
        action = begun.act(state)
    if not _is_action(action, action_dim):
        raise VantageError(
            f"the operator of {type(operator).__name__} acts with {_SHORT.repr(action)}; "
            f"return an array of {action_dim} finite numbers"
        )
    return action


def _is_action(value: object, action_dim: int) -> bool:
    """Whether a value is finite numbers, one for each action dimension."""
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return False
    return numbers.shape == (action_dim,) and bool(np.isfinite(numbers).all())


_SHORT = reprlib.Repr(maxother=80)


def commanded_by(operator: OperatorSpec, action_dim: int) -> Bool[np.ndarray, "A"]:
    """Which of the A action dimensions an operator commands while at the controls."""
    if not (isinstance(operator, Rescue) and operator.actions):
        return np.ones(action_dim, np.bool_)
    commanded = np.zeros(action_dim, np.bool_)
    commanded[list(operator.actions)] = True
    return commanded


class _Rescuer:
    def __init__(self, spec: Rescue, expert: Driver, limit: int, rng: np.random.Generator) -> None:
        self._spec, self._rng, self._late = spec, rng, spec.late_at * limit
        self._expert = expert
        self._best, self._since = -np.inf, 0
        self._take_over_at = self._took_over = 0
        self._stage = 0
        self._gives_back = False
        self._left = spec.at_most

    def watch(self, phase: Phase, t: int, state: Float32[np.ndarray, "E"]) -> Event | None:
        progress = float(self._expert.progress(state))
        gained = progress > self._best + 0.02
        if gained:
            self._best, self._since = progress, t

        match phase:
            case Phase.AUTONOMOUS:
                return self._watch_policy(t, progress)
            case Phase.REACTING:
                return self._reach_for_controls(t, state, gained)
            case Phase.CORRECTING:
                return self._watch_own_work(t, state, progress)

    def _watch_policy(self, t: int, progress: float) -> Event | None:
        stuck = t - self._since >= self._spec.stuck_after
        dropped = progress < self._best - self._spec.drop
        if self._left == 0 or not (stuck or dropped or t >= self._late):
            return None
        low, high = self._spec.reaction
        self._take_over_at = t + int(self._rng.integers(low, high + 1))
        return Event.TROUBLE

    def _reach_for_controls(self, t: int, state: Float32[np.ndarray, "E"], gained: bool) -> Event | None:
        if gained and t < self._late:
            return Event.CLEARED
        if t < self._take_over_at:
            return None

        self._left -= 1
        self._took_over = t
        self._stage = self._stage_of(state)
        self._gives_back = bool(self._rng.random() < self._spec.hand_back)
        return Event.TAKE_OVER

    def _watch_own_work(self, t: int, state: Float32[np.ndarray, "E"], progress: float) -> Event | None:
        further = self._stage_of(state) > self._stage
        if self._gives_back and further and t - self._took_over >= self._spec.hold:
            self._best, self._since = progress, t
            self._late = max(self._late, t + 1.0 * self._spec.stuck_after)
            return Event.HAND_BACK
        return None

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        return self._expert.act(state)

    def _stage_of(self, state: Float32[np.ndarray, "E"]) -> int:
        """Whole stages done."""
        match self._expert:
            case Expert():
                return int(self._expert.stage(state))
            case _:
                return int(self._expert.progress(state))
