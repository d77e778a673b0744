"""The tree that a settings value becomes while words of a command line change it.

    value ──draft──> Draft, Several, Leaf ──changed in place──> ──build──> value

A draft knows the type that stands at each place, and so what else may stand there.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Annotated, Any, Union

from vantage.bounds import bounds_in_words, check
from vantage.commands.names import shown
from vantage.config import is_own, is_protocol
from vantage.errors import VantageError, own_code
from vantage.own_classes import check_kept


@dataclass(slots=True)
class Leaf:
    """One setting that is no dataclass."""

    hint: Any
    """Its type."""
    value: Any
    """MISSING where it must be given."""
    bounds: str = ""
    """What its numbers may be, in words; empty where anything, or where it holds none."""


@dataclass(slots=True)
class Draft:
    """A dataclass that is not built yet, or the None that stands in its place."""

    kind: type[Any]
    """Of what; NoneType for None, and Unchosen for a class of one's own that must be named."""
    members: tuple[type[Any], ...]
    """Everything that may stand here by its name."""
    parts: "dict[str, Node]" = field(default_factory=dict[str, "Node"])
    unnamed: frozenset[str] = frozenset()
    """Parts whose settings are typed without the part's name."""
    protocol: type[Any] | None = None
    """What a class of one's own must have to stand here; None: none may."""

    @property
    def choices(self) -> tuple[str, ...]:
        """What may be typed to say which dataclass stands here, but for further classes of one's own."""
        names = [called(member) for member in self.members]
        if self.kind is not Unchosen and self.kind not in self.members:
            names.append(shown(self.kind))
        return tuple(names)

    @property
    def choice(self) -> Any:
        """The one of `choices` that stands here; MISSING where it must be given."""
        if self.kind is Unchosen:
            return MISSING
        return called(self.kind) if self.kind in self.members else shown(self.kind)


class Unchosen:
    """Stands where a class of one's own must be named, and is not yet."""


@dataclass(slots=True)
class Several:
    """A tuple of dataclasses."""

    members: tuple[type[Any], ...]
    items: list[Draft]
    protocol: type[Any] | None = None
    """What a class of one's own must have to stand among them; None: none may, and no part is named by its
    class."""

    @property
    def pattern(self) -> Draft:
        """What a part is like that only its name is said of."""
        return self.items[0] if self.items else fresh(self.members[0], self.members, protocol=self.protocol)

    @property
    def names(self) -> tuple[str, ...]:
        """What may be typed for the parts that it has: their titles, and their classes where they have
        none."""
        return tuple(titled(item) or item.choice for item in self.items)


Node = Leaf | Draft | Several


def draft(hint: Any, value: Any) -> Node:
    """The changeable form of `value`, which stands where `hint` is expected."""
    bounds = bounds_in_words(hint)
    hint, _ = bare(hint)
    members = _members(hint)

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        hints = typing.get_type_hints(kind, include_extras=True)
        parts = {
            setting.name: draft(hints[setting.name], getattr(value, setting.name))
            for setting in _fields(kind)
        }
        return Draft(kind, members, parts, _unnamed(kind, hints), _protocol(hint))

    if value is None and len(members) > 1:
        return Draft(types.NoneType, members, protocol=_protocol(hint))

    if typing.get_origin(hint) is tuple and (inner := _members(typing.get_args(hint)[0])):
        items = [draft(typing.get_args(hint)[0], item) for item in typing.cast(tuple[Any, ...], value)]
        if all(isinstance(item, Draft) for item in items):
            return Several(inner, typing.cast(list[Draft], items), _protocol(typing.get_args(hint)[0]))

    return Leaf(hint, value, bounds)


def fresh(
    kind: type[Any],
    members: tuple[type[Any], ...],
    past: Draft | None = None,
    protocol: type[Any] | None = None,
) -> Draft:
    """A draft of `kind` at its defaults.

    Groups of settings that `past` has too (a policy's `net`, say) stay as they are there.
    """
    if kind is types.NoneType or kind is Unchosen:
        return Draft(kind, members, protocol=protocol)
    hints = typing.get_type_hints(kind, include_extras=True)
    parts: dict[str, Node] = {}

    for setting in _fields(kind):
        hint, _ = bare(hints[setting.name])
        if setting.default is not MISSING:
            part = draft(hints[setting.name], setting.default)
        elif setting.default_factory is not MISSING:
            part = draft(hints[setting.name], setting.default_factory())
        elif inner := _members(hint):
            part = fresh(inner[0], inner, protocol=_protocol(hint))
        elif is_protocol(hint):
            part = fresh(Unchosen, (), protocol=hint)
        else:
            part = Leaf(hint, MISSING, bounds_in_words(hints[setting.name]))
        earlier = past.parts.get(setting.name) if past else None
        parts[setting.name] = earlier if earlier is not None and _alike(earlier, part) else part

    return Draft(kind, members, parts, _unnamed(kind, hints), protocol)


def build(node: Node) -> Any:
    """The value that a draft stands for. Raises what the settings' own checks raise."""
    match node:
        case Leaf(_, value):
            return value
        case Several(_, items):
            return tuple(build(item) for item in items)
        case Draft(types.NoneType):
            return None
        case Draft(kind, _, parts):
            for name, part in parts.items():
                if isinstance(part, Leaf) and part.value is MISSING:
                    raise VantageError(
                        f"{kind.__name__} needs {name!r}, which no word can say; write it in a Python file "
                        "(docs/simulator.md)"
                    )
            values = {name: build(part) for name, part in parts.items()}
            if not is_own(kind):
                return kind(**values)

            # What one's own class does not check itself.
            with own_code(shown(kind)):
                value = kind(**values)
            check(value)
            check_kept(value, shown(kind))
            return value


def _fields(kind: type[Any]) -> Iterator[dataclasses.Field[Any]]:
    return (setting for setting in dataclasses.fields(kind) if setting.init)


def bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its annotations, and the annotations."""
    if typing.get_origin(hint) is Annotated:
        inner, *notes = typing.get_args(hint)
        return inner, tuple(notes)
    return hint, ()


def _members(hint: Any) -> tuple[type[Any], ...]:
    """The dataclasses that `hint` allows, with NoneType where it allows None; empty if it allows more.

    A protocol stands for classes of one's own, and is left out.
    """
    hint, _ = bare(hint)
    options = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    options = tuple(option for option in options if not is_protocol(option))

    settings = [option for option in options if dataclasses.is_dataclass(option)]
    known = settings and all(option in settings or option is types.NoneType for option in options)
    return typing.cast(tuple[type[Any], ...], options) if known else ()


def _protocol(hint: Any) -> type[Any] | None:
    """What a class of one's own must have to stand where `hint` is expected; None where none may."""
    hint, _ = bare(hint)
    options = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    return next((option for option in options if is_protocol(option)), None)


def _unnamed(kind: type[Any], hints: Mapping[str, Any]) -> frozenset[str]:
    """Parts that are annotated with `tyro.conf.arg(name="")`."""
    unnamed: set[str] = set()
    for setting in _fields(kind):
        _, notes = bare(hints[setting.name])
        if any(getattr(note, "name", None) == "" for note in notes):
            unnamed.add(setting.name)
    return frozenset(unnamed)


def _alike(one: Node, other: Node) -> bool:
    match one, other:
        case (Draft(), Draft()) | (Several(), Several()):
            return one.members == other.members
        case _:
            return False


def copied(node: Node) -> Node:
    """The same tree, to be changed by itself; values are shared."""
    match node:
        case Leaf(hint, value, bounds):
            return Leaf(hint, value, bounds)
        case Several(members, items, protocol):
            return Several(members, [typing.cast(Draft, copied(item)) for item in items], protocol)
        case Draft(kind, members, parts, unnamed):
            copies = {name: copied(part) for name, part in parts.items()}
            return Draft(kind, members, copies, unnamed, node.protocol)


def title_of(item: Draft) -> Leaf | None:
    """The text that a part of a list goes by: its first setting, or that of its first setting."""
    first = next(iter(item.parts.values()), None)
    match first:
        case Leaf(hint) if hint is str:
            return first
        case Draft():
            return title_of(first)
        case _:
            return None


def titled(item: Draft) -> str:
    """The text itself; empty where a part has none, or none yet."""
    title = title_of(item)
    return title.value if title is not None and isinstance(title.value, str) else ""


def incomplete(node: Node) -> bool:
    """Whether a setting that must be given is missing."""
    match node:
        case Leaf(_, value):
            return value is MISSING
        case Several(_, items):
            return any(map(incomplete, items))
        case Draft(kind, _, parts):
            return kind is Unchosen or any(map(incomplete, parts.values()))


def called(kind: type[Any]) -> str:
    """What a member of a union is called on the command line."""
    return "None" if kind is types.NoneType else kind.__name__
