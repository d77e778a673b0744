"""How a policy practises: what is played, what it learns by, what is cloned, and when it is checked."""

from dataclasses import dataclass

from vantage.bounds import Count, NotNegative, Share, Whole, check
from vantage.core.self_bc import SelfBCRule, SuccessBC
from vantage.practice.buffer import BufferRule
from vantage.practice.ppo import PPOFit


@dataclass(frozen=True, slots=True)
class OperatorLead:
    """A curriculum of starts: the demonstrator drives first, from any start, and the policy takes over where
    success is nearer."""

    share: Share = 0.5
    """Share of a task's episodes that are led, times 1 - its running success."""
    steps: Count = 60
    """Longest lead; each is drawn between 1 and this, in control steps."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class ReplayedLead:
    """A curriculum of starts that asks nobody: a recorded demonstration is replayed from its own start up to
    some frame of it, and the policy takes over there."""

    share: Share = 0.5
    """Share of a task's episodes that are led, times 1 - its running success."""
    steps: Count = 100
    """Longest lead; each is drawn between 1 and this, or the frame before the demonstration's last one."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class Play:
    """How an iteration gathers experience."""

    episodes: Count = 120
    """Episodes per iteration, over all tasks."""
    limit: Count = 150
    """Control steps before an unsolved episode ends as a failure."""
    floor: Share = 0.3
    """Tasks are drawn in proportion to max(floor, 1 - running success)."""
    memory: Share = 0.9
    """Decay of the running success rate, per iteration."""
    side_by_side: Count = 30
    """Episodes that one process plays together."""
    lead: OperatorLead | ReplayedLead | None = None
    """Begin some episodes of tasks that hardly ever succeed nearer to their goal; None: never."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class Checks:
    """Trials on the way, on development starts: they choose the checkpoint that is kept, and nothing else."""

    every: Count = 100_000
    """Environment steps between checks."""
    per_world: Count = 20
    limit: Count = 200
    alarm: NotNegative = 0.08
    """Say aloud when success falls by so much below its best."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class Practice:
    """Reinforcement learning in simulation: play, learn, clone, check, again."""

    steps: Whole = 2_000_000
    """Environment steps; the iteration that passes it is the last. 0: no practice, and the supervised policy
    is the result."""
    play: Play = Play()
    fit: PPOFit = PPOFit()
    self_bc: SelfBCRule = SuccessBC()
    """The weight of cloning the policy's own best trials."""
    buffer: BufferRule = BufferRule()
    """Which trials are cloned."""
    checks: Checks = Checks()

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)
