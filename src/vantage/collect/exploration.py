"""How rollouts leave what the policy does by itself: other noise, other chunk lengths, other beginnings.

    noises     episodes take turns in acting from noise of one of several scales
    executes   and in executing so many steps of a chunk before the next prediction
    starts     where an episode begins

All of it is the rollouts' alone: the policy is trained and evaluated as before.
"""

from dataclasses import dataclass

from vantage.bounds import Count, NotNegative, Share, check


@dataclass(frozen=True, slots=True)
class AnyStart:
    """Where the world begins at the episode's own seed."""


@dataclass(frozen=True, slots=True)
class DoubtfulStart:
    """The most doubtful of several starts, whose viability is nearest to one half.

    The critic of the round before is asked; where there is none yet (the first round) any start is played.
    """

    candidates: Count = 4
    """Starts that are drawn for every episode."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class BeforeFailure:
    """Some episodes begin in the middle of one in which the policy of the round before failed alone.

    Its actions are played again from its start until the last moment at which its critic still held success
    for possible, or, where no critic has judged it, until any moment; from there the policy goes on. For
    simulators, which play the same episode again. The recorded episode begins where the policy does: what was
    played again is neither credited nor imitated twice. In the first round there are none.
    """

    share: Share = 0.5
    """Of the episodes."""
    viable: Share = 0.5
    """The least viability at which an episode is gone on with."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


Starts = AnyStart | DoubtfulStart | BeforeFailure
"""Where episodes begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What rollouts try beside what the policy does by itself; as it stands: nothing."""

    noises: tuple[NotNegative, ...] = ()
    """Scales of the noise that the flow acts from: the episodes of a world take turns, so that every scale
    has as many; none: one scale, `Rollouts.noise`."""
    executes: tuple[Count, ...] = ()
    """Steps executed of a chunk, also in turns; none: what the policy's checkpoint says."""
    starts: Starts = AnyStart()

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def noise(self, turn: int) -> float | None:
        """Of the episode whose turn it is in its world (0, 1, ...); None: `Rollouts.noise`."""
        return self.noises[turn % len(self.noises)] if self.noises else None

    def execute(self, turn: int) -> int | None:
        """Of that episode; None: as the policy says.

        It changes when all noises have had their turn, so that every pair of the two is played.
        """
        return self.executes[turn // max(len(self.noises), 1) % len(self.executes)] if self.executes else None
