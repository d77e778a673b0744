"""Whether a class that somebody brings can be settings: what it must be, and what its fields may hold."""

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from vantage.config import classes_of, from_json, is_protocol, offered, to_json
from vantage.errors import VantageError


def check_own_class(kind: Any, name: str, protocol: type[Any] | None = None) -> type[Any]:
    """The class that somebody brings as settings, where it is one; it is called `name` in errors.

    Raises VantageError for anything but a frozen dataclass whose fields a file can hold, and for one that has
    not all that `protocol` names.
    """
    if not isinstance(kind, type):
        raise VantageError(f"{name} is of type {type(kind).__name__}; name a class, a frozen dataclass")
    parameters = getattr(kind, "__dataclass_params__", None) if dataclasses.is_dataclass(kind) else None
    if "__dataclass_fields__" not in kind.__dict__ or not (parameters and parameters.frozen):
        raise VantageError(f"{name} is no frozen dataclass; write @dataclass(frozen=True) above the class")

    wanted = offered(protocol) if protocol else set[str]()
    missing = wanted - offered(kind)
    if protocol and "__call__" in missing:
        raise VantageError(f"{name} cannot be called; give it the method {_signature(protocol)}")
    if protocol and missing:
        raise VantageError(
            f"{name} has no {' and no '.join(sorted(missing))}; it needs {' and '.join(_needs(wanted))}"
        )
    _check_own_fields(kind, name)
    return kind


def _signature(protocol: type[Any]) -> str:
    """How a protocol is called, as its method is written."""
    signature = inspect.signature(protocol.__call__)
    parameters = ", ".join(signature.parameters)
    return f"__call__({parameters})"


def _needs(wanted: set[str]) -> list[str]:
    """What a class must have, in words."""
    return [*sorted(wanted - {"__call__"}), *(["a call"] if "__call__" in wanted else [])]


def _check_own_fields(kind: type[Any], name: str) -> None:
    """Raise VantageError for a field that a file could not hold, or whose type cannot be read."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception as error:
        raise VantageError(
            f"the types of the fields of {name} cannot be read ({type(error).__name__}: {error}); "
            "import what they name"
        ) from error
    for field in dataclasses.fields(kind):
        if not field.init:
            raise VantageError(
                f"{name}.{field.name} is a field that is not given (init=False); make it a property"
            )
        if not _is_kept(hints[field.name]):
            words = _type_in_words(hints[field.name])
            raise VantageError(
                f"{name}.{field.name} is of type {words}, which no file of settings can hold; "
                "make it a number, a text, a path, a tuple of these or a frozen dataclass"
            )


def _is_kept(hint: Any) -> bool:
    """Whether `to_json` and `from_json` together keep values of a type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _is_kept(inner[0])
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType, tuple):
        return all(part is Ellipsis or _is_kept(part) for part in inner)
    if origin in (dict, Mapping):
        return inner[0] is str and _is_kept(inner[1])
    if dataclasses.is_dataclass(hint) or is_protocol(hint):
        return True
    if hint in (types.NoneType, None, bool, int, float, str, Path):
        return True
    return isinstance(hint, type) and issubclass(hint, Enum)


def _type_in_words(hint: Any) -> str:
    """A type as it is written."""
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


def check_kept(value: Any, name: str) -> None:
    """Raise VantageError where a file could not hold a value of a class of one's own; it is called `name` in
    errors."""
    try:
        written = json.loads(json.dumps(to_json(value), allow_nan=False))
        kept = to_json(from_json(type(value), written, name, classes_of(value))) == written
    except (TypeError, ValueError) as error:
        raise VantageError(
            f"{name} holds what no file of settings can ({error}); give its fields values of their types"
        ) from error
    if not kept:
        raise VantageError(
            f"{name} is another when it is read from a file again; keep its fields as they are given"
        )
