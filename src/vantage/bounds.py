"""What the numbers among settings may be, and the check of it.

The bounds of a number stand beside its field, and are checked when the settings are made, whoever makes them:

    steps: Count = 600
    share: Share = 0.5

    def __post_init__(self) -> None:
        check(self)
"""

import dataclasses
import functools
import math
import reprlib
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Union

from vantage.errors import VantageError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be; a note beside a type, as in `Annotated[int, Bounds(least=1)]`."""

    least: float | None = None
    """The smallest value."""
    most: float | None = None
    """The largest value."""
    above: float | None = None
    """Every value is larger than this."""
    below: float | None = None
    """Every value is smaller than this."""

    def allow(self, value: float) -> bool:
        """Whether a number lies within."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """``at least 1``, ``above 0 and at most 1``; empty where everything is allowed."""
        words = {"above": self.above, "at least": self.least, "below": self.below, "at most": self.most}
        return " and ".join(f"{word} {value:g}" for word, value in words.items() if value is not None)


Count = Annotated[int, Bounds(least=1)]
"""1, 2, 3 ..."""
Whole = Annotated[int, Bounds(least=0)]
"""0, 1, 2 ..."""
Passes = Annotated[int, Bounds(least=1, most=1000)]
"""Passes through a network for one action: more is a mistake, and would never end."""
Share = Annotated[float, Bounds(least=0, most=1)]
"""A part of a whole, or a probability."""
Decay = Annotated[float, Bounds(least=0, below=1)]
"""What an average keeps of itself in one step."""
Positive = Annotated[float, Bounds(above=0)]
"""A rate, a scale, a unit."""
NotNegative = Annotated[float, Bounds(least=0)]
"""A price, a weight, a scale that may be off."""


def check(settings: Any) -> None:
    """Check every number of a dataclass against the bounds beside its field; call it in `__post_init__`.

    Raises VantageError for a number out of its bounds, for NaN and infinity, and for what is no number at
    all.
    """
    kind = type(settings)
    for name, (hint, bounds) in _numbers(kind).items():
        value = getattr(settings, name)
        for number in typing.cast(tuple[Any, ...], value) if isinstance(value, tuple) else (value,):
            if number is not None:
                _check_number(f"{kind.__name__}.{name}", number, hint, bounds)


def _check_number(name: str, value: Any, hint: type[Any], bounds: Bounds) -> None:
    fits = isinstance(value, int) or (hint is float and isinstance(value, float))
    if isinstance(value, bool) or not fits:
        raise VantageError(f"{name} is {short(value)}; it must be {'a whole' if hint is int else 'a'} number")
    if not math.isfinite(value):
        wanted = f"a finite number, {bounds}" if str(bounds) else "a finite number"
        raise VantageError(f"{name} is {short(value)}; it must be {wanted}")
    if not bounds.allow(value):
        raise VantageError(f"{name} is {short(value)}; it must be {bounds}")


@functools.cache
def _numbers(kind: type[Any]) -> dict[str, tuple[type[Any], Bounds]]:
    """Field -> int or float, and its bounds; also for tuples of numbers and for numbers that may be None."""
    hints = typing.get_type_hints(kind, include_extras=True)
    numbers = {field.name: _number(hints[field.name]) for field in dataclasses.fields(kind)}
    return {name: number for name, number in numbers.items() if number is not None}


def _number(hint: Any) -> tuple[type[Any], Bounds] | None:
    """int or float, and the bounds, of a type of numbers of one kind; None for any other type."""
    if hint is int or hint is float:
        return hint, Bounds()

    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        number = _number(inner[0])
        bounds = next((note for note in inner[1:] if isinstance(note, Bounds)), None)
        return number and (number[0], bounds or number[1])

    if origin in (tuple, Union, types.UnionType):
        options = [option for option in inner if option not in (types.NoneType, Ellipsis)]
        numbers = [_number(option) for option in options]
        return numbers[0] if numbers and all(number == numbers[0] for number in numbers) else None

    return None


def bounds_in_words(hint: Any) -> str:
    """What a number of a type may be (``at least 1``); empty where any may, and for what is no number."""
    number = _number(hint)
    return str(number[1]) if number else ""


def short(value: Any) -> str:
    """A value as text that fits into a sentence, however large or deep it is."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr(maxlevel=2, maxstring=80, maxother=80)
