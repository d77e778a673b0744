"""Settings are frozen dataclasses; here they become JSON and come back, losing nothing.

Every dataclass carries its name under "is", so that a union says which of its members was meant, and a file can be read by people.
"""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, Union

from vantage.types import VantageError


def to_json(value: Any) -> Any:
    """A setting as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_json(v) for v in typing.cast(list[Any], value)]
    if isinstance(value, Path):
        return str(value)
    return value


def brief(value: Any) -> Any:
    """`to_json` without the fields that stand at their default: what was chosen, which stays the same when a setting is added."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        chosen = [f for f in dataclasses.fields(value) if f.default is dataclasses.MISSING or getattr(value, f.name) != f.default]
        return {"is": type(value).__name__, **{f.name: brief(getattr(value, f.name)) for f in chosen}}
    if isinstance(value, tuple | list):
        return [brief(v) for v in typing.cast(list[Any], value)]
    return to_json(value)


def from_json[T](kind: type[T], data: Any, where: str = "settings") -> T:
    """The setting of type `kind` that `to_json` wrote. Raises VantageError naming the field that does not fit."""
    return _read(kind, data, where)


def _read(kind: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, data, where)
    if origin is tuple:
        if not isinstance(data, list):
            raise VantageError(f"{where}: expected a list, found {data!r}")
        items = typing.cast(list[Any], data)
        kinds = [arguments[0]] * len(items) if arguments[-1] is Ellipsis else list(arguments)
        return tuple(_read(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, items, strict=True)))
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast(type[Any], kind), data, where)
    return _read_plain(kind, data, where)


def _read_plain(kind: type[Any], data: Any, where: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if kind is Path:
        return Path(str(data))
    if kind is not Any and (not isinstance(data, kind) or (kind is int and isinstance(data, bool))):
        raise VantageError(f"{where}: expected {kind.__name__}, found {data!r}")
    return data


def _read_union(arguments: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in arguments:
        return None
    if isinstance(data, dict):
        name = typing.cast(dict[str, Any], data).get("is")
        for kind in arguments:
            if getattr(kind, "__name__", None) == name:
                return _read(kind, data, where)
        known = ", ".join(k.__name__ for k in arguments if k is not type(None))
        raise VantageError(f"{where}: {name!r} is none of {known}")
    plain = [k for k in arguments if k is not type(None) and not dataclasses.is_dataclass(k)]
    if len(plain) != 1:
        raise VantageError(f"{where}: {data!r} does not fit")
    return _read(plain[0], data, where)


def _read_dataclass(kind: type[Any], data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise VantageError(f"{where}: expected the settings of {kind.__name__}, found {data!r}")
    given = typing.cast(dict[str, Any], data)
    hints = typing.get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(given) - names - {"is"})
    if unknown:
        raise VantageError(f"{where}: {kind.__name__} has no setting {unknown[0]!r}; it has {', '.join(sorted(names))}")
    return kind(**{name: _read(hints[name], value, f"{where}.{name}") for name, value in given.items() if name != "is"})


def dumps(value: Any) -> str:
    """A setting as text for a file."""
    return json.dumps(to_json(value), indent=2) + "\n"
