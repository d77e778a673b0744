"""What a study shows beside its differences where its arms practise: limits, tables and figures."""

from dataclasses import dataclass
from typing import Literal

from vantage.bounds import Count, check
from vantage.types import VantageError


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
    """What is shown of a study whose arms practise (reinforcement learning) and are evaluated by trials that
    run to a long limit."""

    caps: tuple[Count, ...]
    """Limits in control steps under which the same trials are counted; differences are taken under the
    first."""
    counted: tuple[str, ...] = ()
    """Arms whose trials are also counted under the limits by which others report."""
    paced: tuple[str, ...] = ()
    """Arms whose table shows how near they drive the robot to its speed limit."""
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
