"""Drafts -> dataclasses that tyro turns into options, with their help and their errors.

What tyro reads goes back into the drafts (`Form.fill`). An option that was not typed changes nothing.
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from vantage.commands.drafts import Draft, Leaf, Node, Several, bare, called, incomplete, title_of, titled


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
        option = prefix + dashed(name)
        first = nodes[0]

        match first:
            case Leaf():
                leaves = [node for node in nodes if isinstance(node, Leaf)]
                asked = option in self._typed or not any(map(incomplete, leaves))
                offered = option not in self._hidden and (asked or not self._elsewhere(option))
                if offered and _readable(first.hint):
                    self._leaves[name] = (option, leaves)
                    default = tuple(first.value.items()) if isinstance(first.value, Mapping) else first.value
                    self._add_option(name, spelled(first.hint), default, document, bounds=first.bounds)

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
        titles = [titled(item) for item in several.items]

        named = len(kinds) == 1 and title_of(several.pattern) is not None and all(titles)
        if (named or several.protocol is not None) and option not in self._hidden:
            self._own_lists[option] = several
            self._add_option(name, tuple[str, ...], several.names, document, _metavar_of_several(several))

        # Settings of one part: there may be hundreds, so only what is typed becomes an option, and a part of
        # several that lacks something.
        asked: dict[str, list[Draft]] = {}
        for key in (*map(str, range(len(several.items))), *dict.fromkeys(filter(None, titles))):
            start = f"{option}.{dashed(key)}"
            if any(word == start or word.startswith(f"{start}.") for word in self._typed):
                asked[key] = [
                    item
                    for number, item in enumerate(several.items)
                    if key == str(number) or titles[number] == key
                ]
        alone = len(several.items) == 1 and not asked
        for number, item in enumerate(several.items):
            known = any(item is other for items in asked.values() for other in items)
            if incomplete(item) and not alone and not known:
                asked[str(number)] = [item]

        # One setting of all parts.
        alike = len(kinds) == 1
        if alike and several.items:
            form = Form(f"{option}.", several.items, self._typed, elsewhere=lambda _: not alone)
            self._add_group(f"{name}_all", name, form)

        for key, items in asked.items():
            start = f"{option}.{dashed(key)}."
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
    return f"NAME|{{{','.join(map(called, several.members))}}}|FILE.py:CLASS ..."


def _readable(hint: Any) -> bool:
    """Whether one or more words can say a value of this type."""
    hint, _ = bare(hint)
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


def spelled(hint: Any) -> Any:
    """The type as tyro should read it: true and false as words, as in JSON, and a mapping as pairs of
    words, of which the second may be JSON where its values are of any type."""
    hint, notes = bare(hint)
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
    """A number, true, false, null, a list or an object; anything else, NaN and Infinity too, is a text."""
    try:
        return json.loads(words[0], parse_constant=str)
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


def dashed(name: str) -> str:
    """A name of Python's as an option has it."""
    return name.replace("_", "-")
