"""Who drives next: a pure table `(phase, event) -> phase`, and nothing else."""

from enum import StrEnum
from types import MappingProxyType


class Phase(StrEnum):
    """Who is driving."""

    AUTONOMOUS = "autonomous"
    """The policy drives and nobody worries."""
    REACTING = "reacting"
    """The policy drives; the operator has seen trouble and reaches for the controls."""
    CORRECTING = "correcting"
    """The human drives."""


class Event(StrEnum):
    """What the operator noticed before this control step."""

    TROUBLE = "trouble"
    """The policy is stuck, dropped something, or runs out of time."""
    CLEARED = "cleared"
    """The policy got going again before the operator took over."""
    TAKE_OVER = "take_over"
    """The operator's hands are on the controls."""
    HAND_BACK = "hand_back"
    """The operator lets go; the policy shall finish."""
    FAILED = "failed"
    """The operator says that this attempt has failed: the episode ends. Nothing changes in who drives."""


TABLE = MappingProxyType(
    {
        (Phase.AUTONOMOUS, Event.TROUBLE): Phase.REACTING,
        (Phase.REACTING, Event.CLEARED): Phase.AUTONOMOUS,
        (Phase.REACTING, Event.TAKE_OVER): Phase.CORRECTING,
        (Phase.AUTONOMOUS, Event.TAKE_OVER): Phase.CORRECTING,
        (Phase.CORRECTING, Event.HAND_BACK): Phase.AUTONOMOUS,
    }
)


def next_phase(phase: Phase, event: Event | None) -> Phase:
    """The phase after an event; a pair that is not in the table changes nothing."""
    return phase if event is None else TABLE.get((phase, event), phase)


def human_drives(phase: Phase) -> bool:
    """Whether this control step counts as an intervention."""
    return phase is Phase.CORRECTING
