"""A settings value and the words of a command line -> the settings, with what was asked for changed.

    --rounds 1                     a number, text, path, true or false, none, or several of them
    --weighing.rule HABCV          another member of a union, named as in recipe.json
    --rollouts.operator my_operators.py:Careful    a class of one's own, where one may stand
    --worlds push-v3 reach-v3      the named parts of a list, in place of those of the recipe
    --worlds Gymnasium             a part of another kind, or a class of one's own (my_worlds.py:Drawer)
    --worlds.limit 80              a setting of every part of a list
    --worlds.push-v3.limit 80      a setting of one part, by name or by number (--worlds.0.limit 80)

Groups of settings that two members of a union share stay as they were. The settings become a draft
(`drafts.py`: a tree that can be changed). The draft becomes a form (`form.py`: dataclasses that tyro turns
into options). What tyro reads goes back into the draft, and the draft is built.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any

import tyro

from vantage.commands.drafts import (
    Draft,
    Several,
    Unchosen,
    build,
    called,
    copied,
    draft,
    fresh,
    title_of,
    titled,
)
from vantage.commands.form import Form, dashed, spelled
from vantage.commands.names import find_class, names_own_code, shown
from vantage.errors import VantageError


def typed_options(words: Sequence[str]) -> dict[str, list[str]]:
    """Option (without its dashes, `_` as `-`) -> the words that follow it."""
    options: dict[str, list[str]] = {}
    values: list[str] = []

    for word in words:
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            values = options[dashed(option)] = [value] if equals else []
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
    hidden = [dashed(name) for name in own]

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

    said: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        name, equals, _ = word.partition("=")
        if equals and dashed(name) == f"--{option}":
            said.append(f"{name}={drafts[0].choice}")
        else:
            said.append(drafts[0].choice if dashed(before) == f"--{option}" else word)
    return said


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
    return next((member for member in members if called(member).lower() == plain), None)


def _rename(several: Several, names: Sequence[str]) -> None:
    """Make the list hold the named parts: those of that name as they are, others like the first one.

    A class stands for the parts of it as they are, or, where there are none, for one at its defaults; named
    several times it stands for one part each time. Names behind it that are new are those of parts of it.
    """
    by_name = {title: item for item in several.items if (title := titled(item))}
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

        following = names[number + 1] if number + 1 < len(names) and kinds[number + 1] is None else ""
        named = following and (following not in by_name or by_name[following].kind is kind)
        if named:
            pattern = taken[0]
        else:
            items += [typing.cast(Draft, copied(item)) for item in taken]

    several.items = items


def _called(name: str, like: Draft, several: Several) -> Draft:
    """A copy of a part, called by a name. Raises VantageError for a part that has none."""
    item = typing.cast(Draft, copied(like))
    title = title_of(item)
    if title is None:
        remedy = "change it in Python"
        if several.protocol is not None:
            remedy = f"name {', '.join(map(called, several.members))}, or a class of your own (FILE.py:CLASS)"
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
        fields.append((name, spelled(parameter.annotation), given))
    fields.append(("settings", Annotated[settings, tyro.conf.arg(name="")], field()))

    # tyro takes the description from the text before "Args:", and each option's help from the lines below it.
    kind = dataclasses.make_dataclass("Options", fields, kw_only=True)
    _, args, lines = inspect.cleandoc(command.__doc__ or "").partition("Args:")
    kind.__doc__ = f"{about}\n\n{args}{lines}"
    return kind
