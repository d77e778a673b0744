"""A teleoperator of LeRobot's (a leader arm, a gamepad) -> actions and presses of an operator by hand."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

import numpy as np
from jaxtyping import Float32

from vantage.collect.desk import Press
from vantage.errors import VantageError

_GRIPPER = "gripper"
_STAY, _OPEN = 1, 2
"""What a teleoperator that sends steps (`delta_x`) says of its gripper; 0 closes it."""


class Teleoperator:
    """One that is connected. Its numbers are the action, in its own order, clipped to the action's limits.

    Where it sends steps of the hand (`delta_x`, ...), its gripper closes to the upper limit and opens to the
    lower one, and stays where it is otherwise.
    """

    def __init__(self, kind: str, device: Any) -> None:
        """`device`: LeRobot's."""
        self.kind, self._device = kind, device
        self._names = _names(device.action_features)
        self._steps = any(name.startswith("delta_") for name in self._names)
        self._shut = False
        self._drove = False

    def check(self, low: Float32[np.ndarray, "A"]) -> None:
        """Raise VantageError where it sends another number of numbers than the action has."""
        if len(self._names) != len(low):
            raise VantageError(
                f"the teleoperator {self.kind!r} sends {len(self._names)} numbers "
                f"({', '.join(self._names)}), and the action has {len(low)} dimensions; take another one"
            )

    def action(
        self, low: Float32[np.ndarray, "A"], high: Float32[np.ndarray, "A"]
    ) -> Float32[np.ndarray, "A"]:
        """What it says now. Raises VantageError where it has become silent."""
        try:
            sent = cast(Mapping[str, Any], self._device.get_action())
            values = np.array([float(sent[name]) for name in self._names], np.float32)
        except Exception as error:  # a device's own library raises what it likes
            raise VantageError(
                f"the teleoperator {self.kind!r} sent no action ({type(error).__name__}: {error}); "
                "see whether it is connected, then give the same command again"
            ) from error

        if self._steps and _GRIPPER in self._names:
            place = self._names.index(_GRIPPER)
            if values[place] != _STAY:
                self._shut = values[place] != _OPEN
            values[place] = high[place] if self._shut else low[place]
        return np.clip(values, low, high)

    def presses(self, *, driving: bool) -> list[Press]:
        """What it says beside its action, where it can: `is_intervention` takes over and hands back,
        `terminate_episode` without success is a failure."""
        if not hasattr(self._device, "get_teleop_events"):
            return []
        events = {str(event.value): bool(on) for event, on in self._device.get_teleop_events().items()}

        pressed: list[Press] = []
        holds, held = events.get("is_intervention", False), self._drove
        self._drove = holds
        if holds and not driving:
            pressed.append(Press.TAKE_OVER)
        if held and not holds and driving:
            pressed.append(Press.HAND_BACK)
        if events.get("failure", False) or (events.get("terminate_episode") and not events.get("success")):
            pressed.append(Press.FAILED)
        return pressed


def open_teleoperator(kind: str, arguments: Mapping[str, str]) -> Teleoperator:
    """Connect it, or return the one of this process that is connected.

    Raises VantageError for a type that LeRobot does not know, for settings that it refuses, and where it
    cannot be connected.
    """
    return _connected(kind, tuple(sorted(arguments.items())))


@lru_cache(maxsize=4)
def _connected(kind: str, arguments: tuple[tuple[str, str], ...]) -> Teleoperator:
    import draccus
    import yaml
    from lerobot.teleoperators import TeleoperatorConfig, make_teleoperator_from_config
    from lerobot.utils.import_utils import register_third_party_plugins

    _know_all()
    register_third_party_plugins()
    known: dict[str, Any] = TeleoperatorConfig.get_known_choices()
    if kind not in known:
        raise VantageError(f"LeRobot has no teleoperator {kind!r}; it has {', '.join(sorted(known))}")
    try:
        settings = draccus.decode(known[kind], {name: yaml.safe_load(text) for name, text in arguments})
        device = make_teleoperator_from_config(settings)
        device.connect()
    except Exception as error:  # a device's own library raises what it likes
        raise VantageError(
            f"the teleoperator {kind!r} cannot be used ({type(error).__name__}: {error}); "
            "see its settings and whether it is connected"
        ) from error
    return Teleoperator(kind, device)


def _know_all() -> None:
    """Import the configurations that LeRobot brings, which register themselves."""
    import importlib
    import pkgutil
    from contextlib import suppress

    import lerobot.teleoperators as package

    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            with suppress(ImportError):
                importlib.import_module(f"{package.__name__}.{module.name}")


def _names(features: Mapping[str, Any]) -> list[str]:
    """The numbers of an action in their order; LeRobot writes features in two ways."""
    if "names" in features:
        names = features["names"]
        inner: Any = next(iter(names.values()), None) if isinstance(names, Mapping) else None
        return [str(name) for name in (inner if isinstance(inner, list) else cast(Iterable[Any], names))]
    return [name for name, kind in features.items() if kind in (float, int)]
