"""A settings value and the words of a command line -> the settings, with what was asked for changed.

    --rounds 1                     a number, text, path, true or false, none, or several of them
    --weighing.rule HABCV          another member of a union, named as in recipe.json
    --rollouts.operator my_operators.py:Careful    a class of one's own, where one may stand
    --worlds push-v3 reach-v3      the named parts of a list, in place of those of the recipe
    --worlds Gymnasium             a part of another kind, or a class of one's own (my_worlds.py:Drawer)
    --worlds.limit 80              a setting of every part of a list
    --worlds.push-v3.limit 80      a setting of one part, by name or by number (--worlds.0.limit 80)

Groups of settings that two members of a union share stay as they were. The settings become a draft (a tree
that can be changed). The draft becomes a form (dataclasses that tyro turns into options, their help and their
errors). What tyro reads goes back into the draft, and the draft is built. An option that was not typed
changes nothing.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import json
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from vantage.commands.names import find_class, names_own_code, shown
from vantage.config import bounds_in_words, check, check_kept, is_protocol
from vantage.errors import VantageError, own_code


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
    typed: bool = False
    """A word has named a class of one's own."""

    @property
    def choices(self) -> tuple[str, ...]:
        """What may be typed to say which dataclass stands here, but for further classes of one's own."""
        names = [_name(member) for member in self.members]
        if self.kind is not Unchosen and self.kind not in self.members:
            names.append(shown(self.kind))
        return tuple(names)

    @property
    def choice(self) -> Any:
        """The one of `choices` that stands here; MISSING where it must be given."""
        if self.kind is Unchosen:
            return MISSING
        return _name(self.kind) if self.kind in self.members else shown(self.kind)


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
        return tuple(_titled(item) or item.choice for item in self.items)


Node = Leaf | Draft | Several


def draft(hint: Any, value: Any) -> Node:
    """The changeable form of `value`, which stands where `hint` is expected."""
    bounds = bounds_in_words(hint)
    hint, _ = _bare(hint)
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
        hint, _ = _bare(hints[setting.name])
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
            if not node.typed:
                return kind(**values)

            # What one's own class does not check itself.
            with own_code(shown(kind)):
                value = kind(**values)
            check(value)
            check_kept(value, shown(kind))
            return value


def _fields(kind: type[Any]) -> Iterator[dataclasses.Field[Any]]:
    return (setting for setting in dataclasses.fields(kind) if setting.init)


def _bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its annotations, and the annotations."""
    if typing.get_origin(hint) is Annotated:
        inner, *notes = typing.get_args(hint)
        return inner, tuple(notes)
    return hint, ()


def _members(hint: Any) -> tuple[type[Any], ...]:
    """The dataclasses that `hint` allows, with NoneType where it allows None; empty if it allows more.

    A protocol stands for classes of one's own, and is left out.
    """
    hint, _ = _bare(hint)
    options = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    options = tuple(option for option in options if not is_protocol(option))

    settings = [option for option in options if dataclasses.is_dataclass(option)]
    known = settings and all(option in settings or option is types.NoneType for option in options)
    return typing.cast(tuple[type[Any], ...], options) if known else ()


def _protocol(hint: Any) -> type[Any] | None:
    """What a class of one's own must have to stand where `hint` is expected; None where none may."""
    hint, _ = _bare(hint)
    options = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    return next((option for option in options if is_protocol(option)), None)


def _unnamed(kind: type[Any], hints: Mapping[str, Any]) -> frozenset[str]:
    """Parts that are annotated with `tyro.conf.arg(name="")`."""
    unnamed: set[str] = set()
    for setting in _fields(kind):
        _, notes = _bare(hints[setting.name])
        if any(getattr(note, "name", None) == "" for note in notes):
            unnamed.add(setting.name)
    return frozenset(unnamed)


def _alike(one: Node, other: Node) -> bool:
    match one, other:
        case (Draft(), Draft()) | (Several(), Several()):
            return one.members == other.members
        case _:
            return False


def _copy(node: Node) -> Node:
    match node:
        case Leaf(hint, value, bounds):
            return Leaf(hint, value, bounds)
        case Several(members, items, protocol):
            return Several(members, [typing.cast(Draft, _copy(item)) for item in items], protocol)
        case Draft(kind, members, parts, unnamed):
            copies = {name: _copy(part) for name, part in parts.items()}
            return Draft(kind, members, copies, unnamed, node.protocol, node.typed)


def _title(item: Draft) -> Leaf | None:
    """The text that a part of a list goes by: its first setting, or that of its first setting."""
    first = next(iter(item.parts.values()), None)
    match first:
        case Leaf(hint) if hint is str:
            return first
        case Draft():
            return _title(first)
        case _:
            return None


def _titled(item: Draft) -> str:
    """The text itself; empty where a part has none, or none yet."""
    title = _title(item)
    return title.value if title is not None and isinstance(title.value, str) else ""


def _incomplete(node: Node) -> bool:
    """Whether a setting that must be given is missing."""
    match node:
        case Leaf(_, value):
            return value is MISSING
        case Several(_, items):
            return any(map(_incomplete, items))
        case Draft(_, _, parts):
            return any(map(_incomplete, parts.values()))


class Form:
    """Options for some drafts of one kind that are changed together (often just one)."""

    def __init__(
        self,
        prefix: str,
        drafts: Sequence[Draft],
        typed: Iterable[str],
        hidden: Iterable[str] = (),
        *,
        elsewhere: Callable[[str], bool] = lambda option: False,
    ) -> None:
        """`prefix` stands before every option's name.

        `typed`: options of the command line. `hidden`: options left out here. `elsewhere`: whether another
        option gives, or asks for, what this one must be given.
        """
        self._typed = tuple(typed)
        self._hidden = frozenset(hidden)
        self._elsewhere = elsewhere
        self._fields: list[tuple[str, Any, Any]] = []
        self._leaves: dict[str, tuple[str, list[Leaf]]] = {}
        self._groups: dict[str, Form] = {}
        self._own_choices: dict[str, list[Draft]] = {}
        self._own_lists: dict[str, Several] = {}

        documents = _documents(drafts[0].kind)
        for name in drafts[0].parts:
            self._add(
                prefix,
                name,
                [draft.parts[name] for draft in drafts],
                documents.get(name, ""),
                unnamed=name in drafts[0].unnamed,
            )

        self.kind = dataclasses.make_dataclass("Settings", self._fields, kw_only=True)
        self.kind.__doc__ = _first_paragraph(drafts[0].kind.__doc__)

    @property
    def choices(self) -> dict[str, list[Draft]]:
        """Option -> the unions whose member it names."""
        choices = dict(self._own_choices)
        for form in self._groups.values():
            choices |= form.choices
        return choices

    @property
    def lists(self) -> dict[str, Several]:
        """Option -> the list whose parts it names."""
        lists = dict(self._own_lists)
        for form in self._groups.values():
            lists |= form.lists
        return lists

    def fill(self, filled: Any) -> None:
        """Write what was typed into the drafts; `filled` is an instance of `kind`."""
        for name, (option, leaves) in self._leaves.items():
            if option in self._typed:
                value = getattr(filled, name)
                for leaf in leaves:
                    leaf.value = dict(value) if _is_mapping(leaf.hint) else value
        for name, group in self._groups.items():
            group.fill(getattr(filled, name))

    def _add(self, prefix: str, name: str, nodes: list[Node], document: str, *, unnamed: bool) -> None:
        """Options for one part of the drafts."""
        option = prefix + _dashed(name)
        first = nodes[0]

        match first:
            case Leaf():
                leaves = [node for node in nodes if isinstance(node, Leaf)]
                asked = option in self._typed or not any(map(_incomplete, leaves))
                offered = option not in self._hidden and (asked or not self._elsewhere(option))
                if offered and _readable(first.hint):
                    self._leaves[name] = (option, leaves)
                    default = tuple(first.value.items()) if isinstance(first.value, Mapping) else first.value
                    self._add_option(name, _spelled(first.hint), default, document, bounds=first.bounds)

            case Draft():
                drafts = [node for node in nodes if isinstance(node, Draft)]
                below = prefix if unnamed else f"{option}."
                self._add_draft(below, option, name, drafts, document, unnamed=unnamed)

            case Several():
                if len(nodes) == 1:
                    self._add_several(option, name, first, document)

    def _add_draft(
        self, prefix: str, option: str, name: str, drafts: list[Draft], document: str, *, unnamed: bool
    ) -> None:
        """The choice among the members of a union, and the settings of the member that is chosen."""
        if any(node.kind is not drafts[0].kind for node in drafts):
            return

        first = drafts[0]
        if (len(first.choices) > 1 or first.protocol) and option not in self._hidden:
            self._own_choices[option] = drafts
            # Where nothing is chosen yet, every word is a wrong one.
            self._add_option(name, Literal[first.choices or ("",)], first.choice, document, _metavar(first))

        if drafts[0].parts:
            hidden = self._hidden if unnamed else ()
            form = Form(prefix, drafts, self._typed, hidden, elsewhere=self._elsewhere)
            self._add_group(f"{name}_parts", "" if unnamed else name, form)

    def _add_several(self, option: str, name: str, several: Several, document: str) -> None:
        """The names of a list's parts, and their settings: of all parts at once, and of one."""
        kinds = {item.kind for item in several.items} or {several.members[0]}
        titles = [_titled(item) for item in several.items]

        named = len(kinds) == 1 and _title(several.pattern) is not None and all(titles)
        if (named or several.protocol is not None) and option not in self._hidden:
            self._own_lists[option] = several
            self._add_option(name, tuple[str, ...], several.names, document, _metavar_of_several(several))

        # Settings of one part: there may be hundreds, so only what is typed becomes an option, and a part of
        # several that lacks something.
        asked: dict[str, list[Draft]] = {}
        for key in (*map(str, range(len(several.items))), *dict.fromkeys(filter(None, titles))):
            start = f"{option}.{_dashed(key)}"
            if any(word == start or word.startswith(f"{start}.") for word in self._typed):
                asked[key] = [
                    item
                    for number, item in enumerate(several.items)
                    if key == str(number) or titles[number] == key
                ]
        alone = len(several.items) == 1 and not asked
        for number, item in enumerate(several.items):
            known = any(item is other for items in asked.values() for other in items)
            if _incomplete(item) and not alone and not known:
                asked[str(number)] = [item]

        # One setting of all parts.
        alike = len(kinds) == 1
        if alike and several.items:
            form = Form(f"{option}.", several.items, self._typed, elsewhere=lambda _: not alone)
            self._add_group(f"{name}_all", name, form)

        for key, items in asked.items():
            start = f"{option}.{_dashed(key)}."
            given = functools.partial(self._of_all, start, f"{option}.") if alike else self._elsewhere
            self._add_group(
                f"{name}_{len(self._fields)}",
                f"{name}.{key}",
                Form(start, items, self._typed, elsewhere=given),
            )

    def _of_all(self, start: str, all_parts: str, option: str) -> bool:
        """Whether what an option says of one part is typed for all parts."""
        return option.replace(start, all_parts, 1) in self._typed

    def _add_option(
        self, name: str, hint: Any, default: Any, document: str, metavar: str | None = None, bounds: str = ""
    ) -> None:
        behind = None
        if bounds:
            given = "required" if default is MISSING else "default: {}"
            behind = functools.partial(str.format, f"({given}; {bounds})")
        # An empty help keeps tyro from looking for one.
        note = tyro.conf.arg(name=name, help=document, metavar=metavar, help_behavior_hint=behind)
        given = field() if default is MISSING else field(default=default)
        self._fields.append((name, Annotated[hint, note], given))

    def _add_group(self, name: str, shown: str, form: "Form") -> None:
        self._groups[name] = form
        note = tyro.conf.arg(name=shown, help=form.kind.__doc__ or "")
        self._fields.append((name, Annotated[form.kind, note], field()))


def _metavar(draft: Draft) -> str | None:
    """How the choice of a dataclass is shown in help; None: as the list of its names."""
    if draft.protocol is None:
        return None
    names = f"{{{','.join(draft.choices)}}}|" if draft.members else ""
    return f"{names}FILE.py:CLASS"


def _metavar_of_several(several: Several) -> str | None:
    """How the names of a list's parts are shown in help; None: as texts."""
    if several.protocol is None:
        return None
    return f"NAME|{{{','.join(map(_name, several.members))}}}|FILE.py:CLASS ..."


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _name(kind: type[Any]) -> str:
    """What a member of a union is called on the command line."""
    return "None" if kind is types.NoneType else kind.__name__


def _readable(hint: Any) -> bool:
    """Whether one or more words can say a value of this type."""
    hint, _ = _bare(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return True
    if _is_mapping(hint):
        return _readable(inner[0]) and (inner[1] is Any or _readable(inner[1]))
    if origin in (Union, types.UnionType, tuple, list):
        return all(part is Ellipsis or _readable(part) for part in inner)
    return isinstance(hint, type) and issubclass(hint, types.NoneType | int | float | str | Path | Enum)


def _is_mapping(hint: Any) -> bool:
    return typing.get_origin(hint) in (dict, Mapping)


def _spelled(hint: Any) -> Any:
    """The type as tyro should read it: true and false as words, as in JSON, and a mapping as pairs of
    words, of which the second may be JSON where its values are of any type."""
    hint, notes = _bare(hint)
    if _is_mapping(hint):
        key, value = typing.get_args(hint)
        return tuple[tuple[key, Annotated[Any, _JSON] if value is Any else value], ...]
    if hint is bool:
        return Annotated[bool, _TRUTH, *notes]
    return Annotated[hint, *notes] if notes else hint


def _truth(words: list[str]) -> bool:
    word = words[0].lower() if words else "true"
    if word not in ("true", "false"):
        raise ValueError(f"say true or false, not {words[0]!r}")
    return word == "true"


def _json(words: list[str]) -> Any:
    """A number, true, false, null, a list or an object; anything else is a text."""
    try:
        return json.loads(words[0])
    except ValueError:
        return words[0]


_JSON = PrimitiveConstructorSpec(
    nargs=1,
    metavar="JSON",
    instance_from_str=_json,
    is_instance=lambda value: True,
    str_from_instance=lambda value: [value if isinstance(value, str) else json.dumps(value)],
)
_TRUTH = PrimitiveConstructorSpec(
    nargs=(0, 1),
    metavar="{true,false}",
    instance_from_str=_truth,
    is_instance=lambda value: isinstance(value, bool),
    str_from_instance=lambda value: [str(value).lower()],
)


@functools.cache
def _documents(kind: type[Any]) -> dict[str, str]:
    """Field -> the text below it in the source."""
    documents: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue

        try:
            source = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):  # made by hand, without a file
            continue

        body = source.body if isinstance(source, ast.ClassDef) else []
        for line, below in itertools.pairwise(body):
            match line, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    documents[name] = " ".join(text.split())
                case _:
                    pass
    return documents


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())


def typed_options(words: Sequence[str]) -> dict[str, list[str]]:
    """Option (without its dashes, `_` as `-`) -> the words that follow it."""
    options: dict[str, list[str]] = {}
    values: list[str] = []

    for word in words:
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            values = options[_dashed(option)] = [value] if equals else []
        else:
            values.append(word)

    return options


def change[T](
    value: T,
    words: Sequence[str],
    command: Callable[..., Any],
    *,
    prog: str,
    about: str,
) -> tuple[T, dict[str, Any]]:
    """Read options of `command` and of the settings `value` from `words`.

    Returns the changed settings, and the arguments for the keyword parameters of `command` (but `settings`).
    A parameter of the command hides a setting of the same name. Help and words that tyro cannot read end in
    SystemExit, settings that cannot be in VantageError.
    """
    root = draft(type(value), value)
    assert isinstance(root, Draft), f"{type(value).__name__} is no dataclass"
    options = typed_options(words)
    own = _own_parameters(command)
    hidden = [_dashed(name) for name in own]

    # What changes the tree comes first, from the root down, because other options exist only afterwards.
    done: set[str] = set()
    while True:
        form = Form("", [root], options, hidden)
        structural = form.choices.keys() | form.lists.keys()
        waiting = sorted(
            (option for option in options if option in structural and option not in done),
            key=lambda option: option.count("."),
        )
        if not waiting:
            break
        option = waiting[0]
        done.add(option)
        if option in form.choices:
            words = _choose(option, options[option], form.choices[option], words)
        else:
            _rename(form.lists[option], options[option])

    whole = tyro.cli(
        _with_own_options(command, own, form.kind, about),
        prog=prog,
        args=list(words),
        config=(tyro.conf.FlagConversionOff,),
    )
    form.fill(whole.settings)
    return build(root), {name: getattr(whole, name) for name in own}


def _choose(option: str, values: Sequence[str], drafts: Sequence[Draft], words: Sequence[str]) -> list[str]:
    """Put the named member, or the class of one's own, into the drafts.

    Returns the words with its name spelled as it is; a name that is none is left to tyro. Raises VantageError
    for a class of one's own that is not there or cannot stand here.
    """
    kind = _named_kind(values, drafts[0])
    if kind is None:
        return list(words)

    for node in drafts:
        if node.kind is not kind:
            changed = fresh(kind, node.members, node, node.protocol)
            node.kind, node.parts, node.unnamed = changed.kind, changed.parts, changed.unnamed
        node.typed = kind not in node.members

    spelled: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        name, equals, _ = word.partition("=")
        if equals and _dashed(name) == f"--{option}":
            spelled.append(f"{name}={drafts[0].choice}")
        else:
            spelled.append(drafts[0].choice if _dashed(before) == f"--{option}" else word)
    return spelled


def _named_kind(values: Sequence[str], node: Draft) -> type[Any] | None:
    """The class that is typed for a draft; None for words that name none."""
    if len(values) != 1:
        return None
    present = () if node.kind is Unchosen else (node.kind,)
    return _kind_of(values[0], node.members, present, node.protocol)


def _kind_of(
    word: str, members: Sequence[type[Any]], present: Sequence[type[Any]], protocol: type[Any] | None
) -> type[Any] | None:
    """The class that a word names: a member of a union, or one of one's own; None where it names none.

    `present`: classes that stand there now.
    """
    for kind in present:
        if kind not in members and word == shown(kind):
            return kind
    if protocol is not None and names_own_code(word):
        return find_class(word, protocol)
    plain = word.lower().replace("-", "").replace("_", "")
    return next((member for member in members if _name(member).lower() == plain), None)


def _rename(several: Several, names: Sequence[str]) -> None:
    """Make the list hold the named parts: those of that name as they are, others like the first one.

    A class stands for the parts of it as they are, or, where there are none, for one at its defaults; named
    several times it stands for one part each time. Names behind it that are new are those of parts of it.
    """
    by_name = {title: item for item in several.items if (title := _titled(item))}
    by_class: dict[type[Any], list[Draft]] = {}
    for item in several.items:
        by_class.setdefault(item.kind, []).append(item)

    kinds = [
        _kind_of(name, several.members, tuple(by_class), several.protocol)
        if several.protocol is not None and name not in by_name
        else None
        for name in names
    ]
    pattern, items = several.pattern, list[Draft]()
    for number, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        if kind is None:
            items.append(_called(name, by_name.get(name, pattern), several))
            continue

        there = by_class.get(kind, [])
        taken = there if kinds.count(kind) == 1 else there[:1]
        by_class[kind] = there[len(taken) :]
        taken = taken or [fresh(kind, several.members, protocol=several.protocol)]
        for item in taken:
            item.typed = kind not in several.members

        named = number + 1 < len(names) and kinds[number + 1] is None and names[number + 1] not in by_name
        if named:
            pattern = taken[0]
        else:
            items += [typing.cast(Draft, _copy(item)) for item in taken]

    several.items = items


def _called(name: str, like: Draft, several: Several) -> Draft:
    """A copy of a part, called by a name. Raises VantageError for a part that has none."""
    item = typing.cast(Draft, _copy(like))
    title = _title(item)
    if title is None:
        remedy = "change it in Python"
        if several.protocol is not None:
            remedy = f"name {', '.join(map(_name, several.members))}, or a class of your own (FILE.py:CLASS)"
        raise VantageError(f"{name!r}: a {item.kind.__name__} has no name that could be typed; {remedy}")
    title.value = name
    return item


def _own_parameters(command: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters of a command that are options, without its settings."""
    parameters = inspect.signature(command).parameters
    return {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind is not parameter.POSITIONAL_ONLY and name != "settings"
    }


def _with_own_options(
    command: Callable[..., Any],
    own: Mapping[str, inspect.Parameter],
    settings: type[Any],
    about: str,
) -> type[Any]:
    """A dataclass with the options of `command`, and with those of its settings in the field `settings`."""
    fields: list[tuple[str, Any, Any]] = []
    for name, parameter in own.items():
        given = field() if parameter.default is parameter.empty else field(default=parameter.default)
        fields.append((name, _spelled(parameter.annotation), given))
    fields.append(("settings", Annotated[settings, tyro.conf.arg(name="")], field()))

    # tyro takes the description from the text before "Args:", and each option's help from the lines below it.
    kind = dataclasses.make_dataclass("Options", fields, kw_only=True)
    _, args, lines = inspect.cleandoc(command.__doc__ or "").partition("Args:")
    kind.__doc__ = f"{about}\n\n{args}{lines}"
    return kind
