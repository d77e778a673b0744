"""What a look through a dataset finds: sentences, and how much each matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    FAILURE = "failure"
    """A later stage refuses the dataset, or would learn something wrong from it."""
    WARNING = "warning"
    """It can be learned from, and probably is not what somebody meant."""
    NOTE = "note"
    """What was left out, or could not be compared."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence."""

    level: Level
    text: str


def failure(text: str) -> Finding:
    """A finding that stops."""
    return Finding(Level.FAILURE, text)


def warning(text: str) -> Finding:
    """A finding that is worth a look."""
    return Finding(Level.WARNING, text)


def note(text: str) -> Finding:
    """A finding that is good to know."""
    return Finding(Level.NOTE, text)


def name(episodes: Sequence[int]) -> str:
    """Name one episode, or count many."""
    if len(episodes) == 1:
        return f"episode {episodes[0]}"
    return f"{len(episodes):,} episodes (first {', '.join(map(str, episodes[:3]))})"
