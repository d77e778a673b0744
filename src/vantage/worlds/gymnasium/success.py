"""One step of an environment -> whether the task is solved. A rule is a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vantage.bounds import check
from vantage.errors import VantageError


@dataclass(frozen=True, slots=True)
class InfoKey:
    """The environment says so itself, in the `info` of a step."""

    key: str = "is_success"

    def __call__(self, info: Mapping[str, Any], reward: float, terminated: bool) -> bool:
        """Raises VantageError where the environment says nothing under this key."""
        if self.key not in info:
            keys = ", ".join(sorted(info)) or "nothing"
            raise VantageError(
                f"the info of a step has no {self.key!r} that tells success (it has {keys}); name its key, "
                "or another rule (RewardAtLeast, Terminated, or one of your own), with success="
            )
        return bool(info[self.key])


@dataclass(frozen=True, slots=True)
class RewardAtLeast:
    """A step that is rewarded this much solves the task."""

    reward: float

    def __post_init__(self) -> None:
        """Raise `VantageError` for a reward that is no number."""
        check(self)

    def __call__(self, info: Mapping[str, Any], reward: float, terminated: bool) -> bool:
        """Whether the reward is reached."""
        return float(reward) >= self.reward


@dataclass(frozen=True, slots=True)
class Terminated:
    """The environment ends an episode when the task is solved, and never otherwise."""

    def __call__(self, info: Mapping[str, Any], reward: float, terminated: bool) -> bool:
        """Whether the episode ended."""
        return bool(terminated)


@runtime_checkable
class OwnSuccess(Protocol):
    """A rule of one's own: a frozen dataclass with this call."""

    def __call__(self, info: Mapping[str, Any], reward: float, terminated: bool) -> bool:
        """Whether the step that returned these solved the task."""
        ...


Success = InfoKey | RewardAtLeast | Terminated | OwnSuccess
"""Every kind of rule."""
