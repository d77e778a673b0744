"""Settings, which are frozen dataclasses <-> JSON, losing nothing.

Every dataclass carries its name under "is", so that a union says which of its members was meant, and a file
can be read by people. A class from outside Vantage is called `module:Name`, and is only ever found among the
classes that the caller brings: nothing that a file says is imported.
"""

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from vantage.bounds import short
from vantage.errors import VantageError


@dataclass(frozen=True, slots=True)
class ModuleName:
    """A note beside a text that names a module to be imported, as in `Annotated[str, ModuleName(("a",))]`.

    A file may name one of `known`, or one that this process has imported already: nothing else that a file
    says is imported.
    """

    known: tuple[str, ...]

    def allow(self, name: str) -> bool:
        """Whether a file may name this module."""
        return not name or name in self.known or name in sys.modules


# ---- settings -> JSON


def to_json(value: Any) -> Any:
    """A setting as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": name_of(type(value)), **fields}

    if isinstance(value, tuple | list):
        return [to_json(item) for item in typing.cast(list[Any], value)]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in typing.cast(Mapping[Any, Any], value).items()}

    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    return value


def brief(value: Any) -> Any:
    """`to_json` without the fields that are at their default.

    What is left stays the same when a setting is added.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        chosen = [
            field
            for field in dataclasses.fields(value)
            if field.default is dataclasses.MISSING or getattr(value, field.name) != field.default
        ]
        fields = {field.name: brief(getattr(value, field.name)) for field in chosen}
        return {"is": name_of(type(value)), **fields}

    if isinstance(value, tuple | list):
        return [brief(item) for item in typing.cast(list[Any], value)]
    return to_json(value)


def name_of(kind: type[Any]) -> str:
    """How a class is written down: by its name, and from outside Vantage as `module:Name`."""
    if kind.__module__.partition(".")[0] == "vantage":
        return kind.__name__
    module = kind.__module__
    if module == "__main__":  # a script: the name that others would import it by
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or module).stem
    return f"{module}:{kind.__qualname__}"


def is_own(kind: type[Any]) -> bool:
    """Whether a class is from outside Vantage."""
    return ":" in name_of(kind)


def classes_of(value: Any) -> dict[str, type[Any]]:
    """Name -> class, of every dataclass in a settings value.

    It is what `from_json` needs to read settings with classes of one's own.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return {name_of(type(value)): type(value)} | classes_of(parts)

    classes: dict[str, type[Any]] = {}
    if isinstance(value, tuple | list):
        for item in typing.cast(list[Any], value):
            classes |= classes_of(item)
    return classes


def own_names(data: object) -> set[str]:
    """The names of all classes from outside Vantage in the JSON form of settings."""
    return {name for name in _texts_under("is", data) if ":" in name}


def packages_in(data: object) -> set[str]:
    """The modules that register environments in the JSON form of settings: texts under `package`."""
    return _texts_under("package", data) - {""}


def _texts_under(key: str, data: object) -> set[str]:
    """Every text that stands under a key, at any depth."""
    if isinstance(data, list):
        return set[str]().union(*(_texts_under(key, item) for item in typing.cast(list[object], data)))
    if not isinstance(data, dict):
        return set()
    fields = typing.cast(dict[str, object], data)
    found = fields.get(key)
    here = {found} if isinstance(found, str) else set[str]()
    return here.union(*(_texts_under(key, item) for item in fields.values()))


def dumps(value: Any) -> str:
    """A setting as text for a file."""
    return json.dumps(to_json(value), indent=2) + "\n"


def first_difference(stored: object, wanted: object, where: str = "") -> str:
    """The first setting in which two JSON forms differ, as in ``fit.steps: 120, now 60``.

    Empty where they do not differ.
    """
    if isinstance(stored, dict) and isinstance(wanted, dict):
        keys = dict.fromkeys((*typing.cast(dict[str, Any], wanted), *typing.cast(dict[str, Any], stored)))
        pairs = [(f"{where}.{key}" if where else key, stored.get(key), wanted.get(key)) for key in keys]
    elif isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        items = zip(typing.cast(list[Any], stored), typing.cast(list[Any], wanted), strict=True)
        pairs = [(f"{where}[{number}]", *pair) for number, pair in enumerate(items)]
    else:
        return "" if stored == wanted else f"{where}: {short(stored)}, now {short(wanted)}"

    differences = (first_difference(ours, theirs, name) for name, ours, theirs in pairs)
    return next((difference for difference in differences if difference), "")


# ---- JSON -> settings


def from_json[T](
    kind: type[T],
    data: Any,
    where: str = "settings",
    own: Mapping[str, type[Any]] | None = None,
) -> T:
    """The setting of type `kind` that `to_json` wrote.

    `own`: classes from outside Vantage that it may hold, as `classes_of` returns them. Raises VantageError
    naming the field that does not fit, and for every dataclass that is not what is expected in its place.
    """
    return _Reader(own or {}).read(kind, data, where)


@dataclass(frozen=True, slots=True)
class _Reader:
    own: Mapping[str, type[Any]]

    def read(self, kind: Any, data: Any, where: str) -> Any:
        """`data` as a value of type `kind`."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            for note in arguments[1:]:
                if isinstance(note, ModuleName) and not note.allow(str(data)):
                    raise VantageError(
                        f"{where}: a file may not have the module {short(data)} imported; "
                        "name it behind its setting again (--worlds.package), or it or the Python file "
                        "that made it with --recipe"
                    )
            return self.read(arguments[0], data, where)

        if origin in (Union, types.UnionType):
            return self._union(arguments, data, where)
        if origin is tuple:
            return self._tuple(arguments, data, where)
        if origin in (dict, Mapping):
            return self._mapping(arguments, data, where)
        if origin is Literal:
            if data not in arguments:
                raise VantageError(f"{where}: {short(data)} is none of {', '.join(map(str, arguments))}")
            return data

        if dataclasses.is_dataclass(kind) or is_protocol(kind):
            return self._member((typing.cast(type[Any], kind),), data, where)
        return _plain(kind, data, where)

    def _tuple(self, arguments: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise VantageError(f"{where}: expected a list, found {short(data)}")

        items = typing.cast(list[Any], data)
        kinds = [arguments[0]] * len(items) if arguments[-1] is Ellipsis else list(arguments)
        if len(items) != len(kinds):
            raise VantageError(f"{where}: expected a list of {len(kinds)}, found {len(items)} values")

        pairs = enumerate(zip(kinds, items, strict=True))
        return tuple(self.read(kind, item, f"{where}[{i}]") for i, (kind, item) in pairs)

    def _mapping(self, arguments: tuple[Any, ...], data: Any, where: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise VantageError(f"{where}: expected an object, found {short(data)}")
        items = typing.cast(dict[str, Any], data).items()
        return {key: self.read(arguments[1], value, f"{where}.{key}") for key, value in items}

    def _union(self, arguments: tuple[Any, ...], data: Any, where: str) -> Any:
        if data is None and types.NoneType in arguments:
            return None

        settings = [kind for kind in arguments if dataclasses.is_dataclass(kind) or is_protocol(kind)]
        classes = tuple(typing.cast(list[type[Any]], settings))
        others = [kind for kind in arguments if kind not in classes and kind is not types.NoneType]
        if isinstance(data, dict) and classes:
            return self._member(classes, data, where)

        # Several plain types: the first that the value fits.
        if others and (len(others) == 1 or not classes):
            for kind in others[:-1]:
                try:
                    return self.read(kind, data, where)
                except VantageError:
                    continue
            return self.read(others[-1], data, where)

        if classes:
            return self._member(classes, data, where)
        raise VantageError(f"{where}: {short(data)} does not fit")

    def _member(self, members: tuple[type[Any], ...], data: Any, where: str) -> Any:
        """One of some dataclasses, the one that "is" names.

        Other names are looked up among the caller's own classes.
        """
        known = {name_of(kind): kind for kind in members if dataclasses.is_dataclass(kind)}
        if not isinstance(data, dict):
            names = " or ".join(known) or members[0].__name__
            raise VantageError(f"{where}: expected the settings of {names}, found {short(data)}")

        given = typing.cast(dict[str, Any], data)
        name = given.get("is")
        kind = known.get(name) or self.own.get(name) if isinstance(name, str) else None
        if kind is None or (kind not in members and not self._stands_for(kind, members)):
            expected = f"not {next(iter(known), members[0].__name__)}"
            if len(known) > 1:
                expected = f"none of {', '.join(known)}"
            hint = ""
            if isinstance(name, str) and ":" in name:
                hint = "; name the Python file that made it with --recipe"
            raise VantageError(f"{where}: {short(name)} is {expected}{hint}")
        return self._dataclass(kind, given, where)

    def _stands_for(self, kind: type[Any], members: tuple[type[Any], ...]) -> bool:
        """Whether a class of the caller's own may take the place of `members`.

        It may for its own base, for a protocol that it fulfils, and beside the members of a union where it
        has what they all have: a world is no rule.
        """
        if any(not is_protocol(member) and issubclass(kind, member) for member in members):
            return True
        protocols = [member for member in members if is_protocol(member)]
        if protocols:
            return any(_has(kind, offered(member)) for member in protocols)
        shared = set[str].intersection(*(offered(member) for member in members))
        return len(members) > 1 and bool(shared) and _has(kind, shared)

    def _dataclass(self, kind: type[Any], given: dict[str, Any], where: str) -> Any:
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
        unknown = sorted(set(given) - set(fields) - {"is"})
        if unknown:
            names = ", ".join(sorted(fields))
            raise VantageError(f"{where}: {kind.__name__} has no setting {short(unknown[0])}; it has {names}")

        values = {
            name: self.read(hints[name], given[name], f"{where}.{name}") for name in fields if name in given
        }
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in values:
                raise VantageError(f"{where}: {kind.__name__} needs {name!r}; write it")
        try:
            return kind(**values)
        except VantageError as error:
            raise VantageError(f"{where}: {error}") from error


def _plain(kind: type[Any], data: Any, where: str) -> Any:
    """A number, a text, a path or a member of an enumeration."""
    if kind is Any:
        return data

    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError as error:
            raise VantageError(f"{where}: {short(data)} is too large for a number") from error

    if kind is Path and isinstance(data, str):
        return Path(data)

    if issubclass(kind, Enum):
        try:
            return kind(data)
        except ValueError as error:
            options = ", ".join(str(member.value) for member in kind)
            raise VantageError(f"{where}: {short(data)} is none of {options}") from error

    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise VantageError(f"{where}: expected {kind.__name__}, found {short(data)}")
    return data


def offered(kind: type[Any]) -> set[str]:
    """What can be asked of a class: its fields, properties and methods, whether it can be called; for a
    protocol, all that it names."""
    if is_protocol(kind):
        named = set[str](typing.cast(Any, kind).__protocol_attrs__)
        return {name for name in named if not name.startswith("_") or name == "__call__"}
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    methods = {name for name in dir(kind) if not name.startswith("_") or name == "__call__"}
    return {str(name) for name in fields | methods} - ({"__call__"} if not _calls(kind) else set())


def _calls(kind: type[Any]) -> bool:
    """Whether its values can be called; `type` itself gives every class a `__call__`."""
    return any("__call__" in base.__dict__ for base in kind.__mro__)


def _has(kind: type[Any], names: set[str]) -> bool:
    """Whether a class offers all of these."""
    return names <= offered(kind)


def is_protocol(kind: Any) -> bool:
    """Whether a type is a protocol, which any class may fulfil."""
    return bool(getattr(kind, "_is_protocol", False))
